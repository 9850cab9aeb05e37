"""Faults of what is seen: each does what its name says, in the part's own bytes, and ends without a trace."""

from __future__ import annotations

import re
from collections.abc import Callable
from math import atan2, hypot, radians
from typing import Any

import numpy as np
import pytest

from hal.profile import load_profile
from hil.plant.targets import Mode, Obstacle, Scene, Target, Transponder
from hil.rig import check_fault
from hil.rig_faults_surroundings import check_names
from tests.hil.sky_rig import PROFILE, SkyRig

BENCH = load_profile("bench-12kg", "bench-rpi")
SCENE = Scene(
    targets=(Target("tug", (60.0, 20.0, 0.55), rcs_dbsm=25.0, transponder=Transponder(Mode.ON, 500)),),
    obstacles=(Obstacle("wall", (8.0, -2.0, 0.0), half_m=(0.5, 2.0, 2.0), rcs_dbsm=-60.0),),
)


def sky(*devices: str, scene: Scene = SCENE) -> SkyRig:
    return SkyRig(scene, *devices).run(1.2)


def last(one: SkyRig, device: str) -> Any:
    return one.heard[device][-1][1]


def ends_clean(one: SkyRig, stop: Callable[[], None], device: str) -> Any:
    """The last sample some time after the fault has ended."""
    stop()
    return last(one.run(1.5), device)


def test_clutter_buries_the_list_of_the_radar_and_goes() -> None:
    one = sky("radar")
    stop = one.rig.inject("radar_clutter", {"per_frame": 1000})
    assert len(last(one.run(0.5), "radar").objects) == 100
    assert len(ends_clean(one, stop, "radar").objects) == 1


def test_of_two_clutters_the_later_holds_and_the_scene_s_own_returns() -> None:
    one = sky("radar", scene=Scene(clutter_per_frame=2.0))
    view = one.rig.world.surroundings.views["radar"]
    first = one.rig.inject("radar_clutter", {"per_frame": 50})
    second = one.rig.inject("radar_clutter", {"per_frame": 70})
    first()
    assert view.clutter_per_frame == 70.0
    second()
    assert view.clutter_per_frame == 2.0


def test_a_ghost_stands_where_it_is_told_even_where_nothing_is_around() -> None:
    one = sky("radar", scene=Scene())
    stop = one.rig.inject("radar_ghost", {"range_m": 40, "bearing_deg": -20, "speed_m_s": -5, "rcs_dbsm": 8})
    one.run(1.0)
    [seen] = last(one, "radar").objects
    assert hypot(seen.x_m, seen.y_m) == pytest.approx(35.4, abs=1.0)
    assert atan2(seen.y_m, seen.x_m) == pytest.approx(radians(-20.0), abs=radians(4.0))
    assert ends_clean(one, stop, "radar").objects == ()


def test_a_frozen_radar_repeats_its_list_and_counts_on() -> None:
    one = sky("radar")
    stop = one.rig.inject("radar_frozen", {})
    scans = [scan for _, scan in one.run(1.0).heard["radar"]][-10:]
    assert len({scan.objects for scan in scans}) == 1
    assert len({scan.counter for scan in scans}) == 10
    one.heard["radar"].clear()
    ends_clean(one, stop, "radar")
    assert len({scan.objects for _, scan in one.heard["radar"]}) > 5


def test_a_spoofed_transponder_says_another_s_name_from_another_place() -> None:
    one = sky("transponder")
    stop = one.rig.inject("transponder_spoof", {"target": "tug", "number": 7, "range_m": 300, "bearing_deg": 40})
    one.heard["transponder"].clear()
    replies = [r for _, sample in one.run(3.0).heard["transponder"] for r in sample.replies]
    assert {(r.transponder_id, r.authentic) for r in replies} == {(7, False)}
    assert np.mean([r.range_m for r in replies]) == pytest.approx(363.0, abs=5.0)
    one.heard["transponder"].clear()
    ends_clean(one, stop, "transponder")
    assert {r.transponder_id for _, sample in one.heard["transponder"] for r in sample.replies} == {500}


def test_a_blind_lidar_goes_on_turning() -> None:
    one = sky("lidar")
    assert any(r is not None for r in last(one, "lidar").range_m)
    stop = one.rig.inject("lidar_blind", {})
    assert set(last(one.run(0.5), "lidar").range_m) == {None}
    assert any(r is not None for r in ends_clean(one, stop, "lidar").range_m)


def test_a_blind_range_finder_by_its_name() -> None:
    one = sky("approach")
    assert last(one, "approach").range_m is not None
    stop = one.rig.inject("lidar_blind", {"device": "approach"})
    assert last(one.run(0.5), "approach").range_m is None
    assert ends_clean(one, stop, "approach").range_m is not None


@pytest.mark.parametrize(("device", "deg"), [("radar", 10), ("lidar", 10), ("transponder", 10), ("approach", None)])
def test_a_bias_moves_what_one_part_says_and_no_other(device: str, deg: float | None) -> None:
    scene = Scene(
        targets=(Target("tug", (40.0, 0.0, 0.55), rcs_dbsm=25.0, transponder=Transponder(Mode.ON, 500)),),
        obstacles=(Obstacle("wall", (8.0, -0.15, 0.55), half_m=(0.5, 0.3, 0.3), rcs_dbsm=-60.0),),
    )
    names = ("radar", "lidar", "transponder", "approach")
    # The wall hides the tug: one of both for each part.
    scene = scene if device in ("lidar", "approach") else Scene(targets=scene.targets)

    def places(one: SkyRig) -> dict[str, tuple[float, float]]:
        found: dict[str, tuple[float, float]] = {}
        for name in names:
            rows = [row for _, sample in one.heard[name] for row in _polar(sample)]
            if rows:
                found[name] = (float(np.mean([r for r, _ in rows])), float(np.mean([b for _, b in rows])))
        return found

    before = places(sky(*names, scene=scene).run(3.0))
    one = SkyRig(scene, *names)
    one.rig.inject("sensor_bias", {"device": device, "metres": 2.0} | ({} if deg is None else {"deg": deg}))
    after = places(one.run(4.2))
    assert set(before) == set(after)
    for name, (range_m, bearing) in before.items():
        moved = 2.0 if name == device else 0.0
        turned = radians(deg or 0.0) if name == device else 0.0
        assert after[name][0] - range_m == pytest.approx(moved, abs=0.7 if name == "transponder" else 0.1)
        assert after[name][1] - bearing == pytest.approx(turned, abs=radians(1.0))


def _polar(sample: Any) -> list[tuple[float, float]]:
    if hasattr(sample, "objects"):
        return [(hypot(o.x_m, o.y_m), atan2(o.y_m, o.x_m)) for o in sample.objects]
    if hasattr(sample, "replies"):
        return [(r.range_m, r.bearing_rad) for r in sample.replies]
    if hasattr(sample, "angle_rad"):
        return [
            (r, -((a + np.pi) % (2 * np.pi) - np.pi)) for a, r in zip(sample.angle_rad, sample.range_m, strict=True)
            if r is not None
        ]
    return [] if sample.range_m is None else [(sample.range_m, 0.0)]


@pytest.mark.parametrize(
    ("kind", "parameters", "why"),
    [
        ("radar_clutter", {"per_frame": -1}, "0..10000 is allowed"),
        ("radar_clutter", {"per_frame": 1, "device": "lidar"}, "no radar 'lidar'; there are: radar"),
        ("radar_ghost", {"range_m": 500}, "0.2..250 is allowed"),
        ("radar_ghost", {"range_m": 50, "bearing_deg": 70}, "-60..60 is allowed"),
        ("transponder_spoof", {"target": 3}, "the name of a target"),
        ("transponder_spoof", {"target": "a", "number": 0}, "1..4.29497e+09 is allowed"),
        ("transponder_spoof", {"target": "a", "number": 1.5}, "a whole number"),
        ("transponder_spoof", {"target": "a", "number": True}, "a whole number"),
        ("transponder_spoof", {"target": "a", "authentic": 1}, "true or false"),
        ("lidar_blind", {"device": "radar"}, "no lidar or range finder 'radar'; there are: lidar, approach, dock_px"),
        ("sensor_bias", {"device": "mag"}, "no radar, lidar, range finder or receiver 'mag'"),
        ("sensor_bias", {"device": "approach", "deg": 3}, "one beam and tells no bearing"),
        ("sensor_bias", {"device": "lidar", "metres": 1e6}, "-10000..10000 is allowed"),
    ],
)
def test_what_makes_no_sense_is_refused_and_says_what_is_allowed(kind: str, parameters: Any, why: str) -> None:
    with pytest.raises(ValueError, match=re.escape(why)):
        check_fault(kind, parameters, PROFILE)


@pytest.mark.parametrize(("kind", "parameters"), [("radar_frozen", {}), ("lidar_blind", {}),
                                                  ("transponder_spoof", {"target": "a"})])
def test_a_board_without_the_part_refuses(kind: str, parameters: Any) -> None:
    with pytest.raises(ValueError, match="has no"):
        check_fault(kind, parameters, BENCH)


def test_a_target_that_the_scenario_has_not_is_refused_by_name() -> None:
    check_names("transponder_spoof", {"target": "a"}, ("a", "b"))
    check_names("radar_frozen", {}, ())
    with pytest.raises(ValueError, match="no target 'c'; there are: a, b"):
        check_names("transponder_spoof", {"target": "c"}, ("a", "b"))
