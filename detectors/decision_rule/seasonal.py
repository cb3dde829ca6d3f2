"""Seasonal reference: the same hour of the week, if there is enough history."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from detectors.decision_rule.design_effect import MIN_WINDOW_ROWS, MIN_WINDOWS, QUANTILE
from detectors.decision_rule.local_time import local_time_us, zone_offset_s
from detectors.decision_rule.sets import CellSets
from schemas.errors import DomainError, ShapeError
from schemas.panes import N_COUNTERS
from schemas.time_units import HOUR_US
from schemas.time_zones import UTC_NAME

N_SLOTS: Final = 168
"""Hours of a week, Monday 00:00 first."""
MIN_WEEKS: Final = 4
"""Weeks in which a slot must have had rows: fewer cannot separate a season from chance."""
MIN_DAYS: Final = 14
"""Minimum days for an hour of the day, over all weekdays."""
MIN_ROWS: Final = 1_000
"""Rows of a slot: with fewer its tolerance, about .07 at K = 60, hides more than the season."""
MIN_OWN_ROWS: Final = 200
"""Minimum rows of a slot without a larger substitute: tolerance .15, so only large changes fire."""
MIN_SHARE: Final = 0.02
"""Sets rarer than this are too coarse to show a season."""
N_ERRORS: Final = 3.0
"""In each of two halves of the weeks: one slot and set in a million by chance."""
BY_SLOT, BY_HOUR, BY_ALL, BY_NONE = range(4)
"""Reference levels: hours of the week, hours of the day, all hours, none."""

_WEEK_US: Final = N_SLOTS * HOUR_US
_CHANGING_ZONES: Final = (
    "Europe/Berlin",
    "America/New_York",
    "America/Santiago",
    "Australia/Sydney",
)
_MONDAY_HOURS: Final = 72
"""The epoch began on a Thursday."""
_OF_DAY: Final = np.arange(N_SLOTS) % 24

Counts = NDArray[np.int64]


class SeasonalReference(NamedTuple):
    """Reference of each of C cells in one window."""

    counts: Counts
    """Shape (C, 64); sums to n0. Zeros if there is no baseline for these hours."""
    level: NDArray[np.int64]
    """Shape (C,): 0 slot of the week, 1 hour of the day, 2 the whole reference, 3 none."""


def slot_of(time_us: ArrayLike, timezone: str = UTC_NAME) -> Counts:
    """Return the hour of the week of each moment.

    Parameters
    ----------
    time_us : array_like of int
        Event times, microseconds since the epoch.
    timezone : str, default "UTC"
        IANA name of the clock by which people and machines behave; its daylight saving
        is followed.

    Returns
    -------
    ndarray of int64
        0 (Monday 00:00 to 01:00) to 167, of the same shape.

    Raises
    ------
    ShapeError, DomainError
        As :func:`detectors.decision_rule.local_time.local_time_us`.

    Examples
    --------
    >>> slot_of([0, 4 * 86_400_000_000]).tolist()  # Thursday 1 and Monday 5 January 1970
    [72, 0]
    >>> slot_of([0], "Asia/Kolkata").tolist()  # 05:30
    [77]
    """
    hours = local_time_us(time_us, timezone) // HOUR_US
    return np.asarray((hours + _MONDAY_HOURS) % N_SLOTS, np.int64)


def slots_of_window(start_us: int, length_us: int, timezone: str = UTC_NAME) -> Counts:
    """Return the slots that a window overlaps, without duplicates.

    Parameters
    ----------
    start_us, length_us : int
        Event time, microseconds.
    timezone : str, default "UTC"
        See :func:`slot_of`.

    Returns
    -------
    ndarray of int64
        In the order in which they come. All 168 from a week on, but for an hour that the
        local clock left out.

    Raises
    ------
    DomainError
        If the length is not positive, or there is no such zone.

    Examples
    --------
    >>> slots_of_window(0, 7_200_000_000).tolist()
    [72, 73]
    >>> slots_of_window(0, 3_600_000_000, "Asia/Kolkata").tolist()  # 05:30 to 06:30
    [77, 78]
    """
    if length_us <= 0:
        raise DomainError(f"length_us is {length_us}", where="slots_of_window", fix="pass > 0")
    length_us = min(length_us, _WEEK_US)
    if timezone == UTC_NAME:
        return _slots_in_utc(start_us % _WEEK_US, length_us)
    return _slots_between(start_us, length_us, timezone)


@lru_cache(maxsize=1024)
def _slots_in_utc(start_us: int, length_us: int) -> Counts:
    """Return the slots of a window that begins so long after a Thursday, 00:00 UTC."""
    slots = _slots_between(start_us, length_us, UTC_NAME)
    slots.flags.writeable = False
    return slots


def _slots_between(start_us: int, most_us: int, timezone: str) -> Counts:
    """Return the slots that a window of a week at most overlaps."""
    # Clocks differ from UTC by whole quarters of an hour.
    moments = np.append(
        np.arange(start_us, start_us + most_us, HOUR_US // 4), start_us + most_us - 1
    )
    slots = slot_of(moments, timezone)
    _, first = np.unique(slots, return_index=True)
    return slots[np.sort(first)]


def clock_shifts(reference_us: int, time_us: int) -> tuple[int, ...]:
    """Return possible shifts of local clocks between reference and window, in hours.

    Parameters
    ----------
    reference_us : int
        The middle of the reference, microseconds since the epoch.
    time_us : int
        Start of the window.

    Returns
    -------
    tuple of int
        0 first; 1 where some clock that was on standard time then is on daylight saving
        now, -1 where it is the other way round.

    Notes
    -----
    For models whose time zone is not known: the clocks of Europe, North and South America
    and Australia represent all.

    Examples
    --------
    >>> winter, march, april = 1_709_000_000_000_000, 1_711_840_000_000_000, 1_713_000_000_000_000
    >>> [clock_shifts(winter, time_us) for time_us in (winter, march, april)]  # 2024
    [(0,), (0, 1), (0, -1, 1)]
    """
    shifts = set()
    for zone in _CHANGING_ZONES:
        before_s, now_s = (zone_offset_s(zone, us // 1_000_000) for us in (reference_us, time_us))
        shifts.add(round((now_s - before_s) / 3_600))
    return (0, *sorted(shifts - {0}))


def best_shift(
    slot_counts: NDArray[np.integer],
    slots: Counts,
    shifts: Sequence[int],
    counts: Counts,
    chosen: NDArray[np.bool_] | None = None,
) -> int:
    """Return the shift of the reference in hours that fits a window best.

    Parameters
    ----------
    slot_counts : ndarray of int, shape (168, N, 64)
        Counters of the reference by hour of the week.
    slots : ndarray of int64
        Those the window touches.
    shifts : sequence of int
        Hours, see :func:`clock_shifts`.
    counts : ndarray of int, shape (C, 64)
        The window's, of cells with a season.
    chosen : ndarray of bool, shape (N,), optional
        Which of the reference's cells these are; all by default.

    Returns
    -------
    int
        The shift under which the window is likeliest, over all cells together; the first
        of ``shifts`` where none is likelier.

    Examples
    --------
    >>> reference = np.zeros((168, 1, 64), np.int64)
    >>> reference[8, 0, 0], reference[9, 0, 1] = 1_000, 1_000
    >>> window = reference[9]
    >>> best_shift(reference, np.array([8]), (0, 1), window)
    1
    """
    best, most = shifts[0], -np.inf
    for shift in shifts:
        own = slot_counts[(slots + shift) % N_SLOTS].sum(axis=0, dtype=np.int64)
        own = own if chosen is None else own[chosen]
        if not own.any():
            continue
        own = own + 0.5
        likelihood = float((counts * np.log(own / own.sum(axis=1, keepdims=True))).sum())
        if likelihood > most:
            best, most = shift, likelihood
    return best


def has_season(halves: NDArray[np.integer], sets: CellSets, phi: float, eps_floor: float) -> bool:
    """Return whether a cell follows the hour of the week by more than its tolerance.

    Where it does not, the whole reference is the better one: it has 168 times the rows.

    Parameters
    ----------
    halves : ndarray of int, shape (2, 168, 64)
        Counters by hour of the week, of the even and of the odd weeks: as many of one as
        of the other, else a trend is above the mean at the end of the week in both.
    sets : CellSets
        The cell's sets.
    phi : float
        Design effect.
    eps_floor : float
        Tolerance: a cycle inside it is silent anyhow.

    Returns
    -------
    bool
        True if some set's share in the same slot, or the same hour of the day, is above
        the mean by ``eps_floor`` and three standard errors, in both halves. The mean is
        the half's own or that of the two halves, whichever is larger.

    Raises
    ------
    ShapeError
        If shapes do not fit.
    DomainError
        If phi is below 1.

    Notes
    -----
    Of two halves, so that one odd week is no season. Two means, because either alone
    takes something else for one. Under a steady trend the end of a week is above its own
    half's mean in both halves; but the weeks are interleaved, so the earlier half does not
    reach the mean of the two. After a step, or an odd stretch of days in one week, all other
    slots are on the same side of the mean of the two; but one half is flat about its own.
    Weeks of very different traffic can leave some of a trend. Sets below a share of .02 are
    left out, as in phi. Without a season the chance is about 1e-6 for each set and slot.
    O(168 sets); the halves are mergeable.

    References
    ----------
    Split-half replication. The tolerance is that of formula 4 of the rule.

    Examples
    --------
    >>> from detectors.decision_rule.sets import cell_sets
    >>> from schemas.baselines import Kind, VariableBaseline
    >>> halves = np.zeros((2, 168, 64), np.int64)
    >>> halves[:, :, 0] = 500 + 200 * np.sin(np.arange(168) * np.pi / 12)
    >>> halves[:, :, 1] = 1_000 - halves[:, :, 0]
    >>> land = VariableBaseline("land", Kind.CATEGORICAL, np.empty(0), ("a", "b"))
    >>> has_season(halves, cell_sets(land, halves.sum(axis=(0, 1))), phi=1.0, eps_floor=0.02)
    True
    """
    if halves.shape != (2, N_SLOTS, N_COUNTERS):
        what = f"halves of shape {halves.shape}"
        raise ShapeError(what, where="seasonal", fix=f"pass (2, {N_SLOTS}, {N_COUNTERS})")
    if not phi >= 1:
        raise DomainError(f"phi is {phi:g}", where="seasonal", fix="a design effect is >= 1")
    wide = halves.astype(np.int64)
    own = sets.tally(wide.sum(axis=1)) / np.maximum(wide.sum(axis=(1, 2)), 1)[:, None]
    p = own.mean(axis=0)
    is_usable = (p >= MIN_SHARE) & (p <= 1 - MIN_SHARE)
    if not is_usable.any():
        return False
    by_hour = wide.reshape(2, 7, 24, N_COUNTERS).sum(axis=1)
    for cells in (wide, by_hour):
        least = np.full((cells.shape[1], int(is_usable.sum())), np.inf)
        for half, mean in zip(cells, np.maximum(own, p), strict=True):
            n = np.maximum(half.sum(axis=1), 1)[:, None]
            share = sets.tally(half)[:, is_usable] / n
            error = np.sqrt(phi * (p * (1 - p))[is_usable] / n)
            least = np.minimum(least, share - mean[is_usable] - N_ERRORS * error)
        if (least > eps_floor).any():
            return True
    return False


def choose_reference(
    slot_counts: NDArray[np.integer],
    n_weeks: Counts,
    slots: Counts,
    is_seasonal: NDArray[np.bool_] | None = None,
) -> SeasonalReference:
    """Choose the reference of each cell in a window.

    Prefer it to one reference for all hours where traffic has a daily or weekly cycle:
    one reference either fires at every peak, or learns a tolerance as wide as the cycle.

    Parameters
    ----------
    slot_counts : ndarray of int, shape (168, C, 64)
        Counters of the reference by hour of the week.
    n_weeks : ndarray of int64, shape (168,)
        Weeks in which each slot had rows.
    slots : ndarray of int64
        Slots that the window overlaps, see :func:`slots_of_window`.
    is_seasonal : ndarray of bool, shape (C,), optional
        Seasonal cells, see :func:`has_season`; the others get the whole reference.
        Without it no cell is known to have one.

    Returns
    -------
    SeasonalReference
        The window's slots, if they hold 1,000 rows of the cell and 4 weeks each; else
        the same hours of all days, if they hold 1,000 rows and 14 days each; else, of a
        cell with a season, the slots after all, if they hold 200 rows and most of their rows
        are of slots with 4 weeks, or else nothing; of other cells, all hours.

    Raises
    ------
    ShapeError
        If shapes do not fit.

    Notes
    -----
    n0 is that of what is chosen, so a small slot has a wide tolerance (formula 4 of the
    rule): .15 at 200 rows and K = 60. A cell with a season is never compared with all hours,
    which would be a drift every night or weekend: a wide tolerance is honest, and below
    200 rows none is: without a baseline the cell keeps its evidence and has no verdict.

    Formula 4 has its one chance in two hundred for each baseline: over 168 slots some
    reference may lie outside, and speaks for one window a week, which m = 2 and the cap
    keep from firing. Segments of one window may differ in level. Sets stay those of the
    whole reference, so evidence goes on over slots, as it does for replicas. O(168 C),
    4 ms for 200 cells. Mergeable: counts by slot add up, weeks do where the parts are of
    different weeks.

    References
    ----------
    Formula 4 of the rule, whose n0 is that of the seasonal slot.

    Examples
    --------
    >>> counts = np.zeros((168, 1, 64), np.int64)
    >>> counts[:, 0, 0] = 300
    >>> counts[9, 0, 0] = 1_200  # Monday, nine o'clock
    >>> for hour in (9, 10):
    ...     chosen = choose_reference(counts, np.full(168, 4), np.array([hour]))
    ...     print(chosen.level.tolist(), chosen.counts.sum())
    [0] 1200
    [1] 2100
    """
    if slot_counts.ndim != 3 or slot_counts.shape[::2] != (N_SLOTS, N_COUNTERS):
        what = f"slot counts of shape {slot_counts.shape}"
        raise ShapeError(what, where="seasonal", fix=f"pass ({N_SLOTS}, C, {N_COUNTERS})")
    if n_weeks.shape != (N_SLOTS,):
        what = f"weeks of shape {n_weeks.shape}"
        raise ShapeError(what, where="seasonal", fix=f"pass ({N_SLOTS},)")
    hours = np.unique(slots % 24)
    n_days = min(int(n_weeks[hour == _OF_DAY].sum()) for hour in hours)
    own = slot_counts[slots].sum(axis=0, dtype=np.int64)
    same_hours = slot_counts[np.isin(_OF_DAY, hours)].sum(axis=0, dtype=np.int64)
    is_slot = (own.sum(axis=1) >= MIN_ROWS) & bool((n_weeks[slots] >= MIN_WEEKS).all())
    is_hour = (same_hours.sum(axis=1) >= MIN_ROWS) & (n_days >= MIN_DAYS)
    level = np.select([is_slot, is_hour], [BY_SLOT, BY_HOUR], BY_ALL).astype(np.int64)
    if is_seasonal is not None:
        least = _least_level(slot_counts[slots], n_weeks[slots])
        level = np.where(is_seasonal, np.where(level == BY_ALL, least, level), BY_ALL)
    whole = slot_counts.sum(axis=0, dtype=np.int64)
    chosen = np.stack([own, same_hours, whole, 0 * own])[level, np.arange(len(level))]
    return SeasonalReference(chosen, level)


def _least_level(own: NDArray[np.integer], n_weeks: Counts) -> NDArray[np.int64]:
    """Return the level of seasonal cells whose slots and hours have too few rows."""
    n_rows = own.sum(axis=2, dtype=np.int64)
    n_known = n_rows[n_weeks >= MIN_WEEKS].sum(axis=0)
    is_enough = (n_known >= MIN_OWN_ROWS) & (2 * n_known >= n_rows.sum(axis=0))
    return np.where(is_enough, BY_SLOT, BY_NONE).astype(np.int64)


def learned_seasonal_eps(
    window_counts: Counts, references: Counts, sets: CellSets, phi: float
) -> float:
    """Learn from quiet windows how far the cell moves beyond its season.

    Prefer it to :func:`detectors.decision_rule.design_effect.learned_eps` wherever the rule
    compares with :func:`choose_reference`: that one would learn the cycle itself as tolerance.

    Parameters
    ----------
    window_counts : ndarray of int64, shape (W, 64)
        Reference windows of the length used for detection.
    references : ndarray of int64, shape (W, 64)
        What each was compared with. It holds the window too, which is taken out. Zeros
        are no baseline: the window is left out.
    sets : CellSets
        The cell's sets.
    phi : float
        Design effect.

    Returns
    -------
    float
        As :func:`detectors.decision_rule.design_effect.learned_eps` returns it.

    Raises
    ------
    DomainError
        If phi is below 1, or a reference lacks rows of its own window.

    Notes
    -----
    As ``learned_eps``, but two standard errors of window *and* reference are taken off,
    because a slot's reference is not much larger than the window.

    References
    ----------
    Formula 4 of the rule.

    Examples
    --------
    >>> from detectors.decision_rule.sets import cell_sets
    >>> from schemas.baselines import Kind, VariableBaseline
    >>> windows = np.zeros((336, 64), np.int64)
    >>> windows[:, 0] = 5_000 + 2_000 * np.sin(np.arange(336) * np.pi / 12)  # by day
    >>> windows[:, 1] = 10_000 - windows[:, 0]
    >>> land = VariableBaseline("land", Kind.CATEGORICAL, np.empty(0), ("a", "b"))
    >>> sets = cell_sets(land, windows.sum(axis=0))
    >>> same_slot = windows + np.roll(windows, 168, axis=0)
    >>> learned_seasonal_eps(windows, same_slot, sets, phi=1.0)
    0.0
    """
    if not phi >= 1:
        raise DomainError(f"phi is {phi:g}", where="seasonal eps", fix="a design effect is >= 1")
    has_baseline = references.any(axis=1)
    window_counts = window_counts[has_baseline]
    others = references[has_baseline] - window_counts
    if (others < 0).any():
        what = f"a reference has {others.min()} rows of a counter without its own window"
        raise DomainError(what, where="seasonal eps", fix="pass what the windows are part of")
    n, n0 = window_counts.sum(axis=1), others.sum(axis=1)
    has_rows = (n >= MIN_WINDOW_ROWS) & (n0 > 0)
    if has_rows.sum() < MIN_WINDOWS:
        return 0.0
    n, n0 = n[has_rows], n0[has_rows]
    p = sets.tally(others[has_rows]) / n0[:, None]
    gap = sets.tally(window_counts[has_rows]) / n[:, None] - p
    noise = 2.0 * np.sqrt(phi * p * (1 - p) * (1.0 / n + 1.0 / n0)[:, None])
    return max(0.0, float(np.quantile((gap - noise).max(axis=1), QUANTILE)))
