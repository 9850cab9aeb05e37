"""TI OPT3001, ambient light sensor: lux of a conversion that took place, darkness only from a chip that is awake.

Register map and formats: TI SBOS681C, tables 7 to 11: result = exponent (4 bits, 0..11), mantissa (12 bits), lux =
0.01 x 2^exponent x mantissa, full scale 83865.60 lux; exponents 12..15 are reserved. The chip converts continuously,
100 ms a conversion, range chosen by itself.

A sample is one transaction, the result register. The configuration is read with it before the first sample, with every
``check_every``-th, and with every sample of exactly zero: zero is darkness, a chip in shutdown after a brown-out, or a
data line held low, and only the configuration register (never zero) tells them apart. Its conversion-ready flag says
whether a conversion ended since that register was last read; so don't poll faster than 8 Hz.
"""

from __future__ import annotations

from collections.abc import Generator
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
from drivers.samples import IlluminanceSample

__all__ = ["CODECS", "ORACLES", "REGISTERS", "Device", "Settings", "illuminance"]

ORACLES = (
    Oracle(OracleKind.DATASHEET, "full scale of TI's result table"),
    Oracle(OracleKind.LINUX, "least, middle and greatest result by the opt3001 driver"),
)

RESULT = 0x00
CONFIGURATION = 0x01
MANUFACTURER_ID = 0x7E
DEVICE_ID = 0x7F

TEXAS_INSTRUMENTS = b"TI"
OPT3001 = b"\x30\x01"

AUTOMATIC_RANGE = 0b1100 << 12
CONTINUOUS = 0b11 << 9
LATCHED = 1 << 4
CONFIGURATION_VALUE = AUTOMATIC_RANGE | CONTINUOUS | LATCHED
"""CT = 0 is 100 ms. Reset value is C810h: shutdown."""
OVERFLOW = 1 << 8
CONVERSION_READY = 1 << 7
STATUS_BITS = OVERFLOW | CONVERSION_READY | 1 << 6 | 1 << 5
"""OVF, CRF, FH and FL are the chip's own."""

HIGHEST_EXPONENT = 11
FULL_SCALE = HIGHEST_EXPONENT << 12 | 0xFFF
_SCALE_LUX = tuple(0.01 * 2**exponent for exponent in range(HIGHEST_EXPONENT + 1))
_ZERO = bytes(2)
_CONFIGURED = Setting(
    "configuration", CONFIGURATION, CONFIGURATION_VALUE.to_bytes(2, "big"), (0xFFFF & ~STATUS_BITS).to_bytes(2, "big")
)

REGISTERS = (
    Register("RESULT", RESULT, 2), Register("CONFIGURATION", CONFIGURATION, 2, Access.CLEARS),
    Register("LOW_LIMIT", 0x02, 2, Access.WRITE), Register("HIGH_LIMIT", 0x03, 2, Access.WRITE),
    Register("MANUFACTURER_ID", MANUFACTURER_ID, 2), Register("DEVICE_ID", DEVICE_ID, 2),
)
"""Reading CONFIGURATION clears its conversion-ready flag, which the driver lives by."""


class Settings(Struct, frozen=True, forbid_unknown_fields=True):
    """``full_sun_lux`` is what the sensor reads behind its window in full Sun at normal incidence (for the plane)."""

    full_sun_lux: Annotated[float, Meta(gt=0.0, le=1e6)] = 60_000.0
    check_every: Annotated[int, Meta(ge=1, le=1000)] = 25


def illuminance(data: bytes, overflow: bool = False, place: Place = NOWHERE) -> IlluminanceSample:
    """Lux from the result register. ``overflow`` is the configuration register's flag, if it was read with it.

    Raises:
        DeviceError: IMPLAUSIBLE for a reserved exponent (all ones has one), SHORT_READ.
    """
    raw = int.from_bytes(whole(data, 2, place), "big")
    exponent = raw >> 12
    if exponent > HIGHEST_EXPONENT:
        raise place.error(Cause.IMPLAUSIBLE, f"reserved exponent in result {raw:04x}h")
    return IlluminanceSample((raw & 0xFFF) * _SCALE_LUX[exponent], overflow or raw == FULL_SCALE)


CODECS = (Codec("RESULT", illuminance, 2),)


class Device(ConfiguredDevice):
    """One OPT3001."""

    def __init__(self, bus: I2cBus, address: int, settings: Settings) -> None:
        super().__init__(bus, address, scrub_every=0)  # the configuration is looked at together with its flags
        self.settings = settings
        self._since_check = 0

    def identify(self) -> Generator[None, None, str]:
        """Maker and device: 2 transactions. Raises WRONG_ID."""
        self._expect(MANUFACTURER_ID, TEXAS_INSTRUMENTS, Cause.WRONG_ID, "manufacturer id")
        yield
        self._expect(DEVICE_ID, OPT3001, Cause.WRONG_ID, "device id")
        return "TI OPT3001"

    def initialise(self) -> Generator[None, None, None]:
        """Identity, then continuous conversion: 4 transactions."""
        yield from self.identify()
        yield
        yield from self._configure((_CONFIGURED,))
        self._since_check = 0
        self._await_first_conversion()

    def acquire(self) -> Generator[None, None, IlluminanceSample | None]:
        """One sample: 1 transaction, 2 when the configuration is looked at; ``None`` before the first conversion."""
        looked = self._awaiting or self._lost is not None
        if looked:
            status = self._status()
            if self._awaiting and not status & CONVERSION_READY:
                self._not_converted()
                return None
            self._awaiting = False
            yield
        data = self._read(RESULT, 2)
        overflow = False
        self._since_check += 1
        if data == _ZERO or self._since_check >= self.settings.check_every:
            self._since_check = 0
            yield
            status = self._status()
            # Reading the register clears the flag; having done so in this very sample, it says nothing.
            if not looked and not status & CONVERSION_READY:
                raise self.place.error(Cause.STALE_COUNTER, "conversions have stopped")
            overflow = bool(status & OVERFLOW)
        return illuminance(data, overflow, self.place)

    def _status(self) -> int:
        """Configuration register. Raises RESET, and stays suspect, while it isn't what was written."""
        self._lost = _CONFIGURED
        word = int.from_bytes(self._read(CONFIGURATION, 2), "big")
        if word & ~STATUS_BITS != CONFIGURATION_VALUE:
            raise self.place.error(Cause.RESET, f"configuration is {word:04x}h, not {CONFIGURATION_VALUE:04x}h")
        self._lost = None
        return word
