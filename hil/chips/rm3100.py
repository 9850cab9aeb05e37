"""Plays an RM3100 magnetometer: cycle counts set gain and conversion time, continuous mode and polls set DRDY.

Facts: PNI 1017252 (RM3100 user manual), section 5: registers 00h POLL, 01h CMM, 04h-09h cycle counts (00C8h after
reset), 0Bh TMRC (96h), 24h-2Ch results (three s24, most significant byte first), 33h BIST, 34h STATUS (bit 7 DRDY),
35h HSHAKE (1Bh), 36h REVID (22h); Table 3-1: 20, 38 and 75 LSB/uT at cycle counts 50, 100 and 200, and 1600, 850 and
440 single-axis measurements a second. Reading CMM or writing TMRC ends continuous mode (section 5.2). The pointer
steps on with every byte.

A measurement's value is the field at the first look after it ended. DRDM, the alarms and the NACK bits of HSHAKE are
not played.
"""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["Rm3100"]

Vec3 = tuple[float, float, float]

_POLL = 0x00
_CMM = 0x01
_CCX_MSB = 0x04
_TMRC = 0x0B
_MX_MSB = 0x24
_MZ_LSB = 0x2C
_BIST = 0x33
_STATUS = 0x34
_HSHAKE = 0x35
_REVID = 0x36

_RESET_VALUES = {
    _POLL: 0x00, _CMM: 0x00,
    0x04: 0x00, 0x05: 0xC8, 0x06: 0x00, 0x07: 0xC8, 0x08: 0x00, 0x09: 0xC8,
    _TMRC: 0x96, _BIST: 0x00, _HSHAKE: 0x1B,
}
_MASKS = {_POLL: 0x70, _CMM: 0x7D, _TMRC: 0xFF, _BIST: 0x8F}
_AXES = (0x10, 0x20, 0x40)
_START = 0x01
_STE = 0x80
_BIST_OK = 0x70
_DRC_READ = 0x02
_DRC_WRITE = 0x01
_DRDY = 0x80
_FASTEST_TMRC = 0x92
_FASTEST_PERIOD_NS = 1_000_000_000 // 600


def _gain(cycle_count: int) -> float:
    """LSB per uT: straight lines through the three points of Table 3-1."""
    if cycle_count < 100:
        return 20.0 + 0.36 * (cycle_count - 50)
    return 38.0 + 0.37 * (cycle_count - 100)


def _axis_ns(cycle_count: int) -> int:
    """Time of one axis: 11 us a cycle and 75 us over, within 2 % of the rates of Table 3-1."""
    return 11_000 * cycle_count + 75_000


class Rm3100:
    """An RM3100. ``field_t`` is the flux density in tesla, in the sensor frame; the rig sets it whenever it likes."""

    def __init__(self, now_ns: Callable[[], int]) -> None:
        """A chip after power-on, idle; ``now_ns`` is the rig's clock."""
        self.field_t: Vec3 = (0.0, 0.0, 0.0)
        self._now_ns = now_ns
        self.reset()

    def reset(self) -> None:
        """Power-on or brown-out: registers at their reset values, results 0, nothing running."""
        self._registers = dict(_RESET_VALUES)
        self._results = bytearray(9)
        self._pointer = 0
        self._drdy = False
        self._axes = 0
        self._begun_ns: int | None = None
        self._first_ns = 0
        self._period_ns = 0
        """0 for a single measurement."""
        self._seen = 0

    def write(self, data: bytes) -> bool:
        """Pointer, then any number of registers."""
        if data:
            self._pointer = data[0]
            for value in data[1:]:
                self._store(self._pointer, value)
                self._pointer = (self._pointer + 1) & 0xFF
        return True

    def read(self, count: int) -> bytes:
        """Registers from the pointer on."""
        answer = bytearray(count)
        for i in range(count):
            answer[i] = self._load(self._pointer)
            self._pointer = (self._pointer + 1) & 0xFF
        return bytes(answer)

    def _load(self, register: int) -> int:
        self._measure()
        if _MX_MSB <= register <= _MZ_LSB:
            if self._registers[_HSHAKE] & _DRC_READ:
                self._drdy = False
            return self._results[register - _MX_MSB]
        if register == _STATUS:
            return _DRDY if self._drdy else 0
        if register == _REVID:
            return 0x22
        value = self._registers.get(register, 0)
        if register == _CMM and value & _START:
            self._halt()
        return value

    def _store(self, register: int, value: int) -> None:
        self._measure()
        if register not in self._registers:
            return
        if self._registers[_HSHAKE] & _DRC_WRITE:
            self._drdy = False
        if register == _HSHAKE:
            self._registers[_HSHAKE] = self._registers[_HSHAKE] & ~0x03 | value & 0x03
            return
        running = self._registers[_CMM] & _START
        if register == _POLL and running:
            return
        self._registers[register] = value & _MASKS.get(register, 0xFF)
        if register == _POLL:
            self._begin(value, 0)
        elif register == _CMM:
            self._halt()
            if value & _START:
                self._registers[_CMM] = value & _MASKS[_CMM]
                steps = max(0, self._registers[_TMRC] - _FASTEST_TMRC)
                self._begin(value, _FASTEST_PERIOD_NS << min(steps, 13))
        elif register == _TMRC and running:
            self._halt()

    def _halt(self) -> None:
        self._registers[_CMM] &= ~_START
        self._begun_ns = None

    def _cycle_count(self, axis: int) -> int:
        return self._registers[_CCX_MSB + 2 * axis] << 8 | self._registers[_CCX_MSB + 2 * axis + 1]

    def _begin(self, axes: int, period_ns: int) -> None:
        duration = sum(_axis_ns(self._cycle_count(i)) for i in range(3) if axes & _AXES[i])
        if duration == 0:
            self._begun_ns = None
            return
        self._axes = axes
        self._begun_ns = self._now_ns()
        self._first_ns = duration
        self._period_ns = max(period_ns, duration) if period_ns else 0
        self._seen = 0

    def _measure(self) -> None:
        """Take in what the running measurements have finished by now."""
        if self._begun_ns is None:
            return
        after = self._now_ns() - self._begun_ns - self._first_ns
        if after < 0:
            return
        finished = 1 + (after // self._period_ns if self._period_ns else 0)
        if finished == self._seen:
            return
        self._seen = finished
        for i in range(3):
            if self._axes & _AXES[i]:
                counts = round(self.field_t[i] * 1e6 * _gain(self._cycle_count(i)))
                counts = max(-0x800000, min(0x7FFFFF, counts)) & 0xFFFFFF
                self._results[3 * i : 3 * i + 3] = counts.to_bytes(3, "big")
        self._drdy = True
        if not self._period_ns:
            self._begun_ns = None
            self._registers[_POLL] = 0
            if self._registers[_BIST] & _STE:
                self._registers[_BIST] |= _BIST_OK
