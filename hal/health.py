"""What is wrong with which device or bus now, followed from the health events as they come.

A device that was lost counts as lost until it has given a good answer; one that is set up anew after a failure counts
as degraded until then. What has never failed is in no set, whether it has answered already or not; nor is a device
whose bus is out of service, or whose rail is off by order.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from hal.device_health import BUS, DeviceState, HealthEvent

__all__ = ["HealthLog", "RailFed", "UnitHealth"]

_NONE: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class UnitHealth:
    """Devices and buses that are not as they should be; a name that is in no set is well."""

    lost: frozenset[str] = _NONE
    """Devices that gave no good answer through all set-ups, until they give one."""
    degraded: frozenset[str] = _NONE
    """Devices that have failed since their last good answer and are not lost."""
    buses_out: frozenset[str] = _NONE
    """Buses that are out of service, under recovery or given up: ``bus <name>``."""


class HealthLog(deque[HealthEvent]):
    """The newest health events, for whoever takes them away, and what follows from all that were ever appended.

    Args:
        limit: events that are kept; older ones fall out, and still count.
        bus_of: the bus of every device, as ``bus <name>``. While a bus is out of service, that explains its devices,
            and they are in no set.
    """

    def __init__(self, limit: int, bus_of: Mapping[str, str] | None = None) -> None:
        super().__init__(maxlen=limit)
        self._bus_of = bus_of if bus_of is not None else {}
        self._lost: set[str] = set()
        self._degraded: set[str] = set()
        self._buses_out: set[str] = set()
        self._off: set[str] = set()
        self.switching: str | None = None
        """Who is being set up just now because its rail has been cycled by order."""
        self._health: UnitHealth | None = None

    @property
    def resting(self) -> frozenset[str]:
        """Devices that are without power by order."""
        return frozenset(self._off)

    @property
    def health(self) -> UnitHealth:
        """As of the last event; the same object until one comes."""
        if self._health is None:
            out, bus_of = self._buses_out, self._bus_of
            lost, degraded = (
                frozenset(name for name in names if name not in self._off and bus_of.get(name) not in out)
                for names in (self._lost, self._degraded)
            )
            self._health = UnitHealth(lost, degraded, frozenset(out))
        return self._health

    def append(self, event: HealthEvent) -> None:
        """See deque. What happens to a device whose rail is off, or was cycled, by order is told as ordered."""
        if event.device in self._off or event.device == self.switching:
            event = replace(event, ordered=True)
        super().append(event)
        self._health = None
        name, state = event.device, event.state
        if name.startswith(BUS):
            if state is DeviceState.OK:
                self._buses_out.discard(name)
            else:
                self._buses_out.add(name)
        elif state is DeviceState.OK:
            self._lost.discard(name)
            self._degraded.discard(name)
        elif state is DeviceState.LOST:
            self._degraded.discard(name)
            self._lost.add(name)
        elif event.cause is not None and name not in self._lost:
            self._degraded.add(name)

    def set_off(self, name: str, off: bool) -> None:
        """A device is without power by order: nothing is wrong with it until it has power and fails again."""
        if off:
            self._off.add(name)
        else:
            self._off.discard(name)
        self._lost.discard(name)
        self._degraded.discard(name)
        self._health = None


class RailFed:
    """A device with a rail of its own, which may be off by order.

    Args:
        name: name of the device.
        wanted: newest order of its rail; ``None`` before the first.
        begin: has its silence counted anew, once it has power again.
        log: where it is known as off.
    """

    __slots__ = ("_begin", "_log", "_name", "_wanted", "off")

    def __init__(
        self, name: str, wanted: Callable[[], bool | None], begin: Callable[[int], object], log: HealthLog
    ) -> None:
        self.off = False
        self._name = name
        self._wanted = wanted
        self._begin = begin
        self._log = log

    def step(self, now_ns: int) -> None:
        """Follow the orders of its rail."""
        off = self._wanted() is False
        if off == self.off:
            return
        self.off = off
        if not off:
            self._begin(now_ns)  # still known as off, so that its start is told as ordered
        self._log.set_off(self._name, off)
