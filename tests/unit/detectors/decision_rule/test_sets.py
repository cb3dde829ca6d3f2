"""Which sets a cell is judged by, how they are named and counted."""

from __future__ import annotations

import numpy as np
import pytest

from detectors.decision_rule.decision import Rule, SetLayout, cell_sets, plan_baseline
from detectors.decision_rule.design_effect import design_effect, learned_eps
from schemas.baselines import Baseline, Kind, VariableBaseline
from schemas.errors import DomainError, ShapeError
from schemas.panes import MISSING, OVERFLOW, UNDERFLOW, SeriesStats

SPECIAL = ("missing", "unseen", "below minimum", "above maximum")


def numeric(n_bins: int) -> VariableBaseline:
    return VariableBaseline("x", Kind.NUMERIC, np.arange(n_bins + 1.0))


def counts(*values: int) -> np.ndarray:
    row = np.zeros(64, np.int64)
    row[: len(values)] = values
    return row


def test_sixty_even_bins_give_the_nineteen_twentieths():
    names = cell_sets(numeric(60), counts(*[100] * 60)).names
    assert len(names) == 2 * 19 + 4
    assert names[0:4] == ("<= 3", "> 3", "<= 6", "> 6")
    assert names[-4:] == SPECIAL


def test_few_bins_give_their_distinct_inner_edges():
    assert cell_sets(numeric(10), counts(*[10] * 10)).names[0::2][:9] == tuple(
        f"<= {k}" for k in range(1, 10)
    )


def test_a_heavy_bin_leaves_the_edges_beside_it():
    assert cell_sets(numeric(4), counts(1, 97, 1, 1)).names == (
        "<= 1",
        "> 1",
        "<= 2",
        "> 2",
        *SPECIAL,
    )


def test_edges_are_chosen_among_present_values():
    row = counts(*[10] * 10)
    half_missing = row.copy()
    half_missing[MISSING] = 100
    assert cell_sets(numeric(10), half_missing).names == cell_sets(numeric(10), row).names


@pytest.mark.parametrize("row", [counts(100), counts()])
def test_a_constant_or_empty_column_has_only_the_four_special_sets(row):
    constant = VariableBaseline("x", Kind.NUMERIC, np.array([3.0, 3.0]))
    assert cell_sets(constant, row).names == SPECIAL


def test_half_lines_hold_underflow_and_overflow_and_no_missing_value():
    row = counts(1, 2, 4, 8)
    row[[UNDERFLOW, OVERFLOW, MISSING]] = 100, 1000, 10_000
    sets = cell_sets(numeric(4), counts(5, 5, 5, 5))
    tally = dict(zip(sets.names, sets.tally(row[None])[0].tolist(), strict=True))
    assert (tally["<= 1"], tally["> 1"], tally["<= 3"], tally["> 3"]) == (101, 1014, 107, 1008)
    assert [tally[name] for name in SPECIAL] == [10_000, 0, 100, 1000]


def test_a_complement_holds_everything_else_missing_too():
    land = VariableBaseline("land", Kind.CATEGORICAL, np.empty(0), ("a", "b"))
    row = counts(3, 4)
    row[MISSING] = 5
    sets = cell_sets(land, row)
    assert sets.names == ("land=a", "not land=a", "land=b", "not land=b", *SPECIAL)
    assert sets.tally(row[None])[0, :4].tolist() == [3, 9, 4, 8]


def test_many_cells_are_tallied_as_each_alone():
    rng = np.random.default_rng(1)
    land = VariableBaseline("land", Kind.CATEGORICAL, np.empty(0), tuple("abcde"))
    cells = [cell_sets(v, rng.integers(0, 50, 64)) for v in (numeric(7), land, numeric(60))]
    rows = rng.integers(0, 50, (3, 64))
    together = SetLayout.of(cells).tally(rows)
    apart = [cell.tally(row[None])[0] for cell, row in zip(cells, rows, strict=True)]
    np.testing.assert_array_equal(together, np.concatenate(apart))


def test_counters_that_are_not_64_are_refused():
    with pytest.raises(ShapeError, match=r"counts of shape \(1, 60\)"):
        cell_sets(numeric(4), np.zeros(60, np.int64))


def test_a_baseline_is_planned_segment_by_segment():
    variables = (numeric(4), VariableBaseline("land", Kind.CATEGORICAL, np.empty(0), ("a", "b")))
    reference = SeriesStats.empty(("*", "land=a"), 2)
    reference.counts[:, 0, :4] = [[400] * 4, [100] * 4]
    reference.counts[:, 1, :2] = [[1200, 400], [400, 0]]
    baseline = Baseline(
        *("id", "t", "m", "", variables, reference),
        phi=np.array([[1.0, 2.0], [1.0, 1.0]]),
        eps_learned=np.array([[0.0, 0.0], [0.5, 0.0]]),
        n_reference_windows=0,
        eps_source="default",
        positive="",
        active_from_us=0,
        created_from="test",
    )
    plan = plan_baseline(Rule(alpha=0.01, n_cells=4), baseline)
    assert plan.n_reference.tolist() == [1600, 1600, 400, 400]
    assert plan.phi.tolist() == [1.0, 2.0, 1.0, 1.0]
    assert plan.eps[2] == 0.5
    assert plan.eps[3] > plan.eps[0]
    declared = plan_baseline(Rule(alpha=0.01, n_cells=4), baseline, phi=7.0)
    assert declared.phi.tolist() == [7.0] * 4


def panes(rng: np.random.Generator, n_panes: int, n_rows: int, size: int) -> np.ndarray:
    """Rows in identical groups of a size, over five equal categories."""
    rows = np.zeros((n_panes, 64), np.int64)
    rows[:, :5] = size * rng.multinomial(n_rows // size, np.full(5, 0.2), n_panes)
    return rows


@pytest.mark.parametrize("size", [1, 4, 10])
def test_the_design_effect_is_the_cluster_size(size):
    rows = panes(np.random.default_rng(2), 3000, 200, size)
    land = VariableBaseline("land", Kind.CATEGORICAL, np.empty(0), tuple("abcde"))
    sets, total = cell_sets(land, rows.sum(axis=0)), rows.sum(axis=0)
    assert design_effect(rows, sets, total) == pytest.approx(size, rel=0.05)


def test_slow_movement_is_not_taken_for_clustering():
    rng, rows = np.random.default_rng(3), np.zeros((3000, 64), np.int64)
    rows[:, 0] = rng.binomial(200, 0.5 + 0.2 * np.sin(np.arange(3000) / 150))
    rows[:, 1] = 200 - rows[:, 0]
    land = VariableBaseline("land", Kind.CATEGORICAL, np.empty(0), ("a", "b"))
    assert design_effect(rows, cell_sets(land, rows[0]), rows.sum(axis=0)) < 1.1


def test_no_neighbouring_panes_with_rows_leave_the_design_effect_at_one():
    rows = panes(np.random.default_rng(4), 10, 200, 10)
    rows[::2] = 0
    land = VariableBaseline("land", Kind.CATEGORICAL, np.empty(0), tuple("abcde"))
    assert design_effect(rows, cell_sets(land, rows.sum(axis=0)), rows.sum(axis=0)) == 1.0


def test_eps_learns_nothing_from_less_than_a_week_and_little_from_noise():
    rng = np.random.default_rng(5)
    land = VariableBaseline("land", Kind.CATEGORICAL, np.empty(0), tuple("abcde"))
    rows = panes(rng, 400, 1000, 1)
    sets, total = cell_sets(land, rows.sum(axis=0)), rows.sum(axis=0)
    assert learned_eps(rows[:167], sets, total, 1.0) == 0.0
    assert 0.0 <= learned_eps(rows, sets, total, 1.0) < 0.02
    with pytest.raises(DomainError, match=r"phi is 0\.5"):
        learned_eps(rows, sets, total, 0.5)
