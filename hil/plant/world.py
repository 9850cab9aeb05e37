"""The world around one craft: same start, same edges and same seed give the same world to the last bit.

Motion follows every call; power is stepped at 20 Hz and heat at 2 Hz of simulated time, always at the same moments
whatever the calls' spacing. Time is handed in; randomness leaves only through ``stream``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import inf
from types import MappingProxyType
from zlib import crc32

import numpy as np

from hal.frames import IDENTITY, Quaternion, Vec3, dot, normalise, rotate_inverse, unit
from hal.profile import BodyConfig
from hil.plant.environment import Environment, Lighting, unix_ns
from hil.plant.heat_flows import HeatFlows
from hil.plant.power import PowerPlant
from hil.plant.power_stores import fraction
from hil.plant.propulsion import NEVER
from hil.plant.rigid_body import MAX_STEP_NS, Motion, RigidBody, rigid_body
from hil.plant.state import InitialState, Truth
from hil.plant.surroundings import Surroundings
from hil.plant.thermal import ThermalNetwork

__all__ = ["Edge", "InitialState", "Truth", "World"]

Edge = tuple[int, int, bool]
"""Electrical valve edge: time (ns), nozzle, on."""

POWER_PERIOD_NS = 50_000_000
THERMAL_EVERY = 10
"""Power steps a thermal step: 20 Hz and 2 Hz."""
LONGEST_ENERGY_STEP_NS = POWER_PERIOD_NS * THERMAL_EVERY


class World:
    """One craft and its ``surroundings``; these, ``rigid``, ``power``, ``thermal``, ``environment`` are read freely."""

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
        self.power = PowerPlant(
            body, soc_battery=initial.soc_battery, soc_supercap=initial.soc_supercap, panel_c=initial.panel_c
        )
        self.thermal = ThermalNetwork(body, initial.temperatures_c)
        if initial.ambient_c is not None:
            self.thermal.set_ambient(initial.ambient_c)
        self._epoch_ns = unix_ns(initial.epoch) - t_ns
        self.environment = Environment(
            unix_ns(initial.epoch), initial.sun_direction, initial.magnetic_field_t, orbit=initial.orbit,
            lighting=Lighting(initial.lighting) if initial.lighting else None,
        )
        self.surroundings = Surroundings(initial.scene, self.rigid)
        self._start_ns = t_ns
        self._entropy = [int(word) for word in rng.integers(0, 2**32, 4)]

        self._cell_normal = unit(body.power.array.normal)
        self._next_power_ns = t_ns + POWER_PERIOD_NS
        self._valve_j = 0.0
        self._heat = HeatFlows(body, self.rigid.propulsion)
        self._temperatures: Mapping[str, float] = {}
        self._publish_temperatures()
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
            around.magnetic_field_t, power.array_max_w, power.panel_v, power.panel_a, power.wings.cell_c, power.dock_w,
            power.dock_current_a, power.dock_input_v, power.peak_w, power.valve_served, power.spilled_w,
            power.battery_loss_w, power.supercap_loss_w, power.bus_on, power.longest_under_s, around.illumination,
            power.panel_wanted, power.cold_charge_j, power.balance_error_j, power.ledger.flowed,
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
        self.power.panel_factor = factor

    def set_wing(self, wing: int, factor: float, half: int | None = None) -> None:
        """Light on wing 0 or 1, or on half 0 or 1 of its cells, times ``factor``, 0..1. Raises ValueError."""
        self.power.set_wing(wing, factor, half)

    def set_eclipse(self, eclipse: bool) -> None:
        """Put the craft into shadow, or leave its light to orbit and lighting again."""
        self.environment.shaded = eclipse

    def set_lighting(self, factor: float) -> None:
        """Dim all light on the craft to this share, 0..1, whatever orbit and lighting say. Raises ValueError."""
        self.environment.dimmed = fraction("light", factor)

    def set_ambient(self, celsius: float) -> None:
        """Temperature of the surroundings, for hot case and cold soak. Raises ValueError outside the model's range."""
        self.thermal.set_ambient(celsius)

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
        self._publish_temperatures()

    def advance_energy(
        self, dt_s: float, *, quaternion: Quaternion | None = None, sun_cosine: float | None = None,
        valve_j: float = 0.0,
    ) -> None:
        """Move only time, surroundings, power and heat, in equal steps of at most 0.5 s: a day in seconds.

        The craft rests meanwhile, in its present attitude or in ``quaternion``, which it keeps afterwards;
        ``sun_cosine`` gives the Sun's angle on the cells without an attitude. ``valve_j`` is what the valves ask for in
        that time, J, evenly spread. Raises ValueError for a time that is not positive, for both an attitude and a
        cosine, and while a valve is driven, moves, or passes gas.
        """
        jets = self.rigid.propulsion
        if jets.driven_mask or jets.firing is not None or jets.next_change_ns != NEVER:
            raise ValueError("a valve is open or moving; the jets need the rigid body, so use advance")
        if quaternion is not None and sun_cosine is not None:
            raise ValueError("give an attitude or the Sun's cosine, not both")
        if not 0.0 < dt_s <= 1e8 or not 0.0 <= valve_j < inf or not -1.0 <= (sun_cosine or 0.0) <= 1.0:
            raise ValueError(f"cannot move energy by {dt_s} s with {valve_j} J of valves and a cosine of {sun_cosine}")
        if quaternion is not None:
            self.rigid.quaternion = normalise(quaternion)
        t, end = self._next_power_ns - POWER_PERIOD_NS, self.t_ns + max(1, round(dt_s * 1e9))
        if self._heat.gathered_ns:
            self._thermal_step()
        count = -((t - end) // LONGEST_ENERGY_STEP_NS)
        per_step = valve_j / count
        for left in range(count, 0, -1):
            step_ns = (end - t) // left
            t += step_ns
            self._power_step(t, step_ns, per_step, sun_cosine)
            self._thermal_step()
        self.t_ns = self.rigid.t_ns = end
        self._next_power_ns = end + POWER_PERIOD_NS

    def _cell_cosine(self) -> float:
        return dot(rotate_inverse(self.rigid.quaternion, self.environment.sun_direction), self._cell_normal)

    def _publish_temperatures(self) -> None:
        self._temperatures = MappingProxyType(self.thermal.celsius())
        self.power.battery_c = self._temperatures.get("battery")

    def _slow_steps(self) -> None:
        """Power for the 50 ms that end at ``_next_power_ns``, where the craft now is; every tenth time also heat."""
        t = self._next_power_ns
        self._next_power_ns = t + POWER_PERIOD_NS
        valve_j = self.rigid.propulsion.valve_energy_j(t)
        self._power_step(t, POWER_PERIOD_NS, valve_j - self._valve_j, None)
        self._valve_j = valve_j
        if self._heat.gathered_ns >= POWER_PERIOD_NS * THERMAL_EVERY:
            self._thermal_step()

    def _power_step(self, t_ns: int, dt_ns: int, valve_j: float, sun_cosine: float | None) -> None:
        """Power for the time that ends at ``t_ns``."""
        around = self.environment
        around.update(t_ns - self._start_ns)
        cosine = self._cell_cosine() if sun_cosine is None else sun_cosine
        self.power.step(dt_ns * 1e-9, around.solar_flux_w_m2, cosine, valve_j)
        self._heat.gather(dt_ns, self.power)

    def _thermal_step(self) -> None:
        """Heat for the time since the last thermal step."""
        dt, watts = self._heat.take(self.rigid.propulsion)
        self.thermal.step(dt, self.thermal.heat_vector(watts))
        self._publish_temperatures()


def _edge_time(edge: Edge) -> int:
    return edge[0]
