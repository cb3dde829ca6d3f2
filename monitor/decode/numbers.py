"""JSON numbers to float64 and int64, exactly, eight digits at a time.

A number is taken only when the answer is certain to be the correctly rounded
one: integers of up to 18 digits, decimals of up to 19 significant digits whose
value is normal and not a near-tie. Everything else is refused, and msgspec
decides.

References
----------
Clinger, How to read floating point numbers accurately, PLDI 1990, section 4
(exact products of small integers and powers of ten). Lemire, Number parsing at
a gigabyte per second, Software: Practice and Experience 51(8), 2021, algorithm 1
and section 5 (the 128-bit powers). Mula, Lemire: eight digits at once by three
multiplications (SWAR), section 3 of the same paper.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from detectors.kernels.jit import inlined, kernel
from monitor.decode.memory import (
    Address,
    Word,
    float_of_bits,
    leading_zeros,
    load_float,
    load_word,
    multiply_high,
    trailing_zeros,
)

SMALLEST_POWER, LARGEST_POWER = -342, 308
_N_INTEGER, _N_EXACT = 20, 23
EXACT_AT = 8 * _N_INTEGER
"""Byte offset of 1e0 in the powers of ten."""
_WIDE_AT = 8 * (_N_INTEGER + _N_EXACT) - 16 * SMALLEST_POWER

_ZEROS = np.uint64(0x3030303030303030)
_ABOVE_NINE = np.uint64(0x7676767676767676)
_HIGH = np.uint64(0x8080808080808080)
_NIBBLES = np.uint64(0x0F0F0F0F0F0F0F0F)
_PAIRS = np.uint64(0x00FF00FF00FF00FF)
_FOURS = np.uint64(0x0000FFFF0000FFFF)
_EIGHT = np.uint64(0x00000000FFFFFFFF)
_TEN, _HUNDRED, _MYRIAD = np.uint64(10), np.uint64(100), np.uint64(10_000)
_8, _16, _32 = np.uint64(8), np.uint64(16), np.uint64(32)
_0, _1, _3 = np.uint64(0), np.uint64(1), np.uint64(3)
_ALL = np.uint64(0xFFFFFFFFFFFFFFFF)
_NEAR_TIE = np.uint64(0x1FF)
_HIDDEN = np.uint64(1 << 52)
_OVERFLOWN = np.uint64(1 << 53)
LARGEST_EXACT = np.uint64(1 << 53)


def powers_of_ten() -> NDArray[np.uint64]:
    """Return the tables of this module in one flat array, in this order.

    Returns
    -------
    ndarray of uint64
        10**0 to 10**19; the bits of the float64 1e0 to 1e22; for q from -342 to
        308 the upper and lower half of 5**q, scaled into [2**127, 2**128):
        truncated for q >= 0, rounded up below (Lemire, section 5).

    Notes
    -----
    About 2 ms, once per process.
    """
    integers = [10**k for k in range(_N_INTEGER)]
    exact = np.array([float(10**k) for k in range(_N_EXACT)]).view(np.uint64).tolist()
    wide = [_wide_power(q) for q in range(SMALLEST_POWER, LARGEST_POWER + 1)]
    halves = [half for w in wide for half in (w >> 64, w & ((1 << 64) - 1))]
    return np.array(integers + exact + halves, dtype=np.uint64)


def _wide_power(q: int) -> int:
    """The 128 leading bits of 5**q."""
    power = 5 ** abs(q)
    bits = power.bit_length()
    if q >= 0:
        return power << (128 - bits) if bits <= 128 else power >> (bits - 128)
    reciprocal = (1 << (bits + 127 if q >= -27 else 2 * bits + 128)) // power + 1
    excess = reciprocal.bit_length() - 128
    return reciprocal >> excess if excess > 0 else reciprocal


@inlined
def count_digits(word: Word) -> int:
    """Leading ASCII digits of eight bytes, 0 to 8.

    A byte's carry can reach only later bytes, so the first flag is right.
    """
    t = word ^ _ZEROS
    return trailing_zeros(((t + _ABOVE_NINE) | t) & _HIGH) >> 3


@inlined
def digits_value(word: Word, n: int) -> Word:
    """Value of the first n (0 to 8) digits of eight bytes."""
    half = np.uint64(32 - 4 * n)  # twice: a shift by 64 is undefined
    t = ((word & _NIBBLES) << half) << half
    t = (t * _TEN + (t >> _8)) & _PAIRS
    t = (t * _HUNDRED + (t >> _16)) & _FOURS
    return (t * _MYRIAD + (t >> _32)) & _EIGHT


@kernel
def eisel_lemire(mantissa: Word, power: int, powers: Address) -> float:
    """mantissa * 10**power as the nearest float64, or -1.0 when that is not certain."""
    if mantissa == _0:
        return 0.0
    if power < SMALLEST_POWER or power > LARGEST_POWER:
        return -1.0
    shift = leading_zeros(mantissa)
    w = mantissa << np.uint64(shift)
    at = powers + _WIDE_AT + 16 * power
    wide = load_word(at)
    high, low = multiply_high(w, wide), w * wide
    if (high & _NEAR_TIE) == _NEAR_TIE:
        more = multiply_high(w, load_word(at + 8))
        low = low + more
        if more > low:
            high = high + _1
    if low == _ALL and (power < -27 or power > 55):
        return -1.0
    upper = high >> np.uint64(63)
    cut = upper + np.uint64(9)
    m = high >> cut
    exponent = ((217706 * power) >> 16) + 63 + np.int64(upper) - shift + 1023
    if exponent <= 0:
        return -1.0
    if low <= _1 and -4 <= power <= 23 and (m & _3) == _1 and (m << cut) == high:
        m = m - _1
    m = (m + (m & _1)) >> _1
    if m >= _OVERFLOWN:
        m = _HIDDEN
        exponent += 1
    if exponent >= 2047:
        return -1.0
    return float_of_bits((m & (_HIDDEN - _1)) | (np.uint64(exponent) << np.uint64(52)))


@inlined
def scale(mantissa: Word, power: int, powers: Address) -> float:
    """mantissa * 10**power, exactly rounded, or -1.0 when that is not certain."""
    value = -1.0
    if mantissa <= LARGEST_EXACT and -22 <= power <= 22:
        if power < 0:
            value = np.float64(mantissa) / load_float(powers + EXACT_AT - 8 * power)
        else:
            value = np.float64(mantissa) * load_float(powers + EXACT_AT + 8 * power)
    else:
        value = eisel_lemire(mantissa, power, powers)
    return value
