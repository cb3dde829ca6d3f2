"""Bar chart of a cell that fired: shares of the baseline beside those of the window."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from monitor.core.incidents.evidence import window_us_of
from monitor.core.incidents.text import share_text
from monitor.drawing.bars import INTERVAL, share_grid
from monitor.drawing.export import png
from monitor.drawing.svg import picture, rect, text
from schemas.alerts import Alert
from schemas.monitors import Monitor
from schemas.panes import MISSING, N_BINS, OVERFLOW, UNDERFLOW, UNSEEN
from schemas.time_text import clock_text

_SPECIAL = ((UNDERFLOW, "below"), (OVERFLOW, "above"), (MISSING, "missing"), (UNSEEN, "unseen"))
_RANGE = " to "
"""Separator of the ends of a numeric bin, as in ``monitor.core.drift.cells.bin_labels``."""
_DASH = " – "
_MAX_BARS = 12
_MAX_NAME = 16
_WIDTH, _HEIGHT, _LEFT, _MIDDLE, _TOP = 800.0, 440.0, 72.0, 400.0, 96.0
_BASE = 380.0
"""y of the axis with horizontal names; slanted names need more room, depending on their length."""
_SLANTED_CHARACTER = 6.1
_WIDTH_PX = 1200
"""Twice the width that Slack shows in a thread: text of 15 units is readable at half the size."""
_CSS = """
svg { font-size:15px; } svg .tick { font-size:14px; }
svg .title { font-size:17px; font-weight:700; } svg .name { font-size:13.5px; }
"""


@dataclass(frozen=True, slots=True)
class Bars:
    """Data of the chart: a name and two shares per bar."""

    names: tuple[str, ...]
    reference: tuple[float, ...]
    """Shares of the baseline's rows, 0 to 1."""
    current: tuple[float, ...]


def gather_bars(alert: Alert) -> Bars:
    """Choose at most 12 bars, and the non-empty special bars.

    Parameters
    ----------
    alert : Alert
        With 64 counters for the reference and for the window.

    Returns
    -------
    Bars
        Numeric bins joined with their neighbours; of many categories the largest and
        "others"; then below, above, missing and unseen where either side has rows.

    Examples
    --------
    >>> from schemas.alerts import Severity, Transition
    >>> counts = (30, 70, *[0] * 62)
    >>> bars = gather_bars(Alert(alert_id="1", tenant="", monitor="drift", title="", sequence=0,
    ...     transition=Transition.OPENED, severity=Severity.PAGE, time_us=0, opened_at_us=0,
    ...     reference_counts=counts, current_counts=(*counts[:61], 100, 0, 0, 0)[:64],
    ...     bin_labels=("a", "b")))
    >>> bars.names, bars.reference, bars.current
    (('a', 'b', 'above'), (0.3, 0.7, 0.0), (0.15, 0.35, 0.5))
    """
    reference, current = list(alert.reference_counts), list(alert.current_counts)
    names = [name for name in alert.bin_labels[:N_BINS] if name]
    names = names or [f"{i}{_RANGE}{i + 1}" for i in range(N_BINS)]
    pairs = list(zip(reference, current, strict=True))
    is_numeric = all(INTERVAL.fullmatch(name) for name in names)
    groups = _join_neighbours(names, pairs) if is_numeric else _join_small(names, pairs)
    groups += [(name, *pairs[i]) for i, name in _SPECIAL if sum(pairs[i])]
    n_reference, n_current = max(sum(reference), 1), max(sum(current), 1)
    return Bars(
        tuple(name for name, _, _ in groups),
        tuple(r / n_reference for _, r, _ in groups),
        tuple(c / n_current for _, _, c in groups),
    )


def _join_neighbours(names: list[str], pairs: list[tuple[int, int]]) -> list[tuple[str, int, int]]:
    """Merge neighbouring numeric bins until at most ``_MAX_BARS`` are left."""
    width = -(-len(names) // _MAX_BARS)
    groups = []
    for start in range(0, len(names), width):
        part = names[start : start + width]
        low, high = part[0].split(_RANGE)[0], part[-1].split(_RANGE)[-1]
        rows = pairs[start : start + len(part)]
        name = low if low == high else f"{low}{_DASH}{high}"
        groups.append((name, sum(r for r, _ in rows), sum(c for _, c in rows)))
    return groups


def _join_small(names: list[str], pairs: list[tuple[int, int]]) -> list[tuple[str, int, int]]:
    """Keep the categories that are large on either side; the rest become "others"."""
    groups = [(name, *pair) for name, pair in zip(names, pairs, strict=False)]
    if len(groups) <= _MAX_BARS:
        return groups
    total_r = max(sum(r for _, r, _ in groups), 1)
    total_c = max(sum(c for _, _, c in groups), 1)
    weight = {g[0]: max(g[1] / total_r, g[2] / total_c) for g in groups}
    kept = set(sorted(weight, key=lambda name: -weight[name])[: _MAX_BARS - 1])
    rest = [g for g in groups if g[0] not in kept]
    others = (f"{len(rest)} others", sum(g[1] for g in rest), sum(g[2] for g in rest))
    return [*(g for g in groups if g[0] in kept), others]


def draw_picture(alert: Alert, title: str) -> bytes:
    """Draw the alert's cell.

    Parameters
    ----------
    alert : Alert
        With its counters.
    title : str
        Title above the chart, at most two lines.

    Returns
    -------
    bytes
        A PNG, 1200 x 660 pixels.

    Notes
    -----
    The bar with the largest increase is red.
    """
    return png(change_picture(alert, title), _WIDTH_PX, _CSS)


def change_picture(alert: Alert, title: str) -> Markup:
    """Return the chart of :func:`draw_picture` as SVG.

    Returns
    -------
    Markup
        SVG.
    """
    bars = gather_bars(alert)
    names = [n if len(n) <= _MAX_NAME else n[: _MAX_NAME - 1] + "…" for n in bars.names]
    is_crowded = len(names) > 6 or any(len(name) > 10 for name in names)
    longest = max(map(len, names))
    base = _BASE + 16 - longest * _SLANTED_CHARACTER if is_crowded else _BASE
    place = "" if alert.segment in ("*", "") else f" ({alert.segment})"
    marks = [
        *_heading(title),
        *_legend(alert),
        *_columns(bars, base),
        *_names(names, base, is_crowded=is_crowded),
        text(20, (_TOP + base) / 2, "share of rows", anchor="middle", degrees=-90),
        text((_LEFT + _WIDTH) / 2, _HEIGHT - 8, f"{alert.feature}{place}", anchor="middle"),
    ]
    return picture(_WIDTH, _HEIGHT, title, marks)


def _heading(title: str) -> list[Markup]:
    """Break a title into at most two lines; a single line is placed on the lower one."""
    lines = textwrap.wrap(title, 66, max_lines=2, placeholder=" …")
    return [
        text(_LEFT, 46 - 22 * (len(lines) - 1 - i), content, css="title")
        for i, content in enumerate(lines)
    ]


def _legend(alert: Alert) -> list[Markup]:
    """Draw the legend with both row counts; the current rows are those of the last window."""
    against = "other replicas" if alert.monitor == Monitor.REPLICA else "baseline"
    start_us = alert.window_end_us - window_us_of(alert, 0)
    window = f"{clock_text(start_us)[:5]} to {clock_text(alert.window_end_us)}"
    sides = (
        (_LEFT, "ref", f"{against}, {sum(alert.reference_counts):,} rows"),
        (_MIDDLE, "cur", f"{window}, {sum(alert.current_counts):,} rows"),
    )
    return [
        mark
        for x, css, label in sides
        for mark in (rect(x, 62, 14, 14, css=f"{css} fill"), text(x + 22, 74, label))
    ]


def _columns(bars: Bars, base: float) -> list[Markup]:
    """Draw grid lines at round shares, two columns per bar, and the largest increase."""
    # Room for the number above the highest column.
    highest = max(1.12 * max(*bars.reference, *bars.current), 0.01)
    step = (_WIDTH - _LEFT - 6) / len(bars.names)
    gains = [c - r for r, c in zip(bars.reference, bars.current, strict=True)]
    most = max(range(len(gains)), key=gains.__getitem__)
    marks = share_grid(highest, _LEFT, _WIDTH, base, _TOP)
    for i, pair in enumerate(zip(bars.reference, bars.current, strict=True)):
        for side, share in enumerate(pair):
            tall = share / highest * (base - _TOP)
            css = "ref" if side == 0 else "bad" if i == most else "cur"
            x = _LEFT + (i + 0.1 + 0.4 * side) * step
            marks.append(rect(x, base - tall, 0.4 * step, tall, css=f"{css} fill"))
    grown = bars.current[most]
    x, y = _LEFT + (most + 0.7) * step, base - grown / highest * (base - _TOP) - 6
    return [*marks, text(x, y, share_text(grown), css="strong bad", anchor="middle")]


def _names(names: Sequence[str], base: float, *, is_crowded: bool) -> list[Markup]:
    """Draw names below the columns, slanted where they would overlap."""
    step = (_WIDTH - _LEFT - 6) / len(names)
    y, anchor, degrees = (base + 14, "end", -45) if is_crowded else (base + 22, "middle", 0)
    return [
        text(_LEFT + (i + 0.5) * step, y, name, css="name", anchor=anchor, degrees=degrees)
        for i, name in enumerate(names)
    ]
