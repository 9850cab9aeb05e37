"""Before a flight on the rig: what body, board and rig can judge of a mission, and how its world begins."""

from __future__ import annotations

from math import radians

from firmware_py.cli.computer_faults import COMPUTER_FAULTS, check_computer_fault
from firmware_py.cli.flight_surroundings import scene_of
from firmware_py.cli.rig_ground import GROUND_FAULTS, check_ground_fault
from firmware_py.mission import FaultConfig, MissionConfig, OrbitConfig
from firmware_py.report.figures import check_expectations
from hal.frames import quaternion_from_euler
from hal.profile import BodyConfig, ConfigError, Profile
from hil.plant.orbit import Orbit
from hil.plant.world import InitialState
from hil.rig import FAULTS, check_fault
from hil.rig_faults_surroundings import check_names

__all__ = ["check_mission", "initial_state", "warmed"]

SHARED_W_K = 1.0
"""Conductance from which two nodes are about as warm as each other."""


def check_mission(mission: MissionConfig, profile: Profile) -> None:
    """Refuse what only body, board and rig can judge: faults, loads, nodes and expectations that make no sense.

    Raises:
        ConfigError: names the key and what is allowed.
    """

    def refuse(key: str, why: str) -> None:
        raise ConfigError(mission.mission, None, key, why)

    targets = tuple(t.name for t in mission.surroundings.targets) if mission.surroundings is not None else ()
    for index, fault in enumerate(mission.faults):
        try:
            _check_fault(fault, profile)
            check_names(fault.kind, fault.parameters, targets)
        except ValueError as error:
            refuse(f"faults[{index}]", str(error))
    for problem in check_expectations(mission.expect):
        key, _, why = problem.partition(": ")
        refuse(key, why)
    body = profile.body
    loads = [load.name for load in body.power.loads if not load.base]
    for name in mission.initial.loads_off:
        if name not in loads:
            refuse("initial.loads_off", f"body {body.body} can't switch off {name!r}; loads: {', '.join(loads)}")
    nodes = [node.name for node in body.thermal.nodes]
    for name in mission.initial.temperatures_c:
        if name not in nodes:
            refuse("initial.temperatures_c", f"body {body.body} has no node {name!r}; nodes: {', '.join(nodes)}")


def _check_fault(fault: FaultConfig, profile: Profile) -> None:
    """Raises ValueError for a fault that can't be started."""
    if fault.kind in GROUND_FAULTS:
        check_ground_fault(fault)
        return
    if fault.kind not in COMPUTER_FAULTS:
        if fault.kind not in FAULTS:
            known = ", ".join([*FAULTS, *COMPUTER_FAULTS, *GROUND_FAULTS])
            raise ValueError(f"no fault {fault.kind!r}; faults: {known}")
        check_fault(fault.kind, fault.parameters, profile)
        return
    check_computer_fault(fault)


def warmed(body: BodyConfig) -> dict[str, float]:
    """Start temperatures of a craft whose heaters have been on: heated nodes, and those coupled to them strongly, are
    no colder than where the heater goes off. By node, deg C; nodes that are warm enough are left out."""
    start = {node.name: node.start_c for node in body.thermal.nodes}
    warm: dict[str, float] = {}
    for heater in body.thermal.heaters:
        shared = {name for coupling in body.thermal.couplings for name in coupling.between
                  if heater.node in coupling.between and coupling.conductance_w_k >= SHARED_W_K}
        for name in {heater.node, *shared}:
            if start[name] < heater.off_c:
                warm[name] = max(warm.get(name, heater.off_c), heater.off_c)
    return warm


def initial_state(mission: MissionConfig, body: BodyConfig, epoch_ns: int) -> InitialState:
    """How the rig's world begins. ``epoch_ns``: UTC at rig time 0."""
    start = mission.initial
    before = {} if start.cold_start else warmed(body)
    roll, pitch, yaw = (radians(x) for x in start.attitude_deg)
    x, y, z = (radians(x) for x in start.rate_deg_s)
    return InitialState(
        epoch=epoch_ns, position=start.position_m, velocity=start.velocity_m_s,
        quaternion=quaternion_from_euler(roll, pitch, yaw), rate=(x, y, z), soc_battery=start.soc_battery,
        soc_supercap=start.soc_supercap, temperatures_c={**before, **start.temperatures_c}, ambient_c=start.ambient_c,
        orbit=orbit_of(start.orbit), lighting=start.lighting, scene=scene_of(mission.surroundings),
    )


def orbit_of(config: OrbitConfig | None) -> Orbit | None:
    """The rig's orbit of a scenario's."""
    return None if config is None else Orbit(config.altitude_km, config.beta_deg, config.phase_deg / 360.0)
