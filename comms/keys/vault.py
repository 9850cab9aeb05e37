"""Files of keys: sealed, whole or as they were before, and never readable by others.

A file is kept in two copies, each written as temporary file, sync, rename, sync of the folder; the newest whole copy
counts, and a copy that is behind is brought up at the next load. Sealed with ChaCha20-Poly1305 (RFC 8439) under a key
from a passphrase (scrypt, RFC 7914) or from a sealing key of 32 bytes, for a craft that starts by itself. The whole
header is associated data. Whoever can write the folder can put back both copies of an earlier state: that is not found
here.
"""

from __future__ import annotations

import hmac
import os
import struct
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from enum import IntEnum, unique

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.hkdf import HKDF, HKDFExpand
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from comms.keys.faults import KeyFault, KeyringError
from comms.keys.points import check_secret
from hal.nonvolatile import Files, FolderFiles, replace_file

__all__ = ["Lock", "LockKind", "RandomBytes", "ScryptCost", "SealedFile", "SecretFolder",
           "lock_kind"]

RandomBytes = Callable[[int], bytes]
"""Gives that many fresh bytes: the operating system's in a program, a seeded generator's in a simulation."""
MAGIC = b"QIKIKEYS"
VERSION = 1
HEADER = struct.Struct(">8sBBBBB16s8sQ12s")
TAG_BYTES = 16
LONGEST_FILE = 262_144
"""Bytes of a file that are read: a damaged folder must not ask for the machine's memory."""
MOST_SCRYPT_BYTES = 268_435_456
SHORTEST_PASSPHRASE = 12


@unique
class LockKind(IntEnum):
    """What a file is sealed with."""

    SEALING_KEY = 0
    PASSPHRASE = 1


@dataclass(frozen=True, slots=True)
class ScryptCost:
    """Cost of turning a passphrase into a key: 128 x 2^log2_n x r bytes of memory, p times. ValueError beyond 256 MiB:
    a header must not ask for more."""

    log2_n: int = 17
    r: int = 8
    p: int = 1

    def __post_init__(self) -> None:
        good = 1 <= self.log2_n <= 24 and 1 <= self.r <= 32 and 1 <= self.p <= 4
        if not good or 128 * self.r << self.log2_n > MOST_SCRYPT_BYTES:
            raise ValueError("cost of scrypt out of bounds: 1 to 256 MiB of memory, p from 1 to 4")


class Lock:
    """What opens the files of one folder. Keeps the derived key, since deriving it is slow on purpose."""

    __slots__ = ("_cost", "_derived", "_secret", "kind")

    def __init__(self, kind: LockKind, secret: bytes, cost: ScryptCost | None = None) -> None:
        self.kind = kind
        self._secret = secret
        self._cost = ScryptCost() if cost is None else cost
        self._derived: dict[tuple[bytes, ScryptCost], bytes] = {}

    @classmethod
    def from_passphrase(cls, passphrase: str, cost: ScryptCost | None = None) -> Lock:
        """Lock of a passphrase of at least 12 characters. KeyringError for a shorter one."""
        if len(passphrase) < SHORTEST_PASSPHRASE:
            raise KeyringError(
                KeyFault.LENGTH, f"the passphrase has {len(passphrase)} characters; {SHORTEST_PASSPHRASE} are needed",
                "four or five words that come to your mind by dice are good",
            )
        return cls(LockKind.PASSPHRASE, passphrase.encode(), cost)

    @classmethod
    def from_sealing_key(cls, key: bytes) -> Lock:
        """Lock of a sealing key, 32 bytes. KeyringError for what can be none."""
        return cls(LockKind.SEALING_KEY, check_secret(key, "sealing key"))

    def choose(self, random_bytes: RandomBytes) -> tuple[bytes, ScryptCost]:
        """Salt and cost for writing: those that a file was opened with, else fresh ones."""
        if not self._derived:
            self.key(random_bytes(16), self._cost)
        return next(iter(self._derived))

    def key(self, salt: bytes, cost: ScryptCost) -> bytes:
        """Key of these parameters, 32 bytes; at most two are kept."""
        found = self._derived.get((salt, cost))
        if found is None:
            if self.kind is LockKind.PASSPHRASE:
                found = Scrypt(salt=salt, length=32, n=1 << cost.log2_n, r=cost.r, p=cost.p).derive(self._secret)
            else:
                found = HKDF(hashes.SHA256(), 32, salt=salt, info=b"qiki sealing key").derive(self._secret)
            if len(self._derived) < 2:
                self._derived[salt, cost] = found
        return found

    def __repr__(self) -> str:
        return f"Lock({self.kind.name})"


class SecretFolder(FolderFiles):
    """A folder whose files only their owner may read: made with 0700 and 0600, refused (PermissionError) if wider."""

    def read(self, name: str, most: int) -> bytes | None:
        """See Files."""
        try:
            handle = os.open(self.folder / name, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        with os.fdopen(handle, "rb") as file:
            if os.fstat(handle).st_mode & 0o077:
                raise PermissionError(f"{self.folder / name}: others may read it")
            return file.read(most)

    def create(self, name: str) -> int:
        """See Files."""
        if not self.folder.is_dir():
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            FolderFiles(self.folder.parent).sync_folder()
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
        handle = os.open(self.folder / name, flags, 0o600)
        os.fchmod(handle, 0o600)
        return handle


def lock_kind(files: Files, name: str) -> LockKind | None:
    """What a file is sealed with, as its header says; ``None`` if there is none that says it. Raises OSError."""
    for which in "ab":
        data = files.read(f"{name}-{which}.qkey", HEADER.size)
        if data is not None and len(data) == HEADER.size and data.startswith(MAGIC) and data[9] in tuple(LockKind):
            return LockKind(data[9])
    return None


@dataclass(frozen=True, slots=True)
class _Copy:
    """One copy as it is found: ``fault`` if it is there and cannot be used."""

    sequence: int = -1
    payload: bytes | None = None
    fault: KeyFault | None = None


@dataclass(frozen=True, slots=True)
class _Seal:
    """What one file is sealed with. ``check`` tells a wrong passphrase from a damaged file."""

    salt: bytes
    cost: ScryptCost
    check: bytes
    cipher: ChaCha20Poly1305 = field(repr=False)


class SealedFile:
    """One payload in two sealed copies.

    Args:
        files: the folder.
        name: of the file; it is bound into the seal, so that one file can't stand in for another.
        lock: what it is sealed with.
        random_bytes: for salts and nonces.
        mirror: a save writes both copies, so that nothing of the state before is left; else the older one only.
    """

    __slots__ = ("_files", "_last_seal", "_lock", "_name", "_newest", "_random", "_sequence", "mirror")

    def __init__(self, files: Files, name: str, lock: Lock, random_bytes: RandomBytes, *, mirror: bool = True) -> None:
        self._files = files
        self._name = name
        self._lock = lock
        self._random = random_bytes
        self._last_seal: _Seal | None = None
        self._sequence = 0
        self._newest = 1
        self.mirror = mirror

    def load(self) -> bytes | None:
        """The newest whole payload; ``None`` if nothing was ever stored.

        Raises:
            KeyringError: LOCKED (wrong passphrase or sealing key), DAMAGED, PERMISSIONS or STORAGE, if no copy opens.
        """
        copies = [self._look(which) for which in (0, 1)]
        newest = max((0, 1), key=lambda which: copies[which].sequence)
        found = copies[newest]
        if found.payload is None:
            faults = [copy.fault for copy in copies if copy.fault is not None]
            if not faults:
                return None
            raise self._refusal(KeyFault.LOCKED if KeyFault.LOCKED in faults else faults[0])
        self._sequence, self._newest = found.sequence, newest
        if self.mirror and copies[1 - newest].sequence != found.sequence:
            with suppress(OSError):
                self._write(1 - newest, found.payload)
        return found.payload

    def changed(self) -> bool:
        """Whether somebody else stored a newer payload since the last load or save. Only headers are looked at."""
        for which in (0, 1):
            try:
                header = self._files.read(self._copy_name(which), HEADER.size) or b""
            except OSError:
                continue
            if len(header) == HEADER.size and HEADER.unpack(header)[8] > self._sequence:
                return True
        return False

    def save(self, payload: bytes) -> None:
        """Store a payload. KeyringError (STORAGE) if the medium refuses; what was there before then counts, or, where
        the refusal came late, this one."""
        self._sequence += 1
        first = 1 - self._newest
        try:
            self._write(first, payload)
        except OSError as error:
            raise KeyringError(
                KeyFault.STORAGE, f"{self._name}: {error.strerror or error}", "look at room and state of the medium"
            ) from None
        self._newest = first
        if self.mirror:
            # One whole copy is enough to go on with; the one behind is brought up at the next save or load.
            with suppress(OSError):
                self._write(1 - first, payload)

    def _write(self, which: int, payload: bytes) -> None:
        salt, cost = self._lock.choose(self._random)
        seal, nonce = self._seal(salt, cost), self._random(12)
        header = HEADER.pack(MAGIC, VERSION, self._lock.kind, cost.log2_n, cost.r, cost.p, salt, seal.check,
                             self._sequence, nonce)
        data = header + seal.cipher.encrypt(nonce, payload, header)
        replace_file(self._files, self._copy_name(which), data)

    def _look(self, which: int) -> _Copy:
        try:
            data = self._files.read(self._copy_name(which), LONGEST_FILE)
        except PermissionError:
            return _Copy(fault=KeyFault.PERMISSIONS)
        except OSError:
            return _Copy(fault=KeyFault.STORAGE)
        return _Copy() if data is None else self._open(data)

    def _open(self, data: bytes) -> _Copy:
        damaged = _Copy(fault=KeyFault.DAMAGED)
        if len(data) < HEADER.size + TAG_BYTES:
            return damaged
        header = data[: HEADER.size]
        magic, version, kind, log2_n, r, p, salt, check, sequence, nonce = HEADER.unpack(header)
        if magic != MAGIC or version != VERSION or kind not in tuple(LockKind):
            return damaged
        if kind != self._lock.kind:
            return _Copy(fault=KeyFault.LOCKED)
        try:
            cost = ScryptCost(log2_n, r, p)
        except ValueError:
            return damaged
        seal = self._seal(salt, cost)
        if not hmac.compare_digest(seal.check, check):
            return _Copy(fault=KeyFault.LOCKED)
        try:
            payload = seal.cipher.decrypt(nonce, data[HEADER.size :], header)
        except InvalidTag:
            return damaged
        return _Copy(sequence, payload)

    def _seal(self, salt: bytes, cost: ScryptCost) -> _Seal:
        """Cipher and check value for these parameters; the last are kept."""
        seal = self._last_seal
        if seal is None or (seal.salt, seal.cost) != (salt, cost):
            master = self._lock.key(salt, cost)
            cipher = ChaCha20Poly1305(_expand(master, b"file " + self._name.encode(), 32))
            seal = self._last_seal = _Seal(salt, cost, _expand(master, b"check", 8), cipher)
        return seal

    def _copy_name(self, which: int) -> str:
        return f"{self._name}-{'ab'[which]}.qkey"

    def _refusal(self, fault: KeyFault) -> KeyringError:
        next_step = {
            KeyFault.LOCKED: "give the passphrase or sealing key that it was made with",
            KeyFault.PERMISSIONS: "take the rights of others away: chmod 700 FOLDER && chmod 600 FOLDER/*.qkey",
            KeyFault.DAMAGED: "restore the folder from a copy, or make new keys and pair again",
        }.get(fault, "look at the state of the medium")
        return KeyringError(fault, f"{self._name}: {fault.value}", next_step)


def _expand(key: bytes, label: bytes, length: int) -> bytes:
    return HKDFExpand(hashes.SHA256(), length, b"qiki key file: " + label).derive(key)
