"""The default decision rule written out slowly, in logarithms, from its definition.

An oracle for ``detectors.decision_rule.decision``: sets as index masks, one component at a time,
no kernel, no flattening, no shared code.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

ORDINARY, RARE, RUNGS = (0.02, 0.05, 0.1, 0.25), (0.002, 0.01, 0.05, 0.25), (0, 0.04, 0.08, 0.125)


def sets_of(is_numeric: bool, n_bins: int, reference: NDArray[np.int64]) -> list[set[int]]:
    """Every set as the counters it holds."""
    everything, chosen = set(range(64)), []
    if is_numeric:
        lower = [{60, *range(k)} for k in range(1, n_bins)]
        total = sum(int(reference[i]) for i in (*range(n_bins), 60, 61))
        if lower and total:
            shares = [sum(int(reference[i]) for i in below) / total for below in lower]
            nearest = set()
            for percent in range(5, 100, 5):
                gaps = [round(abs(share - percent / 100), 12) for share in shares]
                nearest.add(gaps.index(min(gaps)))
            for k in sorted(nearest):
                chosen += [lower[k], {*range(k + 1, n_bins), 61}]
    else:
        for i in range(n_bins):
            chosen += [{i}, everything - {i}]
    return [*chosen, {62}, {63}, {60}, {61}]


@dataclass
class SlowCell:
    """One cell; its rungs are evaluated one after the other."""

    sets: list[set[int]]
    reference: NDArray[np.int64]
    alpha: float
    k: int
    m: int = 2
    floor: float = 0.02
    phi: float = 1.0
    learned: float = 0.0
    min_rows: int = 30
    levels: list[list[float]] = field(default_factory=list)
    positives: list[bool] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.n0 = int(self.reference.sum())
        self.n_components = 4 * len(self.sets)
        self.levels = [[-math.inf] * self.n_components for _ in RUNGS]
        sampling = math.sqrt(math.log(200 * self.k) * self.phi / (2 * self.n0))
        self.eps = max(self.floor, sampling, self.learned)
        self.cap = math.log(self.k * self.n_components / self.alpha) / self.m
        self.threshold = math.log(self.k / self.alpha)

    def evidence(self, counts: NDArray[np.int64], rung: float) -> list[float]:
        n, out = int(counts.sum()), []
        for chosen in self.sets:
            p = sum(int(self.reference[i]) for i in chosen) / self.n0
            inside = sum(int(counts[i]) for i in chosen)
            is_rare = p * self.n0 < 10
            eps = max(max(0.002, 7 / self.n0) if is_rare else self.eps, rung)
            for bet in RARE if is_rare else ORDINARY:
                q0, q1 = p + eps, p + eps + bet
                if q1 >= 0.995:
                    out.append(0.0)
                    continue
                nats = inside * math.log(q1 / q0) + (n - inside) * math.log((1 - q1) / (1 - q0))
                out.append(min(nats / self.phi, self.cap))
        return out

    def see(self, counts: NDArray[np.int64]) -> tuple[float, float, bool, int]:
        """Return log M, the window's evidence, fired, rung."""
        if counts.sum() == 0:
            return log_mean(self.levels[0]), -math.inf, False, -1
        steps = [self.evidence(counts, rung) for rung in RUNGS]
        for level, step in zip(self.levels, steps, strict=True):
            level[:] = [nats + np.logaddexp(0, old) for nats, old in zip(step, level, strict=True)]
        window, log_m = log_mean(steps[0]), log_mean(self.levels[0])
        self.positives = [*self.positives, window > 0][-2 * self.m :]
        is_persistent = sum(self.positives) >= self.m and counts.sum() >= self.min_rows
        if log_m < self.threshold or not is_persistent:
            return log_m, window, False, -1
        reached = [r for r in range(4) if r == 0 or log_mean(self.levels[r]) >= self.threshold]
        for r in reached:
            self.levels[r] = [-math.inf] * self.n_components
        self.positives = []
        return log_m, window, True, max(reached)


def log_mean(values: list[float]) -> float:
    """ln of the mean of exp(values)."""
    return float(np.logaddexp.reduce(values)) - math.log(len(values))
