"""Any bus of the python-can library as a CanBus: its frames, its refusals counted, its exceptions as typed errors.

For adapters that Linux doesn't show as a SocketCAN interface, and for python-can's in-process ``virtual`` bus. It costs
several times what the own transports cost, so those come first (drivers/bus/can_open.py). python-can is imported only
when such a bus is made.

Exceptions: python-can 4, can/exceptions.py. What an adapter reports of its controller is ``Bus.state``, where ERROR is
bus-off. It is asked only after something failed or an error frame came, because many adapters ask the hardware for it.
"""

from __future__ import annotations

import errno
from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from drivers.bus.can_socket import MAX_DATA, STANDARD_MASK, check_frame
from drivers.bus.counted import load_library
from drivers.bus.protocol import CanFrame
from drivers.errors import Cause, DeviceError

if TYPE_CHECKING:
    import can

__all__ = ["PythonCanBus", "PythonCanCounters"]

REFUSED_A_CALL = 64
"""Messages refused in one call before it gives up."""

_CAUSES = {
    errno.ENOBUFS: Cause.TIMEOUT, errno.EAGAIN: Cause.TIMEOUT, errno.ETIMEDOUT: Cause.TIMEOUT,
    errno.ENETDOWN: Cause.ABSENT, errno.ENODEV: Cause.ABSENT, errno.ENXIO: Cause.ABSENT, errno.EIO: Cause.ABSENT,
    errno.EBADF: Cause.ABSENT, errno.EACCES: Cause.PERMISSION, errno.EPERM: Cause.PERMISSION,
}


@dataclass(slots=True)
class PythonCanCounters:
    """What the bus did since it was wrapped."""

    sent: int = 0
    received: int = 0
    malformed: int = 0
    unsupported: int = 0
    """Remote and CAN FD frames."""
    filtered: int = 0
    notices: int = 0
    """Error frames of the controller."""
    tx_full: int = 0
    bus_off: int = 0


class PythonCanBus:
    """A ``can.Bus`` as a ``CanBus``.

    Args:
        name: of the bus in the board description.
        bus: an open python-can bus; ``close`` shuts it down.
        timeout_ms: how long ``send`` may wait for room, ms; 0 to leave it to the adapter.
        filters: 11-bit ids to receive; ``None`` for every frame. Filters of python-can itself must not be set:
            its ``recv(0)`` says that nothing has come when it drops a message, whatever is behind it.
    """

    def __init__(
        self, name: str, bus: can.BusABC, timeout_ms: int = 0, *, filters: Collection[int] | None = None
    ) -> None:
        library = load_library(name, "can", "python-can")
        self.name = name
        self.counters = PythonCanCounters()
        self._bus = bus
        self._filters = None if filters is None else frozenset(filters)
        self._timeout_s = timeout_ms * 1e-3 if timeout_ms else None
        self._message: Any = library.Message
        self._error: type[Exception] = library.CanError
        self._timed_out: type[Exception] = library.CanTimeoutError
        self._bus_state: Any = library.BusState.ERROR

    def send(self, frame: CanFrame) -> None:
        """See drivers.bus.protocol.CanBus. Raises BUS_OFF, TIMEOUT, ABSENT, PROTOCOL; ValueError for no CAN frame."""
        can_id, data, extended = frame
        check_frame(self.name, can_id, len(data), extended)
        message = self._message(arbitration_id=can_id, is_extended_id=extended, data=data)
        try:
            self._bus.send(message, self._timeout_s)
        except (self._error, OSError) as error:
            raise self._failure(error) from None
        self.counters.sent += 1

    def receive(self) -> CanFrame | None:
        """See drivers.bus.protocol.CanBus. Raises BUS_OFF, ABSENT, PROTOCOL."""
        counters = self.counters
        for _ in range(REFUSED_A_CALL):
            try:
                message = self._bus.recv(0)
            except (self._error, OSError) as error:
                raise self._failure(error) from None
            if message is None:
                return None
            if message.is_error_frame:
                counters.notices += 1
                self._refuse_if_off()
            elif message.is_remote_frame or message.is_fd:
                counters.unsupported += 1
            else:
                can_id, extended = message.arbitration_id, message.is_extended_id
                data = bytes(message.data)
                if len(data) > MAX_DATA or not 0 <= can_id <= (0x1FFFFFFF if extended else STANDARD_MASK):
                    counters.malformed += 1
                elif self._filters is not None and (extended or can_id not in self._filters):
                    counters.filtered += 1
                else:
                    counters.received += 1
                    return CanFrame(can_id, data, extended)
        return None

    def drain(self, limit: int) -> list[CanFrame]:
        """Up to ``limit`` frames that have arrived, oldest first. Raises as ``receive`` when there is none."""
        frames: list[CanFrame] = []
        while len(frames) < limit:
            try:
                frame = self.receive()
            except DeviceError:
                if frames:
                    break  # a fault that lasts is told by the next call
                raise
            if frame is None:
                break
            frames.append(frame)
        return frames

    def set_filters(self, can_ids: Collection[int] | None) -> None:
        """Receive these 11-bit ids only; ``None`` for everything."""
        self._filters = None if can_ids is None else frozenset(can_ids)

    def close(self) -> None:
        """Shut the bus down; every later call raises."""
        self._bus.shutdown()

    def _off(self) -> bool:
        try:
            return bool(self._bus.state is self._bus_state)
        except (self._error, OSError, NotImplementedError):
            return False  # an adapter that doesn't know its state

    def _refuse_if_off(self) -> None:
        if self._off():
            self.counters.bus_off += 1
            raise DeviceError(self.name, None, Cause.BUS_OFF, "the adapter says that its controller left the bus")

    def _failure(self, error: Exception) -> DeviceError:
        self._refuse_if_off()
        # Adapters hand on the system's number, if there was one, as error_code (CanError) or errno (OSError).
        code = getattr(error, "error_code", None) or getattr(error, "errno", None)
        if isinstance(error, self._timed_out):
            cause = Cause.TIMEOUT
        else:
            cause = _CAUSES.get(code, Cause.PROTOCOL) if isinstance(code, int) else Cause.PROTOCOL
        if cause is Cause.TIMEOUT:
            self.counters.tx_full += 1
        return DeviceError(self.name, None, cause, str(error))
