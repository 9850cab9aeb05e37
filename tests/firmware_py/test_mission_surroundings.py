"""Surroundings of a scenario: what is written is what the rig plays, and what makes no sense is refused by its key."""

from __future__ import annotations

import re
from math import inf
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from firmware_py.cli.flight_start import check_mission, initial_state
from firmware_py.cli.flight_surroundings import scene_of
from firmware_py.mission import MissionConfig, load_mission
from hal.frames import rotate
from hal.profile import ConfigError, load_profile
from hil.plant.targets import Manoeuvre, Mode, Scene

PROFILE = load_profile("qiki-t", "qiki-rpi")
GREY = [0.3] * 10
MISSION: dict[str, Any] = {
    "schema_version": 1, "mission": "around", "description": "Has something around it", "body": "qiki-t",
    "board": "qiki-rpi", "epoch": "2026-06-21T12:00:00Z", "steps": [{"name": "boot", "wait_for": "Idle"}],
}
AROUND: dict[str, Any] = {
    "targets": [
        {"name": "tug", "position_m": [60, 5, 0], "velocity_m_s": [-1, 0, 0], "frame": "craft", "at_s": 2,
         "radius_m": 0.5, "rcs_dbsm": 3, "type": "ship", "spectrum": "grey",
         "transponder": {"mode": "spoof", "number": 77, "power_dbm": 10},
         "manoeuvres": [{"from_s": 5, "to_s": 7, "acceleration_m_s2": [0, 0.1, 0]}], "appears_s": 1, "vanishes_s": 90},
        {"name": "rock", "position_m": [0, 0, 100]},
    ],
    "obstacles": [
        {"name": "wall", "position_m": [9, 0, 0], "size_m": [1, 4, 6], "attitude_deg": [0, 0, 90]},
        {"name": "ball", "position_m": [0, 9, 0], "radius_m": 2},
    ],
    "clutter_per_frame": 2.5,
    "fields": [{"position_m": [0, 5, 0], "moment_a_m2": [0, 0, 100]}],
    "patches": [{"position_m": [20, 0, 0], "radius_m": 3, "spectrum": "grey"}],
    "spectra": {"grey": GREY},
}


def load(tmp_path: Path, **surroundings: Any) -> MissionConfig:
    path = tmp_path / "mission.yaml"
    path.write_text(yaml.safe_dump({**MISSION, "surroundings": surroundings}, sort_keys=False))
    return load_mission(str(path))


def test_what_is_written_is_what_the_rig_plays(tmp_path: Path) -> None:
    mission = load(tmp_path, **AROUND)
    scene = initial_state(mission, PROFILE.body, 0).scene
    tug, rock = scene.targets
    assert (tug.name, tug.position, tug.velocity, tug.relative, tug.at_s) == ("tug", (60, 5, 0), (-1, 0, 0), True, 2)
    assert (tug.radius_m, tug.rcs_dbsm, tug.object_type, tug.spectrum) == (0.5, 3, "ship", "grey")
    assert (tug.transponder.mode, tug.transponder.number, tug.transponder.power_dbm) == (Mode.SPOOF, 77, 10)
    assert tug.manoeuvres == (Manoeuvre(5, 7, (0, 0.1, 0)),)
    assert (tug.appears_s, tug.vanishes_s) == (1, 90)
    assert (rock.relative, rock.transponder.mode, rock.vanishes_s) == (False, Mode.OFF, inf)
    wall, ball = scene.obstacles
    assert wall.half_m == (0.5, 2.0, 3.0)
    assert rotate(wall.quaternion, (1.0, 0.0, 0.0)) == pytest.approx((0.0, 1.0, 0.0))
    assert (ball.half_m, ball.radius_m) == (None, 2.0)
    assert scene.clutter_per_frame == 2.5
    assert scene.fields[0].moment_a_m2 == (0, 0, 100)
    assert (scene.patches[0].spectrum, scene.spectra["grey"]) == ("grey", tuple(GREY))


@pytest.mark.parametrize(("word", "mode"), [
    ("on", Mode.ON), ("off", Mode.OFF), ("silent", Mode.SILENT), ("spoof", Mode.SPOOF), (True, Mode.ON),
    (False, Mode.OFF),
])
def test_modes_may_be_words_or_what_yaml_makes_of_a_bare_on(tmp_path: Path, word: Any, mode: Mode) -> None:
    target = {"name": "a", "position_m": [1, 0, 0], "transponder": {"mode": word, "number": 5}}
    assert scene_of(load(tmp_path, targets=[target]).surroundings).targets[0].transponder.mode is mode


def test_a_mission_without_surroundings_has_an_empty_scene() -> None:
    mission = msgspec.convert(MISSION, MissionConfig)
    assert initial_state(mission, PROFILE.body, 0).scene == Scene()
    assert scene_of(None).empty


def changed(section: str, index: int, **values: Any) -> dict[str, Any]:
    rows = [dict(row) for row in AROUND[section]]
    rows[index] |= values
    return {**AROUND, section: rows}


PUSH = {"from_s": 5, "to_s": 7, "acceleration_m_s2": [0, 0.1, 0]}


@pytest.mark.parametrize(
    ("surroundings", "key", "why"),
    [
        (changed("targets", 1, name="tug"), "surroundings.targets[1].name", "given twice"),
        (changed("obstacles", 0, name="rock"), "surroundings.obstacles[0].name", "given twice"),
        (changed("targets", 0, spectrum="gold"), "surroundings.targets[0].spectrum", "spectra: grey"),
        (changed("obstacles", 1, spectrum="gold"), "surroundings.obstacles[1].spectrum", "spectra: grey"),
        (changed("patches", 0, spectrum="gold"), "surroundings.patches[0].spectrum", "spectra: grey"),
        (changed("obstacles", 1, size_m=[1, 1, 1]), "surroundings.obstacles[1]", "either radius_m or size_m"),
        (changed("targets", 0, vanishes_s=1), "surroundings.targets[0].vanishes_s", "after appears_s"),
        (changed("targets", 0, manoeuvres=[{**PUSH, "to_s": 5}]), "surroundings.targets[0].manoeuvres[0].to_s",
         "after from_s"),
        (changed("targets", 0, manoeuvres=[{**PUSH, "from_s": 1}]), "surroundings.targets[0].manoeuvres[0].from_s",
         "from at_s (2) on"),
        (changed("targets", 0, radius_m=0), "radius_m", "0.0"),
        (changed("targets", 0, frame="body"), "frame", "body"),
        (changed("targets", 0, colour="red"), "", "colour"),
        (changed("targets", 0, transponder={"number": 0}), "number", "1"),
        (changed("targets", 0, transponder={"number": 5, "mode": "loud"}), "mode", "loud"),
        ({**AROUND, "spectra": {"grey": [0.3] * 9}}, "spectra", "10"),
        ({**AROUND, "spectra": {"grey": [1.3] + [0.3] * 9}}, "spectra", "1.0"),
        ({**AROUND, "friends": [7], "foes": [7]}, "surroundings.foes", "7 is a friend too"),
        ({**AROUND, "friends": [0]}, "friends", "1"),
        ({**AROUND, "clutter_per_frame": -1}, "clutter_per_frame", "0.0"),
        ({**AROUND, "targets": [{"name": f"t{i}", "position_m": [i, 0, 0]} for i in range(401)]}, "targets", "400"),
        (changed("targets", 1, position_m=[0, 0, float("nan")]), "surroundings.targets[1].position_m[2]", "float"),
    ],
)
def test_what_makes_no_sense_is_refused_with_its_key(
    tmp_path: Path, surroundings: dict[str, Any], key: str, why: str
) -> None:
    with pytest.raises(ConfigError) as refused:
        load(tmp_path, **surroundings)
    text = str(refused.value)
    assert key in text
    assert why in text


def test_a_fault_must_name_a_target_that_is_there(tmp_path: Path) -> None:
    mission = load(tmp_path, **AROUND)
    fault = {"kind": "transponder_spoof", "at_s": 1.0, "parameters": {"target": "tug"}}
    good = msgspec.convert({**msgspec.to_builtins(mission), "faults": [fault]}, MissionConfig)
    check_mission(good, PROFILE)
    fault["parameters"] = {"target": "boat"}
    wrong = msgspec.convert({**msgspec.to_builtins(mission), "faults": [fault]}, MissionConfig)
    with pytest.raises(ConfigError, match=r"faults\[0\].*no target 'boat'; there are: tug, rock"):
        check_mission(wrong, PROFILE)


def test_the_guide_s_example_is_read_as_it_stands(tmp_path: Path) -> None:
    guide = (Path(__file__).parents[2] / "docs" / "guide" / "write-a-scenario.md").read_text()
    example = re.search(r"```yaml\n(surroundings:.*?)```", guide, re.DOTALL)
    assert example is not None
    surroundings = load(tmp_path, **yaml.safe_load(example[1])["surroundings"]).surroundings
    scene = scene_of(surroundings)
    assert [target.name for target in scene.targets] == ["tug", "shard"]
    assert scene.targets[0].transponder.mode is Mode.SILENT
