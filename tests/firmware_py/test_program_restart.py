"""A restart that the core orders ends the program: run stops, valves are shut, lines low, and the manager is told."""

from __future__ import annotations

import msgspec

from fdir.codes import Code
from fdir.fault_table import FaultTable, RungConfig, load_fault_table
from fdir.recovery import Step
from firmware_py.clock import NullMeter, SimClock
from firmware_py.computer_health import ComputerHealth, HealthSample
from firmware_py.journal import NoJournal
from firmware_py.mission import parse_epoch
from firmware_py.program import RESTART_EXIT, STUCK_NS, WIND_DOWN_NS, Program, fit_window
from firmware_py.scheduler import Member, RateGroup
from firmware_py.sd_notify import Notifier
from hil.plant.world import InitialState
from hil.rig import Rig
from tests.firmware_py.rig_craft import EPOCH, FIRST_FLIGHT, NOT_BLINDED, RESTING, SECOND, Craft


class Computer:
    """A computer whose memory goes at a given time of flight."""

    def __init__(self, clock: SimClock, lost_at_s: float | None) -> None:
        self._clock = clock
        self._lost_at_s = lost_at_s

    def look(self) -> HealthSample:
        lost = self._lost_at_s is not None and self._clock.now_ns() >= self._lost_at_s * SECOND
        return HealthSample(False, 5.0 if lost else 3000.0, 8000.0)


class Run:
    """One run of a program under a service manager."""

    def __init__(self, lost_at_s: float | None) -> None:
        table = load_fault_table()
        rows = tuple(
            msgspec.structs.replace(row, recovery=(RungConfig(Step.RESTART),)) if row.id == "memory-low" else row
            for row in table.rows
        )
        epoch_ns = parse_epoch(EPOCH)
        profile = fit_window(FIRST_FLIGHT)
        self.rig = Rig(profile, InitialState(epoch=epoch_ns, quaternion=NOT_BLINDED), 1)
        self.clock = SimClock(epoch_ns, self.rig.advance)
        self.journal = NoJournal()
        self.words: list[str] = []
        self.program = Program(
            profile, RESTING, self.rig.buses, self.clock, NullMeter(), self.journal,
            faults=FaultTable(rows, table.digest),
            health=ComputerHealth(Computer(self.clock, lost_at_s), self.clock.utc_ns, self.clock.now_ns),
            manager=Notifier("/run/notify", 2 * SECOND, lambda data, _: self.words.append(data.decode())),
        )
        self.ordered = self.program.run(8 * SECOND)

    @property
    def lines(self) -> list[bool]:
        """Levels of enable and arm line."""
        names, gpio = self.rig.profile.board.lines, self.rig.buses["gpio"]
        return [gpio.get(names.valve_enable), gpio.get(names.valve_arm)]


def test_a_program_that_is_well_runs_to_its_end_and_signs_its_life() -> None:
    run = Run(None)
    assert not run.ordered
    assert run.clock.now_ns() == 8 * SECOND - SECOND // 200
    assert run.words[:2] == ["WATCHDOG_USEC=10000000", "READY=1"]
    # In Boot the manager waits longer: when that is over it is told once.
    assert run.words.count("WATCHDOG=1") == 8
    assert run.words.index("WATCHDOG_USEC=2000000") in (3, 4, 5)
    assert len(run.words) == 11
    assert run.lines == [True, True]


def test_an_ordered_restart_ends_the_run_and_leaves_nothing_armed() -> None:
    run = Run(4.0)
    assert run.ordered
    assert run.program.restart_ordered
    assert 5.0 <= run.clock.now_ns() / SECOND <= 6.0
    assert [str(code) for _, code, _, _ in run.journal.events].count("RESTART_ORDERED") == 1
    run.program.end()
    assert run.words[-1] == "STOPPING=1"
    assert run.lines == [False, False]
    nodes = run.rig.nodes.values()
    # Nobody beats any more: the nodes leave operational by themselves.
    run.rig.advance(run.clock.now_ns() + SECOND)
    assert run.rig.truth().open_mask == 0
    assert len(nodes) == 2


def test_the_exit_code_is_one_that_the_manager_starts_again() -> None:
    assert RESTART_EXIT == 75


class Breaking:
    """A critical member that fails from a moment on."""

    def __init__(self) -> None:
        self.broken = False

    def step(self, _now_ns: int) -> None:
        if self.broken:
            raise ValueError("broken")


def stuck_craft() -> tuple[Craft, Breaking]:
    breaking = Breaking()
    return Craft(more_members=[Member("vital", breaking.step, RateGroup.FAST, 0, 100, True)]).boot(), breaking


def test_a_critical_member_that_is_stuck_for_a_second_ends_the_program() -> None:
    craft, breaking = stuck_craft()
    breaking.broken = True
    took_s = craft.until(lambda: craft.program.restart_ordered)
    assert STUCK_NS / SECOND <= took_s <= STUCK_NS / SECOND + 0.05
    assert craft.texts("RESTART_ORDERED") == ["a critical member is stuck"]
    assert craft.program.run(craft.clock.now_ns() + SECOND)


def test_a_member_that_recovers_in_time_ends_nothing() -> None:
    craft, breaking = stuck_craft()
    breaking.broken = True
    craft.run(0.9)
    breaking.broken = False
    craft.run(2.0)
    assert not craft.program.restart_ordered


def test_a_craft_that_kept_restarting_is_not_restarted_for_a_stuck_member() -> None:
    craft, breaking = stuck_craft()
    assert craft.software.facts is not None
    craft.software.supervisor.enter_safe(Code.BOOT_LOOP, craft.software.facts)
    breaking.broken = True
    craft.run(3.0)
    assert not craft.program.restart_ordered


def test_a_clean_stop_is_noted_and_leaves_nothing_armed() -> None:
    craft = Craft().boot()
    retained = craft.program.retained
    assert retained.boot.record is not None
    assert not retained.boot.record.clean
    before_ns = craft.clock.now_ns()
    craft.program.wind_down()
    assert retained.boot.record.clean
    assert not retained.busy
    assert craft.clock.now_ns() - before_ns <= WIND_DOWN_NS
    lines = craft.profile.board.lines
    assert not craft.rig.buses["gpio"].get(lines.valve_arm)
    assert not craft.rig.buses["gpio"].get(lines.valve_enable)
