"""Endpoint ids of the ipn scheme: two or three numbers on the wire, one meaning (RFC 9171 section 4.2.5, RFC 9758)."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum, unique
from typing import Any

from comms.bundles.cbor_items import LARGEST_UINT, list_head, uint_item

__all__ = ["NULL", "Eid", "EidForm"]

NODE_BITS = 32
LARGEST_NODE = 0xFFFF_FFFF
DTN, IPN = 1, 2
"""Scheme codes (RFC 9171 section 4.2.5.1)."""


@unique
class EidForm(IntEnum):
    """How an id is written on the wire. A primary block must pass a relay unchanged, so the form is kept."""

    DTN_NONE = 0
    PAIR = 2
    TRIPLE = 3


@dataclass(frozen=True, slots=True)
class Eid:
    """An endpoint of the ipn scheme: ``ipn:allocator.node.service``, or the null endpoint, which is nobody.

    Two ids are equal if they mean the same endpoint, in whatever form they are written. ValueError for numbers out of
    range. Allocator and node take 32 bits each, the service 64.
    """

    allocator: int
    node: int
    service: int
    form: EidForm = field(default=EidForm.PAIR, compare=False)

    def __post_init__(self) -> None:
        if not (0 <= self.allocator <= LARGEST_NODE and 0 <= self.node <= LARGEST_NODE):
            raise ValueError("allocator and node are 0 to 2^32 - 1")
        if not 0 <= self.service <= LARGEST_UINT:
            raise ValueError("service is 0 to 2^64 - 1")
        if self.form is EidForm.DTN_NONE and (self.allocator, self.node, self.service) != (0, 0, 0):
            raise ValueError("dtn:none has no numbers")

    @classmethod
    def ipn(cls, node: int, service: int, allocator: int = 0) -> Eid:
        """An id by its numbers, written as a pair."""
        return cls(allocator, node, service)

    @classmethod
    def parse(cls, text: str) -> Eid:
        """``dtn:none``, ``ipn:node.service`` or ``ipn:allocator.node.service``. ValueError for anything else."""
        if text == "dtn:none":
            return NULL
        scheme, _, rest = text.partition(":")
        numbers = rest.split(".")
        if scheme != "ipn" or len(numbers) not in (2, 3) or not all(n.isascii() and n.isdigit() for n in numbers):
            raise ValueError(f"{text!r} is no endpoint id; ipn:node.service or ipn:allocator.node.service is one")
        values = [int(number) for number in numbers]
        if len(values) == 3:
            return cls(values[0], values[1], values[2])
        if values[0] > LARGEST_UINT:
            raise ValueError(f"{text!r}: the node number takes more than 64 bits")
        return cls(values[0] >> NODE_BITS, values[0] & LARGEST_NODE, values[1])

    @classmethod
    def from_item(cls, item: Any) -> Eid | None:
        """The id of a decoded CBOR item; ``None`` for what is none, and for ids of the dtn scheme except dtn:none."""
        if type(item) is not list or len(item) != 2 or type(item[0]) is not int:
            return None
        scheme, rest = item
        if scheme == DTN:
            return NULL if type(rest) is int and rest == 0 else None
        if scheme != IPN or type(rest) is not list or not all(type(number) is int for number in rest):
            return None
        if not all(0 <= number <= LARGEST_UINT for number in rest):
            return None
        if len(rest) == 2:
            found = (rest[0] >> NODE_BITS, rest[0] & LARGEST_NODE, rest[1], EidForm.PAIR)
        elif len(rest) == 3 and rest[0] <= LARGEST_NODE and rest[1] <= LARGEST_NODE:
            found = (rest[0], rest[1], rest[2], EidForm.TRIPLE)
        else:
            return None
        # Node 0 of allocator 0 is nobody, and nobody has no services (RFC 9758 section 3.4.1).
        if found[0] == found[1] == 0 and found[2] != 0:
            return None
        return cls(*found)

    def encode(self) -> bytes:
        """CBOR of the id in its own form."""
        if self.form is EidForm.DTN_NONE:
            return b"\x82\x01\x00"
        if self.form is EidForm.PAIR:
            numbers: tuple[int, ...] = (self.full_node, self.service)
        else:
            numbers = (self.allocator, self.node, self.service)
        return b"\x82\x02" + list_head(len(numbers)) + b"".join(map(uint_item, numbers))

    @property
    def full_node(self) -> int:
        """Fully qualified node number: allocator in the upper 32 bits (RFC 9758 section 3.3.1)."""
        return self.allocator << NODE_BITS | self.node

    @property
    def is_null(self) -> bool:
        """Whether it is nobody: dtn:none or ipn:0.0."""
        return self.allocator == self.node == self.service == 0

    def __str__(self) -> str:
        if self.is_null:
            return "dtn:none"
        front = f"{self.allocator}." if self.allocator else ""
        return f"ipn:{front}{self.node}.{self.service}"


NULL = Eid(0, 0, 0, EidForm.DTN_NONE)
"""The null endpoint, dtn:none."""
