"""Analog Devices ADIS16470, inertial unit: one burst is one sample, whole, summed, new, and from a sound unit.

Registers and formats: ADIS16470 datasheet, tables "User Register Memory Map", "DIAG_STAT", "Burst Read Function":
SPI mode 3, at most 1 MHz for the burst; 16-bit words, most significant byte first; the answer to a register read comes
in the next frame, a register is written as two byte writes. Burst: 6800h, then DIAG_STAT, three rates, three specific
forces, TEMP_OUT, DATA_CNTR and the 16-bit sum of the 18 bytes before it. 0.1 deg/s, 1.25 mg and 0.1 deg C per LSB.

DATA_CNTR advances with every new set of outputs. A burst that finds it unchanged is refused (STALE_COUNTER), so the
output rate 2000 / (decimation + 1) must exceed the read rate; the default of 1000 Hz serves ticks up to 500 Hz. A
counter that runs further than the time allows means that the unit restarted with its default filter and decimation:
samples are refused (RESET) until ``initialise`` has run. (Filter and decimation can't be read beside a burst a tick, so
the counter stands in for them.) All bytes zero has a matching sum and is refused by itself.
"""

from __future__ import annotations

import math
from collections.abc import Generator
from struct import Struct as Layout
from typing import Annotated

from msgspec import Meta, Struct

from drivers.bus.protocol import SpiBus
from drivers.device import NOWHERE, Access, Codec, Oracle, OracleKind, Place, Register, whole
from drivers.errors import Cause
from drivers.samples import ImuSample

__all__ = ["BURST_COMMAND", "BURST_LENGTH", "CODECS", "ORACLES", "REGISTERS", "Device", "Settings", "burst"]

ORACLES = (Oracle(OracleKind.FORMULA, "constants of Linux's adis16475 driver and of ArduPilot's simulator"),)

DIAG_STAT = 0x02
FILT_CTRL = 0x5C
DEC_RATE = 0x64
FIRM_REV = 0x6C
PROD_ID = 0x72
PRODUCT = 16470

REGISTERS = (
    Register("DIAG_STAT", DIAG_STAT, 2, Access.CLEARS),
    Register("X_GYRO_LOW", 0x04, 2), Register("X_GYRO_OUT", 0x06, 2),
    Register("Y_GYRO_LOW", 0x08, 2), Register("Y_GYRO_OUT", 0x0A, 2),
    Register("Z_GYRO_LOW", 0x0C, 2), Register("Z_GYRO_OUT", 0x0E, 2),
    Register("X_ACCL_LOW", 0x10, 2), Register("X_ACCL_OUT", 0x12, 2),
    Register("Y_ACCL_LOW", 0x14, 2), Register("Y_ACCL_OUT", 0x16, 2),
    Register("Z_ACCL_LOW", 0x18, 2), Register("Z_ACCL_OUT", 0x1A, 2),
    Register("TEMP_OUT", 0x1C, 2), Register("TIME_STAMP", 0x1E, 2), Register("DATA_CNTR", 0x22, 2),
    Register("FILT_CTRL", FILT_CTRL, 2, Access.WRITE), Register("MSC_CTRL", 0x60, 2, Access.WRITE),
    Register("UP_SCALE", 0x62, 2, Access.WRITE), Register("DEC_RATE", DEC_RATE, 2, Access.WRITE),
    Register("NULL_CNFG", 0x66, 2, Access.WRITE), Register("FIRM_REV", FIRM_REV, 2), Register("FIRM_DM", 0x6E, 2),
    Register("FIRM_Y", 0x70, 2), Register("PROD_ID", PROD_ID, 2), Register("SERIAL_NUM", 0x74, 2),
    Register("FLSHCNT_LOW", 0x7C, 2), Register("FLSHCNT_HIGH", 0x7E, 2),
)

SPI_MODE = 3
SPI_MAX_HZ = 1_000_000
WRITE = 0x80

BURST_LENGTH = 22
BURST_COMMAND = b"\x68\x00" + bytes(BURST_LENGTH - 2)
_BURST = Layout(">2xH7hHH")
_SUMMED = slice(2, 20)

STANDARD_GRAVITY_M_S2 = 9.80665
RATE_LSB_RAD_S = math.radians(0.1)
FORCE_LSB_M_S2 = 1.25e-3 * STANDARD_GRAVITY_M_S2
TEMPERATURE_LSB_C = 0.1

RATE_LIMIT = 24_000
"""LSB; the range is +-2000 deg/s, beyond 2400 nothing is left to saturate."""
FORCE_LIMIT = 32_700
"""LSB; the range is +-40 g = 32000."""
TEMPERATURE_LIMITS = (-650, 1300)
"""LSB; storage limits -65..150 deg C, powered hardly above 125."""

SPI_ERROR = 1 << 3
_FAULTS = {
    1 << 1: "data path overrun", 1 << 2: "flash update failed", SPI_ERROR: "SPI communication error",
    1 << 4: "supply too low", 1 << 5: "sensor self-test failed", 1 << 6: "memory failure", 1 << 7: "clock error",
}

INTERNAL_RATE_HZ = 2000
COUNTER_MODULUS = 1 << 16
COUNTER_SLACK = 64
"""New outputs beyond those due that are put down to a late read, not to a restart."""
NS_PER_S = 1_000_000_000


class Settings(Struct, frozen=True, forbid_unknown_fields=True):
    """``decimation``: outputs at 2000 / (decimation + 1) Hz. ``filter_size``: Bartlett window of 2^n taps a stage.

    The default filter passes 164 Hz and delays by 1.5 ms.
    """

    decimation: Annotated[int, Meta(ge=0, le=1999)] = 1
    filter_size: Annotated[int, Meta(ge=0, le=6)] = 2


def burst(frame: bytes, place: Place = NOWHERE) -> ImuSample:
    """One sample from the 22 bytes of a burst transfer: rad/s, m/s2, deg C, sensor frame.

    Raises:
        DeviceError: CHECKSUM; IMPLAUSIBLE for fault flags of the unit, all zeros, values beyond the ranges; PROTOCOL
            for the unit's SPI error flag; SHORT_READ.
    """
    if len(frame) != BURST_LENGTH:
        whole(frame, BURST_LENGTH, place)
    status, gx, gy, gz, ax, ay, az, temperature, counter, checksum = _BURST.unpack(frame)
    total = sum(frame[_SUMMED])
    if total != checksum:
        raise place.error(Cause.CHECKSUM, f"burst sum {total:04x}h, sent {checksum:04x}h")
    if status:
        raise _unsound(status, place)
    if not total:
        raise place.error(Cause.IMPLAUSIBLE, "burst is all zeros")
    if (
        max(gx, gy, gz) > RATE_LIMIT or min(gx, gy, gz) < -RATE_LIMIT
        or max(ax, ay, az) > FORCE_LIMIT or min(ax, ay, az) < -FORCE_LIMIT
        or not TEMPERATURE_LIMITS[0] <= temperature <= TEMPERATURE_LIMITS[1]
    ):
        raise place.error(Cause.IMPLAUSIBLE, f"beyond the ranges: {gx, gy, gz, ax, ay, az, temperature} LSB")
    return ImuSample(
        (gx * RATE_LSB_RAD_S, gy * RATE_LSB_RAD_S, gz * RATE_LSB_RAD_S),
        (ax * FORCE_LSB_M_S2, ay * FORCE_LSB_M_S2, az * FORCE_LSB_M_S2),
        temperature * TEMPERATURE_LSB_C, counter,
    )


def _unsound(status: int, place: Place) -> Exception:
    faults = [text for bit, text in _FAULTS.items() if status & bit] or ["reserved bits"]
    cause = Cause.PROTOCOL if status == SPI_ERROR else Cause.IMPLAUSIBLE
    return place.error(cause, f"DIAG_STAT {status:04x}h: {', '.join(faults)}")


CODECS = (Codec("burst", burst, BURST_LENGTH),)


class Device:
    """One ADIS16470.

    Args:
        bus: the SPI controller.
        select: number of the chip select.
        settings: filter and output rate.
    """

    __slots__ = (
        "_bus", "_clocked", "_counter", "_limit_per_ns", "_read_ns", "_restarted", "_select", "place", "settings",
    )

    def __init__(self, bus: SpiBus, select: int, settings: Settings) -> None:
        self.place = Place(bus.name, select)
        self.settings = settings
        self._bus = bus
        self._select = select
        self._clocked = False
        self._counter = -1
        self._read_ns = 0
        self._restarted = False
        # A quarter above the nominal rate covers the unit's clock and a jittering reader.
        self._limit_per_ns = 1.25 * INTERNAL_RATE_HZ / (settings.decimation + 1) / NS_PER_S

    def identify(self) -> Generator[None, None, str]:
        """Product id and firmware revision: 4 frames, one a resume. Raises WRONG_ID."""
        yield from self._check_product()
        yield
        revision = yield from self._register(FIRM_REV)
        return f"ADI ADIS{PRODUCT} firmware {revision >> 8:x}.{revision & 0xFF:02x}"

    def initialise(self) -> Generator[None, None, None]:
        """Product id, health, filter and decimation with read-back: 14 frames, one a resume."""
        yield from self._check_product()
        yield
        # Flags from before are cleared by the first reading; what shows in the second is there now.
        yield from self._register(DIAG_STAT)
        yield
        status = yield from self._register(DIAG_STAT)
        if status:
            raise _unsound(status, self.place)
        yield
        yield from self._configure(FILT_CTRL, self.settings.filter_size, "FILT_CTRL")
        yield
        yield from self._configure(DEC_RATE, self.settings.decimation, "DEC_RATE")
        self._counter = -1
        self._restarted = False

    def read(self, now_ns: int) -> ImuSample:
        """One sample in one burst transfer.

        Raises:
            DeviceError: as ``burst``; STALE_COUNTER when the outputs have not changed since the last good read;
                RESET, until ``initialise`` has run, once the counter shows that the unit restarted.
        """
        sample = burst(self._bus.transfer(self._select, BURST_COMMAND), self.place)
        counter = sample.counter
        last = self._counter
        if last >= 0:
            if counter == last:
                raise self.place.error(Cause.STALE_COUNTER, f"DATA_CNTR is still {counter}")
            elapsed_ns = now_ns - self._read_ns
            limit = elapsed_ns * self._limit_per_ns + COUNTER_SLACK
            if self._restarted or (counter - last) % COUNTER_MODULUS > limit:
                self._restarted = True
                raise self.place.error(Cause.RESET, f"unit restarted: DATA_CNTR from {last} to {counter}")
        self._counter = counter
        self._read_ns = now_ns
        return sample

    def acquire(self) -> Generator[None, None, ImuSample]:
        """One burst outside the tick, for probing: no clock, so only a repeated counter is noticed."""
        yield from ()
        sample = burst(self._bus.transfer(self._select, BURST_COMMAND), self.place)
        if sample.counter == self._counter:
            raise self.place.error(Cause.STALE_COUNTER, f"DATA_CNTR is still {sample.counter}")
        return sample

    def read_register(self, register: Register) -> bytes:
        """One register for the bench: two frames at once."""
        self._clock()
        self._frame(register.pointer, 0)
        return self._frame(PROD_ID, 0).to_bytes(2, "big")

    def write_register(self, register: Register, data: bytes) -> None:
        """Write one register for the bench: two frames at once. Raises PROTOCOL if read-only or of another length."""
        if register.access is not Access.WRITE or len(data) != register.length:
            raise self.place.error(Cause.PROTOCOL, f"{register.name} takes no {len(data)} bytes")
        self._clock()
        self._frame(WRITE | register.pointer, data[1])
        self._frame(WRITE | register.pointer + 1, data[0])

    def _clock(self) -> None:
        if not self._clocked:
            self._bus.configure(self._select, SPI_MODE, SPI_MAX_HZ)
            self._clocked = True

    def _check_product(self) -> Generator[None, None, None]:
        self._clock()
        product = yield from self._register(PROD_ID)
        if product != PRODUCT:
            raise self.place.error(Cause.WRONG_ID, f"product id {product} instead of {PRODUCT}")

    def _frame(self, first: int, second: int) -> int:
        """One 16-bit frame; returns the answer to the frame before."""
        return int.from_bytes(whole(self._bus.transfer(self._select, bytes((first, second))), 2, self.place), "big")

    def _register(self, address: int) -> Generator[None, None, int]:
        """Read one register: two frames. The second asks for PROD_ID, which has no side effect."""
        self._frame(address, 0)
        yield
        return self._frame(PROD_ID, 0)

    def _configure(self, address: int, value: int, what: str) -> Generator[None, None, None]:
        """Write one register and read it back: four frames."""
        self._frame(WRITE | address, value & 0xFF)
        yield
        self._frame(WRITE | address + 1, value >> 8)
        yield
        held = yield from self._register(address)
        if held != value:
            raise self.place.error(Cause.IMPLAUSIBLE, f"{what} is {held:04x}h instead of {value:04x}h")
