"""Runs in the guest: this project's transports on the kernel's real device nodes; one line of JSON a check.

SocketCAN on vcan and on two emulated SJA1000 controllers, I2C over i2c-stub (SMBus only) and over ``busim`` (combined
transfers, faults, a device that hangs), SPI over ``busim``, GPIO over gpio-sim, serial over two 16550 UARTs and over
a pseudo-terminal. Times are those of an emulated machine: they are shown, and judged only where a factor is at stake.
"""

from __future__ import annotations

import errno
import os
import pty
import socket
import struct
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from drivers.bus.can_router import CanRouter
from drivers.bus.can_socket import LOOK_EVERY, SocketCanBus
from drivers.bus.counted import InUse
from drivers.bus.gpio_chip import GpioChip
from drivers.bus.i2c_dev import LinuxI2cBus
from drivers.bus.protocol import CanFrame
from drivers.bus.serial_port import SerialPort
from drivers.bus.spi_dev import LinuxSpiBus
from drivers.errors import Cause, DeviceError
from hil.chips.mb85rc256v import Mb85rc256v
from hil.chips.w25q256 import W25q256
from hil.kernel.busim import Simulator
from hil.kernel.inside import adapter, call, emit, modprobe

__all__ = ["CHECKS", "main"]

Seen = dict[str, object]
BURST = 2000
SWAMP = 60_000
FRAM = 0x50
NOBODY = 0x31
PATIENCE_S = 5.0
_CAN = struct.Struct("=IB3x8s")


class Unavailable(Exception):
    """This kernel or machine lacks what a check needs."""


def wait_for(holds: Callable[[], object]) -> None:
    """Wait until something holds. Raises TimeoutError."""
    end = time.monotonic() + PATIENCE_S
    while not holds():
        if time.monotonic() > end:
            raise TimeoutError("it never held")
        time.sleep(0.01)


def cause_of(transfer: Callable[..., object], *arguments: object) -> Cause | None:
    """Why a transfer was refused; ``None`` if it wasn't."""
    try:
        transfer(*arguments)
    except DeviceError as error:
        return error.cause
    return None


def expect(holds: bool, what: str) -> None:
    """AssertionError that says what was seen."""
    if not holds:
        raise AssertionError(what)


class LengthOf321:
    """A driver that wants one id; its sample is the frame's length."""

    can_ids = (0x321,)

    def take(self, frame: CanFrame, _now_ns: int) -> int:
        """See FrameDevice."""
        return len(frame.data)


class Ear:
    """Keeps what a router says."""

    def __init__(self) -> None:
        self.samples: list[int] = []
        self.refused: list[Cause] = []

    def hear(self, sample: int, _now_ns: int) -> None:
        """See Listener."""
        self.samples.append(sample)

    def refuse(self, cause: Cause, _now_ns: int) -> None:
        """See Listener."""
        self.refused.append(cause)


# CAN ------------------------------------------------------------------------------------------------------------------


@contextmanager
def vcan(name: str = "vcan0") -> Iterator[str]:
    """A virtual interface, up."""
    modprobe("can-raw")
    modprobe("vcan")
    call("ip", "link", "add", "dev", name, "type", "vcan")
    try:
        call("ip", "link", "set", name, "up")
        yield name
    finally:
        with suppress(RuntimeError):
            call("ip", "link", "del", name)


def inject(interface: str, can_id: int, data: bytes = bytes(8)) -> None:
    """Put any 16 bytes on the interface: notices and remote frames as well."""
    with socket.socket(socket.AF_CAN, socket.SOCK_RAW, socket.CAN_RAW) as raw:
        raw.bind((interface,))
        raw.send(_CAN.pack(can_id, len(data), data))


def can_absent() -> Seen:
    """An interface that isn't there, and a name no interface can have."""
    modprobe("can-raw")
    causes = [cause_of(SocketCanBus, "can", name, 10) for name in ("vcan9", "a-name-that-is-far-too-long")]
    expect(causes == [Cause.ABSENT] * 2, f"{causes}")
    return {}


def can_frames_and_filters() -> Seen:
    """Data and extended frames go through unchanged; the kernel leaves out what isn't asked for; remote ones count."""
    with vcan() as name:
        sender, everything = SocketCanBus("tx", name, 10), SocketCanBus("rx", name, 10)
        some = SocketCanBus("some", name, 10, filters={0x181, 0x701})
        sent = [
            CanFrame(0x181, b"\x01\x02"), CanFrame(0x182, b""), CanFrame(0x7FF, bytes(range(8))),
            CanFrame(0x181, b"\xff", True), CanFrame(0x1FFFFFFF, bytes(8), True), CanFrame(0x701, b"\x05"),
        ]
        for frame in sent:
            sender.send(frame)
        inject(name, 0x4000_0181)
        got, few = everything.drain(100), some.drain(100)
        expect(got == sent, f"everything: {got}")
        expect(few == [sent[0], sent[-1]], f"filtered: {few}")
        expect(everything.counters.remote == 1 and some.counters.remote == 0, "remote frames")
        some.set_filters({0x182})
        for frame in sent:
            sender.send(frame)
        few = some.drain(100)
        expect(few == [sent[1]], f"filters changed: {few}")
        expect(sender.receive() is None, "a sender hears itself")
        for bus in (sender, everything, some):
            bus.close()
        expect(cause_of(some.receive) is Cause.ABSENT, "a closed bus")
    return {"frames": len(sent)}


def can_burst() -> Seen:
    """A burst is received without loss; one that is far too long loses frames, and every one of them is counted."""
    with vcan() as name:
        sender, receiver = SocketCanBus("tx", name, 1000), SocketCanBus("rx", name, 10)
        with socket.socket(socket.AF_CAN, socket.SOCK_RAW, socket.CAN_RAW) as plain:
            plain.bind((name,))
            plain.setblocking(False)
            begin = time.monotonic()
            for number in range(BURST):
                sender.send(CanFrame(0x100 + number % 64, number.to_bytes(4, "big")))
            took_s = time.monotonic() - begin
            got = receiver.drain(2 * BURST)
            whole = [int.from_bytes(frame.data, "big") for frame in got] == list(range(BURST))
            expect(whole and receiver.counters.dropped == 0, f"{len(got)} of {BURST}")
            default = 0
            with suppress(BlockingIOError):
                while plain.recv(16):
                    default += 1
        for number in range(SWAMP):
            sender.send(CanFrame(0x100, number.to_bytes(4, "big")))
        kept = len(receiver.drain(2 * SWAMP))
        # The kernel tells with frames that came after the loss, and the bus looks at every 32nd.
        for _ in range(LOOK_EVERY):
            sender.send(CanFrame(0x101, b""))
        receiver.drain(LOOK_EVERY)
        dropped = receiver.counters.dropped
        expect(kept < SWAMP and kept + dropped == SWAMP, f"{kept} kept, {dropped} counted as dropped of {SWAMP}")
        seen: Seen = {
            "burst": BURST, "sent_per_s": round(BURST / took_s), "received": len(got),
            "received_by_a_default_buffer": default, "buffer_bytes": receiver.receive_buffer_bytes,
            "swamped_with": SWAMP, "kept": kept, "counted_dropped": dropped,
        }
        sender.close()
        receiver.close()
    return seen


def can_error_frames() -> Seen:
    """Notices are counted; bus-off refuses calls once what came before is read, until the controller restarts."""
    with vcan() as name:
        bus, other = SocketCanBus("rx", name, 10), SocketCanBus("tx", name, 10)
        other.send(CanFrame(0x123, b"before"))
        inject(name, 0x2000_0204, b"\0\x20\0\0\0\0\x80\x11")
        inject(name, 0x2000_0020)
        inject(name, 0x2000_0040)
        first = bus.receive()
        expect(first == CanFrame(0x123, b"before"), f"{first}")
        causes = [cause_of(bus.receive), cause_of(bus.send, CanFrame(1, b"")), cause_of(bus.receive)]
        expect(causes == [Cause.BUS_OFF] * 3, f"{causes}")
        inject(name, 0x2000_0100)
        expect(cause_of(bus.receive) is None, "restart was not heard")
        bus.send(CanFrame(0x124, b"after"))
        counters = bus.counters
        numbers = (
            counters.notices, counters.bus_off, counters.restarted, counters.error_passive, counters.no_ack,
            counters.tx_errors, counters.rx_errors,
        )
        expect(numbers == (4, 1, 1, 1, 1, 0x80, 0x11), f"{numbers}")
        bus.close()
        other.close()
    return {"notices": counters.notices}


def interface_down(leftover: bool, sends_first: bool) -> Seen:
    """Take an interface down under a bus; what its calls then say, and whether it works once it is up."""
    with vcan() as name, closing(SocketCanBus("rx", name, 10)) as bus, closing(SocketCanBus("tx", name, 10)) as other:
        if leftover:
            other.send(CanFrame(0x123, b"last"))
        call("ip", "link", "set", name, "down")
        sent = cause_of(bus.send, CanFrame(1, b"")) if sends_first else Cause.ABSENT
        received = [cause_of(bus.receive) for _ in range(4)]
        sent_later = cause_of(bus.send, CanFrame(1, b""))
        call("ip", "link", "set", name, "up")
        with suppress(DeviceError):
            other.receive()
        other.send(CanFrame(0x124, b"again"))
        got = bus.receive()
        bus.send(CanFrame(0x125, b""))
        expect(got == CanFrame(0x124, b"again") and cause_of(bus.receive) is None, f"once it is up: {got}")
        # What had arrived before may still be handed out, once; nothing else may look like a bus that is merely quiet.
        quiet = received.count(None)
        expect(sent is sent_later is Cause.ABSENT, f"sending: {sent}, {sent_later}")
        expect(quiet <= leftover, f"while the interface was down receive said: {[c and c.value for c in received]}")
    return {"receive": [c and c.value for c in received]}


def can_interface_down() -> Seen:
    """An interface that goes down is ABSENT for every call, and works again by itself once it is up."""
    return interface_down(leftover=False, sends_first=False)


def can_interface_down_leftover() -> Seen:
    """The same with a frame still in the receive queue: once it is read, the interface is ABSENT as before."""
    return interface_down(leftover=True, sends_first=False)


def can_interface_down_send_first() -> Seen:
    """The same when sending is the first to notice: receiving must not take the silence for a quiet bus."""
    return interface_down(leftover=False, sends_first=True)


def can_interface_replaced() -> Seen:
    """An interface that is deleted and comes back (a USB adapter) needs ``reopen``; the router does that by itself."""
    ear = Ear()
    with vcan() as name:
        bus = SocketCanBus("rx", name, 10)
        router = CanRouter(bus, [LengthOf321()], [ear])
        call("ip", "link", "del", name)
        router.service(0, 10)
        gone = router.bus_error.cause if router.bus_error else None
        failed_reopen = cause_of(bus.reopen)
        call("ip", "link", "add", "dev", name, "type", "vcan")
        call("ip", "link", "set", name, "up")
        deaf = cause_of(bus.receive)
        for second in range(1, 4):
            router.service(second * 1_000_000_000, 10)
        other = SocketCanBus("tx", name, 10)
        other.send(CanFrame(0x321, b"abc"))
        other.send(CanFrame(0x322, b""))
        router.service(5_000_000_000, 10)
        expect((gone, failed_reopen, deaf) == (Cause.ABSENT,) * 3, f"{gone, failed_reopen, deaf}")
        heard = (ear.samples, ear.refused, router.bus_error)
        expect(heard == ([3], [Cause.ABSENT], None), f"{heard}")
        expect(router.counters.unknown == 0, "the reopened socket lost its filters")
        bus.close()
        other.close()
    return {"reopens": bus.counters.reopens}


def can_controller() -> Seen:
    """Two SJA1000 controllers on one wire (kvaser_pci): frames, a full transmit queue, down and up, no partner."""
    modprobe("kvaser_pci")
    modprobe("can-raw")
    names = ("can0", "can1")
    if not all(Path(f"/sys/class/net/{name}").exists() for name in names):
        raise Unavailable("no emulated CAN controllers")
    for name in names:
        call("ip", "link", "set", name, "type", "can", "bitrate", "500000", "restart-ms", "100")
        call("ip", "link", "set", name, "up")
    one, two = (SocketCanBus(name, name, 50, speed_hz=500_000) for name in names)
    for number in range(200):
        one.send(CanFrame(0x200 + number % 8, number.to_bytes(2, "big")))
        time.sleep(0.002)
    time.sleep(0.1)
    got = two.drain(500)
    expect([int.from_bytes(f.data, "big") for f in got] == list(range(200)), f"{len(got)} of 200")
    two.send(CanFrame(0x1ABCDE, b"extended", True))
    time.sleep(0.1)
    expect(one.receive() == CanFrame(0x1ABCDE, b"extended", True), "extended frame")
    call("ip", "link", "set", "can0", "down")
    down = cause_of(one.send, CanFrame(1, b""))
    expect(down is Cause.ABSENT, f"{down}")
    call("ip", "link", "set", "can0", "up")
    one.send(CanFrame(0x300, b"up"))
    time.sleep(0.1)
    expect(two.receive() == CanFrame(0x300, b"up"), "frame after the interface came back")
    refused = 0
    for _ in range(5000):
        cause = cause_of(one.send, CanFrame(0x400, bytes(8)))
        refused += cause is Cause.TIMEOUT
        expect(cause in (None, Cause.TIMEOUT), f"{cause}")
    time.sleep(0.5)
    heard = len(two.drain(10_000))
    sent = one.counters.sent - 201
    for bus in (one, two):
        bus.close()
    counted = two.counters.controller_overrun
    expect(heard == sent or counted > 0, f"{sent - heard} frames lost without a notice")
    return {"frames": len(got), "burst_sent": sent, "refused_queue_full": refused, "burst_heard": heard,
            "overrun_notices": counted, "driver": Path("/sys/class/net/can0/device/driver").resolve().name}


# I2C and SPI ----------------------------------------------------------------------------------------------------------


@contextmanager
def busim(timeout_ms: int = 200) -> Iterator[tuple[Simulator, str, W25q256]]:
    """Real adapters with the rig's twins behind them: FRAM on I2C, flash at select 0."""
    modprobe("i2c-dev")
    modprobe("busim", "i2c_first=1", "spi_first=0", f"timeout_ms={timeout_ms}")
    flash = W25q256(time.monotonic_ns)
    try:
        with Simulator({FRAM: Mb85rc256v()}, {0: flash}) as simulator:
            yield simulator, f"/dev/i2c-{adapter('busim')}", flash
    finally:
        call("rmmod", "busim")


def i2c_combined() -> Seen:
    """The FRAM twin behind the kernel's I2C core: two-byte pointers, long writes, combined reads."""
    with busim() as (_, path, _):
        bus = LinuxI2cBus("i2c", path, 100, time.monotonic_ns)
        expect(bus.combined, "no I2C_FUNC_I2C")
        data = bytes(range(256)) * 4
        bus.write(FRAM, b"\x01\x00" + data)
        expect(bus.write_read(FRAM, b"\x01\x00", len(data)) == data, "1024 bytes")
        bus.write(FRAM, b"\x01\x05")
        expect(bus.read(FRAM, 3) == b"\x05\x06\x07", "read without a pointer")
        begin = time.monotonic()
        for _ in range(300):
            bus.write_read(FRAM, b"\x01\x00", 2)
        per_s = 300 / (time.monotonic() - begin)
        outside = [cause_of(bus.write, address, b"\0") for address in (0x03, 0x7C)]
        expect(outside == [Cause.PROTOCOL] * 2, f"{outside}")
        expect(bus.counters.failed == 2 and bus.counters.retries == 0, f"{bus.counters}")
        bus.close()
        expect(cause_of(bus.read, FRAM, 1) is Cause.ABSENT, "closed")
        bus.reopen()
        expect(bus.read(FRAM, 1) != b"", "reopened")
        bus.close()
    return {"combined_transfers_per_s": round(per_s)}


def i2c_refusals() -> Seen:
    """Each error number of an adapter is its cause; the kernel tries once, reads are retried by us, writes never."""
    table = {
        errno.ENXIO: Cause.NACK_ADDRESS, errno.EREMOTEIO: Cause.NACK_ADDRESS, errno.EIO: Cause.NACK_DATA,
        errno.EAGAIN: Cause.ARBITRATION, errno.ETIMEDOUT: Cause.TIMEOUT, errno.EBUSY: Cause.STUCK_BUS,
        errno.EPROTO: Cause.PROTOCOL, errno.ENODEV: Cause.ABSENT, errno.EBADMSG: Cause.CHECKSUM,
    }
    retried = {Cause.NACK_ADDRESS, Cause.NACK_DATA, Cause.ARBITRATION}
    attempts: Seen = {}
    with busim() as (simulator, path, _):
        bus = LinuxI2cBus("i2c", path, 500, time.monotonic_ns)
        for number, cause in table.items():
            simulator.refusal.value = number
            before = simulator.transfers.value
            seen = cause_of(bus.write_read, FRAM, b"\0\0", 2)
            reads = simulator.transfers.value - before
            written = cause_of(bus.write, FRAM, b"\0\0\x11")
            writes = simulator.transfers.value - before - reads
            attempts[errno.errorcode[number]] = [str(seen), reads, writes]
            expect(seen is cause and written is cause, f"{errno.errorcode[number]}: {seen}, {written}")
            wanted = (3 if cause in retried else 1, 1)
            expect((reads, writes) == wanted, f"{errno.errorcode[number]}: {reads}, {writes}")
        simulator.refusal.value = 0
        before = simulator.transfers.value
        expect(cause_of(bus.read, NOBODY, 1) is Cause.NACK_ADDRESS, "an address where nobody is")
        expect(simulator.transfers.value - before == 3, "attempts at an absent chip")
        expect(cause_of(bus.write_read, FRAM, b"\0\0", 2) is None, "works again")
        bus.close()
    return {"cause, attempts of a read, of a write": attempts}


def i2c_hung() -> Seen:
    """A device that hangs costs the bus's own time-out, not the kernel's default of 1 s, once; then the bus works."""
    took_ms: Seen = {}
    with busim() as (simulator, path, _):
        for timeout_ms in (50, 300):
            bus = LinuxI2cBus("i2c", path, timeout_ms, time.monotonic_ns)
            bus.write_read(FRAM, b"\0\0", 1)
            simulator.delay_ms.value = 1500
            before, begin = simulator.transfers.value, time.monotonic_ns()
            seen = cause_of(bus.write_read, FRAM, b"\0\0", 1)
            took = (time.monotonic_ns() - begin) / 1e6
            simulator.delay_ms.value = 0
            expect(seen is Cause.TIMEOUT, f"{seen}")
            expect(simulator.transfers.value - before == 1, "a hung transfer was repeated")
            expect(timeout_ms <= took < 900, f"{took:.0f} ms with a time-out of {timeout_ms} ms")
            expect(bus.counters.by_cause == {Cause.TIMEOUT: 1} and bus.counters.late == 1, f"{bus.counters}")
            took_ms[str(timeout_ms)] = round(took)
            time.sleep(1.6)
            expect(cause_of(bus.write_read, FRAM, b"\0\0", 1) is None, "works again")
            bus.close()
    return {"ms by time-out": took_ms}


def i2c_ownership() -> Seen:
    """One owner; a node that isn't there, that isn't an adapter, and an adapter without hardware are told apart."""
    with busim() as (_, path, _):
        bus = LinuxI2cBus("i2c", path, 100, time.monotonic_ns)
        second = None
        try:
            LinuxI2cBus("other", path, 100, time.monotonic_ns)
        except DeviceError as error:
            second = type(error)
        bus.close()
        LinuxI2cBus("other", path, 100, time.monotonic_ns).close()
    expect(second is InUse, f"{second}")
    modprobe("busim", "i2c_first=1", "spi_first=0")
    try:
        bus = LinuxI2cBus("i2c", path, 100, time.monotonic_ns)
        nobody = cause_of(bus.read, FRAM, 1)
        bus.close()
    finally:
        call("rmmod", "busim")
    others = [cause_of(LinuxI2cBus, "i2c", node, 100, time.monotonic_ns) for node in ("/dev/i2c-99", "/dev/null")]
    expect([nobody, *others] == [Cause.NACK_ADDRESS, Cause.ABSENT, Cause.PROTOCOL], f"{nobody}, {others}")
    return {}


def i2c_smbus_only() -> Seen:
    """i2c-stub speaks SMBus only: what has an SMBus call works, the rest is PROTOCOL; a kernel driver's address too."""
    modprobe("i2c-dev")
    modprobe("i2c-stub", "chip_addr=0x40,0x48")
    try:
        number = adapter("SMBus stub")
        with closing(LinuxI2cBus("i2c", f"/dev/i2c-{number}", 100, time.monotonic_ns)) as bus:
            return smbus_calls(bus, number)
    finally:
        call("rmmod", "i2c-stub")


def smbus_calls(bus: LinuxI2cBus, number: int) -> Seen:
    """What an adapter without plain messages can and can't."""
    expect(not bus.combined, "i2c-stub has plain messages now")
    bus.write(0x48, b"\x10\x5a")
    expect(bus.write_read(0x48, b"\x10", 1) == b"\x5a", "byte")
    bus.write(0x48, b"\x00\x12\x34")
    expect(bus.write_read(0x48, b"\x00", 2) == b"\x12\x34", "word, in the order of the wire")
    block = bytes(range(32))
    bus.write(0x48, b"\x20" + block)
    expect(bus.write_read(0x48, b"\x20", 32) == block, "block of 32")
    bus.write(0x48, b"\x21")
    expect(bus.read(0x48, 1) == b"\x01", "byte without a register")
    bus.write(0x48, b"")
    refused = [
        cause_of(bus.write_read, 0x48, b"\0\0", 1), cause_of(bus.write_read, 0x48, b"\x20", 33),
        cause_of(bus.read, 0x48, 2), cause_of(bus.write, 0x48, bytes(34)),
    ]
    expect(refused == [Cause.PROTOCOL] * 4, f"{refused}")
    absent = cause_of(bus.write_read, NOBODY, b"\0", 1)
    for register, data in ((0x00, b"\x41\x27"), (0xFE, b"TI"), (0xFF, b"\x22\x60")):
        bus.write(0x40, bytes((register,)) + data)
    modprobe("ina2xx")
    modprobe("i2c_node", f"bus={number}", "address=0x40", "type=ina226")
    bus.write(0x48, b"")  # i2c-dev asks whose an address is when it is chosen anew
    try:
        driven = cause_of(bus.write_read, 0x40, b"\x00", 2)
    finally:
        call("rmmod", "i2c_node")
    expect(driven is Cause.PROTOCOL, f"an address with a kernel driver: {driven}")
    return {"absent chip": str(absent), "address of a kernel driver": str(driven)}


def spi_transfers() -> Seen:
    """The flash twin behind the kernel's SPI core and spidev: mode and clock arrive, limits and faults are refused."""
    with busim() as (simulator, _, _):
        wait_for(lambda: Path("/dev/spidev0.1").exists())
        bus = LinuxSpiBus("spi", "/dev/spidev0", 50, time.monotonic_ns, max_hz=2_000_000)
        nodes = bus.nodes()
        expect(cause_of(bus.transfer, 0, b"\x9f") is Cause.ABSENT, "before configure")
        bus.configure(0, 3, 1_000_000)
        identity = bus.transfer(0, b"\x9f\0\0\0")
        expect(identity[1:] == b"\xef\x40\x19", identity.hex())
        expect((simulator.mode.value, simulator.hz.value) == (3, 1_000_000), "mode and clock")
        bus.configure(1, 0, 10_000_000)
        expect(bus.transfer(1, b"\0\0") == b"\xff\xff", "an empty select")
        expect((simulator.mode.value, simulator.hz.value) == (0, 2_000_000), "the board's limit of the clock")
        bus.transfer(0, b"\x06")
        page = bytes(range(256))
        bus.transfer(0, b"\x02\0\x10\0" + page)
        time.sleep(0.02)
        expect(bus.transfer(0, b"\x03\0\x10\0" + bytes(256))[4:] == page, "a page written and read")
        too_long = [cause_of(bus.transfer, 0, bytes(n)) for n in (0, bus.bufsiz + 1)]
        bus.configure(1, 0, 100_000)
        too_slow = cause_of(bus.transfer, 1, bytes(1000))
        expect(too_long == [Cause.PROTOCOL] * 2 and too_slow is Cause.PROTOCOL, f"{too_long}, {too_slow}")
        causes: Seen = {}
        for number in (errno.ETIMEDOUT, errno.EIO, errno.ENODEV):
            simulator.refusal.value = number
            causes[errno.errorcode[number]] = str(cause_of(bus.transfer, 0, b"\x9f\0"))
        simulator.refusal.value = 0
        simulator.delay_ms.value = 400
        hung = cause_of(bus.transfer, 0, b"\x9f\0")
        simulator.delay_ms.value = 0
        time.sleep(0.5)
        expect(hung is Cause.TIMEOUT, f"hung: {hung}")
        begin = time.monotonic()
        for _ in range(300):
            bus.transfer(0, b"\x05\0")
        per_s = 300 / (time.monotonic() - begin)
        second = LinuxSpiBus("other", "/dev/spidev0", 50, time.monotonic_ns)
        owner = cause_of(second.configure, 0, 0, 1000)
        expect(owner is Cause.PERMISSION, f"a second owner: {owner}")
        bus.reopen()
        expect(bus.transfer(0, b"\x9f\0\0\0") == identity, "reopened")
        bus.close()
        expect(cause_of(bus.transfer, 0, b"\x9f") is Cause.ABSENT, "closed")
    gone = cause_of(LinuxSpiBus, "spi", "/dev/spidev0", 50, time.monotonic_ns)
    expect(gone is Cause.ABSENT, f"no controller: {gone}")
    return {"nodes": list(nodes), "bufsiz": bus.bufsiz, "transfers_per_s": round(per_s), "causes": causes}


# GPIO and serial ------------------------------------------------------------------------------------------------------


def gpio_lines() -> Seen:
    """Lines of a chip found by its label: driven, read back, pulled from outside, kept over a restart, owned once."""
    modprobe("gpio-sim")
    config = Path("/sys/kernel/config")
    if not config.is_mount():
        call("mount", "-t", "configfs", "configfs", str(config))
    root = config / "gpio-sim/qiki"
    bank = root / "bank0"
    bank.mkdir(parents=True)
    (bank / "num_lines").write_text("8")
    (bank / "label").write_text("qiki-valves")
    for line, name in ((0, "VALVE_A"), (1, "VALVE_B"), (2, "FAULT_N"), (3, "ALERT_N")):
        (bank / f"line{line}").mkdir()
        (bank / f"line{line}/name").write_text(name)
    (root / "live").write_text("1")
    chip = (bank / "chip_name").read_text().strip()
    pins = Path("/sys/devices/platform", (root / "dev_name").read_text().strip(), chip)
    try:
        wait_for(lambda: Path("/dev", chip).exists())
        (pins / "sim_gpio1/pull").write_text("pull-up")
        bus = GpioChip("gpio", "qiki-valves", ["FAULT_N", "GPIO7"], ["VALVE_A", "VALVE_B"], time.monotonic_ns,
                       open_drain=["ALERT_N"])
        value = {line: (pins / f"sim_gpio{line}/value").read_text().strip() for line in (0, 1)}
        expect(value == {0: "0", 1: "1"}, f"outputs did not keep their level: {value}")
        bus.set("VALVE_A", True)
        expect((pins / "sim_gpio0/value").read_text().strip() == "1" and bus.get("VALVE_A"), "driven high")
        bus.set("VALVE_A", False)
        expect((pins / "sim_gpio0/value").read_text().strip() == "0" and not bus.get("VALVE_A"), "driven low")
        levels = []
        for pull in ("pull-up", "pull-down", "pull-up"):
            (pins / "sim_gpio2/pull").write_text(pull)
            levels.append(bus.get("FAULT_N"))
        expect(levels == [True, False, True], f"{levels}")
        bus.set("ALERT_N", False)
        bus.set("ALERT_N", True)
        causes = [
            cause_of(bus.set, "FAULT_N", True), cause_of(bus.get, "NOWHERE"),
            cause_of(GpioChip, "other", "qiki-valves", [], ["VALVE_A"], time.monotonic_ns),
            cause_of(GpioChip, "other", "no-such-chip", [], [], time.monotonic_ns),
            cause_of(GpioChip, "other", "qiki-valves", ["NOWHERE"], [], time.monotonic_ns),
        ]
        wanted = [Cause.PROTOCOL, Cause.ABSENT, Cause.PERMISSION, Cause.ABSENT, Cause.ABSENT]
        expect(causes == wanted, f"{causes}")
        begin = time.monotonic()
        for number in range(300):
            bus.set("VALVE_B", bool(number & 1))
        per_s = 300 / (time.monotonic() - begin)
        bus.reopen()
        bus.close()
        expect(cause_of(bus.get, "VALVE_A") is Cause.ABSENT, "closed")
    finally:
        (root / "live").write_text("0")
    return {"chip": chip, "sets_with_read_back_per_s": round(per_s)}


def serial_uarts() -> Seen:
    """Two 16550 UARTs, cable between them: bytes both ways, one owner, what the receiver lost is counted."""
    paths = ("/dev/ttyS2", "/dev/ttyS3")
    try:
        one, two = (SerialPort(path, path, 115_200, 500, time.monotonic_ns) for path in paths)
    except DeviceError as error:
        raise Unavailable(f"no second pair of UARTs: {error}") from None
    data = bytes(range(256))
    one.write(data)
    got = b""
    end = time.monotonic() + PATIENCE_S
    while len(got) < len(data) and time.monotonic() < end:
        got += two.read(4096)
        time.sleep(0.005)
    expect(got == data, f"{len(got)} of {len(data)} bytes")
    two.write(b"back")
    time.sleep(0.2)
    expect(one.read(100) == b"back" and one.read(100) == b"", "the other way")
    owner = cause_of(SerialPort, "other", paths[0], 9600, 100, time.monotonic_ns)
    expect(owner is Cause.PERMISSION, f"a second owner: {owner}")
    losses = two.losses
    expect(losses is not None, "the UART's driver counts nothing")
    one.reopen()
    one.write(b"x")
    for port in (one, two):
        port.close()
    expect(cause_of(one.read, 1) is Cause.ABSENT, "closed")
    return {"losses": str(losses)}


def serial_unplugged() -> Seen:
    """A pseudo-terminal: bytes both ways, a reader that doesn't read, and an adapter that is pulled out."""
    master, slave = pty.openpty()
    path = os.ttyname(slave)
    port = SerialPort("tty", path, 115_200, 200, time.monotonic_ns)
    os.close(slave)
    os.write(master, b"\x00\x11\x13\x1a\r\n\xff")
    wait_for(lambda: os.stat(path))
    time.sleep(0.05)
    got = port.read(100)
    expect(got == b"\x00\x11\x13\x1a\r\n\xff", f"not raw: {got!r}")
    port.write(b"\n\xff\x03")
    expect(os.read(master, 100) == b"\n\xff\x03", "written bytes are changed")
    begin = time.monotonic()
    full = cause_of(port.write, bytes(100_000))
    took_s = time.monotonic() - begin
    expect(full is Cause.TIMEOUT and took_s < 2.0, f"{full} after {took_s:.2f} s")
    os.close(master)
    pulled = [cause_of(port.read, 1), cause_of(port.write, b"x"), cause_of(port.reopen)]
    expect(pulled == [Cause.ABSENT] * 3, f"{pulled}")
    return {"full_ms": round(took_s * 1000)}


CHECKS: Mapping[str, Callable[[], Seen]] = {
    check.__name__: check for check in (
        can_absent, can_frames_and_filters, can_burst, can_error_frames, can_interface_down,
        can_interface_down_leftover, can_interface_down_send_first, can_interface_replaced,
        can_controller, i2c_combined, i2c_refusals, i2c_hung, i2c_ownership, i2c_smbus_only, spi_transfers, gpio_lines,
        serial_uarts, serial_unplugged,
    )
}


def main(names: Sequence[str]) -> int:
    """Run checks (all if none is named); a check that fails is a line like any other."""
    for name in names or CHECKS:
        begin = time.monotonic()
        record: dict[str, object] = {"check": name, "outcome": "passed"}
        try:
            record["seen"] = CHECKS[name]()
        except Unavailable as error:
            record |= {"outcome": "skipped", "why": str(error)}
        except (AssertionError, DeviceError, LookupError, OSError, RuntimeError, ValueError) as error:
            record |= {"outcome": "failed", "why": f"{type(error).__name__}: {error}"}
        record["seconds"] = round(time.monotonic() - begin, 1)
        emit(record)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
