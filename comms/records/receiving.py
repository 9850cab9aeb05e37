"""Receiving half of a session: the present epoch and the next are open, and for 1,024 records the one before.

The first good record of the next epoch makes it the present one. Nobody has to be told of a rotation, and no record is
lost to one. Keys of an epoch that is shut are forgotten. No record opens in two epochs: each has keys of its own, and
two bits of the epoch stand in the first byte, which the tag vouches for.
"""

from __future__ import annotations

from collections.abc import Callable

from comms.channel_plan import ChannelSpec
from comms.records.faults import RecordFault
from comms.records.header import EXTENDED, read_header
from comms.records.lane import EPOCHS
from comms.records.ratchet import Ratchet
from comms.records.record import Opened, Opener

__all__ = ["DRAIN_RECORDS", "Receiving"]

DRAIN_RECORDS = 1024
"""Good records of an epoch after which the one before it is shut: as many as the replay window looks back."""


class _Epoch:
    """Chain and openers of one epoch."""

    __slots__ = ("openers", "ratchet")

    def __init__(self, ratchet: Ratchet) -> None:
        self.ratchet = ratchet
        self.openers: dict[int, Opener] = {}

    def forget(self) -> None:
        self.ratchet.forget()
        self.openers.clear()


class Receiving:
    """The half.

    Args:
        ratchet: chain of this direction; taken over.
        channels: looks a channel up; ``None`` for one that there isn't.
        longest: bytes of the longest record.
        on_epoch: told an epoch that both ends should come to: the peer's new one, or the one after a key that has met
            its limit of false tags.

    Attributes:
        openers: 32 places, for the upper five bits of a record's first byte: its opener where nothing else is to be
            done, ``None`` where the record is to be given to ``admit``.
        shut_keys: keys that have met their limit of false tags.
    """

    __slots__ = ("_before", "_channels", "_left", "_longest", "_next", "_on_epoch", "_present", "openers", "shut_keys")

    def __init__(
        self, ratchet: Ratchet, channels: Callable[[int], ChannelSpec | None], longest: int,
        on_epoch: Callable[[int], None],
    ) -> None:
        self._on_epoch = on_epoch
        self._channels = channels
        self._longest = longest
        self._before: _Epoch | None = None
        self._present = _Epoch(ratchet)
        self._next: _Epoch | None = None
        self._left = 0
        self.openers: list[Opener | None] = [None] * 32
        self.shut_keys = 0

    @property
    def epoch(self) -> int:
        """Number of the present epoch."""
        return self._present.ratchet.epoch

    @property
    def draining(self) -> int:
        """Records until the epoch before the present one is shut; 0: it is."""
        return self._left

    def admit(self, record: bytes) -> Opened | RecordFault:
        """Open a record that no opener stands ready for: of another epoch, or a channel not heard yet."""
        header = read_header(record)
        if isinstance(header, RecordFault):
            return header
        epoch = self._held(header.epoch_bits)
        if epoch is None:
            return RecordFault.WRONG_EPOCH
        opener = epoch.openers.get(header.channel)
        if opener is None:
            spec = self._channels(header.channel)
            if spec is None:
                return RecordFault.UNKNOWN_CHANNEL
            opener = Opener(epoch.ratchet.lane(spec), longest=self._longest, on_shut=self._note_shut)
            epoch.openers[header.channel] = opener
        found = opener.open(record)
        if isinstance(found, Opened):
            self._follow(epoch, opener)
        return found

    def _held(self, bits: int) -> _Epoch | None:
        """The epoch with these two bits, if it is open."""
        ahead = (bits - self.epoch) & 3
        if ahead == 0:
            return self._present
        if ahead == 3:
            return self._before
        if ahead == 1 and self._next is None and self.epoch + 1 < EPOCHS:
            self._next = _Epoch(self._present.ratchet.ahead())
        return self._next if ahead == 1 else None

    def _follow(self, epoch: _Epoch, opener: Opener) -> None:
        """A record of this epoch was good."""
        if epoch is self._next:
            self._shut_before()
            self._before, self._present, self._next = self._present, epoch, None
            self._left = DRAIN_RECORDS
            self.openers[:] = [None] * 32
            self._on_epoch(self.epoch)
        elif epoch is self._present:
            if self._left:
                self._left -= 1
                if not self._left:
                    self._shut_before()
            elif opener.channel < EXTENDED:
                self.openers[(epoch.ratchet.epoch & 3) << 3 | opener.channel] = opener

    def _shut_before(self) -> None:
        if self._before is not None:
            self._before.forget()
            self._before = None

    def _note_shut(self, opener: Opener) -> None:
        """A key has met its limit of false tags: away from it."""
        self.shut_keys += 1
        self._on_epoch(opener.epoch + 1)

    def close(self) -> None:
        """Forget all keys."""
        for epoch in (self._before, self._present, self._next):
            if epoch is not None:
                epoch.forget()
        self._before = self._next = None
        self.openers[:] = [None] * 32

    def __repr__(self) -> str:
        return f"<Receiving, epoch {self.epoch}, {len(self._present.openers)} channels>"

