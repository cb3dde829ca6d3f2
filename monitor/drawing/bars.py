"""Reference against current, as pairs of bars: what the window that fired looked like."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from monitor.drawing.svg import line, picture, rect, text
from schemas.alerts import Alert
from schemas.panes import MISSING, N_COUNTERS, OVERFLOW, UNDERFLOW, UNSEEN

MAX_ROWS = 16
"""Categories drawn one by one; the rest share a row."""
MAX_COLUMNS = 20
_SPECIAL = (
    (UNDERFLOW, "below minimum"),
    (OVERFLOW, "above maximum"),
    (MISSING, "missing"),
    (UNSEEN, "never seen"),
)
_NUMBER = r"-?(?:\d[\d.]*(?:e[+-]?\d+)?|inf)"
INTERVAL = re.compile(rf"({_NUMBER}) to ({_NUMBER})")
"""How ``monitor.core.drift.cells.bin_labels`` writes a bin; categories are written as they are."""


def change_figure(alert: Alert) -> Markup:
    """Draw shares of the reference beside those of the window that fired.

    Parameters
    ----------
    alert : Alert
        With ``reference_counts`` and ``current_counts``, 64 counters each.

    Returns
    -------
    Markup
        SVG; empty where the alert carries no counts.

    Notes
    -----
    Ordered bins are drawn as at most 20 columns, neighbours merged; categories as
    rows, the largest first. Underflow, overflow, missing and never seen are shown
    when they hold anything.
    """
    if len(alert.reference_counts) != N_COUNTERS or len(alert.current_counts) != N_COUNTERS:
        return Markup("")
    reference = shares_of(alert.reference_counts)
    current = shares_of(alert.current_counts)
    labels = _used_labels(alert)
    is_ordered = all(INTERVAL.fullmatch(label) for label in labels)
    groups = _columns(labels) if is_ordered else _rows(labels, reference, current)
    extra = [([i], name) for i, name in _SPECIAL if reference[i] + current[i] > 0]
    bars = [
        (name, float(reference[index].sum()), float(current[index].sum()))
        for index, name in [*groups, *extra]
    ]
    title = f"{alert.feature or 'score'}: reference against current"
    if is_ordered:
        return _vertical(bars, len(groups), title)
    return category_rows(bars, title)


def shares_of(counts: Sequence[int] | NDArray[np.int64]) -> NDArray[np.float64]:
    """Turn counts into shares of their sum.

    Returns
    -------
    ndarray of float64, shape (n,)
        Zeros where there are none.

    Examples
    --------
    >>> shares_of([1, 3]).tolist()
    [0.25, 0.75]
    """
    array = np.asarray(counts, np.float64)
    return array / max(float(array.sum()), 1.0)


def _used_labels(alert: Alert) -> list[str]:
    """Labels of the bins in use; numbered where the alert brings none."""
    labels = list(alert.bin_labels[:60])
    while labels and not labels[-1]:
        labels.pop()
    if labels:
        return labels
    held = np.flatnonzero(np.add(alert.reference_counts, alert.current_counts)[:60])
    n_used = int(held[-1]) + 1 if len(held) else 1
    return [f"{i} to {i + 1}" for i in range(n_used)]


def _columns(labels: list[str]) -> list[tuple[list[int], str]]:
    """Merge neighbouring bins into at most 20 groups; (indices, label)."""
    cuts = np.linspace(0, len(labels), min(len(labels), MAX_COLUMNS) + 1).round().astype(int)
    ends = [(label.split(" to ")[0], label.split(" to ")[1]) for label in labels]
    return [
        (list(range(first, stop)), f"{ends[first][0]} to {ends[stop - 1][1]}")
        for first, stop in pairwise(cuts.tolist())
    ]


def _rows(
    labels: list[str], reference: NDArray[np.float64], current: NDArray[np.float64]
) -> list[tuple[list[int], str]]:
    """Largest categories one by one, the rest together; (indices, label)."""
    size = np.maximum(reference, current)[: len(labels)]
    order = np.argsort(-size, kind="stable").tolist()
    shown, rest = order[:MAX_ROWS], order[MAX_ROWS:]
    groups = [([i], labels[i]) for i in shown]
    return [*groups, (rest, f"{len(rest)} others")] if rest else groups


def _vertical(bars: list[tuple[str, float, float]], n_ordered: int, title: str) -> Markup:
    """Draw pairs of columns; the special counters are set apart at the right, named below."""
    width, base, left = 400, 160, 42
    height = base + 24 + 16 * (len(bars) - n_ordered)
    highest = max(max(r, c) for _, r, c in bars) or 1.0
    gap = 14 if len(bars) > n_ordered else 0
    step = (width - left - 6 - gap) / len(bars)
    marks = share_grid(highest, left, width, base)
    for i, (name, reference, current) in enumerate(bars):
        x = left + i * step + (gap if i >= n_ordered else 0)
        for j, (css, share) in enumerate((("ref", reference), ("cur", current))):
            tall = share / highest * (base - 14)
            tip = f"{name}: {'reference' if j == 0 else 'current'} {share:.1%}"
            wide = step * 0.44
            marks.append(
                rect(x + j * wide, base - tall, wide - 0.6, tall, css=f"{css} fill", title=tip)
            )
        if i >= n_ordered:
            y = base + 32 + 16 * (i - n_ordered)
            marks.append(text(x + step * 0.9, y, name, css="strong", anchor="end"))
    edges = [name.split(" to ")[0] for name, _, _ in bars[:n_ordered]]
    edges.append(bars[n_ordered - 1][0].split(" to ")[1])
    every = max(1, round(n_ordered / 4))
    for i in [*range(0, n_ordered - every // 2, every), n_ordered]:
        is_outermost = i == n_ordered and not gap
        anchor = "start" if i == 0 else "end" if is_outermost else "middle"
        marks.append(text(left + i * step, base + 16, _short(edges[i]), css="tick", anchor=anchor))
    return picture(width, height, title, marks)


def _short(edge: str) -> str:
    """An edge with three digits, so that axis labels do not collide."""
    return f"{float(edge):.3g}"


def share_grid(
    highest: float, left: float, width: float, base: float, top: float = 14
) -> list[Markup]:
    """Draw horizontal lines at round shares.

    Parameters
    ----------
    highest : float
        The largest share.
    left, width : float
        Where the lines begin, and the picture's width.
    base : float
        y of share 0.
    top : float, optional
        y of the largest share.

    Returns
    -------
    list of Markup
        Marks.
    """
    step = next(s for s in (0.01, 0.02, 0.05, 0.1, 0.2, 0.5) if highest / s <= 6 or s == 0.5)
    marks = [line(left, base, width - 6, base, css="axis")]
    for share in np.arange(step, highest + 1e-9, step):
        y = base - share / highest * (base - top)
        marks.append(line(left, y, width - 6, y, css="grid"))
        marks.append(text(left - 6, y + 4, f"{share:.0%}", css="tick", anchor="end"))
    return marks


def category_rows(bars: Sequence[tuple[str, float, float]], title: str) -> Markup:
    """Draw one row a category: the reference's bar above the current one, shares written out.

    Parameters
    ----------
    bars : sequence of (str, float, float)
        Name, and shares of the reference and of the current rows.
    title : str
        Read aloud by screen readers.

    Returns
    -------
    Markup
        SVG.
    """
    width, left, tall = 400, 96, 30
    height = 10 + tall * len(bars)
    highest = max(max(r, c) for _, r, c in bars) or 1.0
    marks: list[Markup] = []
    for i, (name, reference, current) in enumerate(bars):
        y = 6 + i * tall
        is_new = reference == 0 and current > 0
        marks.append(text(left - 8, y + 15, name, css="strong" if is_new else "tick", anchor="end"))
        for j, (css, share) in enumerate((("ref", reference), ("cur", current))):
            wide = share / highest * (width - left - 52)
            marks.append(rect(left, y + j * 11, max(wide, 1), 10, css=f"{css} fill", round_=1))
            marks.append(text(left + max(wide, 1) + 5, y + j * 11 + 9, f"{share:.1%}", css="tiny"))
    return picture(width, height, title, marks)
