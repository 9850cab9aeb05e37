"""The dictionary: ids that never clash, arguments that are checked, refusals that say what is allowed."""

from __future__ import annotations

import pytest

from comms.dictionary import COMMANDS, TELEMETRY, Authority, CommandRefused, Kind, validate
from fdir.gating import CLASS_CHECKS


def test_ids_and_names_are_unique() -> None:
    for table in (tuple(COMMANDS.values()), TELEMETRY):
        assert len({row.id for row in table}) == len(table)
        assert len({row.name for row in table}) == len(table)
        assert all(row.text for row in table)


def test_every_command_has_a_gating_class() -> None:
    assert {command.command_class for command in COMMANDS.values()} <= set(CLASS_CHECKS)


def test_arguments_come_back_in_plain_types() -> None:
    command, values = validate("translate", {"vector_m": [40, 0, 0], "frame": "body"})
    assert command.name == "translate"
    assert values == {"vector_m": (40.0, 0.0, 0.0), "frame": "body"}


@pytest.mark.parametrize(
    ("name", "arguments", "words"),
    [
        ("fly", {}, "no command 'fly'; commands: idle, detumble"),
        ("idle", {"speed": 1}, "no argument 'speed'; arguments: none"),
        ("translate", {}, "vector_m (vector of 3, m) is missing"),
        ("translate", {"vector_m": [1, 2]}, "must be 3 numbers"),
        ("translate", {"vector_m": "far"}, "must be 3 numbers"),
        ("translate", {"vector_m": [1, 2, float("nan")]}, "finite number"),
        ("translate", {"vector_m": [1, 2, True]}, "finite number"),
        ("translate", {"vector_m": [1, 2, 6000]}, "-5000..5000 is allowed"),
        ("translate", {"vector_m": [1, 2, 3], "frame": "moon"}, "allowed: body, inertial"),
        ("translate", {"vector_m": [1, 2, 3], "speed_m_s": 0}, "0.01..100 is allowed"),
        ("slew", {"attitude": [1, 1, 0, 0]}, "unit quaternion"),
        ("emission", {"level": "loud"}, "allowed: open, restricted, silent"),
    ],
)
def test_refusal_says_what_is_allowed(name, arguments, words) -> None:
    with pytest.raises(CommandRefused) as caught:
        validate(name, arguments)
    assert words in str(caught.value)


SEGMENT = {"duration_s": 1, "level_pct": 40, "direction": "+x"}


def test_a_burn_takes_a_list_of_segments_or_the_keys_of_one() -> None:
    listed = [SEGMENT, {**SEGMENT, "direction": [0, 0, -2], "frame": "inertial", "ramp_in_s": 0.5}]
    _, values = validate("burn", {"segments": listed})
    assert values["segments"] == (
        {"duration_s": 1.0, "level_pct": 40.0, "direction": (1.0, 0.0, 0.0)},
        {"duration_s": 1.0, "level_pct": 40.0, "direction": (0.0, 0.0, -1.0), "frame": "inertial", "ramp_in_s": 0.5},
    )
    assert validate("burn", SEGMENT)[1] == {"duration_s": 1.0, "level_pct": 40.0, "direction": (1.0, 0.0, 0.0)}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({}, "give segments, or duration_s and level_pct and direction; got nothing"),
        ({"duration_s": 1, "level_pct": 5}, "got duration_s, level_pct"),
        ({**SEGMENT, "segments": [SEGMENT]}, "give segments, or duration_s"),
        ({"segments": [SEGMENT], "frame": "body"}, "give segments, or duration_s"),
        ({"segments": []}, "segments must be a list of 1 to 16, got 0 of them"),
        ({"segments": [SEGMENT] * 17}, "a list of 1 to 16, got 17"),
        ({"segments": "all"}, "a list of 1 to 16, got 'all'"),
        ({"segments": [SEGMENT, 5]}, "segments[1] must have the keys duration_s, level_pct"),
        ({"segments": [SEGMENT, {**SEGMENT, "level_pct": 120}]}, "segments[1]: level_pct is 120 %; 0..100 is allowed"),
        ({"segments": [{"level_pct": 5, "direction": "+x"}]}, "segments[0]: key duration_s (number, s) is missing"),
        ({"segments": [{**SEGMENT, "angle": 5}]}, "segments[0]: no key 'angle'; keys: duration_s, level_pct"),
        ({"segments": [{**SEGMENT, "duration_s": -1}]}, "segments[0]: duration_s is -1 s; 0.03..60 is allowed"),
        ({"segments": [{**SEGMENT, "duration_s": float("inf")}]}, "must be a finite number in s"),
        ({"segments": [{**SEGMENT, "direction": "up"}]}, "direction is 'up'; allowed: +x, -x"),
        ({"segments": [{**SEGMENT, "direction": [0, 0, 0]}]}, "a vector with a length is allowed"),
        ({"segments": [{**SEGMENT, "direction": [0, float("nan"), 1]}]}, "segments[0]: direction[1] must be a finite"),
        ({"segments": [{**SEGMENT, "direction": [1, 0]}]}, "direction must be 3 numbers"),
        ({"segments": [{**SEGMENT, "level": "FTG"}]}, "level is 'FTG'; allowed: ZTT"),
        ({"segments": [{**SEGMENT, "direction": 7}]}, "direction must be 3 numbers, got 7"),
    ],
)
def test_a_bad_segment_is_named_with_its_number_and_key(arguments, words) -> None:
    with pytest.raises(CommandRefused) as caught:
        validate("burn", arguments)
    assert words in str(caught.value)


def test_only_a_boost_burn_takes_every_level_and_its_confirmation_is_a_flag() -> None:
    for level in ("ZTT", "FTG", "ADAPTIVE"):
        _, values = validate("boost_burn", {"segments": [{**SEGMENT, "level": level}], "confirmed": True})
        assert values["confirmed"] is True
        assert values["segments"][0]["level"] == level
    with pytest.raises(CommandRefused, match="must be true or false, got 'yes'"):
        validate("boost_burn", {**SEGMENT, "confirmed": "yes"})


def test_a_wrench_is_six_numbers() -> None:
    _, values = validate("override_fire", {"wrench": [1, 2, 3, 4, 5, 6], "duration_s": 0.5})
    assert values["wrench"] == (1.0, 2.0, 3.0, 4.0, 5.0, 6.0)
    for wrench, words in (([1, 2, 3], "must be 6 numbers"), ([1, 2, 3, 4, 5, 1e6], "wrench[5] is 1e+06 N, N m")):
        with pytest.raises(CommandRefused) as caught:
            validate("override_fire", {"wrench": wrench, "duration_s": 0.5})
        assert words in str(caught.value)
    with pytest.raises(CommandRefused, match=r"0\.03\.\.3 is allowed"):
        validate("override_fire", {"wrench": [0] * 6, "duration_s": 4})


def test_the_override_belongs_to_engineers() -> None:
    assert {COMMANDS[name].authority for name in ("override_arm", "override_fire")} == {Authority.ENGINEER}


def test_kinds_of_channels_are_known() -> None:
    assert {channel.kind for channel in TELEMETRY} <= set(Kind)


@pytest.mark.parametrize(
    ("name", "arguments", "words"),
    [
        ("emcon", {"level": 4}, "level is 4; 0..3 is allowed"),
        ("emcon", {"level": 1.5}, "level must be a whole number, got 1.5"),
        ("emcon", {"level": True}, "must be a finite number"),
        ("ping", {"number": 2**32}, "0..4.29497e+09 is allowed"),
        ("channel_create", {"name": "x", "kind": "nbl", "qos": "bulk", "end_to_end": True}, "kind is 'nbl'; allowed"),
        ("channel_close", {"name": "x" * 33}, "name has 33 characters; 1..32 are allowed"),
        ("channel_close", {"name": ""}, "name has 0 characters"),
        ("nbl_set", {"enabled": True, "max_w": 20.5}, "max_w is 20.5 W; 1..20 is allowed"),
        ("telemetry_rate", {"group": "video", "rate_hz": 1}, "allowed: motion, state"),
    ],
)
def test_a_command_to_the_link_is_checked_like_every_other(name, arguments, words) -> None:
    with pytest.raises(CommandRefused) as caught:
        validate(name, arguments)
    assert words in str(caught.value)


def test_a_whole_number_comes_back_as_one() -> None:
    for given in (2, 2.0):
        value = validate("emcon", {"level": given})[1]["level"]
        assert (value, type(value)) == (2, int)


def test_ids_are_without_a_gap_and_link_commands_follow_those_of_the_craft() -> None:
    assert [command.id for command in COMMANDS.values()] == list(range(1, len(COMMANDS) + 1))
    assert [channel.id for channel in TELEMETRY] == list(range(1, len(TELEMETRY) + 1))
    assert COMMANDS["emcon"].id == 31
