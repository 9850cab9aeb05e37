"""LDROBOT LD06 and LD19, scanning lidar: a scan holds the points that arrived in one revolution, and no others.

Protocol: LDROBOT LD06 development manual v1.0, chapter 3: 230400 baud, packets of 47 bytes: 54h, 2Ch (12 points), speed
(deg/s), start angle, 12 times distance (mm) and intensity, end angle (0.01 deg), time (ms, modulo 30000), CRC-8 of the
46 bytes before it (polynomial 4Dh). Numbers little-endian. The angles of a packet's points are spread evenly from start
to end and may pass 360 deg in between. 4500 points a second are 375 packets.

A scan ends where the angle passes 360 deg; the first one after ``initialise`` is not whole and is dropped. A lost
packet is a gap in the angles. When so much is lost that whole revolutions may be, by time and speed, what was gathered
until then is a scan of its own. A packet that repeats the one before, or whose angle jumps further than the lidar can
have turned, is refused. Distance 0 and distances that the part can't measure are ``None``.
"""

from __future__ import annotations

import math
from collections.abc import Generator
from dataclasses import dataclass
from struct import Struct as Layout
from typing import Annotated, NamedTuple

from msgspec import Meta, Struct

from drivers.bus.protocol import SerialBus
from drivers.checksum import crc8_ld06
from drivers.device import NOWHERE, Codec, Oracle, OracleKind, Place, whole
from drivers.errors import Cause, DeviceError
from drivers.samples import LidarScan
from drivers.serial_frames import FrameBuffer, StreamCounters

__all__ = ["CODECS", "ORACLES", "PACKET_LENGTH", "POINTS", "Counters", "Device", "Packet", "Settings", "packet"]

ORACLES = (Oracle(OracleKind.PROTOCOL, "example packet of the LD06 manual: speed, angles, points, CRC"),)

HEADER = b"\x54\x2c"
POINTS = 12
PACKET_LENGTH = 47
_PACKET = Layout("<2xHH" + "HB" * POINTS + "HHB")
_DISTANCES = slice(2, 2 + 2 * POINTS, 2)
_INTENSITIES = slice(3, 3 + 2 * POINTS, 2)

READ_LIMIT = 4096
"""Bytes taken a poll; 230400 baud bring 115 in 5 ms, 2300 in 100 ms."""

TURN_CDEG = 36_000
CDEG_TO_RAD = math.radians(0.01)
MM_TO_M = 1e-3
TIME_MODULUS_MS = 30_000
SPAN_LIMIT_CDEG = 3_000
"""Start to end of one packet; 11 steps at the highest speed (13 turns/s) are 12 deg."""
SPEED_LIMIT_DEG_S = 7_200
SLACK_CDEG = 2_500
"""By how much a packet may be further than time and speed say: the time counts in ms, the speed is an average."""
SHORTEST_MM = 20
SCAN_LIMIT = 4096
"""Points of one scan at most: 900 at 5 turns/s."""


class Settings(Struct, frozen=True, forbid_unknown_fields=True):
    """``max_range_m``: distances beyond are ``None``; 12 m is the datasheet's range."""

    max_range_m: Annotated[float, Meta(gt=0.02, le=65.535)] = 12.0


@dataclass(slots=True)
class Counters(StreamCounters):
    """What came down the line since start. ``frames`` are packets with a good CRC."""

    scans: int = 0
    repeats: int = 0
    """Packets seen twice (counted as refused too)."""
    jumps: int = 0
    """Packets further on than the lidar can have turned (counted as refused too)."""
    gaps: int = 0
    """Losses so long that a revolution may be missing."""


class Packet(NamedTuple):
    """One packet as sent."""

    speed_deg_s: int
    start_cdeg: int
    end_cdeg: int
    distance_mm: tuple[int, ...]
    intensity: tuple[int, ...]
    time_ms: int


def packet(data: bytes, place: Place = NOWHERE) -> Packet:
    """One packet from its 47 bytes.

    Raises:
        DeviceError: PROTOCOL for another start; CHECKSUM; IMPLAUSIBLE for angles beyond 360 deg, 12 points over more
            than 30 deg, an impossible speed or time; SHORT_READ.
    """
    whole(data, PACKET_LENGTH, place)
    if data[:2] != HEADER:
        raise place.error(Cause.PROTOCOL, f"packet starts with {data[:2].hex()}h")
    values = _PACKET.unpack(data)
    if crc8_ld06(data[:-1]) != values[-1]:
        raise place.error(Cause.CHECKSUM, "CRC of a packet does not match")
    speed, start = values[:2]
    end, time_ms = values[-3:-1]
    if (
        start > TURN_CDEG or end > TURN_CDEG or (end - start) % TURN_CDEG > SPAN_LIMIT_CDEG or speed > SPEED_LIMIT_DEG_S
        or time_ms > TIME_MODULUS_MS
    ):
        why = f"{start}..{end} x 0.01 deg at {speed} deg/s, {time_ms} ms"
        raise place.error(Cause.IMPLAUSIBLE, why)
    return Packet(speed, start % TURN_CDEG, end % TURN_CDEG, values[_DISTANCES], values[_INTENSITIES], time_ms)


CODECS = (Codec("packet", packet, PACKET_LENGTH),)


class Device:
    """One LD06 or LD19.

    Args:
        bus: the serial port.
        address: none on a serial port.
        settings: see ``Settings``.
    """

    __slots__ = (
        "_angles", "_bus", "_finished", "_frames", "_intensities", "_last", "_longest_mm", "_ranges", "_speeds",
        "_whole", "counters", "place", "settings",
    )

    def __init__(self, bus: SerialBus, address: int | None, settings: Settings) -> None:
        self.place = Place(bus.name, address)
        self.settings = settings
        self.counters = Counters()
        self._bus = bus
        self._longest_mm = round(settings.max_range_m / MM_TO_M)
        self._frames = FrameBuffer(HEADER, PACKET_LENGTH)
        self._angles: list[float] = []
        self._ranges: list[float | None] = []
        self._intensities: list[int] = []
        self._speeds: list[int] = []
        self._last: Packet | None = None
        self._whole = False
        self._finished: LidarScan | None = None

    def initialise(self) -> Generator[None, None, None]:
        """Nothing to set: the lidar speaks unasked. Forgets a packet and a scan half received."""
        yield from ()
        self._frames.clear()
        self._drop()
        self._last = None
        self._whole = False
        self._finished = None

    def poll(self, now_ns: int) -> LidarScan | None:  # noqa: ARG002 - the plane's protocol hands every driver the time
        """Newest finished scan since the last call, or ``None``. Never blocks. Raises what the port raises."""
        arrived = self._bus.read(READ_LIMIT)
        if not arrived:
            return None
        self._finished = None
        self._frames.feed(arrived, self._take, self.counters)
        return self._finished

    def _take(self, data: bytes) -> bool:
        """Whether these 47 bytes are a packet; if so, its points join the scan."""
        counters = self.counters
        try:
            this = packet(data, self.place)
        except DeviceError as error:
            if error.cause is not Cause.IMPLAUSIBLE:
                return False
            counters.refused += 1
            return True
        last = self._last
        if last is not None and not self._follows(last, this):
            counters.refused += 1
            return True
        self._last = this
        self._add(this)
        return True

    def _follows(self, last: Packet, this: Packet) -> bool:
        """Whether the lidar can have turned so far since the last packet. Closes the scan where a turn ends."""
        counters = self.counters
        if this.time_ms == last.time_ms and this.start_cdeg == last.start_cdeg:
            counters.repeats += 1
            return False
        elapsed_ms = (this.time_ms - last.time_ms) % TIME_MODULUS_MS
        turned = max(this.speed_deg_s, last.speed_deg_s) * elapsed_ms // 10 + SLACK_CDEG
        if turned >= TURN_CDEG:
            counters.gaps += 1
            self._close(last)
            return True
        if (this.start_cdeg - last.start_cdeg) % TURN_CDEG > turned:
            counters.jumps += 1
            return False
        if this.start_cdeg < last.end_cdeg and last.end_cdeg >= last.start_cdeg:
            self._close(last)
        return True

    def _add(self, this: Packet) -> None:
        start, end = this.start_cdeg, this.end_cdeg
        longest = self._longest_mm
        ranges = [d * MM_TO_M if SHORTEST_MM <= d <= longest else None for d in this.distance_mm]
        step = ((end - start) % TURN_CDEG) / (POINTS - 1)
        angles = [start + step * i for i in range(POINTS)]
        if end < start:
            # Passes 360 deg: what lies before belongs to the scan that ends here.
            before = sum(angle < TURN_CDEG for angle in angles)
            self._angles += [a * CDEG_TO_RAD for a in angles[:before]]
            self._ranges += ranges[:before]
            self._intensities += this.intensity[:before]
            self._speeds.append(this.speed_deg_s)
            self._close(this)
            self._angles += [(a - TURN_CDEG) * CDEG_TO_RAD for a in angles[before:]]
            self._ranges += ranges[before:]
            self._intensities += this.intensity[before:]
        else:
            self._angles += [a * CDEG_TO_RAD for a in angles]
            self._ranges += ranges
            self._intensities += this.intensity
        self._speeds.append(this.speed_deg_s)
        if len(self._angles) > SCAN_LIMIT:
            # Turns too slowly to be of use; a scan must not grow without end.
            self.counters.refused += 1
            self._drop()
            self._whole = False

    def _close(self, last: Packet) -> None:
        """End the scan with the packet that was its last."""
        if self._whole and self._angles:
            speed = sum(self._speeds) / len(self._speeds)
            self.counters.scans += 1
            self._finished = LidarScan(
                tuple(self._angles), tuple(self._ranges), tuple(self._intensities), math.radians(speed), last.time_ms
            )
        self._whole = True
        self._drop()

    def _drop(self) -> None:
        self._angles = []
        self._ranges = []
        self._intensities = []
        self._speeds = []
