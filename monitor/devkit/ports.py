"""Loopback ports that stay reserved while their server is down.

A restarted broker needs its port to be free. While it is stopped, the kernel may assign the port to
an outgoing connection, and another test may choose it. A socket that is bound but never listens
prevents both, and does not block a server that sets ``SO_REUSEADDR``, as Java does.
"""

from __future__ import annotations

import errno
import socket

from schemas.errors import TransportError

LOOPBACK = "127.0.0.1"


class ReservedPort:
    """A reserved port of 127.0.0.1.

    Parameters
    ----------
    port : int, optional
        Port number; 0 chooses a free port.

    Raises
    ------
    TransportError
        If the port is in use, or not allowed for this user.

    Examples
    --------
    >>> with ReservedPort() as reserved:
    ...     reserved.port > 1023
    True
    """

    def __init__(self, port: int = 0) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            # A given port may have connections in TIME_WAIT from the server's last run; a chosen
            # one must be completely free, so the option is set after binding.
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
        """Release the port; idempotent."""
        self._socket.close()

    def __enter__(self) -> ReservedPort:
        return self

    def __exit__(self, *exception: object) -> None:
        self.release()


def _explain(port: int, error: Exception) -> TransportError:
    """Return the error of a port that cannot be reserved."""
    if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
        return TransportError(
            f"port {port} is taken", where=LOOPBACK, fix="stop what uses it, or name another port"
        )
    reason = error.strerror if isinstance(error, OSError) else "must be 0 to 65535"
    return TransportError(f"port {port} cannot be used: {reason}", where=LOOPBACK)
