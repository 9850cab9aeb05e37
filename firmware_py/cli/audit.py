"""``qiki audit``: check an audit log for damage, and show what it tells.

Exit codes: 0 the log is intact, 1 it is damaged, 2 bad input.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

if TYPE_CHECKING:
    from comms.watch.audit_record import AuditEvent, Head
    from comms.watch.verify import Verdict

__all__ = ["audit_app"]

DAMAGED, BAD_INPUT = 1, 2
PATTERN = "audit*.log"
LARGEST_FILE = 1 << 25
KEY_BYTES = 32

audit_app = typer.Typer(no_args_is_help=True, help="Audit logs: check them for damage, and show what they tell.")

FilesArgument = Annotated[list[Path], typer.Argument(
    metavar="FILE...", help="Files of one log, or the folder that holds them.")]
KeyOption = Annotated[str | None, typer.Option(
    "--key", metavar="PUB", help="Public key of the log: 64 hex digits, or a file that holds them.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]


@audit_app.command(
    epilog="Examples:\n\n  qiki audit verify link-state/audit --key craft.pub --head audit.head\n\n"
    "  qiki audit verify audit000.log audit001.log\n\n"
    "Without --key the chain alone is checked; the key is the audit_public_key of qiki keys show --json. A cut behind "
    "the last signed record shows only against a head that the craft has handed out: its file audit.head.",
)
def verify(
    files: FilesArgument,
    key: KeyOption = None,
    head: Annotated[list[str] | None, typer.Option(
        "--head", metavar="HEAD", help="A head that the craft has handed out: hex digits, or a file with them. May be "
        "given several times.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Look for deletion, edit, reordering and truncation; the first bad record and what was done to it."""
    from comms.watch import verify as verifier

    heads = [_head(text) for text in head or []]
    verdict = verifier.verify(_read(files), _key(key), heads)
    if as_json:
        typer.echo(json.dumps(_as_json(verdict), indent=1))
    else:
        _print(verdict, len(heads))
    raise typer.Exit(0 if verdict.intact else DAMAGED)


@audit_app.command(epilog="Example:\n\n  qiki audit show link-state/audit --class NBL_packet_attempt --last 20")
def show(
    files: FilesArgument,
    kind: Annotated[str | None, typer.Option("--class", help="Only records of this class.")] = None,
    last: Annotated[int, typer.Option(min=1, help="Newest records to show.")] = 50,
    as_json: JsonOption = False,
) -> None:
    """Show the newest records. Nothing is checked here but that they are records: see verify."""
    from comms.watch.audit_record import AuditClass

    if kind is not None and kind not in list(AuditClass):
        _refuse(f"there is no class {kind!r}", "classes: " + ", ".join(AuditClass))
    rows = [(number, event) for number, event in _events(_read(files)) if kind is None or event.kind == kind][-last:]
    if as_json:
        typer.echo(json.dumps([_event_as_json(number, event) for number, event in rows], indent=1))
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table("record", "time s", "class", "severity", "source", "what", box=None, padding=(0, 2, 0, 0))
    for number, event in rows:
        cells = (str(number), f"{event.t_ns / 1e9:.3f}", event.kind.value, event.severity.value, event.source,
                 _what(event))
        table.add_row(*map(Text, cells))
    Console().print(table)
    typer.echo(f"{len(rows)} record{'' if len(rows) == 1 else 's'}")


def _read(paths: list[Path]) -> list[tuple[str, bytes]]:
    """Name and bytes of every file of the log."""
    found: list[Path] = []
    for path in paths:
        found += sorted(path.glob(PATTERN)) if path.is_dir() else [path]
    if not found:
        _refuse(f"there is no {PATTERN} in {', '.join(map(str, paths))}", "name the folder or the files of a log")
    out = []
    for path in found:
        try:
            with path.open("rb") as file:
                data = file.read(LARGEST_FILE + 1)
        except OSError as error:
            _refuse(f"{path} can't be read: {error.strerror}", "check the name and its permissions")
        if len(data) > LARGEST_FILE:
            _refuse(f"{path} has more than {LARGEST_FILE} bytes", "no file of an audit log has as many")
        out.append((path.name, data))
    return out


def _key(text: str | None) -> bytes | None:
    if text is None:
        return None
    data = _hex(text, "a public key")
    if len(data) != KEY_BYTES:
        _refuse(f"a public key has 64 hex digits, this one has {2 * len(data)}", "give the log's Ed25519 public key")
    return data


def _head(text: str) -> Head:
    from comms.watch.audit_record import Head

    head = Head.decode(_hex(text, "a head"))
    if head is None:
        _refuse(f"{text!r} is no head", "give the hex digits that the craft has handed out")
    return head


def _hex(text: str, what: str) -> bytes:
    """Bytes of hex digits, or of a file that holds them."""
    path = Path(text)
    try:
        if path.is_file():
            text = path.read_text(encoding="ascii").strip()
        return bytes.fromhex(text)
    except (OSError, ValueError):
        _refuse(f"{text[:40]!r} is neither {what} in hex digits nor a file of them", f"give {what} or its file")


def _events(files: list[tuple[str, bytes]]) -> list[tuple[int, AuditEvent]]:
    """Every record that can be read, by its number."""
    from comms.watch.audit_files import MAGIC
    from comms.watch.audit_record import read_entry

    found: dict[int, AuditEvent] = {}
    for name, data in files:
        if data[: len(MAGIC)] != MAGIC:
            _refuse(f"{name} is no file of an audit log", "files of a log begin with QAUDIT1")
        at = len(MAGIC)
        while (entry := read_entry(data, at)) is not None:
            if entry.event is not None:
                found[entry.number] = entry.event
            at += entry.size
    return sorted(found.items())


def _what(event: AuditEvent) -> str:
    """Everything that a record tells beside its time, class and source."""
    parts = [f"{name} {value}" for name, value in (
        ("command", event.command_id), ("operator", event.operator), ("module", event.module),
        ("bayonet", event.bayonet), ("effect", event.effect),
    ) if value is not None]
    if event.previous is not None or event.new is not None:
        parts.append(f"{event.previous or '?'} -> {event.new or '?'}")
    parts += event.codes
    parts += [f"{name}={value}" for name, value in event.more.items()]
    if event.blackbox:
        parts.append("black box")
    return ", ".join(parts)


def _event_as_json(number: int, event: AuditEvent) -> dict[str, Any]:
    return {
        "event_id": number, "type": event.kind.value, "t_ns": event.t_ns, "utc_ns": event.utc_ns,
        "source": event.source, "command_id": event.command_id, "previous": event.previous, "new": event.new,
        "codes": list(event.codes), "operator": event.operator, "module": event.module, "bayonet": event.bayonet,
        "effect": event.effect, "severity": event.severity.value, "blackbox": event.blackbox,
        "more": dict(event.more),
    }


def _as_json(verdict: Verdict) -> dict[str, Any]:
    finding = verdict.finding
    return {
        "intact": verdict.intact, "first": verdict.first, "records": verdict.records, "last_signed": verdict.signed,
        "heads_agreed": verdict.heads, "notes": list(verdict.notes),
        "finding": None if finding is None else {
            "damage": finding.damage.value, "record": finding.number, "file": finding.file, "text": finding.text,
        },
    }


def _print(verdict: Verdict, heads: int) -> None:
    for note in verdict.notes:
        typer.echo(f"note: {note}")
    finding = verdict.finding
    if finding is not None:
        where = "" if finding.number is None else f" record {finding.number}"
        place = f" in {finding.file}" if finding.file else ""
        typer.echo(f"DAMAGED: {finding.damage.value}{where}{place}: {finding.text}")
        return
    signed = "no signature was checked" if verdict.signed is None else f"signed up to record {verdict.signed}"
    agreed = f", {verdict.heads} of {heads} heads agree" if heads else ""
    typer.echo(f"intact: {verdict.records} records, {signed}{agreed}")


def _refuse(problem: str, next_step: str) -> NoReturn:
    typer.echo(f"{problem}\n  next: {next_step}", err=True)
    raise typer.Exit(BAD_INPUT)
