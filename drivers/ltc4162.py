"""ADI LTC4162-L, solar charger with power-point tracking: telemetry, its state, and limits that are read back.

Register map and scales: LTC4162-L data sheet, "Register Descriptions"; SMBus words, low byte first, no packet error
code. CONFIG_BITS 14h (bit 5 suspend_charger, 3 telemetry_speed, 2 force_telemetry_on, 1 mppt_en), CHARGER_STATE 34h and
CHARGE_STATUS 35h (one bit at a time), SYSTEM_STATUS 39h, VBAT 3Ah 192.4 uV x cells, VIN 3Bh 1.649 mV, VOUT 3Ch
1.653 mV, IBAT 3Dh and IIN 3Eh 1.466 uV / R_SNSB, R_SNSI, all signed, DIE_TEMP 3Fh 0.0215 deg C - 264.4, CHEM_CELLS 43h
(bits 11..8 variant, 3..0 cells, 0 while there is no input power), TELEMETRY_STATUS 4Ah (bit 0 valid). mppt_en is in 14h
and not in 29h (CHARGER_CONFIG_BITS).

INPUT_UNDERVOLTAGE_SETTING 16h is (n + 1) x 140.625 mV, n of 8 bits; the chip's own tracking overrides it. Charge
currents are (n + 1) x 1 mV / R_SNSB, n of 5 bits, in CHARGE_CURRENT_SETTING 1Ah. While en_jeita (29h bit 0) is set, as
after reset, the chip takes ICHARGE_JEITA_6_5 27h and ICHARGE_JEITA_4_3_2 28h instead, by the battery's temperature, and
a limit in 1Ah alone would be none. Either en_jeita is cleared (then only the pause outside jeita_t1..jeita_t6 is left
of the chip's care), or with ``temperature_profile`` a limit is written to those two as well, never above their reset
values.

A sample is four transactions: telemetry status, VIN, IIN, IBAT. Battery voltage, die temperature, and state with system
status are read in turn, each once in ``slow_every`` samples, and carried in between. A sample is given only with all of
them: after ``initialise``, and after a sample that failed, all are read at once (eight transactions). Telemetry is kept
running without input power (it costs the battery a little), so that the battery is seen at night; the chip's slow
telemetry gives new values every 5 s while it isn't charging, the fast one every 11 ms.

A battery current beyond the converter's range (48 mV / R_SNSB, charging or not) is ``None``; everything else at the end
of its range is refused.

What is ordered is part of the configuration that is looked at again. ``initialise`` puts the settings' values back, and
whoever gave the orders must repeat them.

The chip has no identity register. The variant, the number of cells once there is input power, and the system status
must agree. That status is never zero: cell_count_err and no_rt are set whenever the charger is off, en_chg when it is
on; so equal bits are refused as well.

Linux's ltc4162-l-charger has 1694 uV for VIN where the data sheet has 1649 uV; the data sheet is followed.
"""

from __future__ import annotations

import math
from collections.abc import Generator
from enum import IntEnum, unique
from functools import partial
from typing import Annotated

from msgspec import Meta, Struct

from drivers import pmbus
from drivers.bus.protocol import I2cBus
from drivers.device import NOWHERE, Access, Codec, ConfiguredDevice, Oracle, OracleKind, Place, Register, Setting, whole
from drivers.errors import Cause
from drivers.samples import SolarSample

__all__ = [
    "CODECS", "ORACLES", "REGISTERS", "Device", "Settings", "battery_voltage_v", "charge_code", "charger_state",
    "current_a", "die_temperature_c", "input_code", "input_voltage_v", "output_voltage_v", "system_status",
]

CONFIG_BITS = 0x14
IIN_LIMIT_TARGET = 0x15
INPUT_UNDERVOLTAGE_SETTING = 0x16
CHARGE_CURRENT_SETTING = 0x1A
VCHARGE_SETTING = 0x1B
ICHARGE_JEITA_6_5 = 0x27
ICHARGE_JEITA_4_3_2 = 0x28
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

EN_JEITA = 1 << 0

INPUT_STEP_V = 0.140625
INPUT_CODES = 256
LOWEST_INPUT_CODE = 31
"""Reset value, 4.5 V: below it the chip has not enough to run on."""
CHARGE_STEP_V = 1e-3
CHARGE_CODES = 32
JEITA_RESET_6_5 = (15, 31)
JEITA_RESET_4_3_2 = (31, 31, 15)
"""Reset values of the charge currents by temperature, from region 6 down to region 2, 5 bits each."""
STEP_ERROR = 1e-9
"""Share of a step by which a value computed from a step may miss it."""

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
_FULL_SCALE = (b"\xff\x7f", b"\x00\x80")
TELEMETRY_VALID = 1 << 0
TELEMETRY_RESERVED = 0xFFFC


class Settings(Struct, frozen=True, forbid_unknown_fields=True):
    """Cells in series, sense resistors of battery and input current, and what the charger does until it is ordered.

    ``fast_telemetry``: a new measurement every 11 ms also while not charging, which drains the battery a little more.
    ``charge_limit_a``: most current into the battery; ``None`` is the chip's own most, 32 mV / ``battery_sense_ohm``.
    ``temperature_profile``: charge voltage and current by the battery's temperature are the chip's. ``slow_every``:
    samples in which battery voltage, die temperature and state are read once each.
    """

    cells: Annotated[int, Meta(ge=1, le=8)]
    battery_sense_ohm: Annotated[float, Meta(gt=0.0, le=1.0)]
    input_sense_ohm: Annotated[float, Meta(gt=0.0, le=1.0)]
    tracking: bool = True
    suspended: bool = False
    fast_telemetry: bool = False
    temperature_profile: bool = False
    charge_limit_a: Annotated[float, Meta(ge=0.0, le=100.0)] | None = None
    slow_every: Annotated[int, Meta(ge=1, le=1000)] = 10
    scrub_every: Annotated[int, Meta(ge=0, le=1000)] = 4


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
    """IBAT (positive into the battery) or IIN in amperes. Raises OVER_RANGE at either end of the converter's range."""
    raw = int.from_bytes(whole(data, 2, place), "little", signed=True)
    if raw in (-0x8000, 0x7FFF):
        raise place.error(Cause.OVER_RANGE, "current is at full scale")
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


def input_code(volts: float) -> int:
    """INPUT_UNDERVOLTAGE_SETTING nearest to a voltage, at least 4.5 V. Raises ValueError outside 0..36 V."""
    if not 0.0 <= volts <= INPUT_CODES * INPUT_STEP_V:
        raise ValueError(f"the input is not held at {volts} V")
    return max(round(volts / INPUT_STEP_V) - 1, LOWEST_INPUT_CODE)


def charge_code(amperes: float, sense_ohm: float) -> int | None:
    """CHARGE_CURRENT_SETTING of the highest step that is not above a current; ``None`` below the lowest step.

    Raises ValueError for a negative current and for no number.
    """
    if not 0.0 <= amperes < math.inf:
        raise ValueError(f"{amperes} A is no charge current")
    steps = amperes * sense_ohm / CHARGE_STEP_V
    if steps >= CHARGE_CODES:
        return CHARGE_CODES - 1
    code = math.floor(steps + STEP_ERROR) - 1
    return code if code >= 0 else None


def _packed(code: int, highest: tuple[int, ...]) -> bytes:
    """Charge currents by temperature, none above the code."""
    word = 0
    for most in highest:
        word = word << 5 | min(code, most)
    return word.to_bytes(2, "little")


def _voltage(data: bytes, lsb_v: float, highest_v: float, what: str, place: Place) -> float:
    value = int.from_bytes(whole(data, 2, place), "little", signed=True) * lsb_v
    if not NEGATIVE_LIMIT_V <= value <= highest_v:
        raise place.error(Cause.IMPLAUSIBLE, f"{what} voltage {value:.3f} V")
    return value


@unique
class _Slow(IntEnum):
    """What is read in turn."""

    BATTERY = 0
    DIE = 1
    STATE = 2


_EVERYTHING = tuple(_Slow)


class Device(ConfiguredDevice):
    """One LTC4162-L."""

    def __init__(self, bus: I2cBus, address: int, settings: Settings) -> None:
        super().__init__(bus, address, settings.scrub_every)
        self.settings = settings
        self._suspended = settings.suspended
        self._tracking = settings.tracking
        self._config_held = False
        self._samples = 0
        self._overdue: list[_Slow] = []
        self._battery_v = 0.0
        self._die_c = 0.0
        self._state = 0
        self._faults: tuple[str, ...] = ()
        limit = settings.charge_limit_a
        self._profile = (EN_JEITA if settings.temperature_profile else 0).to_bytes(2, "little")
        self._most = CHARGE_CODES - 1 if limit is None else charge_code(limit, settings.battery_sense_ohm)

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
        """Plausibility, then limits and CONFIG_BITS as the settings say, with read-back: 10 or 14 transactions."""
        yield from self.identify()
        yield
        self._suspended = self.settings.suspended or self._most is None
        self._tracking = self.settings.tracking
        self._config_held = False
        yield from self._configure((
            _input_setting(LOWEST_INPUT_CODE), *self._charge_settings(self._most or 0),
            Setting("CHARGER_CONFIG_BITS", CHARGER_CONFIG_BITS, self._profile, b"\x01\x00"), self._config_bits(),
        ))
        self._config_held = True
        self._samples = 0
        self._overdue = list(_EVERYTHING)
        self._await_first_conversion()

    def acquire(self) -> Generator[None, None, SolarSample | None]:
        """One sample: 4 transactions, 5 or 6 in three of ``slow_every``, one more with a look at the configuration.

        ``None`` before the telemetry is valid.
        """
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
        due, self._overdue = self._due(), list(_EVERYTHING)  # all of them next time, if this one is broken off
        yield
        array = self._read(VIN, 2)
        yield
        array_current = self._read(IIN, 2)
        yield
        battery_current = self._read(IBAT, 2)
        for slow in due:
            yield
            yield from self._read_slow(slow)
        if self._scrub_due():
            yield
            self._scrub()
        volts = input_voltage_v(array, place)
        amperes = current_a(array_current, settings.input_sense_ohm, place)
        # A load on the battery may go beyond what the charger can show of it; the panel's values are good all the same.
        beyond = battery_current in _FULL_SCALE
        into_battery = None if beyond else current_a(battery_current, settings.battery_sense_ohm, place)
        self._overdue = []
        return SolarSample(
            volts, amperes, volts * amperes, self._battery_v, into_battery, self._die_c,
            bool(self._state & (PRECHARGE | CONSTANT_CURRENT_VOLTAGE)), _STATES[self._state], self._faults,
        )

    def suspend(self, suspended: bool) -> Generator[None, None, None]:
        """Stop or resume charging, with read-back: 2 transactions. Raises IMPLAUSIBLE. ``initialise`` undoes it."""
        self._suspended = suspended
        yield from self._order_config()

    def input_step(self, volts: float) -> float:
        """The voltage at which the input would really be held. Raises ValueError as ``input_code``."""
        return (input_code(volts) + 1) * INPUT_STEP_V

    def set_input_voltage(self, volts: float | None) -> Generator[None, None, None]:
        """Hold the input at a voltage, or leave it to the chip's tracking: 2 transactions, 4 on a change between them.

        Raises ValueError at once for a voltage that can't be held; IMPLAUSIBLE in the sequence for what doesn't read
        back. ``initialise`` undoes it.
        """
        return self._hold_input(None if volts is None else input_code(volts))

    def charge_step(self, amperes: float) -> float:
        """The charge current that would really be allowed, A; 0 where it suspends. Raises as ``charge_code``."""
        code = charge_code(amperes, self.settings.battery_sense_ohm)
        return 0.0 if code is None else (code + 1) * CHARGE_STEP_V / self.settings.battery_sense_ohm

    def set_charge_current(self, amperes: float) -> Generator[None, None, None]:
        """Allow the battery at most this current; below the lowest step charging is suspended. 2 or 4 transactions,
        4 more with a temperature profile.

        Raises as ``set_input_voltage``. ``initialise`` undoes it.
        """
        return self._limit_charge(charge_code(amperes, self.settings.battery_sense_ohm))

    def _hold_input(self, code: int | None) -> Generator[None, None, None]:
        tracking = code is None
        if code is not None:
            # Before the tracking ends, so that nothing older is ever regulated to.
            yield from self._order(_input_setting(code))
            if not self._tracking and self._config_held:
                return
            yield
        self._tracking = tracking
        yield from self._order_config()

    def _limit_charge(self, code: int | None) -> Generator[None, None, None]:
        if code is not None:
            for index, setting in enumerate(self._charge_settings(code)):
                if index:
                    yield
                yield from self._order(setting)
            if not self._suspended and self._config_held:
                return
            yield
        self._suspended = code is None
        yield from self._order_config()

    def _order_config(self) -> Generator[None, None, None]:
        self._config_held = False
        yield from self._order(self._config_bits())
        self._config_held = True

    def _config_bits(self) -> Setting:
        value = (
            FORCE_TELEMETRY | (TRACKING if self._tracking else 0) | (SUSPEND if self._suspended else 0)
            | (FAST_TELEMETRY if self.settings.fast_telemetry else 0)
        )
        return Setting("CONFIG_BITS", CONFIG_BITS, value.to_bytes(2, "little"), CONFIG_MASK)

    def _charge_settings(self, code: int) -> tuple[Setting, ...]:
        """Every place of a charge current that the chip heeds; unused bits may read as they like."""
        limit = Setting("CHARGE_CURRENT_SETTING", CHARGE_CURRENT_SETTING, code.to_bytes(2, "little"), b"\x1f\x00")
        if not self.settings.temperature_profile:
            return (limit,)
        return (
            limit, Setting("ICHARGE_JEITA_6_5", ICHARGE_JEITA_6_5, _packed(code, JEITA_RESET_6_5), b"\xff\x03"),
            Setting("ICHARGE_JEITA_4_3_2", ICHARGE_JEITA_4_3_2, _packed(code, JEITA_RESET_4_3_2), b"\xff\x7f"),
        )

    def _due(self) -> list[_Slow]:
        """What is to be read in this sample beside the telemetry that every sample has."""
        every = self.settings.slow_every
        self._samples += 1
        before, now = (self._samples - 1) * len(_EVERYTHING) // every, self._samples * len(_EVERYTHING) // every
        due = self._overdue
        for turn in range(before, now):
            slow = _EVERYTHING[turn % len(_EVERYTHING)]
            if slow not in due:
                due.append(slow)
        if self._samples >= every:
            self._samples = 0
        return due

    def _read_slow(self, slow: _Slow) -> Generator[None, None, None]:
        """One of them: 1 transaction, 2 for the state, whose meaning depends on the system status."""
        if slow is _Slow.BATTERY:
            self._battery_v = battery_voltage_v(self._read(VBAT, 2), self.settings.cells, self.place)
        elif slow is _Slow.DIE:
            self._die_c = die_temperature_c(self._read(DIE_TEMP, 2), self.place)
        else:
            state = charger_state(self._read(CHARGER_STATE, 2), self.place)
            yield
            status = system_status(self._read(SYSTEM_STATUS, 2), self.place)
            self._state, self._faults = state, self._fault_words(state, status)

    def _fault_words(self, state: int, status: int) -> tuple[str, ...]:
        faults = pmbus.words(status, _SYSTEM_FAULTS)
        if state & _FAULT_STATES:
            faults += (_STATES[state],)
        # Both bits are always set while the charger is off for another reason; they are news only where the input is
        # good, nobody suspended it, and it is suspended all the same.
        if state == SUSPENDED and status & INPUT_ABOVE_BATTERY and not status & CHARGER_ACTIVE and not self._suspended:
            faults += pmbus.words(status, _BLOCKING_FAULTS)
        return faults


def _input_setting(code: int) -> Setting:
    return Setting("INPUT_UNDERVOLTAGE_SETTING", INPUT_UNDERVOLTAGE_SETTING, code.to_bytes(2, "little"), b"\xff\x00")


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
    Register("ICHARGE_JEITA_6_5", ICHARGE_JEITA_6_5, 2, Access.WRITE),
    Register("ICHARGE_JEITA_4_3_2", ICHARGE_JEITA_4_3_2, 2, Access.WRITE),
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
    Oracle(OracleKind.FORMULA, "input regulation voltage and charge current: the data sheet's equations"),
)
