"""What of the project a guest gets: a key of what is installed, and the bench board's file for its processor."""

from __future__ import annotations

import hashlib
from pathlib import Path

from hil.kernel.guest import ROOT, GuestError

__all__ = ["BOARD", "RATES", "STEP_MS", "board_text", "source_digest"]

SOURCES = ("board_configs", "comms", "drivers", "fdir", "firmware_py", "hal", "hil", "systemd", "pyproject.toml")
BOARD = ROOT / "board_configs/boards/bench-rpi.yaml"
RATES = {"uml": (100, 10, 2), "amd64": (50, 5, 1), "arm64": (50, 5, 1)}
"""Fast, medium and slow rate that a guest is asked for, Hz: half the board's own, for flight program and chips share
one processor there, and a quarter on an emulated one, the least that a board file may name. Ten fast ticks to a medium
one are needed by the program's table."""
STEP_MS = {"uml": 5, "amd64": 10, "arm64": 10}
"""Step of the rig's world."""
TIMEOUT_MS = {"uml": 20, "amd64": 100, "arm64": 100}


def source_digest(root: Path = ROOT) -> str:
    """Key of what is installed: every file of the project that goes into its wheel."""
    digest = hashlib.sha256()
    for name in SOURCES:
        top = root / name
        for path in sorted(top.rglob("*")) if top.is_dir() else [top]:
            if path.is_file() and "__pycache__" not in path.parts:
                digest.update(f"{path.relative_to(root)}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:16]


def board_text(arch: str, text: str) -> str:
    """The bench board's file at a rate and on a processor that the guest has. Raises GuestError."""
    fast, medium, slow = RATES[arch]
    changes = (
        ("rates: {fast_hz: 200, medium_hz: 20, slow_hz: 2}",
         f"rates: {{fast_hz: {fast}, medium_hz: {medium}, slow_hz: {slow}}}"),
        ("cpu: 3, spin_us: 100,", "cpu: 0, spin_us: 0,"),
        # An emulated bus answers when its simulator has had the processor.
        ("timeout_ms: 10}", f"timeout_ms: {TIMEOUT_MS[arch]}}}"),
    )
    for old, new in changes:
        if old not in text:
            raise GuestError(f"{BOARD.name} has no {old!r}")
        text = text.replace(old, new)
    return text.replace("rate_hz: 200,", f"rate_hz: {fast},")
