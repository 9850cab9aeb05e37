"""A ground station: one session with one craft, kept up by itself, with commands, telemetry, files and a shell.

No threads and no clock of its own: whoever owns it calls ``step`` some fifty times a second. It connects, connects
again when the craft has been silent for too long or was started anew, and shows only what came over the session.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum, unique
from typing import Any

from comms.bounded import BoundedQueue
from comms.cfdp import CfdpEntity, EntityConfig, FileStore, MemoryStore, PutRefusal, TransactionId
from comms.channel_plan import ChannelKind, ChannelSpec, Direction, QosClass, channel_named
from comms.channels.manager import ChannelRefusal
from comms.dictionary.export import dictionary_hash
from comms.dictionary.frames import Frame
from comms.dictionary.messages import (
    ChannelTold,
    FileListing,
    Hello,
    Notice,
    ParameterListing,
    ParametersAsk,
    Ping,
    Pong,
    TimeAsk,
    TimeTold,
)
from comms.dictionary.strict_cbor import Refusal
from comms.dictionary.wire import encode_message, message_of
from comms.emcon import EmconGate
from comms.flight_port import CommandStage, EventNote
from comms.keys.handshake import SessionSecrets, is_handshake
from comms.keys.initiator import Initiator, InitiatorState, RetryPlan
from comms.keys.keyring import KeyStore
from comms.keys.renewal import OperatorRenewal, RenewalState
from comms.link.craft_files import QUIET_NS, file_peer
from comms.link.end import FULL_POWER, Line, LinkEnd
from comms.link.entity_ids import CRAFT_ENTITY, entity_of
from comms.link.fragments import Pieces, Reassembly, is_fragment
from comms.link.ground_orders import GroundOrders, Ordered
from comms.records.faults import RecordFault
from comms.shell.channel import ChunkPipe
from fdir.modes import Emission

__all__ = ["Arrival", "GroundCounts", "GroundStation", "Payload", "StationState"]

NS = 1_000_000_000
MS = 1_000_000
CONTROL, FILES, SERVICE, SHELL = (channel_named(name).id for name in ("control", "files", "service", "shell"))
READ = frozenset(channel_named(name).id for name in ("control", "telemetry", "events", "service"))
"""Channels whose payloads are messages of the dictionary."""
MOST_DATAGRAMS = 256
MOST_QUESTIONS = 32
"""Questions for the time that may be under way: half a minute of delay, asked every second."""
ASK_TIME_NS = 10 * NS
ASK_START_NS = NS
SILENT_NS = 45 * NS
"""Silence of the craft after which the station shakes hands anew."""
FILE_PACKETS = 4
"""Units of files that wait at a time: what waits can't be given to somebody more urgent."""


@unique
class StationState(StrEnum):
    """Where a station stands."""

    IDLE = "idle"
    CONNECTING = "connecting"
    CONNECTED = "connected"
    GAVE_UP = "no answer"


@dataclass(slots=True)
class GroundCounts:
    """Since start: records that were refused, by reason; messages that were none; sessions; bytes of telemetry."""

    refused: dict[str, int] = field(default_factory=dict)
    unread: dict[str, int] = field(default_factory=dict)
    sessions: int = 0
    frames: int = 0


@dataclass(frozen=True, slots=True)
class Payload:
    """Bytes that came on a channel which the craft has created, or on the science channel."""

    channel: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Arrival:
    """Something that came down: when, on this station's clock, and what."""

    now_ns: int
    what: Payload | Frame | EventNote | CommandStage | Notice | Pong | FileListing | ParameterListing | Hello


class GroundStation:
    """One station.

    Args:
        keys: the operator's.
        craft: name of the pinned craft.
        line: the way there.
        random_bytes: for ephemeral keys.
        store: files of this station; in memory if not given.
        to: the craft's address on the line, where it needs one.
        now_ns: monotonic time.

    Attributes:
        values: newest value of every channel that came, with its flight time in ns.
        arrivals: what came, oldest first; a full queue drops the oldest and counts it.
        hello: what the craft said of itself.
    """

    def __init__(
        self, keys: KeyStore, craft: str, line: Line, random_bytes: Callable[[int], bytes],
        store: FileStore | None = None, to: str = "", now_ns: int = 0, retry: RetryPlan | None = None,
        segment_bytes: int | None = None, silent_ns: int = SILENT_NS,
    ) -> None:
        self._keys = keys
        self._line = line
        self._to = to
        self._random = random_bytes
        self._initiator = Initiator(keys, craft, random_bytes, retry)
        self._end: LinkEnd | None = None
        self._emcon = EmconGate()
        self._emcon.follow(Emission.OPEN, now_ns)
        self._silent_ns = silent_ns
        self.state = StationState.IDLE
        self.craft = craft
        self.values: dict[str, tuple[int, Any]] = {}
        self._newest: dict[str, int] = {}
        """Time of the newest frame that had a channel, in this session: another one may be of another start."""
        self.arrivals: BoundedQueue[Arrival] = BoundedQueue(2048, keep_new=True)
        self.counts = GroundCounts()
        self.hello: Hello | None = None
        self.orders = GroundOrders(lambda payload: self._put(CONTROL, payload))
        segment = max(32, min(1024, line.transport.mtu - 64)) if segment_bytes is None else segment_bytes
        self.files = CfdpEntity(
            EntityConfig(entity_of(keys.identity.public), entity_bytes=2), MemoryStore() if store is None else store,
            (file_peer(CRAFT_ENTITY, segment),), random_bytes, now_ns,
        )
        self.files.contact(False, now_ns)
        self._files_up = False
        self._files_open = True
        """Whether the craft answers in transfers, as far as it has told."""
        self.renewal: OperatorRenewal | None = None
        self._shell: ChunkPipe | None = None
        self._pieces = Reassembly()
        self._cut = Pieces()
        self._now_ns = now_ns
        self._hello: bytes | None = None
        """First message of a handshake that waits for the line."""
        self._asked: tuple[int, int] | None = None
        self._questions: dict[int, int] = {}
        """When which question for the time was asked, of those that are not answered."""
        self._question = 0
        self._told: tuple[int, int, int | None] | None = None
        """Craft's time in ms, when it was that here, number of its start."""

    # -- the session

    @property
    def connected(self) -> bool:
        """Whether a session is there and the craft's time is known."""
        return self.state is StationState.CONNECTED and self._told is not None

    @property
    def end(self) -> LinkEnd | None:
        """This end of the session."""
        return self._end

    @property
    def start(self) -> int | None:
        """Number of the craft's start, as it last told."""
        return None if self._told is None else self._told[2]

    @property
    def same_dictionary(self) -> bool | None:
        """Whether the craft has this dictionary; ``None`` until it has said so."""
        return None if self.hello is None else self.hello.dictionary == dictionary_hash()[:8]

    def craft_ms(self, now_ns: int) -> int | None:
        """Time of the craft, as far as it is known here."""
        if self._told is None:
            return None
        return self._told[0] + (now_ns - self._told[1]) // MS

    def connect(self, now_ns: int) -> None:
        """Shake hands, now and whenever the session is lost."""
        self._begin(now_ns)

    def step(self, now_ns: int) -> None:
        """Take in what has come, do what is due, send what the line takes."""
        self._now_ns = now_ns
        for datagram in self._line.transport.receive(MOST_DATAGRAMS, now_ns):
            self._hear(datagram.payload, datagram.source, now_ns)
        self._keep_up(now_ns)
        self.orders.step(now_ns, self.connected)
        end = self._end
        if end is None:
            return
        heard = self.state is StationState.CONNECTED and now_ns - end.heard_ns < QUIET_NS
        if (heard and self._files_open) != self._files_up:
            self._files_up = heard and self._files_open
            self.files.contact(self._files_up, now_ns)
        self.files.step(now_ns)
        self._feed_files(end, now_ns)
        self._feed_shell(end, now_ns)
        self._renew(end, now_ns)
        end.judge(FULL_POWER, False, now_ns)
        end.pump(now_ns)

    def close(self) -> None:
        """End the session and let the line go."""
        if self._end is not None:
            self._end.close()
            self._end = None
        self.state = StationState.IDLE
        self._line.transport.close()

    # -- what a user asks

    def order(
        self, name: str, arguments: Mapping[str, Any], now_ns: int, *, life_s: float = 60.0, priority: str = "normal",
        confirmed: bool = False, not_before_ms: int | None = None,
    ) -> Ordered:
        """Give a command. Raises CommandRefused for one that isn't in the dictionary so, RuntimeError unconnected."""
        craft_ms = self.craft_ms(now_ns)
        if craft_ms is None:
            raise RuntimeError("not connected: the craft's time is not known")
        return self.orders.give(
            name, arguments, now_ns, craft_ms, self.start, life_s, priority=priority, confirmed=confirmed,
            not_before_ms=not_before_ms,
        )

    def send(self, channel: str, payload: bytes) -> bool:
        """Queue bytes for a channel that the craft has created, or for the science channel."""
        spec = None if self._end is None else self._end.manager.named(channel)
        return spec is not None and spec.id not in READ and self._put(spec.id, payload)

    def send_file(self, name: str, now_ns: int, there: str | None = None) -> TransactionId | PutRefusal:
        """Send a file of this station's store to the craft."""
        return self.files.put(name, CRAFT_ENTITY, now_ns, destination_name=there)

    def ask_parameters(self, first: int = 0) -> bool:
        """Ask for values of parameters from this id on."""
        return self._put(SERVICE, encode_message(ParametersAsk(first)))

    def ping(self, number: int) -> bool:
        """Ask the craft's link for an answer."""
        return self._put(SERVICE, encode_message(Ping(number)))

    def shell(self) -> ChunkPipe | None:
        """The pipe of the debug shell in this session; ``None`` unconnected."""
        if self._shell is None and self._end is not None:
            self._shell = ChunkPipe(self._end.longest, lines=False)
        return self._shell

    def renew(self, now_ns: int) -> str:
        """Begin to renew the shared secret; returns why not, or nothing."""
        if self._end is None:
            return "not connected"
        if self.renewal is None:
            self.renewal = OperatorRenewal(self._keys, self._end.secrets, self._random)
        fault = self.renewal.start(now_ns)
        return "" if fault is None else fault.value

    # -- inside

    def _begin(self, now_ns: int) -> None:
        self.state = StationState.CONNECTING
        self._hello = None
        self._initiator.start(now_ns)

    def _keep_up(self, now_ns: int) -> None:
        if self.state is StationState.CONNECTING:
            # One that has waited for the line until the next is due is not sent any more: its answer would be refused.
            self._hello = self._initiator.step(now_ns) or self._hello
            if self._hello is not None and self._line.transport.room(now_ns) >= len(self._hello):
                self._line.transport.send(self._hello, self._to, now_ns)
                self._hello = None
            if self._initiator.state is InitiatorState.GAVE_UP:
                if self.counts.sessions and self._initiator.error is None:
                    # It was there before: behind the horizon a craft is not gone for good.
                    self._initiator.start(now_ns)
                else:
                    self.state = StationState.GAVE_UP
            return
        end = self._end
        if end is None or self.state is not StationState.CONNECTED:
            return
        if now_ns - end.heard_ns >= self._silent_ns:
            self._begin(now_ns)
            return
        # A craft that has only just begun does not know the number of its start, and takes no command for another one.
        wait_ns = ASK_TIME_NS if self.start is not None else ASK_START_NS
        if self._asked is None or now_ns - self._asked[1] >= wait_ns:
            self._ask_time(now_ns)

    def _ask_time(self, now_ns: int) -> None:
        self._question += 1
        self._asked = (self._question, now_ns)
        self._questions[self._question] = now_ns
        while len(self._questions) > MOST_QUESTIONS:
            del self._questions[next(iter(self._questions))]
        self._put(SERVICE, encode_message(TimeAsk(self._question)))

    def _hear(self, payload: bytes, source: str, now_ns: int) -> None:
        if is_handshake(payload):
            if self.state is not StationState.CONNECTING:
                self._count(self.counts.refused, "handshake not awaited")
                return
            found = self._initiator.receive(payload, now_ns)
            if isinstance(found, SessionSecrets):
                self._adopt(found, source, now_ns)
            else:
                self._count(self.counts.refused, found.value)
            return
        if self._end is None:
            self._count(self.counts.refused, "no session")
            return
        opened = self._end.open(payload, now_ns)
        if isinstance(opened, RecordFault):
            self._count(self.counts.refused, opened.value)
        else:
            self._take(opened.channel, opened.plaintext, now_ns)

    def _adopt(self, secrets: SessionSecrets, source: str, now_ns: int) -> None:
        if self._end is not None:
            self._end.close()
        self._end = LinkEnd(secrets.peer, self._line, source, secrets, Direction.UP, self._emcon, now_ns)
        self.state = StationState.CONNECTED
        self.counts.sessions += 1
        self._shell, self._told, self._pieces = None, None, Reassembly()
        self._newest.clear()
        self._files_open = True
        self.renewal = None
        self._put(SERVICE, encode_message(Hello(dictionary_hash()[:8], None, "")))
        self._ask_time(now_ns)

    def _take(self, channel: int, payload: bytes, now_ns: int) -> None:
        if channel == FILES:
            self.files.receive(payload, now_ns)
        elif channel == SHELL:
            if self._shell is not None:
                self._shell.take(payload)
        elif channel == SERVICE and is_fragment(payload):
            whole = self._pieces.take(payload)
            if whole is not None and self.renewal is not None:
                self.renewal.receive(whole, now_ns)
        elif channel in READ:
            self._read(payload, now_ns)
        else:
            spec = None if self._end is None else self._end.manager.spec(channel)
            if spec is not None:
                self.arrivals.put(Arrival(now_ns, Payload(spec.name, payload)))

    def _read(self, payload: bytes, now_ns: int) -> None:
        message = message_of(payload)
        if isinstance(message, Refusal):
            self._count(self.counts.unread, message.reason.value)
        elif isinstance(message, TimeTold):
            self._hear_time(message, now_ns)
        elif isinstance(message, Frame):
            self.counts.frames += 1
            for name in message.values:
                if message.t_ns < self._newest.get(name, message.t_ns):
                    # After a gap the present comes first, and what is older does not take its place.
                    continue
                self._newest[name] = message.t_ns
                older = self.values.get(name)
                self.values[name] = (message.t_ns, message.over(name, None if older is None else older[1]))
            self.arrivals.put(Arrival(now_ns, message))
        elif isinstance(message, CommandStage):
            self.orders.hear(message)
            self.arrivals.put(Arrival(now_ns, message))
        elif isinstance(message, Notice):
            self.orders.refused(message, now_ns)
            self.arrivals.put(Arrival(now_ns, message))
        elif isinstance(message, Hello):
            self.hello = message
            self.arrivals.put(Arrival(now_ns, message))
        elif isinstance(message, ChannelTold):
            self._adopt_channel(message)
        elif isinstance(message, EventNote | Pong | FileListing | ParameterListing):
            self.arrivals.put(Arrival(now_ns, message))
        else:
            self._count(self.counts.unread, "not for a station")

    def _adopt_channel(self, told: ChannelTold) -> None:
        manager = None if self._end is None else self._end.manager
        if manager is None:
            return
        if told.id == FILES:
            self._files_open = told.is_open
            return
        if not told.is_open:
            manager.close_channel(told.id)
            return
        try:
            kind, qos = ChannelKind(told.kind), QosClass(told.qos)
        except ValueError:
            self._count(self.counts.unread, "channel of an unknown kind")
            return
        spec = ChannelSpec(told.id, told.name, kind, qos, "created by the craft", told.end_to_end)
        if manager.spec(spec.id) == spec:
            return
        older = manager.named(spec.name)
        if older is not None:
            # That it was closed got lost on the way.
            manager.close_channel(older.id)
        if isinstance(manager.adopt(spec, self.craft), ChannelRefusal):
            self._count(self.counts.unread, "channel not adopted")

    def _hear_time(self, told: TimeTold, now_ns: int) -> None:
        asked_ns = self._questions.pop(told.number, None)
        if asked_ns is None:
            return
        # The craft's clock read that about half way between question and answer.
        middle = now_ns - (now_ns - asked_ns) // 2
        first = self._told is None or self._told[2] != told.start
        self._told = (told.now_ms, middle, told.start)
        if first:
            # A hundred commands a second would be needed to catch up with the craft's clock.
            self.orders.begin_after(told.now_ms // 10)

    def _feed_files(self, end: LinkEnd, now_ns: int) -> None:
        while end.waiting(FILES) < FILE_PACKETS:
            unit = self.files.next_pdu(end.longest, now_ns)
            if unit is None or end.put(FILES, unit, now_ns) is not None:
                break

    def _feed_shell(self, end: LinkEnd, now_ns: int) -> None:
        if self._shell is not None:
            for chunk in self._shell.chunks(min(4, end.room(SHELL))):
                end.put(SHELL, chunk, now_ns)

    def _renew(self, end: LinkEnd, now_ns: int) -> None:
        if self.renewal is None or self.renewal.state not in (RenewalState.OFFERED, RenewalState.STAGED):
            return
        message = self.renewal.step(now_ns)
        if message is not None:
            for piece in self._cut.of(message, min(end.longest, 512)):
                end.put(SERVICE, piece, now_ns)

    def _put(self, channel: int, payload: bytes) -> bool:
        return self._end is not None and self._end.put(channel, payload, self._now_ns) is None

    @staticmethod
    def _count(book: dict[str, int], reason: str) -> None:
        book[reason] = book.get(reason, 0) + 1
