"""The season of a baseline's hours of the week, for rule 2. Pure."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from detectors.kernels.scale_state import CELL
from detectors.multiscale.components import ComponentLayout
from detectors.multiscale.plan import ScalePlan
from detectors.multiscale.seasons import fit_season
from schemas.baselines import SeasonalCounts
from schemas.panes import N_COUNTERS

_DAYS = 7
_FIRST_OF_WEEKEND = 5
_WEEKEND_DAYS = 2


def with_season_of(
    plan: ScalePlan, layout: ComponentLayout, places: NDArray[np.int64], seasonal: SeasonalCounts
) -> ScalePlan:
    """Return the plan with the season that a baseline knows by hour of the week.

    Parameters
    ----------
    places : ndarray of int64, shape (C,)
        Of the plan's cells among segments times variables.
    seasonal : SeasonalCounts
        Four weeks of reference at least.

    Returns
    -------
    ScalePlan
        Slots are hours of working days and of weekends. Where the days of the week differ as
        much as hours do there is no season. A cell that is not seasonal in the baseline has
        none, nor has one that is empty in some hours.
    """
    counts = seasonal.counts.reshape(_DAYS * 24, -1, N_COUNTERS)[:, places].astype(np.int64)
    hours = np.flatnonzero(counts.any(axis=(1, 2)))
    added = [layout.add_up(counts[hour]) for hour in hours]
    sums, rows = np.stack([s for s, _ in added]), np.stack([r for _, r in added])
    days = hours // 24
    slots = hours % 24 + 24 * (days >= _FIRST_OF_WEEKEND)
    fitted = fit_season(plan, sums, rows, slots, days, min_days=_DAYS)
    if not fitted.has_season:
        return plan
    has_rows = (rows > 0).all(axis=0)
    is_usable = (seasonal.is_seasonal.reshape(-1)[places] & has_rows)[plan.codes[:, CELL]]
    is_seasonal = is_usable & (fitted.codes[:, 4] == 1)
    # A slot was seen on its days of every week, not once a day of the week.
    n_days = _WEEKEND_DAYS * max(int(seasonal.n_weeks.min()), 1)
    factor = np.where(is_seasonal, 1 / (1 - 1 / n_days), 1.0)
    return plan.with_season(fitted.season.astype(np.float64), is_seasonal, factor)
