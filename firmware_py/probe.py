"""Walks every bus of a board and says what answers, what is missing, what is another part, and what to do about it.

Nothing is configured: every driver's ``identify`` only reads (a multiplexer's channel is switched, and switched off at
the end), and parts that speak by themselves are listened to. One on a serial port that is silent is told to speak, as
in flight; on a shared CAN bus only the valve nodes are spoken to. The same walk serves real buses and the rig's.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum, unique
from typing import Any

from drivers.bus.protocol import CanBus, CanFrame, I2cBus
from drivers.canopen import SDO_ANSWER_BASE, SdoClient, SdoOutcome
from drivers.errors import Cause, DeviceError
from firmware_py.clock import Clock, Meter
from hal.causes import CAUSES
from hal.hardware import load_part
from hal.profile import BoardConfig, ConfigError, DeviceConfig

__all__ = ["CANDIDATES", "Finding", "Prober", "Verdict", "driver_of"]

NS = 1_000_000_000
FIRST_ADDRESS, LAST_ADDRESS = 0x08, 0x77
LISTEN_STEP_NS = 5_000_000
"""A tick of the flight program: parts that are spoken to count their patience in looks."""
DEVICE_TYPE, IDENTITY = 0x1000, 0x1018
IO_PROFILE = 401
SDO_TIMEOUT_NS = 200_000_000
SDO_STEP_NS = 1_000_000
FRAMES_A_STEP = 256
DRAIN_READS, DRAIN_BYTES = 1024, 4096
STRANGE_SHOWN = 8
UNASKED_SHARE = 4
"""The first quarter of the listening only listens: most parts speak unasked."""

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


_FAILED_AS = {
    Cause.NACK_ADDRESS: Verdict.MISSING, Cause.ABSENT: Verdict.MISSING, Cause.WRONG_ID: Verdict.WRONG_ID,
    Cause.SILENT: Verdict.SILENT,
}


def driver_of(device: DeviceConfig, board: BoardConfig, bus: Any, **parts: Any) -> tuple[Any, Any]:
    """Driver module and driver object of one device; the object of a valve node is ``None``.

    Args:
        device: of the board.
        board: its description.
        bus: what the driver is given: the bus, or a multiplexer's channel.
        parts: further arguments of the driver.

    Raises:
        ConfigError: as ``hal.hardware.load_part``; a setting or an address that the driver refuses.
    """
    module, settings = load_part(board, device)
    if device.role == "valve_node":
        return module, None
    try:
        return module, module.Device(bus, device.address, settings, **parts)
    except ValueError as error:
        where = f"devices[{board.devices.index(device)}]"
        raise ConfigError(board.board, None, where, f"{device.name}: {error}") from None


@dataclass(slots=True)
class _Speaker:
    """A part that speaks by itself, and what was heard of it."""

    device: DeviceConfig
    driver: Any
    speech: Generator[None, None, None] | None = None
    """What makes it speak, while that goes on."""
    told: bool = False
    samples: int = 0
    error: DeviceError | None = None


@dataclass(slots=True)
class _Ear:
    """One bus that is listened to."""

    bus: Any
    kind: str
    speakers: list[_Speaker]
    tell_ns: int
    """When a part that has not been heard by then is told to speak."""
    takers: dict[int, list[_Speaker]] = field(default_factory=dict)
    node_ids: frozenset[int] = frozenset()
    strange: set[str] = field(default_factory=set)
    error: DeviceError | None = None
    """Of the bus: it was not listened to any further."""

    def drain(self) -> None:
        """Leave out what had arrived before. Never raises DeviceError."""
        try:
            for _ in range(DRAIN_READS):
                if not (self.bus.read(DRAIN_BYTES) if self.kind == "serial" else self.bus.receive()):
                    return
        except DeviceError as error:
            self.error = error

    def listen(self, now_ns: int) -> None:
        """Hear what has arrived. Never raises DeviceError."""
        if self.error is not None:
            return
        try:
            if self.kind == "serial":
                for speaker in self.speakers:
                    self._poll(speaker, now_ns)
            else:
                for frame in _arrived(self.bus):
                    self._take(frame, now_ns)
        except DeviceError as error:
            self.error = error

    def _poll(self, speaker: _Speaker, now_ns: int) -> None:
        if speaker.speech is None:
            speaker.samples += speaker.driver.poll(now_ns) is not None
            if now_ns >= self.tell_ns and not speaker.told and not speaker.driver.counters.frames:
                speaker.told, speaker.speech = True, speaker.driver.initialise()
            return
        try:
            next(speaker.speech)
        except StopIteration:
            speaker.speech = None
        except DeviceError as error:
            # It may speak all the same.
            speaker.speech, speaker.error = None, error

    def _take(self, frame: CanFrame, now_ns: int) -> None:
        wanting = () if frame.extended else self.takers.get(frame.can_id, ())
        if not wanting and (frame.extended or frame.can_id & 0x7F not in self.node_ids):
            self.strange.add(f"{frame.can_id:08x}h" if frame.extended else f"{frame.can_id:03x}h")
        for speaker in wanting:
            try:
                speaker.samples += speaker.driver.take(frame, now_ns) is not None
            except DeviceError as error:
                speaker.error = error


class Prober:
    """One walk over the buses of a board.

    Args:
        board: what should be there.
        buses: the buses that could be opened, by name.
        refusals: why the others could not, and what to do.
        clock: for listening; simulated on the rig.
        meter: measures latency.
        listen_ns: how long the parts that speak by themselves are listened to, all of them at the same time.

    Raises:
        ConfigError: a part without a driver or not for its role, or settings that its driver refuses.
    """

    def __init__(
        self, board: BoardConfig, buses: Mapping[str, Any], refusals: Mapping[str, tuple[DeviceError, str]],
        clock: Clock, meter: Meter, listen_ns: int,
    ) -> None:
        for device in board.devices:
            load_part(board, device)
        self._board = board
        self._buses = buses
        self._refusals = refusals
        self._clock = clock
        self._meter = meter
        self._listen_ns = listen_ns
        self._muxes: dict[str, Any] = {}
        self._ears: dict[str, _Ear] | None = None

    def walk(self) -> Iterator[Finding]:
        """Findings bus by bus in the board's order, as they are made."""
        for name, config in self._board.buses.items():
            here = [device for device in self._board.devices if device.bus == name]
            if name in self._refusals:
                yield from self._not_open(name, here)
            elif config.kind in ("i2c", "spi"):
                yield from self._ask_all(self._buses[name], here)
            elif config.kind == "gpio":
                yield from self._lines(name, self._buses[name])
            else:
                yield from self._listen(name, here)

    def _not_open(self, name: str, here: list[DeviceConfig]) -> Iterator[Finding]:
        error, advice = self._refusals[name]
        found, node = str(error.detail or error.cause.value), self._board.buses[name].device
        yield Finding(name, node, None, None, Verdict.NO_BUS, found, error.cause, 0, 1, None, advice)
        for device in here:
            yield Finding(
                name, self._where(device), device.name, device.part, Verdict.NO_BUS, "not asked", error.cause, 0, 0,
                None, "",
            )

    def _where(self, device: DeviceConfig) -> str:
        """Place of a device on its bus, as people write it."""
        if device.address is None:
            return ""
        if self._board.buses[device.bus].kind == "spi":
            return f"select {device.address}"
        where = f"0x{device.address:02x}"
        return where if device.mux is None else f"{device.mux}.{device.channel} {where}"

    # -- parts that are asked

    def _ask_all(self, bus: Any, here: list[DeviceConfig]) -> Iterator[Finding]:
        found: dict[str, Verdict] = {}
        for device in sorted(here, key=lambda d: d.role != "mux"):
            if device.role == "mux":
                module, _ = load_part(self._board, device)
                mux = self._muxes[device.name] = module.Mux(bus, device.address)
                finding = self._ask(device, driver_of(device, self._board, bus, mux=mux)[1])
            elif device.mux is not None and not found[device.mux].good:
                finding = Finding(
                    device.bus, self._where(device), device.name, device.part, Verdict.MISSING,
                    f"{device.mux} does not answer", Cause.NACK_ADDRESS, 0, 0, None, f"bring {device.mux} up first",
                )
            else:
                segment = bus if device.mux is None else self._muxes[device.mux].channel(device.channel)
                finding = self._ask(device, driver_of(device, self._board, segment)[1])
            found[device.name] = finding.verdict
            yield finding
        for device in here:
            if device.role == "mux" and found[device.name].good:
                try:
                    self._muxes[device.name].deselect()
                except DeviceError as error:
                    yield self._failed(device, error, 1, 1, None)
                    return
        fails = any(verdict is Verdict.FAILS for verdict in found.values())
        if here and self._board.buses[here[0].bus].kind == "i2c" and not fails:
            yield from self._strangers(bus, {d.address for d in here if d.mux is None})

    def _ask(self, device: DeviceConfig, driver: Any) -> Finding:
        sequence = driver.identify()
        transactions, latency_us = 0, None
        while True:
            start_ns = self._meter.wall_ns()
            try:
                next(sequence)
            except StopIteration as done:
                latency_us = _longest(latency_us, self._meter.wall_ns() - start_ns)
                return Finding(
                    device.bus, self._where(device), device.name, device.part, Verdict.ANSWERS, str(done.value), None,
                    transactions + 1, 0, latency_us, "",
                )
            except DeviceError as error:
                return self._failed(device, error, transactions + 1, 1, latency_us)
            transactions += 1
            latency_us = _longest(latency_us, self._meter.wall_ns() - start_ns)

    def _failed(
        self, device: DeviceConfig, error: DeviceError, transactions: int, failures: int, latency_us: float | None
    ) -> Finding:
        advice = CAUSES[error.cause].advice
        if error.cause is Cause.NACK_ADDRESS:
            advice = f"nothing acknowledges its address: {advice}"
        elif error.cause is Cause.WRONG_ID and self._board.buses[device.bus].kind == "spi":
            advice = f"all zeros or ones: nothing drives MISO, check power, wiring and the select; otherwise {advice}"
        return Finding(
            device.bus, self._where(device), device.name, device.part, _FAILED_AS.get(error.cause, Verdict.FAILS),
            error.detail or error.cause.value, error.cause, transactions, failures, latency_us, advice,
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

    def _listen(self, name: str, here: list[DeviceConfig]) -> Iterator[Finding]:
        bus = self._buses[name]
        for node in (device for device in here if device.role == "valve_node"):
            try:
                yield self._ask_node(node, bus)
            except DeviceError as error:
                yield self._failed(node, error, 1, 1, None)
        if self._ears is None:
            self._ears = self._listen_to_all()
        ear = self._ears[name]
        for speaker in ear.speakers:
            yield self._heard(speaker, ear)
        if ear.strange:
            more = " ..." if len(ear.strange) > STRANGE_SHOWN else ""
            listed = ", ".join(sorted(ear.strange)[:STRANGE_SHOWN]) + more
            yield Finding(
                name, "", None, None, Verdict.UNKNOWN, f"frames that no driver here wants: {listed}", None,
                len(ear.strange), 0, None, "another part is on this bus, or one of these says more than is used",
            )

    def _listen_to_all(self) -> dict[str, _Ear]:
        """Hear every serial port and CAN bus at the same time."""
        ears: dict[str, _Ear] = {}
        for name, config in self._board.buses.items():
            if config.kind in ("serial", "can") and name not in self._refusals:
                ears[name] = self._ear(name, config.kind)
        now_ns = self._clock.now_ns()
        end_ns = now_ns + self._listen_ns
        while now_ns < end_ns:
            for ear in ears.values():
                ear.listen(now_ns)
            self._clock.sleep_until_ns(now_ns + LISTEN_STEP_NS)
            now_ns = self._clock.now_ns()
        return ears

    def _ear(self, name: str, kind: str) -> _Ear:
        bus = self._buses[name]
        here = [device for device in self._board.devices if device.bus == name]
        nodes = frozenset(d.address or 0 for d in here if d.role == "valve_node")
        ear = _Ear(bus, kind, [], self._clock.now_ns() + self._listen_ns // UNASKED_SHARE, node_ids=nodes)
        for device in here:
            if device.role != "valve_node":
                driver = driver_of(device, self._board, bus)[1]
                speaker = _Speaker(device, driver)
                ear.speakers.append(speaker)
                for can_id in getattr(driver, "can_ids", ()):
                    ear.takers.setdefault(can_id, []).append(speaker)
        ear.drain()
        return ear

    def _heard(self, speaker: _Speaker, ear: _Ear) -> Finding:
        device, counters = speaker.device, speaker.driver.counters
        refused, skipped = counters.refused, getattr(counters, "skipped_bytes", 0)
        # A CAN driver counts every frame, a serial one those that are good.
        good = counters.frames - (refused if ear.kind == "can" else 0)
        seconds = self._listen_ns / NS
        if good > 0:
            found = f"{speaker.samples or 'no'} samples in {seconds:g} s"
            found += f", {good} frames" if good != speaker.samples else ""
            found += f", {refused} refused" if refused > 1 else ""  # the first may have been cut
            return Finding(
                device.bus, self._where(device), device.name, device.part, Verdict.SPEAKS, found, None, good + refused,
                refused, None, "",
            )
        error = ear.error or speaker.error
        if error is not None and error.cause is not Cause.TIMEOUT:
            return self._failed(device, error, refused + 1, refused + 1, None)
        if skipped:
            return Finding(
                device.bus, self._where(device), device.name, device.part, Verdict.FAILS,
                f"{skipped} bytes in {seconds:g} s, and no frame among them", Cause.PROTOCOL, refused, refused, None,
                f"check speed_hz ({self._board.buses[device.bus].speed_hz}), and that it is this part",
            )
        detail = f"nothing in {seconds:g} s" if error is None else error.detail
        silent = DeviceError(device.bus, device.address, Cause.SILENT, detail)
        return self._failed(device, silent, 0, 1, None)

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
            device.bus, self._where(device), device.name, device.part, Verdict.ANSWERS, found, None, 2, 0, latency_us,
            "",
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
            # The lines of the bus's own pins are GPIO only while it is cleared.
            if config.recovery is not None and config.recovery.mux_reset_line is not None:
                wanted[f"{bus_name} mux reset"] = config.recovery.mux_reset_line
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


def _arrived(bus: CanBus) -> Iterator[CanFrame]:
    """Frames that wait, at most one burst of them."""
    for _ in range(FRAMES_A_STEP):
        frame = bus.receive()
        if frame is None:
            return
        yield frame


def _longest(so_far_us: float | None, elapsed_ns: int) -> float:
    return max(so_far_us or 0.0, elapsed_ns / 1e3)
