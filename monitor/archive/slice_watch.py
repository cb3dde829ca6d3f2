"""A thread of the archive that searches slices: when an alert fires, and every night.

It has a connection of its own, reads what the archive has stored, and knows nothing of ranges and
commits. A failure is logged and counted; it ends neither the thread nor the process.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from typing import Final

from monitor.archive.slice_hints import LATER_US, hint_on_alert, hints_at_night, write_hints
from monitor.clock import elapsed_s, now_us
from monitor.metrics import SLICE_SEARCH_FAILURES, SLICE_SEARCH_SECONDS, SLICE_SEARCHES
from monitor.storage.clickhouse import Store
from monitor.storage.raw_samples import has_rows_from
from monitor.storage.stored_alerts import alerts_without_hint
from monitor.storage.stored_hints import has_night
from schemas.alerts import Alert
from schemas.config.model import ModelConfig
from schemas.slice_hints import HintKind
from schemas.time_units import DAY_US, MINUTE_US

POLL_S: Final = 10.0
"""Between two looks for new alerts."""
RECENT_HOURS: Final = 48
"""Alerts that were stored earlier and were never searched are left."""
ROWS_WAIT_US: Final = 5 * MINUTE_US
"""How long rows until the alert are waited for: the archive reads topics independently."""
NIGHT_US: Final = 30 * MINUTE_US
"""After midnight UTC, so that the rows of the day are stored."""
MAX_FAILURES: Final = 3
"""Failures of a search in a row, after which this process leaves it."""

MOST_DUE: Final = 20
"""Searches for alerts of one kind in a round, so that nights are reached in a storm of alerts."""

_LOG = logging.getLogger("driftline.archive")
_Key = tuple[str, ...]


class SliceWatch:
    """Searches in a thread of its own.

    Parameters
    ----------
    target : str
        The store: a URL, or the folder that this process has open.
    configs : sequence of ModelConfig
        Models whose alerts are searched.
    is_ours : callable
        Whether this process searches now: of several that archive, the one with the alerts.
    """

    def __init__(
        self, target: str, configs: Sequence[ModelConfig], is_ours: Callable[[], bool]
    ) -> None:
        self._target, self._is_ours = target, is_ours
        self._configs = {(config.tenant, config.model): config for config in configs}
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="archive-slices", daemon=True)
        self._thread.start()

    @property
    def is_alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    def stop(self, timeout_s: float) -> None:
        """End the thread after its current search; one that hangs is left behind."""
        self._stopped.set()
        self._thread.join(timeout_s)

    def _run(self) -> None:
        rounds: SliceRounds | None = None
        try:
            while not self._stopped.wait(POLL_S):
                try:
                    if self._is_ours():
                        rounds = rounds or SliceRounds(Store.open(self._target), self._configs)
                        rounds.run(now_us(), self._pause)
                except Exception as error:  # a hint must never end the archive
                    SLICE_SEARCH_FAILURES.inc()
                    _LOG.warning("slices were not searched: %s: %s", type(error).__name__, error)
                    self._stopped.wait(6 * POLL_S)
        finally:
            if rounds is not None:
                rounds.store.close()

    def _pause(self, busy_s: float) -> bool:
        """Rest for as long as a search took; return whether the process ends."""
        return self._stopped.wait(min(busy_s, POLL_S))


class _Rest:
    """Rests between the searches of a night for as long as the last one took."""

    def __init__(self, pause: Callable[[float], bool]) -> None:
        self._pause, self._begin_s = pause, elapsed_s()
        self.is_stopped = False

    def __call__(self) -> bool:
        """Rest; return whether to stop."""
        self.is_stopped = self._pause(elapsed_s() - self._begin_s)
        self._begin_s = elapsed_s()
        return self.is_stopped


class SliceRounds:
    """What is due, round by round; without a thread.

    Parameters
    ----------
    store : Store
        Migrated.
    configs : dict of (tenant, model) to ModelConfig
        Models whose alerts are searched; those of others are left.
    """

    def __init__(self, store: Store, configs: dict[tuple[str, str], ModelConfig]) -> None:
        self.store, self._configs = store, configs
        self._first_seen_us: dict[_Key, int] = {}
        self._failures: dict[_Key, int] = {}
        self._nights: dict[_Key, int] = {}

    def run(self, time_us: int, pause: Callable[[float], bool] = lambda busy_s: False) -> None:
        """Search for new alerts, then for each model whose night has begun.

        Parameters
        ----------
        time_us : int
            The wall clock: it decides when to search, and nothing of what is found.
        pause : callable, optional
            Called with the seconds of each search; returns whether to stop.

        Raises
        ------
        StorageError
            If the store cannot be asked what is due.
        """
        for kind in LATER_US:
            n_due = 0
            for alert in alerts_without_hint(self.store, kind, RECENT_HOURS):
                key = (alert.tenant, alert.model, alert.alert_id, kind.value)
                if not self._is_due(key, alert, kind, time_us):
                    continue
                if self._timed(key, self._on_alert, pause, alert, kind):
                    return
                n_due += 1
                if n_due >= MOST_DUE:
                    break
        day_end_us = (time_us - NIGHT_US) // DAY_US * DAY_US
        for name, config in self._configs.items():
            night = (*name, str(day_end_us))
            is_due = self._nights.get(name) != day_end_us and not self._is_left(night)
            if is_due and self._timed(night, self._on_night, pause, config, day_end_us, pause):
                return

    def _is_left(self, key: _Key) -> bool:
        """Return whether a search has failed too often."""
        return self._failures.get(key, 0) >= MAX_FAILURES

    def _is_due(self, key: _Key, alert: Alert, kind: HintKind, time_us: int) -> bool:
        """Return whether the rows of a search are stored, or were waited for."""
        if (alert.tenant, alert.model) not in self._configs or self._is_left(key):
            return False
        later_us = LATER_US[kind]
        first_us = self._first_seen_us.setdefault(key, time_us)
        series = (alert.tenant, alert.model, alert.model_version)
        return time_us - first_us >= ROWS_WAIT_US + later_us or has_rows_from(
            self.store, series, alert.time_us + later_us
        )

    def _timed(
        self, key: _Key, search: Callable[..., None], pause: Callable[[float], bool], *args: object
    ) -> bool:
        """Run a search; log and count a failure; return whether to stop."""
        begin_s = elapsed_s()
        try:
            search(*args)
            self._failures.pop(key, None)
            self._first_seen_us.pop(key, None)
        except Exception as error:  # the next search may succeed
            self._failures[key] = self._failures.get(key, 0) + 1
            SLICE_SEARCH_FAILURES.inc()
            where = "/".join(key)
            _LOG.warning(
                "slices of %s were not searched: %s: %s", where, type(error).__name__, error
            )
        busy_s = elapsed_s() - begin_s
        SLICE_SEARCH_SECONDS.labels(key[0], key[1]).set(busy_s)
        return pause(busy_s)

    def _on_alert(self, alert: Alert, kind: HintKind) -> None:
        """Search for one alert, and store the hint."""
        schema = self._configs[alert.tenant, alert.model].schema_
        hint = hint_on_alert(self.store, schema, alert, kind)
        write_hints(self.store, [hint])
        SLICE_SEARCHES.labels(hint.reason.value or "found").inc()

    def _on_night(
        self, config: ModelConfig, day_end_us: int, pause: Callable[[float], bool]
    ) -> None:
        """Search for one model, unless a process has done so, and store all hints together.

        A night that is stopped stores nothing: the next process repeats it.
        """
        name = (config.tenant, config.model)
        if not has_night(self.store, name, day_end_us):
            begin_s = elapsed_s()
            rest = _Rest(pause)
            hints = list(hints_at_night(self.store, config, day_end_us, rest))
            if rest.is_stopped:
                return
            write_hints(self.store, hints)
            for hint in hints:
                SLICE_SEARCHES.labels(hint.reason.value or "found").inc()
            text = "%s/%s: %d nightly searches of slices in %.1f s"
            _LOG.info(text, *name, len(hints), elapsed_s() - begin_s)
        self._nights[name] = day_end_us
