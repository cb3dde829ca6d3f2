"""Signed HTTP POST, and the interpretation of its response."""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING

from monitor.notify.receivers.protocol import ErrorAnswer, secret_from
from schemas.config.values import EnvironmentName, Strict
from schemas.errors import DeliveryError, RefusedDelivery, RetryableDelivery

if TYPE_CHECKING:
    import aiohttp

SIGNATURE_HEADER = "Driftline-Signature"
IDEMPOTENCY_HEADER = "Idempotency-Key"
_RETRYABLE = frozenset({408, 425, 429})


def sign(secret: str, body: bytes, time_s: int) -> str:
    """Sign a body and the time it was sent.

    Parameters
    ----------
    secret : str
        The shared key.
    body : bytes
        Bytes of the request body.
    time_s : int
        Seconds since 1970. Part of the signed text, so that receivers can reject replayed requests.

    Returns
    -------
    str
        ``t=<seconds>,v1=<hex>``: HMAC-SHA256 over ``<seconds>.<body>``.

    References
    ----------
    Krawczyk, Bellare, Canetti, HMAC: keyed-hashing for message authentication, RFC 2104.

    Examples
    --------
    >>> sign("key", b"{}", 1)[:11]
    't=1,v1=1ba6'
    """
    digest = hmac.new(secret.encode(), f"{time_s}.".encode() + body, hashlib.sha256)
    return f"t={time_s},v1={digest.hexdigest()}"


def judge_status(status: int, name: str, retry_after: str | None = None) -> DeliveryError | None:
    """Return the error that an HTTP status means for a delivery.

    Parameters
    ----------
    status : int
        Status code of the response.
    name : str
        Name of the receiver, for the error.
    retry_after : str, optional
        Value of the header in seconds; a date is ignored.

    Returns
    -------
    DeliveryError or None
        None for 2xx; retryable for 408, 425, 429; ``ErrorAnswer``, which may concern this message
        only, for 5xx; refused for all others. Redirects are refused: a signed body is sent only to
        the configured URL.

    Notes
    -----
    502 to 504 from a gateway mean that the server is down or that this message crashes it. They are
    treated as the latter, with or without ``Retry-After``: deferring a message needlessly costs one
    request per incident, waiting for it needlessly delays pages by a day.

    Examples
    --------
    >>> judge_status(204, "hook") is None, type(judge_status(503, "hook")).__name__
    (True, 'ErrorAnswer')
    """
    where = f"receiver {name}"
    if 200 <= status < 300:
        return None
    if status in _RETRYABLE or status >= 500:
        asked_s = float(retry_after) if retry_after and retry_after.isdigit() else None
        kind = ErrorAnswer if status >= 500 else RetryableDelivery
        return kind(f"answered {status}", where=where, retry_after_s=asked_s)
    fix = "check its URL and credentials" if status in (401, 403, 404) else ""
    return RefusedDelivery(f"answered {status}", where=where, fix=fix)


class SignedPostConfig(Strict):
    """URL and key of a signed POST."""

    url_env: EnvironmentName
    """Environment variable that holds the URL."""
    secret_env: EnvironmentName | None = None
    """Environment variable that holds the HMAC key."""

    def build_post(self, name: str, where: str) -> SignedPost:
        """Build the client.

        Parameters
        ----------
        name : str
            Name of the receiver, for errors of deliveries.
        where : str
            Name of the settings, for config errors.

        Raises
        ------
        ConfigError
            If a variable that the settings name is not set.
        """
        url = secret_from(self.url_env, f"{where}.url_env")
        return SignedPost(name, url, secret_from(self.secret_env, f"{where}.secret_env"))


class SignedPost:
    """Posts JSON bodies to one URL.

    Parameters
    ----------
    name : str
        Name of the receiver, for errors.
    url : str
        Destination; may itself be a secret and is never part of an error message.
    secret : str
        HMAC key; requests are unsigned if empty.
    timeout_s : float
        Time-out of one request.
    now_s : callable
        Returns seconds since 1970.
    """

    def __init__(
        self,
        name: str,
        url: str,
        secret: str = "",
        timeout_s: float = 10.0,
        now_s: Callable[[], float] = time.time,
    ) -> None:
        self._name = name
        self._url = url
        self._secret = secret
        # Imported here: every command that reads a config file imports this module.
        import aiohttp

        self._timeout = aiohttp.ClientTimeout(total=timeout_s)
        self._now_s = now_s
        self._session: aiohttp.ClientSession | None = None

    async def post(self, body: bytes, idempotency_key: str) -> str:
        """Post one body.

        Returns
        -------
        str
            ``answered <status>``.

        Raises
        ------
        RetryableDelivery, RefusedDelivery
            By status; a missing answer and a failed connection are retryable.
        """
        import aiohttp

        headers = {"Content-Type": "application/json", IDEMPOTENCY_HEADER: idempotency_key}
        if self._secret:
            headers[SIGNATURE_HEADER] = sign(self._secret, body, int(self._now_s()))
        where = f"receiver {self._name}"
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=self._timeout)
        try:
            request = self._session.post(
                self._url, data=body, headers=headers, allow_redirects=False
            )
            async with request as answer:
                problem = judge_status(answer.status, self._name, answer.headers.get("Retry-After"))
                status = answer.status
        except TimeoutError:
            raise RetryableDelivery("no answer in time", where=where) from None
        except aiohttp.InvalidURL:
            raise RefusedDelivery(
                "its URL is not one", where=where, fix="check the environment variable"
            ) from None
        except (aiohttp.ClientError, OSError) as error:
            # The type only, and no cause: messages of these errors contain the URL.
            what = f"no connection ({type(error).__name__})"
            raise RetryableDelivery(what, where=where) from None
        if problem is not None:
            raise problem
        return f"answered {status}"

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def __aenter__(self) -> SignedPost:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()
