"""The keys of one craft or operator, on storage and in memory alike: a change is stored whole before it counts.

Power may go away at any moment: what is found again is the ring before the change or after it, and both ends of a
changing pre-shared key then still have one in common (``psk_life``).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from comms.dictionary import Authority
from comms.keys import psk_life
from comms.keys.counters import CounterBook
from comms.keys.faults import KeyFault, KeyringError
from comms.keys.handshake import PeerIdentity
from comms.keys.points import KEY_BYTES, KeyPair
from comms.keys.ring import MOST_PEERS, Peer, PeerState, Ring, RingKind
from comms.keys.ring_codec import WRAP_SEED_BYTES, check_ring, decode_ring, encode_ring
from comms.keys.vault import Lock, RandomBytes, SealedFile
from hal.nonvolatile import Files

__all__ = ["COUNTERS_FILE", "RING_FILE", "KeyStore", "new_craft", "new_operator"]

RING_FILE, COUNTERS_FILE = "keyring", "counters"


def new_craft(name: str, random_bytes: RandomBytes) -> Ring:
    """Fresh keys of a craft. KeyringError for a name that can't be."""
    ring = Ring(RingKind.CRAFT, name, random_bytes(KEY_BYTES), random_bytes(WRAP_SEED_BYTES), None,
                random_bytes(KEY_BYTES), random_bytes(KEY_BYTES))
    check_ring(ring)
    return ring


def new_operator(name: str, role: Authority, random_bytes: RandomBytes) -> Ring:
    """Fresh keys of an operator. KeyringError for a name that can't be."""
    ring = Ring(RingKind.OPERATOR, name, random_bytes(KEY_BYTES), random_bytes(WRAP_SEED_BYTES), role)
    check_ring(ring)
    return ring


class KeyStore:
    """A ring that is kept in a folder.

    Args:
        files: the folder (``vault.SecretFolder`` of a real one).
        lock: what it is sealed with.
        random_bytes: for salts and nonces.
        ring: keys to begin with; without it the stored ones are opened.

    Attributes:
        ring: as it is stored.
        identity: own static key pair.
        counters: handshake counters.
        revision: goes up with every change; whoever keeps something of a peer looks at it.
        knocks: handshake messages sent to a peer, or answered, since start.

    Raises:
        KeyringError: nothing is stored (MISSING), or something is already (EXISTS), or it does not open, or its keys
            must not be used.
    """

    __slots__ = ("_file", "counters", "identity", "knocks", "revision", "ring")

    def __init__(self, files: Files, lock: Lock, random_bytes: RandomBytes, ring: Ring | None = None) -> None:
        self._file = SealedFile(files, RING_FILE, lock, random_bytes)
        stored = self._file.load()
        if ring is None:
            if stored is None:
                raise KeyringError(KeyFault.MISSING, "there are no keys", "make some with: qiki keys new")
            ring = decode_ring(stored)
        else:
            if stored is not None:
                raise KeyringError(KeyFault.EXISTS, "there are keys already", "use another folder; nothing was changed")
            check_ring(ring)
            self._file.save(encode_ring(ring))
        self.ring = ring
        self.identity = KeyPair(ring.identity)
        self.revision = 0
        self.knocks: Counter[str] = Counter()
        # The copy before the newest is enough to go back to: a counter alone opens nothing.
        self.counters = CounterBook(SealedFile(files, COUNTERS_FILE, lock, random_bytes, mirror=False))

    # -- what is there

    def peer(self, name: str) -> Peer:
        """A pinned peer. KeyringError (UNKNOWN) if there is none of this name."""
        peer = self.ring.peer(name)
        if peer is None:
            known = ", ".join(peer.name for peer in self.ring.peers) or "nobody"
            raise KeyringError(KeyFault.UNKNOWN, f"{name!r} is not pinned", f"pinned here: {known}")
        return peer

    def audit_key(self) -> Ed25519PrivateKey:
        """A craft's key for signing its audit. KeyringError (MISSING) for an operator."""
        if self.ring.audit_seed is None:
            raise KeyringError(KeyFault.MISSING, "an operator has no audit key")
        return Ed25519PrivateKey.from_private_bytes(self.ring.audit_seed)

    def allows(self, identity: PeerIdentity, craft_start: int | None) -> bool:
        """Whether a live session with this peer may go on: pinned with this key and role, not revoked, not expired."""
        peer = self.ring.peer(identity.name)
        return (
            peer is not None and peer.state is PeerState.ACTIVE and peer.public_key == identity.public_key
            and peer.role is identity.role and not peer.expired(craft_start)
        )

    def knocked(self, name: str) -> None:
        """A handshake with this peer begins: what a renewal in an older session still says doesn't count any more."""
        self.knocks[name] += 1

    def refresh(self) -> bool:
        """Take up what another program changed in the folder, such as a revocation; returns whether it did. For every
        few seconds. What does not open changes nothing."""
        if not self._file.changed():
            return False
        try:
            stored = self._file.load()
            ring = None if stored is None else decode_ring(stored)
        except KeyringError:
            return False
        if ring is None or ring.identity != self.ring.identity:
            return False
        self.ring = ring
        self.revision += 1
        return True

    # -- changes; each is stored before it counts, or raises KeyringError and changes nothing

    def check_pin(self, peer: Peer) -> tuple[Peer, ...]:
        """The other peers beside this one, if it may be pinned; else KeyringError, and nothing is changed."""
        if peer.public_key == self.identity.public:
            raise KeyringError(KeyFault.OWN, f"{peer.name}: that is the own key")
        others = tuple(other for other in self.ring.peers if other.name != peer.name)
        old = self.ring.peer(peer.name)
        if old is not None and old.state is not PeerState.REVOKED and old.public_key != peer.public_key:
            raise KeyringError(
                KeyFault.DUPLICATE, f"{peer.name!r} is pinned with another key",
                "revoke it first, or pin the new one under another name",
            )
        if len(others) >= MOST_PEERS:
            raise KeyringError(KeyFault.FULL, f"{MOST_PEERS} peers are pinned", "unpin one that was revoked")
        check_ring(replace(self.ring, peers=(*others, peer)))
        return others

    def pin(self, peer: Peer) -> None:
        """Pin a peer. One of the same name is replaced only if it was revoked or has the same public key."""
        self.refresh()
        self._store(replace(self.ring, peers=(*self.check_pin(peer), peer)))

    def unpin(self, name: str) -> None:
        """Forget a peer altogether."""
        self.refresh()
        gone = self.peer(name)
        self._store(replace(self.ring, peers=tuple(peer for peer in self.ring.peers if peer is not gone)))

    def revoke(self, name: str) -> None:
        """End a peer: no further session, its keys are wiped."""
        self._change(name, psk_life.revoke)

    def stage(self, name: str, secret: bytes) -> Peer:
        """Keep a new pre-shared key beside the active one."""
        return self._change(name, lambda peer: psk_life.stage(peer, secret))

    def promote(self, name: str, slot_id: bytes) -> Peer:
        """The peer confirmed this key: it is the active one now, the one before it is wiped."""
        return self._change(name, lambda peer: psk_life.promote(peer, slot_id))

    def settle(self, name: str, slot_id: bytes) -> Peer:
        """A handshake with this key came to its end: any other is wiped."""
        return self._change(name, lambda peer: psk_life.settle(peer, slot_id))

    def _change(self, name: str, move: Callable[[Peer], Peer]) -> Peer:
        old = self.peer(name)
        new = move(old)
        if new is not old:
            if self.refresh():
                return self._change(name, move)
            self._store(replace(self.ring, peers=tuple(new if peer is old else peer for peer in self.ring.peers)))
        return new

    def _store(self, ring: Ring) -> None:
        check_ring(ring)
        self._file.save(encode_ring(ring))
        self.ring = ring
        self.revision += 1
        self.counters.forget({slot.id for peer in ring.peers for slot in peer.slots})

    def __repr__(self) -> str:
        return f"KeyStore({self.ring.name!r}, peers={len(self.ring.peers)})"
