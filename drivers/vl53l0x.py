"""ST VL53L0X, laser range along one beam: each measurement is given once, and only if the part itself vouches for it.

Registers: ST DS11555 (VL53L0X), section 3 (I2C, burst reads step the pointer on), table 4 (reference values C0h = EEh,
C1h = AAh, C2h = 10h), and ST UM2039; registers beyond these as Linux's vl53l0x-i2c.c and ST's public API use them:
00h SYSRANGE_START (01h: one measurement), 0Ah interrupt on a new sample (04h), 0Bh interrupt clear, 13h bits 2..0 the
interrupt that is pending, 14h..1Fh the result: range status (bit 0 complete, bits 6..3 device error), +6 signal rate
(9.7 fixed point, Mcps), +10 range in mm, most significant byte first; 8190 and 8191 mean that nothing came back.

The part runs on its factory tuning, as under Linux. A measurement takes 33 ms; nothing waits for it: ``acquire`` takes
the result of the measurement that the call before it began, and begins the next, so poll below 25 Hz. The bus is held
for four short transactions: interrupt and result in one read (so both belong together), clear, proof that it is clear
(so no result is given twice), start. A measurement that does not end makes ``None`` and, after a while, STALE_COUNTER.
"""

from __future__ import annotations

from collections.abc import Generator
from struct import Struct as Layout
from types import MappingProxyType
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
from drivers.samples import RangeSample

__all__ = ["CODECS", "ORACLES", "REGISTERS", "Device", "Settings", "measurement"]

ORACLES = (Oracle(OracleKind.LINUX, "vl53l0x-i2c over 11 results"),)

SYSRANGE_START = 0x00
INTERRUPT_CONFIG = 0x0A
INTERRUPT_CLEAR = 0x0B
INTERRUPT_STATUS = 0x13
RANGE_STATUS = 0x14
MODEL_ID = 0xC0

MODEL = b"\xee\xaa"
ONCE = b"\x01"
NEW_SAMPLE = 0x04
CLEAR = b"\x01"
PENDING = 0x07

COMPLETE = 0x01
DEVICE_ERROR = 0x78
RANGE_COMPLETE = 11
MM_PER_M = 1000.0
NOTHING_MM = 8190
FARTHEST_MM = 4000
"""Twice what the part can range; a complete measurement beyond it would be one of another part."""
SIGNAL_LSB_MCPS = 1.0 / 128.0

RESULT_LENGTH = 12
_RESULT = Layout(">B5xHxxH")
_WORDS = MappingProxyType({
    0: "no measurement", 1: "laser continuity", 2: "laser watchdog", 3: "no reference voltage", 4: "no target",
    5: "signal too weak", 6: "phase", 7: "sigma too large", 8: "test of the converter", 9: "phase inconsistent",
    10: "below the minimum", RANGE_COMPLETE: "valid", 12: "underflow", 13: "overflow", 14: "range ignored",
})
"""Device errors by their code (ST's API, VL53L0X_DEVICEERROR); 15 has no meaning."""

DISMISSALS = 2
"""Times that a result is dismissed: a measurement that was under way may end between the first and the look at it."""

_CONFIGURED = Setting("interrupt configuration", INTERRUPT_CONFIG, bytes((NEW_SAMPLE,)))

REGISTERS = (
    Register("SYSRANGE_START", SYSRANGE_START, 1, Access.WRITE),
    Register("SYSTEM_SEQUENCE_CONFIG", 0x01, 1, Access.WRITE),
    Register("SYSTEM_INTERRUPT_CONFIG_GPIO", INTERRUPT_CONFIG, 1, Access.WRITE),
    Register("SYSTEM_INTERRUPT_CLEAR", INTERRUPT_CLEAR, 1, Access.WRITE),
    Register("RESULT_INTERRUPT_STATUS", INTERRUPT_STATUS, 1), Register("RESULT", RANGE_STATUS, RESULT_LENGTH),
    Register("GPIO_HV_MUX_ACTIVE_HIGH", 0x84, 1, Access.WRITE), Register("I2C_SLAVE_DEVICE_ADDRESS", 0x8A, 1),
    Register("MODEL_ID", MODEL_ID, 2), Register("REVISION_ID", 0xC2, 1),
)


class Settings(Struct, frozen=True, forbid_unknown_fields=True):
    """``offset_m`` is added to every range (cover glass, mounting). ``scrub_every``: samples between two looks."""

    offset_m: Annotated[float, Meta(ge=-0.5, le=0.5)] = 0.0
    scrub_every: Annotated[int, Meta(ge=0, le=10_000)] = 32


def measurement(data: bytes, place: Place = NOWHERE) -> RangeSample:
    """Range in m, signal rate in Mcps and the part's word on it, from the 12 bytes from 14h on.

    ``range_m`` is ``None`` where nothing came back or the part names an error.

    Raises:
        DeviceError: IMPLAUSIBLE for a measurement that is not complete (all zeros), an unknown device error (all
            ones), a valid range beyond any the part has; SHORT_READ.
    """
    if len(data) != RESULT_LENGTH:
        whole(data, RESULT_LENGTH, place)
    status, signal, range_mm = _RESULT.unpack(data)
    word = _WORDS.get((status & DEVICE_ERROR) >> 3)
    if not status & COMPLETE or word is None:
        raise place.error(Cause.IMPLAUSIBLE, f"range status {status:02x}h")
    strength = signal * SIGNAL_LSB_MCPS
    if word != "valid":
        return RangeSample(None, strength, None, word)
    if range_mm >= NOTHING_MM:
        return RangeSample(None, strength, None, "no target")
    if range_mm > FARTHEST_MM:
        raise place.error(Cause.IMPLAUSIBLE, f"a valid range of {range_mm} mm")
    return RangeSample(range_mm / MM_PER_M, strength, None, word)


CODECS = (Codec("RESULT", measurement, RESULT_LENGTH),)


class Device(ConfiguredDevice):
    """One VL53L0X."""

    def __init__(self, bus: I2cBus, address: int, settings: Settings) -> None:
        super().__init__(bus, address, settings.scrub_every)
        self.settings = settings
        self._begun = False

    def identify(self) -> Generator[None, None, str]:
        """Model and revision: 1 transaction. Raises WRONG_ID."""
        yield from ()
        data = self._read(MODEL_ID, 3)
        if data[:2] != MODEL:
            raise self.place.error(Cause.WRONG_ID, f"model id is {data[:2].hex()}h instead of {MODEL.hex()}h")
        return f"ST VL53L0X revision {data[2]:02x}h"

    def initialise(self) -> Generator[None, None, None]:
        """Identity, interrupt with read-back, an old result dismissed, the first measurement begun: 6 transactions."""
        yield from self.identify()
        yield
        yield from self._configure((_CONFIGURED,))
        yield
        yield from self._begin()

    def acquire(self) -> Generator[None, None, RangeSample | None]:
        """What was measured since the last call: 4 transactions, now and then 5; ``None`` while it isn't finished.

        Raises:
            DeviceError: as ``measurement``; STALE_COUNTER, RESET.
        """
        if self._lost is not None:
            self._scrub()
            yield
        if not self._begun:
            # The beginning failed on the way: nothing runs, and nothing would ever end.
            yield from self._begin()
            return None
        data = self._read(INTERRUPT_STATUS, 1 + RESULT_LENGTH)
        pending = data[0] & PENDING
        if pending not in (0, NEW_SAMPLE):
            raise self.place.error(Cause.IMPLAUSIBLE, f"interrupt status {data[0]:02x}h")
        if not pending:
            # A part that restarted has forgotten both the measurement and the interrupt.
            yield
            self._lost = _CONFIGURED
            self._scrub()
            self._not_converted()
            return None
        yield
        yield from self._begin()
        if self._scrub_due():
            yield
            self._scrub()
        sample = measurement(data[1:], self.place)
        if sample.range_m is None or not self.settings.offset_m:
            return sample
        return RangeSample(sample.range_m + self.settings.offset_m, sample.strength, None, sample.status)

    def _begin(self) -> Generator[None, None, None]:
        """Dismiss a result, prove that it is gone, begin a measurement: 3 transactions, or 5."""
        self._begun = False
        for look in range(DISMISSALS):
            if look:
                yield
            self._write(INTERRUPT_CLEAR, CLEAR)
            yield
            pending = self._read(INTERRUPT_STATUS, 1)[0]
            if not pending & PENDING:
                break
        else:
            raise self.place.error(Cause.STALE_COUNTER, f"interrupt status stays {pending:02x}h: a result can't be new")
        yield
        self._write(SYSRANGE_START, ONCE)
        self._begun = True
        self._await_first_conversion()
