"""An installation on Kafka: topics, stages, input, and expected outputs.

::

    with FaultRun(tmp_path, broker.bootstrap, topic_prefix, nursery, store=url) as run:
        run.start("ingest", "i1")
        run.feed(20)
        run.finish()          # the ending is written, everything has arrived, stages drained
        run.check()           # and it equals the batch job and the run without faults
"""

from __future__ import annotations

import contextlib
import itertools
import json
import threading
from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import pyarrow as pa
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from monitor.app.installation import load_installation
from monitor.baseline.topic import write_baselines
from monitor.clock import elapsed_s
from monitor.core import topics as names
from monitor.core.pipeline_health.state import RULES
from monitor.storage.clickhouse import Store
from monitor.transport.kafka.client_log import CLIENT_LOG
from monitor.transport.kafka.cluster import Cluster
from monitor.transport.kafka.topics.specs import topic_specs
from monitor.transport.types import Message
from schemas.alerts import Alert
from schemas.config.monitor import GpuConfig
from tests.support.kafka.outputs import (
    Source,
    StageOutcome,
    Topics,
    bits_of,
    deliveries,
    expected_notifications,
    intake_of,
    rows_of,
    undisturbed,
)
from tests.support.scenario.batch_oracle import Batch, Record, batch_of, rows_by_window
from tests.support.scenario.forked_stages import ForkedStage, Nursery, clean_environment
from tests.support.scenario.webhook_recorder import WebhookRecorder
from tests.support.waiting import wait_until
from tests.support.worlds.fault import (
    ENDING_US,
    MODELS,
    SECOND_US,
    TIMING,
    WINDOW_US,
    FaultEvent,
    FaultWorld,
    baselines,
    catalog,
    configs,
    install,
    recent_start_us,
)

GPU_CONFIG = GpuConfig(interval=SECOND_US)
INPUTS = (names.PREDICTIONS, names.LABELS, names.GPU)
HOOK = "DRIFTLINE_TEST_HOOK"
_SIGN = b'"gpu_uuid":"","time_us"'
"""In the host activity that ingest writes to the GPU topic; the archive skips them."""
_MAX_NAMED, _LAG = 20, "driftline_lag_messages{"
_RULES = ", ".join(f"'{rule}'" for rule in RULES)
DECIDED = f"WHERE monitor != 'pipeline' OR rule IN ({_RULES})"
"""Alerts that are a function of the log, without those about the machine."""


def create_topics(
    bootstrap: str, prefix: str, n_input: int, n_keyed: int, only: Container[str] = ()
) -> None:
    """Make every topic; the sources keep the producer's times, so that they can be known."""
    made = []
    for spec in topic_specs(n_input=n_input, n_keyed=n_keyed, prefix=prefix):
        if only and spec.name not in only:
            continue
        settings = dict(spec.settings)
        if spec.name.removeprefix(prefix) in INPUTS:
            settings["message.timestamp.type"] = "CreateTime"
        made.append(NewTopic(spec.name, spec.n_partitions, 1, config=settings))
    admin = AdminClient({"bootstrap.servers": bootstrap})
    for future in admin.create_topics(made).values():
        future.result(60)
    # The controller answers before the broker shows them.
    wait_until(
        lambda: {t.topic for t in made} <= admin.list_topics(timeout=30).topics.keys(), 60, "topics"
    )


@dataclass
class Expected:
    """Expected outputs for the log's contents."""

    outcome: StageOutcome
    """Of the run without faults."""
    batches: dict[tuple[str, int], Batch]
    """Of the batch job, by source and partition."""

    @staticmethod
    def of(
        sources: Sequence[Source],
        gpu_messages: Mapping[int, Sequence[Message]],
        chunk_messages: int = 2_000,
    ) -> Expected:
        """Compute both."""
        batches = {
            (source, partition): batch_of(map(_record, messages), MODELS, TIMING)
            for source, partitions in sources
            for partition, messages in partitions.items()
        }
        outcome = undisturbed(
            sources, gpu_messages, catalog(), configs()[0].window, GPU_CONFIG, chunk_messages
        )
        return Expected(outcome, batches)


class FaultRun:
    """An installation under test; a context manager.

    Parameters
    ----------
    store : str, optional
        URL of an empty database; without one the archive cannot run.
    archive_store : str, optional
        URL by which the archive reaches it, by way of a proxy.
    n_keyed : int, optional
        Partitions of panes, state and results.
    monitor : mapping, optional
        Settings of the installation beside or in place of the usual ones.
    session_timeout : str, optional
        After how much silence a member's partitions are given to others.
    """

    def __init__(
        self,
        folder: Path,
        bootstrap: str,
        prefix: str,
        nursery: Nursery,
        *,
        store: str | None = None,
        archive_store: str | None = None,
        world: FaultWorld | None = None,
        n_keyed: int = 2,
        monitor: Mapping[str, Any] | None = None,
        session_timeout: str = "6s",
    ) -> None:
        self.folder, self.bootstrap, self.prefix = folder, bootstrap, prefix
        self.nursery, self.store, self.n_keyed = nursery, store, n_keyed
        self.world = world or FaultWorld(recent_start_us(), n_gpu_partitions=n_keyed)
        self.cluster = Cluster(bootstrap, prefix=prefix)
        self.children: dict[str, ForkedStage] = {}
        self.n_kills: Counter[str] = Counter()
        """Kills by stage."""
        self.config = install(
            folder,
            bootstrap=bootstrap,
            prefix=prefix,
            store=archive_store or store or "no-store",
            monitor=monitor,
            session_timeout=session_timeout,
        )
        self.found = StageOutcome()
        self.n_written: Counter[str] = Counter()
        self._past: list[Source] = []
        self._garbage: set[bytes] = set()
        self._n_garbage = itertools.count()
        self.failures: list[BaseException] = []
        """What ended the writing of input; a test that waits for more of it fails at once."""

    def __enter__(self) -> Self:
        create_topics(self.bootstrap, self.prefix, self.world.n_partitions, self.n_keyed)
        write_baselines(self.cluster, baselines())
        self.source_id = self.cluster.identity(names.PREDICTIONS).topic_id
        if self.store is not None:
            with Store.open(self.store) as store:
                store.migrate()
        self.webhook = WebhookRecorder().__enter__()
        self.environment = {
            **clean_environment(),
            "DRIFTLINE_KAFKA": self.bootstrap,
            HOOK: self.webhook.url,
        }
        self._producer = Producer(
            {
                "bootstrap.servers": self.bootstrap,
                "linger.ms": 5,
                "enable.idempotence": True,
                # A broker that restarts slowly answers for a while that it has no such topic.
                "topic.metadata.propagation.max.ms": 300_000,
            },
            logger=CLIENT_LOG,
        )
        self._admin = AdminClient({"bootstrap.servers": self.bootstrap}, logger=CLIENT_LOG)
        self.topics = Topics(self.bootstrap, self.prefix)
        return self

    def __exit__(self, *_: object) -> None:
        for child in self.children.values():
            child.kill()
        del self._producer
        self.topics.close()
        self.webhook.__exit__()

    # -- stages -------------------------------------------------------------------

    def start(
        self, stage: str, name: str, *, crash_at: str = "", is_static: bool = True, **more: str
    ) -> ForkedStage:
        """Start or restart a stage under a name."""
        environment = {**self.environment, **more}
        if crash_at:
            environment["DRIFTLINE_CRASH_AT"] = crash_at
        if name in self.children:
            return self.children[name].start(environment)
        member = ["--member", name] if is_static else []
        arguments = [stage, "--config", str(self.config), "--http", "127.0.0.1:0", *member]
        child = self.nursery.start(arguments, environment, self.folder, name)
        self.children[name] = child
        return child

    def kill(self, name: str) -> None:
        """Kill -9, now."""
        child = self.children[name]
        self.n_kills[child.arguments[0]] += child.is_running
        child.kill()

    def stop_all(self) -> None:
        """Drain every stage that runs; each must leave in good order."""
        running = [c for c in self.children.values() if c.is_running]
        for stage in ("ingest", "detect", "notify", "archive"):
            mine = [c for c in running if c.arguments[0] == stage]
            for child in mine:
                child.signal(15)
            for child in mine:
                assert child.wait() == 0, f"{child.name} left with {child.code}\n{child.tail()}"

    # -- input --------------------------------------------------------------------

    def write(self, sent: Iterable[FaultEvent]) -> None:
        """Write messages with their record times; returns when all lie in the log."""
        failed: list[Any] = []
        for one in sent:
            self._producer.produce(
                self.prefix + one.topic,
                one.value,
                one.key,
                one.partition,
                timestamp=one.record_us // 1_000,
                on_delivery=lambda error, _: failed.append(error) if error else None,
            )
            self.n_written[one.topic] += 1
            self._producer.poll(0)
        assert self._producer.flush(120) == 0, "not all acknowledged"
        assert not failed, failed[:3]

    def write_garbage(self, topic: str, values: Sequence[bytes]) -> None:
        """Write unreadable messages into every partition of an internal topic.

        Notes
        -----
        Each has a key of its own. A topic that is compacted would drop one as soon as its key
        came again, and then the reader finds nothing to write a dead letter for.
        """
        self._garbage |= set(values)
        now_us = self.world.end_us
        n_partitions = len(self.topics.partitions(topic))
        self.write(
            FaultEvent(topic, p, b"garbage-%d" % next(self._n_garbage), value, now_us)
            for p in range(n_partitions)
            for value in values
        )

    def feed(self, n_windows: int, *, pause_s: float = 0.0) -> None:
        """Write so many windows, one after the other."""
        pause = threading.Event()
        for _ in range(n_windows):
            self.write(self.world.next_window())
            pause.wait(pause_s)

    @contextlib.contextmanager
    def feeding(self, pause_s: float = 0.3, max_windows: int = 300) -> Iterator[None]:
        """Write window after window while the block runs."""
        is_over, failed = threading.Event(), self.failures

        def feed() -> None:
            try:
                while not is_over.wait(pause_s):
                    if self.world.n_windows < max_windows:
                        self.feed(1)
            except BaseException as error:
                failed.append(error)

        thread = threading.Thread(target=feed, daemon=True)
        thread.start()
        try:
            yield
        finally:
            is_over.set()
            thread.join()
        assert not failed, failed

    def await_windows(self, n: int, timeout_s: float = 180.0) -> None:
        """Wait until so many more windows have been written, or the writing has failed."""
        target = self.world.n_windows + n
        wait_until(
            lambda: self.world.n_windows >= target or bool(self.failures), timeout_s, f"{n} windows"
        )
        assert not self.failures

    # -- what groups say ---------------------------------------------------------------

    def members(self, group: str) -> list[str]:
        """Return the static names, else the ids, of a group's members."""
        full = self.cluster.group(group)
        asked = self._admin.describe_consumer_groups([full], request_timeout=10)
        members = asked[full].result(15).members
        return [member.group_instance_id or member.member_id for member in members]

    def await_members(self, group: str, n: int, timeout_s: float = 60.0) -> None:
        """Wait until a group has so many members."""
        wait_until(lambda: len(self.members(group)) == n, timeout_s, f"{n} members of {group}")

    def await_ready(self, timeout_s: float = 90.0) -> None:
        """Wait until every started stage is ready."""
        self.await_ready_of(*self.children, timeout_s=timeout_s)

    def await_ready_of(self, *names_: str, timeout_s: float = 90.0) -> None:
        """Wait until the given stages are ready."""
        deadline, pause = elapsed_s() + timeout_s, threading.Event()
        for child in (self.children[name] for name in names_):
            while not child.is_ready():
                assert elapsed_s() < deadline, (
                    f"{child.name} is not ready within {timeout_s:g} s, ended with {child.code}\n"
                    f"{child.tail()}"
                )
                pause.wait(0.1)

    # -- what comes of it ------------------------------------------------------------

    def expected(self) -> Expected:
        """Compute the expected outputs from the input topics."""
        self.topics.update()
        now = (self.source_id, self.topics.partitions(names.PREDICTIONS))
        return Expected.of([*self._past, now], self.topics.partitions(names.GPU))

    def settle(self, timeout_s: float = 120.0) -> Expected:
        """Write the ending, and wait until everything has arrived."""
        self.write(self.world.ending())
        expected = self.expected()
        self.await_all(expected, timeout_s)
        return expected

    def finish(self, timeout_s: float = 120.0) -> Expected:
        """Wait for all outputs, drain the stages, and read their last output."""
        expected = self.settle(timeout_s)
        self.stop_all()
        self.look()
        return expected

    def remake_predictions(self) -> None:
        """Delete the topic and make it again; a new world begins long after the old one."""
        self.look()
        name = self.prefix + names.PREDICTIONS
        self._admin.delete_topics([name])[name].result(60)
        wait_until(lambda: name not in self._admin.list_topics(timeout=30).topics, 60, "deletion")
        create_topics(
            self.bootstrap, self.prefix, self.world.n_partitions, self.n_keyed, only=(name,)
        )
        self._past.append((self.source_id, self.topics.begin_again(names.PREDICTIONS)))
        self.source_id = self.cluster.identity(names.PREDICTIONS).topic_id
        begin_us = self.world.end_us + 2 * ENDING_US
        self.world = replace(self.world, start_us=begin_us, seed=self.world.seed + 1, n_windows=0)

    @contextlib.contextmanager
    def keeping(self) -> Iterator[None]:
        """Restart stages that exit while the block runs, like `driftline up`."""
        is_over, failed = threading.Event(), []

        def keep() -> None:
            try:
                while not is_over.wait(0.3):
                    self.restart_ended()
            except BaseException as error:
                failed.append(error)

        thread = threading.Thread(target=keep, daemon=True)
        thread.start()
        try:
            yield
        finally:
            is_over.set()
            thread.join()
        assert not failed, failed

    def restart_ended(self) -> None:
        """Restart stages that have ended, as an operator does."""
        for name, child in self.children.items():
            if not child.is_running:
                self.start(child.arguments[0], name)

    def look(self) -> StageOutcome:
        """Read on."""
        self.topics.update()
        return self.found.catch_up(self.topics)

    def await_all(self, expected: Expected, timeout_s: float) -> None:
        """Wait until no output is missing; values are checked later."""
        deadline, pause = elapsed_s() + timeout_s, threading.Event()
        while missing := self.missing(expected):
            assert elapsed_s() < deadline, (
                f"missing after {timeout_s:g} s: {missing}\n"
                f"{self._missing_alerts(expected)}{self._lags()}{self.tails()}"
            )
            pause.wait(0.3)

    def missing(self, expected: Expected) -> dict[str, Any]:
        """Return the missing outputs, by kind."""
        found, wanted = self.look(), expected.outcome
        missing: dict[str, Any] = {
            "panes": sum(
                name not in found.panes
                or int(pane.segments.n_rows[0]) > int(found.panes[name].segments.n_rows[0])
                for name, pane in wanted.panes.items()
            ),
            "dead letters": len(wanted.dead.keys() - found.dead.keys()),
            "late": len(wanted.late - found.late),
        }
        if self._runs("detect"):
            missing["results"] = len(wanted.results.keys() - found.results.keys())
            missing["alerts"] = len(wanted.alerts.keys() - found.alerts.keys())
        if self._runs("notify") and not any(missing.values()):
            wanted_ids = self._notifications().keys()
            missing["received"] = len(
                wanted_ids - {t.notification_id for t in self.webhook.received}
            )
            missing["logged"] = len(wanted_ids - self._noted())
        if self._runs("archive") and not any(missing.values()):
            missing |= self._missing_rows(expected)
        return {kind: n for kind, n in missing.items() if n}

    def _missing_alerts(self, expected: Expected) -> str:
        """Name the first missing alerts, one a line."""
        wanted = expected.outcome.alerts
        lacking = sorted((wanted[i] for i in wanted.keys() - self.found.alerts.keys()), key=_place)
        return "".join(f"missing: {_place(alert)}\n" for alert in lacking[:_MAX_NAMED])

    def _lags(self) -> str:
        """Return what the stages report as not read yet, one partition a line."""
        said = "".join(child.ask("/metrics")[1] for child in self.children.values())
        return "".join(f"{line}\n" for line in said.splitlines() if line.startswith(_LAG))

    def _runs(self, stage: str) -> bool:
        return any(child.arguments[0] == stage for child in self.children.values())

    def _notifications(self) -> dict[str, str]:
        monitor = load_installation(self.config).monitor
        return expected_notifications(self.topics, monitor, catalog())

    def _noted(self) -> set[str]:
        """Return the IDs with a final outcome in the log: delivered or rejected."""
        refused = self.webhook.refused
        return {
            i
            for i, state in deliveries(self.topics)
            if state == ("failed" if i in refused else "done")
        }

    def tails(self) -> str:
        """Return the end of every stage's log."""
        return "\n".join(child.tail() for child in self.children.values())

    # -- the comparison ----------------------------------------------------------------

    def check(self, expected: Expected) -> None:
        """Compare all outputs with the expected ones: no loss, no duplicates."""
        self._check_panes(expected)
        found, wanted = self.found, expected.outcome
        sources = {source for source, _ in expected.batches}
        assert {key: v for key, v in found.dead.items() if key[0] in sources} == wanted.dead
        assert found.late == wanted.late
        if self._runs("detect"):
            assert found.alerts == wanted.alerts
            assert found.results == wanted.results
            assert not found.revised, f"{len(found.revised)} results were revised"
        if self._runs("notify"):
            self._check_received()
        if self._runs("archive") and self.store is not None:
            self._check_store(expected)

    def _check_panes(self, expected: Expected) -> None:
        """Against the batch job, and bit for bit against the run without faults."""
        found, wanted = self.found, expected.outcome
        assert found.panes.keys() == wanted.panes.keys()
        for name, pane in wanted.panes.items():
            assert bits_of(found.panes[name]) == bits_of(pane), name
        for place, batch in expected.batches.items():
            assert dead_of(found, place) == batch.dead
            assert late_of(found, place) == batch.late
            assert intake_of(found.intake, *place) == batch.passed_intake(TIMING.pane_us)
            for part, kind in (("panes", "segments"), ("slices", "slices")):
                rows = {k: c.counts for k, c in batch.passed(part, TIMING.pane_us).items()}
                assert rows_of(found.panes, *place, kind) == rows

    def _check_received(self) -> None:
        """Every receiver got every message; a kill of notify repeats at most one each."""
        wanted = self._notifications()
        n_receivers = len(load_installation(self.config).monitor.receivers)
        received = self.webhook.received
        times = Counter(t.notification_id for t in received)
        assert set(times) == set(wanted)
        assert {(t.notification_id, t.dedup_key) for t in received} == set(wanted.items())
        assert all(t.idempotency_key == t.notification_id for t in received)
        n_repeats = sum(times.values()) - len(times)
        assert n_repeats <= n_receivers * self.n_kills["notify"], (n_repeats, self.n_kills)

    # -- the store ------------------------------------------------------------------------

    def _select(self, sql: str) -> pa.Table:
        assert self.store is not None
        with Store.open(self.store) as store:
            return store.query(sql)

    def _count(self, table: str, where: str = "") -> int:
        sql = f"SELECT count() AS n FROM {table} FINAL {where}"
        return int(self._select(sql)["n"][0].as_py())

    def _wanted_rows(self, expected: Expected) -> dict[str, tuple[str, int]]:
        """Which rows of each table are counted, and how many there must be."""
        sources = ", ".join(sorted({f"'{source}'" for source, _ in expected.batches}))
        wanted = {
            "predictions": ("", len(_raw(expected))),
            "labels": ("", self._n_labels()),
            "gpu": ("", sum(_SIGN not in value for value in self._values(names.GPU))),
            "dead_letters": (f"WHERE source IN ({sources})", len(expected.outcome.dead)),
            "late": ("", len(expected.outcome.late)),
        }
        if self._runs("detect"):
            alerts, results = expected.outcome.alerts, expected.outcome.results
            wanted["alerts"] = DECIDED, len(alerts)
            wanted["results"] = "", len(results)
        return wanted

    def _values(self, topic: str) -> set[bytes]:
        """Return the distinct readable messages of a topic."""
        messages = (m for lane in self.topics.partitions(topic).values() for m in lane)
        return {m.value for m in messages} - self._garbage

    def _n_labels(self) -> int:
        """Return the number of labels, by place, that are not stamped too far ahead."""
        n = 0
        for lane in self.topics.partitions(names.LABELS).values():
            for message in lane:
                if message.value in self._garbage:
                    continue
                label = json.loads(message.value)
                n += label["time_us"] - message.timestamp_us <= TIMING.skew_us
        return n

    def _missing_rows(self, expected: Expected) -> dict[str, int]:
        wanted = self._wanted_rows(expected).items()
        missing = {f"rows of {t}": max(0, n - self._count(t, where)) for t, (where, n) in wanted}
        n_rows = self._select("SELECT sum(n_rows) AS n FROM panes FINAL WHERE feature = 'score'")
        total = sum(
            int(stats.n_rows.sum())
            for pane in expected.outcome.panes.values()
            for stats in (pane.segments, pane.slices)
        )
        missing["rows of panes"] = total - int(n_rows["n"][0].as_py() or 0)
        return missing

    def _check_store(self, expected: Expected) -> None:
        """Every row is there, once."""
        for table, (where, n) in self._wanted_rows(expected).items():
            assert self._count(table, where) == n, table
        rows = self._select("SELECT model, id, time_us FROM predictions FINAL").to_pylist()
        assert {(r["model"], r["id"], r["time_us"]) for r in rows} == _raw(expected)
        # Without FINAL: what a duplicate insert would have added, and merging may hide.
        n_readable = sum(batch.n_readable for batch in expected.batches.values())
        n_stored = self._select("SELECT count() AS n FROM predictions")["n"][0].as_py()
        assert n_stored <= n_readable, "rows were inserted twice"
        self._check_stored_panes(expected)
        stored = self._select(f"SELECT alert_id FROM alerts FINAL {DECIDED}").to_pylist()
        ids = {a["alert_id"] for a in stored}
        assert ids == self.found.alerts.keys()

    def _check_stored_panes(self, expected: Expected) -> None:
        """Rows of each window in the store are those of the batch job."""
        sql = (
            "SELECT model, model_version, segment, is_slice, sum(n_rows) AS n,"
            f" intDiv(start_us, {WINDOW_US}) AS window"
            " FROM panes FINAL WHERE feature = 'score' GROUP BY ALL HAVING n > 0"
        )
        stored = {
            (r["model"], r["model_version"], r["window"], r["segment"], bool(r["is_slice"])): r["n"]
            for r in self._select(sql).to_pylist()
        }
        wanted: Counter[tuple[str, str, int, str, bool]] = Counter()
        for batch in expected.batches.values():
            for part, is_slice in (("panes", False), ("slices", True)):
                for place, cell in batch.passed(part, TIMING.pane_us).items():
                    window = place.start_us // WINDOW_US
                    name = (place.model, place.version, window, place.name, is_slice)
                    wanted[name] += cell.n_rows
        assert stored == dict(wanted)


def _place(alert: Alert) -> tuple[str, ...]:
    """Return what an alert is about, to be named in a failure."""
    names_of_alert = ("monitor", "rule", "model", "model_version", "feature", "segment", "host")
    found = (str(getattr(alert, name)) for name in (*names_of_alert, "time_us", "transition"))
    return (*found, alert.title)


def _record(message: Message) -> Record:
    return Record(message.offset, message.value, message.timestamp_us)


def dead_of(outcome: StageOutcome, place: tuple[str, int]) -> dict[int, str]:
    """Return offset and reason of the dead letters of one source partition."""
    return {key[2]: value[0] for key, value in outcome.dead.items() if key[:2] == place}


def late_of(outcome: StageOutcome, place: tuple[str, int]) -> dict[int, int]:
    """Return offset and watermark of the late events of one source partition."""
    return {late[2]: late[4] for late in outcome.late if late[:2] == place}


def _raw(expected: Expected) -> set[tuple[str, str, int]]:
    return set().union(*(batch.raw for batch in expected.batches.values()))


def run_in_memory(n_windows: int, seed: int = 0, chunk_messages: int = 2_000) -> Expected:
    """Run the world without a broker, and compare the expected outputs with each other."""
    world = FaultWorld(1_700_000_000 * SECOND_US, seed=seed)
    sent = [one for _ in range(n_windows) for one in world.next_window()]
    topics: dict[str, dict[int, list[Message]]] = {topic: {} for topic in INPUTS}
    for one in [*sent, *world.ending()]:
        lane = topics[one.topic].setdefault(one.partition, [])
        lane.append(Message(len(lane), one.key, one.value, one.record_us))
    source = ("memory", dict(sorted(topics[names.PREDICTIONS].items())))
    return Expected.of([source], topics[names.GPU], chunk_messages)


def judged_rows(outcome: StageOutcome) -> dict[tuple[str, str, int, str], int]:
    """Return how many rows each window was judged by, empty windows left out."""
    return {
        (r.model, r.model_version, r.start_us, r.segment): r.n
        for r in outcome.results.values()
        if r.metric == "decision" and r.feature == "score" and r.n
    }


def batch_rows(expected: Expected) -> dict[tuple[str, str, int, str], int]:
    """Return the rows the batch job has for each window."""
    return rows_by_window(expected.batches.values(), WINDOW_US)
