"""Request verification: what became of each telecommand, told once and in order, and never more than is known.

ECSS-E-ST-70-41C service 1. Acceptance is the craft's: a command counts as accepted when the craft says so, not when it
was handed to a radio. An acknowledgement starts it, and only an effect that was seen completes it. Where a later stage
is the first that comes through, those that it implies are told before it. Silence is told as silence: nothing.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from enum import IntEnum, unique

from comms.ccsds.packets import Acknowledge, Telecommand
from comms.dictionary.events import EVENT_IDS
from comms.flight_port import CommandStage
from fdir.lifecycle import Stage

__all__ = ["MOST_JOBS", "Jobs", "Key", "Phase", "Verdict", "code_number"]

MOST_JOBS = 256
"""Telecommands whose end is waited for; the oldest makes room."""
Key = tuple[str, int]
"""What a part of a telecommand became: kind of message, and its number."""


@unique
class Phase(IntEnum):
    """How far a telecommand has come."""

    ACCEPTED = 1
    STARTED = 2
    COMPLETED = 3


_ASKED = {Phase.ACCEPTED: Acknowledge.ACCEPTANCE, Phase.STARTED: Acknowledge.START,
          Phase.COMPLETED: Acknowledge.COMPLETION}
_REACHED = {
    Stage.ALLOWED: Phase.ACCEPTED, Stage.PUBLISH_PENDING: Phase.ACCEPTED, Stage.PUBLISHED: Phase.ACCEPTED,
    Stage.ACK_ACCEPTED: Phase.STARTED, Stage.EFFECT_PENDING: Phase.STARTED, Stage.EFFECT_CONFIRMED: Phase.COMPLETED,
}
_FAILED = {
    Stage.REJECTED: Phase.ACCEPTED, Stage.PUBLISH_FAILED: Phase.STARTED, Stage.ACK_REJECTED: Phase.STARTED,
    Stage.ACK_TIMEOUT: Phase.STARTED, Stage.EFFECT_PARTIAL: Phase.COMPLETED, Stage.EFFECT_TIMEOUT: Phase.COMPLETED,
}
_OWN_CODE = {
    Stage.REJECTED: "CMD_REJECTED", Stage.PUBLISH_FAILED: "ACTUATOR_UNAVAILABLE", Stage.ACK_REJECTED: "CMD_REJECTED",
    Stage.ACK_TIMEOUT: "ACK_TIMEOUT", Stage.EFFECT_PARTIAL: "EFFECT_PARTIAL", Stage.EFFECT_TIMEOUT: "EFFECT_TIMEOUT",
    Stage.ABORTED: "CMD_REJECTED",
}
"""What a stage means where the craft gave no code."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """One report to be made. ``code`` is the id of the event that says why, 0 for a success."""

    request: tuple[int, int]
    phase: Phase
    failed: bool
    code: int = 0


@dataclass(slots=True)
class _Job:
    request: tuple[int, int]
    acknowledge: Acknowledge
    parts: dict[Key, int] = field(default_factory=dict)
    """How far each part is."""
    told: int = 0


def code_number(codes: tuple[str, ...], otherwise: str) -> int:
    """Id of the first code that has one, of another word if none has."""
    return next((EVENT_IDS[code] for code in codes if code in EVENT_IDS), EVENT_IDS[otherwise])


class Jobs:
    """Telecommands under way. One telecommand may be several commands of the craft; all of them count.

    Attributes:
        forgotten: telecommands whose end never came, and that made room for newer ones.
    """

    def __init__(self, limit: int = MOST_JOBS) -> None:
        self._limit = limit
        self._jobs: OrderedDict[tuple[int, int], _Job] = OrderedDict()
        self._by_key: dict[Key, _Job] = {}
        self.forgotten = 0

    def __len__(self) -> int:
        return len(self._jobs)

    def open(self, command: Telecommand, keys: list[Key]) -> None:
        """Follow a telecommand that became these messages. A second one of the same id replaces the first: sequence
        counts come round."""
        self._close(command.request)
        while len(self._jobs) >= self._limit:
            self._close(next(iter(self._jobs)))
            self.forgotten += 1
        job = _Job(command.request, command.acknowledge, dict.fromkeys(keys, 0))
        self._jobs[command.request] = job
        self._by_key.update(dict.fromkeys(keys, job))

    def stage(self, key: Key, stage: CommandStage) -> list[Verdict]:
        """What is to be told now that a command has reached a stage."""
        job = self._by_key.get(key)
        if job is None:
            return []
        word = stage.stage
        if word in _REACHED:
            return self._reach(job, key, _REACHED[Stage(word)])
        phase = _FAILED.get(Stage(word)) if word in _OWN_CODE else None
        if word == Stage.ABORTED:
            phase = Phase(min(job.told + 1, Phase.COMPLETED))
        if phase is None:
            return []
        return self._fail(job, key, phase, code_number(stage.codes, _OWN_CODE[Stage(word)]))

    def reach(self, key: Key, phase: Phase) -> list[Verdict]:
        """What is to be told now that a command has come so far."""
        job = self._by_key.get(key)
        return [] if job is None else self._reach(job, key, phase)

    def refuse(self, key: Key, code: int) -> list[Verdict]:
        """What is to be told now that a command was not taken."""
        job = self._by_key.get(key)
        return [] if job is None else self._fail(job, key, Phase.ACCEPTED, code)

    def request_of(self, key: Key) -> tuple[int, int] | None:
        """The telecommand that a message came from, while its end is waited for."""
        job = self._by_key.get(key)
        return None if job is None else job.request

    def _reach(self, job: _Job, key: Key, phase: Phase) -> list[Verdict]:
        job.parts[key] = max(job.parts[key], phase)
        verdicts = []
        for step in range(job.told + 1, min(job.parts.values()) + 1):
            job.told = step
            if job.acknowledge & _ASKED[Phase(step)]:
                verdicts.append(Verdict(job.request, Phase(step), failed=False))
        if job.told >= Phase.COMPLETED:
            self._close(job.request)
        return verdicts

    def _fail(self, job: _Job, key: Key, phase: Phase, code: int) -> list[Verdict]:
        """One part has failed, and the telecommand with it: what came before is told first."""
        verdicts = self._reach(job, key, Phase(phase - 1)) if phase > Phase.ACCEPTED else []
        self._close(job.request)
        # Another part may not have come so far; a failure never names a phase before one that was told.
        at = Phase(max(job.told + 1, min(phase, Phase.COMPLETED))) if len(job.parts) == 1 else Phase(job.told + 1)
        return [*verdicts, Verdict(job.request, at, failed=True, code=code)]

    def _close(self, request: tuple[int, int]) -> None:
        job = self._jobs.pop(request, None)
        if job is not None:
            for key in job.parts:
                self._by_key.pop(key, None)
