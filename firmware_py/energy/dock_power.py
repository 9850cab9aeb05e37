"""The dock's feed on the power plane: readings to the state machine of ``dock_feed.py``, its order to the switch.

Contact is what the dock's own voltage says until a connector with contacts of its own is on board. What a dock gives is
a source and needs no token of the budget.
"""

from __future__ import annotations

from fdir.codes import Code
from firmware_py.energy.dock_feed import DEAD_V, DockFeed, DockFeedState, DockInputs
from firmware_py.energy.stores_watch import bound
from firmware_py.energy.thermal import ThermalVerdict
from hal.power import PowerPlane, PowerState
from hal.profile.body import DockFeedConfig, ThermalNode
from hal.reading import Quality

__all__ = ["BRIDGE", "DockPower"]

BRIDGE = "dock_bridge"
SETTLED_NS = 1_000_000_000
"""From an order until a sample shows it: the orders' slots, and one period of the controller."""


class DockPower:
    """Owner of the dock's switch."""

    def __init__(self, config: DockFeedConfig, bridge: ThermalNode | None, plane: PowerPlane) -> None:
        self._plane = plane
        self._reverse_a = config.reverse_a
        self._seen: tuple[int, Quality] | None = None
        self._idle = False
        self.feed = DockFeed(config, bridge)
        self._wanted = False
        self._told_ns: int | None = None
        """When the switch was first told what to do."""
        self._inputs = DockInputs(None, None, ())

    @property
    def word(self) -> str:
        """State, in a word."""
        return self.feed.state.value

    @property
    def codes(self) -> tuple[Code, ...]:
        """What stands against the feed, or limits it."""
        return self.feed.codes

    @property
    def soft_start_pct(self) -> float:
        """How far the soft start has come."""
        return self.feed.soft_start_pct

    def want(self, on: bool) -> tuple[Code, ...]:
        """Take power, or stop; returns what speaks against it, and then it is not wanted."""
        refused = self.feed.refusals(self._inputs) if on else ()
        self._wanted = on and not refused
        return refused

    def clear(self) -> None:
        """An operator lets a latched feed be tried again; it has to be wanted anew."""
        self._wanted = False
        self.feed.clear()

    def step(self, now_ns: int, state: PowerState, heat: ThermalVerdict) -> None:
        """Follow the readings and set the switch. A port that nobody wants is looked at with each reading of its
        controller, and at once when current flows back."""
        behind = bound(state.dock_current_a)
        calm = behind is None or behind >= self._reverse_a
        seen = (state.dock.t_ns, state.dock.quality)
        if self._idle and calm and not self._wanted and seen == self._seen:
            return
        self._seen = seen
        self._inputs = self._read(state, heat)
        order = self.feed.update(now_ns, self._inputs, self._wanted)
        if self._plane.set_dock(order.on, order.share) and self._told_ns is None:
            self._told_ns = now_ns
        self._idle = self._told_ns is not None and self.feed.state is DockFeedState.OFF

    def _read(self, state: PowerState, heat: ThermalVerdict) -> DockInputs:
        bridge = heat.nodes.get(BRIDGE)
        celsius = None if bridge is None else bridge.hot_c
        behind = bound(state.dock_current_a)
        dock = state.dock.value if state.dock.quality is Quality.OK else None
        if dock is None:
            return DockInputs(None, None, (behind,), celsius)
        # The hot-swap controller has no sign: what it says counts only where the other monitor sees no backflow.
        through = None if behind is not None and behind < 0.0 else dock.current_a
        # The controller powers up closed; what it says of that before it has been told is nobody's fault.
        told = self._told_ns is not None and state.dock.t_ns >= self._told_ns + SETTLED_NS
        return DockInputs(
            abs(dock.input_v) > DEAD_V, dock.input_v, (behind, through), celsius,
            closed=dock.on if told else None, power_good=dock.power_good,
        )
