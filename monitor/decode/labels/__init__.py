"""Decoding of labels into columns."""

from monitor.decode.labels.batch import decode_label_batch

__all__ = ["decode_label_batch"]
