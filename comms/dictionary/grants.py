"""Who may give which command, over what kind of channel, at which emission level; what is not listed is denied.

This is the link's own gate, in front of the flight loop's: a role that a key does not have, a command that nobody
declared, a channel that carries no commands and an unknown level all end here, before anything is handed on.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from comms.channel_plan import ChannelKind
from comms.dictionary.commands import COMMANDS
from comms.dictionary.types import Authority
from fdir.codes import Code

__all__ = ["COMMAND_CHANNELS", "EMCON_LEVELS", "MOST_EMCON", "grant"]

EMCON_LEVELS = (0, 1, 2, 3)
"""Open; no bulk, no science; receive only; full silence (CANON section 11)."""
COMMAND_CHANNELS = frozenset({ChannelKind.CONTROL, ChannelKind.SERVICE})
"""Kinds of channel that carry commands: control itself, and service for the debug shell's lines."""
MOST_EMCON: dict[str, int] = {"file_send": 0, "nbl_send": 1}
"""Strictest level at which a command that makes the craft radiate is still taken; all others are at every level."""


def grant(
    authority: object, name: object, channel: object, emcon: object, arguments: Mapping[str, Any] | None = None
) -> tuple[Code, ...]:
    """Every reason against a command; empty means granted.

    Args:
        authority: role of the peer's key.
        name: the command.
        channel: kind of the channel over which it came.
        emcon: level of emission control, 0 to 3; anything else, and ``None`` for unknown, is denied.
        arguments: of the command. A confirmed critical emergency packet passes at every level: giving that command is
            the operator's release.
    """
    command = COMMANDS.get(name) if isinstance(name, str) else None
    known = isinstance(authority, Authority) and isinstance(channel, ChannelKind) and command is not None
    if not known or type(emcon) is not int or emcon not in EMCON_LEVELS:
        return (Code.CMD_UNAUTHORIZED,)
    assert isinstance(authority, Authority)
    assert command is not None
    codes: tuple[Code, ...] = ()
    if not authority.covers(command.authority):
        codes += (Code.CMD_UNAUTHORIZED,)
    if channel not in COMMAND_CHANNELS:
        codes += (Code.COMMS_UNAUTHORIZED,)
    if emcon > MOST_EMCON.get(command.name, EMCON_LEVELS[-1]) and not _released(command.name, arguments):
        codes += (Code.EMCON_BLOCK,)
    return codes


def _released(name: str, arguments: Mapping[str, Any] | None) -> bool:
    given = {} if arguments is None else arguments
    return name == "nbl_send" and given.get("criticality") == "critical" and given.get("confirmed") is True
