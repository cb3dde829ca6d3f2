"""Restored evidence: what cannot have been written is refused."""

from __future__ import annotations

import numpy as np
import pytest

from monitor.core.drift.decide import SeriesDecider
from monitor.core.drift.state_checks import check_evidence
from schemas.errors import DomainError
from schemas.panes import SeriesId
from tests.support.worlds.small import CONFIG, build_small_world


@pytest.fixture
def decider() -> SeriesDecider:
    (baseline,) = build_small_world().catalog.baselines_for("default", "small", "1")
    series = SeriesId("default", "small", "1", baseline.profile_id)
    return SeriesDecider(series, CONFIG, baseline)


def test_evidence_at_its_start_is_accepted(decider):
    check_evidence(decider)


@pytest.mark.parametrize(("name", "value"), [("ratios", -1), ("ratios", np.nan), ("n_windows", -1)])
def test_evidence_that_is_negative_or_not_a_number_is_refused(decider, name, value):
    getattr(decider.evidence, name).flat[-1] = value
    with pytest.raises(DomainError, match="negative or not a number"):
        check_evidence(decider)
