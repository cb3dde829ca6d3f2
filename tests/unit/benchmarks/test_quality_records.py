"""The full run of the multi-scale rule can be taken in parts."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.quality.changes import planted_changes
from benchmarks.quality.planted import PlantedRun
from benchmarks.quality.quiet import QuietRate, QuietRun
from benchmarks.quality.records import Record, line, missing, planted_of, quiet_of, read
from benchmarks.quality.rule_2 import figures_of
from benchmarks.quality.scale_tables import page, planted_table, quiet_table
from benchmarks.quality.worlds import MOVING, QUIET, RECURRING, SEASON, worlds

CHANGE = next(p for p in planted_changes() if p.name == "shift 0.2 sd")
FIRST_OF_GROUP = [
    next(w for w in worlds() if w.group == group) for group in (QUIET, MOVING, SEASON, RECURRING)
]


def records():
    peers = {"KS": (4.0, np.inf, 3.0), "chi-square": (2.0, 3.0, np.inf)}
    run = PlantedRun(CHANGE, (1.0, 1.5, np.inf), (0.0, 0.25), 2, 0, 1, peers)
    quiet = [Record(w.name, 1, QuietRun(3.0, 1, 1, 0, 0.01)) for w in FIRST_OF_GROUP]
    return [
        *quiet,
        Record(FIRST_OF_GROUP[0].name, 2, QuietRun(3.0, 0, 0, 0, 0.0)),
        Record(CHANGE.name, 1, run),
    ]


def test_runs_are_read_as_they_were_written(tmp_path):
    path = tmp_path / "runs.jsonl"
    assert read(path) == []
    path.write_text("".join(line(r) + "\n" for r in records()))
    assert read(path) == records()


def test_only_what_is_missing_is_run():
    name = FIRST_OF_GROUP[0].name
    left = [(own.name, seed) for own, seed in missing(records(), range(1, 4), name)]
    assert (name, 3) in left
    assert (name, 1) not in left
    assert (name, 2) not in left
    assert all(name in own for own, _ in left)


def test_figures_have_the_keys_of_the_acceptance():
    quiet, planted = quiet_of(records()), planted_of(records())
    found = figures_of(quiet, planted)
    assert found["quiet_worst"] == 1 / 6
    assert found["moving_worst"] == found["season_worst"] == found["recurring_worst"] == 1 / 3
    assert found["planted_met"] == 0.0
    assert found["delay_ratio_calibrated"] == 0.5
    assert found["reopenings"] == 1 / 3
    assert found["onset_ticks"] == 1.5
    assert found["quiet_months_a_world"] == 6.0


@pytest.mark.parametrize(("n", "months", "is_met"), [(3, 37.0, True), (4, 40.0, False)])
def test_of_36_quiet_months_the_interval_must_end_below_a_quarter(n, months, is_met):
    """Of 40 months 4 incidents are .1 a month, and perhaps .26."""
    quiet, moving = FIRST_OF_GROUP[0], FIRST_OF_GROUP[1]
    run = QuietRun(months, n, n, 0, 0.0)
    assert QuietRate(quiet, (run,)).per_month <= 0.1
    assert QuietRate(quiet, (run,)).is_met is is_met
    assert QuietRate(moving, (run,)).is_met


def test_a_full_run_has_at_least_36_months_of_each_world():
    for world in worlds():
        months = world.n_models * world.days * 24 / 730
        assert 36 <= months < 36 + world.days * 24 / 730


def test_tables_have_a_row_each_and_the_page_has_both():
    quiet, planted = quiet_of(records()), planted_of(records())
    assert len(quiet_table(quiet).splitlines()) == 2 + 4
    row = planted_table(planted).splitlines()[2]
    assert "| shift 0.2 sd | 1.5 | 2 | 67% | **no** |" in row
    text = page(quiet, planted, [1, 2])
    assert "Seeds 1 to 2" in text
    assert "0.50" in text
