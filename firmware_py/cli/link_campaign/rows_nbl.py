"""Row 19: nothing leaves through the emergency transmitter against a gate, and every refusal has its exact codes.

Two judges that share nothing with the code under test: an oracle of the gates, written from the table of limits, and a
witness at the antenna that looks at what was really sent.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np

from comms.emcon import EmconGate, EmconLevel
from comms.nbl.gates import NEVER_NS, NblAsk, NblFacts, judge
from comms.nbl.packet import Criticality, NblProfile, PayloadClass
from comms.nbl.ports import EnergyAnswer, EnergyOutcome
from comms.nbl.sender import NblSender
from fdir.modes import Emission
from firmware_py.cli.link_campaign.row import Progress, Row, RowResult
from hil.disk import SimDisk

__all__ = ["ROWS", "oracle"]

S = 1_000_000_000
FLIGHT_S = 7200
STATES_A_FLIGHT = 5000
BATCH = 2000
KEPT = 20

_CHOICES: dict[str, tuple[Any, ...]] = {
    "criticality": (*Criticality, Criticality.CRITICAL, Criticality.EMERGENCY, None),
    "payload": (*PayloadClass, *PayloadClass, None),
    "size": (8, 512, 1023, 1024, 1024, 1025, 2048, 0, -8, None),
    "profile": (*[NblProfile.PACKET] * 7, NblProfile.STREAM),
    "cap": (0.45, 0.4499999, 0.4500001, 1.0, 0.7, 0.0, 0.3, -0.1, 1.1, float("nan"), None, 0.6, 0.8, 0.9),
    "battery": (0.35, 0.3499999, 0.3500001, 1.0, 0.7, 0.0, 0.2, -0.1, 1.1, float("nan"), None, 0.6, 0.8, 0.9),
    "core": (90.0, 90.0000001, 89.9, 25.0, -35.0, -120.0, -120.1, 160.0, 160.1, float("nan"), None, 20.0, 30.0),
    "trip": (False, False, False, False, True, None),
    "load": (True, True, True, True, False, None),
    "firing": (False, False, False, False, True, None),
    "level": (*EmconLevel, EmconLevel.OPEN, EmconLevel.OPEN, None),
    "flag": (True, False),
    "since": (120 * S, 120 * S - 1, 120 * S + 1, 0, 3600 * S, NEVER_NS, NEVER_NS, None),
    "count": (0, 1, 4, 5, 5, 6, 7, None),
}
_FIELDS = (
    "criticality", "payload", "size", "profile", "cap", "battery", "core", "trip", "trip", "load", "firing", "level",
    "flag", "flag", "since", "count",
)


def oracle(ask: NblAsk, facts: NblFacts) -> tuple[str, ...]:
    """What has to stand against a packet, from the table of limits, in other words than the code's."""
    def outside(value: float | None, low: float, high: float) -> bool:
        return value is None or not (low <= value <= high)

    rows: list[tuple[str, bool]] = [
        ("NBL_NOT_IMPLEMENTED", ask.profile == "stream"),
        ("NBL_NOT_CRITICAL", ask.criticality not in ("critical", "emergency")),
        ("NBL_RULES_ONLY", ask.payload_class not in ("distress", "minimal state", "beacon", "command ack")
         or (ask.size_bits is not None and ask.size_bits < 1)),
        ("NBL_PAYLOAD_TOO_LARGE", not (ask.size_bits is not None and ask.size_bits <= 1024)),
        ("NBL_CAP_LOW", not outside(facts.soc_supercap, 0, 1) and outside(facts.soc_supercap, 0.45, 1)),
        ("NBL_BAT_LOW", not outside(facts.soc_battery, 0, 1) and outside(facts.soc_battery, 0.35, 1)),
        ("POWER_TELEM_MISSING", outside(facts.soc_supercap, 0, 1) or outside(facts.soc_battery, 0, 1)),
        ("NBL_PDU_DENIED", facts.load_allowed in (False, None)),
        ("NBL_THERMAL_BLOCK", True in (facts.core_tripped, facts.pdu_tripped)
         or (not outside(facts.core_c, -120, 160) and outside(facts.core_c, -120, 90))),
        ("THERMAL_TELEM_MISSING", outside(facts.core_c, -120, 160) or None in (facts.core_tripped, facts.pdu_tripped)),
        ("EMCON_BLOCK", not (facts.emcon in (0, 1) or (
            facts.emcon in (2, 3) and ask.criticality == "critical" and facts.sealing and facts.released))),
        ("NBL_RATE_LIMIT", facts.since_last_ns is None or facts.in_last_hour is None
         or facts.since_last_ns / 1e9 < 120 or facts.in_last_hour > 5),
        ("NBL_RCS_FIRING", facts.firing in (True, None)),
    ]
    return tuple(code for code, stands in rows if stands)


def _states(rng: np.random.Generator, cases: int) -> Iterator[tuple[NblAsk, NblFacts]]:
    """Random states, the edges often; half of them begin as good ones in which at most three things are changed."""
    good = (0, 0, 3, 0, 3, 3, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0)
    tables = [_CHOICES[name] for name in _FIELDS]
    done = 0
    while done < cases:
        count = min(BATCH, cases - done)
        done += count
        drawn = np.column_stack([rng.integers(0, len(table), count) for table in tables])
        changed = rng.random((count, len(tables))) < np.where(rng.random(count) < 0.5, 1.0, 0.12)[:, None]
        for row in np.where(changed, drawn, np.array(good)).tolist():
            v = [table[index] for table, index in zip(tables, row, strict=True)]
            yield NblAsk(v[0], v[1], v[2], v[3]), NblFacts(
                soc_supercap=v[4], soc_battery=v[5], core_c=v[6], core_tripped=v[7], pdu_tripped=v[8],
                load_allowed=v[9], firing=v[10], emcon=v[11], sealing=v[12], released=v[13], since_last_ns=v[14],
                in_last_hour=v[15],
            )


class _Budget:
    """Energy for whoever asks, as a budget gives it that is sometimes busy, slow, or takes back."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self.outcome = EnergyOutcome.REFUSED
        self.watts = 0.0

    def ask(self, watts: float, _joules: float, _seconds: float, _now_ns: int) -> EnergyAnswer:
        self.watts = max(self.watts, watts)
        self.outcome = (EnergyOutcome.GRANTED, EnergyOutcome.WAITING, EnergyOutcome.REFUSED)[
            int(self._rng.choice(3, p=(0.6, 0.3, 0.1)))]
        return EnergyAnswer(self.outcome)

    def standing(self, _now_ns: int) -> EnergyAnswer:
        if self.outcome is EnergyOutcome.WAITING and self._rng.random() < 0.3:
            self.outcome = EnergyOutcome.GRANTED
        elif self.outcome is EnergyOutcome.GRANTED and self._rng.random() < 0.002:
            self.outcome = EnergyOutcome.GONE
        return EnergyAnswer(self.outcome)

    def used(self, used_j: float, now_ns: int) -> None:
        """Nothing to do: the witness counts for itself."""

    def give_back(self, _used_j: float, _now_ns: int) -> None:
        self.outcome = EnergyOutcome.REFUSED


@dataclass(slots=True)
class _Antenna:
    """The transmitter, and what a witness beside it notes: starts and lengths in true time, whatever restarts."""

    now_s: int = 0
    on: bool = False
    frame_bytes: int = 0
    starts: list[tuple[int, float]] = field(default_factory=list)
    """Start, and time on the air, s."""
    faults: list[str] = field(default_factory=list)

    def start(self, frame: bytes, _now_ns: int) -> bool:
        if self.on:
            self.faults.append(f"{self.now_s} s: two at a time")
        if len(frame) > 128:
            self.faults.append(f"{self.now_s} s: {len(frame)} bytes")
        self.on, self.frame_bytes = True, len(frame)
        self.starts.append((self.now_s, len(frame) / 8.0))
        return True

    def stop(self, _now_ns: int) -> None:
        self._end()

    def tick(self, now_s: int) -> None:
        self.now_s = now_s
        if self.on and now_s - self.starts[-1][0] >= self.frame_bytes / 8.0:
            self.on = False

    def _end(self) -> None:
        if self.on:
            start, length = self.starts[-1]
            self.starts[-1] = (start, min(length, float(self.now_s - start)))
        self.on = False

    def judge(self) -> list[str]:
        """Pause, hourly limit and mean power of all that was sent."""
        faults = list(self.faults)
        begun = [start for start, _ in self.starts]
        faults += [f"{b} s: {b - a} s after the last" for a, b in pairwise(begun) if b - a < 120]
        faults += [f"{b} s: the seventh in an hour" for a, b in zip(begun, begun[6:], strict=False) if b - a < 3600]
        for start in begun:
            joules = sum(150.0 * length for at, length in self.starts if start <= at < start + 120)
            if joules > 20.0 * 120:
                faults.append(f"{start} s: {joules / 120:.1f} W mean")
        return faults


def _fly(rng: np.random.Generator) -> tuple[list[str], int]:
    """Two hours of a craft whose state moves about the edges, with restarts; what the witness found, packets sent."""
    disk = SimDisk(rng)
    antenna, budget = _Antenna(), _Budget(rng)
    emcon = EmconGate(disk)
    offset = 0
    sender = NblSender(antenna, budget, lambda payload: bytes(11) + payload, emcon, disk)
    facts: dict[str, Any] = {
        "soc_supercap": 0.7, "soc_battery": 0.8, "core_c": 25.0, "core_tripped": False, "pdu_tripped": False,
        "load_allowed": True, "firing": False,
    }
    names = {"soc_supercap": "cap", "soc_battery": "battery", "core_c": "core", "core_tripped": "trip",
             "pdu_tripped": "trip", "load_allowed": "load", "firing": "firing"}
    good = dict(facts)
    emission, level_at_start, faults = Emission.OPEN, EmconLevel.OPEN, []
    critical_on_air, released_at_start = False, False
    draws = rng.random((FLIGHT_S, 4))
    for second in range(FLIGHT_S):
        antenna.tick(second)
        change, submit, order, restart = draws[second]
        if restart < 0.0004:
            antenna.stop(0)
            emcon, offset = EmconGate(disk), second
            sender = NblSender(antenna, budget, lambda payload: bytes(11) + payload, emcon, disk)
        now = (second - offset) * S
        # More happens while something is on the air, or few packets would meet it.
        if change < (0.1 if antenna.on else 0.02):
            name = tuple(names)[int(rng.integers(len(names)))]
            facts[name] = _CHOICES[names[name]][int(rng.integers(len(_CHOICES[names[name]])))]
        elif change < 0.12:
            facts = dict(good)
        if order < 0.002:
            emission = tuple(Emission)[int(rng.integers(3))]
        elif order < 0.004:
            emcon.set_level(EmconLevel(int(rng.integers(4))), now)
        elif order < 0.02:
            emcon.set_level(EmconLevel.OPEN, now)
            emission = Emission.OPEN
        elif order < 0.025:
            emcon.release(now)
        emcon.follow(emission, now)
        if submit < 0.004:
            criticality = (Criticality.CRITICAL, Criticality.EMERGENCY)[int(rng.integers(2))]
            sender.submit(bytes(int(rng.integers(1, 118))), criticality, PayloadClass.BEACON, now)
        before, released = len(antenna.starts), emcon.released(now)
        state = NblFacts(**facts)
        sender.step(state, now)
        if len(antenna.starts) > before:
            critical_on_air = next(
                p.criticality is Criticality.CRITICAL for p in sender.packets() if p.packet_id == sender.on_air)
            level_at_start, released_at_start = emcon.level, released
            faults += _against_start(state, emcon.level, released, critical_on_air, antenna)
        elif antenna.on:
            risen = emcon.level > level_at_start and emcon.level >= 2
            faults += _against_going_on(state, risen, antenna)
        if antenna.on and level_at_start >= 2 and not (critical_on_air and released_at_start):
            faults.append(f"{second} s: on the air in silence")
    if budget.watts > 150.0:
        faults.append(f"{budget.watts} W asked for")
    return [*faults, *antenna.judge()], len(antenna.starts)


def _against_start(
    state: NblFacts, level: EmconLevel, released: bool, critical: bool, antenna: _Antenna
) -> list[str]:
    ask = NblAsk(Criticality.CRITICAL if critical else Criticality.EMERGENCY, PayloadClass.BEACON,
                 8 * antenna.frame_bytes)
    full = NblFacts(
        state.soc_supercap, state.soc_battery, state.core_c, state.core_tripped, state.pdu_tripped, state.load_allowed,
        state.firing, level, True, released, NEVER_NS, 0,
    )
    return [f"{antenna.now_s} s: started against {code}" for code in oracle(ask, full)]


def _against_going_on(state: NblFacts, risen: bool, antenna: _Antenna) -> list[str]:
    wrong = []
    if state.firing is not False:
        wrong.append("thrusters")
    if state.core_tripped is not False or state.pdu_tripped is not False:
        wrong.append("a trip")
    if not (state.core_c is not None and -120.0 <= state.core_c <= 90.0):
        wrong.append("heat")
    if not (state.soc_supercap is not None and 0.30 <= state.soc_supercap <= 1.0):
        wrong.append("a low supercapacitor")
    if state.load_allowed is not True:
        wrong.append("the distribution unit")
    if risen:
        wrong.append("emission control")
    return [f"{antenna.now_s} s: went on against {what}" for what in wrong]


def _run(rng: np.random.Generator, cases: int, progress: Progress) -> RowResult:
    failures: list[str] = []
    allowed = 0
    for number, (ask, facts) in enumerate(_states(rng, cases)):
        got, want = tuple(str(code) for code in judge(ask, facts)), oracle(ask, facts)
        allowed += not want
        if got != want and len(failures) < KEPT:
            failures.append(f"state {number}: {ask} {facts}: {got}, not {want}")
        if number % 20_000 == 0:
            progress(number, cases)
    flights, sent = max(1, cases // STATES_A_FLIGHT), 0
    for flight in range(flights):
        found, packets = _fly(rng)
        sent += packets
        failures += [f"flight {flight}: {text}" for text in found][: max(0, KEPT - len(failures))]
    progress(cases, cases)
    if not allowed or not sent:
        failures.append(f"{allowed} states allow a packet, {sent} packets sent: nothing was shown")
    counts = {"allowed": float(allowed), "flights": float(flights), "sent": float(sent)}
    return RowResult(not failures, cases, counts, tuple(failures))


ROWS: tuple[Row, ...] = (
    Row(
        19, "NBL gate",
        "0 sends against a gate and the exact codes; at most 150 W, 20 W mean, six an hour; edges inclusive",
        1_000_000, 20_000, _run,
    ),
)
