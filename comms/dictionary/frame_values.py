"""One value of telemetry on its way out, made plain in its channel's form; and on its way in, held against it."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from math import inf, isfinite
from typing import Any

from comms.dictionary.strict_cbor import MESSAGE, Plain, Reason, Refusal, objection
from comms.dictionary.types import Channel, Form, Kind

__all__ = ["NUMBERS", "REAL", "container_objection", "fitter", "number32", "types_of"]

_F32 = struct.Struct(">f")
NUMBERS = {Kind.VECTOR3: 3, Kind.QUATERNION: 4, Kind.WRENCH: 6}
"""How many numbers a value is."""
REAL = {float, int}
"""Types of a number; a flag is none."""
_NONE = type(None)
_TYPES: dict[Kind, frozenset[type]] = {
    Kind.NUMBER: frozenset({float, int, _NONE}),
    Kind.TEXT: frozenset({str, _NONE}),
    Kind.CHOICE: frozenset({str, _NONE}),
    Kind.FLAG: frozenset({bool, _NONE}),
    Kind.TABLE: frozenset({dict, _NONE}),
    Kind.LIST: frozenset({list, _NONE}),
}


def types_of(channel: Channel) -> frozenset[type]:
    """Types that a decoded value of this channel may have."""
    if channel.form is Form.COUNT and channel.kind is Kind.NUMBER:
        return frozenset({int, _NONE})
    return _TYPES.get(channel.kind, frozenset({list, _NONE}))


def container_objection(value: Plain, count: int) -> Refusal | None:
    """Why a list or table is none of its channel's: ``count`` finite numbers, or (0) anything plain."""
    if not count:
        return objection(value, MESSAGE.items)
    if len(value) != count:
        return Refusal(Reason.WRONG_SHAPE, f"{len(value)} of {count} numbers")
    for number in value:
        kind = type(number)
        if kind is not float and kind is not int:
            return Refusal(Reason.WRONG_SHAPE, f"{kind.__name__} for a number")
        if kind is float and number - number != 0.0:
            return Refusal(Reason.NOT_FINITE, str(number))
    return None


def fitter(channel: Channel) -> Callable[[Any], Plain]:
    """What makes a value of this channel plain; ``None`` from it means that it is none."""
    wide = channel.form is Form.FLOAT64
    if channel.kind in NUMBERS:
        count = NUMBERS[channel.kind]
        packed = struct.Struct(f">{count}{'d' if wide else 'f'}")

        def vector(value: Any) -> Plain:
            try:
                rounded = packed.unpack(packed.pack(*value))
            except (struct.error, OverflowError, TypeError):
                return None
            return rounded if isfinite(sum(rounded)) or all(map(isfinite, rounded)) else None

        return vector
    if channel.kind in (Kind.TEXT, Kind.CHOICE):
        return _text
    if channel.kind is Kind.FLAG:
        return lambda value: value if isinstance(value, bool) else None
    if channel.kind is Kind.NUMBER:
        return _count if channel.form is Form.COUNT else _number64
    shape = (Mapping,) if channel.kind is Kind.TABLE else (list, tuple)
    return lambda value: _any(value, wide) if isinstance(value, shape) else None


def _text(value: Any) -> str | None:
    if not isinstance(value, str):
        return None
    # A lone surrogate has no UTF-8.
    return value if value.isascii() else str(value).encode("utf-8", "replace").decode()


def _count(value: Any) -> int | None:
    return value if type(value) is int and 0 <= value < 2**64 else None


def _number64(value: Any) -> float | int | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if isinstance(value, int):
        return value if -(2**63) <= value < 2**64 else None
    return float(value) if isfinite(value) else None


def number32(value: Any) -> float | None:
    """A number rounded to 32 bits; ``None`` for what is none, or is not finite in them."""
    number = _number64(value)
    try:
        return None if number is None else _F32.unpack(_F32.pack(number))[0]
    except OverflowError:
        return None


def _any(value: Any, wide: bool, depth: int = 3) -> Plain:
    """Tables and lists with everything in them made plain; what is deeper than any channel is missing."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, int):
        return _number64(value)
    if isinstance(value, float):
        return _number64(value) if wide else number32(value)
    if depth and isinstance(value, Mapping):
        return {_text(str(key)): _any(item, wide, depth - 1) for key, item in value.items()}
    if depth and isinstance(value, list | tuple):
        if not wide and set(map(type, value)) == {float}:
            return _floats32(value)
        return [_any(item, wide, depth - 1) for item in value]
    return None


def _floats32(values: Sequence[float]) -> Plain:
    packed = f">{len(values)}f"
    try:
        rounded = struct.unpack(packed, struct.pack(packed, *values))
    except OverflowError:
        rounded = (inf,)
    return rounded if isfinite(sum(rounded)) else [number32(value) for value in values]
