"""Runs the perception as a process: socket to the flight program, record, and a log of what happens."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

from comms.link.socket_port import LinkSocket
from firmware_py.perception.config import load_perception
from firmware_py.perception.port import CODEC
from firmware_py.perception.record import PerceptionRecord
from firmware_py.perception.replay import header_of
from firmware_py.perception.service import Perception
from firmware_py.perception_process import STEP_NS, PerceptionProcess
from firmware_py.sd_notify import Notifier
from hal.profile import load_profile

__all__ = ["serve_perception"]


def serve_perception(
    port: Path, body: str, board: str, config: Path | None, record: Path | None, for_s: float | None
) -> None:
    """Serve until a signal ends it, or for a time. Raises ConfigError, RecordError before anything is served."""
    loaded = load_perception(config)
    profile = load_profile(body, board)
    socket = LinkSocket(port, CODEC)
    if record is not None:
        record.mkdir(parents=True, exist_ok=True)

    def make(end: Any) -> Perception:
        kept = None
        if record is not None:
            header = header_of(loaded, profile)
            kept = PerceptionRecord(record / f"perception-{time.time_ns()}.mcap", header, time.time_ns())
        return Perception(loaded, profile, end, kept)

    process = PerceptionProcess(socket, make, time.monotonic_ns)
    stopped: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda received, _frame: stopped.append(received))
    end_ns = None if for_s is None else time.monotonic_ns() + round(for_s * 1e9)
    due_ns = alive_ns = time.monotonic_ns()
    manager = Notifier.of(os.environ, os.getpid())
    if manager is not None:
        manager.ready()
    while not stopped and (end_ns is None or time.monotonic_ns() < end_ns):
        process.step()
        if manager is not None and manager.period_ns is not None and time.monotonic_ns() >= alive_ns:
            alive_ns = time.monotonic_ns() + manager.period_ns
            manager.alive()
        # No catching up in bursts: what is late is late.
        due_ns = max(due_ns + STEP_NS, time.monotonic_ns())
        time.sleep(max(0.0, (due_ns - time.monotonic_ns()) * 1e-9))
    process.close()
    socket.close()
