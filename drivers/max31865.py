"""Maxim MAX31865, resistance thermometer: a temperature only from a sound sensor and a chip that runs as it was set.

Registers, codes and faults: Maxim 19-6478 (MAX31865), tables 1 to 12: 00h configuration, 01h..02h ratio of sensor to
reference resistor (15 bits left-aligned, bit 0 the fault flag), 03h..04h high and 05h..06h low threshold (POR FFFFh and
0000h), 07h fault status, latched until cleared by bit 1 of the configuration. SPI mode 1 or 3, write bit 80h, pointer
counts up. Temperature by Callendar and Van Dusen with the coefficients of IEC 60751; below 0 deg C the equation is of
fourth order and solved by Newton's method.

A sample is one transfer of all eight registers, so each one proves configuration and thresholds; another configuration
is a brown-out or an upset bit (RESET). The chip has neither an identity nor a counter of its conversions: ``identify``
can only tell whether the registers make sense together, and the proof that it converts is its configuration. Every
``fault_check_every`` samples a fault detection cycle looks for open wires that leave the reading plausible.
"""

from __future__ import annotations

import math
from collections.abc import Generator
from functools import partial
from typing import Annotated, Literal

from msgspec import Meta, Struct

from drivers.bus.protocol import SpiBus
from drivers.device import NOWHERE, Access, Codec, Oracle, OracleKind, Place, Register, Setting, whole
from drivers.errors import Cause
from drivers.samples import ResistanceSample
from drivers.spi_register import SpiRegisterDevice

__all__ = [
    "CODECS", "ORACLES", "REGISTERS", "Device", "Settings", "celsius_of", "faults_of", "ratio", "resistance_of",
    "sample",
]

ORACLES = (
    Oracle(OracleKind.DATASHEET, "table 9, PT100 from -200 to 550 deg C, and the ratios of table 5, every row"),
)

CONFIGURATION = 0x00
RTD = 0x01
HIGH_THRESHOLD = 0x03
LOW_THRESHOLD = 0x05
FAULT_STATUS = 0x07
REGISTER_COUNT = 8

REGISTERS = (
    Register("configuration", CONFIGURATION, 1, Access.WRITE), Register("RTD", RTD, 2),
    Register("high fault threshold", HIGH_THRESHOLD, 2, Access.WRITE),
    Register("low fault threshold", LOW_THRESHOLD, 2, Access.WRITE), Register("fault status", FAULT_STATUS, 1),
)

BIAS = 1 << 7
AUTOMATIC = 1 << 6
THREE_WIRE = 1 << 4
DETECT_AUTOMATIC = 0b01 << 2
"""Fault detection cycle with the chip's own timing; both bits read 0 when it has ended."""
DETECTING = 0b11 << 2
CLEAR_FAULTS = 1 << 1
NOTCH_50_HZ = 1 << 0
HELD = BIAS | AUTOMATIC | THREE_WIRE | DETECTING | NOTCH_50_HZ
"""Bits that read back as written; 1-shot and clear fall back by themselves."""
WRITE_BIT = 0x80
SPI_MODE = 1
SPI_MAX_HZ = 1_000_000
"""The part takes 5 MHz."""

RESERVED_FAULTS = 0b11
_FAULTS = (
    (1 << 7, "resistance above the high threshold"), (1 << 6, "resistance below the low threshold"),
    (1 << 5, "REFIN- above 0.85 of the bias: an open or shorted wire"),
    (1 << 4, "REFIN- below 0.85 of the bias with FORCE- open: a shorted wire"),
    (1 << 3, "RTDIN- below 0.85 of the bias with FORCE- open: a shorted wire"),
    (1 << 2, "over- or under-voltage at an input"),
)
WIRING_FAULTS = 0b111 << 3
"""Found only by a fault detection cycle."""
DETECT_POLLS = 64
"""Looks at the end of a fault detection cycle; it lasts 0.6 ms."""

FULL_SCALE = 1 << 15
A = 3.9083e-3
B = -5.775e-7
C = -4.18301e-12
"""IEC 60751, as the datasheet prints them; C counts below 0 deg C alone."""
LOWEST_C = -200.0
HIGHEST_C = 850.0
MARGIN_C = 2.0
"""Beyond the equation's range that is put down to tolerance."""
_LOWEST_RATIO = 1.0 + (LOWEST_C - MARGIN_C) * (
    A + (LOWEST_C - MARGIN_C) * (B + (LOWEST_C - MARGIN_C) * C * (LOWEST_C - MARGIN_C - 100.0))
)
_HIGHEST_RATIO = 1.0 + (HIGHEST_C + MARGIN_C) * (A + B * (HIGHEST_C + MARGIN_C))
NEWTON_STEPS = 4
_NOT_CONVERTED = bytes(2)


def resistance_of(celsius: float, r_nominal_ohm: float) -> float:
    """Resistance of a platinum sensor at a temperature, ohm (IEC 60751)."""
    cubic = C * (celsius - 100.0) * celsius if celsius < 0.0 else 0.0
    return r_nominal_ohm * (1.0 + celsius * (A + celsius * (B + cubic)))


def celsius_of(resistance_ohm: float, r_nominal_ohm: float) -> float | None:
    """Temperature of a platinum sensor, deg C; ``None`` beyond -200..850 deg C, where the equation doesn't hold."""
    w = resistance_ohm / r_nominal_ohm
    if not _LOWEST_RATIO <= w <= _HIGHEST_RATIO:
        return None
    t = (-A + math.sqrt(A * A - 4.0 * B * (1.0 - w))) / (2.0 * B)
    if w >= 1.0:
        return t
    # The quadratic is at most 2.4 deg C off; each step squares the error.
    for _ in range(NEWTON_STEPS):
        value = 1.0 + t * (A + t * (B + t * C * (t - 100.0)))
        slope = A + t * (2.0 * B + t * C * (4.0 * t - 300.0))
        t -= (value - w) / slope
    return t


def ratio(data: bytes, place: Place = NOWHERE) -> float:
    """Sensor over reference resistance from the 2 bytes of 01h..02h; the fault flag is left out."""
    return (int.from_bytes(whole(data, 2, place), "big") >> 1) / FULL_SCALE


def faults_of(status: int) -> tuple[str, ...]:
    """Texts of the fault status register."""
    return tuple(text for bit, text in _FAULTS if status & bit)


def sample(data: bytes, r_nominal_ohm: float, r_ref_ohm: float, place: Place = NOWHERE) -> ResistanceSample:
    """One sample from the 8 bytes of 00h..07h: deg C and ohm, both ``None`` under a fault.

    Raises:
        DeviceError: RESET when the chip isn't converting; IMPLAUSIBLE for reserved bits of the status; SHORT_READ.
    """
    whole(data, REGISTER_COUNT, place)
    if data[0] & (BIAS | AUTOMATIC) != BIAS | AUTOMATIC:
        raise place.error(Cause.RESET, f"configuration is {data[0]:02x}h: not converting")
    status = data[FAULT_STATUS]
    if status & RESERVED_FAULTS:
        raise place.error(Cause.IMPLAUSIBLE, f"reserved bits set in fault status {status:02x}h")
    if status or data[2] & 1:
        return ResistanceSample(None, None, faults_of(status) or ("fault flag without a reason",))
    ohm = ((data[1] << 8 | data[2]) >> 1) / FULL_SCALE * r_ref_ohm
    celsius = celsius_of(ohm, r_nominal_ohm)
    if celsius is None:
        return ResistanceSample(None, ohm, ("resistance of no temperature",))
    return ResistanceSample(celsius, ohm, ())


CODECS = (
    Codec("ratio", ratio, 2),
    Codec("sample of a PT100 with 400 ohm", partial(sample, r_nominal_ohm=100.0, r_ref_ohm=400.0), REGISTER_COUNT),
    Codec("sample of a PT1000 with 4000 ohm", partial(sample, r_nominal_ohm=1000.0, r_ref_ohm=4000.0), REGISTER_COUNT),
)


class Settings(Struct, frozen=True, forbid_unknown_fields=True):
    """Sensor, wiring and limits. ``low_c`` and ``high_c`` are the thresholds beyond which the chip reports a fault."""

    r_nominal_ohm: Annotated[float, Meta(ge=10.0, le=10_000.0)] = 100.0
    """Resistance at 0 deg C: 100 for a PT100, 1000 for a PT1000."""
    r_ref_ohm: Annotated[float, Meta(ge=40.0, le=40_000.0)] = 400.0
    wires: Literal[2, 3, 4] = 4
    notch_hz: Literal[50, 60] = 50
    low_c: Annotated[float, Meta(ge=-200.0, le=850.0)] = -200.0
    high_c: Annotated[float, Meta(ge=-200.0, le=850.0)] = 850.0
    fault_check_every: Annotated[int, Meta(ge=0, le=100_000)] = 60
    """Samples between two fault detection cycles; 0 for never. A cycle stops the conversions for a moment."""

    def __post_init__(self) -> None:
        """Refuse thresholds in the wrong order or beyond what this reference resistor can show."""
        if self.low_c >= self.high_c:
            raise ValueError("low_c is not below high_c")
        if self.code(self.high_c) >= FULL_SCALE - 1:
            raise ValueError("r_ref_ohm is too small for high_c")

    def code(self, celsius: float) -> int:
        """15-bit code of a temperature."""
        return round(resistance_of(celsius, self.r_nominal_ohm) / self.r_ref_ohm * FULL_SCALE)

    @property
    def idle(self) -> int:
        """Configuration of wires and filter alone, bias on, conversions off."""
        return BIAS | (THREE_WIRE if self.wires == 3 else 0) | (NOTCH_50_HZ if self.notch_hz == 50 else 0)


class Device(SpiRegisterDevice):
    """One MAX31865.

    Args:
        bus: the SPI controller.
        select: number of the chip select.
        settings: sensor, wiring, limits.
    """

    def __init__(self, bus: SpiBus, select: int, settings: Settings) -> None:
        super().__init__(bus, select, mode=SPI_MODE, max_hz=SPI_MAX_HZ, read_bits=0, write_bits=WRITE_BIT)
        self.settings = settings
        self._idle = settings.idle
        self._running = Setting(
            "configuration", CONFIGURATION, bytes((settings.idle | AUTOMATIC | CLEAR_FAULTS,)), bytes((HELD,))
        )
        self._table = (
            Setting("high fault threshold", HIGH_THRESHOLD, (settings.code(settings.high_c) << 1).to_bytes(2, "big")),
            Setting("low fault threshold", LOW_THRESHOLD, (settings.code(settings.low_c) << 1).to_bytes(2, "big")),
            self._running,
        )
        self._expected = self._table[0].value + self._table[1].value
        self._samples = 0
        self._wiring: tuple[str, ...] = ()

    def identify(self) -> Generator[None, None, str]:
        """Whether eight registers make sense together: 1 transaction. The chip has no identity. Raises WRONG_ID."""
        yield from ()
        data = self._read(CONFIGURATION, REGISTER_COUNT)
        high, low = int.from_bytes(data[3:5], "big"), int.from_bytes(data[5:7], "big")
        if len(set(data)) == 1 or data[FAULT_STATUS] & RESERVED_FAULTS or high <= low:
            raise self.place.error(Cause.WRONG_ID, f"registers {data.hex()}h are none of this chip")
        return "Maxim MAX31865 (by its registers; it has no identity)"

    def initialise(self) -> Generator[None, None, None]:
        """Plausibility, wires and filter, thresholds and conversions with read-back: 8 transactions."""
        yield from self.identify()
        yield
        # The notch must not change while conversions run, and old faults are cleared with the last write.
        self._write(CONFIGURATION, bytes((self._idle,)))
        yield
        yield from self._configure(self._table)
        self._samples = 0
        self._wiring = ()
        self._await_first_conversion()

    def acquire(self) -> Generator[None, None, ResistanceSample | None]:
        """One sample: 1 transaction, 2 under a fault; ``None`` before the first conversion. Raises as ``sample``."""
        data = self._read(CONFIGURATION, REGISTER_COUNT)
        if not self._running.holds(data[:1]) or data[3:7] != self._expected:
            why = f"configuration was lost: 00h, 03h..06h are {data[:1].hex()}h {data[3:7].hex()}h"
            raise self.place.error(Cause.RESET, why)
        if self._awaiting and data[1:3] == _NOT_CONVERTED and not data[FAULT_STATUS]:
            self._not_converted()
            return None
        result = sample(data, self.settings.r_nominal_ohm, self.settings.r_ref_ohm, self.place)
        self._awaiting = False
        self._samples += 1
        if self.settings.fault_check_every and self._samples >= self.settings.fault_check_every:
            self._samples = 0
            yield
            yield from self._detect()
        elif result.faults:
            # Latched: cleared, it shows in the next sample whether it lasts.
            yield
            self._write(CONFIGURATION, self._running.value)
        if self._wiring:
            return ResistanceSample(None, None, self._wiring + tuple(f for f in result.faults if f not in self._wiring))
        return result

    def _detect(self) -> Generator[None, None, None]:
        """One fault detection cycle; conversions go on after it. Raises TIMEOUT if it doesn't end."""
        self._write(CONFIGURATION, bytes((self._idle | DETECT_AUTOMATIC,)))
        for _ in range(DETECT_POLLS):
            yield
            data = self._read(CONFIGURATION, REGISTER_COUNT)
            if not data[0] & DETECTING:
                break
        else:
            raise self.place.error(Cause.TIMEOUT, "the fault detection cycle does not end")
        self._wiring = faults_of(data[FAULT_STATUS] & WIRING_FAULTS)
        yield
        self._write(CONFIGURATION, self._running.value)
