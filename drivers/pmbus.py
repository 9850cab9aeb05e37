"""What PMBus parts share: command codes, number formats both ways, and the words for their status bits.

PMBus Power System Management Protocol Specification, Part II, revision 1.3: section 7 LINEAR11 (5-bit exponent, 11-bit
mantissa, both two's complement) and DIRECT (Y = (m X + b) 10^R), section 8 LINEAR16 (16-bit mantissa, exponent from
VOUT_MODE), section 17 status registers. Words are least significant byte first.
"""

from __future__ import annotations

import math
from functools import partial

from drivers.device import NOWHERE, Codec, Oracle, OracleKind, Place, whole
from drivers.errors import Cause

__all__ = [
    "CODECS", "ORACLES", "Direct", "encode_linear11", "encode_linear16", "linear11", "linear16", "vout_exponent",
    "words",
]

PAGE = 0x00
OPERATION = 0x01
ON_OFF_CONFIG = 0x02
CLEAR_FAULTS = 0x03
CAPABILITY = 0x19
VOUT_MODE = 0x20
VOUT_SCALE_MONITOR = 0x2A
IOUT_CAL_GAIN = 0x38
VOUT_OV_FAULT_LIMIT = 0x40
VOUT_OV_WARN_LIMIT = 0x42
VOUT_UV_WARN_LIMIT = 0x43
VOUT_UV_FAULT_LIMIT = 0x44
IOUT_OC_WARN_LIMIT = 0x4A
VIN_OV_WARN_LIMIT = 0x57
VIN_UV_WARN_LIMIT = 0x58
STATUS_BYTE = 0x78
STATUS_WORD = 0x79
STATUS_VOUT = 0x7A
STATUS_IOUT = 0x7B
STATUS_INPUT = 0x7C
STATUS_TEMPERATURE = 0x7D
STATUS_CML = 0x7E
STATUS_MFR_SPECIFIC = 0x80
READ_VIN = 0x88
READ_VOUT = 0x8B
READ_IOUT = 0x8C
READ_TEMPERATURE_1 = 0x8D
READ_PIN = 0x97
PMBUS_REVISION = 0x98
MFR_ID = 0x99
MFR_MODEL = 0x9A
MFR_REVISION = 0x9B

OPERATION_ON = b"\x80"
OPERATION_OFF = b"\x00"
"""Immediate off, without the programmed turn-off delay (section 12, OPERATION)."""

WORD_VOUT = 1 << 15
WORD_IOUT = 1 << 14
WORD_INPUT = 1 << 13
WORD_MFR = 1 << 12
WORD_POWER_GOOD_NEGATED = 1 << 11
WORD_OFF = 1 << 6
WORD_VOUT_OV = 1 << 5
WORD_IOUT_OC = 1 << 4
WORD_VIN_UV = 1 << 3
WORD_TEMPERATURE = 1 << 2
WORD_CML = 1 << 1
WORD_OTHER = 1 << 0

Table = tuple[tuple[int, str], ...]

WORD_WORDS: Table = (
    (WORD_VOUT, "output voltage"), (WORD_IOUT, "output current"), (WORD_INPUT, "input"), (WORD_MFR, "part's own"),
    (1 << 10, "fan"), (1 << 9, "other"), (1 << 8, "unknown"), (1 << 7, "busy"),
    (WORD_VOUT_OV, "output over-voltage fault"), (WORD_IOUT_OC, "output over-current fault"),
    (WORD_VIN_UV, "input under-voltage fault"), (WORD_TEMPERATURE, "temperature"), (WORD_CML, "communication"),
    (WORD_OTHER, "none of the above"),
)
"""STATUS_WORD without OFF and POWER_GOOD#, which are states."""
VOUT_WORDS: Table = (
    (0x80, "over-voltage fault"), (0x40, "over-voltage warning"), (0x20, "under-voltage warning"),
    (0x10, "under-voltage fault"), (0x08, "voltage limit warning"), (0x04, "turn-on time fault"),
    (0x02, "turn-off time warning"), (0x01, "tracking error"),
)
IOUT_WORDS: Table = (
    (0x80, "over-current fault"), (0x40, "over-current and low-voltage fault"), (0x20, "over-current warning"),
    (0x10, "under-current fault"), (0x08, "current share fault"), (0x04, "power limiting"), (0x02, "over-power fault"),
    (0x01, "over-power warning"),
)
INPUT_WORDS: Table = (
    (0x80, "input over-voltage fault"), (0x40, "input over-voltage warning"), (0x20, "input under-voltage warning"),
    (0x10, "input under-voltage fault"), (0x08, "off for low input"), (0x04, "input over-current fault"),
    (0x02, "input over-current warning"), (0x01, "input over-power warning"),
)
TEMPERATURE_WORDS: Table = (
    (0x80, "over-temperature fault"), (0x40, "over-temperature warning"), (0x20, "under-temperature warning"),
    (0x10, "under-temperature fault"),
)
CML_WORDS: Table = (
    (0x80, "unsupported command"), (0x40, "unsupported data"), (0x20, "packet error"), (0x10, "memory fault"),
    (0x08, "processor fault"), (0x02, "other communication fault"), (0x01, "other memory or logic fault"),
)

_MODE_LINEAR16 = 0


def words(bits: int, table: Table) -> tuple[str, ...]:
    """The words of the bits that are set, in the table's order."""
    return tuple(word for mask, word in table if bits & mask) if bits else ()


class Direct:
    """The DIRECT format's coefficients: Y = (m X + b) 10^R."""

    __slots__ = ("_offset", "_scale", "b", "m", "r")

    def __init__(self, m: float, b: float, r: int) -> None:
        self.m = m
        self.b = b
        self.r = r
        self._scale = 10.0**-r / m
        self._offset = b / m

    def decode(self, raw: int) -> float:
        """X of a register's Y."""
        return raw * self._scale - self._offset

    def encode(self, value: float) -> int:
        """Nearest Y of an X, half a step rounded up. The caller knows the register's width."""
        return math.floor((self.m * value + self.b) * 10.0**self.r + 0.5)


def linear11(data: bytes, place: Place = NOWHERE) -> float:
    """LINEAR11 from 2 bytes: mantissa x 2^exponent."""
    raw = int.from_bytes(whole(data, 2, place), "little")
    mantissa = (raw & 0x7FF ^ 0x400) - 0x400
    exponent = (raw >> 11 ^ 0x10) - 0x10
    return math.ldexp(mantissa, exponent)


def encode_linear11(value: float) -> bytes:
    """Nearest LINEAR11 with the finest exponent that holds the value. Raises ValueError beyond 1023 x 2^15."""
    for exponent in range(-16, 16):
        mantissa = round(math.ldexp(value, -exponent))
        if -1024 <= mantissa <= 1023:
            return (mantissa & 0x7FF | (exponent & 0x1F) << 11).to_bytes(2, "little")
    raise ValueError(f"{value} does not fit LINEAR11")


def vout_exponent(data: bytes, place: Place = NOWHERE) -> int:
    """LINEAR16's exponent, -16..15, from VOUT_MODE. Raises IMPLAUSIBLE for another mode (all ones is one)."""
    mode = whole(data, 1, place)[0]
    if mode >> 5 != _MODE_LINEAR16:
        raise place.error(Cause.IMPLAUSIBLE, f"VOUT_MODE {mode:02x}h is not linear")
    return (mode & 0x1F ^ 0x10) - 0x10


def linear16(data: bytes, exponent: int, place: Place = NOWHERE) -> float:
    """LINEAR16 from 2 bytes, in volts: unsigned mantissa x 2^exponent."""
    return math.ldexp(int.from_bytes(whole(data, 2, place), "little"), exponent)


def encode_linear16(value: float, exponent: int) -> bytes:
    """Nearest LINEAR16. Raises ValueError for a value that doesn't fit."""
    mantissa = round(math.ldexp(value, -exponent))
    if not 0 <= mantissa <= 0xFFFF:
        raise ValueError(f"{value} does not fit LINEAR16 with exponent {exponent}")
    return mantissa.to_bytes(2, "little")


CODECS = (
    Codec("LINEAR11", linear11, 2),
    Codec("LINEAR16, exponent -13", partial(linear16, exponent=-13), 2),
    Codec("VOUT_MODE", vout_exponent, 1),
)

ORACLES = (
    Oracle(OracleKind.DATASHEET, "DIRECT format both ways: the ADM1275 data sheet's two examples"),
    Oracle(OracleKind.FORMULA, "LINEAR11 and LINEAR16: the specification's equations"),
)
