"""Taps see every transfer of a bus and change none; what they add to a call is one tuple in a list.

A tap stands between a driver and its bus, real or simulated, and implements the same protocol. All taps of a craft
share one :class:`TapLog`, which the recorder empties once a tick.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection
from enum import IntEnum, unique
from typing import Any, Final, overload

from drivers.bus.can_router import FilteringBus
from drivers.bus.protocol import CanBus, CanFrame, GpioBus, I2cBus, SerialBus, SpiBus
from drivers.errors import Cause, DeviceError

__all__ = ["EXTENDED", "CanTap", "GpioTap", "I2cTap", "Op", "SerialTap", "SpiTap", "TapLog", "Transfer"]

Transfer = tuple[int, int, int | str | None, bytes | int, bytes | None, str | None]
"""Bus index, :class:`Op`, where, sent, received, fault.

* where: I2C address, SPI select, CAN identifier (with :data:`EXTENDED` if 29 bits), GPIO line; ``None`` on serial and
  for what is done to a bus as a whole.
* sent: the bytes sent. For a reception: how many polls before it, since the last transfer of this bus in the tick,
  came back empty. For SPI_CONFIGURE: mode, then the clock limit in Hz as u32, little-endian.
* received: the bytes received; ``None`` if the operation receives nothing or failed.
* fault: value of :class:`drivers.errors.Cause`, or ``None``.
"""

EXTENDED: Final = 0x8000_0000
"""Marks a 29-bit CAN identifier, as in SocketCAN's ``CAN_EFF_FLAG``."""


@unique
class Op(IntEnum):
    """Kinds of transfer. The numbers are part of the file format and are never used again."""

    I2C_WRITE = 1
    I2C_READ = 2
    I2C_WRITE_READ = 3
    SPI_CONFIGURE = 4
    SPI_TRANSFER = 5
    CAN_SEND = 6
    CAN_RECEIVE = 7
    SERIAL_WRITE = 8
    SERIAL_READ = 9
    GPIO_SET = 10
    GPIO_GET = 11
    BUS_CLEAR = 12
    BUS_REOPEN = 13


# Plain ints: looking up a member of an enum costs as much as the rest of a tap.
_I2C_WRITE: Final = 1
_I2C_READ: Final = 2
_I2C_WRITE_READ: Final = 3
_SPI_CONFIGURE: Final = 4
_SPI_TRANSFER: Final = 5
_CAN_SEND: Final = 6
_CAN_RECEIVE: Final = 7
_SERIAL_WRITE: Final = 8
_SERIAL_READ: Final = 9
_GPIO_SET: Final = 10
_GPIO_GET: Final = 11
_BUS_CLEAR: Final = 12
_BUS_REOPEN: Final = 13


class TapLog:
    """The transfers of all tapped buses since the last ``take``, oldest first.

    Bounded: between two takes the newest ``capacity`` transfers are kept.

    Attributes:
        names: names of the tapped buses; a transfer's bus index points into it.
        overflows: takes that found the log full, so that older transfers were lost.
    """

    __slots__ = ("_polled", "capacity", "names", "overflows", "rows")

    def __init__(self, capacity: int = 65536) -> None:
        if capacity < 1:
            raise ValueError(f"capacity is {capacity}; 1 or more is allowed")
        self.capacity = capacity
        self.names: list[str] = []
        self.overflows = 0
        self.rows: deque[Transfer] = deque(maxlen=capacity)
        """Where taps append; others use ``take``."""
        self._polled: list[CanTap | SerialTap] = []

    @overload
    def tap(self, bus: I2cBus) -> I2cTap: ...
    @overload
    def tap(self, bus: SpiBus) -> SpiTap: ...
    @overload
    def tap(self, bus: CanBus) -> CanTap: ...
    @overload
    def tap(self, bus: GpioBus) -> GpioTap: ...
    @overload
    def tap(self, bus: SerialBus) -> SerialTap: ...

    def tap(
        self, bus: I2cBus | SpiBus | CanBus | GpioBus | SerialBus
    ) -> I2cTap | SpiTap | CanTap | GpioTap | SerialTap:
        """A tap of the kind that fits the bus. Raises ValueError for a name already tapped, TypeError for no bus."""
        # I2C first: it also has all that a serial port has.
        for kind, protocol in _PROTOCOLS.items():
            if isinstance(bus, protocol):
                return self.tap_as(kind, bus)
        raise TypeError(f"{type(bus).__name__} is none of I2cBus, SpiBus, CanBus, SerialBus, GpioBus")

    def tap_as(self, kind: str, bus: Any) -> I2cTap | SpiTap | CanTap | GpioTap | SerialTap:
        """A tap of a kind (i2c, spi, can, gpio, serial), for a bus that could be any, such as the stand-in of one that
        could not be opened. Raises ValueError for a name already tapped, KeyError for no kind."""
        if bus.name in self.names:
            raise ValueError(f"bus {bus.name!r} is tapped already")
        made: I2cTap | SpiTap | CanTap | GpioTap | SerialTap = _TAPS[kind](bus, len(self.names), self)
        if isinstance(made, CanTap | SerialTap):
            self._polled.append(made)
        self.names.append(bus.name)
        return made

    def take(self) -> list[Transfer]:
        """The transfers since the last call; call once a tick."""
        rows = self.rows
        # One by one: a recovery's thread may append in the meantime, and what it adds belongs to the next take.
        taken = [rows.popleft() for _ in range(len(rows))]
        if len(taken) == self.capacity:
            self.overflows += 1
        for tap in self._polled:
            tap.empty_polls = 0
        return taken


class _Tap:
    """What all taps have: the bus behind it, and the recovery of that bus."""

    __slots__ = ("_append", "_index", "inner", "name")

    def __init__(self, inner: Any, index: int, log: TapLog) -> None:
        self.inner = inner
        self.name: str = inner.name
        self._index = index
        self._append = log.rows.append

    def reopen(self) -> None:
        """See ReopenableBus. Raises PROTOCOL for a bus that cannot be opened anew."""
        self._whole(_BUS_REOPEN, "reopen", "cannot be opened anew")

    def _whole(self, op: int, name: str, otherwise: str) -> None:
        action = getattr(self.inner, name, None)
        try:
            if action is None:
                raise DeviceError(self.name, None, Cause.PROTOCOL, otherwise)
            action()
        except DeviceError as error:
            self._append((self._index, op, None, b"", None, error.cause.value))
            raise
        self._append((self._index, op, None, b"", None, None))


class I2cTap(_Tap):
    """I2cBus that records. ``inner`` is the bus behind it."""

    __slots__ = ()

    def clear_bus(self) -> None:
        """See ClearableBus. Raises PROTOCOL for a bus without lines to clock."""
        self._whole(_BUS_CLEAR, "clear_bus", "has no lines that can be clocked by hand")

    def write(self, address: int, data: bytes) -> None:
        """See I2cBus."""
        try:
            self.inner.write(address, data)
        except DeviceError as error:
            self._append((self._index, _I2C_WRITE, address, data, None, error.cause.value))
            raise
        self._append((self._index, _I2C_WRITE, address, data, None, None))

    def read(self, address: int, count: int) -> bytes:
        """See I2cBus."""
        try:
            answer = self.inner.read(address, count)
        except DeviceError as error:
            self._append((self._index, _I2C_READ, address, b"", None, error.cause.value))
            raise
        self._append((self._index, _I2C_READ, address, b"", answer, None))
        return answer

    def write_read(self, address: int, data: bytes, count: int) -> bytes:
        """See I2cBus."""
        try:
            answer = self.inner.write_read(address, data, count)
        except DeviceError as error:
            self._append((self._index, _I2C_WRITE_READ, address, data, None, error.cause.value))
            raise
        self._append((self._index, _I2C_WRITE_READ, address, data, answer, None))
        return answer


class SpiTap(_Tap):
    """SpiBus that records. ``inner`` is the bus behind it."""

    __slots__ = ()

    def configure(self, select: int, mode: int, max_hz: int) -> None:
        """See SpiBus."""
        settings = bytes((mode,)) + max_hz.to_bytes(4, "little")
        try:
            self.inner.configure(select, mode, max_hz)
        except DeviceError as error:
            self._append((self._index, _SPI_CONFIGURE, select, settings, None, error.cause.value))
            raise
        self._append((self._index, _SPI_CONFIGURE, select, settings, None, None))

    def transfer(self, select: int, data: bytes) -> bytes:
        """See SpiBus."""
        try:
            answer = self.inner.transfer(select, data)
        except DeviceError as error:
            self._append((self._index, _SPI_TRANSFER, select, data, None, error.cause.value))
            raise
        self._append((self._index, _SPI_TRANSFER, select, data, answer, None))
        return answer


class CanTap(_Tap):
    """CanBus that records. ``inner`` is the bus behind it; ``empty_polls`` counts since the last transfer or take."""

    __slots__ = ("empty_polls",)

    def __init__(self, inner: CanBus, index: int, log: TapLog) -> None:
        super().__init__(inner, index, log)
        self.empty_polls = 0

    def set_filters(self, can_ids: Collection[int] | None) -> None:
        """See FilteringBus. Passed on, not recorded; a bus that can't filter goes on receiving every frame."""
        if isinstance(self.inner, FilteringBus):
            self.inner.set_filters(can_ids)

    def send(self, frame: CanFrame) -> None:
        """See CanBus."""
        self.empty_polls = 0
        where = frame.can_id | EXTENDED if frame.extended else frame.can_id
        try:
            self.inner.send(frame)
        except DeviceError as error:
            self._append((self._index, _CAN_SEND, where, frame.data, None, error.cause.value))
            raise
        self._append((self._index, _CAN_SEND, where, frame.data, None, None))

    def receive(self) -> CanFrame | None:
        """See CanBus."""
        try:
            frame = self.inner.receive()
        except DeviceError as error:
            self._append((self._index, _CAN_RECEIVE, None, self.empty_polls, None, error.cause.value))
            self.empty_polls = 0
            raise
        if frame is None:
            self.empty_polls += 1
            return None
        where = frame.can_id | EXTENDED if frame.extended else frame.can_id
        self._append((self._index, _CAN_RECEIVE, where, self.empty_polls, frame.data, None))
        self.empty_polls = 0
        return frame


class SerialTap(_Tap):
    """SerialBus that records. ``inner`` is the bus behind it; ``empty_polls`` as for CanTap."""

    __slots__ = ("empty_polls",)

    def __init__(self, inner: SerialBus, index: int, log: TapLog) -> None:
        super().__init__(inner, index, log)
        self.empty_polls = 0

    def write(self, data: bytes) -> None:
        """See SerialBus."""
        self.empty_polls = 0
        try:
            self.inner.write(data)
        except DeviceError as error:
            self._append((self._index, _SERIAL_WRITE, None, data, None, error.cause.value))
            raise
        self._append((self._index, _SERIAL_WRITE, None, data, None, None))

    def read(self, limit: int) -> bytes:
        """See SerialBus."""
        try:
            data = self.inner.read(limit)
        except DeviceError as error:
            self._append((self._index, _SERIAL_READ, None, self.empty_polls, None, error.cause.value))
            self.empty_polls = 0
            raise
        if not data:
            self.empty_polls += 1
            return data
        self._append((self._index, _SERIAL_READ, None, self.empty_polls, data, None))
        self.empty_polls = 0
        return data


class GpioTap(_Tap):
    """GpioBus that records. ``inner`` is the bus behind it."""

    __slots__ = ()

    def set(self, line: str, level: bool) -> None:
        """See GpioBus."""
        sent = b"\x01" if level else b"\x00"
        try:
            self.inner.set(line, level)
        except DeviceError as error:
            self._append((self._index, _GPIO_SET, line, sent, None, error.cause.value))
            raise
        self._append((self._index, _GPIO_SET, line, sent, None, None))

    def get(self, line: str) -> bool:
        """See GpioBus."""
        try:
            level = self.inner.get(line)
        except DeviceError as error:
            self._append((self._index, _GPIO_GET, line, b"", None, error.cause.value))
            raise
        self._append((self._index, _GPIO_GET, line, b"", b"\x01" if level else b"\x00", None))
        return level


_PROTOCOLS: Final[dict[str, Any]] = {"i2c": I2cBus, "spi": SpiBus, "can": CanBus, "gpio": GpioBus, "serial": SerialBus}
_TAPS: Final[dict[str, Any]] = {"i2c": I2cTap, "spi": SpiTap, "can": CanTap, "gpio": GpioTap, "serial": SerialTap}
