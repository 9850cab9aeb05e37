"""The craft's side of handshakes: silent to whoever is not pinned, and never more work or memory than it may be.

Before any exchange a message must carry the filter MAC of a pinned peer and a counter above that peer's last. Each peer
has one message waiting and one handshake half open at most, the newest; exchanges are worked off in turn, at most 20 a
second. A session is live only after the initiator's first good record (``confirm``).
"""

from __future__ import annotations

import hmac
from collections import Counter
from collections.abc import Callable, Hashable
from dataclasses import dataclass

from comms.keys.exchange_budget import ExchangeBudget
from comms.keys.faults import HandshakeFault, KeyringError
from comms.keys.handshake import (
    IKPSK2,
    MOST_PAYLOAD,
    PeerIdentity,
    Received,
    SessionSecrets,
    filter_mac,
    pack_2,
    prologue,
    take_1,
)
from comms.keys.keyring import KeyStore
from comms.keys.noise import HandshakeState
from comms.keys.points import KEY_BYTES, KeyPair
from comms.keys.psk_life import usable
from comms.keys.ring import Peer, PeerState, PskSlot, filter_key
from comms.keys.vault import RandomBytes

__all__ = ["HALF_OPEN_NS", "MOST_STATES", "Answer", "Responder"]

MOST_STATES = 64
"""Messages that wait and handshakes that are half open, together; with 16 peers there are at most 32."""
HALF_OPEN_NS = 30_000_000_000
"""Time for the initiator's first good record."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Message 2 for whoever sent message 1, and the session that waits for its first good record."""

    message: bytes
    source: Hashable
    secrets: SessionSecrets


@dataclass(frozen=True, slots=True)
class _Waiting:
    peer: str
    slot: PskSlot
    received: Received
    source: Hashable


@dataclass(frozen=True, slots=True)
class _HalfOpen:
    id: bytes
    slot_id: bytes
    since_ns: int


class Responder:
    """Answers handshakes for one ring.

    Args:
        keys: the craft's.
        random_bytes: for ephemeral keys.
        craft_start: the craft's start counter; ``None`` if it is unknown.
        answer_payload: what message 2 says to this peer, at most 64 bytes; nothing if not given.

    Attributes:
        refused: messages refused, by fault.
        answered: messages answered.
        budget: exchanges that are left.
        unsaved: times that the keys could not be stored after a handshake; the session goes on all the same.
    """

    def __init__(
        self, keys: KeyStore, random_bytes: RandomBytes, craft_start: int | None = None,
        answer_payload: Callable[[PeerIdentity], bytes] | None = None,
    ) -> None:
        self._keys = keys
        self._random = random_bytes
        self._craft_start = craft_start
        self._payload = answer_payload
        self._waiting: dict[str, _Waiting] = {}
        self._half_open: dict[str, _HalfOpen] = {}
        self._lapsed: list[bytes] = []
        self._known = _Known(keys)
        self.refused: Counter[HandshakeFault] = Counter()
        self.answered = 0
        self.budget = ExchangeBudget()
        self.unsaved = 0

    @property
    def states(self) -> int:
        """Messages that wait and handshakes that are half open."""
        return len(self._waiting) + len(self._half_open)

    def receive(self, message: bytes, source: Hashable) -> HandshakeFault | None:
        """Take in a handshake message; what is good waits for ``step``. No exchange is made here."""
        fault = self._admit(message, source)
        if fault is not None:
            self.refused[fault] += 1
        return fault

    def step(self, now_ns: int) -> tuple[Answer, ...]:
        """Work off what waits, as far as the budget goes; returns what is to be sent."""
        self._lapse(now_ns)
        answers: list[Answer] = []
        while self._waiting:
            name = next(iter(self._waiting))
            if not self.budget.take(self._known.cost(self._waiting[name].peer), now_ns):
                return tuple(answers)
            outcome = self._respond(self._waiting.pop(name), now_ns)
            if isinstance(outcome, HandshakeFault):
                self.refused[outcome] += 1
            else:
                self.answered += 1
                answers.append(outcome)
        # Work of the next handshake that needs no message of it, while there is nothing else to do.
        if not answers and self.budget.full(now_ns):
            peer = next((p for p in self._keys.ring.peers if usable(p) and self._known.cost(p.name) > 2), None)
            if peer is not None and self.budget.take(self._known.cost(peer.name) - 2, now_ns):
                self._known.prepare(peer, self._random)
        return tuple(answers)

    def confirm(self, session_id: bytes, now_ns: int) -> bool:
        """The first good record of a session came in: it is live, and replaces the one before it of this peer.

        ``False``: there is no such half-open handshake (it lapsed, a newer one took its place, or the peer was revoked
        meanwhile); the session must not be used.
        """
        self._lapse(now_ns)
        name = next((n for n, entry in self._half_open.items() if entry.id == session_id), None)
        if name is None:
            return False
        entry = self._half_open.pop(name)
        if self._refusal(self._keys.ring.peer(name)) is not None:
            return False
        try:
            self._keys.settle(name, entry.slot_id)
        except KeyringError:
            self.unsaved += 1
        return True

    def take_lapsed(self) -> tuple[bytes, ...]:
        """Ids of sessions that never had a good record and are given up, since the last call."""
        lapsed, self._lapsed = tuple(self._lapsed), []
        return lapsed

    def _admit(self, message: bytes, source: Hashable) -> HandshakeFault | None:
        received = take_1(message)
        if isinstance(received, HandshakeFault):
            return received
        found = self._known.sender(received)
        if found is None:
            return HandshakeFault.UNKNOWN_PEER
        peer, slot = found
        fault = self._refusal(peer)
        if fault is not None or slot is None:
            return fault or HandshakeFault.REVOKED
        waiting = self._waiting.get(peer.name)
        last = self._keys.counters.highest(slot.id)
        if waiting is not None and waiting.slot.id == slot.id:
            last = max(last, waiting.received.counter)
        if received.counter <= last:
            return HandshakeFault.REPLAYED
        if waiting is not None:
            self.refused[HandshakeFault.DISPLACED] += 1
        self._waiting[peer.name] = _Waiting(peer.name, slot, received, source)
        return None

    def _refusal(self, peer: Peer | None) -> HandshakeFault | None:
        if peer is None:
            return HandshakeFault.UNKNOWN_PEER
        if peer.state is PeerState.REVOKED:
            return HandshakeFault.REVOKED
        return HandshakeFault.EXPIRED if peer.expired(self._craft_start) else None

    def _respond(self, waiting: _Waiting, now_ns: int) -> Answer | HandshakeFault:
        """The answer to one message. All that was looked at when it came in may have changed since."""
        peer = self._keys.ring.peer(waiting.peer)
        fault = self._refusal(peer)
        if fault is not None or peer is None:
            return fault or HandshakeFault.UNKNOWN_PEER
        if waiting.slot not in peer.slots or waiting.slot.secret is None:
            return HandshakeFault.UNKNOWN_PEER
        received = waiting.received
        spare = self._known.take(peer, self._random)
        if spare is None:
            return HandshakeFault.LOW_ORDER
        ephemeral, known = spare
        state = HandshakeState(IKPSK2, False, prologue(received.counter), lambda: ephemeral, static=self._keys.identity,
                               psk=waiting.slot.secret, expected_static=peer.public_key, known=known)
        payload = state.read_message(received.noise)
        if isinstance(payload, HandshakeFault):
            return payload
        if not self._keys.counters.take(waiting.slot.id, received.counter):
            return HandshakeFault.REPLAYED
        identity = PeerIdentity(peer.name, peer.role, peer.public_key)
        said = b"" if self._payload is None else self._payload(identity)
        assert len(said) <= MOST_PAYLOAD
        noise = state.write_message(said)
        if isinstance(noise, HandshakeFault):
            return noise
        up, down = state.split()
        secrets = SessionSecrets(up, down, state.handshake_hash, identity, waiting.slot.id, payload)
        self._keys.knocked(peer.name)
        self._half_open[peer.name] = _HalfOpen(secrets.id, waiting.slot.id, now_ns)
        return Answer(pack_2(noise, filter_key(waiting.slot.secret), received.mac), waiting.source, secrets)

    def _lapse(self, now_ns: int) -> None:
        for name in [n for n, entry in self._half_open.items() if now_ns - entry.since_ns >= HALF_OPEN_NS]:
            self._lapsed.append(self._half_open.pop(name).id)
        del self._lapsed[:-MOST_STATES]


class _Known:
    """What is known of the pinned peers before they send: filter keys, and results of exchanges made ahead."""

    def __init__(self, keys: KeyStore) -> None:
        self._keys = keys
        self._revision = -1
        self._filters: list[tuple[bytes, Peer, PskSlot | None]] = []
        self._shared: dict[bytes, bytes] = {}
        """Static with static, by public key: the same for every handshake."""
        self._spares: dict[bytes, tuple[KeyPair, bytes]] = {}
        """Ephemeral key for one handshake, and its exchange with the peer's static key."""

    def sender(self, received: Received) -> tuple[Peer, PskSlot | None] | None:
        """Whose filter MAC this is; the slot is ``None`` if that peer was revoked."""
        self._refresh()
        found = None
        for key, peer, slot in self._filters:
            # All are tried: how long it takes tells nothing of who is pinned.
            if hmac.compare_digest(filter_mac(key, received.covered), received.mac):
                found = peer, slot
        return found

    def cost(self, name: str) -> int:
        """Scalar multiplications that a handshake of this peer still takes: two, and what was not made ahead."""
        self._refresh()
        peer = self._keys.ring.peer(name)
        if peer is None:
            return 0
        return 2 + (peer.public_key not in self._shared) + 2 * (peer.public_key not in self._spares)

    def prepare(self, peer: Peer, random_bytes: RandomBytes) -> bool:
        """Make ahead what can be; ``False`` for a key of low order, which is never pinned."""
        key, identity = peer.public_key, self._keys.identity
        shared = self._shared.get(key) or identity.exchange(key)
        ephemeral = KeyPair(random_bytes(KEY_BYTES))
        mixed = ephemeral.exchange(key)
        if shared is None or mixed is None:
            return False
        self._shared[key] = shared
        self._spares[key] = ephemeral, mixed
        return True

    def take(self, peer: Peer, random_bytes: RandomBytes) -> tuple[KeyPair, dict[str, bytes]] | None:
        """A fresh ephemeral key and what is known with it; it is given out once."""
        key = peer.public_key
        if (key not in self._spares or key not in self._shared) and not self.prepare(peer, random_bytes):
            return None
        ephemeral, mixed = self._spares.pop(key)
        return ephemeral, {"ss": self._shared[key], "se": mixed}

    def _refresh(self) -> None:
        if self._revision == self._keys.revision:
            return
        self._revision = self._keys.revision
        self._filters = []
        for peer in self._keys.ring.peers:
            slots = usable(peer)
            if not slots:
                self._filters.append((peer.filter_key, peer, None))
            for slot in slots:
                assert slot.secret is not None
                self._filters.append((filter_key(slot.secret), peer, slot))
        pinned = {peer.public_key for peer in self._keys.ring.peers if usable(peer)}
        self._shared = {key: value for key, value in self._shared.items() if key in pinned}
        self._spares = {key: value for key, value in self._spares.items() if key in pinned}
