"""The boot record counts starts before anything can fail, and no memory keeps the craft from booting."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from fdir.boot import BootPolicy, BootRecord, ResetReason
from fdir.codes import Code
from firmware_py.boot_record import BOOT_SLOT, BootKeeper, decode_boot, encode_boot, reset_reason
from firmware_py.journal import NoJournal
from hal.nonvolatile import FileMemory, Transfer, wait_for
from hil.disk import SimDisk

TICK = 50_000_000
HEALTHY = BootPolicy().healthy_ns


class Craft:
    """A keeper over a disk that outlives it."""

    def __init__(self, disk: SimDisk | None = None, reset: ResetReason | None = None) -> None:
        self.disk = SimDisk(np.random.default_rng(1)) if disk is None else disk
        self.journal = NoJournal()
        self.keeper = BootKeeper(FileMemory(self.disk), self.journal, reset)
        self.now_ns = 0
        self.keeper.begin(0)

    def step(self, *, out: bool = False, acknowledged: bool = False, count: int = 3) -> Craft:
        for _ in range(count):
            self.now_ns += TICK
            self.keeper.step(self.now_ns, out, acknowledged)
        return self

    def again(self, times: int = 1) -> Craft:
        """The same craft after so many starts of which none was stopped cleanly."""
        craft = self
        for _ in range(times):
            craft = Craft(self.disk).step()
        return craft

    @property
    def record(self) -> BootRecord:
        assert self.keeper.record is not None
        return self.keeper.record

    @property
    def kept(self) -> BootRecord | None:
        payload = wait_for(FileMemory(self.disk).load(BOOT_SLOT, 0)).payload
        return None if payload is None else decode_boot(payload)

    def codes(self) -> list[str]:
        return [code for _, code, _, _ in self.journal.events]


# -- bytes


@pytest.mark.parametrize("record", [
    BootRecord(starts, failed, clean, latched, last_good, reset)
    for starts, failed, clean, latched, last_good, reset in itertools.product(
        (0, 2**32 - 1), (0, 7), (True, False), (True, False), (None, 3), (None, *ResetReason)
    )
])
def test_every_record_comes_back_as_it_was_stored(record: BootRecord) -> None:
    assert len(encode_boot(record)) == 16
    assert decode_boot(encode_boot(record)) == record


def test_the_layout_is_this_one() -> None:
    record = BootRecord(0x01020304, 5, True, True, 0x0A0B0C0D, ResetReason.WATCHDOG)
    assert encode_boot(record).hex() == "0103020001020304000000050a0b0c0d"


GOOD = encode_boot(BootRecord(3, 1, True, False, 2, ResetReason.POWER))


@pytest.mark.parametrize("payload", [
    b"", GOOD[:-1], GOOD + b"\0", b"\x02" + GOOD[1:], b"\0" + GOOD[1:], GOOD[:1] + b"\x04" + GOOD[2:],
    GOOD[:2] + b"\x04" + GOOD[3:],
])
def test_what_is_no_record_is_none(payload: bytes) -> None:
    assert decode_boot(payload) is None


def test_the_watchdog_is_a_reason_and_nothing_else_is_known_of() -> None:
    assert reset_reason(True) is ResetReason.WATCHDOG
    assert reset_reason(False) is None
    assert reset_reason(None) is None


# -- counting


def test_a_start_is_noted_before_it_is_settled() -> None:
    craft = Craft(reset=ResetReason.WATCHDOG)
    assert not craft.keeper.settled
    craft.step()
    assert craft.keeper.settled
    assert craft.kept == BootRecord(1, 1, False, False, None, ResetReason.WATCHDOG)
    assert not craft.keeper.busy
    assert craft.codes() == []


def test_three_starts_that_do_not_last_lead_the_next_to_safe_until_it_is_acknowledged() -> None:
    craft = Craft().step()
    for _ in range(2):
        craft = craft.again()
        assert not craft.keeper.safe
    craft = craft.again()
    assert craft.keeper.safe
    assert craft.journal.events == [(TICK, Code.BOOT_LOOP, "critical", "start 4: 3 starts in a row did not last")]
    craft = craft.again()
    assert craft.keeper.safe, "still"
    craft.step(out=True, acknowledged=True)
    assert not craft.keeper.safe
    assert craft.kept is not None
    assert not craft.kept.latched
    assert not craft.again(2).keeper.safe
    assert craft.again().keeper.safe, "three in a row again"


def test_boot_is_held_once_the_craft_has_been_out_of_it_for_a_minute() -> None:
    craft = Craft().step().again().step()
    craft.step(count=3000)
    assert craft.record.failed == 2, "Boot itself is no healthy time"
    craft.step(out=True, count=HEALTHY // TICK)
    assert craft.record.failed == 2
    craft.step(out=True, count=1)
    assert (craft.record.failed, craft.record.last_good) == (0, 2)
    craft.step(out=True)
    assert craft.kept == craft.record
    assert craft.again().record.failed == 1


def test_a_healthy_start_is_stored_once() -> None:
    craft = Craft().step()
    craft.step(out=True, count=HEALTHY // TICK + 3)
    calls = craft.disk.calls
    craft.step(out=True, count=1000)
    assert craft.disk.calls == calls


def test_the_rules_are_those_that_were_set_before_the_record_was_read() -> None:
    craft = Craft()
    craft.keeper.step(TICK, False, False, may_count=False)
    assert craft.keeper.record is None
    assert not craft.keeper.settled
    craft.keeper.policy = BootPolicy(1, 0)
    craft.step(out=True)
    assert craft.record.failed == 0, "healthy at once"


def test_an_acknowledgement_of_nothing_changes_nothing() -> None:
    craft = Craft().step(acknowledged=True)
    assert craft.record == BootRecord(1, 1, False, False, None, None)


def test_a_clean_stop_is_noted_and_ends_the_keeping() -> None:
    craft = Craft().step().again().step()
    craft.keeper.stop(craft.now_ns)
    craft.keeper.stop(craft.now_ns)
    craft.step(out=True, count=HEALTHY // TICK + 3)
    assert not craft.keeper.busy
    assert craft.kept == BootRecord(2, 2, True, False, None, None)
    assert craft.again().record.failed == 1


def test_a_stop_before_the_record_is_known_notes_nothing() -> None:
    craft = Craft()
    craft.keeper.stop(0)
    assert craft.disk.names() == []


# -- memories that fail


def test_without_a_memory_nothing_is_counted_and_nothing_waits() -> None:
    keeper = BootKeeper(None, NoJournal())
    keeper.begin(0)
    assert keeper.settled
    keeper.step(TICK, True, True)
    keeper.stop(TICK)
    assert keeper.record is None
    assert not keeper.safe
    assert not keeper.busy


def spoil(craft: Craft, data: bytes) -> None:
    for name in craft.disk.names():
        handle = craft.disk.create(name)
        craft.disk.write(handle, data)
        craft.disk.sync(handle)


def test_two_broken_copies_begin_the_count_anew_with_an_event_and_are_mended() -> None:
    craft = Craft().step().again()
    spoil(craft, b"nothing that is whole")
    after = craft.again()
    assert after.record.starts == 1
    assert after.codes() == [Code.PARAM_INVALID]
    assert after.journal.events[0][3] == "boot record not read: slot 0 has no whole copy"
    assert after.keeper.settled
    assert after.kept == after.record


def test_another_versions_record_begins_the_count_anew_with_an_event() -> None:
    craft = Craft()
    wait_for(FileMemory(craft.disk).store(BOOT_SLOT, b"\x02" + GOOD[1:], 0))
    craft = Craft(craft.disk).step()
    assert craft.journal.events[0][3] == "boot record not read: it is none, or another version's"
    assert craft.record.starts == 1
    assert craft.kept == craft.record


class Memory:
    """A memory that answers as it is told."""

    name, capacity, slots = "told", 512, 8

    def __init__(self) -> None:
        self.loading, self.storing = Transfer(lambda _now_ns: None), Transfer(lambda _now_ns: None)
        self.stored: list[bytes] = []

    def load(self, slot: int, now_ns: int) -> Transfer:
        assert slot == BOOT_SLOT
        return self.loading

    def store(self, slot: int, payload: bytes, now_ns: int) -> Transfer:
        assert slot == BOOT_SLOT
        self.stored.append(payload)
        self.storing = Transfer(lambda _now_ns: None)
        return self.storing


def test_a_memory_that_does_not_answer_is_told_of_and_nothing_is_written_over_it() -> None:
    memory, journal = Memory(), NoJournal()
    keeper = BootKeeper(memory, journal)
    keeper.begin(0)
    keeper.step(TICK, False, False)
    assert not keeper.settled
    memory.loading.end(error="no answer in time")
    keeper.step(2 * TICK, False, False)
    assert keeper.settled
    assert keeper.record is not None
    assert journal.events[0][1:] == (Code.PARAM_INVALID, "warning", "boot record not read: no answer in time")
    keeper.step(HEALTHY * 2, True, True)
    keeper.step(HEALTHY * 4, True, True)
    keeper.stop(HEALTHY * 5)
    assert memory.stored == []
    assert not keeper.busy


def test_one_store_is_under_way_at_a_time_and_the_newest_is_stored_last() -> None:
    memory = Memory()
    keeper = BootKeeper(memory, NoJournal())
    keeper.begin(0)
    memory.loading.end()
    keeper.step(TICK, True, False)
    keeper.stop(2 * TICK)
    assert len(memory.stored) == 1
    assert keeper.busy
    memory.storing.end()
    keeper.step(3 * TICK, True, False)
    assert len(memory.stored) == 2
    assert not keeper.settled, "of the start, the newest is not stored yet"
    memory.storing.end()
    keeper.step(4 * TICK, True, False)
    assert keeper.settled
    assert not keeper.busy
    assert [decode_boot(payload).clean for payload in memory.stored] == [False, True]  # type: ignore[union-attr]


def test_a_store_that_fails_is_told_of_and_the_craft_boots() -> None:
    memory, journal = Memory(), NoJournal()
    keeper = BootKeeper(memory, journal)
    keeper.begin(0)
    memory.loading.end()
    keeper.step(TICK, False, False)
    memory.storing.end(error="No space left on device")
    keeper.step(2 * TICK, False, False)
    assert keeper.settled
    assert journal.events[0][1] == Code.PARAM_STORE_FAILED
    assert journal.events[0][3] == "boot record not stored: No space left on device"
