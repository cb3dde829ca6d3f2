"""Float32 columns as float64: the numbers that were meant, .1 and not .10000000149.

Widening a float32 keeps its binary value. A model that was trained on float64 and served
float32 would see other numbers, so each becomes the number with the fewest digits, six or
more, that rounds to it. :func:`driftline.scalars.narrowest` is the same for one value.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from detectors.kernels.jit import kernel
from driftline.scalars import narrowest

_POWERS: NDArray[np.float64] = np.array([float(10**k) for k in range(23)])
"""Powers of ten that are exact in float64, so a quotient is rounded once."""
_SMALLEST, _LARGEST = 1e-13, 1e15
"""Beyond these bounds the powers are not exact."""


@kernel
def fill_widened(
    values: NDArray[np.float32], powers: NDArray[np.float64], out: NDArray[np.float64]
) -> int:
    """Write the float64 of each float32; return how many are left as they are in binary.

    About 16 ns a value where six digits are enough, 35 where nine are needed.
    """
    n_left = 0
    for i in range(values.size):
        x = np.float64(values[i])
        size = abs(x)
        out[i] = x
        if not (size < np.inf) or size == 0.0:
            continue
        if size < _SMALLEST or size >= _LARGEST:
            n_left += 1
            continue
        exponent = np.int64(np.floor(np.log10(size)))
        for n_digits in range(6, 10):
            places = n_digits - 1 - exponent
            if places >= 0:
                candidate = np.rint(size * powers[places]) / powers[places]
            else:
                candidate = np.rint(size / powers[-places]) * powers[-places]
            if np.float64(np.float32(candidate)) == size:
                out[i] = candidate if x > 0.0 else -candidate
                break
    return n_left


def widened(values: NDArray[np.float32] | NDArray[np.float16]) -> NDArray[np.float64]:
    """Return the values of a column of narrow floats as float64.

    Parameters
    ----------
    values : ndarray of float32 or float16, shape (n,)
        A column of narrow floats.

    Returns
    -------
    ndarray of float64, shape (n,)
        NaN and infinities as they are.

    Examples
    --------
    >>> widened(np.array([0.1, 16777216.0, np.nan], np.float32)).tolist()
    [0.1, 16777216.0, nan]
    >>> widened(np.array([0.1], np.float16)).tolist()
    [0.1]
    """
    if values.dtype == np.float16:
        return _one_by_one(values, "float16")
    column = np.ascontiguousarray(values, dtype=np.float32)
    out = np.empty(len(column), np.float64)
    if fill_widened(column, _POWERS, out):
        size = np.abs(column)
        is_left = ((size < _SMALLEST) & (size > 0)) | ((size >= _LARGEST) & np.isfinite(column))
        out[is_left] = _one_by_one(column[is_left], "float32")
    return out


def _one_by_one(
    values: NDArray[np.float32] | NDArray[np.float16], kind: str
) -> NDArray[np.float64]:
    """Convert each distinct value once."""
    distinct, codes = np.unique(values, return_inverse=True)
    found = [narrowest(float(value), kind) for value in distinct]
    return np.array(found, np.float64)[codes]
