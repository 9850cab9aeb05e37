"""The supervisor joins monitors, modes and SAFE: facts in, directives and events out, once a fast tick.

It is the only owner of the mode machine. Whatever the rest of the program wants of the valves, the directives of the
same tick stand above it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from fdir.codes import Code, Severity
from fdir.facts import Facts
from fdir.gating import CommandClass, gate
from fdir.modes import ModeMachine, Motion, Refusal
from fdir.monitors import Alarm, MonitorBank, Response
from fdir.safe import SafeKeeper

__all__ = ["Directives", "FdirEvent", "Supervisor"]

SHUT_AFTER_RUNAWAY_NS = 1_000_000_000
CHECK_PERIOD_NS = 500_000_000
SAFE_RESPONSES = frozenset({Response.SAFE, Response.SHUT_VALVES})
"""Responses of a monitor that lead to SAFE; while one is tripped, SAFE is not left."""
CLUSTER_LOSS = 2
"""Failed nozzles of one cluster that count as the cluster lost."""


@dataclass(frozen=True, slots=True)
class FdirEvent:
    """Something the core decided or noticed."""

    t_ns: int
    code: Code
    severity: Severity
    text: str


@dataclass(frozen=True, slots=True)
class Directives:
    """What the core orders in this tick."""

    shut_valves: bool
    bar_burns: bool
    masked_nozzles: frozenset[int]
    detumble: bool


@dataclass(slots=True)
class Supervisor:
    """Owner of modes, monitors, SAFE and the nozzle mask.

    Args:
        clusters: cluster name of each nozzle, in body order.
    """

    clusters: tuple[str, ...]
    modes: ModeMachine = field(default_factory=ModeMachine)
    bank: MonitorBank = field(default_factory=MonitorBank)
    keeper: SafeKeeper = field(default_factory=SafeKeeper)
    masked: frozenset[int] = frozenset()
    valves_locked_out: bool = False
    _shut_until_ns: int = 0
    _next_check_ns: int = 0
    _detumble: bool = False
    _events: list[FdirEvent] = field(default_factory=list)

    def step(self, facts: Facts) -> Directives:
        """Judge one tick."""
        self._detumble = False
        for alarm in self.bank.step(facts):
            self._respond(alarm, facts)
        if self.modes.motion is Motion.SAFE and facts.t_ns >= self._next_check_ns:
            self._next_check_ns = facts.t_ns + CHECK_PERIOD_NS
            self.keeper.check(facts, self.bank.asks_for(SAFE_RESPONSES))
        return Directives(
            shut_valves=self.valves_locked_out or facts.t_ns < self._shut_until_ns,
            bar_burns=self.modes.motion is Motion.SAFE or self.bank.is_active("bus under-voltage"),
            masked_nozzles=self.masked,
            detumble=self._detumble,
        )

    def request_mode(self, target: Motion, facts: Facts) -> Refusal | None:
        """Ask for a motion mode. Leaving SAFE for Idle also needs its exit conditions.

        A brake is the one thing that may be flown out of SAFE, and it ends there: its reasons stay, and whatever is
        asked for after it is SAFE again.
        """
        source = self.modes.motion
        if source is target:
            return None
        if source is Motion.BRAKE and self.keeper.reasons:
            target = Motion.SAFE
        if source is Motion.SAFE and target is Motion.IDLE:
            codes = self.keeper.refusals()
            if codes:
                return Refusal(source, target, codes)
        refusal = self.modes.move(target, facts)
        if refusal is None:
            if source is Motion.SAFE and target is Motion.IDLE:
                self.keeper.leave()
            self._note(facts.t_ns, Code.MODE_CHANGED, Severity.INFO, f"{source} -> {target}")
        return refusal

    def enter_safe(self, code: Code, facts: Facts) -> None:
        """Put the craft into SAFE for one more reason."""
        new = self.keeper.enter(code)
        if self.modes.motion is not Motion.SAFE:
            self.request_mode(Motion.SAFE, facts)
        if new:
            self._note(facts.t_ns, code, Severity.CRITICAL, "SAFE")

    def gate(self, command_class: CommandClass, facts: Facts) -> tuple[Code, ...]:
        """Every reason against a command of this class now. A brake out of SAFE is still SAFE for all others."""
        return gate(command_class, Motion.SAFE if self.keeper.reasons else self.modes.motion, facts)

    def nozzle_failed(self, nozzle: int, how: str, facts: Facts) -> None:
        """Isolate a nozzle that did not obey; a whole cluster when two of it are gone."""
        if nozzle in self.masked:
            return
        self.masked |= {nozzle}
        self._note(facts.t_ns, Code.RCS_UNAVAILABLE, Severity.WARNING, f"nozzle {nozzle} {how}: masked")
        cluster = self.clusters[nozzle]
        members = frozenset(n for n, name in enumerate(self.clusters) if name == cluster)
        if len(members & self.masked) >= CLUSTER_LOSS and not members <= self.masked:
            self.masked |= members
            self._note(facts.t_ns, Code.RCS_UNAVAILABLE, Severity.CRITICAL, f"cluster {cluster} lost: masked")

    def lock_out_valves(self, code: Code, facts: Facts) -> None:
        """Shut the valves until a restart (the scheduler missed 20 ticks in a row)."""
        self.valves_locked_out = True
        self.enter_safe(code, facts)

    def take_events(self) -> Iterable[FdirEvent]:
        """Events since the last call."""
        events, self._events = self._events, []
        return events

    def _respond(self, alarm: Alarm, facts: Facts) -> None:
        monitor = alarm.monitor
        severity = monitor.severity if alarm.active else Severity.INFO
        state = "tripped" if alarm.active else "cleared"
        self._note(facts.t_ns, monitor.code, severity, f"{monitor.name} {state}: {monitor.text}")
        if not alarm.active:
            return
        if monitor.response is Response.SHUT_VALVES:
            self._shut_until_ns = facts.t_ns + SHUT_AFTER_RUNAWAY_NS
            self._detumble = True
            self.enter_safe(monitor.code, facts)
        elif monitor.response is Response.SAFE:
            self.enter_safe(monitor.code, facts)

    def _note(self, t_ns: int, code: Code, severity: Severity, text: str) -> None:
        self._events.append(FdirEvent(t_ns, code, severity, text))
