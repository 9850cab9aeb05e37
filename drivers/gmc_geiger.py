"""GQ GMC-320 class Geiger counter on a serial port: two bytes with quiet before and after them, or no sample.

Protocol: GQ Electronics, GQ-RFC1201 version 1.10 (115200 baud at the GMC-320): commands ``<...>>``; after
``<HEARTBEAT1>>`` the counter sends the counts of the last second, two bytes, most significant first, once a second.
Bits 15 and 14 are reserved and are not data. ``<GETVER>>``: 14 ASCII bytes, model and firmware (newer ones send 15);
``<GETVOLT>>``: one byte, battery voltage times 10.

The heartbeat has no mark and no checksum, so a beat is known by its time: exactly two bytes, after which the line was
quiet for ``quiet_ms``. A lone byte, a third one or a break is refused, and the next beat is aligned again by itself.
That costs ``quiet_ms`` of delay. Poll it more often than that. All ones is refused; 0 is a genuine count.

The document contradicts itself: its example of a beat, 10h 1Ch, is said to be 28, which holds only if bits 13 and 12
do not count either, while its text keeps 14 bits. No tube of this class reaches 4096 counts a second (the GMC-320 is
rated to 65,535 a minute), so the default follows the example; ``count_bits`` 14 follows the text.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Literal

from msgspec import Meta, Struct

from drivers.bus.protocol import SerialBus
from drivers.device import NOWHERE, Codec, Oracle, OracleKind, Place, whole
from drivers.errors import Cause, DeviceError
from drivers.samples import RadiationSample
from drivers.serial_frames import StreamCounters

__all__ = [
    "CODECS", "ORACLES", "Counters", "Device", "Settings", "battery_voltage_v", "counts_per_second", "version",
]

ORACLES = (
    Oracle(OracleKind.PROTOCOL, "GQ-RFC1201's examples of version, voltage and (with 12 count bits) heartbeat"),
)

HEARTBEAT_OFF = b"<HEARTBEAT0>>"
HEARTBEAT_ON = b"<HEARTBEAT1>>"
GET_VERSION = b"<GETVER>>"
GET_VOLTAGE = b"<GETVOLT>>"
MAKER = b"GMC-"
VERSION_LENGTHS = (14, 15)
BEAT_LENGTH = 2
RESERVED_FLAGS = 0xC000
ALL_ONES = 0xFFFF
BATTERY_LIMIT_V = 15.0

READ_LIMIT = 256
BURST_LIMIT = 64
"""Bytes held until the line is quiet; more are only counted."""
ANSWER_POLLS = 200
"""Reads spent on an answer: a second at 200 Hz."""
NS_PER_MS = 1_000_000
BEAT_NS = 1_000_000_000


class Settings(Struct, frozen=True, forbid_unknown_fields=True):
    """``quiet_ms``: silence that ends a beat; ``count_bits``: see the module's first lines."""

    quiet_ms: Annotated[int, Meta(ge=10, le=500)] = 100
    count_bits: Literal[12, 14] = 12
    read_battery: bool = True
    """Ask for the battery voltage at start."""


@dataclass(slots=True)
class Counters(StreamCounters):
    """What came down the line since start. ``frames`` are beats."""

    flagged: int = 0
    """Beats with a reserved bit set."""


def counts_per_second(data: bytes, count_bits: int = 12, place: Place = NOWHERE) -> RadiationSample:
    """Counts of one beat from its 2 bytes; the upper bits are left out. Raises IMPLAUSIBLE for all ones; SHORT_READ."""
    word = int.from_bytes(whole(data, BEAT_LENGTH, place), "big")
    if word == ALL_ONES:
        raise place.error(Cause.IMPLAUSIBLE, "heartbeat is all ones")
    return RadiationSample(word & (1 << count_bits) - 1)


def version(data: bytes, place: Place = NOWHERE) -> str:
    """Model and firmware from 14 or 15 bytes. Raises WRONG_ID for another maker or no text; SHORT_READ."""
    if len(data) not in VERSION_LENGTHS:
        raise place.error(Cause.SHORT_READ, f"{len(data)} bytes instead of 14 or 15")
    if not data.startswith(MAKER) or not data.isascii() or not data.decode("ascii").isprintable():
        raise place.error(Cause.WRONG_ID, f"version is {data.hex()}h")
    return data.decode("ascii").rstrip()


def battery_voltage_v(data: bytes, place: Place = NOWHERE) -> float:
    """Battery voltage, V, from 1 byte. Raises IMPLAUSIBLE for 0 and above 15 V; SHORT_READ."""
    value = whole(data, 1, place)[0] / 10.0
    if not 0.0 < value <= BATTERY_LIMIT_V:
        raise place.error(Cause.IMPLAUSIBLE, f"battery voltage {value:.1f} V")
    return value


CODECS = (
    Codec("heartbeat", counts_per_second, BEAT_LENGTH),
    Codec("heartbeat of 14 bits", partial(counts_per_second, count_bits=14), BEAT_LENGTH),
    Codec("version", version, None), Codec("battery voltage", battery_voltage_v, 1),
)


class Device:
    """One GMC counter.

    Args:
        bus: the serial port.
        address: none on a serial port.
        settings: see ``Settings``.
    """

    __slots__ = (
        "_burst", "_bus", "_byte_ns", "_pause_ns", "_polled_ns", "_quiet_ns", "battery_v", "counters", "model",
        "place", "settings",
    )

    def __init__(self, bus: SerialBus, address: int | None, settings: Settings) -> None:
        self.place = Place(bus.name, address)
        self.settings = settings
        self.counters = Counters()
        self.model = ""
        """Model and firmware, once ``initialise`` has heard them."""
        self.battery_v: float | None = None
        """Battery voltage at the last ``initialise``."""
        self._bus = bus
        self._quiet_ns = settings.quiet_ms * NS_PER_MS
        self._burst = b""
        self._byte_ns = 0
        self._polled_ns: int | None = None
        self._pause_ns = 0

    def initialise(self) -> Generator[None, None, None]:
        """Heartbeat off, version, battery voltage, heartbeat on: a write or a read a resume.

        Raises:
            DeviceError: TIMEOUT when no version is told; WRONG_ID when it is another maker's.
        """
        self._burst = b""
        self._polled_ns = None
        self.battery_v = None
        self._bus.write(HEARTBEAT_OFF)
        yield
        self._bus.read(READ_LIMIT)  # beats from before
        yield
        self._bus.write(GET_VERSION)
        yield
        answer = yield from self._answer(VERSION_LENGTHS[0], MAKER)
        if len(answer) < VERSION_LENGTHS[0]:
            cause = Cause.WRONG_ID if answer else Cause.TIMEOUT
            raise self.place.error(cause, f"no version in {ANSWER_POLLS} reads" if not answer else "no GMC counter")
        yield
        answer = (answer + self._bus.read(READ_LIMIT))[: VERSION_LENGTHS[1]]  # the last byte of a longer one
        self.model = version(answer, self.place)
        yield
        if self.settings.read_battery:
            self._bus.write(GET_VOLTAGE)
            yield
            answer = yield from self._answer(1, b"")
            if answer:
                self.battery_v = self._battery(answer)
            yield
        self._bus.write(HEARTBEAT_ON)

    def poll(self, now_ns: int) -> RadiationSample | None:
        """The beat that has just ended, or ``None``. Never blocks. Raises what the port raises."""
        arrived = self._bus.read(READ_LIMIT)
        beat: RadiationSample | None = None
        if self._burst and now_ns - self._byte_ns >= self._quiet_ns:
            beat = self._ended()
        if arrived:
            if not self._burst:
                self._pause_ns = now_ns - self._polled_ns if self._polled_ns is not None else 0
            room = BURST_LIMIT - len(self._burst)
            if len(arrived) > room:
                self.counters.skipped_bytes += len(arrived) - room
            self._burst += arrived[:room]
            self._byte_ns = now_ns
        self._polled_ns = now_ns
        return beat

    def _ended(self) -> RadiationSample | None:
        """A burst with quiet after it: one beat, or as many as there were seconds since the poll before it."""
        burst, self._burst = self._burst, b""
        counters = self.counters
        beats, odd = divmod(len(burst), BEAT_LENGTH)
        if odd or beats > 1 + self._pause_ns // BEAT_NS:
            counters.refused += 1
            counters.skipped_bytes += len(burst)
            return None
        newest = burst[-BEAT_LENGTH:]
        try:
            sample = counts_per_second(newest, self.settings.count_bits, self.place)
        except DeviceError:
            counters.refused += 1
            counters.skipped_bytes += len(burst)
            return None
        counters.frames += beats
        counters.flagged += bool(int.from_bytes(newest, "big") & RESERVED_FLAGS)
        return sample

    def _answer(self, count: int, start: bytes) -> Generator[None, None, bytes]:
        """Bytes from ``start`` on, once there are ``count``; else what came. One read a resume."""
        data = b""
        for look in range(ANSWER_POLLS):
            if look:
                yield
            data = (data + self._bus.read(READ_LIMIT))[-READ_LIMIT:]
            at = data.find(start)
            if at >= 0 and len(data) - at >= count:
                return data[at:]
        return data

    def _battery(self, answer: bytes) -> float | None:
        try:
            return battery_voltage_v(answer[:1], self.place)
        except DeviceError:
            self.counters.refused += 1
            return None
