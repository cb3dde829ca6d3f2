"""The table of GPU rules. To add a rule, add a row."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from schemas.alerts import Severity
from schemas.time_units import DAY_US, MINUTE_US

QUIET_US = 10 * MINUTE_US
"""Time without another event after which a rule without ``for_us`` resolves (our judgement)."""


class Condition(StrEnum):
    """How the number that is compared with a rule's threshold is computed."""

    LEVEL = "level"
    """Largest of the newest values."""
    INCREASE = "increase"
    """Growth of a counter since the previous sample; the largest of the fields."""
    INCREASE_WITHIN = "increase_within"
    """Growth of a counter over ``within_us``."""
    BIT_MINUTES = "bit_minutes"
    """Number of minutes in the last ``within_us`` in which a bit of ``mask`` was set."""
    FATAL_XIDS = "fatal_xids"
    """Number of XIDs of the fatal tier within ``within_us``."""
    SILENCE = "silence"
    """Reporting intervals without a sample; evaluated by ``monitor.core.gpu.silence``."""
    CLOCK = "clock"
    """Clock offset of a host in seconds; evaluated by ``monitor.core.gpu.arrival``."""


@dataclass(frozen=True, slots=True)
class GpuRule:
    """One failure and its condition."""

    name: str
    condition: Condition
    threshold: float
    severity: Severity
    what: str
    """Description, displayed after "GPU 7 on node-2: "."""
    action: str
    source: str
    fields: tuple[str, ...] = ()
    for_us: int = 0
    """Time for which the condition must be met before the rule fires."""
    within_us: int = 0
    clear_us: int | None = None
    """Time for which the value must be below 80 % of the threshold; None for twice ``for_us``."""
    mask: int = 0
    is_latched: bool = False
    """Whether it resolves only by a reset, a reboot or a replacement."""
    is_ended_by_reset: bool = False
    """Whether a reset resolves it although it can also resolve by itself."""

    @property
    def quiet_us(self) -> int:
        """Quiet time after which the rule resolves."""
        return 2 * self.for_us if self.clear_us is None else self.clear_us


TELEMETRY_RULES = frozenset({"exporter_lost", "clock_offset"})
"""Rules on telemetry rather than hardware: their cause is pipeline, and they are no evidence."""

_P1, _P2 = Severity.PAGE, Severity.TICKET
_RMA = "drain, run field diagnosis, start an RMA"

RULES: tuple[GpuRule, ...] = (
    # Latched, unlike the published rule: its action is a reset, and an uncorrectable error is not
    # fixed by ten quiet minutes.
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
    # The GPUs may be healthy: they are unobserved, not failed, so a ticket (our judgement).
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
"""Counters in the card's memory, which no reset decreases.

All others restart from 0 when the driver is loaded or the GPU is reset: a missed restart would hide
later counts.
"""

FLAGS = frozenset(
    {"row_remap_pending", "row_remap_failure", "sram_exceeded", "memory_unrepairable"}
    | {"retired_pending", "gpu_reset", "driver_reload", "reboot"}
)
"""Fields that are 1 or 0, which some exporters write as boolean or as Yes and No."""

RELOAD_COUNTERS = frozenset({"total_energy_consumption", "ecc_sbe_vol_total", "ecc_dbe_vol_total"})
"""Volatile counters whose decrease, confirmed by a second reading, indicates a driver reload."""

RESET_FIELDS = frozenset({"gpu_reset", "driver_reload", "reboot"})
"""Fields that report a reset if non-zero; it resolves every latched rule of the GPU."""

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
    """Return the canonical name of a field, for any version of an exporter.

    Parameters
    ----------
    name : str
        ``DCGM_FI_DEV_CLOCK_THROTTLE_REASONS``, ``clocks_event_reasons`` ...

    Returns
    -------
    str
        In lower case, without DCGM's prefix; renamed fields have their new name.

    Examples
    --------
    >>> field_name("DCGM_FI_DEV_CLOCK_THROTTLE_REASONS")
    'clocks_event_reasons'
    """
    short = name.lower().removeprefix("dcgm_fi_").removeprefix("dev_")
    return _RENAMED.get(short, short)
