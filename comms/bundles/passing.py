"""What goes between a bundle node and those who transmit, dock and deliver."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from comms.bundles.eid import Eid

__all__ = ["Delivery", "EnergyAsk", "Neighbour", "Outgoing"]

EnergyAsk = Callable[[float, int], bool]
"""Asked with joules and flight time before anything is sent; ``False`` is no."""


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A docked neighbour that can be sent to. ``joules_a_byte``: price of its transmitter, ``None`` if it is not known:
    then nothing is sent to it."""

    node: int
    joules_a_byte: float | None
    longest_bytes: int


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A bundle that is to be sent to a neighbour now; its energy is booked."""

    order: int
    to: int
    data: bytes
    joules: float


@dataclass(frozen=True, slots=True)
class Delivery:
    """A bundle for a service of this node. ``payload`` is as its sender sealed it; ``primary`` is what it is bound
    to."""

    source: Eid
    service: int
    payload: bytes
    primary: bytes
    age_ms: int
