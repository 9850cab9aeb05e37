"""Analog Devices LTC3350, supercapacitor charger and monitor: stack, input and charge current of one look, in SI.

Register map and scales: LTC3350 datasheet, "Register Map"; SMBus words, low byte first. MEAS_VCAP 26h 1.476 mV,
MEAS_VIN 25h 2.21 mV, MEAS_ICHG 29h 1.983 uV / R_SNSC (28h is the *input* current), MEAS_CAP 1Eh 336 uF x RT / RTST,
MEAS_ESR 1Fh R_SNSC / 64, CHRG_STATUS 1Bh, MON_STATUS 1Ch, NUM_CAPS 1Ah (cells - 1), CAP_ESR_PER 04h (10 s).

A sample is four transactions: VCAP, VIN, ICHG, CHRG_STATUS, each a later slot of the same look. Every ``slow_every``
samples one more register is read in turn: CAP_ESR_PER (a chip that restarted has forgotten it), MON_STATUS, MEAS_CAP,
MEAS_ESR. Capacitance and ESR are results that the chip measures seldom and keeps; the sample carries the chip's last
finished one as last read here, and ``None`` before the first, after a failed one, and after ``initialise``.

The chip has no identity register: NUM_CAPS must agree with ``cells``, and the measurement period must hold. Where VCAP
and VIN read all zeros or all ones, NUM_CAPS is read again before they are believed (one cell has NUM_CAPS = 0, so there
such a reading is refused).

Held against: the register scales of the maker's own software and of the driver proposed for Linux (formula only).
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Annotated

from msgspec import Meta, Struct

from drivers.bus.protocol import I2cBus
from drivers.device import NOWHERE, Place, RegisterDevice, whole
from drivers.errors import Cause
from drivers.samples import SupercapSample

__all__ = [
    "Device", "Settings", "capacitance_f", "cell_voltage_v", "charge_current_a", "charging", "esr_ohm",
    "input_voltage_v", "stack_voltage_v",
]

CAP_ESR_PER = 0x04
NUM_CAPS = 0x1A
CHRG_STATUS = 0x1B
MON_STATUS = 0x1C
MEAS_CAP = 0x1E
MEAS_ESR = 0x1F
MEAS_VCAP1 = 0x20
MEAS_VIN = 0x25
MEAS_VCAP = 0x26
MEAS_ICHG = 0x29

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

_SLOW_REGISTERS = (CAP_ESR_PER, MON_STATUS, MEAS_CAP, MEAS_ESR)
_DEAD = (bytes(4), b"\xff" * 4)


class Settings(Struct, frozen=True, forbid_unknown_fields=True):
    """The stack and its sense resistors.

    ``sense_ohm`` is the charge-current sense resistor R_SNSC. ``full_voltage_v`` is the stack's full charge, for the
    plane. ``rt_ohm`` sets the switching frequency and ``rtst_ohm`` the test current; their ratio scales the
    capacitance. ``capacitance_period_s`` is how often the chip measures it by itself, 0 for never.
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
    """MEAS_ICHG in amperes, positive into the stack. Raises IMPLAUSIBLE at either end of the converter's range."""
    raw = int.from_bytes(whole(data, 2, place), "little", signed=True)
    if raw in (-0x8000, 0x7FFF):
        raise place.error(Cause.IMPLAUSIBLE, "charge current is at full scale")
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


class Device(RegisterDevice):
    """One LTC3350."""

    def __init__(self, bus: I2cBus, address: int, settings: Settings) -> None:
        super().__init__(bus, address)
        self.settings = settings
        self._period = (settings.capacitance_period_s // 10).to_bytes(2, "little")
        self._samples = 0
        self._turn = 0
        self._suspect = False
        self._has_capacitance = self._has_esr = False
        self._capacitance_f: float | None = None
        self._esr_ohm: float | None = None

    def initialise(self) -> Generator[None, None, None]:
        """Probe by the number of cells, then the measurement period with read-back: 3 transactions."""
        self._check_cells()
        yield
        yield from self._write_verified(CAP_ESR_PER, self._period, "CAP_ESR_PER")
        self._samples = self._turn = 0
        self._has_capacitance = self._has_esr = False
        self._suspect = False
        self._capacitance_f = self._esr_ohm = None

    def acquire(self) -> Generator[None, None, SupercapSample]:
        """One sample: 4 transactions, 5 in every ``slow_every``-th."""
        if self._suspect:
            self._check_period()
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
            yield
            self._slow(_SLOW_REGISTERS[self._turn])
            self._turn = (self._turn + 1) % len(_SLOW_REGISTERS)
        settings = self.settings
        return SupercapSample(
            stack_voltage_v(stack, settings.cells, self.place), input_voltage_v(source, self.place),
            charge_current_a(current, settings.sense_ohm, self.place), self._capacitance_f, self._esr_ohm,
            charging(status, self.place),
        )

    def _slow(self, register: int) -> None:
        """One transaction: the register, or MON_STATUS instead of a result that the chip does not have."""
        settings = self.settings
        if register == CAP_ESR_PER:
            self._check_period()
        elif register == MEAS_CAP and self._has_capacitance:
            data = self._read(MEAS_CAP, 2)
            self._capacitance_f = capacitance_f(data, settings.rt_ohm, settings.rtst_ohm, self.place)
        elif register == MEAS_ESR and self._has_esr:
            self._esr_ohm = esr_ohm(self._read(MEAS_ESR, 2), settings.sense_ohm, self.place)
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

    def _check_period(self) -> None:
        """A mismatch stays suspect: until the period is seen right again, no sample is made."""
        self._suspect = True
        self._expect(CAP_ESR_PER, self._period, Cause.IMPLAUSIBLE, "the chip restarted: CAP_ESR_PER")
        self._suspect = False
