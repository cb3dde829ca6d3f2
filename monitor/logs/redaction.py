"""Secrets: which ones there are, and text without them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

REDACTED: Final = "[redacted]"

_SECRET_NAME: Final = re.compile(r"PASSWORD|PASSWD|SECRET|TOKEN|API_?KEY|CREDENTIAL", re.IGNORECASE)
_NO_SECRET_NAME: Final = re.compile(r"_FILE$|_ENDPOINT$|_ENV$", re.IGNORECASE)
_USER_INFO: Final = re.compile(r"(?<=://)[^/\s@]+@")
_SHORTEST_SECRET: Final = 6
"""Below that a secret is no secret, and hiding it would garble every line."""


def secrets_of(environment: Mapping[str, str]) -> list[str]:
    """Return the values of variables whose names say that they hold a secret.

    Examples
    --------
    >>> secrets_of({"DRIFTLINE_KAFKA_PASSWORD": "hunter2", "X_PASSWORD_FILE": "/run/secret"})
    ['hunter2']
    """
    return [
        value
        for name, value in environment.items()
        if _SECRET_NAME.search(name) and not _NO_SECRET_NAME.search(name)
    ]


class Redaction:
    """Takes secrets out of text.

    Examples
    --------
    >>> Redaction(["hunter2"])("login of ingest with hunter2 at https://ann:pass@host/x")
    'login of ingest with [redacted] at https://[redacted]@host/x'
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        known = {s for s in secrets if len(s) >= _SHORTEST_SECRET}
        longest_first = sorted(known, key=len, reverse=True)
        self._known = re.compile("|".join(map(re.escape, longest_first))) if known else None

    def __call__(self, text: str) -> str:
        """Return the text without them."""
        if self._known is not None:
            text = self._known.sub(REDACTED, text)
        return _USER_INFO.sub(f"{REDACTED}@", text) if "://" in text else text
