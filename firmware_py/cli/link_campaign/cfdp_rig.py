"""A bad world for file transfers: a line that loses, repeats and reorders, and a disk that power cuts tear.

Everything is drawn from one generator and runs on virtual time, so a case repeats exactly.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass

import numpy as np

from hil.disk import CutDisk

__all__ = ["CutMedium", "Line", "LineFaults"]


class CutMedium(CutDisk):
    """``comms.cfdp.Medium`` in memory, with the power cuts of ``hil.disk``."""

    def names(self) -> dict[str, int]:
        """See Medium."""
        self._die(self._call())
        return {name: len(inode.data) for name, inode in self._names.items()}

    def open(self, name: str, create: bool) -> int | None:
        """See Medium."""
        dying = self._call()
        inode = self._names.get(name)
        if inode is None:
            if not create:
                return None
            self._need_room()
            inode = self._linked(name)
        self._die(dying)
        return self._opened(inode)

    def read(self, handle: int, offset: int, most: int) -> bytes:
        """See Medium."""
        self._die(self._call())
        return bytes(self._open[handle].data[offset : offset + most])

    def write(self, handle: int, offset: int, data: bytes) -> int:
        """See Medium; a cut may come after any byte."""
        dying = self._call()
        self._need_room()
        held = self._open[handle].data
        if dying:
            data = data[: self._draw(len(data))]
        held.extend(bytes(max(0, offset - len(held))))
        held[offset : offset + len(data)] = data
        self._die(dying)
        return len(data)

    def truncate(self, handle: int, length: int) -> None:
        """See Medium."""
        dying = self._call()
        held = self._open[handle].data
        del held[length:]
        held.extend(bytes(length - len(held)))
        self._die(dying)

    def remove(self, name: str) -> None:
        """See Medium."""
        dying = self._call()
        if self._names.pop(name, None) is not None:
            self._pending.append((name, "", None))
        self._die(dying)

    def content(self, name: str) -> bytes | None:
        """A file as a program would read it, without a system call."""
        inode = self._names.get(name)
        return None if inode is None else bytes(inode.data)

    def listing(self) -> list[str]:
        """All names, without a system call."""
        return sorted(self._names)


@dataclass(frozen=True, slots=True)
class LineFaults:
    """What a line does to units: shares lost and doubled; delay and how much it may differ, s."""

    loss: float = 0.0
    doubled: float = 0.0
    delay_s: float = 0.05
    jitter_s: float = 0.0


class Line:
    """One direction of a link.

    Attributes:
        up: units put in while it is down are lost.
        carried_bytes: what was put in.
    """

    def __init__(self, rng: np.random.Generator, faults: LineFaults) -> None:
        self.up = True
        self.carried_bytes = 0
        self._rng = rng
        self._faults = faults
        self._flying: list[tuple[int, int, bytes]] = []
        self._count = 0

    def put(self, unit: bytes, now_ns: int) -> None:
        """Send one unit."""
        faults = self._faults
        self.carried_bytes += len(unit)
        for copy in range(2):
            if copy and (faults.doubled == 0.0 or self._rng.random() >= faults.doubled):
                break
            if not self.up or (faults.loss > 0.0 and self._rng.random() < faults.loss):
                continue
            late = faults.delay_s + (faults.jitter_s * float(self._rng.random()) if faults.jitter_s else 0.0)
            self._count += 1
            heapq.heappush(self._flying, (now_ns + round(late * 1e9), self._count, unit))

    def take(self, now_ns: int) -> list[bytes]:
        """Units that have arrived."""
        arrived = []
        while self._flying and self._flying[0][0] <= now_ns:
            arrived.append(heapq.heappop(self._flying)[2])
        return arrived

    def cut(self) -> None:
        """What is on its way is lost."""
        self._flying.clear()

    def __len__(self) -> int:
        return len(self._flying)
