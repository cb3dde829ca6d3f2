"""``driftline baseline publish``, ``list`` and ``retire``: baselines on their topic."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from monitor.cli.terminal.output import print_json, print_table

if TYPE_CHECKING:
    from monitor.app.installation import Installation
    from monitor.baseline.publication import Publication
    from schemas.baselines import Profile
    from schemas.config.model import ModelConfig

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
    from monitor.app.stages import load_site
    from monitor.baseline.publication import PublicationOutcome, plan_all
    from monitor.baseline.topic import read_published, write_profiles
    from monitor.clock import now_us

    site = load_site(config)
    chosen = _choose(site.installation, what or [])
    published = read_published(site.cluster)
    plans = plan_all(chosen, list(published.profiles.values()), now_us(), active_from)
    if not dry_run:
        write_profiles(
            site.cluster, [p.profile for p in plans if p.outcome is PublicationOutcome.PUBLISHED]
        )
    if as_json:
        print_json({"profiles": [_document(p) for p in plans], "dry_run": dry_run})
        return
    for plan in plans:
        _say(plan, is_planned=dry_run)


def list_published(config: Config = DEFAULT_CONFIG, as_json: Json = False) -> None:
    """List the published baselines.

    \b
    Exit code: 0 listed, 2 config, 4 Kafka.

    \b
    Examples:
      driftline baseline list
      driftline baseline list --json
    """
    from monitor.app.stages import load_site
    from monitor.baseline.publication import time_text
    from monitor.baseline.topic import read_published

    published = read_published(load_site(config).cluster)
    profiles = sorted(
        published.profiles.values(),
        key=lambda p: (p.tenant, p.model, p.model_version, p.active_from_us),
    )
    if as_json:
        facts = [_facts(p) for p in profiles]
        print_json({"profiles": facts, "unreadable": published.unreadable})
        return
    rows = [
        (p.model, p.model_version or "all", p.profile_id, time_text(p.active_from_us))
        for p in profiles
    ]
    print_table(("model", "version", "id", "active from"), rows)
    for problem in published.unreadable:
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
    from monitor.app.stages import load_site
    from monitor.baseline.topic import read_published, retire_profile
    from schemas.errors import BaselineError

    cluster = load_site(config).cluster
    keys = read_published(cluster).keys.get(profile_id)
    if not keys:
        raise BaselineError(
            f"no baseline {profile_id} is published", fix="driftline baseline list shows their ids"
        )
    retire_profile(cluster, keys)
    typer.echo(f"{profile_id} is retired")


def _choose(installation: Installation, what: Sequence[str]) -> list[tuple[Profile, ModelConfig]]:
    """Read the profiles that were named, each with the config of its model."""
    from monitor.baseline.baseline_file import load_profile, load_profiles
    from schemas.errors import BaselineError

    built = load_profiles(installation.baselines) if not what or not _are_files(what) else []
    found: dict[str, Profile] = {}
    for name in what:
        own = (
            [load_profile(name)]
            if _are_files([name])
            else [p for p in built if p.model == installation.model(name).model]
        )
        if not own:
            raise BaselineError(
                "no baseline is built",
                where=f"model {name!r}",
                fix=f"driftline baseline build; they are looked for in {installation.baselines}",
            )
        found |= {p.profile_id: p for p in own}
    if not what:
        found = {p.profile_id: p for p in built}
    if not found:
        raise BaselineError(
            "no baselines here",
            where=str(installation.baselines),
            fix="build one: driftline baseline build --help",
        )
    return [(profile, _config_of(installation, profile)) for profile in found.values()]


def _are_files(names: Sequence[str]) -> bool:
    """Return whether the arguments are files rather than names of models."""
    return all(Path(name).is_file() or name.endswith(".profile") for name in names)


def _config_of(installation: Installation, profile: Profile) -> ModelConfig:
    """Find the config of a profile's model."""
    from schemas.errors import BaselineError

    for model in installation.models:
        if (model.tenant, model.model) == (profile.tenant, profile.model):
            return model
    raise BaselineError(
        f"baseline {profile.profile_id} is of {profile.tenant}/{profile.model}",
        where=str(installation.file),
        fix="no model of this installation; name it under models",
    )


def _say(plan: Publication, *, is_planned: bool) -> None:
    """Print what became of one baseline."""
    from monitor.baseline.publication import PublicationOutcome, time_text

    profile = plan.profile
    name = f"{profile.model} {profile.model_version}".strip()
    verb = plan.outcome.value
    if plan.outcome is PublicationOutcome.PUBLISHED and is_planned:
        verb = "would be published"
    holds = f"holds from {time_text(plan.effective_us)}" if plan.effective_us else "holds always"
    typer.echo(f"{name}: {profile.profile_id} {verb}, {holds}")
    if plan.until is not None and plan.outcome is PublicationOutcome.PUBLISHED:
        typer.echo(
            f"  {plan.until.profile_id} holds until then; the window between gets no verdict"
        )
    if plan.note:
        typer.echo(f"  {plan.note}")


def _document(plan: Publication) -> dict[str, Any]:
    """Spell one decision for programs."""
    return _facts(plan.profile) | {
        "outcome": plan.outcome.value,
        "effective_us": plan.effective_us,
        "until_then": plan.until.profile_id if plan.until is not None else None,
        "note": plan.note,
    }


def _facts(profile: Profile) -> dict[str, Any]:
    """Spell one profile for programs."""
    return {
        "profile_id": profile.profile_id,
        "tenant": profile.tenant,
        "model": profile.model,
        "model_version": profile.model_version,
        "active_from_us": profile.active_from_us,
        "created_from": profile.created_from,
    }
