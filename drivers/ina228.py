"""TI INA228, 85 V 20-bit power monitor: bus voltage and current, refused once the configuration is found lost.

Register map, codes and equations: TI SLYS021A (INA228), tables 7-3 to 7-24 and section 8.1.2:
CURRENT_LSB = I_max / 2^19; SHUNT_CAL = 13107.2e6 x CURRENT_LSB x R_shunt, x 4 at ADCRANGE = 1; VBUS 195.3125 uV;
DIETEMP 7.8125 m deg C; ENERGY 16 x 3.2 x CURRENT_LSB; CHARGE CURRENT_LSB; 24-bit results hold 20 bits left-aligned.

A sample costs two transactions (VBUS, CURRENT; at most one slot apart). Every ``slow_every`` samples one more register
is read in turn: a configuration register, DIAG_ALRT, CHARGE, a configuration register, ENERGY, DIETEMP. Charge, energy
and die temperature are ``None`` in every sample whose own sequence did not read them: nothing old is shown as new. The
three configuration registers (ADC_CONFIG, CONFIG, SHUNT_CAL in turn) reveal a brown-out, after which they hold reset
values, and an upset bit; a lost configuration refuses every further sample (RESET) until ``initialise`` has run. Until
it is found, which takes 3 x ``slow_every`` samples after a brown-out and three times that after an upset bit, a current
may be in another scale. The accumulators are not cleared at start, so charge survives a restart of the software.
"""

from __future__ import annotations

from collections.abc import Generator
from functools import partial
from typing import Annotated

from msgspec import Meta, Struct

from drivers.bus.protocol import I2cBus
from drivers.device import (
    NOWHERE,
    Access,
    Codec,
    ConfiguredDevice,
    Oracle,
    OracleKind,
    Place,
    Register,
    Setting,
    whole,
)
from drivers.errors import Cause
from drivers.samples import PowerSample

__all__ = [
    "CODECS", "ORACLES", "REGISTERS", "Device", "Settings", "bus_voltage_v", "charge_c", "current_a",
    "die_temperature_c", "energy_j", "shunt_voltage_v",
]

ORACLES = (
    Oracle(OracleKind.DATASHEET, "the worked example of TI SLYS023A table 8-4 (same registers)"),
    Oracle(OracleKind.LINUX, "values of the ina238 driver, whose registers are the upper 16 of these 20 bits"),
)

CONFIG = 0x00
ADC_CONFIG = 0x01
SHUNT_CAL = 0x02
VSHUNT = 0x04
VBUS = 0x05
DIETEMP = 0x06
CURRENT = 0x07
ENERGY = 0x09
CHARGE = 0x0A
DIAG_ALRT = 0x0B
MANUFACTURER_ID = 0x3E
DEVICE_ID = 0x3F

TEXAS_INSTRUMENTS = b"TI"
DIE_ID = 0x228
"""Bits 15..4 of DEVICE_ID; bits 3..0 are the revision (table 7-24)."""

VBUS_LSB_V = 195.3125e-6
VSHUNT_LSB_V = (312.5e-9, 78.125e-9)
"""At ADCRANGE 0 and 1."""
DIETEMP_LSB_C = 7.8125e-3
SHUNT_CAL_FACTOR = 13107.2e6
SHUNT_FULL_SCALE_V = (0.16384, 0.04096)
VBUS_LIMIT_V = 85.5
"""85 V is the highest common mode; the rest is the gain error with room to spare."""
DIETEMP_LIMITS_C = (-55.0, 155.0)

CONTINUOUS_ALL = 0xF
CONVERSION_540_US = 4
AVERAGE_16 = 2
ADC_CONFIG_VALUE = CONTINUOUS_ALL << 12 | CONVERSION_540_US * 0b001_001_001 << 3 | AVERAGE_16
"""Bus, shunt and temperature continuously, 540 us each, 16 averaged: a new result every 26 ms. Reset value is FB68h."""

ENERGY_OVERFLOW = 1 << 11
CHARGE_OVERFLOW = 1 << 10
MATH_OVERFLOW = 1 << 9
DIAG_RESERVED = 1 << 8
CONVERSION_READY = 1 << 1
MEMORY_SOUND = 1 << 0

_SCRUB = -1
"""In place of a register: the next one of the configuration."""
_SLOW_REGISTERS = (_SCRUB, DIAG_ALRT, CHARGE, _SCRUB, ENERGY, DIETEMP)
_ZERO = bytes(3)
_FULL_SCALE = (b"\x7f\xff\xf0", b"\x80\x00\x00")

REGISTERS = (
    Register("CONFIG", CONFIG, 2, Access.WRITE), Register("ADC_CONFIG", ADC_CONFIG, 2, Access.WRITE),
    Register("SHUNT_CAL", SHUNT_CAL, 2, Access.WRITE), Register("SHUNT_TEMPCO", 0x03, 2, Access.WRITE),
    Register("VSHUNT", VSHUNT, 3), Register("VBUS", VBUS, 3), Register("DIETEMP", DIETEMP, 2),
    Register("CURRENT", CURRENT, 3), Register("POWER", 0x08, 3), Register("ENERGY", ENERGY, 5),
    Register("CHARGE", CHARGE, 5), Register("DIAG_ALRT", DIAG_ALRT, 2, Access.CLEARS),
    Register("SOVL", 0x0C, 2, Access.WRITE), Register("SUVL", 0x0D, 2, Access.WRITE),
    Register("BOVL", 0x0E, 2, Access.WRITE), Register("BUVL", 0x0F, 2, Access.WRITE),
    Register("TEMP_LIMIT", 0x10, 2, Access.WRITE), Register("PWR_LIMIT", 0x11, 2, Access.WRITE),
    Register("MANUFACTURER_ID", MANUFACTURER_ID, 2), Register("DEVICE_ID", DEVICE_ID, 2),
)
"""DIAG_ALRT: reading it may clear latched alerts (table 7-16)."""


class Settings(Struct, frozen=True, forbid_unknown_fields=True):
    """Shunt and range of one monitor.

    ``max_current_a`` is the full scale of the CURRENT register; a sample at full scale says so. The finer shunt
    range (40.96 mV) is taken where it suffices. ``slow_every``: samples between two slow registers.
    """

    shunt_ohm: Annotated[float, Meta(gt=0.0, le=10.0)]
    max_current_a: Annotated[float, Meta(gt=0.0, le=10_000.0)]
    slow_every: Annotated[int, Meta(ge=1, le=1000)] = 4

    def __post_init__(self) -> None:
        """Refuse a pair that the chip can't be calibrated for."""
        if self.shunt_ohm * self.max_current_a > SHUNT_FULL_SCALE_V[0]:
            raise ValueError("shunt_ohm x max_current_a exceeds the shunt input's 163.84 mV")
        if not 1 <= self.shunt_cal <= 0x7FFF:
            raise ValueError("SHUNT_CAL for this shunt and current does not fit 15 bits")

    @property
    def adc_range(self) -> int:
        """ADCRANGE: 1 for +-40.96 mV, 0 for +-163.84 mV."""
        return 1 if self.shunt_ohm * self.max_current_a <= SHUNT_FULL_SCALE_V[1] else 0

    @property
    def shunt_cal(self) -> int:
        """Value of the SHUNT_CAL register."""
        return round(SHUNT_CAL_FACTOR * self.max_current_a / 2**19 * self.shunt_ohm * (4 if self.adc_range else 1))

    @property
    def current_lsb_a(self) -> float:
        """CURRENT_LSB that the rounded SHUNT_CAL really gives, A."""
        return self.shunt_cal / (SHUNT_CAL_FACTOR * self.shunt_ohm * (4 if self.adc_range else 1))


def bus_voltage_v(data: bytes, place: Place = NOWHERE) -> float:
    """VBUS in volts from 3 bytes. Raises IMPLAUSIBLE if negative, above the chip's range, or with reserved bits set."""
    raw = _signed20(data, place)
    value = raw * VBUS_LSB_V
    if not 0.0 <= value <= VBUS_LIMIT_V:
        raise place.error(Cause.IMPLAUSIBLE, f"bus voltage {value:.3f} V")
    return value


def shunt_voltage_v(data: bytes, adc_range: int, place: Place = NOWHERE) -> float:
    """VSHUNT in volts from 3 bytes. Raises IMPLAUSIBLE for reserved bits."""
    return _signed20(data, place) * VSHUNT_LSB_V[adc_range]


def current_a(data: bytes, current_lsb_a: float, place: Place = NOWHERE) -> float:
    """CURRENT in amperes from 3 bytes. Raises OVER_RANGE at either end of the range: the truth is beyond."""
    raw = _signed20(data, place)
    if raw in (-0x80000, 0x7FFFF):
        raise place.error(Cause.OVER_RANGE, "current is at full scale")
    return raw * current_lsb_a


def die_temperature_c(data: bytes, place: Place = NOWHERE) -> float:
    """DIETEMP in deg C from 2 bytes. Raises IMPLAUSIBLE outside -55..155 deg C."""
    value = int.from_bytes(whole(data, 2, place), "big", signed=True) * DIETEMP_LSB_C
    if not DIETEMP_LIMITS_C[0] <= value <= DIETEMP_LIMITS_C[1]:
        raise place.error(Cause.IMPLAUSIBLE, f"die temperature {value:.1f} deg C")
    return value


def energy_j(data: bytes, current_lsb_a: float, place: Place = NOWHERE) -> float:
    """ENERGY in joules from 5 bytes, unsigned. Raises IMPLAUSIBLE for all ones."""
    raw = int.from_bytes(whole(data, 5, place), "big")
    if raw == 0xFFFFFFFFFF:
        raise place.error(Cause.IMPLAUSIBLE, "energy register is all ones")
    return raw * 16.0 * 3.2 * current_lsb_a


def charge_c(data: bytes, current_lsb_a: float, place: Place = NOWHERE) -> float:
    """CHARGE in coulombs from 5 bytes, two's complement. Raises IMPLAUSIBLE at either end of the range."""
    raw = int.from_bytes(whole(data, 5, place), "big", signed=True)
    if raw in (-(1 << 39), (1 << 39) - 1):
        raise place.error(Cause.IMPLAUSIBLE, "charge register is at full scale")
    return raw * current_lsb_a


def _signed20(data: bytes, place: Place) -> int:
    raw = int.from_bytes(whole(data, 3, place), "big", signed=True)
    if raw & 0xF:
        raise place.error(Cause.IMPLAUSIBLE, f"reserved bits set in {data.hex()}h")
    return raw >> 4


_EXAMPLE_LSB_A = 10.0 / 2**19

CODECS = (
    Codec("VBUS", bus_voltage_v, 3), Codec("VSHUNT, 163.84 mV", partial(shunt_voltage_v, adc_range=0), 3),
    Codec("VSHUNT, 40.96 mV", partial(shunt_voltage_v, adc_range=1), 3), Codec("DIETEMP", die_temperature_c, 2),
    Codec("CURRENT, 10 A full scale", partial(current_a, current_lsb_a=_EXAMPLE_LSB_A), 3),
    Codec("ENERGY, 10 A full scale", partial(energy_j, current_lsb_a=_EXAMPLE_LSB_A), 5),
    Codec("CHARGE, 10 A full scale", partial(charge_c, current_lsb_a=_EXAMPLE_LSB_A), 5),
)


class Device(ConfiguredDevice):
    """One INA228. See the module's first lines for what a sample holds and costs."""

    def __init__(self, bus: I2cBus, address: int, settings: Settings) -> None:
        super().__init__(bus, address, scrub_every=0)  # in turn with the slow registers instead
        self._lsb_a = settings.current_lsb_a
        self._table = (
            Setting("CONFIG", CONFIG, (settings.adc_range << 4).to_bytes(2, "big")),
            Setting("SHUNT_CAL", SHUNT_CAL, settings.shunt_cal.to_bytes(2, "big")),
            # Last, because writing it restarts the conversions: none of the old range can be read any more.
            Setting("ADC_CONFIG", ADC_CONFIG, ADC_CONFIG_VALUE.to_bytes(2, "big")),
        )
        self._slow_every = settings.slow_every
        self._samples = 0
        self._turn = 0
        self._charge_lost = False
        self._energy_lost = False

    def identify(self) -> Generator[None, None, str]:
        """Maker and die: 2 transactions. Raises WRONG_ID."""
        self._expect(MANUFACTURER_ID, TEXAS_INSTRUMENTS, Cause.WRONG_ID, "manufacturer id")
        yield
        return f"TI INA228 revision {self._check_die()}"

    def initialise(self) -> Generator[None, None, None]:
        """Identity and configuration with read-back: 8 transactions."""
        yield from self.identify()
        yield
        yield from self._configure(self._table)
        self._scrub_turn = len(self._table) - 1  # ADC_CONFIG first: its reset value is never ours
        self._samples = self._turn = 0
        self._charge_lost = self._energy_lost = False
        self._await_first_conversion()

    def acquire(self) -> Generator[None, None, PowerSample | None]:
        """One sample: 2 transactions, 3 in every ``slow_every``-th; ``None`` before the first conversion."""
        if self._awaiting:
            if not self._flags() & CONVERSION_READY:
                self._not_converted()
                return None
            self._awaiting = False
            yield
        if self._lost is not None:
            self._scrub()
            yield
        vbus = self._read(VBUS, 3)
        yield
        current = self._read(CURRENT, 3)
        over = current in _FULL_SCALE
        if over or (vbus == _ZERO and current == _ZERO):
            # An unpowered rail reads like a data line held low: believe it only from a chip that still knows its name.
            yield
            self._check_die()
        charge: float | None = None
        energy: float | None = None
        temperature: float | None = None
        self._samples += 1
        if self._samples >= self._slow_every:
            self._samples = 0
            register = _SLOW_REGISTERS[self._turn]
            self._turn = (self._turn + 1) % len(_SLOW_REGISTERS)
            yield
            if register == _SCRUB:
                self._scrub()
            elif register == CHARGE:
                charge = charge_c(self._read(CHARGE, 5), self._lsb_a, self.place)
                charge = None if self._charge_lost else charge
            elif register == ENERGY:
                energy = energy_j(self._read(ENERGY, 5), self._lsb_a, self.place)
                energy = None if self._energy_lost else energy
            elif register == DIETEMP:
                temperature = die_temperature_c(self._read(DIETEMP, 2), self.place)
            elif not self._flags(over) & CONVERSION_READY:
                raise self.place.error(Cause.STALE_COUNTER, "conversions have stopped")
        amperes = _signed20(current, self.place) * self._lsb_a if over else current_a(current, self._lsb_a, self.place)
        return PowerSample(
            bus_voltage_v(vbus, self.place), amperes, charge, energy, temperature, current_over=over,
        )

    def _check_die(self) -> int:
        """Revision of the die, if it is an INA228's."""
        word = int.from_bytes(self._read(DEVICE_ID, 2), "big")
        if word >> 4 != DIE_ID:
            raise self.place.error(Cause.WRONG_ID, f"device id is {word:04x}h instead of 228xh")
        return word & 0xF

    def _flags(self, over_range: bool = False) -> int:
        """DIAG_ALRT. Raises CHECKSUM for the chip's own memory check, IMPLAUSIBLE for reserved bits, and for overflow
        within the range."""
        flags = int.from_bytes(self._read(DIAG_ALRT, 2), "big")
        if flags & DIAG_RESERVED:
            raise self.place.error(Cause.IMPLAUSIBLE, f"reserved bits set in DIAG_ALRT {flags:04x}h")
        if not flags & MEMORY_SOUND:
            raise self.place.error(Cause.CHECKSUM, "the chip's trim memory fails its checksum")
        if flags & MATH_OVERFLOW and not over_range:
            raise self.place.error(Cause.IMPLAUSIBLE, "arithmetic overflow in the chip")
        # A wrapped accumulator has lost its total until both are started anew.
        self._charge_lost = self._charge_lost or bool(flags & CHARGE_OVERFLOW)
        self._energy_lost = self._energy_lost or bool(flags & ENERGY_OVERFLOW)
        return flags
