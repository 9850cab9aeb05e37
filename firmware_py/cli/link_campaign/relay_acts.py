"""What a neighbour without keys can do to bundles that pass it, each as one run on the real nodes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from comms.bundles import (
    Block,
    BlockKind,
    Bundle,
    BundleEndpoint,
    BundleNode,
    DropReason,
    Eid,
    Neighbour,
    NodeSettings,
    Opened,
    Outgoing,
    Primary,
    decode,
    encode,
)
from comms.bundles.block import age_block, hop_block, urgency_block

__all__ = ["ACTS", "Tally"]

SECOND, HOUR = 1_000_000_000, 3_600_000_000_000
WINDOW = 8
"""Bytes of content in a row that must not show up anywhere on the way."""
PRICE_J = 0.002
MOST_SENT = 100
"""Hops after which a loop counts as endless."""
SENDER, RELAY, RECEIVER = (Eid.ipn(number, 0) for number in (11, 12, 13))


@dataclass(slots=True)
class Tally:
    """What came of one run."""

    counts: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)

    def must(self, holds: bool, text: str) -> None:
        """Note what should hold and doesn't."""
        if not holds:
            self.failures.append(text)


class _Seal:
    """Endpoints' seal: ChaCha20-Poly1305 with a counter, each opened once."""

    def __init__(self, key: bytes) -> None:
        self._cipher = ChaCha20Poly1305(key)
        self._next = 0
        self._opened: set[bytes] = set()

    def seal(self, plain: bytes, associated: bytes) -> bytes:
        self._next += 1
        number = self._next.to_bytes(12, "big")
        return number + self._cipher.encrypt(number, plain, associated)

    def open(self, sealed: bytes, associated: bytes) -> bytes | None:
        number = sealed[:12]
        if len(number) < 12 or number in self._opened:
            return None
        try:
            plain = self._cipher.decrypt(number, sealed[12:], associated)
        except InvalidTag:
            return None
        self._opened.add(number)
        return plain


class _Path:
    """A sender, a relay and a receiver; the relay is docked to both."""

    def __init__(self, rng: np.random.Generator) -> None:
        key = rng.bytes(32)
        ends = frozenset({1, 2})
        self.rng = rng
        self.sender = BundleNode(NodeSettings(SENDER, ends, gateways=(RELAY.full_node,)), 1, 0)
        self.relay = BundleNode(NodeSettings(RELAY), 1, 0)
        self.receiver = BundleNode(NodeSettings(RECEIVER, ends), 1, 0)
        self.sender.dock((_neighbour(RELAY),))
        self.relay.dock((_neighbour(SENDER), _neighbour(RECEIVER)))
        out = _Seal(key)
        self.out = BundleEndpoint(self.sender, 1, out.seal, out.open)
        taken = _Seal(key)
        self.endpoints = {service: BundleEndpoint(self.receiver, service, taken.seal, taken.open) for service in (1, 2)}

    def send(self, count: int) -> list[bytes]:
        """Contents, sent on their way to the receiver's service 1."""
        contents = [self.rng.bytes(int(self.rng.integers(16, 400))) for _ in range(count)]
        for content in contents:
            self.out.send(Eid.ipn(RECEIVER.node, 1), content, 3600.0, int(self.rng.integers(0, 4)), 0)
        return contents

    def at_relay(self, now_ns: int) -> list[bytes]:
        """What the relay is given by the sender."""
        return [outgoing.data for outgoing in drain(self.sender, RELAY, now_ns)]

    def opened(self, now_ns: int) -> list[Opened]:
        """What the receiver's endpoints take for authentic."""
        found = [self.endpoints[delivery.service].open(delivery) for delivery in self.receiver.deliver(1000, now_ns)]
        return [one for one in found if one is not None]


def _neighbour(eid: Eid) -> Neighbour:
    return Neighbour(eid.full_node, PRICE_J, 32_768)


def drain(node: BundleNode, to: Eid, now_ns: int) -> list[Outgoing]:
    """Send everything that a node has for a neighbour."""
    out = []
    while (outgoing := node.next_for(to.full_node, now_ns)) is not None:
        node.sent(outgoing, True)
        out.append(outgoing)
    return out


def _read(rng: np.random.Generator, tally: Tally) -> None:
    path = _Path(rng)
    contents = path.send(8)
    seen = path.at_relay(SECOND)
    for data in seen:
        path.relay.receive(data, SENDER.full_node, SECOND)
    seen += [outgoing.data for outgoing in drain(path.relay, RECEIVER, 2 * SECOND)]
    stranger = _Seal(rng.bytes(32))
    everything = b"".join(seen)
    for content in contents:
        shown = any(content[at : at + WINDOW] in everything for at in range(len(content) - WINDOW + 1))
        tally.must(not shown, "content shows in what the relay has")
        tally.counts["read"] += shown
    for data in seen:
        bundle = decode(data)
        opens = isinstance(bundle, Bundle) and stranger.open(bundle.payload, bundle.primary.encode()) is not None
        tally.must(not opens, "the relay opened a payload")
        tally.counts["read"] += opens
    for data in seen[len(contents):]:
        path.receiver.receive(data, RELAY.full_node, 3 * SECOND)
    tally.must(sorted(one.content for one in path.opened(3 * SECOND)) == sorted(contents), "not all came through")


def _alter(rng: np.random.Generator, tally: Tally) -> None:
    path = _Path(rng)
    contents = set(path.send(12))
    originals = path.at_relay(SECOND)
    primaries = {bundle.primary for data in originals if isinstance(bundle := decode(data), Bundle)}
    for data in originals:
        for _ in range(4):
            path.receiver.receive(_altered(rng, data, originals), RELAY.full_node, SECOND)
    for delivery in path.receiver.deliver(1000, SECOND):
        one = path.endpoints[delivery.service].open(delivery)
        if one is None:
            tally.counts["altered refused"] += 1
            continue
        honest = one.content in contents and any(primary.encode() == delivery.primary for primary in primaries)
        tally.counts["altered accepted"] += not honest
        tally.must(honest, "an altered bundle was accepted")
    tally.counts["altered not taken"] += sum(path.receiver.dropped.values())


def _altered(rng: np.random.Generator, data: bytes, others: list[bytes]) -> bytes:
    """One alteration of a bundle: of its bytes, or of its meaning with checksums made right."""
    kind = int(rng.integers(0, 5))
    bundle, other = decode(data), decode(others[int(rng.integers(len(others)))])
    if kind == 0 or not isinstance(bundle, Bundle) or not isinstance(other, Bundle):
        changed = bytearray(data)
        changed[int(rng.integers(len(data)))] ^= 1 << int(rng.integers(8))
        return bytes(changed)
    if kind == 1:
        primary = bundle.primary
        fields = (
            {"destination": Eid.ipn(RECEIVER.node, 2)}, {"source": Eid.ipn(99, 1)},
            {"lifetime_ms": primary.lifetime_ms * 1000}, {"sequence": primary.sequence + 1},
        )
        return encode(replace_primary(bundle, replace(primary, **fields[int(rng.integers(len(fields)))])))
    payload = (other.payload, rng.bytes(len(bundle.payload)), bundle.payload[:-1])[kind - 2]
    return encode(bundle.with_blocks((*bundle.blocks[:-1], replace(bundle.blocks[-1], data=payload))))


def replace_primary(bundle: Bundle, primary: Primary) -> Bundle:
    """The same blocks behind another primary block."""
    return Bundle(primary, bundle.blocks)


def _drop(rng: np.random.Generator, tally: Tally) -> None:
    path = _Path(rng)
    contents = path.send(12)
    kept = [data for data in path.at_relay(SECOND) if rng.random() < 0.5]
    for data in kept:
        path.receiver.receive(data, RELAY.full_node, SECOND)
    got = [one.content for one in path.opened(SECOND)]
    tally.must(len(got) == len(kept) and set(got) <= set(contents), "something else came than what was let through")
    tally.must(path.sender.waiting == 0, "a bundle handed over still waits: there is no custody")
    tally.counts["dropped"] += len(contents) - len(kept)


def _duplicate(rng: np.random.Generator, tally: Tally) -> None:
    path = _Path(rng)
    contents = path.send(8)
    got: list[bytes] = []
    for now_ns, data in enumerate([*(data for data in path.at_relay(0)) ] * int(rng.integers(2, 20)), start=1):
        path.receiver.receive(data, RELAY.full_node, now_ns)
        if rng.random() < 0.3:
            got += [one.content for one in path.opened(now_ns)]
    got += [one.content for one in path.opened(SECOND)]
    tally.must(sorted(got) == sorted(contents), "a content came not at all or twice")
    tally.counts["duplicates refused"] += path.receiver.dropped[DropReason.DUPLICATE]


def _loop(rng: np.random.Generator, tally: Tally) -> None:
    """Nodes whose ways lead round, and a neighbour that makes them forget what they have seen."""
    hops, count = int(rng.integers(2, 12)), int(rng.integers(3, 6))
    forgetful = rng.random() < 0.5
    eids = [Eid.ipn(20 + index, 0) for index in range(count)]
    nodes = [
        BundleNode(NodeSettings(eid, gateways=(eids[(index + 1) % count].full_node,), hop_limit=hops,
                                seen=1 if forgetful else 1024), 1, 0)
        for index, eid in enumerate(eids)
    ]
    for index, node in enumerate(nodes):
        node.dock((_neighbour(eids[(index + 1) % count]),))
    origin = BundleNode(NodeSettings(SENDER, frozenset({1}), gateways=(eids[0].full_node,), hop_limit=hops), 1, 0)
    origin.dock((_neighbour(eids[0]),))
    origin.send(origin.make(Eid.ipn(99, 1), 1, 3600.0), rng.bytes(40), 3, 0)
    onward = [(0, SENDER, outgoing.data) for outgoing in drain(origin, eids[0], 0)]
    sent = len(onward)
    while onward and sent <= MOST_SENT:
        at, came_from, data = onward.pop()
        nodes[at].receive(data, came_from.full_node, SECOND)
        if forgetful:
            nodes[at].receive(_strange(rng, 60, 0, Eid.ipn(99, 1)), Eid.ipn(77, 0).full_node, SECOND)
        following = (at + 1) % count
        for outgoing in drain(nodes[at], eids[following], SECOND):
            bundle = decode(outgoing.data)
            if isinstance(bundle, Bundle) and bundle.primary.source.node == SENDER.node:
                onward.append((following, eids[at], outgoing.data))
                sent += 1
    tally.must(sent <= hops, f"{sent} hops of {hops} allowed")
    tally.counts["most hops"] = max(tally.counts["most hops"], sent)


def _fill(rng: np.random.Generator, tally: Tally) -> None:
    settings = NodeSettings(RELAY, frozenset({1}), gateways=(RECEIVER.full_node,), bundles=32, store_bytes=65_536,
                            source_bundles=8, source_bytes=16_384, longest_bytes=8192, joules_an_hour=20.0)
    asked: dict[int, float] = {}

    def energy(joules: float, now_ns: int) -> bool:
        asked[now_ns // HOUR] = asked.get(now_ns // HOUR, 0.0) + joules
        return True

    relay = BundleNode(settings, 1, 0, energy=energy)
    relay.dock((_neighbour(RECEIVER),))
    spent: list[tuple[int, float]] = []
    evil = Eid.ipn(66, 0).full_node
    for number in range(400):
        now_ns = number * 30 * SECOND
        data = _strange(rng, int(rng.integers(1, 6000)), int(rng.integers(0, 4)), Eid.ipn(99, 1))
        relay.receive(data, evil, now_ns)
        relay.step(now_ns)
        if rng.random() < 0.3:
            spent += [(now_ns, outgoing.joules) for outgoing in drain(relay, RECEIVER, now_ns)]
        bundles, size = relay.waiting, relay.stored_bytes
        tally.must(bundles <= 16 and size <= 32_768, f"a neighbour has {bundles} bundles, {size} bytes in store")
    own = relay.send(relay.make(Eid.ipn(99, 2), 1, 3600.0), rng.bytes(100), 1, 12_000 * SECOND)
    tally.must(own is None, f"an own bundle found no room: {own}")
    for begin_ns, _ in spent:
        joules = sum(energy_j for at_ns, energy_j in spent if begin_ns <= at_ns < begin_ns + HOUR)
        tally.must(joules <= 20.0 + 1e-9, f"{joules:.1f} J in an hour of 20 J allowed")
        tally.counts["most J an hour"] = max(tally.counts["most J an hour"], round(joules))
    tally.must(abs(sum(asked.values()) - relay.budget.total_j) < 1e-6, "energy was spent that nobody was asked for")
    tally.counts["refused for a quota"] += sum(
        relay.dropped[reason] for reason in (DropReason.SOURCE_QUOTA, DropReason.NEIGHBOUR_QUOTA,
                                             DropReason.STORE_FULL))


def _strange(rng: np.random.Generator, size: int, urgency: int, destination: Eid) -> bytes:
    """A bundle that a stranger makes up, whole in every checksum."""
    source = Eid.ipn(int(rng.integers(100, 1 << 31)) if rng.random() < 0.5 else 100, 1)
    primary = Primary(destination, source, source, 0, int(rng.integers(1 << 40)), 86_400_000)
    blocks = (age_block(2, 0), hop_block(3, 30, 0), urgency_block(4, urgency),
              Block(BlockKind.PAYLOAD, 1, rng.bytes(size)))
    return encode(Bundle(primary, blocks))


ACTS: dict[str, Callable[[np.random.Generator, Tally], None]] = {
    "read": _read, "alter": _alter, "drop": _drop, "duplicate": _duplicate, "loop": _loop, "fill": _fill,
}
"""By name: takes random numbers, adds to a tally."""
