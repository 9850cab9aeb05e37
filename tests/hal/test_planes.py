"""Planes: SI values in the body frame, honest qualities, and counted failures."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator
from math import radians
from typing import Any

import pytest

from drivers.errors import Cause, DeviceError
from drivers.samples import (
    AttitudeFix,
    FieldSample,
    IlluminanceSample,
    ImuSample,
    PowerSample,
    ResistanceSample,
    SupercapSample,
    TemperatureSample,
    ValveNodeSample,
)
from hal.frames import angle_between, multiply, quaternion_from_rotation_vector, rotate, unit
from hal.manager import BusSlots, ManagedDevice
from hal.power_board import BoardPowerPlane, PowerParts
from hal.profile import load_board, load_body
from hal.propulsion import BoardPropulsionPlane, PulsePlan
from hal.reading import Quality
from hal.safety import BoardSafetyPlane
from hal.sensors import BoardSensorPlane, ImuDevice, StarTrackerDevice, SunFace

MS = 1_000_000
QUARTER = quaternion_from_rotation_vector((0.0, 0.0, radians(90)))
AXES = [(1, 0, 0), (-1, 0, 0), (0, 1, 0), (0, -1, 0), (0, 0, 1), (0, 0, -1)]


class Fixed:
    """A driver that answers the same sample, or fails with a cause."""

    def __init__(self, sample: Any) -> None:
        self.sample = sample
        self.cause: Cause | None = None

    def initialise(self) -> Generator[None, None, None]:
        return
        yield

    def acquire(self) -> Generator[None, None, Any]:
        return self._get()
        yield

    def _get(self) -> Any:
        if self.cause is not None:
            raise DeviceError("bus", 1, self.cause)
        return self.sample

    def read(self, now_ns: int) -> Any:
        return self._get()

    def poll(self, now_ns: int) -> Any:
        return self._get()


def managed(sample: Any, timeout_ms: int = 100) -> ManagedDevice[Any]:
    device: ManagedDevice[Any] = ManagedDevice("d", Fixed(sample), MS, timeout_ms * MS, deque())
    slots = BusSlots([device])
    slots.step(0)
    slots.step(0)
    assert device.reading(0).ok
    return device


def sun_plane(direction: tuple[float, float, float], full: float = 60_000.0, share: float = 1.0) -> BoardSensorPlane:
    faces = []
    for normal in AXES:
        lux = full * share * max(0.0, sum(a * b for a, b in zip(normal, direction, strict=True)))
        faces.append(SunFace(managed(IlluminanceSample(lux, False)), normal, full))
    return BoardSensorPlane(None, None, faces, None, ())


@pytest.mark.parametrize(
    "direction",
    [(1, 0, 0), (0, 0, -1), (0.6, 0.8, 0), (0.5, -0.5, 0.70710678), (-0.3, 0.1, -0.95), (1, 1, 1)],
)
def test_sun_vector_comes_back_from_the_faces(direction) -> None:
    direction = unit(direction)
    reading = sun_plane(direction).sun(0)
    assert reading.quality is Quality.OK
    assert angle_between(reading.value, direction) < 1e-6


def test_no_light_is_absent_and_a_dim_body_is_no_sun() -> None:
    assert sun_plane((1, 0, 0), share=0.0).sun(0).quality is Quality.ABSENT
    assert sun_plane((1, 0, 0), share=0.1).sun(0).quality is Quality.ABSENT
    assert sun_plane((1, 0, 0), share=0.5).sun(0).quality is Quality.SUSPECT


def test_a_saturated_or_silent_face_is_left_out() -> None:
    faces = [SunFace(managed(IlluminanceSample(83_865.0, True)), (1, 0, 0), 60_000.0)]
    assert BoardSensorPlane(None, None, faces, None, ()).sun(0).quality is Quality.ABSENT
    faces = [SunFace(managed(IlluminanceSample(60_000.0, False)), (1, 0, 0), 60_000.0)]
    plane = BoardSensorPlane(None, None, faces, None, ())
    assert plane.sun(50 * MS).ok
    assert plane.sun(150 * MS).quality is Quality.ABSENT


def imu(sample: ImuSample) -> tuple[Fixed, ImuDevice]:
    driver = Fixed(sample)
    device: ManagedDevice[ImuSample] = ManagedDevice("imu", driver, 0, 25 * MS, deque())
    return driver, ImuDevice(driver, device, QUARTER)


def test_imu_is_set_up_first_then_read_and_turned_into_the_body_frame() -> None:
    driver, unit_ = imu(ImuSample((1.0, 0.0, 0.0), (0.0, 2.0, 0.0), 25.0, 1))
    unit_.sense(0)
    assert unit_.reading.quality is Quality.ABSENT
    unit_.sense(5 * MS)
    assert unit_.reading.ok
    assert unit_.reading.value.rate_rad_s == pytest.approx((0.0, 1.0, 0.0), abs=1e-12)
    assert unit_.reading.value.specific_force_m_s2 == pytest.approx((-2.0, 0.0, 0.0), abs=1e-12)
    driver.cause = Cause.CHECKSUM
    unit_.sense(10 * MS)
    assert unit_.reading.quality is Quality.BAD
    assert unit_.reading.t_ns == 5 * MS
    driver.cause = Cause.STALE_COUNTER
    unit_.sense(15 * MS)
    assert unit_.reading.quality is Quality.STALE
    assert unit_.counters.by_cause == {"checksum": 1, "stale_counter": 1}


def test_imu_comes_back_after_three_failures() -> None:
    driver, unit_ = imu(ImuSample((0.0, 0.0, 0.0), (0.0, 0.0, 0.0), 25.0, 1))
    for t in range(3):
        unit_.sense(t * 5 * MS)
    driver.cause = Cause.CHECKSUM
    for t in range(3, 8):
        unit_.sense(t * 5 * MS)
    assert not unit_.reading.ok
    driver.cause = None
    for t in range(8, 80):
        unit_.sense(t * 5 * MS)
    assert unit_.reading.ok


def test_star_fix_is_turned_from_sensor_to_body() -> None:
    # A sensor mounted a quarter turn about Z in a body that itself stands at a known attitude.
    attitude = quaternion_from_rotation_vector((0.1, 0.2, 0.3))
    driver = Fixed(AttitudeFix(multiply(attitude, QUARTER), 100 * MS, 3e-4, 12, 5))
    star = StarTrackerDevice(driver, QUARTER, 2000 * MS)
    star.sense(0)
    assert star.fresh is not None
    v = (0.3, -0.4, 0.5)
    assert rotate(star.fresh.quaternion, v) == pytest.approx(rotate(attitude, v), abs=1e-12)
    driver.sample = None
    star.sense(MS)
    assert star.fresh is None
    assert star.reading(1999 * MS).ok
    assert star.reading(2001 * MS).quality is Quality.STALE
    driver.cause = Cause.CHECKSUM
    star.sense(2 * MS)
    assert star.counters.by_cause == {"checksum": 1}


def test_magnetic_field_and_temperatures() -> None:
    magnetometer = (managed(FieldSample((5e-5, 0.0, 0.0))), QUARTER)
    thermal = [(managed(TemperatureSample((20.0, None, -5.0, 40.0))), ["core", "pdu", "battery"])]
    plane = BoardSensorPlane(None, None, (), magnetometer, thermal)
    assert plane.magnetic(0).value == pytest.approx((0.0, 5e-5, 0.0), abs=1e-12)
    temperatures = plane.temperatures(0)
    assert {k: v.value for k, v in temperatures.items()} == {"core": 20.0, "pdu": None, "battery": -5.0}
    assert temperatures["pdu"].quality is Quality.ABSENT


def warmth(rtd: ResistanceSample, channel: float | None, rtd_timeout_ms: int = 100) -> BoardSensorPlane:
    """A plane whose node ``rcs_c01`` has a resistance thermometer and a channel of another chip."""
    thermal = [(managed(TemperatureSample((channel, 3.0)), 1000), ["rcs_c01", "hull"])]
    return BoardSensorPlane(None, None, (), None, thermal, [(managed(rtd, rtd_timeout_ms), "rcs_c01")])


def test_a_node_s_resistance_thermometer_goes_before_another_chip_s_channel() -> None:
    temperatures = warmth(ResistanceSample(-12.5, 95.0, ()), 7.0).temperatures(0)
    assert (temperatures["rcs_c01"].value, temperatures["rcs_c01"].quality) == (-12.5, Quality.OK)
    assert temperatures["hull"].value == 3.0


def test_the_channel_serves_while_the_thermometer_is_silent_or_faulty() -> None:
    plane = warmth(ResistanceSample(-12.5, 95.0, ()), 7.0)
    assert plane.temperatures(500 * MS)["rcs_c01"].value == 7.0
    plane = warmth(ResistanceSample(None, None, ("open",)), 7.0)
    assert plane.temperatures(0)["rcs_c01"].value == 7.0


def test_a_thermometer_with_nothing_beside_it_says_how_it_is() -> None:
    rtds = [(managed(ResistanceSample(-12.5, 95.0, ())), "rcs_c02"), (managed(ResistanceSample(None, 1.0, ())), "tank")]
    plane = BoardSensorPlane(None, None, (), None, (), rtds)
    late = plane.temperatures(500 * MS)
    assert (late["rcs_c02"].value, late["rcs_c02"].quality) == (-12.5, Quality.STALE)
    assert late["tank"].quality is Quality.ABSENT


def test_plane_without_sensors_says_absent() -> None:
    plane = BoardSensorPlane(None, None, (), None, ())
    plane.sense(0)
    for reading in (plane.imu(), plane.attitude(0), plane.sun(0), plane.magnetic(0)):
        assert reading.quality is Quality.ABSENT
    assert plane.fresh_attitude is None
    assert plane.temperatures(0) == {}


BODY = load_body("qiki-t")


def power(volts: float, stack: float) -> BoardPowerPlane:
    battery = managed(PowerSample(volts, 1.5, None, None, None))
    bus = managed(PowerSample(volts - 0.1, 2.0, None, None, None))
    cap = managed(SupercapSample(stack, 27.0, 0.0, None, None, False))
    return BoardPowerPlane(BODY.power, PowerParts(bus=bus, battery=battery, supercap=(cap, 10.0)), ())


def test_state_of_charge_from_voltages() -> None:
    state = power(26.8, 8.0).state(0)
    assert state.soc_battery.value == pytest.approx(0.8)
    assert state.soc_supercap.value == pytest.approx(0.64)
    assert state.bus_voltage_v.value == pytest.approx(26.7)
    assert state.battery_current_a.value == 1.5


@pytest.mark.parametrize("volts", [20.0, 29.0])
def test_a_charge_outside_the_scale_is_no_data(volts) -> None:
    soc = power(volts, 8.0).state(0).soc_battery
    assert (soc.value, soc.quality) == (None, Quality.BAD)


def test_a_little_outside_is_sensor_error() -> None:
    assert power(28.1, 8.0).state(0).soc_battery.value == 1.0


def test_missing_monitors_are_absent() -> None:
    state = BoardPowerPlane(BODY.power, PowerParts(), ()).state(0)
    assert state.soc_battery.quality is Quality.ABSENT
    assert state.soc_supercap.quality is Quality.ABSENT
    assert state.bus_voltage_v.value is None


class Gpio:
    name = "gpio"

    def __init__(self) -> None:
        self.levels: dict[str, bool] = {}
        self.stuck: set[str] = set()
        self.fail: Cause | None = None

    def set(self, line: str, level: bool) -> None:
        if self.fail:
            raise DeviceError("gpio", None, self.fail)
        if line not in self.stuck:
            self.levels[line] = level

    def get(self, line: str) -> bool:
        return self.levels.get(line, False)


def test_lines_are_read_back_and_the_watchdog_gets_edges() -> None:
    gpio = Gpio()
    lines = load_board("qiki-rpi").lines
    plane = BoardSafetyPlane(gpio, lines)
    assert plane.set_arm(True)
    assert plane.set_enable(True)
    plane.kick(0)
    first = gpio.levels[lines.watchdog_kick]
    plane.kick(1)
    assert gpio.levels[lines.watchdog_kick] is not first
    assert plane.kicks == 2
    gpio.stuck.add(lines.valve_arm)
    assert not plane.set_arm(False)
    gpio.fail = Cause.ABSENT
    assert not plane.set_enable(False)
    plane.kick(2)
    assert plane.failures == {"absent": 2}


class Valves:
    def __init__(self) -> None:
        self.heartbeat = False
        self.log: list[Any] = []
        self.fail = False
        self.on: tuple[int, ...] | None = None

    def service(self, now_ns: int) -> None:
        self.log.append("service")

    def arm(self, now_ns: int) -> None:
        self.log.append("arm")

    def disarm(self, now_ns: int) -> None:
        self.log.append("disarm")

    def send_plan(self, open_ms, close_ms) -> None:
        if self.fail:
            raise DeviceError("can0", None, Cause.BUS_OFF)
        self.log.append((tuple(open_ms), tuple(close_ms)))

    def shut(self, now_ns: int) -> None:
        if self.fail:
            raise DeviceError("can0", None, Cause.BUS_OFF)
        self.log.append("shut")

    def node(self, node_id: int) -> ValveNodeSample:
        return ValveNodeSample(node_id, node_id == 16, True, True, True, 0, 0, node_id, self.on, None)


def test_propulsion_joins_the_nodes_in_body_order_and_counts_failures() -> None:
    valves = Valves()
    plane = BoardPropulsionPlane(valves, [(16, (0, 2)), (17, (1, 3))], 4)
    assert plane.state().on_ms == (None, None, None, None)
    valves.on = (40, 50)
    state = plane.state()
    assert state.on_ms == (40, 40, 50, 50)
    assert (state.ready, state.armed, state.enabled, state.window_counter) == (False, True, True, 16)
    plan = PulsePlan(250, (0, 0, 0, 0), (30, 0, 0, 0))
    assert plane.command(plan)
    assert valves.log[-1] == (plan.open_ms, plan.close_ms)
    valves.fail = True
    assert not plane.command(plan)
    plane.shut(0)
    assert plane.failures == {"bus_off": 2}
    assert plane.windows == 1
    plane.arm(0)
    assert plane.armed
    plane.disarm(0)
    assert not plane.armed
    plane.set_heartbeat(True)
    assert valves.heartbeat
    plane.service(0)
    assert valves.log[-1] == "service"


def test_plan_of_nothing_has_no_on_time() -> None:
    assert PulsePlan.shut(3, 250).on_ms == (0, 0, 0)


# -- the star tracker set up anew by order


@pytest.mark.parametrize(("reopens", "fails", "initialises", "begun"), [
    (False, None, False, False), (True, None, False, True), (False, None, True, True),
    (True, Cause.ABSENT, True, False), (True, Cause.PROTOCOL, True, True), (True, Cause.PROTOCOL, False, False),
])
def test_a_star_tracker_is_set_up_anew_by_its_port_and_its_driver_or_says_that_it_can_not(
    reopens: bool, fails: Cause | None, initialises: bool, begun: bool
) -> None:
    told: list[str] = []

    class Tracker:
        def poll(self, now_ns: int) -> None:
            told.append("poll")

    class Set(Tracker):
        def initialise(self) -> Any:
            told.append("set up")
            yield
            told.append("ready")

    def reopen() -> None:
        told.append("open")
        if fails is not None:
            raise DeviceError("usb3", None, fails)

    tracker = StarTrackerDevice(
        Set() if initialises else Tracker(), (1.0, 0.0, 0.0, 0.0), 10**9, reopen=reopen if reopens else None
    )
    assert tracker.restart() is begun
    for tick in range(4):
        tracker.sense(tick)
    wanted = ["open"] * reopens
    if begun and initialises:
        wanted += ["set up", "ready"]
    assert [entry for entry in told if entry != "poll"] == wanted
    assert tracker.counters.by_cause == ({"absent": 1} if fails is Cause.ABSENT else {})
    assert told[-1] == "poll"
