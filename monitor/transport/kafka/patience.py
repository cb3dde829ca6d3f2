"""Questions put to a broker that has just come back, or just become the one to ask."""

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
"""Answers that are right for a moment only, and come at once instead of after the time-out:
measured after restarts, "Not coordinator" and "Unknown partition"."""
PATIENCE_S = 10.0
_PAUSE_S = 0.1


def ask(question: Callable[[], T], patience_s: float = PATIENCE_S) -> T:
    """Ask, and ask again while the answer is one of :data:`SOON`.

    Parameters
    ----------
    question : callable
        Bounded by itself.
    patience_s : float, optional
        No question is begun after so long.

    Returns
    -------
    object
        The question's answer.

    Raises
    ------
    KafkaException
        The last one, or at once what waiting does not mend.

    Examples
    --------
    >>> answers = [KafkaException(KafkaError(KafkaError.NOT_COORDINATOR)), 7]
    >>> def question():
    ...     answer = answers.pop(0)
    ...     if isinstance(answer, Exception):
    ...         raise answer
    ...     return answer
    >>> ask(question)
    7
    """
    deadline, pause = elapsed_s() + patience_s, threading.Event()
    while True:
        try:
            return question()
        except KafkaException as error:
            if error.args[0].code() not in SOON or elapsed_s() > deadline:
                raise
        pause.wait(_PAUSE_S)
