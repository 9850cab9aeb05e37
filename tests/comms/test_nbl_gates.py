"""Gates of the emergency transmitter: each alone, all at once in one order, edges inclusive, the unknown against."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from comms.emcon import EmconLevel
from comms.nbl.gates import (
    HOUR_NS,
    LIMITS,
    NEVER_NS,
    ORDER,
    PAUSE_NS,
    NblAsk,
    NblFacts,
    NblLimits,
    judge,
    standing,
    under_way_blocks,
)
from comms.nbl.packet import (
    MEAN_W,
    Criticality,
    NblProfile,
    NblState,
    PayloadClass,
    air_time_ns,
    criticality_of,
    energy_j,
    expected_latency_s,
    payload_class_of,
)
from fdir.codes import Code
from firmware_py.energy.levels import nbl_blocks
from hal.profile import load_profile

NAN = float("nan")
GOOD = NblFacts(
    soc_supercap=0.7, soc_battery=0.8, core_c=25.0, core_tripped=False, pdu_tripped=False, load_allowed=True,
    firing=False, emcon=EmconLevel.OPEN, sealing=True, released=False, since_last_ns=NEVER_NS, in_last_hour=0,
)
CRITICAL = NblAsk(Criticality.CRITICAL, PayloadClass.DISTRESS, 1024)
EMERGENCY = replace(CRITICAL, criticality=Criticality.EMERGENCY)


def test_a_good_craft_may_send() -> None:
    assert judge(CRITICAL, GOOD) == judge(EMERGENCY, GOOD) == ()


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"soc_supercap": 0.4499}, Code.NBL_CAP_LOW), ({"soc_battery": 0.3499}, Code.NBL_BAT_LOW),
        ({"soc_supercap": None}, Code.POWER_TELEM_MISSING), ({"soc_battery": NAN}, Code.POWER_TELEM_MISSING),
        ({"soc_supercap": 1.01}, Code.POWER_TELEM_MISSING), ({"core_c": 90.01}, Code.NBL_THERMAL_BLOCK),
        ({"core_tripped": True}, Code.NBL_THERMAL_BLOCK), ({"pdu_tripped": True}, Code.NBL_THERMAL_BLOCK),
        ({"core_c": None}, Code.THERMAL_TELEM_MISSING), ({"core_c": NAN}, Code.THERMAL_TELEM_MISSING),
        ({"core_c": 161.0}, Code.THERMAL_TELEM_MISSING), ({"core_tripped": None}, Code.THERMAL_TELEM_MISSING),
        ({"pdu_tripped": None}, Code.THERMAL_TELEM_MISSING), ({"load_allowed": False}, Code.NBL_PDU_DENIED),
        ({"load_allowed": None}, Code.NBL_PDU_DENIED), ({"firing": True}, Code.NBL_RCS_FIRING),
        ({"firing": None}, Code.NBL_RCS_FIRING), ({"emcon": None}, Code.EMCON_BLOCK),
        ({"emcon": EmconLevel.RECEIVE}, Code.EMCON_BLOCK), ({"emcon": EmconLevel.SILENT}, Code.EMCON_BLOCK),
        ({"since_last_ns": PAUSE_NS - 1}, Code.NBL_RATE_LIMIT), ({"since_last_ns": None}, Code.NBL_RATE_LIMIT),
        ({"in_last_hour": 6}, Code.NBL_RATE_LIMIT), ({"in_last_hour": None}, Code.NBL_RATE_LIMIT),
    ],
)
def test_each_gate_alone_blocks_with_its_code(changed: dict[str, Any], code: Code) -> None:
    assert judge(CRITICAL, replace(GOOD, **changed)) == (code,)


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"criticality": Criticality.NON_CRITICAL}, Code.NBL_NOT_CRITICAL),
        ({"criticality": None}, Code.NBL_NOT_CRITICAL),
        ({"payload_class": None}, Code.NBL_RULES_ONLY), ({"size_bits": 0}, Code.NBL_RULES_ONLY),
        ({"size_bits": 1025}, Code.NBL_PAYLOAD_TOO_LARGE), ({"size_bits": None}, Code.NBL_PAYLOAD_TOO_LARGE),
        ({"profile": NblProfile.STREAM}, Code.NBL_NOT_IMPLEMENTED),
    ],
)
def test_each_rule_alone_blocks_with_its_code(changed: dict[str, Any], code: Code) -> None:
    assert judge(replace(CRITICAL, **changed), GOOD) == (code,)


@pytest.mark.parametrize(
    "changed",
    [{"soc_supercap": 0.45}, {"soc_battery": 0.35}, {"core_c": 90.0}, {"since_last_ns": PAUSE_NS}, {"in_last_hour": 5}],
)
def test_edges_are_inclusive(changed: dict[str, Any]) -> None:
    assert judge(CRITICAL, replace(GOOD, **changed)) == ()


def test_everything_that_is_unknown_is_listed_at_once_in_one_order() -> None:
    ask = NblAsk(None, None, None, NblProfile.STREAM)
    bad = NblFacts(soc_supercap=0.1, soc_battery=None, core_c=None, core_tripped=True)
    codes = judge(ask, bad, NblLimits(enabled=False))
    assert codes == tuple(code for code in ORDER if code is not Code.NBL_BAT_LOW)
    assert judge(ask, replace(bad, soc_battery=0.1), NblLimits(enabled=False))[5:7] == (
        Code.NBL_CAP_LOW, Code.NBL_BAT_LOW)


@pytest.mark.parametrize("level", [EmconLevel.RECEIVE, EmconLevel.SILENT])
def test_in_silence_only_a_sealed_critical_packet_after_release(level: EmconLevel) -> None:
    silent = replace(GOOD, emcon=level, released=True)
    assert judge(CRITICAL, silent) == ()
    assert judge(EMERGENCY, silent) == (Code.EMCON_BLOCK,)
    assert judge(CRITICAL, replace(silent, sealing=False)) == (Code.EMCON_BLOCK,)
    assert judge(CRITICAL, replace(silent, released=False)) == (Code.EMCON_BLOCK,)


def test_restricted_emission_lets_emergencies_through() -> None:
    assert judge(EMERGENCY, replace(GOOD, emcon=EmconLevel.RESTRICTED)) == ()


def test_limits_can_only_be_stricter() -> None:
    strict = NblLimits(critical_only=True, most_an_hour=2, least_cap_soc=0.6, least_battery_soc=0.5)
    assert judge(CRITICAL, GOOD, strict) == ()
    assert judge(EMERGENCY, GOOD, strict) == (Code.NBL_NOT_CRITICAL,)
    low = replace(GOOD, in_last_hour=2, soc_supercap=0.59, soc_battery=0.49)
    assert judge(CRITICAL, low, strict) == (Code.NBL_CAP_LOW, Code.NBL_BAT_LOW, Code.NBL_RATE_LIMIT)
    for wrong in ({"most_an_hour": 7}, {"most_an_hour": -1}, {"least_cap_soc": 0.44}, {"least_battery_soc": 0.3},
                  {"least_cap_soc": NAN}):
        with pytest.raises(ValueError, match="is allowed"):
            NblLimits(**wrong)


def test_the_channel_says_whom_it_lets_through() -> None:
    assert standing(GOOD) is NblState.EMERGENCY_ONLY
    assert standing(replace(GOOD, emcon=EmconLevel.RECEIVE)) is NblState.CRITICAL_ONLY
    assert standing(replace(GOOD, emcon=None)) is NblState.CRITICAL_ONLY
    assert standing(GOOD, NblLimits(critical_only=True)) is NblState.CRITICAL_ONLY


@pytest.mark.parametrize(
    ("changed", "codes"),
    [
        ({"soc_supercap": 0.30, "soc_battery": 0.0, "since_last_ns": 0, "in_last_hour": 6}, ()),
        ({"soc_supercap": 0.2999}, (Code.NBL_CAP_LOW,)), ({"soc_supercap": None}, (Code.POWER_TELEM_MISSING,)),
        ({"core_tripped": True}, (Code.NBL_THERMAL_BLOCK,)), ({"firing": True}, (Code.NBL_RCS_FIRING,)),
        ({"load_allowed": False}, (Code.NBL_PDU_DENIED,)),
    ],
)
def test_what_is_on_the_air_goes_on_without_the_charges_to_start(
    changed: dict[str, Any], codes: tuple[Code, ...]
) -> None:
    assert under_way_blocks(replace(GOOD, **changed), LIMITS) == codes


def test_being_switched_off_ends_what_is_on_the_air() -> None:
    assert under_way_blocks(GOOD, NblLimits(enabled=False)) == (Code.COMMS_UNAVAILABLE,)


def test_charge_and_heat_agree_with_the_energy_side() -> None:
    """Two implementations of the same marks must not drift apart."""
    power = load_profile("qiki-g", "qiki-rpi").body.power
    names = {Code.CAP_LOW: Code.NBL_CAP_LOW, Code.BAT_LOW: Code.NBL_BAT_LOW, Code.THERMAL_BLOCK: Code.NBL_THERMAL_BLOCK}
    for cap in (None, NAN, -0.1, 0.0, 0.4499, 0.45, 1.0, 1.1):
        for battery in (None, 0.3499, 0.35, 1.0):
            for core in (None, -121.0, 25.0, 90.0, 90.1, 161.0):
                ours = judge(CRITICAL, replace(GOOD, soc_supercap=cap, soc_battery=battery, core_c=core))
                theirs = nbl_blocks(power, soc_battery=battery, soc_supercap=cap, core_c=core, core_tripped=False,
                                    pdu_tripped=False)
                assert ours == tuple(names.get(code, code) for code in theirs)


def test_words_and_their_older_names() -> None:
    assert criticality_of("distress") is Criticality.EMERGENCY
    assert criticality_of("critical") is Criticality.CRITICAL
    assert criticality_of("urgent") is None
    assert payload_class_of("distress_packet") is PayloadClass.DISTRESS
    assert payload_class_of("last_state_packet") is PayloadClass.MINIMAL_STATE
    assert payload_class_of("emergency_beacon") is PayloadClass.BEACON
    assert payload_class_of("command ack") is PayloadClass.COMMAND_ACK
    assert payload_class_of("video") is None


def test_what_a_packet_costs() -> None:
    assert air_time_ns(128) == 16_000_000_000
    assert energy_j(128) == 2400.0
    assert energy_j(1) == 18.75
    assert energy_j(128) * 10**9 / PAUSE_NS == MEAN_W == 20.0
    assert HOUR_NS == 3600 * 10**9
    assert NblProfile.STREAM.exotic
    assert not NblProfile.PACKET.exotic


def test_latency_is_never_below_that_of_light() -> None:
    assert expected_latency_s(299_792_458.0) == 1.0
    assert expected_latency_s(None) is None
    assert expected_latency_s(-1.0) is None
    assert expected_latency_s(NAN) is None
