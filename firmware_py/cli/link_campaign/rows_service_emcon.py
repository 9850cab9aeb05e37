"""Row 20, the service: whatever the craft is asked for, nothing leaves it that the level of emission control forbids.

Three stations, two docked neighbours and an emergency transmitter keep the craft busy: commands, answers to handshakes,
files both ways with their acknowledgements and repeats, shell, bundles for others. The level changes all the time, by
region and by order, and the craft restarts. A witness at every antenna holds what goes out against a level of its own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from comms.bundles import Block, BlockKind, Bundle, BundleNode, Eid, NodeSettings, encode
from comms.bundles.block import age_block, hop_block
from comms.channel_plan import PLAN, QosClass
from comms.dictionary import Authority
from comms.emcon import Transmitter
from comms.flight_port import LinkOrder
from comms.records.faults import RecordFault
from comms.records.header import read_header
from fdir.modes import Emission
from firmware_py.cli.link_campaign.row import Progress, Row, RowResult
from firmware_py.cli.link_campaign.service_rig import GROUND_SIDE, NS, ServiceRig
from firmware_py.commands import Order
from hil.link_line import GilbertElliott, LineRules, LinkLine

__all__ = ["SERVICE_EMCON_ROW", "ask_for_something", "run_service_emcon"]

KEPT = 20
STEP_NS = 50_000_000
FLIGHT_TICKS = 10_000
"""Ticks of one craft; after that all is made anew."""
LINES = {"radio": Transmitter.RADIO, "bridge": Transmitter.BRIDGE, "cable": Transmitter.CABLE}
NEIGHBOURS = {101: ("docked", Transmitter.BRIDGE), 102: ("onward", Transmitter.RADIO)}
STATIONS = {
    "ada": ("radio", Authority.SAFETY), "bea": ("bridge", Authority.SAFETY), "cleo": ("cable", Authority.SAFETY),
}
SILENT_FROM = {"radio": 2, "onward": 2, "bridge": 3, "docked": 3, "cable": 9, "nbl": 2}
"""Level from which on no byte may leave through a line."""
RADIATES = ("radio", "onward", "nbl")
REGION = {Emission.OPEN: 0, Emission.RESTRICTED: 1, Emission.SILENT: 3}
HEAVY = frozenset(spec.id for spec in PLAN if spec.qos in (QosClass.SCIENCE, QosClass.BULK))
RELEASE_NS = 600 * NS


class _Level:
    """The strictest that anybody has asked for, worked out beside the craft."""

    def __init__(self) -> None:
        self.region = self.ordered = self.floor = 0

    @property
    def value(self) -> int:
        return max(self.region, self.ordered, self.floor)

    def seen(self, region: int) -> None:
        """The craft has been told its emission region."""
        self.region = region
        if region >= self.floor:
            self.floor = 0

    def order(self, level: int) -> None:
        self.ordered, self.floor = level, 0

    def restart(self) -> None:
        """What the region had asked for stands until it is known anew."""
        self.floor = max(self.floor, self.region)
        self.region = 0


class _Emergency:
    """Emergency transmitter that tells the witness."""

    def __init__(self, tell: Callable[[str, bytes], None]) -> None:
        self._tell = tell

    def start(self, frame: bytes, now_ns: int) -> bool:  # noqa: ARG002
        """See NblTransmitter."""
        self._tell("nbl", frame)
        return True

    def stop(self, now_ns: int) -> None:
        """See NblTransmitter."""


@dataclass(slots=True)
class _Watch:
    """One craft, what it was asked for, and a witness at every antenna."""

    rng: np.random.Generator
    level: _Level = field(default_factory=_Level)
    passed: Counter[tuple[str, int]] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    restarts: int = 0
    released_ns: int | None = None
    numbers: int = 0
    rig: ServiceRig = field(init=False)

    def __post_init__(self) -> None:
        rules = LineRules(delay_ns=40_000_000, loss=GilbertElliott.from_mean(0.1, 2.0), duplicate=0.02)
        self.rig = ServiceRig(
            self.rng, LINES, STATIONS, {name: LinkLine(rules, self.rng) for name in LINES}, 200_000.0, 600,
            neighbours=NEIGHBOURS, transmitter=_Emergency(self.goes_out),
        )
        self.rig.witness = lambda sent: self.goes_out(sent.line, sent.payload)
        self.rig.carried_out = self._ordered

    def _ordered(self, order: Order) -> None:
        if order.name == "emcon":
            self.level.order(int(order.arguments["level"]))

    def goes_out(self, line: str, payload: bytes) -> None:
        level = self.level.value
        self.passed[line, level] += 1
        what = self._objection(line, payload, level)
        if what and len(self.failures) < KEPT:
            self.failures.append(f"at {self.rig.now_ns / NS:.2f} s, level {level}: {what} through {line}")

    def _objection(self, line: str, payload: bytes, level: int) -> str:
        if level >= SILENT_FROM[line]:
            if line == "nbl" and self.released_ns is not None and self.rig.now_ns <= self.released_ns + RELEASE_NS:
                self.released_ns = None
                return ""
            return f"{len(payload)} bytes"
        if level >= 1 and line in RADIATES and line != "nbl":
            if line == "onward":
                return "a bundle"
            header = read_header(payload)
            if not isinstance(header, RecordFault) and (header.channel in HEAVY or header.channel > 7):
                return f"a record of channel {header.channel}"
        return ""


def run_service_emcon(rng: np.random.Generator, cases: int, progress: Progress) -> RowResult:
    """``cases`` ticks of 50 ms."""
    seed = int(rng.integers(1 << 62))
    failures: list[str] = []
    counts: Counter[str] = Counter()
    passed: Counter[tuple[str, int]] = Counter()
    for number, first in enumerate(range(0, cases, FLIGHT_TICKS)):
        ticks = min(FLIGHT_TICKS, cases - first)
        watch = _Watch(np.random.default_rng([seed, number]))
        for tick in range(ticks):
            ask_for_something(watch)
            _step(watch)
            if tick % 500 == 0:
                progress(first + tick, cases)
        failures += [f"craft {number}: {text}" for text in watch.failures]
        passed.update(watch.passed)
        counts["restarts"] += watch.restarts
        counts["commands"] += sum(watch.rig.done.values())
    progress(cases, cases)
    for (line, level), count in sorted(passed.items()):
        counts[f"{line} at {level}"] += count
    missing = [line for line in SILENT_FROM if not any(passed[line, level] for level in range(4))]
    if missing and cases >= FLIGHT_TICKS:
        failures.append(f"nothing ever went out through {', '.join(missing)}")
    return RowResult(not failures, cases, dict(counts), tuple(failures[:KEPT]))


def _step(watch: _Watch) -> None:
    watch.level.seen(REGION[watch.rig.emission])
    watch.rig.step(STEP_NS)
    for station in watch.rig.stations.values():
        station.ground.arrivals.clear()


def ask_for_something(watch: _Watch) -> None:
    """Now and then each of all the things that make a craft send, or change what it may."""
    rig, draws = watch.rig, watch.rng.random(10)
    for place, name in enumerate(rig.stations):
        if draws[place] < 0.08:
            _station_asks(watch, name, float(draws[place]) / 0.08)
    if draws[4] < 0.01:
        # Open half of the time, or everything would be silent.
        rig.emission = (Emission.OPEN, Emission.OPEN, Emission.RESTRICTED, Emission.SILENT)[int(400 * draws[4])]
    if draws[5] < 0.02:
        rig.pipes["docked" if watch.numbers % 2 else "onward"].put(GROUND_SIDE, _bundle(watch), rig.now_ns)
    if draws[6] < 0.004:
        _tell_link(watch, "nbl_send", {"payload_class": "beacon", "criticality": "critical", "confirmed": True})
    if draws[7] < 0.002:
        _tell_link(watch, "emcon_release", {})
        watch.released_ns = rig.now_ns
    if draws[8] < 0.001:
        watch.level.restart()
        watch.released_ns = None
        rig.restart()
        watch.restarts += 1
    for pipe in ("docked", "onward"):
        rig.pipes[pipe].get(GROUND_SIDE, rig.now_ns, 64)


def _station_asks(watch: _Watch, name: str, what: float) -> None:
    """One station asks for one thing; what it can't ask for, unconnected, it leaves."""
    rig, ground = watch.rig, watch.rig.stations[name].ground
    watch.numbers += 1
    if what < 0.06:
        ground.connect(rig.now_ns)
        return
    if not ground.connected:
        return
    if what < 0.45:
        ground.order("ping", {"number": watch.numbers}, rig.now_ns)
    elif what < 0.55:
        ground.order("emcon", {"level": int(watch.rng.choice((0, 0, 1, 2, 3)))}, rig.now_ns, priority="urgent")
    elif what < 0.65:
        ground.files.store.save(f"up-{watch.numbers % 8}", watch.rng.bytes(int(watch.rng.integers(200, 8000))))
        ground.send_file(f"up-{watch.numbers % 8}", rig.now_ns)
    elif what < 0.75:
        ground.order("file_send", {"name": f"up-{watch.numbers % 8}"}, rig.now_ns)
    elif what < 0.85:
        pipe = ground.shell()
        if pipe is not None:
            pipe.write(b"status\n")
    elif what < 0.9:
        for end in rig.link.ends.of_peer(name):
            end.session.rotate()
    else:
        ground.ask_parameters()
        ground.order("telemetry_rate", {"group": "motion", "rate_hz": float(watch.numbers % 10)}, rig.now_ns)


def _tell_link(watch: _Watch, name: str, arguments: dict[str, object]) -> None:
    """An order of the flight loop, behind all its gates."""
    watch.numbers += 1
    rig = watch.rig
    rig.port.flight.send(LinkOrder(rig.craft_ns, 1_000_000 + watch.numbers, name, arguments, "ada", Authority.SAFETY))


def _bundle(watch: _Watch) -> bytes:
    """One that a neighbour wants to have sent on."""
    watch.numbers += 1
    source = BundleNode(NodeSettings(Eid.ipn(101, 0)), watch.numbers + 1, 0)
    primary = source.make(Eid.ipn(7, 1), 1, 3600.0)
    payload = Block(BlockKind.PAYLOAD, 1, watch.rng.bytes(200))
    return encode(Bundle(primary, (age_block(2, 5), hop_block(3, 16, 1), payload)))


SERVICE_EMCON_ROW = Row(
    20, "EMCON of the whole service",
    "commands, answers to handshakes, files with repeats and acknowledgements, shell, bundles for others, emergency "
    "packets, restarts: 0 bytes out that the level forbids, through any line", 100_000, 3_000, run_service_emcon,
)
