"""Runner of sequences: gives each command when it is due, once, and only what is under the seal that was checked.

The runner asks for its commands as any peer does: over the desk, with the authority of whoever started it. What it is
told of their life decides how it goes on. One sequence runs at a time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum, unique

from comms.dictionary import COMMANDS, Authority
from comms.flight_port import CommandStage, UplinkRequest
from comms.link.sequence_file import OnRefusal, Sequence, SequenceError, Step, Wait, load_compiled, packed
from fdir.codes import Code

__all__ = ["RunState", "SequenceNote", "SequenceRunner"]

NS = 1_000_000_000
MS = 1_000_000
MOST_LOADED = 8
LATE_NS = 5 * NS
"""How late a step may be given; one that is later ends the sequence, as the world it was made for has gone."""
REFUSED = frozenset({"rejected", "publish_failed", "ACK_rejected", "ACK_timeout"})
FAILED = frozenset({"effect_timeout", "aborted"})
SEEN = frozenset({"effect_confirmed"})
PART = frozenset({"effect_partial"})
TAKEN = frozenset({"allowed"})


@unique
class RunState(StrEnum):
    """Where the runner stands."""

    IDLE = "idle"
    WAITING = "waiting for its time"
    GIVEN = "waiting for a command"


@dataclass(frozen=True, slots=True)
class SequenceNote:
    """Something that happened to a sequence."""

    t_ns: int
    code: Code
    text: str


class SequenceRunner:
    """Owner of the loaded sequences and of the one that runs.

    Args:
        ask: hands a request to the flight loop; ``False`` if it found no room.
    """

    def __init__(self, ask: Callable[[UplinkRequest], bool]) -> None:
        self._ask = ask
        self.loaded: dict[str, bytes] = {}
        self._loaders: dict[str, Authority] = {}
        """Role of who loaded what: nobody's steps are given with more than that."""
        self.state = RunState.IDLE
        self.running: Sequence | None = None
        self.index = 0
        """Number of the step that is due or given, from 0."""
        self.notes: list[SequenceNote] = []
        self._authority = Authority.VIEWER
        self._sender = ""
        self._start: int | None = None
        self._due_ns = 0
        self._until_ns = 0
        self._sequence = 0
        self._id = ""

    def load(self, data: bytes, authority: Authority = Authority.SAFETY) -> str:
        """Check a compiled sequence and keep it; returns its name. Raises SequenceError, and nothing has changed.

        ``authority``: role of who loads it. What a higher role has loaded isn't replaced by a lower one.
        """
        sequence = load_compiled(data)
        if self.running is not None and self.running.name == sequence.name:
            raise SequenceError(f"{sequence.name} is running")
        if sequence.name not in self.loaded and len(self.loaded) >= MOST_LOADED:
            raise SequenceError(f"{MOST_LOADED} sequences are loaded: {', '.join(self.loaded)}")
        loader = self._loaders.get(sequence.name, authority)
        if not authority.covers(loader):
            raise SequenceError(f"{sequence.name} was loaded by {loader}, this is {authority}")
        self.loaded[sequence.name] = data
        self._loaders[sequence.name] = authority
        return sequence.name

    def seals(self) -> dict[str, str]:
        """Seals of the loaded sequences by name."""
        return {name: load_compiled(data).seal for name, data in self.loaded.items()}

    def start(self, name: str, authority: Authority, sender: str, start: int | None, now_ns: int) -> str:
        """Begin a loaded sequence; returns why not, or nothing. Every command must be open to ``authority``, and to
        whoever has loaded it: a name says nothing of what is under it."""
        if self.running is not None:
            return f"{self.running.name} is running"
        data = self.loaded.get(name)
        if data is None:
            return f"no sequence {name!r} is loaded; loaded: {', '.join(self.loaded) or 'none'}"
        try:
            # What was loaded is read again: a seal is checked where it counts.
            sequence = load_compiled(data)
        except SequenceError as error:
            return str(error)
        loader = self._loaders[name]
        for index, step in enumerate(sequence.steps, start=1):
            least = COMMANDS[step.command].authority
            if not authority.covers(least):
                return f"step {index}: {step.command} needs {least}, {sender} is {authority}"
            if not loader.covers(least):
                return f"step {index}: {step.command} needs {least}, {name} was loaded by {loader}"
            if step.at_s is not None and step.at_s * NS < now_ns:
                return f"step {index}: its time {step.at_s:g} s has passed"
        self.running, self.index = sequence, 0
        self._authority = loader if authority.covers(loader) else authority
        self._sender, self._start = sender, start
        self._await(now_ns)
        self._note(now_ns, Code.SEQUENCE_STARTED, f"{name}: {len(sequence.steps)} steps")
        return ""

    def stop(self, now_ns: int, why: str) -> bool:
        """End the running sequence; what it has given goes on. Whether one ran."""
        if self.running is None:
            return False
        self._end(now_ns, Code.SEQUENCE_ABORTED, f"{self.running.name} at step {self.index + 1}: {why}")
        return True

    def hear(self, stage: CommandStage) -> None:
        """A stage of some command's life."""
        if self.state is not RunState.GIVEN or stage.command_id != self._id:
            return
        step = self._step()
        if stage.stage in REFUSED or (stage.stage in FAILED and step.wait is Wait.EFFECT):
            why = ", ".join(stage.codes) or stage.stage
            if self.running is not None and self.running.on_refusal is OnRefusal.STOP:
                self.stop(stage.t_ns, f"{step.command} {why} {stage.detail}".strip())
            else:
                self._note(stage.t_ns, Code.SEQUENCE_REFUSED, f"step {self.index + 1}: {step.command} {why}")
                self._next(stage.t_ns)
        elif (step.wait is Wait.ALLOWED and stage.stage in TAKEN) or stage.stage in SEEN | PART:
            self._next(stage.t_ns)

    def step(self, now_ns: int) -> None:
        """Give what is due; let a wait run out."""
        if self.running is None:
            return
        if self.state is RunState.GIVEN:
            if now_ns >= self._until_ns:
                self.stop(now_ns, f"{self._step().command} was not done within {self._step().within_s:g} s")
            return
        if now_ns < self._due_ns:
            return
        if now_ns - self._due_ns > LATE_NS:
            self.stop(now_ns, f"{(now_ns - self._due_ns) / NS:.1f} s late")
            return
        self._give(now_ns)

    def _give(self, now_ns: int) -> None:
        running, step = self.running, self._step()
        assert running is not None
        # The clock is the floor, so that a link that was restarted repeats neither numbers nor ids of the one before.
        self._sequence = max(self._sequence + 1, now_ns // MS)
        self._id = f"seq-{running.seal[:8]}-{self._sequence}-{self.index + 1}"
        given = self._ask(UplinkRequest(
            self._id, step.command, dict(step.arguments), f"{self._sender}/{running.name}"[:64], self._authority,
            self._sequence, not_after_ns=self._due_ns + LATE_NS, start=self._start, confirmed=step.confirmed,
        ))
        if not given:
            return
        if step.wait is Wait.NOTHING:
            self._next(now_ns)
            return
        self.state = RunState.GIVEN
        self._until_ns = now_ns + round(step.within_s * NS)

    def _next(self, now_ns: int) -> None:
        assert self.running is not None
        self.index += 1
        if self.index >= len(self.running.steps):
            self._end(now_ns, Code.SEQUENCE_DONE, f"{self.running.name}: {self.index} steps")
        else:
            self._await(now_ns)

    def _await(self, now_ns: int) -> None:
        step = self._step()
        self.state = RunState.WAITING
        if step.at_s is not None:
            self._due_ns = round(step.at_s * NS)
        else:
            self._due_ns = now_ns + round((step.after_s or 0.0) * NS)

    def _step(self) -> Step:
        assert self.running is not None
        return self.running.steps[self.index]

    def _end(self, now_ns: int, code: Code, text: str) -> None:
        self.running, self.state, self._id = None, RunState.IDLE, ""
        self._note(now_ns, code, text)

    def _note(self, t_ns: int, code: Code, text: str) -> None:
        self.notes.append(SequenceNote(t_ns, code, text))

    def take_notes(self) -> list[SequenceNote]:
        """What has happened since the last call."""
        notes, self.notes = self.notes, []
        return notes

    @staticmethod
    def compiled(sequence: Sequence) -> bytes:
        """The file that ``load`` takes."""
        return packed(sequence)
