"""The link of a craft: takes what comes over its lines, gives what the craft has to say, and never holds anybody up.

One ``step(now_ns)`` a time, some fifty a second, bounded in all it does. It is joined with the flight loop by a port
alone (``comms/flight_port.py``), so that it may live in a process of its own. Order of a step: hear the flight loop,
hear the lines, do what is due, speak, report.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from comms.bounded import BoundedQueue
from comms.bundles.node import BundleNode
from comms.bundles.passing import Neighbour
from comms.cfdp import FileStore
from comms.channel_plan import ChannelKind, ChannelSpec, QosClass, channel_named
from comms.channels.transmit_level import TransmitLimits, TransmitStep
from comms.dictionary import LAYOUTS
from comms.dictionary.export import dictionary_hash
from comms.dictionary.frames import encode_parts
from comms.dictionary.grants import grant
from comms.dictionary.messages import MOST_ROWS, ChannelTold, ParameterListing
from comms.dictionary.wire import encode_message
from comms.emcon import EmconGate, Traffic
from comms.flight_port import (
    CommandStage,
    CraftState,
    EnergyVerdict,
    EventNote,
    LinkOrder,
    LinkReport,
    ParameterValues,
    Port,
    Snapshot,
    UplinkRequest,
)
from comms.keys.keyring import KeyStore
from comms.link.ask_budget import AskBudget
from comms.link.craft_ends import CraftEnds, Frame
from comms.link.craft_files import CraftFiles
from comms.link.craft_orders import carry_out
from comms.link.craft_watch import CraftWatch
from comms.link.emergency import Emergency
from comms.link.end import Line, LinkEnd
from comms.link.fitting import fitted, rows_that_fit
from comms.link.peer_desk import LATER, PeerDesk, StageMemory
from comms.link.sequences import SequenceRunner
from comms.link.telemetry import GroupRate, TelemetrySource
from comms.link.ways import Ways
from comms.parameters import SCHEMA
from comms.shell.server import ShellServer
from comms.shell.view import CraftView
from fdir.codes import Code, Severity

__all__ = ["CraftLink", "CraftParts"]

NS = 1_000_000_000
MS = 1_000_000
EVENTS, FILES, SERVICE, TELEMETRY = (channel_named(name).id for name in ("events", "files", "service", "telemetry"))
MOST_MESSAGES = 128
"""Messages of the flight loop taken in one step."""
MOST_DATAGRAMS = 1024
"""Datagrams of one line taken in one step."""
TELEMETRY_PACKETS = 2
"""Frames that wait at a time; more are made only when these have gone."""
REPORT_NS = 50 * MS
TABLES_NS = 500 * MS
MOST_EVENTS = 32
KEYS_TOLD_NS = 10 * NS
"""Least time between two events of the same kind of trouble."""
RENEW_PAUSE_NS = 60 * NS
"""Each renewal is stored several times: nobody wears the medium out with them."""
HEAD_NS = 600 * NS
HEAD_FILE = "audit.head"
BEATS = {"motion": None, "state": 5.0, "target": 10.0, "faults": 10.0, "guard": 10.0, "transfers": 10.0}
"""Longest silence of groups that tell changes only, s; ``None``: at their rate, changed or not."""
SLOW_SHARE = 0.5
"""Share of a line's bytes that telemetry frames may take when they are made; the scheduler decides what goes."""


@dataclass(slots=True)
class CraftParts:
    """What a craft's link is made of, each made by whoever builds the program.

    Attributes:
        keys: keys of the craft.
        lines: ways to peers by name.
        port: the link's end of the port to the flight loop.
        store: files.
        emcon: emission control.
        watch: intrusion detection and audit.
        random_bytes: source of randomness.
        emergency: the emergency channel; ``None``: the craft has none.
        bundles: store and forward; ``None``: the craft has none.
        neighbours: lines to docked neighbours by node number, for bundles alone.
        shell_view: what the debug shell knows beforehand.
        version: of the software.
    """

    keys: KeyStore
    lines: Mapping[str, Line]
    port: Port
    store: FileStore
    emcon: EmconGate
    watch: CraftWatch
    random_bytes: Callable[[int], bytes]
    emergency: Emergency | None = None
    bundles: BundleNode | None = None
    neighbours: Mapping[int, Line] = field(default_factory=dict)
    shell_view: CraftView | None = None
    version: str = ""


class CraftLink:
    """The link of one craft.

    Args:
        parts: what it is made of.
        now_ns: flight time of its start.
        start: number of this start of the craft, as far as it is known.

    Attributes:
        state, snapshot: newest of the flight loop; ``None`` before any.
        heard_ns: when a valid record last came in.
        renewals: until when (ns) which peer may renew its secret.
    """

    def __init__(self, parts: CraftParts, now_ns: int, start: int | None = None) -> None:
        self._parts = parts
        self._port = parts.port
        self.emcon = parts.emcon
        self.watch = parts.watch
        self.emergency = parts.emergency
        self.bundles = parts.bundles
        self.start = start
        self.version = parts.version
        self.digest = dictionary_hash()[:8]
        self.ends = CraftEnds(
            parts.keys, parts.lines, parts.emcon, parts.random_bytes, parts.watch.frame, start
        )
        segment = min((line.transport.mtu for line in parts.lines.values()), default=1024) - 64
        keys = [peer.public_key for peer in parts.keys.ring.peers]
        self.files = CraftFiles(parts.store, keys, max(32, min(1024, segment)), parts.random_bytes, now_ns)
        self.asks = AskBudget()
        self.sequences = SequenceRunner(self._ask_in_turn)
        self.shell_view = CraftView() if parts.shell_view is None else parts.shell_view
        self.shell = ShellServer(self.shell_view, self._ask_by_shell)
        self.state: CraftState | None = None
        self.snapshot: Snapshot | None = None
        self.heard_ns: int | None = None
        self.last_stage: CommandStage | None = None
        self.ways = Ways(parts.emcon)
        self.renewals: dict[str, int] = {}
        self.listeners: dict[str, Callable[[bytes, str, int], None]] = {}
        """Who on board takes payloads of a channel, by its name: payload, peer, time."""
        self.left_out: dict[str, int] = {}
        """Values of telemetry that are too long for any frame, by channel."""
        self._desks: dict[LinkEnd, PeerDesk] = {}
        self._telemetry: dict[LinkEnd, TelemetrySource] = {}
        self._memories: dict[str, StageMemory] = {}
        self._events: BoundedQueue[EventNote] = BoundedQueue(MOST_EVENTS * 4, keep_new=True)
        self._unsent: tuple[EventNote, ...] = ()
        """Events of a report that the port had no room for."""
        self._finished: list[tuple[int, bool, str]] = []
        self._rates: dict[str, float] = {}
        self._parameters: ParameterValues | None = None
        self._limits = TransmitLimits()
        self._transmit: TransmitStep = self._limits.present
        self._report_ns = now_ns
        self._tables_ns = now_ns
        self._tables: dict[str, Any] = {}
        self._used_j = 0.0
        self._told_j = 0.0
        self._keys_told = (0, 0)
        self._keys_told_ns = -KEYS_TOLD_NS
        self._refused_renewals: dict[str, tuple[int | None, int]] = {}
        """By peer: when a refused renewal was last told, and how many were not since."""
        self._renewed_ns: dict[str, int] = {}
        self._bundles_dropped = 0
        self._bundles_told_ns = -KEYS_TOLD_NS
        self._head_ns = now_ns
        self._intrusions: dict[LinkEnd, int] = {}
        self._now_ns = now_ns

    # -- one step

    def step(self, now_ns: int) -> None:
        """One step."""
        self._now_ns = now_ns
        self._hear_flight(now_ns)
        self._hear_lines(now_ns)
        self._work(now_ns)
        self._speak(now_ns)
        self._report(now_ns)

    def abandon(self) -> None:
        """End all sessions and the log; the lines stay open for whoever comes after."""
        for desk in self._desks.values():
            desk.close()
        self.ends.close()
        if self.bundles is not None:
            self.bundles.save(self._now_ns)
        self._keep_head(self._now_ns)
        self.watch.log.close(self._now_ns)

    def close(self) -> None:
        """End all sessions and let the lines go."""
        self.abandon()
        for line in self._parts.lines.values():
            line.transport.close()

    def _hear_flight(self, now_ns: int) -> None:
        for message in self._port.receive(MOST_MESSAGES):
            self.shell.feed(message, now_ns)
            if isinstance(message, CraftState):
                self._follow(message, now_ns)
            elif isinstance(message, Snapshot):
                self.snapshot = message
            elif isinstance(message, EventNote):
                self.watch.event(message, now_ns)
                for end in self.ends.ends:
                    if self.ways.carries(end, QosClass.TELEMETRY):
                        end.put(EVENTS, fitted(message, end.longest), now_ns)
            elif isinstance(message, CommandStage):
                self._hear_stage(message, now_ns)
            elif isinstance(message, LinkOrder):
                self._order(message, now_ns)
            elif isinstance(message, EnergyVerdict):
                if self.emergency is not None:
                    self.emergency.energy.hear(message)
            elif isinstance(message, ParameterValues):
                self._parameters = message

    def _follow(self, state: CraftState, now_ns: int) -> None:
        known = self.state
        another = self.start is not None and state.start not in (None, self.start)
        if another or (known is not None and state.now_ns < known.now_ns):
            # The flight program was started anew: numbers of commands begin anew with it.
            for memory in self._memories.values():
                memory.clear()
            self.sequences.stop(now_ns, "the craft was started anew")
        self.state = state
        if state.start is not None:
            self.start = self.ends.start = state.start
        self.emcon.follow(state.emission, now_ns)

    def _hear_lines(self, now_ns: int) -> None:
        for name, line in self._parts.lines.items():
            for datagram in line.transport.receive(MOST_DATAGRAMS, now_ns):
                taken = self.ends.take(name, datagram, now_ns)
                if taken is None:
                    continue
                end, opened = taken
                self.heard_ns = now_ns
                self._greet(now_ns)
                said = self._desks[end].take(opened.channel, opened.plaintext, now_ns)
                frame = Frame(now_ns, name, datagram.source, len(datagram.payload), "good", opened.channel)
                self.watch.good(frame, said.unknown, said.denied)
        for node, line in self._parts.neighbours.items():
            for datagram in line.transport.receive(MOST_DATAGRAMS, now_ns):
                if self.bundles is not None:
                    self.bundles.receive(datagram.payload, node, now_ns)

    def _work(self, now_ns: int) -> None:
        self.ends.step(now_ns)
        self._greet(now_ns)
        self._part(now_ns)
        self.emcon.step(now_ns)
        for event in self.emcon.take_events():
            words = f"level {int(event.before)} to {int(event.level)}"
            self.tell(now_ns, event.code, Severity.WARNING, words)
        for desk in self._desks.values():
            desk.step(now_ns)
        self.shell.step(now_ns)
        for words in self.shell.take_failures():
            self.tell(now_ns, Code.MEMBER_FAILED, Severity.WARNING, words)
        self.sequences.step(now_ns)
        for note in self.sequences.take_notes():
            severity = Severity.INFO if note.code in (Code.SEQUENCE_STARTED, Code.SEQUENCE_DONE) else Severity.WARNING
            self.tell(note.t_ns, note.code, severity, note.text)
        self.ways.step(self.ends.ends, now_ns)
        carriers = [end for end in self.ends.ends if self.ways.carries(end, QosClass.BULK)]
        ended, notes = self.files.step(carriers, now_ns)
        self._finished += ended
        for well, words in notes:
            code, severity = (Code.FILE_DONE, Severity.INFO) if well else (Code.FILE_FAILED, Severity.WARNING)
            self.tell(now_ns, code, severity, words)
        self._emergencies(now_ns)
        self._forward(now_ns)
        self._watch(now_ns)

    def _speak(self, now_ns: int) -> None:
        state = self.state
        comms_c, charge = (None, None) if state is None else (state.comms_c, state.soc_battery)
        self._transmit = self._limits.step(comms_c, charge, now_ns)
        in_safe = None if state is None else state.motion == "SAFE"
        for end in self.ends.ends:
            for change in end.judge(self._transmit, in_safe, now_ns):
                if change.spec.id == FILES:
                    self._desks[end].files_open(change.now.open, now_ns)
                if not change.now.open and change.now.codes and change.before.open:
                    words = f"{change.spec.name}: {', '.join(change.now.codes)}"
                    self.tell(now_ns, Code.COMMS_DEGRADED, Severity.WARNING, words)
            if end.leave_out(TELEMETRY, now_ns):
                # Nothing could be sent for a while: the present takes the place of what has waited.
                self._telemetry[end].forget()
            if end.waiting(TELEMETRY) < TELEMETRY_PACKETS and self.ways.carries(end, QosClass.TELEMETRY):
                room = max(end.longest, int(end.line.transport.bit_rate / 8.0 * 0.1))
                for frame in self._telemetry[end].pull(now_ns, self.snapshot, room, end.longest):
                    end.put(TELEMETRY, frame, now_ns)
            before = end.used_j
            end.pump(now_ns)
            self._used_j += end.used_j - before

    def _report(self, now_ns: int) -> None:
        if now_ns - self._report_ns < REPORT_NS:
            return
        self._report_ns = now_ns
        self._unsent = self._unsent or tuple(self._events.take_all(MOST_EVENTS))
        if now_ns - self._tables_ns >= TABLES_NS:
            self._tables_ns = now_ns
            self._tables = self.tables()
        used = self._used_j
        report = LinkReport(
            now_ns, self.heard_ns, self._unsent, bool(self._parts.lines), self._tables,
            used - self._told_j, tuple(self._finished),
        )
        if self._port.send(report):
            self._told_j = used
            self._unsent, self._finished = (), []

    # -- what others of the link call

    def ask(self, request: UplinkRequest) -> bool:
        """See CraftSide."""
        return self._port.send(request)

    def _ask_by_shell(self, request: UplinkRequest) -> bool | tuple[Code, ...]:
        codes = grant(request.authority, request.name, ChannelKind.SERVICE, self.emcon_level(), request.arguments)
        return codes or self._ask_in_turn(request)

    def _ask_in_turn(self, request: UplinkRequest) -> bool:
        return self.asks.take(request.sender, self._now_ns) and self.ask(request)

    def may_ask(self, end: LinkEnd, now_ns: int) -> bool:
        """See CraftSide."""
        return self.asks.take(end.peer.name, now_ns)

    def emcon_level(self) -> int:
        """See CraftSide."""
        return int(self.emcon.level)

    def tell(self, t_ns: int, code: Code, severity: Severity, text: str) -> None:
        """An event of the link: to the flight loop, which records it and sends it to the peers."""
        # Names of files and words of peers are in some of them, and a terminal shows them in the end.
        shown = text[:200] if text.isprintable() else "".join(c if c.isprintable() else "?" for c in text[:200])
        event = EventNote(t_ns, code.value, severity.value, shown)
        self._events.put(event)

    def set_rate(self, group: str, rate_hz: float) -> str:
        """Send a group of telemetry at another rate to all peers, also later ones; returns why not, or nothing."""
        sources = list(self._telemetry.values()) or [self._source()]
        for source in sources:
            why = source.set_rate(group, rate_hz)
            if why:
                return why
        self._rates[group] = rate_hz
        return ""

    def is_peer(self, name: str) -> bool:
        """Whether somebody of this name is pinned."""
        return self._parts.keys.ring.peer(name) is not None

    def newest_end(self, peer: str | None = None) -> LinkEnd | None:
        """The session whose peer was heard last, of all or of one peer."""
        ends = self.ends.ends if peer is None else self.ends.of_peer(peer)
        return max(ends, key=lambda end: end.heard_ns, default=None)

    def parameters(self, first: int, longest: int) -> bytes:
        """See CraftSide."""
        told = self._parameters
        values = {} if told is None else told.values
        by_name = SCHEMA.by_name
        known = sorted((by_name[name].id, value) for name, value in values.items() if name in by_name)
        rows = tuple(row for row in known if row[0] >= first)[: min(16, MOST_ROWS)]
        number = 0 if told is None else told.set_number

        def listing(some: Sequence[tuple[int, bool | int | float | str]]) -> bytes:
            return encode_message(ParameterListing(number, SCHEMA.digest, len(known), tuple(some)))

        return rows_that_fit(rows, longest, listing)[0]

    def file_unit(self, payload: bytes, end: LinkEnd, now_ns: int) -> bool:
        """See CraftSide."""
        return self.files.receive(payload, end.peer, now_ns)

    def bundle(self, payload: bytes, end: LinkEnd, now_ns: int) -> None:
        """See CraftSide. A peer's bundles come from the node of its own number."""
        if self.bundles is not None:
            from_node = int.from_bytes(end.peer.public_key[:4], "big")
            self.bundles.receive(payload, from_node, now_ns)

    def may_renew(self, end: LinkEnd, now_ns: int) -> bool:
        """See CraftSide: over a wire, or a while after ``key_renew``; not again within a minute after one is done."""
        name = end.peer.name
        done_ns = self._renewed_ns.get(name)
        if done_ns is not None and now_ns - done_ns < RENEW_PAUSE_NS:
            return False
        return end.line.wired or now_ns <= self.renewals.get(name, -1)

    def renewed(self, end: LinkEnd, done: bool, words: str, now_ns: int) -> None:
        """See CraftSide."""
        if done:
            self._renewed_ns[end.peer.name] = now_ns
            self.tell(now_ns, Code.KEY_RENEWED, Severity.INFO, end.peer.name)
            return
        # Told now and then: a peer can offer what is none as fast as its line goes.
        told_ns, untold = self._refused_renewals.get(end.peer.name, (None, 0))
        if told_ns is not None and now_ns - told_ns < KEYS_TOLD_NS:
            self._refused_renewals[end.peer.name] = (told_ns, untold + 1)
            return
        self._refused_renewals[end.peer.name] = (now_ns, 0)
        more = f", {untold} more before" if untold else ""
        self.tell(now_ns, Code.HANDSHAKE_REFUSED, Severity.WARNING, f"renewal of {end.peer.name}: {words}{more}")

    def science(self, channel: int, payload: bytes, end: LinkEnd, now_ns: int) -> bool:
        """See CraftSide: to whoever on board listens to the channel of that name."""
        spec = end.manager.spec(channel)
        listener = None if spec is None else self.listeners.get(spec.name)
        if listener is None:
            return False
        listener(payload, end.peer.name, now_ns)
        return True

    def send(self, channel: str, payload: bytes, now_ns: int) -> int:
        """Queue a payload of something on board for all peers that have this channel; how many took it."""
        taken = 0
        for end in self.ends.ends:
            spec = end.manager.named(channel)
            taken += spec is not None and end.put(spec.id, payload, now_ns) is None
        return taken

    def tell_channel(self, end: LinkEnd, spec: ChannelSpec, is_open: bool, now_ns: int) -> None:
        """Tell a peer of a channel that was created or closed, so that both ends have it."""
        told = ChannelTold(spec.id, spec.name, spec.kind.value, int(spec.qos), spec.end_to_end, is_open)
        end.put(SERVICE, encode_message(told), now_ns)

    # -- parts of a step

    def _source(self) -> TelemetrySource:
        rates = tuple(
            GroupRate(layout.name, self._rates.get(layout.name, layout.rate_hz), BEATS.get(layout.name, 30.0))
            for layout in LAYOUTS.values()
        )
        return TelemetrySource(rates, self._frames, _values)

    def _frames(self, group: str, snapshot: Snapshot, longest: int) -> list[bytes]:
        parts = encode_parts(LAYOUTS[group], snapshot.t_ns, snapshot.values, longest)
        for name in parts.left_out:
            self.left_out[name] = self.left_out.get(name, 0) + 1
        return list(parts.frames)

    def _greet(self, now_ns: int) -> None:
        if self.ends.came:
            # A session that took the place of another comes after that one's end, not before.
            self._part(now_ns)
        while self.ends.came:
            end = self.ends.came.pop(0)
            memory = self._memories.setdefault(end.peer.name, StageMemory())
            self._desks[end] = PeerDesk(
                end, self, self._parts.keys, self._parts.random_bytes, self.shell, memory,
                lambda of, command, codes: self.watch.command(of, command, codes, self._now_ns),
            )
            self._telemetry[end] = self._source()
            self.files.contact(end.peer, True, now_ns)
            self._keep_head(now_ns)
            self.tell(now_ns, Code.LINK_UP, Severity.INFO, f"{end.peer.name} over {end.line.transport.name}")

    def _part(self, now_ns: int) -> None:
        while self.ends.gone:
            end, why = self.ends.gone.pop(0)
            desk = self._desks.pop(end, None)
            if desk is not None:
                desk.close()
            self._telemetry.pop(end, None)
            self._intrusions.pop(end, None)
            if not self.ends.of_peer(end.peer.name):
                self.files.contact(end.peer, False, now_ns)
            severity = Severity.INFO if why == "replaced" else Severity.WARNING
            self.tell(now_ns, Code.LINK_DOWN, severity, f"{end.peer.name}: {why}")

    def _hear_stage(self, stage: CommandStage, now_ns: int) -> None:
        self.watch.stage(stage, now_ns)
        self.sequences.hear(stage)
        if stage.stage not in ("requested", "validation_pending"):
            self.last_stage = stage
        sender, _, number = stage.command_id.rpartition(":")
        if not number.isdigit() or stage.sender not in (sender, f"{sender}{LATER}"):
            return
        memory = self._memories.get(sender)
        if memory is None:
            return
        memory.keep(int(number), stage)
        for end in self.ends.of_peer(sender):
            self._desks[end].tell(stage, now_ns)

    def _order(self, order: LinkOrder, now_ns: int) -> None:
        ended = carry_out(self, order, now_ns)
        if ended is not None:
            self._finished.append((order.number, *ended))

    def _emergencies(self, now_ns: int) -> None:
        if self.emergency is None or self.state is None:
            return
        self._finished += self.emergency.step(self.state, now_ns)
        for note in self.emergency.sender.take_notes():
            packet = "" if note.packet is None else f"packet {note.packet.packet_id}: "
            severity = Severity.INFO if note.code is Code.NBL_PACKET_SENT else Severity.WARNING
            self.tell(note.t_ns, note.code, severity, f"{packet}{note.text}")

    def _forward(self, now_ns: int) -> None:
        node = self.bundles
        if node is None:
            return
        lines = self._parts.neighbours
        node.dock(tuple(Neighbour(n, line.joules_per_byte, line.transport.mtu) for n, line in lines.items()))
        node.step(now_ns)
        dropped = sum(node.dropped.values())
        if dropped > self._bundles_dropped and now_ns - self._bundles_told_ns >= KEYS_TOLD_NS:
            named = ", ".join(f"{reason.value} {count}" for reason, count in node.dropped.items() if count)
            self._bundles_dropped, self._bundles_told_ns = dropped, now_ns
            self.tell(now_ns, Code.BUNDLE_DROPPED, Severity.WARNING, f"since start: {named}")
        for number, line in lines.items():
            silent = self.emcon.may(line.transmitter, Traffic.BULK, now_ns) is not None
            outgoing = None if silent or not line.transport.room(now_ns) else node.next_for(number, now_ns)
            if outgoing is None:
                continue
            gone = line.transport.send(outgoing.data, "", now_ns)
            if gone:
                self.emcon.admit(line.transmitter, Traffic.BULK, len(outgoing.data), now_ns)
            node.sent(outgoing, gone)

    def _watch(self, now_ns: int) -> None:
        if now_ns - self._head_ns >= HEAD_NS:
            self._keep_head(now_ns)
        for alert in self.watch.step(now_ns):
            numbers = ", ".join(f"{name} {value:g}" for name, value in alert.numbers)
            more = f", {alert.held_back} more" if alert.held_back else ""
            self.tell(
                now_ns, Code.INTRUSION_ALERT, Severity(alert.severity.value),
                f"{alert.kind.value} {alert.endpoint}: {numbers}{more}",
            )
        self._tell_keys(now_ns)
        for end in self.ends.ends:
            shut = end.session.intrusions
            if shut > self._intrusions.get(end, 0):
                self._intrusions[end] = shut
                self.tell(now_ns, Code.INTRUSION_ALERT, Severity.CRITICAL, f"false tags on keys of {end.peer.name}")

    def _tell_keys(self, now_ns: int) -> None:
        """Refused handshakes and keys that could not be stored, at most once in ten seconds."""
        responder = self.ends.responder
        refused, unsaved = sum(responder.refused.values()), responder.unsaved
        if now_ns - self._keys_told_ns < KEYS_TOLD_NS or (refused, unsaved) == self._keys_told:
            return
        before, self._keys_told, self._keys_told_ns = self._keys_told, (refused, unsaved), now_ns
        if refused > before[0]:
            most = max(responder.refused, key=lambda fault: responder.refused[fault])
            words = f"{refused - before[0]}, most often so far: {most.value}"
            self.tell(now_ns, Code.HANDSHAKE_REFUSED, Severity.WARNING, words)
        if unsaved > before[1]:
            self.tell(now_ns, Code.KEY_STORE_FAILED, Severity.WARNING, "after a handshake")

    def _keep_head(self, now_ns: int) -> None:
        """The signed head of the audit log as a file of the store: who holds one finds out if the log was cut later."""
        self._head_ns = now_ns
        self.files.store.save(HEAD_FILE, self.watch.log.head().encode().hex().encode() + b"\n")

    def tables(self) -> dict[str, Any]:
        """Values of the link's telemetry channels."""
        ends = self.ends.ends
        channels: dict[str, int] = {}
        for end in ends:
            for spec in end.manager.specs():
                lane = end.manager.lane(spec.id)
                if lane is not None:
                    lost = sum(lane.queue.counts.dropped.values())
                    if len(lane.queue) or lost:
                        channels[spec.name] = channels.get(spec.name, 0) + len(lane.queue)
        return {
            "link_peers": {end.peer.name: f"{end.peer.role.value} {end.line.transport.name}" for end in ends},
            "link_channels": channels,
            "link_counts": dict(self.ends.counts.by_outcome),
            "nbl": None if self.emergency is None else self.emergency.table(),
            "emcon_level": int(self.emcon.level),
            "intrusion_alerts": {kind.value: n for kind, n in self.watch.detector.alerts.items() if n},
            "files": self.files.table(),
            "sequences": sorted(self.sequences.loaded),
            "audit_records": self.watch.log.records,
            "link_used_j": self._used_j,
            "bundles": None if self.bundles is None else {
                "waiting": self.bundles.waiting, "sent": self.bundles.counts.sent,
                "dropped": sum(self.bundles.dropped.values()),
            },
        }


def _values(group: str, snapshot: Snapshot) -> Any:
    values = snapshot.values
    return [values.get(name) for name in LAYOUTS[group].names if name != "t_s"]
