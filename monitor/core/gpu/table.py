"""The GPU rules as one table: a new rule is a new row."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from schemas.alerts import Severity
from schemas.time_units import DAY_US, MINUTE_US

QUIET_US = 10 * MINUTE_US
"""What has no for-duration counts as over after this long without another (our judgement)."""


class Condition(StrEnum):
    """How a row turns fields into the one number that meets its threshold."""

    LEVEL = "level"
    """The largest of the newest values."""
    INCREASE = "increase"
    """Growth of a counter since the sample before, the largest of the fields."""
    INCREASE_WITHIN = "increase_within"
    """Growth of a counter over ``within_us``."""
    BIT_MINUTES = "bit_minutes"
    """Minutes of the last ``within_us`` in which a bit of ``mask`` was set."""
    FATAL_XIDS = "fatal_xids"
    """XIDs of the fatal tier within ``within_us``."""
    SILENCE = "silence"
    """Reporting intervals without a sample; judged by ``monitor.core.gpu.silence``."""
    CLOCK = "clock"
    """Seconds that a host's clock is off; judged by ``monitor.core.gpu.arrival``."""


@dataclass(frozen=True, slots=True)
class GpuRule:
    """One failure and how it is seen."""

    name: str
    condition: Condition
    threshold: float
    severity: Severity
    what: str
    """For people, after "GPU 7 on node-2: "."""
    action: str
    source: str
    fields: tuple[str, ...] = ()
    for_us: int = 0
    """How long the condition must hold before it fires."""
    within_us: int = 0
    clear_us: int | None = None
    """How long it must stay below 80 % of the threshold; None: twice ``for_us``."""
    mask: int = 0
    is_latched: bool = False
    """Ends only with a reset, a reboot or a replacement."""
    is_ended_by_reset: bool = False
    """A reset ends it although it may also end by itself."""

    @property
    def quiet_us(self) -> int:
        """How long the rule stays quiet before it is over."""
        return 2 * self.for_us if self.clear_us is None else self.clear_us


TELEMETRY_RULES = frozenset({"exporter_lost", "clock_offset"})
"""Rules about how telemetry comes, not about hardware: cause pipeline, evidence of nothing."""

_P1, _P2 = Severity.PAGE, Severity.TICKET
_RMA = "drain, run field diagnosis, start an RMA"

RULES: tuple[GpuRule, ...] = (
    # Latched although the published rule does not say so: its action is a reset, and
    # an uncorrectable error does not become correct by ten quiet minutes.
    GpuRule(
        "double_bit_ecc",
        Condition.INCREASE,
        1,
        _P1,
        "double-bit ECC errors",
        "drain the node, reset the GPU",
        "DCGM",
        fields=("ecc_dbe_vol_total", "ecc_dbe_agg_total"),
        is_latched=True,
    ),
    GpuRule(
        "row_remap_pending",
        Condition.LEVEL,
        1,
        _P2,
        "a row waits to be remapped",
        "drain when the job ends, then reset the GPU",
        "NVIDIA",
        fields=("row_remap_pending",),
        for_us=5 * MINUTE_US,
        is_ended_by_reset=True,
    ),
    GpuRule(
        "row_remap_failure",
        Condition.LEVEL,
        1,
        _P1,
        "row remapping failed",
        _RMA,
        "NVIDIA",
        fields=("row_remap_failure",),
        is_latched=True,
    ),
    GpuRule(
        "sram_exceeded",
        Condition.LEVEL,
        1,
        _P1,
        "SRAM error threshold exceeded",
        _RMA,
        "NVIDIA",
        fields=("sram_exceeded",),
        is_latched=True,
    ),
    GpuRule(
        "memory_unrepairable",
        Condition.LEVEL,
        1,
        _P1,
        "memory cannot be repaired",
        _RMA,
        "NVIDIA",
        fields=("memory_unrepairable",),
        is_latched=True,
    ),
    GpuRule(
        "uncorrectable_remaps",
        Condition.INCREASE,
        1,
        _P2,
        "a row was remapped after an uncorrectable error",
        "reset the GPU in the next maintenance window",
        "DCGM, NVIDIA",
        fields=("uncorrectable_remapped_rows",),
        clear_us=QUIET_US,
    ),
    GpuRule(
        "uncorrectable_remaps_total",
        Condition.LEVEL,
        512,
        _P1,
        "512 or more rows remapped after uncorrectable errors",
        _RMA,
        "NVIDIA",
        fields=("uncorrectable_remapped_rows",),
        clear_us=QUIET_US,
    ),
    GpuRule(
        "correctable_remaps",
        Condition.INCREASE_WITHIN,
        9,
        _P2,
        "more than 8 rows remapped after correctable errors in 24 hours",
        "plan a swap of the GPU",
        "published rule: > 8 in 24 h",
        fields=("correctable_remapped_rows",),
        within_us=DAY_US,
        clear_us=QUIET_US,
    ),
    GpuRule(
        "thermal_slowdown",
        Condition.BIT_MINUTES,
        6,
        _P1,
        "slowed down by heat",
        "inspect cooling and airflow",
        "gpud",
        fields=("clocks_event_reasons",),
        within_us=10 * MINUTE_US,
        clear_us=20 * MINUTE_US,
        mask=0x40 | 0x8,
    ),
    GpuRule(
        "fatal_xid_recurrence",
        Condition.FATAL_XIDS,
        5,
        _P1,
        "5 or more fatal XIDs in 24 hours",
        "take it to the vendor's support; do not return it to service",
        "NVIDIA",
        within_us=DAY_US,
        clear_us=QUIET_US,
    ),
    GpuRule(
        "gpu_lost",
        Condition.SILENCE,
        3,
        _P1,
        "silent while its siblings report",
        "drain the node, reboot it",
        "GWDG study",
        clear_us=180_000_000,
    ),
    # The GPUs themselves may be well: blind, not broken, so a ticket (our judgement).
    GpuRule(
        "exporter_lost",
        Condition.SILENCE,
        3,
        _P2,
        "no GPU telemetry, the host is alive",
        "restart the GPU exporter",
        "GWDG study",
        clear_us=180_000_000,
    ),
    GpuRule(
        "clock_offset",
        Condition.CLOCK,
        60,
        _P2,
        "clock off",
        "check the host's time service (chrony, NTP)",
        "our judgement",
    ),
    GpuRule(
        "node_lost",
        Condition.SILENCE,
        3,
        _P1,
        "silent, and no activity of the host",
        "check the host's console, reboot it",
        "GWDG study",
        clear_us=180_000_000,
    ),
)

PERSISTENT = frozenset(
    {"ecc_sbe_agg_total", "ecc_dbe_agg_total", "uncorrectable_remapped_rows"}
    | {"correctable_remapped_rows", "retired_sbe", "retired_dbe"}
)
"""Counters kept in the card's memory: they never fall, whatever is reset. All others restart
from 0 when the driver is loaded or the GPU is reset: a missed restart would hide what came
after it."""

FLAGS = frozenset(
    {"row_remap_pending", "row_remap_failure", "sram_exceeded", "memory_unrepairable"}
    | {"retired_pending", "gpu_reset", "driver_reload", "reboot"}
)
"""Fields that are 1 or 0, which some exporters write as a boolean or as Yes and No."""

RELOAD_COUNTERS = frozenset({"total_energy_consumption", "ecc_sbe_vol_total", "ecc_dbe_vol_total"})
"""Volatile counters whose fall, confirmed by a second reading, shows a driver reload."""

RESET_FIELDS = frozenset({"gpu_reset", "driver_reload", "reboot"})
"""Non-zero in an event that says so outright: ends every latched rule of the GPU."""

_RENAMED = {
    "clock_throttle_reasons": "clocks_event_reasons",
    "clocks_throttle_reasons": "clocks_event_reasons",
    "threshold_srm": "sram_exceeded",
    "sram_threshold_exceeded": "sram_exceeded",
    "memory_unrepairable_flag": "memory_unrepairable",
    "get_gpu_recovery_action": "gpu_recovery_action",
    "uncorrectable_remapped_rows_total": "uncorrectable_remapped_rows",
    "correctable_remapped_rows_total": "correctable_remapped_rows",
    "power_usage_instant": "power_usage",
}


def field_name(name: str) -> str:
    """Give a field its one name, however the exporter's version spells it.

    Parameters
    ----------
    name : str
        ``DCGM_FI_DEV_CLOCK_THROTTLE_REASONS``, ``clocks_event_reasons`` ...

    Returns
    -------
    str
        Lower case, without DCGM's prefix, renamed fields under their new name.

    Examples
    --------
    >>> field_name("DCGM_FI_DEV_CLOCK_THROTTLE_REASONS")
    'clocks_event_reasons'
    """
    short = name.lower().removeprefix("dcgm_fi_").removeprefix("dev_")
    return _RENAMED.get(short, short)
