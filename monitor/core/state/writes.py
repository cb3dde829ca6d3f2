"""What detect wants written, in which order; the caller writes and waits."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from monitor.core.bounds import MAX_VALUE_BYTES
from monitor.core.topics import ALERTS, RESULTS
from monitor.core.write import Write
from schemas.alerts import Alert
from schemas.results import DetectorResult

MAX_RESULTS = 500
"""Of one message: about 300 KB, where the broker takes 1,048,588 bytes."""


class WritePhase(NamedTuple):
    """Writes that may go side by side; all must be acknowledged before the next phase."""

    step: str
    """Failpoint behind it: ``detect:results``."""
    writes: list[Write]


def result_writes(
    name: tuple[str, str], results: list[DetectorResult], partition: int
) -> list[Write]:
    """Return the results of one model as messages of a few hundred that a broker takes."""
    key = "|".join(name).encode()
    chunks = [results[i : i + MAX_RESULTS] for i in range(0, len(results), MAX_RESULTS)]
    values = [value for chunk in chunks for value in _result_values(chunk)]
    return [Write(RESULTS, key, value, partition) for value in values]


def _result_values(results: list[DetectorResult]) -> list[bytes]:
    """Write results as one message, or as two of half of them where names are long."""
    value = msgspec.msgpack.encode(results)
    if len(value) <= MAX_VALUE_BYTES or len(results) == 1:
        return [value]
    middle = len(results) // 2
    return _result_values(results[:middle]) + _result_values(results[middle:])


def alert_write(alert: Alert, delay_us: int = 0) -> Write:
    """Return an alert as a message; the same id again is harmless.

    Parameters
    ----------
    delay_us : int, optional
        Between the alert's time and the earliest watermark that could report it. The
        record says when it came, in event time: notify's waits count from there.
    """
    value, key = msgspec.msgpack.encode(alert), alert.alert_id.encode()
    return Write(ALERTS, key, value, timestamp_us=alert.time_us + delay_us)


def phases(*pairs: tuple[str, Iterable[Write]]) -> list[WritePhase]:
    """Return phases in order, without those that write nothing.

    Examples
    --------
    >>> phases(("a", []), ("b", [Write("t", b"k", b"v")]))[0].step
    'b'
    """
    made = (WritePhase(step, list(writes)) for step, writes in pairs)
    return [phase for phase in made if phase.writes]
