"""The dictionary as one page of Markdown: commands, telemetry, groups, events, parameters, messages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

__all__ = ["markdown"]

Row = Mapping[str, Any]


def markdown(tables: Mapping[str, Any]) -> str:
    """The page, from an exported dictionary with its texts."""
    parts = [
        "# Dictionary", f"Hash `{tables['hash']}`. Ids are never used again.",
        "## Commands",
        _table(("id", "command", "class", "least authority", "what it does"), (
            (row["id"], f"`{row['name']}`", row["class"], row["authority"], row["text"]) for row in tables["commands"]
        )),
        *_arguments(tables["commands"]),
        "## Telemetry", _table(("id", "channel", "type", "unit", "on a link", "what it is"), (
            (row["id"], f"`{row['name']}`", row["kind"], row["unit"], row["form"], row["text"])
            for row in tables["telemetry"]
        )),
        "## Groups of telemetry",
        "A frame is `[id, t_ms, value, ...]`, values in this order; an id belongs to exactly this content.",
        _table(("id", "group", "usual rate", "what it is", "channels"), (
            (row["id"], f"`{row['name']}`", f"{row['rate_hz']:g} Hz", row["text"],
             ", ".join(f"`{name}`" for name in row["channels"]))
            for row in tables["layouts"]
        )),
        "## Events", _table(("id", "code", "meaning"), (
            (row["id"], f"`{row['name']}`", row["text"]) for row in sorted(tables["events"], key=lambda row: row["id"])
        )),
        "## Parameters",
        _table(("id", "parameter", "default", "unit", "allowed", "authority", "counts", "what it is"), (
            (row["id"], f"`{row['name']}`", row["default"], row["unit"], _allowed(row), row["authority"], row["effect"],
             row["text"]) for row in tables["parameters"]
        )),
        "## Messages", "Each is a CBOR array that begins with its id.", _table(("id", "message", "fields"), (
            (row["id"], f"`{row['name']}`", "; ".join(f"{f['name']} ({f['type']})" for f in row["fields"]))
            for row in tables["messages"]
        )),
    ]
    return "\n\n".join(parts) + "\n"


def _arguments(commands: Iterable[Row]) -> list[str]:
    parts = []
    for command in commands:
        if command["arguments"]:
            head = ("argument", "type", "unit", "allowed", "needed", "what it is")
            parts += [f"### {command['name']}", _table(head, (
                (f"`{row['name']}`", row["kind"], row["unit"], _allowed(row), "yes" if row["required"] else "no",
                 row["text"]) for row in command["arguments"]
            ))]
    return parts


def _allowed(row: Row) -> str:
    if row["choices"]:
        return ", ".join(row["choices"])
    low, high = ("" if row[key] is None else f"{row[key]:g}" for key in ("low", "high"))
    return f"{low} .. {high}" if low or high else "any"


def _table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(str(cell).replace("|", "\\|") for cell in row) + " |" for row in rows]
    return "\n".join(lines)
