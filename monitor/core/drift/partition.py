"""Processes one partition of the panes topic: windows, verdicts, writes. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import msgspec
from msgspec import UNSET, UnsetType

from monitor.core.drift.actions import ActionDecoder
from monitor.core.drift.coverage import Coverage
from monitor.core.drift.decide import Decided, SeriesDecider
from monitor.core.drift.equal_rows import most_equal_share
from monitor.core.drift.pane_intake import PaneIntake
from monitor.core.drift.rereading import Changed, Changes, Rereading
from monitor.core.drift.season_plans import MAX_PLAN_BYTES, SeasonPlans
from monitor.core.drift.state import ActedState, ModelState, SeriesEntry, read_model_state
from monitor.core.drift.state_checks import check_evidence, check_model_state
from monitor.core.drift.ticks.closing import Ticks
from monitor.core.drift.ticks.decider import DECIDERS, ScaleDecider
from monitor.core.drift.ticks.rebuilding import (
    REBUILT_US,
    OpenSpan,
    RebuildRequest,
    Rebuilt,
    rebuild,
)
from monitor.core.drift.window_results import (
    canary_counter,
    no_verdict_reason,
    no_verdict_result,
)
from monitor.core.drift.windows import Arrival, IntakeWindow, Windows, WindowState
from monitor.core.pipeline_health.watch import PipelineWatch
from monitor.core.state.snapshot_store import SnapshotStore, refused_writes, state_writes
from monitor.core.state.writes import WritePhase, alert_write, phases, result_writes
from monitor.core.topics import ACTIONS, PANES
from monitor.core.unreadable import letter_write, unreadable_letter
from monitor.core.windowing.catalog import Catalog
from monitor.core.windowing.intake_message import KEY_PREFIX as INTAKE_PREFIX
from monitor.core.windowing.intake_message import read_intake
from monitor.core.windowing.packed_pane import PackedPane, pack_pane
from monitor.core.windowing.pane_body import PaneBody
from monitor.core.windowing.watermark import NO_WATERMARK
from monitor.core.windowing.watermark_message import KEY_PREFIX, WatermarkMessage, parse
from monitor.core.write import Write
from schemas.alerts import Alert
from schemas.baselines import Baseline
from schemas.config.model import ModelConfig, WindowConfig
from schemas.detectable import DetectableRow
from schemas.errors import DomainError, DriftlineError, TransportError
from schemas.intake import Intake
from schemas.monitors import Monitor
from schemas.panes import ClosedBy, Pane, SeriesId, Window
from schemas.result_table import ResultTable
from schemas.results import DetectorResult, Reason

KIND = "model"
MAX_JUDGED = 64
"""Versions of one model that are evaluated per window, and that are kept in the state."""
STALE_MESSAGES = 10_000
"""Distance of a model's offset in the panes after which its state is written again.

Otherwise an idle model would make every restart read from there.
"""

SETTLE_EVERY_US = 10_000_000
"""Event time between two looks for final panes: it asks every model that has panes of a source
partition, and there is a watermark a second."""

GROUP_MODELS = 8
"""Models that are evaluated before their results are written.

If the windows of 200 close together, the first alerts are sent while the last models are evaluated.
"""

_COUNTER_OF = {arrival: f"panes_{arrival.value}" for arrival in Arrival}

ModelName = tuple[str, str]


class _Closed(NamedTuple):
    """Windows of one model that close together."""

    windows: list[Window]
    intakes: dict[int, IntakeWindow]
    """By end of the window."""
    ticks: list[Window]
    """Of a model that is judged by rule 2."""
    tick_intakes: list[IntakeWindow]
    """Likewise."""


class _ClosedTick(NamedTuple):
    """What closed of one tick of a model, all versions."""

    end_us: int
    start_us: int
    ticks: list[Window]
    intake: Intake


OnResults = Callable[
    [Sequence[DetectorResult], Sequence[ResultTable], Sequence[DetectableRow]], None
]
"""Takes structs, tables, and what would be found in each cell."""
Groups = Iterable[list[WritePhase]]
"""Groups of write phases, evaluated lazily.

Phases of a group are written in order, groups concurrently, because they belong to different
models.
"""


class DriftPartition:
    """State and processing of one owner of a partition; returns the messages to write.

    Parameters
    ----------
    partition : int
        Partition of the panes and state topics, which are co-partitioned.
    owner : str
        Unique per owner: part of the keys of its state messages.
    log_id : str, optional
        ID of the panes topic; offsets in a state of another topic ID are ignored.
    actions_log_id : str, optional
        ID of the topic of actions, likewise.
    has_results : bool, optional
        False if results are not needed: none are written, and descriptive statistics are not
        computed.
    on_results : OnResults, optional
        Called with the results of each model, which are not written as messages then.
    has_states : bool, optional
        False if there is no later owner, and weeks of windows are evaluated in one run: no states
        are written, and plans per hour of the week are cached.

    Attributes
    ----------
    position : int
        Offset of the next message; earlier messages have no effect.
    counters : Counter of str
        ``panes_*`` by outcome: ``panes_unreadable`` messages are dead letters,
        ``panes_unknown_model`` belong to no configured model. ``windows``, ``windows_<closed_by>``,
        ``results_<verdict>``, ``alerts_<monitor>_<transition>``, ``canary_found_<windows>``,
        ``canary_missed``, ``canary_skipped``.
    coverage : dict of (str, str) to Coverage
        Coverage of each model since the start of this owner.
    unknown_baselines : set of str
        Baseline IDs of panes that are not in the catalog; cleared by the caller that loads them.
    rebuilds : list of RebuildRequest
        After a ``restore``: models that were judged by rule 1 and are judged by rule 2 from now
        on. The caller may :meth:`rebuild` them before the first message.
    actions_offset : int
        Offset of the next action of a person; earlier ones have no effect.
    rereading : Rereading or None
        After a ``take`` of a pane that was ``changed``: what is to be read again from the log
        before anything else is called.
    """

    def __init__(
        self,
        catalog: Catalog,
        partition: int,
        owner: str,
        *,
        log_id: str = "",
        actions_log_id: str = "",
        has_results: bool = True,
        has_states: bool = True,
        on_results: OnResults | None = None,
    ) -> None:
        self._on_results = on_results
        self._catalog, self.partition, self._owner, self._log_id = catalog, partition, owner, log_id
        self._has_results, self._has_states = has_results, has_states
        self._plans = SeasonPlans(0 if has_states else MAX_PLAN_BYTES)
        self.windows = Windows(self._settings)
        self._ticks = Ticks(self._config, self.windows.watermarks)
        self._intake = PaneIntake(catalog, self.windows)
        self._deciders: dict[ModelName, dict[SeriesId, SeriesDecider]] = {}
        self._watches: dict[ModelName, PipelineWatch] = {}
        self.coverage: dict[ModelName, Coverage] = {}
        self._sequences: Counter[ModelName] = Counter()
        self._places: dict[ModelName, int] = {}
        self._snapshots: SnapshotStore | None = None
        self._expected: dict[str, int] = {}
        self._ended: set[tuple[str, int]] = set()
        self._settled_us: dict[tuple[str, int], int] = {}
        self.position = 0
        self.counters: Counter[str] = Counter()
        self.rereading: Rereading | None = None
        self.rebuilds: list[RebuildRequest] = []
        self._actions_log_id = actions_log_id
        self.actions_offset = 0
        self._acted: dict[ModelName, int] = {}

    @property
    def unknown_baselines(self) -> set[str]:
        """Baseline IDs of panes that are not in the catalog."""
        return self._intake.unknown_baselines

    def _settings(self, tenant: str, model: str) -> WindowConfig:
        return self._catalog.configs[tenant, model].window

    def _config(self, tenant: str, model: str) -> ModelConfig:
        return self._catalog.configs[tenant, model]

    def restore(self, state: SnapshotStore, committed: int | None = None) -> list[WritePhase]:
        """Continue from the last state of each model.

        Parameters
        ----------
        snapshots : SnapshotStore
            All states in this partition of the state topic.
        committed : int, optional
            Offset to read the panes from, unless a state needs earlier ones; by default determined
            by the states only, and 0 without states.

        Returns
        -------
        list of WritePhase
            The alerts of each state again, because its writer may have crashed before it sent them.

        Notes
        -----
        The caller must read the panes from :attr:`position`, which is set here.
        """
        self._snapshots = state
        alerts: list[Alert] = []
        for name in state.names(KIND):
            if len(name) == 2 and name in self._catalog.configs:
                alerts += self._restore_model((name[0], name[1]), state)
        self.actions_offset = min((self._acted.get(name, 0) for name in self._places), default=0)
        places = [*self._places.values(), *([] if committed is None else [committed])]
        self.position = min(places, default=0)
        letters = refused_writes(state, self.partition)
        if letters:
            self.counters["states_unreadable"] += len(letters)
        return phases(("detect:dead_letter", letters), ("detect:alert", self._alert_writes(alerts)))

    def _restore_model(self, name: ModelName, snapshots: SnapshotStore) -> list[Alert]:
        """Restore the highest readable state of a model."""
        self._sequences[name] = snapshots.last_sequence(KIND, name)
        for stored in snapshots.stored(KIND, name):
            try:
                state = read_model_state(stored.body)
                check_model_state(state, name)
                deciders = self._restored_deciders(state)
            except (DriftlineError, ArithmeticError, LookupError, TypeError, ValueError) as error:
                snapshots.refuse(KIND, stored, name, str(error))
                continue
            if state.log_id != self._log_id:
                state.windows.panes_offset = state.windows.read_until = 0
            self.windows.restore(state.windows)
            config = self._config(*name)
            if config.decision.rule != 1:
                # One that was judged by windows goes on with the first tick after the last one.
                self._ticks.restore(state.windows if state.ticks is UNSET else state.ticks)
                if any(entry.state.rule is UNSET for entry in state.series):
                    self._request_rebuild(config, state.windows.closed_until_us)
            self._places[name] = state.windows.panes_offset
            if state.acted is not UNSET and state.acted.log_id == self._actions_log_id:
                self._acted[name] = state.acted.offset
            self._deciders[name] = deciders
            self._watches[name] = PipelineWatch(self._catalog.configs[name], state.pipeline)
            return state.alerts
        return []

    def _request_rebuild(self, config: ModelConfig, until_us: int | None) -> None:
        """Ask for the stored panes of a model that rule 1 judged until now."""
        if until_us is not None:
            since_us, tick_us = until_us - REBUILT_US, config.tick_us
            self.rebuilds.append(
                RebuildRequest(config.tenant, config.model, tick_us, since_us, until_us)
            )

    def variables_of(self, tenant: str, model: str) -> tuple[str, ...]:
        """Return the variables of a model's panes."""
        return self._config(tenant, model).schema_.variables

    def rebuild(
        self,
        request: RebuildRequest,
        days: Iterable[Sequence[Pane]],
        spans: Sequence[OpenSpan],
    ) -> list[Rebuilt]:
        """Learn averages and movement of a model from its stored panes, before the first message.

        Parameters
        ----------
        request : RebuildRequest
            One of :attr:`rebuilds`.
        days : iterable of sequence of Pane
            Stretches in order of time, such as days; in each, one pane for each tick and series,
            in order of time.
        spans : sequence of OpenSpan
            Times in which alerts of the model were open.
        """
        own = self._deciders.get((request.tenant, request.model), {})
        deciders = [own[series] for series in sorted(own)]
        found = [(d, Rebuilt(d.series)) for d in deciders if isinstance(d, ScaleDecider)]
        for panes in days:
            for decider, rebuilt in found:
                rebuild(decider, panes, spans, request.until_us, rebuilt)
        return [rebuilt for _, rebuilt in found]

    def _restored_deciders(self, state: ModelState) -> dict[SeriesId, SeriesDecider]:
        """Build the deciders of a state, for known baselines."""
        built = {e.series: self._decider(e.series, e) for e in state.series}
        known = {series: decider for series, decider in built.items() if decider is not None}
        for decider in known.values():
            check_evidence(decider)
        return known

    def take(self, offset: int, key: bytes, value: bytes, record_time_us: int = -1) -> Groups:
        """Process one message of the panes topic, and close the windows that are due.

        Windows are closed at the exact watermark that completes them, not once per batch; otherwise
        their content would depend on how reads were batched.

        Parameters
        ----------
        offset : int
            Offset of the message; below :attr:`position` the message has no effect.

        Returns
        -------
        iterable of list of WritePhase
            Writes, all of which must be acknowledged before the message is acked.
        """
        self.rereading = None
        if offset < self.position:
            return []
        self.position = offset + 1
        try:
            if key.startswith(KEY_PREFIX):
                return self._hear(parse(value, record_time_us)) if value else []
            if value and key.startswith(INTAKE_PREFIX):
                self._take_intake(value, offset, record_time_us)
                return []
            if value:
                return self._take(value, offset, record_time_us)
            raise TransportError("an empty message", where="panes")
        except (TransportError, DomainError) as error:
            return [self._refuse(offset, value, str(error), record_time_us)]

    def take_action(self, offset: int, value: bytes, record_time_us: int = -1) -> Groups:
        """Apply one message of the topic of actions to its model, with a state of its own.

        Parameters
        ----------
        offset : int
            Offset of the message; below :attr:`actions_offset` it has no effect.

        Returns
        -------
        iterable of list of WritePhase
            The state that contains the action, and the alerts that it resolves. After a crash
            before that state was written the action is read, and applied, again.
        """
        if offset < self.actions_offset:
            return []
        self.actions_offset = offset + 1
        try:
            action = ActionDecoder().decode(value)
        except TransportError as error:
            return self._refuse_action(offset, value, str(error), record_time_us)
        name = (action.tenant, action.model)
        if offset < self._acted.get(name, 0):
            return []
        own = self._deciders.get(name, {})
        deciders = [d for _, d in sorted(own.items()) if isinstance(d, ScaleDecider)]
        alerts = [alert for decider in deciders for alert in decider.take_action(action)]
        if not deciders:
            return []
        self.counters[f"actions_{action.kind.value}"] += 1
        return [
            phases(
                ("detect:state", self._state_writes(name, alerts)),
                ("detect:alert", self._alert_writes(alerts)),
                ("detect:sweep", self._sweep(name)),
            )
        ]

    def _refuse_action(
        self, offset: int, value: bytes, detail: str, record_time_us: int
    ) -> list[list[WritePhase]]:
        """Return the dead letter of an action that cannot be read, of one partition's owner."""
        if self.partition != 0:
            return []
        self.counters["actions_unreadable"] += 1
        letter = unreadable_letter(
            value,
            detail,
            source=ACTIONS,
            partition=0,
            offset=offset,
            record_time_us=record_time_us,
        )
        return [phases(("detect:dead_letter", [letter_write(letter)]))]

    def take_pane(self, pane: Pane) -> None:
        """Process a pane object of this process, with the same effect as its message.

        It is added to its window before the next message is processed.
        """
        if (pane.series.tenant, pane.series.model) not in self._catalog.configs:
            self.counters["panes_unknown_model"] += 1
            return
        self._add(pack_pane(pane), self.position)

    def _add(self, pane: PackedPane, offset: int, opened: PaneBody | None = None) -> None:
        """Add a pane to its window and its tick."""
        self.counters[_COUNTER_OF[self.windows.add(pane, offset, opened)]] += 1
        self._ticks.add(pane, offset, opened)

    def elapse(self, elapsed_us: int) -> Groups:
        """Advance time, which closes windows while all source partitions are idle."""
        marks = self.windows.watermarks
        if not marks.is_idle or self._ended:
            return []
        marks.elapse(elapsed_us)
        return self._close()

    def retire(self, source: str) -> Groups:
        """Remove a deleted source topic, whose partitions no longer delay windows."""
        self.windows.watermarks.retire(source)
        self._expected.pop(source, None)
        self._settled_us = {p: us for p, us in self._settled_us.items() if p[0] != source}
        return self._close()

    def open_alerts(self) -> Counter[tuple[str, str]]:
        """Count open alerts by monitor and severity."""
        drift = Counter(
            (key.partition("|")[0], cell.severity.value)
            for own in self._deciders.values()
            for decider in own.values()
            for key, cell in decider.alert_states.items()
        )
        return drift + Counter(
            (Monitor.PIPELINE.value, cell.severity.value)
            for watch in self._watches.values()
            for cell in watch.state.open_alerts.values()
        )

    @property
    def panes_offset(self) -> int:
        """Offset from which a new owner must read."""
        names = self.windows.models
        places = [self._windows_state(name).panes_offset for name in names]
        return min(places, default=self.position)

    def _refuse(
        self, offset: int, value: bytes, detail: str, record_time_us: int
    ) -> list[WritePhase]:
        """Dead-letter an unreadable message, so that it does not block later panes."""
        letter = unreadable_letter(
            value,
            detail,
            source=PANES,
            partition=self.partition,
            offset=offset,
            record_time_us=record_time_us,
        )
        self.counters["panes_unreadable"] += 1
        return phases(("detect:dead_letter", [letter_write(letter)]))

    def _hear(self, word: WatermarkMessage) -> Groups:
        """Process a watermark, and close the windows that are due."""
        marks = self.windows.watermarks
        marks.observe(
            word.source, word.partition, word.n_partitions, word.watermark_us, is_idle=word.is_idle
        )
        self._settle(word)
        self._expected[word.source] = word.n_partitions
        if word.is_end:
            self._ended.add((word.source, word.partition))
        is_over = len(self._ended) == sum(self._expected.values())
        return self._close(is_end=is_over)

    def _settle(self, word: WatermarkMessage) -> None:
        """Fold what a source partition has retired, once in ``SETTLE_EVERY_US`` of its time."""
        place = (word.source, word.partition)
        if word.watermark_us - self._settled_us.get(place, NO_WATERMARK) >= SETTLE_EVERY_US:
            self._settled_us[place] = word.watermark_us
            self.windows.settle(*place)
            self._ticks.windows.settle(*place)

    def _take(self, value: bytes, offset: int, record_time_us: int) -> Groups:
        """Take the panes of a message; it is a dead letter if some of them cannot be used."""
        intake, changes = self._intake, Changes()
        windows, ticks = self.windows, self._ticks.windows
        for pane in intake.read(value, offset, record_time_us):
            self._add(pane.packed, pane.first_offset, pane.body)
            if windows.changed is None and ticks.changed is None:
                continue
            for part in (windows, ticks):
                if part.changed is not None:
                    version = pane.packed.series.model_version
                    changes.add(Changed(part, part.changed), version, pane.first_offset)
        if changes:
            self.rereading = Rereading(intake.read, changes, self.position)
        if intake.n_unknown_models:
            self.counters["panes_unknown_model"] += intake.n_unknown_models
        if not intake.faults:
            return []
        more = f" (and {len(intake.faults) - 1} more panes)" if len(intake.faults) > 1 else ""
        return [self._refuse(offset, value, intake.faults[0] + more, record_time_us)]

    def _take_intake(self, value: bytes, offset: int, record_time_us: int) -> None:
        """Process the intake pane of one model."""
        pane = read_intake(value, record_time_us)
        if (pane.tenant, pane.model) not in self._catalog.configs:
            self.counters["intake_unknown_model"] += 1
            return
        self.counters[f"intake_{self.windows.add_intake(pane, offset).value}"] += 1
        self._ticks.add_intake(pane, offset)

    def _close(self, *, is_end: bool = False) -> Groups:
        """Evaluate what closes; return the writes: results, state, alerts, in this order.

        Parameters
        ----------
        is_end : bool, optional
            The input ended: everything that has panes closes.
        """
        windows = self.windows.close_all() if is_end else self.windows.close()
        ticks = self._ticks.close_all() if is_end else self._ticks.close()
        by_model: dict[ModelName, _Closed] = {}
        for intake in self.windows.take_intakes():
            _closed_of(by_model, intake.tenant, intake.model).intakes[intake.end_us] = intake
        for intake in self._ticks.take_intakes():
            _closed_of(by_model, intake.tenant, intake.model).tick_intakes.append(intake)
        return self._closing(windows, by_model, ticks) if windows or by_model or ticks else ()

    def _closing(
        self, windows: list[Window], by_model: dict[ModelName, _Closed], ticks: list[Window]
    ) -> Iterator[list[WritePhase]]:
        """Yield the writes of the models, group by group."""
        for window in windows:
            _closed_of(by_model, *_model_of(window)).windows.append(window)
            self.counters[f"windows_{window.closed_by}"] += not window.is_revised
        for tick in ticks:
            _closed_of(by_model, *_model_of(tick)).ticks.append(tick)
        self.counters["windows"] += sum(not w.is_revised for w in windows)
        if ticks:
            self.counters["ticks"] += len(ticks)
        self._intake.assembler.forget(self.windows.horizon_us)
        names = list(by_model)
        for i in range(0, len(names), GROUP_MODELS):
            yield self._decide({name: by_model[name] for name in names[i : i + GROUP_MODELS]})
        yield self._refresh(by_model)

    def _decide(self, by_model: dict[ModelName, _Closed]) -> list[WritePhase]:
        """Evaluate the windows of some models: results, states, alerts."""
        results: list[Write] = []
        states: list[Write] = []
        sweep: list[Write] = []
        alerts: list[Alert] = []
        for name, closed in by_model.items():
            decided = self._decide_model(name, closed)
            self._drop_retired(name)
            found = [result for one in decided for result in one.results]
            tables = [table for one in decided for table in one.tables]
            self._count_results(found, tables)
            more = [row for one in decided for row in one.detectable]
            if self._on_results is not None:
                self._on_results(found, tables, more)
            elif self._has_results:
                results += result_writes(name, found, self.partition, tables, more)
            own = [alert for one in decided for alert in one.alerts]
            alerts += own
            states += self._state_writes(name, own)
            sweep += self._sweep(name)
        return phases(
            ("detect:results", results),
            ("detect:state", states),
            ("detect:alert", self._alert_writes(alerts)),
            ("detect:sweep", sweep),
        )

    def _decide_model(self, name: ModelName, closed: _Closed) -> list[Decided]:
        """Evaluate the ticks and windows of one model in order of their end.

        For each end the ticks are evaluated first, then the pipeline rules, so that it is known
        whether the rows of a window are complete before they are evaluated. Ticks follow the
        pipeline verdict of the previous window.
        """
        judged = self._most_rows(closed.windows) | self._most_rows(closed.ticks)
        watch = self._watches.get(name)
        if watch is None:
            watch = self._watches[name] = PipelineWatch(self._catalog.configs[name])
        decided = [self._judge(w, id(w) in judged) for w in closed.windows if w.is_revised]
        by_end: dict[int, list[Window]] = {end: [] for end in closed.intakes}
        for window in closed.windows:
            if not window.is_revised:
                by_end.setdefault(window.end_us, []).append(window)
        length_us = self._settings(*name).length_us
        waiting = _by_end(closed)
        has_ticks = self._config(*name).decision.rule != 1
        for end, windows in sorted(by_end.items()):
            n_due = sum(one.end_us <= end for one in waiting)
            decided += self._judge_ticks(watch, waiting[:n_due], judged)
            waiting = waiting[n_due:]
            place, n_rows = (end - length_us, end), sum(map(_n_rows, windows))
            found = closed.intakes.get(end)
            intake = found.intake if found is not None else Intake()
            covered = self.coverage.setdefault(name, Coverage())
            covered.note_intake(intake)
            decided.append(Decided(alerts=watch.observe_intake(*place, n_rows, intake)))
            counted = None if has_ticks else intake
            decided.append(Decided(alerts=self._volume_alerts(watch, windows, place, counted)))
            is_withheld = watch.is_withholding
            own = [self._judge(w, id(w) in judged, is_withheld=is_withheld) for w in windows]
            decided += own
            for window, one in zip(windows, own, strict=True):
                covered.add(_n_rows(window), one.results, one.verdicts)
            reason = no_verdict_reason(
                [r for one in own for r in one.results], [t for one in own for t in one.verdicts]
            )
            decided.append(Decided(alerts=watch.observe_verdicts(*place, n_rows, reason)))
        return decided + self._judge_ticks(watch, waiting, judged)

    def _judge_ticks(
        self, watch: PipelineWatch, due: list[_ClosedTick], judged: set[int]
    ) -> list[Decided]:
        """Judge ticks in order; while rows cannot be trusted only their number counts."""
        decided: list[Decided] = []
        for end_us, start_us, ticks, intake in due:
            place = (start_us, end_us)
            decided.append(Decided(alerts=self._volume_alerts(watch, ticks, place, intake)))
            for tick in ticks:
                decider = self._found(tick) if id(tick) in judged else None
                if isinstance(decider, ScaleDecider) and not watch.is_withholding:
                    decided.append(Decided(alerts=decider.take_tick(tick)))
        return decided

    def _volume_alerts(
        self,
        watch: PipelineWatch,
        windows: list[Window],
        place: tuple[int, int],
        intake: Intake | None,
    ) -> list[Alert]:
        """Judge the number of events of one end, unless the input was cut short there.

        Without ``intake`` the ticks before have been judged, and those without a row are added.
        """
        if any(window.closed_by is ClosedBy.END for window in windows):
            return []
        baseline = self._volume_baseline(watch, windows)
        if intake is None:
            return watch.observe_time(place[1], baseline)
        n_events = sum(map(_n_rows, windows)) + intake.n_rejected + intake.n_late
        p_equal = most_equal_share(windows, n_events)
        return watch.observe_volume(*place, n_events, baseline, p_equal)

    def _volume_baseline(self, watch: PipelineWatch, windows: list[Window]) -> Baseline | None:
        """Return the baseline whose volume is expected: the last one while a version has it.

        Versions with baselines of their own take turns in having the most rows, and events that
        are all rejected have no window: neither may start the expectation again.
        """
        last = watch.volume_series
        if last is not None and (
            not windows or any(w.series.profile_id == last.profile_id for w in windows)
        ):
            known = self._catalog.baseline_of(last)
            if known is not None:
                return known
        main = max(windows, key=_n_rows, default=None)
        return self._catalog.baseline_of(main.series) if main is not None else None

    def _refresh(self, closed: Iterable[ModelName]) -> list[WritePhase]:
        """Write the states of models without closed windows that a restart would need."""
        states: list[Write] = []
        sweep: list[Write] = []
        done = set(closed)
        for name in self.windows.models:
            # Without a state, a restart would not read a model from its first pane.
            if name not in done and (name not in self._places or self._is_stale(name)):
                states += self._state_writes(name, [])
                sweep += self._sweep(name)
        return phases(("detect:state", states), ("detect:sweep", sweep))

    def _most_rows(self, windows: list[Window]) -> set[int]:
        """Return the windows of a model to evaluate: for each end, those with the most rows."""
        groups: dict[tuple[int, bool], list[Window]] = {}
        for window in windows:
            groups.setdefault((window.end_us, window.is_revised), []).append(window)
        judged: set[int] = set()
        for group in groups.values():
            ranked = sorted(group, key=lambda w: (-_n_rows(w), w.series))
            judged |= {id(window) for window in ranked[:MAX_JUDGED]}
        return judged

    def _judge(self, window: Window, is_judged: bool, *, is_withheld: bool = False) -> Decided:
        """Evaluate one window, or return the reason for no verdict."""
        if not is_judged:
            return Decided([no_verdict_result(window, Reason.TOO_MANY_VERSIONS)])
        if window.is_baseline_changed:
            return Decided([no_verdict_result(window, Reason.PROFILE_CHANGED)])
        decider = self._found(window)
        if decider is None:
            return Decided([no_verdict_result(window, Reason.NO_BASELINE)])
        if window.is_revised:
            return decider.revise(window)
        return decider.withhold(window, Reason.PIPELINE) if is_withheld else decider.decide(window)

    def _found(self, window: Window) -> SeriesDecider | None:
        """Return the decider of a window or tick; None where there is no fitting baseline.

        That of a window that is revised is not kept if it is new.
        """
        if window.is_baseline_changed:
            return None
        known = self._deciders.setdefault(_model_of(window), {}).get(window.series)
        decider = known or self._decider(window.series)
        n_variables = window.segments.counts.shape[1]
        if decider is None or n_variables != len(decider.baseline.variables):
            return None
        if known is None and not window.is_revised:
            self._succeed(decider)
        return decider

    def _drop_retired(self, name: ModelName) -> None:
        """Remove versions that get no more windows, and idle ones if there are too many."""
        own = self._deciders.get(name, {})
        for series in [s for s, decider in own.items() if decider.is_retired]:
            del own[series]
        idle = [s for s in own if not own[s].alert_states]
        idle.sort(key=lambda s: (-own[s].n_empty, s))
        for series in idle[: max(0, len(own) - MAX_JUDGED)]:
            del own[series]
            self.windows.forget(*name, series.model_version)
            self._ticks.forget(*name, series.model_version)

    def _succeed(self, decider: SeriesDecider) -> None:
        """Replace the decider of the version's previous baseline.

        Evidence is relative to one baseline; an open alert concerns the model, and its receivers
        must get the resolution.
        """
        series = decider.series
        own = self._deciders[series.tenant, series.model]
        for other in [s for s in own if s.model_version == series.model_version]:
            decider.inherit(own.pop(other))
        own[series] = decider

    def _decider(self, series: SeriesId, entry: SeriesEntry | None = None) -> SeriesDecider | None:
        """Build the decider of a series; None without a baseline."""
        baseline = self._catalog.baseline_of(series)
        if baseline is None:
            return None
        state = entry.state if entry is not None else None
        config = self._catalog.config_of(series)
        return DECIDERS[config.decision.rule](
            series,
            config,
            baseline,
            state,
            has_statistics=self._has_results,
            plans=self._plans,
            n_models=len(self._catalog.configs),
        )

    def _is_stale(self, name: ModelName) -> bool:
        """Return whether a model's last state needs much older panes than a new one would."""
        place = self._places[name]
        if self.position - place <= STALE_MESSAGES:
            return False
        return self._windows_state(name).panes_offset - place > STALE_MESSAGES // 2

    def _state_writes(self, name: ModelName, alerts: list[Alert]) -> list[Write]:
        """Return the messages of one model's state."""
        self._sequences[name] += 1
        windows = self._windows_state(name)
        self._places[name] = windows.panes_offset
        if not self._has_states:
            return []
        own = self._deciders.get(name, {})
        state = ModelState(
            self._sequences[name],
            windows,
            [_entry(s, own[s]) for s in sorted(own)],
            alerts,
            self._log_id,
            self._watches[name].state if name in self._watches else None,
            self._ticks_state(name),
            self._acted_state(name),
        )
        body = msgspec.msgpack.encode(state)
        return state_writes(KIND, name, self._owner, state.sequence, body, partition=self.partition)

    def _acted_state(self, name: ModelName) -> ActedState | UnsetType:
        """Return which actions the state of a model contains."""
        offset = max(self.actions_offset, self._acted.get(name, 0))
        return ActedState(self._actions_log_id, offset) if offset else UNSET

    def _sweep(self, name: ModelName) -> list[Write]:
        """Return the tombstones of previous owners' states, once."""
        if self._snapshots is None:
            return []
        made = self._snapshots.tombstones(KIND, name, self.partition)
        self._snapshots.forget(KIND, name)
        return made

    def _windows_state(self, name: ModelName) -> WindowState:
        """Return the window state of one model, such that incomplete panes are read again."""
        state = self.windows.export(*name, self.position)
        waiting = self._intake.assembler.first_offset
        if waiting is not None:
            state.panes_offset = min(state.panes_offset, waiting)
        return state

    def _ticks_state(self, name: ModelName) -> WindowState | UnsetType:
        """Return the ticks of one model; unset if it is judged by windows."""
        if self._config(*name).decision.rule == 1:
            return UNSET
        return self._ticks.export(*name, self.position)

    def _alert_writes(self, alerts: list[Alert]) -> list[Write]:
        """Return alerts as messages, timestamped when the watermark could close their window."""
        for alert in alerts:
            self.counters[f"alerts_{alert.monitor}_{alert.transition.value}"] += 1
        self.counters["alerts"] += len(alerts)
        return [alert_write(a, self._settings(a.tenant, a.model).lateness_us) for a in alerts]

    def _count_results(self, results: list[DetectorResult], tables: list[ResultTable]) -> None:
        """Count results by verdict, and planted shifts by outcome."""
        for table in tables:
            for value, n_rows in table.count_verdicts().items():
                self.counters[f"results_{value}"] += n_rows
        real = [result for result in results if result.monitor != Monitor.CANARY]
        for verdict, n in Counter(result.verdict.value for result in real).items():
            self.counters[f"results_{verdict}"] += n
        for result in results:
            if result.monitor == Monitor.CANARY:
                self.counters[canary_counter(result)] += 1


def _model_of(window: Window) -> ModelName:
    """Return tenant and model of a window."""
    return window.series.tenant, window.series.model


def _closed_of(by_model: dict[ModelName, _Closed], tenant: str, model: str) -> _Closed:
    """Return what closed of a model, empty where that is nothing so far."""
    return by_model.setdefault((tenant, model), _Closed([], {}, [], []))


def _by_end(closed: _Closed) -> list[_ClosedTick]:
    """Return the ticks of one model by their end, with what was rejected or late in each."""
    found: dict[int, _ClosedTick] = {}
    for tick in closed.ticks:
        place = _ClosedTick(tick.end_us, tick.start_us, [], Intake())
        found.setdefault(tick.end_us, place).ticks.append(tick)
    for intake in closed.tick_intakes:
        known = found.get(intake.end_us)
        ticks = known.ticks if known is not None else []
        place = _ClosedTick(intake.end_us, intake.start_us, ticks, intake.intake)
        found[intake.end_us] = place
    return [found[end_us] for end_us in sorted(found)]


def _n_rows(window: Window) -> int:
    """Return the number of rows of a window."""
    return int(window.segments.n_rows[0]) if len(window.segments.segments) else 0


def _entry(series: SeriesId, decider: SeriesDecider) -> SeriesEntry:
    """Return the state of one series."""
    return SeriesEntry(
        series.tenant,
        series.model,
        series.model_version,
        series.profile_id,
        decider.export(),
    )
