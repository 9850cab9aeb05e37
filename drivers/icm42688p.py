"""TDK ICM-42688-P, inertial unit: one burst is one sample, new since the last, from a unit set as it was told.

Registers and formats: TDK DS-000347 (ICM-42688-P), sections 13 to 15; the same facts in Linux's inv_icm42600 driver
and in ArduPilot's Invensense v3 driver. SPI mode 0 or 3, read bit 80h, pointer counts up. Bank 0: 75h WHO_AM_I 47h;
11h soft reset; 4Fh, 50h range (bits 7..5) and output rate (bits 3..0) of gyroscope and accelerometer; 52h filters;
4Eh power; 76h bank, in every bank. Data at 1Dh..2Ah, big-endian: temperature (132.48 LSB/deg C from 25 deg C), three
specific forces, three rates, full scale 32768 LSB; -32768 marks a channel that holds no measurement. 2Dh INT_STATUS,
cleared by reading: bit 3 new data, bit 4 reset done, bit 7 reserved.

The burst runs from 1Dh to 2Dh, so each sample brings the proof that it is new (bit 3, else STALE_COUNTER) and that the
unit hasn't restarted since ``initialise`` (bit 4, else RESET until ``initialise`` has run). The output rate must exceed
the read rate. A path that repeats one answer word for word is STALE_COUNTER after ``repeat_limit`` bursts, because the
noise of seven channels never stands still. ``counter`` of a sample is the number of fresh bursts, modulo 65536: the
unit's own time stamp lies in another bank. Every ``scrub_every``-th sample one configuration register is read as well.
A channel at full scale is refused: the truth is beyond.
"""

from __future__ import annotations

import math
from collections.abc import Generator
from functools import partial
from struct import Struct as Layout
from typing import Annotated, Literal

from msgspec import Meta, Struct

from drivers.bus.protocol import SpiBus
from drivers.device import NOWHERE, Access, Codec, Oracle, OracleKind, Place, Register, Setting, whole
from drivers.errors import Cause
from drivers.samples import ImuSample
from drivers.spi_register import READ_BIT, SpiRegisterDevice

__all__ = ["BURST_LENGTH", "CODECS", "ORACLES", "REGISTERS", "Device", "Settings", "burst"]

ORACLES = (
    Oracle(OracleKind.LINUX, "inv_icm42600 over 35 values of an ICM-42605: same registers, another identity"),
    Oracle(OracleKind.FORMULA, "addresses of ArduPilot's Invensense v3"),
)

DEVICE_CONFIG = 0x11
TEMP_DATA1 = 0x1D
INT_STATUS = 0x2D
INTF_CONFIG0 = 0x4C
PWR_MGMT0 = 0x4E
GYRO_CONFIG0 = 0x4F
ACCEL_CONFIG0 = 0x50
GYRO_ACCEL_CONFIG0 = 0x52
INT_SOURCE0 = 0x65
WHO_AM_I = 0x75
REG_BANK_SEL = 0x76

ICM_42688_P = b"\x47"
SOFT_RESET = b"\x01"
DATA_READY = 1 << 3
RESET_DONE = 1 << 4
RESERVED = 1 << 7
BIG_ENDIAN_SPI_ONLY = b"\x33"
"""INTF_CONFIG0: data and FIFO count big-endian, I2C off, -32768 for what was not measured (bit 7 clear)."""
BOTH_LOW_NOISE = b"\x0f"
"""PWR_MGMT0: gyroscope and accelerometer in low-noise mode, thermometer on. Reset value is 00h: all off."""
NEW_DATA = b"\x08"
"""INT_SOURCE0: UI_DRDY, which the status bit follows. Reset value is 10h."""

REGISTERS = (
    Register("DEVICE_CONFIG", DEVICE_CONFIG, 1, Access.WRITE), Register("DRIVE_CONFIG", 0x13, 1, Access.WRITE),
    Register("INT_CONFIG", 0x14, 1, Access.WRITE), Register("FIFO_CONFIG", 0x16, 1, Access.WRITE),
    Register("TEMP_DATA", TEMP_DATA1, 2),
    Register("ACCEL_DATA_X", 0x1F, 2), Register("ACCEL_DATA_Y", 0x21, 2), Register("ACCEL_DATA_Z", 0x23, 2),
    Register("GYRO_DATA_X", 0x25, 2), Register("GYRO_DATA_Y", 0x27, 2), Register("GYRO_DATA_Z", 0x29, 2),
    Register("TMST_FSYNC", 0x2B, 2), Register("INT_STATUS", INT_STATUS, 1, Access.CLEARS),
    Register("FIFO_COUNT", 0x2E, 2), Register("FIFO_DATA", 0x30, 1, Access.CLEARS),
    Register("INTF_CONFIG0", INTF_CONFIG0, 1, Access.WRITE), Register("INTF_CONFIG1", 0x4D, 1, Access.WRITE),
    Register("PWR_MGMT0", PWR_MGMT0, 1, Access.WRITE), Register("GYRO_CONFIG0", GYRO_CONFIG0, 1, Access.WRITE),
    Register("ACCEL_CONFIG0", ACCEL_CONFIG0, 1, Access.WRITE), Register("GYRO_CONFIG1", 0x51, 1, Access.WRITE),
    Register("GYRO_ACCEL_CONFIG0", GYRO_ACCEL_CONFIG0, 1, Access.WRITE),
    Register("ACCEL_CONFIG1", 0x53, 1, Access.WRITE), Register("INT_SOURCE0", INT_SOURCE0, 1, Access.WRITE),
    Register("WHO_AM_I", WHO_AM_I, 1), Register("REG_BANK_SEL", REG_BANK_SEL, 1, Access.WRITE),
)

SPI_MODE = 3
SPI_MAX_HZ = 8_000_000
"""The part takes 24 MHz; a burst of 18 bytes lasts 18 us at this clock."""

_BURST = Layout(">x7h2xB")
BURST_LENGTH = _BURST.size
"""Pointer, 1Dh..2Ah, 2Bh..2Ch (FSYNC time, unused), 2Dh."""
BURST_COMMAND = bytes((READ_BIT | TEMP_DATA1,)) + bytes(BURST_LENGTH - 1)
_DATA = slice(1, 15)

STANDARD_GRAVITY_M_S2 = 9.80665
FULL_SCALE = 32768
NO_MEASUREMENT = -32768
TEMPERATURE_LSB_C = 1.0 / 132.48
TEMPERATURE_OFFSET_C = 25.0
TEMPERATURE_LIMITS_C = (-50.0, 130.0)
"""Storage is -40..125 deg C."""

_GYRO_RANGES = (2000.0, 1000.0, 500.0, 250.0, 125.0, 62.5, 31.25, 15.625)
_ACCEL_RANGES = (16, 8, 4, 2)
_OUTPUT_RATES = {8000: 3, 4000: 4, 2000: 5, 1000: 6, 500: 15, 200: 7, 100: 8}
_FILTERS = {4: 1, 5: 2, 8: 3, 10: 4, 16: 5, 20: 6, 40: 7}

RESET_POLLS = 1000
"""Looks at INT_STATUS after a reset, which lasts 1 ms; a look takes 5 us at least."""
START_POLLS = 128
"""Bursts that ``initialise`` spends on the start of the gyroscope (45 ms) before it leaves the rest to ``acquire``."""


class Settings(Struct, frozen=True, forbid_unknown_fields=True):
    """Ranges, output rate and filter. The bandwidth is max(400, ``output_rate_hz``) / ``filter_divider``, Hz."""

    gyro_range_deg_s: float = 2000.0
    """2000, 1000, 500, 250, 125, 62.5, 31.25 or 15.625."""
    accel_range_g: Literal[16, 8, 4, 2] = 16
    output_rate_hz: Literal[8000, 4000, 2000, 1000, 500, 200, 100] = 1000
    filter_divider: Literal[4, 5, 8, 10, 16, 20, 40] = 8
    scrub_every: Annotated[int, Meta(ge=0, le=100_000)] = 100
    repeat_limit: Annotated[int, Meta(ge=0, le=1000)] = 20
    """Bursts of the same seven words in a row that are refused; 0 for never."""

    def __post_init__(self) -> None:
        """Refuse a range that the gyroscope doesn't have."""
        if self.gyro_range_deg_s not in _GYRO_RANGES:
            raise ValueError(f"gyro_range_deg_s is none of {_GYRO_RANGES}")

    @property
    def rate_lsb_rad_s(self) -> float:
        """Rate of one LSB, rad/s."""
        return math.radians(self.gyro_range_deg_s) / FULL_SCALE

    @property
    def force_lsb_m_s2(self) -> float:
        """Specific force of one LSB, m/s2."""
        return self.accel_range_g * STANDARD_GRAVITY_M_S2 / FULL_SCALE

    @property
    def table(self) -> tuple[Setting, ...]:
        """The configuration. Power comes last: no register may be written for 200 us after it (section 14.36)."""
        rate = _OUTPUT_RATES[self.output_rate_hz]
        gyro = _GYRO_RANGES.index(self.gyro_range_deg_s) << 5 | rate
        accel = _ACCEL_RANGES.index(self.accel_range_g) << 5 | rate
        filters = _FILTERS[self.filter_divider] * 0x11
        return (
            Setting("REG_BANK_SEL", REG_BANK_SEL, b"\x00", b"\x07"),
            Setting("INTF_CONFIG0", INTF_CONFIG0, BIG_ENDIAN_SPI_ONLY),
            Setting("GYRO_CONFIG0", GYRO_CONFIG0, bytes((gyro,))),
            Setting("ACCEL_CONFIG0", ACCEL_CONFIG0, bytes((accel,))),
            Setting("GYRO_ACCEL_CONFIG0", GYRO_ACCEL_CONFIG0, bytes((filters,))),
            Setting("INT_SOURCE0", INT_SOURCE0, NEW_DATA),
            Setting("PWR_MGMT0", PWR_MGMT0, BOTH_LOW_NOISE),
        )


_DEFAULT = Settings()


def burst(
    frame: bytes, rate_lsb_rad_s: float = _DEFAULT.rate_lsb_rad_s, force_lsb_m_s2: float = _DEFAULT.force_lsb_m_s2,
    counter: int = 0, place: Place = NOWHERE,
) -> ImuSample | None:
    """One sample from the 18 bytes of a burst transfer: rad/s, m/s2, deg C, sensor frame.

    ``None`` when the unit marks a channel as not measured.

    Raises:
        DeviceError: RESET when the unit has restarted; STALE_COUNTER when nothing was measured since the last burst;
            OVER_RANGE for a channel at full scale; IMPLAUSIBLE for reserved bits and an impossible temperature;
            SHORT_READ.
    """
    temperature, ax, ay, az, gx, gy, gz, status = _BURST.unpack(whole(frame, BURST_LENGTH, place))
    if status & (RESERVED | RESET_DONE):
        if status & RESERVED:
            raise place.error(Cause.IMPLAUSIBLE, f"reserved bits set in INT_STATUS {status:02x}h")
        raise place.error(Cause.RESET, "the unit has restarted")
    if not status & DATA_READY:
        raise place.error(Cause.STALE_COUNTER, "nothing was measured since the last burst")
    lowest = min(ax, ay, az, gx, gy, gz)
    if lowest == NO_MEASUREMENT or temperature == NO_MEASUREMENT:
        return None
    celsius = temperature * TEMPERATURE_LSB_C + TEMPERATURE_OFFSET_C
    if lowest <= 1 - FULL_SCALE or max(ax, ay, az, gx, gy, gz) >= FULL_SCALE - 1:
        raise place.error(Cause.OVER_RANGE, f"at full scale: {gx, gy, gz, ax, ay, az} LSB")
    if not TEMPERATURE_LIMITS_C[0] <= celsius <= TEMPERATURE_LIMITS_C[1]:
        raise place.error(Cause.IMPLAUSIBLE, f"die temperature {celsius:.1f} deg C")
    return ImuSample(
        (gx * rate_lsb_rad_s, gy * rate_lsb_rad_s, gz * rate_lsb_rad_s),
        (ax * force_lsb_m_s2, ay * force_lsb_m_s2, az * force_lsb_m_s2), celsius, counter,
    )


CODECS = (
    Codec("burst", burst, BURST_LENGTH),
    Codec("burst at 250 deg/s and 4 g", partial(
        burst, rate_lsb_rad_s=Settings(gyro_range_deg_s=250.0).rate_lsb_rad_s,
        force_lsb_m_s2=Settings(accel_range_g=4).force_lsb_m_s2,
    ), BURST_LENGTH),
)


class Device(SpiRegisterDevice):
    """One ICM-42688-P.

    Args:
        bus: the SPI controller.
        select: number of the chip select.
        settings: ranges, rate, filter.
    """

    def __init__(self, bus: SpiBus, select: int, settings: Settings) -> None:
        super().__init__(bus, select, mode=SPI_MODE, max_hz=SPI_MAX_HZ, scrub_every=settings.scrub_every)
        self.settings = settings
        self._table = settings.table
        self._rate_lsb = settings.rate_lsb_rad_s
        self._force_lsb = settings.force_lsb_m_s2
        self._repeat_limit = settings.repeat_limit
        self._repeats = 0
        self._data = b""
        self._counter = 0
        self._restarted = False

    def identify(self) -> Generator[None, None, str]:
        """WHO_AM_I of the bank in use: 1 transaction. Raises WRONG_ID."""
        yield from ()
        self._expect(WHO_AM_I, ICM_42688_P, Cause.WRONG_ID, "WHO_AM_I")
        return "TDK ICM-42688-P"

    def initialise(self) -> Generator[None, None, None]:
        """Identity, reset, configuration with read-back, start of the gyroscope: 20 transactions and the waiting.

        WHO_AM_I is seen in bank 0 alone, so a unit that was left in another bank is first led back.
        """
        bank = self._read(REG_BANK_SEL, 1)[0]
        yield
        if bank in (1, 2, 3, 4):
            self._write(REG_BANK_SEL, b"\x00")
            yield
        yield from self.identify()
        yield
        self._read(INT_STATUS, 1)  # an older "reset done" must not pass for the one that is waited for
        yield
        self._write(DEVICE_CONFIG, SOFT_RESET)
        yield
        yield from self._await_reset()
        yield
        yield from self._configure(self._table)
        self._restarted = False
        self._repeats = 0
        self._data = b""
        self._await_first_conversion()
        for _ in range(START_POLLS):
            yield
            status = self._transfer(BURST_COMMAND)
            if status[-1] & (DATA_READY | RESERVED) == DATA_READY and not _unmeasured(status):
                break

    def read(self, now_ns: int) -> ImuSample:  # noqa: ARG002 - a fresh burst needs no clock; the plane hands it to every unit
        """One sample in one burst transfer; now and then one register of the configuration before it.

        Raises:
            DeviceError: as ``burst``; IMPLAUSIBLE for a channel marked as not measured; STALE_COUNTER for answers that
                repeat; RESET, until ``initialise`` has run, for a restarted unit or a lost configuration.
        """
        if self._scrub_due():
            self._scrub()
        sample = self._sample()
        if sample is None:
            raise self.place.error(Cause.STALE_COUNTER, "the first conversion has not ended")
        return sample

    def acquire(self) -> Generator[None, None, ImuSample | None]:
        """The same outside the tick: 1 transaction, sometimes 2; ``None`` before the first conversion."""
        if self._scrub_due():
            self._scrub()
            yield
        return self._sample()

    def _sample(self) -> ImuSample | None:
        frame = self._transfer(BURST_COMMAND)
        status = frame[-1]
        if self._restarted or status & (RESET_DONE | RESERVED) == RESET_DONE:
            self._restarted = True
            raise self.place.error(Cause.RESET, "the unit has restarted")
        if self._awaiting and not status & DATA_READY:
            self._not_converted()
            return None
        sample = burst(frame, self._rate_lsb, self._force_lsb, self._counter, self.place)
        if sample is None:
            if not self._awaiting:
                raise self.place.error(Cause.IMPLAUSIBLE, "a channel is marked as not measured")
            self._not_converted()
            return None
        self._awaiting = False
        data = frame[_DATA]
        self._repeats = self._repeats + 1 if data == self._data else 0
        self._data = data
        if self._repeat_limit and self._repeats >= self._repeat_limit:
            raise self.place.error(Cause.STALE_COUNTER, f"the same seven words {self._repeats + 1} times in a row")
        self._counter = self._counter + 1 & 0xFFFF
        return sample

    def _await_reset(self) -> Generator[None, None, None]:
        """Looks at INT_STATUS until the reset is done. While it lasts, anything may be read."""
        for look in range(RESET_POLLS):
            if look:
                yield
            status = self._read(INT_STATUS, 1)[0]
            if status & (RESET_DONE | RESERVED) == RESET_DONE:
                return
        raise self.place.error(Cause.TIMEOUT, "the soft reset does not end")


def _unmeasured(frame: bytes) -> bool:
    return NO_MEASUREMENT in _BURST.unpack(frame)[:7]
