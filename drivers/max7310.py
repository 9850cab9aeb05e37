"""Maxim MAX7310, eight input and output pins: levels as the pins have them, outputs that were read back or refused.

Registers: Maxim 19-2698 (MAX7310), tables 2 to 7, one byte each, no auto-increment: 00h input, 01h output (00h after
reset), 02h polarity (1 inverts an input; F0h after reset), 03h configuration (1 is an input; FFh after reset), 04h bus
time-out (bit 0; 01h after reset, so that a bus held low for 30 ms frees itself).

A sample is the input register and, every ``scrub_every``-th time, one register of the configuration. Whoever restarts
has all pins as inputs, so lost outputs are found (RESET); ``initialise`` then drives the levels of the settings again,
which are to be the safe ones, and never those of an order from before. ``outputs`` in a sample are the levels last
written and read back. The part has no identity: its time-out register has one bit, and here it is set. Inputs that are
all low or all high look like a dead data line and are believed once that register was read beside them.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Annotated

from msgspec import Meta, Struct

from drivers.bus.protocol import I2cBus
from drivers.device import (
    NOWHERE,
    Access,
    Codec,
    ConfiguredDevice,
    Oracle,
    OracleKind,
    Place,
    Register,
    Setting,
    whole,
)
from drivers.errors import Cause
from drivers.samples import DiscreteSample

__all__ = ["CODECS", "ORACLES", "PINS", "REGISTERS", "Device", "Settings", "levels"]

ORACLES = (Oracle(OracleKind.QEMU, "the max7310 model: inputs with polarity, outputs with direction, reset values"),)

PINS = 8
INPUT = 0x00
OUTPUT = 0x01
POLARITY = 0x02
CONFIGURATION = 0x03
TIMEOUT = 0x04
TIMEOUT_ON = b"\x01"
TIMEOUT_OFF = b"\x00"
ALL_INPUTS = b"\xff"

REGISTERS = (
    Register("INPUT", INPUT, 1), Register("OUTPUT", OUTPUT, 1, Access.WRITE),
    Register("POLARITY", POLARITY, 1, Access.WRITE), Register("CONFIGURATION", CONFIGURATION, 1, Access.WRITE),
    Register("TIMEOUT", TIMEOUT, 1, Access.WRITE),
)

_TIMEOUT = Setting("time-out", TIMEOUT, TIMEOUT_ON)
_DEAD = (b"\x00", b"\xff")

Mask = Annotated[int, Meta(ge=0, le=0xFF)]


class Settings(Struct, frozen=True, forbid_unknown_fields=True):
    """Masks, pin n is bit n: ``outputs`` that are driven, their safe ``levels``, ``inverted`` inputs.

    ``scrub_every``: samples between two looks at the configuration; 0 for never.
    """

    outputs: Mask = 0x00
    levels: Mask = 0x00
    inverted: Mask = 0x00
    scrub_every: Annotated[int, Meta(ge=0, le=10_000)] = 2

    def __post_init__(self) -> None:
        """Refuse a level for a pin that isn't driven, and an inversion of one that is."""
        if self.levels & ~self.outputs:
            raise ValueError("levels names a pin that is not in outputs")
        if self.inverted & self.outputs:
            raise ValueError("inverted names a pin that is in outputs: the polarity of an output cannot be changed")


def levels(data: bytes, place: Place = NOWHERE) -> tuple[bool, ...]:
    """Eight levels, lowest pin first, from one register. Raises SHORT_READ; every byte has a meaning."""
    byte = whole(data, 1, place)[0]
    return tuple(bool(byte >> pin & 1) for pin in range(PINS))


CODECS = (Codec("INPUT or OUTPUT", levels, 1),)


class Device(ConfiguredDevice):
    """One MAX7310."""

    def __init__(self, bus: I2cBus, address: int, settings: Settings) -> None:
        super().__init__(bus, address, settings.scrub_every)
        self.settings = settings
        self._direction = bytes((0xFF & ~settings.outputs,))
        self._driven = settings.levels
        self._outputs = self._as_sample()

    def identify(self) -> Generator[None, None, str]:
        """The part has no identity: its time-out register as it is after reset, 1 transaction. Raises WRONG_ID."""
        yield from ()
        self._expect(TIMEOUT, TIMEOUT_ON, Cause.WRONG_ID, "time-out register")
        return "Maxim MAX7310 by its time-out register (it has no identity)"

    def initialise(self) -> Generator[None, None, None]:
        """Probe, safe levels, polarity, direction and time-out with read-back: 10 transactions.

        The bit of the time-out register may have been upset. Then the part is known by its direction register, which
        no line held low and no other part shows: 1 transaction more.
        """
        data = self._read(TIMEOUT, 1)
        if data == TIMEOUT_OFF:
            yield
            direction = self._read(CONFIGURATION, 1)
            if direction not in (self._direction, ALL_INPUTS) or direction == TIMEOUT_OFF:
                raise self.place.error(Cause.WRONG_ID, f"time-out register 00h, direction {direction.hex()}h")
        elif data != TIMEOUT_ON:
            raise self.place.error(Cause.WRONG_ID, f"time-out register is {data.hex()}h")
        yield
        self._driven = self.settings.levels
        # Before the direction, so that no pin shows another level for a moment; after it, because it counts then.
        self._write(OUTPUT, bytes((self._driven,)))
        yield
        yield from self._configure(self._table())
        self._outputs = self._as_sample()

    def acquire(self) -> Generator[None, None, DiscreteSample]:
        """Levels of all pins: 1 to 3 transactions. Raises RESET."""
        if self._lost is not None:
            self._scrub()
            yield
        data = self._read(INPUT, 1)
        if data in _DEAD:
            yield
            self._lost = _TIMEOUT
            self._scrub()
        if self._scrub_due():
            yield
            self._scrub()
        return DiscreteSample(levels(data, self.place), self._outputs)

    def drive(self, mask: int, pins: int) -> Generator[None, None, None]:
        """Set the outputs in ``mask`` to their levels in ``pins``; written once, then proven: 3 transactions.

        Raises:
            DeviceError: PROTOCOL for a pin that is no output, before anything is sent; IMPLAUSIBLE if the levels do
                not read back; RESET if the pins are not driven. After an error the next sample looks at the output
                register: the old levels hold, or it raises RESET and ``initialise`` drives the safe ones.
        """
        if mask & ~self.settings.outputs or pins & ~0xFF:
            outputs = self.settings.outputs
            raise self.place.error(Cause.PROTOCOL, f"pins {pins:02x}h of {mask:02x}h are not all of {outputs:02x}h")
        if self._lost is not None:
            self._scrub()
            yield
        self._lost = self._output()
        expected = self._output(self._driven & ~mask | pins & mask)
        self._write(OUTPUT, expected.value)
        yield
        data = self._read(OUTPUT, 1)
        if not expected.holds(data):
            why = f"output reads {data.hex()}h after {expected.value.hex()}h was written"
            raise self.place.error(Cause.IMPLAUSIBLE, why)
        yield
        self._expect(CONFIGURATION, self._direction, Cause.RESET, "configuration was lost: it")
        self._driven = expected.value[0]
        self._outputs = self._as_sample()
        self._settings = self._table()
        self._lost = None

    def _output(self, driven: int | None = None) -> Setting:
        """The output register as it is driven, or is to be; the bits of inputs drive nothing and aren't compared."""
        value = self._driven if driven is None else driven
        return Setting("output", OUTPUT, bytes((value,)), bytes((self.settings.outputs,)))

    def _table(self) -> tuple[Setting, ...]:
        settings = self.settings
        return (
            Setting("configuration", CONFIGURATION, self._direction), self._output(),
            Setting("polarity", POLARITY, bytes((settings.inverted,))),
            _TIMEOUT,
        )

    def _as_sample(self) -> tuple[bool | None, ...]:
        return tuple(
            bool(self._driven >> pin & 1) if self.settings.outputs >> pin & 1 else None for pin in range(PINS)
        )
