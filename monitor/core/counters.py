"""Counters that restart, and sums over the last while."""

from __future__ import annotations

import msgspec

_DCGM_BLANK_INT32 = (0x7FFFFFF0, 0x7FFFFFFF)
_DCGM_BLANK_DOUBLE = (2**47, 2**47 + 15)
_BLANK_FLOOR = 2**62


def is_blank(value: float | int | None) -> bool:
    """Say whether a field holds no number: null, NaN, or DCGM's "no value".

    Parameters
    ----------
    value : float, int or None
        A field as it was sent.

    Returns
    -------
    bool
        True for None, NaN, infinities, anything from 2**62 up (the 64-bit blanks lie
        just below 2**63), and DCGM's 32-bit and double blanks with their variants
        (not found, not supported, not permitted).

    References
    ----------
    NVIDIA DCGM, dcgm_structs.h, DCGM_INT32_BLANK, DCGM_INT64_BLANK, DCGM_FP64_BLANK.

    Examples
    --------
    >>> is_blank(2**63 - 16), is_blank(0), is_blank(float("nan"))
    (True, False, True)
    """
    if value is None or value != value:
        return True
    return (
        abs(value) >= _BLANK_FLOOR
        or _DCGM_BLANK_INT32[0] <= value <= _DCGM_BLANK_INT32[1]
        or _DCGM_BLANK_DOUBLE[0] <= value <= _DCGM_BLANK_DOUBLE[1]
    )


class Counter(msgspec.Struct):
    """A counter whose growth is wanted and whose restarts are not.

    Notes
    -----
    Growth is ``v - last`` where the counter rose and ``v`` where it fell: a fall is
    a restart from 0. A counter kept in the card's own memory (``is_persistent``)
    does not restart; where it fell and then jumps back to what it was, the fall was a
    bad reading and only growth beyond the old value counts.

    Examples
    --------
    >>> counter = Counter()
    >>> [counter.observe(v) for v in (5000, 0, 3)]
    [0, 0, 3]
    """

    last: float | None = None
    before_fall: float | None = None

    def observe(self, value: float, is_persistent: bool = False) -> float:
        """Take the newest value and return the growth since the one before.

        Parameters
        ----------
        value : float
            The counter, >= 0.
        is_persistent : bool
            It survives a driver reload.

        Returns
        -------
        float
            0 for the first value: what was counted before we looked is not new.
        """
        last, self.last = self.last, value
        if last is None:
            return 0
        if value < last:
            self.before_fall = last
            return value
        if value == last:
            return 0
        before, self.before_fall = self.before_fall, None
        is_restored = is_persistent and before is not None and value >= before > last
        return value - (before if is_restored and before is not None else last)


class Recent(msgspec.Struct):
    """Amounts of the last while: their sum within a horizon."""

    times_us: list[int] = []
    amounts: list[float] = []

    def add(self, time_us: int, amount: float) -> None:
        """Add an amount at a time that is not before the newest."""
        self.times_us.append(time_us)
        self.amounts.append(amount)

    def total(self, now_us: int, within_us: int) -> float:
        """Sum what lies in (now - within, now], and forget what is older."""
        n_old = sum(1 for t in self.times_us if t <= now_us - within_us)
        del self.times_us[:n_old], self.amounts[:n_old]
        return sum(self.amounts)
