"""Faults of the world and of buses that a scenario can start: each is checked against body and board before anything.

Those of sources, stores and loads are in ``rig_faults_power``, those of sensors and valve drivers in
``rig_faults_sensors``, those of what is around the craft in ``rig_faults_surroundings``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from hal.profile import Profile
from hil.bus.twin import bus_twin
from hil.fault_values import member, ranged, share, vector
from hil.faults import Fault, FaultKind, Recovery
from hil.rig_faults_power import MODELLED_C, POWER_FAULTS
from hil.rig_faults_seams import Start
from hil.rig_faults_sensors import SENSOR_FAULTS
from hil.rig_faults_surroundings import SURROUNDINGS_FAULTS

if TYPE_CHECKING:
    from hil.rig import Rig

__all__ = ["FAULTS", "check_fault", "prepare"]

HEATING_W = (0.0, 5000.0)
HEATING_MS = 500
"""Time between two steps of a node that is heated: that of the world's heat."""


def check_fault(kind: str, parameters: Mapping[str, Any], profile: Profile) -> None:
    """Refuse a fault that cannot be started on a rig of this profile.

    Raises:
        ValueError: unknown kind, parameter, nozzle, bus, device or node, or a value out of range; says what is allowed.
    """
    prepare(kind, parameters, profile)


def prepare(kind: str, parameters: Mapping[str, Any], profile: Profile) -> Start:
    """A checked fault, ready to start. Raises ValueError as :func:`check_fault`."""
    fault = FAULTS.get(kind)
    if fault is None:
        raise ValueError(f"no fault {kind!r}; faults: {', '.join(FAULTS)}")
    check, allowed = fault
    for name in parameters:
        if name not in allowed:
            raise ValueError(f"{kind}: no parameter {name!r}; parameters: {', '.join(allowed) or 'none'}")
    missing = [name for name, required in allowed.items() if required and name not in parameters]
    if missing:
        raise ValueError(f"{kind}: parameter {', '.join(missing)} is missing")
    return check(profile, **parameters)


def _nothing() -> None:
    """The end of a fault that does not end."""


def _thrust(profile: Profile, nozzle: Any, factor: float) -> Start:
    number = _nozzle(profile, nozzle)

    def start(rig: Rig) -> Callable[[], None]:
        rig.world.set_nozzle_thrust(number, factor)
        return lambda: rig.world.set_nozzle_thrust(number, 1.0)

    return start


def _nozzle_off(profile: Profile, nozzle: Any) -> Start:
    return _thrust(profile, nozzle, 0.0)


def _nozzle_weak(profile: Profile, nozzle: Any, factor: Any) -> Start:
    return _thrust(profile, nozzle, share("factor", factor))


def _nozzle_stuck_on(profile: Profile, nozzle: Any) -> Start:
    number = _nozzle(profile, nozzle)

    def start(rig: Rig) -> Callable[[], None]:
        rig.world.stick_nozzle_on(number, True)
        return lambda: rig.world.stick_nozzle_on(number, False)

    return start


def _bus_fault(profile: Profile, bus: Any, **details: Any) -> Start:
    board = profile.board
    config = board.buses[member("bus", bus, board.buses)]
    details["kind"] = details.pop("fault")
    try:
        fault = msgspec.convert(details, type=Fault, strict=True)
    except msgspec.ValidationError as error:
        kinds = ", ".join(kind.value for kind in FaultKind)
        raise ValueError(f"bus_fault: {error}; faults: {kinds}") from None
    # A twin of its own says whether such a fault has a meaning on such a bus.
    bus_twin(bus, config, board, lambda: 0, np.random.default_rng(0)).inject(fault)
    if fault.until is Recovery.POWER and (config.recovery is None or config.recovery.rail is None):
        raise ValueError(f"bus_fault: until is power, but the board switches no rail of {bus}")
    here = [device for device in board.devices if device.bus == bus]
    if fault.address is not None:
        member(f"address on {bus}", fault.address, [d.address for d in here if d.address is not None])
    if fault.channel is not None:
        member(f"channel on {bus}", fault.channel, sorted({d.channel for d in here if d.channel is not None}))

    def start(rig: Rig) -> Callable[[], None]:
        twin = rig.buses[bus]
        handle = twin.inject(fault)
        return lambda: twin.clear(handle)

    return start


def _valve_node_reset(profile: Profile, node: Any) -> Start:
    name = member("node", node, [d.name for d in profile.board.devices if d.role == "valve_node"])

    def start(rig: Rig) -> Callable[[], None]:
        rig.nodes[name].reset(rig.now_ns)
        return _nothing

    return start


def _device_reset(profile: Profile, device: Any) -> Start:
    roles = {d.name: d.role for d in profile.board.devices}
    name = member("device", device, roles)
    if roles[name] == "valve_node":
        return _valve_node_reset(profile, name)

    def start(rig: Rig) -> Callable[[], None]:
        rig.chips[name].reset()
        return _nothing

    return start


def _panel(profile: Profile, factor: Any) -> Start:  # noqa: ARG001 - one form for all
    left = share("factor", factor)

    def start(rig: Rig) -> Callable[[], None]:
        rig.world.set_panel(left)
        return lambda: rig.world.set_panel(1.0)

    return start


def _eclipse(profile: Profile) -> Start:  # noqa: ARG001
    def start(rig: Rig) -> Callable[[], None]:
        rig.world.set_eclipse(True)
        return lambda: rig.world.set_eclipse(False)

    return start


def _disturbance(profile: Profile, force_n: Any = (0, 0, 0), torque_n_m: Any = (0, 0, 0)) -> Start:  # noqa: ARG001
    force, torque = vector("force_n", force_n), vector("torque_n_m", torque_n_m)

    def start(rig: Rig) -> Callable[[], None]:
        rig.world.set_disturbance(force, torque)
        return lambda: rig.world.set_disturbance((0.0, 0.0, 0.0), (0.0, 0.0, 0.0))

    return start


def _soc_battery(profile: Profile, value: Any) -> Start:  # noqa: ARG001
    charge = share("value", value)

    def start(rig: Rig) -> Callable[[], None]:
        rig.world.set_battery_soc(charge)
        return _nothing

    return start


def _soc_supercap(profile: Profile, value: Any) -> Start:  # noqa: ARG001
    charge = share("value", value)

    def start(rig: Rig) -> Callable[[], None]:
        rig.world.set_supercap_soc(charge)
        return _nothing

    return start


def _temperature(profile: Profile, node: Any, celsius: Any) -> Start:
    name = member("node", node, [n.name for n in profile.body.thermal.nodes])
    value = ranged("celsius", celsius, *MODELLED_C)

    def start(rig: Rig) -> Callable[[], None]:
        rig.world.set_temperature(name, value)
        return _nothing

    return start


def _heating(profile: Profile, node: Any, watts: Any) -> Start:
    config = {n.name: n for n in profile.body.thermal.nodes}
    name, power_w = member("node", node, config), ranged("watts", watts, *HEATING_W)
    step_c = power_w * HEATING_MS * 1e-3 / config[name].capacity_j_k

    def start(rig: Rig) -> Callable[[], None]:
        heating = True

        def warm(_t_ns: int) -> None:
            if heating:
                rig.world.set_temperature(name, min(MODELLED_C[1], rig.world.temperatures_c[name] + step_c))

        def stop() -> None:
            nonlocal heating
            heating = False

        rig.every(HEATING_MS, warm)
        return stop

    return start


def _nozzle(profile: Profile, value: Any) -> int:
    count = len(profile.body.propulsion.nozzles)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < count:
        raise ValueError(f"nozzle is {value!r}; 0..{count - 1} are allowed")
    return value


FAULTS: dict[str, tuple[Callable[..., Start], dict[str, bool]]] = {
    "nozzle_off": (_nozzle_off, {"nozzle": True}),
    "nozzle_weak": (_nozzle_weak, {"nozzle": True, "factor": True}),
    "nozzle_stuck_on": (_nozzle_stuck_on, {"nozzle": True}),
    "bus_fault": (
        _bus_fault,
        {"bus": True, "fault": True, "address": False, "channel": False, "line": False, "probability": False,
         "byte": False, "bit": False, "count": False, "until": False},
    ),
    "valve_node_reset": (_valve_node_reset, {"node": True}),
    "device_reset": (_device_reset, {"device": True}),
    "panel": (_panel, {"factor": True}),
    "eclipse": (_eclipse, {}),
    "disturbance": (_disturbance, {"force_n": False, "torque_n_m": False}),
    "soc_battery": (_soc_battery, {"value": True}),
    "soc_supercap": (_soc_supercap, {"value": True}),
    "temperature": (_temperature, {"node": True, "celsius": True}),
    "heating": (_heating, {"node": True, "watts": True}),
    **POWER_FAULTS,
    **SENSOR_FAULTS,
    **SURROUNDINGS_FAULTS,
}
"""Kinds of faults: how each is checked and prepared, and its parameters (name: whether it must be given)."""
