"""What became of every event that was handed over."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(slots=True)
class Counters:
    """Events, counted once each: nothing is ever lost without a trace.

    ``n_reported = n_sent + n_dropped + n_invalid + n_failed + n_unsent + n_waiting``

    Examples
    --------
    >>> Counters(n_reported=3, n_sent=2, n_dropped=1).is_complete
    True
    """

    n_reported: int = 0
    """Handed over by the model's code."""
    n_sent: int = 0
    """Acknowledged by the broker."""
    n_dropped: int = 0
    """The oldest ones, pushed out of a full buffer."""
    n_invalid: int = 0
    """Refused here: no time, features without names, longer than an event may be."""
    n_failed: int = 0
    """Given to Kafka and not acknowledged in time; they may have arrived all the same."""
    n_unsent: int = 0
    """Still here when the reporter was closed, or handed over afterwards."""
    n_waiting: int = 0
    """In the buffer or on their way."""
    n_odd_values: int = 0
    """Values, not events, that have no form and were sent as missing."""
    last_error: str = ""
    """What went wrong last; never holds a password."""

    @property
    def is_complete(self) -> bool:
        """Whether every event that was reported stands in one of the others."""
        return self.n_reported == (
            self.n_sent
            + self.n_dropped
            + self.n_invalid
            + self.n_failed
            + self.n_unsent
            + self.n_waiting
        )
