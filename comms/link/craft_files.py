"""Files of a craft: its store, its transfers with every pinned peer, and the orders that wait for one of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from comms.cfdp import (
    CfdpEntity,
    EntityConfig,
    EntityRefusal,
    FileStore,
    IndicationKind,
    PeerConfig,
    PutRefusal,
    State,
    TransactionId,
)
from comms.channel_plan import channel_named
from comms.dictionary import Authority
from comms.keys.handshake import PeerIdentity
from comms.link.end import LinkEnd
from comms.link.entity_ids import CRAFT_ENTITY, entity_of

__all__ = ["QUIET_NS", "CraftFiles", "FileNote", "file_peer"]

FILES = channel_named("files").id
QUIET_NS = 35_000_000_000
"""Silence after which a peer counts as out of contact: a station asks for the time every ten seconds."""
MOST_TRIES = 120
"""Times that the end of a file, or what is missing of it, is asked for in vain: every five seconds of contact."""
WAITING = 4
"""Units that wait in a session's queue: more could not be given to somebody more urgent."""
UPLOAD_ROLE = Authority.CONTROLLER
"""Least role that may send files to the craft, where they may replace others: the one that may load sequences."""
FileNote = tuple[bool, str]
"""Whether a transfer ended well, and what it was."""


def file_peer(number: int, segment_bytes: int) -> PeerConfig:
    """How files go to a peer of a link, at either end: ten minutes of contact without any answer are the end."""
    return PeerConfig(number, segment_bytes=segment_bytes, ack_limit=MOST_TRIES, nak_limit=MOST_TRIES)


class CraftFiles:
    """Owner of the store and of the entity.

    Args:
        store: of the craft.
        peers: public keys of the pinned peers.
        segment_bytes: longest piece of a file.
        random_bytes: where numbering begins if the store has lost count.
        now_ns: flight time.
    """

    def __init__(
        self, store: FileStore, peers: Iterable[bytes], segment_bytes: int, random_bytes: Callable[[int], bytes],
        now_ns: int,
    ) -> None:
        self.store = store
        self._segment_bytes = segment_bytes
        self._up: dict[int, bool] = {}
        self.entity = CfdpEntity(
            EntityConfig(CRAFT_ENTITY, entity_bytes=2), store,
            [file_peer(entity_of(key), segment_bytes) for key in peers], random_bytes, now_ns,
        )
        self.entity.contact(False, now_ns)
        self._orders: dict[TransactionId, int] = {}

    def send(self, name: str, peer: PeerIdentity, order: int, now_ns: int) -> TransactionId | PutRefusal:
        """Begin to send a file to a peer, by order of this number."""
        outcome = self.entity.put(name, entity_of(peer.public_key), now_ns)
        if isinstance(outcome, TransactionId):
            self._orders[outcome] = order
        return outcome

    def receive(self, unit: bytes, peer: PeerIdentity, now_ns: int) -> bool:
        """A unit that came from a peer, which speaks for nobody else; ``False`` if its role may send no files."""
        may_send = peer.role.covers(UPLOAD_ROLE)
        refusal = self.entity.receive(unit, now_ns, entity_of(peer.public_key), may_send)
        return refusal is not EntityRefusal.NOT_ALLOWED

    def numbered(self, sequence: int) -> TransactionId | None:
        """The transfer of this number, whichever way it goes."""
        return next((view.id for view in self.entity.transactions() if view.id.sequence == sequence), None)

    def contact(self, peer: PeerIdentity, up: bool, now_ns: int) -> None:
        """A peer has come or gone; without contact the timers of its transfers stand still. One that was pinned while
        the link runs is known from its first session on."""
        number = entity_of(peer.public_key)
        if up and number not in self.entity.peers:
            self.entity.peers[number] = file_peer(number, self._segment_bytes)
        self._up[number] = up
        self.entity.contact(up, now_ns, number)

    def step(self, ends: Iterable[LinkEnd], now_ns: int) -> tuple[list[tuple[int, bool, str]], list[FileNote]]:
        """Go on. Returns orders that have ended (number, whether well, words), and transfers that have."""
        ends = tuple(ends)
        self._follow(ends, now_ns)
        self.entity.step(now_ns)
        for end in ends:
            peer = entity_of(end.peer.public_key)
            while end.waiting(FILES) < WAITING:
                unit = self.entity.next_pdu(end.longest, now_ns, peer)
                if unit is None or end.put(FILES, unit, now_ns) is not None:
                    break
        ended: list[tuple[int, bool, str]] = []
        notes: list[FileNote] = []
        for note in self.entity.indications.take_all():
            if note.kind not in (IndicationKind.FINISHED, IndicationKind.ABANDONED):
                continue
            well = note.kind is IndicationKind.FINISHED and note.condition.value == 0 and note.delivered is not False
            words = f"{note.transaction} {note.name or ''} {note.condition.name.lower()}"
            notes.append((well, words))
            order = self._orders.pop(note.transaction, None)
            if order is not None:
                ended.append((order, well, words))
        return ended, notes

    def _follow(self, ends: tuple[LinkEnd, ...], now_ns: int) -> None:
        """Whoever is silent, or may not be sent files to now, is out of contact long before the session is given up."""
        up: dict[int, tuple[PeerIdentity, bool]] = {}
        for end in ends:
            lane = end.manager.lane(FILES)
            hears = now_ns - end.heard_ns < QUIET_NS and lane is not None and lane.open
            number = entity_of(end.peer.public_key)
            up[number] = end.peer, hears or (number in up and up[number][1])
        for number, (peer, hears) in up.items():
            if hears != self._up.get(number):
                self.contact(peer, hears, now_ns)

    def table(self) -> dict[str, Any]:
        """For telemetry: transfers that are under way, and counts."""
        counts = self.entity.counts
        going = [view for view in self.entity.transactions() if view.state is not State.ENDED]
        return {
            "transfers": len(going), "suspended": sum(view.suspended for view in going),
            "received_bytes": counts.received_bytes, "sent_bytes": counts.sent_bytes,
            "refused": sum(counts.refused.values()),
        }
