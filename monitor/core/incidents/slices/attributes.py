"""What rows are sliced by: common values of a bounded number of attributes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np

from monitor.core.incidents.slices.sample import Objects, RawSample

MAX_SLICES: Final = 4_000
"""Values and pairs of values of one search: about two seconds of one core."""
MAX_VALUES: Final = 40
"""Values of an attribute that are searched by themselves, the commonest."""
MAX_NUMBERS: Final = 12
"""An attribute of numbers with more values is left out: it is no code."""
RARE: Final = "(rare values)"
"""All other values of an attribute together."""


class Attributes(NamedTuple):
    """Attributes of two samples, with the same values."""

    before: Mapping[str, Objects]
    since: Mapping[str, Objects]
    left_out: tuple[str, ...]
    """Names beyond the bound, or numbers with many values."""


def common_attributes(before: RawSample, since: RawSample, min_rows: int) -> Attributes:
    """Return the attributes to search, rare values joined.

    Parameters
    ----------
    min_rows : int
        A value with fewer rows on both sides is rare.

    Notes
    -----
    Those with few values come first; one that would exceed :data:`MAX_SLICES` is left out.
    An attribute with one value in all rows is dropped.

    Examples
    --------
    >>> def sample(*lands):
    ...     land = np.array(lands, object)
    ...     return RawSample(np.zeros(len(land)), {"land": land})
    >>> found = common_attributes(sample("a", "b", "b", "c"), sample("b", "b", "a", None), 2)
    >>> found.before["land"].tolist(), found.since["land"].tolist()
    (['(rare values)', 'b', 'b', '(rare values)'], ['b', 'b', '(rare values)', '(rare values)'])
    """
    joined: dict[str, tuple[Objects, Objects, int]] = {}
    left_out = []
    for name in sorted(before.attributes):
        sides = before.attributes[name], since.attributes[name]
        counts = [Counter(side.tolist()) for side in sides]
        values = set(counts[0]) | set(counts[1])
        if _is_measured(values):
            left_out.append(name)
            continue
        kept = _kept(counts, min_rows)
        n = len(kept) + (len(kept) < len(values))
        if n > 1:
            joined[name] = (_with_rare(sides[0], kept), _with_rare(sides[1], kept), n)
    chosen = _within_bound({name: n for name, (_, _, n) in joined.items()})
    left_out += [name for name in joined if name not in chosen]
    return Attributes(
        {name: joined[name][0] for name in chosen},
        {name: joined[name][1] for name in chosen},
        tuple(sorted(left_out)),
    )


def _is_measured(values: set[object]) -> bool:
    """Return whether values are numbers, and too many to be codes."""
    n_numbers = sum(isinstance(value, float) for value in values)
    return n_numbers > MAX_NUMBERS


def _kept(counts: Sequence[Counter[object]], min_rows: int) -> set[object]:
    """Return the values that are searched by themselves."""
    common = {v for side in counts for v, n in side.items() if n >= min_rows}
    by_rows = sorted(common, key=lambda v: (-sum(side[v] for side in counts), str(v)))
    return set(by_rows[:MAX_VALUES])


def _with_rare(values: Objects, kept: set[object]) -> Objects:
    """Replace rare values by one."""
    found = np.empty(len(values), object)
    found[:] = [v if v in kept else RARE for v in values.tolist()]
    return found


def _within_bound(sizes: Mapping[str, int]) -> list[str]:
    """Choose attributes, those with few values first, as long as their slices are few enough."""
    chosen: list[str] = []
    n_values = n_slices = 0
    for name in sorted(sizes, key=lambda name: (sizes[name], name)):
        more = sizes[name] * (1 + n_values)
        if n_slices + more <= MAX_SLICES:
            chosen.append(name)
            n_values, n_slices = n_values + sizes[name], n_slices + more
    return chosen
