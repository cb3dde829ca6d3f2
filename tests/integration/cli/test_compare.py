"""``driftline compare`` as a user runs it: formats, ranges, exit codes, real data."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.feather
import pyarrow.parquet as pq
import pytest
from scipy import stats

from monitor.storage.clickhouse import Store
from tests.support.data import CAR_LOAN
from tests.support.installation import MODEL, START_US, Ended, command, event, rows, write_lines

pytestmark = [pytest.mark.integration, pytest.mark.timeout(200)]

REFERENCE, ANALYSIS = CAR_LOAN.reference, CAR_LOAN.analysis


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DRIFTLINE_TRACEBACK", raising=False)
    return tmp_path


def compared(*arguments: object, code: int = 0) -> dict:
    """Run with --json, and return what it printed."""
    ended = command("compare", *arguments, "--json")
    assert (ended.code, ended.err) == (code, "")
    assert ended.out.count("\n") == 1
    return json.loads(ended.out)


def of(found: dict, variable: str, statistic: str) -> dict:
    [v] = [v for v in found["variables"] if v["name"] == variable]
    [s] = [s for s in v["statistics"] if s["name"] == statistic]
    return s


def fails(*arguments: object, code: int, words: str) -> Ended:
    ended = command("compare", *arguments)
    assert ended.code == code, ended
    assert words in " ".join(ended.err.replace("│", " ").split())
    assert "Traceback" not in ended.err
    assert ended.out == ""
    return ended


def test_car_loan_has_drifted_and_its_numbers_are_scipys():
    found = compared(REFERENCE, ANALYSIS, code=10)
    # The documented fault, and nothing else; the score and what was computed from it follow.
    assert {"car_value", "loan_length", "repaid_loan_on_prev_car"} <= set(found["drifted"])
    assert not {"debt_to_income_ratio", "driver_tenure", "size_of_downpayment"} & set(
        found["drifted"]
    )
    before, now = (pq.read_table(path) for path in (REFERENCE, ANALYSIS))
    for name in ("debt_to_income_ratio", "y_pred_proba"):
        x, y = (t[name].to_numpy() for t in (before, now))
        assert of(found, name, "ks")["value"] == pytest.approx(stats.ks_2samp(x, y).statistic)
        distance = stats.wasserstein_distance(x, y)
        assert of(found, name, "wasserstein")["value"] == pytest.approx(distance, rel=1e-9)
        welch = stats.ttest_ind(y, x, equal_var=False)
        assert of(found, name, "welch_t")["value"] == pytest.approx(welch.statistic, rel=1e-9)
        assert of(found, name, "welch_t")["p_value"] == pytest.approx(welch.pvalue, rel=1e-6)
        assert of(found, name, "ks")["n_reference"] == 12_500
    for name in ("salary_range", "repaid_loan_on_prev_car", "size_of_downpayment"):
        columns = [t[name].cast(pa.string()).to_pylist() for t in (before, now)]
        names = sorted(set(columns[0]) | set(columns[1]))
        table = np.array([[c.count(n) for n in names] for c in columns])
        chi = stats.chi2_contingency(table)
        assert of(found, name, "chi_square")["value"] == pytest.approx(chi.statistic, rel=1e-9)
        assert of(found, name, "chi_square")["p_value"] == pytest.approx(chi.pvalue, rel=1e-6)
        v = stats.contingency.association(table, method="cramer")
        assert of(found, name, "cramers_v")["value"] == pytest.approx(v, rel=1e-9)


def test_car_loan_before_its_fault_has_not_drifted():
    quiet = pq.read_table(ANALYSIS).slice(0, CAR_LOAN.n_quiet)
    pq.write_table(quiet, "quiet.parquet")
    # The reference holds the label, which comes later.
    assert compared(REFERENCE, "quiet.parquet", code=10)["drifted"] == ["repaid"]
    assert compared(REFERENCE, "quiet.parquet", "--ignore", "repaid")["drifted"] == []


def test_a_file_against_itself_and_a_models_own_columns(here):
    (here / "loans.yaml").write_text(
        "model: car_loan\nfeatures:\n  car_value: {kind: numeric}\n"
        "  size_of_downpayment: {kind: categorical}\n"
        "columns: {time: timestamp, id: id, score: y_pred_proba, prediction: y_pred}\n"
    )
    found = compared(REFERENCE, REFERENCE, "--model", "loans.yaml")
    assert found["drifted"] == []
    assert {v["name"]: v["kind"] for v in found["variables"]} == {
        "car_value": "numeric",
        "size_of_downpayment": "categorical",
        "score": "numeric",
        "prediction": "categorical",
    }


def test_two_ranges_of_one_file_are_the_rows_of_those_times():
    table = pq.read_table(ANALYSIS)
    times = table["timestamp"]
    if not pa.types.is_timestamp(times.type):
        times = times.cast(pa.string()).cast(pa.timestamp("us"))
    middle = times[CAR_LOAN.n_quiet].as_py()
    cut = f"{middle:%Y-%m-%dT%H:%M:%S}"
    n_before = pc.sum(pc.less(times, pa.scalar(middle.replace(microsecond=0), times.type))).as_py()
    found = compared(f"{ANALYSIS}@..{cut}", f"@{cut}..", code=10)
    assert found["reference"]["n_rows"] == n_before
    assert found["current"]["n_rows"] == CAR_LOAN.n_rows - n_before
    assert "car_value" in found["drifted"]
    assert "timestamp" not in {v["name"] for v in found["variables"]}


def write(table: pa.Table, name: str) -> str:
    """Write a table in the format of its name."""
    if name.endswith(".csv"):
        pyarrow.csv.write_csv(table, name)
    elif name.endswith(".arrow"):
        pyarrow.feather.write_feather(table, name)
    elif name.endswith((".jsonl", ".jsonl.gz")):
        lines = b"".join(json.dumps(row).encode() + b"\n" for row in table.to_pylist())
        Path(name).write_bytes(gzip.compress(lines) if name.endswith("gz") else lines)
    else:
        pq.write_table(table, name)
    return name


@pytest.mark.parametrize("name", ["b.parquet", "b.csv", "b.arrow", "b.jsonl", "b.jsonl.gz"])
def test_every_format_gives_the_same_numbers(name):
    a = write(rows(800), "a.parquet")
    direct = compared(a, write(rows(600, seed=1), "c.parquet"))
    found = compared(a, write(rows(600, seed=1), name))
    assert found["variables"] == direct["variables"]
    assert {v["name"] for v in found["variables"]} == {"income", "job", "region", "score"}


def test_events_are_compared_by_their_features(here):
    (here / "loans.yaml").write_text(MODEL)
    a = write_lines(here / "a.jsonl", (event(i) for i in range(300)))
    b = write_lines(
        here / "b.jsonl", (event(i, features={"income": 90_000.0 + i, "job": "cook"}) for i in
                           range(300))
    )  # fmt: skip
    found = compared(a, b, "--model", "loans.yaml", code=10)
    assert found["drifted"] == ["income"]
    assert {v["name"] for v in found["variables"]} == {"income", "job", "score"}
    write(pa.table({"income": np.linspace(50_000.0, 50_299.0, 300), "job": ["cook"] * 300}),
          "flat.parquet")  # fmt: skip
    flat = compared("flat.parquet", b, "--model", "loans.yaml", code=10)
    assert flat["drifted"] == ["income"]


def test_a_store_is_compared_by_ranges(here):
    (here / "m.yaml").write_text("model: m\nfeatures: {age: {kind: numeric}}\n")
    n = 600
    rng = np.random.default_rng(0)
    number = pa.map_(pa.string(), pa.float64())
    ages = rng.normal(size=n) + np.where(np.arange(n) < 300, 0.0, 1.0)
    with Store.open("store") as store:
        store.migrate()
        table = pa.table(
            {
                "tenant": ["default"] * n,
                "model": ["m"] * n,
                "time_us": pa.array(START_US + np.arange(n) * 1_000_000),
                "id": [f"e{i}" for i in range(n)],
                "score": rng.random(n),
                "prediction": ["1"] * n,
                "features": pa.array([[("age", a)] for a in ages], number),
            }
        )  # fmt: skip
        store.insert("predictions", table)
    cut = "2016-01-01T00:05:00"
    found = compared(f"store@..{cut}", f"@{cut}..", "--model", "m.yaml", code=10)
    assert (found["reference"]["n_rows"], found["current"]["n_rows"]) == (300, 300)
    assert found["drifted"] == ["age"]
    x, y = ages[:300], ages[300:]
    assert of(found, "age", "ks")["value"] == pytest.approx(stats.ks_2samp(x, y).statistic)
    fails(f"store@..{cut}", f"@{cut}..", code=2, words="--model")
    fails(
        "store@2031-01-01..", "@..2016-02-01", "--model", "m.yaml", code=3, words="no predictions"
    )


def test_nothing_compared_is_no_success(here):
    for name in ("a.csv", "b.csv"):
        (here / name).write_text("id~pay\n" + "".join(f"{i}~{7 * i}\n" for i in range(300)))
    fails("a.csv", "b.csv", code=1, words="nothing can be compared; 'id~pay':")
    (here / "m.yaml").write_text("model: m\nfeatures: {age: {kind: numeric}}\n")
    a = write(rows(50), "a.parquet")
    fails(a, a, "--model", "m.yaml", code=1, words="'age' is in neither of them")


# --- columns of times


def when(n: int, seed: int = 0) -> pa.Table:
    """Rows with a number that is merely called a time, and two real ones."""
    rng = np.random.default_rng(seed)
    stamps = pa.array(START_US + 1_000_000 * np.arange(n), pa.timestamp("us"))
    return pa.table({"x": rng.normal(size=n), "time": rng.exponential(10, n), "at": stamps})


def parts(found: dict) -> tuple[set[str], dict[str, str]]:
    """Names of what was compared; of what was not, with the reason."""
    compared = {v["name"] for v in found["variables"]}
    return compared, {o["name"]: o["reason"] for o in found["omitted"]}


def test_a_column_that_is_called_a_time_is_compared_unless_a_range_needs_it():
    a = write(when(400).drop_columns(["at"]), "a.parquet")
    slow = when(400, seed=1).drop_columns(["at"])
    slow = slow.set_column(1, "time", [4 * slow["time"].to_numpy()])
    found = compared(a, write(slow, "b.parquet"), code=10)
    assert found["drifted"] == ["time"]
    assert parts(found) == ({"x", "time"}, {})
    named = compared(a, "b.parquet", "--time", "time")
    assert parts(named) == ({"x"}, {"time": "says when its rows were"})


def test_a_column_of_timestamps_is_left_out_and_that_is_listed():
    a = write(when(400), "a.parquet")
    left_out = {"at": "says when its rows were"}
    assert parts(compared(a, a)) == ({"x", "time"}, left_out)
    ranged = compared(f"{a}@..2016-01-01T00:03:00", "@2016-01-01T00:03:00..")
    assert parts(ranged) == ({"x", "time"}, left_out)
    spelt = when(400).set_column(2, "at", [when(400)["at"].cast(pa.string())])
    # Left out of one side, it is left out of the other: it is not gone.
    assert parts(compared(write(spelt, "spelt.parquet"), a)) == ({"x", "time"}, left_out)
    assert parts(compared(a, "spelt.parquet")) == ({"x", "time"}, left_out)
    own = write(rows(300), "own.parquet")
    assert parts(compared(own, own))[1] == {"time_us": "says when its rows were"}


def test_a_date_in_words_of_a_csv_is_left_out_too():
    plain = when(400).drop_columns(["time", "at"])
    for name, day in (("a", 4), ("b", 5)):  # a Monday and a Tuesday
        times = [f"2016-01-0{day}T{i // 60:02}:{i % 60:02}:00" for i in range(400)]
        write(plain.append_column("date", [times]), f"{name}.parquet")
    found = compared("a.parquet", "b.parquet")
    assert parts(found) == ({"x"}, {"date": "says when its rows were"})


def test_a_range_of_one_side_leaves_its_column_out_of_both():
    table = when(400).drop_columns(["time", "at"])
    times = [f"2016-01-01T00:{i // 60:02}:{i % 60:02}" for i in range(400)]
    a = write(table.append_column("date", [times]), "a.parquet")
    found = compared(a, f"{a}@2016-01-01T00:03:00..")
    assert parts(found) == ({"x"}, {"date": "says when its rows were"})


def test_a_time_that_a_model_declares_is_a_feature(here):
    (here / "m.yaml").write_text(
        "model: m\nfeatures: {time: {kind: numeric}, time_us: {kind: numeric}}\n"
    )
    table = when(400).select(["time"]).append_column("time_us", [np.arange(400.0)])
    a = write(table, "a.parquet")
    found = compared(a, a, "--model", "m.yaml")
    assert parts(found) == ({"time", "time_us"}, {})
    half = compared(a, f"{a}@..1970-01-01T00:00:00.000200", "--model", "m.yaml", code=10)
    assert parts(half) == ({"time", "time_us"}, {})
    assert half["current"]["n_rows"] == 200


def test_the_time_of_an_event_is_not_its_feature_of_that_name(here):
    (here / "m.yaml").write_text("model: m\nfeatures: {time: {kind: numeric}}\n")
    lines = [{"time": "2016-01-01", "features": {"time": i / 7}} for i in range(200)]
    a = write_lines(here / "a.jsonl", (json.dumps(line).encode() for line in lines))
    flat = write(pa.table({"time": np.arange(200) / 7}), "flat.parquet")
    for sides in ((a, a), (a, flat), (flat, a)):
        assert parts(compared(*sides, "--model", "m.yaml")) == ({"time"}, {})


def test_a_range_that_misses_numbers_of_nanoseconds_says_what_they_are():
    nanoseconds = 1_000 * (START_US + 1_000_000 * np.arange(50))
    a = write(pa.table({"x": np.arange(50) / 7, "time_us": nanoseconds}), "a.parquet")
    said = f"its times run {nanoseconds[0]} us to {nanoseconds[-1]} us"
    fails(a, f"{a}@2016-01-01..2016-01-02", code=4, words=said)


def test_drift_sets_the_exit_code_unless_it_is_not_wanted():
    a = write(rows(800), "a.parquet")
    b = write(pa.table({"income": rows(800)["income"]}), "b.parquet")
    assert command("compare", a, a).code == 0
    assert command("compare", a, b).code == 10
    never = command("compare", a, b, "--fail-on", "never")
    assert never.code == 0
    assert never.out == command("compare", a, b).out


def test_the_terminal_begins_with_the_verdict_and_a_line_a_drifted_column():
    a = write(rows(800), "a.parquet")
    moved = rows(800, seed=1).set_column(0, "income", [rows(800)["income"].to_numpy() * 1.2])
    extra = rows(800).append_column("key", [np.arange(800)])
    ended = command("compare", write(extra, "a.parquet"), write(moved, "b.parquet"))
    assert ended.code == 10
    first, *lines = ended.out.splitlines()
    assert first == "Drift in 2 of 5: key (gone), income."
    assert lines[0].split() == ["key", "gone:", "only", "in", "the", "reference"]
    assert lines[1].split()[:2] == ["income", "median"]
    assert " > 0.1" in lines[1]
    assert lines[2] == ""
    assert lines[3] == "a.parquet: 800 rows; b.parquet: 800 rows"
    counts = "4 variables compared, 3 unchanged, 1 left out. --all shows every statistic."
    assert lines[4] == counts
    assert max(map(len, lines)) <= 80
    assert len(lines) < 12
    assert command("compare", a, a).out.startswith("No drift in 4 of 6 columns; 2 were not")


def test_all_shows_every_statistic_and_a_peer_its_own():
    a = write(rows(800), "a.parquet")
    moved = rows(800, seed=1).set_column(0, "income", [rows(800)["income"].to_numpy() * 1.2])
    b = write(moved, "b.parquet")
    for more in (("--all",), ("--convention", "evidently")):
        ended = command("compare", a, b, *more)
        assert ended.code == 10
        lines = ended.out.splitlines()
        assert lines[0] == "Drift in 1 of 4: income."
        [ks] = [line for line in lines if " ks " in line and line.split()[0] == "income"]
        assert "*" in ks
        assert ("p = " in ks) == ("evidently" in more)
        # The widest comes first.
        variables = [line.split()[0] for line in lines if line.split()[1:2] == ["total_variation"]]
        assert variables[0] == "income"
        assert len(variables) == 4


def test_the_page_is_written_whole(here):
    a, b = write(rows(300), "a.parquet"), write(rows(300, seed=1), "b.parquet")
    ended = command("compare", a, b, "--html", "drift.html")
    assert ended.code == 0
    page = (here / "drift.html").read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>")
    assert "page: drift.html" in ended.out
    # Before anything is read: not after an hour of comparing.
    fails("no.parquet", b, "--html", "no/such/page.html", code=4, words="no/such: the folder does")
    assert sorted(p.name for p in here.iterdir()) == ["a.parquet", "b.parquet", "drift.html"]


def test_help_has_examples_and_says_what_the_exit_codes_mean():
    ended = command("compare", "--help")
    assert ended.code == 0
    said = " ".join(ended.out.split())
    for words in ("Examples:", "driftline compare", "10 something did", "@2016-01-01..2016-02-01"):
        assert words in said
    assert "3 no rows in a store's range" in said


def test_what_is_wrong_is_one_line_and_the_exit_code_of_its_kind(here):
    a = write(rows(50), "a.parquet")
    write(rows(50).slice(0, 0), "empty.parquet")
    (here / "empty.jsonl").write_bytes(b"")
    (here / "broken.jsonl").write_bytes(b'{"income": 1}\n{"income"\n')
    (here / "broken.parquet").write_bytes(b"PAR1 and nothing else")
    fails(a, "no.parquet", code=4, words="no such file")
    fails(a, "empty.parquet", code=4, words="empty.parquet: holds no rows")
    fails("empty.jsonl", a, code=4, words="empty.jsonl: holds no rows")
    fails(a, "broken.jsonl", code=4, words="line 2 is no JSON object")
    fails(a, "broken.parquet", code=4, words="cannot be read as Parquet")
    fails(a, f"{a}@2031-01-01..2031-01-02", code=4, words="its times run 2016-01-01T00:00:00")
    fails(a, f"{a}@soon..later", code=2, words="is not a time")
    fails(a, f"{a}@2016-02-01..2016-01-01", code=2, words="is an empty range")
    fails(a, f"{a}@2016-01-01..", "--time", "when", code=2, words="no column 'when'")
    fails(a, a, "--threshold", "pis=1", code=2, words="did you mean psi?")
    fails(a, a, "--threshold", "psi=high", code=2, words="write NAME=VALUE")
    fails(a, a, "--model", "no.yaml", code=2, words="no.yaml")
    fails("-", "-", code=2, words="standard input")


def test_one_row_is_no_drift_and_a_column_that_went_missing_is(here):
    a = write(rows(500), "a.parquet")
    one = write(rows(1, seed=3), "one.parquet")
    assert compared(a, one)["drifted"] == []
    gone = rows(500).set_column(0, "income", [pa.nulls(500, pa.float64())])
    found = compared(a, write(gone, "gone.parquet"), code=10)
    assert found["drifted"] == ["income"]
    assert of(found, "income", "missing")["value"] == 1.0


def test_words_in_a_csv_column_of_numbers_are_type_errors():
    a = write(rows(500), "a.csv")
    income = [
        str(v) if i % 10 else "unknown" for i, v in enumerate(rows(500)["income"].to_pylist())
    ]
    found = compared(a, write(rows(500).set_column(0, "income", [income]), "b.csv"), code=10)
    assert found["drifted"] == ["income"]
    assert of(found, "income", "mistyped")["value"] == pytest.approx(0.1)


@pytest.mark.slow
def test_a_million_rows_a_side_take_bounded_memory():
    """Measured in a process of its own, above what the libraries take before any row."""
    import subprocess
    import sys

    from tests.support.repository import ROOT

    for seed, name in enumerate(("a.parquet", "b.parquet")):
        write(rows(1_000_000, seed), name)
    code = (
        "import resource, sys\n"
        "from monitor.cli.main import main\n"
        "try:\n    main(['compare', *sys.argv[1:], '--json'])\n"
        "except SystemExit as ended:\n"
        "    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024\n"
        "    print(int(ended.code or 0), peak, file=sys.stderr)\n"
    )
    peaks = []
    for files in (("small.parquet", "small.parquet"), ("a.parquet", "b.parquet")):
        write(rows(1_000), "small.parquet")
        ended = subprocess.run(
            [sys.executable, "-c", code, *files],
            capture_output=True, text=True, check=True, cwd=Path.cwd(),
            env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"}, timeout=150,
        )  # fmt: skip
        exit_code, peak = ended.stderr.split()
        assert exit_code == "0"
        peaks.append(float(peak))
    assert peaks[1] - peaks[0] < 900
