"""Preparations of ``driftline up``: topics and baselines."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from monitor.app.stages import Site
    from monitor.service.lifecycle import Lifecycle

LOG = logging.getLogger("driftline.up")


class Preparation:
    """Creates topics and publishes baselines.

    Parameters
    ----------
    creates : bool
        Create topics that are missing; otherwise that is an error.
    n_keyed, n_input : int
        Partitions of topics that are created.
    wait_s : float
        How long to wait for Kafka.
    """

    def __init__(self, creates: bool, n_keyed: int, n_input: int, wait_s: float) -> None:
        self._creates, self._n_keyed, self._n_input = creates, n_keyed, n_input
        self._wait_s = wait_s
        self.without_baseline: list[tuple[str, str]] = []
        """Tenant and model of models without a baseline in the folder or on the topic."""

    def run(self, site: Site, lifecycle: Lifecycle) -> bool:
        """Create topics and publish baselines; False if interrupted."""
        wanted = sorted({name for names in _topics().values() for name in names})
        if self._creates:
            if self._await(site, lifecycle, []) is None:
                return False
            self._create(site)
        if self._await(site, lifecycle, wanted) is None:
            return False
        self.without_baseline = _publish(site)
        return not lifecycle.is_draining

    def _await(self, site: Site, lifecycle: Lifecycle, wanted: list[str]) -> dict[str, int] | None:
        """Wait for Kafka and the given topics."""
        from monitor.transport.kafka.topics.wait_for_topics import wait_for_topics

        return wait_for_topics(
            site.cluster, wanted, wait_s=self._wait_s, pause=lifecycle.wait, tell=LOG.warning
        )

    def _create(self, site: Site) -> None:
        """Create missing topics; existing ones are not changed."""
        from monitor.transport.kafka.topics.changes import apply_changes, read_topics
        from monitor.transport.kafka.topics.connection import open_admin
        from monitor.transport.kafka.topics.specs import Action, plan_changes, topic_specs

        cluster = site.cluster
        specs = topic_specs(n_input=self._n_input, n_keyed=self._n_keyed, prefix=cluster.prefix)
        with open_admin(cluster.bootstrap, cluster.security) as admin:
            changes = plan_changes(specs, read_topics(admin, [spec.name for spec in specs]))
            missing = [c for c in changes if c.action is Action.CREATE]
            apply_changes(admin, missing)
        if missing:
            LOG.info("created %s", ", ".join(change.topic for change in missing))


def _topics() -> dict[str, tuple[str, ...]]:
    """Return the topics that the stages need."""
    from monitor.app.stages import TOPICS

    return TOPICS


def _publish(site: Site) -> list[tuple[str, str]]:
    """Publish unpublished baselines of the folder; return the models without one."""
    from monitor.baseline.baseline_file import load_baselines
    from monitor.baseline.publication import PublicationOutcome, plan_all, time_text
    from monitor.baseline.topic import read_published, write_baselines
    from monitor.clock import now_us

    configs = {(m.tenant, m.model): m for m in site.installation.models}
    found = [
        (baseline, configs[baseline.tenant, baseline.model])
        for baseline in load_baselines(site.installation.baselines)
        if (baseline.tenant, baseline.model) in configs
    ]
    published = list(read_published(site.cluster).baselines.values())
    plans = plan_all(found, published, now_us())
    new = [plan for plan in plans if plan.outcome is PublicationOutcome.PUBLISHED]
    write_baselines(site.cluster, [plan.baseline for plan in new])
    for plan in new:
        model, start = plan.baseline.model, time_text(plan.effective_us)
        LOG.info("published the baseline of %s, active from: %s", model, start)
    known = {(p.tenant, p.model) for p in (*published, *(baseline for baseline, _ in found))}
    return sorted(configs.keys() - known)
