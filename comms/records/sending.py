"""Sending half of a session: each channel's sealer, and the rule when the next epoch begins.

An epoch ends when a channel has used up 2^16 counters (a longer counter would cost a byte), after 2^19 records in sum,
24 h of monotonic time after it began, or when it is asked for. Asked for, an epoch after the first goes on for at least
64 records: a receiver that missed all records of an epoch could not follow.
"""

from __future__ import annotations

from collections.abc import Callable

from comms.channel_plan import ChannelSpec
from comms.records.faults import RecordFault
from comms.records.lane import EPOCHS
from comms.records.ratchet import Ratchet
from comms.records.record import Sealer

__all__ = ["EPOCH_NS", "EPOCH_RECORDS", "LANE_RECORDS", "LEAST_RECORDS", "Sending"]

LANE_RECORDS = 1 << 16
"""Records of a channel in one epoch: their counters take two bytes."""
EPOCH_RECORDS = 1 << 19
"""Records of all channels in one epoch, as far as it is looked at: STRIDE more a channel at most, and so well below the
2^20 of CANON section 11."""
EPOCH_NS = 24 * 3600 * 1_000_000_000
"""Longest epoch (CANON section 11)."""
LEAST_RECORDS = 64
"""Records that an epoch has before a rotation that is only asked for."""
STRIDE = 1 << 12
"""Records of a channel between two looks at the sum."""


class Sending:
    """The half.

    Args:
        ratchet: chain of this direction; taken over.
        channels: looks a channel up; ``None`` for one that there isn't.
        now_ns: monotonic time at which the epoch begins.
        longest: bytes of the longest record.

    Attributes:
        sealers: by channel, of the present epoch.
        turn_ns: from then on, or at once, ``sealer`` is to be asked before a record is sealed.
        rotations: epochs ended since start.
    """

    __slots__ = ("_channels", "_longest", "_ratchet", "_started_ns", "_wanted", "rotations", "sealers", "turn_ns")

    def __init__(
        self, ratchet: Ratchet, channels: Callable[[int], ChannelSpec | None], now_ns: int, longest: int,
    ) -> None:
        self._ratchet = ratchet
        self._channels = channels
        self._longest = longest
        self._wanted = ratchet.epoch
        self._started_ns = now_ns
        self.turn_ns = now_ns + EPOCH_NS
        self.sealers: dict[int, Sealer] = {}
        self.rotations = 0

    @property
    def epoch(self) -> int:
        """Number of the present epoch."""
        return self._ratchet.epoch

    @property
    def records(self) -> int:
        """Records sealed in the present epoch."""
        return sum(sealer.next for sealer in self.sealers.values())

    @property
    def pending(self) -> bool:
        """Whether a rotation was asked for and hasn't come yet."""
        return self._wanted > self.epoch

    def want(self, epoch: int) -> None:
        """Ask for at least this epoch; it comes one step at a time."""
        if epoch > self._wanted:
            self._wanted = epoch
            self.turn_ns = self._started_ns

    def sealer(self, channel: int, now_ns: int) -> Sealer | RecordFault:
        """The sealer for a channel's next record, in the epoch that it belongs to."""
        spec = self._channels(channel)
        if spec is None:
            return RecordFault.UNKNOWN_CHANNEL
        asked = self.pending and (self.epoch == 0 or self.records >= LEAST_RECORDS)
        if (asked or now_ns - self._started_ns >= EPOCH_NS) and not self._rotate(now_ns):
            return RecordFault.COUNTER_END
        sealer = self.sealers.get(channel)
        if sealer is None:
            sealer = Sealer(self._ratchet.lane(spec), limit=STRIDE, longest=self._longest)
            self.sealers[channel] = sealer
        return sealer

    def beyond(self, channel: int, now_ns: int) -> Sealer | RecordFault:
        """The sealer for a record that the present one has no counter for."""
        sealer = self.sealers[channel]
        if sealer.next < LANE_RECORDS and self.records < EPOCH_RECORDS:
            sealer.raise_limit(min(sealer.next + STRIDE, LANE_RECORDS))
            return sealer
        return self.sealer(channel, now_ns) if self._rotate(now_ns) else RecordFault.COUNTER_END

    def _rotate(self, now_ns: int) -> bool:
        """Begin the next epoch and forget this one; ``False`` if there is none."""
        if self.epoch + 1 >= EPOCHS:
            return False
        following = self._ratchet.ahead()
        self._ratchet.forget()
        self._ratchet = following
        self.sealers.clear()
        self.rotations += 1
        self._wanted = max(self._wanted, following.epoch)
        self._started_ns = now_ns
        self.turn_ns = now_ns if self.pending else now_ns + EPOCH_NS
        return True

    def close(self) -> None:
        """Forget all keys."""
        self._ratchet.forget()
        self.sealers.clear()

    def __repr__(self) -> str:
        return f"<Sending, epoch {self.epoch}, {len(self.sealers)} channels>"
