"""Which gaps a receiver asks for: each once, until all of them are asked for anew."""

from __future__ import annotations

from comms.cfdp.pdu import METADATA_REQUEST, Header, Nak, encode, nak_requests
from comms.cfdp.ranges import Ranges

__all__ = ["NakList"]


class NakList:
    """Makes the NAK units of one receiver (CCSDS 727.0-B-5 section 4.6.4).

    Attributes:
        due: something is to be asked for, or to be said at all.
    """

    __slots__ = ("_asked", "_empty", "_header", "_metadata_asked", "due")

    def __init__(self, header: Header) -> None:
        self.due = False
        self._header = header
        self._asked = Ranges()
        self._metadata_asked = False
        self._empty = False

    def more(self) -> None:
        """New gaps are known: ask for those that were not asked for yet."""
        self.due = True

    def all_anew(self, empty: bool = False) -> None:
        """Ask for all that is missing. ``empty``: say so even if nothing is."""
        self._asked.clear()
        self._metadata_asked = False
        self._empty = self._empty or empty
        self.due = True

    def unit(self, there: Ranges, limit: int, metadata: bool, most_bytes: int) -> bytes | None:
        """The next unit; ``None`` if there is nothing to ask for, or no room for one.

        Args:
            there: what is there of the file.
            limit: how far the file is known to go, bytes.
            metadata: whether the metadata is missing.
            most_bytes: room for the unit.
        """
        room = nak_requests(self._header, most_bytes)
        if room < 1:
            return None
        asked = self._asked
        requests = [METADATA_REQUEST] if metadata and not self._metadata_asked else []
        for start, end in there.gaps(0, limit):
            if len(requests) > room:
                break
            requests += asked.gaps(start, end) if asked else [(start, end)]
        self.due = len(requests) > room
        requests = requests[:room]
        if not requests and not self._empty:
            return None
        self._empty = False
        for request in requests:
            self._metadata_asked = self._metadata_asked or request == METADATA_REQUEST
            asked.add(*request)
        scoped = [request for request in requests if request != METADATA_REQUEST]
        first = scoped[0][0] if scoped else 0
        last = scoped[-1][1] if self.due and scoped else limit
        return encode(self._header, Nak(0 if len(scoped) < len(requests) else first, last, tuple(requests)))
