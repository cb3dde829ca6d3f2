"""Rejects of the rows of a message: the first ones by name, the rest by number."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

import msgspec
import numpy as np

from monitor.decode.stamps import stamp_of
from monitor.decode.strict import MAX_DETAIL, RefusedEvent
from schemas.batch import Int64Array
from schemas.events import Reject, RejectReason

Why = tuple[RejectReason, str, str, str, int | None]
"""Reason, detail, tenant, model and event time."""


class Payloads(Protocol):
    """Gives the bytes of one row of a message."""

    def payload(self, message: int, row: int) -> bytes:
        """Return them."""
        ...


class RowRejects:
    """Collects the rejects of rows that were decoded together.

    Parameters
    ----------
    max_letters : int
        Rejects of their own that rows of one message get, each time some are added.

    Attributes
    ----------
    found : list of Reject
    """

    def __init__(self, payloads: Payloads, max_letters: int) -> None:
        self._payloads, self._max_letters = payloads, max_letters
        self.found: list[Reject] = []

    def add(
        self,
        messages: Int64Array,
        rows: Int64Array,
        why: Callable[[int], Why],
        kinds: Int64Array | None = None,
    ) -> None:
        """Refuse rows; what is wrong with a row is asked for the first ones only.

        Parameters
        ----------
        messages, rows : ndarray of int64, shape (n,)
            In order.
        why : callable
            Reason, detail, tenant, model and event time of row 0 to n - 1.
        kinds : ndarray of int64, shape (n,), optional
            A number for each reason; without it all have the same.
        """
        place = np.arange(len(messages)) - np.searchsorted(messages, messages)
        is_first = place < self._max_letters
        for i in np.flatnonzero(is_first).tolist():
            message, row = int(messages[i]), int(rows[i])
            self._add(message, row, why(i), self._payloads.payload(message, row))
        rest = np.flatnonzero(~is_first)
        kind = np.zeros(len(rest), np.int64) if kinds is None else kinds[rest]
        group = messages[rest] * len(RejectReason) + kind
        _, first, counts = np.unique(group, return_index=True, return_counts=True)
        for i, n in zip(rest[first].tolist(), counts.tolist(), strict=True):
            self._add(int(messages[i]), int(rows[i]), why(i), b"", n)

    def _add(self, message: int, row: int, why: Why, payload: bytes, n_events: int = 1) -> None:
        reason, detail, tenant, model, time_us = why
        self.found.append(
            Reject(
                message, row, reason, detail[:MAX_DETAIL], payload, tenant, model, n_events, time_us
            )
        )


class EventRejects:
    """Collects the rejects of events that are decoded one by one, in order.

    Parameters
    ----------
    max_letters : int
        Rejects of their own that events of one message get.
    """

    def __init__(self, max_letters: int) -> None:
        self._max_letters = max_letters
        self._n_of_message: Counter[int] = Counter()
        self._alone: list[Reject] = []
        self._more: dict[tuple[int, RejectReason, str, str], Reject] = {}
        self._n_more: Counter[tuple[int, RejectReason, str, str]] = Counter()

    def add(
        self, message: int, row: int, payload: bytes, fault: RefusedEvent, n_events: int = 1
    ) -> None:
        """Refuse one event, or several for the same fault once the letters are used up."""
        self._n_of_message[message] += n_events
        if self._n_of_message[message] <= self._max_letters:
            self._alone.append(_reject(message, row, payload, fault))
            return
        is_known = fault.reason is not RejectReason.UNKNOWN_MODEL
        key = (message, fault.reason, *(fault.key if is_known else ("", "")))
        if key not in self._more:
            self._more[key] = _reject(message, row, payload, fault)
        self._n_more[key] += n_events

    def found(self) -> list[Reject]:
        """Return the rejects."""
        more = (
            msgspec.structs.replace(reject, n_events=self._n_more[key])
            for key, reject in self._more.items()
        )
        return [*self._alone, *more]


def _reject(message: int, row: int, payload: bytes, fault: RefusedEvent) -> Reject:
    """Make the reject of one event."""
    time_us = stamp_of(payload) if fault.key[1] else None
    reason, detail = fault.reason, fault.detail
    return Reject(message, row, reason, detail, payload, *fault.key, time_us=time_us)


def capped(rejects: Iterable[Reject], max_letters: int) -> list[Reject]:
    """Leave the first rejects of each message, and sum up the rest by model and reason.

    Parameters
    ----------
    max_letters : int
        Of each message.

    Returns
    -------
    list of Reject
        By (message, row). Which ones stand alone is a function of the message alone.

    Examples
    --------
    >>> refused = [Reject(0, row, RejectReason.MALFORMED, "x", b"?") for row in range(5)]
    >>> [(r.row, r.n_events, r.detail) for r in capped(refused, 2)]
    [(0, 1, 'x'), (1, 1, 'x'), (2, 3, '3 more events of this message; the first: x')]
    """
    n_alone: dict[int, int] = {}
    alone: list[Reject] = []
    rest: dict[tuple[int, RejectReason, str, str], list[Reject]] = {}
    for reject in sorted(rejects, key=_place):
        n = n_alone.get(reject.message, 0)
        if reject.n_events == 1 and n < max_letters:
            n_alone[reject.message] = n + 1
            alone.append(reject)
            continue
        is_known = reject.reason is not RejectReason.UNKNOWN_MODEL
        key = (reject.tenant, reject.model) if is_known else ("", "")
        rest.setdefault((reject.message, reject.reason, *key), []).append(reject)
    sums = [summed(same, key) for (_, _, *key), same in rest.items()]
    return sorted([*alone, *sums], key=_place) if sums else alone


def _place(reject: Reject) -> tuple[int, int]:
    return reject.message, reject.row


def summed(same: Sequence[Reject], key: Sequence[str] | None = None) -> Reject:
    """Make one reject of several of one message, model and reason.

    Parameters
    ----------
    same : sequence of Reject
        In order.
    key : (tenant, model), optional
        In place of the first one's.
    """
    n = sum(reject.n_events for reject in same)
    if n == 1:
        return same[0]
    detail = f"{n:,} more events of this message; the first: {same[0].detail}"
    tenant, model = key or (same[0].tenant, same[0].model)
    return msgspec.structs.replace(
        same[0], detail=detail[:MAX_DETAIL], tenant=tenant, model=model, n_events=n
    )
