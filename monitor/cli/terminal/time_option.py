"""Command-line options that are times."""

from __future__ import annotations

import typer

from schemas.time_text import time_of_iso


def time_option_us(text: str, option: str) -> int:
    """Read an ISO time; without a zone it is UTC.

    Parameters
    ----------
    text : str
        Value of the option.
    option : str
        Name of the option, for the error message.

    Raises
    ------
    typer.BadParameter
        If it is not a time.
    """
    try:
        return time_of_iso(text)
    except ValueError:
        raise typer.BadParameter(
            f'{option} "{text}" is not a time; write 2026-01-31 or 2026-01-31T12:00:00'
        ) from None
