"""Records, measured against the bare cipher, aiocoap's OSCORE and pycose in one run.

Everything takes turns in short slices, so that a busy machine slows all alike; the median of the slices' ratios counts.
The bare cipher gets contents of its own for each call and associated data of the same length, and no nonce to work out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from statistics import median
from time import perf_counter_ns
from typing import Any

import numpy as np

from bench.harness import Report
from comms.channel_plan import NBL_CHANNEL, PLAN, ChannelSpec, Direction, Suite, channel_named
from comms.records import schedule
from comms.records.lane import LaneKeys
from comms.records.record import Opened, Opener, Sealer
from comms.records.session import RecordSession

__all__ = ["measure"]

BATCH, PEER_BATCH = 256, 8
SIZE = 128
FIRST = 300
"""Counters of two bytes, as nearly all are."""
CHANNEL = channel_named("telemetry")
_CHANNELS = {spec.id: spec for spec in PLAN}


def measure(report: Report, short: bool) -> None:
    """Add every figure to a report; ``short`` for a look, not a result."""
    slices = 60 if short else 1000
    _overheads(report)
    bench = _Bench()
    for _ in range(slices):
        bench.slice()
    _speeds(report, bench.times)
    _forgeries(report, bench.times, 20_000 if short else 200_000)


def known(channel: int) -> ChannelSpec | None:
    """A channel of the plan."""
    return _CHANNELS.get(channel)


def _lane(spec: ChannelSpec, implied: bool = False) -> LaneKeys:
    return LaneKeys(bytes(range(32)), b"handshake hash", Direction.DOWN, spec, 0, implied)


def _overheads(report: Report) -> None:
    for name, spec, counter, most in (
        ("NBL record", _CHANNELS[NBL_CHANNEL], (1 << 16) - 1, 11), ("radio record", CHANNEL, (1 << 16) - 1, 19),
    ):
        record = Sealer(_lane(spec, implied=spec.id == NBL_CHANNEL), counter).seal(bytes(32))
        taken = len(record) - 32
        report.add(f"{name}: bytes beside the content, counter below 2^16", taken, "B", "COSE_Encrypt0 19 and 27",
                   f"<= {most}", taken <= most)


class _Bench:
    """The subjects, and what each took by slice, ns a call."""

    def __init__(self) -> None:
        lane = _lane(CHANNEL)
        rng = np.random.default_rng(1)
        self.times: dict[str, list[float]] = {}
        self._contents = [rng.bytes(SIZE) for _ in range(BATCH)]
        self._sealer, self._source, self._opener = Sealer(lane, FIRST), Sealer(lane, FIRST), Opener(lane)
        up, down = bytes(range(32)), bytes(range(32, 64))
        ways = (Direction.DOWN, Direction.DOWN, Direction.UP)
        self._ends = [RecordSession(up, down, b"hash", way, 0, known) for way in ways]
        cipher = schedule.cipher(Suite.CHACHA20_POLY1305, bytes(range(32)))
        self._encrypt, self._decrypt = cipher.encrypt, cipher.decrypt
        self._nonce, self._aad = bytes(12), bytes(lane.block(FIRST)[1])
        self._oscore = _Oscore()
        self._pycose = _pycose_encode()

    def slice(self) -> None:
        """Each subject once."""
        contents = self._contents
        self._time("bare encrypt", len(contents), self._bare, self._encrypt, contents)
        self._time("seal", len(contents), _each, self._sealer.seal, contents)
        fresh = [self._encrypt(self._nonce, content, self._aad) for content in contents]
        self._time("bare decrypt", len(contents), self._bare, self._decrypt, fresh)
        self._time("open", len(contents), _each, self._opener.unseal, [self._source.seal(one) for one in contents])
        other, sender, receiver = self._ends
        self._time("session seal", len(contents), self._session_seal, other.seal, contents)
        mine = [record for one in contents if isinstance(record := sender.seal(CHANNEL.id, one, 0), bytes)]
        forged = [record[:-1] + bytes((record[-1] ^ 1,)) for record in mine]
        self._time("forged", len(forged), _each_now, receiver.open, forged)
        self._time("session open", len(mine), _each_now, receiver.open, mine)
        few = contents[:PEER_BATCH]
        self._time("aiocoap protect", len(few), _each, self._oscore.protect, few)
        came_in = [self._oscore.heard(content) for content in few]
        self._time("aiocoap unprotect", len(few), _each, self._oscore.unprotect, came_in)
        if self._pycose is not None:
            self._time("pycose encode", len(few), _each, self._pycose, few)

    def _time(self, name: str, calls: int, run: Callable[..., None], *arguments: Any) -> None:
        start = perf_counter_ns()
        run(*arguments)
        self.times.setdefault(name, []).append((perf_counter_ns() - start) / calls)

    def _bare(self, call: Callable[[bytes, bytes, bytes], bytes], contents: Sequence[bytes]) -> None:
        nonce, aad = self._nonce, self._aad
        for content in contents:
            call(nonce, content, aad)

    @staticmethod
    def _session_seal(call: Callable[[int, bytes, int], object], contents: Sequence[bytes]) -> None:
        channel = CHANNEL.id
        for content in contents:
            call(channel, content, 0)


def _each(call: Callable[[Any], object], values: Sequence[Any]) -> None:
    for value in values:
        call(value)


def _each_now(call: Callable[[Any, int], object], values: Sequence[Any]) -> None:
    for value in values:
        call(value, 0)


class _Oscore:
    """Both ends of aiocoap's OSCORE with the same cipher, in memory."""

    def __init__(self) -> None:
        oscore: Any = import_module("aiocoap.oscore")
        aiocoap: Any = import_module("aiocoap")
        self._message, self._post, self._non = aiocoap.Message, aiocoap.POST, aiocoap.NON

        class End(oscore.CanProtect, oscore.CanUnprotect, oscore.SecurityContextUtils):  # type: ignore[misc,name-defined]
            def __init__(self, sender: bytes, recipient: bytes) -> None:
                self.alg_aead = oscore.algorithms["ChaCha20/Poly1305"]
                self.hashfun = oscore.hashfunctions["sha256"]
                self.sender_id, self.recipient_id, self.id_context = sender, recipient, None
                self.sender_sequence_number = FIRST
                self.recipient_replay_window = oscore.ReplayWindow(32, lambda: None)
                self.recipient_replay_window.initialize_empty()
                self.derive_keys(b"salt", bytes(range(16)))

            def post_seqnoincrease(self) -> None:
                """Nothing is kept."""

        self._sender, self._receiver = End(b"\x00", b"\x01"), End(b"\x01", b"\x00")

    def protect(self, content: bytes) -> Any:
        """One message."""
        return self._sender.protect(self._message(code=self._post, payload=content))[0]

    def heard(self, content: bytes) -> Any:
        """One message as the other end has it from the line, parsed."""
        message = self.protect(content)
        message.mtype, message.mid, message.token = self._non, 1, b""
        return self._message.decode(message.encode())

    def unprotect(self, message: Any) -> Any:
        """What it held."""
        return self._receiver.unprotect(message)[0].payload


def _pycose_encode() -> Callable[[bytes], bytes] | None:
    """COSE_Encrypt0 by pycose, sealing only: what it seals it can't read again with cbor2 6. ``None`` if not there."""
    try:
        algorithms: Any = import_module("pycose.algorithms")
        headers: Any = import_module("pycose.headers")
        keys: Any = import_module("pycose.keys")
        messages: Any = import_module("pycose.messages")
    except ImportError:
        return None
    key = keys.SymmetricKey(k=bytes(range(16)))

    def encode(content: bytes) -> bytes:
        message = messages.Enc0Message(
            phdr={headers.Algorithm: algorithms.AESCCM1664128, headers.IV: bytes(13)}, payload=content)
        message.key = key
        encoded: bytes = message.encode()
        return encoded

    return encode


def _ratio(times: dict[str, list[float]], of: str, to: str) -> float:
    return median(there / here for there, here in zip(times[of], times[to], strict=True))


def _speeds(report: Report, times: dict[str, list[float]]) -> None:
    for name, bare in (("seal", "bare encrypt"), ("open", "bare decrypt")):
        share = _ratio(times, bare, name)
        what = "seal" if name == "seal" else "open with window"
        report.add(f"{what}, {SIZE} B, of the bare call", 100.0 * share, "%",
                   f"{median(times[bare]):.0f} ns against {median(times[name]):.0f} ns", ">= 60", share >= 0.6)
    for name, bare in (("session seal", "bare encrypt"), ("session open", "bare decrypt")):
        report.add(f"{name}, {SIZE} B, of the bare call", 100.0 * _ratio(times, bare, name), "%",
                   f"{median(times[name]):.0f} ns with channels, epochs and counts")
    for name, peer in (("session seal", "aiocoap protect"), ("session open", "aiocoap unprotect")):
        times_faster = _ratio(times, peer, name)
        report.add(f"{name} against OSCORE", times_faster, "x", f"aiocoap {median(times[peer]) / 1000.0:.0f} us",
                   ">= 10", times_faster >= 10.0)
    if "pycose encode" in times:
        times_faster = _ratio(times, "pycose encode", "session seal")
        report.add("session seal against COSE_Encrypt0", times_faster, "x",
                   f"pycose {median(times['pycose encode']) / 1000.0:.0f} us, AES-CCM-8", ">= 20", times_faster >= 20.0)
    else:
        report.add("session seal against COSE_Encrypt0", None, "x", "pycose is not installed", ">= 20")


def _forgeries(report: Report, times: dict[str, list[float]], count: int) -> None:
    rate = 1e9 / median(times["forged"])
    report.add("forged records refused by a session", rate, "/s", "false tags, 128 B", ">= 150000", rate >= 150_000.0)
    rng = np.random.default_rng(2)
    sender, receiver = (
        RecordSession(bytes(range(32)), bytes(range(32, 64)), b"hash", end, 0, known)
        for end in (Direction.DOWN, Direction.UP))
    accepted = 0
    genuine = sender.seal(CHANNEL.id, bytes(SIZE), 0)
    assert isinstance(genuine, bytes)
    whole, size = int.from_bytes(genuine, "big"), len(genuine)
    for _ in range(count // (8 * size)):
        for bit in range(8 * size):
            changed = whole ^ 1 << bit ^ (1 << int(rng.integers(8 * (size - 3))) if rng.integers(2) else 0)
            accepted += changed != whole and isinstance(receiver.open(changed.to_bytes(size, "big"), 0), Opened)
    report.add("forged records opened, every bit and pairs of bits", accepted, "", f"of {count}", 0, accepted == 0)
