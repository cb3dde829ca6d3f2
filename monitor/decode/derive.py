"""Numbers made of texts and times, as columns beside those that events bring.

A text is looked at once for as long as its dictionary lives: a batch costs a lookup a row,
and 4 to 5 us for each new text of 80 characters (measured on 60,000 different ones).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from detectors.decision_rule.local_time import local_time_us
from detectors.quality.date_statistics import age_days, hour_of_day, weekday
from detectors.quality.text_statistics import text_statistics
from driftline.times import time_of_text
from schemas.batch import (
    ABSENT,
    ABSENT_BITS,
    Absent,
    EventBatch,
    Float64Array,
    ModelSchema,
    StringColumn,
)
from schemas.derived import TIME_QUANTITIES, Derived, Quantity
from schemas.time_zones import UTC_NAME, find_zone

Values = Sequence[str]


class _DerivedColumn:
    """What is known of one column's texts: an array a quantity, by code."""

    def __init__(self, is_text: bool, timezone: str) -> None:
        self._is_text, self._timezone = is_text, timezone
        self._values: Values = ()
        self._known: dict[str, Float64Array] = {}
        self._n_known = 0

    def columns(self, values: Values) -> dict[str, Float64Array]:
        """Return the quantities of every value, looking at those that are new."""
        if values is not self._values:
            self._values, self._known, self._n_known = values, {}, 0
        new = values[self._n_known :]
        if new or not self._known:
            found = _of_texts(new) if self._is_text else _of_times(new, self._timezone)
            for name, column in found.items():
                before = self._known.get(name, np.empty(0))
                self._known[name] = np.concatenate([before, column])
            self._n_known += len(new)
        return self._known


class Deriver:
    """Makes one model's derived columns; lives as long as its decoder.

    Parameters
    ----------
    schema : ModelSchema
        Whose ``derived`` says what is made of what.
    """

    def __init__(self, schema: ModelSchema) -> None:
        self._schema = schema
        self._sources: dict[tuple[str, bool], _DerivedColumn] = {}

    def whole(self, batch: EventBatch) -> EventBatch:
        """Fill derived columns, and leave out what they were made of.

        Parameters
        ----------
        batch : EventBatch
            Of ``schema.received``.

        Returns
        -------
        EventBatch
            Of ``schema``. A number that an event brings itself is kept; NaN where there is
            neither a number nor anything it could be made of.
        """
        schema = self._schema
        texts = dict(zip(batch.schema.categorical, batch.categorical, strict=True))
        numbers = dict(zip(batch.schema.numeric, batch.numeric, strict=True))
        sources = {name: c for c, name in enumerate(batch.schema.categorical)}
        for derived in schema.derived:
            made = self._made(derived, texts[derived.source], batch)
            is_absent = batch.absent.categories.get(sources[derived.source])
            if is_absent is not None:
                made = np.where(is_absent, ABSENT, made)
            brought = numbers[derived.name]
            numbers[derived.name] = np.where(np.isnan(brought), made, brought)
        numeric = tuple(numbers[name] for name in schema.numeric)
        return replace(
            batch,
            schema=schema,
            numeric=numeric,
            categorical=batch.categorical[: len(schema.categorical)],
            absent=_absent(batch, numeric, len(schema.categorical)),
        )

    def _made(self, derived: Derived, column: StringColumn, batch: EventBatch) -> Float64Array:
        """Make one column."""
        is_text = derived.quantity not in TIME_QUANTITIES
        source = self._sources.setdefault(
            (derived.source, is_text), _DerivedColumn(is_text, derived.timezone)
        )
        known = source.columns(column.values)
        if is_text:
            return _of_rows(known[derived.quantity], column)
        if derived.quantity == "age_days":
            return age_days(_of_rows(known["time_us"], column), batch.time_us)
        return _of_rows(known[derived.quantity], column)


def _absent(batch: EventBatch, numeric: tuple[Float64Array, ...], n_categorical: int) -> Absent:
    """Return the columns in which events may lack a value, once numbers were derived."""
    numbers = {c for c in batch.absent.numbers if c == len(numeric)}
    numbers |= {c for c, x in enumerate(numeric) if (x.view(np.int64) == ABSENT_BITS).any()}
    categories = {c: mask for c, mask in batch.absent.categories.items() if c < n_categorical}
    return Absent(tuple(sorted(numbers)), categories)


def quantity_of(
    quantity: Quantity, texts: Sequence[str | None], timezone: str = UTC_NAME
) -> Float64Array:
    """Return one quantity of each text, without an event it could be counted from.

    Parameters
    ----------
    quantity : Quantity
        Not ``age_days``.
    timezone : str
        IANA name of the clock whose hours and weekdays are meant.

    Returns
    -------
    ndarray of float64, shape (n,)
        NaN where a text is missing, or is no time.

    Examples
    --------
    >>> quantity_of("hour", ["2024-01-01T06:30", None]).tolist()
    [6.0, nan]
    """
    if quantity not in TIME_QUANTITIES:
        of_texts: Float64Array = getattr(text_statistics(texts), quantity)
        return of_texts
    return _of_times(["" if text is None else text for text in texts], timezone)[quantity]


def _of_rows(of_values: Float64Array, column: StringColumn) -> Float64Array:
    """Look up each row's value; NaN where it has none."""
    return np.append(of_values, np.nan)[column.codes]


def _of_texts(texts: Values) -> dict[str, Float64Array]:
    """Describe texts."""
    return text_statistics(texts)._asdict()


def _of_times(texts: Values, timezone: str = UTC_NAME) -> dict[str, Float64Array]:
    """Read times, and their hour and weekday on a local clock; NaN where a text is none."""
    times_us = np.array([_time_us(text, timezone) for text in texts], np.float64)
    local_us, is_time = times_us.copy(), np.isfinite(times_us)
    local_us[is_time] = local_time_us(times_us[is_time].astype(np.int64), timezone)
    return {"time_us": times_us, "hour": hour_of_day(local_us), "weekday": weekday(local_us)}


def _time_us(text: str, timezone: str = UTC_NAME) -> float:
    """Read one time (:mod:`driftline.times`), in the given zone where it names none.

    Examples
    --------
    >>> _time_us("1970-01-01T00:00:01Z"), _time_us("1970-01-02"), _time_us("soon")
    (1000000.0, 86400000000.0, nan)
    >>> _time_us("1970-01-02", "Europe/Berlin")
    82800000000.0
    """
    try:
        return float(time_of_text(text, zone=find_zone(timezone)))
    except (ValueError, OverflowError):
        return float("nan")
