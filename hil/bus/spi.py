"""Twin of an SPI controller: one full-duplex transfer is one chip select, answered by the chip on that select."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np

from drivers.errors import Cause, DeviceError
from hil.faults import ActiveFault, Fault, FaultKind, FaultSet

__all__ = ["SimSpiBus", "SpiChip"]

_KINDS = frozenset({
    FaultKind.TIMEOUT, FaultKind.STUCK_BUS, FaultKind.SHORT_READ, FaultKind.BIT_FLIP, FaultKind.FROZEN,
    FaultKind.ALL_ONES, FaultKind.ALL_ZEROS,
})
_PIPELINED = 2


class SpiChip(Protocol):
    """A chip behind a chip select."""

    spi_modes: frozenset[int]
    """Clock modes it understands."""
    max_hz: int
    """Highest clock it understands, Hz."""

    def transfer(self, data: bytes) -> bytes:
        """Bytes clocked in under one select; returns as many that were clocked out meanwhile."""


def _nobody(data: bytes) -> bytes:
    """An input nobody drives is pulled up."""
    return b"\xff" * len(data)


class SimSpiBus:
    """An SPI controller with chips on its selects. Implements drivers.bus.protocol.SpiBus.

    A select without a chip, or clocked in a mode or at a speed its chip does not understand, reads as ones.
    A transfer before ``configure`` raises PROTOCOL. Faults that change bytes change the answer.
    """

    def __init__(self, name: str, rng: np.random.Generator | None = None) -> None:
        """A controller with free selects; ``rng`` is needed only for faults left to chance."""
        self.name = name
        self._faults = FaultSet(name, _KINDS, rng)
        self._active = self._faults.active
        self._chips: dict[int, SpiChip] = {}
        self._settings: dict[int, tuple[int, int]] = {}
        self._answer: dict[int, Callable[[bytes], bytes]] = {}
        self._previous: dict[int, bytes] = {}

    def attach(self, select: int, chip: SpiChip) -> None:
        """Put a chip on a select. Raises ValueError when one is there already."""
        if select in self._chips:
            raise ValueError(f"{self.name}: select {select} is already taken")
        self._chips[select] = chip
        self._connect(select)

    def inject(self, fault: Fault) -> ActiveFault:
        """Start a fault and return its handle. Raises ValueError for a kind that has no meaning on SPI."""
        return self._faults.inject(fault)

    def clear(self, handle: ActiveFault | None = None) -> None:
        """End one fault, or all of this bus."""
        self._faults.clear(handle)

    def configure(self, select: int, mode: int, max_hz: int) -> None:
        """See drivers.bus.protocol.SpiBus. Raises PROTOCOL for a mode or clock that no controller has."""
        if mode not in (0, 1, 2, 3) or max_hz <= 0:
            raise DeviceError(self.name, select, Cause.PROTOCOL, f"mode {mode} at {max_hz} Hz")
        self._settings[select] = (mode, max_hz)
        self._connect(select)

    def transfer(self, select: int, data: bytes) -> bytes:
        """See drivers.bus.protocol.SpiBus."""
        answer = self._answer.get(select)
        if answer is None:
            raise DeviceError(self.name, select, Cause.PROTOCOL, "transfer before configure")
        if self._active:
            return self._faulty(select, data, answer)
        return answer(data)

    def _connect(self, select: int) -> None:
        settings = self._settings.get(select)
        if settings is None:
            return
        chip = self._chips.get(select)
        understood = chip is not None and settings[0] in chip.spi_modes and settings[1] <= chip.max_hz
        self._answer[select] = chip.transfer if chip is not None and understood else _nobody

    def _faulty(self, select: int, data: bytes, answer: Callable[[bytes], bytes]) -> bytes:
        hits = self._faults.struck(select)
        self._faults.refuse(hits, select)
        # A chip with pipelined frames answers the frame before; a long transfer carries its own question.
        question = data if len(data) > _PIPELINED else self._previous.get(select, b"") + data
        self._previous[select] = data
        return self._faults.corrupt(hits, answer(data), (select, question))
