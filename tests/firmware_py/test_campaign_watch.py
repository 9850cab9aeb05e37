"""Invariants at every tick, on a flight made by hand: each is seen at its edge, and nothing where all is well."""

from __future__ import annotations

from math import radians
from types import SimpleNamespace
from typing import Any

import pytest

from fdir.modes import Motion
from firmware_py.cli.campaign.cases import Case, Injection
from firmware_py.cli.campaign.entries import Entry, FaultClass, Invariant
from firmware_py.cli.campaign.watch import Limits, Watch, legal
from hil.bus.gpio import SimGpioBus

NS, MS = 1_000_000_000, 1_000_000
FAULT = Entry("a", "a", FaultClass.WORLD, "nozzle_off", for_s=1.0, nozzles=frozenset({3}))
CASE = Case((Injection("a", 1.0),), 1)
LIMITS = Limits()


class Flight:
    """What a watch looks at, and nothing else; all of it may be set."""

    def __init__(self) -> None:
        self.t_ns = 0
        self.gpio = SimGpioBus("gpio0", ("arm", "enable", "kick"), lambda: self.t_ns)
        self.rigid = SimpleNamespace(
            rate=(0.0, 0.0, 0.0), velocity=(0.0, 0.0, 0.0),
            propulsion=SimpleNamespace(driven_mask=0, propellant_kg=40.0),
        )
        self.power = SimpleNamespace(soc_supercap=0.7, bus_on=True)
        self.modes = SimpleNamespace(motion=Motion.BOOT)
        self.health_events: list[str] = []
        self.checker = SimpleNamespace(total=0, violations=[])
        self.rig = SimpleNamespace(
            buses={"gpio0": self.gpio}, world=SimpleNamespace(rigid=self.rigid, power=self.power), checker=self.checker,
        )
        software = SimpleNamespace(
            supervisor=SimpleNamespace(modes=self.modes), commander=SimpleNamespace(step_name="slew"),
        )
        self.program = SimpleNamespace(software=software, hardware=SimpleNamespace(health_events=self.health_events))
        self.recorder = SimpleNamespace(dropped=0)
        self.clock = SimpleNamespace(now_ns=lambda: self.t_ns)
        lines = SimpleNamespace(valve_arm="arm", valve_enable="enable", watchdog_kick="kick")
        self.profile = SimpleNamespace(
            board=SimpleNamespace(lines=lines),
            body=SimpleNamespace(power=SimpleNamespace(supercap=SimpleNamespace(hold_soc=0.3))),
        )


class Watched:
    """A watch over such a flight."""

    def __init__(self, *entries: Entry) -> None:
        used = entries or (FAULT,)
        case = Case(tuple(Injection(entry.id, 1.0) for entry in used), 1)
        self.flight = Flight()
        self.watch = Watch(case, used, LIMITS)
        self.look(0)

    def look(self, t_ns: int) -> None:
        self.flight.t_ns = t_ns
        self.watch(self.flight, t_ns)  # type: ignore[arg-type]

    def level(self, **lines: bool) -> None:
        for name, level in lines.items():
            self.flight.gpio.set(name, level)

    def open(self, mask: int) -> None:
        self.flight.rigid.propulsion.driven_mask = mask

    def finish(self) -> None:
        self.watch.finish(self.flight)  # type: ignore[arg-type]

    @property
    def broken(self) -> set[Invariant]:
        return set(self.watch.breaches)


@pytest.fixture
def armed() -> Watched:
    """Armed, enabled, and kicked at 1 s."""
    watched = Watched()
    watched.look(NS)
    watched.level(arm=True, enable=True, kick=True)
    return watched


def test_a_valve_may_open_while_armed_enabled_and_kicked(armed: Watched) -> None:
    armed.open(0b1000)
    armed.look(NS + 105 * MS)
    assert armed.broken == set()


@pytest.mark.parametrize("line", ["arm", "enable"])
def test_a_valve_open_with_a_line_low_is_seen(armed: Watched, line: str) -> None:
    armed.level(**{line: False})
    armed.open(0b1000)
    armed.look(NS + 5 * MS)
    assert armed.broken == {Invariant.VALVE_UNARMED}
    assert f"nozzles 3 open with {line} low" in armed.watch.breaches[Invariant.VALVE_UNARMED].text


def test_a_valve_open_after_the_watchdog_has_starved_is_seen(armed: Watched) -> None:
    armed.open(0b1000)
    armed.look(NS + 106 * MS)
    assert "starved" in armed.watch.breaches[Invariant.VALVE_UNARMED].text


def test_only_the_first_breach_of_a_kind_is_kept(armed: Watched) -> None:
    armed.level(arm=False)
    armed.open(0b1)
    armed.look(2 * NS)
    armed.look(3 * NS)
    assert armed.watch.breaches[Invariant.VALVE_UNARMED].t_s == 2.0


def test_pulses_of_the_faulty_nozzle_count_once_they_lie_wholly_after_its_start(armed: Watched) -> None:
    for t_ns, mask in ((1100, 0b1000), (1200, 0), (1400, 0b1000), (1500, 0), (1600, 0b10), (1700, 0)):
        armed.level(kick=False)
        armed.level(kick=True)
        armed.open(mask)
        armed.look(t_ns * MS)
    assert armed.watch.pulses == [[1500 * MS]]


@pytest.mark.parametrize(("deg_s", "broken"), [(60.0, False), (60.1, True)])
def test_the_body_rate_is_bounded(deg_s: float, broken: bool) -> None:
    watched = Watched()
    watched.flight.rigid.rate = (0.0, radians(deg_s) * (1.0 - 1e-12), 0.0)
    watched.look(NS)
    assert (Invariant.RATE_LIMIT in watched.broken) is broken
    assert watched.watch.peak_rate_deg_s == pytest.approx(deg_s)


@pytest.mark.parametrize(("end_s", "deg_s", "broken"), [(13.9, 6.0, False), (14.0, 6.0, True), (20.0, 5.0, False)])
def test_the_rate_comes_down_after_the_fault_has_ended(end_s: float, deg_s: float, broken: bool) -> None:
    watched = Watched()
    watched.flight.rigid.rate = (radians(deg_s) * (1.0 - 1e-12), 0.0, 0.0)
    watched.look(round(end_s * NS))
    watched.finish()
    assert (Invariant.RATE_RECOVERED in watched.broken) is broken


def test_a_push_in_safe_is_seen_from_the_speed_gained_there() -> None:
    watched = Watched()
    watched.flight.rigid.velocity = (5.0, 0.0, 0.0)
    watched.flight.modes.motion = Motion.SAFE
    watched.look(2 * NS)
    watched.flight.rigid.velocity = (5.0, 0.6, 0.0)
    watched.look(3 * NS)
    assert watched.broken == set()
    watched.flight.rigid.velocity = (5.0, 0.61, 0.0)
    watched.look(4 * NS)
    assert watched.broken == {Invariant.PUSHED_IN_SAFE}


def test_a_push_from_outside_is_nobodys_fault() -> None:
    watched = Watched(Entry("d", "d", FaultClass.WORLD, "disturbance", for_s=1.0))
    watched.flight.modes.motion = Motion.SAFE
    watched.look(2 * NS)
    watched.flight.rigid.velocity = (9.0, 0.0, 0.0)
    watched.look(3 * NS)
    assert watched.broken == set()


@pytest.mark.parametrize(("soc", "broken"), [(0.25, False), (0.24, True)])
def test_a_burn_begun_below_the_reserve_is_seen(soc: float, broken: bool) -> None:
    watched = Watched()
    watched.flight.power.soc_supercap = soc
    watched.look(2 * NS)
    watched.flight.modes.motion = Motion.BURN
    watched.look(4 * NS)
    assert (Invariant.RESERVE in watched.broken) is broken


def test_a_charge_that_has_just_jumped_may_still_be_unknown() -> None:
    watched = Watched()
    watched.flight.power.soc_supercap = 0.1
    watched.look(2 * NS)
    watched.flight.modes.motion = Motion.BURN
    watched.look(2 * NS + 1_500 * MS)
    assert watched.broken == set()


def test_a_flight_that_does_not_begin_with_its_boot_is_seen() -> None:
    flight = Flight()
    flight.modes.motion = Motion.IDLE
    watch = Watch(CASE, (FAULT,), LIMITS)
    watch(flight, 0)  # type: ignore[arg-type]
    assert set(watch.breaches) == {Invariant.TRANSITION}


def test_queues_that_grow_without_bound_are_seen() -> None:
    watched = Watched()
    watched.flight.health_events += ["?"] * 256
    watched.look(NS)
    assert watched.broken == set()
    watched.flight.health_events.append("?")
    watched.look(2 * NS)
    assert watched.broken == {Invariant.QUEUE}


def test_what_the_recorder_dropped_and_the_pulse_rules_are_looked_at_in_the_end() -> None:
    watched = Watched()
    watched.flight.recorder.dropped = 2
    watched.flight.checker.total = 3
    watched.flight.checker.violations = [SimpleNamespace(t_ns=NS, nozzle=4, rule="minimum", measured_ms=20.0)]
    watched.finish()
    assert watched.broken == {Invariant.QUEUE, Invariant.PULSE_RULE}
    assert watched.watch.breaches[Invariant.PULSE_RULE].text == "nozzle 4: minimum at 20.0 ms; 3 in all"


@pytest.mark.parametrize(("nozzle", "broken"), [(3, set()), (4, {Invariant.PULSE_RULE})])
def test_a_shorted_driver_breaks_the_pulse_rules_of_its_own_nozzle_only(nozzle: int, broken: set[Invariant]) -> None:
    short = Entry("v", "v", FaultClass.WORLD, "valve_driver", {"nozzle": 3, "fault": "short"}, nozzles=frozenset({3}))
    watched = Watched(short)
    watched.flight.checker.total = 1
    watched.flight.checker.violations = [SimpleNamespace(t_ns=NS, nozzle=nozzle, rule="max_burn", measured_ms=13005.0)]
    watched.finish()
    assert watched.broken == broken


def test_messages_that_a_full_medium_refuses_are_no_queue_that_ran_over() -> None:
    watched = Watched(Entry("disk_full.while", "d", FaultClass.COMPUTER, "disk_full", for_s=5.0))
    watched.flight.recorder.dropped = 2
    watched.finish()
    assert watched.broken == set()


def test_propellant_that_is_wasted_is_seen() -> None:
    watched = Watched()
    watched.flight.rigid.propulsion.propellant_kg = 31.9
    watched.look(NS)
    watched.finish()
    assert watched.broken == {Invariant.PROPELLANT}


def test_a_long_flight_may_use_more_propellant() -> None:
    for seconds, broken in ((60.0, {Invariant.PROPELLANT}), (90.0, set())):
        watched = Watched(Entry("eclipse_while", "e", FaultClass.WORLD, "eclipse", for_s=1.0))
        watched.flight.rigid.propulsion.propellant_kg = 30.5
        watched.look(round(seconds * NS))
        watched.finish()
        assert watched.broken == broken, seconds


def test_the_phase_is_the_step_that_is_flown_when_the_fault_begins() -> None:
    watched = Watched()
    steps: Any = watched.flight.program.software.commander
    watched.look(NS - 1)
    assert watched.watch.phases == [""]
    steps.step_name = "burn"
    watched.look(NS)
    steps.step_name = "hold"
    watched.look(2 * NS)
    assert watched.watch.phases == ["burn"]


def test_a_path_of_modes_is_legal_if_the_table_lists_each_move() -> None:
    assert legal(["Boot", "Idle", "Manoeuvre", "SAFE", "Idle"]) is None
    assert legal(["Boot", "Idle", "Bridge"]) == "Idle -> Bridge"
    assert legal(["Boot", "Limbo"]) == "Boot -> Limbo"
    assert legal([]) is None
