"""False alarms of replicas in which nothing is wrong, and delays until one that changes is found.

Rule 2, ticks of five minutes, a budget of .1 a month: each replica against the others in the same
tick, as the monitor judges them. ``quiet_per_month``: alerts a model and month over all worlds,
``quiet_upper_95``: end of the exact 95 % Poisson interval, ``quiet_worst``: the worst world.
``hours_...``: median delay of a change of one of eight replicas after nine days, 1,000 rows an
hour of all; ``others_named``: alerts on other replicas in the same runs. ``hours_permuted``
is infinite: a replica that gives its scores to the wrong rows has the scores of the others.
``--write`` writes ``docs/quality/replicas.md``.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from benchmarks.output import Figures, main
from benchmarks.quality.page import number, table
from benchmarks.quality.replica_worlds import (
    CHANGES,
    QUIET,
    TICKS_A_DAY,
    Law,
    ReplicaChange,
    ReplicaWorld,
    Scores,
    even,
)
from detectors.multiscale.components import numeric_components
from detectors.multiscale.replicas import ReplicaPlan, ReplicaRule, ReplicaState, forgotten
from detectors.multiscale.rule import BUDGET, TICK_US

Floats = NDArray[np.float64]

N_REFERENCE: Final = 100_000
N_BESIDE: Final = 297
"""Components of ten features and a score."""
DAYS_A_MONTH: Final = 730 / 24
CHANGED: Final = "host=0"
CHANGED_AT: Final = 9 * TICKS_A_DAY + 3
TICKS_AN_HOUR: Final = 12
N_SEARCHED: Final = 5 * TICKS_A_DAY
"""A change counts as not found after five days."""
PAGE: Final = Path("docs/quality/replicas.md")


@dataclass(frozen=True, slots=True)
class Opened:
    """An alert."""

    tick: int
    replica: str


def run(law: Law, seed: int, n_ticks: int, until: Callable[[list[Opened]], bool]) -> list[Opened]:
    """Judge ticks of a law until enough is known; return the alerts that opened."""
    rng = np.random.default_rng(seed)
    reference = rng.normal(size=N_REFERENCE)
    edges = np.quantile(reference, np.linspace(0, 1, 61))
    counts = _count(reference, edges)
    plan = ReplicaPlan(numeric_components(edges, counts), counts)
    rule = ReplicaRule(plan, BUDGET, TICK_US, N_BESIDE)
    state, found = ReplicaState.start(plan), list[Opened]()
    for tick in range(n_ticks):
        scores = {name: values for name, values in law(rng, tick).items() if len(values)}
        own = np.array([_count(values, edges) for values in scores.values()]).reshape(-1, 64)
        end_us = (tick + 1) * TICK_US
        judged, state = rule.judge(state, list(scores), own, end_us)
        found += [Opened(tick, state.names[r]) for r in np.flatnonzero(judged.verdicts.has_opened)]
        is_gone = forgotten(state, end_us)
        if is_gone.any():
            state = state.without(is_gone)
        if until(found):
            break
    return found


def _count(values: Floats, edges: Floats) -> NDArray[np.int64]:
    """Return the 64 counters of scores."""
    found = np.zeros(64, np.int64)
    inside = (values >= edges[0]) & (values <= edges[-1])
    bins = np.searchsorted(edges[1:-1], values[inside], side="right")
    found[:60] = np.bincount(bins, minlength=60)
    found[60:62] = (values < edges[0]).sum(), (values > edges[-1]).sum()
    return found


@dataclass(frozen=True, slots=True)
class QuietFound:
    """Alerts in one world in which nothing is wrong."""

    world: ReplicaWorld
    months: float
    n_opened: int

    @property
    def interval(self) -> tuple[float, float]:
        """Exact 95 % Poisson interval of the rate."""
        return exact_interval(self.n_opened, self.months)


@dataclass(frozen=True, slots=True)
class ChangeFound:
    """What became of one change in all of its runs."""

    change: ReplicaChange
    hours: tuple[float, ...]
    """Until the alert of the replica that changed; infinite where there was none in five days."""
    n_before: int
    n_others: int

    @property
    def median(self) -> float:
        """Median delay, hours."""
        return float(np.median(self.hours))


def exact_interval(n: int, months: float) -> tuple[float, float]:
    """Exact 95 % Poisson interval of a rate (Garwood 1936)."""
    low = float(stats.chi2.ppf(0.025, 2 * n)) / 2 / months if n else 0.0
    return low, float(stats.chi2.ppf(0.975, 2 * n + 2)) / 2 / months


def quiet(world: ReplicaWorld, seeds: Sequence[int], n_days: int) -> QuietFound:
    """Count the alerts of a world in which nothing is wrong."""
    opened = [run(world.law(), s, n_days * TICKS_A_DAY, lambda found: False) for s in seeds]
    months = len(seeds) * n_days / DAYS_A_MONTH
    return QuietFound(world, months, sum(map(len, opened)))


def planted(change: ReplicaChange, seeds: Sequence[int]) -> ChangeFound:
    """Measure how long it takes to find a change of one replica of eight."""
    found, n_before, n_others = [], 0, 0
    for seed in seeds:
        opened = run(_changed(change), seed, CHANGED_AT + N_SEARCHED, _is_found)
        own = [o.tick for o in opened if o.replica == CHANGED and o.tick >= CHANGED_AT]
        n_before += sum(o.tick < CHANGED_AT for o in opened)
        n_others += sum(o.replica != CHANGED and o.tick >= CHANGED_AT for o in opened)
        found.append((own[0] + 1 - CHANGED_AT) / TICKS_AN_HOUR if own else np.inf)
    return ChangeFound(change, tuple(found), n_before, n_others)


def _changed(change: ReplicaChange) -> Law:
    """Return eight replicas, one always .3 sd off, of which one changes after nine days."""
    law = even((0.0, 0.3, *[0.0] * 6))()

    def changed(rng: np.random.Generator, tick: int) -> Scores:
        scores = dict(law(rng, tick))
        if tick >= CHANGED_AT:
            scores[CHANGED] = change.change(rng, scores[CHANGED])
        return scores

    return changed


def _is_found(opened: list[Opened]) -> bool:
    """Return whether the replica that changed has an alert."""
    return any(o.replica == CHANGED and o.tick >= CHANGED_AT for o in opened)


def measure(is_quick: bool) -> Figures:
    """Measure all worlds and changes; write the page if that is asked for."""
    worlds, n_days, seeds = (QUIET[:6], 12, range(1)) if is_quick else (QUIET, 45, range(2))
    rates = [quiet(world, seeds, n_days) for world in worlds]
    changes = CHANGES[2:5] if is_quick else CHANGES
    delays = [planted(change, range(100, 101 if is_quick else 110)) for change in changes]
    if "--json" not in sys.argv:
        print(_quiet_table(rates))
        print(_change_table(delays))
    if "--write" in sys.argv:
        PAGE.write_text(_PAGE.format(quiet=_quiet_table(rates), changes=_change_table(delays)))
    months = sum(rate.months for rate in rates)
    n_opened = sum(rate.n_opened for rate in rates)
    names = {f"hours_{_key(d.change.name)}": d.median for d in delays}
    return {
        "quiet_per_month": n_opened / months,
        "quiet_upper_95": exact_interval(n_opened, months)[1],
        "quiet_worst": max(rate.n_opened / rate.months for rate in rates),
        "quiet_months": months,
        **{name: value if np.isfinite(value) else None for name, value in names.items()},
        "others_named": sum(d.n_others for d in delays),
    }


def _key(name: str) -> str:
    """Return the name of a figure."""
    return name.strip(".").replace(" ", "_").replace(".", "_")


def _quiet_table(rates: Sequence[QuietFound]) -> str:
    """Tabulate the worlds in which nothing is wrong."""
    head = ("replicas", "model-months", "alerts", "a month", "95 %")
    return table(
        head,
        [
            (
                rate.world.name,
                f"{rate.months:.1f}",
                str(rate.n_opened),
                f"{rate.n_opened / rate.months:.2f}",
                "{:.2f} to {:.2f}".format(*rate.interval),
            )
            for rate in rates
        ],
    )


def _change_table(delays: Sequence[ChangeFound]) -> str:
    """Tabulate the delays."""
    head = ("change of one of eight", "median h", "90 %, h", "found", "alerts before", "on others")
    return table(
        head,
        [
            (
                delay.change.name,
                _hours(delay.median),
                _hours(float(np.quantile(delay.hours, 0.9, method="higher"))),
                f"{np.isfinite(delay.hours).mean():.0%}",
                str(delay.n_before),
                str(delay.n_others),
            )
            for delay in delays
        ],
    )


def _hours(value: float) -> str:
    """Three digits; "never" if infinite."""
    return number(value) if np.isfinite(value) else "never"


_PAGE = """# Replicas under rule 2: false alarms and detection delays

Written by `python -m benchmarks.quality.replicas --write`; do not edit. Ticks of five minutes, a
budget of 0.1 alerts a model and month, 1,000 rows an hour of all replicas unless said. Each
replica is compared with the others in the same tick; its baseline is its own first week.

## Without a change of a replica

{quiet}
"Two regions": one is .3 sd higher than the others from its first row, one as much lower. "Come
and go": one replica of three times the traffic, .3 sd off, works by day only; a new one, as far
off, comes on the ninth day; on the 20th and the 40th day all replicas are replaced. "The data of
all change": twice, by more than a standard deviation and in their spread: an incident of the
score, and none of a replica.

## With a change of one replica

After nine days, in one of eight replicas with 125 rows an hour each; another one has always been
.3 sd off. "On others": alerts on the seven that did not change.

{changes}
A replica that gives its scores to the wrong rows ("permuted") has the same distribution of scores
as the others. No comparison of distributions finds it; labels do.

Of two replicas that move apart neither is trusted more, and both may be named. In its first two
days with rows a replica has no baseline of its own: shifts below 2 sd are not found then. A replica
that gives more than half of its rows values that less than a tenth of the others' have is found
after two ticks and 50 rows from the first day on; that rule of the monitor is not in this table.
"""


if __name__ == "__main__":
    main("false alarms and delays of replicas under rule 2", measure, ("--write",))
