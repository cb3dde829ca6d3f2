"""While too many events are rejected, ticks are left out: the rows that remain are no sample."""

from __future__ import annotations

import numpy as np

from monitor.core.windowing.intake_message import encode_intake, intake_key
from schemas.intake import IntakePane
from schemas.monitors import Monitor
from schemas.results import Reason, Verdict
from schemas.time_units import MINUTE_US
from tests.support.worlds.ticks import START_US, Driver, draw, log_of, panes_of

N_MINUTES = 240
LOST_FROM = 92


def driven(*, has_rejects: bool) -> Driver:
    """A stream with a loss; rejected events are those of the first hour."""
    rows = draw(np.random.default_rng(5), N_MINUTES, 10, missing_from=LOST_FROM)
    log = log_of(panes_of(rows), N_MINUTES)
    intake = IntakePane(
        tenant="default",
        model="ticked",
        start_us=START_US,
        end_us=START_US + MINUTE_US,
        source="s",
        partition=0,
        owner="o",
        pane_version=1,
        rejected={"mistyped": 400},
    )
    driver = Driver()
    driver.run([(intake_key(intake), encode_intake(intake))] * has_rejects + log)
    return driver


def drift_alerts(*, has_rejects: bool) -> list[tuple[str, int]]:
    """Feature and minute of the drift alerts."""
    driver = driven(has_rejects=has_rejects)
    rejected = [a for a in driver.opened() if a.monitor == Monitor.PIPELINE]
    assert [(a.time_us - START_US) // MINUTE_US for a in rejected] == [60] * has_rejects
    found = [a for a in driver.opened() if a.monitor == Monitor.DRIFT]
    return [(a.feature, (a.time_us - START_US) // MINUTE_US) for a in found]


def test_a_loss_is_found_only_once_the_rows_can_be_trusted_again():
    assert drift_alerts(has_rejects=False) == [("c", 100)]
    ((feature, minute),) = drift_alerts(has_rejects=True)
    assert feature == "c"
    assert minute > 120, "the hour without rejected events ends at 120"


def test_a_window_of_which_no_tick_was_judged_is_not_normal():
    results = [r for r in driven(has_rejects=True).results if r.metric == "decision"]
    of = {(r.start_us - START_US) // MINUTE_US: [] for r in results}
    for result in results:
        if result.n:
            of[(result.start_us - START_US) // MINUTE_US].append((result.verdict, result.reason))
    # withheld windows, the last of them before the rows can be trusted again
    for minute in (0, 60, 120):
        assert set(of[minute]) == {(Verdict.NONE, Reason.PIPELINE)}, (minute, of[minute])
    assert Verdict.DRIFT in {verdict for verdict, _ in of[180]}
