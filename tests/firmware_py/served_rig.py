"""A rig in a process of its own, for tests that stand beside it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

READY_S = 60.0


class ServedRig:
    """``qiki rig serve`` in a subprocess; a context manager that ends it.

    Attributes:
        ready: what it said when it was ready.
        ended: what it said at its end; empty before.
    """

    def __init__(self, folder: Path, *words: str, for_s: float = 60.0) -> None:
        self.folder = folder
        self.ended: dict[str, Any] = {}
        command = [sys.executable, "-m", "firmware_py.cli.main", "rig", "serve", "--folder", str(folder), "--json",
                   "--for", str(for_s), *words]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            _, said = self.process.communicate(timeout=READY_S)
            raise RuntimeError(f"the rig did not start: {said}")
        self.ready: dict[str, Any] = json.loads(line)

    @property
    def board(self) -> str:
        """Path of the board file to reach it with."""
        return str(self.ready["board"])

    def truth(self) -> list[dict[str, Any]]:
        """Whole lines of the truth log so far."""
        text = (self.folder / "truth.jsonl").read_text()
        return [json.loads(line) for line in text.splitlines() if line.endswith("}")]

    def end(self) -> int:
        """Ask it to end; returns its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        said, complaint = self.process.communicate(timeout=READY_S)
        if said:
            self.ended = json.loads(said.splitlines()[-1])
        assert "Traceback" not in complaint, complaint
        return self.process.returncode

    def __enter__(self) -> ServedRig:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate(timeout=READY_S)
