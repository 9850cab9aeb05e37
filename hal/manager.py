"""Every device has one owner here: when it is asked, what it last said, how it fails and comes back.

Slow buses get slots. Each fast tick grants every bus one slot, and a slot is one bus transaction, so a slow chip can
never hold the fast loop for longer than one transfer. A device's sequence is a generator that performs one transaction
a resume (see ``drivers/device.py``); the manager resumes it, turns errors into quality and counters, and walks the
device ladder: retry at the next period; set up anew at once when the chip shows that it restarted, and after three
failures in a row with growing pauses; give the device up as lost after three set-ups without an answer (and still ask
it now and then). A part whose answer is at the end of its range is well as long as it knows its name: its reading is
no good while that lasts, and no rung is taken. A bus that hangs is taken out of service as a whole
(``hal/recovery.py``).

Parts that speak by themselves, on a serial port or a shared CAN bus, are heard instead of asked (``hal/heard.py``).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from drivers.errors import Cause, DeviceError
from hal.device_health import (
    AT_ONCE,
    REINITIALISATIONS_TO_LOST,
    DeviceCounters,
    DeviceState,
    HealthEvent,
    as_of,
)
from hal.reading import Quality, Reading, absent

__all__ = [
    "AT_ONCE", "BACK_OFF_FIRST_NS", "BusSlots", "DeviceCounters", "DeviceState", "Guard", "HealthEvent",
    "ManagedDevice", "PolledDevice", "Selectable", "Task",
]

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

FAILURES_TO_REINITIALISE = 3
BACK_OFF_FIRST_NS = 100_000_000
BACK_OFF_LONGEST_NS = 5_000_000_000
RESET_AGAIN_NS = 1_000_000_000
"""A chip that shows a lost configuration again this soon is set up after a pause, not at once."""
HOLDS = frozenset({Cause.TIMEOUT, Cause.STUCK_BUS})
"""Causes with which one chip stops a whole bus."""
HOLDS_TO_PAUSE = 3
"""Times in a row that a chip may have held its bus before it is left alone for longer and longer."""
HOLD_PAUSE_LONGEST_NS = 60_000_000_000


class PolledDevice(Protocol[T_co]):
    """A driver whose sequences yield between bus transactions."""

    def identify(self) -> Generator[None, None, object]:
        """Identity check alone; writes nothing."""

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


@dataclass(slots=True, eq=False)
class Task:
    """A sequence ordered of a device (an actuator's write, a memory's read): what it gave once it is done."""

    sequence: Generator[None, None, Any]
    done: bool = False
    value: Any = None
    error: DeviceError | None = None


class Guard(Protocol):
    """Decides whether a bus may be used, and hears how its transfers end."""

    in_service: bool
    """Whether a slot may be granted."""
    failing: bool
    """Whether the last transfer failed: the next that goes well is to be noted."""

    def note(self, device: str, error: DeviceError | None, now_ns: int) -> None:
        """A transaction of ``device`` ended."""

    def step(self, now_ns: int) -> None:
        """Use a slot that cannot be granted for the recovery."""


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
        "_asks_name", "_back_off_ns", "_consecutive", "_doubt", "_first_pause_ns", "_holds", "_last",
        "_reinitialisations", "_reset_ns", "_sequence", "_switched", "_task", "_timeout_ns", "channel", "counters",
        "device", "due_ns", "events", "name", "period_ns", "state", "tasks",
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
        self._doubt: Quality | None = None
        self._asks_name = False
        self._consecutive = 0
        self._reinitialisations = 0
        self._first_pause_ns = self._back_off_ns = pause_ns
        self._holds = 0
        self._reset_ns = -RESET_AGAIN_NS
        self.tasks: deque[Task] = deque()
        """What is ordered of it, oldest first; see ``order``."""
        self._task: Task | None = None

    def order(self, sequence: Generator[None, None, Any]) -> Task:
        """Have a sequence of the driver run in this device's slots, before its next sample."""
        task = Task(sequence)
        self.tasks.append(task)
        return task

    def retry(self, now_ns: int) -> bool:
        """Ask again at once, and begin the pauses anew. False: nothing is asked of it now."""
        if self.state is DeviceState.OK and not self.period_ns:
            return False
        self._back_off_ns = self._first_pause_ns
        self.due_ns = min(self.due_ns, now_ns)
        return True

    def trade_places(self, other: ManagedDevice[Any], now_ns: int) -> None:
        """Be asked as ``other`` is from now on, and the other way round: how often, and when a reading is too old."""
        self.period_ns, other.period_ns = other.period_ns, self.period_ns
        self._timeout_ns, other._timeout_ns = other._timeout_ns, self._timeout_ns
        if self.ready:
            self.due_ns = now_ns

    def restart(self, now_ns: int) -> None:
        """Set it up anew at once, as if the chip had lost its power."""
        self._abandon(Cause.RESET)
        self._reinitialisations = 0
        self._back_off_ns = self._first_pause_ns
        if self.state is not DeviceState.INIT:
            self._set_state(DeviceState.INIT, now_ns, Cause.RESET)
        self.due_ns = now_ns

    def lose(self, cause: Cause, now_ns: int) -> None:
        """The bus is gone, and the device with it."""
        self._abandon(cause)
        if self.state is not DeviceState.LOST:
            self._set_state(DeviceState.LOST, now_ns, cause)
        self.due_ns = now_ns

    def _abandon(self, cause: Cause) -> None:
        self._sequence = None
        self._switched = self._asks_name = False
        self._fail_task(DeviceError(self.name, None, cause, "the device was taken out of service"))
        while self.tasks:
            self._task = self.tasks.popleft()
            self._fail_task(DeviceError(self.name, None, cause, "the device was taken out of service"))

    def _fail_task(self, error: DeviceError) -> None:
        if self._task is not None:
            self._task.error = error
            self._task.done = True
            self._task = None

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
        return as_of(self._last, self.state, self._doubt, self._timeout_ns, now_ns)

    def step(self, now_ns: int) -> DeviceError | None:
        """Use one slot: one transaction on the device's bus. Returns how it failed; never raises DeviceError."""
        self.counters.transactions += 1
        try:
            if self.channel is not None and not self.channel.selected:
                self.channel.select()
                self._switched = True  # nobody else may switch away before the transfer
                return None
            self._switched = False
            if self._sequence is None:
                self._sequence = self._begin()
            next(self._sequence)
        except StopIteration as done:
            self._sequence = None
            self._ended(done.value, now_ns)
        except DeviceError as error:
            self._sequence = None
            self._switched = False
            self._fail_task(error)
            self._failed(error.cause, now_ns)
            # What is beyond the range of a part has come through its bus well.
            return None if self._asks_name else error
        return None

    def _begin(self) -> Generator[None, None, Any]:
        if self.state in (DeviceState.INIT, DeviceState.LOST):
            return self.device.initialise()
        if self._asks_name:
            return self.device.identify()
        if self.tasks:
            self._task = self.tasks.popleft()
            return self._task.sequence
        return self.device.acquire()

    def _ended(self, value: Any, now_ns: int) -> None:
        if self._task is None:
            self._finished(value, now_ns)
            return
        self._task.value = value
        self._task.done = True
        self._task = None

    def _finished(self, sample: T | None, now_ns: int) -> None:
        if self.state in (DeviceState.INIT, DeviceState.LOST):
            self.counters.initialisations += 1
            self._set_state(DeviceState.OK if self.period_ns == 0 else DeviceState.DEGRADED, now_ns, None)
            self._consecutive = 0
            self.due_ns = now_ns
            return
        self._consecutive = self._reinitialisations = 0
        self._back_off_ns = self._first_pause_ns
        if self._asks_name:
            self._asks_name = False
        else:
            self._sampled(sample, now_ns)
        if self.state is not DeviceState.OK:
            self._set_state(DeviceState.OK, now_ns, None)
        # Keep the grid; after a pause start a new one instead of catching up.
        self.due_ns = max(self.due_ns + self.period_ns, now_ns)

    def _sampled(self, sample: T | None, now_ns: int) -> None:
        self.counters.samples += 1
        if sample is not None:
            # Only a new answer takes an answer back that was not credible; "nothing new yet" says nothing of it.
            self._doubt = None
            self._last = Reading(sample, now_ns, Quality.OK)
            self._holds = 0
            if getattr(sample, "over_range", False):
                self.counters.fail(Cause.OVER_RANGE)

    def _failed(self, cause: Cause, now_ns: int) -> None:
        self.counters.fail(cause)
        self._doubt = AT_ONCE.get(cause, self._doubt)
        self._asks_name = cause is Cause.OVER_RANGE and self.ready
        if self._asks_name:
            # It may be what it measures that is too great, or stuck bits: its name tells. It is due for that still.
            return
        self._consecutive += 1
        if self.state in (DeviceState.INIT, DeviceState.LOST):
            self._reinitialise_later(cause, now_ns)
        elif cause is Cause.RESET:
            # What it says now means nothing: no third sample is waited for.
            self._set_state(DeviceState.INIT, now_ns, cause)
            if now_ns - self._reset_ns < RESET_AGAIN_NS:
                self._reinitialise_later(cause, now_ns)
            else:
                self.due_ns = now_ns
            self._reset_ns = now_ns
        elif self._consecutive >= FAILURES_TO_REINITIALISE:
            self._set_state(DeviceState.INIT, now_ns, cause)
            self._reinitialise_later(cause, now_ns)
        else:
            if self.state is DeviceState.OK:
                self._set_state(DeviceState.DEGRADED, now_ns, cause)
            self.due_ns = now_ns + self.period_ns

    def blame(self, now_ns: int) -> None:
        """Its transfer held the bus. Once may be chance; a chip that does so again and again is left alone."""
        self._holds += 1
        beyond = self._holds - HOLDS_TO_PAUSE
        if beyond >= 0:
            pause_ns = min(BACK_OFF_LONGEST_NS << min(beyond, 8), HOLD_PAUSE_LONGEST_NS)
            self.due_ns = max(self.due_ns, now_ns + pause_ns)

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
    """Shares the slots of one bus: whoever has begun a sequence ends it, then whoever is due longest.

    A device with a period of 0 is served until it has been initialised, and for what is ordered of it. While the
    guard has the bus out of service, no slot is granted and the recovery goes on instead.
    """

    __slots__ = ("_current", "devices", "granted", "guard", "used")

    def __init__(self, devices: Iterable[ManagedDevice[Any]], guard: Guard | None = None) -> None:
        self.devices = list(devices)
        """Who shares the slots. This list stays the same object when ``take`` and ``release`` change it."""
        self._current: ManagedDevice[Any] | None = None
        self.guard = guard
        self.granted = 0
        self.used = 0

    def take(self, device: ManagedDevice[Any]) -> None:
        """From now on this device is served here."""
        self.devices.append(device)

    def release(self, device: ManagedDevice[Any]) -> None:
        """From now on this device is served elsewhere, with whatever sequence it has under way."""
        self.devices.remove(device)
        if self._current is device:
            self._current = None

    def step(self, now_ns: int) -> None:
        """Grant one slot."""
        guard = self.guard
        if guard is not None and not guard.in_service:
            self._current = None
            guard.step(now_ns)
            return
        self.granted += 1
        device = self._current
        if device is None:
            device = self._most_overdue(now_ns)
            if device is None:
                return
        self.used += 1
        error = device.step(now_ns)
        self._current = device if device.busy else None
        if guard is not None:
            if error is not None:
                guard.note(device.name, error, now_ns)
                if error.cause in HOLDS:
                    device.blame(now_ns)
            elif guard.failing:
                guard.note(device.name, None, now_ns)

    def _most_overdue(self, now_ns: int) -> ManagedDevice[Any] | None:
        best: ManagedDevice[Any] | None = None
        best_due = now_ns + 1
        for device in self.devices:
            if device.tasks and device.ready:
                return device
            if device.due_ns < best_due and (device.period_ns or device.state is not DeviceState.OK):
                best, best_due = device, device.due_ns
        return best
