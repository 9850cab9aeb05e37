"""Commands to the link, declared once: emission control, the emergency channel, channels, files, sequences, keys."""

from __future__ import annotations

from comms.channel_plan import ChannelKind, QosClass
from comms.dictionary.layouts import LAYOUTS
from comms.dictionary.types import Argument, Authority, Command, Kind
from fdir.gating import CommandClass

__all__ = ["LINK_COMMANDS", "MOST_COUNT", "NBL_CRITICALITIES", "NBL_PAYLOADS"]

NBL_PAYLOADS = ("distress", "minimal_state", "beacon", "command_ack")
"""Classes of payload that the emergency channel takes (CANON section 11)."""
NBL_CRITICALITIES = ("critical", "emergency", "non-critical")
"""Criticalities of an emergency packet; the last one is never sent, and its refusal has a code of its own."""
MOST_COUNT = 0xFFFF_FFFF
_K, _A, _C = Kind, Authority, CommandClass


def _name(text: str, most: int = 32) -> Argument:
    return Argument("name", _K.TEXT, "-", text, 1.0, float(most))


_FILE = _name("file of the craft's store", 64)
_TRANSACTION = Argument("transaction", _K.INTEGER, "-", "number of the transfer", 0.0, float(MOST_COUNT))
_CONFIRMED = Argument("confirmed", _K.FLAG, "-", "must be true: nothing is done without", required=False)

LINK_COMMANDS = (
    Command(31, "emcon", _C.STATUS, _A.CONTROLLER,
            "Set the level of emission control over every transmitter of the link.", (
                Argument("level", _K.INTEGER, "-", "0 open; 1 no bulk, no science; 2 receive only; 3 full silence",
                         0.0, 3.0),
            )),
    Command(32, "nbl_send", _C.NBL_CRITICAL, _A.CONTROLLER,
            "Send one emergency packet, if every gate of the emergency channel lets it through.", (
                Argument("payload_class", _K.CHOICE, "-", "what the packet carries", choices=NBL_PAYLOADS),
                Argument("criticality", _K.CHOICE, "-", "how much hangs on it", choices=NBL_CRITICALITIES),
                Argument("confirmed", _K.FLAG, "-", "must be true outside SAFE", required=False),
            )),
    Command(33, "nbl_set", _C.SWITCH, _A.ENGINEER, "Switch the emergency channel, and bound what it may draw.", (
        Argument("enabled", _K.FLAG, "-", "it may send"),
        Argument("max_w", _K.NUMBER, "W", "most mean power from the bus; as before if not given", 1.0, 20.0,
                 required=False),
    )),
    Command(34, "channel_create", _C.STATUS, _A.ENGINEER, "Open a further channel with all peers.", (
        _name("name of the channel"),
        Argument("kind", _K.CHOICE, "-", "what it is for; binds its cipher suite",
                 choices=tuple(kind for kind in ChannelKind if kind is not ChannelKind.NBL)),
        Argument("qos", _K.CHOICE, "-", "class of service", choices=tuple(qos.name.lower() for qos in QosClass)),
        Argument("end_to_end", _K.FLAG, "-", "opened by craft and ground alone, relays stay blind"),
    )),
    Command(35, "channel_close", _C.STATUS, _A.ENGINEER, "Close a channel that was created.", (
        _name("name of the channel"),)),
    Command(36, "telemetry_rate", _C.STATUS, _A.CONTROLLER, "Set how often a group of telemetry is sent.", (
        Argument("group", _K.CHOICE, "-", "group of channels", choices=tuple(LAYOUTS)),
        Argument("rate_hz", _K.NUMBER, "Hz", "at most so often; 0 sends none", 0.0, 20.0),
    )),
    # Its frames are gated one by one where they are sent: charge, heat, SAFE and emission control cut the channel.
    Command(37, "file_send", _C.STATUS, _A.CONTROLLER, "Send a file of the craft's store down.", (_FILE,)),
    Command(38, "file_list", _C.STATUS, _A.VIEWER, "List the files of the craft's store."),
    Command(39, "file_delete", _C.STATUS, _A.ENGINEER, "Delete a file of the craft's store.", (_FILE,)),
    Command(40, "file_suspend", _C.STATUS, _A.CONTROLLER, "Suspend a file transfer.", (_TRANSACTION,)),
    Command(41, "file_resume", _C.STATUS, _A.CONTROLLER, "Resume a suspended file transfer.", (_TRANSACTION,)),
    Command(42, "file_cancel", _C.STATUS, _A.CONTROLLER, "Cancel a file transfer.", (_TRANSACTION,)),
    Command(43, "sequence_load", _C.STATUS, _A.CONTROLLER,
            "Check and seal a sequence of commands from a file of the store; nothing is begun.", (_FILE,)),
    Command(44, "sequence_start", _C.MODE_CHANGE, _A.CONTROLLER,
            "Begin a sequence that was loaded. Each of its commands meets its own gates.", (
                _name("sequence", 64), _CONFIRMED)),
    Command(45, "sequence_stop", _C.STATUS, _A.CONTROLLER, "End the running sequence; what it began goes on."),
    Command(46, "key_renew", _C.UPDATE, _A.SAFETY,
            "Renew the shared secret of this session's peer, at a dock or on a bench.", (_CONFIRMED,)),
    Command(47, "key_rotate", _C.STATUS, _A.ENGINEER, "Go to the next epoch of every session's keys now."),
    Command(48, "link_drop", _C.STATUS, _A.ENGINEER, "End the session of a peer; it may shake hands anew.", (
        Argument("peer", _K.TEXT, "-", "name of the pinned peer", 1.0, 32.0),)),
    Command(49, "ping", _C.STATUS, _A.VIEWER, "Answer with the same number.", (
        Argument("number", _K.INTEGER, "-", "comes back", 0.0, float(MOST_COUNT)),)),
    Command(50, "command_arm", _C.MODE_CHANGE, _A.SAFETY,
            "Let one command through that does nothing unarmed, within 60 s.", (
                Argument("name", _K.TEXT, "-", "command of a class that is armed first", 1.0, 32.0), _CONFIRMED)),
    Command(51, "emcon_release", _C.MODE_CHANGE, _A.SAFETY,
            "Let one critical emergency packet out of a silence, within 10 min.", (_CONFIRMED,)),
)
"""Ids go on from those of the craft."""
