"""SAFE as records: what is told of the craft's planes, and what a restart does not forget."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fdir.codes import Code
from fdir.exit_conditions import EXIT_CONDITIONS
from fdir.facts import EnergyFacts, Facts
from fdir.modes import Emission
from fdir.safe import LATCHED, SafeKeeper, SafeState
from fdir.safe_record import (
    MOST_REASONS,
    UNREADABLE,
    KeptSafe,
    PlaneState,
    SafeRecord,
    decode_safe,
    encode_safe,
    kept_safe,
    safe_record,
)
from hal.nonvolatile import FILE_CAPACITY

Make = Callable[..., Facts]


def keeper_for(*codes: Code) -> SafeKeeper:
    keeper = SafeKeeper()
    for code in codes:
        keeper.enter(code)
    return keeper


def record(facts: Facts, *codes: Code) -> SafeRecord:
    return safe_record(keeper_for(*codes), facts, ("burn",), ("brake",))


# -- the record for telemetry


def test_outside_safe_there_is_no_reason_and_nothing_for_the_black_box(facts: Make) -> None:
    made = record(facts(t_ns=7))
    assert made == SafeRecord(
        t_ns=7, state=SafeState.INACTIVE, reason=None, codes=(), blocked=("burn",), allowed=("brake",),
        exit_conditions=made.exit_conditions, passes=0, acknowledged=False, power=PlaneState.NOMINAL,
        thermal=PlaneState.NOMINAL, sensors=PlaneState.NOMINAL, bayonet=PlaneState.NOMINAL, damage=PlaneState.UNKNOWN,
        blackbox=False,
    )
    assert [check.name for check in made.exit_conditions] == list(EXIT_CONDITIONS)


def test_in_safe_all_reasons_are_told_and_what_speaks_against_leaving(facts: Make) -> None:
    keeper = keeper_for(Code.SAFE_CAP_LOW, Code.CPU_OVERRUN)
    keeper.acknowledge()
    keeper.check(facts())
    made = safe_record(keeper, facts(), iter(("a", "b")), iter(()))
    assert (made.state, made.reason) == (SafeState.MONITORING, Code.SAFE_CAP_LOW)
    assert made.codes == (Code.SAFE_CAP_LOW, Code.CPU_OVERRUN, Code.SAFE_EXIT_CONDITIONS)
    assert (made.blocked, made.allowed) == (("a", "b"), ())
    assert (made.passes, made.acknowledged, made.blackbox) == (1, True, True)


@pytest.mark.parametrize(
    ("change", "state"),
    [
        ({}, PlaneState.NOMINAL),
        ({"soc_battery": 0.1501, "soc_supercap": 0.3001}, PlaneState.NOMINAL),
        ({"soc_battery": 0.15}, PlaneState.LOW),
        ({"soc_supercap": 0.30}, PlaneState.LOW),
        ({"soc_battery": 0.1001}, PlaneState.LOW),
        ({"soc_battery": 0.10}, PlaneState.CRITICAL),
        ({"soc_supercap": 0.10}, PlaneState.CRITICAL),
        ({"soc_battery": None}, PlaneState.UNKNOWN),
        ({"soc_supercap": None, "soc_battery": 0.05}, PlaneState.UNKNOWN),
    ],
)
def test_power(change: dict[str, object], state: PlaneState, facts: Make) -> None:
    assert record(facts(**change)).power is state


def test_power_is_low_up_to_the_charge_that_is_set(facts: Make) -> None:
    limits = dataclasses.replace(facts().limits, leave_soc=0.5)
    assert record(facts(limits=limits, soc_battery=0.5)).power is PlaneState.LOW
    assert record(facts(limits=limits, soc_battery=0.51)).power is PlaneState.NOMINAL


@pytest.mark.parametrize(
    ("change", "state"),
    [
        ({"hottest_share": -0.001}, PlaneState.NOMINAL),
        ({"hottest_share": 0.0}, PlaneState.HOT),
        ({"hottest_share": 0.999}, PlaneState.HOT),
        ({"hottest_share": 1.0}, PlaneState.CRITICAL),
        ({"hottest_share": None}, PlaneState.UNKNOWN),
        ({"hottest_share": None, "energy": EnergyFacts(computer_too_hot=True)}, PlaneState.CRITICAL),
        ({"energy": EnergyFacts(computer_too_hot=True)}, PlaneState.CRITICAL),
    ],
)
def test_heat(change: dict[str, object], state: PlaneState, facts: Make) -> None:
    assert record(facts(**change)).thermal is state


@pytest.mark.parametrize(
    ("change", "codes", "state"),
    [
        ({}, (), PlaneState.NOMINAL),
        ({"imu_ok": False}, (), PlaneState.MISSING),
        ({"rate_disagreement_rad_s": 0.00873}, (), PlaneState.CONFLICTING),
        ({"rate_disagreement_rad_s": 0.008729}, (Code.SENSOR_CONFLICTING,), PlaneState.NOMINAL),
        ({"rate_disagreement_rad_s": None}, (), PlaneState.UNKNOWN),
        ({"rate_disagreement_rad_s": None}, (Code.SAFE_CAP_LOW,), PlaneState.UNKNOWN),
        ({"rate_disagreement_rad_s": None}, (Code.SAFE_CAP_LOW, Code.SENSOR_CONFLICTING), PlaneState.CONFLICTING),
    ],
)
def test_sensors(change: dict[str, object], codes: tuple[Code, ...], state: PlaneState, facts: Make) -> None:
    assert record(facts(**change), *codes).sensors is state


@pytest.mark.parametrize(
    ("change", "codes", "state"),
    [
        ({}, (), PlaneState.NOMINAL),
        ({"detached": False, "bridge_allowed": True}, (), PlaneState.NOMINAL),
        ({"detached": False}, (), PlaneState.UNKNOWN),
        ({"joint_locked_unrated": True}, (), PlaneState.UNSAFE),
        ({}, (Code.SAFE_BAYONET_UNSAFE,), PlaneState.UNSAFE),
        ({}, (Code.BRIDGE_ELECTRICAL_UNSAFE,), PlaneState.UNSAFE),
    ],
)
def test_bayonet(change: dict[str, object], codes: tuple[Code, ...], state: PlaneState, facts: Make) -> None:
    assert record(facts(**change), *codes).bayonet is state


def test_damage_is_never_taken_for_none(facts: Make) -> None:
    assert record(facts(), Code.SAFE_CAP_LOW).damage is PlaneState.UNKNOWN
    assert record(facts(), Code.SAFE_DAMAGE_CRITICAL).damage is PlaneState.CRITICAL


# -- what outlives a restart

KEPT = st.builds(
    lambda codes, latched, emission, off, closed: KeptSafe(
        tuple(codes), latched and bool(codes), emission, off, closed
    ),
    st.lists(st.sampled_from(list(Code)), unique=True, max_size=MOST_REASONS), st.booleans(),
    st.sampled_from(list(Emission)), st.booleans(), st.booleans(),
)


def test_out_of_safe_nothing_is_kept_but_that() -> None:
    assert kept_safe(SafeKeeper()) == KeptSafe()
    assert decode_safe(encode_safe(KeptSafe())) == KeptSafe((), False)


def test_reasons_are_kept_in_their_order_and_acknowledgement_and_passes_are_not(facts: Make) -> None:
    keeper = keeper_for(Code.SAFE_CAP_LOW, Code.SAFE_ORDERED)
    keeper.check(facts())
    keeper.acknowledge()
    assert kept_safe(keeper) == KeptSafe((Code.SAFE_CAP_LOW, Code.SAFE_ORDERED), False)
    after = SafeKeeper()
    kept = decode_safe(encode_safe(kept_safe(keeper)))
    after.restore(kept.reasons, kept.latched)
    assert (after.reasons, after.acknowledged, after.passes) == (keeper.reasons, False, 0)


@pytest.mark.parametrize("code", sorted(LATCHED))
def test_a_latched_reason_is_latched_after_any_number_of_restarts(code: Code) -> None:
    keeper = keeper_for(code)
    for _ in range(3):
        kept = decode_safe(encode_safe(kept_safe(keeper)))
        assert kept == KeptSafe((code,), True)
        keeper = SafeKeeper()
        keeper.restore(kept.reasons, kept.latched)
        assert keeper.latched


def test_with_more_reasons_than_are_kept_a_person_has_to_look() -> None:
    codes = [code for code in Code if code not in LATCHED]
    assert kept_safe(keeper_for(*codes[:MOST_REASONS])) == KeptSafe(tuple(codes[:MOST_REASONS]), False)
    assert kept_safe(keeper_for(*codes[:MOST_REASONS + 1])) == KeptSafe(tuple(codes[:MOST_REASONS]), True)
    assert MOST_REASONS == 12


def test_the_longest_record_fits_the_smallest_memory() -> None:
    longest = sorted(Code, key=len)[-MOST_REASONS:]
    assert len(encode_safe(KeptSafe(tuple(longest), True))) <= FILE_CAPACITY


def test_the_bytes() -> None:
    body = b"\x02\x01SAFE_ORDERED\nBOOT_LOOP"
    made = encode_safe(KeptSafe((Code.SAFE_ORDERED, Code.BOOT_LOOP), True))
    assert made == body + crc32(body).to_bytes(4, "big")
    assert encode_safe(KeptSafe())[:2] == b"\x02\x00"
    assert encode_safe(KeptSafe(emission=Emission.SILENT, disarmed=True))[:2] == b"\x02\x0a"
    assert encode_safe(KeptSafe((Code.SAFE_ORDERED,), True, Emission.RESTRICTED))[:2] == b"\x02\x05"
    assert encode_safe(KeptSafe(closed=True))[:2] == b"\x02\x10"


@given(KEPT)
def test_what_was_written_is_read(kept: KeptSafe) -> None:
    assert decode_safe(encode_safe(kept)) == kept


@given(KEPT, st.data())
def test_one_wrong_bit_anywhere_means_safe(kept: KeptSafe, data: st.DataObject) -> None:
    payload = bytearray(encode_safe(kept))
    place = data.draw(st.integers(0, 8 * len(payload) - 1))
    payload[place // 8] ^= 1 << place % 8
    assert decode_safe(bytes(payload)) is UNREADABLE


@given(st.binary(max_size=64))
def test_any_bytes_are_read_without_an_error(payload: bytes) -> None:
    decode_safe(payload)


def sealed(body: bytes) -> bytes:
    return body + crc32(body).to_bytes(4, "big")


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\x01",
        encode_safe(KeptSafe())[:-1],
        encode_safe(KeptSafe()) + b"\x00",
        sealed(b""),
        sealed(b"\x01"),
        sealed(b"\x01\x00"),
        sealed(b"\x02\x0c"),
        sealed(b"\x02\x20SAFE_ORDERED"),
        sealed(b"\x02\x01"),
        sealed(b"\x02\x00SAFE_UNHEARD_OF"),
        sealed(b"\x02\x00SAFE_ORDERED\n"),
        sealed(b"\x02\x00SAFE_\xc3\x96"),
    ],
    ids=[
        "nothing", "one byte", "cut short", "too long", "no head", "no latch", "another version",
        "no such emission", "no latch either",
        "latched for nothing", "unknown reason", "an empty line", "no ASCII",
    ],
)
def test_what_cannot_be_read_means_safe_until_a_person_has_looked(payload: bytes) -> None:
    assert decode_safe(payload) is UNREADABLE
    assert UNREADABLE.latched
    assert UNREADABLE.reasons == (Code.SAFE_RECORD_INVALID,)
    assert (UNREADABLE.emission, UNREADABLE.disarmed) == (Emission.RESTRICTED, False)


def test_a_latch_without_a_reason_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^latched: needs a reason$"):
        KeptSafe((), True)


@pytest.mark.parametrize("emission", Emission)
@pytest.mark.parametrize("disarmed", [False, True])
@pytest.mark.parametrize("closed", [False, True])
def test_emission_arming_and_what_a_loss_closed_are_kept_each_by_itself(
    emission: Emission, disarmed: bool, closed: bool
) -> None:
    kept = kept_safe(keeper_for(Code.SAFE_CAP_LOW), emission, disarmed, closed)
    assert kept == KeptSafe((Code.SAFE_CAP_LOW,), False, emission, disarmed=disarmed, closed=closed)
    assert decode_safe(encode_safe(kept)) == kept
