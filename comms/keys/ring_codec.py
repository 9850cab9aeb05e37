"""A ring as bytes and back: positional CBOR, checked field by field, since a file may be of another version or hand.

Bytes that are no ring raise KeyringError (FORMAT); a key in it that must not be used raises as when it is pinned.
"""

from __future__ import annotations

from typing import Any, TypeVar

import cbor2

from comms.dictionary import Authority
from comms.keys.faults import KeyFault, KeyringError
from comms.keys.points import check_public_key, check_secret
from comms.keys.ring import MOST_PEERS, NAME_BYTES, Peer, PeerState, PskSlot, Ring, RingKind, SlotState, psk_id

__all__ = ["WRAP_SEED_BYTES", "check_name", "check_ring", "decode_ring", "encode_ring"]

SCHEMA = 1
WRAP_SEED_BYTES = 96
NOTE_BYTES = 200
T = TypeVar("T")


def encode_ring(ring: Ring) -> bytes:
    """A ring as bytes. They hold every secret: only for sealing."""
    return cbor2.dumps([
        SCHEMA, ring.kind.value, ring.name, ring.identity, ring.wrap_seed,
        None if ring.role is None else ring.role.value, ring.nbl_root, ring.audit_seed,
        [_peer_fields(peer) for peer in ring.peers],
    ])


def decode_ring(data: bytes) -> Ring:
    """A ring from bytes. KeyringError if they are none."""
    try:
        fields = cbor2.loads(data, max_depth=8, allow_indefinite=False, allow_duplicate_keys=False)
        schema, kind, name, identity, wrap_seed, role, nbl_root, audit_seed, peers = fields
        if schema != SCHEMA or not isinstance(peers, list):
            raise ValueError
        ring = Ring(
            RingKind(kind), _typed(name, str), _typed(identity, bytes), _typed(wrap_seed, bytes),
            None if role is None else Authority(role), _maybe(nbl_root, bytes), _maybe(audit_seed, bytes),
            tuple(_peer(fields) for fields in peers),
        )
    except (cbor2.CBORDecodeError, ValueError, TypeError):
        raise KeyringError(KeyFault.FORMAT, "what is stored is no ring of keys of this version") from None
    check_ring(ring)
    return ring


def check_ring(ring: Ring) -> None:
    """Raises KeyringError for a ring that must not be used."""
    check_name(ring.name)
    check_secret(ring.identity, "private key")
    if len(ring.wrap_seed) != WRAP_SEED_BYTES:
        raise KeyringError(KeyFault.LENGTH, f"seed for invitations: {len(ring.wrap_seed)} bytes")
    if ring.kind is RingKind.CRAFT:
        check_secret(ring.nbl_root, "root key of the emergency packets")
        check_secret(ring.audit_seed, "audit key")
    elif ring.role is None:
        raise KeyringError(KeyFault.ROLE, "an operator has a role")
    if len(ring.peers) > MOST_PEERS:
        raise KeyringError(KeyFault.FULL, f"{len(ring.peers)} peers; {MOST_PEERS} at most")
    names, keys = {peer.name for peer in ring.peers}, {peer.public_key for peer in ring.peers}
    if len(names) < len(ring.peers) or len(keys) < len(ring.peers):
        raise KeyringError(KeyFault.DUPLICATE, "two pinned peers have one name or one key")
    for peer in ring.peers:
        _check_peer(peer)


def check_name(name: str) -> str:
    """A name of a craft or operator: 1 to 32 bytes, printable, no blanks at its ends, no slash: behind one stands what
    of a peer has asked for something, as ``ann/shell``. Raises KeyringError."""
    good = 1 <= len(name.encode()) <= NAME_BYTES and name.isprintable() and name == name.strip() and "/" not in name
    if not good:
        raise KeyringError(
            KeyFault.NAME, f"name {name[:40]!r}: 1 to {NAME_BYTES} bytes of printable text without a slash are needed"
        )
    return name


def _check_peer(peer: Peer) -> None:
    check_name(peer.name)
    check_public_key(peer.public_key, peer.name)
    check_secret(peer.filter_key, f"{peer.name}: filter key")
    for slot in peer.slots:
        if (slot.state is SlotState.RETIRED) != (slot.secret is None):
            raise KeyringError(KeyFault.FORMAT, f"{peer.name}: a key's state and its content differ")
        if slot.secret is not None and slot.id != psk_id(check_secret(slot.secret, f"{peer.name}: pre-shared key")):
            raise KeyringError(KeyFault.FORMAT, f"{peer.name}: a key's id is not its own")
    states = [slot.state for slot in peer.slots]
    revoked = peer.state is PeerState.REVOKED
    if len(set(states)) < len(states) or (states[:1] != [SlotState.ACTIVE] and not revoked) or (revoked and states):
        raise KeyringError(KeyFault.UNSET, f"{peer.name}: exactly one active key is needed, and none if revoked")


def _peer_fields(peer: Peer) -> list[Any]:
    return [
        peer.name, peer.kind.value, peer.public_key, peer.role.value, peer.state.value,
        [[slot.id, slot.state.value, slot.secret] for slot in peer.slots], peer.filter_key, peer.last_start,
        peer.nbl_root, peer.audit_public, peer.note, peer.card_digest,
    ]


def _peer(fields: Any) -> Peer:
    (name, kind, public_key, role, state, slots, mac_key, last_start, nbl_root, audit_public, note,
     digest) = fields
    if len(_typed(note, str).encode()) > NOTE_BYTES:
        raise ValueError
    if last_start is not None and not 0 <= _typed(last_start, int) < 2**32:
        raise ValueError
    return Peer(
        _typed(name, str), RingKind(kind), _typed(public_key, bytes), Authority(role), PeerState(state),
        tuple(_slot(slot) for slot in _typed(slots, list)), _typed(mac_key, bytes), last_start, _maybe(nbl_root, bytes),
        _maybe(audit_public, bytes), note, _typed(digest, bytes),
    )


def _slot(fields: Any) -> PskSlot:
    slot_id, state, secret = fields
    return PskSlot(_typed(slot_id, bytes), SlotState(state), _maybe(secret, bytes))


def _typed(value: Any, kind: type[T]) -> T:
    if not isinstance(value, kind) or isinstance(value, bool):
        raise TypeError
    return value


def _maybe(value: Any, kind: type[T]) -> T | None:
    return None if value is None else _typed(value, kind)
