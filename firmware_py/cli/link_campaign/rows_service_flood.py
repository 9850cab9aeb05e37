"""Row 8: forged datagrams and noise pour in, and the craft goes on: nothing opened, no answer, no growth, no delay.

Flown twice. On simulated time with the whole amount: 50,000 forged datagrams a second over an open line from many
addresses, the operator's own among them, and noise at full rate on a serial line. And for some seconds over sockets of
this machine, with another process as the attacker; only that part depends on the machine.
"""

from __future__ import annotations

import gc
import sys
from collections import Counter, deque
from statistics import quantiles
from time import thread_time_ns

import numpy as np

from comms.dictionary import Authority
from comms.emcon import Transmitter
from comms.keys.handshake import is_handshake
from comms.transports.paced import PacedTransport
from comms.transports.pacer import Pacer
from comms.transports.port import Datagram
from comms.transports.serial_line import SerialTransport
from firmware_py.cli.link_campaign.row import Progress, Row, RowResult
from firmware_py.cli.link_campaign.service_forger import OPERATOR, Forger
from firmware_py.cli.link_campaign.service_rig import NS, ServiceRig

__all__ = ["FLOOD_ROW", "MOST_DELAY_NS", "RATE_HZ", "judge_delays", "run_flood"]

RATE_HZ = 50_000
STEP_NS = 10_000_000
PER_STEP = RATE_HZ * STEP_NS // NS
KERNEL_HOLDS = 2048
"""Small datagrams that a socket's buffer of 1 MiB holds, about."""
COMMAND_EVERY_NS = 50_000_000
MOST_DELAY_NS = 50_000_000
ALERT_NS = NS
MOST_AUDIT = 10
MOST_BLOCKS = 4_000
"""Objects by which the process may grow; a thing kept for each forged datagram would be far more."""
MOST_COST_US = 18.0
"""Processor time of one forged datagram: 50,000 of them then leave a tenth of one core, here."""
JUDGED = 250_000
"""Datagrams from which on their cost is judged: a short run says little on a busy machine."""
SERIAL_BAUD = 115_200
QUIET_STEPS = 100
KEPT = 20


class OpenLine(PacedTransport):
    """The craft's end of a line that anybody can send to; what finds no room in its buffer is lost, as in a socket.

    Attributes:
        answers: datagrams that went to anybody but the operator.
        handshakes: answers to handshakes, to whomever.
        lost: datagrams that found no room.
    """

    def __init__(self) -> None:
        super().__init__("udp", 1200, Pacer(10e6, 1200))
        self.waiting: deque[Datagram] = deque()
        self.to_operator: deque[bytes] = deque(maxlen=4096)
        self.answers = self.handshakes = self.lost = 0

    def arrive(self, datagrams: list[Datagram]) -> None:
        """Datagrams come in."""
        for datagram in datagrams:
            if len(self.waiting) < KERNEL_HOLDS:
                self.waiting.append(datagram)
            else:
                self.lost += 1

    def _ready(self, now_ns: int) -> bool:  # noqa: ARG002 - the base has a time for it
        return True

    def _put(self, payload: bytes, to: str, now_ns: int) -> bool:  # noqa: ARG002
        self.handshakes += is_handshake(payload)
        if to == OPERATOR:
            self.to_operator.append(payload)
        else:
            self.answers += 1
        return True

    def _take(self, most: int, now_ns: int) -> list[Datagram]:  # noqa: ARG002
        waiting = self.waiting
        return [waiting.popleft() for _ in range(min(most, len(waiting)))]


class _OperatorsPipe:
    """The operator's way to the open line: in the midst of everybody else's datagrams."""

    def __init__(self, line: OpenLine, forger: Forger, rng: np.random.Generator) -> None:
        self._line = line
        self._forger = forger
        self._rng = rng
        self.crowd: list[Datagram] = []
        """Forged datagrams that arrive in this step; the operator's come somewhere among them."""
        self.sent = 0

    def put(self, _side: int, payload: bytes, _now_ns: int) -> bool:
        self.sent += 1
        self._forger.heard.append(payload)
        self.crowd.insert(int(self._rng.integers(len(self.crowd) + 1)), Datagram(payload, OPERATOR))
        return True

    def get(self, _side: int, _now_ns: int, most: int) -> list[bytes]:
        queue = self._line.to_operator
        return [queue.popleft() for _ in range(min(most, len(queue)))]


class _NoisyPort:
    """A serial port that never falls silent."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self._due = 0.0
        self.wrote = 0

    def pass_time(self, step_ns: int) -> None:
        """Noise of this time comes in."""
        self._due += SERIAL_BAUD / 10.0 * step_ns / NS

    def read(self, most: int) -> bytes:
        count = min(most, int(self._due))
        self._due -= count
        return self._rng.bytes(count)

    def write(self, data: bytes) -> None:
        self.wrote += len(data)


class _Flood:
    """One flood, and what is watched of it."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.forger = Forger(rng)
        self.line = OpenLine()
        self.pipe = _OperatorsPipe(self.line, self.forger, rng)
        self.noise = _NoisyPort(rng)
        self.serial = serial = SerialTransport("serial", self.noise, mtu=1024, pacer=Pacer(92_160.0, 1024))  # type: ignore[arg-type]
        self.rig = ServiceRig(
            rng, {"udp": Transmitter.CABLE, "serial": Transmitter.CABLE}, {"ada": ("udp", Authority.SAFETY)},
            {"udp": self.pipe}, near={"udp": lambda: self.line, "serial": lambda: serial}, flight_ns=STEP_NS,
        )
        self.delays: list[int] = []
        self.costs_ns: list[int] = []
        self.audit: Counter[int] = Counter()
        self.forged = 0
        self.idle_ns = 0.0
        self.begun_ns = self.handshakes = 0
        self._given: dict[str, int] = {}
        self._number = 0
        self._due_ns = 0
        self._second = 0

    def step(self, forged: int) -> None:
        """10 ms; ``forged`` datagrams come in, and the operator works."""
        rig, link = self.rig, self.rig.link
        self.pipe.crowd = self.forger.some(forged) if forged else []
        if rig.ground.connected and rig.now_ns >= self._due_ns:
            self._due_ns = rig.now_ns + COMMAND_EVERY_NS
            self._number += 1
            rig.ground.order("ping", {"number": self._number}, rig.now_ns, priority="urgent")
            self._given[repr([("number", self._number)])] = rig.now_ns
        rig.station_step(rig.stations["ada"])
        self.line.arrive(self.pipe.crowd)
        self.noise.pass_time(STEP_NS)
        begun = thread_time_ns()
        link.step(rig.craft_ns)
        self.costs_ns.append(thread_time_ns() - begun)
        rig.flight.step(rig.craft_ns)
        self.forged += forged
        self._look()
        rig.now_ns += STEP_NS

    def begin(self) -> None:
        """The flood begins: what was measured so far is how things are without it."""
        self.idle_ns = float(np.median(self.costs_ns[-QUIET_STEPS:]))
        self.begun_ns, self.handshakes = self.rig.craft_ns, self.line.handshakes
        self.costs_ns.clear()
        self.delays.clear()
        self._given.clear()

    def _look(self) -> None:
        rig = self.rig
        for (name, arguments) in [key for key in rig.done if key[1] in self._given]:
            if name == "ping":
                self.delays.append(rig.now_ns + STEP_NS - self._given.pop(arguments))
        second = rig.craft_ns // NS
        if second != self._second:
            before, self._second = self._second, second
            self.audit[before] = sum(
                event.kind.from_outside and event.t_ns // NS == before for event in rig.link.watch.log.newest
            )

    @property
    def late(self) -> int:
        """Commands that have not come through within the bound."""
        return sum(self.rig.now_ns - given > MOST_DELAY_NS for given in self._given.values())


def judge_delays(delays_ns: list[int], late: int) -> tuple[float, str]:
    """99th percentile in ms, and what is wrong with it, if anything. What is still not through counts as a second."""
    every = [*delays_ns, *[NS] * late]
    if len(every) < 2:
        return float("nan"), "hardly a command came through"
    p99 = quantiles(every, n=100, method="inclusive")[98]
    return p99 / 1e6, f"99 % of commands within {p99 / 1e6:.0f} ms only" if p99 > MOST_DELAY_NS else ""


def _flown(seed: int, steps: int, forged: int, progress: Progress) -> tuple[_Flood, int]:
    """A flight under so many forged datagrams in each step, and by how many objects the process grew in it."""
    flood = _Flood(np.random.default_rng(seed))
    while not flood.rig.ground.connected and flood.rig.now_ns < 20 * NS:
        flood.step(0)
    for _ in range(QUIET_STEPS):
        flood.step(0)
    flood.begin()
    # What is made once and kept is no growth.
    warm = min(60, steps // 4)
    blocks = 0
    for number in range(steps):
        if number == warm:
            gc.collect()
            blocks = sys.getallocatedblocks()
        flood.step(forged)
        progress(number, steps)
    gc.collect()
    return flood, sys.getallocatedblocks() - blocks


def run_flood(rng: np.random.Generator, cases: int, progress: Progress) -> RowResult:
    """``cases`` forged datagrams, 50,000 in each simulated second."""
    seed, steps = int(rng.integers(1 << 62)), -(-cases // PER_STEP)
    # The same flight without any, since what commands leave behind up to its bound is not the flood's.
    _, usual = _flown(seed, steps, 0, lambda _done, _of: None)
    flood, grown = _flown(seed, steps, PER_STEP, progress)
    grown -= usual
    rig = flood.rig
    failures = []
    p99_ms, why = judge_delays(flood.delays, flood.late)
    cost_us = max(0.0, float(np.quantile(flood.costs_ns, 0.1)) - flood.idle_ns) / PER_STEP / 1e3
    alerts = [t_ns for t_ns, code, text in rig.flight.events if code == "INTRUSION_ALERT" and text.startswith("flood")]
    outcomes = rig.link.ends.counts.by_outcome
    for text in (
        why,
        "" if outcomes.get("good", 0) <= flood.pipe.sent else f"{outcomes['good']} records of {flood.pipe.sent} opened",
        f"{flood.line.answers} answers to strangers" if flood.line.answers else "",
        "a handshake was answered" if flood.line.handshakes != flood.handshakes else "",
        f"{flood.noise.wrote} bytes into the noise" if flood.noise.wrote else "",
        f"{grown} objects more than before" if grown > MOST_BLOCKS else "",
        "" if alerts and alerts[0] - flood.begun_ns <= ALERT_NS else "no alert of the flood within 1 s",
        f"{max(flood.audit.values(), default=0)} audit records in a second" if any(
            count > MOST_AUDIT for count in flood.audit.values()) else "",
        f"{cost_us:.1f} us a forged datagram" if cost_us > MOST_COST_US and cases >= JUDGED else "",
        _books(flood),
    ):
        if text:
            failures.append(text)
    counts = {
        "forged": flood.forged, "seconds": flood.forged / RATE_HZ, "us a forged datagram": cost_us,
        "idle step us": flood.idle_ns / 1e3, "command p99 ms": p99_ms, "commands": len(flood.delays),
        "objects more": grown, "lost in the buffer": flood.line.lost,
        "alert after s": (alerts[0] - flood.begun_ns) / NS if alerts else -1.0,
        "most audit records in 1 s": max(flood.audit.values(), default=0),
        "pieces of noise": flood.serial.counts.noise,
    }
    return RowResult(not failures, flood.forged, counts, tuple(failures[:KEPT]))


def _books(flood: _Flood) -> str:
    """Every datagram that was taken in has an outcome, and the craft is told of what was left out."""
    counted = sum(flood.rig.link.ends.counts.by_outcome.values())
    arrived = flood.line.counts.received
    return "" if counted == arrived else f"{arrived} datagrams came in, {counted} have an outcome"


FLOOD_ROW = Row(
    8, "flood",
    "50,000 forged datagrams/s and serial noise at full rate for 60 s: 0 opened, no answer, no growth, control "
    "commands within 50 ms (99 %), an alert within 1 s, at most 10 audit records/s", 3_000_000, 75_000, run_flood,
)
