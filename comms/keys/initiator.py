"""Ground's side of a handshake: asks, waits, asks again ever more slowly, and gives up after a bounded number of tries.

Each try has a fresh ephemeral key and the next counter. Where a pre-shared key is staged, tries take the active and the
staged one in turn: one of both is the craft's, wherever a renewal was cut off.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from enum import StrEnum, unique

from comms.keys.exchange_budget import ExchangeBudget
from comms.keys.faults import HandshakeFault, KeyFault, KeyringError
from comms.keys.handshake import (
    IKPSK2,
    MAC_BYTES,
    MOST_PAYLOAD,
    PeerIdentity,
    SessionSecrets,
    pack_1,
    prologue,
    take_2,
)
from comms.keys.keyring import KeyStore
from comms.keys.noise import HandshakeState
from comms.keys.points import KEY_BYTES, KeyPair
from comms.keys.psk_life import usable
from comms.keys.ring import Peer, PskSlot, filter_key
from comms.keys.vault import RandomBytes

__all__ = ["Initiator", "InitiatorState", "RetryPlan"]


@unique
class InitiatorState(StrEnum):
    """Where a handshake stands."""

    IDLE = "idle"
    WAITING = "waiting"
    DONE = "done"
    GAVE_UP = "gave up"


@dataclass(frozen=True, slots=True)
class RetryPlan:
    """Waits for an answer: the first, doubled with each try up to the longest; and how many tries there are."""

    first_ns: int = 1_000_000_000
    longest_ns: int = 16_000_000_000
    tries: int = 8

    def wait_ns(self, number: int) -> int:
        """How long try ``number`` (from 1) is waited for."""
        return min(self.longest_ns, self.first_ns << min(number - 1, 32))


@dataclass(frozen=True, slots=True)
class _Asked:
    """One try: its message, the state that waits for the answer, and the pre-shared key that it was made with."""

    message: bytes
    state: HandshakeState
    slot: PskSlot
    peer: Peer


class Initiator:
    """Handshakes with one pinned craft.

    Args:
        keys: the operator's.
        peer: name of the craft.
        random_bytes: for ephemeral keys.
        retry: waits and number of tries.

    Attributes:
        state: where it stands.
        tries: messages sent since ``start``.
        refused: answers refused, by fault.
        error: why no message could be made at all, if so.
        unsaved: times that the keys could not be stored after a handshake; the session goes on all the same.

    Raises:
        KeyringError: UNKNOWN, if this craft is not pinned.
    """

    def __init__(self, keys: KeyStore, peer: str, random_bytes: RandomBytes, retry: RetryPlan | None = None) -> None:
        keys.peer(peer)
        self._keys = keys
        self._name = peer
        self._random = random_bytes
        self._retry = RetryPlan() if retry is None else retry
        self._payload = b""
        self._asked: _Asked | None = None
        self._ahead: _Asked | None = None
        self._due_ns = 0
        self._budget = ExchangeBudget()
        self._shared: tuple[bytes, bytes] | None = None
        self.state = InitiatorState.IDLE
        self.tries = 0
        self.refused: Counter[HandshakeFault] = Counter()
        self.error: KeyFault | None = None
        self.unsaved = 0

    def prepare(self, payload: bytes = b"") -> None:
        """Make the message of the first try ahead, while nothing is on the air. What stands in the way is told by
        ``start`` and ``step``."""
        self._set_payload(payload)
        try:
            self._ahead = self._make(0)
        except KeyringError:
            self._ahead = None

    def start(self, now_ns: int, payload: bytes = b"") -> None:
        """Begin anew; ``step`` gives the message. ``payload``: at most 64 bytes, sealed, but it may be played again to
        the craft by others, so nothing may happen on it alone. ValueError if it is longer."""
        if payload != self._payload:
            self._ahead = None
        self._set_payload(payload)
        self._asked = None
        self._due_ns = now_ns
        self.state = InitiatorState.WAITING
        self.tries = 0
        self.error = None

    def _set_payload(self, payload: bytes) -> None:
        if len(payload) > MOST_PAYLOAD:
            raise ValueError(f"payload of {len(payload)} bytes; {MOST_PAYLOAD} at most")
        self._payload = payload

    def step(self, now_ns: int) -> bytes | None:
        """The message that is to be sent now, if any."""
        if self.state is not InitiatorState.WAITING or now_ns < self._due_ns:
            return None
        if self.tries >= self._retry.tries:
            self._give_up(None)
            return None
        self.tries += 1
        self._due_ns = now_ns + self._retry.wait_ns(self.tries)
        try:
            ahead, self._ahead = self._ahead, None
            if ahead is None or self._keys.ring.peer(self._name) is not ahead.peer:
                ahead = self._make(self.tries - 1)
            self._asked = ahead
            self._keys.knocked(self._name)
            return ahead.message
        except KeyringError as error:
            self._give_up(error.fault)
            return None

    def receive(self, message: bytes, now_ns: int) -> SessionSecrets | HandshakeFault:
        """Take in an answer. A wrong one changes nothing: the right one may still come."""
        outcome = self._open(message, now_ns)
        if isinstance(outcome, HandshakeFault):
            self.refused[outcome] += 1
            return outcome
        self.state, self._asked = InitiatorState.DONE, None
        try:
            self._keys.settle(self._name, outcome.psk_id)
        except KeyringError:
            self.unsaved += 1
        return outcome

    def _make(self, number: int) -> _Asked:
        """Message and state of try ``number`` (from 0). KeyringError if there can be none."""
        peer = self._keys.peer(self._name)
        slots = usable(peer)
        if not slots:
            raise KeyringError(KeyFault.REVOKED, f"{peer.name} is revoked")
        slot = slots[number % len(slots)]
        assert slot.secret is not None
        key = peer.public_key
        if self._shared is None or self._shared[0] != key:
            shared = self._keys.identity.exchange(key)
            self._shared = None if shared is None else (key, shared)
        if self._shared is None:
            raise KeyringError(KeyFault.LOW_ORDER, f"{peer.name}: the key is a point of low order")
        counter = self._keys.counters.next(slot.id)
        state = HandshakeState(
            IKPSK2, True, prologue(counter), lambda: KeyPair(self._random(KEY_BYTES)), static=self._keys.identity,
            remote_static=key, psk=slot.secret, known={"ss": self._shared[1]}, forgiving=True,
        )
        noise = state.write_message(self._payload)
        if isinstance(noise, HandshakeFault):
            raise KeyringError(KeyFault.LOW_ORDER, f"{peer.name}: {noise.value}")
        return _Asked(pack_1(counter, noise, filter_key(slot.secret)), state, slot, peer)

    def _open(self, message: bytes, now_ns: int) -> SessionSecrets | HandshakeFault:
        asked = self._asked
        if asked is None or asked.slot.secret is None or self.state is not InitiatorState.WAITING:
            return HandshakeFault.NOT_AWAITED
        noise = take_2(message, filter_key(asked.slot.secret), asked.message[-MAC_BYTES:])
        if isinstance(noise, HandshakeFault):
            return noise
        if not self._budget.take(2, now_ns):
            return HandshakeFault.NO_EXCHANGE
        payload = asked.state.read_message(noise)
        if isinstance(payload, HandshakeFault):
            return payload
        peer = self._keys.ring.peer(self._name)
        if peer is None or asked.slot not in usable(peer):
            return HandshakeFault.REVOKED
        up, down = asked.state.split()
        identity = PeerIdentity(peer.name, peer.role, peer.public_key)
        return SessionSecrets(up, down, asked.state.handshake_hash, identity, asked.slot.id, payload)

    def _give_up(self, fault: KeyFault | None) -> None:
        self.state, self._asked, self.error = InitiatorState.GAVE_UP, None, fault
