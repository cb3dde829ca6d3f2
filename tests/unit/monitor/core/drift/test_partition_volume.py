"""Which baseline gives the expected volume where a model has several, or a window has none."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from monitor.baseline.build import build_baseline
from monitor.core.drift.partition import DriftPartition
from monitor.core.pipeline_health.watch import PipelineWatch
from monitor.core.windowing.catalog import Catalog
from schemas.alerts import VOLUME
from schemas.baselines import Baseline
from schemas.config.model import ModelConfig
from schemas.intake import Intake
from schemas.panes import ALL, ClosedBy, SeriesId, SeriesStats, Window
from schemas.time_units import HOUR_US

CONFIG = ModelConfig.model_validate({"model": "m", "features": {"x": {"kind": "numeric"}}})
FIRST_US = 2_000 * 168 * HOUR_US
N_HOURS = 60


@pytest.fixture(scope="module")
def baselines() -> list[Baseline]:
    """Of versions 1 and 2: two weeks of 200 rows an hour."""
    found = []
    for version in ("1", "2"):
        rng = np.random.default_rng(int(version))
        n = 14 * 24 * 200
        columns = {
            "time_us": FIRST_US + np.arange(n) * (HOUR_US // 200),
            "x": rng.normal(size=n),
            "score": rng.random(n),
        }
        found.append(build_baseline(pa.table(columns), CONFIG, model_version=version))
    return found


def window(baseline: Baseline, hour: int, n_rows: int) -> Window:
    start_us = FIRST_US + 15 * 24 * HOUR_US + hour * HOUR_US
    stats = SeriesStats.empty((ALL,), len(baseline.variables))
    stats.n_rows[0] = n_rows
    series = SeriesId(CONFIG.tenant, "m", baseline.model_version, baseline.profile_id)
    none = SeriesStats.empty((), 1)
    return Window(series, start_us, start_us + HOUR_US, stats, none, 1, ClosedBy.WATERMARK)


def alerts(baselines: list[Baseline], windows: list[list[Window]], intakes: list[Intake]) -> list:
    """Return (hour, transition) of the alerts on volume."""
    owner = DriftPartition(Catalog.of([CONFIG], baselines), 0, "a")
    watch = PipelineWatch(CONFIG)
    found = []
    for hour, (own, intake) in enumerate(zip(windows, intakes, strict=True)):
        start_us = FIRST_US + 15 * 24 * HOUR_US + hour * HOUR_US
        place = (start_us, start_us + HOUR_US)
        found += [(hour, a) for a in owner._volume_alerts(watch, own, place, intake)]
    assert {a.rule for _, a in found} <= {VOLUME}
    return [(hour, a.transition.value) for hour, a in found]


def test_a_job_of_equal_rows_is_named_with_the_share_that_can_be_equal(baselines):
    one, _ = baselines
    owner, watch, titles = (
        DriftPartition(Catalog.of([CONFIG], baselines), 0, "a"),
        PipelineWatch(CONFIG),
        [],
    )
    for hour in range(N_HOURS + 3):
        own = window(one, hour, 200 if hour < N_HOURS else 3_400)
        own.segments.counts[0, :, 5] = 1 if hour < N_HOURS else (3_196, 3_300)
        place = (own.start_us, own.end_us)
        titles += [a.title for a in owner._volume_alerts(watch, [own], place, Intake())]
    (title,) = titles
    assert title == (
        "m: 17 times the traffic, 3,400 rows an hour instead of 200, up to 94 % of the rows equal"
    )


def test_versions_that_take_turns_in_having_most_rows_are_judged(baselines):
    one, two = baselines
    rows = [(110, 90) if hour % 2 else (90, 110) for hour in range(N_HOURS)]
    rows += [(0, 0)] * 3
    windows = [[window(one, h, a), window(two, h, b)] for h, (a, b) in enumerate(rows)]
    found = alerts(baselines, windows, [Intake()] * len(rows))
    assert found == [(N_HOURS + 1, "opened")]


def test_events_that_are_all_rejected_are_traffic_and_silence_after_them_is_found(baselines):
    one, _ = baselines
    n_rejected = 30
    windows = [[window(one, h, 200)] for h in range(N_HOURS)] + [[] for _ in range(n_rejected)]
    windows += [[window(one, N_HOURS + n_rejected + h, 0)] for h in range(3)]
    intakes = [Intake()] * N_HOURS + [Intake(0, {"mistyped": 200})] * n_rejected + [Intake()] * 3
    assert alerts(baselines, windows, intakes) == [(N_HOURS + n_rejected + 1, "opened")]
