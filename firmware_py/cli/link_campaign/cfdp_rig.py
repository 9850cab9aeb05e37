"""A bad world for file transfers: a line that loses, repeats and reorders, and a disk that power cuts tear.

Everything is drawn from one generator and runs on virtual time, so a case repeats exactly.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass

import numpy as np

from hil.disk import PowerCut

__all__ = ["CutMedium", "Line", "LineFaults"]

SECTOR = 512


class _File:
    """What programs read (``data``) and what is on the medium (``kept``)."""

    __slots__ = ("data", "kept")

    def __init__(self) -> None:
        self.data = bytearray()
        self.kept = b""


class CutMedium:
    """``comms.cfdp.Medium`` in memory, with the power cuts of ``hil.disk.SimDisk``: bytes are safe once their file was
    synchronised, names once the folder was; of everything else a cut leaves any part.

    Attributes:
        calls: system calls so far.
        dies_at: number of the call that the cut falls into, ``None`` for a good supply.
        full: no room: writing fails.
    """

    def __init__(self, rng: np.random.Generator) -> None:
        self.calls = 0
        self.dies_at: int | None = None
        self.full = False
        self._rng = rng
        self._names: dict[str, _File] = {}
        self._kept_names: dict[str, _File] = {}
        self._pending: list[tuple[str, str, _File | None]] = []
        self._open: dict[int, _File] = {}
        self._next = 3

    def names(self) -> dict[str, int]:
        """See Medium."""
        self._die(self._call())
        return {name: len(file.data) for name, file in self._names.items()}

    def open(self, name: str, create: bool) -> int | None:
        """See Medium."""
        dying = self._call()
        file = self._names.get(name)
        if file is None:
            if not create:
                return None
            self._need_room()
            file = self._names[name] = _File()
            self._pending.append(("", name, file))
        self._die(dying)
        handle, self._next = self._next, self._next + 1
        self._open[handle] = file
        return handle

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

    def sync(self, handle: int) -> None:
        """See Medium; a cut inside it is one before it or after it."""
        self._die(self._call())
        file = self._open[handle]
        file.kept = bytes(file.data)

    def close(self, handle: int) -> None:
        """See Medium."""
        dying = self._call()
        del self._open[handle]
        self._die(dying)

    def rename(self, old: str, new: str) -> None:
        """See Medium."""
        dying = self._call()
        file = self._names.pop(old)
        self._names[new] = file
        self._pending.append((old, new, file))
        self._die(dying)

    def remove(self, name: str) -> None:
        """See Medium."""
        dying = self._call()
        if self._names.pop(name, None) is not None:
            self._pending.append((name, "", None))
        self._die(dying)

    def sync_folder(self) -> None:
        """See Medium."""
        self._die(self._call())
        self._settle(len(self._pending))

    def content(self, name: str) -> bytes | None:
        """A file as a program would read it, without a system call."""
        file = self._names.get(name)
        return None if file is None else bytes(file.data)

    def listing(self) -> list[str]:
        """All names, without a system call."""
        return sorted(self._names)

    def restart(self) -> None:
        """Power comes back: what is on the medium is what there is."""
        self.dies_at = None
        files = {id(file): file for file in (*self._names.values(), *self._kept_names.values())}
        files |= {id(file): file for _, _, file in self._pending if file is not None}
        for file in files.values():
            file.kept = self._torn(file.kept, bytes(file.data))
            file.data = bytearray(file.kept)
        self._settle(self._draw(len(self._pending)))
        self._names = dict(self._kept_names)
        self._open.clear()

    def _settle(self, count: int) -> None:
        for old, new, file in self._pending[:count]:
            if old:
                self._kept_names.pop(old, None)
            if new and file is not None:
                self._kept_names[new] = file
        self._pending.clear()

    def _torn(self, old: bytes, new: bytes) -> bytes:
        if old == new:
            return old
        size = len(new) if self._draw(1) else len(old)
        left = bytearray(size)
        for start in range(0, size, SECTOR):
            end = min(start + SECTOR, size)
            before, after = old[start:end].ljust(end - start, b"\0"), new[start:end].ljust(end - start, b"\0")
            at = (0, end - start, self._draw(end - start))[self._draw(2)]
            left[start:end] = after[:at] + before[at:]
        return bytes(left)

    def _call(self) -> bool:
        dying = self.dies_at is not None and self.calls >= self.dies_at
        self.calls += 1
        if dying and self._draw(1):
            raise PowerCut
        return dying

    @staticmethod
    def _die(dying: bool) -> None:
        if dying:
            raise PowerCut

    def _need_room(self) -> None:
        if self.full:
            raise OSError("no room")

    def _draw(self, most: int) -> int:
        return int(self._rng.integers(0, most + 1))


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
