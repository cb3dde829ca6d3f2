"""Rejects requests from web pages of other sites (CSRF, DNS rebinding).

A page in the user's browser can reach loopback by ``<img>``, forms, fetch, or a domain name that
resolves there. It cannot read answers (no CORS header is ever sent), but a request alone can do
harm. It cannot fake ``Sec-Fetch-Site``, hide its ``Origin``, choose ``Host``, or add a header
outside the CORS safelist without a preflight, and preflights are rejected.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from monitor.storage.serve.refusal import RefusedRequest

_CLIENT = re.compile(r"(?:^|\s)clickhouse-\w+/")
WRITE_HINT = (
    "Without a password a request that writes is a POST with a header that no page can "
    "send; add X-ClickHouse-User: default."
)


def refuse_pages(headers: Mapping[str, str], *, is_open: bool) -> None:
    """Raise for requests that a browser sends on behalf of another site.

    Parameters
    ----------
    headers : mapping
        Headers with case-insensitive names.
    is_open : bool
        Whether an account needs no password: then only loopback names are accepted as host, against
        DNS rebinding.

    Raises
    ------
    RefusedRequest
        497.

    Examples
    --------
    >>> refuse_pages({"Host": "127.0.0.1:8123"}, is_open=True)
    >>> refuse_pages({"Host": "evil.example"}, is_open=True)
    Traceback (most recent call last):
    monitor.storage.serve.refusal.RefusedRequest: Code: 497. DB::Exception: Without a password \
only programs of this machine are served. (ACCESS_DENIED)
    """
    if headers.get("Sec-Fetch-Site", "none").strip().lower() not in ("none", "same-origin"):
        raise RefusedRequest(497, "Requests of pages of other sites are refused.")
    origin = headers.get("Origin")
    if origin is not None and urlsplit(origin).netloc.lower() != headers.get("Host", "").lower():
        raise RefusedRequest(497, "Requests of pages of other sites are refused.")
    host = _host(headers)
    if is_open and (origin is not None or not is_loopback(host)):
        raise RefusedRequest(497, "Without a password only programs of this machine are served.")


def is_from_program(headers: Mapping[str, str]) -> bool:
    """Return whether a request has a header that pages cannot send without a preflight.

    Such headers are ``X-ClickHouse-*``, and ``User-Agent`` with the name of a ClickHouse client.
    ``Authorization`` counts unless a browser sent it, which browsers do automatically for a URL
    that contains a user name.

    Examples
    --------
    >>> is_from_program({"X-ClickHouse-User": "default"})
    True
    >>> is_from_program({"Content-Type": "text/plain", "User-Agent": "Mozilla/5.0"})
    False
    """
    if any(name.lower().startswith("x-clickhouse-") for name in headers):
        return True
    agent = headers.get("User-Agent", "Mozilla/").strip()
    if agent.startswith("Mozilla/"):
        return False
    return "Authorization" in headers or bool(_CLIENT.search(agent))


def is_loopback(host: str) -> bool:
    """Return whether a host is a loopback name or address.

    Examples
    --------
    >>> [is_loopback(host) for host in ("127.0.0.1", "::1", "localhost", "0.0.0.0", "x.org")]
    [True, True, True, False, False]
    """
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _host(headers: Mapping[str, str]) -> str:
    """Return the name in ``Host``, without its port."""
    try:
        return urlsplit(f"//{headers.get('Host', '')}").hostname or ""
    except ValueError:
        return ""
