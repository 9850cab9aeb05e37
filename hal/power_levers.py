"""What a driver must offer to be a lever of the power plane, and the lever made of it.

The names are those of the methods; a part that has them can be ordered, another one only read. A ``*_step`` method says
what the chip would really hold of a value, so that two values that are one to it make one order.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Protocol, TypeVar, runtime_checkable

from drivers.samples import HotSwapSample, RailSample, SolarSample, SupercapSample
from hal.levers import Lever
from hal.manager import ManagedDevice
from hal.reading import Reading

__all__ = [
    "FeedSwitch", "PanelCharger", "Pdu", "RailSwitch", "Source", "StackCharger", "charger_levers", "dock_lever",
    "rail_levers", "target_lever",
]

S = TypeVar("S")

Steps = Generator[None, None, None]


class Source(Protocol[S]):
    """A device that is asked or heard."""

    def reading(self, now_ns: int) -> Reading[S]:
        """Last sample with its quality as of now."""


@runtime_checkable
class PanelCharger(Protocol):
    """Driver of a charger whose panel voltage and charge current can be ordered; ``*_step``: what it would hold."""

    def input_step(self, volts: float) -> float:
        """Raises ValueError."""

    def set_input_voltage(self, volts: float | None) -> Steps:
        """``None``: its own tracking."""

    def charge_step(self, amperes: float) -> float:
        """Raises ValueError."""

    def set_charge_current(self, amperes: float) -> Steps:
        """0 suspends."""


@runtime_checkable
class StackCharger(Protocol):
    """Driver of a supercapacitor charger whose target can be ordered."""

    def target_step(self, volts: float) -> float:
        """Raises ValueError."""

    def set_target(self, volts: float) -> Steps:
        """Up to which the stack is charged."""


@runtime_checkable
class FeedSwitch(Protocol):
    """Driver of a dock's switch with a limit for its start."""

    def share_step(self, share: float) -> float:
        """Raises ValueError."""

    def feed(self, on: bool, share: float) -> Steps:
        """Open it, or close it with a share of its current limit."""


@runtime_checkable
class RailSwitch(Protocol):
    """Driver of a distribution unit that switches rails by name."""

    def switch(self, rail: str, on: bool) -> Steps:
        """Raises DeviceError for a rail that it doesn't switch."""


@dataclass(frozen=True, slots=True)
class Pdu:
    """A distribution unit: its rails in the order of its samples, and those of them that it switches."""

    device: ManagedDevice[RailSample]
    rails: tuple[str, ...]
    switched: frozenset[str]


def charger_levers(solar: Source[SolarSample] | None) -> tuple[Lever[float | None] | None, Lever[float] | None]:
    """Levers of the panel's voltage, V, and of the charge current, A; ``None`` where the part can't be ordered."""
    if not isinstance(solar, ManagedDevice) or not isinstance(solar.device, PanelCharger):
        return None, None
    driver: PanelCharger = solar.device

    def voltage_key(volts: float | None) -> float | None:
        return None if volts is None else driver.input_step(volts)

    return (
        Lever(solar, driver.set_input_voltage, voltage_key), Lever(solar, driver.set_charge_current, driver.charge_step)
    )


def target_lever(supercap: tuple[ManagedDevice[SupercapSample], float] | None) -> Lever[float] | None:
    """Lever of the voltage up to which the stack is charged, V."""
    if supercap is None or not isinstance(supercap[0].device, StackCharger):
        return None
    driver: StackCharger = supercap[0].device
    return Lever(supercap[0], driver.set_target, driver.target_step)


def dock_lever(dock: ManagedDevice[HotSwapSample] | None) -> Lever[tuple[bool, float]] | None:
    """Lever of the dock's switch: whether it is closed, and with which share of its current limit."""
    if dock is None or not isinstance(dock.device, FeedSwitch):
        return None
    driver: FeedSwitch = dock.device
    return Lever(
        dock, lambda order: driver.feed(*order), lambda order: driver.share_step(order[1]) if order[0] else False
    )


def rail_levers(pdu: Pdu | None, loads: tuple[str, ...]) -> dict[str, Lever[bool]]:
    """Levers of the rails that the unit switches and that are named like a load, in the order of its rails."""
    if pdu is None or not isinstance(pdu.device.device, RailSwitch):
        return {}
    driver: RailSwitch = pdu.device.device

    def lever(rail: str) -> Lever[bool]:
        return Lever(pdu.device, lambda on: driver.switch(rail, on), bool)

    return {rail: lever(rail) for rail in pdu.rails if rail in pdu.switched and rail in loads}
