"""LSM303DLHC: kernel values, order and gains of the axes, saturation, and a chip that fell asleep."""

from __future__ import annotations

import struct
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers import lsm303dlhc
from drivers.errors import Cause, DeviceError
from drivers.samples import FieldSample
from tests.drivers.scripted import MemoryBank, causes, outcomes, published, refusal, run

ADDRESS = 0x1E


class Registers(MemoryBank):
    """The magnetometer of an LSM303DLHC (ST DocID018771) after power-up; writes do not step the pointer on."""

    name = "i2c_b"
    address = ADDRESS

    def power_up(self) -> None:
        self.memory = bytearray(0x40)
        self.memory[0x00:0x03] = b"\x10\x20\x03"
        self.memory[0x0A:0x0D] = b"H43"
        self.convert(550, 220, -294)

    def convert(self, x: int, y: int, z: int) -> None:
        self.memory[0x03:0x09] = struct.pack(">hhh", x, z, y)
        self.memory[0x09] = 0x01

    def take(self, data: bytes) -> None:
        assert len(data) == 2
        super().take(data)



def ready(bus: Registers, **fields: int) -> lsm303dlhc.Device:
    device = lsm303dlhc.Device(bus, ADDRESS, msgspec.convert(fields, type=lsm303dlhc.Settings, strict=True))
    run(bus, device.initialise())
    assert run(bus, device.acquire()) is None
    return device


def test_every_value_that_the_kernel_computed(shared_data: Path) -> None:
    rows = published(shared_data, "LSM303DLHC mag")
    assert len(rows) == 6
    expected = {row["unit"].split()[0]: float(row["expected"]) for row in rows}
    memory = dict(zip(rows[0]["registers"].split(), rows[0]["bytes"].split(), strict=True))
    data = bytes.fromhex("".join(memory[f"0x{register:02x}"] for register in range(0x03, 0x09)))
    field_t = lsm303dlhc.field(data, 1100, 980).field_t
    for axis, value_t in zip("xyz", field_t, strict=True):
        gauss = expected[f"in_magn_{axis}_raw"] * expected[f"in_magn_{axis}_scale"]
        assert value_t == pytest.approx(gauss * 1e-4, rel=6e-4)  # the scale is printed with three digits


@pytest.mark.parametrize(("range_mg", "code", "xy", "z"), [
    (1300, 1, 1100, 980), (1900, 2, 855, 760), (2500, 3, 670, 600), (4000, 4, 450, 400), (4700, 5, 400, 355),
    (5600, 6, 330, 295), (8100, 7, 230, 205),
])
def test_one_gauss_is_one_gauss_in_every_range(range_mg: int, code: int, xy: int, z: int) -> None:
    bus = Registers()
    device = ready(bus, range_mg=range_mg)
    assert bus.memory[0x01] == code << 5
    bus.convert(xy, -xy, z)
    assert run(bus, device.acquire()).field_t == pytest.approx((1e-4, -1e-4, 1e-4))


def test_initialise_measures_continuously_at_75_hz() -> None:
    bus = Registers()
    ready(bus)
    assert bytes(bus.memory[0x00:0x03]) == b"\x18\x20\x00"


def test_a_sample_costs_two_transactions() -> None:
    bus = Registers()
    device = ready(bus)
    before = bus.transactions
    run(bus, device.acquire())
    assert bus.transactions - before == 2


@pytest.mark.parametrize(("axes", "cause"), [
    ((-4096, 0, 0), Cause.OVER_RANGE), ((0, -4096, 5), Cause.OVER_RANGE), ((1, 2, -4096), Cause.OVER_RANGE),
    ((2048, 0, 0), Cause.IMPLAUSIBLE), ((0, -2049, 0), Cause.IMPLAUSIBLE), ((0, 0, 16384), Cause.IMPLAUSIBLE),
    ((-4096, 2048, 0), Cause.IMPLAUSIBLE),
])
def test_saturation_and_more_than_12_bits_are_refused(axes: tuple[int, int, int], cause: Cause) -> None:
    bus = Registers()
    device = ready(bus)
    bus.convert(*axes)
    assert refusal(bus, device.acquire()) is cause


def test_both_ends_of_12_bits_are_fields() -> None:
    assert lsm303dlhc.field(struct.pack(">hhh", 2047, -2048, 2047), 1100, 980).field_t[2] < 0.0


def test_data_that_is_never_ready_becomes_stale_and_a_moment_of_storing_does_not() -> None:
    bus = Registers()
    device = ready(bus)
    for _ in range(3):
        bus.memory[0x09] = 0x00
        assert run(bus, device.acquire()) is None
        bus.convert(1, 2, 3)
        assert run(bus, device.acquire()) is not None
    bus.memory[0x09] = 0x02
    for _ in range(8):
        assert run(bus, device.acquire()) is None
    assert refusal(bus, device.acquire()) is Cause.STALE_COUNTER


def test_a_chip_that_fell_asleep_is_found_and_refused_until_initialised() -> None:
    bus = Registers()
    device = ready(bus, scrub_every=1)
    bus.power_up()
    assert refusal(bus, device.acquire()) is Cause.RESET
    assert refusal(bus, device.acquire()) is Cause.RESET
    run(bus, device.initialise())
    assert run(bus, device.acquire()) is None
    assert run(bus, device.acquire()) is not None


def test_an_upset_gain_is_found() -> None:
    bus = Registers()
    device = ready(bus, scrub_every=2)
    bus.memory[0x01] = 0x60
    found = causes(bus, device, 6)
    assert set(found) == {Cause.RESET}


def test_no_field_is_believed_from_a_chip_that_knows_its_name() -> None:
    bus = Registers()
    device = ready(bus)
    bus.convert(0, 0, 0)
    assert run(bus, device.acquire()).field_t == (0.0, 0.0, 0.0)
    bus.memory[0x0A:0x0D] = bytes(3)
    assert refusal(bus, device.acquire()) is Cause.WRONG_ID


@pytest.mark.parametrize(("byte", "cause"), [(0x00, Cause.STALE_COUNTER), (0xFF, Cause.IMPLAUSIBLE)])
def test_a_dead_data_line_gives_no_field(byte: int, cause: Cause) -> None:
    bus = Registers()
    device = ready(bus)
    bus.memory[:] = bytes((byte,)) * len(bus.memory)
    found = outcomes(lambda: run(bus, device.acquire()), 9)
    assert set(found) - {None} == {cause}


def test_identify_names_the_part_and_writes_nothing() -> None:
    bus = Registers()
    before = bytes(bus.memory)
    assert "LSM303DLHC" in run(bus, lsm303dlhc.Device(bus, ADDRESS, lsm303dlhc.Settings()).identify())
    assert bytes(bus.memory) == before


@pytest.mark.parametrize("identity", [b"H44", bytes(3), b"\xff\xff\xff"])
def test_another_chip_is_refused(identity: bytes) -> None:
    bus = Registers()
    bus.memory[0x0A:0x0D] = identity
    device = lsm303dlhc.Device(bus, ADDRESS, lsm303dlhc.Settings())
    assert refusal(bus, device.initialise()) is Cause.WRONG_ID


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.one_of(st.binary(max_size=8), st.binary(min_size=6, max_size=6)))
def test_any_bytes_are_a_field_or_a_refusal(data: bytes) -> None:
    for codec in lsm303dlhc.CODECS:
        try:
            sample = codec.decode(data)
        except DeviceError:
            continue
        assert isinstance(sample, FieldSample)
        assert all(abs(axis) < 1.1e-3 for axis in sample.field_t)
