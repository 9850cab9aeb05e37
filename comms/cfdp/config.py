"""What an entity must know of itself and of its peers, and what each fault leads to unless told otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from comms.cfdp.checksum import ChecksumKind
from comms.cfdp.pdu import Condition, Handler

__all__ = ["FAULTS", "EntityConfig", "PeerConfig"]

SECOND_NS = 1_000_000_000
FAULTS = frozenset(Condition) - {Condition.NO_ERROR, Condition.SUSPEND_REQUEST, Condition.CANCEL_REQUEST}
"""Conditions that are faults: the others are nothing or somebody's wish (CCSDS 727.0-B-5 section 4.8)."""


@dataclass(frozen=True, slots=True)
class EntityConfig:
    """The entity itself.

    Attributes:
        transactions: most at a time, each way.
        remembered: ended transactions that are still known, so that late units of theirs are answered.
        work_bytes: most bytes of files that one call reads to work out checksums.
        checkpoint_bytes: bytes taken in between two records of what has arrived.
        gaps: most gaps in a file on its way in; what would make more is dropped and asked for again later.
    """

    entity_id: int
    transactions: int = 16
    remembered: int = 64
    indications: int = 256
    work_bytes: int = 262_144
    checkpoint_bytes: int = 262_144
    gaps: int = 4096
    entity_bytes: int = 1
    sequence_bytes: int = 4

    def __post_init__(self) -> None:
        if not 0 <= self.entity_id < 1 << 8 * self.entity_bytes:
            raise ValueError(f"entity {self.entity_id} does not fit into {self.entity_bytes} bytes")
        for name in ("transactions", "remembered", "work_bytes", "checkpoint_bytes", "gaps"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} {getattr(self, name)}: must be at least 1")


@dataclass(frozen=True, slots=True)
class PeerConfig:
    """One peer: how files go to it and come from it. Times are of contact: they stand still without any.

    Attributes:
        segment_bytes: longest piece of a file; a shorter unit on the link makes it shorter.
        crc: units carry a CRC-16; not needed where records are authenticated.
        immediate_nak: ask for a gap as soon as it is seen; else once, after the end of the file. Links that may change
            the order should wait.
        ack_limit: times that an EOF or Finished without an answer is repeated; ``nak_limit``: times in a row that
            asking for what is missing brings nothing; ``check_limit``: times that a class 1 receiver looks again.
        inactivity_ns: longest silence of a peer that something is awaited from.
        keep_alive_ns: how often a receiver tells how far it is; ``None``: only if asked.
        keep_alive_limit: bytes that the receiver may be behind what was sent; ``None``: any.
        handlers: what a fault leads to; one that isn't named cancels the transaction.
    """

    entity_id: int
    segment_bytes: int = 1024
    checksum: ChecksumKind = ChecksumKind.CRC_32
    crc: bool = False
    immediate_nak: bool = False
    ack_ns: int = 5 * SECOND_NS
    ack_limit: int = 16
    nak_ns: int = 5 * SECOND_NS
    nak_limit: int = 16
    check_ns: int = 10 * SECOND_NS
    check_limit: int = 3
    inactivity_ns: int = 600 * SECOND_NS
    keep_alive_ns: int | None = None
    keep_alive_limit: int | None = None
    handlers: Mapping[Condition, Handler] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("segment_bytes", "ack_ns", "ack_limit", "nak_ns", "nak_limit", "check_ns", "check_limit",
                     "inactivity_ns"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} {getattr(self, name)}: must be at least 1")
        wrong = set(self.handlers) - FAULTS
        if wrong:
            raise ValueError(f"no faults: {', '.join(sorted(condition.name for condition in wrong))}")
