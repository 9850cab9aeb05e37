"""Whole packets between two ends that come and go: nothing waits, nothing is split, what is too long is refused."""

from __future__ import annotations

import os
import socket
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from comms.packet_socket import LARGEST, PacketClient, PacketServer, PortError


@pytest.fixture
def path() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="qk", dir="/tmp") as folder:
        yield Path(folder) / "port.sock"


def test_packets_keep_their_bounds_and_order(path: Path) -> None:
    server, client = PacketServer(path), PacketClient(path)
    assert not server.send(b"nobody is there")
    assert client.send(b"one")
    assert client.send(b"two")
    assert [server.receive(), server.receive(), server.receive()] == [b"one", b"two", None]
    assert server.send(b"x" * LARGEST)
    assert client.receive() == b"x" * LARGEST
    assert (server.connections, client.connections) == (1, 1)
    client.close()
    server.close()
    assert not path.exists()


def test_either_end_may_go_and_come_back(path: Path) -> None:
    server, client = PacketServer(path), PacketClient(path)
    assert client.send(b"1")
    assert server.receive() == b"1"
    server.close()
    assert not client.send(b"lost")
    assert not client.connected
    server = PacketServer(path)
    assert client.send(b"2")
    assert server.receive() == b"2"
    client.close()
    assert server.receive() is None
    assert not server.connected
    again = PacketClient(path)
    assert again.send(b"3")
    assert server.receive() == b"3"
    assert server.connections == 2
    again.close()
    server.close()


def test_a_full_end_refuses_and_does_not_wait(path: Path) -> None:
    server, client = PacketServer(path), PacketClient(path)
    assert client.meet()
    assert server.meet()
    sent = 0
    while client.send(b"y" * 10_000):
        sent += 1
        assert sent < 100_000
    assert sent > 10
    assert client.connected
    assert server.receive() == b"y" * 10_000
    client.close()
    server.close()


def test_a_packet_that_is_too_long_is_refused_and_counted(path: Path) -> None:
    server, client = PacketServer(path), PacketClient(path)
    assert client.send(b"z" * (LARGEST + 1))
    assert client.send(b"short")
    assert server.receive() == b"short"
    assert server.refused == 1
    client.close()
    server.close()


def test_the_socket_is_for_owner_and_group_and_a_dead_one_is_replaced(path: Path) -> None:
    dead = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    dead.bind(str(path))
    dead.close()
    server = PacketServer(path)
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o660
    with pytest.raises(PortError, match="another flight program"):
        PacketServer(path)
    server.close()
    path.write_text("no socket")
    with pytest.raises(PortError, match="no socket"):
        PacketServer(path)
    with pytest.raises(PortError, match="No such file"):
        PacketServer(path.parent / "missing" / "port.sock")
