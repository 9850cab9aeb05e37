"""Row 20: silence is kept at every level by every transmitter: first sendings, retries, acknowledgements, relays."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from itertools import product

import numpy as np

from comms.channels.manager import ChannelManager
from comms.channels.scheduler import Scheduler
from comms.emcon import TRAFFIC, EmconGate, EmconLevel, Traffic, Transmitter
from fdir.modes import Emission
from firmware_py.cli.link_campaign.channels_rig import KEPT, S, open_all
from firmware_py.cli.link_campaign.row import Progress, Row, RowResult
from hil.disk import PowerCut, SimDisk

__all__ = ["EMCON_ROW", "FORBIDDEN"]

_AIR = ("radio", "optical", "transponder", "nbl")
FORBIDDEN: frozenset[tuple[int, str, str]] = frozenset(
    [(1, transmitter, what) for transmitter in _AIR for what in ("science", "bulk")]
    + [(2, transmitter, what) for transmitter in _AIR for what in (
        "control", "telemetry", "science", "bulk", "beacon", "nbl", "nbl critical")]
    + [(3, transmitter, what) for transmitter in (*_AIR, "bridge") for what in (
        "control", "telemetry", "science", "bulk", "beacon", "nbl", "nbl critical")]
)
"""Cells of level, transmitter and traffic that nothing may pass, but for one released critical packet of "nbl"."""
_LEVEL = {"open": 0, "restricted": 1, "silent": 3}


class _Book:
    """What the level has to be: all that was said since the last restart, read anew each time."""

    def __init__(self) -> None:
        self.kept: tuple[int, int] | None = None
        """Ordered level and that of the region, as they were at the last restart; ``None``: nothing was ever said."""
        self.said: list[tuple[str, int]] = []

    def read(self, more: tuple[tuple[str, int], ...] = ()) -> tuple[int, int]:
        """Ordered level and that of the region, if this were said too."""
        ordered, floor = (0, 3) if self.kept is None else self.kept
        seen, ends_when_seen = -1, self.kept is None
        for kind, level in (*self.said, *more):
            if kind == "order":
                ordered, ends_when_seen = level, True
            else:
                seen = level
            if seen >= 0 and (ends_when_seen or seen >= floor):
                floor = 0
        return ordered, max(floor, seen, 0)

    def level(self) -> int:
        return max(self.read())

    def restart(self) -> None:
        if self.said:
            self.kept = self.read()
        self.said = []


@dataclass(slots=True)
class _Packet:
    """A packet that may be sent more than once."""

    transmitter: Transmitter
    traffic: Traffic
    size: int
    origin: str


@dataclass(slots=True)
class _Silence:
    """One run: the gate, what is to go out, and a witness at every antenna."""

    rng: np.random.Generator
    disk: SimDisk
    gate: EmconGate
    book: _Book = field(default_factory=_Book)
    again: list[_Packet] = field(default_factory=list)
    """Packets that will be tried again: retries, and what a neighbour has given for relaying."""
    passed: dict[tuple[int, str, str], int] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    restarts: int = 0
    held_back: int = 0
    now_ns: int = 0
    released_ns: int | None = None

    def send(self, packet: _Packet, tick: int) -> bool:
        if self.gate.admit(packet.transmitter, packet.traffic, packet.size, self.now_ns) is not None:
            self.held_back += 1
            return False
        self.witness(packet.transmitter, packet.traffic, packet.origin, tick)
        return True

    def witness(self, transmitter: Transmitter, traffic: Traffic, origin: str, tick: int) -> None:
        cell = (self.book.level(), str(transmitter), str(traffic))
        if cell in FORBIDDEN:
            by_release = cell[1:] == ("nbl", "nbl critical") and self.released_ns is not None
            in_time = self.released_ns is not None and self.now_ns <= self.released_ns + 600 * S
            if by_release and in_time:
                self.released_ns = None
            else:
                self.fail(f"tick {tick}: {origin} {traffic} through {transmitter} at level {cell[0]}")
        self.passed[cell] = self.passed.get(cell, 0) + 1

    def fail(self, text: str) -> None:
        if len(self.failures) < KEPT:
            self.failures.append(text)

    def restart(self) -> None:
        self.gate = EmconGate(self.disk)
        self.book.restart()
        self.released_ns, self.now_ns = None, 0
        self.restarts += 1


_ORIGINS = ("first sending", "acknowledgement", "relayed")
_CELLS = tuple(product(Transmitter, Traffic))


def _emcon(rng: np.random.Generator, cases: int, progress: Progress) -> RowResult:
    disk = SimDisk(rng)
    run = _Silence(rng, disk, EmconGate(disk))
    manager = ChannelManager()
    scheduler = Scheduler(manager, 1_000_000.0)
    draws = rng.random((cases, 3))
    picks = rng.integers(0, len(_CELLS), (cases, 3))
    sizes = rng.integers(1, 200, (cases, 3))
    for tick in range(cases):
        run.now_ns += S // 20
        _profile(run, *draws[tick, :2])
        for pick, size in zip(picks[tick].tolist(), sizes[tick].tolist(), strict=True):
            transmitter, traffic = _CELLS[pick]
            packet = _Packet(transmitter, traffic, size, _ORIGINS[(tick + pick) % 3])
            if (not run.send(packet, tick) or draws[tick, 2] < 0.3) and len(run.again) < 16:
                packet.origin = f"retry of {packet.origin}"
                run.again.append(packet)
        if run.again and draws[tick, 2] < 0.5:
            run.send(run.again.pop(int(sizes[tick, 0]) % len(run.again)), tick)
        _through_channels(run, manager, scheduler, tick, int(sizes[tick, 1]))
        if tick % 5000 == 0:
            progress(tick, cases)
    progress(cases, cases)
    free = [cell for cell in product(range(4), map(str, Transmitter), map(str, Traffic)) if cell not in FORBIDDEN]
    missing = [cell for cell in free if cell not in run.passed]
    if missing and cases >= 10_000:
        run.fail(f"never sent though allowed: {missing[:3]}")
    counts = {f"packets at level {level}": float(sum(n for cell, n in run.passed.items() if cell[0] == level))
              for level in range(4)}
    counts |= {"held back": float(run.held_back), "restarts": float(run.restarts)}
    return RowResult(not run.failures, cases, counts, tuple(run.failures))


def _profile(run: _Silence, what: float, how: float) -> None:
    """Change the profile now and then, restart now and then, at times by a power cut while the level is stored."""
    if what < 0.01:
        level = EmconLevel(int(4 * how))
        run.gate.set_level(level, run.now_ns)
        run.book.said.append(("order", int(level)))
    elif what < 0.03:
        # Open half of the time, or everything would be silent.
        emission = (Emission.OPEN, Emission.OPEN, Emission.RESTRICTED, Emission.SILENT)[int(4 * how)]
        run.gate.follow(emission, run.now_ns)
        run.book.said.append(("seen", _LEVEL[emission]))
    elif what < 0.034:
        run.gate.release(run.now_ns)
        run.released_ns = run.now_ns
    elif what < 0.038:
        run.restart()
    elif what < 0.040:
        _cut(run, EmconLevel(int(4 * how)))


def _cut(run: _Silence, level: EmconLevel) -> None:
    """The supply goes away while a level is stored: afterwards it is the old one or the new one."""
    before, after = run.book.read(), run.book.read((("order", int(level)),))
    said_before = run.book.said or run.book.kept
    run.disk.dies_at = run.disk.calls + int(run.rng.integers(0, 7))
    with suppress(PowerCut):
        run.gate.set_level(level, run.now_ns)
    run.disk.restart()
    run.restart()
    found = (int(run.gate.ordered), int(run.gate.level))
    for kept in (after, before):
        if found == (kept[0], max(kept)):
            run.book.kept = kept
            return
    if found == (0, 3) and not said_before:
        return
    run.fail(f"after a cut {found}; before {before}, ordered {int(level)}")
    run.book.kept = before


def _through_channels(run: _Silence, manager: ChannelManager, scheduler: Scheduler, tick: int, size: int) -> None:
    """The same through queues and scheduler: what waits while it is forbidden does not slip out."""
    number = tick % 8
    manager.put(number, bytes(size), run.now_ns)
    open_all(manager, run.gate, run.now_ns)
    while (picked := scheduler.next_packet(4096, run.now_ns)) is not None:
        spec = manager.spec(picked.channel_id)
        if spec is not None:
            run.witness(Transmitter.RADIO, TRAFFIC[spec.qos], "queued", tick)


EMCON_ROW = Row(
    20, "EMCON",
    "every profile and transmitter: 0 bytes out that it forbids, also of retries, acknowledgements, relays, and "
    "after restarts", 100_000, 10_000, _emcon,
)
