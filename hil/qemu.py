"""Drives QEMU's chip models from plain Python: no guest runs, every wait is bounded, a death of QEMU is explained.

QEMU is started with the i.MX6 board ``sabrelite`` and its processor stopped; memory-mapped registers are then read and
written through its test protocol (QEMU, docs/devel/testing/qtest), and the chips' physical values are set as object
properties through its machine protocol (QMP). :class:`QemuI2cBus` and :class:`QemuSpiBus` are bus twins like those of
``hil.bus``: a driver on one of them talks to a model that nobody of this project wrote.

Registers of the controllers: NXP IMX6DQRM (i.MX 6Dual/6Quad reference manual), chapters on I2C and ECSPI. Oddities of
the models that the twins allow for: a byte sent after one that was not acknowledged would be taken for an address, so
every acknowledge is looked at before the next byte; chip selects of added SPI chips are not wired to the controller,
so they are driven as pins.
"""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Sequence
from types import TracebackType
from typing import IO, Any, Self

import numpy as np

from drivers.bus.protocol import I2cBus
from drivers.errors import Cause, DeviceError
from hil.faults import ActiveFault, Fault, FaultKind, FaultSet

__all__ = [
    "I2C_CONTROLLERS", "QEMU", "FaultyI2cBus", "QemuBoard", "QemuError", "QemuI2cBus", "QemuMissing", "QemuSpiBus",
    "Qmp", "Qtest", "qemu_path",
]

QEMU = "qemu-system-arm"
I2C_CONTROLLERS = (0x021A_0000, 0x021A_4000, 0x021A_8000)
"""Register blocks of QEMU's ``i2c-bus.0`` to ``i2c-bus.2``."""
ECSPI5 = 0x0201_8000
"""The controller on which SSI chips named with ``bus=spi`` land."""
ANSWER_S = 10.0
"""Longest wait for one answer. They come within 0.1 ms; the rest is for a machine that is busy."""
EXIT_S = 2.0
STDERR_SHOWN = 2000
_LINE_LIMIT = 1 << 20
_IN_FLIGHT = 64
"""Requests sent before their answers are read: far below what the socket buffers hold, so neither side can block."""

# I2C controller, offsets and bits.
_I2CR, _I2SR, _I2DR = 0x8, 0xC, 0x10
_IEN, _MSTA, _MTX, _TXAK, _RSTA = 1 << 7, 1 << 5, 1 << 4, 1 << 3, 1 << 2
_RXAK = 1 << 0

# ECSPI, offsets and bits.
_RXDATA, _TXDATA, _CONREG = 0x0, 0x4, 0x8
_ENABLE, _START_ON_WRITE, _MASTER_0 = 1 << 0, 1 << 3, 1 << 4
_BYTE_BURST = _ENABLE | _START_ON_WRITE | _MASTER_0 | 7 << 20
_WORD_BURST = _ENABLE | _START_ON_WRITE | _MASTER_0 | 31 << 20
_WORD = 4


class QemuError(RuntimeError):
    """QEMU did not start, died, kept silent or refused a request. The text ends with what it wrote to stderr."""


class QemuMissing(QemuError):
    """There is no QEMU on this machine."""


def qemu_path() -> str | None:
    """Where QEMU is on this machine, or ``None``."""
    return shutil.which(QEMU)


class _Wire:
    """One socket to QEMU, by lines."""

    def __init__(self, wire: socket.socket) -> None:
        wire.settimeout(ANSWER_S)
        self._wire = wire
        self._rest = bytearray()

    def send(self, text: str) -> None:
        self._wire.sendall(text.encode())

    def line(self) -> str:
        """The next line, without its end. Raises OSError, TimeoutError among them; EOFError once QEMU hung up."""
        while (end := self._rest.find(b"\n")) < 0:
            if len(self._rest) > _LINE_LIMIT:
                raise OSError("a line without end")
            chunk = self._wire.recv(1 << 16)
            if not chunk:
                raise EOFError("QEMU hung up")
            self._rest += chunk
        line = self._rest[:end].decode(errors="replace")
        del self._rest[: end + 1]
        return line.rstrip("\r")

    def close(self) -> None:
        self._wire.close()


class Qtest:
    """Client of QEMU's test protocol: memory-mapped registers and input pins. Every method raises QemuError."""

    def __init__(self, board: QemuBoard, wire: socket.socket) -> None:
        self._board = board
        self._wire = _Wire(wire)

    def run(self, commands: Sequence[str]) -> list[int]:
        """Send commands in order and collect one answer each: the number read, 0 for a command that answers none."""
        answers: list[int] = []
        for start in range(0, len(commands), _IN_FLIGHT):
            batch = commands[start : start + _IN_FLIGHT]
            try:
                self._wire.send("".join(f"{command}\n" for command in batch))
                answers.extend([self._answer(command) for command in batch])
            except (OSError, EOFError) as error:
                raise self._board.failure(f"no answer over the test protocol: {error}") from error
        return answers

    def readb(self, address: int) -> int:
        """Byte at a physical address."""
        return self.run((f"readb {address:#x}",))[0]

    def readw(self, address: int) -> int:
        """16-bit word at a physical address."""
        return self.run((f"readw {address:#x}",))[0]

    def readl(self, address: int) -> int:
        """32-bit word at a physical address."""
        return self.run((f"readl {address:#x}",))[0]

    def writeb(self, address: int, value: int) -> None:
        """Byte to a physical address."""
        self.run((f"writeb {address:#x} {value:#x}",))

    def writew(self, address: int, value: int) -> None:
        """16-bit word to a physical address."""
        self.run((f"writew {address:#x} {value:#x}",))

    def writel(self, address: int, value: int) -> None:
        """32-bit word to a physical address."""
        self.run((f"writel {address:#x} {value:#x}",))

    def set_irq_in(self, device: str, pin: str, number: int, level: int) -> None:
        """Drive an input pin of a device by id or path; ``unnamed-gpio-in`` for those without a name.

        QEMU dies of a pin that is not there, which the QemuError then shows.
        """
        self.run((pin_command(device, pin, number, level),))

    def close(self) -> None:
        """Hang up."""
        self._wire.close()

    def _answer(self, command: str) -> int:
        line = self._wire.line()
        while line.startswith("IRQ "):
            line = self._wire.line()
        word, _, value = line.partition(" ")
        if word != "OK":
            raise self._board.failure(f"{command!r} was answered {line!r}")
        return int(value, 16) if value else 0


def pin_command(device: str, pin: str, number: int, level: int) -> str:
    """Test protocol command that drives an input pin."""
    return f"set_irq_in {_path(device)} {pin} {number} {level}"


def _path(device: str) -> str:
    return device if device.startswith("/") else f"/machine/peripheral/{device}"


class Qmp:
    """Client of QEMU's machine protocol: object properties. Every method raises QemuError."""

    def __init__(self, board: QemuBoard, wire: socket.socket) -> None:
        self._board = board
        self._wire = _Wire(wire)
        self._receive()  # the greeting
        self.execute("qmp_capabilities")

    def execute(self, command: str, **arguments: object) -> Any:
        """One command; its return value. Events that come in between are dropped."""
        try:
            self._wire.send(json.dumps({"execute": command, "arguments": arguments}) + "\n")
        except OSError as error:
            raise self._board.failure(f"the machine protocol is closed: {error}") from error
        while True:
            answer = self._receive()
            if "error" in answer:
                raise self._board.failure(f"{command} {arguments}: {answer['error'].get('desc', answer['error'])}")
            if "return" in answer:
                return answer["return"]

    def get(self, device: str, name: str) -> Any:
        """A property of a device, by id or path."""
        return self.execute("qom-get", path=_path(device), property=name)

    def set(self, device: str, name: str, value: object) -> None:
        """Set a property of a device, by id or path."""
        self.execute("qom-set", path=_path(device), property=name, value=value)

    def close(self) -> None:
        """Hang up."""
        self._wire.close()

    def _receive(self) -> dict[str, Any]:
        try:
            answer: dict[str, Any] = json.loads(self._wire.line())
        except (OSError, EOFError, ValueError) as error:
            raise self._board.failure(f"no answer over the machine protocol: {error}") from error
        return answer


class QemuI2cBus:
    """One of the board's I2C controllers. Implements drivers.bus.protocol.I2cBus; raises QemuError if QEMU fails.

    ``write_read`` is one transaction with a repeated START; the controller model shows the chip an END before it.
    """

    def __init__(self, qtest: Qtest, name: str, base: int) -> None:
        self.name = name
        self._qtest = qtest
        self._receive = f"writew {base + _I2CR:#x} {_IEN | _MSTA:#x}"
        self._receive_last = f"writew {base + _I2CR:#x} {_IEN | _MSTA | _TXAK:#x}"
        self._begin = f"writew {base + _I2CR:#x} {_IEN | _MSTA | _MTX:#x}"
        self._again = f"writew {base + _I2CR:#x} {_IEN | _MSTA | _MTX | _RSTA:#x}"
        self._end = f"writew {base + _I2CR:#x} {_IEN:#x}"
        self._send = f"writew {base + _I2DR:#x} "
        self._take = f"readw {base + _I2DR:#x}"
        self._status = f"readw {base + _I2SR:#x}"
        # Off and on: the controller's own reset.
        qtest.run((f"writew {base + _I2CR:#x} 0", self._end))

    def write(self, address: int, data: bytes) -> None:
        """See drivers.bus.protocol.I2cBus."""
        try:
            self._address(self._begin, address, 0)
            self._bytes(address, data)
        finally:
            self._qtest.run((self._end,))

    def read(self, address: int, count: int) -> bytes:
        """See drivers.bus.protocol.I2cBus. Raises ValueError for a count below one, which the wire does not know."""
        return self._read(self._begin, address, count)

    def write_read(self, address: int, data: bytes, count: int) -> bytes:
        """See drivers.bus.protocol.I2cBus. Raises as ``read``."""
        try:
            self._address(self._begin, address, 0)
            self._bytes(address, data)
        except DeviceError:
            self._qtest.run((self._end,))
            raise
        return self._read(self._again, address, count)

    def _address(self, start: str, address: int, reading: int) -> None:
        if self._qtest.run((start, f"{self._send}{address << 1 | reading:#x}", self._status))[2] & _RXAK:
            raise DeviceError(self.name, address, Cause.NACK_ADDRESS)

    def _bytes(self, address: int, data: bytes) -> None:
        for position, byte in enumerate(data):
            if self._qtest.run((f"{self._send}{byte:#x}", self._status))[1] & _RXAK:
                raise DeviceError(self.name, address, Cause.NACK_DATA, f"byte {position}")

    def _read(self, start: str, address: int, count: int) -> bytes:
        if count < 1:
            self._qtest.run((self._end,))
            raise ValueError(f"{count} bytes cannot be read; at least 1 is needed")
        try:
            self._address(start, address, 1)
        except DeviceError:
            self._qtest.run((self._end,))
            raise
        # A read of the data register returns the byte before and fetches the next, so the first one returns nothing
        # and the last byte is taken after the STOP: the chip is never asked for a byte too many.
        last = (self._receive_last, self._take, self._end, self._take)
        answers = self._qtest.run((self._receive, *(self._take,) * (count - 1), *last))
        return bytes((*answers[2:count], answers[count + 1], answers[-1])[-count:])


class QemuSpiBus:
    """Controller ECSPI5 with the SSI chips that were given ``bus=spi``. Implements drivers.bus.protocol.SpiBus.

    The models know no clock, so mode and speed are checked for sense and otherwise ignored.
    """

    def __init__(self, qtest: Qtest, name: str, selects: Sequence[str]) -> None:
        """``selects``: device ids, in the order of their select numbers. Every chip is deselected."""
        self.name = name
        self._qtest = qtest
        self._on = [pin_command(device, "ssi-gpio-cs", 0, 0) for device in selects]
        self._off = [pin_command(device, "ssi-gpio-cs", 0, 1) for device in selects]
        self._configured: set[int] = set()
        self._tx = f"writel {ECSPI5 + _TXDATA:#x} "
        self._rx = f"readl {ECSPI5 + _RXDATA:#x}"
        self._bytewise = f"writel {ECSPI5 + _CONREG:#x} {_BYTE_BURST:#x}"
        self._wordwise = f"writel {ECSPI5 + _CONREG:#x} {_WORD_BURST:#x}"
        qtest.run(self._off)

    def configure(self, select: int, mode: int, max_hz: int) -> None:
        """See drivers.bus.protocol.SpiBus. Raises PROTOCOL for a mode or clock that no controller has, ABSENT."""
        if not 0 <= select < len(self._on):
            raise DeviceError(self.name, select, Cause.ABSENT, "no chip on this select")
        if mode not in (0, 1, 2, 3) or max_hz <= 0:
            raise DeviceError(self.name, select, Cause.PROTOCOL, f"mode {mode} at {max_hz} Hz")
        self._configured.add(select)

    def transfer(self, select: int, data: bytes) -> bytes:
        """See drivers.bus.protocol.SpiBus."""
        if select not in self._configured:
            raise DeviceError(self.name, select, Cause.PROTOCOL, "transfer before configure")
        words = len(data) // _WORD * _WORD
        commands = [self._on[select], self._wordwise]
        for start in range(0, words, _WORD):
            commands += (f"{self._tx}{int.from_bytes(data[start : start + _WORD], 'big'):#x}", self._rx)
        commands.append(self._bytewise)
        for byte in data[words:]:
            commands += (f"{self._tx}{byte:#x}", self._rx)
        commands.append(self._off[select])
        answers = self._qtest.run(commands)
        split = 2 + 2 * (words // _WORD)
        answer = b"".join(word.to_bytes(_WORD, "big") for word in answers[3:split:2])
        return answer + bytes(answers[split + 2 : -1 : 2])


class QemuBoard:
    """A running QEMU with chips on its buses. Use it in ``with``, or ``start`` and ``close`` it.

    Args:
        devices: QEMU ``-device`` descriptions, for example ``"tmp423,bus=i2c-bus.0,address=0x4c,id=t0"``; SSI chips
            take ``bus=spi``. Ids name the chips in properties and pins.
        options: further command line words, for example a ``-drive``.
        program: the program to start; QEMU of the search path if not given.

    The models follow the machine's own clock where they have one; their timers stand still.
    """

    def __init__(
        self, devices: Sequence[str] = (), options: Sequence[str] = (), program: str | None = None
    ) -> None:
        self._devices = tuple(devices)
        self._options = tuple(options)
        self._program = program
        self._process: subprocess.Popen[bytes] | None = None
        self._stderr: IO[bytes] | None = None
        self._qtest: Qtest | None = None
        self._qmp: Qmp | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def qtest(self) -> Qtest:
        """Registers and pins. Raises QemuError before ``start``."""
        if self._qtest is None:
            raise QemuError("QEMU is not running")
        return self._qtest

    @property
    def qmp(self) -> Qmp:
        """Properties of chips. Raises QemuError before ``start``."""
        if self._qmp is None:
            raise QemuError("QEMU is not running")
        return self._qmp

    @property
    def pid(self) -> int | None:
        """Process id while QEMU runs."""
        return None if self._process is None else self._process.pid

    def i2c(self, number: int = 0, name: str | None = None) -> QemuI2cBus:
        """The twin of ``i2c-bus.<number>``, 0..2."""
        return QemuI2cBus(self.qtest, name or f"i2c-bus.{number}", I2C_CONTROLLERS[number])

    def spi(self, selects: Sequence[str], name: str = "spi") -> QemuSpiBus:
        """The twin of the SPI controller; ``selects`` are all its chips by id."""
        return QemuSpiBus(self.qtest, name, selects)

    def start(self) -> None:
        """Start QEMU and wait until both protocols answer. Raises QemuMissing, QemuError."""
        if self._process is not None:
            raise QemuError("QEMU is already running")
        program = shutil.which(self._program or QEMU)
        if program is None:
            raise QemuMissing(f"{self._program or QEMU} is not installed (Debian: apt-get install {QEMU})")
        test_ours, test_theirs = socket.socketpair()
        machine_ours, machine_theirs = socket.socketpair()
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 - closed by close()
        try:
            self._process = subprocess.Popen(
                self._command(program, test_theirs.fileno(), machine_theirs.fileno()),
                stdin=subprocess.DEVNULL, stdout=self._stderr, stderr=self._stderr, start_new_session=True,
                pass_fds=(test_theirs.fileno(), machine_theirs.fileno()),
            )
        except OSError as error:
            test_ours.close()
            machine_ours.close()
            self.close()
            raise QemuMissing(f"{program} cannot be started: {error}") from error
        finally:
            # Once QEMU alone holds them, its death ends every wait at once.
            test_theirs.close()
            machine_theirs.close()
        try:
            self._qtest = Qtest(self, test_ours)
            self._qmp = Qmp(self, machine_ours)
            self._qtest.readw(I2C_CONTROLLERS[0] + _I2CR)
        except QemuError:
            machine_ours.close()
            self.close()
            raise

    def close(self) -> None:
        """End QEMU: it is asked to quit, and killed if it doesn't. Closing twice does nothing."""
        process, qmp = self._process, self._qmp
        if process is not None and process.poll() is None:
            if qmp is not None:
                try:
                    qmp.execute("quit")
                    process.wait(EXIT_S)
                except (QemuError, subprocess.TimeoutExpired):
                    process.kill()
            else:
                process.kill()
            process.wait(EXIT_S)
        for resource in (self._qtest, qmp, self._stderr):
            if resource is not None:
                resource.close()
        self._process = self._qtest = self._qmp = self._stderr = None

    def failure(self, what: str) -> QemuError:
        """The error to raise for ``what``, with QEMU's state and last words."""
        state = "is not running"
        if self._process is not None:
            try:
                # Whoever hung up is about to exit; whoever merely refused goes on.
                code = self._process.wait(0.2)
                state = f"ended with {code}" if code >= 0 else f"was ended by signal {-code}"
            except subprocess.TimeoutExpired:
                state = "still runs"
        words = ""
        if self._stderr is not None:
            self._stderr.seek(0)
            words = self._stderr.read().decode(errors="replace")[-STDERR_SHOWN:].strip()
        return QemuError(f"{what}; {QEMU} {state}; it said: {words or 'nothing'}")

    def _command(self, program: str, test_fd: int, machine_fd: int) -> list[str]:
        # With the tool at hand, QEMU dies with whoever started it, even if that was killed.
        setpriv = shutil.which("setpriv")
        return [
            *((setpriv, "--pdeathsig", "KILL", "--") if setpriv else ()), program,
            "-M", "sabrelite", "-S", "-accel", "tcg", "-display", "none", "-nodefaults", "-serial", "none",
            # The test protocol's server looks for a character device of exactly this name.
            "-chardev", f"socket,id=qtest,fd={test_fd}", "-qtest", "chardev:qtest", "-qtest-log", "none",
            "-chardev", f"socket,id=machine,fd={machine_fd}", "-mon", "chardev=machine,mode=control",
            *(word for device in self._devices for word in ("-device", device)), *self._options,
        ]


_FAULTS = frozenset({
    FaultKind.NACK_ADDRESS, FaultKind.NACK_DATA, FaultKind.TIMEOUT, FaultKind.STUCK_BUS, FaultKind.ARBITRATION,
    FaultKind.SHORT_READ, FaultKind.BIT_FLIP, FaultKind.FROZEN, FaultKind.ALL_ONES, FaultKind.ALL_ZEROS,
})


class FaultyI2cBus:
    """Any I2C bus with faults on top, because QEMU's models never lose a byte. Implements drivers.bus.protocol.I2cBus.

    BIT_FLIP changes the answer of a read and the bytes of a plain write; SHORT_READ hits reads; the other kinds that
    change bytes touch answers only, and those that end a transfer end it before the chip hears of it.
    """

    def __init__(self, bus: I2cBus, rng: np.random.Generator | None = None) -> None:
        """Faults over ``bus``; ``rng`` is needed only for faults left to chance."""
        self.name = bus.name
        self._bus = bus
        self._faults = FaultSet(bus.name, _FAULTS, rng)

    def inject(self, fault: Fault) -> ActiveFault:
        """Start a fault. Raises ValueError for a kind without meaning on I2C, and for one limited to a channel."""
        if fault.channel is not None:
            raise ValueError(f"{self.name}: what lies behind a switch is not known here")
        return self._faults.inject(fault)

    def clear(self, handle: ActiveFault | None = None) -> None:
        """End one fault, or all."""
        self._faults.clear(handle)

    def write(self, address: int, data: bytes) -> None:
        """See drivers.bus.protocol.I2cBus."""
        hits = self._hits(address, writing=True)
        flips = [hit for hit in hits if hit.fault.kind is FaultKind.BIT_FLIP]
        self._bus.write(address, self._faults.corrupt(flips, data, ()))

    def read(self, address: int, count: int) -> bytes:
        """See drivers.bus.protocol.I2cBus."""
        hits = self._hits(address, writing=False)
        return self._faults.corrupt(hits, self._bus.read(address, count), (address, count))

    def write_read(self, address: int, data: bytes, count: int) -> bytes:
        """See drivers.bus.protocol.I2cBus."""
        hits = self._hits(address, writing=False)
        return self._faults.corrupt(hits, self._bus.write_read(address, data, count), (address, data, count))

    def _hits(self, address: int, writing: bool) -> list[ActiveFault]:
        hits = [
            handle
            for handle in tuple(self._faults.active)
            if handle.fault.address in (None, address)
            and not (writing and handle.fault.kind is FaultKind.SHORT_READ)
            and self._faults.strike(handle)
        ]
        self._faults.refuse(hits, address)
        return hits
