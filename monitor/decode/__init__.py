"""Bytes to columns: a layout-speculating kernel, msgspec for what deviates, Arrow as it is."""

from __future__ import annotations

from monitor.decode.chunk import chunk_of
from monitor.decode.decoder import Decoded, Decoder
from monitor.decode.labels import decode_label_batch
from monitor.decode.records import decode_gpu, decode_labels

__all__ = ["Decoded", "Decoder", "chunk_of", "decode_gpu", "decode_label_batch", "decode_labels"]
