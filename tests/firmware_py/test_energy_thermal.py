"""Thermal guard: limits with persistence, latch and hysteresis, what they block, and sensors that cannot be right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import inf, nan

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fdir.codes import Code
from firmware_py.energy.temperature import NodeTemperature
from firmware_py.energy.thermal import CoreAlarm, Function, ThermalGuard, ThermalVerdict, fastest_change_k_s
from firmware_py.energy.thermal_node import ThermalClass, ThermalState
from firmware_py.energy.trust import Trust
from hal.profile.loader import load_body
from hal.reading import Quality, Reading

QIKI = load_body("qiki-t")
NODES = {node.name: node for node in QIKI.thermal.nodes}
SECOND = 1_000_000_000
PERIOD = SECOND // 2
CLUSTERS = ("rcs_c01", "rcs_c02", "rcs_c03", "rcs_c04")
BLOCKED: dict[str, set[Function]] = {
    "core": {Function.NBL}, "pdu": {Function.RADAR, Function.TRANSPONDER, Function.NBL},
    "sensor_head": {Function.SCANS}, "comms": {Function.COMMS}, "dock_bridge": {Function.ATTACH},
    "battery": {Function.CHARGE, Function.PEAKS}, "supercap": {Function.PEAKS}, "hull": set(),
}
TEMPERATE = dict.fromkeys(NODES, 20.0)


class Flight:
    """A guard that is stepped at 2 Hz with temperatures that stay until they are changed."""

    def __init__(self, body: str = "qiki-t") -> None:
        self.guard = ThermalGuard(load_body(body))
        self.now_ns = 0
        self.celsius: dict[str, float] = dict(TEMPERATE)
        self.quality: dict[str, Quality] = {}
        self.events: list[tuple[Code, str, bool]] = []

    def step(
        self,
        times: int = 1,
        others: Mapping[str, Sequence[Reading[float]]] | None = None,
        modelled: Mapping[str, float] | None = None,
        **celsius: float,
    ) -> ThermalVerdict:
        self.celsius |= celsius
        for _ in range(times):
            self.now_ns += PERIOD
            readings = {
                name: Reading(value, self.now_ns, self.quality.get(name, Quality.OK))
                for name, value in self.celsius.items()
            }
            verdict = self.guard.step(self.now_ns, readings, others or {}, modelled or {})
            self.events += [(event.code, event.node, event.active) for event in verdict.events]
        return verdict

    def warm_up(self, node: str, celsius: float, samples: int = 6) -> ThermalVerdict:
        """Bring a node there as slowly as physics asks, then stay for some samples."""
        while abs(self.celsius[node] - celsius) > 2.5:
            self.step(**{node: self.celsius[node] + (2.5 if celsius > self.celsius[node] else -2.5)})
        return self.step(samples, **{node: celsius})


def reading(celsius: float | None, t_s: float = 0.0, quality: Quality = Quality.OK) -> Reading[float]:
    return Reading(celsius, int(t_s * SECOND), quality)


# -- states


def test_a_temperate_craft_is_nominal_and_nothing_is_blocked() -> None:
    verdict = Flight().step(4)
    assert {node.state for node in verdict.nodes.values()} == {ThermalState.NOMINAL}
    assert {node.trust for node in verdict.nodes.values()} == {Trust.TRUSTED}
    assert (verdict.blocked, verdict.tripped, verdict.unsure, verdict.unsure_clusters) == (frozenset(),) * 4
    assert not verdict.barred_clusters
    assert not verdict.unknown
    shares = (
        verdict.charge_share, verdict.discharge_share, verdict.stack_charge_share, verdict.stack_share,
        verdict.compute_share,
    )
    assert shares == (1.0,) * 5


@pytest.mark.parametrize("node", NODES)
def test_every_node_climbs_through_its_states_at_its_limits(node: str) -> None:
    limits = NODES[node]
    flight = Flight()
    for celsius, state, thermal_class in (
        (limits.warn_c - 5.1, ThermalState.NOMINAL, ThermalClass.T0),
        (limits.warn_c - 5.0, ThermalState.WARM, ThermalClass.T1),
        (limits.warn_c - 0.1, ThermalState.WARM, ThermalClass.T1),
        (limits.warn_c, ThermalState.HOT, ThermalClass.T2),
        (limits.trip_c - 0.1, ThermalState.HOT, ThermalClass.T2),
        (limits.trip_c, ThermalState.CRITICAL, ThermalClass.T4),
        (max(limits.clear_c, limits.trip_c - 3.0) + 0.01, ThermalState.COOLDOWN, ThermalClass.T3),
    ):
        now = flight.warm_up(limits.name, celsius).nodes[limits.name]
        assert (now.state, now.state.thermal_class) == (state, thermal_class), celsius
    assert flight.warm_up(limits.name, limits.clear_c).nodes[limits.name].tripped is False
    assert flight.warm_up(limits.name, limits.warn_c - 7.0).nodes[limits.name].state is ThermalState.NOMINAL


def test_unknown_has_no_class() -> None:
    assert ThermalState.UNKNOWN.thermal_class is None


@pytest.mark.parametrize("samples", [1, 2])
def test_fewer_than_three_samples_at_trip_do_not_trip(samples: int) -> None:
    flight = Flight()
    flight.warm_up("core", 89.0)
    flight.step(samples, core=90.0)
    assert not flight.step(1, core=89.9).nodes["core"].tripped
    assert (Code.THERMAL_TRIP, "core", True) not in flight.events


def test_a_trip_acts_on_the_step_after_the_one_that_detected_it() -> None:
    flight = Flight()
    flight.warm_up("pdu", 94.0)
    detected = flight.step(3, pdu=95.0)
    assert detected.nodes["pdu"].tripped
    assert not detected.blocked
    assert not detected.tripped
    acting = flight.step()
    assert acting.tripped == {"pdu"}
    assert acting.blocked == {Function.RADAR, Function.TRANSPONDER, Function.NBL}
    assert flight.events[-2:] == [(Code.THERMAL_TRIP, "pdu", True), (Code.PDU_THERMAL_BLOCK, "pdu", True)]


def test_a_trip_acts_on_the_next_step_though_no_new_sample_came() -> None:
    flight = Flight()
    flight.warm_up("pdu", 94.0)
    flight.step(3, pdu=95.0)
    same = {name: Reading(value, flight.now_ns, Quality.OK) for name, value in flight.celsius.items()}
    assert flight.guard.step(flight.now_ns + PERIOD // 10, same).tripped == {"pdu"}


def test_only_new_samples_count_however_often_the_guard_is_asked() -> None:
    flight = Flight()
    flight.warm_up("core", 89.0)
    flight.step(1, core=90.0)
    same = {name: Reading(value, flight.now_ns, Quality.OK) for name, value in flight.celsius.items()}
    for _ in range(50):
        flight.now_ns += PERIOD // 10
        assert not flight.guard.step(flight.now_ns, same).nodes["core"].tripped


def test_a_trip_is_latched_until_clear_and_ends_one_step_later() -> None:
    flight = Flight()
    flight.warm_up("core", 90.0)
    assert flight.warm_up("core", 85.1).blocked == {Function.NBL}
    cleared = flight.step(3, core=85.0)
    assert not cleared.nodes["core"].tripped
    assert cleared.blocked == {Function.NBL}
    assert not flight.step().blocked
    assert flight.events.count((Code.THERMAL_TRIP, "core", True)) == 1
    assert flight.events.count((Code.THERMAL_TRIP, "core", False)) == 1


# -- what is blocked


@pytest.mark.parametrize(("node", "blocked"), BLOCKED.items())
def test_what_a_trip_blocks(node: str, blocked: set[Function]) -> None:
    flight = Flight()
    verdict = flight.warm_up(node, NODES[node].trip_c)
    assert verdict.blocked == blocked
    assert verdict.tripped == {node}
    assert not verdict.barred_clusters


def test_a_tripped_cluster_bars_itself_and_no_other() -> None:
    flight = Flight()
    assert flight.warm_up("rcs_c02", 120.0).barred_clusters == {"rcs_c02": Code.RCS_CLUSTER_HOT}


@pytest.mark.parametrize(("node", "code"), [
    ("core", Code.THERMAL_NODE_HOT), ("pdu", Code.THERMAL_NODE_HOT), ("hull", Code.THERMAL_NODE_HOT),
    ("battery", Code.BAT_HOT), ("supercap", Code.CAP_HOT), ("rcs_c03", Code.RCS_CLUSTER_HOT),
    ("sensor_head", Code.SENSOR_HEAD_HOT), ("comms", Code.COMMS_HOT),
])
def test_the_warning_of_a_node_has_its_own_code(node: str, code: Code) -> None:
    flight = Flight()
    assert flight.warm_up(node, NODES[node].warn_c).nodes[node].codes == (code,)
    assert flight.events == [(code, node, True)]


@pytest.mark.parametrize(("node", "code"), [
    ("pdu", Code.PDU_THERMAL_BLOCK), ("dock_bridge", Code.BAYONET_THERMAL_BLOCK),
])
def test_a_trip_that_blocks_by_name_says_so(node: str, code: Code) -> None:
    codes = Flight().warm_up(node, NODES[node].trip_c).nodes[node].codes
    assert codes == (Code.THERMAL_NODE_CRITICAL, Code.THERMAL_TRIP, code, Code.THERMAL_NODE_HOT)


# -- derating


@pytest.mark.parametrize(("celsius", "share"), [(60.0, 1.0), (62.5, 0.75), (65.0, 0.5), (67.5, 0.25), (70.0, 0.0)])
def test_charge_falls_from_warn_to_trip(celsius: float, share: float) -> None:
    verdict = Flight().warm_up("battery", celsius, 1)
    assert verdict.charge_share == pytest.approx(share)


def test_charge_stays_nothing_until_a_tripped_battery_has_cleared() -> None:
    flight = Flight()
    flight.warm_up("battery", 70.0)
    assert flight.warm_up("battery", 67.5).charge_share == 0.0
    assert flight.warm_up("battery", 66.0).charge_share == pytest.approx(0.4)


@pytest.mark.parametrize(("celsius", "charge", "discharge"), [
    (12.0, 1.0, 1.0), (10.0, 1.0, 1.0), (5.0, 0.5, 1.0), (1.0, 0.1, 1.0), (0.0, 0.0, 1.0), (-5.0, 0.0, 1.0),
    (-10.0, 0.0, 1.0), (-15.0, 0.0, 0.5), (-20.0, 0.0, 0.0), (-25.0, 0.0, 0.0),
])
def test_cold_derates_the_battery(celsius: float, charge: float, discharge: float) -> None:
    verdict = Flight().warm_up("battery", celsius, 1)
    assert verdict.charge_share == pytest.approx(charge)
    assert verdict.discharge_share == pytest.approx(discharge)


@pytest.mark.parametrize(("celsius", "share"), [
    (75.0, 1.0), (80.0, 0.5), (85.0, 0.0), (-30.0, 1.0), (-35.0, 0.5), (-41.0, 0.0),
])
def test_heat_and_cold_derate_the_stack(celsius: float, share: float) -> None:
    verdict = Flight().warm_up("supercap", celsius, 1)
    assert verdict.stack_share == pytest.approx(share)
    assert verdict.stack_charge_share == pytest.approx(share)


def test_a_warm_core_slows_computing() -> None:
    assert Flight().warm_up("core", 85.0, 1).compute_share == pytest.approx(0.5)


# -- cold bars


def test_charging_stops_at_once_below_its_limit_and_comes_back_two_kelvin_above() -> None:
    flight = Flight()
    flight.warm_up("battery", 0.0)
    assert not flight.step(1, battery=0.0).nodes["battery"].no_charge
    cold = flight.step(1, battery=-0.1)
    assert cold.nodes["battery"].no_charge
    assert cold.nodes["battery"].codes == (Code.BAT_COLD,)
    assert cold.charge_share == 0.0
    assert flight.step(1, battery=1.9).charge_share == 0.0
    assert flight.step(1, battery=2.0).charge_share == pytest.approx(0.2)
    assert [e for e in flight.events if e[0] is Code.BAT_COLD] == [
        (Code.BAT_COLD, "battery", True), (Code.BAT_COLD, "battery", False),
    ]


def test_a_cluster_below_its_limit_may_not_fire() -> None:
    flight = Flight()
    assert not flight.warm_up("rcs_c01", -40.0).barred_clusters
    assert flight.step(1, rcs_c01=-40.1).barred_clusters == {"rcs_c01": Code.RCS_CLUSTER_COLD}
    assert flight.step(1, rcs_c01=-38.1).barred_clusters
    assert not flight.step(1, rcs_c01=-38.0).barred_clusters


def test_a_body_without_cold_limits_has_no_cold_bars() -> None:
    flight = Flight("bench-12kg")
    for node in ("rcs_c01", "supercap"):
        assert not flight.warm_up(node, -80.0).nodes[node].no_fire
    verdict = flight.step()
    assert not verdict.barred_clusters
    assert verdict.stack_share == 1.0


# -- telemetry


@pytest.mark.parametrize(("quality", "trust", "code"), [
    (Quality.STALE, Trust.STALE, Code.THERMAL_TELEM_STALE), (Quality.ABSENT, Trust.MISSING, Code.THERMAL_TELEM_MISSING),
    (Quality.BAD, Trust.BLIND, Code.THERMAL_TELEM_MISSING),
])
def test_a_silent_sensor_is_unknown_and_says_how(quality: Quality, trust: Trust, code: Code) -> None:
    flight = Flight()
    flight.step(4)
    flight.quality["battery"] = quality
    verdict = flight.step()
    node = verdict.nodes["battery"]
    assert (node.state, node.trust, node.codes) == (ThermalState.UNKNOWN, trust, (code,))
    assert (node.hot_c, node.cold_c, node.share) == (None, None, None)
    assert verdict.unknown == ("battery",)
    assert not flight.events
    flight.step(4)
    assert flight.events == [(code, "battery", True)]
    flight.quality.clear()
    flight.step(4)
    assert flight.events == [(code, "battery", True), (code, "battery", False)]


@pytest.mark.parametrize("value", [nan, inf, -inf, -120.1, 160.1, 1e300, None])
def test_no_temperature_is_made_of_nonsense(value: float | None) -> None:
    guard = ThermalGuard(QIKI)
    for step in range(5):
        verdict = guard.step(step * PERIOD, {name: Reading(value, step * PERIOD, Quality.OK) for name in NODES})
    assert {node.state for node in verdict.nodes.values()} == {ThermalState.UNKNOWN}
    assert set(verdict.unknown) == set(NODES)
    assert verdict.hottest_share is None


def test_what_rests_on_unknown_temperatures_is_unsure_but_not_blocked() -> None:
    verdict = ThermalGuard(QIKI).step(0, {})
    assert verdict.unsure == {Function.NBL, Function.ATTACH, Function.CHARGE, Function.PEAKS}
    assert verdict.unsure_clusters == set(CLUSTERS)
    assert not verdict.blocked
    assert not verdict.barred_clusters


def test_an_unknown_battery_is_not_charged_and_still_drawn_on() -> None:
    flight = Flight()
    flight.step(3)
    flight.quality["battery"] = Quality.STALE
    verdict = flight.step()
    assert (verdict.charge_share, verdict.discharge_share) == (0.0, 1.0)
    assert Function.PEAKS in verdict.unsure


def test_a_tripped_node_does_not_cool_by_losing_its_sensor() -> None:
    flight = Flight()
    flight.warm_up("core", 92.0)
    flight.quality["core"] = Quality.ABSENT
    verdict = flight.step(100)
    assert verdict.nodes["core"].state is ThermalState.UNKNOWN
    assert verdict.nodes["core"].tripped
    assert verdict.blocked == {Function.NBL}
    assert verdict.compute_share == 0.0
    assert verdict.hottest_share is not None
    assert verdict.hottest_share >= 1.0


def test_a_cluster_without_a_sensor_is_guarded_by_the_model() -> None:
    flight = Flight()
    for name in CLUSTERS:
        del flight.celsius[name]
    cold = flight.step(3, modelled=dict.fromkeys(CLUSTERS, -41.0))
    assert cold.barred_clusters == dict.fromkeys(CLUSTERS, Code.RCS_CLUSTER_COLD)
    assert {cold.nodes[name].trust for name in CLUSTERS} == {Trust.DEGRADED}
    assert all(cold.nodes[name].modelled for name in CLUSTERS)
    assert not cold.unsure_clusters
    hot = flight.step(4, modelled=dict.fromkeys(CLUSTERS, 121.0))
    assert hot.barred_clusters == dict.fromkeys(CLUSTERS, Code.RCS_CLUSTER_HOT)
    assert flight.step(1, modelled=dict.fromkeys(CLUSTERS, nan)).unsure_clusters == set(CLUSTERS)


def test_a_measured_cluster_is_not_guarded_by_the_model() -> None:
    verdict = Flight().step(5, modelled=dict.fromkeys(CLUSTERS, 150.0))
    assert not verdict.barred_clusters
    assert not any(node.modelled for node in verdict.nodes.values())


# -- sanity of sensors


def test_a_jump_faster_than_physics_is_a_conflict_on_the_safe_side() -> None:
    flight = Flight()
    flight.step(5)
    up = flight.step(1, battery=65.0).nodes["battery"]
    assert (up.trust, up.cold_c, up.hot_c) == (Trust.CONFLICTING, 20.0, 65.0)
    verdict = flight.step(1, battery=-30.0)
    down = verdict.nodes["battery"]
    assert (down.trust, down.cold_c, down.hot_c) == (Trust.CONFLICTING, -30.0, 20.0)
    assert down.no_charge
    assert down.no_discharge
    assert {Function.CHARGE, Function.PEAKS} <= verdict.unsure
    flight.step(5)
    assert (Code.SENSOR_CONFLICTING, "battery", True) in flight.events


def test_a_sensor_is_believed_again_once_the_node_can_have_come_there() -> None:
    fastest = fastest_change_k_s(QIKI, NODES["battery"])
    flight = Flight()
    flight.step(5)
    steps = 0
    while flight.step(1, battery=60.0).nodes["battery"].trust is Trust.CONFLICTING:
        steps += 1
    assert steps * 0.5 == pytest.approx((40.0 - 3.0) / fastest, abs=1.0)


def test_a_single_wild_first_sample_is_no_history() -> None:
    heat = NodeTemperature(0.3)
    heat.step(reading(150.0, 0.0))
    for second in range(1, 5):
        heat.step(reading(20.0, second))
    assert (heat.trust, heat.cold_c, heat.hot_c) == (Trust.TRUSTED, 20.0, 20.0)


def test_four_nozzles_of_a_cluster_do_not_look_like_a_broken_sensor() -> None:
    flight = Flight()
    flight.step(5)
    for _ in range(10):
        assert flight.step(1, rcs_c01=flight.celsius["rcs_c01"] + 4.0).nodes["rcs_c01"].trust is Trust.TRUSTED


@pytest.mark.parametrize(("second", "trust", "low", "high"), [
    (20.5, Trust.TRUSTED, 20.0, 20.5), (25.0, Trust.TRUSTED, 20.0, 25.0), (25.1, Trust.CONFLICTING, 20.0, 25.1),
    (-30.0, Trust.CONFLICTING, -30.0, 20.0), (75.0, Trust.CONFLICTING, 20.0, 75.0),
])
def test_two_sensors_of_a_node_that_disagree(second: float, trust: Trust, low: float, high: float) -> None:
    heat = NodeTemperature(0.3)
    heat.step(reading(20.0), [reading(second)])
    assert (heat.trust, heat.cold_c, heat.hot_c) == (trust, low, high)


def test_a_conflict_ends_only_when_the_sensors_agree_well() -> None:
    heat = NodeTemperature(0.3)
    seen = []
    for second, other in enumerate((20.0, 26.0, 24.0, 23.1, 22.9, 24.0)):
        heat.step(reading(20.0, 10.0 * second), [reading(other, 10.0 * second)])
        seen.append(heat.trust is Trust.CONFLICTING)
    assert seen == [False, True, True, True, False, False]


@pytest.mark.parametrize("lost", [
    reading(None, quality=Quality.ABSENT), reading(20.0, quality=Quality.STALE), reading(nan),
    reading(None, quality=Quality.BAD),
])
def test_one_sensor_stands_in_for_another(lost: Reading[float]) -> None:
    heat = NodeTemperature(0.3)
    heat.step(lost, [reading(31.0)])
    assert (heat.cold_c, heat.hot_c) == (31.0, 31.0)
    assert heat.trust.usable
    assert not heat.modelled


def test_an_implausible_but_answered_reading_is_degraded() -> None:
    heat = NodeTemperature(0.3)
    heat.step(reading(20.0, quality=Quality.SUSPECT))
    assert (heat.trust, heat.hot_c) == (Trust.DEGRADED, 20.0)


# -- ground's alarm


def test_ground_is_alarmed_after_three_seconds_and_not_twice_in_thirty() -> None:
    alarm = CoreAlarm()
    history = [
        (0, 70.0), (1, 70.1), (3, 70.1), (4, 70.1), (5, 71.0), (6, 69.0), (7, 72.0), (20, 72.0), (33, 72.0), (34, 72.0),
    ]
    told = [second for second, celsius in history if alarm.step(second * SECOND, celsius)]
    assert told == [4, 34]
    assert not CoreAlarm().step(0, None)


def test_the_guard_passes_the_alarm_on_for_one_step() -> None:
    flight = Flight()
    flight.warm_up("core", 69.0)
    alarms = [flight.step(1, core=70.5).core_alarm for _ in range(20)]
    assert alarms == [False] * 6 + [True] + [False] * 13


def test_an_event_is_told_once_though_nothing_new_is_measured() -> None:
    flight = Flight()
    flight.warm_up("comms", 64.9)
    flight.step(3, comms=65.0)
    same = {name: Reading(value, flight.now_ns, Quality.OK) for name, value in flight.celsius.items()}
    assert not flight.guard.step(flight.now_ns + 1, same).events


# -- properties

NOISE = st.lists(st.floats(-0.99, 0.99), min_size=40, max_size=120)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(node=st.sampled_from(sorted(NODES)), limit=st.sampled_from(["warn_c", "trip_c", "clear_c"]), noise=NOISE)
def test_noise_of_a_sensor_never_makes_a_limit_chatter(node: str, limit: str, noise: list[float]) -> None:
    flight = Flight()
    centre = getattr(NODES[node], limit)
    flight.warm_up(node, centre)
    flight.events.clear()
    for value in noise:
        flight.step(1, **{node: centre + value})
    for code in {event[0] for event in flight.events}:
        assert sum(event[0] is code for event in flight.events) <= 1, flight.events


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.sampled_from([("battery", 0.0), ("battery", -20.0), ("supercap", -40.0), ("rcs_c01", -40.0)]), NOISE)
def test_noise_at_a_cold_limit_never_chatters(limit: tuple[str, float], noise: list[float]) -> None:
    node, centre = limit
    flight = Flight()
    flight.warm_up(node, centre + 1.5)
    flight.events.clear()
    for value in noise:
        flight.step(1, **{node: centre + value})
    assert len(flight.events) <= 1


VALUES = st.one_of(st.none(), st.floats(allow_nan=True, allow_infinity=True), st.floats(-70.0, 130.0))
QUALITIES = st.sampled_from(list(Quality))


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.lists(st.tuples(st.sampled_from(sorted(NODES)), VALUES, QUALITIES), max_size=60))
def test_no_history_of_readings_breaks_the_rules(history: list[tuple[str, float | None, Quality]]) -> None:
    guard = ThermalGuard(QIKI)
    readings: dict[str, Reading[float]] = {}
    now_ns = 0
    latched: set[str] = set()
    for name, value, quality in history:
        now_ns += PERIOD
        readings[name] = Reading(value, now_ns, quality)
        verdict = guard.step(now_ns, readings)
        assert verdict.tripped == latched
        latched = {node for node, now in verdict.nodes.items() if now.tripped}
        for node, now in verdict.nodes.items():
            got = readings.get(node)
            known = got is not None and got.quality <= Quality.SUSPECT and got.value is not None
            if not (known and got is not None and got.value is not None and -120.0 <= got.value <= 160.0):
                assert now.state is ThermalState.UNKNOWN
                assert (now.hot_c, now.share) == (None, None)
                assert not now.trust.usable
            else:
                assert now.cold_c is not None
                assert now.hot_c is not None
                assert now.cold_c <= got.value <= now.hot_c
                if got.value >= NODES[node].trip_c:
                    assert now.share == 0.0
        shares = (verdict.charge_share, verdict.discharge_share, verdict.stack_share, verdict.compute_share)
        assert all(0.0 <= share <= 1.0 for share in shares)
        if verdict.nodes["battery"].cold_c is None or verdict.nodes["battery"].cold_c < 0.0:
            assert verdict.charge_share == 0.0
        assert verdict.blocked == {function for node in verdict.tripped for function in BLOCKED.get(node, ())}


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.lists(st.floats(-60.0, 120.0), min_size=2, max_size=30), st.sampled_from(["battery", "core", "supercap"]))
def test_a_hotter_node_never_has_more_power(path: list[float], node: str) -> None:
    limits = NODES[node]
    shares = []
    for celsius in sorted(path):
        if celsius < limits.warn_c - 10.0:
            continue
        share = Flight().warm_up(node, celsius, 1).nodes[node].share
        assert share is not None
        shares.append(share)
    assert shares == sorted(shares, reverse=True)
