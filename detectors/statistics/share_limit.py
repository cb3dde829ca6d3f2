"""Whether a share is above a limit: exact for any number of events."""

from __future__ import annotations


def tail_probability(n_hits: int, n: int, limit: float) -> float:
    """Return the probability of at least ``n_hits`` of ``n`` at a share of ``limit``.

    Parameters
    ----------
    n_hits, n : int
        0 <= n_hits <= n.
    limit : float
        The share that is allowed, from 0 to 1.

    Returns
    -------
    float
        P(X >= n_hits), X ~ Binomial(n, limit). Below alpha exactly where the one-sided
        Clopper-Pearson bound of the share at level 1 - alpha lies above the limit.

    References
    ----------
    Clopper & Pearson, Biometrika 26 (1934).

    Examples
    --------
    One rejected of two is weak evidence, twenty of twenty is strong.

    >>> print(f"{tail_probability(1, 2, 0.02):.2g} {tail_probability(20, 20, 0.02):.1g}")
    0.04 1e-34
    """
    from scipy.special import bdtrc

    return float(bdtrc(n_hits - 1, n, limit)) if n_hits > 0 else 1.0
