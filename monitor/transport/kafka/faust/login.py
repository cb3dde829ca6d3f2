"""TLS and SASL settings for Faust, whose clients are aiokafka's."""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Mapping

from aiokafka.abc import AbstractTokenProvider
from aiokafka.helpers import create_ssl_context
from faust.auth import OAuthCredentials, SASLCredentials, SSLCredentials
from faust.types.auth import CredentialsT

from monitor.transport.kafka.auth.oauth import TokenProvider
from monitor.transport.kafka.auth.security import KafkaSecurity
from schemas.errors import ConfigError


def faust_credentials(
    security: KafkaSecurity, environment: Mapping[str, str] | None = None
) -> CredentialsT | None:
    """Return the credentials for Faust.

    Parameters
    ----------
    environment : mapping of str to str, optional
        Environment of the secrets; ``os.environ`` by default.

    Returns
    -------
    CredentialsT or None
        For ``broker_credentials``; None without TLS and SASL.

    Raises
    ------
    ConfigError
        If a secret is missing (the message names its variable or file), or a certificate cannot be
        used.
    """
    env = os.environ if environment is None else environment
    context = _ssl_context(security, env) if security.is_tls else None
    if security.token is not None:
        return OAuthCredentials(
            oauth_cb=_AsyncTokens(TokenProvider(security.token, env)), ssl_context=context
        )
    if security.mechanism is not None and security.password is not None:
        return SASLCredentials(
            username=security.username,
            password=security.password.read(env),
            ssl_context=context,
            mechanism=security.mechanism.value,
        )
    return None if context is None else SSLCredentials(context)


def _ssl_context(security: KafkaSecurity, env: Mapping[str, str]) -> ssl.SSLContext:
    """Return a context that verifies the broker, with the client's certificate if there is one."""
    certificate = security.certificate_file
    password = security.key_password
    try:
        context: ssl.SSLContext = create_ssl_context(
            cafile=None if security.ca_file is None else str(security.ca_file),
            certfile=None if certificate is None else str(certificate),
            keyfile=None if certificate is None else str(security.key_file or certificate),
            password=None if password is None else password.read(env),
        )
        return context
    except OSError as error:
        named = ", ".join(str(p) for p in (security.ca_file, certificate, security.key_file) if p)
        raise ConfigError(
            f"the certificates cannot be used: {error.strerror or type(error).__name__}",
            where=named,
            fix="PEM files, the key with its password",
        ) from None


class _AsyncTokens(AbstractTokenProvider):
    """Token provider of aiokafka; requests to the endpoint run in a thread."""

    def __init__(self, provider: TokenProvider) -> None:
        self._provider = provider

    async def token(self) -> str:
        """Return a valid token."""
        token = await asyncio.get_running_loop().run_in_executor(None, self._provider.token)
        return str(token.text)
