"""The state of one model: windows, evidence, open alerts. Written at every close."""

from __future__ import annotations

import msgspec

from monitor.core.drift.decide import SeriesState
from monitor.core.drift.windows import WindowState
from monitor.core.pipeline_health.state import PipelineState
from monitor.core.state.snapshot_store import read_body
from schemas.alerts import Alert
from schemas.panes import SeriesId


class SeriesEntry(msgspec.Struct, array_like=True):
    """The state of one series id."""

    tenant: str
    model: str
    model_version: str
    profile_id: str
    state: SeriesState

    @property
    def series(self) -> SeriesId:
        """Return the id of the series."""
        return SeriesId(self.tenant, self.model, self.model_version, self.profile_id)


class ModelState(msgspec.Struct):
    """The state message of one model.

    It is written after the results of a close and before its alerts. After a crash, a new
    owner sends ``alerts`` again if this state was written, and else closes the windows again.
    """

    sequence: int
    """Counts the state messages of this model; the highest is used."""
    windows: WindowState
    series: list[SeriesEntry]
    alerts: list[Alert]
    """Of this close."""
    log_id: str = ""
    """Id of the panes topic of the offsets in ``windows``: a recreated topic repeats offsets."""
    pipeline: PipelineState | None = None
    """None in states of older versions."""


def read_model_state(body: bytes) -> ModelState:
    """Decode a model's state; ``state_checks`` checks its values.

    Raises
    ------
    DomainError
        If the bytes are not such a state.
    """
    return read_body(body, ModelState)
