"""The poller calls who has something to read, and forgets who is gone; the sides are made for the places of a plan."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

import pytest

from hal.profile import BusConfig
from hil.serve.can_side import CanSide
from hil.serve.plan import Play
from hil.serve.serial_side import SerialSide
from hil.serve.side import Poller
from hil.serve.sides import make_side
from hil.serve.socket_side import SocketSide


def test_who_has_something_to_read_is_called_and_nobody_else() -> None:
    poller, called = Poller(), []
    a, b = socket.socketpair()
    c, d = socket.socketpair()
    poller.add(a.fileno(), lambda: called.append(a.recv(10)))
    poller.add(c.fileno(), lambda: called.append(c.recv(10)))
    assert poller.wait(0.0) == 0
    b.send(b"x")
    assert poller.wait(0.0) == 1
    assert called == [b"x"]
    poller.remove(a.fileno())
    poller.remove(a.fileno())
    b.send(b"y")
    d.close()  # a hang-up is something to hear too
    assert poller.wait(0.0) == 1
    assert called == [b"x", b""]
    poller.close()
    for end in (a, b, c):
        end.close()


def test_one_that_was_closed_by_another_in_the_same_turn_is_not_called() -> None:
    poller, called = Poller(), []
    pairs = [os.pipe() for _ in range(2)]

    def first_wins(mine: int, other: int) -> None:
        called.append(mine)
        poller.remove(other)

    (r1, w1), (r2, w2) = pairs
    poller.add(r1, lambda: first_wins(r1, r2))
    poller.add(r2, lambda: first_wins(r2, r1))
    os.write(w1, b"1")
    os.write(w2, b"2")
    assert poller.wait(0.0) == 1
    assert len(called) == 1
    poller.close()
    for pipe in (r1, w1, r2, w2):
        os.close(pipe)


def made(kind: Any, on: str, reach: str | None) -> Any:
    def no_terminal(name: str) -> Any:
        raise AssertionError(name)

    return make_side(
        Play("bus", kind, on, reach), BusConfig(kind, "/dev/x", 9600), object(), no_terminal, lambda: 0, lambda: None
    )


@pytest.mark.parametrize(
    ("kind", "on", "reach", "side"),
    [
        ("can", "udp://239.74.163.2:43113", "udp://239.74.163.2:43113", CanSide), ("can", "can0", None, CanSide),
        ("serial", "/run/rig/usb0", "/run/rig/usb0", SerialSide), ("serial", "/dev/ttyUSB7", None, SerialSide),
        ("i2c", "unix:///run/rig/a.sock?patience_ms=70", "x", SocketSide), ("gpio", "unix:///g", "x", SocketSide),
    ],
)
def test_each_place_has_its_side_and_tells_how_it_is_reached(
    kind: str, on: str, reach: str | None, side: type[Any]
) -> None:
    made_side = made(kind, on, reach)
    assert isinstance(made_side, side)
    assert made_side.endpoint == (on if side is SocketSide and "patience" in on else made_side.endpoint)
    assert (made_side.endpoint is None) == (reach is None)


def test_a_place_that_names_no_socket_is_refused() -> None:
    with pytest.raises(ValueError, match="unix:///PATH"):
        made("i2c", "unix://elsewhere/a", "x")
    with pytest.raises(ValueError, match="shorter folder"):
        made("i2c", "unix:///" + "x" * 120, "x")
    assert not Path("/run/rig").exists()
