"""Counters of reported events by outcome."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(slots=True)
class Counters:
    """Events by outcome; each reported event is in exactly one of the others.

    ``n_reported = n_sent + n_dropped + n_invalid + n_failed + n_unsent + n_waiting``

    Examples
    --------
    >>> Counters(n_reported=3, n_sent=2, n_dropped=1).is_complete
    True
    """

    n_reported: int = 0
    """Passed to ``predict`` or ``label``."""
    n_sent: int = 0
    """Acknowledged by the broker."""
    n_dropped: int = 0
    """The oldest events of a full buffer."""
    n_invalid: int = 0
    """Rejected by the SDK: no time, features without names, too long."""
    n_failed: int = 0
    """Passed to the Kafka client and not acknowledged in time; they may have arrived."""
    n_unsent: int = 0
    """Not sent when the reporter was closed, or reported afterwards."""
    n_waiting: int = 0
    """In the buffer or in flight."""
    n_odd_values: int = 0
    """Values (not events) without a canonical form, sent as missing."""
    last_error: str = ""
    """The last error; never contains a password."""

    @property
    def is_complete(self) -> bool:
        """Whether the counters add up to ``n_reported``."""
        return self.n_reported == (
            self.n_sent
            + self.n_dropped
            + self.n_invalid
            + self.n_failed
            + self.n_unsent
            + self.n_waiting
        )
