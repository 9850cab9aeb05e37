"""Gives the mission's commands and carries out what the desk lets through: one place where every order ends up.

Every command goes over the desk (``firmware_py/command_desk.py``), which asks all that can speak against it; only then
is a law changed (``firmware_py/flown_law.py``), or something switched (``firmware_py/command_upkeep.py``).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from math import isfinite
from typing import Any

from comms.dictionary import CommandRefused
from fdir.brake import Answer, answer, speed_in_tank, stopping
from fdir.codes import Code, Severity
from fdir.facts import Facts
from fdir.gate_facts import GateFacts
from fdir.gating import CommandClass
from fdir.modes import Emission, Motion
from fdir.supervisor import Directives, Supervisor
from firmware_py.burns import Burns
from firmware_py.command_desk import CommandDesk, Done
from firmware_py.command_effects import BurnSeen, Seen
from firmware_py.command_laws import IDLE_DEADBAND_DEG, Laws
from firmware_py.command_upkeep import UPKEEP, Housekeeper
from firmware_py.commands import PROFILES, CommandRecord, CommandRequest, CommandState, Order, onboard
from firmware_py.energy.manager import EnergyManager
from firmware_py.flown_law import FlownLaw, plausible
from firmware_py.gnc.allocation import Allocator
from firmware_py.gnc.burn_needs import STANDARD_GRAVITY
from firmware_py.gnc.estimator import NavState
from firmware_py.gnc.guidance import GuidanceLimits, Target
from firmware_py.journal import Journal
from firmware_py.link_orders import LINK_COMMANDS, PERCEPTION_COMMANDS, LinkOrders
from firmware_py.mission import Sequencer, StepOutcome, StepRecord
from firmware_py.parameters import ParameterPort
from hal.frames import Vec3, norm
from hal.profile import BodyConfig

__all__ = ["IDLE_DEADBAND_DEG", "Commander"]

NAVIGATED = frozenset({
    CommandClass.HOLD, CommandClass.ZTT_BURN, CommandClass.FTG_BURN, CommandClass.OVERRIDE, CommandClass.EVADE,
})
"""Classes of command whose laws start from the navigation state."""
FLOWN_IN = {
    "detumble": Motion.MANOEUVRE, "hold": Motion.MANOEUVRE, "slew": Motion.MANOEUVRE, "sun_track": Motion.MANOEUVRE,
    "translate": Motion.BURN, "recover": Motion.BURN, "rendezvous": Motion.DOCK,
}
"""Mode in which a command's law begins."""
STEP_CODES = {
    StepOutcome.DONE: (Code.STEP_DONE, Severity.INFO),
    StepOutcome.TIMEOUT: (Code.STEP_TIMEOUT, Severity.WARNING),
    StepOutcome.REFUSED: (Code.STEP_REFUSED, Severity.WARNING),
}
MISSION = "script"
"""The sender of the mission's commands."""


def _not_told() -> None:
    return None


class Commander:
    """Taker of commands, and flyer of the mission.

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
        self._body = body
        self._laws = Laws(body, allocator, sun_inertial)
        self._supervisor = supervisor
        self._sequencer = sequencer
        self._journal = journal
        self._burn_step = ""
        """Step of the mission that gave the burn being flown."""
        self._craft = GateFacts.of(body)
        self._keeper = Housekeeper(supervisor)
        self.desk = CommandDesk(supervisor, journal, lambda: self.known(self._craft), _objections, self._carry_out)
        """Where every command is taken in."""
        self.burns = Burns(body, allocator, self._laws.limits, journal)
        self.flown = FlownLaw(self._laws, self.burns, supervisor, journal)
        """The law that is flown."""
        self.flown.aborted = self._burn_aborted
        self.known: Callable[[GateFacts], GateFacts] = self._emission
        """What gating asks beside the facts, of what the body says of itself."""
        self.valves_armed: Callable[[], bool | None] = _not_told
        """Whether the lines and every valve node that answers are armed; ``None``: somewhere between."""
        self.link: LinkOrders | None = None
        """Who hands orders to the link; ``None``: this craft has none, and such commands are refused."""
        self.perception: LinkOrders | None = None
        """The same for the perception."""
        self.arming = True
        """Whether arm and enable may be up (commands arm and disarm)."""

    @property
    def energy(self) -> EnergyManager | None:
        """Who switches loads and takes power from a dock; ``None``: nobody, and such commands are refused."""
        return self._keeper.energy

    @energy.setter
    def energy(self, manager: EnergyManager | None) -> None:
        self._keeper.energy = self.flown.energy = manager

    @property
    def parameters(self) -> ParameterPort | None:
        """Who keeps the parameters; ``None``: nobody, and such commands are refused."""
        return self._keeper.parameters

    @parameters.setter
    def parameters(self, port: ParameterPort | None) -> None:
        self._keeper.parameters = port

    @property
    def safe_detumble_rad_s(self) -> float:
        """Rate above which SAFE nulls the rates first."""
        return self.flown.safe_detumble_rad_s

    @safe_detumble_rad_s.setter
    def safe_detumble_rad_s(self, rate: float) -> None:
        self.flown.safe_detumble_rad_s = rate

    @property
    def safe_point_rad_s(self) -> float:
        """Rate below which SAFE points the cells at the Sun."""
        return self.flown.safe_point_rad_s

    @safe_point_rad_s.setter
    def safe_point_rad_s(self, rate: float) -> None:
        self.flown.safe_point_rad_s = rate

    @property
    def limits(self) -> GuidanceLimits:
        """Limits of the laws made from now on."""
        return self._laws.limits

    def set_limits(self, limits: GuidanceLimits, idle_deadband_rad: float) -> None:
        """Limits of the laws made from now on, and the attitude dead-band of Idle."""
        self._laws.limits = self.burns.limits = limits
        self._laws.idle_deadband_rad = idle_deadband_rad

    @property
    def target(self) -> Target | None:
        """What the law asked for in the present window."""
        return self.flown.target

    @property
    def phase(self) -> str:
        """What is being flown, by name."""
        return self.flown.phase

    @property
    def settled(self) -> bool:
        """Whether the law's error has been under its dead-band for its settling time."""
        return self.flown.settled

    @property
    def segment_done(self) -> bool:
        """Whether no burn is under way."""
        return self.flown.segment_done

    @property
    def progress(self) -> tuple[int, int, float] | None:
        """Of a thrust profile: segments begun, segments in all, share of its time; ``None`` if none is flown."""
        return self.flown.progress

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
        return self.flown.take_cut()

    def guide(self, now_ns: int, nav: NavState, facts: Facts, directives: Directives) -> Target | None:
        """The target of the window that starts now; ``None`` keeps the valves shut."""
        return self.flown.guide(now_ns, nav, facts, directives)

    # -- the mission's steps

    def step(self, now_ns: int, nav: NavState, facts: Facts) -> None:
        """Look for effects that are awaited; give the next step's command, or follow the one being flown."""
        self.desk.watch(now_ns, lambda: self._see(now_ns, facts))
        step = self._sequencer.to_give(now_ns)
        if step is not None and step.command is not None:
            record = self.order(step.command, step.arguments, MISSION, now_ns, nav, facts)
            if record.state is CommandState.REJECTED:
                ended = self._sequencer.refused(now_ns, f"{', '.join(record.codes)} {record.detail}".strip())
                self._tell_step(now_ns, ended.outcome, f"{ended.name}: {ended.detail}")
            elif self.flown.burn_seen.number == record.number:
                self._burn_step = step.name
            return
        record_of_step = self._sequencer.watch(now_ns, self.settled, self._supervisor.modes.motion)
        if record_of_step is not None:
            detail = f": {record_of_step.detail}" if record_of_step.detail else ""
            self._tell_step(now_ns, record_of_step.outcome, f"{record_of_step.name}{detail}")

    def _tell_step(self, now_ns: int, outcome: StepOutcome, text: str) -> None:
        code, severity = STEP_CODES[outcome]
        self._journal.event(now_ns, code, severity, text)

    def _burn_aborted(self, now_ns: int, why: str) -> None:
        """The step of the mission that gave a burn ends as refused when the burn is aborted."""
        if self._burn_step and self._burn_step == self.step_name:
            ended = self._sequencer.refused(now_ns, why)
            self._tell_step(now_ns, ended.outcome, f"{ended.name}: {ended.detail}")

    # -- commands

    def order(
        self, name: str, arguments: Mapping[str, Any], source: str, now_ns: int, nav: NavState, facts: Facts
    ) -> CommandRecord:
        """Take one command of this program itself over the desk; ``source`` names what part of it asks."""
        return self.desk.take(onboard(self.desk.next_number(), name, arguments, source), now_ns, nav, facts)

    def take(self, request: CommandRequest, now_ns: int, nav: NavState, facts: Facts) -> CommandRecord:
        """Take one request from outside over the desk."""
        return self.desk.take(request, now_ns, nav, facts)

    def _emission(self, craft: GateFacts) -> GateFacts:
        return dataclasses.replace(craft, emission=self._supervisor.modes.emission)

    def _see(self, now_ns: int, facts: Facts) -> Seen:
        return Seen(
            facts, self._supervisor, self.flown.number, self.settled, self.flown.burn_seen,
            self.burns.armed(now_ns), self.valves_armed(), self.energy, self.link,
            self.perception,
        )

    def _start_burn(self, order: Order, now_ns: int, nav: NavState, facts: Facts) -> Done:
        """Start an open-loop burn."""
        if order.name == "override_fire":
            law, codes, detail = self.burns.override(order.arguments, now_ns, nav)
        else:
            law, codes, detail = self.burns.profile(order.arguments, nav)
        if law is None:
            return Done(codes, detail)
        codes = self.flown.hold_energy(law)
        if codes:
            return Done(codes, "the energy budget")
        codes = self.flown.fly(order, law, Motion.BURN, facts)
        if codes:
            self.flown.free_energy()
        else:
            self._burn_step = ""
            self.flown.burn_seen = BurnSeen(order.number)
        return Done(codes, detail, law.duration_s)

    def _carry_out(
        self, order: Order, request: CommandRequest, now_ns: int, nav: NavState, facts: Facts
    ) -> Done:
        """Carry out what nothing speaks against at the desk."""
        self.flown.learn(now_ns, facts)
        if order.name in PROFILES or order.name == "override_fire":
            return self._start_burn(order, now_ns, nav, facts)
        try:
            if order.name == "command_arm":
                return Done(self.desk.arm(order.arguments["name"], now_ns))
            if order.name in LINK_COMMANDS or order.name in PERCEPTION_COMMANDS:
                carrier = self.link if order.name in LINK_COMMANDS else self.perception
                return Done((Code.NOT_IMPLEMENTED,) if carrier is None else carrier.give(
                    order, request.authority, now_ns
                ))
            if order.name in UPKEEP:
                return Done(self._keeper.carry_out(order, request.authority, facts))
            return Done(self._change(order, now_ns, nav, facts))
        except CommandRefused as error:
            return Done((Code.CMD_VALIDATION_FAILED,), str(error))

    def _change(self, order: Order, now_ns: int, nav: NavState, facts: Facts) -> tuple[Code, ...]:
        """Change mode and law; returns what spoke against it, and then nothing has changed.

        Raises CommandRefused for arguments that don't name one target.
        """
        name, supervisor = order.name, self._supervisor
        if name in FLOWN_IN:
            if name == "rendezvous" and nav.relative is None:
                return (Code.SENSOR_MISSING,)
            return self.flown.fly(order, self._laws.of(order, nav, self.flown.failed), FLOWN_IN[name], facts)
        if name == "brake":
            self.flown.cut = True
            self.burns.disarm()
            codes = self.flown.fly(order, self._laws.brake(self.flown.failed), Motion.BRAKE, facts)
            if not codes:
                self._tell_brake(order, now_ns, facts)
            return codes
        if name == "evade":
            return self._evade(order, now_ns, facts)
        if name == "idle" and supervisor.modes.motion is Motion.BOOT:
            # Out of Boot leads the self-test alone.
            return (Code.SELF_TEST_PENDING,)
        if name == "idle" and supervisor.keeper.reasons:
            # The way out of SAFE is safe_exit, which takes another authority.
            return (Code.SAFE_LOCKED,)
        if name == "safe_exit" and supervisor.modes.motion is Motion.BRAKE:
            # A brake is flown to its end, and SAFE follows it.
            return (Code.SAFE_EXIT_CONDITIONS,)
        if name in ("idle", "safe_exit"):
            return self.flown.fly(order, self._laws.idle(), Motion.IDLE, facts)
        if name == "safe":
            self.flown.cut = True
            supervisor.enter_safe(Code.SAFE_ORDERED, facts)
        elif name == "safe_acknowledge":
            supervisor.keeper.acknowledge()
        elif name == "emission":
            refusal = supervisor.modes.set_emission(Emission(order.arguments["level"]))
            if refusal is not None:
                return refusal.codes
            self._journal.event(now_ns, Code.EMISSION_CHANGED, Severity.INFO, str(order.arguments["level"]))
        elif name == "burn_stop":
            burn = self.flown.burn()
            if burn is not None:
                self.flown.cut = True
                burn.stop(f"stopped by {order.source}")
                self.flown.tell_burn(now_ns)
        elif name == "override_arm":
            self.burns.arm(now_ns, order.source)
        else:
            self.arming = name == "arm"
            self.burns.disarm()
            self.desk.disarm()
        return ()

    def _evade(self, order: Order, now_ns: int, facts: Facts) -> tuple[Code, ...]:
        """An evasion, flown as a brake is: in its mode, over whatever is flown, out of SAFE too."""
        change = order.arguments["delta_v_m_s"]
        law = self._laws.evade(change, self.flown.failed)
        if law is None:
            return (Code.RCS_UNAVAILABLE,)
        mass = self._body.mass.dry_kg + facts.propellant_kg
        exhaust = self._body.propulsion.specific_impulse_s * STANDARD_GRAVITY
        if norm(change) > speed_in_tank(mass, facts.propellant_kg, exhaust):
            return (Code.WORKING_MASS_LOW,)
        codes = self.flown.fly(order, law, Motion.BRAKE, facts)
        if not codes:
            self.flown.cut = True
            self.burns.disarm()
            text = f"ordered by {order.source}: {norm(change):.2f} m/s"
            self._journal.event(now_ns, Code.EVADE_OVERRIDE, Severity.WARNING, text)
        return codes

    def _tell_brake(self, order: Order, now_ns: int, facts: Facts) -> None:
        """A brake is flown, and how far it takes; one that the tank cannot end is flown all the same, and said."""
        text, speed = f"ordered by {order.source}", facts.speed_m_s
        if speed is not None and isfinite(speed):
            mass = self._body.mass.dry_kg + facts.propellant_kg
            stop = stopping(speed, mass)
            text = f"{text}: {stop.time_s:.1f} s, {stop.distance_m:.1f} m"
            exhaust = self._body.propulsion.specific_impulse_s * STANDARD_GRAVITY
            if answer(speed, mass, facts.propellant_kg, exhaust) is Answer.EVADE:
                evade = "the tank cannot stop the craft: evade"
                self._journal.event(now_ns, Code.WORKING_MASS_LOW, Severity.CRITICAL, evade)
        self._journal.event(now_ns, Code.BRAKE_OVERRIDE, Severity.WARNING, text)


def _objections(command_class: CommandClass, nav: NavState) -> tuple[Code, ...]:
    return (Code.SENSOR_MISSING,) if command_class in NAVIGATED and not plausible(nav) else ()
