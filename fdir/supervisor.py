"""The supervisor joins monitors, ladders, modes and SAFE: facts in, directives and events out, once a fast tick.

It is the only owner of the mode machine. Whatever the rest of the program wants of the valves, the directives of the
same tick stand above it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from fdir.brake import FLOWN_TO_ITS_END
from fdir.codes import Code, Severity
from fdir.facts import Facts
from fdir.fault_table import Isolation
from fdir.gate_facts import GateFacts
from fdir.gating import CommandClass, Standing, formalities, gate
from fdir.guard_alerts import GuardAlert, Reaction, reaction
from fdir.link_loss import LinkEvent, LinkLoss
from fdir.modes import ModeMachine, Motion, Refusal
from fdir.monitors import Alarm, Monitor, MonitorBank
from fdir.recovery import Climb, Ladder, RecoveryPort, Step, Verdict
from fdir.safe import SafeKeeper, SafeState
from fdir.safe_record import KeptSafe

__all__ = ["Directives", "FdirEvent", "NoRecovery", "Supervisor"]

SHUT_AFTER_RUNAWAY_NS = 1_000_000_000
CHECK_PERIOD_NS = 500_000_000
MOST_EVENTS = 1000
"""Events that wait to be taken; nobody comes for them only where the program itself is broken."""
CLUSTER_LOSS = 2
"""Failed nozzles of one cluster that count as the cluster lost."""
CLUSTERS_KEPT = 3
"""Clusters that must be left to push when one is shut off. Two of QIKI's four turn it only with a push beside; a second
nozzle that stays open is masked, and fought by the others."""
STUCK_ON = "nozzle-stuck-on"
NOZZLE_FAULTS = {"failed off": "nozzle-stuck-off", "weak": "nozzle-stuck-off", "stuck on": STUCK_ON}
"""Words of the thruster fault detector, and the fault of the table that they are."""
BURNS = frozenset({CommandClass.ZTT_BURN, CommandClass.FTG_BURN, CommandClass.OVERRIDE})
"""Classes that faults may bar."""
CLIMB_CODES = {
    Verdict.TAKEN: (Code.RECOVERY_STEP, Severity.WARNING),
    Verdict.SKIPPED: (Code.RECOVERY_STEP, Severity.INFO),
    Verdict.HELD: (Code.RECOVERY_HELD, Severity.WARNING),
    Verdict.EXHAUSTED: (Code.RECOVERY_EXHAUSTED, Severity.WARNING),
}


class NoRecovery:
    """A craft without anything that could be recovered."""

    def recover(self, step: str, unit: str, now_ns: int) -> bool:  # noqa: ARG002 - one form for all
        """See RecoveryPort: nothing applies."""
        return False


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
    restart: bool = False
    """End the program; its supervisor starts it anew."""
    isolated_clusters: frozenset[str] = frozenset()
    """Clusters whose isolation valve is to be shut, for good."""


class Supervisor:
    """Owner of modes, monitors, ladders, SAFE and the nozzle mask.

    Args:
        clusters: cluster name of each nozzle, in body order.
        monitors: of the fault table, for this craft (``monitors_of``).
        port: who carries out recovery steps.
        isolation: clusters with an isolation valve that can be shut.
    """

    __slots__ = (
        "_climbing", "_detumble", "_events", "_ladders", "_lost", "_next_check_ns", "_restart", "_shut_until_ns",
        "_stuck", "_unshut", "bank", "clusters", "failed", "isolated", "isolation", "keeper", "link", "masked", "modes",
        "port", "valves_locked_out",
    )

    def __init__(
        self, clusters: tuple[str, ...], monitors: tuple[Monitor, ...], port: RecoveryPort | None = None,
        isolation: frozenset[str] = frozenset(),
    ) -> None:
        self.clusters = clusters
        self.isolation = isolation
        self.modes = ModeMachine()
        self.bank = MonitorBank(monitors)
        self.keeper = SafeKeeper()
        self.link = LinkLoss()
        self.port: RecoveryPort = NoRecovery() if port is None else port
        self.failed: frozenset[int] = frozenset()
        """Nozzles that did not obey."""
        self.isolated: frozenset[str] = frozenset()
        """Clusters whose isolation valve was ordered shut."""
        self.masked: frozenset[int] = frozenset()
        """Nozzles out of use: failed, of a lost cluster, or behind a shut valve."""
        self._stuck: frozenset[str] = frozenset()
        """Clusters with a nozzle that stays open."""
        self._unshut: frozenset[str] = frozenset()
        """Clusters whose isolation valve does not follow its order."""
        self._lost: frozenset[int] = frozenset()
        self.valves_locked_out = False
        self._ladders = {state.monitor.name: Ladder(state.monitor.rungs, state.monitor.unit)
                         for state in self.bank.states}
        self._climbing: tuple[str, ...] = ()
        """Faults that stand and for which something is left to try."""
        self._shut_until_ns = 0
        self._next_check_ns = 0
        self._detumble = False
        self._restart = False
        self._events: list[FdirEvent] = []

    def step(self, facts: Facts) -> Directives:
        """Judge one tick."""
        self._detumble = False
        if facts.link.uplink_age_s is not None:
            self._watch_link(facts)
        # Every fault is isolated before the first step is taken against any.
        for alarm in self.bank.step(facts):
            self._respond(alarm, facts)
        if self._climbing:
            self._climb(facts)
        if self.modes.motion is Motion.SAFE and facts.t_ns >= self._next_check_ns:
            self._next_check_ns = facts.t_ns + CHECK_PERIOD_NS
            self.keeper.check(facts, self._held_in_safe())
        return Directives(
            shut_valves=self.valves_locked_out or facts.t_ns < self._shut_until_ns,
            bar_burns=self._bars_burns(),
            masked_nozzles=self.masked,
            detumble=self._detumble,
            restart=self._restart,
            isolated_clusters=self.isolated,
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
        if target is Motion.SAFE and not self.keeper.reasons:
            self.keeper.enter(Code.SAFE_ORDERED)
        if source is Motion.SAFE and target is Motion.IDLE:
            codes = self.keeper.refusals()
            if codes:
                return Refusal(source, target, codes)
        refusal = self.modes.move(target, facts)
        if refusal is None:
            if source is Motion.SAFE and target is Motion.IDLE:
                self.keeper.leave()
                self._rearm(facts)
            elif source is Motion.SAFE:
                self.keeper.interrupt()
            self._note(facts.t_ns, Code.MODE_CHANGED, Severity.INFO, f"{source} -> {target}")
        return refusal

    def enter_safe(self, code: Code, facts: Facts) -> None:
        """Put the craft into SAFE for one more reason. A brake under way is flown to its end for what it skips; SAFE
        follows it."""
        new = self.keeper.enter(code)
        braking = self.modes.motion is Motion.BRAKE and code in FLOWN_TO_ITS_END
        if self.modes.motion is not Motion.SAFE and not braking:
            self.request_mode(Motion.SAFE, facts)
        if new:
            self._note(facts.t_ns, code, Severity.CRITICAL, "SAFE")

    def restore_safe(self, kept: KeptSafe, facts: Facts) -> None:
        """SAFE and emission as they were before a restart."""
        if kept.emission is not self.modes.emission:
            self.modes.set_emission(kept.emission)
            text = f"{kept.emission}: as before the restart"
            self._note(facts.t_ns, Code.EMISSION_CHANGED, Severity.INFO, text)
        if not kept.reasons:
            return
        self.keeper.restore(kept.reasons, kept.latched)
        self.request_mode(Motion.SAFE, facts)
        before = ", ".join(kept.reasons)
        self._note(facts.t_ns, kept.reasons[0], Severity.CRITICAL, f"SAFE since before the restart: {before}")
        if Code.SAFE_COMMS_LOSS in kept.reasons and facts.link.uplink_age_s is not None:
            self._follow_link(self.link.resume(kept.closed), facts)

    def gate(
        self, command_class: CommandClass, facts: Facts, known: GateFacts | None = None,
        standing: Standing | None = None,
    ) -> tuple[Code, ...]:
        """Every reason against a command of this class now: of the craft's state, and then, with a ``standing``, of how
        it was given. A brake out of SAFE is still SAFE for all others."""
        motion = Motion.SAFE if self.keeper.reasons else self.modes.motion
        codes = gate(command_class, motion, facts, known, self.keeper.state is SafeState.LOCKDOWN)
        if command_class in BURNS:
            codes += tuple(code for code in self.bank.codes(Isolation.BAR_BURNS) if code not in codes)
        return codes if standing is None else codes + formalities(command_class, motion, facts, standing)

    # -- what other rooms find

    def report(self, fault: str, active: bool, facts: Facts, detail: str = "") -> None:
        """A detector of another room has found a fault of the table, or its end. Raises KeyError: no such fault."""
        alarm = self.bank.report(fault, active, detail)
        if alarm is not None:
            self._respond(alarm, facts)
            self._climb(facts)

    def on_guard_alerts(self, alerts: Iterable[GuardAlert], facts: Facts) -> tuple[GuardAlert, ...]:
        """Tell of alerts and do what they lead to; returns those that ask for a brake or an evasion, for whoever flies
        it, evasions first: they were chosen with every contact in view."""
        braking: tuple[GuardAlert, ...] = ()
        evading: tuple[GuardAlert, ...] = ()
        for alert in alerts:
            code = Code.GUARD_ALERT if alert.code is None else alert.code
            self._note(facts.t_ns, code, alert.severity, f"{alert.rule_id}: {alert.text}")
            answer = reaction(alert)
            if answer is Reaction.SAFE:
                self.enter_safe(code, facts)
            elif answer is Reaction.READINESS and self.modes.motion is Motion.IDLE:
                self.request_mode(Motion.MANOEUVRE, facts)
            elif answer is Reaction.BRAKE:
                braking += (alert,)
            elif answer is Reaction.EVADE:
                evading += (alert,)
        return evading + braking

    def nozzle_failed(self, nozzle: int, how: str, facts: Facts) -> None:
        """Isolate a nozzle that did not obey; a whole cluster when two of it are gone.

        One that stays open has its cluster shut off, where there is a valve for that and enough other clusters are
        left. ``how``: in words of the thruster fault detector.
        """
        fault, cluster = NOZZLE_FAULTS[how], self.clusters[nozzle]
        shut_off = fault == STUCK_ON and self._may_shut_off(cluster)
        if fault == STUCK_ON:
            self._stuck |= {cluster}
        if nozzle in self.masked and not shut_off:
            return
        self.failed |= {nozzle}
        self.report(fault, True, facts, f"nozzle {nozzle}")
        if shut_off:
            self.isolated |= {cluster}
        done = f"cluster {cluster} shut off" if shut_off else "masked"
        self._note(facts.t_ns, Code.RCS_UNAVAILABLE, Severity.WARNING, f"nozzle {nozzle} {how}: {done}")
        self._mask(cluster, facts)

    def isolation_followed(self, cluster: str, followed: bool, facts: Facts) -> None:
        """Whether the isolation valve of a cluster does as ordered. While it does not, only its failed nozzles are out
        of use: the others help against the one that stays open."""
        self._unshut = self._unshut - {cluster} if followed else self._unshut | {cluster}
        self._mask(cluster, facts)

    def lock_out_valves(self, facts: Facts) -> None:
        """Shut the valves until a restart (the scheduler missed 20 ticks in a row)."""
        self.valves_locked_out = True
        self.report("overrun-stop", True, facts)

    # -- what an operator may do

    def set_monitor(self, name: str, enabled: bool, facts: Facts) -> tuple[Code, ...]:
        """Switch a monitor on or off; returns what speaks against it."""
        if name not in self._ladders:
            return (Code.CMD_VALIDATION_FAILED,)
        alarm = self.bank.set_enabled(name, enabled)
        self._note(facts.t_ns, Code.MONITOR_SWITCHED, Severity.WARNING, f"{name} {'on' if enabled else 'off'}")
        if alarm is not None:
            self._respond(alarm, facts)
            self._climb(facts)
        return ()

    def clear_fault(self, name: str) -> tuple[Code, ...]:
        """Let a latched fault clear once it is good; returns what speaks against it."""
        if name not in self._ladders or not self.bank.unlatch(name):
            return (Code.CMD_VALIDATION_FAILED,)
        return ()

    def reset_counters(self, facts: Facts) -> None:
        """Forget trips and worst values of every monitor; what stands goes on standing."""
        self.bank.reset_counters()
        self._note(facts.t_ns, Code.MONITOR_SWITCHED, Severity.INFO, "counters of all monitors are 0 again")

    def take_events(self) -> Iterable[FdirEvent]:
        """Events since the last call."""
        events, self._events = self._events, []
        return events

    # -- parts

    def _may_shut_off(self, cluster: str) -> bool:
        """Whether the cluster has a valve that is still open, and enough others would be left to push."""
        others = {name for nozzle, name in enumerate(self.clusters) if nozzle not in self.masked} - {cluster}
        return cluster in self.isolation - self.isolated and len(others) >= CLUSTERS_KEPT

    def _mask(self, cluster: str, facts: Facts) -> None:
        """Who is out of use, after a change in a cluster."""
        shut = self.isolated - self._unshut
        behind = frozenset(nozzle for nozzle, name in enumerate(self.clusters) if name in shut)
        self.masked = self.failed | self._lost | behind
        members = frozenset(nozzle for nozzle, name in enumerate(self.clusters) if name == cluster)
        if len(members & self.failed) >= CLUSTER_LOSS and not members <= self.masked:
            self._lost |= members
            self.masked |= members
            self.report("cluster-lost", True, facts, cluster)
            self._note(facts.t_ns, Code.RCS_UNAVAILABLE, Severity.CRITICAL, f"cluster {cluster} lost: masked")

    def _held_in_safe(self) -> bool:
        """Whether a fault stands whose ladder has led to SAFE. What cannot be judged any more holds until a person has
        acknowledged."""
        return any(
            ladder.safe and (self.bank.is_known(name) or not self.keeper.acknowledged)
            for name, ladder in self._ladders.items()
        )

    def _bars_burns(self) -> bool:
        """SAFE bars every burn, and a fault may; a brake asks for no charge and no voltage (CANON section 10.3)."""
        motion = self.modes.motion
        return motion is Motion.SAFE or (motion is not Motion.BRAKE and self.bank.isolates(Isolation.BAR_BURNS))

    def _rearm(self, facts: Facts) -> None:
        """What led to SAFE and still stands, unknown, leads there again when it is known."""
        for name, ladder in self._ladders.items():
            if ladder.safe:
                ladder.rearm(facts.t_ns)
                if name not in self._climbing:
                    self._climbing = (*self._climbing, name)

    def _watch_link(self, facts: Facts) -> None:
        """Command-loss timer: too long without a valid uplink restricts emission and leads to SAFE."""
        self.link.limit_s = facts.limits.command_loss_s
        event = self.link.step(facts.link.uplink_age_s, facts.t_ns)
        if event is not None:
            self._follow_link(event, facts)

    def _follow_link(self, event: LinkEvent, facts: Facts) -> None:
        self.report("command-loss", event is LinkEvent.LOST, facts)
        before = self.modes.emission
        level = self.link.emission(event, before)
        if level is not before:
            self.modes.set_emission(level)
            self._note(facts.t_ns, Code.EMISSION_CHANGED, Severity.WARNING, f"{level}: link {event}")

    def _respond(self, alarm: Alarm, facts: Facts) -> None:
        monitor, now_ns = alarm.monitor, facts.t_ns
        severity = monitor.severity if alarm.active else Severity.INFO
        detail = f" ({alarm.detail})" if alarm.detail else ""
        state = "tripped" if alarm.active else "cleared"
        self._note(now_ns, monitor.code, severity, f"{monitor.name} {state}: {monitor.row.text}{detail}")
        ladder = self._ladders[monitor.name]
        if not alarm.active:
            if ladder.last is not None and not ladder.safe:
                self._note(now_ns, Code.RECOVERY_DONE, Severity.INFO, f"{monitor.name}: {ladder.last}")
            ladder.clear(now_ns)
            self._climbing = tuple(name for name in self._climbing if name != monitor.name)
            return
        if Isolation.SHUT_VALVES in monitor.isolation:
            # Against a nozzle that stays open and can't be shut off only the others help.
            if self._stuck <= self.isolated - self._unshut:
                self._shut_until_ns = now_ns + SHUT_AFTER_RUNAWAY_NS
            self._detumble = True
        ladder.start(now_ns)
        if ladder.climbing:
            self._climbing = (*self._climbing, monitor.name)

    def _climb(self, facts: Facts) -> None:
        """Let every ladder that is climbed take the rung that is due."""
        for name in self._climbing:
            ladder = self._ladders[name]
            climb = ladder.step(facts.t_ns, self.bank.is_bad(name) and self.bank.is_known(name), self.port)
            while climb is not None:
                self._tell(name, climb, facts)
                # What does not apply makes room for the next at once.
                again = climb.verdict is Verdict.SKIPPED
                climb = ladder.step(facts.t_ns, True, self.port) if again else None
        self._climbing = tuple(name for name in self._climbing if self._ladders[name].climbing)

    def _tell(self, name: str, climb: Climb, facts: Facts) -> None:
        code, severity = CLIMB_CODES[climb.verdict]
        if climb.verdict is Verdict.TAKEN and climb.step is Step.SAFE:
            self.enter_safe(self.bank.monitor(name).code, facts)
            return
        if climb.verdict is Verdict.TAKEN and climb.step is Step.RESTART:
            if Code.BOOT_LOOP in self.keeper.reasons:
                held = f"{name}: restart held: the craft kept restarting"
                self._note(facts.t_ns, Code.RECOVERY_HELD, Severity.WARNING, held)
                return
            self._restart = True
            code, severity = Code.RESTART_ORDERED, Severity.CRITICAL
        step = "no step left" if climb.step is None else climb.step.value
        self._note(facts.t_ns, code, severity, f"{name}: {step} {climb.verdict.value}".removesuffix(" exhausted"))

    def _note(self, t_ns: int, code: Code, severity: Severity, text: str) -> None:
        if len(self._events) < MOST_EVENTS:
            self._events.append(FdirEvent(t_ns, code, severity, text))
