"""Owned partitions: restored on assignment, fed in order, dropped on revocation."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Generic, Protocol, TypeVar

from monitor.clock import elapsed_s
from monitor.core.drift.rereading import Rereading
from monitor.core.state.snapshot_store import SnapshotStore
from monitor.core.state.writes import WritePhase
from monitor.core.topics import STATE
from monitor.detect.stage import read_states
from monitor.metrics import STAGE_SECONDS
from monitor.service.lifecycle import Lifecycle
from monitor.transport.kafka.client_log import LOG
from monitor.transport.kafka.cluster import Cluster
from monitor.transport.kafka.faust.app import send
from monitor.transport.kafka.faust.client import KafkaApp
from monitor.transport.kafka.readers.topic_scan import log_extent, scan
from monitor.transport.types import Message

_BATCH = 500
_REVOKE_S = 20.0
_END_S = 10.0
_YIELD_S = 0.002
"""Between groups, for the client to send and hear: one turn of the loop is not enough, and
then the first alert of 200 models left when the last model had been decided."""


class Rules(Protocol):
    """What a partition's rules have to offer."""

    position: int
    """Offset of the message that is taken next."""

    def restore(self, state: SnapshotStore) -> list[WritePhase]:
        """Take the last state; say what its writer may not have sent."""
        ...

    def hear(self, message: Message) -> Iterable[list[WritePhase]]:
        """Take one message; say what to write, see ``drift_partition.Groups``."""
        ...


RulesT = TypeVar("RulesT", bound=Rules)


@dataclass(slots=True)
class _Owned(Generic[RulesT]):
    """One owned partition."""

    rules: RulesT
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    restoring: asyncio.Task[None] | None = None
    is_ready: bool = False
    is_dropped: bool = False


class _DroppedError(Exception):
    """The partition was taken while something was to be written for it."""


class OwnedPartitions(Generic[RulesT]):
    """The partitions of one topic: what must hold between assignment and revocation.

    Parameters
    ----------
    topic : str
        One of ``monitor.core.topics``; its state lies in the same partition of the state
        topic.
    lifecycle : Lifecycle
        Called with the name of each failpoint.
    build : callable
        (partition, owner) -> the rules; the owner is new at each assignment.
    prepare : callable, optional
        Called with the rules in a thread after they were restored and before the first message.
    rereading : callable, optional
        What the rules have to read again after the message they took last, if anything.

    Notes
    -----
    Nothing of an assignment is written after it was revoked: a message in hand is finished
    first, within 20 s, or given up between two phases, which is as if the process had died
    there. (It is acked all the same: the commit decides nothing here.)
    """

    def __init__(
        self,
        app: KafkaApp,
        cluster: Cluster,
        topic: str,
        lifecycle: Lifecycle,
        build: Callable[[int, str], RulesT],
        rereading: Callable[[RulesT], Rereading | None] = lambda rules: None,
        prepare: Callable[[RulesT], None] = lambda rules: None,
    ) -> None:
        self._app, self._cluster, self._topic, self._lifecycle = app, cluster, topic, lifecycle
        self._build, self._rereading, self._prepare = build, rereading, prepare
        self._owned: dict[int, _Owned[RulesT]] = {}

    @property
    def is_ready(self) -> bool:
        """Whether every owned partition has been restored."""
        return all(owned.is_ready for owned in self._owned.values())

    def ready(self) -> list[tuple[int, RulesT]]:
        """Return partition and rules of what has been restored, in order."""
        return [(p, o.rules) for p, o in sorted(self._owned.items()) if o.is_ready]

    def rules(self, partition: int) -> RulesT | None:
        """Return the rules of a partition, None if it is not owned."""
        owned = self._owned.get(partition)
        return owned.rules if owned is not None else None

    @property
    def n_owned(self) -> int:
        """Number of owned partitions."""
        return len(self._owned)

    async def on_assigned(self, partitions: frozenset[int]) -> None:
        """Begin to restore the assigned partitions."""
        for partition in sorted(partitions):
            rules = self._build(partition, uuid.uuid4().hex[:12])
            owned = self._owned[partition] = _Owned(rules)
            owned.restoring = asyncio.create_task(self._restore(partition, owned))

    async def on_revoked(self, partitions: frozenset[int]) -> None:
        """Finish the message in progress, then drop the partitions."""
        going = [self._owned.pop(p) for p in sorted(partitions) if p in self._owned]
        for owned in going:
            if not owned.is_ready:
                owned.is_dropped = True
        # Side by side: the group waits a minute for all of it, then gives them to others.
        await asyncio.gather(*map(self._let_go, going))

    async def _let_go(self, owned: _Owned[RulesT]) -> None:
        """Wait for what is being written, with a bound; nothing is written afterwards."""
        try:
            async with asyncio.timeout(_REVOKE_S), owned.lock:
                owned.is_dropped = True
        except TimeoutError:
            owned.is_dropped = True
            LOG.warning("%s: a message in progress was dropped at a rebalance", self._topic)

    async def take(self, partition: int, message: Message) -> None:
        """Take one message of the stream, and what may be missing before it."""
        owned = self._owned.get(partition)
        if owned is None:
            return
        try:
            if owned.restoring is not None:
                await asyncio.shield(owned.restoring)
                owned.restoring = None
            async with owned.lock:
                if owned.is_dropped:
                    return
                if message.offset > owned.rules.position:
                    await self._read(partition, owned, message.offset)
                if message.offset >= owned.rules.position:
                    await self._hear(owned, partition, message)
        except _DroppedError:
            return

    async def write(
        self, partition: int, groups: Callable[[RulesT], Iterable[list[WritePhase]]]
    ) -> None:
        """Write what time alone brings about; nothing if the partition is not owned.

        Reads the current rules: a caller that waited for another partition may
        hold those of an assignment that is over.
        """
        owned = self._owned.get(partition)
        if owned is None or not owned.is_ready:
            return
        try:
            async with owned.lock:
                await self._apply(owned, groups(owned.rules))
        except _DroppedError:
            return

    def raise_failures(self) -> None:
        """Raise what a restoration died of, also where no message waits for it."""
        for owned in self._owned.values():
            if owned.restoring is not None and owned.restoring.done():
                owned.restoring.result()

    async def end(self) -> None:
        """Give up what is being restored: the stage ends."""
        restoring = []
        for owned in self._owned.values():
            if owned.restoring is not None and not owned.restoring.done():
                owned.is_dropped = True
                restoring.append(owned.restoring)
        if restoring:
            await asyncio.wait(restoring, timeout=_END_S)
        for task in restoring:
            task.cancel()

    async def _restore(self, partition: int, owned: _Owned[RulesT]) -> None:
        """Read state and input up to where the log ends now."""
        begin_s = elapsed_s()
        try:
            async with owned.lock:
                states = scan(self._cluster, STATE, partition)
                snapshots = await asyncio.to_thread(read_states, states)
                first = owned.rules.restore(snapshots)
                await asyncio.to_thread(self._prepare, owned.rules)
                low, high = await asyncio.to_thread(
                    log_extent, self._cluster, self._topic, partition
                )
                if owned.rules.position > high:
                    LOG.warning(
                        "%s:%d ends at %d, before the state's offset %d: reading starts at %d",
                        self._topic, partition, high, owned.rules.position, low,
                    )  # fmt: skip
                    owned.rules.position = low
                await self._apply(owned, [first])
                await self._read(partition, owned, high)
                owned.is_ready = True
        except _DroppedError:
            return
        STAGE_SECONDS.labels("detect", "restore").observe(elapsed_s() - begin_s)
        self._lifecycle.hit("detect:restored")

    async def _read(self, partition: int, owned: _Owned[RulesT], end: int) -> None:
        """Take messages up to ``end`` with a plain consumer; then the position is there."""
        start = owned.rules.position
        if start < end:
            messages = scan(self._cluster, self._topic, partition, start, end)
            while batch := await asyncio.to_thread(_some, messages):
                for message in batch:
                    await self._hear(owned, partition, message)
                await asyncio.sleep(0)
                if owned.is_dropped:
                    raise _DroppedError
        owned.rules.position = max(owned.rules.position, end)

    async def _hear(self, owned: _Owned[RulesT], partition: int, message: Message) -> None:
        """Take one message, and read again what it changed."""
        await self._apply(owned, owned.rules.hear(message))
        found = self._rereading(owned.rules)
        if found is None:
            return
        low, _ = await asyncio.to_thread(log_extent, self._cluster, self._topic, partition)
        if low > found.first_offset:
            LOG.warning(
                "%s:%d: a pane at offset %d changed after its window was added up, and the panes "
                "of the window from offset %d on are gone: the change is left out",
                self._topic, partition, message.offset, found.first_offset,
            )  # fmt: skip
            return
        span = (found.first_offset, found.end_offset)
        messages = scan(self._cluster, self._topic, partition, *span)
        while batch := await asyncio.to_thread(_some, messages):
            for each in batch:
                found.read(each.offset, each.key, each.value, each.timestamp_us)
            await asyncio.sleep(0)
            if owned.is_dropped:
                raise _DroppedError
        found.end()

    async def _apply(self, owned: _Owned[RulesT], groups: Iterable[list[WritePhase]]) -> None:
        """Write groups side by side while the next ones are being decided."""
        writing: list[asyncio.Task[None]] = []
        begin_s = elapsed_s()
        try:
            for group in groups:
                if group:
                    STAGE_SECONDS.labels("detect", "decide").observe(elapsed_s() - begin_s)
                    writing.append(asyncio.create_task(self._write(owned, group)))
                    await asyncio.sleep(_YIELD_S)
                begin_s = elapsed_s()
            await asyncio.gather(*writing)
        finally:
            for task in writing:
                task.cancel()

    async def _write(self, owned: _Owned[RulesT], group: list[WritePhase]) -> None:
        """Write phase by phase, each acknowledged before the next."""
        for phase in group:
            if owned.is_dropped:
                raise _DroppedError
            begin_s = elapsed_s()
            await send(self._app, self._cluster, phase.writes)
            STAGE_SECONDS.labels("detect", "write").observe(elapsed_s() - begin_s)
            self._lifecycle.hit(phase.step)


def _some(messages: Iterator[Message]) -> list[Message]:
    """Take some messages of a scan; none at its end."""
    return list(islice(messages, _BATCH))
