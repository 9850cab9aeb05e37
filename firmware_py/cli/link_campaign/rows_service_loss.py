"""Row 17, the service: over a line that loses, doubles and disorders, and is dark for ten minutes, no command is done
twice.

Each command carries a number of its own, and what the desk carries out is counted by it: that is independent of how
link and desk tell commands apart. The line loses in bursts (Gilbert-Elliott).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from comms.dictionary import Authority
from comms.dictionary.frames import Frame
from comms.emcon import Transmitter
from comms.link.ground_orders import Ordered
from firmware_py.cli.link_campaign.row import Progress, Row, RowResult
from firmware_py.cli.link_campaign.service_rig import NS, ServiceRig
from hil.link_line import GilbertElliott, LineRules, LinkLine

__all__ = ["LOSS_ROW", "run_loss"]

KEPT = 20
LOSSES = (0.01, 0.10, 0.30, 0.50)
BIT_RATE = 9600.0
BLACKOUT_S = (100, 700)
END_S, QUIET_S = 770, 60
COMMANDS = 40
STEP_NS, DARK_STEP_NS = 100_000_000, 1_000_000_000
OLDEST_S = 5.0
"""Age of telemetry that arrives, at most: what waits at 9,600 bit/s, the line, and two turns of each loop."""


@dataclass(slots=True)
class _Books:
    """What was ordered and what has come of it."""

    orders: list[tuple[Ordered, int]] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    oldest_s: float = 0.0

    def fail(self, text: str) -> None:
        if len(self.failures) < KEPT:
            self.failures.append(text)


def run_loss(rng: np.random.Generator, cases: int, progress: Progress) -> RowResult:
    """``cases`` flights of 15 min each; the losses in turn."""
    seed = int(rng.integers(1 << 62))
    failures: list[str] = []
    counts: Counter[str] = Counter()
    oldest_s = 0.0
    for case in range(cases):
        books = _fly(np.random.default_rng([seed, case]), LOSSES[case % len(LOSSES)], restart=case % 8 >= 4)
        failures += [f"flight {case}, loss {LOSSES[case % len(LOSSES)]:g}: {text}" for text in books.failures]
        counts.update(books.counts)
        oldest_s = max(oldest_s, books.oldest_s)
        progress(case + 1, cases)
    return RowResult(not failures, cases, {**counts, "oldest telemetry s": oldest_s}, tuple(failures[:KEPT]))


def _fly(rng: np.random.Generator, loss: float, restart: bool) -> _Books:
    rules = LineRules(
        delay_ns=60_000_000, loss=GilbertElliott.from_mean(loss, 3.0), duplicate=0.03, reorder=0.05,
        reorder_ns=400_000_000, blackouts=((BLACKOUT_S[0] * NS, BLACKOUT_S[1] * NS),),
    )
    line = LinkLine(rules, rng)
    rig = ServiceRig(
        rng, {"radio": Transmitter.RADIO}, {"ada": ("radio", Authority.SAFETY)}, {"radio": line}, BIT_RATE, 223
    )
    books = _Books()
    times = np.sort(rng.uniform(2.0, END_S, COMMANDS)).tolist()
    # Half of them shortly before the line goes dark, where answers are lost for good.
    times[::2] = np.sort(rng.uniform(BLACKOUT_S[0] - 15.0, BLACKOUT_S[0] + 2.0, len(times[::2]))).tolist()
    times.sort()
    restart_ns = int(rng.integers(20, 90)) * NS if restart else 1 << 62
    number, dark_before = 0, False
    while rig.now_ns < (END_S + QUIET_S) * NS:
        now_s = rig.now_ns / NS
        while times and now_s >= times[0]:
            times.pop(0)
            number += 1
            _order(rig, books, number, rng)
        if rig.now_ns >= restart_ns:
            restart_ns = 1 << 62
            rig.restart()
        dark = BLACKOUT_S[0] + 5 < now_s < BLACKOUT_S[1] - 2
        rig.step(DARK_STEP_NS if dark else STEP_NS)
        _hear(rig, books, first=dark_before and not dark)
        dark_before = dark
    _judge(rig, books, restart)
    return books


def _order(rig: ServiceRig, books: _Books, number: int, rng: np.random.Generator) -> None:
    if not rig.ground.connected:
        books.counts["not ordered, no session"] += 1
        return
    books.orders.append((rig.ground.order(
        "ping", {"number": number}, rig.now_ns, life_s=float(rng.uniform(30.0, 900.0)),
        priority="urgent" if rng.random() < 0.2 else "normal",
    ), number))


def _hear(rig: ServiceRig, books: _Books, first: bool) -> None:
    """Telemetry that has arrived: it is of now, the first after the gap above all."""
    for arrival in rig.ground.arrivals.take_all():
        if isinstance(arrival.what, Frame):
            age_s = (rig.craft_ns - arrival.what.t_ns) / NS
            books.counts["frames"] += 1
            # A frame of the start before is older than this start.
            if age_s >= 0.0:
                books.oldest_s = max(books.oldest_s, age_s)
                if age_s > OLDEST_S:
                    books.fail(f"telemetry {age_s:.1f} s old{' after the gap' if first else ''}")


def _judge(rig: ServiceRig, books: _Books, restarted: bool) -> None:
    for order, number in books.orders:
        done = rig.done["ping", repr([("number", number)])]
        books.counts["ordered"] += 1
        books.counts["done"] += done
        if done > 1:
            books.fail(f"command {number} was carried out {done} times")
        verdict = order.verdict
        if order.open and rig.now_ns > order.not_after_ns + 10 * NS:
            books.fail(f"command {number} has come to no end")
        elif verdict == "rejected":
            books.counts["refused"] += 1
            if not (order.codes or order.detail):
                books.fail(f"command {number} was refused without a reason")
            if done and not restarted:
                books.fail(f"command {number} was carried out, and refused")
        elif verdict == "allowed":
            if done != 1:
                books.fail(f"command {number} was told as done, and was done {done} times")
        else:
            books.counts["nothing heard of"] += 1
    if not books.orders:
        books.fail("nothing could be ordered")
    for end in rig.link.ends.ends:
        for spec in end.manager.specs():
            lane = end.manager.lane(spec.id)
            if lane is not None and lane.queue.counts.peak_entries > lane.queue.rule.entries:
                books.fail(f"{spec.name}: {lane.queue.counts.peak_entries} packets waited")


LOSS_ROW = Row(
    17, "commands over a lossy link",
    "loss of 1, 10, 30, 50 % in bursts, doubled and disordered datagrams, 600 s without contact, restarts: every "
    "command carried out at most once and as told, refusals with a reason, telemetry never old", 200, 4, run_loss,
)
