"""The decision rule alone on real data: which cells fire, and when."""

from __future__ import annotations

from collections import Counter
from functools import cache

import numpy as np
import pyarrow as pa
import pytest

from detectors.decision_rule.decision import Rule, cell_sets
from detectors.decision_rule.replicas import ReplicaEvidence, decide_replicas
from tests.support.data import (
    CAR_LOAN,
    CENSUS,
    WHOLE_CAR_LOAN,
    WHOLE_CENSUS,
    DataSource,
    needs_shared_data,
)
from tests.support.decision.real_data import (
    EMPLOYMENT,
    HOURLY,
    SURVEY,
    car_loan,
    codes_of,
    employment,
    employment_tables,
    firings,
    stream,
    survey_tables,
    variable_of,
)

TOP_RUNG = 3


@cache
def found_in_employment(of: DataSource, n: int, seed: int):
    return firings(employment(of, n, seed))


def whole(of: DataSource, *values: object):
    return pytest.param(of, *values, marks=needs_shared_data, id=f"whole-{values[0]}")


@pytest.mark.parametrize(
    ("of", "n", "windows"),
    [
        # 125 rows are few for the smaller shifts: they take three and five windows.
        pytest.param(CAR_LOAN, 125, [2, 3, 2, 5], id="extract-125"),
        pytest.param(CAR_LOAN, 625, [2, 2, 2, 2], id="extract-625"),
        pytest.param(CAR_LOAN, 1250, [2, 2, 2, 2], id="extract-1250"),
        *(whole(WHOLE_CAR_LOAN, n, [2, 2, 2, 2]) for n in (200, 1000, 5000)),
    ],
)
def test_car_loan_is_silent_until_its_shift_and_then_found_in_few_windows(of, n, windows):
    found, boundary = firings(car_loan(of, n)), of.n_quiet // n
    assert min(w for w, *_ in found) >= boundary
    first = {}
    for w, variable, *_ in found:
        first.setdefault(variable, w - boundary + 1)
    shifted = ("car_value", "loan_length", "repaid_loan_on_prev_car", "y_pred_proba")
    assert [first[variable] for variable in shifted] == windows
    # Its top category falls from .10 to .01: a real change too, but smaller.
    assert set(first) <= {*shifted, "salary_range"}


CENSUS_WINDOWS = [
    *(pytest.param(CENSUS, n, id=f"extract-{n}") for n in (500, 1000)),
    *(whole(WHOLE_CENSUS, n) for n in (500, 1000, 2000)),
]


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize(("of", "n"), CENSUS_WINDOWS)
def test_employment_tickets_only_ancestry_and_ages_above_94(of, n, seed):
    found = found_in_employment(of, n, seed)
    assert {variable for _, variable, *_ in found} == {"ANC", "AGEP"}
    assert {named for _, variable, named, *_ in found if variable == "AGEP"} == {"above maximum"}
    assert Counter(rung for *_, rung, _ in found)[TOP_RUNG] == 0


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize(("of", "n"), CENSUS_WINDOWS)
def test_employment_2016_is_a_negative_control(of, n, seed):
    found = found_in_employment(of, n, seed)
    assert [f[:3] for f in found if (f[0] + 1) * n <= of.n_quiet] == []


def test_all_people_of_2016_fire_at_most_once_in_a_thousand_windows():
    streams = [
        stream(*survey_tables(seed), SURVEY, n) for seed in range(4) for n in (500, 1000, 2000)
    ]
    assert sum(len(s.windows) for s in streams) > 900
    assert sum(len(firings(s)) for s in streams) <= 1


PLANTED_AT = 30


def months(rng, column, share):
    """Age sent in months."""
    values = column.to_numpy().copy()
    values[(rng.random(len(values)) < share)] *= 12
    return pa.chunked_array([values])


def newcomer(rng, column, share):
    """An unseen category."""
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
    reference, current = survey_tables(seed)
    bad = plant(rng, current[variable].slice(PLANTED_AT * n), share)
    good = current[variable].slice(0, PLANTED_AT * n).cast(bad.type)
    column = pa.chunked_array([*good.chunks, *bad.chunks])
    planted = current.set_column(current.column_names.index(variable), variable, column)
    found = firings(stream(reference, planted, SURVEY, n))
    assert {v for _, v, *_ in found} == {variable}
    assert found[0][0] - PLANTED_AT + 1 in range(2, latest + 1)
    assert found[0][2] == ("above maximum" if variable == "AGEP" else "unseen")


@pytest.mark.parametrize("fault", ["constant", "flipped", "x .8"])
@pytest.mark.parametrize(
    ("of", "n"),
    [
        pytest.param(CENSUS, 1000, id="extract-1000"),
        *(whole(WHOLE_CENSUS, n) for n in (1000, 4000)),
    ],
)
def test_one_of_eight_replicas_is_found_in_two_windows_and_no_other(of, n, fault):
    reference, current = employment_tables(of, 0)
    name = "predicted_probability"
    variable = variable_of(name, reference[name])
    counts = np.bincount(codes_of(variable, reference[name]), minlength=64)
    # No year's score has drifted; the extract of 2016 alone would be short.
    score = current.slice(0, 69_126)[name].to_numpy().copy()
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
