"""Resource limits of requests: every wait, body and answer is bounded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from monitor.storage.serve.refusal import RefusedRequest

MAX_QUERY_BYTES = 262_144
"""ClickHouse's ``max_query_size``: its parser rejects longer statements too."""


ALWAYS = frozenset({"max_execution_time", "max_memory_usage", "max_result_bytes"})
"""Settings that every query gets; the others are bounded only if a request sets them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Limits of the server; a client can lower but not raise them."""

    query_s: int = 60
    """``max_execution_time``; a query that ignores it is killed two seconds later."""
    query_memory_bytes: int = 2 << 30
    """``max_memory_usage`` of one query."""
    memory_bytes: int = 4 << 30
    """Memory of all queries together; the engine stops the query that uses the most."""
    n_threads: int = 64
    """``max_threads`` of one query."""
    result_bytes: int = 256 << 20
    """Size of one answer before compression; upper bound of ``max_result_bytes``."""
    spool_bytes: int = 4 << 30
    """Size of all bodies together, and separately of all answers."""
    body_bytes: int = 1 << 30
    """Size of one request body after decompression."""
    n_concurrent: int = 8
    """Concurrent queries of readers, and as many of the writer; neither delays the other."""
    queue_s: float = 10.0
    """How long a query waits for a free thread before it is rejected."""
    receive_s: float = 60.0
    """Time-out between two pieces of a body, and for a client to read a piece of an answer."""
    idle_s: float = 30.0
    """Idle time-out of a connection, and time-out of a request's head."""
    n_connections: int = 1024
    """Concurrent connections; above it the one with the longest idle time is closed."""
    drain_s: float = 30.0
    """How long a stopping server waits for running queries."""

    @property
    def n_reading(self) -> int:
        """Concurrent requests of readers, waiting or running; the rest is for the writer."""
        return self.n_connections // 2

    def settings(self) -> dict[str, int]:
        """Return the engine's settings for these limits.

        Examples
        --------
        >>> Limits().settings()["max_execution_time"]
        60
        """
        return {
            "max_execution_time": self.query_s,
            "max_memory_usage": min(self.query_memory_bytes, self.memory_bytes),
            "max_result_bytes": self.result_bytes,
            "max_threads": self.n_threads,
            "max_insert_threads": self.n_threads,
        }

    def within(self, asked: Mapping[str, str]) -> dict[str, str]:
        """Return the requested settings, with limited ones reduced to the limit.

        Parameters
        ----------
        asked : mapping
            Settings of a request, as text.

        Returns
        -------
        dict
            Includes those of ``ALWAYS``; 0, which means unlimited, becomes the limit.

        Raises
        ------
        RefusedRequest
            If a limited setting is not a number.

        Examples
        --------
        >>> Limits().within({"max_execution_time": "0", "max_threads": "2"})["max_execution_time"]
        '60'
        """
        cut = dict(asked)
        for name, bound in self.settings().items():
            if name not in asked and name not in ALWAYS:
                continue
            value = min(_number(name, asked.get(name, "0")) or bound, bound)
            cut[name] = str(int(value) if value == int(value) else value)
        return cut

    def refuse_beyond(self, name: str, value: str) -> None:
        """Raise if a setting in a query's SETTINGS exceeds its limit.

        Raises
        ------
        RefusedRequest
            With ClickHouse's code for a violated constraint.
        """
        bound = self.settings()[name]
        asked = _number(name, value)
        if not 0 < asked <= bound:
            raise RefusedRequest(452, f"Setting {name} shouldn't be greater than {bound}, nor 0.")


def _number(name: str, value: str) -> float:
    """Parse a setting's number."""
    try:
        number = float(value)
    except ValueError:
        raise RefusedRequest(27, f"Cannot parse {name}: a number is expected.") from None
    if not 0 <= number < float("inf"):
        raise RefusedRequest(27, f"Cannot parse {name}: a number from 0 is expected.")
    return number
