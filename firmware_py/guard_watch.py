"""The guard of a flight: contacts as perception hands them over, alerts for the core, figures as telemetry.

Perception may hand over at any time; contacts are judged once a medium tick. Event times are those of the flight clock:
what lies ahead of it, or more than 2 s behind, is left out and counted, so that one bad time cannot upset the others.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fdir.guard_alerts import GuardAlert
from fdir.guard_contacts import Contact
from fdir.guard_engine import GuardEngine
from fdir.guard_rules import GuardTable, load_guard_rules
from hal.profile import ConfigError

__all__ = ["INBOX", "OLDEST_NS", "ChosenRules", "GuardWatch", "guard_rules_to_fly"]

INBOX = 256
"""Contacts that wait to be judged: four frames of 64. The oldest give way."""
OLDEST_NS = 2_000_000_000


@dataclass(frozen=True, slots=True)
class ChosenRules:
    """The rules to fly.

    Attributes:
        table: checked.
        refusal: of a file that could not be flown: file, line, key and what is allowed. Empty if none was refused. For
            an event GUARD_RULES_REFUSED.
    """

    table: GuardTable
    refusal: str = ""


def guard_rules_to_fly(given: Path | None) -> ChosenRules:
    """The given rules if they are good, else those that ship. A boot never fails because of a file somebody gave.

    Raises:
        ConfigError: the rules that ship were refused: there is nothing that could be flown.
    """
    if given is None:
        return ChosenRules(load_guard_rules())
    try:
        return ChosenRules(load_guard_rules(given))
    except ConfigError as error:
        return ChosenRules(load_guard_rules(), f"{error}; the rules that ship are flown")


class GuardWatch:
    """Owner of the guard engine and of the contacts that wait for it.

    Args:
        table: checked rules.
        brake_m_s2: deceleration of a full brake, above 0; ``None`` if not known.
    """

    def __init__(self, table: GuardTable, brake_m_s2: float | None = None) -> None:
        self._engine = GuardEngine(table.rules, brake_m_s2)
        self._inbox: deque[Contact] = deque(maxlen=INBOX)
        self._dropped = self._untimely = 0

    def set_brake(self, brake_m_s2: float | None) -> None:
        """What a full brake decelerates with from now on, above 0; ``None`` if not known."""
        self._engine.set_brake(brake_m_s2)

    def take(self, contacts: Iterable[Contact]) -> None:
        """Hand over a frame."""
        for contact in contacts:
            self._dropped += len(self._inbox) == INBOX
            self._inbox.append(contact)

    def step(self, now_ns: int) -> tuple[GuardAlert, ...]:
        """Judge what has come since the last time; time goes on without contacts too."""
        timely = [contact for contact in self._inbox if now_ns - OLDEST_NS <= contact.event_ns <= now_ns]
        self._untimely += len(self._inbox) - len(timely)
        self._inbox.clear()
        return self._engine.step(timely, now_ns)

    def snapshot(self) -> dict[str, Any]:
        """Telemetry by channel name."""
        figures = self._engine.metrics()
        return {
            "guard_alerts": {severity.value: count for severity, count in figures.total_by_severity.items()},
            "guard_rules": {rule: count for rule, count in figures.total_by_rule.items() if count},
            "guard_active": {severity.value: count for severity, count in figures.active.items()},
            "guard_tracks": figures.tracks,
            "guard_quality": figures.mean_quality,
            "guard_left_out": {
                "undecided": figures.undecided, "late": figures.late, "clock_steps": figures.clock_steps,
                "overflow": figures.overflow, "dropped": self._dropped, "untimely": self._untimely,
            },
        }
