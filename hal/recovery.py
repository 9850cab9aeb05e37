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
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum, unique
from typing import Protocol

from drivers.errors import Cause, DeviceError
from hal.manager import DeviceState, HealthEvent, ManagedDevice, Task

__all__ = [
    "HANGS", "BusCounters", "BusGuard", "InlineWorker", "PowerCycle", "Rung", "Step", "ThreadWorker", "Worker",
]

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
POWER_REST_NS = 30 * SECOND
"""A rail is not cycled again before this has passed."""
POWER_OFF_NS = 200 * MS
ON_ORDERS = 5
"""How often a rail is ordered on before the unit's refusal is believed."""
POWER_UP_NS = 100 * MS


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


class PowerCycle:
    """Takes a rail's power away and gives it back, through slots of the power distribution unit's own bus.

    Args:
        unit: the unit as a managed device; its driver has ``switch(rail, on)``.
        rail: name of the rail there.
    """

    __slots__ = ("_orders", "_phase", "_task", "_unit", "_until_ns", "rail")

    def __init__(self, unit: ManagedDevice[object], rail: str) -> None:
        self.rail = rail
        self._unit = unit
        self._phase = 0
        self._orders = 0
        self._task: Task | None = None
        self._until_ns = 0

    def begin(self) -> bool:
        """Order the rail off. False if the unit takes no orders now."""
        if not self._unit.ready:
            return False
        self._task = self._unit.order(self._unit.device.switch(self.rail, False))  # type: ignore[attr-defined]
        self._phase = 0
        return True

    def step(self, now_ns: int) -> bool:
        """Whether the rail is up again and its chips have had time to start. Raises DeviceError of the unit."""
        task = self._task
        if task is None or not task.done:
            return False
        if task.error is not None:
            self._task = None
            if self._phase < 2 or self._orders >= ON_ORDERS:
                raise task.error
            self._order_on(now_ns)  # the rail must not stay off for one spoilt transfer
            return False
        if self._phase == 0:
            self._phase, self._until_ns = 1, now_ns + POWER_OFF_NS
        if now_ns < self._until_ns:
            return False
        if self._phase == 1:
            self._phase, self._orders = 2, 0
            self._order_on(now_ns)
            return False
        return True

    def _order_on(self, now_ns: int) -> None:
        self._orders += 1
        self._until_ns = now_ns + POWER_UP_NS
        self._task = self._unit.order(self._unit.device.switch(self.rail, True))  # type: ignore[attr-defined]


@dataclass(slots=True)
class BusCounters:
    """What happened on a bus as a whole since start."""

    hangs: int = 0
    """Times the bus was taken out of service."""
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
        members: the devices on the bus, which are set up anew after a power cycle and lost with the bus.
        selects: whether one place may be missing while the others work, as a select of an SPI controller may.
    """

    def __init__(
        self, name: str, actions: Iterable[tuple[Rung, Step]], probe: Step, worker: Worker,
        events: deque[HealthEvent], power: PowerCycle | None = None,
        members: Iterable[ManagedDevice[object]] = (), *, selects: bool = False,
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
        self._members = tuple(members)
        self._selects = selects
        self._cause = Cause.TIMEOUT
        self._rung = 0
        self._pause_ns = FIRST_PAUSE_NS
        self._due_ns = 0
        self._working = False
        self._cycling = False
        self._cycle_ended_ns = -POWER_REST_NS
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
        return error.cause in HANGS and not missing_place

    def _take_out(self, cause: Cause, now_ns: int) -> None:
        self._failed = 0
        self._failed_devices.clear()
        self._cause = cause
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
        elif self._power is not None and now_ns - self._cycle_ended_ns >= POWER_REST_NS and self._power.begin():
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
        if up:
            self._cycling = False
            self._cycle_ended_ns = now_ns
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
            self.counters.cures += 1
            if self._rung:
                _count(self.counters.cured_by, self._steps[self._rung - 1][0].value)
            self._cured_ns = now_ns
            self._set(DeviceState.OK, now_ns)
            return
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
        self._events.append(HealthEvent(now_ns, f"bus {self.name}", state, cause))
