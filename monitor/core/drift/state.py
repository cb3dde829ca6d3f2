"""State of one model: windows, evidence, open alerts. Written when windows close."""

from __future__ import annotations

import msgspec
from msgspec import UNSET, UnsetType

from monitor.core.drift.decide import SeriesState
from monitor.core.drift.windows import WindowState
from monitor.core.pipeline_health.state import PipelineState
from monitor.core.state.snapshot_store import read_body
from schemas.alerts import Alert
from schemas.panes import SeriesId


class SeriesEntry(msgspec.Struct, array_like=True):
    """State of one series."""

    tenant: str
    model: str
    model_version: str
    profile_id: str
    state: SeriesState

    @property
    def series(self) -> SeriesId:
        """Return the series ID."""
        return SeriesId(self.tenant, self.model, self.model_version, self.profile_id)


class ActedState(msgspec.Struct, array_like=True):
    """Actions of persons that a model's state contains."""

    log_id: str
    """ID of the topic of actions."""
    offset: int
    """Actions before it have had their effect."""


class ModelState(msgspec.Struct):
    """The state message of one model.

    Written after the results of closed windows and before their alerts. After a crash, a new owner
    sends ``alerts`` again if this state was written; otherwise it closes the windows again.
    """

    sequence: int
    """Sequence number of the state messages of this model; the highest is used."""
    windows: WindowState
    series: list[SeriesEntry]
    alerts: list[Alert]
    """Alerts of the windows that closed with this state."""
    log_id: str = ""
    """ID of the panes topic that the offsets in ``windows`` belong to."""
    pipeline: PipelineState | None = None
    """None in states of earlier versions."""
    ticks: WindowState | UnsetType = UNSET
    """Unset if the model is judged by windows; unset fields are not written."""
    acted: ActedState | UnsetType = UNSET
    """Unset before the first action of a person on any model."""


def read_model_state(body: bytes) -> ModelState:
    """Decode a model's state; ``state_checks`` checks its values.

    Raises
    ------
    DomainError
        If the bytes are not such a state.
    """
    return read_body(body, ModelState)
