"""Lines of the link by a word: ``udp:192.168.4.1:7600``, ``serial:/dev/ttyUSB0``, ``can:can0``, ``pty:/dev/pts/3``.

Each kind has a modem profile of its own (board_configs/modems.yaml); ``--modem`` names another one of that kind. On the
craft ``pty:`` alone makes a pseudo-terminal, whose name a program on the same machine then opens.
"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic_ns
from typing import NamedTuple

from comms.emcon import Transmitter
from comms.link.end import Line
from comms.transports.modem import ModemProfile, load_modems
from comms.transports.opening import ABOARD, open_transport
from comms.transports.pty_line import PtyPort
from drivers.errors import DeviceError

__all__ = ["KINDS", "LineError", "Opened", "open_line"]

PROFILES = {"udp": "lan", "serial": "bench_uart", "pty": "pty", "can": "dock_can"}
KINDS = tuple(PROFILES)
EXAMPLES = "udp:192.168.4.1:7600, serial:/dev/ttyUSB0, can:can0, pty:/dev/pts/3"


class LineError(Exception):
    """A line can't be opened: what is wrong, and what to do."""

    def __init__(self, message: str, next_step: str) -> None:
        super().__init__(message)
        self.next_step = next_step


class Opened(NamedTuple):
    """An open line, its profile, and the peer's address on it where it needs one."""

    line: Line
    profile: ModemProfile
    peer: str
    name: str
    """Word of the line; of a pseudo-terminal that was made, the one for its other end."""


def open_line(
    word: str, side: str, modem: str | None = None, now_ns: Callable[[], int] = monotonic_ns, name: str | None = None
) -> Opened:
    """Open a line by its word, on the craft or on the ground. Raises LineError."""
    kind, colon, rest = word.partition(":")
    rest = rest.removeprefix("//")
    made = kind == "pty" and side == ABOARD and not rest
    if not colon or kind not in PROFILES or not (rest or made):
        raise LineError(f"{word!r} is no line", f"such as {EXAMPLES}")
    profiles = load_modems()
    chosen = PROFILES[kind] if modem is None else modem
    profile = profiles.get(chosen)
    if profile is None or (profile.kind != kind and {profile.kind, kind} != {"serial", "pty"}):
        fitting = ", ".join(name for name, one in profiles.items() if one.kind == kind)
        raise LineError(f"no modem {chosen!r} for a {kind} line", f"modems of that kind: {fitting}")
    device, bind, peer = rest, None, ""
    if kind == "udp" and side == ABOARD:
        device, bind = "", rest
    elif kind == "udp":
        peer = rest
    try:
        port = PtyPort(word) if made else None
        word = word if port is None else f"{word}{port.path}"
        transport = open_transport(
            name or word, profile, side, now_ns, device=device or None, bind=bind, bus=port,
        )
    except (DeviceError, ValueError, OSError) as error:
        raise LineError(f"{word}: {error}", "see that it is there, free, and that you may open it") from None
    transmitter = profile.transmitter if side == ABOARD else Transmitter.CABLE
    return Opened(Line(transport, transmitter, profile.joules_per_byte), profile, peer, word)


