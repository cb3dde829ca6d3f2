"""Statistics as the body of a pane: bytes of each array, checked when they are read."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from monitor.core.bounds import (
    MAX_NAME_CHARS,
    check_counts,
    check_finite,
    check_names,
    check_number,
)
from schemas.errors import DomainError
from schemas.panes import N_CALIBRATION, N_COUNTERS, SeriesStats

MAX_SERIES = 1 << 16
MAX_VARIABLES = 1 << 14
_INTEGERS = ("n_rows", "counts", "n_predicted", "n_positive", "calibration_counts")
_FLOATS = ("sums", "sums_sq", "minima", "maxima", "calibration_sums")
SUMS = ("sums", "sums_sq", "calibration_sums")
_LARGEST = np.finfo(np.float64).max
_NAME_BYTES = 4 * MAX_NAME_CHARS
"""Of the longest name of a series: four bytes a character. All may be as long."""


class PackedStats(msgspec.Struct, array_like=True):
    """Statistics as names, V and the bytes of each array (little-endian)."""

    segments: Annotated[tuple[str, ...], Meta(max_length=MAX_SERIES)]
    n_variables: int
    integers: Annotated[list[bytes], Meta(max_length=len(_INTEGERS))]
    floats: Annotated[list[bytes], Meta(max_length=len(_FLOATS))]


def body_limit(n_series: int, n_variables: int, n_slices: int = 0) -> int:
    """Return the most bytes that a pane of a layout takes before compression.

    Parameters
    ----------
    n_series : int
        S: segments.
    n_variables : int
        V of the segments; slices have one.

    Examples
    --------
    >>> body_limit(11, 20)
    175960
    """
    fixed = 8 * (3 + 2 * N_CALIBRATION) + _NAME_BYTES
    cell = 8 * (N_COUNTERS + 4)
    return 4_096 + n_series * (fixed + n_variables * cell) + n_slices * (fixed + cell)


def pack(stats: SeriesStats) -> PackedStats:
    """Turn arrays into bytes.

    Notes
    -----
    A sum beyond float64 (values of 1e308) is written as the largest number there is: what
    is read is finite.
    """
    floats = [np.ascontiguousarray(getattr(stats, name), "<f8") for name in _FLOATS]
    return PackedStats(
        stats.segments,
        stats.counts.shape[1],
        [np.ascontiguousarray(getattr(stats, name), "<i8").tobytes() for name in _INTEGERS],
        [
            (finite_sums(array) if name in SUMS else array).tobytes()
            for name, array in zip(_FLOATS, floats, strict=True)
        ],
    )


def finite_sums(array: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return sums without NaN and infinities; the same array if it holds none.

    Examples
    --------
    >>> finite_sums(np.array([1.0, np.inf])).tolist()
    [1.0, 1.7976931348623157e+308]
    """
    if np.isfinite(array).all():
        return array
    return np.nan_to_num(array, nan=_LARGEST, posinf=_LARGEST, neginf=-_LARGEST)


def with_finite_sums(stats: SeriesStats) -> SeriesStats:
    """Return statistics as a reader gets them: sums as :func:`pack` writes them."""
    if all(np.isfinite(getattr(stats, name)).all() for name in SUMS):
        return stats
    return replace(
        stats,
        sums=finite_sums(stats.sums),
        sums_sq=finite_sums(stats.sums_sq),
        calibration_sums=finite_sums(stats.calibration_sums),
    )


def unpack(packed: PackedStats) -> SeriesStats:
    """Turn bytes into arrays that can be written to.

    Raises
    ------
    DomainError
        If names, shapes or values are not those of statistics.
    """
    check_number("variables", packed.n_variables, 0, MAX_VARIABLES)
    check_names("segments", packed.segments, MAX_SERIES)
    s, v = len(packed.segments), packed.n_variables
    arrays: dict[str, NDArray[np.int64] | NDArray[np.float64]] = {}
    for names, blobs, dtype in (
        (_INTEGERS, packed.integers, "<i8"),
        (_FLOATS, packed.floats, "<f8"),
    ):
        if len(blobs) != len(names):
            raise DomainError(f"{len(blobs)} arrays, not {len(names)}")
        for name, blob in zip(names, blobs, strict=True):
            arrays[name] = _array(name, blob, dtype, shape_of(name, s, v))
    stats = SeriesStats(segments=packed.segments, **arrays)  # type: ignore[arg-type]
    check_values(stats)
    return stats


def check_values(stats: SeriesStats) -> None:
    """Check counters, sums and extremes; shapes are right already.

    Raises
    ------
    DomainError
        If a counter is negative, a sum is not finite, or an extreme is NaN.
    """
    for name in _INTEGERS:
        check_counts(name, getattr(stats, name))
    for name in SUMS:
        check_finite(name, getattr(stats, name))
    if np.isnan(stats.minima).any() or np.isnan(stats.maxima).any():
        raise DomainError("an extreme is not a number")


def shape_of(name: str, s: int, v: int) -> tuple[int, ...]:
    """Return the shape of an array of SeriesStats.

    Examples
    --------
    >>> shape_of("counts", 2, 3), shape_of("n_rows", 2, 3), shape_of("calibration_sums", 2, 3)
    ((2, 3, 64), (2,), (2, 20))
    """
    if name in ("n_rows", "n_predicted", "n_positive"):
        return (s,)
    if name == "counts":
        return (s, v, N_COUNTERS)
    return (s, N_CALIBRATION) if name.startswith("calibration") else (s, v)


def _array(
    name: str, blob: bytes, dtype: str, shape: tuple[int, ...]
) -> NDArray[np.int64] | NDArray[np.float64]:
    """Read one array of a known shape."""
    n = 1
    for length in shape:
        n *= length
    if len(blob) != 8 * n:
        raise DomainError(f"{name} has {len(blob)} bytes, not {8 * n}")
    array: NDArray[np.int64] | NDArray[np.float64] = np.frombuffer(blob, dtype).reshape(shape)
    return array.copy()
