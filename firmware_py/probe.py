"""Walks every bus of a board and says what answers, what is missing, what is another part, and what to do about it.

Nothing is configured: every driver's ``identify`` only reads (a multiplexer's channel is switched, and switched off at
the end), parts that speak by themselves are told to speak and listened to. The same walk serves real buses and the
rig's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum, unique
from importlib import import_module
from typing import Any

import msgspec

from drivers.bus.protocol import CanBus, CanFrame, I2cBus
from drivers.canopen import SDO_ANSWER_BASE, SdoClient, SdoOutcome
from drivers.errors import Cause, DeviceError
from firmware_py.clock import Clock, Meter
from hal.causes import CAUSES
from hal.profile import BoardConfig, ConfigError, DeviceConfig

__all__ = ["CANDIDATES", "Finding", "Prober", "Verdict", "driver_of"]

NS = 1_000_000_000
FIRST_ADDRESS, LAST_ADDRESS = 0x08, 0x77
LISTEN_STEP_NS = 20_000_000
DEVICE_TYPE, IDENTITY = 0x1000, 0x1018
IO_PROFILE = 401
SDO_TIMEOUT_NS = 200_000_000
SDO_STEP_NS = 1_000_000
FRAMES_A_STEP = 256

CANDIDATES: dict[str, range | tuple[int, ...]] = {
    "adm1272": (0x10, 0x11, 0x12, 0x13), "ads1115": range(0x48, 0x4C), "as7341": (0x39,), "ds3231": (0x68,),
    "ina226, ina228": range(0x40, 0x50), "lsm303dlhc": (0x1E,), "ltc3350": (0x09,), "ltc4162": (0x68,),
    "max34451": range(0x70, 0x78), "max7310": range(0x18, 0x20), "mb85rc256v": range(0x50, 0x58),
    "opt3001": range(0x44, 0x48), "pca9548a": range(0x70, 0x78), "rm3100": range(0x20, 0x24), "sbs_battery": (0x0B,),
    "tmp423": (0x4C, 0x4D), "vl53l0x": (0x29,),
}
"""Addresses that the straps of each part allow: a hint at what an unknown part may be."""


@unique
class Verdict(StrEnum):
    """What became of one device, one unknown address, or one bus."""

    ANSWERS = "answers"
    SPEAKS = "speaks"
    WRONG_ID = "wrong id"
    MISSING = "missing"
    SILENT = "silent"
    FAILS = "fails"
    NO_BUS = "no bus"
    UNKNOWN = "not in the board"

    @property
    def good(self) -> bool:
        """Whether nothing needs to be done."""
        return self in (Verdict.ANSWERS, Verdict.SPEAKS)


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of a probe. ``latency_us`` is the longest of its transactions; ``None`` when none succeeded."""

    bus: str
    where: str
    device: str | None
    part: str | None
    verdict: Verdict
    found: str
    cause: Cause | None
    transactions: int
    failures: int
    latency_us: float | None
    advice: str


_FAILED_AS = {Cause.NACK_ADDRESS: Verdict.MISSING, Cause.WRONG_ID: Verdict.WRONG_ID, Cause.SILENT: Verdict.SILENT}


def driver_of(device: DeviceConfig, board: BoardConfig, bus: Any) -> tuple[Any, Any]:
    """Driver module and driver object of one device. Raises ConfigError for an unknown part or bad settings."""
    try:
        module = import_module(f"drivers.{device.part}")
    except ModuleNotFoundError:
        why = f"there is no driver drivers/{device.part}.py"
        raise ConfigError(board.board, None, f"devices.{device.name}.part", why) from None
    try:
        settings = msgspec.convert(device.settings, type=module.Settings, strict=True)
    except msgspec.ValidationError as error:
        raise ConfigError(board.board, None, f"devices.{device.name}.settings", str(error)) from None
    return module, module.Device(bus, device.address, settings) if hasattr(module, "Device") else None


class Prober:
    """One walk over the buses of a board.

    Args:
        board: what should be there.
        buses: the buses that could be opened, by name.
        refusals: why the others could not, and what to do.
        clock: for listening; simulated on the rig.
        meter: measures latency.
        listen_ns: how long a part that speaks by itself is listened to.
    """

    def __init__(
        self, board: BoardConfig, buses: Mapping[str, Any], refusals: Mapping[str, tuple[DeviceError, str]],
        clock: Clock, meter: Meter, listen_ns: int,
    ) -> None:
        self._board = board
        self._buses = buses
        self._refusals = refusals
        self._clock = clock
        self._meter = meter
        self._listen_ns = listen_ns
        self._muxes: dict[str, Any] = {}

    def walk(self) -> Iterator[Finding]:
        """Findings bus by bus, as they are made. Raises ConfigError."""
        for name, config in self._board.buses.items():
            refusal = self._refusals.get(name)
            here = [device for device in self._board.devices if device.bus == name]
            if refusal is not None:
                error, advice = refusal
                found = str(error.detail or error.cause.value)
                yield Finding(name, config.device, None, None, Verdict.NO_BUS, found, error.cause, 0, 1, None, advice)
                for device in here:
                    yield Finding(
                        name, _where(device), device.name, device.part, Verdict.NO_BUS, "not asked", error.cause, 0, 0,
                        None, "",
                    )
                continue
            bus = self._buses[name]
            if config.kind in ("i2c", "spi"):
                yield from self._ask_all(bus, here)
            elif config.kind == "gpio":
                yield from self._lines(name, bus)
            else:
                yield from self._listen(name, config.kind, bus, here)

    # -- parts that are asked

    def _ask_all(self, bus: Any, here: list[DeviceConfig]) -> Iterator[Finding]:
        found: dict[str, Verdict] = {}
        for device in sorted(here, key=lambda d: d.role != "mux"):
            if device.role == "mux":
                module, _ = driver_of(device, self._board, bus)
                self._muxes[device.name] = module.Mux(bus, device.address)
                finding = self._ask(device, bus, mux=self._muxes[device.name])
            elif device.mux is not None and not found.get(device.mux, Verdict.MISSING).good:
                why = f"{device.mux} does not answer"
                advice = f"bring {device.mux} up first"
                finding = Finding(
                    device.bus, _where(device), device.name, device.part, Verdict.MISSING, why, Cause.NACK_ADDRESS,
                    0, 0, None, advice,
                )
            else:
                segment = bus if device.mux is None else self._muxes[device.mux].channel(device.channel)
                finding = self._ask(device, segment)
            found[device.name] = finding.verdict
            yield finding
        try:
            for name in [d.name for d in here if d.role == "mux" and found[d.name].good]:
                self._muxes[name].deselect()
        except DeviceError as error:
            yield self._failed(here[0], error, 1, 1, None)
        if isinstance(bus, I2cBus) and not any(v is Verdict.FAILS for v in found.values()):
            yield from self._strangers(bus, {d.address for d in here if d.mux is None})

    def _ask(self, device: DeviceConfig, bus: Any, **parts: Any) -> Finding:
        module, driver = driver_of(device, self._board, bus)
        if parts:
            driver = module.Device(bus, device.address, module.Settings(), **parts)
        sequence = driver.identify()
        transactions, latency_us = 0, None
        while True:
            start_ns = self._meter.wall_ns()
            try:
                next(sequence)
            except StopIteration as done:
                latency_us = _longest(latency_us, self._meter.wall_ns() - start_ns)
                return Finding(
                    device.bus, _where(device), device.name, device.part, Verdict.ANSWERS, str(done.value), None,
                    transactions + 1, 0, latency_us, "",
                )
            except DeviceError as error:
                return self._failed(device, error, transactions + 1, 1, latency_us)
            transactions += 1
            latency_us = _longest(latency_us, self._meter.wall_ns() - start_ns)

    def _failed(
        self, device: DeviceConfig, error: DeviceError, transactions: int, failures: int, latency_us: float | None
    ) -> Finding:
        verdict = _FAILED_AS.get(error.cause, Verdict.FAILS)
        advice = CAUSES[error.cause].advice
        if verdict is Verdict.MISSING:
            advice = f"nothing acknowledges {_where(device)}: {advice}"
        return Finding(
            device.bus, _where(device), device.name, device.part, verdict, error.detail or error.cause.value,
            error.cause, transactions, failures, latency_us, advice,
        )

    def _strangers(self, bus: I2cBus, known: set[int | None]) -> Iterator[Finding]:
        """Addresses that acknowledge a read of one byte and are not in the board description."""
        for address in range(FIRST_ADDRESS, LAST_ADDRESS + 1):
            if address in known:
                continue
            start_ns = self._meter.wall_ns()
            try:
                bus.read(address, 1)
            except DeviceError as error:
                if error.cause in (Cause.NACK_ADDRESS, Cause.NACK_DATA):
                    continue
                yield Finding(
                    bus.name, f"0x{address:02x}", None, None, Verdict.FAILS, str(error), error.cause, 1, 1, None,
                    CAUSES[error.cause].advice,
                )
                return
            latency_us = (self._meter.wall_ns() - start_ns) / 1e3
            guesses = ", ".join(part for part, addresses in CANDIDATES.items() if address in addresses)
            yield Finding(
                bus.name, f"0x{address:02x}", None, None, Verdict.UNKNOWN,
                f"something answers; by its address perhaps {guesses}" if guesses else "something answers", None, 1, 0,
                latency_us, "add it to the board's devices, or take it off the bus",
            )

    # -- parts that speak, and lines

    def _listen(self, name: str, kind: str, bus: Any, here: list[DeviceConfig]) -> Iterator[Finding]:
        nodes = [device for device in here if device.role == "valve_node"]
        speakers = [device for device in here if device.role != "valve_node"]
        drivers = {device.name: driver_of(device, self._board, bus)[1] for device in speakers}
        heard: dict[str, int] = dict.fromkeys(drivers, 0)
        refused: dict[str, DeviceError] = {}
        strange: set[int] = set()
        try:
            for node in nodes:
                yield self._ask_node(node, bus)
            if speakers or not nodes:
                self._hear(kind, bus, drivers, {node.address or 0 for node in nodes}, heard, refused, strange)
        except DeviceError as error:
            for device in here:
                yield self._failed(device, error, 0, 1, None)
            return
        seconds = self._listen_ns / NS
        for device in speakers:
            count = heard[device.name]
            if count:
                yield Finding(
                    name, _where(device), device.name, device.part, Verdict.SPEAKS, f"{count} samples in {seconds:g} s",
                    None, count, 0, None, "",
                )
            else:
                silent = DeviceError(name, device.address, Cause.SILENT, f"nothing in {seconds:g} s")
                yield self._failed(device, refused.get(device.name, silent), 0, 1, None)
        if strange:
            listed = ", ".join(f"{can_id:03x}h" for can_id in sorted(strange)[:8])
            yield Finding(
                name, "-", None, None, Verdict.UNKNOWN, f"frames that nobody here wants: {listed}", None, len(strange),
                0, None, "another part is on this bus",
            )

    def _hear(
        self, kind: str, bus: Any, drivers: Mapping[str, Any], node_ids: set[int], heard: dict[str, int],
        refused: dict[str, DeviceError], strange: set[int],
    ) -> None:
        takers: dict[int, list[str]] = {}
        for name, driver in drivers.items():
            for can_id in getattr(driver, "can_ids", ()):
                takers.setdefault(can_id, []).append(name)
            if kind == "serial":
                for _ in driver.initialise():
                    pass
        end_ns = self._clock.now_ns() + self._listen_ns
        while self._clock.now_ns() < end_ns:
            now_ns = self._clock.now_ns()
            if kind == "serial":
                for name, driver in drivers.items():
                    heard[name] += driver.poll(now_ns) is not None
            else:
                for frame in _arrived(bus):
                    names = () if frame.extended else takers.get(frame.can_id, ())
                    if not names and frame.can_id & 0x7F not in node_ids:
                        strange.add(frame.can_id)
                    for name in names:
                        try:
                            heard[name] += drivers[name].take(frame, now_ns) is not None
                        except DeviceError as error:
                            refused[name] = error
            self._clock.sleep_until_ns(now_ns + LISTEN_STEP_NS)

    def _ask_node(self, device: DeviceConfig, bus: CanBus) -> Finding:
        """Device type and vendor of a CANopen node, by two SDO uploads. Raises DeviceError of the bus."""
        node_id = device.address or 0
        client = SdoClient(node_id, bus.send, SDO_TIMEOUT_NS)
        values: list[int] = []
        latency_us: float | None = None
        for index, subindex in ((DEVICE_TYPE, 0), (IDENTITY, 1)):
            start_ns = self._meter.wall_ns()
            outcome = self._sdo(client, bus, node_id, index, subindex)
            if outcome is None or outcome.value is None:
                cause = Cause.SILENT if outcome is None else Cause.PROTOCOL
                detail = "no answer to SDO" if outcome is None else f"object {index:04x}h: {outcome.status.value}"
                error = DeviceError(device.bus, node_id, cause, detail)
                return self._failed(device, error, len(values) + 1, 1, latency_us)
            latency_us = _longest(latency_us, self._meter.wall_ns() - start_ns)
            values.append(outcome.value)
        if values[0] & 0xFFFF != IO_PROFILE:
            wrong = DeviceError(device.bus, node_id, Cause.WRONG_ID, f"device profile {values[0] & 0xFFFF}, not 401")
            return self._failed(device, wrong, 2, 1, latency_us)
        found = f"CiA 401 node, type {values[0]:08x}h, vendor {values[1]:08x}h"
        return Finding(
            device.bus, _where(device), device.name, device.part, Verdict.ANSWERS, found, None, 2, 0, latency_us, ""
        )

    def _sdo(self, client: SdoClient, bus: CanBus, node_id: int, index: int, subindex: int) -> SdoOutcome | None:
        now_ns = self._clock.now_ns()
        client.read(now_ns, index, subindex, 4, 0)
        end_ns = now_ns + SDO_TIMEOUT_NS
        while now_ns < end_ns:
            for frame in _arrived(bus):
                if frame.can_id == SDO_ANSWER_BASE + node_id and not frame.extended:
                    outcome = client.on_answer(frame.data)
                    if isinstance(outcome, SdoOutcome):
                        return outcome
            now_ns += SDO_STEP_NS
            self._clock.sleep_until_ns(now_ns)
        client.cancel()
        return None

    def _lines(self, name: str, bus: Any) -> Iterator[Finding]:
        lines = self._board.lines
        wanted = {
            "valve_arm": lines.valve_arm, "valve_enable": lines.valve_enable, "watchdog_kick": lines.watchdog_kick,
        }
        for bus_name, config in self._board.buses.items():
            for key in ("scl_line", "sda_line", "mux_reset_line"):
                line = getattr(config.recovery, key, None)
                if line is not None:
                    wanted[f"{bus_name}.{key}"] = line
        for use, line in wanted.items():
            start_ns = self._meter.wall_ns()
            try:
                level = bus.get(line)
            except DeviceError as error:
                yield Finding(
                    name, line, use, None, Verdict.MISSING, error.detail or error.cause.value, error.cause, 1, 1, None,
                    "compare the line's name with `gpioinfo`",
                )
                continue
            yield Finding(
                name, line, use, None, Verdict.ANSWERS, "high" if level else "low", None, 1, 0,
                (self._meter.wall_ns() - start_ns) / 1e3, "",
            )


def _where(device: DeviceConfig) -> str:
    """Place of a device on its bus, as people write it."""
    if device.address is None:
        return "-"
    where = f"0x{device.address:02x}"
    return where if device.mux is None else f"{device.mux}.{device.channel} {where}"


def _arrived(bus: CanBus) -> Iterator[CanFrame]:
    """Frames that wait, at most one burst of them."""
    for _ in range(FRAMES_A_STEP):
        frame = bus.receive()
        if frame is None:
            return
        yield frame


def _longest(so_far_us: float | None, elapsed_ns: int) -> float:
    return max(so_far_us or 0.0, elapsed_ns / 1e3)
