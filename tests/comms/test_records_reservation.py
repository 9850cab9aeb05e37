"""Reserved counters: none is used twice, whatever a power cut, a roll-back or a loss leaves of the storage."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from comms.records.reservation import BLOCK, MOST_CONTEXTS, CounterStore, Reason, Reserved
from hal.nonvolatile import FileMemory, FolderFiles
from hil.disk import PowerCut, SimDisk

NAME = "beacon"


def disk(seed: int = 1) -> SimDisk:
    return SimDisk(np.random.default_rng(seed))


def provisioned(seed: int = 1, boot_id: int = 1) -> SimDisk:
    medium = disk(seed)
    assert CounterStore(medium, boot_id).provision(NAME) is None
    return medium


def block(store: CounterStore) -> Reserved:
    found = store.reserve(NAME)
    assert isinstance(found, Reserved)
    return found


def garble(medium: SimDisk, copy: str) -> None:
    raw = medium.read(copy, 10_000)
    assert raw is not None
    handle = medium.create(copy)
    medium.write(handle, raw[:-1] + bytes((raw[-1] ^ 1,)))
    medium.sync(handle)
    medium.close(handle)


def test_blocks_of_one_start_follow_each_other() -> None:
    store = CounterStore(provisioned(), 2)
    assert [block(store).first for _ in range(4)] == [0, BLOCK, 2 * BLOCK, 3 * BLOCK]


def test_a_new_start_begins_at_zero_with_a_key_of_its_own() -> None:
    medium = provisioned()
    block(CounterStore(medium, 2))
    assert block(CounterStore(medium, 3)) == Reserved(0, BLOCK)


def test_a_restart_in_the_same_start_begins_at_the_reserved_end() -> None:
    medium = provisioned()
    block(CounterStore(medium, 2))
    assert block(CounterStore(medium, 2)) == Reserved(BLOCK, 2 * BLOCK)


def test_a_boot_id_below_the_stored_one_is_not_used() -> None:
    medium = provisioned()
    block(CounterStore(medium, 9))
    store = CounterStore(medium, 8)
    assert store.usable(NAME) is Reason.BOOT_ROLLED_BACK
    assert store.reserve(NAME) is Reason.BOOT_ROLLED_BACK


def test_what_was_never_provisioned_or_is_lost_is_not_used() -> None:
    assert CounterStore(disk(), 5).reserve(NAME) is Reason.MISSING
    assert CounterStore(provisioned(), 5).reserve("another") is Reason.MISSING


@pytest.mark.parametrize("copy", ["slot0a.bin", "slot0b.bin"])
def test_one_broken_copy_makes_both_uncertain(copy: str) -> None:
    medium = provisioned()
    block(CounterStore(medium, 2))
    garble(medium, copy)
    store = CounterStore(medium, 3)
    assert store.reserve(NAME) is Reason.UNREADABLE
    assert store.provision(NAME) is None
    assert isinstance(store.reserve(NAME), Reserved)


def test_two_broken_copies_are_replaced_by_a_new_key() -> None:
    medium = provisioned()
    for copy in ("slot0a.bin", "slot0b.bin"):
        garble(medium, copy)
    store = CounterStore(medium, 3)
    assert store.reason is Reason.UNREADABLE
    assert store.provision(NAME) is None
    assert CounterStore(medium, 4).usable(NAME) is None


def test_without_a_boot_id_nothing_is_used() -> None:
    store = CounterStore(provisioned(), None)
    assert store.usable(NAME) is Reason.NO_BOOT_ID
    assert store.reserve(NAME) is Reason.NO_BOOT_ID
    assert store.provision(NAME) is Reason.NO_BOOT_ID


def test_storage_that_is_exchanged_in_use_is_not_used() -> None:
    medium = provisioned()
    store = CounterStore(medium, 2)
    block(store)
    old = {name: medium.read(name, 10_000) for name in medium.names()}
    block(store)
    for name, raw in old.items():
        assert raw is not None
        medium.write(medium.create(name), raw)
    assert store.reserve(NAME) is Reason.STORAGE_CHANGED
    assert store.reserve(NAME) is Reason.STORAGE_CHANGED


def test_a_full_medium_gives_no_block_and_the_next_try_may() -> None:
    medium = provisioned()
    store = CounterStore(medium, 2)
    first = block(store)
    medium.full = True
    assert store.reserve(NAME) is Reason.STORE_FAILED
    assert store.usable(NAME) is None
    assert store.failed == 1
    medium.full = False
    assert block(store).first >= first.end


def test_a_cut_at_any_call_gives_no_counter_out_twice() -> None:
    for boot_step in (0, 1):
        calls = 0
        while calls < 200:
            medium = provisioned(calls, boot_id=1)
            used: set[tuple[int, int]] = set()
            boot_id = 2
            for life in range(3):
                medium.dies_at = medium.calls + calls if life < 2 else None
                try:
                    store = CounterStore(medium, boot_id)
                    for _ in range(3):
                        given = block(store)
                        counters = {(boot_id, counter) for counter in range(given.first, given.end)}
                        assert not counters & used
                        used |= counters
                except PowerCut:
                    medium.restart()
                else:
                    calls = max(calls, 200) if life < 2 else calls
                boot_id += boot_step
            calls += 1


def test_contexts_are_kept_apart(tmp_path: Path) -> None:
    files = FolderFiles(tmp_path / "counters")
    store = CounterStore(files, 1)
    for index in range(MOST_CONTEXTS):
        assert store.provision(f"context {index}") is None
    with pytest.raises(ValueError, match="more than"):
        store.provision("one more")
    for index in range(MOST_CONTEXTS):
        assert store.reserve(f"context {index}") == Reserved(0, BLOCK)
    again = CounterStore(files, 1)
    assert again.reserve("context 3") == Reserved(BLOCK, 2 * BLOCK)


@pytest.mark.parametrize("name", ["", "x" * 33])
def test_a_name_that_cannot_be_kept_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="name"):
        CounterStore(disk(), 1).provision(name)


def test_another_version_is_unreadable() -> None:
    medium = disk()
    for payload in (b"\x02\x00", b"\x01", b"\x01\x01", b"\x01\x00more"):
        FileMemory(medium).store(0, payload, 0)
        assert CounterStore(medium, 1).reason is Reason.UNREADABLE
