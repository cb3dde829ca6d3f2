"""Deterministic IDs."""

from __future__ import annotations

from uuid import UUID, uuid5

NAMESPACE = UUID("5b2f1a52-6d0b-5a86-9c0e-1d9f3c7e4a11")
"""Namespace of all derived IDs; changing it would repeat every notification."""

_SEPARATOR = "\x1f"


def stable_id(*parts: object) -> str:
    """Derive an ID from parts; equal parts give equal IDs on every machine.

    Parameters
    ----------
    *parts : object
        Converted to text and joined by the unit separator (0x1F), which is escaped within parts, so
        that ``("a", "bc")`` and ``("ab", "c")`` differ.

    Returns
    -------
    str
        A version-5 UUID.

    Examples
    --------
    >>> stable_id("a", "bc") == stable_id("ab", "c")
    False
    """
    texts = (str(part).replace("\\", "\\\\").replace(_SEPARATOR, "\\u") for part in parts)
    return str(uuid5(NAMESPACE, _SEPARATOR.join(texts)))


def alert_id(
    monitor: str, cell: tuple[str, ...], window_us: tuple[int, int], transition: str
) -> str:
    """Derive the ID of an alert from monitor, cell, window and transition.

    Parameters
    ----------
    monitor : str
        ``drift``, ``replica``, ``gpu``, ``pipeline``.
    cell : tuple of str
        Monitored cell: (tenant, model, model_version, feature, segment), or (tenant, gpu_uuid or
        host, rule).
    window_us : tuple of int
        Start and end of the window; for a GPU rule (opened at, changed at).
    transition : str
        ``opened``, ``escalated``, ``resolved``.

    Returns
    -------
    str
        A version-5 UUID, so that sending the alert again after a crash has no effect.

    Examples
    --------
    >>> first = alert_id("drift", ("default", "employment", "", "AGEP", "*"), (0, 10), "opened")
    >>> first == alert_id("drift", ("default", "employment", "", "AGEP", "*"), (0, 10), "opened")
    True
    """
    return stable_id(monitor, len(cell), *cell, *window_us, transition)
