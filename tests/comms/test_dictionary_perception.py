"""What the dictionary says of the perception: commands, channels and events, and who may ask."""

from __future__ import annotations

import pytest

from comms.dictionary import COMMANDS, TELEMETRY, Authority, CommandRefused, Kind
from comms.dictionary.commands import COMMANDS_BY_ID
from comms.dictionary.commands_perception import PERCEPTION_COMMANDS, PERCEPTION_MODES
from comms.dictionary.events import EVENT_IDS
from comms.dictionary.layouts import LAYOUTS
from firmware_py.command_effects import EFFECTS
from firmware_py.commands import understand
from firmware_py.link_orders import PERCEPTION_COMMANDS as CARRIED
from firmware_py.perception.modes import PerceptionMode
from firmware_py.telemetry_snapshot import LINK_CHANNELS, PERCEPTION_CHANNELS

CODES = ("THREAT_HIGH", "MAP_UPDATE", "SCIENCE_HIT", "PERCEPTION_REFUSED", "PERCEPTION_UNAVAILABLE", "PERCEPTION_MODE")


def test_commands_have_ids_of_their_own_and_somebody_who_carries_them_out() -> None:
    assert {command.name for command in PERCEPTION_COMMANDS} == set(CARRIED)
    for command in PERCEPTION_COMMANDS:
        assert COMMANDS[command.name] is COMMANDS_BY_ID[command.id] is command
        assert command.name in EFFECTS


def test_looking_is_for_everybody_and_choosing_is_not() -> None:
    assert COMMANDS["perception_query"].authority is Authority.VIEWER
    assert COMMANDS["perception_mode"].authority is Authority.CONTROLLER
    assert COMMANDS["threat_acknowledge"].authority is Authority.CONTROLLER


def test_every_mode_but_safe_can_be_chosen() -> None:
    assert set(PERCEPTION_MODES) == {mode.value for mode in PerceptionMode} - {"safe"} | {"auto"}


def test_channels_are_told_by_the_perception_alone() -> None:
    ids = {channel.name: channel.id for channel in TELEMETRY}
    assert [ids[name] for name in PERCEPTION_CHANNELS] == list(range(100, 112))
    assert not set(PERCEPTION_CHANNELS) & set(LINK_CHANNELS)
    shown = {name for layout in LAYOUTS.values() for name in layout.names}
    assert set(PERCEPTION_CHANNELS) <= shown
    assert {c.kind for c in TELEMETRY if c.name in PERCEPTION_CHANNELS} == {Kind.TEXT, Kind.TABLE, Kind.NUMBER}


def test_events_have_ids() -> None:
    assert [EVENT_IDS[code] for code in CODES] == list(range(214, 220))


@pytest.mark.parametrize(("name", "arguments"), [
    ("perception_mode", {"mode": "auto"}), ("perception_query", {"what": "grid"}),
    ("perception_query", {"what": "tracks", "low_m": [0, 0, 0], "high_m": [1, 2, 3], "risk": "crit", "newer_s": 2}),
    ("threat_acknowledge", {"track_id": 5}),
])
def test_what_is_sensible_is_understood(name: str, arguments: dict[str, object]) -> None:
    assert set(understand(name, arguments)) >= set(arguments)


@pytest.mark.parametrize(("name", "arguments"), [
    ("perception_mode", {"mode": "safe"}), ("perception_mode", {}), ("perception_query", {"what": "weather"}),
    ("perception_query", {"what": "tracks", "track_id": -1}), ("perception_query", {"what": "tracks", "newer_s": -1.0}),
    ("perception_query", {"what": "tracks", "low_m": [0.0, float("nan"), 0.0]}),
    ("perception_query", {"what": "tracks", "low_m": [0.0, 2e5, 0.0]}), ("threat_acknowledge", {"track_id": 1.5}),
    ("threat_acknowledge", {"track_id": 1, "for_s": 10}),
])
def test_what_makes_no_sense_is_refused_at_the_edge(name: str, arguments: dict[str, object]) -> None:
    with pytest.raises(CommandRefused):
        understand(name, arguments)
