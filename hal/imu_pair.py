"""The inertial units of a board: one is flown, the others are asked in slots so that their health is known.

The flown unit is read once a fast tick, outside the slots. Ordered over to another one, which must have given a good
sample within its time-out, the units change places: the new one leaves the slots of its bus in whatever sequence it has
under way, the old one is served there from then on, as often as the new one was. Nothing is switched back by itself: an
order is one change of place, and of several units that could be taken it is the one that was never left, or left first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from drivers.samples import ImuSample
from hal.device_health import DeviceState
from hal.frames import Vec3
from hal.manager import BusSlots
from hal.reading import Reading
from hal.sensors import ImuDevice

__all__ = ["ImuPair", "InertialUnit"]


@dataclass(frozen=True, slots=True)
class InertialUnit:
    """One inertial unit of the board: where it sits in the body, and how it is served while it is flown."""

    name: str
    bus: str
    position_m: Vec3
    device: ImuDevice


class ImuPair:
    """The flown inertial unit, and those that stand by.

    Args:
        units: the board's units; the first one is flown at start.
    """

    __slots__ = ("_left", "_slots", "flown", "sense", "switches", "units")

    def __init__(self, units: Sequence[InertialUnit]) -> None:
        self.units = tuple(units)
        self.flown = self.units[0]
        self.sense: Callable[[int], None] = self.flown.device.sense
        """Serves the flown unit; once a fast tick."""
        self.switches = 0
        """How often another unit was taken since start."""
        self._left: list[InertialUnit] = []
        """Units that were flown and are not any more, the one that was left first in front."""
        self._slots: Mapping[str, BusSlots] = {}

    def attach(self, slots: Mapping[str, BusSlots]) -> None:
        """Slots of the units' buses, by bus; all units but the flown one are in them."""
        self._slots = slots

    @property
    def reading(self) -> Reading[ImuSample]:
        """Newest sample of the flown unit, in the body frame."""
        return self.flown.device.reading

    @property
    def ready(self) -> bool:
        """Whether the flown unit is set up and answers."""
        return self.flown.device.ready

    @property
    def units_left(self) -> int:
        """Units that answer or may yet, the flown one included: all that are not lost."""
        return sum(unit.device.managed.state is not DeviceState.LOST for unit in self.units)

    def spare_rate(self, now_ns: int) -> tuple[int, Vec3] | None:
        """Time (ns) and rate (rad/s, body) of the newest sample of the unit that stands by; ``None``: none is good."""
        for unit in self.units:
            if unit is not self.flown:
                reading = unit.device.managed.reading(now_ns)
                if reading.ok and reading.value is not None:
                    return reading.t_ns, unit.device.body_rate(reading.value)
        return None

    def switch(self, now_ns: int) -> bool:
        """Fly another unit that is ready and has a good sample. False: there is none, and nothing has changed."""
        old = self.flown
        left = self._left
        # A stable sort: board order among those that were never left.
        for new in sorted(self.units, key=lambda unit: left.index(unit) if unit in left else -1):
            managed = new.device.managed
            if new is not old and managed.ready and managed.reading(now_ns).ok:
                self._slots[new.bus].release(managed)
                old.device.managed.trade_places(managed, now_ns)
                self._slots[old.bus].take(old.device.managed)
                new.device.begin()
                if new in left:
                    left.remove(new)
                left.append(old)
                self.flown, self.sense = new, new.device.sense
                self.switches += 1
                return True
        return False
