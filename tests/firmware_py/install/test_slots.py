"""Slots: an environment that works, filled from the wheelhouse alone, and whole only when all of it is."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import pytest

from firmware_py.install.layout import Layout
from firmware_py.install.slots import Interpreter, SlotError, SlotPlan, build, identity, prove, slot_record
from firmware_py.install.wheelhouse import MACHINES, host_arch
from tests.firmware_py.install.board import Board, new_board, wheelhouse

LAYOUT = Layout()
MODULE = "/usr/lib/python3/dist-packages/spidev.cpython-311-aarch64-linux-gnu.so"


@pytest.fixture
def board(tmp_path: Path) -> Board:
    return new_board(tmp_path / "root")


@pytest.fixture
def plan(tmp_path: Path) -> SlotPlan:
    return SlotPlan(
        "b", wheelhouse(tmp_path / "house", "1.0"), Interpreter("/usr/bin/python3.11", "3.11", True),
        {"system/qiki-flight.service.d/10-board.conf": "[Service]\n"}, {"board.yaml": b"board"},
    )


def test_a_slot_is_an_environment_of_its_own(board: Board, plan: SlotPlan) -> None:
    build(board, LAYOUT, plan)
    slot = board.at("/opt/qiki/b")
    assert (slot / "pyvenv.cfg").read_text().startswith("home = /usr/bin\ninclude-system-site-packages = false\n")
    assert os.readlink(slot / "bin/python") == "/usr/bin/python3.11"
    assert (slot / "bin/qiki").read_text().startswith("#!/opt/qiki/b/bin/python\n")
    assert (slot / "bin/qiki").stat().st_mode & 0o111
    assert (slot / "share/units/system/qiki-flight.service.d/10-board.conf").exists()
    record = slot_record(board, LAYOUT, "b")
    assert record is not None
    assert record["version"] == "1.0"
    assert record["identity"] == identity(plan, LAYOUT)
    pip = next(line for line in board.commands if " pip " in line)
    assert "--no-index --target" in pip
    assert "http" not in pip


def test_the_word_that_it_is_whole_comes_after_the_medium_has_all(board: Board, plan: SlotPlan) -> None:
    build(board, LAYOUT, plan)
    assert board.steps[-2:] == ["sync", "write /opt/qiki/b/SLOT.json"]


def test_what_was_in_the_slot_before_is_gone(board: Board, plan: SlotPlan) -> None:
    board.write("/opt/qiki/b/old.py", b"")
    build(board, LAYOUT, plan)
    assert board.read("/opt/qiki/b/old.py") is None


def test_another_prefix_is_in_every_unit(board: Board, plan: SlotPlan) -> None:
    build(board, Layout("/srv/craft"), plan)
    for path in board.at("/srv/craft/b/share/units").rglob("*"):
        assert not path.is_file() or b"/opt/qiki" not in path.read_bytes(), path


@pytest.mark.parametrize("prefix", ["opt", "/opt/", "/opt/a b", '/opt/"x', "/opt/%i", ""])
def test_a_prefix_that_units_cannot_name_is_refused(prefix: str) -> None:
    with pytest.raises(ValueError, match="allowed"):
        Layout(prefix)


def test_spidev_comes_from_debian_where_there_is_no_wheel(board: Board, plan: SlotPlan, tmp_path: Path) -> None:
    board.write(MODULE, b"ELF")
    bare = wheelhouse(tmp_path / "bare", "1.0", spidev=False)
    build(board, LAYOUT, dataclasses.replace(plan, wheelhouse=bare, needs=("spidev",)))
    assert board.read(f"/opt/qiki/b/lib/python3.11/site-packages/{Path(MODULE).name}") == b"ELF"


def test_spidev_that_cannot_be_built_names_debians_package(board: Board, plan: SlotPlan, tmp_path: Path) -> None:
    bare = dataclasses.replace(plan, wheelhouse=wheelhouse(tmp_path / "bare", "1.0", spidev=False), needs=("spidev",))
    other = next(name for name in MACHINES if name != host_arch())
    foreign = dataclasses.replace(bare, wheelhouse=dataclasses.replace(bare.wheelhouse, arch=other))
    with pytest.raises(SlotError, match="spidev") as error:
        build(board, LAYOUT, foreign)
    assert error.value.next_step == "sudo apt install python3-spidev"
    build(board, LAYOUT, dataclasses.replace(foreign, needs=()))


def test_for_another_architecture_pip_is_told_so(board: Board, plan: SlotPlan) -> None:
    other = next(name for name in MACHINES if name != host_arch())
    build(board, LAYOUT, dataclasses.replace(plan, wheelhouse=dataclasses.replace(plan.wheelhouse, arch=other)))
    pip = next(line for line in board.commands if " pip " in line)
    assert f"manylinux2014_{MACHINES[other]}" in pip
    assert "--only-binary :all:" in pip


def test_another_python_reads_no_byte_code_of_this_one(board: Board, plan: SlotPlan) -> None:
    build(board, LAYOUT, dataclasses.replace(plan, interpreter=Interpreter("/usr/bin/python3.99", "3.99", False)))
    assert "--no-compile" in next(line for line in board.commands if " pip " in line)


def test_what_is_not_for_this_computer_is_not_run(board: Board, plan: SlotPlan) -> None:
    board.proof = 1
    prove(board, LAYOUT, dataclasses.replace(plan, interpreter=Interpreter("/usr/bin/python3.11", "3.11", False)))
    with pytest.raises(SlotError, match="does not work with these files"):
        prove(board, LAYOUT, plan)


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b'{"version": "1"}'])
def test_a_slot_without_its_word_is_not_whole(board: Board, text: bytes) -> None:
    board.write("/opt/qiki/a/SLOT.json", text)
    assert slot_record(board, LAYOUT, "a") is None


def test_the_identity_changes_with_what_makes_a_slot(plan: SlotPlan) -> None:
    known = {identity(plan, LAYOUT), identity(plan, Layout("/srv/x"))}
    known.add(identity(dataclasses.replace(plan, drop_ins={}), LAYOUT))
    known.add(identity(dataclasses.replace(plan, interpreter=Interpreter("/usr/bin/python3.13", "3.13", True)), LAYOUT))
    assert len(known) == 4
    assert identity(dataclasses.replace(plan, name="a"), LAYOUT) in known
