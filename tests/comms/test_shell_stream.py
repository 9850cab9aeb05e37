"""Ways in beside the link: a socket with a mode, a serial line that is plugged and unplugged, a pseudo-terminal."""

from __future__ import annotations

import errno
import os
import select
import socket
import stat
import tty
from collections.abc import Iterator
from pathlib import Path

import pytest

from comms.dictionary import COMMANDS
from comms.shell import FdStream, Limits, Mode, SerialDoor, SocketDoor, serial_opener
from comms.shell.stream import SerialStream
from tests.comms.shell_craft import Desk, Reader

NS = 1_000_000_000


@pytest.fixture
def desk() -> Desk:
    desk = Desk()
    desk.snapshot()
    return desk


@pytest.fixture
def door(desk: Desk, tmp_path: Path) -> Iterator[SocketDoor]:
    door = SocketDoor(tmp_path / "shell.sock", desk.server)
    yield door
    door.close()


def client(door: SocketDoor) -> socket.socket:
    connected = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connected.connect(str(door.path))
    return connected


def talk(desk: Desk, door: SocketDoor | None, descriptor: int, keys: bytes, steps: int = 60) -> str:
    seen = b""
    position = 0
    for _ in range(steps):
        if position < len(keys):
            position += os.write(descriptor, keys[position:position + 500])
        if door is not None:
            door.step(desk.now_ns)
        desk.run(1)
        while select.select([descriptor], [], [], 0.0)[0]:
            try:
                data = os.read(descriptor, 65536)
            except OSError:
                data = b""  # a pseudo-terminal whose other end was closed
            if not data:
                return seen.decode()
            seen += data
    return seen.decode()


def test_only_the_owner_may_open_the_socket(door: SocketDoor) -> None:
    assert stat.S_IMODE(door.path.stat().st_mode) == 0o600
    assert stat.S_ISSOCK(door.path.stat().st_mode)


def test_a_group_may_be_let_in(desk: Desk, tmp_path: Path) -> None:
    door = SocketDoor(tmp_path / "group.sock", desk.server, group=os.getgid())
    assert stat.S_IMODE(door.path.stat().st_mode) == 0o660
    assert door.path.stat().st_gid == os.getgid()
    door.close()
    assert not door.path.exists()


def test_a_client_looks_and_gives_no_orders(desk: Desk, door: SocketDoor) -> None:
    with client(door) as connected:
        text = talk(desk, door, connected.fileno(), b"get motion\nhold\nwhoami\n")
        assert "motion  Manoeuvre" in text
        assert "read only: hold takes controller" in text
        assert "over socket: viewer" in text
    desk.run(2)
    assert desk.server.sessions == 0
    assert not desk.requests


def test_no_command_of_the_dictionary_gets_out_of_a_socket(desk: Desk, door: SocketDoor) -> None:
    with client(door) as connected:
        for name in COMMANDS:
            talk(desk, door, connected.fileno(), f"{name} confirmed=yes\nyes\n".encode(), steps=6)
    assert not desk.requests


def test_one_client_more_than_allowed_is_told_so(tmp_path: Path) -> None:
    desk = Desk(limits=Limits(sessions=1))
    door = SocketDoor(tmp_path / "s", desk.server)
    with client(door) as one, client(door) as other:
        talk(desk, door, one.fileno(), b"")
        assert "all sessions are taken" in os.read(other.fileno(), 1000).decode()
    assert door.refused == 1
    door.close()


def test_a_client_that_vanishes_while_it_is_written_to_hurts_nobody(desk: Desk, door: SocketDoor) -> None:
    with client(door) as connected:
        connected.sendall(b"watch soc_battery 5\n")
        talk(desk, door, connected.fileno(), b"", steps=3)
    desk.run(100)
    assert desk.server.sessions == 0
    assert desk.server.counts.failed == 0


def test_a_client_that_does_not_read_fills_no_memory(desk: Desk, door: SocketDoor) -> None:
    with client(door) as connected:
        connected.sendall(b"channels\n" * 2000)
        for _ in range(500):
            door.step(desk.now_ns)
            desk.run(1)
        assert desk.server.counts.peak_out_bytes < 33_100


def test_a_dead_socket_is_taken_over_a_living_one_and_a_file_are_left_alone(desk: Desk, tmp_path: Path) -> None:
    path = tmp_path / "shell.sock"
    left = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    left.bind(str(path))
    left.close()
    door = SocketDoor(path, desk.server)
    with pytest.raises(OSError, match="in use"):
        SocketDoor(path, desk.server)
    with client(door) as connected:
        assert "read only" in talk(desk, door, connected.fileno(), b"")
    door.close()
    plain = tmp_path / "file"
    plain.write_text("mine")
    with pytest.raises(OSError, match="in use"):
        SocketDoor(plain, desk.server)
    assert plain.read_text() == "mine"


def test_a_session_at_a_pseudo_terminal_from_the_first_key_to_the_last(desk: Desk) -> None:
    """What minicom would show: echo, prompt, completion, history, a plot, a watch, noise on the line."""
    far, near = os.openpty()
    tty.setraw(near)
    door = SerialDoor(desk.server, lambda: FdStream(near))
    door.step(desk.now_ns)
    os.set_blocking(far, False)
    for _ in range(100):
        desk.run(1)
        desk.snapshot()
    text = talk(desk, None, far, b"")
    assert text.endswith("qiki> \x1b[K")
    text = talk(desk, None, far, b"get soc_b\t\r")
    assert "get soc_battery" in text
    assert "soc_battery  0.81\r\n" in text
    assert "0.81" in talk(desk, None, far, b"\x1b[A\r")
    assert "no command 'gt'" in talk(desk, None, far, b"get\x1b[D\x7f\r")
    assert "soc_battery" in talk(desk, None, far, b"plot soc_battery 10\r")
    assert "\x1b[2A" in talk(desk, None, far, b"watch soc_battery 5\r")
    assert talk(desk, None, far, b"q").endswith("qiki> \x1b[K")
    assert "read only" in talk(desk, None, far, b"\xff\x80\x00slew 0,0,1 90\n")
    assert "Manoeuvre" in talk(desk, None, far, b"get motion\r\n")
    assert "session ended" in talk(desk, None, far, b"\x04")
    assert desk.server.counts.failed == 0
    assert desk.server.counts.noise == 3
    os.close(far)


def test_a_serial_line_always_has_a_session_and_comes_back_after_it_was_unplugged(desk: Desk) -> None:
    lines: list[Reader] = []
    absent = [True]

    def opener() -> Reader:
        if absent[0]:
            raise OSError(errno.ENOENT, "not there")
        lines.append(Reader())
        return lines[-1]

    door = SerialDoor(desk.server, opener, plain=True)
    for _ in range(100):
        door.step(desk.now_ns)
        desk.run(1)
    assert door.failures == 2
    absent[0] = False
    desk.run(1, 2 * NS)
    door.step(desk.now_ns)
    desk.run(1)
    assert "qiki> " in lines[0].text
    lines[0].gone = True
    desk.run(1, 2 * NS)
    door.step(desk.now_ns)
    desk.run(1)
    lines[1].typed = b"quit\r"
    desk.run(3)
    desk.run(1, 2 * NS)
    door.step(desk.now_ns)
    desk.run(1)
    assert len(lines) == 3
    assert "qiki> " in lines[2].text
    door.close()
    assert desk.server.sessions == 0


def test_the_real_opener_opens_a_line_without_waiting(desk: Desk) -> None:
    far, near = os.openpty()
    stream = serial_opener(os.ttyname(near), 115200)()
    assert isinstance(stream, SerialStream)
    assert stream.read(10) == b""
    os.write(far, b"get motion\r")
    desk.server.open(stream, desk.now_ns, how="serial", mode=Mode.ECHO)
    assert "Manoeuvre" in talk(desk, None, far, b"")
    os.close(far)
    os.close(near)
    desk.run(50)
    assert desk.server.sessions == 0


def test_a_serial_line_that_is_not_there_is_an_os_error() -> None:
    with pytest.raises(OSError, match="no/such"):
        serial_opener("/dev/no/such", 9600)()
