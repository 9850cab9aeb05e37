"""From scans to frames in the tracker: who is listened to, how often, and whom the others do not believe."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from drivers.samples import RadarScan
from fdir.modes import Motion
from firmware_py.energy.duty_table import Consumer, EnergyLevel
from firmware_py.perception.config import load_perception
from firmware_py.perception.modes import PerceptionMode, plan
from firmware_py.perception.mounts import CraftPose, mounts_of
from firmware_py.perception.observation import SensorKind
from firmware_py.perception.sensing import Sensing, sensors_of
from hal.profile import ConfigError, load_profile
from tests.firmware_py.perception.port_craft import LEVEL, NS, PROFILE, PortCraft, placed, radar_objects, scan

RATES = {Consumer.RADAR: 4.0, Consumer.LIDAR: 10.0, Consumer.PROXIMITY: 10.0, Consumer.MAGNETOMETER: 10.0}
HERE = CraftPose(0, (0.0, 0.0, 0.0), (0.0, 0.0, 0.0), LEVEL, (0.0, 0.0, 0.0))


def sensing() -> Sensing:
    return Sensing(load_perception(), PROFILE, mounts_of(PROFILE), None)


def hear(eyes: Sensing, seconds: float, period_s: float = 0.072) -> int:
    """A radar that speaks with this period; how many of its lists were used."""
    before = eyes.used["radar"]
    for number in range(round(seconds / period_s)):
        t_ns = NS + round((number + 1) * period_s * 1e9)
        sample = RadarScan(t_ns // 10_000_000 % 65536, 1, radar_objects([(60.0 + 0.01 * (number % 5), 0.0, 0.0, 0.0)]))
        eyes.observe(scan("radar", t_ns, radar=sample), HERE, t_ns)
    return eyes.used["radar"] - before


def test_devices_are_found_by_their_parts_in_the_boards_order() -> None:
    found = sensors_of(load_perception(), PROFILE)
    assert list(found) == ["radar", "lidar", "approach"]
    assert [sensor.kind for sensor in found.values()] == [SensorKind.RADAR, SensorKind.LIDAR, SensorKind.RANGE]
    assert sensors_of(load_perception(), load_profile("qiki-t", "bench-rpi")) == {}


def test_a_part_that_is_another_thing_on_the_board_is_refused() -> None:
    config = load_perception()
    radar = msgspec.structs.replace(config.sensors["ars408"], kind=SensorKind.LIDAR)
    wrong = msgspec.structs.replace(config, sensors={**config.sensors, "ars408": radar})
    with pytest.raises(ConfigError, match=r"ars408.kind.*radar of board qiki-rpi is a radar"):
        sensors_of(wrong, PROFILE)


def test_the_radar_is_heard_in_full_while_energy_allows_and_as_the_plan_says_when_it_does_not() -> None:
    full, short = sensing(), sensing()
    full.follow(plan(PerceptionMode.NAVIGATION, Motion.IDLE, EnergyLevel.FULL, RATES))
    assert hear(full, 5.0) == 69
    short.follow(plan(PerceptionMode.NAVIGATION, Motion.IDLE, EnergyLevel.FULL, {Consumer.RADAR: 1.0}))
    assert 4 <= hear(short, 5.0) <= 6
    assert short.left_out["radar"] >= 63


def test_with_an_alert_nothing_of_the_radar_is_left_out() -> None:
    eyes = sensing()
    eyes.follow(plan(PerceptionMode.NAVIGATION, Motion.IDLE, EnergyLevel.FULL, {Consumer.RADAR: 1.0}))
    eyes.alert = True
    assert hear(eyes, 2.0) == 28


def test_a_sensor_that_the_plan_has_off_is_not_heard_and_costs_no_track() -> None:
    craft = PortCraft()
    craft.wait(0.2)
    for _ in range(20):
        craft.t_ns += NS // 10
        craft.send(craft.turn([6.0] * 100))
        craft.step()
    assert craft.perception.sensing.used["lidar"] == 0
    assert craft.perception.sensing.left_out["lidar"] == 20


def test_one_scan_of_far_ahead_does_not_silence_a_sensor() -> None:
    eyes = sensing()
    hear(eyes, 1.0)
    sample = RadarScan(1, 1, radar_objects([(60.0, 0.0, 0.0, 0.0)]))
    assert eyes.observe(scan("radar", 10**15, radar=sample), HERE, 3 * NS) is None
    assert eyes.intake.counts == {"future": 1}
    t_ns = 3 * NS
    for number in range(10):
        t_ns += 72_000_000
        looked = RadarScan(300 + number, 1, radar_objects([(60.0 + 0.01 * number, 0.0, 0.0, 0.0)]))
        eyes.observe(scan("radar", t_ns, radar=looked), HERE, t_ns)
    assert eyes.used["radar"] >= 14 + 9


def test_the_range_finder_says_how_far_the_surface_is() -> None:
    craft = PortCraft()
    craft.move = {"motion": "Dock"}
    craft.wait(0.2)
    craft.send(craft.beam(4.0))
    craft.step()
    assert craft.perception.sensing.beam_m == 4.0
    craft.t_ns += NS
    craft.send(craft.beam(None))
    craft.step()
    assert craft.perception.sensing.beam_m is None


def test_a_sensor_that_contradicts_the_others_is_named_counted_and_weighed_down() -> None:
    """Three bodies that radar and lidar both see; then all distances, or all bearings, of the radar are off."""
    # From the radar; the lidar sits 0.15 m to its left and sees each as an arc of points.
    bodies = [(8.0, 30.0), (10.0, 0.0), (9.0, -35.0)]

    def flown(off_m: float, off_deg: float) -> PortCraft:
        generator = np.random.default_rng(2)
        craft = PortCraft()
        craft.move = {"motion": "Brake"}
        craft.wait(0.2)
        for cycle in range(240):
            far_m, off = (off_m, off_deg) if cycle >= 80 else (0.0, 0.0)
            places = []
            for range_m, bearing in bodies:
                x, y, vx, vy = placed(
                    range_m + far_m + generator.normal(0.0, 0.1), bearing + off + generator.normal(0.0, 0.3)
                )
                places.append((x, y, vx, vy))
            more = []
            if cycle % 2 == 0:
                ranges: list[float | None] = [None] * 720
                for range_m, bearing in bodies:
                    x, y, _, _ = placed(range_m, bearing)
                    at, far = np.degrees(np.arctan2(y - 0.15, x)), float(np.hypot(x, y - 0.15))
                    for step in range(-3, 4):
                        ranges[round((-at + 0.5 * step) * 2.0) % 720] = far + generator.normal(0.0, 0.02)
                more.append(craft.turn(ranges, craft.t_ns + 72_000_000))
            craft.look(places, *more)
        craft.wait(0.6)
        return craft

    def contradictions(craft: PortCraft) -> set[str]:
        return {name for name in craft.told["perception_refused"] if name.startswith("contradicts_")}

    good, far, turned = flown(0.0, 0.0), flown(2.0, 0.0), flown(0.0, 5.0)
    assert contradictions(good) == set()
    assert {words[0] for words in good.told["perception_sensors"].values()} == {"agrees"}
    assert contradictions(far) == {"contradicts_radar"}
    assert any("contradicts_radar" in text for text in far.texts("PERCEPTION_REFUSED"))
    # Of two that disagree about a bearing nobody can say who is right: that they do is named, and one weighs less.
    assert len(contradictions(turned)) == 1
    assert max(words[2] for words in turned.told["perception_sensors"].values()) > 1.5
