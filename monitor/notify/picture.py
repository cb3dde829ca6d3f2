"""A picture of the cell that fired: the baseline's shares beside the window's."""

from __future__ import annotations

import io
import re
import textwrap
from dataclasses import dataclass

from monitor.core.evidence import window_us_of
from monitor.core.incident_text import share_text
from schemas.alerts import Alert
from schemas.monitors import Monitor
from schemas.panes import MISSING, N_BINS, OVERFLOW, UNDERFLOW, UNSEEN
from schemas.time_text import clock_text

_SPECIAL = ((UNDERFLOW, "below"), (OVERFLOW, "above"), (MISSING, "missing"), (UNSEEN, "unseen"))
_RANGE = " to "
"""Between the ends of a numeric bin, as ``monitor.core.cells.bin_labels`` writes it."""
_DASH = " – "
_NUMBER = r"-?(?:\d[\d.]*(?:e[+-]?\d+)?|inf)"
_INTERVAL = re.compile(f"{_NUMBER}{_RANGE}{_NUMBER}")
_MAX_BARS = 12
_MAX_NAME = 16
_GREY, _BLUE, _RED = "#b4b9c1", "#3b76c4", "#d1343f"
# 8 x 4.4 inches at 150 dots: 1200 x 660, twice what Slack shows in a thread, and text
# of 11 points stays readable at half that size.
_SIZE_INCHES, _DPI = (8.0, 4.4), 150


@dataclass(frozen=True, slots=True)
class Bars:
    """What is drawn: one name and two shares a bar."""

    names: tuple[str, ...]
    reference: tuple[float, ...]
    """Shares of the baseline's rows, 0 to 1."""
    current: tuple[float, ...]


def gather_bars(alert: Alert) -> Bars:
    """Choose at most 12 bars, and the special ones that hold anything.

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
    is_numeric = all(_INTERVAL.fullmatch(name) for name in names)
    groups = _join_neighbours(names, pairs) if is_numeric else _join_small(names, pairs)
    groups += [(name, *pairs[i]) for i, name in _SPECIAL if sum(pairs[i])]
    n_reference, n_current = max(sum(reference), 1), max(sum(current), 1)
    return Bars(
        tuple(name for name, _, _ in groups),
        tuple(r / n_reference for _, r, _ in groups),
        tuple(c / n_current for _, _, c in groups),
    )


def _join_neighbours(names: list[str], pairs: list[tuple[int, int]]) -> list[tuple[str, int, int]]:
    """Join numeric bins, in order, until few enough are left."""
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
    """Keep the categories that matter on either side; the rest become "others"."""
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
        Over the picture.

    Returns
    -------
    bytes
        A PNG, 1200 x 660 pixels.

    Notes
    -----
    The bar that grew most is red. Matplotlib is imported here, for its half second, and
    drawn without pyplot: no display, no global state, safe beside other drawings.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    bars = gather_bars(alert)
    figure = Figure(figsize=_SIZE_INCHES, dpi=_DPI, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    gains = [c - r for r, c in zip(bars.reference, bars.current, strict=True)]
    most = max(range(len(gains)), key=gains.__getitem__)
    colours = [_RED if i == most else _BLUE for i in range(len(gains))]
    places = range(len(bars.names))
    reference = [100 * share for share in bars.reference]
    current = [100 * share for share in bars.current]
    who = "other replicas" if alert.monitor == Monitor.REPLICA else "baseline"
    axes.bar(
        [x - 0.2 for x in places],
        reference,
        0.4,
        color=_GREY,
        label=f"{who}, {sum(alert.reference_counts):,} rows",
    )
    # The counts are those of the alert's last window, not of the whole run.
    start_us = alert.window_end_us - window_us_of(alert, 0)
    window = f"{clock_text(start_us)[:5]} to {clock_text(alert.window_end_us)}"
    axes.bar(
        [x + 0.2 for x in places],
        current,
        0.4,
        color=colours,
        label=f"{window}, {sum(alert.current_counts):,} rows",
    )
    axes.annotate(
        share_text(current[most] / 100),
        (most + 0.2, current[most]),
        xytext=(0, 3),
        textcoords="offset points",
        ha="center",
        color=_RED,
        fontsize=11,
        fontweight="bold",
    )
    _dress(axes, bars, alert, title, max([*reference, *current]))
    output = io.BytesIO()
    figure.savefig(output, format="png")
    return output.getvalue()


def _dress(axes, bars: Bars, alert: Alert, title: str, highest: float) -> None:  # type: ignore[no-untyped-def]
    """Put names, axes and a legend to the bars."""
    names = [n if len(n) <= _MAX_NAME else n[: _MAX_NAME - 1] + "…" for n in bars.names]
    is_crowded = len(names) > 6 or any(len(name) > 10 for name in names)
    axes.set_xticks(
        range(len(names)),
        names,
        rotation=35 if is_crowded else 0,
        ha="right" if is_crowded else "center",
        rotation_mode="anchor" if is_crowded else "default",
        fontsize=11,
    )
    axes.tick_params(axis="y", labelsize=11)
    axes.tick_params(axis="both", length=0)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g} %")
    axes.set_ylim(0, max(highest * 1.12, 1))
    axes.set_ylabel("share of rows", fontsize=11)
    place = "" if alert.segment in ("*", "") else f" ({alert.segment})"
    axes.set_xlabel(f"{alert.feature}{place}", fontsize=12)
    # Mathtext would read a dollar sign in a feature's name as a formula; the pad leaves
    # room for the legend between title and bars, where it covers neither.
    axes.set_title(
        _wrap(title), fontsize=12, fontweight="bold", loc="left", pad=28, parse_math=False
    )
    axes.grid(axis="y", color="#e6e8eb", linewidth=0.8)
    axes.set_axisbelow(True)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.legend(
        loc="lower left",
        bbox_to_anchor=(-0.01, 1.0),
        ncols=2,
        frameon=False,
        fontsize=10.5,
        borderaxespad=0.2,
        handlelength=1.2,
    )


def _wrap(title: str) -> str:
    """Break a title in at most two lines."""
    return "\n".join(textwrap.wrap(title, 62, max_lines=2, placeholder=" …"))
