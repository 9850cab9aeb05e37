"""What a fault can reach of the rig's flight computer, one object at a time."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from firmware_py.cli.computer_faults import COMPUTER_FAULTS, LEAVING
from firmware_py.cli.rig_computer import (
    Away,
    Breaker,
    ComputerClock,
    Load,
    RigComputer,
    RigHealth,
    Tee,
    refuse_writes,
)
from firmware_py.clock import SimClock
from firmware_py.computer_health import HealthSample
from firmware_py.recorder.flight import FlightRecorder
from firmware_py.recorder.reader import read_flight
from firmware_py.recorder.ring import read_ring
from hal.profile import load_profile
from hil.plant.world import InitialState
from hil.rig import Rig

SECOND = 1_000_000_000
WELL = HealthSample(False, 3000.0, 8000.0)
HEADER = {
    "software_version": "1", "hardware_profile_hash": "sha256:0", "body": "b", "board": "b", "mission": "m", "seed": 1,
    "rates": {}, "steps": 0, "epoch": "", "description": "", "clock": "simulated",
}


def recorder(folder: Path) -> FlightRecorder:
    return FlightRecorder(folder, HEADER, 0, None, {})


# -- load


def test_a_load_takes_its_time_for_its_ticks_and_no_longer() -> None:
    charged: list[int] = []
    load = Load(charged.append)
    load.step(0)
    load.take(6.0, 2)
    for _ in range(3):
        load.step(0)
    assert charged == [6_000_000, 6_000_000]


def test_a_new_load_takes_the_place_of_the_one_before() -> None:
    charged: list[int] = []
    load = Load(charged.append)
    load.take(6.0, 5)
    load.step(0)
    load.take(0.25)
    for _ in range(3):
        load.step(0)
    assert charged == [6_000_000, 250_000]


# -- processor


def test_the_processors_load_is_as_fast_as_it_is_told() -> None:
    rig = Rig(load_profile("qiki-t", "qiki-rpi"), InitialState(epoch=0), 1)
    assert RigComputer(rig.world, lambda: 0.0).set_share(0.5)


def test_the_processor_is_warmer_than_its_node_and_more_so_by_a_fault() -> None:
    rig = Rig(load_profile("qiki-t", "qiki-rpi"), InitialState(epoch=0, temperatures_c={"core": 30.0}), 1)
    health = RigHealth()
    computer = RigComputer(rig.world, health.warmer_k)
    assert computer.temperature_c() == 40.0
    end = health.hold("warmer_k", 25.0)
    assert computer.temperature_c() == 65.0
    assert health.look() == WELL
    end()
    assert computer.temperature_c() == 40.0


def test_a_body_without_a_processor_refuses() -> None:
    world: Any = SimpleNamespace(power=SimpleNamespace(load_names=lambda: ("base",)), temperatures_c={"hull": 20.0})
    computer = RigComputer(world, lambda: 0.0)
    assert not computer.set_share(0.5)
    assert computer.temperature_c() is None


# -- health


def test_the_rigs_computer_is_well_until_told_else_and_well_again() -> None:
    health = RigHealth()
    assert health.look() == WELL
    ends = [health.hold("throttled", True), health.hold("memory_free_mb", 40.0), health.hold("disk_free_mb", 0.0)]
    assert health.look() == HealthSample(True, 40.0, 0.0)
    for end in ends:
        end()
    assert health.look() == WELL


def test_of_faults_that_overlap_the_newest_holds_whichever_ends_first() -> None:
    health = RigHealth()
    first, second = health.hold("memory_free_mb", 40.0), health.hold("memory_free_mb", 10.0)
    first()
    assert health.look().memory_free_mb == 10.0
    second()
    assert health.look().memory_free_mb == 3000.0
    first, second = health.hold("memory_free_mb", 40.0), health.hold("memory_free_mb", 40.0)
    second()
    assert health.look().memory_free_mb == 40.0
    first()
    assert health.look() == WELL


# -- clock


def test_each_start_has_a_flight_time_of_its_own_and_the_same_calendar() -> None:
    base = SimClock(1000 * SECOND)
    base.sleep_until_ns(5 * SECOND)
    clock = ComputerClock(base, 5 * SECOND)
    assert (clock.now_ns(), clock.utc_ns()) == (0, 1005 * SECOND)
    assert clock.sleep_until_ns(2 * SECOND) == 0
    assert (clock.now_ns(), base.now_ns(), clock.utc_ns()) == (2 * SECOND, 7 * SECOND, 1007 * SECOND)
    base.charge(SECOND)
    assert clock.sleep_until_ns(2 * SECOND) == SECOND


def test_a_step_of_the_calendar_leaves_flight_time_alone() -> None:
    base = SimClock(1000 * SECOND)
    clock = ComputerClock(base)
    clock.step_utc(-30 * SECOND)
    clock.step_utc(5 * SECOND)
    assert (clock.now_ns(), clock.utc_ns(), base.utc_ns()) == (0, 975 * SECOND, 1000 * SECOND)


# -- away


@pytest.mark.parametrize(("first", "then", "until"), [
    ((10, False), (12, False), (12, False)),
    ((10, True), (8, False), (10, True)),
    ((10, False), (8, True), (10, True)),
    ((None, False), (8, True), (None, True)),
    ((10, False), (None, False), (None, False)),
])
def test_of_two_reasons_to_be_away_the_later_end_holds(
    first: tuple[int | None, bool], then: tuple[int | None, bool], until: tuple[int | None, bool]
) -> None:
    away = Away(*first)
    away.extend(*then)
    assert (away.until_ns, away.power_cut) == until


# -- the recorder's files


def test_a_second_recorder_hears_what_the_first_hears_from_then_on(tmp_path: Path) -> None:
    first, second = recorder(tmp_path / "a"), recorder(tmp_path / "b")
    tee = Tee(first)
    tee.event(1, "CODE", "info", "before")
    tee.add(second)
    tee.event(2, "CODE", "info", "after")
    tee.snapshot(3, {"t_s": 3.0})
    tee.fast_row(4, b"fast")
    tee.medium_row(5, b"medium")
    tee.end_tick(6)
    for one in (first, second):
        one.close()
    flights = [read_flight(tmp_path / name / "flight.mcap") for name in "ab"]
    texts = [[row.value["text"] for row in flight.rows("/event")] for flight in flights]
    assert texts == [["before", "after"], ["after"]]
    rows = read_flight(tmp_path / "b" / "flight.mcap").rows("/snapshot")
    assert [row.value["t_s"] for row in rows] == [3.0]
    assert [r.payload for r in read_ring(tmp_path / "b" / "ring-fast.bin").records] == [b"fast"]
    assert b"medium" in [r.payload for r in read_ring(tmp_path / "b" / "ring-medium.bin").records]


@pytest.mark.parametrize("rings", [False, True])
def test_a_medium_that_refuses_stops_the_black_box_and_rings_only_if_asked(tmp_path: Path, rings: bool) -> None:
    flown = recorder(tmp_path / "f")
    flown.event(1, "CODE", "critical", "kept")
    refuse_writes(flown, rings)
    flown.event(2, "CODE", "critical", "lost")
    flown.fast_row(3, b"row")
    flown.medium_row(3, b"row")
    assert flown.stopped == "No space left on device"
    assert (flown.rings.fast.failures > 0, flown.rings.medium.failures > 0) == (rings, rings)
    flown.close()
    rows = read_flight(tmp_path / "f" / "flight.mcap").rows("/event")
    assert [row.value["text"] for row in rows] == ["kept"]


# -- the breaker


class Bench:
    """A breaker with all that it breaks."""

    def __init__(self) -> None:
        self.charged: list[int] = []
        self.load = Load(self.charged.append)
        self.health = RigHealth()
        self.medium: list[str] = []
        self.breaker = Breaker(self.load, self.health, self._fail)
        self.breaker.clock = ComputerClock(SimClock(0))

    def _fail(self, rings: bool) -> Any:
        self.medium.append(f"fails {rings}")
        return lambda: self.medium.append("ends")


def test_computing_faults_take_their_time_and_have_no_end() -> None:
    bench = Bench()
    assert bench.breaker.start("cpu_late", {"ms": 6, "ticks": 2}) is None
    for _ in range(3):
        bench.load.step(0)
    assert bench.breaker.start("cpu_hang", {"ms": 900.0}) is None
    bench.load.step(0)
    bench.load.step(0)
    assert bench.charged == [6_000_000, 6_000_000, 900_000_000]


def test_a_jump_is_of_the_present_starts_calendar() -> None:
    bench = Bench()
    assert bench.breaker.start("clock_jump", {"s": -2.5}) is None
    assert bench.breaker.clock.utc_ns() == -2_500_000_000


def test_a_hot_processor_cools_when_the_fault_ends() -> None:
    bench = Bench()
    end = bench.breaker.start("cpu_hot", {"k": 40})
    assert end is not None
    assert bench.health.warmer_k() == 40.0
    end()
    assert bench.health.warmer_k() == 0.0


@pytest.mark.parametrize(("kind", "parameters", "sample", "medium"), [
    ("throttled", {}, HealthSample(True, 3000.0, 8000.0), []),
    ("memory_low", {"mb": 12}, HealthSample(False, 12.0, 8000.0), []),
    ("disk_low", {"mb": 0.5}, HealthSample(False, 3000.0, 0.5), []),
    ("disk_full", {}, HealthSample(False, 3000.0, 0.0), ["fails False"]),
    ("card_dead", {}, WELL, ["fails True"]),
])
def test_faults_that_last_are_ended_by_what_they_return(
    kind: str, parameters: dict[str, Any], sample: HealthSample, medium: list[str]
) -> None:
    bench = Bench()
    end = bench.breaker.start(kind, parameters)
    assert end is not None
    assert (bench.health.look(), bench.medium) == (sample, medium)
    end()
    assert bench.health.look() == WELL
    assert bench.medium == medium + ["ends"] * len(medium)


def test_every_kind_is_started_here_or_ends_the_program() -> None:
    values = {"ms": 6, "ticks": 2, "s": 1.0, "mb": 1.0, "k": 1.0}
    for kind, names in COMPUTER_FAULTS.items():
        parameters = {name: values[name] for name in names}
        if kind in LEAVING:
            with pytest.raises(ValueError, match=f"no fault '{kind}' of a computer whose program goes on"):
                Bench().breaker.start(kind, parameters)
        else:
            Bench().breaker.start(kind, parameters)
