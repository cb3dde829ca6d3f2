"""Decoded events as columns, without an object per event."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from schemas.derived import Derived
from schemas.names import SCORE

Float64Array = NDArray[np.float64]
Int64Array = NDArray[np.int64]
Int32Array = NDArray[np.int32]
Uint8Array = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class ModelSchema:
    """Columns of a model's events, in column order.

    Monitored variables are ``numeric + categorical + ("score",)``, in this order in panes,
    baselines and results.
    """

    tenant: str
    model: str
    numeric: tuple[str, ...]
    categorical: tuple[str, ...] = ()
    segments: tuple[str, ...] = ()
    derived: tuple[Derived, ...] = ()
    """Derived columns of ``numeric``."""
    verbatim: tuple[str, ...] = ()
    """Categorical features, segments or ``prediction`` whose texts are not converted."""

    @property
    def received(self) -> ModelSchema:
        """Columns as received, in which the sources of derived numbers are texts."""
        sources = dict.fromkeys(d.source for d in self.derived if d.source not in self.categorical)
        return replace(
            self,
            categorical=(*self.categorical, *sources),
            derived=(),
            verbatim=(*self.verbatim, *sources),  # lengths are those of unconverted texts
        )

    def is_verbatim(self, name: str, inside: str = "") -> bool:
        """Return whether texts of a column are kept unconverted.

        Parameters
        ----------
        inside : str
            ``features`` or ``segments``; empty for top-level fields, all of which except the
            prediction are identifiers.

        Examples
        --------
        >>> schema = ModelSchema("default", "m", ("a",), ("land",), verbatim=("land",))
        >>> schema.is_verbatim("land", "features"), schema.is_verbatim("host")
        (True, True)
        """
        return name in self.verbatim or (not inside and name != "prediction")

    @property
    def variables(self) -> tuple[str, ...]:
        """Names of all monitored variables, the score last."""
        return (*self.numeric, *self.categorical, SCORE)


@dataclass(frozen=True, slots=True)
class StringColumn:
    """Dictionary-coded strings.

    ``values`` grows by appending and is replaced by a new list when it is full: its *identity*
    identifies its generation, so consumers may cache what they derive from ``values[:k]`` while the
    list is the same.
    """

    codes: Int32Array
    """Shape (n,); -1 is null."""
    values: Sequence[str]

    def __len__(self) -> int:
        return len(self.codes)


@dataclass(frozen=True, slots=True)
class EventBatch:
    """Accepted events of one model out of one chunk, in source order.

    All arrays have length n. ``message`` and ``row`` locate each event in its chunk; (message, row)
    is strictly increasing.
    """

    schema: ModelSchema
    message: Int64Array
    row: Int64Array
    time_us: Int64Array
    numeric: tuple[Float64Array, ...]
    """One contiguous column per ``schema.numeric``; NaN is missing, never infinite."""
    categorical: tuple[StringColumn, ...]
    segments: tuple[StringColumn, ...]
    score: Float64Array
    model_version: StringColumn
    prediction: StringColumn
    host: StringColumn
    gpu_uuid: StringColumn
    id_spans: Int64Array
    """Shape (n, 2): start and length of the id's bytes in ``id_bytes``; length -1 is null."""
    id_bytes: Uint8Array

    def __len__(self) -> int:
        return len(self.time_us)


@dataclass(frozen=True, slots=True)
class Chunk:
    """Messages read together from one source partition, undecoded.

    ``buffer[offsets[i]:offsets[i + 1]]`` is message i.
    """

    source: str
    """Topic id, or the file's name."""
    partition: int
    buffer: Uint8Array
    offsets: Int64Array
    """Shape (n + 1,), byte positions."""
    log_offset: Int64Array
    """Shape (n,), strictly increasing; need not be contiguous."""
    record_time_us: Int64Array
    """Shape (n,). In files without a record-time column: -1, meaning the event time."""

    def __len__(self) -> int:
        return len(self.log_offset)
