"""The port between the flight loop and the link: two bounded queues, and nobody waits.

Down go snapshots of telemetry, events, stages of commands, orders to the link and what the link must know of the craft;
up come requests and answers. In a simulation and in lockstep ``LocalPort`` joins both in one process; beside a real
flight loop the same messages go over a socket.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from comms.bounded import BoundedQueue
from comms.dictionary import Authority
from fdir.modes import Emission

__all__ = [
    "CommandStage", "CraftState", "EnergyAsk", "EnergyVerdict", "EventNote", "LinkOrder", "LinkReport", "LocalPort",
    "Message", "ParameterValues", "Port", "Snapshot", "UplinkRequest",
]


@dataclass(frozen=True, slots=True)
class CraftState:
    """What the link must know of the craft; ``None`` is unknown. States of charge are fractions, times flight ns."""

    now_ns: int
    start: int | None
    motion: str
    emission: Emission
    safe_reasons: tuple[str, ...] = ()
    soc_supercap: float | None = None
    soc_battery: float | None = None
    core_c: float | None = None
    core_tripped: bool | None = None
    pdu_tripped: bool | None = None
    comms_c: float | None = None
    firing: bool = False
    """Valves are open or about to open."""
    nbl_load: bool | None = None
    """The distribution unit lets the transmitter through."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Telemetry by channel name at one moment; ``None`` is missing."""

    t_ns: int
    values: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class EventNote:
    """Something happened on the craft."""

    t_ns: int
    code: str
    severity: str
    text: str


@dataclass(frozen=True, slots=True)
class CommandStage:
    """A command reached a stage of its life. ``command_id`` is that of the request, empty for the craft's own."""

    t_ns: int
    number: int
    command_id: str
    sender: str
    name: str
    stage: str
    codes: tuple[str, ...] = ()
    detail: str = ""


@dataclass(frozen=True, slots=True)
class LinkOrder:
    """Something that a command told the link to do, after all gates: name and arguments are the dictionary's."""

    t_ns: int
    number: int
    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    sender: str = ""
    authority: Authority = Authority.VIEWER
    """Who gave the command, and with which role."""


@dataclass(frozen=True, slots=True)
class UplinkRequest:
    """A command that a peer asked for over an authenticated channel. The link vouches for sender and authority."""

    command_id: str
    name: str
    arguments: Mapping[str, Any]
    sender: str
    authority: Authority
    sequence: int
    not_before_ns: int | None = None
    not_after_ns: int | None = None
    start: int | None = None
    priority: str = "normal"
    confirmed: bool = False


@dataclass(frozen=True, slots=True)
class LinkReport:
    """What the link tells the craft: when a valid uplink last came in, events, energy used, an order's outcome."""

    t_ns: int
    heard_ns: int | None = None
    events: tuple[EventNote, ...] = ()
    radio_ready: bool | None = None
    telemetry: Mapping[str, Any] = field(default_factory=dict)
    """Values of the link's own telemetry channels."""
    used_j: float = 0.0
    """Energy that packets have used since the last report."""
    finished: tuple[tuple[int, bool, str], ...] = ()
    """Orders that have ended: number, whether well, words."""


@dataclass(frozen=True, slots=True)
class EnergyAsk:
    """The link wants energy for a packet, or gives it back (``watts`` 0), telling what was used."""

    consumer: str
    watts: float
    joules: float
    seconds: float
    used_j: float = 0.0


@dataclass(frozen=True, slots=True)
class EnergyVerdict:
    """What the energy budget says now of what the link asked for: granted or not, and why not."""

    consumer: str
    granted: bool
    codes: tuple[str, ...] = ()
    when_ns: int | None = None
    """From when a refused request can succeed, if that is known."""


@dataclass(frozen=True, slots=True)
class ParameterValues:
    """Values of parameters that are flown, by name; told when they have changed, and now and then."""

    set_number: int
    values: Mapping[str, bool | int | float | str]


Message = (
    CraftState | Snapshot | EventNote | CommandStage | LinkOrder | UplinkRequest | LinkReport | EnergyAsk
    | EnergyVerdict | ParameterValues
)


class Port(Protocol):
    """One end of the port. ``send`` answers at once: ``False`` if the other end has no room, and it is counted."""

    def send(self, message: Message) -> bool:
        """Hand a message to the other end."""

    def receive(self, most: int) -> list[Message]:
        """Up to ``most`` messages of the other end, oldest first."""

    @property
    def dropped(self) -> int:
        """Messages of this end that found no room."""


class LocalPort:
    """Both ends of a port in one process.

    Args:
        limit: most messages that wait each way.
    """

    def __init__(self, limit: int = 256) -> None:
        down: BoundedQueue[Message] = BoundedQueue(limit)
        up: BoundedQueue[Message] = BoundedQueue(limit)
        self.flight: Port = _End(down, up)
        """The flight loop's end."""
        self.link: Port = _End(up, down)
        """The link's end."""


class _End:
    __slots__ = ("_from", "_to")

    def __init__(self, to: BoundedQueue[Message], source: BoundedQueue[Message]) -> None:
        self._to = to
        self._from = source

    def send(self, message: Message) -> bool:
        return self._to.put(message)

    def receive(self, most: int) -> list[Message]:
        return self._from.take_all(most)

    @property
    def dropped(self) -> int:
        return self._to.dropped
