"""Incidents of volume in the traffic of the worlds, by the watch that the monitor runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from benchmarks.quality.counter_streams import HOURS_A_MONTH
from benchmarks.quality.laws import Integers
from benchmarks.quality.page import table
from benchmarks.quality.ticks import TICKS_AN_HOUR
from benchmarks.quality.worlds import DAY, THOUSAND, at_night, day_and_night, three_hours
from detectors.multiscale.rule import TICK_US
from monitor.core.pipeline_health.volume_watch import VolumeWatch
from schemas.baselines import ReferenceVolume

WEEKS = 2
HOURS_A_WEEK = 7 * DAY
MONDAY_US = 4 * DAY * TICKS_AN_HOUR * TICK_US
"""1970-01-05 00:00 UTC."""


@dataclass(frozen=True, slots=True)
class Traffic:
    """Rows that come, beside two weeks of reference without the job."""

    name: str
    rows: Callable[[Integers], Integers]
    days: int
    job: Callable[[Integers], Integers] | None = None
    job_ticks: int = 1
    n_models: int = 4


def traffic() -> list[Traffic]:
    """Return traffic without a change, and with the jobs of the acceptance."""
    return [
        Traffic("1,000 rows an hour", THOUSAND, 90),
        Traffic("30 to 3,000 rows", day_and_night, 90),
        Traffic("50,000 equal rows at night", THOUSAND, 45, at_night),
        Traffic("50,000 equal rows over three hours", THOUSAND, 30, three_hours, TICKS_AN_HOUR),
    ]


def openings(own: Traffic, seed: int) -> int:
    """Return how many incidents of volume open; ticks are Poisson, a job comes beside them."""
    rng = np.random.default_rng(seed)
    week = own.rows(np.arange(HOURS_A_WEEK)).astype(np.float64)
    drawn = rng.poisson(WEEKS * week)
    reference = ReferenceVolume(drawn / WEEKS, int(drawn.sum()), float(WEEKS), "UTC", ())
    hours = np.arange(own.days * DAY)
    n = rng.poisson(np.repeat(own.rows(hours), TICKS_AN_HOUR) / TICKS_AN_HOUR)
    if own.job is not None:
        within = np.arange(own.job_ticks) + (TICKS_AN_HOUR - own.job_ticks) // 2
        at = np.arange(len(hours))[:, None] * TICKS_AN_HOUR + within
        n[at] += own.job(hours)[:, None] // own.job_ticks
    watch, n_opened = VolumeWatch(), 0
    for t, rows in enumerate(n.tolist()):
        start = MONDAY_US + t * TICK_US
        changes = watch.observe(start, start + TICK_US, rows, reference, "p")
        n_opened += sum(change.kind == "opened" for change in changes)
    return n_opened


def traffic_table(first_seed: int) -> str:
    """Tabulate incidents of volume."""
    rows = []
    for own in traffic():
        n = sum(openings(own, first_seed + k) for k in range(own.n_models))
        months = own.n_models * own.days * DAY / HOURS_A_MONTH
        per_day = n / (own.n_models * own.days)
        rows.append((own.name, f"{months:.1f}", str(n), f"{n / months:.2f}", f"{per_day:.2f}"))
    head = ("traffic", "model-months", "incidents of volume", "a month", "a day")
    return table(head, rows)
