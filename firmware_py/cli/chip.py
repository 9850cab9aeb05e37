"""What the bench shows of one chip: a sample, its registers, a write; or bytes decoded without any chip."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from drivers.device import Access, Codec, Register
from drivers.errors import Cause, DeviceError
from firmware_py.cli.bench import MS, TICK_NS, BenchError, opened_buses, plain, profile_of, text_of, values_of
from firmware_py.clock import Clock
from firmware_py.probe import driver_of
from hal.causes import CAUSES
from hal.hardware import load_part
from hal.profile import BoardConfig, DeviceConfig, load_board
from hal.recovery import HANGS

__all__ = ["chip", "codecs_of", "decode", "parts"]

ASK_AGAIN_NS = 50 * MS
LONGEST_WAIT_NS = 3000 * MS
COLLECT_NS = 1_200 * MS
_PLACE = re.compile(r"0x([0-9a-f]+)|([0-9a-f]+)h")
"""A register by its pointer: 0x3e or 3eh."""


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
    profile = profile_of(board_name, body) if rig else None
    with opened_buses(board, profile) as opened:
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
                "device": self._device.name, "part": self._device.part, "configured": armed, "sample": plain(sample),
            }))
        else:
            for label, text in values_of(sample) or [("value", text_of(sample))]:
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
    codecs = codecs_of(part)
    if not codecs:
        raise BenchError(f"there is no driver of a part {part!r}", f"parts: {', '.join(filter(codecs_of, parts()))}")
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
        print(json.dumps(plain(result)))
    else:
        whole = str(result) if isinstance(result, float) else text_of(result)  # a single number with all its digits
        for label, text in values_of(result) or [(codec.name, whole)]:
            print(f"{label} {text}")
    return 0


def codecs_of(part: str) -> tuple[Codec, ...]:
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


def parts() -> list[str]:
    """Modules that may be drivers."""
    import drivers

    return sorted(info.name for info in iter_modules(drivers.__path__) if not info.ispkg)


def _bytes(text: str) -> bytes:
    try:
        return bytes.fromhex(text.removeprefix("0x"))
    except ValueError:
        raise BenchError(f"{text!r} is no hexadecimal string of bytes", "for example 0a00") from None
