"""The evidence of one cell under two configs, and where each would have fired."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from monitor.core.incidents.evidence_text import rarity_text, rarity_ticks
from monitor.drawing.svg import line, path, picture, rect, text, time_ticks
from schemas.batch import Float64Array, Int64Array
from schemas.time_text import short_text

LOWEST = -4.0
"""Evidence below is drawn here: how far below zero says nothing."""
_WIDTH, _HEIGHT, _LEFT, _TOP, _BOTTOM = 760.0, 190.0, 40.0, 18.0, 26.0


@dataclass(frozen=True, slots=True)
class EvidenceTrack:
    """log M of one cell under one config."""

    name: str
    """``today`` or ``proposed``."""
    time_us: Int64Array
    """Shape (n,): ends of the windows, ascending."""
    evidence: Float64Array
    """Shape (n,)."""
    threshold: float
    """What it must reach."""
    fired_us: Sequence[int]
    """Ends of the windows in which the cell fired."""


@dataclass(frozen=True, slots=True)
class EvidencePanel:
    """One cell, under one config or two."""

    label: str
    tracks: Sequence[EvidenceTrack]


def evidence_panel(panel: EvidencePanel, start_us: int, end_us: int) -> Markup:
    """Draw each config's evidence, its threshold, and a mark where it fired.

    Parameters
    ----------
    panel : EvidencePanel
        The first track is drawn dark, the second in the colour of what is current.
    start_us, end_us : int
        The time axis.

    Returns
    -------
    Markup
        SVG.

    Notes
    -----
    Evidence above one and a half times the higher threshold is drawn there: what fires
    starts again, and one large shift would press everything else flat.
    """
    highest = 1.5 * max(track.threshold for track in panel.tracks)
    span_us = max(end_us - start_us, 1)

    def at_x(time_us: float) -> float:
        return _LEFT + (time_us - start_us) / span_us * (_WIDTH - _LEFT - 8)

    def at_y(value: float) -> float:
        share = (min(max(value, LOWEST), highest) - LOWEST) / (highest - LOWEST)
        return _HEIGHT - _BOTTOM - share * (_HEIGHT - _BOTTOM - _TOP)

    marks: list[Markup] = []
    for value, label in rarity_ticks(0.0, highest):
        marks.append(line(_LEFT, at_y(value), _WIDTH - 8, at_y(value), css="grid"))
        marks.append(text(_LEFT - 6, at_y(value) + 4, label, css="tick", anchor="end"))
    marks += [
        text(at_x(t), _HEIGHT - 8, label, css="tick", anchor="middle")
        for t, label in time_ticks(start_us, end_us)
    ]
    for i, track in enumerate(panel.tracks):
        marks += _track(track, i, at_x, at_y)
    return picture(_WIDTH, _HEIGHT, f"Evidence of {panel.label} by window", marks)


def _track(
    track: EvidenceTrack, i: int, at_x: Callable[[float], float], at_y: Callable[[float], float]
) -> list[Markup]:
    """Draw one config's line, threshold and marks; the marks of two are stacked."""
    css, fill = ("cur", "cur fill") if i else ("others", "flag")
    level = at_y(track.threshold)
    points = [
        (at_x(t), at_y(v) if np.isfinite(v) else at_y(LOWEST))
        for t, v in zip(track.time_us.tolist(), track.evidence.tolist(), strict=True)
    ]
    marks = [
        path(points, css=css, title=f"evidence, {track.name}"),
        line(_LEFT, level, _WIDTH - 8, level, css=f"threshold {css if i else ''}".rstrip()),
    ]
    label = f"{track.name} fires: once in {rarity_text(track.threshold)} windows"
    marks.append(text(_LEFT + 4 + 260 * i, _TOP - 6, label, css="tiny"))
    marks += [
        rect(at_x(t) - 2, _TOP + 7 * i, 4, 6, css=fill, title=f"{track.name} fires {short_text(t)}")
        for t in track.fired_us
    ]
    return marks
