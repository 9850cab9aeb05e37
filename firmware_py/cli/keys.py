"""``qiki keys``: make, pin, pair, show, renew and revoke the keys of a craft and its operators.

Nothing secret is ever printed. Exit codes: 0 all well, 2 bad input or keys that do not open.
"""

from __future__ import annotations

import json
import os
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from firmware_py.cli.keys_locks import CRAFT, OPERATOR, open_keys, refuse, refuse_key, the_lock

if TYPE_CHECKING:
    from comms.dictionary import Authority

__all__ = ["Role", "keys_app"]

keys_app = typer.Typer(
    no_args_is_help=True, rich_markup_mode="rich", add_completion=False,
    help="Keys of a craft and its operators: make, pair, show, renew, revoke. Files are sealed, and nothing secret is "
    "shown.",
    epilog="First time: [bold]qiki keys new --craft craft[/bold], "
    "[bold]qiki keys new --operator ann --role controller ann[/bold], [bold]qiki keys pair craft ann[/bold].",
)

LAST_START = 2**32 - 1


class Role(StrEnum):
    """Roles by name, as ``comms.dictionary.Authority`` has them; here so that help needs no dictionary."""

    VIEWER = "viewer"
    CONTROLLER = "controller"
    ENGINEER = "engineer"
    SAFETY = "safety"


def _authority(role: Role) -> Authority:
    from comms.dictionary import Authority

    return Authority(role.value)


def _start(value: int | None) -> int | None:
    """A number of a start, or none."""
    if value is not None and not 0 <= value <= LAST_START:
        raise typer.BadParameter(f"is {value}; 0..{LAST_START} is allowed")
    return value


FolderArgument = Annotated[Path, typer.Argument(help="Folder of the keys.")]
CraftArgument = Annotated[Path, typer.Argument(help="Folder of the craft's keys.", metavar="CRAFT")]
OperatorArgument = Annotated[Path, typer.Argument(help="Folder of the operator's keys.", metavar="OPERATOR")]
PassphraseOption = Annotated[Path | None, typer.Option(
    "--passphrase-file", help="Read the passphrase from this file's first line instead of asking.")]
SealOption = Annotated[Path | None, typer.Option(
    "--seal-key", help="Sealing key instead of a passphrase, for a craft that starts by itself.")]
CraftPassphraseOption = Annotated[Path | None, typer.Option(
    "--craft-passphrase-file", help="First line is the craft's passphrase.")]
CraftSealOption = Annotated[Path | None, typer.Option("--craft-seal-key", help="The craft's sealing key.")]
OperatorPassphraseOption = Annotated[Path | None, typer.Option(
    "--operator-passphrase-file", help="First line is the operator's passphrase.")]
OperatorSealOption = Annotated[Path | None, typer.Option("--operator-seal-key", help="The operator's sealing key.")]
RoleOption = Annotated[Role | None, typer.Option(
    "--role", metavar="ROLE", help=f"What the operator may do: {', '.join(Role)}.")]
LastStartOption = Annotated[int | None, typer.Option(
    "--last-start", metavar="START", callback=_start,
    help="Ends with this start of the craft (its start counter); else never.")]
NoteOption = Annotated[str, typer.Option("--note", help="Free text, up to 200 bytes.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]


@keys_app.command(epilog="Examples:\n\n  qiki keys new --craft craft --seal-key /boot/craft.seal\n\n"
                  "  qiki keys new --operator ann --role controller ann")
def new(
    folder: FolderArgument,
    craft: Annotated[bool, typer.Option("--craft", help="Keys of a craft.")] = False,
    operator: Annotated[str | None, typer.Option("--operator", help="Keys of an operator of this name.")] = None,
    role: RoleOption = None,
    name: Annotated[str | None, typer.Option("--name", help="The craft's name; its folder's if not given.")] = None,
    passphrase_file: PassphraseOption = None,
    seal_key: SealOption = None,
) -> None:
    """Make the keys of a craft, or of an operator, in a folder of their own."""
    from comms.keys.faults import KeyringError
    from comms.keys.keyring import new_craft, new_operator

    if craft == (operator is not None):
        refuse("whose keys?", "say --craft, or --operator NAME --role ROLE")
    if operator is not None and role is None:
        refuse("an operator has a role", f"add --role, one of: {', '.join(Role)}")
    if craft and role is not None:
        refuse("a craft has no role", "leave --role away; operators have roles")
    try:
        ring = (
            new_craft(name or folder.resolve().name, os.urandom) if operator is None
            else new_operator(operator, _authority(role or Role.VIEWER), os.urandom)
        )
        keys = the_lock(folder, passphrase_file, seal_key).make(ring)
    except KeyringError as error:
        refuse_key(error, folder)
    from comms.keys.pairing import card_of

    typer.echo(f"keys of {'craft' if operator is None else 'operator'} {ring.name} are in {folder}")
    typer.echo(f"fingerprint {card_of(keys).fingerprint}")
    typer.echo("next: qiki keys pair CRAFT OPERATOR, or, on two computers, qiki keys export")


@keys_app.command(epilog="Examples:\n\n  qiki keys show craft\n\n"
                  "  qiki keys show ann --passphrase-file pass.txt --json")
def show(
    folder: FolderArgument, passphrase_file: PassphraseOption = None, seal_key: SealOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show whose keys these are and who is pinned: fingerprints, roles, states. Nothing secret."""
    from firmware_py.cli.keys_tables import as_object, show_ring

    keys = open_keys(folder, passphrase_file, seal_key)
    if as_json:
        typer.echo(json.dumps(as_object(keys, folder), indent=1))
    else:
        show_ring(keys, folder)


@keys_app.command(epilog="Examples:\n\n  qiki keys pair craft ann\n\n"
                  "  qiki keys pair craft ann --role engineer --craft-seal-key /boot/craft.seal")
def pair(
    craft: CraftArgument, operator: OperatorArgument, role: RoleOption = None, last_start: LastStartOption = None,
    note: NoteOption = "", craft_passphrase_file: CraftPassphraseOption = None, craft_seal_key: CraftSealOption = None,
    operator_passphrase_file: OperatorPassphraseOption = None, operator_seal_key: OperatorSealOption = None,
) -> None:
    """Pin a craft and an operator to each other, where both folders are at hand. Again: a new shared key and role."""
    from comms.keys.faults import KeyringError
    from comms.keys.pairing import card_of
    from comms.keys.pairing import pair as pair_both

    theirs = open_keys(craft, craft_passphrase_file, craft_seal_key, CRAFT)
    own = open_keys(operator, operator_passphrase_file, operator_seal_key, OPERATOR)
    try:
        granted = pair_both(theirs, own, os.urandom, None if role is None else _authority(role), last_start, note)
    except KeyringError as error:
        refuse_key(error)
    typer.echo(f"paired: craft {theirs.ring.name} and operator {own.ring.name}, {granted.value}{_until(last_start)}")
    typer.echo(f"craft     {card_of(theirs).fingerprint}\noperator  {card_of(own).fingerprint}")


@keys_app.command(epilog="Examples:\n\n  qiki keys export ann --out ann.card\n\n  qiki keys export craft > craft.card")
def export(
    folder: FolderArgument,
    out: Annotated[Path | None, typer.Option("--out", help="File of the card; printed if not given.")] = None,
    passphrase_file: PassphraseOption = None, seal_key: SealOption = None,
) -> None:
    """Write the public card, for pinning on another computer. It holds nothing secret."""
    from comms.keys.pairing import card_of, write_card

    card = card_of(open_keys(folder, passphrase_file, seal_key))
    if out is None:
        typer.echo(write_card(card), nl=False)
        return
    _write(out, write_card(card).encode())
    typer.echo(f"card of {card.kind.value} {card.name} is in {out}\nfingerprint {card.fingerprint}")
    if card.role is not None:
        typer.echo("next, where the craft's keys are:")
        typer.echo(f"  qiki keys pin CRAFT --peer {out.name} --invite {card.name}.invite")


@keys_app.command(epilog="Examples, on two computers:\n\n  qiki keys export ann --out ann.card\n\n"
                  "  qiki keys pin craft --peer ann.card --invite ann.invite\n\n"
                  "  qiki keys pin ann --peer ann.invite --fingerprint '4f1c 22ab 9d03 77e1 0c5a'")
def pin(
    folder: FolderArgument,
    peer: Annotated[Path, typer.Option("--peer", help="An operator's card, or an invitation from a craft.")],
    invite: Annotated[Path | None, typer.Option("--invite", help="With a card: file of the invitation.")] = None,
    fingerprint: Annotated[str | None, typer.Option(
        "--fingerprint", help="What the other side told you its fingerprint is; another one is refused.")] = None,
    role: RoleOption = None, last_start: LastStartOption = None, note: NoteOption = "",
    passphrase_file: PassphraseOption = None, seal_key: SealOption = None,
) -> None:
    """Pin a peer: at the craft an operator's card (which gives an invitation), at the operator that invitation."""
    from comms.keys.faults import KeyringError
    from comms.keys.pairing import MOST_CARD_BYTES, accept, is_invitation, read_card
    from comms.keys.pairing import invite as make_invitation

    try:
        data = peer.read_bytes()[: MOST_CARD_BYTES + 1]
    except OSError as error:
        refuse(f"{peer}: {error.strerror}", "give the file of a card (qiki keys export) or an invitation")
    keys = open_keys(folder, passphrase_file, seal_key)
    try:
        if is_invitation(data):
            card = accept(keys, data, fingerprint)
            granted = keys.peer(card.name).role
        else:
            card = read_card(data)
            if fingerprint is not None and fingerprint.replace(" ", "").lower() != card.digest.hex():
                refuse(f"{peer} has fingerprint {card.fingerprint}",
                       "that is not the one you gave; nothing was changed")
            if invite is None:
                refuse("a card is answered with an invitation", "add --invite FILE, and send that file back")
            asked = None if role is None else _authority(role)
            invitation = make_invitation(keys, card, os.urandom, asked, last_start, note)
            _write(invite, invitation)
            granted = keys.peer(card.name).role
    except KeyringError as error:
        refuse_key(error)
    typer.echo(f"pinned: {card.kind.value} {card.name}, {granted.value}{_until(last_start)}")
    typer.echo(f"fingerprint {card.fingerprint}: compare it with what the other side sees")
    if not is_invitation(data):
        typer.echo(f"next, where the operator's keys are: qiki keys pin OPERATOR --peer {invite}")


@keys_app.command(epilog="Examples:\n\n  qiki keys rotate craft ann")
def rotate(
    craft: CraftArgument, operator: OperatorArgument,
    craft_passphrase_file: CraftPassphraseOption = None, craft_seal_key: CraftSealOption = None,
    operator_passphrase_file: OperatorPassphraseOption = None, operator_seal_key: OperatorSealOption = None,
) -> None:
    """Give a paired craft and operator a new shared key, where both folders are at hand. The old one is wiped.

    Where the craft's folder is not at hand: qiki link renew, inside a session over a cable or at a dock.
    """
    from comms.keys.faults import KeyringError
    from comms.keys.pairing import renew_at_bench

    theirs = open_keys(craft, craft_passphrase_file, craft_seal_key, CRAFT)
    own = open_keys(operator, operator_passphrase_file, operator_seal_key, OPERATOR)
    try:
        renew_at_bench(theirs, own, os.urandom)
    except KeyringError as error:
        refuse_key(error)
    typer.echo(f"craft {theirs.ring.name} and operator {own.ring.name} have a new shared key; the old one is wiped")
    typer.echo("a session that is open goes on; the next handshake uses the new key")


@keys_app.command(epilog="Examples:\n\n  qiki keys revoke craft --peer ann\n\n"
                  "  qiki keys revoke craft --peer ann --forget")
def revoke(
    folder: FolderArgument,
    peer: Annotated[str, typer.Option("--peer", help="Name of the pinned peer.")],
    forget: Annotated[bool, typer.Option(
        "--forget", help="Forget it altogether: its tries are then those of a stranger.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Don't ask.")] = False,
    passphrase_file: PassphraseOption = None, seal_key: SealOption = None,
) -> None:
    """End a peer: no further session, its shared keys are wiped. To undo it, pair anew."""
    from comms.keys.faults import KeyringError
    keys = open_keys(folder, passphrase_file, seal_key)
    try:
        known = keys.peer(peer)
        if not yes and not typer.confirm(f"revoke {known.kind.value} {known.name}, {known.role.value}?"):
            refuse("nothing was changed", "answer y, or give --yes")
        if forget:
            keys.unpin(peer)
        else:
            keys.revoke(peer)
    except KeyringError as error:
        refuse_key(error)
    typer.echo(f"{peer} is {'forgotten' if forget else 'revoked'}: no further session")
    if keys.ring.kind.value == "craft":
        typer.echo("a link that is running takes this up by itself")


def _until(last_start: int | None) -> str:
    return "" if last_start is None else f", up to start {last_start} of the craft"


def _write(path: Path, data: bytes) -> None:
    try:
        path.write_bytes(data)
    except OSError as error:
        refuse(f"{path}: {error.strerror}", "choose another file")
