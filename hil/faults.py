"""Describes bus faults and decides, the same way in every run, which transfer each of them hits.

A fault lives at the seam between flight software and chips: the bus twin asks its :class:`FaultSet` about every
transfer, so neither drivers nor chips know. One type serves I2C, SPI, serial, CAN and GPIO twins; a twin refuses the
kinds that have no meaning on it. Chance comes only from the generator that is handed in.
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass
from enum import Enum, unique

import numpy as np

from drivers.errors import Cause, DeviceError

__all__ = ["ActiveFault", "Fault", "FaultKind", "FaultSet", "Recovery"]


@unique
class FaultKind(Enum):
    """What goes wrong. The value is the word used in scenarios."""

    NACK_ADDRESS = "nack_address"
    NACK_DATA = "nack_data"
    TIMEOUT = "timeout"
    STUCK_BUS = "stuck_bus"
    ARBITRATION = "arbitration"
    SHORT_READ = "short_read"
    BIT_FLIP = "bit_flip"
    SILENCE = "silence"
    FROZEN = "frozen"
    ALL_ONES = "all_ones"
    ALL_ZEROS = "all_zeros"
    BUS_OFF = "bus_off"
    ABSENT = "absent"


@unique
class Recovery(Enum):
    """What flight software can do to a bus, from the mildest on."""

    CLEAR = "clear"
    REOPEN = "reopen"
    POWER = "power"


_STRENGTH = {recovery: strength for strength, recovery in enumerate(Recovery)}

RAISES: dict[FaultKind, Cause] = {
    FaultKind.NACK_ADDRESS: Cause.NACK_ADDRESS,
    FaultKind.NACK_DATA: Cause.NACK_DATA,
    FaultKind.TIMEOUT: Cause.TIMEOUT,
    FaultKind.STUCK_BUS: Cause.STUCK_BUS,
    FaultKind.ARBITRATION: Cause.ARBITRATION,
    FaultKind.SHORT_READ: Cause.SHORT_READ,
    FaultKind.BUS_OFF: Cause.BUS_OFF,
    FaultKind.ABSENT: Cause.ABSENT,
}
"""Kinds that end a transfer with an error, and its cause. All others change bytes or drop them."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong on one bus.

    Attributes:
        kind: what happens.
        address: I2C address, SPI select or CAN node id it is limited to; ``None`` hits the whole bus.
        channel: channel of an I2C switch it is limited to; ``None`` hits every place.
        line: GPIO line it is limited to; ``None`` hits all.
        probability: share of the matching transfers that are hit, 0..1.
        byte: which byte of the transfer BIT_FLIP changes, counted from 0; ``None`` draws one.
        bit: which bit of that byte, 0 the least significant; ``None`` draws one.
        count: how many transfers are hit before the fault clears itself; ``None`` for no end.
        until: which recovery of the flight software ends it: CLEAR (nine clocks), REOPEN (of the adapter) or POWER (of
            the rail); a later rung ends what an earlier one would. ``None`` if none of them does.
    """

    kind: FaultKind
    address: int | None = None
    channel: int | None = None
    line: str | None = None
    probability: float = 1.0
    byte: int | None = None
    bit: int | None = None
    count: int | None = None
    until: Recovery | None = None

    def __post_init__(self) -> None:
        if not 0.0 <= self.probability <= 1.0:
            raise ValueError(f"probability is {self.probability}; 0..1 is allowed")
        if self.byte is not None and self.byte < 0:
            raise ValueError(f"byte is {self.byte}; it counts from 0")
        if self.bit is not None and not 0 <= self.bit <= 7:
            raise ValueError(f"bit is {self.bit}; 0..7 is allowed")
        if self.count is not None and self.count < 1:
            raise ValueError(f"count is {self.count}; at least 1 is needed")

    @property
    def needs_chance(self) -> bool:
        """Whether a generator is needed to apply it."""
        certain = self.probability in (0.0, 1.0)
        return not certain or (self.kind is FaultKind.BIT_FLIP and (self.byte is None or self.bit is None))


class ActiveFault:
    """A fault at work: the handle that ``inject`` returns and ``clear`` takes.

    ``hits`` counts the transfers it changed. ``memory`` is what a FROZEN fault repeats, by request.
    """

    __slots__ = ("fault", "hits", "memory")

    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        self.hits = 0
        self.memory: dict[tuple[object, ...], bytes] = {}


class FaultSet:
    """Faults at work on one bus, oldest first.

    A bus twin keeps :attr:`active` at hand and asks nothing more while that list is empty.
    """

    __slots__ = ("_bus", "_kinds", "_recovers", "_rng", "active")

    def __init__(
        self, bus: str, kinds: Container[FaultKind], rng: np.random.Generator | None, *, recovers: bool = False
    ) -> None:
        """Faults of ``bus``, which knows ``kinds``.

        ``rng`` may be missing as long as nothing is left to chance; ``recovers`` if the twin calls :meth:`recover`.
        """
        self._bus = bus
        self._kinds = kinds
        self._rng = rng
        self._recovers = recovers
        self.active: list[ActiveFault] = []

    def inject(self, fault: Fault) -> ActiveFault:
        """Start a fault.

        Raises:
            ValueError: a kind this bus cannot show, chance without a generator, a recovery that this bus has not.
        """
        if fault.kind not in self._kinds:
            raise ValueError(f"{self._bus}: {fault.kind.value} has no meaning on this kind of bus")
        if fault.needs_chance and self._rng is None:
            raise ValueError(f"{self._bus}: {fault.kind.value} left to chance, but the bus was given no generator")
        if fault.until is not None and not self._recovers:
            raise ValueError(f"{self._bus}: until has no meaning here; only an I2C bus has a recovery")
        handle = ActiveFault(fault)
        self.active.append(handle)
        return handle

    def clear(self, handle: ActiveFault | None = None) -> None:
        """End one fault, or all with ``None``. Clearing a fault that has ended by itself does nothing."""
        if handle is None:
            self.active.clear()
        elif handle in self.active:
            self.active.remove(handle)

    def recover(self, recovery: Recovery) -> None:
        """End the faults that this recovery ends."""
        for handle in tuple(self.active):
            until = handle.fault.until
            if until is not None and _STRENGTH[until] <= _STRENGTH[recovery]:
                self.active.remove(handle)

    def strike(self, handle: ActiveFault) -> bool:
        """Draw whether a matching transfer is hit, and count the hit. Ends a fault whose count is used up."""
        fault = handle.fault
        if fault.probability < 1.0 and (self._rng is None or float(self._rng.random()) >= fault.probability):
            return False
        handle.hits += 1
        if fault.count is not None and handle.hits >= fault.count:
            self.active.remove(handle)
        return True

    def struck(self, address: int | None = None, channel: int | None = None) -> list[ActiveFault]:
        """Faults that hit this transfer, oldest first."""
        return [
            handle
            for handle in tuple(self.active)
            if (handle.fault.address is None or handle.fault.address == address)
            and (handle.fault.channel is None or handle.fault.channel == channel)
            and self.strike(handle)
        ]

    def refuse(self, hits: list[ActiveFault], address: int | None) -> None:
        """Raise DeviceError for the first hit that ends a transfer."""
        for handle in hits:
            cause = RAISES.get(handle.fault.kind)
            if cause is not None:
                raise DeviceError(self._bus, address, cause, "injected")

    def corrupt(self, hits: list[ActiveFault], data: bytes, request: tuple[object, ...]) -> bytes:
        """Bytes as they arrive after the faults that change them; as many as were sent.

        ``request`` tells one answer from another for FROZEN, which keeps the first answer it sees to each.
        """
        for handle in hits:
            kind = handle.fault.kind
            if kind is FaultKind.ALL_ONES:
                data = b"\xff" * len(data)
            elif kind is FaultKind.ALL_ZEROS:
                data = bytes(len(data))
            elif kind is FaultKind.FROZEN:
                data = handle.memory.setdefault(request, data)
            elif kind is FaultKind.BIT_FLIP and data:
                data = self._flip(handle.fault, data)
        return data

    def _flip(self, fault: Fault, data: bytes) -> bytes:
        byte, bit = fault.byte, fault.bit
        if self._rng is not None:
            if byte is None:
                byte = int(self._rng.integers(len(data)))
            if bit is None:
                bit = int(self._rng.integers(8))
        if byte is None or bit is None or byte >= len(data):
            return data
        flipped = bytearray(data)
        flipped[byte] ^= 1 << bit
        return bytes(flipped)
