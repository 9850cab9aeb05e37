"""Isolation valves of the thruster clusters: output pins of a port expander, shut by order and held shut.

A valve is normally open. A pin that is low, or driven by nobody because the chip is dead or was just reset, leaves the
cluster usable; a pin that is driven high shuts it. An order is written, read back and compared with the level at the
pin, in the slots of the chip's bus, and again and again until it holds. A chip that was set up anew has let the valves
go, so they are shut anew. There is no order to open one: whoever restarts begins with all valves open.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from enum import StrEnum, unique
from typing import Protocol, runtime_checkable

from drivers.samples import DiscreteSample
from hal.manager import ManagedDevice, Task

__all__ = ["ClusterIsolation", "OutputPins", "ValveState"]

AGAIN_NS = 50_000_000
"""Pause before an order whose pins did not follow is repeated; one that failed on the bus is repeated at once."""
SHUT_WITHIN_NS = 250_000_000
"""A valve that isn't shut by then has failed, until it is. A chip that must be set up first takes half of that."""


@runtime_checkable
class OutputPins(Protocol):
    """Driver of a port expander with outputs."""

    def drive(self, mask: int, pins: int) -> Generator[None, None, None]:
        """Set the outputs in ``mask`` to their levels in ``pins``. Raises DeviceError."""

    def acquire(self) -> Generator[None, None, DiscreteSample]:
        """Levels at the pins."""


@unique
class ValveState(StrEnum):
    """An isolation valve."""

    OPEN = "open"
    SHUTTING = "shutting"
    """Ordered shut, and not seen to be so yet."""
    SHUT = "shut"
    FAILED = "failed"
    """Ordered shut for ``SHUT_WITHIN_NS`` and not seen to be so; it is ordered on and on."""


class ClusterIsolation:
    """The isolation valves of one board.

    Args:
        device: the expander as a managed device; its driver has ``OutputPins``.
        pins: cluster to its valve's pin, 0..7.

    Raises:
        ValueError: the driver has no outputs.
    """

    __slots__ = ("_device", "_driver", "_due_ns", "_held", "_mask", "_missing", "_ordered", "_pins", "_seen_ns",
                 "_sent", "_setups", "_task")

    def __init__(self, device: ManagedDevice[DiscreteSample], pins: Mapping[str, int]) -> None:
        if not isinstance(device.device, OutputPins):
            raise ValueError(f"{device.name} drives no outputs")
        self._device = device
        self._driver: OutputPins = device.device
        self._pins = dict(pins)
        self._mask = sum(1 << pin for pin in self._pins.values())
        self._ordered = self._held = self._sent = 0
        self._missing: dict[str, int] = {}
        """Valves that are to be shut and aren't, and since when, ns."""
        self._task: Task | None = None
        self._setups = 0
        self._seen_ns = self._due_ns = 0

    @property
    def clusters(self) -> frozenset[str]:
        """Clusters that have a valve."""
        return frozenset(self._pins)

    def shut(self, cluster: str, now_ns: int) -> bool:
        """Order a valve shut. False: the cluster has none."""
        pin = self._pins.get(cluster)
        if pin is None:
            return False
        if not self._ordered >> pin & 1:
            self._ordered |= 1 << pin
            self._missing[cluster] = self._due_ns = now_ns
            if self._task is None:
                self._send()
        return True

    def opened(self) -> frozenset[str]:
        """Clusters whose valve was not ordered shut."""
        return frozenset(cluster for cluster, pin in self._pins.items() if not self._ordered >> pin & 1)

    def states(self, now_ns: int) -> dict[str, ValveState]:
        """Every valve as its pin was last read, in the board's order."""
        return {cluster: self._state(cluster, pin, now_ns) for cluster, pin in self._pins.items()}

    def service(self, now_ns: int) -> None:
        """Hear what became of the order, look at the pins, repeat what does not hold; once a fast tick."""
        if not self._ordered:
            return
        device = self._device
        task = self._task
        if task is not None and task.done:
            self._task = None
            # An error walks the chip's own ladder, which paces what is sent again.
            if task.error is None and device.counters.initialisations == self._setups:
                self._seen_ns = now_ns
                self._look(task.value.inputs, now_ns)
                self._due_ns = now_ns + AGAIN_NS if self._sent == self._ordered else now_ns
        reading = device.reading(now_ns)
        if not device.ready or device.counters.initialisations != self._setups:
            self._look((), now_ns)
        elif reading.value is not None and reading.t_ns > self._seen_ns:
            self._seen_ns = reading.t_ns
            self._look(reading.value.inputs, now_ns)
        if self._held != self._ordered and self._task is None and now_ns >= self._due_ns:
            self._send()

    def _state(self, cluster: str, pin: int, now_ns: int) -> ValveState:
        if not self._ordered >> pin & 1:
            return ValveState.OPEN
        since_ns = self._missing.get(cluster)
        if since_ns is None:
            return ValveState.SHUT
        return ValveState.SHUTTING if now_ns - since_ns < SHUT_WITHIN_NS else ValveState.FAILED

    def _look(self, levels: tuple[bool, ...], now_ns: int) -> None:
        """Compare the levels at the pins with what is ordered; without levels nothing is known to hold."""
        high = sum(level << pin for pin, level in enumerate(levels))
        self._held = self._ordered & high
        for cluster, pin in self._pins.items():
            if self._ordered >> pin & 1:
                if self._held >> pin & 1:
                    self._missing.pop(cluster, None)
                else:
                    self._missing.setdefault(cluster, now_ns)

    def _send(self) -> None:
        if self._device.ready:
            self._setups = self._device.counters.initialisations
            self._sent = self._ordered
            self._task = self._device.order(self._sequence(self._ordered))

    def _sequence(self, levels: int) -> Generator[None, None, DiscreteSample]:
        yield from self._driver.drive(self._mask, levels)
        yield
        return (yield from self._driver.acquire())
