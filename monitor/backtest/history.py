"""One model's windows under one config, and in which of them events were missing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from monitor.backtest.traces import n_rows_of
from monitor.core.drift.ticks.closing import Ticks
from monitor.core.drift.windows import IntakeWindow, Windows
from monitor.core.pipeline_health.watch import PipelineWatch
from schemas.alerts import Alert
from schemas.config.model import ModelConfig
from schemas.intake import Intake, IntakePane
from schemas.panes import Pane, Window


@dataclass(frozen=True, slots=True)
class History:
    """The windows to judge."""

    windows: list[Window]
    withheld: frozenset[int] = frozenset()
    """Ends of windows in which too many events were rejected or late for a drift verdict."""
    alerts: tuple[Alert, ...] = ()
    """Changes of the pipeline alerts about these, in order."""
    ticks: list[Window] = field(default_factory=list)
    """Of a config of rule 2: what is judged."""


def history_of(
    panes: Iterable[Pane], config: ModelConfig, intake: Iterable[IntakePane] = ()
) -> History:
    """Merge panes of one model to the windows of a config.

    Parameters
    ----------
    panes : iterable of Pane
        All of them, each of a stretch that divides the window's length.
    config : ModelConfig
        ``window.length`` and ``pipeline`` are used.
    intake : iterable of IntakePane, optional
        Rejected and late events of the model; stored panes have none.

    Returns
    -------
    History
        Windows by end and series, with the empty windows the monitor would close. All
        panes are there when a window closes, so none is revised: what arrived late in
        operation counts here.
    """
    found = Windows(lambda tenant, model: config.window)
    ticks = Ticks(lambda tenant, model: config, found.watermarks)
    place = 0
    for place, pane in enumerate(panes):
        found.add(pane, place)
        ticks.add(pane, place)
    for counted in intake:
        found.add_intake(counted, place)
    windows = found.close_all()
    withheld, alerts = _withheld(windows, found.take_intakes(), config)
    return History(windows, withheld, alerts, ticks.close_all())


def _withheld(
    windows: Sequence[Window], intakes: Sequence[IntakeWindow], config: ModelConfig
) -> tuple[frozenset[int], tuple[Alert, ...]]:
    """Apply the share rules of detect, window by window."""
    if not intakes:
        return frozenset(), ()
    n_rows: Counter[int] = Counter()
    for window in windows:
        n_rows[window.end_us] += n_rows_of(window)
    by_end = {i.end_us: i.intake for i in intakes}
    watch, withheld, alerts = PipelineWatch(config), set(), list[Alert]()
    for end in sorted({*n_rows, *by_end}):
        start = end - config.window.length_us
        alerts += watch.observe_intake(start, end, n_rows[end], by_end.get(end, Intake()))
        if watch.is_withholding:
            withheld.add(end)
    return frozenset(withheld), tuple(alerts)
