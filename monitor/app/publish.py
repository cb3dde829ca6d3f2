"""Publish, list and retire baselines on their topic."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from monitor.app.installation import Installation
from monitor.app.stages import load_site
from monitor.baseline.baseline_file import load_baseline, load_baselines
from monitor.baseline.publication import Publication, PublicationOutcome, plan_all
from monitor.baseline.topic import delete_baseline, read_published, write_baselines
from monitor.clock import now_us
from schemas.baselines import Baseline
from schemas.config.model import ModelConfig
from schemas.errors import BaselineError


@dataclass(frozen=True, slots=True)
class PublishRequest:
    """Baselines to publish, and their activation time."""

    config: Path
    names: tuple[str, ...] = ()
    """Baseline files or model names; if empty, all baselines of the config's folder."""
    active_from: str | None = None
    """ISO time in UTC, ``now`` (as soon as is safe) or ``+10m``."""
    is_dry_run: bool = False
    """Whether to only plan the publication."""


@dataclass(frozen=True, slots=True)
class PublishResult:
    """Outcomes, or planned outcomes, by baseline."""

    plans: tuple[Publication, ...]
    is_dry_run: bool

    def as_document(self) -> dict[str, Any]:
        """Return the result for ``--json``."""
        return {"profiles": [_plan_document(p) for p in self.plans], "dry_run": self.is_dry_run}


@dataclass(frozen=True, slots=True)
class PublishedBaselines:
    """Baselines on the topic."""

    baselines: tuple[Baseline, ...]
    """Sorted by tenant, model, model version and activation time."""
    unreadable: tuple[str, ...]
    """Errors of messages that cannot be decoded as a baseline."""

    def as_document(self) -> dict[str, Any]:
        """Return them for ``--json``."""
        facts = [_facts(baseline) for baseline in self.baselines]
        return {"profiles": facts, "unreadable": list(self.unreadable)}


def publish_baselines(request: PublishRequest) -> PublishResult:
    """Publish baselines, or plan it: all of them, or none if one is rejected.

    Raises
    ------
    ConfigError
        If the configuration is invalid.
    BaselineError
        If there is no baseline, or one is rejected.
    TransportError
        If the cluster is not available.
    """
    site = load_site(request.config)
    chosen = _choose(site.installation, request.names)
    published = read_published(site.cluster)
    plans = plan_all(chosen, list(published.baselines.values()), now_us(), request.active_from)
    if not request.is_dry_run:
        write_baselines(
            site.cluster, [p.baseline for p in plans if p.outcome is PublicationOutcome.PUBLISHED]
        )
    return PublishResult(tuple(plans), request.is_dry_run)


def published_baselines(config: Path) -> PublishedBaselines:
    """Read the baselines on the topic of an installation.

    Raises
    ------
    ConfigError
        If the configuration is invalid.
    TransportError
        If the cluster is not available.
    """
    published = read_published(load_site(config).cluster)
    baselines = sorted(
        published.baselines.values(),
        key=lambda p: (p.tenant, p.model, p.model_version, p.active_from_us),
    )
    return PublishedBaselines(tuple(baselines), tuple(published.unreadable))


def retire_baseline(config: Path, profile_id: str) -> None:
    """Retire a published baseline: it is not used for new panes.

    Raises
    ------
    BaselineError
        If no baseline with this ID is published.
    ConfigError
        If the configuration is invalid.
    TransportError
        If the cluster is not available.
    """
    cluster = load_site(config).cluster
    keys = read_published(cluster).keys.get(profile_id)
    if not keys:
        raise BaselineError(
            f"no baseline {profile_id} is published", fix="driftline baseline list shows their ids"
        )
    delete_baseline(cluster, keys)


def _choose(installation: Installation, what: Sequence[str]) -> list[tuple[Baseline, ModelConfig]]:
    """Read the requested baselines, each with the config of its model."""
    built = load_baselines(installation.baselines) if not what or not _are_files(what) else []
    found: dict[str, Baseline] = {}
    for name in what:
        own = (
            [load_baseline(name)]
            if _are_files([name])
            else [p for p in built if p.model == installation.model(name).model]
        )
        if not own:
            raise BaselineError(
                "no baseline is built",
                where=f"model {name!r}",
                fix=f"run driftline baseline build; the folder is {installation.baselines}",
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
    return [(baseline, _config_of(installation, baseline)) for baseline in found.values()]


def _are_files(names: Sequence[str]) -> bool:
    """Return whether the arguments are files rather than names of models."""
    return all(Path(name).is_file() or name.endswith(".profile") for name in names)


def _config_of(installation: Installation, baseline: Baseline) -> ModelConfig:
    """Return the config of a baseline's model."""
    for model in installation.models:
        if (model.tenant, model.model) == (baseline.tenant, baseline.model):
            return model
    raise BaselineError(
        f"baseline {baseline.profile_id}: {baseline.tenant}/{baseline.model} is not configured",
        where=str(installation.file),
        fix="add the model's file under models",
    )


def _plan_document(plan: Publication) -> dict[str, Any]:
    """Return one outcome for JSON output."""
    return _facts(plan.baseline) | {
        "outcome": plan.outcome.value,
        "effective_us": plan.effective_us,
        "until_then": plan.until.profile_id if plan.until is not None else None,
        "note": plan.note,
    }


def _facts(baseline: Baseline) -> dict[str, Any]:
    """Return one baseline for JSON output."""
    return {
        "profile_id": baseline.profile_id,
        "tenant": baseline.tenant,
        "model": baseline.model,
        "model_version": baseline.model_version,
        "active_from_us": baseline.active_from_us,
        "created_from": baseline.created_from,
    }
