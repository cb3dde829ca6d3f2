"""Tokens for SASL/OAUTHBEARER: from a file or variable, or from a token endpoint."""

from __future__ import annotations

import base64
import binascii
import json
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from monitor.clock import now_us
from monitor.transport.kafka.auth.secret import SecretSource, SecretText
from schemas.errors import TransportError

_DEFAULT_LIFETIME_US = 300_000_000
_TIMEOUT_S = 10.0
_MAX_ANSWER_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class OAuthToken:
    """A token and its expiry, microseconds UTC."""

    text: SecretText
    expires_us: int


@dataclass(frozen=True, slots=True)
class TokenEndpoint:
    """OAuth 2.0 client credentials (RFC 6749, section 4.4).

    Parameters
    ----------
    url : str
        URL of the token endpoint.
    client_id : str
        Client ID.
    client_secret : SecretSource
        Source of the client's secret.
    scope : str, optional
        Scopes separated by spaces.
    """

    url: str
    client_id: str
    client_secret: SecretSource
    scope: str = ""

    def fetch(self, environment: Mapping[str, str], asked_at_us: int) -> OAuthToken:
        """Request a new token.

        Raises
        ------
        TransportError
            If the endpoint does not answer, rejects the request, or its answer is invalid.
        """
        secret = self.client_secret.read(environment)
        answer = _ask(self.url, self._form(), _basic(self.client_id, secret))
        text = answer.get("access_token")
        if not isinstance(text, str) or not text:
            raise TransportError("the answer holds no access_token", where=self.url)
        seconds = answer.get("expires_in")
        if isinstance(seconds, int | float) and seconds > 0:
            return OAuthToken(SecretText(text), asked_at_us + round(seconds * 1e6))
        return OAuthToken(SecretText(text), expiry_us(text, asked_at_us))

    def _form(self) -> bytes:
        """Return the form of the request."""
        fields = {"grant_type": "client_credentials"}
        if self.scope:
            fields["scope"] = self.scope
        return urllib.parse.urlencode(fields).encode()


class TokenProvider:
    """Provides a valid token, and fetches a new one before it expires.

    Parameters
    ----------
    source : SecretSource or TokenEndpoint
        A token that is read on every use (projected tokens are rotated in place), or the endpoint
        that issues tokens.
    environment : mapping of str to str
        Such as ``os.environ``.
    clock : callable, optional
        Returns microseconds UTC.

    Notes
    -----
    Thread-safe. A token of an endpoint is used for four fifths of its lifetime.
    """

    def __init__(
        self,
        source: SecretSource | TokenEndpoint,
        environment: Mapping[str, str],
        clock: Callable[[], int] = now_us,
    ) -> None:
        self._source = source
        self._environment = environment
        self._clock = clock
        self._lock = threading.Lock()
        self._token: OAuthToken | None = None
        self._renew_us = 0

    def token(self) -> OAuthToken:
        """Return a valid token.

        Raises
        ------
        ConfigError
            If a secret is missing.
        TransportError
            If the endpoint issues no token.
        """
        now = self._clock()
        if isinstance(self._source, SecretSource):
            text = self._source.read(self._environment)
            return OAuthToken(text, expiry_us(text, now))
        with self._lock:
            if self._token is None or now >= self._renew_us:
                self._token = self._source.fetch(self._environment, now)
                self._renew_us = now + (self._token.expires_us - now) * 4 // 5
            return self._token


def expiry_us(token: str, now: int) -> int:
    """Return the expiry of a JSON web token; five minutes from now if it has none.

    Examples
    --------
    >>> expiry_us("e30.eyJleHAiOiAxNzAwMDAwMDAwfQ.", 0)
    1700000000000000
    >>> expiry_us("opaque", 0)
    300000000
    """
    parts = token.split(".")
    try:
        body = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
        return round(float(body["exp"]) * 1e6)
    except (IndexError, KeyError, TypeError, ValueError, OverflowError, binascii.Error):
        return now + _DEFAULT_LIFETIME_US


def _basic(user: str, secret: str) -> str:
    """Return the client's basic authentication (RFC 6749, section 2.3.1: form-encoded first)."""
    pair = f"{urllib.parse.quote_plus(user)}:{urllib.parse.quote_plus(secret)}"
    return "Basic " + base64.b64encode(pair.encode()).decode()


class _Stay(urllib.request.HTTPRedirectHandler):
    """Follows no redirect, because the secret would be sent to its target."""

    def redirect_request(self, *arguments: Any) -> None:
        """Return None, so that the redirect becomes an HTTP error."""
        return


def _ask(url: str, form: bytes, authorization: str) -> dict[str, Any]:
    """Post the form and read the answer; errors never quote its body, which may hold a token."""
    headers = {
        "Authorization": authorization,
        "Content-Type": "application/x-www-form-urlencoded",
        "Accept": "application/json",
    }
    request = urllib.request.Request(url, data=form, headers=headers, method="POST")
    try:
        with urllib.request.build_opener(_Stay).open(request, timeout=_TIMEOUT_S) as response:
            answer = json.loads(response.read(_MAX_ANSWER_BYTES))
    except urllib.error.HTTPError as error:
        error.close()
        fix = "check the client's id, secret and scope"
        raise TransportError(
            f"the token endpoint answered {error.code}", where=url, fix=fix
        ) from None
    except (OSError, urllib.error.URLError) as error:
        reason = getattr(error, "reason", error)
        raise TransportError(f"the token endpoint does not answer: {reason}", where=url) from None
    except ValueError:
        raise TransportError("the token endpoint's answer is not JSON", where=url) from None
    if not isinstance(answer, dict):
        raise TransportError("the token endpoint's answer is not an object", where=url)
    return answer
