"""The catalogue holds every fault of the rig, and says of each only what the fault table and the body know."""

from __future__ import annotations

import pytest

from fdir.codes import Code
from fdir.fault_table import load_fault_table
from firmware_py.cli.campaign import catalogue_computer
from firmware_py.cli.campaign.cases import parse_case
from firmware_py.cli.campaign.catalogue import catalogue, families, groups, missing_kinds
from firmware_py.cli.campaign.catalogue_computer import computer_entries
from firmware_py.cli.campaign.entries import ALL_MOTION, HOPELESS, Entry, FaultClass, Invariant, Shown, hopeless
from firmware_py.cli.campaign.regressions import REGRESSIONS
from firmware_py.cli.campaign.rows import ROWS, rows_of
from firmware_py.cli.computer_faults import COMPUTER_FAULTS
from firmware_py.cli.rig_ground import GROUND_FAULTS
from hal.profile import load_profile

PROFILE = load_profile("qiki-t", "qiki-rpi")
ENTRIES = catalogue(PROFILE)


def test_every_fault_of_the_rig_of_the_computer_and_of_the_ground_is_flown() -> None:
    assert missing_kinds(ENTRIES) == ()
    assert {*COMPUTER_FAULTS, *GROUND_FAULTS} <= {entry.kind for entry in ENTRIES.values()}


def test_a_dead_device_trips_a_row_whatever_it_is() -> None:
    for name, found in ENTRIES.items():
        if name.startswith("dead."):
            assert rows_of(found), name
    assert rows_of(ENTRIES["dead.imu_b"]) == ("inertial-unit-lost",)
    assert rows_of(ENTRIES["bus_silence_for_ever.usb3"]) == ("star-tracker-silent",)


def test_the_uplink_may_be_lost_for_a_flight_without_anything_to_be_told() -> None:
    lost = ENTRIES["uplink_lost.for_ever"]
    assert (lost.shown, lost.codes, lost.goal_s, lost.tags) == (Shown.NEVER, frozenset(), None, frozenset())


def test_every_class_of_fault_is_there() -> None:
    assert {entry.fault_class for entry in ENTRIES.values()} == set(FaultClass)


def test_groups_and_families_hold_each_fault_once() -> None:
    for made in (groups(ENTRIES), families(ENTRIES)):
        assert sorted(entry.id for members in made.values() for entry in members) == sorted(ENTRIES)
    assert len(families(ENTRIES)) < len(groups(ENTRIES)) < len(ENTRIES)


def test_a_group_holds_one_class_and_one_kind() -> None:
    for members in groups(ENTRIES).values():
        assert len({(entry.fault_class, entry.kind, entry.for_s) for entry in members}) == 1


def test_what_must_be_seen_has_codes_that_exist_and_what_need_not_has_none() -> None:
    for entry in ENTRIES.values():
        assert entry.codes <= {code.value for code in Code}, entry.id
        assert (entry.shown is Shown.NEVER) == (not entry.codes), entry.id


def test_rows_name_faults_of_the_table_and_begin_like_faults_of_the_catalogue() -> None:
    known = {row.id for row in load_fault_table().rows}
    for begin, rows in ROWS.items():
        assert set(rows) <= known, begin
        assert any(name.startswith(begin) for name in ENTRIES), begin


def test_the_longest_beginning_says_which_rows_a_fault_trips() -> None:
    assert rows_of(ENTRIES["temperature_hot.core"]) == ("node-hot", "node-critical", "computer-hot")
    assert rows_of(ENTRIES["temperature_hot.battery"]) == ("node-hot", "node-critical")
    assert rows_of(ENTRIES["eclipse"]) == ()


def test_a_board_with_fewer_parts_makes_fewer_faults() -> None:
    bench = catalogue(load_profile("bench-12kg", "bench-rpi"))
    assert 0 < len(bench) < len(ENTRIES)


def test_a_kind_of_computer_fault_without_values_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogue_computer, "COMPUTER_FAULTS", {"gremlin": ()})
    with pytest.raises(ValueError, match="gremlin"):
        list(computer_entries())


def entry(*tags: str) -> Entry:
    return Entry("a", "a", FaultClass.WORLD, "eclipse", tags=frozenset(tags))


def test_nothing_is_waived_for_faults_that_leave_enough() -> None:
    assert hopeless((entry(), entry("no valves a"))) == (frozenset(), ())


def test_two_faults_together_may_be_hopeless_where_each_alone_is_not() -> None:
    waived, reasons = hopeless((entry("no valves a"), entry("no valves b")))
    assert waived == ALL_MOTION
    assert reasons == ("both valve nodes are gone: no valve can be driven",)


def test_every_hopeless_row_has_a_reason_and_waives_nothing_of_valves_record_or_commands() -> None:
    for row in HOPELESS:
        assert row.reason
        assert row.waives <= {Invariant.RATE_LIMIT, Invariant.RATE_RECOVERED, Invariant.PROPELLANT}


def test_bytes_that_change_on_their_way_may_open_any_nozzle_of_their_nodes_and_silence_opens_none() -> None:
    (node,) = [device for device in PROFILE.board.devices if device.name == "valves_a"]
    assert ENTRIES["implausible_wrong_bits.valves_a"].nozzles == frozenset(node.settings["nozzles"])
    assert ENTRIES["bus_noise_0.05.can0"].nozzles == frozenset(range(16))
    assert ENTRIES["bus_silence_long.can0"].nozzles == frozenset()
    assert ENTRIES["bus_noise_0.05.i2c_a"].nozzles == frozenset()


def test_a_port_that_cannot_be_written_to_takes_nothing_from_parts_that_speak_unasked() -> None:
    assert ENTRIES["bus_timeout_for_ever.usb2"].shown is Shown.NEVER
    assert ENTRIES["bus_silence_for_ever.usb2"].shown is Shown.AT_ONCE
    assert ENTRIES["bus_timeout_for_ever.spi0"].shown is Shown.AT_ONCE


def test_a_nozzle_that_burns_on_is_hopeless_only_where_its_cluster_cannot_be_shut_off() -> None:
    stuck = ENTRIES["nozzle_stuck_on_for_ever.6"]
    assert hopeless((stuck,)) == (frozenset(), ())
    assert hopeless((ENTRIES["valve_driver_short.6"],)) == (frozenset(), ())
    for gone in ("dead.isolation", "bus_stuck_bus_for_ever.i2c_c"):
        assert hopeless((stuck, ENTRIES[gone]))[0] == ALL_MOTION, gone
    assert hopeless((stuck, ENTRIES["dead_while.isolation"])) == (frozenset(), ())
    bench = catalogue(load_profile("bench-12kg", "bench-rpi"))
    alone = next(found for name, found in bench.items() if name.startswith("nozzle_stuck_on_for_ever"))
    assert hopeless((alone,))[0] == ALL_MOTION


def test_a_lost_node_and_a_lost_nozzle_of_the_other_are_not_given_up() -> None:
    assert hopeless((ENTRIES["dead.valves_a"], ENTRIES["nozzle_off.3"])) == (frozenset(), ())


def test_what_was_once_lost_can_still_be_flown() -> None:
    for case, what in REGRESSIONS:
        assert str(parse_case(case, ENTRIES)) == case
        assert what
    assert len({case for case, _ in REGRESSIONS}) == len(REGRESSIONS)


def test_who_hangs_on_a_controller_that_waits_in_vain_may_be_lost_with_it() -> None:
    assert {"spi1", "flash", "rtd_rcs_c01"} <= ENTRIES["dead.rtd_rcs_c04"].units
    assert ENTRIES["dead.mag"].units == {"mag"}
