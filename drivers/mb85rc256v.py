"""Fujitsu MB85RC256V, 32 KiB of FRAM: what was stored is read back whole or not at all, and a torn write loses nothing.

Facts: Fujitsu DS501-00017 (MB85RC256V): two address bytes, 15 bits, most significant first; reads and writes step the
address on and wrap at the end; a byte is kept as soon as it is acknowledged, there is no page and no time to wait. The
part's identity answers only at a reserved address (F8h) that I2C masters refuse to send, so it isn't used here.

The memory is divided into slots of two copies. A copy is a header of 16 bytes (magic, version, slot, sequence number,
length, CRC-32) and its payload; the CRC covers both. ``load`` gives the payload of the newest whole copy. ``store``
overwrites the older or broken copy, never the newest whole one: it withdraws the header, writes and reads back the
payload, then writes and reads back the header, so that power may fail after any byte. A copy that looks broken is read
again before it is given up. No transaction carries more than 32 bytes of data.

The last 16 bytes hold a signature with the layout: it is how this memory is known again, and without it an answer of
all zeros or all ones could pass for an empty memory. ``initialise`` writes it where there is none yet and refuses a
memory that holds anything else (WRONG_ID), which may be somebody's; ``format`` makes such a memory ours.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from struct import Struct as Layout
from typing import Annotated, NamedTuple
from zlib import crc32

from msgspec import Meta, Struct

from drivers.bus.protocol import I2cBus
from drivers.device import NOWHERE, Codec, Oracle, OracleKind, Place, Register, whole
from drivers.errors import Cause, DeviceError

__all__ = [
    "CODECS", "HEADER_LENGTH", "ORACLES", "REGISTERS", "SIZE", "Device", "MemoryHealth", "Settings", "Stored",
    "encode", "payload_length", "stored",
]

ORACLES = (Oracle(OracleKind.QEMU, "the at24c-eeprom model: addresses, load, store, a write cut at every transaction"),)

REGISTERS: tuple[Register, ...] = ()
"""A memory has none."""

SIZE = 0x8000
CHUNK = 32
SIGNATURE_LENGTH = 16
SIGNATURE_AT = SIZE - SIGNATURE_LENGTH
HEADER_LENGTH = 16
MAGIC = b"QF"
VERSION = 1
_HEAD = Layout(">2sBBIHH")
_CRC = Layout(">I")
_SIGNATURE = Layout(">8sBBH")
_SIGNATURE_MAGIC = b"QIKIFRAM"
_WITHDRAWN = bytes(HEADER_LENGTH)
LOOKS = 2
"""Times that a copy which looks broken is read."""


class Settings(Struct, frozen=True, forbid_unknown_fields=True):
    """``slots`` of two copies, each of ``slot_bytes`` payload at most. Another layout needs ``format``."""

    slots: Annotated[int, Meta(ge=1, le=64)] = 8
    slot_bytes: Annotated[int, Meta(ge=16, le=8192)] = 512

    def __post_init__(self) -> None:
        """Refuse a layout that does not fit."""
        if 2 * self.slots * (HEADER_LENGTH + self.slot_bytes) > SIGNATURE_AT:
            raise ValueError("slots x slot_bytes, twice, do not fit the memory")


class Stored(NamedTuple):
    """One whole copy."""

    slot: int
    sequence: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class MemoryHealth:
    """What is known of every slot's two copies: sound, broken, or ``None`` if blank or not looked at yet.

    ``checked`` is the slot that this sample has read.
    """

    copies: tuple[tuple[bool | None, bool | None], ...]
    checked: int


def encode(slot: int, sequence: int, payload: bytes) -> bytes:
    """One copy, header and payload. The caller keeps ``payload`` within the slot."""
    head = _HEAD.pack(MAGIC, VERSION, slot, sequence, len(payload), 0)
    return head + _CRC.pack(crc32(payload, crc32(head))) + payload


def payload_length(header: bytes, place: Place = NOWHERE) -> int:
    """How many bytes follow a header of 16. Raises CHECKSUM if it is none or says 0; the CRC is not known yet."""
    magic, version, _, _, length, spare = _HEAD.unpack_from(whole(header, HEADER_LENGTH, place))
    if magic != MAGIC or version != VERSION or spare or not length:
        raise place.error(Cause.CHECKSUM, f"{header.hex()}h is no header")
    return int(length)


def stored(data: bytes, place: Place = NOWHERE) -> Stored:
    """One whole copy from its bytes.

    Raises:
        DeviceError: SHORT_READ for less than a header or another length than the header says; CHECKSUM.
    """
    if len(data) < HEADER_LENGTH:
        whole(data, HEADER_LENGTH, place)
    header = data[:HEADER_LENGTH]
    payload = data[HEADER_LENGTH:]
    whole(payload, payload_length(header, place), place)
    _, _, slot, sequence, _, _ = _HEAD.unpack_from(header)
    (sent,) = _CRC.unpack_from(header, _HEAD.size)
    if crc32(payload, crc32(header[: _HEAD.size])) != sent:
        raise place.error(Cause.CHECKSUM, "CRC of a stored copy does not match")
    return Stored(slot, sequence, payload)


CODECS = (Codec("header: length of the payload", payload_length, HEADER_LENGTH), Codec("stored copy", stored, None))


def _blank(data: bytes) -> bool:
    return not any(data) or data.count(0xFF) == len(data)


def _newer(sequence: int, than: int) -> bool:
    """Serial number arithmetic (RFC 1982), 32 bits."""
    return 0 < (sequence - than & 0xFFFFFFFF) < 0x80000000


def _newest(first: Stored | None, second: Stored | None) -> tuple[int, Stored] | None:
    """Which copy is the newest whole one, and that copy."""
    if second is not None and (first is None or _newer(second.sequence, first.sequence)):
        return 1, second
    return None if first is None else (0, first)


class Device:
    """One MB85RC256V, or another I2C memory of 32 KiB without pages.

    Args:
        bus: the segment, or a multiplexer's channel.
        address: 0x50..0x57.
        settings: the layout.
    """

    def __init__(self, bus: I2cBus, address: int, settings: Settings) -> None:
        self.place = Place(bus.name, address)
        self.settings = settings
        self._bus = bus
        self._address = address
        self._signature = self._sign(settings)
        self._copies: list[tuple[bool | None, bool | None]] = [(None, None)] * settings.slots
        self._turn = 0

    def identify(self) -> Generator[None, None, str]:
        """The part has no identity that can be read here: its signature, 1 transaction.

        Raises:
            DeviceError: WRONG_ID for a memory that holds something else, or another layout.
        """
        if (yield from self._is_ours()):
            return f"32 KiB FRAM by its signature, {self.settings.slots} slots of {self.settings.slot_bytes} bytes"
        return "nothing but equal bits: a blank memory (it has no identity)"

    def initialise(self) -> Generator[None, None, None]:
        """The signature, written where there is none and read back: 1 or 4 transactions. No copy is touched."""
        if not (yield from self._is_ours()):
            yield
            # A blank end alone doesn't make a blank memory.
            head = self._read(self._at(0, 0), HEADER_LENGTH)
            if not _blank(head) and not head.startswith(MAGIC):
                raise self.place.error(Cause.WRONG_ID, f"the memory holds something else: {head.hex()}h")
            yield
            yield from self._write_signature()
        self._copies = [(None, None)] * self.settings.slots
        self._turn = 0

    def format(self) -> Generator[None, None, None]:
        """Make the memory ours, whatever it held, and withdraw every copy; for the bench. Raises IMPLAUSIBLE."""
        for slot in range(self.settings.slots):
            for copy in range(2):
                self._write(self._at(slot, copy), _WITHDRAWN)
                yield
        yield from self._write_signature()
        self._copies = [(None, None)] * self.settings.slots

    def acquire(self) -> Generator[None, None, MemoryHealth]:
        """Read one slot, in turn, and say what is known of all: 3 transactions and up to two reads of both copies.

        Raises:
            DeviceError: RESET if the signature is gone. A broken copy is no error here; its next ``store`` mends it.
        """
        if (yield from self._is_unsigned()):
            raise self.place.error(Cause.RESET, "the signature is gone")
        yield
        slot = self._turn
        self._turn = (slot + 1) % self.settings.slots
        yield from self._survey(slot)
        return MemoryHealth(tuple(self._copies), slot)

    def load(self, slot: int) -> Generator[None, None, bytes | None]:
        """Payload of the newest whole copy; ``None`` if nothing was ever stored there.

        Raises:
            DeviceError: CHECKSUM if something was stored and no copy is whole; PROTOCOL for a slot that isn't there;
                RESET if the copies are blank and so is the signature: no answer rather than an empty one.
        """
        self._check(slot)
        first, second = yield from self._survey(slot)
        newest = _newest(first, second)
        if newest is not None:
            return newest[1].payload
        if self._copies[slot] != (None, None):
            raise self.place.error(Cause.CHECKSUM, f"slot {slot} has no whole copy")
        yield
        if (yield from self._is_unsigned()):
            raise self.place.error(Cause.RESET, "nothing but equal bits: the memory does not answer, or was erased")
        return None

    def store(self, slot: int, payload: bytes) -> Generator[None, None, int]:
        """Store 1 to ``slot_bytes`` bytes; returns the sequence number. Every byte written is read back.

        Raises:
            DeviceError: PROTOCOL for a slot or length that isn't there, before anything is sent; RESET as ``load``;
                IMPLAUSIBLE if the memory does not hold what was written; the copy before is whole in any case.
        """
        self._check(slot)
        if not 1 <= len(payload) <= self.settings.slot_bytes:
            raise self.place.error(Cause.PROTOCOL, f"{len(payload)} bytes for {self.settings.slot_bytes}")
        first, second = yield from self._survey(slot)
        yield
        if self._copies[slot] == (None, None):
            if (yield from self._is_unsigned()):
                raise self.place.error(Cause.RESET, "nothing but equal bits: the memory does not answer, or was erased")
            yield
        newest = _newest(first, second)
        target, sequence = (0, 1) if newest is None else (1 - newest[0], newest[1].sequence + 1 & 0xFFFFFFFF)
        data = encode(slot, sequence, payload)
        at = self._at(slot, target)
        self._note(slot, target, False)
        self._write(at, _WITHDRAWN)
        yield
        for start in range(HEADER_LENGTH, len(data), CHUNK):
            self._write(at + start, data[start : start + CHUNK])
            yield
        for start in range(HEADER_LENGTH, len(data), CHUNK):
            self._prove(at + start, data[start : start + CHUNK])
            yield
        self._write(at, data[:HEADER_LENGTH])
        yield
        self._prove(at, data[:HEADER_LENGTH])
        self._note(slot, target, True)
        return sequence

    def _survey(self, slot: int) -> Generator[None, None, tuple[Stored | None, Stored | None]]:
        """Both copies of a slot, ``None`` where not whole; what was seen is noted."""
        first, sound = yield from self._examine(slot, 0)
        self._note(slot, 0, sound)
        yield
        second, sound = yield from self._examine(slot, 1)
        self._note(slot, 1, sound)
        # One whole copy beside a blank one: before the whole one passes for the newest, the other is asked again.
        if first is None and second is not None and self._copies[slot][0] is None:
            yield
            first, sound = yield from self._examine(slot, 0)
            self._note(slot, 0, sound)
        elif second is None and first is not None and self._copies[slot][1] is None:
            yield
            second, sound = yield from self._examine(slot, 1)
            self._note(slot, 1, sound)
        return first, second

    def _examine(self, slot: int, copy: int) -> Generator[None, None, tuple[Stored | None, bool | None]]:
        """One copy, and whether it is sound (``None``: blank). One that looks broken is read again."""
        for look in range(LOOKS):
            if look:
                yield
            at = self._at(slot, copy)
            data = self._read(at, HEADER_LENGTH)
            if _blank(data):
                return None, None
            try:
                length = payload_length(data, self.place)
            except DeviceError:
                continue
            if length > self.settings.slot_bytes:
                continue
            end = at + HEADER_LENGTH + length
            for start in range(at + HEADER_LENGTH, end, CHUNK):
                yield
                data += self._read(start, min(CHUNK, end - start))
            try:
                found = stored(data, self.place)
            except DeviceError:
                continue
            if found.slot == slot:
                return found, True
        return None, False

    def _note(self, slot: int, copy: int, sound: bool | None) -> None:
        first, second = self._copies[slot]
        self._copies[slot] = (sound, second) if copy == 0 else (first, sound)

    def _is_ours(self) -> Generator[None, None, bool]:
        """Whether the memory bears our signature, False if there is none: one transaction. Raises WRONG_ID."""
        yield from ()
        held = self._read(SIGNATURE_AT, SIGNATURE_LENGTH)
        if held != self._signature and not _blank(held):
            what = "another layout" if held.startswith(_SIGNATURE_MAGIC) else "something else"
            raise self.place.error(Cause.WRONG_ID, f"the memory holds {what}: {held.hex()}h")
        return held == self._signature

    def _write_signature(self) -> Generator[None, None, None]:
        """Write it and read it back: two transactions."""
        self._write(SIGNATURE_AT, self._signature)
        yield
        self._prove(SIGNATURE_AT, self._signature)

    def _is_unsigned(self) -> Generator[None, None, bool]:
        """Whether the signature is missing: one transaction."""
        yield from ()
        return self._read(SIGNATURE_AT, SIGNATURE_LENGTH) != self._signature

    @staticmethod
    def _sign(settings: Settings) -> bytes:
        body = _SIGNATURE.pack(_SIGNATURE_MAGIC, VERSION, settings.slots, settings.slot_bytes)
        return body + _CRC.pack(crc32(body))

    def _at(self, slot: int, copy: int) -> int:
        return (2 * slot + copy) * (HEADER_LENGTH + self.settings.slot_bytes)

    def _check(self, slot: int) -> None:
        if not 0 <= slot < self.settings.slots:
            raise self.place.error(Cause.PROTOCOL, f"there is no slot {slot} of {self.settings.slots}")

    def _prove(self, at: int, expected: bytes) -> None:
        if self._read(at, len(expected)) != expected:
            raise self.place.error(Cause.IMPLAUSIBLE, f"the memory does not hold what was written at {at:04x}h")

    def _read(self, at: int, count: int) -> bytes:
        return whole(self._bus.write_read(self._address, at.to_bytes(2, "big"), count), count, self.place)

    def _write(self, at: int, data: bytes) -> None:
        self._bus.write(self._address, at.to_bytes(2, "big") + data)
