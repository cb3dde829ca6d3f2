"""How soon one ingest process that was killed has caught up, and what was lost or double.

A real broker and ``driftline ingest`` on the same cores; another process writes 200,000
events a second. kill -9, then the supervisor's first pause, then a start with its imports
and kernels. The window's settings are the defaults: all panes of the last 65 to 75 seconds
may still change, so that is what is read again, while more comes. With ``--quick`` panes
of a second and a lateness of ten.

``caught_up_s``: from the kill until no more lies uncommitted behind the log's end than at
most did before it. ``lost`` and ``double``: what the producer counted by partition and pane
against the rows of the latest version of each pane.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections import Counter
from pathlib import Path

from confluent_kafka import Consumer, TopicPartition

from benchmarks.events import make_messages, model_config, reference_table
from benchmarks.ingest_run import N_PANES_PARTITIONS, create_topics
from benchmarks.output import Figures, main
from benchmarks.stage_run import HOOK, StageCommand, Traffic, install, stage_commands
from benchmarks.traffic import Orders
from monitor.baseline.build import build_baseline
from monitor.core.topics import PANES, PREDICTIONS
from monitor.core.windowing.codec import PaneAssembler
from monitor.core.windowing.intake_message import NOT_PANES
from monitor.devkit.dev_broker import STEADY_LOAD, DevBroker
from monitor.ingest.stage import GROUP
from monitor.service.restarts import FIRST_S
from monitor.transport.kafka.cluster import Cluster
from monitor.transport.kafka.readers.topic_scan import scan
from schemas.config.model import WindowConfig
from schemas.panes import Pane
from schemas.time_units import SECOND_US

RATE, N_PARTITIONS, PREFIX = 200_000, 4, "recovery."
LONGEST_S = 180.0
DEFAULT = WindowConfig()
SHORT = WindowConfig(
    pane=SECOND_US, length=60 * SECOND_US, bound=SECOND_US // 2, lateness=10 * SECOND_US
)


class Lag:
    """What lies between the committed position and the log's end, by asking the broker."""

    def __init__(self, cluster: Cluster) -> None:
        self._consumer = Consumer(
            {**cluster.client(), "group.id": cluster.group(GROUP), "enable.auto.commit": False}
        )
        topic = cluster.topic(PREDICTIONS)
        self._places = [TopicPartition(topic, p) for p in range(N_PARTITIONS)]

    def ends(self) -> list[int]:
        """Where the log ends."""
        return [self._consumer.get_watermark_offsets(p, timeout=10)[1] for p in self._places]

    def positions(self) -> list[int]:
        """F of the last commits."""
        committed = self._consumer.committed(self._places, timeout=10)
        return [json.loads(c.metadata)["F"] if c.metadata else 0 for c in committed]

    def __call__(self) -> int:
        """Sum over the partitions."""
        return sum(self.ends()) - sum(self.positions())

    def close(self) -> None:
        """Let go of the connection."""
        self._consumer.close()


def watch(lag: Lag, seconds: float) -> int:
    """The most that lay uncommitted during so many seconds."""
    worst, deadline = 0, time.monotonic() + seconds
    while time.monotonic() < deadline:
        worst = max(worst, lag())
        time.sleep(0.1)
    return worst


def kill(ingest: StageCommand, lag: Lag, usual: int) -> tuple[float, int]:
    """Kill and start again; seconds until the lag is the usual one, and the most it was."""
    killed_s, worst = time.monotonic(), 0
    ingest.end()
    time.sleep(FIRST_S)
    ingest.start()
    while (now_s := time.monotonic()) < killed_s + LONGEST_S:
        left = lag()
        worst = max(worst, left)
        # The old position counts until the new process has committed one of its own.
        if worst > 2 * usual and left <= usual:
            return now_s - killed_s, worst
        time.sleep(0.1)
    return LONGEST_S, worst


def standing_rows(cluster: Cluster, pane_us: int) -> Counter[str]:
    """Rows of the highest version of every pane, by partition and pane."""
    standing: dict[tuple[int, int], Pane] = {}
    for panes_partition in range(N_PANES_PARTITIONS):
        assembler = PaneAssembler()
        for message in scan(cluster, PANES, panes_partition):
            if message.key.startswith(NOT_PANES):
                continue
            for whole in assembler.add(message.value, message.offset):
                pane = whole.pane
                place = pane.partition, pane.start_us
                if place not in standing or standing[place].pane_version <= pane.pane_version:
                    standing[place] = pane
    return Counter(
        {
            f"{partition}|{start_us // pane_us}": int(pane.segments.n_rows[0])
            for (partition, start_us), pane in standing.items()
        }
    )


def compare(written: dict[str, int], rows: Counter[str]) -> tuple[int, int, int]:
    """Lost, double and compared events; the last two panes of a partition may be open yet."""
    last: dict[str, int] = {}
    for place in written:
        partition, pane = place.split("|")
        last[partition] = max(last.get(partition, 0), int(pane))
    lost = double = n = 0
    for place, wanted in written.items():
        partition, pane = place.split("|")
        if int(pane) < last[partition] - 1:
            n += wanted
            lost += max(0, wanted - rows[place])
            double += max(0, rows[place] - wanted)
    return lost, double, n


def measure(quick: bool) -> Figures:
    window, steady_s, after_s = (SHORT, 5.0, 2.0) if quick else (DEFAULT, 100.0, 30.0)
    model = model_config().model_copy(update={"window": window})
    baseline = build_baseline(reference_table(make_messages(20_000, 0.0, seed=2)), model)
    with tempfile.TemporaryDirectory() as folder, DevBroker(jvm_options=STEADY_LOAD) as broker:
        cluster = Cluster(broker.bootstrap, prefix=PREFIX)
        create_topics(broker.bootstrap, PREFIX, N_PARTITIONS)
        config = install(Path(folder, "i"), cluster, [model], [baseline])
        topic = cluster.topic(PREDICTIONS)
        orders = Orders(broker.bootstrap, topic, N_PARTITIONS, RATE, 0, pane_us=window.pane_us)
        traffic = Traffic(orders)
        lag = Lag(cluster)
        try:
            with stage_commands(config, ("ingest",), **{HOOK: "http://127.0.0.1/"}) as running:
                begin_us = time.time_ns() // 1_000 // window.pane_us * window.pane_us
                traffic.begin(begin_us=begin_us, end_us=0)
                watch(lag, steady_s / 2)
                usual = watch(lag, steady_s / 2)
                caught_up_s, worst = kill(running["ingest"], lag, usual)
                watch(lag, after_s)
                report = traffic.report(is_to_end=True)
                # All that is left is to be read, its panes to be published.
                deadline = time.monotonic() + LONGEST_S
                while lag() and time.monotonic() < deadline:
                    time.sleep(0.2)
                lost, double, n = compare(report["written"], standing_rows(cluster, window.pane_us))
        finally:
            traffic.end()
            lag.close()
    return {
        "caught_up_s": caught_up_s,
        "lost": lost,
        "double": double,
        "n_compared": n,
        "usual_lag_events": usual,
        "worst_lag_events": worst,
        "events_per_s": report["rate"],
        "producer_worst_delay_s": report["worst_delay_s"],
    }


if __name__ == "__main__":
    main("kill -9 of ingest under 200,000 events a second", measure)
