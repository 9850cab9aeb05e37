"""A craft's link and ground stations over lines in memory, with a flight loop that says what a test wants."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from comms.bounded import BoundedQueue
from comms.bundles.node import BundleNode
from comms.cfdp import MemoryStore
from comms.dictionary import Authority
from comms.dictionary.commands_link import LINK_COMMANDS
from comms.emcon import EmconGate, Transmitter
from comms.flight_port import (
    CommandStage,
    CraftState,
    EnergyAsk,
    EnergyVerdict,
    EventNote,
    LinkOrder,
    LinkReport,
    LocalPort,
    Snapshot,
    UplinkRequest,
)
from comms.keys.initiator import RetryPlan
from comms.keys.keyring import KeyStore, new_craft, new_operator
from comms.keys.pairing import pair
from comms.keys.vault import Lock
from comms.link.craft import CraftLink, CraftParts
from comms.link.craft_watch import CraftWatch
from comms.link.emergency import Emergency
from comms.link.end import Line
from comms.link.ground import GroundStation
from comms.transports.memory import MemoryPair, Pipe, memory_pair
from comms.transports.port import Datagram, TransportCounts
from comms.watch.audit import AuditLog
from comms.watch.intrusion import IntrusionDetector
from comms.watch.signing import AuditSigner
from fdir.modes import Emission
from hal.nonvolatile import Files
from hil.disk import SimDisk

NS = 1_000_000_000
MS = 1_000_000
STEP = 20_000_000
CRAFT, OPERATOR = "QIKI-1", "ada"
LOCK = Lock.from_sealing_key(bytes(range(32)))
BY_LINK = frozenset(command.name for command in LINK_COMMANDS) - {"command_arm"}
"""Commands that the flight loop hands on to the link."""
TOLD = ("requested", "validation_pending", "allowed", "effect_confirmed", "audited")


class Air:
    """A line with many addresses, as UDP has: everything that passes is kept, and anything may be put in.

    Attributes:
        up, down: what was sent to the craft and by it: (address, datagram), in order.
        room: bytes that the craft's modem takes; a test may shut it.
        pass_up, pass_down: whether a datagram gets through.
    """

    def __init__(self, mtu: int = 1200) -> None:
        self.mtu = mtu
        self.up: list[tuple[str, bytes]] = []
        self.down: list[tuple[str, bytes]] = []
        self.room: int | None = None
        self.pass_up: Callable[[bytes], bool] = lambda _: True
        self.pass_down: Callable[[bytes], bool] = lambda _: True
        self.to_craft: BoundedQueue[Datagram] = BoundedQueue(200_000)
        self.to_ground: dict[str, BoundedQueue[Datagram]] = {}

    def craft(self, name: str = "air") -> AirEnd:
        return AirEnd(self, name, None)

    def ground(self, address: str) -> AirEnd:
        self.to_ground.setdefault(address, BoundedQueue(4096))
        return AirEnd(self, f"air-{address}", address)

    def inject(self, address: str, payload: bytes) -> None:
        """Something comes to the craft from an address, whoever sent it."""
        self.to_craft.put(Datagram(payload, address))


class AirEnd:
    """One end of an ``Air``: a ``Transport`` without a pace."""

    def __init__(self, air: Air, name: str, address: str | None) -> None:
        self.air, self.name, self.address = air, name, address
        self.mtu, self.bit_rate = air.mtu, 10e6
        self.counts = TransportCounts()

    def send(self, payload: bytes, to: str, now_ns: int) -> bool:
        if not 0 < len(payload) <= self.mtu:
            raise ValueError(f"{len(payload)} bytes")
        self.counts.sent += 1
        air = self.air
        if self.address is None:
            air.down.append((to, payload))
            queue = air.to_ground.get(to)
            if queue is not None and air.pass_down(payload):
                queue.put(Datagram(payload, "craft"))
            return True
        air.up.append((self.address, payload))
        if air.pass_up(payload):
            air.to_craft.put(Datagram(payload, self.address))
        return True

    def receive(self, most: int, now_ns: int) -> list[Datagram]:
        queue = self.air.to_craft if self.address is None else self.air.to_ground[self.address]
        return queue.take_all(most)

    def room(self, now_ns: int) -> int:
        return self.mtu if self.address is not None or self.air.room is None else self.air.room

    def close(self) -> None:
        pass


class Flight:
    """What a flight loop does with what the link hands it, by the same rules: a number once, in order, in time.

    Attributes:
        asked: every request of the link.
        done: (sender, number in its id, name) of what was carried out.
        codes: what speaks against every command; a test may fill it.
        stages: what is told of a command that is allowed.
        answers: ``False``: nothing is told at all.
        energy: verdict on what the emergency channel asks for; ``None``: no answer.
        state: fields of the craft's state that differ from nominal.
    """

    def __init__(self, port: LocalPort) -> None:
        self.port = port.flight
        self.start = 1
        self.asked: list[UplinkRequest] = []
        self.done: list[tuple[str, int, str]] = []
        self.reports: list[LinkReport] = []
        self.events: list[EventNote] = []
        self.orders: list[LinkOrder] = []
        self.asks: list[EnergyAsk] = []
        self.codes: tuple[str, ...] = ()
        self.detail = ""
        self.stages: tuple[str, ...] = TOLD
        self.answers = True
        self.energy: Callable[[EnergyAsk], EnergyVerdict | None] = lambda ask: EnergyVerdict(ask.consumer, True)
        self.emission = Emission.OPEN
        self.state: dict[str, Any] = {}
        self.values: Callable[[int], Mapping[str, Any]] = lambda now: {"t_s": now / NS, "motion": "Idle"}
        self.number = 0
        self._last: dict[str, int] = {}
        self._verdicts: dict[tuple[str, str], tuple[CommandStage, ...]] = {}
        self._waiting: dict[int, UplinkRequest] = {}

    @property
    def codes_told(self) -> list[str]:
        """Codes of all events of the link so far."""
        return [event.code for event in self.events]

    def restart(self) -> None:
        """The flight program is started anew."""
        self.start += 1
        self.number = 0
        self._last.clear()
        self._verdicts.clear()
        self._waiting.clear()

    def step(self, now: int) -> None:
        state = {"motion": "Idle", "soc_supercap": 0.9, "soc_battery": 0.9, "core_c": 20.0, "comms_c": 20.0,
                 "core_tripped": False, "pdu_tripped": False, "nbl_load": True, **self.state}
        self.port.send(CraftState(now, self.start, emission=self.emission, **state))
        self.port.send(Snapshot(now, self.values(now)))
        for message in self.port.receive(64):
            if isinstance(message, LinkReport):
                self._hear(message, now)
            elif isinstance(message, EnergyAsk):
                self.asks.append(message)
                if message.watts > 0.0 and (verdict := self.energy(message)) is not None:
                    self.port.send(verdict)
            elif isinstance(message, UplinkRequest):
                self.asked.append(message)
                if self.answers:
                    self._take(message, now)

    def _hear(self, report: LinkReport, now: int) -> None:
        self.reports.append(report)
        for event in report.events:
            self.events.append(event)
            # As the journal does: what is recorded is told to the link again, for its peers and its audit.
            self.port.send(EventNote(now, event.code, event.severity, event.text))
        for number, well, words in report.finished:
            request = self._waiting.pop(number, None)
            if request is not None:
                stages = ("effect_confirmed",) if well else ("aborted",)
                self._tell(request, number, (*stages, "audited"), (), words, now)

    def _take(self, request: UplinkRequest, now: int) -> None:
        key = (request.sender, request.command_id)
        if key in self._verdicts:
            for stage in self._verdicts[key]:
                self.port.send(stage)
            return
        codes = list(self.codes)
        if request.start != self.start or (request.not_after_ns is not None and now > request.not_after_ns):
            codes.append("CMD_EXPIRED")
        if request.sequence <= self._last.get(request.sender, -1):
            codes.append("CMD_VALIDATION_FAILED")
        self._last[request.sender] = max(request.sequence, self._last.get(request.sender, -1))
        self.number += 1
        if codes:
            self._tell(request, self.number, ("requested", "validation_pending", "rejected", "audited"), codes,
                       self.detail, now)
            return
        digits = request.command_id.rpartition(":")[2]
        self.done.append((request.sender, int(digits) if digits.isdigit() else -1, request.name))
        if request.name in BY_LINK:
            self._waiting[self.number] = request
            order = LinkOrder(now, self.number, request.name, dict(request.arguments), request.sender,
                              request.authority)
            self.orders.append(order)
            self.port.send(order)
            self._tell(request, self.number, ("requested", "validation_pending", "allowed"), (), "", now)
        else:
            self._tell(request, self.number, self.stages, (), "", now)

    def _tell(
        self, request: UplinkRequest, number: int, stages: Iterable[str], codes: Iterable[str], detail: str, now: int
    ) -> None:
        for stage in stages:
            with_codes = tuple(codes) if stage in ("rejected", "aborted") else ()
            words = detail if stage in ("rejected", "aborted", "effect_confirmed") else ""
            told = CommandStage(now, number, request.command_id, request.sender, request.name, stage, with_codes, words)
            self.port.send(told)
            if stage != "audited":
                self._verdicts[request.sender, request.command_id] = (told,)


class Nbl:
    """An emergency transmitter that notes what it sent."""

    def __init__(self) -> None:
        self.frames: list[bytes] = []
        self.stopped: list[int] = []

    def start(self, frame: bytes, now_ns: int) -> bool:
        self.frames.append(frame)
        return True

    def stop(self, now_ns: int) -> None:
        self.stopped.append(now_ns)


class Bench:
    """Craft, flight loop and a station on one clock.

    Args:
        role: of the first station's key.
        pipe: between the first station and the craft; delivers at once if not given.
        transmitter: what the craft's line is.
        air: further line of the craft, for stations made by ``station``; ``air_transmitter`` is what it is.
        nbl: the craft's emergency transmitter.
        audit: where the audit log lies; in memory if not given.
        neighbours: lines of docked neighbours, with the node that serves them.
        step_ns: period of a step.
        files: where the level of emission control is kept.
    """

    def __init__(
        self, role: Authority = Authority.SAFETY, pipe: Pipe | None = None, bit_rate: float = 1e6, mtu: int = 1200,
        seed: int = 1, *, transmitter: Transmitter = Transmitter.RADIO, air: Air | None = None,
        air_transmitter: Transmitter = Transmitter.RADIO, nbl: Nbl | None = None, audit: Files | None = None,
        neighbours: Mapping[int, Line] | None = None, node: BundleNode | None = None, step_ns: int = STEP,
        port_limit: int = 512, files: Files | None = None, retry: RetryPlan | None = None,
    ) -> None:
        self.rng = np.random.default_rng(seed)
        self.random = self.rng.bytes
        self.craft_disk = SimDisk(self.rng)
        self.craft_keys = KeyStore(self.craft_disk, LOCK, self.random, new_craft(CRAFT, self.random))
        self.ground_keys = self.operator(OPERATOR, role)
        self.lines: MemoryPair = memory_pair("radio", mtu=mtu, bit_rate=bit_rate, pipe=pipe)
        self.port = LocalPort(port_limit)
        self.store = MemoryStore()
        self.ground_store = MemoryStore()
        self.air = air
        self.seal: Callable[[bytes], bytes] = lambda plain: b"\x21" + bytes(10) + plain
        seed_32 = self.craft_keys.ring.audit_seed
        assert seed_32 is not None
        self.log = AuditLog(audit, AuditSigner(seed_32), 1, 0)
        lines = {"radio": Line(self.lines.a, transmitter)}
        if air is not None:
            lines["air"] = Line(air.craft(), air_transmitter)
        emcon = EmconGate(files)
        emergency = None
        if nbl is not None:
            emergency = Emergency(nbl, lambda plain: self.seal(plain), emcon, self.port.link, SimDisk(self.rng), 0)
        self.link = CraftLink(CraftParts(
            self.craft_keys, lines, self.port.link, self.store, emcon, CraftWatch(IntrusionDetector(), self.log),
            self.random, emergency, node, dict(neighbours or {}), version="test",
        ), 0, 1)
        self.ground = GroundStation(
            self.ground_keys, CRAFT, Line(self.lines.b, Transmitter.CABLE), self.random, self.ground_store, retry=retry
        )
        self.stations: list[GroundStation] = [self.ground]
        self.flight = Flight(self.port)
        self.step_ns = step_ns
        self.now = 0
        self.last_flight = -NS
        self.each: Callable[[], None] = lambda: None
        """Called before every step."""

    @property
    def requests(self) -> list[UplinkRequest]:
        """What the link has asked the flight loop for."""
        return self.flight.asked

    def files(self) -> dict[str, int]:
        """Files of the craft's store, but for the head of the audit log that the link lays there by itself."""
        return {name: size for name, size in self.store.names().items() if name != "audit.head"}

    def operator(self, name: str, role: Authority) -> KeyStore:
        """Keys of a further operator, pinned by the craft."""
        keys = KeyStore(SimDisk(self.rng), LOCK, self.random, new_operator(name, role, self.random))
        pair(self.craft_keys, keys, self.random)
        return keys

    def station(self, keys: KeyStore, address: str, retry: RetryPlan | None = None) -> GroundStation:
        """A further station, over ``air``."""
        assert self.air is not None
        line = Line(self.air.ground(address), Transmitter.CABLE)
        station = GroundStation(keys, CRAFT, line, self.random, MemoryStore(), now_ns=self.now, retry=retry)
        self.stations.append(station)
        return station

    def step(self) -> None:
        self.each()
        if self.now - self.last_flight >= 50_000_000:
            self.last_flight = self.now
            self.flight.step(self.now)
        self.link.step(self.now)
        for station in self.stations:
            station.step(self.now)
        self.now += self.step_ns

    def run(self, seconds: float, until: Callable[[], bool] | None = None) -> bool:
        """Run for a time, or until something is true; whether it became true."""
        end = self.now + round(seconds * NS)
        while self.now < end:
            self.step()
            if until is not None and until():
                return True
        return until is None

    def connected(self, seconds: float = 20.0) -> Bench:
        for station in self.stations:
            station.connect(self.now)
        assert self.run(seconds, lambda: all(station.connected for station in self.stations))
        return self

    def events(self, code: str) -> list[EventNote]:
        """Events of the link with this code."""
        return [event for event in self.flight.events if event.code == code]
