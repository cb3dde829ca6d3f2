"""Unit tests open no connection unless they are marked ``integration``."""

from __future__ import annotations

import socket

import pytest


def test_a_connection_from_a_unit_test_is_refused_in_every_subfolder():
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.socket() as client,
        pytest.raises(AssertionError, match="mark it integration"),
    ):
        client.connect(server.getsockname())


@pytest.mark.integration
def test_a_test_marked_integration_may_connect():
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket() as client:
        client.connect(server.getsockname())
