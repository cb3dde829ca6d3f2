"""A user's flat table as the columns the decoder knows. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from detectors.kernels.narrow import widened
from monitor.transport.misfits import Misfits
from monitor.transport.plain_columns import flat
from monitor.transport.restamp import TIME
from schemas.canonical import (
    WORDS_FOR_MISSING,
    category_of_number,
    category_of_text,
    number_of_text,
)
from schemas.config import ModelConfig
from schemas.errors import ConfigError
from schemas.profiles import Kind
from schemas.refused import REFUSED_COLUMN
from schemas.times import EARLIEST, LIMITS, TimeUnit, moment_text, time_of_number, time_of_text

__all__ = [
    "RECORD_TIME",
    "WORDS_FOR_MISSING",
    "as_number",
    "as_text",
    "canonical",
    "flat",
    "times_us",
]

RECORD_TIME = "record_time_us"
_TEXT_COLUMNS = ("id", "prediction", "host", "gpu_uuid", "model_version")
_NESTED = ("features.", "segments.")
_US = pa.timestamp("us", tz="UTC")
_ODD_TIME = r"(?i)[.,]\d{7}|,\d|utc|gmt|z|\s[+-]"
"""Text of a time that Arrow reads only after it was rewritten."""
_PER_SECOND = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}


def canonical(
    table: pa.Table, config: ModelConfig, *, needs_time: bool = False, where: str = ""
) -> pa.Table:
    """Map a flat table to the columns ``time_us``, ``id``, ``score``, ``features.<name>``, ...

    Parameters
    ----------
    table : pyarrow.Table
        As read from a file. A column is looked for under the name in ``config.columns``,
        else under ours; a feature or segment under its own name, or ``features.<name>``.
    config : ModelConfig
    needs_time : bool
        Refuse a table without event times.
    where : str
        The file, for messages.

    Returns
    -------
    pyarrow.Table
        Numeric features and the score float64, categorical features, segments and the
        prediction strings, both in the form of :mod:`schemas.canonical`; times int64
        microseconds UTC (:mod:`schemas.times`). If a value cannot be what the config says,
        it is null, and the column ``driftline.refused`` names it in its row: the decoder
        refuses that row, and no other.

    Raises
    ------
    ConfigError
        Names every column that is missing, and what there is; or a column of which no
        value can be what the config says, by its type.

    Examples
    --------
    >>> config = ModelConfig(model="m", features={"age": {"kind": "numeric"}})
    >>> canonical(pa.table({"age": [1, None], "other": [0, 0]}), config).to_pydict()
    {'features.age': [1.0, None]}
    """
    table = flat(table)
    found = _locate(table, config, needs_time=needs_time, where=where)
    columns: dict[str, pa.ChunkedArray] = {}
    misfits = Misfits(table.num_rows)
    for name, source in found.items():
        try:
            columns[name] = misfits.map(
                name, table[source], partial(_converted, name, config=config)
            )
        except (pa.ArrowException, ValueError) as error:
            detail = " ".join(str(error).split())[:200]
            raise ConfigError(
                f"column {source!r} ({table.schema.field(source).type}) "
                f"cannot be read as {name}: {detail}",
                where=where,
                fix="correct the column, or the feature's kind in the model's config",
            ) from error
    if misfits:
        columns[REFUSED_COLUMN] = misfits.column()
    return pa.table(columns)


def _locate(
    table: pa.Table, config: ModelConfig, *, needs_time: bool, where: str
) -> dict[str, str]:
    """Return our name -> the table's name of every column there is; name what is missing."""
    there = set(table.column_names)
    found: dict[str, str] = {}
    missing: list[str] = []
    for name, choices, is_needed in _wanted(config, needs_time=needs_time):
        source = next((choice for choice in choices if choice in there), None)
        if source is not None:
            found[name] = source
        elif is_needed:
            missing.append(" or ".join(repr(choice) for choice in choices))
    missing += [
        f"'{name}' or '{feature.of}'"
        for name, feature in config.features.items()
        if feature.of and not {f"features.{name}", f"features.{feature.of}"} & found.keys()
    ]
    if missing:
        listed = ", ".join(repr(name) for name in table.column_names[:40])
        fix = "name them under `columns:` or `features:` in the model's config"
        if len(missing) == 1 and TIME not in found and needs_time:
            fix = "name it under `columns.time` in the model's config, or replay the rows evenly "
            fix += "with --rows-per-window"
        raise ConfigError(
            f"no column {', '.join(missing)}; the columns are {listed}", where=where, fix=fix
        )
    return found


def _wanted(
    config: ModelConfig, *, needs_time: bool
) -> Iterator[tuple[str, tuple[str, ...], bool]]:
    """Yield our name, the names to look for, and whether the table must have it."""
    for name, feature in config.features.items():
        yield f"features.{name}", (name, f"features.{name}"), not feature.of
    for source in dict.fromkeys(f.of for f in config.features.values() if f.of):
        yield f"features.{source}", (source, f"features.{source}"), False
    for segment in config.segments:
        is_own = segment not in config.features
        yield f"segments.{segment}", _segment_names(segment, config), is_own
    columns = config.columns
    yield TIME, _named(columns.time, TIME), needs_time or columns.time is not None
    if columns.record_time is not None:
        yield RECORD_TIME, (columns.record_time,), True
    for name in ("score", *_TEXT_COLUMNS):
        given = getattr(columns, name)
        yield name, _named(given, name), given is not None


def _named(given: str | None, ours: str) -> tuple[str, ...]:
    """A name the config gives is the only one; else ours."""
    return (given,) if given is not None else (ours,)


def _segment_names(segment: str, config: ModelConfig) -> tuple[str, ...]:
    """A segment named like a feature is that feature's, unless the table says otherwise."""
    if segment in config.features:
        return (f"segments.{segment}",)
    return (f"segments.{segment}", segment)


def _converted(name: str, column: pa.ChunkedArray, config: ModelConfig) -> pa.ChunkedArray:
    """Turn one column into the type its name asks for."""
    if name in (TIME, RECORD_TIME):
        is_ours = name == TIME and config.columns.time in (None, TIME)
        unit = config.columns.time_unit or ("us" if is_ours else None)
        return times_us(column, unit, is_small_us=name == RECORD_TIME)
    if name == "score":
        return as_number(column)
    feature = config.features.get(name.removeprefix("features."))
    if name.startswith("features.") and feature is not None and feature.kind is Kind.NUMERIC:
        return as_number(column)
    inside, own = name.split(".", 1) if name.startswith(_NESTED) else ("", name)
    return as_text(column, is_verbatim=config.schema_.received.is_verbatim(own, inside))


def as_number(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return float64: the numbers of the table in :mod:`schemas.canonical`.

    Parameters
    ----------
    column : pyarrow.ChunkedArray
        Numbers, decimals, booleans, durations (their seconds), or text that spells numbers.

    Returns
    -------
    pyarrow.ChunkedArray of float64
        Null where it is missing; NaN and infinities of floats as they are.

    Raises
    ------
    pyarrow.ArrowException, ValueError
        If the type holds no numbers, or a text is none.

    Examples
    --------
    >>> as_number(pa.chunked_array([["1.5", "NA", "true"]])).to_pylist()
    [1.5, None, 1.0]
    >>> as_number(pa.chunked_array([pa.array([0.1], pa.float32())])).to_pylist()
    [0.1]
    """
    column = _plain(column)
    kind = column.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return _numbers_of_text(column)
    if pa.types.is_float16(kind) or pa.types.is_float32(kind):
        return _widened(column)
    if pa.types.is_duration(kind):
        return pc.divide(column.cast(pa.int64()).cast(pa.float64()), _PER_SECOND[kind.unit])
    if pa.types.is_boolean(kind):
        column = column.cast(pa.uint8())
    if pa.types.is_temporal(kind):
        raise pa.ArrowTypeError(f"a {kind} is no number")
    if pa.types.is_integer(column.type):
        return column.cast(pa.float64(), safe=False)  # beyond 2**53 the nearest double
    return column.cast(pa.float64())


def _widened(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Turn narrow floats into the numbers that were meant."""
    chunks = [
        pa.array(
            widened(chunk.to_numpy(zero_copy_only=False)),
            mask=chunk.is_null().to_numpy(zero_copy_only=False),
        )
        for chunk in column.chunks
    ]
    return pa.chunked_array(chunks, pa.float64())


def _numbers_of_text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Read numbers; Arrow reads the usual ones, and what it does not is looked at one by one."""
    try:
        numbers = column.cast(pa.float64())
    except pa.ArrowInvalid:
        return _mapped(column, number_of_text, pa.float64())
    if pc.all(pc.is_finite(numbers)).as_py() is False:  # words, or beyond the largest float
        return _mapped(column, number_of_text, pa.float64())
    return numbers


def as_text(column: pa.ChunkedArray, *, is_verbatim: bool = False) -> pa.ChunkedArray:
    """Return strings: the categories of the table in :mod:`schemas.canonical`.

    Parameters
    ----------
    column : pyarrow.ChunkedArray
        Text, numbers, booleans, dates, times, durations, binary that is UTF-8.
    is_verbatim : bool
        Keep texts as they are: identifiers, and what a model's ``verbatim`` lists.

    Returns
    -------
    pyarrow.ChunkedArray of string
        Null where it is missing.

    Raises
    ------
    pyarrow.ArrowException
        If the type has no text form, or bytes are not UTF-8.

    Notes
    -----
    Texts and floats cost .3 to 1.5 us for each distinct value, whatever the rows.

    Examples
    --------
    >>> as_text(pa.chunked_array([[7.0, 0.5, None]])).to_pylist()
    ['7', '0.5', None]
    >>> as_text(pa.chunked_array([["True", "7.00", "007", "NA"]])).to_pylist()
    ['true', '7', '007', None]
    """
    column = _plain(column)
    kind = column.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        text = column.cast(pa.string())
        return text if is_verbatim else _mapped(text, category_of_text, pa.string())
    if pa.types.is_floating(kind) or pa.types.is_duration(kind):
        return _mapped(as_number(column), category_of_number, pa.string())
    if pa.types.is_integer(kind) or pa.types.is_boolean(kind) or pa.types.is_null(kind):
        return column.cast(pa.string())
    if pa.types.is_timestamp(kind):
        return _mapped(times_us(column), moment_text, pa.string())
    # decimals, dates and times of day: Arrow's text, whose form is the canonical one
    return _mapped(column.cast(pa.string()), _form_of_text, pa.string())


def _form_of_text(text: str) -> str | None:
    """Return the form of a value that Arrow has spelled: no fraction without digits."""
    if text[2:3] == ":":
        return text.rstrip("0").rstrip(".") if "." in text else text
    return category_of_text(text.replace("E", "e"))


def _mapped(
    column: pa.ChunkedArray, form: Callable[[Any], Any], kind: pa.DataType
) -> pa.ChunkedArray:
    """Map each distinct value once."""
    chunks = []
    for chunk in column.chunks:
        encoded = chunk.dictionary_encode()
        known = encoded.dictionary.to_pylist()
        forms = [form(value) for value in known]
        if forms != known or chunk.type != kind:
            chunk = pa.array(forms, kind).take(encoded.indices)
        chunks.append(chunk)
    return pa.chunked_array(chunks, kind)


def times_us(
    column: pa.ChunkedArray, unit: TimeUnit | None = None, *, is_small_us: bool = False
) -> pa.ChunkedArray:
    """Return int64 microseconds UTC: the times of the table in :mod:`schemas.times`.

    Parameters
    ----------
    column : pyarrow.ChunkedArray
        Timestamps, dates, text, or numbers.
    unit : {"s", "ms", "us", "ns"}, optional
        Of numbers; by default their magnitude decides.
    is_small_us : bool
        Take numbers that are too small for their magnitude to tell for microseconds.

    Returns
    -------
    pyarrow.ChunkedArray of int64

    Raises
    ------
    pyarrow.ArrowException, ValueError
        If a value is no time.

    Examples
    --------
    >>> times_us(pa.chunked_array([["2016-01-01T00:00:00Z", "2016-01-01 00:00:01"]])).to_pylist()
    [1451606400000000, 1451606401000000]
    >>> times_us(pa.chunked_array([[1451606400, 1451606400000]])).to_pylist()
    [1451606400000000, 1451606400000000]
    """
    column = _plain(column)
    kind = column.type
    if pa.types.is_decimal(kind):
        column = column.cast(pa.float64())
    if pa.types.is_integer(kind) or pa.types.is_floating(column.type):
        return _times_of_numbers(column, unit, is_small_us)
    if pa.types.is_date(kind):
        column = column.cast(pa.timestamp("us"))
    if pa.types.is_timestamp(column.type):
        return column.cast(pa.timestamp("us", tz=column.type.tz), safe=False).cast(pa.int64())
    return _times_of_text(column.cast(pa.string()), unit, is_small_us)


def _times_of_numbers(
    column: pa.ChunkedArray, unit: TimeUnit | None, is_small_us: bool
) -> pa.ChunkedArray:
    """Scale numbers by their unit, or each by its magnitude."""
    is_float = pa.types.is_floating(column.type)
    column = column.cast(pa.float64() if is_float else pa.int64())
    if is_float:
        column = pc.if_else(pc.is_nan(column), None, column)
    if unit is not None and unit != "us":
        return _mapped_times(column, lambda number: time_of_number(number, unit))
    if unit == "us":
        return pc.round(column).cast(pa.int64())
    size = pc.abs(column)
    smallest, largest = (pc.min_max(size)[k].as_py() for k in ("min", "max"))
    if smallest is None or (smallest >= LIMITS[1][0] and largest < LIMITS[2][0]):
        return pc.round(column).cast(pa.int64())  # microseconds, all of them
    if is_small_us and largest < EARLIEST:
        return pc.round(column).cast(pa.int64())

    def form(number: float) -> int:
        is_small = is_small_us and abs(number) < EARLIEST
        return round(number) if is_small else time_of_number(number)

    return _mapped_times(column, form)


def _mapped_times(column: pa.ChunkedArray, form: Callable[[Any], int]) -> pa.ChunkedArray:
    """Read each distinct number once; one that is beyond int64 is no time."""
    try:
        return _mapped(column, form, pa.int64())
    except OverflowError as error:
        raise ValueError(f"a time is out of range: {error}") from None


def _times_of_text(
    column: pa.ChunkedArray, unit: TimeUnit | None, is_small_us: bool
) -> pa.ChunkedArray:
    """Read text: Arrow reads the usual forms, and what it does not is looked at one by one."""
    try:
        return _iso_times_us(column)
    except pa.ArrowInvalid:
        pass
    try:
        numbers = column.cast(pa.int64())
    except pa.ArrowInvalid:
        return _mapped_times(column, lambda text: time_of_text(text, unit))
    return _times_of_numbers(numbers, unit, is_small_us)


def _iso_times_us(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Read ISO text, with and without a zone in one column; without one it is UTC.

    Fractions are cut to microseconds first: Arrow refuses longer ones.
    """
    if pc.any(pc.match_substring_regex(column, _ODD_TIME)).as_py():
        column = pc.replace_substring_regex(column, r"[.,](\d{1,6})\d*", r".\1")
        column = pc.replace_substring_regex(column, r"(?i)\s*(utc|gmt|z)\s*$", "Z")
        column = pc.replace_substring_regex(column, r"(:\d\d(\.\d+)?)\s+([+-])", r"\1\3")
    has_zone = pc.match_substring_regex(column, r"\d[T ]\d{2}.*(Z|[+-]\d{2}(:?\d{2})?)\s*$")
    zoned = pc.if_else(has_zone, column, None).cast(_US).cast(pa.int64())
    plain = pc.if_else(has_zone, None, column).cast(pa.timestamp("us")).cast(pa.int64())
    return pc.coalesce(zoned, plain)


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Undo a dictionary; text must be UTF-8, which no reader of files has looked at."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_string(column.type):
        column = column.cast(pa.binary())  # no copy; the way back checks the bytes
    elif pa.types.is_large_string(column.type):
        column = column.cast(pa.large_binary())
    if pa.types.is_binary(column.type):
        return column.cast(pa.string())
    return column.cast(pa.large_string()) if pa.types.is_large_binary(column.type) else column
