"""Star tracker on a serial port: the newest valid solution that has arrived, whatever else came down the line.

Protocol: docs/protocols/star-tracker.md. The parser holds at most one frame and what followed it, finds its way back to
A5h 5Ah after any bad byte, length or CRC, and counts what it skipped or refused. It never raises for what arrives; only
the port's own errors pass through.
"""

from __future__ import annotations

import math
from collections.abc import Generator
from dataclasses import dataclass
from struct import Struct as Layout

from msgspec import Struct

from drivers.bus.protocol import SerialBus
from drivers.checksum import crc16_ccitt_false
from drivers.device import NOWHERE, Codec, Oracle, OracleKind, Place, whole
from drivers.errors import Cause, DeviceError
from drivers.samples import AttitudeFix

__all__ = ["CODECS", "FRAME_LENGTH", "ORACLES", "Counters", "Device", "Settings", "attitude"]

ORACLES = (Oracle(OracleKind.NOTHING, "the protocol is this project's own; its CRC is held against the check value"),)

SYNC = b"\xa5\x5a"
HEADER = SYNC + b"\x01\x1c"
"""Start of frame, type 01h (attitude), 28 bytes of payload: the only frame the tracker sends in flight."""
FRAME_LENGTH = 34
READ_LIMIT = 512
"""Bytes taken a poll; 115200 baud brings 58 in 5 ms."""

_FRAME = Layout("<4xHIiiiiHBBhH")
QUATERNION_LSB = 2.0**-30
SIGMA_LSB_RAD = math.radians(0.1 / 3600.0)
NS_PER_US = 1000
NORM_TOLERANCE = 1e-3
"""A unit quaternion in 2^-30 steps is off by 1e-9; a thousandth means that it is none."""

VALID = 1 << 0
TOO_FAST = 1 << 1
BLINDED = 1 << 2
SELF_TEST_FAILED = 1 << 3
RESERVED = 0xF0


class Settings(Struct, frozen=True, forbid_unknown_fields=True):
    """The tracker has nothing to set."""


@dataclass(slots=True)
class Counters:
    """What came down the line since start."""

    frames: int = 0
    """Frames with a good CRC."""
    fixes: int = 0
    """Valid new solutions."""
    skipped_bytes: int = 0
    refused: int = 0
    """Frames of no use whatever they say: bad CRC or implausible."""
    bad_crc: int = 0
    invalid: int = 0
    """Frames that say themselves that they hold no solution."""
    too_fast: int = 0
    blinded: int = 0
    self_test_failed: int = 0
    implausible: int = 0
    repeats: int = 0
    """Frames whose counter had been seen in the frame before."""


def attitude(frame: bytes, place: Place = NOWHERE) -> AttitudeFix | None:
    """Solution of one whole frame, or ``None`` if the tracker says that it has none.

    The quaternion (w, x, y, z, sensor to inertial) is normalised. ``age_ns`` is as sent: to the frame's first byte.

    Raises:
        DeviceError: PROTOCOL for another start, type or length; CHECKSUM; IMPLAUSIBLE for reserved status bits,
            a failed self-test, a quaternion that isn't of unit length; SHORT_READ.
    """
    whole(frame, FRAME_LENGTH, place)
    if frame[:4] != HEADER:
        raise place.error(Cause.PROTOCOL, f"frame starts with {frame[:4].hex()}h")
    counter, age_us, w, x, y, z, sigma, stars, status, _, crc = _FRAME.unpack(frame)
    if crc16_ccitt_false(frame[2:-2]) != crc:
        raise place.error(Cause.CHECKSUM, "CRC of a frame does not match")
    if status & (RESERVED | SELF_TEST_FAILED):
        raise place.error(Cause.IMPLAUSIBLE, f"tracker status {status:02x}h")
    if not status & VALID:
        return None
    norm = math.sqrt(w * w + x * x + y * y + z * z) * QUATERNION_LSB
    if abs(norm - 1.0) > NORM_TOLERANCE:
        raise place.error(Cause.IMPLAUSIBLE, f"quaternion of length {norm:.4f}")
    scale = QUATERNION_LSB / norm
    return AttitudeFix(
        (w * scale, x * scale, y * scale, z * scale), age_us * NS_PER_US, sigma * SIGMA_LSB_RAD, stars, counter
    )


CODECS = (Codec("attitude", attitude, FRAME_LENGTH),)


class Device:
    """One star tracker.

    Args:
        bus: the serial port.
        address: none on a serial port.
        settings: nothing to set.
    """

    __slots__ = ("_buffer", "_bus", "_counter", "counters", "place", "settings")

    def __init__(self, bus: SerialBus, address: int | None, settings: Settings) -> None:
        self.place = Place(bus.name, address)
        self.settings = settings
        self.counters = Counters()
        self._bus = bus
        self._buffer = b""
        self._counter: int | None = None

    def initialise(self) -> Generator[None, None, None]:
        """Nothing to set: the tracker speaks unasked. Forgets a frame half received."""
        yield from ()
        self._buffer = b""
        self._counter = None

    def poll(self, now_ns: int) -> AttitudeFix | None:  # noqa: ARG002 - the plane's protocol hands every driver the time
        """Newest valid solution that has arrived since the last call. Never blocks. Raises what the port raises."""
        arrived = self._bus.read(READ_LIMIT)
        if not arrived:
            return None
        data = self._buffer + arrived
        newest: AttitudeFix | None = None
        at = 0
        while True:
            start = data.find(SYNC, at)
            if start < 0:
                # A lone A5h at the end may be the first half of a start.
                start = len(data) - 1 if data.endswith(SYNC[:1]) else len(data)
            self.counters.skipped_bytes += start - at
            at = start
            head = data[at : at + 4]
            if not HEADER.startswith(head):
                self.counters.skipped_bytes += 1
                at += 1
            elif len(data) - at < FRAME_LENGTH:
                break
            else:
                taken, fix = self._take(data[at : at + FRAME_LENGTH])
                newest = fix or newest
                at += taken
        self._buffer = data[at:]
        return newest

    def _take(self, frame: bytes) -> tuple[int, AttitudeFix | None]:
        """How many bytes are used up, and the solution if there is a new one."""
        counters = self.counters
        try:
            fix = attitude(frame, self.place)
        except DeviceError as error:
            counters.refused += 1
            if error.cause is Cause.CHECKSUM:
                # The start may have been chance; a true one may begin one byte on.
                counters.bad_crc += 1
                counters.skipped_bytes += 1
                return 1, None
            counters.frames += 1
            counters.implausible += 1
            counters.self_test_failed += bool(frame[29] & SELF_TEST_FAILED)
            return FRAME_LENGTH, None
        counters.frames += 1
        counter = int.from_bytes(frame[4:6], "little")
        repeated = counter == self._counter
        self._counter = counter
        if repeated:
            counters.repeats += 1
            return FRAME_LENGTH, None
        if fix is None:
            counters.invalid += 1
            counters.too_fast += bool(frame[29] & TOO_FAST)
            counters.blinded += bool(frame[29] & BLINDED)
            return FRAME_LENGTH, None
        counters.fixes += 1
        return FRAME_LENGTH, fix
