"""What is ordered of single units, carried out on the twins of a board's chips: and nobody else notices."""

from __future__ import annotations

from math import radians

import msgspec
import pytest

from drivers.errors import Cause
from hal.device_health import DeviceState
from hal.hardware import Hardware
from hil.faults import Fault, FaultKind
from tests.hal.bench import PROFILE, Bench

MS = 1_000_000
SECOND = 1_000_000_000
POLLED_HERE = ("mag", "sun_px", "temps_a", "bus_monitor", "gauge", "dock_px", "latch_a")
"""Some of each kind of bus and channel, for what goes on meanwhile."""


@pytest.fixture
def bench() -> Bench:
    bench = Bench()
    bench.run(3.0)
    assert bench.hardware.not_ok() == {}
    return bench


def rates(bench: Bench, names: tuple[str, ...], seconds: float) -> dict[str, float]:
    """Samples a second of some devices over the next seconds."""
    before = {name: bench.hardware.counters()[name].samples for name in names}
    bench.run(seconds)
    return {name: (bench.hardware.counters()[name].samples - before[name]) / seconds for name in names}


# -- what there is not


@pytest.mark.parametrize(("step", "unit"), [
    ("retry", "nobody"), ("degrade", "mag"), ("safe", "mag"), ("", "mag"), ("retry", ""), ("retry", "bus nowhere"),
    ("redundant", "mag"), ("redundant", "imu_b"), ("power-cycle", "star_tracker"), ("retry", "star_tracker"),
    ("power-cycle", "bms"), ("retry", "valves_a"), ("re-init", "valves_a"), ("power-cycle", "valves_a"),
    ("reset", "mag"), ("power-cycle", "bus_monitor"), ("power-cycle", "bus i2c_a"), ("retry", "bus i2c_a"),
    ("reset", "bus can0"), ("power-cycle", "bus usb0"), ("re-init", "bus gpio"), ("retry", "mux"),
])
def test_a_step_that_means_nothing_to_a_unit_does_nothing_and_says_so(bench: Bench, step: str, unit: str) -> None:
    told = len(bench.hardware.health_events)
    assert not bench.hardware.recover(step, unit, bench.now_ns)
    assert len(bench.hardware.health_events) == told
    bench.run(0.2)
    assert bench.hardware.not_ok() == {}
    assert bench.hardware.unit_facts() == type(bench.hardware.unit_facts())()


def test_every_device_of_the_board_takes_some_step_but_one_that_only_sends_frames() -> None:
    steps = ("retry", "re-init", "reset", "redundant", "power-cycle")
    bench = Bench()
    bench.run(3.0)
    for name in bench.hardware.states():
        taken = []
        for step in steps:
            if bench.hardware.recover(step, name, bench.now_ns):
                taken.append(step)
                bench.run(1.0)
        assert bool(taken) is (name != "bms"), name
    bench.run(5.0)
    assert bench.hardware.not_ok() == {}


# -- single devices


@pytest.mark.parametrize("step", ["retry", "re-init"])
def test_recovering_one_device_leaves_the_readings_of_the_others_going_on(bench: Bench, step: str) -> None:
    others = tuple(name for name in POLLED_HERE if name != "mag")
    usual = rates(bench, others, 2.0)
    setups = bench.hardware.counters()["mag"].initialisations
    assert bench.hardware.recover(step, "mag", bench.now_ns)
    meanwhile = rates(bench, others, 2.0)
    assert all(meanwhile[name] >= 0.9 * usual[name] for name in others), meanwhile
    assert bench.hardware.reading("imu", bench.now_ns).ok
    assert bench.hardware.counters()["mag"].initialisations == setups + (step == "re-init")
    assert bench.hardware.not_ok() == {}


def test_a_lost_device_that_is_well_again_is_back_at_once_when_retried_and_later_when_not(bench: Bench) -> None:
    handle = bench.rig.buses["i2c_a"].inject(Fault(FaultKind.NACK_ADDRESS, address=0x40))
    bench.run(25.0)
    assert bench.hardware.unit_facts().lost == frozenset({"bus_monitor"})
    bench.rig.buses["i2c_a"].clear(handle)
    bench.run(0.1)
    assert bench.hardware.unit_facts().lost == frozenset({"bus_monitor"}), "asked every five seconds only"
    assert bench.hardware.recover("retry", "bus_monitor", bench.now_ns)
    bench.run(0.3)
    assert bench.hardware.not_ok() == {}
    assert not bench.hardware.unit_facts().lost


def test_one_order_of_a_unit_is_under_way_at_most(bench: Bench) -> None:
    assert bench.hardware.recover("re-init", "mag", bench.now_ns)
    assert not bench.hardware.recover("re-init", "mag", bench.now_ns)
    assert not bench.hardware.recover("retry", "mag", bench.now_ns)
    assert bench.hardware.recover("re-init", "temps_a", bench.now_ns), "another unit has its own"
    bench.run(0.5)
    assert bench.hardware.recover("re-init", "mag", bench.now_ns)


def test_what_sits_behind_a_multiplexer_is_reset_by_its_line_and_nobody_is_set_up_anew(bench: Bench) -> None:
    moved: list[tuple[str, bool]] = []
    bench.rig.buses["gpio"].on_change(lambda line, level, t_ns: moved.append((line, level)))
    setups = {name: counters.initialisations for name, counters in bench.hardware.counters().items()}
    assert bench.hardware.recover("reset", "sun_px", bench.now_ns)
    assert [entry for entry in moved if entry[0] == "GPIO6"] == [("GPIO6", False), ("GPIO6", True)]
    bench.run(1.0)
    assert bench.hardware.not_ok() == {}
    assert {name: counters.initialisations for name, counters in bench.hardware.counters().items()} == setups
    assert bench.hardware.recoveries() == {}, "nothing hung, so nothing was cured"


@pytest.mark.parametrize(("unit", "step"), [("geiger", "re-init"), ("star_tracker", "re-init"), ("lidar", "re-init")])
def test_a_part_that_speaks_is_heard_again_after_its_port_was_opened_anew(bench: Bench, unit: str, step: str) -> None:
    samples = bench.hardware.counters()[unit].samples
    assert bench.hardware.recover(step, unit, bench.now_ns)
    bench.run(4.0)
    assert bench.hardware.counters()[unit].samples > samples
    assert bench.hardware.not_ok() == {}


def test_nobody_is_asked_on_a_bus_that_is_out_of_service(bench: Bench) -> None:
    bench.rig.buses["i2c_a"].inject(Fault(FaultKind.STUCK_BUS))
    bench.run(3.0)
    assert bench.hardware.unit_facts().buses_out == frozenset({"bus i2c_a"})
    for step in ("retry", "re-init", "reset", "power-cycle"):
        assert not bench.hardware.recover(step, "bus_monitor", bench.now_ns)


# -- buses


@pytest.mark.parametrize(("bus", "step", "rung"), [
    ("i2c_a", "re-init", "reopen"), ("i2c_a", "reset", "clear"), ("i2c_b", "reset", "deselect"),
    ("i2c_b", "power-cycle", "power"),
])
def test_a_healthy_bus_that_is_recovered_by_order_is_back_and_no_hang_is_counted(
    bench: Bench, bus: str, step: str, rung: str
) -> None:
    guard = bench.hardware.guards[bus]
    assert bench.hardware.recover(step, f"bus {bus}", bench.now_ns)
    bench.run(3.0)
    assert guard.in_service
    assert dict(guard.counters.attempts) == {rung: 1}
    assert (guard.counters.hangs, guard.counters.ordered, guard.counters.cures) == (0, 1, 0)
    assert bench.hardware.not_ok() == {}
    assert not bench.hardware.unit_facts().buses_out
    assert bench.told(f"bus {bus}") == ["DEGRADED", "OK"]


def test_a_bus_that_was_given_up_is_tried_at_once_when_ordered(bench: Bench) -> None:
    handle = bench.rig.buses["i2c_a"].inject(Fault(FaultKind.STUCK_BUS))
    bench.run(120.0)
    assert bench.hardware.guards["i2c_a"].state is DeviceState.LOST
    assert bench.hardware.states()["bus_monitor"] is DeviceState.LOST
    assert bench.hardware.unit_facts().lost == frozenset(), "the bus explains it"
    bench.rig.buses["i2c_a"].clear(handle)
    assert bench.hardware.recover("retry", "bus i2c_a", bench.now_ns)
    bench.run(2.0)
    assert bench.hardware.not_ok() == {}


@pytest.mark.parametrize("bus", ["can0", "can1", "usb2"])
def test_a_port_outside_the_slots_is_opened_anew_if_it_can_be(bench: Bench, bus: str) -> None:
    port = bench.rig.buses[bus]
    assert bench.hardware.recover("re-init", f"bus {bus}", bench.now_ns) is hasattr(port, "reopen")
    bench.run(4.0)
    assert bench.hardware.not_ok() == {}


# -- rails


def rail(bench: Bench, name: str) -> bool:
    """Whether the distribution unit's twin has a rail closed."""
    names = [r["name"] for d in PROFILE.board.devices if d.role == "pdu" for r in d.settings["rails"]]
    return bool(bench.rig.chips["pdu"].on[names.index(name)])


def switchings(bench: Bench, name: str, seconds: float) -> list[bool]:
    """States of a rail as they follow each other."""
    seen = [rail(bench, name)]
    for _ in range(round(200 * seconds)):
        bench.run(0.005)
        if rail(bench, name) != seen[-1]:
            seen.append(not seen[-1])
    return seen


def test_a_rail_of_its_own_is_cycled_staged_over_ticks_and_the_part_is_heard_again(bench: Bench) -> None:
    bench.hardware.power.switch("lidar", True)
    bench.run(2.0)
    assert bench.hardware.recover("power-cycle", "lidar", bench.now_ns)
    assert rail(bench, "lidar"), "nothing has happened in the call itself"
    assert not bench.hardware.recover("power-cycle", "lidar", bench.now_ns)
    assert not bench.hardware.recover("re-init", "lidar", bench.now_ns), "a cycle is under way"
    assert switchings(bench, "lidar", 3.0) == [True, False, True]
    bench.run(3.0)
    assert bench.hardware.not_ok() == {}
    assert bench.hardware.reading("lidar", bench.now_ns).ok


def test_a_rail_is_off_for_at_least_200_ms(bench: Bench) -> None:
    bench.hardware.power.switch("lidar", True)
    bench.run(2.0)
    bench.hardware.recover("power-cycle", "lidar", bench.now_ns)
    off = 0
    for _ in range(600):
        bench.run(0.005)
        off += not rail(bench, "lidar")
    assert 200 <= 5 * off <= 600


def test_a_cycle_of_one_rail_leaves_all_others_on_and_all_other_readings_going_on(bench: Bench) -> None:
    bench.hardware.power.switch("lidar", True)
    bench.run(2.0)
    usual = rates(bench, POLLED_HERE, 2.0)
    before = list(bench.rig.chips["pdu"].on)
    bench.hardware.recover("power-cycle", "lidar", bench.now_ns)
    meanwhile = rates(bench, POLLED_HERE, 2.0)
    assert all(meanwhile[name] >= 0.8 * usual[name] for name in POLLED_HERE), meanwhile
    assert list(bench.rig.chips["pdu"].on) == before


def test_a_rail_that_is_held_off_is_not_cycled_on(bench: Bench) -> None:
    bench.hardware.power.switch("radar", False)
    bench.run(2.0)
    assert not rail(bench, "radar")
    assert not bench.hardware.recover("power-cycle", "radar", bench.now_ns)
    assert switchings(bench, "radar", 3.0) == [False]


def test_a_rail_that_is_ordered_off_during_its_cycle_stays_off_and_is_not_closed_once_more(bench: Bench) -> None:
    bench.hardware.power.switch("radar", True)
    bench.run(2.0)
    assert bench.hardware.recover("power-cycle", "radar", bench.now_ns)
    while rail(bench, "radar"):
        bench.run(0.005)
    bench.hardware.power.switch("radar", False)
    assert switchings(bench, "radar", 5.0) == [False]
    bench.hardware.power.switch("radar", True)
    bench.run(2.0)
    assert rail(bench, "radar"), "the lever was given back"


def test_a_rail_that_is_ordered_on_during_its_cycle_is_on_afterwards(bench: Bench) -> None:
    assert bench.hardware.recover("power-cycle", "radar", bench.now_ns)
    while rail(bench, "radar"):
        bench.run(0.005)
    bench.hardware.power.switch("radar", True)
    bench.run(3.0)
    assert rail(bench, "radar")


def test_a_rail_is_cycled_once_in_half_a_minute_at_most(bench: Bench) -> None:
    assert bench.hardware.recover("power-cycle", "radar", bench.now_ns)
    bench.run(20.0)
    assert not bench.hardware.recover("power-cycle", "radar", bench.now_ns)
    bench.run(12.0)
    assert bench.hardware.recover("power-cycle", "radar", bench.now_ns)


def test_the_rail_of_a_bus_is_one_whether_a_device_or_the_bus_is_to_be_cycled(bench: Bench) -> None:
    assert bench.hardware.recover("power-cycle", "mag", bench.now_ns)
    assert not bench.hardware.recover("power-cycle", "bus i2c_b", bench.now_ns)
    assert not bench.hardware.recover("power-cycle", "temps_a", bench.now_ns)
    assert switchings(bench, "sensors", 3.0) == [True, False, True]
    bench.run(3.0)
    assert bench.hardware.not_ok() == {}


def test_a_cycle_whose_unit_does_not_answer_is_given_up_and_nothing_is_switched(bench: Bench) -> None:
    bench.rig.buses["i2c_a"].inject(Fault(FaultKind.NACK_ADDRESS, address=0x74))
    bench.hardware.recover("power-cycle", "radar", bench.now_ns)
    assert switchings(bench, "radar", 20.0) == [True]
    assert not bench.hardware.recover("power-cycle", "radar", bench.now_ns), "the unit takes no orders"


def test_a_part_whose_rail_is_off_by_order_is_neither_lost_nor_degraded(bench: Bench) -> None:
    bench.hardware.power.switch("lidar", False)
    bench.run(60.0)
    facts = bench.hardware.unit_facts()
    assert not facts.lost
    assert not facts.degraded
    bench.hardware.power.switch("lidar", True)
    bench.run(3.0)
    assert bench.hardware.reading("lidar", bench.now_ns).ok
    assert bench.hardware.not_ok() == {}


def test_what_a_rail_switched_by_order_does_to_its_part_is_told_as_ordered_and_it_rests_meanwhile(bench: Bench) -> None:
    events = bench.hardware.health_events
    bench.hardware.power.switch("lidar", True)
    bench.run(2.0)
    events.clear()
    bench.hardware.power.switch("lidar", False)
    bench.run(20.0)
    assert "lidar" not in bench.hardware.not_ok()
    passed, report = bench.hardware.self_test()
    assert (passed, report["lidar"]) == (True, "resting")
    bench.hardware.power.switch("lidar", True)
    bench.run(3.0)
    passed, report = bench.hardware.self_test()
    assert (passed, report["lidar"]) == (True, "ok")
    resets = [event for event in events if event.device == "lidar" and event.state is DeviceState.INIT]
    assert [(event.cause, event.ordered) for event in resets] == [(Cause.RESET, True)]


@pytest.mark.parametrize(("step", "ordered"), [("power-cycle", True), ("re-init", False)])
def test_only_a_cycle_of_its_own_rail_makes_a_reset_an_ordered_one(bench: Bench, step: str, ordered: bool) -> None:
    bench.hardware.power.switch("lidar", True)
    bench.run(2.0)
    bench.hardware.health_events.clear()
    assert bench.hardware.recover(step, "lidar", bench.now_ns)
    bench.run(3.0)
    resets = [e for e in bench.hardware.health_events if e.device == "lidar" and e.state is DeviceState.INIT]
    assert [(event.cause, event.ordered) for event in resets] == [(Cause.RESET, ordered)]


# -- valve nodes


def test_the_other_node_flies_on_while_one_is_reset(bench: Bench) -> None:
    bench.hardware.recover("reset", "valves_a", bench.now_ns)
    for _ in range(400):
        bench.run(0.005)
        assert bench.hardware.propulsion.state().some_ready


# -- inertial units


def test_the_backup_takes_over_in_one_tick_and_is_read_every_tick_from_then_on(bench: Bench) -> None:
    hardware = bench.hardware
    assert (hardware.imu_name, hardware.imu_position_m, hardware.imu_switches) == ("imu", (0.20, 0.0, 0.05), 0)
    assert hardware.imu_units_left == 2
    assert hardware.recover("redundant", "imu", bench.now_ns)
    assert (hardware.imu_name, hardware.imu_position_m, hardware.imu_switches) == ("imu_b", (0.20, 0.05, 0.05), 1)
    bench.run(0.01)
    before = hardware.counters()["imu_b"].samples
    for _ in range(200):
        t_ns = bench.now_ns
        bench.run(0.005)
        reading = hardware.sensors.imu()
        assert reading.ok
        assert reading.t_ns == t_ns
    assert hardware.counters()["imu_b"].samples == before + 200
    assert hardware.not_ok() == {}


def test_the_unit_that_was_left_is_asked_in_slots_and_nothing_is_switched_back_by_itself(bench: Bench) -> None:
    bench.hardware.recover("redundant", "imu", bench.now_ns)
    before = bench.hardware.counters()["imu"].samples
    bench.run(60.0)
    assert bench.hardware.counters()["imu"].samples - before in range(1150, 1202), "20 Hz, as the backup was"
    assert bench.hardware.reading("imu", bench.now_ns).ok
    assert (bench.hardware.imu_name, bench.hardware.imu_switches) == ("imu_b", 1)
    assert not bench.hardware.recover("redundant", "imu", bench.now_ns), "it does not fly"
    assert bench.hardware.recover("redundant", "imu_b", bench.now_ns)
    assert bench.hardware.imu_name == "imu"


def test_a_dead_unit_is_left_and_neither_its_bus_nor_the_other_unit_suffers(bench: Bench) -> None:
    bench.rig.buses["spi0"].inject(Fault(FaultKind.TIMEOUT, address=0))
    bench.run(0.1)
    assert not bench.hardware.sensors.imu().ok
    assert bench.hardware.recover("redundant", "imu", bench.now_ns)
    lost = 0
    for _ in range(6000):
        bench.run(0.005)
        lost += not bench.hardware.sensors.imu().ok
    assert lost <= 1
    assert bench.hardware.unit_facts().lost == frozenset({"imu"})
    assert bench.hardware.unit_facts().buses_out == frozenset()
    assert bench.hardware.guards["spi0"].counters.hangs == 0
    assert bench.hardware.imu_units_left == 1
    assert not bench.hardware.recover("redundant", "imu_b", bench.now_ns), "there is none left"
    assert bench.hardware.imu_name == "imu_b"


def test_a_backup_that_does_not_answer_is_not_taken(bench: Bench) -> None:
    bench.rig.buses["spi0"].inject(Fault(FaultKind.ALL_ONES, address=1))
    bench.run(2.0)
    assert not bench.hardware.recover("redundant", "imu", bench.now_ns)
    assert bench.hardware.imu_name == "imu"
    assert bench.hardware.sensors.imu().ok


def test_the_flown_unit_keeps_its_rate_whatever_is_ordered_for_its_role(bench: Bench) -> None:
    bench.hardware.set_rate("imu_backup", 1.0, bench.now_ns)
    bench.hardware.set_rate("imu", 1.0, bench.now_ns)
    assert rates(bench, ("imu", "imu_b"), 2.0) == {"imu": pytest.approx(200.0), "imu_b": pytest.approx(20.0, abs=1.0)}


def test_a_flown_unit_that_is_set_up_anew_comes_back_and_the_backup_is_left_alone(bench: Bench) -> None:
    setups = bench.hardware.counters()["imu_b"].initialisations
    assert bench.hardware.recover("re-init", "imu", bench.now_ns)
    bench.run(1.0)
    assert bench.hardware.sensors.imu().ok
    assert bench.hardware.imu_name == "imu"
    assert bench.hardware.counters()["imu_b"].initialisations == setups


def test_the_rate_of_the_unit_that_stands_by_is_in_body_axes_and_of_its_own_time(bench: Bench) -> None:
    hardware = bench.hardware
    bench.rig.world.set_disturbance((0.0, 0.0, 0.0), (8.0, -5.0, 12.0))
    bench.run(3.0)
    bench.rig.world.set_disturbance((0.0, 0.0, 0.0), (0.0, 0.0, 0.0))
    bench.run(0.5)
    truth = bench.rig.truth().rate
    assert min(map(abs, truth)) > radians(2.0)
    for name in ("imu_b", "imu"):
        spare = hardware.spare_rate(bench.now_ns)
        assert spare is not None
        t_ns, rate = spare
        assert 0 <= bench.now_ns - t_ns <= 60 * MS, "20 Hz"
        assert rate == pytest.approx(truth, abs=radians(1.5))
        flown = hardware.sensors.imu().value
        assert flown is not None
        assert rate != flown.rate_rad_s
        if name == "imu_b":
            assert hardware.recover("redundant", "imu", bench.now_ns)
            bench.run(0.5)


def test_a_unit_that_stands_by_and_is_silent_has_no_rate(bench: Bench) -> None:
    bench.rig.buses["spi0"].inject(Fault(FaultKind.TIMEOUT, address=1))
    bench.run(0.6)
    assert bench.hardware.spare_rate(bench.now_ns) is None
    assert bench.hardware.sensors.imu().ok


def test_a_board_without_an_inertial_unit_has_no_name_and_none_left() -> None:
    board = PROFILE.board
    devices = tuple(d for d in board.devices if d.role not in ("imu", "imu_backup"))
    bench = Bench()
    hardware = Hardware(
        PROFILE._replace(board=msgspec.structs.replace(board, devices=devices)), bench.rig.buses
    )
    assert (hardware.imu_name, hardware.imu_units_left, hardware.imu_switches) == (None, 0, 0)
    assert hardware.imu_position_m == (0.0, 0.0, 0.0)
    assert hardware.spare_rate(0) is None
    assert not hardware.imu_ready
    assert not hardware.recover("redundant", "imu", 0)


def test_the_causes_of_what_is_ordered_are_told_as_a_reset(bench: Bench) -> None:
    bench.hardware.recover("re-init", "mag", bench.now_ns)
    event = bench.hardware.health_events[-1]
    assert (event.device, event.state, event.cause) == ("mag", DeviceState.INIT, Cause.RESET)
