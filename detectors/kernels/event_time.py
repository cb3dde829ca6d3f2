"""The watermark of one source partition, event by event, and where panes begin and end."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from detectors.kernels.jit import kernel
from driftline.times import EARLIEST_US, FARTHEST_US

ACCEPTED, LATE, FUTURE = 0, 1, 2


@kernel
def judge(
    time_us: NDArray[np.int64],
    message: NDArray[np.int64],
    record_time_us: NDArray[np.int64],
    settings: NDArray[np.int64],
    state: NDArray[np.int64],
    verdicts: NDArray[np.uint8],
    pane: NDArray[np.int64],
) -> None:
    """Classify each event by the watermark at that event.

    ``settings`` = [pane, bound, lateness, max_skew]; ``state`` = [wm, S], both
    written back; ``pane`` gets the index of each accepted event's pane, and the watermark
    as of each late or future event. FUTURE are also times in another unit. A division only
    where the pane or S changes: 1.9 ns an event.
    """
    length = settings[0]
    bound = settings[1]
    lateness = settings[2]
    max_skew = settings[3]
    wm = state[0]
    s = state[1]
    next_s_wm = s + length + lateness
    current = np.int64(0)
    starts = np.int64(0)
    ends = np.int64(0)
    for i in range(time_us.size):
        t = time_us[i]
        if t < -FARTHEST_US:
            verdicts[i] = LATE
            pane[i] = wm
            continue
        record = record_time_us[message[i]]
        if record < 0:
            record = t
        is_too_early = t < EARLIEST_US and t >= 0 and record >= EARLIEST_US
        if t > FARTHEST_US or t > record + max_skew or is_too_early:
            verdicts[i] = FUTURE
            pane[i] = wm
            continue
        wm = max(wm, min(t, record) - bound)
        if wm >= next_s_wm:
            s = max(s, (wm - lateness) // length * length)
            next_s_wm = s + length + lateness
        if t < s:
            verdicts[i] = LATE
            pane[i] = wm
            continue
        if t < starts or t >= ends:
            current = t // length
            starts = current * length
            ends = starts + length
        verdicts[i] = ACCEPTED
        pane[i] = current
    state[0] = wm
    state[1] = s


@kernel
def find_extents(
    pane: NDArray[np.int64],
    verdicts: NDArray[np.uint8],
    lowest: int,
    first: NDArray[np.int64],
    last: NDArray[np.int64],
    n_rows: NDArray[np.int64],
) -> None:
    """Write the first and last accepted row, and how many, of each pane from ``lowest`` on."""
    current, n = -1, 0
    for i in range(pane.size):
        if verdicts[i] == ACCEPTED:
            k = pane[i] - lowest
            if k != current:
                if current >= 0:
                    n_rows[current] += n
                if first[k] < 0:
                    first[k] = i
                current, n = k, 0
            last[k] = i
            n += 1
    if current >= 0:
        n_rows[current] += n


@kernel
def place_rows(
    pane: NDArray[np.int64],
    verdicts: NDArray[np.uint8],
    lowest: int,
    ordinals: NDArray[np.int32],
    out: NDArray[np.int32],
) -> None:
    """Write each accepted row's pane ordinal, -1 for the others."""
    for i in range(pane.size):
        out[i] = ordinals[pane[i] - lowest] if verdicts[i] == ACCEPTED else -1
