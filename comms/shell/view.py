"""What the shell knows of the craft: only what the port between flight loop and link has brought, all of it bounded.

Whoever serves the link hands every message over with ``feed``. Nothing here asks the craft for anything, so nothing
here can hold it up.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from comms.dictionary import CHANNELS, Channel
from comms.flight_port import CommandStage, CraftState, EventNote, LinkReport, Message, ParameterValues, Snapshot
from comms.parameters import Value
from comms.shell.trace import Trace

__all__ = ["Craft", "CraftView", "Numbered", "find_channel", "pick"]

MOST_EVENTS = 512
MOST_LIVES, MOST_STAGES = 32, 16
_STEPS = re.compile(r"\.([A-Za-z0-9_:@/ -]+)|\[(\d{1,3})\]", re.ASCII)
_HEAD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)


class Craft(NamedTuple):
    """What does not change in flight. ``code_texts``: what a reason code says, in words."""

    name: str = ""
    faults: tuple[str, ...] = ()
    """Names of the fault table, for completion."""
    code_texts: Mapping[str, str] = {}


class Numbered(NamedTuple):
    """A message and its number since start, by which a reader knows what it has seen."""

    number: int
    message: Any


class CraftView:
    """The craft as the port tells of it.

    Args:
        craft: what does not change.
        parameters: values that are active, ``None`` where they are not known; what the port tells if not given.
        link: rows (name, words) on the link for the overview.
    """

    def __init__(
        self, craft: Craft | None = None, *, parameters: Callable[[], Mapping[str, Value] | None] | None = None,
        link: Callable[[], Iterable[tuple[str, str]]] | None = None,
    ) -> None:
        self.craft = Craft() if craft is None else craft
        self.parameters = parameters if parameters is not None else self._told
        self.link = link
        self.snapshot: Snapshot | None = None
        self.state: CraftState | None = None
        self.link_values: Mapping[str, Any] = {}
        self.trace = Trace()
        self.events: deque[Numbered] = deque(maxlen=MOST_EVENTS)
        self.lives: dict[int, list[CommandStage]] = {}
        """Last commands by number, oldest first, each with its last stages."""
        self.event_count = 0
        self._taken_ns = 0
        self._parameters: Mapping[str, Value] | None = None

    def feed(self, message: Message, now_ns: int) -> None:
        """Take one message of the port in; those that say nothing to a shell are passed over."""
        if isinstance(message, Snapshot):
            self.snapshot, self._taken_ns = message, now_ns
            self.trace.add(message.t_ns, message.values)
        elif isinstance(message, EventNote):
            self.event_count += 1
            self.events.append(Numbered(self.event_count, message))
        elif isinstance(message, CommandStage):
            self._remember(message)
        elif isinstance(message, CraftState):
            self.state = message
        elif isinstance(message, LinkReport):
            self.link_values = message.telemetry
        elif isinstance(message, ParameterValues):
            self._parameters = message.values

    def value(self, name: str) -> Any:
        """A channel of the newest snapshot; ``None`` is missing."""
        return None if self.snapshot is None else self.snapshot.values.get(name)

    def flight_ns(self, now_ns: int) -> int | None:
        """Flight time now, by the newest snapshot and its age; ``None`` before the first."""
        age = self.age_ns(now_ns)
        return None if age is None or self.snapshot is None else self.snapshot.t_ns + age

    def age_ns(self, now_ns: int) -> int | None:
        """How long ago the newest snapshot came in."""
        return None if self.snapshot is None else max(0, now_ns - self._taken_ns)

    @property
    def start(self) -> int | None:
        """Number of the craft's start, where it keeps count."""
        found = self.value("start")
        if isinstance(found, int | float) and not isinstance(found, bool):
            return int(found)
        return None if self.state is None else self.state.start

    def fault_names(self) -> list[str]:
        """Faults that are known by name: of the table, and of what telemetry tells."""
        names = dict.fromkeys(self.craft.faults)
        for channel in ("fault_worst", "fault_trips", "faults"):
            found = self.value(channel)
            names.update(dict.fromkeys(map(str, found) if isinstance(found, Mapping | list | tuple) else ()))
        return sorted(names)

    def names_in(self, channel: str) -> list[str]:
        """Names that a table or list of telemetry has, such as loads, peers, sequences."""
        found = self.value(channel)
        return sorted(map(str, found)) if isinstance(found, Mapping | list | tuple) else []

    def _told(self) -> Mapping[str, Value] | None:
        return self._parameters

    def _remember(self, stage: CommandStage) -> None:
        life = self.lives.setdefault(stage.number, [])
        life.append(stage)
        del life[:-MOST_STAGES]
        while len(self.lives) > MOST_LIVES:
            del self.lives[next(iter(self.lives))]


def find_channel(column: str) -> tuple[Channel, tuple[str | int, ...]] | None:
    """The channel of a column such as ``temperature_c.battery`` or ``rate_rad_s[0]``, and the steps into it."""
    head = _HEAD.match(column)
    channel = None if head is None else CHANNELS.get(head.group())
    if head is None or channel is None:
        return None
    steps: list[str | int] = []
    position = head.end()
    while position < len(column):
        step = _STEPS.match(column, position)
        if step is None or len(steps) >= 4:
            return None
        steps.append(step.group(1) if step.group(1) is not None else int(step.group(2)))
        position = step.end()
    return channel, tuple(steps)


def pick(value: Any, steps: tuple[str | int, ...]) -> Any:
    """A component of a value; ``None`` where it has no such thing."""
    for step in steps:
        if isinstance(step, int):
            value = value[step] if isinstance(value, list | tuple) and step < len(value) else None
        else:
            value = value.get(step) if isinstance(value, Mapping) else None
    return value
