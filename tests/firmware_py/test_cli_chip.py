"""``qiki chip``: samples, registers, writes and decoding; refusals with what is allowed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from drivers.errors import DeviceError
from firmware_py.cli import bench, chip
from hil.faults import Fault, FaultKind
from hil.rig import Rig
from tests.firmware_py.bench_terminal import BOARD, qiki

MS = 1_000_000


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
