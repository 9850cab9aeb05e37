"""LTC4162-L: the kernel driver's equations, states and faults, stopped telemetry, a chip without identity."""

from __future__ import annotations

from contextlib import suppress

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers import ltc4162
from drivers.device import OracleKind
from drivers.errors import Cause, DeviceError
from tests.drivers.scripted import WordBank, causes, refusal, run, word

ADDRESS = 0x68
SETTINGS = ltc4162.Settings(cells=6, battery_sense_ohm=0.010, input_sense_ohm=0.005)


class Registers(WordBank):
    """An LTC4162-LAD with 6 cells at 25.2 V from 30 V in, charging at 2 A out of 2 A, 40 deg C."""

    address = ADDRESS

    def power_up(self) -> None:
        self.words = {
            0x14: word(0x0002), 0x34: word(1 << 6), 0x35: word(2), 0x39: word(0x0107),
            0x3A: word(round(4.2 / 192.4e-6)), 0x3B: word(round(30.0 / 1.649e-3)), 0x3C: word(round(30.0 / 1.653e-3)),
            0x3D: word(round(2.0 * 0.010 / 1.466e-6)), 0x3E: word(round(2.0 * 0.005 / 1.466e-6)),
            0x3F: word(round((40.0 + 264.4) / 0.0215)), 0x43: word(0x0006), 0x4A: word(1),
        }


def ready(bus: Registers, with_settings: ltc4162.Settings = SETTINGS) -> ltc4162.Device:
    device = ltc4162.Device(bus, ADDRESS, with_settings)
    run(bus, device.initialise())
    return device


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.integers(0, 25_000), st.integers(1, 8), st.integers(-32767, 32766), st.integers(1_000, 100_000))
def test_voltage_and_current_are_the_kernel_s_equations(raw: int, cells: int, signed: int, micro_ohm: int) -> None:
    assert 1e6 * ltc4162.battery_voltage_v(word(raw), cells) == pytest.approx(raw * 1924 * cells // 10, abs=1.0)
    # 100 x (raw x 14660 / micro-ohms), in integers; a step of it is 100 uA.
    assert 1e6 * ltc4162.current_a(word(signed), micro_ohm * 1e-6) == pytest.approx(
        100 * (signed * 14660 / micro_ohm), rel=1e-9, abs=1e-6,
    )


@pytest.mark.parametrize(("raw", "centidegrees"), [(12298, 0), (13460, 2499), (18130, 12539)])
def test_die_temperature_is_the_kernel_s_equation(raw: int, centidegrees: int) -> None:
    assert raw * 215 // 100 - 26440 == centidegrees
    assert 100 * ltc4162.die_temperature_c(word(raw)) == pytest.approx(centidegrees, abs=1.0)


def test_input_and_output_have_the_data_sheet_s_steps() -> None:
    assert ltc4162.input_voltage_v(word(10_000)) == pytest.approx(16.49)
    assert ltc4162.output_voltage_v(word(10_000)) == pytest.approx(16.53)


def test_only_the_runs_of_linux_are_claimed() -> None:
    assert {oracle.kind for oracle in ltc4162.ORACLES} == {OracleKind.LINUX}


@pytest.mark.parametrize("fields", [
    {"cells": 9, "battery_sense_ohm": 0.01, "input_sense_ohm": 0.01},
    {"cells": 6, "battery_sense_ohm": 0.0, "input_sense_ohm": 0.01},
    {"cells": 6, "battery_sense_ohm": 0.01, "input_sense_ohm": 0.01, "mppt": True},
])
def test_settings_that_the_chip_cannot_do_are_refused(fields: dict[str, float]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(fields, type=ltc4162.Settings, strict=True)


@pytest.mark.parametrize(("cells", "status", "name"), [
    (0x0006, 0x0107, "LTC4162-LAD, 6 cells"), (0x0100, 0x00A0, "LTC4162-L42, no input power"),
])
def test_plausibility_is_read_without_a_write(cells: int, status: int, name: str) -> None:
    bus = Registers()
    bus.words.update({0x43: word(cells), 0x39: word(status)})
    before = dict(bus.words)
    assert run(bus, ltc4162.Device(bus, ADDRESS, SETTINGS).identify()) == name
    assert bus.words == before


@pytest.mark.parametrize(("register", "value"), [
    (0x43, 0x0004), (0x43, 0x0406), (0x43, 0xFFFF), (0x39, 0x0000), (0x39, 0xFFFF),
])
def test_another_chip_or_a_dead_line_is_refused(register: int, value: int) -> None:
    bus = Registers()
    bus.words[register] = word(value)
    assert refusal(bus, ltc4162.Device(bus, ADDRESS, SETTINGS).initialise()) is Cause.WRONG_ID


def test_initialise_keeps_telemetry_running_and_tracks() -> None:
    bus = Registers()
    ready(bus)
    assert bus.words[0x14] == word(0x0006)
    ready(bus, ltc4162.Settings(
        cells=6, battery_sense_ohm=0.01, input_sense_ohm=0.005, tracking=False, suspended=True, fast_telemetry=True,
    ))
    assert bus.words[0x14] == word(0x002C)


def test_a_sample_is_eight_transactions() -> None:
    bus = Registers()
    device = ready(bus)
    before = bus.transactions
    sample = run(bus, device.acquire())
    assert bus.transactions - before == 8
    assert sample.array_voltage_v == pytest.approx(30.0, abs=1e-3)
    assert sample.array_current_a == pytest.approx(2.0, abs=3e-4)
    assert sample.array_power_w == pytest.approx(60.0, abs=0.02)
    assert sample.battery_voltage_v == pytest.approx(25.2, abs=1.2e-3)
    assert sample.battery_current_a == pytest.approx(2.0, abs=2e-4)
    assert sample.temperature_c == pytest.approx(40.0, abs=0.02)
    assert (sample.charging, sample.faults) == (True, ())
    assert sample.state == "constant current, constant voltage"


def test_drain_at_night_is_negative() -> None:
    bus = Registers()
    device = ready(bus)
    bus.words.update({0x34: word(1 << 8), 0x39: word(0x00A1), 0x3B: word(0), 0x3D: word(-3000), 0x3E: word(0)})
    sample = run(bus, device.acquire())
    assert sample.battery_current_a == pytest.approx(-3000 * 1.466e-6 / 0.010)
    assert (sample.array_voltage_v, sample.charging, sample.state, sample.faults) == (0.0, False, "suspended", ())


@pytest.mark.parametrize(("state", "status", "faults"), [
    (1 << 2, 0x0007, ("charge time fault",)), (1 << 1, 0x0007, ("battery missing",)),
    (1 << 0, 0x0007, ("battery short",)), (1 << 12, 0x0007, ("battery detection failed",)),
    (1 << 8, 0x0017, ("thermal shutdown",)), (1 << 8, 0x000F, ("input over-voltage",)),
    (1 << 8, 0x0087, ("cell count error",)), (1 << 8, 0x0027, ("no frequency resistor",)), (1 << 3, 0x00A7, ()),
])
def test_faults_in_words(state: int, status: int, faults: tuple[str, ...]) -> None:
    bus = Registers()
    device = ready(bus)
    bus.words.update({0x34: word(state), 0x39: word(status)})
    assert run(bus, device.acquire()).faults == faults


def test_nothing_is_said_before_the_telemetry_is_valid_and_its_end_is_stale() -> None:
    bus = Registers()
    device = ready(bus)
    bus.words[0x4A] = word(0)
    for _ in range(8):
        assert run(bus, device.acquire()) is None
    assert refusal(bus, device.acquire()) is Cause.STALE_COUNTER
    bus.words[0x4A] = word(1)
    assert run(bus, device.acquire()) is not None
    bus.words[0x4A] = word(0)
    assert refusal(bus, device.acquire()) is Cause.STALE_COUNTER


def test_suspend_is_read_back_and_the_scrub_agrees_with_it() -> None:
    bus = Registers()
    device = ready(bus)
    run(bus, device.suspend(True))
    assert bus.words[0x14] == word(0x0026)
    for _ in range(20):
        run(bus, device.acquire())
    run(bus, device.suspend(False))
    assert bus.words[0x14] == word(0x0006)


def test_brown_out_is_found_and_stays_refused_until_initialised() -> None:
    bus = Registers()
    device = ready(bus)
    bus.words[0x14] = word(0x0002)
    found = causes(bus, device, 20)
    assert set(found) == {Cause.RESET}
    assert len(found) == 13
    run(bus, device.initialise())
    assert run(bus, device.acquire()) is not None


@pytest.mark.parametrize(("register", "value"), [
    (0x34, 0x00C0), (0x34, 0xFFFF), (0x39, 0x0000), (0x39, 0xFFFF), (0x3A, 0x7FFF), (0x3B, 0x8000), (0x3D, 0x7FFF),
    (0x3E, 0x8000), (0x3F, 0x0000), (0x3F, 0xFFFF), (0x4A, 0xFFFF),
])
def test_impossible_answers_are_refused(register: int, value: int) -> None:
    bus = Registers()
    device = ready(bus)
    run(bus, device.acquire())
    bus.words[register] = word(value)
    assert refusal(bus, device.acquire()) is Cause.IMPLAUSIBLE


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.sampled_from(ltc4162.CODECS), st.binary(max_size=4))
def test_any_bytes_are_a_number_or_a_refusal(codec: ltc4162.Codec, data: bytes) -> None:
    with suppress(DeviceError):
        assert isinstance(codec.decode(data), float | int)
