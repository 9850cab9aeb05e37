"""A terminal at a shell: raw mode that is always given back, its size told, Ctrl-] ends it; and lines without one."""

from __future__ import annotations

import os
import select
import signal
import termios
import tty
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, NamedTuple

from comms.shell.answers import WORDS
from comms.shell.complete import Completer
from comms.shell.editor import Entered, LineEditor, Sign
from comms.shell.session import MARK
from comms.shell.view import CraftView
from firmware_py.cli.shell_pipe import ShellPipe

__all__ = ["LEAVE", "Verdict", "converse", "raw_terminal", "script"]

LEAVE = 0x1D
"""Ctrl-]."""
PLAIN_SIZE = (80, 24)
WAIT_S = 0.02
SIZE_EVERY = 25
"""Looks at the terminal between two looks at its size."""


@contextmanager
def raw_terminal(descriptor: int) -> Iterator[None]:
    """The terminal hands every key over as it is; given back whatever happens, also at SIGTERM and SIGHUP."""
    before = termios.tcgetattr(descriptor)
    handlers = {number: signal.signal(number, _leave) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        tty.setraw(descriptor)
        yield
    finally:
        termios.tcsetattr(descriptor, termios.TCSAFLUSH, before)
        for number, handler in handlers.items():
            signal.signal(number, handler)


def _leave(number: int, frame: FrameType | None) -> Any:  # noqa: ARG001
    raise SystemExit(128 + number)


def converse(pipe: ShellPipe, source: int, target: int, *, local: bool) -> None:
    """Join a terminal and a shell until one of them ends.

    Args:
        pipe: way to the shell.
        source, target: descriptors of the terminal, which hands over keys as they are.
        local: edit lines here and send them whole, where each byte on the way costs something.
    """
    desk: _Far | _Near = _Near(pipe) if local else _Far(pipe)
    looks = 0
    size: tuple[int, int] | None = None
    while True:
        if looks % SIZE_EVERY == 0 and (found := _size(target)) != size:
            size = found
            desk.resize(*found)
        looks += 1
        if select.select([source], [], [], WAIT_S)[0]:
            keys = os.read(source, 1024)
            if not keys or LEAVE in keys:
                return
            desk.keys(keys)
        _write(target, desk.output())
        if pipe.closed or desk.ended:
            return


def _write(target: int, data: bytes) -> None:
    while data:
        data = data[os.write(target, data):]


def _size(descriptor: int) -> tuple[int, int]:
    """Columns and rows; those of a plain terminal where it does not say."""
    try:
        found = os.get_terminal_size(descriptor)
    except OSError:
        return PLAIN_SIZE
    return (found.columns, found.lines) if found.columns and found.lines else PLAIN_SIZE


class _Far:
    """Keys go to the shell, which echoes them."""

    def __init__(self, pipe: ShellPipe) -> None:
        self._pipe = pipe
        self.ended = False
        self._begun = False

    def keys(self, data: bytes) -> None:
        self._pipe.send(data)

    def resize(self, columns: int, rows: int) -> None:
        if not self._begun:
            # A line first: a session at a socket does not echo until it is told to.
            self._begun = True
            self._pipe.send(f"\x15terminal echo {columns}x{rows}\r".encode())
        else:
            self._pipe.send(f"\x1b[8;{rows};{columns}t".encode())

    def output(self) -> bytes:
        return self._pipe.receive()


class _Near:
    """Lines are edited here."""

    def __init__(self, pipe: ShellPipe) -> None:
        self._pipe = pipe
        names = {name: word.names for name, word in WORDS.items()}
        self._editor = LineEditor(Completer(CraftView(), names))
        self._editor.prompt = "qiki> "
        self._editor.show()
        self._told: tuple[int, int] | None = None
        self.ended = False

    def keys(self, data: bytes) -> None:
        for event in self._editor.feed(data):
            if isinstance(event, Entered):
                self._pipe.send(event.text.encode() + b"\n")
            elif event is Sign.INTERRUPT:
                # An empty line ends what is watched.
                self._pipe.send(b"\n")
            elif event is Sign.END:
                self.ended = True
            self._editor.show()

    def resize(self, columns: int, rows: int) -> None:
        self._editor.set_size(columns, rows)
        self._pipe.send(f"terminal {columns}x{rows}\n".encode())

    def output(self) -> bytes:
        text = self._pipe.receive()
        if not text:
            return self._editor.take_echo().encode()
        before = self._editor.take_echo().encode()
        self._editor.hide()
        hidden = self._editor.take_echo().encode()
        self._editor.show()
        shown = text.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
        end = b"" if shown.endswith(b"\n") else b"\r\n"
        return before + hidden + shown + end + self._editor.take_echo().encode()


class Verdict(NamedTuple):
    """What came of one line. ``text``: the answer; ``good``: whether it was done; ``late``: no end in time."""

    text: str
    good: bool
    late: bool = False


def script(
    pipe: ShellPipe, lines: Iterable[str], timeout_s: float, clock: Callable[[], float], wait: Callable[[float], None],
    *, size: str = "",
) -> Iterator[Verdict]:
    """Give lines one after the other, and what the shell answers to each.

    Args:
        pipe: way to the shell.
        lines: without their ends.
        timeout_s: longest time to the end of one answer.
        clock, wait: seconds, and sleeping for some.
        size: ``COLUMNSxROWS`` of what the answers are for.
    """
    reader = _Answers(pipe, timeout_s, clock, wait)
    # Whatever was being typed or watched at a serial line goes first; nothing counts before this answer.
    pipe.send(f"\x03\x15terminal script {size}\r".encode())
    if reader.next().late:
        yield Verdict("", False, late=True)
        return
    for line in lines:
        pipe.send(line.encode("utf-8", "replace") + b"\r")
        verdict = reader.next()
        yield verdict
        if verdict.late:
            break
    pipe.send(b"\x03terminal lines\r")
    pipe.receive()


class _Answers:
    def __init__(
        self, pipe: ShellPipe, timeout_s: float, clock: Callable[[], float], wait: Callable[[float], None]
    ) -> None:
        self._pipe, self._timeout_s, self._clock, self._wait = pipe, timeout_s, clock, wait
        self._text = b""

    def next(self) -> Verdict:
        """Read up to the next record mark and its verdict."""
        until = self._clock() + self._timeout_s
        mark = MARK.encode()
        while True:
            begin = self._text.find(mark)
            end = self._text.find(b"\n", begin) if begin >= 0 else -1
            if end >= 0:
                answer, good = self._text[:begin], self._text[begin + 1:end].strip() == b"ok"
                self._text = self._text[end + 1:]
                return Verdict(_plain(answer), good)
            data = self._pipe.receive()
            self._text += data
            if not data:
                if self._pipe.closed or self._clock() >= until:
                    return Verdict(_plain(self._text), False, late=True)
                self._wait(WAIT_S / 4)


def _plain(answer: bytes) -> str:
    return answer.decode("utf-8", "replace").replace("\r\n", "\n").rstrip("\n")
