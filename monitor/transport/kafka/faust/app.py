"""Runs Faust applications: at-least-once, in order, and they exit on any failed write or commit.

A stage builds an app, defines the processing of each message of a topic, and runs the app in the
calling thread until it is drained::

    app = build_app(cluster, "driftline-notify", member=member)

    async def take(partition: int, message: Message) -> None:
        await send(app, cluster, core.take(message))

    read_topic(app, cluster.topic(ALERTS), take, on_assigned=restore, on_revoked=drop)
    run_app(app, lifecycle, on_tick=tick)

``take`` is awaited message by message, in the order of each partition, one at a time over all
partitions of the topic; the message is acked when it returns. An exception from it ends the app:
:func:`run_app` raises it, the process exits, and its supervisor restarts it. Acked messages may be
committed, so every write must be acknowledged before ``take`` returns: :func:`send` waits for that.

Messages are delivered again after a crash or a rebalance. Very rarely an unprocessed message is
skipped (when a message of an older generation of the group was still in a queue). A stage with its
own state detects both by the offset: below its position the message was already processed; above it
messages are missing, which :func:`monitor.transport.kafka.readers.topic_scan.scan` can read.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Protocol
from weakref import WeakKeyDictionary

from aiokafka.errors import KafkaError
from faust.exceptions import ProducerSendError
from faust.types import TP
from mode import CrashingSupervisor

from monitor.clock import elapsed_s
from monitor.core.write import Write
from monitor.transport.kafka.client_log import LOG
from monitor.transport.kafka.cluster import Cluster
from monitor.transport.kafka.faust.client import KafkaApp, broker_urls
from monitor.transport.kafka.faust.login import faust_credentials
from monitor.transport.types import Message
from schemas.errors import TransportError

Take = Callable[[int, Message], Awaitable[None]]
"""Called with partition and message; the message is acked when it returns."""
OnPartitions = Callable[[frozenset[int]], Awaitable[None]]
OnTick = Callable[[], Awaitable[None]]

TICK_S = 1.0
STUCK_S = 60.0
WRITE_S = 30.0
"""Age from which a pending write makes the stage not ready.

aiokafka retries an idempotent batch without limit. The caller waits and acks nothing, so missing
commits do not reveal it.
"""
_STOP_S = 30.0
_TICK_END_S = 5.0
_START_END_S = 5.0
_AWAY_S = 5.0
_STEP_S = 0.05

_writing: WeakKeyDictionary[KafkaApp, dict[object, float]] = WeakKeyDictionary()
"""Per app, start times of the pending calls of :func:`send`, the oldest first."""


class AppLifecycle(Protocol):
    """The part of ``monitor.service.lifecycle.Lifecycle`` that a run uses."""

    @property
    def is_draining(self) -> bool:
        """Whether the process drains."""
        ...

    def beat(self) -> None:
        """Record a heartbeat."""

    def ready(self) -> None:
        """Set ready."""

    def unready(self, reason: str) -> None:
        """Set unready with a reason."""


def build_app(cluster: Cluster, group: str, *, member: str | None = None) -> KafkaApp:
    """Return an unconnected Faust app with settings for at-least-once delivery.

    Parameters
    ----------
    group : str
        Name without the prefix, such as ``driftline-detect``.
    member : str, optional
        Static member ID: no partition is reassigned by a restart within the session time-out.

    Returns
    -------
    KafkaApp
        For :func:`read_topic`, :func:`send` and :func:`run_app`. It can be run once.
    """
    session_s = cluster.session_timeout_ms / 1_000
    return KafkaApp(
        cluster.group(group),
        broker=broker_urls(cluster.bootstrap),
        broker_credentials=faust_credentials(cluster.security),
        broker_client_id="driftline",
        broker_session_timeout=session_s,
        broker_heartbeat_interval=session_s / 4,
        # Faust rejects values below the session time-out.
        broker_request_timeout=max(30.0, session_s + 5),
        broker_rebalance_timeout=60.0,
        broker_max_poll_interval=600.0,
        broker_max_poll_records=500,
        broker_commit_interval=1.0,
        consumer_group_instance_id=member,
        consumer_auto_offset_reset="earliest",
        consumer_max_fetch_size=4 << 20,
        producer_linger=0.0,
        # One batch per partition is in flight at a time: with the default of 16 KB, 200 results of
        # 40 KB were sent one by one. The broker rejects batches above 1 MB.
        producer_max_batch_size=512 << 10,
        # Bounds one request; aiokafka retries an idempotent batch until it is acknowledged.
        producer_request_timeout=60.0,
        producer_max_request_size=2 << 20,
        stream_buffer_maxsize=4_096,
        stream_wait_empty=True,
        stream_recovery_delay=0.0,
        topic_disable_leader=True,
        topic_allow_declare=False,
        table_standby_replicas=0,
        agent_supervisor=CrashingSupervisor,
        store="memory://",
        web_enabled=False,
        autodiscover=False,
    )


def read_topic(
    app: KafkaApp,
    topic: str,
    take: Take,
    *,
    on_assigned: OnPartitions | None = None,
    on_revoked: OnPartitions | None = None,
    on_acked: Callable[[], None] | None = None,
) -> None:
    """Add an agent that processes every message of a topic, in order, and then acks it.

    Parameters
    ----------
    topic : str
        Full name.
    take : callable
        Awaited with the partition and the message.
    on_assigned : callable, optional
        Awaited with all owned partitions of this topic, before their first message. Must return
        quickly, because the group waits; start a task for longer work.
    on_revoked : callable, optional
        Awaited with the revoked partitions, before the current message is awaited. Every rebalance
        revokes all partitions first, including those that are assigned again.
    on_acked : callable, optional
        Called after each ack: the last failpoint of a cycle.
    """
    channel = app.topic(
        topic, key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw"
    )

    async def agent(stream: Any) -> None:
        async for event in stream.noack().events():
            record = event.message
            try:
                await take(record.partition, _message(record))
                event.ack()
                app.note_ack(record.tp, record.offset)
                if on_acked is not None:
                    on_acked()
            except Exception as error:
                app.fail(error)
                await asyncio.Event().wait()  # processes no further messages, until it is cancelled

    agent.__name__ = agent.__qualname__ = f"read-{topic}"
    app.agent(channel, name=agent.__name__, concurrency=1, supervisor_strategy=CrashingSupervisor)(
        agent
    )
    for hooks, callback in ((app.on_assigning, on_assigned), (app.on_revoking, on_revoked)):
        if callback is not None:
            hooks.append(_of_topic(topic, callback))


def _of_topic(topic: str, callback: OnPartitions) -> Callable[[frozenset[TP]], Awaitable[None]]:
    """Return a hook that passes on the partitions of one topic."""

    async def hook(named: frozenset[TP]) -> None:
        await callback(frozenset(tp.partition for tp in named if tp.topic == topic))

    return hook


def _message(record: Any) -> Message:
    """Convert Faust's message."""
    time_us = -1 if record.timestamp is None else round(record.timestamp * 1_000) * 1_000
    return Message(record.offset, record.key or b"", record.value or b"", time_us)


async def send(app: KafkaApp, cluster: Cluster, writes: Iterable[Write]) -> None:
    """Write messages concurrently; returns when all are acknowledged.

    Parameters
    ----------
    app : KafkaApp
        Must be running.
    cluster : Cluster
        Its prefix is added to the topic names.
    writes : iterable of Write
        Writes to one partition keep their order.

    Raises
    ------
    TransportError
        If a write failed. Messages whose processing depends on it must not be acked.
    """
    producer = app.producer
    since_s, call = _writing.setdefault(app, {}), object()
    since_s[call] = elapsed_s()
    try:
        waiting = [
            await producer.send(
                cluster.topic(write.topic),
                write.key,
                write.value,
                write.partition,
                # Faust multiplies by 1,000 and truncates; half a millisecond compensates for
                # rounding.
                None if write.timestamp_us < 0 else (write.timestamp_us // 1_000 + 0.5) / 1_000,
                None,
            )
            for write in writes
        ]
        if waiting:
            await asyncio.gather(*waiting)
    except (KafkaError, ProducerSendError) as error:
        raise TransportError(
            f"a write failed: {error!r}",
            where="kafka producer",
            fix="restart; writes that are missing in the log are repeated",
        ) from error
    finally:
        del since_s[call]


def run_app(
    app: KafkaApp,
    lifecycle: AppLifecycle,
    *,
    on_tick: OnTick | None = None,
    is_ready: Callable[[], bool] = lambda: True,
    stuck_s: float = STUCK_S,
) -> None:
    """Run an app in this thread until it is drained or fails.

    Parameters
    ----------
    app : KafkaApp
        Must not have been run before.
    lifecycle : Lifecycle
        Gets a heartbeat each second. Ready when the group has been joined and ``is_ready`` returns
        True, and while no write has been pending for half a minute.
    on_tick : callable, optional
        Awaited each second, concurrently with the agents; an exception ends the app.
    stuck_s : float, optional
        How long acked messages may stay uncommitted while no commit is in flight; five times as
        long while one is (broker unavailable: outages of 35 s were survived).

    Raises
    ------
    TransportError
        If the committed offsets do not advance.
    Exception
        Any exception of an agent, a hook or ``on_tick``.

    Notes
    -----
    On drain the current message is finished, offsets are committed, and a member without a static
    ID leaves the group. Neither signal handlers nor loggers are installed.
    """
    asyncio.run(_run(app, lifecycle, on_tick, is_ready, stuck_s))


async def _run(
    app: KafkaApp,
    lifecycle: AppLifecycle,
    on_tick: OnTick | None,
    is_ready: Callable[[], bool],
    stuck_s: float,
) -> None:
    """Start, tick, stop."""
    app.loop = asyncio.get_running_loop()
    starting = asyncio.create_task(app.start())
    try:
        await _watch(app, lifecycle, starting, on_tick, is_ready, stuck_s)
    finally:
        await _stop(app, starting)


async def _watch(
    app: KafkaApp,
    lifecycle: AppLifecycle,
    starting: asyncio.Task[None],
    on_tick: OnTick | None,
    is_ready: Callable[[], bool],
    stuck_s: float,
) -> None:
    """Run the main loop until drained; raise the first error."""
    due_s, away_s = elapsed_s(), 0.0
    ticking: asyncio.Task[None] | None = None
    try:
        while not lifecycle.is_draining:
            _raise_crash(app, starting)
            if ticking is not None and ticking.done():
                ticking.result()
                ticking = None
            if elapsed_s() >= due_s:
                due_s = elapsed_s() + TICK_S
                lifecycle.beat()
                _check_commits(app, stuck_s)
                # A tick that waits for the broker must not delay draining.
                if on_tick is not None and ticking is None and starting.done():
                    ticking = asyncio.create_task(_call(on_tick))
                away_s = away_s + TICK_S if app.is_committing else 0.0
                reason = _why_unready(app, starting, is_ready, away_s)
                if reason:
                    lifecycle.unready(reason)
                else:
                    lifecycle.ready()
            await asyncio.sleep(_STEP_S)
    finally:
        if ticking is not None:
            await _end(ticking)


def _why_unready(
    app: KafkaApp, starting: asyncio.Task[None], is_ready: Callable[[], bool], away_s: float
) -> str:
    """Return the reason why the run is not ready, or ""."""
    if not starting.done() or app.rebalancing:
        return "joining the group"
    if away_s > _AWAY_S:
        return "the broker does not answer"
    if _writing_s(app) > WRITE_S:
        return "a write waits for the broker"
    return "" if is_ready() else "restoring"


def _writing_s(app: KafkaApp) -> float:
    """Return the age of the oldest pending write in seconds; 0 without one."""
    since_s = next(iter(_writing.get(app, {}).values()), None)
    return 0.0 if since_s is None else elapsed_s() - since_s


async def _call(on_tick: OnTick) -> None:
    """Await a tick."""
    await on_tick()


async def _end(task: asyncio.Task[None]) -> None:
    """Wait, with a time-out, for a running tick."""
    await asyncio.wait([task], timeout=_TICK_END_S)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError, Exception):
        await task


def _raise_crash(app: KafkaApp, starting: asyncio.Task[None]) -> None:
    """Raise the error of an agent or of the start."""
    if app.failure is not None:
        raise app.failure
    if app.crash_reason is not None:
        raise app.crash_reason
    if starting.done():
        starting.result()
    if app.should_stop:
        raise TransportError("Faust stopped unexpectedly", where=app.conf.id, fix="restart")


def _check_commits(app: KafkaApp, stuck_s: float) -> None:
    """Raise if committed offsets do not advance although messages are acked."""
    now_s = elapsed_s()
    stuck = app.stuck_since_s(now_s)
    if stuck is None:
        return
    tp, since_s = stuck
    bound_s = 5 * stuck_s if app.is_committing or app.rebalancing else stuck_s
    if now_s - since_s > bound_s:
        raise TransportError(
            f"the committed offset has not moved for {now_s - since_s:.0f} s, "
            f"{app.acked[tp]} is acked",
            where=f"{tp.topic}:{tp.partition}",
            fix="restart, and check that the broker is running",
        )


async def _stop(app: KafkaApp, starting: asyncio.Task[None]) -> None:
    """Stop cleanly, with a time-out; uncommitted messages are delivered again."""
    for end in app.on_ending:
        await _or_log(end())
    # Cancelling a start would leave clients open; usually it is nearly done.
    await asyncio.wait([starting], timeout=_START_END_S)
    if not starting.done():
        starting.cancel()
    await _or_log(app.stop())
    with contextlib.suppress(asyncio.CancelledError, Exception):
        await starting


async def _or_log(ending: Awaitable[None]) -> None:
    """Await one step of the shutdown; log its error, so that the other steps follow."""
    try:
        await asyncio.wait_for(ending, _STOP_S)
    except Exception as error:
        LOG.warning("Faust did not stop cleanly: %r", error)
