"""Commands that fly nothing: loads and dock, sensor profile, monitors, parameters. Each returns what speaks against it.

Whoever would carry a command out may not be there on a craft; the command is then refused with NOT_IMPLEMENTED.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from comms.dictionary import Authority
from fdir.codes import Code
from fdir.facts import Facts
from fdir.supervisor import Supervisor
from firmware_py.commands import Order
from firmware_py.energy.manager import EnergyManager
from firmware_py.parameters import ParameterPort

__all__ = ["UPKEEP", "Housekeeper"]


@dataclass(slots=True)
class Housekeeper:
    """Who carries such commands out on this craft, ``None`` where nobody does."""

    supervisor: Supervisor
    energy: EnergyManager | None = None
    parameters: ParameterPort | None = None

    def carry_out(self, order: Order, authority: Authority, facts: Facts) -> tuple[Code, ...]:
        """Carry an order of ``UPKEEP`` out."""
        return UPKEEP[order.name](self, order, authority, facts)


Act = Callable[[Housekeeper, Order, Authority, Facts], tuple[Code, ...]]
NOBODY = (Code.NOT_IMPLEMENTED,)


def _of_energy(act: Callable[[EnergyManager, Order], tuple[Code, ...]]) -> Act:
    def carry_out(keeper: Housekeeper, order: Order, _authority: Authority, _facts: Facts) -> tuple[Code, ...]:
        return NOBODY if keeper.energy is None else act(keeper.energy, order)

    return carry_out


def _of_parameters(act: Callable[[ParameterPort, Order, Authority], tuple[Code, ...]]) -> Act:
    def carry_out(keeper: Housekeeper, order: Order, authority: Authority, _facts: Facts) -> tuple[Code, ...]:
        return NOBODY if keeper.parameters is None else act(keeper.parameters, order, authority)

    return carry_out


def _profile(energy: EnergyManager, order: Order) -> tuple[Code, ...]:
    energy.set_profile(order.arguments["profile"])
    return ()


def _monitor(keeper: Housekeeper, order: Order, _authority: Authority, facts: Facts) -> tuple[Code, ...]:
    return keeper.supervisor.set_monitor(order.arguments["name"], order.arguments["enabled"], facts)


def _counters(keeper: Housekeeper, _order: Order, _authority: Authority, facts: Facts) -> tuple[Code, ...]:
    keeper.supervisor.reset_counters(facts)
    return ()


def _clear(keeper: Housekeeper, order: Order, _authority: Authority, _facts: Facts) -> tuple[Code, ...]:
    return keeper.supervisor.clear_fault(order.arguments["name"])


UPKEEP: dict[str, Act] = {
    "load": _of_energy(lambda energy, order: energy.want_load(order.arguments["name"], order.arguments["enabled"])),
    "load_clear": _of_energy(lambda energy, order: energy.clear(order.arguments["name"])),
    "dock_power": _of_energy(lambda energy, order: energy.feed_from_dock(order.arguments["enabled"])),
    "sensor_profile": _of_energy(_profile),
    "monitor_enable": _monitor,
    "monitor_reset_counters": _counters,
    "fault_clear": _clear,
    "param_set": _of_parameters(
        lambda port, order, who: port.set(order.arguments["name"], order.arguments["value"], who)
    ),
    "param_activate": _of_parameters(lambda port, _order, who: port.activate(who)),
    "param_rollback": _of_parameters(lambda port, _order, who: port.rollback(who)),
}
"""Who does what."""
