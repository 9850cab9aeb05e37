"""How a craft and an operator come to know each other: together on one bench, or by a card and a sealed invitation.

A card is public: name, keys, what role is asked for. An invitation answers a card: it holds the craft's card, the new
pre-shared key and the root of its emergency packets, sealed by HPKE to the hybrid key on the operator's card, so that
only that operator opens it. That a card or an invitation is the right one people tell by its fingerprint.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from dataclasses import dataclass, replace
from typing import Any

import cbor2
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from comms.dictionary import Authority
from comms.keys import psk_life
from comms.keys.faults import KeyFault, KeyringError
from comms.keys.keyring import KeyStore
from comms.keys.points import KEY_BYTES, check_public_key, check_secret
from comms.keys.ring import Peer, PeerState, RingKind, filter_key, fingerprint
from comms.keys.ring_codec import check_name
from comms.keys.vault import RandomBytes
from comms.keys.xwing import PUBLIC_BYTES, SEALED_OVERHEAD, XWingKey, seal_to

__all__ = ["MOST_CARD_BYTES", "Card", "accept", "card_of", "invite", "is_invitation", "pair", "read_card",
           "renew_at_bench", "write_card"]

MOST_CARD_BYTES = 8192
INVITATION = b"qiki invitation 1\n"
INFO = b"qiki invitation 1"
CARD_KEYS = frozenset({"qiki", "version", "name", "kind", "role", "key", "wrap", "audit"})


@dataclass(frozen=True, slots=True)
class Card:
    """What others may know of a craft or operator. ``role`` is what an operator asks for; the craft's side grants."""

    kind: RingKind
    name: str
    public_key: bytes
    wrap_key: bytes
    role: Authority | None = None
    audit_public: bytes | None = None

    @property
    def digest(self) -> bytes:
        """10 bytes over all of the card's keys."""
        return hashlib.sha256(b"qiki card" + self.public_key + self.wrap_key + (self.audit_public or b"")).digest()[:10]

    @property
    def fingerprint(self) -> str:
        """For people to compare."""
        return fingerprint(self.digest)


def card_of(keys: KeyStore) -> Card:
    """The own card."""
    ring = keys.ring
    audit = None
    if ring.audit_seed is not None:
        audit = Ed25519PrivateKey.from_private_bytes(ring.audit_seed).public_key().public_bytes_raw()
    return Card(ring.kind, ring.name, keys.identity.public, XWingKey(ring.wrap_seed).public, ring.role, audit)


def write_card(card: Card) -> str:
    """A card as text for a file."""
    return json.dumps({
        "qiki": "public card", "version": 1, "name": card.name, "kind": card.kind.value,
        "role": None if card.role is None else card.role.value, "key": card.public_key.hex(),
        "audit": None if card.audit_public is None else card.audit_public.hex(),
        "wrap": base64.b64encode(card.wrap_key).decode(),
    }, indent=1) + "\n"


def read_card(text: bytes) -> Card:
    """A card from the bytes of a file. KeyringError for what is none, or holds a key that must not be used."""
    try:
        found = json.loads(text) if len(text) <= MOST_CARD_BYTES else None
        if not isinstance(found, dict) or set(found) != CARD_KEYS or found["version"] != 1:
            raise ValueError
        card = Card(
            RingKind(found["kind"]), str(found["name"]), bytes.fromhex(found["key"]),
            base64.b64decode(found["wrap"], validate=True), None if found["role"] is None else Authority(found["role"]),
            None if found["audit"] is None else bytes.fromhex(found["audit"]),
        )
    except (ValueError, TypeError, RecursionError, binascii.Error):
        raise KeyringError(KeyFault.FORMAT, "this is no card of a craft or operator",
                           "make one with: qiki keys export FOLDER --out FILE") from None
    check_name(card.name)
    check_public_key(card.public_key, card.name)
    if len(card.wrap_key) != PUBLIC_BYTES or (card.audit_public is not None and len(card.audit_public) != KEY_BYTES):
        raise KeyringError(KeyFault.LENGTH, f"{card.name}: a key on the card is cut off or too long")
    return card


def pair(
    craft: KeyStore, operator: KeyStore, random_bytes: RandomBytes, role: Authority | None = None,
    last_start: int | None = None, note: str = "",
) -> Authority:
    """Pin both to each other; returns the role that was granted. Two that are paired already get a new pre-shared key.

    The operator's side is stored first: if the power goes away in between, the craft doesn't know the operator yet, and
    pairing again puts it right. KeyringError if one can't be pinned; then neither is.
    """
    theirs, own = _pins(craft, card_of(operator), random_bytes, role, last_start, note)
    craft.check_pin(theirs)
    if _paired(craft, theirs) and _paired(operator, own):
        operator.check_pin(own)
        renew_at_bench(craft, operator, random_bytes)
        theirs = replace(theirs, slots=craft.peer(theirs.name).slots, filter_key=craft.peer(theirs.name).filter_key)
        own = replace(own, slots=operator.peer(own.name).slots, filter_key=operator.peer(own.name).filter_key)
    operator.pin(own)
    craft.pin(theirs)
    return theirs.role


def _paired(keys: KeyStore, peer: Peer) -> bool:
    old = keys.ring.peer(peer.name)
    return old is not None and old.state is PeerState.ACTIVE and old.public_key == peer.public_key


def invite(
    craft: KeyStore, card: Card, random_bytes: RandomBytes, role: Authority | None = None,
    last_start: int | None = None, note: str = "",
) -> bytes:
    """Pin the operator of a card at the craft, and give the invitation that it opens with its own keys."""
    theirs, own = _pins(craft, card, random_bytes, role, last_start, note)
    slot = own.slots[0]
    plain = cbor2.dumps([write_card(card_of(craft)), own.role.value, slot.secret, own.nbl_root])
    sealed = seal_to(card.wrap_key, plain, INFO + card.public_key)
    craft.pin(theirs)
    return INVITATION + base64.encodebytes(sealed)


def is_invitation(data: bytes) -> bool:
    """Whether a file's bytes are an invitation."""
    return data.startswith(INVITATION)


def accept(operator: KeyStore, data: bytes, expected: str | None = None) -> Card:
    """Open an invitation and pin its craft; returns the craft's card.

    Args:
        operator: whose card was answered.
        data: bytes of the file.
        expected: fingerprint of the craft's card, as it was told by another way; not compared if not given.

    Raises:
        KeyringError: it is for another operator, or changed, or of another craft.
    """
    wrong = KeyringError(KeyFault.DAMAGED, "the invitation does not open",
                         "it is for another operator, or was changed on the way; ask for a new one")
    key = XWingKey(operator.ring.wrap_seed)
    try:
        sealed = base64.decodebytes(data[len(INVITATION) : MOST_CARD_BYTES])
        if len(sealed) < SEALED_OVERHEAD:
            raise wrong
        plain = key.open(sealed, INFO + operator.identity.public)
        text, role, psk, nbl_root = cbor2.loads(plain, max_depth=2, allow_indefinite=False)
        granted, card = Authority(role), read_card(str(text).encode())
    except (InvalidTag, ValueError, TypeError, cbor2.CBORDecodeError):
        raise wrong from None
    if expected is not None and _digits(expected) != _digits(card.fingerprint):
        raise KeyringError(KeyFault.DAMAGED, f"the invitation is of a craft with fingerprint {card.fingerprint}",
                           "that is not the one you gave; nothing was changed")
    operator.pin(_peer_of(card, granted, psk, nbl_root=nbl_root))
    return card


def renew_at_bench(craft: KeyStore, operator: KeyStore, random_bytes: RandomBytes) -> None:
    """A new pre-shared key for two that are paired, where both folders are at hand. Wherever it is cut, both have one
    in common, and the next handshake settles it."""
    theirs, own = craft.peer(operator.ring.name), operator.peer(craft.ring.name)
    secret = random_bytes(KEY_BYTES)
    craft.stage(theirs.name, secret)
    slot_id = operator.stage(own.name, secret).slots[-1].id
    craft.promote(theirs.name, slot_id)
    operator.promote(own.name, slot_id)


def _pins(
    craft: KeyStore, card: Card, random_bytes: RandomBytes, role: Authority | None, last_start: int | None, note: str,
) -> tuple[Peer, Peer]:
    """The operator as the craft pins it, and the craft as the operator does."""
    if card.kind is not RingKind.OPERATOR or craft.ring.kind is not RingKind.CRAFT:
        raise KeyringError(KeyFault.ROLE, "a craft and an operator are paired, in this order",
                           "give the craft's folder first")
    granted = role or card.role
    if granted is None:
        raise KeyringError(KeyFault.ROLE, f"{card.name}: which role?", "name it with --role")
    psk = random_bytes(KEY_BYTES)
    theirs = replace(_peer_of(card, granted, psk), last_start=last_start, note=note)
    return theirs, _peer_of(card_of(craft), granted, psk, nbl_root=craft.ring.nbl_root)


def _peer_of(card: Card, role: Authority, psk: Any, nbl_root: bytes | None = None) -> Peer:
    secret = check_secret(psk, "pre-shared key")
    return Peer(card.name, card.kind, card.public_key, role, PeerState.ACTIVE, (psk_life.first_slot(secret),),
                filter_key(secret), nbl_root=nbl_root, audit_public=card.audit_public, card_digest=card.digest)


def _digits(text: str) -> str:
    return "".join(text.split()).lower()
