"""Hands on a simulated chip: registers are read and written as on a bus, and time passes only where a test says so."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from drivers.bus.protocol import CanFrame
from hil.can import SimCanBus

__all__ = ["ChipBench", "drain"]


class ChipBench:
    """A chip with a register pointer (a command, where it speaks SMBus), and its clock.

    Args:
        make: builds the chip around a clock in ns.
    """

    order: Literal["big", "little"] = "big"
    """How its words stand on the bus."""

    def __init__(self, make: Callable[[Callable[[], int]], Any]) -> None:
        self.now = 0
        self.chip = make(lambda: self.now)

    def read(self, register: int, count: int = 1) -> bytes:
        assert self.chip.write(bytes((register,)))
        data: bytes = self.chip.read(count)
        return data

    def byte(self, register: int) -> int:
        return self.read(register)[0]

    def word(self, register: int) -> int:
        return int.from_bytes(self.read(register, 2), self.order)

    def signed(self, register: int) -> int:
        return int.from_bytes(self.read(register, 2), self.order, signed=True)

    def text(self, register: int, longest: int = 32) -> bytes:
        """A block: its first byte says how many follow."""
        data = self.read(register, 1 + longest)
        return data[1 : 1 + data[0]]

    def write(self, register: int, *values: int) -> bool:
        """Whether the chip acknowledges."""
        acknowledged: bool = self.chip.write(bytes((register, *values)))
        return acknowledged

    def put_word(self, register: int, value: int) -> bool:
        return self.write(register, *(value & 0xFFFF).to_bytes(2, self.order))

    def wait(self, ms: float) -> None:
        """Let time pass for a chip that goes on by itself."""
        self.now += round(ms * 1e6)
        self.chip.advance()


def drain(bus: SimCanBus) -> list[CanFrame]:
    """Every frame that waits on a bus."""
    frames = []
    while (frame := bus.receive()) is not None:
        frames.append(frame)
    return frames
