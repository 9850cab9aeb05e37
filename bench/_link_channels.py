"""What channels and emergency packets cost: one decision of the scheduler, one layout packed and read, one gate judged.

Peers run in slices of the same run, for scale: the textbook's deficit round robin (M. Shreedhar, G. Varghese, 1995),
without classes, bounds, counters, states or a share of control; and JSON of the same values.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable
from functools import partial
from time import perf_counter_ns

import numpy as np

from bench.harness import Report
from comms.channel_plan import ChannelSpec, QosClass
from comms.channels.manager import ChannelManager
from comms.channels.scheduler import Scheduler
from comms.channels.states import ChannelCondition
from comms.channels.transmit_level import TransmitLevel, TransmitStep
from comms.emcon import EmconGate, EmconLevel, Transmitter
from comms.nbl.gates import NEVER_NS, NblAsk, NblFacts, judge
from comms.nbl.layouts import BEACON, DISTRESS, LONGEST_USEFUL_BYTES, MINIMAL_STATE, Layout, unpack
from comms.nbl.packet import Criticality, PayloadClass
from fdir.modes import Emission

__all__ = ["measure"]

SLICES = 20
KINDS = ("control", "telemetry", "science", "bulk")


def measure(report: Report, short: bool) -> None:
    """Add the figures to a report; ``short``: a tenth of the repetitions."""
    repeats = 100 if short else 1000
    _scheduler(report, repeats)
    _layouts(report, repeats)
    _gate(report, repeats)


def _times(repeats: int, *jobs: Callable[[], object]) -> list[float]:
    """Median time of one call of each job, us, from interleaved slices."""
    taken = np.empty((SLICES, len(jobs)))
    for row in taken:
        for column, job in enumerate(jobs):
            start = perf_counter_ns()
            for _ in range(repeats):
                job()
            row[column] = (perf_counter_ns() - start) * 1e-3 / repeats
    medians: list[float] = np.median(taken, axis=0).tolist()
    return medians


def _line(channels: int) -> Callable[[], object]:
    """A saturated line with that many channels; each call puts one packet into each turn's queue and takes the next."""
    manager, emcon = ChannelManager(), EmconGate()
    emcon.follow(Emission.OPEN, 0)
    live = [lane.spec.id for lane in manager.lanes()]
    while len(live) < channels:
        number = len(live)
        spec = manager.create_channel(KINDS[number % 4], True, QosClass(number % 4), f"c{number}", f"o{number // 6}")
        assert isinstance(spec, ChannelSpec), spec
        live.append(spec.id)
    full = TransmitStep(TransmitLevel.FULL, 1.0, 1.0, frozenset(), frozenset())
    good = ChannelCondition(Transmitter.RADIO, full, authorised=True, in_safe=False)
    manager.judge(lambda _spec: good, emcon, 0)
    scheduler = Scheduler(manager, 115_200.0)
    payload = bytes(100)
    for number in live:
        for _ in range(8):
            manager.put(number, payload, 0)
    now_ns = 0

    def step() -> None:
        nonlocal now_ns
        now_ns += 8_000_000
        picked = scheduler.next_packet(4096, now_ns)
        if picked is not None:
            manager.put(picked.channel_id, payload, now_ns)

    return step


def _textbook(queues: int) -> Callable[[], object]:
    """The peer: deficit round robin over saturated queues of equal weight."""
    waiting = [deque([bytes(100)] * 8) for _ in range(queues)]
    deficits = [0] * queues
    at = 0

    def step() -> None:
        nonlocal at
        while True:
            queue = waiting[at]
            if queue and len(queue[0]) <= deficits[at]:
                payload = queue.popleft()
                deficits[at] -= len(payload)
                queue.append(payload)
                return
            if not queue:
                deficits[at] = 0
            at = (at + 1) % queues
            deficits[at] += 256

    return step


def _scheduler(report: Report, repeats: int) -> None:
    most, eight, peer = _times(repeats, _line(31), _line(8), _textbook(8))
    for channels, cost in ((8, eight), (31, most)):
        # A packet of 100 B and its record of 19 B.
        share = cost * 1e-6 * 115_200.0 / (8 * 119) * 100.0
        report.add(f"scheduler: share of a core for a full line of 115.2 kbit/s, {channels} channels", share, "%",
                   f"{cost:.3g} us a packet; textbook {peer:.2g} us", "< 1", share < 1.0)
    report.add("scheduler: cost at 31 channels against 8", most / eight, "x", None, "< 4", most / eight < 4.0)


def _values(layout: Layout) -> dict[str, object]:
    return {entry.name: entry.choices[0] if entry.choices else 1 for entry in layout.fields}


def _layouts(report: Report, repeats: int) -> None:
    for layout in (BEACON, DISTRESS, MINIMAL_STATE):
        values = _values(layout)
        payload = layout.pack(values).payload
        text = json.dumps(values)
        pack, read, peer = _times(
            max(10, repeats // 10), partial(layout.pack, values), partial(unpack, payload), partial(_json, values),
        )
        report.add(f"{layout.name}: bytes", layout.size_bytes, "B", f"JSON {len(text)} B", "<= 116",
                   layout.size_bytes <= LONGEST_USEFUL_BYTES)
        both = pack + read
        report.add(f"{layout.name}: packed and read", both, "us", f"JSON both ways {peer:.3g} us", "< 2000",
                   both < 2000.0)


def _json(values: dict[str, object]) -> object:
    return json.loads(json.dumps(values))


def _gate(report: Report, repeats: int) -> None:
    ask = NblAsk(Criticality.CRITICAL, PayloadClass.DISTRESS, 1024)
    facts = NblFacts(0.7, 0.8, 25.0, False, False, True, False, EmconLevel.OPEN, True, False, NEVER_NS, 0)
    cost, = _times(repeats, lambda: judge(ask, facts))
    report.add("gates of one emergency packet", cost, "us", None, "< 50", cost < 50.0)
