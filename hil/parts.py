"""How the rig plays each part: the chip on its bus, and what of the world it is fed, how often.

One function a part, named in :data:`PARTS`; adding a chip is adding both.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from hal.frames import rotate_inverse
from hal.profile import DeviceConfig
from hil.chips.adis16470 import Adis16470
from hil.chips.cia401_valve_node import Cia401ValveNode
from hil.chips.ina228 import Ina228
from hil.chips.ltc3350 import Ltc3350
from hil.chips.opt3001 import Opt3001
from hil.chips.pca9548a import Pca9548a
from hil.chips.rm3100 import Rm3100
from hil.chips.startracker import StarTracker as StarTrackerChip
from hil.chips.startracker import TrackerStatus
from hil.chips.tmp423 import Tmp423
from hil.plant.sensors import InertialUnit, Magnetometer, PowerMonitor, StarTracker, SunSensor, TemperatureSensor

if TYPE_CHECKING:
    from hil.rig import Rig

__all__ = ["PARTS"]

def _adis16470(rig: Rig, device: DeviceConfig) -> None:
    chip = Adis16470()
    rig.chips[device.name] = chip
    rig.buses[device.bus].attach(device.address, chip)
    unit = InertialUnit(rig.world.stream(device.name), float(rig.profile.board.rates.fast_hz))
    world, position, orientation = rig.world, device.mount.position_m, device.mount.orientation
    core = _temperature_of(rig, "core")

    def update(_t_ns: int) -> None:
        rate, force = unit.sample(*world.imu(position, orientation))
        chip.latch(rate, force, core())

    rig.fast.append(update)


def _temperature_of(rig: Rig, node: str) -> Callable[[], float]:
    world = rig.world
    name = node if node in world.temperatures_c else next(iter(world.temperatures_c))
    return lambda: world.temperatures_c[name]


def _startracker(rig: Rig, device: DeviceConfig) -> None:
    chip = StarTrackerChip()
    rig.chips[device.name] = chip
    rig.buses[device.bus].attach(chip)
    optics = StarTracker(rig.world.stream(device.name), device.mount.orientation, rate_hz=device.rate_hz or 2.0)
    world = rig.world

    def update(t_ns: int) -> None:
        around = world.environment
        sun = None if around.eclipse else around.sun_direction
        solution = optics.step(t_ns, world.rigid.quaternion, world.rigid.rate, sun)
        if solution is None:
            return
        status = TrackerStatus(0) if solution.quaternion is None else TrackerStatus.VALID
        if solution.too_fast:
            status |= TrackerStatus.TOO_FAST
        if solution.blinded:
            status |= TrackerStatus.BLINDED
        age_us = (t_ns - solution.exposure_ns) // 1000
        chip.solve(solution.quaternion, age_us, solution.sigma_rad, solution.stars, status)

    rig.fast.append(update)


def _pca9548a(rig: Rig, device: DeviceConfig) -> None:
    chip = Pca9548a()
    rig.muxes[device.name] = chip
    rig.on_i2c(device, chip)


def _opt3001(rig: Rig, device: DeviceConfig) -> None:
    chip = Opt3001(rig.clock)
    rig.on_i2c(device, chip)
    full = float(device.settings.get("full_sun_lux", 60_000.0))
    face = SunSensor(rig.world.stream(device.name), device.mount.normal or (0.0, 0.0, 1.0), full)
    world = rig.world

    def update(_t_ns: int) -> None:
        chip.lux = face.sample(world.sun_body(), world.environment.illumination)

    rig.every(100, update)


def _ina228(rig: Rig, device: DeviceConfig) -> None:
    shunt = float(device.settings.get("shunt_ohm", 0.004))
    chip = Ina228(shunt)
    rig.on_i2c(device, chip)
    monitor = PowerMonitor(rig.world.stream(device.name), shunt)
    power, battery = rig.world.power, device.role == "battery_monitor"
    temperature = _temperature_of(rig, "battery" if battery else "pdu")

    def update(_t_ns: int) -> None:
        volts, amperes = monitor.sample(
            power.bus_voltage_v, power.battery_current_a if battery else power.bus_current_a
        )
        chip.accumulate(0.05)
        chip.set_bus_voltage(volts)
        chip.set_current(amperes)
        chip.set_die_temperature(temperature())

    rig.every(50, update)


def _ltc3350(rig: Rig, device: DeviceConfig) -> None:
    chip = Ltc3350(
        rig.clock, cells=int(device.settings.get("cells", 4)),
        full_voltage_v=float(device.settings.get("full_voltage_v", 10.0)),
        sense_ohm=float(device.settings.get("sense_ohm", 0.006)),
        rt_ohm=float(device.settings.get("rt_ohm", 107_000.0)),
        rtst_ohm=float(device.settings.get("rtst_ohm", 121.0)),
    )
    rig.on_i2c(device, chip)
    power = rig.world.power

    def update(_t_ns: int) -> None:
        chip.input_voltage_v = power.bus_voltage_v
        chip.stack_voltage_v = power.supercap_voltage_v
        chip.charge_current_a = -power.supercap_current_a

    chip.capacitance_f = power.capacitance_f
    chip.esr_ohm = power.esr_ohm
    rig.every(50, update)


def _tmp423(rig: Rig, device: DeviceConfig) -> None:
    chip = Tmp423()
    rig.on_i2c(device, chip)
    names = [str(n) for n in device.settings.get("nodes", [])]
    sensor = TemperatureSensor(rig.world.stream(device.name), len(names))
    world = rig.world

    def update(_t_ns: int) -> None:
        values = sensor.sample([world.temperatures_c[name] for name in names])
        for channel, value in enumerate(values):
            chip.set_celsius(channel, value)

    rig.every(500, update)


def _rm3100(rig: Rig, device: DeviceConfig) -> None:
    chip = Rm3100(rig.clock)
    rig.on_i2c(device, chip)
    sensor = Magnetometer(rig.world.stream(device.name))
    world, orientation = rig.world, device.mount.orientation

    def update(_t_ns: int) -> None:
        chip.field_t = sensor.sample(rotate_inverse(orientation, world.field_body()))

    rig.every(25, update)


def _cia401_valves(rig: Rig, device: DeviceConfig) -> None:
    node = Cia401ValveNode(device.address or 0, serial=1000 + (device.address or 0))
    rig.nodes[device.name] = node
    rig.chips[device.name] = node
    rig.buses[device.bus].attach(node)
    rig.nozzles.append((node, tuple(int(n) for n in device.settings["nozzles"])))


PARTS: dict[str, Callable[[Rig, DeviceConfig], None]] = {
    "adis16470": _adis16470, "startracker": _startracker, "pca9548a": _pca9548a, "opt3001": _opt3001,
    "ina228": _ina228, "ltc3350": _ltc3350, "tmp423": _tmp423, "rm3100": _rm3100, "cia401_valves": _cia401_valves,
}
