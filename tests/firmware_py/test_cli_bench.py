"""``qiki probe`` and its ``--watch``: exit codes, JSON, tables at any width, advice."""

from __future__ import annotations

import json

import pytest

from drivers.errors import Cause, DeviceError
from firmware_py.cli import bench
from firmware_py.probe import Finding, Verdict
from hal.hardware import Hardware
from hal.profile import load_profile
from hil.faults import Fault, FaultKind
from hil.plant.world import InitialState
from hil.rig import Rig
from tests.firmware_py.bench_terminal import BOARD, qiki, shown

MS = 1_000_000


# -- probe


@pytest.mark.parametrize("columns", [60, 80, 140])
def test_probe_of_the_rig_shows_every_device_on_a_line_of_its_own_at_any_width(columns: int) -> None:
    result = qiki("probe", "--rig", "--listen-s", "1.5", columns=columns)
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert max(map(len, lines)) <= columns
    assert "…" not in result.stdout
    for device in BOARD.devices:
        [line] = [line for line in lines if f"  {device.name} " in line]
        assert " answers " in line or " speaks " in line
    assert lines[-1] == "qiki-rpi on the rig: 49 of 49 devices answer"
    assert "what to do" not in result.stdout


def test_probe_as_json_is_one_object_with_all_that_was_found() -> None:
    result = qiki("probe", "--rig", "--json", "--listen-s", "1.5")
    assert result.exit_code == 0
    found = json.loads(result.stdout)
    assert (found["board"], found["rig"], found["complete"], found["computer"]) == ("qiki-rpi", True, True, None)
    by_name = {f["device"]: f for f in found["findings"]}
    assert {d.name for d in BOARD.devices} <= set(by_name)
    assert by_name["mag"]["verdict"] == "answers"
    assert by_name["mag"]["cause"] is None
    assert by_name["mag"]["transactions"] >= 1


def test_a_missing_part_is_exit_code_1_with_advice(broken: dict[str, Fault]) -> None:
    broken["i2c_a"] = Fault(FaultKind.NACK_ADDRESS, address=0x41)
    result = qiki("probe", "--rig", "--listen-s", "1.5", columns=100)
    assert result.exit_code == 1
    assert "qiki-rpi on the rig: 48 of 49 devices answer" in result.stdout
    assert "nothing acknowledges its address: check power, wiring and the address straps" in result.stdout


def test_probe_of_a_computer_without_the_buses_is_exit_code_1_and_says_what_to_do(no_buses: str) -> None:
    result = qiki("probe", "--board", no_buses, columns=80)
    assert result.exit_code == 1
    assert result.stdout.count("no bus: ") == len(BOARD.buses)
    assert "not asked: bus_monitor, battery_monitor" in result.stdout
    assert "this computer" in result.stdout
    assert "qiki-rpi on this computer: 0 of 49 devices answer" in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 80
    found = json.loads(qiki("probe", "--board", no_buses, "--json").stdout)
    buses = [f for f in found["findings"] if f["part"] is None]
    assert {f["bus"] for f in buses} == set(BOARD.buses)
    assert all(f["advice"] and f["cause"] for f in buses)
    assert found["computer"]["watchdog"]


def test_advice_is_given_once_with_all_the_devices_it_concerns() -> None:
    def finding(name: str | None, verdict: Verdict, advice: str) -> Finding:
        return Finding("i2c_a", "0x40", name, name and "ina228", verdict, "why", Cause.SILENT, 1, 1, None, advice)

    names = [f"device_{number}" for number in range(9)]
    findings = [finding(name, Verdict.MISSING, "check power") for name in names]
    findings.append(finding(None, Verdict.UNKNOWN, "take it off"))
    text = shown(bench._probe_view(BOARD, findings, True, 100), 100)
    assert text.count("check power") == 1
    words = " ".join(text.split())
    assert ", ".join(names) + " check power" in words
    assert "i2c_a 0x40 take it off" in words
    assert "0 of 9 devices answer" in text


# -- watch


def test_watch_polls_the_rig_as_in_flight_until_its_time_is_over() -> None:
    result = qiki("probe", "--rig", "--watch", "--seconds", "3")
    assert result.exit_code == 0
    for device in BOARD.devices:
        [line] = [line for line in result.stdout.splitlines() if line.startswith(f"{device.name} ")]
        assert " ok " in line
    text = result.stdout
    assert "rate_rad_s (" in text, "the flown inertial unit shows its reading too"
    assert "quaternion (" in text
    assert "silent" not in text
    assert "bus i2c_a: in service" in text


def test_watch_as_json_tells_state_quality_sample_and_counts() -> None:
    result = qiki("probe", "--rig", "--watch", "--seconds", "3", "--json")
    assert result.exit_code == 0
    found = json.loads(result.stdout)
    monitor = found["devices"]["bus_monitor"]
    assert (monitor["state"], monitor["quality"], monitor["errors"]) == ("ok", "ok", {})
    assert monitor["sample"]["voltage_v"] == pytest.approx(26.8, abs=0.5)
    assert monitor["sample"]["charge_c"] is None
    assert monitor["age_s"] < 0.2
    assert found["devices"]["valves_a"]["state"] == "ok"
    assert found["devices"]["valves_a"]["sample"] is None
    assert found["buses"]["i2c_b"] == {"state": "ok", "hangs": 0, "cures": {}}
    assert found["not_open"] == {}


def test_watch_without_the_buses_shows_what_is_there_and_what_is_not(no_buses: str) -> None:
    result = qiki("probe", "--watch", "--seconds", "0.5", "--board", no_buses)
    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    assert any(line.startswith("bus_monitor") and "absent" in line for line in lines)
    told = [line for line in lines if line.startswith("bus ") and "not open: " in line]
    assert {line.split()[1].rstrip(":") for line in told} == set(BOARD.buses)


class Watched:
    """A rig with its hardware, and the view of both."""

    def __init__(self) -> None:
        profile = load_profile("qiki-t", "qiki-rpi")
        self.rig = Rig(profile, InitialState(epoch=0), 1)
        self.hardware = Hardware(profile, self.rig.buses)
        self.failures: dict[str, DeviceError] = {}
        self.view = bench._Watch(self.hardware, profile.board, self.failures)
        self.now_ns = 0

    def run(self, seconds: float) -> None:
        for tick in range(round(200 * seconds)):
            self.now_ns += 5 * MS
            self.rig.advance(self.now_ns)
            self.hardware.sense(self.now_ns)
            if tick % 10 == 0:
                self.hardware.survey(self.now_ns)


@pytest.mark.parametrize("width", [80, 140])
def test_a_watched_device_takes_one_line_and_a_page_fits_on_the_terminal(width: int) -> None:
    watched = Watched()
    watched.run(2.0)
    whole = shown(watched.view.whole(watched.now_ns, width), width)
    assert len(whole.splitlines()) == 2 + len(BOARD.devices) + 1 + 5
    seen: set[str] = set()
    for page in range(4):
        text = shown(watched.view.page(page * 5_000 * MS, width, 24), width)
        assert len(text.splitlines()) <= 24
        assert max(map(len, text.splitlines())) <= width
        seen |= {line.split()[0] for line in text.splitlines() if line}
    assert {d.name for d in BOARD.devices} <= seen
    assert watched.view.page(watched.now_ns, width, 100) is not None
    assert "page" not in shown(watched.view.page(watched.now_ns, width, 100), width)


def test_what_is_not_well_comes_first_and_old_readings_say_so() -> None:
    watched = Watched()
    watched.run(2.0)
    watched.rig.buses["i2c_a"].inject(Fault(FaultKind.NACK_ADDRESS, address=0x40))
    watched.run(0.4)
    watched.failures["usb0"] = DeviceError("usb0", None, Cause.ABSENT, "no such file")
    text = shown(watched.view.page(watched.now_ns, 140, 24), 140)
    first = text.splitlines()[2]
    assert shown(watched.view.page(5_000 * MS, 140, 24), 140).splitlines()[2].startswith("bus_monitor")
    assert first.startswith("bus_monitor")
    assert "stale: voltage_v 26.7" in first
    assert "nack_address " in first
    assert "bus usb0: not open: no such file" in text
    watched.rig.buses["i2c_a"].inject(Fault(FaultKind.STUCK_BUS))
    watched.run(3.0)
    text = shown(watched.view.whole(watched.now_ns, 140), 140)
    assert "bus i2c_a: lost, 1 hangs, 0 cures" in text
