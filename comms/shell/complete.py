"""What may stand where the cursor is: commands, arguments, choices, channels, parameters, faults, loads.

All of it from the dictionary and from what telemetry has told, so a completion is never a name that does not exist.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import Enum, auto, unique

from comms.dictionary import CHANNELS, COMMANDS, Argument, Kind
from comms.parameters import SCHEMA, ParameterKind
from comms.shell.editor import Completion
from comms.shell.view import CraftView, find_channel
from comms.shell.words import FLAGS, OPTIONS, ShellRefused, by_place, split_words

__all__ = ["Completer", "Names"]

NOTHING = Completion(0, ())


@unique
class Names(Enum):
    """What the words behind a word of the shell are."""

    NOTHING = auto()
    CHANNELS = auto()
    COMMANDS = auto()
    PARAMETERS = auto()
    TOPICS = auto()
    ORDER = auto()
    """A command with its arguments."""
    WORDS = auto()
    """Another word of the shell."""


_NAMED_BY: dict[tuple[str, str], str] = {
    ("load", "name"): "loads", ("load_clear", "name"): "loads", ("link_drop", "peer"): "link_peers",
    ("channel_close", "name"): "link_channels", ("sequence_start", "name"): "sequences",
    ("file_suspend", "transaction"): "files", ("file_resume", "transaction"): "files",
    ("file_cancel", "transaction"): "files",
}
"""Arguments that are names in a channel of telemetry."""
_FAULTS = (("monitor_enable", "name"), ("fault_clear", "name"))


class Completer:
    """Completions for the text before a cursor.

    Args:
        view: the craft.
        words: words of the shell itself, and what stands behind each.
        options: words that may stand behind some of them, such as ``-f``.
    """

    def __init__(
        self, view: CraftView, words: Mapping[str, Names], options: Mapping[str, tuple[str, ...]] | None = None
    ) -> None:
        self._view = view
        self._words = words
        self._options = {} if options is None else options

    def __call__(self, before: str) -> Completion:
        """See ``Completion``. Never raises."""
        try:
            words = split_words(before, whole=False)
        except ShellRefused:
            return NOTHING
        start = words[-1].start if words and words[-1].end == len(before) else len(before)
        done = [word.text for word in words if word.end <= start]
        return self._behind(done, before[start:], start)

    def _behind(self, done: list[str], typed: str, start: int) -> Completion:
        if not done:
            return _matching(start, typed, [*self._words, *COMMANDS])
        kind = self._words.get(done[0])
        if kind is None:
            return self._argument(done, typed, start)
        if kind is Names.ORDER:
            if len(done) == 1:
                return _matching(start, typed, COMMANDS)
            return self._argument(done[1:], typed, start)
        if kind is Names.WORDS:
            return self._behind(done[1:], typed, start) if len(done) > 1 else _matching(start, typed, self._words)
        if kind is Names.CHANNELS:
            return self._channel(typed, start)
        sources: dict[Names, Iterable[str]] = {
            Names.COMMANDS: COMMANDS, Names.PARAMETERS: SCHEMA.by_name,
            Names.TOPICS: [*self._words, *COMMANDS, *CHANNELS, *SCHEMA.by_name], Names.NOTHING: (),
        }
        return _matching(start, typed, [*sources[kind], *self._options.get(done[0], ())])

    def _channel(self, typed: str, start: int) -> Completion:
        found = find_channel(typed.rstrip(".[")) if typed else None
        if found is None or found[0].name not in typed:
            return _matching(start, typed, CHANNELS)
        channel = found[0]
        value = self._view.value(channel.name)
        inner: list[str] = []
        if isinstance(value, Mapping):
            inner = [f"{channel.name}.{key}" for key in value]
        elif channel.kind in (Kind.VECTOR3, Kind.QUATERNION):
            inner = [f"{channel.name}[{index}]" for index in range(3 if channel.kind is Kind.VECTOR3 else 4)]
        names = [name for name in CHANNELS if name.startswith(typed)]
        return _matching(start, typed, [*names, *inner])

    def _argument(self, done: list[str], typed: str, start: int) -> Completion:
        command = COMMANDS.get(done[0])
        if command is None:
            return NOTHING
        name, sign, value = typed.partition("=")
        if sign:
            argument = next((a for a in command.arguments if a.name == name), None)
            return _matching(start + len(name) + 1, value, self._values(command.name, name, argument, done))
        named = {word.partition("=")[0] for word in done[1:] if "=" in word}
        left = [a for a in command.arguments if a.name not in named]
        placed = by_place(command)
        positional = sum("=" not in word for word in done[1:])
        given = {a.name for a in placed[:positional]}
        names = [f"{a.name}=" for a in left if a.name not in given]
        values: list[str] = []
        if not named and positional < len(placed):
            argument = placed[positional]
            values = self._values(command.name, argument.name, argument, done)
        # An option of every order is only offered where nothing else is left to say.
        found = _matching(start, typed, [*values, *names])
        if not found.candidates and typed:
            found = _matching(start, typed, [f"{option}=" for option in OPTIONS])
        closed = not (len(found.candidates) == 1 and found.candidates[0].endswith("="))
        return found._replace(closed=closed)

    def _values(self, command: str, name: str, argument: Argument | None, done: list[str]) -> list[str]:
        if argument is None:
            return list(FLAGS) if name == OPTIONS[0] else []
        if argument.kind is Kind.FLAG:
            return ["true", "false"]
        if argument.choices:
            return list(argument.choices)
        if (command, name) == ("param_set", "value"):
            return _parameter_values(done)
        if (command, name) == ("param_set", "name"):
            return list(SCHEMA.by_name)
        if (command, name) in _FAULTS:
            return self._view.fault_names()
        channel = _NAMED_BY.get((command, name))
        return [] if channel is None else self._view.names_in(channel)


def _parameter_values(done: list[str]) -> list[str]:
    words = [word.partition("=")[2] if "=" in word else word for word in done[1:]]
    parameter = next((SCHEMA.by_name[word] for word in words if word in SCHEMA.by_name), None)
    if parameter is None:
        return []
    choices = ["true", "false"] if parameter.kind is ParameterKind.FLAG else list(parameter.choices)
    return [*choices, "default"]


def _matching(start: int, typed: str, names: Iterable[str]) -> Completion:
    return Completion(start, tuple(sorted({name for name in names if name.startswith(typed)})))
