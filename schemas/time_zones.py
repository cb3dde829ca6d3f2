"""Time zones by their IANA name."""

from __future__ import annotations

from difflib import get_close_matches
from zoneinfo import ZoneInfo, available_timezones

UTC_NAME = "UTC"


def find_zone(name: str) -> ZoneInfo:
    """Return the time zone of a name.

    Parameters
    ----------
    name : str
        IANA name: ``Europe/Berlin``, ``UTC``.

    Returns
    -------
    ZoneInfo
        One object per name.

    Raises
    ------
    ValueError
        If there is no such zone; the message has similar names.

    Examples
    --------
    >>> find_zone("Asia/Kathmandu").key
    'Asia/Kathmandu'
    >>> find_zone("Europe/Berln")
    Traceback (most recent call last):
    ValueError: 'Europe/Berln' is not a time zone; did you mean Europe/Berlin?
    """
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ValueError(f"{name[:80]!r} is not a time zone; {_hint(name[:80])}") from None


def _hint(name: str) -> str:
    """Return a hint with a similar name."""
    known = {zone.lower(): zone for zone in available_timezones()}
    close = get_close_matches(name.lower(), known, n=3, cutoff=0.75)
    if close:
        return f"did you mean {' or '.join(known[zone] for zone in close[:1])}?"
    return "write a name of the IANA data base, such as Europe/Berlin or UTC"
