"""Runs the link of a craft as a process: lines, keys, socket to the flight program, and a log of what happens."""

from __future__ import annotations

import logging
import os
import signal
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import structlog

from comms.flight_port import EventNote, Message, Port
from comms.keys.keyring import KeyStore
from comms.link.craft import CraftLink
from comms.link.socket_port import LinkSocket
from comms.shell.stream import SocketDoor
from comms.transports.opening import ABOARD
from firmware_py.cli.craft_side import check_craft, link_files
from firmware_py.cli.link_lines import open_line
from firmware_py.line_time import on_line_time
from firmware_py.link_parts import make_link
from firmware_py.link_process import STEP_NS, LinkProcess

__all__ = ["serve_link"]


class _Logged:
    """The link's end, which logs what the link tells the flight loop; never a key, never a payload."""

    def __init__(self, port: LinkSocket, log: structlog.stdlib.BoundLogger) -> None:
        self._port = port
        self._log = log

    @property
    def dropped(self) -> int:
        return self._port.dropped

    def send(self, message: Message) -> bool:
        for event in getattr(message, "events", ()):
            self._tell(event)
        return self._port.send(message)

    def receive(self, most: int) -> list[Message]:
        return self._port.receive(most)

    def _tell(self, event: EventNote) -> None:
        level = {"info": logging.INFO, "warning": logging.WARNING}.get(event.severity, logging.CRITICAL)
        self._log.log(level, event.code, text=event.text, flight_s=round(event.t_ns * 1e-9, 3))


def serve_link(
    keys: KeyStore, port: Path, listen: list[str], modems: list[str], state: Path, shell: Path | None,
    for_s: float | None,
) -> None:
    """Serve until a signal ends it, or for a time. Raises LineError, OSError, ValueError before anything is served."""
    structlog.configure(
        processors=[structlog.processors.add_log_level, structlog.processors.JSONRenderer()],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    log = structlog.get_logger("link")
    check_craft(keys)
    files = link_files(state)
    with ExitStack() as stack:
        lines = {}
        for index, word in enumerate(listen):
            opened = open_line(word, ABOARD, modems[index] if index < len(modems) else None)
            stack.callback(opened.line.transport.close)
            lines[opened.name] = opened.line
        socket = LinkSocket(port)
        stack.callback(socket.close)
        doors: list[SocketDoor] = []

        def make(end: Port, now_ns: int, start: int | None) -> CraftLink:
            log.info("flight program heard", start=start, flight_s=round(now_ns * 1e-9, 3))
            offset_ns = time.monotonic_ns() - now_ns
            present = {name: on_line_time(line, offset_ns) for name, line in lines.items()}
            link = make_link(keys, present, end, files, os.urandom, now_ns, start)
            while doors:
                doors.pop().close()
            if shell is not None:
                doors.append(SocketDoor(shell, link.shell))
            return link

        process = LinkProcess(_Logged(socket, log), make, time.monotonic_ns)
        stopped: list[int] = []
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda received, _frame: stopped.append(received))
        log.info("serving", lines=list(lines), port=str(port), craft=keys.ring.name)
        end_ns = None if for_s is None else time.monotonic_ns() + round(for_s * 1e9)
        due_ns = time.monotonic_ns()
        while not stopped and (end_ns is None or time.monotonic_ns() < end_ns):
            now_ns = process.now_ns
            for door in doors if now_ns is not None else ():
                door.step(now_ns or 0)
            process.step()
            # No catching up in bursts: what is late is late.
            due_ns = max(due_ns + STEP_NS, time.monotonic_ns())
            time.sleep((due_ns - time.monotonic_ns()) * 1e-9 if due_ns > time.monotonic_ns() else 0.0)
        for door in doors:
            door.close()
        process.close()
        log.info("ended", restarts=process.restarts)
