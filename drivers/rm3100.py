"""PNI RM3100, three-axis magnetometer: one conversion of all three axes, and only if it is new.

Register map: PNI RM3100 user manual (Doc 1017252), chapter 5; values Linux's rm3100-core.c uses: cycle counts 04h..09h,
TMRC 0Bh, results 24h..2Ch (three 24-bit two's complement numbers, most significant byte first), STATUS 34h bit 7 DRDY,
REVID 36h = 22h; sensitivity 20, 38, 75 LSB/uT at 50, 100, 200 cycles.

A sample is two transactions: STATUS, then nine result bytes in one read. DRDY is set by a finished conversion and
cleared by reading the results, so a set flag proves that what follows is new; a chip that lost its supply stops
converting and its flag stays clear. (Comparing bytes instead would save a transaction and mistake a quiet field for a
frozen chip.) The manual warns that reading CMM or writing TMRC ends continuous mode: CMM is written last and never
read back; the data-ready flag is the proof. Poll below the conversion rate.

Every ``scrub_every``-th sample looks at the cycle counts or TMRC, which may be read while the chip converts; an upset
cycle count would change the scale. Where the flag is missing, TMRC tells a chip that restarted (RESET) from one that
hangs or is polled too fast (STALE_COUNTER); only at ``rate_halvings`` 4, TMRC's reset value, both look alike.
"""

from __future__ import annotations

from collections.abc import Generator
from functools import partial
from typing import Annotated, Literal

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
from drivers.samples import FieldSample

__all__ = ["CODECS", "LSB_PER_UT", "ORACLES", "REGISTERS", "Device", "Settings", "axis_t", "field"]

ORACLES = (Oracle(OracleKind.LINUX, "rm3100-i2c over 15 results, both signs, three cycle counts"),)

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

REGISTERS = (
    Register("POLL", 0x00, 1, Access.WRITE), Register("CMM", CMM, 1, Access.CLEARS),
    Register("CCX", 0x04, 2, Access.WRITE), Register("CCY", 0x06, 2, Access.WRITE),
    Register("CCZ", 0x08, 2, Access.WRITE), Register("TMRC", TMRC, 1, Access.WRITE),
    Register("RESULTS", RESULTS, 9, Access.CLEARS), Register("BIST", 0x33, 1, Access.WRITE),
    Register("STATUS", STATUS, 1), Register("HSHAKE", 0x35, 1, Access.WRITE), Register("REVID", REVID, 1),
)
"""Reading CMM ends continuous mode; reading the results clears the data-ready flag."""

_TMRC_600_HZ = 0x92
"""Each step up halves the rate: 92h 600 Hz ... 95h 75 Hz, 96h 37 Hz ... 9Fh 0.075 Hz."""


class Settings(Struct, frozen=True, forbid_unknown_fields=True):
    """``rate_halvings``: conversion rate = 600 Hz / 2^n; 3 is 75 Hz, which 200 cycles on three axes allow.

    ``scrub_every``: samples between two looks at the configuration; 0 for never.
    """

    cycle_count: Literal[50, 100, 200] = 200
    rate_halvings: Annotated[int, Meta(ge=1, le=13)] = 3
    scrub_every: Annotated[int, Meta(ge=0, le=10_000)] = 64


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


CODECS = tuple(
    Codec(f"{name}, {cycles} cycles", partial(decode, lsb_per_ut=lsb), length)
    for cycles, lsb in LSB_PER_UT.items() for name, decode, length in (("axis", axis_t, 3), ("RESULTS", field, 9))
)


class Device(ConfiguredDevice):
    """One RM3100 on I2C."""

    def __init__(self, bus: I2cBus, address: int, settings: Settings) -> None:
        super().__init__(bus, address, settings.scrub_every)
        self._rate = Setting("TMRC", TMRC, bytes((_TMRC_600_HZ + settings.rate_halvings,)))
        self._table = (Setting("cycle counts", CYCLE_COUNTS, settings.cycle_count.to_bytes(2, "big") * 3), self._rate)
        self._lsb_per_ut = LSB_PER_UT[settings.cycle_count]

    def identify(self) -> Generator[None, None, str]:
        """Revision: 1 transaction. Raises WRONG_ID."""
        self._expect(REVID, REVISION, Cause.WRONG_ID, "revision id")
        yield from ()
        return f"PNI RM3100 revision {REVISION.hex()}h"

    def initialise(self) -> Generator[None, None, None]:
        """Identity, cycle counts and rate with read-back, then continuous measurement: 7 transactions."""
        yield from self.identify()
        yield
        self._write(CMM, STOPPED)
        yield
        yield from self._configure(self._table)
        yield
        self._write(CMM, ALL_AXES_CONTINUOUS)
        self._await_first_conversion()

    def acquire(self) -> Generator[None, None, FieldSample | None]:
        """One sample: 2 transactions, now and then 3; ``None`` before the first conversion.

        Raises:
            DeviceError: STALE_COUNTER if nothing is new, RESET if the chip restarted, IMPLAUSIBLE as ``field``.
        """
        if self._lost is not None:
            self._scrub()
            yield
        if not self._read(STATUS, 1)[0] & DATA_READY:
            if not self._awaiting:
                yield
                self._lost = self._rate
                self._scrub()
                raise self.place.error(Cause.STALE_COUNTER, "no conversion since the last sample")
            self._not_converted()
            return None
        yield
        sample = field(self._read(RESULTS, 9), self._lsb_per_ut, self.place)
        if self._scrub_due():
            yield
            self._scrub()
        self._awaiting = False
        return sample
