"""Schema of a body: mass, nozzles, stores, heat and arrays of one craft, in SI units."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

__all__ = [
    "ArrayConfig", "BatteryConfig", "BodyConfig", "BusPowerConfig", "DockFeedConfig", "EnvironmentKind", "HeaterConfig",
    "LimitsConfig", "LoadConfig", "MassConfig", "NozzleConfig", "PowerConfig", "PropulsionConfig", "SupercapConfig",
    "ThermalConfig", "ThermalCoupling", "ThermalNode",
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
    """Battery, the endurance store.

    Below ``charge_first_soc`` it is charged before the supercapacitor. Loads are shed from ``shed_soc`` down until it
    is at ``unshed_soc`` again; at ``safe_soc`` SAFE begins. The battery's own protection takes every load off at
    ``cut_soc``, and puts them on again at ``wake_soc``. ``nbl_soc`` is the least charge for an NBL packet.
    """

    capacity_wh: Positive
    charge_max_w: Positive
    discharge_max_w: Positive
    charge_first_soc: Fraction = 0.20
    shed_soc: Fraction = 0.20
    unshed_soc: Fraction = 0.30
    safe_soc: Fraction = 0.10
    cut_soc: Fraction = 0.0
    wake_soc: Fraction = 0.30
    nbl_soc: Fraction = 0.35


class SupercapConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """Supercapacitor stack, the store for short peaks. Its energy is ``capacity_wh`` at ``full_v``.

    ``nbl_soc`` is the least charge to start an NBL packet with, ``safe_soc`` where SAFE begins. ``top_up_w`` is what
    its charger takes of the battery while there is no surplus; 0: it is charged from surplus alone.
    """

    capacity_wh: Positive
    full_v: Positive
    charge_max_w: Positive
    discharge_max_w: Positive
    boost_soc: Fraction
    hold_soc: Fraction
    nbl_soc: Fraction = 0.45
    safe_soc: Fraction = 0.10
    top_up_w: NonNegative = 0.0


class ArrayConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """Solar cells: area in m2, efficiency, normal of the cells in the body frame.

    ``open_circuit_v`` and ``max_power_v`` are those of a string at 28 deg C in full Sun.
    """

    area_m2: NonNegative
    efficiency: Fraction
    normal: Vec3
    open_circuit_v: Positive = 35.0
    max_power_v: Positive = 30.8


class DockFeedConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """Power from a dock: limits of the feed, the soft start, and what is refused."""

    voltage_v: Positive
    power_max_w: Positive
    current_max_a: Positive
    soft_start_s: Positive = 2.0
    lowest_v: Positive = 24.0
    highest_v: Positive = 32.0
    reverse_a: Annotated[float, Meta(lt=0.0)] = -0.5


class LoadConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """One electrical load, W. ``base`` loads are always on; ``starts_on`` is its state at power-up.

    ``peak_w`` is what it draws of the supercapacitor while it works (a packet, a burst), beside ``power_w`` of the bus.
    """

    name: Name
    power_w: NonNegative
    base: bool = False
    starts_on: bool = True
    peak_w: NonNegative = 0.0


class PowerConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """Stores, bus, arrays, loads and, if the craft docks, the feed."""

    bus: BusPowerConfig
    battery: BatteryConfig
    supercap: SupercapConfig
    array: ArrayConfig
    loads: tuple[LoadConfig, ...]
    dock: DockFeedConfig | None = None


class ThermalNode(Struct, frozen=True, forbid_unknown_fields=True):
    """One lumped node: heat capacity J/K, loss to ambient W/K, limits in deg C.

    Below ``no_charge_below_c`` a store is not charged, below ``no_discharge_below_c`` not drawn on, and below
    ``no_fire_below_c`` a cluster's valves are not opened; ``None``: there is no such limit.
    """

    name: Name
    capacity_j_k: Positive
    cooling_w_k: NonNegative
    start_c: Celsius
    warn_c: Celsius
    trip_c: Celsius
    clear_c: Celsius
    no_charge_below_c: Celsius | None = None
    no_discharge_below_c: Celsius | None = None
    no_fire_below_c: Celsius | None = None


class HeaterConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """A heater on a node: on at or below ``on_c``, off at or above ``off_c``. Its load is called ``heater_<node>``."""

    node: Name
    power_w: Positive
    on_c: Celsius
    off_c: Celsius

    @property
    def load(self) -> str:
        """Name of its load and rail."""
        return f"heater_{self.node}"


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
    heaters: tuple[HeaterConfig, ...] = ()


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
