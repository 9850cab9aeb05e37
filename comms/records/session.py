"""A live session between two ends: seals what one sends, opens what the other sent, and moves both keys on in time.

Made from what a handshake leaves. Everything is in RAM only; after a restart there is a new handshake. What comes from
outside never raises: it is a plaintext, or a fault that is counted. Both directions move on by themselves; an end that
hears the other in a later epoch follows, so a key that has met too many false tags is left behind on both ways without
a byte on the air.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from comms.channel_plan import ChannelSpec, Direction
from comms.records.faults import RecordFault
from comms.records.header import EXTENDED
from comms.records.ratchet import Ratchet
from comms.records.receiving import Receiving
from comms.records.record import LONGEST_RECORD, Opened
from comms.records.schedule import SUITES
from comms.records.sending import Sending

__all__ = ["RecordSession", "SessionState"]


@dataclass(frozen=True, slots=True)
class SessionState:
    """What may be told of a session: numbers, no key and no content.

    Attributes:
        send_epoch: epoch of the records that this end seals.
        receive_epoch: newest epoch that a good record of the peer was in.
        sealed: records sealed in ``send_epoch``.
        rotations: epochs that this end has ended.
        draining: good records until the peer's epoch before is shut, 0 if it is.
        rotation_pending: a rotation was asked for and waits for records.
        intrusions: keys that have met their limit of false tags.
        heard_ns: when the last good record came in; ``None`` before any.
    """

    send_epoch: int
    receive_epoch: int
    sealed: int
    rotations: int
    draining: int
    rotation_pending: bool
    intrusions: int
    heard_ns: int | None


class RecordSession:
    """One session.

    Args:
        up_chain: 32 bytes, first key of the chain to the craft.
        down_chain: the same from the craft.
        binding: handshake hash; the two ends have the same.
        end: the direction that this end sends in.
        now_ns: monotonic time.
        channels: looks a channel up by its id; ``None`` for one that there isn't.
        longest: bytes of the longest record, as sealed or as taken in.

    Attributes:
        counts: refusals so far by fault, of both ways.
        heard_ns: when the last good record came in; ``None`` before any.

    Raises ValueError for a chain key of another length, an unset one, two that are equal, or no binding.
    """

    __slots__ = ("_openers", "_receiving", "_sealers", "_sending", "_specs", "closed", "counts", "heard_ns")

    def __init__(
        self, up_chain: bytes | bytearray, down_chain: bytes | bytearray, binding: bytes, end: Direction, now_ns: int,
        channels: Callable[[int], ChannelSpec | None], longest: int = LONGEST_RECORD,
    ) -> None:
        if bytes(up_chain) == bytes(down_chain):
            raise ValueError("both directions have the same chain key")
        if not binding:
            raise ValueError("a session is bound to a handshake hash")
        chains = {Direction.UP: up_chain, Direction.DOWN: down_chain}
        other = Direction.DOWN if end is Direction.UP else Direction.UP
        self._specs = channels
        self._sending = Sending(Ratchet(chains[end], binding, end), channels, now_ns, longest)
        self._receiving = Receiving(Ratchet(chains[other], binding, other), channels, longest, self._sending.want)
        # The same objects as in the halves: the way of a record leads through as few of them as can be.
        self._sealers: Final = self._sending.sealers
        self._openers: Final = self._receiving.openers
        self.counts: dict[RecordFault, int] = dict.fromkeys(RecordFault, 0)
        self.heard_ns: int | None = None
        self.closed = False

    def seal(self, channel: int, plaintext: bytes, now_ns: int) -> bytes | RecordFault:
        """One record of a channel: TOO_LONG, UNKNOWN_CHANNEL, CLOSED, or COUNTER_END after the last epoch.

        Call at the moment of sending: the counter, and the epoch, are those of now.
        """
        sealer = self._sealers.get(channel)
        if sealer is None or now_ns >= self._sending.turn_ns:
            return self._seal_on_turn(channel, plaintext, now_ns)
        record = sealer.seal(plaintext)
        return record if type(record) is bytes else self._seal_on_turn(channel, plaintext, now_ns)

    def _seal_on_turn(self, channel: int, plaintext: bytes, now_ns: int) -> bytes | RecordFault:
        """The same, where a sealer has to be made, an epoch ends, or something is wrong."""
        if self.closed:
            return self._count(RecordFault.CLOSED)
        sealer = self._sending.sealer(channel, now_ns)
        if isinstance(sealer, RecordFault):
            return self._count(sealer)
        record = sealer.seal(plaintext)
        if record is RecordFault.COUNTER_END:
            sealer = self._sending.beyond(channel, now_ns)
            record = sealer if isinstance(sealer, RecordFault) else sealer.seal(plaintext)
        return self._count(record) if isinstance(record, RecordFault) else record

    def open(self, record: bytes, now_ns: int) -> Opened | RecordFault:
        """What the peer has sealed, or why this is refused. Never raises; nothing is to be answered to a refusal."""
        opener = self._openers[record[0] >> 3] if record else None
        if opener is None:
            return self._admit(record, now_ns)
        plaintext = opener.unseal(record)
        if type(plaintext) is bytes:
            self.heard_ns = now_ns
            return Opened(opener.channel, plaintext, opener.epoch, opener.counter)
        assert isinstance(plaintext, RecordFault)
        return self._count(plaintext)

    def _admit(self, record: bytes, now_ns: int) -> Opened | RecordFault:
        """The same, where an opener has to be found or made first."""
        found = RecordFault.CLOSED if self.closed else self._receiving.admit(record)
        if isinstance(found, RecordFault):
            return self._count(found)
        self.heard_ns = now_ns
        return found

    def _count(self, fault: RecordFault) -> RecordFault:
        self.counts[fault] += 1
        return fault

    @property
    def intrusions(self) -> int:
        """Keys that have met their limit of false tags; each of them is an intrusion alert."""
        return self._receiving.shut_keys

    def rotate(self) -> None:
        """Ask for the next epoch of what this end sends: it begins with the next record, or once the present one has 64
        records. The peer's direction follows when it hears of it."""
        if not self.closed:
            self._sending.want(self._sending.epoch + 1)

    def overhead(self, channel: int) -> int:
        """Bytes that a record of a channel takes beside its plaintext, at most: 19, or 20 with the channel in a byte of
        its own. KeyError for a channel that there isn't."""
        spec = self._specs(channel)
        if spec is None:
            raise KeyError(f"no channel {channel}")
        return 1 + (channel >= EXTENDED) + 2 + SUITES[spec.kind.suite].tag_bytes

    def state(self) -> SessionState:
        """What may be told of it."""
        sending, receiving = self._sending, self._receiving
        return SessionState(
            sending.epoch, receiving.epoch, sending.records, sending.rotations, receiving.draining, sending.pending,
            receiving.shut_keys, self.heard_ns)

    def close(self) -> None:
        """Forget all keys; from now on everything is refused (CLOSED)."""
        self.closed = True
        self._sending.close()
        self._receiving.close()

    def __repr__(self) -> str:
        return f"<RecordSession, {self._sending!r}, {self._receiving!r}>"
