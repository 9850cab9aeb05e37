"""One SPI controller through /dev/spidevB.C: one handle a chip select, whole transfers, none longer than the deadline.

spidev has no time-out of its own: a transfer lasts as long as its clocks (8 a byte) and a controller that hangs is
timed out by its driver in the kernel. So a transfer whose clocks alone need longer than the bus's time-out is refused
before it starts, and so is one that is longer than spidev's buffer (module parameter ``bufsiz``, 4096 bytes unless the
kernel's command line says otherwise; py-spidev itself takes at most 65535).

Nothing is retried: full duplex moves a chip's state with every byte.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from drivers.bus.counted import (
    TransferCounters,
    TransferPolicy,
    load_library,
    opening_error,
    small_file,
    take_ownership,
)
from drivers.errors import Cause, DeviceError

__all__ = ["LinuxSpiBus", "SpiHandle", "open_spidev"]

NODE = re.compile(r"/dev/spidev(\d+)\.(\d+)")
BUFSIZ = Path("/sys/module/spidev/parameters/bufsiz")
DEFAULT_BUFSIZ = 4096
LIBRARY_LIMIT = 65535
MODES = range(4)

CAUSES = {
    errno.ETIMEDOUT: Cause.TIMEOUT, errno.EMSGSIZE: Cause.PROTOCOL, errno.EINVAL: Cause.PROTOCOL,
    errno.ESHUTDOWN: Cause.ABSENT, errno.ENODEV: Cause.ABSENT, errno.ENXIO: Cause.ABSENT, errno.EBADF: Cause.ABSENT,
    errno.EACCES: Cause.PERMISSION, errno.EPERM: Cause.PERMISSION, errno.EBUSY: Cause.STUCK_BUS,
}


class SpiHandle(Protocol):
    """What is used of ``spidev.SpiDev``."""

    mode: int
    max_speed_hz: int
    bits_per_word: int

    def fileno(self) -> int:
        """Descriptor of the node."""

    def xfer2(self, values: bytes) -> Sequence[int]:
        """Full duplex, the chip select held for all of it."""

    def close(self) -> None:
        """Close the node."""


def open_spidev(path: str) -> SpiHandle:
    """Open a node with spidev; nothing stays open if it turns out to be something else.

    Raises OSError: ENXIO for a name that is no /dev/spidevB.C, where the library (before 3.7) opens by numbers alone.
    """
    handle: Any = load_library("", "spidev", "spidev").SpiDev()
    try:
        if hasattr(handle, "open_path"):
            handle.open_path(path)
        else:
            numbers = NODE.fullmatch(path)
            if numbers is None:
                raise OSError(errno.ENXIO, "spidev before 3.7 opens /dev/spidevB.C alone", path)
            handle.open(int(numbers[1]), int(numbers[2]))
    except OSError:
        handle.close()  # the library leaves the node open when its first question fails
        raise
    opened: SpiHandle = handle
    return opened


class _Select(NamedTuple):
    """A chip select in use."""

    handle: SpiHandle
    mode: int
    hz: int
    longest: int


class LinuxSpiBus:
    """One SPI controller; an ``SpiBus``.

    Args:
        name: of the bus in the board description.
        path: nodes without the chip select, such as ``/dev/spidev0``.
        timeout_ms: deadline of a transfer.
        now_ns: clock for deadline and latencies.
        max_hz: clock that no chip select may exceed, for the board's wiring; ``None`` for no limit.
        opener: opens a node; ``spidev`` by default.
        bufsiz: file with the size of spidev's buffer.

    Raises:
        DeviceError: ABSENT when the controller has no node at all, MissingLibrary.
    """

    def __init__(
        self, name: str, path: str, timeout_ms: int, now_ns: Callable[[], int], *, max_hz: int | None = None,
        opener: Callable[[str], SpiHandle] | None = None, bufsiz: Path = BUFSIZ,
    ) -> None:
        self.name = name
        self.path = path
        if opener is None:
            load_library(name, "spidev", "spidev")
        self._policy = TransferPolicy(timeout_ms, now_ns)
        self._timeout_ms = timeout_ms
        self._limit_hz = max_hz
        self._opener = opener or open_spidev
        self._selects: dict[int, _Select] = {}
        self._wanted: dict[int, tuple[int, int]] = {}
        self.bufsiz = _bufsiz(bufsiz)
        """Bytes of the longest transfer that spidev takes."""
        if not self.nodes():
            raise DeviceError(name, None, Cause.ABSENT, f"there is no {path}.*")

    @property
    def counters(self) -> TransferCounters:
        """What this bus did since start."""
        return self._policy.counters

    def nodes(self) -> tuple[str, ...]:
        """Nodes of this controller, one a chip select."""
        base = Path(self.path)
        return tuple(sorted(str(node) for node in base.parent.glob(f"{base.name}.[0-9]*")))

    def configure(self, select: int, mode: int, max_hz: int) -> None:
        """See SpiBus. Opens the node of the chip select; asking for the same again costs nothing.

        Raises:
            DeviceError: ABSENT, PERMISSION, InUse; PROTOCOL for a mode or clock that the controller refuses.
        """
        if mode not in MODES or max_hz < 1 or select < 0:
            raise self._error(select, Cause.PROTOCOL, f"no mode {mode} at {max_hz} Hz")
        hz = max_hz if self._limit_hz is None else min(max_hz, self._limit_hz)
        known = self._selects.get(select)
        if known is not None and (known.mode, known.hz) == (mode, hz):
            return
        self._drop(select)
        self._wanted[select] = (mode, hz)
        self._open(select, mode, hz)

    def transfer(self, select: int, data: bytes) -> bytes:
        """See SpiBus. Raises PROTOCOL too, for a transfer that is too long for the buffer or for the deadline."""
        return self._policy.once(self._transfer, select, data)

    def reopen(self) -> None:
        """Close and open every chip select in use: a rung of the recovery ladder.

        One that can't be opened doesn't keep the others closed. Raises as ``configure`` does, for the first of those.
        """
        self.close()
        self.counters.reopens += 1
        failed: DeviceError | None = None
        for select, (mode, hz) in self._wanted.items():
            try:
                self._open(select, mode, hz)
            except DeviceError as error:
                failed = failed or error
        if failed is not None:
            raise failed

    def close(self) -> None:
        """Give all chip selects back; transfers are ABSENT from here on."""
        for select in tuple(self._selects):
            self._drop(select)

    def _drop(self, select: int) -> None:
        known = self._selects.pop(select, None)
        if known is not None:
            known.handle.close()

    def _open(self, select: int, mode: int, hz: int) -> None:
        node = f"{self.path}.{select}"
        try:
            handle = self._opener(node)
        except OSError as error:
            raise opening_error(self.name, select, node, error) from None
        try:
            take_ownership(handle.fileno(), self.name, select, node)
            handle.mode = mode
            handle.max_speed_hz = hz
            handle.bits_per_word = 8
        except DeviceError:
            handle.close()
            raise
        except (OSError, TypeError) as error:
            handle.close()
            why = f"{node} takes no mode {mode} at {hz} Hz: {error}"
            raise self._error(select, Cause.PROTOCOL, why) from None
        longest = min(self.bufsiz, self._timeout_ms * hz // 8000)
        self._selects[select] = _Select(handle, mode, hz, longest)

    def _transfer(self, select: int, data: bytes) -> bytes:
        known = self._selects.get(select)
        if known is None:
            raise self._error(select, Cause.ABSENT, f"{self.path}.{select} isn't open")
        count = len(data)
        if not 0 < count <= known.longest:
            raise self._refusal(select, known, count)
        try:
            answer = bytes(known.handle.xfer2(data))
        except OSError as error:
            number = error.errno or 0
            why = os.strerror(number) if number else str(error)
            raise self._error(select, CAUSES.get(number, Cause.PROTOCOL), why) from None
        if len(answer) != count:
            raise self._error(select, Cause.SHORT_READ, f"{len(answer)} bytes instead of {count}")
        return answer

    def _refusal(self, select: int, known: _Select, count: int) -> DeviceError:
        if count == 0:
            why = "an empty transfer"
        elif count > self.bufsiz:
            why = f"{count} bytes; spidev takes {self.bufsiz} at once (spidev.bufsiz on the kernel's command line)"
        else:
            need_ms = 8000 * count / known.hz
            why = f"{count} bytes at {known.hz} Hz need {need_ms:.1f} ms; the bus has {self._timeout_ms} ms"
        return self._error(select, Cause.PROTOCOL, why)

    def _error(self, select: int, cause: Cause, detail: str) -> DeviceError:
        return DeviceError(self.name, select, cause, detail)


def _bufsiz(path: Path) -> int:
    text = (small_file(path) or b"").strip()
    size = int(text) if text.isdigit() else DEFAULT_BUFSIZ
    return min(size, LIBRARY_LIMIT) if size else DEFAULT_BUFSIZ
