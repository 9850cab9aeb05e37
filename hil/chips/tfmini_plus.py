"""Plays a Benewake TFmini Plus range finder: nine bytes a measurement at a settable rate, and says when it can't see.

Facts: Benewake SJ-PM-TFmini Plus-T-01 A04 (manual) and SJ-GU-TFmini Plus-01 A04 (data sheet): frame 59h 59h, distance,
strength, temperature (deg C = value / 8 - 256), low 8 bits of the sum of the bytes before; numbers least significant
byte first; 0.1 to 12 m, 1 cm (or 1 mm when set so); unreliable when the strength is below 100 or 65535, then the
distance is 0 (5.4). Commands 5Ah, length, id, payload, sum (7.3): 01h version, 02h reset, 03h frame rate 1..1000 Hz (a
rate of 1000/n; 0 is measured on 04h only), 05h unit (01h cm, 06h mm), 07h output on or off, 10h factory settings,
11h save. The version is sent least significant first: 01 02 03 is V3.2.1.

Later firmware of the family sends FFFFh, FFFEh and FFFCh (-1 weak, -2 saturated, -4 ambient light) in place of 0
(Benewake SJ-PM-TFmini-S A01, 6.4); ``signed_codes`` plays that. Settings work at once and are lost at power-off unless
saved. The answers' sums are the true ones; some printed tables have them wrong. Not played: I2C and I/O mode, the
Pixhawk format, and what another baud rate does to the line (the command is answered and remembered).
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, replace

__all__ = ["TfminiPlus"]

_SECOND_NS = 1_000_000_000
_MS_NS = 1_000_000
_FRAME = struct.Struct("<BBHHH")
_WEAKEST = 100
_SATURATED = 0xFFFF
_FARTHEST_M = 12.0
_LONGEST_COMMAND = 16


@dataclass(frozen=True, slots=True)
class _Settings:
    rate_hz: int = 100
    unit: int = 1
    output: bool = True
    baud: int = 115_200


def _summed(data: bytes) -> bytes:
    return data + bytes((sum(data) & 0xFF,))


class TfminiPlus:
    """A TFmini Plus on its serial line. Attach it to a SimSerialBus; the rig sets attributes and calls :meth:`advance`.

    Attributes:
        range_m: distance along the beam, ``None`` where nothing comes back; beyond 12 m nothing does.
        strength: 0..65535 of the echo; below 100 the part distrusts itself, 65535 is saturation.
        temperature_c: of its chip.
        blinded: so much ambient light that it can't measure.
        signed_codes: later firmware's codes in place of 0 (module docstring).
        bad_sums: that many next frames carry a wrong sum.
        silent: sends nothing and hears nothing.
    """

    def __init__(
        self, start_ns: int = 0, version: tuple[int, int, int] = (2, 0, 3), signed_codes: bool = False
    ) -> None:
        """A part with factory settings, switched on at ``start_ns``; the first frame comes one period later."""
        self.range_m: float | None = None
        self.strength = 2000
        self.temperature_c = 25.0
        self.blinded = False
        self.signed_codes = signed_codes
        self.bad_sums = 0
        self.silent = False
        self._version = version
        self._saved = _Settings()
        self._send: Callable[[bytes], None] | None = None
        self._now_ns = start_ns
        self.reset()

    def reset(self) -> None:
        """Power-on: settings as saved."""
        self._heard = bytearray()
        self._apply(self._saved)

    @property
    def rate_hz(self) -> float:
        """Frames a second that it really sends: 1000/n, or 0."""
        return _SECOND_NS / self._period_ns if self._period_ns else 0.0

    def connect(self, send: Callable[[bytes], None]) -> None:
        """Take the function that puts bytes on the line."""
        self._send = send

    def receive(self, data: bytes) -> None:
        """Commands; one with a wrong sum or an unknown id is ignored without a sign."""
        if self.silent:
            return
        heard = self._heard
        heard += data
        while True:
            start = heard.find(0x5A)
            if start < 0:
                heard.clear()
                return
            del heard[:start]
            if len(heard) < 2:
                return
            length = heard[1]
            if not 4 <= length <= _LONGEST_COMMAND:
                del heard[:1]
            elif len(heard) < length:
                return
            elif sum(heard[: length - 1]) & 0xFF != heard[length - 1]:
                del heard[:1]
            else:
                command = bytes(heard[:length])
                del heard[:length]
                self._obey(command)

    def advance(self, t_ns: int) -> None:
        """Send the frames that are due until ``t_ns``."""
        self._now_ns = t_ns
        while t_ns >= self._next_ns:
            self._next_ns += self._period_ns
            if not self.silent and self._settings.output:
                self._answer(self._frame())

    def _apply(self, settings: _Settings) -> None:
        self._settings = settings
        self._period_ns = 1000 // settings.rate_hz * _MS_NS if settings.rate_hz else 0
        self._next_ns = self._now_ns + self._period_ns if self._period_ns else 1 << 62

    def _answer(self, data: bytes) -> None:
        if self._send is not None:
            self._send(data)

    def _frame(self) -> bytes:
        distance, strength = self._measure()
        raw = round((self.temperature_c + 256.0) * 8.0)
        body = _FRAME.pack(0x59, 0x59, distance, strength, max(0, min(0xFFFF, raw)))
        total = sum(body) & 0xFF
        if self.bad_sums > 0:
            self.bad_sums -= 1
            total ^= 0xFF
        return body + bytes((total,))

    def _measure(self) -> tuple[int, int]:
        """Distance word and strength word."""
        strength = max(0, min(_SATURATED, self.strength))
        range_m = self.range_m
        if self.blinded:
            return (0xFFFC, strength) if self.signed_codes else (0, strength)
        if range_m is None or range_m > _FARTHEST_M:
            strength = min(strength, _WEAKEST - 1)
        if strength < _WEAKEST:
            return (0xFFFF, strength) if self.signed_codes else (0, strength)
        if strength == _SATURATED:
            return (0xFFFE, strength) if self.signed_codes else (0, strength)
        assert range_m is not None
        return max(0, round(range_m * (1000.0 if self._settings.unit == 6 else 100.0))), strength

    def _obey(self, command: bytes) -> None:
        settings = self._settings
        name, payload = command[2], command[3:-1]
        number = int.from_bytes(payload, "little")
        size = len(payload)
        if name == 0x01 and size == 0:
            major, minor, patch = self._version
            self._answer(_summed(bytes((0x5A, 7, 0x01, patch, minor, major))))
        elif name == 0x02 and size == 0:
            self._answer(_summed(b"\x5a\x05\x02\x00"))
            self.reset()
        elif name == 0x03 and size == 2:
            if number > 1000:
                return
            self._answer(command)
            self._apply(replace(settings, rate_hz=number))
        elif name == 0x04 and size == 0:
            if settings.rate_hz == 0 and settings.output:
                self._answer(self._frame())
        elif name == 0x05 and size == 1 and number in (1, 6):
            self._answer(command)
            self._settings = replace(settings, unit=number)
        elif name == 0x06 and size == 4:
            self._answer(command)
            self._settings = replace(settings, baud=number)
        elif name == 0x07 and size == 1 and number in (0, 1):
            self._answer(command)
            self._settings = replace(settings, output=bool(number))
        elif name == 0x10 and size == 0:
            self._answer(_summed(b"\x5a\x05\x10\x00"))
            self._saved = _Settings()
            self._apply(self._saved)
        elif name == 0x11 and size == 0:
            self._saved = settings
            self._answer(_summed(b"\x5a\x05\x11\x00"))
