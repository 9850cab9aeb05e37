"""Buses that a test scripts: every transfer is counted, every write is kept, and nothing answers what wasn't put in.

A test gives a part's registers (``WordBank``, ``MemoryBank``, ``SmbusBank``) or answers (``I2cPart``, ``SpiPart``,
``SerialLine``, ``CanPort``) and takes a driver's sequence through ``run``, which holds it to one transaction a resume.
None of it comes from the twins in ``hil``: a driver and its twin must not share a mistake.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Generator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Protocol

import pytest

from drivers.bus.protocol import CanFrame
from drivers.errors import Cause, DeviceError

Steps = Generator[None, None, Any]
Run = Callable[[Steps], Any]


class Counted(Protocol):
    """A bus with one part: its name, the part's address, and how many transfers there were."""

    name: str
    address: int
    transactions: int


class Polled(Protocol):
    """A driver that is asked for samples."""

    def acquire(self) -> Steps: ...


class Streaming(Protocol):
    """A driver that hears samples."""

    def poll(self, now_ns: int) -> Any: ...


# --- sequences and refusals -----------------------------------------------------------------------------------------


def finish(steps: Steps) -> Any:
    """Exhaust a sequence and give what it returned."""
    while True:
        try:
            next(steps)
        except StopIteration as done:
            return done.value


def run(bus: Counted, steps: Steps) -> Any:
    """Exhaust a sequence and give what it returned; every resume must be exactly one transaction."""
    while True:
        before = bus.transactions
        try:
            next(steps)
        except StopIteration as done:
            assert bus.transactions == before + 1
            return done.value
        assert bus.transactions == before + 1


def error_of(call: Callable[..., object], *arguments: object) -> DeviceError:
    """The error that a call must end in."""
    with pytest.raises(DeviceError) as caught:
        call(*arguments)
    return caught.value


def cause_of(call: Callable[..., object], *arguments: object) -> Cause:
    """Why a call is refused, as it must be."""
    return error_of(call, *arguments).cause


def refused(bus: Counted, steps: Steps) -> DeviceError:
    """The error that a sequence must end in; it says where."""
    error = error_of(run, bus, steps)
    assert (error.bus, error.address) == (bus.name, bus.address)
    return error


def refusal(bus: Counted, steps: Steps) -> Cause:
    """Why a sequence is refused, as it must be."""
    return refused(bus, steps).cause


def first_refusal(steps: Callable[[], Steps], within: int = 1) -> DeviceError:
    """The error that one of so many sequences must end in, for a bus that counts nothing."""

    def repeat() -> None:
        for _ in range(within):
            finish(steps())

    return error_of(repeat)


def outcomes(ask: Callable[[], Any], count: int) -> list[Any]:
    """What so many calls give, in order, with its cause in the place of a refusal."""
    found = []
    for _ in range(count):
        try:
            found.append(ask())
        except DeviceError as error:
            found.append(error.cause)
    return found


def causes(bus: Counted, device: Polled, samples: int) -> list[Cause]:
    """Why samples were refused, in order, out of so many that are asked for."""
    asked = outcomes(lambda: run(bus, device.acquire()), samples)
    return [outcome for outcome in asked if isinstance(outcome, Cause)]


# --- published examples ---------------------------------------------------------------------------------------------


def published(shared_data: Path, *parts: str) -> list[dict[str, str]]:
    """Rows of the published examples of parts that are called so; a name may end in ``*``."""
    with (shared_data / "datasheet_examples.csv").open(encoding="utf-8", newline="") as stream:
        return [row for row in csv.DictReader(stream) if any(fnmatchcase(row["part"], part) for part in parts)]


# --- I2C ------------------------------------------------------------------------------------------------------------


def crc8_bitwise(data: bytes, polynomial: int = 0x07) -> int:
    """A CRC-8 from 0 on, bit by bit as it is defined; as it stands that of the SMBus (3.1, section 6.4)."""
    value = 0
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = (value << 1 ^ polynomial if value & 0x80 else value << 1) & 0xFF
    return value


def word(value: int) -> bytes:
    """A word of 16 bits, signed or not, low byte first as the SMBus has it."""
    return (value & 0xFFFF).to_bytes(2, "little")


class I2cPart:
    """One part alone on a segment, read through a pointer only; ``history`` has the bytes of every write."""

    name = "i2c_a"
    address: int

    def __init__(self) -> None:
        self.transactions = 0
        self.history: list[bytes] = []
        self.power_up()

    def power_up(self) -> None:
        """Put every register to what it holds after a power-up."""

    def take(self, data: bytes) -> None:
        """Obey a write."""
        raise AssertionError("the part is not written to")

    def answer(self, data: bytes, count: int) -> bytes:
        """Bytes to read after a pointer was written."""
        raise AssertionError("the part is not read")

    def write(self, address: int, data: bytes) -> None:
        assert address == self.address
        self.transactions += 1
        self.history.append(bytes(data))
        self.take(data)

    def read(self, address: int, count: int) -> bytes:
        raise AssertionError("the part is read through its pointer")

    def write_read(self, address: int, data: bytes, count: int) -> bytes:
        assert address == self.address
        self.transactions += 1
        return self.answer(data, count)


class WordBank(I2cPart):
    """A part whose pointers lead to registers of their own length each."""

    words: dict[int, bytes]

    def take(self, data: bytes) -> None:
        self.words[data[0]] = bytes(data[1:])

    def answer(self, data: bytes, count: int) -> bytes:
        return self.words[data[0]][:count]


class MemoryBank(I2cPart):
    """A part whose pointer goes on from byte to byte."""

    memory: bytearray

    def take(self, data: bytes) -> None:
        self.memory[data[0] : data[0] + len(data) - 1] = data[1:]

    def answer(self, data: bytes, count: int) -> bytes:
        return bytes(self.memory[data[0] : data[0] + count])


class SmbusBank(WordBank):
    """A part with commands, with packet error codes or without; ``spoil`` of the next codes are wrong."""

    def __init__(self, pec: bool = True) -> None:
        self.pec = pec
        self.spoil = 0
        self.sent: list[int] = []
        super().__init__()

    def accept(self, command: int, value: bytes) -> None:
        """Obey a write of a command with data."""
        self.words[command] = value

    def take(self, data: bytes) -> None:
        if self.pec:
            assert crc8_bitwise(bytes((self.address << 1,)) + data) == 0
            data = data[:-1]
        if len(data) == 1:
            self.sent.append(data[0])
        else:
            self.accept(data[0], bytes(data[1:]))

    def answer(self, data: bytes, count: int) -> bytes:
        answer = self.words[data[0]]
        if self.pec:
            code = crc8_bitwise(bytes((self.address << 1, data[0], self.address << 1 | 1)) + answer)
            if self.spoil:
                self.spoil -= 1
                code ^= 0x10
            answer += bytes((code,))
        return answer[:count].ljust(count, b"\xff")


# --- SPI, serial, CAN -----------------------------------------------------------------------------------------------


class SpiPart:
    """One part at a chip select, which ``address`` is; ``stuck`` bytes on its data line take its answers' place."""

    name = "spi0"
    address: int

    def __init__(self) -> None:
        self.transactions = 0
        self.configured: list[tuple[int, int, int]] = []
        self.stuck: bytes | None = None

    def answer(self, data: bytes) -> bytes:
        """As many bytes as were sent."""
        raise NotImplementedError

    def configure(self, select: int, mode: int, max_hz: int) -> None:
        self.configured.append((select, mode, max_hz))

    def transfer(self, select: int, data: bytes) -> bytes:
        assert select == self.address
        self.transactions += 1
        if self.stuck is not None:
            return (self.stuck * len(data))[: len(data)]
        return self.answer(data)


class SerialLine:
    """A serial port that hands out what was put in, at most ``limit`` bytes a read.

    Args:
        name: the port's.
        chunk: how many bytes arrive between two polls, unless a test says otherwise.
        takes_commands: whether anything may be written.
    """

    def __init__(self, name: str, chunk: int = 64, takes_commands: bool = True) -> None:
        self.name = name
        self.chunk = chunk
        self.takes_commands = takes_commands
        self.pending = b""
        self.commands: list[bytes] = []

    def reply(self, data: bytes) -> bytes:
        """What the part says to a command."""
        return b""

    def write(self, data: bytes) -> None:
        assert self.takes_commands, "the part accepts no command"
        self.commands.append(data)
        self.pending += self.reply(data)

    def read(self, limit: int) -> bytes:
        data, self.pending = self.pending[:limit], self.pending[limit:]
        return data


def feed(line: SerialLine, device: Streaming, data: bytes, chunk: int = 0) -> list[Any]:
    """Let bytes arrive so many at a time, with a poll after each, and give the samples."""
    chunk = chunk or line.chunk
    samples = []
    for at in range(0, len(data), chunk):
        line.pending += data[at : at + chunk]
        sample = device.poll(0)
        if sample is not None:
            samples.append(sample)
    return samples


class CanPort:
    """A CAN bus that remembers what is sent, or refuses it; a router, and not the driver, receives."""

    name = "can_b"

    def __init__(self) -> None:
        self.sent: list[CanFrame] = []
        self.refuse = False

    def send(self, frame: CanFrame) -> None:
        if self.refuse:
            raise DeviceError(self.name, None, Cause.BUS_OFF)
        self.sent.append(frame)

    def receive(self) -> CanFrame | None:
        raise AssertionError("the router receives")
