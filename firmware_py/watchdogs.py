"""Feeds every watchdog of the craft from one source: the scheduler's word that all critical members made progress.

======================  ============================  =======================================================
watchdog                fed                           without it
======================  ============================  =======================================================
kick line               every feed (20 ms)            the enable line falls after 100 ms, by hardware
heartbeat of the nodes  while a feed is at most 60 ms nodes shut, disarm and leave operational 100 ms after the
                        old                           last heartbeat
``/dev/watchdog``       every 2 s at most             the kernel's hardware resets the computer
service manager         half of its time              it kills the program and starts it again
======================  ============================  =======================================================

While the program boots the service manager is asked for more time: on a slow computer what comes right after the start
may stall longer than a flight may hang, and to be killed for it would only bring the same start again. Valves do not
depend on it: they are shut in Boot, and the first three watchdogs are the same at any time.

Nothing here decides whether there was progress. ``feed`` is a hook of the scheduler and of nobody else.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from drivers.errors import DeviceError
from drivers.linux_watchdog import Device as LinuxWatchdog
from fdir.codes import Code, Severity
from firmware_py.sd_notify import Notifier
from hal.safety import SafetyPlane

__all__ = ["BOOT_WAIT_NS", "HOLD_NS", "LINUX_PERIOD_NS", "Heartbeat", "WatchdogCounters", "Watchdogs"]

SECOND = 1_000_000_000
HOLD_NS = 60_000_000
"""Age of the last feed up to which the nodes' heartbeat goes on. Three feeds fit, so that one late tick costs nothing;
with the nodes' own 100 ms, valves whose enable line should hang shut 160 ms after the last feed."""
LINUX_PERIOD_NS = 2 * SECOND
"""Longest pause between two kicks of the kernel's watchdog; a third of its time-out if that is less."""
BOOT_WAIT_NS = 10 * SECOND
"""How long the service manager waits in Boot: the self-test gives up after eight seconds, and Boot is over then."""

OnEvent = Callable[[int, Code, Severity, str], None]


class Heartbeat(Protocol):
    """What of the propulsion plane is needed here."""

    def set_heartbeat(self, on: bool) -> None:
        """Start or stop the flight computer's heartbeat."""


@dataclass(slots=True)
class WatchdogCounters:
    """Counts since start."""

    feeds: int = 0
    withheld: int = 0
    """How often the heartbeat was taken away from the valve nodes."""
    linux_kicks: int = 0
    linux_failures: int = 0
    manager_signs: int = 0
    manager_failures: int = 0


class Watchdogs:
    """All watchdogs of one flight computer.

    Args:
        safety: its kick line.
        heartbeat: of the valve nodes.
        on_event: takes time, code, severity and text (a journal's ``event``).
        linux: the kernel's watchdog; it is opened by ``start`` alone, for what opens it cannot close it again.
        manager: the service manager.
    """

    def __init__(
        self, safety: SafetyPlane, heartbeat: Heartbeat, on_event: OnEvent, *, linux: LinuxWatchdog | None = None,
        manager: Notifier | None = None,
    ) -> None:
        self.counters = WatchdogCounters()
        self._safety = safety
        self._heartbeat = heartbeat
        self._on_event = on_event
        self._linux = linux
        self._linux_period_ns = LINUX_PERIOD_NS
        if linux is not None:
            self._linux_period_ns = min(LINUX_PERIOD_NS, linux.settings.timeout_s * SECOND // 3)
        self._manager = manager
        self._fed_ns: int | None = None
        self._beating = False
        self._linux_ns: int | None = None
        self._manager_ns: int | None = None
        self._ready = False
        self._patient = False
        """The service manager waits as in Boot."""
        self._asked_ns: int | None = None
        """When it was last told that Boot is over."""
        self._status = ""
        self._told: set[str] = set()
        heartbeat.set_heartbeat(False)

    def start(self, now_ns: int) -> bool:
        """Open the kernel's watchdog, if there is one: from here on the computer is reset if nobody feeds.

        Returns whether it runs and is as asked. A refusal is counted and told once; flight goes on without it.
        """
        if self._linux is None:
            return False
        try:
            for _ in self._linux.initialise():
                pass
        except DeviceError as error:
            self._linux_refused(now_ns, error)
            return False
        self._linux_ns = now_ns
        return True

    def feed(self, now_ns: int) -> None:
        """Every critical member made progress: all four get their share."""
        self.counters.feeds += 1
        self._fed_ns = now_ns
        self._beat(True)
        self._safety.kick(now_ns)
        if self._linux is not None and self._linux.running and _due(self._linux_ns, now_ns, self._linux_period_ns):
            self._kick_linux(self._linux, now_ns)
        if self._manager is not None:
            self._tell_manager(self._manager, now_ns)

    def boot_over(self, now_ns: int) -> None:
        """Boot is over: the service manager waits as long as it was told by its own configuration. Call every tick; a
        datagram that is not taken is tried again after as long as between two signs of life."""
        manager = self._manager
        if not self._patient or manager is None or manager.watchdog_ns is None or manager.period_ns is None:
            return
        if _due(self._asked_ns, now_ns, manager.period_ns):
            self._asked_ns = now_ns
            self._patient = not self._check(now_ns, manager, manager.wait(manager.watchdog_ns))

    def hold(self, now_ns: int) -> None:
        """Take the heartbeat away when the last feed is too old; once a tick, whatever became of its members."""
        if self._beating and self._fed_ns is not None and now_ns - self._fed_ns > HOLD_NS:
            self.counters.withheld += 1
            self._beat(False)

    def status(self, now_ns: int, text: str) -> None:
        """One line for the service manager, sent when it differs from the last."""
        if self._manager is not None and text != self._status:
            self._status = text
            self._check(now_ns, self._manager, self._manager.status(text))

    def close(self, now_ns: int) -> None:
        """The program ends: no heartbeat any more, and the manager knows. The kernel's watchdog runs on."""
        self._beat(False)
        if self._manager is not None:
            self._check(now_ns, self._manager, self._manager.stopping())

    def _beat(self, on: bool) -> None:
        if on is not self._beating:
            self._beating = on
            self._heartbeat.set_heartbeat(on)

    def _kick_linux(self, linux: LinuxWatchdog, now_ns: int) -> None:
        self._linux_ns = now_ns
        try:
            linux.kick()
            self.counters.linux_kicks += 1
        except DeviceError as error:
            self._linux_refused(now_ns, error)

    def _linux_refused(self, now_ns: int, error: DeviceError) -> None:
        self.counters.linux_failures += 1
        self._tell_once(now_ns, "kernel", str(error))

    def _tell_manager(self, manager: Notifier, now_ns: int) -> None:
        if not self._ready:
            self._ready = True
            if manager.watchdog_ns is not None and manager.watchdog_ns < BOOT_WAIT_NS:
                self._patient = self._check(now_ns, manager, manager.wait(BOOT_WAIT_NS))
            self._check(now_ns, manager, manager.ready())
        if manager.period_ns is not None and _due(self._manager_ns, now_ns, manager.period_ns):
            self._manager_ns = now_ns
            if self._check(now_ns, manager, manager.alive()):
                self.counters.manager_signs += 1

    def _check(self, now_ns: int, manager: Notifier, taken: bool) -> bool:
        if not taken:
            self.counters.manager_failures += 1
            self._tell_once(now_ns, "service manager", manager.last_error)
        return taken

    def _tell_once(self, now_ns: int, who: str, why: str) -> None:
        if who not in self._told:
            self._told.add(who)
            self._on_event(now_ns, Code.WATCHDOG_REFUSED, Severity.WARNING, f"{who}: {why}")


def _due(last_ns: int | None, now_ns: int, period_ns: int) -> bool:
    return last_ns is None or now_ns - last_ns >= period_ns
