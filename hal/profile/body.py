"""Schema of a body: mass, nozzles, stores, heat and arrays of one craft, in SI units."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

__all__ = [
    "ArrayConfig", "BatteryConfig", "BodyConfig", "BusPowerConfig", "EnvironmentKind", "LimitsConfig", "LoadConfig",
    "MassConfig", "NozzleConfig", "PowerConfig", "PropulsionConfig", "SupercapConfig", "ThermalConfig",
    "ThermalCoupling", "ThermalNode",
]

Vec3 = tuple[float, float, float]
Matrix3 = tuple[Vec3, Vec3, Vec3]
Positive = Annotated[float, Meta(gt=0.0)]
NonNegative = Annotated[float, Meta(ge=0.0)]
Fraction = Annotated[float, Meta(ge=0.0, le=1.0)]
Celsius = Annotated[float, Meta(ge=-273.15, le=1000.0)]
Name = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]*$", max_length=32)]
EnvironmentKind = Literal["free_space", "air_bearing"]
ModulatorKind = Literal["fine", "pulse_width", "slots", "pwpf", "relay"]


class MassConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """Masses in kg, inertia about the centre of mass with full tank in kg m2, centre of mass in m in the body frame."""

    dry_kg: Annotated[float, Meta(gt=0.0, le=100_000.0)]
    propellant_kg: Annotated[float, Meta(ge=0.0, le=100_000.0)]
    inertia_kg_m2: Matrix3
    centre_of_mass_m: Vec3


class NozzleConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """One on-off nozzle. ``direction`` is the force on the body; its length is one within 1 %."""

    id: Annotated[int, Meta(ge=0, le=31)]
    cluster: Name
    position_m: Vec3
    direction: Vec3
    thrust_n: Annotated[float, Meta(gt=0.0, le=10_000.0)]


class PropulsionConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """Nozzles, the rules that every pulse keeps, and who makes pulses of a wanted impulse (docs/gnc.md)."""

    specific_impulse_s: Annotated[float, Meta(gt=0.0, le=1000.0)]
    window_ms: Annotated[int, Meta(ge=50, le=250)]
    min_on_ms: Annotated[int, Meta(ge=1, le=200)]
    min_off_ms: Annotated[int, Meta(ge=1, le=200)]
    max_burn_ms: Annotated[int, Meta(ge=100, le=60_000)]
    cooldown_ms: Annotated[int, Meta(ge=0, le=65_535)]
    valve_latency_ms: Annotated[int, Meta(ge=0, le=50)]
    valve_power_w: NonNegative
    hull_heat_share: Fraction
    cluster_heat_w: NonNegative
    nozzles: Annotated[tuple[NozzleConfig, ...], Meta(min_length=7, max_length=32)]
    modulator: ModulatorKind = "fine"


class LimitsConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """Limits that guidance and the safety plane keep."""

    rate_deg_s: Annotated[float, Meta(gt=0.0, le=360.0)]
    docking_rate_deg_s: Annotated[float, Meta(gt=0.0, le=360.0)]
    runaway_rate_deg_s: Annotated[float, Meta(gt=0.0, le=720.0)]
    slew_rate_deg_s: Annotated[float, Meta(gt=0.0, le=360.0)]
    speed_m_s: Annotated[float, Meta(gt=0.0, le=1000.0)]
    torque_max_n_m: Positive
    residual_torque_n_m: Positive


class BusPowerConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """Main bus: the modelled voltage is ``empty_v + (full_v - empty_v) * SoC_bat``."""

    empty_v: Positive
    full_v: Positive
    current_limit_a: Positive


class BatteryConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """Battery, the endurance store."""

    capacity_wh: Positive
    charge_max_w: Positive
    discharge_max_w: Positive


class SupercapConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """Supercapacitor stack, the store for short peaks. Its energy is ``capacity_wh`` at ``full_v``."""

    capacity_wh: Positive
    full_v: Positive
    charge_max_w: Positive
    discharge_max_w: Positive
    boost_soc: Fraction
    hold_soc: Fraction


class ArrayConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """Solar cells: area in m2, efficiency, normal of the cells in the body frame."""

    area_m2: NonNegative
    efficiency: Fraction
    normal: Vec3


class LoadConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """One electrical load, W. ``base`` loads are always on."""

    name: Name
    power_w: NonNegative
    base: bool = False


class PowerConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """Stores, bus, arrays and loads."""

    bus: BusPowerConfig
    battery: BatteryConfig
    supercap: SupercapConfig
    array: ArrayConfig
    loads: tuple[LoadConfig, ...]


class ThermalNode(Struct, frozen=True, forbid_unknown_fields=True):
    """One lumped node: heat capacity J/K, loss to ambient W/K, limits in deg C."""

    name: Name
    capacity_j_k: Positive
    cooling_w_k: NonNegative
    start_c: Celsius
    warn_c: Celsius
    trip_c: Celsius
    clear_c: Celsius


class ThermalCoupling(Struct, frozen=True, forbid_unknown_fields=True):
    """Conductance between two nodes, W/K."""

    between: tuple[Name, Name]
    conductance_w_k: NonNegative


class ThermalConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """Node network. ``insulation`` divides the loss to ambient of every node."""

    ambient_c: Celsius
    ambient_exchange_w_k: NonNegative
    insulation: Annotated[float, Meta(ge=1.0, le=100.0)]
    nodes: Annotated[tuple[ThermalNode, ...], Meta(min_length=1)]
    couplings: tuple[ThermalCoupling, ...]


class BodyConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """One craft."""

    schema_version: Literal[1]
    body: Annotated[str, Meta(pattern=r"^[a-z][a-z0-9-]*$", max_length=32)]
    description: str
    environment: EnvironmentKind
    mass: MassConfig
    propulsion: PropulsionConfig
    limits: LimitsConfig
    power: PowerConfig
    thermal: ThermalConfig
