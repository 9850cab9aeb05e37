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
UNSCRUBBED = msgspec.structs.replace(SETTINGS, scrub_every=0)


class Registers(WordBank):
    """An LTC4162-LAD with 6 cells at 25.2 V from 30 V in, charging at 2 A out of 2 A, 40 deg C."""

    address = ADDRESS

    def power_up(self) -> None:
        self.words = {
            0x14: word(0x0002), 0x34: word(1 << 6), 0x35: word(2), 0x39: word(0x0107),
            0x3A: word(round(4.2 / 192.4e-6)), 0x3B: word(round(30.0 / 1.649e-3)), 0x3C: word(round(30.0 / 1.653e-3)),
            0x3D: word(round(2.0 * 0.010 / 1.466e-6)), 0x3E: word(round(2.0 * 0.005 / 1.466e-6)),
            0x3F: word(round((40.0 + 264.4) / 0.0215)), 0x43: word(0x0006), 0x4A: word(1),
            0x16: word(31), 0x1A: word(31), 0x27: word(0x01FF), 0x28: word(0x7FEF), 0x29: word(1),
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


def test_nothing_but_the_runs_of_linux_is_claimed_for_what_is_measured() -> None:
    assert [oracle.kind for oracle in ltc4162.ORACLES] == [OracleKind.LINUX, OracleKind.FORMULA]


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


def costs_of(bus: Registers, device: ltc4162.Device, samples: int) -> list[int]:
    """Transactions of each of so many samples."""
    found = []
    for _ in range(samples):
        before = bus.transactions
        run(bus, device.acquire())
        found.append(bus.transactions - before)
    return found


def test_the_first_sample_reads_everything_and_the_others_what_changes_fast() -> None:
    bus = Registers()
    device = ready(bus, UNSCRUBBED)
    costs = costs_of(bus, device, 31)
    assert costs[0] == 8
    assert sum(costs[1:]) == 30 * 4 + 3 * 4
    assert max(costs[1:]) == 6


def test_slow_values_are_carried_and_read_anew_within_their_turn() -> None:
    bus = Registers()
    device = ready(bus, UNSCRUBBED)
    run(bus, device.acquire())
    bus.words.update({0x3A: word(21000), 0x3B: word(12000), 0x34: word(1 << 8), 0x39: word(0x00A5)})
    first = run(bus, device.acquire())
    assert first.array_voltage_v == pytest.approx(12000 * 1.649e-3)
    samples = [first, *(run(bus, device.acquire()) for _ in range(9))]
    assert samples[-1].battery_voltage_v == pytest.approx(21000 * 192.4e-6 * 6)
    assert samples[-1].state == "suspended"
    assert any(sample.state != "suspended" for sample in samples)


def test_a_slow_value_that_was_refused_is_never_carried() -> None:
    bus = Registers()
    device = ready(bus, UNSCRUBBED)
    run(bus, device.acquire())
    bus.words[0x3F] = word(0)
    found = causes(bus, device, 40)
    assert set(found) == {Cause.IMPLAUSIBLE}
    assert len(found) >= 30
    bus.words[0x3F] = word(14000)
    assert run(bus, device.acquire()).temperature_c == pytest.approx(14000 * 0.0215 - 264.4)


def test_nothing_is_carried_over_a_sample_that_was_broken_off() -> None:
    bus = Registers()
    device = ready(bus, UNSCRUBBED)
    run(bus, device.acquire())
    next(device.acquire())
    bus.words[0x3A] = word(20000)
    assert run(bus, device.acquire()).battery_voltage_v == pytest.approx(20000 * 192.4e-6 * 6)


def test_a_sample_has_everything_in_si() -> None:
    bus = Registers()
    sample = run(bus, ready(bus).acquire())
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


@pytest.mark.parametrize(("volts", "code"), [
    (36.0, 255), (30.0, 212), (30.06, 213), (4.5, 31), (0.0, 31), (17.578125, 124),
])
def test_the_input_is_held_at_the_nearest_step_and_tracking_ends(volts: float, code: int) -> None:
    bus = Registers()
    device = ready(bus, UNSCRUBBED)
    run(bus, device.set_input_voltage(volts))
    assert bus.words[0x16] == word(code)
    assert device.input_step(volts) == pytest.approx((code + 1) * 0.140625)
    assert bus.words[0x14] == word(0x0004)
    run(bus, device.set_input_voltage(None))
    assert bus.words[0x14] == word(0x0006)


def test_the_voltage_is_there_before_tracking_ends_and_a_next_one_costs_two_transactions() -> None:
    bus = Registers()
    device = ready(bus, UNSCRUBBED)
    bus.history.clear()
    run(bus, device.set_input_voltage(30.0))
    assert [write[0] for write in bus.history] == [0x16, 0x14]
    before = bus.transactions
    run(bus, device.set_input_voltage(29.5))
    assert bus.transactions - before == 2


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.floats(0.0, 200.0), st.floats(0.001, 0.1))
def test_no_more_charge_current_is_allowed_than_was_asked_for(amperes: float, sense_ohm: float) -> None:
    code = ltc4162.charge_code(amperes, sense_ohm)
    step = 1e-3 / sense_ohm
    if code is None:
        assert amperes < step * (1.0 + 1e-6)
    else:
        assert (code + 1) * step <= amperes * (1.0 + 1e-6)
        assert code == 31 or (code + 2) * step > amperes * (1.0 - 1e-6)


def test_a_step_s_own_current_is_that_step() -> None:
    for code in range(32):
        for sense_ohm in (0.003, 0.006, 0.010, 0.033):
            assert ltc4162.charge_code((code + 1) * 1e-3 / sense_ohm, sense_ohm) == code


@pytest.mark.parametrize(("amperes", "current", "config"), [
    (0.0, 31, 0x0026), (0.099, 31, 0x0026), (0.1, 0, 0x0006), (1.55, 14, 0x0006), (50.0, 31, 0x0006),
])
def test_charge_current_is_limited_and_below_the_lowest_step_suspended(
    amperes: float, current: int, config: int
) -> None:
    bus = Registers()
    device = ready(bus, UNSCRUBBED)
    run(bus, device.set_charge_current(amperes))
    assert bus.words[0x1A] == word(current)
    assert bus.words[0x14] == word(config)
    assert device.charge_step(amperes) == pytest.approx((current + 1) * 0.1 if config == 0x0006 else 0.0)


def test_charging_goes_on_only_after_the_new_limit_is_written() -> None:
    bus = Registers()
    device = ready(bus, UNSCRUBBED)
    run(bus, device.set_charge_current(0.0))
    bus.history.clear()
    run(bus, device.set_charge_current(1.0))
    assert [write[0] for write in bus.history] == [0x1A, 0x14]
    assert bus.words[0x14] == word(0x0006)


def test_without_a_profile_of_the_chip_s_own_nothing_overrides_the_limit() -> None:
    bus = Registers()
    ready(bus)
    assert bus.words[0x29] == word(0)


def test_with_a_temperature_profile_the_limit_holds_in_every_region_and_none_is_raised() -> None:
    bus = Registers()
    device = ready(bus, msgspec.structs.replace(UNSCRUBBED, temperature_profile=True))
    assert bus.words[0x29] == word(1)
    assert (bus.words[0x27], bus.words[0x28]) == (word(15 << 5 | 31), word(31 << 10 | 31 << 5 | 15))
    run(bus, device.set_charge_current(2.0))
    assert (bus.words[0x27], bus.words[0x28]) == (word(15 << 5 | 19), word(19 << 10 | 19 << 5 | 15))
    run(bus, device.set_charge_current(0.3))
    assert (bus.words[0x27], bus.words[0x28]) == (word(2 << 5 | 2), word(2 << 10 | 2 << 5 | 2))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1.0])
def test_what_is_no_voltage_or_current_is_refused_before_the_bus(value: float) -> None:
    bus = Registers()
    device = ready(bus)
    before = bus.transactions
    for order in (device.set_input_voltage, device.set_charge_current, device.input_step, device.charge_step):
        with pytest.raises(ValueError, match=r"is not held at|is no charge current"):
            order(value)
    with pytest.raises(ValueError, match="is not held at"):
        device.set_input_voltage(36.1)
    assert bus.transactions == before


def test_an_order_that_does_not_take_is_an_error_and_the_next_one_writes_all_of_it() -> None:
    bus = Registers()
    device = ready(bus, UNSCRUBBED)
    steps = device.set_input_voltage(25.0)
    for _ in range(3):
        next(steps)
    bus.words[0x14] = word(0x0006)
    assert refusal(bus, steps) is Cause.IMPLAUSIBLE
    run(bus, device.set_input_voltage(25.0))
    assert bus.words[0x14] == word(0x0004)


def test_orders_are_what_the_scrub_looks_for_until_a_set_up_undoes_them() -> None:
    bus = Registers()
    device = ready(bus)
    clean = dict(bus.words)
    run(bus, device.set_input_voltage(25.0))
    run(bus, device.set_charge_current(0.5))
    assert causes(bus, device, 100) == []
    bus.words[0x1A] = word(31)
    assert set(causes(bus, device, 100)) == {Cause.RESET}
    run(bus, device.initialise())
    assert bus.words == clean


def test_settings_say_what_holds_until_an_order_comes() -> None:
    bus = Registers()
    ready(bus, msgspec.structs.replace(SETTINGS, charge_limit_a=0.75))
    assert (bus.words[0x1A], bus.words[0x14]) == (word(6), word(0x0006))
    ready(bus, msgspec.structs.replace(SETTINGS, charge_limit_a=0.0))
    assert bus.words[0x14] == word(0x0026)


def test_brown_out_is_found_and_stays_refused_until_initialised() -> None:
    bus = Registers()
    device = ready(bus)
    bus.words[0x14] = word(0x0002)
    found = causes(bus, device, 60)
    assert set(found) == {Cause.RESET}
    assert len(found) >= 60 - 4 * 4  # one of four registers every four samples
    run(bus, device.initialise())
    assert run(bus, device.acquire()) is not None


@pytest.mark.parametrize("raw", [0x7FFF, 0x8000])
def test_a_battery_current_beyond_the_range_is_missing_and_the_panel_s_values_are_not(raw: int) -> None:
    bus = Registers()
    device = ready(bus)
    bus.words[0x3D] = word(raw)
    sample = run(bus, device.acquire())
    assert sample.battery_current_a is None
    assert sample.array_power_w == pytest.approx(60.0, abs=0.02)


@pytest.mark.parametrize(("register", "value"), [
    (0x34, 0x00C0), (0x34, 0xFFFF), (0x39, 0x0000), (0x39, 0xFFFF), (0x3A, 0x7FFF), (0x3B, 0x8000),
    (0x3F, 0x0000), (0x3F, 0xFFFF), (0x4A, 0xFFFF),
])
def test_impossible_answers_are_refused(register: int, value: int) -> None:
    bus = Registers()
    device = ready(bus)
    run(bus, device.acquire())
    bus.words[register] = word(value)
    assert set(causes(bus, device, 10)) == {Cause.IMPLAUSIBLE}


@pytest.mark.parametrize("value", [0x7FFF, 0x8000])
def test_a_panel_current_at_full_scale_is_beyond_the_range_and_not_impossible(value: int) -> None:
    bus = Registers()
    device = ready(bus)
    run(bus, device.acquire())
    bus.words[0x3E] = word(value)
    assert set(causes(bus, device, 10)) == {Cause.OVER_RANGE}


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.sampled_from(ltc4162.CODECS), st.binary(max_size=4))
def test_any_bytes_are_a_number_or_a_refusal(codec: ltc4162.Codec, data: bytes) -> None:
    with suppress(DeviceError):
        assert isinstance(codec.decode(data), float | int)
