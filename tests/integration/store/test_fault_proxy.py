"""The proxy that plays network faults leaves no socket open, whenever it is closed."""

from __future__ import annotations

import gc
import socket
import warnings

import pytest

from tests.support.store.fault_proxy import FaultProxy

pytestmark = pytest.mark.integration


def test_connections_that_are_just_accepted_are_closed_with_the_proxy():
    with socket.create_server(("127.0.0.1", 0), backlog=500) as target:
        url = f"http://127.0.0.1:{target.getsockname()[1]}/"
        for _ in range(30):
            with FaultProxy(url) as proxy:
                port = int(proxy.url.split(":")[2].rstrip("/"))
                clients = [socket.create_connection(("127.0.0.1", port)) for _ in range(6)]
            for client in clients:
                client.close()
    with warnings.catch_warnings():
        # An open one is reported when it is collected, and pytest makes that an error.
        warnings.simplefilter("error", ResourceWarning)
        gc.collect()
