"""The perception's file: what ships is good, a bad one is refused whole with file, line, key and what is allowed."""

from __future__ import annotations

from math import inf, radians
from pathlib import Path

import pytest

from firmware_py.perception.config import PerceptionConfig, find_perception, load_perception
from firmware_py.perception.from_chips import BEAM_LATENCY_NS, LIDAR_LATENCY_NS, RADAR_LATENCY_NS
from firmware_py.perception.observation import SensorKind
from hal.profile import ConfigError

SENSOR = "kind: radar, sigma_range_m: 1, sigma_bearing_deg: 1, sigma_elevation_deg: 2, max_range_m: 100, revisit_s: 0.1"


def load(tmp_path: Path, text: str) -> PerceptionConfig:
    path = tmp_path / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    return load_perception(path)


def test_the_file_that_ships_is_good() -> None:
    config = load_perception()
    assert set(config.sensors) == {"ars408", "ld06_lidar", "tfmini_plus"}
    assert find_perception().name == "perception.yaml"


def test_latencies_that_ship_are_those_that_were_worked_out_for_the_parts() -> None:
    sensors = load_perception().sensors
    assert [round(sensors[part].latency_s * 1e9) for part in ("ars408", "ld06_lidar", "tfmini_plus")] \
        == [RADAR_LATENCY_NS, LIDAR_LATENCY_NS, BEAM_LATENCY_NS]


def test_what_is_left_out_has_its_default_and_what_is_not_measured_is_infinitely_bad(tmp_path: Path) -> None:
    config = load(tmp_path, f"schema_version: 1\nsensors: {{mine: {{{SENSOR}}}}}\n")
    sensor = config.sensors["mine"]
    assert sensor.kind is SensorKind.RADAR
    assert sensor.model().sigma_radial_velocity_m_s == inf
    assert sensor.model().sigma_bearing_rad == radians(1.0)
    assert config.friends == ()
    assert config.keep_out_radius_m == 2.0


@pytest.mark.parametrize(("text", "words"), [
    ("schema_version: 2\nsensors: {}\n", "schema_version"),
    ("schema_version: 1\nsensors: {}\n", "at least one part"),
    (f"schema_version: 1\nsensors: {{m: {{{SENSOR}, colour: red}}}}\n", "colour"),
    (f"schema_version: 1\nsensors: {{m: {{{SENSOR}, min_range_m: 100}}}}\n", "below max_range_m"),
    (f"schema_version: 1\nsensors: {{m: {{{SENSOR.replace('radar', 'sonar')}}}}}\n", "kind"),
    (f"schema_version: 1\nsensors: {{m: {{{SENSOR.replace('range_m: 1,', 'range_m: 0,')}}}}}\n", "sigma_range_m"),
    (f"schema_version: 1\nsensors: {{m: {{{SENSOR.replace('revisit_s: 0.1', 'revisit_s: .nan')}}}}}\n", "revisit_s"),
    (f"schema_version: 1\nsensors: {{m: {{{SENSOR}}}}}\nfriends: [1, 2]\nfoes: [2]\n", "2 is a friend too"),
    (f"schema_version: 1\nsensors: {{m: {{{SENSOR}}}}}\nfriends: [-1]\n", "friends"),
    (f"schema_version: 1\nsensors: {{m: {{{SENSOR}}}}}\ntypes: {{7: teapot}}\n", "types"),
    (f"schema_version: 1\nsensors: {{m: {{{SENSOR}}}}}\ntracker: {{confirm_hits: 99}}\n", "confirm_hits"),
    (f"schema_version: 1\nsensors: {{m: {{{SENSOR}}}}}\nrisk: {{sigmas: 0}}\n", "sigmas"),
    (f"schema_version: 1\nsensors: {{m: {{{SENSOR}}}}}\nrisk: {{levels: {{confirm_frames: 9}}}}\n", "risk"),
])
def test_a_bad_file_is_refused_and_says_where_and_why(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text)
    assert words in str(caught.value)
    assert "mine.yaml" in str(caught.value)
