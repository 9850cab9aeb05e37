"""MAX31865: every row of the datasheet's tables, both branches of the equation, faults, brown-out, wiring check."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers import max31865
from drivers.device import Access, OracleKind
from drivers.errors import Cause, DeviceError
from drivers.samples import ResistanceSample
from tests.drivers.scripted import SpiPart, published, refusal, run

POWER_ON = bytes((0x00, 0x00, 0x00, 0xFF, 0xFF, 0x00, 0x00, 0x00))


class Chip(SpiPart):
    """Registers of a MAX31865 (tables 1 to 7): auto-increment, self-clearing bits, faults latched in 07h."""

    name = "spi1"
    address = 0

    def __init__(self) -> None:
        super().__init__()
        self.registers = bytearray(POWER_ON)
        self.code = 8192
        self.converts = True
        self.faults = 0
        self.wiring = 0
        self.detection_looks = 3
        self.cycles = 0
        self._left = 0

    def answer(self, data: bytes) -> bytes:
        pointer = data[0] & 0x7F
        if data[0] & 0x80:
            for at, value in enumerate(data[1:], pointer):
                self._write(at, value)
            return bytes(len(data))
        self._convert()
        return b"\x00" + bytes(self.registers[pointer : pointer + len(data) - 1])

    def _write(self, pointer: int, value: int) -> None:
        if pointer == 0x00:
            if value & 0x02:
                self.registers[7] = 0
            if value & 0x0C == 0x04:
                assert value & 0xE0 == 0x80, "a cycle wants 100X010Xb"
                self._left = self.detection_looks
                self.cycles += 1
            value &= ~0x22
        if 0x03 <= pointer <= 0x06 or pointer == 0x00:
            self.registers[pointer] = value

    def _convert(self) -> None:
        if self.registers[0] & 0x0C:
            self._left -= 1
            if self._left == 0:
                self.registers[0] &= ~0x0C
                self.registers[7] |= self.wiring
        if self.registers[0] & 0xC0 != 0xC0 or not self.converts:
            return
        self.registers[7] |= self.faults
        code = self.code
        if code >= int.from_bytes(self.registers[3:5], "big") >> 1:
            self.registers[7] |= 0x80
        if code <= int.from_bytes(self.registers[5:7], "big") >> 1:
            self.registers[7] |= 0x40
        self.registers[1:3] = (code << 1 | bool(self.registers[7])).to_bytes(2, "big")


def ready(chip: Chip, **fields: Any) -> max31865.Device:
    device = max31865.Device(chip, 0, max31865.Settings(**fields))
    run(chip, device.initialise())
    return device


def test_every_reference_row(shared_data: Path) -> None:
    rows = published(shared_data, "MAX31865")
    assert len(rows) == 35
    for row in rows:
        data = bytes.fromhex(row["bytes"])
        expected = float(row["expected"])
        if row["unit"] == "degC":
            block = b"\xc1" + data + b"\xff\xfe\x00\x00\x00"
            sample = max31865.sample(block, 100.0, 400.0)
            assert sample.celsius == pytest.approx(expected, abs=0.02)
            ohm = float(row["note"].split("RTD ")[1].split(" Ohm")[0])
            assert sample.resistance_ohm == pytest.approx(ohm, abs=0.01)
        else:
            assert max31865.ratio(data) == pytest.approx(expected, abs=1e-3)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(celsius=st.floats(-200.0, 850.0))
def test_the_equation_is_inverted_on_both_sides_of_zero(celsius: float) -> None:
    for nominal in (100.0, 1000.0):
        ohm = max31865.resistance_of(celsius, nominal)
        assert max31865.celsius_of(ohm, nominal) == pytest.approx(celsius, abs=1e-6)


def test_resistances_of_the_standard() -> None:
    for celsius, ohm in ((-200.0, 18.52), (-100.0, 60.26), (0.0, 100.0), (100.0, 138.51), (850.0, 390.48)):
        assert max31865.resistance_of(celsius, 100.0) == pytest.approx(ohm, abs=0.005)


@pytest.mark.parametrize("ohm", [0.0, 10.0, 17.0, 395.0, 400.0])
def test_a_resistance_of_no_temperature_has_none(ohm: float) -> None:
    assert max31865.celsius_of(ohm, 100.0) is None


def test_wires_filter_and_limits_choose_the_register_values() -> None:
    chip = Chip()
    ready(chip, wires=3, notch_hz=60, low_c=-100.0, high_c=200.0)
    assert bytes(chip.registers[:1]) == b"\xd0"
    assert int.from_bytes(chip.registers[3:5], "big") >> 1 == round(175.86 / 400 * 32768)
    assert int.from_bytes(chip.registers[5:7], "big") >> 1 == pytest.approx(60.26 / 400 * 32768, abs=1)
    assert chip.configured == [(0, 1, 1_000_000)]
    other = Chip()
    ready(other)
    assert bytes(other.registers[:1]) == b"\xc1"


def test_a_pt1000_reads_the_same_temperature() -> None:
    chip = Chip()
    device = ready(chip, r_nominal_ohm=1000.0, r_ref_ohm=4000.0)
    sample = run(chip, device.acquire())
    assert sample.celsius == pytest.approx(0.0, abs=1e-9)
    assert sample.resistance_ohm == 1000.0


def test_limits_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match="low_c"):
        max31865.Settings(low_c=50.0, high_c=10.0)
    with pytest.raises(ValueError, match="r_ref_ohm"):
        max31865.Settings(r_ref_ohm=200.0)


def test_identity_is_plausibility_and_says_so() -> None:
    chip = Chip()
    assert "no identity" in run(chip, max31865.Device(chip, 0, max31865.Settings()).identify())
    assert bytes(chip.registers) == POWER_ON


@pytest.mark.parametrize("answer", [b"\x00", b"\xff", b"\x47"])
def test_a_dead_line_is_refused(answer: bytes) -> None:
    chip = Chip()
    chip.stuck = answer
    assert refusal(chip, max31865.Device(chip, 0, max31865.Settings()).initialise()) is Cause.WRONG_ID


def test_a_sample_is_one_transaction() -> None:
    chip = Chip()
    device = ready(chip)
    before = chip.transactions
    sample = run(chip, device.acquire())
    assert chip.transactions == before + 1
    assert sample == ResistanceSample(pytest.approx(0.0, abs=1e-9), 100.0, ())


def test_nothing_is_said_before_the_first_conversion_but_not_for_ever() -> None:
    chip = Chip()
    chip.converts = False
    device = ready(chip)
    for _ in range(8):
        assert run(chip, device.acquire()) is None
    assert refusal(chip, device.acquire()) is Cause.STALE_COUNTER


def test_an_open_sensor_has_no_temperature_and_a_text() -> None:
    chip = Chip()
    device = ready(chip)
    chip.code = 32767
    sample = run(chip, device.acquire())
    assert sample == ResistanceSample(None, None, ("resistance above the high threshold",))


def test_a_shorted_sensor_has_no_temperature_and_a_text() -> None:
    chip = Chip()
    device = ready(chip)
    run(chip, device.acquire())
    chip.code = 0
    assert run(chip, device.acquire()).faults == ("resistance below the low threshold",)


def test_a_fault_that_is_over_is_cleared() -> None:
    chip = Chip()
    device = ready(chip)
    chip.faults = 0x04
    assert run(chip, device.acquire()).faults == ("over- or under-voltage at an input",)
    chip.faults = 0
    assert run(chip, device.acquire()).celsius == pytest.approx(0.0, abs=1e-9)


def test_the_wiring_is_checked_now_and_then_and_a_fault_lasts_until_it_is_gone() -> None:
    chip = Chip()
    device = ready(chip, fault_check_every=3)
    chip.wiring = 0x08
    samples = [run(chip, device.acquire()) for _ in range(5)]
    assert [s.celsius is None for s in samples] == [False, False, True, True, True]
    assert "RTDIN-" in samples[-1].faults[0]
    chip.wiring = 0
    assert run(chip, device.acquire()).celsius is not None
    assert chip.cycles == 2


def test_a_cycle_that_does_not_end_is_a_time_out_and_then_a_lost_configuration() -> None:
    chip = Chip()
    device = ready(chip, fault_check_every=1)
    chip.detection_looks = 1000
    assert refusal(chip, device.acquire()) is Cause.TIMEOUT
    assert refusal(chip, device.acquire()) is Cause.RESET


def test_a_brown_out_is_seen_in_the_very_next_sample_and_until_the_chip_is_set_up_anew() -> None:
    chip = Chip()
    device = ready(chip)
    run(chip, device.acquire())
    chip.registers[:] = POWER_ON
    assert [refusal(chip, device.acquire()) for _ in range(2)] == [Cause.RESET] * 2
    run(chip, device.initialise())
    assert run(chip, device.acquire()).celsius is not None


def test_an_upset_threshold_is_a_lost_configuration() -> None:
    chip = Chip()
    device = ready(chip)
    chip.registers[3] ^= 0x10
    assert refusal(chip, device.acquire()) is Cause.RESET


@pytest.mark.parametrize("block", [bytes(8), b"\xff" * 8, b"\xc1\x40\x00\xff\xfe\x00\x00\x01"])
def test_answers_that_no_converting_chip_gives_are_refused(block: bytes) -> None:
    with pytest.raises(DeviceError):
        max31865.sample(block, 100.0, 400.0)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(data=st.binary(max_size=12) | st.binary(min_size=8, max_size=8))
def test_any_bytes_are_a_value_or_a_named_rejection(data: bytes) -> None:
    for codec in max31865.CODECS:
        with suppress(DeviceError):
            codec.decode(data)


def test_what_the_bench_needs_is_declared() -> None:
    assert [oracle.kind for oracle in max31865.ORACLES] == [OracleKind.DATASHEET]
    assert {r.name for r in max31865.REGISTERS if r.access is Access.WRITE} == {
        "configuration", "high fault threshold", "low fault threshold",
    }
