"""Administrative connections with kafka-python that are always closed cleanly."""

from __future__ import annotations

import logging
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from monitor.transport.kafka.auth.security import KafkaSecurity, kafka_python_settings
from schemas.errors import ConfigError, TransportError

if TYPE_CHECKING:
    from kafka.admin import KafkaAdminClient

DEFAULT_PORT = 9092


@contextmanager
def open_admin(
    bootstrap: str, security: KafkaSecurity | None = None, *, timeout_s: float = 10.0
) -> Iterator[KafkaAdminClient]:
    """Connect to a cluster, and convert the client's errors.

    Parameters
    ----------
    bootstrap : str
        ``host:port``, several separated by commas; the default port is 9092.
    security : KafkaSecurity, optional
        TLS and SASL settings; none by default.
    timeout_s : float, optional
        Time-out for reaching the first broker, and of each request.

    Yields
    ------
    KafkaAdminClient

    Raises
    ------
    ConfigError
        If an address is invalid.
    TransportError
        If no broker answers, or the cluster rejects a request.
    """
    from kafka.errors import KafkaError

    servers = parse_bootstrap(bootstrap)
    _reach_any(servers, bootstrap, timeout_s)
    tries = _FailedTries()
    try:
        with tries:
            admin = _connect(servers, security or KafkaSecurity(), timeout_s)
    except (KafkaError, OSError) as error:
        raise TransportError(
            f"Kafka rejected the login: {tries.reason or one_line(error)}",
            where=bootstrap,
            fix="check TLS, mechanism, user and secret against the listener at this address",
        ) from error
    try:
        yield admin
    except KafkaError as error:
        raise TransportError(one_line(error), where=bootstrap) from error
    finally:
        admin.close()


def parse_bootstrap(bootstrap: str) -> list[tuple[str, int]]:
    """Parse addresses.

    Parameters
    ----------
    bootstrap : str
        ``host:port``, several separated by commas.

    Returns
    -------
    list of (str, int)

    Raises
    ------
    ConfigError
        If an address is invalid.

    Examples
    --------
    >>> parse_bootstrap("kafka-1:9093, kafka-2, [::1]:9094")
    [('kafka-1', 9093), ('kafka-2', 9092), ('::1', 9094)]
    """
    return [_address(part.strip()) for part in bootstrap.split(",")]


def _address(text: str) -> tuple[str, int]:
    """Parse one address; an IPv6 address is in brackets."""
    host, colon, port = text.rpartition(":")
    if not colon or text.endswith("]"):
        host, port = text, str(DEFAULT_PORT)
    has_port = port.isascii() and port.isdigit() and 0 < int(port) < 65_536
    if not host.strip("[]") or "/" in host or not has_port:
        raise ConfigError(
            f'"{text}" is not an address', where="Kafka bootstrap", fix="write host:port"
        )
    return host.strip("[]"), int(port)


def _reach_any(servers: list[tuple[str, int]], bootstrap: str, timeout_s: float) -> None:
    """Raise the exact reason immediately if no server can be reached.

    kafka-python retries until its time-out, reports no cause, and leaves the socket of every failed
    attempt open (3.0.12).
    """
    reasons = []
    for server in servers:
        try:
            socket.create_connection(server, timeout=timeout_s / len(servers)).close()
            return
        except OSError as error:
            reasons.append(error.strerror or str(error) or type(error).__name__)
    raise TransportError(
        f"Kafka does not answer: {'; '.join(dict.fromkeys(reasons))}",
        where=bootstrap,
        fix="check that it is running and the address is right",
    )


def _connect(
    servers: list[tuple[str, int]], security: KafkaSecurity, timeout_s: float
) -> KafkaAdminClient:
    """Create the client; if authentication fails, its thread is stopped."""
    from kafka.admin import KafkaAdminClient

    made: list[Any] = []

    def make_network(**config: Any) -> Any:
        made.append(KafkaAdminClient.DEFAULT_CONFIG["kafka_client"](**config))
        return made[-1]

    bound_ms = round(timeout_s * 1000)
    try:
        return KafkaAdminClient(
            bootstrap_servers=[f"[{h}]:{p}" if ":" in h else f"{h}:{p}" for h, p in servers],
            client_id="driftline-admin",
            bootstrap_timeout_ms=bound_ms,
            request_timeout_ms=bound_ms,
            kafka_client=make_network,
            **kafka_python_settings(security),
        )
    except BaseException:
        for network in made:
            with suppress(Exception):
                network.close()
        raise


class _FailedTries(logging.Handler):
    """Log handler that records why connection attempts fail; kafka-python's error has no cause."""

    _logger = logging.getLogger("kafka")

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.reason = ""

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the last reason; a disconnect does not replace a more specific one."""
        found = re.search(
            r"^Bootstrap connection to \S+ failed: (.*) \(backoff", record.getMessage()
        )
        if found and not (self.reason and "socket disconnected" in found[1]):
            self.reason = found[1][:300]

    def __enter__(self) -> None:
        self._logger.addHandler(self)

    def __exit__(self, *exception: object) -> None:
        self._logger.removeHandler(self)


def one_line(error: BaseException) -> str:
    """Return a client's error on one line."""
    return " ".join(str(error).split())[:300] or type(error).__name__
