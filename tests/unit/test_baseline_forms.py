"""A profile written before values had one form: it fits today's events."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from monitor.baseline.baseline_file import load_profile, save_profile
from monitor.baseline.fit import misfits
from monitor.core.panes.accumulators import summarize
from monitor.core.panes.layout import Layout
from monitor.decode import Decoder, chunk_of
from schemas.baselines import Profile
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
def profile() -> Profile:
    return load_profile(FILE)


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


def test_its_categories_have_their_forms_and_the_sum_of_their_counts(profile):
    discount, flag, code, _ = profile.variables
    assert discount.edges.tolist() == [0.0, 0.0, 0.1, 0.2, 0.3, 0.7]
    assert flag.categories == ("false", "true")
    assert code.categories == ("007", "7", "x")
    assert profile.reference.segments == ("*", "store=3", "store=4", "store=NA")
    counts = profile.reference.counts[0]
    assert counts[1, :2].tolist() == [1_400, 600]
    assert counts[2, [0, 1, 2, MISSING]].tolist() == [400, 800, 400, 400]
    assert counts.sum(axis=-1).tolist() == [N] * 4


def test_the_same_rows_as_events_of_today_have_the_same_counts(profile):
    found = summarize(rows(), Layout(CONFIG.schema_, profile))[0]
    known = profile.reference
    for name in ("*", "store=3", "store=4"):
        i, j = found.segments.index(name), known.segments.index(name)
        assert np.array_equal(found.counts[i], known.counts[j])
        assert found.n_positive[i] == known.n_positive[j]
    assert found.counts[0, :, UNSEEN].sum() == 0


def test_booleans_written_as_digits_fall_into_the_same_counters(profile):
    batch = rows()
    flag = batch.categorical[0]
    digits = StringColumn(flag.codes, [{"true": "1", "false": "0"}[v] for v in flag.values])
    changed = replace(batch, categorical=(digits, *batch.categorical[1:]))
    layout = Layout(CONFIG.schema_, profile)
    assert np.array_equal(summarize(changed, layout)[0].counts, summarize(batch, layout)[0].counts)


def test_it_fits_its_config_and_is_written_in_the_new_form(profile, tmp_path):
    assert misfits(CONFIG, profile) == []
    again = load_profile(save_profile(profile, tmp_path))
    assert [v.categories for v in again.variables] == [v.categories for v in profile.variables]
    assert np.array_equal(again.reference.counts, profile.reference.counts)
    assert again.profile_id == profile.profile_id


def test_a_category_that_is_verbatim_is_left_alone_when_it_is_read_again(profile, tmp_path):
    kept = load_profile(save_profile(profile, tmp_path))
    variable = kept.variables[2]
    object.__setattr__(variable, "categories", ("NA", "True", "x"))
    assert load_profile(save_profile(kept, tmp_path)).variables[2].categories[:2] == ("NA", "True")
