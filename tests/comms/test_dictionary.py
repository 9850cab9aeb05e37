"""The dictionary: ids that never clash, arguments that are checked, refusals that say what is allowed."""

from __future__ import annotations

import pytest

from comms.dictionary import COMMANDS, TELEMETRY, CommandRefused, Kind, validate
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


def test_kinds_of_channels_are_known() -> None:
    assert {channel.kind for channel in TELEMETRY} <= set(Kind)
