"""Every way in which a value reaches Driftline: files, messages, the SDK in both encodings."""

from __future__ import annotations

import csv
import datetime as dt
import decimal
import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet

from driftline.batches import Batches
from driftline.events import Identity, Reported
from monitor.decode import Decoder, chunk_of
from monitor.decode.arrow.record_batches import stream_of
from monitor.transport.files import open_source
from schemas.batch import Chunk, EventBatch
from schemas.config.model import ModelConfig

TIME_US = 1_709_510_400_000_000
CONFIG = ModelConfig.model_validate(
    {
        "model": "m",
        "features": {"c": {"kind": "categorical"}, "n": {"kind": "numeric"}},
        "segments": ["s"],
    }
)
REFUSED = "refused"
"""What a reject has instead of values."""


class EntranceResult(NamedTuple):
    """What arrived of one value: as a feature, a segment, the prediction, and as a number."""

    category: str | None
    segment: str | None
    prediction: str | None
    number: float | str | None


def wanted(category: str | None, number: float | str | None) -> EntranceResult:
    """Expected values."""
    return EntranceResult(category, category, category, number)


def json_text(value: Any) -> str:
    """A value as JSON producers write it."""
    if isinstance(value, decimal.Decimal):
        return str(value) if value.is_finite() else "null"
    if isinstance(value, np.floating):
        return str(value) if np.isfinite(value) else "NaN"  # shortest for the type, as in Go
    if isinstance(value, dt.datetime | dt.date | dt.time):
        return json.dumps(value.isoformat())
    if isinstance(value, dt.timedelta):
        return repr(value.total_seconds())
    if isinstance(value, bytes):
        return json.dumps(value.decode())
    return json.dumps(value, ensure_ascii=False)


def csv_text(value: Any) -> str:
    """A value as pandas writes it into a CSV."""
    if value is None or (isinstance(value, float | np.floating) and math.isnan(value)):
        return ""
    if isinstance(value, dt.datetime):
        return str(value)
    if isinstance(value, dt.timedelta):
        return repr(value.total_seconds())
    return value.decode() if isinstance(value, bytes) else str(value)


def arrow_array(values: Sequence[Any]) -> pa.Array:
    """Values as a typed column."""
    kinds = {type(value) for value in values} - {type(None)}
    if kinds == {np.float32}:
        return pa.array(np.array(values, np.float32))
    if kinds == {np.float16}:
        return pa.array(np.array(values, np.float16))
    if kinds == {np.float64}:
        return pa.array([float(value) for value in values], pa.float64())
    return pa.array(values)


def _table(values: Sequence[Any], *, is_number: bool) -> dict[str, pa.Array]:
    array = arrow_array(values)
    columns = {"c": array, "s": array, "prediction": array} | ({"n": array} if is_number else {})
    return {"time_us": pa.array([TIME_US] * len(values), pa.int64())} | columns


def _events(values: Sequence[Any], *, is_number: bool) -> list[bytes]:
    found = []
    for value in values:
        text = json_text(value)
        features = f'"c": {text}' + (f', "n": {text}' if is_number else "")
        event = (
            f'{{"model": "m", "time_us": {TIME_US}, "features": {{{features}}},'
            f' "segments": {{"s": {text}}}, "prediction": {text}}}'
        )
        found.append(event.encode())
    return found


def _file(path: Path) -> list[Chunk]:
    return list(open_source(path, CONFIG))


def parquet(values: Sequence[Any], folder: Path, *, is_number: bool) -> list[Chunk]:
    """A Parquet file."""
    path = folder / "t.parquet"
    columns = _table(values, is_number=is_number)
    pyarrow.parquet.write_table(pa.table(columns | _no_number(values, is_number)), path)
    return _file(path)


def comma_separated(values: Sequence[Any], folder: Path, *, is_number: bool) -> list[Chunk]:
    """A CSV file."""
    path = folder / "t.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["time_us", "c", "s", "prediction", "n"])
        for value in values:
            text = csv_text(value)
            writer.writerow([TIME_US, text, text, text, text if is_number else ""])
    return _file(path)


def json_lines(values: Sequence[Any], folder: Path, *, is_number: bool) -> list[Chunk]:
    """A file of JSON lines."""
    path = folder / "t.jsonl"
    path.write_bytes(b"\n".join(_events(values, is_number=is_number)))
    return _file(path)


def json_array(values: Sequence[Any], folder: Path, *, is_number: bool) -> list[Chunk]:
    """One message, an array."""
    return [chunk_of([b"[" + b",".join(_events(values, is_number=is_number)) + b"]"], "t")]


def cloud_events(values: Sequence[Any], folder: Path, *, is_number: bool) -> list[Chunk]:
    """A message a value, each in an envelope."""
    head = b'{"specversion": "1.0", "id": "7", "source": "/s", "type": "t", "data": '
    events = _events(values, is_number=is_number)
    return [chunk_of([head + event + b"}" for event in events], "t")]


def arrow_message(values: Sequence[Any], folder: Path, *, is_number: bool) -> list[Chunk]:
    """One message, an Arrow stream as a producer of its own writes it."""
    names = {"c": "features.c", "n": "features.n", "s": "segments.s"}
    columns = _table(values, is_number=is_number)
    batch = pa.record_batch(
        {names.get(name, name): array for name, array in columns.items()}
        | {"model": pa.array(["m"] * len(values))}
    )
    return [chunk_of([stream_of(batch)], "t")]


def _no_number(values: Sequence[Any], is_number: bool) -> dict[str, pa.Array]:
    return {} if is_number else {"n": pa.nulls(len(values), pa.float64())}


def _sdk(values: Sequence[Any], *, is_number: bool, is_arrow: bool) -> list[Chunk]:
    batches = Batches(Identity("m", "default", "", ()), "p", "l", is_arrow)
    reported = [
        Reported(
            False,
            str(i),
            TIME_US,
            {"c": value} | ({"n": value} if is_number else {}),
            prediction=value,
            segments={"s": value},
        )
        for i, value in enumerate(values)
    ]
    made = batches.make(reported)
    assert made.n_invalid == 0, made.error
    return [chunk_of([message.payload for message in made.messages], "t")]


def sdk_json(values: Sequence[Any], folder: Path, *, is_number: bool) -> list[Chunk]:
    """The SDK's JSON batches."""
    return _sdk(values, is_number=is_number, is_arrow=False)


def sdk_arrow(values: Sequence[Any], folder: Path, *, is_number: bool) -> list[Chunk]:
    """The SDK's Arrow batches."""
    return _sdk(values, is_number=is_number, is_arrow=True)


Entrance = Callable[..., list[Chunk]]
ENTRANCES: tuple[Entrance, ...] = (
    *(parquet, comma_separated, json_lines, json_array, cloud_events, arrow_message),
    *(sdk_json, sdk_arrow),
)


def arrivals(
    entrance: Entrance, values: Sequence[Any], folder: Path, *, is_number: bool, fast: bool
) -> list[EntranceResult]:
    """Send values through an entrance, twice through one decoder; return what arrived."""
    decoder = Decoder([CONFIG.schema_], fast=fast)
    chunks = entrance(values, folder, is_number=is_number)
    found: list[list[EntranceResult]] = []
    for _ in range(2):  # the second time the kernel knows layouts and texts
        seen = {}
        for chunk in chunks:
            decoded = decoder.decode(chunk)
            for reject in decoded.rejects:
                seen[_place(chunk, reject.message, reject.row)] = EntranceResult(*[REFUSED] * 4)
            for batch in decoded.batches:
                for i in range(len(batch)):
                    place = _place(chunk, int(batch.message[i]), int(batch.row[i]))
                    seen[place] = _seen(batch, i)
        found.append([seen[place] for place in sorted(seen)])
    assert found[0] == found[1]
    return found[0]


def _place(chunk: Chunk, message: int, row: int) -> tuple[int, int]:
    return int(chunk.log_offset[message]), row


def _seen(batch: EventBatch, i: int) -> EntranceResult:
    number = float(batch.numeric[0][i])
    texts = [
        None if column.codes[i] < 0 else column.values[column.codes[i]]
        for column in (batch.categorical[0], batch.segments[0], batch.prediction)
    ]
    return EntranceResult(*texts, None if math.isnan(number) else number)
