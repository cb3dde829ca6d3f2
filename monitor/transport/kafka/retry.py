"""Retries of requests to a broker that has just restarted or become coordinator."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

from confluent_kafka import KafkaError, KafkaException

from monitor.clock import elapsed_s

T = TypeVar("T")

SOON = frozenset(
    {
        KafkaError.NOT_COORDINATOR,
        KafkaError.COORDINATOR_NOT_AVAILABLE,
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError._UNKNOWN_PARTITION,
        KafkaError._UNKNOWN_TOPIC,
        KafkaError._WAIT_COORD,
        KafkaError._TRANSPORT,
    }
)
"""Errors that pass and are returned at once instead of after the time-out:
measured after restarts, "Not coordinator" and "Unknown partition"."""
RETRY_S = 10.0
_PAUSE_S = 0.1


def retry_transient(request: Callable[[], T], retry_s: float = RETRY_S) -> T:
    """Send a request, and retry while its error is one of :data:`SOON`.

    Parameters
    ----------
    request : callable
        The request; has its own time-out.
    retry_s : float, optional
        No attempt is started after so long.

    Returns
    -------
    object
        The response.

    Raises
    ------
    KafkaException
        The last error, or at once one that retrying does not fix.

    Examples
    --------
    >>> answers = [KafkaException(KafkaError(KafkaError.NOT_COORDINATOR)), 7]
    >>> def request():
    ...     answer = answers.pop(0)
    ...     if isinstance(answer, Exception):
    ...         raise answer
    ...     return answer
    >>> retry_transient(request)
    7
    """
    deadline, pause = elapsed_s() + retry_s, threading.Event()
    while True:
        try:
            return request()
        except KafkaException as error:
            if error.args[0].code() not in SOON or elapsed_s() > deadline:
                raise
        pause.wait(_PAUSE_S)
