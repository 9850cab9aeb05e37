"""When emergency packets were started: at most one in 120 s and six an hour, over restarts too.

Flight time begins anew with a restart, so it is not known how long ago the kept starts were. They count as if they had
been at the moment of the restart: the limits then hold, whatever happened. A record that cannot be read counts as full.
A medium that refuses to write does not silence the craft: the limits then hold until the next restart, and of them the
pause after it.
"""

from __future__ import annotations

from collections import deque

from comms.channels.kept_record import KeptRecord
from comms.nbl.gates import HOUR_NS, MOST_AN_HOUR, NEVER_NS
from hal.nonvolatile import Files

__all__ = ["RateBook"]

VERSION = 1


class RateBook:
    """Starts of the last hour.

    Args:
        files: where their number is kept; ``None``: nowhere.
        now_ns: flight time of this start.

    Attributes:
        stored: whether the number on the medium is not less than that in memory.
    """

    __slots__ = ("_record", "_starts", "stored")

    def __init__(self, files: Files | None = None, now_ns: int = 0) -> None:
        self._record = None if files is None else KeptRecord(files, "nbl-rate.bin")
        self._starts: deque[int] = deque([now_ns] * self._kept(), maxlen=MOST_AN_HOUR)
        self.stored = True

    def _kept(self) -> int:
        if self._record is None:
            return 0
        found = self._record.load()
        if found.payload is None:
            return MOST_AN_HOUR if found.broken else 0
        whole = len(found.payload) == 2 and found.payload[0] == VERSION and found.payload[1] <= MOST_AN_HOUR
        return found.payload[1] if whole else MOST_AN_HOUR

    def reserve(self, now_ns: int) -> bool:
        """Write down one more start before it is made; ``False`` if the medium refused."""
        if self._record is None:
            return True
        count = min(MOST_AN_HOUR, self.in_last_hour(now_ns) + 1)
        self.stored = self._record.store(bytes((VERSION, count)))
        return self.stored

    def started(self, now_ns: int) -> None:
        """A packet was started."""
        self._starts.append(now_ns)

    def since_last_ns(self, now_ns: int) -> int:
        """Time since the last start; NEVER_NS if there was none."""
        return now_ns - self._starts[-1] if self._starts else NEVER_NS

    def in_last_hour(self, now_ns: int) -> int:
        """Starts less than an hour ago."""
        return sum(now_ns - start < HOUR_NS for start in self._starts)

    def earliest_ns(self, now_ns: int, pause_ns: int, most: int) -> int:
        """When the next start is allowed with these limits; ``now_ns`` or earlier if it is now."""
        if most <= 0:
            return now_ns + HOUR_NS
        when = self._starts[-1] + pause_ns if self._starts else now_ns
        recent = [start for start in self._starts if now_ns - start < HOUR_NS]
        return max(when, recent[-most] + HOUR_NS) if len(recent) >= most else when
