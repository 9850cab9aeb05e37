"""From a device of a board to the driver module that serves it: found by its part's name, checked against its role.

A device's ``part`` is the name of its driver module, so adding a chip is adding a file under ``drivers/`` and naming
it in the board description.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib import import_module
from types import ModuleType
from typing import Any, get_args, get_type_hints

import msgspec

from drivers.samples import (
    AnalogSample,
    AttitudeFix,
    BatteryGaugeSample,
    BmsSample,
    DiscreteSample,
    FieldSample,
    HotSwapSample,
    IlluminanceSample,
    ImuSample,
    LidarScan,
    PowerSample,
    RadarScan,
    RadiationSample,
    RailSample,
    RangeSample,
    ResistanceSample,
    RtcSample,
    SolarSample,
    SpectrumSample,
    SupercapSample,
    TemperatureSample,
    TransponderSample,
)
from hal.profile import BoardConfig, BusKind, ConfigError, DeviceConfig

__all__ = ["load_part"]

ROLE_SAMPLES: dict[str, type] = {
    "imu": ImuSample, "imu_backup": ImuSample, "star_tracker": AttitudeFix, "sun_sensor": IlluminanceSample,
    "magnetometer": FieldSample, "thermal": TemperatureSample, "rtd": ResistanceSample, "bus_monitor": PowerSample,
    "battery_monitor": PowerSample, "power_channel": PowerSample, "supercap": SupercapSample, "solar": SolarSample,
    "battery_gauge": BatteryGaugeSample, "bms": BmsSample, "hot_swap": HotSwapSample, "pdu": RailSample,
    "radiation": RadiationSample, "analog": AnalogSample, "radar": RadarScan, "lidar": LidarScan,
    "range": RangeSample, "discretes": DiscreteSample, "spectrometer": SpectrumSample, "clock": RtcSample,
    "transponder": TransponderSample,
}
"""What a driver must return to serve a role."""
ROLE_NEEDS: dict[str, str] = {"mux": "Mux", "valve_node": "ValveBus"}
"""Class of the driver module that a role needs; ``Device`` for all others."""
ROLE_SETTINGS: dict[str, str] = {"sun_sensor": "full_sun_lux", "thermal": "nodes", "supercap": "full_voltage_v"}
"""Setting that a plane asks of a role's driver."""
WAYS: dict[BusKind, str] = {"i2c": "acquire", "spi": "acquire", "serial": "poll", "can": "take"}
"""How a driver is served on each kind of bus."""


@cache
def _samples(method: Callable[..., Any]) -> tuple[Any, ...]:
    """Sample types that a driver's ``acquire``, ``poll`` or ``take`` says it returns.

    Once a driver: to look at annotations takes longer than to load the driver, and a board has many devices of a part.
    """
    returned = get_type_hints(method).get("return")
    if method.__name__ == "acquire":  # Generator[None, None, X | None]; X | None of a part that is heard
        arguments = get_args(returned)
        returned = arguments[-1] if arguments else None
    return (returned, *get_args(returned))


def load_part(board: BoardConfig, device: DeviceConfig) -> tuple[ModuleType, Any]:
    """Driver module and checked settings of one device of a board.

    Raises:
        ConfigError: there is no such driver, it doesn't serve the device's role on its kind of bus, or the settings
            are none of its own.
    """
    where = f"devices[{board.devices.index(device)}]"
    try:
        module = import_module(f"drivers.{device.part}")
    except ModuleNotFoundError as error:
        if error.name != f"drivers.{device.part}":
            raise
        raise ConfigError(board.board, None, f"{where}.part", f"there is no driver drivers/{device.part}.py") from None
    kind = board.buses[device.bus].kind
    reason = _mismatch(module, device.role, kind)
    if reason is not None:
        raise ConfigError(board.board, None, f"{where}.role", f"{device.part} {reason}")
    try:
        settings = msgspec.convert(device.settings, type=module.Settings, strict=True)
    except msgspec.ValidationError as error:
        raise ConfigError(board.board, None, f"{where}.settings", f"{device.name}: {error}") from None
    setting = ROLE_SETTINGS.get(device.role)
    if setting is not None and not hasattr(settings, setting):
        why = f"{device.part} has no setting {setting}, which the role {device.role} needs"
        raise ConfigError(board.board, None, f"{where}.role", why)
    return module, settings


def _mismatch(module: ModuleType, role: str, kind: BusKind) -> str | None:
    """Why a driver does not serve a role on a kind of bus."""
    needed = ROLE_NEEDS.get(role, "Device")
    if not hasattr(module, needed):
        return f"is no part for the role {role}"
    if role == "valve_node":
        return None
    way = getattr(module.Device, WAYS[kind], None)
    if way is None:
        return f"is no part for a bus of kind {kind}"
    wanted = ROLE_SAMPLES.get(role)
    if (wanted is not None and wanted not in _samples(way)) or (role == "imu" and not hasattr(module.Device, "read")):
        return f"is no part for the role {role}"
    return None
