"""The owner's files: made, renewed while untouched, and never written over once changed."""

from __future__ import annotations

from pathlib import Path

import pytest

from firmware_py.install.config_files import Change, changes_of, new_record, record
from firmware_py.install.layout import Layout
from firmware_py.install.system import HostSystem

LAYOUT = Layout()
PATH = "/etc/qiki/board.yaml"


@pytest.fixture
def system(tmp_path: Path) -> HostSystem:
    return HostSystem(tmp_path)


def one(system: HostSystem, content: bytes, asked: bool = True):
    [change] = changes_of(system, LAYOUT, {"board.yaml": (content, asked)})
    return change


def write(system: HostSystem, content: bytes) -> None:
    change = one(system, content)
    system.write(change.written_to or "", change.wanted)
    system.write(record(LAYOUT), new_record(system, LAYOUT, [change]))


def test_a_missing_file_is_made(system: HostSystem) -> None:
    change = one(system, b"a", asked=False)
    assert (change.change, change.written_to, change.effective) == (Change.MAKE, PATH, b"a")


def test_an_untouched_file_is_renewed(system: HostSystem) -> None:
    write(system, b"a")
    change = one(system, b"b")
    assert (change.change, change.written_to, change.effective) == (Change.RENEW, PATH, b"b")


def test_a_changed_file_stays(system: HostSystem) -> None:
    write(system, b"a")
    system.write(PATH, b"mine")
    change = one(system, b"b")
    assert (change.change, change.written_to, change.effective) == (Change.BESIDE, f"{PATH}.new", b"mine")


def test_a_file_that_was_there_before_any_installation_stays(system: HostSystem) -> None:
    system.write(PATH, b"mine")
    assert one(system, b"b").change is Change.BESIDE


@pytest.mark.parametrize("asked", [True, False])
def test_nothing_is_done_where_nothing_differs_or_nothing_was_asked(system: HostSystem, asked: bool) -> None:
    write(system, b"a")
    change = one(system, b"a" if asked else b"b", asked)
    assert (change.change, change.written_to, change.effective) == (Change.KEEP, None, b"a")


@pytest.mark.parametrize("text", [b"\xff", b"[]", b"{", b"null"])
def test_a_damaged_record_protects_every_file(system: HostSystem, text: bytes) -> None:
    write(system, b"a")
    system.write(record(LAYOUT), text)
    assert one(system, b"b").change is Change.BESIDE


def test_what_went_beside_is_not_taken_for_the_file(system: HostSystem) -> None:
    write(system, b"a")
    system.write(PATH, b"mine")
    change = one(system, b"b")
    system.write(record(LAYOUT), new_record(system, LAYOUT, [change]))
    system.write(PATH, b"b2")
    assert one(system, b"c").change is Change.BESIDE
