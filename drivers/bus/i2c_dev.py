"""One I2C segment through /dev/i2c-N: whole transfers in one system call, one owner, a deadline, typed errors.

Combined transfers go out as a single I2C_RDWR request, so nobody can come between the register pointer and the read.
At open the kernel's own retries are set to 0 and its time-out to the bus's (I2C_RETRIES and I2C_TIMEOUT,
include/uapi/linux/i2c-dev.h; the time-out counts units of 10 ms and belongs to the whole adapter). Retries are ours
(``drivers/bus/counted.py``), so that they are counted and end with the deadline. A retry that itself hangs costs one
kernel time-out more; that shows in ``counters.late``.

An adapter that speaks SMBus only (no I2C_FUNC_I2C) gets the SMBus call that puts the same bytes on the wire, where
there is one: one register of one or two bytes, or a block of up to 32; anything else is refused with PROTOCOL.

Error numbers: Linux Documentation/i2c/fault-codes.rst. Adapters differ: i2c-bcm2835 says EREMOTEIO for every missing
acknowledge, of the address and of data alike, and it is reported as NACK_ADDRESS.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from ctypes import create_string_buffer, memmove, pointer, string_at
from fcntl import ioctl
from pathlib import Path
from typing import Any, Protocol

from drivers.bus.counted import TransferCounters, TransferPolicy, load_library, opening_error, take_ownership
from drivers.bus.i2c_recovery import BusClear
from drivers.errors import Cause, DeviceError

__all__ = ["LinuxI2cBus", "SmbusPort", "kernel_clock_hz", "open_smbus"]

I2C_RETRIES = 0x0701
I2C_TIMEOUT = 0x0702
I2C_RDWR = 0x0707
TIMEOUT_UNIT_MS = 10

FUNC_I2C = 0x00000001
FUNC_QUICK = 0x00010000
FUNC_READ_BYTE = 0x00020000
FUNC_WRITE_BYTE = 0x00040000
FUNC_READ_BYTE_DATA = 0x00080000
FUNC_WRITE_BYTE_DATA = 0x00100000
FUNC_READ_WORD_DATA = 0x00200000
FUNC_WRITE_WORD_DATA = 0x00400000
FUNC_READ_I2C_BLOCK = 0x04000000
FUNC_WRITE_I2C_BLOCK = 0x08000000

LONGEST_MESSAGE = 8192
"""i2c-dev refuses longer ones."""
LONGEST_BLOCK = 32
ADDRESSES = range(0x08, 0x78)

CAUSES = {
    errno.ENXIO: Cause.NACK_ADDRESS, errno.EREMOTEIO: Cause.NACK_ADDRESS, errno.EIO: Cause.NACK_DATA,
    errno.ETIMEDOUT: Cause.TIMEOUT, errno.ETIME: Cause.TIMEOUT, errno.EAGAIN: Cause.ARBITRATION,
    errno.EBUSY: Cause.STUCK_BUS, errno.EBADMSG: Cause.CHECKSUM, errno.EPROTO: Cause.PROTOCOL,
    errno.EOPNOTSUPP: Cause.PROTOCOL, errno.EINVAL: Cause.PROTOCOL, errno.EMSGSIZE: Cause.PROTOCOL,
    errno.ENOENT: Cause.ABSENT, errno.ENODEV: Cause.ABSENT, errno.ESHUTDOWN: Cause.ABSENT, errno.EBADF: Cause.ABSENT,
    errno.EACCES: Cause.PERMISSION, errno.EPERM: Cause.PERMISSION,
}


class SmbusPort(Protocol):
    """What is used of ``smbus2.SMBus``: descriptor, functionality mask and the SMBus calls."""

    fd: int | None
    funcs: int
    address: int | None

    def close(self) -> None:
        """Close the node."""

    def write_quick(self, i2c_addr: int) -> None:
        """Address and write bit alone."""

    def read_byte(self, i2c_addr: int) -> int:
        """One byte without a register."""

    def write_byte(self, i2c_addr: int, value: int) -> None:
        """One byte."""

    def read_byte_data(self, i2c_addr: int, register: int) -> int:
        """Register pointer, repeated START, one byte."""

    def write_byte_data(self, i2c_addr: int, register: int, value: int) -> None:
        """Register pointer and one byte."""

    def read_word_data(self, i2c_addr: int, register: int) -> int:
        """Register pointer, repeated START, two bytes, low byte first."""

    def write_word_data(self, i2c_addr: int, register: int, value: int) -> None:
        """Register pointer and two bytes, low byte first."""

    def read_i2c_block_data(self, i2c_addr: int, register: int, length: int) -> list[int]:
        """Register pointer, repeated START, ``length`` bytes."""

    def write_i2c_block_data(self, i2c_addr: int, register: int, data: bytes) -> None:
        """Register pointer and up to 32 bytes."""


def open_smbus(path: str) -> SmbusPort:
    """Open a node with smbus2; nothing stays open if it turns out to be something else."""
    port: Any = load_library("", "smbus2", "smbus2").SMBus()
    try:
        port.open(path)
    except OSError:
        port.close()
        raise
    opened: SmbusPort = port
    return opened


def kernel_clock_hz(path: str, sys: Path = Path("/sys")) -> int | None:
    """Clock to which the device tree set an adapter, or ``None`` where it doesn't say; a program can't change it."""
    node = sys / "class/i2c-dev" / Path(path).name / "device/of_node/clock-frequency"
    try:
        data = node.read_bytes()
    except OSError:
        return None
    return int.from_bytes(data, "big") if len(data) == 4 else None


class LinuxI2cBus:
    """One segment behind a Linux adapter; an ``I2cBus``.

    Args:
        name: of the bus in the board description.
        path: node, such as ``/dev/i2c-1``.
        timeout_ms: deadline of a transfer; the kernel's time-out is the next multiple of 10 ms.
        now_ns: clock for deadline and latencies.
        opener: opens the node; ``smbus2`` by default.
        clear: clocks the bus free by GPIO and gives its pins back to the adapter; called while the node is closed.

    Raises:
        DeviceError: ABSENT, PERMISSION, InUse (a second owner), MissingLibrary; PROTOCOL for a node of another kind.
    """

    def __init__(
        self, name: str, path: str, timeout_ms: int, now_ns: Callable[[], int], *,
        opener: Callable[[str], SmbusPort] = open_smbus, clear: Callable[[], BusClear] | None = None,
    ) -> None:
        self.name = name
        self.path = path
        self.combined = True
        """Whether the adapter takes plain I2C messages; if not, transfers are made of SMBus calls."""
        self.last_clear: BusClear | None = None
        """How the last ``clear_bus`` ended."""
        self._clear = clear
        self._policy = TransferPolicy(timeout_ms, now_ns)
        self._kernel_units = -(-timeout_ms // TIMEOUT_UNIT_MS)
        self._opener = opener
        self._port: SmbusPort | None = None
        self._fd = -1
        self._funcs = 0
        # Messages are made once: a transfer then allocates nothing but its answer.
        smbus2 = load_library(name, "smbus2", "smbus2")
        self._out = create_string_buffer(LONGEST_MESSAGE)
        self._in = create_string_buffer(LONGEST_MESSAGE)
        messages = (smbus2.i2c_msg * 2)()
        self._to, self._from = messages
        self._to.buf, self._from.buf = self._out, self._in
        self._from.flags = smbus2.smbus2.I2C_M_RD
        request = smbus2.smbus2.i2c_rdwr_ioctl_data
        self._writing = request(msgs=messages, nmsgs=1)
        self._reading = request(msgs=pointer(messages[1]), nmsgs=1)
        self._both = request(msgs=messages, nmsgs=2)
        self._open()

    @property
    def counters(self) -> TransferCounters:
        """What this bus did since start."""
        return self._policy.counters

    def write(self, address: int, data: bytes) -> None:
        """See I2cBus. Never retried."""
        self._policy.once(self._write if self.combined else self._smbus_write, address, data)

    def read(self, address: int, count: int) -> bytes:
        """See I2cBus. Retried where that is allowed."""
        return self._policy.repeatable(self._read if self.combined else self._smbus_read, address, count)

    def write_read(self, address: int, data: bytes, count: int) -> bytes:
        """See I2cBus. Retried where that is allowed."""
        transfer = self._write_read if self.combined else self._smbus_write_read
        return self._policy.repeatable(transfer, address, data, count)

    def reopen(self) -> None:
        """Close and open the node again: a rung of the recovery ladder. Raises as the constructor does."""
        self.close()
        self.counters.reopens += 1
        self._open()

    def clear_bus(self) -> None:
        """Nine clocks and a STOP by hand: a rung of the recovery ladder (``drivers/bus/i2c_recovery.py``).

        Raises:
            DeviceError: STUCK_BUS when a line stays low; PROTOCOL when the board names no lines to do it with; what
                the lines, the adapter's driver and opening raise.
        """
        if self._clear is None:
            raise DeviceError(self.name, None, Cause.PROTOCOL, "the board names no lines to clock this bus by hand")
        self.close()
        try:
            self.last_clear = result = self._clear()
        finally:
            self._open()
        if not result.free:
            line = "SDA" if result.scl_free else "SCL"
            raise DeviceError(self.name, None, Cause.STUCK_BUS, f"{line} is held low after {result.clocks} clocks")

    def close(self) -> None:
        """Give the segment back; transfers are ABSENT from here on."""
        port, self._port, self._fd = self._port, None, -1
        if port is not None:
            port.close()

    def _open(self) -> None:
        try:
            port = self._opener(self.path)
        except OSError as error:
            raise opening_error(self.name, None, self.path, error) from None
        try:
            fd = port.fd
            if fd is None:
                raise DeviceError(self.name, None, Cause.ABSENT, f"{self.path} did not open")
            take_ownership(fd, self.name, None, self.path)
            ioctl(fd, I2C_RETRIES, 0)
            ioctl(fd, I2C_TIMEOUT, self._kernel_units)
        except OSError as error:
            port.close()
            raise opening_error(self.name, None, self.path, error) from None
        except DeviceError:
            port.close()
            raise
        self._port, self._fd, self._funcs = port, fd, int(port.funcs)
        self.combined = bool(self._funcs & FUNC_I2C)

    def _error(self, address: int, cause: Cause, detail: str) -> DeviceError:
        return DeviceError(self.name, address, cause, detail)

    def _fault(self, address: int, error: OSError) -> DeviceError:
        """The typed error of a transfer that the kernel refused."""
        number = error.errno or 0
        if number == errno.EBUSY and not self.combined and self._port is not None and self._port.address != address:
            return self._error(address, Cause.PROTOCOL, "a driver of the kernel has this address")
        return self._error(address, CAUSES.get(number, Cause.PROTOCOL), os.strerror(number) if number else str(error))

    def _check(self, address: int, sent: int, received: int) -> None:
        if self._port is None:
            raise self._error(address, Cause.ABSENT, f"{self.path} isn't open")
        if address not in ADDRESSES:
            raise self._error(address, Cause.PROTOCOL, "no 7-bit address of a device")
        if sent > LONGEST_MESSAGE or not 0 <= received <= LONGEST_MESSAGE:
            raise self._error(address, Cause.PROTOCOL, f"a message has at most {LONGEST_MESSAGE} bytes")

    def _request(self, address: int, request: Any, messages: int) -> None:
        try:
            done = ioctl(self._fd, I2C_RDWR, request)
        except OSError as error:
            raise self._fault(address, error) from None
        if done != messages:
            raise self._error(address, Cause.SHORT_READ, f"{done} of {messages} messages were transferred")

    def _write(self, address: int, data: bytes) -> None:
        count = len(data)
        self._check(address, count, 0)
        message = self._to
        message.addr, message.len = address, count
        memmove(self._out, data, count)
        self._request(address, self._writing, 1)

    def _read(self, address: int, count: int) -> bytes:
        self._check(address, 0, count)
        message = self._from
        message.addr, message.len = address, count
        self._request(address, self._reading, 1)
        return string_at(self._in, count)

    def _write_read(self, address: int, data: bytes, count: int) -> bytes:
        sent = len(data)
        self._check(address, sent, count)
        to, back = self._to, self._from
        to.addr, to.len = address, sent
        back.addr, back.len = address, count
        memmove(self._out, data, sent)
        self._request(address, self._both, 2)
        return string_at(self._in, count)

    def _smbus(self, address: int, sent: int, received: int) -> SmbusPort:
        self._check(address, sent, received)
        port = self._port
        if port is None:  # pragma: no cover - _check has refused it
            raise self._error(address, Cause.ABSENT, f"{self.path} isn't open")
        return port

    def _no_such_call(self, address: int, what: str) -> DeviceError:
        return self._error(address, Cause.PROTOCOL, f"this adapter speaks SMBus only and has no call for {what}")

    def _smbus_write(self, address: int, data: bytes) -> None:
        count, funcs = len(data), self._funcs
        port = self._smbus(address, count, 0)
        try:
            if count == 0 and funcs & FUNC_QUICK:
                port.write_quick(address)
            elif count == 1 and funcs & FUNC_WRITE_BYTE:
                port.write_byte(address, data[0])
            elif count == 2 and funcs & FUNC_WRITE_BYTE_DATA:
                port.write_byte_data(address, data[0], data[1])
            elif count == 3 and funcs & FUNC_WRITE_WORD_DATA:
                port.write_word_data(address, data[0], data[1] | data[2] << 8)
            elif 1 < count <= 1 + LONGEST_BLOCK and funcs & FUNC_WRITE_I2C_BLOCK:
                port.write_i2c_block_data(address, data[0], data[1:])
            else:
                raise self._no_such_call(address, f"a write of {count} bytes")
        except OSError as error:
            raise self._fault(address, error) from None

    def _smbus_read(self, address: int, count: int) -> bytes:
        port = self._smbus(address, 0, count)
        if count != 1 or not self._funcs & FUNC_READ_BYTE:
            raise self._no_such_call(address, f"a read of {count} bytes without a register")
        try:
            return bytes((port.read_byte(address),))
        except OSError as error:
            raise self._fault(address, error) from None

    def _smbus_write_read(self, address: int, data: bytes, count: int) -> bytes:
        port, funcs = self._smbus(address, len(data), count), self._funcs
        if len(data) != 1:
            raise self._no_such_call(address, f"a pointer of {len(data)} bytes")
        register = data[0]
        try:
            if count == 1 and funcs & FUNC_READ_BYTE_DATA:
                return bytes((port.read_byte_data(address, register),))
            if count == 2 and funcs & FUNC_READ_WORD_DATA:
                return port.read_word_data(address, register).to_bytes(2, "little")
            if 1 <= count <= LONGEST_BLOCK and funcs & FUNC_READ_I2C_BLOCK:
                answer = bytes(port.read_i2c_block_data(address, register, count))
            else:
                raise self._no_such_call(address, f"a register of {count} bytes")
        except OSError as error:
            raise self._fault(address, error) from None
        if len(answer) != count:
            raise self._error(address, Cause.SHORT_READ, f"{len(answer)} bytes instead of {count}")
        return answer
