"""Faults of sources, stores, loads, dock, gauges and surroundings that a scenario can start on a rig.

Two faults of one kind on one thing: the later one holds (``rig_faults_seams``).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from hal.profile import Profile
from hil.fault_values import member, ranged, share
from hil.rig_faults_seams import Act, Start, held

if TYPE_CHECKING:
    from hil.rig import Rig

__all__ = ["MODELLED_C", "POWER_FAULTS"]

MODELLED_C = (-120.0, 160.0)
FROZEN = "frozen"
CAPACITY = (0.05, 1.5)
RESISTANCE = (0.1, 100.0)
SHORT_W = (1.0, 5000.0)
GAUGE = (0.0, 2.0)
"""A broken gauge may say more than 100 %; less than nothing its registers cannot say."""
DOCK_V = (-100.0, 100.0)
DOCK_W = (0.0, 10_000.0)
MONITORS = ("bus_monitor", "battery_monitor", "power_channel")
GAUGES = ("battery_gauge", "bms")


def _wing(_profile: Profile, index: Any, factor: Any) -> Start:
    if isinstance(index, bool):
        raise ValueError(f"index is {index!r}; 0 and 1 are allowed")
    wing, left = member("wing", index, (0, 1)), share("factor", factor)
    return held(
        f"wing {wing}", lambda rig: rig.world.set_wing(wing, left), lambda rig: rig.world.set_wing(wing, 1.0)
    )


def _lighting(_profile: Profile, factor: Any) -> Start:
    left = share("factor", factor)
    return held(
        "lighting", lambda rig: rig.world.set_lighting(left), lambda rig: rig.world.set_lighting(1.0)
    )


def _load(profile: Profile, load: Any) -> str:
    """A load that can be switched."""
    loads = [config.name for config in profile.body.power.loads if not config.base]
    return member("load that can be switched", load, [*loads, *(h.load for h in profile.body.thermal.heaters)])


def _load_stuck(profile: Profile, load: Any, drawing: Any) -> Start:
    name = _load(profile, load)
    if not isinstance(drawing, bool):
        raise ValueError(f"drawing is {drawing!r}; true or false is needed")

    def stick(rig: Rig) -> None:
        rig.stuck[name] = drawing
        rig.world.power.stick_load(name, drawing)

    def heal(rig: Rig) -> None:
        del rig.stuck[name]
        rig.world.power.stick_load(name, None)

    return held(f"switch of {name}", stick, heal)


def _rail_short(profile: Profile, load: Any, watts: Any) -> Start:
    name, power_w = _load(profile, load), ranged("watts", watts, *SHORT_W)

    def short(rig: Rig) -> None:
        rig.shorted.add(name)
        rig.world.power.short_load(name, power_w)

    def heal(rig: Rig) -> None:
        rig.shorted.discard(name)
        rig.world.power.short_load(name, None)

    return held(f"rail of {name}", short, heal)


def _base_short(profile: Profile, watts: Any) -> Start:
    """A short on a line that no switch opens."""
    power_w = ranged("watts", watts, *SHORT_W)
    bases = [config.name for config in profile.body.power.loads if config.base]
    if not bases:
        raise ValueError(f"body {profile.body.body} has no base load")
    return held(
        f"rail of {bases[0]}", lambda rig: rig.world.power.short_load(bases[0], power_w),
        lambda rig: rig.world.power.short_load(bases[0], None),
    )


def _battery_capacity(_profile: Profile, factor: Any) -> Start:
    left = ranged("factor", factor, *CAPACITY)
    return held(
        "battery capacity", lambda rig: rig.world.power.set_battery_capacity_factor(left),
        lambda rig: rig.world.power.set_battery_capacity_factor(1.0),
    )


def _supercap_capacity(_profile: Profile, factor: Any) -> Start:
    left = ranged("factor", factor, *CAPACITY)
    return held(
        "supercap capacity", lambda rig: rig.world.power.set_supercap_capacity_factor(left),
        lambda rig: rig.world.power.set_supercap_capacity_factor(1.0),
    )


def _supercap_esr(_profile: Profile, factor: Any) -> Start:
    times = ranged("factor", factor, *RESISTANCE)
    return held(
        "supercap resistance", lambda rig: rig.world.power.set_supercap_esr_factor(times),
        lambda rig: rig.world.power.set_supercap_esr_factor(1.0),
    )


def _supercap_charger_dead(_profile: Profile) -> Start:
    """The stack's charger passes nothing, whatever it is told."""

    def start(rig: Rig) -> Callable[[], None]:
        power, dead = rig.world.power, True
        told = power.supercap_target_soc

        def hold(_t_ns: int) -> None:
            nonlocal told
            if dead and power.supercap_target_soc > 0.0:
                told, power.supercap_target_soc = power.supercap_target_soc, 0.0

        def stop() -> None:
            nonlocal dead
            if dead:
                dead, power.supercap_target_soc = False, told

        # Its millisecond is always over, so it comes in every move of the world.
        rig.every(1, hold)
        return stop

    return start


def _supercap_dead(_profile: Profile) -> Start:
    """The stack keeps nothing of what it is charged with."""

    def start(rig: Rig) -> Callable[[], None]:
        dead, level = True, 1.0

        def leak(_t_ns: int) -> None:
            nonlocal level
            if dead:
                level = min(level, rig.world.power.soc_supercap)
                rig.world.set_supercap_soc(level)

        def stop() -> None:
            nonlocal dead
            dead = False

        # Its millisecond is always over, so it comes in every move of the world.
        rig.every(1, leak)
        return stop

    return start


def _current_bias(profile: Profile, device: Any, share: Any) -> Start:
    name = member("power monitor", device, [d.name for d in profile.board.devices if d.role in MONITORS])
    bias = ranged("share", share, -1.0, 1.0)

    def error(value: float) -> Act:
        def act(rig: Rig) -> None:
            rig.monitors[name].current_bias = value

        return act

    return held(f"current of {name}", error(bias), error(0.0))


def _gauge(profile: Profile, value: Any, device: Any = None) -> Start:
    gauges = sorted(
        (d for d in profile.board.devices if d.role in GAUGES), key=lambda d: GAUGES.index(d.role)
    )
    names = [gauge.name for gauge in gauges]
    name = member("gauge", names[0] if device is None and names else device, names)
    reported: float | None = None
    if value != FROZEN:
        try:
            reported = ranged("value", value, *GAUGE)
        except ValueError as error:
            raise ValueError(f"{error}, or {FROZEN}") from None

    def fail(rig: Rig) -> None:
        rig.gauge_faults[name] = reported

    def heal(rig: Rig) -> None:
        del rig.gauge_faults[name]

    return held(f"gauge {name}", fail, heal)


def _ambient(_profile: Profile, celsius: Any) -> Start:
    value = ranged("celsius", celsius, *MODELLED_C)
    return held(
        "ambient", lambda rig: rig.world.set_ambient(value), lambda rig: rig.world.set_ambient(rig.ambient_c)
    )


def _dock(profile: Profile, voltage_v: Any = None, power_w: Any = None, sink_w: Any = 0.0) -> Start:
    config = profile.body.power.dock
    if config is None:
        raise ValueError(f"body {profile.body.body} has no power.dock")
    volts = ranged("voltage_v", config.voltage_v if voltage_v is None else voltage_v, *DOCK_V)
    watts = ranged("power_w", config.power_max_w if power_w is None else power_w, *DOCK_W)
    sink = ranged("sink_w", sink_w, *DOCK_W)
    return held(
        "dock", lambda rig: rig.world.power.dock_connect(volts, watts, sink),
        lambda rig: rig.world.power.dock_disconnect(),
    )


POWER_FAULTS: dict[str, tuple[Callable[..., Start], dict[str, bool]]] = {
    "wing": (_wing, {"index": True, "factor": True}),
    "lighting": (_lighting, {"factor": True}),
    "load_stuck": (_load_stuck, {"load": True, "drawing": True}),
    "rail_short": (_rail_short, {"load": True, "watts": True}),
    "base_short": (_base_short, {"watts": True}),
    "battery_capacity": (_battery_capacity, {"factor": True}),
    "supercap_capacity": (_supercap_capacity, {"factor": True}),
    "supercap_esr": (_supercap_esr, {"factor": True}),
    "supercap_dead": (_supercap_dead, {}),
    "supercap_charger_dead": (_supercap_charger_dead, {}),
    "current_bias": (_current_bias, {"device": True, "share": True}),
    "gauge": (_gauge, {"value": True, "device": False}),
    "ambient": (_ambient, {"celsius": True}),
    "dock": (_dock, {"voltage_v": False, "power_w": False, "sink_w": False}),
}
"""Kinds of faults: how each is checked and prepared, and its parameters (name: whether it must be given)."""
