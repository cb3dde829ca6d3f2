"""Raw rows of one side of a change, by column."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

SAMPLE_ROWS: Final = 20_000
"""Rows of each side, at most."""
MIN_SAMPLE_ROWS: Final = 100
"""With fewer on either side no slice is searched."""

Objects = NDArray[np.object_]


@dataclass(frozen=True, slots=True)
class RawSample:
    """Rows in order of time.

    Parameters
    ----------
    values : ndarray of float64 or object, shape (n,)
        Of the variable that changed: NaN and None are missing.
    attributes : mapping of str to ndarray of object, shape (n,)
        What to slice by: text or number, None where missing.
    """

    values: NDArray[Any]
    attributes: Mapping[str, Objects]

    def __len__(self) -> int:
        return len(self.values)

    def reversed(self) -> RawSample:
        """Return the rows from last to first."""
        return RawSample(
            self.values[::-1], {name: own[::-1] for name, own in self.attributes.items()}
        )
