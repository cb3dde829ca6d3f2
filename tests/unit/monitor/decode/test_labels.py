"""Labels: what they may carry, and the fate of those at fault."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest

from monitor.core.windowing.catalog import label_rules
from monitor.decode import chunk_of, decode_label_batch, decode_labels
from schemas.config.parse import parse_model
from schemas.events import LabelEvent, RejectReason
from schemas.labels import LabelRule, Task

NOON_US = 1_700_000_000_000_000
MINUTE_US = 60_000_000
RULES = {
    ("default", "fraud"): LabelRule(MINUTE_US, Task.BINARY, {"0", "1", "true", "false"}),
    ("default", "card"): LabelRule(MINUTE_US, Task.MULTICLASS, {"visa", "7"}),
    ("default", "price"): LabelRule(MINUTE_US, Task.REGRESSION),
    ("default", "any"): LabelRule(MINUTE_US),
}


def label(**changed: Any) -> bytes:
    fields = {"id": "7", "model": "any", "time_us": NOON_US, "label": 1.0} | changed
    return msgspec.json.encode(fields)


def fate(message: bytes, record_us: int = NOON_US) -> tuple[RejectReason, str] | None:
    chunk = chunk_of([message], "f", record_time_us=np.array([record_us]))
    found = []
    for decode in (decode_labels, decode_label_batch):
        accepted, rejects = decode(chunk, rules=RULES)
        assert len(accepted) + len(rejects) == 1
        found.append((rejects[0].reason, rejects[0].detail) if rejects else None)
    assert found[0] == found[1]
    return found[0]


@pytest.mark.parametrize(
    "message",
    [
        label(),
        label(model="fraud", label="1"),
        label(model="fraud", label="True"),
        label(model="card", label="visa"),
        label(model="card", label=7),
        label(model="card", label="7.0"),
        label(model="price", label="12.5"),
        label(model="price", label=-3),
        label(time_us=NOON_US + MINUTE_US),
        label(prediction_time_us=NOON_US + 5, time_us=NOON_US),
        label(score=None, model_version=None, scores={}, segments={"a": None}),
        label(label="unknown to all"),
    ],
)
def test_a_label_that_fits_its_model_is_accepted(message):
    assert fate(message) is None


MISTYPED, FUTURE = RejectReason.MISTYPED, RejectReason.FUTURE


@pytest.mark.parametrize(
    ("message", "reason", "word"),
    [
        (label(model="absent"), RejectReason.UNKNOWN_MODEL, "absent"),
        (label(tenant="acme"), RejectReason.UNKNOWN_MODEL, "acme"),
        (label(id=""), MISTYPED, "$.id"),
        (label(id=None), MISTYPED, "$.id"),
        (label(model="fraud", label="2"), MISTYPED, "class '2'"),
        (label(model="fraud", label=0.5), MISTYPED, "class '0.5'"),
        (label(model="card", label="amex"), MISTYPED, "7, visa"),
        (label(model="price", label="high"), MISTYPED, "'high'"),
        (label(model="price", label="nan"), MISTYPED, "'nan'"),
        (label(label="NaN"), MISTYPED, "missing"),
        (label().replace(b"1.0", b"NaN"), MISTYPED, "$.label"),
        (label(label=None), MISTYPED, "$.label"),
        (label(label=True), MISTYPED, "$.label"),
        (label(time_us=NOON_US + MINUTE_US + 1), FUTURE, "ahead"),
        (label(prediction_time_us=NOON_US + MINUTE_US + 1), FUTURE, "prediction_time_us"),
        (label(prediction_time_us=1 << 60), FUTURE, "2255"),
        (label(prediction_time_us=NOON_US // 1_000_000), MISTYPED, "$.prediction_time_us"),
        (label(prediction_time_us=-1), MISTYPED, "$.prediction_time_us"),
        (label(prediction_time_us="noon"), MISTYPED, "$.prediction_time_us"),
        (label(scores={"a": "high"}), MISTYPED, "$.scores"),
        (label(scores={"a": None}), MISTYPED, "$.scores"),
        (label(segments={"a": [1]}), MISTYPED, "$.segments"),
        (label(model_version=3), MISTYPED, "$.model_version"),
        (label(score="high"), MISTYPED, "$.score"),
    ],
)
def test_a_label_at_fault_has_its_reason(message, reason, word):
    found, detail = fate(message)
    assert (found, word in detail) == (reason, True), detail


def test_columns_hold_what_the_events_hold():
    events = [
        LabelEvent(id="a", model="m", time_us=5, label=1.0),
        LabelEvent(
            id="b", model="m", time_us=6, label="x", prediction_time_us=3, scores={"x": 0.5}
        ),
        LabelEvent(id="c", model="m", time_us=6, label="x", prediction_time_us=3),
    ]
    batch, _ = decode_label_batch(chunk_of([msgspec.json.encode(events)], "f"))
    assert batch.row.tolist() == [0, 1, 2]
    assert batch.prediction_time_us.tolist() == [-1, 3, 3]
    assert batch.is_complete.tolist() == [False, True, False]


CONFIG = "model: m\nfeatures: {a: {kind: numeric}}\n"


@pytest.mark.parametrize(
    ("lines", "accepted", "refused"),
    [
        ("task: binary", ["0", 1.0], ["2"]),
        ("task: binary\npositive: 'yes'", ["no", "yes"], []),
        ("task: binary\nclasses: [ok, fraud]", ["ok"], ["1"]),
        ("task: multiclass\nclasses: [a, '7.0']", ["a", 7.0, "7"], ["b"]),
        ("task: regression", [3.5, "3.5"], ["high"]),
        ("", ["anything", 2.0], ["n/a"]),
        ("classes: [none, some]", ["none"], ["n/a"]),
    ],
)
def test_the_model_file_says_which_labels_are_accepted(lines, accepted, refused):
    (rule,) = label_rules([parse_model(CONFIG + lines, "m.yaml")]).values()
    for value in accepted:
        rule.accepted(value)
    for value in refused:
        with pytest.raises(ValueError, match=str(value)):
            rule.accepted(value)
