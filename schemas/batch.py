"""Decoded events as columns, without an object per event."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from schemas.derived import Derived
from schemas.names import SCORE

N_NAMES = 4
"""Columns of codes behind categorical variables and segments: model version, prediction, host,
GPU."""

NULL_CODE: Final = -1
"""Code of a missing value."""
ABSENT_CODE: Final = -2
"""Code, while an event is decoded, of a categorical feature that it does not name at all."""
ABSENT_BITS: Final = 0x7FF8_0000_0000_A85E
"""Bits of the NaN of a number that an event does not name at all; any other NaN was null."""
ABSENT: Final[float] = struct.unpack("<d", struct.pack("<Q", ABSENT_BITS))[0]

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
    unnamed: tuple[str, ...] = ()
    """Categorical features whose new values are counted and never named."""

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


class Absent(NamedTuple):
    """What events do not name at all, of the values that are missing.

    Examples
    --------
    >>> absent = Absent((1,), {0: np.array([True, False])})
    >>> absent.take(np.array([1])).categories
    {0: array([False])}
    """

    numbers: tuple[int, ...] = ()
    """Columns in which the NaN of some event may have the bits ``ABSENT_BITS``: indices of
    ``schema.numeric``, behind them the score. Known for a chunk: a batch may have none."""
    categories: Mapping[int, NDArray[np.bool_]] = MappingProxyType({})
    """By index of ``schema.categorical`` the events that do not name it, shape (n,)."""

    def take(self, rows: NDArray[np.int64] | slice) -> Absent:
        """Return this of the rows given."""
        return Absent(self.numbers, {c: mask[rows] for c, mask in self.categories.items()})

    @staticmethod
    def joined(parts: Sequence[tuple[int, Absent]]) -> Absent:
        """Return this of events behind each other.

        Parameters
        ----------
        parts : sequence of (int, Absent)
            Number of events of each part, and what they lack.
        """
        numbers = sorted({c for _, absent in parts for c in absent.numbers})
        columns = sorted({c for _, absent in parts for c in absent.categories})
        return Absent(
            tuple(numbers),
            {
                c: np.concatenate([a.categories.get(c, np.zeros(n, np.bool_)) for n, a in parts])
                for c in columns
            },
        )


NONE_ABSENT: Final = Absent()


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
    """One contiguous column per ``schema.numeric``; NaN is missing, never infinite.

    Of a number that the event does not name, the NaN has the bits ``ABSENT_BITS``.
    """
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
    absent: Absent = NONE_ABSENT

    def __len__(self) -> int:
        return len(self.time_us)


def code_columns(batch: EventBatch) -> tuple[StringColumn, ...]:
    """Return all dictionary-coded columns: categorical variables and segments come first."""
    return (
        *batch.categorical,
        *batch.segments,
        batch.model_version,
        batch.prediction,
        batch.host,
        batch.gpu_uuid,
    )


@dataclass(frozen=True, slots=True)
class MixedBatch:
    """Accepted events of several models out of one chunk, in source order.

    For models with few events each: an :class:`EventBatch` has thirty arrays, and to make one
    costs as much as a hundred events. All arrays have a column per event. Valid until the
    decoder reads the next chunk.
    """

    schemas: Sequence[ModelSchema]
    """Every model the decoder knows."""
    model: Int64Array
    """Shape (n,): index into ``schemas``."""
    message: Int64Array
    row: Int64Array
    time_us: Int64Array
    numbers: Float64Array
    """Shape (columns, n): ``schema.numeric`` in order, then the score; undefined beyond."""
    codes: Int32Array
    """Shape (columns, n): categorical variables, segments, model version, prediction, host, GPU."""
    dictionaries: Sequence[tuple[int, ...]]
    """Of each model the dictionary of every column of codes."""
    texts: Sequence[Sequence[str]]
    """``values`` of each dictionary, as in :class:`StringColumn`."""
    id_spans: Int64Array
    id_bytes: Uint8Array
    absent: Absent = NONE_ABSENT
    """Rows of ``numbers`` and ``codes``, whatever the model."""

    def __len__(self) -> int:
        return len(self.model)

    def values(self, model: int) -> list[Sequence[str]]:
        """Return the texts of every column of codes of a model."""
        return [self.texts[d] for d in self.dictionaries[model]]

    def by_model(self) -> Iterator[tuple[int, Int64Array]]:
        """Yield each model that has events and its rows, in source order."""
        order = np.argsort(self.model, kind="stable")
        models = self.model[order]
        ends = [*(np.flatnonzero(models[1:] != models[:-1]) + 1).tolist(), len(order)]
        start = 0
        for end in ends if len(order) else ():
            yield int(models[start]), order[start:end]
            start = end

    def take(self, rows: Int64Array) -> MixedBatch:
        """Return the rows given, in this order."""
        return replace(
            self,
            model=self.model[rows],
            message=self.message[rows],
            row=self.row[rows],
            time_us=self.time_us[rows],
            numbers=self.numbers[:, rows],
            codes=self.codes[:, rows],
            id_spans=self.id_spans[rows],
            absent=self.absent.take(rows),
        )

    def batch(self, rows: Int64Array) -> EventBatch:
        """Return rows of one model as its batch.

        Parameters
        ----------
        rows : ndarray of int64, shape (n,)
            At least one; all of the same model, in source order.
        """
        model = int(self.model[rows[0]])
        schema = self.schemas[model]
        n, first = len(schema.numeric), len(schema.categorical)
        following = first + len(schema.segments)
        strings = [
            StringColumn(self.codes[c, rows], texts) for c, texts in enumerate(self.values(model))
        ]
        model_version, prediction, host, gpu_uuid = strings[following:]
        return EventBatch(
            schema=schema,
            message=self.message[rows],
            row=self.row[rows],
            time_us=self.time_us[rows],
            numeric=tuple(self.numbers[c, rows] for c in range(n)),
            categorical=tuple(strings[:first]),
            segments=tuple(strings[first:following]),
            score=self.numbers[n, rows],
            model_version=model_version,
            prediction=prediction,
            host=host,
            gpu_uuid=gpu_uuid,
            id_spans=self.id_spans[rows],
            id_bytes=self.id_bytes,
            absent=self.absent_of(model, rows),
        )

    def absent_of(self, model: int, rows: Int64Array) -> Absent:
        """Return what rows of a model lack."""
        numbers, categories = self.absent
        n, first = len(self.schemas[model].numeric), len(self.schemas[model].categorical)
        return Absent(
            tuple(c for c in numbers if c <= n),
            {c: mask[rows] for c, mask in categories.items() if c < first},
        )

    @staticmethod
    def of(batch: EventBatch, rows: Int64Array) -> MixedBatch:
        """Return rows of a batch, of one model, as a batch of mixed models."""
        columns = code_columns(batch)
        return MixedBatch(
            schemas=(batch.schema,),
            model=np.zeros(len(rows), np.int64),
            message=batch.message[rows],
            row=batch.row[rows],
            time_us=batch.time_us[rows],
            numbers=np.array([c[rows] for c in (*batch.numeric, batch.score)], np.float64),
            codes=np.array([c.codes[rows] for c in columns], np.int32),
            dictionaries=(tuple(range(len(columns))),),
            texts=[c.values for c in columns],
            id_spans=batch.id_spans[rows],
            id_bytes=batch.id_bytes,
            absent=batch.absent.take(rows),
        )


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
