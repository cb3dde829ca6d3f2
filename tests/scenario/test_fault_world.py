"""The expected outputs of the fault scenarios cover all cases and agree with each other."""

from __future__ import annotations

from collections import Counter
from functools import cache

import pytest

from schemas.results import Reason
from tests.support.kafka.outputs import bits_of, intake_of, rows_of
from tests.support.scenario.fault_run import (
    Expected,
    batch_rows,
    dead_of,
    judged_rows,
    late_of,
    run_in_memory,
)
from tests.support.worlds.fault import TIMING

N_WINDOWS = 16


@cache
def expected(chunk_messages: int = 2_000) -> Expected:
    return run_in_memory(N_WINDOWS, chunk_messages=chunk_messages)


def test_the_world_has_everything_in_it():
    outcome, batches = expected().outcome, expected().batches
    reasons = Counter(reason for batch in batches.values() for reason in batch.dead.values())
    assert set(reasons) == {"malformed", "invalid_utf8", "mistyped", "unknown_model", "future"}
    assert all(len(batch.late) > 5 for batch in batches.values())
    kinds = {(a.monitor, str(a.transition)) for a in outcome.alerts.values()}
    assert kinds >= {("drift", "opened"), ("replica", "opened"), ("gpu", "opened")}
    assert {("drift", "resolved"), ("gpu", "resolved")} <= kinds
    assert {a.model for a in outcome.alerts.values()} == {"alpha", "beta", "gamma", ""}


def test_the_batch_job_and_the_stages_in_memory_count_the_same():
    outcome, batches = expected().outcome, expected().batches
    for place, batch in batches.items():
        assert dead_of(outcome, place) == batch.dead
        assert late_of(outcome, place) == batch.late
        for part, kind in (("panes", "segments"), ("slices", "slices")):
            wanted = {k: c.counts for k, c in batch.passed(part, TIMING.pane_us).items()}
            assert rows_of(outcome.panes, *place, kind) == wanted


def test_every_window_is_judged_by_the_rows_of_the_batch_job():
    judged = judged_rows(expected().outcome)
    rows = batch_rows(expected())
    assert judged
    assert {k: v for k, v in rows.items() if k in judged} == judged
    last_us = max(start_us for _, _, start_us, _ in judged)
    assert {k for k in rows if k[2] <= last_us} == judged.keys()


@pytest.mark.slow
@pytest.mark.parametrize("chunk_messages", [97, 100_000])
def test_how_reads_are_cut_changes_nothing(chunk_messages):
    one, other = expected().outcome, expected(chunk_messages).outcome
    assert one.results == other.results
    assert one.alerts == other.alerts
    assert (one.dead, one.late) == (other.dead, other.late)
    assert one.panes.keys() == other.panes.keys()
    assert all(bits_of(pane) == bits_of(other.panes[k]) for k, pane in one.panes.items())


def test_the_batch_job_and_the_stages_count_the_same_late_and_rejected_events():
    outcome, batches = expected().outcome, expected().batches
    assert outcome.intake
    for place, batch in batches.items():
        assert intake_of(outcome.intake, *place) == batch.passed_intake(TIMING.pane_us)


def test_rejected_windows_open_and_resolve_a_pipeline_alert_and_no_drift():
    alerts = sorted(expected().outcome.alerts.values(), key=lambda a: (a.time_us, a.sequence))
    pipeline = [a for a in alerts if a.monitor == "pipeline"]
    assert {a.rule for a in pipeline} == {"rejected_events"}
    assert {str(a.transition) for a in pipeline} == {"opened", "resolved"}
    withheld = {
        (r.model, r.end_us)
        for r in expected().outcome.results.values()
        if r.reason is Reason.PIPELINE
    }
    assert withheld
    assert not [a for a in alerts if a.monitor != "pipeline" and (a.model, a.time_us) in withheld]
