"""The fairness metrics that were stored with the windows, as a section of the page."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from markupsafe import Markup

from monitor.drawing.svg import line, path, picture, text, time_ticks
from monitor.report.templating import render
from schemas.monitors import Monitor
from schemas.results import DetectorResult
from schemas.time_text import short_text

_DIFFERENCE, _RATE = "demographic_parity_difference", "positive_rate"


@dataclass(frozen=True, slots=True)
class GroupRates:
    """Positive rates of one group, over all windows in which the group was large enough."""

    name: str
    n_rows: int
    rate: float
    """Of all those rows together."""
    lowest: float
    highest: float
    """Of single windows."""


@dataclass(frozen=True, slots=True)
class FairnessPanel:
    """One protected attribute of one model."""

    model: str
    attribute: str
    groups: Sequence[GroupRates]
    """The highest rate first."""
    differences: Sequence[tuple[int, float]]
    """(end of the window in us, largest rate minus smallest), ascending."""
    usual_limit: float | None
    n_windows_without: int
    """Windows in which fewer than two groups were large enough."""


@dataclass(slots=True)
class _Collected:
    """Results of one attribute, by window; a revision replaces what it revises."""

    differences: dict[int, DetectorResult] = field(default_factory=dict)
    rates: dict[str, dict[int, DetectorResult]] = field(default_factory=lambda: defaultdict(dict))


def fairness_panels(results: Iterable[DetectorResult]) -> list[FairnessPanel]:
    """Collect the stored fairness metrics by model and protected attribute.

    Parameters
    ----------
    results : iterable of DetectorResult
        In the order they were written; those of other monitors are skipped.

    Returns
    -------
    list of FairnessPanel
        By model and attribute; those without any number are left out.
    """
    collected: dict[tuple[str, str], _Collected] = defaultdict(_Collected)
    for result in results:
        if result.monitor != Monitor.FAIRNESS:
            continue
        of = collected[result.model, result.feature]
        if result.metric == _DIFFERENCE:
            of.differences[result.end_us] = result
        elif result.metric == _RATE:
            of.rates[result.segment][result.end_us] = result
    panels = [_panel(*key, of) for key, of in sorted(collected.items())]
    return [panel for panel in panels if panel.groups]


def _panel(model: str, attribute: str, of: _Collected) -> FairnessPanel:
    groups = [_group_rates(name, list(rows.values())) for name, rows in of.rates.items()]
    ordered = sorted((g for g in groups if g is not None), key=lambda g: -g.rate)
    differences = [(t, r.statistic) for t, r in sorted(of.differences.items())]
    measured = [(t, value) for t, value in differences if value is not None]
    limits = {r.threshold for r in of.differences.values() if r.threshold is not None}
    return FairnessPanel(
        model,
        attribute,
        ordered,
        measured,
        max(limits, default=None),
        len(differences) - len(measured),
    )


def _group_rates(name: str, rows: Sequence[DetectorResult]) -> GroupRates | None:
    """Sum one group's windows; None where it was too small in all of them."""
    measured = [(r.statistic, r.n) for r in rows if r.statistic is not None]
    if not measured:
        return None
    rates, n = np.array(measured, np.float64).T
    return GroupRates(
        name, int(n.sum()), float(rates @ n / n.sum()), float(rates.min()), float(rates.max())
    )


def fairness_section(panels: Sequence[FairnessPanel], start_us: int, end_us: int) -> Markup:
    """Write the section; empty without panels.

    Parameters
    ----------
    start_us, end_us : int
        The time axis.

    Returns
    -------
    Markup
        HTML.
    """
    if not panels:
        return Markup("")
    cards = [
        {
            "panel": panel,
            "summary": _summary(panel),
            "rows": _rows(panel),
            "figure": _figure(panel, start_us, end_us) if panel.differences else "",
        }
        for panel in panels
    ]
    return render("fairness.html", cards=cards)


def _summary(panel: FairnessPanel) -> str:
    """State the difference between groups over all windows, in words."""
    n_without = panel.n_windows_without
    without = f" Windows with fewer than two groups that are large enough: {n_without}."
    more = without if n_without else ""
    if not panel.differences:
        return f"The groups were compared in no window.{more}"
    values = np.array([value for _, value in panel.differences])
    at_us, largest = max(panel.differences, key=lambda pair: pair[1])
    text_ = (
        f"Between the groups with the highest and the lowest rate: {np.median(values):.1%} in the "
        f"median window, at most {largest:.1%} (window to {short_text(at_us)})."
    )
    if panel.usual_limit is not None:
        n_beyond = int((values > panel.usual_limit).sum())
        text_ += (
            f" Windows beyond the usual limit of {panel.usual_limit:.0%}: "
            f"{n_beyond} of {len(values)}."
        )
    return text_ + more


def _rows(panel: FairnessPanel) -> list[tuple[str, ...]]:
    """Return the cells of each group, in the order of the table's columns."""
    best = panel.groups[0].rate
    return [
        (
            group.name,
            f"{group.n_rows:,}",
            f"{group.rate:.1%}",
            f"{group.lowest:.1%} to {group.highest:.1%}",
            f"{group.rate / best:.2f}" if best else "",
        )
        for group in panel.groups
    ]


def _figure(panel: FairnessPanel, start_us: int, end_us: int) -> Markup:
    """Draw the difference by window, and the usual limit."""
    width, height, left, top, bottom = 760.0, 170.0, 44.0, 12.0, 28.0
    limit = panel.usual_limit or 0.0
    highest = 1.15 * max(*(value for _, value in panel.differences), limit, 0.01)
    span_us = max(end_us - start_us, 1)

    def at_x(time_us: float) -> float:
        return left + (time_us - start_us) / span_us * (width - left - 8)

    def at_y(share: float) -> float:
        return height - bottom - share / highest * (height - bottom - top)

    marks = [*_share_ticks(highest, left, width, at_y)]
    marks += [
        text(at_x(t), height - 8, label, css="tick", anchor="middle")
        for t, label in time_ticks(start_us, end_us)
    ]
    points = [(at_x(t), at_y(value)) for t, value in panel.differences]
    marks.append(path(points, css="cur", title=f"difference between groups of {panel.attribute}"))
    if limit:
        marks.append(line(left, at_y(limit), width - 8, at_y(limit), css="threshold"))
        marks.append(text(left + 4, at_y(limit) - 5, f"usual limit {limit:.0%}", css="tick"))
    label = f"Difference in positive rate between groups of {panel.attribute}, by window"
    return picture(width, height, label, marks)


def _share_ticks(
    highest: float, left: float, width: float, at_y: Callable[[float], float]
) -> list[Markup]:
    """Draw lines at round shares."""
    step = next(s for s in (0.01, 0.02, 0.05, 0.1, 0.2, 0.5) if highest / s <= 5 or s == 0.5)
    marks = []
    for share in np.arange(0, highest, step).tolist():
        marks.append(line(left, at_y(share), width - 8, at_y(share), css="grid"))
        marks.append(text(left - 6, at_y(share) + 4, f"{share:.0%}", css="tick", anchor="end"))
    return marks
