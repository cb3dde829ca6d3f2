"""``driftline baseline build`` on real data: what it decides for each column, and why."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from monitor.app.installation import load_model
from monitor.cli.main import main
from tests.support.data import CAR_LOAN, CENSUS
from tests.support.repository import ROOT

pytestmark = pytest.mark.integration

EXAMPLES = ROOT / "deploy/examples/models"
OPEN = {
    "car_loan": "model: car_loan\ncolumns: {time: timestamp, score: y_pred_proba, "
    "prediction: y_pred}\n",
    "employment": "model: employment\ncolumns: {score: predicted_probability, "
    "prediction: prediction}\n",
}
SOURCES = {"car_loan": CAR_LOAN, "employment": CENSUS}


@pytest.fixture(scope="module")
def decided(tmp_path_factory):
    """Columns by name, and the written config, of each model."""
    found = {}
    for name, text in OPEN.items():
        folder = tmp_path_factory.mktemp(name)
        model = folder / f"{name}.yaml"
        model.write_text(text)
        document = build(model, SOURCES[name].reference, folder / "baselines")
        columns = {column["name"]: column for column in document["columns"]}
        found[name] = columns, load_model(model)
    return found


def build(model: Path, reference: Path, out: Path) -> dict:
    import contextlib
    import io

    printed = io.StringIO()
    arguments = ["baseline", "build", str(model), "-r", str(reference), "-o", str(out)]
    with contextlib.redirect_stdout(printed), pytest.raises(SystemExit) as ended:
        main([*arguments, "--write-kinds", "--explain", "--json"])
    assert not ended.value.code
    return json.loads(printed.getvalue())


def shapes(columns: dict) -> dict:
    return {name: (column["shape"], column["kind"]) for name, column in columns.items()}


NUMBER, CATEGORY = ("number", "numeric"), ("category", "categorical")
BOOLEAN = ("boolean", "categorical")


def test_each_column_of_the_car_loans_is_what_it_is(decided):
    columns, _ = decided["car_loan"]
    assert shapes(columns) == {
        "car_value": NUMBER,
        "salary_range": CATEGORY,
        "debt_to_income_ratio": NUMBER,
        "loan_length": NUMBER,
        "repaid_loan_on_prev_car": BOOLEAN,
        "size_of_downpayment": CATEGORY,
        "driver_tenure": NUMBER,
        "repaid": NUMBER,
        "id": ("identifier", None),
        "timestamp": ("time", None),
        "y_pred_proba": ("number", None),
        "y_pred": ("boolean", None),
    }
    reasons = {name: column["reason"] for name, column in columns.items()}
    assert reasons["loan_length"] == "17 different numbers from 6 to 22"
    assert reasons["repaid_loan_on_prev_car"] == "truth values: the categories true and false"
    assert reasons["salary_range"] == "4 categories"
    assert reasons["id"] == "the events' id"
    assert reasons["timestamp"] == "the events' time"


def test_each_column_of_the_census_is_what_it_is(decided):
    columns, _ = decided["employment"]
    codes = ("MAR", "RELP", "ESP", "CIT", "MIG", "MIL", "ANC", "DREM", "RAC1P", "SCHL")
    pairs = ("DIS", "NATIVITY", "DEAR", "DEYE", "SEX", "employed")
    assert shapes(columns) == {
        "AGEP": NUMBER,
        **dict.fromkeys(codes, CATEGORY),
        **dict.fromkeys(pairs, BOOLEAN),
        "year": ("constant", "numeric"),
        "id": ("identifier", None),
        "prediction": ("boolean", None),
        "predicted_probability": ("number", None),
    }
    reasons = {name: column["reason"] for name, column in columns.items()}
    assert reasons["year"] == "always 2015: any other value is outside"
    assert reasons["SCHL"] == "25 categories, by the column's type"
    assert reasons["SEX"] == "two whole numbers, 1 and 2"
    assert reasons["AGEP"] == "93 different numbers from 0 to 94"


@pytest.mark.parametrize("name", OPEN)
def test_the_inferred_kinds_are_those_that_people_named(decided, name):
    _, written = decided[name]
    named = load_model(EXAMPLES / f"{name}.yaml").features
    inferred = {feature: written.features[feature].kind for feature in named}
    assert inferred == {feature: settings.kind for feature, settings in named.items()}


def test_an_undeclared_id_is_refused_for_what_it_holds(tmp_path):
    model = tmp_path / "m.yaml"
    model.write_text("model: m\ncolumns: {id: y_pred}\n")
    document = build(model, CAR_LOAN.reference, tmp_path / "baselines")
    columns = {column["name"]: column for column in document["columns"]}
    # "id" is ours even where another column holds the events' ids; "timestamp" is not.
    assert (columns["id"]["kind"], columns["id"]["is_inferred"]) == (None, False)
    assert columns["timestamp"]["kind"] is None
    assert columns["timestamp"]["reason"].startswith("12,500 times like '2018-01-01")
