"""A line editor for any terminal: bytes in, lines and echo out; noise is ignored and counted, nothing ever raises.

Understands backspace, arrows, history, completion, Ctrl-A E K U W L C D, and CR, LF, CRLF and LFCR as one end of line
each. It writes only what a VT100 has: carriage return, erase to the end of the line, cursor right, bell. A line that is
too long is refused whole: a part of a command is another command.

Without echo (``echo=False``) the same bytes give the same lines, and nothing is written: for pipes and sealed channels.
"""

from __future__ import annotations

import codecs
import unicodedata
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto, unique
from typing import NamedTuple

from comms.shell.words import LONGEST_LINE

__all__ = ["Completion", "EditorCounts", "Entered", "LineEditor", "Sign", "arrange"]

MOST_HISTORY = 50
MOST_SHOWN = 60
"""Completions that are listed at once."""
LONGEST_SEQUENCE = 24
"""Characters of an escape sequence; a longer one is noise."""
_PARAMETERS = frozenset(map(chr, range(0x20, 0x40)))
"""Characters of an escape sequence before its last (ECMA-48 section 5.4)."""
COLUMNS, ROWS = (20, 240), (5, 120)
"""Sizes of terminals that are believed."""


@unique
class Sign(Enum):
    """What came in beside lines."""

    INTERRUPT = auto()
    """Ctrl-C."""
    END = auto()
    """Ctrl-D on an empty line."""
    TOO_LONG = auto()
    """A line that was longer than allowed, left out whole."""
    SIZE = auto()
    """The terminal has told its size."""


class Entered(NamedTuple):
    """A line was ended."""

    text: str


class Completion(NamedTuple):
    """What may stand from ``start`` up to the cursor. ``closed``: a single one is followed by a space."""

    start: int
    candidates: tuple[str, ...]
    closed: bool = True


@dataclass(slots=True)
class EditorCounts:
    """What was ignored since start: characters that are no text, escape sequences that mean nothing here."""

    noise: int = 0
    sequences: int = 0
    too_long: int = 0


@unique
class _State(Enum):
    TEXT = auto()
    ESCAPE = auto()
    SEQUENCE = auto()


Event = Entered | Sign


class LineEditor:
    """One line being typed.

    Args:
        complete: completions for the text before the cursor.
        echo: write what is typed.
        columns, rows: size of the terminal.

    ``prompt`` stands before the line. ``take_echo`` gives what is to be written.
    """

    def __init__(
        self, complete: Callable[[str], Completion], *, echo: bool = True, columns: int = 80, rows: int = 24
    ) -> None:
        self._complete = complete
        self.echo = echo
        self.columns = columns
        self.rows = rows
        self.prompt = ""
        self.counts = EditorCounts()
        self.history: deque[str] = deque(maxlen=MOST_HISTORY)
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._state = _State.TEXT
        self._sequence = ""
        self._after = ""
        self._text = ""
        self._cursor = 0
        self._too_long = False
        self._browsed: int | None = None
        self._kept = ""
        self._echo: list[str] = []
        self._stale = False
        """The line on the terminal is not the line; it is drawn again at the end of a piece of input."""
        self._bell = False

    # -- bytes in

    def feed(self, data: bytes) -> list[Event]:
        """What these bytes bring, in order."""
        events: list[Event] = []
        for character in self._decoder.decode(data):
            if self._state is _State.TEXT:
                event = self._typed(character)
            else:
                event = self._in_sequence(character)
            if event is not None:
                events.append(event)
        self._draw()
        if self._bell:
            self._bell = False
            self._write("\x07")
        return events

    def take_echo(self) -> str:
        """What is to be written since the last call."""
        echo, self._echo = "".join(self._echo), []
        return echo

    @property
    def text(self) -> str:
        """The line as it stands."""
        return self._text

    def clear(self) -> None:
        """Forget the line, as if nothing had been typed."""
        self._text, self._cursor, self._too_long, self._browsed = "", 0, False, None

    def hide(self) -> None:
        """Take prompt and line off the terminal, to write something else."""
        self._write("\r\x1b[K")

    def show(self) -> None:
        """Write prompt and line, the cursor where it was."""
        self._stale = False
        if not self.echo:
            return
        room = max(8, self.columns - len(self.prompt) - 1)
        begin = max(0, self._cursor - room + 1) if self._cursor >= room else 0
        back = begin + len(self._text[begin:begin + room]) - self._cursor
        self._write(f"\r{self.prompt}{self._text[begin:begin + room]}\x1b[K" + (f"\x1b[{back}D" if back else ""))

    def _draw(self) -> None:
        if self._stale:
            self.show()

    # -- text

    def _typed(self, character: str) -> Event | None:
        after, self._after = self._after, ""
        if character in "\r\n":
            return self._ended(character, after)
        if character == "\x1b":
            self._state, self._sequence = _State.ESCAPE, ""
            return None
        if character < " " or character == "\x7f":
            return self._control(character, after)
        if character == "\ufffd" or not character.isprintable() or not _one_wide(character):
            self.counts.noise += 1
            return None
        self._insert(character)
        return None

    def _ended(self, character: str, after: str) -> Event | None:
        # The second half of CR LF or LF CR ends nothing.
        if after and after != character:
            return None
        self._after = character
        text, too_long = self._text, self._too_long
        self._draw()
        self.clear()
        self._write("\r\n")
        if too_long:
            self.counts.too_long += 1
            return Sign.TOO_LONG
        if text.strip() and (not self.history or self.history[-1] != text):
            self.history.append(text)
        return Entered(text)

    def _control(self, character: str, after: str) -> Event | None:
        if character == "\x03":
            self._draw()
            self.clear()
            self._write("^C\r\n")
            return Sign.INTERRUPT
        if character == "\x04":
            if not self._text:
                return Sign.END
            self._delete()
        elif character in "\x08\x7f":
            self._backspace()
        elif character == "\t":
            self._tab()
        elif character in _CONTROLS:
            _CONTROLS[character](self)
        elif not (character == "\0" and after == "\r"):
            self.counts.noise += 1
        return None

    def _insert(self, text: str) -> None:
        if len(self._text) + len(text) > LONGEST_LINE:
            self._too_long = self._bell = True
            return
        at_end = self._cursor == len(self._text)
        self._text = self._text[:self._cursor] + text + self._text[self._cursor:]
        self._cursor += len(text)
        self._changed(text, at_end and len(self.prompt) + len(self._text) < self.columns - 1)

    def _backspace(self) -> None:
        if not self._cursor:
            return
        at_end = self._cursor == len(self._text)
        fits = len(self.prompt) + len(self._text) < self.columns - 1
        self._text = self._text[:self._cursor - 1] + self._text[self._cursor:]
        self._cursor -= 1
        self._changed("\b \b", at_end and fits)

    def _changed(self, echo: str, simple: bool) -> None:
        """Echo a change, or have the line drawn again: once for all changes of one piece of input."""
        if simple and not self._stale:
            self._write(echo)
        else:
            self._stale = True

    def _delete(self) -> None:
        self._replace(self._text[:self._cursor] + self._text[self._cursor + 1:], self._cursor)

    def _replace(self, text: str, cursor: int) -> None:
        self._text, self._cursor = text, cursor
        self._stale = True

    def _home(self) -> None:
        self._replace(self._text, 0)

    def _end(self) -> None:
        self._replace(self._text, len(self._text))

    def _left(self) -> None:
        self._replace(self._text, max(0, self._cursor - 1))

    def _right(self) -> None:
        self._replace(self._text, min(len(self._text), self._cursor + 1))

    def _kill(self) -> None:
        self._replace(self._text[:self._cursor], self._cursor)

    def _kill_all(self) -> None:
        self._too_long = False
        self._replace(self._text[self._cursor:], 0)

    def _kill_word(self) -> None:
        head = self._text[:self._cursor].rstrip()
        begin = head.rfind(" ") + 1
        self._replace(self._text[:begin] + self._text[self._cursor:], begin)

    def _older(self) -> None:
        self._browse(-1)

    def _newer(self) -> None:
        self._browse(1)

    def _redraw(self) -> None:
        self._write("\x1b[H\x1b[2J")
        self._stale = True

    def _browse(self, step: int) -> None:
        if not self.echo:
            return
        count = len(self.history)
        at = count if self._browsed is None else self._browsed
        if at == count:
            self._kept = self._text
        at += step
        if not 0 <= at <= count:
            self._bell = True
            return
        self._browsed = None if at == count else at
        text = self._kept if at == count else self.history[at]
        self._replace(text, len(text))

    # -- completion

    def _tab(self) -> None:
        if not self.echo:
            # Without a terminal a tab is a space.
            self._insert(" ")
            return
        before = self._text[:self._cursor]
        found = self._complete(before)
        typed = before[found.start:]
        common = _common(found.candidates)
        if len(found.candidates) == 1:
            common += " " if found.closed else ""
        if not found.candidates:
            self._bell = True
        elif common != typed and common.startswith(typed):
            self._insert(common[len(typed):])
        elif len(found.candidates) > 1:
            self._list(found.candidates)

    def _list(self, candidates: tuple[str, ...]) -> None:
        shown = candidates[:MOST_SHOWN]
        more = f"and {len(candidates) - len(shown)} more" if len(candidates) > len(shown) else ""
        self._write("\r\n" + "".join(f"{line}\r\n" for line in [*arrange(shown, self.columns), *filter(None, [more])]))
        self._stale = True

    # -- escape sequences

    def _in_sequence(self, character: str) -> Event | None:
        if self._state is _State.ESCAPE and character in "[O":
            self._state = _State.SEQUENCE
            return None
        if self._state is _State.SEQUENCE and character in _PARAMETERS:
            self._sequence += character if len(self._sequence) < LONGEST_SEQUENCE else ""
            return None
        known, self._state = self._state is _State.SEQUENCE, _State.TEXT
        if character in "\x03\x1b\r\n":
            # A broken sequence must not eat what ends a line or begins the next sequence.
            self.counts.sequences += 1
            return self._typed(character)
        action = _SEQUENCES.get(self._sequence + character) if known else None
        if action is not None:
            action(self)
            return None
        if known and character == "t":
            return self._told_size()
        self.counts.sequences += 1
        return None

    def _told_size(self) -> Event | None:
        """Report of a terminal's size in characters: ``CSI 8 ; rows ; columns t`` (xterm's window operations)."""
        parts = self._sequence.split(";")
        if len(parts) != 3 or parts[0] != "8" or not all(part.isdecimal() and part.isascii() for part in parts):
            self.counts.sequences += 1
            return None
        self.set_size(int(parts[2]), int(parts[1]))
        return Sign.SIZE

    def set_size(self, columns: int, rows: int) -> None:
        """Size of the terminal, brought into what is believed."""
        self.columns = min(max(columns, COLUMNS[0]), COLUMNS[1])
        self.rows = min(max(rows, ROWS[0]), ROWS[1])

    def _write(self, text: str) -> None:
        if self.echo:
            self._echo.append(text)


def _common(names: tuple[str, ...]) -> str:
    """The longest beginning of all of them."""
    if not names:
        return ""
    first, last = min(names), max(names)
    same = next((at for at, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), min(len(first), len(last)))
    return first[:same]


def _one_wide(character: str) -> bool:
    """Whether a character takes one cell, so that the cursor is where it is thought to be."""
    return character < "\x7f" or (
        unicodedata.east_asian_width(character) not in "WF" and not unicodedata.combining(character)
    )


def arrange(names: tuple[str, ...] | list[str], columns: int) -> list[str]:
    """Names in columns, read downwards."""
    if not names:
        return []
    width = max(map(len, names)) + 2
    across = max(1, (columns - 1) // width)
    down = -(-len(names) // across)
    return ["".join(name.ljust(width) for name in names[row::down]).rstrip() for row in range(down)]


_Action = Callable[[LineEditor], None]
_CONTROLS: dict[str, _Action] = {
    "\x01": LineEditor._home, "\x02": LineEditor._left, "\x05": LineEditor._end, "\x06": LineEditor._right,
    "\x0b": LineEditor._kill, "\x0c": LineEditor._redraw, "\x0e": LineEditor._newer, "\x10": LineEditor._older,
    "\x15": LineEditor._kill_all, "\x17": LineEditor._kill_word,
}
_SEQUENCES: dict[str, _Action] = {
    "A": LineEditor._older, "B": LineEditor._newer, "C": LineEditor._right, "D": LineEditor._left,
    "H": LineEditor._home, "F": LineEditor._end, "1~": LineEditor._home, "7~": LineEditor._home,
    "4~": LineEditor._end, "8~": LineEditor._end, "3~": LineEditor._delete,
}
