"""Arrow record batches to event batches: columns as they are.

Column names: ``time_us`` (integer or timestamp), ``id``, ``model``, ``tenant``,
``model_version``, ``score``, ``prediction``, ``host``, ``gpu_uuid``,
``features.<name>`` or a struct ``features``, ``segments.<name>`` or a struct
``segments``. ``driftline.refused`` says which rows could not be mapped to these, and
why. The outcomes are those of JSON (:mod:`monitor.decode.strict`), where a
column's type is the type of each of its values that is not null.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from driftline.canonical import number_of_text
from monitor.core.column_values import as_number, as_text
from monitor.decode.arrow.row_stream import row_stream, stream_of
from monitor.decode.arrow.text_codes import codes_of_texts, distinct_texts
from monitor.decode.batches import Scratch, batch_of
from monitor.decode.columns import NAMES, Columns, assign_columns
from monitor.decode.dictionaries import Dictionaries
from monitor.decode.reject_cap import RowRejects, Why
from monitor.decode.strict import MAX_DETAIL
from schemas.batch import (
    ABSENT,
    ABSENT_CODE,
    NULL_CODE,
    EventBatch,
    Int32Array,
    Int64Array,
    ModelSchema,
    Uint8Array,
)
from schemas.events import Reject, RejectReason
from schemas.limits import MessageLimits
from schemas.names import SCORE
from schemas.refused import REFUSED_COLUMN

__all__ = ["batch_from_arrow", "indices_of", "stream_of"]

Float64Array = np.ndarray[tuple[int], np.dtype[np.float64]]
BoolArray = np.ndarray[tuple[int], np.dtype[np.bool_]]

_NO_BYTES: Uint8Array = np.zeros(0, dtype=np.uint8)


class _Fields:
    """Columns of a record batch by our names, flat or in structs."""

    def __init__(self, batch: pa.RecordBatch) -> None:
        self._batch = batch
        names = batch.schema.names
        self._places = dict(zip(names, range(len(names)), strict=True))
        self._structs = {
            name: batch.column(self._places[name])
            for name in ("features", "segments")
            if name in self._places
        }

    def find(self, name: str, inside: str = "") -> pa.Array | None:
        """A column, of plain type; None where the batch has none."""
        place = self._places.get(f"{inside}.{name}" if inside else name)
        if place is not None:
            return _plain(self._batch.column(place))
        struct = self._structs.get(inside)
        if struct is None or not pa.types.is_struct(struct.type):
            return None
        child = struct.type.get_field_index(name)
        # null where the struct is null
        return None if child < 0 else _plain(pc.struct_field(struct, [child]))

    def has(self, name: str, inside: str = "") -> bool:
        """Whether there is such a column, in a struct or not."""
        if (f"{inside}.{name}" if inside else name) in self._places:
            return True
        struct = self._structs.get(inside)
        if struct is None or not pa.types.is_struct(struct.type):
            return False
        return bool(struct.type.get_field_index(name) >= 0)

    def misshapen(self) -> Iterator[tuple[str, pa.Array]]:
        """Yield ``features`` and ``segments`` where they are columns and no structs."""
        for name, column in self._structs.items():
            if not (pa.types.is_struct(column.type) or pa.types.is_null(column.type)):
                yield name, column


def _plain(column: pa.Array) -> pa.Array:
    """Undo encodings that are not a type of their own; dictionaries of strings stay."""
    if isinstance(column, pa.ExtensionArray):
        column = column.storage
    if pa.types.is_run_end_encoded(column.type):
        column = pc.run_end_decode(column)
    if pa.types.is_dictionary(column.type) and not _is_string(column.type.value_type):
        column = column.dictionary_decode()
    return column.cast(pa.large_string()) if pa.types.is_string_view(column.type) else column


def _is_string(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind)


_REASONS = tuple(RejectReason)
_MISTYPED = _REASONS.index(RejectReason.MISTYPED)
_Refusal = tuple[RejectReason, str]


class _Faults:
    """Rows that are not accepted, and why: the first fault of each."""

    def __init__(self, n: int) -> None:
        self.is_faulty: BoolArray = np.zeros(n, dtype=bool)
        self._refused: dict[int, _Refusal] = {}
        self._found: list[tuple[BoolArray, str]] = []

    def add(self, is_faulty: BoolArray, detail: str) -> None:
        """Note a fault."""
        if is_faulty.any():
            self._found.append((is_faulty, detail))
            self.is_faulty |= is_faulty

    def refused_by_writer(self, column: pa.Array | None) -> None:
        """Note the rows that the table's writer could not map, each with its own reason."""
        if column is None or not _is_string(column.type):
            return
        rows = np.flatnonzero(column.is_valid().to_numpy(zero_copy_only=False))
        for row, text in zip(rows.tolist(), column.drop_null().to_pylist(), strict=True):
            reason, _, detail = text.partition(": ")
            known = RejectReason(reason) if reason in _REASONS else RejectReason.MISTYPED
            self._refused[row] = (known, detail[:MAX_DETAIL])
        self.is_faulty[rows] = True

    def mistyped(self, column: pa.Array, expected: str, path: str) -> None:
        """Every value that is there is of the wrong type."""
        there = column.is_valid()
        if pa.types.is_floating(column.type):
            there = pc.and_(there, pc.fill_null(pc.is_finite(column), False))
        detail = f"Expected `{expected}`, got `{column.type}` - at `$.{path}`"
        self.add(there.to_numpy(zero_copy_only=False), detail[:MAX_DETAIL])

    def refuse(
        self,
        place: tuple[Int64Array, Int64Array],
        times_us: Int64Array,
        schema: ModelSchema,
        to: RowRejects,
    ) -> None:
        """Make rejects of the faulty rows."""
        faulty = np.flatnonzero(self.is_faulty)
        if not len(faulty):
            return
        kinds = np.full(len(self.is_faulty), _MISTYPED, np.int64)
        for row, (reason, _) in self._refused.items():
            kinds[row] = _REASONS.index(reason)

        def why(i: int) -> Why:
            reason, detail = self._reason(int(faulty[i]))
            time_us = int(times_us[faulty[i]])
            return reason, detail, schema.tenant, schema.model, time_us if time_us > 0 else None

        to.add(place[0][faulty], place[1][faulty], why, kinds[faulty])

    def _reason(self, row: int) -> _Refusal:
        """Return the first fault of a row."""
        if row in self._refused:
            return self._refused[row]
        detail = next(detail for mask, detail in self._found if mask[row])
        return RejectReason.MISTYPED, detail


def batch_from_arrow(
    record_batch: pa.RecordBatch,
    schema: ModelSchema,
    message: int | Int64Array,
    *,
    rows: Int64Array | None = None,
    columns: Columns | None = None,
    dictionaries: Dictionaries | None = None,
    rejects: RowRejects | None = None,
) -> tuple[EventBatch, tuple[Reject, ...]]:
    """Turn rows of one model into an event batch.

    Parameters
    ----------
    record_batch : pyarrow.RecordBatch
        Validated, if it comes from outside. A ``model`` column is not looked at.
    message : int or ndarray of int64, shape (n,)
        Index of the message in its chunk, or of each row's.
    rows : ndarray of int64, optional
        Row numbers within the message; 0 to n - 1 by default.
    columns, dictionaries : optional
        A decoder's; without them the batch has dictionaries of its own.
    rejects : RowRejects, optional
        Takes the rejects, instead of returning them.

    Returns
    -------
    (EventBatch, tuple of Reject)
        A reject's payload is an Arrow stream of its one row. The first 100 of a message
        stand alone, the others are counted by reason.

    Notes
    -----
    Float columns without nulls and infinities are not copied. About 3 ns a value.

    Examples
    --------
    >>> table = pa.record_batch({"time_us": [5], "features.a": [None], "score": [0.5]})
    >>> batch, rejects = batch_from_arrow(table, ModelSchema("default", "m", ("a",)), 0)
    >>> batch.time_us.tolist(), batch.numeric[0].tolist(), batch.score.tolist(), rejects
    ([5], [nan], [0.5], ())
    """
    n = record_batch.num_rows
    if rows is None:
        rows = np.arange(n, dtype=np.int64)
    if columns is None or dictionaries is None:
        columns = assign_columns(schema, 0)
        n_dictionaries = max(columns.dictionaries) + 1
        dictionaries = Dictionaries(n_dictionaries, False, columns.verbatim)
    fields, faults = _Fields(record_batch), _Faults(n)
    faults.refused_by_writer(fields.find(REFUSED_COLUMN))
    for name, column in fields.misshapen():
        faults.mistyped(column, "object", name)
    scratch = _ColumnsOnly(fields, faults, n)
    scratch.read_times()
    scratch.read_numbers(schema)
    scratch.read_codes(columns, dictionaries)
    id_bytes = scratch.read_ids()
    messages = np.full(n, message, dtype=np.int64) if isinstance(message, int) else message
    place = (messages, rows)
    accepted = np.flatnonzero(~faults.is_faulty) if faults.is_faulty.any() else None
    batch = batch_of(scratch, accepted, place, columns, dictionaries, id_bytes)
    own = RowRejects(_BatchRows(record_batch, rows), MessageLimits().max_letters)
    to = own if rejects is None else rejects
    faults.refuse(place, scratch.time_us, schema, to)
    return batch, tuple(own.found)


class _BatchRows:
    """The rows of one record batch, by their numbers."""

    def __init__(self, batch: pa.RecordBatch, rows: Int64Array) -> None:
        self._batch, self._rows = batch, rows

    def payload(self, message: int, row: int) -> bytes:
        """Return a row as a stream of its own."""
        return row_stream(self._batch, int(np.searchsorted(self._rows, row)))


_TICKS_US = {"s": 1_000_000, "ms": 1_000}
_MAX_TIMES = {unit: ((1 << 63) - 1) // _TICKS_US.get(unit, 1) for unit in ("s", "ms", "us", "ns")}


def _in_us(times: Int64Array, unit: str) -> Int64Array:
    """Convert a timestamp's unit to microseconds; what is beyond them is refused elsewhere."""
    return times // 1_000 if unit == "ns" else times * _TICKS_US[unit]


class _ColumnsOnly(Scratch):
    """A scratch whose columns are references to Arrow's wherever they can be."""

    def __init__(self, fields: _Fields, faults: _Faults, n: int) -> None:
        self._fields, self._faults, self._n = fields, faults, n

    def read_times(self) -> None:
        """Fill ``time_us``."""
        column = self._fields.find("time_us")
        self.time_us = np.zeros(self._n, dtype=np.int64)
        if column is None:
            everywhere = np.ones(self._n, dtype=bool)
            self._faults.add(everywhere, "Object missing required field `time_us`")
            return
        kind = column.type
        if not (pa.types.is_timestamp(kind) or pa.types.is_integer(kind) or pa.types.is_null(kind)):
            self._faults.mistyped(column, "int", "time_us")
            return
        unit = kind.unit if pa.types.is_timestamp(kind) else "us"
        column = column.cast(pa.int64(), safe=False)  # the time zone says nothing of the instant
        if column.null_count:
            is_null = column.is_null().to_numpy(zero_copy_only=False)
            self._faults.add(is_null, "Expected `int`, got `null` - at `$.time_us`")
            column = column.fill_null(0)
        times = column.to_numpy(zero_copy_only=False)
        # an unsigned value beyond int64 has become negative
        is_outside = (times < 0) | (times > _MAX_TIMES[unit])
        self._faults.add(is_outside, "Expected an int64 >= 0 - at `$.time_us`")
        self.time_us = times if unit == "us" else _in_us(times, unit)

    def read_numbers(self, schema: ModelSchema) -> None:
        """Fill ``numbers``: the numeric features, then the score."""
        wanted = [*((name, "features") for name in schema.numeric), (SCORE, "")]
        self.numbers = [self._number(*place) for place in wanted]  # type: ignore[assignment]
        self.lacks_number = self._lacks(wanted)

    def _lacks(self, wanted: Sequence[tuple[str, str]]) -> Uint8Array:
        """Return which of these columns there is none of."""
        return np.array([not self._fields.has(*place) for place in wanted], np.uint8)

    def _number(self, name: str, inside: str) -> Float64Array:
        """One column of numbers; null, NaN and infinity are missing."""
        column = self._fields.find(name, inside)
        if column is None or pa.types.is_null(column.type):
            return np.full(self._n, ABSENT if column is None else np.nan)
        path = f"{inside}.{name}".lstrip(".")
        if _is_string(column.type) or pa.types.is_dictionary(column.type):
            return self._numbers_of_texts(column, path)
        if column.type != pa.float64():
            try:
                column = as_number(pa.chunked_array([column])).combine_chunks()
            except (pa.ArrowException, ValueError):
                self._faults.mistyped(column, "float | bool | str | null", path)
                return np.full(self._n, np.nan)
        values = column.to_numpy(zero_copy_only=False)
        is_infinite = np.isinf(values)
        return np.where(is_infinite, np.nan, values) if is_infinite.any() else values

    def _numbers_of_texts(self, column: pa.Array, path: str) -> Float64Array:
        """Read numbers that are text; one that is none is the fault of its rows."""
        texts, indices = distinct_texts(column)
        numbers = np.full(len(texts) + 1, np.nan)
        is_odd = np.zeros(len(numbers), dtype=bool)
        odd = ""
        for i, text in enumerate(texts):
            try:
                number = None if text is None else number_of_text(text)
            except ValueError:
                is_odd[i], odd = True, odd or str(text)
                continue
            numbers[i] = np.nan if number is None else number
        self._faults.add(
            is_odd[indices], f"Expected a number, got text as {odd[:80]!r} - at `$.{path}`"
        )
        return numbers[indices]

    def read_codes(self, columns: Columns, known: Dictionaries) -> None:
        """Fill ``codes`` in column order."""
        wanted = [
            *((name, "features") for name in columns.schema.categorical),
            *((name, "segments") for name in columns.schema.segments),
            *((name, "") for name in NAMES),
        ]
        self.codes = [  # type: ignore[assignment]
            self._code(name, inside, dictionary, known)
            for (name, inside), dictionary in zip(wanted, columns.dictionaries, strict=True)
        ]
        self.lacks_code = self._lacks(wanted[: len(columns.categorical)])

    def _code(self, name: str, inside: str, dictionary: int, known: Dictionaries) -> Int32Array:
        """One column of strings, its own dictionary translated into the decoder's."""
        column = self._fields.find(name, inside)
        if column is None or pa.types.is_null(column.type):
            is_absent = column is None and inside == "features"
            return np.full(self._n, ABSENT_CODE if is_absent else NULL_CODE, dtype=np.int32)
        if not (_is_string(column.type) or pa.types.is_dictionary(column.type)):
            is_category = bool(inside) or name == "prediction"
            try:
                if not is_category:
                    raise pa.ArrowTypeError("an identifier is text")
                column = as_text(pa.chunked_array([column])).combine_chunks()
            except pa.ArrowException:
                expected = "bool | float | int | str | null" if is_category else "str | null"
                self._faults.mistyped(column, expected, f"{inside}.{name}".lstrip("."))
                return np.full(self._n, -1, dtype=np.int32)
        if not pa.types.is_dictionary(column.type):
            return codes_of_texts(column, dictionary, known)
        codes = known.encode(dictionary, column.dictionary.to_pylist())
        if column.indices.null_count == 0 and len(codes) == 1:
            return np.full(self._n, codes[0], dtype=np.int32)
        return np.append(codes, np.int32(-1)).take(indices_of(column))

    def read_ids(self) -> Uint8Array:
        """Fill ``ids``; return the bytes they point into."""
        column = self._fields.find("id")
        self.ids = np.zeros((self._n, 2), dtype=np.int64)
        self.ids[:, 1] = -1
        if column is None or pa.types.is_null(column.type) or self._n == 0:
            return _NO_BYTES
        if not (_is_string(column.type) or pa.types.is_dictionary(column.type)):
            self._faults.mistyped(column, "str | null", "id")
            return _NO_BYTES
        column = column.cast(pa.large_string())
        _, starts, data = column.buffers()
        bounds = np.frombuffer(starts, np.int64)[column.offset : column.offset + self._n + 1]
        self.ids[:, 0] = bounds[:-1]
        lengths = np.diff(bounds)
        if column.null_count:
            lengths[column.is_null().to_numpy(zero_copy_only=False)] = -1
        self.ids[:, 1] = lengths
        return _NO_BYTES if data is None else np.frombuffer(data, np.uint8)


def indices_of(encoded: pa.DictionaryArray) -> Int32Array | Int64Array:
    """The index of each row's value in its dictionary; of a null, -1: the last of a table.

    Examples
    --------
    >>> indices_of(pa.array(["a", None, "a"]).dictionary_encode()).tolist()
    [0, -1, 0]
    """
    indices = encoded.indices
    if indices.null_count or indices.type != pa.int32():
        indices = indices.cast(pa.int64()).fill_null(-1)
    found: Int32Array | Int64Array = indices.to_numpy(zero_copy_only=False)
    return found
