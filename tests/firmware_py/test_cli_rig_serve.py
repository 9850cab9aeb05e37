"""``qiki rig serve``: the unmodified transports reach every chip of a rig in another process, as over its own twins."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import tty
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from drivers.bus.can_open import open_can
from drivers.bus.counted import InUse
from drivers.bus.remote_frames import LARGEST
from drivers.errors import Cause, DeviceError
from firmware_py.clock import RealClock, RealMeter
from firmware_py.probe import Finding, Prober, Verdict
from hal.device_health import DeviceState
from hal.hardware import Hardware
from hal.profile import load_board, load_profile
from hal.recovery import ThreadWorker
from hal.transports import OpenBuses, open_buses
from tests.firmware_py.bench_terminal import qiki
from tests.firmware_py.served_rig import ServedRig

pytestmark = pytest.mark.alone

NS = 1_000_000_000
TICK_NS = 5_000_000
PATIENCE = ("--patience-ms", "1000")
"""On a machine that does much else besides."""


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedRig]:
    with ServedRig(tmp_path_factory.mktemp("rig"), *PATIENCE, for_s=300.0) as served:
        yield served


def opened(board: str, clock: RealClock) -> OpenBuses:
    return open_buses(load_board(board), clock.now_ns)


def fly(hardware: Hardware, clock: RealClock, seconds: float, each: Callable[[int], None] = lambda _: None) -> None:
    """Serve the hardware at 200 Hz, late or not."""
    begin_ns = clock.now_ns()
    for tick in range(1, int(seconds * NS) // TICK_NS):
        clock.sleep_until_ns(begin_ns + tick * TICK_NS)
        now_ns = clock.now_ns()
        hardware.sense(now_ns)
        if tick % 10 == 0:
            hardware.survey(now_ns)
        each(tick)


def findings(buses: OpenBuses, clock: RealClock, board: str) -> list[Finding]:
    assert not buses.failures
    return list(Prober(load_board(board), buses, {}, clock, RealMeter(), 2 * NS).walk())


# -- all chips


def test_ready_means_that_board_file_sockets_and_ports_are_there(rig: ServedRig) -> None:
    board, shipped = load_board(rig.board), load_board("qiki-rpi")
    assert board.devices == shipped.devices
    for name, bus in board.buses.items():
        assert bus.device != shipped.buses[name].device
        if bus.kind == "serial":
            assert Path(bus.device).is_char_device()
        elif bus.kind != "can":
            assert Path(bus.device.removeprefix("unix://").partition("?")[0]).is_socket()
    assert set(rig.ready["buses"]) == set(board.buses)
    assert any("after step" in text for text in rig.ready["left_out"])


def test_every_part_answers_as_it_does_over_twins_in_one_process(rig: ServedRig) -> None:
    clock = RealClock(spin_us=0)
    with opened(rig.board, clock) as buses:
        served = findings(buses, clock, rig.board)
    inside = json.loads(qiki("probe", "--rig", "--json", "--listen-s", "2").stdout)["findings"]
    asked = {Verdict.ANSWERS.value}
    assert {f["device"]: f["found"] for f in inside if f["verdict"] in asked and f["part"]} == {
        f.device: f.found for f in served if f.verdict.value in asked and f.part
    }
    assert [f.device for f in served if not f.verdict.good] == []
    assert {f.device for f in served if f.verdict is Verdict.SPEAKS} == {
        f["device"] for f in inside if f["verdict"] == Verdict.SPEAKS.value
    }


def test_all_devices_are_well_when_they_are_polled_as_in_flight(rig: ServedRig) -> None:
    clock = RealClock(spin_us=0)
    profile = load_profile("qiki-t", rig.board)
    with opened(rig.board, clock) as buses:
        hardware = Hardware(profile, buses.complete(), ThreadWorker)
        fly(hardware, clock, 3.0)
        well: set[str] = set()
        for _ in range(12):  # a slow machine takes longer to set all of them up
            well = {name for name, state in hardware.states().items() if state is DeviceState.OK}
            if len(well) == len(hardware.states()):
                break
            fly(hardware, clock, 0.5)
        assert set(hardware.states()) - well == set()
        for name in ("imu", "bus_monitor", "mag", "lidar", "bms"):
            reading = hardware.reading(name, clock.now_ns())
            assert reading.value is not None
        assert hardware.reading("bus_monitor", clock.now_ns()).value.voltage_v == pytest.approx(26.8, abs=0.5)


def test_the_watchdog_of_the_rig_closes_within_a_tenth_of_a_second_after_the_last_kick(rig: ServedRig) -> None:
    clock = RealClock(spin_us=0)
    with opened(rig.board, clock) as buses:
        gpio, lines = buses["gpio"], load_board(rig.board).lines
        gpio.set(lines.valve_enable, True)
        level = False
        for _ in range(20):
            level = not level
            gpio.set(lines.watchdog_kick, level)
            last = time.monotonic()
            clock.sleep_until_ns(clock.now_ns() + 10_000_000)
        clock.sleep_until_ns(clock.now_ns() + 400_000_000)
        gpio.set(lines.valve_enable, False)
    passed = [row for row in rig.truth() if "enabled" in row]
    assert any(row["enabled"] for row in passed)
    shut = next(row for row in reversed(passed) if row["enabled"])
    first_shut = next(row for row in passed if row["machine_s"] > shut["machine_s"])
    assert not first_shut["enabled"]
    # 100 ms by the rig's own clock, plus what a loaded machine keeps that process waiting.
    assert 0.09 <= first_shut["machine_s"] - last < 1.0


def test_a_bus_of_the_rig_has_one_owner(rig: ServedRig) -> None:
    clock = RealClock(spin_us=0)
    with opened(rig.board, clock) as first, opened(rig.board, clock) as second:
        assert first.failures == {}
        assert isinstance(second.failures["i2c_a"], InUse)
        assert "stop the other program" in second.advice()["i2c_a"]
    with opened(rig.board, clock) as third:
        assert third.failures == {}


def test_a_program_that_is_killed_in_the_middle_leaves_the_rig_to_the_next(rig: ServedRig) -> None:
    code = (
        "import sys, time; from hal.profile import load_board; from hal.transports import open_buses\n"
        "board = load_board(sys.argv[1]); buses = open_buses(board, time.monotonic_ns); print('in', flush=True)\n"
        "while True: buses['i2c_a'].write_read(0x40, b'\\x05', 3)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code, rig.board], stdout=subprocess.PIPE, text=True) as victim:
        assert victim.stdout is not None
        assert victim.stdout.readline() == "in\n"
        victim.kill()
    clock = RealClock(spin_us=0)
    with opened(rig.board, clock) as buses:
        assert buses.failures == {}
        assert len(buses["i2c_a"].write_read(0x40, b"\x05", 3)) == 3


def test_rubbish_on_a_socket_harms_nobody(rig: ServedRig) -> None:
    for rubbish in (b"", b"\x00", b"GET / HTTP/1.1\r\n\r\n", os.urandom(200), bytes(LARGEST + 100)):
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
            connection.connect(str(rig.folder / "spi0.sock"))
            connection.send(rubbish)
    clock = RealClock(spin_us=0)
    with opened(rig.board, clock) as buses:
        assert buses.failures == {}


# -- faults, real parts, ends


MISSION = """
schema_version: 1
mission: bench-faults
description: A power monitor that loses its address for a while, and a lidar that is unplugged.
body: qiki-t
board: qiki-rpi
epoch: "2026-06-21T12:00:00Z"
duration_s: 60
steps: [{name: idle, wait_for: nothing, stay_s: 1}]
faults:
  - {kind: bus_fault, at_s: 0.0, for_s: 1.0, parameters: {bus: i2c_a, fault: nack_address, address: 0x41}}
  - {kind: bus_fault, at_s: 0.0, parameters: {bus: spi1, fault: timeout, address: 0}}
  - {kind: uplink_lost, at_s: 1.0}
"""


def test_faults_of_the_mission_begin_when_a_program_has_come_and_their_causes_arrive(tmp_path: Path) -> None:
    mission = tmp_path / "mission.yaml"
    mission.write_text(MISSION)
    with ServedRig(tmp_path / "rig", "--mission", str(mission), *PATIENCE, for_s=30.0) as rig:
        assert [text.split(":")[0] for text in rig.ready["left_out"]] == ["uplink_lost"]
        assert not any("fault" in row for row in rig.truth())
        clock = RealClock(spin_us=0)
        with opened(rig.board, clock) as buses:
            clock.sleep_until_ns(clock.now_ns() + 100_000_000)
            with pytest.raises(DeviceError) as refused:
                buses["i2c_a"].write_read(0x41, b"\x05", 3)
            assert (refused.value.cause, refused.value.address) == (Cause.NACK_ADDRESS, 0x41)
            assert len(buses["i2c_a"].write_read(0x40, b"\x05", 3)) == 3
            buses["spi1"].configure(0, 1, 1_000_000)
            with pytest.raises(DeviceError) as late:
                buses["spi1"].transfer(0, b"\x00\x00")
            assert late.value.cause is Cause.TIMEOUT
            deadline = time.monotonic() + 20.0
            while not any(row.get("begins") is False for row in rig.truth()) and time.monotonic() < deadline:
                clock.sleep_until_ns(clock.now_ns() + 50_000_000)
            assert len(buses["i2c_a"].write_read(0x41, b"\x05", 3)) == 3
        events = [(row["fault"].split()[0], row["begins"]) for row in rig.truth() if "fault" in row]
        assert events == [("bus_fault", True), ("bus_fault", True), ("bus_fault", False)]
        assert rig.end() == 0
        assert rig.ended["buses"]["i2c_a"]["failed"] >= 1
        assert list(rig.folder.glob("*.sock")) == []


def test_what_is_real_keeps_its_own_entry_and_is_not_played(tmp_path: Path) -> None:
    bench = tmp_path / "bench.yaml"
    bench.write_text("schema_version: 1\nreal_buses: [i2c_b, usb2]\n")
    with ServedRig(tmp_path / "rig", "--bench", str(bench), *PATIENCE, for_s=30.0) as rig:
        board = load_board(rig.board)
        assert (board.buses["i2c_b"].device, board.buses["usb2"].device) == ("/dev/i2c-3", "/dev/ttyUSB2")
        clock = RealClock(spin_us=0)
        with opened(rig.board, clock) as buses:
            assert set(buses.failures) <= {"i2c_b", "usb2"}
            assert len(buses["i2c_a"].write_read(0x40, b"\x05", 3)) == 3
        assert rig.ready["real_buses"] == ["i2c_b", "usb2"]
        assert "mag" in rig.ready["real_devices"]
        assert rig.end() == 0


def test_only_some_buses_are_played_when_only_they_are_named(tmp_path: Path) -> None:
    with ServedRig(tmp_path / "rig", "--only", "i2c_a,can0,gpio", for_s=5.0) as rig:
        assert sorted(rig.ready["buses"]) == ["can0", "gpio", "i2c_a"]


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--only", "i2c_x"], "no bus 'i2c_x'"),
        (["--only", "can0"], "need arm, enable and watchdog"),
        (["--bench", "none.yaml"], "no such file"),
        (["--bench", "a", "--only", "can0"], "both say what is played"),
        (["--board", "toaster"], "no such file"),
        (["--faults-from", "never"], "contact or start"),
    ],
)
def test_what_can_not_be_served_is_refused_before_anything_is_made(
    tmp_path: Path, words: list[str], why: str
) -> None:
    result = qiki("rig", "serve", "--folder", str(tmp_path / "rig"), *words)
    assert result.exit_code == 2
    assert why in result.stderr
    assert not (tmp_path / "rig").exists()


def test_a_folder_that_a_rig_serves_from_is_left_alone_by_another(rig: ServedRig) -> None:
    before = len(rig.truth())
    result = qiki("rig", "serve", "--folder", str(rig.folder), "--for", "1")
    assert result.exit_code == 2
    assert "another rig" in result.stderr
    assert len(rig.truth()) >= before > 0
    clock = RealClock(spin_us=0)
    with opened(rig.board, clock) as buses:
        assert buses.failures == {}


def test_its_last_words_are_figures(tmp_path: Path) -> None:
    with ServedRig(tmp_path / "rig", for_s=1.0) as rig:
        said: Any = rig.process.communicate(timeout=60.0)[0].splitlines()[-1]
        figures = json.loads(said)
        assert figures["ready"] is False
        assert 0.3 < figures["served_s"] <= 1.2
        assert figures["pulse_rule_violations"] == 0
        assert set(figures["buses"]) == set(rig.ready["buses"])


def test_whose_reader_has_gone_it_ends_without_a_complaint(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "firmware_py.cli.main", "rig", "serve", "--folder", str(tmp_path / "rig"),
             "--for", "1", "--json"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr is not None
        complaint = process.stderr.read()
        assert process.wait(60.0) == 0, complaint
    assert "--folder" not in complaint


def test_a_real_cable_and_a_wire_with_a_real_node_carry_what_the_rig_plays(tmp_path: Path) -> None:
    own, other = os.openpty()  # the cable: the flight computer's end is ours
    tty.setraw(other)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        wire = f"udp://239.74.163.77:{probe.getsockname()[1]}"
    bench = tmp_path / "bench.yaml"
    bench.write_text(
        "schema_version: 1\nreal_devices: [radar]\nbuses:\n"
        f'  can1: {{at: "{wire}", reach: "{wire}"}}\n  usb1: {{at: {os.ttyname(other)}}}\n'
    )
    with ServedRig(tmp_path / "rig", "--bench", str(bench), for_s=60.0) as rig:
        board = load_board(rig.board)
        assert (board.buses["can1"].device, board.buses["usb1"].device) == (wire, "/dev/ttyUSB1")
        real: Any = open_can("can1", wire, None, 10)
        begin = time.monotonic()
        frames, heard = set(), b""
        os.set_blocking(own, False)
        while time.monotonic() - begin < 10.0 and not (frames and b"\x59\x59" in heard and len(heard) > 900):
            time.sleep(0.02)
            frames |= {frame.can_id for frame in real.drain(100)}
            with suppress(BlockingIOError):
                heard += os.read(own, 4096)
        real.close()
        assert b"\x59\x59" in heard  # the range finder's frames begin so
        assert frames
        assert not {0x201, 0x600, 0x60A, 0x60B, 0x701} & frames  # what the radar would say
        assert rig.end() == 0
    os.close(own)
    os.close(other)
