"""One flight on the rig: refused before anything is written, repeatable to the last byte, readable after any cut."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
import pytest

from firmware_py.cli.session import FlightResult, RigFlight, all_done, check_mission, new_folder
from firmware_py.mission import ExpectConfig, FaultConfig, InitialConfig, MissionConfig, StepConfig
from firmware_py.recorder import RecordError
from firmware_py.recorder.reader import read_flight
from firmware_py.recorder.ring import read_ring
from hal.profile import ConfigError
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
    return {path.name: sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


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
