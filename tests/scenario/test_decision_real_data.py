"""The rule by itself on the real data: what fires, when, and nothing else."""

from __future__ import annotations

from collections import Counter
from functools import cache

import numpy as np
import pyarrow as pa
import pytest

from detectors.decision import Rule, cell_sets
from detectors.replicas import ReplicaEvidence, decide_replicas
from tests.support.data import needs_shared_data
from tests.support.decision_data import (
    EMPLOYMENT,
    HOURLY,
    car_loan,
    codes_of,
    employment,
    employment_tables,
    firings,
    stream,
    variable_of,
)

pytestmark = needs_shared_data

TOP_RUNG = 3
N_2016 = 69_126


@cache
def found_in_employment(n: int, seed: int):
    return firings(employment(n, seed))


@pytest.mark.parametrize("n", [200, 1000, 5000])
def test_car_loan_is_silent_until_row_25000_and_found_in_two_windows(n):
    found, boundary = firings(car_loan(n)), 25_000 // n
    assert min(w for w, *_ in found) >= boundary
    first = {}
    for w, variable, *_ in found:
        first.setdefault(variable, w - boundary + 1)
    shifted = ("car_value", "loan_length", "repaid_loan_on_prev_car", "y_pred_proba")
    assert [first[variable] for variable in shifted] == [2, 2, 2, 2]
    # Its top category falls from .10 to .01: as real as the rest, and smaller.
    assert set(first) <= {*shifted, "salary_range"}


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("n", [500, 1000, 2000])
def test_employment_tickets_only_ancestry_and_ages_above_94(n, seed):
    found = found_in_employment(n, seed)
    assert {variable for _, variable, *_ in found} == {"ANC", "AGEP"}
    assert {named for _, variable, named, *_ in found if variable == "AGEP"} == {"above maximum"}
    assert Counter(rung for *_, rung, _ in found)[TOP_RUNG] == 0


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("n", [500, 1000, 2000])
def test_employment_2016_is_a_negative_control(n, seed):
    assert [f[:3] for f in found_in_employment(n, seed) if (f[0] + 1) * n <= N_2016] == []


PLANTED_AT = 30


def months(rng, column, share):
    """Age sent in months."""
    values = column.to_numpy().copy()
    values[(rng.random(len(values)) < share)] *= 12
    return pa.chunked_array([values])


def newcomer(rng, column, share):
    """A category nobody has seen."""
    values = column.to_numpy(zero_copy_only=False).astype(object)
    values[rng.random(len(values)) < share] = "brand new"
    return pa.chunked_array([pa.array(values.tolist())])


@pytest.mark.parametrize(
    ("variable", "plant", "share", "latest"),
    [
        ("AGEP", months, 0.05, 2),
        ("AGEP", months, 0.10, 2),
        ("AGEP", months, 0.20, 2),
        ("MIG", newcomer, 0.05, 3),
        ("MIG", newcomer, 0.10, 3),
    ],
)
@pytest.mark.parametrize("seed", [0, 1])
def test_a_planted_fault_is_found_in_two_or_three_windows_and_alone(
    variable, plant, share, latest, seed
):
    n, rng = 1000, np.random.default_rng(seed)
    reference, current = employment_tables(seed)
    current = current.slice(0, N_2016)
    bad = plant(rng, current[variable].slice(PLANTED_AT * n), share)
    good = current[variable].slice(0, PLANTED_AT * n).cast(bad.type)
    column = pa.chunked_array([*good.chunks, *bad.chunks])
    planted = current.set_column(current.column_names.index(variable), variable, column)
    found = firings(stream(reference, planted, EMPLOYMENT, n))
    assert {v for _, v, *_ in found} == {variable}
    assert found[0][0] - PLANTED_AT + 1 in range(2, latest + 1)
    assert found[0][2] == ("above maximum" if variable == "AGEP" else "unseen")


@pytest.mark.parametrize("fault", ["constant", "flipped", "x .8"])
@pytest.mark.parametrize("n", [1000, 4000])
def test_one_of_eight_replicas_is_found_in_two_windows_and_no_other(n, fault):
    reference, current = employment_tables(0)
    name = "predicted_probability"
    variable = variable_of(name, reference[name])
    counts = np.bincount(codes_of(variable, reference[name]), minlength=64)
    score = current.slice(0, N_2016)[name].to_numpy().copy()
    replica = np.random.default_rng(1).integers(0, 8, len(score))
    bad = (replica == 3) & (np.arange(len(score)) >= 8 * n)
    wrong = {"constant": 0.5 + 0 * score, "flipped": 1 - score, "x .8": 0.8 * score}[fault]
    codes = codes_of(variable, pa.chunked_array([np.where(bad, wrong, score)]))
    flat = (np.arange(len(codes)) // n * 8 + replica) * 64 + codes
    windows = np.bincount(flat, minlength=(len(codes) // n + 1) * 512).reshape(-1, 8, 64)
    rule, sets = Rule(alpha=HOURLY, n_cells=len(EMPLOYMENT) + 8), cell_sets(variable, counts)
    past, fired = ReplicaEvidence.start(), []
    for w, window in enumerate(windows[: len(codes) // n]):
        seen, past = decide_replicas(rule, sets, past, tuple("abcdefgh"), window)
        fired += [(w, seen.names[r]) for r in np.flatnonzero(seen.decision.has_fired)]
    assert {name for _, name in fired} == {"d"}
    assert fired[0][0] - 8 + 1 in ((2, 3) if fault == "x .8" else (2,))
