"""Output of commands: tables, or one JSON document."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Sequence
from typing import IO, Any

from monitor.logs.guarded_stream import unguarded
from schemas.spelling import spell_controls, spell_json

_STYLES = {"ok": "green", "failed": "bold red"}
"""Styles of cells with the state of a check."""


def print_json(value: Any) -> None:
    """Print one JSON document on one line; NaN and infinity become null."""
    print(json_text(_finite(value)), flush=True)


def json_text(value: Any) -> str:
    """Return a JSON document on one line, with control characters escaped."""
    return spell_json(json.dumps(value, ensure_ascii=False, default=str))


def print_note(text: str) -> None:
    """Print a note to standard error, such as on how a file was read."""
    print(spell_controls(text), file=sys.stderr)


def print_table(
    columns: Sequence[str],
    rows: Sequence[Sequence[Any]],
    *,
    title: str = "",
    file: IO[str] | None = None,
) -> None:
    """Print rows as a table; coloured on a terminal only.

    Parameters
    ----------
    columns : sequence of str
        Column headings.
    rows : sequence of sequences
        Cells; None is printed as an empty cell, numbers are aligned to the right.
    title : str, optional
        Title above the table.
    file : text stream, optional
        Standard output by default.
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    stream = unguarded(file or sys.stdout)
    # Not wrapped outside a terminal, so that the output can be processed by line.
    width = None if stream.isatty() else _width(columns, rows)
    shown = Text(spell_controls(title)) if title else None
    table = Table(title=shown, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for i, column in enumerate(columns):
        values = [row[i] for row in rows]
        is_number = bool(values) and all(isinstance(v, int | float) or v is None for v in values)
        heading = Text(spell_controls(column))
        table.add_column(heading, justify="right" if is_number else "left", overflow="fold")
    for row in rows:
        table.add_row(*(_cell(value) for value in row))
    Console(file=stream, width=width, highlight=False).print(table)


def _cell(value: Any) -> Any:
    """Format one cell; text is never interpreted as markup."""
    from rich.text import Text

    style = _STYLES.get(value, "") if isinstance(value, str) else ""
    if isinstance(value, float):
        value = f"{value:.4g}"
    return Text("" if value is None else spell_controls(str(value)), style=style)


def _width(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> int:
    """Return the width of the table without wrapping."""
    from rich.cells import cell_len

    widths = [
        max([cell_len(name), *(cell_len(str(_cell(row[i]))) for row in rows)])
        for i, name in enumerate(columns)
    ]
    return sum(widths) + 4 * len(widths) + 4


def _finite(value: Any) -> Any:
    """Replace values that JSON cannot represent."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(k): _finite(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(v) for v in value]
    return value
