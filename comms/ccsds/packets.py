"""Space packets of ECSS-E-ST-70-41C: telecommands are checked whole before anything is done, telemetry is counted.

The packets themselves are packed and unpacked by ``spacepackets``, which the extra ``ground`` installs. A telecommand
is taken only if length, checksum, type, application process and PUS version are right; anything else has a name.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntFlag, StrEnum, unique
from importlib import import_module
from typing import Any

from comms.ccsds.craft_time import craft_time

__all__ = ["LONGEST_PACKET", "Acknowledge", "GroundPartMissing", "PacketRefusal", "PacketStream", "Packets",
           "Telecommand"]

LONGEST_PACKET = 4096
"""Bytes of a packet either way; the standard allows 65,542."""
_PRIMARY = 6
_SHORTEST_TC = _PRIMARY + 5 + 2
_MOST_SEQUENCE, _MOST_MESSAGES = 0x3FFF, 0xFFFF


class GroundPartMissing(RuntimeError):
    """What only a ground station needs isn't installed."""


@unique
class PacketRefusal(StrEnum):
    """Why bytes are no telecommand for this craft."""

    LENGTH = "length"
    """Shorter than its header, longer than allowed, or not as long as it says."""
    VERSION = "version"
    """No space packet of version 0, or no PUS-C."""
    KIND = "kind"
    """Telemetry, no secondary header, or a segment."""
    APID = "apid"
    CHECKSUM = "checksum"


class Acknowledge(IntFlag):
    """Reports that a telecommand asks for; failures are always reported (ECSS-E-ST-70-41C, 7.4.4.1)."""

    ACCEPTANCE = 8
    START = 4
    PROGRESS = 2
    COMPLETION = 1


@dataclass(frozen=True, slots=True)
class Telecommand:
    """A telecommand that was checked. ``request`` are packet id and sequence control, by which reports name it."""

    service: int
    subservice: int
    request: tuple[int, int]
    acknowledge: Acknowledge
    source: int
    data: bytes


class Packets:
    """Reads telecommands and makes telemetry packets of one application process.

    Args:
        apid: application process, 0..2046.

    Raises:
        GroundPartMissing: ``spacepackets`` isn't installed.
        ValueError: no such application process.
    """

    def __init__(self, apid: int) -> None:
        if not 0 <= apid <= 0x7FE:
            raise ValueError(f"apid {apid}: 0..2046 is allowed")
        try:
            self._tc: Any = import_module("spacepackets.ecss.tc")
            self._tm: Any = import_module("spacepackets.ecss.tm")
            self._space: Any = import_module("spacepackets.ccsds.spacepacket")
            self._short: type[Exception] = import_module("spacepackets.exceptions").BytesTooShortError
        except ImportError as error:
            raise GroundPartMissing(
                f"the CCSDS view needs the Python library spacepackets ({error}); "
                "install the extra: pip install 'qiki-flight[ground]'"
            ) from None
        self.apid = apid
        self._sequence = 0
        self._messages: dict[tuple[int, int], int] = {}

    def read(self, packet: bytes) -> Telecommand | PacketRefusal:
        """The telecommand that a packet is, or why it is none."""
        if not _SHORTEST_TC <= len(packet) <= LONGEST_PACKET:
            return PacketRefusal.LENGTH
        if int.from_bytes(packet[4:6], "big") + 7 != len(packet):
            return PacketRefusal.LENGTH
        if packet[0] >> 5:
            return PacketRefusal.VERSION
        try:
            command = self._tc.PusTc.unpack(packet)
        except self._tc.InvalidTcCrc16Error:
            return PacketRefusal.CHECKSUM
        except self._short:
            return PacketRefusal.LENGTH
        except ValueError:
            return PacketRefusal.VERSION
        header, second = command.sp_header, command.pus_tc_sec_header
        whole = header.seq_flags is self._space.SequenceFlags.UNSEGMENTED
        if header.packet_type is not self._space.PacketType.TC or not header.sec_header_flag or not whole:
            return PacketRefusal.KIND
        if header.apid != self.apid:
            return PacketRefusal.APID
        request = int.from_bytes(packet[:2], "big"), int.from_bytes(packet[2:4], "big")
        return Telecommand(second.service, second.message_subtype, request, Acknowledge(second.ack_flags),
                           second.source_id, bytes(command.app_data))

    def telemetry(self, service: int, subservice: int, body: bytes, t_ns: int, destination: int = 0) -> bytes:
        """One telemetry packet with the craft's time, the next sequence count and the next count of its kind."""
        kind = (service, subservice)
        message = self._messages.get(kind, 0)
        packet: bytearray = self._tm.PusTm(
            apid=self.apid, service=service, message_subtype=subservice, timestamp=craft_time(t_ns), source_data=body,
            seq_count=self._sequence, message_counter=message, destination_id=destination,
        ).pack()
        self._sequence = (self._sequence + 1) & _MOST_SEQUENCE
        self._messages[kind] = (message + 1) & _MOST_MESSAGES
        return bytes(packet)


class PacketStream:
    """Cuts a byte stream (TCP) into space packets; holds less than one of them.

    A stream has nothing to find one's feet by. When a length can't be, ``broken`` is set and nothing more comes out:
    whoever reads it closes the connection.
    """

    __slots__ = ("_buffer", "broken")

    def __init__(self) -> None:
        self._buffer = b""
        self.broken = False

    def feed(self, arrived: bytes) -> list[bytes]:
        """Packets that ``arrived`` completes, oldest first."""
        packets: list[bytes] = []
        if self.broken:
            return packets
        data = self._buffer + arrived
        at = 0
        while len(data) - at >= _PRIMARY:
            length = int.from_bytes(data[at + 4 : at + 6], "big") + 7
            if length > LONGEST_PACKET:
                self.broken = True
                self._buffer = b""
                return packets
            if len(data) - at < length:
                break
            packets.append(data[at : at + length])
            at += length
        self._buffer = data[at:]
        return packets
