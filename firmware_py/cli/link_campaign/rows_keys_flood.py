"""Row 9: handshake messages pour in, forged, replayed and from an insider; a legal handshake still comes about in time.

On virtual time: 5,000 messages a second from 100,000 sources. Some carry the right filter MAC: those of a pinned peer
that went bad, with rising counters, so that each could cost exchanges.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator

import numpy as np

from comms.dictionary import Authority
from comms.keys.faults import HandshakeFault
from comms.keys.handshake import SessionSecrets, pack_1
from comms.keys.initiator import Initiator
from comms.keys.keyring import KeyStore, new_operator
from comms.keys.pairing import pair
from comms.keys.responder import MOST_STATES, Responder
from comms.keys.vault import Lock
from firmware_py.cli.link_campaign.row import Progress, Row, RowResult
from firmware_py.cli.link_campaign.rows_keys_rig import SECOND, Sides
from hil.disk import SimDisk

__all__ = ["FLOOD_ROW"]

RATE, SOURCES, STEP_NS = 5000, 100_000, 20_000_000
PER_STEP = RATE * STEP_NS // SECOND
IN_TIME_NS = 5 * SECOND
MOST_A_SECOND = 20
QUIET_NS = 6 * SECOND
"""Between two legal handshakes."""
NOISE_BYTES = 96


class _Flood:
    """Who sends what: outsiders, who know no key, and an insider, who is pinned as a viewer."""

    def __init__(self, rng: np.random.Generator, sides: Sides) -> None:
        self.rng = rng
        random = sides.random
        insider = KeyStore(SimDisk(rng), Lock.from_sealing_key(random(32)), random,
                           new_operator("eve", Authority.VIEWER, random))
        pair(sides.craft.keys, insider, random)
        self.insider_key = sides.craft.keys.peer("eve").filter_key
        self.insider_counter = 0
        self.heard: deque[bytes] = deque(maxlen=32)
        """Legal messages that were recorded on the air."""

    def messages(self, count: int) -> Iterator[tuple[bytes, int]]:
        kinds = self.rng.integers(0, 100, count)
        sources = self.rng.integers(0, SOURCES, count)
        for kind, source in zip(kinds, sources, strict=True):
            yield self.one(int(kind)), int(source)

    def one(self, kind: int) -> bytes:
        if kind < 10 and self.heard:
            return self.heard[int(self.rng.integers(len(self.heard)))]
        if kind < 20 and self.heard:
            message = bytearray(self.heard[-1])
            message[2:10] = int(self.rng.integers(1, 2**62)).to_bytes(8, "big")
            return bytes(message)
        if kind < 40:
            self.insider_counter += 1
            return pack_1(self.insider_counter, self.rng.bytes(NOISE_BYTES), self.insider_key)
        if kind < 60:
            return b"\0" + self.rng.bytes(int(self.rng.integers(0, 200)))
        return b"\0\1" + self.rng.bytes(120)


def run(rng: np.random.Generator, cases: int, progress: Progress) -> RowResult:
    """``cases`` messages of the flood, and a legal handshake every few seconds in it."""
    sides = Sides(rng)
    flood = _Flood(rng, sides)
    responder = Responder(sides.craft.keys, sides.random)
    initiator = Initiator(sides.operator.keys, "C-1", sides.random)
    window: deque[tuple[int, int]] = deque()
    counts, failures = Counter[str](), []
    now_ns, sent, begun_ns, worst_ns = 0, 0, 0, 0
    next_ns = int(rng.integers(SECOND))
    while sent < cases or initiator.state == "waiting":
        now_ns += STEP_NS
        for message, source in flood.messages(PER_STEP):
            responder.receive(message, source)
        sent += PER_STEP
        if initiator.state != "waiting" and now_ns >= next_ns and sent < cases:
            initiator.start(now_ns)
            begun_ns = now_ns
        asked = initiator.step(now_ns)
        if asked is not None:
            flood.heard.append(asked)
            responder.receive(asked, "legal")
        for answer in responder.step(now_ns):
            counts["answers"] += 1
            if answer.source != "legal":
                failures.append(f"at {now_ns / SECOND:.2f} s: an answer to source {answer.source}")
                continue
            if isinstance(initiator.receive(answer.message, now_ns), SessionSecrets):
                counts["legal handshakes"] += responder.confirm(answer.secrets.id, now_ns)
                worst_ns, next_ns = max(worst_ns, now_ns - begun_ns), now_ns + QUIET_NS
        window.append((now_ns, responder.budget.spent))
        while window[0][0] < now_ns - SECOND:
            window.popleft()
        counts["most states"] = max(counts["most states"], responder.states)
        counts["most exchanges in 1 s"] = max(counts["most exchanges in 1 s"], window[-1][1] - window[0][1])
        if initiator.state == "waiting" and now_ns - begun_ns > IN_TIME_NS:
            failures.append(f"at {now_ns / SECOND:.2f} s: the legal handshake took more than 5 s")
            break
        progress(min(sent, cases), cases)
    if counts["most states"] > MOST_STATES:
        failures.append(f"{counts['most states']} states")
    if counts["most exchanges in 1 s"] > MOST_A_SECOND:
        failures.append(f"{counts['most exchanges in 1 s']} exchanges in one second")
    if not counts["legal handshakes"]:
        failures.append("no legal handshake came about")
    refused = {f"refused: {fault.value}": responder.refused[fault] for fault in HandshakeFault}
    told = {name: count for name, count in refused.items() if count}
    return RowResult(not failures, sent, {**counts, "worst handshake s": worst_ns / SECOND, **told},
                     tuple(failures[:20]))


FLOOD_ROW = Row(
    9, "handshake flood",
    "5,000/s from 100,000 sources: at most 64 states, at most 20 exchanges/s, a legal handshake within 5 s, no other "
    "answer", 500_000, 30_000, run,
)
