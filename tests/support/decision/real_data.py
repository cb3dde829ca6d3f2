"""The real data as windows of counters, binned by NumPy alone, for tests of the decision rule."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from detectors.decision_rule.decision import (
    Decision,
    Evidence,
    Rule,
    SetLayout,
    TolerancePlan,
    cell_sets,
    decide,
    plan_cells,
)
from detectors.decision_rule.design_effect import design_effect
from monitor.demo.extract import DATA
from schemas.baselines import Kind, VariableBaseline
from schemas.panes import MISSING, N_BINS, OVERFLOW, UNDERFLOW, UNSEEN
from tests.support.data import DataSource
from tests.support.extracts import household_numbers

HOURLY = 1 / 7300
PANE_ROWS = 250
"""Blocks of the reference from which the design effect is estimated."""


@dataclass(frozen=True)
class DecisionStream:
    """A table as counters, shape (W, C, 64), and the plan that judges them."""

    names: tuple[str, ...]
    plan: TolerancePlan
    windows: NDArray[np.int64]


def variable_of(name: str, column: pa.ChunkedArray) -> VariableBaseline:
    values = column.to_numpy(zero_copy_only=False)
    if pa.types.is_floating(column.type):
        edges = np.unique(np.quantile(values, np.linspace(0, 1, N_BINS + 1)))
        return VariableBaseline(name, Kind.NUMERIC, edges)
    categories = tuple(sorted({str(value) for value in values}))
    return VariableBaseline(name, Kind.CATEGORICAL, np.empty(0), categories)


def codes_of(variable: VariableBaseline, column: pa.ChunkedArray) -> NDArray[np.int64]:
    values = column.to_numpy(zero_copy_only=False)
    if variable.kind is Kind.CATEGORICAL:
        code = {category: i for i, category in enumerate(variable.categories)}
        return np.array([code.get(str(value), UNSEEN) for value in values])
    edges = variable.edges
    codes = np.maximum(np.searchsorted(edges, values, side="left") - 1, 0)
    codes[values < edges[0]] = UNDERFLOW
    codes[values > edges[-1]] = OVERFLOW
    codes[np.isnan(values)] = MISSING
    return codes


def stream(
    reference: pa.Table, current: pa.Table, names: tuple[str, ...], n: int
) -> DecisionStream:
    variables = [variable_of(name, reference[name]) for name in names]
    pairs = list(zip(variables, names, strict=True))
    counts = np.stack([np.bincount(codes_of(v, reference[x]), minlength=64) for v, x in pairs])
    cells = [cell_sets(v, c) for v, c in zip(variables, counts, strict=True)]
    blocks = [panes_of(codes_of(v, reference[x]), PANE_ROWS) for v, x in pairs]
    phi = np.array([design_effect(b, s, c) for b, s, c in zip(blocks, cells, counts, strict=True)])
    rule, k = Rule(alpha=HOURLY, n_cells=len(names)), len(names)
    plan = plan_cells(rule, SetLayout.of(cells), counts, phi, np.zeros(k))
    windows = np.stack([panes_of(codes_of(v, current[x]), n) for v, x in pairs], axis=1)
    return DecisionStream(names, plan, windows)


def panes_of(codes: NDArray[np.int64], n: int) -> NDArray[np.int64]:
    """Return counters of every n rows; an incomplete rest is dropped."""
    n_panes = len(codes) // n
    flat = np.arange(n_panes).repeat(n) * 64 + codes[: n_panes * n]
    return np.bincount(flat, minlength=n_panes * 64).reshape(n_panes, 64)


def firings(of: DecisionStream) -> list[tuple[int, str, str, int, Decision]]:
    """(window, variable, set, rung, decision) of all that fired."""
    evidence, found = Evidence.start(of.plan.layout), []
    for w, counts in enumerate(of.windows):
        decision = decide(of.plan, evidence, counts)
        for c in np.flatnonzero(decision.has_fired):
            named = of.plan.layout.names[decision.set_index[c]]
            found.append((w, of.names[c], named, int(decision.rung[c]), decision))
    return found


def car_loan(of: DataSource, n: int) -> DecisionStream:
    reference, current = pq.read_table(of.reference), pq.read_table(of.analysis)
    names = (
        "car_value",
        "debt_to_income_ratio",
        "loan_length",
        "driver_tenure",
        "salary_range",
        "repaid_loan_on_prev_car",
        "size_of_downpayment",
        "y_pred_proba",
    )
    return stream(reference, current, names, n)


EMPLOYMENT = (
    *("AGEP", "SCHL", "MAR", "RELP", "DIS", "ESP", "CIT", "MIG", "MIL", "ANC", "NATIVITY"),
    *("DEAR", "DEYE", "DREM", "SEX", "RAC1P", "predicted_probability"),
)
SURVEY = EMPLOYMENT[:-1]


def employment_tables(of: DataSource, seed: int) -> tuple[pa.Table, pa.Table]:
    """2015 as it is, and 2016 to 2018 with households shuffled within the year."""
    reference, current = pq.read_table(of.reference), pq.read_table(of.analysis)
    return reference, current.take(shuffled_households(current, np.random.default_rng(seed)))


def employment(of: DataSource, n: int, seed: int = 0) -> DecisionStream:
    return stream(*employment_tables(of, seed), EMPLOYMENT, n)


def survey_tables(seed: int) -> tuple[pa.Table, pa.Table]:
    """All of 2015 and 2016 as the demo ships them: 16 attributes, no score."""
    reference, current = (
        pq.read_table(DATA / f"employment_{year}.parquet") for year in (2015, 2016)
    )
    current = current.append_column("year", pa.array(np.full(len(current), 2016)))
    rows = shuffled_households(current, np.random.default_rng(seed))
    return _typed(reference), _typed(current.take(rows))


def _typed(people: pa.Table) -> pa.Table:
    """The demo keeps a byte a value: ages are numbers here, the survey's codes are text."""
    kinds = {name: pa.string() for name in SURVEY} | {"AGEP": pa.float64()}
    return pa.table({name: people[name].cast(kind) for name, kind in kinds.items()})


def shuffled_households(table: pa.Table, rng: np.random.Generator) -> NDArray[np.int64]:
    """Households in random order within each year, their members in file order."""
    household = household_numbers(table)
    rank = rng.permutation(household[-1] + 1)
    return np.lexsort((rank[household], table["year"].to_numpy()))
