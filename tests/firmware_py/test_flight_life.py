"""How the last start ended and why this one happened, from a file and the kernel; nothing is guessed."""

from __future__ import annotations

from pathlib import Path

import pytest

from fdir.boot import ResetReason
from firmware_py.flight_life import SERVICE_RESULT, Ending, LifeFile
from hal.nonvolatile import FolderFiles


def machine(root: Path, boot: str, bootstatus: str | None = None) -> Path:
    folder = root / "proc/sys/kernel/random"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "boot_id").write_text(f"{boot}\n")
    if bootstatus is not None:
        watchdog = root / "sys/class/watchdog/watchdog0"
        watchdog.mkdir(parents=True, exist_ok=True)
        (watchdog / "bootstatus").write_text(bootstatus)
    return root


def life(tmp_path: Path, boot: str = "a", bootstatus: str | None = None) -> LifeFile:
    return LifeFile(FolderFiles(tmp_path / "state"), machine(tmp_path, boot, bootstatus))


def test_the_first_start_knows_of_none_before(tmp_path: Path) -> None:
    last = life(tmp_path).begin()
    assert (last.ending, last.reset, last.problem, last.unfinished) == (None, ResetReason.POWER, "", False)


@pytest.mark.parametrize(("ending", "unfinished", "reset"), [
    (Ending.STOPPED, False, None), (Ending.ORDERED, True, ResetReason.ORDERED),
])
def test_a_start_that_was_ended_says_how(
    tmp_path: Path, ending: Ending, unfinished: bool, reset: ResetReason | None
) -> None:
    first = life(tmp_path)
    first.begin()
    assert first.end(ending) == ""
    last = life(tmp_path).begin()
    assert (last.ending, last.unfinished, last.reset) == (ending, unfinished, reset)


def test_a_start_that_was_killed_is_found_running(tmp_path: Path) -> None:
    life(tmp_path).begin()
    last = life(tmp_path).begin()
    assert (last.ending, last.unfinished, last.reset) == (Ending.RUNNING, True, None)


def test_the_managers_word_on_its_watchdog_is_taken(tmp_path: Path) -> None:
    life(tmp_path).begin()
    (tmp_path / "state" / SERVICE_RESULT).write_text("watchdog\n")
    assert life(tmp_path).begin().reset is ResetReason.WATCHDOG
    (tmp_path / "state" / SERVICE_RESULT).write_text("exit-code\n")
    assert life(tmp_path).begin().reset is None


@pytest.mark.parametrize(("bootstatus", "reset"), [
    (None, ResetReason.POWER), ("0\n", ResetReason.POWER), ("32\n", ResetReason.WATCHDOG), ("x\n", ResetReason.POWER),
])
def test_another_boot_of_the_computer_is_told_apart(
    tmp_path: Path, bootstatus: str | None, reset: ResetReason
) -> None:
    life(tmp_path, "a").begin()
    (tmp_path / "state" / SERVICE_RESULT).write_text("watchdog\n")
    last = life(tmp_path, "b", bootstatus).begin()
    assert (last.ending, last.reset) == (Ending.RUNNING, reset)


def test_a_computer_without_these_files_guesses_nothing(tmp_path: Path) -> None:
    files = FolderFiles(tmp_path / "state")
    LifeFile(files, tmp_path / "nothing").begin()
    assert LifeFile(files, tmp_path / "nothing").begin().reset is None


def test_a_damaged_file_and_a_refusing_medium_are_told(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "life.json").write_text("{")
    last = life(tmp_path).begin()
    assert "damaged" in last.problem
    assert last.ending is None
    blocked = tmp_path / "file"
    blocked.write_text("")
    refused = LifeFile(FolderFiles(blocked / "state"), tmp_path)
    assert refused.begin().problem
    assert refused.end(Ending.STOPPED)
