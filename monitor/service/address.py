"""Listen addresses of stages."""

from __future__ import annotations

from typing import NamedTuple

from schemas.errors import ConfigError

PORTS = {"ingest": 9101, "detect": 9102, "notify": 9103, "archive": 9104}
"""Default port of each stage."""
LOOPBACK = "127.0.0.1"


class Address(NamedTuple):
    """Listen address; port 0 chooses a free port."""

    host: str
    port: int

    def __str__(self) -> str:
        """Return the address as in a URL."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_address(text: str, stage: str) -> Address | None:
    """Parse ``HOST:PORT``, ``:PORT``, ``PORT`` or ``off``.

    Parameters
    ----------
    text : str
        Empty for the stage's default port on loopback.

    Returns
    -------
    Address or None
        None for ``off``.

    Raises
    ------
    ConfigError
        If the text is not an address.

    Examples
    --------
    >>> parse_address("", "detect"), parse_address("[::1]:0", "detect")
    (Address(host='127.0.0.1', port=9102), Address(host='::1', port=0))
    >>> parse_address(":9200", "ingest"), parse_address("off", "ingest")
    (Address(host='127.0.0.1', port=9200), None)
    """
    if text == "off":
        return None
    if not text:
        return Address(LOOPBACK, PORTS[stage])
    host, _, port = text.rpartition(":")
    is_port = port.isascii() and port.isdigit() and int(port) < 65_536
    if not is_port or ("[" in host) != ("]" in host) or "/" in host:
        raise ConfigError(
            f'"{text}" is not an address', where="--http", fix="write HOST:PORT, or off"
        )
    return Address(host.strip("[]") or LOOPBACK, int(port))
