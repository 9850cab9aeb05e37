"""Emergency packets that wait and the last that have ended: bounded, the most critical first, each end noted."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from typing import NamedTuple

from comms.nbl.packet import Confidence, Criticality, NblPacket, NblState
from fdir.codes import Code

__all__ = ["ATTEMPTS", "GAPS_NS", "LIFETIME_NS", "MOST_WAITING", "NblNote", "Waiting", "WaitingPacket"]

SECOND = 1_000_000_000
ATTEMPTS = 3
GAPS_NS = (120 * SECOND, 240 * SECOND, 480 * SECOND)
"""From the start of an attempt to the next; after the last: how long an answer is waited for."""
LIFETIME_NS = 3600 * SECOND
"""A packet that has not ended by itself is given up then (P: a state of an hour ago helps nobody)."""
MOST_WAITING = 8
MOST_ENDED = 16
MOST_NOTES = 32
MOST_IDS = 65_532
"""Packet ids begin anew after this: what a layout's 16 bits can tell of."""


class NblNote(NamedTuple):
    """Something happened to a packet or to the channel: an audit event of class ``NBL_packet_attempt``."""

    t_ns: int
    code: Code
    packet: NblPacket | None
    text: str


@dataclass(slots=True)
class WaitingPacket:
    """A packet with its useful part, and when it may go next."""

    packet: NblPacket
    payload: bytes
    due_ns: int
    expires_ns: int

    @property
    def key(self) -> tuple[int, int, int]:
        """Order of service."""
        return _rank(self.packet), self.packet.created_ns, self.packet.packet_id

    @property
    def last_state(self) -> NblState:
        """What it ends as when nothing more is done."""
        sent = self.packet.state is NblState.PACKET_SENT
        return NblState.DELIVERY_UNKNOWN if sent else NblState.PACKET_FAILED

    def explain(self, codes: tuple[Code, ...]) -> bool:
        """Note what stands against it; whether that has changed."""
        if codes == self.packet.reason_codes:
            return False
        self.packet = replace(self.packet, reason_codes=codes)
        return True


class Waiting:
    """Packets of one craft.

    Attributes:
        refused: packets refused or pushed out since start.
        dropped_notes: notes that nobody fetched in time.
    """

    __slots__ = ("_ended", "_next_id", "_notes", "_packets", "dropped_notes", "refused")

    def __init__(self) -> None:
        self._packets: list[WaitingPacket] = []
        self._ended: deque[NblPacket] = deque(maxlen=MOST_ENDED)
        self._notes: deque[NblNote] = deque(maxlen=MOST_NOTES)
        self._next_id = 1
        self.refused = 0
        self.dropped_notes = 0

    def __len__(self) -> int:
        return len(self._packets)

    def take_id(self) -> int:
        """Number for a new packet."""
        packet_id = self._next_id
        self._next_id = packet_id % MOST_IDS + 1
        return packet_id

    def all(self) -> tuple[WaitingPacket, ...]:
        """Those that wait, the next one first."""
        return tuple(self._packets)

    def ended(self) -> tuple[NblPacket, ...]:
        """The last that have ended, oldest first."""
        return tuple(self._ended)

    def add(self, packet: NblPacket, payload: bytes, now_ns: int) -> NblPacket:
        """Take a packet that the rules allow; refused if all that wait are as critical and there is no room."""
        if len(self._packets) >= MOST_WAITING and not self._make_room(packet, now_ns):
            return self.reject(packet, (Code.NBL_RATE_LIMIT,), now_ns)
        self._packets.append(WaitingPacket(packet, payload, now_ns, now_ns + LIFETIME_NS))
        self._packets.sort(key=lambda entry: entry.key)
        return packet

    def reject(self, packet: NblPacket, codes: tuple[Code, ...], now_ns: int) -> NblPacket:
        """Refuse a packet."""
        packet = replace(packet, state=NblState.PACKET_REJECTED, reason_codes=codes)
        self.refused += 1
        self._ended.append(packet)
        self.note(now_ns, codes[0], packet, "refused")
        return packet

    def find(self, packet_id: int) -> WaitingPacket | None:
        """The packet of that number, if it waits."""
        return next((entry for entry in self._packets if entry.packet.packet_id == packet_id), None)

    def answered(self, entry: WaitingPacket, now_ns: int) -> None:
        """A peer has answered: it has arrived, as far as an answer can tell."""
        entry.packet = replace(entry.packet, delivery_confidence=Confidence.MEDIUM, reason_codes=())
        self.end(entry, NblState.PACKET_SENT, now_ns, "answered")

    def answered_late(self, packet_id: int) -> bool:
        """The same for one that has ended unanswered; ``False`` if there is none."""
        for index, packet in enumerate(self._ended):
            if packet.packet_id == packet_id and packet.state is NblState.DELIVERY_UNKNOWN:
                self._ended[index] = replace(
                    packet, state=NblState.PACKET_SENT, delivery_confidence=Confidence.MEDIUM, reason_codes=(),
                )
                return True
        return False

    def over(self, now_ns: int) -> tuple[WaitingPacket, ...]:
        """Those without an attempt left whose wait for an answer is over, and those that are too old."""
        return tuple(
            entry for entry in self._packets
            if now_ns >= entry.expires_ns
            or (entry.packet.transmit_attempts >= ATTEMPTS and now_ns >= entry.due_ns)
        )

    def end(self, entry: WaitingPacket, state: NblState, now_ns: int, text: str) -> None:
        """Take a packet out with its last state."""
        entry.packet = replace(entry.packet, state=state)
        self._packets.remove(entry)
        self._ended.append(entry.packet)
        gone_out = state in (NblState.DELIVERY_UNKNOWN, NblState.PACKET_SENT)
        self.note(now_ns, Code.NBL_PACKET_SENT if gone_out else Code.NBL_PACKET_FAILED, entry.packet, text)

    def note(self, now_ns: int, code: Code, packet: NblPacket | None, text: str) -> None:
        """Tell the audit."""
        if len(self._notes) == MOST_NOTES:
            self.dropped_notes += 1
        self._notes.append(NblNote(now_ns, code, packet, text))

    def take_notes(self) -> tuple[NblNote, ...]:
        """What has happened since this was last asked, oldest first."""
        notes = tuple(self._notes)
        self._notes.clear()
        return notes

    def _make_room(self, packet: NblPacket, now_ns: int) -> bool:
        """Push the least urgent packet out for a more critical one, unless it was sent already: that one has had its
        energy, and may still be answered."""
        last = self._packets[-1]
        if last.packet.transmit_attempts or _rank(last.packet) <= _rank(packet):
            return False
        self.refused += 1
        self.end(last, NblState.PACKET_REJECTED, now_ns, "pushed out by a more critical packet")
        return True


def _rank(packet: NblPacket) -> int:
    return packet.criticality.rank if packet.criticality is not None else len(Criticality)
