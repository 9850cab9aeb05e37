"""What a restart of the flight computer is on the rig: what stays, what starts anew, and what is left to be flown."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from firmware_py.cli.rig_restart import RESTARTED, START_NS, cut_power, give_power, open_anew, restarted
from firmware_py.mission import ExpectConfig, FaultConfig, MissionConfig, StepConfig, load_mission
from hal.profile import load_profile
from hil.bus.gpio import SimGpioBus
from hil.bus.serial import SimSerialBus
from hil.chips.mb85rc256v import Mb85rc256v
from hil.faults import Fault, FaultKind
from hil.plant.world import InitialState
from hil.rig import Rig

MS = 1_000_000
PROFILE = load_profile("qiki-t", "qiki-rpi")
LINES = PROFILE.board.lines
MISSION = MissionConfig(
    schema_version=1, mission="cut-short", description="Boots, and turns until its computer is cut off", body="qiki-t",
    board="qiki-rpi", epoch="2026-06-21T12:00:00Z", seed=7,
    steps=(StepConfig("boot", wait_for="Idle"), StepConfig("hold", command="hold")),
    faults=(FaultConfig("power_cut", at_s=3.0, for_s=2.0),), expect=(ExpectConfig("steps_not_done", equals=1),),
)


@pytest.fixture
def rig() -> Rig:
    made = Rig(PROFILE, InitialState(epoch=0), 1)
    made.advance(5 * MS)
    return made


def gpio(rig: Rig) -> SimGpioBus:
    return next(bus for bus in rig.buses.values() if isinstance(bus, SimGpioBus))


def raise_lines(rig: Rig) -> None:
    for line in (LINES.watchdog_kick, LINES.valve_enable, LINES.valve_arm):
        gpio(rig).set(line, True)


def levels(rig: Rig) -> list[bool]:
    return [gpio(rig).get(line) for line in (LINES.watchdog_kick, LINES.valve_enable, LINES.valve_arm)]


# -- the mission that is left


def test_after_a_restart_the_craft_goes_to_idle_and_stays_there() -> None:
    left, texts = restarted(MISSION, {})
    assert left.steps == (RESTARTED,)
    assert (RESTARTED.command, RESTARTED.wait_for) == (None, "Idle")
    assert (left.faults, left.expect) == ((), ())
    assert (left.mission, left.seed, left.epoch) == (MISSION.mission, MISSION.seed, MISSION.epoch)
    assert texts == {}


def test_the_attached_mission_is_what_is_left_and_can_be_loaded(tmp_path: Path) -> None:
    left, texts = restarted(MISSION, {"mission.yaml": "the one before", "body.yaml": "kept"})
    assert texts["body.yaml"] == "kept"
    path = tmp_path / "mission.yaml"
    path.write_text(texts["mission.yaml"], encoding="utf-8")
    assert load_mission(str(path)) == left
    assert restarted(left, texts) == (left, texts)


def test_a_start_takes_seconds() -> None:
    assert START_NS == 2_000 * MS


# -- power


def test_without_supply_the_lines_are_low_and_the_valves_shut(rig: Rig) -> None:
    raise_lines(rig)
    assert levels(rig) == [True, True, True]
    cut_power(rig)
    cut_power(rig)
    assert levels(rig) == [False, False, False]
    assert not any(node.powered for node in rig.nodes.values())


def test_power_comes_back_to_every_node_and_every_chip_starts_anew(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    anew: list[str] = []
    for name, chip in rig.chips.items():
        if name not in rig.nodes:
            monkeypatch.setattr(chip, "reset", lambda name=name: anew.append(name), raising=True)
    cut_power(rig)
    give_power(rig)
    assert all(node.powered for node in rig.nodes.values())
    assert sorted(anew) == sorted(set(rig.chips) - set(rig.nodes))
    rig.advance(50 * MS)


def test_what_is_non_volatile_stays(rig: Rig) -> None:
    fram = rig.chips["fram"]
    assert isinstance(fram, Mb85rc256v)
    fram.memory[100:104] = b"kept"
    cut_power(rig)
    give_power(rig)
    assert bytes(fram.memory[100:104]) == b"kept"


def test_every_chip_of_the_board_can_start_anew(rig: Rig) -> None:
    for _ in range(2):
        cut_power(rig)
        rig.advance(rig.now_ns + 500 * MS)
        give_power(rig)
        rig.advance(rig.now_ns + 500 * MS)


# -- devices


def test_a_program_that_is_started_again_hears_nothing_of_before(rig: Rig) -> None:
    serial = [bus for bus in rig.buses.values() if isinstance(bus, SimSerialBus)]
    assert serial
    for bus in serial:
        bus.feed(b"of before")
    open_anew(rig)
    for bus in serial:
        assert bus.read(4096) == b""


def test_an_adapter_that_is_gone_keeps_no_program_from_starting(rig: Rig) -> None:
    for bus in rig.buses.values():
        if isinstance(bus, SimSerialBus):
            bus.inject(Fault(FaultKind.ABSENT))
    open_anew(rig)


def test_lines_stay_as_the_program_before_left_them(rig: Rig) -> None:
    raise_lines(rig)
    open_anew(rig)
    assert levels(rig) == [True, True, True]


def test_the_attachment_is_yaml_of_the_same_words() -> None:
    _, texts = restarted(MISSION, {"mission.yaml": ""})
    read = msgspec.yaml.decode(texts["mission.yaml"])
    assert [step["name"] for step in read["steps"]] == ["restarted"]
