"""Where a real flight is recorded: in a file of its own process, or by the recorder at a socket; with rings either way.

The rings of the last few starts are kept: what a start that died has left must still be there after the next ones.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from comms.packet_socket import PacketServer
from firmware_py.clock import Clock
from firmware_py.recorder.kept import KeptJournal
from firmware_py.recorder.shelf import Shelf
from firmware_py.recorder.tap import TapLog
from hal.profile.board import RateConfig

__all__ = ["Recording", "open_recording"]

RINGS_KEPT = 64 * 1024 * 1024
"""Bytes of the rings that are kept: six starts at 200 Hz."""
LAST_WORDS_NS = 500_000_000
"""How long the end of a flight waits for the recorder to take what is left."""
PAUSE_NS = 10_000_000


class Recording:
    """Journal of a flight and what ends it.

    Attributes:
        folder: where this process writes.
        journal: of the flight.
        port: socket of the recorder; ``None``: it is recorded here.
    """

    def __init__(
        self, folder: Path, journal: KeptJournal, close: Callable[[], None],
        pending: Callable[[int], int] | None = None, port: PacketServer | None = None,
    ) -> None:
        self.folder = folder
        self.journal = journal
        self.port = port
        self._close = close
        self._pending = pending

    def finish(self, clock: Clock) -> None:
        """The flight is over and its valves are shut: hand over what is left, for half a second at most, and close."""
        if self._pending is not None:
            begun_ns = clock.now_ns()
            while self._pending(clock.now_ns()) and clock.now_ns() - begun_ns < LAST_WORDS_NS:
                clock.sleep_until_ns(clock.now_ns() + PAUSE_NS)
        self._close()


def open_recording(
    state: Path, port: Path | None, header: Mapping[str, Any], epoch_ns: int, taps: TapLog, texts: Mapping[str, str],
    rates: RateConfig, stack: ExitStack, users: Collection[int] | None = None,
) -> Recording:
    """Open the recorder of one start.

    Args:
        state: the state folder.
        port: socket to listen on for a recorder process; ``None``: the black box is written here.
        header, epoch_ns, taps, texts: of the black box.
        rates: of the board.
        stack: gets what closes the socket.
        users: ids of those that may call there; ``None``: whoever may open the socket's file.

    Raises:
        RecordError: files cannot be made.
        PortError: the socket cannot be.
    """
    medium_hz = max(1, round(rates.medium_hz))
    mission = str(header["mission"])
    if port is None:
        from firmware_py.recorder.flight import FlightRecorder

        folder = Shelf(state / "flights", None).new(mission, epoch_ns)
        journal = FlightRecorder(
            folder, header, epoch_ns, taps, texts, fast_hz=rates.fast_hz, medium_hz=medium_hz, synchronise=True,
        )
        return Recording(folder, journal, journal.close)
    from firmware_py.recorder.remote import RemoteBox, RemoteRecorder

    server = PacketServer(port, users)
    stack.callback(server.close)
    shelf = Shelf(state / "rings", RINGS_KEPT)
    folder = shelf.new(mission, epoch_ns)
    box = RemoteBox(server, folder.name, header, epoch_ns, buses=taps.names, attachments=texts)
    remote = RemoteRecorder(folder, box, taps, epoch_ns, fast_hz=rates.fast_hz, medium_hz=medium_hz)
    while shelf.thin() is not None:
        pass

    def pending(now_ns: int) -> int:
        box.step(now_ns)
        return box.pending

    return Recording(folder, remote, remote.close, pending, server)
