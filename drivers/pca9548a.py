"""NXP/TI PCA9548A, I2C switch: at most one of eight channels is through, and whoever needs another selects it first.

The chip has one control register without a pointer: bit n connects channel n after the STOP; all channels are off
after power-up (TI SCPS143G, sections 8.4.2 and 8.6.2). It has no identity; what distinguishes it is that a longer read
gives the same byte again. A transfer that fails behind a channel makes
the selection unknown again, so a switch that lost its supply is set anew before the next transfer.
"""

from __future__ import annotations

from collections.abc import Generator

from msgspec import Struct

from drivers.bus.protocol import I2cBus
from drivers.device import NOWHERE, Codec, Oracle, OracleKind, Place, Register, whole
from drivers.errors import Cause, DeviceError

__all__ = ["CHANNELS", "CODECS", "ORACLES", "REGISTERS", "Device", "Mux", "MuxChannel", "Settings", "control"]

ORACLES = (Oracle(OracleKind.QEMU, "the pca9548 model: selection, a deselected chip's silence, the control register"),)

REGISTERS: tuple[Register, ...] = ()
"""One control register without a pointer: ``Device.acquire`` reads it."""

CHANNELS = 8
_MASKS = tuple(bytes((1 << channel,)) for channel in range(CHANNELS))
_NONE = b"\x00"


def control(data: bytes, place: Place = NOWHERE) -> int:
    """Mask of the channels that are through, from the byte or bytes of one read.

    Raises:
        DeviceError: SHORT_READ for no byte; WRONG_ID for bytes that differ: the part repeats its one register.
    """
    if not data:
        whole(data, 1, place)
    if data.count(data[0]) != len(data):
        raise place.error(Cause.WRONG_ID, f"a control register does not change within a read: {data.hex()}h")
    return data[0]


CODECS = (Codec("control", control, None),)


class Settings(Struct, frozen=True, forbid_unknown_fields=True):
    """The switch has nothing to set."""


class Mux:
    """The switch: which channel is through, as far as is known.

    Args:
        bus: the segment on which the switch sits.
        address: 0x70..0x77.
    """

    __slots__ = ("_control", "address", "bus")

    def __init__(self, bus: I2cBus, address: int) -> None:
        self.bus = bus
        self.address = address
        self._control: bytes | None = None

    @property
    def control(self) -> int | None:
        """What was last written to the control register; ``None`` while it isn't known."""
        return None if self._control is None else self._control[0]

    def channel(self, number: int) -> MuxChannel:
        """The bus behind channel 0..7. Raises ValueError for another number."""
        if not 0 <= number < CHANNELS:
            raise ValueError(f"a PCA9548A has channels 0..7, not {number}")
        return MuxChannel(self, number)

    def deselect(self) -> None:
        """Switch all channels off; one transaction."""
        self._set(_NONE)

    def forget(self) -> None:
        """Treat the selection as unknown: the next transfer selects anew."""
        self._control = None

    def _set(self, control: bytes) -> None:
        self._control = None  # if the write fails, nobody knows
        self.bus.write(self.address, control)
        self._control = control


class MuxChannel:
    """One downstream segment; an I2cBus. Its errors carry its own name, ``<bus>.<switch>.<channel>``.

    A transfer selects the channel first if it must, which makes two transactions; a caller that may spend only one
    asks ``selected`` and calls ``select`` in a slot of its own.
    """

    __slots__ = ("_mask", "_mux", "name")

    def __init__(self, mux: Mux, number: int) -> None:
        self._mux = mux
        self._mask = _MASKS[number]
        self.name = f"{mux.bus.name}.{mux.address:02x}.{number}"

    @property
    def selected(self) -> bool:
        """Whether transfers reach this channel without switching."""
        return self._mux._control == self._mask

    def select(self) -> None:
        """Switch this channel through and all others off; one transaction. Raises DeviceError of the switch."""
        self._mux._set(self._mask)

    def write(self, address: int, data: bytes) -> None:
        """See I2cBus."""
        if not self.selected:
            self.select()
        try:
            self._mux.bus.write(address, data)
        except DeviceError as error:
            raise self._through(error) from None

    def read(self, address: int, count: int) -> bytes:
        """See I2cBus."""
        if not self.selected:
            self.select()
        try:
            return self._mux.bus.read(address, count)
        except DeviceError as error:
            raise self._through(error) from None

    def write_read(self, address: int, data: bytes, count: int) -> bytes:
        """See I2cBus."""
        if not self.selected:
            self.select()
        try:
            return self._mux.bus.write_read(address, data, count)
        except DeviceError as error:
            raise self._through(error) from None

    def _through(self, error: DeviceError) -> DeviceError:
        self._mux.forget()
        return DeviceError(self.name, error.address, error.cause, error.detail)


class Device:
    """The switch as a device of the board: switched off and read back at start.

    Args:
        bus: the segment on which the switch sits.
        address: 0x70..0x77.
        settings: nothing to set.
        mux: the switch whose channels are in use, so that both agree on what is through; a new one if not given.
    """

    __slots__ = ("mux", "place", "settings")

    def __init__(self, bus: I2cBus, address: int, settings: Settings, mux: Mux | None = None) -> None:
        self.settings = settings
        self.mux = mux if mux is not None else Mux(bus, address)
        self.place = Place(bus.name, address)

    def channel(self, number: int) -> MuxChannel:
        """The bus behind channel 0..7."""
        return self.mux.channel(number)

    def identify(self) -> Generator[None, None, str]:
        """The part has no identity: a read of two bytes gives the same one twice, 1 transaction. Raises WRONG_ID."""
        yield from ()
        held = control(whole(self.mux.bus.read(self.mux.address, 2), 2, self.place), self.place)
        return f"PCA9548A by its repeated control register {held:02x}h (it has no identity)"

    def initialise(self) -> Generator[None, None, None]:
        """All channels off, then read back. Two transactions. Raises WRONG_ID if something else answers."""
        self.mux.deselect()
        yield
        held = self._control()
        if held != 0:
            raise self.place.error(Cause.WRONG_ID, f"control register is {held:02x}h with all channels off")

    def acquire(self) -> Generator[None, None, int]:
        """Control register as the chip holds it. One transaction. Raises RESET if it isn't what was written."""
        yield from ()
        held = self._control()
        expected = self.mux.control
        if expected is not None and held != expected:
            self.mux.forget()
            raise self.place.error(Cause.RESET, f"control register is {held:02x}h instead of {expected:02x}h")
        return held

    def _control(self) -> int:
        return control(whole(self.mux.bus.read(self.mux.address, 1), 1, self.place), self.place)
