"""Labels decoded as columns are those decoded one by one, whatever the bytes are."""

from __future__ import annotations

import json

import numpy as np
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from driftline.receipts import Carried, pack
from monitor.decode import chunk_of, decode_label_batch, decode_labels
from schemas.batch import StringColumn
from schemas.events import LabelEvent
from schemas.labels import NO_TIME, LabelBatch, LabelRule, MapColumn, Task
from schemas.limits import MessageLimits

NOON_US = 1_700_000_000_000_000
RULES = {
    ("default", "m"): LabelRule(60_000_000),
    ("default", "class"): LabelRule(60_000_000, Task.BINARY, {"0", "1", "fraud"}),
    ("t", "price"): LabelRule(0, Task.REGRESSION),
}
TEXTS = st.sampled_from(
    ["", "a", "fraud", "7", "é\u4e2d", 'q"\\\n', "NaN", "x" * 40, "\ud83d\ude00"]
)
NUMBERS = st.sampled_from(
    [0, 1, -0.0, 0.1, -3, 1e22, 1e-7, 5e-324, 123456789012345678, 2**70, 0.30000000000000004]
) | st.floats(allow_nan=True, allow_infinity=True)
TIMES = st.sampled_from([0, 5, NOON_US, NOON_US + 60_000_001, 1 << 60, -1, 2**63, NOON_US / 1e6])
ODD = st.sampled_from([None, True, [1], {"a": 1}, "text", 1.5])
RECEIPT = pack(Carried("r", NOON_US, score=0.5), "default", "m")
FIELDS = {
    "id": TEXTS | st.sampled_from([RECEIPT, RECEIPT[:-2]]),
    "model": st.sampled_from(["m", "class", "price", "absent"]),
    "time_us": TIMES,
    "label": NUMBERS | TEXTS,
    "tenant": st.sampled_from(["default", "t"]),
    "prediction_time_us": st.none() | TIMES,
    "model_version": st.none() | TEXTS,
    "score": st.none() | NUMBERS,
    "scores": st.dictionaries(TEXTS, NUMBERS, max_size=3),
    "prediction": st.none() | TEXTS,
    "segments": st.dictionaries(TEXTS, st.none() | TEXTS, max_size=3),
    "group": st.none() | TEXTS,
    "host": st.none() | TEXTS,
    "gpu_uuid": st.none() | TEXTS,
    "specversion": st.just("1.0"),
    "unknown": ODD,
}
USUAL = {"id": "a", "model": "m", "time_us": NOON_US, "label": 1}


@st.composite
def events(draw: st.DrawFn) -> bytes:
    fields = dict(USUAL)
    for name in draw(st.lists(st.sampled_from(sorted(FIELDS)), max_size=6, unique=True)):
        fields[name] = draw(ODD if draw(st.integers(0, 9)) == 0 else FIELDS[name])
    if draw(st.integers(0, 9)) == 0:
        fields.pop(draw(st.sampled_from(sorted(fields))))
    names = draw(st.permutations(sorted(fields)))
    names += draw(st.sampled_from([[], [], [], names[:1]]))
    comma, colon = draw(st.sampled_from([(",", ":"), (", ", ": "), ("\t,\n", " : ")]))
    is_ascii = draw(st.booleans())
    members = comma.join(
        json.dumps(name) + colon + json.dumps(fields[name], ensure_ascii=is_ascii) for name in names
    )
    blank = draw(st.sampled_from(["", "", " \n"]))
    text = f"{blank}{{{blank}{members}{blank}}}{blank}".encode("utf-8", "surrogatepass")
    if draw(st.integers(0, 9)) == 0 and text:
        at = draw(st.integers(0, len(text) - 1))
        byte = draw(st.sampled_from([b"", b"\xff", b'"', b"}", b",", b"0", b"\\", b"\x00"]))
        text = text[:at] + byte + text[at + 1 :]
    return text


@st.composite
def messages(draw: st.DrawFn) -> bytes:
    some = draw(st.lists(events(), max_size=4))
    shape = draw(st.sampled_from(["one", "one", "array", "broken"]))
    if shape == "one":
        return some[0] if some else b""
    array = draw(st.sampled_from([b"", b" "])) + b"[" + b",".join(some)
    return array + (b"]" if shape == "array" else b"")


def events_of(batch: LabelBatch) -> list[tuple[int, int, LabelEvent]]:
    found = []
    for i in range(len(batch)):
        start, n = batch.id_spans[i].tolist()
        text, time_us = text_of(batch.label, i), int(batch.prediction_time_us[i])
        event = LabelEvent(
            id=batch.id_bytes[start : start + n].tobytes().decode(),
            model=text_of(batch.model, i),
            time_us=int(batch.time_us[i]),
            label=float(batch.value[i]) if text is None else text,
            tenant=text_of(batch.tenant, i),
            prediction_time_us=None if time_us == NO_TIME else time_us,
            model_version=text_of(batch.model_version, i),
            score=None if np.isnan(batch.score[i]) else float(batch.score[i]),
            scores=map_of(batch.scores, i),
            prediction=text_of(batch.prediction, i),
            segments=map_of(batch.segments, i),
            group=text_of(batch.group, i),
            host=text_of(batch.host, i),
            gpu_uuid=text_of(batch.gpu_uuid, i),
        )
        assert np.isnan(batch.value[i]) == (text is not None)
        found.append((int(batch.message[i]), int(batch.row[i]), event))
    return found


def text_of(column: StringColumn, i: int) -> str | None:
    return None if column.codes[i] < 0 else column.values[column.codes[i]]


def map_of(column: MapColumn, i: int) -> dict:
    entries = range(column.offsets[i], column.offsets[i + 1])
    is_text = isinstance(column.values, StringColumn)
    return {
        text_of(column.keys, k): text_of(column.values, k) if is_text else float(column.values[k])
        for k in entries
    }


def spelled(placed: list[tuple[int, int, LabelEvent]]) -> list[tuple[int, int, str]]:
    """Return events so that 0 and -0 differ."""
    return [(m, row, repr(event)) for m, row, event in placed]


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(messages(), max_size=6),
    st.sampled_from([-1, NOON_US]),
    st.sampled_from([RULES, None]),
    st.sampled_from([1, 100]),
)
@example([b""], -1, None, 1)
@example([b" ", b"[]", b"[ ]", b"{}"], -1, None, 1)
@example([json.dumps({**USUAL, "scores": {str(i): i for i in range(200)}}).encode()], -1, None, 1)
def test_columns_are_the_events_decoded_one_by_one(payloads, record_us, rules, max_letters):
    recorded = np.full(len(payloads), record_us)
    chunk = chunk_of(payloads, "f", record_time_us=recorded)
    limits = MessageLimits(max_letters=max_letters, max_rows=3)
    placed, rejects = decode_labels(chunk, rules=rules, limits=limits)
    batch, found = decode_label_batch(chunk, rules, limits=limits)
    assert spelled(events_of(batch)) == spelled(placed)
    assert found == rejects


def test_many_distinct_texts_are_kept_apart():
    varied = [{"id": f"{i}", "host": f"h{i}", "label": f"c{i % 900}"} for i in range(5_000)]
    labels = [{**USUAL, **some} for some in varied]
    chunk = chunk_of([json.dumps(half).encode() for half in (labels[:9], labels[9:])], "f")
    batch, rejects = decode_label_batch(chunk)
    assert not rejects
    assert events_of(batch) == decode_labels(chunk)[0]


def test_a_chunk_without_bytes_behind_its_last_event_is_decoded():
    chunk = chunk_of([json.dumps(USUAL).encode()] * 3, "f")
    end = int(chunk.offsets[-1])
    tight = np.frombuffer(chunk.buffer[:end].tobytes(), np.uint8)
    bare = type(chunk)("f", 0, tight, chunk.offsets, chunk.log_offset, chunk.record_time_us)
    assert events_of(decode_label_batch(bare)[0]) == decode_labels(chunk)[0]
