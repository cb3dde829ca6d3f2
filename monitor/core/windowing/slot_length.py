"""How many panes are counted as one slot where no stage of another process reads them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import gcd, isqrt
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from schemas.config.values import format_duration
from schemas.errors import ConfigError

if TYPE_CHECKING:
    from schemas.config.model import ModelConfig

MIN_ROWS = 64
"""A stored slot holds so many rows on average: shorter ones would take more room than rows."""
_TRIMMED = 20
"""One of so many rows at either end is left out of a rate: single wrong times are far away."""


def slot_of(configs: Iterable[ModelConfig]) -> int:
    """Return the longest span of which every config's windows are made: where panes may merge.

    Parameters
    ----------
    configs : iterable of ModelConfig
        Of one model or of many; at least one.

    Returns
    -------
    int
        Microseconds: the greatest common divisor of the windows' lengths, and of the ticks
        of models that are judged by rule 2.

    Examples
    --------
    >>> from schemas.config.model import ModelConfig
    >>> first = {"features": {"x": {"kind": "numeric"}}, "decision": {"rule": 1}}
    >>> hour = ModelConfig.model_validate({"model": "m", **first})
    >>> longer = hour.window.model_copy(update={"length_us": 5_400_000_000})
    >>> slot_of([hour, hour.model_copy(update={"window": longer})]) // 60_000_000
    30
    """
    return gcd(*(_judged_us(config) for config in configs))


def _judged_us(config: ModelConfig) -> int:
    """Return the shortest span of a model that is judged at once; windows are made of ticks."""
    return config.window.length_us if config.decision.rule == 1 else config.tick_us


def check_slot(slot_us: int, pane_us: int, model: str) -> None:
    """Refuse windows that the panes there are cannot be put together to.

    Raises
    ------
    ConfigError
        If the slot is not a whole number of panes.
    """
    if slot_us % pane_us:
        shortest = format_duration(gcd(slot_us, pane_us))
        raise ConfigError(
            f"the window lengths of {model!r} have the common divisor {slot_us / 1e6:g} s, which "
            f"is not a multiple of its panes of {pane_us / 1e6:g} s",
            where="window.length",
            fix="propose a length that is a multiple of the pane, or replay the events into "
            f"another store with --pane {shortest}",
        )


def check_pane_option(slot_us: int, window_us: int, pane_us: int) -> None:
    """Refuse a length of stored panes of which windows cannot be made.

    Parameters
    ----------
    slot_us : int
        What ``--pane`` asks for.
    window_us : int
        See :func:`slot_of`.
    pane_us : int
        ``window.pane``.

    Raises
    ------
    ConfigError
        If it is not a whole number of panes, or the windows are not a whole number of it.

    Examples
    --------
    >>> check_pane_option(30, 60, 10)
    """
    if slot_us <= 0 or slot_us % pane_us or window_us % slot_us:
        raise ConfigError(
            f"windows of {format_duration(window_us)} are not made of panes of "
            f"{format_duration(slot_us)}",
            where="--pane",
            fix=f"choose a multiple of window.pane, {format_duration(pane_us)}, "
            "that divides the window",
        )


def stored_slot_us(window_us: int, pane_us: int, n_rows: int, span_us: int) -> int:
    """Return the shortest length of panes that hold :data:`MIN_ROWS` rows on average.

    Parameters
    ----------
    window_us, pane_us : int
        Windows (see :func:`slot_of`), and the shortest length.
    n_rows, span_us : int
        Rows, and in how much time they came.

    Returns
    -------
    int
        Microseconds: a multiple of the pane that divides the window; at most the window.

    Examples
    --------
    >>> stored_slot_us(3600, 10, 1_000, 10_000), stored_slot_us(3600, 10, 5, 10_000)
    (720, 3600)
    """
    if n_rows < MIN_ROWS:
        return window_us
    slots = (grain * pane_us for grain in _divisors(window_us // pane_us))
    return next((s for s in slots if n_rows * s >= MIN_ROWS * span_us), window_us)


def rate_of(times_us: NDArray[np.int64]) -> tuple[int, int]:
    """Return how many rows came in how much time, without the first and the last twentieth.

    Examples
    --------
    >>> times_us = np.arange(100) * 10
    >>> times_us[3] = -(10**12)
    >>> rate_of(times_us)
    (89, 890)
    """
    ordered = np.sort(times_us)
    low = len(ordered) // _TRIMMED
    high = len(ordered) - 1 - low
    return (high - low, int(ordered[high] - ordered[low])) if high > low else (0, 0)


def _divisors(n: int) -> Sequence[int]:
    """Return the divisors in order."""
    low = [d for d in range(1, isqrt(n) + 1) if n % d == 0]
    return sorted({*low, *(n // d for d in low)})
