"""Builds and runs each stage from config."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from monitor.app.installation import Installation, load_installation, shared_window
from monitor.core import topics
from schemas.errors import ConfigError

if TYPE_CHECKING:
    from monitor.core.windowing.catalog import Catalog
    from monitor.service.lifecycle import Lifecycle
    from monitor.transport.kafka.cluster import Cluster
    from monitor.transport.kafka.readers.baseline_feed import BaselineFeed
    from schemas.config.kinds import KindConfig

BOOTSTRAP_VARIABLE = "DRIFTLINE_KAFKA"
STAGES = ("ingest", "detect", "notify", "archive")
"""In drain order: each stage after those that write its input."""

TOPICS: dict[str, tuple[str, ...]] = {
    "ingest": (
        topics.PREDICTIONS,
        topics.GPU,
        topics.PANES,
        topics.BASELINES,
        topics.DEAD_LETTERS,
        topics.LATE,
        topics.ALERTS,
    ),
    "detect": (
        topics.PANES,
        topics.GPU,
        topics.BASELINES,
        topics.ACTIONS,
        topics.STATE,
        topics.RESULTS,
        topics.ALERTS,
        topics.DEAD_LETTERS,
    ),
    "notify": (topics.ALERTS, topics.NOTIFICATIONS, topics.DEAD_LETTERS),
    "archive": (
        topics.PREDICTIONS,
        topics.LABELS,
        topics.GPU,
        topics.PANES,
        topics.RESULTS,
        topics.ALERTS,
        topics.NOTIFICATIONS,
        topics.DEAD_LETTERS,
        topics.LATE,
        topics.ACTIONS,
    ),
}
"""Topics that each stage reads and writes."""


@dataclass(frozen=True, slots=True)
class Site:
    """An installation and its cluster, from files and environment."""

    installation: Installation
    cluster: Cluster
    store: str
    """Folder or URL; a command may override the file's."""


def load_site(file: Path, *, store: str = "", environment: Mapping[str, str] | None = None) -> Site:
    """Read and validate the installation's files and the cluster's variables.

    Parameters
    ----------
    file : Path
        ``driftline.yaml``.
    store : str, optional
        Overrides the file's store.
    environment : mapping of str to str, optional
        ``DRIFTLINE_KAFKA`` overrides the file's address.

    Returns
    -------
    Site

    Raises
    ------
    ConfigError
        With all problems.
    """
    env = os.environ if environment is None else environment
    installation = load_installation(file)
    if not installation.models:
        fix = "list your model files under models, e.g. models/*.yaml"
        raise ConfigError("it names no models", where=str(file), fix=fix)
    return Site(installation, cluster_of(installation, env), store or installation.store)


def cluster_of(installation: Installation, environment: Mapping[str, str] | None = None) -> Cluster:
    """Return the cluster: address and prefix from the file, credentials from the environment.

    Raises
    ------
    ConfigError
        If the address is invalid, or a secret is missing.
    """
    from monitor.transport.kafka.auth.security_environment import security_from_environment
    from monitor.transport.kafka.cluster import Cluster
    from monitor.transport.kafka.topics.connection import parse_bootstrap

    env = os.environ if environment is None else environment
    config = installation.monitor.kafka
    bootstrap = env.get(BOOTSTRAP_VARIABLE, "") or config.bootstrap
    parse_bootstrap(bootstrap)
    cluster = Cluster(
        bootstrap,
        prefix=config.prefix,
        security=security_from_environment(env),
        session_timeout_ms=config.session_timeout_us // 1_000,
    )
    # Missing secrets are reported now, not by the first client.
    cluster.client()
    return cluster


def check_stage(stage: str, site: Site) -> None:
    """Raise the config errors of a stage, before it starts.

    Raises
    ------
    ConfigError
        If models are inconsistent, or an environment variable is missing.
    """
    shared_window(site.installation.models)
    if stage == "notify":
        from monitor.notify.receivers.registry import build_receivers
        from monitor.notify.retraining.registry import build_retrainers

        build_receivers(site.installation.monitor)
        build_retrainers(site.installation.models)


def secrets_of_receivers(site: Site, environment: Mapping[str, str]) -> list[str]:
    """Return the values of receivers' environment variables, which logs must redact."""
    configs: list[KindConfig] = [*site.installation.monitor.receivers.values()]
    configs += [model.retraining for model in site.installation.models if model.retraining]
    named = [name for config in configs for name in config.environment_names]
    return [environment[name] for name in named if name in environment]


def run_stage(
    stage: str, site: Site, lifecycle: Lifecycle, *, member: str | None = None, wait_s: float = 60.0
) -> None:
    """Run a stage until it is drained.

    Parameters
    ----------
    stage : str
        One of :data:`STAGES`.
    site : Site
        Must have passed :func:`check_stage`.
    member : str, optional
        Static group member ID. Partitions are not reassigned while the process restarts.
    wait_s : float, optional
        How long to wait for Kafka at the start.

    Raises
    ------
    TransportError
        If the cluster is not available, or its topics do not match.
    DriftlineError
        Any error of the stage; a restart continues from the log.
    """
    from monitor.transport.kafka.topics.wait_for_topics import wait_for_topics

    def tell(reason: str) -> None:
        """Report why the stage is not ready yet."""
        lifecycle.beat()
        lifecycle.unready(reason)

    tell("waiting for Kafka")
    counts = wait_for_topics(
        site.cluster, TOPICS[stage], wait_s=wait_s, pause=lifecycle.wait, tell=tell
    )
    lifecycle.beat()
    lifecycle.unready("starting")
    if counts is not None and not lifecycle.is_draining:
        _RUNS[stage](site, lifecycle, member)


def _run_ingest(site: Site, lifecycle: Lifecycle, member: str | None) -> None:
    """Read baselines, compile the kernels, then process predictions."""
    from monitor.ingest.on_kafka import run_ingest

    catalog = _catalog(site)
    with _feed(site, catalog, lifecycle) as feed:
        limits = site.installation.monitor.messages.limits
        run_ingest(site.cluster, catalog, feed, lifecycle, member=member, limits=limits)


def _run_detect(site: Site, lifecycle: Lifecycle, member: str | None) -> None:
    """Read baselines, then evaluate windows and GPU events."""
    from monitor.detect.on_kafka import run_detect

    catalog, monitor = _catalog(site), site.installation.monitor
    with _feed(site, catalog, lifecycle) as feed:
        run_detect(site.cluster, catalog, feed, monitor, lifecycle, member=member, store=site.store)


def _run_notify(site: Site, lifecycle: Lifecycle, member: str | None) -> None:
    """Build the receivers, then run the stage."""
    from monitor.notify.on_kafka import run_notify
    from monitor.notify.receivers.registry import build_receivers
    from monitor.notify.retraining.registry import build_retrainers

    monitor, models = site.installation.monitor, site.installation.models
    receivers, retrainers = build_receivers(monitor), build_retrainers(models)
    run_notify(site.cluster, monitor, models, receivers, retrainers, lifecycle, member=member)


def _run_archive(site: Site, lifecycle: Lifecycle, member: str | None) -> None:
    """Write every topic to the store."""
    from monitor.archive.on_kafka import run_archive

    models, monitor = site.installation.models, site.installation.monitor
    limits = monitor.messages.limits
    run_archive(
        site.cluster, models, site.store, lifecycle, member=member, gpu=monitor.gpu, limits=limits
    )


_RUNS: dict[str, Callable[[Site, Lifecycle, str | None], None]] = {
    "ingest": _run_ingest,
    "detect": _run_detect,
    "notify": _run_notify,
    "archive": _run_archive,
}


def _catalog(site: Site) -> Catalog:
    """Return a catalog of all models, without baselines, which are read from their topic."""
    from monitor.core.windowing.catalog import Catalog

    return Catalog.of(site.installation.models, [])


def _feed(site: Site, catalog: Catalog, lifecycle: Lifecycle) -> BaselineFeed:
    """Read published baselines into the catalog; models without one get no verdicts."""
    from monitor.transport.kafka.readers.baseline_feed import BaselineFeed

    lifecycle.unready("reading baselines")
    feed = BaselineFeed(site.cluster, catalog)
    try:
        feed.catch_up()
    except BaseException:
        feed.close()
        raise
    lifecycle.beat()
    lifecycle.unready("starting")
    return feed
