"""Plays an OPT3001 ambient light sensor: result with exponent, range, conversion mode and time, limits and flags.

Facts: Texas Instruments SBOS681 (OPT3001), section 7.6: registers 00h result, 01h configuration (C810h after reset),
02h low limit (C000h), 03h high limit (BFFFh), 7Eh 5449h, 7Fh 3001h; lux = 0.01 x 2^E x R; conversion 100 or 800 ms.
Registers are 16 bits, most significant byte first; the pointer stays until it is written again.

The instant a conversion is ready follows the clock; its value is the light at the first look after that instant, not
the mean over the conversion. In automatic range the smallest exponent that holds the value is taken.
"""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["Opt3001"]

_RESULT = 0x00
_CONFIG = 0x01
_LOW_LIMIT = 0x02
_HIGH_LIMIT = 0x03
_MANUFACTURER = 0x7E
_DEVICE = 0x7F

_CONFIG_RESET = 0xC810
_WRITABLE = 0xFE1F  # RN, CT, M, L, POL, ME, FC
_OVF = 1 << 8
_CRF = 1 << 7
_FH = 1 << 6
_FL = 1 << 5
_LATCH = 1 << 4
_ME = 1 << 2
_MODE = 3 << 9
_SINGLE = 1 << 9
_LONG = 1 << 11
_AUTOMATIC = 0xC
_LARGEST_EXPONENT = 11
_FULL = 0xFFF
_SHORT_NS = 100_000_000
_LONG_NS = 800_000_000


class Opt3001:
    """An OPT3001. ``lux`` is the light on it, set by the rig whenever it likes.

    Before the first conversion ends the result register holds 0 and CRF is clear.
    """

    def __init__(self, now_ns: Callable[[], int]) -> None:
        """A chip after power-on, shut down; ``now_ns`` is the rig's clock."""
        self.lux = 0.0
        self._now_ns = now_ns
        self.reset()

    def reset(self) -> None:
        """Power-on or brown-out: registers at their reset values, no conversion running."""
        self._config = _CONFIG_RESET
        self._low_limit = 0xC000
        self._high_limit = 0xBFFF
        self._pointer = _RESULT
        self._result = 0
        self._flags = 0
        self._start_ns: int | None = None
        self._seen = 0
        """Conversions of the running sequence already taken into the result."""

    def write(self, data: bytes) -> bool:
        """Pointer, then a register."""
        if data:
            self._pointer = data[0]
        if len(data) >= 3:
            value = data[1] << 8 | data[2]
            if self._pointer == _CONFIG:
                self._configure(value)
            elif self._pointer == _LOW_LIMIT:
                self._low_limit = value
            elif self._pointer == _HIGH_LIMIT:
                self._high_limit = value
        return True

    def read(self, count: int) -> bytes:
        """The register under the pointer, most significant byte first; ones after it."""
        return self._register().to_bytes(2, "big")[:count].ljust(count, b"\xff")

    def _register(self) -> int:
        pointer = self._pointer
        if pointer == _RESULT:
            self._convert()
            # Exponent masking only works with a range set by hand (7.6.1.1.2, ME).
            masked = self._config & _ME and self._config >> 12 < _AUTOMATIC
            return self._result & _FULL if masked else self._result
        if pointer == _CONFIG:
            self._convert()
            value = self._config | self._flags
            self._flags &= ~(_CRF | _FH | _FL) if self._config & _LATCH else ~_CRF
            return value
        if pointer == _LOW_LIMIT:
            return self._low_limit
        if pointer == _HIGH_LIMIT:
            return self._high_limit
        if pointer == _MANUFACTURER:
            return 0x5449
        if pointer == _DEVICE:
            return 0x3001
        return 0

    def _configure(self, value: int) -> None:
        self._convert()
        self._config = value & _WRITABLE
        if value & _MODE:
            # Any write except one to shutdown clears the ready flag (7.6.1.1.2, CRF).
            self._flags &= ~_CRF
            self._start_ns = self._now_ns()
        else:
            self._start_ns = None
        self._seen = 0

    def _convert(self) -> None:
        """Take in what the running conversions have finished by now."""
        if self._start_ns is None:
            return
        duration = _LONG_NS if self._config & _LONG else _SHORT_NS
        finished = (self._now_ns() - self._start_ns) // duration
        if finished > self._seen:
            self._measure()
            self._seen = finished
            self._flags |= _CRF
            if self._config & _MODE == _SINGLE:
                self._config &= ~_MODE
                self._start_ns = None

    def _measure(self) -> None:
        counts = self.lux * 100.0
        fixed = self._config >> 12
        if fixed < _AUTOMATIC:
            exponent = fixed
        else:
            exponent = 0
            while exponent < _LARGEST_EXPONENT and round(counts / (1 << exponent)) > _FULL:
                exponent += 1
        mantissa = round(counts / (1 << exponent))
        if mantissa > _FULL:
            mantissa = _FULL
            self._flags |= _OVF
        else:
            self._flags &= ~_OVF
        mantissa = max(0, mantissa)
        self._result = exponent << 12 | mantissa
        self._compare(mantissa << exponent)

    def _compare(self, value: int) -> None:
        high = value > (self._high_limit & _FULL) << (self._high_limit >> 12)
        # A low limit that starts with 11b switches the comparison off: end-of-conversion mode (7.4.2.3).
        low = self._low_limit >> 14 != 3 and value < (self._low_limit & _FULL) << (self._low_limit >> 12)
        if not self._config & _LATCH:
            self._flags &= ~(_FH | _FL)
        if high:
            self._flags |= _FH
        if low:
            self._flags |= _FL
