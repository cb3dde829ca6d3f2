"""Events as plain rows, a baseline for them, and EventBatches as a decoder would make them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from detectors.decision_rule.edges import quantile_edges
from schemas.baselines import Baseline, Kind, VariableBaseline
from schemas.batch import (
    ABSENT_BITS,
    Absent,
    Chunk,
    EventBatch,
    MixedBatch,
    ModelSchema,
    StringColumn,
)
from schemas.events import Reject, RejectReason
from schemas.panes import SeriesStats

NOT_NAMED = "\0not named"
"""Category of an event that does not name the feature; of a number it is ``ABSENT``."""


@dataclass(frozen=True)
class Row:
    """One event; ``values`` are the numeric features and the score last."""

    time_us: int
    values: tuple[float, ...]
    categories: tuple[str | None, ...] = ()
    segments: tuple[str | None, ...] = ()
    model: str = "m"
    version: str | None = "1"
    prediction: str | None = None
    host: str | None = None
    gpu_uuid: str | None = None
    rejected: str | None = None
    """``timed`` or ``untimed``: the decoder rejects it, with or without its time."""


@dataclass(frozen=True)
class RowMessage:
    """One message of a log."""

    offset: int
    record_time_us: int
    rows: tuple[Row, ...]


def schema_of(row: Row) -> ModelSchema:
    """Schema that fits a row: x0.., c0.., s0.."""
    return ModelSchema(
        "default",
        row.model,
        tuple(f"x{i}" for i in range(len(row.values) - 1)),
        tuple(f"c{i}" for i in range(len(row.categories))),
        tuple(f"s{i}" for i in range(len(row.segments))),
    )


class Dictionary:
    """Codes for strings in order of appearance, as one decoder hands them out."""

    def __init__(self) -> None:
        self.values: list[str] = []
        self.codes: dict[str, int] = {}

    def column(self, strings: Sequence[str | None]) -> StringColumn:
        """Encode strings; None is -1."""
        codes = []
        for s in strings:
            if s is not None and s not in self.codes:
                self.codes[s] = len(self.values)
                self.values.append(s)
            codes.append(-1 if s is None else self.codes[s])
        return StringColumn(np.array(codes, np.int32), self.values)


def batch_of(
    rows: Sequence[tuple[int, int, Row]], dictionary: Dictionary | None = None
) -> EventBatch:
    """Columns of (message, row, event) triples of one model."""
    known = dictionary or Dictionary()
    events = [r for _, _, r in rows]
    schema = schema_of(events[0])
    n = len(events)
    numbers = np.array([e.values for e in events], float).view(np.int64) == ABSENT_BITS
    categories = {
        c: mask
        for c in range(len(schema.categorical))
        if (mask := np.array([e.categories[c] == NOT_NAMED for e in events])).any()
    }
    return EventBatch(
        schema=schema,
        message=np.array([m for m, _, _ in rows], np.int64),
        row=np.array([r for _, r, _ in rows], np.int64),
        time_us=np.array([e.time_us for e in events], np.int64),
        numeric=tuple(
            np.array([e.values[i] for e in events], float) for i in range(len(schema.numeric))
        ),
        categorical=tuple(
            known.column([None if (c := e.categories[i]) == NOT_NAMED else c for e in events])
            for i in range(len(schema.categorical))
        ),
        segments=tuple(
            known.column([e.segments[i] for e in events]) for i in range(len(schema.segments))
        ),
        score=np.array([e.values[-1] for e in events], float),
        model_version=known.column([e.version for e in events]),
        prediction=known.column([e.prediction for e in events]),
        host=known.column([e.host for e in events]),
        gpu_uuid=known.column([e.gpu_uuid for e in events]),
        id_spans=np.tile(np.array([0, -1], np.int64), (n, 1)),
        id_bytes=np.empty(0, np.uint8),
        absent=Absent(tuple(np.flatnonzero(numbers.any(axis=0)).tolist()), categories),
    )


def chunk_of(
    messages: Sequence[RowMessage], dictionary: Dictionary | None = None
) -> tuple[Chunk, list[EventBatch]]:
    """A chunk and its decoded batches, one a model."""
    by_model: dict[str, list[tuple[int, int, Row]]] = {}
    for i, message in enumerate(messages):
        for j, row in enumerate(message.rows):
            if row.rejected:
                continue
            by_model.setdefault(row.model, []).append((i, j, row))
    chunk = Chunk(
        source="log",
        partition=0,
        buffer=np.empty(0, np.uint8),
        offsets=np.zeros(len(messages) + 1, np.int64),
        log_offset=np.array([m.offset for m in messages], np.int64),
        record_time_us=np.array([m.record_time_us for m in messages], np.int64),
    )
    return chunk, [batch_of(rows, dictionary) for rows in by_model.values()]


def mixed_of(batches: Sequence[EventBatch]) -> MixedBatch:
    """Return the events of several models as one batch, in source order."""
    parts = [MixedBatch.of(batch, np.arange(len(batch))) for batch in batches]
    n = sum(map(len, parts))
    numbers = np.full((max(len(p.numbers) for p in parts), n), np.nan)
    codes = np.full((max(len(p.codes) for p in parts), n), -1, np.int32)
    dictionaries, texts, at = [], [], 0
    for part in parts:
        numbers[: len(part.numbers), at : at + len(part)] = part.numbers
        codes[: len(part.codes), at : at + len(part)] = part.codes
        dictionaries.append(tuple(range(len(texts), len(texts) + len(part.texts))))
        texts += part.texts
        at += len(part)
    joined = MixedBatch(
        schemas=[batch.schema for batch in batches],
        model=np.repeat(np.arange(len(parts)), [len(part) for part in parts]),
        message=np.concatenate([p.message for p in parts]),
        row=np.concatenate([p.row for p in parts]),
        time_us=np.concatenate([p.time_us for p in parts]),
        numbers=numbers,
        codes=codes,
        dictionaries=dictionaries,
        texts=texts,
        id_spans=np.concatenate([p.id_spans for p in parts]),
        id_bytes=batches[0].id_bytes,
        absent=Absent.joined([(len(p), p.absent) for p in parts]),
    )
    return joined.take(np.lexsort((joined.row, joined.message)))


def rejects_of(messages: Sequence[RowMessage]) -> list[Reject]:
    """Return the events that a decoder rejects."""
    return [
        Reject(
            i,
            j,
            RejectReason.MISTYPED,
            "",
            b"",
            "default",
            row.model,
            time_us=row.time_us if row.rejected == "timed" else None,
        )
        for i, message in enumerate(messages)
        for j, row in enumerate(message.rows)
        if row.rejected
    ]


def baseline_of(
    schema: ModelSchema,
    reference: np.ndarray,
    segments: tuple[str, ...] = ("*",),
    categories: tuple[str, ...] = ("a", "b"),
    known: tuple[str, ...] = (),
    **changes: object,
) -> Baseline:
    """A baseline whose numeric variables and score all have the quantiles of ``reference``."""
    edges = quantile_edges(reference)
    variables = (
        *(VariableBaseline(n, Kind.NUMERIC, edges) for n in schema.numeric),
        *(
            VariableBaseline(n, Kind.CATEGORICAL, np.empty(0), categories, known)
            for n in schema.categorical
        ),
        VariableBaseline("score", Kind.NUMERIC, edges),
    )
    s, v = len(segments), len(variables)
    fields: dict[str, object] = {
        "profile_id": "p",
        "tenant": schema.tenant,
        "model": schema.model,
        "model_version": "",
        "variables": variables,
        "reference": SeriesStats.empty(segments, v),
        "phi": np.ones((s, v)),
        "eps_learned": np.zeros((s, v)),
        "n_reference_windows": 0,
        "eps_source": "default",
        "positive": "yes",
        "active_from_us": 0,
        "created_from": "a test",
        **changes,
    }
    return Baseline(**fields)  # type: ignore[arg-type]


ARRAYS = (
    "n_rows",
    "counts",
    "sums",
    "sums_sq",
    "minima",
    "maxima",
    "n_predicted",
    "n_positive",
    "calibration_counts",
    "calibration_sums",
)


def as_bits(stats: SeriesStats) -> tuple[object, ...]:
    """Return the content of a SeriesStats, for bitwise comparison."""
    arrays = (getattr(stats, name) for name in ARRAYS)
    return (stats.segments, *((a.shape, a.dtype.str, a.tobytes()) for a in arrays))
