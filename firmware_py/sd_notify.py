"""Tells the service manager that the program is ready, alive or stopping: one datagram a word, nothing ever waits.

The protocol of sd_notify(3): lines ``NAME=value`` in one datagram to the socket that ``NOTIFY_SOCKET`` names; a name
that begins with @ is abstract. ``WATCHDOG_USEC`` says how long the manager waits for ``WATCHDOG=1``, and
``WATCHDOG_PID`` for whom (sd_watchdog_enabled(3)); half of that time is the pause that is advised. The same name in a
datagram changes how long the manager waits, from there on until this start ends.

A datagram that is not taken is counted and given up: a manager that does not listen must not stop a flight.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping

__all__ = ["Notifier", "Send", "datagram"]

LONGEST_NAME = 107
"""Bytes of a socket's name that fit into sun_path with its closing zero (unix(7))."""

Send = Callable[[bytes, str | bytes], None]
"""Sends one datagram to an address; raises OSError."""


def datagram() -> Send:
    """A sender over a socket of its own that neither waits nor is handed on to children."""
    port = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)

    def send(data: bytes, address: str | bytes) -> None:
        port.sendto(data, socket.MSG_NOSIGNAL, address)

    return send


class Notifier:
    """One service manager.

    Args:
        name: of its socket: an absolute path, or @ and an abstract name.
        watchdog_ns: how long it waits for a sign of life; ``None``: it waits for none.
        send: sends one datagram; a socket of its own if not given.

    Attributes:
        failures: datagrams that were not taken.
        last_error: why the last of them was not; empty if none failed.

    Raises:
        ValueError: the name is no such name, or the time is not above 0.
    """

    def __init__(self, name: str, watchdog_ns: int | None = None, send: Send | None = None) -> None:
        if not name.startswith(("/", "@")) or not 2 <= len(name.encode()) <= LONGEST_NAME:
            raise ValueError(
                f"NOTIFY_SOCKET is {name!r}; an absolute path or @ and a name, {LONGEST_NAME} bytes at most, is allowed"
            )
        if watchdog_ns is not None and watchdog_ns <= 0:
            raise ValueError(f"watchdog_ns is {watchdog_ns}; above 0 is allowed")
        self._address: str | bytes = b"\0" + name[1:].encode() if name.startswith("@") else name
        self._send = datagram() if send is None else send
        self.watchdog_ns = watchdog_ns
        self.period_ns = None if watchdog_ns is None else watchdog_ns // 2
        """Pause between two signs of life; ``None``: none is waited for."""
        self.failures = 0
        self.last_error = ""

    @classmethod
    def of(cls, environment: Mapping[str, str], process: int, send: Send | None = None) -> Notifier | None:
        """The manager that the environment names; ``None``: the program was not started by one.

        Args:
            environment: ``os.environ``.
            process: number of this process; signs of life are asked of the one that ``WATCHDOG_PID`` names.
            send: see Notifier.

        Raises:
            ValueError: a variable is there and means nothing.
        """
        name = environment.get("NOTIFY_SOCKET", "")
        if not name:
            return None
        wait_us = _number(environment, "WATCHDOG_USEC")
        wanted = _number(environment, "WATCHDOG_PID")
        mine = wait_us is not None and wanted in (None, process)
        return cls(name, wait_us * 1000 if mine and wait_us is not None else None, send)

    def ready(self) -> bool:
        """Start-up has ended. As all others: whether the datagram was taken."""
        return self._tell("READY=1")

    def alive(self) -> bool:
        """One sign of life."""
        return self._tell("WATCHDOG=1")

    def wait(self, wait_ns: int) -> bool:
        """How long the manager is to wait for a sign of life from now on; above 0."""
        return self._tell(f"WATCHDOG_USEC={max(1, wait_ns // 1000)}")

    def status(self, text: str) -> bool:
        """One line for people; line breaks become spaces."""
        return self._tell("STATUS=" + " ".join(text.split()))

    def stopping(self) -> bool:
        """The program is about to end."""
        return self._tell("STOPPING=1")

    def _tell(self, line: str) -> bool:
        try:
            self._send(line.encode(), self._address)
        except OSError as error:
            self.failures += 1
            self.last_error = error.strerror or type(error).__name__
            return False
        return True


def _number(environment: Mapping[str, str], name: str) -> int | None:
    text = environment.get(name, "")
    if not text:
        return None
    if not (text.isascii() and text.isdigit()) or int(text) == 0:
        raise ValueError(f"{name} is {text!r}; a whole number above 0 is allowed")
    return int(text)
