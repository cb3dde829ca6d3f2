"""Tables of the multi-scale rule's figures."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from benchmarks.quality.page import number, table
from benchmarks.quality.plain_peers import EVIDENTLY, FROM_REFERENCE, PlainRun, alarms_a_month
from benchmarks.quality.planted import PlantedFigures
from benchmarks.quality.quiet import QuietRate


def quiet_table(found: Sequence[QuietRate]) -> str:
    """Tabulate the incidents of worlds in which nothing is wrong."""
    head = (
        *("world", "model-months", "incidents of cells", "of models", "a month", "95 %"),
        *("bar", "met", "models that fired", "time open", "re-openings", "most of a cell"),
    )
    return table(head, [_quiet_row(rate) for rate in found])


def _quiet_row(rate: QuietRate) -> tuple[str, ...]:
    low, high = rate.interval
    has_bar = np.isfinite(rate.world.bar)
    open_share = float(np.mean([r.open_share for r in rate.runs]))
    most = [r.most_a_cell for r in rate.runs if r.most_a_cell is not None]
    return (
        rate.world.name,
        f"{rate.months:.1f}",
        str(rate.n_incidents),
        str(sum(r.n_together for r in rate.runs)),
        f"{rate.per_month:.2f}",
        f"{low:.2f} to {high:.2f}",
        number(rate.world.bar) if has_bar else "-",
        yes_or_no(rate.is_met) if has_bar else "-",
        f"{rate.n_fired} of {len(rate.runs)}",
        f"{open_share:.1%}",
        str(sum(r.n_reopened for r in rate.runs)),
        str(max(most)) if most else "-",
    )


def planted_table(found: Sequence[PlantedFigures]) -> str:
    """Tabulate delays, beginnings, and the delays of calibrated peers."""
    names = list(dict.fromkeys(name for p in found for name in p.peer_hours))
    head = (
        *("change", "median h", "bar h", "found", "met", "re-opened", "alerts before"),
        *("beginning: median error, ticks", "90 %, h", "interval holds it"),
        *(f"{name}, h" for name in names),
    )
    return table(head, [_planted_row(p, names) for p in found])


def _planted_row(p: PlantedFigures, peers: Sequence[str]) -> tuple[str, ...]:
    return (
        p.planted.name,
        hours(p.median_hours),
        number(p.planted.bar_hours),
        f"{p.share_found:.0%}",
        yes_or_no(p.is_met),
        f"{p.n_reopened / p.n_planted:.2f}",
        str(p.n_before),
        hours(p.onset_error_ticks),
        hours(p.onset_error_90_hours),
        "-" if np.isnan(p.share_covered) else f"{p.share_covered:.0%}",
        *(hours(p.peer_hours.get(name, np.nan)) for name in peers),
    )


def plain_table(found: Sequence[PlainRun]) -> str:
    """Tabulate the delays of peers that are not calibrated to the world they watch."""
    peers = (EVIDENTLY, FROM_REFERENCE)
    rows = []
    for run in found:
        medians = [float(np.median(run.delays.get(peer, (np.nan,)))) for peer in peers]
        rows.append((run.name, *map(hours, medians)))
    return table(("change", *(f"{peer}, h" for peer in peers)), rows)


def plain_alarms(found: Sequence[PlainRun]) -> str:
    """Tabulate the false alarms of those peers, in the days before the changes."""
    movements = dict.fromkeys(run.movement for run in found)
    peers = (EVIDENTLY, FROM_REFERENCE)
    rows = [
        (m or "nothing moves", *(hours(alarms_a_month(found, peer, m)) for peer in peers))
        for m in movements
    ]
    return table(("world", *(f"{peer}, alarms a model and month" for peer in peers)), rows)


def hours(value: float) -> str:
    """Three digits; "never" if infinite, a dash if there is none."""
    return "never" if np.isinf(value) else "-" if np.isnan(value) else number(value)


def yes_or_no(value: bool) -> str:
    """Word for a flag."""
    return "yes" if value else "**no**"


def page(
    quiet: Sequence[QuietRate],
    planted: Sequence[PlantedFigures],
    seeds: Sequence[int],
    plain: Sequence[PlainRun] = (),
    traffic: str = "",
) -> str:
    """Write the page of the multi-scale rule."""
    return _PAGE.format(
        traffic=traffic,
        plain=plain_table(plain),
        plain_alarms=plain_alarms(plain),
        seeds=f"{min(seeds)} to {max(seeds)}",
        quiet=quiet_table(quiet),
        planted=planted_table(planted),
        ratio=f"{float(np.nanmedian([p.delay_ratio for p in planted])):.2f}",
        slower=_slower(planted),
    )


def _slower(planted: Sequence[PlantedFigures]) -> str:
    """List the changes that a calibrated peer finds sooner."""
    rows = [p for p in planted if p.delay_ratio > 1]
    return ", ".join(f"{p.planted.name} ({p.delay_ratio:.1f} times)" for p in rows) or "none"


_PAGE = """# Rule 2: false alarms and detection delays

Written by `python -m benchmarks.quality.records FILE --page`; do not edit. Ticks of five minutes,
a budget of 0.1 incidents a model and month, ten features and a score. Seeds {seeds}, on
which no constant of the rule was chosen. A world or change with fewer model-months or features was
run on the first of the seeds. The kernel is driven through the components of a tick's counters, as
the monitor drives it, and the verdicts go through the watch of known excursions. The cell of the
volume has a table of its own.

## Without a change, or with one that is meant to be seen

"Incidents of cells": alerts that do not open again within 48 hours of their close. "Of models":
cells that open within two hours are one. "A month": incidents of cells; for the job of three
hours and for recurring excursions those of models. "95 %": exact Poisson interval (Garwood),
which takes incidents for independent. "Met" compares the point estimate with the bar, and in the
first ten worlds, where nothing moves, also the end of the interval with .25: of 36 months at most 3
incidents. Elsewhere, where the bar lies within the interval, there are too few months to be
certain of either answer. "Most of a cell": incidents of the cell of a model that had most of them,
in 90 days (30 or 45 with 5,000 rows and with jobs).

{quiet}
Trend, replaced products and bots are true changes: the first two should be reported once a cell
and quarter, without re-openings. Excursions that recur are in the reference of eight weeks.

### Volume

Rows of each tick by Poisson's law beside a reference of two weeks without the job, judged by the
watch that the monitor runs. A job of one tick is clipped like any single tick, and opens on few
nights.

{traffic}
## With a planted change

In all ten features of a model at once; delays in hours until the alert of a feature opens, over
all features. "Never": infinite median. The peers see the same rows in windows of an hour, so that
a delay is at least one hour, and stop with the run, five days after we have found all. Their
thresholds are those at which they alarm 0.1 times a model and month in counters simulated
without a change in the same world, for which no real stream is long enough: they bound what
hourly windows can find.

{planted}
Median over the changes of our median delay over that of the fastest calibrated peer: {ratio}.
Found sooner by a calibrated peer: {slower}.

## Peers that a user can set up

Ten features of one model, the same rows in windows of an hour, at most ten days. evidently's
default test and threshold, against 10,000 rows of the reference; an hour without a value counts as
an alarm. The chart of shares takes its limit from the reference's own hours (a gamma law, exceeded
once in 100,000 windows of a feature), and there is none without times. Read the false alarms
first: those in the five days before the changes, over all changes of a world.

{plain_alarms}
{plain}
## Where the rule differs from its reference

Found by these runs, on seeds 80000 to 80059:

- Movement on the first day (1.4). In 50 interleaved sessions 22 alerts opened in the first 21
  hours of 60 models, all but one at the scale of half an hour. Successive ticks hardly show
  sessions of an hour, which are learned as movement instead; and a component that happened to be
  still for the first samples was given none, while others of its cell moved several times as much
  as independent rows do. While a scale has fewer than 30 samples, tau^2 is at least the pooled
  inflation of the cell, less a thirtieth of it with every sample. With a weight of
  10 / (10 + samples) no alert opened on the same seeds, but in worlds where days differ it lasts
  into the second month; with one that ends at 20 samples 3 opened in 60 other models. Products of
  features now have an inflation of their own.
- A single row as traffic falls (1.3 step 7). One row beyond the maximum of 430,000 was 19 nats at
  night: the newest rows outweigh an average one by 1 + g only while all ticks have as many rows.
  Bennett's bound for a weighted sum has W / W2 there, which was 4.7 as traffic fell from 3,000 to
  30 rows an hour. Three alerts in 29.6 months of that world were of this kind.
- Days that differ by .1 sd and a shift of .5 sd (5.1). Such a shift is 5 sd of a day: 12.5 nats of
  the location if the variance were known, 9.4 with 30 degrees of freedom, and below every threshold
  for an average that is shorter than a day. What finds it are the outermost groups and the
  skewness, which days of .1 sd hardly move. The delay of a feature was 1 to 74 hours in the same
  model, so that a median of 20 features is uncertain by hours, and rests on more models here.
"""

__all__ = ["page", "planted_table", "quiet_table"]
