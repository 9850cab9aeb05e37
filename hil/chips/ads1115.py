"""Plays an ADS1115: 16-bit conversions of a chosen input pair, single-shot or continuous, that take their time.

Facts: Texas Instruments SBAS444 (ADS1115), section 8.1: 00h conversion, 01h configuration (8583h after reset: OS, MUX,
PGA, MODE, DR, comparator), 02h low threshold 8000h, 03h high threshold 7FFFh; full scale 6.144, 4.096, 2.048, 1.024,
0.512 and three times 0.256 V; 8, 16, 32, 64, 128, 250, 475 and 860 conversions a second; results clip at 7FFFh and
8000h. OS reads 0 while a conversion runs; written 1 it starts one in single-shot mode and does nothing else. Registers
are most significant byte first; the pointer stays until it is written again.

The instant a conversion ends follows the clock; its value is the input at the first look after that instant. A write
to the configuration during a conversion starts anew. Not played: the ALERT/RDY pin (thresholds and comparator bits are
kept), the 25 us of waking up, and the limits of the inputs against the supply.
"""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["Ads1115"]

_CONVERSION = 0
_CONFIG = 1
_LOW = 2

_RESET_VALUES = (0x0000, 0x8583, 0x8000, 0x7FFF)
_OS = 1 << 15
_SINGLE_SHOT = 1 << 8
_FULL_SCALE_V = (6.144, 4.096, 2.048, 1.024, 0.512, 0.256, 0.256, 0.256)
_PERIOD_NS = tuple(round(1e9 / rate) for rate in (8, 16, 32, 64, 128, 250, 475, 860))
_PAIRS: tuple[tuple[int, int | None], ...] = (
    (0, 1), (0, 3), (1, 3), (2, 3), (0, None), (1, None), (2, None), (3, None),
)


class Ads1115:
    """An ADS1115. ``inputs_v`` holds the voltages at AIN0..AIN3 against ground, set by the rig whenever it likes."""

    def __init__(self, now_ns: Callable[[], int]) -> None:
        """A chip after power-on, powered down; ``now_ns`` is the rig's clock."""
        self.inputs_v = [0.0, 0.0, 0.0, 0.0]
        self._now_ns = now_ns
        self.reset()

    def reset(self) -> None:
        """Power-on, brown-out or general-call reset: registers at their reset values, no conversion running."""
        self._registers = list(_RESET_VALUES)
        self._pointer = _CONVERSION
        self._start_ns: int | None = None
        self._seen = 0

    def write(self, data: bytes) -> bool:
        """Pointer, then a register. The conversion register ignores what is written."""
        if data:
            self._pointer = data[0] & 3
        if len(data) >= 3:
            value = data[1] << 8 | data[2]
            if self._pointer == _CONFIG:
                self._configure(value)
            elif self._pointer >= _LOW:
                self._registers[self._pointer] = value
        return True

    def read(self, count: int) -> bytes:
        """The register under the pointer, most significant byte first; ones after it."""
        if self._pointer <= _CONFIG:
            self._convert()
        value = self._registers[self._pointer]
        if self._pointer == _CONFIG:
            value = value & ~_OS if self._start_ns is not None else value | _OS
        return value.to_bytes(2, "big")[:count].ljust(count, b"\xff")

    def _configure(self, value: int) -> None:
        self._convert()
        self._registers[_CONFIG] = value
        self._seen = 0
        if not value & _SINGLE_SHOT or value & _OS:
            self._start_ns = self._now_ns()
        else:
            self._start_ns = None

    def _convert(self) -> None:
        """Take in what has been converted by now."""
        if self._start_ns is None:
            return
        config = self._registers[_CONFIG]
        finished = (self._now_ns() - self._start_ns) // _PERIOD_NS[config >> 5 & 7]
        if finished <= self._seen:
            return
        self._seen = finished
        positive, negative = _PAIRS[config >> 12 & 7]
        volts = self.inputs_v[positive] - (self.inputs_v[negative] if negative is not None else 0.0)
        code = round(volts * 32768.0 / _FULL_SCALE_V[config >> 9 & 7])
        self._registers[_CONVERSION] = max(-0x8000, min(0x7FFF, code)) & 0xFFFF
        if config & _SINGLE_SHOT:
            self._start_ns = None
