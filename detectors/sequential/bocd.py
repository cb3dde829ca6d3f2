"""BOCD: the posterior of how long ago the last change was."""

from __future__ import annotations

import math

import numpy as np

from detectors.kernels.jit import inlined, uncounted
from detectors.kernels.sequential.signals import DRIFT, NOTHING, FloatArray
from detectors.sequential.detector import SequentialDetector, require

_HAZARD, _MEAN, _KAPPA, _ALPHA, _BETA, _THRESHOLD, _NEGLIGIBLE, _MAX_RUNS = range(8)
_HAS_ALARMED, _N, _N_RUNS, _UNBROKEN, _RUNS = range(5)
"""Alarm, values since the last one, runs followed, probability of no change since, runs."""
_LENGTH, _WEIGHT, _MU, _B, _RATIO, _N_RUN = range(6)
"""Of a run: values, probability, two parameters, gamma(alpha + 1/2) / gamma(alpha)."""


@inlined
def begin_run(weight: float, settings: FloatArray, state: FloatArray, at: int) -> None:
    """Initialise an empty run at ``at`` with the prior's parameters."""
    alpha = settings[_ALPHA]
    state[at + _LENGTH] = 0.0
    state[at + _WEIGHT] = weight
    state[at + _MU] = settings[_MEAN]
    state[at + _B] = settings[_BETA]
    state[at + _RATIO] = math.exp(math.lgamma(alpha + 0.5) - math.lgamma(alpha))


@inlined
def begin(settings: FloatArray, state: FloatArray) -> None:
    """Forget everything: one run of no values."""
    state[_HAS_ALARMED] = 0.0
    state[_N] = 0.0
    state[_N_RUNS] = 1.0
    state[_UNBROKEN] = 1.0
    begin_run(1.0, settings, state, _RUNS)


@inlined
def log_joint(x: float, settings: FloatArray, state: FloatArray, at: int) -> float:
    """Log of a run's probability times Student's density that it predicts for ``x``."""
    kappa = settings[_KAPPA] + state[at + _LENGTH]
    alpha = settings[_ALPHA] + 0.5 * state[at + _LENGTH]
    spread = 2.0 * state[at + _B] * (kappa + 1.0) / kappa
    gap = x - state[at + _MU]
    scale = state[at + _WEIGHT] * state[at + _RATIO] / math.sqrt(math.pi * spread)
    return float(math.log(scale) - (alpha + 0.5) * math.log1p(gap * gap / spread))


@inlined
def extend(x: float, settings: FloatArray, state: FloatArray, at: int) -> None:
    """Add ``x`` to a run; g(a + 1/2) g(a) = a for the ratio g spares the gamma functions."""
    kappa = settings[_KAPPA] + state[at + _LENGTH]
    alpha = settings[_ALPHA] + 0.5 * state[at + _LENGTH]
    gap = x - state[at + _MU]
    state[at + _MU] += gap / (kappa + 1.0)
    state[at + _B] += 0.5 * kappa * gap * gap / (kappa + 1.0)
    state[at + _RATIO] = alpha / state[at + _RATIO]
    state[at + _LENGTH] += 1.0


@inlined
def weigh(x: float, settings: FloatArray, state: FloatArray) -> None:
    """Give every run its probability after ``x``, before a change is thought of; add to 1."""
    end = _RUNS + int(state[_N_RUNS]) * _N_RUN
    most = -np.inf
    for at in range(_RUNS, end, _N_RUN):
        nats = log_joint(x, settings, state, at)
        state[at + _WEIGHT] = nats
        most = max(most, nats)
    total = 0.0
    for at in range(_RUNS, end, _N_RUN):
        state[at + _WEIGHT] = math.exp(state[at + _WEIGHT] - most)
        total += state[at + _WEIGHT]
    for at in range(_RUNS, end, _N_RUN):
        state[at + _WEIGHT] /= total


@inlined
def lightest(state: FloatArray) -> int:
    """Return which run is the least likely."""
    least = 0
    for k in range(1, int(state[_N_RUNS])):
        if state[_RUNS + k * _N_RUN + _WEIGHT] < state[_RUNS + least * _N_RUN + _WEIGHT]:
            least = k
    return least


@inlined
def prune(settings: FloatArray, state: FloatArray) -> None:
    """Drop negligible runs, and one more where no place is left; add to 1 again."""
    n = int(state[_N_RUNS])
    excess = lightest(state) if n >= settings[_MAX_RUNS] else -1
    kept = 0
    total = 0.0
    for k in range(n):
        at = _RUNS + k * _N_RUN
        weight = state[at + _WEIGHT]
        if weight > settings[_NEGLIGIBLE] and k != excess:
            to = _RUNS + kept * _N_RUN
            for j in range(_N_RUN):
                state[to + j] = state[at + j]
            total += weight
            kept += 1
    state[_N_RUNS] = kept
    for at in range(_RUNS, _RUNS + kept * _N_RUN, _N_RUN):
        state[at + _WEIGHT] /= total


@uncounted
def step(x: float, settings: FloatArray, state: FloatArray) -> int:
    """Process one value."""
    if state[_HAS_ALARMED] != 0.0:
        begin(settings, state)
    weigh(x, settings, state)
    prune(settings, state)
    n = state[_N] + 1.0
    state[_N] = n
    end = _RUNS + int(state[_N_RUNS]) * _N_RUN
    unbroken = 0.0
    for at in range(_RUNS, end, _N_RUN):
        extend(x, settings, state, at)
        state[at + _WEIGHT] *= 1.0 - settings[_HAZARD]
        if state[at + _LENGTH] == n:
            unbroken = state[at + _WEIGHT]
    begin_run(settings[_HAZARD], settings, state, end)
    state[_N_RUNS] += 1.0
    state[_UNBROKEN] = unbroken
    if 1.0 - unbroken <= settings[_THRESHOLD]:
        return NOTHING
    state[_HAS_ALARMED] = 1.0
    return DRIFT


class BOCD(SequentialDetector, step=step):
    """Bayesian online change point detection; for a probability instead of a threshold.

    It detects changes of mean and spread, with their probability and time.
    It costs most but for KSWIN, and trusts its model: normal values, scaled so that the
    prior fits. With heavy tails every outlier looks like a change; prefer ADWIN.

    Parameters
    ----------
    hazard : float, default .004
        Prior probability of a change at each value.
    mean, kappa, alpha, beta : float, default 0, 1, 1, 1
        Normal-gamma prior of each stretch: its mean is about ``mean``, known as if from
        ``kappa`` values; its variance about ``beta / alpha``, from ``2 alpha``.
    threshold : float, default .95
        Posterior probability of a change since the last alarm that is an alarm.
    negligible : float, default .000001
        Runs less likely are dropped.
    max_runs : int, default 1000
        Runs followed at once; the least likely is dropped for a new one.

    Attributes
    ----------
    change_probability : float
        That there was a change since the last alarm.
    run_length : int
        Values since the most probable last change: it lies that far back.

    Notes
    -----
    Algorithm 1 of the paper, r_t the values since the last change, r_0 = 0, constant
    hazard H, q the Student density a run predicts (Murphy, posterior predictive)::

        P(r_t = r + 1, x_1..t) = P(r_{t-1} = r, x_1..t-1) q(x_t | r) (1 - H)
        P(r_t = 0, x_1..t)     = sum over r of P(r_{t-1} = r, x_1..t-1) q(x_t | r) H

    The paper names no alarm. Here it is 1 - P(r_t = t) > threshold, the posterior of any
    change since the beginning or the last alarm; after it everything is forgotten.
    With N(0, 1), no drift and the defaults there were 7 alarms in 100,000 values. O(runs)
    a value, some hundred of them, tens of microseconds; 48 kB of state.

    References
    ----------
    Adams, MacKay, Bayesian online changepoint detection, arXiv:0710.3742 (2007). Murphy,
    Conjugate Bayesian analysis of the Gaussian distribution (2007), section 3.

    Examples
    --------
    >>> detector = BOCD()
    >>> for i in range(80):
    ...     detector.update(i % 3 - 1 if i < 60 else i % 3 + 3)
    ...     if detector.drift_detected:
    ...         print(i, detector.run_length, f"{detector.change_probability:.3f}")
    61 2 0.996
    """

    __slots__ = ()

    def __init__(
        self,
        hazard: float = 1 / 250,
        mean: float = 0.0,
        kappa: float = 1.0,
        alpha: float = 1.0,
        beta: float = 1.0,
        threshold: float = 0.95,
        negligible: float = 1e-6,
        max_runs: int = 1000,
    ) -> None:
        require(0 < hazard < 1, "BOCD", "hazard", hazard, "use a number between 0 and 1")
        require(math.isfinite(mean), "BOCD", "mean", mean, "use a finite number")
        for name, value in (("kappa", kappa), ("alpha", alpha), ("beta", beta)):
            require(0 < value < math.inf, "BOCD", name, value, "use a number above 0")
        fix = f"use a number above hazard, {hazard!r}, and below 1"
        require(hazard < threshold < 1, "BOCD", "threshold", threshold, fix)
        require(max_runs >= 2, "BOCD", "max_runs", max_runs, "use 2 or more")
        is_small = 0 <= negligible < 1 / (max_runs + 1)
        require(is_small, "BOCD", "negligible", negligible, "use less than 1 / (max_runs + 1)")
        settings = [hazard, mean, kappa, alpha, beta, threshold, negligible, max_runs]
        state = np.zeros(_RUNS + _N_RUN * (max_runs + 1))
        begin(np.array(settings), state)
        super().__init__(
            {
                "hazard": hazard,
                "mean": mean,
                "kappa": kappa,
                "alpha": alpha,
                "beta": beta,
                "threshold": threshold,
                "negligible": negligible,
                "max_runs": max_runs,
            },
            settings,
            state,
        )

    @property
    def change_probability(self) -> float:
        """Probability that there was a change since the beginning or the last alarm."""
        return 1.0 - float(self._state[_UNBROKEN])

    @property
    def run_length(self) -> int:
        """Values since the most probable last change."""
        end = _RUNS + int(self._state[_N_RUNS]) * _N_RUN
        runs = self._state[_RUNS:end].reshape(-1, _N_RUN)
        return int(runs[runs[:, _WEIGHT].argmax(), _LENGTH])
