"""Windows of panes, decided: results, one state message, alerts, and only then the commit."""

from __future__ import annotations

from collections import Counter

import msgspec

from monitor.core.catalog import Catalog
from monitor.core.crash_points import Reach, pass_through
from monitor.core.decide import Decided, SeriesDecider
from monitor.core.detect_state import ModelState, SeriesEntry, read_model_state
from monitor.core.pane_codec import PaneAssembler
from monitor.core.topics import ALERTS, DEAD_LETTERS, PANES, RESULTS, STATE
from monitor.core.unreadable import letter_key, unreadable_letter
from monitor.core.watermark_message import KEY_PREFIX, WatermarkMessage, parse
from monitor.core.window_results import no_verdict_result
from monitor.core.windows import Windows, WindowState
from monitor.transport.memory import MemoryLog, Message
from schemas.alerts import Alert
from schemas.config import WindowConfig
from schemas.errors import TransportError
from schemas.panes import Pane, SeriesId, Window
from schemas.results import Reason

GROUP = "driftline-detect"
MAX_MESSAGES = 1_000


class DriftDetect:
    """One owner of one partition of the panes topic.

    Parameters
    ----------
    log : MemoryLog
    catalog : Catalog
    partition : int
        Of panes and of state, which are partitioned alike.
    reach : callable, optional
        Crash points.

    Attributes
    ----------
    counters : Counter of str
        ``panes_*`` by what became of them: ``panes_unreadable`` messages stand among the
        dead letters, ``panes_unknown_model`` belong to no model of the config.
    """

    def __init__(
        self,
        log: MemoryLog,
        catalog: Catalog,
        partition: int = 0,
        *,
        reach: Reach = pass_through,
    ) -> None:
        self._log, self._catalog, self._partition, self._reach = log, catalog, partition, reach
        self.windows = Windows(self._settings)
        self._assembler = PaneAssembler()
        self._deciders: dict[SeriesId, SeriesDecider] = {}
        self._sequences: Counter[tuple[str, str]] = Counter()
        self._expected: dict[str, int] = {}
        self._ended: set[tuple[str, int]] = set()
        self._position = 0
        self.counters: Counter[str] = Counter()
        self._restore()

    def _settings(self, tenant: str, model: str) -> WindowConfig:
        return self._catalog.configs[tenant, model].window

    def _restore(self) -> None:
        """Take each model's last state, and send that state's alerts again."""
        committed = self._log.committed(GROUP, PANES, self._partition)
        self._position = committed.offset if committed is not None else 0
        states: dict[bytes, ModelState] = {}
        n = self._log.end_offset(STATE, self._partition)
        for message in self._log.fetch(STATE, self._partition, 0, n):
            if message.key.startswith(b"model|"):
                states[message.key] = read_model_state(message.value)
        for state in states.values():
            if (state.windows.tenant, state.windows.model) in self._catalog.configs:
                self._restore_model(state)

    def _restore_model(self, state: ModelState) -> None:
        """Go on where the last owner of a model wrote its state."""
        name = (state.windows.tenant, state.windows.model)
        self.windows.restore(state.windows)
        self._sequences[name] = state.sequence
        self._position = min(self._position, state.windows.panes_offset)
        for entry in state.series:
            decider = self._decider(entry.series, entry)
            if decider is not None:
                self._deciders[entry.series] = decider
        self._send(state.alerts)

    def step(self) -> int:
        """Read panes, close what is due; return how many messages were read.

        Windows are closed at the very watermark that lets them, not once a batch:
        otherwise how reads were cut would decide what a window holds.
        """
        messages = self._log.fetch(PANES, self._partition, self._position, MAX_MESSAGES)
        for message in messages:
            self._position = message.offset + 1
            try:
                word = self._read(message)
            except (TransportError, msgspec.DecodeError, UnicodeDecodeError) as error:
                self._refuse(message, str(error))
                continue
            if word is not None:
                self._hear(word)
        return len(messages)

    def _read(self, message: Message) -> WatermarkMessage | None:
        """Take a chunk of a pane, or return a partition's word."""
        if message.key.startswith(KEY_PREFIX):
            return parse(message.value)
        self._take(message)
        return None

    def _refuse(self, message: Message, detail: str) -> None:
        """Put a message nobody can read aside: the panes behind it must not wait for it."""
        letter = unreadable_letter(
            message.value,
            detail,
            source=PANES,
            partition=self._partition,
            offset=message.offset,
            record_time_us=message.timestamp_us,
        )
        self._log.produce(DEAD_LETTERS, msgspec.msgpack.encode(letter), key=letter_key(letter))
        self.counters["panes_unreadable"] += 1
        self._reach("detect:dead_letter")

    def _hear(self, word: WatermarkMessage) -> None:
        """Take a partition's word, and close what it lets close."""
        marks = self.windows.watermarks
        marks.observe(
            word.source, word.partition, word.n_partitions, word.watermark_us, is_idle=word.is_idle
        )
        self._expected[word.source] = word.n_partitions
        if word.is_end:
            self._ended.add((word.source, word.partition))
        is_over = len(self._ended) == sum(self._expected.values())
        self._close(self.windows.close_all() if is_over else self.windows.close())

    def _take(self, message: Message) -> None:
        """Take one chunk of a pane."""
        whole = self._assembler.add(message.value, message.offset)
        if whole is None:
            return
        series = whole.pane.series
        if (series.tenant, series.model) not in self._catalog.configs:
            self.counters["panes_unknown_model"] += 1
            return
        self._check(whole.pane)
        arrival = self.windows.add(whole.pane, whole.first_offset)
        self.counters[f"panes_{arrival.value}"] += 1

    def _check(self, pane: Pane) -> None:
        """Refuse a pane that is not in the layout of the profile it names."""
        profile = self._catalog.profile_of(pane.series)
        n_variables = pane.segments.counts.shape[1]
        if profile is not None and n_variables != len(profile.variables):
            raise TransportError(
                f"a pane of {n_variables} variables, its profile {profile.profile_id} "
                f"has {len(profile.variables)}",
                where=f"panes of {pane.series.model}",
            )

    def _close(self, windows: list[Window]) -> None:
        """Decide closed windows, model by model, and write what came of each."""
        by_model: dict[tuple[str, str], list[Decided]] = {}
        for window in windows:
            name = (window.series.tenant, window.series.model)
            by_model.setdefault(name, []).append(self._decide(window))
        self._drop_retired()
        for name, decided in by_model.items():
            self._write(name, decided)
        if windows:
            self.counters["windows"] += sum(not w.is_revised for w in windows)
            self._assembler.forget(self.windows.horizon_us)
            offset = min(self._windows_state(name).panes_offset for name in self.windows.models)
            self._log.commit(GROUP, PANES, self._partition, offset)
            self._reach("detect:commit")

    def _drop_retired(self) -> None:
        """Forget versions that get no more windows: their alerts are over."""
        for series in [s for s, decider in self._deciders.items() if decider.is_retired]:
            del self._deciders[series]

    def _decide(self, window: Window) -> Decided:
        """Judge one window, or say why it is not judged."""
        if window.is_profile_changed:
            return Decided([no_verdict_result(window, Reason.PROFILE_CHANGED)])
        known = self._deciders.get(window.series)
        decider = known or self._decider(window.series)
        if decider is None:
            return Decided([no_verdict_result(window, Reason.NO_BASELINE)])
        if window.is_revised:
            return decider.revise(window)
        if known is None:
            self._succeed(decider)
        return decider.decide(window)

    def _succeed(self, decider: SeriesDecider) -> None:
        """Put a decider in the place of that of the version's last profile.

        Evidence is against one profile; an open alert is about the model, and whoever
        was told of it is to be told when it is over.
        """
        series = decider.series
        version = (series.tenant, series.model, series.model_version)
        for other in list(self._deciders):
            if (other.tenant, other.model, other.model_version) == version:
                decider.inherit(self._deciders.pop(other))
        self._deciders[series] = decider

    def _decider(self, series: SeriesId, entry: SeriesEntry | None = None) -> SeriesDecider | None:
        """Build the decider of a series; None where there is no baseline."""
        profile = self._catalog.profile_of(series)
        if profile is None:
            return None
        state = entry.state if entry is not None else None
        return SeriesDecider(series, self._catalog.config_of(series), profile, state)

    def _write(self, name: tuple[str, str], decided: list[Decided]) -> None:
        """Results, then the state that makes them final, then the alerts."""
        results = [result for one in decided for result in one.results]
        alerts = [alert for one in decided for alert in one.alerts]
        self._log.produce(RESULTS, msgspec.msgpack.encode(results), key="|".join(name).encode())
        self._reach("detect:results")
        self._sequences[name] += 1
        state = ModelState(
            self._sequences[name],
            self._windows_state(name),
            [self._entry(s) for s in sorted(self._deciders) if (s.tenant, s.model) == name],
            alerts,
        )
        key = f"model|{name[0]}|{name[1]}".encode()
        self._log.produce(STATE, msgspec.msgpack.encode(state), key=key, partition=self._partition)
        self._reach("detect:state")
        self._send(alerts)

    def _windows_state(self, name: tuple[str, str]) -> WindowState:
        """Return the windows of one model; a pane that is not whole yet is to be read again."""
        state = self.windows.export(*name, self._position)
        waiting = self._assembler.first_offset
        if waiting is not None:
            state.panes_offset = min(state.panes_offset, waiting)
        return state

    def _entry(self, series: SeriesId) -> SeriesEntry:
        """Return the state of one series."""
        return SeriesEntry(
            series.tenant,
            series.model,
            series.model_version,
            series.profile_id,
            self._deciders[series].export(),
        )

    def _send(self, alerts: list[Alert]) -> None:
        """Write alerts one by one; the same id again is harmless.

        Their record says when they came, in event time: the earliest watermark that could
        close their window, whatever was read at once. Notify's waits count from there.
        """
        for alert in alerts:
            lateness_us = self._settings(alert.tenant, alert.model).lateness
            self._log.produce(
                ALERTS,
                msgspec.msgpack.encode(alert),
                key=alert.alert_id.encode(),
                timestamp_us=alert.time_us + lateness_us,
            )
            self.counters["alerts"] += 1
            self._reach("detect:alert")
