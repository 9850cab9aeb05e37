"""Uninstalling: nothing of ours is left, all of the owner's is, and a cut anywhere is made good by the next run."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from firmware_py.install.uninstaller import uninstall
from tests.firmware_py.install.board import Board, PowerCut, install, new_board, tree, wheelhouse


@pytest.fixture
def installed(tmp_path: Path) -> Board:
    board = new_board(tmp_path / "root")
    board.write("/etc/systemd/system/other.service", b"[Service]\n")
    assert install(board, wheelhouse(tmp_path / "house", "1.0")).good
    board.steps.clear()
    return board


def take_away(board: Board, purge: bool = False, dry_run: bool = False) -> list[str]:
    return uninstall(board, board.layout, purge, lambda line: None, dry_run)


def ours(board: Board) -> list[str]:
    return [name for name in tree(board.root / "etc") if "qiki" in name and not name.startswith("qiki/")]


def test_units_links_and_slots_go_and_the_owners_files_stay(installed: Board) -> None:
    kept = tree(installed.root / "var"), tree(installed.root / "etc/qiki")
    removed = take_away(installed)
    assert "/opt/qiki" in removed
    assert ours(installed) == []
    assert not installed.at("/opt/qiki").exists()
    assert installed.at("/etc/systemd/system/other.service").exists()
    assert not list(installed.at("/etc/systemd/system").glob("qiki*"))
    assert (tree(installed.root / "var"), tree(installed.root / "etc/qiki")) == kept
    assert installed.flown is None


def test_purging_takes_the_rest(installed: Board) -> None:
    take_away(installed, purge=True)
    assert not installed.at("/etc/qiki").exists()
    assert not installed.at("/var/lib/qiki").exists()
    assert "userdel qiki-link" in installed.commands


def test_a_dry_run_changes_nothing(installed: Board) -> None:
    before = tree(installed.root)
    assert "/opt/qiki" in take_away(installed, purge=True, dry_run=True)
    assert tree(installed.root) == before
    assert installed.flown == "a"


def test_a_drop_in_of_the_owners_stays_with_its_folder(installed: Board) -> None:
    installed.write("/etc/systemd/system/qiki-flight.service.d/mine.conf", b"[Service]\n")
    take_away(installed)
    assert installed.names("/etc/systemd/system/qiki-flight.service.d") == ["mine.conf"]


def test_twice_is_once(installed: Board) -> None:
    take_away(installed)
    assert take_away(installed) == []


def test_cut_off_anywhere_it_is_done_again(installed: Board, tmp_path: Path) -> None:
    whole = Board(shutil.copytree(installed.root, tmp_path / "whole", symlinks=True))
    take_away(whole)
    for cut in range(len(whole.steps)):
        one = Board(shutil.copytree(installed.root, tmp_path / f"cut{cut}", symlinks=True))
        one.cut_at = cut
        with pytest.raises(PowerCut):
            take_away(one)
        one.cut_at = None
        take_away(one)
        assert ours(one) == []
        assert not one.at("/opt/qiki").exists()


def test_installed_again_after_it(installed: Board, tmp_path: Path) -> None:
    take_away(installed)
    assert install(installed, wheelhouse(tmp_path / "again", "1.0")).good
    assert installed.version() == "1.0"
