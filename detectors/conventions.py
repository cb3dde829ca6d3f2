"""The number a peer reports for two raw samples, so that a team finds its old figures.

Peers agree on formulas more often than on what goes into them: whose bins, what an empty
one holds, which logarithm, one side or two, a statistic or a p-value. Each entry below
says it in one line. Missing values are dropped, as the peers do; infinite ones too in
evidently's convention.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from detectors.registry import Kind
from detectors.statistics.anderson_darling import anderson_darling
from detectors.statistics.chi_square import chi_square, chi_square_exact_reference
from detectors.statistics.contingency import contingency
from detectors.statistics.cramer_von_mises import cramer_von_mises
from detectors.statistics.cramers_v import cramers_v
from detectors.statistics.energy import energy
from detectors.statistics.equal_width import N_WIDE_BINS, ks_equal_width, wasserstein_equal_width
from detectors.statistics.fisher_exact import fisher_exact
from detectors.statistics.g_test import g_test
from detectors.statistics.hellinger import hellinger
from detectors.statistics.histogram import atoms, doane, sample_of, sturges
from detectors.statistics.jensen_shannon import js_distance
from detectors.statistics.kl import kl
from detectors.statistics.ks import ks_test
from detectors.statistics.l_infinity import l_infinity
from detectors.statistics.mann_whitney import mann_whitney
from detectors.statistics.normed_wasserstein import normed_wasserstein
from detectors.statistics.psi import psi
from detectors.statistics.shift import moments_of_sample
from detectors.statistics.two_proportion_z import two_proportion_z
from detectors.statistics.wasserstein import wasserstein
from detectors.statistics.welch_t import welch_t
from schemas.errors import DomainError, ShapeError

Convention = Literal["evidently", "nannyml", "scipy"]
Counts = NDArray[np.int64]
FloatArray = NDArray[np.float64]

MAX_SMALL_ROWS = 1_000
"""Reference rows up to which evidently's default is a p-value."""
MAX_CATEGORY_VALUES = 5
"""Distinct numbers up to which evidently's default treats a column as categorical."""


class PeerScore(NamedTuple):
    """Score as reported by a peer library."""

    value: float
    quantity: Literal["p_value", "statistic"]
    """Whether small values mean drift, or large ones."""


def peer_score(
    detector: str,
    reference: ArrayLike,
    current: ArrayLike,
    *,
    convention: Convention,
    kind: Kind = "numeric",
) -> PeerScore:
    """Compare two raw samples as a peer does; prefer the detectors themselves otherwise.

    Parameters
    ----------
    detector : str
        Name in :data:`detectors.registry.DETECTORS`.
    reference, current : array_like, shape (n,)
        Raw samples: numbers, or categories of any type.
    convention : {"evidently", "nannyml", "scipy"}
        evidently 0.7.23, nannyml 0.13.1 with its default settings, or scipy 1.17.1.
    kind : {"numeric", "categorical"}, default "numeric"
        Kind that the peer assigns to the column.

    Returns
    -------
    PeerScore

    Raises
    ------
    ShapeError
        If a sample is not one-dimensional, or not numbers where it must be; if there
        are not two categories where the peer needs two.
    DomainError
        If nothing is left without the missing, or the peer has no such detector.

    Notes
    -----
    evidently: Sturges edges over both samples for PSI, KL, Jensen-Shannon (nats) and
    Hellinger; Wasserstein over the reference's standard deviation; p-values else,
    chi-square and G with the reference as exact, Student's t, Mann-Whitney for a rise
    only. Its total variation is a permutation test: see
    :func:`detectors.statistics.total_variation.total_variation_p_value`, which agrees but for the
    noise of 1,000 draws. nannyml: Doane edges of the reference, base 2, unseen in one more
    bin; KS and Wasserstein exact below 10,000 reference rows, from then on on 10,000
    equal bins. scipy: defaults, but for Welch's t. O(n log n), the sort of the rows.

    Examples
    --------
    >>> x, y = [1.0, 2.0, 3.0, 4.0], [2.0, 3.0, 4.0, 6.0]
    >>> print(peer_score("wasserstein", x, y, convention="scipy"))
    PeerScore(value=1.25, quantity='statistic')
    >>> print(f"{peer_score('normed_wasserstein', x, y, convention='evidently').value:.4f}")
    1.1180
    """
    table = _TABLES.get((convention, kind), {})
    if detector not in table:
        known = sorted(name for (c, k), t in _TABLES.items() if c == convention for name in t)
        what = f"{convention!r} has no {kind} {detector!r}"
        fix = f"use one of {', '.join(dict.fromkeys(known))}" if known else "see Convention"
        raise DomainError(what, where="peer_score", fix=fix)
    function, quantity = table[detector]
    if kind == "numeric":
        x, y = (
            sample_of(_without_infinite(s) if convention == "evidently" else s, name)
            for s, name in ((reference, "reference"), (current, "current"))
        )
        return PeerScore(float(function(x, y)), quantity)
    p, q, _ = contingency(reference, current, missing="drop")
    for counts, name in ((p, "reference"), (q, "current")):
        if not counts.sum():
            fix = "pass at least one category"
            raise DomainError("0 values are present", where=name, fix=fix)
    return PeerScore(float(function(p, q)), quantity)


def evidently_default(
    reference: ArrayLike, current: ArrayLike, *, kind: Kind = "numeric"
) -> tuple[str, Kind, float]:
    """Return evidently's default detector and threshold.

    Parameters
    ----------
    reference, current : array_like, shape (n,)
        Raw samples.
    kind : {"numeric", "categorical"}, default "numeric"
        Whether the column is treated as numeric or categorical.

    Returns
    -------
    tuple of str, str and float
        Name and kind for :func:`peer_score`, and the threshold: drift where a p-value
        is below it, or a distance at least as large.

    Raises
    ------
    ShapeError
        If a sample is not one-dimensional.

    Notes
    -----
    The choice changes at 1,000 reference rows, from a p-value to a distance: a baseline
    of 1,001 rows is judged by another rule than one of 1,000. Distinct values are those
    of both samples; a numeric column of at most five is taken for categories.

    Examples
    --------
    >>> import numpy as np
    >>> evidently_default(np.arange(1000.0), np.arange(9.0))
    ('ks', 'numeric', 0.05)
    >>> evidently_default(np.arange(1001.0), np.arange(9.0))
    ('normed_wasserstein', 'numeric', 0.1)
    """
    counts = contingency(reference, current, missing="drop")
    n_values = len(counts.categories)
    is_small = counts.reference.sum() <= MAX_SMALL_ROWS
    if kind == "numeric" and n_values > MAX_CATEGORY_VALUES:
        return ("ks", "numeric", 0.05) if is_small else ("normed_wasserstein", "numeric", 0.1)
    if not is_small:
        return "jensen_shannon", kind, 0.1
    return "chi_square" if n_values > 2 else "two_proportion_z", "categorical", 0.05


def _without_infinite(values: ArrayLike) -> NDArray[Any]:
    """Drop infinite numbers."""
    array = np.asarray(values)
    return array[~np.isinf(array)] if array.dtype.kind == "f" else array


def _pair(p: Counts, q: Counts) -> tuple[Counts, Counts]:
    """Return counts of the first category against all others."""
    return tuple(np.array([c[0], c[1:].sum()]) for c in (p, q))  # type: ignore[return-value]


def _two(p: Counts, q: Counts) -> tuple[Counts, Counts]:
    """The two categories; evidently and scipy refuse more."""
    if len(p) > 2:
        raise ShapeError(f"{len(p)} categories", where="fisher_exact", fix="pass two")
    return _pair(p, q)


def _beyond(p: Counts, q: Counts) -> tuple[Counts, Counts]:
    """Merge values that are not in the reference into one more bin, like nannyml."""
    seen = p > 0
    return np.append(p[seen], 0), np.append(q[seen], q[~seen].sum())


def _points(x: FloatArray, y: FloatArray) -> tuple[FloatArray, Counts, Counts]:
    """Distinct values and counts, in the order of the functions of points."""
    p, q, values = atoms(x, y)
    return values, p, q


def _moments_test(x: FloatArray, y: FloatArray, convention: Literal["scipy", "evidently"]) -> Any:
    return welch_t(moments_of_sample(x), moments_of_sample(y), convention=convention).p_value


def _nannyml_ks(x: FloatArray, y: FloatArray) -> Any:
    return ks_equal_width(x, y) if len(x) >= N_WIDE_BINS else ks_test(*atoms(x, y)[:2]).statistic


def _nannyml_wasserstein(x: FloatArray, y: FloatArray) -> Any:
    if len(x) >= N_WIDE_BINS:
        return wasserstein_equal_width(x, y)
    return wasserstein(*_points(x, y))


_Entry = tuple[Callable[[Any, Any], Any], Literal["p_value", "statistic"]]
_RANKS: dict[str, _Entry] = {
    "ks": (lambda x, y: ks_test(*atoms(x, y)[:2], method="auto").p_value, "p_value"),
    "cramer_von_mises": (
        lambda x, y: cramer_von_mises(*atoms(x, y)[:2], convention="scipy", method="auto").p_value,
        "p_value",
    ),
    "anderson_darling": (
        lambda x, y: anderson_darling(*atoms(x, y)[:2], convention="scipy").p_value,
        "p_value",
    ),
    "energy": (lambda x, y: energy(*_points(x, y)), "statistic"),
}
_TABLES: Mapping[tuple[str, str], Mapping[str, _Entry]] = {
    ("evidently", "numeric"): {
        **_RANKS,
        "psi": (lambda x, y: psi(*sturges(x, y)[:2]), "statistic"),
        "kl": (lambda x, y: kl(*sturges(x, y)[:2]), "statistic"),
        "jensen_shannon": (lambda x, y: js_distance(*sturges(x, y)[:2]), "statistic"),
        "hellinger": (lambda x, y: hellinger(*sturges(x, y, distinct=True)[:2]), "statistic"),
        "normed_wasserstein": (lambda x, y: normed_wasserstein(*_points(x, y)), "statistic"),
        "mann_whitney": (
            lambda x, y: mann_whitney(*atoms(x, y)[:2], alternative="less", method="auto").p_value,
            "p_value",
        ),
        "welch_t": (lambda x, y: _moments_test(x, y, "evidently"), "p_value"),
    },
    ("evidently", "categorical"): {
        "psi": (psi, "statistic"),
        "kl": (kl, "statistic"),
        "jensen_shannon": (js_distance, "statistic"),
        "hellinger": (hellinger, "statistic"),
        "chi_square": (lambda p, q: chi_square_exact_reference(p, q).p_value, "p_value"),
        "g_test": (lambda p, q: g_test(p, q, convention="evidently").p_value, "p_value"),
        "fisher_exact": (lambda p, q: fisher_exact(*_two(p, q)).p_value, "p_value"),
        "two_proportion_z": (lambda p, q: two_proportion_z(*_pair(p, q)).p_value, "p_value"),
    },
    ("nannyml", "numeric"): {
        "ks": (_nannyml_ks, "statistic"),
        "jensen_shannon": (lambda x, y: js_distance(*doane(x, y)[:2], base=2.0), "statistic"),
        "hellinger": (lambda x, y: hellinger(*doane(x, y)[:2]), "statistic"),
        "wasserstein": (_nannyml_wasserstein, "statistic"),
    },
    ("nannyml", "categorical"): {
        "jensen_shannon": (lambda p, q: js_distance(*_beyond(p, q), base=2.0), "statistic"),
        "hellinger": (lambda p, q: hellinger(*_beyond(p, q)), "statistic"),
        "chi_square": (lambda p, q: chi_square(p, q).statistic, "statistic"),
        "l_infinity": (lambda p, q: l_infinity(p, q).statistic, "statistic"),
    },
    ("scipy", "numeric"): {
        **_RANKS,
        "wasserstein": (lambda x, y: wasserstein(*_points(x, y)), "statistic"),
        "mann_whitney": (
            lambda x, y: mann_whitney(*atoms(x, y)[:2], method="auto").p_value,
            "p_value",
        ),
        "welch_t": (lambda x, y: _moments_test(x, y, "scipy"), "p_value"),
    },
    ("scipy", "categorical"): {
        "chi_square": (lambda p, q: chi_square(p, q).p_value, "p_value"),
        "g_test": (lambda p, q: g_test(p, q).p_value, "p_value"),
        "fisher_exact": (lambda p, q: fisher_exact(*_two(p, q)).p_value, "p_value"),
        "cramers_v": (cramers_v, "statistic"),
    },
}
