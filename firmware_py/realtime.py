"""Gives the flight thread its real-time rights, or says which are missing; never stops a flight for want of them.

Five measures, each on its own: garbage collector out of the way, memory locked, processor pinned, timer slack at its
least, FIFO scheduling. The last comes last, so that the others are not paid for at real-time priority.

Garbage collector: a full collection walks every object alive, 7 ms with this program's libraries loaded, more than a
tick. So what is alive at the start is collected once and frozen (no later collection looks at it) and the automatic
collector is off. Reference counting goes on freeing everything but cycles. Cycles, which exceptions leave behind, are
collected by :class:`IdleCollector` in time that a tick left over.
"""

from __future__ import annotations

import ctypes
import errno
import gc
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from hal.profile.board import RealtimeConfig

__all__ = [
    "EVENT_DEGRADED", "IdleCollector", "Kernel", "LinuxKernel", "RealtimeStatus", "enter", "freeze_collector", "leave",
]

EVENT_DEGRADED = "REALTIME_DEGRADED"
"""Detail: measure (fifo, cpu, memory, timer_slack), name of the errno that refused it."""

TIMER_SLACK_NS = 1
"""Least slack the kernel takes; 0 would mean the default of 50 us (prctl(2), PR_SET_TIMERSLACK).

It helps where FIFO scheduling is refused; a FIFO thread has no slack anyhow.
"""

_PR_SET_TIMERSLACK = 29
_PR_GET_TIMERSLACK = 30
_MCL_CURRENT = 1
_MCL_FUTURE = 2
_MCL_ONFAULT = 4


class Kernel(Protocol):
    """The calls that change how the kernel treats this thread. Each raises OSError when refused."""

    def scheduler(self) -> tuple[int, int]:
        """Policy number and priority."""

    def set_scheduler(self, policy: int, priority: int) -> None:
        """Change both."""

    def affinity(self) -> frozenset[int]:
        """Processors on which the thread may run."""

    def set_affinity(self, cpus: frozenset[int]) -> None:
        """Change them."""

    def lock_memory(self) -> None:
        """Keep every present and future page of the process in memory."""

    def unlock_memory(self) -> None:
        """Undo ``lock_memory``."""

    def timer_slack_ns(self) -> int:
        """How far the kernel may delay a wake-up to join it with others, ns."""

    def set_timer_slack_ns(self, slack_ns: int) -> None:
        """Change it."""


class LinuxKernel:
    """Kernel calls of Linux: sched(7), mlockall(2), prctl(2). Elsewhere each raises OSError with ENOSYS."""

    def scheduler(self) -> tuple[int, int]:
        """See Kernel."""
        get_policy, get_param = _os_call("sched_getscheduler"), _os_call("sched_getparam")
        return get_policy(0), get_param(0).sched_priority

    def set_scheduler(self, policy: int, priority: int) -> None:
        """See Kernel."""
        _os_call("sched_setscheduler")(0, policy, _os_call("sched_param")(priority))

    def affinity(self) -> frozenset[int]:
        """See Kernel."""
        return frozenset(_os_call("sched_getaffinity")(0))

    def set_affinity(self, cpus: frozenset[int]) -> None:
        """See Kernel."""
        _os_call("sched_setaffinity")(0, cpus)

    def lock_memory(self) -> None:
        """See Kernel.

        Locked is what is used, from its first use on (MCL_ONFAULT, Linux 4.4): what libraries reserve and never touch
        would be 100 MB, and a tenth of a second at every start.
        """
        try:
            _libc_call("mlockall", _MCL_CURRENT | _MCL_FUTURE | _MCL_ONFAULT)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            _libc_call("mlockall", _MCL_CURRENT | _MCL_FUTURE)

    def unlock_memory(self) -> None:
        """See Kernel."""
        _libc_call("munlockall")

    def timer_slack_ns(self) -> int:
        """See Kernel."""
        return _libc_call("prctl", _PR_GET_TIMERSLACK, 0, 0, 0, 0)

    def set_timer_slack_ns(self, slack_ns: int) -> None:
        """See Kernel."""
        _libc_call("prctl", _PR_SET_TIMERSLACK, slack_ns, 0, 0, 0)


def _os_call(name: str) -> Any:
    call = getattr(os, name, None)
    if call is None:
        raise OSError(errno.ENOSYS, f"this system has no {name}")
    return call


def _libc_call(name: str, *arguments: int) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    call = getattr(libc, name, None)
    if call is None:
        raise OSError(errno.ENOSYS, f"this system has no {name}")
    call.restype = ctypes.c_int
    # prctl is variadic and reads unsigned long; a plain int would leave its upper half undefined.
    first, rest = arguments[:1], arguments[1:]
    result: int = call(*(ctypes.c_int(a) for a in first), *(ctypes.c_ulong(a) for a in rest))
    if result == -1:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


@dataclass(frozen=True, slots=True)
class RealtimeStatus:
    """What was granted, and what ``leave`` must put back (``None`` where nothing was changed).

    Attributes:
        priority: FIFO priority, or ``None``: ordinary scheduling.
        cpu: processor to which the thread is pinned, or ``None``.
        memory_locked: whether pages stay in memory.
        timer_slack_ns: slack now set, or ``None``: unchanged.
        degraded: measures that were asked for and refused, with the errno name.
    """

    priority: int | None
    cpu: int | None
    memory_locked: bool
    timer_slack_ns: int | None
    degraded: tuple[tuple[str, str], ...]
    previous_scheduler: tuple[int, int] | None
    previous_affinity: frozenset[int] | None
    previous_timer_slack_ns: int | None
    previous_gc_enabled: bool

    @property
    def complete(self) -> bool:
        """Whether everything asked for was granted."""
        return not self.degraded


def enter(
    config: RealtimeConfig, on_event: Callable[[str, str, str], None], kernel: Kernel | None = None
) -> RealtimeStatus:
    """Make the calling thread a real-time thread as far as its rights go.

    Call it from the flight thread, after everything is loaded and built: what is alive now is frozen.

    Args:
        config: what the board file asks for.
        on_event: gets ``EVENT_DEGRADED``, the measure and the errno name, once for each measure refused.
        kernel: the calls to use; ``None`` means this machine's.
    """
    kernel = LinuxKernel() if kernel is None else kernel
    degraded: list[tuple[str, str]] = []

    def attempt(measure: str, action: Callable[[], None]) -> bool:
        try:
            action()
        except OSError as error:
            name = errno.errorcode.get(error.errno or 0, "EUNKNOWN")
            degraded.append((measure, name))
            on_event(EVENT_DEGRADED, measure, name)
            return False
        return True

    previous_gc_enabled = gc.isenabled()
    freeze_collector()

    locked = config.lock_memory and attempt("memory", kernel.lock_memory)

    affinity: frozenset[int] | None = None
    slack: int | None = None
    scheduler: tuple[int, int] | None = None

    def pin() -> None:
        nonlocal affinity
        before = kernel.affinity()
        assert config.cpu is not None
        kernel.set_affinity(frozenset((config.cpu,)))
        affinity = before

    def tighten() -> None:
        nonlocal slack
        before = kernel.timer_slack_ns()
        kernel.set_timer_slack_ns(TIMER_SLACK_NS)
        slack = before

    def go_fifo() -> None:
        nonlocal scheduler
        before = kernel.scheduler()
        kernel.set_scheduler(getattr(os, "SCHED_FIFO", 1), config.priority)
        scheduler = before

    pinned = config.cpu is not None and attempt("cpu", pin)
    tight = attempt("timer_slack", tighten)
    fifo = attempt("fifo", go_fifo)
    return RealtimeStatus(
        priority=config.priority if fifo else None,
        cpu=config.cpu if pinned else None,
        memory_locked=locked,
        timer_slack_ns=TIMER_SLACK_NS if tight else None,
        degraded=tuple(degraded),
        previous_scheduler=scheduler,
        previous_affinity=affinity,
        previous_timer_slack_ns=slack,
        previous_gc_enabled=previous_gc_enabled,
    )


def freeze_collector() -> None:
    """What is alive is looked at no more, and nothing is collected but by :class:`IdleCollector`; needs no rights."""
    gc.collect()
    gc.freeze()
    gc.disable()


def leave(status: RealtimeStatus, kernel: Kernel | None = None) -> None:
    """Put back what ``enter`` changed, from the same thread.

    Raises:
        OSError: the kernel refused to go back, after every measure was tried.
    """
    kernel = LinuxKernel() if kernel is None else kernel
    # FIFO first: going back to ordinary scheduling makes newer kernels reset the slack.
    undo: list[Callable[[], None]] = []
    if (scheduler := status.previous_scheduler) is not None:
        undo.append(lambda: kernel.set_scheduler(*scheduler))
    if (slack := status.previous_timer_slack_ns) is not None:
        undo.append(lambda: kernel.set_timer_slack_ns(slack))
    if (affinity := status.previous_affinity) is not None:
        undo.append(lambda: kernel.set_affinity(affinity))
    if status.memory_locked:
        undo.append(kernel.unlock_memory)
    refused: OSError | None = None
    for action in undo:
        try:
            action()
        except OSError as error:
            refused = error
    gc.unfreeze()
    if status.previous_gc_enabled:
        gc.enable()
    if refused is not None:
        raise refused


class IdleCollector:
    """Collects cycles in the time that ticks leave over; hand :meth:`step` to the scheduler as ``on_idle``.

    Looks only at objects made since the collector last ran, then once more at those that survived, after which they
    count as permanent. It starts only if the worst case fits into the time left. A backlog that grows past any slack
    (much was built in flight) is frozen unseen, which takes no time and leaks its cycles; ``frozen`` counts those
    objects, so the leak is seen.

    Args:
        object_ns: worst time to look at one object; 75 ns were measured for a cycle freed on a laptop class machine,
            the default leaves room for a single-board computer of a quarter of that speed.
        least: objects for which a collection is worth starting.
        most: objects after which a backlog is frozen instead.
    """

    __slots__ = ("_least", "_most", "_object_ns", "_survivors", "collections", "frozen", "postponed")

    def __init__(self, object_ns: int = 400, least: int = 64, most: int = 4000) -> None:
        self._object_ns = object_ns
        self._least = least
        self._most = most
        self._survivors = 0
        self.collections = 0
        self.postponed = 0
        self.frozen = 0

    def step(self, slack_ns: int) -> None:
        """Collect if ``slack_ns`` allows it."""
        young = gc.get_count()[0]
        if young < self._least:
            return
        if young > self._most or self._survivors > self._most:
            self.frozen += young + self._survivors
            self._survivors = 0
            gc.freeze()
            # The count of young objects restarts only with a collection; the lists are empty now, so it is free.
            gc.collect(0)
        elif (young + self._survivors) * self._object_ns <= slack_ns and self._survivors >= self._most // 4:
            gc.collect(1)
            self._survivors = 0
            self.collections += 1
        elif young * self._object_ns <= slack_ns:
            gc.collect(0)
            # The collector does not say how many survived; all of them is the worst case.
            self._survivors += young
            self.collections += 1
        else:
            self.postponed += 1
