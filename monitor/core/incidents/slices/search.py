"""Finds the slices in which a change of a set of rows is concentrated."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from detectors.explain.slice_search import MIN_ROWS, slice_search
from detectors.statistics.fisher_exact import fisher_exact
from monitor.core.incidents.slices.attributes import RARE, Attributes, common_attributes
from monitor.core.incidents.slices.row_set import RowTest
from monitor.core.incidents.slices.sample import MIN_SAMPLE_ROWS, Objects, RawSample
from schemas.slice_hints import HintReason, HintSlice

LEVEL: Final = 0.05
"""Chance that a search names a slice of a stream that has not changed."""
MOST_SLICES: Final = 3
"""Slices of one hint."""
BLOCK_ROWS: Final = 400
"""Neighbouring rows whose shares are compared for the design effect; 50 blocks of a sample."""
FEW_ROWS: Final = 2_000
"""Samples of fewer rows are also searched for slices of 10 rows, which Fisher's test allows."""
_MIN_SLICE_ROWS = 10
_MIN_BLOCKS = 4
_MAX_TEXT = 64

Mask = NDArray[np.bool_]
_Value = tuple[str, Hashable]


class Explained(NamedTuple):
    """Result of a search."""

    reason: HintReason
    slices: tuple[HintSlice, ...] = ()
    phi: float = 1.0
    n_tested: int = 0
    left_out: tuple[str, ...] = ()


def explain_change(
    before: RawSample, since: RawSample, test: RowTest | None, *, level: float = LEVEL
) -> Explained:
    """Name the slices in which rows of a set became more, or less, frequent.

    Parameters
    ----------
    before, since : RawSample
        Rows before and since the change, with the same attributes, each in order of time.
    test : callable or None
        Which rows are in the set; None if the change is of no set.
    level : float, optional
        Chance of any slice where nothing has changed.

    Returns
    -------
    Explained
        At most :data:`MOST_SLICES`, the strongest first; without any, the reason.

    Notes
    -----
    A value that is new since the change has no rows before it and is compared with all rows
    before, and with the other rows since, at a fifth of the level; its rows are then left out.
    The rest is :func:`detectors.explain.slice_search.slice_search`, with the design effect of
    both samples. 20,000 rows a side with ten attributes of five values take about a second.
    """
    if test is None:
        return Explained(HintReason.UNKNOWN_CHANGE)
    if min(len(before), len(since)) < MIN_SAMPLE_ROWS:
        is_empty = not len(before) or not len(since)
        return Explained(HintReason.NO_ROWS if is_empty else HintReason.FEW_ROWS)
    min_rows = MIN_ROWS if min(len(before), len(since)) >= FEW_ROWS else _MIN_SLICE_ROWS
    attributes = common_attributes(before, since, min_rows)
    if not attributes.before:
        return Explained(HintReason.NO_ATTRIBUTES, left_out=attributes.left_out)
    hits = test(before.values), test(since.values)
    phi = max(design_effect_of(hits[0]), design_effect_of(hits[1]))
    change = _Change(attributes, *hits, phi, min_rows)
    new, n_new = change.new_values(level / 5)
    rest = ~np.logical_or.reduce([np.zeros(len(since), np.bool_), *(mask for _, mask in new)])
    found, n_tested = change.changed_slices(rest, level * 4 / 5)
    slices = tuple(one for one, _ in new) + found
    if slices:
        reason = HintReason.FOUND
    else:
        reason = HintReason.EVEN if change.is_even else HintReason.NO_SLICE
    return Explained(reason, slices[:MOST_SLICES], phi, n_new + n_tested, attributes.left_out)


def design_effect_of(hits: Mask) -> float:
    """Return the design effect of rows in order of time, from neighbouring blocks; at least 1.

    Parameters
    ----------
    hits : ndarray of bool, shape (n,)
        Whether each row is in the set that moved.

    References
    ----------
    Kish, Survey Sampling, 1965, section 8.2.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> tens = np.repeat(rng.random(2_000) < 0.3, 10)
    >>> 6 < design_effect_of(tens) < 16, design_effect_of(np.zeros(9, np.bool_))
    (True, 1.0)
    """
    n_blocks = len(hits) // BLOCK_ROWS
    p = float(hits.mean()) if len(hits) else 0.0
    if n_blocks < _MIN_BLOCKS or p in (0.0, 1.0):
        return 1.0
    shares = hits[: n_blocks * BLOCK_ROWS].reshape(n_blocks, BLOCK_ROWS).mean(axis=1)
    expected = p * (1 - p) * 2 / BLOCK_ROWS
    return max(1.0, float(np.mean(np.diff(shares) ** 2) / expected))


@dataclass(slots=True)
class _Change:
    """A change of a set of rows, with what to slice by."""

    attributes: Attributes
    before: Mask
    since: Mask
    phi: float
    min_rows: int
    """Slices with fewer rows are not tested."""
    is_even: bool = False
    """Whether all rows together were found."""

    def new_values(self, level: float) -> tuple[list[tuple[HintSlice, Mask]], int]:
        """Return new values that carry a change, with their rows, and the number tested."""
        candidates = self._new()
        n = max(len(candidates), 1)
        none = np.zeros(len(self.before), np.bool_)
        tested = [(self._new_p_value(mask) * n, where) for where, mask in candidates.items()]
        tested.sort(key=lambda one: (one[0], -int(candidates[one[1]].sum()), str(one[1])))
        found: list[tuple[HintSlice, Mask]] = []
        taken = np.zeros(len(self.since), np.bool_)
        for p_value, where in tested[: _first_above(tested, level)]:
            mask = candidates[where]
            if (mask & ~taken).sum() >= self.min_rows and len(found) < MOST_SLICES:
                found.append((self._describe([where], none, mask, p_value), mask))
                taken |= mask
        return found, len(candidates)

    def _new(self) -> dict[_Value, Mask]:
        """Return the rows of each value that only the rows since the change have."""
        masks = {}
        for name, values in self.attributes.since.items():
            old = Counter(self.attributes.before[name].tolist())
            for value, n in Counter(values.tolist()).items():
                if value != RARE and old[value] < self.min_rows <= n:
                    masks[name, value] = _equal(values, value)
        return masks

    def _new_p_value(self, mask: Mask) -> float:
        """Compare the rows of a new value with all rows before, and with the others since."""
        own = self._table(self.since[mask])
        others = self._table(self.since[~mask])
        if others.sum() < self.min_rows:
            return 1.0
        against_before = float(fisher_exact(self._table(self.before), own).p_value)
        return max(against_before, float(fisher_exact(others, own).p_value))

    def _table(self, hits: Mask) -> NDArray[np.int64]:
        """Return rows without and with the property, each counted as 1 / phi."""
        n, x = int(len(hits) / self.phi), int(hits.sum() / self.phi)
        return np.array([n - x, x], np.int64)

    def changed_slices(self, rest: Mask, level: float) -> tuple[tuple[HintSlice, ...], int]:
        """Search values and pairs among the rows that are left; note whether all changed."""
        if rest.sum() < MIN_SAMPLE_ROWS:
            return (), 0
        since = {name: own[rest] for name, own in self.attributes.since.items()}
        hits = self.before, self.since[rest]
        search = slice_search(
            self.attributes.before, since, *hits, level=level, min_rows=self.min_rows, phi=self.phi
        )
        self.is_even = any(not one.where for one in search.found)
        found = [
            self._describe(
                one.where,
                _inside(self.attributes.before, one.where, len(self.before)),
                _inside(self.attributes.since, one.where, len(self.since)) & rest,
                one.p_value,
            )
            for one in search.found
            if one.where
        ]
        return tuple(found), search.n_tested

    def _describe(
        self, where: Sequence[_Value], before: Mask, since: Mask, p_value: float
    ) -> HintSlice:
        """Return a slice with its part of the change."""
        p_before, p_rest = self._share_before(before), self._share_before(~before)
        own = float(self.since[since].sum() - since.sum() * p_before)
        others = float(self.since[~since].sum() - (~since).sum() * p_rest)
        total = own + others
        part = own / total if own * total > 0 else 1.0
        return HintSlice(
            name=slice_name(where),
            change_share=min(part, 1.0),
            row_share=float(since.mean()),
            p_before=p_before,
            p_since=float(self.since[since].mean()),
            p_value=min(p_value, 1.0),
        )

    def _share_before(self, mask: Mask) -> float:
        """Return the share of the set in a slice before; of all rows where it had too few."""
        return float(self.before[mask if mask.sum() >= self.min_rows else slice(None)].mean())


def slice_name(where: Sequence[_Value]) -> str:
    """Return the display name of a slice.

    Examples
    --------
    >>> slice_name([("country", "DE"), ("is_new", 1.0)]), slice_name([("device", None)])
    ('country=DE and is_new=1', 'device missing')
    """
    return " and ".join(_value_name(name, value) for name, value in where)


def _value_name(name: str, value: Hashable) -> str:
    if value is None:
        return f"{name} missing"
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return f"{name}={text if len(text) <= _MAX_TEXT else text[: _MAX_TEXT - 1] + '…'}"


def _first_above(tested: Sequence[tuple[float, _Value]], level: float) -> int:
    """Return how many p-values, ascending, are within the level."""
    return sum(p_value <= level for p_value, _ in tested)


def _inside(columns: Mapping[str, Objects], where: Sequence[_Value], n: int) -> Mask:
    """Return which rows are in a slice."""
    inside = np.ones(n, np.bool_)
    for name, value in where:
        inside &= _equal(columns[name], value)
    return inside


def _equal(values: Objects, value: Hashable) -> Mask:
    """Return which values are equal to one, which may be None."""
    return np.fromiter((v == value for v in values.tolist()), np.bool_, len(values))
