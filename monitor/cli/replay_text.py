"""Prints the result of a replay."""

from __future__ import annotations

import shlex
from collections.abc import Mapping

import typer

from monitor.app.short_path import shortest
from monitor.cli.terminal.command_hints import as_started
from monitor.core.drift.coverage_text import ENOUGH, conclusion, coverage_lines
from monitor.core.incidents.slices.text import hint_text
from monitor.core.incidents.text import share_text
from monitor.replay.outcome import ReplayOutcome
from schemas.spelling import spell_controls

_FOUND = "SELECT time, severity, title FROM alerts FINAL ORDER BY time"
_REFUSED = "SELECT reason, detail, source, offset FROM dead_letters FINAL"
_NO_MODEL = "missing required field `model`"
_NOT_EVENTS = (
    '  A JSON event names its model: {"model": ..., "time_us": ..., "features": {...}}. '
    "Rows of a table are read from Parquet, CSV, Arrow or ORC."
)


def print_outcome(outcome: ReplayOutcome) -> None:
    """Print counts of events, coverage, alerts and incidents, and a query for details."""
    _print_events(outcome)
    if outcome.n_read:
        for line in coverage_lines(outcome.coverages, outcome.configs, outcome.n_read):
            typer.echo(spell_controls(line))
    typer.echo(_result(outcome))
    for incident in outcome.incidents:
        hint = outcome.hints.get(incident.incident_id)
        if hint is not None and hint.slices:
            typer.echo(f"hint: {spell_controls(incident.title)}: {hint_text(hint)}")
    if outcome.store is not None:
        is_found = outcome.incidents or not sum(outcome.rejected.values())
        question = _FOUND if is_found else _REFUSED
        where = outcome.store if "://" in outcome.store else shortest(outcome.store)
        typer.echo(as_started(f'query: driftline sql --store {shlex.quote(where)} "{question}"'))


def _print_events(outcome: ReplayOutcome) -> None:
    """Print counts of events, rejections with reasons, and repeated IDs."""
    typer.echo(
        f"{_counted_text(outcome.n_accepted, 'event')} accepted, {outcome.n_refused:,} rejected, "
        f"{outcome.n_late:,} too late; {_counted_text(outcome.n_windows, 'window')}."
    )
    for side, (n, n_rejected) in _sides(outcome).items():
        if n_rejected:
            typer.echo(f"{side[0].upper()}{side[1:]}: {n:,} read, {n_rejected:,} rejected.")
    for reason, n in outcome.rejected.items():
        example = outcome.rejected_examples.get(reason, "")
        typer.echo(f"  {n:,} {reason.replace('_', ' ')}, e.g. {spell_controls(example)}")
        if not outcome.n_accepted and _NO_MODEL in example:
            typer.echo(_NOT_EVENTS)
    n_repeated = outcome.n_repeated_ids
    if n_repeated:
        share = share_text(n_repeated / max(outcome.n_accepted + outcome.n_late, 1))
        typer.echo(
            f"  {n_repeated:,} repeated ids ({share}): each is counted again in windows, as an "
            "independent row; the store keeps one per model, time and id"
        )


def _result(outcome: ReplayOutcome) -> str:
    """Return the line with the number of incidents, or with the verdict if there were none."""
    n = len(outcome.incidents)
    if n:
        return f"{_counted_text(n, 'incident')}, {_counted_text(len(outcome.alerts), 'alert')}."
    if not outcome.n_accepted:
        return "Nothing to judge."
    quiet = conclusion(outcome.coverage, outcome.n_read)
    missing = _mostly_rejected(_sides(outcome))
    return f"{quiet.removesuffix('.')}, but {missing}." if missing else quiet


def _sides(outcome: ReplayOutcome) -> dict[str, tuple[int, int]]:
    """Return accepted and rejected counts of labels and telemetry."""
    return {
        "labels": (outcome.n_labels, outcome.n_labels_rejected),
        "GPU events": (outcome.n_gpu_events, outcome.n_gpu_events_rejected),
    }


def _mostly_rejected(sides: Mapping[str, tuple[int, int]]) -> str:
    """Return a text if more than a twentieth of labels or telemetry was rejected.

    Examples
    --------
    >>> _mostly_rejected({"labels": (10, 30), "GPU events": (99, 1)})
    '75 % of the labels were rejected'
    """
    found = []
    for side, (n, n_rejected) in sides.items():
        share = n_rejected / (n_rejected + n) if n_rejected else 0.0
        if share > 1 - ENOUGH:
            found.append(f"{share_text(share)} of the {side} were rejected")
    return " and ".join(found)


def _counted_text(n: int, noun: str) -> str:
    """Format a number with its noun.

    Examples
    --------
    >>> _counted_text(1, "window"), _counted_text(2000, "event")
    ('1 window', '2,000 events')
    """
    return f"{n:,} {noun}{'s' * (n != 1)}"
