"""CBOR from outside becomes a plain value or a named refusal; never an exception, never more than was allowed.

Plain is: whole numbers of 64 bits and a sign, finite floats, text, bytes, true, false, null, lists, and maps with text
keys. Refused are tags, undefined and other simple values, NaN and infinity, indefinite lengths, a key twice, bytes
after the item, and whatever is longer, deeper or more than ``Limits`` say (RFC 8949 sections 3 and 5).

A number or length that could be written shorter is taken all the same: what is decoded here was authenticated byte by
byte before, nothing is signed or compared in its decoded form, and senders in C write fixed widths. Where bytes are
signed or hashed again after decoding, ``Limits(canonical=True)`` takes only what encodes to the same bytes.

Up to ``MESSAGE.most_bytes`` any input is decided within a millisecond.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum, unique
from io import BytesIO
from math import isfinite
from typing import Any

import cbor2

__all__ = ["MESSAGE", "MOST_DETAIL", "Limits", "Plain", "Reason", "Refusal", "decode", "encode", "objection", "read"]

Plain = Any
"""int, float, str, bytes, bool, None, list or dict of these."""


@unique
class Reason(StrEnum):
    """Why bytes from outside were not taken."""

    EMPTY = "empty"
    TOO_LONG = "too long"
    MALFORMED = "malformed"
    """No CBOR; or an indefinite length, a key twice, a key that is no text, text that is not UTF-8."""
    TOO_DEEP = "too deep"
    TRAILING = "bytes after the item"
    TAG = "tag"
    NOT_PLAIN = "not plain"
    """A simple value beside true, false and null."""
    NOT_FINITE = "not finite"
    TOO_MANY = "too many items"
    NOT_CANONICAL = "not canonical"
    NOT_A_MESSAGE = "not a message"
    """An item that is no list, or does not begin with a schema id."""
    UNKNOWN_SCHEMA = "unknown schema"
    WRONG_SHAPE = "wrong shape"
    """More or fewer fields, or of another type, than the schema has."""
    OUT_OF_RANGE = "out of range"
    UNKNOWN_COMMAND = "unknown command"
    SCHEMA_DIFFERS = "schema differs"
    """The sender's declaration of this very command is another one."""
    ARGUMENT = "argument"
    """An argument is missing, too many, or not what the dictionary allows."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why bytes were not taken; ``detail`` is at most ``MOST_DETAIL`` characters, for people."""

    reason: Reason
    detail: str = ""


MOST_DETAIL = 200


@dataclass(frozen=True, slots=True)
class Limits:
    """What is decoded at most. ``depth`` counts containers in containers, ``items`` everything in all of them."""

    most_bytes: int = 4096
    depth: int = 6
    items: int = 1024
    canonical: bool = False


MESSAGE = Limits()
"""Limits of a message of the link."""


class _TagRefusedError(Exception):
    pass


def _refuse_tag(*_: Any) -> Any:
    raise _TagRefusedError


# Tags that cbor2 would decode by itself; all others go to the tag hook.
_BUILT_IN = (0, 1, 2, 3, 4, 5, 25, 28, 29, 30, 35, 36, 37, 52, 54, 100, 256, 258, 260, 261, 1004, 43000, 55799)
_NO_TAGS = dict.fromkeys(_BUILT_IN, _refuse_tag)
# What a decoder may raise for bytes alone: its own errors, and those of the conversions that it calls.
_ERRORS = (cbor2.CBORError, ValueError, OverflowError, TypeError, RecursionError, MemoryError)


def read(data: bytes, limits: Limits = MESSAGE) -> Plain | Refusal:
    """One item, by structure alone: the caller looks at every value's type and at floats itself."""
    if not data:
        return Refusal(Reason.EMPTY)
    if len(data) > limits.most_bytes:
        return Refusal(Reason.TOO_LONG, f"{len(data)} bytes; {limits.most_bytes} are allowed")
    stream = BytesIO(data)
    try:
        value = cbor2.CBORDecoder(
            stream, tag_hook=_refuse_tag, semantic_decoders=_NO_TAGS, max_depth=limits.depth, allow_indefinite=False,
            allow_duplicate_keys=False, strict_hashable_types=True,
        ).decode()
    except _ERRORS as error:
        return _named(error)
    if stream.tell() != len(data):
        return Refusal(Reason.TRAILING, f"{len(data) - stream.tell()} of {len(data)} bytes")
    return value


def decode(data: bytes, limits: Limits = MESSAGE) -> Plain | Refusal:
    """One item in plain types, or why not. Never raises for what the bytes are."""
    value = read(data, limits)
    if isinstance(value, Refusal):
        return value
    problem = objection(value, limits.items)
    if problem is not None:
        return problem
    if limits.canonical and encode(value) != data:
        return Refusal(Reason.NOT_CANONICAL)
    return value


def encode(value: Plain) -> bytes:
    """The shortest bytes of a plain value: numbers as short as they are exact, keys by length, then bytewise."""
    return cbor2.dumps(value, canonical=True)


def objection(value: Plain, items: int) -> Refusal | None:
    """Why a decoded value is not plain, or is too much; ``None`` if nothing is."""
    waiting = [value]
    seen = 0
    while waiting:
        one = waiting.pop()
        kind = type(one)
        if kind is float:
            if not isfinite(one):
                return Refusal(Reason.NOT_FINITE, str(one))
        elif kind is list or kind is dict:
            seen += len(one)
            if seen > items:
                return Refusal(Reason.TOO_MANY, f"more than {items}")
            waiting.extend(one if kind is list else one.values())
            if kind is dict and not all(type(key) is str for key in one):
                return Refusal(Reason.MALFORMED, "a key that is no text")
        elif not (kind is int or kind is str or kind is bool or one is None or kind is bytes):
            return Refusal(Reason.NOT_PLAIN, kind.__name__)
    return None


def _named(error: BaseException) -> Refusal:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, _TagRefusedError):
            return Refusal(Reason.TAG)
        cause = cause.__cause__
    text = str(error)[:MOST_DETAIL]
    return Refusal(Reason.TOO_DEEP if "nesting depth" in text else Reason.MALFORMED, text)
