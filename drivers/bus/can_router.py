"""One owner of a CAN bus that several drivers share: each frame reaches every driver that wants it, whatever others do.

A table made once maps each 11-bit id to the drivers that listen to it. A driver that refuses a frame is told to its own
listener and to nobody else; a frame that no driver wants, and any extended frame, is counted and dropped. Errors of the
bus never leave ``service``: they are counted, kept in ``bus_error``, and told to all listeners when they begin.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from drivers.bus.protocol import CanBus, CanFrame, ReopenableBus
from drivers.device import FrameDevice
from drivers.errors import Cause, DeviceError

__all__ = ["CanRouter", "FilteringBus", "Listener", "RouterCounters", "wanted_ids"]

REOPEN_PERIOD_NS = 1_000_000_000
"""Least time between two attempts to open a lost interface anew."""
LARGEST_ID = 0x7FF


class Listener(Protocol):
    """Whoever keeps what one driver says."""

    def hear(self, sample: Any, now_ns: int) -> None:
        """A whole sample has arrived."""

    def refuse(self, cause: Cause, now_ns: int) -> None:
        """A frame was refused, or the bus failed."""


@runtime_checkable
class FilteringBus(Protocol):
    """A bus that can leave out frames nobody wants."""

    def set_filters(self, can_ids: Collection[int] | None) -> None:
        """Receive these 11-bit ids only; ``None`` for everything."""


@dataclass(slots=True)
class RouterCounters:
    """What went through the router since start."""

    frames: int = 0
    samples: int = 0
    unknown: int = 0
    """Frames with an id that no driver wants."""
    extended: int = 0
    """Frames with a 29-bit id; no driver wants one."""
    limit_hits: int = 0
    """Services that may have left frames for the next one."""
    sent: int = 0
    reopens: int = 0
    refused: dict[Cause, int] = field(default_factory=dict)
    """Frames that drivers refused."""
    bus_errors: dict[Cause, int] = field(default_factory=dict)
    """Calls that the bus refused."""


def wanted_ids(devices: Iterable[FrameDevice[Any]]) -> frozenset[int]:
    """All ids that drivers listen to. ValueError for one beyond 11 bits."""
    ids = frozenset(can_id for device in devices for can_id in device.can_ids)
    wrong = sorted(can_id for can_id in ids if not 0 <= can_id <= LARGEST_ID)
    if wrong:
        raise ValueError(f"{wrong[0]:#x} is no 11-bit id")
    return ids


class CanRouter:
    """Hands the frames of one bus to its drivers.

    Args:
        bus: the bus; if it can filter, it is set to the ids that the drivers want.
        devices: drivers. Those that want the same id hear it in this order.
        listeners: one for each driver, same order.

    ``bus_error`` is what the bus last refused with, ``None`` while it works.
    """

    def __init__(self, bus: CanBus, devices: Iterable[FrameDevice[Any]], listeners: Iterable[Listener]) -> None:
        pairs = tuple(zip(devices, listeners, strict=True))
        self.can_ids = wanted_ids(device for device, _ in pairs)
        self.counters = RouterCounters()
        self.bus_error: DeviceError | None = None
        self._bus = bus
        self._listeners = tuple(listener for _, listener in pairs)
        table: dict[int, list[tuple[Callable[[CanFrame, int], Any], Listener]]] = {}
        for device, listener in pairs:
            for can_id in dict.fromkeys(device.can_ids):
                table.setdefault(can_id, []).append((device.take, listener))
        self._table = {can_id: tuple(wanting) for can_id, wanting in table.items()}
        self._lost_ns: int | None = None
        if isinstance(bus, FilteringBus):
            bus.set_filters(self.can_ids)

    def service(self, now_ns: int, limit: int) -> int:
        """Take at most ``limit`` frames and hand each on; how many there were. Never blocks or raises DeviceError."""
        counters = self.counters
        receive, find = self._bus.receive, self._table.get
        taken = 0
        try:
            while taken < limit:
                frame = receive()
                if frame is None:
                    break
                taken += 1
                wanting = find(frame.can_id)
                if frame.extended:
                    counters.extended += 1
                elif wanting is None:
                    counters.unknown += 1
                else:
                    for take, listener in wanting:
                        try:
                            sample = take(frame, now_ns)
                        except DeviceError as error:
                            counters.refused[error.cause] = counters.refused.get(error.cause, 0) + 1
                            listener.refuse(error.cause, now_ns)
                        else:
                            if sample is not None:
                                counters.samples += 1
                                listener.hear(sample, now_ns)
            else:
                counters.limit_hits += 1
            if self.bus_error is not None:
                self.bus_error = None
                self._lost_ns = None
        except DeviceError as error:
            self._failed(error, now_ns)
        counters.frames += taken
        return taken

    def send(self, frame: CanFrame) -> None:
        """Put one frame on the bus. Raises what the bus raises, counted."""
        try:
            self._bus.send(frame)
        except DeviceError as error:
            self._count(error)
            raise
        self.counters.sent += 1

    def _failed(self, error: DeviceError, now_ns: int) -> None:
        before = self.bus_error
        self.bus_error = error
        self._count(error)
        if before is None or before.cause is not error.cause:
            for listener in self._listeners:
                listener.refuse(error.cause, now_ns)
        if error.cause is not Cause.ABSENT or not isinstance(self._bus, ReopenableBus):
            return
        # The first attempt waits too: an interface that is being set up comes back by itself.
        if self._lost_ns is None:
            self._lost_ns = now_ns
        elif now_ns - self._lost_ns >= REOPEN_PERIOD_NS:
            self._lost_ns = now_ns
            self.counters.reopens += 1
            try:
                self._bus.reopen()
            except DeviceError as again:
                self._count(again)

    def _count(self, error: DeviceError) -> None:
        errors = self.counters.bus_errors
        errors[error.cause] = errors.get(error.cause, 0) + 1
