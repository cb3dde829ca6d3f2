"""Ordered writes of detect, which the caller writes and awaits."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec

from monitor.core.bounds import MAX_VALUE_BYTES
from monitor.core.state.detectable_messages import encode_detectable
from monitor.core.state.result_messages import encode_table
from monitor.core.topics import ALERTS, RESULTS
from monitor.core.write import Write
from schemas.alerts import Alert
from schemas.detectable import DetectableRow
from schemas.result_table import ResultTable
from schemas.results import DetectorResult

MAX_RESULTS = 500
"""Results per message: about 300 KB, with a broker limit of 1,048,588 bytes."""


class WritePhase(NamedTuple):
    """Concurrent writes, all of which must be acknowledged before the next phase."""

    step: str
    """Failpoint after the phase, such as ``detect:results``."""
    writes: list[Write]


def result_writes(
    name: tuple[str, str],
    results: list[DetectorResult],
    partition: int,
    tables: Iterable[ResultTable] = (),
    detectable: Sequence[DetectableRow] = (),
) -> list[Write]:
    """Return the results of one model as messages within the broker's size limit.

    Structs are written some hundreds together, each table of statistics by itself, and what would
    be found in each cell in messages of its own.
    """
    key = "|".join(name).encode()
    chunks = [results[i : i + MAX_RESULTS] for i in range(0, len(results), MAX_RESULTS)]
    values = [value for chunk in chunks for value in _result_values(chunk)]
    values += [value for table in tables for value in encode_table(table)]
    values += encode_detectable(detectable)
    return [Write(RESULTS, key, value, partition) for value in values]


def _result_values(results: list[DetectorResult]) -> list[bytes]:
    """Encode results as one message, or split them in halves if names are long."""
    value = msgspec.msgpack.encode(results)
    if len(value) <= MAX_VALUE_BYTES or len(results) == 1:
        return [value]
    middle = len(results) // 2
    return _result_values(results[:middle]) + _result_values(results[middle:])


def alert_write(alert: Alert, delay_us: int = 0) -> Write:
    """Return an alert as a message; repeats have the same ID.

    Parameters
    ----------
    delay_us : int, optional
        Time from the alert to the earliest watermark that can report it. The record time is the
        alert's arrival in event time, from which waits of notify are measured.
    """
    value, key = msgspec.msgpack.encode(alert), alert.alert_id.encode()
    return Write(ALERTS, key, value, timestamp_us=alert.time_us + delay_us)


def phases(*pairs: tuple[str, Iterable[Write]]) -> list[WritePhase]:
    """Return phases in order, without empty ones.

    Examples
    --------
    >>> phases(("a", []), ("b", [Write("t", b"k", b"v")]))[0].step
    'b'
    """
    made = (WritePhase(step, list(writes)) for step, writes in pairs)
    return [phase for phase in made if phase.writes]
