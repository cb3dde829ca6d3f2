"""Authentication of clients and brokers: one configuration for all Kafka clients.

The configuration holds sources of secrets. Secrets are read when a client is created, and hidden
wherever a configuration is printed.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from monitor.transport.kafka.auth.oauth import TokenEndpoint, TokenProvider
from monitor.transport.kafka.auth.secret import SecretSource
from schemas.errors import ConfigError

_WIRE_LOGGERS = ("kafka.net.connection", "kafka.net.transport", "kafka.protocol.parser")


class Mechanism(StrEnum):
    """SASL mechanisms that all clients share."""

    PLAIN = "PLAIN"
    SCRAM_SHA_256 = "SCRAM-SHA-256"
    SCRAM_SHA_512 = "SCRAM-SHA-512"
    OAUTHBEARER = "OAUTHBEARER"


@dataclass(frozen=True, slots=True)
class KafkaSecurity:
    """TLS and SASL settings of every Kafka client of an installation; both are off by default.

    Parameters
    ----------
    is_tls : bool, optional
        Encrypt, and verify the broker's certificate and host name. Verification cannot be turned
        off.
    ca_file : Path, optional
        PEM of the authority that signed the broker's certificate; by default the system's.
    certificate_file, key_file : Path, optional
        PEM of the client's certificate and key, if the broker requires them. The key may be in the
        certificate's file.
    key_password : SecretSource, optional
        Password of an encrypted key.
    mechanism : Mechanism, optional
        SASL mechanism.
    username : str, optional
        For PLAIN and SCRAM.
    password : SecretSource, optional
        For PLAIN and SCRAM.
    token : SecretSource or TokenEndpoint, optional
        For OAUTHBEARER.
    is_cleartext_allowed : bool, optional
        Allow PLAIN and OAUTHBEARER without TLS, which exposes the secret on the network.

    Raises
    ------
    ConfigError
        If the settings are inconsistent; the message names every problem.

    Examples
    --------
    >>> security = KafkaSecurity(
    ...     is_tls=True,
    ...     mechanism=Mechanism.PLAIN,
    ...     username="ingest",
    ...     password=SecretSource("P"),
    ... )
    >>> security.protocol
    'SASL_SSL'
    >>> kafka_python_settings(security, {"P": "hunter2"})["sasl_plain_password"]
    '[redacted]'
    """

    is_tls: bool = False
    ca_file: Path | None = None
    certificate_file: Path | None = None
    key_file: Path | None = None
    key_password: SecretSource | None = None
    mechanism: Mechanism | None = None
    username: str = ""
    password: SecretSource | None = None
    token: SecretSource | TokenEndpoint | None = None
    is_cleartext_allowed: bool = False

    def __post_init__(self) -> None:
        problems = [*_tls_problems(self), *_login_problems(self)]
        if problems:
            raise ConfigError(
                "; ".join(problems),
                where="Kafka security",
                problems=tuple(f"Kafka security: {problem}" for problem in problems),
            )

    @property
    def protocol(self) -> str:
        """Kafka's name for the combination: PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL."""
        transport = "SSL" if self.is_tls else "PLAINTEXT"
        return transport if self.mechanism is None else f"SASL_{transport}"


def confluent_settings(
    security: KafkaSecurity, environment: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Return the settings for confluent-kafka.

    Parameters
    ----------
    security : KafkaSecurity
        Settings to convert.
    environment : mapping of str to str, optional
        Environment of the secrets; ``os.environ`` by default.

    Returns
    -------
    dict of str to object
        To be merged into a client's configuration; secrets in it print as ``[redacted]``.

    Raises
    ------
    ConfigError
        If a secret is missing; the message names its variable or file.

    Notes
    -----
    librdkafka requests tokens inside ``poll``: a client that is not polled does not renew its
    token.
    """
    env = os.environ if environment is None else environment
    made: dict[str, Any] = {
        "security.protocol": security.protocol,
        "ssl.ca.location": _text(security.ca_file),
        "ssl.certificate.location": _text(security.certificate_file),
        "ssl.key.location": _text(security.key_file or security.certificate_file),
    }
    if security.key_password is not None:
        made["ssl.key.password"] = security.key_password.read(env)
    if security.mechanism is not None:
        made["sasl.mechanisms"] = security.mechanism.value
    if security.password is not None:
        made["sasl.username"] = security.username
        made["sasl.password"] = security.password.read(env)
    if security.token is not None:
        made["oauth_cb"] = _ConfluentTokens(TokenProvider(security.token, env))
    return {key: value for key, value in made.items() if value is not None}


def kafka_python_settings(
    security: KafkaSecurity, environment: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Return the settings for kafka-python.

    Parameters
    ----------
    security : KafkaSecurity
        Settings to convert.
    environment : mapping of str to str, optional
        Environment of the secrets; ``os.environ`` by default.

    Returns
    -------
    dict of str to object
        Keyword arguments of a client; secrets in it print as ``[redacted]``.

    Raises
    ------
    ConfigError
        If a secret is missing; the message names its variable or file.

    Notes
    -----
    At level DEBUG kafka-python logs every byte it sends, including credentials (3.0.12). If a
    mechanism is set, this function filters these records of the loggers concerned.
    """
    env = os.environ if environment is None else environment
    made: dict[str, Any] = {
        "security_protocol": security.protocol,
        "ssl_cafile": _text(security.ca_file),
        "ssl_certfile": _text(security.certificate_file),
        "ssl_keyfile": _text(security.key_file),
    }
    if security.key_password is not None:
        made["ssl_password"] = security.key_password.read(env)
    if security.mechanism is not None:
        _silence_wire_dumps()
        made["sasl_mechanism"] = security.mechanism.value
    if security.password is not None:
        made["sasl_plain_username"] = security.username
        made["sasl_plain_password"] = security.password.read(env)
    if security.token is not None:
        made["sasl_oauth_token_provider"] = _kafka_python_tokens(TokenProvider(security.token, env))
    return {key: value for key, value in made.items() if value is not None}


class _ConfluentTokens:
    """Token callback of librdkafka: returns text and expiry in seconds since 1970."""

    def __init__(self, provider: TokenProvider) -> None:
        self._provider = provider

    def __call__(self, _config: str) -> tuple[str, float]:
        token = self._provider.token()
        return str(token.text), token.expires_us / 1e6


def _is_no_dump(record: logging.LogRecord) -> bool:
    """Return whether a record contains no sent data."""
    return record.levelno > logging.DEBUG


def _silence_wire_dumps() -> None:
    """Filter records with sent data from the log; idempotent."""
    for name in _WIRE_LOGGERS:
        logging.getLogger(name).addFilter(_is_no_dump)


def _kafka_python_tokens(provider: TokenProvider) -> Any:
    """Wrap a provider in the class that kafka-python requires."""
    from kafka.net.sasl.oauth import AbstractTokenProvider

    class KafkaPythonTokens(AbstractTokenProvider):
        def token(self) -> str:
            return str(provider.token().text)

    return KafkaPythonTokens()


def _tls_problems(security: KafkaSecurity) -> list[str]:
    """Return the inconsistencies of the TLS settings."""
    problems = []
    has_files = security.ca_file or security.certificate_file or security.key_file
    if has_files and not security.is_tls:
        problems.append("certificates are named but TLS is off")
    if security.key_file and not security.certificate_file:
        problems.append("a key is named without its certificate")
    if security.key_password and not security.certificate_file:
        problems.append("a key's password is named without certificate and key")
    sends_secret = security.mechanism in (Mechanism.PLAIN, Mechanism.OAUTHBEARER)
    if sends_secret and not security.is_tls and not security.is_cleartext_allowed:
        problems.append(
            f"{security.mechanism} without TLS sends the secret readably: turn TLS on, or allow "
            "cleartext for a network you trust"
        )
    return problems


def _login_problems(security: KafkaSecurity) -> list[str]:
    """Return the missing and the unused settings of the mechanism."""
    has_password = bool(security.username) or security.password is not None
    if security.mechanism is None:
        named = has_password or security.token is not None
        return ["a user, password or token is named but no SASL mechanism"] if named else []
    if security.mechanism is Mechanism.OAUTHBEARER:
        problems = [] if security.token else ["OAUTHBEARER needs a token or a token endpoint"]
        return [*problems, *(["OAUTHBEARER has no use for a user"] if has_password else [])]
    problems = []
    if not security.username or security.password is None:
        problems.append(f"{security.mechanism} needs a user name and a password")
    if security.token is not None:
        problems.append(f"{security.mechanism} has no use for a token")
    return problems


def _text(path: Path | None) -> str | None:
    """Return a path as a client's setting."""
    return None if path is None else str(path)
