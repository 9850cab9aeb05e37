"""Fixed positional layouts, bit by bit: a value comes back as it went in, or as missing, or marked as out of range.

Of every number three codes are kept free: all ones is missing, the one before it "above the range", the one before that
"below". A choice, a set of flags or a code word keeps all ones for missing. Nothing is rounded in silence beyond half a
step, and nothing is ever a default. Bits are sent most significant first; the last byte is filled up with zeros.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum, unique
from math import isfinite
from typing import NamedTuple
from zlib import crc32

from fdir.codes import Code

__all__ = ["CODE_BITS", "FieldKind", "Layout", "LayoutFault", "LayoutField", "Packed", "Unpacked", "code_word"]

Value = float | int | str | bool | tuple[str, ...]
MARKS = 3
CODE_BITS = 20
HEAD_BITS = 8
"""Layout number and version, four bits each."""


@unique
class FieldKind(StrEnum):
    """How a field is laid out."""

    NUMBER = "number"
    COUNT = "count"
    """A whole number that begins anew after its last code."""
    CHOICE = "choice"
    FLAGS = "flags"
    """One bit a name, and before them one that says that they are known."""
    CODE = "code"
    """A reason code, as CODE_BITS bits of its name."""


@unique
class LayoutFault(StrEnum):
    """Why bytes are no packet of a layout."""

    EMPTY = "empty"
    UNKNOWN_LAYOUT = "no such layout"
    UNKNOWN_VERSION = "another version"
    WRONG_LENGTH = "wrong length"
    UNKNOWN_CHOICE = "a choice that there is not"
    PADDING = "bits behind the last field"


@dataclass(frozen=True, slots=True)
class LayoutField:
    """One field. ``low`` and ``step`` are of a number: code 0 is ``low``, each code one ``step`` more; ``choices`` are
    the words of a choice or of flags. Raises ValueError for what can't be."""

    name: str
    kind: FieldKind
    bits: int
    text: str
    unit: str = "-"
    low: float = 0.0
    step: float = 1.0
    choices: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        room = (1 << self.bits) - 1
        wrong = (
            not 2 <= self.bits <= 32
            or (self.kind is FieldKind.NUMBER and not self.step > 0.0)
            or (self.kind is FieldKind.CHOICE and not 0 < len(self.choices) <= room)
            or (self.kind is FieldKind.FLAGS and len(self.choices) + 1 != self.bits)
            or (self.kind is FieldKind.CODE and self.bits != CODE_BITS)
        )
        if wrong:
            raise ValueError(f"{self.name}: {self.bits} bits do not fit a {self.kind} of {len(self.choices)} choices")

    @property
    def missing(self) -> int:
        """The code that says that there is no value."""
        return (1 << self.bits) - 1 if self.kind is not FieldKind.FLAGS else 0

    @property
    def most(self) -> int:
        """Highest code that is a number."""
        return (1 << self.bits) - 1 - MARKS

    @property
    def high(self) -> float:
        """Highest number."""
        return self.low + self.step * self.most

    def to_code(self, value: object) -> tuple[int, bool]:
        """The code of a value, and whether it is out of range. What is of no such kind is missing."""
        if self.kind is FieldKind.NUMBER:
            return self._number(value)
        if self.kind is FieldKind.COUNT:
            whole = isinstance(value, int) and not isinstance(value, bool) and value >= 0
            return (value % (self.most + 1), False) if whole and isinstance(value, int) else (self.missing, False)
        if self.kind is FieldKind.FLAGS:
            return self._flags(value)
        if self.kind is FieldKind.CODE:
            return (code_word(value), False) if isinstance(value, str) and value else (self.missing, False)
        word = _word(value)
        return (self.choices.index(word), False) if word in self.choices else (self.missing, word is not None)

    def to_value(self, code: int) -> tuple[Value | None, bool, bool]:
        """Value of a code (``None``: missing), whether it is out of range, and whether there is such a code."""
        if self.kind is FieldKind.FLAGS:
            if not code >> (self.bits - 1):
                return None, False, code == 0
            return tuple(word for index, word in enumerate(self.choices) if code >> index & 1), False, True
        if code == self.missing:
            return None, False, True
        if self.kind is FieldKind.CODE:
            known = _CODES.get(code)
            return known or f"0x{code:05x}", False, True
        if self.kind is FieldKind.CHOICE:
            known_word = self.choices[code] if code < len(self.choices) else None
            return known_word, False, known_word is not None
        if code > self.most:
            return (self.high if code == self.missing - 1 else self.low), True, self.kind is FieldKind.NUMBER
        return (code if self.kind is FieldKind.COUNT else self.low + self.step * code), False, True

    def _number(self, value: object) -> tuple[int, bool]:
        if isinstance(value, bool) or not isinstance(value, int | float) or value != value:
            return self.missing, False
        code = round((value - self.low) / self.step) if isfinite(value) else (-1 if value < 0 else self.most + 1)
        if code > self.most:
            return self.missing - 1, True
        return (self.missing - 2, True) if code < 0 else (code, False)

    def _flags(self, value: object) -> tuple[int, bool]:
        if isinstance(value, str) or not isinstance(value, Sequence | frozenset | set):
            return 0, False
        code = 1 << (self.bits - 1)
        beyond = False
        for word in value:
            if word in self.choices:
                code |= 1 << self.choices.index(str(word))
            elif "other" in self.choices:
                code |= 1 << self.choices.index("other")
            else:
                beyond = True
        return code, beyond


def code_word(name: str) -> int:
    """Bits that stand for a reason code: the last 20 of its name's CRC-32, so that no list has to be kept in step.
    Twenty: of 198 codes two share their CRC-16."""
    return crc32(name.encode()) & (1 << CODE_BITS) - 1


_CODES = {code_word(code): str(code) for code in Code}


class Packed(NamedTuple):
    """Bytes, and the names of the fields whose value was out of range."""

    payload: bytes
    out_of_range: tuple[str, ...]


class Unpacked(NamedTuple):
    """Values by field (``None`` is missing), and the names of those that were out of range: theirs is the edge."""

    layout: Layout
    values: Mapping[str, Value | None]
    out_of_range: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Layout:
    """One layout: head, fields in order, filled up to whole bytes. Raises ValueError for what can't be."""

    number: int
    name: str
    text: str
    fields: tuple[LayoutField, ...]
    version: int = 1
    names: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "names", frozenset(entry.name for entry in self.fields))
        if not (1 <= self.number <= 15 and 1 <= self.version <= 15) or len(self.names) != len(self.fields):
            raise ValueError(f"{self.name}: number or version out of range, or a name twice")

    @property
    def bits(self) -> int:
        """Bits with the head, without filling."""
        return HEAD_BITS + sum(entry.bits for entry in self.fields)

    @property
    def size_bytes(self) -> int:
        """Length."""
        return (self.bits + 7) // 8

    def pack(self, values: Mapping[str, object]) -> Packed:
        """Bytes of these values; those that are not given are missing. KeyError for a field that there is not."""
        if not values.keys() <= self.names:
            raise KeyError(f"{self.name}: no field {', '.join(sorted(values.keys() - self.names))}")
        bits, beyond = self.number << 4 | self.version, []
        for entry in self.fields:
            code, out = entry.to_code(values.get(entry.name))
            bits = bits << entry.bits | code
            if out:
                beyond.append(entry.name)
        size = self.size_bytes
        return Packed((bits << (8 * size - self.bits)).to_bytes(size, "big"), tuple(beyond))

    def unpack(self, payload: bytes) -> Unpacked | LayoutFault:
        """Values of bytes, or why they are no such packet. Never raises."""
        if not payload:
            return LayoutFault.EMPTY
        if payload[0] >> 4 != self.number:
            return LayoutFault.UNKNOWN_LAYOUT
        if payload[0] & 15 != self.version:
            return LayoutFault.UNKNOWN_VERSION
        if len(payload) != self.size_bytes:
            return LayoutFault.WRONG_LENGTH
        bits = int.from_bytes(payload, "big")
        left = 8 * len(payload) - HEAD_BITS
        values: dict[str, Value | None] = {}
        beyond: list[str] = []
        for entry in self.fields:
            left -= entry.bits
            value, out, valid = entry.to_value(bits >> left & (1 << entry.bits) - 1)
            if not valid:
                return LayoutFault.UNKNOWN_CHOICE
            values[entry.name] = value
            if out:
                beyond.append(entry.name)
        if bits & (1 << left) - 1:
            return LayoutFault.PADDING
        return Unpacked(self, values, tuple(beyond))


def _word(value: object) -> str | None:
    """The word of a choice; truth values are the words "no" and "yes"."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value) if isinstance(value, str) else None
