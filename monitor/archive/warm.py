"""Everything a range of any topic needs is loaded and compiled before a group waits for it."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np

from monitor.archive.blocks import Place
from monitor.archive.pane_fold import PaneFold, PaneReader
from monitor.archive.pane_sets import PaneSets
from monitor.archive.raw import RawTopics, chunk_of_messages
from monitor.archive.stage import RangeRows
from monitor.core.topics import GPU, LABELS, PANES, PREDICTIONS
from monitor.core.windowing.codec import encode_batch
from monitor.core.windowing.packed_pane import pack_pane
from monitor.core.windowing.stored.folding import StoredSlots
from monitor.core.windowing.stored.spans import Spans
from monitor.core.windowing.stored.state import SlotState
from monitor.core.windowing.watermark_message import WatermarkMessage
from monitor.decode import Decoder, decode_gpu, decode_label_batch
from monitor.transport.types import Message
from schemas.batch import ModelSchema
from schemas.config.model import ModelConfig
from schemas.panes import Pane, SeriesId, SeriesStats

_PLACE = Place("warm", 0)
_HOUR_US = 3_600_000_000


def warm_archive(configs: Sequence[ModelConfig]) -> None:
    """Make rows of a made-up range of each topic that is read by kernels.

    Notes
    -----
    A few seconds the first time, hundredths from the cache. Without it the first range of a
    topic compiles in the loop that also answers the groups: measured up to 90 s on a busy
    machine, in which no rebalance of the other members could end.
    """
    if not configs:
        return
    schema = configs[0].schema_
    raw = RawTopics(Decoder([schema]), decode_label_batch, decode_gpu)
    for topic, event in _events(schema).items():
        # the second range is read by the layout that the first has taught
        for n in (2, 100):
            messages = [Message(i, b"", json.dumps(event).encode(), 1) for i in range(n)]
            raw.rows(topic, [chunk_of_messages(messages, _PLACE)])
    spans = Spans.of(configs[:1])
    reader = PaneReader({(schema.tenant, schema.model): schema.variables}, spans)
    slots = StoredSlots(0, "warm", SlotState([], spans=spans))
    rows = RangeRows(PANES, _PLACE, raw, reader, PaneFold(PaneSets(), slots))
    rows.blocks([_pane_messages(configs[0])], 3, "warm")


def _events(schema: ModelSchema) -> dict[str, dict[str, object]]:
    """Return one event of each raw topic."""
    whose = {"id": "a", "tenant": schema.tenant, "model": schema.model, "time_us": 1}
    features = dict.fromkeys(schema.numeric, 0.25) | dict.fromkeys(schema.categorical, "a")
    segments = dict.fromkeys(schema.segments, "a")
    return {
        PREDICTIONS: {**whose, "features": features, "segments": segments, "score": 0.5},
        LABELS: {**whose, "label": "1", "score": 0.5, "scores": {"a": 0.5}, "segments": {"a": "1"}},
        GPU: {"host": "a", "gpu_uuid": "GPU-a", "time_us": 1, "fields": {"gpu_util": 1.0}},
    }


def _pane_messages(config: ModelConfig) -> list[Message]:
    """Return two panes of one slot in a message, a pane alone, and the watermark after them."""
    schema, length_us = config.schema_, config.window.pane_us
    series = SeriesId(schema.tenant, schema.model, "1", "none")
    segments = SeriesStats.empty(("*",), len(schema.variables))
    segments.counts[..., 0] = 64  # in one counter: a model may have thousands of variables
    segments.n_rows[:] = np.int64(64)
    slices = SeriesStats.empty(("host=a",), 1)
    slices.counts[:] = 1
    slices.n_rows[:] = np.int64(64)
    panes = [
        pack_pane(
            Pane(series, i * length_us, (i + 1) * length_us, "warm", 0, "warm", 1, segments, slices)
        )
        for i in range(3)
    ]
    word = WatermarkMessage("warm", 0, 1, "warm", 48 * _HOUR_US)
    return [
        Message(0, b"p", encode_batch(panes[:2]), 1),
        Message(1, b"p", encode_batch(panes[2:]), 1),
        Message(2, word.key(), word.encode(), 72 * _HOUR_US),
    ]
