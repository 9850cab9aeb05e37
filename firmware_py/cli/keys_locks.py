"""How the commands about keys get at a folder of keys: passphrase or sealing key, and errors with a next step."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import typer

if TYPE_CHECKING:
    from comms.keys.faults import KeyringError
    from comms.keys.keyring import KeyStore
    from comms.keys.ring import Ring
    from comms.keys.vault import Lock

__all__ = ["CRAFT", "OPERATOR", "TheLock", "open_keys", "refuse", "refuse_key", "the_lock"]

BAD_INPUT = 2
CRAFT, OPERATOR = "craft-", "operator-"
"""What the options of one of two folders begin with."""
SEALING_KEY_BYTES = 32


def refuse(message: str, next_step: str = "") -> NoReturn:
    """Bad input: say what and what to do, and exit."""
    typer.secho(f"qiki: {message}", fg=typer.colors.RED, err=True)
    if next_step:
        typer.echo(f"      {next_step}", err=True)
    raise typer.Exit(BAD_INPUT)


def refuse_key(error: KeyringError, folder: Path | None = None) -> NoReturn:
    """A key or a folder of keys was refused."""
    refuse(f"{folder}: {error}" if folder is not None else str(error), error.next_step)


@dataclass(frozen=True, slots=True)
class TheLock:
    """A folder and what opens it."""

    folder: Path
    lock: Lock

    def make(self, ring: Ring) -> KeyStore:
        """Store new keys. KeyringError if there are some already."""
        from comms.keys.keyring import KeyStore
        from comms.keys.vault import SecretFolder

        return KeyStore(SecretFolder(self.folder), self.lock, os.urandom, ring)


def the_lock(folder: Path, passphrase_file: Path | None, seal_key: Path | None) -> TheLock:
    """The lock for new keys: a sealing key is made if its file is not there yet, a passphrase is asked for twice."""
    from comms.keys.keyring import RING_FILE
    from comms.keys.vault import Lock

    if passphrase_file is not None and seal_key is not None:
        refuse("a passphrase or a sealing key, not both")
    if any((folder / f"{RING_FILE}-{which}.qkey").exists() for which in "ab"):
        refuse(f"{folder}: there are keys already", "use another folder; nothing was changed")
    if seal_key is not None:
        if not seal_key.exists():
            _make_seal_key(seal_key)
        if seal_key.resolve().parent == folder.resolve():
            typer.secho(f"qiki: {seal_key} lies beside what it opens; better keep it elsewhere",
                        fg=typer.colors.YELLOW, err=True)
        return TheLock(folder, Lock.from_sealing_key(_read_seal_key(seal_key)))
    passphrase = _passphrase(folder, passphrase_file, confirm=True)
    return TheLock(folder, Lock.from_passphrase(passphrase))


def open_keys(folder: Path, passphrase_file: Path | None, seal_key: Path | None, of: str = "") -> KeyStore:
    """Open a folder of keys, or say why not and exit. ``of``: what the options' names begin with."""
    from comms.keys.faults import KeyFault, KeyringError
    from comms.keys.keyring import RING_FILE, KeyStore
    from comms.keys.vault import Lock, LockKind, SecretFolder, lock_kind

    if passphrase_file is not None and seal_key is not None:
        refuse("a passphrase or a sealing key, not both")
    files = SecretFolder(folder)
    try:
        kind = lock_kind(files, RING_FILE)
        if kind is LockKind.SEALING_KEY and seal_key is None:
            refuse(f"{folder}: these keys are sealed with a sealing key", f"give its file: --{of}seal-key FILE")
        if kind is LockKind.PASSPHRASE and seal_key is not None:
            refuse(f"{folder}: these keys are sealed with a passphrase", f"leave --{of}seal-key away")
        if kind is None and not any(folder.glob(f"{RING_FILE}-?.qkey")):
            raise KeyringError(KeyFault.MISSING, "there are no keys", "make some with: qiki keys new")
        lock = (
            Lock.from_sealing_key(_read_seal_key(seal_key)) if seal_key is not None
            else Lock.from_passphrase(_passphrase(folder, passphrase_file))
        )
        return KeyStore(files, lock, os.urandom)
    except PermissionError:
        refuse(f"{folder}: others may read these files",
               f"take their rights away: chmod 700 {folder} && chmod 600 {folder}/*.qkey")
    except OSError as error:
        refuse(f"{folder}: {error.strerror}", "give the folder of the keys")
    except KeyringError as error:
        refuse_key(error, folder)


def _passphrase(folder: Path, file: Path | None, confirm: bool = False) -> str:
    if file is None:
        asked: str = typer.prompt(f"Passphrase for {folder}", hide_input=True, confirmation_prompt=confirm, err=True)
        return asked
    _check_owner_only(file)
    try:
        return file.read_text(encoding="utf-8").splitlines()[0]
    except (UnicodeDecodeError, IndexError):
        refuse(f"{file}: there is no passphrase in its first line")


def _read_seal_key(file: Path) -> bytes:
    _check_owner_only(file)
    try:
        key = bytes.fromhex(file.read_text(encoding="ascii").strip())
    except (UnicodeDecodeError, ValueError):
        key = b""
    if len(key) != SEALING_KEY_BYTES:
        refuse(f"{file}: no sealing key", "it is one line of 64 hexadecimal digits, as qiki keys new makes it")
    return key


def _make_seal_key(file: Path) -> None:
    try:
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(handle, "w", encoding="ascii") as out:
            out.write(os.urandom(SEALING_KEY_BYTES).hex() + "\n")
            out.flush()
            os.fsync(handle)
    except OSError as error:
        refuse(f"{file}: {error.strerror}", "choose another file for --seal-key")
    typer.echo(f"sealing key made: {file}; without it the keys are lost")


def _check_owner_only(file: Path) -> None:
    """A file with a secret that others may read is refused."""
    try:
        mode = file.stat().st_mode
    except OSError as error:
        refuse(f"{file}: {error.strerror}", "give the file with the passphrase or sealing key")
    if mode & 0o077:
        refuse(f"{file}: others may read it", f"take their rights away: chmod 600 {file}")
