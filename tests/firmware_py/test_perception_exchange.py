"""The flight loop's end of the perception in a program on the rig: scans out, contacts in, an enemy at its end."""

from __future__ import annotations

from dataclasses import replace
from math import inf, nan
from time import perf_counter_ns
from typing import Any

import pytest

from comms.flight_port import EventNote, LinkOrder, LocalPort
from fdir.guard_contacts import Contact, TrackStatus
from fdir.guard_rules import Iff
from firmware_py.energy.duty_table import Consumer
from firmware_py.gnc.authority import force_ceiling_n
from firmware_py.perception.port import ContactFrame, CraftMotion, Scan
from firmware_py.telemetry_snapshot import PERCEPTION_CHANNELS, snapshot_of
from hal.profile import load_profile
from tests.firmware_py.rig_craft import Craft


class Watched(Craft):
    """A craft with a perception's port, and nobody at its other end but the test."""

    def __init__(self, **more: Any) -> None:
        self.port: Any = LocalPort(4096)
        super().__init__(perception=self.port.flight, **more)

    def heard(self, kind: type) -> list[Any]:
        return [message for message in self.port.link.receive(10_000) if isinstance(message, kind)]

    def say(self, *contacts: Any, **more: Any) -> None:
        t_ns = more.pop("t_ns", self.clock.now_ns())
        assert self.port.link.send(ContactFrame(t_ns, tuple(contacts), **more))
        # Contacts are judged with the next medium tick, and the guard tells of its last frame alone.
        self.judged = 0
        for _ in range(11):
            self.ticks(1)
            self.judged = max(self.judged, self.channel("guard_tracks"))

    def contact(self, **more: Any) -> Contact:
        plain: dict[str, Any] = {"range_m": 500.0, "radial_velocity_m_s": 0.0, "quality": 0.9}
        return Contact(more.pop("track_id", 7), TrackStatus.TRACKED, self.clock.now_ns(), **{**plain, **more})

    @property
    def refused(self) -> int:
        return self.program.eyes.refused

    def channel(self, name: str) -> Any:
        return snapshot_of(self.software, self.clock.now_ns())[name]


@pytest.fixture
def craft() -> Watched:
    made = Watched()
    made.boot()
    made.heard(Scan)
    return made


# -- out


def test_every_sensor_that_looks_is_told_once_a_sample_with_the_pose(craft: Watched) -> None:
    craft.run(2.0)
    scans = craft.heard(Scan)
    by_device = {scan.device for scan in scans}
    assert {"radar", "lidar", "mag"} <= by_device
    for device in by_device:
        times = [scan.ingest_ns for scan in scans if scan.device == device]
        assert times == sorted(set(times))
    radar = [scan for scan in scans if scan.device == "radar"]
    assert len(radar) == pytest.approx(2.0 / 0.075, abs=3)
    # The radar is looked at in the tick in which it has spoken; the others take turns.
    assert max(scan.pose_ns - scan.ingest_ns for scan in radar) <= 10_000_000
    assert max(scan.pose_ns - scan.ingest_ns for scan in scans) <= 100_000_000


def test_the_crafts_motion_is_told_twenty_times_a_second(craft: Watched) -> None:
    craft.heard(Scan)
    craft.run(1.0)
    told = craft.heard(CraftMotion)
    assert len(told) == pytest.approx(20, abs=1)
    last = told[-1]
    assert last.motion == "Idle"
    assert last.attitude_known
    assert last.energy_level
    assert last.rates_hz["radar"] > 0.0
    assert last.brake_m_s2 is not None
    assert 0.0 < last.brake_m_s2 < 10.0
    assert last.tank_m_s is not None
    assert last.tank_m_s > 1.0


def test_the_push_that_is_told_is_that_of_the_nozzles_that_are_left(craft: Watched) -> None:
    def told() -> float | None:
        craft.heard(CraftMotion)
        craft.ticks(11)
        return craft.heard(CraftMotion)[-1].brake_m_s2

    def lose(*nozzles: int) -> None:
        for nozzle in nozzles:
            craft.software.supervisor.nozzle_failed(nozzle, "failed off", craft.software.facts)

    craft.run(2.0)
    body = craft.profile.body
    mass_kg = body.mass.dry_kg + body.mass.propellant_kg
    assert told() == pytest.approx(force_ceiling_n(body) / mass_kg, rel=1e-3)
    lose(0)
    assert told() == pytest.approx(force_ceiling_n(body, (0,)) / mass_kg, rel=1e-3)
    # Without a whole cluster there are directions without a push.
    lose(1)
    assert craft.software.supervisor.masked >= {0, 1, 2, 3}
    assert told() is None


def test_a_board_without_a_radar_tells_what_it_has() -> None:
    craft = Watched(profile=load_profile("qiki-t", "bench-rpi"))
    craft.run(3.0)
    assert {scan.device for scan in craft.heard(Scan)} <= {"mag"}
    assert craft.codes.count("PERCEPTION_UNAVAILABLE") <= 1


def test_looking_costs_a_tick_next_to_nothing_when_nothing_comes(craft: Watched) -> None:
    eyes, now_ns = craft.program.eyes, craft.clock.now_ns()
    eyes.step(now_ns)
    took = []
    for _ in range(300):
        began = perf_counter_ns()
        eyes.step(now_ns)
        took.append(perf_counter_ns() - began)
    # A hundred times what a tick of 5 ms would notice, on a machine that others use.
    assert sorted(took)[150] < 50_000


# -- in


@pytest.mark.parametrize("urgent", [False, True])
def test_contacts_reach_the_guard_and_an_urgent_one_is_judged_in_the_tick_it_comes(
    craft: Watched, urgent: bool
) -> None:
    # Right after a medium tick has judged: the next one is fifty milliseconds away.
    craft.say()
    contact = craft.contact(range_m=50.0, iff=Iff.UNKNOWN)
    assert craft.port.link.send(ContactFrame(craft.clock.now_ns(), (contact,), urgent=urgent))
    ticks = 0
    while "RADAR_ALERT_UNKNOWN_CLOSE" not in craft.codes:
        craft.ticks(1)
        ticks += 1
        assert ticks <= 11
    assert (ticks <= 2) or not urgent


@pytest.mark.parametrize(("ahead_ns", "good"), [(1, True), (20_000_000, True), (20_000_001, False)])
def test_a_frame_a_little_ahead_of_the_tick_is_a_good_one(craft: Watched, ahead_ns: int, good: bool) -> None:
    craft.say()
    number = craft.order("perception_query", what="tracks").number
    # What is heard is heard in the next tick, whose deadline is all that it knows of time.
    t_ns = craft.software.now_ns + 5_000_000 + ahead_ns
    near = replace(craft.contact(range_m=50.0, iff=Iff.UNKNOWN), event_ns=t_ns)
    craft.say(
        near, t_ns=t_ns, urgent=True, finished=((number, True, ""),),
        events=(EventNote(t_ns, "MAP_UPDATE", "info", "x"),),
    )
    assert ("RADAR_ALERT_UNKNOWN_CLOSE" in craft.codes) is good
    assert (craft.program.eyes.orders.outcome(number) is True) is good
    assert ("MAP_UPDATE" in craft.codes) is good
    assert craft.refused == (not good)
    assert craft.channel("guard_left_out")["untimely"] == 0


def test_two_frames_ahead_of_one_tick_are_two_to_the_guard(craft: Watched) -> None:
    craft.say()
    t_ns = craft.software.now_ns + 8_000_000
    for later_ns in (0, 1_000_000):
        contact = replace(craft.contact(), event_ns=t_ns + later_ns)
        assert craft.port.link.send(ContactFrame(t_ns + later_ns, (contact,), urgent=True))
    craft.ticks(1)
    left_out = craft.channel("guard_left_out")
    assert (craft.refused, left_out["late"], left_out["untimely"]) == (0, 0, 0)


def test_telemetry_has_the_channels_and_what_is_none_of_them_is_counted(craft: Watched) -> None:
    assert all(craft.channel(name) is None for name in PERCEPTION_CHANNELS)
    craft.say(telemetry={"risk_level": "warn", "grid": {"occupied": 3}, "motion": "Burn", "tracks": "many"})
    assert craft.channel("risk_level") == "warn"
    assert craft.channel("grid") == {"occupied": 3}
    assert craft.channel("tracks") is None
    assert craft.channel("motion") == "Idle"
    assert craft.refused == 1
    craft.say(telemetry={"perception_refused": {"future": 2}})
    assert craft.channel("perception_refused") == {"future": 2, "flight_refused": 1}
    assert craft.channel("risk_level") == "warn"


def test_events_of_known_codes_are_recorded_with_what_a_terminal_may_see(craft: Watched) -> None:
    craft.say(events=(
        EventNote(0, "THREAT_HIGH", "critical", "track 3\x1b[2J"), EventNote(0, "NO_SUCH_CODE", "info", "x"),
        EventNote(0, "MAP_UPDATE", "no severity", "y" * 1000),
    ))
    assert craft.texts("THREAT_HIGH") == ["track 3?[2J"]
    assert "NO_SUCH_CODE" not in craft.codes
    assert len(craft.texts("MAP_UPDATE")[0]) == 200


def test_consumers_that_are_asked_for_are_wanted_and_an_operators_profile_stays(craft: Watched) -> None:
    craft.order("sensor_profile", profile="eco")
    chosen = craft.software.energy.duties.profile
    assert chosen is not None
    craft.say(asked=("lidar", "nonsense"))
    assert craft.software.energy.duties.asked == {Consumer.LIDAR}
    craft.say()
    assert craft.software.energy.duties.asked == frozenset()
    assert craft.software.energy.duties.profile is chosen


# -- orders


def test_an_order_goes_over_the_port_and_ends_when_the_perception_says_so(craft: Watched) -> None:
    craft.say()
    record = craft.order("perception_query", what="tracks", risk="warn")
    assert record.codes == ()
    (order,) = craft.heard(LinkOrder)
    assert (order.name, dict(order.arguments)) == ("perception_query", {"what": "tracks", "risk": "warn"})
    orders = craft.program.eyes.orders
    assert orders.outcome(order.number) is None
    craft.say(finished=((order.number, True, "3 found, 3 told"),))
    assert orders.outcome(order.number) is True
    assert orders.words(order.number) == "3 found, 3 told"
    before = craft.refused
    craft.say(finished=((order.number, False, "no"), (99_999, True, "")))
    assert craft.refused == before + 2
    assert orders.outcome(order.number) is True


@pytest.mark.parametrize(("name", "arguments"), [
    ("perception_mode", {"mode": "safe"}), ("perception_mode", {}), ("perception_query", {"what": "weather"}),
    ("perception_query", {"what": "tracks", "track_id": -1}), ("perception_query", {"what": "tracks", "newer_s": -1.0}),
    ("perception_query", {"what": "grid", "low_m": [0.0, 0.0]}), ("threat_acknowledge", {"track_id": 1.5}),
    ("perception_query", {"what": "grid", "low_m": [nan, 0.0, 0.0], "high_m": [1.0, 1.0, 1.0]}),
])
def test_wrong_arguments_never_reach_the_perception(craft: Watched, name: str, arguments: dict[str, Any]) -> None:
    craft.say()
    craft.heard(LinkOrder)
    try:
        record = craft.order(name, **arguments)
    except ValueError:
        record = None
    assert record is None or record.codes
    assert craft.heard(LinkOrder) == []


def test_orders_are_refused_while_nobody_perceives(craft: Watched) -> None:
    record = craft.order("perception_mode", mode="auto")
    assert [str(code) for code in record.codes] == ["PERCEPTION_UNAVAILABLE"]
    plain = Craft().boot()
    assert [str(code) for code in plain.order("perception_mode", mode="auto").codes] == ["NOT_IMPLEMENTED"]


# -- silence


def test_a_perception_that_falls_silent_is_told_once_and_forgotten(craft: Watched) -> None:
    told = craft.codes.count("PERCEPTION_UNAVAILABLE")
    craft.say(telemetry={"risk_level": "ok"}, asked=("lidar",))
    craft.run(2.5)
    assert craft.codes.count("PERCEPTION_UNAVAILABLE") == told
    craft.run(3.0)
    assert craft.codes.count("PERCEPTION_UNAVAILABLE") == told + 1
    assert craft.channel("risk_level") is None
    assert craft.software.energy.duties.asked == frozenset()
    assert craft.order("perception_mode", mode="auto").codes
    craft.say(telemetry={"risk_level": "warn"})
    assert craft.channel("risk_level") == "warn"
    assert not craft.order("perception_mode", mode="auto").codes


def test_a_perception_that_never_comes_is_told_once() -> None:
    craft = Watched()
    craft.run(8.0)
    assert craft.texts("PERCEPTION_UNAVAILABLE") == ["nobody perceives anything"]


# -- an enemy at the other end


def test_thousands_of_contacts_cost_the_loop_what_64_do(craft: Watched) -> None:
    many = tuple(craft.contact(track_id=number) for number in range(5000))
    craft.say(*many)
    assert craft.refused == 5000 - 64
    assert craft.judged == 64


@pytest.mark.parametrize("change", [
    {"range_m": nan}, {"range_m": inf}, {"radial_velocity_m_s": -inf}, {"quality": nan}, {"range_m": "near"},
    {"track_id": "x"}, {"track_id": 1.5}, {"evade_m_s": (nan, 0.0, 0.0)}, {"evade_m_s": (1.0, 2.0)},
    {"evade_m_s": [1.0, 2.0, 3.0]}, {"evade_m_s": ("a", "b", "c")},
])
def test_contacts_that_hold_what_they_cannot_are_left_out_and_counted(craft: Watched, change: dict[str, Any]) -> None:
    craft.say(craft.contact(**change), craft.contact(track_id=8))
    assert craft.refused == 1
    assert craft.judged == 1


@pytest.mark.parametrize("frame", [
    {"t_ns": 10**18}, {"t_ns": nan}, {"t_ns": "now"}, {"t_ns": None}, {"telemetry": 5}, {"events": None}, {"asked": 7},
    {"finished": {}},
])
def test_frames_of_a_time_to_come_or_of_other_stuff_are_refused_whole(craft: Watched, frame: dict[str, Any]) -> None:
    craft.say(craft.contact(), **frame)
    assert craft.refused == 1
    assert craft.judged == 0
    craft.say(craft.contact())
    assert craft.judged == 1


def test_parts_of_a_frame_that_are_none_are_left_out(craft: Watched) -> None:
    craft.say(
        "contact", None, craft.contact(), events=("MAP_UPDATE", EventNote(0, 5, [], {})),  # type: ignore[arg-type]
        finished=(5, (1, 2), ([], True, ""), (1, "yes", "")), asked=(None, [], "lidar"),
        telemetry={"grid": {"a": nan}, "science": [1], 5: 6, "perception_mode": "x" * 10_000},
    )
    assert craft.judged == 1
    assert craft.software.energy.duties.asked == {Consumer.LIDAR}
    assert craft.channel("science") is None
    assert craft.channel("perception_mode") is None
    assert craft.refused >= 6


def test_a_flood_of_events_is_thinned_and_the_loop_goes_on(craft: Watched) -> None:
    flood = tuple(EventNote(0, "MAP_UPDATE", "info", "x") for _ in range(5000))
    for _ in range(5):
        craft.say(events=flood)
    assert craft.codes.count("MAP_UPDATE") < 200
    assert craft.program.eyes.events.left_out > 24_000


def test_an_alert_from_a_time_that_is_over_is_none(craft: Watched) -> None:
    old = craft.contact(range_m=20.0, iff=Iff.UNKNOWN)
    craft.run(4.0)
    craft.say(old, urgent=True)
    assert "RADAR_ALERT_UNKNOWN_CLOSE" not in craft.codes
    assert craft.channel("guard_left_out")["untimely"] == 1


def test_other_messages_of_a_port_are_nothing_to_it(craft: Watched) -> None:
    for message in (None, 5, EventNote(0, "MAP_UPDATE", "info", "x")):
        craft.port.link.send(message)
    craft.ticks(3)
    assert "MAP_UPDATE" not in craft.codes


