"""Faust beyond its settings: its fetches, its producer, recreated topics."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, ClassVar

import aiokafka
import faust
from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from mode.threads import WorkerThread
from yarl import URL

from monitor.transport.kafka.client_log import LOG

FETCH_WAIT_MS = 50
"""Faust has 1,500. aiokafka has one fetch on its way to a broker: a partition that was just
emptied is fetched again only when the fetch for all the others came back, so a quiet topic
held up a busy one for as long."""

Hook = Callable[[frozenset[TP]], Awaitable[None]]


class _DaemonThread(WorkerThread):
    """A thread that keeps no process alive: Faust's own did when it could not be stopped."""

    def __init__(self, service: Any, **options: Any) -> None:
        super().__init__(service, **options)
        self.daemon = True


class _ConsumerThread(driver.AIOKafkaConsumerThread):
    """The thread with aiokafka's consumer in it."""

    def _create_worker_consumer(self, transport: driver.Transport) -> aiokafka.AIOKafkaConsumer:
        """Make the consumer; its fetches wait only briefly."""
        consumer = super()._create_worker_consumer(transport)
        if not hasattr(consumer, "_fetch_max_wait_ms"):
            LOG.warning("this aiokafka has no _fetch_max_wait_ms: idle topics delay busy ones")
        consumer._fetch_max_wait_ms = FETCH_WAIT_MS
        return consumer


class _Consumer(driver.Consumer):
    """Faust's consumer: reports early what is revoked, and survives a recreated topic."""

    app: Any
    _thread: _ConsumerThread

    def _new_consumer_thread(self) -> _ConsumerThread:
        return _ConsumerThread(self, loop=self.loop, beacon=self.beacon, Worker=_DaemonThread)

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Call our hooks before Faust waits for the agents, which may wait for us."""
        await self.app.tell(self.app.on_revoking, revoked)
        await super().on_partitions_revoked(revoked)

    async def perform_seek(self) -> None:
        """Seek to the committed offsets, or to the beginning of logs that have none.

        Notes
        -----
        Faust seeks only where an offset is committed. Before the first commit a rebalance that
        drops messages already fetched left the position behind them: they were not read until
        the next message arrived. Faust also drops every message below the committed offset:
        after a topic was deleted and recreated it would read nothing until the log is as long
        again.
        """
        await super().perform_seek()
        committed = {tp: o for tp, o in self._committed_offset.items() if o}
        ends = await self.highwaters(*committed) if committed else {}
        beyond = {tp for tp, offset in committed.items() if offset > (ends.get(tp) or 0)}
        for tp in beyond:
            LOG.warning(
                "%s:%d ends at %s, before the committed offset %s: the topic was recreated, "
                "reading starts at its beginning",
                tp.topic,
                tp.partition,
                ends.get(tp),
                committed[tp],
            )
            self._committed_offset[tp] = None
            self._read_offset[tp] = None
        first = (self.assignment() - committed.keys()) | beyond
        if first:
            await self._thread.seek_to_beginning(*map(driver.ensure_aiokafka_TP, first))


class _Producer(driver.Producer):
    """Faust's producer, idempotent without transactions: a retry writes nothing twice."""

    def _settings_extra(self) -> Mapping[str, Any]:
        return {"acks": "all", "enable_idempotence": True}


class _Transport(driver.Transport):
    """Faust's transport with these two."""

    Consumer: ClassVar[type] = _Consumer
    Producer: ClassVar[type] = _Producer


class KafkaApp(faust.App):
    """A Faust app with nothing in the current folder and nothing global.

    Attributes
    ----------
    on_assigning, on_revoking : list of hook
        Awaited with the partitions: on assignment, before their first message;
        and when they are about to be taken, before Faust waits for the message in hand.
    on_ending : list of callable
        Awaited before the app is stopped, while messages may still come and be written.
    failure : Exception or None
        What an agent or a hook raised first.
    acked : dict
        By topic and partition: the offset after the last message that was acked, and when
        the committed offset was last seen to move.
    """

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.on_assigning: list[Hook] = []
        self.on_revoking: list[Hook] = []
        self.on_ending: list[Callable[[], Awaitable[None]]] = []
        self.failure: Exception | None = None
        self.acked: dict[TP, int] = {}
        self.committed: dict[TP, tuple[int, float]] = {}
        self.on_partitions_assigned.connect(_on_assigned, weak=False)  # type: ignore[arg-type]

    async def tell(self, hooks: Iterable[Hook], partitions: Iterable[TP]) -> None:
        """Await every hook; what one raises ends the app."""
        named = frozenset(partitions)
        try:
            for hook in hooks:
                await hook(named)
        except Exception as error:
            self.fail(error)

    def fail(self, error: Exception) -> None:
        """End ``run_app`` with this error.

        Not left to Faust: on a crash it takes itself apart in no particular order, raises
        whatever came of that, and its clients stay open.
        """
        if self.failure is None:
            self.failure = error
            # A failed agent will not ack its message: do not wait for it.
            self.conf.stream_wait_empty = False

    def note_ack(self, tp: TP, offset: int) -> None:
        """Remember how far a partition was acked; for the watchdog."""
        self.acked[tp] = offset + 1

    def stuck_since_s(self, now_s: float) -> tuple[TP, float] | None:
        """Return the partition whose commits have stood still longest though acks came."""
        worst: tuple[TP, float] | None = None
        for tp, acked in self.acked.items():
            committed = self.monitor.tp_committed_offsets.get(tp, -1)
            last, since_s = self.committed.get(tp, (-2, now_s))
            if committed != last or committed >= acked:
                since_s = now_s
            self.committed[tp] = (committed, since_s)
            if worst is None or since_s < worst[1]:
                worst = (tp, since_s)
        return worst

    @property
    def is_committing(self) -> bool:
        """Whether a commit is on its way: with the broker away it stays so."""
        return self._consumer is not None and self._consumer._commit_fut is not None  # type: ignore[attr-defined]

    def _new_transport(self) -> _Transport:
        return _Transport(self.conf.broker_consumer, self)

    def _new_producer_transport(self) -> _Transport:
        return _Transport(self.conf.broker_producer, self)

    def _create_directories(self) -> None:
        """Create none: there are no tables."""


async def _on_assigned(app: KafkaApp, assigned: set[TP], **_: Any) -> None:
    """Restart the watch of commits, and call our hooks."""
    app.acked.clear()
    app.committed.clear()
    await app.tell(app.on_assigning, assigned)


def broker_urls(bootstrap: str) -> list[URL]:
    """Spell ``host:port,host:port`` as Faust wants it.

    Examples
    --------
    >>> [str(url) for url in broker_urls("a:9092, b:9093")]
    ['aiokafka://a:9092', 'aiokafka://b:9093']
    """
    return [URL(f"aiokafka://{place.strip()}") for place in bootstrap.split(",")]
