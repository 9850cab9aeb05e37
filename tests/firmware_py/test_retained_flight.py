"""A whole craft on the rig whose program is started again: it knows its parameters, and that it keeps restarting."""

from __future__ import annotations

from collections.abc import Callable
from math import degrees, isclose
from pathlib import Path

import numpy as np
import pytest

from comms.dictionary import COMMANDS
from comms.parameters import SCHEMA
from fdir.codes import Code
from fdir.fault_table import find_fault_table
from firmware_py.cli.rig_computer import ComputerClock
from firmware_py.cli.rig_restart import open_anew
from firmware_py.cli.session import shipped_faults
from firmware_py.clock import NullMeter
from firmware_py.journal import NoJournal
from firmware_py.program import Program
from hil.disk import SimDisk
from tests.firmware_py.rig_craft import RESTING, Craft


class Restarted(Craft):
    """A craft whose program can be ended at any moment and started again; world, chips and disk go on."""

    def __init__(self) -> None:
        super().__init__()
        self.disk = SimDisk(np.random.default_rng(1))

    def restart(self, fault_file: Path | None = None) -> Restarted:
        open_anew(self.rig)
        self.journal = NoJournal()
        clock = ComputerClock(self.clock, self.clock.now_ns())
        self.program = Program(
            self.profile, RESTING, self.rig.buses, clock, NullMeter(), self.journal, files=self.disk,
            faults=None if fault_file is not None else shipped_faults(), fault_file=fault_file,
        )
        self.software, self.hardware = self.program.software, self.program.hardware
        return self

    def give(self, command: str, **arguments: str) -> tuple[Code, ...]:
        """One command as a step of the mission gives it; returns what spoke against it."""
        facts, software = self.software.facts, self.software
        assert facts is not None
        return software.commander.order(
            command, arguments, "test", software.now_ns, software.estimator.nav, facts
        ).codes

    def settle(self) -> Restarted:
        self.until(lambda: self.program.retained.settled and not self.program.retained.busy)
        return self


@pytest.fixture
def craft() -> Restarted:
    return Restarted().settle()


def test_the_memory_chip_of_the_board_is_used_and_not_the_disk(craft: Restarted) -> None:
    craft.restart().settle()
    assert craft.disk.names() == []
    record = craft.program.retained.boot.record
    assert record is not None
    assert record.starts == 2


def test_no_valve_is_armed_before_the_start_is_noted() -> None:
    craft = Restarted()
    while not any(node.armed for node in craft.hardware.propulsion.state().nodes):
        craft.program.run_tick()
        assert craft.program.retained.settled or craft.motion == "Boot"
        assert craft.now_s < 20.0
    assert craft.program.retained.settled


def test_parameters_set_by_command_count_and_outlive_a_restart(craft: Restarted) -> None:
    craft.boot()
    before = craft.software.commander.limits.attitude_deadband_rad
    assert craft.give("param_set", name="hold_deadband_deg", value="1.5") == ()
    assert craft.give("param_set", name="hold_deadband_deg", value="15") == (Code.PARAM_INVALID,)
    assert craft.give("param_set", name="command_loss_s", value="900") == ()
    assert craft.software.commander.limits.attitude_deadband_rad == before
    assert craft.give("param_activate") == ()
    assert isclose(degrees(craft.software.commander.limits.attitude_deadband_rad), 1.5)
    assert craft.software.limits.command_loss_s == 900.0
    craft.settle().restart()
    assert craft.software.commander.limits.attitude_deadband_rad == before
    craft.settle()
    assert isclose(degrees(craft.software.commander.limits.attitude_deadband_rad), 1.5)
    assert craft.software.limits.command_loss_s == 900.0
    craft.until(lambda: craft.motion == "Idle")
    assert craft.give("param_rollback") == ()
    assert craft.software.commander.limits.attitude_deadband_rad == before
    assert craft.software.limits.command_loss_s == 600.0


def test_every_parameter_reaches_the_flight_software(craft: Restarted) -> None:
    chosen: dict[str, str] = {"sensor_profile": "eco", "arm_at_boot": "false"}
    for parameter in SCHEMA.parameters:
        low, high, default = parameter.low, parameter.high, parameter.default
        text = chosen.get(parameter.name) or f"{low if low != default else high:g}"
        assert craft.program.retained.parameters.set(parameter.name, text, COMMANDS["fault_clear"].authority) == ()
    assert craft.program.retained.parameters.activate(COMMANDS["fault_clear"].authority) == ()
    craft.settle().restart().settle()
    assert str(Code.PARAM_INVALID) not in craft.codes
    software = craft.software
    assert software.telemetry_every == 20
    assert software.self_test_limit_ns == 5_000_000_000
    assert not software.commander.arming
    assert craft.program.retained.boot.policy.limit == 2
    assert craft.program.retained.boot.policy.healthy_ns == 10_000_000_000
    craft.until(lambda: craft.motion == "Idle")
    craft.run(2.0)
    assert not craft.hardware.propulsion.state().armed


def loop(craft: Restarted, starts: int) -> None:
    for _ in range(starts):
        craft.restart().settle()


def test_the_fourth_start_in_a_row_goes_to_safe_until_it_is_acknowledged(craft: Restarted) -> None:
    loop(craft, 2)
    craft.until(lambda: craft.motion != "Boot")
    assert craft.motion == "Idle"
    loop(craft, 1)
    craft.until(lambda: craft.motion != "Boot")
    craft.run(0.5)
    assert craft.motion == "SAFE"
    assert Code.BOOT_LOOP in craft.software.supervisor.keeper.reasons
    assert any("start 4: 3 starts in a row did not last" in text for text in craft.texts(str(Code.BOOT_LOOP)))
    loop(craft, 1)
    craft.until(lambda: craft.motion == "SAFE")
    assert Code.BOOT_LOOP in craft.software.supervisor.keeper.reasons
    craft.run(1.0)
    assert craft.give("safe_acknowledge") == ()
    craft.run(0.5)
    assert not craft.program.retained.boot_loop
    craft.settle().restart().settle()
    assert not craft.program.retained.boot_loop


def broken(craft: Restarted) -> None:
    cells = craft.rig.chips["fram"].memory
    for copy in range(4):
        cells[copy * 528 + 16] ^= 0x10


def silent(craft: Restarted) -> None:
    chip = craft.rig.chips["fram"]
    chip.powered = False
    chip.reset = lambda: None


@pytest.mark.parametrize("harm", [broken, silent])
def test_a_craft_boots_with_its_defaults_whatever_has_become_of_its_memory(
    craft: Restarted, harm: Callable[[Restarted], None],
) -> None:
    craft.give("param_set", name="hold_deadband_deg", value="1.5")
    craft.give("param_activate")
    craft.settle().restart().settle()
    harm(craft)
    craft.restart()
    craft.until(lambda: craft.motion != "Boot", limit_s=15.0)
    assert craft.program.retained.parameters.values == SCHEMA.defaults
    assert str(Code.PARAM_INVALID) in craft.codes


def test_a_fault_table_that_cannot_be_flown_is_told_and_the_last_good_one_flies(tmp_path: Path) -> None:
    given = tmp_path / "faults.yaml"
    shipped = find_fault_table().read_text(encoding="utf-8")
    given.write_text(shipped.replace("id: rate-runaway,", "id: runaway-of-rates,"), encoding="utf-8")
    craft = Restarted().restart(given)
    assert "runaway-of-rates" in craft.software.supervisor.bank.names()
    assert craft.texts(Code.FAULT_TABLE_REFUSED) == []
    given.write_text(shipped.replace("monitor: body_rate,", "monitor: nothing,"), encoding="utf-8")
    craft.restart(given)
    assert "runaway-of-rates" in craft.software.supervisor.bank.names()
    (text,) = craft.texts(Code.FAULT_TABLE_REFUSED)
    assert f"{given}:" in text
    assert "there is no monitor 'nothing'" in text
    assert text.endswith("the last good table is flown")
