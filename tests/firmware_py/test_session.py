"""One flight on the rig: refused before anything is written, repeatable to the last byte, readable after any cut."""

from __future__ import annotations

import itertools
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
import pytest

from fdir.codes import Code
from fdir.fault_table import FaultTable, RungConfig, load_fault_table
from fdir.modes import Motion
from fdir.recovery import Step
from firmware_py.cli.session import FlightResult, RigFlight, all_done, check_mission, new_folder
from firmware_py.mission import ExpectConfig, FaultConfig, InitialConfig, MissionConfig, StepConfig
from firmware_py.recorder import RecordError
from firmware_py.recorder.reader import read_flight
from firmware_py.recorder.ring import read_ring
from firmware_py.report.parts import joined
from hal.profile import ConfigError
from hil.bus.gpio import SimGpioBus
from tests.firmware_py.rig_craft import EPOCH, FIRST_FLIGHT, SECOND

SHORT = MissionConfig(
    schema_version=1, mission="short", description="Boots and takes a small tumble out", body="qiki-t",
    board="qiki-rpi", epoch=EPOCH, duration_s=4.0,
    initial=InitialConfig(rate_deg_s=(2.0, -1.0, 1.0), attitude_deg=(25.0, -10.0, 140.0), loads_off=("radar", "nbl")),
    steps=(StepConfig("boot", wait_for="Idle"), StepConfig("detumble", command="detumble")),
)


def mission(**changes: Any) -> MissionConfig:
    return msgspec.structs.replace(SHORT, **changes)


def fly(folder: Path, seed: int = 1, **changes: Any) -> FlightResult:
    return RigFlight(mission(**changes), FIRST_FLIGHT, folder, seed).run()


def digests(folder: Path) -> dict[str, str]:
    """Of every file of a flight, later parts included, by its path in the folder."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def flown(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A flight that every test may read and none may change."""
    folder = tmp_path_factory.mktemp("flown") / "short"
    fly(folder)
    return folder


# -- determinism and crashes


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(flown: Path, tmp_path: Path) -> None:
    fly(tmp_path / "again")
    fly(tmp_path / "other", seed=2)
    same, other = digests(tmp_path / "again"), digests(tmp_path / "other")
    assert same == digests(flown)
    assert sorted(same) == ["flight.mcap", "ring-fast.bin", "ring-medium.bin"]
    assert other["flight.mcap"] != same["flight.mcap"]


def test_a_meter_that_measures_changes_nothing_in_the_file(flown: Path, tmp_path: Path) -> None:
    from firmware_py.clock import NullMeter

    RigFlight(SHORT, FIRST_FLIGHT, tmp_path / "unmeasured", 1, meter=NullMeter()).run()
    assert digests(tmp_path / "unmeasured") == digests(flown)


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_a_file_cut_on_the_way_is_read_up_to_the_cut(flown: Path, tmp_path: Path, share: float) -> None:
    data = (flown / "flight.mcap").read_bytes()
    cut = tmp_path / "cut.mcap"
    cut.write_bytes(data[: round(share * len(data))])
    whole, part = read_flight(flown / "flight.mcap"), read_flight(cut)
    assert not part.complete
    assert part.header["mission"] == "short"
    kept, all_ = part.rows("/bus"), whole.rows("/bus")
    assert 0.5 * share < len(kept) / len(all_) < 1.0
    assert kept == all_[: len(kept)]


def test_the_rings_hold_the_end_of_the_flight(flown: Path) -> None:
    fast = read_ring(flown / "ring-fast.bin")
    assert (fast.corrupt, fast.missing) == (0, 0)
    ends = read_flight(flown / "flight.mcap").rows("/bus")[-1].t_ns
    assert fast.records[-1].t_ns == ends


def test_every_tick_of_the_flight_has_its_bus_transfers(flown: Path) -> None:
    times = [record.t_ns for record in read_flight(flown / "flight.mcap").messages("/bus")]
    assert times == [tick * SECOND // 200 for tick in range(len(times))]


def test_the_result_says_how_it_went(tmp_path: Path) -> None:
    steps = (SHORT.steps[0], StepConfig("wait", wait_for="nothing"))
    result = fly(tmp_path / "f", steps=steps, duration_s=60.0)
    assert all_done(result.steps, 2)
    assert result.flight_s == pytest.approx(result.steps[-1].end_ns / SECOND + 0.5, abs=0.11)
    assert result.pulse_rule_violations == 0
    assert result.times_real > 0.0
    assert not all_done(result.steps[:1], 2)


# -- faults at their time


def faults_of(folder: Path) -> list[tuple[float, str]]:
    rows = read_flight(folder / "flight.mcap").rows("/event")
    return [(row.t_ns / SECOND, row.value["text"]) for row in rows if row.value["code"] == "RIG_FAULT"]


def test_faults_begin_and_end_in_the_tick_they_are_due_in(tmp_path: Path) -> None:
    faults = (
        FaultConfig("eclipse", at_s=2.5, for_s=0.25),
        FaultConfig("panel", after_step="boot", delay_s=0.1, parameters={"factor": 0.5}),
        FaultConfig("soc_battery", at_s=0.0, parameters={"value": 0.5}),
    )
    result = fly(tmp_path / "f", faults=faults, duration_s=3.0)
    [boot] = [step for step in result.steps if step.name == "boot"]
    assert faults_of(tmp_path / "f") == [
        (0.005, "soc_battery value 0.5"), (pytest.approx(boot.end_ns / SECOND + 0.1, abs=1e-9), "panel factor 0.5"),
        (2.5, "eclipse"), (2.75, "eclipse ended"),
    ]


def test_late_computing_ends_inside_its_tick_and_is_counted_there(tmp_path: Path) -> None:
    late = FaultConfig("cpu_late", at_s=1.5, parameters={"ms": 6, "ticks": 4})
    result = fly(tmp_path / "f", faults=(late,), duration_s=3.0)
    assert result.timing.late_ticks == 4
    assert result.timing.late_in_row_max == 4
    assert result.timing.lost_ticks == 0
    late = FaultConfig("cpu_late", at_s=1.5, parameters={"ms": 12, "ticks": 1})
    result = fly(tmp_path / "g", faults=(late,), duration_s=3.0)
    assert (result.timing.late_ticks, result.timing.lost_ticks) == (1, 1)


# -- a restart inside the flight


def killed(kind: str = "process_kill", at_s: float = 2.0, for_s: float | None = 1.0) -> FaultConfig:
    return FaultConfig(kind, at_s=at_s, for_s=for_s)


def events_of(folder: Path, code: str) -> list[float]:
    """When, in s from the first start, events of one code were told in any part."""
    return [t_ns / SECOND for t_ns, row in joined(read_flight(folder / "flight.mcap")).events if row["code"] == code]


class Levels:
    """Levels of kick, enable and arm line, driven valves and whether the program runs, at every move of the world."""

    def __init__(self, flight: RigFlight) -> None:
        self.rows: list[tuple[float, tuple[bool, ...], int, bool]] = []
        lines = flight.profile.board.lines
        self._names = (lines.valve_enable, lines.valve_arm)
        self._gpio = next(bus for bus in flight.rig.buses.values() if isinstance(bus, SimGpioBus))
        flight.observer = self

    def __call__(self, flight: RigFlight, t_ns: int) -> None:
        levels = tuple(self._gpio.get(name) for name in self._names)
        self.rows.append((t_ns / SECOND, levels, flight.rig.truth().open_mask, flight.running))

    def between(self, start_s: float, end_s: float) -> list[tuple[float, tuple[bool, ...], int, bool]]:
        return [row for row in self.rows if start_s <= row[0] < end_s]


@pytest.mark.parametrize("kind", ["process_kill", "power_cut"])
def test_a_restart_too_is_the_same_to_the_last_byte(kind: str, tmp_path: Path) -> None:
    jump = FaultConfig("clock_jump", at_s=4.0, parameters={"s": 5})
    faults = (killed(kind), FaultConfig("disk_full", at_s=4.5), jump)
    for name in ("one", "two"):
        fly(tmp_path / name, faults=faults, duration_s=6.0)
    same = digests(tmp_path / "one")
    assert same == digests(tmp_path / "two")
    assert len(same) == 9
    assert {"flight.mcap", "part-2/flight.mcap", "part-3/flight.mcap"} < set(same)


def test_the_world_flies_on_and_a_new_program_boots_from_what_is_left(tmp_path: Path) -> None:
    result = fly(tmp_path / "f", faults=(killed(),), duration_s=6.0)
    whole = joined(read_flight(tmp_path / "f" / "flight.mcap"))
    gaps = [(a / SECOND, (b - a) / SECOND) for (a, _), (b, _) in itertools.pairwise(whole.truth) if b - a > 60_000_000]
    # What was in the open chunk of the black box is gone with the program; of the rest there is every row.
    assert all(1.0 < at_s < 2.0 < at_s + gap_s <= 2.1 for at_s, gap_s in gaps), gaps
    assert len(gaps) <= 1
    assert [t_ns for t_ns, _ in whole.snapshots] == sorted(t_ns for t_ns, _ in whole.snapshots)
    assert [step.name for step in result.steps] == ["boot"]
    first, second = read_flight(tmp_path / "f" / "flight.mcap"), read_flight(tmp_path / "f" / "part-2" / "flight.mcap")
    assert (first.complete, second.complete) == (False, True)
    assert (second.header["start"], second.header["steps"]) == (2, 1)
    assert second.epoch_ns - first.epoch_ns == 3 * SECOND
    assert events_of(tmp_path / "f", "SELF_TEST_PASSED") == [pytest.approx(1.515), pytest.approx(4.515)]
    assert result.events == len(whole.events)


def test_the_flight_ends_when_the_craft_has_waited_in_idle(tmp_path: Path) -> None:
    result = fly(tmp_path / "f", faults=(killed(),), duration_s=60.0)
    assert [step.name for step in result.steps] == ["boot", "restarted"]
    restarted = result.steps[-1]
    assert restarted.start_ns == pytest.approx(3.01 * SECOND, abs=0.06 * SECOND)
    assert result.flight_s == pytest.approx(restarted.end_ns / SECOND + 0.5, abs=0.11)


BURNING = {
    "initial": InitialConfig(attitude_deg=(25.0, -10.0, 140.0), loads_off=("radar", "nbl")),
    "steps": (
        StepConfig("boot", wait_for="Idle", stay_s=1.0),
        StepConfig("burn", command="burn", arguments={"duration_s": 3.0, "level_pct": 80, "direction": "-x"}),
    ),
}
"""Valves are open from 2.8 s to 5.8 s without a pause."""


@pytest.mark.parametrize(("kind", "shut_s"), [("process_kill", 0.1), ("power_cut", 0.005)])
def test_a_burn_ends_with_the_program_and_valves_stay_shut_until_they_are_armed_anew(
    kind: str, shut_s: float, tmp_path: Path
) -> None:
    burning = mission(faults=(killed(kind, 3.42),), duration_s=7.0, **BURNING)
    flight = RigFlight(burning, FIRST_FLIGHT, tmp_path / "f", 1)
    levels = Levels(flight)
    flight.run()
    assert all(mask for _, _, mask, _ in levels.between(3.0, 3.42))
    assert not any(mask for _, _, mask, _ in levels.between(3.42 + shut_s, 7.0))
    assert not any(running for *_, running in levels.between(3.421, 4.421))
    assert all(running for *_, running in levels.between(4.421, 7.0))
    # A program that is killed leaves its lines as they were; the next one lowers them before it kicks.
    left = (True, True) if kind == "process_kill" else (False, False)
    assert {row[1] for row in levels.between(3.425, 4.421)} == {left}
    assert {row[1] for row in levels.between(4.425, 5.9)} == {(False, False)}
    assert levels.rows[-1][1] == (True, True)
    assert flight.rig.checker.total == 0


def test_a_program_that_is_never_started_again_ends_the_flight_with_what_the_rig_knows(tmp_path: Path) -> None:
    result = fly(tmp_path / "f", faults=(killed(for_s=None),), duration_s=4.0)
    assert result.flight_s == pytest.approx(4.0, abs=0.01)
    last = read_flight(tmp_path / "f" / "part-2" / "flight.mcap")
    assert last.header["witness"] is True
    assert events_of(tmp_path / "f", "RIG_FAULT") == [2.0]
    assert [step.name for step in result.steps] == ["boot"]


def test_a_craft_without_a_computer_is_watched_for_a_minute(tmp_path: Path) -> None:
    result = fly(tmp_path / "f", faults=(killed(for_s=None),), duration_s=600.0)
    assert result.flight_s == pytest.approx(62.0, abs=0.01)


def test_of_two_reasons_to_be_away_the_later_end_holds(tmp_path: Path) -> None:
    faults = (killed(for_s=1.0), killed("power_cut", 2.5, 1.5))
    fly(tmp_path / "f", faults=faults, duration_s=6.0)
    assert read_flight(tmp_path / "f" / "part-2" / "flight.mcap").header["start"] == 2
    assert not (tmp_path / "f" / "part-3").exists()
    assert events_of(tmp_path / "f", "RIG_FAULT") == [2.0, 2.5, 4.0]


def test_faults_of_the_world_begin_and_end_while_the_program_is_away(tmp_path: Path) -> None:
    faults = (killed(for_s=2.0), FaultConfig("eclipse", at_s=2.5, for_s=0.5))
    fly(tmp_path / "f", faults=faults, duration_s=5.0)
    whole = joined(read_flight(tmp_path / "f" / "flight.mcap"))
    told = [(t_ns / SECOND, row["text"]) for t_ns, row in whole.events if row["code"] == "RIG_FAULT"]
    assert told == [(2.0, "process_kill"), (2.5, "eclipse"), (3.0, "eclipse ended"), (4.0, "program started again")]


def test_a_restart_that_the_core_orders_ends_the_program_and_starts_it_again(tmp_path: Path) -> None:
    table = load_fault_table()
    rows = tuple(
        msgspec.structs.replace(row, recovery=(RungConfig(Step.RESTART),)) if row.id == "memory-low" else row
        for row in table.rows
    )
    short = FaultConfig("memory_low", at_s=1.6, for_s=3.0, parameters={"mb": 20})
    flight = RigFlight(
        mission(faults=(short,), duration_s=9.0), FIRST_FLIGHT, tmp_path / "f", 1, faults=FaultTable(rows, table.digest)
    )
    levels = Levels(flight)
    flight.run()
    [ordered_s] = events_of(tmp_path / "f", "RESTART_ORDERED")
    assert 2.6 <= ordered_s <= 3.6
    first, second = read_flight(tmp_path / "f" / "flight.mcap"), read_flight(tmp_path / "f" / "part-2" / "flight.mcap")
    assert first.complete
    assert second.epoch_ns - first.epoch_ns == pytest.approx((ordered_s + 2.0) * SECOND, abs=10_000_000)
    # It lowers its lines itself, so that nothing is left to the watchdog.
    assert {row[1] for row in levels.between(ordered_s + 0.02, ordered_s + 1.9)} == {(False, False)}
    assert not any(mask for _, _, mask, _ in levels.between(ordered_s + 0.07, ordered_s + 1.9))
    assert len(events_of(tmp_path / "f", "SELF_TEST_PASSED")) == 2


def test_three_starts_that_do_not_last_end_in_safe_for_good(tmp_path: Path) -> None:
    faults = tuple(killed(at_s=at_s, for_s=0.5) for at_s in (2.0, 4.5, 7.0))
    flight = RigFlight(mission(faults=faults, duration_s=10.0), FIRST_FLIGHT, tmp_path / "f", 1)
    flight.run()
    software = flight.program.software
    assert software.supervisor.modes.motion is Motion.SAFE
    assert Code.BOOT_LOOP in software.supervisor.keeper.reasons
    assert len(events_of(tmp_path / "f", "SELF_TEST_PASSED")) == 4


# -- faults of the computer that leave the program running


def test_a_full_disk_changes_nothing_that_flies_and_a_witness_has_it_all(flown: Path, tmp_path: Path) -> None:
    result = fly(tmp_path / "f", faults=(FaultConfig("disk_full", at_s=2.0),))
    well, full = (joined(read_flight(folder / "flight.mcap")) for folder in (flown, tmp_path / "f"))
    assert full.truth[-1] == well.truth[-1]
    assert not read_flight(tmp_path / "f" / "flight.mcap").complete
    assert read_flight(tmp_path / "f" / "part-2" / "flight.mcap").header["witness"] is True
    assert [step.outcome for step in result.steps][:1] == ["done"]


def test_a_calendar_that_jumps_changes_nothing_that_flies(flown: Path, tmp_path: Path) -> None:
    fly(tmp_path / "f", faults=(FaultConfig("clock_jump", at_s=2.0, parameters={"s": -1e6}),))
    well, jumped = (joined(read_flight(folder / "flight.mcap")) for folder in (flown, tmp_path / "f"))
    assert jumped.truth == well.truth
    assert len(events_of(tmp_path / "f", "CLOCK_JUMP")) == 1


def test_a_hang_is_caught_up_by_the_world_in_small_moves(tmp_path: Path) -> None:
    hang = FaultConfig("cpu_hang", at_s=1.5, parameters={"ms": 700})
    result = fly(tmp_path / "f", faults=(hang,), duration_s=3.0)
    times = [t_ns for t_ns, _ in joined(read_flight(tmp_path / "f" / "flight.mcap")).truth]
    assert max(b - a for a, b in itertools.pairwise(times)) <= 100_000_000
    assert (result.timing.late_ticks, result.timing.lost_ticks) == (1, 139)


# -- refused before anything flew


def on_bus(bus: str, fault: str, **details: Any) -> FaultConfig:
    return FaultConfig("bus_fault", at_s=1.0, parameters={"bus": bus, "fault": fault, **details})


@pytest.mark.parametrize(("changes", "said"), [
    ({"faults": (FaultConfig("meteor", at_s=1.0),)}, r"faults\[0\]: no fault 'meteor'; faults: .*nozzle_off.*cpu_late"),
    ({"faults": (FaultConfig("eclipse", at_s=1.0), FaultConfig("nozzle_off", at_s=1.0, parameters={"nozzle": 16}))},
     r"faults\[1\]: nozzle is 16; 0..15 are allowed"),
    ({"faults": (FaultConfig("nozzle_off", at_s=1.0),)}, "parameter nozzle is missing"),
    ({"faults": (FaultConfig("nozzle_off", at_s=1.0, parameters={"nozzle": 1, "speed": 2}),)}, "no parameter 'speed'"),
    ({"faults": (on_bus("i2c_z", "timeout"),)}, "no bus 'i2c_z'"),
    ({"faults": (on_bus("spi0", "bus_off"),)}, "no meaning"),
    ({"faults": (on_bus("spi0", "nonsense"),)}, "nack_address"),
    ({"faults": (on_bus("i2c_a", "timeout", address=0x55),)}, "no address on i2c_a 85"),
    ({"faults": (on_bus("spi0", "timeout", probability=2.0),)}, "probability is 2.0"),
    ({"faults": (on_bus("gpio", "absent", line="GPIO99"),)}, "no line GPIO99"),
    ({"faults": (FaultConfig("cpu_late", at_s=1.0, parameters={"ms": 6}),)}, "cpu_late takes ms, ticks"),
    ({"faults": (FaultConfig("cpu_late", at_s=1.0, parameters={"ms": "6", "ticks": 5}),)}, "ms is '6'"),
    ({"faults": (FaultConfig("cpu_late", at_s=1.0, parameters={"ms": 6, "ticks": 0}),)}, "ticks is 0"),
    ({"faults": (FaultConfig("cpu_late", at_s=1.0, for_s=1.0, parameters={"ms": 6, "ticks": 5}),)}, "for_s has no"),
    ({"faults": (FaultConfig("process_kill", at_s=1.0, for_s=601.0),)}, "up to 600 is allowed"),
    ({"faults": (FaultConfig("disk_full", at_s=1.0, parameters={"mb": 1}),)}, "disk_full takes no parameters"),
    ({"faults": (FaultConfig("temperature", at_s=1.0, parameters={"node": "core", "celsius": 999}),)}, "-120..160"),
    ({"expect": (ExpectConfig("beauty", above=1.0),)}, r"expect\[0\].figure: no figure 'beauty'"),
    ({"expect": (ExpectConfig("motion", above=1.0),)}, "only equals"),
    ({"initial": InitialConfig(loads_off=("toaster",))}, "can't switch off 'toaster'; loads: processor"),
    ({"initial": InitialConfig(loads_off=("base",))}, "can't switch off 'base'"),
    ({"initial": InitialConfig(temperatures_c={"moon": 1.0})}, "no node 'moon'"),
])
def test_what_cannot_be_flown_is_refused_by_key_before_a_folder_is_made(
    tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        RigFlight(mission(**changes), FIRST_FLIGHT, tmp_path / "flight", 1)
    assert not (tmp_path / "flight").exists()


def test_a_board_whose_drivers_refuse_it_leaves_no_folder(tmp_path: Path) -> None:
    devices = tuple(
        msgspec.structs.replace(device, settings={"decimation": 1, "colour": "red"}) if device.role == "imu" else device
        for device in FIRST_FLIGHT.board.devices
    )
    profile = FIRST_FLIGHT._replace(board=msgspec.structs.replace(FIRST_FLIGHT.board, devices=devices))
    with pytest.raises(ConfigError, match="colour"):
        RigFlight(SHORT, profile, tmp_path / "flight", 1)
    assert not (tmp_path / "flight").exists()


def test_a_flight_is_never_written_over(flown: Path) -> None:
    before = digests(flown)
    with pytest.raises(RecordError):
        RigFlight(SHORT, FIRST_FLIGHT, flown, 1)
    assert digests(flown) == before


def test_new_folders_are_counted(tmp_path: Path) -> None:
    names = []
    for _ in range(3):
        folder = new_folder(tmp_path, "short", 7)
        folder.mkdir()
        names.append(folder.name)
    assert names == ["short-seed7", "short-seed7-2", "short-seed7-3"]


def test_the_shipped_mission_passes_its_check() -> None:
    check_mission(SHORT, FIRST_FLIGHT)
