"""Faults of sensors and valve drivers: each shows in the chip's own bytes, as long as it lasts, and nowhere else."""

from __future__ import annotations

import re
import struct
from itertools import pairwise
from math import degrees, hypot
from statistics import fmean, pstdev
from typing import Any

import pytest

from hal.frames import conjugate, multiply, rotation_vector
from hal.profile import load_profile
from hil.rig import Rig, check_fault
from tests.hil.power_rig import MS, PROFILE, Master

GYRO_DEG_S = 0.1
"""ADIS16470, Table 11: 0.1 deg/s a count of the burst's words."""
ICM_DEG_S = 2000.0 / 32768.0
Vec = tuple[float, float, float]


class Bench(Master):
    """The sensors' bytes, by the data sheets. The world is advanced in ticks of 5 ms."""

    def burst(self) -> tuple[Vec, int]:
        """Rates in deg/s of the ADIS16470's newest burst, and its counter."""
        spi = self.rig.buses["spi0"]
        spi.configure(0, 3, 1_000_000)
        words = struct.unpack(">hhhhhhhhhH", spi.transfer(0, b"\x68\x00" + bytes(20))[2:])
        return tuple(GYRO_DEG_S * word for word in words[1:4]), words[8]  # type: ignore[return-value]

    def bursts(self, count: int) -> list[Vec]:
        """Rates tick after tick."""
        rates = []
        for _ in range(count):
            self.run(0.005)
            rates.append(self.burst()[0])
        return rates

    def start_icm(self) -> None:
        """Gyroscopes and accelerometers of the ICM-42688-P on, 50 samples a second, 2000 deg/s."""
        spi = self.rig.buses["spi0"]
        spi.configure(1, 3, 1_000_000)
        for register, value in ((0x4F, 0x09), (0x50, 0x09), (0x4E, 0x0F)):
            spi.transfer(1, bytes((register, value)))
        self.run(0.2)

    def icm(self) -> Vec:
        """Rates in deg/s of its data registers."""
        words = struct.unpack(">hhh", self.rig.buses["spi0"].transfer(1, b"\xa5" + bytes(6))[1:])
        return tuple(ICM_DEG_S * word for word in words)  # type: ignore[return-value]

    def fixes(self, seconds: float) -> list[tuple[tuple[float, float, float, float], int, int]]:
        """Quaternion, stars and status of the star tracker's frames of that time."""
        port = self.rig.buses["usb3"]
        port.read(100_000)
        self.run(seconds)
        return [frame_of(part) for part in port.read(100_000).split(START)[1:]]

    def field_ut(self) -> Vec:
        """The RM3100's three results at cycle count 200, uT, after a poll."""
        bus = self.rig.buses["i2c_b"]
        bus.write(0x20, b"\x00\x70")
        self.run(0.05)
        data = bus.write_read(0x20, b"\x24", 9)
        return tuple(  # type: ignore[return-value]
            int.from_bytes(data[i : i + 3], "big", signed=True) / 75.0 for i in (0, 3, 6)
        )

    def lux(self, address: int, channel: int) -> float:
        """An OPT3001's result behind the multiplexer."""
        bus = self.rig.buses["i2c_b"]
        bus.write(0x70, bytes((1 << channel,)))
        bus.write(address, b"\x01\xce\x10")
        self.run(1.0)
        raw = int.from_bytes(bus.write_read(address, b"\x00", 2), "big")
        return 0.01 * (1 << (raw >> 12)) * (raw & 0x0FFF)

    def diode(self, address: int, channel: int) -> tuple[float, bool]:
        """A TMP423's channel in deg C, and its OPEN flag."""
        bus = self.rig.buses["i2c_b"]
        high, low = (bus.write_read(address, bytes((register + channel,)), 1)[0] for register in (0x00, 0x10))
        return int.from_bytes(bytes((high, low & 0xF0)), "big", signed=True) / 256.0, bool(low & 1)

    def rtd_ohm(self) -> float:
        """The MAX31865 of the first cluster, 400 ohm reference, bias on and converting by itself."""
        spi = self.rig.buses["spi1"]
        spi.configure(0, 1, 1_000_000)
        spi.transfer(0, b"\x80\xc0")
        self.run(0.4)
        answer = spi.transfer(0, b"\x01\x00\x00")
        return (int.from_bytes(answer[1:], "big") >> 1) / 32768.0 * 400.0

    def approach(self) -> tuple[int, int]:
        """Distance in cm and strength of the TFmini Plus's newest frame."""
        port = self.rig.buses["usb1"]
        port.read(100_000)
        self.run(0.1)
        frame = port.read(100_000)[-9:]
        assert frame[:2] == b"\x59\x59"
        return struct.unpack_from("<HH", frame, 2)  # type: ignore[return-value]

    def bus_v(self, name: str) -> float:
        """Bus voltage of an INA228."""
        self.run(0.1)
        return (int.from_bytes(self.read(name, 0x05, 3), "big") >> 4) * 195.3125e-6


START = b"\xa5\x5a"


def frame_of(data: bytes) -> tuple[tuple[float, float, float, float], int, int]:
    """Behind the start bytes: type, length, counter, age, quaternion in 2^-30, sigma, stars, status."""
    fields = struct.unpack_from("<BBHIiiiiHBB", data)
    return tuple(x / 2.0**30 for x in fields[4:8]), fields[9], fields[10]  # type: ignore[return-value]


# -- inertial units


def test_a_frozen_gyro_repeats_its_rates_while_its_samples_are_counted_on() -> None:
    bench = Bench(rate=(0.01, -0.02, 0.03))
    assert len(set(bench.bursts(20))) > 5, "noise moves the last digit"
    end = bench.rig.inject("gyro_frozen", {})
    counter = bench.burst()[1]
    assert len(set(bench.bursts(40))) == 1
    assert bench.burst()[1] == counter + 40
    end()
    assert len(set(bench.bursts(20))) > 5


def test_the_spare_gyro_freezes_by_name_and_leaves_the_first_one_alone() -> None:
    bench = Bench(rate=(0.1, 0.0, 0.0))
    bench.start_icm()
    end = bench.rig.inject("gyro_frozen", {"device": "imu_b"})
    frozen = []
    for _ in range(5):
        bench.run(0.1)
        frozen.append(bench.icm())
    assert len(set(frozen)) == 1
    assert len(set(bench.bursts(20))) > 5
    end()
    thawed = []
    for _ in range(5):
        bench.run(0.1)
        thawed.append(bench.icm())
    assert len(set(thawed)) > 1


@pytest.mark.parametrize(("axis", "index"), [("x", 0), ("y", 1), ("z", 2)])
@pytest.mark.parametrize("device", [None, "imu_b"])
def test_a_bias_is_added_about_one_axis_alone(axis: str, index: int, device: str | None) -> None:
    one, other = Bench(), Bench()
    one.rig.inject("gyro_bias", {"axis": axis, "deg_s": -3.0, **({} if device is None else {"device": device})})
    for bench in (one, other):
        if device is not None:
            bench.start_icm()
        bench.run(0.2)
    wrong, right = (bench.burst()[0] if device is None else bench.icm() for bench in (one, other))
    for axis_index in range(3):
        expected = -3.0 if axis_index == index else 0.0
        assert wrong[axis_index] - right[axis_index] == pytest.approx(expected, abs=0.11), "same seed, same noise"


def test_a_bias_of_the_spare_gyro_does_not_grow_with_time() -> None:
    bench = Bench()
    bench.start_icm()
    end = bench.rig.inject("gyro_bias", {"axis": "y", "deg_s": 10.0, "device": "imu_b"})
    bench.run(3.0)
    assert bench.icm()[1] == pytest.approx(10.0, abs=1.5)
    end()
    bench.run(0.2)
    assert bench.icm()[1] == pytest.approx(0.0, abs=1.5)


def test_noise_has_the_deviation_asked_for_and_no_mean() -> None:
    bench = Bench()
    quiet = pstdev(rate[0] for rate in bench.bursts(200))
    bench.rig.inject("gyro_noise", {"deg_s": 4.0})
    noisy = bench.bursts(1000)
    for axis in range(3):
        values = [rate[axis] for rate in noisy]
        assert pstdev(values) == pytest.approx(4.0, rel=0.1)
        assert fmean(values) == pytest.approx(0.0, abs=1.0)
    assert quiet < 0.5


def test_a_spike_comes_once_in_so_many_samples() -> None:
    bench = Bench()
    bench.rig.inject("gyro_spike", {"axis": "z", "deg_s": 100.0, "every": 10})
    high = [n for n, rate in enumerate(bench.bursts(40), 1) if rate[2] > 50.0]
    assert high == [10, 20, 30, 40]


def test_faults_of_two_kinds_add_up_and_end_one_by_one() -> None:
    bench = Bench()
    freeze = bench.rig.inject("gyro_frozen", {})
    bias = bench.rig.inject("gyro_bias", {"axis": "x", "deg_s": 50.0})
    rates = bench.bursts(10)
    assert len(set(rates)) == 1
    assert rates[0][0] == pytest.approx(50.0, abs=2.0)
    freeze()
    assert len(set(bench.bursts(20))) > 1
    assert bench.burst()[0][0] == pytest.approx(50.0, abs=2.0)
    bias()
    bench.run(0.01)
    assert bench.burst()[0][0] == pytest.approx(0.0, abs=2.0)


def test_of_two_of_one_kind_the_later_one_holds_until_it_ends_itself() -> None:
    bench = Bench()
    first = bench.rig.inject("gyro_bias", {"axis": "x", "deg_s": 20.0})
    second = bench.rig.inject("gyro_bias", {"axis": "y", "deg_s": 40.0})
    for end, expected in ((None, (0.0, 40.0)), (first, (0.0, 40.0)), (second, (0.0, 0.0)), (second, (0.0, 0.0))):
        if end is not None:
            end()
        bench.run(0.01)
        assert bench.burst()[0][:2] == pytest.approx(expected, abs=2.0)


# -- star tracker


def test_a_blind_tracker_says_so_and_gives_no_attitude() -> None:
    bench = Bench()
    bench.run(1.0)
    assert all(status & 1 for _, _, status in bench.fixes(2.0))
    end = bench.rig.inject("star_tracker_blind", {})
    blind = bench.fixes(2.0)
    assert len(blind) == 4
    assert all(not status & 1 and quaternion == (0.0, 0.0, 0.0, 0.0) and stars == 0
               for quaternion, stars, status in blind)
    assert len({status for *_, status in blind}) == 1
    assert blind[0][2] != 0
    end()
    assert all(status & 1 for _, _, status in bench.fixes(2.0))


def turn_deg(one: Bench, other: Bench, seconds: float) -> list[float]:
    """Angle between the two trackers' attitudes about the boresight, solution by solution."""
    pairs = zip(one.fixes(seconds), other.fixes(seconds), strict=True)
    return [degrees(rotation_vector(multiply(conjugate(b[0]), a[0]))[2]) for a, b in pairs]


def test_a_wrong_tracker_is_turned_by_that_angle() -> None:
    one, other = Bench(), Bench()
    one.rig.inject("star_tracker_wrong", {"deg": 7.0})
    assert turn_deg(one, other, 3.0)[1:] == pytest.approx([7.0] * 5, abs=0.01)


def test_a_drifting_tracker_turns_more_with_every_second() -> None:
    one, other = Bench(), Bench()
    for bench in (one, other):
        bench.run(2.05)
    end = one.rig.inject("star_tracker_drift", {"deg_s": -2.0})
    angles = turn_deg(one, other, 3.0)
    assert [b - a for a, b in pairwise(angles)] == pytest.approx([-1.0] * 5, abs=0.02)
    assert -1.0 < angles[0] < 0.0, "it begins with the fault"
    end()
    assert turn_deg(one, other, 1.0) == pytest.approx([0.0] * 2, abs=0.01)


# -- field and light


def test_a_dead_magnetometer_says_no_field_and_a_stuck_one_the_old_one() -> None:
    bench = Bench(rate=(0.3, 0.2, 0.1), magnetic_field_t=(30e-6, -20e-6, 10e-6))
    before = bench.field_ut()
    assert hypot(*before) > 20.0
    end = bench.rig.inject("sensor_stuck", {"device": "mag"})
    stuck = bench.field_ut()
    bench.run(3.0)
    assert bench.field_ut() == stuck
    end()
    bench.run(0.1)
    assert max(abs(a - b) for a, b in zip(bench.field_ut(), stuck, strict=True)) > 2.0, "the craft has turned on"
    end = bench.rig.inject("sensor_dead", {"device": "mag"})
    assert bench.field_ut() == (0.0, 0.0, 0.0)
    end()
    assert hypot(*bench.field_ut()) > 20.0


def test_a_dead_sun_sensor_sees_darkness_and_its_neighbours_light() -> None:
    # The Sun stands along -X of the craft.
    bench = Bench()
    end = bench.rig.inject("sensor_dead", {"device": "sun_nx"})
    assert bench.lux(0x45, 0) == 0.0
    end()
    assert bench.lux(0x45, 0) > 30_000.0


def test_a_stuck_sun_sensor_goes_on_seeing_a_sun_that_has_set() -> None:
    bench = Bench()
    lit = bench.lux(0x45, 0)
    end = bench.rig.inject("sensor_stuck", {"device": "sun_nx"})
    bench.rig.inject("eclipse", {})
    assert bench.lux(0x45, 0) == pytest.approx(lit, rel=0.05)
    end()
    assert bench.lux(0x45, 0) == 0.0


# -- thermometers


def test_a_stuck_thermometer_does_not_follow_its_node_and_its_neighbour_does() -> None:
    bench = Bench()
    bench.run(1.0)
    before = bench.diode(0x4C, 3)[0]
    end = bench.rig.inject("thermometer_stuck", {"node": "battery"})
    bench.run(0.6)
    for node in ("battery", "pdu"):
        bench.rig.inject("temperature", {"node": node, "celsius": 70})
    bench.run(1.0)
    assert bench.diode(0x4C, 3)[0] == pytest.approx(before, abs=0.3)
    assert bench.diode(0x4C, 1)[0] == pytest.approx(70.0, abs=1.5)
    end()
    bench.run(0.6)
    assert bench.diode(0x4C, 3)[0] == pytest.approx(70.0, abs=1.5)


def test_a_jump_is_added_to_one_channel_of_the_chip() -> None:
    one, other = Bench(), Bench()
    one.rig.inject("thermometer_jump", {"node": "supercap", "celsius": 40.0})
    for bench in (one, other):
        bench.run(1.0)
    steps = [one.diode(0x4C, n)[0] - other.diode(0x4C, n)[0] for n in range(4)]
    assert steps == pytest.approx([0.0, 0.0, 40.0, 0.0], abs=0.07)


def test_a_cluster_s_thermometer_jumps_and_breaks_too() -> None:
    bench = Bench(temperatures_c={"rcs_c01": 0.0})
    before = bench.rtd_ohm()
    end = bench.rig.inject("thermometer_jump", {"node": "rcs_c01", "celsius": 50.0})
    assert bench.rtd_ohm() - before == pytest.approx(19.4, abs=0.3), "0.39 ohm a degree"
    end()
    assert bench.rtd_ohm() == pytest.approx(before, abs=0.5)
    end = bench.rig.inject("thermometer_open", {"node": "rcs_c01"})
    assert bench.rtd_ohm() == pytest.approx(400.0, abs=0.1), "full scale"
    end()
    assert bench.rtd_ohm() == pytest.approx(before, abs=0.7)


def test_a_broken_wire_to_a_diode_shows_in_its_flag() -> None:
    bench = Bench()
    assert not bench.diode(0x4C, 3)[1]
    end = bench.rig.inject("thermometer_open", {"node": "battery"})
    assert bench.diode(0x4C, 3)[1]
    assert not bench.diode(0x4C, 2)[1]
    end()
    assert not bench.diode(0x4C, 3)[1]


# -- range finders, power monitors, valve drivers


def test_a_stuck_range_finder_says_a_distance_where_nothing_is() -> None:
    bench = Bench()
    assert bench.approach()[0] == 0, "too weak an echo"
    end = bench.rig.inject("range_stuck", {"device": "approach", "metres": 2.5})
    distance, strength = bench.approach()
    assert (distance, strength >= 100) == (250, True)
    end()
    assert bench.approach()[0] == 0


@pytest.mark.parametrize(("volts", "least"), [(-6.0, 0.0), (3.0, 0.0), (-90.0, 0.0)])
def test_a_monitor_s_voltage_is_wrong_by_so_much_and_its_neighbour_s_is_not(volts: float, least: float) -> None:
    bench = Bench()
    true, neighbour = bench.bus_v("bus_monitor"), bench.bus_v("battery_monitor")
    end = bench.rig.inject("voltage_bias", {"device": "bus_monitor", "volts": volts})
    assert bench.bus_v("bus_monitor") == pytest.approx(max(least, true + volts), abs=0.02)
    assert bench.bus_v("battery_monitor") == pytest.approx(neighbour, abs=0.02)
    end()
    assert bench.bus_v("bus_monitor") == pytest.approx(true, abs=0.02)


ENABLE, KICK = PROFILE.board.lines.valve_enable, PROFILE.board.lines.watchdog_kick


def enabled(rig: Rig) -> None:
    """The enable line up, and a watchdog that has just been kicked."""
    rig.buses["gpio"].set(ENABLE, True)
    rig.buses["gpio"].set(KICK, True)


def test_a_short_of_a_valve_s_driver_opens_it_while_enabled_though_its_node_drives_nothing() -> None:
    bench = Bench()
    bench.run(0.01)
    enabled(bench.rig)
    end = bench.rig.inject("valve_driver", {"nozzle": 6, "fault": "short"})
    bench.run(0.02)
    node = bench.rig.nodes["valves_a"]
    assert bench.rig.truth().open_mask == 1 << 6
    assert node.outputs == 0
    end()
    bench.run(0.02)
    assert bench.rig.truth().open_mask == 0


def test_an_open_driver_gives_its_coil_nothing() -> None:
    bench = Bench()
    bench.rig.inject("valve_driver", {"nozzle": 6, "fault": "short"})
    bench.rig.inject("valve_driver", {"nozzle": 6, "fault": "open"})
    bench.run(0.01)
    enabled(bench.rig)
    bench.run(0.02)
    assert bench.rig.truth().open_mask == 0


# -- power and heat


def test_a_short_of_the_base_line_draws_on_whatever_is_switched() -> None:
    def amperes(bench: Bench) -> float:
        bench.run(0.2)
        total = 0.0
        for _ in range(10):
            bench.run(0.05)
            raw = int.from_bytes(bench.read("bus_monitor", 0x04, 3), "big", signed=True) >> 4
            total += raw * 312.5e-9 / 0.004
        return total / 10.0

    bench = Bench()
    for load in ("radar", "nbl", "transponder"):
        bench.switch(load, False)
    before = amperes(bench)
    end = bench.rig.inject("base_short", {"watts": 25})
    assert amperes(bench) - before == pytest.approx(25.0 / bench.power.bus_voltage_v, rel=0.02)
    end()
    assert amperes(bench) == pytest.approx(before, rel=0.01)


def test_a_dead_stack_takes_its_charge_and_keeps_none_of_it() -> None:
    def stack_v(bench: Bench) -> float:
        return bench.rig.chips["supercap"].stack_voltage_v  # type: ignore[no-any-return]

    bench = Bench(soc_supercap=0.3)
    bench.run(1.0)
    end = bench.rig.inject("supercap_dead", {})
    before = stack_v(bench)
    bench.run(10.0)
    assert bench.power.supercap_in_w >= 20.0, "its charger goes on"
    assert stack_v(bench) == pytest.approx(before, abs=0.05)
    end()
    bench.run(10.0)
    assert stack_v(bench) > before + 0.05


def test_a_dead_charger_gives_the_stack_nothing_whatever_it_is_told() -> None:
    bench = Bench(soc_supercap=0.3)
    end = bench.rig.inject("supercap_charger_dead", {})
    bench.run(0.1)
    before = bench.power.soc_supercap
    bench.put_word("supercap", 0x24, 0x0F)
    bench.run(5.0)
    assert bench.power.supercap_in_w == 0.0
    assert bench.power.soc_supercap <= before
    end()
    end()
    bench.run(5.0)
    assert bench.power.supercap_in_w > 0.0
    assert bench.power.soc_supercap > before


def test_heat_into_a_node_warms_it_by_its_capacity_until_it_ends() -> None:
    one, other = Bench(), Bench()
    end = one.rig.inject("heating", {"node": "comms", "watts": 400})
    for bench in (one, other):
        bench.run(10.0)
    warmer = one.diode(0x4D, 2)[0] - other.diode(0x4D, 2)[0]
    assert warmer == pytest.approx(10.0, abs=0.6), "400 W for 10 s into 400 J/K"
    end()
    hot = one.rig.world.temperatures_c["comms"]
    one.run(5.0)
    assert one.rig.world.temperatures_c["comms"] < hot


# -- what is refused


@pytest.mark.parametrize(("kind", "parameters", "said"), [
    ("gyro_frozen", {"device": "mag"}, "no inertial unit 'mag'; there are: imu, imu_b"),
    ("gyro_bias", {"axis": "w", "deg_s": 1}, "no axis 'w'; there are: x, y, z"),
    ("gyro_bias", {"axis": "x", "deg_s": 3000}, "deg_s is 3000; -2000..2000 is allowed"),
    ("gyro_bias", {"axis": "x"}, "parameter deg_s is missing"),
    ("gyro_noise", {"deg_s": -1}, "deg_s is -1; 0..500 is allowed"),
    ("gyro_spike", {"axis": "x", "deg_s": 9, "every": 1}, "every is 1; 2..100000 samples are allowed"),
    ("gyro_spike", {"axis": "x", "deg_s": 9, "every": 2.5}, "every is 2.5; 2..100000 samples"),
    ("gyro_spike", {"axis": "x", "deg_s": 9, "every": True}, "every is True; 2..100000 samples"),
    ("star_tracker_blind", {"deg": 1}, "no parameter 'deg'; parameters: none"),
    ("star_tracker_wrong", {"deg": 181}, "deg is 181; -180..180 is allowed"),
    ("star_tracker_drift", {"deg_s": float("nan")}, "a finite number is needed"),
    ("sensor_dead", {"device": "imu"}, "no magnetometer or Sun sensor 'imu'; there are: mag, sun_px"),
    ("sensor_stuck", {"device": "temps_a"}, "no magnetometer or Sun sensor 'temps_a'"),
    ("thermometer_stuck", {"node": "engine"}, "no measured node 'engine'; there are: core, pdu, supercap, battery, "),
    ("thermometer_jump", {"node": "core", "celsius": 300}, "celsius is 300; -200..200 is allowed"),
    ("thermometer_open", {"node": "core"}, "core is measured by temps_a itself, which has no wire that could break"),
    ("range_stuck", {"device": "radar", "metres": 1}, "no range finder 'radar'; there are: approach, dock_px"),
    ("range_stuck", {"device": "approach", "metres": 13}, "metres is 13; 0..12 is allowed"),
    ("voltage_bias", {"device": "gauge", "volts": 1}, "no power monitor 'gauge'; there are: bus_monitor"),
    ("voltage_bias", {"device": "bus_monitor", "volts": 101}, "volts is 101; -100..100 is allowed"),
    ("valve_driver", {"nozzle": 16, "fault": "open"}, "no nozzle 16; there are: 0, 1, 2"),
    ("valve_driver", {"nozzle": True, "fault": "open"}, "no nozzle 'True'"),
    ("valve_driver", {"nozzle": 1, "fault": "stuck"}, "no fault of a valve driver 'stuck'; there are: open, short"),
    ("heating", {"node": "engine", "watts": 1}, "no node 'engine'; there are: core"),
    ("heating", {"node": "core", "watts": -1}, "watts is -1; 0..5000 is allowed"),
    ("base_short", {"watts": 0}, "watts is 0; 1..5000 is allowed"),
    ("supercap_dead", {"factor": 1}, "no parameter 'factor'; parameters: none"),
])
def test_a_fault_that_makes_no_sense_is_refused_with_what_is_allowed(
    kind: str, parameters: dict[str, Any], said: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        check_fault(kind, parameters, PROFILE)


def test_what_a_board_lacks_is_refused() -> None:
    bench = load_profile("bench-12kg", "bench-rpi")
    parts = {device.part for device in bench.board.devices}
    refused = {
        "startracker": ("star_tracker_blind", {}, "board bench-rpi has no star tracker"),
        "ina228": ("voltage_bias", {"device": "bus_monitor", "volts": 1}, "no power monitor 'bus_monitor'"),
    }
    for part, (kind, parameters, said) in refused.items():
        if part in parts:
            continue
        with pytest.raises(ValueError, match=re.escape(said)):
            check_fault(kind, parameters, bench)


def test_the_same_seed_gives_the_same_noise_and_another_seed_another() -> None:
    def noisy(seed: int) -> list[Vec]:
        bench = Bench(seed)
        bench.run(5 * MS * 1e-9)
        bench.rig.inject("gyro_noise", {"deg_s": 5.0})
        return bench.bursts(20)

    assert noisy(3) == noisy(3)
    assert noisy(3) != noisy(4)
