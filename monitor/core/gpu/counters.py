"""Counters with restarts and bad readings, and sums over a sliding interval."""

from __future__ import annotations

import msgspec

_BLANKS = ((2**31 - 16, 2**31), (2**32 - 1, 2**32), (2**47, 2**47 + 15))
"""Ranges of DCGM's 32-bit and double blanks, and NVML's -1 as an unsigned number.

They include the variants (not found, not supported, not permitted) and the float32 forms.
"""
_BLANK_FLOOR = 2**62
_PLAUSIBLE_RISE = 8
_RESTARTED_READINGS, _CLEARED_READINGS = 2, 10


def is_blank(value: float | int | None) -> bool:
    """Return whether a field has no value: null, NaN, or a driver's blank value.

    Parameters
    ----------
    value : float, int or None
        Field as sent.

    Returns
    -------
    bool
        True for None, NaN, infinities, values from 2**62 (the 64-bit blanks are just below 2**63),
        DCGM's 32-bit and double blanks, and 2**32 - 1; also for their float64 and float32 forms.

    References
    ----------
    NVIDIA DCGM, dcgm_structs.h, DCGM_INT32_BLANK, DCGM_INT64_BLANK, DCGM_FP64_BLANK;
    nvml.h, NVML_VALUE_NOT_AVAILABLE.

    Examples
    --------
    >>> is_blank(2**63 - 16), is_blank(0), is_blank(float("nan"))
    (True, False, True)
    """
    if value is None or value != value:
        return True
    return abs(value) >= _BLANK_FLOOR or any(low <= value <= high for low, high in _BLANKS)


class Counter(msgspec.Struct):
    """Growth of a counter, robust to bad readings and restarts.

    Notes
    -----
    A single reading below the value is ignored as bad, and so is a rise by more than 8, unless the
    next reading confirms it. Smaller rises count immediately.

    A volatile counter restarts from 0 when the driver is loaded: after two readings below its
    value, its reading is the growth since. A counter in the card's memory (``is_persistent``) does
    not restart: growth is the part above the highest value. After ten consecutive lower readings it
    counts as cleared, and growth is measured from the lowest of them.

    Examples
    --------
    >>> def grown(readings, is_persistent=False):
    ...     counter = Counter()
    ...     return [counter.observe(v, is_persistent) for v in readings]
    >>> grown((5000, 0, 3, 3)), grown((10, 0, 10, 11)), grown((10, 900, 10))
    ([0, 0, 3, 0], [0, 0, 0, 1], [0, 0, 0])
    >>> grown((10, 9, 9, 10), is_persistent=True), grown((10, 90, 90), is_persistent=True)
    ([0, 0, 0, 0], [0, 0, 80])
    """

    last: float | None = None
    """Last confirmed value; None before the first reading."""
    previous: float | None = None
    """Previous reading; None before the second."""
    newest: float | None = None
    lowest: float = 0
    n_below: int = 0
    """Consecutive readings below ``last``, and the lowest of them."""
    n_restarts: int = 0

    def observe(self, value: float, is_persistent: bool = False) -> float:
        """Process a reading and return the confirmed growth.

        Parameters
        ----------
        value : float
            Reading of the counter, >= 0.
        is_persistent : bool
            Whether the counter survives a driver reload.

        Returns
        -------
        float
            0 for the first reading: earlier counts are not growth.
        """
        is_second = self.previous is None
        self.previous, self.newest = self.newest, value
        if self.last is None or self.previous is None:
            self.last = value
            return 0
        if is_second and is_persistent and self.last == 0 and value > _PLAUSIBLE_RISE:
            self.last = value  # the card was not initialised at the first reading
            return 0
        if value >= self.last:
            self.n_below = 0
            return self._rise(value)
        self.lowest = min(value, self.lowest) if self.n_below else value
        self.n_below += 1
        if self.n_below < (_CLEARED_READINGS if is_persistent else _RESTARTED_READINGS):
            return 0
        self.n_restarts, self.n_below = self.n_restarts + 1, 0
        self.last = self.lowest if is_persistent else 0
        return self._rise(value)

    def restart(self) -> None:
        """Restart from 0 after a reported reset, without confirmation."""
        self.last, self.previous, self.newest, self.n_below = 0, 0, 0, 0

    @property
    def level(self) -> float | None:
        """The value confirmed by two readings; None before the second."""
        if self.previous is None or self.newest is None:
            return None
        return min(self.previous, self.newest) if self.n_below else self.last

    def _rise(self, value: float) -> float:
        """Process a reading that is not below ``last``; return the confirmed growth."""
        before, last = self.previous or 0, self.last or 0
        certain = max(last, min(before, value))
        self.last = value if value - certain <= _PLAUSIBLE_RISE else certain
        return self.last - last


class Recent(msgspec.Struct):
    """Amounts with times, summed over a sliding interval."""

    times_us: list[int] = []
    amounts: list[float] = []

    def add(self, time_us: int, amount: float) -> None:
        """Add an amount; its time must not be before the newest."""
        self.times_us.append(time_us)
        self.amounts.append(amount)

    def total(self, now_us: int, within_us: int) -> float:
        """Return the sum over (now - within, now], and drop older amounts."""
        n_old = sum(1 for t in self.times_us if t <= now_us - within_us)
        del self.times_us[:n_old], self.amounts[:n_old]
        return sum(self.amounts)
