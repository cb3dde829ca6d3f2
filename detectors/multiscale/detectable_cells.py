"""What would be found in each cell: a shift, missing values, a category; and the worst cells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from detectors.kernels.scale_state import PQ
from detectors.multiscale.components import CellComponents, ComponentLayout
from detectors.multiscale.detectable import HORIZON_HOURS, DetectableChange
from detectors.multiscale.plan import ScalePlan
from detectors.multiscale.thresholds import SCALE_HOURS

Floats = NDArray[np.float64]

DAY: Final = HORIZON_HOURS.index(24.0)
_HELD: Final = 2.0
"""An average of time constant T holds about 2T."""


@dataclass(frozen=True, slots=True)
class DetectableCells:
    """Smallest changes of C cells that would be found within each of H horizons, (H, C)."""

    shift_sd: Floats
    """Of a number, in standard deviations of its ranks; NaN if none would be, or of another
    kind.
    """
    missing: Floats
    """Growth of the share of missing values."""
    category: Floats
    """Growth of a category of the reference, whichever it is; NaN of a number."""
    average_hours: Floats
    """Length of the averages that would find the shift; NaN as the shift is."""
    natural_sd: Floats
    """By how much averages of that length vary by themselves, in sd."""
    is_natural: NDArray[np.bool_]
    """Whether that is what hides smaller shifts."""


def detectable_cells(
    layout: ComponentLayout, plan: ScalePlan, found: DetectableChange
) -> DetectableCells:
    """Return what would be found in each cell of a layout, the products left out.

    Parameters
    ----------
    layout : ComponentLayout
        Of the plan.
    found : DetectableChange
        Of :func:`detectors.multiscale.detectable.detectable_changes`.
    """
    shape = (len(found.change), len(layout.cells))
    shift, missing = np.full(shape, np.nan), np.full(shape, np.nan)
    category, hours, natural = (np.full(shape, np.nan) for _ in range(3))
    is_natural = np.zeros(shape, bool)
    for c, (begin, cell) in enumerate(zip(plan.offsets.tolist(), layout.cells, strict=False)):
        missing[:, c] = found.change[:, begin + cell.names.index("missing")]
        if cell.n_means:
            i = begin + cell.location
            shift[:, c], is_natural[:, c] = found.change[:, i], found.is_natural[:, i]
            hours[:, c] = _average_hours(found.scale[:, i])
            natural[:, c] = found.natural_sd[:, i] / np.sqrt(plan.constants[i, PQ])
        elif n := _n_categories(cell):
            category[:, c] = found.change[:, begin : begin + n].max(axis=1)
    return DetectableCells(shift, missing, category, hours, natural, is_natural)


def _average_hours(scale: NDArray[np.int64]) -> Floats:
    """Return how long the averages of a scale are; NaN without a scale."""
    found: Floats = np.where(scale >= 0, _HELD * np.array(SCALE_HOURS)[scale], np.nan)
    return found


def _n_categories(cell: CellComponents) -> int:
    """Number of categories of a categorical cell; 0 of a number."""
    return cell.names.index("unseen") if "unseen" in cell.names[-2:] else 0


@dataclass(frozen=True, slots=True)
class LeastDetectable:
    """A cell in which only large changes would be found, and why."""

    cell: int
    shift_sd: float
    """Smallest shift that would be found; NaN if none would be."""
    average_hours: float
    """Length of the averages that would find it; NaN if none would."""
    natural_sd: float
    """By how much averages of that length vary by themselves, in sd."""
    is_natural: bool
    """Whether that is the reason; otherwise it is the number of rows."""

    def reason(self, name: str) -> str:
        """Return why, for people.

        Examples
        --------
        >>> LeastDetectable(0, 0.4, 16.0, 0.08, True).reason("price")
        'averages of 16 hours of `price` vary by 0.08 sd by themselves'
        >>> LeastDetectable(0, 0.4, 16.0, 0.01, False).reason("price")
        '`price` has too few rows'
        >>> LeastDetectable(0, np.nan, np.nan, np.nan, False).reason("price")
        'the variance of averages of `price` is not known yet'
        """
        if np.isnan(self.average_hours):
            return f"the variance of averages of `{name}` is not known yet"
        if not self.is_natural:
            return f"`{name}` has too few rows"
        varied = f"averages of {self.average_hours:g} hours of `{name}` vary"
        return f"{varied} by {self.natural_sd:.2g} sd by themselves"


def least_detectable(
    layout: ComponentLayout,
    plan: ScalePlan,
    found: DetectableChange,
    *,
    horizon: int = DAY,
    n: int = 5,
) -> list[LeastDetectable]:
    """Return the numeric cells in which the smallest shift that would be found is largest.

    Parameters
    ----------
    horizon : int, optional
        Index into ``HORIZON_HOURS``; a day by default.
    n : int, optional
        Cells to return, the worst first; those in which nothing would be found come first.
    """
    cells = []
    for c, (begin, cell) in enumerate(zip(plan.offsets.tolist(), layout.cells, strict=False)):
        if not cell.n_means:
            continue
        i = begin + cell.location
        scale = int(found.scale[horizon, i])
        is_found = scale >= 0
        cells.append(
            LeastDetectable(
                c,
                float(found.change[horizon, i]),
                _HELD * SCALE_HOURS[scale] if is_found else np.nan,
                float(found.natural_sd[horizon, i] / np.sqrt(plan.constants[i, PQ])),
                bool(found.is_natural[horizon, i]),
            )
        )
    cells.sort(key=lambda own: -np.nan_to_num(own.shift_sd, nan=np.inf))
    return cells[:n]
