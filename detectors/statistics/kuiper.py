"""Kuiper: the largest gap upwards plus the largest gap downwards, on a line or a circle."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from detectors.statistics.gaps import edge_gaps, samples_of
from detectors.statistics.histogram import Numbers
from detectors.statistics.limit_laws import kuiper_tail


class Kuiper(NamedTuple):
    """A Kuiper test."""

    statistic: Numbers
    """V in [0, 2); it does not grow with rows."""
    p_value: Numbers


def kuiper(reference: ArrayLike, current: ArrayLike) -> Kuiper:
    """Kuiper's test; prefer it for what goes round in a circle: hours, weekdays, angles.

    V does not depend on where the circle is cut. On a line it sees changes of spread,
    which push both tails out, better than Kolmogorov-Smirnov, and moves a little worse.

    Parameters
    ----------
    reference, current : array_like of int, shape (..., n_bins)
        Counts of bins in the order of the circle, or of the atoms of raw samples
        (:func:`detectors.statistics.histogram.atoms`): then nothing is approximated.
        :func:`detectors.statistics.histogram.counts_pair` checks them.

    Returns
    -------
    Kuiper
        Of shape (...). NaN where a side holds nothing.

    Notes
    -----
    V = max (F - G) + max (G - F). On bins V_bin <= V <= V_bin + 2 max over b of
    p_ref(b), each gap being bounded as in :func:`detectors.statistics.ks.ks`. The p-value is
    Kuiper's limit at (sqrt m + .155 + .24 / sqrt m) V, m = n0 n / (n0 + n); with ties
    and bins it is conservative, with fewer than about eight rows rough.
    O(n_bins); exact for those edges from merged panes.

    References
    ----------
    Kuiper, Tests concerning random points on a circle, Proc. K. Ned. Akad. Wet. A 63
    (1960). Stephens, Use of the Kolmogorov-Smirnov, Cramér-von Mises and related
    statistics without extensive tables, J. R. Stat. Soc. B 32 (1970), table 1.

    Examples
    --------
    >>> test = kuiper([20, 20, 20, 20, 20], [40, 10, 0, 10, 40])
    >>> print(f"{test.statistic:.2f} {test.p_value:.1e}")
    0.40 3.1e-06
    """
    s = samples_of(reference, current)
    gaps = edge_gaps(s.p, s.q)
    # Both maxima include the gap before the first bin, which is 0.
    v = np.maximum(gaps.max(axis=-1), 0.0) + np.maximum((-gaps).max(axis=-1), 0.0)
    rows = np.sqrt((s.n0 / (s.n0 + s.n)) * s.n)
    p_value = kuiper_tail(np.nan_to_num((rows + 0.155 + 0.24 / rows) * v))
    return Kuiper(v[()], np.where(np.isnan(v), np.nan, p_value)[()])
