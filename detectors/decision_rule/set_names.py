"""Names of the sets of many cells, written when they are asked for."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import Final, overload

from schemas.baselines import Kind, VariableBaseline

SPECIAL_NAMES: Final = ("missing", "unseen", "below minimum", "above maximum")
"""Of the sets that every cell has besides its own, in their order."""


class SetNames(Sequence[str]):
    """The names of all sets of some cells, equal to the tuple of them.

    Parameters
    ----------
    variables : sequence of VariableBaseline
        V of them; cell ``s * V + v`` is of variable v.
    edges : list of list of int
        Of each cell at least the edges it has, ascending.
    n_edges : list of int
        How many of them each cell has.
    offsets : list of int
        Where the sets of each cell begin, and the number of sets.

    Notes
    -----
    A window of 88 cells has 3,000 sets and names 88 of them: writing all took .5 ms.

    Examples
    --------
    >>> land = VariableBaseline("land", Kind.CATEGORICAL, (), ("a",))
    >>> names = SetNames([land], [[]], [0], [0, 6])
    >>> names[1], names[-1]
    ('not land=a', 'above maximum')
    >>> names == ("land=a", "not land=a", *SPECIAL_NAMES)
    True
    """

    def __init__(
        self,
        variables: Sequence[VariableBaseline],
        edges: list[list[int]],
        n_edges: list[int],
        offsets: list[int],
    ) -> None:
        self._variables, self._edges = variables, edges
        self._n_edges, self._offsets = n_edges, offsets

    def __len__(self) -> int:
        return self._offsets[-1]

    @overload
    def __getitem__(self, i: int) -> str: ...
    @overload
    def __getitem__(self, i: slice) -> tuple[str, ...]: ...
    def __getitem__(self, i: int | slice) -> str | tuple[str, ...]:
        if isinstance(i, slice):
            return tuple(self[k] for k in range(len(self))[i])
        place = range(len(self))[i]
        cell = bisect_right(self._offsets, place) - 1
        return self._name(cell, place - self._offsets[cell])

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SetNames | tuple):
            return NotImplemented
        return tuple(self) == tuple(other)

    __hash__ = None  # type: ignore[assignment]

    def _name(self, cell: int, k: int) -> str:
        """Return the name of the k-th set of a cell."""
        variable, n_lines = self._variables[cell % len(self._variables)], 2 * self._n_edges[cell]
        if k < n_lines:
            text = format(variable.edges[self._edges[cell][k // 2]], ".6g")
            return f"> {text}" if k % 2 else f"<= {text}"
        k -= n_lines
        categories = variable.categories if variable.kind is Kind.CATEGORICAL else ()
        if k < 2 * len(categories):
            text = f"{variable.name}={categories[k // 2]}"
            return f"not {text}" if k % 2 else text
        return SPECIAL_NAMES[k - 2 * len(categories)]
