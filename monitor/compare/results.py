"""Results of a comparison as plain values, for tables, pages and programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from detectors.conventions import Convention, PeerScore
from monitor.compare.together import Together
from monitor.compare.values import FloatArray
from schemas.baselines import Kind
from schemas.batch import Int64Array

Quantity = Literal["distance", "test", "effect", "share"]


@dataclass(frozen=True, slots=True)
class Options:
    """Thresholds and options of a comparison."""

    alpha: float = 0.05
    """Level of all tests together."""
    thresholds: Mapping[str, float] = field(default_factory=dict)
    """In place of the usual ones, by the statistic's name."""
    convention: Convention | None = None
    """Library whose values are added."""


@dataclass(frozen=True, slots=True)
class VariableStatistic:
    """One number about one variable."""

    name: str
    quantity: Quantity
    """A share is one of data quality, with a p-value of its own."""
    value: float
    """NaN where there are too few rows for it."""
    effect: float
    """Size that does not grow with rows; the value itself of a distance."""
    shift: float
    """The same as a shift in standard deviations, see :mod:`monitor.compare.effect`."""
    p_value: float
    """NaN where it is no test."""
    n_reference: int
    n_current: int
    threshold: float | None = None
    """Of the adjusted p-value of a test, of the change of a share, else of the value."""
    p_adjusted: float = float("nan")
    """By Holm, over every test of the comparison."""
    is_beyond: bool = False
    is_counted: bool = True
    """Whether the verdict listens to it."""
    peer: PeerScore | None = None

    @property
    def is_idle(self) -> bool:
        """A share of data quality that is 0, and moved nowhere."""
        return self.quantity == "share" and self.value == 0 == self.shift


class Picture(NamedTuple):
    """Two histograms over the same bins."""

    labels: tuple[str, ...]
    edges: FloatArray
    """Of numbers that were binned, one more than bins; else empty."""
    reference: Int64Array
    current: Int64Array
    is_ordered: bool


@dataclass(frozen=True, slots=True)
class Variable:
    """Results of one column."""

    name: str
    kind: Kind
    n_reference: int
    """Rows that hold a value."""
    n_current: int
    statistics: tuple[VariableStatistic, ...]
    """By shift, largest first, those without one last; shares included."""
    picture: Picture
    notes: tuple[str, ...] = ()
    change: str = ""
    """How the current rows differ, as a phrase."""

    @property
    def shift(self) -> float:
        """The largest of its finite shifts; 0 where there is none."""
        shifts = [s.shift for s in self.statistics if 0 <= s.shift < float("inf")]
        return max(shifts, default=0.0)

    def is_beyond(self, *quantities: Quantity) -> bool:
        """Return whether any counted statistic of such a quantity is beyond its threshold."""
        return any(
            s.is_beyond for s in self.statistics if s.is_counted and s.quantity in quantities
        )

    @property
    def is_drifted(self) -> bool:
        """Whether it is large and significant: a size and a test beyond, or a share beyond."""
        return self.is_beyond("share") or (
            self.is_beyond("test") and self.is_beyond("distance", "effect")
        )


class Omitted(NamedTuple):
    """A column that was not compared."""

    name: str
    reason: str
    is_drift: bool = False
    """A column that is gone."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Results of comparing two samples."""

    n_reference: int
    n_current: int
    variables: Sequence[Variable]
    """By shift, largest first."""
    omitted: Sequence[Omitted]
    options: Options
    n_tests: int
    together: Together | None = None
    """Dependence between the numeric columns; None where it cannot be compared."""

    @property
    def n_judged(self) -> int:
        """Variables, and columns that are gone."""
        return len(self.variables) + sum(o.is_drift for o in self.omitted)

    @property
    def drifted(self) -> tuple[str, ...]:
        """Names of the columns that are gone, of the variables that drifted, and of the pair."""
        gone = [o.name for o in self.omitted if o.is_drift]
        apart = [self.together.name] if self.together and self.together.is_drifted else []
        return (*gone, *(v.name for v in self.variables if v.is_drifted), *apart)
