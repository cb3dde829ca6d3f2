"""Coverage as text: what was judged, what was not, the reasons, and what to change."""

from __future__ import annotations

from collections.abc import Mapping

from monitor.core.drift.coverage import Coverage, joined
from monitor.core.incidents.text import share_text
from monitor.core.windowing.window_length import first_verdict_text, length_advice
from schemas.config.model import ModelConfig
from schemas.results import Reason

ENOUGH = 0.95
"""Share of judged events from which a run without incident is reported as quiet."""

MAX_NAMED = 4
"""Maximum number of segments named in a line."""

ModelName = tuple[str, str]

_BASELINE = "build one: driftline baseline build MODEL.yaml --reference FILE"
_ADVICE = {
    Reason.NO_BASELINE: _BASELINE,
    Reason.PROFILE_CHANGED: "a baseline became active within the window; later windows are judged",
    Reason.NO_DATA: "the baseline has no rows for this hour of the week: build one from more weeks",
    Reason.PIPELINE: "see the pipeline alert: rejected or late events are missing",
    Reason.TOO_MANY_VERSIONS: "more than 64 versions at once: send a shorter model_version",
    Reason.SEGMENT_UNKNOWN: "build a baseline that has these segments",
}

_SEGMENT = {
    "no_data": "no rows; do the events carry it, with the values of the baseline?",
    "too_few_samples": "too few rows",
}
_FEW_ROWS = "a longer window.length would have more"


def coverage_lines(
    coverages: Mapping[ModelName, Coverage],
    configs: Mapping[ModelName, ModelConfig],
    n_read: int | None = None,
) -> list[str]:
    """Return a line with judged counts, and one line per reason for no verdict.

    Parameters
    ----------
    n_read : int, optional
        All events read: accepted, rejected and late. By default the counted events.
    """
    total = joined(coverages)
    n_read = total.n_rows if n_read is None else n_read
    n_windows, n_cells = total.windows.total(), total.cells.total()
    lines = [
        f"Judged: {total.n_rows_judged:,} of {n_read:,} events"
        f" ({share_text(judged_share(total, n_read))}), {total.windows['']:,} of {n_windows:,} "
        f"windows with events, {total.cells['']:,} of {n_cells:,} cells."
    ]
    for name, coverage in sorted(coverages.items()):
        lines += _reasons(name[1], coverage, configs.get(name))
        lines += _segments(name[1], coverage, configs.get(name))
    return lines


def judged_share(coverage: Coverage, n_read: int) -> float:
    """Return the share of read events that were in a window with a verdict."""
    return coverage.n_rows_judged / n_read if n_read else 0.0


def conclusion(coverage: Coverage, n_read: int) -> str:
    """Return the conclusion of a run without incidents.

    Examples
    --------
    >>> coverage = Coverage()
    >>> conclusion(coverage, 100)
    'Nothing was judged: drift of the models is unknown.'
    >>> coverage.note(50, "")
    >>> conclusion(coverage, 100)
    'No drift in the 50 % of the events that were judged; the others were not judged.'
    >>> conclusion(coverage, 50)
    'Quiet.'
    >>> coverage.note_cell("*", "")
    >>> coverage.note_cell("region=eu", "no_data")
    >>> conclusion(coverage, 50)
    'Quiet where there was a verdict; region=eu had none.'
    """
    share = judged_share(coverage, n_read)
    if not coverage.n_rows_judged:
        return "Nothing was judged: drift of the models is unknown."
    if share < ENOUGH:
        return (
            f"No drift in the {share_text(share)} of the events that were judged; "
            "the others were not judged."
        )
    missing = coverage.unjudged_segments()
    if missing:
        return f"Quiet where there was a verdict; {_named(list(missing))} had none."
    return "Quiet."


def _reasons(model: str, coverage: Coverage, config: ModelConfig | None) -> list[str]:
    """Return one line per reason of a model, ordered by number of rows."""
    found = [(n, reason) for reason, n in coverage.rows.items() if reason and n]
    lines = []
    for n, reason in sorted(found, reverse=True):
        n_windows = coverage.windows[reason]
        counted = f"{n:,} event{'s' * (n != 1)} in {n_windows:,} window{'s' * (n_windows != 1)}"
        # a few small windows at the ends of a file are not evidence about the length
        is_few = n < (1 - ENOUGH) * coverage.n_rows
        why = _why(reason, n / n_windows, None if is_few else config)
        lines.append(f"  {model}: {counted} not judged, {why}")
    return lines


def _segments(model: str, coverage: Coverage, config: ModelConfig | None) -> list[str]:
    """Return one line per reason for segments without any verdict."""
    texts = _SEGMENT
    if config is not None:
        rows = _FEW_ROWS if config.decision.rule == 1 else first_verdict_text(config.tick_us)
        texts = {**_SEGMENT, Reason.TOO_FEW_SAMPLES.value: f"too few rows; {rows}"}
    by_reason: dict[str, list[str]] = {}
    for segment, reason in coverage.unjudged_segments().items():
        by_reason.setdefault(reason, []).append(segment)
    return [
        f"  {model}: no verdict in any window for {_named(segments)}: "
        f"{texts.get(reason, reason.replace('_', ' '))}"
        for reason, segments in sorted(by_reason.items())
    ]


def _named(segments: list[str]) -> str:
    """Return the names of the first segments, and the number of others."""
    shown = ", ".join(segments[:MAX_NAMED])
    n_more = len(segments) - MAX_NAMED
    return f"{shown} and {n_more:,} more" if n_more > 0 else shown


def _why(reason: str, rows: float, config: ModelConfig | None) -> str:
    """Return a reason with what to change."""
    if reason == Reason.TOO_FEW_SAMPLES and config is not None and config.decision.rule != 1:
        return f"too few ticks with rows; {first_verdict_text(config.tick_us)}"
    if reason == Reason.TOO_FEW_SAMPLES and config is not None:
        window, min_rows = config.window, config.decision.min_rows
        advice = length_advice(rows, window.length_us, min_rows, window.pane_us)
        return f"too few rows: {rows:.0f} a window, a verdict needs {min_rows}; {advice}"
    advice = _ADVICE.get(Reason(reason), "")
    return reason.replace("_", " ") + (f"; {advice}" if advice else "")
