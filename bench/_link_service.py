"""The link as a whole: memory of its process, cost of a step, the flight loop's side, telemetry, forgeries.

The process is the shipped one, started as a child beside a stub of the flight loop. Everything else runs on the
assembled link of the campaign, on simulated time; what is measured is processor time or the time of single calls.
"""

from __future__ import annotations

import gc
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import chain, repeat
from pathlib import Path
from statistics import median
from time import monotonic, perf_counter_ns, sleep
from typing import Any

import cbor2
import numpy as np
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from bench.harness import Report
from comms.channel_plan import PLAN, ChannelSpec, Direction, channel_named
from comms.dictionary import CHANNELS, Authority, Channel, Kind, Layout
from comms.dictionary.frames import FrameCodec
from comms.dictionary.strict_cbor import read
from comms.emcon import Transmitter
from comms.flight_port import CraftState, Snapshot, UplinkRequest
from comms.keys.keyring import KeyStore
from comms.keys.vault import Lock
from comms.link.end import Line
from comms.link.ground import GroundStation
from comms.link.socket_port import FlightSocket
from comms.records.record import Opened
from comms.records.session import RecordSession
from comms.transports.memory import MemoryPipe
from comms.transports.port import Datagram
from comms.transports.udp import UdpTransport
from fdir.modes import Emission
from firmware_py.cli.link_campaign.service_forger import Forger
from firmware_py.cli.link_campaign.service_rig import NS, ServiceRig
from hal.nonvolatile import FolderFiles

__all__ = ["measure"]

MOST_MB = 60.0
PAGE = os.sysconf("SC_PAGE_SIZE")
STEP_NS = 10_000_000
FIELDS, BATCH = 30, 256
WARM_COMMANDS = 1500
TELEMETRY = channel_named("telemetry").id
QIKI = "from firmware_py.cli.main import main; main()"
SPECS = {spec.id: spec for spec in PLAN}


def measure(report: Report, short: bool) -> None:
    """Add every figure to a report; ``short`` for a look, not a result."""
    _process(report, 2.0 if short else 15.0)
    _growth(report, 60_000 if short else 1_000_000)
    _steps(report, 600 if short else 6000)
    _flight_side(report, 2000 if short else 20_000)
    _fields(report, 40 if short else 400)
    _forged(report, 20_000 if short else 200_000)


# -- memory of the process


def _row(t_ns: int) -> dict[str, Any]:
    """A snapshot with a value for every channel."""
    samples: dict[Kind, Any] = {
        Kind.NUMBER: t_ns / NS, Kind.TEXT: "Idle", Kind.FLAG: True, Kind.TABLE: {"a": 1, "b": None},
        Kind.LIST: ["x"], Kind.VECTOR3: (0.1, 2.0, t_ns / NS), Kind.QUATERNION: (1.0, 0.0, 0.0, 0.0),
    }
    return {c.name: 7 if c.form == "uint32" else samples[c.kind] for c in CHANNELS.values()} | {"t_s": t_ns / NS}


class _StubFlight:
    """The flight loop as the link process sees it: states, snapshots, and nothing refused."""

    def __init__(self, path: Path) -> None:
        self.port = FlightSocket(path)
        self.requests = 0
        self._begun = monotonic()
        self._state_ns = self._snapshot_ns = -NS

    def turn(self) -> None:
        """20 states and 10 snapshots a second."""
        now_ns = int((monotonic() - self._begun) * 1e9)
        if now_ns - self._state_ns >= NS // 20:
            self._state_ns = now_ns
            self.port.send(CraftState(now_ns, 1, "Idle", Emission.OPEN, (), 0.9, 0.9, 20.0, False, False, 20.0))
            self.requests += sum(isinstance(message, UplinkRequest) for message in self.port.receive(256))
        if now_ns - self._snapshot_ns >= NS // 10:
            self._snapshot_ns = now_ns
            self.port.send(Snapshot(now_ns, _row(now_ns)))


def _qiki(*arguments: str) -> None:
    subprocess.run([sys.executable, "-c", QIKI, *arguments], check=True, stdout=subprocess.DEVNULL)


@contextmanager
def _served(folder: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """``qiki link serve`` as a child, with keys of its own; ends with this. Gives the process and its address."""
    craft_seal, seal = str(folder / "craft.seal"), str(folder / "ann.seal")
    _qiki("keys", "new", "--craft", str(folder / "craft"), "--seal-key", craft_seal)
    _qiki("keys", "new", "--operator", "ann", "--role", "safety", str(folder / "ann"), "--seal-key", seal)
    _qiki("keys", "pair", str(folder / "craft"), str(folder / "ann"), "--craft-seal-key", craft_seal,
          "--operator-seal-key", seal)
    probe = UdpTransport("probe", "127.0.0.1:0")
    address = probe.address
    probe.close()
    command = [
        sys.executable, "-c", QIKI, "link", "serve", "--port", str(folder / "port"), "--listen", f"udp:{address}",
        "--keys", str(folder / "craft"), "--seal-key", craft_seal, "--state", str(folder / "state"), "--for", "120",
    ]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as child:
        try:
            yield child, address
        finally:
            child.terminate()
            child.communicate(timeout=10)


def _resident_mb(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE / 1e6


def _process(report: Report, seconds: float) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        flight = _StubFlight(folder / "port")
        with _served(folder) as (child, address):
            _wait(flight, lambda: flight.port.connected, 20.0)
            _for(flight, 1.0)
            begun_mb = _resident_mb(child.pid)
            lock = Lock.from_sealing_key(bytes.fromhex((folder / "ann.seal").read_text().strip()))
            keys = KeyStore(FolderFiles(folder / "ann"), lock, os.urandom)
            line = UdpTransport("operator", "127.0.0.1:0", peer=address)
            station = GroundStation(keys, keys.ring.peers[0].name, Line(line, Transmitter.CABLE), os.urandom)
            now_ns = perf_counter_ns
            station.connect(now_ns())
            _wait(flight, lambda: station.connected, 20.0, lambda: station.step(now_ns()))
            asked = 0

            def traffic() -> None:
                nonlocal asked
                asked += 1
                station.ping(asked)
                if asked % 20 == 0:
                    station.order("ping", {"number": asked}, now_ns(), priority="urgent")
                station.step(now_ns())

            _for(flight, seconds, traffic)
            opened = 0 if station.end is None else station.end.opened
            then_mb = _resident_mb(child.pid)
            line.close()
    report.add("link process, resident after start", begun_mb, "MB", "qiki link serve", f"<= {MOST_MB:g}",
               begun_mb <= MOST_MB)
    report.add(f"link process, resident after {seconds:g} s of traffic", then_mb, "MB",
               f"{opened} records down, {flight.requests} commands up", f"<= {MOST_MB:g}",
               then_mb <= MOST_MB and opened > 0 and flight.requests > 0)


def _wait(
    flight: _StubFlight, until: Callable[[], bool], most_s: float, more: Callable[[], None] = lambda: None
) -> None:
    end = monotonic() + most_s
    while not until():
        if monotonic() > end:
            raise RuntimeError(f"the link process did not answer within {most_s:g} s")
        flight.turn()
        more()
        sleep(0.01)


def _for(flight: _StubFlight, seconds: float, more: Callable[[], None] = lambda: None) -> None:
    end = monotonic() + seconds
    while monotonic() < end:
        flight.turn()
        more()
        sleep(0.01)


# -- the assembled link


def _rig(seed: int = 1) -> ServiceRig:
    rig = ServiceRig(
        np.random.default_rng(seed), {"lan": Transmitter.CABLE}, {"ada": ("lan", Authority.SAFETY)},
        {"lan": MemoryPipe(1 << 14)}, bit_rate=1e9,
    )
    if not rig.connect():
        raise RuntimeError("the station of the bench did not connect")
    rig.run(2.0, step_ns=STEP_NS)
    return rig


def _growth(report: Report, packets: int) -> None:
    rig = _rig()
    ground, end = rig.ground, rig.link.ends.ends[0]

    def flow(count: int) -> int:
        begun, number = end.opened + end.sent, 0
        while end.opened + end.sent - begun < count:
            for _ in range(50):
                number += 1
                ground.ping(number)
            if number % 500 == 0:
                ground.order("ping", {"number": number % 5000}, rig.now_ns)
            rig.step(STEP_NS)
            ground.arrivals.clear()
        return end.opened + end.sent - begun

    # What is kept up to a bound is made first: books of commands above all.
    for number in range(WARM_COMMANDS):
        order = ground.order("ping", {"number": number}, rig.now_ns, priority="urgent")
        rig.run(10.0, lambda order=order: bool(order.end), 5 * STEP_NS)
    flow(packets // 5)
    gc.collect()
    blocks, resident = sys.getallocatedblocks(), _resident_mb(os.getpid())
    done = flow(packets)
    gc.collect()
    more_mb, more = _resident_mb(os.getpid()) - resident, sys.getallocatedblocks() - blocks
    report.add(f"growth over {done:,} packets through a craft and its station", more_mb, "MB", f"{more} objects",
               "<= 3", more_mb <= 3.0 and more <= 2000)


def _steps(report: Report, steps: int) -> None:
    """Processor time of a step of the craft's link, at rest and with a hundred datagrams a second."""
    rig = _rig()
    link, ground = rig.link, rig.ground
    for name, every, most_us in (("idle, one session", 0, 150.0), ("100 datagrams/s", 1, 300.0)):
        times: list[int] = []
        for number in range(steps):
            if every and number % every == 0:
                ground.ping(number)
            rig.flight.step(rig.craft_ns)
            begun = perf_counter_ns()
            link.step(rig.craft_ns)
            times.append(perf_counter_ns() - begun)
            rig.station_step(rig.stations["ada"])
            rig.now_ns += STEP_NS
            ground.arrivals.clear()
        middle, worst = median(times) / 1e3, float(np.quantile(times, 0.99)) / 1e3
        report.add(f"a step of the craft's link, {name}", middle, "us",
                   f"p99 {worst:.0f} us; mean {np.mean(times) / STEP_NS:.1%} of a core at 100 steps/s",
                   f"< {most_us:g}", middle < most_us)


# -- the flight loop's side


class _Stopwatch:
    """A port that notes how long each of its calls takes, ns."""

    def __init__(self, port: Any) -> None:
        self._port = port
        self.times: dict[str, list[int]] = {"send": [], "receive": []}

    def send(self, message: Any) -> bool:
        """See Port."""
        begun = perf_counter_ns()
        taken = bool(self._port.send(message))
        self.times["send"].append(perf_counter_ns() - begun)
        return taken

    def receive(self, most: int) -> list[Any]:
        """See Port."""
        begun = perf_counter_ns()
        messages: list[Any] = self._port.receive(most)
        self.times["receive"].append(perf_counter_ns() - begun)
        return messages


def _flight_side(report: Report, turns: int) -> None:
    rig = _rig()
    exchange = rig.flight.exchange
    times: list[int] = []
    for number in range(turns):
        if number % 4 == 0:
            rig.ground.ping(number)
        if number % 40 == 0:
            rig.ground.order("ping", {"number": number % 5000}, rig.now_ns)
        begun = perf_counter_ns()
        exchange.step(rig.craft_ns)
        times.append(perf_counter_ns() - begun)
        rig.link.step(rig.craft_ns)
        rig.station_step(rig.stations["ada"])
        rig.now_ns += 50_000_000
        rig.ground.arrivals.clear()
    middle, high = (float(np.quantile(times, share)) / 1e3 for share in (0.5, 0.99))
    report.add("flight loop's exchange with the link, p50", middle, "us", "20 a second", "< 50", middle < 50.0)
    report.add("flight loop's exchange with the link, p99", high, "us", "with a command in every 40th", "< 500",
               high < 500.0)
    with tempfile.TemporaryDirectory() as name:
        _full_socket(report, Path(name) / "port", turns)


def _full_socket(report: Report, path: Path, turns: int) -> None:
    """The other end is connected and reads nothing."""
    watched = _Stopwatch(FlightSocket(path))
    reader = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        reader.connect(str(path))
        rows = [Snapshot(number, _row(number)) for number in range(16)]
        taken = sum(watched.send(rows[number % 16]) for number in range(turns))
        watched.times["send"].clear()
        refused = sum(not watched.send(rows[number % 16]) for number in range(turns))
        for _ in range(turns):
            watched.receive(32)
    finally:
        reader.close()
    for call, most_us in (("send", 300.0), ("receive", 50.0)):
        high = float(np.quantile(watched.times[call], 0.99)) / 1e3
        what = f"of a snapshot into a full socket, {refused} of {turns} refused" if call == "send" else "nothing there"
        report.add(f"flight socket, {call} p99, the link reads nothing", high, "us",
                   f"{what}; {taken} fitted, worst {max(watched.times[call]) / 1e3:.0f} us", f"< {most_us:g}",
                   high < most_us and refused == turns)


# -- telemetry and forgeries


def _known(channel: int) -> ChannelSpec | None:
    return SPECS.get(channel)


def _fields(report: Report, slices: int) -> None:
    """30 fields to a sealed frame and back, and the same by CBOR maps and the bare cipher, in turns."""
    rng = np.random.default_rng(7)
    names = tuple(f"quantity_{index}" for index in range(FIELDS))
    layout = Layout("bench", 1.0, "", tuple(Channel(i, name, Kind.NUMBER, "-", "") for i, name in enumerate(names)),
                    0xFFFF)
    codec = FrameCodec(layout)
    rows = [dict(zip(names, rng.uniform(-100.0, 100.0, FIELDS).tolist(), strict=True)) for _ in range(16)]
    craft, ground = (
        RecordSession(bytes(range(32)), bytes(range(32, 64)), b"hash", end, 0, _known)
        for end in (Direction.DOWN, Direction.UP)
    )
    cipher, nonce = ChaCha20Poly1305(bytes(32)), bytes(12)
    times: dict[str, list[float]] = {"out": [], "back": [], "map out": [], "map back": []}

    def slice_of(name: str, run: Callable[[], Any]) -> Any:
        begun = perf_counter_ns()
        made = run()
        times[name].append((perf_counter_ns() - begun) / BATCH)
        return made

    def back(record: bytes) -> Any:
        opened = ground.open(record, 0)
        assert isinstance(opened, Opened)
        item = read(opened.plaintext)
        return codec.decode(item[1], item[2:])

    order = list(chain.from_iterable(repeat(rows, BATCH // 16)))
    for _ in range(slices):
        sealed = slice_of("out", lambda: [craft.seal(TELEMETRY, codec.encode(10**12, row), 0) for row in order])
        plain = slice_of("map out", lambda: [cipher.encrypt(nonce, cbor2.dumps(row), b"") for row in order])
        slice_of("back", lambda sealed=sealed: [back(record) for record in sealed])
        slice_of("map back", lambda plain=plain: [cbor2.loads(cipher.decrypt(nonce, one, b"")) for one in plain])
    rates = {name: 1e9 / median(values) for name, values in times.items()}
    for name, words, least in (("out", "30 fields to a sealed frame", 25_000.0), ("back", "and back", 40_000.0)):
        report.add(words, rates[name], "/s", f"{rates['map ' + name]:.0f}/s CBOR map, bare cipher, no checks",
                   f">= {least:g}", rates[name] >= least)


def _forged(report: Report, count: int) -> None:
    """Datagrams without keys, by what they look like, refused by a session and by the whole of a craft's sessions."""
    rig = _rig()
    ends, end = rig.link.ends, rig.link.ends.ends[0]
    heard = rig.ground.end
    assert heard is not None
    good = [heard.session.seal(0, bytes(64), 0) for _ in range(2)]
    assert all(isinstance(record, bytes) for record in good)
    for record in good:
        end.session.open(record, 0)  # type: ignore[arg-type]
    rng = np.random.default_rng(3)
    true = good[-1]
    assert isinstance(true, bytes)
    source = end.source
    false_tags = [true[:-16] + rng.bytes(16) for _ in range(256)]
    fresh = [_next(true, number) + rng.bytes(80) for number in range(256)]
    before = end.opened
    rates: dict[str, list[float]] = {}

    def turn(name: str, run: Callable[[bytes], Any], payloads: list[bytes]) -> None:
        begun = perf_counter_ns()
        for payload in payloads:
            run(payload)
        rates.setdefault(name, []).append(len(payloads) * 1e9 / (perf_counter_ns() - begun))

    def take(address: str) -> Callable[[bytes], Any]:
        return lambda payload: ends.take("lan", Datagram(payload, address), rig.craft_ns)

    known, strange = take(source), take("203.0.113.9:4000")
    forger = Forger(rng)
    mixed = [datagram.payload for datagram in forger.some(256)]
    greetings = [b"\0\1" + rng.bytes(120) for _ in range(256)]
    for _ in range(max(1, count // 256 // 5)):
        turn("session", lambda record: end.session.open(record, 0), fresh)
        turn("window", lambda record: end.session.open(record, 0), false_tags)
        turn("known", known, fresh)
        turn("strange", strange, fresh)
        turn("greeting", strange, greetings)
        turn("mixed", known, mixed)
    rate = {name: median(values) for name, values in rates.items()}
    report.add("forged records refused by the record layer, false tags", rate["session"], "/s",
               f"{rate['window']:.0f}/s for counters that were seen", ">= 150000", rate["session"] >= 150_000.0)
    report.add("forged datagrams refused by a craft, from a stranger", rate["strange"], "/s",
               "with its books and intrusion detection", ">= 50000", rate["strange"] >= 50_000.0)
    report.add("forged datagrams refused by a craft, at its operator's address", rate["known"], "/s",
               f"mixed kinds {rate['mixed']:.0f}/s", ">= 50000", rate["known"] >= 50_000.0)
    report.add("forged handshakes refused by a craft", rate["greeting"], "/s", "MAC of one pinned peer looked at", None)
    report.add("forged datagrams opened", end.opened - before, "", None, 0, end.opened == before)


def _next(record: bytes, number: int) -> bytes:
    """Header of a record that has not come yet, in the epoch and channel of a good one."""
    flag = record[0] & 0xF8
    return bytes((flag | 2,)) + (300 + number).to_bytes(2, "big")
