"""What was stored is there whole, or the one before it is: in files and in an FRAM, whatever the medium does."""

from __future__ import annotations

import errno
import os
import threading
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from drivers import mb85rc256v
from drivers.errors import Cause, DeviceError
from drivers.mb85rc256v import encode
from hal.manager import BusSlots, ManagedDevice
from hal.nonvolatile import (
    FILE_CAPACITY,
    LONGEST_PAYLOAD,
    FileMemory,
    FolderFiles,
    FramMemory,
    HeldCopy,
    NonVolatile,
    StandingWorker,
    Transfer,
    replace_file,
    wait_for,
)
from hil.bus.i2c import SimI2cBus
from hil.chips.mb85rc256v import Mb85rc256v
from hil.disk import PowerCut, SimDisk

TICK_NS = 5_000_000


def disk(seed: int = 1) -> SimDisk:
    return SimDisk(np.random.default_rng(seed))


def loaded(memory: NonVolatile, slot: int = 0) -> bytes | None:
    transfer = wait_for(memory.load(slot, 0))
    assert transfer.error is None
    return transfer.payload


def put(memory: NonVolatile, payload: bytes, slot: int = 0) -> None:
    assert wait_for(memory.store(slot, payload, 0)).error is None


# -- files


def test_an_empty_folder_holds_nothing() -> None:
    memory = FileMemory(disk())
    assert loaded(memory) is None
    assert memory.copies(0) == (HeldCopy(), HeldCopy())


def test_the_newest_payload_is_read_by_whoever_comes_next() -> None:
    one = disk()
    memory = FileMemory(one)
    for number in range(5):
        put(memory, b"%d" % number)
        assert loaded(FileMemory(one)) == b"%d" % number
    assert one.names() == ["slot0a.bin", "slot0b.bin"]
    assert [copy.sequence for copy in memory.copies(0)] == [5, 4]


def test_slots_do_not_touch_each_other() -> None:
    memory = FileMemory(disk())
    for slot in range(memory.slots):
        put(memory, bytes([slot + 1]), slot)
    assert [loaded(memory, slot) for slot in range(memory.slots)] == [bytes([slot + 1]) for slot in range(memory.slots)]


@pytest.mark.parametrize(("slot", "payload", "said"), [
    (-1, b"1", "there is no slot -1; 0..7 are allowed"), (8, b"1", "there is no slot 8"),
    (0, b"", "0 bytes; 1..512 are allowed"), (0, bytes(FILE_CAPACITY + 1), "513 bytes"),
])
def test_what_does_not_fit_is_refused_before_anything_is_done(slot: int, payload: bytes, said: str) -> None:
    one = disk()
    with pytest.raises(ValueError, match=said):
        FileMemory(one).store(slot, payload, 0)
    assert one.calls == 0


def test_a_slot_that_is_not_there_is_not_read() -> None:
    with pytest.raises(ValueError, match="there is no slot 8"):
        FileMemory(disk()).load(8, 0)
    with pytest.raises(ValueError, match="there is no slot 9"):
        FileMemory(disk()).copies(9)


@pytest.mark.parametrize("capacity", [0, LONGEST_PAYLOAD + 1])
def test_a_capacity_that_no_header_can_tell_of_is_refused(capacity: int) -> None:
    with pytest.raises(ValueError, match=rf"capacity {capacity}; 1..65535 is allowed"):
        FileMemory(disk(), capacity=capacity)


def test_the_longest_payload_comes_back_whole() -> None:
    memory = FileMemory(disk(), capacity=LONGEST_PAYLOAD)
    put(memory, bytes(range(256)) * 255 + bytes(255))
    assert loaded(memory) == bytes(range(256)) * 255 + bytes(255)
    put(FileMemory(disk()), bytes(FILE_CAPACITY))


def spoil(one: SimDisk, name: str, data: bytes) -> None:
    handle = one.create(name)
    one.write(handle, data)
    one.sync(handle)
    one.close(handle)


BROKEN = [b"", b"QF", b"no header at all, but long enough", encode(0, 3, b"new")[:-1], encode(0, 3, b"new") + b"!",
          encode(0, 3, b"new")[:-1] + b"x", encode(1, 3, b"of another slot"), bytes(70_000)]


@pytest.mark.parametrize("data", BROKEN)
def test_a_broken_copy_falls_back_to_the_other_and_is_mended_by_the_next_store(data: bytes) -> None:
    one = disk()
    memory = FileMemory(one)
    put(memory, b"before")
    put(memory, b"new")
    spoil(one, "slot0b.bin", data)
    assert loaded(memory) == b"before"
    broken = memory.copies(0)[1]
    assert broken.sequence is None
    assert broken.problem
    put(memory, b"third")
    assert loaded(memory) == b"third"
    assert [copy.problem for copy in memory.copies(0)] == ["", ""]


@pytest.mark.parametrize("data", BROKEN)
def test_two_broken_copies_are_said_to_be_and_are_mended_by_the_next_store(data: bytes) -> None:
    one = disk()
    memory = FileMemory(one)
    put(memory, b"1")
    put(memory, b"2")
    for name in one.names():
        spoil(one, name, data)
    transfer = wait_for(memory.load(0, 0))
    assert (transfer.payload, transfer.broken, transfer.error) == (None, True, "slot 0 has no whole copy")
    put(memory, b"again")
    assert loaded(memory) == b"again"


def test_sequence_numbers_go_round() -> None:
    one = disk()
    memory = FileMemory(one)
    spoil(one, "slot0a.bin", encode(0, 0xFFFF_FFFE, b"old"))
    spoil(one, "slot0b.bin", encode(0, 0xFFFF_FFFF, b"last"))
    assert loaded(memory) == b"last"
    put(memory, b"zero")
    assert memory.copies(0)[0].sequence == 0
    assert loaded(memory) == b"zero"
    put(memory, b"one")
    assert loaded(memory) == b"one"


def test_a_full_disk_fails_the_store_and_leaves_what_was_there() -> None:
    one = disk()
    memory = FileMemory(one)
    put(memory, b"before")
    one.full = True
    transfer = wait_for(memory.store(0, b"new", 0))
    assert transfer.error == os.strerror(errno.ENOSPC)
    assert not transfer.broken
    assert loaded(memory) == b"before"


class Refusing(SimDisk):
    """A disk of which some files can't be read."""

    refused: tuple[str, ...] = ()

    def read(self, name: str, most: int) -> bytes | None:
        if name in self.refused:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return super().read(name, most)


def test_a_medium_that_refuses_one_copy_gives_the_other() -> None:
    one = Refusing(np.random.default_rng(1))
    memory = FileMemory(one)
    put(memory, b"1")
    put(memory, b"2")
    one.refused = ("slot0b.bin",)
    assert loaded(memory) == b"1"
    assert memory.copies(0)[1].problem == os.strerror(errno.EIO)


@pytest.mark.parametrize("refused", [("slot0a.bin", "slot0b.bin"), ("slot0a.bin",), ("slot0b.bin",)])
def test_a_medium_that_refuses_all_there_could_be_is_not_taken_for_an_empty_or_broken_one(
    refused: tuple[str, ...],
) -> None:
    one = Refusing(np.random.default_rng(1))
    memory = FileMemory(one)
    one.refused = refused
    for transfer in (memory.load(0, 0), memory.store(0, b"new", 0)):
        wait_for(transfer)
        assert transfer.error == os.strerror(errno.EIO)
        assert not transfer.broken
    assert one.names() == []


def test_a_replaced_file_is_the_old_one_or_the_new_after_a_cut_at_any_call() -> None:
    seen = set()
    for seed in range(40):
        for at in range(6):
            folder = disk(seed)
            replace_file(folder, "kept", b"old" * 400)
            folder.dies_at = folder.calls + at
            with suppress(PowerCut):
                replace_file(folder, "kept", b"new" * 500)
            folder.restart()
            seen.add((at, folder.read("kept", 2000)))
    assert {content for _, content in seen} == {b"old" * 400, b"new" * 500}
    assert {content for at, content in seen if at < 3} == {b"old" * 400}


def test_a_file_that_could_not_be_replaced_stands() -> None:
    folder = disk()
    replace_file(folder, "kept", b"old")
    folder.full = True
    with pytest.raises(OSError, match="No space"):
        replace_file(folder, "kept", b"new")
    assert folder.read("kept", 10) == b"old"


def test_writes_that_are_taken_in_parts_are_finished() -> None:
    class Slow(SimDisk):
        def write(self, handle: int, data: bytes) -> int:
            return super().write(handle, data[:7])

    memory = FileMemory(Slow(np.random.default_rng(1)))
    put(memory, bytes(range(100)))
    assert loaded(memory) == bytes(range(100))


@pytest.mark.parametrize("at", range(10))
def test_a_cut_at_any_call_leaves_the_old_or_the_new(at: int) -> None:
    found = set()
    for seed in range(30):
        one = disk(seed)
        memory = FileMemory(one)
        put(memory, b"first")
        put(memory, b"old")
        one.dies_at = one.calls + at
        with suppress(PowerCut):
            wait_for(memory.store(0, b"new", 0))
        one.restart()
        found.add(loaded(FileMemory(one)))
    assert found <= {b"old", b"new"}
    assert b"old" in found or at >= 8
    assert b"new" in found or at < 6


class Waiting:
    """A worker that is slow: it does its job when it is told."""

    def __init__(self) -> None:
        self.error: DeviceError | None = None
        self.jobs: list[Any] = []
        self.most = 0

    def start(self, job: Any) -> None:
        self.jobs.append(job)
        self.most = max(self.most, len(self.jobs))

    def done(self) -> bool:
        return not self.jobs

    def work(self, *, lose: bool = False) -> None:
        job = self.jobs.pop()
        if not lose:
            job()


def test_nobody_waits_for_a_slow_medium_and_transfers_keep_their_order() -> None:
    worker = Waiting()
    memory = FileMemory(disk(), worker)
    first, second = memory.store(0, b"1", 0), memory.store(0, b"2", 0)
    last = memory.load(0, 0)
    assert [transfer.poll(0) for transfer in (first, second, last)] == [False, False, False]
    worker.work()
    assert first.poll(0)
    assert not second.poll(0)
    worker.work()
    assert not last.poll(0), "polling one goes on with all"
    assert second.done
    worker.work()
    assert last.poll(0)
    assert last.payload == b"2"
    assert worker.most == 1


def test_a_worker_that_loses_its_job_fails_the_transfer() -> None:
    worker = Waiting()
    transfer = FileMemory(disk(), worker).load(0, 0)
    worker.work(lose=True)
    assert transfer.poll(0)
    assert transfer.error == "the worker ended without an answer"


def test_a_transfer_ends_once() -> None:
    steps: list[int] = []
    transfer = Transfer(steps.append)
    assert not transfer.poll(7)
    transfer.end(b"1")
    assert transfer.poll(8)
    assert (steps, transfer.payload) == ([7], b"1")


def test_what_does_not_end_by_being_polled_is_told() -> None:
    with pytest.raises(RuntimeError, match="does not end"):
        wait_for(Transfer(lambda _now_ns: None), polls=3)


# -- the operating system's folder


def test_a_folder_is_made_with_the_first_file_and_read_without(tmp_path: Path) -> None:
    files = FolderFiles(tmp_path / "a" / "state")
    assert loaded(FileMemory(files)) is None
    assert not (tmp_path / "a").exists()
    memory = FileMemory(files)
    put(memory, b"1")
    put(memory, b"2")
    put(memory, b"3")
    assert loaded(FileMemory(FolderFiles(tmp_path / "a" / "state"))) == b"3"
    assert sorted(path.name for path in (tmp_path / "a" / "state").iterdir()) == ["slot0a.bin", "slot0b.bin"]


def test_a_folder_that_cannot_be_made_is_an_error_with_words(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    transfer = wait_for(FileMemory(FolderFiles(tmp_path / "file")).store(0, b"1", 0))
    assert transfer.error


def test_a_standing_worker_works_off_the_thread_and_outlives_whatever_a_job_raises() -> None:
    worker = StandingWorker()
    done = threading.Event()
    threads: list[int] = []

    def work(job: Any) -> None:
        done.clear()

        def run() -> None:
            threads.append(threading.get_ident())
            try:
                job()
            finally:
                done.set()

        worker.start(run)
        assert done.wait(10.0)
        while not worker.done():
            os.sched_yield()

    def fail() -> None:
        raise DeviceError("here", None, Cause.TIMEOUT)

    def break_down() -> None:
        raise ZeroDivisionError

    work(fail)
    assert worker.error is not None
    assert worker.error.cause is Cause.TIMEOUT
    work(break_down)
    work(lambda: None)
    assert worker.error is None
    assert len(set(threads)) == 1
    assert threads[0] != threading.get_ident()


def test_files_behind_a_standing_worker_come_back(tmp_path: Path) -> None:
    memory = FileMemory(FolderFiles(tmp_path), StandingWorker())
    stored, read = memory.store(3, b"kept", 0), memory.load(3, 0)
    while not read.poll(0):
        os.sched_yield()
    assert stored.done
    assert (stored.error, read.payload) == (None, b"kept")


# -- FRAM


class Board:
    """An FRAM on a simulated bus, with its driver and the bus's slots."""

    def __init__(self, chip: Mb85rc256v | None = None, timeout_ns: int = 8_000_000_000) -> None:
        self.chip = Mb85rc256v() if chip is None else chip
        self.bus = SimI2cBus("i2c_b")
        self.bus.attach(0x50, self.chip)
        device = mb85rc256v.Device(self.bus, 0x50, mb85rc256v.Settings())
        self.managed: ManagedDevice[Any] = ManagedDevice("fram", device, 0, 1_000_000_000, deque(maxlen=16))
        self.slots = BusSlots([self.managed])
        self.memory = FramMemory(self.managed, timeout_ns)
        self.now_ns = 0

    def turn(self) -> None:
        self.now_ns += TICK_NS
        self.slots.step(self.now_ns)

    def ended(self, transfer: Transfer, ticks: int = 4000) -> Transfer:
        for _ in range(ticks):
            self.turn()
            if transfer.poll(self.now_ns):
                return transfer
        raise AssertionError("the transfer does not end")


def test_an_fram_gives_back_what_was_stored_after_a_restart() -> None:
    board = Board()
    assert (board.memory.name, board.memory.capacity, board.memory.slots) == ("FRAM", 512, 8)
    assert board.ended(board.memory.load(1, 0)).payload is None
    for payload in (b"1", b"2", bytes(range(256)) * 2):
        assert board.ended(board.memory.store(1, payload, board.now_ns)).error is None
        again = Board(board.chip)
        assert again.ended(again.memory.load(1, 0)).payload == payload


def test_a_transfer_takes_one_transaction_a_slot() -> None:
    board = Board()
    transfer = board.memory.store(0, bytes(64), 0)
    ticks = 0
    while not transfer.poll(board.now_ns):
        before = board.chip.written
        board.turn()
        ticks += 1
        assert board.chip.written - before <= 32
    assert ticks > 8


@pytest.mark.parametrize(("slot", "payload"), [(8, b"1"), (0, b""), (0, bytes(513))])
def test_an_fram_refuses_what_does_not_fit(slot: int, payload: bytes) -> None:
    board = Board()
    with pytest.raises(ValueError, match="FRAM: "):
        board.memory.store(slot, payload, 0)
    if slot:
        with pytest.raises(ValueError, match="there is no slot"):
            board.memory.load(slot, 0)
    assert not board.managed.tasks


def test_two_broken_copies_of_an_fram_are_said_to_be() -> None:
    board = Board()
    for payload in (b"1", b"2"):
        board.ended(board.memory.store(0, payload, board.now_ns))
    for copy in range(2):
        board.chip.upset(copy * 528 + 16, 3)
    transfer = board.ended(board.memory.load(0, board.now_ns))
    assert transfer.broken
    assert transfer.error is not None
    assert transfer.error.startswith("fram: ")
    assert "slot 0 has no whole copy" in transfer.error


def test_one_broken_copy_of_an_fram_falls_back_to_the_other() -> None:
    board = Board()
    for payload in (b"1", b"2"):
        board.ended(board.memory.store(0, payload, board.now_ns))
    board.chip.upset(528 + 16, 3)
    assert board.ended(board.memory.load(0, board.now_ns)).payload == b"1"


def test_a_disturbed_transfer_is_tried_again() -> None:
    board = Board()
    board.ended(board.memory.store(0, b"1", 0))
    board.chip.powered = False
    transfer = board.memory.load(0, board.now_ns)
    board.turn()
    transfer.poll(board.now_ns)
    board.chip.powered = True
    assert board.ended(transfer).payload == b"1"


def test_an_fram_that_never_answers_fails_in_its_time_and_is_not_broken() -> None:
    board = Board(timeout_ns=50 * TICK_NS)
    board.chip.powered = False
    transfer = board.memory.load(0, 0)
    board.ended(transfer)
    assert board.now_ns == 50 * TICK_NS
    assert (transfer.error, transfer.broken) == ("fram: no answer in time", False)
    assert not board.managed.tasks, "withdrawn"


def test_a_cut_after_any_byte_leaves_the_old_or_the_new() -> None:
    outcomes = set()
    for after in range(90):
        board = Board()
        for payload in (b"first", b"old" * 5):
            board.ended(board.memory.store(0, payload, board.now_ns))
        board.chip.dies_after = after
        transfer = board.memory.store(0, b"new" * 5, board.now_ns)
        while board.chip.powered and not transfer.poll(board.now_ns):
            board.turn()
        board.chip.reset()
        again = Board(board.chip)
        found = again.ended(again.memory.load(0, 0))
        assert found.payload in (b"old" * 5, b"new" * 5)
        outcomes.add(found.payload)
    assert len(outcomes) == 2
