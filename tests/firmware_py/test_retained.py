"""What outlives a restart: a craft boots within its time whatever its memory does, and knows what it knew before."""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np
import pytest

from bench import _powercut
from comms.dictionary import Authority
from comms.parameters import Value
from drivers import mb85rc256v
from fdir.boot import ResetReason
from fdir.codes import Code
from fdir.modes import Motion
from fdir.safe_record import KeptSafe
from firmware_py.journal import NoJournal
from firmware_py.retained import SETTLE_NS, Retained, memory_of
from hal.manager import BusSlots, ManagedDevice
from hal.nonvolatile import FileMemory, FramMemory, NonVolatile, Transfer
from hal.profile import load_board
from hal.recovery import InlineWorker
from hil.bus.i2c import SimI2cBus
from hil.chips.mb85rc256v import Mb85rc256v
from hil.disk import SimDisk

TICK = 50_000_000
SAFETY = Authority.SAFETY


class Craft:
    """Parameters and boot record over a memory that outlives them."""

    def __init__(self, memory: NonVolatile | None, reset: ResetReason | None = None) -> None:
        self.work: dict[str, Value] = {}
        self.journal = NoJournal()
        self.retained = Retained(memory, self.journal, self.work.__setitem__, reset)
        self.now_ns = 0

    def step(self, seconds: float = 0.2, motion: Motion = Motion.BOOT, *, acknowledged: bool = False) -> Craft:
        for _ in range(round(seconds * 20)):
            self.now_ns += TICK
            self.turn(self.now_ns, motion, acknowledged)
        return self

    def turn(self, now_ns: int, motion: Motion, acknowledged: bool = False) -> None:
        """As the flight software does."""
        self.retained.step(now_ns, motion, acknowledged)
        self.retained.safe.step(now_ns, KeptSafe())

    def events(self) -> list[tuple[str, str]]:
        return [(code, text) for _, code, _, text in self.journal.events]


def disk() -> SimDisk:
    return SimDisk(np.random.default_rng(1))


def test_a_craft_knows_after_a_restart_what_was_set_and_how_often_it_started() -> None:
    one = disk()
    craft = Craft(FileMemory(one)).step()
    craft.retained.parameters.set("hold_deadband_deg", "1.5", SAFETY)
    craft.retained.parameters.activate(SAFETY)
    assert craft.retained.busy
    craft.step()
    assert not craft.retained.busy
    after = Craft(FileMemory(one), ResetReason.WATCHDOG).step()
    assert after.work == {"hold_deadband_deg": 1.5}
    record = after.retained.boot.record
    assert record is not None
    assert (record.starts, record.reset) == (2, ResetReason.WATCHDOG)


def test_the_start_is_noted_before_it_is_settled() -> None:
    craft = Craft(FileMemory(disk()))
    assert not craft.retained.settled
    craft.step()
    assert craft.retained.settled


def test_without_a_memory_a_craft_is_settled_at_once_and_never_in_a_boot_loop() -> None:
    craft = Craft(None)
    assert craft.retained.settled
    craft.step(2.0)
    assert not craft.retained.boot_loop
    assert not craft.retained.busy
    assert craft.events() == []


@pytest.mark.parametrize(("limit", "starts"), [(None, 4), ("2", 3), ("5", 6)])
def test_the_boot_loop_follows_its_parameter(limit: str | None, starts: int) -> None:
    one = disk()
    craft = Craft(FileMemory(one)).step()
    if limit is not None:
        craft.retained.parameters.set("boot_loop_starts", limit, SAFETY)
        craft.retained.parameters.activate(SAFETY)
        craft.step()
    for number in range(2, starts + 1):
        craft = Craft(FileMemory(one)).step()
        assert craft.retained.boot_loop is (number == starts)
    craft.step(motion=Motion.SAFE, acknowledged=True)
    assert not craft.retained.boot_loop
    assert not Craft(FileMemory(one)).step().retained.boot_loop


@pytest.mark.parametrize(("healthy", "seconds"), [(None, 60.0), ("10", 10.0)])
def test_boot_is_held_after_the_time_of_its_parameter_out_of_boot(healthy: str | None, seconds: float) -> None:
    one = disk()
    craft = Craft(FileMemory(one)).step()
    if healthy is not None:
        craft.retained.parameters.set("boot_healthy_s", healthy, SAFETY)
        craft.retained.parameters.activate(SAFETY)
        craft.step()
    craft = Craft(FileMemory(one)).step(seconds * 2)
    craft.step(seconds, Motion.SAFE)
    record = craft.retained.boot.record
    assert record is not None
    assert record.failed == 2
    craft.step(0.05, Motion.IDLE)
    record = craft.retained.boot.record
    assert record is not None
    assert (record.failed, record.last_good) == (0, 2)


def test_a_clean_stop_is_noted() -> None:
    one = disk()
    for _ in range(6):
        craft = Craft(FileMemory(one)).step()
        assert not craft.retained.boot_loop
        craft.retained.stop(craft.now_ns)
        while craft.retained.busy:
            craft.step(0.05)


class Silent:
    """A memory that never answers."""

    name, capacity, slots = "silent", 512, 8

    def load(self, slot: int, now_ns: int) -> Transfer:
        return Transfer(lambda _now_ns: None)

    def store(self, slot: int, payload: bytes, now_ns: int) -> Transfer:
        return Transfer(lambda _now_ns: None)


class OnlyReads(Silent):
    """A memory that never ends a store."""

    def load(self, slot: int, now_ns: int) -> Transfer:
        transfer = Transfer(lambda _now_ns: None)
        transfer.end()
        return transfer


@pytest.mark.parametrize("memory", [Silent(), OnlyReads()])
def test_a_memory_that_does_not_answer_is_waited_for_no_longer_than_its_time(memory: NonVolatile) -> None:
    craft = Craft(memory).step(SETTLE_NS * 1e-9)
    assert not craft.retained.settled
    craft.step(0.05)
    assert craft.retained.settled
    late = (Code.PARAM_STORE_FAILED, "booting without the memory")
    assert craft.events()[-1] == late
    craft.step(20.0, Motion.IDLE)
    assert craft.events().count(late) == 1


class Board:
    """A computer with an FRAM whose cells outlive it."""

    def __init__(self, chip: Mb85rc256v) -> None:
        bus = SimI2cBus("i2c_b")
        bus.attach(0x50, chip)
        device = mb85rc256v.Device(bus, 0x50, mb85rc256v.Settings())
        self.managed: ManagedDevice[Any] = ManagedDevice("fram", device, 0, 1_000_000_000, deque(maxlen=16))
        self.slots = BusSlots([self.managed])
        self.craft = Craft(FramMemory(self.managed))
        self.now_ns = 0

    def run(self, seconds: float, motion: Motion = Motion.BOOT) -> Craft:
        for tick in range(round(seconds * 200)):
            self.now_ns += TICK // 10
            self.slots.step(self.now_ns)
            if tick % 10 == 0:
                self.craft.turn(self.now_ns, motion)
        return self.craft


def test_an_fram_keeps_both_and_is_settled_long_before_the_self_test_ends() -> None:
    chip = Mb85rc256v()
    craft = Board(chip).run(1.0)
    assert craft.retained.settled
    craft.retained.parameters.set("telemetry_every", "4", SAFETY)
    craft.retained.parameters.activate(SAFETY)
    board = Board(chip)
    assert board.run(1.0).work == {}, "the power went before it was stored"
    board.craft.retained.parameters.set("telemetry_every", "4", SAFETY)
    board.craft.retained.parameters.activate(SAFETY)
    board.run(1.0)
    after = Board(chip).run(1.0)
    assert after.work == {"telemetry_every": 4}
    record = after.retained.boot.record
    assert record is not None
    assert record.starts == 3


def test_an_fram_that_is_dead_costs_eight_seconds_and_the_craft_boots_with_its_defaults() -> None:
    chip = Mb85rc256v()
    chip.powered = False
    craft = Board(chip).run(7.9)
    assert not craft.retained.settled
    board = Board(chip)
    craft = board.run(8.3)
    assert craft.retained.settled
    assert [code for code, _ in craft.events()].count(Code.PARAM_INVALID) == 2
    assert craft.retained.parameters.values == craft.retained.parameters.schema.defaults
    assert not craft.retained.boot_loop


# -- which memory


def test_a_board_with_a_memory_uses_it_and_another_its_files() -> None:
    device = mb85rc256v.Device(SimI2cBus("i2c_b"), 0x50, mb85rc256v.Settings())
    managed: ManagedDevice[Any] = ManagedDevice("fram", device, 0, 1, deque(maxlen=1))
    with_chip, without = load_board("qiki-rpi"), load_board("bench-rpi")
    assert isinstance(memory_of(with_chip, {"fram": managed}, disk(), InlineWorker), FramMemory)
    assert isinstance(memory_of(with_chip, {}, disk(), InlineWorker), FileMemory)
    assert isinstance(memory_of(without, {}, disk(), InlineWorker), FileMemory)
    assert memory_of(without, {}, None, InlineWorker) is None


# -- power cuts, a few here and a thousand in bench/powercut.py


@pytest.mark.parametrize("lives", [_powercut.file_lives, _powercut.fram_lives])
def test_a_craft_that_loses_its_power_while_it_writes_boots_with_the_old_or_the_new(lives: Any) -> None:
    outcome = lives(60, np.random.default_rng(3))
    assert outcome.cuts == outcome.booted == outcome.old + outcome.new == 60
    assert outcome.mixed == outcome.counts_wrong == outcome.latches_lost == outcome.safe_wrong == 0
    assert outcome.old
    assert outcome.new


def test_whatever_is_wrong_with_the_memory_it_does_not_keep_the_craft_from_flying() -> None:
    class Broken:
        capacity = 100

        def load(self, slot: int, now_ns: int) -> None:
            raise RuntimeError("no such slot")

        store = load

    craft = Craft(None)
    craft.retained = Retained(Broken(), craft.journal, craft.work.__setitem__)  # type: ignore[arg-type]
    for _ in range(50):
        craft.now_ns += TICK
        craft.retained.step(craft.now_ns, Motion.BOOT, False)
    assert craft.retained.settled
    (told,) = [text for code, text in craft.events() if code == Code.PARAM_STORE_FAILED]
    assert told == "given up: RuntimeError('no such slot')"
