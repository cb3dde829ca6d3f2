"""The whole pipeline on real data: no alerts without a change, short delays with one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from monitor.app.in_process import Pipeline, build_pipeline
from monitor.app.installation import load_model
from monitor.baseline.build import build_baseline
from monitor.core.windowing.catalog import Catalog
from monitor.replay.timeline import replay
from monitor.transport.files import open_source, read_table
from schemas.alerts import Alert, Severity, Transition
from schemas.config.model import ModelConfig
from schemas.config.monitor import MonitorConfig
from schemas.time_units import HOUR_US, MINUTE_US
from tests.support.data import (
    CAR_LOAN,
    CENSUS,
    WHOLE_CAR_LOAN,
    WHOLE_CENSUS,
    DataSource,
    needs_shared_data,
)
from tests.support.repository import ROOT

pytestmark = pytest.mark.slow

EXAMPLES = ROOT / "deploy" / "examples" / "models"


def model_config(name: str, rule: int, pane_us: int = HOUR_US // 6) -> ModelConfig:
    """Return an example's config with panes that are long enough for low traffic."""
    config = load_model(EXAMPLES / f"{name}.yaml")
    return config.model_copy(
        update={
            "window": config.window.model_copy(update={"pane_us": pane_us}),
            "decision": config.decision.model_copy(update={"rule": rule}),
            "segments": (),
            "protected": (),
        }
    )


def run(config: ModelConfig, reference: pa.Table, current: Path, n: int) -> Pipeline:
    """Replay a table against a baseline, with ``n`` rows per one-hour window."""
    catalog = Catalog.of([config], [build_baseline(reference, config)])
    pipeline = build_pipeline(
        MonitorConfig(), catalog, source="replay", store=None, receivers={}, has_retraining=False
    )
    replay(pipeline, open_source(current, config, rows_per_window=n, start_us=0))
    pipeline.close()
    return pipeline


def opened(pipeline: Pipeline) -> list[Alert]:
    return [a for a in pipeline.alerts() if a.transition is Transition.OPENED]


def window_of(alert: Alert) -> int:
    """Index of the window that fired, counting from the first."""
    return alert.window_end_us // HOUR_US - 1


def whole(of: DataSource, n: int):
    return pytest.param(of, n, marks=needs_shared_data, id=f"whole-{n}")


@pytest.mark.parametrize(
    ("of", "n"),
    [
        *(pytest.param(CAR_LOAN, n, id=f"extract-{n}") for n in (625, 1_250)),
        *(whole(WHOLE_CAR_LOAN, n) for n in (200, 1_000, 5_000)),
    ],
)
def test_car_loan_shift_is_found_within_two_windows_and_nothing_before(of, n):
    config = model_config("car_loan", rule=1)
    reference = read_table(of.reference)
    pipeline = run(config, reference, of.analysis, n)
    shift = of.n_quiet // n
    alerts = opened(pipeline)
    assert min(window_of(a) for a in alerts) == shift + 1
    found = {a.feature for a in alerts if window_of(a) == shift + 1}
    assert {"car_value", "loan_length", "repaid_loan_on_prev_car", "score"} <= found


TICK_US = 5 * MINUTE_US
TICKS_AN_HOUR = HOUR_US // TICK_US
SHIFTED = {"car_value", "loan_length", "repaid_loan_on_prev_car", "score"}


@pytest.mark.parametrize(
    ("of", "n", "found"),
    [
        # 125 rows are few for the smaller shifts, which take three ticks and more.
        pytest.param(CAR_LOAN, 125, {"car_value"}, id="extract-125"),
        pytest.param(WHOLE_CAR_LOAN, 1_000, SHIFTED, marks=needs_shared_data, id="whole-1000"),
    ],
)
def test_car_loan_shift_is_found_within_two_ticks_and_nothing_before(of, n, found):
    config = model_config("car_loan", rule=2, pane_us=TICK_US)
    pipeline = run(config, read_table(of.reference), of.analysis, n * TICKS_AN_HOUR)
    shift_us = of.n_quiet // n * TICK_US
    alerts = opened(pipeline)
    assert min(a.time_us for a in alerts) == shift_us + 2 * TICK_US
    assert found <= {a.feature for a in alerts if a.time_us == shift_us + 2 * TICK_US}
    assert {a.feature for a in alerts} >= SHIFTED
    for alert in alerts:
        assert alert.onset is not None
        assert alert.onset.onset_low_us <= shift_us <= alert.onset.onset_high_us, alert.title


def households(relp: pa.ChunkedArray) -> np.ndarray:
    """Return the household number of each row; one starts at RELP 0, group quarters are single."""
    codes = np.array([int(v) for v in relp.to_pylist()])
    return np.cumsum((codes == 0) | (codes >= 16))


def shuffle_within_years(table: pa.Table, seed: int) -> pa.Table:
    """Shuffle whole households within each year."""
    rng, parts = np.random.default_rng(seed), []
    for year in (2016, 2017, 2018):
        part = table.filter(pc.equal(table["year"], year))
        number = households(part["RELP"])
        place = rng.permutation(number[-1] + 1)
        parts.append(part.take(np.argsort(place[number], kind="stable")))
    return pa.concat_tables(parts)


@pytest.mark.parametrize(
    ("of", "n"),
    [
        *(pytest.param(CENSUS, n, id=f"extract-{n}") for n in (1_000, 2_000)),
        *(whole(WHOLE_CENSUS, n) for n in (500, 1_000, 2_000)),
    ],
)
def test_employment_has_no_page_and_tickets_only_for_ancestry_and_great_age(of, n, tmp_path):
    config = model_config("employment", rule=1)
    reference = read_table(of.reference)
    analysis = read_table(of.analysis)
    file = tmp_path / "analysis.parquet"
    pq.write_table(shuffle_within_years(analysis, seed=1), file)
    pipeline = run(config, reference, file, n)
    alerts = opened(pipeline)
    assert not [a for a in pipeline.alerts() if a.severity is Severity.PAGE]
    assert {a.feature for a in alerts} <= {"ANC", "AGEP"}
    for alert in alerts:
        assert alert.feature == "ANC" or alert.effect_where in ("above maximum", "> 94"), (
            alert.title
        )
    assert alerts, "both have changed in each of the sources"
    assert all(window_of(a) >= of.n_quiet // n for a in alerts), "2016 is a negative control"


@pytest.mark.parametrize(
    ("of", "n", "changed"),
    [
        pytest.param(CENSUS, 1_000, set(), id="extract-1000"),
        pytest.param(WHOLE_CENSUS, 12_000, {"ANC", "AGEP"}, marks=needs_shared_data, id="whole"),
    ],
)
def test_employment_opens_nothing_in_2016_under_rule_2(of, n, changed, tmp_path):
    config = model_config("employment", rule=2, pane_us=TICK_US)
    file = tmp_path / "analysis.parquet"
    pq.write_table(shuffle_within_years(read_table(of.analysis), seed=1), file)
    pipeline = run(config, read_table(of.reference), file, n)
    alerts = opened(pipeline)
    assert {a.feature for a in alerts} <= changed
    assert not [a for a in pipeline.alerts() if a.severity is Severity.PAGE]
    assert all(a.time_us > of.n_quiet * HOUR_US // n for a in alerts), "a negative control"
