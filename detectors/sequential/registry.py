"""Registry of the sequential detectors, without importing them, as :mod:`detectors.registry`.

>>> [d.name for d in SEQUENTIAL.values() if d.peer and d.takes == "numbers"]
['ADWIN', 'PageHinkley', 'KSWIN']
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from detectors.sequential.detector import Detections, SequentialDetector

Takes = Literal["numbers", "errors", "hits"]


@dataclass(frozen=True, slots=True)
class StreamDetector:
    """One member of the set that reads a stream value by value.

    Parameters
    ----------
    name : str
        Of the class; river's where river has it.
    module : str
        In ``detectors.sequential``.
    takes : {"numbers", "errors", "hits"}
        Any number; 1 for wrong; 1 for right.
    peer : str
        Whose parameters and alarms it has, exactly; empty without one.
    """

    name: str
    module: str
    takes: Takes
    peer: str = ""

    def load(self) -> type[SequentialDetector]:
        """Import the class with ``update(x)``; the first call may take a second."""
        return getattr(import_module(f"detectors.sequential.{self.module}"), self.name)  # type: ignore[no-any-return]

    def detect(self, values: Any, **parameters: Any) -> Detections:
        """Read a whole array.

        Parameters
        ----------
        values : array_like of float, shape (n,)
            The stream, in order.
        **parameters
            Of the class.

        Returns
        -------
        Detections

        Raises
        ------
        ShapeError, DomainError
            As the class.

        Examples
        --------
        >>> SEQUENTIAL["Shewhart"].detect([0.1, -0.1] * 50 + [9.0]).drifts.tolist()
        [100]
        """
        return self.load().detect(values, **parameters)


_RIVER = "river"
_ALL = (
    StreamDetector("ADWIN", "adwin", "numbers", _RIVER),
    StreamDetector("PageHinkley", "page_hinkley", "numbers", _RIVER),
    StreamDetector("KSWIN", "kswin", "numbers", _RIVER),
    StreamDetector("CUSUM", "cusum", "numbers"),
    StreamDetector("EWMA", "ewma", "numbers"),
    StreamDetector("Shewhart", "shewhart", "numbers"),
    StreamDetector("BOCD", "bocd", "numbers"),
    StreamDetector("DDM", "ddm", "errors", _RIVER),
    StreamDetector("EDDM", "eddm", "errors", _RIVER),
    StreamDetector("HDDMA", "hddm_a", "errors", _RIVER),
    StreamDetector("HDDMW", "hddm_w", "errors", _RIVER),
    StreamDetector("STEPD", "stepd", "errors"),
    StreamDetector("RDDM", "rddm", "errors"),
    StreamDetector("FHDDM", "fhddm", "hits", _RIVER),
)

SEQUENTIAL: Mapping[str, StreamDetector] = MappingProxyType({d.name: d for d in _ALL})
"""By name, in display order."""
