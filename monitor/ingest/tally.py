"""Metrics of ingest, updated per chunk or second; and the warning when too much is rejected."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress

from monitor import metrics
from monitor.clock import now_us
from monitor.core.windowing.watermark import NO_WATERMARK
from schemas.errors import EventError
from schemas.events import RejectReason

STAGE = "ingest"
MOSTLY_REFUSED = 0.9
N_JUDGED = 100_000
"""Refused events are held against the whole input in blocks of at least so many events."""


class Tally:
    """Raises the metrics of one ingest process.

    Parameters
    ----------
    topic : str
        Full name of the source topic.
    kind : str
        How its messages are taken out of the client.
    """

    def __init__(self, topic: str, kind: str) -> None:
        self._topic = topic
        self._steps = {
            step: metrics.STAGE_SECONDS.labels(STAGE, step)
            for step in ("decode", "aggregate", "flush", "commit")
        }
        self._seen: Counter[str] = Counter()
        metrics.READER_KIND.labels(STAGE, topic, kind).set(1)
        # Prometheus sees no increase in a series that begins above 0: these begin at 0.
        metrics.EVENTS.labels(STAGE, topic)
        metrics.LATE.labels(topic)
        metrics.GAPS.labels(STAGE, topic)
        for reason in RejectReason:
            metrics.REJECTED.labels(STAGE, topic, reason.value)

    def observe(self, step: str, seconds: float) -> None:
        """Note how long a step took."""
        self._steps[step].observe(seconds)

    def count(self, counters: Counter[str]) -> None:
        """Raise the metrics by what one partition counted, and empty its counters."""
        topic = self._topic
        metrics.EVENTS.labels(STAGE, topic).inc(counters["accepted"])
        metrics.BYTES.labels(STAGE, topic).inc(counters["bytes"])
        metrics.LATE.labels(topic).inc(counters["late"])
        metrics.REPEATED_IDS.labels(topic).inc(counters["repeated"])
        metrics.DEAD_LETTERS.labels(STAGE).inc(counters["dead_letters"])
        metrics.PANES.labels(STAGE, "published").inc(counters["panes"])
        for name, n in counters.items():
            if name.startswith("rejected_"):
                metrics.REJECTED.labels(STAGE, topic, name.removeprefix("rejected_")).inc(n)
            elif name.startswith("capped|"):
                _, tenant, model = name.split("|", 2)
                metrics.DEAD_LETTERS_CAPPED.labels(tenant, model).inc(n)
        self._seen.update(
            all=counters["accepted"] + counters["late"] + counters["refused"],
            refused=counters["refused"],
        )
        counters.clear()

    def check_refused(self) -> None:
        """Stop the worker when nearly nothing of its input can be used.

        Raises
        ------
        EventError
            If more than 90 % of the last 100,000 events or more were refused.

        Notes
        -----
        Over all partitions of the process, so that one model whose producer went wrong
        stops nothing while any other sends a tenth as much. Past their cap refused events
        are only counted: going on would lose most of the input without a trace. Started
        again the worker reads at most another block before it stops again.
        """
        n, n_refused = self._seen["all"], self._seen["refused"]
        if n < N_JUDGED:
            return
        self._seen.clear()
        if n_refused > MOSTLY_REFUSED * n:
            raise EventError(
                f"{n_refused:,} of the last {n:,} events were rejected",
                where=self._topic,
                fix="see driftline.deadletter; check the topic and that all models are configured",
            )

    def show_partition(self, partition: int, lag: int | None, watermark_us: int) -> None:
        """Show how far one partition has come."""
        if lag is not None:
            metrics.LAG.labels(STAGE, self._topic, partition).set(lag)
        if watermark_us > NO_WATERMARK:
            delay_s = (now_us() - watermark_us) / 1e6
            metrics.WATERMARK_DELAY.labels(self._topic, partition).set(delay_s)

    def forget_partition(self, partition: int) -> None:
        """Remove the metrics of a partition that another member owns."""
        for gauge, labels in (
            (metrics.LAG, (STAGE, self._topic, str(partition))),
            (metrics.WATERMARK_DELAY, (self._topic, str(partition))),
        ):
            with suppress(KeyError):
                gauge.remove(*labels)

    def show_process(self, n_partitions: int, n_writes: int) -> None:
        """Show what this process holds."""
        metrics.PARTITIONS.labels(STAGE, self._topic).set(n_partitions)
        metrics.QUEUE.labels(STAGE, "writes").set(n_writes)

    def count_gaps(self, n: int) -> None:
        """Count what retention took."""
        metrics.GAPS.labels(STAGE, self._topic).inc(n)

    def count_rebalance(self, what: str) -> None:
        """Count a partition gained, given back or lost."""
        metrics.REBALANCES.labels(STAGE, self._topic, what).inc()

    def count_commit(self, is_taken: bool) -> None:
        """Count a commit by its outcome."""
        metrics.COMMITS.labels(STAGE, "taken" if is_taken else "refused").inc()
