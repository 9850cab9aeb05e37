"""The craft's side of a real link beside a flight: served in the flight's own process, or by a link process at a port.

What outlives a restart lies in one folder, the link's state: files, counters, levels, audit.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from comms.cfdp import FolderStore
from comms.flight_port import LocalPort, Port
from comms.keys.keyring import KeyStore
from comms.keys.ring import RingKind
from comms.link.craft import CraftLink
from comms.link.socket_port import FlightSocket
from comms.shell.stream import SocketDoor
from firmware_py.cli.link_lines import LineError, Opened
from firmware_py.line_time import on_line_time
from firmware_py.link_parts import LinkFiles, make_link, provision
from hal.nonvolatile import FolderFiles

__all__ = ["OutsideLink", "PortLink", "check_craft", "link_files"]

MOST_WAITING = 1024
"""Messages that wait each way between flight loop and link."""


def check_craft(keys: KeyStore) -> None:
    """Raise ValueError for keys that are not a craft's."""
    if keys.ring.kind is not RingKind.CRAFT:
        raise ValueError("these are the keys of an operator; a craft's are needed")


def link_files(state: Path) -> LinkFiles:
    """Folders of a link below its state folder, which is made. Counters are provisioned when there is nothing yet.

    Raises OSError.
    """
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    folders = {name: FolderFiles(state / name) for name in ("counters", "emcon", "nbl", "audit", "bundles")}
    marker = state / "provisioned"
    if not marker.exists():
        # Only once: a folder that was emptied later is a loss, and emergency packets stay shut until it is looked at.
        counters = state / "counters"
        if not counters.is_dir() or not any(counters.iterdir()):
            # What has counted before is never begun anew: this start may have sent already.
            provision(folders["counters"])
        marker.write_text("counters of the emergency channel were made with this folder\n", encoding="utf-8")
    (state / "files").mkdir(exist_ok=True)
    return LinkFiles(
        FolderStore(state / "files"), folders["counters"], folders["emcon"], folders["nbl"], folders["audit"],
        folders["bundles"],
    )


class OutsideLink:
    """A link over real lines beside a flight: the same two calls as the rig's own.

    Args:
        keys: of the craft.
        lines: opened ones by name.
        state: folder of what outlives a restart.
        body: name of the body.
        shell: path of the socket of the debug shell; ``None``: none.

    Raises OSError, ValueError.
    """

    def __init__(
        self, keys: KeyStore, lines: dict[str, Opened], state: Path, body: str, shell: Path | None = None,
        random_bytes: Callable[[int], bytes] = os.urandom,
    ) -> None:
        check_craft(keys)
        self._keys = keys
        self._lines = lines
        self._files = link_files(state)
        self._body = body
        self._shell = shell
        self._random = random_bytes
        self._door: SocketDoor | None = None
        self.link: CraftLink | None = None

    def start(self, rig_ns: int, faults: tuple[str, ...]) -> Port:
        """The program starts; returns the flight loop's end of a new port. Raises LineError."""
        self._end()
        port = LocalPort(MOST_WAITING)
        lines = {name: on_line_time(opened.line, rig_ns) for name, opened in self._lines.items()}
        self.link = make_link(
            self._keys, lines, port.link, self._files, self._random, 0, None, None, self._body, faults,
        )
        if self._shell is not None:
            try:
                self._door = SocketDoor(self._shell, self.link.shell)
            except OSError as error:
                raise LineError(f"{self._shell}: {error.strerror}", "choose another place with --shell") from None
        return port.flight

    def step(self, now_ns: int) -> None:
        """Member of the program's table."""
        if self._door is not None:
            self._door.step(now_ns)
        if self.link is not None:
            self.link.step(now_ns)

    def ground_step(self, rig_ns: int) -> None:
        """There is no ground on this side."""

    def close(self) -> None:
        """End sessions, let lines and socket go."""
        self._end()
        for opened in self._lines.values():
            opened.line.transport.close()

    def _end(self) -> None:
        """The program has ended, and with it sessions and shell; the lines stay."""
        if self._door is not None:
            self._door.close()
            self._door = None
        if self.link is not None:
            self.link.abandon()
            self.link = None


class PortLink:
    """The flight program's end of a link that a process of its own serves (``qiki link serve``).

    Args:
        path: of the socket that the link process connects to.

    Raises PortError.
    """

    def __init__(self, path: Path) -> None:
        self.port = FlightSocket(path)

    def start(self, rig_ns: int, faults: tuple[str, ...]) -> Port:  # noqa: ARG002
        """The program starts. The link process finds out by the time that its messages tell."""
        return self.port

    def step(self, now_ns: int) -> None:
        """Nothing is served here."""

    def ground_step(self, rig_ns: int) -> None:
        """There is no ground on this side."""

    def close(self) -> None:
        """Let the socket go; its file is removed."""
        self.port.close()
