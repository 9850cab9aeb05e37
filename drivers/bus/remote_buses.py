"""I2C, SPI and GPIO buses whose chips a rig plays in a process of its own: each transfer is one request over a socket.

What the chips answer and how the bus fails (cause and text) arrive as they would from a bus in the same process.
"""

from __future__ import annotations

from collections.abc import Callable

from drivers.bus.counted import TransferCounters
from drivers.bus.remote_end import RemoteEnd
from drivers.bus.remote_frames import LONGEST_DATA, SPI_SETTINGS, Operation
from drivers.errors import Cause, DeviceError

__all__ = ["RemoteGpioBus", "RemoteI2cBus", "RemoteSpiBus"]

WRITE, READ, WRITE_READ = Operation.WRITE, Operation.READ, Operation.WRITE_READ
TRANSFER, SET, GET = Operation.TRANSFER, Operation.SET, Operation.GET
ADDRESSES = range(0x08, 0x78)


class _RemoteBus:
    """What the three kinds share.

    Args:
        name: of the bus in the board description.
        device: device string (drivers/bus/remote_end.py).
        timeout_ms: the board's time-out of the bus.
        now_ns: clock for latencies and deadline.

    Raises:
        DeviceError: as :class:`RemoteEnd`.
    """

    _kind = ""

    def __init__(self, name: str, device: str, timeout_ms: int, now_ns: Callable[[], int]) -> None:
        self.name = name
        self._end = RemoteEnd(name, self._kind, device, timeout_ms, now_ns)
        self._policy = self._end.policy

    @property
    def path(self) -> str:
        """Socket of the other end."""
        return self._end.path

    @property
    def counters(self) -> TransferCounters:
        """What this bus did since start."""
        return self._end.counters

    @property
    def stale(self) -> int:
        """Answers that came after their deadline."""
        return self._end.stale

    @property
    def strange(self) -> int:
        """Packets that were no answer."""
        return self._end.strange

    def reopen(self) -> None:
        """Connect anew: a rung of the recovery ladder. Raises as the constructor does."""
        self._end.reopen()

    def close(self) -> None:
        """Give the bus back; every call is ABSENT from here on."""
        self._end.close()

    def _read(self, operation: Operation, address: int, count: int, data: bytes) -> bytes:
        """A request for exactly ``count`` bytes."""
        if not 0 <= count <= LONGEST_DATA or len(data) > LONGEST_DATA:
            raise DeviceError(self.name, address, Cause.PROTOCOL, f"a message has at most {LONGEST_DATA} bytes")
        answer = self._end.ask(operation, address, count, data, address)
        if len(answer) != count:
            raise DeviceError(self.name, address, Cause.SHORT_READ, f"{len(answer)} bytes instead of {count}")
        return answer


class RemoteI2cBus(_RemoteBus):
    """One I2C segment; an ``I2cBus`` and a ``ClearableBus``."""

    _kind = "i2c"

    def write(self, address: int, data: bytes) -> None:
        """See I2cBus. Never retried."""
        self._policy.once(self._ask, WRITE, address, 0, data)

    def read(self, address: int, count: int) -> bytes:
        """See I2cBus. Retried where that is allowed."""
        return self._policy.repeatable(self._ask, READ, address, count, b"")

    def write_read(self, address: int, data: bytes, count: int) -> bytes:
        """See I2cBus. Retried where that is allowed."""
        return self._policy.repeatable(self._ask, WRITE_READ, address, count, data)

    def clear_bus(self) -> None:
        """See ClearableBus: the other end clocks its bus."""
        self._end.ask(Operation.CLEAR, 0, 0, b"")

    def _ask(self, operation: Operation, address: int, count: int, data: bytes) -> bytes:
        if address not in ADDRESSES:
            raise DeviceError(self.name, address, Cause.PROTOCOL, "no 7-bit address of a device")
        return self._read(operation, address, count, data)


class RemoteSpiBus(_RemoteBus):
    """One SPI controller; an ``SpiBus``. Selects are configured again after a reconnection."""

    _kind = "spi"

    def __init__(
        self, name: str, device: str, timeout_ms: int, now_ns: Callable[[], int], *, max_hz: int | None = None
    ) -> None:
        """As the others; ``max_hz`` is the clock that no select may exceed."""
        super().__init__(name, device, timeout_ms, now_ns)
        self._limit_hz = max_hz
        self._settings: dict[int, tuple[int, int]] = {}

    def configure(self, select: int, mode: int, max_hz: int) -> None:
        """See SpiBus. Asking for the same again costs nothing. Raises PROTOCOL for a mode or clock nobody has."""
        if mode not in range(4) or not 1 <= max_hz <= 0xFFFFFFFF or not 0 <= select <= 0xFF:
            raise DeviceError(self.name, select, Cause.PROTOCOL, f"no mode {mode} at {max_hz} Hz")
        settings = (mode, max_hz if self._limit_hz is None else min(max_hz, self._limit_hz))
        if self._settings.get(select) == settings:
            return
        self._configure(select, *settings)
        self._settings[select] = settings

    def transfer(self, select: int, data: bytes) -> bytes:
        """See SpiBus; one request however long the burst. Never retried."""
        return self._policy.once(self._read, TRANSFER, select, len(data), data)

    def reopen(self) -> None:
        """Connect anew and configure the selects in use again. Raises as the constructor does."""
        super().reopen()
        for select, settings in self._settings.items():
            self._configure(select, *settings)

    def _configure(self, select: int, mode: int, hz: int) -> None:
        self._end.ask(Operation.CONFIGURE, select, 0, SPI_SETTINGS.pack(mode, hz), select)


class RemoteGpioBus(_RemoteBus):
    """Named lines; a ``GpioBus``."""

    _kind = "gpio"

    def set(self, line: str, level: bool) -> None:
        """See GpioBus."""
        self._policy.once(self._end.ask, SET, int(level), 0, line.encode())

    def get(self, line: str) -> bool:
        """See GpioBus. Raises SHORT_READ for an answer that is no level."""
        return self._policy.once(self._get, line)

    def _get(self, line: str) -> bool:
        answer = self._end.ask(GET, 0, 1, line.encode())
        if len(answer) != 1:
            raise DeviceError(self.name, None, Cause.SHORT_READ, f"{len(answer)} bytes instead of 1")
        return bool(answer[0])
