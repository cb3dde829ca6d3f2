"""What librdkafka says, sparingly: while a broker is away it repeats itself for minutes."""

from __future__ import annotations

import logging
import re

from monitor.clock import elapsed_s

LOG = logging.getLogger("driftline.kafka")
"""For our own words."""

_INTERVAL_S = 30.0
_MAX_KINDS = 256
_NUMBERS = re.compile(r"\d+")


class Sparingly(logging.Filter):
    """Lets the same words pass once in a while, and says how often they were held back.

    Parameters
    ----------
    interval_s : float, optional
        Words that differ only in numbers are the same.

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
        """Return whether to let a record pass; appends the count of those held back."""
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
"""For librdkafka's words."""
CLIENT_LOG.addFilter(Sparingly())
