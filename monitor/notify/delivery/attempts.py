"""Delivery of one notification to one receiver, with time-outs and bounded retries."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from monitor.notify.receivers.protocol import ErrorAnswer, Receiver
from schemas.alerts import Delivery, DeliveryState, Notification
from schemas.errors import DeliveryError, RetryableDelivery

Sleep = Callable[[float], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Number and timing of the attempts of a delivery."""

    n_attempts: int = 5
    first_wait_s: float = 1.0
    """Doubled after each attempt."""
    longest_wait_s: float = 60.0
    """Upper bound of every wait, including one requested by ``Retry-After``."""
    timeout_s: float = 20.0
    """Time-out of one attempt."""

    def wait_s(self, attempt: int, asked_s: float | None) -> float:
        """Return the wait after failed attempt number ``attempt``, counted from 1.

        Examples
        --------
        >>> [RetryPolicy().wait_s(n, None) for n in (1, 2, 3, 9)], RetryPolicy().wait_s(1, 7)
        ([1.0, 2.0, 4.0, 60.0], 7)
        """
        own_s = self.first_wait_s * float(2 ** min(attempt - 1, 30))
        return min(max(own_s, asked_s or 0), self.longest_wait_s)


@dataclass(frozen=True, slots=True)
class Trouble:
    """Failure of an attempt that may succeed when retried."""

    detail: str
    asked_s: float | None = None
    """Wait that the receiver requested (``Retry-After``)."""
    is_answer: bool = False
    """The receiver answered: the failure may concern this message only."""


async def try_once(
    receiver: Receiver, notification: Notification, policy: RetryPolicy, attempt: int
) -> Delivery | Trouble:
    """Make one attempt to send a notification.

    Parameters
    ----------
    receiver : Receiver
        Receiver of the notification.
    notification : Notification
        Notification to send.
    policy : RetryPolicy
        Bounds.
    attempt : int
        Number of this attempt, counted from 1.

    Returns
    -------
    Delivery or Trouble
        A delivery that is ``done`` or ``failed`` for good, or a failure that may be retried. Never
        raises, so that a failing receiver does not affect the others.
    """
    try:
        async with asyncio.timeout(policy.timeout_s):
            detail = await receiver.send(notification)
        return _outcome(notification, DeliveryState.DONE, attempt, detail)
    except TimeoutError:
        return Trouble(f"no answer within {policy.timeout_s:g} s")
    except RetryableDelivery as error:
        return Trouble(str(error), error.retry_after_s, isinstance(error, ErrorAnswer))
    except DeliveryError as error:
        return _outcome(notification, DeliveryState.FAILED, attempt, str(error))
    except Exception as error:
        # A defect. Only the type is logged: messages of third-party errors may contain a URL.
        return _outcome(notification, DeliveryState.FAILED, attempt, type(error).__name__)


def give_up(notification: Notification, attempts: int, trouble: Trouble) -> Delivery:
    """Return the outcome of a notification whose attempts are exhausted."""
    return _outcome(notification, DeliveryState.FAILED, attempts, trouble.detail)


async def deliver(
    receiver: Receiver,
    notification: Notification,
    policy: RetryPolicy,
    sleep: Sleep = asyncio.sleep,
) -> Delivery:
    """Send one notification, and retry after failures that may be temporary.

    Parameters
    ----------
    receiver : Receiver
        Receiver of the notification.
    notification : Notification
        Notification to send.
    policy : RetryPolicy
        Bounds.
    sleep : callable
        Waits between attempts; a parameter so that tests need not wait.

    Returns
    -------
    Delivery
        ``done`` or ``failed``; it never raises.
    """
    attempt = 1
    while True:
        came = await try_once(receiver, notification, policy, attempt)
        if isinstance(came, Delivery):
            return came
        if attempt >= policy.n_attempts:
            return give_up(notification, attempt, came)
        await sleep(policy.wait_s(attempt, came.asked_s))
        attempt += 1


def _outcome(
    notification: Notification, state: DeliveryState, attempts: int, detail: str
) -> Delivery:
    """Build the log entry of an outcome."""
    return Delivery(
        notification_id=notification.notification_id,
        receiver=notification.receiver,
        state=state,
        time_us=notification.time_us,
        attempts=attempts,
        detail=detail,
    )
