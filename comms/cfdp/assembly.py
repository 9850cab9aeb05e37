"""A file being put together from pieces in any order: what is there, and the checksum as far as there is no gap."""

from __future__ import annotations

from comms.cfdp.checksum import Checksum, ChecksumKind
from comms.cfdp.pdu import Eof
from comms.cfdp.ranges import Ranges
from comms.cfdp.store import Partial, StoreRefusal

__all__ = ["Assembly"]

READ_BYTES = 65_536


class Assembly:
    """The part of a file that has come in.

    Attributes:
        there: bytes that are there.
        unsynced: bytes taken since the last ``sync``.
    """

    __slots__ = ("_checksum", "part", "there", "unsynced")

    def __init__(self, part: Partial) -> None:
        self.part = part
        self.there = Ranges()
        self.unsynced = 0
        self._checksum: Checksum | None = None

    def expect(self, kind: ChecksumKind) -> None:
        """The kind of checksum is known: begin it."""
        self._checksum = Checksum(kind)

    def put(self, offset: int, data: bytes, new: list[tuple[int, int]]) -> bool:
        """Take the parts ``new`` of a piece; what is there already stays as it is. ``False`` if the store refuses."""
        end = offset + len(data)
        whole = new[0] == (offset, end)
        for low, high in new:
            if not self.part.write(low, data if whole else data[low - offset : high - offset]):
                return False
            self.there.add(low, high)
            self.unsynced += high - low
        if whole and self._checksum is not None and self._checksum.length == offset:
            self._checksum.update(data)
        return True

    def catch_up(self, work_bytes: int) -> int | None:
        """Read back what came out of order, up to ``work_bytes``, for the checksum; ``None`` if the medium fails."""
        done = 0
        checksum, head = self._checksum, self.there.head
        while checksum is not None and checksum.length < head and done < work_bytes:
            length = min(READ_BYTES, work_bytes - done, head - checksum.length)
            piece = self.part.read(checksum.length, length)
            if piece is None:
                return None
            checksum.update(piece)
            done += length
        return done

    def right(self, eof: Eof) -> bool | None:
        """Whether the whole file has the checksum of its end; ``None`` while that is not worked out."""
        checksum = self._checksum
        if checksum is None or checksum.length < eof.file_bytes:
            return None
        return checksum.kind is ChecksumKind.NULL or checksum.value == eof.checksum

    def sync(self) -> bool:
        """Bring all to the medium."""
        if not self.part.sync():
            return False
        self.unsynced = 0
        return True

    def commit(self, name: str, length: int) -> StoreRefusal | None:
        """Let the file appear."""
        return self.part.commit(name, length)
