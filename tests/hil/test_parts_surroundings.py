"""What is around the craft, through the chips' bytes and the real drivers: where it is, when it was, and at no cost."""

from __future__ import annotations

from math import atan2, hypot, radians, sqrt

import numpy as np
import pytest

from hil.plant.targets import Field, Mode, Obstacle, Scene, Target, Transponder
from hil.rig import Rig
from tests.hil.sky_rig import MS, SECOND, SkyRig

RADAR = np.array([1.10, 0.0, 0.55])
CYCLE_S = 1.0 / 13.0


def centre(rig: Rig) -> np.ndarray:
    return np.array(rig.world.rigid.centre_of_mass_m)


def test_a_passing_target_is_told_by_the_radar_where_it_was_a_cycle_ago() -> None:
    flyer = Target("flyer", (60.0, -20.0, 1.0), (-2.0, 4.0, 0.0), rcs_dbsm=20.0)
    sky = SkyRig(Scene(targets=(flyer,)), "radar").run(10.0)
    scans = [(t, scan.objects[0]) for t, scan in sky.heard["radar"] if scan.objects]
    assert len(scans) > 110
    errors = []
    for t_ns, seen in scans:
        event_s = t_ns / SECOND - CYCLE_S
        way = np.array(flyer.position) + np.array(flyer.velocity) * event_s - (RADAR - centre(sky.rig))
        distance = float(np.linalg.norm(way))
        errors.append((
            hypot(seen.x_m, seen.y_m) - distance, atan2(seen.y_m, seen.x_m) - atan2(way[1], way[0]),
            (seen.x_m * seen.vx_m_s + seen.y_m * seen.vy_m_s) / distance - float(way @ flyer.velocity) / distance,
        ))
    mean, spread = np.mean(errors, axis=0), np.std(errors, axis=0)
    # 5 ms of the rig's tick is 2 cm on the way and 0.02 deg across; lists are in steps of 0.2 m and 0.25 m/s.
    assert np.abs(mean) == pytest.approx([0.0, 0.0, 0.0], abs=0.06)
    assert spread[0] < 0.45
    assert spread[1] < radians(1.1)
    assert spread[2] < 0.2
    assert {seen.object_id for _, seen in scans} == {0}


def test_a_target_behind_a_wall_is_not_listed_until_it_comes_out() -> None:
    flyer = Target("flyer", (80.0, 0.0, 0.55), (0.0, 3.0, 0.0), rcs_dbsm=30.0, radius_m=0.5)
    wall = Obstacle("wall", (40.0, 0.0, 0.55), half_m=(0.5, 6.0, 6.0), rcs_dbsm=-60.0)
    sky = SkyRig(Scene(targets=(flyer,), obstacles=(wall,)), "radar").run(6.0)
    first = next(t for t, scan in sky.heard["radar"] if scan.objects)
    # The line of sight passes the wall's near edge at 39.5 m when the target is 12 m out: at 4.05 s.
    assert first / SECOND == pytest.approx(4.05 + CYCLE_S, abs=0.25)


def test_the_lidar_sees_a_box_ahead_and_the_range_finder_its_face() -> None:
    box = Obstacle("box", (6.0, 0.0, 0.55), half_m=(1.0, 1.5, 1.5))
    sky = SkyRig(Scene(obstacles=(box,)), "lidar", "approach").run(1.0)
    _, scan = sky.heard["lidar"][-1]
    points = np.array([
        (r * np.cos(a), -r * np.sin(a)) for a, r in zip(scan.angle_rad, scan.range_m, strict=True) if r is not None
    ])
    face = 6.0 - 1.0 - (1.10 - centre(sky.rig)[0])
    assert points[:, 0] == pytest.approx(np.full(len(points), face), abs=0.06)
    # From 1.35 m right of it to 1.65 m left of it: the lidar sits 0.15 m to the left itself.
    shift = 0.15 - centre(sky.rig)[1]
    assert (points[:, 1].min(), points[:, 1].max()) == (
        pytest.approx(-1.5 - shift, abs=0.06), pytest.approx(1.5 - shift, abs=0.06),
    )
    assert sky.heard["approach"][-1][1].range_m == pytest.approx(face, abs=0.1)


def test_transponders_answer_with_their_names_and_where_they_are() -> None:
    targets = (
        Target("a", (40.0, 40.0, 0.0), transponder=Transponder(Mode.ON, 1001)),
        Target("b", (-30.0, 0.0, 0.0), transponder=Transponder(Mode.SILENT, 1002)),
        Target("c", (0.0, -80.0, 0.0), transponder=Transponder(Mode.SPOOF, 1003)),
        Target("d", (50.0, 0.0, 0.0)),
    )
    sky = SkyRig(Scene(targets=targets), "transponder").run(8.0)
    samples = [sample for _, sample in sky.heard["transponder"]]
    assert len(samples) == pytest.approx(15, abs=1)
    replies = [reply for sample in samples for reply in sample.replies]
    said = {(r.transponder_id, r.mode, r.authentic) for r in replies}
    assert said == {(1001, "on", True), (1002, "silent", True), (1003, "on", False)}
    antenna = np.array([0.0, -1.05, 0.25]) - centre(sky.rig)
    for target, number in zip(targets, (1001, 1002, 1003), strict=False):
        way = np.array(target.position) - antenna
        own = [r for r in replies if r.transponder_id == number]
        assert np.mean([r.range_m for r in own]) == pytest.approx(float(np.linalg.norm(way)), abs=2.0)
        turned = [(r.bearing_rad - atan2(way[1], way[0]) + np.pi) % (2 * np.pi) - np.pi for r in own]
        assert np.mean(turned) == pytest.approx(0.0, abs=radians(1.0))


def test_a_magnet_ahead_bends_the_measured_field_and_a_patch_colours_the_light() -> None:
    scene = Scene(
        fields=(Field((0.0, -3.0, 0.0), (0.0, 200.0, 0.0)),),
        targets=(Target("rock", (12.0, 0.0, 0.5), radius_m=5.0, spectrum="rust"),),
        spectra={"rust": (0.05, 0.05, 0.05, 0.05, 0.1, 0.2, 0.3, 0.35, 0.2, 0.4)},
    )
    near, plain = SkyRig(scene, "mag", "spectrum").run(6.0), SkyRig(Scene(), "mag", "spectrum").run(6.0)
    bent = np.mean([s.field_t for _, s in near.heard["mag"]], axis=0)
    straight = np.mean([s.field_t for _, s in plain.heard["mag"]], axis=0)
    place = np.array([0.0, -0.9, 0.4]) - centre(near.rig)
    added = np.array(near.rig.world.surroundings.field_t((place[0], place[1], place[2])))
    assert np.linalg.norm(added) > 3e-6
    assert bent - straight == pytest.approx(added, rel=0.03, abs=2e-8)
    light = near.heard["spectrum"][-1][1].basic_counts_s
    assert light[7] / light[1] == pytest.approx(0.35 / 0.05 * 2415.0 / 1302.0, rel=0.05)
    assert max(plain.heard["spectrum"][-1][1].basic_counts_s) == 0.0


def test_the_dock_s_range_finders_look_out_along_the_bayonet() -> None:
    ball = Target("ball", (0.0, 0.0, 3.0), radius_m=1.0)
    sky = SkyRig(Scene(targets=(ball,)), "dock_px").run(3.0)
    height = 3.0 - (1.2 - centre(sky.rig)[2])
    assert sky.heard["dock_px"][-1][1].range_m == pytest.approx(height - sqrt(1.0 - 0.25**2), abs=0.15)


def test_the_same_seed_gives_the_same_lists_and_another_seed_others() -> None:
    scene = Scene(targets=(Target("t", (50.0, 0.0, 0.0), rcs_dbsm=10.0),), clutter_per_frame=3.0)
    lists = [SkyRig(scene, "radar", seed=seed).run(1.0).heard["radar"] for seed in (1, 1, 2)]
    assert lists[0] == lists[1] != lists[2]


def test_surroundings_change_no_byte_of_any_other_part() -> None:
    scene = Scene(targets=(Target("t", (30.0, 0.0, 0.0), rcs_dbsm=10.0),), clutter_per_frame=3.0)
    names = ("imu_b", "bus_monitor", "sun_px", "tank", "temps_a", "geiger", "mag")
    empty, full = SkyRig(Scene(), *names).run(3.0), SkyRig(scene, *names).run(3.0)
    assert empty.heard == full.heard
    assert empty.rig.truth() == full.rig.truth()


def test_a_full_sky_loses_no_frame_and_every_part_stays_well() -> None:
    targets = tuple(
        Target(f"t{i}", (25.0 + i % 20 * 3.0, (i // 20 - 10) * 4.0, 0.0), (0.0, 0.3, 0.0), radius_m=0.2, rcs_dbsm=20.0,
               transponder=Transponder(Mode.ON, 1 + i))
        for i in range(400)
    )
    sky = SkyRig(Scene(targets=targets, clutter_per_frame=100.0), "radar", "transponder").run(4.0)
    assert sky.rig.buses["can1"].dropped == 0
    assert max(len(scan.objects) for _, scan in sky.heard["radar"]) == 100
    assert max(len(sample.replies) for _, sample in sky.heard["transponder"]) == 32
    assert sky.hardware.failures() == 0
    assert {"radar", "transponder", "lidar"}.isdisjoint(sky.hardware.not_ok())


def test_what_a_board_sees_without_surroundings_is_nothing_at_the_old_instants() -> None:
    sky = SkyRig(Scene(), "radar", "lidar", "approach", "transponder").run(2.0)
    assert all(scan.objects == () for _, scan in sky.heard["radar"])
    assert all(set(scan.range_m) == {None} for _, scan in sky.heard["lidar"])
    assert all(sample.range_m is None for _, sample in sky.heard["approach"])
    assert all(sample.replies == () for _, sample in sky.heard["transponder"])
    assert len(sky.heard["radar"]) == pytest.approx(25, abs=1)
    assert sky.now_ns > 5 * MS
