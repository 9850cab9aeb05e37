"""CAN reception: frames lost at 5,000 a second, CPU time a frame beside python-can's own reading, and the router's cost.

A second process sends numbered frames over UDP multicast on the loopback; it is started here, pinned to another core
where there is one, and ended here. Ours is polled like in flight, 200 times a second; python-can reads as its manual
says, ``Notifier`` with a ``Listener``. Both check the numbers, take turns in slices of the same run and are charged what
the operating system charged this process (``process_time``). python-can's bus needs the package ``msgpack``; without it
the reference is its in-process ``virtual`` bus, which costs no system calls.

QIKI_BENCH_SHORT=1 shortens the run; the figures say how long it was.
"""

from __future__ import annotations

import os
import socket
import struct
import subprocess
import sys
from collections import deque
from collections.abc import Callable
from pathlib import Path
from statistics import median
from threading import Event
from time import perf_counter_ns, process_time_ns, sleep
from typing import Any

from bench.harness import Report
from drivers.bus.can_python import PythonCanBus
from drivers.bus.can_router import CanRouter
from drivers.bus.can_socket import SocketCanBus
from drivers.bus.can_udp import LOOPBACK, UdpCanBus
from drivers.bus.protocol import CanFrame
from drivers.cia401_valves import NodeState, decode_state
from drivers.errors import Cause, DeviceError

try:
    import can
except ImportError:  # an installation for flight alone
    can = None
try:
    import msgpack
except ImportError:
    msgpack = None

ROOT = Path(__file__).resolve().parent.parent
SHORT = os.environ.get("QIKI_BENCH_SHORT", "") not in ("", "0")

RATE_HZ = 5000
LOSS_S = 5.0 if SHORT else 60.0
SLICES = 2 if SHORT else 6
SLICE_S = 0.75 if SHORT else 2.5
WARM_UP_S = 0.5
POLL_S = 0.005
DRAIN_LIMIT = 256
SHARE_LIMIT = 25.0
VALVE_LIMIT_US = 15.0
ALL_HOSTS = "224.0.0.1"
"""The group of all hosts: no membership of it is announced, so nothing of the bench leaves the machine."""

BATCH = 200
ROUNDS = 7
_NUMBER = struct.Struct("<II")


def run(report: Report) -> None:
    """Add the figures of this subject; about 95 s, or 12 s if shortened."""
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[0]})
    try:
        _udp(report, cores[-1])
        _virtual(report)
        _socket(report)
        _router(report)
    finally:
        os.sched_setaffinity(0, set(cores))


class Numbers:
    """Counts frames and the numbers missing between them."""

    def __init__(self) -> None:
        self.frames = 0
        self.lost = 0
        self._next: int | None = None

    def take(self, data: bytes) -> None:
        """One frame's data."""
        number = _NUMBER.unpack(data)[0]
        if self._next is not None:
            self.lost += number - self._next
        self._next = number + 1
        self.frames += 1


def _free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def _send(port: int, seconds: float, core: int) -> None:
    """The second process: numbered frames at RATE_HZ in steps of a millisecond; ends with its time or its parent."""
    os.sched_setaffinity(0, {core})
    parent = os.getppid()
    bus = UdpCanBus("sender", ALL_HOSTS, port, 100, hop_limit=0, filters=())
    a_step = RATE_HZ // 1000
    start, number = perf_counter_ns(), 0
    for step in range(round(seconds * 1000)):
        ahead = start + step * 1_000_000 - perf_counter_ns()
        if ahead > 0:
            sleep(ahead * 1e-9)
        for _ in range(a_step):
            bus.send(CanFrame(0x180 + (number & 0x3F), _NUMBER.pack(number, 0)))
            number += 1
        if not step % 64:
            bus.drain(DRAIN_LIMIT)  # its own frames come back
            if os.getppid() != parent:
                return


def _udp(report: Report, sender_core: int) -> None:
    port = _free_port()
    slices_s = 2 * SLICES * (SLICE_S + 0.5)
    seconds = WARM_UP_S + LOSS_S + slices_s + 5.0
    sender = subprocess.Popen(
        [sys.executable, "-m", "bench.can", str(port), str(seconds), str(sender_core)], cwd=ROOT,
    )
    try:
        _loss(report, port)
        if can is not None and msgpack is not None:
            _beside_notifier(report, port)
        else:
            report.add("CPU time a frame, share of Notifier on the same stream", None, "%", "no msgpack", None, False)
    finally:
        sender.terminate()
        sender.wait(10.0)


def _ours(bus: UdpCanBus, numbers: Numbers, seconds: float) -> tuple[int, int]:
    """Poll for a while as a flight loop does; CPU time spent, ns, and most frames of one poll."""
    most, take = 0, numbers.take
    start, spent = perf_counter_ns(), process_time_ns()
    polls = round(seconds / POLL_S)
    for poll in range(1, polls + 1):
        frames = bus.drain(DRAIN_LIMIT)
        for frame in frames:
            take(frame.data)
        most = max(most, len(frames))
        ahead = start + round(poll * POLL_S * 1e9) - perf_counter_ns()
        if ahead > 0:
            sleep(ahead * 1e-9)
    return process_time_ns() - spent, most


def _loss(report: Report, port: int) -> None:
    bus = UdpCanBus("bench", ALL_HOSTS, port, hop_limit=0)
    numbers = Numbers()
    _first_frame(bus)
    start = perf_counter_ns()
    spent, most = _ours(bus, numbers, LOSS_S)
    wall = (perf_counter_ns() - start) * 1e-9
    rate = numbers.frames / wall
    report.add(f"UDP multicast, {wall:.0f} s: frames received", round(rate), "/s", f"{numbers.frames} frames",
               f">= {0.98 * RATE_HZ:.0f}", rate >= 0.98 * RATE_HZ)
    report.add(f"UDP multicast, {wall:.0f} s: frames lost by their numbers", numbers.lost, "1",
               f"kernel dropped {bus.counters.dropped}, most in one poll {most}", 0, numbers.lost == 0)
    report.add("UDP multicast: share of one core", round(100e-9 * spent / wall, 2), "%", "200 polls/s", None)
    bus.close()


def _first_frame(bus: UdpCanBus) -> None:
    """Wait for the sender, ten seconds at most."""
    for _ in range(2000):
        if bus.receive() is not None:
            return
        sleep(POLL_S)
    raise RuntimeError("the sending process sends nothing")


def _notifier_slice(port: int, numbers: Numbers, seconds: float) -> int:
    """python-can's own reading for a while; CPU time spent, ns."""
    bus = can.Bus(interface="udp_multicast", channel=ALL_HOSTS, port=port, hop_limit=0)
    with socket.socket(fileno=os.dup(bus.fileno())) as same:
        joined = socket.inet_aton(ALL_HOSTS) + socket.inet_aton(LOOPBACK)
        same.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, joined)
    notifier = can.Notifier(bus, [_listener(numbers)])
    sleep(0.1)
    before, spent = numbers.frames, process_time_ns()
    sleep(seconds)
    spent = process_time_ns() - spent
    numbers.frames -= before  # what came before the clock was read
    notifier.stop()
    bus.shutdown()
    return spent


def _listener(numbers: Numbers) -> Any:
    class Listener(can.Listener):
        def on_message_received(self, msg: Any) -> None:
            numbers.take(msg.data)

    return Listener()


def _beside_notifier(report: Report, port: int) -> None:
    ours: list[float] = []
    theirs: list[float] = []
    lost = [0, 0]
    for _ in range(SLICES):
        bus, numbers = UdpCanBus("bench", ALL_HOSTS, port, hop_limit=0), Numbers()
        _first_frame(bus)
        spent, _ = _ours(bus, numbers, SLICE_S)
        bus.close()
        ours.append(spent / 1000 / max(1, numbers.frames))
        lost[0] += numbers.lost
        numbers = Numbers()
        spent = _notifier_slice(port, numbers, SLICE_S)
        theirs.append(spent / 1000 / max(1, numbers.frames))
        lost[1] += numbers.lost
    share = 100.0 * median(ours) / median(theirs)
    where = f"{SLICES} slices of {SLICE_S:g} s each"
    report.add("CPU time a frame, polled at 200 Hz", round(median(ours), 2), "us", f"{where}, lost {lost[0]}", None)
    report.add("CPU time a frame, python-can Notifier", round(median(theirs), 2), "us", f"{where}, lost {lost[1]}", None)
    report.add("CPU time a frame, share of Notifier on the same stream", round(share, 1), "%", "python-can 4",
               f"< {SHARE_LIMIT:.0f}", share < SHARE_LIMIT)


def _virtual(report: Report) -> None:
    """python-can's in-process bus: its Notifier, and our adapter over the same bus; frames are queued beforehand."""
    if can is None:
        report.add("python-can virtual bus", None, "us", "python-can is not installed", None)
        return
    frames = 2000 if SHORT else 10_000
    ours, theirs = [], []
    for turn in range(ROUNDS):
        channel = f"bench{turn}"
        sender = can.Bus(interface="virtual", channel=channel)
        for costs, read in ((ours, _read_adapter), (theirs, _read_notifier)):
            bus = can.Bus(interface="virtual", channel=channel)
            for number in range(frames):
                sender.send(can.Message(arbitration_id=0x181, is_extended_id=False, data=_NUMBER.pack(number, 0)))
            numbers = Numbers()
            spent = read(bus, numbers, frames)
            if (numbers.frames, numbers.lost) != (frames, 0):
                raise RuntimeError(f"{numbers.frames} of {frames} frames came through the virtual bus")
            costs.append(spent / 1000 / frames)
            bus.shutdown()
        sender.shutdown()
    report.add("python-can virtual bus, Notifier", round(median(theirs), 2), "us/frame", f"{frames} frames queued", None)
    report.add("python-can virtual bus, our adapter", round(median(ours), 2), "us/frame", f"{frames} frames queued", None)


def _read_adapter(bus: Any, numbers: Numbers, frames: int) -> int:
    adapter = PythonCanBus("bench", bus)
    start = process_time_ns()
    for frame in adapter.drain(frames):
        numbers.take(frame.data)
    return process_time_ns() - start


def _read_notifier(bus: Any, numbers: Numbers, frames: int) -> int:
    done = Event()

    class Listener(can.Listener):
        def on_message_received(self, msg: Any) -> None:
            numbers.take(msg.data)
            if numbers.frames == frames:
                done.set()

    start = process_time_ns()
    notifier = can.Notifier(bus, [Listener()])
    done.wait(30.0)
    spent = process_time_ns() - start
    notifier.stop()
    return spent


def _per_frame_us(fill: Callable[[], int], read: Callable[[], object], repeats: int = 200) -> float:
    """Median over rounds of the time one frame's reading takes, filling left out."""
    rounds = []
    for _ in range(ROUNDS):
        spent = frames = 0
        for _ in range(repeats):
            frames += fill()
            start = perf_counter_ns()
            read()
            spent += perf_counter_ns() - start
        rounds.append(spent / 1000 / frames)
    return median(rounds)


def _socket(report: Report) -> None:
    """The SocketCAN transport over a Unix socket pair, beside the bare system call."""
    ours, wire = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    wire.setblocking(False)
    bus = SocketCanBus("bench", "can0", 0, sock=ours)
    datagram = struct.pack("=IB3x8s", 0x181, 8, b"12345678")
    batch = 8

    def fill() -> int:
        for _ in range(batch):
            wire.send(datagram)
        return batch

    def bare() -> None:
        for _ in range(batch):
            ours.recv(16)

    def one_by_one() -> None:
        for _ in range(batch):
            bus.receive()

    raw = _per_frame_us(fill, bare)
    report.add("SocketCAN transport, receive()", round(_per_frame_us(fill, one_by_one), 2), "us/frame",
               f"{raw:.2f} us bare recv", None)
    report.add("SocketCAN transport, drain()", round(_per_frame_us(fill, lambda: bus.drain(batch)), 2), "us/frame",
               f"{raw:.2f} us bare recv", None)
    bus.close()
    wire.close()


class _Memory:
    """A bus that hands out frames from memory, so that only the router and the driver are timed."""

    name = "bench"

    def __init__(self) -> None:
        self.queue: deque[CanFrame] = deque()

    def send(self, frame: CanFrame) -> None:
        """See CanBus."""

    def receive(self) -> CanFrame | None:
        """See CanBus."""
        return self.queue.popleft() if self.queue else None


class _Node:
    """A driver like a valve node's: TPDO1 of two nodes decoded to what the node says."""

    can_ids = (0x190, 0x191)

    def take(self, frame: CanFrame, now_ns: int) -> NodeState:
        """See FrameDevice."""
        state = decode_state(frame.data)
        if not isinstance(state, NodeState):
            raise DeviceError("bench", now_ns & 1, Cause.SHORT_READ)
        return state


class _Keeper:
    """Keeps the last sample."""

    def __init__(self) -> None:
        self.last: NodeState | None = None

    def hear(self, sample: NodeState, now_ns: int) -> None:
        """See Listener."""
        self.last = sample

    def refuse(self, cause: Cause, now_ns: int) -> None:
        """See Listener."""
        raise RuntimeError(f"{cause} at {now_ns}")


def _router(report: Report) -> None:
    bus, node = _Memory(), _Node()
    router = CanRouter(bus, [node], [_Keeper()])
    wanted = [CanFrame(0x190 + (i & 1), bytes((1, 7, 0, 0, 0, 0, 0, 0))) for i in range(BATCH)]
    unknown = [CanFrame(0x300, bytes(8))] * BATCH

    def fill_with(frames: list[CanFrame]) -> Callable[[], int]:
        def fill() -> int:
            bus.queue.extend(frames)
            return BATCH

        return fill

    def service() -> None:
        router.service(0, BATCH)

    def decode_alone() -> None:
        for frame in bus.queue:
            node.take(frame, 0)
        bus.queue.clear()

    alone = _per_frame_us(fill_with(wanted), decode_alone, 20)
    routed = _per_frame_us(fill_with(wanted), service, 20)
    report.add("router to a valve-node-like driver", round(routed, 2), "us/frame", f"{alone:.2f} us its decoding alone",
               f"< {VALVE_LIMIT_US:.0f}", routed < VALVE_LIMIT_US)
    report.add("router, a frame that nobody wants", round(_per_frame_us(fill_with(unknown), service, 20), 2), "us/frame",
               None, None)


if __name__ == "__main__":
    _send(int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3]))
