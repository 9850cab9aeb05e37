"""Deterministic CBOR (RFC 8949 section 4.2.1) and no other: what has two encodings is taken in one of them."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import cbor2

__all__ = ["NotCborError", "bytes_item", "item_of", "list_head", "take_item", "uint_item"]

DEPTH = 4
"""Deepest nesting: array of a block, endpoint id, its numbers."""
LARGEST_UINT = 0xFFFF_FFFF_FFFF_FFFF
_DECODE_ERRORS = (cbor2.CBORError, ValueError, TypeError, OverflowError, EOFError, RecursionError, LookupError)


class NotCborError(ValueError):
    """Bytes that are not one deterministic item; ``canonical`` says whether they are an item at all."""

    def __init__(self, canonical: bool) -> None:
        super().__init__("not deterministic" if canonical else "not CBOR")
        self.canonical = canonical


def _head(major: int, value: int) -> bytes:
    if value < 24:
        return bytes((major | value,))
    if value < 0x100:
        return bytes((major | 24, value))
    if value < 0x1_0000:
        return bytes((major | 25,)) + value.to_bytes(2, "big")
    if value < 0x1_0000_0000:
        return bytes((major | 26,)) + value.to_bytes(4, "big")
    return bytes((major | 27,)) + value.to_bytes(8, "big")


def uint_item(value: int) -> bytes:
    """An unsigned integer, shortest form. OverflowError beyond 64 bits or below 0."""
    return _head(0, value)


def bytes_item(value: bytes) -> bytes:
    """A byte string of definite length."""
    return _head(0x40, len(value)) + value


def list_head(count: int) -> bytes:
    """Head of an array of definite length."""
    return _head(0x80, count)


def take_item(stream: BytesIO) -> Any:
    """The next item of a stream, definite lengths only. NotCborError for anything else."""
    try:
        return cbor2.CBORDecoder(stream, max_depth=DEPTH, allow_indefinite=False, allow_duplicate_keys=False).decode()
    except _DECODE_ERRORS as error:
        raise NotCborError(False) from error


def item_of(data: bytes) -> Any:
    """The one item that these bytes are, deterministically encoded. NotCborError for anything else."""
    stream = BytesIO(data)
    value = take_item(stream)
    if stream.tell() != len(data):
        raise NotCborError(False)
    try:
        again = cbor2.dumps(value)
    except _DECODE_ERRORS as error:
        raise NotCborError(False) from error
    if again != data:
        raise NotCborError(True)
    return value
