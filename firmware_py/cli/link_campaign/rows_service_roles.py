"""Row 13, the service: what a peer's role does not allow never reaches the flight loop, whatever way it is sent.

Four stations, one of each role, over cables, so that every emission level leaves them their sessions. Each cell is one
command of one role at one level, over the control channel, as a line of the debug shell, or on a channel that carries
no commands.
"""

from __future__ import annotations

from collections import Counter
from itertools import product
from typing import Any, NamedTuple

import numpy as np

from comms.channel_plan import channel_named
from comms.dictionary import COMMANDS, Argument, Authority, Command, Kind
from comms.dictionary.messages import WireCommand
from comms.dictionary.wire import encode_command
from comms.emcon import EmconLevel, Transmitter
from comms.watch.meta import Outcome
from fdir.codes import Code
from firmware_py.cli.link_campaign.row import Progress, Row, RowResult
from firmware_py.cli.link_campaign.service_rig import ServiceRig

__all__ = ["CELLS", "SERVICE_ROLES_ROW", "run_service_roles", "sample"]

KEPT = 20
ROLES = tuple(Authority)
BY_SHELL = {
    "idle": "idle", "brake": "brake", "safe": "safe", "safe_acknowledge": "safe_acknowledge", "arm": "arm",
    "disarm": "disarm", "key_rotate": "key_rotate", "file_list": "file_list", "file_send": "file_send idle",
}
"""Lines for the shell, by command."""
OTHER_CHANNELS = ("telemetry", "events", "files", "science", "service", "bundles")
CONTROL = channel_named("control").id
STRANGE = (b"\x00", b"\x81\x00", b"\x88\x01\x02\x19\x7f\xff\x80\xf6\xf6\xf6\xf6", b"\xff" * 40)
"""Payloads on the control channel that are no command of the dictionary."""
_NUMBERS = {Kind.NUMBER, Kind.INTEGER}
_VECTORS = {Kind.VECTOR3: 3, Kind.QUATERNION: 4, Kind.WRENCH: 6}


class Cell(NamedTuple):
    """One thing that is tried: role, way, command or payload, level of emission control."""

    role: Authority
    way: str
    what: str
    level: int


def _cells() -> tuple[Cell, ...]:
    levels = tuple(int(level) for level in EmconLevel)
    return (
        *(Cell(*cell) for cell in product(ROLES, ("control",), COMMANDS, levels)),
        *(Cell(*cell) for cell in product(ROLES, ("shell",), BY_SHELL, levels)),
        *(Cell(*cell) for cell in product(ROLES, OTHER_CHANNELS, ("ping",), levels)),
        *(Cell(*cell) for cell in product(ROLES, ("strange",), map(str, range(len(STRANGE))), levels)),
    )


def sample(command: Command) -> dict[str, Any]:
    """Arguments that the dictionary takes for a command."""
    wanted = command.one_of[0] if command.one_of else ()
    chosen = [a for a in command.arguments if a.required or a.name in wanted]
    barred = {name for other in command.one_of[1:] for name in other} - set(wanted)
    return {argument.name: _value(argument) for argument in chosen if argument.name not in barred}


def _value(argument: Argument) -> Any:
    kind, low, high = argument.kind, argument.low, argument.high
    least = low if low is not None else min(0.0, high or 0.0)
    if kind in _NUMBERS:
        value = max(least, 1.0) if high is None or high >= 1.0 else least
        return int(value) if kind is Kind.INTEGER else value
    if kind in _VECTORS:
        return [1.0, *[0.0] * (_VECTORS[kind] - 1)]
    if kind is Kind.CHOICE:
        return argument.choices[0]
    if kind is Kind.FLAG:
        return True
    if kind is Kind.DIRECTION:
        return "+x"
    if kind is Kind.RECORDS:
        return [{field.name: _value(field) for field in argument.fields if field.required}]
    return "idle"


def _may(cell: Cell) -> bool:
    """Whether a cell may reach the flight loop."""
    if cell.way not in ("control", "shell"):
        return False
    if ROLES.index(cell.role) < ROLES.index(COMMANDS[cell.what].authority):
        return False
    if cell.what == "file_send":
        return cell.level == 0
    return cell.what != "nbl_send" or cell.level <= 1


def run_service_roles(rng: np.random.Generator, cases: int, progress: Progress) -> RowResult:
    """``cases`` cells in an order drawn at random."""
    rig = ServiceRig(
        rng, {role.value: Transmitter.CABLE for role in ROLES}, {role.value: (role.value, role) for role in ROLES},
        bit_rate=10e6, neighbours={101: ("docked", Transmitter.BRIDGE)},
    )
    failures: list[str] = []
    counts: Counter[str] = Counter()
    if not rig.connect():
        return RowResult(False, 0, {}, ("the stations never connected",))
    order = rng.permutation(len(_CELLS))[:cases].tolist()
    # By level, since a change of it takes as long as any cell.
    order.sort(key=lambda index: _CELLS[index].level)
    for done, index in enumerate(order):
        cell = _CELLS[index]
        if int(rig.link.emcon.level) != cell.level:
            rig.link.emcon.set_level(EmconLevel(cell.level), rig.craft_ns)
        expected = _may(cell)
        reached, told = _try(rig, cell)
        counts["reached the flight loop" if reached else "held back"] += 1
        if reached != expected:
            failures.append(f"{'granted' if reached else 'held back'}: {tuple(map(str, cell))}")
        elif not told:
            failures.append(f"nobody was told: {tuple(map(str, cell))}")
        progress(done + 1, cases)
    counts["wrong"] = len(failures)
    return RowResult(not failures, len(order), dict(counts), tuple(failures[:KEPT]))


def _try(rig: ServiceRig, cell: Cell) -> tuple[bool, bool]:
    """Whether it reached the flight loop, and whether the sender, or for what is no message a counter, was told."""
    station = rig.stations[cell.role.value]
    ground, asked = station.ground, rig.flight.asked
    before = sum(asked.values())
    if cell.way == "control":
        command = COMMANDS[cell.what]
        order = ground.order(cell.what, sample(command), rig.now_ns, priority="urgent")
        rig.run(1.0, lambda: bool(order.verdict))
        reached = sum(asked.values()) > before
        named = reached or any(code in order.detail for code in (Code.CMD_UNAUTHORIZED, Code.EMCON_BLOCK))
        return reached, named and bool(order.verdict)
    if cell.way == "shell":
        return _by_shell(rig, cell, before)
    unread = _refused(rig)
    payload = STRANGE[int(cell.what)] if cell.way == "strange" else encode_command(
        WireCommand((rig.craft_ns // 10_000_000) + 5_000_000, "ping", {"number": 1}, start=rig.starts)
    )
    channel = CONTROL if cell.way == "strange" else channel_named(cell.way).id
    assert ground.end is not None
    ground.end.put(channel, payload, rig.now_ns)
    rig.run(0.2)
    return sum(asked.values()) > before, _refused(rig) > unread


def _by_shell(rig: ServiceRig, cell: Cell, before: int) -> tuple[bool, bool]:
    pipe = rig.stations[cell.role.value].ground.shell()
    assert pipe is not None
    pipe.read(1 << 16)
    pipe.write(f"{BY_SHELL[cell.what]}\n".encode())
    told = b""

    def answered() -> bool:
        nonlocal told
        came = pipe.read(1 << 16)
        told += came
        if b"Type yes" in came:
            pipe.write(b"yes\n")
        return sum(rig.flight.asked.values()) > before

    rig.run(0.5, answered)
    reached = sum(rig.flight.asked.values()) > before
    return reached, reached or cell.what.encode() in told


def _refused(rig: ServiceRig) -> int:
    """Payloads that nobody has taken, by the books of all who might have."""
    link = rig.link
    frames = link.watch.detector.frames
    nodes = sum(link.bundles.dropped.values()) if link.bundles is not None else 0
    return (frames[Outcome.UNKNOWN_COMMAND] + frames[Outcome.DENIED] + nodes
            + sum(link.files.entity.counts.refused.values()))


_CELLS = _cells()
CELLS = len(_CELLS)
SERVICE_ROLES_ROW = Row(
    13, "rights in the whole service",
    f"every role x command x level over sealed sessions, as line of the shell, and on channels that carry none "
    f"({CELLS} cells): 0 reach the flight loop that may not, and whoever asked is told why", CELLS, 200,
    run_service_roles,
)
