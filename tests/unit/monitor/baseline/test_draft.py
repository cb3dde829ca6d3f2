"""Kinds that a model's file leaves open: inferred, explained, and written into it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest

from monitor.app.installation import load_model
from monitor.baseline.draft import ModelDraft, complete_draft
from monitor.baseline.kind_lines import with_kinds
from monitor.cli.main import main
from schemas.baselines import Kind
from schemas.config.model import Importance
from schemas.config.parse import parse_model
from schemas.errors import BaselineError, ConfigError

N = 2_000
OPEN = """# who pays back?
model: m
features:
  age: {importance: high}   # in years
  land:
  when_ago:
    importance: low
  city: {kind: categorical}
segments: [land]
"""


def table(**more: object) -> pa.Table:
    rng = np.random.default_rng(0)
    columns = {
        "age": rng.integers(18, 80, N),
        "land": rng.choice(["a", "b"], N),
        "when_ago": rng.random(N),
        "city": rng.choice(["x", "y", "z"], N),
        "score": rng.random(N),
        "key": np.arange(N),
    }
    return pa.table(columns | more)


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "m.yaml").write_text(OPEN)
    pyarrow.parquet.write_table(table(), tmp_path / "train.parquet")
    return tmp_path


def run(capsys, *arguments: object) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main([str(a) for a in arguments])
    captured = capsys.readouterr()
    return int(ended.value.code or 0), captured.out, captured.err


BUILD = ("baseline", "build", "m.yaml", "-r", "train.parquet")


def test_open_kinds_are_inferred_and_named_ones_stay():
    config, decisions = complete_draft(table(), ModelDraft(OPEN, "m.yaml"))
    assert {name: f.kind for name, f in config.features.items()} == {
        "age": Kind.NUMERIC,
        "land": Kind.CATEGORICAL,
        "when_ago": Kind.NUMERIC,
        "city": Kind.CATEGORICAL,
    }
    assert config.features["age"].importance is Importance.HIGH
    assert {d.name: (d.kind, d.is_inferred) for d in decisions} == {
        "age": (Kind.NUMERIC, True),
        "land": (Kind.CATEGORICAL, True),
        "when_ago": (Kind.NUMERIC, True),
        "city": (Kind.CATEGORICAL, False),
        "score": (None, False),
        "key": (None, False),
    }
    reasons = {d.name: d.reason for d in decisions}
    assert reasons["land"] == "segments are made of it in the config; " + (
        "it looks like category: 2 categories"
    )
    assert reasons["city"] == "named in the config; it looks like category: 3 categories"
    assert reasons["score"] == "the events' score"
    assert reasons["key"] == "not named in the config"


def test_without_features_every_column_that_can_be_becomes_one():
    draft = ModelDraft("model: m\ncolumns: {id: key, score: age}\n", "m.yaml")
    config, decisions = complete_draft(table(label=np.arange(N) % 2, row=np.arange(N)), draft)
    assert list(config.features) == ["land", "when_ago", "city", "label"]
    explained = {d.name: (d.kind, d.is_inferred, d.reason) for d in decisions}
    assert explained["row"] == (
        None,
        True,
        "2,000 whole numbers, each larger than the one before: a key or a time",
    )
    assert explained["key"] == (None, False, "the events' id")
    assert explained["age"] == (None, False, "the events' score")


def test_a_range_makes_a_number_and_a_segment_a_category():
    text = "model: m\nfeatures:\n  stars: {range: [1, 5]}\n  year:\nsegments: [year]\n"
    rng = np.random.default_rng(1)
    reference = pa.table({"stars": rng.integers(1, 6, N), "year": rng.integers(1900, 2000, N)})
    config, _ = complete_draft(reference, ModelDraft(text, "m.yaml"))
    assert config.features["stars"].kind is Kind.NUMERIC
    assert config.features["year"].kind is Kind.CATEGORICAL


def test_prefixed_columns_are_called_as_their_features():
    prefixed = table().select(["age", "city"]).rename_columns(["features.age", "features.city"])
    config, _ = complete_draft(prefixed, ModelDraft("model: m\n", "m.yaml"))
    assert list(config.features) == ["age", "city"]


def test_features_of_the_file_that_cannot_be_monitored_are_refused_together():
    draft = ModelDraft("model: m\nfeatures: {age: , key: , gone: }\n", "m.yaml")
    nothing = table(gone=pa.nulls(N, pa.string()))
    with pytest.raises(BaselineError) as caught:
        complete_draft(nothing, draft)
    assert "feature key: 2,000 whole numbers, each larger" in str(caught.value)
    assert "feature gone: it has no value at all" in str(caught.value)
    assert "feature age" not in str(caught.value)


def test_a_reference_of_keys_alone_is_refused():
    with pytest.raises(BaselineError, match="no column can be monitored .key: 2,000 whole"):
        complete_draft(table().select(["key"]), ModelDraft("model: m\n", "m.yaml"))


def test_a_wrong_file_is_reported_by_its_lines():
    draft = ModelDraft("model: m\nfeatures:\n  age:\n  land: {importance: huge}\n", "m.yaml")
    with pytest.raises(ConfigError, match=r"m.yaml:4: features.land.importance: .huge"):
        complete_draft(table(), draft)


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("features:\n  a:\n", "features:\n  a: {kind: numeric}\n"),
        ("features:\n  a: ~  # why\n", "features:\n  a: {kind: numeric}  # why\n"),
        ("features:\n  a: {}\n", "features:\n  a: {kind: numeric}\n"),
        (
            "features:\n  a: {importance: low}\n",
            "features:\n  a: {kind: numeric, importance: low}\n",
        ),
        (
            "features:\n  a:\n    importance: low\n",
            "features:\n  a:\n    kind: numeric\n    importance: low\n",
        ),
        ("", "\nfeatures:\n  a: {kind: numeric}\n"),
        ("features:\n", "features:\n  a: {kind: numeric}\n"),
        ("features: # all\n", "features:\n  a: {kind: numeric} # all\n"),
        ("features: {a: {importance: low}}", "features: {a: {kind: numeric, importance: low}}"),
    ],
)
@pytest.mark.parametrize("end", ["\n", "\r\n"], ids=["unix", "windows"])
def test_kinds_are_written_where_they_are_missing(text, written, end):
    head = "model: m  # ours\n"
    draft = ModelDraft((head + text).replace("\n", end), "m.yaml")
    found = with_kinds(draft, {"a": Kind.NUMERIC})
    assert found.replace("\r\n", "\n") == head + written
    assert parse_model(found, "m.yaml").features["a"].kind is Kind.NUMERIC


def test_odd_names_are_quoted():
    kinds = {
        "a: b": Kind.NUMERIC,
        'say "x"': Kind.NUMERIC,
        "größe": Kind.NUMERIC,
        "-": Kind.NUMERIC,
    }
    text = with_kinds(ModelDraft("model: m\n", "m.yaml"), kinds)
    assert list(parse_model(text, "m.yaml").features) == list(kinds)


def test_a_file_that_cannot_be_added_to_stays_as_it_is():
    draft = ModelDraft("model: m\nfeatures: {a, b: }\n", "m.yaml")
    with pytest.raises(ConfigError, match="write them by hand: a: {kind: numeric}, b:"):
        with_kinds(draft, {"a": Kind.NUMERIC, "b": Kind.NUMERIC})


def test_build_says_what_it_inferred_and_what_is_left_to_do(capsys, folder):
    code, out, _ = run(capsys, *BUILD)
    assert code == 0
    assert "62 different numbers from 18 to 79" in out
    assert "m.yaml names no kind for these" in out
    assert "  age: {kind: numeric}\n  land: {kind: categorical}\n" in out
    assert "remove the label" not in out
    assert (folder / "m.yaml").read_text() == OPEN
    assert len(list((folder / "baselines").glob("*.profile"))) == 1


def test_build_writes_the_kinds_with_write_kinds(capsys, folder):
    code, out, _ = run(capsys, *BUILD, "--write-kinds")
    assert (code, "3 kinds written into m.yaml" in out) == (0, True)
    text = (folder / "m.yaml").read_text()
    assert text.startswith("# who pays back?\n")
    assert "# in years" in text
    assert load_model(folder / "m.yaml").features["when_ago"].kind is Kind.NUMERIC
    assert sorted(p.name for p in folder.iterdir()) == ["baselines", "m.yaml", "train.parquet"]
    again = run(capsys, *BUILD, "--write-kinds")
    assert again[0] == 0
    assert "written into" not in again[1]
    assert (folder / "m.yaml").read_text() == text


def test_the_inferred_and_the_written_config_give_one_baseline(capsys, folder):
    ids = [json.loads(run(capsys, *BUILD, "--json", "--write-kinds")[1])["profile_id"]]
    ids.append(json.loads(run(capsys, *BUILD, "--json")[1])["profile_id"])
    assert ids[0] == ids[1]


def test_explain_tells_of_every_column(capsys, folder):
    code, out, _ = run(capsys, *BUILD, "--explain", "--json")
    found = {c["name"]: c for c in json.loads(out)["columns"]}
    assert code == 0
    assert list(found) == ["age", "land", "when_ago", "city", "score", "key"]
    assert found["city"]["is_inferred"] is False
    assert found["key"] == {
        "name": "key",
        "shape": "identifier",
        "kind": None,
        "is_inferred": False,
        "reason": "not named in the config",
    }


def test_explain_tells_of_a_config_that_names_every_kind(capsys, folder):
    (folder / "m.yaml").write_text("model: m\nfeatures: {key: {kind: numeric}}\n")
    code, out, _ = run(capsys, *BUILD, "--explain")
    assert code == 0
    assert "named in the config; it looks like identifier: 2,000 whole numbers" in out
    assert json.loads(run(capsys, *BUILD, "--json")[1])["columns"] == []


def test_without_features_a_note_names_the_label(capsys, folder):
    (folder / "m.yaml").write_text("model: m\n")
    code, out, _ = run(capsys, *BUILD, "--write-kinds")
    assert code == 0
    assert "remove the label, if it is one of them" in out
    assert list(load_model(folder / "m.yaml").features) == ["age", "land", "when_ago", "city"]


def test_csv_and_parquet_lead_to_the_same_kinds(folder):
    pyarrow.csv.write_csv(table(), folder / "train.csv")
    from monitor.baseline.source import read_reference

    kinds = [
        {name: f.kind for name, f in complete_draft(read, draft)[0].features.items()}
        for read in map(read_reference, (["train.csv"], ["train.parquet"]))
        for draft in [ModelDraft("model: m\n", "m.yaml")]
    ]
    assert kinds[0] == kinds[1]


def test_a_refused_feature_leaves_no_baseline_and_the_file_as_it_was(capsys, folder):
    text = "model: m\nfeatures: {key: , age: }\n"
    (folder / "m.yaml").write_text(text)
    code, out, err = run(capsys, *BUILD, "--write-kinds")
    assert (code, out) == (3, "")
    assert "feature key: 2,000 whole numbers, each larger than the one before" in err
    assert not (folder / "baselines").exists()
    assert (folder / "m.yaml").read_text() == text


def test_kinds_that_cannot_be_written_do_not_cost_the_old_baseline(capsys, folder):
    assert run(capsys, *BUILD, "--write-kinds")[0] == 0
    before = [(p.name, p.read_bytes()) for p in sorted((folder / "baselines").iterdir())]
    text = "model: m\nfeatures: {age, land: }\n"
    (folder / "m.yaml").write_text(text)
    code, out, err = run(capsys, *BUILD, "--write-kinds")
    assert (code, out) == (2, "")
    assert "the kinds cannot be written into it" in err
    after = [(p.name, p.read_bytes()) for p in sorted((folder / "baselines").iterdir())]
    assert after == before
    assert (folder / "m.yaml").read_text() == text


def test_the_store_needs_kinds_in_the_file(capsys, folder):
    store = ("--store", "s", "--since", "2026-01-01", "--until", "2026-01-02")
    code, _, err = run(capsys, "baseline", "build", "m.yaml", *store)
    assert code == 2
    assert "m.yaml:4: features.age.kind: is missing (add it: numeric or categorical)" in err
