"""A station at a terminal: lines by a word, refusals with a next step, connecting, and what a watcher sees."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from comms.dictionary import Authority
from comms.keys.keyring import KeyStore, new_operator
from comms.keys.vault import Lock
from comms.shell.view import Craft, CraftView
from comms.transports.opening import ABOARD, ON_GROUND
from firmware_py.cli.link_lines import KINDS, LineError, open_line
from firmware_py.cli.link_station import Station, StationError
from firmware_py.cli.link_watch import screen
from hil.disk import SimDisk
from tests.firmware_py.link_craft import CRAFT, LoneCraft


@pytest.fixture
def craft(tmp_path: Path) -> Iterator[LoneCraft]:
    craft = LoneCraft(tmp_path)
    yield craft
    craft.close()


# -- lines


@pytest.mark.parametrize("word", ["", "udp", "udp:", "tcp:1.2.3.4:5", "serial:", "can:", "pty:", "://x"])
def test_a_word_that_is_no_line_is_refused_with_examples(word: str) -> None:
    with pytest.raises(LineError, match="is no line") as caught:
        open_line(word, ON_GROUND)
    assert all(f"{kind}:" in caught.value.next_step for kind in KINDS)


@pytest.mark.parametrize(
    ("word", "modem", "step"),
    [
        ("udp:127.0.0.1:7600", "uhf_9k6", "modems of that kind: lan"), ("udp:127.0.0.1:7600", "nothing", "lan"),
        ("can:can0", "lan", "dock_can"),
    ],
)
def test_a_modem_of_another_kind_is_refused_with_those_that_fit(word: str, modem: str, step: str) -> None:
    with pytest.raises(LineError, match=f"no modem '{modem}'") as caught:
        open_line(word, ON_GROUND, modem)
    assert step in caught.value.next_step


@pytest.mark.parametrize("word", ["udp:localhost:7600", "udp:1.2.3.4:99999", "serial:/dev/there-is-none"])
def test_a_line_that_cannot_be_opened_says_what_to_look_at(word: str) -> None:
    with pytest.raises(LineError, match=word.split(":")[0]) as caught:
        open_line(word, ON_GROUND)
    assert "see that it is there" in caught.value.next_step


def test_an_address_in_use_is_refused() -> None:
    first = open_line("udp:127.0.0.1:0", ABOARD)
    with pytest.raises(LineError, match="in use"):
        open_line(f"udp:{first.line.transport.address}", ABOARD)  # type: ignore[attr-defined]
    first.line.transport.close()


def test_slashes_behind_the_colon_mean_nothing() -> None:
    opened = open_line("udp://127.0.0.1:7600", ON_GROUND)
    assert opened.peer == "127.0.0.1:7600"
    opened.line.transport.close()


def test_on_the_craft_a_pseudo_terminal_is_made_and_told() -> None:
    opened = open_line("pty:", ABOARD)
    assert opened.name.startswith("pty:/dev/pts/")
    assert opened.line.wired
    opened.line.transport.close()


# -- connecting


def test_a_station_connects_over_udp_and_learns_the_crafts_time(craft: LoneCraft) -> None:
    station = craft.station()
    station.connect(10.0)
    assert station.station.connected
    assert station.station.start == 1
    assert abs((station.station.craft_ms(craft.now) or 0) * 1_000_000 - craft.now) < 50_000_000
    station.close()


def test_a_station_connects_over_a_pseudo_terminal(tmp_path: Path) -> None:
    craft = LoneCraft(tmp_path, "pty:")
    station = craft.station()
    station.connect(10.0)
    order = station.station.order("hold", {}, craft.now)
    assert station.wait(lambda: bool(order.end), 5.0)
    assert order.end == "effect_confirmed"
    station.close()
    craft.close()


def test_a_craft_that_does_not_answer_is_told_after_the_time_given(craft: LoneCraft) -> None:
    craft.mute = True
    station = craft.station()
    with pytest.raises(StationError, match=f"{CRAFT} does not answer") as caught:
        station.connect(3.0)
    assert craft.now == pytest.approx(3e9, abs=2e7)
    assert "both are paired" in caught.value.next_step
    station.close()


def test_keys_of_a_craft_make_no_station(craft: LoneCraft) -> None:
    with pytest.raises(StationError, match="keys of a craft"):
        Station(craft.keys, craft.to)


def test_a_station_needs_to_know_which_craft(craft: LoneCraft) -> None:
    lock = Lock.from_sealing_key(bytes(range(32)))
    ring = new_operator("ben", Authority.VIEWER, os.urandom)
    alone = KeyStore(SimDisk(np.random.default_rng(1)), lock, os.urandom, ring)
    with pytest.raises(StationError, match="no craft is pinned") as caught:
        Station(alone, craft.to)
    assert caught.value.next_step == "pair with one: qiki keys pair"
    with pytest.raises(StationError, match="'other'"):
        craft.station(craft="other")


def test_waiting_ends_when_it_is_true_and_at_its_time(craft: LoneCraft) -> None:
    station = craft.station()
    assert station.wait(lambda: craft.now >= 100_000_000, 5.0)
    assert craft.now < 120_000_000
    assert not station.wait(lambda: False, 1.0)
    station.close()


def test_a_station_that_keeps_nothing_leaves_nothing_behind(
    craft: LoneCraft, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    station = craft.station()
    station.connect(10.0)
    station.station.files.store.save("a.bin", b"abc")
    station.station.send_file("a.bin", craft.now)
    station.wait(lambda: "a.bin" in craft.store.names(), 10.0)
    station.close()
    assert craft.store.read("a.bin") == b"abc"
    assert list(here.iterdir()) == []


# -- what a watcher sees


def test_the_screen_says_what_is_missing_before_anything_came(craft: LoneCraft) -> None:
    station = craft.station()
    view = CraftView(Craft(CRAFT))
    lines = screen(station.station, view, [], [], craft.now, 80)
    assert lines == [f"{CRAFT}: idle, its time missing, heard never, 0 frames", "no telemetry yet"]
    station.close()


def test_the_screen_shows_channels_with_their_age_or_the_craft_and_its_newest_events(craft: LoneCraft) -> None:
    station = craft.station()
    station.connect(10.0)
    for number in range(12):
        craft.event("MODE_CHANGED", f"number {number}")
    station.wait(lambda: False, 2.0)
    events = [arrival.what for arrival in station.station.arrivals.take_all() if hasattr(arrival.what, "code")]
    view = CraftView(Craft(CRAFT))
    lines = screen(station.station, view, ["motion", "soc_battery", "sun_body"], events, craft.now, 80, 8)
    assert lines[0].startswith(f"{CRAFT}: connected, its time ")
    assert lines[1].split()[:2] == ["motion", "Idle"]
    assert "0.897" in lines[2]
    assert "missing" in lines[3]
    assert len(lines) == 8
    assert "number 11" in lines[-1]
    assert all(len(line) <= 80 for line in lines)
    whole = screen(station.station, view, [], events, craft.now, 80, 24)
    assert len(whole) <= 24
    assert any(line.startswith("mode ") for line in whole)
    assert all(len(line) <= 80 for line in whole)
    station.close()
