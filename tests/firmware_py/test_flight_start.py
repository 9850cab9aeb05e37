"""How a flight on the rig begins, and what body, board and rig refuse of a mission before it does."""

from __future__ import annotations

from math import radians
from typing import Any

import msgspec
import pytest

from firmware_py.cli.flight_start import check_mission, initial_state, warmed
from firmware_py.mission import FaultConfig, InitialConfig, MissionConfig, OrbitConfig, StepConfig
from hal.frames import quaternion_from_euler
from hal.profile import ConfigError, load_profile
from hil.plant.orbit import Orbit

PROFILE = load_profile("qiki-t", "qiki-rpi")
BODY = PROFILE.body
MISSION = MissionConfig(
    schema_version=1, mission="start", description="Only begins", body="qiki-t", board="qiki-rpi",
    epoch="2026-06-21T12:00:00Z", steps=(StepConfig("boot", wait_for="Idle"),),
)


def mission(**changes: Any) -> MissionConfig:
    return msgspec.structs.replace(MISSION, **changes)


def body(start_c: float, off_c: float, conductance_w_k: float) -> Any:
    """The body with one heater on its pdu, which begins at 0 deg C as all nodes do but the core."""
    thermal = BODY.thermal
    heater = msgspec.structs.replace(thermal.heaters[0], node="pdu", on_c=off_c - 5.0, off_c=off_c)
    nodes = tuple(msgspec.structs.replace(n, start_c=start_c if n.name == "core" else 0.0) for n in thermal.nodes)
    coupling = msgspec.structs.replace(
        thermal.couplings[0], between=("core", "pdu"), conductance_w_k=conductance_w_k
    )
    changed = msgspec.structs.replace(thermal, heaters=(heater,), nodes=nodes, couplings=(coupling,))
    return msgspec.structs.replace(BODY, thermal=changed)


@pytest.mark.parametrize(("start_c", "off_c", "conductance_w_k", "warm"), [
    (0.0, 10.0, 1.0, {"pdu": 10.0, "core": 10.0}),
    (0.0, 10.0, 0.999, {"pdu": 10.0}),
    (10.0, 10.0, 1.0, {"pdu": 10.0}),
    (20.0, 0.0, 1.0, {}),
])
def test_heated_nodes_and_their_close_neighbours_begin_warm(
    start_c: float, off_c: float, conductance_w_k: float, warm: dict[str, float]
) -> None:
    assert warmed(body(start_c, off_c, conductance_w_k)) == warm


def test_of_two_heaters_the_warmer_one_counts() -> None:
    made = body(0.0, 10.0, 1.0)
    second = msgspec.structs.replace(made.thermal.heaters[0], node="core", off_c=4.0, on_c=0.0)
    for heaters in ((made.thermal.heaters[0], second), (second, made.thermal.heaters[0])):
        both = msgspec.structs.replace(made, thermal=msgspec.structs.replace(made.thermal, heaters=heaters))
        assert warmed(both) == {"pdu": 10.0, "core": 10.0}


def test_the_world_begins_as_the_mission_says() -> None:
    start = InitialConfig(
        rate_deg_s=(1.0, 2.0, 3.0), attitude_deg=(10.0, 20.0, 30.0), position_m=(1.0, 2.0, 3.0),
        velocity_m_s=(0.1, 0.2, 0.3), soc_battery=0.5, soc_supercap=0.6, temperatures_c={"rcs_c01": -40.0, "core": 7.0},
        ambient_c=-60.0, orbit=OrbitConfig(500.0, 10.0, 180.0), lighting=((0.0, 1.0),),
    )
    state = initial_state(mission(initial=start), BODY, 17)
    assert (state.epoch, state.position, state.velocity) == (17, (1.0, 2.0, 3.0), (0.1, 0.2, 0.3))
    assert state.rate == (radians(1.0), radians(2.0), radians(3.0))
    assert state.quaternion == quaternion_from_euler(radians(10.0), radians(20.0), radians(30.0))
    assert (state.soc_battery, state.soc_supercap, state.ambient_c) == (0.5, 0.6, -60.0)
    assert state.lighting == ((0.0, 1.0),)
    assert vars(state.orbit) == vars(Orbit(500.0, 10.0, 0.5))
    # The mission's own word stands above what the heaters have done.
    assert {**warmed(BODY), "rcs_c01": -40.0, "core": 7.0} == state.temperatures_c


def test_a_cold_start_has_known_no_heater() -> None:
    cold = initial_state(mission(initial=InitialConfig(cold_start=True)), BODY, 0)
    assert cold.temperatures_c == {}
    assert cold.orbit is None
    assert initial_state(MISSION, BODY, 0).temperatures_c == warmed(BODY)
    assert warmed(BODY)


@pytest.mark.parametrize(("kind", "parameters", "said"), [
    ("meteor", {}, r"faults\[1\]: no fault 'meteor'; faults: .*eclipse.*process_kill.*uplink_lost"),
    ("cpu_hang", {"ms": 0}, r"faults\[1\]: cpu_hang: ms is 0"),
    ("uplink_lost", {"s": 1}, r"faults\[1\]: uplink_lost takes no parameters"),
    ("nozzle_off", {"nozzle": 16}, r"faults\[1\]: nozzle is 16"),
])
def test_a_fault_of_any_room_is_refused_by_its_number(kind: str, parameters: dict[str, Any], said: str) -> None:
    faults = (FaultConfig("eclipse", at_s=1.0), FaultConfig(kind, at_s=1.0, parameters=parameters))
    with pytest.raises(ConfigError, match=said):
        check_mission(mission(faults=faults), PROFILE)
