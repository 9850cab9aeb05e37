"""The rig: the same seed gives the same bytes, the watchdog takes the valves away in time, faults are checked first."""

from __future__ import annotations

import re
from math import radians
from typing import Any

import msgspec
import pytest

from drivers.bus.protocol import CanFrame
from drivers.errors import Cause, DeviceError
from hal.profile import ConfigError, load_profile
from hil.plant.world import InitialState
from hil.rig import FAULTS, WATCHDOG_NS, Rig, check_fault

MS = 1_000_000
PROFILE = load_profile("qiki-t", "qiki-rpi")
LINES = PROFILE.board.lines
BURST = b"\x68\x00" + bytes(20)
EXAMPLES: dict[str, dict[str, Any]] = {
    "gyro_frozen": {}, "gyro_bias": {"axis": "x", "deg_s": 2}, "gyro_noise": {"deg_s": 1},
    "gyro_spike": {"axis": "z", "deg_s": 20, "every": 50}, "star_tracker_blind": {}, "star_tracker_wrong": {"deg": 5},
    "star_tracker_drift": {"deg_s": 1}, "sensor_dead": {"device": "mag"}, "sensor_stuck": {"device": "sun_px"},
    "thermometer_stuck": {"node": "battery"}, "thermometer_jump": {"node": "core", "celsius": 30},
    "thermometer_open": {"node": "battery"}, "range_stuck": {"device": "approach", "metres": 2},
    "voltage_bias": {"device": "bus_monitor", "volts": -6}, "valve_driver": {"nozzle": 3, "fault": "open"},
    "heating": {"node": "comms", "watts": 200}, "base_short": {"watts": 60}, "supercap_dead": {},
    "supercap_charger_dead": {},
    "nozzle_off": {"nozzle": 3}, "nozzle_weak": {"nozzle": 3, "factor": 0.5}, "nozzle_stuck_on": {"nozzle": 3},
    "bus_fault": {"bus": "spi0", "fault": "timeout", "address": 0}, "valve_node_reset": {"node": "valves_b"},
    "device_reset": {"device": "bus_monitor"}, "panel": {"factor": 0.5}, "eclipse": {},
    "disturbance": {"torque_n_m": [0, 0, 5]}, "soc_battery": {"value": 0.2}, "soc_supercap": {"value": 0.2},
    "temperature": {"node": "core", "celsius": 85}, "wing": {"index": 1, "factor": 0.5}, "lighting": {"factor": 0.5},
    "load_stuck": {"load": "radar", "drawing": True}, "rail_short": {"load": "nbl", "watts": 60},
    "battery_capacity": {"factor": 0.8}, "supercap_capacity": {"factor": 0.7}, "supercap_esr": {"factor": 3},
    "current_bias": {"device": "bus_monitor", "share": 0.01}, "gauge": {"value": "frozen"}, "ambient": {"celsius": -30},
    "dock": {"voltage_v": 28, "power_w": 250}, "radar_clutter": {"per_frame": 1000}, "radar_ghost": {"range_m": 50},
    "radar_frozen": {}, "transponder_spoof": {"target": "other", "number": 7}, "lidar_blind": {},
    "sensor_bias": {"device": "lidar", "metres": 2, "deg": 5},
}


def rig(seed: int = 1, **initial: Any) -> Rig:
    return Rig(PROFILE, InitialState(epoch=0, **initial), seed)


def bursts(one: Rig, count: int = 40) -> list[bytes]:
    """What the inertial unit answers in the first ticks."""
    spi = one.buses["spi0"]
    spi.configure(0, 3, 1_000_000)
    answers = []
    for tick in range(1, count + 1):
        one.advance(tick * 5 * MS)
        answers.append(spi.transfer(0, BURST))
    return answers


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others() -> None:
    assert bursts(rig(1)) == bursts(rig(1))
    assert bursts(rig(1)) != bursts(rig(2))


def test_a_fault_on_another_bus_changes_no_noise() -> None:
    disturbed = rig(1)
    disturbed.inject("bus_fault", {"bus": "i2c_a", "fault": "bit_flip", "probability": 0.5})
    for tick in range(30):
        try:
            disturbed.buses["i2c_a"].write_read(0x40, b"\x05", 3)
        except DeviceError:
            continue
        finally:
            assert tick < 30
    assert bursts(disturbed) == bursts(rig(1))


def test_every_device_of_the_board_is_on_its_bus() -> None:
    one = rig()
    for device in PROFILE.board.devices:
        if device.bus.startswith("i2c") and device.mux is None:
            one.buses[device.bus].read(device.address, 1)
        elif device.role == "valve_node":
            assert one.nodes[device.name].node_id == device.address
    with pytest.raises(DeviceError) as refused:
        one.buses["i2c_a"].read(0x55, 1)
    assert refused.value.cause is Cause.NACK_ADDRESS


def test_a_part_without_a_simulated_chip_is_refused_by_key() -> None:
    device = msgspec.structs.replace(PROFILE.board.devices[0], part="unobtainium")
    board = msgspec.structs.replace(PROFILE.board, devices=(device, *PROFILE.board.devices[1:]))
    with pytest.raises(ConfigError, match=r"devices\[0\].part.*unobtainium has no simulated chip; there are: adis"):
        Rig(PROFILE._replace(board=board), InitialState(epoch=0), 1)


# -- the interlock


def raise_lines(one: Rig) -> None:
    gpio = one.buses["gpio"]
    gpio.set(LINES.watchdog_kick, True)
    gpio.set(LINES.valve_arm, True)
    gpio.set(LINES.valve_enable, True)


def enabled(one: Rig) -> bool:
    return one._enabled


def test_the_enable_line_reaches_the_valves_only_while_the_watchdog_is_kicked() -> None:
    one = rig()
    one.buses["gpio"].set(LINES.valve_enable, True)
    one.advance(10 * MS)
    assert not enabled(one)
    one.buses["gpio"].set(LINES.watchdog_kick, True)
    assert enabled(one)


@pytest.mark.parametrize("step_ms", [5, 20, 400])
def test_it_falls_100_ms_after_the_last_kick_however_time_is_stepped(step_ms: int) -> None:
    one = rig()
    raise_lines(one)
    assert enabled(one)
    while one.now_ns < 400 * MS:
        one.advance(one.now_ns + step_ms * MS)
        assert enabled(one) == (one.now_ns <= WATCHDOG_NS)
    one.buses["gpio"].set(LINES.watchdog_kick, False)
    assert enabled(one), "the next edge brings it back, as a retriggerable monostable does"


def test_one_edge_each_100_ms_keeps_it_up() -> None:
    one = rig()
    raise_lines(one)
    level = True
    for kick in range(1, 20):
        one.advance(kick * 95 * MS)
        assert enabled(one)
        level = not level
        one.buses["gpio"].set(LINES.watchdog_kick, level)


def test_lowering_the_enable_line_acts_at_once() -> None:
    one = rig()
    raise_lines(one)
    one.buses["gpio"].set(LINES.valve_enable, False)
    assert not enabled(one)


# -- faults


@pytest.mark.parametrize("kind", FAULTS)
def test_every_fault_starts_and_ends(kind: str) -> None:
    one = rig()
    one.advance(5 * MS)
    end = one.inject(kind, EXAMPLES[kind])
    one.advance(10 * MS)
    end()
    one.advance(15 * MS)


def test_a_checked_fault_is_not_started() -> None:
    one = rig()
    check_fault("bus_fault", EXAMPLES["bus_fault"], PROFILE)
    assert bursts(one, 1)


@pytest.mark.parametrize(("kind", "parameters", "said"), [
    ("hail", {}, "no fault 'hail'; faults: nozzle_off"),
    ("nozzle_off", {}, "nozzle_off: parameter nozzle is missing"),
    ("nozzle_off", {"nozzle": True}, "nozzle is True; 0..15"),
    ("nozzle_off", {"nozzle": 1, "when": 2}, "no parameter 'when'; parameters: nozzle"),
    ("nozzle_weak", {"nozzle": 1, "factor": 1.5}, "factor is 1.5; 0..1"),
    ("eclipse", {"depth": 1}, "parameters: none"),
    ("bus_fault", {"bus": ["spi0"], "fault": "timeout"}, "no bus"),
    ("bus_fault", {"bus": "can0", "fault": "nack_address"}, "no meaning"),
    ("bus_fault", {"bus": "spi0", "fault": "timeout", "count": 0}, "count is 0"),
    ("bus_fault", {"bus": "spi0", "fault": "timeout", "count": "two"}, "int"),
    ("bus_fault", {"bus": "i2c_b", "fault": "timeout", "channel": 3}, "no channel on i2c_b 3; there are: 0, 1, 4"),
    ("valve_node_reset", {"node": "valves_c"}, "no node 'valves_c'; there are: valves_a, valves_b"),
    ("device_reset", {"device": "toaster"}, "no device 'toaster'; there are: imu"),
    ("temperature", {"node": "core", "celsius": float("nan")}, "finite"),
    ("disturbance", {"force_n": [1, 2]}, "three numbers"),
    ("disturbance", {"force_n": [1, 2, "x"]}, "finite"),
    ("soc_battery", {"value": -0.1}, "0..1"),
    ("wing", {"index": 2, "factor": 0.5}, "no wing 2; there are: 0, 1"),
    ("wing", {"index": True, "factor": 0.5}, "index is True; 0 and 1"),
    ("wing", {"index": 0, "factor": -0.5}, "factor is -0.5; 0..1"),
    ("lighting", {"factor": 1.01}, "factor is 1.01; 0..1"),
    ("load_stuck", {"load": "base", "drawing": True}, "no load that can be switched 'base'; there are: processor,"),
    ("load_stuck", {"load": "radar", "drawing": 1}, "drawing is 1; true or false"),
    ("rail_short", {"load": "toaster", "watts": 5}, "no load that can be switched 'toaster'"),
    ("rail_short", {"load": "radar", "watts": 0}, "watts is 0; 1..5000"),
    ("battery_capacity", {"factor": 0}, "factor is 0; 0.05..1.5"),
    ("supercap_capacity", {"factor": float("inf")}, "finite"),
    ("supercap_esr", {"factor": 0.01}, "factor is 0.01; 0.1..100"),
    ("current_bias", {"device": "imu", "share": 0.1}, "no power monitor 'imu'; there are: bus_monitor, battery"),
    ("current_bias", {"device": "bus_monitor", "share": 2}, "share is 2; -1..1"),
    ("gauge", {"value": 3}, "value is 3; 0..2 is allowed, or frozen"),
    ("gauge", {"value": "full"}, "value is 'full'; a finite number is needed, or frozen"),
    ("gauge", {"value": 0.5, "device": "bus_monitor"}, "no gauge 'bus_monitor'; there are: gauge, bms"),
    ("ambient", {"celsius": 200}, "celsius is 200; -120..160"),
    ("dock", {"voltage_v": 200}, "voltage_v is 200; -100..100"),
    ("dock", {"power_w": -1}, "power_w is -1; 0..10000"),
])
def test_a_fault_that_makes_no_sense_is_refused_with_what_is_allowed(
    kind: str, parameters: dict[str, Any], said: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        check_fault(kind, parameters, PROFILE)
    with pytest.raises(ValueError, match=re.escape(said)):
        rig().inject(kind, parameters)


@pytest.mark.parametrize(("kind", "parameters", "said"), [
    ("dock", {}, "body bench-12kg has no power.dock"),
    ("gauge", {"value": 0.5}, "no gauge None; there are: none"),
    ("load_stuck", {"load": "heater_battery", "drawing": True}, "no load that can be switched 'heater_battery'"),
])
def test_a_fault_of_what_a_craft_lacks_is_refused(kind: str, parameters: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        check_fault(kind, parameters, load_profile("bench-12kg", "bench-rpi"))


def test_a_dead_nozzle_does_not_push_and_a_mended_one_does() -> None:
    one = rig(rate=(0.0, 0.0, 0.0))
    end = one.inject("nozzle_off", {"nozzle": 4})
    one.world.advance(10 * MS, [(6 * MS, 4, True)])
    one.world.advance(40 * MS, [(30 * MS, 4, False)])
    assert one.truth().total_impulse_n_s == 0.0
    end()
    one.world.advance(90 * MS, [(50 * MS, 4, True), (80 * MS, 4, False)])
    assert one.truth().total_impulse_n_s == pytest.approx(260.0 * 0.030, rel=0.02)


def test_a_stuck_nozzle_pushes_without_any_command() -> None:
    one = rig()
    end = one.inject("nozzle_stuck_on", {"nozzle": 5})
    for tick in range(1, 21):
        one.advance(tick * 5 * MS)
    impulse = one.truth().total_impulse_n_s
    assert impulse == pytest.approx(260.0 * 0.1, rel=0.1)
    end()
    one.advance(110 * MS)
    one.advance(200 * MS)
    assert one.truth().total_impulse_n_s == pytest.approx(impulse, rel=0.15)


def test_a_high_pin_of_the_expander_shuts_the_valve_of_its_cluster_and_nothing_else_does() -> None:
    one = rig()
    one.inject("nozzle_stuck_on", {"nozzle": 5})
    bus = one.buses["i2c_c"]

    def pushes(t_ms: int) -> bool:
        one.advance((t_ms - 5) * MS)
        before = one.truth().total_impulse_n_s
        one.advance(t_ms * MS)
        return one.truth().total_impulse_n_s > before

    assert pushes(10)
    bus.write(0x18, b"\x01\x20")  # the level alone: the pin is still an input
    assert pushes(20)
    bus.write(0x18, b"\x03\xdf")  # now it is driven high
    assert not pushes(30)
    bus.write(0x18, b"\x01\x40")  # that of another cluster, by its level; its pin is an input
    assert pushes(40)
    bus.write(0x18, b"\x01\x20")
    assert not pushes(50)
    one.chips["isolation"].reset()
    assert pushes(60)


def test_a_disturbance_turns_the_craft_for_its_time() -> None:
    one = rig()
    end = one.inject("disturbance", {"torque_n_m": [0.0, 0.0, 30.5]})
    one.advance(500 * MS)
    end()
    one.advance(1000 * MS)
    assert one.truth().rate[2] == pytest.approx(30.5 / 305.0 * 0.5, rel=0.02)


def test_a_node_that_is_reset_says_so_on_the_bus() -> None:
    one = rig()
    can = one.buses["can0"]
    one.advance(5 * MS)
    while can.receive() is not None:
        pass
    one.inject("valve_node_reset", {"node": "valves_a"})
    one.advance(10 * MS)
    frames = []
    while (frame := can.receive()) is not None:
        frames.append(frame)
    assert CanFrame(0x710, b"\x00") in frames


def test_what_the_world_does_shows_in_the_registers() -> None:
    one = rig(rate=(0.0, 0.0, radians(10.0)))
    [answer] = bursts(one, 1)
    z_rate = int.from_bytes(answer[8:10], "big", signed=True)
    assert z_rate == pytest.approx(100, abs=6)
    one.inject("soc_battery", {"value": 0.5})
    one.advance(200 * MS)
    raw = int.from_bytes(one.buses["i2c_a"].write_read(0x40, b"\x05", 3), "big") >> 4
    assert raw * 195.3125e-6 == pytest.approx(25.0, abs=0.1)


# -- resets and rails


def test_the_reset_line_of_the_multiplexers_is_high_at_first_and_low_switches_all_channels_off() -> None:
    one = rig()
    gpio, bus = one.buses["gpio"], one.buses["i2c_b"]
    assert gpio.get("GPIO6")
    bus.write(0x70, b"\x01")
    assert bus.read(0x44, 1)
    gpio.set("GPIO6", False)
    assert bus.read(0x70, 1) == b"\x00"
    with pytest.raises(DeviceError):
        bus.read(0x44, 1)
    bus.write(0x70, b"\x02")
    gpio.set("GPIO6", True)
    assert bus.read(0x70, 1) == b"\x02", "only the falling edge resets"


def operate(one: Rig, page: int, on: bool) -> None:
    """Switch a rail as the power distribution unit is told to: PAGE, OPERATION."""
    one.buses["i2c_a"].write(0x74, bytes((0x00, page)))
    one.buses["i2c_a"].write(0x74, b"\x01\x80" if on else b"\x01\x00")


def answers(one: Rig, bus: str, address: int) -> bool:
    try:
        one.buses[bus].read(address, 1)
    except DeviceError as error:
        if error.cause is not Cause.NACK_ADDRESS:
            raise
        return False
    return True


def test_the_unit_takes_the_power_of_the_bus_that_its_rail_feeds_and_gives_it_back() -> None:
    one = rig()
    one.buses["i2c_b"].write(0x70, b"\x01")
    operate(one, 0, False)
    one.advance(5 * MS)
    assert not answers(one, "i2c_b", 0x20)
    assert answers(one, "i2c_a", 0x40), "the power chips are fed from elsewhere"
    operate(one, 0, True)
    one.advance(10 * MS)
    assert answers(one, "i2c_b", 0x20)
    assert one.muxes["mux"].enabled == 0


def test_a_rail_that_feeds_no_bus_takes_nobodys_power() -> None:
    one = rig()
    operate(one, 1, False)
    one.advance(5 * MS)
    assert answers(one, "i2c_b", 0x20)
    one.switch_rail("nothing", False)
    assert answers(one, "i2c_b", 0x20)


def test_an_unpowered_chip_comes_back_with_its_reset_configuration() -> None:
    one = rig()
    bus = one.buses["i2c_b"]
    bus.write(0x20, b"\x0b\x95")
    assert bus.write_read(0x20, b"\x0b", 1) == b"\x95"
    one.switch_rail("sensors", False)
    one.switch_rail("sensors", True)
    assert bus.write_read(0x20, b"\x0b", 1) == b"\x96"


def test_lines_of_a_bus_can_be_clocked_only_where_the_board_names_them() -> None:
    rig().buses["i2c_a"].clear_bus()
    bench = Rig(load_profile("bench-12kg", "bench-rpi"), InitialState(epoch=0), 1)
    with pytest.raises(DeviceError) as refused:
        bench.buses["i2c_a"].clear_bus()
    assert refused.value.cause is Cause.PROTOCOL


@pytest.mark.parametrize(("parameters", "said"), [
    ({"bus": "i2c_a", "fault": "stuck_bus", "until": "power"}, "the board switches no rail of i2c_a"),
    ({"bus": "can0", "fault": "bus_off", "until": "reopen"}, "only an I2C bus has a recovery"),
    ({"bus": "i2c_b", "fault": "stuck_bus", "until": "tuesday"}, "tuesday"),
])
def test_a_recovery_that_there_is_not_is_refused(parameters: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        check_fault("bus_fault", parameters, PROFILE)


def test_a_fault_until_power_ends_when_its_rail_comes_back() -> None:
    one = rig()
    one.inject("bus_fault", {"bus": "i2c_b", "fault": "stuck_bus", "until": "power"})
    for _ in range(2):
        with pytest.raises(DeviceError) as refused:
            one.buses["i2c_b"].read(0x20, 1)
        assert refused.value.cause is Cause.STUCK_BUS
        operate(one, 0, False)
    operate(one, 0, True)
    assert answers(one, "i2c_b", 0x20)
