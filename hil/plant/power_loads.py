"""Loads of the craft: own switch, rail, throttle, peaks, and the faults that a load or its rail can have.

A load draws while neither its own switch nor its rail is off. One that starts off draws once either has been switched
on. The heaters of the body are loads that start off. A base load has no rail and cannot be switched off.
"""

from __future__ import annotations

from hal.profile import BodyConfig
from hal.profile.body import LoadConfig
from hil.plant.power_stores import fraction

__all__ = ["LoadBank"]


class _Load:
    """One load; ``None`` for a switch or rail that nobody has told anything since power-up."""

    __slots__ = ("config", "peak_left_s", "peak_w", "rail", "share", "short_w", "stuck", "switch")

    def __init__(self, config: LoadConfig) -> None:
        self.config = config
        self.stuck: bool | None = None
        self.short_w: float | None = None
        self.peak_w = 0.0
        self.power_up()

    def power_up(self) -> None:
        self.switch: bool | None = None
        self.rail: bool | None = None
        self.share = 1.0
        self.peak_left_s = 0.0

    @property
    def fed(self) -> bool:
        """Whether its rail is on."""
        config = self.config
        return config.base or (config.starts_on or self.switch is True if self.rail is None else self.rail)

    @property
    def on(self) -> bool:
        """Whether it draws its own power."""
        if self.stuck is not None:
            return self.stuck
        if self.switch is None and self.rail is None:
            return self.config.base or self.config.starts_on
        return self.switch is not False and self.rail is not False

    @property
    def short(self) -> float:
        """What a short draws beside it, W."""
        return self.short_w if self.short_w is not None and (self.fed or self.stuck is True) else 0.0


class LoadBank:
    """All loads of one body, in the order of its description and then its heaters. Powers in W, as asked."""

    def __init__(self, body: BodyConfig) -> None:
        """Raises ValueError when two loads have one name."""
        heaters = [LoadConfig(h.load, h.power_w, starts_on=False) for h in body.thermal.heaters]
        configs = [*body.power.loads, *heaters]
        self._loads = {config.name: _Load(config) for config in configs}
        if len(self._loads) < len(configs):
            raise ValueError("two loads of the body have the same name")
        self._peaking: list[_Load] = []
        self._working: dict[str, float] = {}
        self._all: dict[str, float] = {}
        self.asked_w = 0.0
        self._refresh()

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all loads."""
        return tuple(self._loads)

    def is_on(self, name: str) -> bool:
        """Whether a load draws its power. Raises KeyError for an unknown load."""
        return self._loads[name].on

    def working_w(self, name: str) -> float:
        """What the load itself asks; 0 when off and for a name the body lacks."""
        return self._working.get(name, 0.0)

    def all_w(self, name: str) -> float:
        """The same with what its short draws: what a monitor of its rail sees."""
        return self._all.get(name, 0.0)

    def peak_w(self, name: str) -> float:
        """Mean peak power that it asked in the last step."""
        load = self._loads.get(name)
        return 0.0 if load is None else load.peak_w

    def set_switch(self, name: str, on: bool) -> None:
        """The load's own switch. Raises ValueError for an unknown load, or for switching off a base load."""
        load = self._find(name)
        if load.config.base and not on:
            raise ValueError(f"{name} is a base load and cannot be switched off")
        load.switch = on
        self._refresh()

    def set_rail(self, name: str, on: bool) -> None:
        """The rail that feeds it. Raises ValueError for an unknown load or a base load."""
        load = self._find(name)
        if load.config.base:
            raise ValueError(f"{name} is a base load and has no rail")
        load.rail = on
        self._refresh()

    def set_share(self, name: str, share: float) -> None:
        """Throttle: it draws this share of its power, 0..1. Raises ValueError."""
        self._find(name).share = fraction(f"share of {name}", share)
        self._refresh()

    def stick(self, name: str, on: bool | None) -> None:
        """Fault: it ignores switch and rail, stuck on or off; ``None`` heals it. Raises ValueError."""
        self._find(name).stuck = on
        self._refresh()

    def short(self, name: str, watts: float | None) -> None:
        """Fault: its rail is shorted and draws this much more while on; ``None`` heals it. Raises ValueError."""
        load = self._find(name)
        if watts is not None and not 0.0 <= watts <= 1e6:
            raise ValueError(f"short of {watts} W on {name}; 0..1e6 is allowed")
        load.short_w = watts
        self._refresh()

    def start_peak(self, name: str, seconds: float) -> None:
        """Draw the load's peak power from now for ``seconds``, while it is on; 0 ends it. Raises ValueError."""
        load = self._find(name)
        if load.config.peak_w <= 0.0:
            raise ValueError(f"{name} has no peak")
        if not 0.0 <= seconds <= 86_400.0:
            raise ValueError(f"peak of {seconds} s; 0..86400 is allowed")
        load.peak_left_s = seconds
        if load not in self._peaking:
            self._peaking.append(load)

    def take_peaks(self, dt: float) -> float:
        """Mean peak power asked in the next ``dt`` s; their clocks run."""
        total = 0.0
        for load in tuple(self._peaking):
            lasts = min(dt, load.peak_left_s)
            load.peak_left_s -= lasts
            load.peak_w = load.config.peak_w * lasts / dt if load.on else 0.0
            total += load.peak_w
            if lasts <= 0.0:
                self._peaking.remove(load)
        return total

    def power_up(self) -> None:
        """All switches, rails and throttles as at power-up, no peaks; faults stay."""
        for load in self._loads.values():
            load.power_up()
        self._refresh()

    def _find(self, name: str) -> _Load:
        load = self._loads.get(name)
        if load is None:
            raise ValueError(f"no load {name}; there are {', '.join(self._loads)}")
        return load

    def _refresh(self) -> None:
        loads = self._loads
        self._working = {name: load.config.power_w * load.share for name, load in loads.items() if load.on}
        self._all = {name: self._working.get(name, 0.0) + load.short for name, load in loads.items()}
        self.asked_w = sum(self._all.values())
