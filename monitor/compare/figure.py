"""The overlaid histograms of a variable as SVG."""

from __future__ import annotations

from markupsafe import Markup

from monitor.compare.picture import MISSING
from monitor.compare.results import Picture
from monitor.drawing.bars import category_rows, share_grid, shares_of
from monitor.drawing.svg import path, picture, rect, text

WIDTH, BASE, LEFT = 400.0, 170.0, 42.0
MAX_NAME = 14
"""Characters of a category that fit beside its bars."""


def histogram_figure(name: str, histograms: Picture) -> Markup:
    """Draw the reference as bars and the current rows as a line over them.

    Parameters
    ----------
    name : str
        Of the variable.
    histograms : Picture
        Categories are drawn as rows, one bar above the other.

    Returns
    -------
    Markup
        SVG.
    """
    title = f"{name}: reference against current"
    reference, current = shares_of(histograms.reference), shares_of(histograms.current)
    bars = list(zip(histograms.labels, reference.tolist(), current.tolist(), strict=True))
    if histograms.is_ordered:
        return _overlaid(bars, histograms, title)
    return category_rows([(_short(label), p, q) for label, p, q in bars], title)


def _overlaid(bars: list[tuple[str, float, float]], histograms: Picture, title: str) -> Markup:
    """Return the columns side by side, and the rows without a value apart at the right."""
    highest = max(max(p, q) for _, p, q in bars) or 1.0
    has_missing = bars[-1][0] == MISSING
    n = len(bars) - has_missing
    step = (WIDTH - LEFT - 6 - 20 * has_missing) / max(len(bars), 1)

    def at_x(i: int) -> float:
        return LEFT + i * step + (20 if i >= n and has_missing else 0)

    def at_y(share: float) -> float:
        return BASE - share / highest * (BASE - 14)

    marks = share_grid(highest, LEFT, WIDTH, BASE)
    outline: list[tuple[float, float]] = []
    for i, (label, p, q) in enumerate(bars):
        tip = f"{label}: reference {p:.2%}, current {q:.2%}"
        wide = step - (0.6 if step > 2 else 0)
        marks.append(rect(at_x(i), at_y(p), wide, BASE - at_y(p), css="ref fill", title=tip))
        if i == n and has_missing:
            outline.append((float("nan"), 0.0))
        outline += [(at_x(i), at_y(q)), (at_x(i) + step, at_y(q))]
    marks.append(path(outline, css="cur", title="current"))
    marks += [
        text(at_x(0) + x * step, BASE + 16, words, css="tick", anchor=anchor)
        for x, words, anchor in _ticks(histograms, n)
    ]
    if has_missing:
        marks.append(text(WIDTH - 4, BASE + 32, MISSING, css="strong", anchor="end"))
    return picture(WIDTH, BASE + (38 if has_missing else 22), title, marks)


def _ticks(histograms: Picture, n: int) -> list[tuple[float, str, str]]:
    """About five labels: (column, words, anchor); edges of bins, middles of single numbers."""
    edges = histograms.edges.tolist()
    if not edges:
        every = max(1, -(-n // 8))
        return [(i + 0.5, histograms.labels[i], "middle") for i in range(0, n, every)]
    chosen = [round(k * n / 4) for k in range(5)]
    anchors = ["start", "middle", "middle", "middle", "end"]
    return [(i, _written(edges[i]), a) for i, a in zip(chosen, anchors, strict=True)]


def _written(edge: float) -> str:
    """Format an edge so that five of them fit below the picture."""
    return f"{edge:,.0f}" if 1_000 <= abs(edge) < 10_000_000 else f"{edge:.3g}"


def _short(label: str) -> str:
    """Shorten a long category name."""
    return label if len(label) <= MAX_NAME else label[: MAX_NAME - 1] + "…"
