"""What the bench shows: who answers on a board's buses, how its devices fare, and one chip's registers."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, fields, is_dataclass
from enum import Enum
from importlib import import_module
from itertools import groupby
from pkgutil import iter_modules
from typing import Any

import msgspec
from rich import box
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from drivers.device import Access, Codec, Register
from drivers.errors import Cause, DeviceError
from firmware_py.clock import Clock, RealClock, RealMeter, SimClock
from firmware_py.probe import Finding, Prober, Verdict, driver_of
from hal.causes import CAUSES
from hal.hardware import Hardware, load_part
from hal.manager import DeviceState
from hal.profile import BoardConfig, ConfigError, DeviceConfig, Profile, load_board, load_profile
from hal.reading import Quality
from hal.recovery import HANGS, InlineWorker, ThreadWorker

__all__ = ["BenchError", "chip", "decode", "probe", "watch"]

NS = 1_000_000_000
MS = 1_000_000
SEED = 1
TICK_NS = 5 * MS
"""Time of one transaction: as in flight at 200 Hz, where parts count their patience in slots."""
ASK_AGAIN_NS = 50 * MS
LONGEST_WAIT_NS = 3 * NS
COLLECT_NS = 1_200 * MS
PAGE_NS = 5 * NS
"""How long each page of a list stands that is longer than the terminal."""
WIDE = 110
"""Columns from which on the part stands beside the device."""
_PLACE = re.compile(r"0x([0-9a-f]+)|([0-9a-f]+)h")
"""A register by its pointer: 0x3e or 3eh."""
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
class _Buses:
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
def _opened(board: BoardConfig, profile: Profile | None) -> Iterator[_Buses]:
    """Real buses, or with a profile those of a rig in which every chip has been powered for a second."""
    if profile is not None:
        from hil.plant.world import InitialState
        from hil.rig import Rig

        rig = Rig(profile, InitialState(epoch=0), SEED)
        clock = SimClock(0, rig.advance)
        for step in range(NS // TICK_NS):
            clock.sleep_until_ns(step * TICK_NS)
        yield _Buses(rig.buses, rig.buses, {}, {}, clock)
        return
    from hal.transports import advice, open_buses

    real = RealClock(spin_us=0)
    with open_buses(board, real.now_ns) as opened:
        refusals = {name: (error, advice(board.buses[name], error)) for name, error in opened.failures.items()}
        yield _Buses(opened, opened.complete(), refusals, opened.failures, real)


def _profile(board: str, body: str | None) -> Profile:
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
    profile = _profile(board_name, body) if rig else None
    console = Console()
    findings: list[Finding] = []
    with _opened(board, profile) as opened:
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
            results.append(_result(sequence))
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
    lines += [f"{name}: {text}" for name, text in _values(platform) if name not in missing]
    return [*lines, *([f"missing: {', '.join(missing)}"] if missing else [])]


# -- watch


def watch(board_name: str, rig: bool, body: str | None, seconds: float | None, as_json: bool) -> int:
    """Poll every device as in flight and show state, reading, age and errors until interrupted.

    A bus that can't be opened is told; its devices are lost until it can. Exit code 0 if every device was well last.

    Raises:
        ConfigError, BenchError: as ``probe``.
    """
    profile = _profile(board_name, body)
    board = profile.board
    console = Console()
    with _opened(board, profile if rig else None) as opened:
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
                "sample": _plain(reading.value) if reading is not None and known else None,
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
                text = ", ".join(f"{name} {value}" for name, value in _values(reading.value, 4))
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


# -- one chip


def chip(
    name: str, action: str, what: str | None, value: str | None, board_name: str, rig: bool, body: str | None,
    armed: bool, as_json: bool,
) -> int:
    """Read, dump or write one device of a board. Exit code 0 if it did, 1 if a write did not read back.

    Raises:
        ConfigError, BenchError: the board, the device or the request are wrong, or the chip doesn't answer.
    """
    board = load_board(board_name)
    device = next((d for d in board.devices if d.name == name), None)
    if device is None:
        raise BenchError(
            f"board {board.board} has no device {name!r}", f"devices: {', '.join(d.name for d in board.devices)}"
        )
    if action not in ("read", "dump", "write"):
        raise BenchError(f"no action {action!r}", "actions: read, dump, write, decode")
    if action == "write" and not armed:
        raise BenchError("a write changes what the chip does", "say --arm if you mean it")
    module, _ = load_part(board, device)
    registers: tuple[Register, ...] = getattr(module, "REGISTERS", ())
    register: Register | None = None
    data: bytes | None = None
    if action == "write" or (action == "read" and what is not None):
        register = _register(device, registers, what)
    if action == "write" and register is not None:
        data = _to_write(device, register, value)
    elif register is not None and register.access is Access.CLEARS and not armed:
        raise BenchError(f"reading {register.name} clears it", "say --arm if you mean it")
    if action == "dump" and not registers:
        raise BenchError(f"{device.part} has no registers", f"qiki chip {device.name} read")
    if device.role == "valve_node":
        raise BenchError(f"{name} is a valve node", "qiki probe asks it who it is, qiki probe --watch how it is")
    profile = _profile(board_name, body) if rig else None
    with _opened(board, profile) as opened:
        refusal = opened.refusals.get(device.bus)
        if refusal is not None:
            raise BenchError(f"bus {device.bus} can't be opened: {refusal[0]}", refusal[1], 1)
        try:
            with _reached(device, board, opened.buses[device.bus]) as driver:
                if register is not None and data is not None:
                    return _write(driver, register, data, as_json)
                if register is not None:
                    return _read(driver, register, as_json)
                if action == "dump":
                    return _dump(driver, registers, as_json)
                return _Sampling(device, driver, opened.buses[device.bus], opened.clock).show(armed, as_json)
        except DeviceError as error:
            raise BenchError(str(error), _next_step(error, armed), 1) from None


@contextmanager
def _reached(device: DeviceConfig, board: BoardConfig, bus: Any) -> Iterator[Any]:
    """The driver of a device; a multiplexer before it is switched off at the end."""
    if device.role == "mux":
        mux = load_part(board, device)[0].Mux(bus, device.address)
        yield driver_of(device, board, bus, mux=mux)[1]
    elif device.mux is None:
        yield driver_of(device, board, bus)[1]
    else:
        before = next(d for d in board.devices if d.name == device.mux)
        mux = load_part(board, before)[0].Mux(bus, before.address)
        try:
            yield driver_of(device, board, mux.channel(device.channel))[1]
        finally:
            with suppress(DeviceError):  # what is to be told is how the device fared
                mux.deselect()


def _next_step(error: DeviceError, armed: bool) -> str:
    if error.cause in (Cause.RESET, Cause.STALE_COUNTER) and not armed:
        return "the chip is not set up as the board says; --arm does that first, as in flight"
    if error.cause is Cause.SILENT and not armed:
        return f"--arm tells it to speak first, as in flight; otherwise {CAUSES[error.cause].advice}"
    return CAUSES[error.cause].advice


class _Sampling:
    """Takes one sample of a device in whatever way its bus asks for.

    Args:
        device: of the board.
        driver: its driver.
        bus: the bus, for a part that is heard on a shared one.
        clock: of the buses.
    """

    def __init__(self, device: DeviceConfig, driver: Any, bus: Any, clock: Clock) -> None:
        self._device = device
        self._driver = driver
        self._bus = bus
        self._clock = clock

    def show(self, armed: bool, as_json: bool) -> int:
        """Print one sample; ``armed``: the part is configured first. Raises DeviceError, SILENT if there is none."""
        driver = self._driver
        polled = hasattr(driver, "acquire")
        if armed and hasattr(driver, "initialise"):
            self._run(driver.initialise())
        elif polled:
            self._run(driver.identify())
            if not as_json:
                print("read from the chip as it is; --arm sets it up first, as in flight", file=sys.stderr)
        sample = self._first()
        if as_json:
            print(json.dumps({
                "device": self._device.name, "part": self._device.part, "configured": armed, "sample": _plain(sample),
            }))
        else:
            for label, text in _values(sample) or [("value", _text(sample))]:
                print(f"{label} {text}")
        return 0

    def _first(self) -> Any:
        """The first sample there is."""
        driver, clock = self._driver, self._clock
        end_ns = clock.now_ns() + max(LONGEST_WAIT_NS, self._device.timeout_ms * MS)
        if hasattr(driver, "take"):
            return self._collected(end_ns)
        while clock.now_ns() < end_ns:
            if hasattr(driver, "acquire"):
                sample = self._run(driver.acquire())
                pause_ns = ASK_AGAIN_NS
            else:
                sample, pause_ns = driver.poll(clock.now_ns()), TICK_NS
            if sample is not None:
                return sample
            clock.sleep_until_ns(clock.now_ns() + pause_ns)
        raise self._silent()

    def _collected(self, end_ns: int) -> Any:
        """What a part on a shared bus has said in a second: some say it in several frames."""
        driver, clock, sample = self._driver, self._clock, None
        enough_ns = clock.now_ns() + COLLECT_NS
        while (now_ns := clock.now_ns()) < (end_ns if sample is None else enough_ns):
            while (frame := self._bus.receive()) is not None:
                if frame.can_id in driver.can_ids and not frame.extended:
                    heard = driver.take(frame, now_ns)
                    sample = sample if heard is None else heard
            clock.sleep_until_ns(now_ns + TICK_NS)
        if sample is None:
            raise self._silent()
        return sample

    def _silent(self) -> DeviceError:
        return DeviceError(self._device.bus, self._device.address, Cause.SILENT, "no sample in time")

    def _run(self, sequence: Any) -> Any:
        """A driver's sequence to its end, one transaction a tick."""
        while True:
            try:
                next(sequence)
            except StopIteration as done:
                return done.value
            self._clock.sleep_until_ns(self._clock.now_ns() + TICK_NS)


def _read(driver: Any, register: Register, as_json: bool) -> int:
    data = driver.read_register(register)
    print(json.dumps({register.name: data.hex()}) if as_json else f"{register.name} {data.hex(' ')}")
    return 0


def _dump(driver: Any, registers: Iterable[Register], as_json: bool) -> int:
    """All registers; one that is refused says so. Raises DeviceError if the bus hangs."""
    rows: list[tuple[Register, bytes | DeviceError | None]] = []
    for register in registers:
        data: bytes | DeviceError | None = None
        if register.access is not Access.CLEARS:
            try:
                data = driver.read_register(register)
            except DeviceError as error:
                if error.cause in HANGS or not any(isinstance(d, bytes) for _, d in rows):
                    raise
                data = error
        rows.append((register, data))
    if as_json:
        print(json.dumps({r.name: d.hex() if isinstance(d, bytes) else None for r, d in rows}, indent=1))
    else:
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
        for heading in ("register", "at", "access", "bytes"):
            table.add_column(heading, overflow="fold")
        for register, data in rows:
            shown = data.hex(" ") if isinstance(data, bytes) else "not read: reading clears it"
            if isinstance(data, DeviceError):
                shown = f"{data.cause.value}: {data.detail}".rstrip(": ")
            table.add_row(register.name, f"{register.pointer:02x}h", register.access.value, shown)
        Console().print(table)
    return 1 if any(isinstance(d, DeviceError) for _, d in rows) else 0


def _to_write(device: DeviceConfig, register: Register, value: str | None) -> bytes:
    if register.access is not Access.WRITE:
        raise BenchError(f"{register.name} is read-only", f"registers that can be written are marked rw by "
                         f"qiki chip {device.name} dump")
    if value is None:
        example = "0123456789abcdef"[: 2 * register.length]
        raise BenchError("say what to write", f"qiki chip {device.name} write {register.name} {example} --arm")
    data = _bytes(value)
    if len(data) != register.length:
        raise BenchError(f"{register.name} has {register.length} bytes, not {len(data)}")
    return data


def _write(driver: Any, register: Register, data: bytes, as_json: bool) -> int:
    before = driver.read_register(register)
    driver.write_register(register, data)
    after = driver.read_register(register)
    if as_json:
        print(json.dumps({"register": register.name, "was": before.hex(), "is": after.hex(), "holds": after == data}))
    else:
        print(f"{register.name} was {before.hex(' ')}, is {after.hex(' ')}")
        if after != data:
            print(f"it does not hold {data.hex(' ')}: some of its bits may be the chip's own")
    return 0 if after == data else 1


def _register(device: DeviceConfig, registers: Sequence[Register], what: str | None) -> Register:
    known = f"registers: {', '.join(r.name for r in registers) or 'none'}"
    if what is None:
        raise BenchError("say which register", known)
    place = _PLACE.fullmatch(what.lower())
    pointer = int(place[1] or place[2], 16) if place else None
    for register in registers:
        if what.lower() == register.name.lower() or pointer == register.pointer:
            return register
    raise BenchError(f"{device.part} has no register {what!r}", known)


# -- bytes without a chip


def decode(part: str, codec_name: str | None, data: str | None, as_json: bool) -> int:
    """Decode bytes (from a logic analyser, say) as one answer of a part; without a codec, list them.

    Raises:
        BenchError: no such part or codec, or bytes that the part could not have meant (``code`` 1).
    """
    codecs = _codecs(part)
    if not codecs:
        raise BenchError(f"there is no driver of a part {part!r}", f"parts: {', '.join(filter(_codecs, _parts()))}")
    if codec_name is None:
        listed = {c.name: c.length for c in codecs}
        if as_json:
            print(json.dumps(listed, indent=1))
            return 0
        width = max(map(len, listed), default=0)
        for name, length in listed.items():
            print(f"{name:{width}}  {'any number of' if length is None else length} bytes")
        return 0
    codec = next((c for c in codecs if c.name.lower() == codec_name.lower()), None)
    if codec is None:
        raise BenchError(f"{part} has no codec {codec_name!r}", f"codecs: {', '.join(c.name for c in codecs)}")
    if data is None:
        example = "00" * (codec.length or 2)
        raise BenchError("say which bytes", f"qiki chip {part} decode '{codec.name}' {example}")
    try:
        result = codec.decode(_bytes(data))
    except DeviceError as error:
        raise BenchError(f"refused: {error.detail or error.cause.value}", CAUSES[error.cause].meaning, 1) from None
    if as_json:
        print(json.dumps(_plain(result)))
    else:
        whole = str(result) if isinstance(result, float) else _text(result)  # a single number with all its digits
        for label, text in _values(result) or [(codec.name, whole)]:
            print(f"{label} {text}")
    return 0


def _codecs(part: str) -> tuple[Codec, ...]:
    """Codecs of a part; none if there is no such part."""
    if not part.isidentifier():
        return ()
    try:
        module = import_module(f"drivers.{part}")
    except ModuleNotFoundError as error:
        if error.name != f"drivers.{part}":
            raise
        return ()
    codecs: tuple[Codec, ...] = getattr(module, "CODECS", ())
    return codecs


def _parts() -> list[str]:
    """Modules that may be drivers."""
    import drivers

    return sorted(info.name for info in iter_modules(drivers.__path__) if not info.ispkg)


def _bytes(text: str) -> bytes:
    try:
        return bytes.fromhex(text.removeprefix("0x"))
    except ValueError:
        raise BenchError(f"{text!r} is no hexadecimal string of bytes", "for example 0a00") from None


def _result(sequence: Any) -> Any:
    """What a sequence that needs no time gives."""
    while True:
        try:
            next(sequence)
        except StopIteration as done:
            return done.value


def _plain(value: Any) -> Any:
    """A value as JSON knows it; an enumeration's member by its name."""
    return msgspec.to_builtins(value, enc_hook=str)


def _values(sample: Any, shown: int = SHOWN) -> list[tuple[str, str]]:
    """Fields of a sample as text; what is missing says so."""
    if is_dataclass(sample):
        return [(f.name, _text(getattr(sample, f.name), shown)) for f in fields(sample)]
    names = getattr(sample, "_fields", ())
    return [(name, _text(value, shown)) for name, value in zip(names, sample, strict=True)] if names else []


def _text(value: Any, shown: int = SHOWN) -> str:
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
        listed = [_text(v, shown) if not is_dataclass(v) else "(...)" for v in value[:shown]]
        more = f", ... {len(value)} in all" if len(value) > shown else ""
        return f"({', '.join(listed)}{more})"
    return str(value)
