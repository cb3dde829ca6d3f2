"""The set of rows of a change of a correlation: both values on the same side of their middle."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from monitor.core.incidents.slices.row_set import mean_test
from monitor.core.incidents.slices.sample import RawSample
from schemas.alerts import Alert
from schemas.batch import ModelSchema

CORRELATION: Final = "correlation"
"""``effect_where`` of an alert on a pair of features."""
_SEPARATOR = " x "


def pair_of(alert: Alert, schema: ModelSchema) -> tuple[str, str] | None:
    """Return the two numeric features of an alert on a correlation; None of any other.

    Notes
    -----
    The name of a feature may contain the separator.
    """
    if alert.effect_where != CORRELATION:
        return None
    parts = alert.feature.split(_SEPARATOR)
    for i in range(1, len(parts)):
        pair = _SEPARATOR.join(parts[:i]), _SEPARATOR.join(parts[i:])
        if set(pair) <= set(schema.numeric):
            return pair
    return None


def as_pairs(
    before: RawSample, since: RawSample, pair: tuple[str, str]
) -> tuple[RawSample, RawSample] | None:
    """Return both samples with 1 where the values of a row are on the same side of their medians.

    Parameters
    ----------
    before, since : RawSample
        Of the first feature; the second is an attribute.
    pair : tuple of str
        Names of the features.

    Returns
    -------
    tuple of RawSample or None
        Without the pair among the attributes. None if the second feature was not read, or one
        has no value before the change.
    """
    if pair[1] not in before.attributes:
        return None
    seconds = [_numbers(side.attributes[pair[1]]) for side in (before, since)]
    tests = mean_test(1, before.values), mean_test(1, seconds[0])
    if tests[0] is None or tests[1] is None:
        return None
    found = []
    for side, second in zip((before, since), seconds, strict=True):
        has_both = ~np.isnan(side.values) & ~np.isnan(second)
        is_same = has_both & (tests[0](side.values) == tests[1](second))
        own = {name: v for name, v in side.attributes.items() if name not in pair}
        found.append(RawSample(is_same.astype(np.float64), own))
    return found[0], found[1]


def is_same_side(values: NDArray[Any]) -> NDArray[np.bool_]:
    """Return the rows in the set, of the values of :func:`as_pairs`."""
    return np.asarray(values > 0)


def _numbers(values: NDArray[np.object_]) -> NDArray[np.float64]:
    """Return an attribute of numbers; NaN where missing."""
    return np.array([np.nan if v is None else v for v in values.tolist()], np.float64)
