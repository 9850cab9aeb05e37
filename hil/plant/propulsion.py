"""Nozzles, valves and tank: which nozzles push at a time, with what wrench, and what that costs, to the nanosecond.

An electrical edge reaches the thrust ``valve_latency_ms`` later. Thrust is constant while a nozzle is open and
propellant is left (the regulator holds the chamber pressure); mass flow is thrust / (Isp g0). The tank sits at the
centre of mass, so that burning moves no mass about it.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from hal.frames import Vec3, cross, scale, subtract, unit
from hal.profile import BodyConfig

__all__ = ["NEVER", "STANDARD_GRAVITY", "Firing", "Propulsion"]

STANDARD_GRAVITY = 9.80665
"""m/s2, exact by definition (3rd CGPM, 1901; BIPM SI Brochure)."""

NEVER = 1 << 62
"""A time, ns, beyond every simulation."""

_CACHED_FIRINGS = 4096


class Firing(NamedTuple):
    """What one set of open nozzles does: force (N) and torque about the centre of mass (N m) in the body frame, scalar
    sum of thrusts (N), mass flow (kg/s), heat into each cluster (W, order of ``Propulsion.clusters``)."""

    force: Vec3
    torque: Vec3
    thrust_n: float
    flow_kg_s: float
    cluster_heat_w: tuple[float, ...]


class Propulsion:
    """Valves and tank of one craft. Nozzles are numbered as in the body description; masks have bit n for nozzle n."""

    def __init__(self, body: BodyConfig, t_ns: int = 0) -> None:
        config = body.propulsion
        self.clusters: tuple[str, ...] = tuple(dict.fromkeys(nozzle.cluster for nozzle in config.nozzles))
        self.propellant_kg: float = body.mass.propellant_kg
        self.total_impulse_n_s: float = 0.0
        self.cluster_heat_j: list[float] = [0.0] * len(self.clusters)
        self.driven_mask: int = 0
        self.next_change_ns: int = NEVER
        self.firing: Firing | None = None

        com = body.mass.centre_of_mass_m
        self._count = len(config.nozzles)
        # Directions are kept to four digits; thrust_n is the whole thrust, so they are made unit vectors.
        self._force = tuple(scale(unit(n.direction), n.thrust_n) for n in config.nozzles)
        self._torque = tuple(
            cross(subtract(n.position_m, com), f) for n, f in zip(config.nozzles, self._force, strict=True)
        )
        self._thrust = tuple(n.thrust_n for n in config.nozzles)
        self._cluster = tuple(self.clusters.index(n.cluster) for n in config.nozzles)
        self._cluster_heat = config.cluster_heat_w
        self._exhaust_speed = config.specific_impulse_s * STANDARD_GRAVITY
        self._latency_ns = config.valve_latency_ms * 1_000_000
        self._valve_power = config.valve_power_w

        self._pending: deque[tuple[int, int, bool]] = deque()
        self._commanded = 0
        self._stuck_on = 0
        self._isolated = 0
        self._factor = [1.0] * self._count
        self._dead = 0
        self._cache: dict[int, Firing] = {}
        self._driven_ns = 0
        self._driven_since_ns = t_ns

    @property
    def open_mask(self) -> int:
        """Nozzles through which gas flows, or would if the tank were not empty."""
        return (self._commanded | self._stuck_on) & ~self._isolated & ~self._dead

    def drive(self, t_ns: int, nozzle: int, on: bool) -> None:
        """Electrical edge of one valve at ``t_ns``. Edges come in order of time; one that changes nothing is ignored.

        Raises ValueError for an unknown nozzle or an edge older than the last one.
        """
        if not 0 <= nozzle < self._count:
            raise ValueError(f"no nozzle {nozzle}; 0..{self._count - 1} exist")
        if t_ns < self._driven_since_ns:
            raise ValueError(f"edge at {t_ns} ns is older than the last one at {self._driven_since_ns} ns")
        bit = 1 << nozzle
        if bool(self.driven_mask & bit) == on:
            return
        self._driven_ns += self.driven_mask.bit_count() * (t_ns - self._driven_since_ns)
        self._driven_since_ns = t_ns
        self.driven_mask ^= bit
        self._pending.append((t_ns + self._latency_ns, bit, on))
        self.next_change_ns = self._pending[0][0]

    def apply(self, t_ns: int) -> None:
        """Let every valve move whose time has come by ``t_ns``."""
        pending = self._pending
        while pending and pending[0][0] <= t_ns:
            _, bit, on = pending.popleft()
            self._commanded = self._commanded | bit if on else self._commanded & ~bit
        self.next_change_ns = pending[0][0] if pending else NEVER
        self._update()

    def consume(self, h: float) -> None:
        """Book ``h`` seconds of the present firing: propellant, impulse, heat into the clusters."""
        firing = self.firing
        if firing is None:
            return
        self.total_impulse_n_s += firing.thrust_n * h
        heat = self.cluster_heat_j
        for index, watts in enumerate(firing.cluster_heat_w):
            heat[index] += watts * h
        self.propellant_kg -= firing.flow_kg_s * h
        # What rounding leaves in the tank at the computed moment of exhaustion is not fuel.
        if self.propellant_kg <= 1e-12:
            self.propellant_kg = 0.0
            self.firing = None

    def valve_energy_j(self, t_ns: int) -> float:
        """Electrical energy asked by the valves since the start, J, up to ``t_ns`` (not before the last edge)."""
        driven = self._driven_ns + self.driven_mask.bit_count() * (t_ns - self._driven_since_ns)
        return driven * 1e-9 * self._valve_power

    def set_thrust(self, nozzle: int, factor: float) -> None:
        """Thrust and flow of one nozzle times ``factor``: 1.0 healthy, 0.0 mechanically shut. Raises ValueError."""
        bit = self._bit(nozzle)
        if not 0.0 <= factor <= 2.0:
            raise ValueError(f"thrust factor {factor} is outside 0..2")
        self._factor[nozzle] = factor
        self._dead = self._dead & ~bit if factor > 0.0 else self._dead | bit
        self._cache.clear()
        self._update()

    def stick_on(self, nozzle: int, stuck: bool) -> None:
        """A stuck nozzle is open whatever its coil does, as long as its cluster is not isolated."""
        bit = self._bit(nozzle)
        self._stuck_on = self._stuck_on | bit if stuck else self._stuck_on & ~bit
        self._update()

    def set_isolation(self, cluster: str, is_open: bool) -> None:
        """Open or shut the isolation valve of one cluster. Raises ValueError for an unknown cluster."""
        if cluster not in self.clusters:
            raise ValueError(f"no cluster {cluster}; there are {', '.join(self.clusters)}")
        index = self.clusters.index(cluster)
        mask = sum(1 << n for n in range(self._count) if self._cluster[n] == index)
        self._isolated = self._isolated & ~mask if is_open else self._isolated | mask
        self._update()

    def _bit(self, nozzle: int) -> int:
        if not 0 <= nozzle < self._count:
            raise ValueError(f"no nozzle {nozzle}; 0..{self._count - 1} exist")
        return 1 << nozzle

    def _update(self) -> None:
        mask = self.open_mask
        if mask == 0 or self.propellant_kg <= 0.0:
            self.firing = None
            return
        firing = self._cache.get(mask)
        if firing is None:
            if len(self._cache) >= _CACHED_FIRINGS:
                self._cache.clear()
            firing = self._cache[mask] = self._sum(mask)
        self.firing = firing

    def _sum(self, mask: int) -> Firing:
        force, torque, heat = [0.0] * 3, [0.0] * 3, [0.0] * len(self.clusters)
        thrust = 0.0
        for n in range(self._count):
            if mask >> n & 1:
                factor = self._factor[n]
                for axis in range(3):
                    force[axis] += factor * self._force[n][axis]
                    torque[axis] += factor * self._torque[n][axis]
                heat[self._cluster[n]] += factor * self._cluster_heat
                thrust += factor * self._thrust[n]
        return Firing(
            (force[0], force[1], force[2]), (torque[0], torque[1], torque[2]), thrust, thrust / self._exhaust_speed,
            tuple(heat),
        )
