"""Contacts from a file, to be judged at a desk: CSV with a header, or one JSON object a line; rows as they arrived.

What a row leaves empty is missing. A row with a time only is a frame without contacts: time goes on. Whatever cannot
be read is refused with file, line and key.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from fdir.guard_contacts import Contact, TrackStatus
from fdir.guard_rules import Iff, TransponderMode
from hal.profile import ConfigError

__all__ = ["COLUMNS", "Frame", "read_frames"]

NS = 1_000_000_000
LONGEST_S = 1_000_000_000
JSON_SUFFIXES = (".jsonl", ".ndjson")

Frame = tuple[int, list[Contact]]
"""Event time (ns) and the contacts that arrived one after the other with it."""


class _Row(Struct, frozen=True, forbid_unknown_fields=True):
    """One row. Keys are named as in the rules."""

    time_s: Annotated[float, Meta(ge=-LONGEST_S, le=LONGEST_S)]
    track_id: Annotated[int, Meta(ge=0, le=2**63 - 1)] | None = None
    status: TrackStatus | None = None
    range_m: float | None = None
    radial_velocity_mps: float | None = None
    quality: float | None = None
    iff: Iff | None = None
    transponder_on: bool | None = None
    transponder_mode: TransponderMode | None = None


COLUMNS = _Row.__struct_fields__
WORDS: dict[str, tuple[str, ...]] = {
    "status": tuple(TrackStatus), "iff": tuple(Iff), "transponder_mode": tuple(TransponderMode),
    "transponder_on": ("true", "false"),
}


def read_frames(path: Path) -> Iterator[Frame]:
    """Frames in the order of the file; rows of the same time that follow each other are one frame.

    Raises:
        ConfigError: what cannot be read, with file, line and key.
        OSError: the file cannot be opened.
    """
    if path.suffix.lower() not in (".csv", *JSON_SUFFIXES):
        why = f"{path.suffix or 'no suffix'} is not known; allowed: .csv, {', '.join(JSON_SUFFIXES)}"
        raise ConfigError(str(path), None, "", why)
    frame: Frame | None = None
    for line, row in _rows(path):
        contact = _contact(path, line, row)
        t_ns = round(row.time_s * NS)
        if frame is not None and frame[0] != t_ns:
            yield frame
            frame = None
        if frame is None:
            frame = (t_ns, [])
        if contact is not None:
            frame[1].append(contact)
    if frame is None:
        raise ConfigError(str(path), None, "", "holds no contacts")
    yield frame


def _rows(path: Path) -> Iterator[tuple[int, _Row]]:
    read = _json_rows if path.suffix.lower() in JSON_SUFFIXES else _csv_rows
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            yield from read(path, file)
    except UnicodeDecodeError as error:
        raise ConfigError(str(path), None, "", f"is no UTF-8 text: {error.reason}") from None


def _csv_rows(path: Path, file: Any) -> Iterator[tuple[int, _Row]]:
    reader = csv.reader(file, strict=True)
    try:
        header = [name.strip() for name in next(reader, [])]
        for name in header:
            if name not in COLUMNS:
                raise ConfigError(str(path), 1, name, f"unknown column; allowed: {', '.join(COLUMNS)}")
            if header.count(name) > 1:
                raise ConfigError(str(path), 1, name, "given twice")
        if "time_s" not in header:
            raise ConfigError(str(path), 1, "time_s", "no such column; it is needed")
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            line = reader.line_num
            if len(cells) != len(header):
                raise ConfigError(str(path), line, "", f"has {len(cells)} cells; the header has {len(header)}")
            given = {name: cell.strip() for name, cell in zip(header, cells, strict=True) if cell.strip()}
            try:
                yield line, msgspec.convert(given, _Row, strict=False)
            except msgspec.ValidationError as error:
                raise _refused(path, line, error) from None
    except csv.Error as error:
        raise ConfigError(str(path), reader.line_num, "", f"is no CSV: {error}") from None


def _json_rows(path: Path, file: Any) -> Iterator[tuple[int, _Row]]:
    decoder = msgspec.json.Decoder(_Row)
    for line, text in enumerate(file, start=1):
        if not text.strip():
            continue
        try:
            yield line, decoder.decode(text)
        except msgspec.ValidationError as error:
            raise _refused(path, line, error) from None
        except msgspec.DecodeError as error:
            raise ConfigError(str(path), line, "", f"is no JSON object: {error}") from None


def _refused(path: Path, line: int, error: msgspec.ValidationError) -> ConfigError:
    why, _, where = str(error).partition(" - at `$.")
    key = where.rstrip("`")
    if "unknown field" in why:
        key = why.partition("`")[2].rstrip("`")
        why = f"unknown key; allowed: {', '.join(COLUMNS)}"
    elif key in WORDS:
        why += f"; allowed: {', '.join(WORDS[key])}"
    return ConfigError(str(path), line, key, why)


def _contact(path: Path, line: int, row: _Row) -> Contact | None:
    """The contact of a row; ``None``: a frame without one."""
    if row.track_id is None:
        given = [name for name in COLUMNS[2:] if getattr(row, name) is not None]
        if given:
            why = f"is missing, with {given[0]} given; only time_s may be alone"
            raise ConfigError(str(path), line, "track_id", why)
        return None
    return Contact(
        row.track_id, row.status or TrackStatus.TRACKED, round(row.time_s * NS), row.range_m, row.radial_velocity_mps,
        row.quality, row.iff, row.transponder_on, row.transponder_mode,
    )
