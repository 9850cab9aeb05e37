"""``qiki probe`` and ``qiki chip``: exit codes, JSON, tables at any width, refusals with what is allowed."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console, RenderableType
from typer.testing import CliRunner

from drivers.errors import Cause, DeviceError
from firmware_py.cli import bench, chip
from firmware_py.cli.main import app
from firmware_py.probe import Finding, Verdict
from hal.hardware import Hardware
from hal.profile import load_board, load_profile
from hil.faults import Fault, FaultKind
from hil.plant.world import InitialState
from hil.rig import Rig

runner = CliRunner()
BOARD = load_board("qiki-rpi")
MS = 1_000_000


def qiki(*arguments: str, columns: int = 140):
    return runner.invoke(app, list(arguments), env={"COLUMNS": str(columns)})


def shown(view: RenderableType, width: int) -> str:
    console = Console(file=io.StringIO(), width=width, color_system=None)
    console.print(view)
    file = console.file
    assert isinstance(file, io.StringIO)
    return file.getvalue()


@pytest.fixture
def no_buses(tmp_path: Path) -> str:
    """A board of which no bus is on this computer."""
    text = (Path(__file__).resolve().parents[2] / "board_configs" / "boards" / "qiki-rpi.yaml").read_text()
    nowhere = tmp_path / "nowhere"
    text = text.replace("/dev/", f"{nowhere}/").replace("device: can", "device: nocan")
    board = tmp_path / "board.yaml"
    board.write_text(text.replace("pinctrl-bcm2711", f"{nowhere}/gpiochip0"))
    return str(board)


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> dict[str, Fault]:
    """Faults by bus that every rig has from its start."""
    faults: dict[str, Fault] = {}
    plain = Rig.__init__

    def start(self: Rig, *arguments: Any) -> None:
        plain(self, *arguments)
        for bus, fault in faults.items():
            self.buses[bus].inject(fault)

    monkeypatch.setattr(Rig, "__init__", start)
    return faults


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
    assert lines[-1] == "qiki-rpi on the rig: 47 of 47 devices answer"
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
    assert "qiki-rpi on the rig: 46 of 47 devices answer" in result.stdout
    assert "nothing acknowledges its address: check power, wiring and the address straps" in result.stdout


def test_probe_of_a_computer_without_the_buses_is_exit_code_1_and_says_what_to_do(no_buses: str) -> None:
    result = qiki("probe", "--board", no_buses, columns=80)
    assert result.exit_code == 1
    assert result.stdout.count("no bus: ") == len(BOARD.buses)
    assert "not asked: bus_monitor, battery_monitor" in result.stdout
    assert "this computer" in result.stdout
    assert "qiki-rpi on this computer: 0 of 47 devices answer" in result.stdout
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
    assert len(whole.splitlines()) == 2 + len(BOARD.devices) + 1 + 4
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


# -- one chip


def test_a_sample_without_arm_is_read_from_the_chip_as_it_is_and_says_so() -> None:
    plain = qiki("chip", "bus_monitor", "read", "--rig")
    assert plain.exit_code == 0
    assert "--arm sets it up first" in plain.stderr
    armed = qiki("chip", "bus_monitor", "read", "--rig", "--arm")
    assert armed.exit_code == 0
    assert armed.stderr == ""
    values = dict(line.split(" ", 1) for line in armed.stdout.splitlines())
    assert float(values["voltage_v"]) == pytest.approx(26.8, abs=0.2)
    assert values["charge_c"] == "missing"
    # Only the armed one has been told its shunt.
    assert float(values["current_a"]) > 2.0 * float(plain.stdout.splitlines()[1].split()[1])


def test_a_sample_as_json() -> None:
    found = json.loads(qiki("chip", "temps_a", "read", "--rig", "--arm", "--json").stdout)
    assert (found["device"], found["part"], found["configured"]) == ("temps_a", "tmp423", True)
    assert len(found["sample"]["celsius"]) == 4


@pytest.mark.parametrize("name", [d.name for d in BOARD.devices if d.role != "valve_node"])
def test_every_device_gives_a_sample_when_armed(name: str) -> None:
    result = qiki("chip", name, "read", "--rig", "--arm")
    assert result.exit_code == 0, result.stderr
    assert result.stdout.strip()


@pytest.mark.parametrize("name", [d.name for d in BOARD.devices if d.role != "valve_node"])
def test_without_arm_every_device_gives_a_sample_or_says_what_to_do(name: str) -> None:
    result = qiki("chip", name, "read", "--rig")
    assert result.exit_code in (0, 1)
    if result.exit_code:
        assert "--arm" in result.stderr


def test_long_tuples_are_cut_with_their_number() -> None:
    result = qiki("chip", "lidar", "read", "--rig")
    assert result.exit_code == 0
    assert all(len(line) < 160 for line in result.stdout.splitlines())
    assert " in all)" in result.stdout


def test_a_part_on_a_shared_bus_is_heard_for_a_second() -> None:
    result = qiki("chip", "bms", "read", "--rig")
    assert result.exit_code == 0
    values = dict(line.split(" ", 1) for line in result.stdout.splitlines())
    assert float(values["voltage_v"]) == pytest.approx(26.8, abs=0.5)
    assert float(values["charge_voltage_limit_v"]) > 20.0


def test_one_register_by_name_or_place() -> None:
    by_name = qiki("chip", "bus_monitor", "read", "manufacturer_id", "--rig")
    assert (by_name.exit_code, by_name.stdout) == (0, "MANUFACTURER_ID 54 49\n")
    for place in ("3eh", "0x3E"):
        assert qiki("chip", "bus_monitor", "read", place, "--rig").stdout == by_name.stdout
    assert json.loads(qiki("chip", "bus_monitor", "read", "3eh", "--rig", "--json").stdout) == {
        "MANUFACTURER_ID": "5449"
    }


def test_a_register_that_reading_clears_is_read_only_when_armed() -> None:
    refused = qiki("chip", "bus_monitor", "read", "DIAG_ALRT", "--rig")
    assert refused.exit_code == 2
    assert "clears it" in refused.stderr
    assert qiki("chip", "bus_monitor", "read", "DIAG_ALRT", "--rig", "--arm").exit_code == 0


@pytest.mark.parametrize("columns", [60, 140])
def test_a_dump_shows_every_register_and_reads_none_that_this_would_clear(columns: int) -> None:
    result = qiki("chip", "bus_monitor", "dump", "--rig", columns=columns)
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert next(line for line in lines if line.startswith("CONFIG")).split() == ["CONFIG", "00h", "rw", "00", "00"]
    [cleared] = [line for line in lines if line.startswith("DIAG_ALRT")]
    assert "reading clears it" in cleared
    found = json.loads(qiki("chip", "bus_monitor", "dump", "--rig", "--json").stdout)
    assert found["MANUFACTURER_ID"] == "5449"
    assert found["DIAG_ALRT"] is None


def test_a_register_that_is_refused_does_not_end_the_dump(broken: dict[str, Fault]) -> None:
    broken["i2c_a"] = Fault(FaultKind.NACK_DATA, address=0x40, probability=0.3)
    result = qiki("chip", "bus_monitor", "dump", "--rig")
    assert result.exit_code == 1
    assert "nack_data" in result.stdout
    assert "DEVICE_ID" in result.stdout


def test_a_dump_of_a_chip_that_is_not_there_is_refused_with_advice(broken: dict[str, Fault]) -> None:
    broken["i2c_a"] = Fault(FaultKind.NACK_ADDRESS, address=0x40)
    result = qiki("chip", "bus_monitor", "dump", "--rig")
    assert result.exit_code == 1
    assert "address straps" in result.stderr


def test_the_multiplexer_before_a_chip_is_off_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    rigs: list[Rig] = []
    plain = Rig.__init__

    def start(self: Rig, *arguments: Any) -> None:
        plain(self, *arguments)
        rigs.append(self)

    monkeypatch.setattr(Rig, "__init__", start)
    assert qiki("chip", "sun_ny", "dump", "--rig").exit_code == 0
    assert rigs[0].muxes["mux"].enabled == 0


def test_a_write_is_read_back_and_needs_arm() -> None:
    refused = qiki("chip", "bus_monitor", "write", "ADC_CONFIG", "f924", "--rig")
    assert refused.exit_code == 2
    assert "--arm" in refused.stderr
    done = qiki("chip", "bus_monitor", "write", "adc_config", "f924", "--rig", "--arm")
    assert (done.exit_code, done.stdout) == (0, "ADC_CONFIG was fb 68, is f9 24\n")
    found = json.loads(qiki("chip", "bus_monitor", "write", "1h", "f924", "--rig", "--arm", "--json").stdout)
    assert found == {"register": "ADC_CONFIG", "was": "fb68", "is": "f924", "holds": True}


def test_a_write_that_does_not_hold_is_exit_code_1() -> None:
    result = qiki("chip", "bus_monitor", "write", "CONFIG", "ffff", "--rig", "--arm", "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["holds"] is False
    assert "may be the chip's own" in qiki("chip", "bus_monitor", "write", "CONFIG", "ffff", "--rig", "--arm").stdout


@pytest.mark.parametrize(("arguments", "said"), [
    (["toaster", "read"], "devices: imu, star_tracker, mag"),
    (["imu", "toast"], "actions: read, dump, write, decode"),
    (["imu", "read", "nothing"], "registers: DIAG_STAT, X_GYRO_LOW"),
    (["bus_monitor", "write", "--arm"], "say which register"),
    (["bus_monitor", "write", "ADC_CONFIG", "--arm"], "qiki chip bus_monitor write ADC_CONFIG 0123 --arm"),
    (["bus_monitor", "write", "VBUS", "000000", "--arm"], "VBUS is read-only"),
    (["bus_monitor", "write", "ADC_CONFIG", "f9", "--arm"], "has 2 bytes, not 1"),
    (["bus_monitor", "write", "ADC_CONFIG", "xy", "--arm"], "'xy' is no hexadecimal"),
    (["bms", "dump"], "can_bms has no registers"),
    (["valves_a", "read"], "qiki probe --watch"),
    (["bus_monitor", "read", "--board", "no-such"], "qiki-rpi"),
    (["bus_monitor", "read", "--body", "no-such"], "qiki-t"),
])
def test_a_request_that_can_not_be_done_is_refused_with_what_is_allowed(arguments: list[str], said: str) -> None:
    result = qiki("chip", *arguments, "--rig")
    assert result.exit_code == 2
    assert said in result.stderr
    assert result.stdout == ""


def test_a_chip_on_a_bus_that_is_not_there_says_how_to_get_it(no_buses: str) -> None:
    result = qiki("chip", "bus_monitor", "read", "--board", no_buses)
    assert result.exit_code == 1
    assert "bus i2c_a can't be opened" in result.stderr
    assert "config.txt" in result.stderr


# -- decode


def test_decode_lists_codecs_and_decodes_bytes_without_a_chip() -> None:
    listed = qiki("chip", "ina228", "decode")
    assert listed.exit_code == 0
    assert any(line.split() == ["VBUS", "3", "bytes"] for line in listed.stdout.splitlines())
    assert json.loads(qiki("chip", "ina228", "decode", "--json").stdout)["VBUS"] == 3
    decoded = qiki("chip", "ina228", "decode", "vbus", "217eb0")
    assert decoded.exit_code == 0
    name, value = decoded.stdout.split()
    assert (name, float(value)) == ("VBUS", pytest.approx(0x217EB * 195.3125e-6, rel=1e-5))
    assert json.loads(qiki("chip", "ina228", "decode", "VBUS", "0x217eb0", "--json").stdout) == pytest.approx(
        0x217EB * 195.3125e-6
    )


@pytest.mark.parametrize(("arguments", "code", "said"), [
    (["toaster", "decode"], 2, "parts: adis16470, adm1272"),
    (["bus.protocol", "decode"], 2, "there is no driver"),
    (["ina228", "decode", "nothing", "00"], 2, "codecs: "),
    (["ina228", "decode", "VBUS"], 2, "qiki chip ina228 decode 'VBUS' 000000"),
    (["ina228", "decode", "VBUS", "0"], 2, "no hexadecimal"),
    (["ina228", "decode", "VBUS", "0000"], 1, "2 bytes instead of 3"),
])
def test_what_can_not_be_decoded_is_refused(arguments: list[str], code: int, said: str) -> None:
    result = qiki("chip", *arguments)
    assert result.exit_code == code
    assert said in result.stderr


def test_every_codec_of_every_part_gives_text_and_json_or_a_refusal() -> None:
    from hypothesis import given, settings
    from hypothesis import strategies as st

    codecs = {part: chip.codecs_of(part) for part in chip.parts()}
    assert sum(map(bool, codecs.values())) > 20

    @settings(max_examples=5, deadline=None, derandomize=True)
    @given(st.data())
    def check(data: st.DataObject) -> None:
        for part, listed in codecs.items():
            for codec in listed:
                size = codec.length if codec.length is not None else data.draw(st.integers(0, 24))
                raw = data.draw(st.binary(min_size=size, max_size=size))
                try:
                    value = codec.decode(raw)
                except DeviceError:
                    continue
                assert isinstance(bench.text_of(value), str)
                assert json.dumps(bench.plain(value)) is not None, f"{part} {codec.name}"

    check()
