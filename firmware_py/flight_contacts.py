"""The port to perception: contacts in, flight time out, twenty times a second; nothing is waited for, all is bounded.

A packet is one byte and MessagePack: 1 and a list of contacts (maps with the fields of ``fdir.guard_contacts.Contact``)
from perception, 2 and the flight time in ns from the flight program. Contacts have their times on the flight clock,
which is why it is told.
"""

from __future__ import annotations

from typing import Protocol

import msgspec

from fdir.guard_contacts import Contact
from firmware_py.guard_watch import GuardWatch

__all__ = ["FRAME", "TIME", "ContactPort", "pack_contacts", "read_time"]

FRAME = 1
TIME = 2
MOST_PACKETS = 4
MOST_CONTACTS = 64
"""Of one packet: a frame of the guard."""

_contacts = msgspec.msgpack.Decoder(list[Contact])


class PacketPort(Protocol):
    """What of a socket is needed here (``comms.packet_socket.PacketServer``)."""

    def send(self, packet: bytes | bytearray) -> bool:
        """Hand one packet over, or not."""

    def receive(self) -> bytes | None:
        """The oldest packet that has come."""


def pack_contacts(contacts: list[Contact]) -> bytes:
    """A frame as perception sends it."""
    return bytes((FRAME,)) + msgspec.msgpack.encode(contacts)


def read_time(data: bytes) -> int | None:
    """Flight time, ns, of what the flight program sent; ``None`` if it is none."""
    if data[:1] != bytes((TIME,)):
        return None
    try:
        return msgspec.msgpack.decode(memoryview(data)[1:], type=int)
    except (msgspec.DecodeError, ValueError, OverflowError):
        return None


class ContactPort:
    """Member of the medium group.

    Args:
        port: the flight's end.

    Attributes:
        guard: who gets the contacts; told once the program is built.
        taken: frames handed over.
        refused: packets that were none, or too long.
    """

    def __init__(self, port: PacketPort) -> None:
        self._port = port
        self.guard: GuardWatch | None = None
        self.taken = 0
        self.refused = 0

    def step(self, now_ns: int) -> None:
        """Take what has come and tell the time."""
        for _ in range(MOST_PACKETS):
            data = self._port.receive()
            if data is None:
                break
            contacts = _frame(data)
            if contacts is None or self.guard is None:
                self.refused += 1
                continue
            self.taken += 1
            self.guard.take(contacts)
        self._port.send(bytes((TIME,)) + msgspec.msgpack.encode(now_ns))


def _frame(data: bytes) -> list[Contact] | None:
    if data[:1] != bytes((FRAME,)):
        return None
    try:
        contacts = _contacts.decode(memoryview(data)[1:])
    except (msgspec.DecodeError, RecursionError, ValueError, OverflowError):
        return None
    return contacts if len(contacts) <= MOST_CONTACTS else None
