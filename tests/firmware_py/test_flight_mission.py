"""The mission of a craft: what only a rig can play is left out, and no step is given twice."""

from __future__ import annotations

import msgspec
import pytest

from firmware_py.flight_mission import STAND_BY, check_fits, mission_to_fly, stand_by
from firmware_py.mission import load_mission
from hal.profile import ConfigError, load_profile

PROFILE = load_profile("qiki-t", "qiki-rpi")
EPOCH = "2026-09-21T12:00:00.000001Z"


def test_without_a_mission_the_craft_boots_and_waits() -> None:
    mission = mission_to_fly(None, PROFILE, EPOCH, False)
    assert mission == stand_by(PROFILE, EPOCH)
    assert (mission.mission, mission.body, mission.board, mission.epoch) == ("stand-by", "qiki-t", "qiki-rpi", EPOCH)
    assert [(step.command, step.wait_for) for step in mission.steps] == [(None, "Idle")]


def test_faults_ground_and_expectations_are_the_rigs() -> None:
    given = load_mission("ground-contact")
    flown = mission_to_fly(given, PROFILE, EPOCH, False)
    assert given.link is not None
    assert (flown.faults, flown.expect, flown.link, flown.epoch) == ((), (), None, EPOCH)
    assert flown.steps == given.steps


def test_after_a_start_that_nobody_ended_no_step_is_given_again() -> None:
    given = load_mission("first-flight")
    assert len(given.steps) > 1
    assert mission_to_fly(given, PROFILE, EPOCH, True).steps == (STAND_BY,)


def test_what_is_flown_reads_back_from_its_file(tmp_path: object) -> None:
    from pathlib import Path

    path = Path(str(tmp_path)) / "mission.yaml"
    for mission in (stand_by(PROFILE, EPOCH), mission_to_fly(load_mission("first-flight"), PROFILE, EPOCH, False)):
        path.write_bytes(msgspec.yaml.encode(mission))
        assert load_mission(str(path)) == mission


def test_a_mission_of_another_body_is_refused() -> None:
    with pytest.raises(ConfigError, match="qiki-t"):
        check_fits(load_mission("bench-move"), PROFILE)
    check_fits(load_mission("first-flight"), PROFILE)
