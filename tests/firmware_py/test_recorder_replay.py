"""Replay: the same software sees the same bytes and is found identical; any other transfer is a named divergence."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.bus.protocol import (
    CanBus,
    CanFrame,
    ClearableBus,
    GpioBus,
    I2cBus,
    ReopenableBus,
    SerialBus,
    SpiBus,
)
from drivers.errors import Cause, DeviceError
from firmware_py.recorder import RecordError
from firmware_py.recorder.blackbox import BlackBox
from firmware_py.recorder.reader import read_flight
from firmware_py.recorder.replay import Difference, ReplayBuses, ReplayResult
from firmware_py.recorder.tap import Op, TapLog

HEADER = dict.fromkeys(
    ("software_version", "hardware_profile_hash", "body", "board", "mission", "seed", "rates")
)
STEP_NS = 5_000_000
NAMES = ("i2c_a", "spi0", "can0", "uart2", "gpio")


class World:
    """All five kinds of bus on noise: answers, faults and arrivals are random, so nothing agrees by chance."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)

    def chance(self, share: float) -> bool:
        return bool(self.rng.random() < share)


class NoisyI2c:
    name = "i2c_a"

    def __init__(self, world: World) -> None:
        self.world = world

    def write(self, address: int, data: bytes) -> None:
        if self.world.chance(0.1):
            raise DeviceError(self.name, address, Cause.NACK_DATA)

    def read(self, address: int, count: int) -> bytes:
        if self.world.chance(0.1):
            raise DeviceError(self.name, address, Cause.STUCK_BUS)
        return self.world.rng.bytes(count)

    def write_read(self, address: int, data: bytes, count: int) -> bytes:
        return self.read(address, count)


class NoisySpi:
    name = "spi0"

    def __init__(self, world: World) -> None:
        self.world = world

    def configure(self, select: int, mode: int, max_hz: int) -> None:
        assert max_hz

    def transfer(self, select: int, data: bytes) -> bytes:
        return self.world.rng.bytes(len(data))


class NoisyCan:
    name = "can0"

    def __init__(self, world: World) -> None:
        self.world = world

    def send(self, frame: CanFrame) -> None:
        if self.world.chance(0.05):
            raise DeviceError(self.name, None, Cause.TIMEOUT)

    def receive(self) -> CanFrame | None:
        if self.world.chance(0.05):
            raise DeviceError(self.name, None, Cause.BUS_OFF)
        if self.world.chance(0.5):
            return None
        return CanFrame(int(self.world.rng.integers(0x800)), self.world.rng.bytes(8), self.world.chance(0.3))


class NoisySerial:
    name = "uart2"

    def __init__(self, world: World) -> None:
        self.world = world

    def write(self, data: bytes) -> None:
        assert data

    def read(self, limit: int) -> bytes:
        return self.world.rng.bytes(int(self.world.rng.integers(0, min(limit, 20)))) if self.world.chance(0.5) else b""


class NoisyGpio:
    name = "gpio"

    def __init__(self, world: World) -> None:
        self.world = world

    def set(self, line: str, level: bool) -> None:
        assert line

    def get(self, line: str) -> bool:
        return self.world.chance(0.5)


class Program:
    """A stand-in for flight software: what it sends depends on all that it has seen. Histories tell two runs apart."""

    def __init__(self, i2c: I2cBus, spi: SpiBus, can: CanBus, serial: SerialBus, gpio: GpioBus) -> None:
        self.i2c, self.spi, self.can, self.serial, self.gpio = i2c, spi, can, serial, gpio
        self.seen: list[Any] = []

    def boot(self) -> None:
        self.spi.configure(0, 3, 1_000_000)
        self.ask(lambda: self.i2c.write(0x40, b"\x00\x80"))

    def ask(self, call: Callable[[], Any]) -> None:
        try:
            self.seen.append(call())
        except DeviceError as error:
            self.seen.append((error.bus, error.address, error.cause))

    def tick(self, number: int) -> None:
        self.ask(lambda: self.spi.transfer(0, bytes(20)))
        for _ in range(3):
            self.ask(self.can.receive)
        self.ask(lambda: self.serial.read(64))
        self.ask(lambda: self.serial.read(64))
        digest = repr(self.seen[-6:]).encode()[-8:]
        self.ask(lambda: self.can.send(CanFrame(0x310, digest)))
        self.ask(lambda: self.can.send(CanFrame(0x80, b"")))
        self.ask(self.can.receive)
        self.ask(self.can.receive)
        if number % 3 == 0:
            self.ask(lambda: self.i2c.write_read(0x40, b"\x04", 3))
            self.ask(lambda: self.i2c.read(0x20, 9))
            self.ask(lambda: self.serial.write(digest[:2]))
        self.ask(lambda: self.gpio.set("kick", number % 2 == 0))
        self.ask(lambda: self.gpio.get("enable"))


def recorded(path: Path, ticks: int = 60) -> list[Any]:
    """Fly on noise, record, return what the program saw."""
    world = World(3)
    log = TapLog()
    program = Program(
        log.tap(NoisyI2c(world)), log.tap(NoisySpi(world)), log.tap(NoisyCan(world)), log.tap(NoisySerial(world)),
        log.tap(NoisyGpio(world)),
    )
    with BlackBox(path, HEADER, buses=log.names) as box:
        program.boot()
        for number in range(ticks):
            program.tick(number)
            box.bus(number * STEP_NS, log.take())
    return program.seen


def times(buses: ReplayBuses) -> Iterator[int]:
    """The loop of a replay."""
    yield buses.t_ns
    while (t_ns := buses.next_t_ns) is not None:
        buses.advance(t_ns)
        yield t_ns


def replayed(path: Path, change: Callable[[Program], None] | None = None) -> tuple[list[Any], ReplayResult]:
    buses = ReplayBuses.of(read_flight(path))
    program = Program(
        buses.i2c("i2c_a"), buses.spi("spi0"), buses.can("can0"), buses.serial("uart2"), buses.gpio("gpio")
    )
    if change is not None:
        change(program)
    program.boot()
    for t_ns in times(buses):
        program.tick(t_ns // STEP_NS)
    return program.seen, buses.finish()


def scripted(*ticks: list[tuple[Any, ...]], names: tuple[str, ...] = NAMES, keep: int = 1000) -> ReplayBuses:
    return ReplayBuses(names, [(number * STEP_NS, rows) for number, rows in enumerate(ticks)], keep)


def differences(result: ReplayResult) -> list[tuple[int, str, Difference]]:
    return [(entry.t_ns // STEP_NS, entry.bus, entry.difference) for entry in result.divergences]


def test_the_same_software_sees_every_byte_poll_and_fault_again_and_is_identical(tmp_path: Path) -> None:
    seen = recorded(tmp_path / "a.mcap")
    again, result = replayed(tmp_path / "a.mcap")
    assert again == seen
    assert result.identical
    assert result.first is None
    assert result.ticks == 60
    assert result.commands_compared == 2 + 3 * 60 + 20
    assert result.late == 0


def test_one_changed_command_is_one_divergence_with_both_sides(tmp_path: Path) -> None:
    recorded(tmp_path / "a.mcap")

    class Alter:
        def __init__(self, inner: GpioBus) -> None:
            self.inner, self.name = inner, inner.name

        def set(self, line: str, level: bool) -> None:
            self.inner.set(line, True)

        def get(self, line: str) -> bool:
            return self.inner.get(line)

    def alter(program: Program) -> None:
        program.gpio = Alter(program.gpio)

    _, result = replayed(tmp_path / "a.mcap", alter)
    assert result.divergence_count == 30
    assert result.first is not None
    assert (result.first.t_ns, result.first.bus) == (STEP_NS, "gpio")
    assert result.first.difference is Difference.COMMAND_CHANGED
    assert result.first.expected == (4, Op.GPIO_SET, "kick", b"\x00", None, None)
    assert result.first.got == (4, Op.GPIO_SET, "kick", b"\x01", None, None)


def test_a_command_added_and_one_left_out_are_told_apart() -> None:
    buses = scripted([(2, Op.CAN_SEND, 0x80, b"", None, None)], [])
    can = buses.can("can0")
    can.send(CanFrame(0x310, b"x"))
    buses.advance(STEP_NS)
    result = buses.finish()
    assert differences(result) == [(0, "can0", Difference.COMMAND_ADDED), (0, "can0", Difference.COMMAND_LEFT_OUT)]
    assert not result.identical


def test_a_read_that_was_not_recorded_is_silent_and_one_not_made_is_noted() -> None:
    buses = scripted([(0, Op.I2C_READ, 0x40, b"", b"ab", None)])
    i2c = buses.i2c("i2c_a")
    for call in (lambda: i2c.read(0x41, 2), lambda: i2c.read(0x40, 3), lambda: i2c.write_read(0x40, b"", 2)):
        with pytest.raises(DeviceError) as caught:
            call()
        assert caught.value.cause is Cause.SILENT
    assert differences(buses.finish()) == [(0, "i2c_a", Difference.READ_ADDED)] * 3 + [
        (0, "i2c_a", Difference.READ_LEFT_OUT)
    ]


def test_another_order_within_a_tick_is_no_divergence() -> None:
    buses = scripted([
        (0, Op.I2C_READ, 0x40, b"", b"a", None), (0, Op.I2C_READ, 0x41, b"", b"b", None),
        (0, Op.I2C_WRITE, 0x42, b"c", None, None),
    ])
    i2c = buses.i2c("i2c_a")
    i2c.write(0x42, b"c")
    assert i2c.read(0x41, 1) == b"b"
    assert i2c.read(0x40, 1) == b"a"
    assert buses.finish().identical


def test_an_answer_does_not_come_before_the_command_it_followed() -> None:
    buses = scripted([(2, Op.CAN_SEND, 0x600, b"q", None, None), (2, Op.CAN_RECEIVE, 0x580, 0, b"a", None)])
    can = buses.can("can0")
    assert can.receive() is None
    can.send(CanFrame(0x600, b"q"))
    assert can.receive() == CanFrame(0x580, b"a")
    assert can.receive() is None
    assert buses.finish().identical


def test_receptions_not_taken_wait_for_the_next_tick_and_are_counted() -> None:
    buses = scripted([(2, Op.CAN_RECEIVE, 0x190, 3, b"a", None)], [(2, Op.CAN_RECEIVE, 0x191, 0, b"b", None)])
    can = buses.can("can0")
    buses.advance(STEP_NS)
    assert [can.receive(), can.receive(), can.receive()] == [CanFrame(0x190, b"a"), CanFrame(0x191, b"b"), None]
    result = buses.finish()
    assert result.identical
    assert result.late == 1


def test_receptions_never_taken_are_a_divergence_at_the_end() -> None:
    buses = scripted([(2, Op.CAN_RECEIVE, 0x190, 0, b"a", None)])
    assert differences(buses.finish()) == [(0, "can0", Difference.READ_LEFT_OUT)]


def test_a_serial_read_with_a_lower_limit_gets_the_rest_later() -> None:
    buses = scripted([(3, Op.SERIAL_READ, None, 0, b"abcde", None)])
    serial = buses.serial("uart2")
    assert [serial.read(2), serial.read(2), serial.read(2), serial.read(2)] == [b"ab", b"cd", b"e", b""]
    assert buses.finish().identical


def test_a_recorded_fault_is_raised_with_bus_address_and_cause() -> None:
    buses = scripted([
        (0, Op.I2C_WRITE, 0x40, b"x", None, "stuck_bus"), (2, Op.CAN_RECEIVE, None, 0, None, "bus_off"),
        (4, Op.GPIO_GET, "l", b"", None, "absent"),
    ])
    calls = (
        (lambda: buses.i2c("i2c_a").write(0x40, b"x"), ("i2c_a", 0x40, Cause.STUCK_BUS)),
        (buses.can("can0").receive, ("can0", None, Cause.BUS_OFF)),
        (lambda: buses.gpio("gpio").get("l"), ("gpio", None, Cause.ABSENT)),
    )
    for call, expected in calls:
        with pytest.raises(DeviceError) as caught:
            call()
        assert (caught.value.bus, caught.value.address, caught.value.cause) == expected
    assert buses.finish().identical


def test_a_recovery_is_replayed_with_how_it_ended_and_one_that_was_not_recorded_is_a_divergence() -> None:
    buses = scripted(
        [(0, Op.BUS_CLEAR, None, b"", None, "stuck_bus"), (0, Op.BUS_REOPEN, None, b"", None, None),
         (3, Op.BUS_REOPEN, None, b"", None, "protocol")],
        [(0, Op.BUS_CLEAR, None, b"", None, None)],
    )
    i2c, serial = buses.i2c("i2c_a"), buses.serial("uart2")
    assert isinstance(i2c, ClearableBus)
    assert isinstance(serial, ReopenableBus)
    for action, cause in ((i2c.clear_bus, Cause.STUCK_BUS), (serial.reopen, Cause.PROTOCOL)):
        with pytest.raises(DeviceError) as refused:
            action()
        assert (refused.value.address, refused.value.cause) == (None, cause)
    i2c.reopen()
    buses.can("can0").reopen()
    buses.advance(STEP_NS)
    result = buses.finish()
    assert result.commands_compared == 4
    assert differences(result) == [
        (0, "can0", Difference.COMMAND_ADDED), (1, "i2c_a", Difference.COMMAND_LEFT_OUT),
    ]


def test_divergences_kept_are_bounded_and_all_are_counted() -> None:
    buses = scripted([], keep=5)
    for number in range(50):
        buses.can("can0").send(CanFrame(number, b""))
    result = buses.finish()
    assert (len(result.divergences), result.divergence_count) == (5, 50)


def test_ticks_that_today_do_not_run_are_loaded_together() -> None:
    buses = scripted([], [(0, Op.I2C_WRITE, 8, b"a", None, None)], [(0, Op.I2C_WRITE, 8, b"b", None, None)])
    buses.advance(2 * STEP_NS)
    buses.advance(2 * STEP_NS)
    i2c = buses.i2c("i2c_a")
    i2c.write(8, b"a")
    i2c.write(8, b"b")
    result = buses.finish()
    assert result.identical
    assert (result.ticks, result.transfers) == (3, 2)


def test_time_does_not_run_backwards_and_unknown_buses_are_named() -> None:
    buses = scripted([], [])
    buses.advance(STEP_NS)
    with pytest.raises(ValueError, match="cannot go back"):
        buses.advance(0)
    with pytest.raises(KeyError, match="i2c_z"):
        buses.i2c("i2c_z")
    with pytest.raises(ValueError, match="bus 9"):
        scripted([(9, Op.GPIO_SET, "l", b"", None, None)])


def test_a_flight_without_bus_traffic_is_refused(tmp_path: Path) -> None:
    with BlackBox(tmp_path / "a.mcap", HEADER) as box:
        box.event(0, "BAT_LOW", "info")
    with pytest.raises(RecordError, match="no bus traffic"):
        ReplayBuses.of(read_flight(tmp_path / "a.mcap"))


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.lists(st.lists(st.sampled_from(["poll", "send", "arrive"]), max_size=12), min_size=1, max_size=5))
def test_any_interleaving_of_polls_sends_and_arrivals_is_reproduced(script: list[list[str]]) -> None:
    class Inner:
        name = "can0"

        def __init__(self) -> None:
            self.inbox: list[CanFrame] = []

        def send(self, frame: CanFrame) -> None:
            assert frame

        def receive(self) -> CanFrame | None:
            return self.inbox.pop(0) if self.inbox else None

    def run(can: CanBus, steps: list[str], arrive: Callable[[int], None]) -> list[CanFrame | None]:
        seen: list[CanFrame | None] = []
        for number, step in enumerate(steps):
            if step == "poll":
                seen.append(can.receive())
            elif step == "send":
                can.send(CanFrame(0x310, bytes([number])))
            else:
                arrive(number)
        return seen

    inner, log = Inner(), TapLog()
    can = log.tap(inner)
    ticks, history = [], []
    for number, steps in enumerate(script):
        history.append(run(can, steps, lambda n: inner.inbox.append(CanFrame(0x190, bytes([n])))))
        ticks.append((number, log.take()))
    buses = ReplayBuses(log.names, ticks)
    again = []
    for number, steps in enumerate(script):
        buses.advance(number)
        again.append(run(buses.can("can0"), steps, lambda n: None))
    assert again == history
    assert buses.finish().identical
