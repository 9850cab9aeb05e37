"""Every polled device has one owner here: when it is asked, what it last said, how it fails and comes back.

Slow buses get slots. Each fast tick grants one slot, and a slot is one bus transaction, so a slow chip can never
hold the fast loop for longer than one transfer. A device's sequence is a generator that performs one transaction a
resume (see ``drivers/device.py``); the manager resumes it, turns errors into quality and counters, and walks the
device ladder: retry at the next period, re-initialise after three failures in a row with growing pauses, give the
device up as lost after three re-initialisations without an answer (and still ask it now and then).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable
from dataclasses import dataclass, field
from enum import IntEnum, unique
from typing import Any, Generic, Protocol, TypeVar

from drivers.errors import Cause, DeviceError
from hal.reading import Quality, Reading, absent

__all__ = [
    "BACK_OFF_FIRST_NS", "BusSlots", "DeviceCounters", "DeviceState", "HealthEvent", "ManagedDevice", "PolledDevice",
    "Selectable",
]

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

FAILURES_TO_REINITIALISE = 3
REINITIALISATIONS_TO_LOST = 3
BACK_OFF_FIRST_NS = 100_000_000
BACK_OFF_LONGEST_NS = 5_000_000_000
REFUSED_ANSWERS = frozenset({Cause.CHECKSUM, Cause.IMPLAUSIBLE, Cause.WRONG_ID, Cause.STALE_COUNTER, Cause.PROTOCOL})
"""Causes in which something answered, but not credibly: quality BAD at once instead of STALE by age."""


class PolledDevice(Protocol[T_co]):
    """A driver whose sequences yield between bus transactions."""

    def initialise(self) -> Generator[None, None, None]:
        """Identity check and configuration."""

    def acquire(self) -> Generator[None, None, T_co]:
        """One coherent sample."""


class Selectable(Protocol):
    """A multiplexer channel: whether it is switched through, and how to make it so in one transaction."""

    @property
    def selected(self) -> bool:
        """Whether transfers reach the channel."""

    def select(self) -> None:
        """Switch through; one transaction."""


@unique
class DeviceState(IntEnum):
    """Life of a device as its plane sees it."""

    INIT = 0
    OK = 1
    DEGRADED = 2
    """Failed since its last good answer; still being asked."""
    LOST = 3
    """Gave no good answer through all re-initialisations; asked again at the longest pause."""


@dataclass(frozen=True, slots=True)
class HealthEvent:
    """A device changed state."""

    t_ns: int
    device: str
    state: DeviceState
    cause: Cause | None


@dataclass(slots=True)
class DeviceCounters:
    """What happened on behalf of one device since start."""

    transactions: int = 0
    samples: int = 0
    failures: int = 0
    initialisations: int = 0
    by_cause: dict[str, int] = field(default_factory=dict)

    def fail(self, cause: Cause) -> None:
        """Count one failed transaction."""
        self.failures += 1
        self.by_cause[cause.value] = self.by_cause.get(cause.value, 0) + 1


class ManagedDevice(Generic[T]):
    """One polled device with its schedule, last reading, health and counters.

    Args:
        name: name in the board description.
        device: the driver.
        period_ns: time between samples; 0 for a device that is only initialised.
        timeout_ns: age at which its reading is stale.
        channel: the multiplexer channel it sits behind, if any.
        phase_ns: offset of its first sample, so that devices don't fall due together.
        pause_ns: first pause before a re-initialisation; each further one is twice as long.
    """

    __slots__ = (
        "_back_off_ns", "_consecutive", "_first_pause_ns", "_last", "_refused", "_reinitialisations", "_sequence",
        "_switched", "_timeout_ns", "channel", "counters", "device", "due_ns", "events", "name", "period_ns", "state",
    )

    def __init__(
        self, name: str, device: PolledDevice[T], period_ns: int, timeout_ns: int,
        events: deque[HealthEvent], channel: Selectable | None = None, phase_ns: int = 0,
        pause_ns: int = BACK_OFF_FIRST_NS,
    ) -> None:
        self.name = name
        self.device = device
        self.period_ns = period_ns
        self.channel = channel
        self.counters = DeviceCounters()
        self.events = events
        self.state = DeviceState.INIT
        self.due_ns = phase_ns
        self._timeout_ns = timeout_ns
        self._sequence: Generator[None, None, Any] | None = None
        self._last: Reading[T] = absent()
        self._switched = False
        self._refused = False
        self._consecutive = 0
        self._reinitialisations = 0
        self._first_pause_ns = self._back_off_ns = pause_ns

    @property
    def busy(self) -> bool:
        """Whether a sequence is under way, or its multiplexer was just switched for one."""
        return self._sequence is not None or self._switched

    @property
    def ready(self) -> bool:
        """Whether the device is configured and may be asked for samples."""
        return self.state in (DeviceState.OK, DeviceState.DEGRADED)

    def note_success(self, now_ns: int) -> None:
        """Record a good sample that was read outside the slots (a fast device)."""
        self._consecutive = self._reinitialisations = 0
        if self.state is not DeviceState.OK:
            self._back_off_ns = self._first_pause_ns
            self._set_state(DeviceState.OK, now_ns, None)

    def note_failure(self, cause: Cause, now_ns: int) -> None:
        """Record a failed read outside the slots; walks the same ladder as a polled device."""
        self._failed(cause, now_ns)

    def reading(self, now_ns: int) -> Reading[T]:
        """Last sample with its quality as of ``now_ns``."""
        last = self._last
        if last.value is None or self.state is DeviceState.LOST:
            quality = Quality.ABSENT
        elif self._refused:
            quality = Quality.BAD
        elif now_ns - last.t_ns > self._timeout_ns:
            quality = Quality.STALE
        else:
            return last
        return Reading(last.value, last.t_ns, quality)

    def step(self, now_ns: int) -> None:
        """Use one slot: exactly one transaction on the device's bus. Never raises DeviceError."""
        self.counters.transactions += 1
        try:
            if self.channel is not None and not self.channel.selected:
                self.channel.select()
                self._switched = True  # nobody else may switch away before the transfer
                return
            self._switched = False
            if self._sequence is None:
                initialising = self.state in (DeviceState.INIT, DeviceState.LOST)
                self._sequence = self.device.initialise() if initialising else self.device.acquire()
            next(self._sequence)
        except StopIteration as done:
            self._sequence = None
            self._finished(done.value, now_ns)
        except DeviceError as error:
            self._sequence = None
            self._switched = False
            self._failed(error.cause, now_ns)

    def _finished(self, sample: T | None, now_ns: int) -> None:
        if self.state in (DeviceState.INIT, DeviceState.LOST):
            self.counters.initialisations += 1
            self._set_state(DeviceState.OK if self.period_ns == 0 else DeviceState.DEGRADED, now_ns, None)
            self._consecutive = 0
            self.due_ns = now_ns
            return
        self.counters.samples += 1
        self._consecutive = self._reinitialisations = 0
        self._back_off_ns = self._first_pause_ns
        if sample is not None:
            # Only a new answer takes an answer back that was not credible; "nothing new yet" says nothing of it.
            self._refused = False
            self._last = Reading(sample, now_ns, Quality.OK)
        if self.state is not DeviceState.OK:
            self._set_state(DeviceState.OK, now_ns, None)
        # Keep the grid; after a pause start a new one instead of catching up.
        self.due_ns = max(self.due_ns + self.period_ns, now_ns)

    def _failed(self, cause: Cause, now_ns: int) -> None:
        self.counters.fail(cause)
        self._refused = self._refused or cause in REFUSED_ANSWERS
        self._consecutive += 1
        if self.state in (DeviceState.INIT, DeviceState.LOST):
            self._reinitialise_later(cause, now_ns)
        elif self._consecutive >= FAILURES_TO_REINITIALISE:
            self._set_state(DeviceState.INIT, now_ns, cause)
            self._reinitialise_later(cause, now_ns)
        else:
            if self.state is DeviceState.OK:
                self._set_state(DeviceState.DEGRADED, now_ns, cause)
            self.due_ns = now_ns + self.period_ns

    def _reinitialise_later(self, cause: Cause, now_ns: int) -> None:
        self._reinitialisations += 1
        self.due_ns = now_ns + self._back_off_ns
        self._back_off_ns = min(2 * self._back_off_ns, BACK_OFF_LONGEST_NS)
        if self._reinitialisations > REINITIALISATIONS_TO_LOST and self.state is not DeviceState.LOST:
            self._set_state(DeviceState.LOST, now_ns, cause)

    def _set_state(self, state: DeviceState, now_ns: int, cause: Cause | None) -> None:
        self.state = state
        self.events.append(HealthEvent(now_ns, self.name, state, cause))


class BusSlots:
    """Shares slots among devices: whoever has begun a sequence ends it, then whoever is due longest.

    A device with a period of 0 is served only until it has been initialised.
    """

    __slots__ = ("_current", "_devices", "granted", "used")

    def __init__(self, devices: Iterable[ManagedDevice[Any]]) -> None:
        self._devices = tuple(devices)
        self._current: ManagedDevice[Any] | None = None
        self.granted = 0
        self.used = 0

    def step(self, now_ns: int) -> None:
        """Grant one slot."""
        self.granted += 1
        device = self._current
        if device is None:
            device = self._most_overdue(now_ns)
            if device is None:
                return
        self.used += 1
        device.step(now_ns)
        self._current = device if device.busy else None

    def _most_overdue(self, now_ns: int) -> ManagedDevice[Any] | None:
        best: ManagedDevice[Any] | None = None
        best_due = now_ns + 1
        for device in self._devices:
            if device.due_ns < best_due and (device.period_ns or device.state is not DeviceState.OK):
                best, best_due = device, device.due_ns
        return best
