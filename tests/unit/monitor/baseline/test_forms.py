"""A baseline written before values had one form: it fits today's events."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from monitor.baseline.baseline_file import load_baseline, save_baseline
from monitor.baseline.fit import misfits
from monitor.core.windowing.accumulators import summarize
from monitor.core.windowing.layout import Layout
from monitor.decode import Decoder, chunk_of
from schemas.baselines import Baseline
from schemas.batch import EventBatch, StringColumn
from schemas.config.model import ModelConfig
from schemas.panes import MISSING, UNSEEN
from tests.support.data import EXTRACTS

FILE = EXTRACTS / "old_spellings.profile"
"""2,000 rows: discount i % 5 of 0, .1, .2, .3, .7; flag True of 30 %; code i % 5 of 7.0, 7, 007,
NA, x; store i % 3 of 3.0, 4.0, NA; prediction 1.0 of a quarter. Written by version 0.1.0."""
CONFIG = ModelConfig.model_validate(
    {
        "model": "old",
        "features": {
            "discount": {"kind": "numeric"},
            "flag": {"kind": "categorical"},
            "code": {"kind": "categorical"},
        },
        "segments": ["store"],
        "positive": "1.0",
    }
)
N = 2_000


@pytest.fixture
def baseline() -> Baseline:
    return load_baseline(FILE)


def rows() -> EventBatch:
    """The rows of its reference, as JSON events bring them today."""
    events = [
        {
            "model": "old",
            "time_us": i,
            "features": {
                "discount": [0.0, 0.1, 0.2, 0.3, 0.7][i % 5],
                "flag": i % 10 < 3,
                "code": [7.0, 7, "007", None, "x"][i % 5],
            },
            "segments": {"store": [3, 4, None][i % 3]},
            "score": (i % 7) / 7,
            "prediction": 1 if i % 4 == 0 else 0,
        }
        for i in range(N)
    ]
    chunk = chunk_of([json.dumps(event).encode() for event in events], "t")
    (batch,) = Decoder([CONFIG.schema_]).decode(chunk).batches
    return batch


def test_its_categories_have_their_forms_and_the_sum_of_their_counts(baseline):
    discount, flag, code, _ = baseline.variables
    assert discount.edges.tolist() == [0.0, 0.0, 0.1, 0.2, 0.3, 0.7]
    assert flag.categories == ("false", "true")
    assert code.categories == ("007", "7", "x")
    assert baseline.reference.segments == ("*", "store=3", "store=4", "store=NA")
    counts = baseline.reference.counts[0]
    assert counts[1, :2].tolist() == [1_400, 600]
    assert counts[2, [0, 1, 2, MISSING]].tolist() == [400, 800, 400, 400]
    assert counts.sum(axis=-1).tolist() == [N] * 4


def test_the_same_rows_as_events_of_today_have_the_same_counts(baseline):
    found = summarize(rows(), Layout(CONFIG.schema_, baseline))[0]
    known = baseline.reference
    for name in ("*", "store=3", "store=4"):
        i, j = found.segments.index(name), known.segments.index(name)
        assert np.array_equal(found.counts[i], known.counts[j])
        assert found.n_positive[i] == known.n_positive[j]
    assert found.counts[0, :, UNSEEN].sum() == 0


def test_booleans_written_as_digits_fall_into_the_same_counters(baseline):
    batch = rows()
    flag = batch.categorical[0]
    digits = StringColumn(flag.codes, [{"true": "1", "false": "0"}[v] for v in flag.values])
    changed = replace(batch, categorical=(digits, *batch.categorical[1:]))
    layout = Layout(CONFIG.schema_, baseline)
    assert np.array_equal(summarize(changed, layout)[0].counts, summarize(batch, layout)[0].counts)


def test_it_fits_its_config_and_is_written_in_the_new_form(baseline, tmp_path):
    assert misfits(CONFIG, baseline) == []
    again = load_baseline(save_baseline(baseline, tmp_path))
    assert [v.categories for v in again.variables] == [v.categories for v in baseline.variables]
    assert np.array_equal(again.reference.counts, baseline.reference.counts)
    assert again.profile_id == baseline.profile_id


def test_a_category_that_is_verbatim_is_left_alone_when_it_is_read_again(baseline, tmp_path):
    kept = load_baseline(save_baseline(baseline, tmp_path))
    variable = kept.variables[2]
    object.__setattr__(variable, "categories", ("NA", "True", "x"))
    assert load_baseline(save_baseline(kept, tmp_path)).variables[2].categories[:2] == (
        "NA",
        "True",
    )
