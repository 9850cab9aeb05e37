"""LinuxI2cBus on a kernel of our own: combined transfers, error numbers, retries inside the deadline, one owner."""

from __future__ import annotations

import ctypes
import errno
from collections import deque
from pathlib import Path
from typing import Any

import pytest

from drivers.bus import i2c_dev
from drivers.bus.counted import InUse, MissingLibrary
from drivers.bus.i2c_dev import LinuxI2cBus, kernel_clock_hz
from drivers.bus.i2c_recovery import BusClear
from drivers.bus.protocol import ClearableBus, I2cBus, ReopenableBus
from drivers.errors import Cause, DeviceError

smbus2 = pytest.importorskip("smbus2", reason="smbus2 comes with the extra [board]")

MS = 1_000_000
I2C = 0x00000001
SMBUS_EMULATION = 0x0EFF0008
WIRE_NS = 300_000
"""Time that every transfer takes on this kernel."""


class Kernel:
    """What i2c-dev does for an ioctl: one chip of 256 registers, an adapter that fails as it is told."""

    def __init__(self) -> None:
        self.funcs = I2C | SMBUS_EMULATION
        self.registers = bytearray(range(256))
        self.pointer = 0
        self.present = {0x40}
        self.bound: set[int] = set()
        self.faults: deque[int] = deque()
        self.lasts_ns = WIRE_NS
        self.short = False
        self.now_ns = 0
        self.requests: list[tuple[int, Any]] = []
        self.settings: dict[int, int] = {}
        self.smbus_address = -1
        self.smbus_sizes: list[int] = []

    def clock(self) -> int:
        return self.now_ns

    def ioctl(self, fd: int, request: int, argument: Any = 0, mutate: bool = True) -> int:
        if request == smbus2.smbus2.I2C_FUNCS:
            argument.value = self.funcs
            return 0
        if request in (0x0701, 0x0702):
            self.settings[request] = argument
            return 0
        if request == smbus2.smbus2.I2C_SLAVE:
            if argument in self.bound:
                raise OSError(errno.EBUSY, "bound")
            self.smbus_address = argument
            return 0
        self.now_ns += self.lasts_ns
        if self.faults:
            raise OSError(self.faults.popleft(), "told to")
        if request == smbus2.smbus2.I2C_RDWR:
            return self._messages(argument)
        assert request == smbus2.smbus2.I2C_SMBUS
        return self._smbus(argument)

    def _messages(self, request: Any) -> int:
        if self.short:
            return int(request.nmsgs) - 1
        seen = []
        for index in range(request.nmsgs):
            message = request.msgs[index]
            if message.addr not in self.present:
                raise OSError(errno.EREMOTEIO, "no acknowledge")
            if message.flags & 1:
                data = bytes(self.registers[self.pointer : self.pointer + message.len])
                ctypes.memmove(message.buf, data, len(data))
            else:
                data = ctypes.string_at(message.buf, message.len)
                if data:
                    self.pointer = data[0]
                    self.registers[data[0] : data[0] + len(data) - 1] = data[1:]
            seen.append((message.addr, message.flags, data))
        self.requests.append((request.nmsgs, seen))
        return int(request.nmsgs)

    def _smbus(self, call: Any) -> int:
        self.smbus_sizes.append(call.size)
        if self.smbus_address not in self.present:
            raise OSError(errno.ENXIO, "no acknowledge")
        block = call.data.contents.block
        at, write = call.command, call.read_write == 0
        if call.size == 1 and write:  # one byte: the pointer
            self.pointer = at
        elif call.size == 1:
            call.data.contents.byte = self.registers[self.pointer]
        elif call.size in (2, 3):
            count = call.size - 1
            if write:
                self.registers[at : at + count] = bytes(block[0:count])
            else:
                block[0:count] = list(self.registers[at : at + count])
        elif call.size == 8:
            count = block[0]
            if write:
                self.registers[at : at + count] = bytes(block[1 : count + 1])
            else:
                block[1 : count + 1] = list(self.registers[at : at + count])
        return 0


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Kernel:
    kernel = Kernel()
    monkeypatch.setattr(i2c_dev, "ioctl", kernel.ioctl)
    monkeypatch.setattr(smbus2.smbus2, "ioctl", kernel.ioctl)
    return kernel


@pytest.fixture
def node(tmp_path: Path) -> Path:
    path = tmp_path / "i2c-1"
    path.touch()
    return path


def opened(kernel: Kernel, node: Path, timeout_ms: int = 10) -> LinuxI2cBus:
    return LinuxI2cBus("i2c_a", str(node), timeout_ms, kernel.clock)


def refusal(call: Any, *arguments: Any) -> DeviceError:
    with pytest.raises(DeviceError) as caught:
        call(*arguments)
    assert caught.value.bus == "i2c_a"
    return caught.value


def test_it_is_what_drivers_and_the_ladder_ask_for(kernel: Kernel, node: Path) -> None:
    bus = opened(kernel, node)
    assert isinstance(bus, I2cBus)
    assert isinstance(bus, ClearableBus)
    assert isinstance(bus, ReopenableBus)


def test_a_register_is_read_in_one_request_with_a_repeated_start(kernel: Kernel, node: Path) -> None:
    bus = opened(kernel, node)
    assert bus.write_read(0x40, b"\x05", 3) == b"\x05\x06\x07"
    assert kernel.requests == [(2, [(0x40, 0, b"\x05"), (0x40, 1, b"\x05\x06\x07")])]


def test_write_and_read_are_one_message_each(kernel: Kernel, node: Path) -> None:
    bus = opened(kernel, node)
    bus.write(0x40, b"\x10\xaa\xbb")
    bus.write(0x40, b"\x10")
    assert bus.read(0x40, 2) == b"\xaa\xbb"
    assert [count for count, _ in kernel.requests] == [1, 1, 1]
    assert bus.counters.transfers == 3


def test_nothing_of_an_earlier_longer_transfer_is_left_in_a_later_one(kernel: Kernel, node: Path) -> None:
    bus = opened(kernel, node)
    bus.write(0x40, b"\x10" + bytes(60))
    bus.write(0x40, b"\x20\x01")
    assert kernel.requests[-1] == (1, [(0x40, 0, b"\x20\x01")])
    assert bus.write_read(0x40, b"\x05", 40) == kernel.registers[5:45]
    assert bus.write_read(0x40, b"\x05", 1) == b"\x05"


@pytest.mark.parametrize(("timeout_ms", "units"), [(1, 1), (10, 1), (11, 2), (25, 3), (1000, 100)])
def test_the_kernel_repeats_nothing_and_times_out_with_the_bus(
    kernel: Kernel, node: Path, timeout_ms: int, units: int
) -> None:
    opened(kernel, node, timeout_ms)
    assert kernel.settings == {0x0701: 0, 0x0702: units}


@pytest.mark.parametrize(("number", "cause"), [
    (errno.ENXIO, Cause.NACK_ADDRESS), (errno.EREMOTEIO, Cause.NACK_ADDRESS), (errno.EIO, Cause.NACK_DATA),
    (errno.ETIMEDOUT, Cause.TIMEOUT), (errno.EAGAIN, Cause.ARBITRATION), (errno.EBUSY, Cause.STUCK_BUS),
    (errno.EBADMSG, Cause.CHECKSUM), (errno.EPROTO, Cause.PROTOCOL), (errno.EOPNOTSUPP, Cause.PROTOCOL),
    (errno.EINVAL, Cause.PROTOCOL), (errno.ESHUTDOWN, Cause.ABSENT), (errno.ENODEV, Cause.ABSENT),
    (errno.EPERM, Cause.PERMISSION), (errno.ENOMEM, Cause.PROTOCOL),
])
def test_every_error_number_has_its_cause(kernel: Kernel, node: Path, number: int, cause: Cause) -> None:
    bus = opened(kernel, node)
    kernel.faults.append(number)
    error = refusal(bus.write, 0x40, b"\x00")
    assert (error.cause, error.address) == (cause, 0x40)
    assert error.detail
    assert bus.counters.by_cause == {cause: 1}
    assert bus.counters.failed == 1


def test_a_write_is_never_repeated(kernel: Kernel, node: Path) -> None:
    bus = opened(kernel, node)
    kernel.faults.append(errno.ENXIO)
    refusal(bus.write, 0x40, b"\x00\x01")
    assert kernel.requests == []
    assert bus.counters.retries == 0


@pytest.mark.parametrize("number", [errno.EREMOTEIO, errno.EIO, errno.EAGAIN])
def test_a_read_is_saved_by_at_most_two_retries(kernel: Kernel, node: Path, number: int) -> None:
    bus = opened(kernel, node)
    kernel.faults.extend([number] * 2)
    assert bus.write_read(0x40, b"\x07", 1) == b"\x07"
    assert (bus.counters.retries, bus.counters.recovered, bus.counters.failed) == (2, 1, 0)
    kernel.faults.extend([number] * 3)
    refusal(bus.write_read, 0x40, b"\x07", 1)
    assert (bus.counters.retries, bus.counters.recovered, bus.counters.failed) == (4, 1, 1)
    assert not kernel.faults
    assert sum(bus.counters.by_cause.values()) == 5


@pytest.mark.parametrize("number", [errno.ETIMEDOUT, errno.EBUSY, errno.EPROTO, errno.ENODEV])
def test_what_cost_a_time_out_or_cannot_help_is_not_repeated(kernel: Kernel, node: Path, number: int) -> None:
    bus = opened(kernel, node)
    kernel.faults.extend([number, number])
    refusal(bus.read, 0x40, 1)
    assert len(kernel.faults) == 1
    assert bus.counters.retries == 0


def test_no_retry_begins_that_would_end_after_the_deadline(kernel: Kernel, node: Path) -> None:
    bus = opened(kernel, node, timeout_ms=10)
    kernel.lasts_ns = 4 * MS
    kernel.faults.extend([errno.ENXIO] * 3)
    refusal(bus.read, 0x40, 1)
    assert len(kernel.faults) == 1  # 4 ms and 8 ms fit, 12 ms would not
    assert bus.counters.late == 0
    kernel.faults.clear()
    kernel.lasts_ns = 6 * MS
    kernel.faults.extend([errno.ENXIO] * 3)
    refusal(bus.read, 0x40, 1)
    assert len(kernel.faults) == 2


def test_latencies_are_kept_and_what_was_late_is_counted(kernel: Kernel, node: Path) -> None:
    bus = opened(kernel, node)
    bus.read(0x40, 1)
    kernel.lasts_ns = 15 * MS
    kernel.faults.append(errno.ETIMEDOUT)
    refusal(bus.read, 0x40, 1)
    kernel.lasts_ns = WIRE_NS
    bus.read(0x40, 1)
    counters = bus.counters
    assert (counters.last_ns, counters.longest_ns, counters.late) == (WIRE_NS, 15 * MS, 1)
    counters.reset_high_water()
    assert counters.longest_ns == 0


def test_messages_that_were_left_out_are_a_short_read(kernel: Kernel, node: Path) -> None:
    bus = opened(kernel, node)
    kernel.short = True
    assert refusal(bus.write_read, 0x40, b"\x00", 2).cause is Cause.SHORT_READ


@pytest.mark.parametrize("address", [-1, 0x00, 0x07, 0x78, 0x7F, 0x140])
def test_reserved_addresses_are_refused(kernel: Kernel, node: Path, address: int) -> None:
    bus = opened(kernel, node)
    assert refusal(bus.read, address, 1).cause is Cause.PROTOCOL
    assert kernel.requests == []


@pytest.mark.parametrize("count", [-1, 8193, 100_000])
def test_messages_that_the_kernel_would_refuse_are_refused(kernel: Kernel, node: Path, count: int) -> None:
    bus = opened(kernel, node)
    assert refusal(bus.read, 0x40, count).cause is Cause.PROTOCOL
    if count > 0:
        assert refusal(bus.write, 0x40, bytes(count)).cause is Cause.PROTOCOL
        assert refusal(bus.write_read, 0x40, bytes(count), 1).cause is Cause.PROTOCOL


def test_a_second_owner_is_told_so_and_the_first_goes_on(kernel: Kernel, node: Path) -> None:
    bus = opened(kernel, node)
    error = refusal(opened, kernel, node)
    assert isinstance(error, InUse)
    assert error.cause is Cause.PERMISSION
    assert "owner" in error.detail
    assert bus.read(0x40, 1)
    bus.close()
    opened(kernel, node).close()


def test_a_closed_bus_is_absent_until_it_is_reopened(kernel: Kernel, node: Path) -> None:
    bus = opened(kernel, node)
    bus.close()
    bus.close()
    for call, arguments in ((bus.read, (0x40, 1)), (bus.write, (0x40, b"")), (bus.write_read, (0x40, b"", 1))):
        assert refusal(call, *arguments).cause is Cause.ABSENT
    kernel.settings.clear()
    bus.reopen()
    assert bus.read(0x40, 1)
    assert bus.counters.reopens == 1
    assert kernel.settings == {0x0701: 0, 0x0702: 1}


def test_an_adapter_that_went_away_is_absent_and_reopening_says_so(kernel: Kernel, node: Path) -> None:
    bus = opened(kernel, node)
    node.unlink()
    assert refusal(bus.reopen).cause is Cause.ABSENT
    assert refusal(bus.read, 0x40, 1).cause is Cause.ABSENT
    node.touch()
    bus.reopen()
    assert bus.read(0x40, 1)


@pytest.mark.parametrize(("number", "cause"), [
    (errno.ENOENT, Cause.ABSENT), (errno.ENXIO, Cause.ABSENT), (errno.EACCES, Cause.PERMISSION),
    (errno.EBUSY, Cause.PERMISSION), (errno.EMFILE, Cause.PROTOCOL),
])
def test_a_node_that_does_not_open_says_why(kernel: Kernel, node: Path, number: int, cause: Cause) -> None:
    def opener(path: str) -> Any:
        raise OSError(number, "told to")

    with pytest.raises(DeviceError) as caught:
        LinuxI2cBus("i2c_a", str(node), 10, kernel.clock, opener=opener)
    assert caught.value.cause is cause
    assert str(node) in caught.value.detail


def test_a_file_that_is_no_adapter_is_refused_and_closed(node: Path) -> None:
    with pytest.raises(DeviceError) as caught:
        LinuxI2cBus("i2c_a", str(node), 10, lambda: 0)
    assert caught.value.cause is Cause.PROTOCOL


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch, node: Path) -> None:
    monkeypatch.setitem(__import__("sys").modules, "smbus2", None)
    with pytest.raises(MissingLibrary, match="smbus2") as caught:
        LinuxI2cBus("i2c_a", str(node), 10, lambda: 0)
    assert caught.value.cause is Cause.ABSENT
    assert caught.value.bus == "i2c_a"


def smbus_only(kernel: Kernel, node: Path, funcs: int = SMBUS_EMULATION) -> LinuxI2cBus:
    kernel.funcs = funcs
    bus = opened(kernel, node)
    assert not bus.combined
    return bus


@pytest.mark.parametrize(("count", "size"), [(1, 2), (2, 3), (3, 8), (32, 8)])
def test_an_smbus_adapter_reads_registers_of_its_calls_in_wire_order(
    kernel: Kernel, node: Path, count: int, size: int
) -> None:
    bus = smbus_only(kernel, node)
    assert bus.write_read(0x40, b"\x10", count) == kernel.registers[0x10 : 0x10 + count]
    assert kernel.smbus_sizes == [size]


@pytest.mark.parametrize(("count", "size"), [(1, 2), (2, 3), (3, 8), (32, 8)])
def test_an_smbus_adapter_writes_registers_in_wire_order(kernel: Kernel, node: Path, count: int, size: int) -> None:
    bus = smbus_only(kernel, node)
    data = bytes(range(200, 200 + count))
    bus.write(0x40, b"\x10" + data)
    assert kernel.registers[0x10 : 0x10 + count] == data
    assert kernel.smbus_sizes == [size]


def test_an_smbus_adapter_moves_single_bytes(kernel: Kernel, node: Path) -> None:
    bus = smbus_only(kernel, node)
    bus.write(0x40, b"\x21")
    assert bus.read(0x40, 1) == b"\x21"
    bus.write(0x40, b"")
    assert kernel.smbus_sizes == [1, 1, 0]


@pytest.mark.parametrize(("call", "arguments"), [
    ("read", (2,)), ("read", (0,)), ("write", (bytes(40),)), ("write_read", (b"\x01\x02", 1)),
    ("write_read", (b"", 1)), ("write_read", (b"\x01", 33)), ("write_read", (b"\x01", 0)),
])
def test_what_smbus_cannot_say_is_refused_in_clear_words(
    kernel: Kernel, node: Path, call: str, arguments: tuple[Any, ...]
) -> None:
    error = refusal(getattr(smbus_only(kernel, node), call), 0x40, *arguments)
    assert error.cause is Cause.PROTOCOL
    assert "SMBus" in error.detail
    assert kernel.smbus_sizes == []


def test_calls_that_the_adapter_lacks_are_made_of_others_or_refused(kernel: Kernel, node: Path) -> None:
    bus = smbus_only(kernel, node, i2c_dev.FUNC_READ_I2C_BLOCK)
    assert bus.write_read(0x40, b"\x10", 2) == b"\x10\x11"
    assert kernel.smbus_sizes == [8]
    assert refusal(bus.write, 0x40, b"\x10\x11").cause is Cause.PROTOCOL


def test_errors_and_retries_are_the_same_on_smbus(kernel: Kernel, node: Path) -> None:
    bus = smbus_only(kernel, node)
    kernel.faults.append(errno.ENXIO)
    assert bus.write_read(0x40, b"\x10", 1) == b"\x10"
    assert bus.counters.recovered == 1
    assert refusal(bus.read, 0x41, 1).cause is Cause.NACK_ADDRESS
    kernel.faults.append(errno.EBUSY)
    assert refusal(bus.read, 0x40, 1).cause is Cause.STUCK_BUS
    kernel.bound.add(0x42)
    error = refusal(bus.read, 0x42, 1)
    assert error.cause is Cause.PROTOCOL
    assert "kernel" in error.detail
    bus.close()
    assert refusal(bus.read, 0x40, 1).cause is Cause.ABSENT


def test_a_bus_without_lines_cannot_be_clocked_by_hand(kernel: Kernel, node: Path) -> None:
    bus = opened(kernel, node)
    assert refusal(bus.clear_bus).cause is Cause.PROTOCOL
    assert bus.read(0x40, 1)


@pytest.mark.parametrize(("result", "word"), [
    (BusClear(4, True, True), None), (BusClear(9, False, True), "SDA"), (BusClear(0, False, False), "SCL"),
])
def test_clearing_happens_while_the_node_is_closed(
    kernel: Kernel, node: Path, result: BusClear, word: str | None
) -> None:
    free: list[bool] = []

    def clear() -> BusClear:
        opened(kernel, node).close()  # would be refused while the bus holds its node
        free.append(True)
        return result

    bus = LinuxI2cBus("i2c_a", str(node), 10, kernel.clock, clear=clear)
    if word is None:
        bus.clear_bus()
    else:
        error = refusal(bus.clear_bus)
        assert error.cause is Cause.STUCK_BUS
        assert word in error.detail
    assert free
    assert bus.last_clear == result
    assert bus.read(0x40, 1)


def test_a_clearing_that_fails_leaves_the_bus_open(kernel: Kernel, node: Path) -> None:
    def clear() -> BusClear:
        raise DeviceError("i2c_a", None, Cause.PERMISSION, "no lines for you")

    bus = LinuxI2cBus("i2c_a", str(node), 10, kernel.clock, clear=clear)
    assert refusal(bus.clear_bus).cause is Cause.PERMISSION
    assert bus.read(0x40, 1)


def test_the_clock_of_the_device_tree_is_told_where_it_is_known(tmp_path: Path) -> None:
    node = tmp_path / "class/i2c-dev/i2c-1/device/of_node"
    node.mkdir(parents=True)
    assert kernel_clock_hz("/dev/i2c-1", tmp_path) is None
    (node / "clock-frequency").write_bytes((400_000).to_bytes(4, "big"))
    assert kernel_clock_hz("/dev/i2c-1", tmp_path) == 400_000
    (node / "clock-frequency").write_bytes(b"\x01")
    assert kernel_clock_hz("/dev/i2c-1", tmp_path) is None
