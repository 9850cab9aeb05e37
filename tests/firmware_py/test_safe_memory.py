"""SAFE over restarts: what is read at boot, what is stored after, and what a memory that fails does to it."""

from __future__ import annotations

from typing import Any

import pytest

from fdir.codes import Code, Severity
from fdir.safe_record import UNREADABLE, KeptSafe, decode_safe, encode_safe
from firmware_py.boot_record import BOOT_SLOT
from firmware_py.journal import NoJournal
from firmware_py.parameters import PARAMETER_SLOT
from firmware_py.retained import SETTLE_NS
from firmware_py.safe_memory import READ_NS, RETRY_NS, SAFE_SLOT, SafeMemory
from hal.nonvolatile import FileMemory, FolderFiles, Transfer
from hal.recovery import InlineWorker

STEP = 50_000_000
NOTHING = KeptSafe()
ORDERED = KeptSafe((Code.SAFE_ORDERED,))
LATCHED = KeptSafe((Code.CPU_OVERRUN, Code.SAFE_CAP_LOW), True)


class Memory:
    """A memory whose transfers end when they are told to."""

    name = "test"
    capacity = 512
    slots = 8

    def __init__(self, payload: bytes | None = None) -> None:
        self.payload = payload
        self.transfers: list[tuple[str, Transfer]] = []
        self.stored: list[bytes] = []
        self.wait = False
        self.error: str | None = None
        self.broken = False

    def load(self, slot: int, now_ns: int) -> Transfer:
        assert slot == SAFE_SLOT
        return self._begin("load", lambda: self.payload)

    def store(self, slot: int, payload: bytes, now_ns: int) -> Transfer:
        assert slot == SAFE_SLOT
        assert 1 <= len(payload) <= self.capacity

        def keep() -> None:
            self.payload = payload

        self.stored.append(payload)
        return self._begin("store", keep)

    def _begin(self, what: str, act: Any) -> Transfer:
        def step(_now_ns: int) -> None:
            if self.wait:
                return
            if self.error is not None:
                transfer.end(error=self.error, broken=self.broken)
            else:
                transfer.end(payload=act())

        transfer = Transfer(step)
        self.transfers.append((what, transfer))
        return transfer


def run(keeper: SafeMemory, present: KeptSafe, start_ns: int, steps: int) -> list[KeptSafe]:
    found = [keeper.step(start_ns + k * STEP, present) for k in range(steps)]
    return [kept for kept in found if kept is not None]


def told(journal: NoJournal) -> list[tuple[str, str, str]]:
    return [(code, severity, text) for _, code, severity, text in journal.events]


def test_the_slot_is_its_own() -> None:
    assert len({SAFE_SLOT, BOOT_SLOT, PARAMETER_SLOT}) == 3
    assert READ_NS < SETTLE_NS


def test_a_craft_without_a_memory_is_settled_and_forgets() -> None:
    keeper = SafeMemory(None, NoJournal())
    assert keeper.settled
    assert run(keeper, LATCHED, 0, 10) == []
    assert not keeper.busy


def test_a_memory_that_never_held_one_means_nothing() -> None:
    memory, journal = Memory(), NoJournal()
    keeper = SafeMemory(memory, journal)
    assert not keeper.settled
    assert run(keeper, NOTHING, 0, 10) == []
    assert keeper.settled
    assert memory.stored == [encode_safe(NOTHING)]
    assert told(journal) == []


@pytest.mark.parametrize("kept", [ORDERED, LATCHED, UNREADABLE])
def test_safe_from_before_the_start_is_found_once_and_not_stored_again(kept: KeptSafe) -> None:
    memory, journal = Memory(encode_safe(kept)), NoJournal()
    keeper = SafeMemory(memory, journal)
    assert run(keeper, NOTHING, 0, 1) == [kept]
    assert keeper.settled
    assert run(keeper, kept, STEP, 10) == []
    assert memory.stored == []
    assert told(journal) == []


def test_nothing_is_stored_before_it_was_read() -> None:
    memory = Memory(encode_safe(ORDERED))
    memory.wait = True
    keeper = SafeMemory(memory, NoJournal())
    assert run(keeper, LATCHED, 0, 20) == []
    assert not keeper.settled
    assert [what for what, _ in memory.transfers] == ["load"]
    memory.wait = False
    assert run(keeper, LATCHED, 20 * STEP, 1) == [ORDERED]


def test_every_change_is_stored_and_only_changes_are() -> None:
    memory = Memory(encode_safe(NOTHING))
    keeper = SafeMemory(memory, NoJournal())
    now = 0
    for present in (NOTHING, ORDERED, ORDERED, LATCHED, NOTHING):
        assert run(keeper, present, now, 5) == []
        now += 5 * STEP
    assert [decode_safe(payload) for payload in memory.stored] == [ORDERED, LATCHED, NOTHING]
    assert not keeper.busy


def test_a_change_while_one_is_being_stored_follows_it() -> None:
    memory = Memory(encode_safe(NOTHING))
    keeper = SafeMemory(memory, NoJournal())
    run(keeper, NOTHING, 0, 1)
    memory.wait = True
    run(keeper, ORDERED, STEP, 2)
    assert keeper.busy
    run(keeper, LATCHED, 3 * STEP, 5)
    assert len(memory.stored) == 1
    memory.wait = False
    run(keeper, LATCHED, 8 * STEP, 1)
    assert keeper.busy
    run(keeper, LATCHED, 9 * STEP, 1)
    assert not keeper.busy
    assert [decode_safe(payload) for payload in memory.stored] == [ORDERED, LATCHED]


def test_a_record_that_is_damaged_means_safe_and_is_told() -> None:
    payload = bytearray(encode_safe(NOTHING))
    payload[0] ^= 1
    journal = NoJournal()
    memory = Memory(bytes(payload))
    assert run(SafeMemory(memory, journal), NOTHING, 0, 1) == [UNREADABLE]
    text = "record of SAFE not read: it is damaged, or another version's"
    assert told(journal) == [(Code.SAFE_RECORD_INVALID, Severity.CRITICAL, text)]


@pytest.mark.parametrize("broken", [False, True])
def test_a_memory_that_fails_to_read_means_safe_and_what_follows_is_stored(broken: bool) -> None:
    memory, journal = Memory(encode_safe(NOTHING)), NoJournal()
    memory.error, memory.broken = "no answer", broken
    keeper = SafeMemory(memory, journal)
    assert run(keeper, NOTHING, 0, 1) == [UNREADABLE]
    assert told(journal) == [(Code.SAFE_RECORD_INVALID, Severity.CRITICAL, "record of SAFE not read: no answer")]
    memory.error = None
    run(keeper, UNREADABLE, STEP, 2)
    assert memory.payload == encode_safe(UNREADABLE)


def test_a_memory_that_is_silent_too_long_means_safe() -> None:
    memory, journal = Memory(encode_safe(NOTHING)), NoJournal()
    memory.wait = True
    keeper = SafeMemory(memory, journal)
    assert keeper.step(STEP, NOTHING) is None
    assert keeper.step(STEP + READ_NS - 1, NOTHING) is None
    assert not keeper.settled
    assert keeper.step(STEP + READ_NS, NOTHING) is UNREADABLE
    assert keeper.settled
    assert told(journal)[0][2] == "record of SAFE not read: the memory does not answer"


def test_a_store_that_failed_is_tried_again_and_told_once() -> None:
    memory, journal = Memory(encode_safe(NOTHING)), NoJournal()
    keeper = SafeMemory(memory, journal)
    keeper.step(0, NOTHING)
    memory.error = "disk full"
    keeper.step(STEP, ORDERED)
    keeper.step(2 * STEP, ORDERED)
    assert not keeper.busy
    keeper.step(2 * STEP + RETRY_NS - 1, ORDERED)
    assert len(memory.stored) == 1
    keeper.step(2 * STEP + RETRY_NS, ORDERED)
    assert len(memory.stored) == 2
    again = 3 * STEP + RETRY_NS
    keeper.step(again, ORDERED)
    text = "record of SAFE not stored: disk full"
    assert told(journal) == [(Code.PARAM_STORE_FAILED, Severity.WARNING, text)]
    memory.error = None
    keeper.step(again + RETRY_NS, ORDERED)
    keeper.step(again + RETRY_NS + STEP, ORDERED)
    assert memory.payload == encode_safe(ORDERED)
    assert len(memory.stored) == 3
    memory.error = "disk full"
    keeper.step(again + RETRY_NS + 2 * STEP, LATCHED)
    keeper.step(again + RETRY_NS + 3 * STEP, LATCHED)
    assert len(told(journal)) == 2


def test_over_restarts_on_files(tmp_path: Any) -> None:
    def start() -> SafeMemory:
        return SafeMemory(FileMemory(FolderFiles(tmp_path), InlineWorker()), NoJournal())

    first = start()
    assert run(first, NOTHING, 0, 3) == []
    assert run(first, LATCHED, 3 * STEP, 5) == []
    second = start()
    assert run(second, NOTHING, 0, 3) == [LATCHED]
    assert run(second, NOTHING, 3 * STEP, 5) == []
    assert run(start(), NOTHING, 0, 5) == []
