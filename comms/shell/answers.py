"""What can be looked at: each word of the shell that reads, with its help, and its answer as lines and as JSON.

None of them changes anything, asks the craft for anything, or takes longer than its bound of lines.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from comms.dictionary import CHANNELS, COMMANDS, Authority, Kind
from comms.flight_port import CommandStage, EventNote
from comms.parameters import SCHEMA
from comms.shell.complete import Names
from comms.shell.help import help_on, least_confirmation, summary
from comms.shell.overview import STALE_NS, overview
from comms.shell.plot import draw
from comms.shell.show import MISSING, fold, listed, plain, rows, seconds, shown, with_unit
from comms.shell.trace import DEPTHS, numbers_in
from comms.shell.view import CraftView, find_channel, pick
from comms.shell.words import ShellRefused, alike

__all__ = ["MOST_COLUMNS", "WORDS", "Answer", "Scene", "ShellWord", "channel_of", "event_lines", "stage_words"]

MOST_COLUMNS = 16
"""Channels that one line may name."""
MOST_LISTED = 100
PLOT_ROWS = 14
MOST_PLOTS = 4
MOST_SAMPLES = 300
"""Samples of a plot as JSON."""
NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Scene:
    """What an answer may look at. ``plain``: ASCII only."""

    view: CraftView
    now_ns: int
    columns: int
    rows: int
    plain: bool
    peer: str | None
    authority: Authority
    how: str
    """Way in, such as ``socket``."""
    since_ns: int
    """When the session began."""
    typed: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """Lines to show; the same for a program; whether what was asked for was done."""

    lines: Sequence[str] = ()
    rows: Any = None
    good: bool = True


Run = Callable[[Scene, list[str]], Answer]


@dataclass(frozen=True, slots=True)
class ShellWord:
    """One word of the shell. ``run`` answers it; without one the session itself does."""

    usage: str
    text: str
    run: Run | None = None
    names: Names = Names.NOTHING
    options: tuple[str, ...] = field(default=())


def _help(scene: Scene, words: list[str]) -> Answer:
    lines = help_on(words[0], scene.columns, _usages()) if words else summary(
        scene.columns, None if scene.peer is None else scene.authority, _usages()
    )
    return Answer([line for text in lines for line in fold(text, scene.columns, 2)])


def _usages() -> Mapping[str, tuple[str, str]]:
    return {name: (word.usage, word.text) for name, word in WORDS.items()}


def _status(scene: Scene, words: list[str]) -> Answer:
    _none_of(words)
    values = None if scene.view.snapshot is None else dict(scene.view.snapshot.values)
    return Answer(overview(scene.view, scene.now_ns, scene.columns), values)


def _get(scene: Scene, words: list[str]) -> Answer:
    if not words or len(words) > MOST_COLUMNS:
        raise ShellRefused(f"get CHANNEL ...: 1 to {MOST_COLUMNS} channels; channels lists them")
    table: list[tuple[str, str]] = []
    found: dict[str, Any] = {}
    for word in words:
        channel, steps = channel_of(word)
        value = found[word] = pick(scene.view.value(channel.name), steps)
        if isinstance(value, Mapping) and value:
            table += [(f"{word}.{plain(key)}", with_unit(item, channel.unit)) for key, item in value.items()]
        else:
            table.append((word, with_unit(value, channel.unit)))
    lines = rows(table[:MOST_LISTED], scene.columns)
    age = scene.view.age_ns(scene.now_ns)
    if scene.view.snapshot is None:
        lines.append("no telemetry yet")
    elif age is not None and age >= STALE_NS:
        lines.append(f"telemetry is {seconds(age, 1)} old")
    return Answer(lines, found)


def _channels(scene: Scene, words: list[str]) -> Answer:
    part = words[0].lower() if words else ""
    table = [(c.name, c.unit, c.text) for c in CHANNELS.values() if part in c.name or part in c.text.lower()]
    if not table:
        raise ShellRefused(f"no channel has {part[:32]!r} in its name or text; channels lists all")
    return Answer(rows(table, scene.columns, cut=True), [{"name": n, "unit": u, "text": t} for n, u, t in table])


def _plot(scene: Scene, words: list[str]) -> Answer:
    if not 1 <= len(words) <= 2:
        raise ShellRefused("plot CHANNEL [SECONDS]")
    longest = DEPTHS[-1].period_ns * DEPTHS[-1].rows / NS
    span_s = 60.0 if len(words) == 1 else _number("seconds", words[1], 1.0, longest)
    channel, steps = channel_of(words[0])
    value = pick(scene.view.value(channel.name), steps)
    columns = [name for name, _ in numbers_in({words[0]: value})]
    if len(columns) > MOST_PLOTS:
        raise ShellRefused(f"{words[0]} has {len(columns)} numbers; give one of them, such as {columns[0]}")
    if not columns:
        if isinstance(value, str | Mapping) or channel.kind in (Kind.TEXT, Kind.CHOICE, Kind.TABLE, Kind.LIST):
            raise ShellRefused(f"{words[0]} is no number; give a component, such as temperature_c.battery")
        parts = {Kind.VECTOR3: 3, Kind.QUATERNION: 4}.get(channel.kind, 0) if not steps else 0
        columns = [f"{words[0]}[{index}]" for index in range(parts)] or [words[0]]
    height = max(6, min(PLOT_ROWS, (scene.rows - 2) // len(columns)))
    lines: list[str] = []
    series: dict[str, Any] = {}
    for column in columns:
        times, values, period_ns = scene.view.trace.series(column, span_s)
        lines += draw(column, channel.unit, times, values, span_s, period_ns, scene.columns - 1, height,
                      plain=scene.plain)
        every = max(1, -(-len(times) // MOST_SAMPLES))
        series[column] = {"t_s": [t_ns / NS for t_ns in times[::every]], "values": values[::every]}
    return Answer(lines, {"unit": channel.unit, "series": series})


def _events(scene: Scene, words: list[str]) -> Answer:
    count = int(_number("events", words[0], 1, MOST_LISTED)) if words else 10
    newest = list(scene.view.events)[-count:]
    lines = [line for entry in newest for line in event_lines(entry.message, scene.columns)]
    left_out = scene.view.event_count - len(newest)
    if left_out > 0:
        lines.append(f"{left_out} earlier ones since start")
    found = [{"t_s": e.t_ns / NS, "severity": e.severity, "code": e.code, "text": e.text}
             for e in (entry.message for entry in newest)]
    return Answer(lines or ["no events yet"], found)


def event_lines(event: EventNote, columns: int) -> list[str]:
    """One event, folded if it is longer than the terminal is wide."""
    text = f"{event.t_ns / NS:10.2f} s  {plain(event.severity):8}  {plain(event.code)}  {plain(event.text)}"
    return fold(text.rstrip(), columns, 14)


def _faults(scene: Scene, words: list[str]) -> Answer:
    _none_of(words)
    get = scene.view.value
    standing, trips, worst = get("faults"), get("fault_trips"), get("fault_worst")
    if standing is None and trips is None:
        return Answer([f"faults {MISSING}"], None)
    stand = scene.view.names_in("faults")
    trips = trips if isinstance(trips, Mapping) else {}
    worst = worst if isinstance(worst, Mapping) else {}
    lines = [f"standing: {listed(stand)}"]
    table = [("fault", "now", "trips", "worst value")]
    names = sorted({*stand, *map(str, trips)})
    table += [(plain(n), "stands" if n in stand else "-", shown(trips.get(n, 0)), shown(worst.get(n))) for n in names]
    lines += rows(table, scene.columns) if len(table) > 1 else ["no fault has tripped since its counters were reset"]
    return Answer(lines, {"standing": stand, "trips": dict(trips), "worst": dict(worst)})


def _commands(scene: Scene, words: list[str]) -> Answer:
    _none_of(words)
    keyed = scene.peer is not None
    table = [("command", "who", "you", "what")]
    found = []
    for command in COMMANDS.values():
        may = keyed and scene.authority.covers(command.authority)
        table.append((command.name, command.authority.value, "may" if may else "no", command.text))
        found.append({"name": command.name, "authority": command.authority.value, "allowed": may,
                      "confirmation": least_confirmation(command), "text": command.text})
    return Answer(rows(table, scene.columns, cut=True), found)


def _orders(scene: Scene, words: list[str]) -> Answer:
    _none_of(words)
    table = [("number", "command", "from", "since", "stage")]
    found = []
    for number, life in scene.view.lives.items():
        last = next((stage for stage in reversed(life) if stage.stage != "audited"), life[-1])
        table.append((str(number), plain(last.name), plain(last.sender), seconds(last.t_ns), stage_words(last)))
        found.append({"number": number, "name": last.name, "sender": last.sender, "t_s": last.t_ns / NS,
                      "stage": last.stage, "codes": list(last.codes), "detail": last.detail})
    return Answer(rows(table, scene.columns) if len(table) > 1 else ["no orders yet"], found)


def stage_words(stage: CommandStage) -> str:
    """A stage with its codes and words."""
    codes = f" {', '.join(map(plain, stage.codes))}" if stage.codes else ""
    return f"{plain(stage.stage)}{codes}" + (f": {plain(stage.detail)}" if stage.detail else "")


def _params(scene: Scene, words: list[str]) -> Answer:
    _none_of(words)
    values = scene.view.parameters() or {}
    table = [("parameter", "now", "default", "allowed", "who", "counts")]
    found = []
    for p in SCHEMA.parameters:
        table.append((p.name, shown(values.get(p.name)), shown(p.default), p.allowed, p.authority.value,
                      p.effect.value))
        found.append({"name": p.name, "value": values.get(p.name), "default": p.default, "unit": p.unit})
    return Answer(rows(table, scene.columns), found)


def _param(scene: Scene, words: list[str]) -> Answer:
    if len(words) != 1:
        raise ShellRefused("param NAME; params lists them")
    p = SCHEMA.by_name.get(words[0])
    if p is None:
        raise ShellRefused(f"no parameter {words[0][:64]!r}; params lists them")
    value = (scene.view.parameters() or {}).get(p.name)
    table = [
        (p.name, p.text), ("now", with_unit(value, p.unit)), ("default", with_unit(p.default, p.unit)),
        ("allowed", p.allowed), ("who", p.authority.value), ("counts", p.effect.value),
    ]
    return Answer(rows(table, scene.columns), {"name": p.name, "value": value, "default": p.default, "unit": p.unit})


def _history(scene: Scene, words: list[str]) -> Answer:
    _none_of(words)
    return Answer([f"{number:4}  {plain(line)}" for number, line in enumerate(scene.typed, 1)], list(scene.typed))


def _uptime(scene: Scene, words: list[str]) -> Answer:
    _none_of(words)
    flight_ns = scene.view.flight_ns(scene.now_ns)
    here_ns = scene.now_ns - scene.since_ns
    start = scene.view.start
    lines = rows([
        ("flight time", seconds(flight_ns)), ("start", MISSING if start is None else str(start)),
        ("this session", seconds(here_ns)), ("telemetry age", seconds(scene.view.age_ns(scene.now_ns))),
    ], scene.columns)
    return Answer(lines, {"flight_s": None if flight_ns is None else flight_ns / NS, "start": start,
                          "session_s": here_ns / NS})


def _whoami(scene: Scene, words: list[str]) -> Answer:
    _none_of(words)
    if scene.peer is None:
        lines = [f"nobody with a key, over {plain(scene.how)}: viewer, read only"]
    else:
        lines = [f"{plain(scene.peer)}, over {plain(scene.how)}: {scene.authority}"]
    return Answer(lines, {"peer": scene.peer, "authority": scene.authority.value, "over": scene.how,
                          "read_only": scene.peer is None})


def channel_of(word: str) -> tuple[Any, tuple[str | int, ...]]:
    """Channel and steps of a column. Raises ShellRefused with names that are alike."""
    found = find_channel(word)
    if found is not None:
        return found
    raise ShellRefused(f"no channel {plain(word)[:64]!r}; {alike(word, CHANNELS, 'channels lists them')}")


def _number(what: str, text: str, low: float, high: float) -> float:
    try:
        value = float(text) if len(text) < 32 else -1.0
    except ValueError:
        value = -1.0
    if not low <= value <= high:
        raise ShellRefused(f"{what} is {plain(text)[:32]!r}; {low:g}..{high:g} is allowed")
    return value


def _none_of(words: list[str]) -> None:
    if words:
        raise ShellRefused(f"{plain(words[0])[:32]!r} is not understood here; nothing stands behind this word")


WORDS: dict[str, ShellWord] = {
    "help": ShellWord("help [NAME]", "what there is; more on a command, channel or parameter", _help, Names.TOPICS),
    "status": ShellWord("status", "the craft on one screen", _status),
    "get": ShellWord("get CHANNEL ...", "newest values, with units", _get, Names.CHANNELS),
    "channels": ShellWord("channels [PART]", "telemetry channels, all or those with PART in name or text", _channels),
    "watch": ShellWord("watch CHANNEL ... [HZ]", "values as they change; q or Ctrl-C ends it", None, Names.CHANNELS),
    "plot": ShellWord("plot CHANNEL [SECONDS]", "the last 60 s, or up to 1800", _plot, Names.CHANNELS),
    "events": ShellWord("events [N|-f]", "the last events, or (-f) those that come", _events, options=("-f",)),
    "faults": ShellWord("faults", "faults that stand, and those that have tripped", _faults),
    "commands": ShellWord("commands", "every command, who may give it, and whether you may", _commands),
    "orders": ShellWord("orders", "the last commands of anybody, and where they stand", _orders),
    "params": ShellWord("params", "every parameter", _params),
    "param": ShellWord("param NAME", "one parameter", _param, Names.PARAMETERS),
    "send": ShellWord("send COMMAND ...", "give a command; its name alone does the same", None, Names.ORDER),
    "history": ShellWord("history", "lines of this session", _history),
    "uptime": ShellWord("uptime", "flight time, start of the craft, age of telemetry", _uptime),
    "whoami": ShellWord("whoami", "your key and its role", _whoami),
    "terminal": ShellWord("terminal [HOW ...]", "how it writes: echo, lines, script; 100x30; ascii, utf8", None,
                          options=("ascii", "echo", "lines", "script", "utf8")),
    "json": ShellWord("json WORD ...", "the answer of another word as one line of JSON", None, Names.WORDS),
    "quit": ShellWord("quit", "end this session; Ctrl-D does too", None),
}
"""Every word of the shell itself."""
