"""The fault table that is flown: the given one if it is good, else the last good one that was kept, else the shipped.

A table that was good is kept in files beside the parameters, checked, in two copies, so that a bad edit or a damaged
file does not take the craft its monitors. What is read back is checked as whole as a file is. Called once, before the
program is built; it waits for the medium.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import StrEnum, unique
from pathlib import Path

import msgspec
import yaml

from fdir.fault_table import FaultRow, FaultTable, check_fault_table, find_fault_table, load_fault_table
from hal.nonvolatile import LONGEST_PAYLOAD, FileMemory, Files, NonVolatile, wait_for
from hal.profile import ConfigError
from hal.profile.loader import Lines

__all__ = ["TABLE_SLOT", "ChosenTable", "Taken", "fault_table_to_fly", "keep_table", "kept_table"]

TABLE_SLOT = 3
"""Slot of the files, after boot record, parameters and SAFE."""
FORMAT = 1
KEPT = "kept fault table"
_DIGEST = "sha256:"


@unique
class Taken(StrEnum):
    """Which table is flown."""

    GIVEN = "given"
    KEPT = "kept"
    SHIPPED = "shipped"


@dataclass(frozen=True, slots=True)
class ChosenTable:
    """The table to fly.

    Attributes:
        table: checked.
        taken: which it is.
        refusal: file, line, row and reason of what could not be flown, and what is flown instead; empty if nothing was
            refused. For an event FAULT_TABLE_REFUSED.
        not_kept: why a good table could not be kept for the next time; empty if it was, or there is nowhere to.
    """

    table: FaultTable
    taken: Taken
    refusal: str = ""
    not_kept: str = ""


class _Wire(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    format: int
    digest: str
    rows: tuple[FaultRow, ...]


def fault_table_to_fly(given: Path | None, files: Files | None) -> ChosenTable:
    """Choose the table, and keep it if it is good and new.

    Args:
        given: file; ``None``: the one that ships.
        files: folder where the last good one is kept; ``None``: nowhere.

    Raises:
        ConfigError: the table that ships was refused and none is kept: there is nothing that could be flown.
    """
    memory = None if files is None else FileMemory(files, capacity=LONGEST_PAYLOAD)
    shipped = find_fault_table()
    path = shipped if given is None else given
    try:
        table = load_fault_table(path)
    except ConfigError as error:
        kept = None if memory is None else kept_table(memory)
        if kept is not None:
            return ChosenTable(kept, Taken.KEPT, f"{error}; the last good table is flown")
        if path == shipped:
            raise
        return ChosenTable(load_fault_table(shipped), Taken.SHIPPED, f"{error}; the table that ships is flown")
    not_kept = "" if memory is None else keep_table(memory, table)
    return ChosenTable(table, Taken.SHIPPED if path == shipped else Taken.GIVEN, not_kept=not_kept)


def keep_table(memory: NonVolatile, table: FaultTable) -> str:
    """Keep a checked table, if it is not the one that is kept already; returns why it could not be."""
    payload = msgspec.msgpack.encode(_Wire(FORMAT, table.digest, table.rows))
    if len(payload) > memory.capacity:
        return f"the fault table takes {len(payload)} bytes, the memory {memory.capacity}"
    held = wait_for(memory.load(TABLE_SLOT, 0))
    if held.payload == payload:
        return ""
    return wait_for(memory.store(TABLE_SLOT, payload, 0)).error or ""


def kept_table(memory: NonVolatile) -> FaultTable | None:
    """The table that is kept; ``None`` if there is none, it cannot be read, or this software refuses it."""
    payload = wait_for(memory.load(TABLE_SLOT, 0)).payload
    if payload is None:
        return None
    try:
        wire = msgspec.msgpack.decode(payload, type=_Wire)
        check_fault_table(wire.rows, _no_lines(), None)
    except (msgspec.MsgspecError, ValueError, RecursionError, ConfigError):
        return None
    sound = wire.format == FORMAT and len(wire.digest) == len(_DIGEST) + 2 * hashlib.sha256().digest_size
    return FaultTable(wire.rows, wire.digest) if sound else None


def _no_lines() -> Lines:
    """Line numbers of a table that is no text any more."""
    node = yaml.compose("{}", Loader=yaml.SafeLoader)
    assert node is not None
    return Lines(KEPT, node)
