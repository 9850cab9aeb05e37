"""Names stay in their folder, limits hold, and a file is there whole or not at all, on a real folder and in memory."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from comms.cfdp import FileStore, FolderMedium, FolderStore, MemoryMedium, MemoryStore, StoreLimits, StoreRefusal
from comms.cfdp.sequence import SequenceNumbers
from comms.cfdp.store import good_name
from firmware_py.cli.link_campaign.cfdp_rig import CutMedium
from hil.disk import PowerCut


@pytest.fixture(params=["folder", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> FileStore:
    limits = StoreLimits(total_bytes=10_000, files=3, file_bytes=6_000)
    return FolderStore(tmp_path / "files", limits) if request.param == "folder" else MemoryStore(limits)


@pytest.mark.parametrize("name", [
    "", ".", "..", "/etc/passwd", "../x", "a/b", "a\\b", ".hidden", "a\0b", "a\nb", "x" * 65, "-rf", "a b", "ä", "~",
    "a:b",
])
def test_names_that_could_lead_elsewhere_are_refused(store: FileStore, name: str) -> None:
    assert not good_name(name)
    assert store.save(name, b"x") is StoreRefusal.BAD_NAME
    assert store.open(name) is StoreRefusal.BAD_NAME
    assert store.remove(name) is StoreRefusal.BAD_NAME
    assert store.names() == {}


@settings(max_examples=200)
@given(st.text(max_size=70))
def test_a_good_name_is_one_plain_component(name: str) -> None:
    if good_name(name):
        assert Path(name).name == name == os.path.normpath(name)
        assert name.isascii()
        assert not name.startswith((".", "-"))


def test_files_are_saved_read_and_removed(store: FileStore) -> None:
    assert store.save("a", b"one") is None
    assert store.save("a", b"other") is None
    assert store.save("empty", b"") is None
    assert store.names() == {"a": 5, "empty": 0}
    assert store.read("a") == b"other"
    assert store.remove("a") is None
    assert store.read("a") is StoreRefusal.NO_FILE


def test_limits_hold_for_files_and_for_what_is_on_its_way(store: FileStore) -> None:
    assert store.save("long", bytes(6_001)) is StoreRefusal.TOO_LONG
    assert store.save("a", bytes(5_000)) is None
    partial = store.partial("in-1-1")
    assert store.admit(partial, "b", 4_000) is None
    assert store.used_bytes == 9_000
    assert store.save("c", bytes(1_001)) is StoreRefusal.FULL
    assert store.save("c", bytes(1_000)) is None
    assert store.save("d", b"") is StoreRefusal.TOO_MANY
    partial.discard()
    assert store.save("d", bytes(4_000)) is None


def test_a_file_of_unknown_length_may_not_grow_beyond_the_limits(store: FileStore) -> None:
    partial = store.partial("in-1-1")
    assert partial.write(0, bytes(1_000))
    assert partial.write(5_000, bytes(1_000))
    assert not partial.write(6_000, b"x")
    assert partial.wrong is StoreRefusal.TOO_LONG


def test_a_file_may_be_kept_from_being_replaced() -> None:
    store = MemoryStore(StoreLimits(replace=False))
    assert store.save("a", b"first") is None
    assert store.save("a", b"second") is StoreRefusal.EXISTS
    assert store.read("a") == b"first"


def test_a_file_appears_only_when_it_is_committed(store: FileStore) -> None:
    partial = store.partial("in-1-1")
    assert store.admit(partial, "a", 6) is None
    assert partial.write(3, b"def")
    assert store.names() == {}
    assert partial.write(0, b"abc")
    assert partial.read(0, 6) == b"abcdef"
    assert partial.commit("../a", 6) is StoreRefusal.BAD_NAME
    assert partial.commit("a", 6) is None
    assert store.read("a") == b"abcdef"
    assert store.used_bytes == 6


def test_a_source_reads_on_from_a_file_that_was_replaced(store: FileStore) -> None:
    store.save("a", b"before")
    source = store.open("a")
    assert not isinstance(source, StoreRefusal)
    store.save("a", b"after!")
    assert source.read(0, 6) == b"before"
    assert source.read(4, 6) is None
    source.close()
    assert source.read(0, 6) is None


def test_records_are_kept_whole_or_not_given(store: FileStore) -> None:
    assert store.keep("in-1-1", b"first")
    assert store.keep("in-1-1", b"second")
    assert store.kept("in-1-1") == b"second"
    assert store.kept_keys() == ["in-1-1"]
    store.forget("in-1-1")
    assert store.kept("in-1-1") is None
    assert store.kept_keys() == []


def test_a_damaged_record_is_none(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    store.keep("out-1", b"record")
    path = tmp_path / ".out-1.state"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    assert store.kept("out-1") is None


def test_what_was_being_written_is_swept_up(tmp_path: Path) -> None:
    (tmp_path / ".in-1-1.new").write_bytes(b"half")
    (tmp_path / ".in-1-1.part").write_bytes(b"half")
    (tmp_path / ".in-1-2.part").write_bytes(b"half")
    store = FolderStore(tmp_path)
    assert store.sweep({"in-1-2"}) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == [".in-1-2.part"]


def test_links_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"secret")
    folder = tmp_path / "files"
    store = FolderStore(folder)
    (folder / "link").symlink_to(tmp_path / "secret")
    assert store.names() == {}
    assert store.open("link") is StoreRefusal.NO_FILE


def test_a_medium_that_refuses_is_an_answer_and_no_exception() -> None:
    class Broken(MemoryMedium):
        broken = False

        def refuse(self, *arguments: object, **named: object) -> None:
            raise OSError(5, "input/output error")

    medium = Broken()
    store = FileStore(medium)
    store.save("a", b"abc")
    source = store.open("a")
    assert not isinstance(source, StoreRefusal)
    partial = store.partial("in-1-1")
    for name in ("names", "open", "read", "write", "truncate", "sync", "close", "rename", "remove", "sync_folder"):
        setattr(medium, name, medium.refuse)
    assert source.read(0, 3) is None
    assert store.open("a") is StoreRefusal.FAILED
    assert store.names() == {}
    assert store.save("b", b"x") is StoreRefusal.FAILED
    assert store.remove("a") is StoreRefusal.FAILED
    assert not store.keep("k", b"x")
    assert store.kept("k") is None
    assert not partial.sync()
    assert partial.exists() is None
    assert partial.read(0, 1) is None
    source.close()
    partial.discard()
    store.forget("k")


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 40), st.integers(0, 2**32 - 1))
def test_a_power_cut_leaves_the_old_file_or_the_new_one(dies_after: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    medium = CutMedium(rng)
    store = FileStore(medium)
    old, new = rng.bytes(3000), rng.bytes(2000)
    store.save("a", old)
    store.keep("k", b"old")
    medium.dies_at = medium.calls + dies_after
    saved = kept = False
    try:
        saved = store.save("a", new) is None
        kept = store.keep("k", b"new")
    except PowerCut:
        pass
    medium.restart()
    again = FileStore(medium)
    assert again.read("a") in ((new,) if saved else (old, new))
    assert again.kept("k") in ((b"new",) if kept else (b"old", b"new"))


def test_a_cut_while_numbers_are_reserved_gives_none_twice() -> None:
    given: set[int] = set()
    rng = np.random.default_rng(1)
    medium = CutMedium(rng)
    for _ in range(60):
        medium.dies_at = medium.calls + int(rng.integers(2, 20))
        try:
            numbers = SequenceNumbers(FileStore(medium), 4, lambda size: bytes(size))
            for _ in range(200):
                number = numbers.take()
                assert number not in given
                assert number is not None
                given.add(number)
        except PowerCut:
            medium.restart()


def test_numbers_begin_again_at_zero_after_the_last() -> None:
    numbers = SequenceNumbers(MemoryStore(), 1, lambda size: b"\xfe" * size)
    assert [numbers.take() for _ in range(4)] == [254, 255, 0, 1]


def test_a_folder_medium_writes_anywhere_and_fills_with_zeros(tmp_path: Path) -> None:
    for medium in (FolderMedium(tmp_path), MemoryMedium()):
        assert medium.open("x", create=False) is None
        handle = medium.open("x", create=True)
        assert handle is not None
        medium.write(handle, 4, b"data")
        assert medium.read(handle, 0, 99) == b"\0\0\0\0data"
        medium.truncate(handle, 6)
        medium.sync(handle)
        medium.close(handle)
        assert medium.names() == {"x": 6}
        medium.rename("x", "y")
        medium.remove("x")
        medium.sync_folder()
        assert medium.names() == {"y": 6}
