"""What the bench shows of a whole board: who answers on its buses, and how its devices fare as in flight."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, fields, is_dataclass
from enum import Enum
from itertools import groupby
from typing import Any

import msgspec
from rich import box
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from drivers.errors import DeviceError
from firmware_py.clock import Clock, RealClock, RealMeter, SimClock
from firmware_py.probe import Finding, Prober, Verdict
from hal.hardware import Hardware
from hal.manager import DeviceState
from hal.profile import BoardConfig, ConfigError, DeviceConfig, Profile, load_board, load_profile
from hal.reading import Quality
from hal.recovery import InlineWorker, ThreadWorker

__all__ = [
    "BenchError", "Opened", "opened_buses", "plain", "probe", "profile_of", "result_of", "text_of", "values_of",
    "watch",
]

NS = 1_000_000_000
MS = 1_000_000
SEED = 1
TICK_NS = 5 * MS
"""Time of one transaction: as in flight at 200 Hz, where parts count their patience in slots."""
PAGE_NS = 5 * NS
"""How long each page of a list stands that is longer than the terminal."""
WIDE = 110
"""Columns from which on the part stands beside the device."""
SHOWN = 8
"""Values of a tuple that are written out."""
STYLE = {
    Verdict.ANSWERS: "green", Verdict.SPEAKS: "green", Verdict.UNKNOWN: "yellow", Verdict.NO_BUS: "yellow",
    Verdict.MISSING: "bold red", Verdict.WRONG_ID: "bold red", Verdict.SILENT: "bold red", Verdict.FAILS: "bold red",
}
STATE_STYLE = {
    DeviceState.OK: "green", DeviceState.INIT: "yellow", DeviceState.DEGRADED: "yellow", DeviceState.LOST: "bold red",
}


class BenchError(Exception):
    """A request that can't be done (``code`` 2) or a part that doesn't do it (1), with the next step."""

    def __init__(self, problem: str, next_step: str = "", code: int = 2) -> None:
        super().__init__(problem)
        self.next_step = next_step
        self.code = code


@dataclass(frozen=True, slots=True)
class Opened:
    """Buses of a board with the clock they live on.

    ``buses`` are those that are open; ``complete`` has a stand-in for each of the others, which opens it when it can.
    ``failures`` tells why they are not open, as of now; ``refusals`` that of the beginning with what to do.
    """

    buses: Mapping[str, Any]
    complete: Mapping[str, Any]
    refusals: Mapping[str, tuple[DeviceError, str]]
    failures: Mapping[str, DeviceError]
    clock: Clock


@contextmanager
def opened_buses(board: BoardConfig, profile: Profile | None) -> Iterator[Opened]:
    """Real buses, or with a profile those of a rig in which every chip has been powered for a second."""
    if profile is not None:
        from hil.plant.world import InitialState
        from hil.rig import Rig

        rig = Rig(profile, InitialState(epoch=0), SEED)
        clock = SimClock(0, rig.advance)
        for step in range(NS // TICK_NS):
            clock.sleep_until_ns(step * TICK_NS)
        yield Opened(rig.buses, rig.buses, {}, {}, clock)
        return
    from hal.transports import advice, open_buses

    real = RealClock(spin_us=0)
    with open_buses(board, real.now_ns) as opened:
        refusals = {name: (error, advice(board.buses[name], error)) for name, error in opened.failures.items()}
        yield Opened(opened, opened.complete(), refusals, opened.failures, real)


def profile_of(board: str, body: str | None) -> Profile:
    """The board with a body that fits it."""
    if body is not None:
        return load_profile(body, board)
    problem: ConfigError | None = None
    for name in ("qiki-t", "bench-12kg"):
        try:
            return load_profile(name, board)
        except ConfigError as error:
            problem = problem or error
    if problem is None:
        raise BenchError(f"no body fits {board}", "name one with --body")
    raise problem


# -- probe


def probe(board_name: str, rig: bool, body: str | None, listen_s: float, as_json: bool) -> int:
    """Walk every bus and show what was found. Exit code 0 if everything of the board answers.

    Raises:
        ConfigError, BenchError: the board, its settings or the request are wrong.
    """
    board = load_board(board_name)
    profile = profile_of(board_name, body) if rig else None
    console = Console()
    findings: list[Finding] = []
    with opened_buses(board, profile) as opened:
        prober = Prober(board, opened.buses, opened.refusals, opened.clock, RealMeter(), round(listen_s * NS))
        if as_json:
            findings = list(prober.walk())
        else:
            with console.status(f"asking the buses of {board.board} ...") as status:
                for finding in prober.walk():
                    findings.append(finding)
                    status.update(f"{finding.bus} {finding.where} {finding.device or ''}")
    good = all(f.verdict.good or f.verdict is Verdict.UNKNOWN for f in findings)
    if as_json:
        print(json.dumps({
            "board": board.board, "rig": rig, "complete": good,
            "findings": [{**asdict(f), "verdict": f.verdict.value, "cause": f.cause.value if f.cause else None}
                         for f in findings],
            "computer": _computer_json(rig),
        }, indent=1))
    else:
        console.print(_probe_view(board, findings, rig, console.width))
    return 0 if good else 1


def _probe_view(board: BoardConfig, findings: Sequence[Finding], rig: bool, width: int) -> RenderableType:
    """A paragraph for every bus, in columns that stand under one another; then what to do, and the sum."""
    asked = [f for f in findings if f.verdict is not Verdict.NO_BUS]
    widths = [max((len(text) for text in column), default=0) for column in zip(*map(_cells, asked), strict=True)]
    if widths and width < WIDE:
        widths[2] = 0
    parts: list[RenderableType] = []
    for name, group in groupby(findings, key=lambda f: f.bus):
        here = list(group)
        parts.append(Text.assemble((name, "bold"), f"  {board.buses[name].device}"))
        if here[0].verdict is Verdict.NO_BUS:
            parts += [_paragraph(text) for text in _not_open(here)]
        else:
            parts.append(Padding(_rows(here, widths), (0, 0, 0, 2)))
        parts.append(Text(""))
    todo = _to_do(asked)
    if todo:
        parts.append(Text("what to do", style="bold"))
        for names, advice in todo:
            parts += [Padding(Text(names, style="yellow"), (0, 0, 0, 2)), Padding(Text(advice), (0, 0, 0, 6))]
        parts.append(Text(""))
    if not rig:
        parts += [Text("this computer", style="bold"), *(_paragraph(Text(t)) for t in _computer_lines()), Text("")]
    count = sum(f.verdict.good for f in findings if f.part is not None)
    total = sum(f.part is not None for f in findings)
    where = "on the rig" if rig else "on this computer"
    parts.append(Text(f"{board.board} {where}: {count} of {total} devices answer", style="bold"))
    return Group(*parts)


def _cells(f: Finding) -> tuple[str, str, str, str]:
    return f.where, f.device or "", f.part or "", f.verdict.value


def _paragraph(text: Text) -> RenderableType:
    return Padding(text, (0, 0, 0, 2))


def _rows(findings: Iterable[Finding], widths: Sequence[int]) -> Table:
    """One bus's findings; a column of no width is left out."""
    table = Table.grid(padding=(0, 2, 0, 0))
    for width in widths:
        if width:
            table.add_column(no_wrap=True, width=width)
    table.add_column(overflow="fold", ratio=1)
    table.add_column(no_wrap=True, justify="right", style="dim", width=8)
    table.expand = True
    for f in findings:
        cells: list[str | Text] = [*_cells(f)[:3], Text(f.verdict.value, style=STYLE[f.verdict])]
        latency = "" if f.latency_us is None else f"{f.latency_us:.0f} us"
        table.add_row(*(c for c, width in zip(cells, widths, strict=True) if width), f.found, latency)
    return table


def _not_open(findings: Sequence[Finding]) -> list[Text]:
    """A bus that could not be opened: why, what to do, and whom that concerns."""
    bus, *devices = findings
    lines = [Text.assemble((bus.verdict.value, STYLE[bus.verdict]), f": {bus.found}"), Text(bus.advice)]
    if devices:
        lines.append(Text(f"not asked: {', '.join(f.device or f.where for f in devices)}", style="dim"))
    return lines


def _to_do(findings: Iterable[Finding]) -> list[tuple[str, str]]:
    """Advice once for all the devices that need the same."""
    grouped: dict[str, list[str]] = {}
    for f in findings:
        if f.advice:
            grouped.setdefault(f.advice, []).append(f.device or f"{f.bus} {f.where}".rstrip())
    return [(", ".join(names), advice) for advice, names in grouped.items()]


def _platform() -> tuple[Any, Any]:
    """Health of this computer, and its watchdog's name; each an error where it can't be told."""
    from drivers import linux_platform, linux_watchdog

    results = []
    for module in (linux_platform, linux_watchdog):
        device = module.Device(None, None, module.Settings())
        try:
            sequence = device.acquire() if module is linux_platform else device.identify()
            results.append(result_of(sequence))
        except DeviceError as error:
            results.append(error)
    return results[0], results[1]


def _computer_json(rig: bool) -> Any:
    if rig:
        return None
    platform, watchdog = _platform()
    return {
        "health": str(platform) if isinstance(platform, DeviceError) else msgspec.to_builtins(platform),
        "watchdog": str(watchdog),
    }


def _computer_lines() -> list[str]:
    platform, watchdog = _platform()
    lines = [f"watchdog: {watchdog.detail if isinstance(watchdog, DeviceError) else watchdog}"]
    if isinstance(platform, DeviceError):
        return [*lines, f"health: {platform}"]
    missing = [f.name for f in fields(platform) if getattr(platform, f.name) is None]
    lines += [f"{name}: {text}" for name, text in values_of(platform) if name not in missing]
    return [*lines, *([f"missing: {', '.join(missing)}"] if missing else [])]


# -- watch


def watch(board_name: str, rig: bool, body: str | None, seconds: float | None, as_json: bool) -> int:
    """Poll every device as in flight and show state, reading, age and errors until interrupted.

    A bus that can't be opened is told; its devices are lost until it can. Exit code 0 if every device was well last.

    Raises:
        ConfigError, BenchError: as ``probe``.
    """
    profile = profile_of(board_name, body)
    board = profile.board
    console = Console()
    with opened_buses(board, profile if rig else None) as opened:
        hardware = Hardware(profile, opened.complete, InlineWorker if rig else ThreadWorker)
        view = _Watch(hardware, board, opened.failures)
        clock = opened.clock
        pace = RealClock(spin_us=0)
        tick_ns = round(NS / board.rates.fast_hz)
        medium = max(1, round(board.rates.fast_hz / board.rates.medium_hz))
        origin_ns, shown_ns, tick = clock.now_ns(), -NS, 0
        with suppress(KeyboardInterrupt), Live(console=console, auto_refresh=False, transient=True) as live:
            while seconds is None or tick * tick_ns < seconds * NS:
                tick += 1
                clock.sleep_until_ns(origin_ns + tick * tick_ns)
                now_ns = clock.now_ns()
                hardware.sense(now_ns)
                if tick % medium == 0:
                    hardware.survey(now_ns)
                if now_ns - shown_ns >= NS // 2 and not as_json:
                    shown_ns = now_ns
                    if console.is_terminal:
                        live.update(view.page(now_ns, console.width, console.height), refresh=True)
                        if rig:
                            pace.sleep_until_ns(tick * tick_ns)
        if as_json:
            print(json.dumps(view.as_json(clock.now_ns()), indent=1))
        else:
            console.print(view.whole(clock.now_ns(), console.width))
    return 0 if not hardware.not_ok() else 1


class _Watch:
    """State, reading, age and errors of every device, and how the buses are.

    Args:
        hardware: what is watched.
        board: its description.
        failures: why buses are not open, as of now.
    """

    def __init__(self, hardware: Hardware, board: BoardConfig, failures: Mapping[str, DeviceError]) -> None:
        self._hardware = hardware
        self._board = board
        self._failures = failures

    def whole(self, now_ns: int, width: int) -> RenderableType:
        """Everything, however long."""
        return Group(self._table(self._board.devices, now_ns, width), Text(""), *self._buses())

    def page(self, now_ns: int, width: int, height: int) -> RenderableType:
        """What fits on a terminal: devices that are not well always, the others page by page."""
        buses = self._buses()
        room = max(1, height - len(buses) - 5)
        states = self._hardware.states()
        devices = self._board.devices
        if len(devices) <= room:
            return self.whole(now_ns, width)
        held = [d for d in devices if states.get(d.name) is not DeviceState.OK]
        if len(held) >= room:
            held = []
        turning = [d for d in devices if d not in held]
        room -= len(held)
        pages = -(-len(turning) // room)
        number = now_ns // PAGE_NS % pages
        shown = [*held, *turning[number * room : (number + 1) * room]]
        note = Text(f"\npage {number + 1} of {pages}, devices that are not well first", style="dim")
        return Group(self._table(shown, now_ns, width), note, *buses)

    def as_json(self, now_ns: int) -> Any:
        """The same as plain data; what is not known is null."""
        hardware, states = self._hardware, self._hardware.states()
        counters = hardware.counters()
        devices = {}
        for device in self._board.devices:
            reading, count, state = self._reading(device, now_ns), counters.get(device.name), states.get(device.name)
            known = reading is not None and reading.value is not None
            devices[device.name] = {
                "part": device.part, "state": None if state is None else state.name.lower(),
                "quality": None if reading is None else reading.quality.name.lower(),
                "age_s": (now_ns - reading.t_ns) / NS if reading is not None and known else None,
                "sample": plain(reading.value) if reading is not None and known else None,
                "samples": None if count is None else count.samples, "errors": {} if count is None else count.by_cause,
            }
        buses = {
            name: {"state": guard.state.name.lower(), "hangs": guard.counters.hangs, "cures": guard.counters.cured_by}
            for name, guard in hardware.guards.items()
        }
        not_open = {name: str(error) for name, error in self._failures.items()}
        return {"board": self._board.board, "devices": devices, "buses": buses, "not_open": not_open}

    def _reading(self, device: DeviceConfig, now_ns: int) -> Any:
        return None if device.role == "valve_node" else self._hardware.reading(device.name, now_ns)

    def _table(self, devices: Iterable[DeviceConfig], now_ns: int, width: int) -> Table:
        wide = width >= WIDE
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, expand=True)
        table.add_column("device", no_wrap=True)
        if wide:
            table.add_column("part", no_wrap=True)
        table.add_column("state", no_wrap=True)
        table.add_column("reading", no_wrap=True, overflow="ellipsis", ratio=1)
        table.add_column("age, s", no_wrap=True, justify="right")
        table.add_column("errors", no_wrap=not wide, overflow="ellipsis", max_width=40 if wide else 14)
        states, counters = self._hardware.states(), self._hardware.counters()
        for device in devices:
            state, count = states.get(device.name), counters.get(device.name)
            reading = self._reading(device, now_ns)
            text, age = "", ""
            if reading is not None and reading.value is not None:
                text = ", ".join(f"{name} {value}" for name, value in values_of(reading.value, 4))
                age = f"{(now_ns - reading.t_ns) / NS:.2f}"
                if reading.quality is not Quality.OK:
                    text = f"{reading.quality.name.lower()}: {text}"
            errors = "" if count is None else " ".join(f"{cause} {n}" for cause, n in sorted(count.by_cause.items()))
            shown = Text("-") if state is None else Text(state.name.lower(), style=STATE_STYLE[state])
            table.add_row(device.name, *([device.part] if wide else []), shown, text, age, errors)
        return table

    def _buses(self) -> list[Text]:
        """A line for every bus that has slots, and for every bus that is not open."""
        lines = []
        for name, slots in self._hardware.slots.items():
            guard = self._hardware.guards[name]
            counters = guard.counters
            text = f"bus {name}: " + ("in service" if guard.in_service else guard.state.name.lower())
            text += f", {counters.hangs} hangs, {counters.cures} cures" if counters.hangs else ""
            if guard.in_service and slots.granted:
                text += f", slots {100 * slots.used / slots.granted:.0f} % used"
            why = self._failures.get(name)
            text += f", not open: {why.detail or why.cause.value}" if why is not None else ""
            lines.append(Text(text, style="dim" if guard.in_service else "yellow", no_wrap=True, overflow="ellipsis"))
        for name, error in self._failures.items():
            if name not in self._hardware.slots:
                text = f"bus {name}: not open: {error.detail or error.cause.value}"
                lines.append(Text(text, style="yellow", no_wrap=True, overflow="ellipsis"))
        return lines


# -- values as text and as JSON


def result_of(sequence: Any) -> Any:
    """What a sequence that needs no time gives."""
    while True:
        try:
            next(sequence)
        except StopIteration as done:
            return done.value


def plain(value: Any) -> Any:
    """A value as JSON knows it; an enumeration's member by its name."""
    return msgspec.to_builtins(value, enc_hook=str)


def values_of(sample: Any, shown: int = SHOWN) -> list[tuple[str, str]]:
    """Fields of a sample as text; what is missing says so."""
    if is_dataclass(sample):
        return [(f.name, text_of(getattr(sample, f.name), shown)) for f in fields(sample)]
    names = getattr(sample, "_fields", ())
    return [(name, text_of(value, shown)) for name, value in zip(names, sample, strict=True)] if names else []


def text_of(value: Any, shown: int = SHOWN) -> str:
    if value is None:
        return "missing"
    if isinstance(value, bool | str):
        return str(value)
    if isinstance(value, Enum):
        return value.name if value.name is not None else str(value.value)
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, bytes):
        return f"{value.hex(' ')}h"
    if isinstance(value, tuple | list):
        listed = [text_of(v, shown) if not is_dataclass(v) else "(...)" for v in value[:shown]]
        more = f", ... {len(value)} in all" if len(value) > shown else ""
        return f"({', '.join(listed)}{more})"
    return str(value)
