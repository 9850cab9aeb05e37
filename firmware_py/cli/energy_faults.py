"""Faults and events of an energy flight: what can happen to sources, stores and loads at an hour, and how it ends.

Written as ``KIND[:LOAD][=VALUE]@HOURS[+HOURS]``, for example ``short:radar=60@2`` or ``panel=0@6+1.5``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import isfinite

from hal.profile import BodyConfig
from hil.plant.world import World

__all__ = ["KINDS", "EnergyFault", "check_fault", "parse_fault"]

Lever = Callable[[World, str, float], None]
DOCK_W = 250.0
OF_ARRAY = frozenset({"panel", "wing0", "wing1"})
"""Faults that need a solar array."""
_FORM = re.compile(
    r"(?P<kind>[a-z_0-9]+)(:(?P<load>[a-z0-9_]+))?(=(?P<value>[-+.0-9eE]+))?@(?P<at>[^+]+)(\+(?P<last>.+))?"
)


@dataclass(frozen=True, slots=True)
class EnergyFault:
    """One fault: kind, load (empty: none), value, when it begins and how long it lasts, h (``None``: to the end)."""

    kind: str
    load: str
    value: float
    at_h: float
    for_h: float | None = None

    @property
    def text(self) -> str:
        """In the form in which it is written."""
        load = f":{self.load}" if self.load else ""
        lasts = "" if self.for_h is None else f"+{self.for_h:g}"
        return f"{self.kind}{load}={self.value:g}@{self.at_h:g}{lasts}"


@dataclass(frozen=True, slots=True)
class Kind:
    """What a fault does, its default value, what ends it (``None``: nothing does), and what it is in words."""

    begin: Lever
    value: float
    end: Lever | None
    lowest: float
    highest: float
    text: str
    load: bool = False


def _dock(world: World, _load: str, volts: float) -> None:
    world.power.dock_connect(volts, DOCK_W)


KINDS: Mapping[str, Kind] = {
    "panel": Kind(lambda w, _, x: w.set_panel(x), 0.0, lambda w, *_: w.set_panel(1.0), 0.0, 1.0,
                  "share of the panel's strings that still work"),
    "wing0": Kind(lambda w, _, x: w.set_wing(0, x), 0.0, lambda w, *_: w.set_wing(0, 1.0), 0.0, 1.0,
                  "share of the light on the first wing"),
    "wing1": Kind(lambda w, _, x: w.set_wing(1, x), 0.0, lambda w, *_: w.set_wing(1, 1.0), 0.0, 1.0,
                  "share of the light on the second wing"),
    "eclipse": Kind(lambda w, *_: w.set_eclipse(True), 1.0, lambda w, *_: w.set_eclipse(False), 1.0, 1.0,
                    "into shadow, whatever the orbit says"),
    "short": Kind(lambda w, load, x: w.power.short_load(load, x), 60.0,
                  lambda w, load, _: w.power.short_load(load, None), 0.0, 1e4, "W that a short draws", True),
    "stuck_on": Kind(lambda w, load, _: w.power.stick_load(load, True), 1.0,
                     lambda w, load, _: w.power.stick_load(load, None), 1.0, 1.0, "a load that ignores its rail", True),
    "stuck_off": Kind(lambda w, load, _: w.power.stick_load(load, False), 1.0,
                      lambda w, load, _: w.power.stick_load(load, None), 1.0, 1.0, "a load that is dead", True),
    "dock": Kind(_dock, 28.0, lambda w, *_: w.power.dock_disconnect(), 0.0, 100.0, "V of a dock that is plugged in"),
    "soc": Kind(lambda w, _, x: w.set_battery_soc(x), 0.5, None, 0.0, 1.0, "battery set to this charge"),
    "soc_cap": Kind(lambda w, _, x: w.set_supercap_soc(x), 0.5, None, 0.0, 1.0, "supercapacitor set to this charge"),
    "battery_age": Kind(lambda w, _, x: w.power.set_battery_capacity_factor(x), 0.8, None, 0.01, 1.0,
                        "share of the battery's capacity that is left"),
    "cap_age": Kind(lambda w, _, x: w.power.set_supercap_capacity_factor(x), 0.8, None, 0.01, 1.0,
                    "share of the supercapacitor's capacity that is left"),
    "esr": Kind(lambda w, _, x: w.power.set_supercap_esr_factor(x), 3.0, None, 0.1, 100.0,
                "times the supercapacitor's series resistance"),
    "ambient": Kind(lambda w, _, x: w.set_ambient(x), -80.0, None, -120.0, 160.0, "deg C of the surroundings"),
}
"""All kinds."""


def parse_fault(text: str) -> EnergyFault:
    """A fault as written. Raises ValueError, with what is allowed."""
    found = _FORM.fullmatch(text.strip())
    if found is None:
        raise ValueError(
            f"{text!r} is no fault; KIND[:LOAD][=VALUE]@HOURS[+HOURS] is, like short:radar=60@2 or panel=0@6+1"
        )
    kind = KINDS.get(found["kind"])
    if kind is None:
        raise ValueError(f"no fault {found['kind']!r}; there are {', '.join(KINDS)}")
    value = kind.value if found["value"] is None else _number(text, found["value"])
    last = None if found["last"] is None else _number(text, found["last"])
    return EnergyFault(found["kind"], found["load"] or "", value, _number(text, found["at"]), last)


def check_fault(fault: EnergyFault, body: BodyConfig) -> None:
    """Refuse what this body can't have. Raises ValueError, with what is allowed."""
    kind = KINDS.get(fault.kind)
    if kind is None:
        raise ValueError(f"no fault {fault.kind!r}; there are {', '.join(KINDS)}")
    if not kind.lowest <= fault.value <= kind.highest:
        raise ValueError(f"{fault.kind} of {fault.value}; {kind.lowest:g}..{kind.highest:g} is allowed ({kind.text})")
    if not 0.0 <= fault.at_h < 1e5 or (fault.for_h is not None and not 0.0 < fault.for_h < 1e5):
        raise ValueError(f"{fault.text}: hours must be finite, from 0 on, and last above 0")
    if fault.for_h is not None and kind.end is None:
        raise ValueError(f"{fault.kind} can't be undone; leave the +HOURS away")
    loads = [load.name for load in body.power.loads] + [heater.load for heater in body.thermal.heaters]
    if kind.load and fault.load not in loads:
        raise ValueError(
            f"{fault.kind} needs a load of {body.body}, like {fault.kind}:{loads[-1]}; there are {', '.join(loads)}"
        )
    if not kind.load and fault.load:
        raise ValueError(f"{fault.kind} has no load")
    if fault.kind in OF_ARRAY and body.power.array.area_m2 <= 0.0:
        raise ValueError(f"{fault.kind}: {body.body} has no solar array")
    if fault.kind == "dock" and body.power.dock is None:
        raise ValueError(f"{body.body} has no dock port")


def _number(text: str, part: str) -> float:
    try:
        value = float(part)
    except ValueError:
        value = float("nan")
    if not isfinite(value):
        raise ValueError(f"{text!r}: {part!r} is no number")
    return value
