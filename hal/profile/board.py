"""Schema of a board: rates, buses, lines and devices that one flight computer reaches."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct, field

__all__ = [
    "ROLE_BUSES",
    "BoardConfig",
    "BusConfig",
    "BusKind",
    "DeviceConfig",
    "IsolationConfig",
    "LinesConfig",
    "MountConfig",
    "RateConfig",
    "RealtimeConfig",
    "RecoveryConfig",
    "Role",
]

Vec3 = tuple[float, float, float]
Name = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]*$", max_length=32)]
BusKind = Literal["i2c", "spi", "can", "serial", "gpio"]
Role = Literal[
    "imu", "imu_backup", "star_tracker", "sun_sensor", "magnetometer", "thermal", "rtd", "bus_monitor",
    "battery_monitor", "power_channel", "supercap", "solar", "battery_gauge", "bms", "hot_swap", "pdu", "valve_node",
    "radiation", "analog", "radar", "lidar", "range", "discretes", "spectrometer", "clock", "memory", "flash", "mux",
    "transponder",
]
ROLE_BUSES: dict[str, tuple[BusKind, ...]] = {
    "imu": ("spi",), "imu_backup": ("spi",), "star_tracker": ("serial",), "sun_sensor": ("i2c",),
    "magnetometer": ("i2c",), "thermal": ("i2c",), "rtd": ("spi",), "bus_monitor": ("i2c",),
    "battery_monitor": ("i2c",), "power_channel": ("i2c",), "supercap": ("i2c",), "solar": ("i2c", "serial"),
    "battery_gauge": ("i2c",), "bms": ("can",), "hot_swap": ("i2c",), "pdu": ("i2c",), "valve_node": ("can",),
    "radiation": ("serial",), "analog": ("i2c",), "radar": ("can",), "lidar": ("serial",),
    "range": ("i2c", "serial"), "discretes": ("i2c",), "spectrometer": ("i2c",), "clock": ("i2c",),
    "memory": ("i2c",), "flash": ("spi",), "mux": ("i2c",), "transponder": ("can",),
}
"""Kinds of bus on which a device of each role is served."""


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


class RecoveryConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """What can be done when an I2C bus hangs. A rung that is not given here is left out of the ladder.

    ``scl_line``, ``sda_line``: GPIO lines of the bus's own pins, for nine clocks and a STOP. ``adapter``: the adapter's
    device in sysfs, ``<driver>/<device>`` under /sys/bus/platform/drivers, bound anew to give the pins back to it.
    ``mux_reset_line``: GPIO line of the multiplexers' RESET pins, low to reset. ``rail``: rail of the power
    distribution unit that feeds the bus's chips.
    """

    scl_line: str | None = None
    sda_line: str | None = None
    adapter: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.-]+/[A-Za-z0-9_.:-]+$")] | None = None
    mux_reset_line: str | None = None
    rail: Name | None = None


class BusConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """One bus of the board. ``speed_hz`` is clock, bit rate or baud rate.

    ``device`` is a node of the kernel's, an interface, a chip's label; for I2C, SPI and GPIO also ``unix:///PATH``, a
    socket behind which a rig plays the bus (drivers/bus/remote_end.py).
    """

    kind: BusKind
    device: Annotated[str, Meta(min_length=1, max_length=128)]
    speed_hz: Annotated[int, Meta(ge=1, le=100_000_000)] | None = None
    timeout_ms: Annotated[int, Meta(ge=1, le=1000)] = 10
    recovery: RecoveryConfig | None = None


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


class IsolationConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """Isolation valves of the thruster clusters, normally open, each on an output of a port expander.

    ``device``: the expander, with role discretes. ``pins``: cluster of the body to the pin that shuts its valve when it
    is high; it must be an output of the device's settings, low at its set-up.
    """

    device: Name
    pins: Annotated[dict[Name, Annotated[int, Meta(ge=0, le=7)]], Meta(min_length=1)]


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
    isolation: IsolationConfig | None = None
    """``None``: the clusters have no isolation valves that the computer could shut."""
    watchdog: dict[str, Any] | None = None
    """Settings of drivers/linux_watchdog.py, whose countdown a flight on this computer starts; ``None``: it has none,
    or somebody else feeds it."""
