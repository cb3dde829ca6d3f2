"""The state of silent source partitions: those with an open alert."""

from __future__ import annotations

import msgspec

from monitor.core.bounds import MAX_PARTITIONS, check_number, check_struct, check_text
from monitor.core.incidents.alert_checks import check_alerts
from monitor.core.state.snapshot_store import read_body
from schemas.alerts import Alert
from schemas.errors import DomainError


class SilenceState(msgspec.Struct):
    """The state message of ``SourceSilence``."""

    open: dict[str, tuple[str, int, int]]
    """By ``source|partition``: source, partition, time of the opening alert."""
    alerts: list[Alert]
    """Alerts sent after this state, and again on restore."""


def read_silence_state(body: bytes) -> SilenceState:
    """Decode and check a state.

    Raises
    ------
    DomainError
        If the bytes are not such a state, a key is not that of its partition, or a value is
        out of its domain.
    """
    state = read_body(body, SilenceState)
    check_struct(state)
    check_number("open", len(state.open), 0, MAX_PARTITIONS)
    for key, (source, partition, opened_us) in state.open.items():
        check_struct(opened_us, "opened_us")
        if key != f"{check_text('source', source)}|{partition}":
            raise DomainError(f"{key[:80]!r} is not the key of a source")
    check_alerts(state.alerts)
    return state
