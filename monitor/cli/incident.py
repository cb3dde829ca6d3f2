"""``driftline incident``: show incidents, and say what one was, according to a person."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from monitor.cli.terminal.output import print_json

if TYPE_CHECKING:
    from schemas.actions import ActionKind, Label

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Show incidents; close them as normal or as a fault.",
)
Config = Annotated[Path, typer.Option("--config", "-c", metavar="FILE", help="Configuration file.")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as one line of JSON.")]
Incident = Annotated[
    str, typer.Argument(help="ID of the incident, or its first 8 characters or more.")
]
By = Annotated[str, typer.Option("--by", metavar="NAME", help="Who does it; it is stored.")]
Comment = Annotated[str, typer.Option("--comment", metavar="TEXT", help="Why; it is stored.")]
DEFAULT_CONFIG = Path("driftline.yaml")
MIN_SHOWN = 8
"""Characters of an ID in a list; enough to name an incident."""


StoreOption = Annotated[
    str | None,
    typer.Option(
        "--store", metavar="STORE", help="Folder or HTTP URL; overrides the config's store."
    ),
]


@app.command("list", short_help="List the newest incidents.")
def list_(
    limit: Annotated[
        int, typer.Option("--limit", metavar="N", min=1, max=10_000, help="How many, at most.")
    ] = 20,
    config: Config = DEFAULT_CONFIG,
    store: StoreOption = None,
    as_json: Json = False,
) -> None:
    """List the newest incidents of the store, newest first: ID, severity, when, what.

    \b
    Exit code: 0 done, 2 config, 5 the store.

    \b
    Examples:
      driftline incident list
      driftline incident list --store driftline-store --limit 5
    """
    from monitor.app.stored_incidents import list_incidents, store_of
    from monitor.cli.terminal.output import print_table
    from schemas.time_text import weekday_text

    found = list_incidents(store_of(config, store), limit)
    if as_json:
        print_json([one._asdict() for one in found])
        return
    rows = [
        (
            one.incident_id[:MIN_SHOWN],
            one.severity,
            weekday_text(one.opened_at_us),
            weekday_text(one.resolved_at_us) if one.resolved_at_us else "open",
            one.title,
        )
        for one in found
    ]
    print_table(("incident", "severity", "opened", "resolved", "title"), rows)


@app.command(short_help="Show an incident, and where its change is concentrated.")
def show(
    incident: Incident,
    config: Config = DEFAULT_CONFIG,
    store: StoreOption = None,
    as_json: Json = False,
) -> None:
    """Show what the store has on an incident: alerts, slices, actions of persons.

    The hint names the values, or pairs of values, of the raw rows in which most of the change
    is: "country=DE and device=tv: 83 % of the change, 4 % of the rows". It is searched within
    seconds after an alert, an hour later, and every night; it never opens an alert.

    \b
    Exit code: 0 done, 2 config or no such incident, 5 the store.

    \b
    Examples:
      driftline incident show 0d3f9a61
      driftline incident show 0d3f9a61 --store driftline-store --json
    """
    from monitor.app.stored_incidents import show_incident, store_of
    from monitor.cli.incident_text import print_incident

    found = show_incident(store_of(config, store), incident)
    if as_json:
        print_json(found.as_document())
    else:
        print_incident(found)


class CloseAs(StrEnum):
    """What an incident was."""

    NORMAL = "normal"
    FAULT = "fault"


@app.command(short_help="Close an incident as normal, or as a fault.")
def close(
    incident: Incident,
    close_as: Annotated[CloseAs, typer.Option("--as", help="What the incident was.")],
    by: By,
    comment: Comment = "",
    config: Config = DEFAULT_CONFIG,
    as_json: Json = False,
) -> None:
    """Close an incident of drift, open or resolved, of models of rule 2.

    As `normal`: its alerts resolve, its cells learn again, and one more excursion like it is not
    reported unless it is larger, lasts longer or comes more often. As `fault`: its alerts
    resolve, and nothing of it is learned; a cell that has not returned is not reported again
    before it has. The last action on an incident holds. Detect applies it within seconds; table
    `actions` has who did what and when.

    \b
    Exit code: 0 written, 2 config or no such incident, 4 Kafka.

    \b
    Examples:
      driftline incident close 0d3f9a61 --as normal --by ann --comment "spring sale"
      driftline incident close 0d3f9a61-5f0e-5d3c-8f4b-1f2e3d4c5b6a --as fault --by ann
    """
    from schemas.actions import ActionKind, Label

    _act(incident, ActionKind.CLOSE, Label(close_as.value), by, comment, config, as_json)


@app.command(short_help="Take back the last close of an incident.")
def undo(
    incident: Incident,
    by: By,
    comment: Comment = "",
    config: Config = DEFAULT_CONFIG,
    as_json: Json = False,
) -> None:
    """Take back the last `close` of an incident, with what its cells have learned since.

    If the change is still there, it is reported again.

    \b
    Exit code: 0 written, 2 config or no such incident, 4 Kafka.

    \b
    Examples:
      driftline incident undo 0d3f9a61 --by ann
    """
    from schemas.actions import ActionKind, Label

    _act(incident, ActionKind.UNDO, Label.NONE, by, comment, config, as_json)


def _act(
    incident: str,
    kind: ActionKind,
    label: Label,
    by: str,
    comment: str,
    config: Path,
    as_json: bool,
) -> None:
    """Write the action, and print it."""
    from monitor.app.incident_actions import ActionRequest, act_on_incident

    result = act_on_incident(ActionRequest(config, incident, kind, label, by, comment))
    if as_json:
        print_json(result.as_document())
        return
    done = f"closed as {label.value}" if label.value else "close taken back"
    for action in result.actions:
        typer.echo(f"{action.model}: {result.incident.title}: {done} by {by}")
