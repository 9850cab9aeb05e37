"""What one side knows of keys: its own, and those of the peers it pinned. Values only; nothing here is ever shown.

A pre-shared key has a life of its own: staged, active, retired (see ``psk_life``). A peer is never without exactly one
active key, unless it is revoked, and then it has none.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum, unique

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from comms.dictionary import Authority

__all__ = ["MOST_PEERS", "NAME_BYTES", "Peer", "PeerState", "PskSlot", "Ring", "RingKind", "SlotState", "filter_key",
           "fingerprint", "psk_id"]

MOST_PEERS = 16
"""Pinned peers of one side: each costs one MAC for every forged message that comes in."""
NAME_BYTES = 32


@unique
class RingKind(StrEnum):
    """Whose keys these are."""

    CRAFT = "craft"
    OPERATOR = "operator"


@unique
class SlotState(StrEnum):
    """Life of a pre-shared key."""

    STAGED = "staged"
    """Stored; the peer may have it or not. Good for receiving."""
    ACTIVE = "active"
    """Known to be shared."""
    RETIRED = "retired"
    """Replaced and wiped; only its id is left."""


@unique
class PeerState(StrEnum):
    """Whether a peer gets a session."""

    ACTIVE = "active"
    REVOKED = "revoked"


@dataclass(frozen=True, slots=True)
class PskSlot:
    """One pre-shared key; ``secret`` is ``None`` once it is retired."""

    id: bytes
    state: SlotState
    secret: bytes | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class Peer:
    """One pinned peer.

    Attributes:
        name: as it is called here, at most 32 bytes.
        kind: craft or operator.
        public_key: its static X25519 key, 32 bytes.
        role: what the operator of the two may do. Belongs to the key, not to a field of a message.
        state: whether it gets a session.
        slots: its pre-shared keys, the active one first.
        filter_key: for the MAC before any exchange; outlives a revocation, so that a knock can still be named.
        last_start: last start of the craft at which it gets a session; ``None``: no end.
        nbl_root: root of the craft's emergency packets, known by its operators.
        audit_public: checks the craft's audit, 32 bytes.
        note: free text of the operator.
        card_digest: of the card that it was pinned by, 10 bytes.
    """

    name: str
    kind: RingKind
    public_key: bytes
    role: Authority
    state: PeerState
    slots: tuple[PskSlot, ...]
    filter_key: bytes = field(repr=False)
    last_start: int | None = None
    nbl_root: bytes | None = field(default=None, repr=False)
    audit_public: bytes | None = None
    note: str = ""
    card_digest: bytes = b""

    def slot(self, state: SlotState) -> PskSlot | None:
        """The slot in this state, if there is one."""
        return next((slot for slot in self.slots if slot.state is state), None)

    def expired(self, craft_start: int | None) -> bool:
        """Whether its permission has run out. An unknown start counter doesn't prolong one that ends."""
        return self.last_start is not None and (craft_start is None or craft_start > self.last_start)


@dataclass(frozen=True, slots=True)
class Ring:
    """All keys of one craft or operator.

    Attributes:
        kind: which of both.
        name: of the craft or operator, at most 32 bytes.
        identity: seed of the static X25519 key, 32 bytes.
        wrap_seed: seed of the key that invitations are sealed to (ML-KEM 64 B and X25519 32 B).
        role: of an operator: the role it asks for when it is paired.
        nbl_root: of a craft: root of its emergency packets.
        audit_seed: of a craft: seed of its Ed25519 key for the audit.
        peers: at most 16.
    """

    kind: RingKind
    name: str
    identity: bytes = field(repr=False)
    wrap_seed: bytes = field(repr=False)
    role: Authority | None = None
    nbl_root: bytes | None = field(default=None, repr=False)
    audit_seed: bytes | None = field(default=None, repr=False)
    peers: tuple[Peer, ...] = ()

    def peer(self, name: str) -> Peer | None:
        """The peer of this name."""
        return next((peer for peer in self.peers if peer.name == name), None)


def psk_id(secret: bytes) -> bytes:
    """Name of a pre-shared key, 8 bytes; tells nothing of the key itself."""
    return HKDFExpand(hashes.SHA256(), 8, b"qiki psk id").derive(secret)


def filter_key(secret: bytes) -> bytes:
    """Key of the MAC that stands before any exchange, 32 bytes."""
    return HKDFExpand(hashes.SHA256(), 32, b"filter").derive(secret)


def fingerprint(card_digest: bytes) -> str:
    """The digest of a card as people compare it: 20 hexadecimal digits in groups of four."""
    digits = card_digest.hex()
    return " ".join(digits[at : at + 4] for at in range(0, len(digits), 4))
