"""Schema of a board: rates, buses, lines and devices that one flight computer reaches."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct, field

__all__ = [
    "BoardConfig", "BusConfig", "BusKind", "DeviceConfig", "LinesConfig", "MountConfig", "RateConfig", "RealtimeConfig",
    "Role",
]

Vec3 = tuple[float, float, float]
Name = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]*$", max_length=32)]
BusKind = Literal["i2c", "spi", "can", "serial", "gpio"]
Role = Literal[
    "imu", "star_tracker", "sun_sensor", "magnetometer", "thermal", "bus_monitor", "battery_monitor", "supercap",
    "valve_node", "mux",
]


class RateConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """Harmonic rate groups: the fast rate is a whole multiple of the medium, the medium of the slow."""

    fast_hz: Annotated[int, Meta(ge=50, le=1000)]
    medium_hz: Annotated[float, Meta(gt=0.0, le=500.0)]
    slow_hz: Annotated[float, Meta(gt=0.0, le=100.0)]


class RealtimeConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """What the flight thread asks of the kernel: FIFO priority, core, spin before the deadline, locked memory."""

    priority: Annotated[int, Meta(ge=1, le=99)] = 50
    cpu: Annotated[int, Meta(ge=0, le=1023)] | None = None
    spin_us: Annotated[int, Meta(ge=0, le=5000)] = 100
    lock_memory: bool = True


class BusConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """One bus of the board. ``speed_hz`` is clock, bit rate or baud rate."""

    kind: BusKind
    device: Annotated[str, Meta(min_length=1, max_length=128)]
    speed_hz: Annotated[int, Meta(ge=1, le=100_000_000)] | None = None
    timeout_ms: Annotated[int, Meta(ge=1, le=1000)] = 10


class MountConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """Where a sensor sits: position in m, quaternion sensor to body (w, x, y, z), or for one axis its normal."""

    position_m: Vec3 = (0.0, 0.0, 0.0)
    orientation: tuple[float, float, float, float] = (1.0, 0.0, 0.0, 0.0)
    normal: Vec3 | None = None


class DeviceConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """One device. ``part`` names the driver module; ``address`` is I2C address, SPI select or CAN node id."""

    name: Name
    part: Name
    role: Role
    bus: Name
    rate_hz: Annotated[float, Meta(ge=0.0, le=1000.0)]
    timeout_ms: Annotated[int, Meta(ge=1, le=60_000)]
    address: Annotated[int, Meta(ge=0, le=127)] | None = None
    mux: Name | None = None
    channel: Annotated[int, Meta(ge=0, le=7)] | None = None
    redundancy_group: Name | None = None
    mount: MountConfig = MountConfig()
    settings: dict[str, Any] = field(default_factory=dict)


class LinesConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """GPIO lines of the valve interlock."""

    valve_arm: str
    valve_enable: str
    watchdog_kick: str


class BoardConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """One flight computer with its buses and devices."""

    schema_version: Literal[1]
    board: Annotated[str, Meta(pattern=r"^[a-z][a-z0-9-]*$", max_length=32)]
    description: str
    rates: RateConfig
    buses: dict[Name, BusConfig]
    lines: LinesConfig
    devices: Annotated[tuple[DeviceConfig, ...], Meta(min_length=1)]
    realtime: RealtimeConfig = RealtimeConfig()
