"""Plays a MAX31865: ratio of a resistance thermometer to its reference, conversions that take time, wire faults.

Facts: Maxim 19-6478 (MAX31865), "Internal Registers" and Tables 1 to 7: 00h configuration (bias, automatic, 1-shot,
3-wire, fault detection cycle, fault clear, 50 Hz), 01h and 02h ratio in 15 bits with the fault bit at the bottom, 03h
to 06h thresholds (FFFFh, 0000h), 07h fault status; an address above 07h reads FFh, 80h is added to write; the address
counts up. A 1-shot conversion takes 52 ms (60 Hz) or 62.5 ms (50 Hz), automatic ones 16.7 or 20 ms each after a first
of that. The automatic fault detection cycle is started by 100X010Xb, the manual one by 100X100Xb and 100X110Xb; D3:D2
read back as 01, 10 and 11 while they run. Fault bits stay until D1 is written with D5, D3 and D2 clear. Resistance:
Callendar-Van Dusen, IEC 60751, R0 (1 + aT + bT^2 + c(T - 100)T^3), a = 3.90830e-3, b = -5.77500e-7, c = -4.18301e-12
below 0 deg C.

Played more simply: without bias a conversion gives 0; a threshold fault is a result at or beyond its threshold; the
lead resistance is compensated in every wiring; the fault detection cycle takes 600 us.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, unique

__all__ = ["Max31865", "Wiring", "platinum_ohm"]

_CONFIG = 0x00
_RTD_H = 0x01
_RTD_L = 0x02
_FAULT = 0x07
_WRITE = 0x80

_BIAS = 0x80
_AUTO = 0x40
_ONE_SHOT = 0x20
_CYCLE = 0x0C
_CYCLE_AUTO = 0x04
_CYCLE_START = 0x08
_CYCLE_FINISH = 0x0C
_CLEAR = 0x02
_50HZ = 0x01
_KEPT = 0xD1

_HIGH = 0x80
_LOW = 0x40
_REFIN_HIGH = 0x20
_REFIN_LOW = 0x10
_RTDIN_LOW = 0x08
_VOLTAGE = 0x04

_ONE_SHOT_NS = (52_000_000, 62_500_000)
_AUTO_NS = (16_700_000, 20_000_000)
_CYCLE_NS = 600_000
_A = 3.90830e-3
_B = -5.77500e-7
_C = -4.18301e-12


def platinum_ohm(celsius: float, r0_ohm: float = 100.0) -> float:
    """Resistance of platinum by Callendar-Van Dusen (IEC 60751), ohm, -200..850 deg C."""
    ratio = 1.0 + _A * celsius + _B * celsius * celsius
    if celsius < 0.0:
        ratio += _C * (celsius - 100.0) * celsius**3
    return r0_ohm * ratio


@unique
class Wiring(Enum):
    """State of the element and its wires; the value is what a fault detection cycle finds."""

    GOOD = 0
    OPEN = _REFIN_HIGH
    """The element or its feed is open: no current, full scale."""
    SHORTED = 0x100
    """The element is short-circuited: ratio 0, found by the low threshold alone."""
    LEAD_TO_GROUND = _REFIN_LOW | _RTDIN_LOW
    """A lead of the return side is shorted low or FORCE- is open."""
    OVERVOLTAGE = _VOLTAGE
    """An input is above the supply or below ground: conversions stop."""


class Max31865:
    """A MAX31865 with its element. ``resistance_ohm`` and ``wiring`` are set by the rig whenever it likes."""

    spi_modes = frozenset({1, 3})
    max_hz = 5_000_000

    def __init__(self, now_ns: Callable[[], int], *, reference_ohm: float = 400.0, r0_ohm: float = 100.0) -> None:
        """A chip after power-on, bias off; ``now_ns`` is the rig's clock, ``r0_ohm`` the element's at 0 deg C."""
        if not reference_ohm > 0.0:
            raise ValueError(f"reference_ohm is {reference_ohm}; it must be above 0")
        self.resistance_ohm = r0_ohm
        self.wiring = Wiring.GOOD
        self._now_ns = now_ns
        self._reference_ohm = reference_ohm
        self._r0_ohm = r0_ohm
        self.reset()

    def reset(self) -> None:
        """Power-on or brown-out: registers at their reset values, nothing converts."""
        self._config = 0x00
        self._thresholds = bytearray((0xFF, 0xFF, 0x00, 0x00))
        self._code = 0
        self._faults = 0
        self._ready = False
        self._auto_ns: int | None = None
        self._shot_ns: int | None = None
        self._cycle_ns: int | None = None
        self._seen = 0

    def set_celsius(self, celsius: float) -> None:
        """Resistance of the element at a temperature, deg C."""
        self.resistance_ohm = platinum_ohm(celsius, self._r0_ohm)

    @property
    def ready(self) -> bool:
        """Whether /DRDY is low: a result that has not been read yet."""
        self._progress()
        return self._ready

    def transfer(self, data: bytes) -> bytes:
        """One chip select: address, then registers from there on."""
        if not data:
            return b""
        self._progress()
        address = data[0]
        if address & _WRITE:
            for offset, byte in enumerate(data[1:]):
                self._store((address & 0x7F) + offset, byte)
            return b"\xff" * len(data)
        answer = bytearray(b"\xff")
        for offset in range(len(data) - 1):
            answer.append(self._load(address + offset & 0x7F))
        return bytes(answer)

    def _load(self, address: int) -> int:
        if address == _CONFIG:
            return self._config | (_ONE_SHOT if self._shot_ns is not None else 0)
        if address == _RTD_H:
            self._ready = False
            return self._code >> 7
        if address == _RTD_L:
            self._ready = False
            return (self._code << 1 & 0xFE) | bool(self._faults)
        if address < _FAULT:
            return self._thresholds[address - 3]
        return self._faults if address == _FAULT else 0xFF

    def _store(self, address: int, byte: int) -> None:
        if address == _CONFIG:
            self._configure(byte)
        elif _RTD_L < address < _FAULT:
            self._thresholds[address - 3] = byte

    def _configure(self, byte: int) -> None:
        now = self._now_ns()
        if byte & _CLEAR and not byte & (_ONE_SHOT | _CYCLE):
            self._faults = 0
        running = bool(self._config & _AUTO)
        self._config = byte & _KEPT | self._config & _CYCLE
        if not byte & _AUTO:
            self._auto_ns = None
        elif not running or self._auto_ns is None:
            self._auto_ns = now
            self._seen = 0
        if byte & _ONE_SHOT and not byte & _AUTO:
            self._shot_ns = now
        cycle = byte & _CYCLE
        # The cycle needs the bias and a converter that does nothing else (Table 3).
        if cycle and byte & _BIAS and not byte & (_AUTO | _ONE_SHOT):
            self._config = self._config & ~_CYCLE | cycle
            self._cycle_ns = None if cycle == _CYCLE_START else now

    def _progress(self) -> None:
        """Take in what has been converted and found out by now."""
        now = self._now_ns()
        filter_50 = self._config & _50HZ
        if self.wiring is Wiring.OVERVOLTAGE:
            self._faults |= _VOLTAGE
        if self._cycle_ns is not None and now - self._cycle_ns >= _CYCLE_NS:
            self._cycle_ns = None
            self._config &= ~_CYCLE
            self._faults |= self.wiring.value & 0xFF
        if self._shot_ns is not None and now - self._shot_ns >= _ONE_SHOT_NS[filter_50]:
            self._shot_ns = None
            self._convert()
        if self._auto_ns is not None:
            elapsed = now - self._auto_ns - _ONE_SHOT_NS[filter_50]
            finished = elapsed // _AUTO_NS[filter_50] + 1 if elapsed >= 0 else 0
            if finished > self._seen:
                self._seen = finished
                self._convert()

    def _convert(self) -> None:
        if self.wiring is Wiring.OVERVOLTAGE:
            return
        if not self._config & _BIAS or self.wiring is Wiring.SHORTED:
            code = 0
        elif self.wiring is Wiring.OPEN:
            code = 0x7FFF
        elif self.wiring is Wiring.LEAD_TO_GROUND:
            code = 0
        else:
            code = max(0, min(0x7FFF, round(self.resistance_ohm / self._reference_ohm * 32768.0)))
        self._code = code
        self._ready = True
        high = int.from_bytes(self._thresholds[:2], "big") >> 1
        low = int.from_bytes(self._thresholds[2:], "big") >> 1
        if code >= high:
            self._faults |= _HIGH
        if code <= low:
            self._faults |= _LOW
