"""Registry of the multivariate detectors, without importing them, as :mod:`detectors.registry`.

>>> [d.name for d in MULTIVARIATE.values() if not d.is_mergeable]
['sliced_energy', 'domain_classifier']
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


class RowScore(NamedTuple):
    """Common form of the results."""

    statistic: float
    p_value: float | None
    """None without a test: use a band from the reference's windows."""


@dataclass(frozen=True, slots=True)
class RowDetector:
    """One member of the set that looks at rows of d columns.

    Parameters
    ----------
    name : str
        As written in a configuration.
    function : str
        ``module:function`` on the rows of two sides.
    summary : str
        ``module:Class`` of what a window keeps of its rows, and what merges; empty where
        rows themselves are needed.
    no_drift : float or None
        About what it is without drift; None where that depends on the reference.
    min_rows : int
        Rows of the current side that give a number at all; fewer are NaN.
    statistic, p_value : str
        Fields of the function's answer; empty where it is a number, or has none.
    """

    name: str
    function: str
    summary: str = ""
    no_drift: float | None = 0.0
    min_rows: int = 1
    statistic: str = ""
    p_value: str = ""

    @property
    def is_mergeable(self) -> bool:
        """Whether windows can be kept as summaries, and summed."""
        return bool(self.summary)

    def load(self) -> Callable[..., Any]:
        """Import the function; the first call may take a second."""
        module, name = self.function.split(":")
        return getattr(import_module(f"detectors.multivariate.{module}"), name)  # type: ignore[no-any-return]

    def measure(self, reference: ArrayLike, current: ArrayLike, **options: Any) -> RowScore:
        """Compare the rows of two sides.

        Parameters
        ----------
        reference, current : array_like of float, shape (n, d)
            Rows with NaN are left out.
        **options
            Of the function.

        Returns
        -------
        RowScore

        Raises
        ------
        ShapeError, DomainError
            As the function.

        Examples
        --------
        >>> near, far = [[0, 0], [2, 2]], [[4, 4], [6, 6]]
        >>> print(f"{MULTIVARIATE['centroid_shift'].measure(near, far).statistic:.3f}")
        5.657
        """
        answer = self.load()(reference, current, **options)
        statistic = getattr(answer, self.statistic) if self.statistic else answer
        return RowScore(statistic, getattr(answer, self.p_value) if self.p_value else None)


_MOMENTS = "moments:SecondMoments"
_ALL = (
    RowDetector("reconstruction_error", "from_rows:reconstruction_error", _MOMENTS, no_drift=None),
    RowDetector(
        "correlation_change",
        "from_rows:correlation_change",
        _MOMENTS,
        min_rows=2,
        statistic="largest",
        p_value="p_value",
    ),
    RowDetector(
        "jennrich",
        "from_rows:jennrich",
        _MOMENTS,
        no_drift=None,
        min_rows=2,
        statistic="statistic",
        p_value="p_value",
    ),
    RowDetector("mmd", "from_rows:mmd", "fourier_features:FeatureSums", min_rows=2),
    RowDetector(
        "centroid_shift",
        "from_rows:centroid_shift",
        "embedding:EmbeddingMoments",
        statistic="euclidean",
    ),
    RowDetector(
        "binned_energy",
        "from_rows:binned_energy",
        "directions:ProjectedCounts",
        statistic="value",
    ),
    RowDetector("sliced_energy", "sliced_energy:sliced_energy"),
    RowDetector(
        "domain_classifier",
        "domain_classifier:domain_classifier",
        no_drift=0.5,
        min_rows=5,
        statistic="auc",
    ),
)

MULTIVARIATE: Mapping[str, RowDetector] = MappingProxyType({d.name: d for d in _ALL})
"""By name, in display order."""
