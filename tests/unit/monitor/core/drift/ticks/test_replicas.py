"""Replicas under rule 2: one that leaves the others is found, what all share is not."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from monitor.core.drift.decide import SeriesDecider, SeriesState
from monitor.core.drift.ticks.decider import ScaleDecider
from monitor.core.drift.ticks.state import CellFinding, StoredReplicas
from monitor.core.drift.ticks.total_loss import Streak
from monitor.core.incidents.alerting import CellState
from schemas.alerts import Alert, Severity
from schemas.errors import DriftlineError
from schemas.panes import N_COUNTERS, SeriesStats, Window
from schemas.results import Verdict
from schemas.time_units import DAY_US, HOUR_US
from tests.support.worlds.ticks import CONFIG, START_US, TICK_US, baseline, series, stats_of

HOSTS = ("a", "b", "c", "d")
N_BINS = baseline().variables[-1].n_bins


def stats_by_host(bins: np.ndarray, host: np.ndarray) -> SeriesStats:
    """The score's counters of each host with rows."""
    names = [h for i, h in enumerate(HOSTS) if (host == i).any()]
    stats = SeriesStats.empty(tuple(f"host={h}" for h in names), 1)
    for k, name in enumerate(names):
        own = bins[host == HOSTS.index(name)]
        stats.n_rows[k] = len(own)
        stats.counts[k, 0] = np.bincount(own, minlength=N_COUNTERS)
    return stats


def score_bins(rng: np.random.Generator, n: int, lift: float) -> np.ndarray:
    """Bins of a uniform score whose values are raised to a power, so that they are higher."""
    return np.minimum((rng.random(n) ** np.exp(-lift) * N_BINS).astype(int), N_BINS - 1)


class Stream:
    """Feeds ticks of four hosts to a decider."""

    def __init__(self, decider: ScaleDecider, seed: int = 0) -> None:
        self.decider, self.rng, self.tick = decider, np.random.default_rng(seed), 0
        self.alerts: list[Alert] = []

    def run(
        self,
        n_ticks: int,
        lifts: tuple[float, ...] = (0, 0, 0, 0),
        *,
        rate: int = 120,
        constant: int | None = None,
        present: int = len(HOSTS),
    ) -> list[Alert]:
        """Judge so many ticks; return the alerts of replicas in them."""
        begin = len(self.alerts)
        for _ in range(n_ticks):
            self.alerts += self.decider.take_tick(self.window(lifts, rate, constant, present))
            self.tick += 1
        return [a for a in self.alerts[begin:] if a.monitor == "replica"]

    def window(
        self, lifts: tuple[float, ...], rate: int, constant: int | None, present: int
    ) -> Window:
        n = rate * present // len(HOSTS)
        host = self.rng.integers(0, present, n)
        score = np.zeros(n, int)
        for i, lift in enumerate(lifts):
            score[host == i] = score_bins(self.rng, int((host == i).sum()), lift)
        if constant is not None:
            score[host == constant] = 7
        a = self.rng.integers(0, 60, n)
        c = self.rng.choice(3, n, p=[0.5, 0.3, 0.2])
        start_us = START_US + self.tick * TICK_US
        slices = stats_by_host(score, host)
        stats = stats_of(np.stack([a, c, score], axis=1))
        return Window(series(), start_us, start_us + TICK_US, stats, slices, 1, "watermark")


def new(state: SeriesState | None = None) -> ScaleDecider:
    return ScaleDecider(series(), CONFIG, baseline(), state)


def changes(alerts: list[Alert]) -> list[tuple[str, str, str]]:
    return [(a.segment, a.transition.value, a.severity.value) for a in alerts]


def test_a_replica_that_answers_a_constant_is_found_in_two_ticks_on_its_first_day():
    stream = Stream(new())
    assert stream.run(20) == []
    (alert,) = stream.run(2, constant=2)
    assert changes([alert]) == [("host=c", "opened", "page")]
    assert (alert.host, alert.gpu_uuid, alert.feature) == ("c", "", "score")
    assert alert.onset_us == START_US + 20 * TICK_US
    assert "for host=c, compared with the other replicas, since about" in alert.title
    assert "(others " in alert.title
    assert alert.action.startswith("Take the replica out of rotation")
    assert sum(alert.current_counts) == alert.n
    assert sum(alert.reference_counts) == alert.n_reference > alert.n
    assert stream.run(10, constant=2) == []
    closed = stream.run(60)
    assert changes(closed) == [("host=c", "resolved", "page")]
    assert "is back at its usual distance" in closed[0].title


def test_a_change_of_all_replicas_is_a_change_of_none():
    stream = Stream(new())
    stream.run(60)
    assert stream.run(60, lifts=(2, 2, 2, 2)) == []
    assert "drift|score|*" in stream.decider.open_alerts
    assert stream.run(60, lifts=(0, 0, 0, 0)) == []


def test_a_replica_that_always_differs_is_found_only_when_it_differs_otherwise():
    usual = (0.3, 0, -0.2, 0)
    stream = Stream(new())
    assert stream.run(3 * 288, lifts=usual) == []
    opened = stream.run(36, lifts=(0.3, 0, 1.0, 0))
    assert changes(opened)[0][:2] == ("host=c", "opened")
    assert {a.segment for a in opened} == {"host=c"}
    planted_us = START_US + 3 * 288 * TICK_US
    assert abs(opened[0].onset_us - planted_us) <= 2 * TICK_US


def test_results_name_every_replica_and_the_evidence_against_it():
    stream = Stream(new())
    stream.run(24)
    stream.run(3, constant=1)
    decided = stream.decider.decide(stream.window((0, 0, 0, 0), 120, 1, 4))
    found = {r.segment: r for r in decided.results if r.monitor == "replica"}
    assert set(found) == {f"host={h}" for h in HOSTS}
    assert found["host=b"].verdict is Verdict.DRIFT
    assert found["host=b"].onset_us == START_US + 24 * TICK_US
    assert {found[f"host={h}"].verdict for h in "acd"} == {Verdict.NORMAL}
    assert all(r.rule == 2 and r.n + r.n_reference == 120 for r in found.values())
    assert not any(table.monitor == "replica" for table in decided.verdicts)


@pytest.mark.parametrize("rate", [3, 120])
def test_a_checkpoint_at_any_tick_changes_nothing(rate):
    whole, parted = Stream(new(), 5), Stream(new(), 5)
    for i, constant in enumerate([None] * 20 + [3] * 6 + [None] * 10):
        present = 3 if i % 7 == 2 else 4
        of = {"rate": rate, "constant": constant, "present": present}
        assert whole.run(1, **of) == parted.run(1, **of)
        state = msgspec.msgpack.encode(parted.decider.export())
        parted.decider = new(msgspec.msgpack.decode(state, type=SeriesState))
    assert msgspec.msgpack.encode(whole.decider.export()) == state


def test_thin_ticks_are_judged_by_the_hour():
    stream = Stream(new())
    stream.run(12 * 6, rate=4)
    (family,) = stream.decider.export().scale.replicas.values()
    assert set(family.names) == {f"host={h}" for h in HOSTS}
    # 48 rows an hour: as soon as there are 20, and at its end
    assert {len(stretches) for stretches in family.history.values()} <= set(range(6, 19))


def test_a_replica_without_rows_for_a_week_is_forgotten_and_its_alert_ends():
    stream = Stream(new())
    stream.run(20)
    stream.run(4, constant=3)
    assert "replica|score|host=d" in stream.decider.open_alerts
    stream.tick += 7 * DAY_US // TICK_US
    (gone,) = stream.run(2, present=3)
    assert changes([gone]) == [("host=d", "resolved", "page")]
    assert "is gone" in gone.title
    assert set(stream.decider.export().scale.replicas["host"].names) == {f"host={h}" for h in "abc"}
    # those that stay are the same as before: none of them opens
    assert stream.run(12, present=3) == []


def test_an_alert_of_rule_1_stays_open_and_resolves_after_a_quiet_day():
    first = SeriesDecider(series(), CONFIG, baseline())
    opened = CellState(START_US - HOUR_US, START_US - 9 * HOUR_US, Severity.TICKET, 0)
    first.open_alerts["replica|score|host=a"] = opened
    stream = Stream(new(first.export()))
    assert stream.run(287) == []
    assert changes(stream.run(3)) == [("host=a", "resolved", "ticket")]


def test_a_version_that_gets_no_more_rows_resolves_the_alerts_of_its_replicas():
    stream = Stream(new())
    stream.run(20)
    stream.run(3, constant=0)
    empty = stream.window((0, 0, 0, 0), 0, None, 4)
    alerts = [a for _ in range(24) for a in stream.decider.decide(empty).alerts]
    assert ("host=a", "resolved", "page") in changes(alerts)


@pytest.mark.parametrize(
    "broken",
    [
        {"names": ["host=a", "host=a", "host=c", "host=d"]},
        {"names": ["host=a"]},
        {"last_us": [1]},
        {"last_us": [-1, 0, 0, 0]},
        {"pool": b""},
        {"pool": np.full(64, np.nan).tobytes()},
        {"averages": b"1234"},
        {"streaks": {"host=x": Streak(0, 1, 1, 1.0)}},
        {"streaks": {"host=a": Streak(1_000, 1, 1, 1.0)}},
        {"peaks": {"host=a": CellFinding(-1, 0.0, 0.0, 0.0)}},
        {"pending": (5, 5, {})},
        {"pending": (0, 1, {"host=a": b"1"})},
        {"pending": (0, 1, {"host=a": np.full(64, -1).tobytes()})},
    ],
)
def test_a_state_of_replicas_that_cannot_be_is_refused(broken):
    stream = Stream(new())
    stream.run(3)
    state = stream.decider.export()
    own: StoredReplicas = state.scale.replicas["host"]
    state.scale.replicas = {"host": msgspec.structs.replace(own, **broken)}
    with pytest.raises(DriftlineError):
        new(state)
