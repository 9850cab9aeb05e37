"""TI INA226, 36 V power monitor: bus voltage and current with its sign, never of a chip that forgot its configuration.

Registers and equations: TI SBOS547B (INA226), tables 7-1 to 7-13: 00h configuration (reset 4127h), 01h shunt voltage
2.5 uV, 02h bus voltage 1.25 mV (bit 15 always 0), 03h power 25 x I_LSB, 04h current, 05h calibration
0.00512 / (I_LSB R), 06h mask/enable (CVRF bit 3, OVF bit 2; reading it clears CVRF), FEh 5449h, FFh 226xh.

I_LSB is one step of the shunt converter, 2.5 uV / R, so that the calibration is 2048: a finer one would show no more
and could overflow. Current is taken from the shunt register, which means the same whatever the calibration is; the
calibration is written so that registers 03h and 04h agree with it, and because its reset value, 0, gives away a
brown-out. A sample at full scale says so (``voltage_over``, ``current_over``): the truth is beyond.

A sample costs two transactions (02h, 01h), or one where only the current is wanted often: ``voltage_every`` samples
share one bus voltage, as last read. Every ``slow_every`` samples one more register is read: flags, then a configuration
register, in turn. An unpowered idle rail reads all zeros, as a data line held low does; then the identity is read as
well, and likewise for a current of exactly zero alone, and at full scale. Charge, energy and temperature don't exist
in this part.
"""

from __future__ import annotations

from collections.abc import Generator
from functools import partial
from typing import Annotated, Literal

from msgspec import Meta, Struct

from drivers.bus.protocol import I2cBus
from drivers.device import NOWHERE, Access, Codec, ConfiguredDevice, Oracle, OracleKind, Place, Register, Setting, whole
from drivers.errors import Cause
from drivers.samples import PowerSample

__all__ = [
    "CODECS", "ORACLES", "REGISTERS", "Device", "Settings", "bus_voltage_v", "calibration", "current_a", "power_w",
    "shunt_voltage_v",
]

CONFIGURATION = 0x00
SHUNT_VOLTAGE = 0x01
BUS_VOLTAGE = 0x02
POWER = 0x03
CURRENT = 0x04
CALIBRATION = 0x05
MASK_ENABLE = 0x06
ALERT_LIMIT = 0x07
MANUFACTURER_ID = 0xFE
DIE_ID = 0xFF

TEXAS_INSTRUMENTS = b"TI"
INA226_DIE = 0x226
"""Bits 15..4 of the die id; bits 3..0 are the revision."""

SHUNT_LSB_V = 2.5e-6
BUS_LSB_V = 1.25e-3
CALIBRATION_FACTOR = 0.00512
POWER_FACTOR = 25.0
STEP_CALIBRATION = 2048
"""Calibration at which one step of current is one step of the shunt converter."""
SHUNT_FULL_SCALE_V = 32767 * SHUNT_LSB_V
BUS_FULL_SCALE_V = 32767 * BUS_LSB_V

CONVERSION_1100_US = 4
SHUNT_AND_BUS_CONTINUOUS = 7
CONFIGURATION_MASK = b"\x8f\xff"
"""Bits 14..12 are reserved; they read 100b."""
AVERAGES = (1, 4, 16, 64)
"""The part goes on to 1024, slower than the first conversion is waited for."""

CONVERSION_READY = 1 << 3
MATH_OVERFLOW = 1 << 2
ALERT_FLAG = 1 << 4

_ZERO = bytes(2)
_FULL_SCALE = (b"\x7f\xff", b"\x80\x00")


class Settings(Struct, frozen=True, forbid_unknown_fields=True):
    """The shunt, and how many conversions of 2 x 1.1 ms are averaged. ``slow_every``: samples between two slow reads,
    ``voltage_every``: samples to a bus voltage.

    Full scale is 81.9 mV / ``shunt_ohm``. Positive current flows from IN+ to IN-. ``max_current_a`` is what the channel
    is meant to carry; a shunt that can't show it is refused. 2 x ``slow_every`` samples must last longer than the
    average does.
    """

    shunt_ohm: Annotated[float, Meta(gt=0.0, le=10.0)]
    max_current_a: Annotated[float, Meta(gt=0.0, le=10_000.0)]
    averages: Literal[1, 4, 16, 64] = 4
    slow_every: Annotated[int, Meta(ge=2, le=1000)] = 4
    voltage_every: Annotated[int, Meta(ge=1, le=100)] = 1

    def __post_init__(self) -> None:
        """Refuse a shunt that saturates below the channel's current."""
        if self.shunt_ohm * self.max_current_a > SHUNT_FULL_SCALE_V:
            raise ValueError("shunt_ohm x max_current_a exceeds the shunt input's 81.9175 mV")

    @property
    def current_lsb_a(self) -> float:
        """One step of current, A."""
        return SHUNT_LSB_V / self.shunt_ohm


def calibration(current_lsb_a: float, shunt_ohm: float) -> int:
    """Value of the calibration register for a step of current. Raises ValueError if it doesn't fit 15 bits."""
    value = round(CALIBRATION_FACTOR / (current_lsb_a * shunt_ohm))
    if not 1 <= value <= 0x7FFF:
        raise ValueError(f"calibration {value} does not fit 15 bits")
    return value


def bus_voltage_v(data: bytes, place: Place = NOWHERE) -> float:
    """Bus voltage in volts from 2 bytes. Raises IMPLAUSIBLE for bit 15 (always 0), OVER_RANGE at full scale."""
    raw = int.from_bytes(whole(data, 2, place), "big")
    if raw > 0x7FFF:
        raise place.error(Cause.IMPLAUSIBLE, f"bus voltage register is {raw:04x}h")
    if raw == 0x7FFF:
        raise place.error(Cause.OVER_RANGE, "bus voltage is at full scale")
    return raw * BUS_LSB_V


def shunt_voltage_v(data: bytes, place: Place = NOWHERE) -> float:
    """Shunt voltage in volts from 2 bytes. Raises OVER_RANGE at either end of the range."""
    return _signed(data, "shunt voltage", place) * SHUNT_LSB_V


def current_a(data: bytes, current_lsb_a: float, place: Place = NOWHERE) -> float:
    """Current in amperes from 2 bytes, of the current register or the shunt's. Raises OVER_RANGE at full scale."""
    return _signed(data, "current", place) * current_lsb_a


def power_w(data: bytes, current_lsb_a: float, place: Place = NOWHERE) -> float:
    """Power in watts from 2 bytes; without sign, as the register is. Raises IMPLAUSIBLE for all ones."""
    raw = int.from_bytes(whole(data, 2, place), "big")
    if raw == 0xFFFF:
        raise place.error(Cause.IMPLAUSIBLE, "power register is all ones")
    return raw * POWER_FACTOR * current_lsb_a


def _signed(data: bytes, what: str, place: Place) -> int:
    raw = int.from_bytes(whole(data, 2, place), "big", signed=True)
    if raw >= 0x7FFF or raw <= -0x8000:
        raise place.error(Cause.OVER_RANGE, f"{what} is at full scale")
    return raw


class Device(ConfiguredDevice):
    """One INA226. See the module's first lines for what a sample holds and costs."""

    def __init__(self, bus: I2cBus, address: int, settings: Settings) -> None:
        # Slow reads are flags and configuration by turns, hence twice the distance.
        super().__init__(bus, address, 2 * settings.slow_every)
        self.settings = settings
        self._lsb_a = settings.current_lsb_a
        self._slow_every = settings.slow_every
        self._samples = 0
        self._bus_voltage: bytes | None = None
        self._since_voltage = 0
        value = (
            1 << 14 | AVERAGES.index(settings.averages) << 9 | CONVERSION_1100_US << 6 | CONVERSION_1100_US << 3
            | SHUNT_AND_BUS_CONTINUOUS
        )
        self._table = (
            Setting("calibration", CALIBRATION, STEP_CALIBRATION.to_bytes(2, "big")),
            # Last, because writing it restarts the conversions and clears their flag.
            Setting("configuration", CONFIGURATION, value.to_bytes(2, "big"), CONFIGURATION_MASK),
        )

    def identify(self) -> Generator[None, None, str]:
        """Manufacturer and die: 2 transactions."""
        self._expect(MANUFACTURER_ID, TEXAS_INSTRUMENTS, Cause.WRONG_ID, "manufacturer id")
        yield
        return f"INA226 revision {self._die() & 0xF}"

    def initialise(self) -> Generator[None, None, None]:
        """Identity and configuration with read-back: 6 transactions."""
        yield from self.identify()
        yield
        yield from self._configure(self._table)
        self._samples = self._since_voltage = 0
        self._bus_voltage = None
        self._await_first_conversion()

    def acquire(self) -> Generator[None, None, PowerSample | None]:
        """One sample: 1 or 2 transactions, 1 more in every ``slow_every``-th; ``None`` before the first conversion."""
        if self._awaiting:
            if not self._flags() & CONVERSION_READY:
                self._not_converted()
                return None
            self._awaiting = False
            yield
        bus, self._bus_voltage = self._bus_voltage, None  # a sample that is broken off leaves none behind
        self._since_voltage += 1
        if bus is None or self._since_voltage >= self.settings.voltage_every:
            self._since_voltage = 0
            bus = self._read(BUS_VOLTAGE, 2)
            yield
        shunt = self._read(SHUNT_VOLTAGE, 2)
        volts_over, amperes_over = bus == _FULL_SCALE[0], shunt in _FULL_SCALE
        if volts_over or amperes_over or (shunt == _ZERO and (bus == _ZERO or self._since_voltage)):
            yield
            self._die()
        self._samples += 1
        if self._scrub_due():
            self._samples = 0
            yield
            self._scrub()
        elif self._samples == self._slow_every:
            yield
            if not self._flags(volts_over or amperes_over) & CONVERSION_READY:
                raise self.place.error(Cause.STALE_COUNTER, "conversions have stopped")
        volts = BUS_FULL_SCALE_V if volts_over else bus_voltage_v(bus, self.place)
        amperes = (
            int.from_bytes(shunt, "big", signed=True) * self._lsb_a if amperes_over
            else current_a(shunt, self._lsb_a, self.place)
        )
        self._bus_voltage = bus
        return PowerSample(volts, amperes, None, None, None, volts_over, amperes_over)

    def _die(self) -> int:
        word = int.from_bytes(self._read(DIE_ID, 2), "big")
        if word >> 4 != INA226_DIE:
            raise self.place.error(Cause.WRONG_ID, f"die id is {word:04x}h instead of 226xh")
        return word

    def _flags(self, over_range: bool = False) -> int:
        """Mask/enable register. Raises IMPLAUSIBLE for bits that nobody set, and for overflow within the range."""
        flags = int.from_bytes(self._read(MASK_ENABLE, 2), "big")
        if flags & ~(CONVERSION_READY | MATH_OVERFLOW | ALERT_FLAG):
            raise self.place.error(Cause.IMPLAUSIBLE, f"mask/enable register is {flags:04x}h")
        if flags & MATH_OVERFLOW and not over_range:
            raise self.place.error(Cause.IMPLAUSIBLE, "arithmetic overflow in the chip")
        return flags


CODECS = (
    Codec("bus voltage", bus_voltage_v, 2),
    Codec("shunt voltage", shunt_voltage_v, 2),
    Codec("current, 10 mOhm", partial(current_a, current_lsb_a=0.25e-3), 2),
    Codec("power, 10 mOhm", partial(power_w, current_lsb_a=0.25e-3), 2),
)

REGISTERS = (
    Register("configuration", CONFIGURATION, 2, Access.WRITE),
    Register("shunt_voltage", SHUNT_VOLTAGE, 2),
    Register("bus_voltage", BUS_VOLTAGE, 2),
    Register("power", POWER, 2),
    Register("current", CURRENT, 2),
    Register("calibration", CALIBRATION, 2, Access.WRITE),
    Register("mask_enable", MASK_ENABLE, 2, Access.CLEARS),
    Register("alert_limit", ALERT_LIMIT, 2, Access.WRITE),
    Register("manufacturer_id", MANUFACTURER_ID, 2),
    Register("die_id", DIE_ID, 2),
)

ORACLES = (
    Oracle(OracleKind.DATASHEET, "configure, measure and calculate example of SBOS547, table 1"),
    Oracle(OracleKind.LINUX, "values of ina2xx and ina2xx-adc at two shunts, both signs of current"),
)
