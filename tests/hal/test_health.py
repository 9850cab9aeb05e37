"""What is wrong with whom now, followed from the events as they come."""

from __future__ import annotations

import pytest

from drivers.errors import Cause
from hal.device_health import DeviceState, HealthEvent
from hal.health import HealthLog, RailFed, UnitHealth

NOBODY: frozenset[str] = frozenset()


class Log:
    """A log that is told of states in words."""

    def __init__(self, limit: int = 16) -> None:
        self.log = HealthLog(limit)
        self.t_ns = 0

    def tell(self, name: str, state: DeviceState, cause: Cause | None = None) -> None:
        self.t_ns += 1
        self.log.append(HealthEvent(self.t_ns, name, state, cause))

    def facts(self) -> tuple[set[str], set[str], set[str]]:
        health = self.log.health
        return set(health.lost), set(health.degraded), set(health.buses_out)


def test_what_has_never_failed_is_in_no_set() -> None:
    log = Log()
    assert log.log.health == UnitHealth(NOBODY, NOBODY, NOBODY)
    log.tell("mag", DeviceState.DEGRADED)  # set up for the first time: no cause
    log.tell("mag", DeviceState.OK)
    assert log.facts() == (set(), set(), set())


def test_a_device_is_degraded_from_its_failure_until_its_next_good_answer() -> None:
    log = Log()
    log.tell("mag", DeviceState.DEGRADED, Cause.CHECKSUM)
    assert log.facts() == (set(), {"mag"}, set())
    log.tell("mag", DeviceState.INIT, Cause.CHECKSUM)
    log.tell("mag", DeviceState.DEGRADED)
    assert log.facts() == (set(), {"mag"}, set()), "set up anew, and has not answered yet"
    log.tell("mag", DeviceState.OK)
    assert log.facts() == (set(), set(), set())


def test_a_lost_device_stays_lost_until_it_answers_whatever_is_tried() -> None:
    log = Log()
    log.tell("mag", DeviceState.DEGRADED, Cause.TIMEOUT)
    log.tell("mag", DeviceState.LOST, Cause.TIMEOUT)
    assert log.facts() == ({"mag"}, set(), set())
    log.tell("mag", DeviceState.INIT, Cause.RESET)
    log.tell("mag", DeviceState.DEGRADED)
    log.tell("mag", DeviceState.DEGRADED, Cause.TIMEOUT)
    assert log.facts() == ({"mag"}, set(), set())
    log.tell("mag", DeviceState.OK)
    assert log.facts() == (set(), set(), set())


@pytest.mark.parametrize("state", [DeviceState.DEGRADED, DeviceState.LOST])
def test_buses_are_named_as_buses_and_apart_from_devices(state: DeviceState) -> None:
    log = Log()
    log.tell("bus i2c_a", state, Cause.STUCK_BUS)
    assert log.facts() == (set(), set(), {"bus i2c_a"})
    log.tell("bus i2c_a", DeviceState.OK)
    assert log.facts() == (set(), set(), set())


def test_events_fall_out_of_a_full_log_and_still_count() -> None:
    log = Log(limit=2)
    log.tell("mag", DeviceState.LOST, Cause.TIMEOUT)
    for name in ("a", "b", "c"):
        log.tell(name, DeviceState.DEGRADED, Cause.CHECKSUM)
    assert [event.device for event in log.log] == ["b", "c"]
    log.log.clear()
    assert log.facts() == ({"mag"}, {"a", "b", "c"}, set())


def test_the_same_object_is_given_until_an_event_comes() -> None:
    log = Log()
    log.tell("mag", DeviceState.LOST, Cause.TIMEOUT)
    first = log.log.health
    assert log.log.health is first
    log.tell("mag", DeviceState.OK)
    assert log.log.health is not first
    assert first.lost == {"mag"}, "what was handed out stays as it was"


def test_a_device_without_power_by_order_is_in_no_set_until_it_fails_with_power() -> None:
    log = Log()
    log.tell("lidar", DeviceState.LOST, Cause.SILENT)
    log.log.set_off("lidar", True)
    assert log.facts() == (set(), set(), set())
    log.tell("lidar", DeviceState.DEGRADED, Cause.SILENT)
    log.tell("lidar", DeviceState.LOST, Cause.SILENT)
    assert log.facts() == (set(), set(), set())
    log.log.set_off("lidar", False)
    assert log.facts() == (set(), set(), set()), "it has power since now"
    log.tell("lidar", DeviceState.LOST, Cause.SILENT)
    assert log.facts() == ({"lidar"}, set(), set())


def test_a_device_follows_the_orders_of_its_rail() -> None:
    log = Log()
    wanted: list[bool | None] = [None]
    begun: list[int] = []
    fed = RailFed("lidar", lambda: wanted[0], begun.append, log.log)
    fed.step(1)
    assert (fed.off, begun) == (False, [])
    wanted[0] = False
    fed.step(2)
    fed.step(3)
    log.tell("lidar", DeviceState.LOST, Cause.SILENT)
    assert (fed.off, begun, log.facts()) == (True, [], (set(), set(), set()))
    wanted[0] = True
    fed.step(4)
    fed.step(5)
    assert (fed.off, begun, log.facts()) == (False, [4], (set(), set(), set()))


def test_a_bus_that_is_out_of_service_explains_its_devices_and_no_others() -> None:
    log = HealthLog(16, {"mag": "bus i2c_b", "rtc": "bus i2c_b", "gauge": "bus i2c_a"})
    for name, state in (("mag", DeviceState.LOST), ("rtc", DeviceState.DEGRADED), ("gauge", DeviceState.LOST)):
        log.append(HealthEvent(1, name, state, Cause.STUCK_BUS))
    log.append(HealthEvent(2, "bus i2c_b", DeviceState.DEGRADED, Cause.STUCK_BUS))
    assert log.health == UnitHealth(frozenset({"gauge"}), NOBODY, frozenset({"bus i2c_b"}))
    log.append(HealthEvent(3, "bus i2c_b", DeviceState.OK, None))
    assert log.health == UnitHealth(frozenset({"mag", "gauge"}), frozenset({"rtc"}), NOBODY), "until they answer"


def test_events_of_a_device_without_power_by_order_are_told_as_ordered_and_its_start_too() -> None:
    log = Log()
    wanted: list[bool | None] = [True]
    fed = RailFed("lidar", lambda: wanted[0], lambda now_ns: log.tell("lidar", DeviceState.INIT, Cause.RESET), log.log)
    fed.step(1)
    log.tell("lidar", DeviceState.INIT, Cause.RESET)
    wanted[0] = False
    fed.step(2)
    assert log.log.resting == {"lidar"}
    log.tell("lidar", DeviceState.LOST, Cause.SILENT)
    log.tell("radar", DeviceState.LOST, Cause.SILENT)
    wanted[0] = True
    fed.step(3)
    assert log.log.resting == NOBODY
    log.tell("lidar", DeviceState.INIT, Cause.RESET)
    assert [(event.device, event.ordered) for event in log.log] == [
        ("lidar", False), ("lidar", True), ("radar", False), ("lidar", True), ("lidar", False),
    ]


def test_a_device_whose_rail_is_cycled_by_order_is_told_so_and_no_other_is() -> None:
    log = Log()
    log.log.switching = "radar"
    log.tell("radar", DeviceState.INIT, Cause.RESET)
    log.tell("lidar", DeviceState.INIT, Cause.RESET)
    log.log.switching = None
    log.tell("radar", DeviceState.INIT, Cause.RESET)
    assert [event.ordered for event in log.log] == [True, False, False]
