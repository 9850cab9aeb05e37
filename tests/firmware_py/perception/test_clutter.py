"""A sensor full of false echoes is held back, a swarm is not, and what was believed goes on."""

from __future__ import annotations

import numpy as np
import pytest

from firmware_py.perception.clutter import ClutterGuard
from firmware_py.perception.observation import Frame, Pose, SensorKind
from tests.firmware_py.perception.port_craft import PortCraft, placed
from tests.firmware_py.perception.track_lists import NS, track_list


def frame(places: list[tuple[float, float]], t_ns: int = 10 * NS) -> Frame:
    """Ranges and bearings from the origin, along x."""
    ranges, bearings = np.array(places, float).reshape(-1, 2).T
    return Frame("radar", SensorKind.RADAR, 1, t_ns, t_ns, Pose(), ranges, bearings, np.zeros(len(ranges)))


@pytest.mark.parametrize(("new", "cluttered"), [
    ([100, 5, 5, 5, 5], False), ([100, 100, 5, 5, 5], False), ([100, 100, 100], True), ([16, 0, 16, 0, 16], True),
    ([15] * 20, False), ([0] * 5, False),
])
def test_one_full_list_is_a_swarm_and_many_are_clutter(new: list[int], cluttered: bool) -> None:
    guard = ClutterGuard(1.0)
    for count in new:
        guard.note(count)
    assert guard.cluttered is cluttered


def test_it_ends_when_lists_are_half_as_full_and_not_before() -> None:
    guard = ClutterGuard(1.0)
    for _ in range(3):
        guard.note(50)
    for _ in range(20):
        guard.note(10)
    assert guard.cluttered
    for _ in range(3):
        guard.note(3)
    assert not guard.cluttered


def test_a_sensor_that_expects_much_is_borne_more() -> None:
    guard = ClutterGuard(10.0)
    for _ in range(20):
        guard.note(90)
    assert not guard.cluttered


def test_held_is_what_continues_no_firm_track() -> None:
    guard = ClutterGuard(1.0)
    tracks = track_list([[50, 0, 0, -10, 0, 0], [0, 80, 0, 0, 0, 0]], 10 * NS)
    # A tenth of a second later the first one is a metre nearer.
    looked = frame([(49.0, 0.0), (80.0, np.pi / 2), (80.0, 0.0), (49.0, 0.3), (20.0, 0.0)], 10 * NS + NS // 10)
    kept = guard.hold(looked, tracks)
    assert kept.range_m.tolist() == [49.0, 80.0]
    assert guard.held == 3
    assert len(guard.hold(frame([(49.0, 0.0)]), None)) == 0
    assert len(guard.hold(frame([]), tracks)) == 0


def test_a_swarm_that_comes_into_view_at_once_is_tracked() -> None:
    craft = PortCraft()
    places = [placed(60.0 + 12.0 * (n // 7), -36.0 + 12.0 * (n % 7)) for n in range(49)]
    for _ in range(20):
        craft.look(places)
    assert len(craft.firm()) >= 45
    assert "clutter_radar" not in craft.perception.refusals


def test_in_clutter_nothing_new_is_believed_and_a_known_contact_is_kept_and_afterwards_all_is_well() -> None:
    generator = np.random.default_rng(5)
    craft = PortCraft()
    for _ in range(20):
        craft.look([(60.0, 0.0, 0.0, 0.0)])
    known = {contact.track_id for contact in craft.firm()}
    for _ in range(60):
        where = generator.uniform((5.0, -40.0), (200.0, 40.0), (99, 2))
        craft.look([(60.0, 0.0, 0.0, 0.0), *np.hstack((where, generator.uniform(-30, 30, (99, 2)))).tolist()])
    firm = {contact.track_id for contact in craft.firm()}
    assert known <= firm
    assert len(firm) <= 3
    assert not any(frame.urgent for frame in craft.frames)
    craft.wait(1.0)
    assert craft.told["perception_refused"]["clutter_radar"] > 3000
    for _ in range(30):
        craft.look([(60.0, 0.0, 0.0, 0.0), (90.0, 30.0, 0.0, 0.0)])
    assert len(craft.firm()) == 2
