"""How the rig plays the parts that look at what is around the craft: each sees the world from its own mount.

Where a scenario describes no surroundings, these parts see what they always saw, at the same instants, and no number is
drawn for them. Where it does, the beams are told the world on every tick and the radar in every cycle.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from hal.frames import Vec3, add, rotate_inverse
from hal.profile import DeviceConfig
from hil.chips.ars408 import Ars408, DynamicProperty, RadarTarget
from hil.chips.as7341 import As7341
from hil.chips.ld06_lidar import Ld06Lidar
from hil.chips.lsm303dlhc import Lsm303dlhc
from hil.chips.rm3100 import Rm3100
from hil.chips.tfmini_plus import TfminiPlus
from hil.chips.transponder_rx import HeardReply, TransponderRx
from hil.chips.vl53l0x import Vl53l0x
from hil.plant.beams import TFMINI, VL53L0X, BeamKind, BeamView, LidarView
from hil.plant.colours import SpectrometerView
from hil.plant.radar_view import Echo, RadarView
from hil.plant.replies import Heard, ReplyView
from hil.plant.sensors import Magnetometer
from hil.plant.surroundings import Seat

if TYPE_CHECKING:
    from hil.rig import Rig

__all__ = ["SURROUNDINGS_PARTS", "speaks"]

STANDS_M_S = 0.25
"""Below this speed relative to it the radar calls an object stationary: one step of its speeds."""
ON, SILENT = 1, 2
UNCHECKED, GOOD, BAD = 0, 1, 2
LIGHT_MS = 100
BEAM_MS = 10


def speaks(rig: Rig, device: DeviceConfig, chip: Any, period_ms: int) -> None:
    """A part on a serial port which sends what is due."""
    rig.chips[device.name] = chip
    rig.buses[device.bus].attach(chip)
    rig.every(period_ms, chip.advance)


def _seat(rig: Rig, device: DeviceConfig) -> Seat:
    return Seat(rig.world.rigid, device.mount.position_m, device.mount.orientation)


def _stream(rig: Rig, device: DeviceConfig) -> Callable[[], np.random.Generator]:
    world, name = rig.world, f"what {device.name} sees"
    return lambda: world.stream(name)


def _ars408(rig: Rig, device: DeviceConfig) -> None:
    chip = Ars408(device.address or 0, node_id=0x60 | (device.address or 0))
    rig.chips[device.name] = chip
    rig.buses[device.bus].attach(chip)
    around = rig.world.surroundings
    view = around.views[device.name] = RadarView(around, _seat(rig, device), _stream(rig, device))
    chip.sense = lambda t_ns: [_object(echo) for echo in view.cycle(t_ns)]


def _object(echo: Echo) -> RadarTarget:
    stands = abs(echo.vx_m_s) < STANDS_M_S and abs(echo.vy_m_s) < STANDS_M_S
    return RadarTarget(
        echo.number, echo.x_m, echo.y_m, echo.vx_m_s, echo.vy_m_s, echo.rcs_dbsm,
        DynamicProperty.STATIONARY if stands else DynamicProperty.MOVING,
    )


def _transponder_rx(rig: Rig, device: DeviceConfig) -> None:
    chip = TransponderRx((device.address or 0) - 0x68)
    rig.chips[device.name] = chip
    rig.buses[device.bus].attach(chip)
    around = rig.world.surroundings
    view = around.views[device.name] = ReplyView(around, _seat(rig, device), _stream(rig, device))
    chip.sense = lambda _t_ns, asking: [_reply(heard) for heard in view.heard(asking)]


def _reply(heard: Heard) -> HeardReply:
    checked = UNCHECKED if heard.authentic is None else GOOD if heard.authentic else BAD
    return HeardReply(
        heard.number, heard.range_m, heard.bearing_rad, heard.level_dbm, SILENT if heard.silent else ON, checked
    )


def _ld06_lidar(rig: Rig, device: DeviceConfig) -> None:
    around = rig.world.surroundings
    view = around.views[device.name] = LidarView(around, _seat(rig, device), _stream(rig, device))
    chip = Ld06Lidar(lambda angle: view.sweep((angle,))[0], view.sweep)
    speaks(rig, device, chip, 20)
    if not around.empty:
        # A packet is made of the world as it is when it is sent, so it is sent in the tick in which it is due.
        rig.fast.append(chip.advance)


def _beam(rig: Rig, device: DeviceConfig, chip: Any, kind: BeamKind) -> None:
    """Show a range finder the distance along its beam."""
    around = rig.world.surroundings
    view = around.views[device.name] = BeamView(around, _seat(rig, device), _stream(rig, device), kind)
    if around.empty:
        return

    def update(_t_ns: int) -> None:
        chip.range_m = view.range_m()

    rig.every(BEAM_MS, update)


def _tfmini_plus(rig: Rig, device: DeviceConfig) -> None:
    chip = TfminiPlus()
    _beam(rig, device, chip, TFMINI)
    speaks(rig, device, chip, 20)


def _vl53l0x(rig: Rig, device: DeviceConfig) -> None:
    chip = Vl53l0x(rig.clock)
    rig.on_i2c(device, chip)
    _beam(rig, device, chip, VL53L0X)


def _as7341(rig: Rig, device: DeviceConfig) -> None:
    chip = As7341(rig.clock)
    rig.on_i2c(device, chip)
    world = rig.world
    if world.surroundings.empty:
        return
    view = SpectrometerView(world.surroundings, _seat(rig, device), lambda: world.environment.illumination)

    def update(_t_ns: int) -> None:
        chip.counts_s = view.counts_s()

    rig.every(LIGHT_MS, update)


def _field(rig: Rig, device: DeviceConfig) -> Callable[[], Vec3]:
    """Flux density at the device, in its own axes."""
    world, orientation = rig.world, device.mount.orientation
    if not world.surroundings.scene.fields:
        return lambda: rotate_inverse(orientation, world.field_body())
    seat = _seat(rig, device)

    def disturbed() -> Vec3:
        added = rotate_inverse(world.rigid.quaternion, world.surroundings.field_t(seat.position()))
        return rotate_inverse(orientation, add(world.field_body(), added))

    return disturbed


def _magnetometer(rig: Rig, device: DeviceConfig, chip: Any) -> None:
    rig.on_i2c(device, chip)
    sensor = Magnetometer(rig.world.stream(device.name))
    field = _field(rig, device)

    def update(_t_ns: int) -> None:
        chip.field_t = sensor.sample(field())

    rig.every(25, update)


def _rm3100(rig: Rig, device: DeviceConfig) -> None:
    _magnetometer(rig, device, Rm3100(rig.clock))


def _lsm303dlhc(rig: Rig, device: DeviceConfig) -> None:
    _magnetometer(rig, device, Lsm303dlhc(rig.clock))


SURROUNDINGS_PARTS: dict[str, Callable[[Rig, DeviceConfig], None]] = {
    "ars408": _ars408, "as7341": _as7341, "ld06_lidar": _ld06_lidar, "lsm303dlhc": _lsm303dlhc, "rm3100": _rm3100,
    "tfmini_plus": _tfmini_plus, "transponder_rx": _transponder_rx, "vl53l0x": _vl53l0x,
}
"""Parts that see, and how the rig plays each."""
