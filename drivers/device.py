"""What every polled driver shares: one bus transaction a resume, whole answers, errors that say where.

A polled driver module has ``Settings`` (a frozen msgspec struct for the board description's ``settings``) and
``Device(bus, address, settings)`` with two generators. Each resume performs exactly one bus transaction, so that a
slow bus can be served in slots between two fast ticks; the sample is the generator's return value.

``acquire`` returns ``None`` when the chip is well but its first conversion since ``initialise`` hasn't ended: there
is nothing to say yet, and nothing failed. That lasts for at most ``FIRST_CONVERSION_POLLS`` calls; then it is STALE.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Protocol, TypeVar

from drivers.bus.protocol import I2cBus
from drivers.errors import Cause, DeviceError

__all__ = ["FIRST_CONVERSION_POLLS", "NOWHERE", "Place", "PolledDevice", "RegisterDevice", "whole"]

T_co = TypeVar("T_co", covariant=True)

FIRST_CONVERSION_POLLS = 8
"""How many samples in a row may be "not yet" after a configuration."""


class PolledDevice(Protocol[T_co]):
    """A driver whose sequences yield after every bus transaction but the last."""

    def initialise(self) -> Generator[None, None, None]:
        """Identity check, then configuration with read-back. Raises DeviceError."""

    def acquire(self) -> Generator[None, None, T_co | None]:
        """One coherent sample, or ``None`` before the first conversion. Raises DeviceError."""


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

    def _read(self, register: int, count: int) -> bytes:
        data = self._bus.write_read(self._address, bytes((register,)), count)
        return whole(data, count, self.place)

    def _write(self, register: int, data: bytes) -> None:
        self._bus.write(self._address, bytes((register,)) + data)

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
