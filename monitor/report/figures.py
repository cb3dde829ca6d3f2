"""Figures over time and by replica: evidence, GPUs, scores."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup

from monitor.core.incidents.evidence_text import rarity_text, rarity_ticks
from monitor.drawing.bars import shares_of
from monitor.drawing.svg import line, path, picture, rect, text, time_ticks
from monitor.report.content import EvidenceLine, GpuLane, ReplicaPanel, Span
from schemas.time_text import short_text


def evidence_figure(
    lines: Sequence[EvidenceLine],
    spans: Sequence[Span],
    threshold: float | None,
    start_us: int,
    end_us: int,
) -> Markup:
    """Draw the evidence by window, the threshold, and when each fault was planted.

    Parameters
    ----------
    lines : sequence of EvidenceLine
        Those without a cause are drawn first, in grey.
    spans : sequence of Span
        Shaded.
    threshold : float or None
        What log M must reach.
    start_us, end_us : int
        The time axis.

    Returns
    -------
    Markup
        SVG.

    Notes
    -----
    Evidence below -4 is drawn at -4: how far below zero says nothing.
    """
    width, height, left, top, bottom = 760.0, 300.0, 40.0, 46.0, 30.0
    values = [v.evidence[np.isfinite(v.evidence)] for v in lines]
    highest = max([float(v.max()) for v in values if len(v)] + [(threshold or 0) * 1.25, 1.0])
    low = -4.0

    def at_x(time_us: float) -> float:
        return left + (time_us - start_us) / (end_us - start_us) * (width - left - 8)

    def at_y(value: float) -> float:
        share = (max(value, low) - low) / (highest * 1.05 - low)
        return height - bottom - share * (height - bottom - top)

    marks: list[Markup] = []
    for i, span in enumerate(spans):
        x0, x1 = at_x(span.start_us), at_x(span.end_us)
        tip = f"{span.label}: {short_text(span.start_us)} to {short_text(span.end_us)}"
        marks.append(
            rect(x0, top, x1 - x0, height - top - bottom, css=f"span {span.cause}", title=tip)
        )
        # Two rows of labels, so that neighbours do not collide on a narrow screen.
        y, anchor = (16 if i % 2 else 34), "start" if x0 < width * 0.6 else "end"
        marks.append(
            text(x0 if anchor == "start" else x1, y, span.label, css="strong", anchor=anchor)
        )
    for value, label in rarity_ticks(0.0, highest * 1.05):
        marks.append(line(left, at_y(value), width - 8, at_y(value), css="grid"))
        marks.append(text(left - 6, at_y(value) + 4, label, css="tick", anchor="end"))
    marks += [
        text(at_x(t), height - 10, label, css="tick", anchor="middle")
        for t, label in time_ticks(start_us, end_us)
    ]
    for series in sorted(lines, key=lambda s: s.cause is not None):
        points = [
            (at_x(t), at_y(v) if np.isfinite(v) else float("nan"))
            for t, v in zip(series.time_us.tolist(), series.evidence.tolist(), strict=True)
        ]
        marks.append(path(points, css=str(series.cause or "ref"), title=series.label))
    if threshold is not None:
        level = at_y(threshold)
        marks.append(line(left, level, width - 8, level, css="threshold"))
        marks.append(
            text(
                left + 4, level - 6, f"fires: once in {rarity_text(threshold)} windows", css="tick"
            )
        )
    return picture(width, height, "Evidence by window against the threshold", marks)


def replica_figure(panel: ReplicaPanel) -> Markup:
    """Draw one replica's scores as bars, all other replicas' as a line over them.

    Returns
    -------
    Markup
        SVG.
    """
    width, height, base = 220, 120, 98
    own, others = shares_of(panel.counts), shares_of(panel.others)
    highest = max(float(own.max()), float(others.max()), 1e-9)
    step = (width - 12) / len(own)
    marks = [line(6, base, width - 6, base, css="axis")]
    for i, share in enumerate(own.tolist()):
        tall = share / highest * (base - 8)
        tip = f"score {i / len(own):.2f} to {(i + 1) / len(own):.2f}: {share:.1%}"
        css = "hardware fill" if panel.is_faulty else "cur fill"
        marks.append(rect(6 + i * step, base - tall, step - 1, tall, css=css, title=tip))
    outline = []
    for i, share in enumerate(others.tolist()):
        y = base - share / highest * (base - 8)
        outline += [(6 + i * step, y), (6 + (i + 1) * step, y)]
    marks.append(path(outline, css="others", title="all other replicas"))
    marks += [
        text(x, height - 6, label, css="tick", anchor=anchor)
        for x, label, anchor in ((6, "0", "start"), (110, "score", "middle"), (214, "1", "end"))
    ]
    return picture(width, height, f"Scores of {panel.label} against the other replicas", marks)


def gpu_figure(
    lanes: Sequence[GpuLane], spans: Sequence[Span], start_us: int, end_us: int
) -> Markup:
    """Draw a lane for each GPU: double-bit errors as ticks, XIDs as flags.

    Parameters
    ----------
    spans : sequence of Span
        Shaded behind the lanes.
    start_us, end_us : int
        The time axis.

    Returns
    -------
    Markup
        SVG.
    """
    width, left, tall = 760, 118, 24
    height = 14 + tall * len(lanes) + 26

    def at_x(time_us: float) -> float:
        return left + (time_us - start_us) / (end_us - start_us) * (width - left - 8)

    marks = [
        rect(
            at_x(s.start_us), 8, at_x(s.end_us) - at_x(s.start_us), tall * len(lanes),
            css=f"span {s.cause}", title=s.label,
        )
        for s in spans
    ]  # fmt: skip
    for i, lane in enumerate(lanes):
        y = 14 + i * tall
        marks.append(text(left - 8, y + 10, lane.label, css="tick", anchor="end"))
        tip = f"{lane.label}: {lane.n_samples} samples"
        marks.append(rect(left, y + 3, width - left - 8, 6, css="lane", title=tip, round_=3))
        marks += [
            rect(
                at_x(t), y, 1.6, 12, css="hardware fill", title=f"double-bit error {short_text(t)}"
            )
            for t in lane.time_us.tolist()
        ]
        for time_us, code in lane.xids:
            x = at_x(time_us)
            marks.append(
                rect(x - 2, y - 3, 3, 18, css="flag", title=f"XID {code} {short_text(time_us)}")
            )
            marks.append(text(x - 6, y + 10, f"XID {code}", css="strong halo", anchor="end"))
    marks += [
        text(at_x(t), height - 8, label, css="tick", anchor="middle")
        for t, label in time_ticks(start_us, end_us)
    ]
    return picture(width, height, "What each GPU reported", marks)
