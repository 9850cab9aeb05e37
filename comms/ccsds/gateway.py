"""The CCSDS view: packets of a ground system become messages to the craft, the craft's messages become packets.

A machine without sockets and without a clock: ``telecommand`` takes a packet in and asks the link for what it wants;
``message`` takes what came over the link; ``take`` gives the packets for the ground system. Whatever comes in, nothing
is raised: it is refused by a report where the packet can be named, counted otherwise. Times on packets are the craft's.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from comms.bounded import BoundedQueue
from comms.ccsds.packets import Acknowledge, PacketRefusal, Packets, Telecommand
from comms.ccsds.requests import Function, ReadRefusal, Request, Schedule, ShowParameters, Test, read_request
from comms.ccsds.verification import Jobs, Key, Phase, Verdict, code_number
from comms.dictionary.events import EVENT_IDS
from comms.dictionary.fixed import APID, REPORTS, SEVERITY_SUBSERVICE, encode_report, encode_telemetry
from comms.dictionary.frames import Frame
from comms.dictionary.messages import FileListing, Hello, Notice, ParameterListing, Pong
from comms.dictionary.types import CommandRefused
from comms.flight_port import CommandStage, EventNote

__all__ = ["CcsdsGateway", "CraftLink", "CraftMessage", "GatewayCounts"]

MS = 1_000_000
MOST_PACKETS = 2048
"""Packets that wait for the ground system; the oldest makes room."""
MOST_ASKED = 64
"""Questions under way."""
MOST_LISTINGS = 16
"""Further listings for one question."""
MOST_NUMBER = 0xFFFF_FFFF
_PHASES = {Phase.ACCEPTED: "acceptance", Phase.STARTED: "start", Phase.COMPLETED: "completion"}
CraftMessage = Frame | EventNote | CommandStage | Notice | Pong | FileListing | ParameterListing | Hello
"""What comes down."""


class CraftLink(Protocol):
    """A ground station's way to the craft."""

    def order(self, name: str, arguments: Mapping[str, Any], confirmed: bool, not_before_ms: int | None) -> int | None:
        """Give a command; its number, or ``None`` unconnected. Raises CommandRefused for one that can't be given."""

    def ping(self, number: int) -> bool:
        """Ask the craft's link for an answer."""

    def ask_parameters(self, first: int) -> bool:
        """Ask for values of parameters from this id on."""


@dataclass(slots=True)
class GatewayCounts:
    """What went through since start."""

    telecommands: int = 0
    refused: dict[str, int] = field(default_factory=dict)
    """Packets that are no telecommand, by why; they get no report, because what they say of themselves isn't true."""
    declined: dict[str, int] = field(default_factory=dict)
    """Telecommands that got a failure report from here, by code."""
    reports: int = 0
    """Packets made."""
    unused: int = 0
    """Messages of the craft that no packet shows."""


@dataclass(slots=True)
class _Asked:
    """A question for parameters under way."""

    ids: tuple[int, ...]
    values: dict[int, Any] = field(default_factory=dict)
    again: int = 0


class CcsdsGateway:
    """One ground system's view of one craft.

    Args:
        link: the way to the craft.
        sender: name under which the craft knows this ground station, so that stages of others' commands are left
            alone; empty where the link lets nobody else's through.
        apid: application process of the craft.

    Raises:
        GroundPartMissing: ``spacepackets`` isn't installed.
    """

    def __init__(self, link: CraftLink, *, sender: str = "", apid: int = APID) -> None:
        self.counts = GatewayCounts()
        self._link = link
        self._packets = Packets(apid)
        self._sender = sender
        self._jobs = Jobs()
        self._out: BoundedQueue[bytes] = BoundedQueue(MOST_PACKETS, keep_new=True)
        self._asked: OrderedDict[int, _Asked] = OrderedDict()
        self._partial: dict[str, tuple[int, dict[str, Any]]] = {}
        self._number = 0
        """Of the last question."""
        self._craft_ns = 0
        """Newest time of the craft that was told."""

    @property
    def dropped(self) -> int:
        """Packets that the ground system did not take in time."""
        return self._out.dropped

    @property
    def waiting(self) -> int:
        """Telecommands whose end is waited for."""
        return len(self._jobs)

    def take(self, most: int = 64) -> list[bytes]:
        """Up to ``most`` telemetry packets, oldest first."""
        return self._out.take_all(most)

    # -- from the ground system

    def telecommand(self, packet: bytes) -> None:
        """Take a packet of the ground system."""
        command = self._packets.read(packet)
        if isinstance(command, PacketRefusal):
            self.counts.refused[command] = self.counts.refused.get(command, 0) + 1
            return
        self.counts.telecommands += 1
        request = read_request(command, self._packets)
        if isinstance(request, ReadRefusal):
            self._decline(command, request.code)
        else:
            self._ask(command, request)

    def expired(self, number: int) -> None:
        """The time of a command is over and the craft has said nothing: what became of it is not known, so it is told
        as an event and no report of success or failure."""
        request = self._jobs.request_of(("order", number))
        if request is not None:
            text = f"no answer of the craft to telecommand {request[1] & 0x3FFF}"
            self._report("event_warning", self._craft_ns, EVENT_IDS["ACK_TIMEOUT"], text)

    def _ask(self, command: Telecommand, request: Request) -> None:
        if isinstance(request, Function):
            fixed = request.command
            self._order(command, [(fixed.name, fixed.arguments)], fixed.confirmed)
        elif isinstance(request, Schedule):
            self._schedule(command, request)
        elif isinstance(request, Test):
            self._number = self._number % MOST_NUMBER + 1
            self._question(command, ("ping", self._number), self._link.ping(self._number))
        elif isinstance(request, ShowParameters):
            self._number = self._number % MOST_NUMBER + 1
            if self._question(command, ("ask", self._number), self._link.ask_parameters(min(request.ids))):
                self._asked[self._number] = _Asked(request.ids)
                if len(self._asked) > MOST_ASKED:
                    self._asked.popitem(last=False)
        else:
            self._order(command, [("param_set", {"name": name, "value": text}) for name, text in request.values], False)

    def _question(self, command: Telecommand, key: Key, sent: bool) -> bool:
        if sent:
            self._jobs.open(command, [key])
        else:
            self._decline(command, "COMMS_UNAVAILABLE")
        return sent

    def _order(
        self, command: Telecommand, orders: list[tuple[str, Mapping[str, Any]]], confirmed: bool,
        not_before_ms: int | None = None,
    ) -> bool:
        """Give the commands that a telecommand is; with the first that can't be given it has failed."""
        keys: list[Key] = []
        for name, arguments in orders:
            try:
                number = self._link.order(name, arguments, confirmed, not_before_ms)
            except CommandRefused:
                self._decline(command, "CMD_VALIDATION_FAILED")
                return False
            if number is None:
                self._decline(command, "COMMS_UNAVAILABLE")
                return False
            keys.append(("order", number))
        self._jobs.open(command, keys)
        return True

    def _schedule(self, command: Telecommand, request: Schedule) -> None:
        """Each activity is followed under its own telecommand; the one around them has done its work by now."""
        taken = [
            self._order(inner, [(fixed.name, fixed.arguments)], fixed.confirmed, release_ns // MS)
            for release_ns, inner, fixed in request.entries
        ]
        if command.acknowledge & Acknowledge.ACCEPTANCE:
            self._tell([Verdict(command.request, Phase.ACCEPTED, failed=False)])
        if not all(taken):
            code = EVENT_IDS["COMMS_UNAVAILABLE"]
            self._tell([Verdict(command.request, Phase.COMPLETED, failed=True, code=code)])
        elif command.acknowledge & Acknowledge.COMPLETION:
            self._tell([Verdict(command.request, Phase.COMPLETED, failed=False)])

    # -- from the craft

    def message(self, message: CraftMessage) -> None:
        """Take a message of the craft."""
        if isinstance(message, Frame):
            self._frame(message)
        elif isinstance(message, CommandStage):
            self._stage(message)
        elif isinstance(message, EventNote):
            self._event(message)
        elif isinstance(message, Pong):
            self._pong(message)
        elif isinstance(message, ParameterListing):
            self._listing(message)
        elif isinstance(message, Notice) and message.number is not None:
            code = code_number((message.reason,), "CMD_VALIDATION_FAILED")
            self._tell(self._jobs.refuse(("order", message.number), code))
        else:
            self.counts.unused += 1

    def _stage(self, stage: CommandStage) -> None:
        self._heard(stage.t_ns)
        sender, _, digits = stage.command_id.rpartition(":")
        if not (digits.isascii() and digits.isdigit()) or (self._sender and sender != self._sender):
            self.counts.unused += 1
            return
        self._tell(self._jobs.stage(("order", int(digits)), stage), stage.t_ns)

    def _event(self, note: EventNote) -> None:
        self._heard(note.t_ns)
        word = note.severity if note.severity in SEVERITY_SUBSERVICE else "critical"
        text = note.text if note.code in EVENT_IDS else f"{note.code}: {note.text}"
        self._report(f"event_{word}", note.t_ns, EVENT_IDS.get(note.code, 0), text)

    def _pong(self, pong: Pong) -> None:
        t_ns = pong.now_ms * MS
        self._heard(t_ns)
        verdicts = self._jobs.reach(("ping", pong.number), Phase.COMPLETED)
        self._tell(verdicts[:-1], t_ns)
        self._report("connection_test", t_ns)
        self._tell(verdicts[-1:], t_ns)

    def _listing(self, listing: ParameterListing) -> None:
        """Values of one listing answer every question they can; a listing holds ids from the asked one on."""
        values = dict(listing.values)
        if not values:
            return
        first, last = min(values), max(values)
        for number, asked in list(self._asked.items()):
            asked.values.update({identity: values[identity] for identity in asked.ids if identity in values})
            missing = [identity for identity in asked.ids if identity not in asked.values]
            key: Key = ("ask", number)
            if not missing:
                del self._asked[number]
                verdicts = self._jobs.reach(key, Phase.COMPLETED)
                self._tell(verdicts[:-1])
                for identity in asked.ids:
                    self._report("parameter_value", self._craft_ns, 1, identity, _text(asked.values[identity]))
                self._tell(verdicts[-1:])
            elif any(first <= identity <= last for identity in missing) or len(values) == listing.total:
                del self._asked[number]  # the craft's software doesn't have it
                self._tell(self._jobs.refuse(key, EVENT_IDS["CMD_VALIDATION_FAILED"]))
            elif first <= min(missing) and asked.again < MOST_LISTINGS:
                asked.again += 1
                self._link.ask_parameters(min(missing))

    def _frame(self, frame: Frame) -> None:
        """Whole groups go out at once; parts are put together as long as they are of the same moment."""
        self._heard(frame.t_ns)
        name, names = frame.layout.name, frame.layout.names
        held_ns, held = self._partial.pop(name, (frame.t_ns, {}))
        if held_ns != frame.t_ns:
            self._housekeeping(name, held_ns, held)
            held = {}
        held.update(frame.values)
        if len(held) == len(names):
            self._housekeeping(name, frame.t_ns, held)
        else:
            self._partial[name] = (frame.t_ns, held)

    def _housekeeping(self, name: str, t_ns: int, values: dict[str, Any]) -> None:
        self._put(3, 25, encode_telemetry(name, values), t_ns)

    # -- out

    def _heard(self, t_ns: int) -> None:
        self._craft_ns = t_ns

    def _decline(self, command: Telecommand, code: str) -> None:
        self.counts.declined[code] = self.counts.declined.get(code, 0) + 1
        self._tell([Verdict(command.request, Phase.ACCEPTED, failed=True, code=EVENT_IDS[code])])

    def _tell(self, verdicts: list[Verdict], t_ns: int | None = None) -> None:
        for verdict in verdicts:
            name = f"{_PHASES[verdict.phase]}_{'failure' if verdict.failed else 'success'}"
            items = (*verdict.request, verdict.code) if verdict.failed else verdict.request
            self._report(name, self._craft_ns if t_ns is None else t_ns, *items)

    def _report(self, name: str, t_ns: int, *items: int | str) -> None:
        container = REPORTS[name]
        self._put(container.service, container.subservice, encode_report(name, *items), t_ns)

    def _put(self, service: int, subservice: int, body: bytes, t_ns: int) -> None:
        self.counts.reports += 1
        self._out.put(self._packets.telemetry(service, subservice, body, t_ns))


def _text(value: Any) -> str:
    """A value as an operator writes it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:g}" if isinstance(value, float) and float(f"{value:g}") == value else str(value)
