"""Faults at the bus seam: every kind that has a meaning on a bus, on the whole bus and on each device of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from firmware_py.cli.campaign.entries import DETECTION_GOAL_S, Entry, FaultClass, Shown
from hal.profile import Profile
from hal.profile.board import BusConfig, DeviceConfig
from hil.faults import FaultKind
from hil.rig import check_fault

__all__ = ["bus_entries"]

BUS = FaultClass.BUS
SHORT_S = 0.3
LONG_S = 5.0
STRIKES_ALL = frozenset({
    FaultKind.NACK_ADDRESS, FaultKind.NACK_DATA, FaultKind.TIMEOUT, FaultKind.STUCK_BUS, FaultKind.ARBITRATION,
    FaultKind.SHORT_READ, FaultKind.SILENCE, FaultKind.BUS_OFF, FaultKind.ABSENT,
})
"""Kinds after which nothing good arrives any more; others change bytes and may look right."""
SEEN_CODES = frozenset({
    "DEVICE_STATE", "BUS_DEGRADED", "SENSOR_MISSING", "SENSOR_DEGRADED", "SENSOR_STALE", "POWER_TELEM_MISSING",
    "RECOVERY_STEP", "ACTUATOR_UNAVAILABLE", "SENSORS_UNAVAILABLE", "RCS_UNAVAILABLE", "GATE_NOT_ENABLED",
    "POWER_TELEM_STALE", "PROVIDER_UNAVAILABLE", "THERMAL_TELEM_MISSING",
})
FAST_ROLES = frozenset({"imu", "valve_node"})
DEAD = {"i2c": FaultKind.NACK_ADDRESS, "spi": FaultKind.TIMEOUT, "can": FaultKind.SILENCE}
"""How a device that is dead looks on each kind of bus."""
EQUAL_ROLES = frozenset({"sun_sensor", "range", "rtd", "discretes", "power_channel", "thermal"})
"""Roles of which several equal devices are on a board; one stands for all."""


def bus_entries(profile: Profile) -> Iterator[Entry]:
    """Entries of class bus."""
    for name, config in profile.board.buses.items():
        here = tuple(device for device in profile.board.devices if device.bus == name)
        if config.kind == "gpio":
            yield from _lines(profile, name)
        elif here:
            yield from _whole_bus(profile, name, config, here)
    for device in profile.board.devices:
        yield from _device(profile, device, profile.board.buses[device.bus])


def _possible(profile: Profile, parameters: dict[str, Any]) -> bool:
    """Whether the rig takes this fault: the twins say which kinds have a meaning on them."""
    try:
        check_fault("bus_fault", parameters, profile)
    except ValueError:
        return False
    return True


def _whole_bus(
    profile: Profile, name: str, config: BusConfig, here: tuple[DeviceConfig, ...]
) -> Iterator[Entry]:
    units = frozenset(d.name for d in here) | {name}
    nozzles = _nozzles(here)
    for kind in FaultKind:
        parameters: dict[str, Any] = {"bus": name, "fault": kind.value}
        if not _possible(profile, parameters):
            continue
        # Parts on serial ports speak unasked: a port that can't be written to takes nothing from anybody.
        due = kind in STRIKES_ALL and not (config.kind == "serial" and kind is FaultKind.TIMEOUT)
        # One of many that listen: what is polled fastest tells first.
        goal = min(_goal_s(device) for device in here)
        tags = _tags(profile, here)
        for word, for_s in (("short", SHORT_S), ("long", LONG_S), ("for_ever", None)):
            if word == "long" and not due:
                continue
            seen = due and word != "short"
            yield Entry(
                f"bus_{kind.value}_{word}.{name}", f"bus_{kind.value}_{word}_{name}", BUS, "bus_fault", parameters,
                for_s, Shown.AT_ONCE if seen else Shown.NEVER, SEEN_CODES if seen else frozenset(),
                goal if seen else None, nozzles=frozenset() if due else nozzles, units=units,
                tags=tags if for_s is None else frozenset(),
            )
    for probability in (0.05, 0.5):
        flips = {"bus": name, "fault": FaultKind.BIT_FLIP.value, "probability": probability}
        if _possible(profile, flips):
            yield Entry(f"bus_noise_{probability:g}.{name}", f"bus_noise_{probability:g}_{config.kind}_{name}", BUS,
                        "bus_fault", flips, LONG_S, nozzles=nozzles, units=units)
    if config.recovery is not None:
        for until in ("clear", "reopen", "power"):
            stuck = {"bus": name, "fault": FaultKind.STUCK_BUS.value, "until": until}
            if _possible(profile, stuck):
                yield Entry(
                    f"bus_hung_until_{until}.{name}", f"bus_hung_until_{until}_{name}", BUS, "bus_fault", stuck,
                    shown=Shown.AT_ONCE, codes=SEEN_CODES, goal_s=min(_goal_s(d) for d in here), units=units,
                )


def _device(profile: Profile, device: DeviceConfig, config: BusConfig) -> Iterator[Entry]:
    group = device.role if device.role in EQUAL_ROLES else device.name
    units = frozenset({device.name, *(d.name for d in profile.board.devices if d.mux == device.name)})
    # A clock that a transfer waits for in vain is the controller's: whoever hangs on it may be said to be lost too.
    shared = {device.bus, *(d.name for d in profile.board.devices if d.bus == device.bus)}
    on_dead = units | shared if DEAD.get(config.kind) is FaultKind.TIMEOUT else units
    tags = _tags(profile, (device,))
    where: dict[str, Any] = {"bus": device.bus}
    if device.address is not None:
        where["address"] = device.address
    if device.channel is not None:
        where["channel"] = device.channel
    polled = (device.rate_hz > 0.0 or device.role == "mux") and device.role != "flash"
    reset = Entry(f"device_reset.{device.name}", f"device_reset_{group}", BUS, "device_reset",
                  {"device": device.name}, units=units)
    if config.kind == "serial":
        # One part a port: its faults are those of the port.
        yield reset
        return
    dead = DEAD.get(config.kind)
    if dead is not None:
        parameters = {**where, "fault": dead.value}
        if _possible(profile, parameters):
            yield Entry(
                f"dead.{device.name}", f"dead_{group}", BUS, "bus_fault", parameters, None,
                Shown.AT_ONCE if polled and device.rate_hz > 0.0 else Shown.NEVER,
                SEEN_CODES if polled and device.rate_hz > 0.0 else frozenset(),
                _goal_s(device) if polled and device.rate_hz > 0.0 else None, named=(), units=on_dead, tags=tags,
            )
            yield Entry(f"dead_while.{device.name}", f"dead_while_{group}", BUS, "bus_fault", parameters, LONG_S,
                        units=on_dead)
    for word, kind, more in (
        ("all_ones", FaultKind.ALL_ONES, {}), ("all_zeros", FaultKind.ALL_ZEROS, {}), ("frozen", FaultKind.FROZEN, {}),
        ("wrong_bits", FaultKind.BIT_FLIP, {"probability": 0.2}), ("short_read", FaultKind.SHORT_READ, {}),
        ("nack_data", FaultKind.NACK_DATA, {}),
    ):
        parameters = {**where, "fault": kind.value, **more}
        if _possible(profile, parameters):
            yield Entry(
                f"implausible_{word}.{device.name}", f"implausible_{word}_{group}", BUS, "bus_fault", parameters,
                LONG_S if word == "wrong_bits" else None,
                nozzles=frozenset() if kind in STRIKES_ALL else _nozzles((device,)), units=units,
                tags=tags if word != "wrong_bits" else frozenset(),
            )
    yield reset


def _lines(profile: Profile, bus: str) -> Iterator[Entry]:
    lines = profile.board.lines
    used = {"valve_arm": lines.valve_arm, "valve_enable": lines.valve_enable, "watchdog_kick": lines.watchdog_kick}
    kinds = (FaultKind.ALL_ONES, FaultKind.ALL_ZEROS, FaultKind.FROZEN, FaultKind.ABSENT)
    for word, line in used.items():
        for kind in kinds:
            for length, for_s in (("long", LONG_S), ("for_ever", None)):
                parameters = {"bus": bus, "fault": kind.value, "line": line}
                if _possible(profile, parameters):
                    yield Entry(
                        f"line_{kind.value}_{length}.{word}", f"line_{kind.value}_{length}_{word}", BUS, "bus_fault",
                        parameters, for_s, units=frozenset({bus}),
                        tags=frozenset({"no valves"}) if for_s is None else frozenset(),
                    )
    for name, config in profile.board.buses.items():
        if config.recovery is not None and config.recovery.mux_reset_line is not None:
            parameters = {"bus": bus, "fault": FaultKind.ALL_ZEROS.value, "line": config.recovery.mux_reset_line}
            if _possible(profile, parameters):
                yield Entry(f"line_all_zeros.mux_reset_{name}", f"line_all_zeros_mux_reset_{name}", BUS, "bus_fault",
                            parameters, LONG_S,
                            units=frozenset({name, *(d.name for d in profile.board.devices if d.bus == name)}))


LOOK_S = 0.1
"""A part that speaks by itself is found silent when its time is over and somebody looks, 20 times a second."""


def _goal_s(device: DeviceConfig) -> float:
    """Three missed polls (CANON 10.2), but no sooner than the goal of its class."""
    floor = DETECTION_GOAL_S["attitude"] if device.role in FAST_ROLES else DETECTION_GOAL_S["power"]
    if device.rate_hz <= 0.0:
        return DETECTION_GOAL_S["thermal"]
    return max(floor, 3.0 / device.rate_hz, device.timeout_ms * 1e-3 + LOOK_S)


def _nozzles(devices: tuple[DeviceConfig, ...]) -> frozenset[int]:
    """Nozzles of the valve nodes among these. Bytes that changed on their way may open any of them: it really pushes
    though nobody asked it to, and may be masked for it."""
    return frozenset(n for d in devices if d.role == "valve_node" for n in d.settings.get("nozzles", ()))


def _tags(profile: Profile, devices: tuple[DeviceConfig, ...]) -> frozenset[str]:
    """What is gone with these devices."""
    tags: set[str] = set()
    isolation = profile.board.isolation
    if isolation is not None and any(d.name == isolation.device for d in devices):
        tags.add("no isolation")
    nodes = [d.name for d in devices if d.role == "valve_node"]
    if len(nodes) > 1:
        tags.add("no valves")
    for name in nodes:
        tags.add("no valves " + ("a" if name.endswith("a") else "b"))
    if any(d.role == "imu" for d in devices):
        tags.add("no imu")
    if any(d.role == "imu_backup" for d in devices):
        tags.add("no imu_b")
    return frozenset(tags)
