"""AS7341: two passes make a spectrum, saturation is missing data, and the bus is free while it integrates."""

from __future__ import annotations

import struct

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers import as7341
from drivers.errors import Cause, DeviceError
from drivers.samples import SpectrumSample
from tests.drivers.scripted import MemoryBank, outcomes, refusal, run

ADDRESS = 0x39
DIODES = dict(zip(as7341.CHANNELS, (100, 200, 300, 400, 500, 600, 700, 800, 9000, 50), strict=True))
ROUTES = {
    "3001000000420000500000002004003001500006": as7341.CHANNELS[:4],
    "0000004002001003501003000000240000500006": as7341.CHANNELS[4:8],
}
"""SMUX tables of AN000666 and the diodes that they put on the first four converters."""


class Registers(MemoryBank):
    """An AS7341 after power-up (DS000504): the SMUX is loaded by command, an integration ends when the test says so."""

    name = "i2c_b"
    address = ADDRESS

    def __init__(self) -> None:
        self.light = dict(DIODES)
        self.analog = False
        self.smux_looks = 0
        super().__init__()

    def power_up(self) -> None:
        self.memory = bytearray(0x100)
        self.memory[0x92] = 0x24
        self.memory[0x81], self.memory[0xAA] = 0x00, 0x09
        self.memory[0xCA:0xCC] = (999).to_bytes(2, "little")
        self.chain: tuple[str, ...] = ()

    def integrate(self) -> None:
        if self.memory[0x80] & 0x03 != 0x03:
            return
        full = min((self.memory[0x81] + 1) * (int.from_bytes(self.memory[0xCA:0xCC], "little") + 1), 65535)
        counts = [min(self.light[name], full) for name in (*self.chain, "clear", "NIR")]
        saturated = self.analog or full in counts
        self.memory[0x94] = saturated << 7 | self.memory[0xAA]
        self.memory[0x95:0xA1] = struct.pack("<6H", *counts)
        self.memory[0xA3] = 0x40 | (0x10 if full in counts else 0) | (0x08 if self.analog else 0)

    def take(self, data: bytes) -> None:
        assert len(data) <= 33
        super().take(data)
        if data[0] == 0x80:
            self.memory[0xA3] = 0
            if data[1] & 0x10:
                assert self.memory[0xAF] == 0x10
                self.chain = ROUTES[self.memory[0x00:0x14].hex()]
                self.smux_left = self.smux_looks

    def answer(self, data: bytes, count: int) -> bytes:
        if data[0] == 0x80 and self.memory[0x80] & 0x10:
            self.smux_left -= 1
            if self.smux_left < 0:
                self.memory[0x80] &= 0xEF
        return super().answer(data, count)


def ready(bus: Registers, **fields: int) -> as7341.Device:
    device = as7341.Device(bus, ADDRESS, msgspec.convert(fields, type=as7341.Settings, strict=True))
    run(bus, device.initialise())
    return device


def spectrum(bus: Registers, device: as7341.Device) -> SpectrumSample:
    """Ask until a sample comes; each integration ends between two calls."""
    for _ in range(4):
        sample = run(bus, device.acquire())
        if sample is not None:
            return sample
        bus.integrate()
    raise AssertionError("no sample")


def test_a_spectrum_is_counts_over_gain_and_time_in_the_order_of_the_channels() -> None:
    bus = Registers()
    sample = spectrum(bus, ready(bus))
    assert sample.channels == as7341.CHANNELS
    assert (sample.gain, sample.integration_s) == (64.0, pytest.approx(66 * 993 * 2.78e-6))
    for name, value in zip(sample.channels, sample.basic_counts_s, strict=True):
        assert value == pytest.approx(DIODES[name] / 64.0 / sample.integration_s)


def test_after_the_first_every_second_call_gives_a_sample() -> None:
    bus = Registers()
    device = ready(bus)
    given_at = []
    for call in range(7):
        if run(bus, device.acquire()) is not None:
            given_at.append(call)
        bus.integrate()
    assert given_at == [2, 4, 6]


def test_the_bus_is_free_while_a_pass_integrates() -> None:
    bus = Registers()
    device = ready(bus)
    assert run(bus, device.acquire()) is None
    before = bus.transactions
    assert run(bus, device.acquire()) is None
    assert bus.transactions - before == 2


def test_a_slow_multiplexer_is_waited_for_and_a_stuck_one_is_not() -> None:
    bus = Registers()
    bus.smux_looks = 3
    assert spectrum(bus, ready(bus)) is not None
    bus = Registers()
    bus.smux_looks = 1000
    assert refusal(bus, ready(bus).acquire()) is Cause.STALE_COUNTER


def test_a_converter_at_full_scale_is_missing_and_the_others_stay() -> None:
    bus = Registers()
    bus.light["630 nm"] = 10**6
    values = dict(zip(as7341.CHANNELS, spectrum(bus, ready(bus)).basic_counts_s, strict=True))
    assert values["630 nm"] is None
    assert all(value is not None for name, value in values.items() if name != "630 nm")


def test_full_scale_follows_the_integration_time() -> None:
    assert as7341.Settings(atime=0, astep=999).full_scale == 1000
    assert as7341.Settings(atime=255, astep=999).full_scale == 65535
    bus = Registers()
    bus.light["445 nm"] = 1000
    values = spectrum(bus, ready(bus, atime=0, astep=999)).basic_counts_s
    assert values[1] is None
    assert values[2] is not None


def test_analog_saturation_takes_the_whole_pass() -> None:
    bus = Registers()
    device = ready(bus)
    run(bus, device.acquire())
    bus.integrate()
    run(bus, device.acquire())
    bus.analog = True
    bus.integrate()
    sample = run(bus, device.acquire())
    assert all(value is not None for value in sample.basic_counts_s[:4])
    assert sample.basic_counts_s[4:] == (None,) * 6


def test_dark_is_zero_from_a_chip_that_measures() -> None:
    bus = Registers()
    bus.light = dict.fromkeys(as7341.CHANNELS, 0)
    assert spectrum(bus, ready(bus)).basic_counts_s == (0.0,) * 10


def test_an_integration_that_never_ends_becomes_stale() -> None:
    bus = Registers()
    device = ready(bus)
    for _ in range(9):
        assert run(bus, device.acquire()) is None
    assert refusal(bus, device.acquire()) is Cause.STALE_COUNTER


def test_a_chip_that_restarted_is_found_and_refused_until_initialised() -> None:
    bus = Registers()
    device = ready(bus)
    run(bus, device.acquire())
    bus.integrate()
    bus.power_up()
    assert refusal(bus, device.acquire()) is Cause.RESET
    assert refusal(bus, device.acquire()) is Cause.RESET
    run(bus, device.initialise())
    assert spectrum(bus, device) is not None


def test_results_of_another_gain_are_refused() -> None:
    bus = Registers()
    device = ready(bus)
    run(bus, device.acquire())
    bus.memory[0xAA] = 0x03
    bus.integrate()
    assert refusal(bus, device.acquire()) is Cause.RESET


def test_an_upset_integration_time_is_found() -> None:
    bus = Registers()
    device = ready(bus, scrub_every=1)
    run(bus, device.acquire())
    bus.memory[0xCB] ^= 0x01

    def ask() -> SpectrumSample | None:
        bus.integrate()
        return run(bus, device.acquire())

    assert {outcome for outcome in outcomes(ask, 6) if isinstance(outcome, Cause)} == {Cause.RESET}


def test_a_pass_that_failed_on_the_bus_is_begun_anew() -> None:
    bus = Registers()
    device = ready(bus)
    run(bus, device.acquire())
    bus.integrate()
    steps = device.acquire()
    for _ in range(5):
        next(steps)
    steps.close()  # the manager drops a sequence whose transaction failed
    bus.memory[0x80] = 0x01
    assert spectrum(bus, device).basic_counts_s[0] == pytest.approx(
        DIODES["415 nm"] / 64.0 / device.settings.integration_s
    )


def test_identify_names_the_revision_and_writes_nothing() -> None:
    bus = Registers()
    before = bytes(bus.memory)
    assert run(bus, as7341.Device(bus, ADDRESS, as7341.Settings()).identify()) == "ams AS7341 revision 0"
    assert bytes(bus.memory) == before


@pytest.mark.parametrize("identity", [0x00, 0x20, 0xFF])
def test_another_chip_is_refused(identity: int) -> None:
    bus = Registers()
    bus.memory[0x92] = identity
    assert refusal(bus, as7341.Device(bus, ADDRESS, as7341.Settings()).initialise()) is Cause.WRONG_ID


@pytest.mark.parametrize("byte", [0x00, 0xFF])
def test_a_dead_data_line_gives_no_spectrum(byte: int) -> None:
    bus = Registers()
    device = ready(bus)
    run(bus, device.acquire())
    bus.integrate()
    bus.memory[:] = bytes((byte,)) * len(bus.memory)
    assert refusal(bus, device.acquire()) in (Cause.RESET, Cause.IMPLAUSIBLE)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.one_of(st.binary(max_size=15), st.binary(min_size=13, max_size=13)))
def test_any_bytes_are_a_pass_or_a_refusal(data: bytes) -> None:
    try:
        found = as7341.one_pass(data)
    except DeviceError:
        return
    assert found.again <= 10
    assert len(found.counts) == 6
