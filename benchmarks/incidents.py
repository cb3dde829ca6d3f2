"""What an alert costs when thousands of incidents are open.

``open_us``: median time of an alert that opens an incident beside 3,000 open ones, of as many
models; ``open_us_10``: beside ten. ``join_us``: of an alert that joins one of 3,000, ``gpu_us``:
of a GPU's alert, and ``replica_us``: of a replica's, each without a cause among them.
``wide_us``: of an alert that opens an incident beside 3,000 of one model.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from time import perf_counter

import msgspec

from benchmarks.output import Figures, main
from monitor.core.incidents.grouping import Incidents
from schemas.alerts import Alert, Severity, Transition
from schemas.monitors import Monitor
from schemas.time_units import HOUR_US

N_OPEN = 3_000


def measure(is_quick: bool) -> Figures:
    n = 200 if is_quick else 2_000
    many = _opened(N_OPEN, _alert)
    return {
        "open_us": _median_us(many, n, _alert),
        "open_us_10": _median_us(_opened(10, _alert), n, _alert),
        "join_us": _median_us(many, n, lambda k: _alert(k % N_OPEN, segment=f"s={k}")),
        "gpu_us": _median_us(many, n, _of_gpu),
        "replica_us": _median_us(many, n, _of_replica),
        "wide_us": _median_us(_opened(N_OPEN, _wide), n, _wide),
        "n_open": N_OPEN,
    }


def _opened(n: int, alert: Callable[[int], Alert]) -> Incidents:
    """Return so many open incidents."""
    incidents = Incidents()
    for k in range(n):
        incidents.observe(alert(k), 0)
    return incidents


def _median_us(incidents: Incidents, n: int, alert: Callable[[int], Alert]) -> float:
    """Time alerts one by one; each is resolved before the next comes."""
    seconds = []
    for k in range(N_OPEN, N_OPEN + n):
        opened = alert(k)
        resolved = _resolved(opened)
        begin_s = perf_counter()
        incidents.observe(opened, 0)
        seconds.append(perf_counter() - begin_s)
        incidents.observe(resolved, 0)
    return statistics.median(seconds) * 1e6


def _alert(k: int, **more: str) -> Alert:
    """Return the alert of a model's feature."""
    values = {"model": f"model{k}", "feature": "age", "segment": "*", **more}
    return Alert(
        alert_id="-".join(("drift", *values.values())),
        tenant="default",
        monitor=Monitor.DRIFT,
        transition=Transition.OPENED,
        severity=Severity.TICKET,
        time_us=5 * HOUR_US,
        opened_at_us=5 * HOUR_US,
        sequence=0,
        title="age drifted",
        window_start_us=3 * HOUR_US,
        window_end_us=5 * HOUR_US,
        n_windows=2,
        **values,
    )


def _wide(k: int) -> Alert:
    """Return the alert of one of many features of one model."""
    return _alert(0, feature=f"feature{k}")


def _of_gpu(k: int) -> Alert:
    """Return the alert of a GPU that no open incident concerns."""
    return _changed(_alert(k), Monitor.GPU, model="", host=f"node{k}", gpu_uuid=f"GPU-{k}")


def _of_replica(k: int) -> Alert:
    """Return the alert of a replica that no open incident concerns."""
    return _changed(_alert(k, feature="score", segment=f"host=node{k}"), Monitor.REPLICA)


def _changed(alert: Alert, monitor: Monitor, **more: str) -> Alert:
    """Return the same alert of another monitor."""
    rule = "xid_79" if monitor is Monitor.GPU else ""
    return msgspec.structs.replace(
        alert, alert_id=f"{monitor}-{alert.alert_id}", monitor=monitor, rule=rule, **more
    )


def _resolved(alert: Alert) -> Alert:
    """Return the end of an alert."""
    return msgspec.structs.replace(
        alert, alert_id=f"{alert.alert_id}-end", transition=Transition.RESOLVED
    )


if __name__ == "__main__":
    main(__doc__ or "", measure)
