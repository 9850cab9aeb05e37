"""Faults of sensors and valve drivers: the part answers, and what it says is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from firmware_py.cli.campaign.entries import DETECTION_GOAL_S, Entry, FaultClass, Shown
from hal.profile import Profile
from hil.rig import check_fault

__all__ = ["sensor_entries"]

WORLD, HEAT, POWER = FaultClass.WORLD, FaultClass.HEAT, FaultClass.POWER
LONG_S = 6.0
CONFLICT_GOAL_S = 4.6
"""Gyro against star tracker: 2 s of a difference (CANON 10.2), and the time in which the difference shows."""
GYRO_CODES = frozenset({"SENSOR_CONFLICTING", "SENSOR_DEGRADED", "SENSOR_MISSING", "SAFE_SENSOR_CONFLICT"})
RCS_CODES = frozenset({"RCS_UNAVAILABLE", "SAFE_ORIENTATION_LOST"})


def sensor_entries(profile: Profile) -> Iterator[Entry]:
    """Entries of sensors that are wrong; kinds that the board has no part for make none."""
    yield from _inertial(profile)
    yield from _outward(profile)
    yield from _thermometers(profile)
    yield from _power(profile)
    yield from _drivers(profile)


def _possible(profile: Profile, kind: str, parameters: dict[str, Any]) -> bool:
    """Whether the rig takes this fault: it depends on the parts of the board."""
    try:
        check_fault(kind, parameters, profile)
    except ValueError:
        return False
    return True


def _inertial(profile: Profile) -> Iterator[Entry]:
    flown = next((d.name for d in profile.board.devices if d.role == "imu"), None)
    for device in profile.board.devices:
        if device.role not in ("imu", "imu_backup") or not _possible(profile, "gyro_frozen", {"device": device.name}):
            continue
        name, mine = device.name, device.name == flown
        units = frozenset({name})
        gone = frozenset({"no imu" if device.role == "imu" else "no imu_b"})

        def gyro(
            word: str, kind: str, for_s: float | None = None, goal_s: float | None = None, name: str = name,
            mine: bool = mine, units: frozenset[str] = units, tags: frozenset[str] = gone, **more: Any,
        ) -> Entry:
            due = mine and goal_s is not None
            return Entry(
                f"{word}.{name}", f"{word}_{name}", WORLD, kind, {"device": name, **more}, for_s,
                Shown.AT_ONCE if due else Shown.NEVER, GYRO_CODES if due else frozenset(), goal_s if due else None,
                units=units, tags=tags,
            )

        yield gyro("gyro_frozen", "gyro_frozen", goal_s=2.0 * DETECTION_GOAL_S["attitude"])
        yield gyro("gyro_frozen_while", "gyro_frozen", LONG_S)
        for axis in "xyz":
            yield gyro(f"gyro_bias_{axis}", "gyro_bias", goal_s=CONFLICT_GOAL_S, axis=axis, deg_s=3.0)
        yield gyro("gyro_slight_bias", "gyro_bias", axis="z", deg_s=0.05)
        yield gyro("gyro_noise", "gyro_noise", LONG_S, deg_s=2.0)
        yield gyro("gyro_spike", "gyro_spike", axis="y", deg_s=20.0, every=50)


def _outward(profile: Profile) -> Iterator[Entry]:
    for word, kind, parameters in (
        ("star_tracker_blind", "star_tracker_blind", {}), ("star_tracker_wrong", "star_tracker_wrong", {"deg": 5.0}),
        ("star_tracker_drift", "star_tracker_drift", {"deg_s": 0.5}),
    ):
        if _possible(profile, kind, parameters):
            yield Entry(word, word, WORLD, kind, parameters, LONG_S)
            yield Entry(f"{word}_for_ever", f"{word}_for_ever", WORLD, kind, parameters)
    for device in profile.board.devices:
        for kind in ("sensor_dead", "sensor_stuck"):
            if _possible(profile, kind, {"device": device.name}):
                yield Entry(f"{kind}.{device.name}", f"{kind}_{device.role}", WORLD, kind, {"device": device.name},
                            units=frozenset({device.name}))
        near = {"device": device.name, "metres": 0.5}
        if _possible(profile, "range_stuck", near):
            yield Entry(f"range_stuck.{device.name}", f"range_stuck_{device.role}", WORLD, "range_stuck", near,
                        units=frozenset({device.name}))


def _thermometers(profile: Profile) -> Iterator[Entry]:
    for node in profile.body.thermal.nodes:
        group = "cluster" if node.name.startswith("rcs_") else node.name
        units = frozenset(
            d.name for d in profile.board.devices
            if node.name in d.settings.get("nodes", ()) or d.name == f"rtd_{node.name}"
        )
        for word, kind, more in (
            ("stuck", "thermometer_stuck", {}), ("open", "thermometer_open", {}),
            ("up", "thermometer_jump", {"celsius": 30.0}), ("down", "thermometer_jump", {"celsius": -30.0}),
        ):
            parameters = {"node": node.name, **more}
            if _possible(profile, kind, parameters):
                yield Entry(f"thermometer_{word}.{node.name}", f"thermometer_{word}_{group}", HEAT, kind, parameters,
                            units=units)
        heat = {"node": node.name, "watts": 300.0}
        if _possible(profile, "heating", heat):
            yield Entry(f"heating.{node.name}", f"heating_{group}", HEAT, "heating", heat, units=units)


def _power(profile: Profile) -> Iterator[Entry]:
    for device in profile.board.devices:
        for word, volts in (("low", -6.0), ("high", 6.0)):
            parameters = {"device": device.name, "volts": volts}
            if _possible(profile, "voltage_bias", parameters):
                yield Entry(f"voltage_bias_{word}.{device.name}", f"voltage_bias_{word}_{device.role}", POWER,
                            "voltage_bias", parameters, units=frozenset({device.name}))
    for watts in (60.0, 400.0):
        if _possible(profile, "base_short", {"watts": watts}):
            yield Entry(f"base_short_{watts:g}", f"base_short_{watts:g}", POWER, "base_short", {"watts": watts}, LONG_S)
    for kind, tag in (("supercap_dead", "no supercap"), ("supercap_charger_dead", "")):
        if _possible(profile, kind, {}):
            yield Entry(kind, kind, POWER, kind, tags=frozenset({tag} - {""}))


def _drivers(profile: Profile) -> Iterator[Entry]:
    for_good = frozenset({"stuck on for ever"}) | (frozenset() if profile.board.isolation else {"no isolation"})
    for n in range(len(profile.body.propulsion.nozzles)):
        named = (f"nozzle {n} ", f"(nozzle {n})", "rate runaway", "rate-runaway", "SAFE")
        for word, fault, shown in (
            ("open", "open", Shown.WHEN_FIRED), ("short", "short", Shown.NEVER),
        ):
            parameters = {"nozzle": n, "fault": fault}
            if _possible(profile, "valve_driver", parameters):
                due = shown is not Shown.NEVER
                yield Entry(
                    f"valve_driver_{word}.{n}", f"valve_driver_{word}", WORLD, "valve_driver", parameters, None, shown,
                    RCS_CODES if due else frozenset(), DETECTION_GOAL_S["attitude"] if due else None,
                    named if due else (), frozenset({n}),
                    # A driver that shorts pushes for as long as the nodes are enabled.
                    tags=frozenset() if due else for_good,
                )
