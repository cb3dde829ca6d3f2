"""The cells of a baseline that the multi-scale rule follows: those that the reference describes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from detectors.multiscale.components import CellComponents, variable_components
from schemas.baselines import VariableBaseline
from schemas.panes import MISSING, N_COUNTERS


def reference_cells(
    variables: Sequence[VariableBaseline], counts: NDArray[np.int64]
) -> tuple[list[int], list[CellComponents]]:
    """Return the cells with rows of variables with values, and their components.

    A variable that is missing in every row of the reference, such as the score of a model that
    is not in service yet, has nothing to be compared with.

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
    has_values = np.delete(counts, MISSING, axis=2).any(axis=(0, 2))
    places = np.flatnonzero((counts.any(axis=2) & has_values).ravel()).tolist()
    return places, [variable_components(variables[p % len(variables)], flat[p]) for p in places]
