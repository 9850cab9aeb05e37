"""Command gating: which checks each class of command must pass; all reasons are given in one refusal.

One table, ``CLASSES``: a row a class, a column a kind of check, in the order in which reasons are listed. The first
line of a check's docstring is what the printed page says of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum, unique

from fdir.brake import refusals as brake_refusals
from fdir.codes import Code
from fdir.facts import Facts
from fdir.gate_facts import GateFacts, Trust
from fdir.modes import Emission, Motion

__all__ = [
    "CLASSES", "CLASS_CHECKS", "CONFIRMED", "SAFE_ALLOWED", "Check", "ClassRow", "CommandClass", "Confirm", "InSafe",
    "Risk", "Standing", "formalities", "gate",
]

SECOND = 1_000_000_000
NBL_PAUSE_NS = 120 * SECOND
"""One packet costs 2.4 kJ, which come back at 20 W in 120 s (CANON section 11)."""


@unique
class CommandClass(StrEnum):
    """Classes of the gating table."""

    STATUS = "status"
    SAFER = "to a safer state"
    HOLD = "attitude hold, fine pulse"
    ZTT_BURN = "ZTT burn"
    FTG_BURN = "FTG or boost burn"
    OVERRIDE = "manual override"
    BRAKE = "brake"
    EVADE = "evade"
    SCAN = "high-power scan, lidar burst"
    NBL_PACKET = "NBL packet"
    NBL_CRITICAL = "critical NBL packet"
    TRANSMIT = "transmit, transponder on"
    BEACON = "transponder beacon"
    SWITCH = "switch a load"
    EXTERNAL_POWER = "power from a dock"
    DOCKING = "open, close, dock, undock"
    BRIDGE_ON = "bridge on"
    DETACH = "emergency detach"
    ATTACH = "module attach"
    MODE_CHANGE = "mode change, SAFE exit"
    UPDATE = "update, key change"


@unique
class InSafe(StrEnum):
    """Whether SAFE lets a class through."""

    NO = "no"
    YES = "yes"
    LOCKDOWN = "also in lockdown"


@unique
class Confirm(StrEnum):
    """Whether a class does nothing without confirmation."""

    NO = "no"
    YES = "yes"
    UNLESS_SAFE = "unless SAFE"


@unique
class Risk(StrEnum):
    """How much is at stake; a critical command is only flown when it can be recorded."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"


Check = Callable[[Facts, GateFacts], tuple[Code, ...]]


# -- battery and supercapacitor


def _at_least(soc: float | None, least: float | None, low: Code) -> tuple[Code, ...]:
    if soc is None or least is None:
        return (Code.POWER_TELEM_MISSING,)
    return () if soc >= least else (low,)


def _battery(facts: Facts, _known: GateFacts) -> tuple[Code, ...]:
    """SoC_bat known and above where SAFE begins"""
    if facts.soc_battery is None:
        return (Code.POWER_TELEM_MISSING,)
    return () if facts.soc_battery > facts.limits.battery_safe_soc else (Code.BAT_LOW,)


def _battery_at_nbl(facts: Facts, known: GateFacts) -> tuple[Code, ...]:
    """SoC_bat known and at or above what an NBL packet needs"""
    return _at_least(facts.soc_battery, known.battery_nbl_soc, Code.BAT_LOW)


def _supercap_at_hold(facts: Facts, _known: GateFacts) -> tuple[Code, ...]:
    """SoC_cap known and at or above T_hold"""
    return _at_least(facts.soc_supercap, facts.hold_soc, Code.CAP_LOW)


def _supercap_at_boost(facts: Facts, _known: GateFacts) -> tuple[Code, ...]:
    """SoC_cap known and at or above T_boost"""
    return _at_least(facts.soc_supercap, facts.boost_soc, Code.CAP_LOW)


def _supercap_at_nbl(facts: Facts, known: GateFacts) -> tuple[Code, ...]:
    """SoC_cap known and at or above T_nbl"""
    return _at_least(facts.soc_supercap, known.supercap_nbl_soc, Code.CAP_LOW)


def _supercap_to_detach(facts: Facts, known: GateFacts) -> tuple[Code, ...]:
    """SoC_cap at or above T_hold, unless letting go is known to take no peak"""
    return () if known.detach_draws_peak is False else _supercap_at_hold(facts, known)


# -- distribution


def _bus_bears(facts: Facts, _known: GateFacts) -> tuple[Code, ...]:
    """the bus carries no more than its limit, or has loads left to shed"""
    return (Code.PDU_DENIED,) if facts.energy.overcurrent_unsolved else ()


def _line_granted(facts: Facts, known: GateFacts) -> tuple[Code, ...]:
    """the distribution unit grants the line"""
    return _bus_bears(facts, known) if known.line_granted else (Code.PDU_DENIED,)


# -- heat


def _cool(facts: Facts, _known: GateFacts) -> tuple[Code, ...]:
    """no thermal node at its trip"""
    return (Code.THERMAL_BLOCK,) if facts.hottest_share is not None and facts.hottest_share >= 1.0 else ()


def _cool_and_known(facts: Facts, known: GateFacts) -> tuple[Code, ...]:
    """no thermal node at its trip; temperatures of battery and supercapacitor known"""
    codes = _cool(facts, known)
    return (*codes, Code.THERMAL_TELEM_MISSING) if facts.energy.heat_unknown else codes


def _a_cool_cluster(_facts: Facts, known: GateFacts) -> tuple[Code, ...]:
    """not every cluster at its trip; unknown heat does not stop a brake"""
    return (Code.RCS_CLUSTER_HOT,) if known.cool_clusters == 0 else ()


# -- the body and its thrusters


def _mass_modelled(_facts: Facts, known: GateFacts) -> tuple[Code, ...]:
    """centre of mass and inertia known"""
    codes: tuple[Code, ...] = () if known.com_valid else (Code.COM_INVALID,)
    return codes if known.inertia_modelled else (*codes, Code.INERTIA_UNMODELED)


def _thrusters(facts: Facts, _known: GateFacts) -> tuple[Code, ...]:
    """propulsion ready, propellant left"""
    codes: tuple[Code, ...] = () if facts.propulsion_ready else (Code.RCS_UNAVAILABLE,)
    return codes if facts.propellant_kg > 0.0 else (*codes, Code.WORKING_MASS_LOW)


def _maps(known: GateFacts) -> tuple[Code, ...]:
    codes: tuple[Code, ...] = () if known.thrust_map else (Code.THRUST_MAP_MISSING,)
    return codes if known.torque_map else (*codes, Code.TORQUE_MAP_MISSING)


def _thrusters_mapped(facts: Facts, known: GateFacts) -> tuple[Code, ...]:
    """propulsion ready, propellant left, thrust map and torque map known"""
    return _thrusters(facts, known) + _maps(known)


def _fit_to_brake(facts: Facts, known: GateFacts) -> tuple[Code, ...]:
    """propellant left, propulsion ready, no unrated locked joint, thrust map and torque map known"""
    return brake_refusals(facts) + _maps(known)


# -- sensors


def _rates_trusted(facts: Facts, _known: GateFacts) -> tuple[Code, ...]:
    """inertial unit good"""
    return () if facts.imu_ok else (Code.SENSOR_MISSING,)


def _attitude_trusted(facts: Facts, known: GateFacts) -> tuple[Code, ...]:
    """inertial unit good, attitude known"""
    codes = _rates_trusted(facts, known)
    return codes if facts.attitude_known else (*codes, Code.ATTITUDE_UNKNOWN)


def _surroundings_trusted(_facts: Facts, known: GateFacts) -> tuple[Code, ...]:
    """what is seen around the craft is fresh and does not conflict"""
    if known.surroundings is Trust.CONFLICTING:
        return (Code.SENSOR_CONFLICTING,)
    return () if known.surroundings is Trust.TRUSTED else (Code.SENSOR_STALE,)


# -- joint, bridge and modules


def _joint_bears(facts: Facts, known: GateFacts) -> tuple[Code, ...]:
    """no unrated locked joint; no active bridge over a joint that is not rated"""
    codes: tuple[Code, ...] = (Code.BAYONET_UNSAFE,) if facts.joint_locked_unrated else ()
    if facts.detached or known.joint_rated or known.bridge_active is False:
        return codes
    return (*codes, Code.BRIDGE_ACTIVE_RESTRICTED_MOTION)


def _joint_ready(_facts: Facts, known: GateFacts) -> tuple[Code, ...]:
    """state of the joint known, and fit to be moved"""
    return () if known.joint_ready else (Code.BAYONET_UNSAFE,)


def _chain_closed(_facts: Facts, known: GateFacts) -> tuple[Code, ...]:
    """every link of the bridge's chain: lock, structure, electrical, umbilical, handshake, passport, power, heat"""
    chain = known.bridge
    links = (
        (chain.hard_lock, Code.BAYONET_UNSAFE),
        (chain.structure, Code.BAYONET_UNSAFE),
        (chain.electrical, Code.BRIDGE_ELECTRICAL_UNSAFE),
        (chain.umbilical, Code.BAYONET_UNSAFE),
        (chain.handshake, Code.MODULE_NOT_READY),
        (chain.passport, Code.MODULE_PASSPORT_MISSING),
        (chain.power, Code.PDU_DENIED),
        (chain.heat, Code.BAYONET_THERMAL_BLOCK),
    )
    return tuple(code for closed, code in links if not closed)


def _module(_facts: Facts, known: GateFacts) -> tuple[Code, ...]:
    """passport valid, module and its mount ready"""
    codes: tuple[Code, ...] = () if known.passport_valid else (Code.MODULE_PASSPORT_MISSING,)
    return codes if known.module_ready else (*codes, Code.MODULE_NOT_READY)


# -- radio


def _radio(_facts: Facts, known: GateFacts) -> tuple[Code, ...]:
    """radio ready"""
    return () if known.radio_ready else (Code.COMMS_UNAVAILABLE,)


def _emission_open(_facts: Facts, known: GateFacts) -> tuple[Code, ...]:
    """emission open"""
    return () if known.emission is Emission.OPEN else (Code.EMCON_BLOCK,)


def _not_silent(_facts: Facts, known: GateFacts) -> tuple[Code, ...]:
    """emission open or restricted"""
    return () if known.emission in (Emission.OPEN, Emission.RESTRICTED) else (Code.EMCON_BLOCK,)


def _not_silent_or_released(_facts: Facts, known: GateFacts) -> tuple[Code, ...]:
    """emission open or restricted, or an operator has released a packet"""
    return () if known.packet_released else _not_silent(_facts, known)


# -- the table


@dataclass(frozen=True, slots=True)
class ClassRow:
    """What one class of command needs; a column that is ``None`` asks for nothing. Reasons are listed in the order of
    the columns."""

    battery: Check | None = None
    cap: Check | None = None
    pdu: Check | None = None
    heat: Check | None = None
    mass: Check | None = None
    thrusters: Check | None = None
    trust: Check | None = None
    joint: Check | None = None
    module: Check | None = None
    radio: Check | None = None
    emission: Check | None = None
    confirm: Confirm = Confirm.NO
    arm_first: bool = False
    """Nothing happens unless the class was armed before."""
    pause_ns: int = 0
    """Least time between two of them."""
    risk: Risk = Risk.LOW
    in_safe: InSafe = InSafe.NO
    in_boot: bool = False

    @property
    def checks(self) -> tuple[Check, ...]:
        """The checks of all columns, in their order."""
        columns = (
            self.battery, self.cap, self.pdu, self.heat, self.mass, self.thrusters, self.trust, self.joint,
            self.module, self.radio, self.emission,
        )
        return tuple(check for check in columns if check is not None)


_C = CommandClass
CLASSES: dict[CommandClass, ClassRow] = {
    _C.STATUS: ClassRow(in_safe=InSafe.LOCKDOWN, in_boot=True),
    _C.SAFER: ClassRow(in_safe=InSafe.LOCKDOWN, in_boot=True),
    _C.HOLD: ClassRow(heat=_cool, thrusters=_thrusters, trust=_rates_trusted),
    _C.ZTT_BURN: ClassRow(
        battery=_battery, cap=_supercap_at_hold, pdu=_bus_bears, heat=_cool_and_known, mass=_mass_modelled,
        thrusters=_thrusters_mapped, trust=_attitude_trusted, joint=_joint_bears, risk=Risk.MEDIUM,
    ),
    _C.FTG_BURN: ClassRow(
        battery=_battery, cap=_supercap_at_boost, pdu=_bus_bears, heat=_cool_and_known, mass=_mass_modelled,
        thrusters=_thrusters_mapped, trust=_attitude_trusted, joint=_joint_bears, confirm=Confirm.YES,
        risk=Risk.CRITICAL,
    ),
    # Its two commands are arm and fire, with a code of their own: that is its confirmation.
    _C.OVERRIDE: ClassRow(
        battery=_battery, cap=_supercap_at_boost, pdu=_bus_bears, heat=_cool_and_known, mass=_mass_modelled,
        thrusters=_thrusters_mapped, trust=_attitude_trusted, joint=_joint_bears, risk=Risk.CRITICAL,
    ),
    # Never asked: charge, rest, emission, confirmation, recorder (CANON section 10.3).
    _C.BRAKE: ClassRow(heat=_a_cool_cluster, thrusters=_fit_to_brake, in_safe=InSafe.LOCKDOWN),
    # As a brake; but a push in a given direction cannot go without knowing the attitude.
    _C.EVADE: ClassRow(
        heat=_a_cool_cluster, thrusters=_fit_to_brake, trust=_attitude_trusted, in_safe=InSafe.LOCKDOWN,
    ),
    _C.SCAN: ClassRow(
        battery=_battery, cap=_supercap_at_hold, pdu=_line_granted, heat=_cool, emission=_emission_open,
        risk=Risk.MEDIUM,
    ),
    _C.NBL_PACKET: ClassRow(
        battery=_battery_at_nbl, cap=_supercap_at_nbl, pdu=_line_granted, heat=_cool, radio=_radio,
        emission=_emission_open, confirm=Confirm.YES, pause_ns=NBL_PAUSE_NS, risk=Risk.HIGH,
    ),
    _C.NBL_CRITICAL: ClassRow(
        battery=_battery_at_nbl, cap=_supercap_at_nbl, pdu=_line_granted, heat=_cool, radio=_radio,
        emission=_not_silent_or_released, confirm=Confirm.UNLESS_SAFE, pause_ns=NBL_PAUSE_NS, risk=Risk.HIGH,
        in_safe=InSafe.YES,
    ),
    _C.TRANSMIT: ClassRow(
        battery=_battery, pdu=_line_granted, heat=_cool, radio=_radio, emission=_emission_open, risk=Risk.MEDIUM,
    ),
    _C.BEACON: ClassRow(
        battery=_battery, pdu=_line_granted, heat=_cool, radio=_radio, emission=_not_silent, risk=Risk.MEDIUM,
        in_safe=InSafe.YES,
    ),
    # The distribution unit answers for the line itself, by the load's name; switching off always goes.
    _C.SWITCH: ClassRow(),
    _C.EXTERNAL_POWER: ClassRow(heat=_cool, confirm=Confirm.YES, risk=Risk.HIGH, in_safe=InSafe.YES),
    _C.DOCKING: ClassRow(
        pdu=_line_granted, heat=_cool, trust=_surroundings_trusted, joint=_joint_ready, confirm=Confirm.YES,
        arm_first=True, risk=Risk.HIGH,
    ),
    _C.BRIDGE_ON: ClassRow(
        pdu=_line_granted, heat=_cool, joint=_chain_closed, confirm=Confirm.YES, arm_first=True, risk=Risk.CRITICAL,
    ),
    # A failed recorder is no reason to stay attached: high, not critical.
    _C.DETACH: ClassRow(
        cap=_supercap_to_detach, pdu=_line_granted, heat=_cool, joint=_joint_ready, confirm=Confirm.YES,
        risk=Risk.HIGH, in_safe=InSafe.YES,
    ),
    _C.ATTACH: ClassRow(
        pdu=_line_granted, heat=_cool, mass=_mass_modelled, joint=_joint_ready, module=_module, confirm=Confirm.YES,
        risk=Risk.HIGH,
    ),
    # A craft whose recorder has failed must still find its way out of SAFE: high, not critical.
    _C.MODE_CHANGE: ClassRow(confirm=Confirm.YES, risk=Risk.HIGH, in_safe=InSafe.LOCKDOWN),
    _C.UPDATE: ClassRow(confirm=Confirm.YES, arm_first=True, risk=Risk.CRITICAL),
}
"""The class table of CANON section 15, with columns for battery, module and radio from its table of checks."""
CLASS_CHECKS: dict[CommandClass, tuple[Check, ...]] = {name: row.checks for name, row in CLASSES.items()}
"""Checks of each class."""
SAFE_ALLOWED = frozenset(name for name, row in CLASSES.items() if row.in_safe is not InSafe.NO)
"""Classes that SAFE lets through."""
CONFIRMED = frozenset(name for name, row in CLASSES.items() if row.confirm is not Confirm.NO)
"""Classes that do nothing without confirmation."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What is known of one command's past when it is judged."""

    confirmed: bool = False
    armed: bool = False
    """Its class was armed, and still is."""
    since_last_ns: int | None = None
    """Time since the last command of its class that was allowed; ``None``: there was none."""
    emergency: bool = False
    """Its priority: an emergency does not wait for the pause of its class."""


def gate(
    command_class: CommandClass, motion: Motion, facts: Facts, known: GateFacts | None = None, lockdown: bool = False
) -> tuple[Code, ...]:
    """Every reason of the craft's state against a command of this class now, each once; empty means none.

    Args:
        command_class: its class.
        motion: motion mode; SAFE also while a brake out of SAFE is flown.
        facts: what the core knows.
        known: what is known beside it; nothing if not given.
        lockdown: SAFE is in lockdown.
    """
    row = CLASSES[command_class]
    codes: tuple[Code, ...] = ()
    if motion is Motion.SAFE and (row.in_safe is InSafe.NO or (lockdown and row.in_safe is InSafe.YES)):
        codes += (Code.SAFE_LOCKED,)
    if motion is Motion.BOOT and not row.in_boot:
        codes += (Code.SELF_TEST_PENDING,)
    known = GateFacts() if known is None else known
    for check in row.checks:
        codes += check(facts, known)
    return tuple(dict.fromkeys(codes))


def formalities(command_class: CommandClass, motion: Motion, facts: Facts, standing: Standing) -> tuple[Code, ...]:
    """Every reason against a command that lies in how it was given, not in the craft: confirmation, arming, pause,
    recorder. Empty means none; they are listed after those of ``gate``."""
    row = CLASSES[command_class]
    codes: tuple[Code, ...] = ()
    needed = row.confirm is Confirm.YES or (row.confirm is Confirm.UNLESS_SAFE and motion is not Motion.SAFE)
    if needed and not standing.confirmed:
        codes += (Code.CMD_CONFIRMATION_REQUIRED,)
    if row.arm_first and not standing.armed:
        codes += (Code.CMD_NOT_ARMED,)
    since = standing.since_last_ns
    if since is not None and since < row.pause_ns and not standing.emergency:
        codes += (Code.COOLDOWN_ACTIVE,)
    if row.risk is Risk.CRITICAL and facts.computer.recorder_failed is True:
        codes += (Code.AUDIT_UNAVAILABLE,)
    return codes
