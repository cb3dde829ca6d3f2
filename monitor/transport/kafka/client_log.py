"""Rate-limited logging of librdkafka: it repeats itself while a broker is away."""

from __future__ import annotations

import logging
import re

from monitor.clock import elapsed_s

LOG = logging.getLogger("driftline.kafka")
"""For Driftline's own records."""

_INTERVAL_S = 30.0
_MAX_KINDS = 256
_NUMBERS = re.compile(r"\d+")


class Sparingly(logging.Filter):
    """Passes repeated records once per interval, with the count of those suppressed.

    Parameters
    ----------
    interval_s : float, optional
        Minimum time between equal records; numbers are ignored.

    Examples
    --------
    >>> sparingly = Sparingly(interval_s=60)
    >>> record = logging.makeLogRecord({"msg": "port %d is closed", "args": (1,)})
    >>> sparingly.filter(record), sparingly.filter(record)
    (True, False)
    """

    def __init__(self, interval_s: float = _INTERVAL_S) -> None:
        super().__init__()
        self._interval_s = interval_s
        self._last: dict[str, tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether to pass a record; append the count of those suppressed."""
        words = _NUMBERS.sub("#", record.getMessage())
        now_s = elapsed_s()
        said_s, n_held = self._last.get(words, (-self._interval_s, 0))
        if now_s - said_s < self._interval_s:
            self._last[words] = (said_s, n_held + 1)
            return False
        if len(self._last) >= _MAX_KINDS:
            self._last.clear()
        self._last[words] = (now_s, 0)
        if n_held:
            record.msg, record.args = f"{record.getMessage()} ({n_held} more like it)", ()
        return True


CLIENT_LOG = logging.getLogger("driftline.kafka.client")
"""For librdkafka's records."""
CLIENT_LOG.addFilter(Sparingly())
