"""The base of the control charts: parameters of phase I, and directions."""

from __future__ import annotations

import math
from typing import Literal, get_args

import numpy as np

from detectors.kernels.sequential.phase_one import N_PLACES, begin
from detectors.kernels.sequential.signals import BOTH, DOWN_ONLY, UP_ONLY
from detectors.sequential.detector import SequentialDetector, require

Mode = Literal["up", "down", "both"]
"""Which changes count."""
MODES: tuple[Mode, ...] = get_args(Mode)


class ControlChart(SequentialDetector):
    """Base class of charts with mean and standard deviation.

    Parameters
    ----------
    limits : dict of float
        The chart's own parameters, in the order in which its step reads them.
    min_instances : int, default 30
        Values from which mean and standard deviation are learned, if not given.
    mode : {"both", "up", "down"}, default "both"
        Which changes count.
    mean, sd : float, optional
        Of the stream in control; given together, nothing is learned.
    at : int
        Where phase I begins in the state; it is the last part.
    """

    __slots__ = ()

    def __init__(
        self,
        limits: dict[str, float],
        min_instances: int,
        mode: Mode,
        mean: float | None,
        sd: float | None,
        at: int,
    ) -> None:
        where = type(self).__name__
        known = phase_one(min_instances, mean, sd, where)
        settings = [*known, *limits.values(), mode_number(mode, where)]
        state = np.empty(at + N_PLACES)
        begin(np.array(settings), state, at)
        given = {"min_instances": min_instances, "mode": mode, "mean": mean, "sd": sd}
        super().__init__({**limits, **given}, settings, state)


def mode_number(mode: Mode, where: str) -> float:
    """Return the number of a mode in kernels, or raise DomainError."""
    require(mode in MODES, where, "mode", mode, f"use one of {MODES}")
    return {"up": UP_ONLY, "down": DOWN_ONLY, "both": BOTH}[mode]


def phase_one(
    min_instances: int, mean: float | None, sd: float | None, where: str
) -> tuple[float, float, float]:
    """Check a chart's parameters of the in-control stream.

    Parameters
    ----------
    min_instances : int
        Values to learn from where mean and sd are not given.
    mean, sd : float or None
        Both or none.
    where : str
        The chart, for an error.

    Returns
    -------
    tuple of float
        ``min_instances``, ``mean``, ``sd``; NaN where they are to be learned.

    Raises
    ------
    DomainError
        If only one is given, ``sd`` is not above 0 or ``min_instances`` below 2.
    """
    require(min_instances >= 2, where, "min_instances", min_instances, "use 2 or more")
    if mean is None and sd is None:
        return float(min_instances), math.nan, math.nan
    fix = "pass mean and sd, or neither"
    require(mean is not None and math.isfinite(mean), where, "mean", mean, fix)
    require(sd is not None and 0 < sd < math.inf, where, "sd", sd, f"{fix}; sd above 0")
    return float(min_instances), float(mean or 0.0), float(sd or 0.0)
