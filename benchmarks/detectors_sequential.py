"""How fast the sequential detectors are over an array, beside river's on the same values.

River is called as it must be, value by value, its alarms collected; both must find the
same ones. Values alternate between two levels every 5,000, so that alarms are rare but
happen. Detectors river has not are measured alone, and ``scalar_*`` is our ``update``.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from statistics import median
from typing import Any

import numpy as np

from benchmarks.output import main
from detectors.sequential.adwin import ADWIN
from detectors.sequential.bocd import BOCD
from detectors.sequential.cusum import CUSUM
from detectors.sequential.ddm import DDM
from detectors.sequential.detector import SequentialDetector
from detectors.sequential.eddm import EDDM
from detectors.sequential.ewma import EWMA
from detectors.sequential.fhddm import FHDDM
from detectors.sequential.hddm_a import HDDMA
from detectors.sequential.hddm_w import HDDMW
from detectors.sequential.kswin import KSWIN
from detectors.sequential.page_hinkley import PageHinkley
from detectors.sequential.rddm import RDDM
from detectors.sequential.shewhart import Shewhart
from detectors.sequential.stepd import STEPD

N_RUNS = 5
STRETCH = 5_000
Make = Callable[[], Any]

NAMES: dict[str, tuple[str, Make]] = {
    "adwin": ("numbers", ADWIN),
    "page_hinkley": ("numbers", PageHinkley),
    "ddm": ("errors", DDM),
    "eddm": ("errors", EDDM),
    "hddm_a": ("errors", HDDMA),
    "hddm_w": ("errors", HDDMW),
    "fhddm": ("hits", FHDDM),
    "kswin": ("few numbers", lambda: KSWIN(seed=1)),
    "cusum": ("numbers", CUSUM),
    "ewma": ("numbers", EWMA),
    "shewhart": ("numbers", Shewhart),
    "stepd": ("errors", STEPD),
    "rddm": ("errors", RDDM),
    "bocd": ("few numbers", BOCD),
}


def peers() -> dict[str, Make]:
    """River's detectors by our names."""
    from river import drift

    return {
        "adwin": drift.ADWIN,
        "page_hinkley": drift.PageHinkley,
        "ddm": drift.binary.DDM,
        "eddm": drift.binary.EDDM,
        "hddm_a": drift.binary.HDDMA,
        "hddm_w": drift.binary.HDDMW,
        "fhddm": drift.binary.FHDDM,
        "kswin": lambda: drift.KSWIN(seed=1),
    }


def streams(n: int, n_few: int) -> dict[str, np.ndarray]:
    """Streams by what a detector takes; river is slow on some, so those are short."""
    rng = np.random.default_rng(0)
    is_high = np.arange(n) // STRETCH % 2 == 1
    errors = (rng.random(n) < np.where(is_high, 0.3, 0.1)).astype(float)
    numbers = rng.normal(is_high * 1.0, 1.0)
    few = numbers[STRETCH - n_few // 2 : STRETCH + n_few // 2]
    return {"errors": errors, "hits": 1.0 - errors, "numbers": numbers, "few numbers": few}


def by_array(make: Callable[[], SequentialDetector], values: np.ndarray) -> tuple[float, list[int]]:
    """Seconds of the median run over an array, and the alarms."""
    make().run(values[:1])
    seconds = []
    for _ in range(N_RUNS):
        detector = make()
        started = time.perf_counter()
        found = detector.run(values)
        seconds.append(time.perf_counter() - started)
    return median(seconds), found.drifts.tolist()


def by_value(make: Make, values: list[float]) -> tuple[float, list[int]]:
    """Seconds of a loop over ``update``, and the alarms."""
    make().update(values[0])  # compiles what is to be compiled
    detector, alarms = make(), []
    update = detector.update
    started = time.perf_counter()
    for i, x in enumerate(values):
        update(x)
        if detector.drift_detected:
            alarms.append(i)
    return time.perf_counter() - started, alarms


def measure(quick: bool) -> dict[str, float | int]:
    """Return updates a second and ratios to river; every ratio from one stream in one run."""
    n, n_few = (100_000, 2_000) if quick else (400_000, 8_000)
    data, rivers, figures = streams(n, n_few), peers(), {}
    for name, (takes, make) in NAMES.items():
        values = data[takes]
        seconds, alarms = by_array(make, values)
        figures[f"updates_per_s_{name}"] = len(values) / seconds
        part = values[: n_few if takes == "few numbers" else n // 4]
        scalar, _ = by_value(make, part.tolist())
        figures[f"scalar_updates_per_s_{name}"] = len(part) / scalar
        if name not in rivers:
            continue
        whole = takes in ("errors", "hits")
        plain = values.astype(int).tolist() if whole else values.tolist()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            theirs, their_alarms = by_value(rivers[name], plain)
        assert alarms == their_alarms, name
        figures[f"ratio_{name}_river"] = theirs / seconds
        figures[f"river_updates_per_s_{name}"] = len(values) / theirs
    return {**figures, "n_values": n, "n_values_kswin_bocd": n_few}


if __name__ == "__main__":
    main("sequential detectors over an array, beside river's", measure)
