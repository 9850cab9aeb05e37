"""What the emergency channel needs from outside: energy that is asked for, a transmitter, and a seal."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum, unique
from typing import Protocol

from fdir.codes import Code

__all__ = ["EnergyAnswer", "EnergyOutcome", "EnergyPort", "NblTransmitter", "Seal"]

Seal = Callable[[bytes], bytes | StrEnum]
"""Seals one useful part with the kept context of the emergency channel; a named fault if it cannot."""


@unique
class EnergyOutcome(StrEnum):
    """What the energy budget says of the one packet that was asked for."""

    GRANTED = "granted"
    WAITING = "waiting"
    """No answer yet, or it waits for room."""
    REFUSED = "refused"
    GONE = "gone"
    """What was granted was taken away, or has run out: whoever is sending stops at once."""


@dataclass(frozen=True, slots=True)
class EnergyAnswer:
    """Outcome, why, and from when a refused request can succeed, if that is known."""

    outcome: EnergyOutcome
    codes: tuple[Code, ...] = ()
    when_ns: int | None = None


class EnergyPort(Protocol):
    """The energy budget as the emergency channel sees it: one request at a time, and none of the calls waits."""

    def ask(self, watts: float, joules: float, seconds: float, now_ns: int) -> EnergyAnswer:
        """Ask for the energy of one packet."""

    def standing(self, now_ns: int) -> EnergyAnswer:
        """How the request stands now."""

    def used(self, used_j: float, now_ns: int) -> None:
        """Tell what was used of it so far."""

    def give_back(self, used_j: float, now_ns: int) -> None:
        """End it, granted or waiting, with what it has used in all."""


class NblTransmitter(Protocol):
    """The emergency transmitter: one frame at a time at 64 bit/s."""

    def start(self, frame: bytes, now_ns: int) -> bool:
        """Begin to send a frame; ``False`` if the transmitter does not take it."""

    def stop(self, now_ns: int) -> None:
        """Carrier off at once; what is on the air is lost. Does nothing when nothing is sent."""
