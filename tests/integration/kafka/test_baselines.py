"""Baselines on their topic: read whole, followed, published by command, compacted."""

from __future__ import annotations

import json
import threading
from contextlib import ExitStack
from dataclasses import replace

import numpy as np
import pytest
from confluent_kafka import Producer

from monitor.app.publish import (
    PublishRequest,
    publish_baselines,
    published_baselines,
    retire_baseline,
)
from monitor.baseline.topic import delete_baseline, read_published, write_baselines
from monitor.cli.main import main
from monitor.core.bounds import MAX_VALUE_BYTES
from monitor.core.topics import BASELINES, PANES, PREDICTIONS, RESULTS
from monitor.core.windowing.baseline_codec import encode, with_id
from monitor.core.windowing.catalog import Catalog
from monitor.detect.on_kafka import run_detect
from monitor.ingest.on_kafka import run_ingest
from monitor.service.lifecycle import Lifecycle
from monitor.transport.kafka.cluster import Cluster
from monitor.transport.kafka.producer import LogProducer
from monitor.transport.kafka.readers.baseline_feed import BaselineFeed
from monitor.transport.kafka.readers.topic_scan import scan
from monitor.transport.kafka.topics.specs import topic_specs
from schemas.baselines import Baseline
from schemas.config.monitor import MonitorConfig
from schemas.errors import BaselineError, TransportError
from schemas.panes import ALL, Pane
from schemas.results import DetectorResult
from tests.support.installation import install
from tests.support.kafka.topics import Topic
from tests.support.waiting import wait_until
from tests.support.worlds import baseline_change as change
from tests.support.worlds.small import CONFIG, SECOND_US, START_US, build_small_world

pytestmark = [pytest.mark.integration, pytest.mark.kafka]
NAME = ("default", "small")


@pytest.fixture(scope="module")
def built() -> Baseline:
    (found,) = build_small_world().catalog.baselines[NAME]
    return found


@pytest.fixture
def cluster(broker, topic_prefix) -> Cluster:
    """A cluster with nothing but an empty baselines topic."""
    cluster = Cluster(broker.bootstrap, topic_prefix)
    settings = {
        "cleanup.policy": "compact",
        "segment.ms": "100",
        "min.cleanable.dirty.ratio": "0.01",
    }
    Topic(broker.bootstrap, name=cluster.topic(BASELINES), config=settings)
    return cluster


def dated(baseline: Baseline, active_from_us: int, **more: object) -> Baseline:
    return with_id(replace(baseline, active_from_us=active_from_us, **more))


def write(cluster: Cluster, key: bytes, value: bytes | None) -> None:
    with LogProducer(cluster.client()) as producer:
        producer.produce(cluster.topic(BASELINES), value, key=key, partition=0)


def ids(catalog: Catalog) -> list[str]:
    return [p.profile_id for p in catalog.baselines.get(NAME, [])]


def test_a_stage_knows_every_baseline_before_it_starts_and_new_ones_soon_after(cluster, built):
    old, new = dated(built, 500), dated(built, 900)
    write_baselines(cluster, [built, old])
    catalog = Catalog.of([CONFIG], [])
    with BaselineFeed(cluster, catalog) as feed:
        assert [p.profile_id for p in feed.catch_up()] == [built.profile_id, old.profile_id]
        assert feed.poll() == []
        write_baselines(cluster, [new])
        wait_until(lambda: bool(feed.poll()), what="the new profile")
        assert ids(catalog) == [built.profile_id, old.profile_id, new.profile_id]


def test_catching_up_with_an_empty_topic_takes_no_time_and_a_missing_one_is_named(cluster):
    with BaselineFeed(cluster, Catalog.of([CONFIG], [])) as feed:
        assert feed.catch_up(10.0) == []
    nowhere = replace(cluster, prefix=f"{cluster.prefix}not-there.")
    with (
        BaselineFeed(nowhere, Catalog.of([CONFIG], [])) as feed,
        pytest.raises(TransportError, match="driftline topics check"),
    ):
        feed.catch_up(5.0)


def test_unusable_messages_are_counted_and_stop_nothing(cluster, built, caplog):
    first, *others = built.variables
    spoilt = with_id(replace(built, variables=(replace(first, name="renamed"), *others)))
    write(cluster, b"junk", b"not a profile")
    write(cluster, b"", b"no key")
    write(cluster, b"another-id", encode(built))
    write_baselines(cluster, [spoilt, dated(built, 5, model="unknown"), built, built])
    write(cluster, b"never-there", None)
    catalog = Catalog.of([CONFIG], [])
    with BaselineFeed(cluster, catalog) as feed:
        feed.catch_up()
        assert ids(catalog) == [built.profile_id]
        assert feed.counters == {
            "unreadable": 3,
            "misfit": 1,
            "other_model": 1,
            "added": 1,
            "known": 1,
        }
    assert "not a Driftline baseline" in caplog.text
    assert "at 3" in caplog.text


def test_a_tombstone_takes_a_baseline_back_from_those_who_run_and_those_who_start(cluster, built):
    wrong = dated(built, 900)
    write_baselines(cluster, [built, wrong])
    running = Catalog.of([CONFIG], [])
    with BaselineFeed(cluster, running) as feed:
        feed.catch_up()
        delete_baseline(cluster, read_published(cluster).keys[wrong.profile_id])

        def is_gone() -> bool:
            feed.poll()
            return ids(running) == [built.profile_id]

        wait_until(is_gone, what="the tombstone")
    starting = Catalog.of([CONFIG], [])
    with BaselineFeed(cluster, starting) as feed:
        feed.catch_up()
    assert ids(starting) == [built.profile_id]
    assert list(read_published(cluster).baselines) == [built.profile_id]


def test_a_baseline_larger_than_a_message_comes_whole_though_written_twice(cluster, built):
    # Noise does not compress: 2.5 MB for a broker that takes 1 MB a message.
    reference = built.reference
    segments = (ALL, *(f"region={i}" for i in range(4_000)))
    rng = np.random.default_rng(0)
    stats = type(reference).empty(segments, len(built.variables))
    stats.counts[:] = rng.integers(0, 1 << 24, stats.counts.shape)
    shape = stats.counts.shape[:2]
    large = with_id(
        replace(built, reference=stats, phi=np.ones(shape), eps_learned=np.zeros(shape))
    )
    n_messages = write_baselines(cluster, [large])
    assert n_messages == -(-len(encode(large)) // MAX_VALUE_BYTES) > 1
    write_baselines(cluster, [large, built])
    catalog = Catalog.of([CONFIG], [])
    with BaselineFeed(cluster, catalog) as feed:
        feed.catch_up()
    assert sorted(ids(catalog)) == sorted([large.profile_id, built.profile_id])
    found = next(p for p in catalog.baselines[NAME] if p.profile_id == large.profile_id)
    assert (found.reference.counts == stats.counts).all()


def test_baselines_go_on_being_known_while_the_broker_is_away(new_broker, built, topic_prefix):
    broker = new_broker()
    broker.start()
    cluster = Cluster(broker.bootstrap, topic_prefix)
    Topic(broker.bootstrap, name=cluster.topic(BASELINES), config={"cleanup.policy": "compact"})
    write_baselines(cluster, [built])
    catalog = Catalog.of([CONFIG], [])
    with BaselineFeed(cluster, catalog) as feed:
        feed.catch_up()
        broker.stop()
        for _ in range(20):
            assert feed.poll() == []
        broker.start()
        write_baselines(cluster, [dated(built, 900)])
        wait_until(lambda: bool(feed.poll()), what="the profile after the restart")
    assert len(ids(catalog)) == 2


@pytest.fixture
def command(cluster, tmp_path, monkeypatch, capfd):
    """Run ``driftline baseline`` in an installation that uses the test's topics."""
    install(tmp_path)
    config = tmp_path / "driftline.yaml"
    config.write_text(
        f"models: [models/*.yaml]\nkafka: {{bootstrap: 'nowhere:1', prefix: {cluster.prefix}}}\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DRIFTLINE_KAFKA", cluster.bootstrap)

    def run(*arguments: str) -> tuple[int, str, str]:
        capfd.readouterr()
        with pytest.raises(SystemExit) as end:
            main(["baseline", *arguments])
        out, err = capfd.readouterr()
        return int(end.value.code or 0), out, err

    return run


def test_the_command_publishes_once_lists_and_takes_back(command, cluster):
    code, out, err = command("publish", "--dry-run")
    assert (code, "would be published, always active" in out) == (0, True), err
    assert read_published(cluster).baselines == {}
    code, out, _ = command("publish", "loans", "--json")
    (first,) = json.loads(out)["profiles"]
    assert (code, first["outcome"], first["effective_us"]) == (0, "published", 0)
    code, out, _ = command("publish")
    assert (code, "unchanged, always active" in out) == (0, True)
    assert list(read_published(cluster).baselines) == [first["profile_id"]]

    assert (
        command(
            "build",
            "models/loans.yaml",
            "-r",
            "train.parquet",
            "-o",
            "other",
            "--model-version",
            "2",
        )[0]
        == 0
    )
    code, out, err = command("publish", *_files("other"), "--active-from", "+1s")
    assert (code, "before they have read it" in err) == (3, True)
    code, out, _ = command("publish", *_files("other"))
    assert (code, f"{first['profile_id']} is active until then" in out) == (0, True), out
    code, out, _ = command("list", "--json")
    listed = json.loads(out)["profiles"]
    assert [p["model_version"] for p in listed] == ["", "2"]
    assert listed[1]["active_from_us"] > 0

    code, out, _ = command("retire", listed[1]["profile_id"])
    assert (code, "is retired" in out) == (0, True)
    assert list(read_published(cluster).baselines) == [first["profile_id"]]
    assert command("retire", "unknown")[0] == 3


def _files(folder: str) -> list[str]:
    from pathlib import Path

    return [str(p) for p in Path(folder).glob("*.profile")]


def test_the_command_says_what_it_cannot_publish(command, cluster):
    assert command("publish", "absent")[0] == 2
    assert command("publish", "missing.profile")[0] == 3
    nowhere = replace(cluster, bootstrap="127.0.0.1:1")
    with pytest.raises(TransportError, match="check that the broker is running"):
        read_published(nowhere, timeout_s=1.0)


def test_a_front_end_publishes_lists_and_retires_by_calling_functions(command, cluster, tmp_path):
    config = tmp_path / "driftline.yaml"
    planned = publish_baselines(PublishRequest(config, is_dry_run=True))
    assert read_published(cluster).baselines == {}
    published = publish_baselines(PublishRequest(config, ("loans",)))
    assert [p.outcome for p in planned.plans] == [p.outcome for p in published.plans]
    (plan,) = published.plans
    found = published_baselines(config)
    assert [p.profile_id for p in found.baselines] == [plan.baseline.profile_id]
    assert found.as_document()["unreadable"] == []
    retire_baseline(config, plan.baseline.profile_id)
    assert published_baselines(config).baselines == ()
    with pytest.raises(BaselineError, match="driftline baseline list"):
        retire_baseline(config, plan.baseline.profile_id)


@pytest.mark.slow
def test_a_baseline_published_under_way_changes_all_workers_at_one_pane(
    broker, topic_prefix, built
):
    cluster = Cluster(broker.bootstrap, topic_prefix)
    for spec in topic_specs(n_input=2, n_keyed=2, prefix=topic_prefix):
        # The world's own record times, as if it happened now.
        config = dict(spec.settings) | {"message.timestamp.type": "CreateTime"}
        Topic(broker.bootstrap, spec.n_partitions, config, spec.name)
    events, new = build_small_world().predictions, change.dated(built, 450)
    n_before = sum(time_us < START_US + 300 * SECOND_US for _, time_us in events)
    write_baselines(cluster, [built])
    with ExitStack() as stack:
        workers = [
            stack.enter_context(BaselineWorker(cluster, stage))
            for stage in ("ingest", "ingest", "detect")
        ]
        write_events(cluster, events[:n_before])
        wait_until(lambda: bool(panes(cluster)), 90, "panes")
        write_baselines(cluster, [new])
        wait_until(lambda: all(len(ids(w.catalog)) == 2 for w in workers), 60, "the new baseline")
        write_events(cluster, events[n_before:])
        wait_until(lambda: any(change.window_of(r) == 8 for r in results(cluster)), 90, "window 8")
    change.check_change(panes(cluster), results(cluster), built, new, 450)


class BaselineWorker:
    """One stage in a thread, with a catalog of its own."""

    def __init__(self, cluster: Cluster, stage: str) -> None:
        self.catalog, self.lifecycle = Catalog.of([CONFIG], []), Lifecycle(stage)
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, args=(cluster, stage))

    def _run(self, cluster: Cluster, stage: str) -> None:
        try:
            with BaselineFeed(cluster, self.catalog) as feed:
                feed.catch_up()
                if stage == "ingest":
                    run_ingest(cluster, self.catalog, feed, self.lifecycle)
                else:
                    run_detect(cluster, self.catalog, feed, MonitorConfig(), self.lifecycle)
        except BaseException as error:
            self._error = error

    def __enter__(self) -> BaselineWorker:
        self._thread.start()
        wait_until(lambda: self.lifecycle.is_ready or self._error is not None, 90, "ready")
        return self

    def __exit__(self, *_: object) -> None:
        self.lifecycle.drain()
        self._thread.join(90)
        assert not self._thread.is_alive()
        if self._error is not None:
            raise self._error


def write_events(cluster: Cluster, events: list[tuple[bytes, int]]) -> None:
    """Write predictions with the times they came at, to both partitions in turn."""
    producer = Producer({"bootstrap.servers": cluster.bootstrap})
    for i, (value, time_us) in enumerate(events):
        producer.produce(
            cluster.topic(PREDICTIONS), value, partition=i % 2, timestamp=time_us // 1000
        )
    assert producer.flush(30) == 0


def panes(cluster: Cluster) -> list[Pane]:
    return [p for q in range(2) for p in change.panes_of(scan(cluster, PANES, q))]


def results(cluster: Cluster) -> list[DetectorResult]:
    return [r for q in range(2) for r in change.results_of(scan(cluster, RESULTS, q))]
