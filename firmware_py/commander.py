"""Turns commands into guidance laws and keeps the mode machine in step with what the law does.

A command is validated by the dictionary, gated by fdir, and only then changes the law. Whatever law is set, SAFE has
its own (null the rates, then point the cells at the Sun), and a bar on burns takes position and velocity out of any
target.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from comms.dictionary import COMMANDS
from fdir.codes import Code, Severity
from fdir.facts import Facts
from fdir.modes import Emission, Motion, Refusal
from fdir.supervisor import Directives, Supervisor
from firmware_py.commands import CommandRecord, CommandState, Order, parse
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
from firmware_py.journal import Journal
from firmware_py.mission import Sequencer, StepOutcome, StepRecord
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
MODE_OF_PHASE = {Phase.BURN: Motion.BURN, Phase.COAST: Motion.COAST, Phase.BRAKE: Motion.BRAKE}
STEP_CODES = {
    StepOutcome.DONE: (Code.STEP_DONE, Severity.INFO),
    StepOutcome.TIMEOUT: (Code.STEP_TIMEOUT, Severity.WARNING),
    StepOutcome.REFUSED: (Code.STEP_REFUSED, Severity.WARNING),
}


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

    def take_cut(self) -> bool:
        """Whether the present window is to be cut short; asks once."""
        cut, self._cut = self._cut, False
        return cut

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
        codes = self._supervisor.gate(COMMANDS[name].command_class, facts)
        if not codes:
            codes = self._carry_out(order, now_ns, nav, facts)
        state = CommandState.REJECTED if codes else CommandState.ALLOWED
        record = CommandRecord(now_ns, order.number, name, source, state, codes, "", order.arguments)
        self._journal.command(record)
        return record

    def _carry_out(self, order: Order, now_ns: int, nav: NavState, facts: Facts) -> tuple[Code, ...]:
        """Change mode and law; returns what spoke against it, and then nothing has changed."""
        name, supervisor = order.name, self._supervisor
        if name in ("detumble", "hold", "slew", "sun_track"):
            return self._fly(name, self._law_for(order, nav), Motion.MANOEUVRE, facts)
        if name == "translate":
            return self._fly(name, self._law_for(order, nav), Motion.BURN, facts)
        if name == "brake":
            self._cut = True
            codes = self._fly(name, Brake(self._limits), Motion.BRAKE, facts)
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
        else:
            self.arming = name == "arm"
        return ()

    def _fly(self, name: str, law: GuidanceLaw | None, mode: Motion, facts: Facts) -> tuple[Code, ...]:
        if law is None:
            return (Code.CMD_VALIDATION_FAILED,)
        refusal = self._reach(mode, facts)
        if refusal is not None:
            return refusal.codes
        self._law, self._law_name, self.target = law, name, None
        self._safe_law = None
        return ()

    def _reach(self, mode: Motion, facts: Facts) -> Refusal | None:
        """Go to a mode, by way of Idle where the table asks for it."""
        supervisor = self._supervisor
        if supervisor.modes.motion in (Motion.BRAKE, Motion.BURN) and mode is Motion.MANOEUVRE:
            refusal = supervisor.request_mode(Motion.IDLE, facts)
            if refusal is not None:
                return refusal
        return supervisor.request_mode(mode, facts)

    def _law_for(self, order: Order, nav: NavState) -> GuidanceLaw | None:
        """The law of a command; ``None`` when its arguments do not name one target."""
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
        given = set(arguments)
        if given == {"attitude"}:
            return Slew(limits, arguments["attitude"])
        if given == {"axis", "angle_deg"} and norm(arguments["axis"]) > 1e-6:
            turn = scale(unit(arguments["axis"]), arguments["angle_deg"] * RADIANS)
            return Slew(limits, multiply(nav.quaternion, quaternion_from_rotation_vector(turn)))
        return None

    def _idle_law(self) -> GuidanceLaw:
        return Hold(self._idle_limits, keep_position=False)

    # -- guidance

    def guide(self, now_ns: int, nav: NavState, facts: Facts, directives: Directives) -> Target | None:
        """The target of the window that starts now; ``None`` keeps the valves shut."""
        motion = self._supervisor.modes.motion
        if motion is Motion.BOOT:
            self.target = None
            return None
        if motion is Motion.SAFE:
            self.target = self._guide_in_safe(now_ns, nav, facts)
        else:
            self.target = self._law.update(now_ns, nav)
            self._follow(now_ns, self.target, facts)
        target = self.target
        excess = norm(subtract(nav.rate, target.rate)) if target.rate is not None else norm(nav.rate)
        pushed = target.position is not None or target.velocity is not None
        if pushed and (directives.bar_burns or excess > PUSH_BELOW_RAD_S):
            return dataclasses.replace(target, position=None, velocity=None)
        return target

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
        self._law, self._law_name = self._idle_law(), "safe"
        return law.update(now_ns, nav)

    def _follow(self, now_ns: int, target: Target, facts: Facts) -> None:
        """Bring the motion mode to what the law does; a refusal ends the law."""
        motion = self._supervisor.modes.motion
        wanted = MODE_OF_PHASE.get(target.phase)
        if wanted is None:
            if motion is Motion.BRAKE:
                wanted = Motion.IDLE if isinstance(self._law, Brake) else Motion.MANOEUVRE
            elif motion in (Motion.BURN, Motion.COAST):
                wanted = Motion.MANOEUVRE
        if wanted is None or wanted is motion:
            return
        now = dataclasses.replace(facts, settled=target.done, segment_done=target.phase is not Phase.BURN)
        if motion is Motion.BURN and wanted is Motion.MANOEUVRE:
            self._supervisor.request_mode(Motion.COAST, now)
        refusal = self._reach(wanted, now)
        if refusal is not None:
            codes = ", ".join(refusal.codes)
            self._journal.event(now_ns, Code.CMD_REJECTED, Severity.WARNING, f"{motion} -> {wanted}: {codes}")
            self._law, self._law_name = self._idle_law(), "idle"
