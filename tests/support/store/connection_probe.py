"""A port of this machine that notes whether a program connected to it."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator


@contextlib.contextmanager
def listening() -> Iterator[tuple[int, list[bool]]]:
    """Yield a port, and a list that grows with each connection to it."""
    connected: list[bool] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.1)
        done = threading.Event()

        def listen() -> None:
            while not done.is_set():
                with contextlib.suppress(TimeoutError):
                    listener.accept()[0].close()
                    connected.append(True)

        thread = threading.Thread(target=listen)
        thread.start()
        try:
            yield listener.getsockname()[1], connected
        finally:
            done.set()
            thread.join()
