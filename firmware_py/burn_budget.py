"""Whether a burn may be made now: charge, duty, heat, torque, propellant and speed, against what is known of the craft.

Asked when a profile is accepted and again before each of its segments. Every reason is given at once. Comparisons are
made so that what is no number stands against a burn.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import log

from fdir.codes import Code
from fdir.facts import Facts
from firmware_py.gnc.allocation import Allocator
from firmware_py.gnc.burn_needs import STANDARD_GRAVITY, BurnClock, Ceiling, SegmentNeeds, Slice, burn_needs
from firmware_py.gnc.thrust_profile import Level, Segment, ThrustProfile
from hal.frames import Quaternion, Vec3, add, norm, rotate, scale
from hal.profile.body import BodyConfig
from hal.reading import Reading

__all__ = ["Answer", "BurnBudget", "codes_of"]

Answer = list[tuple[Code, str]]
"""Reasons against a burn, each with what was found and what is allowed."""
HOLD_DUTY = 0.50
"""Most duty of a nozzle between T_hold and T_boost (CANON section 5)."""
FORCE_SLACK = 1e-3
"""Share of a wanted force that may be missing: the allocator's bounds are that exact at saturation."""
WH = 3600.0


def _no_temperatures() -> Mapping[str, Reading[float]]:
    return {}


def _gives_anything(_watts: float, _joules: float, _floor_soc: float) -> bool:
    return True


class BurnBudget:
    """The budget of one craft.

    Args:
        body: craft description.
        allocator: whose duties are costed.

    ``facts`` must be brought up to date before it is asked. ``temperatures`` gives readings by thermal node; a cluster
    that is not measured is taken to be as near to its trip as the nearest node that is.
    """

    def __init__(self, body: BodyConfig, allocator: Allocator) -> None:
        self._body = body
        self._allocator = allocator
        self._nodes = {node.name: node for node in body.thermal.nodes}
        mass = body.mass
        self._exhaust_speed = body.propulsion.specific_impulse_s * STANDARD_GRAVITY
        self.stoppable_m_s = self._exhaust_speed * log((mass.dry_kg + mass.propellant_kg) / mass.dry_kg)
        """What a full tank can stop (CANON section 10.3): no burn may end faster."""
        self._planar = body.environment == "air_bearing"
        self.facts: Facts | None = None
        self.taken: SegmentNeeds | None = None
        """What the profile needs in all that was asked about last."""
        self.failed = 0
        """Mask of the nozzles out of use."""
        self.temperatures: Callable[[], Mapping[str, Reading[float]]] = _no_temperatures
        self.can_give: Callable[[float, float, float], bool] = _gives_anything
        """Whether the stack delivers so many W, and J in all, without falling below a charge."""

    def needs(self, segment: Segment, force: Vec3) -> SegmentNeeds:
        """What a segment needs whose force at level 1 is this (N, body axes), by itself."""
        return burn_needs(segment.slices(force), self._allocator, self._body, self.failed)

    def wrench_needs(self, wrench: tuple[float, ...], duration_s: float) -> SegmentNeeds:
        """What one wrench (N, N m about the centre of mass, body axes) over a time needs."""
        return burn_needs([Slice(wrench, duration_s)], self._allocator, self._body, self.failed)

    def refusals(self, segment: Segment, needed: SegmentNeeds) -> tuple[Code, ...]:
        """See firmware_py.gnc.thrust_profile.Budget."""
        return codes_of(self.answer(segment.level, needed))

    def accept(
        self, profile: ThrustProfile, ceiling: Ceiling, attitude: Quaternion, velocity: Vec3
    ) -> Answer:
        """Everything against a profile that would start now, segment by segment and in all.

        Burns go on across segments. Charge, propellant and heat of all segments must be there now: what cools or is
        charged on the way is not counted on.
        """
        clock = BurnClock(self._body)
        found: Answer = []
        taken: SegmentNeeds | None = None
        for index, segment in enumerate(profile.segments):
            direction = segment.body_direction(attitude)
            if self._planar and abs(direction[2]) > 0.01:
                found.append((Code.CMD_VALIDATION_FAILED, f"segments[{index}]: a table leaves x and y to push along"))
                continue
            force = segment.force(ceiling, attitude)
            own = burn_needs(segment.slices(force), self._allocator, self._body, self.failed, clock)
            taken = own if taken is None else _sum(taken, own)
            if segment.level_pct > 0.0:
                found += [(code, f"segments[{index}]: {why}") for code, why in self.answer(segment.level, own)]
        self.taken = taken
        if taken is not None:
            found += [(code, why) for code, why in self._stores(taken) if code not in codes_of(found)]
            found += self._speed(taken, attitude, velocity)
        return found

    def answer(self, level: Level | None, needed: SegmentNeeds) -> Answer:
        """Every reason against what is needed now, with what is allowed. ``level`` None is an override."""
        found = self._duty(level, needed) + self._stores(needed)
        limits, prop = self._body.limits, self._body.propulsion
        if level is not None:
            torque, force = needed.residual_torque_n_m, needed.residual_force_n
            most = limits.torque_max_n_m if level is Level.ADAPTIVE else limits.residual_torque_n_m
            if not torque <= most:
                found.append((Code.TORQUE_LIMIT, f"{torque:.3g} N m are left over; {most:g} are allowed"))
            if not force <= 1e-9 + FORCE_SLACK * norm(needed.impulse_n_s) and level is not Level.ADAPTIVE:
                found.append((Code.RCS_UNAVAILABLE, f"the nozzles in use miss the force by {force:.3g} N"))
        if needed.longest_burn_s > prop.max_burn_ms * 1e-3 + 1e-6:
            found.append((Code.BURN_LIMIT, f"a nozzle would burn {needed.longest_burn_s:.2f} s without a pause; "
                          f"{prop.max_burn_ms * 1e-3:g} s are allowed: pulse it in shorter segments"))
        if needed.early_s > 0.0:
            found.append((Code.COOLDOWN_ACTIVE, f"a nozzle that burned its longest is wanted {needed.early_s:.2f} s "
                          "before it has cooled"))
        return found

    def _duty(self, level: Level | None, needed: SegmentNeeds) -> Answer:
        facts = self.facts
        soc = None if facts is None else facts.soc_supercap
        if facts is None or soc is None:
            return [(Code.POWER_TELEM_MISSING, "SoC_cap is not known")]
        if soc < facts.hold_soc or (soc < facts.boost_soc and level is not Level.ZTT):
            least = facts.hold_soc if level is Level.ZTT else facts.boost_soc
            return [(Code.CAP_LOW, f"SoC_cap is {soc:.2f}; {least:.2f} is needed")]
        if soc < facts.boost_soc and needed.peak_duty > HOLD_DUTY + 1e-6:
            text = f"a nozzle's duty is {needed.peak_duty:.2f}; {HOLD_DUTY:.2f} is allowed below SoC_cap "
            return [(Code.DUTY_LIMIT, f"{text}{facts.boost_soc:.2f}")]
        return []

    def _stores(self, needed: SegmentNeeds) -> Answer:
        """Charge, heat and propellant."""
        facts, found = self.facts, Answer()
        if facts is None:
            return found
        if facts.soc_supercap is not None:
            above = max(0.0, facts.soc_supercap - facts.limits.supercap_safe_soc)
            usable = above * self._body.power.supercap.capacity_wh * WH
            if not needed.energy_j <= usable:
                found.append((Code.CAP_LOW, f"{needed.energy_j:.0f} J are needed, {usable:.0f} J can be given"))
            else:
                found += self._peak(needed)
        if not needed.propellant_kg <= facts.propellant_kg:
            text = f"{needed.propellant_kg:.2f} kg are needed, {facts.propellant_kg:.2f} kg are left"
            found.append((Code.WORKING_MASS_LOW, text))
        return found + self._heat(needed, facts)

    def _peak(self, needed: SegmentNeeds) -> Answer:
        """What the stack cannot deliver at once: beyond its limit, or beyond what its resistance lets through."""
        supercap = self._body.power.supercap
        if not needed.peak_w <= supercap.discharge_max_w:
            text = f"{needed.peak_w:.0f} W with every nozzle open that is used; the stack gives "
            return [(Code.PDU_PEAK_DENIED, f"{text}{supercap.discharge_max_w:g} W")]
        if needed.energy_j > 0.0 and not self.can_give(needed.peak_w, needed.energy_j, supercap.safe_soc):
            return [(Code.CAP_LOW, f"the stack cannot deliver {needed.energy_j:.0f} J at {needed.peak_w:.0f} W")]
        return []

    def _heat(self, needed: SegmentNeeds, facts: Facts) -> Answer:
        readings = self.temperatures()
        found: Answer = []
        for cluster, joules in needed.cluster_heat_j.items():
            node = self._nodes.get(cluster)
            if node is None or joules == 0.0:
                continue
            reading = readings.get(cluster)
            if reading is not None and reading.ok and reading.value is not None:
                now_c = reading.value
            elif facts.hottest_share is not None:
                now_c = node.warn_c + facts.hottest_share * (node.trip_c - node.warn_c)
            else:
                return [(Code.THERMAL_TELEM_MISSING, "no temperature is known")]
            then_c = now_c + joules / node.capacity_j_k
            if not then_c < node.trip_c:
                found.append((Code.THERMAL_BLOCK, f"{cluster} would reach {then_c:.0f} deg C; it trips at "
                              f"{node.trip_c:g}"))
        return found

    def _speed(self, taken: SegmentNeeds, attitude: Quaternion, velocity: Vec3) -> Answer:
        mass = self._body.mass.dry_kg + (self.facts.propellant_kg if self.facts is not None else 0.0)
        gained = scale(rotate(attitude, taken.impulse_n_s), 1.0 / mass)
        speed = norm(add(velocity, gained))
        if speed <= self.stoppable_m_s:
            return []
        return [(Code.SPEED_LIMIT, f"ends at {speed:.1f} m/s; a full tank stops {self.stoppable_m_s:.1f} m/s")]


def codes_of(answer: Answer) -> tuple[Code, ...]:
    """The codes of an answer, each once."""
    return tuple(dict.fromkeys(code for code, _ in answer))


def _sum(a: SegmentNeeds, b: SegmentNeeds) -> SegmentNeeds:
    heat = {cluster: joules + b.cluster_heat_j[cluster] for cluster, joules in a.cluster_heat_j.items()}
    return SegmentNeeds(
        a.energy_j + b.energy_j, a.propellant_kg + b.propellant_kg, heat,
        max(a.residual_torque_n_m, b.residual_torque_n_m), max(a.residual_force_n, b.residual_force_n),
        max(a.peak_duty, b.peak_duty), max(a.longest_burn_s, b.longest_burn_s), max(a.early_s, b.early_s),
        add(a.impulse_n_s, b.impulse_n_s), max(a.peak_w, b.peak_w),
    )
