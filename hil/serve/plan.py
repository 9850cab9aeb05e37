"""Says which buses and chips of a board the rig plays and on what other bus; refuses what can't be played, by name.

The rig plays everything, on sockets, pseudo-terminals and UDP, unless a bench file says what is really there::

    schema_version: 1
    real_buses: [i2c_b, usb2]       # the rig leaves these alone
    real_devices: [radar]           # the rig plays the others on this radar's CAN bus
    buses:
      can1: {at: can0}              # by which interface of this computer it joins that bus
      usb0: {at: /dev/ttyUSB7}      # a real cable to the flight computer
      can0: {at: "pcan:PCAN_USBBUS1", reach: can0}
"""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

import msgspec
import yaml
from msgspec import Meta, Struct, field

from hal.profile import BoardConfig, ConfigError, Profile, load_yaml
from hal.profile.loader import Lines

__all__ = ["BenchBus", "BenchConfig", "Plan", "Play", "load_bench", "plan", "write_board"]

Device = Annotated[str, Meta(min_length=1, max_length=128)]
GROUP = "239.74.163.{}"
"""Multicast groups of one machine, one a CAN bus; the first is the one that python-can's users know."""
FIRST_GROUP, LAST_GROUP = 2, 250
LONGEST_DEVICE = 128
NO_SLAVE = (
    "a computer can't answer as a chip on an {0} bus beside real ones (its controller is the bus's master); "
    "make all of {1} real, or none of it"
)


class BenchBus(Struct, frozen=True, forbid_unknown_fields=True):
    """Where the rig plays one bus, and what the flight computer's board file then says (its own entry if not given)."""

    at: Device
    reach: Device | None = None


class BenchConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """What of a board is real on this bench."""

    schema_version: Literal[1]
    real_buses: tuple[str, ...] = ()
    real_devices: tuple[str, ...] = ()
    buses: dict[str, BenchBus] = field(default_factory=dict)


class Play(NamedTuple):
    """One bus that the rig plays: on what, and what the written board file says of it; ``None``: its own entry."""

    bus: str
    kind: str
    on: str
    reach: str | None


class Plan(NamedTuple):
    """What is played, in the board's order; and the profile that the rig is built from, without what is real."""

    plays: tuple[Play, ...]
    profile: Profile
    real_buses: tuple[str, ...]
    real_devices: tuple[str, ...]


def load_bench(path: Path) -> tuple[BenchConfig, Lines]:
    """Read a bench file. Raises ConfigError."""
    return load_yaml(path, BenchConfig)


def plan(
    profile: Profile, folder: Path, can_port: int, patience_ms: int, bench: BenchConfig | None = None,
    lines: Lines | None = None,
) -> Plan:
    """What the rig of a profile plays.

    Args:
        profile: body and board, everything included.
        folder: absolute; for sockets and links.
        can_port: UDP port of CAN buses that have no other place.
        patience_ms: how long a program may wait for an answer over a socket.
        bench: what is real; nothing if not given.
        lines: of the bench file, for refusals.

    Raises:
        ConfigError: a name that is not there, or what can't be played so.
    """
    board = profile.board
    bench = BenchConfig(1) if bench is None else bench
    check = _Check(board, lines)
    real_buses, real_devices = _real(board, bench, check)
    plays = []
    for index, (name, bus) in enumerate(board.buses.items()):
        if name in real_buses:
            continue
        given = bench.buses.get(name)
        mixed = any(d.bus == name and d.name in real_devices for d in board.devices)
        if given is not None:
            check.place(name, bus.kind, given.at)
            own = mixed or given.at.startswith("/")
            plays.append(Play(name, bus.kind, given.at, given.reach or (None if own else given.at)))
        elif mixed:
            why = f"real devices are on {name}: say by what the rig joins it, {name}: {{at: can0}}"
            raise check.error(["real_devices"], why)
        else:
            on = _usual_place(name, bus.kind, folder, index, can_port, patience_ms)
            plays.append(Play(name, bus.kind, on, on))
    if not plays:
        raise check.error(["real_buses"], "everything is real; there is nothing to play")
    for play in plays:
        if len(play.reach or "") > LONGEST_DEVICE:
            why = f"{play.reach} is too long for a board file ({LONGEST_DEVICE} characters); take a shorter folder"
            raise check.error([], why)
    return Plan(tuple(plays), _simulated(profile, real_buses, real_devices), real_buses, real_devices)


def write_board(board: BoardConfig, plays: Collection[Play], path: Path) -> None:
    """Write the board file with which a program reaches the played buses, whole or not at all. Raises OSError."""
    reach = {play.bus: play.reach for play in plays if play.reach is not None}
    buses = {
        name: msgspec.structs.replace(bus, device=reach.get(name, bus.device)) for name, bus in board.buses.items()
    }
    record = msgspec.to_builtins(msgspec.structs.replace(board, buses=buses))
    text = f"# {board.board} as the rig beside it plays it; written anew with each start of the rig.\n"
    text += yaml.safe_dump(record, sort_keys=False, width=120)
    fresh = path.with_name(f".{path.name}.new")
    fresh.write_text(text, encoding="utf-8")
    fresh.replace(path)


class _Check:
    """Refusals that point at the bench file."""

    def __init__(self, board: BoardConfig, lines: Lines | None) -> None:
        self._board = board
        self._lines = lines

    def error(self, path: list[str | int], why: str) -> ConfigError:
        """A refusal of what stands at ``path``."""
        if self._lines is None:
            return ConfigError(self._board.board, None, ".".join(map(str, path)), why)
        return self._lines.error(path, why)

    def names(self, key: str, names: Collection[str], known: Collection[str]) -> None:
        """Refuse names that are not known."""
        for index, name in enumerate(names):
            if name not in known:
                raise self.error([key, index], f"board {self._board.board} has no {name}; it has {', '.join(known)}")

    def place(self, name: str, kind: str, on: str) -> None:
        """Refuse a place where such a bus can't be played."""
        path: list[str | int] = ["buses", name, "at"]
        guest, pattern = ("gpio-sim:LABEL", r"gpio-sim:.+") if kind == "gpio" else ("busim:NUMBER", r"busim:[0-9]{1,3}")
        if kind in ("i2c", "spi", "gpio") and not (on.startswith("unix:///") or re.fullmatch(pattern, on)):
            raise self.error(path, f"{name} is {kind}; the rig plays it on unix:///PATH, or in a guest on {guest}")
        if kind == "serial" and not on.startswith("/"):
            raise self.error(path, f"{name} is serial; the rig plays it on a port such as /dev/ttyUSB7")
        if kind == "can" and "/" in on and "://" not in on:
            raise self.error(path, f"{name} is can; the rig joins can0, udp://GROUP:PORT or INTERFACE:CHANNEL")


def _real(board: BoardConfig, bench: BenchConfig, check: _Check) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Buses and devices that are real, in the board's order."""
    devices = {device.name: device for device in board.devices}
    check.names("real_buses", bench.real_buses, board.buses)
    check.names("real_devices", bench.real_devices, devices)
    for name in bench.buses:
        if name not in board.buses or name in bench.real_buses:
            why = "is real; the rig does not play it" if name in board.buses else f"no bus {name}"
            raise check.error(["buses", name], why)
    real = {d.name for d in board.devices if d.name in bench.real_devices or d.bus in bench.real_buses}
    buses = set(bench.real_buses)
    for name in bench.real_devices:
        bus = devices[name].bus
        others = [d.name for d in board.devices if d.bus == bus and d.name not in real]
        if bus in buses or (board.buses[bus].kind == "can" and others):
            continue
        if others:
            where: list[str | int] = ["real_devices", bench.real_devices.index(name)]
            raise check.error(where, f"{name}: {NO_SLAVE.format(board.buses[bus].kind, bus)}")
        buses.add(bus)
    lines = next(name for name, bus in board.buses.items() if bus.kind == "gpio")
    nodes = [d.name for d in board.devices if d.role == "valve_node" and d.name not in real]
    if lines in buses and nodes:
        why = f"{', '.join(nodes)} of the rig need arm, enable and watchdog: let it play {lines} too"
        raise check.error(["real_buses"], why)
    return tuple(n for n in board.buses if n in buses), tuple(d.name for d in board.devices if d.name in real)


def _simulated(profile: Profile, real_buses: Collection[str], real_devices: Collection[str]) -> Profile:
    """The profile without what is real."""
    if not real_buses and not real_devices:
        return profile
    board = profile.board
    isolation = board.isolation if board.isolation and board.isolation.device not in real_devices else None
    left = msgspec.structs.replace(
        board, isolation=isolation, devices=tuple(d for d in board.devices if d.name not in real_devices),
        buses={name: bus for name, bus in board.buses.items() if name not in real_buses},
    )
    return profile._replace(board=left)


def _usual_place(name: str, kind: str, folder: Path, index: int, can_port: int, patience_ms: int) -> str:
    if kind == "can":
        return f"udp://{GROUP.format(FIRST_GROUP + index % (LAST_GROUP - FIRST_GROUP))}:{can_port}"
    if kind == "serial":
        return str(folder / name)
    return f"unix://{folder / name}.sock?patience_ms={patience_ms}"
