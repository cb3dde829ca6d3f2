"""Settings of the default decision rule, and derived quantities."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from schemas.errors import DomainError

BETS: Final = (0.02, 0.05, 0.10, 0.25)
"""D of an ordinary set: how far beyond the tolerance each bet places its alternative."""
RARE_BETS: Final = (0.002, 0.01, 0.05, 0.25)
"""D of a rare set, which has fewer than ten rows in the reference."""
N_BETS: Final = len(BETS)
RARE_ROWS: Final = 10.0
RARE_EPS: Final = 0.002
RARE_EPS_ROWS: Final = 7.0
"""eps of a rare set is max(.002, 7 / n0): seven rows are compatible with a rate near zero.
"""
MAX_Q1: Final = 0.995
"""A bet on a share at or beyond this is dead: l = 0, and still counted."""
RUNGS: Final = (0.0, 0.04, 0.08, 0.125)
"""Rung 0 is the cell's own eps; the others rank a cell that fired."""
N_RUNGS: Final = len(RUNGS)
RUNG_NAMES: Final = ("eps", ".04", ".08", ".125")
"""``DetectorResult.rung`` by index."""
HOURS_PER_MONTH: Final = 730.0
_MAX_THRESHOLD: Final = 60.0


@dataclass(frozen=True, slots=True)
class Rule:
    """Settings of the decision rule for one model.

    Parameters
    ----------
    alpha : float
        False alarms of the whole model per window, in (0, 1]; see :func:`alpha_of`.
    n_cells : int
        K, the declared cells of the model: variables x segments, replicas besides.
    m : int, optional
        Persistence: positive in at least m of the last 2m windows.
    eps_floor : float, optional
        Smallest tolerance of a set that is not rare.
    min_rows : int, optional
        A window with fewer rows adds its evidence but gets no verdict.

    Raises
    ------
    DomainError
        If a setting is outside its domain.

    Notes
    -----
    The guarantee is for tumbling windows: windows that overlap share rows, and
    then M is no longer a martingale between them.

    References
    ----------
    Shin, Ramdas, Rinaldo, E-detectors: a nonparametric framework for sequential
    change detection, 2022, definition 2.2 and proposition 2.4 (the average run
    length of a detector with a fixed threshold).

    Examples
    --------
    >>> rule = Rule(alpha=1 / 7300, n_cells=20)
    >>> round(rule.threshold, 3), round(rule.cap(160), 3)
    (11.891, 8.483)
    """

    alpha: float
    n_cells: int
    m: int = 2
    eps_floor: float = 0.02
    min_rows: int = 30

    def __post_init__(self) -> None:
        """Reject settings that the guarantee does not cover."""
        _check(0 < self.alpha <= 1, "alpha", self.alpha, "a rate per window in (0, 1]")
        _check(self.n_cells >= 1, "n_cells", self.n_cells, "the number of declared cells")
        _check(1 <= self.m <= 8, "m", self.m, "1 to 8 windows")
        _check(0 <= self.eps_floor < 0.5, "eps_floor", self.eps_floor, "a share in [0, .5)")
        _check(self.min_rows >= 1, "min_rows", self.min_rows, "at least one row")
        # Evidence is stored as float32, whose range ends at e^88.
        _check(self.threshold < _MAX_THRESHOLD, "ln(K / alpha)", self.threshold, "a larger alpha")

    @property
    def threshold(self) -> float:
        """ln(K / alpha), the threshold of log M."""
        return math.log(self.n_cells / self.alpha)

    def cap(self, n_components: int) -> float:
        """ln(K n_components / alpha) / m, the maximum evidence of a component per window."""
        return math.log(self.n_cells * max(n_components, 1) / self.alpha) / self.m

    def eps(
        self,
        n_reference: NDArray[np.int64],
        phi: NDArray[np.float64],
        eps_learned: NDArray[np.float64],
    ) -> NDArray[np.float64]:
        """Tolerance of the ordinary sets of each cell (formula 4); inf without a baseline.

        Parameters
        ----------
        n_reference : ndarray of int64, shape (n_cells,)
            n0, rows of the cell's own baseline.
        phi, eps_learned : ndarray of float64, shape (n_cells,)
            Design effect, and the learned term (0 where there is none).

        Returns
        -------
        ndarray of float64, shape (n_cells,)
            ``max(eps_floor, sqrt(ln(200 K) phi / (2 n0)), eps_learned)``.

        Examples
        --------
        >>> one = np.ones(1)
        >>> Rule(alpha=0.1, n_cells=30).eps(np.array([10_000]), one, 0 * one).round(5).tolist()
        [0.02086]
        """
        with np.errstate(divide="ignore"):
            sampling = np.sqrt(math.log(200 * self.n_cells) * phi / (2 * n_reference))
        return np.maximum(np.maximum(self.eps_floor, sampling), eps_learned)


def alpha_of(window_us: int, false_pages_per_month: float) -> float:
    """Return the allowed false alarms of a model per window.

    Parameters
    ----------
    window_us : int
        Length of a tumbling window, microseconds.
    false_pages_per_month : float
        Budget of the whole model for 730 hours.

    Returns
    -------
    float
        ``window_hours * budget / 730``, at most 1.

    Raises
    ------
    DomainError
        If either is not positive.

    Examples
    --------
    >>> round(1 / alpha_of(3_600_000_000, 0.1))
    7300
    """
    _check(window_us > 0, "window_us", window_us, "a positive length")
    _check(false_pages_per_month > 0, "false_pages_per_month", false_pages_per_month, "> 0")
    return min(1.0, window_us / 3.6e9 * false_pages_per_month / HOURS_PER_MONTH)


def _check(is_right: bool, name: str, value: float, fix: str) -> None:
    """Refuse a setting outside its domain."""
    if not is_right:
        raise DomainError(f"{name} is {value:g}", where="decision rule", fix=f"expected {fix}")
