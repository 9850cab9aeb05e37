"""Analog Devices LTC3350, supercapacitor charger and monitor: stack, input and charge current of one look, its target.

Register map and scales: LTC3350 datasheet, "Register Map"; SMBus words, low byte first. MEAS_VCAP 26h 1.476 mV,
MEAS_VIN 25h 2.21 mV, MEAS_ICHG 29h 1.983 uV / R_SNSC (28h is the *input* current), MEAS_CAP 1Eh 336 uF x RT / RTST,
MEAS_ESR 1Fh R_SNSC / 64, CHRG_STATUS 1Bh, MON_STATUS 1Ch, NUM_CAPS 1Ah (cells - 1), CAP_ESR_PER 04h (10 s).

The stack is charged until its feedback pin has the reference, 37.5 mV x VCAPFB_DAC (05h, 4 bits) + 637.5 mV; the
divider is such that the highest, 1.2 V (as after reset), is ``full_voltage_v``. The lowest is 53 % of that voltage,
28 % of the energy; a lower target is held as the lowest. An ordered target is part of the configuration that is looked
at again; ``initialise`` puts the full one back, and whoever gave the order must repeat it.

A sample is four transactions: VCAP, VIN, ICHG, CHRG_STATUS, each a later slot of the same look. Every ``slow_every``
samples one more register is read in turn: CAP_ESR_PER (a chip that restarted has forgotten it), MON_STATUS or
VCAPFB_DAC, MEAS_CAP, MEAS_ESR. Capacitance and ESR are results that the chip measures seldom and keeps; the sample
carries the chip's last finished one as last read here, and ``None`` before the first, after a failed one, and after
``initialise``.

A current beyond the converter's range is ``None``: a burst out of a nearly empty stack goes there, and its voltage is
good all the same. Everything else that cannot be is refused.

The chip has no identity register: NUM_CAPS must agree with ``cells``, the die temperature (2Ah, 0.028 deg C less 251.4)
must be possible, which it isn't at all zeros or all ones, and the measurement period must hold. A period of 0 is the
reset value, so with it a restart doesn't show. Where VCAP
and VIN read all zeros or all ones, NUM_CAPS is read again before they are believed (one cell has NUM_CAPS = 0, so there
such a reading is refused).
"""

from __future__ import annotations

import math
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
from drivers.errors import Cause, DeviceError
from drivers.samples import SupercapSample

__all__ = [
    "CODECS", "ORACLES", "REGISTERS", "Device", "Settings", "capacitance_f", "cell_voltage_v", "charge_current_a",
    "charging", "die_temperature_c", "esr_ohm", "input_voltage_v", "stack_voltage_v", "target_code",
]

ORACLES = (
    Oracle(OracleKind.FORMULA, "register scales of the maker's own software and of the driver proposed for Linux"),
)

CAP_ESR_PER = 0x04
VCAPFB_DAC = 0x05
NUM_CAPS = 0x1A
CHRG_STATUS = 0x1B
MON_STATUS = 0x1C
MEAS_CAP = 0x1E
MEAS_ESR = 0x1F
MEAS_VCAP1 = 0x20
MEAS_VIN = 0x25
MEAS_VCAP = 0x26
MEAS_ICHG = 0x29
MEAS_DTEMP = 0x2A

VCELL_LSB_V = 183.5e-6
VIN_LSB_V = 2.21e-3
VCAP_LSB_V = 1.476e-3
SENSE_LSB_V = 1.983e-6
CAP_LSB_F = 336e-6
"""Times RT / RTST, with ctl_cap_scale = 0."""
ESR_SHARE = 1.0 / 64.0

STEPDOWN = 1 << 0
STEPUP = 1 << 1
CHRG_RESERVED = 0xF400
CAP_DONE = 1 << 3
ESR_DONE = 1 << 4
CAP_FAILED = 1 << 5
ESR_FAILED = 1 << 6
MON_RESERVED = 0xFC80

VIN_LIMIT_V = 40.0
CELL_LIMIT_V = 5.5
"""Four cells of 5.5 V are the stack pin's absolute maximum of 22 V."""
NEGATIVE_LIMIT_V = -0.1
DTEMP_LSB_C = 0.028
DTEMP_OFFSET_C = -251.4
DTEMP_LIMITS_C = (-55.0, 155.0)

REFERENCE_STEP_V = 0.0375
REFERENCE_LOWEST_V = 0.6375
REFERENCE_HIGHEST_V = 1.2
HIGHEST_CODE = 15
STEP_ERROR = 1e-9
"""Share of a step by which a voltage computed from a step may miss it."""

_SLOW_REGISTERS = (
    CAP_ESR_PER, MON_STATUS, MEAS_CAP, MEAS_ESR, CAP_ESR_PER, VCAPFB_DAC, MEAS_CAP, MEAS_ESR,
)
_CONFIGURED = (CAP_ESR_PER, VCAPFB_DAC)
"""Registers of the configuration in the order of its table."""
_DEAD = (bytes(4), b"\xff" * 4)
_FULL_SCALE = (b"\xff\x7f", b"\x00\x80")

REGISTERS = (
    Register("CLR_ALARMS", 0x00, 2, Access.WRITE), Register("MSK_ALARMS", 0x01, 2, Access.WRITE),
    Register("MSK_MON_STATUS", 0x02, 2, Access.WRITE), Register("CAP_ESR_PER", CAP_ESR_PER, 2, Access.WRITE),
    Register("VCAPFB_DAC", VCAPFB_DAC, 2, Access.WRITE), Register("VSHUNT", 0x06, 2, Access.WRITE),
    Register("CAP_UV_LVL", 0x07, 2, Access.WRITE), Register("CAP_OV_LVL", 0x08, 2, Access.WRITE),
    Register("GPI_UV_LVL", 0x09, 2, Access.WRITE), Register("GPI_OV_LVL", 0x0A, 2, Access.WRITE),
    Register("VIN_UV_LVL", 0x0B, 2, Access.WRITE), Register("VIN_OV_LVL", 0x0C, 2, Access.WRITE),
    Register("VCAP_UV_LVL", 0x0D, 2, Access.WRITE), Register("VCAP_OV_LVL", 0x0E, 2, Access.WRITE),
    Register("VOUT_UV_LVL", 0x0F, 2, Access.WRITE), Register("VOUT_OV_LVL", 0x10, 2, Access.WRITE),
    Register("IIN_OC_LVL", 0x11, 2, Access.WRITE), Register("ICHG_UC_LVL", 0x12, 2, Access.WRITE),
    Register("DTEMP_COLD_LVL", 0x13, 2, Access.WRITE), Register("DTEMP_HOT_LVL", 0x14, 2, Access.WRITE),
    Register("ESR_HI_LVL", 0x15, 2, Access.WRITE), Register("CAP_LO_LVL", 0x16, 2, Access.WRITE),
    Register("CTL_REG", 0x17, 2, Access.WRITE), Register("NUM_CAPS", NUM_CAPS, 2),
    Register("CHRG_STATUS", CHRG_STATUS, 2), Register("MON_STATUS", MON_STATUS, 2), Register("ALARM_REG", 0x1D, 2),
    Register("MEAS_CAP", MEAS_CAP, 2), Register("MEAS_ESR", MEAS_ESR, 2), Register("MEAS_VCAP1", MEAS_VCAP1, 2),
    Register("MEAS_VCAP2", 0x21, 2), Register("MEAS_VCAP3", 0x22, 2), Register("MEAS_VCAP4", 0x23, 2),
    Register("MEAS_GPI", 0x24, 2), Register("MEAS_VIN", MEAS_VIN, 2), Register("MEAS_VCAP", MEAS_VCAP, 2),
    Register("MEAS_VOUT", 0x27, 2), Register("MEAS_IIN", 0x28, 2), Register("MEAS_ICHG", MEAS_ICHG, 2),
    Register("MEAS_DTEMP", MEAS_DTEMP, 2),
)


class Settings(Struct, frozen=True, forbid_unknown_fields=True):
    """The stack and its sense resistors.

    ``sense_ohm`` is the charge-current sense resistor R_SNSC. ``full_voltage_v`` is the stack's full charge, to which
    the highest reference charges it. ``rt_ohm`` sets the switching frequency and ``rtst_ohm`` the test current; their
    ratio scales the capacitance. ``capacitance_period_s`` is how often the chip measures it by itself, 0 for never.
    """

    cells: Annotated[int, Meta(ge=1, le=4)]
    full_voltage_v: Annotated[float, Meta(gt=0.0, le=22.0)]
    sense_ohm: Annotated[float, Meta(gt=0.0, le=1.0)]
    rt_ohm: Annotated[float, Meta(gt=0.0, le=1e6)] = 107_000.0
    rtst_ohm: Annotated[float, Meta(gt=0.0, le=1e5)] = 121.0
    capacitance_period_s: Annotated[int, Meta(ge=0, le=655_350, multiple_of=10)] = 3600
    slow_every: Annotated[int, Meta(ge=1, le=1000)] = 4


def stack_voltage_v(data: bytes, cells: int = 4, place: Place = NOWHERE) -> float:
    """MEAS_VCAP in volts. Raises IMPLAUSIBLE below -0.1 V or above 5.5 V a cell."""
    return _voltage(data, VCAP_LSB_V, cells * CELL_LIMIT_V, "stack", place)


def input_voltage_v(data: bytes, place: Place = NOWHERE) -> float:
    """MEAS_VIN in volts. Raises IMPLAUSIBLE outside -0.1..40 V."""
    return _voltage(data, VIN_LSB_V, VIN_LIMIT_V, "input", place)


def cell_voltage_v(data: bytes, place: Place = NOWHERE) -> float:
    """MEAS_VCAP1..4 in volts. Raises IMPLAUSIBLE outside -0.1..5.5 V."""
    return _voltage(data, VCELL_LSB_V, CELL_LIMIT_V, "cell", place)


def charge_current_a(data: bytes, sense_ohm: float, place: Place = NOWHERE) -> float:
    """MEAS_ICHG in amperes, positive into the stack. Raises OVER_RANGE at either end of the converter's range."""
    raw = int.from_bytes(whole(data, 2, place), "little", signed=True)
    if raw in (-0x8000, 0x7FFF):
        raise place.error(Cause.OVER_RANGE, "charge current is at full scale")
    return raw * SENSE_LSB_V / sense_ohm


def capacitance_f(data: bytes, rt_ohm: float, rtst_ohm: float, place: Place = NOWHERE) -> float:
    """MEAS_CAP in farads. Raises IMPLAUSIBLE for zero or all ones."""
    return _measured(data, "capacitance", place) * CAP_LSB_F * rt_ohm / rtst_ohm


def esr_ohm(data: bytes, sense_ohm: float, place: Place = NOWHERE) -> float:
    """MEAS_ESR in ohms. Raises IMPLAUSIBLE for zero or all ones."""
    return _measured(data, "ESR", place) * sense_ohm * ESR_SHARE


def charging(data: bytes, place: Place = NOWHERE) -> bool:
    """Whether CHRG_STATUS says step-down, that is charging. Raises IMPLAUSIBLE for reserved bits or both directions."""
    status = int.from_bytes(whole(data, 2, place), "little")
    if status & CHRG_RESERVED or (status & STEPDOWN and status & STEPUP):
        raise place.error(Cause.IMPLAUSIBLE, f"charger status {status:04x}h")
    return bool(status & STEPDOWN)


def die_temperature_c(data: bytes, place: Place = NOWHERE) -> float:
    """MEAS_DTEMP in deg C. Raises IMPLAUSIBLE outside -55..155 deg C; all zeros and all ones are far outside."""
    raw = int.from_bytes(whole(data, 2, place), "little", signed=True)
    value = raw * DTEMP_LSB_C + DTEMP_OFFSET_C
    if not DTEMP_LIMITS_C[0] <= value <= DTEMP_LIMITS_C[1]:
        raise place.error(Cause.IMPLAUSIBLE, f"die temperature {value:.1f} deg C")
    return value


def target_code(volts: float, full_voltage_v: float) -> int:
    """VCAPFB_DAC of the highest step that is not above a stack voltage, 0 below the lowest step, 15 beyond the highest.

    Raises ValueError for no number and for a negative one.
    """
    if not volts >= 0.0:
        raise ValueError(f"the stack is not charged to {volts} V")
    reference = min(volts / full_voltage_v, 1.0) * REFERENCE_HIGHEST_V
    return max(math.floor((reference - REFERENCE_LOWEST_V) / REFERENCE_STEP_V + STEP_ERROR), 0)


def _voltage(data: bytes, lsb_v: float, highest_v: float, what: str, place: Place) -> float:
    value = int.from_bytes(whole(data, 2, place), "little", signed=True) * lsb_v
    if not NEGATIVE_LIMIT_V <= value <= highest_v:
        raise place.error(Cause.IMPLAUSIBLE, f"{what} voltage {value:.3f} V")
    return value


def _measured(data: bytes, what: str, place: Place) -> int:
    raw = int.from_bytes(whole(data, 2, place), "little")
    if raw in (0, 0xFFFF):
        raise place.error(Cause.IMPLAUSIBLE, f"{what} register is {raw:04x}h")
    return raw


def _target(code: int) -> Setting:
    return Setting("VCAPFB_DAC", VCAPFB_DAC, code.to_bytes(2, "little"), b"\x0f\x00")


CODECS = (
    Codec("MEAS_VCAP, 4 cells", stack_voltage_v, 2), Codec("MEAS_VIN", input_voltage_v, 2),
    Codec("MEAS_VCAP1..4", cell_voltage_v, 2),
    Codec("MEAS_ICHG, 6 mOhm", partial(charge_current_a, sense_ohm=0.006), 2),
    Codec("MEAS_CAP, 107 kOhm and 121 Ohm", partial(capacitance_f, rt_ohm=107_000.0, rtst_ohm=121.0), 2),
    Codec("MEAS_ESR, 6 mOhm", partial(esr_ohm, sense_ohm=0.006), 2), Codec("CHRG_STATUS: charging", charging, 2),
    Codec("MEAS_DTEMP", die_temperature_c, 2),
)


class Device(ConfiguredDevice):
    """One LTC3350."""

    def __init__(self, bus: I2cBus, address: int, settings: Settings) -> None:
        super().__init__(bus, address, scrub_every=0)  # in turn with the slow registers instead
        self.settings = settings
        period = (settings.capacitance_period_s // 10).to_bytes(2, "little")
        self._table = (Setting("CAP_ESR_PER", CAP_ESR_PER, period), _target(HIGHEST_CODE))
        self._samples = 0
        self._turn = 0
        self._has_capacitance = self._has_esr = False
        self._capacitance_f: float | None = None
        self._esr_ohm: float | None = None

    def identify(self) -> Generator[None, None, str]:
        """The part has no identity: its number of cells and a possible die temperature, 2 transactions."""
        self._check_cells()
        yield
        try:
            temperature = die_temperature_c(self._read(MEAS_DTEMP, 2), self.place)
        except DeviceError as error:
            if error.cause is not Cause.IMPLAUSIBLE:
                raise
            raise self.place.error(Cause.WRONG_ID, error.detail) from None
        return f"ADI LTC3350 by its {self.settings.cells} cells and die at {temperature:.0f} deg C (it has no identity)"

    def initialise(self) -> Generator[None, None, None]:
        """Probe by the number of cells, then measurement period and full target with read-back: 5 transactions."""
        self._check_cells()
        yield
        yield from self._configure(self._table)
        self._samples = self._turn = 0
        self._has_capacitance = self._has_esr = False
        self._capacitance_f = self._esr_ohm = None

    def acquire(self) -> Generator[None, None, SupercapSample]:
        """One sample: 4 transactions, 5 in every ``slow_every``-th."""
        if self._lost is not None:
            self._scrub()
            yield
        stack = self._read(MEAS_VCAP, 2)
        yield
        source = self._read(MEAS_VIN, 2)
        yield
        current = self._read(MEAS_ICHG, 2)
        yield
        status = self._read(CHRG_STATUS, 2)
        if stack + source in _DEAD:
            yield
            if self.settings.cells == 1:
                raise self.place.error(Cause.IMPLAUSIBLE, "nothing but equal bits, and no register to disprove it")
            self._check_cells()
        self._samples += 1
        if self._samples >= self.settings.slow_every:
            self._samples = 0
            register = _SLOW_REGISTERS[self._turn]
            # The turn goes on whatever becomes of it: a result that is refused again and again must not hide a restart.
            self._turn = (self._turn + 1) % len(_SLOW_REGISTERS)
            yield
            self._slow(register)
        settings = self.settings
        into_stack = None if current in _FULL_SCALE else charge_current_a(current, settings.sense_ohm, self.place)
        return SupercapSample(
            stack_voltage_v(stack, settings.cells, self.place), input_voltage_v(source, self.place), into_stack,
            self._capacitance_f, self._esr_ohm, charging(status, self.place),
        )

    def target_step(self, volts: float) -> float:
        """The stack voltage to which it would really be charged. Raises as ``target_code``."""
        full_v = self.settings.full_voltage_v
        code = target_code(volts, full_v)
        return full_v * (REFERENCE_LOWEST_V + REFERENCE_STEP_V * code) / REFERENCE_HIGHEST_V

    def set_target(self, volts: float) -> Generator[None, None, None]:
        """Charge the stack up to this voltage, with read-back: 2 transactions. ``initialise`` undoes it.

        Raises ValueError at once as ``target_code``; IMPLAUSIBLE in the sequence for what doesn't read back.
        """
        return self._order(_target(target_code(volts, self.settings.full_voltage_v)))

    def _slow(self, register: int) -> None:
        """One transaction: the register, or MON_STATUS instead of a result that the chip does not have."""
        settings = self.settings
        if register in _CONFIGURED:
            self._scrub_turn = _CONFIGURED.index(register)
            self._scrub()
        elif register == MEAS_CAP and self._has_capacitance:
            data = self._read(MEAS_CAP, 2)
            self._capacitance_f = None  # one that is refused is not followed by an older one
            self._capacitance_f = capacitance_f(data, settings.rt_ohm, settings.rtst_ohm, self.place)
        elif register == MEAS_ESR and self._has_esr:
            data = self._read(MEAS_ESR, 2)
            self._esr_ohm = None
            self._esr_ohm = esr_ohm(data, settings.sense_ohm, self.place)
        else:
            self._read_monitor()

    def _read_monitor(self) -> None:
        word = int.from_bytes(self._read(MON_STATUS, 2), "little")
        if word & MON_RESERVED:
            raise self.place.error(Cause.IMPLAUSIBLE, f"monitor status {word:04x}h")
        self._has_capacitance = word & (CAP_DONE | CAP_FAILED) == CAP_DONE
        self._has_esr = word & (ESR_DONE | ESR_FAILED) == ESR_DONE
        if not self._has_capacitance:
            self._capacitance_f = None
        if not self._has_esr:
            self._esr_ohm = None

    def _check_cells(self) -> None:
        word = int.from_bytes(self._read(NUM_CAPS, 2), "little")
        if word == 0xFFFF or word & 0x3 != self.settings.cells - 1:
            raise self.place.error(Cause.WRONG_ID, f"NUM_CAPS is {word:04x}h for {self.settings.cells} cells")
