"""Serial framing and ISO-TP beside the cobs package (its Python and its C) and can-isotp, in turns of the same run."""

from __future__ import annotations

from collections.abc import Callable
from statistics import median
from time import process_time_ns
from typing import Any

import numpy as np

from bench.harness import Report
from comms.transports import cobs
from comms.transports.isotp import IsoTp
from comms.transports.serial_frame import Deframer, encode_frame

try:
    from cobs import cobs as peer_c
    from cobs.cobs import _cobs_py as peer_python
except ImportError:  # an installation for flight alone
    peer_c = peer_python = None
try:
    import isotp as peer_isotp
except ImportError:
    peer_isotp = None

__all__ = ["measure"]

RECORD_BYTES = 128
"""Of a control or telemetry record, about."""
LINE_BYTES_S = 11_520.0
"""Of a line at 115,200 Bd."""
SHARE_OF_CORE = 0.01


def measure(report: Report, short: bool) -> None:
    """Add the figures; about 5 s, or 1 s if shortened."""
    rounds, calls = (7, 2_000) if short else (15, 6_000)
    records = [np.random.default_rng(index).bytes(RECORD_BYTES) for index in range(64)]
    _stuffing(report, records, rounds, calls)
    _frames(report, records, rounds, calls)
    _isotp(report, rounds, calls // 20)


def _in_turns(parts: dict[str, Callable[[], None]], rounds: int, calls: int) -> dict[str, float]:
    """Median CPU time of one call of each, us; they take turns, so that the machine's moods hit all of them."""
    times: dict[str, list[float]] = {name: [] for name in parts}
    for _ in range(rounds):
        for name, part in parts.items():
            start = process_time_ns()
            for _ in range(calls):
                part()
            times[name].append((process_time_ns() - start) / calls / 1e3)
    return {name: median(values) for name, values in times.items()}


def _round_of(data: list[bytes], function: Callable[[bytes], Any]) -> Callable[[], None]:
    """Calls ``function`` with one after the other."""
    state = {"at": 0}

    def call() -> None:
        at = state["at"]
        state["at"] = (at + 1) % len(data)
        function(data[at])

    return call


def _stuffing(report: Report, records: list[bytes], rounds: int, calls: int) -> None:
    stuffed = [cobs.encode(record) for record in records]
    parts = {"encode": _round_of(records, cobs.encode), "decode": _round_of(stuffed, cobs.decode)}
    if peer_python is not None:
        parts |= {"python encode": _round_of(records, peer_python.encode),
                  "python decode": _round_of(stuffed, peer_python.decode),
                  "c encode": _round_of(records, peer_c.encode), "c decode": _round_of(stuffed, peer_c.decode)}
    got = _in_turns(parts, rounds, calls)
    for way in ("encode", "decode"):
        ours, theirs, compiled = got[way], got.get(f"python {way}"), got.get(f"c {way}")
        ratio = None if theirs is None else theirs / ours
        says = f"cobs {theirs:.2f} us, its C {compiled:.2f} us, ours {ours:.2f} us" if theirs else "no cobs here"
        report.add(f"COBS {way}, {RECORD_BYTES} B: speed against the cobs package's Python", ratio, "x", says, ">= 3",
                   ratio is None or ratio >= 3.0)


def _frames(report: Report, records: list[bytes], rounds: int, calls: int) -> None:
    frames = [encode_frame(record) for record in records]
    deframer = Deframer(1024)
    got = _in_turns({"out": _round_of(records, encode_frame), "in": _round_of(frames, deframer.feed)}, rounds, calls)
    records_s = LINE_BYTES_S / (RECORD_BYTES + 4)
    share = records_s * (got["out"] + got["in"]) * 1e-6
    report.add("serial frame, bytes on the line beyond a record of 128 B",
               max(len(frame) for frame in frames) - RECORD_BYTES, "B", None, "<= 4",
               max(len(frame) for frame in frames) - RECORD_BYTES <= 4)
    report.add("frame and deframe, full line at 115,200 Bd both ways, share of a core", 100.0 * share, "%",
               f"{got['out']:.2f} us out, {got['in']:.2f} us in", f"<= {100 * SHARE_OF_CORE:g}", share <= SHARE_OF_CORE)


def _isotp(report: Report, rounds: int, calls: int) -> None:
    for length in (RECORD_BYTES, 1024):
        message = bytes(index & 0xFF for index in range(length))
        parts: dict[str, Callable[[], None]] = {"ours": _own_pair(message)}
        if peer_isotp is not None:
            parts["peer"] = _peer_pair(message)
        got = _in_turns(parts, rounds, max(20, calls * RECORD_BYTES // length))
        ours, theirs = got["ours"], got.get("peer")
        ratio = None if theirs is None else theirs / ours
        report.add(f"ISO-TP, {length} B from end to end: speed against can-isotp", ratio, "x",
                   f"can-isotp {theirs:.0f} us, ours {ours:.0f} us" if theirs else "no can-isotp here", ">= 4",
                   ratio is None or ratio >= 4.0)


def _own_pair(message: bytes) -> Callable[[], None]:
    a, b = IsoTp(), IsoTp()

    def carry() -> None:
        a.begin(message, 0)
        while not a.idle:
            for one, other in ((a, b), (b, a)):
                while (frame := one.due(0)) is not None:
                    one.passed(0)
                    other.hear(frame, 0)
        if b.take() != message:
            raise AssertionError("ISO-TP lost a message")

    return carry


def _peer_pair(message: bytes) -> Callable[[], None]:
    """Two of can-isotp's machines with queues between them, without threads and without waiting."""
    queues: tuple[list[Any], list[Any]] = ([], [])
    ends = []
    for own, (tx_id, rx_id) in enumerate(((0x6D0, 0x6D1), (0x6D1, 0x6D0))):
        address = peer_isotp.Address(peer_isotp.AddressingMode.Normal_11bits, txid=tx_id, rxid=rx_id)
        inbox, outbox = queues[own], queues[1 - own]
        ends.append(peer_isotp.TransportLayerLogic(
            rxfn=lambda _timeout, inbox=inbox: inbox.pop(0) if inbox else None, txfn=outbox.append, address=address,
            params={"stmin": 0, "blocksize": 0, "tx_padding": 0xCC},
        ))
    a, b = ends

    def carry() -> None:
        a.send(message)
        while (got := b.recv()) is None:
            a.process()
            b.process()
        if got != message:
            raise AssertionError("can-isotp lost a message")

    return carry
