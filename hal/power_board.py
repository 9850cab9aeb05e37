"""Power plane of a board: what its chips last said, turned into one state, and their levers.

A part of the state is built anew only when its device has a new sample or its quality has changed; ``state`` is asked
at 20 Hz, and most devices speak more seldom. Every part carries its own device's time and quality.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import isfinite
from typing import Any, Generic, TypeVar

from drivers.samples import (
    BatteryGaugeSample,
    BmsSample,
    HotSwapSample,
    PowerSample,
    RailSample,
    SolarSample,
    SupercapSample,
)
from hal.levers import Lever, LeverCounters
from hal.manager import ManagedDevice
from hal.power import DockState, GaugeState, PanelState, PowerState, RailState
from hal.power_levers import Pdu, Source, charger_levers, dock_lever, rail_levers, target_lever
from hal.profile.body import PowerConfig
from hal.reading import Quality, Reading, absent

__all__ = ["BoardPowerPlane", "PowerParts"]

S = TypeVar("S")
V = TypeVar("V")

SOC_TOLERANCE = 0.02
"""How far a charge may stray beyond 0..1 (sensor error) before it is no data."""
_ABSENT: Reading[Any] = absent()


@dataclass(frozen=True, slots=True)
class PowerParts:
    """Devices of a board by what they are for; what a board hasn't is ``None``.

    ``supercap`` is with the stack's full voltage. ``solar`` has levers only where it is a polled device whose driver
    offers them. ``channels`` are monitors of single loads, by load.
    """

    bus: Source[PowerSample] | None = None
    battery: Source[PowerSample] | None = None
    supercap: tuple[ManagedDevice[SupercapSample], float] | None = None
    solar: Source[SolarSample] | None = None
    gauge: Source[BatteryGaugeSample] | None = None
    bms: Source[BmsSample] | None = None
    dock: ManagedDevice[HotSwapSample] | None = None
    dock_current: Source[PowerSample] | None = None
    pdu: Pdu | None = None
    channels: Mapping[str, Source[PowerSample]] = field(default_factory=dict)


class _Part(Generic[S, V]):
    """Values built from a device's sample, kept for as long as the sample and its quality stay.

    ``over``: which of the values are the end of the part's range; none where it is not given.
    """

    __slots__ = ("_build", "_over", "_reading", "_source", "values")

    def __init__(
        self, source: Source[S], build: Callable[[S], tuple[V | None, ...]], count: int,
        over: Callable[[S], tuple[bool, ...]] | None = None,
    ) -> None:
        self._source = source
        self._build = build
        self._over = over if over is not None else lambda _sample: (False,) * count
        self._reading: Reading[S] = absent()
        self.values: tuple[Reading[V], ...] = (_ABSENT,) * count

    def look(self, now_ns: int) -> bool:
        """Whether anything has changed."""
        new, old = self._source.reading(now_ns), self._reading
        if new is old or (new.value is old.value and new.quality is old.quality and new.t_ns == old.t_ns):
            return False
        self._reading = new
        if new.value is None:
            self.values = (Reading(None, new.t_ns, new.quality),) * len(self.values)
        else:
            self.values = tuple(
                Reading(value, new.t_ns, _quality(value, over, new.quality))
                for value, over in zip(self._build(new.value), self._over(new.value), strict=True)
            )
        return True


def _quality(value: object, over: bool, of_sample: Quality) -> Quality:
    if value is None:
        return Quality.ABSENT
    return Quality.OVER_RANGE if over and of_sample is Quality.OK else of_sample


class BoardPowerPlane:
    """Power plane over whatever parts a board has.

    Args:
        config: the body's stores and bus.
        parts: the board's devices.
        loads: names of the body's loads, heaters included; rails of these names can be switched.
    """

    def __init__(self, config: PowerConfig, parts: PowerParts, loads: tuple[str, ...]) -> None:
        self._empty_v, self._span_v = config.bus.empty_v, config.bus.full_v - config.bus.empty_v
        full_v = parts.supercap[1] if parts.supercap is not None else 1.0
        self._full_v = full_v
        self._rail_names = parts.pdu.rails if parts.pdu is not None else ()
        self._bus = _part(parts.bus, _both, 2, _both_over)
        self._battery = _part(parts.battery, _both, 2, _both_over)
        self._stack = _part(parts.supercap[0] if parts.supercap is not None else None, _stack, 4)
        self._panel = _part(parts.solar, _panel, 1)
        self._gauge = _part(parts.gauge, _gauge, 1)
        self._bms = _part(parts.bms, _gauge, 1)
        self._dock = _part(parts.dock, _dock, 1)
        self._dock_current = _part(parts.dock_current, _current, 1, _current_over)
        self._rails = _part(parts.pdu.device if parts.pdu is not None else None, self._rail_states, 1)
        self._channels = tuple(
            (load, _Part(source, _current, 1, _current_over)) for load, source in parts.channels.items()
        )
        self._looked = tuple(
            part for part in (
                self._bus, self._battery, self._stack, self._panel, self._gauge, self._bms, self._dock,
                self._dock_current, self._rails,
            ) if part is not None
        )
        self._loads: dict[str, Reading[float]] = {load: _ABSENT for load, _ in self._channels}
        self._state: PowerState | None = None
        self._panel_lever, self._charge_lever = charger_levers(parts.solar)
        self._target_lever = target_lever(parts.supercap)
        self._dock_lever = dock_lever(parts.dock)
        self._rail_levers = rail_levers(parts.pdu, loads)
        self.switched = tuple(self._rail_levers)
        """Names of the loads that can be switched, in the order of the unit's rails."""
        named: dict[str, Lever[Any] | None] = {
            "panel_voltage": self._panel_lever, "charge_limit": self._charge_lever,
            "supercap_target": self._target_lever, "dock": self._dock_lever,
            **{f"rail_{name}": lever for name, lever in self._rail_levers.items()},
        }
        self._levers = tuple(lever for lever in named.values() if lever is not None)
        self.counters: dict[str, LeverCounters] = {
            name: lever.counters for name, lever in named.items() if lever is not None
        }
        """What became of the orders, by lever."""

    def rail_lever(self, rail: str) -> Lever[bool] | None:
        """The lever of a rail, for who takes its power away for a moment; ``None``: no load has that rail."""
        return self._rail_levers.get(rail)

    def service(self, now_ns: int) -> None:
        """Carry on with the levers; once a medium tick. Never blocks, never raises DeviceError."""
        for lever in self._levers:
            lever.service(now_ns)

    def state(self, now_ns: int) -> PowerState:
        """See PowerPlane."""
        changed = self._state is None
        for part in self._looked:
            changed = part.look(now_ns) or changed
        changed = self._look_at_channels(now_ns) or changed
        if self._state is None or changed:
            self._state = self._compose()
        return self._state

    def switch(self, load: str, on: bool) -> bool:
        """See PowerPlane."""
        return self._rail_levers[load].order(on)

    def set_panel_voltage(self, volts: float | None) -> bool:
        """See PowerPlane."""
        return _ordered(self._panel_lever, volts)

    def set_charge_limit(self, amperes: float) -> bool:
        """See PowerPlane."""
        return _ordered(self._charge_lever, amperes)

    def set_supercap_target(self, volts: float) -> bool:
        """See PowerPlane."""
        return _ordered(self._target_lever, volts)

    def set_dock(self, on: bool, share: float = 1.0) -> bool:
        """See PowerPlane. ``share`` means nothing when it is opened."""
        return _ordered(self._dock_lever, (on, share))

    def _look_at_channels(self, now_ns: int) -> bool:
        changed = False
        for _, part in self._channels:
            changed = part.look(now_ns) or changed
        if changed:  # a new dictionary: a state that was handed out stays as it was
            self._loads = {load: part.values[0] for load, part in self._channels}
        return changed

    def _compose(self) -> PowerState:
        bus_v, bus_a = _values(self._bus, 2)
        battery_v, battery_a = _values(self._battery, 2)
        stack_v, stack_a, capacitance, esr = _values(self._stack, 4)
        soc_battery = soc_stack = None
        if battery_v.value is not None:
            soc_battery = (battery_v.value - self._empty_v) / self._span_v
        if stack_v.value is not None:
            share = stack_v.value / self._full_v
            soc_stack = share * abs(share)  # energy goes with the square of the voltage; below zero there is none
        return PowerState(
            bus_v, bus_a, battery_a, _fraction(battery_v, soc_battery), _fraction(stack_v, soc_stack), stack_v,
            battery_v, stack_a, capacitance, esr, _value(self._panel), _value(self._gauge), _value(self._bms),
            _value(self._dock), _value(self._dock_current), _value(self._rails), self._loads,
        )

    def _rail_states(self, sample: RailSample) -> tuple[Mapping[str, RailState] | None]:
        faults: dict[str, list[str]] = {}
        for fault in sample.faults:
            rail, _, what = fault.partition(": ")
            faults.setdefault(rail, []).append(what)
        return ({
            name: RailState(on, volts, amperes, tuple(faults.get(name, ())))
            for name, on, volts, amperes in zip(
                self._rail_names, sample.on, sample.voltage_v, sample.current_a, strict=True
            )
        },)


def _part(
    source: Source[S] | None, build: Callable[[S], tuple[V | None, ...]], count: int,
    over: Callable[[S], tuple[bool, ...]] | None = None,
) -> _Part[S, V] | None:
    return None if source is None else _Part(source, build, count, over)


def _value(part: _Part[Any, V] | None) -> Reading[V]:
    return _ABSENT if part is None else part.values[0]


def _values(part: _Part[Any, V] | None, count: int) -> tuple[Reading[V], ...]:
    return (_ABSENT,) * count if part is None else part.values


def _number(value: float | None) -> float | None:
    return value if value is not None and isfinite(value) else None


def _opposite(value: float | None) -> float | None:
    return -value if value is not None and isfinite(value) else None


def _share(value: float | None) -> float | None:
    """A charge of 0..1, with a little tolerance; ``None`` for anything else."""
    if value is None or not -SOC_TOLERANCE <= value <= 1.0 + SOC_TOLERANCE:
        return None
    return min(max(value, 0.0), 1.0)


def _fraction(source: Reading[float], value: float | None) -> Reading[float]:
    if value is None:
        return Reading(None, source.t_ns, source.quality if not source.ok else Quality.ABSENT)
    share = _share(value)
    return Reading(share, source.t_ns, source.quality if share is not None else Quality.BAD)


def _both(sample: PowerSample) -> tuple[float | None, ...]:
    return _number(sample.voltage_v), _number(sample.current_a)


def _both_over(sample: PowerSample) -> tuple[bool, ...]:
    return sample.voltage_over, sample.current_over


def _current(sample: PowerSample) -> tuple[float | None, ...]:
    return (_number(sample.current_a),)


def _current_over(sample: PowerSample) -> tuple[bool, ...]:
    return (sample.current_over,)


def _stack(sample: SupercapSample) -> tuple[float | None, ...]:
    # The chip counts what flows into the stack as positive.
    return (
        _number(sample.stack_voltage_v), _opposite(sample.charge_current_a), _number(sample.capacitance_f),
        _number(sample.esr_ohm),
    )


def _panel(sample: SolarSample) -> tuple[PanelState | None, ...]:
    return (PanelState(
        _number(sample.array_voltage_v), _number(sample.array_current_a), _number(sample.array_power_w),
        _number(sample.battery_current_a), sample.charging, sample.state, sample.faults,
    ),)


def _gauge(sample: BatteryGaugeSample | BmsSample) -> tuple[GaugeState | None, ...]:
    # Both count what flows into the battery as positive.
    full_c = sample.full_c if isinstance(sample, BatteryGaugeSample) else None
    return (GaugeState(
        _share(sample.state_of_charge), _number(sample.voltage_v), _opposite(sample.current_a),
        _number(sample.temperature_c), _number(full_c), sample.alarms,
    ),)


def _dock(sample: HotSwapSample) -> tuple[DockState | None, ...]:
    values = (sample.input_v, sample.output_v, sample.current_a)
    if not all(map(isfinite, values)):
        return (None,)
    return (DockState(*values, sample.on, sample.power_good, _number(sample.temperature_c), sample.faults),)


def _ordered(lever: Lever[V] | None, value: V) -> bool:
    if lever is None:
        return False
    try:
        return lever.order(value)
    except ValueError:
        return False
