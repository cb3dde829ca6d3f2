"""Messages of the results topic: one struct, a list of structs, or a table. Pure.

A table of statistics or verdicts is written as columns behind two bytes that begin no MessagePack
value. Earlier versions write lists of structs only; all forms are read.
"""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from monitor.core.bounds import (
    DECODE_ERRORS,
    MAX_OFFSET,
    MAX_VALUE_BYTES,
    check_counts,
    check_finite,
    check_number,
    check_text,
    check_time,
)
from monitor.core.state.detectable_messages import DETECTABLE_PREFIX
from schemas.errors import DomainError, TransportError
from schemas.monitors import Monitor
from schemas.panes import ClosedBy
from schemas.result_table import COUNTS, SHARED, ResultColumns, ResultTable, VerdictColumns
from schemas.results import DetectorResult, Reason, Verdict

TABLE_PREFIX = b"\xc1R"
"""Of a table of statistics; MessagePack leaves the first byte unused."""
VERDICT_PREFIX = b"\xc1V"
"""Of a table of verdicts."""
SCHEMA = 1
"""Version of a table's encoding; a reader rejects one it does not know."""
_INTEGERS: dict[int, np.dtype[Any]] = {
    1: np.dtype("<u1"),
    2: np.dtype("<u2"),
    4: np.dtype("<u4"),
    8: np.dtype("<i8"),
}


class _TableMessage(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A table as it is written; arrays in the order of ``CODES``, ``COUNTS`` and ``FLOATS``."""

    schema: int
    tenant: str
    monitor: Monitor
    model: str
    model_version: str
    profile_id: str
    window_us: int
    start_us: int
    end_us: int
    closed_by: ClosedBy
    revised: bool
    result_version: int
    n_rows: int
    features: tuple[str, ...]
    segments: tuple[str, ...]
    metrics: tuple[str, ...]
    reasons: tuple[Reason, ...]
    integers: tuple[bytes, ...]
    """Little endian, one, two, four or eight bytes each."""
    floats: tuple[tuple[bytes, bytes], ...]
    """One bit per row that has a number, and these numbers as 64 bits each."""


class _VerdictMessage(_TableMessage, frozen=True, gc=False):
    """A table of verdicts; arrays in the order of the codes and floats of its columns."""

    verdicts: tuple[Verdict, ...]
    rungs: tuple[str, ...]
    wheres: tuple[str, ...]


_Columns = type[ResultColumns]
_STRUCTS = msgspec.msgpack.Decoder(DetectorResult | list[DetectorResult])
_TABLES: dict[bytes, tuple[_Columns, msgspec.msgpack.Decoder[_TableMessage]]] = {
    TABLE_PREFIX: (ResultColumns, msgspec.msgpack.Decoder(_TableMessage)),
    VERDICT_PREFIX: (VerdictColumns, msgspec.msgpack.Decoder(_VerdictMessage)),
}


def encode_table(table: ResultTable) -> list[bytes]:
    """Return a table as message values: one, or several where names are long.

    Examples
    --------
    >>> one = np.zeros(1)
    >>> columns = ResultColumns(("age",), ("*",), ("psi",), (Reason.DESCRIPTIVE,),
    ...     *[np.zeros(1, np.int32)] * 4, *[one] * 4, *[np.zeros(1, np.int64)] * 2)
    >>> table = ResultTable(tenant="t", monitor=Monitor.DRIFT, model="m", model_version="1",
    ...     profile_id="p", window_us=10, start_us=0, end_us=10, closed_by=ClosedBy.END,
    ...     columns=columns)
    >>> [value] = encode_table(table)
    >>> read_results(value)[0].metric
    'psi'
    """
    return _encoded(table, table.columns)


def _encoded(table: ResultTable, columns: ResultColumns) -> list[bytes]:
    """Write rows as one value, or as two of half of them."""
    has_verdicts = isinstance(columns, VerdictColumns)
    kind, prefix = (
        (_VerdictMessage, VERDICT_PREFIX) if has_verdicts else (_TableMessage, TABLE_PREFIX)
    )
    shared = {name: getattr(table, name) for name in SHARED}
    names = {listed: getattr(columns, listed) for listed in columns.codes.values()}
    integers = (*columns.codes, *COUNTS)
    message = kind(
        schema=SCHEMA,
        n_rows=len(columns),
        integers=tuple(_pack_integers(getattr(columns, name)) for name in integers),
        floats=tuple(_pack_floats(getattr(columns, name)) for name in columns.floats),
        **shared,
        **names,
    )
    value = prefix + msgspec.msgpack.encode(message)
    if len(value) <= MAX_VALUE_BYTES or len(columns) <= 1:
        return [value]
    middle = len(columns) // 2
    halves = columns.part(0, middle), columns.part(middle, len(columns))
    return [part for half in halves for part in _encoded(table, half)]


def read_results(value: bytes) -> list[DetectorResult]:
    """Return the results of one message, whichever form it has; none of detectable changes.

    Raises
    ------
    TransportError
        If it is no message of results, or a table holds a value that none can have.
    """
    if value.startswith(DETECTABLE_PREFIX):
        return []
    found = ResultDecoder().decode(value)
    if isinstance(found, ResultTable):
        return found.results()
    return found if isinstance(found, list) else [found]


class ResultDecoder:
    """Reads values of the results topic as they were written."""

    def decode(self, value: bytes) -> DetectorResult | list[DetectorResult] | ResultTable:
        """Return structs, or the columns of a table.

        Raises
        ------
        TransportError
            As :func:`read_results`.
        """
        try:
            known = _TABLES.get(bytes(value[: len(TABLE_PREFIX)]))
            if known is not None:
                kind, decoder = known
                return _table_of(kind, decoder.decode(memoryview(value)[len(TABLE_PREFIX) :]))
            found: DetectorResult | list[DetectorResult] = _STRUCTS.decode(value)
        except (*DECODE_ERRORS, DomainError) as error:
            raise TransportError(str(error), where="results") from None
        return found


def _table_of(kind: _Columns, message: _TableMessage) -> ResultTable:
    """Check what the types do not say, and read the arrays."""
    check_number("encoding", message.schema, SCHEMA, SCHEMA)
    for name in ("tenant", "model", "model_version", "profile_id"):
        check_text(name, getattr(message, name))
    for name in ("start_us", "end_us"):
        check_time(name, getattr(message, name))
    for name in ("window_us", "result_version"):
        check_number(name, getattr(message, name), 0, MAX_OFFSET)
    n_rows = check_number("n_rows", message.n_rows, 0, MAX_VALUE_BYTES)
    integers = [_unpack_integers(each, n_rows) for each in message.integers]
    floats = [_unpack_floats(*each, n_rows) for each in message.floats]
    _check_columns(kind, message, integers, len(floats))
    n_codes = len(kind.codes)
    counts = (each.astype(np.int64) for each in integers[n_codes:])
    fields: dict[str, Any] = {
        **{listed: getattr(message, listed) for listed in kind.codes.values()},
        **dict(zip(kind.codes, integers, strict=False)),
        **dict(zip(kind.floats, floats, strict=True)),
        **dict(zip(COUNTS, counts, strict=True)),
    }
    shared = {name: getattr(message, name) for name in SHARED}
    return ResultTable(**shared, columns=kind(**fields))


def _check_columns(
    kind: _Columns, message: _TableMessage, integers: list[NDArray[Any]], n_floats: int
) -> None:
    """Check that all columns are there, and that positions lie within the names."""
    check_number("columns of integers", len(integers), *[len(kind.codes) + len(COUNTS)] * 2)
    check_number("columns of numbers", n_floats, *[len(kind.floats)] * 2)
    for codes, listed in zip(integers, kind.codes.values(), strict=False):
        names = getattr(message, listed)
        for name in names:
            check_text(listed, name)
        if codes.size:
            check_number(listed, int(codes.max()), 0, len(names) - 1)
            check_counts(listed, codes)
    for name, counts in zip(COUNTS, integers[len(kind.codes) :], strict=True):
        check_counts(name, counts)


def _pack_integers(values: NDArray[np.integer[Any]]) -> bytes:
    """Return whole numbers >= 0 in as few bytes each as hold them all."""
    largest = int(values.max(initial=0))
    width = next(
        w for w, bound in ((1, 1 << 8), (2, 1 << 16), (4, 1 << 32), (8, 1 << 64)) if largest < bound
    )
    return values.astype(_INTEGERS[width]).tobytes()


def _unpack_integers(data: bytes, n_rows: int) -> NDArray[Any]:
    """Return whole numbers; how many bytes each has follows from the length."""
    width = len(data) // n_rows if n_rows else 1
    if width not in _INTEGERS or width * n_rows != len(data):
        raise DomainError(f"{len(data)} bytes for {n_rows} whole numbers")
    return np.frombuffer(data, _INTEGERS[width])


def _pack_floats(values: NDArray[np.float64]) -> tuple[bytes, bytes]:
    """Return which rows have a number, and the numbers."""
    is_there = np.isfinite(values)
    return np.packbits(is_there).tobytes(), values[is_there].astype("<f8").tobytes()


def _unpack_floats(bits: bytes, data: bytes, n_rows: int) -> NDArray[np.float64]:
    """Return numbers, NaN where there is none."""
    if len(bits) != (n_rows + 7) // 8 or len(data) % 8:
        raise DomainError(f"{len(bits)} and {len(data)} bytes for {n_rows} numbers")
    is_there = np.unpackbits(np.frombuffer(bits, np.uint8), count=n_rows).astype(np.bool_)
    numbers = np.frombuffer(data, "<f8")
    if len(numbers) != np.count_nonzero(is_there):
        raise DomainError(f"{len(numbers)} numbers for {np.count_nonzero(is_there)} rows")
    check_finite("a statistic", numbers)
    values = np.full(n_rows, np.nan)
    values[is_there] = numbers
    return values
