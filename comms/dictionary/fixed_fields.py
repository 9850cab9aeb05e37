"""Fields of fixed size, packed and unpacked exactly as XTCE describes them: big endian, no alignment, no surprises."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, unique
from math import isfinite
from typing import Any

from comms.dictionary.strict_cbor import Reason, Refusal

__all__ = ["FLAG_WORDS", "Container", "FieldCode", "FixedField", "Packer", "line_of", "text_bytes"]


@unique
class FieldCode(Enum):
    """What a field is on the wire: letter for ``struct``, and bits; a text's bits are its own."""

    U8 = ("B", 8)
    U16 = ("H", 16)
    U32 = ("I", 32)
    F32 = ("f", 32)
    F64 = ("d", 64)
    TEXT = ("s", 0)

    @property
    def letter(self) -> str:
        """Format of one item for ``struct``."""
        return self.value[0]


@dataclass(frozen=True, slots=True)
class FixedField:
    """One field. ``source`` is the channel or argument whose value it holds, ``place`` which number of a vector;
    ``bytes`` the length of a text; ``words`` names 0, 1, ... of an enumeration."""

    name: str
    code: FieldCode
    source: str
    place: int | None = None
    bytes: int = 0
    words: tuple[str, ...] = ()
    unit: str = "-"
    text: str = ""

    @property
    def bits(self) -> int:
        """Length on the wire."""
        return self.bytes * 8 if self.code is FieldCode.TEXT else self.code.value[1]


@dataclass(frozen=True, slots=True)
class Container:
    """The body of one packet behind its headers.

    ``head`` are fields that always have a value; ``sources`` are the values after them, each with a bit that says
    whether it is there, in that order, most significant bit first, filled up to whole bytes; then ``fields``.
    """

    name: str
    service: int
    subservice: int
    head: tuple[FixedField, ...]
    sources: tuple[str, ...]
    fields: tuple[FixedField, ...]
    text: str = ""
    id: int = 0
    """Value of the first field of ``head`` where that tells containers of one subservice apart."""

    @property
    def presence_bytes(self) -> int:
        """Bytes of the bits that say what is there."""
        return (len(self.sources) + 7) // 8

    @property
    def size_bytes(self) -> int:
        """Length of the body."""
        return self.presence_bytes + sum(field.bits for field in (*self.head, *self.fields)) // 8


class Packer:
    """Packs and unpacks one container.

    Args:
        container: what it holds.
    """

    def __init__(self, container: Container) -> None:
        self.container = container
        self._struct = struct.Struct(">" + "".join((
            *map(_format, container.head), f"{container.presence_bytes}s" if container.sources else "",
            *map(_format, container.fields),
        )))
        assert self._struct.size == container.size_bytes

    def pack(self, head: Sequence[Any], values: Mapping[str, Any]) -> bytes:
        """The body. A value that is missing, or does not fit its field, is marked as not there and is zero."""
        container = self.container
        there = 0
        items: dict[str, list[Any]] = {}
        for source in container.sources:
            fields = [field for field in container.fields if field.source == source]
            packed = _items(fields, values.get(source))
            there = there << 1 | (packed is not None)
            items[source] = [b"" if f.code is FieldCode.TEXT else 0 for f in fields] if packed is None else packed
        spare = container.presence_bytes * 8 - len(container.sources)
        presence = [(there << spare).to_bytes(container.presence_bytes)] if container.sources else []
        heads = [
            text_bytes(str(value), field.bytes) if field.code is FieldCode.TEXT else value
            for field, value in zip(container.head, head, strict=True)
        ]
        return self._struct.pack(*heads, *presence, *(item for source in container.sources for item in items[source]))

    def unpack(self, body: bytes) -> tuple[list[Any], dict[str, Any]] | Refusal:
        """Head and values of a body, ``None`` for what is not there; or why it is none."""
        container = self.container
        if len(body) != container.size_bytes:
            return Refusal(Reason.WRONG_SHAPE, f"{container.name}: {len(body)} bytes of {container.size_bytes}")
        row = list(self._struct.unpack(body))
        head = [_plain(field, value) for field, value in zip(container.head, row, strict=False)]
        row = row[len(head):]
        bits = int.from_bytes(row.pop(0)) if container.sources else 0
        if bits & ((1 << (container.presence_bytes * 8 - len(container.sources))) - 1):
            return Refusal(Reason.WRONG_SHAPE, f"{container.name}: a spare bit is set")
        values: dict[str, Any] = {}
        for index, source in enumerate(container.sources):
            pairs = [(f, v) for f, v in zip(container.fields, row, strict=True) if f.source == source]
            there = bits >> (container.presence_bytes * 8 - 1 - index) & 1
            value = _joined(pairs) if there else None
            if isinstance(value, Refusal):
                return value
            values[source] = value
        return head, values


def _format(field: FixedField) -> str:
    return f"{field.bytes}s" if field.code is FieldCode.TEXT else field.code.letter


def _items(fields: Sequence[FixedField], value: Any) -> list[Any] | None:
    """A value as the items of its fields; ``None`` if it is missing or doesn't fit them."""
    if value is None:
        return None
    if fields[0].code is FieldCode.TEXT:
        return [text_bytes(value if isinstance(value, str) else line_of(value, fields[0].bytes), fields[0].bytes)]
    if fields[0].words:
        word = FLAG_WORDS[value] if isinstance(value, bool) else value
        return [fields[0].words.index(word)] if word in fields[0].words else None
    numbers = list(value) if fields[0].place is not None and isinstance(value, list | tuple) else [value]
    if len(numbers) != len(fields) or not all(type(n) in (int, float) and isfinite(n) for n in numbers):
        return None
    try:
        struct.pack(">" + "".join(map(_format, fields)), *numbers)
    except (struct.error, OverflowError):
        return None
    return numbers


def _joined(pairs: Sequence[tuple[FixedField, Any]]) -> Any:
    field, value = pairs[0]
    if field.words:
        if value >= len(field.words):
            return Refusal(Reason.OUT_OF_RANGE, f"{field.name} is {value}")
        word = field.words[value]
        return word == FLAG_WORDS[1] if field.words == FLAG_WORDS else word
    values = [_plain(f, v) for f, v in pairs]
    if any(isinstance(v, float) and not isfinite(v) for v in values):
        return Refusal(Reason.NOT_FINITE, field.name)
    return values[0] if field.place is None else tuple(values)


def _plain(field: FixedField, value: Any) -> Any:
    return value.rstrip(b"\0").decode("utf-8", "replace") if field.code is FieldCode.TEXT else value


FLAG_WORDS = ("false", "true")
"""Words of a flag."""


def text_bytes(text: str, most: int) -> bytes:
    """UTF-8 of at most so many bytes, cut between characters, without zero bytes."""
    data = text.replace("\0", " ").encode("utf-8", "replace")
    return data if len(data) <= most else data[:most].decode("utf-8", "ignore").encode()


def line_of(value: Any, most: int) -> str:
    """A table or list in one line of at most so many bytes: ``name=value; ...``, cut between entries."""
    if isinstance(value, Mapping):
        entries = [f"{key}={_word(item)}" for key, item in value.items()]
    elif isinstance(value, list | tuple):
        entries = [_word(item) for item in value]
    else:
        entries = [_word(value)]
    line = "; ".join(entries)
    while len(line.encode("utf-8", "replace")) > most and entries:
        entries.pop()
        line = "; ".join([*entries, "..."])
    return line


def _word(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return FLAG_WORDS[value]
    if isinstance(value, float):
        return f"{value:.6g}"
    return ",".join(map(_word, value)) if isinstance(value, list | tuple) else str(value)
