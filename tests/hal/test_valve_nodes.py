"""Valve nodes as the hal follows them: told when they go and come, lost after set-ups without end, reset by order."""

from __future__ import annotations

from hal.device_health import DeviceState
from hal.propulsion import PulsePlan
from hil.faults import Fault, FaultKind
from tests.hal.bench import PROFILE, Bench

COUNT = len(PROFILE.body.propulsion.nozzles)
WINDOW_MS = PROFILE.body.propulsion.window_ms


def up() -> Bench:
    bench = Bench()
    bench.run(1.0)
    assert bench.told("valves_a") == ["OK"]
    return bench


def opened(bench: Bench, node: str, seconds: float) -> int:
    """Outputs of a node that were driven or held at any time; the watchdog is fed meanwhile."""
    seen = 0
    for _ in range(round(200 * seconds)):
        bench.hardware.safety.kick(bench.now_ns)
        bench.run(0.005)
        seen |= bench.rig.nodes[node].outputs | bench.rig.nodes[node].coils
    return seen


def armed() -> Bench:
    """Both nodes take pulses."""
    bench = up()
    bench.hardware.safety.kick(bench.now_ns)
    assert bench.hardware.safety.set_arm(True)
    assert bench.hardware.safety.set_enable(True)
    bench.hardware.propulsion.arm(bench.now_ns)
    assert opened(bench, "valves_a", 0.2) == 0
    assert bench.rig.nodes["valves_a"].armed
    assert bench.rig.nodes["valves_b"].armed
    return bench


def test_a_silent_node_is_degraded_then_lost_after_more_than_three_set_ups_and_ok_when_it_is_back() -> None:
    bench = up()
    handle = bench.rig.buses["can0"].inject(Fault(FaultKind.SILENCE, address=0x11))
    bench.run(2.0)
    assert bench.hardware.unit_facts().degraded == {"valves_b"}
    bench.run(60.0)
    assert bench.told("valves_b") == ["OK", "DEGRADED", "LOST"]
    assert bench.hardware.unit_facts().lost == {"valves_b"}
    assert bench.hardware.states()["valves_a"] is DeviceState.OK
    bench.rig.buses["can0"].clear(handle)
    bench.run(10.0)
    assert bench.told("valves_b") == ["OK", "DEGRADED", "LOST", "OK"]
    assert bench.hardware.unit_facts().lost == frozenset()


def test_a_lost_node_that_is_well_again_is_back_within_half_a_second_of_its_reset() -> None:
    bench = up()
    handle = bench.rig.buses["can0"].inject(Fault(FaultKind.SILENCE, address=0x11))
    bench.run(62.0)
    bench.rig.buses["can0"].clear(handle)
    assert bench.hardware.recover("reset", "valves_b", bench.now_ns)
    bench.run(0.5)
    assert bench.hardware.states()["valves_b"] is DeviceState.OK


def test_a_node_that_is_reset_while_it_fires_shuts_at_once_and_stays_shut_and_disarmed_through_its_set_up() -> None:
    bench = armed()
    bench.hardware.propulsion.command(PulsePlan(WINDOW_MS, (0,) * COUNT, (WINDOW_MS,) * COUNT))
    assert opened(bench, "valves_a", 0.03) == 0xFF
    assert bench.hardware.recover("reset", "valves_a", bench.now_ns)
    opened(bench, "valves_a", 0.01)
    assert opened(bench, "valves_a", 2.0) == 0
    assert not bench.rig.nodes["valves_a"].armed
    sample = next(node for node in bench.hardware.propulsion.state().nodes if node.node_id == 0x10)
    assert sample.operational
    assert not sample.armed


def test_a_reset_forgets_a_window_that_was_sent_before_it() -> None:
    bench = armed()
    late = WINDOW_MS - 1
    bench.hardware.propulsion.command(PulsePlan(WINDOW_MS, (late - 40,) * COUNT, (late,) * COUNT))
    bench.run(0.005)
    assert bench.hardware.recover("reset", "valves_a", bench.now_ns)
    assert opened(bench, "valves_a", 1.0) == 0


def test_a_plan_that_is_sent_while_a_node_is_set_up_anew_opens_none_of_its_valves() -> None:
    bench = armed()
    bench.hardware.recover("reset", "valves_a", bench.now_ns)
    bench.run(0.01)
    seen = 0
    for _ in range(20):
        bench.hardware.propulsion.command(PulsePlan(WINDOW_MS, (0,) * COUNT, (50,) * COUNT))
        seen |= opened(bench, "valves_a", 0.1)
    assert seen == 0


def test_a_reset_of_a_node_whose_bus_is_gone_ends_in_nothing_and_the_node_comes_back_with_the_bus() -> None:
    bench = up()
    handle = bench.rig.buses["can0"].inject(Fault(FaultKind.BUS_OFF))
    bench.run(1.0)
    bench.hardware.recover("reset", "valves_a", bench.now_ns)
    bench.run(5.0)
    assert not bench.hardware.propulsion.state().some_ready
    bench.rig.buses["can0"].clear(handle)
    bench.run(10.0)
    assert bench.hardware.not_ok() == {}
