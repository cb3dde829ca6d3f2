"""Registry of the detectors: inputs, results and usual thresholds.

Nothing is imported before a detector is used: help and configuration checks read this
table, and must not pay for numpy. Those that look at rows of several columns stand in
:mod:`detectors.multivariate.registry`, those that read a stream in
:mod:`detectors.sequential.registry`; :data:`NAMES` has all of them.

>>> DETECTORS["cramers_v"].thresholds
(0.2,)
>>> sorted(d.name for d in detectors_of("categorical") if d.quantity == "distance")[:3]
['cramers_v', 'hellinger', 'jensen_shannon']
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from detectors.multivariate.registry import MULTIVARIATE, RowDetector
from detectors.sequential.registry import SEQUENTIAL, StreamDetector
from schemas.errors import DomainError, ShapeError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from detectors.statistics.histogram import Numbers

Kind = Literal["numeric", "categorical"]
Quantity = Literal["distance", "test", "effect"]
Takes = Literal["histogram", "pair", "points", "moments"]

NUMERIC: frozenset[Kind] = frozenset(["numeric"])
CATEGORICAL: frozenset[Kind] = frozenset(["categorical"])


class Score(NamedTuple):
    """Common form of the results of detectors."""

    statistic: Numbers
    effect: Numbers
    """Size that does not grow with rows: the statistic itself of a distance."""
    p_value: Numbers | None
    """None without a test."""


@dataclass(frozen=True, slots=True)
class Detector:
    """One member of the set.

    Parameters
    ----------
    name : str
        As written in a configuration.
    function : str
        ``module:function``.
    kinds : frozenset of {"numeric", "categorical"}
        What it is meant for.
    quantity : {"distance", "test", "effect"}
        A distance is 0 without drift but for noise; a test has a p-value; an effect is
        a size with a sign or a unit.
    takes : {"histogram", "pair", "points", "moments"}
        Counts per bin; two counts; ascending points and counts; means and spreads.
    thresholds : tuple of float
        The usual ones, mildest first: of the p-value for a test, else of the statistic.
        Empty where there is no usual one.
    conventions : tuple of str
        Peers whose number :func:`detectors.conventions.peer_score` gives.
    min_rows : int
        Rows a side that give a number at all; fewer are NaN.
    is_mergeable : bool
        The statistic of summed panes is that of all their rows, for the same bins.
    is_ordered : bool
        Whether bins have an order that matters.
    statistic, effect, p_value : str
        Fields of the function's answer; empty where it is a number, or has none.
    """

    name: str
    function: str
    kinds: frozenset[Kind]
    quantity: Quantity
    takes: Takes = "histogram"
    thresholds: tuple[float, ...] = ()
    conventions: tuple[str, ...] = ()
    min_rows: int = 1
    is_mergeable: bool = True
    is_ordered: bool = False
    statistic: str = ""
    effect: str = ""
    p_value: str = ""

    def load(self) -> Callable[..., Any]:
        """Import the function; the first call may take a second."""
        module, name = self.function.split(":")
        return getattr(import_module(module), name)  # type: ignore[no-any-return]

    def measure(
        self,
        reference: ArrayLike,
        current: ArrayLike,
        values: ArrayLike | None = None,
        **options: Any,
    ) -> Score:
        """Compare two histograms with any detector.

        Parameters
        ----------
        reference, current : array_like of int, shape (..., n_bins)
            Counts.
        values : array_like of float, shape (n_bins,) or (..., n_bins), optional
            Points of the bins, for detectors that take points or moments.
        **options
            Of the function.

        Returns
        -------
        Score
            Of shape (...).

        Raises
        ------
        ShapeError
            If points are needed and missing, and as the function.
        DomainError
            As the function.

        Examples
        --------
        >>> print(f"{DETECTORS['total_variation'].measure([5, 5], [6, 4]).statistic:.1f}")
        0.1
        """
        function = self.load()
        if self.takes in ("points", "moments") and values is None:
            raise ShapeError("values are missing", where=self.name, fix="pass the bins' points")
        if self.takes == "points":
            answer = function(values, reference, current, **options)
        elif self.takes == "moments":
            moments = import_module("detectors.statistics.shift").moments_of_points
            sides = (moments(values, counts) for counts in (reference, current))
            answer = function(*sides, **options)
        else:
            answer = function(reference, current, **options)
        statistic = getattr(answer, self.statistic) if self.statistic else answer
        effect = getattr(answer, self.effect) if self.effect else statistic
        return Score(statistic, effect, getattr(answer, self.p_value) if self.p_value else None)


def _test(name: str, module: str, kinds: frozenset[Kind], **facts: Any) -> Detector:
    """Build a test whose answer has the usual fields."""
    fields = {"statistic": "statistic", "p_value": "p_value", "thresholds": (0.05,), **facts}
    return Detector(name, f"detectors.statistics.{module}", kinds, "test", **fields)


def _distance(name: str, module: str, kinds: frozenset[Kind], **facts: Any) -> Detector:
    """Build a distance that is a plain number."""
    return Detector(name, f"detectors.statistics.{module}", kinds, "distance", **facts)


_BOTH = NUMERIC | CATEGORICAL
_ALL = (
    _distance("psi", "psi:psi", _BOTH, thresholds=(0.1, 0.25), conventions=("evidently",)),
    _distance("kl", "kl:kl", _BOTH, thresholds=(0.1,), conventions=("evidently",)),
    _distance(
        "jensen_shannon",
        "jensen_shannon:js_distance",
        _BOTH,
        thresholds=(0.1,),
        conventions=("evidently", "nannyml"),
    ),
    _distance("jensen_shannon_divergence", "jensen_shannon:js_divergence", _BOTH),
    _distance(
        "hellinger",
        "hellinger:hellinger",
        _BOTH,
        thresholds=(0.1,),
        conventions=("evidently", "nannyml"),
    ),
    _distance("total_variation", "total_variation:total_variation", _BOTH, thresholds=(0.1,)),
    _distance(
        "l_infinity",
        "l_infinity:l_infinity",
        CATEGORICAL,
        thresholds=(0.3,),
        conventions=("nannyml",),
        statistic="statistic",
    ),
    _distance(
        "wasserstein",
        "wasserstein:wasserstein",
        NUMERIC,
        takes="points",
        is_ordered=True,
        conventions=("nannyml", "scipy"),
    ),
    _distance(
        "normed_wasserstein",
        "normed_wasserstein:normed_wasserstein",
        NUMERIC,
        takes="points",
        is_ordered=True,
        thresholds=(0.1,),
        conventions=("evidently",),
    ),
    _distance(
        "energy",
        "energy:energy",
        NUMERIC,
        takes="points",
        is_ordered=True,
        thresholds=(0.1,),
        conventions=("evidently", "scipy"),
    ),
    _test(
        "ks",
        "ks:ks_test",
        NUMERIC,
        is_ordered=True,
        conventions=("evidently", "nannyml", "scipy"),
    ),
    _test("kuiper", "kuiper:kuiper", NUMERIC, is_ordered=True),
    _test(
        "cramer_von_mises",
        "cramer_von_mises:cramer_von_mises",
        NUMERIC,
        is_ordered=True,
        effect="effect",
        conventions=("evidently", "scipy"),
    ),
    _test(
        "anderson_darling",
        "anderson_darling:anderson_darling",
        NUMERIC,
        is_ordered=True,
        effect="effect",
        min_rows=2,
        conventions=("evidently", "scipy"),
    ),
    _test(
        "mann_whitney",
        "mann_whitney:mann_whitney",
        NUMERIC,
        is_ordered=True,
        effect="effect",
        conventions=("evidently", "scipy"),
    ),
    _test(
        "welch_t",
        "welch_t:welch_t",
        NUMERIC,
        takes="moments",
        effect="effect",
        min_rows=2,
        conventions=("evidently", "scipy"),
    ),
    Detector(
        "mean_shift",
        "detectors.statistics.shift:shift",
        NUMERIC,
        "effect",
        takes="moments",
        statistic="mean_shift",
        p_value="p_value",
    ),
    Detector(
        "sd_shift",
        "detectors.statistics.shift:shift",
        NUMERIC,
        "effect",
        takes="moments",
        statistic="sd_ratio",
    ),
    Detector(
        "quantile_shift",
        "detectors.statistics.quantile_shift:quantile_shift",
        NUMERIC,
        "effect",
        takes="points",
        is_ordered=True,
    ),
    _test(
        "chi_square",
        "chi_square:chi_square",
        CATEGORICAL,
        effect="cramers_v",
        conventions=("evidently", "nannyml", "scipy"),
    ),
    _test(
        "g_test",
        "g_test:g_test",
        CATEGORICAL,
        effect="effect",
        conventions=("evidently", "scipy"),
    ),
    _test(
        "fisher_exact",
        "fisher_exact:fisher_exact",
        CATEGORICAL,
        takes="pair",
        conventions=("evidently", "scipy"),
    ),
    _test(
        "two_proportion_z",
        "two_proportion_z:two_proportion_z",
        CATEGORICAL,
        takes="pair",
        effect="effect",
        conventions=("evidently",),
    ),
    _distance(
        "cramers_v",
        "cramers_v:cramers_v",
        CATEGORICAL,
        thresholds=(0.2,),
        conventions=("scipy",),
    ),
    _distance(
        "unseen_category_share",
        "unseen:unseen_category_share",
        CATEGORICAL,
        statistic="statistic",
    ),
)

DETECTORS: Mapping[str, Detector] = MappingProxyType({d.name: d for d in _ALL})
"""By name, in display order."""

NAMES: tuple[str, ...] = (*DETECTORS, *MULTIVARIATE, *SEQUENTIAL)
"""Names of all detectors."""


def detector_named(name: str) -> Detector | RowDetector | StreamDetector:
    """Return a detector; raise with similar names if it does not exist.

    Raises
    ------
    DomainError
        If the name is unknown.

    Examples
    --------
    >>> detector_named("ADWIN").takes
    'numbers'
    >>> detector_named("kolmogorov")
    Traceback (most recent call last):
    driftline.errors.DomainError: detector: there is no 'kolmogorov' (see NAMES)
    >>> detector_named("cramer_v")
    Traceback (most recent call last):
    driftline.errors.DomainError: detector: there is no 'cramer_v' (did you mean 'cramers_v'?)
    """
    for table in (DETECTORS, MULTIVARIATE, SEQUENTIAL):
        if name in table:
            return table[name]
    from difflib import get_close_matches

    near = get_close_matches(name, NAMES, n=1)
    fix = f"did you mean {near[0]!r}?" if near else "see NAMES"
    raise DomainError(f"there is no {name!r}", where="detector", fix=fix)


def detectors_of(kind: Kind) -> tuple[Detector, ...]:
    """Return the detectors meant for one kind of variable.

    Raises
    ------
    DomainError
        If there are none for that kind.
    """
    found = tuple(d for d in _ALL if kind in d.kinds)
    if not found:
        fix = "use 'numeric' or 'categorical'"
        raise DomainError(f"kind is {kind!r}", where="detectors_of", fix=fix)
    return found
