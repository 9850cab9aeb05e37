"""Seals and opens records of one direction, channel and epoch: what isn't exactly as it was sealed is refused by name.

A record is header, ciphertext, tag. COSE_Encrypt0 (RFC 9052 section 5.2) in OSCORE's compressed form (RFC 8613 section
6), with the suite that the channel's kind binds. Nothing of a record is looked at before its tag is verified but the
header, and the tag vouches for that as well. Lengths and counter are judged before any cryptography.

These are the two hot paths of the link. 256 counters that differ in their last byte only make a block; what they share
is worked out once, and a record within it changes one byte of nonce and associated data.
"""

from __future__ import annotations

from collections.abc import Callable

from cryptography.exceptions import InvalidTag
from msgspec import Struct

from comms.records.faults import RecordFault
from comms.records.lane import LaneKeys
from comms.records.schedule import COUNTER_LAST
from comms.records.window import ReplayWindow

__all__ = ["LONGEST_RECORD", "Opened", "Opener", "Sealer"]

LONGEST_RECORD = 65_507
"""Bytes: the longest UDP datagram over IPv4."""
_BYTE = tuple(bytes((value,)) for value in range(256))


class Opened(Struct, frozen=True, gc=False):
    """One record that the peer has sealed and that was never opened before."""

    channel: int
    plaintext: bytes
    epoch: int
    counter: int


class Sealer:
    """Seals with one key, each counter once.

    Args:
        keys: of this direction, channel and epoch.
        first: counter of the first record.
        limit: first counter that must not be used; at most 2^40.
        longest: bytes of the longest record.

    Attributes:
        next: counter of the next record.
    """

    __slots__ = ("_aad", "_encrypt", "_keys", "_limit", "_longest", "_most", "_nonce", "_nonce_last", "_stem", "_turn",
                 "next")

    def __init__(
        self, keys: LaneKeys, first: int = 0, limit: int = COUNTER_LAST + 1, longest: int = LONGEST_RECORD,
    ) -> None:
        self._keys = keys
        self._encrypt = keys.aead.encrypt
        self._longest = longest
        self._stem = b""
        self._aad = self._nonce = bytearray()
        self._nonce_last = self._most = 0
        self.next = first
        self.raise_limit(limit)

    @property
    def overhead(self) -> int:
        """Bytes that the next record takes beside its plaintext."""
        return self._keys.overhead(min(self.next, COUNTER_LAST))

    def raise_limit(self, limit: int, first: int = 0) -> None:
        """Allow counters below ``limit``; ``first`` skips those below it. Counters never go back."""
        self._limit = min(limit, COUNTER_LAST + 1)
        self.next = max(self.next, first)
        self._turn = 0

    def seal(self, plaintext: bytes) -> bytes | RecordFault:
        """One record. TOO_LONG and COUNTER_END use no counter up."""
        counter = self.next
        if counter >= self._turn and not self._begin_block():
            return RecordFault.COUNTER_END
        if len(plaintext) > self._most:
            return RecordFault.TOO_LONG
        self.next = counter + 1
        last = counter & 255
        aad, nonce = self._aad, self._nonce
        aad[-1] = last
        nonce[-1] = self._nonce_last ^ last
        return self._stem + _BYTE[last] + self._encrypt(nonce, plaintext, aad)

    def _begin_block(self) -> bool:
        """Work out what the next counters share; ``False`` if none is left."""
        counter = self.next
        if counter >= self._limit:
            return False
        header, self._aad, self._nonce = self._keys.block(counter)
        self._stem = header[:-1]
        self._nonce_last = self._nonce[-1]
        self._turn = min(self._limit, (counter | 255) + 1)
        self._most = self._longest - self.overhead
        return True

    def __repr__(self) -> str:
        return f"<Sealer of channel {self._keys.channel}, epoch {self._keys.epoch}, next {self.next}>"


class Opener:
    """Opens with one key, each counter once.

    Args:
        keys: of this direction, channel and epoch.
        window: what was opened before; a new one if not given.
        longest: bytes of the longest record.
        on_shut: called with this opener at the moment when ``shut`` becomes true.

    Attributes:
        counter: of the record that was opened last; -1 before any.
        forged: false tags that this key has met.
        shut: it has met its limit of them, and opens nothing more.
    """

    __slots__ = ("_aad", "_decrypt", "_first", "_keys", "_least", "_longest", "_nonce", "_nonce_last", "_on_shut",
                 "_start", "_stem", "_stem_bytes", "channel", "counter", "epoch", "forged", "shut", "window")

    def __init__(
        self, keys: LaneKeys, window: ReplayWindow | None = None, longest: int = LONGEST_RECORD,
        on_shut: Callable[[Opener], None] | None = None,
    ) -> None:
        self._on_shut = on_shut
        self.counter = -1
        self._keys = keys
        self._decrypt = keys.aead.decrypt
        self._longest = longest
        self._stem: bytes | None = None
        self._stem_bytes, self._start = 1, 2
        self._aad = self._nonce = bytearray()
        self._nonce_last = self._first = self._least = 0
        self.channel = keys.channel
        self.epoch = keys.epoch
        self.window = ReplayWindow() if window is None else window
        self.forged = 0
        self.shut = False

    def open(self, record: bytes) -> Opened | RecordFault:
        """What was sealed, or why it is refused. Never raises; a refusal changes nothing but ``forged`` and
        ``shut``."""
        plaintext = self.unseal(record)
        if isinstance(plaintext, RecordFault):
            return plaintext
        return Opened(self.channel, plaintext, self.epoch, self.counter)

    def unseal(self, record: bytes) -> bytes | RecordFault:
        """The same, but the plaintext alone; ``counter`` is that of the record."""
        stem_bytes = self._stem_bytes
        if record[:stem_bytes] != self._stem:
            fault = self._begin_block(record)
            if fault is not None:
                return fault
            stem_bytes = self._stem_bytes
        if not self._least <= len(record) <= self._longest:
            return RecordFault.TOO_LONG if len(record) > self._longest else RecordFault.TOO_SHORT
        last = record[stem_bytes]
        counter = self._first + last
        window = self.window
        upcoming = window.next
        if counter < upcoming:
            stale = window.check(counter)
            if stale is not None:
                return stale
        aad, nonce = self._aad, self._nonce
        aad[-1] = last
        nonce[-1] = self._nonce_last ^ last
        try:
            plaintext = self._decrypt(nonce, record[self._start:], aad)
        except InvalidTag:
            return self._count_forged()
        if counter == upcoming:
            window.next = counter + 1  # As commit does; most records come in order.
        else:
            window.commit(counter)
        self.counter = counter
        return plaintext

    def _begin_block(self, record: bytes) -> RecordFault | None:
        """Work out what a record shares with its neighbours, or refuse it for its header. This is memory of a sum and
        no more: it says nothing about whether the record is genuine."""
        header = self._keys.read_header(record)
        if isinstance(header, RecordFault):
            return header
        counter, length = header
        if len(record) > self._longest:
            return RecordFault.TOO_LONG
        if len(record) < length + self._keys.facts.tag_bytes:
            return RecordFault.TOO_SHORT
        if self.shut:
            return RecordFault.KEY_SHUT
        whole, self._aad, self._nonce = self._keys.block(counter)
        self._stem = whole[:-1]
        self._stem_bytes, self._start = length - 1, length
        self._nonce_last = self._nonce[-1]
        self._first = counter & ~255
        self._least = length + self._keys.facts.tag_bytes
        return None

    def _count_forged(self) -> RecordFault:
        self.forged += 1
        if self.forged >= self._keys.facts.false_tags:
            self.shut = True
            self._stem = None
            if self._on_shut is not None:
                self._on_shut(self)
        return RecordFault.FORGED

    def __repr__(self) -> str:
        return f"<Opener of channel {self.channel}, epoch {self.epoch}, next {self.window.next}, forged {self.forged}>"
