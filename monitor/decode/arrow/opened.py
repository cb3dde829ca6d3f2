"""Arrow IPC streams on their way in: bounded, validated, reduced to the columns that are read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from monitor.decode.arrow.expand import Room, expanded, is_to_expand
from monitor.decode.arrow.ipc_sizes import StreamSizes
from monitor.decode.columns import NAMES, Columns
from monitor.decode.strict import RefusedEvent
from schemas.events import RejectReason
from schemas.limits import MessageLimits
from schemas.names import SCORE
from schemas.refused import REFUSED_COLUMN

MAX_COLUMNS = 20_000
"""Of a stream, children of nested columns included."""
MAX_BATCHES = 20_000
"""Messages of a stream: its schema, record batches, dictionaries."""

_TOP = ("model", "tenant", "time_us", "id", SCORE, *NAMES, REFUSED_COLUMN)
_STRUCTS = ("features", "segments")


def known_names(columns: Iterable[Columns]) -> frozenset[str]:
    """Return the names that columns of any of these models may have."""
    names = {*_TOP, *_STRUCTS}
    for model in columns:
        names.update(f"features.{name}" for name in (*model.numeric, *model.categorical))
        names.update(f"segments.{name}" for name in model.segments)
    return frozenset(names)


class Form(NamedTuple):
    """What is asked of a schema, once: streams follow each other by the thousand."""

    schema: pa.Schema
    fault: str
    """Why no stream of this schema can be read; empty if it can."""
    columns: tuple[tuple[str, int, int], ...]
    """Name of each column that is read, its index, and its index in a struct or -1."""
    is_whole: bool
    """Whether record batches are read as they are: no column is left out nor changed."""

    @staticmethod
    def of(schema: pa.Schema, known: frozenset[str]) -> Form:
        """Read a schema."""
        try:
            for kind in schema.types:
                if pa.types.is_timestamp(kind):
                    _ = kind.tz
        except UnicodeDecodeError:
            return Form(schema, "the time zone of a column is not UTF-8", (), False)
        if "model" not in schema.names:
            return Form(schema, "the stream has no column `model`", (), False)
        columns = tuple(_columns(schema, known))
        repeated = [name for name, n in Counter(name for name, _, _ in columns).items() if n > 1]
        if repeated:
            fault = f"{_times(columns, repeated[0])} columns are named `{repeated[0]}`"
            return Form(schema, fault, (), False)
        is_changed = any(
            child >= 0 or is_to_expand(name, schema.field(i).type) for name, i, child in columns
        )
        is_whole = len(columns) == len(schema) and not is_changed
        return Form(schema, "", columns, is_whole)


def _times(columns: Iterable[tuple[str, int, int]], name: str) -> str:
    n = sum(found == name for found, _, _ in columns)
    return "two" if n == 2 else str(n)


def _columns(schema: pa.Schema, known: frozenset[str]) -> Iterator[tuple[str, int, int]]:
    """Yield the columns that are read; members of structs under their flat names.

    Where both are there, the flat one counts.
    """
    names = schema.names
    flat = frozenset(names)
    for i, name in enumerate(names):
        if name not in known:
            continue
        kind = schema.field(i).type
        if name not in _STRUCTS or not pa.types.is_struct(kind):
            yield name, i, -1
            continue
        if names.count(name) > 1:  # not distinguishable: the struct itself is repeated
            yield name, i, -1
            continue
        for k in range(kind.num_fields):
            member = f"{name}.{kind.field(k).name}"
            if member in known and member not in flat:
                yield member, i, k


class Piece(NamedTuple):
    """One record batch of one message, and the number of its first row there."""

    message: int
    first_row: int
    batch: pa.RecordBatch
    """The columns that are read, flat, none of them to be expanded."""
    original: pa.RecordBatch
    form: Form


def check_sizes(sizes: StreamSizes, limits: MessageLimits, max_rows: int) -> None:
    """Refuse a stream by what it declares, before anything is allocated for it.

    Parameters
    ----------
    max_rows : int
        ``limits.max_rows``, or fewer where a model has very many columns.

    Raises
    ------
    RefusedEvent
        OVERSIZED, naming the bound; UNSUPPORTED if the metadata is damaged.
    """
    if not sizes.is_whole:
        raise RefusedEvent(RejectReason.UNSUPPORTED, "Arrow stream: it is cut off or damaged")
    for n, most, what in (
        (sizes.n_rows, max_rows, "rows"),
        (sizes.n_bytes, limits.max_bytes, "bytes once decompressed"),
        (sizes.n_values, limits.max_bytes, "values"),
        (sizes.n_columns, MAX_COLUMNS, "columns"),
        (sizes.n_messages, MAX_BATCHES, "record batches"),
    ):
        if n > most:
            detail = f"Arrow stream: it declares {n:,} {what}, and {most:,} are read of a message"
            raise RefusedEvent(RejectReason.OVERSIZED, detail)


def open_stream(
    message: int,
    payload: bytes | memoryview,
    form: Form | None,
    known: frozenset[str],
    room: Room,
) -> tuple[list[Piece], Form]:
    """Read and validate one stream.

    Parameters
    ----------
    payload : bytes or memoryview
        Checked by :func:`check_sizes`.
    form : Form, optional
        That of the stream before.
    known : frozenset of str
        Names of columns that are read.
    room : Room
        What its columns may take once they are expanded.

    Raises
    ------
    Refused, pyarrow.ArrowException, OSError, ValueError
        If it cannot be read.
    """
    with pa.ipc.open_stream(payload) as reader:
        if form is None or not reader.schema.equals(form.schema):
            form = Form.of(reader.schema, known)
        if form.fault:
            raise RefusedEvent(RejectReason.UNSUPPORTED, f"Arrow stream: {form.fault}")
        batches = list(reader)
    pieces, first = [], 0
    for batch in batches:
        batch.validate(full=True)
        if batch.num_rows:
            read = batch if form.is_whole else flat(batch, form, room)
            pieces.append(Piece(message, first, read, batch, form))
        first += batch.num_rows
    return pieces, form


def flat(batch: pa.RecordBatch, form: Form, room: Room) -> pa.RecordBatch:
    """Take the columns that are read, and expand what is encoded.

    Raises
    ------
    RefusedEvent
        If they take more room than there is.
    """
    columns = []
    for name, i, child in form.columns:
        column = batch.column(i)
        if child >= 0:
            column = pc.struct_field(column, [child])  # null where the struct is null
        columns.append(expanded(name, column, room))
    return pa.RecordBatch.from_arrays(columns, names=[name for name, _, _ in form.columns])
