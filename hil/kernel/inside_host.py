"""What the checks inside a guest share: commands, units of the service manager, waiting, and words to the host.

Standard library only; runs as root of the guest.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path

__all__ = [
    "CURRENT", "FLIGHT", "RECORDER", "SHARE", "TRUTH", "CheckFailed", "flight_mode", "process_of", "python", "run",
    "say", "show", "truth_rows", "until",
]

SHARE = Path("/mnt/host")
CURRENT = Path("/opt/qiki/current")
TRUTH = Path("/run/qiki-rig/truth.jsonl")
FLIGHT, RECORDER = "qiki-flight.service", "qiki-recorder.service"
POLL_S = 0.02


class CheckFailed(Exception):
    """What must happen did not; the text says what was seen."""


def say(**record: object) -> None:
    """One line to the host."""
    line = f"\n@ {json.dumps(record)}\n".encode()
    console = os.open("/dev/console", os.O_WRONLY | os.O_NOCTTY)
    try:
        os.write(console, line)
    finally:
        os.close(console)


def run(*words: str, check: bool = True, timeout_s: float = 600.0) -> str:
    """Run a program; what it printed. Raises CheckFailed with what it complained of."""
    done = subprocess.run(words, capture_output=True, text=True, timeout=timeout_s, check=False)
    if check and done.returncode:
        raise CheckFailed(f"{' '.join(words[:4])} ended with {done.returncode}: {(done.stderr + done.stdout)[-800:]}")
    return done.stdout


def python(program: str) -> str:
    """Run a program of a few lines with the installed software's Python; what it printed."""
    return run(str(CURRENT / "bin/python"), "-c", program, timeout_s=120.0)


def show(unit: str, *properties: str) -> dict[str, str]:
    """Properties of a unit."""
    text = run("systemctl", "show", f"--property={','.join(properties)}", unit)
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)


def process_of(unit: str) -> int:
    """Main process of a unit; 0: none."""
    return int(show(unit, "MainPID").get("MainPID", "0") or 0)


def flight_mode() -> str | None:
    """Motion mode that the flight program's status names while it is active; ``None``: it is not."""
    state = show(FLIGHT, "ActiveState", "StatusText")
    words = state.get("StatusText", "").split()
    if state.get("ActiveState") != "active" or "motion" not in words[:-1]:
        return None
    return words[words.index("motion") + 1].rstrip(";,")


def until(what: str, holds: Callable[[], bool], limit_s: float, poll_s: float = POLL_S) -> float:
    """Wait until something holds; seconds that it took. Raises CheckFailed after the limit."""
    began = time.monotonic()
    while True:
        if holds():
            return time.monotonic() - began
        if time.monotonic() - began > limit_s:
            state = show(FLIGHT, "ActiveState", "SubState", "MainPID", "StatusText", "Result")
            raise CheckFailed(f"not within {limit_s:.0f} s: {what}; the flight program: {state}")
        time.sleep(poll_s)


def truth_rows(since_s: float = 0.0) -> list[Mapping[str, object]]:
    """Lines of the rig's log of what is true, from a time of the machine's steady clock on."""
    _truth.read()
    return [row for row in _truth.rows if float(str(row.get("machine_s", 0.0))) >= since_s]


class _Log:
    """A log of JSON lines that grows: each line is read once, for a guest's one processor has better things to do."""

    def __init__(self, path: Path) -> None:
        self.rows: list[dict[str, object]] = []
        self._path = path
        self._offset = 0

    def read(self) -> None:
        """Take what is new; a file that was begun anew is read from its begin."""
        with self._path.open("rb") as file:
            if os.fstat(file.fileno()).st_size < self._offset:
                self.rows, self._offset = [], 0
            file.seek(self._offset)
            data = file.read()
        whole = data.rpartition(b"\n")[0]
        self._offset += len(whole) + 1 if whole else 0
        for line in whole.splitlines():
            row = json.loads(line)
            if isinstance(row, dict):
                self.rows.append(row)


_truth = _Log(TRUTH)
