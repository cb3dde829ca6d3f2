"""The stream's results equal those of a batch computation over the same bytes.

The batch computation is ``tests/support/scenario/batch_oracle``, written independently from the
design, one event at a time with ``json.loads``.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import replace
from functools import cache

import msgspec
import numpy as np
import pytest

from monitor.core.state.result_messages import read_results
from monitor.core.topics import DEAD_LETTERS, LATE, PANES, PREDICTIONS, RESULTS
from monitor.core.windowing.codec import PaneAssembler
from monitor.core.windowing.intake_message import KEY_PREFIX as INTAKE_PREFIX
from monitor.core.windowing.intake_message import NOT_PANES, read_intake
from monitor.detect.in_memory import DriftDetect
from monitor.ingest.in_memory import InMemoryIngest
from monitor.ingest.stage import Assignment
from monitor.transport.memory import MemoryLog
from schemas.intake import IntakePane
from schemas.panes import MISSING, UNSEEN, Pane, SeriesStats
from schemas.refused import DeadLetter, LateEvent
from tests.support.log_chunks import fetch_chunk
from tests.support.scenario.batch_oracle import (
    Batch,
    OraclePlace,
    Record,
    Timing,
    batch_of,
    rows_by_window,
)
from tests.support.worlds.small import (
    CONFIG,
    SECOND_US,
    WINDOW_S,
    SmallWorld,
    build_small_world,
)

ALL = 10**9


@cache
def gappy_world() -> SmallWorld:
    """The small world with features, scores and segments missing here and there."""
    world, rng = build_small_world(seed=3, has_storm=True), np.random.default_rng(3)
    return replace(world, predictions=[(gaps(rng, v), t) for v, t in world.predictions])


def gaps(rng: np.random.Generator, value: bytes) -> bytes:
    try:
        event = json.loads(value)
    except ValueError:
        return value
    kind = rng.random()
    if kind < 0.05:
        event["features"]["a"] = None
    elif kind < 0.10:
        del event["features"]["c"]
    elif kind < 0.13:
        del event["segments"]
    elif kind < 0.16:
        event["score"] = None
    elif kind < 0.18:
        del event["prediction"], event["host"]
    return json.dumps(event).encode()


TIMING = Timing(*(s * SECOND_US for s in (10, 2, 20, 60)))


@cache
def batch() -> Batch:
    """Read the log once, event by event."""
    records = (Record(i, v, t) for i, (v, t) in enumerate(gappy_world().predictions))
    return batch_of(records, ("small",), TIMING)


@cache
def stream(chunk_messages: int) -> MemoryLog:
    """Run the real stages over the same bytes."""
    world = gappy_world()
    log = world.log()
    ingest = InMemoryIngest(log, world.catalog, CONFIG.window, Assignment(PREDICTIONS, 0, 1, "o"))
    drift = DriftDetect(log, world.catalog)
    while len(chunk := fetch_chunk(log, PREDICTIONS, 0, ingest.position, chunk_messages)):
        ingest.take(chunk)
        drift.step()
    ingest.finish()
    while drift.step():
        pass
    return log


CUTS = pytest.mark.parametrize("chunk_messages", [7, 400, 100_000])


def final_intake(log: MemoryLog) -> dict[tuple[str, int], dict[str, int]]:
    """Return late and rejected events by model and start of the pane."""
    newest: dict[tuple[str, int], IntakePane] = {}
    for message in log.fetch(PANES, 0, 0, ALL):
        if message.key.startswith(INTAKE_PREFIX):
            pane = read_intake(message.value)
            newest[pane.model, pane.start_us] = pane
    return {
        key: {**pane.rejected, **({"late": pane.n_late} if pane.n_late else {})}
        for key, pane in newest.items()
    }


@CUTS
def test_late_and_rejected_events_are_counted_by_model_and_pane(chunk_messages):
    assert final_intake(stream(chunk_messages)) == batch().passed_intake(-(10**18))


def final_panes(log: MemoryLog) -> dict[int, Pane]:
    """Return the highest version of every pane, by its start."""
    assembler, panes = PaneAssembler(), {}
    for message in log.fetch(PANES, 0, 0, ALL):
        if not message.key.startswith(NOT_PANES):
            for whole in assembler.add(message.value, message.offset):
                before = panes.get(whole.pane.start_us)
                if before is None or before.pane_version < whole.pane.pane_version:
                    panes[whole.pane.start_us] = whole.pane
    return panes


def named(panes: dict[int, Pane], part: str) -> Iterator[tuple[OraclePlace, SeriesStats, int]]:
    """Yield every segment or slice: its key, the arrays and its place in them."""
    for start_us, pane in panes.items():
        stats = getattr(pane, part)
        for i, name in enumerate(stats.segments):
            yield OraclePlace("small", "1", start_us, name), stats, i


def test_the_batch_has_everything_in_it():
    found = batch()
    assert set(found.dead.values()) == {"malformed", "unknown_model", "future", "mistyped"}
    assert len(found.late) > 5
    cells = found.panes.values()
    assert {sum(c.n_rows > len(values(c)) for c in cells) > 20 for values in VALUES} == {True}


VALUES = (lambda c: c.a, lambda c: c.c, lambda c: c.score)


@CUTS
def test_the_same_events_are_refused_for_the_same_reason(chunk_messages):
    log = stream(chunk_messages)
    letters = [
        msgspec.msgpack.decode(m.value, type=DeadLetter) for m in log.fetch(DEAD_LETTERS, 0, 0, ALL)
    ]
    assert {d.offset: d.reason for d in letters} == batch().dead
    assert len(letters) == len(batch().dead)
    world = gappy_world()
    assert all(d.payload == world.predictions[d.offset][0] for d in letters)


@CUTS
def test_the_same_events_are_late_at_the_same_watermark(chunk_messages):
    messages = stream(chunk_messages).fetch(LATE, 0, 0, ALL)
    late = [msgspec.msgpack.decode(m.value, type=LateEvent) for m in messages]
    assert {e.offset: e.watermark_us for e in late} == batch().late
    assert len(late) == len(batch().late)


@CUTS
def test_every_row_is_in_exactly_the_panes_and_segments_it_belongs_to(chunk_messages):
    panes = final_panes(stream(chunk_messages))
    for part, expected in (("segments", batch().panes), ("slices", batch().slices)):
        counts = {
            key: (int(stats.n_rows[i]), int(stats.n_predicted[i]), int(stats.n_positive[i]))
            for key, stats, i in named(panes, part)
        }
        assert counts == {k: c.counts for k, c in expected.items()}


@CUTS
def test_missing_values_sums_and_extremes_are_those_of_the_batch(chunk_messages):
    panes = final_panes(stream(chunk_messages))
    for key, stats, i in named(panes, "segments"):
        cell = batch().panes[key]
        for v, values in ((0, cell.a), (2, cell.score)):
            check_numbers(stats, i, v, cell.n_rows, values)
    for key, stats, i in named(panes, "slices"):
        cell = batch().slices[key]
        check_numbers(stats, i, 0, cell.n_rows, cell.score)


def check_numbers(stats: SeriesStats, i: int, v: int, n_rows: int, values: list[float]) -> None:
    assert stats.counts[i, v, MISSING] == n_rows - len(values)
    assert stats.counts[i, v].sum() == n_rows
    assert stats.sums[i, v] == pytest.approx(math.fsum(values), rel=1e-12, abs=1e-12)
    squares = math.fsum(x * x for x in values)
    assert stats.sums_sq[i, v] == pytest.approx(squares, rel=1e-12, abs=1e-12)
    assert stats.minima[i, v] == min(values, default=math.inf)
    assert stats.maxima[i, v] == max(values, default=-math.inf)


@CUTS
def test_values_are_counted_between_the_baselines_edges(chunk_messages):
    world = gappy_world()
    baseline = world.catalog.baselines["default", "small"][0]
    panes = final_panes(stream(chunk_messages))
    for key, stats, i in named(panes, "segments"):
        cell = batch().panes[key]
        for v, values in ((0, cell.a), (2, cell.score)):
            edges = np.asarray(baseline.variables[v].edges)
            # Half-lines, whatever the bins: how many values are at or below each edge.
            below = [sum(x <= e for x in values) for e in edges]
            counts = stats.counts[i, v]
            n_bins = len(edges) - 1
            assert counts[60] == sum(x < edges[0] for x in values)
            assert counts[61] == sum(x > edges[-1] for x in values)
            at_or_below = counts[60] + np.concatenate(([0], np.cumsum(counts[:n_bins])))
            assert at_or_below[1:].tolist() == below[1:]


@CUTS
def test_categories_are_counted_by_name(chunk_messages):
    world = gappy_world()
    categories = world.catalog.baselines["default", "small"][0].variables[1].categories
    panes = final_panes(stream(chunk_messages))
    n_unseen = 0
    for key, stats, i in named(panes, "segments"):
        cell = batch().panes[key]
        counts = stats.counts[i, 1]
        found = {name: int(counts[k]) for k, name in enumerate(categories)}
        assert found == {name: cell.c.count(name) for name in categories}
        assert counts[UNSEEN] == sum(c not in categories for c in cell.c)
        assert counts[MISSING] == cell.n_rows - len(cell.c)
        n_unseen += int(counts[UNSEEN])
    assert n_unseen > 100


@CUTS
def test_every_window_judges_as_many_rows_as_the_batch_has(chunk_messages):
    rows = rows_by_window([batch()], WINDOW_S * SECOND_US)
    judged = {}
    for message in stream(chunk_messages).fetch(RESULTS, 0, 0, ALL):
        for r in read_results(message.value):
            if r.metric == "decision" and r.feature == "score":
                judged[r.model, r.model_version, r.start_us, r.segment] = r.n
    assert judged == rows
