"""CAN reception: frames lost at 5,000 a second, CPU time a frame beside python-can's own reading, the router's cost.

A second process sends numbered frames over UDP multicast on the loopback; it is started here, pinned to another core
where there is one, and ended here. The reading process is a bare loop of 200 Hz with the garbage collector off, as in
flight. Ours is polled by it; python-can reads beside it as its manual says, ``Notifier`` with a ``Listener``. Both
keep what came and take turns in slices of the same run. Each is charged what the operating system charged this process
(``process_time``), less what the loop costs without any reading, which is measured in slices of its own. python-can's
bus needs the package ``msgpack``.

QIKI_BENCH_SHORT=1 shortens the run; the figures say how long it was.
"""

from __future__ import annotations

import gc
import os
import socket
import struct
import subprocess
import sys
from collections import deque
from collections.abc import Callable
from itertools import pairwise
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
    """Add the figures of this subject; about 115 s, or 15 s if shortened."""
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[0]})
    gc.collect()
    gc.disable()
    try:
        _udp(report, cores[-1])
        _virtual(report)
        _socket(report)
        _router(report)
    finally:
        gc.enable()
        os.sched_setaffinity(0, set(cores))


def _missing(numbers: list[int]) -> int:
    """How many numbers are missing between the first and the last."""
    return 0 if not numbers else numbers[-1] - numbers[0] + 1 - len(numbers)


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
    slices_s = 3 * SLICES * (SLICE_S + 0.5)
    seconds = WARM_UP_S + LOSS_S + slices_s + 5.0
    sender = subprocess.Popen(
        [sys.executable, "-m", "bench.can", str(port), str(seconds), str(sender_core)], cwd=ROOT,
    )
    try:
        _loss(report, port)
        if can is not None and msgpack is not None:
            _beside_notifier(report, port)
        else:
            report.add("CPU time a frame, share of Notifier on the same stream", None, "%", "msgpack is missing",
                       f"< {SHARE_LIMIT:.0f}", False)
    finally:
        sender.terminate()
        sender.wait(10.0)


def _loop(seconds: float, poll: Callable[[], object] | None) -> int:
    """The loop of a flight program with nothing in it but ``poll``; CPU time of the whole process, ns."""
    start, spent = perf_counter_ns(), process_time_ns()
    for turn in range(1, round(seconds / POLL_S) + 1):
        if poll is not None:
            poll()
        ahead = start + round(turn * POLL_S * 1e9) - perf_counter_ns()
        if ahead > 0:
            sleep(ahead * 1e-9)
    return process_time_ns() - spent


class Reader:
    """Polls a bus and keeps what came; ``most`` is the largest number of frames in one poll."""

    def __init__(self, bus: UdpCanBus) -> None:
        self.kept: list[CanFrame] = []
        self.most = 0
        self._bus = bus

    def poll(self) -> None:
        """Take what has come."""
        frames = self._bus.drain(DRAIN_LIMIT)
        self.kept += frames
        if len(frames) > self.most:
            self.most = len(frames)

    def numbers(self) -> list[int]:
        """Numbers of all frames, in order of arrival."""
        return [_NUMBER.unpack(frame.data)[0] for frame in self.kept]


def _loss(report: Report, port: int) -> None:
    bus = UdpCanBus("bench", ALL_HOSTS, port, hop_limit=0)
    reader = Reader(bus)
    _first_frame(bus)
    start = perf_counter_ns()
    spent = _loop(LOSS_S, reader.poll)
    wall = (perf_counter_ns() - start) * 1e-9
    numbers = reader.numbers()
    rate = len(numbers) / wall
    lost = _missing(numbers) + sum(a >= b for a, b in pairwise(numbers))
    report.add(f"UDP multicast, {wall:.0f} s: frames received", round(rate), "/s", f"{len(numbers)} frames",
               f">= {0.98 * RATE_HZ:.0f}", rate >= 0.98 * RATE_HZ)
    report.add(f"UDP multicast, {wall:.0f} s: frames lost or out of order", lost, "1",
               f"kernel dropped {bus.counters.dropped}, most in one poll {reader.most}", 0, lost == 0)
    report.add("UDP multicast: share of one core, loop included", round(100e-9 * spent / wall, 2), "%", "200 polls/s")
    bus.close()


def _first_frame(bus: UdpCanBus) -> None:
    """Wait for the sender, ten seconds at most."""
    for _ in range(2000):
        if bus.receive() is not None:
            return
        sleep(POLL_S)
    raise RuntimeError("the sending process sends nothing")


def _listener(kept: list[Any]) -> Any:
    class Listener(can.Listener):
        def on_message_received(self, msg: Any) -> None:
            kept.append(msg)

    return Listener()


def _notifier_slice(port: int, seconds: float) -> tuple[int, list[int]]:
    """python-can's own reading beside the loop for a while; CPU time, ns, and the numbers that came."""
    bus = can.Bus(interface="udp_multicast", channel=ALL_HOSTS, port=port, hop_limit=0)
    with socket.socket(fileno=os.dup(bus.fileno())) as same:
        joined = socket.inet_aton(ALL_HOSTS) + socket.inet_aton(LOOPBACK)
        same.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, joined)
    kept: list[Any] = []
    notifier = can.Notifier(bus, [_listener(kept)])
    sleep(0.1)
    before = len(kept)
    spent = _loop(seconds, None)
    numbers = [_NUMBER.unpack(message.data)[0] for message in kept[before:]]
    notifier.stop()
    bus.shutdown()
    return spent, numbers


def _beside_notifier(report: Report, port: int) -> None:
    ours: list[float] = []
    theirs: list[float] = []
    alone: list[float] = []
    lost = [0, 0]
    for _ in range(SLICES):
        alone.append(_loop(SLICE_S, None) / 1000 / (RATE_HZ * SLICE_S))
        bus = UdpCanBus("bench", ALL_HOSTS, port, hop_limit=0)
        reader = Reader(bus)
        _first_frame(bus)
        ours.append(_loop(SLICE_S, reader.poll) / 1000 / max(1, len(reader.kept)))
        bus.close()
        lost[0] += _missing(reader.numbers())
        spent, numbers = _notifier_slice(port, SLICE_S)
        theirs.append(spent / 1000 / max(1, len(numbers)))
        lost[1] += _missing(numbers)
    loop = median(alone)
    ours_us, theirs_us = median(ours) - loop, median(theirs) - loop
    share = 100.0 * ours_us / theirs_us
    where = f"{SLICES} slices of {SLICE_S:g} s"
    report.add("200 Hz loop without reading, per frame of the stream", round(loop, 2), "us", where)
    report.add("CPU time a frame, ours", round(ours_us, 2), "us", f"{where}, lost {lost[0]}")
    report.add("CPU time a frame, python-can Notifier", round(theirs_us, 2), "us", f"{where}, lost {lost[1]}")
    report.add("CPU time a frame, share of Notifier on the same stream", round(share, 1), "%",
               f"loop included {100.0 * median(ours) / median(theirs):.1f} %", f"< {SHARE_LIMIT:.0f}",
               share < SHARE_LIMIT)


def _virtual(report: Report) -> None:
    """python-can's in-process bus: its Notifier, and our adapter over the same bus; frames are queued beforehand."""
    if can is None:
        report.add("python-can virtual bus", None, "us", "python-can is not installed", None)
        return
    frames = 2000 if SHORT else 10_000
    ours: list[float] = []
    theirs: list[float] = []
    for turn in range(ROUNDS):
        channel = f"bench{turn}"
        sender = can.Bus(interface="virtual", channel=channel)
        for costs, read in ((ours, _read_adapter), (theirs, _read_notifier)):
            bus = can.Bus(interface="virtual", channel=channel)
            for number in range(frames):
                sender.send(can.Message(arbitration_id=0x181, is_extended_id=False, data=_NUMBER.pack(number, 0)))
            spent, came = read(bus, frames)
            if came != frames:
                raise RuntimeError(f"{came} of {frames} frames came through the virtual bus")
            costs.append(spent / 1000 / frames)
            bus.shutdown()
        sender.shutdown()
    queued = f"{frames} frames queued"
    report.add("python-can virtual bus, Notifier", round(median(theirs), 2), "us/frame", queued)
    report.add("python-can virtual bus, our adapter", round(median(ours), 2), "us/frame", queued)


def _read_adapter(bus: Any, frames: int) -> tuple[int, int]:
    adapter = PythonCanBus("bench", bus)
    start = process_time_ns()
    kept = adapter.drain(frames)
    return process_time_ns() - start, len(kept)


def _read_notifier(bus: Any, frames: int) -> tuple[int, int]:
    done = Event()
    kept: list[Any] = []

    class Listener(can.Listener):
        def on_message_received(self, msg: Any) -> None:
            kept.append(msg)
            if len(kept) == frames:
                done.set()

    start = process_time_ns()
    notifier = can.Notifier(bus, [Listener()])
    done.wait(30.0)
    spent = process_time_ns() - start
    notifier.stop()
    return spent, len(kept)


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
        self.last_ns = 0

    def hear(self, sample: NodeState, now_ns: int) -> None:
        """See Listener."""
        self.last, self.last_ns = sample, now_ns

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
    skipped = _per_frame_us(fill_with(unknown), service, 20)
    report.add("router, a frame that nobody wants", round(skipped, 2), "us/frame")


if __name__ == "__main__":
    _send(int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3]))
