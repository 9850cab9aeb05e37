"""One session of the shell: its line, its answers, what it watches, its orders. A step does a bounded piece of work.

A terminal gets echo, a prompt and lines that change in place; ``LINES`` gets plain lines and nothing else; ``SCRIPT``
gets plain lines and after each answer a record mark (ASCII 30) with ``ok`` or ``refused``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum, unique

from comms.bounded import BoundedQueue
from comms.dictionary import CommandRefused
from comms.flight_port import CommandStage
from comms.shell.activity import Activity, Follow
from comms.shell.answers import WORDS, Answer, Scene, ShellWord
from comms.shell.asked import read_or_refuse, watch_of
from comms.shell.complete import Completer
from comms.shell.editor import Entered, LineEditor, Sign
from comms.shell.help import confirmation
from comms.shell.orders import LOST_NS, MOST_ORDERS, SILENCE_NS, Granted, Order, OrderDesk, life_lines
from comms.shell.outbox import Outbox
from comms.shell.show import as_json, fold, plain, plain_line
from comms.shell.view import CraftView
from comms.shell.words import LONGEST_LINE, Asked, ShellRefused, split_words

__all__ = ["MARK", "Mode", "SessionCounts", "ShellSession"]

MARK = "\x1e"
"""Record mark before the verdict on an answer, in scripts (ASCII 30)."""
OUT_BYTES = 32 * 1024
"""Bytes that may wait for a reader."""
IN_BYTES = 64
"""Bytes that are taken in in one step."""
TYPED_AHEAD = 256
"""Bytes that may wait to be worked off."""
BUSY_BYTES = 2048
"""Bytes waiting from which on nothing more is read: who does not read is not answered."""
UNREAD_BYTES = 256
"""Bytes waiting from which on a picture of a watch is left out."""
CONFIRM_NS = 30_000_000_000
LONGEST_ACTIVITY_NS = 3_600_000_000_000
"""A watch ends by itself after an hour, should its terminal have been unplugged."""
MOST_NOTES = 32
_COSTLY = frozenset(b"\t\r\n\x0c\x03")
"""Bytes after which an answer or a list may be due."""


@unique
class Mode(StrEnum):
    """How a session writes."""

    ECHO = "echo"
    LINES = "lines"
    SCRIPT = "script"


@dataclass(slots=True)
class SessionCounts:
    """What one session has done since it began."""

    received_bytes: int = 0
    answers: int = 0
    refused: int = 0
    skipped: int = 0
    """Pictures of a watch that were not drawn, since the one before had not been read."""


class ShellSession:
    """One session.

    Args:
        view: the craft.
        desk: the way of orders.
        who: peer and authority.
        how: way in, such as ``socket``.
        mode: how it writes.
        now_ns: when it begins.
    """

    def __init__(
        self, view: CraftView, desk: OrderDesk, who: Granted, how: str, mode: Mode, now_ns: int, *,
        plain_text: bool = False,
    ) -> None:
        self._view = view
        self._desk = desk
        self.who = who
        self.how = how
        self.mode = mode
        self.plain = plain_text
        self.counts = SessionCounts()
        self.since_ns = now_ns
        self.typed_ns = now_ns
        """When something was last typed."""
        self.ended = False
        names = {name: word.names for name, word in WORDS.items()}
        options = {name: word.options for name, word in WORDS.items() if word.options}
        self.editor = LineEditor(Completer(view, names, options), echo=mode is Mode.ECHO)
        self.out = Outbox(OUT_BYTES)
        self._activity: Activity | None = None
        self._activity_ns = 0
        self._asked: tuple[Asked, int] | None = None
        self._orders: list[Order] = []
        self._awaited: Order | None = None
        self._notes: BoundedQueue[str] = BoundedQueue(MOST_NOTES)
        self._input = b""
        if mode is not Mode.SCRIPT:
            self._say([f"QIKI debug shell: {self._rights()}. help says what there is."])
        self._prompt()

    # -- one step

    @property
    def hungry(self) -> int:
        """Bytes that it takes in now; none while its reader does not read."""
        if self.ended or len(self.out) > BUSY_BYTES:
            return 0
        return min(IN_BYTES, TYPED_AHEAD - len(self._input))

    def take(self, data: bytes, now_ns: int) -> None:
        """Take bytes in; they are worked off by ``work``."""
        if data:
            self.counts.received_bytes += len(data)
            self.typed_ns = now_ns
            self._input += data

    def work(self, turns: int, now_ns: int) -> int:
        """Work off what was typed, with at most ``turns`` lines or completions; how many were used."""
        used = 0
        while self._input and used < turns and len(self.out) <= BUSY_BYTES and not self.ended:
            if self._awaited is not None:
                # Only the key that gives up waiting is heard; what was typed before it goes with it.
                stop = self._input.find(b"\x03")
                if stop < 0:
                    break
                self._input = self._input[stop:]
            cut = next((at + 1 for at, byte in enumerate(self._input) if byte in _COSTLY), len(self._input))
            piece, self._input = self._input[:cut], self._input[cut:]
            used += piece[-1] in _COSTLY
            self._feed(piece, now_ns)
        return used

    def tick(self, now_ns: int) -> None:
        """What is due without a key: watches, followed events, stages of orders, confirmations that lapse."""
        if self._asked is not None and now_ns > self._asked[1]:
            self._asked = None
            self.editor.clear()
            self._aside(["not confirmed in time: nothing was sent"])
            self._close(False)
        self._tell_orders(now_ns)
        activity = self._activity
        if activity is None:
            return
        if now_ns - self._activity_ns > LONGEST_ACTIVITY_NS:
            self._stop()
        elif activity.due(now_ns):
            if len(self.out) > UNREAD_BYTES:
                self.counts.skipped += activity.skip(now_ns)
            else:
                self._put(activity.draw(self._scene(now_ns), self.mode is Mode.ECHO))

    def on_stage(self, stage: CommandStage) -> bool:
        """Take a stage in if it is of one of this session's orders."""
        for order in self._orders:
            if order.command_id == stage.command_id and stage.sender == self.who.sender:
                order.take(stage)
                return True
        return False

    # -- input

    def _feed(self, data: bytes, now_ns: int) -> None:
        if self._activity is not None and self.mode is Mode.ECHO:
            # A live picture ends with one of these; other keys are not taken for a command.
            if any(byte in b"q\x03\x04\r\n\x1b" for byte in data):
                self._stop()
            return
        events = self.editor.feed(data)
        self._put_raw(self.editor.take_echo())
        for event in events:
            if isinstance(event, Entered):
                self._entered(event.text, now_ns)
            elif event is Sign.TOO_LONG:
                self._answer(Answer([f"longer than {LONGEST_LINE} characters: the line was left out"], good=False))
            elif event is Sign.INTERRUPT:
                self._interrupt()
            elif event is Sign.END:
                self._quit()

    def _interrupt(self) -> None:
        if self._activity is not None:
            self._stop()
        elif self._asked is not None:
            self._asked = None
            self._answer(Answer(["not confirmed: nothing was sent"], good=False))
        elif self._awaited is not None:
            self._awaited = None
            self._answer(Answer(["not waited for any longer; the craft goes on with it"], good=False))
        else:
            self._prompt()

    def _entered(self, line: str, now_ns: int) -> None:
        if self._activity is not None:
            self._stop()
        if self._asked is not None:
            self._confirm(line.strip().lower(), now_ns)
            return
        text = line.strip()
        if not text or text.startswith("#"):
            self._prompt()
            return
        try:
            answer = self._run(text, now_ns)
        except (ShellRefused, CommandRefused) as error:
            answer = Answer(fold(plain_line(str(error)), self.editor.columns, 2), good=False)
        if answer is not None:
            self._answer(answer)

    def _run(self, text: str, now_ns: int) -> Answer | None:
        """The answer to a line; ``None`` if it comes later."""
        words = split_words(text)
        name, rest = words[0].text, [word.text for word in words[1:]]
        word = WORDS.get(name)
        if word is None:
            return self._order(read_or_refuse(words), now_ns)
        if word.run is not None and (name, rest[:1]) != ("events", ["-f"]):
            return word.run(self._scene(now_ns), rest)
        if name == "send":
            if not rest:
                raise ShellRefused(WORDS["send"].usage)
            return self._order(read_or_refuse(words[1:]), now_ns)
        return self._own(name, rest, now_ns)

    def _own(self, name: str, rest: list[str], now_ns: int) -> Answer | None:
        if name in ("watch", "events"):
            self._begin(watch_of(rest) if name == "watch" else Follow(self._view), now_ns)
            return None
        if name == "terminal":
            return self._terminal(rest)
        if name == "json":
            return self._json(rest, now_ns)
        self._quit()
        return None

    # -- answers

    def _scene(self, now_ns: int) -> Scene:
        editor = self.editor
        return Scene(self._view, now_ns, editor.columns, editor.rows, self.plain, self.who.peer, self.who.role,
                     self.how, self.since_ns, tuple(editor.history))

    def _answer(self, answer: Answer) -> None:
        self._say(answer.lines)
        self._close(answer.good)

    def _close(self, good: bool) -> None:
        """An answer is complete."""
        self.counts.answers += 1
        self.counts.refused += not good
        if self.mode is Mode.SCRIPT:
            self.out.put(f"{MARK}{'ok' if good else 'refused'}\n", must=True)
        self._prompt()

    def _json(self, words: list[str], now_ns: int) -> Answer:
        word: ShellWord | None = WORDS.get(words[0]) if words else None
        if word is None or word.run is None or words[0] == "help":
            allowed = [name for name, word in WORDS.items() if word.run is not None and name != "help"]
            raise ShellRefused(f"json WORD ...; words: {', '.join(allowed)}")
        answer = word.run(self._scene(now_ns), words[1:])
        return Answer([as_json(answer.rows)], good=answer.good)

    def _terminal(self, words: list[str]) -> Answer:
        for word in words:
            columns, _, rows = word.partition("x")
            if word in ("ascii", "utf8"):
                self.plain = word == "ascii"
            elif word in list(Mode):
                self.mode = Mode(word)
                self.editor.echo = self.mode is Mode.ECHO
            elif columns.isascii() and columns.isdigit() and rows.isascii() and rows.isdigit() and len(word) < 10:
                self.editor.set_size(int(columns), int(rows))
            else:
                raise ShellRefused(WORDS["terminal"].usage)
        if words:
            return Answer()
        editor = self.editor
        return Answer([f"{self.mode}, {editor.columns}x{editor.rows}, {'ascii' if self.plain else 'utf8'}"])

    def _begin(self, activity: Activity, now_ns: int) -> None:
        self._activity, self._activity_ns = activity, now_ns
        self.editor.prompt = ""

    def _stop(self) -> None:
        """End what is watched, and tell what came meanwhile."""
        self._activity = None
        self._close(True)
        for note in self._notes.take_all():
            self._aside([note])

    def _quit(self) -> None:
        if self.mode is not Mode.SCRIPT:
            self._say(["session ended"])
        self.ended = True

    # -- orders

    def _order(self, asked: Asked, now_ns: int) -> Answer | None:
        against = self._desk.objection(asked.command, self.who)
        if against is not None:
            self._desk.refused += 1
            return Answer([against[1]], good=False)
        why = confirmation(asked.command, self._view.value("motion") == "SAFE")
        if why and not asked.confirmed:
            if self.mode is Mode.SCRIPT:
                return Answer([f"{asked.command.name} asks for confirmation ({why}): add confirmed=yes"], good=False)
            self._asked = (asked, now_ns + CONFIRM_NS)
            question = f"{asked.command.name}: {why}. Type yes to send it, anything else to leave it."
            self._say(fold(question, self.editor.columns, 2))
            self._prompt()
            return None
        return self._send(asked, now_ns)

    def _confirm(self, word: str, now_ns: int) -> None:
        asked = self._asked
        self._asked = None
        if asked is None or word != "yes":
            self._answer(Answer(["not confirmed: nothing was sent"], good=False))
            return
        sealed = asked[0]
        answer = self._send(
            Asked(sealed.command, sealed.arguments, True, sealed.priority, sealed.expires_s), now_ns
        )
        if answer is not None:
            self._answer(answer)

    def _send(self, asked: Asked, now_ns: int) -> Answer | None:
        sent = self._desk.send(asked, self.who, now_ns)
        if not isinstance(sent, Order):
            return Answer([sent[1]], good=False)
        self._orders.append(sent)
        del self._orders[:-MOST_ORDERS]
        if self.mode is Mode.SCRIPT:
            self._awaited = sent
            return None
        return Answer([f"{asked.command.name} is sent, as {sent.command_id}"])

    def _tell_orders(self, now_ns: int) -> None:
        for order in list(self._orders):
            lines = life_lines(order, lambda code: self._view.craft.code_texts.get(code, ""))
            silent = order.last is None and now_ns - order.sent_ns > SILENCE_NS
            if silent and not order.silence_told:
                order.silence_told = True
                lines.append(f"{order.name} ({order.command_id}): no word from the craft for {SILENCE_NS // 10**9} s")
            if lines:
                self._aside([part for line in lines for part in fold(line, self.editor.columns, 2)])
            over = order.ended or now_ns - order.sent_ns > LOST_NS
            if order is self._awaited and (over or silent):
                self._awaited = None
                self._close(order.good)
            if over:
                self._orders.remove(order)

    # -- output

    def _say(self, lines: Iterable[str]) -> None:
        end = "\r\n" if self.mode is Mode.ECHO else "\n"
        for line in lines:
            self.out.put(plain_line(line) + end)

    def _aside(self, lines: list[str]) -> None:
        """Lines that come by themselves, above the line that is being typed."""
        if self._activity is not None:
            for line in lines:
                self._notes.put(line)
            return
        if self.mode is Mode.ECHO:
            self.editor.hide()
            self._put_raw(self.editor.take_echo())
            self._say(lines)
            self.editor.show()
            self._put_raw(self.editor.take_echo())
        else:
            self._say(lines)

    def _put(self, pieces: Iterable[str]) -> None:
        for piece in pieces:
            self.out.put(piece)

    def _put_raw(self, text: str) -> None:
        if text:
            self.out.put(text)

    def _prompt(self) -> None:
        if self.mode is not Mode.ECHO or self.ended or self._activity is not None:
            return
        role = "" if self.who.peer is None else f" {self.who.role}"
        self.editor.prompt = "yes? " if self._asked is not None else f"qiki{role}> "
        self.editor.show()
        self._put_raw(self.editor.take_echo())

    def _rights(self) -> str:
        return "read only" if self.who.peer is None else f"{plain(self.who.peer)}, {self.who.role}"
