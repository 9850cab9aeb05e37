"""Turns commands into guidance laws and keeps the mode machine in step with what the law does.

A command is validated by the dictionary, gated by fdir, and only then changes the law. Whatever law is set, SAFE has
its own (null the rates, then point the cells at the Sun), and a bar on burns takes position and velocity out of any
target. Open-loop burns (thrust profiles, the override) end at the first thing that stands against them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from math import hypot, inf
from typing import Any

from comms.dictionary import COMMANDS, CommandRefused
from fdir.codes import Code, Severity
from fdir.facts import Facts
from fdir.gating import CommandClass, confirmation
from fdir.modes import COAST_SPEED_M_S, Emission, Motion
from fdir.supervisor import Directives, Supervisor
from firmware_py.burns import Burns
from firmware_py.commands import PROFILES, CommandRecord, CommandState, Order, parse
from firmware_py.energy.manager import EnergyManager
from firmware_py.gnc.allocation import Allocator
from firmware_py.gnc.estimator import NavState
from firmware_py.gnc.guidance import (
    Brake,
    Detumble,
    Drift,
    GuidanceLaw,
    GuidanceLimits,
    Hold,
    Phase,
    Slew,
    SunTrack,
    Target,
    Translate,
)
from firmware_py.gnc.lost_cluster import LostCluster
from firmware_py.gnc.rendezvous import Rendezvous
from firmware_py.gnc.thrust_profile import FlyOverride, FlyProfile
from firmware_py.journal import Journal
from firmware_py.mission import Sequencer, StepOutcome, StepRecord
from firmware_py.mode_moves import come_to_rest, reach
from hal.frames import Vec3, multiply, norm, quaternion_from_rotation_vector, rotate, scale, subtract, unit
from hal.profile import BodyConfig

__all__ = ["Commander"]

IDLE_DEADBAND_DEG = 2.0
HOLD_DEADBAND_M = 0.12
"""Half the room of 0.5 m goes to what dead reckoning does not know; the rest to this band and its overshoot."""
SAFE_DETUMBLE_ABOVE_RAD_S = 0.0873
"""5 deg/s: above this SAFE nulls the rates first."""
SAFE_POINT_BELOW_RAD_S = 0.0175
"""1 deg/s: below this it points at the Sun."""
SAFE_TURN_RAD_S = 0.0349
"""2 deg/s: how fast SAFE turns, slow enough for a star tracker and far from the limit above."""
PUSH_BELOW_RAD_S = 0.0873
"""5 deg/s: a craft that turns faster than its target asks for gets its rate back before it is pushed on."""
RADIANS = 0.017453292519943295
REST: Vec3 = (0.0, 0.0, 0.0)
LARGEST_STATE = 1e12
"""In any of m, m/s and rad/s: beyond it there is no number."""
NAVIGATED = frozenset({CommandClass.HOLD, CommandClass.ZTT_BURN, CommandClass.FTG_BURN, CommandClass.OVERRIDE})
"""Classes of command whose laws start from the navigation state."""
LEAST_REACH = 1e-3
"""N or N m about an axis below which nozzles count as not reaching it."""
ENERGY_COMMANDS = frozenset({"load", "load_clear", "dock_power", "sensor_profile"})
MODE_OF_PHASE = {Phase.BURN: Motion.BURN, Phase.COAST: Motion.COAST, Phase.BRAKE: Motion.BRAKE}
STEP_CODES = {
    StepOutcome.DONE: (Code.STEP_DONE, Severity.INFO),
    StepOutcome.TIMEOUT: (Code.STEP_TIMEOUT, Severity.WARNING),
    StepOutcome.REFUSED: (Code.STEP_REFUSED, Severity.WARNING),
}


def _none_failed(_now_ns: int) -> int:
    return 0


def _none_lost() -> int:
    return 0


class Commander:
    """Owner of the guidance law.

    Args:
        body: craft description.
        allocator: for the braking authority.
        supervisor: modes and gating.
        sequencer: the mission's steps.
        journal: where command records and events go.
        sun_inertial: direction to the Sun, inertial frame.
    """

    def __init__(
        self, body: BodyConfig, allocator: Allocator, supervisor: Supervisor, sequencer: Sequencer, journal: Journal,
        sun_inertial: Vec3,
    ) -> None:
        self._limits = dataclasses.replace(
            GuidanceLimits.from_body(body, allocator), position_deadband_m=HOLD_DEADBAND_M
        )
        self._idle_limits = dataclasses.replace(self._limits, attitude_deadband_rad=IDLE_DEADBAND_DEG * RADIANS)
        self._cells = body.power.array.normal
        self._supervisor = supervisor
        self._sequencer = sequencer
        self._journal = journal
        self._sun_inertial = sun_inertial
        self._law: GuidanceLaw = Drift(self._limits)
        self._law_name = "drift"
        self._safe_law: GuidanceLaw | None = None
        self._number = 0
        self._cut = False
        self._burn_step = ""
        """Step of the mission that gave the burn being flown."""
        self._body = body
        self._allocator = allocator
        self._failed = 0
        self._wholes: dict[int, bool] = {}
        self._exhausted_told = False
        self.burns = Burns(body, allocator, self._limits, journal)
        self.unavailable: Callable[[int], int] = _none_failed
        """Mask of the nozzles that can't fire at a time (ns), beside those that the supervisor has masked."""
        self.lost: Callable[[], int] = _none_lost
        """Mask of the nozzles that are not coming back by themselves, beside those that the supervisor has masked."""
        self.energy: EnergyManager | None = None
        """Who switches loads and takes power from a dock; ``None``: nobody, and such commands are refused."""
        self.arming = True
        """Whether arm and enable may be up (commands arm and disarm)."""
        self.target: Target | None = None
        """What the law asked for in the present window."""

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
    def step_name(self) -> str:
        """The mission's step being flown; empty after the last."""
        step = self._sequencer.current
        return step.name if step is not None else ""

    @property
    def position(self) -> tuple[int, int]:
        """Number of the step being flown, from 0, and how many there are."""
        return self._sequencer.position

    @property
    def records(self) -> list[StepRecord]:
        """Steps that have ended."""
        return self._sequencer.records

    @property
    def finished(self) -> bool:
        """Whether every step of the mission has ended."""
        return self._sequencer.finished

    @property
    def progress(self) -> tuple[int, int, float] | None:
        """Of a thrust profile: segments begun, segments in all, share of its time; ``None`` if none is flown."""
        return self._law.progress if isinstance(self._law, FlyProfile) else None

    def take_cut(self) -> bool:
        """Whether the present window is to be cut short; asks once. SAFE cuts an open-loop burn, whoever ordered it."""
        cut, self._cut = self._cut, False
        burn = self._burn()
        return cut or (burn is not None and self._supervisor.modes.motion is Motion.SAFE)

    def _burn(self) -> FlyProfile | FlyOverride | None:
        """The open-loop burn being flown."""
        law = self._law
        return law if isinstance(law, FlyProfile | FlyOverride) and not law.ended else None

    # -- the mission's steps

    def step(self, now_ns: int, nav: NavState, facts: Facts) -> None:
        """Give the next step's command, or follow the one being flown."""
        step = self._sequencer.to_give(now_ns)
        if step is not None and step.command is not None:
            record = self.order(step.command, step.arguments, "script", now_ns, nav, facts)
            if record.state is CommandState.REJECTED:
                ended = self._sequencer.refused(now_ns, f"{', '.join(record.codes)} {record.detail}".strip())
                self._tell_step(now_ns, ended.outcome, f"{ended.name}: {ended.detail}")
            return
        record_of_step = self._sequencer.watch(now_ns, self.settled, self._supervisor.modes.motion)
        if record_of_step is not None:
            detail = f": {record_of_step.detail}" if record_of_step.detail else ""
            self._tell_step(now_ns, record_of_step.outcome, f"{record_of_step.name}{detail}")

    def _tell_step(self, now_ns: int, outcome: StepOutcome, text: str) -> None:
        code, severity = STEP_CODES[outcome]
        self._journal.event(now_ns, code, severity, text)

    # -- commands

    def order(
        self, name: str, arguments: Mapping[str, Any], source: str, now_ns: int, nav: NavState, facts: Facts
    ) -> CommandRecord:
        """Take one command through validation and gating, and carry it out if it is allowed."""
        self._number += 1
        order = parse(self._number, name, arguments, source, now_ns)
        if isinstance(order, CommandRecord):
            self._journal.command(order)
            return order
        command_class, detail = COMMANDS[name].command_class, ""
        codes = self._supervisor.gate(command_class, facts)
        codes += confirmation(command_class, order.arguments.get("confirmed") is True)
        if command_class in NAVIGATED and not _plausible(nav):
            codes += () if Code.SENSOR_MISSING in codes else (Code.SENSOR_MISSING,)
        self._learn(now_ns, facts)
        if not codes and (name in PROFILES or name == "override_fire"):
            codes, detail = self._start_burn(order, now_ns, nav, facts)
        elif not codes:
            try:
                codes = self._carry_out(order, now_ns, nav, facts)
            except CommandRefused as error:
                codes, detail = (Code.CMD_VALIDATION_FAILED,), str(error)
        state = CommandState.REJECTED if codes else CommandState.ALLOWED
        record = CommandRecord(now_ns, order.number, name, source, state, codes, detail, order.arguments)
        self._journal.command(record)
        return record

    def _start_burn(
        self, order: Order, now_ns: int, nav: NavState, facts: Facts
    ) -> tuple[tuple[Code, ...], str]:
        """Start an open-loop burn; returns what spoke against it, and words for the record."""
        if order.name == "override_fire":
            law, codes, detail = self.burns.override(order.arguments, now_ns, nav)
        else:
            law, codes, detail = self.burns.profile(order.arguments, nav)
        if law is None:
            return codes, detail
        codes = self._hold_energy(law)
        if codes:
            return codes, "the energy budget"
        codes = self._fly(order.name, law, Motion.BURN, facts)
        if codes:
            self._free_energy()
        else:
            self._burn_step = self.step_name if order.source == "script" else ""
        return codes, detail

    def _hold_energy(self, law: FlyProfile | FlyOverride) -> tuple[Code, ...]:
        """A token for all that a burn takes; returns what speaks against it."""
        needed = self.burns.budget.taken
        if self.energy is None or needed is None or needed.energy_j <= 0.0:
            return ()
        return self.energy.peaks.burn(needed.peak_w, needed.energy_j, law.duration_s)

    def _free_energy(self) -> None:
        if self.energy is not None:
            self.energy.peaks.end_burn()

    def _learn(self, now_ns: int, facts: Facts) -> None:
        self._failed = self.lost()
        for nozzle in self._supervisor.masked:
            self._failed |= 1 << nozzle
        self.burns.learn(facts, self._failed | self.unavailable(now_ns))

    def _carry_out(self, order: Order, now_ns: int, nav: NavState, facts: Facts) -> tuple[Code, ...]:
        """Change mode and law; returns what spoke against it, and then nothing has changed.

        Raises CommandRefused for arguments that don't name one target.
        """
        name, supervisor = order.name, self._supervisor
        if name in ("detumble", "hold", "slew", "sun_track"):
            return self._fly(name, self._law_for(order, nav), Motion.MANOEUVRE, facts)
        if name in ("translate", "recover"):
            return self._fly(name, self._law_for(order, nav), Motion.BURN, facts)
        if name == "rendezvous":
            if nav.relative is None:
                return (Code.SENSOR_MISSING,)
            return self._fly(name, self._law_for(order, nav), Motion.DOCK, facts)
        if name == "brake":
            self._cut = True
            self.burns.disarm()
            codes = self._fly(name, self._brake_law(), Motion.BRAKE, facts)
            if not codes:
                self._journal.event(now_ns, Code.BRAKE_OVERRIDE, Severity.WARNING, f"ordered by {order.source}")
            return codes
        if name == "idle":
            if supervisor.keeper.reasons:
                # The way out of SAFE is safe_exit, which takes another authority.
                return (Code.SAFE_LOCKED,)
            return self._fly(name, self._idle_law(), Motion.IDLE, facts)
        if name == "safe":
            self._cut = True
            supervisor.enter_safe(Code.SAFE_ORDERED, facts)
        elif name == "safe_acknowledge":
            supervisor.keeper.acknowledge()
        elif name == "safe_exit":
            return self._fly(name, self._idle_law(), Motion.IDLE, facts)
        elif name == "emission":
            refusal = supervisor.modes.set_emission(Emission(order.arguments["level"]))
            if refusal is not None:
                return refusal.codes
            self._journal.event(now_ns, Code.EMISSION_CHANGED, Severity.INFO, str(order.arguments["level"]))
        elif name == "burn_stop":
            burn = self._burn()
            if burn is not None:
                self._cut = True
                burn.stop(f"stopped by {order.source}")
                self._tell_burn(now_ns)
        elif name == "override_arm":
            self.burns.arm(now_ns, order.source)
        elif name in ENERGY_COMMANDS:
            return self._feed(order)
        else:
            self.arming = name == "arm"
            self.burns.disarm()
        return ()

    def _feed(self, order: Order) -> tuple[Code, ...]:
        """Commands of the energy side; returns what speaks against one."""
        energy, arguments = self.energy, order.arguments
        if energy is None:
            return (Code.NOT_IMPLEMENTED,)
        if order.name == "load":
            return energy.want_load(arguments["name"], arguments["enabled"])
        if order.name == "load_clear":
            return energy.clear(arguments["name"])
        if order.name == "dock_power":
            return energy.feed_from_dock(arguments["enabled"])
        energy.set_profile(arguments["profile"])
        return ()

    def _fly(self, name: str, law: GuidanceLaw, mode: Motion, facts: Facts) -> tuple[Code, ...]:
        refusal = reach(self._supervisor, mode, facts)
        if refusal is not None:
            return refusal.codes
        self._end_burn(facts.t_ns, (), f"{name} is flown instead")
        self._law, self._law_name, self.target = law, name, None
        self._safe_law = None
        return ()

    def _end_burn(self, now_ns: int, codes: tuple[Code, ...], why: str) -> None:
        """End an open-loop burn, if there is one: with reasons against it, or because something else was wanted."""
        burn = self._burn()
        if burn is None:
            return
        if codes:
            burn.abort(codes, why)
        else:
            burn.stop(why)
        self._tell_burn(now_ns)

    def _tell_burn(self, now_ns: int) -> None:
        """What the burn did goes to the journal; its step of the mission ends as refused if it was aborted."""
        law = self._law
        if not isinstance(law, FlyProfile | FlyOverride):
            return
        for note in law.take_notes():
            self._journal.event(now_ns, note.code, note.severity, note.text)
            if note.code is Code.PROFILE_ABORTED and self._burn_step and self._burn_step == self.step_name:
                ended = self._sequencer.refused(now_ns, note.text)
                self._tell_step(now_ns, ended.outcome, f"{ended.name}: {ended.detail}")

    def _law_for(self, order: Order, nav: NavState) -> GuidanceLaw:
        """The law of a command. Raises CommandRefused when its arguments do not name one target."""
        limits, arguments = self._limits, order.arguments
        if order.name == "detumble":
            return Detumble(limits)
        if order.name == "hold":
            return Hold(limits)
        if order.name == "sun_track":
            return SunTrack(limits, self._cells, self._sun_inertial)
        if order.name == "translate":
            vector = arguments["vector_m"]
            if arguments.get("frame", "inertial") == "body":
                vector = rotate(nav.quaternion, vector)
            return Translate(limits, vector, speed_m_s=arguments.get("speed_m_s"))
        if order.name == "recover":
            return LostCluster(
                limits, self._body, self._allocator, self._failed, velocity=arguments.get("velocity_m_s", REST),
                propellant_kg=arguments.get("propellant_kg", inf),
            )
        if order.name == "rendezvous":
            try:
                return Rendezvous(
                    limits, arguments["offset_m"], keep_out_m=arguments.get("keep_out_m", 0.0),
                    speed_m_s=arguments.get("speed_m_s"), axis=arguments.get("axis"),
                )
            except ValueError as error:
                raise CommandRefused(f"rendezvous: {error}") from None
        given = set(arguments)
        if given == {"attitude"}:
            return Slew(limits, arguments["attitude"])
        if given == {"axis", "angle_deg"} and norm(arguments["axis"]) > 1e-6:
            turn = scale(unit(arguments["axis"]), arguments["angle_deg"] * RADIANS)
            return Slew(limits, multiply(nav.quaternion, quaternion_from_rotation_vector(turn)))
        raise CommandRefused("slew: give attitude, or axis (with a length) and angle_deg")

    def _brake_law(self) -> GuidanceLaw:
        """Against the velocity with all there is; with what is left, turning, where some direction can't be pushed."""
        if self._whole():
            return Brake(self._limits)
        return LostCluster(self._limits, self._body, self._allocator, self._failed)

    def _whole(self) -> bool:
        """Whether the nozzles that are left still push and turn in every direction."""
        known = self._wholes.get(self._failed)
        if known is None:
            reach = (
                self._allocator.largest_scale(_axis(index, sign), self._failed) for index in range(6)
                for sign in (1.0, -1.0)
            )
            known = self._wholes[self._failed] = min(reach) > LEAST_REACH
        return known

    def _fit_to_nozzles(self, now_ns: int) -> None:
        """A law that is flown learns of nozzles that have failed since; a brake that lost a direction turns first."""
        law = self._law
        if isinstance(law, LostCluster):
            law.set_failed(self._failed)
            if law.exhausted and not self._exhausted_told:
                text = f"{self._law_name}: what is left of the nozzles cannot reach it"
                self._journal.event(now_ns, Code.RCS_UNAVAILABLE, Severity.CRITICAL, text)
            self._exhausted_told = law.exhausted
        elif isinstance(law, Brake) and self._failed and not self._whole():
            self._law = self._brake_law()

    def _idle_law(self) -> GuidanceLaw:
        return Hold(self._idle_limits, keep_position=False)

    # -- guidance

    def guide(self, now_ns: int, nav: NavState, facts: Facts, directives: Directives) -> Target | None:
        """The target of the window that starts now; ``None`` keeps the valves shut.

        No law is asked about a navigation state that is no number: nothing is wanted in that window, and control
        counts it (ControlFault.NAVIGATION_NOT_FINITE).
        """
        motion = self._supervisor.modes.motion
        if motion is Motion.BOOT:
            self.target = None
            return None
        if not _plausible(nav):
            self.target = Target(Phase.DRIFT, False)
            return self.target
        if motion is Motion.SAFE:
            self.target = self._guide_in_safe(now_ns, nav, facts)
        else:
            self._learn(now_ns, facts)
            self._fit_to_nozzles(now_ns)
            self.target = self._law.update(now_ns, nav)
            if self._stands_against_burn(now_ns, nav, self.target, directives):
                self.target = self._law.update(now_ns, nav)
            if not self._follow(now_ns, self.target, facts):
                self.target = self._law.update(now_ns, nav)
            self._tell_burn(now_ns)
        if self._burn() is None:
            self._free_energy()
        target = self.target
        pushed = target.position is not None or target.velocity is not None or target.push_n is not None
        if pushed and (directives.bar_burns or _excess(nav, target) > PUSH_BELOW_RAD_S):
            return dataclasses.replace(target, position=None, velocity=None, acceleration=None, push_n=None)
        return target

    def _stands_against_burn(self, now_ns: int, nav: NavState, target: Target, directives: Directives) -> bool:
        """Whether an open-loop burn had to be ended now. What it missed it could not get back, so it does not wait."""
        if target.push_n is None or self._burn() is None:
            return False
        if directives.bar_burns:
            self._end_burn(now_ns, (Code.BUS_UNSTABLE,), "burns are barred")
        elif _excess(nav, target) > PUSH_BELOW_RAD_S:
            self._end_burn(now_ns, (Code.RATE_LIMIT,), "the craft turns too fast")
        return self._burn() is None

    def _guide_in_safe(self, now_ns: int, nav: NavState, facts: Facts) -> Target:
        rate = norm(nav.rate)
        law = self._safe_law
        if law is None or rate > SAFE_DETUMBLE_ABOVE_RAD_S:
            law = law if isinstance(law, Detumble) else Detumble(self._limits)
        if isinstance(law, Detumble) and rate < SAFE_POINT_BELOW_RAD_S:
            slow = dataclasses.replace(self._limits, slew_rate_rad_s=min(SAFE_TURN_RAD_S, self._limits.slew_rate_rad_s))
            law = SunTrack(slow, self._cells, self._sun_inertial)
        if isinstance(law, SunTrack):
            law.economy = facts.soc_supercap is None or facts.soc_supercap < facts.hold_soc
        self._safe_law = law
        self.burns.disarm()
        self._end_burn(now_ns, (Code.SAFE_LOCKED,), "SAFE")
        self._law, self._law_name = self._idle_law(), "safe"
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
            self._law, self._law_name = self._idle_law(), "idle"
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


def _plausible(nav: NavState) -> bool:
    """Whether attitude, rate, position and velocity are numbers that a craft can have."""
    return hypot(*nav.quaternion, *nav.rate, *nav.position, *nav.velocity) < LARGEST_STATE


def _axis(index: int, sign: float) -> tuple[float, ...]:
    return tuple(sign if i == index else 0.0 for i in range(6))


def _excess(nav: NavState, target: Target) -> float:
    """How much faster the craft turns than its target asks for, rad/s."""
    return norm(nav.rate if target.rate is None else subtract(nav.rate, target.rate))
