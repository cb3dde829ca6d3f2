"""Reads the security settings of Kafka clients from environment variables."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from monitor.transport.kafka.auth.oauth import TokenEndpoint
from monitor.transport.kafka.auth.secret import SecretSource, secret_from
from monitor.transport.kafka.auth.security import KafkaSecurity, Mechanism
from schemas.errors import ConfigError

PREFIX = "DRIFTLINE_KAFKA_"
"""Prefix of the environment variables."""

_YES, _NO = ("1", "true", "yes", "on"), ("", "0", "false", "no", "off")
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


def security_from_environment(environment: Mapping[str, str] | None = None) -> KafkaSecurity:
    """Read the security of all Kafka clients from ``DRIFTLINE_KAFKA_*``.

    Parameters
    ----------
    environment : mapping of str to str, optional
        ``os.environ`` by default.

    Returns
    -------
    KafkaSecurity

    Raises
    ------
    ConfigError
        If a value is invalid or the settings are inconsistent.

    Notes
    -----
    ``TLS`` (1 or 0; 1 where a CA or certificate is named), ``CA_FILE``,
    ``CERTIFICATE_FILE``, ``KEY_FILE``, ``KEY_PASSWORD``; ``SASL`` (the mechanism),
    ``USERNAME``, ``PASSWORD``; for OAUTHBEARER ``TOKEN``, or ``TOKEN_ENDPOINT`` with
    ``CLIENT_ID``, ``CLIENT_SECRET`` and ``SCOPE``; ``ALLOW_CLEARTEXT``. Each of ``KEY_PASSWORD``,
    ``PASSWORD``, ``TOKEN`` and ``CLIENT_SECRET`` may instead be in a file, whose path is in the
    variable with ``_FILE`` appended.

    Examples
    --------
    >>> security = security_from_environment({
    ...     "DRIFTLINE_KAFKA_TLS": "1",
    ...     "DRIFTLINE_KAFKA_SASL": "SCRAM-SHA-512",
    ...     "DRIFTLINE_KAFKA_USERNAME": "ingest",
    ...     "DRIFTLINE_KAFKA_PASSWORD": "hunter2",
    ... })
    >>> security.protocol, security.password
    ('SASL_SSL', SecretSource(variable='DRIFTLINE_KAFKA_PASSWORD', file=None))
    """
    env = os.environ if environment is None else environment
    files = {
        name: Path(env[PREFIX + name.upper()]) if env.get(PREFIX + name.upper()) else None
        for name in ("ca_file", "certificate_file", "key_file")
    }
    return KafkaSecurity(
        **files,
        is_tls=_flag(env, "TLS", default=any(files.values())),
        key_password=secret_from(env, f"{PREFIX}KEY_PASSWORD"),
        mechanism=_mechanism(env.get(f"{PREFIX}SASL", "")),
        username=env.get(f"{PREFIX}USERNAME", ""),
        password=secret_from(env, f"{PREFIX}PASSWORD"),
        token=_token(env),
        is_cleartext_allowed=_flag(env, "ALLOW_CLEARTEXT", default=False),
    )


def _flag(env: Mapping[str, str], name: str, *, default: bool) -> bool:
    """Read a boolean."""
    text = env.get(PREFIX + name)
    if text is None:
        return default
    if text.lower() not in _YES + _NO:
        raise ConfigError(f'"{text}" is not a yes or no', where=PREFIX + name, fix="use 1 or 0")
    return text.lower() in _YES


def _mechanism(text: str) -> Mechanism | None:
    """Read the mechanism's name."""
    if not text:
        return None
    try:
        return Mechanism(text.upper())
    except ValueError:
        raise ConfigError(
            f'"{text}" is not a mechanism', where=f"{PREFIX}SASL", fix=f"use {', '.join(Mechanism)}"
        ) from None


def _token(env: Mapping[str, str]) -> SecretSource | TokenEndpoint | None:
    """Read the source of tokens."""
    ready, url = secret_from(env, f"{PREFIX}TOKEN"), env.get(f"{PREFIX}TOKEN_ENDPOINT", "")
    if not url:
        return ready
    secret = secret_from(env, f"{PREFIX}CLIENT_SECRET")
    client = env.get(f"{PREFIX}CLIENT_ID", "")
    if ready is not None or secret is None or not client:
        raise ConfigError(
            "a token endpoint needs a client ID and a secret, and no token",
            where=f"{PREFIX}TOKEN_ENDPOINT",
            fix=f"set {PREFIX}CLIENT_ID and {PREFIX}CLIENT_SECRET",
        )
    _check_endpoint(url)
    return TokenEndpoint(url, client, secret, env.get(f"{PREFIX}SCOPE", ""))


def _check_endpoint(url: str) -> None:
    """Require https, except on loopback, and no secret in the address."""
    where = f"{PREFIX}TOKEN_ENDPOINT"
    parts = urlsplit(url)
    if parts.username or parts.password:
        fix = f"remove it; use {PREFIX}CLIENT_ID and {PREFIX}CLIENT_SECRET"
        raise ConfigError("the address holds a user name or password", where=where, fix=fix)
    is_private = parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK)
    if not parts.hostname or not is_private:
        fix = "write https://host/path"
        raise ConfigError("the token endpoint must be an https address", where=where, fix=fix)
