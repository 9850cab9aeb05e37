"""Sequence files: commands with their times, checked as a whole before the first of them is given, under one seal.

A sequence is written as YAML at a desk and compiled: every command goes through the dictionary, times must rise, and
the compiled file carries the SHA-256 of its canonical form. What is started is what was loaded, or nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum, unique
from math import isfinite
from typing import Any, TypeVar

import yaml

from comms.dictionary import COMMANDS, CommandRefused, validate
from comms.dictionary.strict_cbor import Limits, Refusal, decode, encode

__all__ = [
    "LONGEST_NAME", "MOST_STEPS", "NOT_IN_SEQUENCE", "OnRefusal", "Sequence", "SequenceError", "Step", "Wait",
    "compile_yaml", "load_compiled", "packed",
]

T = TypeVar("T", bound=StrEnum)
FORMAT = "QSEQ1"
MOST_STEPS = 256
LONGEST_NAME = 32
LONGEST_S = 7 * 86_400.0
LARGEST_FILE = 65_536
LIMITS = Limits(most_bytes=LARGEST_FILE, depth=12, items=20_000, canonical=True)
NOT_IN_SEQUENCE = frozenset({"sequence_start", "sequence_load", "key_renew", "safe_exit", "safe_acknowledge"})
"""Commands that a person gives, or that would make a sequence start itself."""


class SequenceError(ValueError):
    """A sequence is not good: which step, what is wrong, what is allowed."""


@unique
class Wait(StrEnum):
    """What a step waits for before its time counts as over."""

    NOTHING = "nothing"
    ALLOWED = "allowed"
    EFFECT = "effect"


@unique
class OnRefusal(StrEnum):
    """What a refused command does to its sequence."""

    STOP = "stop"
    GO_ON = "go_on"


@dataclass(frozen=True, slots=True)
class Step:
    """One command. Exactly one of ``after_s`` (from the end of the step before, or from the start) and ``at_s`` (flight
    time) is given. ``wait`` says when the step has ended; no longer than ``within_s``."""

    command: str
    arguments: Mapping[str, Any]
    after_s: float | None = None
    at_s: float | None = None
    wait: Wait = Wait.ALLOWED
    within_s: float = 60.0
    confirmed: bool = False


@dataclass(frozen=True, slots=True)
class Sequence:
    """A checked sequence with its seal, 64 hex digits."""

    name: str
    steps: tuple[Step, ...]
    on_refusal: OnRefusal
    seal: str


def packed(sequence: Sequence) -> bytes:
    """The compiled file: ``[format, seal, canonical form]``."""
    return encode([FORMAT, sequence.seal, _canonical(sequence.name, sequence.steps, sequence.on_refusal)])


def load_compiled(data: bytes) -> Sequence:
    """A compiled sequence, checked again in full. Raises SequenceError."""
    outer = _decoded(data, "no compiled sequence")
    if not isinstance(outer, list) or len(outer) != 3:
        raise SequenceError("no compiled sequence: not three parts")
    mark, seal, body = outer
    if mark != FORMAT or not isinstance(seal, str) or not isinstance(body, bytes):
        raise SequenceError(f"no compiled sequence of format {FORMAT}")
    if hashlib.sha256(body).hexdigest() != seal:
        raise SequenceError("the seal does not fit what is in the file")
    value = _decoded(body, "the sealed part")
    if not isinstance(value, list) or len(value) != 3 or not isinstance(value[2], list | tuple):
        raise SequenceError("the sealed part is no sequence")
    name, on_refusal, rows = value
    keys = ("command", "arguments", "after_s", "at_s", "wait", "within_s", "confirmed")
    steps: list[dict[str, Any]] = []
    for row in rows:
        if not isinstance(row, list | tuple) or len(row) != len(keys):
            raise SequenceError(f"step {len(steps) + 1} has not {len(keys)} fields")
        steps.append({key: item for key, item in zip(keys, row, strict=True) if item is not None})
    sequence = _checked({"sequence": name, "on_refusal": on_refusal, "steps": steps})
    if sequence.seal != seal:
        raise SequenceError("the file is not in canonical form")
    return sequence


def _decoded(data: bytes, what: str) -> Any:
    value = decode(data, LIMITS)
    if isinstance(value, Refusal):
        raise SequenceError(f"{what}: {value.reason.value}{f' ({value.detail})' if value.detail else ''}")
    return value


def compile_yaml(text: str) -> Sequence:
    """A sequence written as YAML. Raises SequenceError, which names the step."""
    if len(text) > LARGEST_FILE:
        raise SequenceError(f"longer than {LARGEST_FILE} characters")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise SequenceError(f"no YAML: {error}") from None
    return _checked(value)


def _checked(value: Any) -> Sequence:
    if not isinstance(value, Mapping):
        raise SequenceError("must be a table with the keys sequence, steps and perhaps on_refusal")
    extra = set(value) - {"sequence", "steps", "on_refusal"}
    if extra:
        raise SequenceError(f"no key {sorted(map(str, extra))[0]!r}; keys: sequence, on_refusal, steps")
    name = value.get("sequence")
    if not isinstance(name, str) or not 1 <= len(name) <= LONGEST_NAME or not name.isprintable():
        raise SequenceError(f"sequence must be a name of 1 to {LONGEST_NAME} printable characters")
    on_refusal = _choice("on_refusal", OnRefusal, value.get("on_refusal", OnRefusal.STOP.value))
    rows = value.get("steps")
    if not isinstance(rows, list | tuple) or not 1 <= len(rows) <= MOST_STEPS:
        raise SequenceError(f"steps must be a list of 1 to {MOST_STEPS}")
    steps = tuple(_step(index, row) for index, row in enumerate(rows, start=1))
    last_s = 0.0
    for index, step in enumerate(steps, start=1):
        if step.at_s is not None:
            if step.at_s < last_s:
                raise SequenceError(f"step {index}: at_s {step.at_s:g} comes before {last_s:g} of an earlier step")
            last_s = step.at_s
    seal = hashlib.sha256(_canonical(name, steps, on_refusal)).hexdigest()
    return Sequence(name, steps, on_refusal, seal)


def _step(index: int, row: Any) -> Step:
    keys = {"command", "arguments", "after_s", "at_s", "wait", "within_s", "confirmed"}
    if not isinstance(row, Mapping) or not set(row) <= keys:
        raise SequenceError(f"step {index}: keys are {', '.join(sorted(keys))}")
    name = row.get("command")
    if not isinstance(name, str) or name not in COMMANDS:
        raise SequenceError(f"step {index}: no command {name!r}")
    if name in NOT_IN_SEQUENCE:
        raise SequenceError(f"step {index}: {name} can't be given by a sequence")
    arguments = row.get("arguments", {})
    if not isinstance(arguments, Mapping):
        raise SequenceError(f"step {index}: arguments must be a table by name")
    try:
        _, values = validate(name, arguments)
    except CommandRefused as error:
        raise SequenceError(f"step {index}: {error}") from None
    after_s, at_s = _seconds(index, row, "after_s"), _seconds(index, row, "at_s")
    if (after_s is None) == (at_s is None):
        raise SequenceError(f"step {index}: give after_s or at_s")
    confirmed = row.get("confirmed", False)
    if not isinstance(confirmed, bool):
        raise SequenceError(f"step {index}: confirmed must be true or false")
    within_s = _seconds(index, row, "within_s")
    wait = _choice(f"step {index}: wait", Wait, row.get("wait", Wait.ALLOWED.value))
    return Step(name, values, after_s, at_s, wait, 60.0 if within_s is None else within_s, confirmed)


def _seconds(index: int, row: Mapping[str, Any], key: str) -> float | None:
    value = row.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        raise SequenceError(f"step {index}: {key} must be a number of seconds, got {value!r}")
    if not 0.0 <= value <= LONGEST_S:
        raise SequenceError(f"step {index}: {key} is {value:g}; 0..{LONGEST_S:g} s is allowed")
    return float(value)


def _choice(where: str, kind: type[T], value: Any) -> T:
    try:
        return kind(value)
    except ValueError:
        raise SequenceError(f"{where} is {value!r}; allowed: {', '.join(kind)}") from None


def _canonical(name: str, steps: tuple[Step, ...], on_refusal: OnRefusal) -> bytes:
    rows = [
        [step.command, _plain(step.arguments), step.after_s, step.at_s, step.wait.value, step.within_s, step.confirmed]
        for step in steps
    ]
    return encode([name, on_refusal.value, rows])


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
