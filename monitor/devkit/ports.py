"""Loopback ports that stay reserved while their server is down.

A broker that is stopped and started again on its port must find it free. Between
the two, the kernel may lend the port to any outgoing connection, and another test
may pick it. A socket that is bound but never listens prevents both, and does not
hinder a server that sets ``SO_REUSEADDR``, as Java does.
"""

from __future__ import annotations

import errno
import socket

from schemas.errors import TransportError

LOOPBACK = "127.0.0.1"


class ReservedPort:
    """A port of 127.0.0.1 that no other process is given.

    Parameters
    ----------
    port : int, optional
        Which; 0 takes any free one.

    Raises
    ------
    TransportError
        If the port is taken, or may not be used by this user.

    Examples
    --------
    >>> with ReservedPort() as reserved:
    ...     reserved.port > 1023
    True
    """

    def __init__(self, port: int = 0) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            # A named port may have connections in TIME_WAIT from the server's last run;
            # a drawn one must be free altogether, so the option comes after the draw.
            if port:
                self._share()
            self._socket.bind((LOOPBACK, port))
            self._share()
        except (OSError, OverflowError) as error:
            self._socket.close()
            raise _explain(port, error) from None
        self.port: int = self._socket.getsockname()[1]

    def _share(self) -> None:
        """Allow the server to bind the same port."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)

    def release(self) -> None:
        """Give the port back; harmless when done twice."""
        self._socket.close()

    def __enter__(self) -> ReservedPort:
        return self

    def __exit__(self, *exception: object) -> None:
        self.release()


def _explain(port: int, error: Exception) -> TransportError:
    """Return in one line why a port cannot be reserved."""
    if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
        return TransportError(
            f"port {port} is taken", where=LOOPBACK, fix="stop what uses it, or name another port"
        )
    reason = error.strerror if isinstance(error, OSError) else "must be 0 to 65535"
    return TransportError(f"port {port} cannot be used: {reason}", where=LOOPBACK)
