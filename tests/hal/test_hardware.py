"""Drivers behind planes, by name from the board: refused by key when they do not fit, and watched when they do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from drivers.errors import Cause, DeviceError
from hal.hardware import Hardware
from hal.manager import DeviceState
from hal.profile import ConfigError, DeviceConfig, Profile, load_profile
from hal.profile.board import RecoveryConfig
from hal.transports import OpenBuses, open_buses
from hil.faults import Fault, FaultKind
from hil.plant.world import InitialState
from hil.rig import Rig
from tests.hal.bench import PROFILE, Bench

MS = 1_000_000
SECOND = 1_000_000_000


def changed(role: str, **changes: Any) -> Profile:
    """The profile with every device of one role changed."""
    return with_devices(lambda d: msgspec.structs.replace(d, **changes) if d.role == role else d)


def with_devices(change: Callable[[DeviceConfig], DeviceConfig]) -> Profile:
    board = PROFILE.board
    return PROFILE._replace(board=msgspec.structs.replace(board, devices=tuple(change(d) for d in board.devices)))


def build(profile: Profile) -> Hardware:
    return Hardware(profile, Rig(PROFILE, InitialState(epoch=0), 1).buses)


# -- what does not fit is refused by key


@pytest.mark.parametrize(("profile", "said"), [
    (changed("thermal", part="tmp999"), r"devices\[10\].part.*no driver drivers/tmp999.py"),
    (changed("imu", settings={"decimation": "fast"}), r"devices\[0\].settings.*imu.*decimation"),
    (changed("imu", settings={"colour": 1}), r"devices\[0\].settings.*colour"),
    (changed("valve_node", part="valves999"), r"devices\[\d+\].part.*no driver drivers/valves999.py"),
    (changed("valve_node", settings={"nozzles": "all"}), r"devices\[\d+\].settings.*valves_a"),
    (changed("valve_node", settings={"nozzles": [0, 1, 2]}), r"devices.*repeat"),
    (with_devices(lambda d: msgspec.structs.replace(d, part="tmp423") if d.name == "valves_b" else d),
     r"valves_b: all valve nodes are one part on one bus, as valves_a is"),
    (with_devices(lambda d: msgspec.structs.replace(d, role="mux") if d.role == "valve_node" else d),
     r"devices\[\d+\].role.*cia401_valves is no part for the role mux"),
    (changed("valve_node", part="tmp423", settings={"nodes": []}), r"tmp423 is no part for the role valve_node"),
])
def test_a_device_that_does_not_fit_is_refused_by_its_key(profile: Profile, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        build(profile)


def test_a_board_without_valves_or_interlock_is_refused() -> None:
    board = PROFILE.board
    bare = msgspec.structs.replace(board, devices=tuple(d for d in board.devices if d.role != "valve_node"))
    with pytest.raises(ConfigError, match="no device with role valve_node"):
        build(PROFILE._replace(board=bare))
    buses = {name: bus for name, bus in board.buses.items() if bus.kind != "gpio"}
    with pytest.raises(ConfigError, match="gpio bus is needed"):
        build(PROFILE._replace(board=msgspec.structs.replace(board, buses=buses)))


# -- health


def test_every_device_of_the_board_answers_within_two_seconds() -> None:
    bench = Bench()
    passed, report = bench.hardware.self_test()
    assert not passed
    assert not bench.hardware.imu_ready
    bench.run(2.0)
    passed, report = bench.hardware.self_test()
    assert passed
    assert set(report) == {device.name for device in PROFILE.board.devices}
    assert bench.hardware.not_ok() == {}
    assert bench.hardware.imu_ready


def test_a_role_is_asked_less_often_when_told_and_never_more_often_than_the_board_says() -> None:
    bench = Bench()
    bench.run(2.0)
    counters = bench.hardware.counters()

    def samples_in(seconds: float) -> int:
        before = counters["mag"].samples
        bench.run(seconds)
        return counters["mag"].samples - before

    assert samples_in(2.0) in (19, 20, 21), "the board's 10 Hz"
    bench.hardware.set_rate("magnetometer", 2.0, bench.now_ns)
    bench.run(0.5)
    assert samples_in(2.0) in (3, 4, 5)
    bench.hardware.set_rate("magnetometer", 0.0, bench.now_ns)
    bench.run(0.5)
    assert samples_in(3.0) == 0
    bench.hardware.set_rate("magnetometer", 1000.0, bench.now_ns)
    assert samples_in(2.0) in (19, 20, 21), "at once again, and no faster than the board says"
    assert bench.hardware.not_ok() == {}


def test_the_switch_and_those_behind_it_agree_on_the_channel_that_is_through() -> None:
    bench = Bench()
    bench.run(2.0)
    mux = bench.hardware.devices["mux"].device
    control = mux.mux.control
    assert control in {1 << d.channel for d in PROFILE.board.devices if d.channel is not None}
    assert bench.rig.chips["mux"].enabled == control
    assert next(iter(mux.acquire()), None) is None  # reads back what it expects, so nothing is raised


def test_a_switch_that_restarts_is_set_anew_before_the_next_transfer() -> None:
    bench = Bench()
    bench.run(2.0)
    bench.rig.inject("device_reset", {"device": "mux"})
    bench.run(2.0)
    assert bench.hardware.not_ok() == {}
    samples = bench.hardware.counters()["sun_px"].samples
    bench.run(1.0)
    assert bench.hardware.counters()["sun_px"].samples >= samples + 4


def test_a_star_tracker_that_falls_silent_is_degraded_after_its_time_out_and_ok_again_when_it_speaks() -> None:
    bench = Bench()
    bench.run(2.0)
    handle = bench.rig.buses["usb3"].inject(Fault(FaultKind.SILENCE))
    bench.run(1.4)
    assert bench.hardware.not_ok() == {}
    bench.run(1.2)
    assert bench.hardware.not_ok() == {"star_tracker": "degraded"}
    assert not bench.hardware.sensors.attitude(bench.now_ns).ok
    bench.rig.buses["usb3"].clear(handle)
    bench.run(1.0)
    assert bench.told("star_tracker") == ["OK", "DEGRADED", "OK"]


def test_a_star_tracker_without_a_solution_still_speaks() -> None:
    rig_profile = PROFILE
    bench = Bench(rig_profile)
    bench.rig.world.set_disturbance((0.0, 0.0, 0.0), (0.0, 0.0, 40.0))  # soon too fast for it
    bench.run(5.0)
    assert bench.hardware.sensors.attitude(bench.now_ns).quality.name in ("STALE", "ABSENT")
    assert bench.hardware.not_ok() == {}


def test_a_port_that_is_gone_counts_as_failures_of_the_tracker() -> None:
    bench = Bench()
    bench.run(1.0)
    bench.rig.buses["usb3"].inject(Fault(FaultKind.ABSENT))
    bench.run(2.6)
    assert bench.hardware.counters()["star_tracker"].by_cause[Cause.ABSENT.value] > 100
    assert bench.hardware.not_ok() == {"star_tracker": "degraded"}


def test_a_valve_node_that_restarts_shows_even_if_it_is_back_at_once() -> None:
    bench = Bench()
    bench.run(1.0)
    bench.rig.inject("valve_node_reset", {"node": "valves_a"})
    bench.run(0.5)
    assert bench.told("valves_a") == ["OK", "DEGRADED", "OK"]
    assert bench.told("valves_b") == ["OK"]


def test_a_valve_node_that_is_silent_stays_degraded() -> None:
    bench = Bench()
    bench.run(1.0)
    bench.rig.buses["can0"].inject(Fault(FaultKind.SILENCE, address=0x11))
    bench.run(1.0)
    assert bench.hardware.states()["valves_b"] is DeviceState.DEGRADED
    assert bench.hardware.propulsion.state().some_ready


def test_one_failed_burst_of_the_inertial_unit_is_one_failure() -> None:
    bench = Bench()
    bench.run(1.0)
    before = bench.hardware.failures()
    bench.rig.buses["spi0"].inject(Fault(FaultKind.TIMEOUT, count=1))
    bench.run(0.1)
    assert bench.hardware.failures() == before + 1
    assert bench.hardware.counters()["imu"].samples > 200


def test_a_short_outage_of_the_inertial_unit_is_over_within_100_ms() -> None:
    bench = Bench()
    bench.run(1.0)
    bench.rig.buses["spi0"].inject(Fault(FaultKind.TIMEOUT, count=3))
    bench.run(0.005)
    assert not bench.hardware.sensors.imu().ok
    bench.run(0.095)
    assert bench.hardware.sensors.imu().ok
    assert bench.told("imu")[-4:] == ["DEGRADED", "INIT", "DEGRADED", "OK"]


def test_every_slow_bus_gets_one_transaction_a_tick() -> None:
    bench = Bench()
    bench.run(1.0)
    before = {name: slots.used for name, slots in bench.hardware.slots.items()}
    started = bench.tick
    bench.run(5.0)
    for name, slots in bench.hardware.slots.items():
        assert slots.granted == bench.tick
        assert slots.used - before[name] <= bench.tick - started
        on_bus = {d.name for d in PROFILE.board.devices if d.bus == name and d.role != "imu"}
        assert sum(bench.hardware.devices[n].counters.transactions for n in on_bus) == slots.used


# -- what a driver must be for a role and a bus


@pytest.mark.parametrize(("name", "changes", "said"), [
    ("sun_px", {"part": "tmp423", "settings": {"nodes": []}}, "tmp423 is no part for the role sun_sensor"),
    ("bus_monitor", {"part": "opt3001", "settings": {}}, "opt3001 is no part for the role bus_monitor"),
    ("imu_b", {"part": "max31865"}, "max31865 is no part for the role imu_backup"),
    ("imu", {"part": "w25q256"}, "w25q256 is no part for the role imu"),
    ("star_tracker", {"part": "ld06_lidar"}, "ld06_lidar is no part for the role star_tracker"),
    ("bms", {"part": "ars408"}, "ars408 is no part for the role bms"),
    ("mux", {"part": "max7310"}, "max7310 is no part for the role mux"),
    ("solar", {"part": "ve_direct", "settings": {}}, "ve_direct is no part for a bus of kind i2c"),
    ("dock_px", {"part": "tfmini_plus", "settings": {}}, "tfmini_plus is no part for a bus of kind i2c"),
    ("approach", {"part": "vl53l0x"}, "vl53l0x is no part for a bus of kind serial"),
    ("radar", {"address": 9}, "sensor id 9 is not in 0..7"),
    ("dock_current", {"part": "cia401_valves"}, "cia401_valves is no part for the role power_channel"),
])
def test_a_part_that_does_not_fit_its_role_or_its_bus_is_refused(name: str, changes: dict[str, Any], said: str) -> None:
    index = next(i for i, d in enumerate(PROFILE.board.devices) if d.name == name)
    profile = with_devices(lambda d: msgspec.structs.replace(d, **changes) if d.name == name else d)
    with pytest.raises(ConfigError, match=said) as refused:
        build(profile)
    assert refused.value.key.startswith(f"devices[{index}]")


def test_a_role_that_needs_a_setting_refuses_a_driver_without_it() -> None:
    from types import SimpleNamespace

    from hal import parts

    class Settings(msgspec.Struct):
        pass

    class Device:
        def acquire(self) -> Any:
            """As of tmp423."""

        acquire.__annotations__ = parts.import_module("drivers.tmp423").Device.acquire.__annotations__

    Device.acquire.__globals__.update(vars(parts.import_module("drivers.tmp423")) | {"__name__": __name__})
    module = SimpleNamespace(Settings=Settings, Device=Device)
    thermal = next(d for d in PROFILE.board.devices if d.role == "thermal")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parts, "import_module", lambda name: module)
        bare = msgspec.structs.replace(thermal, settings={})
        board = msgspec.structs.replace(PROFILE.board, devices=(bare,))
        with pytest.raises(ConfigError, match="has no setting nodes, which the role thermal needs"):
            parts.load_part(board, bare)


def test_only_one_star_tracker_is_flown() -> None:
    board = PROFILE.board
    second = next(d for d in board.devices if d.role == "star_tracker")
    second = msgspec.structs.replace(second, name="star_tracker_b", bus="usb1")
    devices = (*(d for d in board.devices if d.bus != "usb1"), second)
    with pytest.raises(ConfigError, match="one star tracker is flown, and star_tracker is it"):
        build(PROFILE._replace(board=msgspec.structs.replace(board, devices=devices)))


def recovering(**recovery: Any) -> Profile:
    """The profile with another recovery of the sensor bus."""
    board = PROFILE.board
    bus = msgspec.structs.replace(board.buses["i2c_b"], recovery=RecoveryConfig(**recovery))
    return PROFILE._replace(board=msgspec.structs.replace(board, buses={**board.buses, "i2c_b": bus}))


@pytest.mark.parametrize("rail", ["nothing", "main"])
def test_a_rail_that_the_unit_does_not_switch_is_refused_with_those_that_it_does(rail: str) -> None:
    with pytest.raises(ConfigError, match=f"no rail {rail}; it switches: sensors, radar, nbl, lidar") as refused:
        build(recovering(rail=rail))
    assert refused.value.key == "buses.i2c_b.recovery.rail"


def test_a_rail_needs_a_unit() -> None:
    board = PROFILE.board
    without = msgspec.structs.replace(board, devices=tuple(d for d in board.devices if d.role != "pdu"))
    with pytest.raises(ConfigError, match="no device with role pdu"):
        build(PROFILE._replace(board=without))


# -- readings


def test_every_device_but_a_valve_node_shows_its_reading_by_name() -> None:
    bench = Bench()
    bench.run(3.0)
    hardware = bench.hardware
    for device in PROFILE.board.devices:
        if device.role == "valve_node":
            with pytest.raises(KeyError):
                hardware.reading(device.name, bench.now_ns)
        elif device.rate_hz:
            assert hardware.reading(device.name, bench.now_ns).value is not None, device.name
    assert hardware.reading("imu", bench.now_ns) is hardware.sensors.imu()
    assert hardware.reading("star_tracker", bench.now_ns) == hardware.sensors.attitude(bench.now_ns)


# -- parts that speak


def test_parts_on_ports_and_on_the_shared_bus_are_heard() -> None:
    bench = Bench()
    bench.run(3.0)
    hardware = bench.hardware
    assert set(hardware.heard) == {"bms", "radar", "lidar", "approach", "geiger", "transponder"}
    for name, heard in hardware.heard.items():
        assert heard.reading(bench.now_ns).ok, name
        assert heard.counters.failures == 0
    assert hardware.heard["approach"].counters.samples > 100
    # One frame after the other on one bus: each driver has heard its own.
    assert hardware.heard["bms"].device.counters.refused == 0
    assert hardware.heard["radar"].device.counters.refused == 0


def test_one_part_of_the_shared_bus_falls_silent_alone() -> None:
    bench = Bench()
    bench.run(3.0)
    handle = bench.rig.buses["can1"].inject(Fault(FaultKind.SILENCE, address=0x51))
    bench.run(4.5)
    assert bench.hardware.not_ok() == {"bms": "degraded"}
    assert not bench.hardware.reading("bms", bench.now_ns).ok
    bench.rig.buses["can1"].clear(handle)
    bench.run(2.0)
    assert bench.hardware.not_ok() == {}
    assert bench.told("bms") == ["OK", "DEGRADED", "OK"]


def test_a_part_that_restarts_in_silence_is_told_to_speak_again_also_through_a_recorders_tap() -> None:
    from firmware_py.recorder.tap import TapLog

    bench = Bench()
    log = TapLog()
    bench.hardware = Hardware(PROFILE, {name: log.tap(bus) for name, bus in bench.rig.buses.items()})
    bench.run(3.0)
    assert bench.hardware.reading("geiger", bench.now_ns).ok
    bench.rig.inject("device_reset", {"device": "geiger"})
    bench.run(4.0)
    assert "DEGRADED" in bench.told("geiger")
    bench.run(6.0)
    assert bench.hardware.states()["geiger"] is DeviceState.OK
    assert bench.hardware.reading("geiger", bench.now_ns).ok


def test_a_filtering_bus_is_told_what_its_drivers_want() -> None:
    wanted: list[Any] = []
    bench = Bench()
    plain = bench.rig.buses["can1"]

    class Filtering:
        name = "can1"
        send, receive = plain.send, plain.receive

        def set_filters(self, can_ids: Any) -> None:
            wanted.append(frozenset(can_ids))

    Hardware(PROFILE, {**bench.rig.buses, "can1": Filtering()})
    [ids] = wanted
    assert {0x351, 0x60A, 0x60B} <= ids
    assert all(can_id <= 0x7FF for can_id in ids)


# -- buses that come late


class Shelf:
    """Opens the rig's buses; those in ``missing`` can't be opened yet."""

    def __init__(self, bench: Bench, missing: set[str]) -> None:
        self.bench = bench
        self.missing = missing
        self.tries: list[str] = []

    def open(self, name: str, board: Any, now_ns: Any) -> Any:
        self.tries.append(name)
        if name in self.missing:
            raise DeviceError(name, None, Cause.ABSENT, "not there yet")
        bus = self.bench.rig.buses[name]
        bus.close = lambda: None
        return bus


def late(missing: set[str], profile: Profile = PROFILE) -> tuple[Bench, Shelf, OpenBuses]:
    bench = Bench(profile)
    shelf = Shelf(bench, missing)
    kinds = ("i2c", "spi", "can", "serial", "gpio")
    buses = open_buses(profile.board, lambda: bench.now_ns, openers=dict.fromkeys(kinds, shelf.open))
    bench.hardware = Hardware(profile, buses.complete())
    bench.hardware.propulsion.set_heartbeat(True)
    return bench, shelf, buses


@pytest.mark.parametrize("bus", [n for n, b in PROFILE.board.buses.items() if b.kind != "gpio"])
def test_a_bus_that_comes_late_brings_its_devices_up_and_costs_the_others_nothing(bus: str) -> None:
    bench, shelf, buses = late({bus})
    bench.run(4.0)
    here = {d.name for d in PROFILE.board.devices if d.bus == bus}
    assert set(bench.hardware.not_ok()) == here
    assert shelf.tries.count(bus) >= 2
    shelf.missing.clear()
    bench.run(12.0)
    assert bench.hardware.not_ok() == {}
    assert buses.failures == {}


@pytest.mark.parametrize("bus", ["spi0", "can0", "usb3", "usb0", "can1", "i2c_a"])
def test_a_bus_that_does_not_come_is_tried_ever_more_rarely(bus: str) -> None:
    bench, shelf, _ = late({bus})
    bench.run(10.0)
    early = shelf.tries.count(bus)
    bench.run(100.0)
    per_s = (shelf.tries.count(bus) - early) / 100.0
    assert 1.0 / 61.0 <= per_s <= 1.01
    assert 2 <= early <= 12


def test_an_inertial_unit_alone_on_a_late_bus_comes_up_too() -> None:
    profile = load_profile("bench-12kg", "bench-rpi")
    bench, shelf, _ = late({"spi0"}, profile)
    bench.run(2.0)
    assert not bench.hardware.imu_ready
    shelf.missing.clear()
    bench.run(4.0)
    assert bench.hardware.imu_ready
    assert bench.hardware.not_ok() == {}


# -- recovery as wired


@pytest.mark.parametrize(("bus", "rungs"), [
    ("i2c_a", ["retry", "clear", "reopen"]),
    ("i2c_b", ["retry", "clear", "deselect", "reopen", "power"]),
    ("spi1", ["retry"]),
])
def test_the_rungs_of_each_bus_are_those_that_the_board_gives_it(bus: str, rungs: list[str]) -> None:
    bench = Bench()
    bench.run(3.0)
    bench.rig.buses[bus].inject(Fault(FaultKind.STUCK_BUS))
    bench.run(3.0)
    climbed = {name: list(guard.counters.attempts) for name, guard in bench.hardware.guards.items()}
    assert climbed.pop(bus) == rungs
    assert not any(climbed.values())
    assert bench.hardware.guards[bus].state is DeviceState.LOST


def test_a_multiplexer_is_reset_by_its_line_before_the_channels_are_switched_off() -> None:
    bench = Bench()
    bench.run(2.0)
    moved: list[tuple[str, bool]] = []
    bench.rig.buses["gpio"].on_change(lambda line, level, t_ns: moved.append((line, level)))
    channel = bench.rig.muxes["mux"].enabled.bit_length() - 1
    handle = bench.rig.buses["i2c_b"].inject(Fault(FaultKind.STUCK_BUS, channel=channel))
    bench.run(0.5)
    assert moved[:2] == [("GPIO6", False), ("GPIO6", True)]
    bench.rig.buses["i2c_b"].clear(handle)
    bench.run(5.0)
    assert bench.hardware.recoveries()["deselect"] >= 1
    assert bench.hardware.not_ok() == {}


def test_a_latched_chip_costs_a_power_cycle_of_its_rail_and_the_bus_is_set_up_anew() -> None:
    bench = Bench()
    bench.run(3.0)
    setups = bench.hardware.counters()["mag"].initialisations
    bench.rig.inject("bus_fault", {"bus": "i2c_b", "fault": "stuck_bus", "until": "power"})
    bench.run(6.0)
    assert bench.hardware.recoveries() == {"power": 1}
    assert bench.hardware.counters()["mag"].initialisations > setups
    assert bench.hardware.not_ok() == {}
    assert bench.rig.chips["pdu"].on[0]
