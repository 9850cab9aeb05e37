"""The supervisor: faults in, the right directives and events out, in the same tick."""

from __future__ import annotations

import pytest

from fdir.codes import Code, Severity
from fdir.facts import EnergyFacts
from fdir.gating import CommandClass
from fdir.modes import Motion
from fdir.supervisor import Supervisor

MS = 1_000_000
SECOND = 1_000_000_000
CLUSTERS = tuple(f"rcs_c0{n // 4 + 1}" for n in range(16))


@pytest.fixture
def core(facts) -> Supervisor:
    supervisor = Supervisor(CLUSTERS)
    assert supervisor.request_mode(Motion.IDLE, facts()) is None
    list(supervisor.take_events())
    return supervisor


def test_nominal_flight_orders_nothing(core, facts) -> None:
    directives = core.step(facts(t_ns=SECOND))
    assert (directives.shut_valves, directives.bar_burns, directives.detumble) == (False, False, False)
    assert directives.masked_nozzles == frozenset()
    assert list(core.take_events()) == []


def test_rate_runaway_shuts_the_valves_for_a_second_then_asks_for_detumble(core, facts) -> None:
    fast = {"rate_rad_s": 0.5}
    assert not core.step(facts(t_ns=0, **fast)).shut_valves
    tripped = core.step(facts(t_ns=100 * MS, **fast))
    assert tripped.shut_valves
    assert tripped.detumble
    assert core.modes.motion is Motion.SAFE
    assert core.step(facts(t_ns=1099 * MS, **fast)).shut_valves
    later = core.step(facts(t_ns=1100 * MS, **fast))
    assert not later.shut_valves
    assert not later.detumble
    codes = [(e.code, e.severity) for e in core.take_events()]
    assert (Code.SAFE_ORIENTATION_LOST, Severity.CRITICAL) in codes


def test_safe_keeps_burns_barred_until_it_is_left_on_its_conditions(core, facts) -> None:
    core.enter_safe(Code.SAFE_CAP_LOW, facts())
    assert core.step(facts(t_ns=0)).bar_burns
    refusal = core.request_mode(Motion.IDLE, facts())
    assert refusal is not None
    assert refusal.codes == (Code.SAFE_EXIT_CONDITIONS,)
    for k in range(1, 4):
        core.step(facts(t_ns=k * 500 * MS))
    assert core.request_mode(Motion.IDLE, facts(t_ns=2 * SECOND)) is None
    assert core.keeper.reasons == ()
    assert not core.step(facts(t_ns=2 * SECOND)).bar_burns


def test_exit_checks_come_at_two_a_second_not_every_tick(core, facts) -> None:
    core.enter_safe(Code.SAFE_CAP_LOW, facts())
    for k in range(100):
        core.step(facts(t_ns=k * 4 * MS))
    assert core.keeper.passes == 1


def test_a_second_reason_is_told_once(core, facts) -> None:
    core.enter_safe(Code.SAFE_CAP_LOW, facts())
    core.enter_safe(Code.SAFE_CAP_LOW, facts())
    core.enter_safe(Code.SAFE_POWER_LOW, facts())
    told = [e.code for e in core.take_events() if e.severity is Severity.CRITICAL]
    assert told == [Code.SAFE_CAP_LOW, Code.SAFE_POWER_LOW]


def test_under_voltage_bars_burns_without_safe(core, facts) -> None:
    core.step(facts(t_ns=0, bus_voltage_v=21.0))
    directives = core.step(facts(t_ns=50 * MS, bus_voltage_v=21.0))
    assert directives.bar_burns
    assert core.modes.motion is Motion.IDLE


def test_a_report_only_monitor_changes_nothing_but_the_log(core, facts) -> None:
    conflict = EnergyFacts(stores_conflict=True)
    core.step(facts(t_ns=0, energy=conflict))
    directives = core.step(facts(t_ns=2 * SECOND, energy=conflict))
    assert not directives.bar_burns
    core.step(facts(t_ns=3 * SECOND, energy=EnergyFacts(stores_conflict=False)))
    core.step(facts(t_ns=5 * SECOND, energy=EnergyFacts(stores_conflict=False)))
    events = list(core.take_events())
    assert [e.severity for e in events] == [Severity.WARNING, Severity.INFO]


def test_one_nozzle_is_masked_and_two_take_their_cluster(core, facts) -> None:
    core.nozzle_failed(5, "failed off", facts())
    core.nozzle_failed(5, "failed off", facts())
    assert core.step(facts()).masked_nozzles == frozenset({5})
    core.nozzle_failed(6, "failed off", facts())
    assert core.step(facts()).masked_nozzles == frozenset({4, 5, 6, 7})
    core.nozzle_failed(0, "failed off", facts())
    assert core.step(facts()).masked_nozzles == frozenset({0, 4, 5, 6, 7})
    codes = [e.code for e in core.take_events()]
    assert codes == [Code.RCS_UNAVAILABLE] * 4


def test_locked_out_valves_stay_shut(core, facts) -> None:
    core.lock_out_valves(Code.CPU_OVERRUN, facts())
    for k in range(5):
        assert core.step(facts(t_ns=k * SECOND)).shut_valves
    assert core.modes.motion is Motion.SAFE
    assert core.keeper.latched


def test_asking_for_the_present_mode_is_no_move(core, facts) -> None:
    assert core.request_mode(Motion.IDLE, facts()) is None
    assert list(core.take_events()) == []


def test_a_refused_mode_changes_nothing(core, facts) -> None:
    refusal = core.request_mode(Motion.BRIDGE, facts())
    assert refusal is not None
    assert core.modes.motion is Motion.IDLE


def test_gate_uses_the_present_mode(core, facts) -> None:
    assert core.gate(CommandClass.HOLD, facts()) == ()
    core.enter_safe(Code.SAFE_CAP_LOW, facts())
    assert core.gate(CommandClass.HOLD, facts()) == (Code.SAFE_LOCKED,)


def test_a_brake_out_of_safe_keeps_its_reasons_and_leads_back(core, facts) -> None:
    core.enter_safe(Code.CPU_OVERRUN, facts())
    assert core.request_mode(Motion.BRAKE, facts(speed_m_s=0.5)) is None
    assert core.keeper.reasons == (Code.CPU_OVERRUN,)
    assert Code.SAFE_LOCKED in core.gate(CommandClass.HOLD, facts())
    assert core.request_mode(Motion.IDLE, facts(speed_m_s=0.0)) is None
    assert core.modes.motion is Motion.SAFE


def test_a_brake_that_did_not_come_from_safe_ends_where_it_is_asked_to(core, facts) -> None:
    assert core.request_mode(Motion.BRAKE, facts(speed_m_s=0.5)) is None
    assert core.gate(CommandClass.HOLD, facts()) == ()
    assert core.request_mode(Motion.IDLE, facts(speed_m_s=0.0)) is None
    assert core.modes.motion is Motion.IDLE


def test_safe_is_not_left_while_a_monitor_that_led_there_is_still_tripped(core, facts) -> None:
    frozen = {"imu_repeats": 25}
    core.step(facts(t_ns=0, **frozen))
    assert core.modes.motion is Motion.SAFE
    for k in range(1, 8):
        core.step(facts(t_ns=k * 500 * MS, **frozen))
    # Rate, charge and heat are in order; the gyro that stands still is not.
    assert core.keeper.failing(facts(**frozen)) == ()
    refusal = core.request_mode(Motion.IDLE, facts(t_ns=4 * SECOND, **frozen))
    assert refusal is not None
    assert Code.SAFE_EXIT_CONDITIONS in refusal.codes
    for k in range(8, 16):
        core.step(facts(t_ns=k * 500 * MS))
    assert core.request_mode(Motion.IDLE, facts(t_ns=8 * SECOND)) is None


def test_a_monitor_that_only_bars_burns_does_not_keep_the_craft_in_safe(core, facts) -> None:
    low = {"bus_voltage_v": 21.0}
    core.enter_safe(Code.SAFE_ORDERED, facts())
    for k in range(5):
        core.step(facts(t_ns=k * 500 * MS, **low))
    assert core.bank.is_active("bus under-voltage")
    assert core.request_mode(Motion.IDLE, facts(t_ns=3 * SECOND, **low)) is None
