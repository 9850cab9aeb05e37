"""A craft's link and its ground stations, whole, on one simulated clock: what the rows about the service are flown on.

Only the body of the craft is left out: the flight loop's end of the port, its journal and its desk are the real ones,
and the desk's orders are counted instead of flown. A restart of the craft loses what a restart loses: sessions, queues,
the desk's memory, the flight time. Keys, files and the kept level of emission control stay on their simulated disks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np

from comms.cfdp import MemoryMedium, MemoryStore
from comms.cfdp.store import FileStore
from comms.dictionary import Authority
from comms.emcon import Transmitter
from comms.flight_port import LocalPort
from comms.keys.keyring import KeyStore, new_craft, new_operator
from comms.keys.pairing import pair
from comms.keys.vault import Lock
from comms.link.craft import CraftLink
from comms.link.end import Line
from comms.link.ground import GroundStation, StationState
from comms.nbl.ports import NblTransmitter
from comms.transports.memory import MemoryPipe, MemoryTransport, Pipe
from comms.transports.paced import PacedTransport
from comms.transports.pacer import Pacer
from fdir.codes import Code
from fdir.facts import CraftLimits, Facts
from fdir.gate_facts import GateFacts
from fdir.modes import Emission
from fdir.supervisor import Supervisor
from firmware_py.command_desk import CommandDesk, Done
from firmware_py.command_effects import BurnSeen, Seen
from firmware_py.commands import CommandRecord, CommandRequest, Order
from firmware_py.energy.token_types import Outcome
from firmware_py.gnc.estimator import NavState
from firmware_py.journal import NoJournal
from firmware_py.link_exchange import LinkExchange
from firmware_py.link_orders import LINK_COMMANDS
from firmware_py.link_parts import LinkFiles, make_link, provision
from firmware_py.link_tap import LinkTap
from hil.disk import SimDisk

__all__ = ["CRAFT", "CRAFT_SIDE", "GROUND_SIDE", "NS", "FlightEnd", "Sent", "ServiceRig", "Station"]

NS = 1_000_000_000
CRAFT = "QIKI"
CRAFT_SIDE, GROUND_SIDE = 0, 1
FLIGHT_NS, SNAPSHOT_NS, RECONNECT_NS = 50_000_000, 100_000_000, 10 * NS
PORT_LIMIT = 512
MTU, BIT_RATE = 1200, 1e6
WORLD = Facts(
    t_ns=0, hash_matches=True, self_test_passed=True, soc_battery=0.8, soc_supercap=0.7, boost_soc=0.6, hold_soc=0.3,
    bus_voltage_v=26.8, bus_current_a=2.2, battery_temperature_c=18.0, hottest_share=-2.0, imu_ok=True, imu_repeats=0,
    rate_rad_s=0.001, rate_disagreement_rad_s=0.0, attitude_known=True, speed_m_s=0.0, propellant_kg=10.0,
    propulsion_ready=True, settled=True, segment_done=True, target_range_m=None, bridge_allowed=False, detached=True,
    joint_locked_unrated=False, late_ticks=0, limits=CraftLimits(22.0, 20.0, 4.0, 5.0, 6.0, 0.1, 0.1, 0.44, 0.0, -20.0,
                                                                 -0.5),
)
"""A craft at rest that nothing is wrong with (plausible)."""
AT_REST = NavState(
    0, (1.0, 0.0, 0.0, 0.0), (0.0, 0.0, 0.0), (0.0, 0.0, 0.0), (0.0, 0.0, 0.0), (0.0, 0.0, 0.0), (0.0, 0.0, 0.0), 1e-3,
    1e-3, 0.01, 0.001, True, None, 0, 0, False,
)


class _Forgetful(NoJournal):
    """A journal of which only the newest is of use."""

    def __init__(self) -> None:
        super().__init__(0)


class FlightEnd:
    """The flight loop's end: port, journal and desk are real, and what the desk lets through is counted, not flown.

    Args:
        start: number of this start.
        port: both ends of the port.
        emission: what the emission region asks for.
        done: told of every command that is carried out.
        period_ns: of the exchange with the link; the flight loop has twenty a second.

    Attributes:
        asked: requests that came over the port, by sender and name.
    """

    def __init__(
        self, start: int, port: LocalPort, emission: Emission, done: Callable[[Order], None],
        period_ns: int = FLIGHT_NS,
    ) -> None:
        self._done = done
        self.asked: Counter[tuple[str, str]] = Counter()
        self.events: list[tuple[int, str, str]] = []
        """Events that the link has told: time, code, words; the newest 4,096."""
        self.supervisor = Supervisor(("a", "b", "c", "d"), ())
        self.supervisor.modes.emission = emission
        self._tap = LinkTap(_Forgetful(), port.flight)
        self.desk = CommandDesk(self.supervisor, self._tap, GateFacts, lambda _class, _nav: (), self._act)
        self.desk.start = start
        self._software = self._as_software()
        self.exchange = LinkExchange(self._software, port.flight, self._tap)  # type: ignore[arg-type]
        self._next_ns = self._snapshot_ns = 0
        self._period_ns = period_ns

    def step(self, now_ns: int) -> None:
        """One exchange a period."""
        if now_ns < self._next_ns:
            return
        self._next_ns = now_ns + self._period_ns
        self.exchange.step(now_ns)
        self.desk.watch(now_ns, self._see)
        if now_ns >= self._snapshot_ns:
            self._snapshot_ns = now_ns + SNAPSHOT_NS
            self._tap.snapshot(now_ns, {"t_s": now_ns / NS, "motion": "Idle", "position_m": (now_ns / NS, 0.0, 0.0)})

    def event(self, t_ns: int, code: str, _severity: str, text: str) -> None:
        """An event that the link has told, as the journal has it."""
        self.events.append((t_ns, str(code), text))
        del self.events[:-4096]
        self._tap.event(t_ns, code, _severity, text)

    def _act(self, order: Order, request: CommandRequest, now_ns: int, _nav: NavState, _facts: Facts) -> Done:
        codes: tuple[Code, ...] = ()
        if order.name in LINK_COMMANDS:
            codes = self._software.commander.link.give(order, request.authority, now_ns)
        if not codes:
            self._done(order)
        return Done(codes)

    def _take(self, request: CommandRequest, now_ns: int, nav: NavState, facts: Facts) -> CommandRecord:
        self.asked[request.who, request.name] += 1
        return self.desk.take(request, now_ns, nav, facts)

    def _see(self) -> Seen:
        link = self._software.commander.link
        return Seen(WORLD, self.supervisor, 0, False, BurnSeen(), False, None, None, link)

    def _as_software(self) -> Any:
        """What the exchange needs of the flight software."""
        commander = SimpleNamespace(desk=self.desk, take=self._take, link=None)
        granted = SimpleNamespace(outcome=Outcome.GRANTED, codes=(), when_ns=None)
        peaks = SimpleNamespace(live=lambda _who: True, give_back=lambda *_: None, ask=lambda *_: granted)
        cool = SimpleNamespace(tripped=False)
        energy = SimpleNamespace(
            peaks=peaks, heat=SimpleNamespace(nodes={"core": cool, "pdu": cool}), soc_supercap=0.9, soc_battery=0.8,
            loads=SimpleNamespace(answers={"nbl": SimpleNamespace(on=True)}),
        )

        return SimpleNamespace(
            facts=WORLD, estimator=SimpleNamespace(nav=AT_REST), commander=commander, journal=self, heard_ns=None,
            radio_ready=None, link_values={}, energy=energy, supervisor=self.supervisor, firing=False, retained=None,
            temperatures={"core": SimpleNamespace(ok=True, value=20.0)},
        )


@dataclass(frozen=True, slots=True)
class Sent:
    """A datagram that the craft has put on a line."""

    t_ns: int
    line: str
    payload: bytes


class _Antenna:
    """The craft's end of a line: the time of the program's start, and a witness of what goes out."""

    def __init__(self, pipe: Pipe, name: str, rig: ServiceRig) -> None:
        self._pipe = pipe
        self._name = name
        self._rig = rig

    def put(self, side: int, payload: bytes, _now_ns: int) -> bool:
        rig = self._rig
        taken = self._pipe.put(side, payload, rig.now_ns)
        if taken and rig.witness is not None:
            rig.witness(Sent(rig.now_ns, self._name, payload))
        return taken

    def get(self, side: int, _now_ns: int, most: int) -> list[bytes]:
        return self._pipe.get(side, self._rig.now_ns, most)


@dataclass(slots=True)
class Station:
    """A ground station, and the line that it is at."""

    ground: GroundStation
    line: str
    keys: KeyStore
    connect_ns: int = 0
    up: bool = True
    """``False``: nobody steps it."""
    sent: list[bytes] = field(default_factory=list)
    """Datagrams of this station, if they are recorded."""


class _Mast:
    """The ground's end of a line, which remembers what the station has sent."""

    def __init__(self, pipe: Pipe, station: list[bytes], recording: bool) -> None:
        self._pipe = pipe
        self._sent = station
        self._recording = recording

    def put(self, side: int, payload: bytes, now_ns: int) -> bool:
        if self._recording:
            self._sent.append(payload)
        return self._pipe.put(side, payload, now_ns)

    def get(self, side: int, now_ns: int, most: int) -> list[bytes]:
        return self._pipe.get(side, now_ns, most)


class ServiceRig:
    """Owner of everything.

    Args:
        rng: all chance.
        lines: transmitter of each line of the craft by name.
        pipes: what is between the ends, by name of line; a line without one delivers at once.
        stations: line and role of each operator, by name.
        bit_rate, mtu: of all lines.
        recording: keep what the stations send.
        near: makes the craft's end of a line at each start, instead of one over its pipe.
        far: the stations' ends of lines, instead of those over pipes.
        flight_ns: period of the flight loop's exchange with the link.
        neighbours: name of the line and its transmitter, by number of the neighbour's node.
        transmitter: of the emergency channel, if the craft has one.

    Attributes:
        now_ns: time of the world.
        witness: told of every datagram that the craft puts on a line.
        carried_out: told of every command that the desk lets through, before the link hears of it.
        done: how often each command was carried out, by name and arguments, over all starts.
    """

    def __init__(
        self, rng: np.random.Generator, lines: Mapping[str, Transmitter], stations: Mapping[str, tuple[str, Authority]],
        pipes: Mapping[str, Pipe] | None = None, bit_rate: float = BIT_RATE, mtu: int = MTU, recording: bool = False,
        near: Mapping[str, Callable[[], PacedTransport]] | None = None,
        far: Mapping[str, PacedTransport] | None = None, flight_ns: int = FLIGHT_NS,
        neighbours: Mapping[int, tuple[str, Transmitter]] | None = None, transmitter: NblTransmitter | None = None,
    ) -> None:
        self.rng = rng
        self.now_ns = 0
        self.witness: Callable[[Sent], None] | None = None
        self.carried_out: Callable[[Order], None] | None = None
        self.done: Counter[tuple[str, str]] = Counter()
        self.emission = Emission.OPEN
        self.starts = 0
        self._lines = dict(lines)
        beside = [name for name, _ in (neighbours or {}).values()]
        self.pipes: dict[str, Pipe] = {
            name: (pipes or {}).get(name) or MemoryPipe(4096) for name in (*lines, *beside)
        }
        self._bit_rate, self._mtu = bit_rate, mtu
        self._near, self._far = dict(near or {}), dict(far or {})
        self._flight_ns = flight_ns
        self._neighbours = dict(neighbours or {})
        self._transmitter = transmitter
        self.random: Callable[[int], bytes] = rng.bytes
        self._lock = Lock.from_sealing_key(self.random(32))
        self._key_disk = SimDisk(rng)
        keys = KeyStore(self._key_disk, self._lock, self.random, new_craft(CRAFT, self.random))
        self.stations: dict[str, Station] = {}
        for name, (line, role) in stations.items():
            operator = KeyStore(SimDisk(rng), self._lock, self.random, new_operator(name, role, self.random))
            pair(keys, operator, self.random)
            self.add_station(name, line, operator, recording)
        self._disks = [SimDisk(rng) for _ in range(5)]
        self.files = LinkFiles(FileStore(MemoryMedium()), *self._disks)
        provision(self.files.counters)
        self.flight: FlightEnd
        self.link: CraftLink
        self.restart()

    def add_station(self, label: str, line: str, keys: KeyStore, recording: bool = False) -> Station:
        """A station with these keys at a line, in the place of the one of this label."""
        sent: list[bytes] = []
        far = self._far.get(line) or self.transport(
            f"{label}'s", _Mast(self.pipes[line], sent, recording), GROUND_SIDE
        )
        ground = GroundStation(keys, CRAFT, Line(far, Transmitter.CABLE), self.random, MemoryStore(), "", self.now_ns)
        station = self.stations[label] = Station(ground, line, keys, sent=sent)
        return station

    def transport(self, name: str, pipe: Pipe, side: int) -> MemoryTransport:
        """One end of a pipe, with the pace of all lines."""
        return MemoryTransport(name, pipe, side, mtu=self._mtu, pacer=Pacer(self._bit_rate, self._mtu))

    def restart(self) -> None:
        """The craft's program starts anew: only what is on its disks is known."""
        self.starts += 1
        self._started_ns = self.now_ns
        for disk in (self._key_disk, *self._disks):
            disk.restart()
        keys = KeyStore(self._key_disk, self._lock, self.random)
        self.port = LocalPort(PORT_LIMIT)
        lines = {name: Line(self._craft_end(name), transmitter) for name, transmitter in self._lines.items()}
        self.flight = FlightEnd(self.starts, self.port, self.emission, self._count, self._flight_ns)
        beside = {
            node: Line(self._craft_end(name), kind, 1e-6) for node, (name, kind) in self._neighbours.items()
        }
        self.link = make_link(
            keys, lines, self.port.link, self.files, self.random, 0, self.starts, self._transmitter,
            neighbours=beside,
        )

    def _craft_end(self, name: str) -> PacedTransport:
        make = self._near.get(name)
        if make is not None:
            return make()
        return self.transport(name, _Antenna(self.pipes[name], name, self), CRAFT_SIDE)

    def _count(self, order: Order) -> None:
        self.done[order.name, repr(sorted(order.arguments.items()))] += 1
        if self.carried_out is not None:
            self.carried_out(order)

    @property
    def craft_ns(self) -> int:
        """Flight time of the craft."""
        return self.now_ns - self._started_ns

    @property
    def ground(self) -> GroundStation:
        """The only, or first, station."""
        return next(iter(self.stations.values())).ground

    def step(self, step_ns: int = 20_000_000) -> None:
        """Let time pass, and everybody have a turn."""
        self.flight.supervisor.modes.emission = self.emission
        self.flight.step(self.craft_ns)
        self.link.step(self.craft_ns)
        for station in self.stations.values():
            self.station_step(station)
        self.now_ns += step_ns

    def run(self, seconds: float, until: Callable[[], bool] | None = None, step_ns: int = 20_000_000) -> bool:
        """Run for a time, or until something is true; whether it became true."""
        end_ns = self.now_ns + round(seconds * NS)
        while self.now_ns < end_ns:
            self.step(step_ns)
            if until is not None and until():
                return True
        return until is None

    def connect(self, seconds: float = 120.0) -> bool:
        """Run until all stations are connected; whether they are."""
        return self.run(seconds, lambda: all(s.ground.connected for s in self.stations.values() if s.up))

    def station_step(self, station: Station) -> None:
        """One turn of a station, which connects again whenever it has given up."""
        if not station.up:
            return
        ground = station.ground
        if ground.state in (StationState.IDLE, StationState.GAVE_UP) and self.now_ns >= station.connect_ns:
            station.connect_ns = self.now_ns + RECONNECT_NS
            ground.connect(self.now_ns)
        ground.step(self.now_ns)
