"""The fault table that is flown: a bad file never takes the craft its monitors, and is named with its row."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import msgspec
import numpy as np
import pytest

import firmware_py.retained_faults
from fdir.fault_table import FaultTable, find_fault_table, load_fault_table
from firmware_py.retained_faults import TABLE_SLOT, Taken, fault_table_to_fly, keep_table, kept_table
from hal.nonvolatile import LONGEST_PAYLOAD, FileMemory, wait_for
from hal.profile import ConfigError
from hil.disk import PowerCut, SimDisk

SHIPPED = load_fault_table()
TEXT = find_fault_table().read_text(encoding="utf-8")
GOOD = TEXT.replace("persist_ms: 95", "persist_ms: 90")
BAD = TEXT.replace("monitor: imu_silent", "monitor: imu_quiet")


def disk(seed: int = 1) -> SimDisk:
    return SimDisk(np.random.default_rng(seed))


def memory(one: SimDisk) -> FileMemory:
    return FileMemory(one, capacity=LONGEST_PAYLOAD)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "faults.yaml"


def edited(file: Path, text: str) -> Path:
    file.write_text(text, encoding="utf-8")
    return file


def test_the_edits_of_these_tests_are_edits() -> None:
    assert len({TEXT, GOOD, BAD}) == 3


def test_the_shipped_table_is_flown_and_kept() -> None:
    one = disk()
    chosen = fault_table_to_fly(None, one)
    assert (chosen.table, chosen.taken, chosen.refusal, chosen.not_kept) == (SHIPPED, Taken.SHIPPED, "", "")
    assert kept_table(memory(one)) == SHIPPED


def test_a_good_table_is_flown_and_kept_in_place_of_the_one_before(file: Path) -> None:
    one = disk()
    fault_table_to_fly(None, one)
    chosen = fault_table_to_fly(edited(file, GOOD), one)
    assert chosen.taken is Taken.GIVEN
    assert chosen.table == load_fault_table(file) != SHIPPED
    assert kept_table(memory(one)) == chosen.table


def test_of_a_bad_table_the_last_good_one_is_flown_and_file_row_and_reason_are_named(file: Path) -> None:
    one = disk()
    good = fault_table_to_fly(edited(file, GOOD), one).table
    for _ in range(2):
        chosen = fault_table_to_fly(edited(file, BAD), one)
        assert (chosen.table, chosen.taken) == (good, Taken.KEPT)
        line = next(number for number, text in enumerate(BAD.splitlines(), 1) if "imu_quiet" in text)
        assert chosen.refusal.startswith(f"{file}:{line}: faults[")
        assert "fault imu-silent: there is no monitor 'imu_quiet'" in chosen.refusal
        assert chosen.refusal.endswith("; the last good table is flown")


@pytest.mark.parametrize("text", ["", "not: [yaml", "faults: []", TEXT[: len(TEXT) // 2], "a: 1"])
def test_whatever_the_file_holds_something_is_flown(file: Path, text: str) -> None:
    chosen = fault_table_to_fly(edited(file, text), None)
    assert (chosen.table, chosen.taken) == (SHIPPED, Taken.SHIPPED)
    assert chosen.refusal.startswith(str(file))
    assert chosen.refusal.endswith("; the table that ships is flown")


def test_a_file_that_is_gone_flies_the_last_good_one(file: Path) -> None:
    one = disk()
    good = fault_table_to_fly(edited(file, GOOD), one).table
    file.unlink()
    chosen = fault_table_to_fly(file, one)
    assert (chosen.table, chosen.taken) == (good, Taken.KEPT)
    assert "no such file" in chosen.refusal


def test_the_shipped_table_damaged_flies_the_last_good_one_and_without_one_nothing(
    file: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    one = disk()
    good = fault_table_to_fly(edited(file, GOOD), one).table
    monkeypatch.setattr(firmware_py.retained_faults, "find_fault_table", lambda: edited(file, BAD))
    assert fault_table_to_fly(None, one).table == good
    for nowhere in (None, disk()):
        with pytest.raises(ConfigError, match="imu_quiet"):
            fault_table_to_fly(None, nowhere)


def test_a_table_that_is_kept_already_is_not_written_again() -> None:
    one = disk()
    fault_table_to_fly(None, one)
    whole = [copy.sequence for copy in memory(one).copies(TABLE_SLOT)]
    fault_table_to_fly(None, one)
    assert [copy.sequence for copy in memory(one).copies(TABLE_SLOT)] == whole == [1, None]


def test_a_full_disk_is_told_of_and_the_table_is_flown() -> None:
    one = disk()
    one.full = True
    chosen = fault_table_to_fly(None, one)
    assert (chosen.table, chosen.refusal, chosen.not_kept) == (SHIPPED, "", "No space left on device")


def test_a_table_that_is_too_large_to_be_kept_is_flown_all_the_same() -> None:
    one = disk()
    said = keep_table(FileMemory(one), SHIPPED)
    assert said.startswith("the fault table takes ")
    assert said.endswith(" bytes, the memory 512")
    assert one.names() == []


def store(one: SimDisk, wire: object) -> None:
    assert wait_for(memory(one).store(TABLE_SLOT, msgspec.msgpack.encode(wire), 0)).error is None


@pytest.mark.parametrize("wire", [
    1, [], [1, "sha256:" + "0" * 64, []], [1, 5, SHIPPED.rows], [2, SHIPPED.digest, SHIPPED.rows],
    [1, "sha256:0", SHIPPED.rows], [1, SHIPPED.digest, SHIPPED.rows, 1], [1, SHIPPED.digest, SHIPPED.rows[:2]],
    [1, SHIPPED.digest, [*SHIPPED.rows, SHIPPED.rows[0]]], [1, SHIPPED.digest, [{"id": "x"}]],
    [1, SHIPPED.digest, [msgspec.structs.replace(SHIPPED.rows[0], monitor="gone"), *SHIPPED.rows[1:]]],
])
def test_what_is_kept_is_checked_as_whole_as_a_file(wire: object, file: Path) -> None:
    one = disk()
    store(one, wire)
    assert kept_table(memory(one)) is None
    chosen = fault_table_to_fly(edited(file, BAD), one)
    assert chosen.taken is Taken.SHIPPED
    assert fault_table_to_fly(edited(file, GOOD), one).not_kept == ""
    assert kept_table(memory(one)) == load_fault_table(file)


def test_two_broken_copies_keep_nothing_and_are_mended() -> None:
    one = disk()
    for table in (SHIPPED, FaultTable(SHIPPED.rows, "sha256:" + "0" * 64)):
        assert keep_table(memory(one), table) == ""
    for name in one.names():
        handle = one.create(name)
        one.write(handle, b"not whole")
        one.sync(handle)
    assert kept_table(memory(one)) is None
    assert keep_table(memory(one), SHIPPED) == ""
    assert kept_table(memory(one)) == SHIPPED


def test_a_cut_while_a_table_is_kept_leaves_the_old_or_the_new(file: Path) -> None:
    new = load_fault_table(edited(file, GOOD))
    found = []
    for seed in range(40):
        one = disk(seed)
        assert keep_table(memory(one), SHIPPED) == ""
        one.dies_at = one.calls + seed % 11
        with suppress(PowerCut):
            keep_table(memory(one), new)
        one.restart()
        found.append(kept_table(memory(one)))
    assert all(table in (SHIPPED, new) for table in found)
    assert SHIPPED in found
    assert new in found
