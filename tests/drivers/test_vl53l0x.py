"""VL53L0X: ranges that the part vouches for, each given once, and a bus that is not held while it measures."""

from __future__ import annotations

import struct

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers import vl53l0x
from drivers.errors import Cause, DeviceError
from drivers.samples import RangeSample
from tests.drivers.scripted import MemoryBank, outcomes, refusal, run

ADDRESS = 0x29
VALID, NO_TARGET, SIGMA = 11, 4, 7


def result(range_mm: int, code: int = VALID, signal: int = 256, complete: bool = True) -> bytes:
    return struct.pack(">BB4xHHH", code << 3 | complete, 0, signal, 12, range_mm)


class Registers(MemoryBank):
    """A VL53L0X after power-up (ST DS11555): a measurement runs when started, and ends when the test says so."""

    name = "i2c_b.70.4"
    address = ADDRESS

    def __init__(self) -> None:
        self.holds_interrupt = False
        super().__init__()

    def power_up(self) -> None:
        self.memory = bytearray(0x100)
        self.memory[0xC0:0xC3] = b"\xee\xaa\x10"
        self.measuring = False

    def finish(self, data: bytes) -> None:
        if self.measuring:
            self.memory[0x14:0x20] = data
            self.memory[0x13] = self.memory[0x0A]
            self.measuring = False

    def take(self, data: bytes) -> None:
        if data[0] == 0x00 and data[1] & 1:
            self.measuring = True
        elif data[0] == 0x0B:
            self.memory[0x13] &= 0xFF if self.holds_interrupt else 0xF8
        else:
            super().take(data)



def ready(bus: Registers, **fields: float) -> vl53l0x.Device:
    device = vl53l0x.Device(bus, ADDRESS, msgspec.convert(fields, type=vl53l0x.Settings, strict=True))
    run(bus, device.initialise())
    return device


def test_a_range_is_in_metres_with_its_signal() -> None:
    assert vl53l0x.measurement(result(1234, signal=320)) == RangeSample(1.234, 2.5, None, "valid")


@pytest.mark.parametrize(("range_mm", "code", "status"), [
    (8190, VALID, "no target"), (8191, VALID, "no target"), (150, NO_TARGET, "no target"),
    (150, SIGMA, "sigma too large"), (20, 0, "no measurement"), (600, 9, "phase inconsistent"),
    (600, 2, "laser watchdog"),
])
def test_what_the_part_distrusts_is_missing_with_its_word(range_mm: int, code: int, status: str) -> None:
    sample = vl53l0x.measurement(result(range_mm, code))
    assert (sample.range_m, sample.status) == (None, status)


@pytest.mark.parametrize("data", [
    bytes(12), b"\xff" * 12, result(500, complete=False), result(5000), result(500)[:11], result(500) + b"\0", b"",
])
def test_impossible_answers_are_refused(data: bytes) -> None:
    with pytest.raises(DeviceError):
        vl53l0x.measurement(data)


def test_initialise_begins_the_first_measurement() -> None:
    bus = Registers()
    ready(bus)
    assert bus.memory[0x0A] == 0x04
    assert bus.measuring


def test_identify_names_the_revision_and_writes_nothing() -> None:
    bus = Registers()
    before = bytes(bus.memory)
    said = run(bus, vl53l0x.Device(bus, ADDRESS, vl53l0x.Settings()).identify())
    assert said == "ST VL53L0X revision 10h"
    assert bytes(bus.memory) == before


@pytest.mark.parametrize("model", [b"\xee\xac", b"\x00\x00", b"\xff\xff"])
def test_another_chip_is_refused(model: bytes) -> None:
    bus = Registers()
    bus.memory[0xC0:0xC2] = model
    assert refusal(bus, vl53l0x.Device(bus, ADDRESS, vl53l0x.Settings()).initialise()) is Cause.WRONG_ID


def test_a_sample_is_four_transactions_and_begins_the_next_measurement() -> None:
    bus = Registers()
    device = ready(bus)
    bus.finish(result(800))
    before = bus.transactions
    assert run(bus, device.acquire()).range_m == pytest.approx(0.8)
    assert bus.transactions - before == 4
    assert bus.measuring


def test_nothing_is_said_while_a_measurement_runs_and_no_result_twice() -> None:
    bus = Registers()
    device = ready(bus)
    assert run(bus, device.acquire()) is None
    bus.finish(result(800))
    assert run(bus, device.acquire()) is not None
    assert run(bus, device.acquire()) is None


def test_a_measurement_that_never_ends_becomes_stale() -> None:
    bus = Registers()
    device = ready(bus)
    for _ in range(8):
        assert run(bus, device.acquire()) is None
    assert refusal(bus, device.acquire()) is Cause.STALE_COUNTER


def test_a_result_that_cannot_be_dismissed_is_refused() -> None:
    bus = Registers()
    device = ready(bus)
    bus.finish(result(800))
    bus.holds_interrupt = True
    assert refusal(bus, device.acquire()) is Cause.STALE_COUNTER


def test_a_part_that_restarted_is_known_at_once_and_refused_until_initialised() -> None:
    bus = Registers()
    device = ready(bus)
    bus.power_up()
    assert refusal(bus, device.acquire()) is Cause.RESET
    assert refusal(bus, device.acquire()) is Cause.RESET
    run(bus, device.initialise())
    bus.finish(result(800))
    assert run(bus, device.acquire()) is not None


def test_an_upset_configuration_is_found_by_the_scrub() -> None:
    bus = Registers()
    device = ready(bus, scrub_every=2)

    def ask() -> RangeSample | None:
        bus.finish(result(800))
        bus.memory[0x0A] = 0x24
        bus.memory[0x13] = 0x04
        return run(bus, device.acquire())

    assert [outcome for outcome in outcomes(ask, 4) if isinstance(outcome, Cause)] == [Cause.RESET] * 3


@pytest.mark.parametrize(("byte", "cause"), [(0xFF, Cause.IMPLAUSIBLE), (0x00, Cause.RESET)])
def test_a_dead_data_line_gives_no_range(byte: int, cause: Cause) -> None:
    bus = Registers()
    device = ready(bus)
    bus.finish(result(800))
    bus.memory[:] = bytes((byte,)) * len(bus.memory)
    assert refusal(bus, device.acquire()) is cause


def test_the_offset_of_the_mounting_is_added() -> None:
    bus = Registers()
    device = ready(bus, offset_m=-0.012)
    bus.finish(result(800))
    assert run(bus, device.acquire()).range_m == pytest.approx(0.788)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.one_of(st.binary(max_size=14), st.binary(min_size=12, max_size=12)))
def test_any_bytes_are_a_range_or_a_refusal(data: bytes) -> None:
    for codec in vl53l0x.CODECS:
        try:
            sample = codec.decode(data)
        except DeviceError:
            continue
        assert isinstance(sample, RangeSample)
        assert sample.range_m is None or 0.0 <= sample.range_m <= 4.0
