"""``driftline baseline publish``, ``list`` and ``retire``: baselines on their topic."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from monitor.cli.terminal.output import print_json, print_table

if TYPE_CHECKING:
    from monitor.baseline.publication import Publication

Config = Annotated[Path, typer.Option("--config", "-c", metavar="FILE", help="Configuration file.")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as one line of JSON.")]
DEFAULT_CONFIG = Path("driftline.yaml")


def publish(
    what: Annotated[
        list[str] | None,
        typer.Argument(
            help="Baseline files or model names; by default all in the config's baseline folder."
        ),
    ] = None,
    config: Config = DEFAULT_CONFIG,
    active_from: Annotated[
        str | None,
        typer.Option(
            "--active-from",
            metavar="TIME",
            help="Event time from which it is used: ISO 8601 in UTC, a delay such as +10m, or "
            "now (the earliest safe time).",
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print what would be published; publish nothing.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Publish baselines to Kafka, for all stages.

    The first baseline of a model is used for all events. A later one replaces its
    predecessor at its activation time, in all ingest processes at the same pane. By
    default that is at least two minutes from now, so that every process has read it. The
    window that contains the change gets no verdict.

    \b
    Exit code: 0 published or nothing to do, 2 config, 3 a baseline was rejected (then none
    is published), 4 Kafka.

    \b
    Examples:
      driftline baseline publish
      driftline baseline publish loans --active-from +30m
      driftline baseline publish baselines/loans-0f3a....profile --active-from 2026-02-01
    """
    from monitor.app.publish import PublishRequest, publish_baselines

    request = PublishRequest(config, tuple(what or ()), active_from, is_dry_run=dry_run)
    result = publish_baselines(request)
    if as_json:
        print_json(result.as_document())
        return
    for plan in result.plans:
        _print_plan(plan, is_planned=dry_run)


def list_published(config: Config = DEFAULT_CONFIG, as_json: Json = False) -> None:
    """List the published baselines.

    \b
    Exit code: 0 listed, 2 config, 4 Kafka.

    \b
    Examples:
      driftline baseline list
      driftline baseline list --json
    """
    from monitor.app.publish import published_baselines
    from monitor.baseline.publication import time_text

    found = published_baselines(config)
    if as_json:
        print_json(found.as_document())
        return
    rows = [
        (p.model, p.model_version or "all", p.profile_id, time_text(p.active_from_us))
        for p in found.baselines
    ]
    print_table(("model", "version", "id", "active from"), rows)
    for problem in found.unreadable:
        typer.echo(f"not a baseline: {problem}", err=True)


def retire(
    profile_id: Annotated[str, typer.Argument(help="ID, from `driftline baseline list`.")],
    config: Config = DEFAULT_CONFIG,
) -> None:
    """Withdraw a published baseline; new events are no longer compared with it.

    Retire a baseline before its activation time. After it, the predecessor is used again,
    and the windows during the change get no verdict.

    \b
    Exit code: 0 retired, 2 config, 3 no baseline with this ID is published, 4 Kafka.

    \b
    Examples:
      driftline baseline retire 0f3a5c0e9b1d4a7788c2e1f0
    """
    from monitor.app.publish import retire_baseline

    retire_baseline(config, profile_id)
    typer.echo(f"{profile_id} is retired")


def _print_plan(plan: Publication, *, is_planned: bool) -> None:
    """Print the outcome of one baseline."""
    from monitor.baseline.publication import PublicationOutcome, time_text

    baseline = plan.baseline
    name = f"{baseline.model} {baseline.model_version}".strip()
    verb = plan.outcome.value
    if plan.outcome is PublicationOutcome.PUBLISHED and is_planned:
        verb = "would be published"
    active = f"active from {time_text(plan.effective_us)}" if plan.effective_us else "always active"
    typer.echo(f"{name}: {baseline.profile_id} {verb}, {active}")
    if plan.until is not None and plan.outcome is PublicationOutcome.PUBLISHED:
        typer.echo(
            f"  {plan.until.profile_id} is active until then; the window in between gets no verdict"
        )
    if plan.note:
        typer.echo(f"  {plan.note}")
