"""Whether the kernel is tried, and with how many events at once."""

from __future__ import annotations

from dataclasses import dataclass

FIRST_BLOCK = 64
"""Events tried after a lesson: what the next one teaches may help those behind them."""
GROWTH = 4
LARGEST_UNPROVEN, LARGEST = 256, 1 << 30
"""Of a block, before trying was found to pay and after it."""
WINDOW = 512
"""Events after which it is judged whether trying pays."""
LEAST_SHARE = 1 / 8
"""Of the events tried must fit. One that fits saves 2 us and more, one that does not costs .1 to
.3 us."""
FIRST_PAUSE, LONGEST_PAUSE = 1_024, 65_536


@dataclass(slots=True)
class Speculation:
    """Blocks of events, and pauses in which all are left to the strict path.

    Where few events fit a layout, the strict path decides alone for ``FIRST_PAUSE`` events, and
    for twice as many each time that this is found again.

    Examples
    --------
    >>> speculation = Speculation()
    >>> for _ in range(3):
    ...     n, is_tried = speculation.next_block(10_000)
    ...     speculation.count(n, 0)
    >>> speculation.next_block(10_000)
    (1024, False)
    """

    _block: int = FIRST_BLOCK
    _largest: int = LARGEST_UNPROVEN
    _n_tried: int = 0
    _n_fitted: int = 0
    _pause: int = 0
    _next_pause: int = FIRST_PAUSE

    def next_block(self, n_left: int) -> tuple[int, bool]:
        """Return how many of so many events come next, and whether the kernel is tried."""
        if self._pause:
            n = min(self._pause, n_left)
            self._pause -= n
            return n, False
        return min(self._block, n_left), True

    def count(self, n_tried: int, n_fitted: int) -> None:
        """Count events that were tried, and those of them that had a known layout."""
        self._block = min(self._block * GROWTH, self._largest)
        self._n_tried += n_tried
        self._n_fitted += n_fitted
        if self._n_tried < WINDOW:
            return
        if self._n_fitted < LEAST_SHARE * self._n_tried:
            self._pause, self._block = self._next_pause, FIRST_BLOCK
            self._largest = LARGEST_UNPROVEN
            self._next_pause = min(2 * self._next_pause, LONGEST_PAUSE)
        else:
            self._next_pause, self._largest = FIRST_PAUSE, LARGEST
        self._n_tried = self._n_fitted = 0

    def restart(self) -> None:
        """Begin with a short block after a lesson, and judge only what comes after it."""
        self._block, self._n_tried, self._n_fitted = FIRST_BLOCK, 0, 0
