"""How a world begins, and everything true of it at one instant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from hal.frames import IDENTITY, Quaternion, Vec3
from hil.plant.orbit import Orbit
from hil.plant.solar import REFERENCE_C
from hil.plant.targets import Scene

__all__ = ["InitialState", "Truth"]


@dataclass(frozen=True, slots=True)
class InitialState:
    """How a world begins. Vectors inertial unless named; the position is the centre of mass's.

    ``epoch`` is UTC, a datetime with time zone or ns since 1970. ``sun_direction`` ``None`` means: from the date.
    ``temperatures_c`` overrides the body's start temperatures by node, ``panel_c`` is that of the wings. ``ambient_c``
    overrides its ambient. ``orbit`` gives eclipses, ``lighting`` brightness over time (s, share of the Sun at 1 au).
    ``scene`` is what there is around the craft.
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
    orbit: Orbit | None = None
    lighting: Sequence[tuple[float, float]] = ()
    panel_c: float = REFERENCE_C
    scene: Scene = field(default_factory=Scene)


@dataclass(frozen=True, slots=True)
class Truth:
    """Everything true at ``t_ns``. SI; vectors inertial, ``rate`` body; currents positive out of a store or the panel
    and into the craft.

    Power figures are those of the last 50 ms step, temperatures those of the last 500 ms step. ``open_mask`` has bit n
    for a nozzle that passes gas, ``driven_mask`` for a valve that is energised. ``harvested_j`` came from the Sun.
    ``array_max_w`` is what the panel could give at its best voltage, ``spilled_w`` what nothing took of it,
    ``valve_served`` the share that valves and peaks got of what they asked. ``bus_on`` is False while the battery's own
    protection keeps all loads off. ``longest_under_s`` is the longest time so far with the bus under its least voltage.
    ``illumination`` is sunlight as a share of that at 1 au. ``panel_wanted``: all that the panel offered was taken.
    ``cold_charge_j`` went into a battery too cold for it, ``balance_error_j`` is what the power ledger can't explain of
    the ``flowed_j`` that came in or was spent.
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
    array_max_w: float
    panel_v: float
    panel_a: float
    panel_c: float
    dock_w: float
    dock_current_a: float
    dock_input_v: float
    peak_w: float
    valve_served: float
    spilled_w: float
    battery_loss_w: float
    supercap_loss_w: float
    bus_on: bool
    longest_under_s: float
    illumination: float
    panel_wanted: bool
    cold_charge_j: float
    balance_error_j: float
    flowed_j: float
