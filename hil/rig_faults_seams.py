"""Seams between the world and a chip: where a fault of the rig changes what the chip is told.

Either a method that the rig calls (:class:`Ear`) or an attribute that it sets (:class:`Eye`); every byte on the bus is
still the chip's own. Two faults of one kind on one thing: the later one holds, and the end of the earlier one changes
nothing of it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hil.rig import Rig

__all__ = ["Act", "Ear", "Eye", "Start", "first", "heard", "held", "shown"]

Start = Callable[["Rig"], Callable[[], None]]
"""Starts a checked fault on a rig; returns what ends it."""
Act = Callable[["Rig"], None]


class Ear:
    """A method by which the rig tells a chip of the world, with faults in between, oldest first."""

    __slots__ = ("changes", "tell")

    def __init__(self, tell: Callable[..., Any]) -> None:
        self.tell = tell
        self.changes: dict[str, Callable[..., tuple[Any, ...]]] = {}

    def __call__(self, *told: Any) -> Any:
        for change in self.changes.values():
            told = change(*told)
        return self.tell(*told)


class Eye:
    """An attribute by which the rig shows a chip the world, with faults in between, oldest first.

    Looked at after every move of the world: what the rig has set since then is what is true.
    """

    __slots__ = ("_chip", "_name", "_shown", "_true", "changes")

    def __init__(self, rig: Rig, chip: Any, name: str) -> None:
        self._chip, self._name = chip, name
        self._shown: Any = None
        self._true = getattr(chip, name)
        self.changes: dict[str, Callable[[Any], Any]] = {}
        # Its millisecond is always over, so it comes after all others in every move.
        rig.every(1, self._look)

    def _look(self, _t_ns: int) -> None:
        value = getattr(self._chip, self._name)
        if value is not self._shown:
            self._true = value
            self.show()

    def show(self) -> None:
        """Show what is true, as the faults have it."""
        shown = self._true
        for change in self.changes.values():
            shown = change(shown)
        self._shown = shown
        setattr(self._chip, self._name, shown)


def held(thing: str, begin: Callable[[Rig], None], end: Callable[[Rig], None]) -> Start:
    """A fault that holds ``thing`` from its start until it ends or another takes its place."""

    def start(rig: Rig) -> Callable[[], None]:
        token = rig.held[thing] = object()
        begin(rig)

        def stop() -> None:
            if rig.held.get(thing) is token:
                del rig.held[thing]
                end(rig)

        return stop

    return start


def heard(fault: str, part: Callable[[Rig], Any], method: str, make: Callable[[Rig], Callable[..., Any]]) -> Start:
    """Change what a method of a part is called with."""

    def begin(rig: Rig) -> None:
        own = vars(part(rig))
        if method not in own:
            own[method] = Ear(getattr(part(rig), method))
        own[method].changes[fault] = make(rig)

    def end(rig: Rig) -> None:
        own = vars(part(rig))
        del own[method].changes[fault]
        if not own[method].changes:
            del own[method]

    return held(fault, begin, end)


def shown(fault: str, device: str, attribute: str, make: Callable[[Rig], Callable[[Any], Any]]) -> Start:
    """Change what a chip is shown in an attribute."""

    def eye(rig: Rig) -> Eye:
        key = f"{device} sees {attribute}"
        found = rig.held.get(key)
        if not isinstance(found, Eye):
            found = rig.held[key] = Eye(rig, rig.chips[device], attribute)
        return found

    def begin(rig: Rig) -> None:
        eye(rig).changes[fault] = make(rig)
        eye(rig).show()

    def end(rig: Rig) -> None:
        del eye(rig).changes[fault]
        eye(rig).show()

    return held(fault, begin, end)


def first(_rig: Rig) -> Callable[[Any], Any]:
    """Repeats what it saw first."""
    kept: list[Any] = []

    def repeat(value: Any) -> Any:
        if not kept:
            kept.append(value)
        return kept[0]

    return repeat
