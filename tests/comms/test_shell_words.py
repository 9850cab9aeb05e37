"""Words of a line and arguments from them: named, by place, quoted; refusals say what is allowed, nothing raises."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comms.dictionary import COMMANDS, CommandRefused, Kind, validate
from comms.shell.words import LONGEST_LINE, Asked, ShellRefused, by_place, read_order, split_words, usage


def order(line: str) -> Asked:
    return read_order(split_words(line))


@pytest.mark.parametrize("line", [
    "slew axis=0,0,1 angle_deg=90", "slew angle_deg=90 axis=[0,0,1]", "slew 0,0,1 90", "slew [0, 0, 1] 90",
    "slew 0,0,1 angle_deg=9e1", "slew axis=(0,0,1) angle_deg='90'", "slew 0.0,0,+1 90.",
])
def test_one_order_can_be_written_in_many_ways(line: str) -> None:
    asked = order(line)
    assert asked.command.name == "slew"
    assert dict(asked.arguments) == {"axis": (0.0, 0.0, 1.0), "angle_deg": 90.0}


@pytest.mark.parametrize(("line", "allowed"), [
    ("slew 0,0,1 270", "-180..180 is allowed"),
    ("slew 0,0,1 ninety", "must be a finite number in deg"),
    ("slew 0,0,1 nan", "must be a finite number in deg"),
    ("slew 0,0,1 1e999", "must be a finite number in deg"),
    ("slew 0,0 90", "must be 3 numbers"),
    ("slew axle=0,0,1", "give attitude, or axis and angle_deg"),
    ("hold axle=0,0,1", "arguments: none"),
    ("emission loud", "allowed: open, restricted, silent"),
    ("load lidar maybe", "must be true or false"),
    ("load lidar", "enabled (flag, -) is missing"),
    ("fly home", "help lists them"),
])
def test_a_refusal_of_the_dictionary_says_what_is_allowed(line: str, allowed: str) -> None:
    with pytest.raises(CommandRefused) as refused:
        order(line)
    assert allowed in str(refused.value)


@pytest.mark.parametrize(("line", "words"), [
    ("slew 0,0,1 90 4 5", "one too many; usage: slew"),
    ("slew axis=0,0,1 90", "after a named argument"),
    ("slew angle_deg=1 angle_deg=2 axis=0,0,1", "given twice"),
    ("hold priority=soon", "allowed: normal, urgent, emergency"),
    ("hold expires_s=never", "0.1..3600 s is allowed"),
    ("hold confirmed=perhaps", "allowed: true, false"),
    ("load 'lidar true", "' is missing at the end"),
    ("burn segments=[{", "} is missing at the end"),
    ("x " * 65, "more than 64 words"),
    ("x" * (LONGEST_LINE + 1), "up to 2048 are allowed"),
    ("burn " + "[" * 9, "nested deeper"),
])
def test_a_line_that_is_not_well_made_is_refused_in_words(line: str, words: str) -> None:
    with pytest.raises(ShellRefused) as refused:
        order(line)
    assert words in str(refused.value)


def test_options_are_said_of_any_order() -> None:
    asked = order("arm confirmed=yes priority=urgent expires_s=2.5")
    assert (asked.confirmed, asked.priority, asked.expires_s) == (True, "urgent", 2.5)
    assert not asked.arguments


def test_a_command_that_has_the_argument_itself_is_confirmed_by_it() -> None:
    asked = order("dock_power true confirmed=true")
    assert asked.confirmed
    assert dict(asked.arguments) == {"enabled": True, "confirmed": True}


def test_a_profile_is_given_as_json() -> None:
    line = 'burn segments=[{"duration_s": 1, "level_pct": 20, "direction": "+x"}]'
    assert order(line).arguments["segments"][0]["direction"] == (1.0, 0.0, 0.0)
    assert order(line.replace("=[", "='[").replace("}]", "}]'")).arguments == order(line).arguments


def test_a_key_that_stands_twice_in_json_is_refused() -> None:
    with pytest.raises(CommandRefused):
        order('burn segments=[{"duration_s": 1, "duration_s": 9, "level_pct": 20, "direction": "+x"}]')


def test_lists_of_records_are_never_taken_by_place() -> None:
    assert dict(order("burn 1 20 +x").arguments) == {
        "duration_s": 1.0, "level_pct": 20.0, "direction": (1.0, 0.0, 0.0),
    }


def test_every_command_has_a_usage_that_names_every_argument() -> None:
    for command in COMMANDS.values():
        assert all(f"{argument.name}=" in usage(command) for argument in command.arguments)


@given(axis=st.tuples(*[st.floats(-1.0, 1.0)] * 3), angle=st.floats(-180.0, 180.0))
def test_numbers_come_out_exactly_as_they_went_in(axis: tuple[float, ...], angle: float) -> None:
    asked = order(f"slew {','.join(map(repr, axis))} {angle!r}")
    assert asked.arguments["axis"] == axis
    assert asked.arguments["angle_deg"] == angle


@given(st.sampled_from(sorted(COMMANDS)), st.data())
def test_what_the_shell_takes_the_dictionary_takes_too(name: str, data: st.DataObject) -> None:
    command = COMMANDS[name]
    values = st.one_of(
        st.text(max_size=12), st.floats().map(repr), st.integers().map(str), st.sampled_from(["true", "no", "+x"]),
        st.lists(st.floats(-2, 2).map(repr), max_size=7).map(",".join),
    )
    names = st.sampled_from([*(a.name for a in command.arguments), "other", ""])
    words = data.draw(st.lists(st.tuples(names, values), max_size=5))
    line = " ".join([name, *(f"{key}={value}" if key else value for key, value in words)])
    try:
        asked = order(line)
    except (ShellRefused, CommandRefused):
        return
    again = {key: list(value) if isinstance(value, tuple) else value for key, value in asked.arguments.items()}
    assert validate(name, again)[1] == asked.arguments


@given(st.text(max_size=300))
def test_no_line_does_anything_but_be_split_or_refused(line: str) -> None:
    try:
        words = split_words(line)
    except ShellRefused:
        return
    assert all(word.text or word.end > word.start for word in words)
    assert [word.start for word in words] == sorted(word.start for word in words)
    if words:
        with suppress(ShellRefused, CommandRefused):
            read_order(words)


@given(st.lists(st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="\"'[]{}()=")
                        , min_size=1, max_size=8), max_size=10))
def test_plain_words_are_split_at_spaces(words: list[str]) -> None:
    assert [word.text for word in split_words("  ".join(words))] == words


def test_arguments_by_place_leave_out_what_can_only_be_named() -> None:
    for command in COMMANDS.values():
        for argument in by_place(command):
            assert argument.kind is not Kind.RECORDS
            assert argument.name != "confirmed"


def test_deep_json_is_refused_and_not_followed() -> None:
    with pytest.raises((ShellRefused, CommandRefused)):
        order("burn segments=" + "[" * 1000 + "]" * 1000)
