"""Tables and pictures for ``docs/quality``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import log10
from pathlib import Path

from markupsafe import Markup

from benchmarks.quality.delays import HORIZON, QUIET_WINDOWS, RuleDelay
from benchmarks.quality.ours import Nights
from benchmarks.quality.sides import OURS, Found, RuleSide
from monitor.drawing.export import svg_file
from monitor.drawing.svg import line, path, picture, rect, text

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "quality"
# Grey is readable on the light and the dark ground of a page that shows the files.
_STYLE = """
svg text { fill:var(--soft); }
svg .own.fill { fill:var(--good); } svg .own.line { stroke:var(--good); stroke-width:3; }
svg .peer.fill { fill:var(--ref); } svg .peer.line { stroke:var(--ref); stroke-width:1.5; }
"""


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Write a Markdown table."""
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)]) + "\n"


def number(value: float | None) -> str:
    """Three digits; a dash where there is none."""
    return "-" if value is None else f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def write(
    nights: Sequence[Nights],
    delays: dict[str, RuleDelay],
    quiet: Sequence[RuleSide],
    found: Sequence[Found],
    n_features: int,
) -> None:
    """Write ``README.md``, ``false-alarms.svg`` and ``delays.svg``."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / "false-alarms.svg").write_text(false_alarms(quiet) + "\n")
    (FOLDER / "delays.svg").write_text(delay_lines(found) + "\n")
    text = _PAGE.format(
        rates=rates(nights),
        ours=own_delays(delays),
        beside=alarms(quiet),
        late=all_delays(found),
        n=n_features,
        horizon=HORIZON,
        quiet=QUIET_WINDOWS,
    )
    (FOLDER / "README.md").write_text(text)


def rates(nights: Sequence[Nights]) -> str:
    """Tabulate what fired without change, by firings and by models."""
    head = ("setting", "model-months", "firings", "per month", "95 % upper, rate")
    return table(
        (*head, "models that fired", "95 % upper, share of models"),
        (
            (
                *(n.setting, str(n.n_models), str(n.n_firings)),
                *(number(n.per_month), number(n.upper_95)),
                *(str(n.n_models_fired), number(n.upper_95_by_model)),
            )
            for n in nights
        ),
    )


def own_delays(delays: dict[str, RuleDelay]) -> str:
    """Tabulate the delay of our rule for each change."""
    return table(
        ("change, 1,000 rows per window", *_DELAY_HEAD),
        ((name, *_cells(d)) for name, d in delays.items()),
    )


def alarms(quiet: Sequence[RuleSide]) -> str:
    """Tabulate the alarms of every rule without change."""
    return table(
        ("stream without change", "rule", "alarms per model and month"),
        ((s.stream, s.rule, number(s.n_alarms / s.model_months)) for s in quiet),
    )


def all_delays(found: Sequence[Found]) -> str:
    """Tabulate the delay of every rule for each change."""
    return table(
        ("change", "rule", *_DELAY_HEAD),
        ((f.change, f.rule, *_cells(f.delay)) for f in found),
    )


_DELAY_HEAD = (
    "median windows until detected",
    f"detected within {HORIZON}",
    f"alarms per variable in the {QUIET_WINDOWS} windows before",
)


def _cells(delay: RuleDelay) -> tuple[str, str, str]:
    return number(delay.median), f"{delay.power:.0%}", number(delay.alarms_before)


_PAGE = """# Rule 1: false alarms and detection delays

Of `decision: {{rule: 1}}`, the default of earlier versions; [rule 2](rule-2.md) is the default now.

Written by `python -m benchmarks.quality --rule 1 --write`; do not edit. Hourly windows, a budget
of 0.1 false pages per model and month, every firing counted as a page.

## Without change

{n} features per model, each with its own baseline: 240 reference windows, from which tolerance
and design effect are learned. Wobble: 0.03 sd daily and 0.02 sd from window to window. Clusters:
rows in identical tens.

There are two intervals, both exact and two-sided, for two questions. "95 % upper, rate" belongs
to firings per model and month. It is a Poisson interval, which assumes independent firings. They
are not quite independent: a model draws its baselines once and keeps them for the month, so one
with an unlucky draw may fire again and again. Where there are more firings than models that
fired, this interval is too narrow. "95 % upper, share of models" belongs to the share of models
that fire at least once in a month (Clopper-Pearson). Models are independent, so it holds however
firings cluster, but it does not state how often such a model fires.

{rates}
## With a planted change

After {quiet} windows without change, in 50 variables. The median is over all of them; those in
which the change was not detected within {horizon} windows count as infinite, and a dash is an
infinite median.

{ours}
A change of correlation alone moves no marginal distribution: this rule cannot detect it.
`detectors.multivariate` can.

## Compared with other rules

The same rows for every rule, 1,000 per window, and the same {horizon} windows to detect a change.
An alarm is a window of a column in which a rule alarmed, however often. evidently, nannyml, KS
and chi-square by `detectors.conventions`, river's by `detectors.sequential`; both agree with the
peers' own code (`tests/oracle`). Peers that read raw references get 10,000 rows of it. river's
detectors read numbers only, value by value, in standard deviations from the reference's mean:
some of their defaults are in the unit of the stream. Ten Gaussian columns; car_loan (8 columns)
and employment (17 columns) from their reference year. One random half of the rows of car_loan,
or of the households of employment, is the baseline of every rule; windows are drawn with
replacement from the other half, whole households at a time. This is one draw of baselines and
one month per stream: read it for orders of magnitude.

![alarms per model and month without change](false-alarms.svg)

{beside}
![windows until a shift is detected](delays.svg)

An alarm that would have been raised without the change is not a detection: read the last column
first.

{late}"""


def false_alarms(quiet: Sequence[RuleSide]) -> str:
    """Draw bars on a logarithmic scale, one stream below the other."""
    marks, y = list[Markup](), 24.0
    for stream in dict.fromkeys(s.stream for s in quiet):
        marks.append(text(8, y, stream, css="strong"))
        y += 18
        for side in (s for s in quiet if s.stream == stream):
            rate = side.n_alarms / side.model_months
            width = 0.0 if rate <= 0 else max(2.0, 90 * (log10(rate) + 1))
            marks.append(text(190, y + 4, side.rule, css="tick", anchor="end"))
            marks.append(rect(198, y - 7, width, 13, css=f"{_css(side.rule)} fill"))
            marks.append(text(204 + width, y + 4, number(rate), css="tick"))
            y += 18
        y += 10
    return svg_file(picture(680, y, "Alarms a model-month while nothing is wrong", marks), _STYLE)


_LINE = 15
"""Between two labels: labels of rules that are equally fast are stacked."""


def delay_lines(found: Sequence[Found]) -> str:
    """Draw the median delay by the size of a Gaussian shift, and the alarms before it."""
    shifts = [f.change for f in found if f.rule == OURS and f.change.startswith("shift")]
    marks = [
        text(60 + 130 * i, 272, name, css="tick", anchor="middle") for i, name in enumerate(shifts)
    ]
    for windows in (1, 2, 5, 10, 24, 48):
        y = _height(windows)
        marks.append(line(40, y, 480, y, css="grid"))
        marks.append(text(34, y + 4, str(windows), css="tick", anchor="end"))
    labels: list[tuple[float, str]] = []
    for rule in dict.fromkeys(f.rule for f in found):
        mine = {f.change: f.delay.median for f in found if f.rule == rule}
        before = next(f.delay.alarms_before for f in found if f.rule == rule)
        at = [
            (60 + 130 * i, _height(median))
            for i, s in enumerate(shifts)
            if (median := mine.get(s)) is not None
        ]
        if at:
            marks.append(path(at, css=_css(rule)))
            labels.append((at[-1][1] + 4, f"{rule}; {number(before)} alarms before"))
    y = 0.0
    for wanted, words in sorted(labels):
        y = max(wanted, y + _LINE)
        marks.append(text(492, y, words, css="tick"))
    label = "Windows until a shift is found"
    return svg_file(picture(800, max(290, y + 20), label, marks), _STYLE)


def _height(windows: float) -> float:
    return 250 - 140 * log10(max(windows, 1.0))


def _css(rule: str) -> str:
    return "own" if rule == OURS else "peer"
