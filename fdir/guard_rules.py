"""Guard rules: which contacts must not go unanswered, read from one file that is checked whole before any of it counts.

A rule says what a contact must be like (who, how far, how fast, transponder, quality), for how long, and how bad that
is. Nothing here judges: ``fdir/guard_engine.py`` does. A file with one bad rule is refused with file, line and key, and
whoever flies keeps the rules that he has.
"""

from __future__ import annotations

import hashlib
from enum import StrEnum, unique
from importlib import resources
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

from msgspec import Meta, Struct

from fdir.codes import Code, Severity
from hal.profile.loader import ConfigError, Lines, check_finite, load_yaml

__all__ = [
    "EVENTS", "FORGET_S", "MAX_RULES", "GuardRule", "GuardTable", "Iff", "TransponderMode", "Trigger",
    "find_guard_rules", "load_guard_rules",
]

MAX_RULES = 16
"""Rules of one file: bounds the time of a frame and the memory of the engine."""
FORGET_S = 300.0
"""State of a track that is not seen for longer is dropped (CANON section 13); no time of a rule may exceed it."""
EVENTS = tuple(code for code in Code if code.startswith("RADAR_"))
"""Codes that a rule may give to its alerts."""


@unique
class Iff(StrEnum):
    """Whose a contact is. ``unknown`` was asked and gave no good answer; nothing known at all is ``None``."""

    FRIEND = "friend"
    FOE = "foe"
    UNKNOWN = "unknown"


@unique
class TransponderMode(StrEnum):
    """What the transponder of a contact does."""

    OFF = "off"
    ON = "on"
    SILENT = "silent"
    SPOOF = "spoof"


@unique
class Trigger(StrEnum):
    """What a rule waits for."""

    PRESENT = "present"
    """A contact as described is there."""
    THREAT = "threat"
    """It is there and about to hit: critical by CANON section 12."""
    LOST = "lost"
    """It was there, and has not been measured for ``min_duration_s``."""


class GuardRule(Struct, frozen=True, forbid_unknown_fields=True):
    """One rule. What is left out is not asked; limits are part of the range. Keys as in CANON section 13."""

    id: Annotated[str, Meta(pattern=r"^[A-Z][A-Z0-9_]*$", max_length=48)]
    title: Annotated[str, Meta(min_length=1, max_length=80)]
    severity: Severity
    max_range_m: float
    min_range_m: float = 0.0
    description: Annotated[str, Meta(max_length=400)] = ""
    action_required: Annotated[str, Meta(max_length=160)] = ""
    """What an operator has to do."""
    fsm_event: Code | None = None
    """Code of the alert, one of ``EVENTS``."""
    iff: Iff | None = None
    require_transponder_on: bool | None = None
    """True: only with the transponder on, false: only with it off."""
    allowed_transponder_modes: tuple[TransponderMode, ...] = ()
    """Modes in which the rule matches; none given: any."""
    min_quality: float = 0.0
    """0..1; at 0 quality is not asked."""
    max_radial_velocity_mps: float | None = None
    """Negative is closing: -1 matches what closes with 1 m/s or more."""
    min_duration_s: float = 0.0
    cooldown_s: float = 2.0
    """From one alert to the next of the same rule and track."""
    hysteresis_m: float = 0.0
    """By this much the range widens at both ends while the rule is active."""
    trigger: Trigger = Trigger.PRESENT
    min_frames: int = 1
    """Matching frames in a row."""
    spare_passing: bool = False
    """For a threat: what perception knows to pass by is none. Of what it does not know that, range and speed decide."""


class _GuardFile(Struct, frozen=True, forbid_unknown_fields=True):
    schema_version: Literal[1]
    rules: Annotated[tuple[GuardRule, ...], Meta(min_length=1, max_length=MAX_RULES)]


class GuardTable(NamedTuple):
    """Checked rules, in the order of the file."""

    rules: tuple[GuardRule, ...]
    digest: str
    """``sha256:`` and 64 hex digits of the file."""


WORDS = {
    "severity": tuple(Severity), "fsm_event": EVENTS, "iff": tuple(Iff), "trigger": tuple(Trigger),
    "allowed_transponder_modes": tuple(TransponderMode),
}
"""Keys that take one of a few words."""


def find_guard_rules() -> Path:
    """The rules that ship with the project."""
    return Path(str(resources.files("board_configs") / "guard_rules.yaml"))


def load_guard_rules(path: Path | None = None) -> GuardTable:
    """Load and check a file of rules; the one that ships if no path is given.

    Raises:
        ConfigError: names file, line and key, and what is allowed.
    """
    path = find_guard_rules() if path is None else path
    try:
        file, lines = load_yaml(path, _GuardFile)
    except ConfigError as error:
        raise _with_words(error) from None
    check_finite(file, lines)
    _check(file.rules, lines)
    return GuardTable(file.rules, "sha256:" + hashlib.sha256(path.read_bytes()).hexdigest())


def _with_words(error: ConfigError) -> ConfigError:
    """The refusal with the words that are allowed, where the key takes words."""
    name = error.key.partition(".")[2].partition("[")[0]
    if name not in WORDS or not error.key.startswith("rules["):
        return error
    why = f"{error.why}; allowed: {', '.join(WORDS[name])}"
    if name == "allowed_transponder_modes":
        why += ". Put 'on' and 'off' in quotes: bare, YAML takes them for true and false"
    return ConfigError(error.file, error.line, error.key, why)


def _check(rules: tuple[GuardRule, ...], lines: Lines) -> None:
    """Refuse what the schema alone cannot. Raises ConfigError at the first rule that is wrong."""
    seen: dict[str, int] = {}
    for index, rule in enumerate(rules):
        if rule.id in seen:
            raise lines.error(["rules", index, "id"], f"{rule.id} is given twice, first as rules[{seen[rule.id]}]")
        seen[rule.id] = index
        for key, why in _problems(rule):
            raise lines.error(["rules", index, key], f"{rule.id}: {why}")


def _problems(rule: GuardRule) -> list[tuple[str, str]]:
    """Keys of a rule that cannot be, and why."""
    return [*_range_problems(rule), *_word_problems(rule), *_time_problems(rule)]


def _range_problems(rule: GuardRule) -> list[tuple[str, str]]:
    found = [
        (key, f"is {value:g}; 0 or more is allowed")
        for key, value in (("min_range_m", rule.min_range_m), ("hysteresis_m", rule.hysteresis_m)) if value < 0.0
    ]
    if rule.max_range_m <= rule.min_range_m:
        found.append(("max_range_m", f"is {rule.max_range_m:g}; above min_range_m ({rule.min_range_m:g}) is allowed"))
    if not 0.0 <= rule.min_quality <= 1.0:
        found.append(("min_quality", f"is {rule.min_quality:g}; 0..1 is allowed"))
    return found


def _word_problems(rule: GuardRule) -> list[tuple[str, str]]:
    found = []
    if rule.spare_passing and rule.trigger is not Trigger.THREAT:
        found.append(("spare_passing", f"is for trigger threat, not for {rule.trigger}"))
    if rule.fsm_event is not None and rule.fsm_event not in EVENTS:
        found.append(("fsm_event", f"is {rule.fsm_event}; allowed: {', '.join(EVENTS)}, or none"))
    modes = rule.allowed_transponder_modes
    if len(set(modes)) < len(modes):
        found.append(("allowed_transponder_modes", "a mode is given twice"))
    return found


def _time_problems(rule: GuardRule) -> list[tuple[str, str]]:
    found = [
        (key, f"is {value:g}; 0..{FORGET_S:g} s is allowed, after that a track is forgotten")
        for key, value in (("min_duration_s", rule.min_duration_s), ("cooldown_s", rule.cooldown_s))
        if not 0.0 <= value <= FORGET_S
    ]
    if not 1 <= rule.min_frames <= 100:
        found.append(("min_frames", f"is {rule.min_frames}; 1..100 is allowed"))
    if rule.trigger is Trigger.LOST:
        if rule.min_duration_s == 0.0:
            found.append(("min_duration_s", "is 0; a contact is lost after some time: above 0 is needed"))
        if rule.hysteresis_m != 0.0 or rule.min_frames != 1:
            found.append(("trigger", "lost takes neither hysteresis_m nor min_frames"))
    return found
