"""How the rig plays the parts of the power chain: what they see of the world, and what their registers do to it.

A chip that acts (charger, stack charger, dock switch, distribution unit) tells of every setting that is written, and
its lever in the world moves at that instant; what it decides by itself is followed every 50 ms, the world's step of
power. While the battery's protection has the bus off, no lever moves, but a dock's switch closes by itself: at power-up
all chips start anew.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from hal.profile import DeviceConfig
from hil.chips.adm1272 import Adm1272
from hil.chips.can_bms import CanBms
from hil.chips.ina226 import Ina226
from hil.chips.ina228 import Ina228
from hil.chips.ltc3350 import Ltc3350
from hil.chips.ltc4162 import Ltc4162, thermistor_counts
from hil.chips.max34451 import Max34451
from hil.chips.sbs_battery import SbsBattery, SbsIdentity
from hil.plant.power import PowerPlant
from hil.plant.sensors import PowerMonitor

if TYPE_CHECKING:
    from hil.rig import Rig

__all__ = ["DOCK_CURRENT", "POWER_PARTS"]

DOCK_CURRENT = "dock_current"
"""Name of the power channel that measures the dock's line instead of a load."""
STEP_MS = 50
BLEED_A = 0.005
"""What a resistor draws from the dock line behind the open switch, so that it discharges."""
LIMIT_MARGIN = 1.2
"""Current limit of the dock's switch above the most that the feed may carry: it trips on faults only."""
LEAST_BUS_V = 1.0
"""Below this no rail is regulated and no current can be told from its power."""


def _ina228(rig: Rig, device: DeviceConfig) -> None:
    shunt = float(device.settings.get("shunt_ohm", 0.004))
    chip = Ina228(shunt)
    rig.on_i2c(device, chip)
    monitor = rig.monitors[device.name] = PowerMonitor(rig.world.stream(device.name), shunt)
    power, battery = rig.world.power, device.role == "battery_monitor"
    temperature = rig.temperature_of("battery" if battery else "pdu")

    def update(_t_ns: int) -> None:
        volts, amperes = monitor.sample(
            power.bus_voltage_v, power.battery_current_a if battery else power.bus_current_a
        )
        chip.accumulate(0.05)
        chip.set_bus_voltage(volts)
        chip.set_current(amperes)
        chip.set_die_temperature(temperature())

    rig.every(STEP_MS, update)


def _ina226(rig: Rig, device: DeviceConfig) -> None:
    shunt = float(device.settings.get("shunt_ohm", 0.01))
    chip = Ina226(rig.clock, shunt)
    rig.on_i2c(device, chip)
    monitor = rig.monitors[device.name] = PowerMonitor(rig.world.stream(device.name), shunt)
    power = rig.world.power
    if device.name == DOCK_CURRENT:
        def of_dock(_t_ns: int) -> None:
            # An open line shows the chip's own errors, as it does on a bench.
            chip.bus_v, chip.current_a = monitor.sample(power.dock_input_v, power.dock_current_a)

        rig.every(STEP_MS, of_dock)
        return
    # A channel is named after the load it feeds; one without a load of that name carries nothing.
    load = device.name.removeprefix("ch_")
    feeds = load in power.load_names()

    def of_load(_t_ns: int) -> None:
        volts = power.bus_voltage_v if feeds else 0.0
        amperes = power.load_power_w(load) / volts if volts > LEAST_BUS_V else 0.0
        chip.bus_v, chip.current_a = monitor.sample(volts, amperes) if feeds else (0.0, 0.0)

    rig.every(100, of_load)


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
    full_v = rig.profile.body.power.supercap.full_v
    celsius = rig.temperature_of("supercap")

    def steer() -> None:
        if power.bus_on:
            # Energy goes with the square of the voltage.
            power.supercap_target_soc = min(1.0, (chip.target_v / full_v) ** 2)

    def update(_t_ns: int) -> None:
        chip.input_voltage_v = chip.output_voltage_v = power.bus_voltage_v
        chip.stack_voltage_v = power.supercap_voltage_v
        chip.charge_current_a = -power.supercap_current_a
        # They age while the craft flies; the chip learns of it at its next measurement.
        chip.capacitance_f, chip.esr_ohm = power.capacitance_f, power.esr_ohm
        chip.die_c = celsius()

    chip.on_change = steer
    steer()
    rig.every(STEP_MS, update)


# -- the panel


def _ltc4162(rig: Rig, device: DeviceConfig) -> None:
    chip = Ltc4162(
        rig.clock, cells=int(device.settings.get("cells", 8)),
        sense_ohm=float(device.settings.get("battery_sense_ohm", 0.01)),
        input_sense_ohm=float(device.settings.get("input_sense_ohm", 0.01)),
    )
    rig.on_i2c(device, chip)
    power = rig.world.power
    die, battery = rig.temperature_of("pdu"), rig.temperature_of("battery")
    node = next((node for node in rig.profile.body.thermal.nodes if node.name == "battery"), None)
    # The board's thermistor network sets where the chip's T1 lies; a body that names no limit leaves it at 0 deg C.
    cold_c = node.no_charge_below_c if node is not None and node.no_charge_below_c is not None else 0.0

    def steer() -> None:
        if power.bus_on:
            power.panel_setpoint_v = chip.input_regulation_v
            power.battery_charge_limit_w = chip.charge_limit_a * power.bus_voltage_v
            power.battery_charge_blocked = chip.paused

    def update(_t_ns: int) -> None:
        volts = power.bus_voltage_v
        chip.input_v, chip.input_a = power.panel_v, power.panel_a
        chip.battery_v = chip.output_v = volts
        # The loads hang on the battery's bus: what they draw of the battery does not pass the charger's resistor.
        chip.battery_a = power.battery_in_w / volts if volts > LEAST_BUS_V else 0.0
        chip.die_c = die()
        if node is not None:
            chip.thermistor = thermistor_counts(battery(), cold_c)
        chip.advance()
        steer()

    chip.on_change = steer
    rig.every(STEP_MS, update)


# -- the distribution unit


def _max34451(rig: Rig, device: DeviceConfig) -> None:
    rails = {int(rail["page"]): dict(rail) for rail in device.settings.get("rails", [])}
    power = rig.world.power
    body = rig.profile.body
    off_at_first = {load.name for load in body.power.loads if not load.starts_on}
    off_at_first |= {heater.load for heater in body.thermal.heaters}
    fed = set(power.load_names()) - {load.name for load in body.power.loads if load.base}

    def switched(page: int, on: bool) -> None:
        if page in rails:
            name = str(rails[page]["name"])
            if name in fed and power.bus_on:
                power.set_rail(name, on)
            rig.switch_rail(name, on)

    closes = [page for page in range(12) if page not in rails or rails[page]["name"] not in off_at_first]
    chip = Max34451(rig.clock, device.address or 0x74, on_at_power_up=closes, on_switch=switched)
    rig.on_i2c(device, chip)
    for page, rail in rails.items():
        if rail["name"] in fed and page < len(chip.on):
            power.set_rail(str(rail["name"]), chip.on[page])
    celsius = rig.temperature_of("pdu")

    def update(_t_ns: int) -> None:
        chip.temperatures_c[0] = celsius()
        for page, rail in rails.items():
            if rail.get("kind", "voltage") == "current":
                chip.currents_a[page] = _rail_current_a(power, rail, fed)
            else:
                closed = not rail.get("switched", False) or chip.on[page]
                # The chip takes the divider into account; its pin sees the rail divided.
                chip.voltages_v[page] = _rail_voltage_v(rig, rail, closed)
        chip.advance()

    rig.every(100, update)


def _rail_voltage_v(rig: Rig, rail: Mapping[str, Any], closed: bool) -> float:
    """Behind the rail's switch, which may be stuck; a short leaves nothing of it."""
    name = str(rail["name"])
    if name in rig.shorted or not rig.stuck.get(name, closed) or rig.world.power.bus_voltage_v < LEAST_BUS_V:
        return 0.0
    # Middle of a regulated rail's warning limits; a rail without them is the main bus.
    limits = [rail.get("under_voltage_warning_v"), rail.get("over_voltage_warning_v")]
    given = [float(limit) for limit in limits if limit is not None]
    return sum(given) / 2.0 if len(given) == 2 else rig.world.power.bus_voltage_v


def _rail_current_a(power: PowerPlant, rail: Mapping[str, Any], fed: set[str]) -> float:
    """Into the load of the rail's name; a rail without one is the main bus."""
    name = str(rail["name"])
    if name not in fed:
        return power.bus_current_a
    volts = power.bus_voltage_v
    return power.load_power_w(name) / volts if volts > LEAST_BUS_V else 0.0


# -- the dock


def _adm1272(rig: Rig, device: DeviceConfig) -> None:
    power, dock = rig.world.power, rig.profile.body.power.dock
    sense_ohm = float(device.settings.get("shunt_ohm", 0.001))
    limit_v = 0.03 if dock is None else min(0.03, LIMIT_MARGIN * dock.current_max_a * sense_ohm)
    chip = Adm1272(rig.clock, device.address or 0x10, sense_ohm=sense_ohm, limit_v=limit_v)
    rig.on_i2c(device, chip)
    celsius = rig.temperature_of("dock_bridge")
    lever: tuple[bool, float] | None = None
    alive = True

    def steer() -> None:
        # The chip starts in milliseconds, the world's feed in seconds: the start-up limit goes on as the feed's share.
        nonlocal lever
        now = (chip.conducting, chip.start_share)
        if dock is not None and power.bus_on and now != lever:
            lever = now
            power.set_dock(*now)

    def update(_t_ns: int) -> None:
        nonlocal alive, lever
        if alive and not power.bus_on and dock is not None:
            # Its other supply is the dock's line: without the bus it starts anew as soon as a dock is there.
            chip.reset()
            power.set_dock(True)
            lever = None
        alive = power.bus_on
        # Without a dock there is no voltage before the switch. The chip's own supply comes from the main bus then.
        chip.input_v = max(0.0, power.dock_input_v)
        into_craft_a = max(0.0, power.dock_current_a)
        chip.load_a = into_craft_a if chip.conducting else BLEED_A
        chip.celsius = celsius()
        chip.advance()
        steer()

    chip.on_change = steer
    rig.every(STEP_MS, update)


# -- what the battery says of itself


def _counted_soc(rig: Rig) -> Callable[[], float]:
    """State of charge as a gauge counts it: down from full, of the capacity that the battery was made with."""
    power = rig.world.power
    design_j = 3600.0 * rig.profile.body.power.battery.capacity_wh
    return lambda: min(1.0, max(0.0, 1.0 - (power.battery_capacity_j - power.battery_j) / design_j))


def _sbs_battery(rig: Rig, device: DeviceConfig) -> None:
    power = rig.world.power
    nominal_v = 0.5 * (rig.profile.body.power.bus.full_v + rig.profile.body.power.bus.empty_v)
    full_c = power.battery_capacity_j / nominal_v
    # A gauge counts in 16 bits of mAh; a larger pack says so in its scale.
    scale = 1 if full_c / 3.6 > 60_000.0 else 0
    chip = SbsBattery(
        rig.clock, address=device.address or 0x0B, identity=SbsIdentity(current_scale=scale), design_c=full_c,
        design_v=nominal_v,
    )
    rig.on_i2c(device, chip)
    celsius, soc, faults, name = rig.temperature_of("battery"), _counted_soc(rig), rig.gauge_faults, device.name

    def update(_t_ns: int) -> None:
        if name in faults and faults[name] is None:
            return
        chip.voltage_v, chip.current_a = power.bus_voltage_v, -power.battery_current_a
        chip.remaining_c = soc() * chip.full_c
        chip.reported_soc = faults.get(name)
        chip.celsius = celsius()

    rig.every(250, update)


def _can_bms(rig: Rig, device: DeviceConfig) -> None:
    chip = CanBms(node_id=device.address or 0x51)
    rig.chips[device.name] = chip
    rig.buses[device.bus].attach(chip)
    power = rig.world.power
    celsius, soc, faults, name = rig.temperature_of("battery"), _counted_soc(rig), rig.gauge_faults, device.name

    def update(_t_ns: int) -> None:
        fault = faults.get(name)
        if name in faults and fault is None:
            return
        chip.voltage_v, chip.current_a = power.bus_voltage_v, -power.battery_current_a
        chip.state_of_charge = soc() if fault is None else fault
        chip.temperature_c = celsius()

    rig.every(250, update)


POWER_PARTS: dict[str, Callable[[Rig, DeviceConfig], None]] = {
    "adm1272": _adm1272, "can_bms": _can_bms, "ina226": _ina226, "ina228": _ina228, "ltc3350": _ltc3350,
    "ltc4162": _ltc4162, "max34451": _max34451, "sbs_battery": _sbs_battery,
}
