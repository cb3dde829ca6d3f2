"""Computes the number that is compared with a rule's threshold from a sample."""

from __future__ import annotations

from monitor.core.gpu.counters import Recent
from monitor.core.gpu.state import GpuState
from monitor.core.gpu.table import Condition, GpuRule
from schemas.time_units import MINUTE_US


def measure(
    gpu: GpuState, rule: GpuRule, fields: dict[str, float], growth: dict[str, float]
) -> float:
    """Return the number of a sample that is compared with the rule's threshold.

    Parameters
    ----------
    gpu : GpuState
        State of the GPU; updated in place.
    rule : GpuRule
        Rule with at least one field in the sample.
    fields, growth : dict of str to float
        Values of the sample, with counters as confirmed by two readings, and growth of its
        counters.

    Returns
    -------
    float
        In the rule's unit, see ``Condition``.
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
    """Return the number of minutes, including this one, in which one of the rule's bits was set."""
    minute = gpu.last_us // MINUTE_US
    first = minute - rule.within_us // MINUTE_US + 1
    minutes = [m for m in gpu.minutes.get(rule.name, []) if m >= first]
    if bits & rule.mask and minute not in minutes:
        minutes.append(minute)
    gpu.minutes[rule.name] = minutes
    return len(minutes)
