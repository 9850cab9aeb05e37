"""``qiki dictionary``: what commands, telemetry, events and parameters there are, for people and for other tools.

Exit codes: 0 all well, 1 two dictionaries do not get along, 2 bad input.
"""

from __future__ import annotations

import json
from enum import StrEnum, unique
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

__all__ = ["dictionary_app"]

BAD_INPUT, INCOMPATIBLE = 2, 1
MOST_BYTES = 16 * 1024 * 1024

dictionary_app = typer.Typer(
    no_args_is_help=True,
    help="The dictionary: commands, telemetry, events, parameters, messages; shown, exported, compared.",
)


@unique
class Format(StrEnum):
    """What the dictionary is exported as."""

    JSON = "json"
    SCHEMA = "schema"
    XTCE = "xtce"
    MARKDOWN = "markdown"


@dictionary_app.command(
    epilog="Examples:\n\n  qiki dictionary show\n\n  qiki dictionary show nbl_send\n\n"
    "  qiki dictionary show BAT_LOW --json\n\nJSON: table, and the row as the dictionary has it."
)
def show(
    name: Annotated[str | None, typer.Argument(help="Command, channel, group, event, parameter or message.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
) -> None:
    """What there is, in numbers; or everything about one name."""
    tables = _tables()
    lists = {key: rows for key, rows in tables.items() if isinstance(rows, list)}
    if name is None:
        counts = {key: len(rows) for key, rows in lists.items()}
        if as_json:
            typer.echo(json.dumps({**counts, "hash": tables["hash"]}, indent=1))
            return
        for key, count in counts.items():
            typer.echo(f"{key:11} {count:4}")
        typer.echo(f"hash        {tables['hash']}")
        return
    found = [(key, row) for key, rows in lists.items() for row in rows if name in (row["name"], str(row["id"]))]
    if not found:
        near = sorted(row["name"] for rows in lists.values() for row in rows if name.lower() in row["name"].lower())
        _refuse(f"nothing is called {name!r}", f"near it: {', '.join(near[:8])}" if near else
                "qiki dictionary export --format markdown has everything")
    if as_json:
        typer.echo(json.dumps([{"table": key, **row} for key, row in found], indent=1))
        return
    for key, row in found:
        _print_row(key, row)


@dictionary_app.command(
    epilog="Examples:\n\n  qiki dictionary export > dictionary.json\n\n"
    "  qiki dictionary export --format xtce --output qiki.xml"
)
def export(
    form: Annotated[Format, typer.Option("--format", help="What to make.")] = Format.JSON,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="File to write, not the terminal.")] = None,
) -> None:
    """The whole dictionary: JSON, JSON Schema of a command, XTCE 1.2 of the CCSDS view, or Markdown."""
    text = _text(form)
    if output is None:
        typer.echo(text, nl=False)
        return
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        _refuse(f"{output}: {error.strerror}", "choose another place with --output")


@dictionary_app.command(
    epilog="Examples:\n\n  qiki dictionary diff old.json new.json\n\n  qiki dictionary diff old.json\n\n"
    "JSON: compatible, differences [{where, what, compatible}]."
)
def diff(
    old: Annotated[Path, typer.Argument(help="Exported JSON dictionary.")],
    new: Annotated[Path | None, typer.Argument(help="Another; by default that of this software.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of lines.")] = False,
) -> None:
    """Every difference between two dictionaries, and whether old and new still get along; exit code 1 if not."""
    from comms.dictionary.compare import compare

    before, after = _load(old), _tables() if new is None else _load(new)
    try:
        differences = compare(before, after)
    except ValueError as error:
        _refuse(str(error), "give files that qiki dictionary export has made")
    good = all(row.compatible for row in differences)
    if as_json:
        rows = [{"where": row.where, "what": row.what, "compatible": row.compatible} for row in differences]
        typer.echo(json.dumps({"compatible": good, "differences": rows}, indent=1))
    else:
        for row in sorted(differences, key=lambda row: row.compatible):
            typer.echo(f"{'compatible  ' if row.compatible else 'INCOMPATIBLE'}  {row.where}: {row.what}")
        typer.echo(f"{len(differences)} differences, {sum(not row.compatible for row in differences)} incompatible")
    raise typer.Exit(0 if good else INCOMPATIBLE)


def _tables() -> dict[str, Any]:
    from comms.dictionary.export import dictionary
    from firmware_py.reference_codes import CODE_TEXT

    return dictionary(CODE_TEXT)


def _text(form: Format) -> str:
    if form is Format.XTCE:
        from comms.dictionary.export import dictionary_hash
        from comms.dictionary.xtce import xtce

        return xtce(dictionary_hash()[:8].hex())
    if form is Format.SCHEMA:
        from comms.dictionary.json_schema import command_schema

        return json.dumps(command_schema(), indent=1, ensure_ascii=False) + "\n"
    tables = _tables()
    if form is Format.MARKDOWN:
        from comms.dictionary.markdown import markdown

        return markdown(tables)
    return json.dumps(tables, indent=1, ensure_ascii=False) + "\n"


def _load(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > MOST_BYTES:
            _refuse(f"{path}: longer than {MOST_BYTES} bytes", "give a file that qiki dictionary export has made")
        tables = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        _refuse(f"{path}: {error.strerror}", "qiki dictionary export --output FILE makes one")
    except (ValueError, RecursionError):
        _refuse(f"{path}: this is no JSON", "give a file that qiki dictionary export has made")
    if not isinstance(tables, dict):
        _refuse(f"{path}: this is no dictionary", "give a file that qiki dictionary export has made")
    return tables


def _print_row(table: str, row: dict[str, Any]) -> None:
    typer.echo(f"{table}: {row['name']}, id {row['id']}")
    for key, value in row.items():
        if key in ("name", "id", "digests") or value in (None, "", []):
            continue
        if key in ("arguments", "fields"):
            typer.echo(f"  {key}")
            for item in value:
                typer.echo(f"    {item['name']:18} {_bounds(item)}")
        else:
            typer.echo(f"  {key:10} {', '.join(map(str, value)) if isinstance(value, list) else value}")


def _bounds(item: dict[str, Any]) -> str:
    if "kind" not in item:
        return str(item["type"])
    allowed = ", ".join(item["choices"])
    if item["low"] is not None or item["high"] is not None:
        allowed = "..".join("" if item[key] is None else f"{item[key]:g}" for key in ("low", "high"))
    unit = "" if item["unit"] in ("-", "1") else f" {item['unit']}"
    needed = "" if item["required"] else " (may be left out)"
    return f"{item['kind']} {allowed}{unit}{needed}: {item['text']}"


def _refuse(message: str, next_step: str) -> NoReturn:
    typer.secho(f"qiki: {message}", fg=typer.colors.RED, err=True)
    typer.echo(f"      {next_step}", err=True)
    raise typer.Exit(BAD_INPUT)
