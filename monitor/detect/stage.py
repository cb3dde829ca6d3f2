"""The rules of one partition as its agent drives them: a message in, groups of phases out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from itertools import chain

from monitor.core.drift.partition import DriftPartition, Groups, OnResults
from monitor.core.drift.rereading import Rereading
from monitor.core.pipeline_health.source_silence import WATCHING_PARTITION, SourceSilence
from monitor.core.state.snapshot_store import SnapshotStore, refused_writes
from monitor.core.state.writes import WritePhase, phases
from monitor.core.windowing.catalog import Catalog
from monitor.core.windowing.watermark_message import KEY_PREFIX, parse
from monitor.transport.types import Message
from schemas.errors import TransportError

GROUP = "driftline-detect"


def read_states(messages: Iterable[Message]) -> SnapshotStore:
    """Return the states in a partition of the state topic.

    Parameters
    ----------
    messages : iterable of Message
        All of the partition, in log order.
    """
    snapshots = SnapshotStore()
    for message in messages:
        snapshots.add(message.key, message.value, message.offset, message.timestamp_us)
    return snapshots


class PanesRules:
    """Drift, and who of the sources is silent.

    Parameters
    ----------
    log_id : str
        Id of the panes topic.
    clock_s : callable
        Seconds of a monotonic clock.
    actions_log_id : str, optional
        Id of the topic of actions.
    has_results, has_states : bool, optional
        See ``DriftPartition``.
    on_results : OnResults, optional
        Likewise.
    """

    def __init__(
        self,
        catalog: Catalog,
        partition: int,
        owner: str,
        log_id: str,
        clock_s: Callable[[], float],
        *,
        actions_log_id: str = "",
        has_results: bool = True,
        has_states: bool = True,
        on_results: OnResults | None = None,
    ) -> None:
        self.drift = DriftPartition(
            catalog,
            partition,
            owner,
            log_id=log_id,
            actions_log_id=actions_log_id,
            has_results=has_results,
            has_states=has_states,
            on_results=on_results,
        )
        self._clock_s = clock_s
        self._ticked_s: float | None = None
        self._is_watching = partition == WATCHING_PARTITION
        # Every partition holds windows for a source that is gone, so every one forgets it.
        self.silence = SourceSilence(owner, clock_s())

    @property
    def position(self) -> int:
        """Offset of the message that is taken next."""
        return self.drift.position

    @position.setter
    def position(self, offset: int) -> None:
        self.drift.position = offset

    @property
    def rereading(self) -> Rereading | None:
        """What is to be read again after the message that was taken last."""
        return self.drift.rereading

    @property
    def counters(self) -> Counter[str]:
        """What became of everything, by name."""
        return self.drift.counters + self.silence.counters

    def restore(self, state: SnapshotStore, committed: int | None = None) -> list[WritePhase]:
        """Take the last states; say what their writers may not have sent."""
        found = self.drift.restore(state, committed)
        n_refused = len(state.refused)
        found += self.silence.restore(state)
        letters = refused_writes(state, self.drift.partition, n_refused)
        if letters:
            self.drift.counters["states_unreadable"] += len(letters)
        return [*phases(("detect:dead_letter", letters)), *found]

    def hear(self, message: Message) -> Groups:
        """Take one message of the panes topic."""
        if message.key.startswith(KEY_PREFIX):
            # one that is none becomes a dead letter below
            with suppress(TransportError):
                word = parse(message.value, message.timestamp_us)
                self.silence.hear(word.source, word.partition, self._clock_s())
        return self.drift.take(message.offset, message.key, message.value, message.timestamp_us)

    def act(self, message: Message) -> Groups:
        """Take one message of the topic of actions."""
        return self.drift.take_action(message.offset, message.value, message.timestamp_us)

    def tick(self, current_source: str) -> Iterable[list[WritePhase]]:
        """Advance time.

        Parameters
        ----------
        current_source : str
            Id of the topic that is ingested now; a silent source with another id was
            recreated under the same name, and has no events any more.
        """
        now_s = self._clock_s()
        elapsed_s = now_s - self._ticked_s if self._ticked_s is not None else 0.0
        self._ticked_s = now_s
        # One closing at most: these are written concurrently, and a state that
        # is stored before the alerts of its predecessor are sent would lose them.
        closing = self.drift.elapse(round(elapsed_s * 1e6)) or self._retired(current_source, now_s)
        groups: list[Iterable[list[WritePhase]]] = [closing]
        if self._is_watching:
            windows = self.drift.windows
            groups.append(
                [self.silence.check(windows.watermarks, now_s, is_holding=windows.is_holding)]
            )
        return chain.from_iterable(groups)

    def _retired(self, current_source: str, now_s: float) -> Iterable[list[WritePhase]]:
        """Forget a silent source that is not the current one, if that one speaks."""
        marks = self.drift.windows.watermarks
        if all(s != current_source for s, _ in marks.partitions):
            return ()
        silent = {source for (source, _), _ in self.silence.silent(marks, now_s)}
        gone = min(silent - {current_source}, default=None)
        return self.drift.retire(gone) if gone is not None else ()
