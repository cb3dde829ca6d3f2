"""Searches the stored raw rows for the slices that carry a change: hints, never alerts.

Nothing here is on the path of a verdict or a commit. A search reads at most 20,000 rows before the
change and 20,000 since it, and writes its result under a key of its own, so that it can be
repeated.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final

import msgspec

from monitor.core.incidents.slices.pair_set import as_pairs, is_same_side, pair_of
from monitor.core.incidents.slices.row_set import RowTest, is_missing, mean_test, row_test
from monitor.core.incidents.slices.sample import RawSample
from monitor.core.incidents.slices.search import LEVEL, Explained, explain_change
from monitor.storage.clickhouse import Store
from monitor.storage.raw_samples import (
    SampledCell,
    commonest_version,
    rows_before,
    rows_of_range,
    rows_since,
)
from monitor.storage.rows import slice_hint_rows
from monitor.storage.stored_alerts import open_alerts
from schemas.alerts import Alert, Severity, Transition
from schemas.batch import ModelSchema
from schemas.config.model import Importance, ModelConfig
from schemas.names import SCORE
from schemas.panes import ALL
from schemas.slice_hints import HintKind, HintReason, SliceHint
from schemas.time_units import DAY_US, HOUR_US

SLICE_HINTS: Final = "slice_hints"
MOST_SETS: Final = 12
"""Sets of rows that are searched in a night for a model without an alert."""
MOST_VARIABLES: Final = 24
"""Variables of a model that are read in a night, whether or not they have a set."""
MOST_OPEN: Final = 20
"""Open alerts of a model whose search is repeated in a night."""
_OPEN_US = 28 * DAY_US

Pause = Callable[[], bool]


def write_hints(store: Store, hints: Sequence[SliceHint]) -> None:
    """Store hints; one with the key of a stored one replaces it."""
    if hints:
        store.insert(SLICE_HINTS, slice_hint_rows(hints))


LATER_US: Final = {HintKind.ALERT: 0, HintKind.HOUR: HOUR_US}
"""How long after an alert a search has its last row."""


def hint_on_alert(
    store: Store,
    schema: ModelSchema,
    alert: Alert,
    kind: HintKind,
    until_us: int | None = None,
) -> SliceHint:
    """Search the rows before the change of an alert, and since, for the slices that carry it.

    Parameters
    ----------
    schema : ModelSchema
        Of the alert's model.
    until_us : int, optional
        End of the rows; by default that of the kind, see :data:`LATER_US`.

    Raises
    ------
    StorageError
        If the store cannot be read.
    """
    until_us = alert.time_us + LATER_US[kind] if until_us is None else until_us
    since_us, before_us = alert.window_start_us or alert.opened_at_us, alert.window_start_us
    if alert.onset is not None:
        since_us, before_us = alert.onset.onset_us, alert.onset.onset_low_us
    series = (alert.tenant, alert.model, alert.model_version)
    pair = pair_of(alert, schema)
    cell = SampledCell(series, schema, alert.feature if pair is None else pair[0], alert.segment)
    hint = SliceHint(
        tenant=alert.tenant,
        model=alert.model,
        model_version=alert.model_version,
        kind=kind,
        alert_id=alert.alert_id,
        feature=alert.feature,
        segment=alert.segment,
        effect_where=alert.effect_where,
        time_us=until_us,
        since_us=since_us,
    )
    before = rows_before(store, cell, min(before_us, since_us) or since_us)
    since = rows_since(store, cell, (since_us, until_us))
    sides, test = (before, since), row_test(alert, before.values) if pair is None else None
    if pair is not None and (pairs := as_pairs(before, since, pair)) is not None:
        sides, test = pairs, is_same_side
    return _with_result(hint, cell, sides, explain_change(*sides, test))


def hints_at_night(
    store: Store, config: ModelConfig, day_end_us: int, pause: Pause = lambda: False
) -> Iterator[SliceHint]:
    """Search again for the open alerts of a model, and for changes of its last day.

    Parameters
    ----------
    day_end_us : int
        End of a day; the day is compared with the day before.
    pause : callable, optional
        Called after each search and read; returns whether to stop.

    Yields
    ------
    SliceHint
        Of open alerts; then of the score, and of features by importance: the upper half of the
        values, and missing ones. At most :data:`MOST_SETS` sets, at a level that is divided
        among them.
    """
    schema, name = config.schema_, (config.tenant, config.model)
    still_open = open_alerts(store, name, (day_end_us - _OPEN_US, day_end_us))
    for alert in most_severe(still_open, MOST_OPEN):
        yield hint_on_alert(store, schema, alert, HintKind.NIGHTLY, day_end_us)
        if pause():
            return
    yield from _hints_on_day(store, config, day_end_us, pause)


def most_severe(alerts: Sequence[Alert], n: int) -> list[Alert]:
    """Return at most n alerts that opened, the most severe and oldest of them, by time."""
    opened = [alert for alert in alerts if alert.transition is Transition.OPENED]
    opened.sort(key=lambda a: (-Severity(a.severity).rank, a.segment != ALL, a.time_us, a.alert_id))
    return sorted(opened[:n], key=lambda a: (a.time_us, a.alert_id))


def _hints_on_day(
    store: Store, config: ModelConfig, day_end_us: int, pause: Pause
) -> Iterator[SliceHint]:
    """Compare the last day with the day before, set by set."""
    start_us = day_end_us - DAY_US
    name = (config.tenant, config.model)
    version = commonest_version(store, name, (start_us, day_end_us))
    if version is None:
        return
    n_sets = 0
    for variable in _by_importance(config)[:MOST_VARIABLES]:
        if n_sets >= MOST_SETS:
            return
        cell = SampledCell((*name, version), config.schema_, variable)
        before = rows_of_range(store, cell, (start_us - DAY_US, start_us))
        since = rows_of_range(store, cell, (start_us, day_end_us))
        if pause():
            return
        for where, test in _sets(variable, before, since):
            n_sets += 1
            hint = SliceHint(
                tenant=config.tenant,
                model=config.model,
                model_version=version,
                kind=HintKind.NIGHTLY,
                feature=variable,
                segment=ALL,
                effect_where=where,
                time_us=day_end_us,
                since_us=start_us,
            )
            explained = explain_change(before, since, test, level=LEVEL / MOST_SETS)
            yield _with_result(hint, cell, (before, since), explained)
            if pause():
                return


def _by_importance(config: ModelConfig) -> list[str]:
    """Return the score, then features from high to low importance."""
    order = [Importance.HIGH, Importance.MEDIUM, Importance.LOW]
    ranked = sorted(config.features, key=lambda name: order.index(config.features[name].importance))
    return [SCORE, *ranked]


def _sets(variable: str, before: RawSample, since: RawSample) -> list[tuple[str, RowTest | None]]:
    """Return the sets of a variable that are searched: the upper half, and missing values."""
    sets: list[tuple[str, RowTest | None]] = []
    if before.values.dtype != object:
        sets.append(("location", mean_test(1, before.values)))
    if variable != SCORE and (is_missing(before.values).any() or is_missing(since.values).any()):
        sets.append(("missing", is_missing))
    return sets


def _with_result(
    hint: SliceHint, cell: SampledCell, sides: tuple[RawSample, RawSample], explained: Explained
) -> SliceHint:
    """Return the hint with the result of its search."""
    reason = explained.reason
    if reason is HintReason.NO_ATTRIBUTES and cell.is_private:
        reason = HintReason.PRIVATE
    return msgspec.structs.replace(
        hint,
        n_before=len(sides[0]),
        n_since=len(sides[1]),
        phi=explained.phi,
        n_tested=explained.n_tested,
        reason=reason,
        slices=explained.slices,
        left_out=explained.left_out,
    )
