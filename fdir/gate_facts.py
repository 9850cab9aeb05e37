"""What gating asks beside the core's facts: things that the body says, and things that few craft measure.

``None`` is unknown. A class of command that needs the thing is refused while it is unknown; nothing passes by default.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum, unique

from fdir.modes import Emission
from hal.profile.body import BodyConfig, NozzleConfig

__all__ = ["BridgeChain", "GateFacts", "Trust", "can_turn", "has_inertia"]


@unique
class Trust(StrEnum):
    """How far what the craft sees around it is trusted."""

    TRUSTED = "trusted"
    STALE = "stale"
    CONFLICTING = "conflicting"


@dataclass(frozen=True, slots=True)
class BridgeChain:
    """What must be true before power or data pass a joint, in the order of the chain (CANON section 14)."""

    hard_lock: bool | None = None
    structure: bool | None = None
    electrical: bool | None = None
    umbilical: bool | None = None
    handshake: bool | None = None
    passport: bool | None = None
    power: bool | None = None
    heat: bool | None = None


@dataclass(frozen=True, slots=True)
class GateFacts:
    """Inputs of the gate that ``fdir.facts.Facts`` does not have. States of charge are fractions."""

    com_valid: bool | None = None
    """The centre of mass is known."""
    inertia_modelled: bool | None = None
    thrust_map: bool | None = None
    """Which nozzle pushes where, and how hard."""
    torque_map: bool | None = None
    """Which nozzle turns the body where, and how hard."""
    cool_clusters: int | None = None
    """Clusters of nozzles below their trip temperature."""
    line_granted: bool | None = None
    """The distribution unit lets the load through that this command switches."""
    battery_nbl_soc: float | None = None
    supercap_nbl_soc: float | None = None
    """Least charges for an NBL packet."""
    radio_ready: bool | None = None
    emission: Emission | None = None
    packet_released: bool | None = None
    """An operator has let one critical emergency packet out of a silence."""
    surroundings: Trust | None = None
    """What the craft sees around it."""
    joint_ready: bool | None = None
    """The state of the docking joint is known, and lets the joint be moved."""
    joint_rated: bool | None = None
    """The joint may carry the loads of a burn."""
    bridge_active: bool | None = None
    """Power or data pass the joint."""
    bridge: BridgeChain = BridgeChain()
    detach_draws_peak: bool | None = None
    """Letting go by emergency takes a peak from the supercapacitor on this craft."""
    passport_valid: bool | None = None
    module_ready: bool | None = None
    """The module that the command uses, and the place where it is mounted, are ready."""

    @classmethod
    def of(cls, body: BodyConfig) -> GateFacts:
        """What a body that was loaded and checked says of itself; all that has to be measured stays unknown."""
        mass, nozzles, power = body.mass, body.propulsion.nozzles, body.power
        return cls(
            com_valid=True, inertia_modelled=has_inertia(mass.inertia_kg_m2), thrust_map=len(nozzles) > 0,
            torque_map=can_turn(nozzles, mass.centre_of_mass_m), battery_nbl_soc=power.battery.nbl_soc,
            supercap_nbl_soc=power.supercap.nbl_soc,
        )


def has_inertia(inertia: tuple[tuple[float, float, float], ...]) -> bool:
    """Whether a matrix can be a body's inertia: all leading minors positive (Sylvester's criterion)."""
    (a, b, c), (d, e, f), (g, h, i) = inertia
    return a > 0.0 and a * e - b * d > 0.0 and a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g) > 0.0


def can_turn(nozzles: tuple[NozzleConfig, ...], centre: tuple[float, float, float]) -> bool:
    """Whether any nozzle has a lever arm about the centre of mass."""
    for nozzle in nozzles:
        x, y, z = (place - middle for place, middle in zip(nozzle.position_m, centre, strict=True))
        u, v, w = nozzle.direction
        if any((y * w - z * v, z * u - x * w, x * v - y * u)):
            return True
    return False
