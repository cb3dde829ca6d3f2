"""Sets and plans of many cells, against the same in plain NumPy, cell by cell."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.decision_rule import settings
from detectors.decision_rule.decision import (
    Evidence,
    Rule,
    SetLayout,
    TolerancePlan,
    decide,
    is_positive_alone,
    plan_cells,
)
from detectors.decision_rule.sets import cell_sets
from schemas.baselines import Kind, VariableBaseline
from schemas.errors import ShapeError
from schemas.panes import MISSING, OVERFLOW, UNDERFLOW, UNSEEN

TARGETS = np.arange(1, 20) / 20.0
SPECIAL = [(MISSING, "missing"), (UNSEEN, "unseen")]
SPECIAL += [(UNDERFLOW, "below minimum"), (OVERFLOW, "above maximum")]
VARIABLES = (
    VariableBaseline("x", Kind.NUMERIC, np.linspace(-3.0, 3.0, 61)),
    VariableBaseline("land", Kind.CATEGORICAL, np.empty(0), ("a", "b", "c")),
    VariableBaseline("constant", Kind.NUMERIC, np.array([3.0, 3.0])),
    VariableBaseline("few", Kind.NUMERIC, np.arange(5.0)),
)


def plain_sets(variable: VariableBaseline, counts: np.ndarray) -> list[tuple]:
    """Return name, first, stop, extra and complement of each set of a cell."""
    rows = []
    if variable.kind is Kind.CATEGORICAL:
        for i, category in enumerate(variable.categories):
            rows.append((f"{variable.name}={category}", i, i + 1, -1, False))
            rows.append((f"not {variable.name}={category}", i, i + 1, -1, True))
    else:
        n_bins = variable.n_bins
        below = counts[UNDERFLOW] + np.cumsum(counts[:n_bins])[:-1]
        n_present = counts[:n_bins].sum() + counts[UNDERFLOW] + counts[OVERFLOW]
        if n_bins >= 2 and n_present > 0:
            distance = np.abs(below / n_present - TARGETS[:, None]).round(12)
            for k in np.unique(np.argmin(distance, axis=1)) + 1:
                edge = format(variable.edges[k], ".6g")
                rows.append((f"<= {edge}", 0, int(k), UNDERFLOW, False))
                rows.append((f"> {edge}", int(k), n_bins, OVERFLOW, False))
    return rows + [(name, 0, 0, counter, False) for counter, name in SPECIAL]


def plain_plan(rule: Rule, plan: TolerancePlan, counts: np.ndarray, learned: np.ndarray) -> dict:
    """Return what a plan holds by set and by cell."""
    layout, n = plan.layout, counts.sum(axis=1)
    cell = layout.cell
    with np.errstate(invalid="ignore", divide="ignore"):
        p_ref = layout.tally(counts) / n[cell]
        rare_eps = np.maximum(settings.RARE_EPS, settings.RARE_EPS_ROWS / n)
    is_rare = p_ref * n[cell] < settings.RARE_ROWS
    eps_set = np.where(is_rare, rare_eps[cell], rule.eps(n, plan.phi, learned)[cell])
    bets = np.where(is_rare[:, None], settings.RARE_BETS, settings.BETS)[:, None, :]
    q0 = (p_ref[:, None] + np.maximum(eps_set[:, None], settings.RUNGS))[:, :, None]
    q1 = q0 + bets
    is_live = q1 < settings.MAX_Q1
    q0, q1 = np.where(is_live, q0, 0.5), np.where(is_live, q1, 0.5)
    gain = np.log(q1 / q0) / plan.phi[cell][:, None, None]
    loss = np.log((1.0 - q1) / (1.0 - q0)) / plan.phi[cell][:, None, None]
    order = np.lexsort((np.abs(p_ref - 0.5), cell))
    return {
        "p_ref": p_ref,
        "eps_set": eps_set,
        "gain": gain.reshape(len(p_ref), -1),
        "loss": loss.reshape(len(p_ref), -1),
        "hardest": order[layout.offsets[:-1]],
        "cap": [rule.cap(4 * int(n_sets)) for n_sets in np.diff(layout.offsets)],
    }


def random_counts(seed: int, n_segments: int, scale: int) -> np.ndarray:
    """Counters of every variable in some segments; cells without rows and heavy bins too."""
    rng = np.random.default_rng(seed)
    shares = rng.dirichlet(np.full(64, 0.3), n_segments * len(VARIABLES))
    counts = rng.multinomial(scale, shares).astype(np.int64)
    counts[rng.random(len(counts)) < 0.1] = 0
    return counts


@given(
    st.integers(0, 1 << 20), st.integers(1, 4), st.sampled_from([1, 3, 20, 500, 40_000, 10_000_000])
)
def test_sets_of_many_cells_are_those_of_each_alone(seed, n_segments, scale):
    counts = random_counts(seed, n_segments, scale)
    layout = SetLayout.of_cells(VARIABLES, counts)
    expected = [plain_sets(VARIABLES[c % 4], row) for c, row in enumerate(counts)]
    assert layout.offsets.tolist() == np.cumsum([0, *map(len, expected)]).tolist()
    names, *columns = zip(*(row for rows in expected for row in rows), strict=True)
    assert layout.names == names
    assert (len(layout.names), layout.names[3:-2], layout.names[-1]) == (
        len(names),
        names[3:-2],
        names[-1],
    )
    found = (layout.first, layout.stop, layout.extra, layout.is_complement)
    for own, column in zip(found, columns, strict=True):
        assert own.tolist() == list(column)
    alone = SetLayout.of([cell_sets(VARIABLES[c % 4], row) for c, row in enumerate(counts)])
    assert alone.names == names


@given(
    st.integers(0, 1 << 20), st.integers(1, 4), st.sampled_from([1, 3, 20, 500, 40_000, 10_000_000])
)
def test_a_plan_is_bit_for_bit_that_of_plain_numpy(seed, n_segments, scale):
    counts = random_counts(seed, n_segments, scale)
    rng = np.random.default_rng(seed)
    rule = Rule(alpha=1 / 7300, n_cells=len(counts))
    phi, learned = rng.uniform(1, 9, len(counts)), rng.choice([0.0, 0.03, 0.2], len(counts))
    plan = plan_cells(rule, SetLayout.of_cells(VARIABLES, counts), counts, phi, learned)
    for name, expected in plain_plan(rule, plan, counts, learned).items():
        np.testing.assert_array_equal(getattr(plan, name), expected, err_msg=name)


@given(st.integers(0, 1 << 20), st.integers(1, 3), st.sampled_from([3, 500, 40_000]))
def test_a_window_alone_is_positive_as_the_first_of_its_evidence(seed, n_segments, scale):
    reference, window = (random_counts(seed + i, n_segments, scale) for i in range(2))
    n_cells = len(reference)
    rule = Rule(alpha=1 / 7300, n_cells=n_cells)
    layout = SetLayout.of_cells(VARIABLES, reference)
    plan = plan_cells(rule, layout, reference, np.ones(n_cells), np.zeros(n_cells))
    expected = decide(plan, Evidence.start(layout), window, n_rungs=1).is_positive
    assert is_positive_alone(plan, window).tolist() == expected.tolist()


def test_a_layout_without_cells_can_be_planned():
    nothing, rule = np.zeros((0, 64), np.int64), Rule(alpha=0.01, n_cells=1)
    plan = plan_cells(rule, SetLayout.of_cells((), nothing), nothing, np.ones(0), np.zeros(0))
    assert (plan.layout.n_cells, len(plan.gain), len(plan.cap)) == (0, 0, 0)


def test_reference_counters_of_another_number_of_cells_are_refused():
    layout = SetLayout.of_cells(VARIABLES, random_counts(1, 1, 100))
    with pytest.raises(ShapeError, match=r"counts of shape \(3, 64\)"):
        plan_cells(
            Rule(alpha=0.01, n_cells=4), layout, np.zeros((3, 64), np.int64), *np.ones((2, 4))
        )
