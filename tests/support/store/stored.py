"""Small batches, panes and results for a store, and a folder for one."""

from __future__ import annotations

import numpy as np

from schemas.actions import Action, ActionKind, Label
from schemas.alerts import Alert, Severity, Transition
from schemas.batch import Chunk, EventBatch, ModelSchema, StringColumn
from schemas.detectable import DetectableRow
from schemas.panes import Pane, SeriesId, SeriesStats
from schemas.results import DetectorResult, Reason, Verdict

SCHEMA = ModelSchema("acme", "loans", ("age", "income"), ("job",), ("region",))


def spans(texts: list[str | None]) -> tuple[np.ndarray, np.ndarray]:
    """Ids as the decoder hands them on: spans into one buffer, with bytes between them."""
    data, cut = b"\x00", []
    for text in texts:
        raw = (text or "").encode()
        cut.append((len(data), -1 if text is None else len(raw)))
        data += raw + b'",'
    return np.array(cut, np.int64).reshape(-1, 2), np.frombuffer(data, np.uint8)


def strings(*texts: str | None) -> StringColumn:
    values = sorted({text for text in texts if text is not None})
    codes = [values.index(text) if text is not None else -1 for text in texts]
    return StringColumn(np.array(codes, np.int32), values)


def batch_of(ids: list[str | None], *, first: int = 0, schema: ModelSchema = SCHEMA) -> EventBatch:
    """One event per id, one message each; every third age and second region missing."""
    n = len(ids)
    steps = np.arange(n)
    id_spans, id_bytes = spans(ids)
    return EventBatch(
        schema=schema,
        message=steps.astype(np.int64),
        row=np.zeros(n, np.int64),
        time_us=((first + steps) * 1_000_000).astype(np.int64),
        numeric=(np.where(steps % 3 == 0, np.nan, steps * 1.5), steps * 10.0),
        categorical=(strings(*["clerk" if i % 2 else "käse" for i in steps]),),
        segments=(strings(*["north" if i % 2 else None for i in steps]),),
        score=np.where(steps == 1, np.nan, 0.25),
        model_version=strings(*["v1"] * n),
        prediction=strings(*[None] * n),
        host=strings(*["h1"] * n),
        gpu_uuid=strings(*[None] * n),
        id_spans=id_spans,
        id_bytes=id_bytes,
    )


def chunk_of(n: int, *, first: int = 0, source: str = "topic-1", partition: int = 3) -> Chunk:
    """n one-byte messages at offsets ``first ...``."""
    return Chunk(
        source=source,
        partition=partition,
        buffer=np.zeros(n, np.uint8),
        offsets=np.arange(n + 1),
        log_offset=np.arange(first, first + n),
        record_time_us=np.full(n, -1),
    )


def pane_of(start_us: int = 0, version: int = 1, n_rows: int = 4) -> Pane:
    """Two segments, four variables, one slice named like a segment."""
    stats = SeriesStats.empty(("*", "region=north"), 4)
    stats.n_rows[:] = n_rows
    stats.counts[:, :, 0] = n_rows
    stats.n_predicted[:] = n_rows
    stats.calibration_counts[:, 0] = n_rows
    slices = SeriesStats.empty(("region=north",), 1)
    slices.n_rows[:] = 1
    series = SeriesId("acme", "loans", "v1", "p1")
    return Pane(series, start_us, start_us + 10_000_000, "topic-1", 3, "o1", version, stats, slices)


def result_of(end_us: int, **changes: object) -> DetectorResult:
    fields: dict = {
        "tenant": "acme",
        "monitor": "drift",
        "model": "loans",
        "model_version": "v1",
        "profile_id": "p1",
        "feature": "age",
        "segment": "*",
        "metric": "psi",
        "window_us": 3_600_000_000,
        "start_us": end_us - 3_600_000_000,
        "end_us": end_us,
        "statistic": 0.1,
        "n": 1000,
        "verdict": Verdict.NORMAL,
        "reason": Reason.WITHIN_TOLERANCE,
        "closed_by": "watermark",
    }
    return DetectorResult(**{**fields, **changes})


def detectable_of(time_us: int) -> DetectableRow:
    """What would be found in a cell within a day."""
    return DetectableRow(
        tenant="acme",
        model="loans",
        model_version="v1",
        profile_id="p1",
        feature="age",
        segment="*",
        time_us=time_us,
        horizon_s=86_400,
        shift_sd=0.1,
    )


def action_of(time_us: int) -> Action:
    """A fault that a person closed."""
    return Action(
        action_id=f"action-{time_us}",
        kind=ActionKind.CLOSE,
        label=Label.FAULT,
        by="ann",
        time_us=time_us,
        incident_id="incident",
        tenant="acme",
        model="loans",
    )


def alert_of(sequence: int = 0) -> Alert:
    return Alert(
        alert_id=f"a-{sequence}",
        tenant="acme",
        monitor="drift",
        transition=Transition.OPENED,
        severity=Severity.PAGE,
        time_us=7,
        opened_at_us=7,
        sequence=sequence,
        title="age moved",
        effect_size=0.2,
        reference_counts=(1, 2),
        bin_labels=("<= 1", "> 1"),
    )
