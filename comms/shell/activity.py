"""What goes on by itself until it is ended: a watch of channels, events as they come. Each drawing is bounded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from comms.dictionary import Channel
from comms.shell.answers import Scene, event_lines
from comms.shell.show import seconds, with_unit
from comms.shell.view import CraftView, pick

__all__ = ["Activity", "Follow", "Watch"]

NS = 1_000_000_000
MOST_AT_ONCE = 4
"""Events that are written in one step."""


class Activity(Protocol):
    """Something that goes on."""

    def due(self, now_ns: int) -> bool:
        """Whether there is something to draw."""

    def skip(self, now_ns: int) -> bool:
        """The reader has not taken the drawing before: whether one is left out for that."""

    def draw(self, scene: Scene, live: bool) -> list[str]:
        """Text to write, line ends included; ``live``: on a terminal."""


class Watch:
    """Values at a rate: in place on a terminal, one line each elsewhere."""

    def __init__(self, columns: Sequence[tuple[str, Channel, tuple[str | int, ...]]], rate_hz: float) -> None:
        self._columns = columns
        self._period_ns = round(NS / rate_hz)
        self._next_ns: int | None = None
        self._lines = 0
        self._skipped = 0

    def due(self, now_ns: int) -> bool:
        """See Activity."""
        return self._next_ns is None or now_ns >= self._next_ns

    def skip(self, now_ns: int) -> bool:
        """See Activity."""
        self._next_ns = now_ns + self._period_ns
        self._skipped += 1
        return True

    def draw(self, scene: Scene, live: bool) -> list[str]:
        """See Activity."""
        self._next_ns = scene.now_ns + self._period_ns
        view = scene.view
        values = [(name, self._word(view, channel, steps)) for name, channel, steps in self._columns]
        t_ns = None if view.snapshot is None else view.snapshot.t_ns
        if not live:
            words = "  ".join(f"{name} {value}" for name, value in values)
            return [f"t {seconds(t_ns)}  {words}\n"]
        width = max(len(name) for name, _ in values)
        lines = [f"{name:{width}}  {value}" for name, value in values[:max(1, scene.rows - 2)]]
        old = view.age_ns(scene.now_ns)
        late = f", {seconds(old, 1)} old" if old is not None and old > 2 * NS else ""
        skipped = f", {self._skipped} pictures left out" if self._skipped else ""
        lines.append(f"t {seconds(t_ns)}{late}, {NS / self._period_ns:g} Hz{skipped}; q ends")
        up = f"\x1b[{self._lines}A" if self._lines else ""
        self._lines = len(lines)
        return [up + "".join(f"\r{_cut(line, scene.columns)}\x1b[K\r\n" for line in lines)]

    def _word(self, view: CraftView, channel: Channel, steps: tuple[str | int, ...]) -> str:
        value: Any = pick(view.value(channel.name), steps)
        return with_unit(value, channel.unit, 5)


class Follow:
    """Events as they come."""

    def __init__(self, view: CraftView) -> None:
        self._view = view
        self._seen = view.event_count

    def due(self, now_ns: int) -> bool:  # noqa: ARG002
        """See Activity."""
        return self._view.event_count > self._seen

    def skip(self, now_ns: int) -> bool:  # noqa: ARG002
        """See Activity. Nothing is lost by waiting, as long as the view keeps the events."""
        return False

    def draw(self, scene: Scene, live: bool) -> list[str]:
        """See Activity."""
        end = "\r\n" if live else "\n"
        kept = [entry for entry in scene.view.events if entry.number > self._seen]
        lines: list[str] = []
        if kept and kept[0].number > self._seen + 1:
            lines.append(f"[{kept[0].number - self._seen - 1} events left out: more came than were read]{end}")
        for entry in kept[:MOST_AT_ONCE]:
            lines += [line + end for line in event_lines(entry.message, scene.columns)]
            self._seen = entry.number
        return lines


def _cut(line: str, columns: int) -> str:
    return line if len(line) < columns else line[:columns - 4] + "..."
