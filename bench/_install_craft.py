"""A craft made of processes on this machine: a served rig, the flight program, its recorder and its link, supervised.

The rig plays every chip in real time (``qiki rig serve``) and writes what is true to a log with this machine's steady
clock, so that what happens between processes is judged by what valves really did.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from bench._install_supervisor import Service, Supervisor

__all__ = ["QIKI", "ProcessCraft"]

QIKI = (sys.executable, "-m", "firmware_py.cli.start")
RIG_READY_S = 30.0
RIG_PRIORITY = 40
"""Below the flight's: chips do not wait for whatever else this machine does."""
WATCHDOG_S = 1.0
"""WatchdogSec of the flight: half of what the replacement of a hung process may take."""
PERCEPTION_WATCHDOG_S = 10.0


class ProcessCraft:
    """The processes of one craft in one folder.

    Args:
        supervisor: who looks after them.
        folder: of sockets, state and flights; its path must be short enough for sockets.
        body, board: names.
        mission: of the rig's world.
        steps: mission of the flight; ``None``: it stands by.
    """

    def __init__(
        self, supervisor: Supervisor, folder: Path, body: str = "qiki-t", board: str = "qiki-rpi",
        mission: str = "first-flight", steps: str | None = None,
    ) -> None:
        self._supervisor = supervisor
        self.folder = folder
        self.state, self.flights = folder / "state", folder / "flights"
        self.ports = {name: folder / f"{name}.sock" for name in ("link", "record", "perception")}
        self._body = body
        self._steps = steps
        self.truth = folder / "rig" / "truth.jsonl"
        self.rig = supervisor.add(Service("rig", [
            *QIKI, "rig", "serve", "--folder", str(folder / "rig"), "--board", board, "--body", body, "--mission",
            mission, "--json", "--priority", str(RIG_PRIORITY),
        ], folder, restart_s=None))
        supervisor.until(lambda: '"ready": true' in self.rig.output.read_text(), RIG_READY_S)

    def fly(
        self, *more: str, record: bool = True, link: bool = True, perception: bool = True, priority: int | None = None,
    ) -> Service:
        """Start the flight program; with a FIFO priority from its start on, as the shipped unit gives it, or without.
        """
        command = [
            *QIKI, "fly", "--board", str(self.folder / "rig" / "board.yaml"), "--body", self._body, "--state",
            str(self.state), *more,
        ]
        for name, wanted in (("record", record), ("link", link), ("perception", perception)):
            if wanted:
                command += [f"--{name}-port", str(self.ports[name])]
        if self._steps is not None:
            command += ["--mission", self._steps]
        return self._supervisor.add(Service("flight", command, self.folder, WATCHDOG_S, priority=priority))

    def record(self, *more: str) -> Service:
        """Start the recorder."""
        return self._supervisor.add(Service("recorder", [
            *QIKI, "record", "serve", "--port", str(self.ports["record"]), "--output", str(self.flights), *more,
        ], self.folder))

    def perceive(self, *more: str, restart_s: float = 0.1) -> Service:
        """Start the perception, which is started again after ``restart_s`` when it has died."""
        return self._supervisor.add(Service("perception", [
            *QIKI, "perception", "serve", "--port", str(self.ports["perception"]), "--board",
            str(self.folder / "rig" / "board.yaml"), "--body", self._body, *more,
        ], self.folder, PERCEPTION_WATCHDOG_S, restart_s))

    def process(self, name: str, command: Sequence[str]) -> Service:
        """Start another process beside them."""
        return self._supervisor.add(Service(name, command, self.folder))

    def truths(self, since_s: float = 0.0) -> Iterator[dict[str, Any]]:
        """What was true on the rig from a moment of this machine's steady clock on; a line being written is left out.
        """
        for line in self.truth.read_text(encoding="utf-8").splitlines():
            try:
                row = json.loads(line)
            except json.JSONDecodeError:
                continue
            if row["machine_s"] >= since_s:
                yield row

    def last_truth(self) -> dict[str, Any]:
        """The last whole line that has everything."""
        row: dict[str, Any] = {}
        with self.truth.open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - 8192))
            for line in file.read().decode(errors="replace").splitlines():
                try:
                    read = json.loads(line)
                except json.JSONDecodeError:
                    continue
                if isinstance(read, dict) and "quaternion" in read:
                    row = read
        return row
