"""Row 14: keys that must never give a session: zero, unset, wrong, expired, revoked, and points of low order.

The attacker is as strong as can be: an insider who knows the pre-shared key, and what every exchange with a point of
low order gives. Each case also makes a good handshake, so that a link that refuses everybody is no pass.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from comms.dictionary import Authority
from comms.keys.faults import HandshakeFault, KeyringError
from comms.keys.handshake import IKPSK2, SessionSecrets, pack_1, pack_2, prologue, take_1
from comms.keys.initiator import Initiator
from comms.keys.keyring import KeyStore
from comms.keys.noise import HandshakeState
from comms.keys.points import LOW_ORDER, ZERO, KeyPair
from comms.keys.psk_life import first_slot
from comms.keys.responder import Responder
from comms.keys.ring import Peer, PeerState, filter_key
from comms.keys.ring_codec import decode_ring, encode_ring
from firmware_py.cli.link_campaign.row import Progress, Row, RowResult
from firmware_py.cli.link_campaign.rows_keys_rig import SECOND, Sides, connect

__all__ = ["BAD_KEYS_ROW"]

POINTS = tuple(sorted(LOW_ORDER))


class _LowOrderKey(KeyPair):
    """What an attacker sends in place of a key pair: everybody's exchange with it gives zero."""

    __slots__ = ()

    def __init__(self, point: bytes) -> None:
        super().__init__(bytes(31) + b"\7")
        self.public = point

    def exchange(self, _public_key: object) -> bytes | None:
        return ZERO


def _ask(sides: Sides, responder: Responder, message: bytes | None) -> bool:
    """Whether this message 1 gets an answer that can become a session."""
    sides.now_ns += 2 * SECOND
    if message is None or responder.receive(message, "radio") is not None:
        return False
    return any(responder.confirm(answer.secrets.id, sides.now_ns) for answer in responder.step(sides.now_ns))


def _insider(sides: Sides, ephemeral: KeyPair, static: KeyPair, counter: int = 1 << 40) -> bytes | None:
    """Message 1 of who knows the pre-shared key."""
    slot = sides.craft.keys.peer("ann").slots[0]
    assert slot.secret is not None
    state = HandshakeState(IKPSK2, True, prologue(counter), lambda: ephemeral, static=static,
                           remote_static=sides.craft.keys.identity.public, psk=slot.secret)
    noise = state.write_message()
    return None if isinstance(noise, HandshakeFault) else pack_1(counter, noise, filter_key(slot.secret))


def _pinned(keys: KeyStore, change: Callable[[Peer], Peer]) -> bool:
    """Whether a changed peer can be pinned, or comes out of a stored ring."""
    changed = 0
    for attempt in (
        lambda: keys.pin(change(keys.ring.peers[0])),
        lambda: decode_ring(encode_ring(replace(keys.ring, peers=(change(keys.ring.peers[0]),)))),
    ):
        try:
            attempt()
        except KeyringError:
            continue
        changed += 1
    return changed > 0


def _zero_psk(sides: Sides, _rng: np.random.Generator) -> bool:
    return _pinned(sides.craft.keys, lambda peer: replace(peer, slots=(replace(peer.slots[0], secret=ZERO),)))


def _unset_psk(sides: Sides, _rng: np.random.Generator) -> bool:
    try:
        first_slot(None)
    except KeyringError:
        return _pinned(sides.craft.keys, lambda peer: replace(peer, slots=()))
    return True


def _zero_static(sides: Sides, _rng: np.random.Generator) -> bool:
    return _pinned(sides.craft.keys, lambda peer: replace(peer, public_key=ZERO))


def _wrong_psk(sides: Sides, rng: np.random.Generator) -> bool:
    sides.craft.keys.pin(replace(sides.craft.keys.peer("ann"), slots=(first_slot(rng.bytes(32)),)))
    return connect(sides) is not None


def _wrong_static(sides: Sides, rng: np.random.Generator) -> bool:
    message = _insider(sides, KeyPair(rng.bytes(32)), KeyPair(rng.bytes(32)))
    return _ask(sides, Responder(sides.craft.keys, sides.random), message)


def _wrong_craft(sides: Sides, rng: np.random.Generator) -> bool:
    """Somebody with the pre-shared key plays the craft, with a key of its own."""
    return _false_craft(sides, KeyPair(rng.bytes(32)), KeyPair(rng.bytes(32)))


def _false_craft(sides: Sides, ephemeral: KeyPair, static: KeyPair) -> bool:
    initiator = Initiator(sides.operator.keys, "C-1", sides.random)
    sides.now_ns += 2 * SECOND
    initiator.start(sides.now_ns)
    first = take_1(initiator.step(sides.now_ns) or b"")
    slot = sides.craft.keys.peer("ann").slots[0]
    if isinstance(first, HandshakeFault):
        return True
    own = HandshakeState(IKPSK2, False, prologue(first.counter), lambda: ephemeral, static=static, psk=slot.secret)
    own.read_message(first.noise)
    try:
        second = own.write_message()
    except RuntimeError:
        # It could not even open message 1; it answers all the same.
        second = ephemeral.public + bytes(16)
    if isinstance(second, HandshakeFault):
        second = ephemeral.public + bytes(16)
    assert slot.secret is not None
    answer = pack_2(second, filter_key(slot.secret), first.mac)
    return isinstance(initiator.receive(answer, sides.now_ns), SessionSecrets)


def _expired(sides: Sides, rng: np.random.Generator) -> bool:
    last = int(rng.integers(0, 1000))
    sides.craft.keys.pin(replace(sides.craft.keys.peer("ann"), last_start=last))
    starts = (None, last + 1, last + int(rng.integers(1, 1 << 20)))
    return any(connect(sides, Responder(sides.craft.keys, sides.random, start)) is not None for start in starts)


def _revoked(sides: Sides, rng: np.random.Generator) -> bool:
    responder = Responder(sides.craft.keys, sides.random)
    initiator = Initiator(sides.operator.keys, "C-1", sides.random)
    initiator.start(sides.now_ns)
    message = initiator.step(sides.now_ns) or b""
    moment = int(rng.integers(3))
    if moment == 1:
        responder.receive(message, "radio")
    answers = ()
    if moment == 2:
        responder.receive(message, "radio")
        answers = responder.step(sides.now_ns)
    sides.craft.keys.revoke("ann")
    late = any(responder.confirm(answer.secrets.id, sides.now_ns) for answer in answers)
    waiting = any(responder.confirm(answer.secrets.id, sides.now_ns) for answer in responder.step(sides.now_ns))
    if moment == 0 and responder.receive(message, "radio") is not HandshakeFault.REVOKED:
        return True
    if sides.craft.keys.peer("ann").state is not PeerState.REVOKED or sides.craft.keys.peer("ann").slots:
        return True
    return late or waiting or connect(sides, responder) is not None


def _low_order_static(sides: Sides, rng: np.random.Generator) -> bool:
    point = POINTS[int(rng.integers(len(POINTS)))]
    message = _insider(sides, KeyPair(rng.bytes(32)), _LowOrderKey(point))
    pinned = _pinned(sides.craft.keys, lambda peer: replace(peer, public_key=point))
    return pinned or _ask(sides, Responder(sides.craft.keys, sides.random), message)


def _low_order_ephemeral(sides: Sides, rng: np.random.Generator) -> bool:
    point = POINTS[int(rng.integers(len(POINTS)))]
    # The strongest such attacker would even hold the operator's static key.
    message = _insider(sides, _LowOrderKey(point), sides.operator.keys.identity)
    return _ask(sides, Responder(sides.craft.keys, sides.random), message)


def _low_order_answer(sides: Sides, rng: np.random.Generator) -> bool:
    point = POINTS[int(rng.integers(len(POINTS)))]
    return _false_craft(sides, _LowOrderKey(point), sides.craft.keys.identity)


KINDS: dict[str, Callable[[Sides, np.random.Generator], bool]] = {
    "zero pre-shared key": _zero_psk, "unset pre-shared key": _unset_psk, "zero static key": _zero_static,
    "wrong pre-shared key": _wrong_psk, "wrong operator": _wrong_static, "wrong craft": _wrong_craft,
    "expired": _expired, "revoked": _revoked, "static key of low order": _low_order_static,
    "ephemeral key of low order": _low_order_ephemeral, "answer of low order": _low_order_answer,
}
"""Kind of a bad key: whether it came to a session."""


def run(rng: np.random.Generator, cases: int, progress: Progress) -> RowResult:
    """All kinds in turn."""
    counts, failures = Counter[str](), []
    kinds = tuple(KINDS.items())
    for case in range(cases):
        seed = int(rng.integers(2**63))
        name, attack = kinds[case % len(kinds)]
        own = np.random.default_rng(seed)
        sides = Sides(own, Authority.CONTROLLER)
        if connect(sides) is None:
            failures.append(f"case {case}, seed {seed}: good keys got no session")
        counts["good sessions"] += 1
        sides.now_ns += 10 * SECOND
        if attack(sides, own):
            counts["bad sessions"] += 1
            failures.append(f"case {case}, seed {seed}: {name}")
        counts[name] += 1
        if case % 100 == 0:
            progress(case, cases)
    progress(cases, cases)
    return RowResult(not failures, cases, dict(counts), tuple(failures[:20]))


BAD_KEYS_ROW = Row(
    14, "bad keys", "zero, unset, wrong, expired and revoked keys and points of low order: 0 sessions", 11_000, 220,
    run,
)
