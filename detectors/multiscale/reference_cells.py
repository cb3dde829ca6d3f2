"""The cells of a baseline that the multi-scale rule follows: those with rows in the reference."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from detectors.multiscale.components import CellComponents, variable_components
from schemas.baselines import VariableBaseline
from schemas.panes import N_COUNTERS


def reference_cells(
    variables: Sequence[VariableBaseline], counts: NDArray[np.int64]
) -> tuple[list[int], list[CellComponents]]:
    """Return the cells with rows, and their components.

    Parameters
    ----------
    variables : sequence of VariableBaseline
        V variables.
    counts : ndarray of int64, shape (S, V, 64)
        Counters of the reference by segment.

    Returns
    -------
    places : list of int
        Segment times V plus variable, of C cells.
    components : list of CellComponents
        Of each of them.

    Examples
    --------
    >>> from schemas.baselines import Kind
    >>> land = VariableBaseline("land", Kind.CATEGORICAL, np.empty(0), ("a", "b"))
    >>> counts = np.zeros((2, 1, 64), np.int64)
    >>> counts[0, 0, :2] = 70, 30  # the second segment has no rows
    >>> places, components = reference_cells([land], counts)
    >>> places, components[0].names
    ([0], ('a', 'b', 'unseen', 'missing'))
    """
    flat = counts.reshape(-1, N_COUNTERS)
    places = np.flatnonzero(flat.any(axis=1)).tolist()
    return places, [variable_components(variables[p % len(variables)], flat[p]) for p in places]
