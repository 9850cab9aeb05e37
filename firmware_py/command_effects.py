"""What each command is to bring about, how that is seen, and how long it may take.

An acknowledgement is never an effect: every rule looks at the craft, not at who answered. What a command does to this
program's own tables alone (staging a parameter, counters) is done when its call returns, and nothing further can be
seen of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum, unique

from fdir.brake import END_SPEED_M_S
from fdir.codes import Code
from fdir.facts import Facts
from fdir.modes import Motion
from fdir.supervisor import Supervisor
from firmware_py.commands import Order
from firmware_py.energy.manager import EnergyManager
from firmware_py.energy.pdu_line import Obedience
from firmware_py.link_orders import LINK_COMMANDS, PERCEPTION_COMMANDS, LinkOrders

__all__ = ["EFFECTS", "BurnSeen", "EffectRule", "Seen", "Sight"]

VALVE_S = 2.0
LOCK_S = 10.0
"""Times to an effect of valves and of a lock (CANON section 15)."""


@unique
class Sight(StrEnum):
    """How much of an effect is seen."""

    NOTHING = "nothing"
    PART = "part"
    WHOLE = "whole"
    CUT = "cut short: a part is all there will be"
    GONE = "given up for something else"


@dataclass(frozen=True, slots=True)
class BurnSeen:
    """The last open-loop burn: the order that asked for it, whether it has begun to push, and the code of its end."""

    number: int = 0
    begun: bool = False
    end: Code | None = None


@dataclass(frozen=True, slots=True)
class Seen:
    """What there is to see. ``flown`` is the number of the order whose law is flown, 0 if none is."""

    facts: Facts
    supervisor: Supervisor
    flown: int
    settled: bool
    burn: BurnSeen
    override_armed: bool
    valves_armed: bool | None
    energy: EnergyManager | None
    link: LinkOrders | None = None
    perception: LinkOrders | None = None

    def carrier(self, name: str) -> LinkOrders | None:
        """Who carries out a command of this name outside the flight loop; ``None`` for one that stays in it."""
        if name in LINK_COMMANDS:
            return self.link
        return self.perception if name in PERCEPTION_COMMANDS else None


Look = Callable[[Seen, Order], Sight]


@dataclass(frozen=True, slots=True)
class EffectRule:
    """One command's effect: time that it may take (s; for a burn beyond its own length), how it is seen, in words."""

    within_s: float
    look: Look
    text: str


def _whole_if(seen: bool) -> Sight:
    return Sight.WHOLE if seen else Sight.NOTHING


def _attitude(seen: Seen, order: Order) -> Sight:
    if seen.flown != order.number:
        return Sight.GONE
    if seen.supervisor.modes.motion is not Motion.MANOEUVRE:
        return Sight.NOTHING
    return Sight.WHOLE if seen.settled else Sight.PART


def _move(seen: Seen, order: Order) -> Sight:
    if seen.flown != order.number:
        return Sight.GONE
    return Sight.WHOLE if seen.settled else Sight.PART


def _brake(seen: Seen, order: Order) -> Sight:
    speed = seen.facts.speed_m_s
    if speed is not None and speed <= END_SPEED_M_S:
        return Sight.WHOLE
    if seen.flown != order.number:
        return Sight.GONE
    # Out of Brake and still moving: what is left of the nozzles or of the tank could do no more.
    return Sight.PART if seen.supervisor.modes.motion is Motion.BRAKE else Sight.CUT


def _evade(seen: Seen, order: Order) -> Sight:
    if seen.flown != order.number:
        return Sight.GONE
    if seen.settled:
        return Sight.WHOLE
    return Sight.PART if seen.supervisor.modes.motion is Motion.BRAKE else Sight.CUT


def _idle(seen: Seen, order: Order) -> Sight:
    if seen.flown != order.number:
        return Sight.GONE
    return _whole_if(seen.supervisor.modes.motion is Motion.IDLE)


def _burn(seen: Seen, order: Order) -> Sight:
    burn = seen.burn
    if burn.number != order.number:
        return Sight.GONE
    if burn.end is Code.PROFILE_DONE:
        return Sight.WHOLE
    if burn.end is not None:
        return Sight.CUT if burn.begun else Sight.GONE
    return Sight.PART if burn.begun else Sight.NOTHING


def _burn_over(seen: Seen, _order: Order) -> Sight:
    return _whole_if(seen.burn.number == 0 or seen.burn.end is not None)


def _safe(seen: Seen, _order: Order) -> Sight:
    return _whole_if(seen.supervisor.modes.motion is Motion.SAFE)


def _acknowledged(seen: Seen, _order: Order) -> Sight:
    keeper = seen.supervisor.keeper
    return _whole_if(keeper.acknowledged or not keeper.reasons)


def _out_of_safe(seen: Seen, _order: Order) -> Sight:
    return _whole_if(not seen.supervisor.keeper.reasons and seen.supervisor.modes.motion is not Motion.SAFE)


def _emission(seen: Seen, order: Order) -> Sight:
    return _whole_if(seen.supervisor.modes.emission == order.arguments["level"])


def _armed(seen: Seen, _order: Order) -> Sight:
    return _whole_if(seen.valves_armed is True)


def _disarmed(seen: Seen, _order: Order) -> Sight:
    return _whole_if(seen.valves_armed is False)


def _override_armed(seen: Seen, _order: Order) -> Sight:
    return _whole_if(seen.override_armed)


def _load(seen: Seen, order: Order) -> Sight:
    answer = None if seen.energy is None else seen.energy.loads.answers.get(order.arguments["name"])
    if answer is None or answer.on is not order.arguments["enabled"]:
        return Sight.NOTHING
    # The rail was told; only its current says that it has obeyed.
    return {Obedience.OBEYS: Sight.WHOLE, Obedience.UNKNOWN: Sight.PART}.get(answer.obedience, Sight.NOTHING)


def _cleared_load(seen: Seen, order: Order) -> Sight:
    energy, name = seen.energy, order.arguments["name"]
    if energy is None:
        return Sight.NOTHING
    if name == "dock" and energy.dock is not None:
        return _whole_if(energy.dock.word != "latched")
    answer = energy.loads.answers.get(name)
    return _whole_if(answer is not None and Code.PDU_OVERCURRENT not in answer.codes)


def _dock(seen: Seen, order: Order) -> Sight:
    if seen.energy is None or seen.energy.dock is None:
        return Sight.NOTHING
    word = seen.energy.dock.word
    if order.arguments["enabled"]:
        return Sight.PART if word == "soft_start" else _whole_if(word == "on")
    return _whole_if(word == "off")


def _profile(seen: Seen, order: Order) -> Sight:
    profile = None if seen.energy is None else seen.energy.duties.profile
    return _whole_if(profile is not None and profile.name.lower() == order.arguments["profile"])


def _monitor(seen: Seen, order: Order) -> Sight:
    name, enabled = order.arguments["name"], order.arguments["enabled"]
    states = seen.supervisor.bank.states
    return _whole_if(any(state.monitor.name == name and state.enabled is enabled for state in states))


def _fault_over(seen: Seen, order: Order) -> Sight:
    return _whole_if(order.arguments["name"] not in seen.supervisor.bank.active())


def _at_once(_seen: Seen, _order: Order) -> Sight:
    return Sight.WHOLE


def _by_carrier(seen: Seen, order: Order) -> Sight:
    carrier = seen.carrier(order.name)
    outcome = None if carrier is None else carrier.outcome(order.number)
    if outcome is None:
        return Sight.NOTHING
    return Sight.WHOLE if outcome else Sight.GONE


_SETTLED = "its law is flown in Manoeuvre and has settled"
_THERE = "its law is flown and has settled"
_FLOWN = "flown to its end"
_TABLE = "done when the call returns"
_TOLD = "the link says that it is done"
PACKET_S = 1200.0
TRANSFER_S = 7200.0
EFFECTS: dict[str, EffectRule] = {
    "idle": EffectRule(VALVE_S, _idle, "motion is Idle"),
    "detumble": EffectRule(600.0, _attitude, _SETTLED),
    "hold": EffectRule(600.0, _attitude, _SETTLED),
    "slew": EffectRule(600.0, _attitude, _SETTLED),
    "sun_track": EffectRule(1800.0, _attitude, _SETTLED),
    "translate": EffectRule(7200.0, _move, _THERE),
    "brake": EffectRule(300.0, _brake, "speed at or below 0.05 m/s"),
    "evade": EffectRule(60.0, _evade, "the change of velocity is made"),
    "safe": EffectRule(VALVE_S, _safe, "motion is SAFE"),
    "safe_acknowledge": EffectRule(VALVE_S, _acknowledged, "the reasons of SAFE are acknowledged"),
    "safe_exit": EffectRule(VALVE_S, _out_of_safe, "no reason of SAFE is left"),
    "emission": EffectRule(VALVE_S, _emission, "emission is at the level"),
    "disarm": EffectRule(VALVE_S, _disarmed, "arm and enable are down"),
    "arm": EffectRule(VALVE_S, _armed, "arm and enable are up, every node that answers is armed"),
    "burn": EffectRule(5.0, _burn, _FLOWN),
    "boost_burn": EffectRule(5.0, _burn, _FLOWN),
    "burn_stop": EffectRule(VALVE_S, _burn_over, "no open-loop burn is flown"),
    "override_arm": EffectRule(VALVE_S, _override_armed, "override_fire is let through"),
    "override_fire": EffectRule(5.0, _burn, _FLOWN),
    "rendezvous": EffectRule(7200.0, _move, _THERE),
    "recover": EffectRule(1800.0, _move, _THERE),
    "load": EffectRule(LOCK_S, _load, "the rail was told, and its current says so"),
    "load_clear": EffectRule(VALVE_S, _cleared_load, "the line, or the dock, is not held open"),
    "dock_power": EffectRule(LOCK_S, _dock, "the feed is on, or off"),
    "sensor_profile": EffectRule(VALVE_S, _profile, "the profile is the one in use"),
    "monitor_enable": EffectRule(VALVE_S, _monitor, "the monitor judges, or does not"),
    "monitor_reset_counters": EffectRule(VALVE_S, _at_once, _TABLE),
    "fault_clear": EffectRule(LOCK_S, _fault_over, "the fault does not stand"),
    "param_set": EffectRule(VALVE_S, _at_once, _TABLE),
    "param_activate": EffectRule(VALVE_S, _at_once, _TABLE),
    "param_rollback": EffectRule(VALVE_S, _at_once, _TABLE),
    "command_arm": EffectRule(VALVE_S, _at_once, _TABLE),
    **{name: EffectRule(LOCK_S, _by_carrier, _TOLD) for name in sorted(LINK_COMMANDS)},
    **{name: EffectRule(LOCK_S, _by_carrier, "the perception says that it is done")
       for name in sorted(PERCEPTION_COMMANDS)},
    "nbl_send": EffectRule(PACKET_S, _by_carrier, "the packet was sent; whether it arrived is not known"),
    "file_send": EffectRule(TRANSFER_S, _by_carrier, "the file is there whole, as the receiver says"),
    "sequence_start": EffectRule(LOCK_S, _by_carrier, "the sequence runs"),
}
"""The effect of every command of the dictionary."""
