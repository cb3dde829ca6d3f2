"""Command-line options that are times or durations."""

from __future__ import annotations

import typer

from schemas.config.values import parse_duration_us
from schemas.time_text import time_of_iso


def time_option_us(text: str, option: str) -> int:
    """Parse an ISO time; without a time zone it is UTC.

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


def duration_option_us(text: str, option: str) -> int:
    """Parse a duration in the format of the config files.

    Parameters
    ----------
    text : str
        Value of the option.
    option : str
        Name of the option, for the error message.

    Raises
    ------
    typer.BadParameter
        If it is not a duration.
    """
    try:
        return parse_duration_us(text)
    except ValueError as error:
        raise typer.BadParameter(f"{option} {error}") from None
