"""Incidents of volume in the traffic of the worlds."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks.quality.traffic import openings, traffic

BY_NAME = {own.name: replace(own, days=min(own.days, 14)) for own in traffic()}


@pytest.mark.parametrize("name", ["1,000 rows an hour", "30 to 3,000 rows"])
def test_usual_traffic_opens_no_incident_of_volume(name):
    assert openings(BY_NAME[name], 1) == 0


def test_a_job_opens_at_most_one_incident_of_volume_each_time():
    assert openings(BY_NAME["50,000 equal rows over three hours"], 1) == 1
    assert openings(BY_NAME["50,000 equal rows at night"], 1) <= 14


def test_a_job_of_an_hour_every_night_is_an_incident_of_volume():
    hourly = replace(BY_NAME["50,000 equal rows at night"], job_ticks=12, days=4)
    assert 1 <= openings(hourly, 1) <= 4
