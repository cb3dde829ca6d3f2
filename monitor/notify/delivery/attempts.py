"""One notification to one receiver: time-outs, and tries that end."""

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
    """How often and how long a delivery is tried."""

    n_attempts: int = 5
    first_wait_s: float = 1.0
    """Doubled after each try."""
    longest_wait_s: float = 60.0
    """Also the longest a receiver's Retry-After is heeded."""
    timeout_s: float = 20.0
    """Of one try."""

    def wait_s(self, attempt: int, asked_s: float | None) -> float:
        """Return the wait after a failed try, the first being 1.

        Examples
        --------
        >>> [RetryPolicy().wait_s(n, None) for n in (1, 2, 3, 9)], RetryPolicy().wait_s(1, 7)
        ([1.0, 2.0, 4.0, 60.0], 7)
        """
        own_s = self.first_wait_s * float(2 ** min(attempt - 1, 30))
        return min(max(own_s, asked_s or 0), self.longest_wait_s)


@dataclass(frozen=True, slots=True)
class Trouble:
    """What kept a try from succeeding; another may do better."""

    detail: str
    asked_s: float | None = None
    """How long the receiver asked to be left alone."""
    is_answer: bool = False
    """The receiver is there: the trouble may be with this message alone."""


async def try_once(
    receiver: Receiver, notification: Notification, policy: RetryPolicy, attempt: int
) -> Delivery | Trouble:
    """Send one notification, once.

    Parameters
    ----------
    receiver : Receiver
        Where it goes.
    notification : Notification
        Notification to send.
    policy : RetryPolicy
        Bounds.
    attempt : int
        Which try this is, the first being 1.

    Returns
    -------
    Delivery or Trouble
        ``done``, or ``failed`` for good, or trouble that may pass; it never raises, because
        one receiver's trouble is not another's.
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
        # A defect: only its type, because the text of a foreign error may hold a URL.
        return _outcome(notification, DeliveryState.FAILED, attempt, type(error).__name__)


def give_up(notification: Notification, attempts: int, trouble: Trouble) -> Delivery:
    """Return what came of a notification that was tried as often as it may be."""
    return _outcome(notification, DeliveryState.FAILED, attempts, trouble.detail)


async def deliver(
    receiver: Receiver,
    notification: Notification,
    policy: RetryPolicy,
    sleep: Sleep = asyncio.sleep,
) -> Delivery:
    """Send one notification, trying again where that may help.

    Parameters
    ----------
    receiver : Receiver
        Where it goes.
    notification : Notification
        Notification to send.
    policy : RetryPolicy
        Bounds.
    sleep : callable
        Waits between tries; injected so that tests do not.

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
    """Note what came of it."""
    return Delivery(
        notification_id=notification.notification_id,
        receiver=notification.receiver,
        state=state,
        time_us=notification.time_us,
        attempts=attempts,
        detail=detail,
    )
