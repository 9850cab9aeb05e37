"""What a rig plays and what is real: every bus has a place, and what can't be played is refused by name."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from hal.profile import ConfigError, Profile, load_board, load_profile
from hil.plant.world import InitialState
from hil.rig import Rig
from hil.serve.plan import BenchBus, BenchConfig, Plan, load_bench, plan, write_board

PROFILE = load_profile("qiki-t", "qiki-rpi")
FOLDER = Path("/run/rig")


def planned(bench: BenchConfig | None = None, profile: Profile = PROFILE) -> Plan:
    return plan(profile, FOLDER, 40_000, 50, bench)


def places(result: Plan) -> dict[str, str]:
    return {play.bus: play.on for play in result.plays}


def refused(tmp_path: Path, text: str) -> str:
    path = tmp_path / "bench.yaml"
    path.write_text(f"schema_version: 1\n{text}\n")
    with pytest.raises(ConfigError) as caught:
        plan(PROFILE, FOLDER, 40_000, 50, *load_bench(path))
    return str(caught.value)


def test_without_a_bench_file_every_bus_is_played_on_this_machine() -> None:
    result = planned()
    assert places(result)["i2c_a"] == "unix:///run/rig/i2c_a.sock?patience_ms=50"
    assert places(result)["gpio"].startswith("unix:///run/rig/gpio.sock")
    assert places(result)["usb2"] == "/run/rig/usb2"
    can = [places(result)[name] for name in ("can0", "can1")]
    assert all(place.startswith("udp://239.74.163.") and place.endswith(":40000") for place in can)
    assert len(set(can)) == 2
    assert list(places(result)) == list(PROFILE.board.buses)
    assert all(play.reach == play.on for play in result.plays)
    assert result.profile is PROFILE
    assert result.real_buses == result.real_devices == ()


def test_a_real_bus_is_left_alone_with_all_its_devices() -> None:
    result = planned(BenchConfig(1, real_buses=("i2c_b", "usb1")))
    assert "i2c_b" not in places(result)
    assert result.real_buses == ("i2c_b", "usb1")
    assert {"mag", "mux", "sun_px", "approach"} <= set(result.real_devices)
    assert "imu" not in result.real_devices
    rig = Rig(result.profile, InitialState(epoch=0), 1)
    assert set(rig.buses) == set(places(result))
    assert "mag" not in rig.chips
    rig.advance(10_000_000)


def test_a_real_device_on_can_shares_the_wire_with_the_others() -> None:
    bench = BenchConfig(1, real_devices=("radar",), buses={"can1": BenchBus("can0")})
    result = planned(bench)
    [play] = [p for p in result.plays if p.bus == "can1"]
    assert (play.on, play.reach) == ("can0", None)  # the program keeps the entry of its own controller
    assert result.real_devices == ("radar",)
    rig = Rig(result.profile, InitialState(epoch=0), 1)
    assert "bms" in rig.chips
    assert "radar" not in rig.chips


def test_all_devices_of_a_bus_real_is_a_real_bus_whatever_its_kind() -> None:
    result = planned(BenchConfig(1, real_devices=("imu", "imu_b", "geiger")))
    assert result.real_buses == ("spi0", "usb0")


def test_a_place_that_was_named_is_told_to_the_program_unless_it_is_the_other_end_of_a_cable() -> None:
    bench = BenchConfig(1, buses={
        "can0": BenchBus("pcan:PCAN_USBBUS1", "can0"), "can1": BenchBus("vcan3"), "usb0": BenchBus("/dev/ttyUSB7"),
        "i2c_a": BenchBus("unix:///run/other.sock"),
    })
    reach = {play.bus: play.reach for play in planned(bench).plays}
    assert (reach["can0"], reach["can1"], reach["usb0"]) == ("can0", "vcan3", None)
    assert reach["i2c_a"] == "unix:///run/other.sock"


def test_isolation_valves_go_with_their_real_expander() -> None:
    result = planned(BenchConfig(1, real_buses=("i2c_c",)))
    assert PROFILE.board.isolation is not None
    assert result.profile.board.isolation is None
    assert planned(BenchConfig(1, real_buses=("i2c_b",))).profile.board.isolation is not None


@pytest.mark.parametrize(
    ("text", "where", "why"),
    [
        ("real_buses: [i2c_x]", "real_buses[0]", "has no i2c_x; it has i2c_a"),
        ("real_devices: [toaster]", "real_devices[0]", "has no toaster"),
        ("real_devices: [mag]", "real_devices[0]", "can't answer as a chip on an i2c bus beside real ones"),
        ("real_devices: [imu]", "real_devices[0]", "make all of spi0 real, or none of it"),
        ("real_devices: [radar]", "real_devices", "say by what the rig joins it, can1: {at: can0}"),
        ("real_buses: [gpio]", "real_buses", "valves_a, valves_b of the rig need arm, enable and watchdog"),
        ("buses: {can9: {at: can0}}", "buses", "no bus can9"),
        ("real_buses: [can1]\nbuses: {can1: {at: can0}}", "buses.can1", "is real; the rig does not play it"),
        ("buses: {i2c_a: {at: /dev/i2c-1}}", "buses.i2c_a.at", "unix:///PATH"),
        ("buses: {i2c_a: {at: 'busim:x'}}", "buses.i2c_a.at", "busim:NUMBER"),
        ("buses: {spi0: {at: 'gpio-sim:0'}}", "buses.spi0.at", "busim:NUMBER"),
        ("buses: {gpio: {at: 'gpio-sim:'}}", "buses.gpio.at", "gpio-sim:LABEL"),
        ("buses: {usb0: {at: can0}}", "buses.usb0.at", "a port such as"),
        ("buses: {can0: {at: /dev/ttyUSB0}}", "buses.can0.at", "can0, udp://GROUP:PORT"),
        ("buses: {can0: {by: can0}}", "buses.can0", "unknown key"),
        ("real_busses: []", "real_busses", "unknown key"),
    ],
)
def test_what_can_not_be_played_is_refused_at_its_line(tmp_path: Path, text: str, where: str, why: str) -> None:
    message = refused(tmp_path, text)
    assert f"bench.yaml:{1 + len(text.splitlines())}" in message or "bench.yaml:2" in message
    assert where in message
    assert why in message


def test_a_real_interlock_needs_real_valve_nodes() -> None:
    result = planned(BenchConfig(1, real_buses=("gpio", "can0")))
    assert "gpio" not in places(result)
    Rig(result.profile, InitialState(epoch=0), 1).advance(10_000_000)


def test_nothing_to_play_is_refused() -> None:
    with pytest.raises(ConfigError, match="nothing to play"):
        planned(BenchConfig(1, real_buses=tuple(PROFILE.board.buses)))


def test_a_folder_too_long_for_a_board_file_is_refused() -> None:
    with pytest.raises(ConfigError, match="shorter folder"):
        plan(PROFILE, Path("/" + "x" * 130), 40_000, 50)


def test_the_written_board_is_the_same_but_for_where_its_buses_are(tmp_path: Path) -> None:
    result = planned(BenchConfig(1, real_buses=("usb1",)))
    path = tmp_path / "board.yaml"
    write_board(PROFILE.board, result.plays, path)
    board = load_board(str(path))
    assert board.buses["usb1"].device == "/dev/ttyUSB1"
    assert board.buses["i2c_a"].device == places(result)["i2c_a"]
    assert board.devices == PROFILE.board.devices
    assert (board.rates, board.lines, board.isolation) == (
        PROFILE.board.rates, PROFILE.board.lines, PROFILE.board.isolation
    )
    assert [p.name for p in tmp_path.iterdir()] == ["board.yaml"]
    load_profile("qiki-t", str(path))


def test_the_guide_s_bench_files_load_and_are_played(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "guide" / "bench-a-board.md").read_text(encoding="utf-8")
    [whole] = re.findall(r"^    schema_version: 1\n(?:    .*\n)+", page, re.MULTILINE)
    [alone] = re.findall(r"^    (buses: \{.*\})$", page, re.MULTILINE)
    for text in (whole.replace("\n    ", "\n").strip(), f"schema_version: 1\n{alone}"):
        path = tmp_path / "bench.yaml"
        path.write_text(text)
        result = plan(PROFILE, FOLDER, 40_000, 50, *load_bench(path))
        assert result.plays
