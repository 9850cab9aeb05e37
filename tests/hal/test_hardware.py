"""Drivers behind planes, by name from the board: refused by key when they do not fit, and watched when they do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from drivers.errors import Cause
from hal.hardware import Hardware
from hal.manager import DeviceState
from hal.profile import ConfigError, DeviceConfig, Profile, load_profile
from hil.faults import Fault, FaultKind
from hil.plant.world import InitialState
from hil.rig import Rig

MS = 1_000_000
SECOND = 1_000_000_000
PROFILE = load_profile("qiki-t", "qiki-rpi")


class Bench:
    """Hardware over the rig's buses, ticked at 200 Hz."""

    def __init__(self, profile: Profile = PROFILE) -> None:
        self.rig = Rig(profile, InitialState(epoch=0), 1)
        self.hardware = Hardware(profile, self.rig.buses)
        self.hardware.propulsion.set_heartbeat(True)
        self.tick = 0

    @property
    def now_ns(self) -> int:
        return self.tick * 5 * MS

    def run(self, seconds: float) -> None:
        for _ in range(round(200 * seconds)):
            self.rig.advance(self.now_ns)
            self.hardware.sense(self.now_ns)
            if self.tick % 10 == 0:
                self.hardware.survey(self.now_ns)
            self.tick += 1

    def told(self, device: str) -> list[str]:
        return [event.state.name for event in self.hardware.health_events if event.device == device]


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
    handle = bench.rig.buses["uart2"].inject(Fault(FaultKind.SILENCE))
    bench.run(1.4)
    assert bench.hardware.not_ok() == {}
    bench.run(1.2)
    assert bench.hardware.not_ok() == {"star_tracker": "degraded"}
    assert not bench.hardware.sensors.attitude(bench.now_ns).ok
    bench.rig.buses["uart2"].clear(handle)
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
    bench.rig.buses["uart2"].inject(Fault(FaultKind.ABSENT))
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
