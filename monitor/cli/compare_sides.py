"""Parses the two sides of ``driftline compare`` on the command line."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import typer

from monitor.app.compare_source import TableSide
from monitor.transport.files import STANDARD_INPUT
from schemas.time_text import time_of_iso


def sides_of(reference: str, current: str) -> tuple[TableSide, TableSide]:
    """Parse both arguments.

    Parameters
    ----------
    reference, current : str
        ``TARGET`` or ``TARGET@FROM..TO``; either time may be omitted, and the current target too.

    Returns
    -------
    tuple of two TableSide

    Raises
    ------
    typer.BadParameter
        If a time is invalid, or a range is empty.

    Examples
    --------
    >>> first, second = sides_of("a.parquet@1970-01-01..1970-01-02", "@1970-01-02..")
    >>> first.until_us, second.target, second.until_us
    (86400000000, 'a.parquet', None)
    """
    first = _side(reference)
    second = _side(current)
    if not first.target:
        raise typer.BadParameter(f'"{reference}" names no file')
    if not second.target:
        second = replace(second, target=first.target)
    if first.target == second.target == STANDARD_INPUT:
        raise typer.BadParameter("standard input can be read once; name a file")
    return first, second


def _side(text: str) -> TableSide:
    """Parse one argument; an existing file with the whole text as name takes precedence."""
    target, at, span = text.rpartition("@")
    if not at or ".." not in span or Path(text).exists():
        return TableSide(text, text)
    since, _, until = span.partition("..")
    since_us, until_us = _time_us(since, text), _time_us(until, text)
    if since_us is not None and until_us is not None and since_us >= until_us:
        raise typer.BadParameter(f'"{text}" is an empty range')
    return TableSide(text, target, since_us, until_us)


def _time_us(text: str, whole: str) -> int | None:
    """Parse an ISO time, by default UTC; empty means no limit."""
    if not text:
        return None
    try:
        return time_of_iso(text)
    except ValueError:
        raise typer.BadParameter(
            f'"{whole}": "{text}" is not a time; write FILE@2016-01-31..2016-02-01T12:00'
        ) from None
