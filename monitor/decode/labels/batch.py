"""Labels, many at a time, as columns."""

from __future__ import annotations

from collections.abc import Mapping

from monitor.decode.labels.objects import batch_of_events
from monitor.decode.records import decode_labels
from monitor.decode.strict import Key
from schemas.batch import Chunk
from schemas.events import Reject
from schemas.labels import LabelBatch, LabelRule
from schemas.limits import MessageLimits


def decode_label_batch(
    chunk: Chunk,
    rules: Mapping[Key, LabelRule] | None = None,
    *,
    limits: MessageLimits | None = None,
) -> tuple[LabelBatch, tuple[Reject, ...]]:
    """Decode labels: JSON, JSON arrays, structured CloudEvents.

    Parameters
    ----------
    rules : mapping of (tenant, model) to LabelRule, optional
        The models that are configured, and which labels each accepts; without it labels of any
        model are taken, up to the year 2255.

    Returns
    -------
    (LabelBatch, tuple of Reject)
        Both in source order; what is refused, and why, as by
        :func:`monitor.decode.records.decode_labels`.
    """
    placed, rejects = decode_labels(chunk, rules=rules, limits=limits)
    return batch_of_events(placed), rejects
