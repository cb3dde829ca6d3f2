"""Detectors no peer has, against their papers' formulas computed the long way."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from detectors.sequential.bocd import BOCD
from detectors.sequential.cusum import CUSUM
from detectors.sequential.ewma import EWMA
from detectors.sequential.rddm import RDDM
from detectors.sequential.shewhart import Shewhart
from detectors.sequential.stepd import STEPD

pytestmark = pytest.mark.oracle

SEEDS = range(6)


def numbers(seed: int, n: int = 400) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.concatenate([rng.normal(m, s, n) for m, s in ((5, 2), (6.5, 2), (5, 4), (1, 2))])


def errors(seed: int) -> np.ndarray:
    rng = np.random.default_rng(100 + seed)
    shares = (
        np.repeat([0.1, 0.3, 0.6], 700),
        np.repeat([0.4, 0.1, 0.5], 700),
        np.linspace(0.05, 0.5, 2000),
        np.repeat([0.02, 0.08], 1500),
        np.full(2000, 0.5),
        np.concatenate([np.zeros(500), np.full(40, 0.9), np.zeros(900), np.ones(50)]),
    )[seed]
    return (rng.random(len(shares)) < shares).astype(float)


def charted(x: np.ndarray, n_learn: int, known: bool, first_outside) -> list[int]:
    """Alarms of a chart that restarts after each: where the rest is first outside."""
    alarms, start = [], 0
    while True:
        if known:
            mean, sd, phase_two = 5.0, 2.0, start
        else:
            learned = x[start : start + n_learn]
            phase_two = start + n_learn
            if phase_two >= len(x):
                return alarms
            mean, sd = learned.mean(), learned.std(ddof=1)
        z = (x[phase_two:] - mean) / sd
        outside = first_outside(z)
        if outside is None:
            return alarms
        alarms.append(phase_two + outside)
        start = alarms[-1] + 1


def first(condition: np.ndarray) -> int | None:
    return int(condition.argmax()) if condition.any() else None


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("mode", ["up", "down", "both"])
def test_charts_alarm_where_their_definitions_do(seed: int, known: bool, mode: str) -> None:
    x = numbers(seed)
    given = {"mean": 5.0, "sd": 2.0} if known else {}

    def side(up: np.ndarray, down: np.ndarray) -> np.ndarray:
        return {"up": up, "down": down, "both": up | down}[mode]

    def page(z: np.ndarray) -> int | None:
        """S_n - min S, the form in which Page gave it."""
        sums = []
        for sign in (1, -1):
            s = np.concatenate([[0], np.cumsum(sign * z - 0.5)])
            sums.append((s - np.minimum.accumulate(s))[1:])
        return first(side(sums[0] > 4.0, sums[1] > 4.0))

    def roberts(z: np.ndarray) -> int | None:
        """Every weighted mean written out."""
        t = np.arange(1, len(z) + 1)
        weights = 0.2 * np.tril(0.8 ** np.clip(np.subtract.outer(t, t), 0, None))
        limit = 2.7 * np.sqrt((weights**2).sum(axis=1))
        return first(side(weights @ z > limit, weights @ z < -limit))

    def shewharts(z: np.ndarray) -> int | None:
        return first(side(z > 3.0, z < -3.0))

    found = CUSUM.detect(x, threshold=4.0, mode=mode, **given)
    assert found.drifts.tolist() == charted(x, 30, known, page)
    found = EWMA.detect(x, threshold=2.7, mode=mode, **given)
    assert found.drifts.tolist() == charted(x, 30, known, roberts)
    found = Shewhart.detect(x, min_instances=40, mode=mode, **given)
    assert found.drifts.tolist() == charted(x, 40, known, shewharts)


def ewma_run_length(shift: float, n_cells: int = 301) -> float:
    """Expected values up to an alarm of EWMA (.2, 3): its density, value by value."""
    edges = np.linspace(-1, 1, n_cells + 1) * 3 * math.sqrt(0.2 / 1.8)
    middle = (edges[1:] + edges[:-1]) / 2
    to = (edges - 0.8 * middle[:, None]) / 0.2 - shift
    density = np.diff(stats.norm.cdf(edges / 0.2 - shift))
    step, total, t = np.diff(stats.norm.cdf(to), axis=1), 1.0, 1
    while density.sum() > 1e-6:
        limit = 3 * math.sqrt(0.2 / 1.8 * (1 - 0.8 ** (2 * t)))
        inside = np.minimum(edges[1:], limit) - np.maximum(edges[:-1], -limit)
        density *= np.clip(inside / (edges[1] - edges[0]), 0, 1)
        total += density.sum()
        density = density @ step
        t += 1
    return total


def test_charts_run_as_long_without_drift_as_theory_says() -> None:
    """CUSUM 465 (Montgomery), three sigma 1 / .0027, EWMA by its density."""
    x = np.random.default_rng(1).normal(size=1_500_000)
    three_sigma = 1 / (2 * stats.norm.sf(3))
    expected_runs = ((CUSUM, 465.0), (EWMA, ewma_run_length(0)), (Shewhart, three_sigma))
    for chart, expected in expected_runs:
        gaps = np.diff(chart.detect(x, mean=0, sd=1).drifts)
        assert abs(gaps.mean() - expected) < 4 * gaps.std() / math.sqrt(len(gaps))


def test_charts_find_a_shift_of_one_sd_as_soon_as_theory_says() -> None:
    """CUSUM 10.4 (Montgomery); each alarm restarts the chart, so gaps are run lengths."""
    x = np.random.default_rng(2).normal(1, 1, 300_000)
    three_sigma = 1 / (stats.norm.sf(2) + stats.norm.sf(4))
    for chart, expected in ((CUSUM, 10.4), (EWMA, ewma_run_length(1)), (Shewhart, three_sigma)):
        gaps = np.diff(chart.detect(x, mean=0, sd=1).drifts)
        error = 4 * gaps.std() / math.sqrt(len(gaps))
        assert abs(gaps.mean() - expected) < error + 0.05  # 10.4 is rounded


@pytest.mark.parametrize("seed", SEEDS)
def test_stepd_is_the_chi_square_with_yates_correction(seed: int) -> None:
    e, size = errors(seed), 20
    start, drifts, cautions = 0, [], []
    for i in range(len(e)):
        recent, before = e[max(i + 1 - size, start) : i + 1], e[start : max(i + 1 - size, start)]
        if len(before) < size or recent.mean() <= before.mean():
            continue
        wrong = [recent.sum(), before.sum()]
        table = np.array([wrong, [len(recent) - wrong[0], len(before) - wrong[1]]])
        if (table.sum(axis=1) == 0).any():
            continue
        p = stats.chi2_contingency(table, correction=True).pvalue
        if p < 0.003:
            drifts.append(i)
            start = i + 1
        elif p < 0.05:
            cautions.append(i)
    assert cautions
    found = STEPD.detect(e, window_size=size)
    assert found.drifts.tolist() == drifts
    assert found.warnings.tolist() == cautions


class SlowRDDM:
    """The authors' algorithm on plain lists: every rate from all its values."""

    def __init__(self, least: int, size: int, most: int, limit: int) -> None:
        self.least, self.size, self.most, self.limit = least, size, most, limit
        self.counted: list[float] = []  # values in the statistics
        self.kept: list[float] = []
        self.warned = 0  # values since the warning began, that one included
        self.best = (math.inf, math.inf)
        self.pending = ""

    @staticmethod
    def rate(values: list[float]) -> tuple[float, float]:
        p = math.fsum(values) / len(values)
        return p, math.sqrt(max(p * (1 - p), 0.0) / len(values))

    def update(self, x: float) -> str:
        if self.pending:
            if self.pending == "drift":
                self.best = (math.inf, math.inf)
            if self.warned:
                self.kept = self.kept[-self.warned :]
            self.counted = list(self.kept)
            if self.pending == "drift":
                for n in range(self.least + 1, len(self.counted) + 1):
                    self.best = min(self.best, self.rate(self.counted[:n]), key=sum)
            self.warned, self.pending = 0, ""
        self.kept = [*self.kept, x][-self.size :]
        self.counted.append(x)
        if len(self.counted) < self.least:
            return ""
        p, s = self.rate(self.counted)
        if p + s < sum(self.best) - 1e-13:
            self.best = (p, s)
        if p + s > self.best[0] + 2.258 * self.best[1] + 1e-13:
            if not self.warned:
                self.kept = [x]
            else:
                self.warned += 1
            self.pending = "drift"
            return "drift"
        if p + s > self.best[0] + 1.773 * self.best[1] + 1e-13:
            self.warned += 1
            if self.warned > self.limit:
                self.kept, self.warned, self.pending = [x], 0, "drift"
                return "drift"
            return "warning"
        self.warned = 0
        if len(self.counted) >= self.most:
            self.pending = "long"
        return ""


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(
    ("least", "size", "most", "limit"),
    [
        (129, 7000, 40_000, 1400),
        (30, 100, 250, 40),
        (60, 15, 100, 30),
        (20, 400, 300, 5),
        (3, 40, 90, 15),
        (2, 60, 80, 20),
    ],
)
def test_rddm_signals_as_the_authors_algorithm(
    seed: int, least: int, size: int, most: int, limit: int
) -> None:
    e = errors(seed)
    slow = SlowRDDM(least, size, most, limit)
    said = [slow.update(x) for x in e.tolist()]
    assert "drift" in said or "warning" in said
    found = RDDM.detect(
        e, warm_start=least, buffer_size=size, max_concept_size=most, warning_limit=limit
    )
    assert found.drifts.tolist() == [i for i, s in enumerate(said) if s == "drift"]
    assert found.warnings.tolist() == [i for i, s in enumerate(said) if s == "warning"]


def run_length_posterior(
    x: np.ndarray, hazard: float, m0: float, k0: float, a0: float, b0: float
) -> np.ndarray:
    """P(r_t = r | x_1..t) for all t and r: dense, every run's parameters from its values."""
    n = len(x)
    posterior = np.zeros((n + 1, n + 1))
    posterior[0, 0] = 1.0
    for t in range(n):
        density = np.empty(t + 1)
        for r in range(t + 1):
            run = x[t - r : t]
            k, a = k0 + r, a0 + r / 2
            mean = (k0 * m0 + run.sum()) / k
            b = b0
            if r:
                b += 0.5 * ((run - run.mean()) ** 2).sum()
                b += k0 * r * (run.mean() - m0) ** 2 / (2 * k)
            scale = math.sqrt(b * (k + 1) / (a * k))
            density[r] = stats.t.pdf(x[t], 2 * a, mean, scale)
        joint = posterior[t, : t + 1] * density
        posterior[t + 1, 1 : t + 2] = joint * (1 - hazard)
        posterior[t + 1, 0] = joint.sum() * hazard
        posterior[t + 1] /= posterior[t + 1].sum()
    return posterior


@pytest.mark.parametrize("prior", [(0.0, 1.0, 1.0, 1.0), (4.0, 0.05, 2.5, 6.0)])
def test_bocds_probabilities_are_the_dense_posteriors(prior: tuple[float, ...]) -> None:
    rng = np.random.default_rng(3)
    x = np.concatenate([rng.normal(5, 2, 60), rng.normal(8, 1, 30)])
    posterior = run_length_posterior(x, 0.02, *prior)
    exact = BOCD(0.02, *prior, threshold=1 - 1e-12, negligible=0.0)
    pruned = BOCD(0.02, *prior, threshold=1 - 1e-12)
    few = BOCD(0.02, *prior, threshold=1 - 1e-12, max_runs=60)
    for t, value in enumerate(x, 1):
        change = 1 - posterior[t, t]
        for detector, error in ((exact, 1e-11), (pruned, 1e-4), (few, 2e-3)):
            # having dropped the run without a change, it is sure of one
            if not detector.drift_detected:
                detector.update(value)
                assert detector.change_probability == pytest.approx(change, abs=error)
        assert exact.run_length == posterior[t].argmax()
    assert not exact.drift_detected
    drifts = BOCD(0.02, *prior, threshold=0.9).run(x).drifts
    assert drifts[0] == (1 - posterior.diagonal() > 0.9).argmax() - 1


@pytest.mark.parametrize("chart", [CUSUM, EWMA])
def test_a_chart_forgets_what_it_had_learned_after_an_alarm(chart: type) -> None:
    """It alarms at the shift once, then takes the new level for its own."""
    rng = np.random.default_rng(4)
    x = np.concatenate([rng.normal(0, 1, 2000), rng.normal(30, 1, 60)])
    detector = chart(min_instances=1000, threshold=50.0)
    found = detector.run(x).drifts
    assert len(found) == 1
    assert 2000 <= found[0] < 2060
