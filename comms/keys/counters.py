"""Handshake counters that outlive a restart: strictly rising per peer and pre-shared key, stored before they count.

The initiator takes the next one and stores it before it sends; the responder stores what it took before it answers. A
new pre-shared key begins at zero again: its filter MAC is another.
"""

from __future__ import annotations

import struct
from collections.abc import Collection

from comms.keys.faults import KeyFault, KeyringError
from comms.keys.vault import SealedFile

__all__ = ["LAST_COUNTER", "CounterBook"]

LAST_COUNTER = 2**64 - 1
ENTRY = struct.Struct(">8sQ")
MOST_ENTRIES = 64


class CounterBook:
    """Highest counters by id of the pre-shared key.

    Args:
        file: where they are kept.

    Attributes:
        lost: counters were stored and could not be read: a message that is played again may get one answer, and no
            session. Their first use stores them anew.
        unsaved: times that a counter could not be stored.
    """

    __slots__ = ("_file", "_highest", "lost", "unsaved")

    def __init__(self, file: SealedFile) -> None:
        self._file = file
        self._highest: dict[bytes, int] = {}
        self.lost = False
        self.unsaved = 0
        try:
            data = file.load() or b""
            self._highest = dict(ENTRY.iter_unpack(data))
        except (KeyringError, struct.error):
            self.lost = True

    def highest(self, slot_id: bytes) -> int:
        """The highest counter that was used with this key, 0 if none was."""
        return self._highest.get(slot_id, 0)

    def take(self, slot_id: bytes, counter: int) -> bool:
        """Responder: use up a counter that came in; ``False`` if it is not above the last. Storing may fail
        (``unsaved``): then it counts until the next restart, since losing the link would be worse than one answer."""
        if counter <= self.highest(slot_id):
            return False
        self._put(slot_id, counter)
        try:
            self._save()
        except KeyringError:
            self.unsaved += 1
        return True

    def next(self, slot_id: bytes) -> int:
        """Initiator: the next counter, stored. KeyringError at its end, or if it cannot be stored: it must not be used
        then."""
        counter = self.highest(slot_id) + 1
        if counter > LAST_COUNTER:
            raise KeyringError(KeyFault.EXHAUSTED, "the handshake counter of this key is at its end", "pair anew")
        self._put(slot_id, counter)
        self._save()
        return counter

    def forget(self, but: Collection[bytes]) -> None:
        """Drop counters of keys that are no longer there; stored with the next one."""
        self._highest = {slot_id: counter for slot_id, counter in self._highest.items() if slot_id in but}

    def _put(self, slot_id: bytes, counter: int) -> None:
        if slot_id not in self._highest and len(self._highest) >= MOST_ENTRIES:
            self._highest.pop(next(iter(self._highest)))
        self._highest[slot_id] = counter

    def _save(self) -> None:
        self._file.save(b"".join(ENTRY.pack(slot_id, counter) for slot_id, counter in self._highest.items()))
        self.lost = False
