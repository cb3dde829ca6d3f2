"""Pipeline rules of a model, evaluated per window, and the volume also per tick. Pure.

Share of rejected events, share of late events, windows without any verdict, and volume. While one
of the first two is open, the rows of a window are a biased sample of the model's events, so drift
verdicts are withheld.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from detectors.statistics.share_limit import tail_probability
from monitor.core.incidents.alerting import (
    CellState,
    Closed,
    advance_fired,
    advance_quiet,
    choose_hold,
    is_past,
)
from monitor.core.pipeline_health.alerts import (
    AlertChange,
    no_verdict_alert,
    share_alert,
    volume_alert,
)
from monitor.core.pipeline_health.state import PipelineState, SharePool, UnjudgedRun
from monitor.core.pipeline_health.volume_watch import SILENT_SHARE, VolumeChange, VolumeWatch
from monitor.core.windowing.window_length import windows_to_first_verdict
from schemas.alerts import (
    LATE_EVENTS,
    NO_VERDICT,
    REJECTED_EVENTS,
    VOLUME,
    Alert,
    Severity,
    Transition,
)
from schemas.baselines import Baseline, ReferenceVolume
from schemas.config.model import ModelConfig
from schemas.intake import Intake
from schemas.panes import SeriesId
from schemas.results import Reason
from schemas.time_zones import UTC_NAME

ALPHA = 1e-6
"""Significance level of one window's test; low, because a window is tested every hour for years.

4 rejected events of 4 suffice at a limit of 2 %, 1 of 2 does not.
"""
MAX_POOLED = 24
"""Maximum number of pooled windows."""
PAGE_SHARE = 0.5
"""Share of missing events above which the alert is a page."""
PERSISTENCE = 1
"""An alert resolves after twice this number of windows within the limit."""


class PipelineWatch:
    """The pipeline rules of one model.

    Parameters
    ----------
    state : PipelineState, optional
        State of an earlier owner.

    Examples
    --------
    >>> config = ModelConfig.model_validate({"model": "m", "features": {"a": {"kind": "numeric"}}})
    >>> watch = PipelineWatch(config)
    >>> [a.title for a in watch.observe_intake(0, 3_600_000_000, 150, Intake(0, {"mistyped": 50}))]
    ['m: 25 % of events were rejected as mistyped, 50 of 200']
    >>> watch.is_withholding
    True
    """

    def __init__(self, config: ModelConfig, state: PipelineState | None = None) -> None:
        self._config = config
        self.state = state or PipelineState()

    @property
    def is_withholding(self) -> bool:
        """Whether drift verdicts of the model are withheld."""
        return not self.state.open_alerts.keys().isdisjoint((REJECTED_EVENTS, LATE_EVENTS))

    @property
    def volume_series(self) -> SeriesId | None:
        """The series whose baseline gives the expected volume; None without one."""
        known = self.state.volume
        if known is msgspec.UNSET or not known.profile_id:
            return None
        return SeriesId(self._config.tenant, self._config.model, "", known.profile_id)

    def observe_intake(
        self, start_us: int, end_us: int, n_accepted: int, intake: Intake
    ) -> list[Alert]:
        """Process the event counts of one closed window, before its rows are evaluated.

        Parameters
        ----------
        n_accepted : int
            Rows of the window, over all versions.
        intake : Intake
            Rejected and late events.

        Returns
        -------
        list of Alert
            Changes of alerts.
        """
        settings = self._config.pipeline
        n = n_accepted + intake.n_rejected + intake.n_late
        shares = (
            (REJECTED_EVENTS, intake.n_rejected, settings.max_rejected, intake.main_reason),
            (LATE_EVENTS, intake.n_late, settings.max_late, ""),
        )
        return [
            alert
            for rule, n_hits, limit, reason in shares
            for alert in self._share(rule, (start_us, end_us), (n_hits, n), limit, reason)
        ]

    def _share(
        self,
        rule: str,
        window_us: tuple[int, int],
        counts: tuple[int, int],
        limit: float,
        reason: str,
    ) -> list[Alert]:
        """Update the rule of one share."""
        state, (n_hits, n) = self.state, counts
        if not n:
            return []
        pool = self._pooled(rule, window_us[0], n_hits, n, limit)
        is_positive = n_hits > limit * n
        before = state.open_alerts.get(rule)
        has_fired = is_positive and _is_above(pool.n_hits, pool.n_events, limit)
        if has_fired:
            severity = _is_above(n_hits, n, PAGE_SHARE)
            after, change = self._fired(
                rule, Severity.PAGE if severity else Severity.TICKET, pool.start_us, window_us
            )
        elif before is not None:
            after, change = advance_quiet(before, is_positive, n)
            pool = SharePool(n_hits, n)
        else:
            return []
        self._keep(rule, after, change, window_us[1])
        if change is None:
            return []
        if change is Transition.RESOLVED:
            state.pools.pop(rule, None)
        made = AlertChange(rule, after, change, *window_us)
        return [share_alert(made, self._config, pool, limit, reason)]

    def _pooled(self, rule: str, start_us: int, n_hits: int, n: int, limit: float) -> SharePool:
        """Pool a window with earlier ones; reset if the pooled share is within the limit."""
        before = self.state.pools.get(rule, SharePool())
        if not before.n_windows or before.n_windows >= MAX_POOLED:
            before = SharePool(start_us=start_us)
        pool = SharePool(
            before.n_hits + n_hits, before.n_events + n, before.n_windows + 1, before.start_us
        )
        if pool.n_hits > limit * pool.n_events:
            self.state.pools[rule] = pool
        else:
            self.state.pools.pop(rule, None)
        return pool

    def _fired(
        self, rule: str, severity: Severity, first_us: int, window_us: tuple[int, int]
    ) -> tuple[CellState, Transition | None]:
        """Open, escalate or keep the alert of a rule."""
        start_us, end_us = window_us
        length_us = end_us - start_us
        hold = choose_hold(self.state.closed_alerts.get(rule), end_us, length_us, PERSISTENCE)
        n_windows = (end_us - first_us) // length_us
        before = self.state.open_alerts.get(rule)
        return advance_fired(before, severity, 0, first_us, end_us, n_windows, hold)

    def observe_volume(
        self,
        start_us: int,
        end_us: int,
        n_events: int,
        baseline: Baseline | None,
        p_equal: float = 0.0,
    ) -> list[Alert]:
        """Process the number of events of one window or tick, in order of time.

        Parameters
        ----------
        n_events : int
            Events over all versions, accepted or not.
        baseline : Baseline or None
            Of the version with the most rows.
        p_equal : float, optional
            Upper bound of the share of events that are equal.

        Returns
        -------
        list of Alert
            Changes of the alert on volume.
        """
        return self._volumes(
            lambda watch, *expected: watch.observe(start_us, end_us, n_events, *expected),
            baseline,
            p_equal,
        )

    def observe_time(self, until_us: int, baseline: Baseline | None) -> list[Alert]:
        """Process the ticks without events up to a time, as :meth:`observe_volume` does."""
        return self._volumes(
            lambda watch, *expected: watch.pass_time(until_us, *expected), baseline
        )

    def _volumes(
        self,
        observe: Callable[[VolumeWatch, ReferenceVolume | None, str], list[VolumeChange]],
        baseline: Baseline | None,
        p_equal: float = 0.0,
    ) -> list[Alert]:
        """Advance the volume rule."""
        known = self.state.volume
        memory = None if known is msgspec.UNSET else known
        watch = VolumeWatch(memory, self._config.timezone or UTC_NAME)
        volume = baseline.volume if baseline is not None else None
        profile_id = baseline.profile_id if baseline is not None else ""
        changes = observe(watch, volume, profile_id)
        if watch.memory is not None:
            self.state.volume = watch.memory
        return [a for change in changes for a in self._volume(change, p_equal)]

    def _volume(self, volume: VolumeChange, p_equal: float) -> list[Alert]:
        """Open, escalate or resolve the alert on volume."""
        before, window_us = self.state.open_alerts.get(VOLUME), volume.tick_us
        if volume.kind in ("back", "settled"):
            if before is None:
                return []
            after = msgspec.structs.replace(before, sequence=before.sequence + 1)
            change: Transition | None = Transition.RESOLVED
        else:
            is_silent = volume.rate <= SILENT_SHARE * volume.expected_rate
            severity = Severity.PAGE if is_silent else Severity.TICKET
            n_windows = max(1, (window_us[1] - volume.since_us) // (window_us[1] - window_us[0]))
            after, change = advance_fired(
                before, severity, 0, volume.since_us, window_us[1], n_windows, 0
            )
        self._keep(VOLUME, after, change, window_us[1])
        if change is None:
            return []
        made = AlertChange(VOLUME, after, change, *window_us)
        return [volume_alert(made, self._config, volume, p_equal)]

    def observe_verdicts(self, start_us: int, end_us: int, n_rows: int, reason: str) -> list[Alert]:
        """Process the verdicts of one window.

        Parameters
        ----------
        n_rows : int
            Rows over all versions; a window without rows has no effect.
        reason : str
            Reason why no cell has a verdict; empty if at least one has.

        Returns
        -------
        list of Alert
            Changes of alerts.
        """
        is_explained = reason == Reason.TOO_FEW_SAMPLES and VOLUME in self.state.open_alerts
        if not n_rows or self.is_withholding or is_explained:
            return []
        before = self.state.open_alerts.get(NO_VERDICT)
        if not reason:
            self.state.run = UnjudgedRun()
            if before is None:
                return []
            after, change = advance_quiet(
                msgspec.structs.replace(before, n_hold=1), is_positive=False, n_rows=n_rows
            )
        else:
            run = self.state.run
            first_us = run.start_us if run.n_windows else start_us
            run = UnjudgedRun(run.n_windows + 1, run.n_rows + n_rows, first_us, reason)
            self.state.run = run
            if run.n_windows < self._max_unjudged_windows(reason):
                return []
            after, change = self._fired(NO_VERDICT, Severity.TICKET, first_us, (start_us, end_us))
        self._keep(NO_VERDICT, after, change, end_us)
        if change is None:
            return []
        made = AlertChange(NO_VERDICT, after, change, start_us, end_us)
        return [no_verdict_alert(made, self._config, self.state.run)]

    def _max_unjudged_windows(self, reason: str) -> int:
        """Return the windows without verdict that open an alert: more than rule 2 begins with."""
        limit = self._config.pipeline.max_unjudged_windows
        if reason != Reason.TOO_FEW_SAMPLES or self._config.decision.rule == 1:
            return limit
        n_first = windows_to_first_verdict(self._config.tick_us, self._config.window.length_us)
        return max(limit, n_first + 1)

    def _keep(self, rule: str, after: CellState, change: Transition | None, end_us: int) -> None:
        """Store the alert of a rule."""
        state, length_us = self.state, self._config.window.length_us
        state.closed_alerts = {
            r: c for r, c in state.closed_alerts.items() if not is_past(c, end_us, length_us)
        }
        if change is Transition.RESOLVED:
            del state.open_alerts[rule]
            state.closed_alerts[rule] = Closed(end_us, after.n_hold)
        else:
            state.open_alerts[rule] = after


def _is_above(n_hits: int, n: int, limit: float) -> bool:
    """Whether a share is significantly above a limit."""
    return n_hits > limit * n and tail_probability(n_hits, n, limit) < ALPHA
