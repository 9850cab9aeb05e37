"""Plays the flight computer's disk through a power cut: what was not synchronised may be there, gone, or torn.

A page cache stands between program and medium. File bytes reach the medium when the file is synchronised, names when
the folder is; until then a cut leaves any mixture of old and new sectors in a file, a sector torn at any byte, the old
or the new length, and names as they were after any of the changes that were not synchronised yet, in their order, as a
journalling file system keeps them. The medium itself does what it is told: sectors that are not written stay as they
are.

Facts: fsync(2), rename(2); T. S. Pillai et al., "All File Systems Are Not Created Equal", OSDI 2014, for what a cut may
leave of writes and renames that were not synchronised.
"""

from __future__ import annotations

import errno
import os

import numpy as np

__all__ = ["CutDisk", "PowerCut", "SimDisk"]

SECTOR = 512


class PowerCut(BaseException):
    """The supply went away inside a system call: nothing that is caught on board outlives that."""


class Inode:
    """One file: what programs read (``data``) and what is on the medium (``kept``)."""

    __slots__ = ("data", "kept")

    def __init__(self) -> None:
        self.data = bytearray()
        self.kept = b""


class CutDisk:
    """One folder of a disk: what all ways to read and write it share, and what a power cut does to it.

    Args:
        rng: decides what a cut leaves.

    Attributes:
        calls: system calls so far.
        dies_at: number of the system call (``calls`` before it) that the cut falls into, ``None`` for a good supply.
        full: no room: what needs room fails with ENOSPC.
    """

    def __init__(self, rng: np.random.Generator) -> None:
        self.calls = 0
        self.dies_at: int | None = None
        self.full = False
        self._rng = rng
        self._names: dict[str, Inode] = {}
        self._kept_names: dict[str, Inode] = {}
        self._pending: list[tuple[str, str, Inode | None]] = []
        """Changes of names that are not on the medium: (name that goes or empty, name that comes or empty, file)."""
        self._open: dict[int, Inode] = {}
        self._next_handle = 3

    def sync(self, handle: int) -> None:
        """Bring a file's bytes to the medium."""
        dying = self._call()
        # A cut inside it is the same as one before it or after it: any part may have arrived.
        self._die(dying)
        inode = self._open[handle]
        inode.kept = bytes(inode.data)

    def close(self, handle: int) -> None:
        """Close; synchronises nothing."""
        dying = self._call()
        del self._open[handle]
        self._die(dying)

    def rename(self, old: str, new: str) -> None:
        """Give a file another name; at every moment, also after a cut, ``new`` is one file or the other."""
        dying = self._call()
        inode = self._names.pop(old)
        self._names[new] = inode
        self._pending.append((old, new, inode))
        self._die(dying)

    def sync_folder(self) -> None:
        """Bring the names to the medium."""
        dying = self._call()
        self._die(dying)
        self._settle_names(len(self._pending))

    def restart(self) -> None:
        """Power comes back: what is on the medium is what there is, and the supply is good."""
        self.dies_at = None
        inodes = {id(inode): inode for _, _, inode in self._pending if inode is not None}
        inodes |= {id(inode): inode for inode in (*self._names.values(), *self._kept_names.values())}
        for inode in inodes.values():
            inode.kept = self._torn(inode.kept, bytes(inode.data))
            inode.data = bytearray(inode.kept)
        self._settle_names(self._draw(len(self._pending)))
        self._names = dict(self._kept_names)
        self._open.clear()

    def _opened(self, inode: Inode) -> int:
        """A handle of an open file."""
        handle, self._next_handle = self._next_handle, self._next_handle + 1
        self._open[handle] = inode
        return handle

    def _linked(self, name: str) -> Inode:
        """A new, empty file of this name."""
        inode = self._names[name] = Inode()
        self._pending.append(("", name, inode))
        return inode

    def _settle_names(self, count: int) -> None:
        """Bring the first ``count`` changes of names to the medium; the others are gone."""
        for old, new, inode in self._pending[:count]:
            if old:
                self._kept_names.pop(old, None)
            if new and inode is not None:
                self._kept_names[new] = inode
        self._pending.clear()

    def _torn(self, old: bytes, new: bytes) -> bytes:
        """What a cut leaves of bytes that were being written over others."""
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
        """Count a system call; returns whether the cut falls into it. Half of those cuts come before it begins."""
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
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def _draw(self, most: int) -> int:
        """A whole number from 0 to ``most``."""
        return int(self._rng.integers(0, most + 1))


class SimDisk(CutDisk):
    """A disk as ``hal.nonvolatile`` writes it: whole files, appended to."""

    def names(self) -> list[str]:
        """Names of the files that programs see, sorted."""
        return sorted(self._names)

    def read(self, name: str, most: int) -> bytes | None:
        """Up to ``most`` bytes of a file; ``None`` if there is none."""
        self._call()
        inode = self._names.get(name)
        return None if inode is None else bytes(inode.data[:most])

    def create(self, name: str) -> int:
        """Open with O_CREAT and O_TRUNC."""
        dying = self._call()
        self._need_room()
        inode = self._names.get(name)
        if inode is None:
            inode = self._linked(name)
        inode.data.clear()
        self._die(dying)
        return self._opened(inode)

    def write(self, handle: int, data: bytes) -> int:
        """Append; a cut may come after any byte."""
        dying = self._call()
        self._need_room()
        inode = self._open[handle]
        inode.data += data[: self._draw(len(data))] if dying else data
        self._die(dying)
        return len(data)
