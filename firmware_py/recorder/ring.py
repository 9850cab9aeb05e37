"""A ring file of fixed, CRC-checked slots: whatever byte a power cut falls on, everything but that slot is readable.

Layout, little-endian. The header stands twice, at bytes 0 and 4096 (two sectors, whatever their size), written and
synchronised before the file gets its name and never written again. Slots begin at byte 8192; record ``n`` lies in
slot ``n mod slots``.

======  ====  ==============================================================================================
offset  size  header
======  ====  ==============================================================================================
0       8     ``QIKIRING``
8       2     version, 1
10      2     bytes of label
12      4     slot size
16      8     slots
24      8     epoch: UTC at flight time 0, ns
32      64    label, UTF-8, padded with zeros
96      4     CRC-32 (zlib) of bytes 0..95
======  ====  ==============================================================================================

======  ====  ==============================================================================================
offset  size  slot
======  ====  ==============================================================================================
0       4     ``QSLT``
4       2     length of payload
6       2     kind, the writer's own
8       8     sequence, from 0
16      8     flight time, ns
24      n     payload
24+n    4     CRC-32 of everything before it in the slot, begun with the header's CRC: a slot of another ring fails
======  ====  ==============================================================================================

What a cut can cost: the record being written, and the oldest one, whose slot it takes. This rests on a medium that
tears a write between sectors and leaves other sectors alone. A card that loses a whole erase block loses the records in
it; they are reported missing, the others are read.
"""

from __future__ import annotations

import os
import struct
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from zlib import crc32

from firmware_py.recorder import RecordError

__all__ = ["DATA_OFFSET", "Flusher", "RingContents", "RingFile", "RingPair", "RingRecord", "read_ring"]

MAGIC: Final = b"QIKIRING"
SLOT_MAGIC: Final = b"QSLT"
VERSION: Final = 1
DATA_OFFSET: Final = 8192
SECOND_HEADER: Final = 4096
MAX_PAIR_BYTES: Final = 64 * 1024 * 1024
"""CANON section 17: the rings together."""

_HEADER: Final = struct.Struct("<8sHHIQq64s")
_CRC: Final = struct.Struct("<I")
_SLOT: Final = struct.Struct("<4sHHQq")
_OVERHEAD: Final = _SLOT.size + _CRC.size
_ZEROS: Final = bytes(1 << 20)


@dataclass(frozen=True, slots=True)
class RingRecord:
    """One record: its number since the ring was made, flight time in ns, the writer's kind, payload."""

    sequence: int
    t_ns: int
    kind: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class RingContents:
    """What a ring file holds.

    Attributes:
        label: the writer's name of the ring.
        epoch_ns: UTC at flight time 0, ns.
        slots: capacity in records.
        records: all whole records, oldest first.
        corrupt: slots with anything but zeros whose check failed.
        missing: numbers absent between the oldest record that must be there and the newest.
        cut: bytes that the file is shorter than it was made.
    """

    label: str
    epoch_ns: int
    slots: int
    records: tuple[RingRecord, ...]
    corrupt: int
    missing: int
    cut: int


class RingFile:
    """A ring being written; one system call a record, nothing synchronised (see :class:`Flusher`).

    Attributes:
        capacity: longest payload, bytes.
        written: records written since creation.
        failures: records that the operating system refused; it never raises in flight.
    """

    __slots__ = ("_crc", "_descriptor", "_slot_size", "_slots", "capacity", "failures", "path", "written")

    def __init__(self, path: Path, descriptor: int, slot_size: int, slots: int, header_crc: int) -> None:
        self.path = path
        self.capacity = slot_size - _OVERHEAD
        self.written = 0
        self.failures = 0
        self._descriptor = descriptor
        self._slot_size = slot_size
        self._slots = slots
        self._crc = header_crc

    @classmethod
    def create(
        cls,
        path: Path | str,
        slot_size: int = 512,
        slots: int = 6000,
        epoch_ns: int = 0,
        label: str = "",
        synchronise: bool = True,
    ) -> RingFile:
        """Make a ring in full size and open it for writing.

        It is filled and synchronised under a temporary name, then renamed: a file of that name is always whole. Slot
        sizes are powers of two from 64 to 65536, so that no slot straddles more sectors than it must.
        ``synchronise=False`` (simulated clocks) leaves the room a hole and waits for no medium.

        Raises:
            RecordError: the file exists, or there is no room.
            ValueError: a size is out of range.
        """
        path = Path(path)
        if not 64 <= slot_size <= 65536 or slot_size & (slot_size - 1):
            raise ValueError(f"slot_size is {slot_size}; a power of two from 64 to 65536 is allowed")
        if not 2 <= slots <= 1 << 32:
            raise ValueError(f"slots is {slots}; 2 to 2^32 is allowed")
        name = label.encode()
        if len(name) > 64:
            raise ValueError(f"label takes {len(name)} bytes; 64 are allowed")
        if path.exists():
            raise RecordError(path, "a ring of that name exists", "give every flight its own folder")
        body = _HEADER.pack(MAGIC, VERSION, len(name), slot_size, slots, epoch_ns, name)
        header_crc = crc32(body)
        header = body + _CRC.pack(header_crc)
        temporary = path.with_name(path.name + ".new")
        try:
            descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o644)
            try:
                if synchronise:
                    # Zeros rather than a hole: later writes then change data alone, which fdatasync brings out faster,
                    # and a full disk shows now.
                    _fill(descriptor, DATA_OFFSET + slots * slot_size)
                else:
                    os.ftruncate(descriptor, DATA_OFFSET + slots * slot_size)
                os.pwrite(descriptor, header, 0)
                os.pwrite(descriptor, header, SECOND_HEADER)
                if synchronise:
                    os.fsync(descriptor)
                os.rename(temporary, path)
                if synchronise:
                    _sync_folder(path.parent)
            except OSError:
                os.close(descriptor)
                raise
        except OSError as error:
            temporary.unlink(missing_ok=True)
            needed = DATA_OFFSET + slots * slot_size
            raise RecordError(path, f"cannot be made ({error.strerror})", f"free {needed} bytes there") from error
        return cls(path, descriptor, slot_size, slots, header_crc)

    def write(self, payload: bytes, t_ns: int, kind: int = 0) -> bool:
        """Write one record over the oldest. False if the operating system refused; ValueError if it is too long."""
        length = len(payload)
        if length > self.capacity:
            raise ValueError(f"payload of {length} bytes; this ring takes {self.capacity}")
        number = self.written
        record = _SLOT.pack(SLOT_MAGIC, length, kind, number, t_ns) + payload
        record += _CRC.pack(crc32(record, self._crc))
        try:
            done = os.pwrite(self._descriptor, record, DATA_OFFSET + number % self._slots * self._slot_size)
        except OSError:
            done = 0
        if done != len(record):
            self.failures += 1
            return False
        self.written = number + 1
        return True

    def fileno(self) -> int:
        """Descriptor, for a :class:`Flusher`. Valid until ``close``."""
        return self._descriptor

    def close(self) -> None:
        """Close the file; its contents stay as they are. Call once."""
        os.close(self._descriptor)


class RingPair:
    """The crash memory of a flight: 30 s at the fast rate, ten minutes at the medium rate with its events.

    Args as for :meth:`create`.
    """

    FAST_SECONDS: Final = 30
    MEDIUM_SECONDS: Final = 600
    ROW: Final = 0
    """Kind of a snapshot row."""
    EVENT: Final = 1
    """Kind of an event row."""

    __slots__ = ("_flusher", "fast", "medium")

    def __init__(self, fast: RingFile, medium: RingFile, flusher: Flusher | None) -> None:
        self.fast = fast
        self.medium = medium
        self._flusher = flusher

    @classmethod
    def create(
        cls,
        folder: Path | str,
        fast_hz: int = 200,
        medium_hz: int = 20,
        epoch_ns: int = 0,
        slot_size: int = 512,
        synchronise: bool = True,
    ) -> RingPair:
        """Make ``ring-fast.bin`` and ``ring-medium.bin`` in an existing folder.

        ``synchronise=False`` is for simulated clocks: no flusher thread, no waiting for a medium. Raises RecordError,
        and ValueError if the two would take more than 64 MiB.
        """
        fast_slots = cls.FAST_SECONDS * fast_hz
        # A quarter more than the rows need: room for events.
        medium_slots = cls.MEDIUM_SECONDS * medium_hz * 5 // 4
        total = 2 * DATA_OFFSET + (fast_slots + medium_slots) * slot_size
        if total > MAX_PAIR_BYTES:
            raise ValueError(f"rings of {total} bytes; {MAX_PAIR_BYTES} are allowed")
        folder = Path(folder)
        fast = RingFile.create(folder / "ring-fast.bin", slot_size, fast_slots, epoch_ns, "fast", synchronise)
        try:
            medium = RingFile.create(
                folder / "ring-medium.bin", slot_size, medium_slots, epoch_ns, "medium", synchronise
            )
        except RecordError:
            fast.close()
            raise
        return cls(fast, medium, Flusher([fast.fileno(), medium.fileno()]) if synchronise else None)

    def event(self, payload: bytes, t_ns: int) -> bool:
        """Write an event row; False if the operating system refused."""
        return self.medium.write(payload, t_ns, self.EVENT)

    def flush(self) -> None:
        """Ask for both rings to be brought to the medium; returns at once. On a trigger, and about once a second."""
        if self._flusher is not None:
            self._flusher.request()

    def close(self) -> None:
        """Synchronise for the last time and close both. Call once."""
        if self._flusher is not None:
            self._flusher.close()
        self.fast.close()
        self.medium.close()


class Flusher:
    """A thread that does nothing but ``os.fdatasync`` on request; the caller of ``request`` never waits.

    ``fdatasync`` runs without the interpreter lock, so the flight thread goes on meanwhile. Requests that arrive during
    a run are served by one further run.

    Attributes:
        completed: runs finished.
        failures: files that the operating system could not synchronise.
        errno: its number of why it could not the first time; ``None`` while it could.
    """

    def __init__(self, descriptors: Sequence[int]) -> None:
        self.completed = 0
        self.failures = 0
        self.errno: int | None = None
        self._descriptors = tuple(descriptors)
        # A pipe, not a lock: writing one byte is one system call that cannot wait.
        self._read, self._write = os.pipe()
        os.set_blocking(self._write, False)
        self._thread = threading.Thread(target=self._run, name="flusher", daemon=True)
        self._thread.start()

    def request(self) -> None:
        """Ask for a run."""
        try:
            os.write(self._write, b"s")
        except BlockingIOError:
            # The pipe is full of requests: the run that is due will serve this one too.
            return

    def close(self) -> None:
        """Serve what was asked for, run a last time, end the thread. The descriptors stay open. Call once."""
        os.close(self._write)
        self._thread.join()
        os.close(self._read)

    def _run(self) -> None:
        last = False
        while not last:
            last = not os.read(self._read, 65536)
            for descriptor in self._descriptors:
                try:
                    os.fdatasync(descriptor)
                except OSError as error:
                    self.failures += 1
                    if self.errno is None:
                        self.errno = error.errno
            self.completed += 1


def read_ring(path: Path | str) -> RingContents:
    """Everything whole in a ring file, oldest first, whatever happened to the file.

    Raises:
        RecordError: no file, or neither copy of the header is whole.
    """
    path = Path(path)
    try:
        data = path.read_bytes()
    except IsADirectoryError:
        raise RecordError(path, "is a folder", "name the ring file in it") from None
    except FileNotFoundError:
        raise RecordError(path, "does not exist", "check the name") from None
    except OSError as error:
        raise RecordError(path, f"cannot be read ({error.strerror})", "check its permissions") from error
    header = _header(data, 0) or _header(data, SECOND_HEADER)
    if header is None:
        raise RecordError(
            path, "is no ring, or neither copy of its header is whole",
            "give a ring-*.bin of a flight; a ring whose creation was cut held nothing yet",
        )
    version, name, slot_size, slots, epoch_ns, crc = header
    if version != VERSION:
        raise RecordError(path, f"is a ring of version {version}, not {VERSION}", "install a newer version")
    records: list[RingRecord] = []
    corrupt = 0
    for index in range(slots):
        start = DATA_OFFSET + index * slot_size
        slot = data[start : start + slot_size]
        if not slot:
            break
        record = _slot(slot, index, slots, crc)
        if record is not None:
            records.append(record)
        elif slot.count(0) != len(slot):
            corrupt += 1
    records.sort(key=lambda record: record.sequence)
    missing = 0
    if records:
        newest = records[-1].sequence
        oldest = max(0, newest - slots + 1)
        missing = newest - oldest + 1 - sum(record.sequence >= oldest for record in records)
    cut = max(0, DATA_OFFSET + slots * slot_size - len(data))
    return RingContents(name, epoch_ns, slots, tuple(records), corrupt, missing, cut)


def _header(data: bytes, offset: int) -> tuple[int, str, int, int, int, int] | None:
    body = data[offset : offset + _HEADER.size]
    check = data[offset + _HEADER.size : offset + _HEADER.size + _CRC.size]
    if len(check) != _CRC.size or not body.startswith(MAGIC) or _CRC.unpack(check)[0] != crc32(body):
        return None
    _, version, length, slot_size, slots, epoch_ns, label = _HEADER.unpack(body)
    return version, label[:length].decode(), slot_size, slots, epoch_ns, crc32(body)


def _slot(slot: bytes, index: int, slots: int, header_crc: int) -> RingRecord | None:
    if len(slot) < _OVERHEAD:
        return None
    magic, length, kind, sequence, t_ns = _SLOT.unpack_from(slot)
    end = _SLOT.size + length
    if magic != SLOT_MAGIC or end + _CRC.size > len(slot) or sequence % slots != index:
        return None
    if _CRC.unpack_from(slot, end)[0] != crc32(slot[:end], header_crc):
        return None
    return RingRecord(sequence, t_ns, kind, slot[_SLOT.size : end])


def _fill(descriptor: int, size: int) -> None:
    while size > 0:
        size -= os.write(descriptor, _ZEROS[: min(size, len(_ZEROS))])


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
