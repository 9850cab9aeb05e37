"""Every fault that can be started on a board's rig, made from the rig's own fault tables and the profile.

Nothing is listed by hand that the board or the rig knows: buses, devices, lines, nozzles, loads and nodes come from the
profile, the kinds of bus faults from the twins, the computer's from the session's table.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Any

from firmware_py.cli.campaign.catalogue_bus import bus_entries
from firmware_py.cli.campaign.catalogue_computer import computer_entries
from firmware_py.cli.campaign.catalogue_power import power_entries
from firmware_py.cli.campaign.catalogue_sensors import sensor_entries
from firmware_py.cli.campaign.entries import DETECTION_GOAL_S, Entry, FaultClass, Shown
from firmware_py.cli.rig_ground import GROUND_FAULTS, check_ground_fault
from firmware_py.mission import FaultConfig
from hal.profile import Profile
from hil.rig import FAULTS, check_fault
from hil.rig_faults_surroundings import SURROUNDINGS_FAULTS

__all__ = ["catalogue", "families", "groups", "missing_kinds"]

RCS_CODES = frozenset({"RCS_UNAVAILABLE", "SAFE_ORIENTATION_LOST"})
SHORT_STUCK_S = 0.4
LONG_S = 6.0


def catalogue(profile: Profile) -> dict[str, Entry]:
    """Entries by id, in a fixed order; every one has been checked against the rig.

    Raises:
        ValueError: an entry that the rig refuses, or an id given twice.
    """
    found: dict[str, Entry] = {}
    made = (
        _world(profile), sensor_entries(profile), power_entries(profile), bus_entries(profile), computer_entries(),
        _link(),
    )
    for entry in chain.from_iterable(made):
        if entry.id in found:
            raise ValueError(f"fault {entry.id} is made twice")
        if entry.fault_class not in (FaultClass.COMPUTER, FaultClass.LINK):
            check_fault(entry.kind, entry.parameters, profile)
        found[entry.id] = entry
    return found


def _link() -> Iterator[Entry]:
    """Faults of the link to the ground. A flight is far shorter than the command-loss time, so nothing may change."""
    for kind in GROUND_FAULTS:
        for word, for_s in (("while", LONG_S), ("for_ever", None)):
            check_ground_fault(FaultConfig(kind, at_s=0.0, for_s=for_s))
            yield Entry(f"{kind}.{word}", f"{kind}_{word}", FaultClass.LINK, kind, for_s=for_s)


def groups(entries: Mapping[str, Entry]) -> dict[str, tuple[Entry, ...]]:
    """Entries by group, in the catalogue's order."""
    found: dict[str, list[Entry]] = {}
    for entry in entries.values():
        found.setdefault(entry.group, []).append(entry)
    return {name: tuple(members) for name, members in found.items()}


def families(entries: Mapping[str, Entry]) -> dict[str, tuple[Entry, ...]]:
    """Entries by family: what pairs are made of. All kinds of silence of one bus are one family, and so on."""
    found: dict[str, list[Entry]] = {}
    for entry in entries.values():
        found.setdefault(_family(entry), []).append(entry)
    return {name: tuple(members) for name, members in found.items()}


BUS_FAMILIES = {
    "bit_flip": "wrong", "frozen": "wrong", "all_ones": "wrong", "all_zeros": "wrong", "noise": "wrong",
    "hung": "hung", "stuck": "hung",
}


def _family(entry: Entry) -> str:
    """Family of an entry: its group without degree and length, bus faults by what they do."""
    word = entry.id.partition(".")[0]
    group = entry.group
    if word.startswith("bus_"):
        bus = entry.parameters["bus"]
        kind = next((name for begin, name in BUS_FAMILIES.items() if word.startswith(f"bus_{begin}")), "silent")
        return f"bus {kind} {bus}"
    if word.startswith("line_"):
        return f"line {entry.group.rpartition('_')[2] if 'mux' not in entry.id else 'mux'}"
    for begin in ("dead", "implausible", "device_reset"):
        if word.startswith(begin):
            return f"{'wrong' if begin == 'implausible' else 'gone'} {_device_of(group)}"
    for begin in FAMILIES:
        if word.startswith(begin):
            return begin
    return word


def _device_of(group: str) -> str:
    """Device or role at the end of the name of a group of bus entries."""
    for begin in GROUP_BEGINS:
        if group.startswith(begin):
            return group.removeprefix(begin)
    return group


GROUP_BEGINS = (
    "dead_while_", "dead_", "device_reset_", "implausible_all_ones_", "implausible_all_zeros_", "implausible_frozen_",
    "implausible_wrong_bits_", "implausible_short_read_", "implausible_nack_data_",
)
FAMILIES = (
    "nozzle_off", "nozzle_weak", "nozzle_slightly", "nozzle_stuck_on_for_ever", "nozzle_stuck_on", "eclipse", "panel",
    "wing", "lighting", "dock", "soc_battery", "soc_supercap", "battery_capacity", "supercap_capacity", "supercap_esr",
    "gauge", "current_bias", "load_stuck", "rail_short", "temperature_hot", "temperature_warm", "temperature_cold",
    "ambient", "gyro_bias", "gyro_frozen", "thermometer_stuck", "thermometer_open", "thermometer_up",
    "thermometer_down", "heating", "voltage_bias", "base_short", "star_tracker_blind", "star_tracker_wrong",
    "star_tracker_drift", "valve_driver_open", "valve_driver_short", "disturbance_torque", "disturbance_force",
    "valve_node_reset",
)
"""Families whose members begin with these words."""


def missing_kinds(entries: Mapping[str, Entry]) -> tuple[str, ...]:
    """Faults of the rig that no entry starts; empty if the catalogue is whole.

    Faults of what is around the craft do nothing in the campaign's empty sky; scenarios fly them.
    """
    used = {entry.kind for entry in entries.values()}
    return tuple(kind for kind in FAULTS if kind not in used and kind not in SURROUNDINGS_FAULTS)


def _world(profile: Profile) -> Iterator[Entry]:
    world = FaultClass.WORLD
    board = profile.board
    for_good = frozenset({"stuck on for ever"}) | (frozenset() if board.isolation else frozenset({"no isolation"}))
    for n in range(len(profile.body.propulsion.nozzles)):
        mine = frozenset({n})
        named = (f"nozzle {n} ", "rate runaway", "SAFE")

        def nozzle(
            name: str, kind: str, shown: Shown = Shown.NEVER, for_s: float | None = None,
            tags: frozenset[str] = frozenset(), n: int = n, mine: frozenset[int] = mine,
            named: tuple[str, ...] = named, **more: Any,
        ) -> Entry:
            due = shown is not Shown.NEVER
            return Entry(
                f"{name}.{n}", name, world, kind, {"nozzle": n, **more}, for_s, shown,
                RCS_CODES if due else frozenset(), DETECTION_GOAL_S["attitude"] if due else None,
                named if due else (), mine, tags=tags,
            )

        yield nozzle("nozzle_off", "nozzle_off", Shown.WHEN_FIRED)
        yield nozzle("nozzle_off_while", "nozzle_off", for_s=1.0)
        yield nozzle("nozzle_weak", "nozzle_weak", factor=0.5)
        yield nozzle("nozzle_slightly_weak", "nozzle_weak", factor=0.85)
        yield nozzle("nozzle_stuck_on_short", "nozzle_stuck_on", Shown.AT_ONCE, SHORT_STUCK_S)
        yield nozzle("nozzle_stuck_on_long", "nozzle_stuck_on", Shown.AT_ONCE, 2.0)
        yield nozzle(
            "nozzle_stuck_on_for_ever", "nozzle_stuck_on", Shown.AT_ONCE, tags=for_good,
        )
    for device in board.devices:
        if device.role == "valve_node":
            yield Entry(
                f"valve_node_reset.{device.name}", "valve_node_reset", world, "valve_node_reset",
                {"node": device.name}, shown=Shown.AT_ONCE, codes=frozenset({"DEVICE_STATE"}), goal_s=1.0,
                named=(device.name,), units=frozenset({device.name}),
            )
    yield Entry("eclipse", "eclipse", world, "eclipse")
    yield Entry("eclipse_while", "eclipse_while", world, "eclipse", for_s=LONG_S)
    for axis in range(3):
        torque, force = [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]
        torque[axis], force[axis] = 8.0, 15.0
        name = "xyz"[axis]
        yield Entry(f"disturbance_torque.{name}", "disturbance_torque", world, "disturbance", {"torque_n_m": torque},
                    LONG_S, tags=frozenset({"torque"}))
        yield Entry(f"disturbance_force.{name}", "disturbance_force", world, "disturbance", {"force_n": force},
                    LONG_S, tags=frozenset({"torque"}))
