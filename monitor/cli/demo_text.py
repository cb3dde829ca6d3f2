"""Prints a demo: each finding when it occurs, then a summary."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from monitor.app.demo import DemoListener, DemoResult
from monitor.cli.terminal.command_hints import as_started
from monitor.core.notification.retraining import RetrainingOutcome
from monitor.demo.findings import DemoScore
from monitor.demo.score import describe_finding
from monitor.demo.world import World
from monitor.notify.delivery.notifier import NotifyStep
from monitor.notify.receivers.protocol import Receiver
from schemas.alerts import Notification

_OUTCOMES = {
    RetrainingOutcome.REQUESTED: "retraining requested",
    RetrainingOutcome.NOT_DATA: "no retraining: new data would not correct this cause",
    RetrainingOutcome.SEVERITY_NOT_LISTED: "no retraining: severity not in retraining.on",
    RetrainingOutcome.FEATURE_NOT_LISTED: "no retraining: feature not in retraining.features",
    RetrainingOutcome.COOLDOWN: "no retraining yet: the last request is too recent",
    RetrainingOutcome.RESOLVED_IN_TIME: "no retraining: resolved within retraining.wait",
}
_MARKS = {
    "opened": "[bold red]found [/]",
    "escalated": "[bold red]worse [/]",
    "resolved": "[green]over  [/]",
}
_COLUMNS = {"planted": 21, "found after": 12, "evidence": 27, "cause, retraining": 13}
"""Columns and widths, 80 in total with separators; no word is longer than its column."""


class _LineReceiver:
    """A receiver that prints one line per notification, with the event time."""

    def __init__(self, world: World, console: Console) -> None:
        self._world, self._console = world, console

    async def send(self, notification: Notification) -> str:
        """Print the notification."""
        incident, mark = notification.incident, _MARKS.get(notification.reason, "[dim]update[/]")
        self._console.print(
            _entry(
                f"{_clock(notification.time_us, self._world)} {mark} "
                f"[bold]{incident.severity.value:6}[/] {incident.cause.value:8}",
                escape(incident.title),
            )
        )
        return "printed"

    def remember(self, notification: Notification, detail: str) -> None:
        """Do nothing."""

    async def close(self) -> None:
        """Do nothing."""


class DemoLines(DemoListener):
    """Prints one line for each notification and each decision about retraining.

    Parameters
    ----------
    is_quiet : bool
        Print nothing.
    """

    def __init__(self, *, is_quiet: bool) -> None:
        # Lines are wrapped between words on a terminal only.
        self._console = Console(quiet=is_quiet, highlight=False)
        self._console.soft_wrap = not self._console.is_terminal

    def start(self, seed: int) -> None:
        """Print the first line, before the model is fitted."""
        self._console.print(
            f"[bold]Driftline demo[/], seed {seed}: fitting a model on the census of 2015 ..."
        )

    def on_world(self, world: World) -> None:
        """Print the outline of the demo."""
        self._console.print(
            f"It serves 2016 from {len(world.gpus)} replicas: {world.n_events:,} events, "
            f"{world.n_windows} one-hour windows, AUC {world.auc:.3f}. "
            "Three faults are injected in the second half; before that no alert may open.\n"
        )

    def receivers(self, world: World) -> Mapping[str, Receiver]:
        """Return a receiver that prints notifications."""
        return {"console": _LineReceiver(world, self._console)}

    def on_step(self, step: NotifyStep) -> None:
        """Print the decision about retraining; the receiver prints notifications."""
        for retraining in step.retrainings:
            title = escape(retraining.incident.title)
            words = f"[dim]{_OUTCOMES[retraining.outcome]}: {title}[/]"
            self._console.print(_entry(" " * 11, words))

    def on_report(self) -> None:
        """Print that the report is being written."""
        self._console.print("\n[dim]writing the report ...[/]")

    def conclude(self, result: DemoResult, folder: Path) -> None:
        """Print the summary table and the next commands."""
        console, score = self._console, result.score
        console.print(findings_table(score))
        n, n_false = score.n_retrainings, len(score.false_alerts)
        console.print(
            f"{score.n_found} of {len(score.findings)} found, {n_false} false alerts, "
            f"{n} retraining request{'s' * (n != 1)}, {result.n_events:,} events in "
            f"{result.seconds:.0f} s."
        )
        for alert in score.false_alerts:
            console.print(f"[red]false alert[/] {escape(alert.title)}")
        store = shlex.quote(str(folder / "store"))
        question = '"SELECT severity, monitor, title FROM alerts ORDER BY time_us"'
        # Not wrapped, so that they can be copied.
        for line in (
            "",
            f"report   {result.report}",
            "query    " + as_started(f"driftline sql --store {store} {question}"),
        ):
            console.print(line, soft_wrap=True, markup=False)


def findings_table(score: DemoScore) -> Table:
    """Return the summary table.

    Returns
    -------
    rich.table.Table
        planted, found after, evidence (where, what, how strong), cause and retraining. It
        fits 80 columns.
    """
    table = Table(box=SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0), leading=1)
    for name, width in _COLUMNS.items():
        table.add_column(name, overflow="fold", width=width)
    for finding in score.findings:
        words = describe_finding(finding)
        colour = "green" if finding.is_found else "red"
        cause = words["cause"] if finding.is_cause_right else f"[red]{words['cause'] or 'none'}[/]"
        seen = [words["where"], words["effect"], words["evidence"]]
        table.add_row(
            escape(finding.planted.what),
            f"[{colour}]{words['found_after']}[/]",
            escape("\n".join(line for line in seen if line)),
            f"{cause}\n{words['retraining']}",
        )
    return table


def _entry(head: str, text: str) -> Table:
    """Return a text beside its heading, with its further lines aligned."""
    grid = Table.grid(padding=(0, 1))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    grid.add_row(head, text)
    return grid


def _clock(time_us: int, world: World) -> str:
    """Return day and hour of event time."""
    hours = (time_us - world.start_us) / 3.6e9
    return f"[dim]day {int(hours // 24) + 1} {int(hours % 24):02d}:{int(hours * 60 % 60):02d}[/]"
