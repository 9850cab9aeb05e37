"""The world around one craft: same start, same edges and same seed give the same world to the last bit.

Motion follows every call; power is stepped at 20 Hz and heat at 2 Hz of simulated time, always at the same moments
whatever the calls' spacing. Time is handed in; randomness leaves only through ``stream``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from zlib import crc32

import numpy as np

from hal.frames import IDENTITY, Quaternion, Vec3, dot, rotate_inverse, unit
from hal.profile import BodyConfig
from hil.plant.environment import Environment, unix_ns
from hil.plant.power import PowerPlant
from hil.plant.rigid_body import MAX_STEP_NS, Motion, RigidBody, rigid_body
from hil.plant.thermal import ThermalNetwork

__all__ = ["Edge", "InitialState", "Truth", "World"]

Edge = tuple[int, int, bool]
"""Electrical valve edge: time (ns), nozzle, on."""

POWER_PERIOD_NS = 50_000_000
THERMAL_EVERY = 10
"""Power steps a thermal step: 20 Hz and 2 Hz."""

# Heat of the distribution unit and computer (the body description has loads by name, and these names mean heat).
PROCESSOR_HEAT_SHARE = 0.8
RADIO_HEAT_SHARE = 0.7
PDU_HEAT_SHARE = 0.02
PDU_RESISTANCE_OHM = 0.4


@dataclass(frozen=True, slots=True)
class InitialState:
    """How a world begins. Vectors inertial unless named; the position is the centre of mass's.

    ``epoch`` is UTC, a datetime with time zone or ns since 1970. ``sun_direction`` ``None`` means: from the date.
    ``temperatures_c`` overrides the body's start temperatures by node. ``ambient_c`` overrides its ambient.
    """

    epoch: datetime | int
    position: Vec3 = (0.0, 0.0, 0.0)
    velocity: Vec3 = (0.0, 0.0, 0.0)
    quaternion: Quaternion = IDENTITY
    rate: Vec3 = (0.0, 0.0, 0.0)
    soc_battery: float = 0.8
    soc_supercap: float = 0.7
    temperatures_c: Mapping[str, float] = field(default_factory=dict)
    ambient_c: float | None = None
    sun_direction: Vec3 | None = None
    magnetic_field_t: Vec3 = (0.0, 20e-6, -44e-6)


@dataclass(frozen=True, slots=True)
class Truth:
    """Everything true at ``t_ns``. SI; vectors inertial, ``rate`` body; currents positive out of a store.

    Power figures are those of the last 50 ms step, temperatures those of the last 500 ms step. ``open_mask`` has bit n
    for a nozzle that passes gas, ``driven_mask`` for a valve that is energised. ``harvested_j`` came from the Sun.
    """

    t_ns: int
    unix_ns: int
    position: Vec3
    velocity: Vec3
    quaternion: Quaternion
    rate: Vec3
    mass_kg: float
    propellant_kg: float
    total_impulse_n_s: float
    open_mask: int
    driven_mask: int
    soc_battery: float
    soc_supercap: float
    bus_voltage_v: float
    bus_current_a: float
    battery_current_a: float
    supercap_voltage_v: float
    supercap_current_a: float
    array_w: float
    load_w: float
    valve_w: float
    unserved_w: float
    harvested_j: float
    temperatures_c: Mapping[str, float]
    sun_direction: Vec3
    eclipse: bool
    magnetic_field_t: Vec3


class World:
    """One craft in its surroundings. ``rigid``, ``power``, ``thermal`` and ``environment`` are read freely."""

    def __init__(
        self, body: BodyConfig, initial: InitialState, rng: np.random.Generator, *, t_ns: int = 0,
        max_step_ns: int = MAX_STEP_NS,
    ) -> None:
        self.config = body
        self.t_ns = t_ns
        self.rigid: RigidBody = rigid_body(
            body, Motion(initial.position, initial.velocity, initial.quaternion, initial.rate), t_ns=t_ns,
            max_step_ns=max_step_ns,
        )
        self.power = PowerPlant(body, soc_battery=initial.soc_battery, soc_supercap=initial.soc_supercap)
        self.thermal = ThermalNetwork(body, initial.temperatures_c)
        if initial.ambient_c is not None:
            self.thermal.ambient_c = initial.ambient_c
        self._epoch_ns = unix_ns(initial.epoch) - t_ns
        self.environment = Environment(unix_ns(initial.epoch), initial.sun_direction, initial.magnetic_field_t)
        self._start_ns = t_ns
        self._entropy = [int(word) for word in rng.integers(0, 2**32, 4)]

        self._cell_normal = unit(body.power.array.normal)
        self._next_power_ns = t_ns + POWER_PERIOD_NS
        self._power_steps = 0
        self._valve_j = 0.0
        self._heat_j = dict.fromkeys(("core", "pdu", "supercap", "battery", "hull"), 0.0)
        self._cluster_j = [0.0] * len(self.rigid.propulsion.clusters)
        self._temperatures: Mapping[str, float] = MappingProxyType(self.thermal.celsius())
        # One microsecond, so that currents and powers are known before the first step at 50 ms.
        self.power.step(1e-6, self.environment.solar_flux_w_m2, self._cell_cosine(), 0.0)

    def advance(self, t_ns: int, edges: Iterable[Edge] = ()) -> None:
        """Move to ``t_ns``, given the electrical valve edges since the last call.

        Edges lie between the last call's time and ``t_ns``, in any order; those of one moment act in the order given.
        Raises ValueError for an edge outside, an unknown nozzle, or a time before the present one.
        """
        start = self.t_ns
        if t_ns < start:
            raise ValueError(f"cannot go back from {start} ns to {t_ns} ns")
        rigid = self.rigid
        continued = False
        if edges:
            jets = rigid.propulsion
            ordered = sorted(edges, key=_edge_time)
            count = len(self.config.propulsion.nozzles)
            for edge in ordered:
                if not start <= edge[0] <= t_ns:
                    raise ValueError(f"edge at {edge[0]} ns is outside {start}..{t_ns} ns")
                if not 0 <= edge[1] < count:
                    raise ValueError(f"no nozzle {edge[1]}; 0..{count - 1} exist")
            for edge in ordered:
                when = edge[0]
                while self._next_power_ns < when:
                    rigid.advance(self._next_power_ns, continued=continued)
                    continued = True
                    self._slow_steps()
                jets.drive(when, edge[1], edge[2])
        while self._next_power_ns <= t_ns:
            if rigid.t_ns < self._next_power_ns:
                rigid.advance(self._next_power_ns, continued=continued)
                continued = True
            self._slow_steps()
        if rigid.t_ns < t_ns:
            rigid.advance(t_ns, continued=continued)
        self.t_ns = t_ns

    def truth(self) -> Truth:
        """A frozen copy of the present state."""
        rigid, power, jets, around = self.rigid, self.power, self.rigid.propulsion, self.environment
        return Truth(
            self.t_ns, self._epoch_ns + self.t_ns, rigid.position, rigid.velocity, rigid.quaternion, rigid.rate,
            rigid.mass_kg, jets.propellant_kg, jets.total_impulse_n_s, jets.open_mask, jets.driven_mask,
            power.soc_battery, power.soc_supercap, power.bus_voltage_v, power.bus_current_a, power.battery_current_a,
            power.supercap_voltage_v, power.supercap_current_a, power.array_w, power.load_w, power.valve_w,
            power.unserved_w, power.ledger.harvested, self._temperatures, around.sun_direction, around.eclipse,
            around.magnetic_field_t,
        )

    def imu(self, position: Vec3, orientation: Quaternion = IDENTITY) -> tuple[Vec3, Vec3]:
        """Mean rate (rad/s) and specific force (m/s2) over the last ``advance``, in the axes of a sensor.

        The sensor is at ``position`` (m, body frame) with ``orientation`` sensor to body.
        """
        rate, force = self.rigid.imu(position)
        if orientation == IDENTITY:
            return rate, force
        return rotate_inverse(orientation, rate), rotate_inverse(orientation, force)

    def sun_body(self) -> Vec3:
        """Unit vector to the Sun in the body frame, eclipse or not."""
        return rotate_inverse(self.rigid.quaternion, self.environment.sun_direction)

    def field_body(self) -> Vec3:
        """Magnetic flux density in the body frame, T."""
        return rotate_inverse(self.rigid.quaternion, self.environment.magnetic_field_t)

    @property
    def temperatures_c(self) -> Mapping[str, float]:
        """Temperature by node, deg C, of the last thermal step."""
        return self._temperatures

    def stream(self, name: str) -> np.random.Generator:
        """A generator of its own for what is called ``name``: the use of other names never changes its numbers."""
        return np.random.default_rng([*self._entropy, crc32(name.encode())])

    def set_nozzle_thrust(self, nozzle: int, factor: float) -> None:
        """Thrust and flow of a nozzle times ``factor``: 1.0 healthy, 0.0 mechanically shut. Raises ValueError."""
        self.rigid.propulsion.set_thrust(nozzle, factor)

    def stick_nozzle_on(self, nozzle: int, stuck: bool = True) -> None:
        """A stuck nozzle stays open whatever its coil does, while its cluster's isolation valve is open."""
        self.rigid.propulsion.stick_on(nozzle, stuck)

    def set_isolation(self, cluster: str, is_open: bool) -> None:
        """Open or shut the isolation valve of a cluster; open at the start. Raises ValueError."""
        self.rigid.propulsion.set_isolation(cluster, is_open)

    def set_disturbance(self, force: Vec3, torque: Vec3) -> None:
        """Constant force (N) and torque about the centre of mass (N m) fixed in the body; zeros take it away."""
        self.rigid.set_disturbance(force, torque)

    def set_panel(self, factor: float) -> None:
        """Power of the arrays times ``factor``, 0..1. Raises ValueError."""
        if not 0.0 <= factor <= 1.0:
            raise ValueError(f"panel factor {factor} is outside 0..1")
        self.power.panel_factor = factor

    def set_eclipse(self, eclipse: bool) -> None:
        """Put the craft into shadow or back into sunlight."""
        self.environment.eclipse = eclipse

    def set_load(self, name: str, on: bool) -> None:
        """Switch a load that is not a base load. Raises ValueError."""
        self.power.set_load(name, on)

    def set_battery_soc(self, soc: float) -> None:
        """Set the battery's charge, 0..1. Raises ValueError."""
        self.power.set_soc(battery=soc)

    def set_supercap_soc(self, soc: float) -> None:
        """Set the supercapacitor's energy, 0..1 of full. Raises ValueError."""
        self.power.set_soc(supercap=soc)

    def set_temperature(self, node: str, celsius: float) -> None:
        """Set the temperature of one node. Raises ValueError for an unknown node."""
        self.thermal.set_temperature(node, celsius)
        self._temperatures = MappingProxyType(self.thermal.celsius())

    def _cell_cosine(self) -> float:
        return dot(rotate_inverse(self.rigid.quaternion, self.environment.sun_direction), self._cell_normal)

    def _slow_steps(self) -> None:
        """Power for the 50 ms that end at ``_next_power_ns``, where the craft now is; every tenth time also heat."""
        t, dt = self._next_power_ns, POWER_PERIOD_NS * 1e-9
        self._next_power_ns = t + POWER_PERIOD_NS
        around, power = self.environment, self.power
        around.update(t - self._start_ns)
        valve_j = self.rigid.propulsion.valve_energy_j(t)
        power.step(dt, around.solar_flux_w_m2, self._cell_cosine(), valve_j - self._valve_j)
        self._valve_j = valve_j

        heat, current = self._heat_j, power.bus_current_a
        heat["core"] += dt * (
            PROCESSOR_HEAT_SHARE * power.load_power_w("processor") + RADIO_HEAT_SHARE * power.load_power_w("nbl")
        )
        heat["pdu"] += dt * (PDU_HEAT_SHARE * current * power.bus_voltage_v + PDU_RESISTANCE_OHM * current * current)
        heat["supercap"] += dt * power.supercap_loss_w
        heat["battery"] += dt * power.battery_loss_w
        heat["hull"] += dt * self.config.propulsion.hull_heat_share * power.valve_w
        self._power_steps += 1
        if self._power_steps % THERMAL_EVERY == 0:
            self._thermal_step(dt * THERMAL_EVERY)

    def _thermal_step(self, dt: float) -> None:
        jets = self.rigid.propulsion
        for index, name in enumerate(jets.clusters):
            total = jets.cluster_heat_j[index]
            self._heat_j[name] = self._heat_j.get(name, 0.0) + total - self._cluster_j[index]
            self._cluster_j[index] = total
        watts = {name: joules / dt for name, joules in self._heat_j.items()}
        self.thermal.step(dt, self.thermal.heat_vector(watts))
        self._heat_j = dict.fromkeys(self._heat_j, 0.0)
        self._temperatures = MappingProxyType(self.thermal.celsius())


def _edge_time(edge: Edge) -> int:
    return edge[0]
