"""Row 10, the service: the clocks of the machine jump and drift under a whole link, and nothing about it changes.

The same exercise twice, the second time with every clock of the machine going wrong half-way through: every datagram
of both ends, every command carried out and every event must be the same.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from typing import Any

import numpy as np

from comms.dictionary import Authority
from comms.emcon import Transmitter
from fdir.modes import Emission
from firmware_py.cli.link_campaign.row import Progress, Row, RowResult
from firmware_py.cli.link_campaign.rows_transports import CLOCK_STEPS
from firmware_py.cli.link_campaign.service_rig import GROUND_SIDE, ServiceRig
from hil.link_line import GilbertElliott, LineRules, LinkLine

__all__ = ["CLOCK_ROW", "exercise", "run_clock", "wrong_clocks"]

KEPT = 20
STEPS, STEP_NS = 700, 40_000_000
ALWAYS = frozenset({80, 200, 204, 240, 280, 320, 360, 364})
"""Steps at which something is done whether the station is connected or not."""
CLOCKS = ("time", "monotonic", "perf_counter", "process_time", "thread_time")


@contextmanager
def wrong_clocks(change: Callable[[float], float]) -> Iterator[Callable[[], None]]:
    """Every clock of the machine, from when what is given is called until the end: its time goes through ``change``."""
    wrong = False
    kept: dict[str, Callable[[], Any]] = {}

    def begin() -> None:
        nonlocal wrong
        wrong = True

    def changed(real: Callable[[], Any], whole_ns: bool) -> Callable[[], Any]:
        def read() -> Any:
            now = real()
            if not wrong:
                return now
            return int(change(now * 1e-9) * 1e9) if whole_ns else change(now)

        return read

    for base in CLOCKS:
        for name in (base, f"{base}_ns"):
            kept[name] = getattr(time, name)
            setattr(time, name, changed(kept[name], name.endswith("_ns")))
    try:
        yield begin
    finally:
        for name, real in kept.items():
            setattr(time, name, real)


def exercise(seed: int, half_way: Callable[[], None] = lambda: None) -> str:
    """Digest of all that a link did in 28 s: files, commands, shell, replays, silence, rotation, a restart."""
    rng = np.random.default_rng(seed)
    line = LinkLine(LineRules(delay_ns=50_000_000, loss=GilbertElliott.from_mean(0.05, 2.0)), rng)
    rig = ServiceRig(
        rng, {"radio": Transmitter.RADIO}, {"ada": ("radio", Authority.SAFETY)}, {"radio": line}, 100_000.0, 600,
        recording=True,
    )
    trace = sha256()
    rig.witness = lambda sent: trace.update(b"%d " % sent.t_ns + sent.payload)
    station = rig.stations["ada"]
    ground = station.ground
    acts: dict[int, Callable[[], object]] = {
        80: lambda: ground.files.store.save("up", rng.bytes(5000)),
        84: lambda: ground.send_file("up", rig.now_ns),
        120: lambda: ground.order("telemetry_rate", {"group": "motion", "rate_hz": 5.0}, rig.now_ns),
        200: half_way,
        204: lambda: [line.put(GROUND_SIDE, payload, rig.now_ns) for payload in station.sent[-50:]],
        208: lambda: ground.order("key_rotate", {}, rig.now_ns),
        240: lambda: setattr(rig, "emission", Emission.SILENT),
        280: lambda: setattr(rig, "emission", Emission.OPEN),
        320: lambda: [line.put(GROUND_SIDE, payload, rig.now_ns) for payload in station.sent[:50]],
        360: rig.restart,
        364: lambda: ground.connect(rig.now_ns),
        520: lambda: ground.order("file_send", {"name": "up"}, rig.now_ns),
    }
    for step in range(STEPS):
        act = acts.get(step)
        if act is not None and (ground.connected or step in ALWAYS):
            act()
        if ground.connected and step % 16 == 0:
            ground.order("ping", {"number": step}, rig.now_ns)
        rig.step(STEP_NS)
    events = (rig.flight.events, sorted(rig.done.items()), sorted(rig.link.ends.counts.by_outcome.items()))
    trace.update(b"".join(station.sent) + repr(events).encode())
    return trace.hexdigest()


def run_clock(rng: np.random.Generator, cases: int, progress: Progress) -> RowResult:
    """``cases`` exercises, the ways of a clock to go wrong in turn."""
    failures: list[str] = []
    names = tuple(CLOCK_STEPS)
    for case in range(cases):
        seed, name = int(rng.integers(1 << 32)), names[case % len(names)]
        expected = exercise(seed)
        with wrong_clocks(CLOCK_STEPS[name]) as begin:
            found = exercise(seed, begin)
        if found != expected:
            failures.append(f"seed {seed}, clock {name}: another trace")
        progress(case + 1, cases)
    counts = {"traces that changed": len(failures)}
    return RowResult(not failures, cases, counts, tuple(failures[:KEPT]))


CLOCK_ROW = Row(
    10, "clock of the machine, the whole service",
    "steps of -1 h, +2 h, to 1970, 2038, 2106 and 10 % of drift under a working link: every datagram, command and "
    "event the same", 140, 7, run_clock,
)
