"""One lever of a chip: the newest order wins, one is under way at most, and what failed or was forgotten is repeated.

An order is a sequence of the driver that is carried out in the slots of its chip (``ManagedDevice.order``). One that
failed is repeated with a growing pause until a newer order takes its place. A chip that was set up anew has forgotten
what it was told, so the last order is repeated then. A chip that holds what is ordered isn't asked again. While
somebody else has the lever (a power cycle), orders are only kept; the newest is repeated when it is given back.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from hal.manager import ManagedDevice, Task

__all__ = ["Lever", "LeverCounters"]

T = TypeVar("T")

FIRST_PAUSE_NS = 100_000_000
LONGEST_PAUSE_NS = 5_000_000_000


@dataclass(slots=True)
class LeverCounters:
    """What became of a lever's orders since start."""

    sent: int = 0
    """Sequences handed to the chip, repeats included."""
    failed: int = 0
    superseded: int = 0
    """Sequences taken back before their first transaction, for a newer order."""


class Lever(Generic[T]):
    """One lever.

    Args:
        device: the chip as a managed device.
        sequence: the driver's sequence for a value. It has checked the value when it is made.
        held: what the chip would really hold of a value, equal for values that are the same to it. Raises ValueError
            for one that can't be ordered.
    """

    __slots__ = (
        "_device", "_due_ns", "_held", "_holding", "_lent", "_order", "_pause_ns", "_sequence", "_setups", "_task",
        "_task_order", "_task_setups", "counters",
    )

    def __init__(
        self, device: ManagedDevice[Any], sequence: Callable[[T], Generator[None, None, None]],
        held: Callable[[T], object],
    ) -> None:
        self.counters = LeverCounters()
        self._device = device
        self._sequence = sequence
        self._held = held
        self._order: tuple[object, T] | None = None
        self._holding = False
        self._setups = device.counters.initialisations
        self._task: Task | None = None
        self._task_order: object = None
        self._task_setups = 0
        self._pause_ns = FIRST_PAUSE_NS
        self._due_ns: int | None = None
        self._lent = False

    @property
    def wanted(self) -> T | None:
        """The newest order; ``None`` before the first."""
        return None if self._order is None else self._order[1]

    def lend(self) -> None:
        """Leave the lever to somebody else: nothing is sent until it is given back."""
        self._lent = True
        self._take_back()

    def give_back(self) -> None:
        """Whatever was done meanwhile, the newest order is to hold again."""
        self._lent = False
        self._holding = False
        self._pause_ns, self._due_ns = FIRST_PAUSE_NS, None
        if self._task is not None and self._task.done:
            self._task = None

    def order(self, value: T) -> bool:
        """Take the newest order. False if the chip is not ready now: then it is carried out once it is.

        Raises:
            ValueError: the value can't be ordered; what was ordered before stays.
        """
        key = self._held(value)
        if self._order is None or key != self._order[0]:
            self._order = (key, value)
            self._holding = False
            self._pause_ns, self._due_ns = FIRST_PAUSE_NS, None
            self._take_back()
            if self._task is None and not self._lent:
                self._send(self._order)
        return self._device.ready

    def service(self, now_ns: int) -> None:
        """Hear how the order under way has ended, and send what is to be sent."""
        order = self._order
        if order is None or self._lent:
            return
        setups = self._device.counters.initialisations
        task = self._task
        if task is not None and task.done:
            self._task = None
            if self._task_order == order[0]:
                if task.error is None:
                    self._holding = self._task_setups == setups
                    self._pause_ns, self._due_ns = FIRST_PAUSE_NS, None
                else:
                    self._due_ns = now_ns + self._pause_ns
                    self._pause_ns = min(2 * self._pause_ns, LONGEST_PAUSE_NS)
            self.counters.failed += task.error is not None
        if setups != self._setups:
            self._setups = setups
            self._holding = self._holding and self._task_setups == setups
            self._due_ns = None
        if not self._holding and self._task is None and (self._due_ns is None or now_ns >= self._due_ns):
            self._send(order)

    def _send(self, order: tuple[object, T]) -> None:
        device = self._device
        if not device.ready:
            return
        key, value = order
        self._task = device.order(self._sequence(value))
        self._task_order = key
        self._task_setups = device.counters.initialisations
        self.counters.sent += 1

    def _take_back(self) -> None:
        """The order under way, if its first transaction hasn't been made."""
        task = self._task
        if task is not None:
            with suppress(ValueError):
                self._device.tasks.remove(task)
                self._task = None
                self.counters.superseded += 1
