"""The law that is flown: what it wants of a window, the mode that belongs to it, and what stands above it.

Whatever law is set, SAFE has its own (null the rates, then point the cells at the Sun), and a bar on burns takes
position and velocity out of any target. Open-loop burns (thrust profiles, the override) end at the first thing that
stands against them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from math import hypot

from comms.dictionary import COMMANDS
from fdir.brake import nulls_rates_first
from fdir.codes import Code, Severity
from fdir.facts import Facts
from fdir.fault_table import Isolation
from fdir.gating import CommandClass
from fdir.modes import COAST_SPEED_M_S, Motion
from fdir.supervisor import Directives, Supervisor
from firmware_py.burns import Burns
from firmware_py.command_effects import BurnSeen
from firmware_py.command_laws import Laws
from firmware_py.commands import Order
from firmware_py.energy.manager import EnergyManager
from firmware_py.gnc.estimator import NavState
from firmware_py.gnc.evasion import Evade
from firmware_py.gnc.guidance import Brake, Detumble, Drift, GuidanceLaw, Phase, SunTrack, Target
from firmware_py.gnc.lost_cluster import LostCluster
from firmware_py.gnc.rendezvous import Rendezvous
from firmware_py.gnc.thrust_profile import FlyOverride, FlyProfile
from firmware_py.journal import Journal
from firmware_py.mode_moves import come_to_rest, reach
from hal.frames import Vec3, norm, subtract

__all__ = ["FlownLaw", "plausible"]

SAFE_DETUMBLE_ABOVE_RAD_S = 0.0873
"""5 deg/s: above this SAFE nulls the rates first."""
SAFE_POINT_BELOW_RAD_S = 0.0175
"""1 deg/s: below this it points at the Sun."""
PUSH_BELOW_RAD_S = 0.0873
"""5 deg/s: a craft that turns faster than its target asks for gets its rate back before it is pushed on."""
LARGEST_STATE = 1e12
"""In any of m, m/s and rad/s: beyond it there is no number."""
BOOSTED = frozenset({CommandClass.FTG_BURN, CommandClass.OVERRIDE})
"""Classes whose burns need the charge for boost."""
MODE_OF_PHASE = {Phase.BURN: Motion.BURN, Phase.COAST: Motion.COAST, Phase.BRAKE: Motion.BRAKE}
BURN_ENDS = frozenset({Code.PROFILE_DONE, Code.PROFILE_CUT, Code.PROFILE_ABORTED})


def _none_failed(_now_ns: int) -> int:
    return 0


def _none_lost() -> int:
    return 0


def _nobody_told(_now_ns: int, _text: str) -> None:
    return None


class FlownLaw:
    """Owner of the guidance law.

    Args:
        laws: maker of the laws.
        burns: who starts open-loop burns.
        supervisor: modes.
        journal: where events go.
    """

    def __init__(self, laws: Laws, burns: Burns, supervisor: Supervisor, journal: Journal) -> None:
        self._laws = laws
        self._burns = burns
        self._supervisor = supervisor
        self._journal = journal
        self._law: GuidanceLaw = Drift(laws.limits)
        self._law_name = "drift"
        self._safe_law: GuidanceLaw | None = None
        self._exhausted_told = False
        self.cut = False
        """The present window is to be cut short."""
        self.number = 0
        """Number of the order whose law is flown; 0: none's."""
        self.burn_seen = BurnSeen()
        """The last open-loop burn."""
        self.failed = 0
        """Mask of the nozzles that are out of use for good."""
        self.unavailable: Callable[[int], int] = _none_failed
        """Mask of the nozzles that can't fire at a time (ns), beside those that the supervisor has masked."""
        self.lost: Callable[[], int] = _none_lost
        """Mask of the nozzles that are not coming back by themselves, beside those that the supervisor has masked."""
        self.aborted: Callable[[int, str], None] = _nobody_told
        """Told of a burn that was aborted: when (ns), and why."""
        self.energy: EnergyManager | None = None
        """Whose budget burns are charged to, if there is one."""
        self.target: Target | None = None
        """What the law asked for in the present window."""
        self.safe_detumble_rad_s = SAFE_DETUMBLE_ABOVE_RAD_S
        self.safe_point_rad_s = SAFE_POINT_BELOW_RAD_S

    @property
    def phase(self) -> str:
        """What is being flown, by name."""
        return self.target.phase.value if self.target is not None else self._law_name

    @property
    def settled(self) -> bool:
        """Whether the law's error has been under its dead-band for its settling time."""
        return self.target is not None and self.target.done

    @property
    def segment_done(self) -> bool:
        """Whether no burn is under way."""
        return self.target is None or self.target.phase is not Phase.BURN

    @property
    def progress(self) -> tuple[int, int, float] | None:
        """Of a thrust profile: segments begun, segments in all, share of its time; ``None`` if none is flown."""
        return self._law.progress if isinstance(self._law, FlyProfile) else None

    @property
    def brakes(self) -> bool:
        """Whether a brake is under way."""
        return self._supervisor.modes.motion is Motion.BRAKE and self._law_name == "brake"

    def evades(self, change: Vec3, nav: NavState) -> bool:
        """Whether an evasion is under way that does what this change of velocity would."""
        law = self._law
        braking = self._supervisor.modes.motion is Motion.BRAKE
        return braking and isinstance(law, Evade) and law.covers(nav.velocity, change)

    def take_cut(self) -> bool:
        """Whether the present window is to be cut short; asks once. SAFE cuts an open-loop burn, whoever ordered it."""
        cut, self.cut = self.cut, False
        burn = self.burn()
        return cut or (burn is not None and self._supervisor.modes.motion is Motion.SAFE)

    def burn(self) -> FlyProfile | FlyOverride | None:
        """The open-loop burn being flown."""
        law = self._law
        return law if isinstance(law, FlyProfile | FlyOverride) and not law.ended else None

    def hold_energy(self, law: FlyProfile | FlyOverride) -> tuple[Code, ...]:
        """A token for all that a burn takes; returns what speaks against it."""
        needed = self._burns.budget.taken
        if self.energy is None or needed is None or needed.energy_j <= 0.0:
            return ()
        return self.energy.peaks.burn(needed.peak_w, needed.energy_j, law.duration_s)

    def free_energy(self) -> None:
        """Give the token back."""
        if self.energy is not None:
            self.energy.peaks.end_burn()

    def learn(self, now_ns: int, facts: Facts) -> None:
        """Which nozzles are left, and what that and the facts mean for burns."""
        self.failed = self.lost()
        for nozzle in self._supervisor.masked:
            self.failed |= 1 << nozzle
        self._burns.learn(facts, self.failed | self.unavailable(now_ns))

    def fly(self, order: Order, law: GuidanceLaw, mode: Motion, facts: Facts) -> tuple[Code, ...]:
        """Fly another law in its mode; returns what speaks against it, and then nothing has changed."""
        refusal = reach(self._supervisor, mode, facts, COMMANDS[order.name].command_class in BOOSTED)
        if refusal is not None:
            return refusal.codes
        self._end_burn(facts.t_ns, (), f"{order.name} is flown instead")
        self._law, self._law_name, self.number, self.target = law, order.name, order.number, None
        self._safe_law = None
        return ()

    def _give_up(self, name: str) -> None:
        """What was flown is flown no more."""
        self._law, self._law_name, self.number = self._laws.idle(), name, 0

    def _end_burn(self, now_ns: int, codes: tuple[Code, ...], why: str) -> None:
        """End an open-loop burn, if there is one: with reasons against it, or because something else was wanted."""
        burn = self.burn()
        if burn is None:
            return
        if codes:
            burn.abort(codes, why)
        else:
            burn.stop(why)
        self.tell_burn(now_ns)

    def tell_burn(self, now_ns: int) -> None:
        """What the burn did goes to the journal."""
        law = self._law
        if not isinstance(law, FlyProfile | FlyOverride):
            return
        for note in law.take_notes():
            self._journal.event(now_ns, note.code, note.severity, note.text)
            if note.code in BURN_ENDS:
                self.burn_seen = dataclasses.replace(self.burn_seen, end=note.code)
            if note.code is Code.PROFILE_ABORTED:
                self.aborted(now_ns, note.text)

    def _fit_to_nozzles(self, now_ns: int) -> None:
        """A law that is flown learns of nozzles that have failed since; a brake that lost a direction turns first."""
        law = self._law
        if isinstance(law, LostCluster):
            law.set_failed(self.failed)
            if law.exhausted and not self._exhausted_told:
                text = f"{self._law_name}: what is left of the nozzles cannot reach it"
                self._journal.event(now_ns, Code.RCS_UNAVAILABLE, Severity.CRITICAL, text)
            self._exhausted_told = law.exhausted
        elif isinstance(law, Brake) and self.failed and not self._laws.whole(self.failed):
            self._law = self._laws.brake(self.failed)

    def guide(self, now_ns: int, nav: NavState, facts: Facts, directives: Directives) -> Target | None:
        """The target of the window that starts now; ``None`` keeps the valves shut.

        No law is asked about a navigation state that is no number: nothing is wanted in that window, and control
        counts it (ControlFault.NAVIGATION_NOT_FINITE).
        """
        motion = self._supervisor.modes.motion
        if motion is Motion.BOOT:
            self.target = None
            return None
        if not plausible(nav):
            self.target = Target(Phase.DRIFT, False)
            return self.target
        if motion is Motion.SAFE:
            self.target = self._guide_in_safe(now_ns, nav, facts)
        else:
            self.learn(now_ns, facts)
            self._fit_to_nozzles(now_ns)
            self.target = self._law.update(now_ns, nav)
            if self._stands_against_burn(now_ns, nav, self.target, directives):
                self.target = self._law.update(now_ns, nav)
            if not self._follow(now_ns, self.target, facts):
                self.target = self._law.update(now_ns, nav)
            self.tell_burn(now_ns)
        target = self.target
        if self.burn() is None:
            self.free_energy()
        elif target.push_n is not None and not self.burn_seen.begun:
            self.burn_seen = dataclasses.replace(self.burn_seen, begun=True)
        pushed = target.position is not None or target.velocity is not None or target.push_n is not None
        # A brake asks for no rate cap, unless it does not know where it points (CANON section 10.3).
        capped = target.phase is not Phase.BRAKE or nulls_rates_first(facts)
        if pushed and (directives.bar_burns or (capped and _excess(nav, target) > PUSH_BELOW_RAD_S)):
            return dataclasses.replace(target, position=None, velocity=None, acceleration=None, push_n=None)
        return target

    def _stands_against_burn(self, now_ns: int, nav: NavState, target: Target, directives: Directives) -> bool:
        """Whether an open-loop burn had to be ended now. What it missed it could not get back, so it does not wait."""
        if target.push_n is None or self.burn() is None:
            return False
        if directives.bar_burns:
            codes = self._supervisor.bank.codes(Isolation.BAR_BURNS) or (Code.SAFE_LOCKED,)
            self._end_burn(now_ns, codes, "burns are barred")
        elif _excess(nav, target) > PUSH_BELOW_RAD_S:
            self._end_burn(now_ns, (Code.RATE_LIMIT,), "the craft turns too fast")
        return self.burn() is None

    def _guide_in_safe(self, now_ns: int, nav: NavState, facts: Facts) -> Target:
        rate = norm(nav.rate)
        law = self._safe_law
        if law is None or rate > self.safe_detumble_rad_s:
            law = law if isinstance(law, Detumble) else self._laws.detumble()
        if isinstance(law, Detumble) and rate < self.safe_point_rad_s:
            law = self._laws.sun_track()
        if isinstance(law, SunTrack):
            law.economy = facts.soc_supercap is None or facts.soc_supercap < facts.hold_soc
        self._safe_law = law
        self._burns.disarm()
        self._end_burn(now_ns, (Code.SAFE_LOCKED,), "SAFE")
        self._give_up("safe")
        return law.update(now_ns, nav)

    def _follow(self, now_ns: int, target: Target, facts: Facts) -> bool:
        """Bring the motion mode to what the law does; a refusal ends the law, and is returned as False."""
        motion = self._supervisor.modes.motion
        wanted = self._mode_of(target)
        if wanted is None:
            if motion is Motion.BRAKE:
                wanted = self._after_brake(target, facts)
            elif motion in (Motion.BURN, Motion.COAST):
                wanted = Motion.MANOEUVRE
        if wanted is None or wanted is motion:
            return True
        now = dataclasses.replace(facts, settled=target.done, segment_done=target.phase is not Phase.BURN)
        if motion is Motion.BURN and wanted is Motion.MANOEUVRE:
            self._supervisor.request_mode(Motion.COAST, now)
        refusal = reach(self._supervisor, wanted, now)
        if refusal is not None:
            codes = ", ".join(refusal.codes)
            self._journal.event(now_ns, Code.CMD_REJECTED, Severity.WARNING, f"{motion} -> {wanted}: {codes}")
            self._end_burn(now_ns, refusal.codes, f"{motion} -> {wanted}")
            self._give_up("idle")
            come_to_rest(self._supervisor, now)
            return False
        return True

    def _after_brake(self, target: Target, facts: Facts) -> Motion | None:
        """Where a brake that does not push now leads: Idle at rest, Coast if it can do no more (CANON section 9)."""
        if facts.speed_m_s is not None and facts.speed_m_s <= COAST_SPEED_M_S:
            return Motion.IDLE if isinstance(self._law, Brake | LostCluster) else Motion.MANOEUVRE
        waits = isinstance(self._law, LostCluster) and not target.done and not self._law.exhausted
        return None if waits else Motion.COAST

    def _mode_of(self, target: Target) -> Motion | None:
        """Mode that a phase is flown in; None where it is flown in any mode of manoeuvring."""
        if isinstance(self._law, Rendezvous):
            # Coasting blind and pushing are both part of an approach.
            return Motion.MANOEUVRE if self._law.aborted else self._supervisor.modes.motion
        if isinstance(self._law, LostCluster) and target.phase in (Phase.DETUMBLE, Phase.TURN):
            return self._supervisor.modes.motion
        return MODE_OF_PHASE.get(target.phase)


def plausible(nav: NavState) -> bool:
    """Whether attitude, rate, position and velocity are numbers that a craft can have."""
    return hypot(*nav.quaternion, *nav.rate, *nav.position, *nav.velocity) < LARGEST_STATE


def _excess(nav: NavState, target: Target) -> float:
    """How much faster the craft turns than its target asks for, rad/s."""
    return norm(nav.rate if target.rate is None else subtract(nav.rate, target.rate))
