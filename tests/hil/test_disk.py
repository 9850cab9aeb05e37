"""The simulated disk loses at a cut what was not synchronised, and never what was."""

from __future__ import annotations

import errno

import numpy as np
import pytest

from hil.disk import PowerCut, SimDisk

OLD, NEW = b"old" * 400, b"new!" * 500


def disk(seed: int = 1) -> SimDisk:
    return SimDisk(np.random.default_rng(seed))


def put(one: SimDisk, name: str, data: bytes, *, synced: bool = True) -> None:
    handle = one.create(name)
    assert one.write(handle, data) == len(data)
    if synced:
        one.sync(handle)
    one.close(handle)
    if synced:
        one.sync_folder()


def replace(one: SimDisk, name: str, data: bytes) -> None:
    """As programs should."""
    handle = one.create(name + ".new")
    one.write(handle, data)
    one.sync(handle)
    one.close(handle)
    one.rename(name + ".new", name)
    one.sync_folder()


def test_a_running_program_reads_what_it_wrote() -> None:
    one = disk()
    put(one, "a", b"12", synced=False)
    assert one.read("a", 100) == b"12"
    assert one.read("a", 1) == b"1"
    assert one.read("b", 100) is None
    assert one.names() == ["a"]
    one.rename("a", "b")
    assert one.names() == ["b"]
    assert one.calls == 7


def test_writes_append_and_creating_empties() -> None:
    one = disk()
    handle = one.create("a")
    one.write(handle, b"12")
    one.write(handle, b"34")
    assert one.read("a", 9) == b"1234"
    one.create("a")
    assert one.read("a", 9) == b""


@pytest.mark.parametrize("seed", range(20))
def test_what_was_synchronised_is_there_after_a_cut(seed: int) -> None:
    one = disk(seed)
    put(one, "a", OLD)
    one.restart()
    assert one.read("a", 9999) == OLD


def test_names_that_were_not_synchronised_may_be_gone() -> None:
    found = set()
    for seed in range(40):
        one = disk(seed)
        handle = one.create("a")
        one.write(handle, OLD)
        one.sync(handle)
        one.restart()
        found.add(one.read("a", 9999))
    assert found == {None, OLD}


def test_bytes_that_were_not_synchronised_may_be_anything_between_old_and_new() -> None:
    found = set()
    for seed in range(60):
        one = disk(seed)
        put(one, "a", OLD)
        put(one, "a", NEW, synced=False)
        one.restart()
        data = one.read("a", 9999)
        assert data is not None
        assert len(data) in (len(OLD), len(NEW))
        found.add(data)
    assert len(found) > 20, "torn in many ways"


@pytest.mark.parametrize("at", range(6))
def test_a_file_that_is_replaced_as_it_should_be_is_old_or_new_wherever_the_cut_falls(at: int) -> None:
    found = set()
    for seed in range(40):
        one = disk(seed)
        put(one, "a", OLD)
        one.dies_at = one.calls + at
        try:
            replace(one, "a", NEW)
        except PowerCut:
            one.restart()
        found.add(one.read("a", 9999))
    assert found <= {OLD, NEW}
    assert NEW in found or at < 4
    assert OLD in found


def test_writing_in_place_is_not_safe_here() -> None:
    found = set()
    for seed in range(60):
        one = disk(seed)
        put(one, "a", OLD)
        one.dies_at = one.calls + 1
        with pytest.raises(PowerCut):
            put(one, "a", NEW)
        one.restart()
        found.add(one.read("a", 9999))
    assert not found <= {OLD, NEW}


def test_half_of_the_cuts_come_before_the_call_begins() -> None:
    begun = 0
    for seed in range(200):
        one = disk(seed)
        one.dies_at = 0
        with pytest.raises(PowerCut):
            one.create("a")
        begun += "a" in one.names()
    assert 60 < begun < 140


def test_a_computer_without_power_stays_without_until_the_restart() -> None:
    one = disk()
    put(one, "a", OLD)
    one.dies_at = one.calls
    for _ in range(3):
        with pytest.raises(PowerCut):
            one.create("b")
    one.restart()
    put(one, "b", NEW)
    assert one.read("b", 9999) == NEW


def test_a_full_disk_takes_no_file_and_no_byte() -> None:
    one = disk()
    handle = one.create("a")
    one.full = True
    for call in (lambda: one.write(handle, b"1"), lambda: one.create("b")):
        with pytest.raises(OSError, match="No space left") as caught:
            call()
        assert caught.value.errno == errno.ENOSPC
    one.full = False
    assert one.write(handle, b"1") == 1


def test_the_same_seed_leaves_the_same() -> None:
    left = []
    for _ in range(2):
        one = disk(7)
        put(one, "a", OLD)
        put(one, "a", NEW, synced=False)
        one.restart()
        left.append(one.read("a", 9999))
    assert left[0] == left[1]
