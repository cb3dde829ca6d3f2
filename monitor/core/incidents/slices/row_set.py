"""The set of rows that an alert is about, as a test of raw values."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from schemas.alerts import Alert
from schemas.panes import OVERFLOW

MAX_LABEL_CHARS: Final = 200
"""Length at which alerts cut the names of categories."""
MEANS: Final = ("location", "spread", "skewness", "tails")
"""Polynomial means of rule 2, by degree."""
_RANGE = re.compile(r"(\S+) to (\S+)")
_EDGE = re.compile(r"(<=|>) (\S+)")

Values = NDArray[Any]
RowTest = Callable[[Values], NDArray[np.bool_]]
"""Values of rows -> which of them are in the set."""


def row_test(alert: Alert, before: Values) -> RowTest | None:
    """Return the test of the rows that ``effect_where`` of an alert names.

    Parameters
    ----------
    before : ndarray of float64 or object
        Values before the change. A mean of rule 2 becomes the set of values that raise it:
        those whose rank among these makes its polynomial positive.

    Returns
    -------
    callable or None
        None if the alert names no set of rows.

    Examples
    --------
    >>> from schemas.alerts import Severity, Transition
    >>> alert = Alert(alert_id="1", tenant="t", monitor="drift", severity=Severity.PAGE, sequence=0,
    ...               transition=Transition.OPENED, time_us=0, opened_at_us=0, title="",
    ...               feature="age", effect_where="missing")
    >>> row_test(alert, np.zeros(0))(np.array([1.0, np.nan])).tolist()
    [False, True]
    """
    where = alert.effect_where
    if where == "missing":
        return is_missing
    if before.dtype == object:
        return _category_test(alert)
    if where in MEANS:
        return mean_test(MEANS.index(where) + 1, before)
    return _range_test(alert)


def is_missing(values: Values) -> NDArray[np.bool_]:
    """Return which values are missing."""
    if values.dtype == object:
        return np.fromiter((v is None for v in values), np.bool_, len(values))
    return np.asarray(np.isnan(values))


def _category_test(alert: Alert) -> RowTest | None:
    """Return the test of a category, of all others, or of new ones."""
    where, feature = alert.effect_where, alert.feature
    if where == "unseen":
        known = {label for label in alert.bin_labels[:60] if label}
        return lambda values: ~is_missing(values) & ~_has_label(values, known)
    if where.startswith(f"not {feature}="):
        own = {where.removeprefix(f"not {feature}=")}
        return lambda values: ~_has_label(values, own)
    if where.startswith(f"{feature}="):
        own = {where.removeprefix(f"{feature}=")}
        return lambda values: _has_label(values, own, f"{feature}=")
    return None


def _has_label(values: Values, labels: set[str], prefix: str = "") -> NDArray[np.bool_]:
    """Return which texts have one of these labels, which alerts cut where they are long.

    Rule 2 cuts a label together with the name of its feature.
    """
    cut: dict[Any, bool] = {None: False}
    for text in set(values.tolist()) - {None}:
        whole = f"{prefix}{text}"
        short = f"{whole[: MAX_LABEL_CHARS - 1]}…" if len(whole) > MAX_LABEL_CHARS else whole
        cut[text] = short.removeprefix(prefix) in labels or _cut_alone(text) in labels
    return np.fromiter((cut[text] for text in values.tolist()), np.bool_, len(values))


def _cut_alone(text: str) -> str:
    """Return a label without the name of its feature."""
    return f"{text[: MAX_LABEL_CHARS - 1]}…" if len(text) > MAX_LABEL_CHARS else text


def mean_test(degree: int, before: Values) -> RowTest | None:
    """Return the test of the values that raise a polynomial mean of the ranks."""
    known = np.sort(before[~np.isnan(before)])
    if not len(known):
        return None
    polynomial = np.polynomial.Legendre.basis(degree)

    def test(values: Values) -> NDArray[np.bool_]:
        """Compare the polynomial of each value's mid-rank with 0."""
        below = np.searchsorted(known, values, "left")
        rank = (below + np.searchsorted(known, values, "right")) / (2 * len(known))
        return ~np.isnan(values) & (polynomial(2 * rank - 1) > 0)

    return test


def _range_test(alert: Alert) -> RowTest | None:
    """Return the test of a range of numbers."""
    where = alert.effect_where
    if where in ("below minimum", "above maximum"):
        low, high = _baseline_range(alert)
        if np.isnan(low):
            return None
        return lambda v: (v < low) if where == "below minimum" else (v > high)
    if found := _RANGE.fullmatch(where):
        low, high = _number(found[1]), _number(found[2])
        return lambda v: (v >= low) & (v < high)
    if found := _EDGE.fullmatch(where):
        edge = _number(found[2])
        return lambda v: (v <= edge) if found[1] == "<=" else (v > edge)
    return None


def _baseline_range(alert: Alert) -> tuple[float, float]:
    """Return smallest and largest number of the baseline; NaN if unknown.

    The labels of the bins have four digits only.
    """
    if alert.details.baseline_range is not None:
        return alert.details.baseline_range
    bins = [found for label in alert.bin_labels[:60] if (found := _RANGE.fullmatch(label))]
    if not bins or len(alert.bin_labels) <= OVERFLOW:
        return np.nan, np.nan
    return _number(bins[0][1]), _number(bins[-1][2])


def _number(text: str) -> float:
    """Read a number of a label; NaN if it is none."""
    try:
        return float(text)
    except ValueError:
        return float("nan")
