"""Which requests come from a page of another site, and are refused.

A page in the user's own browser reaches loopback: by ``<img>`` and forms, by fetch, or by
pointing its own name there. It cannot read answers (no CORS header is ever sent), but it
need not. It cannot fake ``Sec-Fetch-Site``, hide its ``Origin``, choose ``Host``, or add a
header outside the CORS safelist without a preflight, and preflights are refused.
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
    """Refuse requests that a browser sends for another site.

    Parameters
    ----------
    headers : mapping
        Names in any case.
    is_open : bool
        Whether some account needs no password: then only loopback names are taken for
        the host, against names of other sites that resolve to this machine.

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
    """Return whether a request has a header that no page can send without a preflight.

    Any ``X-ClickHouse-*`` is one, and the name of a ClickHouse client in ``User-Agent``.
    ``Authorization`` is one unless a browser sent it: it does so by itself for a URL that
    holds a name.

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
    """Return whether a host can be reached from this machine only.

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
