"""How the fields of one sample become the number that meets a rule's threshold."""

from __future__ import annotations

from monitor.core.gpu.counters import Recent
from monitor.core.gpu.state import GpuState
from monitor.core.gpu.table import Condition, GpuRule
from schemas.time_units import MINUTE_US


def measure(
    gpu: GpuState, rule: GpuRule, fields: dict[str, float], growth: dict[str, float]
) -> float:
    """Turn the sample's fields into the number that meets the rule's threshold.

    Parameters
    ----------
    gpu : GpuState
        Its memory of the last while; changed.
    rule : GpuRule
        At least one of its fields is in the sample.
    fields, growth : dict of str to float
        The sample's values, those of counters as two readings agree on them, and how
        much its counters grew.

    Returns
    -------
    float
        In the rule's own unit: see ``Condition``.
    """
    here = [name for name in rule.fields if name in fields]
    if rule.condition is Condition.BIT_MINUTES:
        return _count_minutes(gpu, rule, int(fields[here[0]]))
    if rule.condition is Condition.LEVEL:
        return max(fields[name] for name in here)
    grown = max((growth.get(name, 0) for name in here), default=0)
    if rule.condition is Condition.INCREASE:
        return grown
    recent = gpu.recents.setdefault(rule.name, Recent())
    if grown:
        recent.add(gpu.last_us, grown)
    return recent.total(gpu.last_us, rule.within_us)


def _count_minutes(gpu: GpuState, rule: GpuRule, bits: int) -> int:
    """Count the minutes, this one included, in which one of the rule's bits was set."""
    minute = gpu.last_us // MINUTE_US
    first = minute - rule.within_us // MINUTE_US + 1
    minutes = [m for m in gpu.minutes.get(rule.name, []) if m >= first]
    if bits & rule.mask and minute not in minutes:
        minutes.append(minute)
    gpu.minutes[rule.name] = minutes
    return len(minutes)
