"""Commands to the perception, declared once: its mode, what it is asked, and threats that an operator knows of."""

from __future__ import annotations

from comms.dictionary.types import Argument, Authority, Command, Kind
from fdir.gating import CommandClass

__all__ = ["PERCEPTION_COMMANDS", "PERCEPTION_MODES", "PERCEPTION_QUESTIONS", "RISK_LEVELS"]

PERCEPTION_MODES = ("auto", "navigation", "approach", "cartography", "science")
"""Modes an operator may choose; SAFE is not chosen, it follows the craft."""
PERCEPTION_QUESTIONS = ("tracks", "grid", "composition", "field")
RISK_LEVELS = ("ok", "warn", "crit")
_K, _A, _C = Kind, Authority, CommandClass
_REACH_M = 100_000.0

PERCEPTION_COMMANDS = (
    Command(53, "perception_mode", _C.STATUS, _A.CONTROLLER,
            "Choose what the sensors look for while energy is no question; auto follows the craft's motion.", (
                Argument("mode", _K.CHOICE, "-", "mode", choices=PERCEPTION_MODES),
            )),
    Command(54, "perception_query", _C.STATUS, _A.VIEWER,
            "Ask for tracks, or for a region of a map; the answer is the telemetry channel perception_answer.", (
                Argument("what", _K.CHOICE, "-", "what is asked for", choices=PERCEPTION_QUESTIONS),
                Argument("track_id", _K.INTEGER, "-", "this track alone", 0.0, float(0x7FFF_FFFF), required=False),
                Argument("low_m", _K.VECTOR3, "m", "lowest corner of a box, inertial axes", -_REACH_M, _REACH_M,
                         required=False),
                Argument("high_m", _K.VECTOR3, "m", "highest corner of it", -_REACH_M, _REACH_M, required=False),
                Argument("risk", _K.CHOICE, "-", "at least at this level", choices=RISK_LEVELS, required=False),
                Argument("newer_s", _K.NUMBER, "s", "measured within the last so many seconds", 0.0, 3600.0,
                         required=False),
            )),
    Command(55, "threat_acknowledge", _C.STATUS, _A.CONTROLLER,
            "Mute the alerts of one track for 10 s; braking and evading are not muted.", (
                Argument("track_id", _K.INTEGER, "-", "track", 0.0, float(0x7FFF_FFFF)),
            )),
)
"""Ids go on from those of the craft's own."""
