"""Searches for slices that explain a drift: values of single attributes, and pairs of them."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from detectors.statistics.contingency import contingency
from detectors.statistics.fisher_exact import fisher_exact
from detectors.statistics.intervals import newcombe_interval
from detectors.statistics.multiple_tests import benjamini_yekutieli, holm
from schemas.errors import DomainError, ShapeError

MIN_ROWS = 30
SURE = 0.01
"""Level at which a part must exceed the rest of its whole: the larger slice is preferred."""
MAX_SLICES = 20_000
"""Maximum number of slices; power limits it: .05 / 20,000 is 4.6 standard errors."""

Control = Literal["holm", "benjamini_yekutieli"]
Table = Mapping[str, ArrayLike]
Counts = NDArray[np.int64]


class Slice(NamedTuple):
    """A slice that changed by more than the slices that contain it."""

    where: tuple[tuple[str, Hashable], ...]
    """Attribute and value, sorted; empty for all rows. The value None means missing."""
    effect: float
    """Share of the hits in the current rows of the slice, less that in its reference rows."""
    low: float
    """95 % interval of the effect, of n / phi rows, for this slice alone."""
    high: float
    n: int
    """Current rows of the slice."""
    n_reference: int
    p_value: float
    """p-value of no change in the slice, adjusted for all tested slices."""

    @property
    def name(self) -> str:
        """Return the display name: ``region=eu & sex=f``, ``*`` for all rows."""
        return " & ".join(f"{name}={value}" for name, value in self.where) or "*"


class SliceSearch(NamedTuple):
    """Slices found, and number of slices tested."""

    found: tuple[Slice, ...]
    """By falling evidence."""
    n_tested: int
    """Number of slices that were large enough to be tested."""


def slice_search(
    reference: Table,
    current: Table,
    hits_reference: ArrayLike,
    hits_current: ArrayLike,
    *,
    max_attributes: int = 2,
    min_rows: int = MIN_ROWS,
    level: float = 0.05,
    control: Control = "holm",
    phi: float = 1.0,
) -> SliceSearch:
    """Find the slices that explain a drift; preferable to a table of many p-values.

    Prefer :func:`detectors.explain.contributions.standing_out` for segments that are counted
    already; this needs raw rows, because pairs of attributes do.

    Parameters
    ----------
    reference, current : mapping of str to array_like, shape (n0,) or (n,)
        Attributes to slice by: text, numbers with few values, booleans; None and NaN
        are a value of their own. Both tables have the same attributes.
    hits_reference, hits_current : array_like of bool, shape (n0,) or (n,)
        Whether a row is in the set that moved: a score above an edge, a value missing.
    max_attributes : {1, 2}, default 2
        Single values only, or pairs too.
    min_rows : int, default 30
        Slices with fewer rows on either side are not tested.
    level : float, default .05
        Of the adjusted p-values.
    control : {"holm", "benjamini_yekutieli"}, default "holm"
        Chance of any false slice, or expected share of false ones among those found.
    phi : float, default 1
        Design effect of clustered rows: every slice counts as n / phi rows.

    Returns
    -------
    SliceSearch
        Empty where nothing changed. All rows together are a slice too: a change that
        all share is found as that one.

    Raises
    ------
    ShapeError
        If lengths differ, or the hits are not booleans.
    DomainError
        If attributes differ, a setting is outside its domain, or more than 20,000
        slices would be tested.

    Notes
    -----
    1. Each slice: Fisher's exact test of hits against the reference, so that 30 rows
       are enough; the p-values of all slices are adjusted together. Under no change
       anywhere a slice is found with probability <= level (Holm), whatever the overlap.
    2. A slice stays if its change exceeds that of the rest of *each* slice it is part
       of (a pair: of both values; a value: of all rows): normal test of the difference
       of two changes, the larger p-value of the two parents, Holm over those slices, at
       .01: so often a part of the true slice, or a pair with it, is found in its place.
       Else what it is part of is preferred, also where that rest is too small to tell.
    3. By falling evidence, a slice is dropped if its rows outside those found before
       show nothing at level / slices tested: it changed by what it has in common.

    Steps 2 and 3 only remove. Where only the traffic between slices changed, all rows
    together are what is found. A value new to the reference has no rows there and is not
    tested: see ``unseen``. Cost: a pass over the rows for every pair of attributes and
    for every slice that step 2 leaves, and Fisher's test a slice, some ms where there are
    many hits. Ten attributes of five values and 100,000 rows a side: 1,176 slices, .3 to
    .7 s on a busy core. Not mergeable.

    References
    ----------
    Holm (1979); Benjamini and Yekutieli (2001); Fisher (1935): see their modules. Chung
    et al., Automated data slicing for model validation, IEEE TKDE 32 (2020), section 3,
    for the preference of the larger slice.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> before, now = ({"land": rng.choice(["a", "b"], 4_000), "sex": rng.choice(["f", "m"], 4_000)}
    ...                for _ in range(2))
    >>> hits = rng.random(4_000) < 0.1
    >>> moved = rng.random(4_000) < np.where(now["land"] == "b", 0.25, 0.1)
    >>> search = slice_search(before, now, hits, moved)
    >>> [(s.name, round(s.effect, 2)) for s in search.found], search.n_tested
    ([('land=b', 0.14)], 9)
    """
    _check_settings(max_attributes, min_rows, level, control, phi)
    rows = _CodedTables.of(reference, current, hits_reference, hits_current)
    candidates = [c for c in rows.slices(max_attributes) if c.n.min() >= min_rows]
    p_values = np.array([_p_value(c.hits, c.n, phi) for c in candidates])
    adjust = holm if control == "holm" else benjamini_yekutieli
    adjusted = adjust(p_values).tolist()
    changed = [(c, p) for c, p in zip(candidates, adjusted, strict=True) if p <= level]
    counted = {c.codes: c for c in candidates}
    kept = _specific(changed, counted, min(level, SURE), min_rows, phi)
    kept.sort(key=lambda pair: -abs(_evidence(pair[0].hits, pair[0].n)))
    found = _distinct(kept, rows, level / max(len(candidates), 1), min_rows, phi)
    return SliceSearch(tuple(rows.describe(c, p, phi) for c, p in found), len(candidates))


@dataclass(frozen=True, slots=True)
class _SliceCandidate:
    """A slice as codes, with its rows and hits on both sides (reference, current)."""

    codes: tuple[tuple[int, int], ...]
    """Attribute and value, by number."""
    n: Counts
    hits: Counts


@dataclass(frozen=True, slots=True)
class _CodedTables:
    """Both tables as codes of values, common to the two sides."""

    names: list[str]
    values: list[tuple[Hashable, ...]]
    codes: tuple[list[Counts], list[Counts]]
    hits: tuple[NDArray[np.bool_], NDArray[np.bool_]]

    @staticmethod
    def of(
        reference: Table, current: Table, hits_reference: ArrayLike, hits_current: ArrayLike
    ) -> _CodedTables:
        """Check both tables and number the values of every attribute."""
        if set(reference) != set(current):
            odd = sorted(set(reference) ^ set(current))[0]
            raise DomainError(f"only one table has {odd!r}", where="slice_search")
        hits = _hits_of(hits_reference, "reference"), _hits_of(hits_current, "current")
        rows = _CodedTables(sorted(reference), [], ([], []), hits)
        for name in rows.names:
            columns = np.asarray(reference[name]), np.asarray(current[name])
            known = contingency(*columns).categories
            number = {value: i for i, value in enumerate(known)}
            rows.values.append(known)
            for side, column in enumerate(columns):
                if column.shape != hits[side].shape:
                    what = f"{name} has shape {column.shape}, the hits {hits[side].shape}"
                    raise ShapeError(what, where="slice_search", fix="pass one value a row")
                rows.codes[side].append(_coded(column, number))
        return rows

    def slices(self, max_attributes: int) -> Iterator[_SliceCandidate]:
        """All rows, every value, and every pair of values of two attributes."""
        yield self.count(())
        sizes = [len(values) for values in self.values]
        own = [(a,) for a in range(len(sizes))]
        pairs = list(combinations(range(len(sizes)), 2)) if max_attributes == 2 else []
        n_slices = 1 + sum(sizes) + sum(sizes[a] * sizes[b] for a, b in pairs)
        if n_slices > MAX_SLICES:
            what = f"{n_slices:,} slices, at most {MAX_SLICES:,} are supported"
            fix = "leave out attributes with many values, or join the rare ones"
            raise DomainError(what, where="slice_search", fix=fix)
        for attributes in [*own, *pairs]:
            shape = tuple(sizes[a] for a in attributes)
            n, hits = self._tables(attributes, shape)
            for at in np.ndindex(shape):
                codes = tuple(zip(attributes, at, strict=True))
                yield _SliceCandidate(codes, n[(slice(None), *at)], hits[(slice(None), *at)])

    def _tables(self, attributes: tuple[int, ...], shape: tuple[int, ...]) -> tuple[Counts, Counts]:
        """Rows and hits of every combination of values, shape (2, *shape)."""
        size, tables = int(np.prod(shape)), []
        for side in range(2):
            joint = np.ravel_multi_index([self.codes[side][a] for a in attributes], shape)
            tables.append([np.bincount(joint, minlength=size)])
            tables[-1].append(np.bincount(joint[self.hits[side]], minlength=size))
        counted = np.array(tables, np.int64).reshape(2, 2, *shape)
        return counted[:, 0], counted[:, 1]

    def mask(self, codes: Sequence[tuple[int, int]]) -> list[NDArray[np.bool_]]:
        """Which rows of each side are in a slice."""
        masks = []
        for side in range(2):
            inside = np.ones(len(self.hits[side]), np.bool_)
            for a, value in codes:
                inside &= self.codes[side][a] == value
            masks.append(inside)
        return masks

    def count(
        self, codes: Sequence[tuple[int, int]], but: list[NDArray[np.bool_]] | None = None
    ) -> _SliceCandidate:
        """Count a slice, without the rows marked."""
        masks = self.mask(codes)
        if but is not None:
            masks = [inside & ~out for inside, out in zip(masks, but, strict=True)]
        n = [int(inside.sum()) for inside in masks]
        hits = [int((inside & own).sum()) for inside, own in zip(masks, self.hits, strict=True)]
        return _SliceCandidate(tuple(codes), np.array(n, np.int64), np.array(hits, np.int64))

    def describe(self, one: _SliceCandidate, p_value: float, phi: float) -> Slice:
        """Return a found slice with its change; n / phi is at least 1."""
        where = tuple((self.names[a], self.values[a][value]) for a, value in one.codes)
        (n0, n), (x0, x) = one.n.tolist(), one.hits.tolist()
        # Hits are rounded to the nearest row of n / phi: rounded down, the effect may be outside.
        m0, m = int(n0 / phi), int(n / phi)
        interval = newcombe_interval(round(x / n * m), m, round(x0 / n0 * m0), m0)
        return Slice(where, x / n - x0 / n0, interval.low, interval.high, n, n0, p_value)


_Found = list[tuple[_SliceCandidate, float]]
_Counted = Mapping[tuple[tuple[int, int], ...], _SliceCandidate]


def _specific(
    changed: _Found, counted: _Counted, level: float, min_rows: int, phi: float
) -> _Found:
    """Keep slices that changed by more than the rest of each slice that contains them.

    What a slice is part of has no fewer rows, so it was large enough to be counted too.
    """
    p_values = [
        max(
            (
                _excess_p_value(one, counted[wider], min_rows, phi)
                for wider in (tuple(c for c in one.codes if c != left) for left in one.codes)
            ),
            default=0.0,  # the slice of all rows is in no other one
        )
        for one, _ in changed
    ]
    is_specific = holm(p_values) <= level
    return [pair for pair, keep in zip(changed, is_specific, strict=True) if keep]


def _distinct(kept: _Found, rows: _CodedTables, level: float, min_rows: int, phi: float) -> _Found:
    """Drop slices whose change is explained by earlier slices that they overlap."""
    found: _Found = []
    taken = [np.zeros(len(hits), np.bool_) for hits in rows.hits]
    for one, p_value in kept:
        left = rows.count(one.codes, but=taken)
        # NaN, below one row of n / phi, is not evidence either.
        if left.n.min() < min_rows or not _p_value(left.hits, left.n, phi) <= level:
            continue
        found.append((one, p_value))
        for out, inside in zip(taken, rows.mask(one.codes), strict=True):
            out |= inside
    return found


def _p_value(hits: Counts, n: Counts, phi: float) -> float:
    """Fisher's exact test, of n / phi rows."""
    x, rows = np.floor(hits / phi).astype(np.int64), np.floor(n / phi).astype(np.int64)
    return float(fisher_exact(*np.stack([rows - x, x], axis=1)).p_value)


def _evidence(hits: Counts, n: Counts) -> float:
    """Change in standard errors: p-values of large slices underflow, and would not rank."""
    share = (hits.sum() + 0.5) / (n.sum() + 1.0)
    change = hits[1] / n[1] - hits[0] / n[0]
    return float(change / np.sqrt(share * (1.0 - share) * (1.0 / n).sum()))


def _excess_p_value(
    one: _SliceCandidate, parent: _SliceCandidate, min_rows: int, phi: float
) -> float:
    """One-sided test that a slice changed by more, in its direction, than the parent's rest."""
    from scipy.special import ndtr

    rest_n, rest_hits = parent.n - one.n, parent.hits - one.hits
    if rest_n.min() < min_rows:
        return 1.0
    change = one.hits[1] / one.n[1] - one.hits[0] / one.n[0]
    excess = change - (rest_hits[1] / rest_n[1] - rest_hits[0] / rest_n[0])
    variance = 0.0
    for hits, n in ((one.hits, one.n), (rest_hits, rest_n)):
        share = (hits + 0.5) / (n + 1.0)
        variance += float((share * (1.0 - share) / n).sum())
    return float(ndtr(-np.sign(change) * excess / np.sqrt(phi * variance)))


def _hits_of(values: ArrayLike, name: str) -> NDArray[np.bool_]:
    """Return hits as a flat array of booleans."""
    hits = np.asarray(values)
    if hits.ndim != 1 or hits.dtype != np.bool_:
        what = f"hits of shape {hits.shape} and dtype {hits.dtype}"
        raise ShapeError(what, where=name, fix="pass one boolean a row")
    return hits


def _coded(column: NDArray[np.generic], number: Mapping[Hashable, int]) -> Counts:
    """Return the code of each row's value; missing is the value None."""
    flat: Iterable[Any]
    if column.dtype.kind == "O":
        flat = (None if v is None or v != v else v for v in column.tolist())
    elif column.dtype.kind == "f":
        flat = (None if v != v else v for v in column.tolist())
    else:
        flat = column.tolist()
    return np.fromiter((number[v] for v in flat), np.int64, len(column))


def _check_settings(
    max_attributes: int, min_rows: int, level: float, control: str, phi: float
) -> None:
    """Refuse settings outside their domain."""
    checks = (
        (max_attributes in (1, 2), f"max_attributes is {max_attributes}", "use 1 or 2"),
        (min_rows >= 1, f"min_rows is {min_rows}", "use 30"),
        (0 < level < 1, f"level is {level}", "use 0.05"),
        (
            control in ("holm", "benjamini_yekutieli"),
            f"control is {control!r}",
            "use 'holm' or 'benjamini_yekutieli'",
        ),
        (phi >= 1, f"phi is {phi:g}", "a design effect is >= 1"),
    )
    for is_right, what, fix in checks:
        if not is_right:
            raise DomainError(what, where="slice_search", fix=fix)
