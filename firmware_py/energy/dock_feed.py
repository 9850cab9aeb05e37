"""Power from a dock: closed only onto a sound source, raised softly, opened at once when it is not sound any more.

Before the switch closes: contact, telemetry, polarity and voltage window (CANON section 14), no current, a bridge that
isn't hot, all for half a second. Then the share of the switch's current limit rises linearly over the soft start, in
the sixteenths that a hot-swap controller can hold, up to what the feed's limits of power and current allow.

What opens it is a table (``dock_guard.TRIPS``). Current that flows back (from one sample on), a reversed dock and a
switch that does not open stay latched until an operator clears them. Faults of the feed are tried again after 10 s,
three times (CANON section 10.2), and then latch too; the count goes back after a minute of sound feeding. Lost contact,
silent telemetry and heat are waited out.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum, unique
from math import floor, isfinite

from fdir.codes import Code
from firmware_py.energy.dock_guard import (
    CHECKS,
    DEAD_V,
    TRIPS,
    DockFault,
    DockInputs,
    DockView,
    Response,
    Trip,
    number,
    numbers,
)
from hal.profile.body import DockFeedConfig, ThermalNode

__all__ = [
    "DEAD_V", "MOVES", "SIXTEENTHS", "DockEvent", "DockFault", "DockFeed", "DockFeedState", "DockInputs", "DockOrder",
    "Source", "Sources", "sources",
]

SIXTEENTHS = 16
SETTLE_S = 0.5
RETRY_S, RETRIES = 10.0, 3
SOUND_S = 60.0
WARM_SHARE = 0.5
"""P: share of the limit while the bridge is at or above its warning: a quarter of the heat of its resistance."""
WARM_HYSTERESIS_K = 5.0
CARRYING_A = 0.05
"""Least current by which a source counts as carrying: offsets of the monitors are below it."""

_STEP_ERROR = 1e-9


@unique
class DockFeedState(StrEnum):
    """Where the feed is; telemetry."""

    OFF = "off"
    WAIT = "wait"
    """Wanted, but something speaks against it, or the source has not been sound for long enough."""
    SOFT_START = "soft_start"
    ON = "on"
    HOLD = "hold"
    """Opened by a fault; tried again after a while."""
    LATCHED = "latched"
    """Opened until an operator clears it."""


@unique
class DockEvent(StrEnum):
    """What moves it from state to state."""

    WANTED = "wanted"
    UNWANTED = "unwanted"
    READY = "ready"
    RAISED = "raised"
    WAITED = "waited"
    PAUSE = "pause"
    FAULT = "fault"
    DANGER = "danger"
    CLEARED = "cleared"


_S, _E = DockFeedState, DockEvent

MOVES: dict[tuple[DockFeedState, DockEvent], DockFeedState] = {
    (_S.OFF, _E.WANTED): _S.WAIT,
    (_S.WAIT, _E.UNWANTED): _S.OFF, (_S.SOFT_START, _E.UNWANTED): _S.OFF, (_S.ON, _E.UNWANTED): _S.OFF,
    (_S.WAIT, _E.READY): _S.SOFT_START, (_S.SOFT_START, _E.RAISED): _S.ON,
    (_S.SOFT_START, _E.PAUSE): _S.WAIT, (_S.ON, _E.PAUSE): _S.WAIT,
    (_S.SOFT_START, _E.FAULT): _S.HOLD, (_S.ON, _E.FAULT): _S.HOLD, (_S.HOLD, _E.WAITED): _S.OFF,
    (_S.OFF, _E.DANGER): _S.LATCHED, (_S.WAIT, _E.DANGER): _S.LATCHED, (_S.SOFT_START, _E.DANGER): _S.LATCHED,
    (_S.ON, _E.DANGER): _S.LATCHED, (_S.HOLD, _E.DANGER): _S.LATCHED,
    (_S.HOLD, _E.CLEARED): _S.OFF, (_S.LATCHED, _E.CLEARED): _S.OFF,
}
"""All moves there are; an event that has no row in a state changes nothing."""

_EVENTS = {Response.PAUSE: _E.PAUSE, Response.FAULT: _E.FAULT, Response.DANGER: _E.DANGER}


@dataclass(frozen=True, slots=True)
class DockOrder:
    """What the switch is told: closed or not, and the share (0..1] of its current limit."""

    on: bool
    share: float


class DockFeed:
    """The feed of one port. Pure: ``update`` once a step; order, state and codes come from what it is handed."""

    def __init__(self, config: DockFeedConfig, bridge: ThermalNode | None) -> None:
        """``bridge``: limits of the dock's node; ``None`` for a body that measures no temperature there."""
        self.state = DockFeedState.OFF
        self.fault: DockFault | None = None
        """What opened the switch last; ``None`` once it feeds again, or is cleared."""
        self.codes: tuple[Code, ...] = ()
        """Why it is open though wanted, latched, or limited though closed; no doubles."""
        self.retries = 0
        """Faults since the last sound minute."""
        self.warm = False
        """The bridge is at or above its warning: the share is halved."""
        self._config, self._bridge = config, bridge
        self._hot = False
        self._now_ns: int | None = None
        self._entered_ns = 0
        self._since: dict[DockFault, int] = {}
        self._sound_ns: int | None = None
        self._fault_code: Code | None = None

    @property
    def closed(self) -> bool:
        """Whether the switch is ordered closed."""
        return self.state in (DockFeedState.SOFT_START, DockFeedState.ON)

    @property
    def soft_start_pct(self) -> float:
        """How far the soft start has come, 0..100; 0 while open."""
        if self.state is DockFeedState.SOFT_START:
            return 100.0 * self._ramp()
        return 100.0 if self.closed else 0.0

    def clear(self) -> None:
        """An operator's word that the fault is seen to. What still is there opens the switch again."""
        self._move(_E.CLEARED)
        self.retries = 0
        self.fault = self._fault_code = None
        self._since.clear()

    def refusals(self, inputs: DockInputs) -> tuple[Code, ...]:
        """What speaks against closing now, by these readings and what is remembered; empty if nothing, or closed."""
        return self._refusals(self._view(inputs))

    def update(self, now_ns: int, inputs: DockInputs, wanted: bool) -> DockOrder:
        """One step. Time that does not advance, or goes back, only keeps what waits for time from happening."""
        self._now_ns = now_ns if self._now_ns is None else max(now_ns, self._now_ns)
        self._heat(number(inputs.temperature_c))
        self._watch(self._view(inputs))
        self._move(_E.WANTED if wanted else _E.UNWANTED)
        view = self._view(inputs)
        self._progress(view)
        self.codes = self._reasons(view, wanted)
        return DockOrder(self.closed, self._share(view.volts) if self.closed else 1.0 / SIXTEENTHS)

    # -- inside

    def _view(self, inputs: DockInputs) -> DockView:
        bridge, celsius = self._bridge, number(inputs.temperature_c)
        hot = self._hot or (bridge is not None and celsius is not None and celsius >= bridge.trip_c)
        return DockView(
            self._config, bridge, inputs, number(inputs.input_v), numbers(inputs.currents_a), celsius, self.closed,
            self.state is DockFeedState.ON, hot,
        )

    def _since_s(self, since_ns: int) -> float:
        return 0.0 if self._now_ns is None else (self._now_ns - since_ns) * 1e-9

    def _ramp(self) -> float:
        return min(1.0, self._since_s(self._entered_ns) / self._config.soft_start_s)

    def _move(self, event: DockEvent) -> None:
        """The table's move, if there is one."""
        to = MOVES.get((self.state, event))
        if to is None:
            return
        self.state = to
        self._entered_ns = 0 if self._now_ns is None else self._now_ns
        self._sound_ns = None

    def _heat(self, celsius: float | None) -> None:
        """Both latches of the bridge's temperature; without a reading they stay."""
        bridge = self._bridge
        if bridge is None or celsius is None:
            return
        self._hot = celsius >= bridge.trip_c or (self._hot and celsius > bridge.clear_c)
        self.warm = celsius >= bridge.warn_c or (self.warm and celsius > bridge.warn_c - WARM_HYSTERESIS_K)

    def _watch(self, view: DockView) -> None:
        """Open on the first row of the table that has lasted long enough."""
        now = 0 if self._now_ns is None else self._now_ns
        for trip in TRIPS:
            if (trip.closed_only and not view.ordered_closed) or not trip.test(view):
                self._since.pop(trip.fault, None)
            elif self._since_s(self._since.setdefault(trip.fault, now)) >= trip.persist_s:
                self._open(trip)
                return

    def _open(self, trip: Trip) -> None:
        event = _EVENTS[trip.response]
        if event is _E.FAULT:
            self.retries += 1
            if self.retries > RETRIES:
                event = _E.DANGER
        if self.state is not DockFeedState.LATCHED:
            self.fault, self._fault_code = trip.fault, trip.code
        self._move(event)

    def _progress(self, view: DockView) -> None:
        """Moves that time makes."""
        if self.state is DockFeedState.WAIT:
            self._settle(view)
        elif self.state is DockFeedState.SOFT_START and self._ramp() >= 1.0:
            self._move(_E.RAISED)
        elif self.state is DockFeedState.HOLD and self._since_s(self._entered_ns) >= RETRY_S:
            self._move(_E.WAITED)
        elif self.state is DockFeedState.ON and self._since_s(self._entered_ns) >= SOUND_S:
            self.retries = 0

    def _settle(self, view: DockView) -> None:
        """Close once every check has held for a while."""
        now = 0 if self._now_ns is None else self._now_ns
        if not all(holds(view) for _, holds in CHECKS):
            self._sound_ns = None
        elif self._sound_ns is None:
            self._sound_ns = now
        elif self._since_s(self._sound_ns) >= SETTLE_S:
            self._move(_E.READY)
            self.fault = self._fault_code = None

    def _share(self, volts: float | None) -> float:
        """Share of the current limit now: what the soft start has come to of what is allowed, in sixteenths, rounded
        down, but never less than one: the switch cannot hold less."""
        config = self._config
        # A voltage that is missing for a moment counts as the highest there may be: that gives the least current.
        volts = config.highest_v if volts is None else max(volts, config.lowest_v)
        allowed = min(1.0, config.power_max_w / (volts * config.current_max_a))
        if self.warm:
            allowed *= WARM_SHARE
        if self.state is DockFeedState.SOFT_START:
            allowed *= self._ramp()
        return max(1, floor(SIXTEENTHS * allowed + _STEP_ERROR)) / SIXTEENTHS

    def _refusals(self, view: DockView) -> tuple[Code, ...]:
        if view.ordered_closed:
            return ()
        codes = [code for code, holds in CHECKS if not holds(view)]
        if self._fault_code is not None and self.state in (DockFeedState.LATCHED, DockFeedState.HOLD):
            codes.insert(0, self._fault_code)
        return tuple(dict.fromkeys(codes))

    def _reasons(self, view: DockView, wanted: bool) -> tuple[Code, ...]:
        if self.closed:
            return (Code.THERMAL_NODE_HOT,) if self.warm else ()
        if wanted:
            return self._refusals(view)
        # A latched fault is there to be seen, whether the feed is wanted or not.
        code = self._fault_code if self.state is DockFeedState.LATCHED else None
        return () if code is None else (code,)


@unique
class Source(StrEnum):
    """Who can carry the bus through an ideal diode or a switch of its own."""

    PANEL = "panel"
    DOCK = "dock"
    BATTERY = "battery"


@dataclass(frozen=True, slots=True)
class Sources:
    """View of the ideal-diode OR. ``leading`` gives the most; ``None`` if none gives, or any of them is unknown."""

    carrying: tuple[Source, ...]
    leading: Source | None
    reverse: tuple[Source, ...]
    """Sources that power flows back into. A battery that is charged is not one of them."""
    unknown: tuple[Source, ...]


def sources(
    panel_a: float | None, dock_a: float | None, battery_a: float | None, *, reverse_a: float = -0.5,
) -> Sources:
    """Which source carries the bus, and whether power flows back into one.

    Args:
        panel_a, dock_a, battery_a: current of each on the bus side, positive into the bus; ``None`` or no number: not
            known. A craft without one hands in 0.
        reverse_a: below this a current is one that flows back.
    """
    readings = ((Source.PANEL, panel_a), (Source.DOCK, dock_a), (Source.BATTERY, battery_a))
    known = [(source, a) for source, a in readings if a is not None and isfinite(a)]
    carrying = [(source, a) for source, a in known if a >= CARRYING_A]
    unknown = tuple(source for source, a in readings if number(a) is None)
    leading = max(carrying, key=lambda pair: pair[1])[0] if carrying and not unknown else None
    back = tuple(source for source, a in known if a < reverse_a and source is not Source.BATTERY)
    return Sources(tuple(source for source, _ in carrying), leading, back, unknown)
