"""The program at every base rate, and what it refuses to fly with."""

from __future__ import annotations

from math import degrees, radians

import msgspec
import pytest

from firmware_py.clock import NullMeter, SimClock
from firmware_py.journal import NoJournal
from firmware_py.program import Program, fit_window
from firmware_py.scheduler import Member, RateGroup
from hal.profile import ConfigError
from tests.firmware_py.rig_craft import FIRST_FLIGHT, RESTING, SECOND, Craft, at_rate


@pytest.mark.parametrize(
    ("fast_hz", "window_ms"), [(50, 240), (200, 250), (250, 248), (400, 250), (600, 250), (1000, 250)]
)
def test_the_window_is_the_longest_whole_number_of_ticks_and_ms(fast_hz: int, window_ms: int) -> None:
    fitted = fit_window(at_rate(FIRST_FLIGHT, fast_hz))
    assert fitted.body.propulsion.window_ms == window_ms
    assert fitted.digest == FIRST_FLIGHT.digest


def test_a_rate_without_such_a_window_is_refused_with_the_reason() -> None:
    with pytest.raises(ConfigError, match=r"rates.fast_hz.*is 333; no pulse window"):
        fit_window(at_rate(FIRST_FLIGHT, 333))


@pytest.mark.parametrize("fast_hz", [50, 100, 200, 250, 400, 500, 600, 1000])
def test_every_base_rate_takes_the_tumble_out_in_ten_seconds(fast_hz: int) -> None:
    craft = Craft(profile=at_rate(FIRST_FLIGHT, fast_hz), rate=(radians(3.0), radians(-2.5), radians(2.5)))
    # Slots of the slow buses are ticks: setting all devices up and reading the memory takes some 210 of them, and the
    # self-test is asked once in a hundred.
    craft.until(lambda: craft.motion == "Idle", max(5.0, 400 / fast_hz))
    craft.order("detumble")
    craft.run(10.0)
    truth = craft.rig.truth()
    assert max(abs(degrees(rate)) for rate in truth.rate) < 0.25
    assert craft.rig.checker.total == 0
    assert craft.software.gate.vetoes == 0
    # An expectation that is a tick off would blame a nozzle or distrust the model.
    assert craft.software.supervisor.masked == frozenset()
    timing = craft.program.timing()
    assert (timing.late_ticks, timing.lost_ticks) == (0, 0)
    assert timing.ticks == pytest.approx(craft.now_s * fast_hz, abs=2)


@pytest.mark.parametrize(("fast_hz", "medium_hz", "slow_hz"), [(50, 10.0, 2.0), (100, 20.0, 2.0), (250, 25.0, 5.0)])
def test_a_medium_period_of_fewer_ticks_than_the_table_was_made_for_is_flown(
    fast_hz: int, medium_hz: float, slow_hz: float
) -> None:
    board = FIRST_FLIGHT.board
    rates = msgspec.structs.replace(board.rates, fast_hz=fast_hz, medium_hz=medium_hz, slow_hz=slow_hz)
    profile = FIRST_FLIGHT._replace(board=msgspec.structs.replace(board, rates=rates))
    craft = Craft(profile=profile, rate=(radians(3.0), radians(-2.5), radians(2.5)))
    craft.until(lambda: craft.motion == "Idle", max(5.0, 400 / fast_hz))
    craft.order("detumble")
    craft.run(10.0)
    assert max(abs(degrees(rate)) for rate in craft.rig.truth().rate) < 0.25
    assert craft.rig.checker.total == 0
    runs = {member.name: member.runs / craft.now_s for member in craft.program.timing().members}
    assert runs["guard"] == pytest.approx(medium_hz, rel=0.02)
    assert runs["housekeeping"] == pytest.approx(slow_hz, rel=0.1)


def test_rates_that_no_table_runs_at_are_refused_by_name() -> None:
    rates = msgspec.structs.replace(FIRST_FLIGHT.board.rates, slow_hz=15.0)
    profile = FIRST_FLIGHT._replace(board=msgspec.structs.replace(FIRST_FLIGHT.board, rates=rates))
    with pytest.raises(ConfigError, match=r"rates.*15.0 Hz does not divide 20.0 Hz"):
        Craft(profile=profile)


def test_each_tick_of_a_window_expects_its_own_part_of_the_pulses() -> None:
    # 600 Hz: a period is no whole number of nanoseconds.
    craft = Craft(profile=at_rate(FIRST_FLIGHT, 600), rate=(radians(3.0), radians(-2.5), radians(2.5)))
    craft.until(lambda: craft.motion == "Idle", 5.0)
    craft.order("detumble")
    plane, modulator = craft.hardware.propulsion, craft.software.modulator
    windows = plane.windows
    craft.until(lambda: plane.windows > windows, 1.0)
    asked: list[int] = []
    expected = modulator.expected

    def noted(tick: int) -> object:
        asked.append(tick)
        return expected(tick)

    modulator.expected = noted  # type: ignore[method-assign, assignment]
    craft.ticks(300)
    assert asked == [*range(150), *range(150)]


def test_flight_goes_on_to_its_end_or_to_its_stop() -> None:
    craft = Craft()
    craft.program.run(SECOND // 2)
    assert craft.program.scheduler.ticks == 100
    craft.program.run(SECOND, stop=lambda: craft.program.scheduler.ticks >= 110)
    assert craft.program.scheduler.ticks == 110


def test_a_bus_without_transport_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match=r"buses.i2c_a.*no transport"):
        Program(FIRST_FLIGHT, RESTING, {}, SimClock(), NullMeter(), NoJournal())


def test_a_member_that_raises_is_told_and_the_flight_goes_on() -> None:
    calls = 0

    def broken(now_ns: int) -> None:
        nonlocal calls
        calls += 1
        raise ZeroDivisionError

    craft = Craft(more_members=[Member("broken", broken, RateGroup.FAST, 0, 100, False)])
    craft.run(2.5)
    assert craft.motion == "Idle"
    assert calls == craft.program.scheduler.ticks
    assert craft.texts("MEMBER_FAILED")[0].startswith("broken ZeroDivisionError")


def test_late_ticks_drop_what_is_not_critical_and_the_bytes_of_the_buses_are_still_kept() -> None:
    ended: list[int] = []
    craft = Craft(more_members=[Member("load", lambda _now: craft.clock.charge(load), RateGroup.FAST, 0, 9000, True)])
    load = 0
    craft.journal.end_tick = ended.append  # type: ignore[method-assign]
    craft.run(1.5)
    load = 6_000_000
    craft.ticks(6)
    load = 0
    assert craft.program.scheduler.dropping
    assert craft.program.timing().late_ticks == 6
    ticks = craft.program.scheduler.ticks
    assert len(ended) == ticks
    assert ended == sorted(set(ended))
    assert all(t_ns % 5_000_000 == 0 for t_ns in ended), "stamped with deadlines, not with when the work was done"
    craft.ticks(105)
    assert not craft.program.scheduler.dropping
    # The scheduler tells of what it does, the row of the fault table of what stands.
    assert [code for code in craft.codes if code.startswith("CPU_")] == ["CPU_OVERRUN", "CPU_OVERRUN", "CPU_RECOVERED"]
    assert craft.texts("CPU_OVERRUN") == ["3 3000000", "late-ticks tripped: three late ticks in a row"]
    craft.run(1.0)
    assert craft.texts("CPU_OVERRUN")[2:] == ["late-ticks cleared: three late ticks in a row"]


def test_twenty_late_ticks_in_a_row_end_in_safe_with_the_watchdog_starved() -> None:
    craft = Craft(more_members=[Member("load", lambda _now: craft.clock.charge(load), RateGroup.FAST, 0, 9000, True)])
    load = 0
    craft.boot()
    load = 6_000_000
    craft.ticks(22)
    load = 0
    kicks = craft.hardware.safety.kicks
    craft.run(0.5)
    assert craft.motion == "SAFE"
    assert craft.hardware.safety.kicks == kicks
    assert "CPU_OVERRUN_STOP" in craft.codes
    assert not craft.rig.buses["gpio"].get(FIRST_FLIGHT.board.lines.valve_enable)


def test_ticks_that_are_late_in_boot_stop_nothing_for_good() -> None:
    craft = Craft(more_members=[Member("load", lambda _now: craft.clock.charge(load), RateGroup.FAST, 0, 9000, True)])
    load = 6_000_000
    craft.ticks(60)
    assert craft.program.scheduler.stopped
    assert craft.motion == "Boot"
    load = 0
    craft.ticks(1)
    assert not craft.program.scheduler.stopped
    told = [code for code in craft.codes if code.startswith("CPU_OVERRUN_")]
    assert told == ["CPU_OVERRUN_STOP", "CPU_OVERRUN_RESET"]
    craft.run(3.0)
    assert craft.motion == "Idle"
    assert not craft.software.supervisor.keeper.reasons


def test_a_boot_that_ends_while_ticks_are_late_is_locked_out() -> None:
    craft = Craft(more_members=[Member("load", lambda _now: craft.clock.charge(load), RateGroup.FAST, 0, 9000, True)])
    load = 6_000_000
    craft.software.self_test_limit_ns = SECOND
    craft.run(2.0)
    assert craft.motion == "SAFE"
    assert craft.program.scheduler.stopped
    assert "overrun-stop" in craft.software.supervisor.bank.active()


def test_the_window_of_a_slow_board_stays_within_the_nodes_range() -> None:
    slow = msgspec.structs.replace(FIRST_FLIGHT.body.propulsion, window_ms=60)
    body = msgspec.structs.replace(FIRST_FLIGHT.body, propulsion=slow)
    fitted = fit_window(at_rate(FIRST_FLIGHT._replace(body=body), 50))
    assert fitted.body.propulsion.window_ms == 60
