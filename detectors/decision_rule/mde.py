"""The smallest change one window could have shown.

A quiet window means "no change larger than about this", not "no change". The figure follows from
the rule, so it is known per window and cell for every n.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from detectors.decision_rule.settings import N_BETS
from detectors.decision_rule.tolerance import TolerancePlan


def smallest_shift(
    n: NDArray[np.int64],
    p_ref: NDArray[np.float64],
    gain: NDArray[np.float64],
    loss: NDArray[np.float64],
    cap: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Solve for the shift of a set whose expected evidence reaches the cap.

    Parameters
    ----------
    n : ndarray of int64, shape (k,)
        Rows in the window.
    p_ref, cap : ndarray of float64, shape (k,)
        Share of the set in the reference, and the cap, nats.
    gain, loss : ndarray of float64, shape (k, n_bets)
        Evidence of a row inside and of a row outside the set; both 0 for a disabled bet.

    Returns
    -------
    ndarray of float64, shape (k,)
        The smallest d over the bets; NaN where no share up to 1 would do.

    Notes
    -----
    The expectation is linear in the share, n (q gain + (1 - q) loss) = cap, so
    q has a closed form and d = q - p_ref. Any n, no search.

    Examples
    --------
    >>> q0, q1 = 0.52, np.array([[0.54, 0.57, 0.62, 0.77]])
    >>> d = smallest_shift(np.array([1000]), np.array([0.5]), np.log(q1 / q0),
    ...                    np.log((1 - q1) / (1 - q0)), np.array([8.5]))
    >>> d.round(4).tolist()
    [0.0872]
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        share = (cap[:, None] / n[:, None] - loss) / (gain - loss)
    share = np.where((gain != loss) & (share <= 1.0), share, np.inf).min(axis=1, initial=np.inf)
    return np.where(np.isfinite(share), share - p_ref, np.nan)


def minimum_detectable_effects(plan: TolerancePlan, n: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the minimum detectable effect of a window for each cell.

    Parameters
    ----------
    plan : TolerancePlan
        Of C cells.
    n : ndarray of int64, shape (C,)
        Rows in the window.

    Returns
    -------
    ndarray of float64, shape (C,)
        The smallest d of the cell's hardest set, the one whose share is nearest to
        one half, where the variance of a share is largest;
        NaN where n is too small for any change of that set to reach the cap.

    Notes
    -----
    Taken at the hardest set and not as the minimum over sets: the minimum is
    always that of an empty set such as ``unseen`` (a hundredth), and is no information
    about the body of the distribution. A change that would show here would show
    in the tails sooner. It falls as n grows, never rises.

    References
    ----------
    Formula 8 of the rule: the smallest d whose expected l at p_ref + d reaches
    the cap for some bet.
    """
    rows = plan.hardest
    base = slice(0, N_BETS)
    return smallest_shift(
        n, plan.p_ref[rows], plan.gain[rows, base], plan.loss[rows, base], plan.cap
    )
