"""Changes to Faust that settings cannot make: fetch waits, producer, recreated topics."""

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
"""Time-out of a fetch; Faust's default is 1,500.

aiokafka has one fetch in flight per broker: a partition that was just emptied is fetched again only
after the fetch of all others has returned, so an idle topic delayed a busy one by this time.
"""

Hook = Callable[[frozenset[TP]], Awaitable[None]]


class _DaemonThread(WorkerThread):
    """Daemon thread: Faust's own thread kept the process alive when it could not be stopped."""

    def __init__(self, service: Any, **options: Any) -> None:
        super().__init__(service, **options)
        self.daemon = True


class _ConsumerThread(driver.AIOKafkaConsumerThread):
    """Thread that runs aiokafka's consumer."""

    def _create_worker_consumer(self, transport: driver.Transport) -> aiokafka.AIOKafkaConsumer:
        """Create the consumer, with a short fetch wait."""
        consumer = super()._create_worker_consumer(transport)
        if not hasattr(consumer, "_fetch_max_wait_ms"):
            LOG.warning("this aiokafka has no _fetch_max_wait_ms: idle topics delay busy ones")
        consumer._fetch_max_wait_ms = FETCH_WAIT_MS
        return consumer


class _Consumer(driver.Consumer):
    """Faust's consumer; reports revocations before it waits, and handles recreated topics."""

    app: Any
    _thread: _ConsumerThread

    def _new_consumer_thread(self) -> _ConsumerThread:
        return _ConsumerThread(self, loop=self.loop, beacon=self.beacon, Worker=_DaemonThread)

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Call the hooks before Faust waits for the agents, which may wait for a hook."""
        await self.app.tell(self.app.on_revoking, revoked)
        await super().on_partitions_revoked(revoked)

    async def perform_seek(self) -> None:
        """Seek to the committed offsets, or to the beginning of partitions without one.

        Notes
        -----
        Faust seeks only if an offset is committed. Before the first commit, a rebalance that
        dropped fetched messages left the position after them: they were not read until the next
        message arrived. Faust also drops every message below the committed offset: after a topic is
        recreated it would read nothing until the log is as long as before.
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
    """Faust's producer, idempotent but without transactions."""

    def _settings_extra(self) -> Mapping[str, Any]:
        return {"acks": "all", "enable_idempotence": True}


class _Transport(driver.Transport):
    """Faust's transport with this consumer and producer."""

    Consumer: ClassVar[type] = _Consumer
    Producer: ClassVar[type] = _Producer


class KafkaApp(faust.App):
    """A Faust app that creates no files in the current folder and has no global state.

    Attributes
    ----------
    on_assigning, on_revoking : list of hook
        Awaited with the partitions: on assignment, before their first message; on revocation,
        before Faust waits for the current message.
    on_ending : list of callable
        Awaited before the app is stopped, while messages can still be received and written.
    failure : Exception or None
        First exception of an agent or a hook.
    acked : dict
        By topic and partition: the offset after the last acked message, and the time at which the
        committed offset last advanced.
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
        """Await every hook; an exception ends the app."""
        named = frozenset(partitions)
        try:
            for hook in hooks:
                await hook(named)
        except Exception as error:
            self.fail(error)

    def fail(self, error: Exception) -> None:
        """End ``run_app`` with this error.

        Not left to Faust: after a crash its services stop in no defined order, it raises follow-up
        errors, and its clients stay open.
        """
        if self.failure is None:
            self.failure = error
            # A failed agent never acks its message: do not wait for it.
            self.conf.stream_wait_empty = False

    def note_ack(self, tp: TP, offset: int) -> None:
        """Record the acked offset of a partition, for the check of commits."""
        self.acked[tp] = offset + 1

    def stuck_since_s(self, now_s: float) -> tuple[TP, float] | None:
        """Return the partition with acks whose commits have not advanced for the longest time."""
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
        """Whether a commit is in flight; stays True while the broker is unavailable."""
        return self._consumer is not None and self._consumer._commit_fut is not None  # type: ignore[attr-defined]

    def _new_transport(self) -> _Transport:
        return _Transport(self.conf.broker_consumer, self)

    def _new_producer_transport(self) -> _Transport:
        return _Transport(self.conf.broker_producer, self)

    def _create_directories(self) -> None:
        """Do nothing: the app has no tables."""


async def _on_assigned(app: KafkaApp, assigned: set[TP], **_: Any) -> None:
    """Restart the check of commits, and call the hooks."""
    app.acked.clear()
    app.committed.clear()
    await app.tell(app.on_assigning, assigned)


def broker_urls(bootstrap: str) -> list[URL]:
    """Return the addresses of ``host:port,host:port`` as Faust's broker URLs.

    Examples
    --------
    >>> [str(url) for url in broker_urls("a:9092, b:9093")]
    ['aiokafka://a:9092', 'aiokafka://b:9093']
    """
    return [URL(f"aiokafka://{place.strip()}") for place in bootstrap.split(",")]
