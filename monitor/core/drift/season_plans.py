"""Bounded cache of plans by hour of the week. Pure."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable

import numpy as np
from numpy.typing import NDArray

from detectors.decision_rule.decision import TolerancePlan

PlanOfHours = tuple[TolerancePlan, NDArray[np.int64]]
"""A plan and its reference counters."""
MAX_PLAN_BYTES = 128 << 20
"""For evaluating weeks of windows in one run: 168 hours of 60 cells."""


class SeasonPlans:
    """Least-recently-used cache of plans.

    Parameters
    ----------
    max_bytes : int, optional
        Size bound of all plans together; 0 keeps none.

    Notes
    -----
    Hourly windows reach the same hour of the week after 168 windows: in a replay, planning was a
    third of the CPU of evaluating such a window of 32 cells. A stage that closes one window per
    hour would keep plans for a week before reusing them.
    """

    def __init__(self, max_bytes: int = 0) -> None:
        self._max_bytes = max_bytes
        self._n_bytes = 0
        self._plans: OrderedDict[Hashable, PlanOfHours] = OrderedDict()

    def find(self, key: Hashable, build: Callable[[], PlanOfHours]) -> PlanOfHours:
        """Return the plan of a key, building it if it is not cached."""
        found = self._plans.get(key)
        if found is not None:
            self._plans.move_to_end(key)
            return found
        built = build()
        n_bytes = _bytes_of(built)
        if n_bytes <= self._max_bytes:
            self._plans[key] = built
            self._n_bytes += n_bytes
        while self._n_bytes > self._max_bytes:
            self._n_bytes -= _bytes_of(self._plans.popitem(last=False)[1])
        return built


def _bytes_of(found: PlanOfHours) -> int:
    """Return the size of the arrays that depend on sets and counters."""
    plan, reference = found
    arrays = (plan.gain, plan.loss, plan.p_ref, plan.eps_set, reference)
    return sum(array.nbytes for array in arrays)
