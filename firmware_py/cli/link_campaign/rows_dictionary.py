"""Rows 12 and 13: whatever bytes come in, the parser answers; and no cell of the table of rights grants too much.

Row 13 is judged by a table written out here by hand, not by the dictionary's own.
"""

from __future__ import annotations

import resource
from collections import Counter
from itertools import product
from time import perf_counter_ns
from typing import Any, NamedTuple

import numpy as np

from comms.channel_plan import ChannelKind
from comms.dictionary import CHANNELS, COMMANDS, LAYOUTS, Authority, Kind
from comms.dictionary.grants import grant
from comms.dictionary.messages import ParameterListing, Ping, TimeTold, WireCommand
from comms.dictionary.strict_cbor import MESSAGE, Reason, Refusal
from comms.dictionary.wire import encode_frame, encode_message, encode_parts, message_of
from comms.flight_port import CommandStage, EventNote
from firmware_py.cli.link_campaign.row import Progress, Row, RowResult

__all__ = ["ROWS"]

MOST_NS = 1_000_000
MOST_GROWTH_KB = 10 * 1024
MOST_FAILURES = 20
EVERY = 1 << 14

# -- row 12: what comes in


class _Input(NamedTuple):
    """One input, how it was made, and what must come of it: ``None`` anything that is no exception."""

    data: bytes
    how: str
    reason: Reason | None = None


def _valid() -> tuple[bytes, ...]:
    """One good message of most kinds."""
    samples: dict[Kind, Any] = {
        Kind.NUMBER: 1.5, Kind.TEXT: "Idle", Kind.FLAG: True, Kind.TABLE: {"a": 1, "b": None}, Kind.LIST: [0.5, "x"],
        Kind.VECTOR3: (0.1, 2.0, -3.0), Kind.QUATERNION: (1.0, 0.0, 0.0, 0.0),
    }
    snapshot = {c.name: 7 if c.form == "uint32" else samples[c.kind] for c in CHANNELS.values()}
    messages = (
        WireCommand(9, "translate", {"vector_m": [40.0, 0.1, -2.5], "frame": "body"}, 1, 2**40, 3),
        WireCommand(10, "burn", {"segments": [{"duration_s": 1, "level_pct": 40, "direction": "+x"}] * 16}),
        CommandStage(5_000_000, 9, "ground:9", "ground", "translate", "rejected", ("BAT_LOW",), "too low"),
        EventNote(5_000_000, "BAT_LOW", "warning", "battery at 14 %"), TimeTold(1, 2**33, None), Ping(1),
        ParameterListing(3, b"\x01" * 8, 2, ((1, 0.5), (11, "eco"), (16, True))),
    )
    frames = (encode_frame(layout, 10**12, snapshot) for layout in LAYOUTS.values())
    table = {f"device_{index}": "missing" for index in range(20)}
    parts = encode_parts(LAYOUTS["health"], 10**12, {**snapshot, "devices": table}, 80).frames
    return (*map(encode_message, messages), *frames, *parts)


def _bombs() -> tuple[_Input, ...]:
    """Inputs made to hurt, each with the refusal that it must meet."""
    r = Reason
    heads = b"\x9b\xbb\x7b\x5b"
    huge = tuple(_Input(bytes([head]) + b"\x7f" + b"\xff" * 7, "huge length", r.MALFORMED) for head in heads)
    wide = tuple(_Input(bytes([head - 1]) + b"\xff" * 4, "large length", r.MALFORMED) for head in heads)
    return (*huge, *wide,
            _Input(b"", "nothing", r.EMPTY),
            _Input(b"\x81" * 4000 + b"\x01", "depth", r.TOO_DEEP),
            _Input(b"\xa1\x61a" * 1300 + b"\x01", "depth of maps", r.TOO_DEEP),
            _Input(b"\x82\x06\x01\x00", "a byte more", r.TRAILING),
            _Input(b"\x9f\x06\x01\xff", "indefinite list", r.MALFORMED),
            _Input(b"\x82\x06\x5f\x41a\xff", "indefinite bytes", r.MALFORMED),
            _Input(b"\x82\x06\xa2\x61a\x01\x61a\x02", "a key twice", r.MALFORMED),
            _Input(b"\x82\x06\xa1\x01\x02", "a key that is no text", r.MALFORMED),
            _Input(b"\x82\x06\xc2\x49" + b"\xff" * 9, "a bignum", r.TAG),
            _Input(b"\x82\x06\xd8\x23\x68(a+)+$xy", "a pattern", r.TAG),
            _Input(b"\x82\x06\xd8\x1c\x81\xd8\x1d\x00", "a list that holds itself", r.TAG),
            _Input(b"\x82\x06\xf9\x7e\x00", "NaN", r.NOT_FINITE),
            _Input(b"\x82\x06\xf7", "undefined", r.NOT_PLAIN),
            _Input(b"\x82\x06\x62\xff\xfe", "no UTF-8", r.MALFORMED),
            _Input(b"\x82\x18\x63\x01", "no schema", r.UNKNOWN_SCHEMA),
            _Input(b"\x82\x06\x99\x0f\xf0" + b"\x00" * 4080, "many items", r.TOO_MANY),
            _Input(b"\x00" * (MESSAGE.most_bytes + 1), "too long", r.TOO_LONG))


def _inputs(rng: np.random.Generator, cases: int) -> list[_Input]:
    """So many inputs: noise, good messages with bytes changed, cut, joined, and what was made to hurt."""
    good, bombs = _valid(), _bombs()
    kinds, places = rng.integers(0, 16, cases), rng.integers(0, 1 << 30, (cases, 3))
    noise = rng.bytes((1 << 16) + 8192)
    inputs = []
    for kind, (a, b, c) in zip(kinds.tolist(), places.tolist(), strict=True):
        one = good[a % len(good)]
        if kind == 0:
            inputs.append(bombs[a % len(bombs)])
        elif kind == 1:
            inputs.append(_Input(one, "good"))
        elif kind < 5:
            start = b % (1 << 16)
            inputs.append(_Input(noise[start : start + c % (24 if kind < 4 else MESSAGE.most_bytes)], "noise"))
        elif kind < 12:
            changed = bytearray(one)
            changed[b % len(one)] = c & 0xFF
            if kind & 1:
                changed[c % len(one)] ^= 1 << (b % 8)
            inputs.append(_Input(bytes(changed), "changed"))
        elif kind < 14:
            inputs.append(_Input(one[: b % len(one)], "cut"))
        else:
            other = good[c % len(good)]
            inputs.append(_Input(one[: b % (len(one) + 1)] + other[c % (len(other) + 1) :], "joined"))
    return inputs


def _fuzz(rng: np.random.Generator, cases: int, progress: Progress) -> RowResult:
    failures: list[str] = []
    counts: Counter[str] = Counter()
    _judge(_inputs(rng, min(cases, EVERY)), failures, counts)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for done in range(EVERY, cases, EVERY):
        _judge(_inputs(rng, min(cases - done, EVERY)), failures, counts)
        progress(done, cases)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak
    if grown > MOST_GROWTH_KB:
        failures.append(f"memory grew by {grown} KiB")
    progress(cases, cases)
    return RowResult(not failures, cases, {**counts, "grown_kib": grown}, tuple(failures[:MOST_FAILURES]))


def _judge(inputs: list[_Input], failures: list[str], counts: Counter[str]) -> None:
    for one in inputs:
        began = perf_counter_ns()
        try:
            message = message_of(one.data)
        except Exception as error:
            failures.append(f"{one.how}: {type(error).__name__} out of the parser: {one.data[:64].hex()}")
            continue
        if perf_counter_ns() - began > MOST_NS and _slow(one.data):
            failures.append(f"{one.how}: longer than 1 ms: {one.data[:64].hex()} ({len(one.data)} bytes)")
        refused = isinstance(message, Refusal)
        counts["refused" if refused else "taken"] += 1
        if one.how == "good" and refused:
            failures.append(f"good message refused, {message}: {one.data.hex()}")
        elif one.reason is not None and not (isinstance(message, Refusal) and message.reason is one.reason):
            failures.append(f"{one.how}: {message!r:.80}, not {one.reason}: {one.data[:64].hex()}")


def _slow(data: bytes) -> bool:
    """Whether an input is slow by itself, and not because something else had the processor."""
    best = MOST_NS + 1
    for _ in range(20):
        began = perf_counter_ns()
        message_of(data)
        best = min(best, perf_counter_ns() - began)
    return best > MOST_NS


# -- row 13: who may what

_VIEWER = "file_list ping perception_query"
_CONTROLLER = (
    "idle detumble hold slew sun_track translate brake safe emission disarm burn boost_burn burn_stop rendezvous "
    "recover load dock_power sensor_profile param_set param_activate param_rollback emcon nbl_send telemetry_rate "
    "file_send file_suspend file_resume file_cancel sequence_load sequence_start sequence_stop "
    "evade perception_mode threat_acknowledge"
)
_ENGINEER = (
    "override_arm override_fire load_clear monitor_reset_counters nbl_set channel_create channel_close file_delete "
    "key_rotate link_drop"
)
_SAFETY = "safe_acknowledge safe_exit arm monitor_enable fault_clear key_renew command_arm emcon_release"
_MAY: dict[str, frozenset[str]] = {
    "viewer": frozenset(_VIEWER.split()),
    "controller": frozenset(f"{_VIEWER} {_CONTROLLER}".split()),
    "engineer": frozenset(f"{_VIEWER} {_CONTROLLER} {_ENGINEER}".split()),
    "safety": frozenset(f"{_VIEWER} {_CONTROLLER} {_ENGINEER} {_SAFETY}".split()),
}
"""What each role may, every command written out."""
_CARRIES = frozenset({"control", "service"})
_NBL_ARGUMENTS: tuple[dict[str, Any], ...] = tuple(
    {"payload_class": "beacon", "criticality": criticality, **confirmed}
    for criticality in ("critical", "emergency", "non-critical") for confirmed in ({}, {"confirmed": True})
)


class _Cell(NamedTuple):
    role: Any
    command: Any
    channel: Any
    emcon: Any
    arguments: dict[str, Any]


def _expected(cell: _Cell) -> bool:
    """Whether the cell is to be granted."""
    if type(cell.emcon) is not int or not isinstance(cell.role, Authority) or not isinstance(cell.channel, ChannelKind):
        return False
    if cell.command not in _MAY[cell.role.value] or cell.channel.value not in _CARRIES or not 0 <= cell.emcon <= 3:
        return False
    if cell.command == "file_send":
        return cell.emcon == 0
    if cell.command == "nbl_send" and cell.emcon >= 2:
        return cell.arguments == {"payload_class": "beacon", "criticality": "critical", "confirmed": True}
    return True


def _cells() -> list[_Cell]:
    roles = (*Authority, "root", "safety", None)
    commands = (*COMMANDS, "fly", "", 31, None)
    channels = (*ChannelKind, "control", "debug", None)
    levels = (0, 1, 2, 3, 4, -1, True, None)
    return [
        _Cell(*cell, arguments) for cell in product(roles, commands, channels, levels)
        for arguments in (_NBL_ARGUMENTS if cell[1] == "nbl_send" else ({},))
    ]


def _rights(rng: np.random.Generator, cases: int, progress: Progress) -> RowResult:
    cells = _cells()
    chosen = rng.permutation(len(cells))[:cases]
    failures: list[str] = []
    granted = 0
    for index in chosen.tolist():
        cell = cells[index]
        got = not grant(*cell)
        granted += got
        if got != _expected(cell):
            failures.append(f"{'granted' if got else 'denied'}: {tuple(cell)}")
    progress(len(chosen), len(chosen))
    counts = {"granted": granted, "denied": len(chosen) - granted, "wrong": len(failures)}
    return RowResult(not failures, len(chosen), counts, tuple(failures[:MOST_FAILURES]))


CELLS = len(_cells())
ROWS: tuple[Row, ...] = (
    Row(12, "parser fuzz: messages", "10^7 inputs: nothing raised, each decided within 1 ms, memory +10 MiB at most",
        10_000_000, 100_000, _fuzz),
    Row(13, "rights", f"every role x command x channel x emission level ({CELLS} cells): 0 wrong grants", CELLS, CELLS,
        _rights),
)
