"""A model that changes to rule 2 starts from the panes and alerts of the store."""

from __future__ import annotations

import fcntl
import json
import logging
from dataclasses import replace

import numpy as np
import pytest
from msgspec import UNSET

from detectors.kernels.scale_state import SAMPLES
from monitor.core.drift.ticks.decider import ScaleDecider
from monitor.core.drift.ticks.rebuilding import OpenSpan
from monitor.core.windowing.packed_pane import pack_pane
from monitor.core.windowing.slot_length import check_slot
from monitor.core.windowing.stored.folding import StoredSlots
from monitor.core.windowing.stored.spans import Spans
from monitor.core.windowing.stored.state import SlotState
from monitor.core.windowing.watermark_message import WatermarkMessage
from monitor.detect.stored_ticks import REBUILT, rebuild_from_store, rebuild_models
from monitor.storage.clickhouse import Store
from monitor.storage.lock import LOCK_NAME
from monitor.storage.pane_columns import pane_rows
from monitor.storage.rows import alert_rows
from monitor.storage.stored_alerts import open_spans
from monitor.storage.stored_panes import longest_pane_us, read_panes
from schemas.alerts import Alert, Severity, Transition
from schemas.config.model import ModelConfig
from schemas.errors import ConfigError
from schemas.panes import Pane
from schemas.time_units import HOUR_US, MINUTE_US
from tests.support.worlds.ticks import (
    CONFIG,
    SETTINGS,
    START_US,
    TICK_US,
    Driver,
    draw,
    log_of,
    panes_of,
    series,
)

pytestmark = pytest.mark.integration

N_MINUTES = 320
UNNAMED = ModelConfig.model_validate({k: v for k, v in SETTINGS.items() if k != "decision"})
"""A config that names no rule: earlier versions judged it by rule 1."""
RULE_1 = ModelConfig.model_validate(SETTINGS | {"decision": {"rule": 1}})
VARIABLES = CONFIG.schema_.variables
UNTIL_US = START_US + 5 * HOUR_US


def alert(feature: str, transition: Transition, hour: int, opened: int, **fields) -> Alert:
    return Alert(
        alert_id=f"{feature}-{transition.value}-{hour}", tenant="default", monitor="drift",
        transition=transition, severity=Severity.TICKET, time_us=START_US + hour * HOUR_US,
        opened_at_us=START_US + opened * HOUR_US, sequence=0, title="", model="ticked",
        model_version="1", feature=feature, segment="*",
        window_start_us=START_US + (opened - 1) * HOUR_US, **fields,
    )  # fmt: skip


ALERTS = [
    alert("c", Transition.OPENED, 2, 2),
    alert("c", Transition.ESCALATED, 3, 2),
    alert("c", Transition.RESOLVED, 4, 2),
    alert("a", Transition.OPENED, 4, 4),
    alert("score", Transition.OPENED, 1, 1),
    alert("score", Transition.RESOLVED, 3, 1),
]


@pytest.fixture
def driver() -> Driver:
    return restarted()


def restarted() -> Driver:
    """A model that rule 1 has judged for five hours, restarted under rule 2."""
    panes = panes_of(draw(np.random.default_rng(1), N_MINUTES, 8))
    own = Driver(RULE_1)
    own.run(log_of(panes, N_MINUTES)[:-1])
    own.catalog.configs["default", "ticked"] = CONFIG
    own.restart()
    return own


@pytest.fixture
def store(tmp_path):
    with Store.open(tmp_path / "store") as store:
        store.migrate()
        yield store


def fill(store: Store, length: int = 1) -> None:
    """Archive the panes of two partitions, one of them in two versions."""
    rows = draw(np.random.default_rng(1), N_MINUTES, 8)
    rows = replace(rows, minute=rows.minute // length * length)
    partition = np.random.default_rng(2).integers(0, 2, len(rows.minute))
    panes = panes_of(rows, partition, version=3)
    for pane in panes:
        pane.end_us = pane.start_us + length * MINUTE_US
    store.insert("panes", pane_rows([(pane, VARIABLES) for pane in panes]))
    store.insert("panes", pane_rows([(replace(p, pane_version=1), VARIABLES) for p in panes[:9]]))
    store.insert("alerts", alert_rows(ALERTS))


def test_alerts_of_the_store_are_times_in_which_they_were_open(store):
    fill(store)
    spans = open_spans(store, "default", "ticked", (START_US + 3 * HOUR_US, UNTIL_US))
    assert spans == [
        OpenSpan("1", "a", "*", START_US + 3 * HOUR_US, UNTIL_US),
        OpenSpan("1", "c", "*", START_US + HOUR_US, START_US + 4 * HOUR_US),
    ]


def test_averages_are_rebuilt_and_the_rebuild_is_recorded_once(driver, store):
    fill(store)
    rebuild_models(driver.core, store)
    (decider,) = driver.core._deciders["default", "ticked"].values()
    assert (decider.averages.scales[:, 0, SAMPLES] > 3).all()
    rows = decider.history.past(0, 0, 0).rows.sum()
    assert rows == 3 * 60 * 8  # of ``a``, whose alert is open for the last two hours
    rebuild_models(driver.core, store)
    (row,) = store.query("SELECT * FROM audit FINAL").to_pylist()
    assert (row["tenant"], row["model"], row["model_version"]) == ("default", "ticked", "1")
    assert (row["action"], row["actor"], row["time_us"]) == (REBUILT, "detect", UNTIL_US)
    detail = json.loads(row["detail"])
    assert detail["left_out_hours"] == {"a|*": 2.0, "c|*": 3.0, "score|*": 3.0}
    assert detail["profile_id"] == series().profile_id


def test_a_model_that_names_no_rule_changes_with_its_alerts_and_averages(store):
    rows = draw(np.random.default_rng(1), N_MINUTES, 8, shift=1.0, shift_from=60)
    panes = panes_of(rows)
    messages = log_of(panes, N_MINUTES)[:-1]
    before = Driver(RULE_1)
    before.run(messages)
    (opened,) = [a for a in before.opened() if a.feature == "a"]
    old = before.series_state()
    assert (old.rule, bool(old.evidence)) == (UNSET, True)
    before.catalog.configs["default", "ticked"] = UNNAMED
    before.restart()
    store.insert("panes", pane_rows([(pane, VARIABLES) for pane in panes]))
    store.insert("alerts", alert_rows(list(before.alerts.values())))
    rebuild_models(before.core, store)
    (decider,) = before.core._deciders["default", "ticked"].values()
    assert isinstance(decider, ScaleDecider)
    (kept,) = [s for key, s in decider.open_alerts.items() if key.startswith("drift|a|")]
    assert kept.opened_at_us == opened.opened_at_us
    assert kept.first_positive_us == opened.window_start_us
    assert (decider.averages.scales[:, 0, SAMPLES] > 3).any()
    more = log_of(panes_of(draw(np.random.default_rng(2), N_MINUTES + 70, 8)), N_MINUTES + 70)
    before.run([*messages, *more[len(messages) :]], before.core.position)
    new = before.series_state()
    assert (new.rule, new.evidence) == (2, b"")
    assert store.query("SELECT action FROM audit").to_pydict() == {"action": [REBUILT]}
    again = [a for a in before.opened() if a.feature == "a"]
    assert again == [opened], "the alert was taken over, and is not opened again"


def slots_of(panes: list[Pane], n_partitions: int) -> list[Pane]:
    """Return what the archive writes of panes: totals of slots, once all have closed."""
    slots, written, offset = StoredSlots(0, "id", SlotState([], spans=Spans.of([RULE_1]))), [], 0
    for begin in range(0, N_MINUTES + 30, 5):
        until_us = START_US + (begin + 5) * MINUTE_US
        for pane in panes:
            if until_us - 5 * MINUTE_US <= pane.start_us < until_us:
                written += slots.add(pack_pane(pane), offset)
        for partition in range(n_partitions):
            offset += 1
            word = WatermarkMessage("s", partition, n_partitions, "o", until_us)
            written += slots.observe(word, offset)
    return written


def test_averages_from_slots_are_those_from_panes(driver, store):
    fill(store)
    rebuild_models(driver.core, store)
    (of_panes,) = driver.core._deciders["default", "ticked"].values()
    wanted = of_panes.averages.scales.copy()
    rows = draw(np.random.default_rng(1), N_MINUTES, 8)
    partition = np.random.default_rng(2).integers(0, 2, len(rows.minute))
    slots = slots_of(panes_of(rows, partition, version=3), 2)
    assert {slot.end_us - slot.start_us for slot in slots} == {TICK_US}
    assert len(slots) == N_MINUTES // 5
    store.command("TRUNCATE TABLE panes")
    store.insert("panes", pane_rows([(slot, VARIABLES) for slot in slots]))
    other = restarted()
    rebuild_models(other.core, store)
    (of_slots,) = other.core._deciders["default", "ticked"].values()
    assert np.array_equal(of_slots.averages.scales, wanted)


def test_windows_of_whole_slots_can_be_judged_and_shorter_ones_are_refused(store):
    slots = slots_of(panes_of(draw(np.random.default_rng(1), 60, 8)), 1)
    store.insert("panes", pane_rows([(slot, VARIABLES) for slot in slots]))
    stored_us = longest_pane_us(store, "default", "ticked")
    check_slot(10 * MINUTE_US, stored_us, "ticked")
    found = read_panes(store, "default", "ticked", VARIABLES, 10 * MINUTE_US)
    assert [int(pane.segments.n_rows[0]) for pane in found] == [80] * 6
    with pytest.raises(ConfigError, match="--pane 1m"):
        check_slot(MINUTE_US, stored_us, "ticked")


def test_panes_longer_than_a_tick_are_not_used(driver, store, caplog):
    fill(store, length=10)
    with caplog.at_level(logging.WARNING):
        rebuild_models(driver.core, store)
    assert "is no multiple of its panes: 10m" in caplog.text
    assert store.query("SELECT count() AS n FROM audit").to_pydict() == {"n": [0]}


def test_an_embedded_store_is_read_and_written_unless_it_is_held(driver, tmp_path, caplog):
    folder = tmp_path / "store"
    with Store.open(folder) as store:
        store.migrate()
        fill(store)
    requests = list(driver.core.rebuilds)
    with (folder / LOCK_NAME).open("r+") as held, caplog.at_level(logging.WARNING):
        fcntl.flock(held, fcntl.LOCK_EX)
        rebuild_from_store(driver.core, str(folder))
    assert "another process holds the store" in caplog.text
    assert "stop it until detect has started" in caplog.text
    (decider,) = driver.core._deciders["default", "ticked"].values()
    assert (decider.averages.scales[:, 0, SAMPLES] == 0).all()
    driver.core.rebuilds = requests
    rebuild_from_store(driver.core, str(folder))
    assert (decider.averages.scales[:, 0, SAMPLES] > 3).all()
    assert driver.core.rebuilds == []
    with Store.open(folder) as store:
        assert store.query("SELECT action FROM audit").to_pydict() == {"action": [REBUILT]}


@pytest.mark.parametrize("target", ["driftline-store", "http://127.0.0.1:9/none"])
def test_without_a_store_that_answers_averages_begin_empty(driver, target, caplog):
    with caplog.at_level(logging.WARNING):
        rebuild_from_store(driver.core, target)
    assert "begins with empty averages" in caplog.text
    assert driver.core.rebuilds == []
    driver.run(log_of([], 0), driver.core.position)
