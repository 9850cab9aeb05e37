"""Command gating: every class against every reason, all reasons at once, and how a command was given.

What each class must ask is written down here a second time, from CANON sections 10.3, 13 to 15, and not read from the
table under test.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from fdir.codes import Code
from fdir.facts import ComputerFacts, EnergyFacts, Facts
from fdir.gate_facts import BridgeChain, GateFacts, Trust
from fdir.gating import (
    CLASS_CHECKS,
    CLASSES,
    CONFIRMED,
    SAFE_ALLOWED,
    ClassRow,
    CommandClass,
    Risk,
    Standing,
    formalities,
    gate,
)
from fdir.modes import Emission, Motion

C = CommandClass
MakeFacts = Callable[..., Facts]
SECOND = 1_000_000_000
CHAIN = BridgeChain(True, True, True, True, True, True, True, True)
GOOD = GateFacts(
    com_valid=True, inertia_modelled=True, thrust_map=True, torque_map=True, cool_clusters=1, line_granted=True,
    battery_nbl_soc=0.40, supercap_nbl_soc=0.45, radio_ready=True, emission=Emission.OPEN, surroundings=Trust.TRUSTED,
    joint_ready=True, joint_rated=True, bridge_active=False, bridge=CHAIN, detach_draws_peak=True,
    passport_valid=True, module_ready=True,
)
"""Nothing speaks against anything."""

Fault = tuple[dict[str, Any], dict[str, Any]]
"""One thing that is wrong: changes of the nominal facts, and of what is known beside them."""


def links() -> dict[str, Fault]:
    """Every link of the bridge's chain open, and unknown."""
    return {
        f"{link} {state}": ({}, {"bridge": dataclasses.replace(CHAIN, **{link: state})})
        for link in ("hard_lock", "structure", "electrical", "umbilical", "handshake", "passport", "power", "heat")
        for state in (False, None)
    }


def flags(*names: str) -> dict[str, Fault]:
    """Things that are not so, and that are not known to be so."""
    return {f"{name} {state}": ({}, {name: state}) for name in names for state in (False, None)}


FAULTS: dict[str, Fault] = {
    "battery at SAFE": ({"soc_battery": 0.10}, {}),
    "battery below NBL": ({"soc_battery": 0.399}, {}),
    "battery unknown": ({"soc_battery": None}, {}),
    "cap below hold": ({"soc_supercap": 0.299}, {}),
    "cap below NBL": ({"soc_supercap": 0.449}, {}),
    "cap below boost": ({"soc_supercap": 0.599}, {}),
    "cap unknown": ({"soc_supercap": None}, {}),
    "NBL charge of the battery unknown": ({}, {"battery_nbl_soc": None}),
    "NBL charge of the cap unknown": ({}, {"supercap_nbl_soc": None}),
    "bus over its limit": ({"energy": EnergyFacts(overcurrent_unsolved=True)}, {}),
    "node at its trip": ({"hottest_share": 1.0}, {}),
    "store heat unknown": ({"energy": EnergyFacts(heat_unknown=True)}, {}),
    "clusters all hot": ({}, {"cool_clusters": 0}),
    "propulsion not ready": ({"propulsion_ready": False}, {}),
    "no propellant": ({"propellant_kg": 0.0}, {}),
    "no inertial unit": ({"imu_ok": False}, {}),
    "attitude unknown": ({"attitude_known": False}, {}),
    "surroundings stale": ({}, {"surroundings": Trust.STALE}),
    "surroundings unknown": ({}, {"surroundings": None}),
    "surroundings conflicting": ({}, {"surroundings": Trust.CONFLICTING}),
    "joint locked unrated": ({"joint_locked_unrated": True}, {}),
    "bridge over an unrated joint": ({"detached": False}, {"joint_rated": False, "bridge_active": True}),
    "bridge over an unknown joint": ({"detached": False}, {"joint_rated": None, "bridge_active": True}),
    "bridge unknown over an unrated joint": ({"detached": False}, {"joint_rated": False, "bridge_active": None}),
    "emission restricted": ({}, {"emission": Emission.RESTRICTED}),
    "emission silent": ({}, {"emission": Emission.SILENT}),
    "emission unknown": ({}, {"emission": None}),
    **flags("com_valid", "inertia_modelled", "thrust_map", "torque_map", "line_granted", "radio_ready", "joint_ready",
            "passport_valid", "module_ready"),
    **links(),
}

Column = dict[str, Code]


def both(name: str, code: Code) -> Column:
    return {f"{name} False": code, f"{name} None": code}


BATTERY: Column = {"battery at SAFE": Code.BAT_LOW, "battery unknown": Code.POWER_TELEM_MISSING}
BATTERY_NBL: Column = {
    **BATTERY, "battery below NBL": Code.BAT_LOW, "NBL charge of the battery unknown": Code.POWER_TELEM_MISSING,
}
CAP_HOLD: Column = {"cap below hold": Code.CAP_LOW, "cap unknown": Code.POWER_TELEM_MISSING}
CAP_NBL: Column = {
    **CAP_HOLD, "cap below NBL": Code.CAP_LOW, "NBL charge of the cap unknown": Code.POWER_TELEM_MISSING,
}
CAP_BOOST: Column = {**CAP_HOLD, "cap below NBL": Code.CAP_LOW, "cap below boost": Code.CAP_LOW}
BUS: Column = {"bus over its limit": Code.PDU_DENIED}
LINE: Column = {**BUS, **both("line_granted", Code.PDU_DENIED)}
HEAT: Column = {"node at its trip": Code.THERMAL_BLOCK}
HEAT_KNOWN: Column = {**HEAT, "store heat unknown": Code.THERMAL_TELEM_MISSING}
MASS: Column = {**both("com_valid", Code.COM_INVALID), **both("inertia_modelled", Code.INERTIA_UNMODELED)}
RCS: Column = {"propulsion not ready": Code.RCS_UNAVAILABLE, "no propellant": Code.WORKING_MASS_LOW}
MAPS: Column = {**both("thrust_map", Code.THRUST_MAP_MISSING), **both("torque_map", Code.TORQUE_MAP_MISSING)}
RATES: Column = {"no inertial unit": Code.SENSOR_MISSING}
ATTITUDE: Column = {**RATES, "attitude unknown": Code.ATTITUDE_UNKNOWN}
SIGHT: Column = {
    "surroundings stale": Code.SENSOR_STALE, "surroundings unknown": Code.SENSOR_STALE,
    "surroundings conflicting": Code.SENSOR_CONFLICTING,
}
BURN_JOINT: Column = {
    "joint locked unrated": Code.BAYONET_UNSAFE,
    "bridge over an unrated joint": Code.BRIDGE_ACTIVE_RESTRICTED_MOTION,
    "bridge over an unknown joint": Code.BRIDGE_ACTIVE_RESTRICTED_MOTION,
    "bridge unknown over an unrated joint": Code.BRIDGE_ACTIVE_RESTRICTED_MOTION,
}
JOINT: Column = both("joint_ready", Code.BAYONET_UNSAFE)
BRIDGE: Column = {
    **both("hard_lock", Code.BAYONET_UNSAFE), **both("structure", Code.BAYONET_UNSAFE),
    **both("electrical", Code.BRIDGE_ELECTRICAL_UNSAFE), **both("umbilical", Code.BAYONET_UNSAFE),
    **both("handshake", Code.MODULE_NOT_READY), **both("passport", Code.MODULE_PASSPORT_MISSING),
    **both("power", Code.PDU_DENIED), **both("heat", Code.BAYONET_THERMAL_BLOCK),
}
MODULE: Column = {
    **both("passport_valid", Code.MODULE_PASSPORT_MISSING), **both("module_ready", Code.MODULE_NOT_READY),
}
RADIO: Column = both("radio_ready", Code.COMMS_UNAVAILABLE)
QUIET: Column = {"emission silent": Code.EMCON_BLOCK, "emission unknown": Code.EMCON_BLOCK}
OPEN: Column = {**QUIET, "emission restricted": Code.EMCON_BLOCK}
BURN: Column = {**BATTERY, **BUS, **HEAT_KNOWN, **MASS, **RCS, **MAPS, **ATTITUDE, **BURN_JOINT}

ASKED: dict[CommandClass, Column] = {
    C.STATUS: {},
    C.SAFER: {},
    C.HOLD: {**HEAT, **RCS, **RATES},
    C.ZTT_BURN: {**BURN, **CAP_HOLD},
    C.FTG_BURN: {**BURN, **CAP_BOOST},
    C.OVERRIDE: {**BURN, **CAP_BOOST},
    C.BRAKE: {
        "clusters all hot": Code.RCS_CLUSTER_HOT, **RCS, **MAPS,
        "joint locked unrated": Code.BRIDGE_ACTIVE_RESTRICTED_MOTION,
    },
    C.EVADE: {
        "clusters all hot": Code.RCS_CLUSTER_HOT, **RCS, **MAPS, **ATTITUDE,
        "joint locked unrated": Code.BRIDGE_ACTIVE_RESTRICTED_MOTION,
    },
    C.SCAN: {**BATTERY, **CAP_HOLD, **LINE, **HEAT, **OPEN},
    C.NBL_PACKET: {**BATTERY_NBL, **CAP_NBL, **LINE, **HEAT, **RADIO, **OPEN},
    C.NBL_CRITICAL: {**BATTERY_NBL, **CAP_NBL, **LINE, **HEAT, **RADIO, **QUIET},
    C.TRANSMIT: {**BATTERY, **LINE, **HEAT, **RADIO, **OPEN},
    C.BEACON: {**BATTERY, **LINE, **HEAT, **RADIO, **QUIET},
    C.SWITCH: {},
    C.EXTERNAL_POWER: {**HEAT},
    C.DOCKING: {**LINE, **HEAT, **SIGHT, **JOINT},
    C.BRIDGE_ON: {**LINE, **HEAT, **BRIDGE},
    C.DETACH: {**CAP_HOLD, **LINE, **HEAT, **JOINT},
    C.ATTACH: {**LINE, **HEAT, **MASS, **JOINT, **MODULE},
    C.MODE_CHANGE: {},
    C.UPDATE: {},
}
"""What each class asks, and the code of each refusal; what is not listed is not asked."""


@pytest.mark.parametrize("command_class", CommandClass)
def test_nothing_speaks_against_a_class_when_all_is_good(command_class: CommandClass, facts: MakeFacts) -> None:
    assert gate(command_class, Motion.IDLE, facts(), GOOD) == ()


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("command_class", CommandClass)
def test_each_class_is_refused_by_what_it_asks_and_by_nothing_else(
    command_class: CommandClass, fault: str, facts: MakeFacts
) -> None:
    of_facts, of_known = FAULTS[fault]
    expected = ASKED[command_class].get(fault)
    codes = gate(command_class, Motion.IDLE, facts(**of_facts), dataclasses.replace(GOOD, **of_known))
    assert codes == (() if expected is None else (expected,))


ALL_WRONG = {
    "soc_battery": 0.0, "soc_supercap": 0.0, "hottest_share": 1.2, "propulsion_ready": False, "propellant_kg": 0.0,
    "imu_ok": False, "attitude_known": False, "joint_locked_unrated": True, "detached": False,
    "energy": EnergyFacts(overcurrent_unsolved=True, heat_unknown=True),
}
BURN_REFUSED = (
    Code.SAFE_LOCKED, Code.BAT_LOW, Code.CAP_LOW, Code.PDU_DENIED, Code.THERMAL_BLOCK, Code.THERMAL_TELEM_MISSING,
    Code.COM_INVALID, Code.INERTIA_UNMODELED, Code.RCS_UNAVAILABLE, Code.WORKING_MASS_LOW, Code.THRUST_MAP_MISSING,
    Code.TORQUE_MAP_MISSING, Code.SENSOR_MISSING, Code.ATTITUDE_UNKNOWN, Code.BAYONET_UNSAFE,
    Code.BRIDGE_ACTIVE_RESTRICTED_MOTION,
)
ALL_AT_ONCE: dict[CommandClass, tuple[Code, ...]] = {
    C.STATUS: (),
    C.SAFER: (),
    C.HOLD: (Code.SAFE_LOCKED, Code.THERMAL_BLOCK, Code.RCS_UNAVAILABLE, Code.WORKING_MASS_LOW, Code.SENSOR_MISSING),
    C.ZTT_BURN: BURN_REFUSED,
    C.FTG_BURN: BURN_REFUSED,
    C.OVERRIDE: BURN_REFUSED,
    C.BRAKE: (
        Code.WORKING_MASS_LOW, Code.RCS_UNAVAILABLE, Code.BRIDGE_ACTIVE_RESTRICTED_MOTION, Code.THRUST_MAP_MISSING,
        Code.TORQUE_MAP_MISSING,
    ),
    C.EVADE: (
        Code.WORKING_MASS_LOW, Code.RCS_UNAVAILABLE, Code.BRIDGE_ACTIVE_RESTRICTED_MOTION, Code.THRUST_MAP_MISSING,
        Code.TORQUE_MAP_MISSING, Code.SENSOR_MISSING, Code.ATTITUDE_UNKNOWN,
    ),
    C.SCAN: (
        Code.SAFE_LOCKED, Code.BAT_LOW, Code.CAP_LOW, Code.PDU_DENIED, Code.THERMAL_BLOCK, Code.EMCON_BLOCK,
    ),
    C.NBL_PACKET: (
        Code.SAFE_LOCKED, Code.POWER_TELEM_MISSING, Code.PDU_DENIED, Code.THERMAL_BLOCK, Code.COMMS_UNAVAILABLE,
        Code.EMCON_BLOCK,
    ),
    C.NBL_CRITICAL: (
        Code.SAFE_LOCKED, Code.POWER_TELEM_MISSING, Code.PDU_DENIED, Code.THERMAL_BLOCK, Code.COMMS_UNAVAILABLE,
        Code.EMCON_BLOCK,
    ),
    C.TRANSMIT: (
        Code.SAFE_LOCKED, Code.BAT_LOW, Code.PDU_DENIED, Code.THERMAL_BLOCK, Code.COMMS_UNAVAILABLE, Code.EMCON_BLOCK,
    ),
    C.BEACON: (
        Code.SAFE_LOCKED, Code.BAT_LOW, Code.PDU_DENIED, Code.THERMAL_BLOCK, Code.COMMS_UNAVAILABLE, Code.EMCON_BLOCK,
    ),
    C.SWITCH: (Code.SAFE_LOCKED,),
    C.EXTERNAL_POWER: (Code.SAFE_LOCKED, Code.THERMAL_BLOCK),
    C.DOCKING: (
        Code.SAFE_LOCKED, Code.PDU_DENIED, Code.THERMAL_BLOCK, Code.SENSOR_STALE, Code.BAYONET_UNSAFE,
    ),
    C.BRIDGE_ON: (
        Code.SAFE_LOCKED, Code.PDU_DENIED, Code.THERMAL_BLOCK, Code.BAYONET_UNSAFE, Code.BRIDGE_ELECTRICAL_UNSAFE,
        Code.MODULE_NOT_READY, Code.MODULE_PASSPORT_MISSING, Code.BAYONET_THERMAL_BLOCK,
    ),
    C.DETACH: (
        Code.SAFE_LOCKED, Code.CAP_LOW, Code.PDU_DENIED, Code.THERMAL_BLOCK, Code.BAYONET_UNSAFE,
    ),
    C.ATTACH: (
        Code.SAFE_LOCKED, Code.PDU_DENIED, Code.THERMAL_BLOCK, Code.COM_INVALID, Code.INERTIA_UNMODELED,
        Code.BAYONET_UNSAFE, Code.MODULE_PASSPORT_MISSING, Code.MODULE_NOT_READY,
    ),
    C.MODE_CHANGE: (),
    C.UPDATE: (Code.SAFE_LOCKED,),
}
"""In lockdown, with everything wrong and nothing known."""


@pytest.mark.parametrize("command_class", CommandClass)
def test_every_reason_is_listed_once_in_the_order_of_the_columns(
    command_class: CommandClass, facts: MakeFacts
) -> None:
    assert gate(command_class, Motion.SAFE, facts(**ALL_WRONG), lockdown=True) == ALL_AT_ONCE[command_class]


def test_charges_at_their_limits_are_enough_but_not_the_battery_at_safe(facts: MakeFacts) -> None:
    assert gate(C.ZTT_BURN, Motion.IDLE, facts(soc_supercap=0.30, soc_battery=0.1001), GOOD) == ()
    assert gate(C.FTG_BURN, Motion.IDLE, facts(soc_supercap=0.60), GOOD) == ()
    assert gate(C.NBL_PACKET, Motion.IDLE, facts(soc_supercap=0.45, soc_battery=0.40), GOOD) == ()
    assert gate(C.DETACH, Motion.IDLE, facts(soc_supercap=0.30), GOOD) == ()


def test_heat_blocks_at_the_trip_and_not_just_below_it_and_unknown_heat_of_nodes_does_not(facts: MakeFacts) -> None:
    assert gate(C.HOLD, Motion.IDLE, facts(hottest_share=0.999), GOOD) == ()
    assert gate(C.HOLD, Motion.IDLE, facts(hottest_share=None), GOOD) == ()


@pytest.mark.parametrize(("clusters", "codes"), [(None, ()), (1, ()), (0, (Code.RCS_CLUSTER_HOT,))])
def test_a_brake_needs_one_cool_cluster_and_unknown_heat_does_not_stop_it(
    clusters: int | None, codes: tuple[Code, ...], facts: MakeFacts
) -> None:
    hot = facts(hottest_share=1.5, soc_battery=None, soc_supercap=0.0, imu_ok=False, attitude_known=False)
    assert gate(C.BRAKE, Motion.SAFE, hot, dataclasses.replace(GOOD, cool_clusters=clusters), True) == codes


@pytest.mark.parametrize(("peak", "codes"), [(True, (Code.CAP_LOW,)), (None, (Code.CAP_LOW,)), (False, ())])
def test_letting_go_asks_for_charge_unless_it_is_known_to_take_no_peak(
    peak: bool | None, codes: tuple[Code, ...], facts: MakeFacts
) -> None:
    known = dataclasses.replace(GOOD, detach_draws_peak=peak)
    assert gate(C.DETACH, Motion.IDLE, facts(soc_supercap=0.1), known) == codes


@pytest.mark.parametrize(("of_facts", "of_known"), [
    ({"detached": True}, {"joint_rated": False, "bridge_active": True}),
    ({"detached": False}, {"joint_rated": True, "bridge_active": True}),
    ({"detached": False}, {"joint_rated": False, "bridge_active": False}),
])
def test_a_bridge_bars_a_burn_only_over_a_joint_that_is_not_rated(
    of_facts: dict[str, Any], of_known: dict[str, Any], facts: MakeFacts
) -> None:
    assert gate(C.ZTT_BURN, Motion.DOCK, facts(**of_facts), dataclasses.replace(GOOD, **of_known)) == ()


@pytest.mark.parametrize("emission", [None, Emission.SILENT])
def test_an_operators_release_lets_a_critical_packet_out_of_a_silence_and_nothing_else(
    emission: Emission | None, facts: MakeFacts
) -> None:
    silent = dataclasses.replace(GOOD, emission=emission)
    for released in (None, False):
        known = dataclasses.replace(silent, packet_released=released)
        assert gate(C.NBL_CRITICAL, Motion.IDLE, facts(), known) == (Code.EMCON_BLOCK,)
    released = dataclasses.replace(silent, packet_released=True)
    assert gate(C.NBL_CRITICAL, Motion.IDLE, facts(), released) == ()
    for command_class in (C.NBL_PACKET, C.TRANSMIT, C.BEACON, C.SCAN):
        assert Code.EMCON_BLOCK in gate(command_class, Motion.IDLE, facts(), released)


def test_a_burn_takes_what_propellant_is_left(facts: MakeFacts) -> None:
    assert gate(C.HOLD, Motion.IDLE, facts(propellant_kg=1e-3), GOOD) == ()
    assert gate(C.HOLD, Motion.IDLE, facts(propellant_kg=-1e-3), GOOD) == (Code.WORKING_MASS_LOW,)


# -- modes


IN_LOCKDOWN = {C.STATUS, C.SAFER, C.BRAKE, C.EVADE, C.MODE_CHANGE}
IN_SAFE = IN_LOCKDOWN | {C.NBL_CRITICAL, C.BEACON, C.EXTERNAL_POWER, C.DETACH}


@pytest.mark.parametrize("command_class", CommandClass)
def test_safe_lets_its_own_classes_through_and_lockdown_fewer(
    command_class: CommandClass, facts: MakeFacts
) -> None:
    locked = (Code.SAFE_LOCKED,)
    assert gate(command_class, Motion.SAFE, facts(), GOOD) == (() if command_class in IN_SAFE else locked)
    assert gate(command_class, Motion.SAFE, facts(), GOOD, True) == (() if command_class in IN_LOCKDOWN else locked)
    assert gate(command_class, Motion.IDLE, facts(), GOOD, True) == ()
    assert (command_class in SAFE_ALLOWED) is (command_class in IN_SAFE)


@pytest.mark.parametrize("command_class", CommandClass)
def test_boot_takes_only_status(command_class: CommandClass, facts: MakeFacts) -> None:
    expected = () if command_class in (C.STATUS, C.SAFER) else (Code.SELF_TEST_PENDING,)
    assert gate(command_class, Motion.BOOT, facts(), GOOD) == expected


@pytest.mark.parametrize("motion", [m for m in Motion if m not in (Motion.BOOT, Motion.SAFE)])
def test_no_other_mode_refuses_by_itself(motion: Motion, facts: MakeFacts) -> None:
    assert [gate(command_class, motion, facts(), GOOD) for command_class in C] == [()] * len(C)


# -- how it was given


NEEDS_CONFIRMATION = {
    C.FTG_BURN, C.NBL_PACKET, C.NBL_CRITICAL, C.EXTERNAL_POWER, C.DOCKING, C.BRIDGE_ON, C.DETACH, C.ATTACH,
    C.MODE_CHANGE, C.UPDATE,
}
NEEDS_ARMING = {C.DOCKING, C.BRIDGE_ON, C.UPDATE}
NEEDS_A_PAUSE = {C.NBL_PACKET, C.NBL_CRITICAL}
CRITICAL = {C.FTG_BURN, C.OVERRIDE, C.BRIDGE_ON, C.UPDATE}
GIVEN = Standing(confirmed=True, armed=True, since_last_ns=120 * SECOND)


@pytest.mark.parametrize("command_class", CommandClass)
def test_how_a_command_was_given_is_judged_by_its_class(command_class: CommandClass, facts: MakeFacts) -> None:
    def against(motion: Motion = Motion.IDLE, failed: bool | None = False, **changes: Any) -> tuple[Code, ...]:
        world = facts(computer=ComputerFacts(recorder_failed=failed))
        return formalities(command_class, motion, world, dataclasses.replace(GIVEN, **changes))

    def if_in(classes: set[CommandClass], code: Code) -> tuple[Code, ...]:
        return (code,) if command_class in classes else ()

    assert against() == ()
    assert against(confirmed=False) == if_in(NEEDS_CONFIRMATION, Code.CMD_CONFIRMATION_REQUIRED)
    in_safe = NEEDS_CONFIRMATION - {C.NBL_CRITICAL}
    assert against(Motion.SAFE, confirmed=False) == if_in(in_safe, Code.CMD_CONFIRMATION_REQUIRED)
    assert against(armed=False) == if_in(NEEDS_ARMING, Code.CMD_NOT_ARMED)
    assert against(failed=True) == if_in(CRITICAL, Code.AUDIT_UNAVAILABLE)
    assert against(failed=None) == ()
    assert against(since_last_ns=120 * SECOND - 1) == if_in(NEEDS_A_PAUSE, Code.COOLDOWN_ACTIVE)
    assert against(since_last_ns=0) == if_in(NEEDS_A_PAUSE, Code.COOLDOWN_ACTIVE)
    assert against(since_last_ns=0, emergency=True) == ()
    assert against(since_last_ns=None) == ()
    assert (command_class in CONFIRMED) is (command_class in NEEDS_CONFIRMATION)


def test_all_that_is_wrong_with_how_it_was_given_is_listed_in_order(facts: MakeFacts) -> None:
    world = facts(computer=ComputerFacts(recorder_failed=True))
    assert formalities(C.UPDATE, Motion.IDLE, world, Standing()) == (
        Code.CMD_CONFIRMATION_REQUIRED, Code.CMD_NOT_ARMED, Code.AUDIT_UNAVAILABLE,
    )
    assert formalities(C.NBL_PACKET, Motion.IDLE, world, Standing(since_last_ns=1)) == (
        Code.CMD_CONFIRMATION_REQUIRED, Code.COOLDOWN_ACTIVE,
    )


def test_what_is_at_stake_is_stated_and_what_is_high_is_confirmed() -> None:
    low = {C.STATUS, C.SAFER, C.HOLD, C.BRAKE, C.EVADE, C.SWITCH}
    medium = {C.ZTT_BURN, C.SCAN, C.TRANSMIT, C.BEACON}
    for name, row in CLASSES.items():
        stake = Risk.LOW if name in low else Risk.MEDIUM if name in medium else Risk.HIGH
        assert row.risk is (Risk.CRITICAL if name in CRITICAL else stake)
    confirmed_otherwise = {C.OVERRIDE}
    assert {n for n, row in CLASSES.items() if row.risk in (Risk.HIGH, Risk.CRITICAL)} == (
        NEEDS_CONFIRMATION | confirmed_otherwise
    )


# -- the table as it is printed


def test_every_class_has_a_row_and_its_checks_say_what_they_ask() -> None:
    assert tuple(CLASSES) == tuple(CommandClass)
    assert {name: row.checks for name, row in CLASSES.items()} == CLASS_CHECKS
    for checks in CLASS_CHECKS.values():
        assert all(check.__doc__ for check in checks)
    assert ClassRow().checks == ()
