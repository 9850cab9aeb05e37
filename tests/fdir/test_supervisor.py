"""The supervisor: faults in, the right directives, steps and events out, in the same tick."""

from __future__ import annotations

import dataclasses

import pytest

from fdir.codes import Code, Severity
from fdir.facts import EnergyFacts, LinkFacts
from fdir.gate_facts import GateFacts
from fdir.gating import CommandClass, Standing
from fdir.guard_alerts import GuardAlert
from fdir.guard_rules import Trigger
from fdir.modes import Emission, Motion
from fdir.recovery import Step
from fdir.safe_record import KeptSafe
from fdir.supervisor import MOST_EVENTS, FdirEvent, NoRecovery, Supervisor
from tests.fdir.rows import Port, monitors, row, shipped, yes

MS = 1_000_000
SECOND = 1_000_000_000
CLUSTERS = tuple(f"rcs_c0{n // 4 + 1}" for n in range(16))


def make(facts, rows=None, port=None) -> Supervisor:
    supervisor = Supervisor(CLUSTERS, shipped() if rows is None else monitors(*rows), port)
    assert supervisor.request_mode(Motion.IDLE, facts()) is None
    list(supervisor.take_events())
    return supervisor


@pytest.fixture
def core(facts) -> Supervisor:
    return make(facts)


def told(core: Supervisor) -> list[tuple[Code, Severity, str]]:
    return [(e.code, e.severity, e.text) for e in core.take_events()]


def test_nominal_flight_orders_nothing(core, facts) -> None:
    directives = core.step(facts(t_ns=SECOND))
    assert (directives.shut_valves, directives.bar_burns, directives.detumble) == (False, False, False)
    assert directives.masked_nozzles == frozenset()
    assert directives.restart is False
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
    critical = [e.code for e in core.take_events() if e.severity is Severity.CRITICAL]
    assert critical == [Code.SAFE_CAP_LOW, Code.SAFE_POWER_LOW]


def test_under_voltage_bars_burns_without_safe(core, facts) -> None:
    core.step(facts(t_ns=0, bus_voltage_v=21.0))
    directives = core.step(facts(t_ns=50 * MS, bus_voltage_v=21.0))
    assert directives.bar_burns
    assert core.modes.motion is Motion.IDLE


def test_a_fault_without_isolation_changes_nothing_but_the_log(facts) -> None:
    core = make(facts, [row(persist_ms=0, clear_ms=0)])
    directives = core.step(facts(t_ns=0, bus_voltage_v=21.0))
    assert not directives.bar_burns
    assert not directives.shut_valves
    core.step(facts(t_ns=5, bus_voltage_v=24.0))
    assert told(core) == [
        (Code.BUS_UNSTABLE, Severity.WARNING, "low tripped: below 22 V"),
        (Code.BUS_UNSTABLE, Severity.INFO, "low cleared: below 22 V"),
    ]


def test_one_nozzle_is_masked_and_two_take_their_cluster(core, facts) -> None:
    core.nozzle_failed(5, "failed off", facts())
    core.nozzle_failed(5, "failed off", facts())
    assert core.step(facts()).masked_nozzles == frozenset({5})
    assert core.bank.is_active("nozzle-stuck-off")
    assert not core.bank.is_active("cluster-lost")
    core.nozzle_failed(6, "stuck on", facts())
    assert core.step(facts()).masked_nozzles == frozenset({4, 5, 6, 7})
    assert core.bank.is_active("nozzle-stuck-on")
    assert core.bank.is_active("cluster-lost")
    core.nozzle_failed(0, "failed off", facts())
    assert core.step(facts()).masked_nozzles == frozenset({0, 4, 5, 6, 7})
    texts = [text for _, _, text in told(core)]
    assert texts == [
        "nozzle-stuck-off tripped: a nozzle does not push though it is commanded to (nozzle 5)",
        "nozzle 5 failed off: masked",
        "nozzle-stuck-on tripped: a nozzle pushes though it is not commanded to (nozzle 6)",
        "nozzle 6 stuck on: masked",
        "cluster-lost tripped: two nozzles of one cluster are lost (rcs_c02)",
        "cluster rcs_c02 lost: masked",
        "nozzle 0 failed off: masked",
    ]


ALL = frozenset(CLUSTERS)


def valved(facts, isolation: frozenset[str] = ALL) -> Supervisor:
    """A core whose clusters can be shut off."""
    core = Supervisor(CLUSTERS, shipped(), None, isolation)
    assert core.request_mode(Motion.IDLE, facts()) is None
    list(core.take_events())
    return core


def test_a_nozzle_stuck_on_has_its_cluster_shut_off_and_all_of_it_masked(facts) -> None:
    core = valved(facts)
    assert core.step(facts()).isolated_clusters == frozenset()
    core.nozzle_failed(6, "stuck on", facts())
    directives = core.step(facts())
    assert directives.isolated_clusters == {"rcs_c02"}
    assert directives.masked_nozzles == frozenset({4, 5, 6, 7})
    assert core.failed == {6}
    assert not core.bank.is_active("cluster-lost")
    assert told(core) == [
        (Code.RCS_UNAVAILABLE, Severity.WARNING,
         "nozzle-stuck-on tripped: a nozzle pushes though it is not commanded to (nozzle 6)"),
        (Code.RCS_UNAVAILABLE, Severity.WARNING, "nozzle 6 stuck on: cluster rcs_c02 shut off"),
    ]


@pytest.mark.parametrize("how", ["failed off", "weak"])
def test_a_nozzle_that_does_not_push_shuts_no_valve(how, facts) -> None:
    core = valved(facts)
    core.nozzle_failed(6, how, facts())
    directives = core.step(facts())
    assert directives.isolated_clusters == frozenset()
    assert directives.masked_nozzles == frozenset({6})


def test_behind_a_shut_valve_nobody_is_accused(facts) -> None:
    core = valved(facts)
    core.nozzle_failed(6, "stuck on", facts())
    list(core.take_events())
    for nozzle, how in ((6, "stuck on"), (5, "stuck on"), (4, "failed off")):
        core.nozzle_failed(nozzle, how, facts())
    assert told(core) == []
    assert core.failed == {6}


def test_without_a_valve_only_the_nozzle_is_masked(facts) -> None:
    core = valved(facts, frozenset({"rcs_c01"}))
    core.nozzle_failed(6, "stuck on", facts())
    directives = core.step(facts())
    assert directives.isolated_clusters == frozenset()
    assert directives.masked_nozzles == frozenset({6})
    assert [text for _, _, text in told(core)][-1] == "nozzle 6 stuck on: masked"


def test_three_clusters_are_kept_to_turn_the_craft(facts) -> None:
    core = valved(facts)
    for nozzle in (0, 5, 10):
        core.nozzle_failed(nozzle, "stuck on", facts())
    directives = core.step(facts())
    assert directives.isolated_clusters == {"rcs_c01"}
    assert directives.masked_nozzles == frozenset({0, 1, 2, 3, 5, 10})


def test_a_cluster_of_which_nothing_is_left_does_not_count_as_kept(facts) -> None:
    core = valved(facts)
    for nozzle in (0, 1):
        core.nozzle_failed(nozzle, "failed off", facts())
    core.nozzle_failed(10, "stuck on", facts())
    assert core.step(facts()).isolated_clusters == frozenset()
    one_less = valved(facts)
    one_less.nozzle_failed(0, "failed off", facts())
    one_less.nozzle_failed(10, "stuck on", facts())
    assert one_less.step(facts()).isolated_clusters == {"rcs_c03"}


def test_a_member_of_a_lost_cluster_that_stays_open_still_has_it_shut_off(facts) -> None:
    core = valved(facts)
    for nozzle in (4, 5):
        core.nozzle_failed(nozzle, "failed off", facts())
    core.nozzle_failed(6, "stuck on", facts())
    assert core.step(facts()).isolated_clusters == {"rcs_c02"}
    assert core.bank.is_active("nozzle-stuck-on")
    assert core.failed == {4, 5, 6}


def test_a_valve_that_does_not_follow_gives_the_sound_nozzles_back_until_it_does(facts) -> None:
    core = valved(facts)
    core.nozzle_failed(6, "stuck on", facts())
    core.isolation_followed("rcs_c02", False, facts())
    directives = core.step(facts())
    assert directives.masked_nozzles == frozenset({6})
    assert directives.isolated_clusters == {"rcs_c02"}, "the order stands"
    assert not core.bank.is_active("cluster-lost")
    core.isolation_followed("rcs_c02", True, facts())
    assert core.step(facts()).masked_nozzles == frozenset({4, 5, 6, 7})


def test_a_cluster_that_is_lost_stays_masked_whatever_its_valve_does(facts) -> None:
    core = valved(facts)
    core.nozzle_failed(4, "failed off", facts())
    core.nozzle_failed(6, "stuck on", facts())
    assert not core.bank.is_active("cluster-lost")
    core.isolation_followed("rcs_c02", False, facts())
    assert core.bank.is_active("cluster-lost")
    assert core.step(facts()).masked_nozzles == frozenset({4, 5, 6, 7})


@pytest.mark.parametrize(("followed", "shuts"), [(True, True), (False, False)])
def test_runaway_shuts_the_valves_unless_a_nozzle_goes_on_pushing(followed, shuts, facts) -> None:
    core = valved(facts)
    core.nozzle_failed(6, "stuck on", facts())
    core.isolation_followed("rcs_c02", followed, facts())
    core.step(facts(t_ns=0, rate_rad_s=0.5))
    directives = core.step(facts(t_ns=100 * MS, rate_rad_s=0.5))
    assert directives.shut_valves is shuts
    assert directives.detumble


def test_runaway_shuts_nothing_while_a_second_nozzle_pushes_that_has_no_valve(facts) -> None:
    core = valved(facts, frozenset({"rcs_c02"}))
    core.nozzle_failed(6, "stuck on", facts())
    core.nozzle_failed(8, "stuck on", facts())
    core.step(facts(t_ns=0, rate_rad_s=0.5))
    assert not core.step(facts(t_ns=100 * MS, rate_rad_s=0.5)).shut_valves


def test_the_last_nozzle_of_a_lost_cluster_says_nothing_new(core, facts) -> None:
    for nozzle in (4, 5):
        core.nozzle_failed(nozzle, "failed off", facts())
    list(core.take_events())
    core.nozzle_failed(7, "failed off", facts())
    assert told(core) == []


def test_locked_out_valves_stay_shut(core, facts) -> None:
    core.lock_out_valves(facts())
    for k in range(5):
        assert core.step(facts(t_ns=k * SECOND)).shut_valves
    assert core.modes.motion is Motion.SAFE
    assert core.keeper.reasons == (Code.CPU_OVERRUN,)
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


def test_safe_is_not_left_while_the_fault_that_led_there_stands(core, facts) -> None:
    blown = {"bus_voltage_v": 19.0}
    core.step(facts(t_ns=0, **blown))
    core.step(facts(t_ns=50 * MS, **blown))
    assert core.modes.motion is Motion.SAFE
    for k in range(1, 8):
        core.step(facts(t_ns=k * 500 * MS, **blown))
    refusal = core.request_mode(Motion.IDLE, facts(t_ns=4 * SECOND, **blown))
    assert refusal is not None
    assert Code.SAFE_EXIT_CONDITIONS in refusal.codes
    for k in range(8, 22):
        core.step(facts(t_ns=k * 500 * MS))
    assert core.request_mode(Motion.IDLE, facts(t_ns=11 * SECOND)) is None


def test_a_fault_that_only_bars_burns_does_not_keep_the_craft_in_safe(core, facts) -> None:
    low = {"bus_voltage_v": 21.0}
    core.enter_safe(Code.SAFE_ORDERED, facts())
    for k in range(5):
        core.step(facts(t_ns=k * 500 * MS, **low))
    assert core.bank.is_active("bus-under-voltage")
    assert core.request_mode(Motion.IDLE, facts(t_ns=3 * SECOND, **low)) is None


# -- recovery

LADDER = [{"step": "redundant", "wait_s": 0.3}, {"step": "safe"}]


def test_a_silent_inertial_unit_is_exchanged_before_safe(facts) -> None:
    port = Port("redundant")
    core = make(facts, [yes("imu", monitor="imu_silent", unit="imu", persist_ms=95, clear_ms=1000, text="silent",
                            recovery=LADDER)], port)
    core.step(facts(t_ns=0, imu_ok=False))
    core.step(facts(t_ns=95 * MS, imu_ok=False))
    assert port.asked == [("redundant", "role imu", 95 * MS)]
    for t_ms in range(100, 2000, 5):
        core.step(facts(t_ns=t_ms * MS))
    assert core.modes.motion is Motion.IDLE
    assert told(core) == [
        (Code.BUS_UNSTABLE, Severity.WARNING, "imu tripped: silent"),
        (Code.RECOVERY_STEP, Severity.WARNING, "imu: redundant taken"),
        (Code.BUS_UNSTABLE, Severity.INFO, "imu cleared: silent"),
        (Code.RECOVERY_DONE, Severity.INFO, "imu: redundant"),
    ]


def test_where_the_other_one_is_silent_too_safe_follows_in_its_time(facts) -> None:
    port = Port("redundant")
    core = make(facts, [yes("imu", monitor="imu_silent", unit="imu", persist_ms=0, recovery=LADDER)], port)
    core.step(facts(t_ns=0, imu_ok=False))
    core.step(facts(t_ns=299 * MS, imu_ok=False))
    assert core.modes.motion is Motion.IDLE
    core.step(facts(t_ns=300 * MS, imu_ok=False))
    assert core.modes.motion is Motion.SAFE
    assert core.keeper.reasons == (Code.BUS_UNSTABLE,)


def test_a_step_that_does_not_apply_is_told_and_the_next_taken_in_the_same_tick(facts) -> None:
    core = make(facts, [yes("imu", monitor="imu_silent", unit="imu", persist_ms=0, recovery=LADDER)], Port())
    core.step(facts(t_ns=0, imu_ok=False))
    assert core.modes.motion is Motion.SAFE
    assert (Code.RECOVERY_STEP, Severity.INFO, "imu: redundant skipped") in told(core)


def test_the_end_of_the_steps_is_told(facts) -> None:
    port = Port("re-init")
    core = make(facts, [row(persist_ms=0, unit="imu", recovery=[{"step": "re-init", "wait_s": 0.1}])], port)
    core.step(facts(t_ns=0, bus_voltage_v=21.0))
    core.step(facts(t_ns=100 * MS, bus_voltage_v=21.0))
    core.step(facts(t_ns=500 * MS, bus_voltage_v=21.0))
    assert told(core)[-1] == (Code.RECOVERY_EXHAUSTED, Severity.WARNING, "low: no step left")
    assert len(port.asked) == 1


def test_a_restart_is_ordered_until_the_program_ends(facts) -> None:
    core = make(facts, [row(persist_ms=0, recovery=[{"step": "restart"}])])
    assert core.step(facts(t_ns=0, bus_voltage_v=21.0)).restart
    assert core.step(facts(t_ns=5, bus_voltage_v=24.0)).restart
    assert (Code.RESTART_ORDERED, Severity.CRITICAL, "low: restart taken") in told(core)


def test_two_faults_are_climbed_side_by_side(facts) -> None:
    port = Port("re-init")
    rows = [row(id=name, number=900 + k, condition="below", limit=22.0 - k, persist_ms=0, unit="imu",
                recovery=[{"step": "re-init", "wait_s": 0.1}, {"step": "degrade"}]) for k, name in enumerate("ab")]
    core = make(facts, rows, port)
    core.step(facts(t_ns=0, bus_voltage_v=20.0))
    assert len(port.asked) == 2
    core.step(facts(t_ns=100 * MS, bus_voltage_v=20.0))
    texts = [text for code, _, text in told(core) if code is Code.RECOVERY_STEP]
    assert texts == ["a: re-init taken", "b: re-init taken", "a: degrade taken", "b: degrade taken"]


def test_a_cured_fault_is_climbed_no_more_while_another_goes_on(facts) -> None:
    port = Port("re-init")
    rows = [row(id=name, number=900 + k, condition="below", limit=22.0 - k, persist_ms=0, clear_ms=0, unit="imu",
                recovery=[{"step": "re-init", "wait_s": 0.1}, {"step": "degrade"}]) for k, name in enumerate("ab")]
    core = make(facts, rows, port)
    core.step(facts(t_ns=0, bus_voltage_v=20.0))
    core.step(facts(t_ns=50 * MS, bus_voltage_v=21.5))
    core.step(facts(t_ns=100 * MS, bus_voltage_v=21.5))
    texts = [text for code, _, text in told(core) if code in (Code.RECOVERY_STEP, Code.RECOVERY_DONE)]
    assert texts == ["a: re-init taken", "b: re-init taken", "b: re-init", "a: degrade taken"]


def test_a_fault_that_led_to_safe_does_not_claim_a_cure(facts) -> None:
    core = make(facts, [row(persist_ms=0, clear_ms=0, recovery=[{"step": "safe"}])])
    core.step(facts(t_ns=0, bus_voltage_v=21.0))
    core.step(facts(t_ns=5, bus_voltage_v=24.0))
    assert Code.RECOVERY_DONE not in [code for code, _, _ in told(core)]


def test_a_craft_without_a_port_recovers_nothing() -> None:
    assert NoRecovery().recover("re-init", "imu", 0) is False


# -- reports and the operator

def test_a_report_of_an_unknown_fault_is_an_error(core, facts) -> None:
    with pytest.raises(KeyError):
        core.report("none", True, facts())


def test_a_report_that_says_nothing_new_is_not_told_again(facts) -> None:
    core = make(facts, [yes("told", monitor="reported", condition="reported")])
    core.report("told", True, facts(), "first")
    core.report("told", True, facts(), "second")
    assert [text for _, _, text in told(core)] == ["told tripped: told (first)"]


def test_a_monitor_is_switched_off_and_on_by_name(facts) -> None:
    core = make(facts, [row(persist_ms=0, isolation=["bar-burns"])])
    assert core.step(facts(t_ns=0, bus_voltage_v=21.0)).bar_burns
    assert core.set_monitor("none", False, facts()) == (Code.CMD_VALIDATION_FAILED,)
    list(core.take_events())
    assert core.set_monitor("low", False, facts()) == ()
    assert not core.step(facts(t_ns=5, bus_voltage_v=21.0)).bar_burns
    assert told(core) == [
        (Code.MONITOR_SWITCHED, Severity.WARNING, "low off"),
        (Code.BUS_UNSTABLE, Severity.INFO, "low cleared: below 22 V"),
    ]
    assert core.set_monitor("low", True, facts()) == ()
    assert told(core) == [(Code.MONITOR_SWITCHED, Severity.WARNING, "low on")]


def test_a_latched_fault_is_cleared_by_name(facts) -> None:
    core = make(facts, [row(persist_ms=0, clear_ms=0, latched=True)])
    core.step(facts(t_ns=0, bus_voltage_v=21.0))
    core.step(facts(t_ns=5, bus_voltage_v=24.0))
    assert core.bank.is_active("low")
    assert core.clear_fault("none") == (Code.CMD_VALIDATION_FAILED,)
    assert core.clear_fault("low") == ()
    assert core.clear_fault("low") == (Code.CMD_VALIDATION_FAILED,)
    core.step(facts(t_ns=10, bus_voltage_v=24.0))
    assert not core.bank.is_active("low")


def test_energy_conflicts_are_told_with_the_shipped_table(core, facts) -> None:
    conflict = EnergyFacts(stores_conflict=True)
    for t_ms in range(0, 1100, 5):
        core.step(facts(t_ns=t_ms * MS, energy=conflict))
    assert core.bank.is_active("stores-conflict")
    assert core.modes.motion is Motion.IDLE
    assert Step.SAFE not in [r.step for r in core.bank.monitor("stores-conflict").rungs]


# -- link, restart, brake


def silent(age_s: float) -> LinkFacts:
    return LinkFacts(uplink_age_s=age_s)


def test_a_craft_that_waits_for_no_uplink_never_loses_the_link(core, facts) -> None:
    for k in range(10):
        core.step(facts(t_ns=k * 1000 * SECOND))
    assert core.modes.motion is Motion.IDLE
    assert core.link.losses == 0


def test_silence_for_the_command_loss_time_restricts_emission_and_leads_to_safe(core, facts) -> None:
    core.step(facts(t_ns=1000 * SECOND, link=silent(599.9)))
    assert core.modes.motion is Motion.IDLE
    core.step(facts(t_ns=1001 * SECOND, link=silent(600.0)))
    assert core.modes.motion is Motion.SAFE
    assert core.modes.emission is Emission.RESTRICTED
    assert core.keeper.reasons == (Code.SAFE_COMMS_LOSS,)
    codes = [code for code, _, _ in told(core)]
    assert codes == [Code.SAFE_COMMS_LOSS, Code.MODE_CHANGED, Code.SAFE_COMMS_LOSS, Code.EMISSION_CHANGED]


def test_the_limit_of_the_link_is_the_crafts_own(core, facts) -> None:
    limits = dataclasses.replace(facts().limits, command_loss_s=60.0)
    core.step(facts(t_ns=100 * SECOND, limits=limits, link=silent(59.9)))
    assert core.modes.motion is Motion.IDLE
    core.step(facts(t_ns=101 * SECOND, limits=limits, link=silent(60.0)))
    assert core.modes.motion is Motion.SAFE


def test_three_uplinks_open_the_emission_again_and_end_the_fault(core, facts) -> None:
    core.step(facts(t_ns=1000 * SECOND, link=silent(600.0)))
    for k in range(1, 4):
        core.step(facts(t_ns=(1000 + k) * SECOND, link=silent(0.0)))
    assert core.modes.emission is Emission.OPEN
    assert not core.bank.is_active("command-loss")
    assert core.modes.motion is Motion.SAFE
    assert (Code.EMISSION_CHANGED, Severity.WARNING, "open: link returned") in told(core)


def test_a_silent_craft_stays_silent_when_the_link_is_lost(core, facts) -> None:
    core.modes.set_emission(Emission.SILENT)
    core.step(facts(t_ns=1000 * SECOND, link=silent(600.0)))
    assert core.modes.emission is Emission.SILENT
    assert Code.EMISSION_CHANGED not in [code for code, _, _ in told(core)]


def test_safe_goes_on_after_a_restart(facts) -> None:
    core = Supervisor(CLUSTERS, shipped())
    core.restore_safe(KeptSafe((Code.SAFE_POWER_LOW, Code.SAFE_CAP_LOW), False), facts())
    assert core.modes.motion is Motion.SAFE
    assert core.keeper.reasons == (Code.SAFE_POWER_LOW, Code.SAFE_CAP_LOW)
    last = told(core)[-1]
    assert last == (
        Code.SAFE_POWER_LOW, Severity.CRITICAL, "SAFE since before the restart: SAFE_POWER_LOW, SAFE_CAP_LOW"
    )
    assert core.request_mode(Motion.IDLE, facts()) is not None


def test_a_lost_link_is_still_lost_after_a_restart(facts) -> None:
    core = Supervisor(CLUSTERS, shipped())
    core.restore_safe(KeptSafe((Code.SAFE_COMMS_LOSS,), False), facts(link=silent(1.0)))
    assert core.bank.is_active("command-loss")
    assert core.modes.emission is Emission.RESTRICTED
    none_waited_for = Supervisor(CLUSTERS, shipped())
    none_waited_for.restore_safe(KeptSafe((Code.SAFE_COMMS_LOSS,), False), facts())
    assert not none_waited_for.bank.is_active("command-loss")


def test_a_brake_is_flown_to_its_end_for_what_it_skips_and_safe_follows(core, facts) -> None:
    assert core.request_mode(Motion.BRAKE, facts(speed_m_s=2.0)) is None
    core.enter_safe(Code.SAFE_CAP_LOW, facts(speed_m_s=2.0))
    assert core.modes.motion is Motion.BRAKE
    core.enter_safe(Code.SAFE_ORIENTATION_LOST, facts(speed_m_s=2.0))
    assert core.modes.motion is Motion.SAFE


def test_a_fault_that_bars_burns_does_not_bar_a_brake(facts) -> None:
    core = make(facts, [row(persist_ms=0, isolation=["bar-burns"])])
    assert core.step(facts(t_ns=0, bus_voltage_v=21.0)).bar_burns
    assert core.request_mode(Motion.BRAKE, facts(speed_m_s=2.0)) is None
    assert not core.step(facts(t_ns=5, bus_voltage_v=21.0, speed_m_s=2.0)).bar_burns


def test_a_brake_out_of_safe_starts_the_way_out_over(core, facts) -> None:
    core.enter_safe(Code.SAFE_CAP_LOW, facts())
    for k in range(3):
        core.step(facts(t_ns=k * 500 * MS))
    assert core.keeper.passes == 3
    assert core.request_mode(Motion.BRAKE, facts(speed_m_s=2.0)) is None
    assert core.keeper.passes == 0


def test_counters_are_0_again_by_command(facts) -> None:
    core = make(facts, [row(persist_ms=0)])
    core.step(facts(t_ns=0, bus_voltage_v=21.0))
    told(core)
    core.reset_counters(facts())
    assert core.bank.states[0].counters.trips == 0
    assert core.bank.is_active("low")
    assert told(core) == [(Code.MONITOR_SWITCHED, Severity.INFO, "counters of all monitors are 0 again")]


@pytest.mark.parametrize("burn", [CommandClass.ZTT_BURN, CommandClass.FTG_BURN, CommandClass.OVERRIDE])
def test_a_fault_that_bars_burns_refuses_them_with_its_code_once(burn, facts) -> None:
    core = make(facts, [
        row(persist_ms=0, isolation=["bar-burns"]),
        row(id="lower", number=901, persist_ms=0, limit=21.5, isolation=["bar-burns"]),
    ])
    nominal = core.gate(burn, facts())
    core.step(facts(t_ns=0, bus_voltage_v=21.0))
    assert core.gate(burn, facts(bus_voltage_v=21.0)) == (*nominal, Code.BUS_UNSTABLE)
    assert Code.BUS_UNSTABLE not in core.gate(CommandClass.BRAKE, facts())
    core.step(facts(t_ns=SECOND, bus_voltage_v=24.0))
    core.step(facts(t_ns=2 * SECOND, bus_voltage_v=24.0))
    assert core.gate(burn, facts()) == nominal


def test_every_fault_is_isolated_before_any_step_is_taken(facts) -> None:
    class Breaks:
        def recover(self, step: str, unit: str, now_ns: int) -> bool:
            raise RuntimeError(step)

    rows = [
        row(id="a", number=901, monitor="imu_silent", condition="true", limit=..., persist_ms=0, unit="imu",
            recovery=[{"step": "redundant"}]),
        row(id="b", number=902, persist_ms=0, isolation=["shut-valves"]),
    ]
    core = make(facts, rows, Breaks())
    with pytest.raises(RuntimeError, match="redundant"):
        core.step(facts(t_ns=0, bus_voltage_v=21.0, imu_ok=False))
    assert [code for code, _, _ in told(core)] == [Code.BUS_UNSTABLE, Code.BUS_UNSTABLE]
    core.port = NoRecovery()
    assert core.step(facts(t_ns=5, bus_voltage_v=21.0, imu_ok=False)).shut_valves


def test_emission_is_as_it_was_before_the_restart(facts) -> None:
    core = Supervisor(CLUSTERS, shipped())
    core.restore_safe(KeptSafe(emission=Emission.SILENT), facts())
    assert core.modes.emission is Emission.SILENT
    assert core.modes.motion is Motion.BOOT
    assert told(core) == [(Code.EMISSION_CHANGED, Severity.INFO, "silent: as before the restart")]


# -- SAFE by order, restarts that are held, the guard


def test_safe_that_is_asked_for_without_a_reason_was_ordered(core, facts) -> None:
    assert core.request_mode(Motion.SAFE, facts(t_ns=7)) is None
    assert core.keeper.reasons == (Code.SAFE_ORDERED,)
    assert core.step(facts(t_ns=8)).bar_burns
    assert told(core) == [(Code.MODE_CHANGED, Severity.INFO, "Idle -> SAFE")]


def test_a_craft_that_kept_restarting_is_not_restarted_again(facts) -> None:
    core = make(facts, [row(persist_ms=0, recovery=[{"step": "restart"}])])
    core.enter_safe(Code.BOOT_LOOP, facts())
    list(core.take_events())
    assert not core.step(facts(t_ns=0, bus_voltage_v=21.0)).restart
    assert told(core)[-1] == (Code.RECOVERY_HELD, Severity.WARNING, "low: restart held: the craft kept restarting")
    assert not core.step(facts(t_ns=SECOND, bus_voltage_v=21.0)).restart
    assert told(core) == []


def alert(
    severity: Severity, trigger: Trigger = Trigger.PRESENT, code: Code | None = None, rule: str = "R"
) -> GuardAlert:
    return GuardAlert(rule, 3, code, severity, trigger, 5, "track 3 at 40.0 m")


def test_an_alert_is_told_with_its_code_or_the_guards_own(core, facts) -> None:
    assert core.on_guard_alerts([
        alert(Severity.INFO), alert(Severity.INFO, code=Code.RADAR_SIGNAL_LOSS, rule="GONE"),
    ], facts(t_ns=9)) == ()
    assert list(core.take_events()) == [
        FdirEvent(9, Code.GUARD_ALERT, Severity.INFO, "R: track 3 at 40.0 m"),
        FdirEvent(9, Code.RADAR_SIGNAL_LOSS, Severity.INFO, "GONE: track 3 at 40.0 m"),
    ]
    assert core.modes.motion is Motion.IDLE


def test_a_warning_makes_an_idle_craft_ready_and_no_other(core, facts) -> None:
    assert core.on_guard_alerts([alert(Severity.WARNING)], facts(t_ns=9)) == ()
    assert core.modes.motion is Motion.MANOEUVRE
    assert list(core.take_events()) == [
        FdirEvent(9, Code.GUARD_ALERT, Severity.WARNING, "R: track 3 at 40.0 m"),
        FdirEvent(9, Code.MODE_CHANGED, Severity.INFO, "Idle -> Manoeuvre"),
    ]
    core.enter_safe(Code.SAFE_CAP_LOW, facts())
    core.on_guard_alerts([alert(Severity.WARNING)], facts())
    assert core.modes.motion is Motion.SAFE


def test_a_critical_alert_leads_to_safe_with_its_code(core, facts) -> None:
    gone = alert(Severity.CRITICAL, Trigger.LOST, Code.RADAR_SIGNAL_LOSS)
    assert core.on_guard_alerts([gone], facts(t_ns=9)) == ()
    assert core.modes.motion is Motion.SAFE
    assert core.keeper.reasons == (Code.RADAR_SIGNAL_LOSS,)


def test_critical_threats_are_given_to_whoever_flies_the_brake(core, facts) -> None:
    first, second = (alert(Severity.CRITICAL, Trigger.THREAT, rule=name) for name in ("A", "B"))
    assert core.on_guard_alerts([first, alert(Severity.INFO), second], facts()) == (first, second)
    assert core.modes.motion is Motion.IDLE
    assert core.keeper.reasons == ()


def test_evasions_come_before_brakes(core, facts) -> None:
    brake, other = (alert(Severity.CRITICAL, Trigger.THREAT, rule=name) for name in ("A", "C"))
    evade = dataclasses.replace(alert(Severity.CRITICAL, Trigger.THREAT, rule="B"), evade_m_s=(0.0, 1.0, 0.0))
    assert core.on_guard_alerts([brake, evade, other], facts()) == (evade, brake, other)
    assert core.modes.motion is Motion.IDLE
    assert core.keeper.reasons == ()


def test_how_a_command_was_given_is_judged_after_the_crafts_state(core, facts) -> None:
    critical = CommandClass.MODE_CHANGE
    assert core.gate(critical, facts()) == ()
    assert core.gate(critical, facts(), standing=Standing()) == (Code.CMD_CONFIRMATION_REQUIRED,)
    assert core.gate(critical, facts(), standing=Standing(confirmed=True)) == ()


# -- nozzles that stay open


def with_valves(facts, *clusters: str) -> Supervisor:
    core = Supervisor(CLUSTERS, shipped(), isolation=frozenset(clusters))
    core.request_mode(Motion.IDLE, facts())
    list(core.take_events())
    return core


def test_a_nozzle_that_stays_open_has_its_cluster_shut_off(facts) -> None:
    core = with_valves(facts, "rcs_c02")
    core.nozzle_failed(5, "stuck on", facts(t_ns=3))
    directives = core.step(facts(t_ns=5))
    assert directives.isolated_clusters == {"rcs_c02"}
    assert directives.masked_nozzles == {4, 5, 6, 7}
    assert (core.failed, core.isolated) == ({5}, {"rcs_c02"})
    assert core.bank.is_active("nozzle-stuck-on")
    assert not core.bank.is_active("cluster-lost")
    assert (Code.RCS_UNAVAILABLE, Severity.WARNING, "nozzle 5 stuck on: cluster rcs_c02 shut off") in told(core)


@pytest.mark.parametrize("how", ["failed off", "weak"])
def test_one_that_does_not_push_is_masked_and_nothing_is_shut_off(how: str, facts) -> None:
    core = with_valves(facts, "rcs_c02")
    core.nozzle_failed(5, how, facts())
    directives = core.step(facts(t_ns=5))
    assert (directives.isolated_clusters, directives.masked_nozzles) == (frozenset(), {5})
    assert core.bank.is_active("nozzle-stuck-off")


def test_one_that_was_masked_and_then_stays_open_is_shut_off_once(facts) -> None:
    core = with_valves(facts, "rcs_c02")
    core.nozzle_failed(5, "failed off", facts())
    core.nozzle_failed(5, "stuck on", facts())
    assert core.isolated == {"rcs_c02"}
    list(core.take_events())
    core.nozzle_failed(5, "stuck on", facts())
    core.nozzle_failed(6, "stuck on", facts())
    assert told(core) == []


def test_a_cluster_without_a_valve_is_not_shut_off(facts) -> None:
    core = with_valves(facts, "rcs_c01")
    core.nozzle_failed(5, "stuck on", facts())
    assert (core.isolated, core.masked) == (frozenset(), {5})
    assert "nozzle 5 stuck on: masked" in [text for _, _, text in told(core)]


def test_while_a_valve_does_not_follow_only_the_failed_nozzles_are_out_of_use(facts) -> None:
    many = tuple(f"c{n // 2}" for n in range(16))
    core = Supervisor(many, shipped(), isolation=frozenset({"c0", "c1"}))
    core.nozzle_failed(3, "stuck on", facts())
    core.nozzle_failed(1, "stuck on", facts())
    core.isolation_followed("c1", False, facts())
    assert core.masked == {0, 1, 3}
    core.isolation_followed("c0", False, facts())
    assert core.masked == {1, 3}
    core.isolation_followed("c1", True, facts())
    assert core.masked == {1, 2, 3}
    assert core.isolated == {"c0", "c1"}


def test_two_failed_nozzles_behind_a_valve_that_does_not_follow_lose_their_cluster(facts) -> None:
    core = with_valves(facts, "rcs_c02")
    core.nozzle_failed(6, "failed off", facts())
    core.nozzle_failed(5, "stuck on", facts())
    assert not core.bank.is_active("cluster-lost")
    core.isolation_followed("rcs_c02", False, facts())
    assert core.bank.is_active("cluster-lost")
    assert core.masked == {4, 5, 6, 7}
    # Lost is lost, also while another valve follows or not.
    core.isolation_followed("rcs_c01", True, facts())
    assert core.masked == {4, 5, 6, 7}


@pytest.mark.parametrize(("valves", "followed", "shut"), [
    ((), True, False), (("rcs_c02",), True, True), (("rcs_c02",), False, False),
])
def test_a_runaway_shuts_the_valves_unless_one_stays_open_for_good(valves, followed, shut, facts) -> None:
    core = with_valves(facts, *valves)
    core.nozzle_failed(5, "stuck on", facts())
    core.isolation_followed("rcs_c02", followed, facts())
    core.step(facts(t_ns=0, rate_rad_s=0.5))
    directives = core.step(facts(t_ns=100 * MS, rate_rad_s=0.5))
    assert (directives.shut_valves, directives.detumble) == (shut, True)


# -- a restart


def test_emission_is_as_before_the_restart_with_or_without_safe(facts) -> None:
    core = Supervisor(CLUSTERS, shipped())
    core.restore_safe(KeptSafe(emission=Emission.SILENT), facts(t_ns=4))
    assert (core.modes.emission, core.modes.motion, core.keeper.reasons) == (Emission.SILENT, Motion.BOOT, ())
    assert list(core.take_events()) == [
        FdirEvent(4, Code.EMISSION_CHANGED, Severity.INFO, "silent: as before the restart"),
    ]
    core.restore_safe(KeptSafe((Code.SAFE_CAP_LOW,), True, Emission.SILENT), facts())
    assert core.keeper.latched
    assert Code.EMISSION_CHANGED not in [code for code, _, _ in told(core)]


# -- edges of time, and what a step is asked with


def test_reports_are_answered_at_once(facts) -> None:
    port = Port("re-init")
    core = make(facts, [yes("told", monitor="reported", condition="reported", unit="imu",
                            recovery=[{"step": "re-init", "wait_s": 0.1}])], port)
    core.report("told", True, facts(t_ns=5))
    assert port.asked == [("re-init", "role imu", 5)]


def test_an_emission_that_the_loss_closed_opens_with_the_link_after_a_restart_too(facts) -> None:
    core = Supervisor(CLUSTERS, shipped())
    kept = KeptSafe((Code.SAFE_COMMS_LOSS,), False, Emission.RESTRICTED, closed=True)
    core.restore_safe(kept, facts(link=silent(1.0)))
    for k in range(1, 5):
        core.step(facts(t_ns=k * SECOND, link=silent(0.0)))
    assert core.modes.emission is Emission.OPEN
    ordered = Supervisor(CLUSTERS, shipped())
    ordered.restore_safe(dataclasses.replace(kept, closed=False), facts(link=silent(1.0)))
    for k in range(1, 5):
        ordered.step(facts(t_ns=k * SECOND, link=silent(0.0)))
    assert ordered.modes.emission is Emission.RESTRICTED


def test_a_ladder_waits_while_nothing_is_known_and_a_person_leads_out_of_what_cannot_be_judged(facts) -> None:
    ladder = [{"step": "redundant", "wait_s": 1.0}, {"step": "safe"}]
    core = make(facts, [row(persist_ms=0, unit="imu", recovery=ladder)], Port("redundant"))
    core.step(facts(t_ns=0, bus_voltage_v=21.0))
    for k in range(1, 60):
        core.step(facts(t_ns=k * SECOND, bus_voltage_v=None))
    assert core.modes.motion is Motion.IDLE
    core.step(facts(t_ns=60 * SECOND, bus_voltage_v=21.0))
    assert core.modes.motion is Motion.SAFE
    for k in range(61, 70):
        core.step(facts(t_ns=k * SECOND, bus_voltage_v=None))
    assert core.keeper.passes == 0
    core.keeper.acknowledge()
    for k in range(70, 80):
        core.step(facts(t_ns=k * SECOND, bus_voltage_v=None))
    assert core.request_mode(Motion.IDLE, facts(t_ns=80 * SECOND)) is None


def test_a_reported_fault_that_stands_is_told_again_when_its_monitor_is_switched_on(facts) -> None:
    core = make(facts)
    core.report("command-loss", True, facts())
    core.set_monitor("command-loss", False, facts())
    assert not core.bank.is_active("command-loss")
    core.set_monitor("command-loss", True, facts())
    assert core.bank.is_active("command-loss")
    core.report("command-loss", False, facts())
    core.set_monitor("command-loss", False, facts())
    core.set_monitor("command-loss", True, facts())
    assert not core.bank.is_active("command-loss")


def test_what_was_left_unknown_leads_to_safe_again_when_it_is_known_to_be_bad(facts) -> None:
    core = make(facts, [row(persist_ms=0, clear_ms=100, recovery=[{"step": "safe"}])])
    core.step(facts(t_ns=0, bus_voltage_v=21.0))
    core.keeper.acknowledge()
    for k in range(1, 6):
        core.step(facts(t_ns=k * SECOND, bus_voltage_v=None))
    assert core.request_mode(Motion.IDLE, facts(t_ns=6 * SECOND)) is None
    core.step(facts(t_ns=7 * SECOND, bus_voltage_v=None))
    assert core.modes.motion is Motion.IDLE
    core.step(facts(t_ns=8 * SECOND, bus_voltage_v=21.0))
    assert core.modes.motion is Motion.SAFE


def test_a_ladder_that_goes_on_behind_safe_leads_there_again_too(facts) -> None:
    ladder = [{"step": "safe", "wait_s": 3600.0}, {"step": "degrade"}]
    core = make(facts, [row(persist_ms=0, recovery=ladder)])
    core.step(facts(t_ns=0, bus_voltage_v=21.0))
    core.keeper.acknowledge()
    for k in range(1, 6):
        core.step(facts(t_ns=k * SECOND, bus_voltage_v=None))
    assert core.request_mode(Motion.IDLE, facts(t_ns=6 * SECOND)) is None
    core.step(facts(t_ns=7 * SECOND, bus_voltage_v=21.0))
    assert core.modes.motion is Motion.SAFE


def test_events_that_nobody_takes_are_bounded(core, facts) -> None:
    for _ in range(MOST_EVENTS + 1):
        core.reset_counters(facts())
    assert len(list(core.take_events())) == MOST_EVENTS == 1000
    core.reset_counters(facts())
    assert len(list(core.take_events())) == 1


def test_gating_is_told_what_is_known_and_of_lockdown(core, facts) -> None:
    known = GateFacts(com_valid=True, inertia_modelled=True, thrust_map=True, torque_map=True, joint_rated=True)
    assert core.gate(CommandClass.ZTT_BURN, facts(), known) == ()
    assert Code.COM_INVALID in core.gate(CommandClass.ZTT_BURN, facts())
    core.enter_safe(Code.SAFE_CAP_LOW, facts())
    assert core.gate(CommandClass.EXTERNAL_POWER, facts()) == ()
    core.enter_safe(Code.SAFE_THERMAL_CRITICAL, facts())
    assert core.gate(CommandClass.EXTERNAL_POWER, facts()) == (Code.SAFE_LOCKED,)


def test_a_fault_that_bars_burns_is_one_reason_among_the_others(facts) -> None:
    core = make(facts, [row(persist_ms=0, isolation=["bar-burns"])])
    core.step(facts(t_ns=0, bus_voltage_v=21.0))
    burn = core.gate(CommandClass.ZTT_BURN, facts(propulsion_ready=False))
    assert Code.RCS_UNAVAILABLE in burn
    assert burn[-1] is Code.BUS_UNSTABLE


def test_safe_is_told_with_its_reason(core, facts) -> None:
    core.enter_safe(Code.SAFE_CAP_LOW, facts())
    assert told(core) == [
        (Code.MODE_CHANGED, Severity.INFO, "Idle -> SAFE"), (Code.SAFE_CAP_LOW, Severity.CRITICAL, "SAFE"),
    ]


def test_a_report_needs_no_detail(facts) -> None:
    core = make(facts, [yes("told", monitor="reported", condition="reported")])
    core.report("told", True, facts())
    assert [text for _, _, text in told(core)] == ["told tripped: told"]


def test_clusters_that_are_lost_stay_so_whatever_fails_after_them(core, facts) -> None:
    for nozzle in (8, 0, 1):
        core.nozzle_failed(nozzle, "failed off", facts())
    assert core.masked == {0, 1, 2, 3, 8}
    for nozzle in (4, 5, 12):
        core.nozzle_failed(nozzle, "failed off", facts())
    assert core.masked == {0, 1, 2, 3, 4, 5, 6, 7, 8, 12}


def test_a_step_that_was_taken_is_the_last_of_its_tick_even_where_it_needs_no_time(facts) -> None:
    port = Port("re-init", "reset")
    ladder = [{"step": "re-init", "wait_s": 0.0}, {"step": "reset", "wait_s": 0.0}]
    core = make(facts, [row(persist_ms=0, unit="imu", recovery=ladder)], port)
    core.step(facts(t_ns=0, bus_voltage_v=21.0))
    assert [step for step, _, _ in port.asked] == ["re-init"]
    core.step(facts(t_ns=5, bus_voltage_v=21.0))
    assert [step for step, _, _ in port.asked] == ["re-init", "reset"]
