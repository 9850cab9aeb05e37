"""What every driver shares: one bus transaction a resume, whole answers, errors that say where, proofs that are named.

A polled driver module has ``Settings`` (a frozen msgspec struct for the board description's ``settings``) and
``Device(bus, address, settings)`` with two generators. Each resume performs exactly one bus transaction, so that a
slow bus can be served in slots between two fast ticks; the sample is the generator's return value.

``acquire`` returns ``None`` when the chip is well but its first conversion since ``initialise`` hasn't ended: there
is nothing to say yet, and nothing failed. That lasts for at most ``FIRST_CONVERSION_POLLS`` calls; then it is STALE.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator
from dataclasses import dataclass
from enum import Enum, unique
from typing import NamedTuple, Protocol, TypeVar

from drivers.bus.protocol import CanFrame, I2cBus
from drivers.errors import Cause, DeviceError

__all__ = [
    "FIRST_CONVERSION_POLLS", "NOWHERE", "Access", "Codec", "ConfiguredDevice", "FrameDevice", "Oracle", "OracleKind",
    "Place", "PolledDevice", "Register", "RegisterDevice", "Setting", "StreamDevice", "whole",
]

T_co = TypeVar("T_co", covariant=True)

FIRST_CONVERSION_POLLS = 8
"""How many samples in a row may be "not yet" after a configuration."""


@unique
class OracleKind(Enum):
    """What a driver was held against. All but FORMULA and NOTHING are independent of this project."""

    QEMU = "QEMU chip model"
    LINUX = "Linux driver run"
    DATASHEET = "datasheet example"
    CAPTURE = "capture of a real part"
    PROTOCOL = "example of the protocol's document"
    PEER = "third-party implementation"
    FORMULA = "formula only"
    NOTHING = "nothing independent"


class Oracle(NamedTuple):
    """One proof of a driver: its kind, and in one clause what was compared."""

    kind: OracleKind
    what: str


class Codec(NamedTuple):
    """One pure function from bytes of a part to a value; it raises DeviceError and nothing else.

    ``length`` is the whole answer's number of bytes, ``None`` where it varies.
    """

    name: str
    decode: Callable[[bytes], object]
    length: int | None


@unique
class Access(Enum):
    """What the bench may do with a register."""

    READ = "r"
    WRITE = "rw"
    CLEARS = "rc"
    """Reading changes it: shown by name only, never by a dump."""


class Register(NamedTuple):
    """One register of a part as the bench shows it: pointer, bytes, access."""

    name: str
    pointer: int
    length: int
    access: Access = Access.READ


class Setting(NamedTuple):
    """One configuration register: what is written, and which of its bits must read back so (``None``: all)."""

    name: str
    pointer: int
    value: bytes
    mask: bytes | None = None

    def holds(self, data: bytes) -> bool:
        """Whether ``data`` has the written bits."""
        if self.mask is None:
            return data == self.value
        return all(not (d ^ v) & m for d, v, m in zip(data, self.value, self.mask, strict=True))


class PolledDevice(Protocol[T_co]):
    """A driver whose sequences yield after every bus transaction but the last."""

    def identify(self) -> Generator[None, None, str]:
        """What answers, without changing it: part and revision for people. Raises DeviceError, WRONG_ID above all."""

    def initialise(self) -> Generator[None, None, None]:
        """Identity check, then configuration with read-back. Raises DeviceError."""

    def acquire(self) -> Generator[None, None, T_co | None]:
        """One coherent sample, or ``None`` before the first conversion. Raises DeviceError."""


class StreamDevice(Protocol[T_co]):
    """A driver of a part that speaks by itself on a serial port."""

    def initialise(self) -> Generator[None, None, None]:
        """Whatever makes the part speak; forgets a frame half received."""

    def poll(self, now_ns: int) -> T_co | None:
        """Newest whole sample since the last call, or ``None``. Never blocks; raises only what the port raises."""


class FrameDevice(Protocol[T_co]):
    """A driver of a part that speaks by itself on a CAN bus which others share."""

    @property
    def can_ids(self) -> Collection[int]:
        """11-bit ids of the frames it wants."""

    def take(self, frame: CanFrame, now_ns: int) -> T_co | None:
        """Hear one of those frames; a sample when one is whole. Raises DeviceError for a frame that is refused."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where an answer came from, so that a codec that knows no bus can still name it in an error."""

    bus: str
    address: int | None

    def error(self, cause: Cause, detail: str) -> DeviceError:
        """The error to raise for an answer from here."""
        return DeviceError(self.bus, self.address, cause, detail)


NOWHERE = Place("", None)
"""Place of bytes that came from no bus (tests, log replay)."""


def whole(data: bytes, count: int, place: Place) -> bytes:
    """``data`` if it is exactly ``count`` bytes; SHORT_READ otherwise."""
    if len(data) != count:
        raise place.error(Cause.SHORT_READ, f"{len(data)} bytes instead of {count}")
    return data


class RegisterDevice:
    """An I2C part with an 8-bit register pointer. Every method that names a register is one bus transaction.

    Args:
        bus: the segment, or a multiplexer's channel.
        address: 7-bit address.
    """

    def __init__(self, bus: I2cBus, address: int) -> None:
        self.place = Place(bus.name, address)
        self._bus = bus
        self._address = address
        self._awaiting = False
        self._polls = 0

    def read_register(self, register: Register) -> bytes:
        """Bytes of one register, as they are: one transaction, for the bench."""
        return self._read(register.pointer, register.length)

    def write_register(self, register: Register, data: bytes) -> None:
        """Write one register: one transaction, for the bench. Raises PROTOCOL for another length or a read-only one."""
        if register.access is not Access.WRITE or len(data) != register.length:
            raise self.place.error(Cause.PROTOCOL, f"{register.name} takes no {len(data)} bytes")
        self._write(register.pointer, data)

    def _read(self, register: int, count: int) -> bytes:
        data = self._bus.write_read(self._address, bytes((register,)), count)
        return whole(data, count, self.place)

    def _write(self, register: int, data: bytes) -> None:
        self._bus.write(self._address, bytes((register,)) + data)

    def _fetch(self, register: int, count: int) -> Generator[None, None, bytes]:
        """Read in a sequence: one transaction, more where a part's protocol lets a spoilt read be repeated."""
        yield from ()
        return self._read(register, count)

    def _expect(self, register: int, expected: bytes, cause: Cause, what: str) -> None:
        data = self._read(register, len(expected))
        if data != expected:
            raise self.place.error(cause, f"{what} is {data.hex()}h instead of {expected.hex()}h")

    def _write_verified(self, register: int, data: bytes, what: str) -> Generator[None, None, None]:
        """Write, then read back: two transactions."""
        self._write(register, data)
        yield
        self._expect(register, data, Cause.IMPLAUSIBLE, what)

    def _await_first_conversion(self) -> None:
        """Start waiting: what the result registers hold was not converted under this configuration."""
        self._awaiting = True
        self._polls = 0

    def _not_converted(self) -> None:
        """Count one more "not yet"; STALE_COUNTER once that can't be the first conversion any more."""
        self._polls += 1
        if self._polls > FIRST_CONVERSION_POLLS:
            raise self.place.error(Cause.STALE_COUNTER, "no conversion has ended since the configuration")


class ConfiguredDevice(RegisterDevice):
    """A part whose configuration is a table, written with read-back and looked at again for as long as it runs.

    A chip that lost its supply for a moment comes back with reset values and goes on answering; an upset bit changes
    what its answers mean. Both show in the configuration registers, which ``_scrub`` reads in turn.

    Args:
        bus: the segment, or a multiplexer's channel.
        address: 7-bit address.
        scrub_every: samples between two looks, one register each; 0 for never.
    """

    def __init__(self, bus: I2cBus, address: int, scrub_every: int) -> None:
        super().__init__(bus, address)
        self._settings: tuple[Setting, ...] = ()
        self._scrub_every = scrub_every
        self._since_scrub = 0
        self._scrub_turn = 0
        self._lost: Setting | None = None

    def _configure(self, settings: tuple[Setting, ...]) -> Generator[None, None, None]:
        """Write a table in order, each with read-back: two transactions a register. Raises IMPLAUSIBLE."""
        self._settings = settings
        for index, setting in enumerate(settings):
            if index:
                yield
            yield from self._put(setting)
        self._lost = None
        self._since_scrub = self._scrub_turn = 0

    def _order(self, setting: Setting) -> Generator[None, None, None]:
        """Write one register anew, with read-back: two transactions. Raises IMPLAUSIBLE.

        From the first one on this is what must hold there, in the place of what the table had for the register.
        """
        if any(s.pointer == setting.pointer for s in self._settings):
            self._settings = tuple(setting if s.pointer == setting.pointer else s for s in self._settings)
        else:
            self._settings = (*self._settings, setting)
        yield from self._put(setting)
        if self._lost is not None and self._lost.pointer == setting.pointer:
            self._lost = None

    def _put(self, setting: Setting) -> Generator[None, None, None]:
        """Write one register and read it back. Raises IMPLAUSIBLE."""
        self._write(setting.pointer, setting.value)
        yield
        self._confirm(setting, (yield from self._fetch(setting.pointer, len(setting.value))))

    def _confirm(self, setting: Setting, data: bytes) -> None:
        """Refuse a register that doesn't read as it was just written: IMPLAUSIBLE."""
        if not setting.holds(data):
            why = f"{setting.name} reads {data.hex()}h after {setting.value.hex()}h was written"
            raise self.place.error(Cause.IMPLAUSIBLE, why)

    def _scrub_due(self) -> bool:
        """Count one sample; whether this one is to look at a register."""
        if self._lost is not None:
            return True
        self._since_scrub += 1
        if not self._settings or not self._scrub_every or self._since_scrub < self._scrub_every:
            return False
        self._since_scrub = 0
        return True

    def _scrub(self) -> None:
        """Look at one configuration register: one transaction. Raises RESET, and again until ``initialise`` has run.

        A register once found wrong is the one that is looked at, so a reading spoilt on the bus clears itself.
        """
        setting = self._lost or self._settings[self._scrub_turn]
        if self._lost is None:
            self._scrub_turn = (self._scrub_turn + 1) % len(self._settings)
        self._lost = setting
        data = self._read(setting.pointer, len(setting.value))
        if not setting.holds(data):
            why = f"configuration was lost: {setting.name} is {data.hex()}h instead of {setting.value.hex()}h"
            raise self.place.error(Cause.RESET, why)
        self._lost = None
