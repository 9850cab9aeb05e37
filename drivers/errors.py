"""The one typed error of the bus and driver layers: which bus, which address, what cause."""

from __future__ import annotations

from enum import Enum, unique

__all__ = ["Cause", "DeviceError"]


@unique
class Cause(Enum):
    """Why a transfer or a sample was refused. The value is the word used in events and counters."""

    NACK_ADDRESS = "nack_address"
    NACK_DATA = "nack_data"
    TIMEOUT = "timeout"
    STUCK_BUS = "stuck_bus"
    ARBITRATION = "arbitration"
    CHECKSUM = "checksum"
    SHORT_READ = "short_read"
    WRONG_ID = "wrong_id"
    IMPLAUSIBLE = "implausible"
    OVER_RANGE = "over_range"
    """The part answers, and what it measures is beyond what it can show: the fault is outside of it."""
    STALE_COUNTER = "stale_counter"
    SILENT = "silent"
    BUS_OFF = "bus_off"
    PROTOCOL = "protocol"
    PERMISSION = "permission"
    ABSENT = "absent"
    RESET = "reset"
    """The chip answers, but a configuration register is not as it was written: it restarted, or a bit was upset."""


class DeviceError(Exception):
    """A transfer failed or an answer was refused.

    Attributes:
        bus: name of the bus in the board description, for example ``i2c_a``.
        address: I2C address, SPI select, CAN node id; ``None`` where the bus has no addresses.
        cause: member of :class:`Cause`.
        detail: one short clause for people; never parsed.
    """

    __slots__ = ("address", "bus", "cause", "detail")

    def __init__(self, bus: str, address: int | None, cause: Cause, detail: str = "") -> None:
        super().__init__(bus, address, cause, detail)
        self.bus = bus
        self.address = address
        self.cause = cause
        self.detail = detail

    def __str__(self) -> str:
        where = self.bus if self.address is None else f"{self.bus}@0x{self.address:02x}"
        return f"{where}: {self.cause.value}" + (f" ({self.detail})" if self.detail else "")
