"""What one peer says in its session, by channel: commands to the flight loop, questions, files, shell, renewal.

A peer is authenticated, and still trusted with nothing but what its role allows. Whatever it says that is no message,
no command, or not for it, gets a named notice in the same session and is counted.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Protocol

from comms.channel_plan import FIRST_CREATED, LAST_CREATED, ChannelKind, ChannelSpec, channel_named
from comms.dictionary.grants import grant
from comms.dictionary.messages import (
    Hello,
    Notice,
    ParametersAsk,
    Ping,
    Pong,
    TimeAsk,
    TimeTold,
    WireCommand,
    request_of,
)
from comms.dictionary.strict_cbor import Refusal
from comms.dictionary.wire import encode_message, message_of
from comms.flight_port import CommandStage, UplinkRequest
from comms.keys.keyring import KeyStore
from comms.keys.renewal import CraftRenewal
from comms.link.end import LinkEnd
from comms.link.fitting import fitted
from comms.link.fragments import Pieces, Reassembly, is_fragment
from comms.shell.channel import ChannelShell
from comms.shell.server import ShellServer
from fdir.codes import Code

__all__ = ["LATER", "CraftSide", "PeerDesk", "Said", "StageMemory"]

MS = 1_000_000
CONTROL, EVENTS, FILES, SERVICE, SHELL, BUNDLES = (
    channel_named(name).id for name in ("control", "events", "files", "service", "shell", "bundles")
)
LATER = "/later"
"""Behind the name of a peer whose command has waited for its time."""
MOST_HELD = 32
"""Commands that wait for their time, of one peer."""
RENEW_PIECE = 512


@dataclass(frozen=True, slots=True)
class Said:
    """What came of a payload, for whoever watches: nothing special, no command of the dictionary, or not allowed."""

    unknown: bool = False
    denied: bool = False
    words: str = ""


GOOD = Said()


class CraftSide(Protocol):
    """What a desk needs of the craft's link."""

    start: int | None
    version: str
    digest: bytes

    def ask(self, request: UplinkRequest) -> bool:
        """Hand a request to the flight loop; ``False`` if it has no room."""

    def may_ask(self, end: LinkEnd, now_ns: int) -> bool:
        """Whether one more command of this peer may go to the flight loop now; it counts as gone then."""

    def emcon_level(self) -> int:
        """Level of emission control."""

    def parameters(self, first: int, longest: int) -> bytes:
        """Listing of parameters from an id on, as a message of at most so many bytes."""

    def file_unit(self, payload: bytes, end: LinkEnd, now_ns: int) -> bool:
        """A unit of a file transfer came in; ``False`` if this peer may send no files."""

    def bundle(self, payload: bytes, end: LinkEnd, now_ns: int) -> None:
        """A bundle came in."""

    def may_renew(self, end: LinkEnd, now_ns: int) -> bool:
        """Whether this peer may renew its secret over this line now."""

    def renewed(self, end: LinkEnd, done: bool, words: str, now_ns: int) -> None:
        """A renewal has ended, or was refused."""

    def tell_channel(self, end: LinkEnd, spec: ChannelSpec, is_open: bool, now_ns: int) -> None:
        """Tell a peer of a channel that was created or closed."""

    def science(self, channel: int, payload: bytes, end: LinkEnd, now_ns: int) -> bool:
        """A payload on a created or science channel; ``False`` if nobody takes it."""


class StageMemory:
    """Last stage of the last commands of one peer, by number: a repeated command is answered from here."""

    __slots__ = ("_asked", "_later", "_stages", "limit")

    def __init__(self, limit: int = 64) -> None:
        self.limit = limit
        self._stages: OrderedDict[int, CommandStage] = OrderedDict()
        self._asked: OrderedDict[int, bytes] = OrderedDict()
        self._later = 0

    def later(self, now_ns: int) -> int:
        """The next sequence number of commands that had to wait: by the time, and always above the one before."""
        self._later = max(self._later + 1, now_ns // MS * 64)
        return self._later

    def same(self, number: int, payload: bytes) -> bool:
        """Whether a number stands for this command, byte for byte, as far as is remembered; it does from now on."""
        digest = sha256(payload).digest()
        if self._asked.setdefault(number, digest) != digest:
            return False
        while len(self._asked) > self.limit:
            self._asked.popitem(last=False)
        return True

    def keep(self, number: int, stage: CommandStage) -> None:
        """Remember how far a command has come. What is audited has ended before: that stage says nothing new."""
        if stage.stage == "audited" and number in self._stages:
            return
        self._stages[number] = stage
        self._stages.move_to_end(number)
        while len(self._stages) > self.limit:
            self._stages.popitem(last=False)

    def clear(self) -> None:
        """Forget all of them."""
        self._stages.clear()
        self._asked.clear()
        self._later = 0

    def of(self, number: int) -> CommandStage | None:
        """How far a command has come, as far as is remembered."""
        return self._stages.get(number)


class PeerDesk:
    """One session's desk.

    Args:
        end: the session.
        craft: the craft's link.
        keys: the craft's.
        random_bytes: for a renewal.
        shell: the debug shell.
        memory: of this peer; it outlives sessions.
        audit: told of every command: class of record, id, codes.
    """

    def __init__(
        self, end: LinkEnd, craft: CraftSide, keys: KeyStore, random_bytes: Callable[[int], bytes], shell: ShellServer,
        memory: StageMemory, audit: Callable[[LinkEnd, WireCommand | None, tuple[Code, ...]], None],
    ) -> None:
        self.end = end
        self._craft = craft
        self._renewal = CraftRenewal(keys, end.secrets, random_bytes)
        self._shell_server = shell
        self._shell: ChannelShell | None = None
        self._memory = memory
        self._audit = audit
        self._held: OrderedDict[int, WireCommand] = OrderedDict()
        """Commands that wait for their time, by number."""
        self._pieces = Reassembly()
        self._cut = Pieces()
        self._told_no_files = False
        self._files_shut = False
        self._said_files_shut = False
        self.unread: dict[str, int] = {}
        """Payloads that were no message, by reason."""

    def take(self, channel: int, payload: bytes, now_ns: int) -> Said:
        """One payload of the peer."""
        if channel == CONTROL:
            return self._command(payload, now_ns)
        if channel == FILES:
            return self._file(payload, now_ns)
        if channel == SERVICE:
            return self._service(payload, now_ns)
        if channel == SHELL:
            if self._shell is None:
                peer = self.end.peer
                self._shell = ChannelShell(self._shell_server, peer.name, peer.role, self.end.longest, now_ns)
            self._shell.take(payload, now_ns)
            return GOOD
        if channel == BUNDLES:
            self._craft.bundle(payload, self.end, now_ns)
            return GOOD
        if self._craft.science(channel, payload, self.end, now_ns):
            return GOOD
        return self._unread("nobody takes this channel", f"channel {channel}", now_ns)

    def step(self, now_ns: int) -> None:
        """Commands whose time has come; what the shell has to say."""
        for number, command in tuple(self._held.items()):
            due = command.not_before_ms is None or now_ns >= command.not_before_ms * MS
            if due and self._craft.may_ask(self.end, now_ns):
                del self._held[number]
                self._ask(command, now_ns)
        if self._shell is not None:
            room = min(4, self.end.room(SHELL))
            for chunk in self._shell.chunks(room) if room else ():
                self.end.put(SHELL, chunk, now_ns)

    def files_open(self, is_open: bool, now_ns: int) -> None:
        """Files can be answered from now on, or not: told, so that the peer's transfers wait and don't fail."""
        self._files_shut = not is_open
        if is_open and not self._said_files_shut:
            return
        self._said_files_shut = True
        self._tell_files(now_ns)

    def _tell_files(self, now_ns: int) -> None:
        spec = self.end.manager.spec(FILES)
        if spec is not None:
            self._craft.tell_channel(self.end, spec, not self._files_shut, now_ns)

    def close(self) -> None:
        """The session is over. Commands that waited for their time go with it: their sender sends them again."""
        for command in self._held.values():
            self._audit(self.end, command, (Code.COMMS_UNAVAILABLE,))
        self._held.clear()
        if self._shell is not None:
            self._shell.close()
            self._shell = None

    def tell(self, stage: CommandStage, now_ns: int) -> None:
        """A stage of a command of this peer."""
        self.end.put(CONTROL, fitted(stage, self.end.longest), now_ns)

    @property
    def held(self) -> int:
        """Commands that wait for their time."""
        return len(self._held)

    def _file(self, payload: bytes, now_ns: int) -> Said:
        if self._craft.file_unit(payload, self.end, now_ns):
            return GOOD
        if not self._told_no_files:
            self._told_no_files = True
            self._notice(None, Code.CMD_UNAUTHORIZED.value, f"{self.end.peer.role} may send no files", now_ns)
        return Said(denied=True, words="files")

    # -- commands

    def _command(self, payload: bytes, now_ns: int) -> Said:
        message = message_of(payload)
        if isinstance(message, Refusal) or not isinstance(message, WireCommand):
            reason = message.reason.value if isinstance(message, Refusal) else "not a command"
            detail = message.detail if isinstance(message, Refusal) else ""
            self._audit(self.end, None, (Code.CMD_VALIDATION_FAILED,))
            return self._unread(reason, detail, now_ns)
        if not self._memory.same(message.number, payload):
            # Two programs with one key: what was asked first stands, and the other must not take its answers.
            codes: tuple[Code, ...] = (Code.CMD_SPOOF_MISMATCH,)
            self._notice(message.number, codes[0].value, f"number {message.number} is another command's", now_ns)
            self._audit(self.end, message, codes)
            return Said(denied=True, words=message.name)
        known = self._memory.of(message.number)
        if known is not None:
            # Sent again because an answer was lost: it is answered with what is known by now, and asked nobody.
            self.tell(known, now_ns)
            return GOOD
        codes = grant(
            self.end.peer.role, message.name, ChannelKind.CONTROL, self._craft.emcon_level(), message.arguments
        )
        if codes:
            self._notice(message.number, ", ".join(codes), message.name, now_ns)
            self._audit(self.end, message, codes)
            return Said(denied=Code.CMD_UNAUTHORIZED in codes, words=message.name)
        if message.not_before_ms is not None and now_ns < message.not_before_ms * MS:
            self._hold(message, now_ns)
        elif self._craft.may_ask(self.end, now_ns):
            self._ask(message, now_ns)
        # Else it stays unanswered, and comes again: its sender asks faster than the flight loop is to be asked.
        return GOOD

    def _hold(self, command: WireCommand, now_ns: int) -> None:
        """Keep a command until its time; its sender is told, and told again if it asks again."""
        if command.number not in self._held and len(self._held) >= MOST_HELD:
            self._notice(command.number, Code.CMD_REJECTED.value, f"{MOST_HELD} commands wait already", now_ns)
            self._audit(self.end, command, (Code.CMD_REJECTED,))
            return
        self._held[command.number] = command
        name = self.end.peer.name
        self.tell(CommandStage(
            now_ns, 0, f"{name}:{command.number}", name, command.name, "validation_pending", (), "waits for its time",
        ), now_ns)

    def _ask(self, command: WireCommand, now_ns: int) -> None:
        request = request_of(replace(command, not_before_ms=None), self.end.peer.name, self.end.peer.role)
        if command.not_before_ms is not None:
            # Others of this peer may have gone before it: it has an order of its own, by the time at which it is due.
            request = replace(request, sender=f"{request.sender}{LATER}", sequence=self._memory.later(now_ns))
        if not self._craft.ask(request):
            self._notice(command.number, Code.COMMS_UNAVAILABLE.value, "the flight loop takes no more", now_ns)
            return
        self._audit(self.end, command, ())

    # -- service

    def _service(self, payload: bytes, now_ns: int) -> Said:
        if is_fragment(payload):
            whole = self._pieces.take(payload)
            if whole is not None:
                self._renew(whole, now_ns)
            return GOOD
        message = message_of(payload)
        craft = self._craft
        if isinstance(message, TimeAsk):
            self._answer(TimeTold(message.number, now_ns // MS, craft.start), now_ns)
            if self._said_files_shut:
                self._tell_files(now_ns)
            for spec in self.end.manager.specs():
                if FIRST_CREATED <= spec.id <= LAST_CREATED:
                    # Told again now and then: the first time may have been lost.
                    craft.tell_channel(self.end, spec, True, now_ns)
        elif isinstance(message, Ping):
            self._answer(Pong(message.number, now_ns // MS), now_ns)
        elif isinstance(message, Hello):
            self._answer(Hello(craft.digest, craft.start, craft.version), now_ns)
        elif isinstance(message, ParametersAsk):
            self.end.put(SERVICE, craft.parameters(message.first, self.end.longest), now_ns)
        elif isinstance(message, Refusal):
            return self._unread(message.reason.value, message.detail, now_ns)
        else:
            return self._unread("not for a craft", type(message).__name__, now_ns)
        return GOOD

    def _answer(self, message: TimeTold | Pong | Hello, now_ns: int) -> None:
        self.end.put(SERVICE, encode_message(message), now_ns)

    def _renew(self, message: bytes, now_ns: int) -> None:
        result = self._renewal.receive(message, self._craft.may_renew(self.end, now_ns))
        if result.answer is not None:
            for piece in self._cut.of(result.answer, min(self.end.longest, RENEW_PIECE)):
                self.end.put(SERVICE, piece, now_ns)
        if result.done or result.fault is not None:
            self._craft.renewed(self.end, result.done, "" if result.fault is None else result.fault.value, now_ns)

    def _notice(self, number: int | None, reason: str, detail: str, now_ns: int) -> None:
        self.end.put(CONTROL, fitted(Notice(number, reason[:64], detail[:200]), self.end.longest), now_ns)

    def _unread(self, reason: str, detail: str, now_ns: int) -> Said:
        self.unread[reason] = self.unread.get(reason, 0) + 1
        self._notice(None, reason, detail, now_ns)
        return Said(unknown=True, words=reason)
