"""How the rig plays each part: the chip on its bus, and what of the world it is fed, how often.

One function a part, named in :data:`PARTS`; adding a chip is adding both. Those of the power chain are in
``parts_power``, those that look at what is around the craft in ``parts_surroundings``.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from hal.profile import DeviceConfig
from hil.chips.adis16470 import Adis16470
from hil.chips.ads1115 import Ads1115
from hil.chips.cia401_valve_node import Cia401ValveNode
from hil.chips.ds3231 import Ds3231
from hil.chips.gmc_geiger import GmcGeiger
from hil.chips.icm42688p import Icm42688p
from hil.chips.max7310 import Max7310
from hil.chips.max31865 import Max31865
from hil.chips.mb85rc256v import Mb85rc256v
from hil.chips.opt3001 import Opt3001
from hil.chips.pca9548a import Pca9548a
from hil.chips.startracker import StarTracker as StarTrackerChip
from hil.chips.startracker import TrackerStatus
from hil.chips.tmp423 import Tmp423
from hil.chips.ve_direct import ChargerState, Tracker, VeDirect
from hil.chips.w25q256 import W25q256
from hil.parts_power import POWER_PARTS
from hil.parts_surroundings import SURROUNDINGS_PARTS, speaks
from hil.plant.sensors import InertialUnit, StarTracker, SunSensor, TemperatureSensor

if TYPE_CHECKING:
    from hil.rig import Rig

__all__ = ["PARTS"]

NO_INPUT_POWER = 0x00000001
"""Bit of a VE.Direct charger's off reasons (VE.Direct protocol, field OR)."""
TRACKED = 0.98
"""Share of the panel's maximum from which such a charger says that it tracks it."""


def _adis16470(rig: Rig, device: DeviceConfig) -> None:
    chip = Adis16470()
    rig.chips[device.name] = chip
    rig.buses[device.bus].attach(device.address, chip)
    unit = InertialUnit(rig.world.stream(device.name), float(rig.profile.board.rates.fast_hz))
    world, position, orientation = rig.world, device.mount.position_m, device.mount.orientation
    core = rig.temperature_of("core")

    def update(_t_ns: int) -> None:
        rate, force = unit.sample(*world.imu(position, orientation))
        chip.latch(rate, force, core())

    rig.fast.append(update)


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


def _cia401_valves(rig: Rig, device: DeviceConfig) -> None:
    node = Cia401ValveNode(device.address or 0, serial=1000 + (device.address or 0))
    rig.nodes[device.name] = node
    rig.chips[device.name] = node
    rig.buses[device.bus].attach(node)
    rig.nozzles.append((node, tuple(int(n) for n in device.settings["nozzles"])))


# -- sensors on I2C and SPI


def _max7310(rig: Rig, device: DeviceConfig) -> None:
    chip = Max7310()
    rig.on_i2c(device, chip)
    isolation = rig.profile.board.isolation
    if isolation is None or isolation.device != device.name:
        return
    pins = dict(isolation.pins)
    for pin in pins.values():
        # Pulled down: the valve stays open unless the chip drives its pin high.
        chip.set_external(pin, False)
    world, shut = rig.world, dict.fromkeys(pins, False)

    def update(_t_ns: int) -> None:
        levels = chip.levels
        for cluster, pin in pins.items():
            high = bool(levels >> pin & 1)
            if high != shut[cluster]:
                shut[cluster] = high
                world.set_isolation(cluster, not high)

    rig.fast.append(update)


def _ads1115(rig: Rig, device: DeviceConfig) -> None:
    chip = Ads1115(rig.clock)
    rig.on_i2c(device, chip)
    world = rig.world
    full_kg = max(1e-9, rig.profile.body.mass.propellant_kg)

    def update(_t_ns: int) -> None:
        # The tank's pressure transmitter: 0.5 V empty to 4.0 V full, through a divider of 0.8; other inputs are open.
        share = world.truth().propellant_kg / full_kg
        chip.inputs_v[0] = 0.8 * (0.5 + 3.5 * share)

    rig.every(500, update)


def _ds3231(rig: Rig, device: DeviceConfig) -> None:
    chip = Ds3231(rig.clock)
    # Its calendar begins in 2000.
    begin = datetime(2000, 1, 1, tzinfo=UTC)
    start = max(datetime.fromtimestamp(rig.world.truth().unix_ns // 1_000_000_000, UTC), begin)
    chip.set_time(start.year, start.month, start.day, start.hour, start.minute, start.second)
    chip.oscillator_running = True
    rig.on_i2c(device, chip)
    celsius = rig.temperature_of("core")

    def update(_t_ns: int) -> None:
        chip.celsius = celsius()

    rig.every(1000, update)


def _mb85rc256v(rig: Rig, device: DeviceConfig) -> None:
    rig.on_i2c(device, Mb85rc256v())


def _w25q256(rig: Rig, device: DeviceConfig) -> None:
    chip = W25q256(rig.clock, rng=rig.world.stream(device.name))
    rig.chips[device.name] = chip
    rig.buses[device.bus].attach(device.address, chip)


def _icm42688p(rig: Rig, device: DeviceConfig) -> None:
    chip = Icm42688p(rig.clock)
    rig.chips[device.name] = chip
    rig.buses[device.bus].attach(device.address, chip)
    # It samples by itself faster than it is asked while it stands by: once flown, every tick has a new sample.
    unit = InertialUnit(rig.world.stream(device.name), float(rig.profile.board.rates.fast_hz))
    world, position, orientation = rig.world, device.mount.position_m, device.mount.orientation
    celsius = rig.temperature_of("core")

    def update(_t_ns: int) -> None:
        chip.rate_rad_s, chip.specific_force_m_s2 = unit.sample(*world.imu(position, orientation))
        chip.celsius = celsius()

    rig.fast.append(update)
    update(0)


def _max31865(rig: Rig, device: DeviceConfig) -> None:
    chip = Max31865(
        rig.clock, reference_ohm=float(device.settings.get("r_ref_ohm", 400.0)),
        r0_ohm=float(device.settings.get("r_nominal_ohm", 100.0)),
    )
    rig.chips[device.name] = chip
    rig.buses[device.bus].attach(device.address, chip)
    # Named after the thermal node it is mounted on.
    celsius = rig.temperature_of(device.name.removeprefix("rtd_"))

    def update(_t_ns: int) -> None:
        chip.set_celsius(celsius())

    rig.every(250, update)


# -- parts that speak


def _ve_direct(rig: Rig, device: DeviceConfig) -> None:
    chip = VeDirect()
    speaks(rig, device, chip, 20)
    power = rig.world.power
    celsius = rig.temperature_of("pdu")

    def update(_t_ns: int) -> None:
        volts = power.bus_voltage_v
        if power.bus_on:
            # It tracks the panel by itself; the flight computer may hold it off or limit its current.
            power.battery_charge_limit_w = chip.max_current_a * volts if chip.enabled else 0.0
        chip.battery_v, chip.array_v, chip.array_w = volts, power.panel_v, power.array_w
        chip.battery_a = power.array_w / volts if volts > 1.0 else 0.0
        lit = power.panel_v > volts
        limited = power.array_w < TRACKED * power.array_max_w
        chip.tracker = Tracker.OFF if not lit else Tracker.LIMITED if limited else Tracker.ACTIVE
        chip.off_reason = 0 if lit else NO_INPUT_POWER
        if chip.error == 0:
            chip.state = ChargerState.BULK if lit else ChargerState.OFF
        chip.temperature_c = celsius()

    rig.every(250, update)


def _gmc_geiger(rig: Rig, device: DeviceConfig) -> None:
    speaks(rig, device, GmcGeiger(rig.world.stream(device.name)), 50)


PARTS: dict[str, Callable[[Rig, DeviceConfig], None]] = {
    **POWER_PARTS, **SURROUNDINGS_PARTS,
    "adis16470": _adis16470, "ads1115": _ads1115, "cia401_valves": _cia401_valves, "ds3231": _ds3231,
    "gmc_geiger": _gmc_geiger, "icm42688p": _icm42688p, "max31865": _max31865, "max7310": _max7310,
    "mb85rc256v": _mb85rc256v, "opt3001": _opt3001, "pca9548a": _pca9548a, "startracker": _startracker,
    "tmp423": _tmp423, "ve_direct": _ve_direct, "w25q256": _w25q256,
}
