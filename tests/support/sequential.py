"""The sequential detectors by name, and streams that suit them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from detectors.sequential.detector import SequentialDetector
from detectors.sequential.registry import SEQUENTIAL


class Member(NamedTuple):
    """One detector, with parameters under which a few hundred values give alarms."""

    cls: type[SequentialDetector]
    batch: Callable[..., Any]
    takes: str
    """"numbers", "errors" or "hits"."""
    parameters: dict[str, Any]


_PARAMETERS: dict[str, dict[str, Any]] = {
    "PageHinkley": {"threshold": 20.0},
    "KSWIN": {"seed": 5},
    "HDDMA": {"two_sided_test": True},
    "HDDMW": {"two_sided_test": True},
    "RDDM": {"buffer_size": 200, "max_concept_size": 300},
    "FHDDM": {"sliding_window_size": 40, "short_window_size": 10},
}
MEMBERS = {
    name: Member(d.load(), d.detect, d.takes, _PARAMETERS.get(name, {}))
    for name, d in SEQUENTIAL.items()
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
