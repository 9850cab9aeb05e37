"""Plays an INA228 power monitor, honest about its calibration: current, power, energy and charge follow SHUNT_CAL.

Facts: Texas Instruments SLYS021 (INA228), section 7.6 (registers and reset values) and 8.1.2 (equations):
VSHUNT 312.5 nV or 78.125 nV, VBUS 195.3125 uV, DIETEMP 7.8125 mC, SHUNT_CAL = 13107.2e6 x CURRENT_LSB x R, times 4 at
ADCRANGE 1, POWER 3.2 x CURRENT_LSB, ENERGY 16 x POWER, CHARGE CURRENT_LSB x s. So CURRENT = VSHUNT x 4096 / SHUNT_CAL
in counts, at either range. Registers are most significant byte first; the pointer stays until it is written again.

Conversions take no time. A channel that ADC_CONFIG switches off keeps its last value. SHUNT_TEMPCO is kept, not
applied. A SHUNT_CAL of 0 reads as no current and sets MATHOF.
"""

from __future__ import annotations

__all__ = ["Ina228"]

_CONFIG = 0x00
_ADC_CONFIG = 0x01
_SHUNT_CAL = 0x02
_SHUNT_TEMPCO = 0x03
_VSHUNT = 0x04
_VBUS = 0x05
_DIETEMP = 0x06
_CURRENT = 0x07
_POWER = 0x08
_ENERGY = 0x09
_CHARGE = 0x0A
_DIAG_ALRT = 0x0B
_SOVL = 0x0C
_SUVL = 0x0D
_BOVL = 0x0E
_BUVL = 0x0F
_TEMP_LIMIT = 0x10
_PWR_LIMIT = 0x11
_MANUFACTURER_ID = 0x3E
_DEVICE_ID = 0x3F

_RESET_VALUES = {
    _CONFIG: 0x0000, _ADC_CONFIG: 0xFB68, _SHUNT_CAL: 0x1000, _SHUNT_TEMPCO: 0x0000,
    _SOVL: 0x7FFF, _SUVL: 0x8000, _BOVL: 0x7FFF, _BUVL: 0x0000, _TEMP_LIMIT: 0x7FFF, _PWR_LIMIT: 0xFFFF,
}
_MASKS = {
    _CONFIG: 0x3FF0, _SHUNT_CAL: 0x7FFF, _SHUNT_TEMPCO: 0x3FFF, _BOVL: 0x7FFF, _BUVL: 0x7FFF,
}
_WIDTHS = {_VSHUNT: 3, _VBUS: 3, _CURRENT: 3, _POWER: 3, _ENERGY: 5, _CHARGE: 5}

_RST = 1 << 15
_RSTACC = 1 << 14
_ADCRANGE = 1 << 4
_CONTINUOUS = 1 << 3
_ALERT_SETTINGS = 0xF000  # ALATCH, CNVR, SLOWALERT, APOL
_ENERGYOF = 1 << 11
_CHARGEOF = 1 << 10
_MATHOF = 1 << 9
_TMPOL = 1 << 7
_SHNTOL = 1 << 6
_SHNTUL = 1 << 5
_BUSOL = 1 << 4
_BUSUL = 1 << 3
_POL = 1 << 2
_CNVRF = 1 << 1
_MEMSTAT = 1

_VSHUNT_LSB = (312.5e-9, 78.125e-9)
_VBUS_LSB = 195.3125e-6
_DIETEMP_LSB = 7.8125e-3
_POWER_COUNTS = _VBUS_LSB / 3.2  # POWER per CURRENT count and VBUS count
_BUS_LIMIT_V = 85.0


def _clamp(value: int, low: int, high: int) -> int:
    return max(low, min(high, value))


def _signed16(word: int) -> int:
    return word - 0x10000 if word & 0x8000 else word


class Ina228:
    """An INA228 across a shunt of ``shunt_ohm``.

    The rig sets bus voltage, current and die temperature as often as it likes and calls :meth:`accumulate` once a
    step; counts are made when a register is read.
    """

    def __init__(self, shunt_ohm: float) -> None:
        """A chip after power-on. Raises ValueError for a shunt of no resistance."""
        if not shunt_ohm > 0.0:
            raise ValueError(f"shunt_ohm is {shunt_ohm}; it must be above 0")
        self.shunt_ohm = shunt_ohm
        self._bus_v = 0.0
        self._shunt_v = 0.0
        self._die_c = 25.0
        self.reset()

    def set_bus_voltage(self, volts: float) -> None:
        """Voltage at VBUS against ground, V."""
        self._bus_v = volts

    def set_current(self, amperes: float) -> None:
        """Current through the shunt, A; positive from IN+ to IN-."""
        self._shunt_v = amperes * self.shunt_ohm

    def set_shunt_voltage(self, volts: float) -> None:
        """Voltage across the shunt, V, instead of a current."""
        self._shunt_v = volts

    def set_die_temperature(self, celsius: float) -> None:
        """Temperature of the die, deg C."""
        self._die_c = celsius

    def accumulate(self, dt_s: float) -> None:
        """Add the present inputs over ``dt_s`` seconds to energy and charge."""
        shunt = self._shunt_v
        self._charge_vs += shunt * dt_s
        self._energy_v2s += (shunt if shunt >= 0.0 else -shunt) * self._bus_v * dt_s

    def reset(self) -> None:
        """Power-on, brown-out or RST: every register at its reset value, accumulators empty."""
        self._registers = dict(_RESET_VALUES)
        self._pointer = _CONFIG
        self._alert_settings = 0
        self._fresh = False
        self._held = (0, 0, 0)
        self._load_scale()
        self._reset_accumulators()

    def write(self, data: bytes) -> bool:
        """Pointer, then a register. Read-only registers ignore what is written."""
        if data:
            self._pointer = data[0] & 0x3F
        if len(data) >= 3:
            self._store(self._pointer, data[1] << 8 | data[2])
        return True

    def read(self, count: int) -> bytes:
        """The register under the pointer, most significant byte first; ones after it."""
        width = _WIDTHS.get(self._pointer, 2)
        return self._value(self._pointer).to_bytes(width, "big")[:count].ljust(count, b"\xff")

    def _store(self, register: int, value: int) -> None:
        if register == _DIAG_ALRT:
            self._alert_settings = value & _ALERT_SETTINGS
            return
        if register not in self._registers:
            return
        if register == _CONFIG:
            if value & _RST:
                self.reset()
                return
            self._settle()
            if value & _RSTACC:
                self._reset_accumulators()
        elif register == _SHUNT_CAL:
            self._settle()
        elif register == _ADC_CONFIG:
            self._held = self._converted()
        self._registers[register] = value & _MASKS.get(register, 0xFFFF)
        if register in (_CONFIG, _SHUNT_CAL):
            self._load_scale()
        if register == _ADC_CONFIG:
            self._fresh = value >> 12 & 7 != 0
            if not value >> 12 & _CONTINUOUS:
                self._held = self._triggered(value >> 12)

    def _load_scale(self) -> None:
        self._shunt_lsb = _VSHUNT_LSB[1 if self._registers[_CONFIG] & _ADCRANGE else 0]
        calibration = self._registers[_SHUNT_CAL]
        self._current_counts = 4096.0 / calibration if calibration else 0.0

    def _reset_accumulators(self) -> None:
        self._charge = 0.0
        self._energy = 0.0
        self._overflow = 0
        self._charge_vs = 0.0
        self._energy_v2s = 0.0

    def _settle(self) -> None:
        """Turn what was gathered into counts of the scale it was gathered under."""
        current = self._current_counts / self._shunt_lsb
        self._charge += self._charge_vs * current
        self._energy += self._energy_v2s * current * _POWER_COUNTS / _VBUS_LSB / 16.0
        self._charge_vs = 0.0
        self._energy_v2s = 0.0
        if self._energy >= 1 << 40:
            self._energy %= 1 << 40
            self._overflow |= _ENERGYOF
        if not -(1 << 39) <= self._charge < 1 << 39:
            self._charge = (self._charge + (1 << 39)) % (1 << 40) - (1 << 39)
            self._overflow |= _CHARGEOF

    def _live(self) -> tuple[int, int, int]:
        """Counts of bus, shunt and temperature at this instant."""
        return (
            _clamp(round(min(self._bus_v, _BUS_LIMIT_V) / _VBUS_LSB), 0, 0x7FFFF),
            _clamp(round(self._shunt_v / self._shunt_lsb), -0x80000, 0x7FFFF),
            _clamp(round(self._die_c / _DIETEMP_LSB), -0x8000, 0x7FFF),
        )

    def _triggered(self, mode: int) -> tuple[int, int, int]:
        live, held = self._live(), self._held
        return (
            live[0] if mode & 1 else held[0],
            live[1] if mode & 2 else held[1],
            live[2] if mode & 4 else held[2],
        )

    def _converted(self) -> tuple[int, int, int]:
        mode = self._registers[_ADC_CONFIG] >> 12
        if mode == 0xF:
            return self._live()
        return self._triggered(mode) if mode & _CONTINUOUS else self._held

    def _current(self, shunt: int) -> int:
        return _clamp(round(shunt * self._current_counts), -0x80000, 0x7FFFF)

    def _power(self, bus: int, shunt: int) -> int:
        return _clamp(round(abs(self._current(shunt)) * bus * _POWER_COUNTS), 0, 0xFFFFFF)

    def _value(self, register: int) -> int:
        if register in self._registers:
            return self._registers[register]
        if register in (_ENERGY, _CHARGE):
            self._settle()
            if register == _ENERGY:
                self._overflow &= ~_ENERGYOF
                return int(self._energy)
            self._overflow &= ~_CHARGEOF
            return int(self._charge) & 0xFFFFFFFFFF
        if register == _MANUFACTURER_ID:
            return 0x5449
        if register == _DEVICE_ID:
            return 0x2281
        bus, shunt, die = self._converted()
        if register == _VSHUNT:
            return (shunt & 0xFFFFF) << 4
        if register == _VBUS:
            return bus << 4
        if register == _DIETEMP:
            return die & 0xFFFF
        if register == _CURRENT:
            return (self._current(shunt) & 0xFFFFF) << 4
        if register == _POWER:
            return self._power(bus, shunt)
        if register == _DIAG_ALRT:
            return self._diagnose(bus, shunt, die)
        return 0

    def _diagnose(self, bus: int, shunt: int, die: int) -> int:
        self._settle()
        registers = self._registers
        bits = self._alert_settings | self._overflow | _MEMSTAT
        # Limits are 16 bits wide: shunt in 5 or 1.25 uV, bus in 3.125 mV, power in 256 counts (7.6.1.12 to 7.6.1.17).
        if shunt / 16.0 > _signed16(registers[_SOVL]):
            bits |= _SHNTOL
        if shunt / 16.0 < _signed16(registers[_SUVL]):
            bits |= _SHNTUL
        if bus / 16.0 > registers[_BOVL]:
            bits |= _BUSOL
        if bus / 16.0 < registers[_BUVL]:
            bits |= _BUSUL
        if die > _signed16(registers[_TEMP_LIMIT]):
            bits |= _TMPOL
        if self._power(bus, shunt) / 256.0 > registers[_PWR_LIMIT]:
            bits |= _POL
        current = shunt * self._current_counts
        if self._current_counts == 0.0 or not -0x80000 <= current <= 0x7FFFF:
            bits |= _MATHOF
        # A continuous sequence ends a conversion every few milliseconds; a triggered one is told of once.
        mode = registers[_ADC_CONFIG] >> 12
        if mode > _CONTINUOUS or self._fresh:
            bits |= _CNVRF
            self._fresh = False
        return bits
