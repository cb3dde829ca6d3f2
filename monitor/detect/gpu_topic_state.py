"""The state of the GPU rules over one partition of the GPU topic."""

from __future__ import annotations

import msgspec

from monitor.core.bounds import check_struct
from monitor.core.incidents.alert_checks import check_alerts
from monitor.core.state.snapshot_store import read_body
from schemas.alerts import Alert


class GpuTopicState(msgspec.Struct):
    """The state message of one partition."""

    sequence: int
    rules: bytes
    """As ``GpuRules.export`` returns it."""
    position: int
    """Offset of the GPU topic that is read next."""
    watermark_us: int
    alerts: list[Alert]
    """Sent after this state; sent again when it is restored."""
    log_id: str = ""
    """Id of the GPU topic of ``position``."""


def read_gpu_state(body: bytes) -> GpuTopicState:
    """Decode and check a state; ``GpuRules.restore`` checks ``rules``.

    Raises
    ------
    DomainError
        If the bytes are not such a state, or a value is out of its domain.
    """
    state = read_body(body, GpuTopicState)
    check_struct(state)
    check_alerts(state.alerts)
    return state
