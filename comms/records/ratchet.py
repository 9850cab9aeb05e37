"""Chain of epoch keys that goes forward only: from the present key the next follows, never the one before it.

Each key is HKDF-Expand of the one before (RFC 5869), so whoever takes a key learns nothing of the records of earlier
epochs. What is stepped over is overwritten with zeros.
"""

from __future__ import annotations

from comms.channel_plan import ChannelSpec, Direction
from comms.records import schedule
from comms.records.lane import EPOCHS, LaneKeys

__all__ = ["Ratchet"]

LABEL = b"qiki record epoch"


class Ratchet:
    """The chain of one direction.

    Args:
        chain: 32 bytes, key of epoch 0; copied.
        binding: of the session (handshake hash).
        direction: way of the records.
        epoch: its number.

    Attributes:
        epoch: number of the present epoch.

    Raises ValueError for a chain of another length, or one that was never set.
    """

    __slots__ = ("_binding", "_chain", "_direction", "epoch")

    def __init__(self, chain: bytes | bytearray, binding: bytes, direction: Direction, epoch: int = 0) -> None:
        if len(chain) != schedule.HASH_BYTES or not any(chain):
            raise ValueError(f"a chain key has {schedule.HASH_BYTES} bytes that aren't all zero")
        self._chain = bytearray(chain)
        self._binding = binding
        self._direction = direction
        self.epoch = epoch

    def ahead(self) -> Ratchet:
        """The chain one epoch on; this one stays as it is. RuntimeError after the last epoch, 2^32 - 1."""
        if self.epoch + 1 >= EPOCHS:
            raise RuntimeError("there is no epoch after the last")
        following = schedule.expand(self._chain, LABEL + (self.epoch + 1).to_bytes(4, "big"))
        after = Ratchet(following, self._binding, self._direction, self.epoch + 1)
        schedule.forget(following)
        return after

    def lane(self, spec: ChannelSpec) -> LaneKeys:
        """Keys of a channel in the present epoch."""
        return LaneKeys(self._chain, self._binding, self._direction, spec, self.epoch)

    def forget(self) -> None:
        """Overwrite the key."""
        schedule.forget(self._chain)

    @property
    def forgotten(self) -> bool:
        """Whether the key was overwritten."""
        return not any(self._chain)

    def __repr__(self) -> str:
        return f"<Ratchet {self._direction.name}, epoch {self.epoch}>"
