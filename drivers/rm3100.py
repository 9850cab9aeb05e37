"""PNI RM3100, three-axis magnetometer: one conversion of all three axes, and only if it is new.

Register map: PNI RM3100 user manual (Doc 1017252), chapter 5; values Linux's rm3100-core.c uses: cycle counts 04h..09h,
TMRC 0Bh, results 24h..2Ch (three 24-bit two's complement numbers, most significant byte first), STATUS 34h bit 7 DRDY,
REVID 36h = 22h; sensitivity 20, 38, 75 LSB/uT at 50, 100, 200 cycles.

A sample is two transactions: STATUS, then nine result bytes in one read. DRDY is set by a finished conversion and
cleared by reading the results, so a set flag proves that what follows is new; a chip that lost its supply stops
converting and its flag stays clear. (Comparing bytes instead would save a transaction and mistake a quiet field for a
frozen chip.) The manual warns that reading CMM or writing TMRC ends continuous mode: CMM is written last and never
read back; the data-ready flag is the proof. Poll below the conversion rate.

Held against: the scale in Linux's rm3100 driver (formula only: nothing independent runs).
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Annotated, Literal

from msgspec import Meta, Struct

from drivers.bus.protocol import I2cBus
from drivers.device import NOWHERE, Place, RegisterDevice, whole
from drivers.errors import Cause
from drivers.samples import FieldSample

__all__ = ["LSB_PER_UT", "Device", "Settings", "axis_t", "field"]

CMM = 0x01
CYCLE_COUNTS = 0x04
TMRC = 0x0B
RESULTS = 0x24
STATUS = 0x34
REVID = 0x36

REVISION = b"\x22"
ALL_AXES_CONTINUOUS = b"\x71"
"""CMZ, CMY, CMX, START; DRDM = 0: data ready after all three axes."""
STOPPED = b"\x00"
DATA_READY = 0x80

LSB_PER_UT = {50: 20.0, 100: 38.0, 200: 75.0}
"""Sensitivity by cycle count (manual, table 3-1)."""
LIMIT_T = 1.1e-3
"""The part measures +-800 uT; beyond this no coil or magnet on the craft reaches."""
_DEAD = (bytes(9), b"\xff" * 9)

_TMRC_600_HZ = 0x92
"""Each step up halves the rate: 92h 600 Hz ... 95h 75 Hz, 96h 37 Hz ... 9Fh 0.075 Hz."""


class Settings(Struct, frozen=True, forbid_unknown_fields=True):
    """``rate_halvings``: conversion rate = 600 Hz / 2^n; 3 is 75 Hz, which 200 cycles on three axes allow."""

    cycle_count: Literal[50, 100, 200] = 200
    rate_halvings: Annotated[int, Meta(ge=1, le=13)] = 3


def axis_t(data: bytes, lsb_per_ut: float, place: Place = NOWHERE) -> float:
    """Flux density of one axis in tesla from 3 bytes. Raises IMPLAUSIBLE beyond the part's range."""
    value = int.from_bytes(whole(data, 3, place), "big", signed=True) / lsb_per_ut * 1e-6
    if not -LIMIT_T <= value <= LIMIT_T:
        raise place.error(Cause.IMPLAUSIBLE, f"field of {value * 1e6:.0f} uT")
    return value


def field(data: bytes, lsb_per_ut: float, place: Place = NOWHERE) -> FieldSample:
    """Flux density in tesla, sensor frame, from the nine result bytes.

    Raises:
        DeviceError: IMPLAUSIBLE beyond the range, and for all zeros or all ones: noise alone (15 nT) moves the three
            axes off a common 0 or -1 LSB, and no orbit is free of field; SHORT_READ.
    """
    if whole(data, 9, place) in _DEAD:
        raise place.error(Cause.IMPLAUSIBLE, f"all result bytes are {data[0]:02x}h")
    return FieldSample((
        axis_t(data[0:3], lsb_per_ut, place), axis_t(data[3:6], lsb_per_ut, place), axis_t(data[6:9], lsb_per_ut, place)
    ))


class Device(RegisterDevice):
    """One RM3100 on I2C."""

    def __init__(self, bus: I2cBus, address: int, settings: Settings) -> None:
        super().__init__(bus, address)
        self._cycles = settings.cycle_count.to_bytes(2, "big") * 3
        self._tmrc = bytes((_TMRC_600_HZ + settings.rate_halvings,))
        self._lsb_per_ut = LSB_PER_UT[settings.cycle_count]

    def initialise(self) -> Generator[None, None, None]:
        """Identity, cycle counts and rate with read-back, then continuous measurement: 7 transactions."""
        self._expect(REVID, REVISION, Cause.WRONG_ID, "revision id")
        yield
        self._write(CMM, STOPPED)
        yield
        yield from self._write_verified(CYCLE_COUNTS, self._cycles, "cycle counts")
        yield
        yield from self._write_verified(TMRC, self._tmrc, "TMRC")
        yield
        self._write(CMM, ALL_AXES_CONTINUOUS)
        self._await_first_conversion()

    def acquire(self) -> Generator[None, None, FieldSample | None]:
        """One sample: 2 transactions; ``None`` before the first conversion. Raises STALE_COUNTER if nothing is new."""
        if not self._read(STATUS, 1)[0] & DATA_READY:
            if not self._awaiting:
                raise self.place.error(Cause.STALE_COUNTER, "no conversion since the last sample")
            self._not_converted()
            return None
        yield
        sample = field(self._read(RESULTS, 9), self._lsb_per_ut, self.place)
        self._awaiting = False
        return sample
