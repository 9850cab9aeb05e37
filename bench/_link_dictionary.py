"""Dictionary part of ``link``: 30 fields to bytes and back, and commands, beside JSON and a plain CBOR map.

Peers run in turns within one run, slice by slice, so that a busy machine slows all of them alike; each figure is the
best slice.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from time import perf_counter_ns
from typing import Any

import cbor2
import numpy as np

from bench.harness import Report
from comms.dictionary import Channel, Kind, Layout
from comms.dictionary.frames import Frame, FrameCodec
from comms.dictionary.messages import WireCommand
from comms.dictionary.strict_cbor import Refusal, decode, read
from comms.dictionary.wire import decode_command, encode_command

__all__ = ["measure"]

FIELDS = 30
CALLS = 400
MOST_ENCODE_US, MOST_DECODE_US = 33.0, 18.0
"""What sealing and opening leave of 25 k/s and 40 k/s."""


def measure(report: Report, short: bool) -> None:
    """Add the figures of the dictionary's codec."""
    rng = np.random.default_rng(7)
    names = tuple(f"quantity_{index}" for index in range(FIELDS))
    values = dict(zip(names, rng.uniform(-100.0, 100.0, FIELDS).tolist(), strict=True))
    channels = tuple(Channel(index, name, Kind.NUMBER, "-", "") for index, name in enumerate(names))
    codec = FrameCodec(Layout("bench", 1.0, "", channels, 0xFFFF))
    frame, as_json, as_map = codec.encode(10**12, values), json.dumps(values).encode(), cbor2.dumps(values)
    command = WireCommand(7, "translate", {"vector_m": [40.0, 0.5, -2.0], "frame": "body"}, None, 10**6, 3)
    sent = encode_command(command)

    def back() -> Frame | Refusal:
        item = read(frame)
        return codec.decode(item[1], item[2:])

    us = _turns({
        "encode": lambda: codec.encode(10**12, values), "encode json": lambda: json.dumps(values).encode(),
        "encode cbor2 map": lambda: cbor2.dumps(values), "decode": back, "decode json": lambda: json.loads(as_json),
        "decode cbor2 map": lambda: cbor2.loads(as_map), "decode cbor2 map, strict": lambda: decode(as_map),
        "command": lambda: encode_command(command), "command back": lambda: decode_command(sent),
    }, 20 if short else 200)
    report.add("30 fields to bytes", us["encode"], "us", f"JSON {us['encode json']:.1f}, CBOR map "
               f"{us['encode cbor2 map']:.1f}", f"<= {MOST_ENCODE_US:g}", us["encode"] <= MOST_ENCODE_US)
    report.add("bytes to 30 fields, checked", us["decode"], "us", f"JSON {us['decode json']:.1f}, CBOR map "
               f"{us['decode cbor2 map']:.1f}, strict {us['decode cbor2 map, strict']:.1f}", f"<= {MOST_DECODE_US:g}",
               us["decode"] <= MOST_DECODE_US)
    report.add("30 fields, size against a CBOR map", len(frame) / len(as_map), "", f"{len(frame)} of {len(as_map)} B; "
               f"JSON {len(as_json)}", "<= 0.45", len(frame) / len(as_map) <= 0.45)
    report.add("command to bytes, checked against the dictionary", us["command"], "us", None, "<= 100",
               us["command"] <= 100.0)
    report.add("bytes to command, checked against the dictionary", us["command back"], "us", None, "<= 100",
               us["command back"] <= 100.0)
    report.add("one command, size", len(sent), "B", "without record and framing", "<= 40", len(sent) <= 40)


def _turns(calls: dict[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """Best time of each call, us, all of them in turns."""
    best = dict.fromkeys(calls, float("inf"))
    for _ in range(rounds):
        for name, call in calls.items():
            began = perf_counter_ns()
            for _ in range(CALLS):
                call()
            best[name] = min(best[name], (perf_counter_ns() - began) / CALLS / 1000.0)
    return best
