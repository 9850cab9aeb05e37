"""ADI LTC4162-L, solar charger with power-point tracking: measured words of a running telemetry system, and its state.

Register map and scales: LTC4162-L data sheet, "Register Descriptions"; SMBus words, low byte first, no packet error
code. CONFIG_BITS 14h (bit 5 suspend_charger, 3 telemetry_speed, 2 force_telemetry_on, 1 mppt_en), CHARGER_STATE 34h and
CHARGE_STATUS 35h (one bit at a time), SYSTEM_STATUS 39h, VBAT 3Ah 192.4 uV x cells, VIN 3Bh 1.649 mV, VOUT 3Ch
1.653 mV, IBAT 3Dh and IIN 3Eh 1.466 uV / R_SNSB, R_SNSI, all signed, DIE_TEMP 3Fh 0.0215 deg C - 264.4, CHEM_CELLS 43h
(bits 11..8 variant, 3..0 cells, 0 while there is no input power), TELEMETRY_STATUS 4Ah (bit 0 valid). mppt_en is in 14h
and not in 29h (CHARGER_CONFIG_BITS).

A sample is eight transactions: telemetry status, VBAT, VIN, IBAT, IIN, die temperature, charger state, system status.
Telemetry is kept running without input power (it costs the battery a little), so that the battery is seen at night; the
chip's slow telemetry gives new values every 5 s while it isn't charging, the fast one every 11 ms.

The chip has no identity register. The variant, the number of cells once there is input power, and the system status
must agree. That status is never zero: cell_count_err and no_rt are set whenever the charger is off, en_chg when it is
on; so equal bits are refused as well.

Linux's ltc4162-l-charger has 1694 uV for VIN where the data sheet has 1649 uV; the data sheet is followed.
"""

from __future__ import annotations

from collections.abc import Generator
from functools import partial
from typing import Annotated

from msgspec import Meta, Struct

from drivers import pmbus
from drivers.bus.protocol import I2cBus
from drivers.device import NOWHERE, Access, Codec, ConfiguredDevice, Oracle, OracleKind, Place, Register, Setting, whole
from drivers.errors import Cause
from drivers.samples import SolarSample

__all__ = [
    "CODECS", "ORACLES", "REGISTERS", "Device", "Settings", "battery_voltage_v", "charger_state", "current_a",
    "die_temperature_c", "input_voltage_v", "output_voltage_v", "system_status",
]

CONFIG_BITS = 0x14
IIN_LIMIT_TARGET = 0x15
INPUT_UNDERVOLTAGE_SETTING = 0x16
CHARGE_CURRENT_SETTING = 0x1A
VCHARGE_SETTING = 0x1B
CHARGER_CONFIG_BITS = 0x29
CHARGER_STATE = 0x34
CHARGE_STATUS = 0x35
SYSTEM_STATUS = 0x39
VBAT = 0x3A
VIN = 0x3B
VOUT = 0x3C
IBAT = 0x3D
IIN = 0x3E
DIE_TEMP = 0x3F
THERMISTOR_VOLTAGE = 0x40
BSR = 0x41
CHEM_CELLS = 0x43
VBAT_FILT = 0x47
TELEMETRY_STATUS = 0x4A
INPUT_UNDERVOLTAGE_DAC = 0x4B

SUSPEND = 1 << 5
FAST_TELEMETRY = 1 << 3
FORCE_TELEMETRY = 1 << 2
TRACKING = 1 << 1
CONFIG_MASK = b"\x2e\x00"
"""Without run_bsr (bit 4), which clears itself."""

VBAT_LSB_V = 192.4e-6
VIN_LSB_V = 1.649e-3
VOUT_LSB_V = 1.653e-3
SENSE_LSB_V = 1.466e-6
DIE_LSB_C = 0.0215
DIE_OFFSET_C = 264.4

NEGATIVE_LIMIT_V = -0.1
INPUT_LIMIT_V = 42.0
CELL_LIMIT_V = 5.0
DIE_LIMITS_C = (-55.0, 175.0)

LITHIUM = {0: "LTC4162-LAD", 1: "LTC4162-L42", 2: "LTC4162-L41", 3: "LTC4162-L40"}
"""Variants by bits 11..8 of CHEM_CELLS; 4 to 9 are for other chemistries."""

PRECHARGE = 1 << 7
CONSTANT_CURRENT_VOLTAGE = 1 << 6
SUSPENDED = 1 << 8
_STATES = {
    0: "off", 1 << 12: "battery detection failed", 1 << 11: "battery detection", SUSPENDED: "suspended",
    PRECHARGE: "precharge", CONSTANT_CURRENT_VOLTAGE: "constant current, constant voltage",
    1 << 5: "paused for battery temperature", 1 << 4: "terminated by timer", 1 << 3: "terminated at C/x",
    1 << 2: "charge time fault", 1 << 1: "battery missing", 1 << 0: "battery short",
}
_FAULT_STATES = 1 << 12 | 1 << 2 | 1 << 1 | 1 << 0

CHARGER_ACTIVE = 1 << 8
CELL_COUNT_ERROR = 1 << 7
NO_RT = 1 << 5
INPUT_ABOVE_BATTERY = 1 << 2
SYSTEM_RESERVED = 0xFE00
_SYSTEM_FAULTS: pmbus.Table = ((1 << 4, "thermal shutdown"), (1 << 3, "input over-voltage"))
_BLOCKING_FAULTS: pmbus.Table = ((CELL_COUNT_ERROR, "cell count error"), (NO_RT, "no frequency resistor"))
TELEMETRY_VALID = 1 << 0
TELEMETRY_RESERVED = 0xFFFC


class Settings(Struct, frozen=True, forbid_unknown_fields=True):
    """Cells in series, sense resistors of battery and input current, and what the charger is to do.

    ``fast_telemetry``: a new measurement every 11 ms also while not charging, which drains the battery a little more.
    """

    cells: Annotated[int, Meta(ge=1, le=8)]
    battery_sense_ohm: Annotated[float, Meta(gt=0.0, le=1.0)]
    input_sense_ohm: Annotated[float, Meta(gt=0.0, le=1.0)]
    tracking: bool = True
    suspended: bool = False
    fast_telemetry: bool = False
    scrub_every: Annotated[int, Meta(ge=0, le=1000)] = 8


def battery_voltage_v(data: bytes, cells: int, place: Place = NOWHERE) -> float:
    """VBAT in volts, the whole stack. Raises IMPLAUSIBLE below -0.1 V or above 5 V a cell."""
    return _voltage(data, VBAT_LSB_V * cells, CELL_LIMIT_V * cells, "battery", place)


def input_voltage_v(data: bytes, place: Place = NOWHERE) -> float:
    """VIN in volts. Raises IMPLAUSIBLE outside -0.1..42 V."""
    return _voltage(data, VIN_LSB_V, INPUT_LIMIT_V, "input", place)


def output_voltage_v(data: bytes, place: Place = NOWHERE) -> float:
    """VOUT in volts. Raises IMPLAUSIBLE outside -0.1..42 V."""
    return _voltage(data, VOUT_LSB_V, INPUT_LIMIT_V, "output", place)


def current_a(data: bytes, sense_ohm: float, place: Place = NOWHERE) -> float:
    """IBAT (positive into the battery) or IIN in amperes. Raises IMPLAUSIBLE at either end of the converter's range."""
    raw = int.from_bytes(whole(data, 2, place), "little", signed=True)
    if raw in (-0x8000, 0x7FFF):
        raise place.error(Cause.IMPLAUSIBLE, "current is at full scale")
    return raw * SENSE_LSB_V / sense_ohm


def die_temperature_c(data: bytes, place: Place = NOWHERE) -> float:
    """DIE_TEMP in deg C. Raises IMPLAUSIBLE outside -55..175 deg C (zero and all ones are)."""
    value = int.from_bytes(whole(data, 2, place), "little", signed=True) * DIE_LSB_C - DIE_OFFSET_C
    if not DIE_LIMITS_C[0] <= value <= DIE_LIMITS_C[1]:
        raise place.error(Cause.IMPLAUSIBLE, f"die temperature {value:.1f} deg C")
    return value


def charger_state(data: bytes, place: Place = NOWHERE) -> int:
    """CHARGER_STATE, one bit or none. Raises IMPLAUSIBLE for several or reserved ones (all ones)."""
    state = int.from_bytes(whole(data, 2, place), "little")
    if state not in _STATES:
        raise place.error(Cause.IMPLAUSIBLE, f"charger state {state:04x}h")
    return state


def system_status(data: bytes, place: Place = NOWHERE) -> int:
    """SYSTEM_STATUS. Raises IMPLAUSIBLE for reserved bits (all ones) and for zero, which it never is."""
    status = int.from_bytes(whole(data, 2, place), "little")
    if status & SYSTEM_RESERVED or not status:
        raise place.error(Cause.IMPLAUSIBLE, f"system status {status:04x}h")
    return status


def _voltage(data: bytes, lsb_v: float, highest_v: float, what: str, place: Place) -> float:
    value = int.from_bytes(whole(data, 2, place), "little", signed=True) * lsb_v
    if not NEGATIVE_LIMIT_V <= value <= highest_v:
        raise place.error(Cause.IMPLAUSIBLE, f"{what} voltage {value:.3f} V")
    return value


class Device(ConfiguredDevice):
    """One LTC4162-L."""

    def __init__(self, bus: I2cBus, address: int, settings: Settings) -> None:
        super().__init__(bus, address, settings.scrub_every)
        self.settings = settings
        self._suspended = settings.suspended

    def identify(self) -> Generator[None, None, str]:
        """The best there is without an identity register: variant, cells and system status; 2 transactions."""
        word = int.from_bytes(self._read(CHEM_CELLS, 2), "little")
        variant = LITHIUM.get(word >> 8 & 0xF)
        cells = word & 0xF
        if variant is None or cells not in (0, self.settings.cells):
            why = f"CHEM_CELLS is {word:04x}h for {self.settings.cells} lithium cells"
            raise self.place.error(Cause.WRONG_ID, why)
        yield
        status = int.from_bytes(self._read(SYSTEM_STATUS, 2), "little")
        if status & SYSTEM_RESERVED or not status:
            raise self.place.error(Cause.WRONG_ID, f"SYSTEM_STATUS is {status:04x}h")
        return f"{variant}, {cells} cells" if cells else f"{variant}, no input power"

    def initialise(self) -> Generator[None, None, None]:
        """Plausibility, then CONFIG_BITS with read-back: 4 transactions. Charging starts or stops as settings say."""
        yield from self.identify()
        yield
        self._suspended = self.settings.suspended
        yield from self._configure(self._table())
        self._await_first_conversion()

    def acquire(self) -> Generator[None, None, SolarSample | None]:
        """One sample: 8 transactions, 9 with a look at the configuration; ``None`` before the telemetry is valid."""
        telemetry = int.from_bytes(self._read(TELEMETRY_STATUS, 2), "little")
        if telemetry & TELEMETRY_RESERVED:
            raise self.place.error(Cause.IMPLAUSIBLE, f"telemetry status {telemetry:04x}h")
        if not telemetry & TELEMETRY_VALID:
            if not self._awaiting:
                raise self.place.error(Cause.STALE_COUNTER, "telemetry has stopped")
            self._not_converted()
            return None
        self._awaiting = False
        settings, place = self.settings, self.place
        yield
        battery = self._read(VBAT, 2)
        yield
        array = self._read(VIN, 2)
        yield
        battery_current = self._read(IBAT, 2)
        yield
        array_current = self._read(IIN, 2)
        yield
        die = self._read(DIE_TEMP, 2)
        yield
        state = charger_state(self._read(CHARGER_STATE, 2), place)
        yield
        status = system_status(self._read(SYSTEM_STATUS, 2), place)
        if self._scrub_due():
            yield
            self._scrub()
        volts = input_voltage_v(array, place)
        amperes = current_a(array_current, settings.input_sense_ohm, place)
        return SolarSample(
            volts, amperes, volts * amperes, battery_voltage_v(battery, settings.cells, place),
            current_a(battery_current, settings.battery_sense_ohm, place), die_temperature_c(die, place),
            bool(state & (PRECHARGE | CONSTANT_CURRENT_VOLTAGE)), _STATES[state], self._faults(state, status),
        )

    def suspend(self, suspended: bool) -> Generator[None, None, None]:
        """Stop or resume charging, with read-back: 2 transactions. Raises IMPLAUSIBLE. ``initialise`` undoes it."""
        self._suspended = suspended
        yield from self._configure(self._table())

    def _table(self) -> tuple[Setting, ...]:
        settings = self.settings
        value = (
            FORCE_TELEMETRY | (TRACKING if settings.tracking else 0) | (SUSPEND if self._suspended else 0)
            | (FAST_TELEMETRY if settings.fast_telemetry else 0)
        )
        return (Setting("CONFIG_BITS", CONFIG_BITS, value.to_bytes(2, "little"), CONFIG_MASK),)

    def _faults(self, state: int, status: int) -> tuple[str, ...]:
        faults = pmbus.words(status, _SYSTEM_FAULTS)
        if state & _FAULT_STATES:
            faults += (_STATES[state],)
        # Both bits are always set while the charger is off for another reason; they are news only where the input is
        # good, nobody suspended it, and it is suspended all the same.
        if state == SUSPENDED and status & INPUT_ABOVE_BATTERY and not status & CHARGER_ACTIVE and not self._suspended:
            faults += pmbus.words(status, _BLOCKING_FAULTS)
        return faults


CODECS = (
    Codec("VBAT, 8 cells", partial(battery_voltage_v, cells=8), 2),
    Codec("VIN", input_voltage_v, 2),
    Codec("VOUT", output_voltage_v, 2),
    Codec("IBAT, IIN, 10 mOhm", partial(current_a, sense_ohm=0.01), 2),
    Codec("DIE_TEMP", die_temperature_c, 2),
    Codec("CHARGER_STATE", charger_state, 2),
    Codec("SYSTEM_STATUS", system_status, 2),
)

REGISTERS = (
    Register("CONFIG_BITS", CONFIG_BITS, 2, Access.WRITE),
    Register("IIN_LIMIT_TARGET", IIN_LIMIT_TARGET, 2, Access.WRITE),
    Register("INPUT_UNDERVOLTAGE_SETTING", INPUT_UNDERVOLTAGE_SETTING, 2, Access.WRITE),
    Register("CHARGE_CURRENT_SETTING", CHARGE_CURRENT_SETTING, 2, Access.WRITE),
    Register("VCHARGE_SETTING", VCHARGE_SETTING, 2, Access.WRITE),
    Register("CHARGER_CONFIG_BITS", CHARGER_CONFIG_BITS, 2, Access.WRITE),
    Register("CHARGER_STATE", CHARGER_STATE, 2),
    Register("CHARGE_STATUS", CHARGE_STATUS, 2),
    Register("SYSTEM_STATUS", SYSTEM_STATUS, 2),
    Register("VBAT", VBAT, 2),
    Register("VIN", VIN, 2),
    Register("VOUT", VOUT, 2),
    Register("IBAT", IBAT, 2),
    Register("IIN", IIN, 2),
    Register("DIE_TEMP", DIE_TEMP, 2),
    Register("THERMISTOR_VOLTAGE", THERMISTOR_VOLTAGE, 2),
    Register("BSR", BSR, 2),
    Register("CHEM_CELLS", CHEM_CELLS, 2),
    Register("VBAT_FILT", VBAT_FILT, 2),
    Register("TELEMETRY_STATUS", TELEMETRY_STATUS, 2),
    Register("INPUT_UNDERVOLTAGE_DAC", INPUT_UNDERVOLTAGE_DAC, 2),
)

ORACLES = (
    Oracle(OracleKind.LINUX, "ltc4162-l-charger over 72 register values; its VIN scale has two digits transposed"),
)
