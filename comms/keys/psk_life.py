"""The life of a pre-shared key: staged, active, retired. A key is wiped only once the peer surely has the other one.

Each move gives a new Peer or raises KeyringError; nothing is half done. Sure is: the peer confirmed the new key in a
renewal, or a handshake with a key came to its end, which then is the only one.
"""

from __future__ import annotations

import hmac
from dataclasses import replace

from comms.keys.faults import KeyFault, KeyringError
from comms.keys.points import check_secret
from comms.keys.ring import Peer, PeerState, PskSlot, SlotState, filter_key, psk_id

__all__ = ["first_slot", "promote", "revoke", "settle", "stage", "usable"]


def first_slot(secret: bytes | None) -> PskSlot:
    """The slot of a newly pinned peer. KeyringError for what can be no secret."""
    good = check_secret(secret, "pre-shared key")
    return PskSlot(psk_id(good), SlotState.ACTIVE, good)


def stage(peer: Peer, secret: bytes | None) -> Peer:
    """Keep a new key beside the active one; a key staged before gives way."""
    active = _active(peer)
    good = check_secret(secret, "pre-shared key")
    if active.secret is not None and hmac.compare_digest(active.secret, good):
        raise KeyringError(KeyFault.SAME, f"{peer.name}: the new key is the present one")
    return replace(peer, slots=(active, PskSlot(psk_id(good), SlotState.STAGED, good)))


def promote(peer: Peer, slot_id: bytes) -> Peer:
    """Make the staged key the active one and wipe the one before it. No change if it is active already."""
    active = _active(peer)
    if active.id == slot_id:
        return peer
    staged = peer.slot(SlotState.STAGED)
    if staged is None or staged.id != slot_id or staged.secret is None:
        raise KeyringError(KeyFault.NOT_STAGED, f"{peer.name}: no such key is staged")
    slots = (replace(staged, state=SlotState.ACTIVE), PskSlot(active.id, SlotState.RETIRED, None))
    return replace(peer, slots=slots, filter_key=filter_key(staged.secret))


def settle(peer: Peer, slot_id: bytes) -> Peer:
    """A handshake with this key came to its end: it is the key of both, any other is wiped."""
    active = _active(peer)
    if active.id != slot_id:
        return promote(peer, slot_id)
    if peer.slot(SlotState.STAGED) is None:
        return peer
    return replace(peer, slots=(active,))


def revoke(peer: Peer) -> Peer:
    """End a peer: its keys are wiped; what names its knocking stays."""
    if peer.state is PeerState.REVOKED:
        raise KeyringError(KeyFault.REVOKED, f"{peer.name} is revoked already")
    return replace(peer, state=PeerState.REVOKED, slots=(), nbl_root=None)


def usable(peer: Peer) -> tuple[PskSlot, ...]:
    """Keys that a handshake may be made with, the active one first."""
    return tuple(slot for slot in peer.slots if slot.secret is not None)


def _active(peer: Peer) -> PskSlot:
    if peer.state is PeerState.REVOKED:
        raise KeyringError(KeyFault.REVOKED, f"{peer.name} is revoked", "pair anew to give it keys again")
    active = peer.slot(SlotState.ACTIVE)
    if active is None:
        raise KeyringError(KeyFault.UNSET, f"{peer.name} has no active key")
    return active
