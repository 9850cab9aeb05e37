"""One policy for every transport: each transfer has a deadline, is retried only where that can't hurt, and is counted.

A retry is for a read, which may be asked twice; for a cause that shows at once (no acknowledge, lost arbitration); and
only while another attempt of the same length still ends before the deadline. A transfer that ran into the kernel's
time-out is never retried: whatever holds the bus would hold it again.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar

from drivers.errors import Cause, DeviceError

__all__ = [
    "FAST_FAILURES", "MAX_RETRIES", "InUse", "MissingLibrary", "TransferCounters", "TransferPolicy", "load_library",
    "opening_error", "small_file", "take_ownership",
]

T = TypeVar("T")

MAX_RETRIES = 2
FAST_FAILURES = frozenset({Cause.NACK_ADDRESS, Cause.NACK_DATA, Cause.ARBITRATION})
"""Causes that cost a few bit times and not a time-out."""
SMALL_FILE_BYTES = 8192

_OPENING = {
    errno.ENOENT: Cause.ABSENT, errno.ENODEV: Cause.ABSENT, errno.ENXIO: Cause.ABSENT, errno.ENOTDIR: Cause.ABSENT,
    errno.ESHUTDOWN: Cause.ABSENT, errno.EIO: Cause.ABSENT,
    errno.EACCES: Cause.PERMISSION, errno.EPERM: Cause.PERMISSION,
}
_HELD = frozenset({errno.EBUSY, errno.EAGAIN, errno.EWOULDBLOCK})


class MissingLibrary(DeviceError):
    """The Python library that reaches this kind of bus isn't installed; it comes with the extra ``board``."""

    __slots__ = ("library",)

    def __init__(self, bus: str, library: str, why: str) -> None:
        super().__init__(bus, None, Cause.ABSENT, f"the Python library {library} can't be used: {why}")
        self.library = library


class InUse(DeviceError):
    """Somebody else owns this bus; each has one owner."""

    __slots__ = ()

    def __init__(self, bus: str, address: int | None, what: str) -> None:
        super().__init__(bus, address, Cause.PERMISSION, f"{what} has another owner already")


@dataclass(slots=True)
class TransferCounters:
    """What a bus did since start. ``by_cause`` counts every failed attempt, ``failed`` the transfers given up."""

    transfers: int = 0
    failed: int = 0
    retries: int = 0
    recovered: int = 0
    """Transfers that a retry saved."""
    late: int = 0
    """Transfers that ended after their deadline."""
    reopens: int = 0
    last_ns: int = 0
    longest_ns: int = 0
    """High-water mark of one transfer, its retries included."""
    by_cause: dict[Cause, int] = field(default_factory=dict)

    def fail(self, cause: Cause) -> None:
        """Count one failed attempt."""
        self.by_cause[cause] = self.by_cause.get(cause, 0) + 1

    def reset_high_water(self) -> None:
        """Begin the longest latency anew."""
        self.longest_ns = 0


class TransferPolicy:
    """Deadline, retries and counters of one bus.

    Args:
        timeout_ms: the board's time-out of the bus.
        now_ns: clock of the flight program.
    """

    __slots__ = ("_now_ns", "counters", "deadline_ns")

    def __init__(self, timeout_ms: int, now_ns: Callable[[], int]) -> None:
        self.deadline_ns = timeout_ms * 1_000_000
        self.counters = TransferCounters()
        self._now_ns = now_ns

    def once(self, transfer: Callable[..., T], *arguments: object) -> T:
        """Run a transfer that must not be repeated: a write, or a read that changes what is read."""
        counters = self.counters
        counters.transfers += 1
        start = self._now_ns()
        try:
            return transfer(*arguments)
        except DeviceError as error:
            counters.fail(error.cause)
            counters.failed += 1
            raise
        finally:
            self._finish(start)

    def repeatable(self, transfer: Callable[..., T], *arguments: object) -> T:
        """Run a transfer that may be repeated; at most ``MAX_RETRIES`` times, and only inside the deadline."""
        counters = self.counters
        counters.transfers += 1
        retries = 0
        start = begin = self._now_ns()
        try:
            while True:
                try:
                    result = transfer(*arguments)
                except DeviceError as error:
                    counters.fail(error.cause)
                    now = self._now_ns()
                    fits = 2 * now - begin <= start + self.deadline_ns
                    if retries == MAX_RETRIES or error.cause not in FAST_FAILURES or not fits:
                        counters.failed += 1
                        raise
                    begin = now
                    retries += 1
                    counters.retries += 1
                else:
                    if retries:
                        counters.recovered += 1
                    return result
        finally:
            self._finish(start)

    def _finish(self, start_ns: int) -> None:
        counters = self.counters
        counters.last_ns = latency = self._now_ns() - start_ns
        if latency > counters.longest_ns:
            counters.longest_ns = latency
        if latency > self.deadline_ns:
            counters.late += 1


def load_library(bus: str, module: str, package: str) -> Any:
    """Import a library of the extra ``board``, untyped because a laptop does without. Raises MissingLibrary."""
    try:
        return import_module(module)
    except ImportError as error:
        raise MissingLibrary(bus, package, str(error)) from None


def opening_error(bus: str, address: int | None, what: str, error: OSError) -> DeviceError:
    """The error of a node that could not be opened or set up: ABSENT, PERMISSION, InUse or PROTOCOL."""
    if error.errno in _HELD:
        return InUse(bus, address, what)
    cause = _OPENING.get(error.errno or 0, Cause.PROTOCOL)
    return DeviceError(bus, address, cause, f"{what}: {os.strerror(error.errno) if error.errno else error}")


def take_ownership(fd: int, bus: str, address: int | None, node: str) -> None:
    """Lock an open node for its one owner; the lock goes with the descriptor. Raises InUse.

    The lock is advisory (flock(2)): it holds against every program that asks, this one above all.
    """
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise opening_error(bus, address, node, error) from None


def small_file(path: Path) -> bytes | None:
    """Content of a file of the kernel (/proc, /sys), at most 8 KiB of it; ``None`` if it can't be read."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        return os.read(fd, SMALL_FILE_BYTES)
    except OSError:
        return None
    finally:
        os.close(fd)
