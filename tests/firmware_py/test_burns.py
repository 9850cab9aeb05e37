"""Burns on the whole craft: what is asked for is flown, and what cuts it does so within one fast tick."""

from __future__ import annotations

from math import sqrt
from pathlib import Path
from textwrap import dedent

import pytest
import yaml

from firmware_py.commands import CommandState, understand
from hal.frames import Vec3, rotate_inverse, subtract
from hal.propulsion import PulsePlan
from tests.firmware_py.rig_craft import FIRST_FLIGHT, Craft

NOZZLES = FIRST_FLIGHT.body.propulsion.nozzles
BURN = {"duration_s": 8.0, "level_pct": 40.0, "direction": "+x"}


def push_of(plan: PulsePlan) -> Vec3:
    """Impulse of a plan, N s, body axes."""
    x = y = z = 0.0
    for nozzle, on_ms in zip(NOZZLES, plan.on_ms, strict=True):
        dx, dy, dz = nozzle.direction
        impulse = nozzle.thrust_n * on_ms * 1e-3
        x, y, z = x + impulse * dx, y + impulse * dy, z + impulse * dz
    return (x, y, z)


def burning() -> Craft:
    """A craft one second into a burn along +x, in the middle of a window."""
    craft = Craft().boot()
    craft.order("hold")
    craft.run(2.0)
    assert craft.order("burn", **BURN).state is CommandState.ALLOWED
    craft.until(lambda: craft.motion == "Burn" and push_of(craft.software.plan)[0] > 20.0)
    craft.run(1.0)
    craft.ticks(11)
    return craft


def test_a_profile_gives_its_impulse_and_holds_the_attitude() -> None:
    craft = Craft().boot()
    craft.order("hold")
    craft.run(2.0)
    before = craft.rig.truth()
    record = craft.order("burn", segments=[
        {"duration_s": 1.6, "level_pct": 30, "direction": "+x", "ramp_in_s": 0.4, "ramp_out_s": 0.3},
        {"duration_s": 0.9, "level_pct": 20, "direction": "-z"},
    ])
    assert record.state is CommandState.ALLOWED
    craft.until(lambda: "PROFILE_DONE" in craft.codes)
    craft.run(0.5)
    after = craft.rig.truth()
    gained = rotate_inverse(before.quaternion, subtract(after.velocity, before.velocity))
    mass = FIRST_FLIGHT.body.mass.dry_kg + 0.5 * (before.propellant_kg + after.propellant_kg)
    allocator = craft.software.allocator
    x = 0.30 * allocator.largest_scale((1, 0, 0, 0, 0, 0)) * (1.6 - 0.35) / mass
    z = -0.20 * allocator.largest_scale((0, 0, -1, 0, 0, 0)) * 0.9 / mass
    # Nozzles differ by some per cent, and up to one shortest pulse of the set is not emitted.
    assert gained == pytest.approx((x, 0.0, z), abs=0.06)
    assert craft.rig.checker.total == 0
    assert craft.motion == "Coast"


def test_a_brake_replaces_the_pulses_of_a_profile_within_one_fast_tick() -> None:
    craft = burning()
    plane = craft.hardware.propulsion
    windows = plane.windows
    assert push_of(craft.software.plan)[0] > 20.0
    craft.order("brake")
    assert plane.windows == windows
    craft.ticks(1)
    assert plane.windows == windows + 1
    assert craft.software.commander.target is not None
    assert craft.software.commander.target.push_n is None
    assert push_of(craft.software.plan)[0] < 0.0
    craft.until(lambda: craft.motion == "Idle", 20.0)
    assert sqrt(sum(v * v for v in craft.rig.truth().velocity)) < 0.08
    assert craft.rig.checker.total == 0


@pytest.mark.parametrize("how", ["burn_stop", "safe"])
def test_a_stop_and_safe_end_the_push_within_one_fast_tick(how: str) -> None:
    craft = burning()
    windows = craft.hardware.propulsion.windows
    craft.order(how)
    craft.ticks(1)
    assert craft.hardware.propulsion.windows == windows + 1
    assert push_of(craft.software.plan)[0] < 10.0
    speed = craft.rig.truth().velocity
    craft.run(1.0)
    drift = subtract(craft.rig.truth().velocity, speed)
    assert sqrt(sum(v * v for v in drift)) < 0.06
    assert craft.motion == ("SAFE" if how == "safe" else "Coast")
    assert craft.rig.checker.total == 0


def test_a_burn_that_was_interrupted_is_not_taken_up_again() -> None:
    craft = burning()
    craft.order("disarm")
    craft.run(1.0)
    assert craft.open_nozzles() == 0
    craft.order("arm")
    craft.until(lambda: "PROFILE_ABORTED" in craft.codes)
    craft.run(1.0)
    assert "segment 1: windows were missed: RCS_UNAVAILABLE" in craft.texts("PROFILE_ABORTED")
    assert craft.software.commander.phase == "coast"


def test_an_override_makes_its_wrench_and_then_lets_go() -> None:
    craft = Craft().boot()
    craft.order("hold")
    craft.run(2.0)
    before = craft.rig.truth()
    craft.order("override_arm")
    assert craft.order("override_fire", wrench=[0, 200, 0, 0, 0, 30], duration_s=1.0).state is CommandState.ALLOWED
    craft.until(lambda: craft.software.commander.settled)
    craft.run(0.3)
    after = craft.rig.truth()
    gained = rotate_inverse(before.quaternion, subtract(after.velocity, before.velocity))
    assert gained[1] == pytest.approx(200.0 / 430.0, rel=0.2)
    assert after.rate[2] == pytest.approx(30.0 / 305.0, rel=0.2)
    assert set(craft.software.plan.on_ms) == {0}
    assert craft.rig.checker.total == 0


def test_the_guide_s_burns_are_understood() -> None:
    guide = Path(__file__).resolve().parents[2] / "docs" / "guide" / "write-a-scenario.md"
    shown = guide.read_text(encoding="utf-8").partition("### Burn profiles")[2].split("\n\n")[2]
    given = yaml.safe_load(dedent(shown))
    assert [step["command"] for step in given] == ["burn", "burn"]
    segments = understand("burn", given[0]["arguments"])["segments"]
    assert [segment["direction"] for segment in segments[:2]] == [(1.0, 0.0, 0.0)] * 2
    assert segments[2]["direction"] == pytest.approx((0.2**0.5, 0.0, 0.8**0.5))
    assert understand("burn", given[1]["arguments"])["level_pct"] == 20.0
