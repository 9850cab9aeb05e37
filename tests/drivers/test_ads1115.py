"""ADS1115: kernel values, a conversion for each channel, ends of range, and a configuration that must read back."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers import ads1115
from drivers.errors import Cause, DeviceError
from tests.drivers.scripted import I2cPart, published, refusal, run

ADDRESS = 0x48
RANGES_V = (6.144, 4.096, 2.048, 1.024, 0.512, 0.256, 0.256, 0.256)


class Registers(I2cPart):
    """An ADS1115 after power-up (TI SBAS444): single-shot conversions that take ``looks`` looks at the OS bit."""

    name = "i2c_b"
    address = ADDRESS

    def __init__(self) -> None:
        self.inputs = [0.5, 1.25, -0.01, 3.0]
        self.looks = 0
        super().__init__()

    def power_up(self) -> None:
        self.words = {0: 0x0000, 1: 0x8583, 2: 0x8000, 3: 0x7FFF}
        self.left = 0

    def convert(self) -> None:
        mux, pga = self.words[1] >> 12 & 7, self.words[1] >> 9 & 7
        plus, minus = ((0, 1), (0, 3), (1, 3), (2, 3))[mux] if mux < 4 else (mux - 4, None)
        volts = self.inputs[plus] - (0.0 if minus is None else self.inputs[minus])
        raw = max(-0x8000, min(0x7FFF, round(volts / RANGES_V[pga] * 0x8000)))
        self.words[0] = raw & 0xFFFF

    def take(self, data: bytes) -> None:
        word = int.from_bytes(data[1:], "big")
        self.words[data[0]] = word
        if data[0] == 1 and word & 0x8000:
            self.convert()
            self.words[1] &= 0x7FFF
            self.left = self.looks

    def answer(self, data: bytes, count: int) -> bytes:
        if data[0] == 1:
            if self.left == 0:
                self.words[1] |= 0x8000
            self.left -= 1
        return self.words[data[0]].to_bytes(2, "big")[:count]


def ready(bus: Registers, *channels: tuple[str, int]) -> ads1115.Device:
    fields = {"channels": [{"input": name, "full_scale_mv": mv} for name, mv in channels]} if channels else {}
    device = ads1115.Device(bus, ADDRESS, msgspec.convert(fields, type=ads1115.Settings, strict=True))
    run(bus, device.initialise())
    return device


def test_every_value_that_the_kernel_computed(shared_data: Path) -> None:
    rows = published(shared_data, "ADS1115 neg")
    assert len(rows) == 2
    result, configuration = (bytes.fromhex(text) for text in rows[0]["bytes"].split())
    raw, scale_mv = (float(row["expected"]) for row in rows)
    range_v = ads1115.full_scale_v(configuration)
    assert range_v / 0x8000 == pytest.approx(scale_mv / 1000.0)
    assert ads1115.voltage_v(result, range_v) == pytest.approx(raw * scale_mv / 1000.0)


def test_all_channels_in_order() -> None:
    bus = Registers()
    sample = run(bus, ready(bus).acquire())
    assert sample.voltage_v == pytest.approx((0.5, 1.25, -0.01, 3.0), abs=1.3e-4)


def test_each_channel_has_its_own_range_and_input() -> None:
    bus = Registers()
    device = ready(bus, ("a0", 512), ("a1-a3", 2048), ("a3", 6144))
    assert run(bus, device.acquire()).voltage_v == pytest.approx((0.5, -1.75, 3.0), abs=2e-4)


def test_a_channel_costs_three_transactions_and_one_more_for_every_look() -> None:
    bus = Registers()
    device = ready(bus, ("a0", 4096), ("a1", 4096))
    before = bus.transactions
    run(bus, device.acquire())
    assert bus.transactions - before == 6
    bus.looks = 2
    run(bus, device.acquire())
    assert bus.transactions - before == 6 + 10


def test_an_input_beyond_its_range_is_missing_and_the_others_stay() -> None:
    bus = Registers()
    device = ready(bus, ("a1", 1024), ("a0", 1024), ("a0-a3", 2048))
    assert run(bus, device.acquire()).voltage_v == (None, pytest.approx(0.5, abs=1e-4), None)


@pytest.mark.parametrize(("data", "value"), [
    (b"\x7f\xff", None), (b"\x80\x00", None), (b"\x7f\xfe", 2.048 * 32766 / 32768),
    (b"\x80\x01", -2.048 * 32767 / 32768),
    (b"\x00\x00", 0.0), (b"\xff\xff", -62.5e-6),
])
def test_only_the_ends_of_the_range_are_missing(data: bytes, value: float | None) -> None:
    found = ads1115.voltage_v(data, 2.048)
    assert found is None if value is None else found == pytest.approx(value)


def test_a_conversion_that_never_ends_is_stale() -> None:
    bus = Registers()
    device = ready(bus)
    bus.looks = 10**6
    assert refusal(bus, device.acquire()) is Cause.STALE_COUNTER


def test_a_chip_that_restarts_between_order_and_result_is_found() -> None:
    bus = Registers()
    device = ready(bus)
    steps = device.acquire()
    next(steps)
    bus.power_up()
    assert refusal(bus, steps) is Cause.RESET


@pytest.mark.parametrize("word", [0x0000, 0xFFFF])
def test_a_dead_data_line_gives_no_voltage(word: int) -> None:
    bus = Registers()
    device = ready(bus)
    bus.write = lambda address, data: setattr(bus, "transactions", bus.transactions + 1)  # type: ignore[method-assign]
    bus.words = dict.fromkeys(bus.words, word)
    bus.left = -1
    assert refusal(bus, device.acquire()) is Cause.RESET


def test_identify_goes_by_the_thresholds_and_writes_nothing() -> None:
    bus = Registers()
    before = dict(bus.words)
    assert "ADS1115" in run(bus, ads1115.Device(bus, ADDRESS, ads1115.Settings()).identify())
    assert bus.words == before


@pytest.mark.parametrize(("register", "word"), [(2, 0x0000), (3, 0xFFFF), (2, 0x4B00), (3, 0x5000)])
def test_another_chip_is_refused(register: int, word: int) -> None:
    bus = Registers()
    bus.words[register] = word
    assert refusal(bus, ads1115.Device(bus, ADDRESS, ads1115.Settings()).initialise()) is Cause.WRONG_ID


@pytest.mark.parametrize("fields", [
    {"channels": []}, {"channels": [{"input": "a4"}]}, {"channels": [{"input": "a0", "full_scale_mv": 5000}]},
    {"rate_hz": 8}, {"gain": 1},
])
def test_settings_that_the_part_does_not_have_are_refused(fields: dict[str, object]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(fields, type=ads1115.Settings, strict=True)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.binary(max_size=4))
def test_any_bytes_are_a_voltage_missing_or_a_refusal(data: bytes) -> None:
    for codec in ads1115.CODECS:
        with suppress(DeviceError):
            assert isinstance(codec.decode(data), float | None)
