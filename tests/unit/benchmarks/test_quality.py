"""The benchmark of false pages and delays measures every rule alike."""

import json

import numpy as np
import pytest

from benchmarks.quality.delays import QUIET_WINDOWS, RuleDelay, delay_of
from benchmarks.quality.ours import Nights
from benchmarks.quality.page import _PAGE, FOLDER, all_delays, number, rates
from benchmarks.quality.real import Groups, halves, windows_of
from benchmarks.quality.rows import PEERS, Column, p_below_05
from benchmarks.quality.rule_1 import finite, quiet_figures, worst_of
from benchmarks.quality.sides import Found


def test_the_first_planted_window_is_a_delay_of_one():
    alarms = [[QUIET_WINDOWS], [3, QUIET_WINDOWS + 4, QUIET_WINDOWS + 9], [0, 5]]
    delay = delay_of(alarms)
    assert delay.windows == (1, 5)
    assert delay.n_planted == 3
    assert delay.alarms_before == 1.0
    assert delay.power == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    ("windows", "n_planted", "median"),
    [
        ((1, 2, 3), 3, 2.0),
        ((1, 2, 3), 5, 3.0),  # two misses lie above
        ((1, 2, 3), 6, None),  # half found: the middle lies between 3 and infinity
        ((1,), 4, None),
        ((), 2, None),
    ],
)
def test_misses_count_as_infinite(windows, n_planted, median):
    assert RuleDelay(windows, n_planted, 0.0).median == median


def test_intervals_of_firings_and_of_models():
    silent = Nights("a", 0, 40, 0)
    assert silent.upper_95 == pytest.approx(-np.log(0.025) / 40)
    assert silent.upper_95_by_model == pytest.approx(1 - 0.025 ** (1 / 40))
    assert Nights("a", 50, 40, 40).upper_95_by_model == 1.0
    # All from one model: the rate's interval grows, the share's does not.
    assert Nights("a", 9, 40, 1).upper_95 > Nights("a", 1, 40, 1).upper_95
    assert Nights("a", 9, 40, 1).upper_95_by_model == Nights("a", 1, 40, 1).upper_95_by_model


def test_the_worst_setting_is_named_only_if_something_fired():
    silent = [Nights("a", 0, 19, 0), Nights("b", 0, 19, 0)]
    assert worst_of(silent)[1] == "none fired"
    one_model, two_models = Nights("c", 2, 19, 1), Nights("d", 2, 19, 2)
    assert worst_of([*silent, one_model, two_models]) == (two_models, "d")
    assert worst_of([*silent, two_models, Nights("e", 2, 19, 2)])[1] == "d; e"


def test_the_share_of_models_is_of_the_setting_where_it_is_highest():
    often, wide = Nights("often", 9, 19, 1), Nights("wide", 3, 19, 3)
    figures = quiet_figures([often, wide])
    assert figures["worst_setting"] == "often"
    assert figures["upper_95"] == often.upper_95
    assert figures["upper_95_by_model"] == wide.upper_95_by_model


@pytest.mark.parametrize("value", [float("nan"), float("inf"), None])
def test_json_has_null_where_there_is_no_number(value):
    assert json.dumps(finite(value)) == "null"


def test_the_page_has_a_dash_where_there_is_no_delay():
    assert number(None) == "-"
    row = all_delays([Found("rule", "shift", RuleDelay((), 4, 0.5))]).splitlines()[-1]
    assert row == "| shift | rule | - | 0% | 0.5 |"
    assert "| 9 | 0.225 |" in rates([Nights("a", 9, 40, 1)])


def test_chi_square_compares_a_p_value():
    rng = np.random.default_rng(1)
    reference, alike = (rng.choice(["a", "b", "c"], n) for n in (10_000, 1_000))
    other = rng.choice(["a", "b", "c"], 1_000, p=[0.5, 0.3, 0.2])
    column = Column(reference, [alike, other], is_numeric=False)
    assert p_below_05(column, reference) == [1]


def test_river_alarms_by_the_window_in_any_unit():
    rng = np.random.default_rng(2)
    reference = rng.normal(0, 1, 2_000)
    quiet = [rng.normal(0, 1, 1_000) for _ in range(3)]
    # A sawtooth: several alarms in one window.
    loud = [np.repeat([9.0, -9.0] * 5, 100) + rng.normal(0, 1, 1_000)]
    for name in ("river ADWIN", "river Page-Hinkley", "river KSWIN"):
        fire = PEERS[name]
        plain = fire(Column(reference, quiet + loud), reference)
        scaled = 1e4 * reference - 7e5
        others = [1e4 * w - 7e5 for w in quiet + loud]
        assert 3 in plain
        assert plain == sorted(set(plain))
        assert fire(Column(scaled, others), scaled) == plain


def test_no_household_is_in_both_the_baseline_and_a_window():
    rng = np.random.default_rng(3)
    number = np.repeat(np.arange(200), rng.integers(1, 6, 200))
    groups = Groups.of(number)
    baseline, pool = halves(groups, rng)
    reference = groups.rows(baseline)
    assert len(baseline) == len(pool) == 100
    assert sorted(np.concatenate([reference, groups.rows(pool)]).tolist()) == list(
        range(len(number))
    )
    windows = windows_of(groups, pool, 50, 20, rng)
    assert {len(w) for w in windows} == {50}
    assert not set(number[reference]) & set(number[np.concatenate(windows)])


def test_households_stay_whole_and_in_order():
    groups = Groups.of(np.array([0, 0, 0, 1, 2, 2]))
    assert groups.rows(np.array([2, 0, 2])).tolist() == [4, 5, 0, 1, 2, 4, 5]


def test_the_published_page_has_the_text_of_the_current_template():
    published = (FOLDER / "README.md").read_text()
    paragraphs = [part for part in _PAGE.split("\n\n") if "{" not in part]
    assert len(paragraphs) > 5
    assert [part for part in paragraphs if part.strip() not in published] == []
