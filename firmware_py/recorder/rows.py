"""Rows of a black box as bytes: the same for the file in this process and for the recorder beside it.

Whoever keeps them gets a channel, a time and bytes; ``firmware_py.recorder.blackbox`` tells what the channels hold.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Final

import cbor2
import msgspec

from firmware_py.recorder.tap import Transfer

__all__ = ["BUS", "COMMAND", "EVENT", "SNAPSHOT", "TIMING", "RowWriter", "plain"]

SNAPSHOT: Final = 1
EVENT: Final = 2
COMMAND: Final = 3
BUS: Final = 4
TIMING: Final = 5
"""Numbers of the channels; the first four are those of every file."""


def plain(value: Any) -> Any:
    """Built-in types of numpy scalars and arrays; their own method, so that numpy need not be loaded here."""
    convert = getattr(value, "tolist", None)
    if convert is None:
        raise TypeError(f"{type(value).__name__} cannot be recorded; give numbers, text, lists, tables or None")
    return convert()


class _Event(msgspec.Struct, frozen=True, gc=False):
    code: str
    severity: str
    text: str
    data: Any


class _Command(msgspec.Struct, frozen=True, gc=False):
    number: int
    name: str
    source: str
    state: str
    codes: Sequence[str]
    detail: str
    arguments: Any


class RowWriter(ABC):
    """Turns what a flight tells into rows and hands them to ``_add``."""

    def __init__(self) -> None:
        self._encode = msgspec.json.Encoder(enc_hook=plain, decimal_format="number").encode

    def snapshot(self, t_ns: int, row: Mapping[str, Any] | msgspec.Struct) -> None:
        """One telemetry snapshot at flight time ``t_ns``. A number that is not finite is stored as null."""
        self._add(SNAPSHOT, t_ns, self._encode(row))

    def event(
        self, t_ns: int, code: str, severity: str, text: str = "", data: Mapping[str, Any] | None = None
    ) -> None:
        """One event: code and severity (info, warning, critical) of ``fdir.codes``, a clause for people, arguments."""
        self._add(EVENT, t_ns, self._encode(_Event(code, severity, text, data)))

    def command(
        self,
        t_ns: int,
        number: int,
        name: str,
        source: str,
        state: str,
        codes: Sequence[str] = (),
        detail: str = "",
        arguments: Mapping[str, Any] | None = None,
    ) -> None:
        """One stage of one command; the fields are those of ``firmware_py.commands.CommandRecord``."""
        self._add(COMMAND, t_ns, self._encode(_Command(number, name, source, state, codes, detail, arguments)))

    def bus(self, t_ns: int, transfers: Sequence[Transfer]) -> None:
        """The transfers of one tick (``TapLog.take()``). Call every tick, also with none: a replay needs its time."""
        self._add(BUS, t_ns, cbor2.dumps(transfers))

    @abstractmethod
    def _add(self, channel: int, t_ns: int, data: bytes) -> None:
        """Keep one row."""
