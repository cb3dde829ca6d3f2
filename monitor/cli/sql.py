"""``driftline sql``: query the store and print the result as a table, JSON or CSV."""

from __future__ import annotations

import json as builtin_json
import math
import re
import sys
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from monitor.cli.terminal.output import json_text
from monitor.logs.guarded_stream import unguarded
from schemas.errors import QueryError, StorageError
from schemas.spelling import spell_controls

if TYPE_CHECKING:
    import pyarrow as pa

DEFAULT_STORE = "driftline-store"
DEMO_STORE = "demo-output/store"
MAX_SHOWN_ROWS = 50
_MAX_CELL = 120

_LITERALS = re.compile(
    r"'(?:\\.|''|[^'\\])*'|\"(?:\\.|[^\"\\])*\"|`[^`]*`|--[^\n]*|/\*.*?\*/", re.DOTALL
)
_READS = re.compile(r"[\s(]*(SELECT|WITH|SHOW|DESCRIBE|DESC|EXPLAIN|EXISTS)\b", re.IGNORECASE)
_OUTPUT = re.compile(r"\bINTO\s+OUTFILE\b|\bFORMAT\s+\w+\s*$", re.IGNORECASE)


def sql(
    query: Annotated[
        str | None, typer.Argument(help="SQL query; without it, all tables and their row counts.")
    ] = None,
    store: Annotated[
        str,
        typer.Option(metavar="STORE", help="Folder, or http(s)://host:port/database."),
    ] = DEFAULT_STORE,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object per row.")] = False,
    csv: Annotated[bool, typer.Option("--csv", help="Print CSV with a header.")] = False,
) -> None:
    """Query the store with SQL, read-only.

    The query is one SELECT, WITH, SHOW, DESCRIBE, EXPLAIN or EXISTS statement in
    ClickHouse's SQL. FINAL removes rows that a replay or a restart wrote twice. A table
    shows the first 50 rows; --json and --csv print all.

    \b
    Exit code: 0 done, 5 the store is missing or in use by another process, or the query
    failed.

    \b
    Examples:
      driftline sql
      driftline sql "SELECT time, severity, title FROM alerts FINAL ORDER BY time"
      driftline sql "SELECT reason, count() FROM dead_letters FINAL GROUP BY reason" --json
      driftline sql "SELECT avg(features['AGEP']) FROM predictions FINAL" --store demo-store
    """
    from monitor.storage.clickhouse import Store

    question = None if query is None else checked(query)
    _point_to_demo(store)
    with Store.open(store, is_read_only=True) as opened:
        table = _tables(opened) if question is None else opened.query(question)
    if json:
        write_json(table)
    elif csv:
        write_csv(table)
    else:
        show(table)


def _point_to_demo(store: str) -> None:
    """Raise an error with the demo's store if only that exists.

    Raises
    ------
    StorageError
        If the default store does not exist, and the demo's does.
    """
    if store == DEFAULT_STORE and not Path(store).exists() and Path(DEMO_STORE).is_dir():
        raise StorageError(
            "there is no store here", where=store, fix=f"the demo's is at --store {DEMO_STORE}"
        )


run = sql
"""The name in the table of commands."""


def checked(query: str) -> str:
    """Check that a text is one read-only statement; return it without its semicolon.

    Raises
    ------
    QueryError
        If it is empty, writes, has an output clause, or is several statements. The store rejects
        writes itself (readonly = 2); this check precedes its opening, and also rejects ways of
        writing a file that ClickHouse does not count as writes.

    Examples
    --------
    >>> checked("SELECT ';' ;")
    "SELECT ';'"
    """
    text = query.strip().rstrip(";").rstrip()
    bare = _LITERALS.sub(" ", text).strip()
    if not bare:
        raise QueryError("the query is empty", fix="write a SELECT")
    if ";" in bare:
        raise QueryError("more than one statement", fix="pass one statement")
    if not _READS.match(bare):
        raise QueryError(
            f"{bare.split()[0].upper()[:40]} is not a read-only statement",
            fix="use SELECT, WITH, SHOW, DESCRIBE, EXPLAIN or EXISTS",
        )
    if found := _OUTPUT.search(bare):
        raise QueryError(f"{found[0]} is not supported here", fix="use --json or --csv")
    return text


def show(table: pa.Table) -> None:
    """Print a table of at most 50 rows, with the number of further rows."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    is_terminal = sys.stdout.isatty()
    # Output to a pipe is neither wrapped nor truncated.
    width = None if is_terminal else 10_000
    console = Console(file=unguarded(sys.stdout), width=width, soft_wrap=not is_terminal)
    shown = Table(show_edge=False, pad_edge=False, header_style="bold")
    for field in table.schema:
        shown.add_column(
            Text(spell_controls(field.name)), justify="right" if _is_number(field.type) else "left"
        )
    for row in _rows(table.slice(0, MAX_SHOWN_ROWS)):
        shown.add_row(
            *[Text(cell(value), style="" if value is not None else "dim") for value in row]
        )
    console.print(shown)
    if table.num_rows > MAX_SHOWN_ROWS:
        more = table.num_rows - MAX_SHOWN_ROWS
        console.print(f"... {more:,} more rows of {table.num_rows:,}; --json or --csv gives all")
    else:
        console.print(f"{table.num_rows:,} row{'' if table.num_rows == 1 else 's'}")


def write_json(table: pa.Table) -> None:
    """Print one JSON object per row; NaN and infinities as null, bytes as text."""
    for row in _rows(table):
        record = dict(zip(table.column_names, map(_plain, row), strict=True))
        sys.stdout.write(json_text(record) + "\n")


def write_csv(table: pa.Table) -> None:
    """Print CSV with a header; NULL is empty, lists and maps are JSON."""
    import csv as builtin_csv

    # Values are escaped for display on a terminal only.
    out = sys.stdout if sys.stdout.isatty() else unguarded(sys.stdout)
    writer = builtin_csv.writer(out, lineterminator="\n")
    writer.writerow(table.column_names)
    for row in _rows(table):
        plain = map(_plain, row)
        writer.writerow(
            builtin_json.dumps(v, ensure_ascii=False) if isinstance(v, list | dict) else v
            for v in plain
        )


def cell(value: Any) -> str:
    """Format a value for display.

    Examples
    --------
    >>> [cell(v) for v in (None, 1234567, 0.123456789, 1e-12, True, [1, 2.5], "a\\nb")]
    ['NULL', '1234567', '0.123457', '1e-12', 'true', '[1, 2.5]', 'a\\\\nb']
    """
    text = _spelt(value)
    return text if len(text) <= _MAX_CELL else text[: _MAX_CELL - 3] + "..."


def _spelt(value: Any) -> str:
    """Format a value without truncation."""
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M:%S") + (
            f".{value.microsecond:06d}".rstrip("0") if value.microsecond else ""
        )
    if isinstance(value, bytes):
        value = value.decode(errors="backslashreplace")
    if isinstance(value, dict):
        return "{" + ", ".join(f"{k}: {_spelt(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_spelt, value)) + "]"
    return spell_controls(str(value))


def _plain(value: Any) -> Any:
    """Convert a value to JSON types."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.decode(errors="backslashreplace")
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_plain(v) for v in value]
    return value if isinstance(value, bool | int | float | str | None) else str(value)


def _rows(table: pa.Table) -> Any:
    """Yield rows of Python values; maps as dicts, text that is not UTF-8 as bytes."""
    columns = [_values(table.column(i)) for i in range(table.num_columns)]
    return zip(*columns, strict=True)


def _values(column: pa.ChunkedArray) -> list[Any]:
    """Return a column's values; a payload may hold any bytes."""
    import pyarrow as pa

    values: list[Any]
    try:
        values = column.to_pylist()
    except UnicodeDecodeError:
        values = column.cast(pa.binary()).to_pylist()
    except (OverflowError, ValueError):  # a time after the year 9999, which Python cannot represent
        values = column.cast(pa.string()).to_pylist()
    if pa.types.is_map(column.type):
        return [None if pairs is None else dict(pairs) for pairs in values]
    return values


def _is_number(kind: pa.DataType) -> bool:
    """Return whether a column is numeric, and so aligned to the right."""
    import pyarrow as pa

    is_number = (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal)
    return any(is_kind(kind) for is_kind in is_number)


def _tables(opened: Any) -> pa.Table:
    """Return the tables and their row counts, with repeated rows counted once."""
    import pyarrow as pa

    from monitor.storage.queries import row_counts

    counts = row_counts(opened)
    return pa.table({"table": list(counts), "rows": pa.array(list(counts.values()), pa.int64())})
