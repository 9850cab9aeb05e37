"""A typed line becomes a command of the dictionary and its arguments, or a refusal that says what is allowed.

``slew 0,0,1 90``, ``slew axis=0,0,1 angle_deg=90`` and ``burn segments='[{...}]'`` are understood. Arguments are
checked by ``comms.dictionary.validate`` alone: nothing is allowed here that is not allowed over a link.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum, unique
from typing import Any

from comms.dictionary import COMMANDS, Argument, Command, CommandRefused, Kind, validate

__all__ = [
    "FLAGS", "LONGEST_LINE", "OPTIONS", "Asked", "ShellRefused", "Word", "alike", "by_place", "read_order", "shape",
    "split_words", "usage",
]

LONGEST_LINE = 2048
"""Characters of one line; sixteen segments of a burn fit in."""
MOST_WORDS = 64
DEEPEST = 8
FLAGS = {"true": True, "false": False, "yes": True, "no": False, "on": True, "off": False}
"""Words of a flag."""
PRIORITIES = ("normal", "urgent", "emergency")
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)
_INTEGER = re.compile(r"[+-]?\d{1,15}", re.ASCII)
_NAMED = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=", re.ASCII)
_CLOSING = {"[": "]", "{": "}", "(": ")"}


class ShellRefused(ValueError):
    """A line was not understood: what is wrong, and what is allowed."""


@unique
class _Option(StrEnum):
    """What may be said of any order beside its own arguments."""

    CONFIRMED = "confirmed"
    PRIORITY = "priority"
    EXPIRES = "expires_s"


OPTIONS = tuple(option.value for option in _Option)
"""Names of what may be said of any order."""


@dataclass(frozen=True, slots=True)
class Word:
    """One word of a line. ``start``: where it begins there; ``end``: behind its last character."""

    text: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Asked:
    """An order as it was typed, checked against the dictionary. ``expires_s``: from now; ``None`` is the shell's."""

    command: Command
    arguments: Mapping[str, Any]
    confirmed: bool = False
    priority: str = "normal"
    expires_s: float | None = None


def split_words(line: str, *, whole: bool = True) -> list[Word]:
    """Words of a line. Quotes and brackets hold words together; quotes are taken off where a value is quoted whole.

    Args:
        line: without its end.
        whole: a quote or bracket that is not closed is an error; otherwise it ends with the line.

    Raises:
        ShellRefused: too long, too many words, not closed.
    """
    if len(line) > LONGEST_LINE:
        raise ShellRefused(f"the line has {len(line)} characters; up to {LONGEST_LINE} are allowed")
    words: list[Word] = []
    position = 0
    while position < len(line):
        if line[position] in " \t":
            position += 1
            continue
        end = _word_end(line, position, whole)
        words.append(Word(_unquoted(line[position:end]), position, end))
        if len(words) > MOST_WORDS:
            raise ShellRefused(f"more than {MOST_WORDS} words")
        position = end
    return words


def _word_end(line: str, start: int, whole: bool) -> int:
    """Where the word that begins at ``start`` ends."""
    closing: list[str] = []
    quote = ""
    for position in range(start, len(line)):
        mark = line[position]
        if quote:
            quote = "" if mark == quote else quote
        elif mark in "\"'":
            quote = mark
        elif mark in _CLOSING:
            closing.append(_CLOSING[mark])
            if len(closing) > DEEPEST:
                raise ShellRefused(f"brackets are nested deeper than {DEEPEST}")
        elif closing and mark == closing[-1]:
            closing.pop()
        elif not closing and mark in " \t":
            return position
    if whole and (quote or closing):
        raise ShellRefused(f"{quote or closing[-1]} is missing at the end")
    return len(line)


def _unquoted(text: str) -> str:
    """A word, or the value behind ``name=``, without the quotes around the whole of it."""
    named = _NAMED.match(text)
    head = named.end() if named else 0
    body = text[head:]
    if len(body) >= 2 and body[0] == body[-1] and body[0] in "\"'" and body[0] not in body[1:-1]:
        body = body[1:-1]
    return text[:head] + body


def read_order(words: list[Word]) -> Asked:
    """The order that these words are, the command's name first.

    Raises:
        CommandRefused: as ``comms.dictionary.validate``: which argument, what is wrong, what is allowed.
        ShellRefused: an option or the order of the words is wrong.
    """
    command = COMMANDS.get(words[0].text)
    if command is None:
        raise CommandRefused(f"no command {words[0].text[:64]!r}; help lists them")
    declared = {argument.name: argument for argument in command.arguments}
    given: dict[str, Any] = {}
    options: dict[str, str] = {}
    open_names = [argument.name for argument in by_place(command)]
    named_before = False
    for word in words[1:]:
        match = _NAMED.match(word.text)
        if match is not None:
            name, text = match.group(1), word.text[match.end():]
            named_before = True
            if name in given or name in options:
                raise ShellRefused(f"{command.name}: {name} is given twice")
            if name in declared:
                given[name] = _value(declared[name], text)
            elif name in OPTIONS:
                options[name] = text
            else:
                given[name] = text
            continue
        if named_before:
            raise ShellRefused(f"{command.name}: {word.text[:64]!r} after a named argument; give name=value")
        if not open_names:
            raise ShellRefused(f"{command.name}: {word.text[:64]!r} is one too many; {usage(command)}")
        name = open_names.pop(0)
        given[name] = _value(declared[name], word.text)
    confirmed = given.get(_Option.CONFIRMED) is True or _flag(options, _Option.CONFIRMED)
    _, values = validate(command.name, given)
    return Asked(command, values, confirmed, _priority(options), _expiry(options))


def alike(word: str, names: Iterable[str], otherwise: str) -> str:
    """A hint at names that somebody may have meant; ``otherwise`` if none is alike."""
    word = word[:32].lower()
    known = list(names)
    found = [name for name in known if len(word) >= 3 and (word[:3] == name[:3] or word in name)]
    close = get_close_matches(word, known, 4, 0.7) if len(found) < 3 else []
    hints = list(dict.fromkeys([*close, *found]))[:6]
    return f"did you mean {', '.join(hints)}?" if hints else otherwise


def by_place(command: Command) -> list[Argument]:
    """Arguments that may be given by their place: all but lists of records and what may be said of any order."""
    return [a for a in command.arguments if a.kind is not Kind.RECORDS and a.name not in OPTIONS]


def usage(command: Command) -> str:
    """How a command is written, in one line."""
    parts = [command.name]
    for argument in command.arguments:
        part = f"{argument.name}={shape(argument)}"
        parts.append(part if argument.required else f"[{part}]")
    return "usage: " + " ".join(parts)


def shape(argument: Argument) -> str:
    """What a value of an argument looks like."""
    kind = argument.kind
    if kind is Kind.CHOICE:
        return "|".join(argument.choices)
    if kind is Kind.FLAG:
        return "true|false"
    shapes = {
        Kind.NUMBER: "NUMBER", Kind.INTEGER: "COUNT", Kind.VECTOR3: "X,Y,Z", Kind.QUATERNION: "W,X,Y,Z",
        Kind.TEXT: "TEXT", Kind.WRENCH: "FX,FY,FZ,TX,TY,TZ", Kind.DIRECTION: "AXIS|X,Y,Z",
        Kind.RECORDS: "'[{...}, ...]'",
    }
    return shapes.get(kind, "JSON")


def _flag(options: Mapping[str, str], name: str) -> bool:
    text = options.get(name)
    if text is None:
        return False
    if text not in FLAGS:
        raise ShellRefused(f"{name} is {text[:32]!r}; allowed: {', '.join(FLAGS)}")
    return FLAGS[text]


def _priority(options: Mapping[str, str]) -> str:
    text = options.get(_Option.PRIORITY, PRIORITIES[0])
    if text not in PRIORITIES:
        raise ShellRefused(f"priority is {text[:32]!r}; allowed: {', '.join(PRIORITIES)}")
    return text


def _expiry(options: Mapping[str, str]) -> float | None:
    text = options.get(_Option.EXPIRES)
    if text is None:
        return None
    seconds = float(text) if _NUMBER.fullmatch(text) else -1.0
    if not 0.1 <= seconds <= 3600.0:
        raise ShellRefused(f"expires_s is {text[:32]!r}; 0.1..3600 s is allowed")
    return seconds


def _value(argument: Argument, text: str) -> Any:
    """A value of the argument's kind; text that is none is handed on as text, for ``validate`` to refuse by name."""
    kind = argument.kind
    if kind in (Kind.TEXT, Kind.CHOICE):
        return text
    if kind is Kind.NUMBER:
        return _number(text)
    if kind is Kind.INTEGER:
        return int(text) if _INTEGER.fullmatch(text) else text
    if kind is Kind.FLAG:
        return FLAGS.get(text, text)
    if kind is Kind.DIRECTION and text in argument.choices:
        return text
    if kind in (Kind.VECTOR3, Kind.QUATERNION, Kind.WRENCH, Kind.DIRECTION):
        return _numbers(text)
    return _json(text)


def _number(text: str) -> float | str:
    return float(text) if _NUMBER.fullmatch(text) else text


def _numbers(text: str) -> list[float | str] | str:
    inner = text[1:-1] if len(text) >= 2 and text[0] in "[(" and text[-1] in "])" else text
    parts = [part.strip() for part in inner.split(",")]
    return [_number(part) for part in parts] if len(parts) > 1 else text


def _json(text: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_once)
    except (ValueError, RecursionError):
        return text


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A table whose keys stand once each."""
    table = dict(pairs)
    if len(table) != len(pairs):
        raise ValueError("a key stands twice")
    return table
