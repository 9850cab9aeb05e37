"""Twin of an I2C segment: carries bytes to chips by address, through switches, and never hides an address conflict."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np

from drivers.errors import Cause, DeviceError
from hil.faults import ActiveFault, Fault, FaultKind, FaultSet, Recovery

__all__ = ["I2cChip", "I2cSwitch", "SimI2cBus"]

_KINDS = frozenset({
    FaultKind.NACK_ADDRESS, FaultKind.NACK_DATA, FaultKind.TIMEOUT, FaultKind.STUCK_BUS, FaultKind.ARBITRATION,
    FaultKind.SHORT_READ, FaultKind.BIT_FLIP, FaultKind.FROZEN, FaultKind.ALL_ONES, FaultKind.ALL_ZEROS,
})
_READ_ONLY_KINDS = frozenset({FaultKind.SHORT_READ})


class I2cChip(Protocol):
    """A chip on the wire. It acknowledges its address whenever it is powered."""

    def write(self, data: bytes) -> bool:
        """Bytes after address+W, up to STOP or repeated START. False when one of them is not acknowledged."""

    def read(self, count: int) -> bytes:
        """The next ``count`` bytes after address+R. Always that many: an idle line reads as ones."""


@runtime_checkable
class I2cSwitch(Protocol):
    """A chip that also joins further segments to the bus, such as the PCA9548A."""

    segments: tuple[dict[int, I2cChip], ...]
    enabled: int
    """Mask of the joined segments."""

    def on_routing(self, changed: Callable[[], None]) -> None:
        """Call ``changed`` whenever ``enabled`` or ``segments`` change."""

    def write(self, data: bytes) -> bool:
        """As :class:`I2cChip`."""

    def read(self, count: int) -> bytes:
        """As :class:`I2cChip`."""


class _Place(NamedTuple):
    chip: I2cChip
    channel: int | None


class SimI2cBus:
    """An I2C bus with the chips that were attached to it. Implements drivers.bus.protocol.I2cBus.

    An address nobody has raises NACK_ADDRESS. Two chips that answer at once, which takes two open channels of a
    switch, raise ARBITRATION: on copper they would corrupt each other. BIT_FLIP changes the answer of a read and the
    bytes of a plain write; the other kinds that change bytes touch answers only. A fault limited to a ``channel`` of
    a switch hits only while that channel is open; STUCK_BUS there then takes the whole bus, as a held data line does.
    """

    def __init__(self, name: str, rng: np.random.Generator | None = None, *, clearable: bool = True) -> None:
        """An empty bus; ``rng`` is needed only for faults left to chance. ``clearable``: its lines can be clocked."""
        self.name = name
        self._clearable = clearable
        self._faults = FaultSet(name, _KINDS, rng, recovers=True)
        self._active = self._faults.active
        self._chips: dict[int, I2cChip] = {}
        self._switches: list[I2cSwitch] = []
        self._route: dict[int, _Place] = {}
        self._contended: frozenset[int] = frozenset()
        self._last_write: dict[int, bytes] = {}
        self._powered = True
        self.cleared = self.reopened = 0
        """How often flight software sent nine clocks, and opened the adapter anew."""

    def clear_bus(self) -> None:
        """Nine clocks and a STOP from the flight computer: ends the faults that this ends. PROTOCOL if it can't."""
        if not self._clearable:
            raise DeviceError(self.name, None, Cause.PROTOCOL, "the board names no lines to clock this bus by hand")
        self.cleared += 1
        self._faults.recover(Recovery.CLEAR)

    def reopen(self) -> None:
        """The flight computer opens its adapter anew: ends the faults that this ends."""
        self.reopened += 1
        self._faults.recover(Recovery.REOPEN)

    def set_power(self, powered: bool) -> None:
        """Take or give the supply of every chip on the bus. Without it nothing answers; with it all start anew."""
        if powered == self._powered:
            return
        self._powered = powered
        if powered:
            self._faults.recover(Recovery.POWER)
            chips = list(self._chips.values())
            for switch in self._switches:
                for segment in switch.segments:
                    chips += segment.values()
            for chip in chips:
                restart = getattr(chip, "reset", None)
                if restart is not None:
                    restart()
        self._reroute()

    def attach(self, address: int, chip: I2cChip) -> None:
        """Put a chip on the bus. Raises ValueError for a reserved or taken address, also one behind a switch."""
        if not 0x08 <= address <= 0x77:
            raise ValueError(f"{self.name}: 0x{address:02x} is reserved; 0x08..0x77 is allowed")
        taken = set(self._chips)
        for switch in self._switches:
            taken.update(*switch.segments)
        if address in taken:
            raise ValueError(f"{self.name}: 0x{address:02x} is already taken")
        if isinstance(chip, I2cSwitch):
            behind: set[int] = set().union(*chip.segments)
            if behind & (set(self._chips) | {address}):
                raise ValueError(f"{self.name}: a chip behind the switch has an address of the bus before it")
            self._switches.append(chip)
            chip.on_routing(self._reroute)
        self._chips[address] = chip
        self._reroute()

    def inject(self, fault: Fault) -> ActiveFault:
        """Start a fault and return its handle. Raises ValueError for a kind that has no meaning on I2C."""
        return self._faults.inject(fault)

    def clear(self, handle: ActiveFault | None = None) -> None:
        """End one fault, or all of this bus."""
        self._faults.clear(handle)

    def write(self, address: int, data: bytes) -> None:
        """See drivers.bus.protocol.I2cBus."""
        if self._active:
            self._faulty_write(address, data)
            return
        if not self._find(address).chip.write(data):
            raise DeviceError(self.name, address, Cause.NACK_DATA)

    def read(self, address: int, count: int) -> bytes:
        """See drivers.bus.protocol.I2cBus."""
        if self._active:
            return self._faulty_read(address, None, count)
        return self._find(address).chip.read(count)

    def write_read(self, address: int, data: bytes, count: int) -> bytes:
        """See drivers.bus.protocol.I2cBus."""
        if self._active:
            return self._faulty_read(address, data, count)
        chip = self._find(address).chip
        if not chip.write(data):
            raise DeviceError(self.name, address, Cause.NACK_DATA)
        return chip.read(count)

    def _find(self, address: int) -> _Place:
        place = self._route.get(address)
        if place is None:
            if address in self._contended:
                raise DeviceError(self.name, address, Cause.ARBITRATION, "two open channels answer")
            raise DeviceError(self.name, address, Cause.NACK_ADDRESS)
        return place

    def _reroute(self) -> None:
        route = {address: _Place(chip, None) for address, chip in self._chips.items()}
        contended: set[int] = set()
        for switch in self._switches:
            for channel, segment in enumerate(switch.segments):
                for address, chip in segment.items():
                    if address in self._chips:
                        raise ValueError(f"{self.name}: 0x{address:02x} is on the bus and behind a switch")
                    if switch.enabled >> channel & 1:
                        if address in route:
                            contended.add(address)
                        route[address] = _Place(chip, channel)
        for address in contended:
            del route[address]
        self._route = route if self._powered else {}
        self._contended = frozenset(contended if self._powered else ())

    def _channel_open(self, channel: int) -> bool:
        return any(switch.enabled >> channel & 1 for switch in self._switches)

    def _hits(self, address: int, writing: bool) -> list[ActiveFault]:
        for handle in tuple(self._active):
            fault = handle.fault
            if (
                fault.kind is FaultKind.STUCK_BUS
                and (fault.channel is None or self._channel_open(fault.channel))
                and self._faults.strike(handle)
            ):
                raise DeviceError(self.name, address, Cause.STUCK_BUS, "injected")
        place = self._route.get(address)
        channel = place.channel if place is not None else None
        hits = []
        for handle in tuple(self._active):
            fault = handle.fault
            if fault.kind is FaultKind.STUCK_BUS or (writing and fault.kind in _READ_ONLY_KINDS):
                continue
            if (
                fault.address in (None, address)
                and fault.channel in (None, channel)
                and self._faults.strike(handle)
            ):
                hits.append(handle)
        return hits

    def _faulty_write(self, address: int, data: bytes) -> None:
        hits = self._hits(address, writing=True)
        place = self._find(address)
        self._faults.refuse(hits, address)
        self._last_write[address] = data[:1]
        flips = [handle for handle in hits if handle.fault.kind is FaultKind.BIT_FLIP]
        if not place.chip.write(self._faults.corrupt(flips, data, ())):
            raise DeviceError(self.name, address, Cause.NACK_DATA)

    def _faulty_read(self, address: int, data: bytes | None, count: int) -> bytes:
        hits = self._hits(address, writing=False)
        place = self._find(address)
        self._faults.refuse(hits, address)
        if data is None:
            pointer = self._last_write.get(address, b"")
        else:
            pointer = data
            self._last_write[address] = data[:1]
            if not place.chip.write(data):
                raise DeviceError(self.name, address, Cause.NACK_DATA)
        answer = place.chip.read(count)
        return self._faults.corrupt(hits, answer, (address, place.channel, pointer, count))
