"""What a module that runs inside the guest needs: kernel modules, commands, and a line of JSON for each result."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

__all__ = ["RESULT", "adapter", "call", "emit", "modprobe"]

RESULT = "@ "
"""What a line of a result begins with, on a port that also carries what nobody asked for."""


def emit(record: Mapping[str, object]) -> None:
    """Hand one result to the host, at once: the guest may end without warning."""
    sys.stdout.write(f"{RESULT}{json.dumps(record)}\n")
    sys.stdout.flush()


def call(*command: str) -> str:
    """Run a program; what it said. Raises RuntimeError with its complaint."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout


def modprobe(module: str, *parameters: str) -> None:
    """Load a module of the guest's kernel with what it needs. Raises RuntimeError."""
    call("modprobe", "-d", os.environ["QIKI_GUEST_TREE"], module, *parameters)


def adapter(name: str) -> int:
    """Number of the I2C adapter whose name begins so. Raises LookupError."""
    for node in sorted(Path("/sys/class/i2c-dev").glob("i2c-*/name")):
        if node.read_text().startswith(name):
            return int(node.parent.name.removeprefix("i2c-"))
    raise LookupError(f"no I2C adapter is named {name}")
