"""What the core knows when it decides: one frozen record a fast tick, ``None`` where nothing is known."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, radians

from hal.profile.body import BodyConfig

__all__ = ["ComputerFacts", "CraftLimits", "EnergyFacts", "Facts", "LinkFacts", "UnitFacts"]


SAFE_VOLTAGE_SHARE = 20.0 / 22.0
NEAR_SHARE = 0.8
TRIP_SHARE = 1.2


@dataclass(frozen=True, slots=True)
class CraftLimits:
    """What the body allows: volts, amperes, states of charge 0..1, rad/s, deg C."""

    bus_low_v: float
    """Lowest voltage of the bus; burns are barred below it."""
    bus_safe_v: float
    """Voltage below which SAFE begins."""
    bus_near_a: float
    bus_limit_a: float
    bus_trip_a: float
    battery_safe_soc: float
    supercap_safe_soc: float
    runaway_rad_s: float
    battery_charge_c: float | None
    """Temperature below which the battery is not charged, and below which it is not drawn on."""
    battery_discharge_c: float | None
    dock_reverse_a: float
    leave_soc: float = 0.15
    leave_rate_rad_s: float = 0.0873
    command_loss_s: float = 600.0
    """The last three may be set in flight, within ranges that keep SAFE's way out (comms/parameters.py)."""

    @classmethod
    def of(cls, body: BodyConfig) -> CraftLimits:
        """Limits of a body; what CANON section 10.2 says of QIKI in volts and amperes, in the same proportion."""
        power = body.power
        low, limit = power.bus.empty_v, power.bus.current_limit_a
        battery = next((node for node in body.thermal.nodes if node.name == "battery"), None)
        return cls(
            bus_low_v=low, bus_safe_v=low * SAFE_VOLTAGE_SHARE, bus_near_a=limit * NEAR_SHARE, bus_limit_a=limit,
            bus_trip_a=limit * TRIP_SHARE, battery_safe_soc=power.battery.safe_soc,
            supercap_safe_soc=power.supercap.safe_soc, runaway_rad_s=radians(body.limits.runaway_rate_deg_s),
            battery_charge_c=None if battery is None else battery.no_charge_below_c,
            battery_discharge_c=None if battery is None else battery.no_discharge_below_c,
            dock_reverse_a=-inf if power.dock is None else power.dock.reverse_a,
        )


@dataclass(frozen=True, slots=True)
class EnergyFacts:
    """What the energy side has found out, ``None`` where it cannot tell."""

    stores_conflict: bool | None = None
    """Two sources say different things of one store."""
    supercap_refuses_charge: bool | None = None
    """The stack is charged with more than 20 W and its charge does not rise."""
    loads_disobey: bool = False
    overcurrent_unsolved: bool = False
    """More than the bus's limit is still drawn with everything shed that may be."""
    dock_current_a: float | None = None
    computer_too_hot: bool | None = None
    heat_unknown: bool = False
    """No trusted temperature of a store: peaks may go on but not begin."""
    cold_clusters: bool | None = None
    """Some cluster is too cold to be fired."""


@dataclass(frozen=True, slots=True)
class ComputerFacts:
    """The flight computer's own health, ``None`` where it cannot tell."""

    throttled: bool | None = None
    """The firmware holds the clock back: heat, or too little voltage at the supply."""
    memory_free_mb: float | None = None
    """What could be given out without swapping."""
    disk_free_mb: float | None = None
    """Free on the medium that the black box is on."""
    clock_jump_s: float | None = None
    """Largest step of UTC against the monotonic clock in the last ten seconds."""
    recorder_failed: bool | None = None
    """The black box takes nothing any more."""
    recorder_dropped: int = 0
    """Messages lost since start."""
    blackbox_lost: bool | None = None
    """Neither the black box nor the crash rings take anything any more."""


@dataclass(frozen=True, slots=True)
class UnitFacts:
    """Devices and buses by name that are not as they should be; a name that is in no set is well."""

    lost: frozenset[str] = frozenset()
    """Devices that gave no good answer through all attempts."""
    degraded: frozenset[str] = frozenset()
    """Devices that have missed answers and are still being asked."""
    buses_out: frozenset[str] = frozenset()
    """Buses that are out of service, under recovery: ``bus <name>``."""
    imu_units_left: int | None = None
    """Inertial units that could be flown, the present one included."""


@dataclass(frozen=True, slots=True)
class LinkFacts:
    """The link to the ground."""

    uplink_age_s: float | None = None
    """Time since the last valid uplink, or since start; ``None``: this craft waits for none."""


@dataclass(frozen=True, slots=True)
class Facts:
    """Inputs of guards, monitors and gating. States of charge are fractions, rates rad/s, speeds m/s."""

    t_ns: int
    hash_matches: bool
    self_test_passed: bool | None
    soc_battery: float | None
    soc_supercap: float | None
    boost_soc: float
    hold_soc: float
    bus_voltage_v: float | None
    bus_current_a: float | None
    battery_temperature_c: float | None
    hottest_share: float | None
    """Largest (T - warn) / (trip - warn) over the measured thermal nodes: 0 is warn, 1 is trip."""
    imu_ok: bool
    imu_repeats: int
    """How many bursts in a row carried exactly the same rates."""
    rate_rad_s: float | None
    rate_disagreement_rad_s: float | None
    """Gyro against star tracker, when both are there."""
    attitude_known: bool
    speed_m_s: float | None
    propellant_kg: float
    propulsion_ready: bool
    settled: bool
    segment_done: bool
    target_range_m: float | None
    bridge_allowed: bool
    detached: bool
    joint_locked_unrated: bool
    late_ticks: int
    limits: CraftLimits
    energy: EnergyFacts = EnergyFacts()
    gyro_units_rad_s: float | None = None
    """Flown gyro against the one that stands by, biases taken off; 0 while a star tracker vouches for the flown one."""
    computer: ComputerFacts = ComputerFacts()
    units: UnitFacts = UnitFacts()
    link: LinkFacts = LinkFacts()
