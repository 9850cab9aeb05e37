"""Lives of a craft that each end in a power cut: what its memory holds at the next start is judged there."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from comms.dictionary import Authority
from comms.parameters import PARAMETERS, Parameter, ParameterKind, ParameterSets, Value
from drivers import mb85rc256v
from fdir.codes import Code
from fdir.fault_table import FaultTable, load_fault_table
from fdir.modes import Motion
from fdir.safe_record import KeptSafe
from firmware_py.journal import NoJournal
from firmware_py.recorder import RecordError
from firmware_py.recorder.ring import DATA_OFFSET, RingFile, RingRecord, read_ring
from firmware_py.retained import Retained
from firmware_py.retained_faults import keep_table, kept_table
from hal.manager import BusSlots, ManagedDevice
from hal.nonvolatile import LONGEST_PAYLOAD, FileMemory, FramMemory, NonVolatile
from hil.bus.i2c import SimI2cBus
from hil.chips.mb85rc256v import Mb85rc256v
from hil.disk import PowerCut, SimDisk

__all__ = [
    "Lives", "Outcome", "file_lives", "fram_lives", "fram_store_ticks", "ring_cuts", "ring_cuts_unsynced", "table_cuts",
]

TICK_NS = 5_000_000
ADDRESS = 0x50
SECTOR = 512
LONGEST_BOOT_TICKS = 3000
"""15 s of fast ticks: beyond any time limit of the boot."""
TROUBLE = frozenset({Code.PARAM_INVALID, Code.PARAM_STORE_FAILED, Code.PROVIDER_UNAVAILABLE})
SAFES = (KeptSafe(), KeptSafe((Code.SAFE_ORDERED,)), KeptSafe((Code.CPU_OVERRUN, Code.SAFE_CAP_LOW), True))


@dataclass(slots=True)
class Outcome:
    """What came of a number of cuts."""

    cuts: int = 0
    booted: int = 0
    """Starts that settled with everything read, whole and understood."""
    old: int = 0
    new: int = 0
    mixed: int = 0
    """Sets that are neither."""
    counts_wrong: int = 0
    """Starts with a number that was there before, or that so many starts cannot have."""
    latches_lost: int = 0
    safe_wrong: int = 0
    """Starts at which SAFE was neither as before nor as it was being stored."""


def text_of(parameter: Parameter, mark: int) -> str:
    """An allowed value that tells which set it belongs to."""
    if parameter.kind is ParameterKind.FLAG:
        return "true" if mark % 2 else "false"
    if parameter.kind is ParameterKind.CHOICE:
        return parameter.choices[mark % len(parameter.choices)]
    assert parameter.low is not None
    assert parameter.high is not None
    if parameter.kind is ParameterKind.INTEGER:
        return str(int(parameter.low) + mark % (int(parameter.high - parameter.low) + 1))
    return repr(parameter.low + (parameter.high - parameter.low) * (mark % 997) / 997)


def _no_one(_name: str, _value: Value) -> None:
    """Nobody takes the values here."""


@dataclass(slots=True)
class Lives:
    """A craft that starts, changes its parameters and dies, again and again.

    ``memory`` gives the memory of a new life; ``turn`` lets one tick pass in it and may raise PowerCut.
    """

    memory: Callable[[], NonVolatile]
    turn: Callable[[], None]
    arm: Callable[[], None]
    """Chooses when this life ends."""
    restart: Callable[[], None]
    """Power comes back."""
    rng: np.random.Generator
    outcome: Outcome = field(default_factory=Outcome)
    before: ParameterSets = field(default_factory=ParameterSets)
    """Sets that were stored for certain."""
    after: ParameterSets = field(default_factory=ParameterSets)
    """Sets that were being stored when the power went."""
    starts: int = 0
    latched: bool = False
    safe: tuple[KeptSafe, KeptSafe] = (KeptSafe(), KeptSafe())
    """SAFE as it was stored for certain, and as it was being stored."""
    present: KeptSafe = field(default_factory=KeptSafe)
    """SAFE now, as the craft that runs knows it."""
    now_ns: int = 0
    _begun: int = 0
    """Starts since the last that was judged, the present one included."""
    _running: Retained | None = None

    def run(self, count: int) -> Outcome:
        """So many cuts, each judged by a start with good power."""
        self._start(True)
        self.outcome = Outcome()
        for _ in range(count):
            self._die()
            self._start(True)
        return self.outcome

    def _die(self) -> None:
        """Go on until the power goes; every third time over a start of the computer, whose writes are cut too."""
        again = int(self.rng.integers(0, 3)) == 0
        self.arm()
        try:
            retained = self._start(False) if again or self._running is None else self._running
            while True:
                self._change(retained)
        except PowerCut:
            self.outcome.cuts += 1
        self.restart()

    def _start(self, judged: bool) -> Retained:
        journal = NoJournal()
        self._begun += 1
        self.present = KeptSafe()
        retained = self._running = Retained(self.memory(), journal, _no_one)
        self.until(retained, lambda: retained.settled)
        if judged:
            self._judge(retained, journal)
        return retained

    def _judge(self, retained: Retained, journal: NoJournal) -> None:
        keeper, record = retained.parameters, retained.boot.record
        codes = {code for _, code, _, _ in journal.events}
        if record is not None and not codes & TROUBLE:
            self.outcome.booted += 1
        if keeper.sets == self.before:
            self.outcome.old += 1
        elif keeper.sets == self.after:
            self.outcome.new += 1
        else:
            self.outcome.mixed += 1
        self.before = self.after = keeper.sets
        self.outcome.safe_wrong += self.present not in self.safe
        self.safe = (self.present, self.present)
        if record is not None:
            # A start that was judged is noted for certain; one that was cut may be or not.
            self.outcome.counts_wrong += not self.starts < record.starts <= self.starts + self._begun
            self._begun = 0
            self.outcome.latches_lost += self.latched and not record.latched
            self.starts, self.latched = record.starts, record.latched

    def _change(self, retained: Retained) -> None:
        """One thing that happens: a value staged, the staged ones activated, the set before brought back, or SAFE."""
        keeper, rng = retained.parameters, self.rng
        what = int(rng.integers(0, 7))
        if what == 6:
            self.present = SAFES[int(rng.integers(0, len(SAFES)))]
            self.safe = (self.safe[0], self.present)
            self.until(retained, lambda: not retained.busy)
            self.safe = (self.present, self.present)
            return
        if what < 4:
            parameter = PARAMETERS[int(rng.integers(0, len(PARAMETERS)))]
            text = text_of(parameter, int(rng.integers(0, 997)))
            wanted = keeper.sets.stage(keeper.schema, parameter.name, text, Authority.SAFETY)
            order = lambda: keeper.set(parameter.name, text, Authority.SAFETY)  # noqa: E731
        elif what == 4 and keeper.sets.staged:
            wanted = keeper.sets.activate(keeper.schema, Authority.SAFETY)
            order = lambda: keeper.activate(Authority.SAFETY)  # noqa: E731
        elif what == 5 and keeper.sets.previous is not None:
            wanted = keeper.sets.rollback(keeper.schema, Authority.SAFETY)
            order = lambda: keeper.rollback(Authority.SAFETY)  # noqa: E731
        else:
            return
        self.after = wanted
        order()
        self.until(retained, lambda: not retained.busy)
        self.before = wanted

    def until(self, retained: Retained, done: Callable[[], bool]) -> None:
        for _ in range(LONGEST_BOOT_TICKS):
            self.now_ns += TICK_NS
            self.turn()
            retained.step(self.now_ns, Motion.BOOT, False)
            found = retained.safe.step(self.now_ns, self.present)
            if found is not None:
                self.present = found
            if done():
                return
        raise RuntimeError("the memory does not come to an end")


def file_lives(count: int, rng: np.random.Generator) -> Outcome:
    """Cuts at random system calls, between two or inside one, with what was not synchronised lost or torn."""
    disk = SimDisk(rng)

    def arm() -> None:
        disk.dies_at = disk.calls + int(rng.integers(0, 60))

    return Lives(lambda: FileMemory(disk), lambda: None, arm, disk.restart, rng).run(count)


class FramLife:
    """FRAM behind a simulated bus, its driver and the bus's slots; a start of the computer makes all but the chip new.

    Attributes:
        ticks: slots granted so far.
        dies_at: number of the slot before which the power goes, ``None`` for a good supply.
    """

    def __init__(self) -> None:
        self.chip = Mb85rc256v()
        self.bus = SimI2cBus("i2c_b")
        self.bus.attach(ADDRESS, self.chip)
        self.ticks = 0
        self.dies_at: int | None = None
        self._slots: BusSlots | None = None

    def memory(self) -> NonVolatile:
        """A computer that has just started."""
        device = mb85rc256v.Device(self.bus, ADDRESS, mb85rc256v.Settings())
        managed: ManagedDevice[Any] = ManagedDevice("fram", device, 0, 1_000_000_000, deque(maxlen=16))
        self._slots = BusSlots([managed])
        return FramMemory(managed)

    def turn(self) -> None:
        """One slot of the bus. PowerCut as soon as the chip has lost its supply, and the computer with it."""
        assert self._slots is not None
        self.ticks += 1
        if self.ticks == self.dies_at:
            raise PowerCut
        self._slots.step(self.ticks * TICK_NS)
        if not self.chip.powered:
            raise PowerCut

    def restart(self) -> None:
        """Power comes back."""
        self.chip.reset()
        self.dies_at = None


def fram_lives(count: int, rng: np.random.Generator) -> Outcome:
    """Cuts after a random byte that the memory was given, or between two transactions."""
    rig = FramLife()

    def arm() -> None:
        if rng.integers(0, 2):
            rig.chip.dies_after = int(rng.integers(0, 600))
        else:
            rig.dies_at = rig.ticks + int(rng.integers(1, 120))

    return Lives(rig.memory, rig.turn, arm, rig.restart, rng).run(count)


def fram_store_ticks() -> int:
    """Slots of the bus that the largest sets take to be stored, both copies of the slot in use."""
    rig = FramLife()
    lives = Lives(rig.memory, rig.turn, lambda: None, rig.restart, np.random.default_rng(0))
    retained = Retained(rig.memory(), NoJournal(), _no_one)
    lives.until(retained, lambda: retained.settled)
    keeper = retained.parameters
    for mark in range(3):
        for parameter in PARAMETERS:
            keeper.set(parameter.name, text_of(parameter, 101 * mark + 3), Authority.SAFETY)
        if mark < 2:
            keeper.activate(Authority.SAFETY)
    lives.until(retained, lambda: not retained.busy)
    keeper.set(PARAMETERS[0].name, "0.5", Authority.SAFETY)
    before = rig.ticks
    lives.until(retained, lambda: not retained.busy)
    return rig.ticks - before


def table_cuts(count: int, rng: np.random.Generator) -> tuple[int, int, int]:
    """Cuts while a good fault table is kept in place of another: how often the one before, the new one, and neither is
    the last good one at the next start."""
    shipped = load_fault_table()
    tables = (shipped, FaultTable(shipped.rows[::-1], "sha256:" + "1" * 64))
    disk = SimDisk(rng)
    memory = FileMemory(disk, capacity=LONGEST_PAYLOAD)
    keep_table(memory, tables[0])
    now, old, new = 0, 0, 0
    for _ in range(count):
        disk.dies_at = disk.calls + int(rng.integers(0, 12))
        wanted = 1 - now
        with suppress(PowerCut):
            keep_table(memory, tables[wanted])
        disk.restart()
        memory = FileMemory(disk, capacity=LONGEST_PAYLOAD)
        kept = kept_table(memory)
        old += kept == tables[now]
        new += kept == tables[wanted]
        now = wanted if kept == tables[wanted] else now
    return old, new, count - old - new


def _read(path: Path) -> tuple[RingRecord, ...] | None:
    """Records of a ring; ``None`` if it cannot be read."""
    try:
        return read_ring(path).records
    except RecordError:
        return None


def _records(ring: RingFile, rng: np.random.Generator) -> Iterator[bytes]:
    """Records written to a ring one after the other, without end."""
    number = 0
    while True:
        payload = rng.bytes(int(rng.integers(1, ring.capacity + 1)))
        ring.write(payload, number * TICK_NS)
        number += 1
        yield payload


def ring_cuts(count: int, rng: np.random.Generator, folder: Path) -> tuple[int, int]:
    """Cuts after a random byte of a record's write: rings that could be read, and records lost beside the one that was
    being written and the one whose slot it takes."""
    slots, size = 16, 512
    ring = RingFile.create(folder / "ring.bin", size, slots, synchronise=False)
    torn = folder / "torn.bin"
    written: list[bytes] = []
    readable = lost = 0
    source = _records(ring, rng)
    for _ in range(count):
        for _ in range(int(rng.integers(1, 4))):
            before = ring.path.read_bytes()
            written.append(next(source))
        after = ring.path.read_bytes()
        start = DATA_OFFSET + (len(written) - 1) % slots * size
        cut = start + int(rng.integers(0, size + 1))
        torn.write_bytes(after[:cut] + before[cut:])
        records = _read(torn)
        readable += records is not None
        kept = {record.sequence: record.payload for record in records or ()}
        needed = range(max(0, len(written) - slots), len(written) - 1)
        lost += sum(kept.get(number) != written[number] for number in needed)
    ring.close()
    return readable, lost


def ring_cuts_unsynced(count: int, rng: np.random.Generator, folder: Path) -> tuple[int, int]:
    """Cuts while a second's records wait in the page cache: rings that could be read, and records lost that had been
    synchronised and whose slot was not being written again."""
    slots, size, second = 64, 512, 20
    ring = RingFile.create(folder / "cached.bin", size, slots, synchronise=False)
    torn = folder / "torn.bin"
    written: list[bytes] = []
    readable = lost = 0
    source = _records(ring, rng)
    for _ in range(count):
        synced, at = ring.path.read_bytes(), len(written)
        for _ in range(int(rng.integers(1, second + 1))):
            written.append(next(source))
        now = ring.path.read_bytes()
        left = bytearray(synced)
        for start in range(DATA_OFFSET, len(now), SECTOR):
            cut = (0, SECTOR, int(rng.integers(0, SECTOR + 1)))[int(rng.integers(0, 3))]
            left[start : start + cut] = now[start : start + cut]
        torn.write_bytes(left)
        records = _read(torn)
        readable += records is not None
        kept = {record.sequence: record.payload for record in records or ()}
        lost += sum(kept.get(number) != written[number] for number in range(max(0, len(written) - slots), at))
    ring.close()
    return readable, lost
