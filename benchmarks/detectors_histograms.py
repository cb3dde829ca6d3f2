"""Statistics from histograms against evidently's from 1 M raw rows on each side.

Driftline's start where a monitor does: sixty counts of the reference and of the window, merged
from panes. evidently's tests start from the rows, which is all that they take. For a
comparison that begins with the rows on both sides, ``ratio_*_with_binning`` adds the
time in which our kernel bins the window's 1 M rows (the reference is binned once).
Medians; the peers' own functions, without reports around them.
"""

from __future__ import annotations

import statistics
import time
import warnings
from collections.abc import Callable

import numpy as np

from benchmarks.output import main
from detectors.decision_rule.edges import quantile_edges
from detectors.kernels.binning import bin_values, make_grid
from detectors.registry import DETECTORS
from detectors.statistics.jensen_shannon import js_distance
from detectors.statistics.ks import ks_test
from detectors.statistics.psi import psi
from detectors.statistics.wasserstein import Tails, normed, wasserstein_binned
from schemas.panes import N_BINS, N_COUNTERS, OVERFLOW, UNDERFLOW

N_ROWS = 1_000_000
PEERS = {
    "psi": "psi_stat_test",
    "ks": "ks_stat_test",
    "js": "jensenshannon_stat_test",
    "wasserstein": "wasserstein_stat_test",
}


def median_s(run: Callable[[], object], n_runs: int) -> float:
    """Median time of a call, after one that is not counted."""
    run()
    times = []
    for _ in range(n_runs):
        started = time.perf_counter()
        run()
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def counters(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """The 64 counters of a pane."""
    return np.bincount(bin_values(values, make_grid(edges)), minlength=N_COUNTERS)


def ours(x: np.ndarray, y: np.ndarray) -> tuple[dict[str, Callable[[], object]], float]:
    """Our statistics on counters, and the time that binning the window takes."""
    edges = quantile_edges(x)
    p, q = counters(x, edges), counters(y, edges)
    order = np.r_[UNDERFLOW, np.arange(N_BINS), OVERFLOW]
    p_all, q_all, p_in, q_in = p[order], q[order], p[:N_BINS], q[:N_BINS]
    extremes = np.array(y.min()), np.array(y.max())
    tails = Tails(q[UNDERFLOW], q[OVERFLOW], np.array(y.sum()), *extremes)
    sum_x, sd_x = x.sum(), x.std()
    statistics_of = {
        "psi": lambda: psi(p_all, q_all),
        "ks": lambda: ks_test(p_all, q_all),
        "js": lambda: js_distance(p_all, q_all),
        "wasserstein": lambda: normed(
            wasserstein_binned(edges, p_in, q_in, tails, sum_reference=sum_x).value, sd_x
        ),
    }
    return statistics_of, median_s(lambda: counters(y, edges), 3)


def evidentlys(x: np.ndarray, y: np.ndarray) -> dict[str, Callable[[], object]]:
    """evidently's tests on the rows."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pandas as pd
        from evidently.legacy.calculations import stattests
        from evidently.legacy.core import ColumnType

    before, now = pd.Series(x), pd.Series(y)

    def run(test: str) -> Callable[[], object]:
        return lambda: getattr(stattests, test)(before, now, ColumnType.Numerical, None)

    return {name: run(test) for name, test in PEERS.items()}


def measure(quick: bool) -> dict[str, float | int]:
    """Return times and ratios; ``--quick`` repeats evidently's less often."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(0, 1, N_ROWS), rng.normal(0.02, 1, N_ROWS)
    fast, binning_s = ours(x, y)
    slow = evidentlys(x, y)
    figures: dict[str, float | int] = {}
    for name in PEERS:
        mine = median_s(fast[name], 500)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            theirs = median_s(slow[name], 3 if quick else 7)
        figures[f"ratio_{name}_evidently"] = theirs / mine
        figures[f"ratio_{name}_evidently_with_binning"] = theirs / (mine + binning_s)
        figures[f"{name}_us"] = mine * 1e6
        figures[f"{name}_evidently_ms"] = theirs * 1e3
    figures["binning_ms"] = binning_s * 1e3
    figures["slowest_detector_us"] = slowest_us()
    return {**figures, "n_rows": N_ROWS}


def slowest_us() -> float:
    """The slowest member of the registry, with its default options, on sixty bins."""
    counts = np.random.default_rng(1).integers(100, 30_000, (2, N_BINS))
    values = np.linspace(-3, 3, N_BINS)
    times = []
    for detector in DETECTORS.values():
        p, q = counts[:, :2] if detector.takes == "pair" else counts
        points = values if detector.takes in ("points", "moments") else None
        times.append(median_s(lambda d=detector, a=(p, q, points): d.measure(*a), 30))
    return max(times) * 1e6


if __name__ == "__main__":
    main("histogram statistics against evidently on 1 M raw rows", measure)
