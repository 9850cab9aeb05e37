"""Plays an LD06 or LD19 scanning lidar: 47-byte packets of twelve points, checked by CRC-8, as the motor turns.

Facts: LDROBOT "LD06 Development Manual" v1.0, chapter 3: one-way 230400 baud; 54h, 2Ch (twelve points), speed in deg/s,
start angle in 0.01 deg, twelve times distance in mm and intensity, end angle, timestamp in ms that starts again at
30000, CRC-8 with polynomial 4Dh over the 46 bytes before; numbers least significant byte first; angles clockwise, the
points spread evenly from start to end. 4500 points a second, 5 to 13 turns a second, 0.02 to 12 m; a point without an
echo has distance 0.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from math import pi, tau

__all__ = ["POINTS", "Ld06Lidar"]

POINTS = 12
"""Points of a packet."""

_HEADER = 0x54
_LENGTH = 0x2C
_PACKET = struct.Struct("<BBHH" + "HB" * POINTS + "HH")
_TIMESTAMP_MS = 30_000
_NEAREST_M = 0.02
_FARTHEST_M = 12.0
_SECOND_NS = 1_000_000_000
_DEG = pi / 180.0
_INDICES = tuple(range(POINTS))


def _crc_table() -> bytes:
    table = bytearray()
    for index in range(256):
        crc = index
        for _ in range(8):
            crc = (crc << 1 ^ 0x4D if crc & 0x80 else crc << 1) & 0xFF
        table.append(crc)
    return bytes(table)


_CRC = _crc_table()


class Ld06Lidar:
    """An LD06. Attach it to a SimSerialBus; the rig calls :meth:`advance`.

    Attributes:
        angle_rad: where the beam will point at the first point of the next packet, clockwise from the front.
        intensity: 0..255, of every echo unless a function was given.
        drop_packets: that many next packets are lost.
        bad_crcs: that many next packets carry a wrong CRC.
        silent: sends nothing; the motor turns on.
        packets: packets sent since it was made.
    """

    def __init__(
        self,
        range_m: Callable[[float], float | None],
        sweep: Callable[[Sequence[float]], Sequence[float | None]] | None = None,
        intensity_of: Callable[[float, float], int] | None = None,
        start_ns: int = 0,
        points_per_s: int = 4500,
    ) -> None:
        """A lidar up to speed at ``start_ns``.

        Args:
            range_m: distance at an angle in rad (0..2 pi, clockwise from the front), ``None`` where nothing comes back.
            sweep: the same for twelve angles at once; asked instead of ``range_m`` where it is given.
            intensity_of: intensity 0..255 of an echo, by angle and distance.
            start_ns: the first packet ends twelve points later; timestamps count from 0.
            points_per_s: measurements a second.
        """
        self.angle_rad = 0.0
        self.intensity = 200
        self.drop_packets = 0
        self.bad_crcs = 0
        self.silent = False
        self.packets = 0
        self._range_m = range_m
        self._sweep = sweep
        self._intensity_of = intensity_of
        self._points_per_s = points_per_s
        self._send: Callable[[bytes], None] | None = None
        self.rate_rad_s = 10.0 * tau
        self._start(start_ns)

    @property
    def rate_rad_s(self) -> float:
        """Speed of the motor; 10 turns a second by default."""
        return self._rate_rad_s

    @rate_rad_s.setter
    def rate_rad_s(self, rate_rad_s: float) -> None:
        self._rate_rad_s = rate_rad_s
        self._speed = min(0xFFFF, max(0, round(rate_rad_s / _DEG)))
        step = rate_rad_s / self._points_per_s
        self._offsets = tuple(index * step for index in _INDICES)
        self._turn = POINTS * step

    def _start(self, start_ns: int) -> None:
        self._start_ns = start_ns
        self._count = 1
        self._next_ns = start_ns + POINTS * _SECOND_NS // self._points_per_s

    def reset(self) -> None:
        """Power-on: the scan begins at the front again."""
        self.angle_rad = 0.0
        self._start(self._next_ns)

    def connect(self, send: Callable[[bytes], None]) -> None:
        """Take the function that puts bytes on the line."""
        self._send = send

    def receive(self, data: bytes) -> None:
        """Bytes from the flight computer: it has no receive line."""

    def advance(self, t_ns: int) -> None:
        """Send the packets that have ended by ``t_ns``."""
        while t_ns >= self._next_ns:
            if self.drop_packets > 0:
                self.drop_packets -= 1
            elif self._send is not None and not self.silent:
                self._send(self._packet(self._next_ns))
                self.packets += 1
            self.angle_rad = (self.angle_rad + self._turn) % tau
            self._count += 1
            self._next_ns = self._start_ns + self._count * POINTS * _SECOND_NS // self._points_per_s

    def _packet(self, t_ns: int) -> bytes:
        start = self.angle_rad
        angles = [start + offset for offset in self._offsets]
        if angles[-1] >= tau:
            angles = [angle % tau for angle in angles]
        if self._sweep is not None:
            ranges = self._sweep(angles)
        else:
            range_m = self._range_m
            ranges = [range_m(angle) for angle in angles]
        fields = [_HEADER, _LENGTH, self._speed, round(start / _DEG * 100.0) % 36000]
        intensity = self.intensity
        for index in _INDICES:
            distance = ranges[index]
            if distance is None or not _NEAREST_M <= distance <= _FARTHEST_M:
                fields += (0, 0)
                continue
            if self._intensity_of is not None:
                intensity = self._intensity_of(angles[index], distance)
            fields += (int(distance * 1000.0 + 0.5), intensity)
        fields += (round(angles[-1] / _DEG * 100.0) % 36000, t_ns // 1_000_000 % _TIMESTAMP_MS)
        body = _PACKET.pack(*fields)
        crc = 0
        table = _CRC
        for byte in body:
            crc = table[crc ^ byte]
        if self.bad_crcs > 0:
            self.bad_crcs -= 1
            crc ^= 0xFF
        return body + bytes((crc,))
