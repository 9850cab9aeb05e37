"""Plays a serial port on a pseudo-terminal or a real port: bytes pass both ways; an unplugged one is gone by its name.

A program opens the link in the rig's folder as it would open ``/dev/ttyUSB0``. While the twin's fault ABSENT lasts, the
terminal is closed and the link is gone, as with an adapter that was pulled out; then there is a new one.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from drivers.errors import Cause, DeviceError
from hil.serve.side import Poller

__all__ = ["Line", "SerialSide"]

CHUNK = 4096


class Line(Protocol):
    """The far end of the line; a ``SerialBus`` (drivers.bus.protocol) that can be watched."""

    @property
    def path(self) -> str:
        """Node that the other program opens."""

    def write(self, data: bytes) -> None:
        """See SerialBus."""

    def read(self, limit: int) -> bytes:
        """See SerialBus."""

    def close(self) -> None:
        """Give it back."""


class SerialSide:
    """One serial port; a ``Side``.

    Args:
        name: of the bus in the board description.
        twin: the port with its chip.
        open_line: opens the far end, again after an unplugging.
        link: name under which a program finds it; ``None`` where that is the port at the other end of a real cable.

    Attributes:
        to_program, from_program: bytes carried.
        dropped: bytes that nobody took, or that the twin refused.
        unplugged: how often the adapter was pulled out.
    """

    def __init__(self, name: str, twin: Any, open_line: Callable[[], Line], link: Path | None) -> None:
        self.name = name
        self.endpoint: str | None = None if link is None else str(link)
        self.to_program = self.from_program = self.dropped = self.unplugged = 0
        self._twin = twin
        self._open_line = open_line
        self._link = link
        self._line: Line | None = None
        self._descriptor: int | None = None
        self._poller: Poller | None = None

    # -- Side

    def start(self, poller: Poller) -> None:
        """See Side. Raises FileExistsError for a file in the place of the link."""
        if self._link is not None and self._link.exists() and not self._link.is_symlink():
            raise FileExistsError(17, "something else is there", str(self._link))
        self._poller = poller
        self._plug_in()

    def step(self, now_ns: int) -> None:  # noqa: ARG002 - one form for all
        """See Side."""
        try:
            data = self._twin.read(CHUNK)
        except DeviceError:
            self._pull_out()
            return
        if self._line is None:
            try:
                self._plug_in()
            except (OSError, DeviceError):
                self.dropped += len(data)
                return
        if self._descriptor is None:  # nobody calls when something has come
            self._hear()
        if data and self._line is not None:
            try:
                self._line.write(data)
                self.to_program += len(data)
            except DeviceError:
                self.dropped += len(data)

    def counts(self) -> dict[str, int]:
        """See Side."""
        return {
            "to program": self.to_program, "from program": self.from_program, "dropped": self.dropped,
            "unplugged": self.unplugged,
        }

    def close(self) -> None:
        """See Side."""
        line, self._line = self._line, None
        if line is None:
            return
        if self._descriptor is not None and self._poller is not None:
            self._poller.remove(self._descriptor)
        self._descriptor = None
        line.close()
        if self._link is not None:
            self._link.unlink(missing_ok=True)

    # -- inside

    def _plug_in(self) -> None:
        line = self._line = self._open_line()
        fileno = getattr(line, "fileno", None)
        if fileno is not None and self._poller is not None:
            self._descriptor = fileno()
            self._poller.add(self._descriptor, self._hear)
        if self._link is not None:
            # Replaced whole: at no instant is there no link.
            fresh = self._link.with_name(f".{self._link.name}.new")
            fresh.unlink(missing_ok=True)
            os.symlink(line.path, fresh)
            fresh.replace(self._link)

    def _pull_out(self) -> None:
        if self._line is not None:
            self.unplugged += 1
            self.close()

    def _hear(self) -> None:
        line = self._line
        if line is None:
            return
        try:
            data = line.read(CHUNK)
        except DeviceError as error:
            if error.cause is Cause.ABSENT:
                self._pull_out()
            return
        if not data:
            return
        try:
            self._twin.write(data)
            self.from_program += len(data)
        except DeviceError:
            self.dropped += len(data)
