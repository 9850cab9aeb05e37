"""Plays a star tracker on a serial line: one frame for every solution, valid or not.

Source: docs/protocols/star-tracker.md.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from enum import IntFlag, unique
from math import pi

__all__ = ["StarTracker", "TrackerStatus"]

Quaternion = tuple[float, float, float, float]

_START = b"\xa5\x5a"
_ATTITUDE = struct.Struct("<BBHI4iHBBh")
_TYPE_ATTITUDE = 0x01
_PAYLOAD_BYTES = 28
_QUATERNION_COUNTS = float(1 << 30)
_SIGMA_COUNTS = 180.0 / pi * 3600.0 * 10.0


@unique
class TrackerStatus(IntFlag):
    """Status byte of an attitude frame."""

    VALID = 1
    TOO_FAST = 2
    BLINDED = 4
    SELF_TEST_FAILED = 8


def _crc_table() -> tuple[int, ...]:
    table = []
    for index in range(256):
        crc = index << 8
        for _ in range(8):
            crc = (crc << 1 ^ 0x1021 if crc & 0x8000 else crc << 1) & 0xFFFF
        table.append(crc)
    return tuple(table)


_CRC = _crc_table()


def _crc16(data: bytes) -> int:
    """CRC-16/CCITT-FALSE."""
    crc = 0xFFFF
    for byte in data:
        crc = (crc << 8 & 0xFF00) ^ _CRC[crc >> 8 ^ byte]
    return crc


def _clamp(value: int, low: int, high: int) -> int:
    return max(low, min(high, value))


class StarTracker:
    """A star tracker that speaks without being asked. Attach it to a SimSerialBus, then call :meth:`solve`.

    ``temperature_c`` is the sensor's; the rig sets it.
    """

    def __init__(self, temperature_c: float = 20.0) -> None:
        self.temperature_c = temperature_c
        self._send: Callable[[bytes], None] | None = None
        self._counter = 0

    def connect(self, send: Callable[[bytes], None]) -> None:
        """Take the function that puts bytes on the line."""
        self._send = send

    def receive(self, data: bytes) -> None:
        """Bytes from the flight computer: it accepts no command in flight."""

    def reset(self) -> None:
        """Power-on: the counter starts again at 0."""
        self._counter = 0

    def solve(
        self,
        quaternion: Quaternion | None,
        age_us: int,
        sigma_rad: float,
        stars: int,
        status: TrackerStatus = TrackerStatus.VALID,
    ) -> None:
        """Send one frame.

        Args:
            quaternion: w, x, y, z from the sensor to the inertial frame; sent as zeros unless ``status`` has VALID.
            age_us: from the middle of the exposure to the first byte of this frame.
            sigma_rad: one sigma about the worst axis; saturates at 6553.5 arc seconds.
            stars: stars used.
            status: see :class:`TrackerStatus`.

        Raises:
            ValueError: a valid solution without a quaternion.
            RuntimeError: the tracker is on no line.
        """
        if self._send is None:
            raise RuntimeError("the star tracker is attached to no serial bus")
        if not status & TrackerStatus.VALID:
            w = x = y = z = 0
        elif quaternion is None:
            raise ValueError("a valid solution needs a quaternion")
        else:
            w, x, y, z = (_clamp(round(c * _QUATERNION_COUNTS), -(1 << 31), (1 << 31) - 1) for c in quaternion)
        frame = _ATTITUDE.pack(
            _TYPE_ATTITUDE, _PAYLOAD_BYTES, self._counter, _clamp(age_us, 0, 0xFFFFFFFF), w, x, y, z,
            _clamp(round(sigma_rad * _SIGMA_COUNTS), 0, 0xFFFF), _clamp(stars, 0, 0xFF), int(status),
            _clamp(round(self.temperature_c * 100.0), -32768, 32767),
        )
        self._counter = (self._counter + 1) & 0xFFFF
        self._send(_START + frame + _crc16(frame).to_bytes(2, "little"))
