"""Laws of the GPU rules."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.core.gpu.counters import Counter
from monitor.core.gpu.rules import GpuRules
from schemas.alerts import Alert, Transition
from schemas.config.monitor import GpuConfig
from schemas.events import GpuEvent

S = 1_000_000
FIELDS = (
    "ecc_dbe_vol_total",
    "DCGM_FI_DEV_ECC_DBE_AGG_TOTAL",
    "row_remap_pending",
    "row_remap_failure",
    "uncorrectable_remapped_rows",
    "correctable_remapped_rows",
    "clocks_event_reasons",
    "gpu_recovery_action",
    "total_energy_consumption",
    "gpu_reset",
    "gpu_temp",
)
values = st.one_of(
    st.none(),
    st.integers(0, 600),
    st.sampled_from([0, 1, 0x40, 2**63 - 16, 2147483632]),
    st.floats(allow_nan=True, allow_infinity=True),
)
codes = st.one_of(st.none(), st.sampled_from([79, 31, 45, 48, 63, 94, 109, 122, 154, 145]))


@st.composite
def streams(draw: st.DrawFn) -> list[GpuEvent]:
    """Events of four GPUs on two hosts, in time order, some with long gaps."""
    steps = draw(st.lists(st.sampled_from([0, 1, 7, 30, 30, 30, 90, 400]), max_size=40))
    events, time_us = [], 0
    for step in steps:
        time_us += step * S
        gpu = draw(st.integers(0, 3))
        events.append(
            GpuEvent(
                host=f"node-{gpu % 2}",
                gpu_uuid=f"GPU-{gpu}",
                gpu=gpu,
                time_us=time_us,
                fields=draw(st.dictionaries(st.sampled_from(FIELDS), values, max_size=4)),
                xid=draw(codes),
            )
        )
    return events


def run(rules: GpuRules, events: list[GpuEvent]) -> list[Alert]:
    alerts: list[Alert] = []
    for event in events:
        alerts += rules.observe(event)
        alerts += rules.tick(event.time_us - 5 * S)
    return alerts


@given(streams(), st.data())
@settings(max_examples=150, deadline=None)
def test_repeated_events_change_nothing(events: list[GpuEvent], data: st.DataObject) -> None:
    rules, again = GpuRules(GpuConfig()), GpuRules(GpuConfig())
    expected = run(rules, events)
    alerts: list[Alert] = []
    for i, event in enumerate(events):
        alerts += again.observe(event)
        alerts += again.tick(event.time_us - 5 * S)
        repeated = data.draw(st.sampled_from(events[: i + 1]))
        alerts += again.observe(repeated)
    assert alerts == expected


@given(streams(), st.integers(0, 40))
@settings(max_examples=100, deadline=None)
def test_a_restart_anywhere_changes_nothing(events: list[GpuEvent], cut: int) -> None:
    expected = run(GpuRules(GpuConfig()), events)
    first, second = GpuRules(GpuConfig()), GpuRules(GpuConfig())
    alerts = run(first, events[:cut])
    second.restore(first.export())
    assert alerts + run(second, events[cut:]) == expected


@given(streams())
@settings(max_examples=100, deadline=None)
def test_each_alert_opens_once_and_ends_at_most_once(events: list[GpuEvent]) -> None:
    open_cells: set[tuple[str, str, str]] = set()
    for alert in run(GpuRules(GpuConfig()), events):
        cell = (alert.host, alert.gpu_uuid, alert.rule)
        assert (cell in open_cells) == (alert.transition is not Transition.OPENED)
        if alert.transition is Transition.RESOLVED:
            open_cells.remove(cell)
        else:
            open_cells.add(cell)
        assert alert.opened_at_us <= alert.time_us


@given(st.lists(st.integers(0, 10_000), min_size=1, max_size=50))
def test_growth_of_a_rising_counter_adds_up(steps: list[int]) -> None:
    counter, total, grown = Counter(), 0, 0.0
    for step in steps:
        total += step
        grown += counter.observe(total)
    grown += counter.observe(total)  # a large rise counts when the next reading agrees
    assert grown == total - steps[0]


@given(
    st.lists(st.integers(0, 40), min_size=2, max_size=20),
    st.data(),
    st.booleans(),
    st.sampled_from(["low", "zero", "high"]),
)
def test_one_bad_reading_is_no_growth(
    steps: list[int], data: st.DataObject, is_persistent: bool, kind: str
) -> None:
    values = [10 + sum(steps[: i + 1]) for i in range(len(steps))]
    at = data.draw(st.integers(1, len(values) - 1))
    bad = {"low": values[at - 1] - 1, "zero": 0, "high": values[-1] + 1000}[kind]

    def grown(readings: list[int]) -> float:
        counter = Counter()
        return sum(counter.observe(v, is_persistent) for v in [*readings, values[-1], values[-1]])

    assert grown([*values[:at], bad, *values[at:]]) == grown(values)


@given(st.lists(st.integers(1, 30), min_size=2, max_size=10))
def test_dips_of_a_persistent_counter_add_nothing(readings: list[int]) -> None:
    counter = Counter()
    grown = sum(counter.observe(v, is_persistent=True) for v in readings)
    assert 0 <= grown <= max(readings) - readings[0]


@given(st.lists(st.lists(st.integers(0, 100), min_size=1, max_size=8), min_size=1, max_size=8))
def test_growth_never_exceeds_what_restarts_can_explain(lives: list[list[int]]) -> None:
    counter, grown, counted = Counter(), 0.0, 0
    for life in lives:
        value = 0
        for step in life:
            value += step
            counted += step
            grown += counter.observe(value)
    assert 0 <= grown <= counted
