"""Dock port: a feed from outside behind a switch with a soft start, which also lets power out when the dock draws.

The switch is a diode for a dock whose voltage is below the bus (it feeds nothing), but none for a dock that draws: then
power leaves the craft for as long as the switch is closed. While closing, the limits of power and current rise in
proportion over the soft start. The current is that on the bus side.
"""

from __future__ import annotations

from hal.profile.body import DockFeedConfig
from hil.plant.power_stores import fraction

__all__ = ["DockPort"]


class DockPort:
    """What is plugged in, and the switch. ``input_v`` is the voltage before the switch, 0 when nothing is connected."""

    def __init__(self, config: DockFeedConfig | None) -> None:
        """``None``: a body that cannot dock."""
        self._config = config
        self.connected = False
        self.input_v = 0.0
        self.power_max_w = 0.0
        self.sink_w = 0.0
        self.on = False
        self.share = 1.0
        self._closed_s = 0.0

    @property
    def ramp(self) -> float:
        """How far the soft start has come, 0..1."""
        config = self._config
        return 0.0 if config is None else min(1.0, self._closed_s / config.soft_start_s)

    def connect(self, voltage_v: float, power_max_w: float, sink_w: float = 0.0) -> None:
        """Plug in a dock that gives up to ``power_max_w``, or one that draws ``sink_w``. Raises ValueError.

        The voltage may be outside what the port accepts, also reversed: refusing it is the flight software's business.
        """
        self._port()
        if not -100.0 <= voltage_v <= 100.0:
            raise ValueError(f"dock of {voltage_v} V; -100..100 is allowed")
        if not 0.0 <= power_max_w <= 1e5 or not 0.0 <= sink_w <= 1e5:
            raise ValueError(f"dock of {power_max_w} W that draws {sink_w} W; 0..1e5 is allowed for both")
        self.connected = True
        self.input_v, self.power_max_w, self.sink_w = voltage_v, power_max_w, sink_w
        self._closed_s = 0.0

    def disconnect(self) -> None:
        """Unplug."""
        self.connected = False
        self.input_v = self.power_max_w = self.sink_w = self._closed_s = 0.0

    def set_switch(self, on: bool, share: float = 1.0) -> None:
        """Close or open the switch, with this share of its current limit. Raises ValueError."""
        self._port()
        self.share = fraction("share of the dock's current", share)
        if on != self.on:
            self._closed_s = 0.0
        self.on = on

    def take_limits(self, dt: float, bus_v: float) -> tuple[float, float]:
        """Most power that the dock gives in the next ``dt`` s and what it draws, W; the soft start runs."""
        config = self._config
        if config is None or not (self.on and self.connected):
            return 0.0, 0.0
        ramp = min(1.0, (self._closed_s + 0.5 * dt) / config.soft_start_s)
        self._closed_s += dt
        if self.sink_w > 0.0:
            return 0.0, self.sink_w
        if self.input_v < bus_v:
            return 0.0, 0.0
        limit = min(self.power_max_w, config.power_max_w, self.share * config.current_max_a * bus_v)
        return ramp * limit, 0.0

    def _port(self) -> DockFeedConfig:
        if self._config is None:
            raise ValueError("this body has no dock port")
        return self._config
