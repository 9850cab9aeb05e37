"""Completion: only names that exist, of everything that is declared, and nothing that is typed raises."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comms.dictionary import CHANNELS, COMMANDS, CommandRefused
from comms.flight_port import Snapshot
from comms.parameters import SCHEMA
from comms.shell import Craft, CraftView
from comms.shell.answers import WORDS
from comms.shell.complete import Completer
from comms.shell.words import ShellRefused, read_order, split_words
from tests.comms.shell_craft import ROW


def completer() -> Completer:
    view = CraftView(Craft("c", faults=("table-fault",)))
    view.feed(Snapshot(0, {**ROW, "link_peers": {"maria": "up"}, "sequences": ["dawn"]}), 0)
    return Completer(view, {n: w.names for n, w in WORDS.items()}, {n: w.options for n, w in WORDS.items()})


COMPLETE = completer()


@pytest.mark.parametrize(("before", "expected"), [
    ("sla", ()), ("sle", ("slew",)), ("get soc_b", ("soc_battery",)), ("watch motion soc_su", ("soc_supercap",)),
    ("plot temperature_c.", ("temperature_c.battery", "temperature_c.core")),
    ("plot temperature_c.c", ("temperature_c.core",)),
    ("get rate_rad_s[", ("rate_rad_s[0]", "rate_rad_s[1]", "rate_rad_s[2]")),
    ("slew an", ("angle_deg=",)), ("send slew an", ("angle_deg=",)), ("slew 0,0,1 at", ("attitude=",)),
    ("slew axis=0,0,1 a", ("angle_deg=", "attitude=")),
    ("emission ", ("level=", "open", "restricted", "silent")), ("emission level=s", ("silent",)),
    ("translate 1,2,3 in", ("inertial",)), ("load li", ("lidar",)), ("load name=", ("lidar",)),
    ("load lidar ", ("enabled=", "false", "true")), ("fault_clear t", ("table-fault",)),
    ("monitor_enable name=no", ("node-hot",)), ("param_set sens", ("sensor_profile",)),
    ("param_set sensor_profile e", ("eco",)), ("param_set name=arm_at_boot value=t", ("true",)),
    ("param hold_deadband_d", ("hold_deadband_deg",)), ("help sp", ("speed_share",)), ("events -", ("-f",)),
    ("terminal as", ("ascii",)), ("json sta", ("status",)), ("json get soc_b", ("soc_battery",)),
    ("link_drop ", ("maria", "peer=")), ("sequence_start d", ("dawn",)), ("hold con", ("confirmed=",)),
    ("hold confirmed=y", ("yes",)), ("boost_burn 1 20 +", ("+x", "+y", "+z")), ("fly ", ()), ("quit ", ()),
])
def test_what_may_stand_there_is_offered(before: str, expected: tuple[str, ...]) -> None:
    found = COMPLETE(before)
    assert found.candidates == expected
    assert all(candidate.startswith(before[found.start:]) for candidate in found.candidates)


def test_a_name_with_a_value_behind_it_is_not_closed_by_a_space() -> None:
    assert not COMPLETE("slew an").closed
    assert COMPLETE("sle").closed


def test_everything_that_is_declared_can_be_completed() -> None:
    assert set(COMPLETE("").candidates) == {*WORDS, *COMMANDS}
    assert set(COMPLETE("get ").candidates) == set(CHANNELS)
    assert set(COMPLETE("param ").candidates) == set(SCHEMA.by_name)
    assert set(COMPLETE("help ").candidates) == {*WORDS, *COMMANDS, *CHANNELS, *SCHEMA.by_name}
    for command in COMMANDS.values():
        assert {f"{a.name}=" for a in command.arguments} <= set(COMPLETE(f"{command.name} ").candidates) | {
            "confirmed=",
        }


@given(st.sampled_from(sorted(COMMANDS)), st.data())
def test_an_offered_argument_is_never_unknown_to_the_dictionary(name: str, data: st.DataObject) -> None:
    line = name
    for _ in range(data.draw(st.integers(0, 3))):
        offered = COMPLETE(line + " ").candidates
        if not offered:
            break
        line += " " + data.draw(st.sampled_from(offered))
        if line.endswith("="):
            line += data.draw(st.sampled_from([*COMPLETE(line).candidates, "1"]))
    try:
        read_order(split_words(line))
    except (ShellRefused, CommandRefused) as error:
        words = str(error)
    else:
        words = ""
    assert "no argument" not in words
    assert "given twice" not in words


@given(st.text(max_size=80), st.sampled_from(["", "get ", "slew ", "send ", "json ", "param_set "]))
def test_nothing_that_is_typed_raises(text: str, head: str) -> None:
    found = COMPLETE(head + text)
    assert 0 <= found.start <= len(head + text)
    assert all(c.startswith((head + text)[found.start:]) for c in found.candidates)


@given(st.dictionaries(st.text(max_size=8), st.text(max_size=8), max_size=5))
def test_names_from_telemetry_are_text_whatever_they_are(table: dict[str, str]) -> None:
    view = CraftView()
    view.feed(Snapshot(0, {"loads": table, "temperature_c": table, "faults": list(table)}), 0)
    complete = Completer(view, {n: w.names for n, w in WORDS.items()})
    for before in ("load ", "get temperature_c.", "fault_clear "):
        assert isinstance(complete(before).candidates, tuple)
