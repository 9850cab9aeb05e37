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


def test_without_named_users_whoever_opens_the_file_is_let_in(path: Path) -> None:
    server, client = PacketServer(path), PacketClient(path)
    assert client.meet()
    assert server.meet()
    assert (server.strangers, server.last_stranger) == (0, -1)
    client.close()
    server.close()


def test_a_stranger_is_let_go_and_takes_no_seat_not_even_of_the_servers_own_user(path: Path) -> None:
    server = PacketServer(path, {os.getuid() + 1})
    client = PacketClient(path)
    assert client.send(b"obey me")
    assert server.receive() is None
    assert not server.connected
    assert (server.strangers, server.last_stranger, server.connections) == (1, os.getuid(), 0)
    # The stranger sees that it was let go.
    assert client.receive() is None
    assert not client.connected
    server.close()


def test_only_so_many_callers_are_looked_at_in_one_call(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waiting = [socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET) for _ in range(9)]
    queue = [ours for ours, _ in waiting]
    server = PacketServer(path, {os.getuid() + 1})
    monkeypatch.setattr(socket.socket, "accept", lambda _self: (queue.pop(), ""))
    assert not server.meet()
    assert server.strangers == 4
    assert not server.meet()
    assert server.strangers == 8
    assert len(queue) == 1
    for _, theirs in waiting:
        theirs.close()
    queue[0].close()
    server.close()


@pytest.mark.skipif(os.getuid() != 0, reason="only root can be another user")
def test_the_named_user_is_served_after_a_stranger_of_another(path: Path) -> None:
    server, stranger, client = PacketServer(path, {os.getuid()}), PacketClient(path), PacketClient(path)
    path.parent.chmod(0o755)
    path.chmod(0o666)
    os.seteuid(65534)
    try:
        assert stranger.send(b"obey me")
    finally:
        os.seteuid(0)
    assert client.send(b"mine")
    # One call: the stranger before it costs the named user nothing.
    assert server.receive() == b"mine"
    assert (server.strangers, server.last_stranger, server.connections) == (1, 65534, 1)
    for end in (stranger, client, server):
        end.close()
