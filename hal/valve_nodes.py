"""Health of the valve nodes, which their driver sets up by itself: followed, told, and reset by order."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

from drivers.cia401_valves import ValveBus
from drivers.errors import Cause
from hal.device_health import REINITIALISATIONS_TO_LOST, DeviceState, HealthEvent

__all__ = ["ValveNodeWatch"]


class ValveNodeWatch:
    """State of every valve node as the hal tells it.

    A node is OK while it is operational, DEGRADED from the first time it is not, and LOST after more than three
    set-ups in a row without success.

    Args:
        valves: driver of their bus.
        names: node id to name in the board description.
        events: where changes of state are told.
    """

    def __init__(self, valves: ValveBus, names: Mapping[int, str], events: deque[HealthEvent]) -> None:
        self._valves = valves
        self._ids = {name: node_id for node_id, name in names.items()}
        self._events = events
        self.states = dict.fromkeys(self._ids, DeviceState.INIT)
        """State of every node, by name."""
        self._setups = dict.fromkeys(self._ids, 0)
        self._tries_when_up = dict.fromkeys(self._ids, 0)

    def survey(self, now_ns: int) -> None:
        """Follow the nodes; once a medium tick. A restart between two calls shows too."""
        for name, node_id in self._ids.items():
            node = self._valves.nodes[node_id]
            setups = node.counters.setups
            up = node.sample().operational
            state = self.states[name]
            cause = node.failure.cause if node.failure is not None else Cause.RESET
            if state is DeviceState.OK and not (up and setups == self._setups[name]):
                state = self._note(name, DeviceState.DEGRADED, now_ns, Cause.RESET if up else cause)
            if up:
                self._tries_when_up[name] = self.tries(name)
                if state is not DeviceState.OK:
                    self._note(name, DeviceState.OK, now_ns, None)
            elif (
                state is not DeviceState.LOST
                and self.tries(name) - self._tries_when_up[name] > REINITIALISATIONS_TO_LOST
            ):
                self._note(name, DeviceState.LOST, now_ns, cause)
            self._setups[name] = setups

    def tries(self, name: str) -> int:
        """Set-ups of a node that have failed since start, the bus's own failures included."""
        return self._valves.nodes[self._ids[name]].counters.setup_failures + self._valves.counters.losses

    def attempts(self, name: str) -> int:
        """Set-ups of a node that have ended since start, whichever way."""
        return self.tries(name) + self._valves.nodes[self._ids[name]].counters.setups

    def reset(self, name: str, now_ns: int) -> bool:
        """Reset a node by NMT and set it up anew: it shuts its valves and is disarmed."""
        # What the driver does after its bus was gone is just this: forget the node, then begin with its reset.
        self._valves.nodes[self._ids[name]].bus_lost(now_ns, now_ns)
        return True

    def _note(self, name: str, state: DeviceState, now_ns: int, cause: Cause | None) -> DeviceState:
        self.states[name] = state
        self._events.append(HealthEvent(now_ns, name, state, cause))
        return state
