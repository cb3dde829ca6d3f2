"""Accounts of the server: one read-write, one read-only."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field

from monitor.storage.passwords import (
    PASSWORD_VARIABLE,
    READER_PASSWORD_VARIABLE,
    USER_VARIABLE,
    password_of,
)
from monitor.storage.serve.origins import is_loopback
from monitor.storage.serve.refusal import RefusedRequest
from schemas.errors import ConfigError

READER = "reader"


@dataclass(frozen=True, slots=True)
class Account:
    """A user name and its password, which is omitted from the repr."""

    name: str
    is_reader: bool
    password: str = field(default="", repr=False)


class Accounts:
    """The accounts of one server.

    Parameters
    ----------
    reader : Account, optional
        None if the writer has a password and the reader has none.

    Examples
    --------
    >>> accounts = accounts_from({}, "127.0.0.1")
    >>> accounts.identify({}, {"user": "reader"}).is_reader
    True
    """

    def __init__(self, writer: Account, reader: Account | None = None) -> None:
        self._accounts = {writer.name: writer}
        if reader is not None:
            self._accounts[reader.name] = reader
        self._default = writer.name

    @property
    def is_open(self) -> bool:
        """Whether an account needs no password."""
        return any(not account.password for account in self._accounts.values())

    def identify(self, headers: Mapping[str, str], query: Mapping[str, str]) -> Account:
        """Return the account of a request after checking its password.

        Parameters
        ----------
        headers : mapping
            ``Authorization: Basic`` or ``X-ClickHouse-User`` and ``X-ClickHouse-Key``.
        query : mapping
            Or ``user`` and ``password``.

        Raises
        ------
        RefusedRequest
            516, with the same text and in the same time for a wrong name and a wrong password.
        """
        name, password = _credentials(headers, query)
        account = self._accounts.get(name or self._default)
        expected = account.password if account else "\0no such account"
        if not _is_same(password, expected) or account is None:
            raise RefusedRequest(
                516,
                f"{(name or self._default)[:64]}: Authentication failed: password is incorrect, "
                "or there is no user with such name.",
            )
        return account


def accounts_from(environment: Mapping[str, str], host: str) -> Accounts:
    """Return the accounts that the environment configures.

    Parameters
    ----------
    environment : mapping
        ``DRIFTLINE_STORE_USER``, ``DRIFTLINE_STORE_PASSWORD`` and
        ``DRIFTLINE_STORE_READER_PASSWORD``, or ``..._FILE`` with the path of a file that contains
        one.
    host : str
        Address on which the server listens.

    Raises
    ------
    ConfigError
        If the address is not loopback and there is no password.
    """
    password = password_of(PASSWORD_VARIABLE, environment)
    reader_password = password_of(READER_PASSWORD_VARIABLE, environment)
    if not password and not is_loopback(host):
        raise ConfigError(
            f"listening on {host} needs a password",
            where="driftline store serve",
            fix=f"set {PASSWORD_VARIABLE}, or leave --host at 127.0.0.1",
        )
    writer = Account(environment.get(USER_VARIABLE, "default"), False, password)
    if writer.name == READER:
        raise ConfigError(f'{USER_VARIABLE}="{READER}" is the name of the account that only reads')
    has_reader = bool(reader_password) or not password
    return Accounts(writer, Account(READER, True, reader_password) if has_reader else None)


def _credentials(headers: Mapping[str, str], query: Mapping[str, str]) -> tuple[str, str]:
    """Read name and password from the places that ClickHouse accepts, in its order."""
    if "X-ClickHouse-User" in headers or "X-ClickHouse-Key" in headers:
        return headers.get("X-ClickHouse-User", ""), headers.get("X-ClickHouse-Key", "")
    kind, _, text = headers.get("Authorization", "").partition(" ")
    if kind.lower() == "basic":
        try:
            name, _, password = base64.b64decode(text, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            raise RefusedRequest(516, "The Authorization header cannot be read.") from None
        return name, password
    return query.get("user", ""), query.get("password", "")


def _is_same(given: str, expected: str) -> bool:
    """Compare in constant time, which reveals neither length nor position of a difference."""
    pair = [hashlib.sha256(text.encode(errors="replace")).digest() for text in (given, expected)]
    return hmac.compare_digest(*pair)
