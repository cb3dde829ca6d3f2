"""The pipeline rules of one model: what opens, holds, escalates and resolves their alerts."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from detectors.statistics.share_limit import tail_probability
from monitor.core.pipeline_health.state import PipelineState
from monitor.core.pipeline_health.watch import PipelineWatch
from schemas.alerts import LATE_EVENTS, NO_VERDICT, REJECTED_EVENTS, Alert, Severity
from schemas.config.model import ModelConfig
from schemas.intake import Intake
from schemas.time_units import HOUR_US

CONFIG = ModelConfig.model_validate({"model": "shop", "features": {"a": {"kind": "numeric"}}})


class Hours:
    """A watch fed hour by hour."""

    def __init__(self, rule: int = 2, **pipeline: float) -> None:
        settings = {"pipeline": pipeline, "decision": {"rule": rule}}
        self.watch = PipelineWatch(CONFIG.model_validate(CONFIG.model_dump() | settings))
        self.n = 0

    def take(
        self, n_accepted: int, n_rejected: int = 0, n_late: int = 0, reason: str = ""
    ) -> list[tuple[str, str]]:
        """Return (rule, transition) of what one hour changes."""
        return [
            (a.rule, a.transition.value)
            for a in self.alerts(n_accepted, n_rejected, n_late, reason)
        ]

    def alerts(
        self, n_accepted: int, n_rejected: int = 0, n_late: int = 0, reason: str = ""
    ) -> list[Alert]:
        """Return what one hour changes, through a state that was written and read."""
        state = msgspec.msgpack.encode(self.watch.state)
        self.watch.state = msgspec.msgpack.decode(state, type=PipelineState)
        place = (self.n * HOUR_US, (self.n + 1) * HOUR_US)
        self.n += 1
        intake = Intake(n_late, {"mistyped": n_rejected} if n_rejected else {})
        found = self.watch.observe_intake(*place, n_accepted, intake)
        return found + self.watch.observe_verdicts(*place, n_accepted, reason)


OPENED, RESOLVED = (REJECTED_EVENTS, "opened"), (REJECTED_EVENTS, "resolved")


@pytest.mark.parametrize(
    ("n_accepted", "n_rejected", "is_opened"),
    [
        (1, 1, False),
        (0, 3, False),
        (0, 4, True),
        (990, 10, False),
        (900, 100, True),
        (0, 250, True),
    ],
)
def test_a_share_opens_an_alert_only_beyond_chance(n_accepted, n_rejected, is_opened):
    assert Hours().take(n_accepted, n_rejected) == ([OPENED] if is_opened else [])


def test_a_small_share_over_the_limit_adds_up_over_windows():
    hours = Hours()
    found = [hours.take(970, 30) for _ in range(20)]
    assert found[0] == []
    assert [OPENED] in found


def test_a_share_within_the_limit_never_opens_an_alert():
    hours = Hours()
    assert not any(hours.take(981, 19) for _ in range(500))


def test_an_alert_resolves_after_two_quiet_windows_and_holds_longer_next_time():
    hours = Hours()
    assert hours.take(0, 250) == [OPENED]
    assert hours.watch.is_withholding
    assert [hours.take(250) for _ in range(2)] == [[], [RESOLVED]]
    assert not hours.watch.is_withholding
    assert hours.take(100, 150) == [OPENED]
    assert [hours.take(250) for _ in range(4)] == [[], [], [], [RESOLVED]]


def test_a_window_without_events_leaves_an_alert_open():
    hours = Hours()
    hours.take(0, 250)
    assert [hours.take(0) for _ in range(30)] == [[]] * 30
    assert hours.watch.is_withholding


def test_more_than_half_of_the_events_is_a_page():
    hours = Hours()
    (opened,) = hours.alerts(900, 100)
    (escalated,) = hours.alerts(100, 900)
    assert (opened.severity, escalated.severity) == (Severity.TICKET, Severity.PAGE)
    assert escalated.opened_at_us == opened.opened_at_us


def test_late_events_have_a_limit_of_their_own():
    hours = Hours()
    assert hours.take(960, n_late=40) == []
    assert hours.take(500, n_late=500) == [(LATE_EVENTS, "opened")]
    assert hours.watch.is_withholding


def test_a_limit_of_one_turns_a_rule_off():
    hours = Hours(max_rejected=1.0, max_late=1.0)
    assert hours.take(0, 1000, 1000) == []


def test_windows_without_a_verdict_open_a_ticket_that_says_what_to_set():
    hours = Hours(rule=1, max_unjudged_windows=3)
    assert [hours.take(20, reason="too_few_samples") for _ in range(2)] == [[], []]
    assert (hours.watch.state.run.n_windows, hours.watch.state.run.n_rows) == (2, 40)
    (alert,) = hours.alerts(20, reason="too_few_samples")
    assert (alert.rule, alert.severity) == (NO_VERDICT, Severity.TICKET)
    assert alert.title == "shop: no verdict in 3 windows, 20 rows a window where a verdict needs 30"
    assert alert.action == "Set window.length to 3h, or lower decision.min_rows."
    assert not hours.watch.is_withholding
    assert hours.take(20, reason="too_few_samples") == []
    assert hours.take(200) == [(NO_VERDICT, "resolved")]


def test_under_rule_2_the_ticket_says_what_a_verdict_needs_and_waits_for_the_first():
    hours = Hours(max_unjudged_windows=1)
    # The first verdict comes in the second window at the latest, if all ticks have rows.
    assert [hours.take(20, reason="too_few_samples") for _ in range(2)] == [[], []]
    (alert,) = hours.alerts(20, reason="too_few_samples")
    assert alert.title == "shop: no verdict in 3 windows, 20 rows a window"
    assert alert.action == (
        "A verdict needs 50 rows a window, or 15 ticks of 5m with rows before it."
    )
    (alert,) = Hours(max_unjudged_windows=1).alerts(20, reason="no_baseline")
    assert alert.title == "shop: no verdict in 1 window, there is no baseline"


def test_a_verdict_or_no_rows_between_unjudged_windows():
    hours = Hours(max_unjudged_windows=3)
    for n_rows, reason in ((20, "no_baseline"), (20, "no_baseline"), (50, ""), (20, "no_baseline")):
        assert hours.take(n_rows, reason=reason) == []
    assert hours.take(0, reason="no_data") == []
    assert hours.take(20, reason="no_baseline") == []
    (alert,) = hours.alerts(20, reason="no_baseline")
    assert alert.title == "shop: no verdict in 3 windows, there is no baseline"


def test_titles_name_the_share_the_reason_and_the_counts():
    hours = Hours()
    (opened,) = hours.alerts(150, 50)
    assert opened.title == "shop: 25 % of events were rejected as mistyped, 50 of 200"
    assert "dead_letters" in opened.action
    hours.take(200)
    (resolved,) = hours.alerts(199, 1)
    assert resolved.title == "shop: events are accepted again, 0.5 % rejected"
    assert resolved.action == ""


@given(st.integers(0, 400), st.integers(0, 400), st.sampled_from([0.001, 0.02, 0.5]))
def test_the_tail_is_that_of_the_exact_binomial_test(n_hits, n_more, limit):
    n = n_hits + n_more
    expected = binomtest(n_hits, n, limit, "greater").pvalue if n else 1.0
    assert tail_probability(n_hits, n, limit) == pytest.approx(expected, rel=1e-6, abs=1e-30)
