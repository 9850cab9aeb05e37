"""The recorder: what was sensed, decided, commanded and carried on every bus, readable after any end of a flight.

``blackbox`` writes one MCAP file a flight, ``ring`` keeps the last seconds through a power cut, ``tap`` copies bus
transfers, ``reader`` opens a recording, ``replay`` plays its transfers to the software of today, ``export`` makes CSV.
"""

from __future__ import annotations

from pathlib import Path

__all__ = ["RecordError"]


class RecordError(Exception):
    """A recording cannot be made or read: which file, what is wrong with it, what to do next.

    ``errno`` is the operating system's number of what is wrong, where it had a word in it.
    """

    def __init__(self, path: Path | str, problem: str, next_step: str, errno: int | None = None) -> None:
        super().__init__(str(path), problem, next_step)
        self.errno = errno
        self.path = Path(path)
        self.problem = problem
        self.next_step = next_step

    def __str__(self) -> str:
        return f"{self.path}: {self.problem}; {self.next_step}"
