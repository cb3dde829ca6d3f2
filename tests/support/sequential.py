"""The sequential detectors by name, and streams that suit them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from detectors.sequential.adwin import ADWIN, adwin
from detectors.sequential.bocd import BOCD, bocd
from detectors.sequential.cusum import CUSUM, cusum
from detectors.sequential.ddm import DDM, ddm
from detectors.sequential.detector import SequentialDetector
from detectors.sequential.eddm import EDDM, eddm
from detectors.sequential.ewma import EWMA, ewma
from detectors.sequential.fhddm import FHDDM, fhddm
from detectors.sequential.hddm_a import HDDMA, hddm_a
from detectors.sequential.hddm_w import HDDMW, hddm_w
from detectors.sequential.kswin import KSWIN, kswin
from detectors.sequential.page_hinkley import PageHinkley, page_hinkley
from detectors.sequential.rddm import RDDM, rddm
from detectors.sequential.shewhart import Shewhart, shewhart
from detectors.sequential.stepd import STEPD, stepd


class Member(NamedTuple):
    """One detector, with parameters under which a few hundred values give alarms."""

    cls: type[SequentialDetector]
    batch: Callable[..., Any]
    takes: str
    """"numbers", "errors" or "hits"."""
    parameters: dict[str, Any]


MEMBERS = {
    "ADWIN": Member(ADWIN, adwin, "numbers", {}),
    "PageHinkley": Member(PageHinkley, page_hinkley, "numbers", {"threshold": 20.0}),
    "KSWIN": Member(KSWIN, kswin, "numbers", {"seed": 5}),
    "CUSUM": Member(CUSUM, cusum, "numbers", {}),
    "EWMA": Member(EWMA, ewma, "numbers", {}),
    "Shewhart": Member(Shewhart, shewhart, "numbers", {}),
    "BOCD": Member(BOCD, bocd, "numbers", {}),
    "DDM": Member(DDM, ddm, "errors", {}),
    "EDDM": Member(EDDM, eddm, "errors", {}),
    "HDDMA": Member(HDDMA, hddm_a, "errors", {"two_sided_test": True}),
    "HDDMW": Member(HDDMW, hddm_w, "errors", {"two_sided_test": True}),
    "STEPD": Member(STEPD, stepd, "errors", {}),
    "RDDM": Member(RDDM, rddm, "errors", {"buffer_size": 200, "max_concept_size": 300}),
    "FHDDM": Member(FHDDM, fhddm, "hits", {"sliding_window_size": 40, "short_window_size": 10}),
}


def stream(takes: str, seed: int, n: int = 900) -> np.ndarray:
    """Three stretches of one length: rising errors, falling hits, shifted normal values."""
    rng = np.random.default_rng(seed)
    third = np.arange(n) * 3 // max(n, 1)
    if takes == "numbers":
        return rng.normal(np.array([0.0, 1.5, -1.0])[third], 1.0)
    errors = (rng.random(n) < np.array([0.1, 0.5, 0.9])[third]).astype(float)
    return errors if takes == "errors" else 1.0 - errors


def one_by_one(detector: SequentialDetector, values: Any) -> tuple[list[int], list[int]]:
    """Places of alarms and warnings, by ``update``."""
    drifts, warnings = [], []
    for i, value in enumerate(values):
        detector.update(value)
        if detector.drift_detected:
            drifts.append(i)
        if getattr(detector, "warning_detected", False):
            warnings.append(i)
    return drifts, warnings
