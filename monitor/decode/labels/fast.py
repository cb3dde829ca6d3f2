"""Labels decoded by the kernel: its frame, and its columns as a batch."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from monitor.decode.dictionaries import Dictionaries
from monitor.decode.fast import powers
from monitor.decode.labels import kernel
from monitor.decode.memory import PAD_BYTES
from monitor.decode.units import Units
from schemas.batch import Int64Array, StringColumn, Uint8Array
from schemas.events import DEFAULT_TENANT, MAX_EVENT_BYTES
from schemas.labels import NO_TIME, LabelBatch, MapColumn

_SHORTEST_ENTRY = len('"":0')
_TENANT = kernel.TEXTS.index("tenant")


@cache
def _keys() -> NDArray[np.uint8]:
    """One table a process."""
    return kernel.known_keys()


@dataclass(frozen=True, slots=True)
class FastLabels:
    """Events of one chunk as columns, and which of them the kernel has taken."""

    is_taken: NDArray[np.bool_]
    batch: LabelBatch
    """All events; what is not taken has undefined values."""


def fast_labels(buffer: Uint8Array, units: Units) -> FastLabels:
    """Decode the events that the kernel is certain of.

    Parameters
    ----------
    buffer : ndarray of uint8
        Copied if fewer than ``PAD_BYTES`` bytes are behind the last event.
    units : Units
        The events.
    """
    n = len(units)
    if n and int(units.ends.max()) > len(buffer) - PAD_BYTES:
        buffer = np.concatenate([buffer, np.zeros(PAD_BYTES, np.uint8)])
    room = len(buffer) // _SHORTEST_ENTRY + 1
    codes = np.full((len(kernel.TEXTS), n), -1, np.int32)
    ids = np.zeros((n, 2), np.int64)
    states, times = np.zeros(n, np.int64), np.zeros(n, np.int64)
    predicted = np.full(n, NO_TIME)
    values, scores = np.full(n, np.nan), np.full(n, np.nan)
    score_ends, segment_ends = np.zeros(n + 1, np.int64), np.zeros(n + 1, np.int64)
    score_names, segment_names = np.empty(room, np.int64), np.empty(room, np.int64)
    score_values, segment_texts = np.empty(room), np.empty(room, np.int64)
    known = Dictionaries(
        kernel.N_DICTIONARIES, has_table=True, verbatim=frozenset(range(kernel.N_DICTIONARIES))
    )
    (default,) = known.encode(_TENANT, [DEFAULT_TENANT]).tolist()
    codes[_TENANT] = default
    frame: Int64Array = np.zeros(kernel.N_FRAME + 8, np.int64)
    for cell, value in (
        (kernel.BASE, buffer.ctypes.data),
        (kernel.STARTS, units.starts.ctypes.data),
        (kernel.ENDS, units.ends.ctypes.data),
        (kernel.STATES, states.ctypes.data),
        (kernel.N_ROWS, n),
        (kernel.MAX_EVENT, MAX_EVENT_BYTES),
        (kernel.CODES, codes.ctypes.data),
        (kernel.IDS, ids.ctypes.data),
        (kernel.TIMES, times.ctypes.data),
        (kernel.PREDICTED, predicted.ctypes.data),
        (kernel.VALUES, values.ctypes.data),
        (kernel.SCORES, scores.ctypes.data),
        (kernel.SCORE_ENDS, score_ends.ctypes.data),
        (kernel.SCORE_NAMES, score_names.ctypes.data),
        (kernel.SCORE_VALUES, score_values.ctypes.data),
        (kernel.SEGMENT_ENDS, segment_ends.ctypes.data),
        (kernel.SEGMENT_NAMES, segment_names.ctypes.data),
        (kernel.SEGMENT_TEXTS, segment_texts.ctypes.data),
        (kernel.DICTIONARIES, known.state),
        (kernel.POWERS, powers().ctypes.data),
        (kernel.KNOWN_KEYS, _keys().ctypes.data),
    ):
        frame[cell // 8] = value
    begin = 0
    while (begin := kernel.decode_labels(frame.ctypes.data, begin, n)) < n:
        known.grow()
    known.sync()
    n_scores, n_segments = int(score_ends[-1]), int(segment_ends[-1])

    def texts(codes: NDArray[np.int64] | NDArray[np.int32], dictionary: int) -> StringColumn:
        return StringColumn(codes.astype(np.int32, copy=False), known.values[dictionary])

    columns = {name: texts(codes[i], i) for i, name in enumerate(kernel.TEXTS)}
    batch = LabelBatch(
        message=units.message,
        row=units.row,
        time_us=times,
        id_spans=ids,
        id_bytes=buffer,
        value=values,
        prediction_time_us=predicted,
        score=scores,
        scores=MapColumn(
            score_ends.astype(np.int32),
            texts(score_names[:n_scores], kernel.SCORE_KEYS),
            score_values[:n_scores].copy(),
        ),
        segments=MapColumn(
            segment_ends.astype(np.int32),
            texts(segment_names[:n_segments], kernel.SEGMENT_KEYS),
            texts(segment_texts[:n_segments], kernel.SEGMENT_VALUES),
        ),
        **columns,
    )
    return FastLabels(states == kernel.TAKEN, batch)
