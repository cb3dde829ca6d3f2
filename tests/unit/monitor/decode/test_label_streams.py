"""Labels in Arrow streams are what the same labels in JSON are."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
import numpy as np
import pyarrow as pa
import pytest

from monitor.decode import chunk_of, decode_label_batch, decode_labels
from monitor.decode.arrow.row_stream import stream_of
from schemas.events import RejectReason
from schemas.labels import LabelRule, Task
from schemas.limits import MessageLimits
from tests.unit.monitor.decode.test_label_columns import events_of, spelled

NOON_US = 1_700_000_000_000_000
RULES = {
    ("default", "m"): LabelRule(60_000_000),
    ("default", "price"): LabelRule(60_000_000, Task.REGRESSION),
}
ROWS = [
    {"id": "a", "model": "m", "time_us": NOON_US, "label": 1.0},
    {"id": "é", "model": "m", "time_us": NOON_US + 1, "label": 0.25, "score": 0.5, "host": "h"},
    {"id": "c", "model": "absent", "time_us": NOON_US, "label": 1.0},
    {"id": "", "model": "m", "time_us": NOON_US, "label": 1.0},
    {"id": "d", "model": "m", "time_us": NOON_US + 60_000_001, "label": 1.0},
    {"id": None, "model": "m", "time_us": NOON_US, "label": 1.0},
    {"id": "e", "model": "m", "time_us": NOON_US, "label": None},
    {"id": "f", "model": "m", "time_us": NOON_US, "label": 2.0, "prediction_time_us": -5},
    {"id": "g", "model": "m", "time_us": NOON_US, "label": 2.0, "prediction_time_us": NOON_US - 5},
]
CARRIED = {
    "model_version": ["1", None, "1"] * 3,
    "prediction": ["x", "y", None] * 3,
    "segments.SEX": ["1", None, "2"] * 3,
    "scores.x": [0.5, None, 0.25] * 3,
    "gpu_uuid": pa.array(["g", "g", None] * 3).dictionary_encode(),
}


def batch_of(rows: list[dict], **more) -> pa.RecordBatch:
    names = dict.fromkeys(name for row in rows for name in row)
    columns = {name: pa.array([row.get(name) for row in rows]) for name in names}
    return pa.record_batch(columns | more)


def as_json(batch: pa.RecordBatch) -> bytes:
    rows = []
    for row in batch.to_pylist():
        event = {}
        for name, value in row.items():
            outer, _, inner = name.partition(".")
            if inner and value is not None:
                event.setdefault(outer, {})[inner] = value
            elif not inner and (value is not None or name in ("id", "label")):
                event[name] = value
        rows.append(event)
    return msgspec.json.encode(rows)


def both(batch: pa.RecordBatch, record_us: int = NOON_US, **options):
    recorded = np.array([record_us])
    limits = MessageLimits(**options)
    stream = chunk_of([stream_of(batch)], "f", record_time_us=recorded)
    found = decode_label_batch(stream, RULES, limits=limits)
    text = chunk_of([as_json(batch)], "f", record_time_us=recorded)
    return found, decode_labels(text, rules=RULES, limits=limits)


@pytest.mark.parametrize("record_us", [NOON_US, -1])
def test_a_stream_of_labels_has_the_outcomes_of_json(record_us):
    (batch, rejects), (placed, refused) = both(batch_of(ROWS, **CARRIED), record_us)
    assert spelled(events_of(batch)) == spelled(placed)
    assert [(r.row, r.reason) for r in rejects] == [(r.row, r.reason) for r in refused]
    assert all(r.payload[:4] == b"\xff\xff\xff\xff" for r in rejects)


@pytest.mark.parametrize(
    "label",
    [
        pa.array(["x", "y", "nan"]),
        pa.array(["x", "y", "x"]).dictionary_encode(),
        pa.array([1, 2, None]),
        pa.array([1.5, np.inf, np.nan]),
        pa.array([True, False, None]),
        pa.array([[1], [2], None]),
    ],
    ids=["text", "dictionary", "integer", "not finite", "boolean", "list"],
)
def test_labels_of_any_type_have_the_fate_they_have_in_json(label):
    (batch, rejects), (placed, refused) = both(batch_of([ROWS[0], ROWS[1], ROWS[8]], label=label))
    assert spelled(events_of(batch)) == spelled(placed)
    assert [(r.row, r.reason) for r in rejects] == [(r.row, r.reason) for r in refused]


def test_structs_maps_and_flat_columns_carry_the_same():
    segments = [{"SEX": "1", "land": None}, {"SEX": "2", "land": "x"}]
    scores = [{"a": 0.5}, {"a": 0.25}]
    forms = {
        "struct": {"segments": pa.array(segments), "scores": pa.array(scores)},
        "map": {
            "segments": pa.array(
                [[(k, v) for k, v in one.items() if v] for one in segments],
                pa.map_(pa.string(), pa.string()),
            ),
            "scores": pa.array(
                [list(s.items()) for s in scores], pa.map_(pa.string(), pa.float64())
            ),
        },
        "flat": {"segments.SEX": ["1", "2"], "segments.land": [None, "x"], "scores.a": [0.5, 0.25]},
    }
    found = []
    for more in forms.values():
        stream = stream_of(batch_of(ROWS[:2], **more))
        batch, rejects = decode_label_batch(chunk_of([stream], "f"), RULES)
        assert not rejects
        found.append(spelled(events_of(batch)))
    assert found[0] == found[1] == found[2]
    assert "'SEX': '2'" in found[0][1][2]


def test_times_may_be_timestamps_and_messages_of_all_kinds_keep_their_order():
    moments = [datetime.fromtimestamp(NOON_US / 1e6, UTC)] * 2
    stamped = batch_of(ROWS[:2], time_us=pa.array(moments, pa.timestamp("ms", "UTC")))
    text = msgspec.json.encode(ROWS[0])
    messages = [text, stream_of(stamped), b"[" + text + b"]", stream_of(stamped.slice(1)), b"\xff"]
    batch, rejects = decode_label_batch(chunk_of(messages, "f"), RULES)
    places = list(zip(batch.message.tolist(), batch.row.tolist(), strict=True))
    assert places == [(0, 0), (1, 0), (1, 1), (2, 0), (3, 0)]
    assert set(batch.time_us.tolist()) == {NOON_US}
    assert [(r.message, r.reason) for r in rejects] == [(4, RejectReason.MALFORMED)]


@pytest.mark.parametrize(
    ("payload", "options", "reason"),
    [
        (stream_of(batch_of(ROWS).drop_columns(["label"])), {}, RejectReason.UNSUPPORTED),
        (stream_of(pa.record_batch([pa.array([1])] * 2, ["a", "a"])), {}, RejectReason.UNSUPPORTED),
        (stream_of(batch_of(ROWS))[:-30], {}, RejectReason.UNSUPPORTED),
        (b"\xff\xff\xff\xff", {}, RejectReason.UNSUPPORTED),
        (stream_of(batch_of(ROWS)), {"max_rows": 3}, RejectReason.OVERSIZED),
    ],
    ids=["no label", "repeated", "cut", "mark alone", "too many rows"],
)
def test_a_stream_that_cannot_be_read_is_one_reject(payload, options, reason):
    batch, (reject,) = decode_label_batch(
        chunk_of([payload], "f"), RULES, limits=MessageLimits(**options)
    )
    assert not len(batch)
    assert (reject.reason, reject.payload) == (reason, payload)


def test_many_refused_rows_of_a_stream_share_a_letter():
    rows = [{**ROWS[0], "id": ""}] * 500
    batch, rejects = decode_label_batch(
        chunk_of([stream_of(batch_of(rows))], "f"), RULES, limits=MessageLimits(max_letters=2)
    )
    assert not len(batch)
    assert [r.n_events for r in rejects] == [1, 1, 498]


def test_rows_that_lack_a_value_are_counted_by_model_whatever_their_number():
    n = 200_000
    null = pa.nulls(n)
    models = pa.array(["a", "b", "b", None] * (n // 4)).dictionary_encode()
    batch = pa.record_batch([null] * 3 + [models], ["id", "time_us", "label", "model"])
    chunk = chunk_of([stream_of(batch)], "f")
    found, rejects = decode_label_batch(chunk, None, limits=MessageLimits(max_letters=2))
    assert not len(found)
    counts = [(r.model, r.n_events) for r in rejects]
    assert counts[:2] == [("a", 1), ("b", 1)]
    assert sorted(counts[2:]) == [("", n // 4), ("a", n // 4 - 1), ("b", n // 2 - 1)]
    assert {r.reason for r in rejects} == {RejectReason.MISTYPED}


def test_scores_that_are_not_finite_are_absent_in_rows_read_one_by_one():
    scores = pa.array(
        [[("a", 0.5), ("b", np.inf), ("c", np.nan)]], pa.map_(pa.string(), pa.float64())
    )
    stream = stream_of(batch_of(ROWS[:1], scores=scores))
    batch, rejects = decode_label_batch(chunk_of([stream], "f"), RULES)
    assert not rejects
    assert [event.scores for _, _, event in events_of(batch)] == [{"a": 0.5}]


@pytest.mark.parametrize("name", ["scores", "segments"])
def test_a_member_whose_name_is_not_utf8_refuses_its_rows(name):
    stream = stream_of(batch_of(ROWS[:2], **{name: pa.array([{"QQQQ": None}] * 2)}))
    batch, rejects = decode_label_batch(
        chunk_of([stream.replace(b"QQQQ", b"\xff\xfe\xff\xfe")], "f"), RULES
    )
    assert not len(batch)
    assert [r.row for r in rejects] == [0, 1]


def test_members_without_a_type_are_absent():
    more = {f"scores.{k}": pa.nulls(2) for k in range(50)} | {"segments.x": pa.nulls(2)}
    stream = stream_of(batch_of(ROWS[:2], **more))
    batch, rejects = decode_label_batch(chunk_of([stream], "f"), RULES)
    assert not rejects
    assert len(batch.scores.keys.values) == len(batch.segments.keys.values) == 0
