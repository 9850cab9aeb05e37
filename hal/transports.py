"""Opens the real buses of a board: each that can be opened is, each that can't says why and what to do about it.

One dead bus doesn't keep the others closed. ``OpenBuses.complete`` puts a stand-in for every bus that failed, which
answers each call with the error of its opening, so that the planes start and show its devices as absent, and which
becomes the bus when the recovery ladder opens it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack, suppress
from importlib import import_module
from pathlib import Path
from types import TracebackType
from typing import Any

from drivers.bus.can_router import FilteringBus
from drivers.bus.counted import InUse, MissingLibrary
from drivers.bus.gpio_chip import GpioChip
from drivers.bus.i2c_dev import LinuxI2cBus
from drivers.bus.i2c_recovery import BusClear, clear_bus, rebind
from drivers.bus.protocol import CanFrame, ClearableBus, ReopenableBus
from drivers.bus.remote_buses import RemoteGpioBus, RemoteI2cBus, RemoteSpiBus
from drivers.bus.remote_end import is_remote
from drivers.bus.serial_port import SerialPort
from drivers.bus.spi_dev import LinuxSpiBus
from drivers.errors import Cause, DeviceError
from hal.causes import CAUSES
from hal.profile.board import BoardConfig, BusConfig, BusKind

__all__ = ["OPENERS", "LateBus", "OpenBuses", "Opener", "advice", "open_buses"]

Clock = Callable[[], int]
Opener = Callable[[str, BoardConfig, Clock], Any]
"""Opens one bus of a board by name. Raises DeviceError."""

HALF_CLOCK_NS = 5_000
"""Half a period at 100 kHz."""
LONGEST_SPIN = 10_000
"""Looks at the clock in one wait, so that a clock that stands still holds nobody."""
PLATFORM_DEVICES = Path("/sys/bus/platform/devices")


class LateBus:
    """Stands in for a bus that couldn't be opened: every call raises the error of its opening, until ``reopen`` helps.

    The error names no address: it is the bus's own, whichever device was asked.

    Args:
        name: of the bus in the board description.
        error: of its opening.
        opening: tries again.
    """

    def __init__(self, name: str, error: DeviceError, opening: Callable[[], Any]) -> None:
        self.name = name
        self._error = error
        self._opening = opening
        self._bus: Any = None
        self._filters: Collection[int] | None = None

    def reopen(self) -> None:
        """Open the bus, or open it anew: from then on it is itself. Raises as opening does; PROTOCOL if it can't."""
        if self._bus is not None:
            if not isinstance(self._bus, ReopenableBus):
                raise DeviceError(self.name, None, Cause.PROTOCOL, "cannot be opened anew")
            self._bus.reopen()
            return
        try:
            self._bus = self._opening()
        except DeviceError as error:
            self._error = error
            raise
        if self._filters is not None:
            self.set_filters(self._filters)

    def clear_bus(self) -> None:
        """See ClearableBus. Raises PROTOCOL for a bus without lines to clock."""
        bus = self._open()
        if not isinstance(bus, ClearableBus):
            raise DeviceError(self.name, None, Cause.PROTOCOL, "has no lines that can be clocked by hand")
        bus.clear_bus()

    def write(self, *arguments: Any) -> None:
        """See I2cBus and SerialBus."""
        self._open().write(*arguments)

    def read(self, *arguments: Any) -> bytes:
        """See I2cBus and SerialBus."""
        data: bytes = self._open().read(*arguments)
        return data

    def write_read(self, address: int, data: bytes, count: int) -> bytes:
        """See I2cBus."""
        answer: bytes = self._open().write_read(address, data, count)
        return answer

    def configure(self, select: int, mode: int, max_hz: int) -> None:
        """See SpiBus."""
        self._open().configure(select, mode, max_hz)

    def transfer(self, select: int, data: bytes) -> bytes:
        """See SpiBus."""
        answer: bytes = self._open().transfer(select, data)
        return answer

    def send(self, frame: CanFrame) -> None:
        """See CanBus."""
        self._open().send(frame)

    def receive(self) -> CanFrame | None:
        """See CanBus."""
        frame: CanFrame | None = self._open().receive()
        return frame

    def set_filters(self, can_ids: Collection[int] | None) -> None:
        """See FilteringBus; remembered until the bus is there."""
        self._filters = can_ids
        if isinstance(self._bus, FilteringBus):
            self._bus.set_filters(can_ids)

    def set(self, line: str, level: bool) -> None:
        """See GpioBus."""
        self._open().set(line, level)

    def get(self, line: str) -> bool:
        """See GpioBus."""
        return bool(self._open().get(line))

    def _open(self) -> Any:
        if self._bus is None:
            raise DeviceError(self.name, None, self._error.cause, self._error.detail)
        return self._bus


class OpenBuses(Mapping[str, Any]):
    """The buses of a board that are open, by name; a context manager that closes them.

    ``buses`` has the same as a dictionary, ``failures`` the error of every bus that could not be opened.

    Args:
        board: its description.
        opening: opens one of its buses.
    """

    def __init__(self, board: BoardConfig, opening: Callable[[str], Any]) -> None:
        self.board = board
        self.failures: dict[str, DeviceError] = {}
        self._opening = opening
        self.buses: dict[str, Any] = {}
        self._stack = ExitStack()

    def __getitem__(self, name: str) -> Any:
        return self.buses[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.buses)

    def __len__(self) -> int:
        return len(self.buses)

    def __enter__(self) -> OpenBuses:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close every bus, the last opened first, and all of them even if one fails to."""
        self.buses.clear()
        self._stack.close()

    def complete(self) -> dict[str, Any]:
        """Every bus of the board, a :class:`LateBus` for those that failed: what the planes are made with."""
        return {
            name: self.buses[name] if name in self.buses else LateBus(name, self.failures[name], self._later(name))
            for name in self.board.buses
        }

    def _later(self, name: str) -> Callable[[], Any]:
        def opening() -> Any:
            self._open(name)
            return self.buses[name]

        return opening

    def _open(self, name: str) -> None:
        """Open one bus and keep it, or keep why it failed. Raises DeviceError."""
        try:
            bus = self._opening(name)
        except DeviceError as error:
            self.failures[name] = error
            raise
        self.failures.pop(name, None)
        self.buses[name] = bus
        self._stack.callback(bus.close)

    def advice(self) -> dict[str, str]:
        """What to do about each failure."""
        return {name: advice(self.board.buses[name], error) for name, error in self.failures.items()}


def open_buses(
    board: BoardConfig, now_ns: Clock, *, openers: Mapping[BusKind, Opener] | None = None
) -> OpenBuses:
    """Open what can be opened of a board's buses.

    Args:
        board: its description.
        now_ns: clock of the flight program, for deadlines and latencies.
        openers: how each kind of bus is opened; the real transports by default.
    """
    table = OPENERS if openers is None else openers
    buses = OpenBuses(board, lambda name: table[board.buses[name].kind](name, board, now_ns))
    with ExitStack() as guard:
        guard.callback(buses.close)
        for name in board.buses:
            with suppress(DeviceError):  # it is among the failures
                buses._open(name)
        guard.pop_all()
    return buses


def _open_i2c(name: str, board: BoardConfig, now_ns: Clock) -> LinuxI2cBus | RemoteI2cBus:
    config = board.buses[name]
    if is_remote(config.device):
        return RemoteI2cBus(name, config.device, config.timeout_ms, now_ns)
    return LinuxI2cBus(name, config.device, config.timeout_ms, now_ns, clear=_clearer(name, board, now_ns))


def _clearer(name: str, board: BoardConfig, now_ns: Clock) -> Callable[[], BusClear] | None:
    """Nine clocks by GPIO and the pins back to the adapter, if the board tells the lines."""
    recovery = board.buses[name].recovery
    chip = next((bus.device for bus in board.buses.values() if bus.kind == "gpio"), None)
    if recovery is None or recovery.scl_line is None or recovery.sda_line is None or chip is None:
        return None
    scl, sda, adapter, label = recovery.scl_line, recovery.sda_line, recovery.adapter, chip

    def settle() -> None:
        end = now_ns() + HALF_CLOCK_NS
        for _ in range(LONGEST_SPIN):
            if now_ns() >= end:
                return

    def clear() -> BusClear:
        # The pins are taken for these clocks only: as long as they are GPIO, they are no I2C.
        lines = GpioChip(name, label, (), (), now_ns, open_drain=(scl, sda))
        try:
            return clear_bus(lines, scl, sda, settle)
        finally:
            lines.close()
            if adapter is not None:
                rebind(PLATFORM_DEVICES / adapter.partition("/")[2], name)

    return clear


def _open_spi(name: str, board: BoardConfig, now_ns: Clock) -> LinuxSpiBus | RemoteSpiBus:
    config = board.buses[name]
    if is_remote(config.device):
        return RemoteSpiBus(name, config.device, config.timeout_ms, now_ns, max_hz=config.speed_hz)
    return LinuxSpiBus(name, config.device, config.timeout_ms, now_ns, max_hz=config.speed_hz)


def _open_serial(name: str, board: BoardConfig, now_ns: Clock) -> SerialPort:
    config = board.buses[name]
    if config.speed_hz is None:
        raise DeviceError(name, None, Cause.PROTOCOL, f"the board gives no speed_hz for {config.device}")
    return SerialPort(name, config.device, config.speed_hz, config.timeout_ms, now_ns)


def _open_gpio(name: str, board: BoardConfig, now_ns: Clock) -> GpioChip | RemoteGpioBus:
    config, lines = board.buses[name], board.lines
    if is_remote(config.device):
        return RemoteGpioBus(name, config.device, config.timeout_ms, now_ns)
    resets = {
        bus.recovery.mux_reset_line: None
        for bus in board.buses.values()
        if bus.recovery is not None and bus.recovery.mux_reset_line is not None
    }
    outputs = (lines.valve_arm, lines.valve_enable, lines.watchdog_kick, *resets)
    return GpioChip(name, config.device, (), outputs, now_ns)


def _open_can(name: str, board: BoardConfig, now_ns: Clock) -> Any:  # noqa: ARG001 - CAN needs no clock of ours
    config = board.buses[name]
    try:
        return import_module("drivers.bus.can_open").open_can(name, config.device, config.speed_hz, config.timeout_ms)
    except ValueError as error:
        raise DeviceError(name, None, Cause.PROTOCOL, str(error)) from None


OPENERS: Mapping[BusKind, Opener] = {
    "i2c": _open_i2c, "spi": _open_spi, "serial": _open_serial, "gpio": _open_gpio, "can": _open_can,
}

_GROUPS: Mapping[BusKind, str] = {"i2c": "i2c", "spi": "spi", "gpio": "gpio", "serial": "dialout"}
_CONFIG = "/boot/firmware/config.txt"
_I2C_OVERLAYS = {"1": "dtparam=i2c_arm=on", "0": "dtparam=i2c_vc=on"}
_SPI_OVERLAYS = {"0": "dtparam=spi=on", "1": "dtoverlay=spi1-3cs"}


def advice(config: BusConfig, error: DeviceError) -> str:
    """What to do about an error of a bus: group, overlay, command, address; one or two sentences.

    Args:
        config: the bus in the board description.
        error: of its opening, or of a transfer on it.
    """
    if isinstance(error, MissingLibrary):
        return f"{error.library} is missing: pip install 'qiki-flight[board]'"
    if isinstance(error, InUse):
        return _owner(config)
    if error.cause is Cause.PERMISSION:
        return _permission(config)
    if error.cause is Cause.ABSENT:
        return _absent(config)
    return _transfer(config, error)


def _owner(config: BusConfig) -> str:
    device = config.device
    if is_remote(device):
        return f"stop the other program that has {device}; a bus has one owner"
    if config.kind == "gpio":
        return f"find the owner with `gpioinfo` and stop it; the lines of {device} have one owner each"
    nodes = f"{device}.*" if config.kind == "spi" else device
    return f"find the owner with `sudo fuser -v {nodes}` and stop it; a bus has one owner"


def _permission(config: BusConfig) -> str:
    if is_remote(config.device):
        return f"run as the user who serves {config.device}, or in its group"
    if config.kind == "can":
        return f"setting {config.device} up takes root: {_link(config)}"
    group = _GROUPS[config.kind]
    return f"join the group {group} (`sudo usermod -aG {group} $USER`) and log in again"


def _link(config: BusConfig) -> str:
    return f"`sudo ip link set {config.device} up type can bitrate {config.speed_hz or 500_000} restart-ms 100`"


def _absent(config: BusConfig) -> str:
    kind, device = config.kind, config.device
    if is_remote(device):
        return f"start the rig that plays it (`qiki rig serve`): it makes {device}"
    number = device.rpartition("-")[2] if kind == "i2c" else device.rpartition("spidev")[2]
    if kind in ("i2c", "spi") and not number.isdigit():
        return f"there is no {device}: enable the adapter, and name its node as `ls /dev/{kind[:3]}*` shows it"
    if kind == "i2c":
        line = _I2C_OVERLAYS.get(number, f"dtoverlay=i2c{number}")
        tail = " (or `sudo raspi-config nonint do_i2c 0`)" if number == "1" else ""
        return f"enable it with {line} in {_CONFIG}{tail}, load i2c-dev (`sudo modprobe i2c-dev`) and restart"
    if kind == "spi":
        line = _SPI_OVERLAYS.get(number, f"dtoverlay=spi{number}-1cs")
        tail = " (or `sudo raspi-config nonint do_spi 0`)" if number == "0" else ""
        return f"enable it with {line} in {_CONFIG}{tail} and restart"
    if kind == "serial":
        return _absent_serial(device)
    if kind == "can":
        how = "`sudo modprobe vcan; sudo ip link add dev {0} type vcan`" if device.startswith("vcan") else (
            "enable the controller with dtoverlay=mcp251xfd,spi5-0,interrupt=23 (or your board's overlay) in " + _CONFIG
        )
        return f"{how.format(device)}, then {_up(config)}"
    return f"name the chip as `gpiodetect` does and the lines as `gpioinfo` does; the board says {device}"


def _up(config: BusConfig) -> str:
    return f"`sudo ip link set {config.device} up`" if config.device.startswith("vcan") else _link(config)


def _absent_serial(device: str) -> str:
    name = Path(device).name
    if name.startswith(("ttyUSB", "ttyACM")) or "/serial/by-id/" in device:
        return "plug the adapter in, and name it as /dev/serial/by-id/ does: those names stay"
    if name.startswith("ttyAMA") and name[6:].isdigit() and name != "ttyAMA0":
        return f"enable it with dtoverlay=uart{name[6:]} in {_CONFIG} and restart"
    return f"enable it with enable_uart=1 in {_CONFIG}, take the console away from it in cmdline.txt, and restart"


def _transfer(config: BusConfig, error: DeviceError) -> str:
    """Of a bus that is open: the cause's own advice, and the command that shows more."""
    general = CAUSES[error.cause].advice
    if config.kind == "i2c" and error.cause in (Cause.NACK_ADDRESS, Cause.NACK_DATA):
        number = config.device.rpartition("-")[2]
        where = f" at 0x{error.address:02x}" if error.address is not None else ""
        return f"{general}; `i2cdetect -y {number}` shows what answers, nothing did{where}"
    if config.kind == "can" and error.cause is Cause.BUS_OFF:
        return f"{general}; then {_link(config)}"
    if error.detail:
        return f"{error.detail}: {general}"
    return general
