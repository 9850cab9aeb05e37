"""One datagram a word to the service manager, over real sockets; what is not taken is counted and never waited for."""

from __future__ import annotations

import contextlib
import os
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from firmware_py.sd_notify import LONGEST_NAME, Notifier, datagram


class Listener:
    """A service manager's socket."""

    def __init__(self, address: str | bytes) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self.socket.bind(address)

    def words(self) -> list[str]:
        """All datagrams that have arrived, oldest first."""
        found: list[str] = []
        with contextlib.suppress(BlockingIOError):
            while True:
                found.append(self.socket.recv(4096).decode())
        return found


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder with a short name: a socket's name must fit into 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="qiki-") as folder:
        yield Path(folder)


@pytest.fixture
def listener(place: Path) -> Iterator[Listener]:
    made = Listener(str(place / "notify"))
    yield made
    made.socket.close()


def test_every_word_is_one_datagram(place: Path, listener: Listener) -> None:
    notifier = Notifier(str(place / "notify"))
    told = [
        notifier.ready(), notifier.alive(), notifier.wait(10_000_000_000), notifier.status("Idle"), notifier.stopping(),
    ]
    assert told == [True] * 5
    assert listener.words() == ["READY=1", "WATCHDOG=1", "WATCHDOG_USEC=10000000", "STATUS=Idle", "STOPPING=1"]
    assert (notifier.failures, notifier.last_error) == (0, "")


def test_a_status_stays_one_line(place: Path, listener: Listener) -> None:
    Notifier(str(place / "notify")).status("SAFE\nREADY=1  \t now")
    assert listener.words() == ["STATUS=SAFE READY=1 now"]


def test_an_abstract_name_begins_with_a_zero_on_the_wire() -> None:
    name = f"qiki-test-{os.getpid()}"
    listener = Listener(b"\0" + name.encode())
    try:
        assert Notifier(f"@{name}").ready()
        assert listener.words() == ["READY=1"]
    finally:
        listener.socket.close()


def test_a_manager_that_is_gone_is_counted_and_nothing_is_raised(place: Path) -> None:
    notifier = Notifier(str(place / "nobody"))
    assert not notifier.ready()
    assert (notifier.failures, notifier.last_error) == (1, "No such file or directory")


def test_a_manager_that_does_not_read_is_not_waited_for(place: Path, listener: Listener) -> None:
    notifier = Notifier(str(place / "notify"))
    # The kernel's queue of a datagram socket is short (net.unix.max_dgram_qlen), and nobody reads it.
    taken = [notifier.alive() for _ in range(5000)]
    assert taken[0]
    assert not taken[-1]
    assert notifier.failures == taken.count(False)
    listener.words()
    assert notifier.alive()


def test_the_sender_is_not_handed_on_to_children() -> None:
    send = datagram()
    port = send.__closure__[0].cell_contents  # type: ignore[attr-defined]
    assert not port.get_inheritable()
    assert not port.getblocking()


# -- what the environment says


def test_without_a_manager_there_is_none() -> None:
    assert Notifier.of({}, 1) is None
    assert Notifier.of({"NOTIFY_SOCKET": "", "WATCHDOG_USEC": "nonsense"}, 1) is None


@pytest.mark.parametrize(("more", "period_ns"), [
    ({}, None),
    ({"WATCHDOG_USEC": "2000000"}, 1_000_000_000),
    ({"WATCHDOG_USEC": "2000000", "WATCHDOG_PID": "17"}, 1_000_000_000),
    ({"WATCHDOG_USEC": "2000000", "WATCHDOG_PID": "18"}, None),
    ({"WATCHDOG_USEC": "", "WATCHDOG_PID": "17"}, None),
    ({"WATCHDOG_USEC": "1"}, 500),
])
def test_signs_of_life_are_for_the_process_that_is_meant(more: dict[str, str], period_ns: int | None) -> None:
    notifier = Notifier.of({"NOTIFY_SOCKET": "/run/notify", **more}, 17)
    assert notifier is not None
    assert notifier.period_ns == period_ns


@pytest.mark.parametrize(("name", "value"), [
    ("WATCHDOG_USEC", "0"), ("WATCHDOG_USEC", "-1"), ("WATCHDOG_USEC", "2.5"), ("WATCHDOG_USEC", "soon"),
    ("WATCHDOG_USEC", "\u0664"), ("WATCHDOG_PID", "0"), ("WATCHDOG_PID", "me"),
])
def test_a_variable_that_means_nothing_is_refused_by_name(name: str, value: str) -> None:
    with pytest.raises(ValueError, match=f"{name} is .*; a whole number above 0 is allowed"):
        Notifier.of({"NOTIFY_SOCKET": "/run/notify", "WATCHDOG_USEC": "5", name: value}, 17)


@pytest.mark.parametrize("name", ["run/notify", "/", "@", "vsock:2:1234", "/" + "x" * LONGEST_NAME, "/\u00e4" * 54])
def test_a_name_that_is_no_socket_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="NOTIFY_SOCKET is"):
        Notifier(name)


def test_the_longest_name_fits() -> None:
    assert Notifier("/" + "x" * (LONGEST_NAME - 1)).failures == 0


@pytest.mark.parametrize("time_ns", [0, -1])
def test_a_time_of_nothing_is_refused(time_ns: int) -> None:
    with pytest.raises(ValueError, match="above 0 is allowed"):
        Notifier("/run/notify", time_ns)


def test_a_sender_of_ones_own_gets_bytes_and_address() -> None:
    sent: list[tuple[bytes, str | bytes]] = []
    notifier = Notifier.of({"NOTIFY_SOCKET": "@manager"}, 1, lambda data, address: sent.append((data, address)))
    assert notifier is not None
    notifier.ready()
    assert sent == [(b"READY=1", b"\0manager")]
