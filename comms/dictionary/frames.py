"""Telemetry by position: one group's values as the shortest CBOR that keeps their declared form, and back.

A frame is ``[layout id, t_ms, value, value, ...]``; a value that is missing is null. Where a whole frame is longer than
the line takes, parts of it go: ``[13, layout id, t_ms, place of the first value, value, ...]``, each of use alone. A
table that alone is longer goes in slices: ``[14, layout id, t_ms, place, slice, slices in all, some of its entries]``.

Nothing that flight software hands over raises here: what is no value of its channel (a number that is not finite, a
type that is not the channel's) goes out as missing.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import isfinite
from typing import Any

from comms.dictionary.frame_values import NUMBERS, REAL, container_objection, fitter, number32, types_of
from comms.dictionary.layouts import LAYOUTS, LAYOUTS_BY_ID, Layout
from comms.dictionary.strict_cbor import MESSAGE, Plain, Reason, Refusal, encode, read
from comms.dictionary.types import Form, Kind

__all__ = [
    "MOST_MS", "PART", "SLICE", "Frame", "FrameCodec", "Parts", "codec_of", "decode_frame", "encode_frame",
    "encode_parts", "frame_of",
]

NS_PER_MS = 1_000_000
MOST_MS = 2**53
"""Times on a link are whole milliseconds of the craft, 0 to this."""
PART = 13
"""Schema id of a part of a frame."""
SLICE = 14
"""Schema id of a slice of one table."""
MOST_SLICES = 255


@dataclass(frozen=True, slots=True)
class Frame:
    """Telemetry of one group at one moment. ``values`` by channel name, ``None`` is missing; ``first`` is the place of
    the first of them, 0 unless this is a part. Vectors are tuples. ``slices`` is set where the only value is a slice of
    a table: which, of how many; ``over`` puts them together."""

    layout: Layout
    t_ns: int
    values: Mapping[str, Any]
    first: int = 0
    slices: tuple[int, int] | None = None

    def over(self, name: str, older: Any) -> Any:
        """What is known of a channel of this frame, with what was known before. The first slice of a table takes the
        place of the old table, the others add to it; if one is lost on the way, its entries stay those of the last
        time, or are not there."""
        value = self.values[name]
        return value if self.slices is None or self.slices[0] == 0 else {**(older or {}), **value}


@dataclass(frozen=True, slots=True)
class Parts:
    """Frames that together hold a group, and the names of the channels whose value is too long even so."""

    frames: tuple[bytes, ...]
    left_out: tuple[str, ...] = ()


class FrameCodec:
    """Encoder and decoder of one layout, made ready once.

    Args:
        layout: the group.
    """

    __slots__ = ("_float32", "_names", "_others", "_pack", "_types", "_vectors", "layout")

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        channels = layout.channels
        self._names = layout.names
        self._types = tuple(types_of(channel) for channel in channels)
        self._vectors = tuple(
            (index, NUMBERS.get(channel.kind, 0)) for index, channel in enumerate(channels)
            if channel.kind in NUMBERS or channel.kind in (Kind.TABLE, Kind.LIST)
        )
        plain = [i for i, c in enumerate(channels) if c.kind is Kind.NUMBER and c.form is Form.FLOAT32]
        self._float32 = tuple(plain)
        self._pack = struct.Struct(f">{len(plain)}f")
        self._others = tuple((i, fitter(c)) for i, c in enumerate(channels) if i not in plain)

    def encode(self, t_ns: int, values: Mapping[str, Any]) -> bytes:
        """One whole frame of a snapshot; channels that are not in it are missing."""
        return encode([self.layout.id, t_ns // NS_PER_MS, *self.fitted(values)])

    def fitted(self, values: Mapping[str, Any]) -> list[Plain]:
        """The group's values as they go out, in order."""
        get = values.get
        row = [get(name) for name in self._names]
        self._round(row)
        for index, fit in self._others:
            value = row[index]
            if value is not None:
                row[index] = fit(value)
        return row

    def _round(self, row: list[Any]) -> None:
        """Round single numbers to 32 bits: all at once, and one by one only if one of them is no finite number."""
        indices = self._float32
        numbers = [0.0 if row[index] is None else row[index] for index in indices]
        try:
            rounded = self._pack.unpack(self._pack.pack(*numbers))
            if isfinite(sum(rounded)) and set(map(type, numbers)) <= REAL:
                for index, value in zip(indices, rounded, strict=True):
                    if row[index] is not None:
                        row[index] = value
                return
        except (struct.error, OverflowError):
            pass
        for index in indices:
            if row[index] is not None:
                row[index] = number32(row[index])

    def decode(self, t_ms: Plain, row: Sequence[Plain], first: int = 0) -> Frame | Refusal:
        """A frame from its decoded values, each held against its channel."""
        names, types = self._names, self._types
        if first or len(row) != len(names):
            names, types = names[first : first + len(row)], types[first : first + len(row)]
        if type(t_ms) is not int or not 0 <= t_ms <= MOST_MS:
            return Refusal(Reason.OUT_OF_RANGE, "time")
        for value, allowed in zip(row, types, strict=True):
            kind = type(value)
            # Of all floats, only infinities and NaN are not zero when taken from themselves.
            if kind not in allowed or (kind is float and value - value != 0.0):
                return self._refused(row, first)
        found = dict(zip(names, row, strict=True))
        for index, count in self._vectors:
            at = index - first
            if 0 <= at < len(row) and row[at] is not None:
                problem = container_objection(row[at], count)
                if problem is not None:
                    return Refusal(problem.reason, f"{names[at]}: {problem.detail}")
                if count:
                    found[names[at]] = tuple(row[at])
        return Frame(self.layout, t_ms * NS_PER_MS, found, first)

    def _refused(self, row: Sequence[Plain], first: int) -> Refusal:
        for index, value in enumerate(row, first):
            name = self._names[index]
            if type(value) not in self._types[index]:
                return Refusal(Reason.WRONG_SHAPE, f"{name} is {type(value).__name__}")
            if type(value) is float and not isfinite(value):
                return Refusal(Reason.NOT_FINITE, name)
        raise AssertionError("nothing to refuse")


def codec_of(layout: Layout) -> FrameCodec:
    """The codec of a layout of the dictionary."""
    return _CODECS[layout.id]


def encode_frame(layout: Layout, t_ns: int, values: Mapping[str, Any]) -> bytes:
    """One group of a snapshot as a whole frame; ``t_ns`` is rounded down to a millisecond."""
    return _CODECS[layout.id].encode(t_ns, values)


def encode_parts(layout: Layout, t_ns: int, values: Mapping[str, Any], most_bytes: int) -> Parts:
    """One group as frames of at most ``most_bytes``: whole if it fits, else as few parts as keep its order."""
    codec = _CODECS[layout.id]
    t_ms, row = t_ns // NS_PER_MS, codec.fitted(values)
    whole = encode([layout.id, t_ms, *row])
    if len(whole) <= most_bytes:
        return Parts((whole,))
    frames: list[bytes] = []
    left_out: list[str] = []
    first = 0
    while first < len(row):
        count, part = 0, b""
        for end in range(first + 1, len(row) + 1):
            longer = encode([PART, layout.id, t_ms, first, *row[first:end]])
            if len(longer) > most_bytes:
                break
            count, part = end - first, longer
        slices = [part] if part else _sliced([SLICE, layout.id, t_ms, first], row[first], most_bytes)
        frames += slices
        if not slices:
            left_out.append(layout.channels[first].name)
        first += max(count, 1)
    return Parts(tuple(frames), tuple(left_out))


def _sliced(head: list[Plain], table: Plain, most_bytes: int) -> list[bytes]:
    """A table in slices of at most so many bytes; none if it is no table, or one entry alone is longer."""
    slices: list[dict[str, Plain]] = [{}]
    for key, value in table.items() if isinstance(table, dict) else ():
        if len(encode([*head, MOST_SLICES, MOST_SLICES, {**slices[-1], key: value}])) > most_bytes:
            slices.append({})
            if len(encode([*head, MOST_SLICES, MOST_SLICES, {key: value}])) > most_bytes:
                return []
        slices[-1][key] = value
    if not slices[0]:
        slices.pop(0)
    if len(slices) > MOST_SLICES:
        return []
    return [encode([*head, index, len(slices), entries]) for index, entries in enumerate(slices)]


def decode_frame(data: bytes) -> Frame | Refusal:
    """A frame or a part of one from bytes; never raises for what they are."""
    item = read(data, MESSAGE)
    if isinstance(item, Refusal):
        return item
    if type(item) is not list or not item or type(item[0]) is not int:
        return Refusal(Reason.NOT_A_MESSAGE)
    return frame_of(item)


def frame_of(item: list[Plain]) -> Frame | Refusal:
    """A frame or a part of one from a list that begins with its schema id."""
    identity, start, first = item[0], 2, 0
    if identity == SLICE:
        return _slice_of(item)
    if identity == PART:
        if len(item) < 5 or type(item[1]) is not int or type(item[3]) is not int:
            return Refusal(Reason.WRONG_SHAPE, "part")
        identity, first, start = item[1], item[3], 4
    codec = _CODECS.get(identity)
    if codec is None:
        return Refusal(Reason.UNKNOWN_SCHEMA, f"layout {identity}")
    row = item[start:]
    count = len(codec.layout.channels)
    fits = first >= 0 and first + len(row) <= count if start == 4 else len(row) == count
    if not fits:
        return Refusal(Reason.WRONG_SHAPE, f"{codec.layout.name}: {len(row)} values from place {first}")
    return codec.decode(item[start - 2 if start == 4 else 1], row, first)


def _slice_of(item: list[Plain]) -> Frame | Refusal:
    if len(item) != 7 or any(type(value) is not int for value in item[:6]) or type(item[6]) is not dict:
        return Refusal(Reason.WRONG_SHAPE, "slice")
    _, identity, t_ms, place, index, count, entries = item
    codec = _CODECS.get(identity)
    if codec is None:
        return Refusal(Reason.UNKNOWN_SCHEMA, f"layout {identity}")
    if not (0 <= index < count <= MOST_SLICES and 0 <= place < len(codec.layout.channels)):
        return Refusal(Reason.OUT_OF_RANGE, "slice")
    frame = codec.decode(t_ms, [entries], place)
    return frame if isinstance(frame, Refusal) else replace(frame, slices=(index, count))


_CODECS: dict[int, FrameCodec] = {identity: FrameCodec(layout) for identity, layout in LAYOUTS_BY_ID.items()}
assert len(_CODECS) == len(LAYOUTS), "two layouts share an id"
