"""Plays an INA226 power monitor: averaged conversions that take their time, calibrated current and power, one alert.

Facts: Texas Instruments SBOS547 (INA226), sections 7.3 to 7.6: 00h configuration (4127h after reset), 01h shunt 2.5
uV, 02h bus 1.25 mV, 03h power, 04h current = shunt x calibration / 2048, power = current x bus / 20000, 05h
calibration (0000h), 06h mask/enable, 07h alert limit, FEh 5449h, FFh 2260h. Averages of 1, 4, 16, 64, 128, 256, 512,
1024; conversion times of 140, 204, 332, 588, 1100, 2116, 4156 and 8244 us. The registers change when all averages are
done, and CVRF is set then; reading mask/enable or writing the configuration (except to power-down) clears it. Of
several alert functions the highest bit counts. Registers are most significant byte first; the pointer stays until it
is written again.

The instant a conversion is done follows the clock; its value is the input at the first look after that instant, not a
mean. The shunt clips at +-81.92 mV, the bus at 0 and 40.96 V. POWER is unsigned: current and power of a reversed
current are -I and |I| x V. A product that does not fit sets OVF and leaves the register's limit.
"""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["Ina226"]

_CONFIG = 0x00
_SHUNT = 0x01
_BUS = 0x02
_POWER = 0x03
_CURRENT = 0x04
_CALIBRATION = 0x05
_MASK_ENABLE = 0x06
_ALERT_LIMIT = 0x07
_MANUFACTURER = 0xFE
_DIE = 0xFF

_CONFIG_RESET = 0x4127
_CONFIG_WRITABLE = 0x0FFF
_CONFIG_FIXED = 0x4000
_RST = 1 << 15

_SOL = 1 << 15
_SUL = 1 << 14
_BOL = 1 << 13
_BUL = 1 << 12
_POL = 1 << 11
_CNVR = 1 << 10
_FUNCTIONS = _SOL | _SUL | _BOL | _BUL | _POL
_AFF = 1 << 4
_CVRF = 1 << 3
_OVF = 1 << 2
_APOL = 1 << 1
_LEN = 1 << 0
_MASK_WRITABLE = _FUNCTIONS | _CNVR | _APOL | _LEN

_AVERAGES = (1, 4, 16, 64, 128, 256, 512, 1024)
_TIMES_US = (140, 204, 332, 588, 1100, 2116, 4156, 8244)
_SHUNT_V = 2.5e-6
_BUS_V = 1.25e-3
_MODE_CONTINUOUS = 4
_MODE_BUS = 2
_MODE_SHUNT = 1


def _clamp(value: int, low: int, high: int) -> int:
    return max(low, min(high, value))


def _signed16(word: int) -> int:
    return word - 0x10000 if word & 0x8000 else word


class Ina226:
    """An INA226 across a shunt of ``shunt_ohm``.

    Attributes:
        shunt_ohm: resistance between IN+ and IN-.
        bus_v: voltage at VBUS against ground.
        current_a: current through the shunt, positive from IN+ to IN-.
    """

    def __init__(self, now_ns: Callable[[], int], shunt_ohm: float) -> None:
        """A chip after power-on, converting; ``now_ns`` is the rig's clock. ValueError for a shunt of no resistance."""
        if not shunt_ohm > 0.0:
            raise ValueError(f"shunt_ohm is {shunt_ohm}; it must be above 0")
        self.shunt_ohm = shunt_ohm
        self.bus_v = 0.0
        self.current_a = 0.0
        self._now_ns = now_ns
        self.reset()

    def reset(self) -> None:
        """Power-on, brown-out or RST: every register at its reset value, a first conversion running."""
        self._config = _CONFIG_RESET
        self._calibration = 0
        self._mask = 0
        self._limit = 0
        self._pointer = _CONFIG
        self._shunt = self._bus = self._current = self._power = 0
        self._flags = 0
        self._begin()

    @property
    def alert(self) -> bool:
        """Level of the ALERT pin, high when nothing is wrong (low with APOL)."""
        self._convert()
        active = bool(self._flags & _AFF) or bool(self._mask & _CNVR and self._flags & _CVRF)
        return active == bool(self._mask & _APOL)

    def write(self, data: bytes) -> bool:
        """Pointer, then a register. Read-only registers ignore what is written."""
        if data:
            self._pointer = data[0]
        if len(data) >= 3:
            self._store(self._pointer, data[1] << 8 | data[2])
        return True

    def read(self, count: int) -> bytes:
        """The register under the pointer, most significant byte first; ones after it."""
        return (self._load(self._pointer) & 0xFFFF).to_bytes(2, "big")[:count].ljust(count, b"\xff")

    def _store(self, register: int, value: int) -> None:
        if register == _CONFIG:
            if value & _RST:
                self.reset()
                return
            self._convert()
            self._config = value & _CONFIG_WRITABLE | _CONFIG_FIXED
            if value & (_MODE_BUS | _MODE_SHUNT):
                self._flags &= ~_CVRF
            self._begin()
        elif register == _CALIBRATION:
            self._convert()
            self._calibration = value & 0x7FFF
        elif register == _MASK_ENABLE:
            self._convert()
            self._mask = value & _MASK_WRITABLE
        elif register == _ALERT_LIMIT:
            self._limit = value

    def _load(self, register: int) -> int:
        if register == _CONFIG:
            return self._config
        if register == _CALIBRATION:
            return self._calibration
        if register == _ALERT_LIMIT:
            return self._limit
        if register == _MANUFACTURER:
            return 0x5449
        if register == _DIE:
            return 0x2260
        self._convert()
        if register == _SHUNT:
            return self._shunt
        if register == _BUS:
            return self._bus
        if register == _POWER:
            return self._power
        if register == _CURRENT:
            return self._current
        if register == _MASK_ENABLE:
            value = self._mask | self._flags
            self._flags &= ~(_CVRF | _AFF) if self._mask & _LEN else ~_CVRF
            return value
        return 0

    def _begin(self) -> None:
        mode = self._config & 7
        self._seen = 0
        self._start_ns = self._now_ns() if mode & (_MODE_BUS | _MODE_SHUNT) else None
        time_us = 0
        if mode & _MODE_BUS:
            time_us += _TIMES_US[self._config >> 6 & 7]
        if mode & _MODE_SHUNT:
            time_us += _TIMES_US[self._config >> 3 & 7]
        self._period_ns = time_us * _AVERAGES[self._config >> 9 & 7] * 1000

    def _convert(self) -> None:
        """Take in what has been converted by now."""
        if self._start_ns is None:
            return
        finished = (self._now_ns() - self._start_ns) // self._period_ns
        if finished <= self._seen:
            return
        self._seen = finished
        mode = self._config & 7
        if mode & _MODE_SHUNT:
            self._shunt = _clamp(round(self.current_a * self.shunt_ohm / _SHUNT_V), -0x8000, 0x7FFF)
        if mode & _MODE_BUS:
            self._bus = _clamp(round(self.bus_v / _BUS_V), 0, 0x7FFF)
        self._multiply()
        self._flags |= _CVRF
        self._compare()
        if not mode & _MODE_CONTINUOUS:
            self._start_ns = None

    def _multiply(self) -> None:
        current = int(self._shunt * self._calibration / 2048)
        self._current = _clamp(current, -0x8000, 0x7FFF)
        power = abs(self._current) * self._bus // 20000
        self._power = min(power, 0xFFFF)
        if current != self._current or power != self._power:
            self._flags |= _OVF
        else:
            self._flags &= ~_OVF

    def _compare(self) -> None:
        mask = self._mask & _FUNCTIONS
        if mask & _SOL:
            tripped = self._shunt > _signed16(self._limit)
        elif mask & _SUL:
            tripped = self._shunt < _signed16(self._limit)
        elif mask & _BOL:
            tripped = self._bus > self._limit
        elif mask & _BUL:
            tripped = self._bus < self._limit
        else:
            tripped = bool(mask & _POL) and self._power > self._limit
        if tripped:
            self._flags |= _AFF
        elif not self._mask & _LEN:
            self._flags &= ~_AFF
