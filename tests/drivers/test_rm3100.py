"""RM3100: scale, freshness by the data-ready flag, and a chip that lost its supply."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers import rm3100
from drivers.errors import Cause, DeviceError
from drivers.samples import FieldSample
from tests.drivers.scripted import MemoryBank, outcomes, published, refusal, run

ADDRESS = 0x20
COUNTS = (2250, -1500, 3000)
"""30, -20, 40 uT at 200 cycles."""


class Registers(MemoryBank):
    """An RM3100 (PNI user manual, chapter 5): converts only in continuous mode, which ends when CMM is read."""

    name = "i2c_b"
    address = ADDRESS

    def power_up(self) -> None:
        self.memory = bytearray(0x40)
        self.memory[0x04:0x0A] = bytes.fromhex("00c800c800c8")
        self.memory[0x0B] = 0x96
        self.memory[0x36] = 0x22

    def convert(self, counts: tuple[int, int, int] = COUNTS) -> None:
        if self.memory[0x01] & 0x71 == 0x71:
            self.memory[0x24:0x2D] = b"".join(n.to_bytes(3, "big", signed=True) for n in counts)
            self.memory[0x34] = 0x80 | 0x2A  # bits 6..0 are indeterminate

    def take(self, data: bytes) -> None:
        if data[0] == 0x0B:
            self.memory[0x01] = 0
        super().take(data)

    def answer(self, data: bytes, count: int) -> bytes:
        answer = super().answer(data, count)
        if data[0] == 0x01:
            self.memory[0x01] = 0
        if data[0] == 0x24:
            self.memory[0x34] &= 0x7F
        return answer


def ready(bus: Registers, cycle_count: int = 200) -> rm3100.Device:
    device = rm3100.Device(
        bus, ADDRESS, msgspec.convert({"cycle_count": cycle_count}, type=rm3100.Settings, strict=True)
    )
    run(bus, device.initialise())
    return device


def test_the_reference_row_within_the_kernels_rounding(shared_data: Path) -> None:
    rows = published(shared_data, "RM3100")
    assert len(rows) == 1
    value = rm3100.axis_t(bytes.fromhex(rows[0]["bytes"]), 75.0)
    assert value == pytest.approx(100e-6)
    assert value == pytest.approx(float(rows[0]["expected"]) * 1e-6, rel=3e-3)


def test_a_sample_is_in_tesla_and_signed() -> None:
    bus = Registers()
    device = ready(bus)
    bus.convert()
    assert run(bus, device.acquire()).field_t == pytest.approx((30e-6, -20e-6, 40e-6))


@pytest.mark.parametrize(("cycle_count", "lsb_per_ut"), [(50, 20.0), (100, 38.0), (200, 75.0)])
def test_sensitivity_follows_the_cycle_count(cycle_count: int, lsb_per_ut: float) -> None:
    bus = Registers()
    device = ready(bus, cycle_count)
    assert bytes(bus.memory[0x04:0x0A]) == cycle_count.to_bytes(2, "big") * 3
    bus.convert()
    assert run(bus, device.acquire()).field_t[0] == pytest.approx(2250 / lsb_per_ut * 1e-6)


def test_continuous_mode_survives_initialise() -> None:
    bus = Registers()
    ready(bus)
    assert bus.memory[0x01] == 0x71
    assert bus.memory[0x0B] == 0x95


def test_a_sample_costs_two_transactions() -> None:
    bus = Registers()
    device = ready(bus)
    bus.convert()
    before = bus.transactions
    run(bus, device.acquire())
    assert bus.transactions - before == 2


def test_nothing_is_said_before_the_first_conversion() -> None:
    bus = Registers()
    device = ready(bus)
    assert run(bus, device.acquire()) is None
    bus.convert()
    assert run(bus, device.acquire()) is not None


def test_an_old_conversion_is_not_given_twice() -> None:
    bus = Registers()
    device = ready(bus)
    bus.convert()
    run(bus, device.acquire())
    assert refusal(bus, device.acquire()) is Cause.STALE_COUNTER


def test_an_unchanged_field_is_still_new() -> None:
    bus = Registers()
    device = ready(bus)
    for _ in range(5):
        bus.convert()
        assert run(bus, device.acquire()) is not None


def test_a_chip_that_lost_its_supply_is_known_at_once_and_refused_until_initialised() -> None:
    bus = Registers()
    device = ready(bus)
    bus.convert()
    run(bus, device.acquire())
    bus.power_up()
    bus.convert()
    assert refusal(bus, device.acquire()) is Cause.RESET
    assert refusal(bus, device.acquire()) is Cause.RESET
    run(bus, device.initialise())
    bus.convert()
    assert run(bus, device.acquire()) is not None


@pytest.mark.parametrize(("register", "byte"), [(0x05, 0x64), (0x07, 0xC9), (0x0B, 0x96)])
def test_an_upset_configuration_is_found_and_refused_until_seen_right(register: int, byte: int) -> None:
    bus = Registers()
    device = rm3100.Device(bus, ADDRESS, rm3100.Settings(scrub_every=4))
    run(bus, device.initialise())
    right = bus.memory[register]
    bus.memory[register] = byte

    def ask() -> FieldSample | None:
        bus.convert()
        return run(bus, device.acquire())

    found = outcomes(ask, 12)
    assert all(isinstance(outcome, FieldSample) for outcome in found[:3])
    assert set(found[7:]) == {Cause.RESET}
    bus.memory[register] = right
    bus.convert()
    assert run(bus, device.acquire()) is not None


def test_the_configuration_is_looked_at_in_one_more_transaction() -> None:
    bus = Registers()
    device = rm3100.Device(bus, ADDRESS, rm3100.Settings(scrub_every=3))
    run(bus, device.initialise())
    costs = []
    for _ in range(6):
        bus.convert()
        before = bus.transactions
        run(bus, device.acquire())
        costs.append(bus.transactions - before)
    assert costs == [2, 2, 3, 2, 2, 3]
    assert bus.memory[0x01] == 0x71


def test_identify_names_the_revision_and_writes_nothing() -> None:
    bus = Registers()
    before = bytes(bus.memory)
    assert run(bus, rm3100.Device(bus, ADDRESS, rm3100.Settings()).identify()) == "PNI RM3100 revision 22h"
    assert bytes(bus.memory) == before


@pytest.mark.parametrize("byte", [0x00, 0x21, 0xFF])
def test_another_chip_is_refused(byte: int) -> None:
    bus = Registers()
    bus.memory[0x36] = byte
    assert refusal(bus, rm3100.Device(bus, ADDRESS, rm3100.Settings()).initialise()) is Cause.WRONG_ID


def test_a_line_held_high_is_refused() -> None:
    bus = Registers()
    device = ready(bus)
    bus.memory[:] = b"\xff" * len(bus.memory)
    assert refusal(bus, device.acquire()) is Cause.IMPLAUSIBLE


@pytest.mark.parametrize("data", [bytes(9), b"\xff" * 9, b"\x7f\xff\xff" + bytes(6), bytes(8)])
def test_impossible_answers_are_refused(data: bytes) -> None:
    with pytest.raises(DeviceError):
        rm3100.field(data, 75.0)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.one_of(st.binary(max_size=10), st.binary(min_size=9, max_size=9)))
def test_any_bytes_are_a_field_or_a_refusal(data: bytes) -> None:
    try:
        sample = rm3100.field(data, 75.0)
    except DeviceError:
        return
    assert all(abs(axis) <= 1.1e-3 for axis in sample.field_t)
