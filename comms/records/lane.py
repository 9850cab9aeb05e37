"""Keys of one lane: one direction, one channel, one epoch. No two lanes share a key or a nonce.

The sender id is direction and channel, the id context version and epoch, so every one of them is in key and nonce
(RFC 8613 sections 3.2 and 5.2); class of service and suite are in the associated data, and the suite in the key too.
"""

from __future__ import annotations

from comms.channel_plan import ChannelSpec, Direction
from comms.records import schedule
from comms.records.faults import RecordFault
from comms.records.header import LONGEST_COUNTER, counter_bytes, encode_header, least_counter
from comms.records.schedule import SUITES

__all__ = ["EPOCHS", "LaneKeys"]

EPOCHS = 1 << 32
"""Numbers of epochs, and of starts (kept contexts)."""


class LaneKeys:
    """Cipher and constants of one lane.

    Args:
        secret: the epoch's chain key, or a root key. Not kept.
        salt: what binds it to one session or context.
        direction: way of the records.
        spec: the channel; its kind binds the suite.
        epoch: number of the epoch, or of the start (kept contexts).
        implied: the line has this channel only, and records don't name it.

    Raises ValueError for a channel or epoch out of range.
    """

    __slots__ = ("_heads", "_implied", "_nonce_base", "aead", "channel", "epoch", "facts")

    def __init__(
        self, secret: bytes | bytearray, salt: bytes, direction: Direction, spec: ChannelSpec, epoch: int,
        implied: bool = False,
    ) -> None:
        if not 0 <= epoch < EPOCHS:
            raise ValueError(f"epoch {epoch}: must fit into 32 bits")
        suite = spec.kind.suite
        self.channel = spec.id
        self.epoch = epoch
        self.facts = SUITES[suite]
        self._implied = implied
        identity = bytes((direction, spec.id))
        context = bytes((schedule.VERSION,)) + epoch.to_bytes(4, "big")
        key_bytes, nonce_bytes = self.facts.key_bytes, self.facts.nonce_bytes
        key = schedule.derive(secret, salt, schedule.key_info(identity, context, suite, "Key", key_bytes), key_bytes)
        self.aead = schedule.cipher(suite, key)
        schedule.forget(key)
        info = schedule.key_info(b"", context, suite, "IV", nonce_bytes)
        self._nonce_base = schedule.nonce_base(schedule.derive(secret, salt, info, nonce_bytes), identity)
        heads: list[tuple[bytes, bytes]] = []
        for size in range(1, LONGEST_COUNTER + 1):
            header = encode_header(epoch, spec.id, least_counter(size), implied)
            external = schedule.external_aad(suite, direction, identity, spec.id, spec.qos, header)
            # The header is the last thing in it, so all before it is the same for every record with n bytes of counter.
            heads.append((header[:-size], schedule.encryption_aad(external)[: -len(header)]))
        self._heads = tuple(heads)

    def overhead(self, counter: int) -> int:
        """Bytes of header and tag of the record with this counter."""
        size = counter_bytes(counter)
        return len(self._heads[size - 1][0]) + size + self.facts.tag_bytes

    def block(self, counter: int) -> tuple[bytes, bytearray, bytearray]:
        """Header, associated data and nonce of the first counter with the same leading bytes as this one (0 to
        2^40 - 1): the others of its block differ in the last byte of each."""
        size = counter_bytes(counter)
        lead, aad = self._heads[size - 1]
        first = counter & ~255
        header = lead + first.to_bytes(size, "big")
        return header, bytearray(aad + header), bytearray(
            schedule.nonce(self._nonce_base, first, self.facts.nonce_bytes))

    def read_header(self, record: bytes) -> tuple[int, int] | RecordFault:
        """Counter and length of the header of a record of this lane, or what is wrong with it."""
        if not record:
            return RecordFault.TOO_SHORT
        flag = record[0]
        size = flag & 7
        if not 1 <= size <= LONGEST_COUNTER:
            return RecordFault.RESERVED if size else RecordFault.NOT_A_RECORD
        lead = self._heads[size - 1][0]
        if flag >> 6 != self.epoch & 3:
            return RecordFault.WRONG_EPOCH
        length = len(lead) + size
        if len(record) < length:
            return RecordFault.TOO_SHORT
        if not record.startswith(lead):
            return RecordFault.WRONG_CHANNEL
        counter = int.from_bytes(record[len(lead):length], "big")
        return RecordFault.NOT_SHORTEST if counter < least_counter(size) else (counter, length)

    def __repr__(self) -> str:
        return f"<LaneKeys of channel {self.channel}, epoch {self.epoch}>"
