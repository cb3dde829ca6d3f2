"""Tables and pictures for ``docs/quality``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from math import isnan, log10
from pathlib import Path

from benchmarks.quality.ours import Delay, Nights
from benchmarks.quality.sides import OURS, Found, Side

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "quality"
_INK, _OURS, _PEER = "#57606a", "#1a7f37", "#8c959f"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Write a Markdown table."""
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)]) + "\n"


def number(value: float) -> str:
    """Two digits; a dash where there is none."""
    return "-" if isnan(value) else f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def write(
    nights: Sequence[Nights],
    delays: dict[str, Delay],
    quiet: Sequence[Side],
    found: Sequence[Found],
    n_features: int,
) -> None:
    """Write ``README.md``, ``false-alarms.svg`` and ``delays.svg``."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / "false-alarms.svg").write_text(false_alarms(quiet))
    (FOLDER / "delays.svg").write_text(delay_lines(found))
    rates = table(
        ("setting", "model-months", "false pages", "a month", "95 % upper"),
        (
            (
                n.setting,
                f"{n.model_months:g}",
                str(n.n_firings),
                number(n.per_month),
                number(n.upper_95),
            )
            for n in nights
        ),
    )
    ours = table(
        ("planted, 1,000 rows a window", "mean windows until found", "found within 48"),
        ((name, number(d.n_windows), f"{d.power:.0%}") for name, d in delays.items()),
    )
    beside = table(
        ("stream, nothing wrong", "rule", "alarms a model-month"),
        ((s.stream, s.rule, number(s.n_alarms / s.model_months)) for s in quiet),
    )
    late = table(
        (
            "planted",
            "rule",
            "windows until found",
            "found within 24",
            "alarms in the quiet day before",
        ),
        (
            (f.change, f.rule, number(f.n_windows), f"{f.power:.0%}", number(f.alarms_before))
            for f in found
        ),
    )
    text = _PAGE.format(rates=rates, ours=ours, beside=beside, late=late, n=n_features)
    (FOLDER / "README.md").write_text(text)


_PAGE = """# How often it wakes people, and how soon it sees

Written by `python -m benchmarks.quality --write`; do not edit. Hourly windows, budget .1 false
pages a model and month, every firing counted as a page.

## Nothing is wrong

{n} features a model, each with a baseline of its own: 240 reference windows, from which
tolerance and design effect are learned. Wobble: .03 sd daily and .02 sd from window to window.
Clusters: rows in identical tens. Intervals are exact Poisson intervals.

{rates}
## Something is planted

{ours}
A change of correlation alone moves no marginal distribution: this rule cannot see it, and says
so here. `detectors.multivariate` can.

## Beside others

The same rows for every rule, 1,000 a window. evidently, nannyml, KS and chi-square by
`detectors.conventions`, river's by `detectors.sequential`; both agree with the peers' own code
(`tests/oracle`). Peers that read raw references get 10,000 rows of it. Ten Gaussian columns;
car_loan (8 columns) and employment (17 columns) drawn again from their reference, whole
households at a time.

![alarms a model-month while nothing is wrong](false-alarms.svg)

{beside}
![windows until a shift is found](delays.svg)

An alarm that would have come anyway is no detection: read the last column first.

{late}"""


def false_alarms(quiet: Sequence[Side]) -> str:
    """Bars on a logarithmic scale, one stream under the other."""
    marks, y = [], 24.0
    for stream in dict.fromkeys(s.stream for s in quiet):
        marks.append(_text(8, y, stream, weight="bold"))
        y += 18
        for side in (s for s in quiet if s.stream == stream):
            rate = side.n_alarms / side.model_months
            width = 0.0 if rate <= 0 else max(2.0, 90 * (log10(rate) + 1))
            colour = _OURS if side.rule == OURS else _PEER
            marks.append(_text(190, y + 4, side.rule, anchor="end"))
            marks.append(
                f'<rect x="198" y="{y - 7:.0f}" width="{width:.0f}" height="13" fill="{colour}"/>'
            )
            marks.append(_text(204 + width, y + 4, number(rate)))
            y += 18
        y += 10
    return _svg(680, y, marks)


def delay_lines(found: Sequence[Found]) -> str:
    """Mean delay by the size of a Gaussian shift, one line a rule."""
    shifts = [f.change for f in found if f.rule == OURS and f.change.startswith("shift")]
    marks = [_text(60 + 130 * i, 272, name, anchor="middle") for i, name in enumerate(shifts)]
    for windows in (1, 2, 5, 10, 24):
        y = _height(windows)
        marks.append(f'<line x1="40" x2="480" y1="{y:.0f}" y2="{y:.0f}" stroke="#d0d7de"/>')
        marks.append(_text(34, y + 4, str(windows), anchor="end"))
    for rule in dict.fromkeys(f.rule for f in found):
        mine = {f.change: f for f in found if f.rule == rule and f.power >= 0.5}
        at = [(60 + 130 * i, _height(mine[s].n_windows)) for i, s in enumerate(shifts) if s in mine]
        if at:
            colour, width = (_OURS, 3) if rule == OURS else (_PEER, 1.5)
            points = " ".join(f"{x:.0f},{y:.0f}" for x, y in at)
            marks.append(
                f'<polyline points="{points}" fill="none" stroke="{colour}" '
                f'stroke-width="{width}"/>'
            )
            marks.append(_text(at[-1][0] + 8, at[-1][1] + 4, rule))
    return _svg(680, 290, marks)


def _height(windows: float) -> float:
    return 250 - 160 * log10(max(windows, 1.0))


def _text(x: float, y: float, words: str, *, anchor: str = "start", weight: str = "normal") -> str:
    return (
        f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}" font-weight="{weight}" '
        f'fill="{_INK}">{escape(words)}</text>'
    )


def _svg(width: float, height: float, marks: Sequence[str]) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" '
        f'font-family="sans-serif" font-size="12">{"".join(marks)}</svg>\n'
    )
