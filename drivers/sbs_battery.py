"""Smart battery: what a pack's own gauge says, with packet error codes, in coulombs whatever unit it counts in.

Smart Battery Data Specification, revision 1.1, section 5.1: Temperature 08h 0.1 K, Voltage 09h mV, Current 0Ah mA
signed (positive when charging), RelativeStateOfCharge 0Dh %, RemainingCapacity 0Fh and FullChargeCapacity 10h in mAh
or, with CAPACITY_MODE (bit 15 of BatteryMode 03h), in 10 mWh, BatteryStatus 16h, DesignVoltage 19h mV,
SpecificationInfo 1Ah (bits 15..12 IPScale, 11..8 VScale as powers of ten for currents with capacities and for
voltages, 7..4 version: 1 is 1.0, 2 is 1.1, 3 is 1.1 with packet error codes, 3..0 revision 1), ManufacturerName 20h
and DeviceName 21h as blocks.

A capacity in 10 mWh becomes a charge by the pack's design voltage, as the specification relates the two. A sample is
eight transactions: mode, voltage, current, temperature, state of charge, both capacities, status. Status comes last
because its lowest four bits are the outcome of the reads before.

``initialise`` sets CHARGER_MODE (bit 14) where ``silent``: a pack that sends its charging wishes by itself is a second
master, which the other parts of the bus don't expect. The pack forgets that when it sleeps or is exchanged; so a pack
found with the bit clear has restarted (RESET). It goes on sending alarms while there are any.

All zeros and all ones are refused, also without packet error codes: no pack has 0 V, none is at 6280 deg C.
"""

from __future__ import annotations

from collections.abc import Generator
from functools import partial
from typing import NamedTuple

from msgspec import Struct

from drivers import pmbus
from drivers.bus.protocol import I2cBus
from drivers.device import NOWHERE, Access, Codec, Oracle, OracleKind, Place, Register, Setting, whole
from drivers.errors import Cause
from drivers.samples import BatteryGaugeSample
from drivers.smbus import BLOCK_LIMIT, SmbusDevice

__all__ = [
    "CODECS", "ORACLES", "REGISTERS", "Device", "Scales", "Settings", "charge_c", "current_a", "scales",
    "state_of_charge", "status", "temperature_c", "text", "voltage_v",
]

BATTERY_MODE = 0x03
TEMPERATURE = 0x08
VOLTAGE = 0x09
CURRENT = 0x0A
STATE_OF_CHARGE = 0x0D
REMAINING_CAPACITY = 0x0F
FULL_CHARGE_CAPACITY = 0x10
BATTERY_STATUS = 0x16
CYCLE_COUNT = 0x17
DESIGN_CAPACITY = 0x18
DESIGN_VOLTAGE = 0x19
SPECIFICATION_INFO = 0x1A
MANUFACTURE_DATE = 0x1B
SERIAL_NUMBER = 0x1C
MANUFACTURER_NAME = 0x20
DEVICE_NAME = 0x21

CAPACITY_IN_ENERGY = 1 << 15
CHARGER_SILENT = 1 << 14
WRITABLE_MODE = 0xE300
"""CAPACITY, CHARGER and ALARM_MODE, PRIMARY_BATTERY, CHARGE_CONTROLLER_ENABLED."""
WITH_PEC = 3
VERSIONS = {1: "1.0", 2: "1.1", WITH_PEC: "1.1 with packet error codes"}
REVISION = 1
HIGHEST_SCALE = 3

MAH_C = 3.6
CENTIWATT_HOUR_J = 36.0
ZERO_CELSIUS_K = 273.15
TEMPERATURE_LIMITS_C = (-55.0, 125.0)
HIGHEST_PERCENT = 110
"""Some gauges count a little past full; up to here it is shown as full."""

STATUS_RESERVED = 1 << 13 | 1 << 10
INITIALISED = 1 << 7
ERROR_MASK = 0xF
_ALARMS: pmbus.Table = (
    (1 << 15, "over-charged"), (1 << 14, "terminate charge"), (1 << 12, "over-temperature"),
    (1 << 11, "terminate discharge"), (1 << 9, "remaining capacity"), (1 << 8, "remaining time"),
)
_FULLY_DISCHARGED = 1 << 4


class Settings(Struct, frozen=True, forbid_unknown_fields=True):
    """``pec``: the pack knows packet error codes (version 3). ``silent``: it is told to keep its charging wishes."""

    pec: bool = True
    silent: bool = True


class Scales(NamedTuple):
    """What SpecificationInfo says: the version's number, factors of voltages and of currents with capacities."""

    version: int
    voltage: float
    current: float


def scales(data: bytes, place: Place = NOWHERE) -> Scales:
    """SpecificationInfo. Raises WRONG_ID for a version, revision or scale that the specification doesn't have."""
    word = int.from_bytes(whole(data, 2, place), "little")
    current, voltage, version = word >> 12, word >> 8 & 0xF, word >> 4 & 0xF
    if version not in VERSIONS or word & 0xF != REVISION or current > HIGHEST_SCALE or voltage > HIGHEST_SCALE:
        raise place.error(Cause.WRONG_ID, f"SpecificationInfo is {word:04x}h")
    return Scales(version, 10.0**voltage, 10.0**current)


def voltage_v(data: bytes, scale: float = 1.0, place: Place = NOWHERE) -> float:
    """Voltage in volts. Raises IMPLAUSIBLE for zero and all ones."""
    raw = int.from_bytes(whole(data, 2, place), "little")
    if raw in (0, 0xFFFF):
        raise place.error(Cause.IMPLAUSIBLE, f"voltage register is {raw:04x}h")
    return raw * 1e-3 * scale


def current_a(data: bytes, scale: float = 1.0, place: Place = NOWHERE) -> float:
    """Current in amperes, positive when charging. Raises OVER_RANGE at either end of the range."""
    raw = int.from_bytes(whole(data, 2, place), "little", signed=True)
    if raw in (-0x8000, 0x7FFF):
        raise place.error(Cause.OVER_RANGE, "current is at full scale")
    return raw * 1e-3 * scale


def temperature_c(data: bytes, place: Place = NOWHERE) -> float:
    """Temperature in deg C. Raises IMPLAUSIBLE outside -55..125 deg C (zero and all ones are)."""
    value = int.from_bytes(whole(data, 2, place), "little") * 0.1 - ZERO_CELSIUS_K
    if not TEMPERATURE_LIMITS_C[0] <= value <= TEMPERATURE_LIMITS_C[1]:
        raise place.error(Cause.IMPLAUSIBLE, f"temperature {value:.1f} deg C")
    return value


def state_of_charge(data: bytes, place: Place = NOWHERE) -> float:
    """RelativeStateOfCharge as a share, 0..1. Raises IMPLAUSIBLE above 110 %."""
    raw = int.from_bytes(whole(data, 2, place), "little")
    if raw > HIGHEST_PERCENT:
        raise place.error(Cause.IMPLAUSIBLE, f"state of charge {raw} %")
    return min(raw, 100) * 0.01


def charge_c(
    data: bytes, in_energy: bool = False, design_voltage_v: float = 1.0, scale: float = 1.0, place: Place = NOWHERE,
) -> float:
    """A capacity in coulombs: mAh, or 10 mWh over the design voltage. Raises IMPLAUSIBLE for all ones."""
    raw = int.from_bytes(whole(data, 2, place), "little")
    if raw == 0xFFFF:
        raise place.error(Cause.IMPLAUSIBLE, "capacity register is all ones")
    return raw * scale * (CENTIWATT_HOUR_J / design_voltage_v if in_energy else MAH_C)


def status(data: bytes, place: Place = NOWHERE) -> tuple[str, ...]:
    """BatteryStatus as alarms. Raises IMPLAUSIBLE for reserved bits (all ones), PROTOCOL for the gauge's error code."""
    word = int.from_bytes(whole(data, 2, place), "little")
    if word & STATUS_RESERVED:
        raise place.error(Cause.IMPLAUSIBLE, f"BatteryStatus is {word:04x}h")
    if word & ERROR_MASK:
        raise place.error(Cause.PROTOCOL, f"the gauge reports error {word & ERROR_MASK}")
    alarms = pmbus.words(word, _ALARMS)
    if word & _FULLY_DISCHARGED:
        alarms += ("fully discharged",)
    if not word & INITIALISED:
        alarms += ("gauge not initialised",)
    return alarms


def text(data: bytes, place: Place = NOWHERE) -> str:
    """A name from a block's bytes. Raises WRONG_ID unless it is printable ASCII."""
    if not data or any(not 0x20 <= byte < 0x7F for byte in data):
        raise place.error(Cause.WRONG_ID, f"a name is {data.hex()}h")
    return data.decode("ascii").strip()


class Device(SmbusDevice):
    """One smart battery."""

    def __init__(self, bus: I2cBus, address: int, settings: Settings) -> None:
        super().__init__(bus, address, settings.pec)
        self.settings = settings
        self._voltage_scale = 1.0
        self._current_scale = 1.0
        self._design_voltage_v: float | None = None

    def identify(self) -> Generator[None, None, str]:
        """Version of the specification, maker and model: 3 transactions."""
        _, name = yield from self._describe()
        return name

    def initialise(self) -> Generator[None, None, None]:
        """Identity, scales and design voltage; where ``silent``, the mode with read-back: 4 or 7 transactions."""
        found, _ = yield from self._describe()
        yield
        design = voltage_v((yield from self._fetch(DESIGN_VOLTAGE, 2)), found.voltage, self.place)
        self._voltage_scale, self._current_scale, self._design_voltage_v = found.voltage, found.current, design
        if self.settings.silent:
            yield
            mode = yield from self._fetch_word(BATTERY_MODE)
            value = mode & WRITABLE_MODE | CHARGER_SILENT
            yield
            mask = CHARGER_SILENT.to_bytes(2, "little")
            yield from self._configure((Setting("BatteryMode", BATTERY_MODE, value.to_bytes(2, "little"), mask),))

    def acquire(self) -> Generator[None, None, BatteryGaugeSample]:
        """One sample: 8 transactions. Raises RESET for a pack that has restarted or was exchanged."""
        place = self.place
        design = self._design_voltage_v
        mode = yield from self._fetch_word(BATTERY_MODE)
        if mode == 0xFFFF:
            raise place.error(Cause.IMPLAUSIBLE, "BatteryMode is all ones")
        if design is None or (self.settings.silent and not mode & CHARGER_SILENT):
            raise place.error(Cause.RESET, f"the pack has not been set up: BatteryMode is {mode:04x}h")
        in_energy = bool(mode & CAPACITY_IN_ENERGY)
        yield
        voltage = yield from self._fetch(VOLTAGE, 2)
        yield
        current = yield from self._fetch(CURRENT, 2)
        yield
        temperature = yield from self._fetch(TEMPERATURE, 2)
        yield
        share = yield from self._fetch(STATE_OF_CHARGE, 2)
        yield
        remaining = yield from self._fetch(REMAINING_CAPACITY, 2)
        yield
        full = yield from self._fetch(FULL_CHARGE_CAPACITY, 2)
        yield
        alarms = status((yield from self._fetch(BATTERY_STATUS, 2)), place)
        scale = self._current_scale
        return BatteryGaugeSample(
            voltage_v(voltage, self._voltage_scale, place), current_a(current, scale, place),
            temperature_c(temperature, place), state_of_charge(share, place),
            charge_c(remaining, in_energy, design, scale, place), charge_c(full, in_energy, design, scale, place),
            alarms,
        )

    def _describe(self) -> Generator[None, None, tuple[Scales, str]]:
        found = scales((yield from self._fetch(SPECIFICATION_INFO, 2)), self.place)
        yield
        maker = text((yield from self._fetch_block(MANUFACTURER_NAME, BLOCK_LIMIT)), self.place)
        yield
        model = text((yield from self._fetch_block(DEVICE_NAME, BLOCK_LIMIT)), self.place)
        return found, f"{maker} {model}, smart battery {VERSIONS[found.version]}"


CODECS = (
    Codec("SpecificationInfo", scales, 2),
    Codec("Voltage", voltage_v, 2),
    Codec("Current", current_a, 2),
    Codec("Temperature", temperature_c, 2),
    Codec("RelativeStateOfCharge", state_of_charge, 2),
    Codec("capacity, mAh", charge_c, 2),
    Codec("capacity, 10 mWh at 25.2 V", partial(charge_c, in_energy=True, design_voltage_v=25.2), 2),
    Codec("BatteryStatus", status, 2),
    Codec("name", text, None),
)

REGISTERS = (
    Register("BatteryMode", BATTERY_MODE, 2, Access.WRITE),
    Register("Temperature", TEMPERATURE, 2),
    Register("Voltage", VOLTAGE, 2),
    Register("Current", CURRENT, 2),
    Register("RelativeStateOfCharge", STATE_OF_CHARGE, 2),
    Register("RemainingCapacity", REMAINING_CAPACITY, 2),
    Register("FullChargeCapacity", FULL_CHARGE_CAPACITY, 2),
    Register("BatteryStatus", BATTERY_STATUS, 2),
    Register("CycleCount", CYCLE_COUNT, 2),
    Register("DesignCapacity", DESIGN_CAPACITY, 2),
    Register("DesignVoltage", DESIGN_VOLTAGE, 2),
    Register("SpecificationInfo", SPECIFICATION_INFO, 2),
    Register("ManufactureDate", MANUFACTURE_DATE, 2),
    Register("SerialNumber", SERIAL_NUMBER, 2),
)

ORACLES = (
    Oracle(OracleKind.LINUX, "sbs-battery over 47 register values, both capacity modes and scales"),
)
