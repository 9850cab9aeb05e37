"""TMP423: published temperatures, open and shorted diodes, the range that a brown-out takes away."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers import tmp423
from drivers.errors import Cause, DeviceError
from tests.drivers.scripted import WordBank, causes, published, refusal, run

ADDRESS = 0x4C
SETTINGS = tmp423.Settings(nodes=("core", "pdu", "supercap", "battery"))
MEASURED = {0x00: b"\x59\x00", 0x01: b"\x68\x80", 0x02: b"\x2c\xf0", 0x03: b"\x80\x10"}
"""25, 40.5, -19.0625, 64.0625 deg C in the extended range."""


class Registers(WordBank):
    """A TMP423 after power-up (TI SBOS398C, table 3): results come after a conversion, a reset clears them."""

    name = "i2c_b"
    address = ADDRESS

    def power_up(self) -> None:
        self.words = {0x08: b"\x00", 0x09: b"\x00", 0x0A: b"\x7c", 0x0B: b"\x07", 0xFE: b"\x55", 0xFF: b"\x23"}
        self.words.update(dict.fromkeys(range(4), b"\x00\x00"))

    def convert(self) -> None:
        self.words.update(MEASURED)

    def take(self, data: bytes) -> None:
        if data[0] == 0xFC:
            self.power_up()
        else:
            super().take(data)


def ready(bus: Registers) -> tmp423.Device:
    device = tmp423.Device(bus, ADDRESS, SETTINGS)
    run(bus, device.initialise())
    bus.convert()
    return device


def test_every_published_byte_of_the_format_table(shared_data: Path) -> None:
    rows = published(shared_data, "TMP421")
    assert len(rows) == 12
    for row in rows:
        byte = bytes.fromhex(row["bytes"])
        data = byte + b"\x00" if row["registers"] == "0x00" else b"\x00" + byte
        assert tmp423.channel_c(data, 0, extended=False) == float(row["expected"])


def test_every_value_that_the_kernel_computed(shared_data: Path) -> None:
    rows = published(shared_data, "TMP423")
    assert len(rows) == 4
    for row in rows:
        registers = dict(zip(row["registers"].split(), row["bytes"].split(), strict=True))
        channel = int(row["expected"] and row["unit"][4]) - 1
        data = bytes.fromhex(registers[f"0x0{channel}"] + registers[f"0x1{channel}"])
        value = tmp423.channel_c(data, channel, extended=registers["0x09"] == "04")
        assert value == pytest.approx(float(row["expected"]) / 1000.0, abs=6e-4)


def test_settings_take_a_list_of_up_to_four_nodes() -> None:
    given_list = msgspec.convert({"nodes": ["a", "b"]}, type=tmp423.Settings, strict=True)
    assert given_list.nodes == ("a", "b")
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"nodes": ["a"] * 5}, type=tmp423.Settings, strict=True)


def test_a_sample_has_the_local_channel_first() -> None:
    bus = Registers()
    sample = run(bus, ready(bus).acquire())
    assert sample.celsius == (25.0, 40.5, -19.0625, 64.0625)


def test_a_sample_costs_five_transactions() -> None:
    bus = Registers()
    device = ready(bus)
    before = bus.transactions
    run(bus, device.acquire())
    assert bus.transactions - before == 5


def test_initialise_resets_then_takes_the_extended_range() -> None:
    bus = Registers()
    bus.words[0x09] = b"\x44"
    bus.convert()
    device = tmp423.Device(bus, ADDRESS, SETTINGS)
    run(bus, device.initialise())
    assert bus.words[0x09] == b"\x04"
    assert bus.words[0x0A] == b"\x7c"
    assert bus.words[0x00] == b"\x00\x00"


def test_nothing_is_said_until_all_channels_have_converted() -> None:
    bus = Registers()
    device = ready(bus)
    bus.words[0x03] = b"\x00\x00"
    assert run(bus, device.acquire()) is None
    bus.convert()
    assert run(bus, device.acquire()) is not None


def test_a_chip_that_never_converts_is_refused() -> None:
    bus = Registers()
    device = ready(bus)
    bus.words[0x00] = b"\x00\x00"
    for _ in range(3):
        assert run(bus, device.acquire()) is None
    assert refusal(bus, device.acquire()) is Cause.IMPLAUSIBLE


def test_a_diode_shorted_from_the_start_is_missing_after_the_wait() -> None:
    bus = Registers()
    device = ready(bus)
    bus.words[0x02] = b"\x00\x00"
    samples = [run(bus, device.acquire()) for _ in range(4)]
    assert samples[:3] == [None] * 3
    assert samples[3].celsius == (25.0, 40.5, None, 64.0625)


def test_an_open_diode_is_missing_and_the_others_stay() -> None:
    bus = Registers()
    device = ready(bus)
    bus.words[0x01] = b"\xff\xf1"
    assert run(bus, device.acquire()).celsius == (25.0, None, -19.0625, 64.0625)


def test_brown_out_is_refused_because_the_range_is_gone() -> None:
    bus = Registers()
    device = ready(bus)
    run(bus, device.acquire())
    bus.power_up()
    bus.words.update(dict.fromkeys(range(4), b"\x19\x00"))  # 25 deg C in the standard range, -39 in ours
    assert refusal(bus, device.acquire()) is Cause.RESET


@pytest.mark.parametrize(("register", "byte"), [(0x0A, b"\x3c"), (0x0B, b"\x07")])
def test_an_upset_configuration_is_found(register: int, byte: bytes) -> None:
    bus = Registers()
    device = tmp423.Device(bus, ADDRESS, tmp423.Settings(scrub_every=2))
    run(bus, device.initialise())
    bus.convert()
    bus.words[register] = byte
    found = causes(bus, device, 4)
    assert set(found) == {Cause.RESET}


def test_identify_names_the_part_and_writes_nothing() -> None:
    bus = Registers()
    before = dict(bus.words)
    assert run(bus, tmp423.Device(bus, ADDRESS, SETTINGS).identify()) == "TI TMP423"
    assert bus.words == before


@pytest.mark.parametrize(("register", "byte"), [(0xFE, b"\x41"), (0xFF, b"\x21"), (0xFF, b"\x00")])
def test_another_chip_is_refused(register: int, byte: bytes) -> None:
    bus = Registers()
    bus.words[register] = byte
    assert refusal(bus, tmp423.Device(bus, ADDRESS, SETTINGS).initialise()) is Cause.WRONG_ID


@pytest.mark.parametrize("data", ["0000", "ffff", "5904", "5902", "5901", "f000", "59"])
def test_impossible_local_answers_are_refused(data: str) -> None:
    with pytest.raises(DeviceError):
        tmp423.channel_c(bytes.fromhex(data), 0)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.binary(max_size=3), st.integers(0, 3), st.booleans())
def test_any_bytes_are_a_temperature_missing_or_a_refusal(data: bytes, channel: int, extended: bool) -> None:
    try:
        value = tmp423.channel_c(data, channel, extended)
    except DeviceError:
        return
    assert value is None or -128.0 <= value <= 155.0


def test_more_nodes_than_the_part_has_channels_are_refused() -> None:
    with pytest.raises(msgspec.ValidationError, match="a TMP421 has 2 channels, not 3"):
        msgspec.convert({"nodes": ["a", "b", "c"], "device": 421}, type=tmp423.Settings, strict=True)
