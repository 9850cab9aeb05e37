"""Moves of the motion region that take two steps of the mode table: both are made, or none.

The table lists single steps. What an order or a law asks for may lie two of them away, by way of a mode in between.
"""

from __future__ import annotations

from fdir.facts import Facts
from fdir.modes import TRANSITIONS, Motion, Refusal
from fdir.supervisor import Supervisor

__all__ = ["come_to_rest", "reach"]

BY_WAY_OF = {
    (Motion.BRAKE, Motion.MANOEUVRE): Motion.IDLE, (Motion.BURN, Motion.MANOEUVRE): Motion.IDLE,
    (Motion.BRAKE, Motion.DOCK): Motion.IDLE, (Motion.BURN, Motion.DOCK): Motion.IDLE,
    (Motion.COAST, Motion.DOCK): Motion.IDLE, (Motion.BRAKE, Motion.BURN): Motion.IDLE,
    (Motion.DOCK, Motion.BURN): Motion.MANOEUVRE,
}
"""Moves of two steps, and the mode between; the table of modes lists none of them."""


def reach(supervisor: Supervisor, mode: Motion, facts: Facts, boost: bool = False) -> Refusal | None:
    """Go to a mode, by way of another where the table asks for it; refused at either step, nothing has changed.

    ``boost``: to Burn, for a burn at FTG, whose guard asks for more.
    """
    motion = supervisor.modes.motion
    # A brake out of SAFE ends in SAFE, whatever is asked for after it: that is one step, and no refusal.
    between = None if supervisor.keeper.reasons else BY_WAY_OF.get((motion, mode))
    if between is not None:
        first = supervisor.modes.check(between, facts)
        codes = () if first is None else first.codes
        codes += tuple(code for code in TRANSITIONS[between, mode].refusals(facts, boost=boost) if code not in codes)
        if codes:
            return Refusal(motion, mode, codes)
        supervisor.request_mode(between, facts)
    elif boost and mode is not motion:
        refusal = supervisor.modes.check(mode, facts, boost)
        if refusal is not None:
            return refusal
    return supervisor.request_mode(mode, facts)


def come_to_rest(supervisor: Supervisor, facts: Facts) -> None:
    """To Idle, by way of Coast while the craft moves, as far as the table lets it: nothing is flown any more."""
    if supervisor.request_mode(Motion.IDLE, facts) is not None:
        supervisor.request_mode(Motion.COAST, facts)
        supervisor.request_mode(Motion.IDLE, facts)
