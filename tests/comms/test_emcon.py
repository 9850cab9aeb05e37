"""Emission control: what each level lets out, how levels add up, one release, and what a restart leaves."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from comms.emcon import TRAFFIC, EmconGate, EmconLevel, Traffic, Transmitter, TransponderMode
from fdir.codes import Code
from fdir.modes import Emission
from hil.disk import PowerCut, SimDisk

S = 1_000_000_000
L = EmconLevel
AIR = (Transmitter.RADIO, Transmitter.OPTICAL, Transmitter.TRANSPONDER, Transmitter.NBL)


def gate_at(level: EmconLevel, disk: SimDisk | None = None) -> EmconGate:
    gate = EmconGate(disk)
    gate.follow(Emission.OPEN, 0)
    gate.set_level(level, 0)
    return gate


def disk() -> SimDisk:
    return SimDisk(np.random.default_rng(5))


@pytest.mark.parametrize("transmitter", AIR)
def test_each_level_lets_out_what_the_table_says(transmitter: Transmitter) -> None:
    passes = {
        level: {traffic for traffic in Traffic if gate_at(level).may(transmitter, traffic, 0) is None} for level in L
    }
    assert passes[L.OPEN] == set(Traffic)
    assert passes[L.RESTRICTED] == set(Traffic) - {Traffic.SCIENCE, Traffic.BULK}
    assert passes[L.RECEIVE] == passes[L.SILENT] == set()


def test_a_wire_radiates_nothing_and_a_neighbour_gets_nothing_in_full_silence() -> None:
    for level, traffic in product(L, Traffic):
        gate = gate_at(level)
        assert gate.may(Transmitter.CABLE, traffic, 0) is None
        assert (gate.may(Transmitter.BRIDGE, traffic, 0) is None) == (level < L.SILENT)


def test_every_class_of_service_is_some_traffic() -> None:
    assert len(set(TRAFFIC.values())) == 4


@pytest.mark.parametrize(
    ("emission", "ordered", "level"),
    [
        (Emission.OPEN, L.OPEN, L.OPEN), (Emission.RESTRICTED, L.OPEN, L.RESTRICTED),
        (Emission.SILENT, L.OPEN, L.SILENT), (Emission.OPEN, L.RECEIVE, L.RECEIVE),
        (Emission.SILENT, L.RESTRICTED, L.SILENT), (Emission.RESTRICTED, L.SILENT, L.SILENT),
    ],
)
def test_an_order_can_only_make_the_region_stricter(emission: Emission, ordered: L, level: L) -> None:
    gate = EmconGate()
    gate.follow(emission, 0)
    assert gate.set_level(ordered, 0) is level
    assert gate.level is level


def test_a_craft_that_knows_nothing_is_silent_until_its_region_is_known() -> None:
    gate = EmconGate(disk())
    assert gate.level is L.SILENT
    assert gate.follow(None, 1) is L.SILENT
    assert gate.follow(Emission.OPEN, 2) is L.OPEN
    assert gate.follow(None, 3) is L.OPEN


def test_changes_are_told_with_their_direction() -> None:
    gate = EmconGate()
    gate.follow(Emission.OPEN, 1)
    gate.follow(Emission.RESTRICTED, 2)
    gate.set_level(L.RESTRICTED, 3)
    gate.set_level(L.SILENT, 4)
    gate.set_level(L.OPEN, 5)
    assert [(e.t_ns, e.code, e.before, e.level) for e in gate.take_events()] == [
        (1, Code.EMCON_EXIT, L.SILENT, L.OPEN), (2, Code.EMCON_ENTER, L.OPEN, L.RESTRICTED),
        (4, Code.EMCON_ENTER, L.RESTRICTED, L.SILENT), (5, Code.EMCON_EXIT, L.SILENT, L.RESTRICTED),
    ]
    assert gate.take_events() == ()


def test_events_that_nobody_fetches_are_counted() -> None:
    gate = EmconGate()
    for number in range(40):
        gate.follow(Emission.OPEN if number % 2 else Emission.SILENT, number)
    assert len(gate.take_events()) == 16
    assert gate.dropped_events == 39 - 16


@pytest.mark.parametrize("level", [L.RECEIVE, L.SILENT])
def test_a_release_lets_one_critical_packet_out_and_only_through_the_emergency_transmitter(level: L) -> None:
    gate = gate_at(level)
    gate.release(0)
    for transmitter, traffic in product(AIR, Traffic):
        allowed = (transmitter, traffic) == (Transmitter.NBL, Traffic.NBL_CRITICAL)
        assert (gate.may(transmitter, traffic, S) is None) == allowed
    assert gate.admit(Transmitter.RADIO, Traffic.CONTROL, 10, S) is Code.EMCON_BLOCK
    assert gate.admit(Transmitter.NBL, Traffic.NBL_CRITICAL, 47, S) is None
    assert gate.admit(Transmitter.NBL, Traffic.NBL_CRITICAL, 47, S) is Code.EMCON_BLOCK
    assert gate.passed_bytes[Transmitter.NBL] == 47
    assert gate.blocked[Transmitter.NBL] == 1


def test_a_release_ends_with_its_time_and_can_be_taken_back() -> None:
    gate = gate_at(L.SILENT)
    gate.release(0, 10 * S)
    assert gate.released(10 * S)
    assert not gate.released(10 * S + 1)
    assert gate.may(Transmitter.NBL, Traffic.NBL_CRITICAL, 10 * S + 1) is Code.EMCON_BLOCK
    gate.release(20 * S)
    gate.withdraw()
    assert not gate.released(20 * S)
    with pytest.raises(ValueError, match="lifetime_ns"):
        gate.release(0, 0)


def test_an_open_level_leaves_a_release_unused() -> None:
    gate = gate_at(L.RESTRICTED)
    gate.release(0)
    assert gate.admit(Transmitter.NBL, Traffic.NBL_CRITICAL, 10, 1) is None
    assert gate.released(1)


def test_the_transponder_is_silent_while_receiving_and_off_in_silence() -> None:
    modes = [gate_at(level).transponder(TransponderMode.ON) for level in L]
    assert modes == [TransponderMode.ON, TransponderMode.ON, TransponderMode.SILENT, TransponderMode.OFF]
    assert gate_at(L.RECEIVE).transponder(TransponderMode.OFF) is TransponderMode.OFF
    assert gate_at(L.SILENT).transponder(TransponderMode.SPOOF) is TransponderMode.OFF


@pytest.mark.parametrize("level", list(L))
def test_a_restart_does_not_lower_what_was_ordered(level: L) -> None:
    memory = disk()
    gate_at(level, memory)
    after = EmconGate(memory)
    assert after.level is level
    after.follow(Emission.OPEN, 0)
    assert after.level is level
    assert not after.released(0)


def test_a_region_that_starts_out_open_does_not_open_what_was_shut() -> None:
    memory = disk()
    EmconGate(memory).follow(Emission.SILENT, 0)
    after = EmconGate(memory)
    assert after.follow(Emission.OPEN, 0) is L.SILENT
    assert after.follow(Emission.RESTRICTED, 1) is L.SILENT
    assert after.follow(Emission.SILENT, 2) is L.SILENT
    assert after.follow(Emission.OPEN, 3) is L.OPEN


def test_an_order_ends_what_was_kept_of_the_region() -> None:
    memory = disk()
    EmconGate(memory).follow(Emission.SILENT, 0)
    early = EmconGate(memory)
    assert early.set_level(L.OPEN, 0) is L.SILENT
    assert early.follow(Emission.OPEN, 1) is L.OPEN
    EmconGate(memory).follow(Emission.SILENT, 2)
    late = EmconGate(memory)
    late.follow(Emission.RESTRICTED, 3)
    assert late.set_level(L.OPEN, 4) is L.RESTRICTED


def test_a_record_that_cannot_be_read_is_silence() -> None:
    memory = disk()
    gate_at(L.OPEN, memory)
    handle = memory.create("emcon.bin")
    memory.write(handle, b"\x01\x00\x00nonsense")
    memory.close(handle)
    after = EmconGate(memory)
    after.follow(Emission.OPEN, 0)
    assert after.level is L.SILENT
    assert after.set_level(L.OPEN, 1) is L.OPEN
    assert EmconGate(memory, unreadable=L.RESTRICTED).level is L.OPEN


def test_a_medium_that_refuses_is_tried_again_and_the_level_holds_meanwhile() -> None:
    memory = disk()
    gate = gate_at(L.OPEN, memory)
    memory.full = True
    assert gate.set_level(L.SILENT, S) is L.SILENT
    assert not gate.stored
    gate.step(S + 1)
    memory.full = False
    gate.step(S + 2)
    assert not gate.stored
    gate.step(2 * S)
    assert gate.stored
    assert EmconGate(memory).level is L.SILENT


@given(st.integers(0, 8), st.integers(0, 1000), st.sampled_from(list(L)), st.sampled_from(list(L)))
def test_a_power_cut_leaves_the_old_level_or_the_new_one(at: int, seed: int, old: L, new: L) -> None:
    memory = SimDisk(np.random.default_rng(seed))
    gate = gate_at(old, memory)
    memory.dies_at = memory.calls + at
    try:
        gate.set_level(new, 1)
    except PowerCut:
        memory.restart()
    memory.dies_at = None
    after = EmconGate(memory)
    after.follow(Emission.OPEN, 0)
    assert after.level in (old, new)
