"""The detect stage on Kafka, as far as it can be known without a broker."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest

from monitor.core.windowing.catalog import Catalog
from monitor.detect import on_kafka as under_test
from monitor.detect.on_kafka import _Detect
from monitor.service.lifecycle import Lifecycle
from monitor.transport.kafka.cluster import Cluster
from monitor.transport.kafka.topic_identity import TopicIdentity
from schemas.config.monitor import MonitorConfig

BUDGET_S, WINDOW_S = under_test._LEARN_S, under_test._FORGET_S
STEP_S = 0.05


class ServiceSite:
    """A stage that is not started, its clock, and baselines that come when they come."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now_s, self.waited_s, self.n_polls = 1_000.0, 0.0, 0
        self.comes_s: dict[str, float] = {}
        monkeypatch.setattr(under_test, "elapsed_s", lambda: self.now_s)
        monkeypatch.setattr(under_test, "asyncio", SimpleNamespace(sleep=self._sleep))
        monkeypatch.setattr(Cluster, "identity", lambda *_, **__: TopicIdentity("one", 1))
        self.catalog = Catalog.of([], [])
        cluster = Cluster("nowhere:9092")
        self.stage = _Detect(
            cluster, self.catalog, self, MonitorConfig(), Lifecycle("detect"), None, ""
        )

    async def _sleep(self, seconds: float) -> None:
        self.now_s += seconds
        self.waited_s += seconds

    def poll(self) -> None:
        self.n_polls += 1
        found = [name for name, at_s in self.comes_s.items() if self.now_s >= at_s]
        self.catalog.baselines["t", "m"] = [SimpleNamespace(profile_id=n) for n in found]  # type: ignore[misc]

    def learn(self, *names: str) -> float:
        """Return how long was waited for some."""
        before_s = self.waited_s
        asyncio.run(self.stage._learn(set(names)))
        return self.waited_s - before_s


@pytest.fixture
def site(monkeypatch) -> ServiceSite:
    return ServiceSite(monkeypatch)


def test_many_unknown_names_take_no_more_than_one_does(site):
    names = [f"gone-{i}" for i in range(30)]
    for _ in range(10):
        for name in names:
            site.learn(name)
            site.now_s += 0.1
    assert site.now_s - 1_000.0 < WINDOW_S
    assert BUDGET_S <= site.waited_s < BUDGET_S + 2 * STEP_S
    # Hours of it: at most two seconds in any minute.
    begun_s, waited_s = site.now_s, site.waited_s
    while site.now_s < begun_s + 3_600:
        for name in names:
            site.learn(name)
        site.now_s += 1.0
    share = (site.waited_s - waited_s) / (site.now_s - begun_s)
    assert 0.01 < share <= BUDGET_S / WINDOW_S


def test_a_baseline_that_is_on_its_way_is_waited_for_and_what_is_left_remains(site):
    site.comes_s = {"one": site.now_s + 0.5, "two": site.now_s + 1.0}
    assert site.learn("one") == pytest.approx(0.5, abs=2 * STEP_S)
    assert site.learn("two") == pytest.approx(0.5, abs=2 * STEP_S)
    assert site.learn("gone") == pytest.approx(BUDGET_S - 1.0, abs=4 * STEP_S)
    # Nothing is left to wait with; what came already is found all the same.
    site.comes_s["three"], n_polls = site.now_s, site.n_polls
    assert site.learn("three") == 0.0
    assert site.n_polls == n_polls + 1
    site.now_s += WINDOW_S
    assert site.learn("gone") == pytest.approx(BUDGET_S, abs=2 * STEP_S)
