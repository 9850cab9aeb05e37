"""Row 18: files reach the other side whole or fail cleanly, whatever the link and the power do."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from comms.cfdp import (
    CfdpEntity,
    EntityConfig,
    FileStore,
    IndicationKind,
    Mode,
    PeerConfig,
    PutRefusal,
    State,
    TransactionId,
)
from firmware_py.cli.link_campaign.cfdp_rig import CutMedium, Line, LineFaults
from firmware_py.cli.link_campaign.row import Progress, Row, RowResult
from hil.disk import PowerCut

__all__ = ["ROWS", "Case", "draw_case", "fly"]

SECOND_NS = 1_000_000_000
TICK_NS = 50_000_000
IDLE_TICK_NS = 500_000_000
LONGEST_NS = 3600 * SECOND_NS
NAME = "file"
LOSSES = (0.0, 0.1, 0.3, 0.5)
BREAKS = 10
SENDER_STATES = (State.SENDING, State.AWAITING_ACK, State.AWAITING_FINISHED)
RECEIVER_STATES = (State.RECEIVING, State.MISSING, State.VERIFYING, State.FINISHING)
STATES = tuple((0, state) for state in SENDER_STATES) + tuple((1, state) for state in RECEIVER_STATES)
BREAK_CHANCE = 0.5
"""Of a break in each tick in which an end is in a state that one was drawn for."""
PATIENCE_TICKS = 14
KEPT_FAILURES = 19
MOST_FAULTS = 0.01
"""Share of class 2 files that may end in a clean fault: half of all units are lost in every fourth."""


@dataclass(frozen=True, slots=True)
class Case:
    """What happens to one file. Times are ns; a break is (end, state it begins in, length, how long unnoticed)."""

    size: int
    mode: Mode
    slot_bytes: int
    work_bytes: int
    faults: LineFaults
    immediate: bool
    breaks: tuple[tuple[int, State, int, int], ...]
    cuts: tuple[tuple[int, int, int, int], ...]
    """Power cuts: (end, when, system calls later, time without power)."""
    rests: tuple[tuple[int, int, int], ...]
    """Suspensions: (end, when, length)."""
    cancel: tuple[int, int] | None
    """Given up: (end, when)."""


@dataclass(slots=True)
class Outcome:
    """How a case ended. ``problem`` is empty if it may end like this."""

    problem: str = ""
    delivered: bool = False
    breaks: int = 0
    broken_in: set[State] = field(default_factory=set)
    cuts: int = 0


def draw_case(rng: np.random.Generator, number: int) -> Case:
    """One case; loss and the states that contact breaks in go round with its number."""
    size = int(rng.choice([0, 1, 5_000, 20_000, 60_000, 100_000, 200_000]))
    size = int(rng.integers(0, size + 1)) if rng.random() < 0.5 else size
    jitter = 0.4 if rng.random() < 0.3 else 0.0
    faults = LineFaults(
        LOSSES[number % len(LOSSES)], 0.1 if rng.random() < 0.3 else 0.0, 0.02 + 0.3 * float(rng.random()), jitter,
    )
    breaks = tuple(
        (*STATES[(number + k) % len(STATES)], round((0.2 + 20.0 * rng.random()) * 1e9), round(rng.random() * 3e8))
        for k in range(BREAKS)
    )
    cuts = tuple(
        (int(rng.integers(2)), round(rng.random() ** 3 * 30e9), int(rng.integers(40)), round(rng.random() * 5e9))
        for _ in range(int(rng.integers(4)))
    )
    rests = tuple(
        (int(rng.integers(2)), round(rng.random() ** 2 * 20e9), round(rng.random() * 40e9))
        for _ in range(int(rng.integers(3)))
    )
    cancel = (int(rng.integers(2)), round(rng.random() * 10e9)) if rng.random() < 0.05 else None
    mode = Mode.UNACKNOWLEDGED if rng.random() < 0.1 else Mode.ACKNOWLEDGED
    slot_bytes, immediate = int(rng.integers(1100, 6000)), bool(rng.random() < 0.3)
    work_bytes = int(rng.choice([512, 4096]))
    return Case(size, mode, slot_bytes, work_bytes, faults, immediate, breaks, cuts, rests, cancel)


class _End:
    """One end: its medium outlives its power."""

    def __init__(self, number: int, case: Case, rng: np.random.Generator) -> None:
        self.medium = CutMedium(rng)
        self.number = number
        self.dead_until_ns: int | None = None
        self.contact = True
        self.cuts = 0
        self.ends: list[tuple[IndicationKind, bool | None]] = []
        self._rng = rng
        self._case = case
        self.entity = self._start(0)

    def _start(self, now_ns: int) -> CfdpEntity:
        peer = PeerConfig(
            2 - self.number, immediate_nak=self._case.immediate, ack_ns=SECOND_NS, nak_ns=SECOND_NS, ack_limit=30,
            nak_limit=30, check_ns=2 * SECOND_NS, inactivity_ns=200 * SECOND_NS,
        )
        config = EntityConfig(1 + self.number, work_bytes=self._case.work_bytes, checkpoint_bytes=8192)
        return CfdpEntity(config, FileStore(self.medium), [peer], self._rng.bytes, now_ns)

    def alive(self, now_ns: int) -> bool:
        """Whether it has power; it starts when that comes back, which another cut may fall into."""
        if self.dead_until_ns is not None:
            if now_ns < self.dead_until_ns:
                return False
            self.dead_until_ns = None
            self.medium.restart()
            self.entity = self._start(now_ns)
            self.entity.contact(self.contact, now_ns)
        return True

    def die(self, now_ns: int, without_ns: int) -> None:
        """The power is away."""
        self.cuts += 1
        self.collect()
        self.medium.dies_at = None
        self.dead_until_ns = now_ns + without_ns

    def collect(self) -> None:
        """Keep the ends that its user was told of."""
        for note in self.entity.indications.take_all():
            if note.kind in (IndicationKind.FINISHED, IndicationKind.ABANDONED):
                self.ends.append((note.kind, note.delivered))

    def state(self) -> State | None:
        """Of its only transaction."""
        views = self.entity.transactions() if self.dead_until_ns is None else ()
        return views[0].state if views else None

    def transaction(self) -> TransactionId | None:
        """Its only transaction."""
        views = self.entity.transactions()
        return views[0].id if views else None

    def turn(self, into: Line, out: Line, now_ns: int) -> int:
        """Take units in, let time pass, and send what there is; returns how many went out."""
        arrived = into.take(now_ns)
        if not self.alive(now_ns):
            return 0
        for unit in arrived:
            self.entity.receive(unit, now_ns)
        self.entity.step(now_ns)
        units = self.entity.pdus(1038, now_ns, self._case.slot_bytes) if self.contact else []
        for unit in units:
            out.put(unit, now_ns)
        return len(units)


class _World:
    """Two ends, two lines, and what a case does to them."""

    def __init__(self, case: Case, rng: np.random.Generator) -> None:
        self.case = case
        self.ends = (_End(0, case, rng), _End(1, case, rng))
        self.lines = (Line(rng, case.faults), Line(rng, case.faults))
        self.outcome = Outcome()
        self.now_ns = 0
        self._breaks = list(case.breaks)
        self._cuts = sorted(case.cuts, key=lambda cut: cut[1])
        self._rests = [(start, end, True) for end, start, _ in case.rests]
        self._rests += [(start + length, end, False) for end, start, length in case.rests]
        self._rests.sort()
        self._break_ns = 0
        self._unnoticed_ns = 0
        self._roused_ns = 0
        self._waited = 0
        self._cancel = case.cancel
        self._rng = rng
        self._dying = [0, 0]

    def run(self) -> None:
        """Until both ends are done or the time is up."""
        while self.now_ns < LONGEST_NS:
            quiet = self._tick()
            self.now_ns += IDLE_TICK_NS if quiet else TICK_NS
            if quiet and self._done():
                return
        self.outcome.problem = "it does not end"

    def _tick(self) -> bool:
        self._break_contact()
        self._disturb()
        sent = 0
        for end, into, out in ((0, 1, 0), (1, 0, 1)):
            try:
                sent += self.ends[end].turn(self.lines[into], self.lines[out], self.now_ns)
            except PowerCut:
                self.ends[end].die(self.now_ns, self._dying[end])
        return not sent and not len(self.lines[0]) and not len(self.lines[1])

    def _done(self) -> bool:
        ends = self.ends
        return all(end.dead_until_ns is None and not end.entity.busy for end in ends) and not self._break_ns

    def _break_contact(self) -> None:
        """Contact breaks while an end is in a drawn state, or when none is for long; all in flight is lost then."""
        now_ns = self.now_ns
        if self._break_ns:
            if self._unnoticed_ns and now_ns >= self._unnoticed_ns:
                self._unnoticed_ns = 0
                self._tell_contact(False)
            if now_ns < self._break_ns:
                return
            self._break_ns = self._waited = 0
            for line in self.lines:
                line.up = True
            self._tell_contact(True)
        if not self._breaks:
            return
        self._waited += 1
        states = [end.state() for end in self.ends]
        reached = [chosen for chosen in self._breaks if states[chosen[0]] is chosen[1]]
        if reached and self._rng.random() < BREAK_CHANCE:
            chosen = reached[int(self._rng.integers(len(reached)))]
            self.outcome.broken_in.add(chosen[1])
        elif self._waited >= PATIENCE_TICKS:
            chosen = self._breaks[0]
        else:
            return
        self.outcome.breaks += 1
        self._breaks.remove(chosen)
        _, _, length_ns, unnoticed_ns = chosen
        self._break_ns = now_ns + length_ns
        self._unnoticed_ns = now_ns + min(unnoticed_ns, length_ns - 1) + 1
        for line in self.lines:
            line.up = False
            line.cut()

    def _tell_contact(self, up: bool) -> None:
        for number, end in enumerate(self.ends):
            end.contact = up
            if end.dead_until_ns is None:
                try:
                    end.entity.contact(up, self.now_ns)
                except PowerCut:
                    end.die(self.now_ns, self._dying[number])

    def _disturb(self) -> None:
        """Cut the power, suspend, resume, cancel, as drawn."""
        now_ns = self.now_ns
        while self._cuts and self._cuts[0][1] <= now_ns:
            number, _, calls, without_ns = self._cuts.pop(0)
            end = self.ends[number]
            if end.dead_until_ns is None:
                self._dying[number] = without_ns
                if calls == 0:
                    end.die(now_ns, without_ns)
                else:
                    end.medium.dies_at = end.medium.calls + calls
        while self._rests and self._rests[0][0] <= now_ns:
            _, number, rest = self._rests.pop(0)
            self._ask(number, "suspend" if rest else "resume")
        if not self._rests and now_ns >= self._roused_ns:
            # A power cut may have come before the resumption was kept.
            self._roused_ns = now_ns + 10 * SECOND_NS
            for number in (0, 1):
                self._ask(number, "resume")
        if self._cancel is not None and self._cancel[1] <= now_ns:
            self._ask(self._cancel[0], "cancel")
            self._cancel = None

    def _ask(self, number: int, what: str) -> None:
        end = self.ends[number]
        if end.dead_until_ns is not None:
            return
        transaction = end.transaction()
        if transaction is None:
            return
        try:
            getattr(end.entity, what)(transaction, self.now_ns)
        except PowerCut:
            end.die(self.now_ns, self._dying[number])


def fly(case: Case, rng: np.random.Generator) -> Outcome:
    """Send one file through everything that the case holds, and judge what came of it."""
    world = _World(case, rng)
    data = rng.bytes(case.size)
    sender, receiver = world.ends
    sender.entity.store.save(NAME, data)
    started = sender.entity.put(NAME, 2, 0, mode=case.mode)
    outcome = world.outcome
    if isinstance(started, PutRefusal):
        outcome.problem = f"put is refused: {started}"
        return outcome
    world.run()
    for end in world.ends:
        end.collect()
    outcome.cuts = sender.cuts + receiver.cuts
    if not outcome.problem:
        outcome.problem = _judge(case, data, sender, receiver)
    outcome.delivered = receiver.medium.content(NAME) is not None
    return outcome


def _judge(case: Case, data: bytes, sender: _End, receiver: _End) -> str:
    there = receiver.medium.content(NAME)
    if there is not None and hashlib.sha256(there).digest() != hashlib.sha256(data).digest():
        return "another file appeared"
    if not sender.ends:
        return "the sender was never told how it ended"
    if any(delivered for _, delivered in (*sender.ends, *receiver.ends)) and there is None:
        return "told as delivered, and it is not there"
    if case.mode is Mode.ACKNOWLEDGED and case.cancel is None and there is None and all(
        kind is IndicationKind.FINISHED and delivered for kind, delivered in sender.ends
    ):
        return "no fault was told, and no file is there"
    left = [name for end in (sender, receiver) for name in end.medium.listing() if name.startswith(".")]
    left = [name for name in left if name != ".sequence.state"]
    return f"left behind: {', '.join(left)}" if left else ""


def run(rng: np.random.Generator, cases: int, progress: Progress) -> RowResult:
    """Fly that many files."""
    counts: Counter[str] = Counter()
    failures: list[str] = []
    for number in range(cases):
        seed = int(rng.integers(2**32))
        case_rng = np.random.default_rng(seed)
        case = draw_case(case_rng, number)
        outcome = fly(case, case_rng)
        if outcome.problem and len(failures) < KEPT_FAILURES:
            failures.append(f"file {number}, seed {seed}: {outcome.problem}")
        counts["failed"] += bool(outcome.problem)
        counts["whole"] += outcome.delivered
        counts["power cuts"] += outcome.cuts
        counts["breaks of contact"] += outcome.breaks
        if case.mode is Mode.ACKNOWLEDGED and case.cancel is None:
            counts["class 2, not cancelled"] += 1
            counts["of them whole"] += outcome.delivered
        for state in outcome.broken_in:
            counts[f"breaks while {state}"] += 1
        progress(number + 1, cases)
    short = counts["class 2, not cancelled"] - counts["of them whole"]
    if short > max(1, round(MOST_FAULTS * counts["class 2, not cancelled"])):
        failures.append(f"{short} files of class 2 ended in a fault: that many are no accident")
        counts["failed"] += 1
    return RowResult(not counts["failed"], cases, dict(counts), tuple(failures))


ROWS: tuple[Row, ...] = (
    Row(18, "CFDP", "files at 0, 10, 30, 50 % loss with 10 breaks of contact in every state and power cuts: equal by "
        "SHA-256 or a clean fault", 1000, 40, run),
)
"""The row on files."""
