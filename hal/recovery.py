"""Brings a hung bus back, rung by rung, while everything else flies on: counted, rate-limited, never in the fast loop.

A bus whose transfer timed out, or that is held by a chip, gets no more slots at once. From then on a rung of the ladder
and the probing transfer after it are one job of a :class:`Worker`, away from the fast loop, until a probe gets
through: the probe alone, nine clocks and a STOP, all multiplexer channels off, the adapter opened anew, the rail's
power taken away and given back. A single chip that does not answer is not a hung bus; every chip of a bus failing in
a row is.

(Asking again at once belongs to the transport: at most twice, for reads, and only inside the deadline.)
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum, unique
from typing import Protocol

from drivers.errors import Cause, DeviceError
from hal.device_health import BUS, DeviceState, HealthEvent
from hal.manager import ManagedDevice
from hal.power_cycle import PowerCycle

__all__ = ["HANGS", "BusCounters", "BusGuard", "InlineWorker", "Rung", "Step", "ThreadWorker", "Worker"]

MS = 1_000_000
SECOND = 1_000_000_000

HANGS = frozenset({Cause.TIMEOUT, Cause.STUCK_BUS, Cause.BUS_OFF, Cause.ABSENT, Cause.PERMISSION})
"""Causes that are the bus's own: the next transfer would cost its time-out again, whoever made it."""
FAILED_IN_A_ROW = 3
"""Failed transfers in a row, of at least two chips, that are put down to the bus."""
FIRST_PAUSE_NS = 20 * MS
LONGEST_PAUSE_NS = 60 * SECOND
WELL_AFTER_NS = 1 * SECOND
"""A bus that hangs again sooner than this after a cure goes on at the next rung instead of the first."""
ROW_QUIET_NS = 5 * SECOND
"""Chips that fail in a row on a bus that carries bytes are their own matter for this long."""


@unique
class Rung(Enum):
    """Steps of the ladder, in the order in which they are climbed."""

    RETRY = "retry"
    """Another transfer, after a pause: one chip may have held the bus only while it was asked."""
    CLEAR = "clear"
    """Nine clocks and a STOP (UM10204, 3.1.16)."""
    DESELECT = "deselect"
    """Multiplexers reset and all their channels off."""
    REOPEN = "reopen"
    """The adapter closed and opened anew."""
    POWER = "power"
    """The rail of the bus's chips off and on again, through the power distribution unit."""


Step = Callable[[], None]
"""One action or probe on the bus. Raises DeviceError if it fails."""


class Worker(Protocol):
    """Does one job at a time, away from whoever asks."""

    def start(self, job: Step) -> None:
        """Begin a job. Only one may be under way."""

    def done(self) -> bool:
        """Whether the job has ended. Never waits."""

    @property
    def error(self) -> DeviceError | None:
        """How the last job failed, if it did."""


class InlineWorker:
    """Does the job at once: on simulated buses, which take no time."""

    __slots__ = ("error",)

    def __init__(self) -> None:
        self.error: DeviceError | None = None

    def start(self, job: Step) -> None:
        """See Worker."""
        self.error = None
        try:
            job()
        except DeviceError as error:
            self.error = error

    def done(self) -> bool:
        """See Worker."""
        return True


class ThreadWorker:
    """Does the job in a thread of its own, which does nothing but wait in system calls: on real buses."""

    __slots__ = ("_thread", "error")

    def __init__(self) -> None:
        self.error: DeviceError | None = None
        self._thread: threading.Thread | None = None

    def start(self, job: Step) -> None:
        """See Worker."""
        self.error = None

        def run() -> None:
            try:
                job()
            except DeviceError as error:
                self.error = error

        self._thread = threading.Thread(target=run, name="bus-recovery", daemon=True)
        self._thread.start()

    def done(self) -> bool:
        """See Worker."""
        return self._thread is None or not self._thread.is_alive()


@dataclass(slots=True)
class BusCounters:
    """What happened on a bus as a whole since start."""

    hangs: int = 0
    """Times the bus was taken out of service because it hung."""
    ordered: int = 0
    """Rungs that were climbed by order."""
    cures: int = 0
    attempts: dict[str, int] = field(default_factory=dict)
    """How often each rung was climbed."""
    cured_by: dict[str, int] = field(default_factory=dict)
    by_cause: dict[str, int] = field(default_factory=dict)
    """Causes for which it was taken out of service."""


def _count(table: dict[str, int], key: str) -> None:
    table[key] = table.get(key, 0) + 1


class BusGuard:
    """State of one bus: in service, under recovery, or given up for a while.

    Args:
        name: of the bus in the board description.
        actions: what each rung does; a rung without an action is left out.
        probe: one harmless transfer that shows whether the bus carries bytes.
        worker: who does the actions.
        events: where changes of state are told.
        power: how the bus's rail is cycled, if it can be.
        members: the devices in the bus's slots, which are set up anew after a power cycle and lost with the bus. The
            sequence itself is kept: who leaves the slots is no member any more.
        selects: whether one place may be missing while the others work, as a select of an SPI controller may.
        through: whether somebody outside the slots gets through on this bus now; then no failure is the bus's own.
    """

    def __init__(
        self, name: str, actions: Iterable[tuple[Rung, Step]], probe: Step, worker: Worker,
        events: deque[HealthEvent], power: PowerCycle | None = None,
        members: Sequence[ManagedDevice[object]] = (), *, selects: bool = False,
        through: Callable[[], bool] | None = None,
    ) -> None:
        self.name = name
        self.counters = BusCounters()
        self.state = DeviceState.OK
        self.in_service = True
        """Whether transfers may be made."""
        self.failing = False
        """Whether the last transfer failed."""
        self._steps: list[tuple[Rung, Step | None]] = [(Rung.RETRY, None), *actions]
        if power is not None:
            self._steps.append((Rung.POWER, None))
        self._probe = probe
        self._worker = worker
        self._events = events
        self._power = power
        self._members = members
        self._selects = selects
        self._through = through
        self._cause = Cause.TIMEOUT
        self._rung = 0
        self._pause_ns = FIRST_PAUSE_NS
        self._due_ns = 0
        self._working = False
        self._cycling = False
        self._hung = False
        """Whether it is out of service because it hung, not by order."""
        self._cured_ns = -WELL_AFTER_NS
        self._failed = 0
        self._failed_devices: set[str] = set()
        self._doubted = False
        self._row_quiet_ns = 0

    def note(self, device: str, error: DeviceError | None, now_ns: int) -> None:
        """Hear how a transfer of ``device`` ended: ``None`` for well."""
        if error is None:
            self._failed = 0
            self._failed_devices.clear()
            self.failing = False
            return
        self.failing = True
        self._failed += 1
        self._failed_devices.add(device)
        if self._whole_bus(error):
            self._take_out(error.cause, now_ns)
        elif self._failed >= FAILED_IN_A_ROW and len(self._failed_devices) > 1 and now_ns >= self._row_quiet_ns:
            self._take_out(error.cause, now_ns)
            self._doubted = True

    def offers(self, rung: Rung) -> bool:
        """Whether this bus has that rung."""
        return any(step is rung for step, _ in self._steps)

    def retry(self, now_ns: int) -> bool:
        """Climb the next rung without waiting for its pause. False: the bus is in service, or a rung is under way."""
        if self.in_service or self._working or self._cycling:
            return False
        self._due_ns = now_ns
        self._pause_ns = FIRST_PAUSE_NS
        return True

    def order(self, rung: Rung, now_ns: int) -> bool:
        """Climb one rung now, whether or not the bus hangs. If it then carries nothing, the ladder goes on from there.

        False: the bus has no such rung, one is under way, its rail can't be cycled now, or somebody outside the slots
        gets through on it, who is not to be disturbed.
        """
        index = next((i for i, (step, _) in enumerate(self._steps) if step is rung), None)
        if index is None or self._working or self._cycling or (self._through is not None and self._through()):
            return False
        power = self._power if rung is Rung.POWER else None
        if power is not None and not power.begin(now_ns):
            return False
        if self.in_service:
            self._hung = False
            self._cause = Cause.RESET
            self._pause_ns = FIRST_PAUSE_NS
            self._set(DeviceState.DEGRADED, now_ns)
        self._doubted = False
        self._failed = 0
        self._failed_devices.clear()
        self._rung = index + 1
        self.counters.ordered += 1
        _count(self.counters.attempts, rung.value)
        if power is not None:
            self._cycling = True
        else:
            self._start(self._steps[index][1])
        return True

    def step(self, now_ns: int) -> None:
        """Go on with the recovery; called where a slot would have been granted."""
        if self._working:
            if self._worker.done():
                self._working = False
                self._judge(self._worker.error, now_ns)
            return
        if self._cycling:
            self._cycle(now_ns)
        elif now_ns >= self._due_ns:
            self._climb(now_ns)

    def _whole_bus(self, error: DeviceError) -> bool:
        """Whether a failure is the bus's own."""
        missing_place = (
            self._selects and error.address is not None and error.cause in (Cause.ABSENT, Cause.PERMISSION)
        )
        if error.cause not in HANGS or missing_place:
            return False
        return self._through is None or not self._through()

    def _take_out(self, cause: Cause, now_ns: int) -> None:
        self._failed = 0
        self._failed_devices.clear()
        self._cause = cause
        self._hung = True
        self.counters.hangs += 1
        _count(self.counters.by_cause, cause.value)
        if now_ns - self._cured_ns >= WELL_AFTER_NS:
            self._rung = 0
            self._pause_ns = FIRST_PAUSE_NS
        self._due_ns = now_ns + self._pause_ns
        self._set(DeviceState.DEGRADED, now_ns)

    def _climb(self, now_ns: int) -> None:
        if self._doubted:
            self._start(None)
            return
        if self._rung >= len(self._steps):
            self._give_up(now_ns)
            return
        rung, action = self._steps[self._rung]
        self._rung += 1
        if rung is not Rung.POWER:
            _count(self.counters.attempts, rung.value)
            self._start(action)
        elif self._power is not None and self._power.begin(now_ns):
            _count(self.counters.attempts, rung.value)
            self._cycling = True

    def _cycle(self, now_ns: int) -> None:
        if self._power is None:
            return
        try:
            up = self._power.step(now_ns)
        except DeviceError as error:
            self._cycling = False
            self._judge(error, now_ns)
            return
        if up or not self._power.under_way:  # over without being up: the rail was ordered off meanwhile
            self._cycling = False
            for member in self._members:
                member.restart(now_ns)
            self._start(None)

    def _start(self, action: Step | None) -> None:
        def job() -> None:
            if action is not None:
                # What the rung could not do may not have been needed; the probe tells.
                with suppress(DeviceError):
                    action()
            self._probe()

        self._working = True
        self._worker.start(job)

    def _judge(self, error: DeviceError | None, now_ns: int) -> None:
        doubted, self._doubted = self._doubted, False
        if error is None and doubted:
            self._row_quiet_ns = now_ns + ROW_QUIET_NS
            self._set(DeviceState.OK, now_ns)
            return
        if error is None:
            if self._hung:
                self.counters.cures += 1
                if self._rung:
                    _count(self.counters.cured_by, self._steps[self._rung - 1][0].value)
                self._cured_ns = now_ns
            self._set(DeviceState.OK, now_ns)
            return
        self._hung = True
        self._cause = error.cause
        self._due_ns = now_ns if doubted else now_ns + self._pause_ns
        if not doubted and self._rung >= len(self._steps):
            self._give_up(now_ns)

    def _give_up(self, now_ns: int) -> None:
        """Nothing helped: the chips count as absent, and the ladder starts again after a growing pause."""
        self._rung = 0
        self._pause_ns = min(max(2 * self._pause_ns, SECOND), LONGEST_PAUSE_NS)
        self._due_ns = now_ns + self._pause_ns
        if self.state is not DeviceState.LOST:
            self._set(DeviceState.LOST, now_ns)
        for member in self._members:
            member.lose(self._cause, now_ns)

    def _set(self, state: DeviceState, now_ns: int) -> None:
        self.state = state
        self.in_service = state is DeviceState.OK
        cause = None if state is DeviceState.OK else self._cause
        self._events.append(HealthEvent(now_ns, BUS + self.name, state, cause))
