"""Lengths of stored slots, their state in a commit, and when they close."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.core.windowing.packed_pane import pack_pane
from monitor.core.windowing.stored import spans as spans_module
from monitor.core.windowing.stored.folding import HOLD_US, MAX_HELD_BYTES, SLOTS, StoredSlots
from monitor.core.windowing.stored.spans import Span, Spans, model_number, span_of
from monitor.core.windowing.stored.state import MAX_TEXT, SlotState
from monitor.core.windowing.watermark import SourceMarks
from monitor.core.windowing.watermark_message import WatermarkMessage
from schemas.config.model import ModelConfig
from schemas.errors import TransportError
from schemas.time_units import HOUR_US, MINUTE_US, SECOND_US
from tests.support.store.stored import pane_of

times = st.integers(-(1 << 62), 1 << 60)
marks = st.builds(
    SourceMarks,
    st.text(max_size=20),
    st.integers(1, 9),
    st.dictionaries(st.integers(0, 9), times, max_size=9),
    st.lists(st.integers(0, 9), max_size=9),
)
spans = st.builds(
    Spans,
    st.builds(Span, st.integers(1, 10**9), st.integers(0, 10**9)),
    st.dictionaries(
        st.integers(0, 2**32 - 1), st.builds(Span, st.just(7), st.integers(0, 9)), max_size=5
    ),
)


def config(name: str, **window: str) -> ModelConfig:
    features = {"x": {"kind": "numeric"}}
    return ModelConfig.model_validate({"model": name, "features": features, "window": window})


def word(watermark_us: int, partition: int = 3, n: int = 4, **changes) -> WatermarkMessage:
    source = changes.pop("source", "topic-1")
    return WatermarkMessage(source, partition, n, "o", watermark_us, **changes)


def opened(*watermarks_us: int) -> StoredSlots:
    slots = StoredSlots(7, "id", SlotState([]))
    for partition, watermark_us in enumerate(watermarks_us):
        slots.observe(word(watermark_us, partition), 0)
    return slots


@given(st.lists(marks, max_size=4), times, times, spans)
def test_a_state_is_read_back_as_it_was(sources, horizon_us, since_us, own):
    text = SlotState(sources, horizon_us, since_us, own).text()
    assert SlotState.parse(text) == SlotState(sources, horizon_us, since_us, own)
    assert not set("|;!") & set(text)


def test_the_state_of_many_partitions_fits_into_a_commit():
    rng = np.random.default_rng(1)
    base_us = 1_767_225_600_000_000
    for n, n_left in ((450, 450), (5_000, 1)):
        wms = {p: base_us - int(rng.integers(0, 30 * SECOND_US)) for p in range(n)}
        text = SlotState([SourceMarks("predictions-id", n, wms, [])]).text()
        assert len(text) <= MAX_TEXT
        assert len(SlotState.parse(text).sources[0].watermarks) >= n_left


@pytest.mark.parametrize("text", ["x", "????", "AAAA", "eJwDAAAAAAE"])
def test_a_damaged_state_is_refused(text):
    with pytest.raises(TransportError, match="state of slots"):
        SlotState.parse(text)


def test_a_slot_is_the_longest_part_of_tick_and_window_made_of_panes():
    lengths = {"1h": 300, "1d": 300, "8m": 240, "2m": 120, "90s": 90, "10s": 10}
    for length, slot_s in lengths.items():
        assert span_of(config("m", length=length)).slot_us == slot_s * SECOND_US
    assert span_of(config("m", pane="7s", length="70s")).slot_us == 70 * SECOND_US
    own = config("m").decision.model_copy(update={"tick_us": 2 * MINUTE_US})
    models = {"1h": 120, "3m": 60}
    for length, slot_s in models.items():
        made = config("m", length=length).model_copy(update={"decision": own})
        assert span_of(made).slot_us == slot_s * SECOND_US
    odd = config("m", pane="7s", length="70s").model_copy(update={"decision": own})
    assert span_of(odd).slot_us == 7 * SECOND_US


def test_models_that_differ_are_exceptions_as_long_as_they_fit(monkeypatch):
    configs = [config("a"), config("b"), config("c", length="2m", lateness="2m")]
    found = Spans.of(configs)
    assert found.base == Span()
    assert found.exceptions == {model_number("default", "c"): Span(2 * MINUTE_US, 2 * MINUTE_US)}
    assert found["default", "c"] != found["default", "unknown"] == Span()
    monkeypatch.setattr(spans_module, "MAX_EXCEPTIONS", 0)
    assert Spans.of(configs) == Spans(Span(MINUTE_US, 2 * MINUTE_US))


def test_a_partition_that_is_an_hour_behind_holds_no_slot():
    slots = opened(0, 0, 0, 0)
    assert slots.add(pack_pane(pane_of()), 1) == []
    assert slots.observe(word(6 * MINUTE_US), 2) == []
    (total,) = slots.observe(word(6 * MINUTE_US + HOLD_US), 3)
    assert (total.source, total.partition, total.pane_version) == (f"{SLOTS}:id", 7, 3)
    assert (total.start_us, total.end_us) == (0, 5 * MINUTE_US)


def test_panes_that_may_change_are_written_alone_when_all_are_idle():
    slots = opened(0, 0, 0)
    slots.add(pack_pane(pane_of(version=5)), 1)
    for partition in range(3):
        assert slots.observe(word(0, partition, is_idle=True), 2) == []
    (pane,) = slots.observe(word(30 * SECOND_US, is_idle=True), 3)
    assert (pane.source, pane.pane_version) == ("topic-1", 5)
    (pane,) = slots.add(pack_pane(pane_of(version=6)), 4)
    assert pane.pane_version == 6
    slots.observe(word(HOUR_US), 5)
    assert slots.add(pack_pane(pane_of(version=7)), 6) == []
    assert slots.counters == {"alone": 2, "repeated": 1}


def test_a_source_that_was_replaced_holds_no_slot():
    slots = opened(0, 0)  # two of four partitions, never heard of again
    slots.observe(word(MINUTE_US, 0, 1, source="new"), 1)
    slots.add(pack_pane(pane_of()), 2)
    assert len(slots.observe(word(6 * MINUTE_US, 0, 1, source="new"), 3)) == 1


def test_slots_close_when_too_many_bytes_are_held(monkeypatch):
    module = "monitor.core.windowing.stored.folding.MAX_HELD_BYTES"
    monkeypatch.setattr(module, 5_000)
    assert MAX_HELD_BYTES > 5_000
    slots, written = opened(), []
    for i in range(20):
        written += slots.add(pack_pane(pane_of(i * 10 * SECOND_US, version=1)), i)
    assert 5 < len(written) <= 20
    assert slots.first_offset is None
