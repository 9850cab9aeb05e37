"""A snapshot has a value for every channel of the dictionary, and those of the link only where a link tells them."""

from __future__ import annotations

from comms.dictionary import TELEMETRY
from comms.flight_port import LinkReport, LocalPort
from firmware_py.telemetry_snapshot import LINK_CHANNELS, snapshot_of
from tests.firmware_py.rig_craft import Craft


def test_every_channel_is_there_once_from_the_first_tick_on() -> None:
    craft = Craft()
    craft.run(0.06)
    row = snapshot_of(craft.software, craft.clock.now_ns())
    assert set(row) == {channel.name for channel in TELEMETRY}
    assert row["soc_battery"] is None
    assert row["motion"] == "Boot"


def test_without_a_link_its_channels_are_missing() -> None:
    craft = Craft().boot()
    row = snapshot_of(craft.software, craft.clock.now_ns())
    assert LINK_CHANNELS
    assert all(row[name] is None for name in LINK_CHANNELS)
    assert row["start"] == craft.software.commander.desk.start == 1


def test_with_a_link_they_are_what_it_told_last() -> None:
    port = LocalPort(4096)
    craft = Craft(link=port.flight).boot()
    port.link.send(LinkReport(craft.clock.now_ns(), telemetry={"emcon_level": 2.0, "nothing": 1.0}))
    craft.run(0.1)
    row = snapshot_of(craft.software, craft.clock.now_ns())
    assert row["emcon_level"] == 2.0
    assert set(row) == {channel.name for channel in TELEMETRY}
    # Telling nothing of a channel is telling that it is missing.
    port.link.send(LinkReport(craft.clock.now_ns(), telemetry={"link_used_j": 1.5}))
    craft.run(0.1)
    row = snapshot_of(craft.software, craft.clock.now_ns())
    assert (row["emcon_level"], row["link_used_j"]) == (None, 1.5)


def test_the_link_cannot_speak_for_the_craft() -> None:
    port = LocalPort(4096)
    craft = Craft(link=port.flight).boot()
    port.link.send(LinkReport(craft.clock.now_ns(), telemetry={"motion": "SAFE", "soc_battery": 0.0}))
    craft.run(0.1)
    row = snapshot_of(craft.software, craft.clock.now_ns())
    assert row["motion"] == "Idle"
    assert row["soc_battery"] > 0.5
