"""What a craft keeps, reached on the ground: its files in a folder, or the memory chip of its board.

Only for a craft that is not flying: in flight the program is the owner of its memory, and reads it at boot alone.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from drivers.errors import Cause, DeviceError
from firmware_py.cli.bench import BenchError, opened_buses
from firmware_py.probe import driver_of
from hal.causes import CAUSES
from hal.hardware import load_part
from hal.nonvolatile import FileMemory, FolderFiles, HeldCopy, Transfer, wait_for
from hal.profile import BoardConfig, load_board

__all__ = ["ChipMemory", "FolderMemory", "KeptMemory", "NothingWholeError", "opened_memory"]


class NothingWholeError(Exception):
    """Something was stored in a slot and no copy of it is whole."""


class KeptMemory(Protocol):
    """A memory whose transfers end at once. What the medium refuses is a BenchError with code 1."""

    where: str
    """In words."""
    capacity: int

    def load(self, slot: int) -> bytes | None:
        """Newest whole payload; ``None`` if nothing was stored. Raises NothingWholeError."""

    def store(self, slot: int, payload: bytes) -> None:
        """Store it."""

    def copies(self, slot: int) -> tuple[str, str]:
        """Both copies of a slot, in words."""


class FolderMemory:
    """Files in a folder, which is made when the first is stored."""

    def __init__(self, folder: Path) -> None:
        self.where = f"files in {folder}"
        self._files = FileMemory(FolderFiles(folder))
        self.capacity = self._files.capacity

    def load(self, slot: int) -> bytes | None:
        """See KeptMemory."""
        return self._ended(wait_for(self._files.load(slot, 0)), "read")

    def store(self, slot: int, payload: bytes) -> None:
        """See KeptMemory."""
        self._ended(wait_for(self._files.store(slot, payload, 0)), "written")

    def copies(self, slot: int) -> tuple[str, str]:
        """See KeptMemory."""
        first, second = self._files.copies(slot)
        return _in_words(first), _in_words(second)

    def _ended(self, transfer: Transfer, what: str) -> bytes | None:
        if transfer.broken:
            raise NothingWholeError(transfer.error)
        if transfer.error is not None:
            raise BenchError(f"{self.where} can't be {what}: {transfer.error}", "choose another folder with --state", 1)
        return transfer.payload


def _in_words(copy: HeldCopy) -> str:
    if copy.problem:
        return f"broken: {copy.problem}"
    return "nothing" if copy.sequence is None else f"whole, number {copy.sequence}, {len(copy.payload)} bytes"


class ChipMemory:
    """An I2C memory behind its driver.

    Args:
        name: of the device.
        driver: with ``identify``, ``initialise``, ``load``, ``store`` and ``acquire``.

    Raises:
        BenchError: nothing answers there, or it is not ours.
    """

    def __init__(self, name: str, driver: Any) -> None:
        self.where = name
        self._driver = driver
        self.capacity: int = driver.settings.slot_bytes
        self._run(driver.identify())

    def load(self, slot: int) -> bytes | None:
        """See KeptMemory."""
        try:
            payload: bytes | None = _to_its_end(self._driver.load(slot))
        except DeviceError as error:
            if error.cause is Cause.CHECKSUM:
                raise NothingWholeError(f"slot {slot} has no whole copy") from None
            if error.cause is Cause.RESET:
                # It has answered ``identify``: so it is blank.
                return None
            raise self._refused(error) from None
        return payload

    def store(self, slot: int, payload: bytes) -> None:
        """See KeptMemory."""
        self._run(self._driver.initialise())
        self._run(self._driver.store(slot, payload))

    def copies(self, slot: int) -> tuple[str, str]:
        """See KeptMemory."""
        for _ in range(self._driver.settings.slots):
            try:
                health = _to_its_end(self._driver.acquire())
            except DeviceError as error:
                if error.cause is Cause.RESET:
                    break
                raise self._refused(error) from None
            if health.checked == slot:
                first, second = (SOUND[sound] for sound in health.copies[slot])
                return first, second
        return SOUND[None], SOUND[None]

    def _run(self, sequence: Generator[None, None, Any]) -> Any:
        try:
            return _to_its_end(sequence)
        except DeviceError as error:
            raise self._refused(error) from None

    def _refused(self, error: DeviceError) -> BenchError:
        return BenchError(f"{self.where}: {error}", CAUSES[error.cause].advice, 1)


SOUND: Mapping[bool | None, str] = {True: "whole", False: "broken", None: "nothing"}


def _to_its_end(sequence: Generator[None, None, Any]) -> Any:
    while True:
        try:
            next(sequence)
        except StopIteration as end:
            return end.value


@contextmanager
def opened_memory(folder: Path, board_name: str | None) -> Iterator[KeptMemory]:
    """Files in ``folder``, or with a board's name its memory chip.

    Raises:
        ConfigError, BenchError: the board is wrong, has no memory, or its memory does not answer.
    """
    if board_name is None:
        yield FolderMemory(folder)
        return
    board = load_board(board_name)
    if not any(device.role == "memory" for device in board.devices):
        raise BenchError(f"board {board.board} has no memory chip", "it keeps its parameters in files: --state FOLDER")
    with opened_buses(board, None) as opened:
        yield _of_board(board, opened.buses, opened.refusals)


def _of_board(
    board: BoardConfig, buses: Mapping[str, Any], refusals: Mapping[str, tuple[DeviceError, str]]
) -> ChipMemory:
    device = next(device for device in board.devices if device.role == "memory")
    if device.bus in refusals:
        error, advice = refusals[device.bus]
        raise BenchError(f"bus {device.bus} can't be opened: {error}", advice, 1)
    bus = buses[device.bus]
    if device.mux is not None:
        before = next(one for one in board.devices if one.name == device.mux)
        bus = load_part(board, before)[0].Mux(bus, before.address).channel(device.channel)
    return ChipMemory(f"{device.name} on {device.bus}", driver_of(device, board, bus)[1])
