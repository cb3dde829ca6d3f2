"""The notify stage on Kafka: one agent on the alerts topic, with one owner at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from monitor.clock import elapsed_s
from monitor.core.topics import ALERTS
from monitor.core.unreadable import letter_write
from monitor.metrics import EVENTS, QUEUE, STAGE_SECONDS, count_dead_letters
from monitor.notify.delivery.kafka_log import KafkaNotificationLog
from monitor.notify.delivery.notifier import Notifier
from monitor.notify.delivery.outbox import Outbox
from monitor.notify.receivers.protocol import Receiver
from monitor.notify.stage import GROUP, AlertIntake
from monitor.service.lifecycle import Lifecycle
from monitor.transport.kafka.client_log import LOG
from monitor.transport.kafka.cluster import Cluster
from monitor.transport.kafka.faust.app import build_app, read_topic, run_app, send
from monitor.transport.kafka.faust.client import KafkaApp
from monitor.transport.kafka.readers.group_offset import committed_offset
from monitor.transport.kafka.readers.topic_scan import scan
from monitor.transport.kafka.topics.known import KnownTopics
from monitor.transport.types import Message
from schemas.config.model import ModelConfig
from schemas.config.monitor import MonitorConfig
from schemas.refused import DeadLetter

_STAGE = "notify"
_HANDOVER_S = 5.0
"""Time-out for messages in flight when the partition is revoked or the stage ends."""
_REPLAYED_AT_ONCE = 50


def run_notify(
    cluster: Cluster,
    monitor: MonitorConfig,
    configs: Sequence[ModelConfig],
    receivers: Mapping[str, Receiver],
    retrainers: Mapping[tuple[str, str], Receiver],
    lifecycle: Lifecycle,
    *,
    member: str | None = None,
) -> None:
    """Deliver notifications of alerts until drained. Blocks.

    Parameters
    ----------
    monitor : MonitorConfig
        ``group_wait`` and ``repeat_interval``.
    configs : sequence of ModelConfig
        Their routes and retraining policies.
    receivers : mapping of str to Receiver
        By the names that routes use.
    retrainers : mapping of (tenant, model) to Receiver
        Targets of retraining requests.
    member : str, optional
        Static member id.

    Raises
    ------
    ConfigError
        If routes or policies name receivers that do not exist.
    TransportError
        If the cluster cannot be read or written, or the alerts topic was recreated. After a restart
        the stage continues from the log.

    Notes
    -----
    The alerts topic has one partition: one process is active, further processes are on standby.
    """
    app = build_app(cluster, GROUP, member=member)
    stage = _Stage(cluster, app, lifecycle, monitor, configs, receivers, retrainers)
    read_topic(
        app,
        cluster.topic(ALERTS),
        stage.take,
        on_assigned=stage.gain,
        on_revoked=stage.lose,
        on_acked=lambda: lifecycle.hit("notify:commit"),
    )
    app.on_before_shutdown.connect(stage.leave, weak=False)
    run_app(app, lifecycle, on_tick=stage.tick, is_ready=lambda: stage.is_ready)


class _Stage:
    """Callbacks of Faust; forwards to the ``_Owner`` of the current assignment."""

    def __init__(
        self,
        cluster: Cluster,
        app: KafkaApp,
        lifecycle: Lifecycle,
        monitor: MonitorConfig,
        configs: Sequence[ModelConfig],
        receivers: Mapping[str, Receiver],
        retrainers: Mapping[tuple[str, str], Receiver],
    ) -> None:
        self._cluster, self._app, self._lifecycle = cluster, app, lifecycle
        self._everyone = [*receivers.values(), *retrainers.values()]
        self._stall_detector = StallDetector(cluster.session_timeout_ms / 1_000)
        self._owner: _Owner | None = None

        def notifier(outbox: Outbox) -> Notifier:
            log = KafkaNotificationLog(cluster, app)
            return Notifier(
                monitor,
                configs,
                receivers,
                log,
                retrainers=retrainers,
                hit=lifecycle.hit,
                outbox=outbox,
            )

        self._build: Callable[[Outbox], Notifier] = notifier
        # Config errors must be raised at start, not when the partition is assigned.
        notifier(Outbox())
        self._topics = KnownTopics(cluster, (ALERTS,))

    @property
    def is_ready(self) -> bool:
        """Whether notifications are delivered by this process or by another one."""
        return self._owner is None or self._owner.is_restored

    async def gain(self, partitions: frozenset[int]) -> None:
        """Restore the state from the log: the partition may have had another owner."""
        if 0 in partitions:
            self._stall_detector.begin()
            outbox = Outbox(may_send=self._stall_detector.wait_s)
            self._owner = _Owner(
                self._cluster, self._app, self._lifecycle, self._build(outbox), outbox
            )

    async def lose(self, partitions: frozenset[int]) -> None:
        """Finish messages in flight, before the next owner reads the log."""
        if 0 in partitions and self._owner is not None:
            await self._owner.close()

    async def take(self, partition: int, message: Message) -> None:
        """Process one message of the alerts topic."""
        if self._owner is not None:
            await self._owner.take(message)

    async def tick(self) -> None:
        """Send the notifications that are due, and raise errors of background tasks."""
        self._stall_detector.beat()
        if self._owner is not None:
            self._owner.tick()
        self._topics.look()

    async def leave(self, *_: Any, **__: Any) -> None:
        """Shut down cleanly, while writes are still possible."""
        if self._owner is not None:
            await self._owner.close()
        await asyncio.gather(*(receiver.close() for receiver in self._everyone))


class _Owner:
    """State of the process that owns the alerts partition; all of it is restored from the log."""

    def __init__(
        self,
        cluster: Cluster,
        app: KafkaApp,
        lifecycle: Lifecycle,
        notifier: Notifier,
        outbox: Outbox,
    ) -> None:
        self._cluster, self._app, self._lifecycle = cluster, app, lifecycle
        self._notifier, self._outbox = notifier, outbox
        self._intake = AlertIntake(notifier)
        self._came_s = elapsed_s()
        self._position = 0
        self._lock = asyncio.Lock()
        self._ticking: asyncio.Task[None] | None = None
        self._is_closed = False
        self._restoring = asyncio.create_task(self._restore())

    @property
    def is_restored(self) -> bool:
        """Whether the state up to the committed offset is restored."""
        return self._restoring.done() or self._is_closed

    async def take(self, message: Message) -> None:
        """Process one alert; on return its intents are logged and the alert can be acknowledged."""
        await asyncio.shield(self._restoring)
        async with self._lock:
            if message.offset > self._position:
                await self._take_skipped(message.offset)
            await self._take(message, is_replayed=False)

    def tick(self) -> None:
        """Send the notifications that are due by the time since the last alert; does not block."""
        if self._restoring.done() and not self._is_closed:
            self._restoring.result()
            self._outbox.raise_failure()
            self._outbox.show_ages()
            if self._ticking is not None and self._ticking.done():
                self._ticking.result()
                self._ticking = None
            if self._ticking is None:
                self._ticking = asyncio.create_task(self._tick())

    async def close(self) -> None:
        """Send pending messages and stop; a current alert can still write log entries."""
        self._is_closed = True
        await self._outbox.close(_HANDOVER_S)

    async def _restore(self) -> None:
        """Read the deliveries, finish what a crash interrupted, and group the alerts again."""
        begin_s = elapsed_s()
        await self._notifier.start()
        place = (self._cluster, GROUP, ALERTS, 0)
        handled = await asyncio.to_thread(committed_offset, *place)
        n = 0
        for message in await asyncio.to_thread(_read_alerts, self._cluster, 0, handled):
            await self._take(message, is_replayed=True)
            n += 1
            if n % _REPLAYED_AT_ONCE == 0:
                # Yields to the event loop, on which the group's heartbeat runs.
                await asyncio.sleep(0)
        self._position = max(self._position, handled)
        # Deliveries after the last alert were made when the stream's clock had advanced.
        self._intake.clock_us = max(self._intake.clock_us, self._notifier.last_sent_us)
        LOG.info("incidents restored from %d alerts in %.1f s", n, elapsed_s() - begin_s)
        self._lifecycle.hit("notify:restored")

    async def _take_skipped(self, end: int) -> None:
        """Process alerts between the last one and this one that Faust has skipped."""
        for message in await asyncio.to_thread(_read_alerts, self._cluster, self._position, end):
            await self._take(message, is_replayed=False)

    async def _take(self, message: Message, *, is_replayed: bool) -> None:
        """Process one message; a message that is not an alert is dead-lettered."""
        self._advance()
        with STAGE_SECONDS.labels(_STAGE, "alert").time():
            taken = await self._intake.take(message, is_replayed=is_replayed)
        self._came_s = elapsed_s()
        self._position = message.offset + 1
        if is_replayed:
            return
        EVENTS.labels(_STAGE, ALERTS).inc()
        if isinstance(taken, DeadLetter):
            await self._refuse(taken)

    async def _refuse(self, letter: DeadLetter) -> None:
        """Dead-letter a message that is not an alert, so that it does not block later alerts."""
        await send(self._app, self._cluster, [letter_write(letter)])
        count_dead_letters(_STAGE, ALERTS, letter.reason)
        LOG.warning("unreadable alert at offset %d: %s", letter.offset, letter.detail)
        self._lifecycle.hit("notify:dead_letter")

    async def _tick(self) -> None:
        """Send the notifications that are due at ``now_us``."""
        async with self._lock:
            if self._intake.clock_us:
                self._advance()
                await self._intake.tick(self._intake.clock_us)
            QUEUE.labels(_STAGE, "groups").set(self._notifier.n_waiting)

    def _advance(self) -> None:
        """Advance the stream's clock by the elapsed time, independent of the wall clock."""
        now_s = elapsed_s()
        if self._intake.clock_us and self._restoring.done():
            self._intake.clock_us += round((now_s - self._came_s) * 1_000_000)
        self._came_s = now_s


class StallDetector:
    """Detects that the process hung for longer than the group's session time-out.

    Another process may then own the partition. After a stall the process learns within one
    heartbeat whether it has lost the partition; until then it must not notify.
    """

    def __init__(self, session_s: float) -> None:
        self._session_s = session_s
        self._beat_s = elapsed_s()
        self._held_until_s = 0.0

    def begin(self) -> None:
        """Start the measurement when the partition is assigned."""
        self._beat_s, self._held_until_s = elapsed_s(), 0.0

    def beat(self) -> None:
        """Record a heartbeat; called each second."""
        now_s = elapsed_s()
        if now_s - self._beat_s > self._session_s:
            self._held_until_s = now_s + self._session_s
        self._beat_s = now_s

    def wait_s(self) -> float:
        """Return the seconds for which nothing may be sent."""
        now_s = elapsed_s()
        if now_s - self._beat_s > self._session_s:
            return 1.0
        return max(0.0, self._held_until_s - now_s)


def _read_alerts(cluster: Cluster, start: int, end: int) -> list[Message]:
    """Read a range of the alerts topic."""
    return list(scan(cluster, ALERTS, 0, start, end))
