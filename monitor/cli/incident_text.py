"""Prints an incident."""

from __future__ import annotations

import typer

from monitor.app.stored_incidents import ShownIncident
from schemas.spelling import spell_controls
from schemas.time_text import weekday_text


def print_incident(found: ShownIncident) -> None:
    """Print an incident as a receiver is sent it, then its hint and what persons did."""
    incident, text = found.incident, found.text
    typer.echo(text.headline)
    for line in text.lines:
        typer.echo(f"  {line}")
    if incident.resolved_at_us is None:
        typer.echo("  Open")
    else:
        typer.echo(f"  Resolved {weekday_text(incident.resolved_at_us)}")
    if found.hint_text:
        typer.echo(f"  Hint: {found.hint_text}")
    for action in text.actions:
        typer.echo(f"  -> {action}")
    for done in found.actions:
        what = f"closed as {done.label}" if done.label else "close taken back"
        comment = f": {done.comment}" if done.comment else ""
        line = f"{weekday_text(done.time_us)} {what} by {done.by}{comment}"
        typer.echo(f"  {spell_controls(line)}")
    typer.echo(f"  ID: {incident.incident_id}")
