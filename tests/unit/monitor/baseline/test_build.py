"""Baselines: what is learned from a reference, and what a bad one gets."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.ipc
import pyarrow.parquet
import pytest

from monitor.baseline.baseline_file import (
    decode,
    encode,
    load_baseline,
    load_baselines,
    save_baseline,
    with_id,
)
from monitor.baseline.blocks import row_blocks, time_windows
from monitor.baseline.build import build_baseline
from monitor.baseline.description import describe_segments, describe_variables
from monitor.baseline.fit import misfits
from monitor.baseline.folder import add_baseline
from monitor.baseline.source import read_reference
from monitor.core.windowing.accumulators import summarize
from monitor.core.windowing.layout import Layout
from monitor.decode.arrow.record_batches import batch_from_arrow
from monitor.transport.canonical import canonical
from schemas.baselines import Baseline
from schemas.config.model import ModelConfig
from schemas.errors import BaselineError, TransportError
from schemas.panes import MISSING, UNSEEN
from schemas.time_units import HOUR_US
from tests.support.data import CENSUS, WHOLE_CENSUS, needs_shared_data
from tests.support.repository import ROOT

N = 3_000


def config(**more: object) -> ModelConfig:
    features = {"age": {"kind": "numeric"}, "land": {"kind": "categorical"}}
    return ModelConfig.model_validate(
        {"model": "m", "features": features, "segments": ("sex",), "positive": "1"} | more
    )


def table(n: int = N, seed: int = 0, **more: object) -> pa.Table:
    rng = np.random.default_rng(seed)
    age = rng.normal(40, 10, n)
    age[::10] = np.nan
    columns = {
        "age": age,
        "land": rng.choice(["a", "b", "c"], n, p=[0.6, 0.3, 0.1]),
        "sex": rng.choice(["f", "m"], n),
        "score": rng.random(n),
        "prediction": rng.integers(0, 2, n),
    }
    return pa.table(columns | more)


@pytest.fixture(scope="module")
def baseline() -> Baseline:
    return build_baseline(table(), config(), created_from="test")


def test_every_row_is_counted_once_for_each_variable(baseline):
    stats = baseline.reference
    assert stats.segments == ("*", "sex=f", "sex=m")
    assert int(stats.n_rows[0]) == N == int(stats.n_rows[1:].sum())
    assert (stats.counts.sum(axis=2) == stats.n_rows[:, None]).all()
    assert (stats.counts[0] == stats.counts[1:].sum(axis=0)).all()


def test_missing_values_have_their_counter_and_nothing_is_unseen(baseline):
    counts = baseline.reference.counts[0]
    assert counts[:, MISSING].tolist() == [N // 10, 0, 0]
    assert not counts[:, UNSEEN].any()


def test_bins_are_reference_quantiles(baseline):
    age = baseline.variables[0]
    assert age.n_bins == 60
    filled = baseline.reference.counts[0, 0, :60]
    assert abs(filled - 0.9 * N / 60).max() <= 1


def test_categories_stand_by_falling_count(baseline):
    assert baseline.variables[1].categories == ("a", "b", "c")
    assert np.diff(baseline.reference.counts[0, 1, :3]).max() < 0


def test_the_positive_class_is_counted_by_segment(baseline):
    stats = baseline.reference
    expected = int(np.sum(table()["prediction"].to_numpy()))
    assert int(stats.n_positive[0]) == expected == int(stats.n_positive[1:].sum())
    assert (stats.n_predicted == stats.n_rows).all()


def test_independent_rows_have_no_design_effect(baseline):
    assert (baseline.phi >= 1).all()
    assert baseline.phi.max() < 2.5


def test_rows_in_identical_tens_have_a_design_effect_of_ten():
    one = table(20_000)
    repeated = one.take(pa.array(np.repeat(np.arange(2_000), 10)))
    phi = build_baseline(repeated, config()).phi
    assert 6 < phi[0, 0] < 14
    assert 4 < phi[0, 1] < 18


def test_the_default_tolerance_holds_below_168_windows():
    hours = np.arange(N) // 20 * HOUR_US
    built = build_baseline(table(time_us=hours), config())
    assert built.n_reference_windows == 150
    assert built.eps_source == "default"
    assert not built.eps_learned.any()


def wobbling(n_windows: int, rows: int) -> pa.Table:
    """A reference whose land swings by .3 in a day of windows."""
    n = n_windows * rows
    hours = np.arange(n) // rows * HOUR_US
    share = 0.5 + 0.3 * np.sin(hours / HOUR_US / 24 * 2 * np.pi)
    land = np.where(np.random.default_rng(3).random(n) < share, "a", "b")
    return table(n, time_us=hours, land=land)


def test_from_168_windows_of_1000_rows_on_the_tolerance_is_learned():
    built = build_baseline(wobbling(180, 1_000), config())
    assert (built.n_reference_windows, built.eps_source) == (180, "learned")
    assert 0.15 < built.eps_learned[0, 1] < 0.35
    assert built.eps_learned[0, 2] < 0.1


@pytest.mark.parametrize("values", [[0.0, 0.1, 0.2, 0.3, 0.7], [1 / 3, -0.1, 1e-9, 123_456.789]])
def test_a_copy_in_float32_has_the_counts_of_the_reference(values):
    drawn = np.random.default_rng(2).choice(values, 2_000)
    built = build_baseline(table(2_000, age=drawn), config())
    layout = Layout(config().schema_, built)
    for copy in (drawn.astype(np.float32).astype(np.float64), drawn * (1 + 1e-15)):
        rows = table(2_000, age=copy, time_us=np.arange(2_000))
        batch, _ = batch_from_arrow(
            canonical(rows, config()).combine_chunks().to_batches()[0], config().schema_, 0
        )
        counts = summarize(batch, layout)[0].counts[0, 0]
        assert counts.tolist() == built.reference.counts[0, 0].tolist()


def test_windows_of_few_rows_teach_nothing():
    built = build_baseline(wobbling(200, 200), config())
    assert (built.n_reference_windows, built.eps_source) == (200, "default")
    assert not built.eps_learned.any()


def test_a_reference_out_of_order_is_cut_into_the_same_windows():
    order, windows = time_windows(np.array([30, 5, 12, 31]), 10)
    assert (order.tolist(), windows) == ([1, 2, 0, 3], [(0, 1), (1, 2), (2, 4)])


def test_many_blocks_become_pairs_of_neighbours():
    blocks = row_blocks(10_000_000)
    assert len(blocks) == 600
    assert all(b[1] == c[0] for b, c in zip(blocks[::3], blocks[1::3], strict=True))
    assert set(blocks[2::3]) == {(0, 0)}


def test_more_than_sixty_categories_leave_the_rest_to_other():
    n = 7_000
    land = np.array([f"z{i % 70:02d}" for i in range(n)])
    land[:500] = "other"
    built = build_baseline(table(n, land=land), config())
    land_variable = built.variables[1]
    assert len(land_variable.categories) == 60
    assert land_variable.categories[-1] == "other"
    assert len(set(land_variable.categories)) == 60
    assert len(land_variable.known) == 71 - 59
    counts = built.reference.counts[0, 1]
    assert counts[UNSEEN] == 0
    assert counts[59] == np.isin(land, land_variable.known).sum()
    assert "71 categories; the rarest 12 count as other" in describe_variables(built)[1].note


def test_more_than_a_hundred_segment_values_leave_the_rest_to_other():
    n = 6_000
    built = build_baseline(table(n, sex=np.array([f"s{i % 120:03d}" for i in range(n)])), config())
    segments = dict(zip(built.reference.segments, built.reference.n_rows.tolist(), strict=True))
    assert len(segments) == 102
    assert segments["sex=other"] == 20 * n // 120
    notes = {name: note for name, _, note in describe_segments(built)}
    assert notes["sex=s000"] == "few rows: only large changes show"
    assert notes["sex=other"] == ""


def test_a_model_without_scores_is_reported():
    built = build_baseline(table().drop_columns(["score"]), config())
    assert built.variables[-1].edges.tolist() == [0.0, 1.0]
    assert describe_variables(built)[-1].note == "never there: not monitored"


def test_columns_may_be_prefixed_or_structs():
    plain = table()
    prefixed = plain.rename_columns(
        ["features.age", "features.land", "segments.sex", "score", "prediction"]
    )
    struct = pa.table(
        {
            "features": pa.StructArray.from_arrays(
                [plain["age"].combine_chunks(), plain["land"].combine_chunks()], ["age", "land"]
            ),
            "segments": pa.StructArray.from_arrays([plain["sex"].combine_chunks()], ["sex"]),
            "score": plain["score"],
            "prediction": plain["prediction"],
        }
    )
    ids = {build_baseline(t, config()).profile_id for t in (plain, prefixed, struct)}
    assert len(ids) == 1


def test_the_same_data_in_parquet_csv_and_arrow_is_the_same_baseline(tmp_path):
    plain = table()
    pyarrow.parquet.write_table(plain, tmp_path / "t.parquet")
    pyarrow.csv.write_csv(plain, tmp_path / "t.csv")
    with pa.ipc.new_file(str(tmp_path / "t.arrow"), plain.schema) as writer:
        writer.write_table(plain)
    files = ["t.parquet", "t.csv", "t.arrow"]
    ids = {build_baseline(read_reference([tmp_path / f]), config()).profile_id for f in files}
    assert len(ids) == 1


def test_csv_categories_stay_text_and_na_is_missing_unless_verbatim(tmp_path):
    rows = "".join(f"{i},{'01' if i % 2 else ''},NA,{i % 2}\n" for i in range(400))
    (tmp_path / "t.csv").write_text("age,land,sex,score\n" + rows)
    read = read_reference([tmp_path / "t.csv"])
    built = build_baseline(read, config())
    assert built.variables[1].categories == ("01",)
    assert built.reference.counts[0, 1, MISSING] == 200
    assert built.reference.segments == ("*",)
    kept = build_baseline(read, config(verbatim=("sex",)))
    assert kept.reference.segments == ("*", "sex=NA")


def test_two_files_are_read_one_below_the_other(tmp_path):
    for i, part in enumerate((table().slice(0, 1000), table().slice(1000))):
        pyarrow.parquet.write_table(part, tmp_path / f"{i}.parquet")
    read = read_reference([tmp_path / "0.parquet", tmp_path / "1.parquet"])
    assert read["score"].to_pylist() == table()["score"].to_pylist()
    assert read["land"].to_pylist() == table()["land"].to_pylist()


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (
            table().drop_columns(["age"]),
            r"no column 'age' or 'features.age'; the columns are 'land'",
        ),
        (table().drop_columns(["age", "sex"]), r"'age' .*, 'segments.sex' or 'sex'; the columns"),
        (table(199), "has 199 rows, at least 200 are needed"),
        (table(age=np.full(N, np.nan)), "feature age: none of its 3,000 values is a number"),
        (table(land=pa.nulls(N, pa.string())), "feature land: has no value at all"),
        (
            table(age=["x"] * N),
            "3,000 of 3,000 rows cannot be read: row 0: mistyped: 'x' is no value of features.age",
        ),
        (
            table(age=pa.array([[1]] * N)),
            r"column 'age' \(list.*\) cannot be read as features.age",
        ),
        (
            table(age=np.full(N, np.nan), land=pa.nulls(N, pa.string())),
            "feature age none of its 3,000 values is a number; feature land has no value",
        ),
    ],
)
def test_a_bad_reference_is_refused_with_its_reason(bad, message):
    with pytest.raises(BaselineError, match=message) as caught:
        build_baseline(bad, config())
    assert caught.value.exit_code == 3


def test_an_identifier_is_no_feature():
    n = 100_001
    land = np.array([str(i) for i in range(n)])
    with pytest.raises(
        BaselineError, match="feature land: has over 100,000 categories .*identifier"
    ):
        build_baseline(table(n, land=land), config())


def test_a_named_column_that_is_missing_is_refused():
    with pytest.raises(BaselineError, match=r"no column 'p_hat'; the columns are"):
        build_baseline(table(), config(columns={"score": "p_hat"}))
    with pytest.raises(BaselineError, match="no column 'when'"):
        build_baseline(table(), config(columns={"time": "when"}))


def test_times_that_cannot_be_read_are_refused():
    with pytest.raises(
        BaselineError, match="3,000 times .* cannot be read: .*'yesterday' is no value of time_us"
    ):
        build_baseline(table(time_us=["yesterday"] * N), config())
    with pytest.raises(BaselineError, match="3,000 of 3,000 times are missing"):
        build_baseline(table(time_us=pa.nulls(N, pa.int64())), config())


@pytest.mark.parametrize("name", ["t.parquet", "t.csv", "t.arrow"])
def test_a_file_that_is_not_what_it_says_is_named(tmp_path, name):
    file = tmp_path / name
    file.write_bytes(b"\x00\xff not a table \x00")
    with pytest.raises((TransportError, BaselineError)) as caught:
        build_baseline(read_reference([file]), config())
    assert "\n" not in str(caught.value)


def test_missing_and_unknown_files_are_named(tmp_path):
    with pytest.raises(TransportError, match=r"nothing.parquet"):
        read_reference([tmp_path / "nothing.parquet"])
    (tmp_path / "t.avro").write_bytes(b"Obj\x01rest")
    with pytest.raises(TransportError, match="is Avro, which is not read"):
        read_reference([tmp_path / "t.avro"])


def test_files_with_different_columns_do_not_fit_together(tmp_path):
    pyarrow.parquet.write_table(table(), tmp_path / "a.parquet")
    pyarrow.parquet.write_table(table().drop_columns(["age"]), tmp_path / "b.parquet")
    with pytest.raises(BaselineError, match=r"age is a column of only one of .*a.parquet and"):
        read_reference([tmp_path / "a.parquet", tmp_path / "b.parquet"])


def test_a_class_is_spelt_alike_whether_its_column_holds_nulls_or_not():
    floats = table(prediction=np.random.default_rng(1).integers(0, 2, N).astype(float))
    whole = table(prediction=floats["prediction"].cast(pa.int64()))
    built = [build_baseline(t, config()) for t in (floats, whole)]
    assert int(built[0].reference.n_positive[0]) > 1_000
    assert built[0].profile_id == built[1].profile_id


def test_a_baseline_survives_its_file(tmp_path, baseline):
    file = save_baseline(baseline, tmp_path / "new")
    assert file.name == f"m-{baseline.profile_id}.profile"
    again = load_baseline(file)
    assert encode(again) == encode(baseline)
    assert again.reference.counts.flags.writeable
    assert [p.name for p in file.parent.iterdir()] == [file.name]
    assert [p.profile_id for p in load_baselines(file.parent)] == [baseline.profile_id]


def test_the_id_is_that_of_the_content(baseline):
    assert with_id(baseline).profile_id == baseline.profile_id
    assert len(baseline.profile_id) == 24
    assert build_baseline(table(), config(), created_from="else").profile_id == baseline.profile_id
    assert build_baseline(table(seed=1), config()).profile_id != baseline.profile_id
    assert with_id(replace(baseline, model_version="2")).profile_id != baseline.profile_id


@pytest.mark.parametrize("position", [0, 5, 18, 40, 80, 95, 200, -1])
def test_one_changed_byte_is_noticed(baseline, position):
    data = bytearray(encode(baseline))
    data[position] ^= 0x41
    with pytest.raises(BaselineError):
        decode(bytes(data))


@pytest.mark.parametrize("size", [0, 1, 10, 60, 96, 500])
def test_a_cut_file_is_refused_by_name(tmp_path, baseline, size):
    file = tmp_path / "m-cut.profile"
    file.write_bytes(encode(baseline)[:size])
    with pytest.raises(BaselineError, match=r"m-cut\.profile: .*build it again"):
        load_baselines(tmp_path)


def test_a_newer_format_is_refused(baseline):
    data = encode(baseline).replace(b"driftline-profile 1 ", b"driftline-profile 9 ", 1)
    with pytest.raises(BaselineError, match="has format 9, this Driftline reads 1"):
        decode(data)


def test_a_write_that_fails_leaves_nothing_behind(tmp_path, baseline, monkeypatch):
    def fail(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(OSError, match="No space left"):
        save_baseline(baseline, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there_holds_no_baselines(tmp_path):
    assert load_baselines(tmp_path / "none") == []


def test_a_model_name_cannot_leave_the_folder(tmp_path, baseline):
    file = save_baseline(replace(baseline, model="../../x"), tmp_path)
    assert file.parent == tmp_path


def test_a_new_baseline_replaces_the_one_of_its_version_and_time(tmp_path, baseline):
    add_baseline(baseline, tmp_path)
    later = with_id(replace(baseline, active_from_us=5))
    other = build_baseline(table(seed=1), config())
    assert add_baseline(later, tmp_path)[1] == []
    _, replaced = add_baseline(other, tmp_path)
    assert [p.name for p in replaced] == [f"m-{baseline.profile_id}.profile"]
    assert {p.profile_id for p in load_baselines(tmp_path)} == {later.profile_id, other.profile_id}
    assert load_baseline(replaced[0]).profile_id == baseline.profile_id


def test_a_config_that_changed_no_longer_fits(baseline):
    assert misfits(config(), baseline) == []
    kinds = {"age": {"kind": "categorical"}, "land": {"kind": "categorical"}}
    assert misfits(config(features=kinds), baseline) == ["age was numeric, is categorical now"]
    fewer = config(features={"age": {"kind": "numeric"}, "new": {"kind": "numeric"}})
    assert misfits(fewer, baseline) == ["built without new", "built with land, now gone"]
    assert misfits(config(positive="0"), baseline) == ['positive was "1", is "0" now']
    more = config(segments=("sex", "land"))
    assert misfits(more, baseline) == ["built without segments land"]


@pytest.mark.parametrize(
    ("of", "n_rows", "low", "high"),
    [
        # A quarter of the rows: the standard error of 3.2 is .5 instead of .27.
        pytest.param(CENSUS, 17_131, 2.2, 4.2, id="extract"),
        pytest.param(WHOLE_CENSUS, 68_785, 2.5, 3.5, id="whole", marks=needs_shared_data),
    ],
)
def test_the_census_has_the_design_effects_of_households(of, n_rows, low, high):
    example = ROOT / "deploy/examples/models/employment.yaml"
    from monitor.app.installation import load_model

    model = load_model(example)
    reference = read_reference([of.reference])
    built = build_baseline(reference, model)
    phi = dict(zip((v.name for v in built.variables), built.phi[0], strict=True))
    assert int(built.reference.n_rows[0]) == n_rows
    assert low < phi["RAC1P"] < high
    assert 1.1 < phi["AGEP"] < 1.6
