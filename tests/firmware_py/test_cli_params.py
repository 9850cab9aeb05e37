"""``qiki params``: list, set, activate, rollback and show on a folder and on an FRAM; refusals name the next step."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import firmware_py.cli.params_memory
from comms.parameters import PARAMETERS, SCHEMA, ParameterSets, decode
from drivers.bus.protocol import I2cBus
from drivers.errors import Cause, DeviceError
from fdir.boot import BootRecord, ResetReason
from firmware_py.boot_record import BOOT_SLOT, encode_boot
from firmware_py.cli.bench import Opened
from firmware_py.cli.params import params_app
from firmware_py.clock import SimClock
from firmware_py.parameters import PARAMETER_SLOT
from hal.nonvolatile import FileMemory, FolderFiles, wait_for
from hil.bus.i2c import SimI2cBus
from hil.chips.mb85rc256v import Mb85rc256v


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


def qiki(*arguments: str, columns: int = 120):
    return CliRunner().invoke(params_app, list(arguments), env={"COLUMNS": str(columns)})


def at(state: Path, *arguments: str):
    return qiki(*arguments, "--state", str(state))


def read(state: Path, *arguments: str) -> Any:
    return json.loads(at(state, *arguments, "--json").stdout)


def kept(state: Path) -> ParameterSets:
    payload = wait_for(FileMemory(FolderFiles(state)).load(PARAMETER_SLOT, 0)).payload
    assert payload is not None
    return decode(payload).sets


def store(state: Path, slot: int, payload: bytes) -> None:
    assert wait_for(FileMemory(FolderFiles(state)).store(slot, payload, 0)).error is None


@pytest.mark.parametrize("command", ["list", "set", "activate", "rollback", "show"])
def test_every_command_has_help_with_an_example(command: str) -> None:
    shown = qiki(command, "--help")
    assert shown.exit_code == 0
    assert f"qiki params {command}" in shown.output


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys, firmware_py.cli.params; "
        "print([m for m in ('numpy', 'msgspec', 'rich.table', 'hal.nonvolatile') if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_the_list_has_every_parameter_with_range_role_and_default(state: Path) -> None:
    shown = at(state, "list")
    assert shown.exit_code == 0
    for parameter in PARAMETERS:
        row = next(line for line in shown.stdout.splitlines() if parameter.name in line)
        assert parameter.authority.value in row
        assert parameter.allowed.split(",")[0] in row
    assert f"set 0, files in {state}" in shown.stdout.replace("\n", "")
    assert not state.exists(), "reading makes no folder"
    assert PARAMETERS[0].text in qiki("list", "--state", str(state), columns=220).stdout


def test_the_list_as_json_has_value_default_and_what_is_staged(state: Path) -> None:
    at(state, "set", "hold_deadband_deg", "1.5")
    at(state, "activate")
    at(state, "set", "hold_deadband_deg", "default")
    at(state, "set", "hold_deadband_m", "0.3")
    rows = {row["name"]: row for row in read(state, "list")["parameters"]}
    assert list(rows) == list(SCHEMA.by_name)
    assert rows["hold_deadband_deg"] == {
        "id": 3, "name": "hold_deadband_deg", "value": 1.5, "default": 0.5, "staged": 0.5, "unit": "deg",
        "allowed": "0.1..5 deg", "authority": "controller", "effect": "next command",
        "text": "half width of the attitude dead-band of a hold",
    }
    assert rows["hold_deadband_m"]["staged"] == 0.3
    assert rows["speed_share"]["staged"] is None
    assert "0.12 (staged: 0.3)" in at(state, "list").stdout


def test_a_value_is_staged_activated_and_taken_back(state: Path) -> None:
    shown = at(state, "set", "hold_deadband_deg", "1.5")
    assert shown.exit_code == 0
    text = shown.stdout.replace("\n", "")
    assert text == f"hold_deadband_deg 1.5 is staged; make it count: qiki params activate --state {state}"
    assert kept(state).staged == {3: 1.5}
    shown = at(state, "activate")
    assert shown.stdout.strip() == "set 1: hold_deadband_deg 0.5 -> 1.5; flown from the next start"
    assert kept(state) == ParameterSets(1, {3: 1.5}, {}, {})
    assert read(state, "rollback") == {
        "set": 2, "changed": {"hold_deadband_deg": 0.5}, "where": f"files in {state}",
    }
    assert kept(state) == ParameterSets(2, {}, {3: 1.5}, {})


@pytest.mark.parametrize(("arguments", "said", "next_step"), [
    (("set", "speed_share", "2"), "speed_share is 2; allowed: 0.05..1", "qiki params list has every parameter"),
    (("set", "nobody", "2"), "no parameter 'nobody'; parameters: speed_share", "qiki params list"),
    (("set", "command_loss_s", "900"), "takes the authority safety or higher, not engineer", "say --as safety"),
    (("set", "command_loss_s", "900", "--as", "boss"), "--as is 'boss'", "viewer, controller, engineer, safety"),
    (("activate",), "nothing is staged", "qiki params show"),
    (("rollback",), "there is no set to go back to", "qiki params show"),
])
def test_bad_input_changes_nothing_and_says_what_to_do(
    state: Path, arguments: tuple[str, ...], said: str, next_step: str,
) -> None:
    shown = at(state, *arguments)
    assert shown.exit_code == 2
    assert said in shown.stderr
    assert next_step in shown.stderr
    assert shown.stdout == ""
    assert not state.exists()


def test_who_activates_must_be_one_who_may_set_it(state: Path) -> None:
    shown = at(state, "set", "command_loss_s", "900", "--as", "safety")
    assert shown.stdout.strip().endswith("--as safety")
    refused = at(state, "activate")
    assert refused.exit_code == 2
    assert "command_loss_s takes the authority safety" in refused.stderr
    assert "--as" in refused.stderr
    assert at(state, "activate", "--as", "safety").exit_code == 0


def test_the_slots_are_shown_with_both_copies_and_the_starts(state: Path) -> None:
    empty = at(state, "show")
    assert empty.exit_code == 0
    assert empty.stdout.count("nothing") >= 4
    at(state, "set", "hold_deadband_deg", "1.5")
    at(state, "activate")
    at(state, "set", "arm_at_boot", "false", "--as", "safety")
    store(state, BOOT_SLOT, encode_boot(BootRecord(7, 3, False, True, 4, ResetReason.WATCHDOG)))
    shown = at(state, "show").stdout
    for line in ("copy a    whole, number 3", "copy b    whole, number 2", "set 1     hold_deadband_deg 1.5",
                 "before    defaults only", "staged    arm_at_boot false",
                 "starts    7, the last 3 in a row without a healthy time", "last good 4",
                 "next      SAFE, until acknowledged"):
        assert line in shown
    row = read(state, "show")
    assert row["parameters"]["active"] == {"hold_deadband_deg": 1.5}
    assert row["parameters"]["previous"] == {}
    assert row["parameters"]["staged"] == {"arm_at_boot": False}
    assert row["boot"] | {"copies": None} == {
        "copies": None, "starts": 7, "failed": 3, "clean": False, "latched": True, "last_good": 4, "reset": "watchdog",
        "problem": "",
    }


def spoil(state: Path, *names: str) -> None:
    for name in names:
        (state / name).write_bytes(b"not whole")


def test_a_broken_copy_is_shown_and_the_other_holds(state: Path) -> None:
    at(state, "set", "hold_deadband_deg", "1.5")
    at(state, "activate")
    spoil(state, "slot1a.bin")
    shown = at(state, "show")
    assert shown.exit_code == 0
    assert "copy a    broken: " in shown.stdout
    assert "set 1     hold_deadband_deg 1.5" in shown.stdout


def test_two_broken_copies_are_told_end_with_1_and_are_mended_by_what_is_set(state: Path) -> None:
    for _ in range(2):
        at(state, "set", "hold_deadband_deg", "1.5")
    store(state, BOOT_SLOT, b"none")
    spoil(state, "slot1a.bin", "slot1b.bin")
    for command in ("list", "show"):
        shown = at(state, command)
        assert shown.exit_code == 1
        assert "defaults are flown: slot 1 has no whole copy" in shown.stderr
        assert "set and activate values anew" in shown.stderr
    assert "the boot record is none, or another version's" in at(state, "show").stderr
    mended = at(state, "set", "hold_deadband_deg", "2")
    assert mended.exit_code == 0
    assert "replaced: defaults are flown" in mended.stderr
    assert kept(state).staged == {3: 2.0}


def test_what_another_software_stored_is_told(state: Path) -> None:
    store(state, PARAMETER_SLOT, b"another's")
    shown = at(state, "list")
    assert shown.exit_code == 1
    assert "the stored parameters are not readable" in shown.stderr


def test_a_broken_boot_record_is_told(state: Path) -> None:
    for _ in range(2):
        store(state, BOOT_SLOT, encode_boot(BootRecord(1, 1)))
    spoil(state, "slot0a.bin", "slot0b.bin")
    shown = at(state, "show")
    assert shown.exit_code == 1
    assert "boot record: slot 0 has no whole copy" in shown.stderr


def test_a_folder_that_cannot_be_written_to_is_told_with_1(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    shown = at(tmp_path / "file", "set", "hold_deadband_deg", "1.5")
    assert shown.exit_code == 1
    assert "--state" in shown.stderr


# -- a board's memory chip


class Bench:
    """A board's buses with an FRAM on them."""

    def __init__(self) -> None:
        self.chip = Mb85rc256v()
        self.refused: dict[str, tuple[DeviceError, str]] = {}

    @contextmanager
    def opened(self, board: object, profile: object) -> Iterator[Opened]:
        bus: I2cBus = SimI2cBus("i2c_b")
        bus.attach(0x50, self.chip)  # type: ignore[attr-defined]
        buses = {} if self.refused else {"i2c_b": bus}
        yield Opened(buses, buses, self.refused, {}, SimClock())


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Bench:
    one = Bench()
    monkeypatch.setattr(firmware_py.cli.params_memory, "opened_buses", one.opened)
    return one


def on_board(*arguments: str):
    return qiki(*arguments, "--board", "qiki-rpi")


def test_a_blank_fram_is_read_without_writing_to_it(bench: Bench) -> None:
    for command in ("list", "show"):
        assert on_board(command).exit_code == 0
    assert bench.chip.written == 0
    assert "fram on i2c_b" in on_board("show").stdout


def test_an_fram_is_set_activated_and_shown(bench: Bench) -> None:
    assert on_board("set", "hold_deadband_deg", "1.5").stdout.strip().endswith("activate --board qiki-rpi")
    assert on_board("activate").exit_code == 0
    shown = on_board("show").stdout
    assert shown.count("whole") == 2
    assert "set 1     hold_deadband_deg 1.5" in shown
    assert on_board("rollback").exit_code == 0


def test_a_broken_fram_is_told_with_1(bench: Bench) -> None:
    on_board("set", "hold_deadband_deg", "1.5")
    on_board("activate")
    for copy in range(2):
        bench.chip.upset((2 * PARAMETER_SLOT + copy) * 528 + 17, 2)
    shown = on_board("show")
    assert shown.exit_code == 1
    assert shown.stdout.count("broken") == 2
    assert "defaults are flown: slot 1 has no whole copy" in shown.stderr


def test_an_fram_that_does_not_answer_is_told_with_1(bench: Bench) -> None:
    bench.chip.powered = False
    shown = on_board("show")
    assert shown.exit_code == 1
    assert "fram on i2c_b: " in shown.stderr


def test_a_bus_that_is_not_there_is_told_with_1_and_what_to_do(bench: Bench) -> None:
    bench.refused = {"i2c_b": (DeviceError("i2c_b", None, Cause.ABSENT), "enable the bus")}
    shown = on_board("show")
    assert shown.exit_code == 1
    assert "bus i2c_b can't be opened" in shown.stderr
    assert "enable the bus" in shown.stderr


@pytest.mark.parametrize(("board", "said"), [("bench-rpi", "has no memory chip"), ("none-such", "none-such")])
def test_a_board_that_cannot_is_refused_with_2(board: str, said: str) -> None:
    shown = qiki("list", "--board", board)
    assert shown.exit_code == 2
    assert said in shown.stderr
