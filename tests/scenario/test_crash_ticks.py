"""A worker of rule 2 that dies after any write leaves no trace: the same results and alerts."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from monitor.baseline.build import build_baseline
from monitor.core.windowing.catalog import Catalog
from schemas.config.model import ModelConfig
from tests.scenario.test_crash_every_step import Reaper, assert_same, outcome, run
from tests.support.worlds.small import (
    CONFIG,
    SECOND_US,
    START_US,
    SmallWorld,
    build_small_world,
    reference_table,
)

OWN = CONFIG.model_dump()
TICKED = ModelConfig.model_validate(
    OWN
    | {
        "decision": {"rule": 2, "tick": "50s", "budget": 40},
        "features": OWN["features"] | {"b": {"kind": "numeric"}},
    }
)
LOST_FROM_US = START_US + 800 * SECOND_US
"""From the ninth window on every category is new."""


def _changed(value: bytes, b: float) -> bytes:
    try:
        event = json.loads(value)
        features = event["features"]
        features["b"] = b
        if event["time_us"] >= LOST_FROM_US:
            features["c"] = "never seen"
    except (ValueError, TypeError, KeyError):
        return value
    return json.dumps(event).encode()


@pytest.fixture(scope="module")
def world() -> SmallWorld:
    plain, rng = build_small_world(has_storm=True), np.random.default_rng(1)
    table = reference_table(rng)
    table = table.append_column("features.b", [rng.normal(size=len(table))])
    b = rng.normal(size=len(plain.predictions)).tolist()
    return replace(
        plain,
        catalog=Catalog.of([TICKED], [build_baseline(table, TICKED)]),
        predictions=[
            (_changed(value, own), time_us)
            for (value, time_us), own in zip(plain.predictions, b, strict=True)
        ],
    )


@pytest.fixture(scope="module")
def undisturbed(world) -> dict:
    return outcome(run(world))


def test_the_undisturbed_run_has_a_loss_found_by_ticks(undisturbed):
    drift = [a for a in undisturbed["alerts"].values() if a.monitor == "drift" and a.segment == "*"]
    assert {(a.feature, a.effect_where) for a in drift} >= {("c", "unseen")}
    opened = next(a for a in drift if a.feature == "c" and a.transition == "opened")
    assert opened.time_us == LOST_FROM_US + 100 * SECOND_US
    # Forty per cent of the categories are new from the eighth window on.
    assert opened.onset_us == LOST_FROM_US - 100 * SECOND_US
    decided = [r for r in undisturbed["results"].values() if r.metric == "decision"]
    assert {(r.monitor, r.rule) for r in decided} == {("drift", 2), ("replica", 2)}
    # The world is too short for a verdict on correlations, and its results say so.
    pairs = {(r.verdict, r.reason) for r in decided if r.feature == "correlations"}
    assert ("none", "too_few_samples") in pairs
    assert {verdict for verdict, _ in pairs} == {"none"}


@pytest.mark.parametrize("chunk_messages", [1, 13, 10_000])
def test_how_reads_are_cut_changes_no_tick(world, undisturbed, chunk_messages):
    assert_same(outcome(run(world, chunk_messages=chunk_messages)), undisturbed)


@settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    steps=st.lists(st.integers(1, 600), min_size=2, max_size=12, unique=True),
    chunk_messages=st.integers(20, 400),
)
def test_killed_again_and_again_the_ticks_are_the_same(world, undisturbed, steps, chunk_messages):
    assert_same(outcome(run(world, Reaper(*steps), chunk_messages)), undisturbed)
