"""One end of a live session: packets wait by channel, and are sealed at the moment when the line takes them.

Craft and ground have the same end. What is queued is plain and bounded; counter, epoch and emission control are those
of the moment of sending, so that no retry and no acknowledgement slips past a level that has changed since.
"""

from __future__ import annotations

from dataclasses import dataclass

from comms.channel_plan import ChannelSpec, Direction
from comms.channels.channel_queue import GAP_NS, Drop
from comms.channels.manager import ChannelManager, StateChange
from comms.channels.scheduler import Scheduler
from comms.channels.states import ChannelCondition
from comms.channels.transmit_level import TransmitLevel, TransmitStep
from comms.emcon import TRAFFIC, EmconGate, Transmitter
from comms.keys.handshake import PeerIdentity, SessionSecrets
from comms.records.faults import RecordFault
from comms.records.record import Opened
from comms.records.session import RecordSession
from comms.transports.port import Transport

__all__ = ["FULL_POWER", "Line", "LinkEnd", "new_session"]

MOST_PACKETS = 64
"""Packets sent in one step of one end."""
OVERHEAD_BYTES = 20
"""Record around a packet at most, with the channel in a byte of its own."""
FULL_POWER = TransmitStep(TransmitLevel.FULL, 1.0, 1.0, frozenset(), frozenset())
"""What heat and charge leave to a ground station."""


@dataclass(frozen=True, slots=True)
class Line:
    """A transport, and what emission control and the energy books must know of it."""

    transport: Transport
    transmitter: Transmitter
    joules_per_byte: float = 0.0
    """Energy of the transmitter for a byte on the line."""

    @property
    def wired(self) -> bool:
        """Whether it ends at a bench or a dock, and radiates nothing."""
        return self.transmitter in (Transmitter.CABLE, Transmitter.BRIDGE)


def new_session(
    secrets: SessionSecrets, end: Direction, now_ns: int, manager: ChannelManager, longest: int
) -> RecordSession:
    """Records of a handshake's session, with the channels of this manager."""
    return RecordSession(
        secrets.up_chain, secrets.down_chain, secrets.binding, end, now_ns, manager.spec, max(64, longest)
    )


class LinkEnd:
    """One end.

    Args:
        peer: who is at the other end.
        line: the way there.
        source: the peer's address on it.
        secrets: what the handshake has given.
        end: the direction that this end sends in.
        emcon: emission control.
        now_ns: monotonic time.

    Attributes:
        manager: channels and their queues.
        session: records of the session.
        sent, sent_bytes, opened: records since the session began.
        used_j: energy of what was sent.
    """

    def __init__(
        self, peer: PeerIdentity, line: Line, source: str, secrets: SessionSecrets, end: Direction, emcon: EmconGate,
        now_ns: int,
    ) -> None:
        transport = line.transport
        self.peer = peer
        self.line = line
        self.source = source
        self.secrets = secrets
        self.since_ns = now_ns
        self.manager = ChannelManager(longest_bytes=max(32, transport.mtu - OVERHEAD_BYTES))
        self.session = new_session(secrets, end, now_ns, self.manager, transport.mtu)
        self.scheduler = Scheduler(self.manager, transport.bit_rate, transport.mtu, OVERHEAD_BYTES)
        self.sent = self.sent_bytes = self.opened = 0
        self.used_j = 0.0
        self._fresh_ns: dict[int, int] = {}
        """By channel: when a packet of it went out last, or when all that waited was left out."""
        self._emcon = emcon
        self._closed = False

    @property
    def longest(self) -> int:
        """Longest packet that a channel takes, bytes."""
        return self.manager.longest_bytes

    @property
    def heard_ns(self) -> int:
        """When the last good record came in; the beginning of the session if none has."""
        heard = self.session.heard_ns
        return self.since_ns if heard is None else heard

    def put(self, channel: int, payload: bytes, now_ns: int) -> Drop | None:
        """Queue a packet; why not, if not. Counted by its channel either way."""
        return self.manager.put(channel, payload, now_ns)

    def room(self, channel: int) -> int:
        """Further packets that a channel's queue takes."""
        lane = self.manager.lane(channel)
        return 0 if lane is None else max(0, lane.queue.rule.entries - len(lane.queue))

    def waiting(self, channel: int) -> int:
        """Packets that wait in a channel."""
        lane = self.manager.lane(channel)
        return 0 if lane is None else len(lane.queue)

    def leave_out(self, channel: int, now_ns: int) -> bool:
        """Lose what waits in a channel of which nothing has gone out for a while, where only the present counts.

        ``True`` if there was something; it is counted as displaced.
        """
        lane = self.manager.lane(channel)
        last_ns = self._fresh_ns.setdefault(channel, now_ns)
        if lane is None or not len(lane.queue):
            self._fresh_ns[channel] = now_ns
            return False
        if now_ns - last_ns <= GAP_NS:
            return False
        self._fresh_ns[channel] = now_ns
        lane.queue.clear(Drop.DISPLACED)
        return True

    def open(self, record: bytes, now_ns: int) -> Opened | RecordFault:
        """A record of the peer, or why it is none."""
        found = self.session.open(record, now_ns)
        if not isinstance(found, RecordFault):
            self.opened += 1
        return found

    def judge(self, transmit: TransmitStep, in_safe: bool | None, now_ns: int) -> tuple[StateChange, ...]:
        """Bring the channels' states up to now."""
        condition = ChannelCondition(self.line.transmitter, transmit, not self._closed, in_safe)

        def of(_spec: ChannelSpec) -> ChannelCondition:
            return condition

        return self.manager.judge(of, self._emcon, now_ns)

    def pump(self, now_ns: int, most: int = MOST_PACKETS) -> int:
        """Send what waits as far as the line has room; returns how many records went out."""
        transport, gone = self.line.transport, 0
        while gone < most:
            room = transport.room(now_ns)
            if room <= OVERHEAD_BYTES:
                break
            picked = self.scheduler.next_packet(room, now_ns)
            if picked is None:
                break
            spec = self.manager.spec(picked.channel_id)
            if spec is None:
                break
            size = len(picked.payload) + OVERHEAD_BYTES
            if self._emcon.admit(self.line.transmitter, TRAFFIC[spec.qos], size, now_ns) is not None:
                self.scheduler.restore(picked)
                break
            record = self.session.seal(picked.channel_id, picked.payload, now_ns)
            if isinstance(record, RecordFault):
                # Counted by the session; the packet can't go out by this session any more.
                continue
            if not transport.send(record, self.source, now_ns):
                self.scheduler.restore(picked)
                break
            gone += 1
            self._fresh_ns[picked.channel_id] = now_ns
            self.sent += 1
            self.sent_bytes += len(record)
            self.used_j += self.line.joules_per_byte * len(record)
        return gone

    def close(self) -> None:
        """End the session; its keys are forgotten."""
        self._closed = True
        self.session.close()

    def __repr__(self) -> str:
        return f"<LinkEnd to {self.peer.name} over {self.line.transport.name}>"
