"""What was asked for: files that fit each other, refused by their own names; a mission that fits the craft."""

from __future__ import annotations

from pathlib import Path

import pytest

from firmware_py.install.config_files import Change, new_record, record
from firmware_py.install.layout import Layout
from firmware_py.install.request import (
    Asked,
    RequestError,
    chosen_files,
    effective_board,
    find_interpreter,
    units_of_board,
)
from firmware_py.install.system import HostSystem
from hal.profile import ConfigError
from tests.firmware_py.install.board import machine, new_board

LAYOUT = Layout()


@pytest.fixture
def system(tmp_path: Path) -> HostSystem:
    return HostSystem(tmp_path)


def put(system: HostSystem, asked: Asked) -> None:
    changes = chosen_files(system, LAYOUT, asked)
    for change in changes:
        if change.written_to:
            system.write(change.written_to, change.wanted)
    system.write(record(LAYOUT), new_record(system, LAYOUT, changes))


def test_what_ships_is_taken_where_nothing_is(system: HostSystem) -> None:
    changes = chosen_files(system, LAYOUT, Asked())
    assert {change.change for change in changes} == {Change.MAKE}
    assert effective_board(changes).board == "qiki-rpi"


def test_the_mission_that_ships_names_the_craft_that_was_chosen(system: HostSystem) -> None:
    changes = {change.path: change for change in chosen_files(system, LAYOUT, Asked("bench-rpi", "bench-12kg"))}
    assert b"body: bench-12kg\nboard: bench-rpi\n" in changes["/etc/qiki/mission.yaml"].wanted
    effective_board(list(changes.values()))


def test_a_craft_that_changes_takes_the_standing_by_along(system: HostSystem) -> None:
    put(system, Asked())
    changes = chosen_files(system, LAYOUT, Asked("bench-rpi", "bench-12kg"))
    assert {change.path: change.change for change in changes}["/etc/qiki/mission.yaml"] is Change.RENEW
    put(system, Asked(mission="first-flight"))
    kept = {change.path: change for change in chosen_files(system, LAYOUT, Asked(board="qiki-rpi"))}
    assert kept["/etc/qiki/mission.yaml"].change is Change.KEEP


def test_a_mission_of_another_craft_is_refused(system: HostSystem) -> None:
    with pytest.raises(ConfigError, match=r"/etc/qiki/mission\.yaml: body: is qiki-t; the craft is bench-12kg"):
        effective_board(chosen_files(system, LAYOUT, Asked("bench-rpi", "bench-12kg", "first-flight")))


def test_a_wrong_board_file_is_refused_by_its_own_name_and_line(system: HostSystem, tmp_path: Path) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text("schema_version: 1\nboard: bad\nrates: {fast_hz: 200}\n")
    with pytest.raises(ConfigError, match=r"/etc/qiki/board\.yaml:3"):
        effective_board(chosen_files(system, LAYOUT, Asked(board=str(bad))))


def test_a_changed_file_that_stays_is_what_is_checked(system: HostSystem) -> None:
    put(system, Asked())
    system.write("/etc/qiki/board.yaml", b"board: broken\n")
    with pytest.raises(ConfigError, match=r"/etc/qiki/board\.yaml"):
        effective_board(chosen_files(system, LAYOUT, Asked(board="qiki-rpi")))


@pytest.mark.parametrize("asked", [Asked(board="nobody"), Asked(body="nobody"), Asked(mission="nobody")])
def test_a_name_nobody_knows_is_refused_with_those_that_ship(system: HostSystem, asked: Asked) -> None:
    with pytest.raises(ConfigError, match="shipped"):
        chosen_files(system, LAYOUT, asked)


def test_a_file_that_is_not_there(system: HostSystem) -> None:
    with pytest.raises(RequestError, match="No such file"):
        chosen_files(system, LAYOUT, Asked(board="/nowhere/board.yaml"))


def test_the_python_is_the_systems_own(tmp_path: Path) -> None:
    system = HostSystem(tmp_path)
    with pytest.raises(RequestError, match="no Python"):
        find_interpreter(system, None, True)
    (tmp_path / "usr/bin").mkdir(parents=True)
    for minor in (9, 11, 13):
        (tmp_path / f"usr/bin/python3.{minor}").write_text("")
    assert find_interpreter(system, None, True).version == "3.13"
    (tmp_path / "usr/bin/python3").symlink_to("python3.11")
    found = find_interpreter(system, None, False)
    assert find_interpreter(system, "/usr/bin/python3", False) == found
    assert (found.path, found.version, found.native, found.tag) == ("/usr/bin/python3.11", "3.11", False, "cpython-311")
    with pytest.raises(RequestError, match="no name"):
        find_interpreter(system, "/usr/bin/perl", True)


def test_processors_of_the_running_board_alone_are_known(tmp_path: Path) -> None:
    board = new_board(tmp_path / "root")
    config = effective_board(chosen_files(board, LAYOUT, Asked()))
    assert any("CPUAffinity=3" in text for text in units_of_board(board, config, machine(board.root)).values())
    image = HostSystem(board.root)
    assert not any("CPUAffinity" in text for text in units_of_board(image, config, machine(board.root)).values())
