"""What the bench shows: who answers on a board's buses, how its devices fare, and one chip's registers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields, is_dataclass
from typing import Any

import msgspec
from rich import box
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from drivers.device import Access, Codec, Register
from drivers.errors import Cause, DeviceError
from firmware_py.clock import Clock, RealClock, RealMeter, SimClock
from firmware_py.probe import Finding, Prober, Verdict, driver_of
from hal.causes import CAUSES
from hal.hardware import Hardware
from hal.manager import DeviceState
from hal.profile import BoardConfig, ConfigError, DeviceConfig, Profile, load_board, load_profile
from hal.reading import Quality
from hal.recovery import InlineWorker, ThreadWorker

__all__ = ["BenchError", "chip", "decode", "probe", "watch"]

NS = 1_000_000_000
MS = 1_000_000
SEED = 1
STYLE = {
    Verdict.ANSWERS: "green", Verdict.SPEAKS: "green", Verdict.UNKNOWN: "yellow", Verdict.NO_BUS: "dim",
    Verdict.MISSING: "bold red", Verdict.WRONG_ID: "bold red", Verdict.SILENT: "bold red", Verdict.FAILS: "bold red",
}
STATE_STYLE = {
    DeviceState.OK: "green", DeviceState.INIT: "yellow", DeviceState.DEGRADED: "yellow", DeviceState.LOST: "bold red",
}


class BenchError(Exception):
    """A request that cannot be done, with the next step."""

    def __init__(self, problem: str, next_step: str = "") -> None:
        super().__init__(problem)
        self.next_step = next_step


@dataclass(frozen=True, slots=True)
class _Buses:
    """Opened buses of a board with the clock they live on."""

    buses: dict[str, Any]
    refusals: dict[str, tuple[DeviceError, str]]
    clock: Clock


@contextmanager
def _opened(board: BoardConfig, profile: Profile | None) -> Iterator[_Buses]:
    """Real buses, or with a profile those of a rig in which every chip has been powered for a second."""
    if profile is not None:
        from hil.plant.world import InitialState
        from hil.rig import Rig

        rig = Rig(profile, InitialState(epoch=0), SEED)
        clock = SimClock(0, rig.advance)
        for step in range(200):
            clock.sleep_until_ns(step * 5 * MS)
        yield _Buses(rig.buses, {}, clock)
        return
    from hal.transports import advice, open_buses

    real = RealClock(spin_us=0)
    with open_buses(board, real.now_ns) as opened:
        refusals = {name: (error, advice(board.buses[name], error)) for name, error in opened.failures.items()}
        yield _Buses(dict(opened.buses), refusals, real)


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
        prober = Prober(
            board, opened.buses, opened.refusals, opened.clock, RealMeter(), round(listen_s * NS)
        )
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
        console.print(_probe_view(board, findings, rig))
    return 0 if good else 1


def _probe_view(board: BoardConfig, findings: list[Finding], rig: bool) -> RenderableType:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for heading in ("bus", "address", "device", "part", "", "found", "us", "errors"):
        table.add_column(heading, no_wrap=heading in ("bus", "device"), justify="right" if heading == "us" else "left")
    bus = ""
    for f in findings:
        if f.bus != bus and bus:
            table.add_row()
        latency = "" if f.latency_us is None else f"{f.latency_us:.0f}"
        errors = f"{f.failures}/{f.transactions}" if f.transactions else ("1" if f.failures else "")
        table.add_row(
            f.bus if f.bus != bus else "", f.where, f.device or "", f.part or "",
            Text(f.verdict.value, style=STYLE[f.verdict]), f.found, latency, errors,
        )
        bus = f.bus
    parts: list[RenderableType] = [table]
    todo = _to_do(findings)
    if todo:
        steps = Table(box=None, pad_edge=False, show_header=False)
        steps.add_column(style="yellow", no_wrap=True)
        steps.add_column()
        for what, advice in todo:
            steps.add_row(what, advice)
        parts += [Text("\nwhat to do", style="bold"), steps]
    if not rig:
        parts += [Text("\nthis computer", style="bold"), *(Text(line) for line in _computer_lines())]
    count = sum(f.verdict.good for f in findings if f.part is not None)
    total = sum(f.part is not None for f in findings)
    where = "on the rig" if rig else "on this computer"
    parts.append(Text(f"\n{board.board} {where}: {count} of {total} devices answer", style="bold"))
    return Group(*parts)


def _to_do(findings: list[Finding]) -> list[tuple[str, str]]:
    """Advice once for all the devices that need the same."""
    grouped: dict[str, list[str]] = {}
    for f in findings:
        if f.advice:
            grouped.setdefault(f.advice, []).append(f.device or f"{f.bus} {f.where}")
    return [(", ".join(names[:4]) + (" ..." if len(names) > 4 else ""), advice) for advice, names in grouped.items()]


def _platform() -> tuple[Any, Any]:
    """Health of this computer, and its watchdog's name; each an error where it can't be told."""
    from drivers import linux_platform, linux_watchdog

    results = []
    for module in (linux_platform, linux_watchdog):
        device = module.Device(None, None, module.Settings())
        try:
            sequence = device.acquire() if module is linux_platform else device.identify()
            results.append(_run(sequence))
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
    lines = [f"  watchdog: {watchdog}"]
    if isinstance(platform, DeviceError):
        return [*lines, f"  health: {platform}"]
    return [*lines, *(f"  {name}: {text}" for name, text in _values(platform))]


# -- watch


def watch(board_name: str, rig: bool, body: str | None, seconds: float | None) -> int:
    """Poll every device as in flight and show state, reading, age and errors until interrupted.

    Raises:
        ConfigError, BenchError: as ``probe``.
    """
    profile = _profile(board_name, body)
    board = profile.board
    with _opened(board, profile if rig else None) as opened:
        if opened.refusals:
            name, (error, advice) = next(iter(opened.refusals.items()))
            raise BenchError(f"bus {name} can't be opened: {error}", advice)
        hardware = Hardware(profile, opened.buses, InlineWorker if rig else ThreadWorker)
        clock = opened.clock
        pace = RealClock(spin_us=0)
        tick_ns = round(NS / board.rates.fast_hz)
        origin_ns, shown_ns = clock.now_ns(), -NS
        with Live(console=Console(), refresh_per_second=4, transient=False) as live:
            tick = 0
            try:
                while seconds is None or tick * tick_ns < seconds * NS:
                    tick += 1
                    clock.sleep_until_ns(origin_ns + tick * tick_ns)
                    now_ns = clock.now_ns()
                    hardware.sense(now_ns)
                    if tick % max(1, round(board.rates.fast_hz / board.rates.medium_hz)) == 0:
                        hardware.survey(now_ns)
                    if now_ns - shown_ns >= NS // 2:
                        shown_ns = now_ns
                        live.update(_watch_view(hardware, board, now_ns))
                        if rig:
                            pace.sleep_until_ns(tick * tick_ns)
            except KeyboardInterrupt:
                pass
            live.update(_watch_view(hardware, board, clock.now_ns()))
    return 0 if not hardware.not_ok() else 1


def _watch_view(hardware: Hardware, board: BoardConfig, now_ns: int) -> RenderableType:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for heading in ("device", "part", "state", "reading", "age, s", "samples", "errors"):
        table.add_column(heading, no_wrap=heading != "reading", overflow="ellipsis")
    states, counters = hardware.states(), hardware.counters()
    for device in board.devices:
        state = states.get(device.name)
        count = counters.get(device.name)
        text, age = "", ""
        if device.name in hardware.devices or device.name in hardware.heard:
            reading = hardware.reading(device.name, now_ns)
            if reading.value is not None:
                text = ", ".join(f"{name} {value}" for name, value in _values(reading.value)[:3])
                age = f"{(now_ns - reading.t_ns) / NS:.2f}"
                if reading.quality is not Quality.OK:
                    text = f"{reading.quality.name.lower()}: {text}"
        errors = "" if count is None else " ".join(f"{cause} {n}" for cause, n in sorted(count.by_cause.items()))
        table.add_row(
            device.name, device.part,
            Text("-" if state is None else state.name.lower(), style="" if state is None else STATE_STYLE[state]),
            text, age, "" if count is None else str(count.samples), errors,
        )
    lines = [
        f"bus {name}: {'in service' if guard.in_service else guard.state.name.lower()}"
        + (f", {guard.counters.hangs} hangs, {guard.counters.cures} cures" if guard.counters.hangs else "")
        + f", slots {100 * slots.used / max(1, slots.granted):.0f} % used"
        for name, slots in hardware.slots.items() for guard in (hardware.guards[name],)
    ]
    return Group(table, Text("\n" + "\n".join(lines), style="dim"))


# -- one chip


def chip(
    name: str, action: str, what: str | None, value: str | None, board_name: str, rig: bool, body: str | None,
    armed: bool, as_json: bool,
) -> int:
    """Read, dump or write one device of a board.

    Raises:
        ConfigError, BenchError: the board, the device or the request are wrong.
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
    profile = _profile(board_name, body) if rig else None
    with _opened(board, profile) as opened:
        refusal = opened.refusals.get(device.bus)
        if refusal is not None:
            raise BenchError(f"bus {device.bus} can't be opened: {refusal[0]}", refusal[1])
        bus = opened.buses[device.bus]
        if device.mux is not None:
            mux = next(d for d in board.devices if d.name == device.mux)
            bus = driver_of(mux, board, bus)[0].Mux(bus, mux.address).channel(device.channel)
        module, driver = driver_of(device, board, bus)
        registers: tuple[Register, ...] = getattr(module, "REGISTERS", ())
        try:
            if action == "write":
                return _write(device, driver, _register(device, registers, what), value)
            if action == "dump":
                return _dump(device, driver, registers, as_json)
            if what is not None:
                register = _register(device, registers, what)
                print(f"{register.name} {driver.read_register(register).hex(' ')}")
                return 0
            return _sample(device, driver, opened.clock, armed, as_json)
        except DeviceError as error:
            advice = CAUSES[error.cause].advice
            if error.cause in (Cause.RESET, Cause.STALE_COUNTER) and not armed:
                advice = "the chip may not be configured; --arm sets it up first, as in flight"
            raise BenchError(str(error), advice) from None


def decode(part: str, codec_name: str | None, data: str | None, as_json: bool) -> int:
    """Decode bytes (from a logic analyser, say) as one answer of a part; without a codec, list them.

    Raises:
        BenchError: no such part or codec, or bytes that the part could not have meant.
    """
    from importlib import import_module

    try:
        module = import_module(f"drivers.{part}")
        codecs: tuple[Codec, ...] = module.CODECS
    except (ModuleNotFoundError, AttributeError):
        raise BenchError(f"there is no driver of a part {part!r}", "docs/chips.md lists the parts") from None
    if codec_name is None or data is None:
        for one in codecs:
            print(f"{one.name:24} {'any number of' if one.length is None else one.length} bytes")
        return 0
    codec = next((c for c in codecs if c.name == codec_name), None)
    if codec is None:
        raise BenchError(f"{part} has no codec {codec_name!r}", f"codecs: {', '.join(c.name for c in codecs)}")
    try:
        result = codec.decode(_bytes(data))
    except DeviceError as error:
        raise BenchError(f"refused: {error.detail or error.cause.value}", CAUSES[error.cause].meaning) from None
    if as_json:
        print(json.dumps(_plain(result)))
    else:
        for label, text in _values(result) or [(codec.name, str(result))]:
            print(f"{label} {text}")
    return 0


def _sample(device: DeviceConfig, driver: Any, clock: Clock, armed: bool, as_json: bool) -> int:
    """One sample; with ``armed`` the part is configured first."""
    if armed and hasattr(driver, "initialise"):
        _run(driver.initialise())
    end_ns = clock.now_ns() + max(3 * NS, device.timeout_ms * MS)
    sample = None
    while sample is None and clock.now_ns() < end_ns:
        now_ns = clock.now_ns()
        if hasattr(driver, "poll"):
            sample = driver.poll(now_ns)
        elif hasattr(driver, "acquire"):
            sample = _run(driver.acquire())
        else:
            raise BenchError(f"{device.part} is heard on a shared bus", "qiki probe --watch shows what it says")
        clock.sleep_until_ns(now_ns + 50 * MS)
    if sample is None:
        raise DeviceError(device.bus, device.address, Cause.SILENT, "no sample in time")
    if as_json:
        print(json.dumps({"device": device.name, "part": device.part, "sample": _plain(sample)}))
    else:
        for label, text in _values(sample):
            print(f"{label} {text}")
    return 0


def _dump(device: DeviceConfig, driver: Any, registers: tuple[Register, ...], as_json: bool) -> int:
    if not registers:
        raise BenchError(f"{device.part} has no registers", f"qiki chip {device.name} read")
    rows = []
    for register in registers:
        data = None if register.access is Access.CLEARS else driver.read_register(register)
        rows.append((register, data))
    if as_json:
        print(json.dumps({r.name: None if d is None else d.hex() for r, d in rows}, indent=1))
        return 0
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for heading in ("register", "at", "access", "bytes"):
        table.add_column(heading)
    for register, data in rows:
        shown = "not read: reading clears it" if data is None else data.hex(" ")
        table.add_row(register.name, f"{register.pointer:02x}h", register.access.value, shown)
    Console().print(table)
    return 0


def _write(device: DeviceConfig, driver: Any, register: Register, value: str | None) -> int:
    if value is None:
        raise BenchError("say what to write", f"qiki chip {device.name} write {register.name} 0123 --arm")
    data = _bytes(value)
    if register.access is not Access.WRITE:
        raise BenchError(f"{register.name} is read-only")
    if len(data) != register.length:
        raise BenchError(f"{register.name} has {register.length} bytes, not {len(data)}")
    before = driver.read_register(register)
    driver.write_register(register, data)
    after = driver.read_register(register)
    print(f"{register.name} was {before.hex(' ')}, is {after.hex(' ')}")
    if after != data:
        raise BenchError(f"{register.name} reads {after.hex(' ')} after {data.hex(' ')} was written",
                         "some of its bits may be the chip's own")
    return 0


def _register(device: DeviceConfig, registers: tuple[Register, ...], what: str | None) -> Register:
    for register in registers:
        if what is not None and what.lower() in (register.name.lower(), f"{register.pointer:02x}h"):
            return register
    known = ", ".join(r.name for r in registers) or "none"
    raise BenchError(f"{device.part} has no register {what!r}", f"registers: {known}")


def _bytes(text: str) -> bytes:
    try:
        return bytes.fromhex(text.removeprefix("0x"))
    except ValueError:
        raise BenchError(f"{text!r} is no hexadecimal string of bytes", "for example 0a00") from None


def _run(sequence: Any) -> Any:
    """A driver's sequence to its end."""
    while True:
        try:
            next(sequence)
        except StopIteration as done:
            return done.value


def _plain(value: Any) -> Any:
    return msgspec.to_builtins(value) if is_dataclass(value) or isinstance(value, tuple) else value


def _values(sample: Any) -> list[tuple[str, str]]:
    """Fields of a sample as text; what is missing says so."""
    if not is_dataclass(sample):
        return []
    return [(f.name, _text(getattr(sample, f.name))) for f in fields(sample)]


def _text(value: Any) -> str:
    if value is None:
        return "missing"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, tuple):
        shown = [_text(v) if not is_dataclass(v) else "(...)" for v in value[:8]]
        return f"({', '.join(shown)}{', ...' if len(value) > 8 else ''})"
    return str(value)


