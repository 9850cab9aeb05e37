"""CSV of every channel of a flight: a file appears under its name only when it is whole; what is missing stays empty.

The first column is ``time_s``, flight time in seconds, exact to the nanosecond. Tables and lists become columns ``a.b``
and ``a[0]``. ``bus.csv`` has one line a transfer, bytes in hexadecimal.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

from firmware_py.recorder import RecordError
from firmware_py.recorder.reader import Flight, flatten
from firmware_py.recorder.tap import EXTENDED, Op

__all__ = ["BUS_COLUMNS", "export_csv"]

BUS_COLUMNS: Final = ("time_s", "bus", "operation", "address", "sent", "received", "fault", "empty_polls")
_HEX_ADDRESS: Final = frozenset({Op.I2C_WRITE, Op.I2C_READ, Op.I2C_WRITE_READ, Op.CAN_SEND, Op.CAN_RECEIVE})


def export_csv(flight: Flight, folder: Path | str) -> list[Path]:
    """Write ``snapshot.csv``, ``event.csv``, ``command.csv``, ``truth.csv``, ``timing.csv``, ``bus.csv``.

    Channels without messages give no file. The folder is made if need be; files of these names are replaced. Returns
    the paths, sorted.

    Raises:
        RecordError: the folder cannot be written.
    """
    folder = Path(folder)
    columns = _columns(flight)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with ExitStack() as leftovers:
            parts: dict[str, tuple[Path, Path]] = {}
            writers: dict[str, Any] = {}
            with ExitStack() as files:
                for topic in flight.counts:
                    final = folder / f"{topic.strip('/').replace('/', '_')}.csv"
                    part = final.with_name(f".{final.name}.part")
                    parts[topic] = (part, final)
                    leftovers.callback(part.unlink, missing_ok=True)
                    file = files.enter_context(part.open("w", newline="", encoding="utf-8"))
                    writers[topic] = csv.writer(file, lineterminator="\n")
                    writers[topic].writerow(BUS_COLUMNS if topic == "/bus" else ("time_s", *columns[topic]))
                for t_ns, topic, value in flight.messages():
                    time_s = _seconds(t_ns)
                    if topic == "/bus":
                        writers[topic].writerows(_bus_lines(time_s, flight.buses, value))
                    else:
                        leaves = dict(flatten(value))
                        writers[topic].writerow((time_s, *(_cell(leaves.get(name)) for name in columns[topic])))
            for part, final in parts.values():
                os.replace(part, final)
    except OSError as error:
        raise RecordError(folder, f"cannot be written ({error.strerror})", "choose another folder") from error
    return sorted(final for _, final in parts.values())


def _columns(flight: Flight) -> dict[str, list[str]]:
    """Columns of each channel in order of first appearance."""
    found: dict[str, dict[str, bool]] = {topic: {} for topic in flight.counts if topic != "/bus"}
    for _, topic, value in flight.messages(*found) if found else ():
        seen = found[topic]
        for name, leaf in flatten(value):
            seen[name] = seen.get(name, False) or leaf is not None
    return {topic: _without_shadows(seen) for topic, seen in found.items()}


def _without_shadows(seen: dict[str, bool]) -> list[str]:
    """Drop ``a`` that was only ever missing where ``a[0]`` or ``a.b`` exist."""
    parents = {name[:end] for name in seen for end in range(len(name)) if name[end] in ".["}
    return [name for name, filled in seen.items() if filled or name not in parents]


def _bus_lines(time_s: str, buses: Sequence[str], transfers: Iterable[Sequence[Any]]) -> Iterable[tuple[Any, ...]]:
    for index, number, where, sent, received, fault in transfers:
        op = Op(number)
        polls, sent_hex = (sent, "") if isinstance(sent, int) else ("", sent.hex())
        received_hex = "" if received is None else received.hex()
        name = buses[index] if index < len(buses) else index
        yield time_s, name, op.name.lower(), _address(op, where), sent_hex, received_hex, fault or "", polls


def _address(op: Op, where: int | str | None) -> str | int:
    if where is None:
        return ""
    if isinstance(where, int) and op in _HEX_ADDRESS:
        return f"0x{where & ~EXTENDED:08x}" if where & EXTENDED else f"0x{where:02x}"
    return where


def _seconds(t_ns: int) -> str:
    sign = "-" if t_ns < 0 else ""
    whole, rest = divmod(abs(t_ns), 1_000_000_000)
    return f"{sign}{whole}.{rest:09d}"


def _cell(value: Any) -> Any:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return value
