"""Sealing: what was allowed is what is carried out, once.

A decision keeps a deep copy of the command and its SHA-256. It is published once, and executed once, and each time
what is about to be done is held against the seal.
"""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fdir.codes import Code

__all__ = ["Decision", "Sealed", "canonical", "digest_of", "seal"]

WITHOUT_FORM = (TypeError, ValueError, RecursionError)
"""What is raised for parameters that have no canonical form."""


@dataclass(frozen=True, slots=True)
class Sealed:
    """One command: what kind of thing it is, whom it is for, its name and parameters."""

    kind: str
    subject: str
    name: str
    parameters: Mapping[str, Any]


def canonical(command: Sealed) -> bytes:
    """Canonical JSON of {kind, subject, name, parameters}: keys sorted, no spaces, UTF-8.

    Raises ValueError or TypeError for what has no such form: a number that is not finite, a key that is no text (JSON
    would make text of it, so that two commands had one form), a lone surrogate, any other object; RecursionError for
    what contains itself or is nested too deep.
    """
    _check_keys(command.parameters)
    record = {
        "kind": command.kind, "subject": command.subject, "name": command.name, "parameters": command.parameters,
    }
    text = json.dumps(record, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode("utf-8")


def digest_of(command: Sealed) -> str:
    """SHA-256 of the canonical form, 64 hex digits. Raises as ``canonical``."""
    return hashlib.sha256(canonical(command)).hexdigest()


def _check_keys(value: Any) -> None:
    if isinstance(value, Mapping):
        for key, item in value.items():
            if not isinstance(key, str):
                raise TypeError(f"key {key!r} is no text")
            _check_keys(item)
    elif isinstance(value, list | tuple):
        for item in value:
            _check_keys(item)


@dataclass(slots=True)
class Decision:
    """One allowed command under seal. Made by ``seal``."""

    command: Sealed
    digest: str
    published: bool = field(default=False)
    executed: bool = field(default=False)

    def publish(self, command: Sealed) -> tuple[Code, ...]:
        """Hand it on; returns what speaks against it. Only the sealed command, and only once."""
        if self.published:
            return (Code.CMD_ALREADY_PUBLISHED,)
        codes = self.differs(command)
        self.published = not codes
        return codes

    def execute(self, command: Sealed) -> tuple[Code, ...]:
        """Asked just before the effect; returns what speaks against it. What was never published is not executed."""
        if self.executed:
            return (Code.DECISION_ALREADY_EXECUTED,)
        codes = self.differs(command) if self.published else (Code.CMD_REJECTED,)
        self.executed = not codes
        return codes

    def differs(self, command: Sealed) -> tuple[Code, ...]:
        """Why a command is not the sealed one; empty if it is, and if the copy under seal is whole."""
        try:
            same = digest_of(command) == self.digest == digest_of(self.command)
        except WITHOUT_FORM:
            same = False
        return () if same else (Code.CMD_SPOOF_MISMATCH,)


def seal(command: Sealed) -> Decision | tuple[Code, ...]:
    """A decision over a deep copy of the command, or why there is none: no name, or no canonical form."""
    if not (command.kind and command.subject and command.name):
        return (Code.CMD_EMPTY_COMMAND,)
    try:
        kept = Sealed(command.kind, command.subject, command.name, copy.deepcopy(dict(command.parameters)))
        return Decision(kept, digest_of(kept))
    except WITHOUT_FORM:
        return (Code.CMD_VALIDATION_FAILED,)
