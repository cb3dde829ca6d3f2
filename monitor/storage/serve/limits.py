"""What one request may cost. Every wait, body and answer has a bound."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from monitor.storage.serve.refusal import RefusedRequest

MAX_QUERY_BYTES = 262_144
"""ClickHouse's own ``max_query_size``: a longer statement is refused by its parser too."""


ALWAYS = frozenset({"max_execution_time", "max_memory_usage", "max_result_bytes"})
"""Set for every query; the other bounds hold where a request asks for something."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds of the server; a client may ask for less, never for more."""

    query_s: int = 60
    """``max_execution_time``; a query that ignores it is killed two seconds later."""
    query_memory_bytes: int = 2 << 30
    """``max_memory_usage`` of one query."""
    memory_bytes: int = 4 << 30
    """Of all queries together; the engine stops the query that takes the most."""
    n_threads: int = 64
    """``max_threads`` of one query."""
    result_bytes: int = 256 << 20
    """Of one answer, as sent before compression: ``max_result_bytes`` of a request is cut to it."""
    spool_bytes: int = 4 << 30
    """Of all bodies together, and as much of all answers."""
    body_bytes: int = 1 << 30
    """Of one request, after decompression."""
    n_concurrent: int = 8
    """Queries of readers that run at once, and as many of the writer: neither waits for
    the other."""
    queue_s: float = 10.0
    """How long a query waits for its turn before it is refused."""
    receive_s: float = 60.0
    """How long a body may pause between two pieces, and a client that reads an answer."""
    idle_s: float = 30.0
    """How long a connection may wait without a request, and a request's head may take."""
    n_connections: int = 1024
    """Connections at once; beyond it the one that has waited longest is closed."""
    drain_s: float = 30.0
    """How long a stopping server waits for what runs."""

    @property
    def n_reading(self) -> int:
        """Requests of readers at once, waiting or running: the rest is the writer's."""
        return self.n_connections // 2

    def settings(self) -> dict[str, int]:
        """Return the engine's settings that hold these bounds.

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
        """Return the settings asked for, with those that are bounded cut to the bound.

        Parameters
        ----------
        asked : mapping
            Settings of a request, as text.

        Returns
        -------
        dict
            With those of ``ALWAYS`` present; 0, which means without limit, is the bound.

        Raises
        ------
        RefusedRequest
            If a bounded setting is no number.

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
        """Refuse a bounded setting in a query's own SETTINGS that goes beyond its bound.

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
    """Read a setting's number."""
    try:
        number = float(value)
    except ValueError:
        raise RefusedRequest(27, f"Cannot parse {name}: a number is expected.") from None
    if not 0 <= number < float("inf"):
        raise RefusedRequest(27, f"Cannot parse {name}: a number from 0 is expected.")
    return number
