"""Folders of flights: numbered, thinned from the oldest on, and nothing else is ever touched."""

from __future__ import annotations

from pathlib import Path

import pytest

from firmware_py.recorder import RecordError
from firmware_py.recorder.shelf import Shelf

UTC_NS = 1_790_000_000 * 1_000_000_000


def filled(shelf: Shelf, size: int, utc_ns: int = UTC_NS) -> Path:
    folder = shelf.new("flight", utc_ns)
    (folder / "flight.mcap").write_bytes(bytes(size))
    return folder


def test_numbers_go_on_whatever_the_calendar_says(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path / "flights", None)
    first, second = filled(shelf, 1), filled(shelf, 1, 0)
    assert first.name == "000001-20260921T141320Z-flight"
    assert second.name == "000002-19700101T000000Z-flight"
    assert [one.path for one in Shelf(tmp_path / "flights", None).folders()] == [first, second]


def test_the_oldest_go_and_the_newest_never(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, 250)
    folders = [filled(shelf, 100) for _ in range(4)]
    removed = [shelf.thin(), shelf.thin(), shelf.thin()]
    assert removed == [folders[0], folders[1], None]
    assert [folder.exists() for folder in folders] == [False, False, True, True]
    assert shelf.thin(more=200) == folders[2]
    assert shelf.thin(more=10**9) is None
    assert shelf.make_room() is None
    assert folders[3].exists()
    assert shelf.removed == 3


def test_what_bears_another_name_is_never_touched(tmp_path: Path) -> None:
    (tmp_path / "my-notes").mkdir()
    (tmp_path / "my-notes" / "big").write_bytes(bytes(10_000))
    elsewhere = tmp_path.parent / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / "000000-20260921T141320Z-link").symlink_to(elsewhere)
    shelf = Shelf(tmp_path, 50)
    old, new = filled(shelf, 40), filled(shelf, 40)
    assert shelf.thin() == old
    assert shelf.thin() is None
    assert (tmp_path / "my-notes" / "big").exists()
    assert elsewhere.exists()
    assert new.exists()


def test_a_place_that_cannot_be_made_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RecordError, match="file/flights"):
        Shelf(tmp_path / "file" / "flights", None)
    shelf = Shelf(tmp_path / "gone", None)
    (tmp_path / "gone").rmdir()
    with pytest.raises(RecordError, match="cannot be made"):
        shelf.new("flight", 0)
