"""What detect writes down on every close, so that any other worker can go on from there."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from monitor.core.decide import SeriesState
from monitor.core.pipeline_state import PipelineState
from monitor.core.windows import WindowState
from schemas.alerts import Alert
from schemas.errors import DomainError
from schemas.panes import SeriesId

StateT = TypeVar("StateT", bound=msgspec.Struct)


class SeriesEntry(msgspec.Struct, array_like=True):
    """The state of one series id."""

    tenant: str
    model: str
    model_version: str
    profile_id: str
    state: SeriesState

    @property
    def series(self) -> SeriesId:
        """Whose state it is."""
        return SeriesId(self.tenant, self.model, self.model_version, self.profile_id)


class ModelState(msgspec.Struct):
    """The state message of one model.

    It stands between the results and the alerts of a close: a worker that dies
    after it sends ``alerts`` again, one that dies before it closes the windows again.
    """

    sequence: int
    """Counts the state messages of this model; the highest stands."""
    windows: WindowState
    series: list[SeriesEntry]
    alerts: list[Alert]
    """Of this close."""
    log_id: str = ""
    """Which panes topic the offsets in ``windows`` are of: one made anew repeats offsets."""
    pipeline: PipelineState | None = None
    """None in states of older versions."""


class GpuState(msgspec.Struct):
    """The state message of the GPU rules."""

    sequence: int
    rules: bytes
    position: int
    """Offset of the GPU topic that is read next."""
    watermark_us: int
    alerts: list[Alert]
    log_id: str = ""
    """Which GPU topic ``position`` is of."""


class SilenceState(msgspec.Struct):
    """Source partitions whose owners are silent, as somebody was told."""

    open: dict[str, tuple[str, int, int]]
    """By ``source|partition``: source, partition, time of the alert that opened it."""
    alerts: list[Alert]


def read_model_state(value: bytes) -> ModelState:
    """Read a model's state message."""
    return _read(value, ModelState)


def read_gpu_state(value: bytes) -> GpuState:
    """Read the GPU rules' state message."""
    return _read(value, GpuState)


def read_silence_state(value: bytes) -> SilenceState:
    """Read the state of who is silent."""
    return _read(value, SilenceState)


def _read(value: bytes, kind: type[StateT]) -> StateT:
    """Read the body of a state.

    Raises
    ------
    DomainError
        If it is none. What its values may be is checked by ``state_checks``.
    """
    try:
        return msgspec.msgpack.decode(value, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise DomainError(f"not a {kind.__name__}: {error}") from None
