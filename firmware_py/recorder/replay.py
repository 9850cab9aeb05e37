"""Buses that answer what a flight's buses answered, and note every transfer in which today's software differs.

The software under replay gets these in place of its buses. A read that was recorded gets the recorded answer or the
recorded fault; a read that was not gets SILENT. Whatever the software sends is held against what was sent in the same
tick. Frames and bytes arrive when they arrived, relative to what was sent on the same bus.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum, unique
from typing import Any, Final

from drivers.bus.protocol import CanFrame
from drivers.errors import Cause, DeviceError
from firmware_py.recorder import RecordError
from firmware_py.recorder.reader import Flight
from firmware_py.recorder.tap import EXTENDED, Op

__all__ = [
    "Difference", "Divergence", "ReplayBuses", "ReplayCan", "ReplayGpio", "ReplayI2c", "ReplayResult", "ReplaySerial",
    "ReplaySpi",
]

Row = Sequence[Any]
"""A recorded :data:`firmware_py.recorder.tap.Transfer`, as a list or a tuple."""

_RECEPTIONS: Final = frozenset({int(Op.CAN_RECEIVE), int(Op.SERIAL_READ)})
_READS: Final = frozenset({int(Op.I2C_READ), int(Op.I2C_WRITE_READ), int(Op.SPI_TRANSFER), int(Op.GPIO_GET)})
_LATE_LIMIT: Final = 1024
"""Receptions that may wait beyond their tick on one bus; a controller's own buffers are shorter."""


@unique
class Difference(StrEnum):
    """How a transfer differs."""

    COMMAND_CHANGED = "command changed"
    """Sent to the same place, other bytes."""
    COMMAND_ADDED = "command added"
    COMMAND_LEFT_OUT = "command left out"
    READ_ADDED = "read added"
    """Answered SILENT: nothing was recorded."""
    READ_LEFT_OUT = "read left out"


@dataclass(frozen=True, slots=True)
class Divergence:
    """One difference: flight time of the tick, bus, what was recorded, what was asked. Rows as ``tap.Transfer``."""

    t_ns: int
    bus: str
    difference: Difference
    expected: tuple[Any, ...] | None
    got: tuple[Any, ...] | None


@dataclass(frozen=True, slots=True)
class ReplayResult:
    """What a replay showed.

    Attributes:
        ticks: recorded ticks played.
        transfers: recorded transfers in them.
        commands_compared: transfers sent by the software and held against the recording.
        late: receptions that the software took later than their tick.
        divergence_count: all differences; ``divergences`` holds the first of them.
        until_ns: flight time from which on nothing was compared, because the flight then followed what is in no bus;
            ``None``: all of it was.
    """

    ticks: int
    transfers: int
    commands_compared: int
    late: int
    divergence_count: int
    divergences: tuple[Divergence, ...]
    until_ns: int | None = None

    @property
    def first(self) -> Divergence | None:
        """The earliest difference."""
        return self.divergences[0] if self.divergences else None

    @property
    def identical(self) -> bool:
        """Whether today's software did what was recorded, transfer by transfer."""
        return self.divergence_count == 0


class ReplayBuses:
    """The recorded buses of a flight and the comparison.

    On construction the first tick is loaded (start-up belongs to it). Then, in a loop: run the software at ``t_ns``,
    and ``advance`` to ``next_t_ns`` until that is ``None``.

    Args:
        names: bus names by index.
        ticks: flight time in ns and transfers of each recorded tick, in order.
        keep: divergences kept in full; the others are counted.
    """

    def __init__(self, names: Sequence[str], ticks: Iterable[tuple[int, Sequence[Row]]], keep: int = 1000) -> None:
        self.names = tuple(names)
        self.t_ns = 0
        self.ticks = 0
        self.transfers = 0
        self.commands_compared = 0
        self.late = 0
        self.divergence_count = 0
        self._keep = keep
        self._divergences: list[Divergence] = []
        self._source = iter(ticks)
        self._next = next(self._source, None)
        self._pending: list[deque[list[Any]]] = [deque() for _ in self.names]
        if self._next is not None:
            self.advance(self._next[0])

    @classmethod
    def of(cls, flight: Flight, keep: int = 1000, until_ns: int | None = None) -> ReplayBuses:
        """The buses of a flight, up to a time if one is given. Raises RecordError if it holds no bus traffic."""
        if not flight.counts.get("/bus") or not flight.buses:
            raise RecordError(flight.path, "holds no bus traffic", "record with taps on the buses to replay a flight")
        ticks = (
            (record.t_ns, record.value) for record in flight.messages("/bus")
            if until_ns is None or record.t_ns < until_ns
        )
        return cls(flight.buses, ticks, keep)

    @property
    def next_t_ns(self) -> int | None:
        """Flight time of the next recorded tick, or ``None`` at the end."""
        return None if self._next is None else self._next[0]

    def advance(self, t_ns: int) -> None:
        """Go to flight time ``t_ns``: settle the tick that ends, load every recorded tick up to and including ``t_ns``.

        The same time again does nothing. ValueError if time runs backwards.
        """
        if self.ticks and t_ns <= self.t_ns:
            if t_ns < self.t_ns:
                raise ValueError(f"replay is at {self.t_ns} ns; it cannot go back to {t_ns} ns")
            return
        self._settle(last=False)
        self.t_ns = t_ns
        while self._next is not None and self._next[0] <= t_ns:
            self.ticks += 1
            for row in self._next[1]:
                self.transfers += 1
                if row[0] >= len(self._pending):
                    raise ValueError(f"transfer on bus {row[0]}, but {len(self._pending)} buses are named")
                self._pending[row[0]].append(list(row))
            self._next = next(self._source, None)

    def finish(self) -> ReplayResult:
        """Settle the last tick and sum up. Ticks that were not played are not counted."""
        self._settle(last=True)
        return ReplayResult(
            self.ticks, self.transfers, self.commands_compared, self.late, self.divergence_count,
            tuple(self._divergences),
        )

    def i2c(self, name: str) -> ReplayI2c:
        """The I2C bus of that name. This and its siblings raise KeyError for a name that was not recorded."""
        return ReplayI2c(self, name, self._index(name))

    def spi(self, name: str) -> ReplaySpi:
        """The SPI bus of that name."""
        return ReplaySpi(self, name, self._index(name))

    def can(self, name: str) -> ReplayCan:
        """The CAN bus of that name."""
        return ReplayCan(self, name, self._index(name))

    def serial(self, name: str) -> ReplaySerial:
        """The serial port of that name."""
        return ReplaySerial(self, name, self._index(name))

    def gpio(self, name: str) -> ReplayGpio:
        """The GPIO chip of that name."""
        return ReplayGpio(self, name, self._index(name))

    def command(self, index: int, op: int, where: int | str | None, sent: bytes) -> None:
        """For the buses of this module: compare one transfer that only sends. Raises the recorded fault."""
        self.commands_compared += 1
        row = self._match(index, op, where, sent)
        if row is None:
            row = next((row for row in self._pending[index] if row[1] == op and row[2] == where), None)
            got = (index, op, where, sent, None, None)
            if row is None:
                self._note(index, Difference.COMMAND_ADDED, None, got)
                return
            self._pending[index].remove(row)
            self._note(index, Difference.COMMAND_CHANGED, row, got)
        if row[5] is not None:
            raise self._fault(index, op, where, row[5])

    def read(self, index: int, op: int, where: int | str, sent: bytes, count: int) -> bytes:
        """For the buses of this module: the recorded answer of ``count`` bytes. Raises what was recorded, or SILENT."""
        row = self._match(index, op, where, sent, count)
        if row is None:
            self._note(index, Difference.READ_ADDED, None, (index, op, where, sent, None, None))
            raise self._fault(index, op, where, Cause.SILENT.value)
        if row[5] is not None:
            raise self._fault(index, op, where, row[5])
        answer: bytes = row[4]
        return answer

    def receive(self, index: int, op: int) -> list[Any] | None:
        """For the buses of this module: the row of the next reception, if it has arrived. Raises the recorded fault."""
        pending = self._pending[index]
        # A command that was recorded before it and has not been sent yet holds a reception back: it may be the answer.
        if not pending or pending[0][1] != op:
            return None
        row = pending[0]
        if row[3] > 0:
            row[3] -= 1
            return None
        pending.popleft()
        if row[5] is not None:
            raise self._fault(index, op, None, row[5])
        return row

    def give_back(self, index: int, row: list[Any]) -> None:
        """For the buses of this module: the rest of a reception that did not fit."""
        self._pending[index].appendleft(row)

    def _match(
        self, index: int, op: int, where: int | str | None, sent: bytes, count: int | None = None
    ) -> list[Any] | None:
        pending = self._pending[index]
        for position, row in enumerate(pending):
            if row[1] == op and row[2] == where and row[3] == sent and (
                count is None or row[4] is None or len(row[4]) == count
            ):
                del pending[position]
                return row
        return None

    def _settle(self, last: bool) -> None:
        for index, pending in enumerate(self._pending):
            late: deque[list[Any]] = deque()
            for row in pending:
                op = row[1]
                if op in _RECEPTIONS and not last and len(late) < _LATE_LIMIT:
                    row[3] = 0
                    late.append(row)
                elif op in _READS or op in _RECEPTIONS:
                    self._note(index, Difference.READ_LEFT_OUT, row, None)
                else:
                    self._note(index, Difference.COMMAND_LEFT_OUT, row, None)
            self.late += len(late)
            self._pending[index] = late

    def _note(
        self, index: int, difference: Difference, expected: Sequence[Any] | None, got: tuple[Any, ...] | None
    ) -> None:
        self.divergence_count += 1
        if len(self._divergences) < self._keep:
            kept = None if expected is None else tuple(expected)
            self._divergences.append(Divergence(self.t_ns, self.names[index], difference, kept, got))

    def _fault(self, index: int, op: int, where: int | str | None, cause: str) -> DeviceError:
        addressed = op <= Op.SPI_TRANSFER and isinstance(where, int)
        return DeviceError(self.names[index], where if addressed else None, Cause(cause), "replayed")  # type: ignore[arg-type]

    def _index(self, name: str) -> int:
        if name not in self.names:
            raise KeyError(f"bus {name!r} was not recorded; recorded: {', '.join(self.names) or 'none'}")
        return self.names.index(name)


class _ReplayBus:
    __slots__ = ("_buses", "_index", "name")

    def __init__(self, buses: ReplayBuses, name: str, index: int) -> None:
        self.name = name
        self._buses = buses
        self._index = index

    def reopen(self) -> None:
        """See ReopenableBus."""
        self._buses.command(self._index, Op.BUS_REOPEN, None, b"")


class ReplayI2c(_ReplayBus):
    """I2cBus of a recording."""

    __slots__ = ()

    def clear_bus(self) -> None:
        """See ClearableBus."""
        self._buses.command(self._index, Op.BUS_CLEAR, None, b"")

    def write(self, address: int, data: bytes) -> None:
        """See I2cBus."""
        self._buses.command(self._index, Op.I2C_WRITE, address, data)

    def read(self, address: int, count: int) -> bytes:
        """See I2cBus."""
        return self._buses.read(self._index, Op.I2C_READ, address, b"", count)

    def write_read(self, address: int, data: bytes, count: int) -> bytes:
        """See I2cBus."""
        return self._buses.read(self._index, Op.I2C_WRITE_READ, address, data, count)


class ReplaySpi(_ReplayBus):
    """SpiBus of a recording."""

    __slots__ = ()

    def configure(self, select: int, mode: int, max_hz: int) -> None:
        """See SpiBus."""
        settings = bytes((mode,)) + max_hz.to_bytes(4, "little")
        self._buses.command(self._index, Op.SPI_CONFIGURE, select, settings)

    def transfer(self, select: int, data: bytes) -> bytes:
        """See SpiBus."""
        return self._buses.read(self._index, Op.SPI_TRANSFER, select, data, len(data))


class ReplayCan(_ReplayBus):
    """CanBus of a recording."""

    __slots__ = ()

    def send(self, frame: CanFrame) -> None:
        """See CanBus."""
        where = frame.can_id | EXTENDED if frame.extended else frame.can_id
        self._buses.command(self._index, Op.CAN_SEND, where, frame.data)

    def receive(self) -> CanFrame | None:
        """See CanBus."""
        row = self._buses.receive(self._index, Op.CAN_RECEIVE)
        if row is None:
            return None
        return CanFrame(row[2] & ~EXTENDED, row[4], bool(row[2] & EXTENDED))


class ReplaySerial(_ReplayBus):
    """SerialBus of a recording."""

    __slots__ = ()

    def write(self, data: bytes) -> None:
        """See SerialBus."""
        self._buses.command(self._index, Op.SERIAL_WRITE, None, data)

    def read(self, limit: int) -> bytes:
        """See SerialBus. With a lower ``limit`` than was recorded the rest follows at the next read."""
        row = self._buses.receive(self._index, Op.SERIAL_READ)
        if row is None:
            return b""
        data: bytes = row[4]
        if len(data) > limit:
            row[4] = data[limit:]
            self._buses.give_back(self._index, row)
        return data[:limit]


class ReplayGpio(_ReplayBus):
    """GpioBus of a recording."""

    __slots__ = ()

    def set(self, line: str, level: bool) -> None:
        """See GpioBus."""
        self._buses.command(self._index, Op.GPIO_SET, line, b"\x01" if level else b"\x00")

    def get(self, line: str) -> bool:
        """See GpioBus."""
        return self._buses.read(self._index, Op.GPIO_GET, line, b"", 1) == b"\x01"
