"""The same rows before our rule and before the peers' rules."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from detectors.conventions import evidently_default, peer_score
from detectors.decision_rule.decision import (
    Evidence,
    Rule,
    SetLayout,
    TolerancePlan,
    cell_sets,
    decide,
)
from detectors.decision_rule.design_effect import design_effect, learned_eps
from detectors.decision_rule.edges import quantile_edges
from detectors.decision_rule.tolerance import plan_cells
from detectors.sequential.adwin import ADWIN
from detectors.sequential.kswin import KSWIN
from detectors.sequential.page_hinkley import PageHinkley
from detectors.statistics.psi import psi
from schemas.baselines import Kind, VariableBaseline
from schemas.panes import MISSING, N_BINS, N_COUNTERS, OVERFLOW, UNDERFLOW, UNSEEN

PEER_ROWS = 10_000
"""Rows of the reference that peers are given: they read all of it for every window."""
BLOCK_ROWS = 250

Firing = tuple[int, int]
"""Window and column."""


@dataclass(frozen=True, slots=True)
class Column:
    """One variable: its reference in order of time, and the windows that follow."""

    reference: NDArray[Any]
    windows: Sequence[NDArray[Any]]
    is_numeric: bool = True


class Binned:
    """A column as counters."""

    def __init__(self, column: Column) -> None:
        self.variable = self._variable(column)
        codes = self.codes(column.reference)
        self.reference = np.bincount(codes, minlength=N_COUNTERS)
        self.sets = cell_sets(self.variable, self.reference)
        blocks = self._by(codes, BLOCK_ROWS)
        self.phi = design_effect(blocks, self.sets, self.reference)
        n = len(column.windows[0])
        self.eps = learned_eps(self._by(codes, n), self.sets, self.reference, self.phi)
        self.windows = [np.bincount(self.codes(w), minlength=N_COUNTERS) for w in column.windows]

    def _variable(self, column: Column) -> VariableBaseline:
        if column.is_numeric:
            return VariableBaseline("x", Kind.NUMERIC, quantile_edges(column.reference))
        names = Counter(column.reference.tolist()).most_common(N_BINS)
        categories = tuple(sorted(str(name) for name, _ in names))
        return VariableBaseline("x", Kind.CATEGORICAL, np.empty(0), categories)

    def codes(self, values: NDArray[Any]) -> NDArray[np.int64]:
        """Return the counter of each row."""
        if self.variable.kind is Kind.CATEGORICAL:
            code = {name: i for i, name in enumerate(self.variable.categories)}
            return np.array([code.get(str(v), UNSEEN) for v in values.tolist()], np.int64)
        edges = self.variable.edges
        codes = np.maximum(np.searchsorted(edges, values, side="left") - 1, 0)
        codes[values < edges[0]] = UNDERFLOW
        codes[values > edges[-1]] = OVERFLOW
        codes[np.isnan(values)] = MISSING
        return codes

    def _by(self, codes: NDArray[np.int64], n: int) -> NDArray[np.int64]:
        """Counters of n rows after n rows."""
        whole = len(codes) // n
        flat = np.arange(whole).repeat(n) * N_COUNTERS + codes[: whole * n]
        return np.bincount(flat, minlength=whole * N_COUNTERS).reshape(whole, N_COUNTERS)


def our_firings(columns: Sequence[Column]) -> list[Firing]:
    """Driftline's rule over all columns of one model."""
    binned = [Binned(c) for c in columns]
    plan = _plan(binned)
    evidence, found = Evidence.start(plan.layout), []
    for w in range(len(columns[0].windows)):
        counts = np.stack([b.windows[w] for b in binned])
        fired = decide(plan, evidence, counts, n_rungs=1).has_fired
        found += [(w, int(c)) for c in np.flatnonzero(fired)]
    return found


def _plan(binned: Sequence[Binned]) -> TolerancePlan:
    rule = Rule(alpha=1 / 7300, n_cells=len(binned))
    layout = SetLayout.of([b.sets for b in binned])
    reference = np.stack([b.reference for b in binned])
    phi, eps = (np.array([getattr(b, name) for b in binned]) for name in ("phi", "eps"))
    return plan_cells(rule, layout, reference, phi, eps)


# What peers do with one column; each returns the windows it alarms in.


def evidently(column: Column, reference: NDArray[Any]) -> list[int]:
    """The test and threshold evidently takes when none is named."""
    kind = "numeric" if column.is_numeric else "categorical"
    # The choice rests on the reference's rows and on how many values there are: once is enough.
    name, as_kind, threshold = evidently_default(reference, column.windows[0], kind=kind)
    found = []
    for w, values in enumerate(column.windows):
        score = peer_score(name, reference, values, convention="evidently", kind=as_kind)
        is_small = score.quantity == "p_value"
        if score.value < threshold if is_small else score.value >= threshold:
            found.append(w)
    return found


def p_below_05(column: Column, reference: NDArray[Any]) -> list[int]:
    """Kolmogorov-Smirnov of numbers, chi-square of categories, at p < .05."""
    if column.is_numeric:  # the exact p-value took a hundred times as long and says the same
        p = [stats.ks_2samp(reference, v, method="asymp").pvalue for v in column.windows]
    else:
        p = [_chi_square_p(reference, v) for v in column.windows]
    return np.flatnonzero(np.array(p) < 0.05).tolist()


def _chi_square_p(reference: NDArray[Any], values: NDArray[Any]) -> float:
    score = peer_score("chi_square", reference, values, convention="scipy", kind="categorical")
    assert score.quantity == "p_value"
    return score.value


def psi_above_1(column: Column, reference: NDArray[Any]) -> list[int]:
    """PSI on deciles, or on categories, above .1."""
    if column.is_numeric:
        inner = np.unique(np.quantile(reference, np.arange(1, 10) / 10))
        count = partial(_in_bins, inner)
    else:
        names = sorted(set(reference.tolist()))
        count = partial(_in_categories, names)
    expected = count(reference)
    return [w for w, values in enumerate(column.windows) if psi(expected, count(values)) > 0.1]


def _in_bins(inner: NDArray[np.float64], values: NDArray[Any]) -> NDArray[np.int64]:
    present = values[~np.isnan(values)]
    return np.bincount(np.searchsorted(inner, present), minlength=len(inner) + 1)


def _in_categories(names: list[Any], values: NDArray[Any]) -> NDArray[np.int64]:
    known = Counter(values.tolist())
    return np.array([known.get(name, 0) for name in names], np.int64)


def nannyml(column: Column, reference: NDArray[Any]) -> list[int]:
    """Jensen-Shannon outside mean +- 3 sd of the reference's own chunks."""
    kind = "numeric" if column.is_numeric else "categorical"

    def js(values: NDArray[Any]) -> float:
        return peer_score(
            "jensen_shannon", reference, values, convention="nannyml", kind=kind
        ).value

    n = len(column.windows[0])
    chunks = [js(column.reference[i : i + n]) for i in range(0, len(column.reference) - n + 1, n)]
    mean, sd = float(np.mean(chunks[:100])), float(np.std(chunks[:100]))
    return [w for w, v in enumerate(column.windows) if not mean - 3 * sd <= js(v) <= mean + 3 * sd]


def river(detect: Callable[..., Any], column: Column, reference: NDArray[Any]) -> list[int]:
    """A detector of river with its defaults, value after value; the windows it alarmed in.

    Values are in standard deviations of the reference: defaults such as Page-Hinkley's
    threshold of 50 are in the unit of the stream, and would mean something else for each column.
    """
    if not column.is_numeric:
        return []
    ends = np.cumsum([len(w) for w in column.windows])
    scale = float(np.nanstd(reference)) or 1.0
    values = (np.concatenate(list(column.windows)) - np.nanmean(reference)) / scale
    alarmed = np.searchsorted(ends, detect(values).drifts, side="right")
    return sorted(set(alarmed.tolist()))


PEERS: dict[str, Callable[[Column, NDArray[Any]], list[int]]] = {
    "evidently, default": evidently,
    "KS or chi-square, p < .05": p_below_05,
    "PSI > .1": psi_above_1,
    "nannyml, JS mean +- 3 sd": nannyml,
    "river ADWIN": partial(river, ADWIN.detect),
    "river Page-Hinkley": partial(river, PageHinkley.detect),
    "river KSWIN": partial(river, partial(KSWIN.detect, seed=1)),
}


def peer_firings(columns: Sequence[Column], seed: int = 0) -> dict[str, list[Firing]]:
    """Every peer over all columns of one model."""
    rng = np.random.default_rng(seed)
    found: dict[str, list[Firing]] = {}
    for c, column in enumerate(columns):
        n = min(PEER_ROWS, len(column.reference))
        some = column.reference[rng.permutation(len(column.reference))[:n]]
        for name, fire in PEERS.items():
            found.setdefault(name, []).extend((w, c) for w in fire(column, some))
    return found
