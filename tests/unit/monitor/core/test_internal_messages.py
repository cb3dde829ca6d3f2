"""Messages on our own topics that are well formed and say what none can say."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import msgspec
import numpy as np
import pyarrow as pa
import pytest

from monitor.core.drift.partition import DriftPartition
from monitor.core.incidents.alert_checks import check_alerts
from monitor.core.pipeline_health.source_silence import SourceSilence
from monitor.core.state.snapshot_store import MAX_REFUSED, SnapshotStore, StateKey, state_writes
from monitor.core.topics import DEAD_LETTERS
from monitor.core.windowing.catalog import Catalog
from monitor.core.windowing.codec import MAX_WAITING, PaneAssembler, encode
from monitor.core.windowing.intake_message import encode_intake, intake_key
from monitor.core.windowing.watermark import MAX_SOURCES, NO_WATERMARK
from monitor.core.windowing.watermark_message import WatermarkMessage
from monitor.detect.gpu_partition import GpuPartition
from monitor.detect.stage import PanesRules
from monitor.transport.types import Message
from schemas.alerts import Alert, Severity, Transition
from schemas.config.monitor import GpuConfig
from schemas.config.parse import parse_model
from schemas.intake import IntakePane
from schemas.panes import Pane, SeriesId, SeriesStats
from schemas.refused import DeadLetter

CONFIG = parse_model(
    "model: m\nfeatures: {a: {kind: numeric}, c: {kind: categorical}}\n"
    "segments: [region]\nwindow: {length: 1m, pane: 10s}",
    "m.yaml",
)
SECOND_US = 1_000_000
FAR_US = (1 << 63) - 1


def partition() -> DriftPartition:
    part = DriftPartition(Catalog.of([CONFIG], []), 0, "me", log_id="L")
    part.restore(SnapshotStore())
    return part


def pane(
    n_variables: int = 0, start_s: int = 0, version: int = 1, segments: tuple[str, ...] = ("*",)
) -> Pane:
    stats = SeriesStats.empty(segments, n_variables)
    stats.n_rows[:] = 5
    start_us = start_s * SECOND_US
    series = SeriesId("default", "m", "", "")
    return Pane(series, start_us, start_us + 10 * SECOND_US, "s", 0, "o", version, stats)


def value_of(one: Pane) -> bytes:
    (value,) = encode(one)
    return value


def repacked(
    value: bytes,
    head: Callable[[list], None] | None = None,
    body: Callable[[list], None] | None = None,
) -> bytes:
    header, packed = msgspec.msgpack.decode(value)
    plain = msgspec.msgpack.decode(pa.decompress(packed, header[-1], codec="zstd", asbytes=True))
    if body is not None:
        body(plain)
    raw = msgspec.msgpack.encode(plain)
    header[-1] = len(raw)
    if head is not None:
        head(header)
    return msgspec.msgpack.encode([header, pa.compress(raw, codec="zstd", asbytes=True)])


def letters_of(phases) -> list[DeadLetter]:
    writes = [w for phase in phases for w in phase.writes if w.topic == DEAD_LETTERS]
    return [msgspec.msgpack.decode(w.value, type=DeadLetter) for w in writes]


def give(part: DriftPartition, *values: bytes, key: bytes = b"k", ts: int = -1) -> list[DeadLetter]:
    found = []
    for value in values:
        for group in part.take(part.position, key, value, ts):
            found += letters_of(group)
    return found


def watermark(part: DriftPartition, us: int, **changes: object) -> list[DeadLetter]:
    word = msgspec.structs.replace(WatermarkMessage("s", 0, 1, "o", us), **changes)
    return give(part, word.encode(), key=word.key())


HEADERS = {
    "a time beyond any": lambda h: h.__setitem__(slice(5, 7), [FAR_US, FAR_US]),
    "an end before its start": lambda h: h.__setitem__(6, h[5]),
    "an end years after its start": lambda h: h.__setitem__(6, h[5] + (1 << 52)),
    "a partition below 0": lambda h: h.__setitem__(8, -1),
    "a partition beyond any": lambda h: h.__setitem__(8, 1 << 60),
    "a version below 0": lambda h: h.__setitem__(10, -1),
    "a version beyond any": lambda h: h.__setitem__(10, (1 << 63) - 1),
    "a chunk beyond its chunks": lambda h: h.__setitem__(11, 1),
    "a chunk below 0": lambda h: h.__setitem__(11, -1),
    "a billion chunks": lambda h: h.__setitem__(12, 10**9),
    "no chunks": lambda h: h.__setitem__(12, 0),
    "a body of negative length": lambda h: h.__setitem__(13, -1),
    "a body beyond its layout": lambda h: h.__setitem__(13, 200 << 20),
    "a body beyond memory": lambda h: h.__setitem__(13, 1 << 60),
    "an owner of a megabyte": lambda h: h.__setitem__(9, "o" * 900_000),
    "a version of a megabyte": lambda h: h.__setitem__(3, "v" * 900_000),
}


def _set(path: list[int], value: object) -> Callable[[list], None]:
    def change(body: list) -> None:
        at = body
        for i in path[:-1]:
            at = at[i]
        at[path[-1]] = value

    return change


def floats(n: int, value: float) -> bytes:
    return np.full(n, value, "<f8").tobytes()


BODIES = {
    "variables beyond any": _set([0, 1], 2**64 - 1),
    "variables below 0": _set([0, 1], -1),
    "a variable more than its arrays": _set([0, 1], 1),
    "a segment more than its arrays": _set([0, 0], ["*", "region=eu"]),
    "a segment named twice": _set([0, 0], ["*", "*"]),
    "no segment of all rows": _set([0, 0], ["region=eu"]),
    "a negative number of rows": _set([0, 2, 0], np.array([-5], "<i8").tobytes()),
    "rows beyond int64 when added": _set([0, 2, 0], np.array([1 << 61], "<i8").tobytes()),
    "half a number": _set([0, 2, 0], b"\0" * 7),
    "an array too few": _set([0, 2], []),
    "an array of rows too long": _set([0, 2, 0], bytes(8_000_000)),
    "calibration that is not a number": _set([0, 3, 4], floats(20, np.nan)),
    "calibration without end": _set([0, 3, 4], floats(20, np.inf)),
    "slices of two variables": _set([1, 1], 2),
    "slices of none": _set([1, 1], 0),
    "nothing at all": lambda body: body.clear(),
    "a text for an array": _set([0, 2, 0], "12345678"),
    "lists in lists": _set([0, 0], [[[[[]]]]]),
}


def changed(name: str) -> bytes:
    if name in HEADERS:
        return repacked(value_of(pane()), HEADERS[name])
    return repacked(value_of(pane()), None, BODIES[name])


@pytest.mark.parametrize("name", [*HEADERS, *BODIES])
def test_a_pane_that_cannot_be_is_a_dead_letter_between_good_ones(name):
    part = partition()
    letters = give(part, value_of(pane(start_s=0)), changed(name), value_of(pane(start_s=10)))
    assert [(x.source, x.offset, x.reason) for x in letters] == [
        ("driftline.panes", 1, "malformed")
    ]
    assert letters[0].detail
    assert (part.counters["panes_kept"], part.counters["panes_unreadable"]) == (2, 1)
    watermark(part, 1_000 * SECOND_US)
    assert part.counters["windows_watermark"] >= 1
    # a good pane of the same place as the bad one is counted all the same
    assert give(part, value_of(pane(start_s=1_200))) == []


WATERMARKS = {
    "a time beyond any": {"watermark_us": FAR_US},
    "a time before any": {"watermark_us": NO_WATERMARK - 1},
    "more partitions than memory": {"n_partitions": 1 << 60},
    "no partitions": {"n_partitions": 0},
    "a partition beyond its topic's": {"partition": 1},
    "a partition below 0": {"partition": -1},
    "a source of a megabyte": {"source": "s" * 900_000},
    "an owner of a megabyte": {"owner": "o" * 900_000},
}


@pytest.mark.parametrize("name", WATERMARKS)
def test_a_watermark_that_cannot_be_is_a_dead_letter_and_closes_nothing(name):
    part = partition()
    give(part, value_of(pane()))
    assert len(watermark(part, 5, **WATERMARKS[name])) == 1
    assert part.counters["windows"] == 0
    assert part.windows.watermarks.partitions == []
    assert watermark(part, 1_000 * SECOND_US) == []
    assert part.counters["windows_watermark"] >= 1


def test_a_watermark_days_ahead_of_its_record_closes_nothing():
    part, now_us = partition(), 1_700_000_000 * SECOND_US
    give(part, value_of(pane(start_s=1_700_000_000)), ts=now_us)
    word = WatermarkMessage("s", 0, 1, "o", now_us + 2 * 86_400 * SECOND_US)
    (letter,) = give(part, word.encode(), key=word.key(), ts=now_us)
    assert "172800 s ahead of its record" in letter.detail
    (letter,) = give(part, value_of(pane(start_s=1_700_400_000)), ts=now_us)
    assert part.counters["windows"] == 0


def test_a_pane_of_a_week_is_taken_before_it_has_ended():
    part, now_us = partition(), 1_800_000_000 * SECOND_US
    week = pane()
    week = replace(week, start_us=now_us - SECOND_US, end_us=now_us + 604_799 * SECOND_US)
    intake = IntakePane(
        tenant="default", model="m", start_us=week.start_us, end_us=week.end_us, source="s",
        partition=0, owner="o", pane_version=1, n_late=1,
    )  # fmt: skip
    assert not give(part, value_of(week), ts=now_us)
    assert not give(part, encode_intake(intake), key=intake_key(intake), ts=now_us)
    assert (part.counters["panes_kept"], part.counters["intake_kept"]) == (1, 1)


def test_a_pane_of_the_longest_names_fits_its_layout():
    values = [f"{i:03}" + "\N{GRINNING FACE}" * 509 for i in range(100)]
    names = ("*", *(f"region={value}" for value in values))
    slices = tuple(f"{kind}={value}" for kind in ("host", "gpu_uuid") for value in values)
    one = replace(pane(segments=names), slices=SeriesStats.empty(slices, 1))
    part, chunks = partition(), encode(one)
    assert not give(part, *chunks)
    assert part.counters["panes_kept"] == 1


def test_a_state_may_hold_the_alerts_of_every_cell_at_once():
    alert = Alert(
        alert_id="a", tenant="t", monitor="drift", transition=Transition.OPENED,
        severity=Severity.TICKET, time_us=1, opened_at_us=1, sequence=0, title="t",
    )  # fmt: skip
    check_alerts([alert] * 50_000)


def test_sources_without_end_are_refused_and_those_known_go_on():
    part = partition()
    watermark(part, 5)
    letters = [x for i in range(200) for x in watermark(part, 5, source=f"t{i}")]
    assert len(letters) == 200 - (MAX_SOURCES - 1)
    assert watermark(part, 6) == []


def test_panes_of_two_widths_in_one_window_close_it_all_the_same():
    part = partition()
    letters = give(part, value_of(pane(3, 0, 1)), value_of(pane(0, 10, 2)), value_of(pane(3, 20)))
    assert [x.offset for x in letters] == [2]
    assert [g for g in part.take(part.position, *_end()) if g]
    assert part.counters["windows"] >= 1


def _end() -> tuple[bytes, bytes]:
    word = WatermarkMessage("s", 0, 1, "o", 1_000 * SECOND_US)
    return word.key(), word.encode()


def test_chunks_that_never_come_are_bounded_and_hold_no_pane_up():
    assembler = PaneAssembler()
    for i in range(3 * MAX_WAITING):
        lie = repacked(
            value_of(pane(version=i)),
            lambda h, i=i: h.__setitem__(slice(8, 13), [i % 9_000, "o", i, 0, 2]),
        )
        assert assembler.add(lie, i) == []
    assert (assembler.first_offset, assembler.n_dropped) == (2 * MAX_WAITING, 2 * MAX_WAITING)
    (done,) = assembler.add(value_of(pane()), 10**6)
    assert done.pane.pane_version == 1


def test_a_chunk_that_lies_about_its_pane_spoils_no_other():
    stats = SeriesStats.empty(("*",), 100)
    stats.counts[...] = np.random.default_rng(1).integers(0, 2**40, stats.counts.shape)
    honest = Pane(SeriesId("default", "m", "", ""), 0, 10, "s", 0, "o", 1, stats)
    values = encode(honest, 20_000)
    head, part = msgspec.msgpack.decode(values[0])
    lie = msgspec.msgpack.encode([[*head[:-2], 900, head[-1]], part])
    assembler = PaneAssembler()
    assert assembler.add(lie, 0) == []
    *_, (found,) = [assembler.add(value, i + 1) for i, value in enumerate(values)]
    assert found.pane.segments.counts.tolist() == stats.counts.tolist()


def test_a_sum_beyond_float64_is_written_as_the_largest_number():
    one = pane(1)
    one.segments.sums[:], one.segments.sums_sq[:] = np.nan, np.inf
    part = partition()
    assert give(part, value_of(one)) == []


KEYS = [
    b"",
    b"|||",
    b"model|default|m|o|1|" + b"9" * 5_000,
    b"model|default|m|o|-1|0",
    b"model|default|m|o|2|0",
    "model|default|m|o|\u0661|0".encode(),
    b"model|default|m|o|1_0|0",
    b"\xff\xfe|a|b|c|0|0",
    b"model|" + b"x" * 100_000 + b"|m|o|0|0",
    b"|".join([b"model"] * 1_000),
]


@pytest.mark.parametrize("key", KEYS, ids=range(len(KEYS)))
def test_a_state_under_a_key_that_is_none_is_a_dead_letter(key):
    snapshots = SnapshotStore()
    (good,) = state_writes("model", ("default", "m"), "o", 2, b"x", partition=0)
    snapshots.add(key, good.value or b"", 7, 5)
    assert [(x.offset, x.record_time_us) for x in snapshots.refused] == [(7, 5)]
    part = partition()
    (letter,) = letters_of(part.restore(snapshots))
    assert (letter.source, letter.offset) == ("driftline.state", 7)
    assert part.counters["states_unreadable"] == 1


CHUNKS = {
    "a sequence beyond any": (1, 2**64 - 1, 0, 1, 10),
    "a sequence below 0": (1, -2, 0, 1, 10),
    "a billion chunks": (1, 2, 0, 10**9, 10),
    "no chunks": (1, 2, 0, 0, 10),
    "a body beyond memory": (1, 2, 0, 1, 1 << 40),
    "a body of negative length": (1, 2, 0, 1, -1),
    "another encoding": (2, 2, 0, 1, 10),
    "the other slot": (1, 3, 0, 1, 10),
}


@pytest.mark.parametrize("name", CHUNKS)
def test_a_state_that_cannot_be_is_refused_and_counting_goes_on(name):
    snapshots = SnapshotStore()
    key = StateKey("model", ("default", "m"), "o", 0, 0).encode()
    snapshots.add(key, msgspec.msgpack.encode([*CHUNKS[name], b"x"]))
    assert (snapshots.n_unreadable, snapshots.last_sequence("model", ("default", "m"))) == (1, 0)


def test_states_are_counted_on_from_the_highest_that_leaves_room():
    snapshots = SnapshotStore()
    for write in state_writes("model", ("default", "m"), "o", 1 << 53, b"no state", partition=0):
        snapshots.add(write.key, write.value or b"")
    part = partition()
    part.restore(snapshots)
    give(part, value_of(pane()))
    writes = [w for g in part.take(part.position, *_end()) for phase in g for w in phase.writes]
    after = SnapshotStore()
    for write in writes:
        if write.topic.endswith("state"):
            after.add(write.key, write.value or b"")
    assert after.n_unreadable == 0
    assert list(after.stored("model", ("default", "m")))


def test_unreadable_states_without_end_take_no_memory():
    snapshots = SnapshotStore()
    for i in range(10_000):
        snapshots.add(b"%d" % i, b"x" * 1_000, i)
    assert (snapshots.n_unreadable, len(snapshots.refused)) == (10_000, MAX_REFUSED)


@pytest.mark.parametrize("body", [b"", b"\xc1", b"\x91" * 5_000, msgspec.msgpack.encode({"a": 1})])
@pytest.mark.parametrize(("kind", "name"), [("silence", ("sources",)), ("gpu", ("0",))])
def test_a_body_that_is_no_state_is_a_dead_letter_of_its_reader(kind, name, body):
    snapshots = SnapshotStore()
    for write in state_writes(kind, name, "o", 2, body, partition=0):
        snapshots.add(write.key, write.value or b"", 3)
    if kind == "gpu":
        phases = GpuPartition(GpuConfig(), 0, "me").restore(snapshots)
    else:
        phases = PanesRules(Catalog.of([CONFIG], []), 0, "me", "L", lambda: 0.0).restore(snapshots)
    (letter,) = letters_of(phases)
    assert (letter.source, letter.offset) == ("driftline.state", 3)


def test_a_source_without_ingest_is_not_kept_for_ever():
    silence = SourceSilence("me", 0.0)
    rules = PanesRules(Catalog.of([CONFIG], []), 0, "me", "L", lambda: 0.0)
    rules.restore(SnapshotStore())
    rules.silence = silence
    for i in range(5_000):
        word = WatermarkMessage(f"t{i}", 0, 1, "o", 5)
        for group in rules.hear(Message(i, word.key(), word.encode(), -1)):
            list(group)
    assert len(rules.drift.windows.watermarks.partitions) == MAX_SOURCES
