"""Benewake TFmini Plus, range finder on a serial port: a distance only where the part trusts it, else the reason.

Protocol: Benewake SJ-PM-TFmini Plus-T-01 A04, sections 5.3, 5.4 and 7: 115200 baud, frames of 9 bytes: 59h 59h,
distance (cm), strength, temperature (1/8 deg C from -256), low byte first, and the low byte of the sum of the eight
before it. Below a strength of 100 and at 65535 the distance is unreliable. Such a distance is sent as 0, or, by the
firmware that the TFmini-S shares, as -1 (weak signal), -2 (signal saturated) or -4 (ambient light saturated).

Commands: 5Ah, length, id, payload, sum. ``rate_hz`` sets the frame rate (id 03h, answered with the same bytes) and
saves it (id 11h, answered with a status; without it the rate is not kept), once a driver: the flash wears.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from struct import Struct as Layout
from typing import Annotated

from msgspec import Meta, Struct

from drivers.bus.protocol import SerialBus
from drivers.device import NOWHERE, Codec, Oracle, OracleKind, Place, whole
from drivers.errors import Cause, DeviceError
from drivers.samples import RangeSample
from drivers.serial_frames import FrameBuffer, StreamCounters

__all__ = ["CODECS", "FRAME_LENGTH", "ORACLES", "Counters", "Device", "Settings", "command", "measurement"]

ORACLES = (Oracle(OracleKind.DATASHEET, "byte order of the distance (1000 is E8h 03h) and the frame rate command"),)

HEADER = b"\x59\x59"
FRAME_LENGTH = 9
_FRAME = Layout("<2xHHHB")
READ_LIMIT = 1024
"""Bytes taken a poll; 115200 baud bring 58 in 5 ms."""

COMMAND_HEADER = 0x5A
SET_FRAME_RATE = 0x03
SAVE_SETTINGS = 0x11
ANSWER_POLLS = 400
"""Reads spent on an answer: 2 s at 200 Hz, the time the maker gives for saving."""

CM_TO_M = 0.01
SHORTEST_CM = 10
LONGEST_CM = 1200
"""Measuring range, 0.1 to 12 m (datasheet, table 2)."""
WEAKEST = 100
SATURATED = 65535
_CODES = {
    0: "no reliable distance", 65535: "weak signal", 65534: "signal saturated", 65532: "ambient light saturated",
}
TEMPERATURE_LSB_C = 0.125
TEMPERATURE_OFFSET_C = -256.0
TEMPERATURE_LIMITS_C = (-40.0, 125.0)


class Settings(Struct, frozen=True, forbid_unknown_fields=True):
    """``rate_hz``: frames a second to set and save; ``None`` leaves the part as it is (100 from the factory)."""

    rate_hz: Annotated[int, Meta(ge=1, le=1000)] | None = None


@dataclass(slots=True)
class Counters(StreamCounters):
    """What came down the line since start. ``frames`` are frames with a good sum."""

    distrusted: int = 0
    """Frames without a distance that the part trusts."""


def measurement(frame: bytes, place: Place = NOWHERE) -> RangeSample:
    """One sample from the 9 bytes of a frame.

    Raises:
        DeviceError: PROTOCOL for another start; CHECKSUM; SHORT_READ.
    """
    whole(frame, FRAME_LENGTH, place)
    if not frame.startswith(HEADER):
        raise place.error(Cause.PROTOCOL, f"frame starts with {frame[:2].hex()}h")
    distance, strength, raw, total = _FRAME.unpack(frame)
    if sum(frame[:8]) & 0xFF != total:
        raise place.error(Cause.CHECKSUM, "sum of a frame does not match")
    celsius = raw * TEMPERATURE_LSB_C + TEMPERATURE_OFFSET_C
    sound = TEMPERATURE_LIMITS_C[0] <= celsius <= TEMPERATURE_LIMITS_C[1]
    range_m = None
    status = _CODES.get(distance)
    if status is None:
        if strength == SATURATED:
            status = "signal saturated"
        elif strength < WEAKEST:
            status = "weak signal"
        elif not SHORTEST_CM <= distance <= LONGEST_CM:
            status = "out of range"
        else:
            status = "ok"
            range_m = distance * CM_TO_M
    return RangeSample(range_m, None if strength == SATURATED else float(strength), celsius if sound else None, status)


def command(identifier: int, payload: bytes = b"") -> bytes:
    """One command frame: header, length, id, payload, low byte of the sum."""
    body = bytes((COMMAND_HEADER, len(payload) + 4, identifier)) + payload
    return body + bytes((sum(body) & 0xFF,))


CODECS = (Codec("measurement", measurement, FRAME_LENGTH),)


class Device:
    """One TFmini Plus.

    Args:
        bus: the serial port.
        address: none on a serial port.
        settings: see ``Settings``.
    """

    __slots__ = ("_bus", "_frames", "_newest", "_saved", "counters", "place", "settings")

    def __init__(self, bus: SerialBus, address: int | None, settings: Settings) -> None:
        self.place = Place(bus.name, address)
        self.settings = settings
        self.counters = Counters()
        self._bus = bus
        self._frames = FrameBuffer(HEADER, FRAME_LENGTH)
        self._newest: RangeSample | None = None
        self._saved = False

    def initialise(self) -> Generator[None, None, None]:
        """Forgets a frame half received; sets and saves the frame rate if one is given: a write or a read a resume.

        Raises:
            DeviceError: TIMEOUT when a command is not acknowledged; IMPLAUSIBLE when saving failed.
        """
        yield from ()
        self._frames.clear()
        rate = self.settings.rate_hz
        if rate is None or self._saved:
            return
        order = command(SET_FRAME_RATE, rate.to_bytes(2, "little"))
        self._bus.write(order)
        yield
        yield from self._acknowledged((order,), "frame rate")
        yield
        self._bus.write(command(SAVE_SETTINGS))
        yield
        answers = tuple(command(SAVE_SETTINGS, bytes((status,))) for status in (0, 1))
        answer = yield from self._acknowledged(answers, "saving")
        if answer != answers[0]:
            raise self.place.error(Cause.IMPLAUSIBLE, "the frame rate could not be saved")
        self._saved = True

    def poll(self, now_ns: int) -> RangeSample | None:  # noqa: ARG002 - the plane's protocol hands every driver the time
        """Newest frame since the last call, or ``None``. Never blocks. Raises what the port raises."""
        arrived = self._bus.read(READ_LIMIT)
        if not arrived:
            return None
        self._newest = None
        self._frames.feed(arrived, self._take, self.counters)
        return self._newest

    def _take(self, frame: bytes) -> bool:
        try:
            sample = measurement(frame, self.place)
        except DeviceError:
            return False
        self._newest = sample
        self.counters.distrusted += sample.range_m is None
        return True

    def _acknowledged(self, answers: tuple[bytes, ...], what: str) -> Generator[None, None, bytes]:
        """Wait for one of the answers among the frames of measurement. One read a resume."""
        data = b""
        for look in range(ANSWER_POLLS):
            if look:
                yield
            data += self._bus.read(READ_LIMIT)
            for answer in answers:
                if answer in data:
                    return answer
            data = data[1 - len(answers[0]) :]
        raise self.place.error(Cause.TIMEOUT, f"{what} was not acknowledged")
