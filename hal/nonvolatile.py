"""Memory that outlives a restart, in numbered slots: what was stored is there whole, or the one before it is.

Nothing here waits. ``load`` and ``store`` begin a transfer; whoever began it polls it until it is done. On FRAM a
transfer takes many slots of a slow bus (``ManagedDevice.order``), on files it waits for the medium in a worker.
Transfers of one memory are done in the order in which they were begun.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue
from typing import Any, NamedTuple, Protocol

from drivers.errors import Cause, DeviceError
from drivers.mb85rc256v import HEADER_LENGTH, encode, stored
from hal.manager import ManagedDevice, Task
from hal.recovery import InlineWorker, Worker

__all__ = [
    "FILE_CAPACITY", "FILE_SLOTS", "LONGEST_PAYLOAD", "FileMemory", "Files", "FolderFiles", "FramMemory", "HeldCopy",
    "NonVolatile", "StandingWorker", "Transfer", "replace_file", "wait_for",
]

FILE_CAPACITY = 512
"""Longest payload of a file's slot, bytes: as in the FRAM of the shipped boards, so that what fits here fits there."""
FILE_SLOTS = 8
LONGEST_PAYLOAD = 65_535
"""Bytes that a copy's header can tell of."""
LONGEST_FILE = HEADER_LENGTH + LONGEST_PAYLOAD + 1
"""Bytes of a copy that are read: a damaged folder must not ask for the machine's memory."""
SEQUENCES = 0x1_0000_0000
ATTEMPTS = 3
"""Times that a transfer with the FRAM is tried: any of its transactions may have met a disturbed bus."""
FINAL = frozenset({Cause.CHECKSUM, Cause.PROTOCOL})
"""Causes that no other attempt changes: the driver has read a broken copy again by itself."""
FRAM_TIMEOUT_NS = 8_000_000_000
"""Longest time for a transfer with the FRAM: setting it up, three attempts of 0.4 s, and a bus that was being recovered
meanwhile. The boot's self-test waits as long for any device."""


class Transfer:
    """One load or store.

    Attributes:
        done: whether it has ended.
        payload: what a load found; ``None`` where nothing was ever stored.
        error: why it failed, ``None`` if it did not. A store that failed has left what was there before, or has stored
            all the same.
        broken: of a load that failed: the memory answers, but holds no whole copy.
    """

    __slots__ = ("_step", "broken", "done", "error", "payload")

    def __init__(self, step: Callable[[int], None]) -> None:
        self._step = step
        self.done = False
        self.payload: bytes | None = None
        self.error: str | None = None
        self.broken = False

    def poll(self, now_ns: int) -> bool:
        """Go on; returns ``done``. Never waits, never raises."""
        if not self.done:
            self._step(now_ns)
        return self.done

    def end(self, payload: bytes | None = None, error: str | None = None, broken: bool = False) -> None:
        """Told by the memory: it has ended."""
        self.payload, self.error, self.broken, self.done = payload, error, broken, True


class NonVolatile(Protocol):
    """A memory of ``slots`` slots that take ``capacity`` bytes each."""

    name: str
    capacity: int
    slots: int

    def load(self, slot: int, now_ns: int) -> Transfer:
        """Begin to read a slot's newest whole payload."""

    def store(self, slot: int, payload: bytes, now_ns: int) -> Transfer:
        """Begin to store 1 to ``capacity`` bytes. ValueError for another length or slot, before anything is done."""


def check_request(memory: NonVolatile, slot: int, payload: bytes | None = None) -> None:
    """Raises ValueError for a slot or a length that the memory does not have."""
    if not 0 <= slot < memory.slots:
        raise ValueError(f"{memory.name}: there is no slot {slot}; 0..{memory.slots - 1} are allowed")
    if payload is not None and not 1 <= len(payload) <= memory.capacity:
        raise ValueError(f"{memory.name}: {len(payload)} bytes; 1..{memory.capacity} are allowed")


def wait_for(transfer: Transfer, polls: int = 1000) -> Transfer:
    """Poll a transfer of a memory that needs no bus slots, for tools and tests. RuntimeError if it does not end."""
    for _ in range(polls):
        if transfer.poll(0):
            return transfer
    raise RuntimeError("the transfer does not end by being polled")


class Files(Protocol):
    """The few system calls on one folder that a power-safe file takes; every one may raise OSError."""

    def read(self, name: str, most: int) -> bytes | None:
        """Up to ``most`` bytes of a file; ``None`` if there is none."""

    def create(self, name: str) -> int:
        """Make an empty file, or empty one, and open it."""

    def write(self, handle: int, data: bytes) -> int:
        """Append; returns how many bytes were taken."""

    def sync(self, handle: int) -> None:
        """Bring a file's bytes to the medium."""

    def close(self, handle: int) -> None:
        """Close it."""

    def rename(self, old: str, new: str) -> None:
        """Give a file another name, which may be taken."""

    def sync_folder(self) -> None:
        """Bring the folder's names to the medium."""


def replace_file(files: Files, name: str, data: bytes) -> None:
    """Write a whole file in the place of another: after a cut of the power at any moment it is the old one or the new.

    Written as ``name.new``, synchronised, renamed, and the folder synchronised. Raises OSError; then the old file
    stands, or the new one that a cut could still take back.
    """
    temporary = f"{name}.new"
    handle = files.create(temporary)
    try:
        while data:
            data = data[files.write(handle, data):]
        files.sync(handle)
    finally:
        files.close(handle)
    files.rename(temporary, name)
    files.sync_folder()


class FolderFiles:
    """A folder of the operating system, which is made when the first file is."""

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)

    def read(self, name: str, most: int) -> bytes | None:
        """See Files."""
        try:
            with (self.folder / name).open("rb") as file:
                return file.read(most)
        except FileNotFoundError:
            return None

    def create(self, name: str) -> int:
        """See Files."""
        if not self.folder.is_dir():
            self.folder.mkdir(parents=True, exist_ok=True)
            _sync_folder(self.folder.parent)
        return os.open(self.folder / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)

    def write(self, handle: int, data: bytes) -> int:
        """See Files."""
        return os.write(handle, data)

    def sync(self, handle: int) -> None:
        """See Files."""
        os.fsync(handle)

    def close(self, handle: int) -> None:
        """See Files."""
        os.close(handle)

    def rename(self, old: str, new: str) -> None:
        """See Files."""
        os.replace(self.folder / old, self.folder / new)

    def sync_folder(self) -> None:
        """See Files."""
        _sync_folder(self.folder)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


class StandingWorker:
    """A worker whose one thread stands by from the beginning, and does nothing but wait in system calls.

    Starting a thread waits for it to run, a millisecond and more on a loaded machine; handing a job to one does not.
    """

    __slots__ = ("_busy", "_jobs", "error")

    def __init__(self) -> None:
        self.error: DeviceError | None = None
        self._busy = False
        self._jobs: SimpleQueue[Callable[[], None]] = SimpleQueue()
        threading.Thread(target=self._run, name="memory", daemon=True).start()

    def start(self, job: Callable[[], None]) -> None:
        """See hal.recovery.Worker."""
        self.error = None
        self._busy = True
        self._jobs.put(job)

    def done(self) -> bool:
        """See hal.recovery.Worker."""
        return not self._busy

    def _run(self) -> None:
        while True:
            job = self._jobs.get()
            # Whatever a job raises, the thread stands by for the next: who asked finds no answer, and says so.
            with suppress(Exception):
                try:
                    job()
                except DeviceError as error:
                    self.error = error
            self._busy = False


class HeldCopy(NamedTuple):
    """One of a slot's two copies, as it is found.

    ``sequence`` is that of a whole one, ``None`` if there is none; ``problem`` says what is wrong with a broken one.
    """

    sequence: int | None = None
    payload: bytes = b""
    problem: str = ""


class _Outcome(NamedTuple):
    payload: bytes | None = None
    error: str | None = None
    broken: bool = False


class FileMemory:
    """Slots as pairs of small files in one folder.

    A copy is laid out as in the FRAM (``drivers.mb85rc256v.encode``): header with slot, sequence number and length,
    CRC-32, payload. A store writes the copy that is not the newest whole one: temporary file, fsync, rename, fsync of
    the folder. The newest whole copy is never touched, so a cut costs at most the payload that was being stored.

    Args:
        files: the folder.
        worker: who waits for the medium: at once where that costs nothing, else a thread that does nothing but wait.
        capacity: longest payload, up to LONGEST_PAYLOAD.
    """

    name = "file"
    slots = FILE_SLOTS

    def __init__(self, files: Files, worker: Worker | None = None, capacity: int = FILE_CAPACITY) -> None:
        if not 1 <= capacity <= LONGEST_PAYLOAD:
            raise ValueError(f"capacity {capacity}; 1..{LONGEST_PAYLOAD} is allowed")
        self.capacity = capacity
        self._files = files
        self._worker: Worker = InlineWorker() if worker is None else worker
        self._queue: deque[tuple[Transfer, Callable[[], bytes | None]]] = deque()
        self._running: tuple[Transfer, list[_Outcome]] | None = None

    def load(self, slot: int, now_ns: int) -> Transfer:
        """See NonVolatile."""
        check_request(self, slot)
        return self._begin(lambda: self._load(slot), now_ns)

    def store(self, slot: int, payload: bytes, now_ns: int) -> Transfer:
        """See NonVolatile."""
        check_request(self, slot, payload)
        return self._begin(lambda: self._store(slot, payload), now_ns)

    def copies(self, slot: int) -> tuple[HeldCopy, HeldCopy]:
        """Both copies of a slot as they are, for whoever looks after them on the ground. Waits for the medium."""
        check_request(self, slot)
        return self._look(slot, 0)[0], self._look(slot, 1)[0]

    def _begin(self, job: Callable[[], bytes | None], now_ns: int) -> Transfer:
        transfer = Transfer(self._go_on)
        self._queue.append((transfer, job))
        self._go_on(now_ns)
        return transfer

    def _go_on(self, _now_ns: int) -> None:
        """End the job that is done and start the next, as far as none has to be waited for."""
        while True:
            if self._running is not None:
                if not self._worker.done():
                    return
                transfer, outcome = self._running
                self._running = None
                transfer.end(*(outcome[0] if outcome else _Outcome(error="the worker ended without an answer")))
            if not self._queue:
                return
            transfer, job = self._queue.popleft()
            answer: list[_Outcome] = []
            self._running = (transfer, answer)
            self._worker.start(lambda job=job, answer=answer: _answer(job, answer))  # type: ignore[misc]

    def _load(self, slot: int) -> bytes | None:
        newest, _ = self._survey(slot)
        return None if newest is None else newest[1]

    def _store(self, slot: int, payload: bytes) -> None:
        try:
            newest, target = self._survey(slot)
        except _BrokenError:
            newest, target = None, 0
        sequence = 1 if newest is None else (newest[0] + 1) % SEQUENCES
        replace_file(self._files, _copy_name(slot, target), encode(slot, sequence, payload))

    def _survey(self, slot: int) -> tuple[tuple[int, bytes] | None, int]:
        """Sequence number and payload of the newest whole copy, and which copy is to be written next.

        Raises:
            _BrokenError: something was stored and no copy is whole.
            OSError: no whole copy is known of, because the medium refuses.
        """
        (first, refused), (second, refused_too) = self._look(slot, 0), self._look(slot, 1)
        if second.sequence is not None and (first.sequence is None or _newer(second.sequence, first.sequence)):
            return (second.sequence, second.payload), 0
        if first.sequence is not None:
            return (first.sequence, first.payload), 1
        refusal = refused or refused_too
        if refusal is not None:
            raise refusal
        if first.problem or second.problem:
            raise _BrokenError(f"slot {slot} has no whole copy")
        return None, 0

    def _look(self, slot: int, copy: int) -> tuple[HeldCopy, OSError | None]:
        """One copy, and what the medium says if it refuses."""
        try:
            data = self._files.read(_copy_name(slot, copy), LONGEST_FILE)
        except OSError as error:
            return HeldCopy(problem=error.strerror or str(error)), error
        if data is None:
            return HeldCopy(), None
        try:
            found = stored(data)
        except DeviceError as error:
            return HeldCopy(problem=error.detail), None
        if found.slot != slot:
            return HeldCopy(problem=f"it is of slot {found.slot}"), None
        return HeldCopy(found.sequence, found.payload), None


def _newer(sequence: int, than: int) -> bool:
    """Serial number arithmetic (RFC 1982), 32 bits."""
    return 0 < (sequence - than) % SEQUENCES < SEQUENCES // 2


class _BrokenError(Exception):
    """Something was stored in a slot and no copy of it is whole."""


def _copy_name(slot: int, copy: int) -> str:
    return f"slot{slot}{'ab'[copy]}.bin"


def _answer(job: Callable[[], bytes | None], outcome: list[_Outcome]) -> None:
    try:
        outcome.append(_Outcome(job()))
    except OSError as error:
        outcome.append(_Outcome(error=error.strerror or str(error)))
    except _BrokenError as error:
        outcome.append(_Outcome(error=str(error), broken=True))


class FramMemory:
    """Slots of an I2C memory, through its driver and in the slots of its bus.

    Args:
        managed: the device of role ``memory``; its driver has ``load``, ``store`` and ``settings.slot_bytes``.
        timeout_ns: longest time for one transfer; then it has failed. One that has not begun is withdrawn.
    """

    name = "FRAM"

    def __init__(self, managed: ManagedDevice[Any], timeout_ns: int = FRAM_TIMEOUT_NS) -> None:
        self.capacity: int = managed.device.settings.slot_bytes  # type: ignore[attr-defined]
        self.slots: int = managed.device.settings.slots  # type: ignore[attr-defined]
        self._managed = managed
        self._driver: Any = managed.device
        self._timeout_ns = timeout_ns

    def load(self, slot: int, now_ns: int) -> Transfer:
        """See NonVolatile."""
        check_request(self, slot)
        return self._begin(lambda: self._driver.load(slot), now_ns)

    def store(self, slot: int, payload: bytes, now_ns: int) -> Transfer:
        """See NonVolatile."""
        check_request(self, slot, payload)
        return self._begin(lambda: self._driver.store(slot, payload), now_ns)

    def _begin(self, sequence: Callable[[], Any], now_ns: int) -> Transfer:
        order = _FramOrder(self._managed, sequence, now_ns + self._timeout_ns)
        transfer = Transfer(order.step)
        order.transfer = transfer
        return transfer


class _FramOrder:
    """One transfer's task, and the attempts that are left."""

    __slots__ = ("_deadline_ns", "_left", "_managed", "_sequence", "_task", "transfer")

    def __init__(self, managed: ManagedDevice[Any], sequence: Callable[[], Any], deadline_ns: int) -> None:
        self._managed = managed
        self._sequence = sequence
        self._deadline_ns = deadline_ns
        self._left = ATTEMPTS - 1
        self._task: Task = managed.order(sequence())
        self.transfer: Transfer | None = None

    def step(self, now_ns: int) -> None:
        transfer, task = self.transfer, self._task
        assert transfer is not None
        if task.done:
            if task.error is None:
                value = task.value
                transfer.end(value if isinstance(value, bytes) else None)
            elif self._left and now_ns < self._deadline_ns and task.error.cause not in FINAL:
                self._left -= 1
                self._task = self._managed.order(self._sequence())
            else:
                transfer.end(
                    error=f"{self._managed.name}: {task.error}", broken=task.error.cause is Cause.CHECKSUM,
                )
        elif now_ns >= self._deadline_ns:
            if task in self._managed.tasks:
                self._managed.tasks.remove(task)
            transfer.end(error=f"{self._managed.name}: no answer in time")
