"""GPU rules, on hand-made signatures."""

from __future__ import annotations

from dataclasses import replace

import pytest

from monitor.core.gpu.rules import GpuRules
from monitor.core.gpu.table import RULES, Condition, GpuRule, field_name
from monitor.core.gpu.xid import CATALOGUE, NVLINK, Tier
from schemas.alerts import Alert, Severity, Transition
from schemas.config.monitor import GpuConfig
from schemas.errors import ConfigError, DriftlineError
from schemas.events import GpuEvent

S = 1_000_000
MINUTE = 60 * S
HOUR = 60 * MINUTE


def sample(time_s: float, gpu: int = 0, host: str = "node-1", **fields: float) -> GpuEvent:
    return GpuEvent(
        host=host, gpu_uuid=f"{host}-{gpu}", gpu=gpu, time_us=int(time_s * S), fields=fields
    )


def xid(time_s: float, code: int, gpu: int = 0, host: str = "node-1") -> GpuEvent:
    return GpuEvent(host=host, gpu_uuid=f"{host}-{gpu}", gpu=gpu, time_us=int(time_s * S), xid=code)


def feed(rules: GpuRules, *events: GpuEvent) -> list[Alert]:
    return [alert for event in events for alert in rules.observe(event)]


def changes(alerts: list[Alert]) -> list[tuple[str, str]]:
    return [(a.rule, a.transition.value) for a in alerts]


@pytest.fixture
def rules() -> GpuRules:
    return GpuRules(GpuConfig())


def test_the_same_fatal_xid_ten_minutes_later_is_a_second_event(rules: GpuRules) -> None:
    alerts = feed(rules, xid(0, 79), xid(600, 79))
    assert changes(alerts) == [("xid_79", "opened"), ("xid_79", "escalated")]
    assert [a.sequence for a in alerts] == [0, 1]
    assert alerts[1].title.endswith("2 times")
    assert "RMA" in alerts[1].action
    assert alerts[0].alert_id != alerts[1].alert_id


def test_an_xid_of_another_code_brings_no_phantom_of_the_first(rules: GpuRules) -> None:
    alerts = feed(rules, xid(0, 79), sample(30, xid_errors=79), xid(60, 31), sample(90))
    assert changes(alerts) == [("xid_79", "opened"), ("xid_31", "opened")]


@pytest.mark.parametrize(("gap_s", "n"), [(0, 1), (5, 1), (5.1, 2)])
def test_equal_xids_within_five_seconds_are_one(rules: GpuRules, gap_s: float, n: int) -> None:
    assert len(feed(rules, xid(100, 79), xid(100 + gap_s, 79))) == n


def test_a_burst_replayed_adds_nothing(rules: GpuRules) -> None:
    burst = [xid(t, 95) for t in (0, 4, 8, 12)]
    assert len(feed(rules, *burst, *burst)) == 1


@pytest.mark.parametrize(
    ("code", "severity", "latched"),
    [
        *((c, Severity.PAGE, True) for c in (79, 46, 62, 64, 95, 110, 119, 120, 136, 140, 143)),
        *((c, Severity.PAGE, True) for c in (155, 156, 158, 48, 74, 54, 151)),
        *((c, Severity.TICKET, False) for c in (94, 31, 13, 8, 11, 25, 32, 39, 40, 41, 69, 80)),
        *((c, Severity.TICKET, False) for c in (109, 154, 144, 150)),
        *((c, Severity.RECORD, False) for c in (63, 92, 43, 44, 37, 38, 66, 67, 121, 137, 141)),
        *((c, Severity.RECORD, False) for c in (157, 160, 161, 45)),
        *((c, Severity.TICKET, False) for c in (122, 1, 999)),
    ],
)
def test_each_xid_has_its_tier(
    rules: GpuRules, code: int, severity: Severity, latched: bool
) -> None:
    alerts = feed(rules, sample(0), xid(1, code))
    assert [(a.rule, a.severity) for a in alerts] == [(f"xid_{code}", severity)]
    assert alerts[0].action
    later = feed(rules, *(sample(t, row_remap_pending=0) for t in range(30, 1800, 30)))
    assert [a.transition for a in later] == ([] if latched else [Transition.RESOLVED])


@pytest.mark.parametrize(
    ("recovery", "severity"),
    [(0, Severity.RECORD), (1, Severity.PAGE), (2, Severity.PAGE), (3, Severity.PAGE)],
)
def test_xid_154_maps_to_the_recovery_action(
    rules: GpuRules, recovery: int, severity: Severity
) -> None:
    alerts = feed(rules, sample(0, DCGM_FI_DEV_GET_GPU_RECOVERY_ACTION=recovery), xid(1, 154))
    assert [a.severity for a in alerts] == [severity]


def test_xid_154_becomes_graver_when_the_recovery_action_comes_later(rules: GpuRules) -> None:
    alerts = feed(rules, sample(0), xid(1, 154), sample(30, gpu_recovery_action=2))
    assert [a.severity for a in alerts] == [Severity.TICKET, Severity.PAGE]
    assert alerts[1].transition is Transition.ESCALATED
    assert "reboot" in alerts[1].action


@pytest.mark.parametrize("gap_h", [1, 25])
def test_xid_109_pages_the_second_time_within_a_day(rules: GpuRules, gap_h: int) -> None:
    alerts = feed(rules, xid(0, 109), xid(gap_h * 3600, 109))
    expected = Severity.PAGE if gap_h < 24 else Severity.TICKET
    opened = [a.severity for a in alerts if a.transition is not Transition.RESOLVED]
    assert opened == [Severity.TICKET, expected]


def test_xid_109_pages_at_once_when_the_gpu_asks_for_recovery(rules: GpuRules) -> None:
    alerts = feed(rules, sample(0, gpu_recovery_action=1), xid(1, 109))
    assert alerts[0].severity is Severity.PAGE
    assert "reset" in alerts[0].action


def test_xid_45_names_the_error_it_follows(rules: GpuRules) -> None:
    alerts = feed(rules, xid(0, 31), xid(2, 45))
    assert alerts[1].severity is Severity.RECORD
    assert "follow XID 31" in alerts[1].action


def test_xid_63_leaves_a_remap_pending(rules: GpuRules) -> None:
    alerts = feed(rules, sample(0), xid(1, 63), *(sample(t) for t in range(30, 400, 30)))
    assert changes(alerts) == [("xid_63", "opened"), ("row_remap_pending", "opened")]
    assert alerts[1].time_us == 301 * S
    reset = feed(rules, sample(400, gpu_reset=1))
    assert changes(reset) == [("row_remap_pending", "resolved")]


def test_five_fatal_xids_in_a_day_go_to_support(rules: GpuRules) -> None:
    alerts = feed(rules, *(xid(3600 * i, (79, 48, 79, 95, 79)[i]) for i in range(5)))
    assert changes(alerts)[-1] == ("fatal_xid_recurrence", "opened")
    assert [a.rule for a in alerts].count("fatal_xid_recurrence") == 1
    assert "support" in alerts[-1].action


def test_five_fatal_xids_in_two_days_do_not(rules: GpuRules) -> None:
    alerts = feed(rules, *(xid(12 * 3600 * i, 79) for i in range(5)))
    assert "fatal_xid_recurrence" not in {a.rule for a in alerts}


def test_a_storm_is_counted_whole_and_reported_seldom(rules: GpuRules) -> None:
    alerts = feed(rules, *(xid(6 * i, 95) for i in range(1000)))
    storm = [a for a in alerts if a.rule == "xid_95"]
    assert len(storm) < 16
    assert storm[-1].title.endswith("640 times")


def test_an_xid_from_before_the_reset_is_only_recorded(rules: GpuRules) -> None:
    alerts = feed(rules, sample(0), sample(100, gpu_reset=1), xid(50, 79))
    assert [(a.rule, a.severity) for a in alerts] == [("xid_79", Severity.RECORD)]


@pytest.mark.parametrize("field", ["ecc_dbe_vol_total", "DCGM_FI_DEV_ECC_DBE_AGG_TOTAL"])
def test_one_double_bit_error_pages_and_stays_until_a_reset(rules: GpuRules, field: str) -> None:
    quiet = feed(rules, sample(0, **{field: 7}), sample(30, **{field: 7}))
    opened = feed(rules, sample(60, **{field: 8}))
    later = feed(rules, *(sample(60 + t, **{field: 8}) for t in range(30, 7200, 30)))
    closed = feed(rules, sample(7300, gpu_reset=1, **{field: 8}))
    assert quiet == later == []
    assert [(a.severity, a.gpu_uuid) for a in opened] == [(Severity.PAGE, "node-1-0")]
    assert changes(closed) == [("double_bit_ecc", "resolved")]


def test_volatile_and_aggregate_growing_together_are_one_alert(rules: GpuRules) -> None:
    alerts = feed(
        rules,
        sample(0, ecc_dbe_vol_total=0, ecc_dbe_agg_total=4),
        sample(30, ecc_dbe_vol_total=1, ecc_dbe_agg_total=5),
    )
    assert changes(alerts) == [("double_bit_ecc", "opened")]


def test_a_counter_that_restarts_counts_from_zero(rules: GpuRules) -> None:
    alerts = feed(
        rules, *(sample(30 * i, ecc_dbe_vol_total=v) for i, v in enumerate((5000, 0, 3, 3)))
    )
    assert changes(alerts) == [("double_bit_ecc", "opened")]
    assert alerts[0].time_us == 60 * S


def test_a_hundred_driver_reloads_raise_nothing(rules: GpuRules) -> None:
    blank = float(2**63 - 16)
    alerts: list[Alert] = []
    for i in range(100):
        start = 600 * i
        for j in range(10):
            alerts += feed(
                rules,
                sample(
                    start + 30 * j,
                    ecc_sbe_vol_total=j,
                    ecc_dbe_vol_total=blank if j == 0 else 0,
                    ecc_dbe_agg_total=0 if j == 1 and i % 3 == 0 else 12,
                    uncorrectable_remapped_rows=blank if j == 0 else 3,
                    correctable_remapped_rows=0 if j == 0 else 7,
                    total_energy_consumption=1000.0 * (j + 1),
                    row_remap_pending=blank if j == 0 else 0,
                ),
            )
        alerts += rules.tick((start + 300) * S)
    assert alerts == []


@pytest.mark.parametrize(
    "sign",
    [
        {"driver_reload": 1.0},
        {"gpu_reset": 1.0},
        {"reboot": 1.0},
        {"total_energy_consumption": 5.0},
        {"ecc_sbe_vol_total": 0.0},
    ],
)
def test_latched_rules_end_with_a_reset(rules: GpuRules, sign: dict[str, float]) -> None:
    feed(rules, sample(0, total_energy_consumption=9e9, ecc_sbe_vol_total=4), xid(10, 79))
    assert changes(feed(rules, sample(300, **sign), sample(330, **sign))) == [
        ("xid_79", "resolved")
    ]


@pytest.mark.parametrize("field", ["total_energy_consumption", "ecc_sbe_vol_total"])
def test_one_low_reading_of_a_reload_counter_is_no_reset(rules: GpuRules, field: str) -> None:
    feed(rules, sample(0, **{field: 9000}), xid(10, 79))
    readings = (9000, 0, 9000, 5, 9001, 9002)
    assert feed(rules, *(sample(30 * i, **{field: v}) for i, v in enumerate(readings, 1))) == []


def test_an_xid_after_a_reload_outlives_its_confirmation(rules: GpuRules) -> None:
    feed(rules, sample(0, total_energy_consumption=9e9), xid(10, 79))
    reload = [sample(30, total_energy_consumption=5), xid(40, 79)]
    assert changes(feed(rules, *reload)) == [("xid_79", "escalated")]
    assert feed(rules, *(sample(t, total_energy_consumption=t) for t in range(60, 180, 30))) == []


def test_latched_rules_end_with_a_new_driver_version(rules: GpuRules) -> None:
    first, second = sample(0), sample(300)
    first.driver_version, second.driver_version = "550.1", "560.2"
    feed(rules, first, xid(10, 79))
    assert changes(feed(rules, second)) == [("xid_79", "resolved")]


def test_a_card_that_answers_zero_energy_was_not_reset(rules: GpuRules) -> None:
    feed(rules, sample(0, total_energy_consumption=9e9), xid(10, 79))
    assert feed(rules, *(sample(t, total_energy_consumption=0) for t in (30, 60, 90))) == []
    assert feed(rules, sample(120, total_energy_consumption=9.1e9)) == []


def test_a_new_uuid_in_a_silent_slot_is_a_replacement(rules: GpuRules) -> None:
    feed(rules, sample(0), xid(10, 79))
    new = GpuEvent(host="node-1", gpu_uuid="new", gpu=0, time_us=7200 * S)
    assert changes(feed(rules, new)) == [("xid_79", "resolved")]
    assert feed(rules, sample(20, ecc_dbe_vol_total=9), sample(40, row_remap_failure=1)) == []


def test_mig_instances_in_one_slot_do_not_replace_each_other(rules: GpuRules) -> None:
    feed(rules, sample(0), xid(10, 79))
    other = GpuEvent(host="node-1", gpu_uuid="MIG-1", gpu=0, time_us=30 * S)
    assert feed(rules, other, sample(30)) == []


def test_a_pending_remap_waits_five_minutes(rules: GpuRules) -> None:
    early = feed(rules, *(sample(t, row_remap_pending=1) for t in range(0, 300, 30)))
    fired = feed(rules, sample(300, row_remap_pending=1))
    assert early == []
    assert [(a.rule, a.severity, a.time_us) for a in fired] == [
        ("row_remap_pending", Severity.TICKET, 300 * S)
    ]


def test_a_wait_that_is_over_fires_by_the_watermark_alone(rules: GpuRules) -> None:
    feed(rules, *(sample(t, row_remap_pending=1) for t in range(0, 300, 30)))
    fired = rules.tick(301 * S)
    assert [(a.rule, a.time_us) for a in fired] == [("row_remap_pending", 300 * S)]


def test_a_wait_restarts_after_a_gap(rules: GpuRules) -> None:
    alerts = feed(rules, sample(0, row_remap_pending=1), sample(3600, row_remap_pending=1))
    assert alerts == []


def test_a_wait_interrupted_does_not_fire(rules: GpuRules) -> None:
    values = [1] * 9 + [0] + [1] * 9
    alerts = feed(rules, *(sample(30 * i, row_remap_pending=v) for i, v in enumerate(values)))
    assert alerts == []


def test_clearing_takes_twice_the_for_duration(rules: GpuRules) -> None:
    feed(rules, *(sample(t, row_remap_pending=1) for t in range(0, 330, 30)))
    quiet = feed(rules, *(sample(t, row_remap_pending=0) for t in range(330, 930, 30)))
    over = feed(rules, sample(930, row_remap_pending=0))
    assert quiet == []
    assert [(a.transition, a.time_us) for a in over] == [(Transition.RESOLVED, 930 * S)]


def test_a_relapse_while_clearing_is_no_new_alert(rules: GpuRules) -> None:
    feed(rules, *(sample(t, row_remap_pending=1) for t in range(0, 330, 30)))
    relapse = [sample(t, row_remap_pending=int(t == 600)) for t in range(330, 1200, 30)]
    assert feed(rules, *relapse) == []
    assert changes(feed(rules, sample(1230, row_remap_pending=0))) == [
        ("row_remap_pending", "resolved")
    ]


def test_hysteresis_needs_a_fall_below_eighty_percent() -> None:
    hot = GpuRule(
        "hot",
        Condition.LEVEL,
        100,
        Severity.TICKET,
        "hot",
        "cool it",
        "test",
        fields=("gpu_temp",),
        for_us=MINUTE,
    )
    rules = GpuRules(GpuConfig(), (*RULES, hot))
    assert changes(feed(rules, *(sample(t, gpu_temp=101) for t in (0, 30, 60)))) == [
        ("hot", "opened")
    ]
    assert feed(rules, *(sample(t, gpu_temp=85) for t in range(90, 900, 30))) == []
    assert changes(feed(rules, *(sample(t, gpu_temp=79) for t in range(900, 1050, 30)))) == [
        ("hot", "resolved")
    ]


@pytest.mark.parametrize("field", ["row_remap_failure", "SRAM_EXCEEDED", "memory_unrepairable"])
def test_flags_that_cannot_heal_are_latched(rules: GpuRules, field: str) -> None:
    assert feed(rules, sample(0, **{field: 0})) == []
    assert [a.severity for a in feed(rules, sample(15, **{field: 1}))] == [Severity.PAGE]
    assert feed(rules, *(sample(t, **{field: 0}) for t in range(30, 7200, 30))) == []


def test_remapped_rows_are_a_ticket_until_there_are_512(rules: GpuRules) -> None:
    name = "uncorrectable_remapped_rows"
    alerts = feed(rules, *(sample(30 * i, **{name: v}) for i, v in enumerate((3, 4, 4, 512, 512))))
    opened = [(a.rule, a.severity) for a in alerts if a.transition is Transition.OPENED]
    assert opened == [
        ("uncorrectable_remaps", Severity.TICKET),
        ("uncorrectable_remaps_total", Severity.PAGE),
    ]


@pytest.mark.parametrize(("grown", "fires"), [(8, False), (9, True)])
def test_more_than_eight_correctable_remaps_a_day_plan_a_swap(
    rules: GpuRules, grown: int, fires: bool
) -> None:
    alerts = feed(
        rules, *(sample(7200 * i, correctable_remapped_rows=40 + i) for i in range(grown + 1))
    )
    assert [a.rule for a in alerts] == ["correctable_remaps"] * fires


def test_correctable_remaps_over_two_days_do_not(rules: GpuRules) -> None:
    events = [sample(4 * 3600 * i, correctable_remapped_rows=i) for i in range(13)]
    assert feed(rules, *events) == []


@pytest.mark.parametrize(
    ("bits", "n_minutes", "fires"),
    [(0x40, 6, True), (0x8, 6, True), (0x48, 5, False), (0x4, 10, False), (0x80, 10, False)],
)
def test_heat_slows_the_gpu_in_six_of_ten_minutes(
    rules: GpuRules, bits: int, n_minutes: int, fires: bool
) -> None:
    alerts = feed(
        rules,
        *(
            sample(60 * m + s, DCGM_FI_DEV_CLOCK_THROTTLE_REASONS=bits if m < n_minutes else 0)
            for m in range(10)
            for s in (0, 30)
        ),
    )
    assert [a.rule for a in alerts] == ["thermal_slowdown"] * fires


def fleet(rules: GpuRules, until: dict[int, float], end_s: int, step_s: int = 30) -> list[Alert]:
    """Eight GPUs report every 30 s, each until its own last second."""
    alerts = []
    for t in range(0, end_s, step_s):
        for gpu in range(8):
            if t <= until.get(gpu, end_s):
                alerts += rules.observe(sample(t + gpu, gpu))
        alerts += rules.tick((t + 8) * S)
    return alerts


def test_one_silent_gpu_among_siblings_is_lost_alone(rules: GpuRules) -> None:
    alerts = fleet(rules, {3: 600}, 1200)
    assert [(a.rule, a.gpu_uuid) for a in alerts] == [("gpu_lost", "node-1-3")]
    assert alerts[0].time_us - 603 * S == 90 * S


def silent_host(rules: GpuRules, is_alive: bool) -> list[Alert]:
    """All GPUs stop at 600 s; another host keeps the stream going."""
    alerts = []
    for t in range(0, 1200, 10):
        if t <= 600 and t % 30 == 0:
            alerts += feed(rules, *(sample(t + gpu, gpu) for gpu in range(8)))
        alerts += feed(rules, sample(t, host="node-9"))
        if is_alive:
            rules.observe_host("node-1", t * S)
        alerts += rules.tick(t * S)
    return alerts


@pytest.mark.parametrize(
    ("is_alive", "rule", "severity"),
    [(True, "exporter_lost", Severity.TICKET), (False, "node_lost", Severity.PAGE)],
)
def test_a_silent_host_is_one_alert_and_rightly_named(
    rules: GpuRules, is_alive: bool, rule: str, severity: Severity
) -> None:
    alerts = silent_host(rules, is_alive)
    assert [(a.rule, a.host, a.gpu_uuid, a.severity) for a in alerts] == [
        (rule, "node-1", "", severity)
    ]
    assert alerts[0].time_us <= (600 + 120) * S


@pytest.mark.parametrize("order", [range(8), range(7, -1, -1)])
def test_staggered_last_samples_of_a_dying_node_name_no_single_gpu(
    rules: GpuRules, order: range
) -> None:
    last = {gpu: 600 + 3.5 * i for i, gpu in enumerate(order)}
    alerts = []
    for t in range(0, 1200):
        for gpu, end in last.items():
            if t <= end and t % 30 == int(end) % 30:
                alerts += rules.observe(sample(t, gpu))
        alerts += rules.tick(t * S)
    assert [a.rule for a in alerts] == ["node_lost"]


def test_a_gpu_that_comes_back_for_good_resolves(rules: GpuRules) -> None:
    fleet(rules, {3: 600}, 1200)
    back = []
    for t in range(1200, 1500, 30):
        for gpu in range(8):
            back += rules.observe(sample(t + gpu, gpu))
        back += rules.tick(t * S)
    assert changes(back) == [("gpu_lost", "resolved")]


def test_a_repeated_old_sample_does_not_bring_a_lost_gpu_back(rules: GpuRules) -> None:
    fleet(rules, {3: 600}, 1200)
    assert feed(rules, sample(603, 3), sample(400, 3)) == []
    assert rules.tick(1190 * S) == []


def test_a_gpu_known_from_xids_alone_is_never_called_silent(rules: GpuRules) -> None:
    feed(rules, xid(0, 31))
    assert {a.rule for a in rules.tick(HOUR)} == {"xid_31"}


def test_blank_values_are_dropped(rules: GpuRules) -> None:
    blank = float(2**63 - 1)
    alerts = feed(
        rules,
        sample(0, ecc_dbe_vol_total=0, row_remap_failure=blank),
        sample(30, ecc_dbe_vol_total=blank, row_remap_failure=2147483632),
        sample(60, ecc_dbe_vol_total=0, row_remap_failure=float("nan")),
    )
    assert alerts == []


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("DCGM_FI_DEV_ROW_REMAP_PENDING", "row_remap_pending"),
        ("DCGM_FI_DEV_THRESHOLD_SRM", "sram_exceeded"),
        ("Clock_Throttle_Reasons", "clocks_event_reasons"),
        ("DCGM_FI_PROF_SM_ACTIVE", "prof_sm_active"),
        ("gpu_temp", "gpu_temp"),
    ],
)
def test_renamed_fields_have_one_name(name: str, expected: str) -> None:
    assert field_name(name) == expected


def test_thresholds_and_switches_come_from_the_config() -> None:
    config = GpuConfig(disabled=("xid_79", "row_remap_failure"), thresholds={"sram_exceeded": 2})
    rules = GpuRules(config)
    assert feed(rules, xid(0, 79), sample(1, row_remap_failure=1, sram_exceeded=1)) == []
    assert changes(feed(rules, sample(31, sram_exceeded=2))) == [("sram_exceeded", "opened")]


@pytest.mark.parametrize(
    "config",
    [
        GpuConfig(disabled=("nonsense",)),
        GpuConfig(thresholds={"nonsense": 1}),
        GpuConfig(thresholds={"sram_exceeded": 0}),
    ],
)
def test_a_config_that_names_no_rule_is_refused(config: GpuConfig) -> None:
    with pytest.raises(ConfigError, match="gpu"):
        GpuRules(config)


def test_a_new_failure_is_only_a_new_row() -> None:
    level = next(rule for rule in RULES if rule.name == "row_remap_pending")
    retired = replace(
        level, name="retired_pages", fields=("retired_dbe",), threshold=63, for_us=0, clear_us=0
    )
    rules = GpuRules(GpuConfig(), (*RULES, retired))
    assert changes(feed(rules, sample(0, retired_dbe=63))) == [("retired_pages", "opened")]


def test_ids_are_the_same_in_every_run() -> None:
    events = [xid(0, 79), sample(30, ecc_dbe_vol_total=0), sample(60, ecc_dbe_vol_total=1)]
    first, second = (feed(GpuRules(GpuConfig()), *events) for _ in range(2))
    assert first == second
    assert len({a.alert_id for a in first}) == len(first) == 2


def test_state_that_is_not_ours_is_refused(rules: GpuRules) -> None:
    with pytest.raises(DriftlineError, match="GPU rules"):
        rules.restore(b"\x93\x01\x02\x03")


@pytest.mark.parametrize(
    "field", ["ecc_dbe_agg_total", "uncorrectable_remapped_rows", "correctable_remapped_rows"]
)
@pytest.mark.parametrize(
    "readings", [(10, 9, 10), (10, 0, 10), (10, 9, 9, 8, 10), (10, 700, 10), (10, 10, 9)]
)
def test_a_persistent_counter_that_dips_has_not_grown(
    rules: GpuRules, field: str, readings: tuple[int, ...]
) -> None:
    values = (*readings, *readings, readings[0], readings[0])
    assert feed(rules, *(sample(30 * i, **{field: v}) for i, v in enumerate(values))) == []


@pytest.mark.parametrize("readings", [(10, 0, 10), (10, 9, 10), (10, 600, 10)])
def test_one_bad_reading_of_a_volatile_counter_is_no_error(
    rules: GpuRules, readings: tuple[int, ...]
) -> None:
    values = (*readings, *readings)
    assert (
        feed(rules, *(sample(30 * i, ecc_dbe_vol_total=v) for i, v in enumerate(values, 1))) == []
    )


def test_errors_after_an_announced_reset_count_in_full(rules: GpuRules) -> None:
    feed(rules, sample(0, ecc_dbe_vol_total=1), sample(30, ecc_dbe_vol_total=0, gpu_reset=1))
    assert changes(feed(rules, sample(60, ecc_dbe_vol_total=1))) == [("double_bit_ecc", "opened")]


def test_a_persistent_counter_that_was_cleared_counts_again(rules: GpuRules) -> None:
    readings = [40] * 3 + [0] * 12 + [1] * 3
    alerts = feed(rules, *(sample(30 * i, ecc_dbe_agg_total=v) for i, v in enumerate(readings)))
    assert changes(alerts) == [("double_bit_ecc", "opened")]


def test_thresholds_are_those_of_the_sources() -> None:
    assert {rule.name: rule.threshold for rule in RULES} == {
        "double_bit_ecc": 1,
        "row_remap_pending": 1,
        "row_remap_failure": 1,
        "sram_exceeded": 1,
        "memory_unrepairable": 1,
        "uncorrectable_remaps": 1,
        "uncorrectable_remaps_total": 512,
        "correctable_remaps": 9,
        "thermal_slowdown": 6,
        "fatal_xid_recurrence": 5,
        "gpu_lost": 3,
        "exporter_lost": 3,
        "clock_offset": 60,
        "node_lost": 3,
    }


def test_every_xid_is_in_its_tier_and_links_fail_together() -> None:
    tiers: dict[Tier, set[int]] = {}
    for code, xid in CATALOGUE.items():
        assert xid.code == code
        tiers.setdefault(xid.tier, set()).add(code)
    fatal = {46, 48, 54, 62, 64, 74, 79, 95, 110, 119, 120, 136, 140, 143, 151, 155, 156, 158}
    assert tiers == {
        Tier.FATAL: fatal,
        Tier.MAPPED: {144, 145, 146, 147, 148, 149, 150, 154},
        Tier.OWNER: {8, 11, 13, 25, 31, 32, 39, 40, 41, 69, 80, 94, 109},
        Tier.RECORD: {37, 38, 43, 44, 63, 66, 67, 92, 121, 137, 141, 157, 160, 161},
        Tier.FOLLOWS: {45},
    }
    assert {74, 121, 136, 137, 144, 145, 146, 147, 148, 149, 150, 155} == NVLINK
