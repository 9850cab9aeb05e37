"""What gating asks beside the core's facts: unknown until somebody says so, and what a body says of itself."""

from __future__ import annotations

import dataclasses
from typing import Any

import msgspec
import pytest

from fdir.gate_facts import BridgeChain, GateFacts, can_turn, has_inertia
from hal.profile import load_body

BODY = load_body("qiki-t")
NOZZLE = BODY.propulsion.nozzles[0]


def nozzle(position: tuple[float, float, float], direction: tuple[float, float, float]) -> Any:
    return msgspec.structs.replace(NOZZLE, position_m=position, direction=direction)


def test_nothing_is_known_by_default() -> None:
    known = {field.name: getattr(GateFacts(), field.name) for field in dataclasses.fields(GateFacts)}
    assert known.pop("bridge") == BridgeChain()
    assert set(known.values()) == {None}
    assert set(dataclasses.astuple(BridgeChain())) == {None}


def test_a_body_says_what_it_is_and_nothing_that_has_to_be_measured() -> None:
    assert GateFacts.of(BODY) == GateFacts(
        com_valid=True, inertia_modelled=True, thrust_map=True, torque_map=True,
        battery_nbl_soc=BODY.power.battery.nbl_soc, supercap_nbl_soc=BODY.power.supercap.nbl_soc,
    )


def test_a_body_without_nozzles_has_no_maps() -> None:
    bare = msgspec.structs.replace(BODY, propulsion=msgspec.structs.replace(BODY.propulsion, nozzles=()))
    known = GateFacts.of(bare)
    assert (known.thrust_map, known.torque_map) == (False, False)


def test_a_body_whose_nozzles_all_push_through_its_centre_has_no_torque_map() -> None:
    x, y, z = BODY.mass.centre_of_mass_m
    pushes = (nozzle((x + 1.0, y, z), (1.0, 0.0, 0.0)),)
    straight = msgspec.structs.replace(BODY, propulsion=msgspec.structs.replace(BODY.propulsion, nozzles=pushes))
    known = GateFacts.of(straight)
    assert (known.thrust_map, known.torque_map) == (True, False)


@pytest.mark.parametrize(("inertia", "fits"), [
    (((1.0, 0.0, 0.0), (0.0, 2.0, 0.0), (0.0, 0.0, 3.0)), True),
    (((2.0, 1.0, 0.0), (1.0, 2.0, 1.0), (0.0, 1.0, 2.0)), True),
    (((0.1, 0.0, 0.0), (0.0, 0.1, 0.0), (0.0, 0.0, 0.1)), True),
    (((0.0, 0.0, 0.0), (0.0, 2.0, 0.0), (0.0, 0.0, 3.0)), False),
    (((-1.0, 0.0, 0.0), (0.0, -2.0, 0.0), (0.0, 0.0, 3.0)), False),
    (((1.0, 2.0, 0.0), (2.0, 1.0, 0.0), (0.0, 0.0, -3.0)), False),
    (((1.0, 1.0, 0.0), (1.0, 1.0, 0.0), (0.0, 0.0, 3.0)), False),
    (((1.0, 0.0, 0.0), (0.0, 2.0, 0.0), (0.0, 0.0, 0.0)), False),
    (((1.0, 0.0, 0.0), (0.0, 2.0, 2.0), (0.0, 2.0, 2.0)), False),
    (((2.0, 1.0, 1.0), (1.0, 2.0, 1.0), (1.0, 1.0, 2.0)), True),
    (((2.0, 1.0, 1.9), (1.0, 2.0, 0.0), (1.9, 0.0, 2.0)), False),
    (((2.0, 1.0, 1.0), (1.0, 2.0, -1.0), (1.0, -1.0, 2.0)), False),
    # Not symmetric: one minor is 0 and the next is positive all the same.
    (((0.0, 1.0, 0.0), (-1.0, 1.0, 0.0), (0.0, 0.0, 1.0)), False),
    (((1.0, 0.0, 0.0), (0.0, 0.0, 1.0), (0.0, -1.0, 1.0)), False),
])
def test_an_inertia_is_positive_definite(inertia: Any, fits: bool) -> None:
    assert has_inertia(inertia) is fits


@pytest.mark.parametrize("axis", range(3))
@pytest.mark.parametrize("push", range(3))
def test_a_nozzle_turns_the_body_unless_it_pushes_along_its_lever(axis: int, push: int) -> None:
    centre = (1.0, -2.0, 0.5)
    lever = [0.0, 0.0, 0.0]
    lever[axis] = 0.5
    direction = [0.0, 0.0, 0.0]
    direction[push] = 1.0
    place = tuple(a + b for a, b in zip(centre, lever, strict=True))
    assert can_turn((nozzle(place, tuple(direction)),), centre) is (axis != push)


def test_one_lever_is_enough_and_none_is_none() -> None:
    through = nozzle((1.0, 0.0, 0.0), (1.0, 0.0, 0.0))
    beside = nozzle((0.0, 1.0, 0.0), (1.0, 0.0, 0.0))
    slanting = nozzle((1.0, 1.0, 0.0), (1.0, 1.0, 0.0))
    at_centre = nozzle((0.0, 0.0, 0.0), (0.0, 0.0, 1.0))
    centre = (0.0, 0.0, 0.0)
    assert can_turn((through, beside), centre)
    assert not can_turn((through, slanting, at_centre), centre)
    assert not can_turn((), centre)


@pytest.mark.parametrize("slant", [(0.0, 1.0, 2.0), (1.0, 0.0, 2.0), (1.0, 2.0, 0.0), (1.0, 2.0, 3.0)])
def test_a_nozzle_that_pushes_along_a_slanting_lever_turns_nothing(slant: tuple[float, float, float]) -> None:
    assert not can_turn((nozzle(slant, slant),), (0.0, 0.0, 0.0))


def test_a_centre_of_another_dimension_is_refused() -> None:
    with pytest.raises(ValueError, match="zip"):
        can_turn((nozzle((1.0, 0.0, 0.0), (0.0, 1.0, 0.0)),), (0.0, 0.0, 0.0, 0.0))  # type: ignore[arg-type]
