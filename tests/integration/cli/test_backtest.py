"""``driftline backtest`` as a user runs it: on real data, on stored panes, and on bad input.

Windows, tolerances, budgets and delays in windows are those of rule 1; ``test_rule_2.py`` has
those of rule 2.
"""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from schemas.config.parse import parse_model
from schemas.time_units import HOUR_US
from tests.support.data import CAR_LOAN as LOANS
from tests.support.installation import MODEL, START_US, command, install, rows
from tests.support.repository import ROOT

pytestmark = pytest.mark.integration

RULE_1 = MODEL + "decision: {rule: 1}\n"
CAR_LOAN = (ROOT / "deploy/examples/models/car_loan.yaml").read_text()
SIDE = {
    "window_us": int,
    "rule": int,
    "max_false_pages_per_month": float,
    "eps": float,
    "threshold": float,
    "windows": int,
    "windows_unjudged": int,
    "coverage": dict,
    "rows": int,
    "weeks": float,
    "incidents": int,
    "pages": int,
    "tickets": int,
    "pages_per_week": float,
    "tickets_per_week": float,
    "fired": list,
    "pipeline": list,
    "delays": list,
}


def report_of(*arguments: object) -> dict:
    """Run a backtest and return its one line."""
    ended = command("backtest", *arguments, "--json")
    assert (ended.code, ended.err) == (0, ""), ended.err
    assert ended.out.count("\n") == 1
    return json.loads(ended.out)


def features(side: dict, time_us: int) -> set[str]:
    return {f["feature"] for f in side["fired"] if f["time_us"] == time_us}


# --- car_loan: nothing in the first half, then four shifts at once


@pytest.fixture(scope="module")
def cars(tmp_path_factory) -> Path:
    """An installation of the example, with panes long enough for 250 rows an hour."""
    folder = tmp_path_factory.mktemp("cars")
    (folder / "models").mkdir()
    text = CAR_LOAN.replace("length: 1h", "length: 1h\n  pane: 10m")
    text = text.replace("segments: [salary_range]\n", "")
    rule_1 = text + "decision: {rule: 1}\n"
    (folder / "models/car_loan.yaml").write_text(rule_1)
    (folder / "driftline.yaml").write_text("models: [models/*.yaml]\n")
    (folder / "dull.yaml").write_text(text + "decision: {rule: 1, eps: 0.2}\n")
    (folder / "slow.yaml").write_text(rule_1.replace("length: 1h", "length: 2h"))
    model, reference = folder / "models/car_loan.yaml", LOANS.reference
    built = command("baseline", "build", model, "-r", reference, "-o", folder / "baselines")
    assert built.code == 0, built.err
    table = pq.read_table(LOANS.analysis)
    pq.write_table(table.slice(0, LOANS.n_quiet), folder / "quiet.parquet")
    return folder


def replayed(cars: Path, *arguments: object) -> dict:
    """Backtest 250 rows a window: 25 windows before the shift, and 25 after it."""
    common = ("--config", cars / "driftline.yaml", "--rows-per-window", 250)
    (found,) = report_of(*arguments, *common)["models"]
    return found


@pytest.fixture(scope="module")
def shift(cars) -> dict:
    analysis = LOANS.analysis
    return replayed(cars, analysis, "--proposed", cars / "dull.yaml", "--no-delays")


def test_car_loan_fires_in_the_second_window_after_the_shift_and_not_before(shift):
    today = shift["today"]
    assert (today["windows"], today["rows"]) == (50, 12_500)
    first_us = shift["start_us"] + 27 * HOUR_US
    assert min(f["time_us"] for f in today["fired"]) == first_us
    expected = {"car_value", "loan_length", "repaid_loan_on_prev_car"}
    assert expected <= features(today, first_us)
    # The smallest of the four shifts takes a window more of 250 rows.
    assert "score" in features(today, first_us + HOUR_US)
    assert {f["n"] for f in today["fired"]} == {250}
    by_feature = {f["feature"]: f for f in today["fired"] if f["time_us"] == first_us}
    assert by_feature["car_value"]["severity"] == "page"
    assert by_feature["loan_length"]["severity"] == "ticket"
    assert all(abs(f["effect"]) > 0.02 for f in by_feature.values())


def test_a_proposal_with_a_large_tolerance_tells_less(shift):
    today, proposed = shift["today"], shift["proposed"]
    assert (today["eps"], proposed["eps"]) == (0.02, 0.2)
    assert today["threshold"] == proposed["threshold"]
    assert 0 < len(proposed["fired"]) < len(today["fired"])
    assert today["pages_per_week"] == pytest.approx(today["pages"] * 168 / 50)


def test_a_proposal_may_have_other_windows_over_the_same_reading(cars):
    analysis = LOANS.analysis
    found = replayed(cars, analysis, "--proposed", cars / "slow.yaml", "--no-delays")
    proposed = found["proposed"]
    assert found["today"]["rows"] == proposed["rows"] == 12_500
    assert 25 <= proposed["windows"] <= 26
    assert proposed["window_us"] == 2 * HOUR_US
    # The second window of two hours with the shift ends two to four hours after its start.
    first_us = min(f["time_us"] for f in proposed["fired"]) - found["start_us"]
    assert 27 * HOUR_US <= first_us <= 29 * HOUR_US
    assert {f["n"] for f in proposed["fired"]} == {500}


def test_planted_shifts_are_found_the_sooner_the_larger_they_are(cars):
    found = replayed(cars, cars / "quiet.parquet", "--plant", "car_value=0.5sd", "--plant",
                     "car_value=0.2sd", "--plant", "car_value=0.01sd")  # fmt: skip
    small, middle, large = sorted(found["today"]["delays"], key=lambda d: d["shift_sd"])
    assert found["today"]["fired"] == []
    assert large["share_found"] == 1.0
    assert large["median_windows"] == 2
    assert large["median_windows"] <= (middle["median_windows"] or 99)
    assert (small["found"], small["median_windows"]) == (0, None)
    assert {d["horizon_windows"] for d in (small, middle, large)} == {12}


def test_a_shift_planted_at_a_time_is_found_after_it(cars):
    quiet = cars / "quiet.parquet"
    start_us = replayed(cars, quiet, "--no-delays")["start_us"]
    at_us = start_us + 10 * HOUR_US + 1
    (delay,) = replayed(cars, quiet, "--plant", f"car_value=0.5sd@{moment(at_us)}")["today"][
        "delays"
    ]
    # From the first whole window on.
    assert delay["at_us"] in (start_us + 10 * HOUR_US, start_us + 11 * HOUR_US)
    assert delay["delay_windows"] == [2]


def moment(time_us: int) -> str:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(time_us / 1e6, UTC).isoformat()


def test_a_budget_on_a_quiet_history_gives_lines_that_can_be_pasted(cars):
    found = replayed(cars, cars / "quiet.parquet", "--budget", 2, "--no-delays")
    budget = found["budget"]
    assert (budget["allowed"], budget["alarms"]) == (0, 0)
    assert found["proposed"]["max_false_pages_per_month"] == 2
    assert found["proposed"]["threshold"] < found["today"]["threshold"]
    text = (cars / "models/car_loan.yaml").read_text().replace("decision: {rule: 1}\n", "")
    text += budget["config"]
    decision = parse_model(text, "pasted.yaml").decision
    assert decision.rule == 1
    assert decision.max_false_pages_per_month == 2
    assert decision.eps == budget["eps"] == found["proposed"]["eps"]


def test_a_person_reads_tables_and_gets_a_page(cars):
    page = cars / "backtest.html"
    ended = command(
        "backtest", LOANS.analysis, "--config", cars / "driftline.yaml",
        "--rows-per-window", 250, "--proposed", cars / "dull.yaml", "--html", page,
    )  # fmt: skip
    assert ended.code == 0, ended.err
    for words in ("pages a week", "today", "proposed", "car_value", "+0.5 sd", "page:"):
        assert words in ended.out
    html = page.read_text()
    assert html.count("<svg") == 6
    assert "proposed fires" in html
    assert "today fires at" in html


# --- a small installation: the store, the schema, and what goes wrong


@pytest.fixture(scope="module")
def here(tmp_path_factory) -> Path:
    """Four hours of events, the last of them drifted, also in a store."""
    folder = install(tmp_path_factory.mktemp("small") / "here")
    write(folder / "models/loans.yaml", RULE_1)
    table = rows(4 * 3600, seed=1)
    income = table["income"].to_numpy().copy()
    income[2 * 3600 :] += 15_000
    pq.write_table(table.set_column(0, "income", [income]), folder / "events.parquet")
    pq.write_table(table.slice(0, 2 * 3600), folder / "quiet.parquet")
    stored = command(
        "replay", folder / "events.parquet", "--config", folder / "driftline.yaml", "--json"
    )
    assert stored.code == 0, stored.err
    return folder


def test_stored_panes_give_what_their_events_gave(here):
    config = ("--config", here / "driftline.yaml")
    (of_file,) = report_of(here / "events.parquet", *config)["models"]
    (of_store,) = report_of(*config)["models"]
    assert {f["feature"] for f in of_file["today"]["fired"]} == {"income"}
    assert {f["segment"] for f in of_file["today"]["fired"]} == {"*", "region=eu", "region=us"}
    assert of_file["today"]["fired"][0]["time_us"] == START_US + 4 * HOUR_US
    assert of_store == of_file


def test_files_are_read_one_after_the_other(here):
    table = pq.read_table(here / "events.parquet")
    for name, part in (("first", table.slice(0, 9_000)), ("second", table.slice(9_000))):
        pq.write_table(part, here / f"{name}.parquet")
    config = ("--config", here / "driftline.yaml")
    whole = report_of(here / "events.parquet", *config)
    assert report_of(here / "first.parquet", here / "second.parquet", *config) == whole


def test_a_time_range_leaves_other_panes_out(here):
    until = moment(START_US + 2 * HOUR_US)
    (found,) = report_of("--config", here / "driftline.yaml", "--until", until)["models"]
    assert (found["today"]["windows"], found["today"]["rows"]) == (2, 7200)
    assert found["today"]["fired"] == []


def test_the_json_has_every_field_with_its_type(here):
    found = report_of(
        here / "events.parquet", "--config", here / "driftline.yaml", "--budget", 50
    )  # fmt: skip
    assert set(found) == {"accepted", "late", "rejected", "models", "without_history"}
    assert found["without_history"] == []
    assert (found["accepted"], found["late"], found["rejected"]) == (14_400, 0, 0)
    (model,) = found["models"]
    assert set(model) == {"model", "start_us", "end_us", "today", "proposed", "budget"}
    for side in (model["today"], model["proposed"]):
        assert {name: type(value) for name, value in side.items()} == SIDE | {
            "max_false_pages_per_month": type(side["max_false_pages_per_month"])
        }
    (alert, *_) = model["today"]["fired"]
    assert set(alert) == {
        *("time_us", "since_us", "monitor", "feature", "segment", "model_version"),
        *("severity", "transition", "effect", "where", "n", "evidence"),
        *("onset_us", "onset_low_us", "onset_high_us"),
    }
    (delay, *_) = model["today"]["delays"]
    assert set(delay) == {
        *("feature", "shift_sd", "at_us", "horizon_windows", "starts", "found"),
        *("share_found", "delay_windows", "median_windows", "median_us", "fires_anyway"),
    }
    assert set(model["budget"]) == {
        *("false_pages_per_month", "months", "allowed", "alarms"),
        *("upper_95_per_month", "eps", "config"),
    }


def test_no_event_at_all_is_nothing_to_judge(here):
    empty = here / "empty.jsonl"
    empty.write_text("")
    ended = command("backtest", empty, "--config", here / "driftline.yaml")
    assert (ended.code, ended.err) == (0, "")
    assert "Nothing to judge." in ended.out


def test_a_model_without_rows_is_named_and_one_that_is_proposed_is_refused(here, tmp_path):
    folder = install(tmp_path / "two")
    write(folder / "models/loans.yaml", RULE_1)
    fraud = write(folder / "models/fraud.yaml", RULE_1.replace("loans", "fraud"))
    config, events = folder / "driftline.yaml", folder / "events.jsonl"
    dull = write(tmp_path / "dull.yaml", MODEL + "decision: {rule: 1, eps: 0.2}\n")
    found = report_of(events, "--config", config, "--proposed", dull)
    assert [m["model"] for m in found["models"]] == ["loans"]
    assert found["without_history"] == ["fraud"]
    page = tmp_path / "page.html"
    ended = command("backtest", events, "--config", config, "--html", page)
    assert ended.code == 0, ended.err
    assert "fraud: no rows in this history, nothing to judge." in ended.out
    assert "fraud: no rows in this history" in page.read_text()
    ended = command("backtest", events, "--config", config, "--proposed", fraud)
    assert (ended.code, ended.out) == (4, "")
    assert "events.jsonl: holds no rows of the proposed fraud" in ended.err
    stored = command("replay", events, "--config", config, "--json")
    assert stored.code == 0, stored.err
    ended = command("backtest", "--config", config, "--proposed", fraud)
    assert (ended.code, ended.out) == (5, "")
    assert "holds no rows of the proposed fraud" in ended.err


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_another_installation_may_be_proposed(here):
    write(here / "next/models/loans.yaml", MODEL + "decision: {rule: 1, persistence: 4}\n")
    proposed = write(here / "next/driftline.yaml", "models: [models/*.yaml]\n")
    config = here / "driftline.yaml"
    (found,) = report_of(here / "quiet.parquet", "--config", config, "--proposed", proposed)[
        "models"
    ]
    assert found["proposed"]["threshold"] == found["today"]["threshold"]
    ended = command("backtest", here / "quiet.parquet", "--config", config, "--proposed", proposed)
    assert "persistence" in ended.out


def test_what_cannot_be_judged_is_a_line_and_an_exit_code(here):
    write(here / "other/models/fraud.yaml", RULE_1.replace("loans", "fraud"))
    other_set = write(here / "other/driftline.yaml", "models: [models/*.yaml]\n")
    renamed = write(here / "renamed.yaml", RULE_1.replace("loans", "loand"))
    grown = write(here / "grown.yaml", RULE_1.replace("job:", "age: {kind: numeric}\n  job:"))
    broken = write(here / "broken.yaml", MODEL + "decision: {rule: 1, eps: 2}\n")
    odd = write(here / "odd.yaml", RULE_1.replace("length: 1h", "length: 25s, pane: 5s"))
    bare = write(here / "bare/driftline.yaml", f"models: [{here}/models/*.yaml]\n")
    events, config = here / "events.parquet", here / "driftline.yaml"
    for code, words, *arguments in (
        (4, "no such file", here / "missing.parquet"),
        (2, 'no model is called "loanz"', events, "--model", "loanz"),
        (2, "it configures fraud;", events, "--proposed", other_set),
        (2, 'no model is called "loand"', events, "--proposed", renamed),
        (2, "features or segments of 'loans' differ", events, "--proposed", grown),
        (2, "eps", events, "--proposed", broken),
        (2, "no such file", events, "--proposed", here / "nowhere.yaml"),
        (2, "replay the events into another store with --pane 5s", "--proposed", odd),
        (2, "a budget of 0", events, "--budget", 0),
        (2, "a budget of -1", events, "--budget=-1"),
        (2, "write income=0.3sd", events, "--plant", "income"),
        (2, "write income=0.3sd", events, "--plant", "income=0sd"),
        (2, "is not a time", events, "--plant", "income=0.3sd@noon"),
        (2, "no model has a numeric feature 'job'", events, "--plant", "job=0.3sd"),
        (2, "no window with rows", events, "--plant", "income=0.3sd@2099-01-01"),
        (2, "applies to stored panes", events, "--since", "2016-01-01"),
        (2, "is not a time", "--since", "yesterday"),
        (2, "applies to a table", "--rows-per-window", 10),
        (4, "the folder does not exist", events, "--html", here / "no/where.html"),
        (5, "holds no panes of loans", "--until", "2000-01-01"),
        (5, "no store here", "--store", here / "no-store"),
    ):
        ended = command("backtest", *arguments, "--config", config)
        assert (ended.code, ended.out) == (code, ""), (arguments, ended)
        assert words in ended.err.replace("\n", " "), (arguments, ended.err)
    ended = command("backtest", events, "--config", bare)
    assert (ended.code, ended.out) == (3, "")
    assert "no baseline fits" in ended.err


def test_panes_of_baselines_that_are_gone_are_refused(here):
    kept = here / "elsewhere"
    built = command(
        "baseline", "build", here / "models/loans.yaml", "-r", here / "quiet.parquet", "-o", kept
    )
    assert built.code == 0, built.err
    config = write(
        here / "later.yaml", f"models: [models/*.yaml]\nbaselines: {kept}\nstore: driftline-store\n"
    )
    ended = command("backtest", "--config", config)
    assert (ended.code, ended.out) == (3, "")
    assert "the baselines of the stored panes are missing" in ended.err


def test_help_shows_examples():
    ended = command("backtest", "--help")
    assert ended.code == 0
    assert "Examples:" in ended.out
    assert "driftline backtest" in ended.out
