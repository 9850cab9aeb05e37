"""Frames from samples: angles, signs, times and what is missing; and through the rig's bytes where a target was."""

from __future__ import annotations

from math import atan2, cos, nan, pi, radians, sin

import numpy as np
import pytest

from drivers.samples import LidarScan, RadarObject, RadarScan, RangeSample
from firmware_py.perception.from_chips import (
    BEAM_LATENCY_NS,
    LIDAR_LATENCY_NS,
    RADAR_LATENCY_NS,
    BeamFrames,
    FrameCounter,
    LidarFrames,
    RadarFrames,
    level_turn,
)
from firmware_py.perception.mounts import CraftPose, Mount, mounts_of
from firmware_py.perception.observation import NO_ID, Band, Frame, SensorKind, TransponderMode
from firmware_py.perception.transponder_join import TransponderJoin
from hal.frames import quaternion_from_rotation_vector, rotate
from hil.plant.targets import Mode, Obstacle, Scene, Target, Transponder
from tests.hil.sky_rig import PROFILE, SECOND, SkyRig

RESTING = CraftPose(SECOND, (0.0, 0.0, 0.0), (0.0, 0.0, 0.0), (1.0, 0.0, 0.0, 0.0), (0.0, 0.0, 0.0))
TURN = 2.0 * pi


def scan(*rows: tuple[float, float, float, float], counter: int = 1) -> RadarScan:
    return RadarScan(counter, len(rows), tuple(RadarObject(i, *row, 3.0, "moving") for i, row in enumerate(rows)))


def radar(threshold_m: float = 5000.0) -> RadarFrames:
    return RadarFrames("radar", Mount(), threshold_m)


def test_a_radar_list_is_range_bearing_and_speed_without_height_or_strength() -> None:
    frame = radar().frame(scan((30.0, 40.0, -5.0, 0.0), (10.0, -10.0, 1.0, 1.0)), SECOND, RESTING)
    assert frame.range_m == pytest.approx([50.0, 200.0**0.5])
    assert frame.bearing_rad == pytest.approx([atan2(4.0, 3.0), -pi / 4])
    assert frame.radial_velocity_m_s == pytest.approx([-3.0, 0.0])
    assert np.isnan(frame.elevation_rad).all()
    assert np.isnan(frame.snr_db).all()
    assert frame.rcs_dbsm.tolist() == [3.0, 3.0]
    assert frame.transponder_id.tolist() == [NO_ID, NO_ID]
    assert (frame.kind, frame.sensor_id) == (SensorKind.RADAR, "radar")


def test_a_radar_frame_was_measured_a_cycle_before_it_came_and_is_of_the_pose_then() -> None:
    moving = CraftPose(SECOND, (0.0, 0.0, 0.0), (10.0, 0.0, 0.0), (1.0, 0.0, 0.0, 0.0), (0.0, 0.0, 0.0))
    frame = radar().frame(scan(), SECOND, moving)
    assert (frame.event_ns, frame.ingest_ns, len(frame)) == (SECOND - RADAR_LATENCY_NS, SECOND, 0)
    assert frame.pose.position_m[0] == pytest.approx(-0.77)


def test_rows_are_split_into_bands_by_their_range() -> None:
    frame = radar(40.0).frame(scan((40.0, 0.0, 0.0, 0.0), (40.2, 0.0, 0.0, 0.0)), SECOND, RESTING)
    assert frame.band.tolist() == [Band.SR, Band.LR]


def test_an_object_at_the_antenna_has_no_speed_along_the_line_of_sight() -> None:
    frame = radar().frame(scan((0.0, 0.0, 1.0, 0.0)), SECOND, RESTING)
    assert np.isnan(frame.radial_velocity_m_s[0])


def test_counters_grow_over_their_end_and_over_a_restart() -> None:
    counter = FrameCounter(16)
    assert [counter.next(c) for c in (65534, 65535, 0, 0, 3, 1)] == [65534, 65535, 65536, 65536, 65539, 131073]
    plain = FrameCounter()
    assert [plain.next() for _ in range(3)] == [1, 2, 3]


def turn(rate_rad_s: float = 10.0 * TURN, points: int = 360) -> LidarScan:
    angles = tuple(TURN * i / points for i in range(points))
    return LidarScan(angles, tuple(2.0 if i % 2 else None for i in range(points)), (9,) * points, rate_rad_s, 0)


def test_lidar_angles_turn_round_and_missing_echoes_are_no_rows() -> None:
    angles = (0.0, 0.5 * pi, pi, 1.5 * pi)
    frame = LidarFrames("lidar", Mount(), 5000.0).frame(
        LidarScan(angles, (1.0, 2.0, None, 4.0), (1, 1, 1, 1), 10.0 * TURN, 0), SECOND, RESTING
    )
    assert frame.range_m.tolist() == [1.0, 2.0, 4.0]
    assert frame.bearing_rad == pytest.approx([0.0, -0.5 * pi, 0.5 * pi])
    assert frame.elevation_rad.tolist() == [0.0, 0.0, 0.0]
    assert np.isnan(frame.radial_velocity_m_s).all()
    # Three quarters of a turn passed: the middle was 37.5 ms before the end.
    assert frame.event_ns == SECOND - LIDAR_LATENCY_NS - 37_500_000


def test_a_turn_with_more_angles_than_distances_keeps_the_pairs_and_an_empty_one_is_empty() -> None:
    frames = LidarFrames("lidar", Mount(), 5000.0)
    cut = LidarScan((0.0, 1.0, 2.0), (3.0, 4.0), (1, 1, 1), 10.0 * TURN, 0)
    assert frames.frame(cut, SECOND, RESTING).range_m.tolist() == [3.0, 4.0]
    none = frames.frame(LidarScan((), (), (), 10.0 * TURN, 0), 2 * SECOND, RESTING)
    assert (len(none), none.frame_id) == (0, 2)


@pytest.mark.parametrize("rate", [(0.0, 0.0, 0.6), (0.5, 0.0, 0.0), (0.3, -0.4, 0.5)])
def test_points_of_a_turn_are_laid_where_the_sensor_looked_in_its_middle(rate: tuple[float, float, float]) -> None:
    since = np.linspace(-0.05, 0.05, 41)
    world = np.array([cos(0.3), sin(0.3), 0.0])
    bearings, elevations = level_turn(np.full(41, 0.3), since, rate)
    for bearing, elevation, at in zip(bearings, elevations, since, strict=True):
        # What the turned sensor saw in its plane, in inertial axes that are the sensor's at the middle.
        q = quaternion_from_rotation_vector((rate[0] * at, rate[1] * at, rate[2] * at))
        seen = rotate(q, (float(world[0]), float(world[1]), 0.0))
        told = (cos(elevation) * cos(bearing), cos(elevation) * sin(bearing), sin(elevation))
        assert told == pytest.approx(seen, abs=1e-12)


def test_a_beam_is_one_row_ahead_or_none() -> None:
    frames = BeamFrames("approach", Mount(), 5000.0)
    seen = frames.frame(RangeSample(3.5, 900.0, None, "ok"), SECOND, RESTING)
    none = frames.frame(RangeSample(None, 10.0, None, "weak signal"), 2 * SECOND, RESTING)
    assert (seen.range_m.tolist(), seen.bearing_rad.tolist(), seen.elevation_rad.tolist()) == ([3.5], [0.0], [0.0])
    assert (len(none), none.event_ns, none.frame_id) == (0, 2 * SECOND - BEAM_LATENCY_NS, 2)


# -- through the rig


def craft_of(sky: SkyRig) -> CraftPose:
    rigid = sky.rig.world.rigid
    return CraftPose(sky.now_ns, rigid.position, rigid.velocity, rigid.quaternion, rigid.rate)


def placed(frame: Frame) -> np.ndarray:
    """Rows as inertial points; without an elevation they are laid into the sensor's plane."""
    elevation = np.nan_to_num(frame.elevation_rad)
    local = np.stack((
        np.cos(elevation) * np.cos(frame.bearing_rad), np.cos(elevation) * np.sin(frame.bearing_rad), np.sin(elevation)
    ), axis=1) * frame.range_m[:, None]
    return np.array([
        np.array(frame.pose.position_m) + np.array(rotate(frame.pose.quaternion, (p[0], p[1], p[2]))) for p in local
    ]).reshape(-1, 3)


def test_a_target_seen_from_a_turning_craft_is_where_it_truly_was() -> None:
    flyer = Target("flyer", (50.0, 4.0, 0.55), (-1.0, 0.5, 0.0), rcs_dbsm=25.0)
    sky = SkyRig(Scene(targets=(flyer,)), "radar", rate=(0.0, 0.0, radians(4.0)), velocity=(0.5, 0.0, 0.0))
    frames, errors = RadarFrames("radar", mounts_of(PROFILE)["radar"], 5000.0), []

    def look(now_ns: int) -> None:
        for at_ns, list_ in sky.heard["radar"]:
            if at_ns == now_ns and list_.objects:
                frame = frames.frame(list_, now_ns, craft_of(sky))
                true = np.array(flyer.position) + np.array(flyer.velocity) * frame.event_ns / SECOND
                errors.append(placed(frame)[0] - true)

    sky.run(8.0, look)
    assert len(errors) > 90
    # Across: 1 deg near and 0.1 deg far at 50 m in single lists; none of it stays in the mean.
    assert np.abs(np.mean(errors, axis=0)[:2]).max() < 0.25


def test_a_wall_seen_from_a_turning_craft_stays_straight_and_in_its_place() -> None:
    wall = Obstacle("wall", (7.0, 0.0, 0.0), half_m=(0.5, 8.0, 8.0))
    sky = SkyRig(Scene(obstacles=(wall,)), "lidar", rate=(0.0, 0.0, radians(30.0)))
    maker, depths, raw = LidarFrames("lidar", mounts_of(PROFILE)["lidar"], 5000.0), [], []

    def look(now_ns: int) -> None:
        for at_ns, turned in sky.heard["lidar"]:
            if at_ns == now_ns and now_ns > SECOND // 2:
                frame = maker.frame(turned, now_ns, craft_of(sky))
                points = placed(frame)
                if len(points) > 40:
                    depths.append(points[:, 0])
                    bearings = -np.array([
                        a for a, r in zip(turned.angle_rad, turned.range_m, strict=True) if r is not None
                    ])
                    flat = Frame("l", SensorKind.LIDAR, 1, frame.event_ns, now_ns, frame.pose, frame.range_m, bearings,
                                 np.zeros(len(bearings)))
                    raw.append(placed(flat)[:, 0])

    sky.run(1.5, look)
    assert len(depths) > 6
    level = max(float(np.abs(d - 6.5).max()) for d in depths)
    assert level < 0.12
    assert max(float(np.abs(d - 6.5).max()) for d in raw) > 2.0 * level


def test_transponders_name_the_rows_of_short_range_and_never_those_of_long() -> None:
    scene = Scene(targets=(
        Target("a", (40.0, 15.0, 0.55), (0.3, 0.0, 0.0), rcs_dbsm=25.0, transponder=Transponder(Mode.ON, 501)),
        Target("b", (45.0, -15.0, 0.55), rcs_dbsm=25.0, transponder=Transponder(Mode.SPOOF, 502)),
        Target("c", (150.0, 0.0, 0.55), rcs_dbsm=35.0, transponder=Transponder(Mode.ON, 503)),
        Target("d", (30.0, 0.0, -1.0), rcs_dbsm=25.0),
    ))
    sky = SkyRig(scene, "radar", "transponder", rate=(0.0, 0.0, radians(-1.0)))
    mounts = mounts_of(PROFILE)
    join = TransponderJoin(mounts["transponder"])
    maker = RadarFrames("radar", mounts["radar"], 100.0, join)
    rows: set[tuple[int, int, int]] = set()

    def look(now_ns: int) -> None:
        for at_ns, sample in sky.heard["transponder"][-1:]:
            if at_ns == now_ns:
                join.hear(sample, now_ns, craft_of(sky))
        for at_ns, list_ in sky.heard["radar"][-1:]:
            if at_ns == now_ns and now_ns > 2 * SECOND:
                frame = maker.frame(list_, now_ns, craft_of(sky))
                rows.update(
                    (round(r, -1), int(m), int(i)) for r, m, i in zip(
                        frame.range_m.tolist(), frame.transponder_mode, frame.transponder_id, strict=True)
                )

    sky.run(5.0, look)
    named = {row for row in rows if row[2] != NO_ID}
    assert {(mode, number) for _, mode, number in named} == {
        (TransponderMode.ON, 501), (TransponderMode.SPOOF, 502),
    }
    assert {place for place, mode, number in rows if place > 100} == {150.0}
    assert not any(number != NO_ID for place, _, number in rows if place in (30.0, 150.0))
    assert join.joined > 50


def test_a_missing_number_stays_missing() -> None:
    assert np.isnan(radar().frame(scan((nan, 1.0, 0.0, 0.0)), SECOND, RESTING).range_m[0])
