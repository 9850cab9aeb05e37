"""The flight on a terminal while it flies: one screen from 80 x 24 up, or one line each ten seconds elsewhere.

What is missing is shown as missing. Nothing here asks for the time or runs by itself: whoever flies calls ``update``,
as often as the terminal shall change.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import degrees
from types import TracebackType
from typing import Any, Protocol

from rich.console import Console, Group, RenderableType
from rich.layout import Layout
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from fdir.codes import Severity
from hal.frames import euler_from_quaternion

__all__ = ["FlightDisplay", "LiveEvent", "LiveState", "LiveView", "PlainProgress", "display", "render"]

Vec3 = tuple[float, float, float]
LiveEvent = tuple[float, str, str, str]
"""Time in s, severity, code, text."""

WIDE = 112
"""Columns from which on energy and heat have a panel each."""
MOTION_WIDTH = 42
BODY_ROWS = 7
NOZZLES_A_ROW = 8
PLAIN_PERIOD_S = 10.0
MISSING = "missing"
BLANK = "-"
SEVERITY_STYLE = {Severity.INFO: "", Severity.WARNING: "yellow", Severity.CRITICAL: "bold red"}
MOTION_STYLE = {"Burn": "bold red", "Brake": "bold yellow", "SAFE": "black on yellow", "Boot": "dim", "Coast": "green"}
ON_STYLES = ("#000000 on #a9d3f0", "#000000 on #5aa5d8", "bold #ffffff on #1f6fb0", "bold #000000 on #f0a050")
"""Cells of a nozzle: up to a quarter of the window, a half, three quarters, all of it."""


@dataclass(frozen=True, slots=True)
class LiveState:
    """One moment of a flight, ready to be shown. ``None`` is missing."""

    mission: str
    body: str
    board: str
    seed: int | None
    t_s: float
    duration_s: float
    step_index: int
    """From 0; equal to ``step_count`` after the last."""
    step_count: int
    step: str
    phase: str
    motion: str
    emission: str
    safe: str
    attitude_deg: Vec3 | None
    """Roll, pitch, yaw."""
    attitude_error_deg: float | None
    position_error_m: float | None
    rate_deg_s: Vec3 | None
    position_m: Vec3 | None
    velocity_m_s: Vec3 | None
    sigma_attitude_deg: float | None
    sigma_position_m: float | None
    soc_battery: float | None
    soc_supercap: float | None
    bus_voltage_v: float | None
    bus_current_a: float | None
    temperatures_c: Mapping[str, float | None]
    on_ms: tuple[int, ...]
    """Pulse of each nozzle in the current window."""
    window_ms: int
    masked: frozenset[int]
    propellant_kg: float | None
    propellant_full_kg: float
    speed: float | None
    """How many times faster than real time."""
    slips: int
    lost_ticks: int
    tick_p50_us: float | None
    tick_p99_us: float | None
    bus_failures: int
    events: tuple[LiveEvent, ...]
    """Newest last."""

    @property
    def share(self) -> float:
        """How much of the longest allowed flight time has been flown, 0..1."""
        return min(1.0, max(0.0, self.t_s / self.duration_s)) if self.duration_s > 0.0 else 0.0

    @property
    def eta_s(self) -> float | None:
        """Wall time to the end of the longest allowed flight time at the present speed, s."""
        return max(0.0, self.duration_s - self.t_s) / self.speed if self.speed else None

    @classmethod
    def from_row(
        cls, row: Mapping[str, Any], *, mission: str, body: str, board: str, seed: int | None, duration_s: float,
        step_index: int, step_count: int, window_ms: int, propellant_full_kg: float, speed: float | None = None,
        slips: int = 0, lost_ticks: int = 0, tick_p50_us: float | None = None, tick_p99_us: float | None = None,
        events: Iterable[LiveEvent] = (),
    ) -> LiveState:
        """From a snapshot (the channels of ``comms.dictionary.TELEMETRY``) and what only the program knows."""
        get = row.get
        quaternion = get("quaternion")
        return cls(
            mission, body, board, seed, row["t_s"], duration_s, step_index, step_count, get("step") or "",
            get("phase") or "", get("motion") or "", get("emission") or "", get("safe") or "",
            None if quaternion is None else _in_degrees(euler_from_quaternion(tuple(quaternion))),
            _angle(get("attitude_error_rad")), get("position_error_m"), _in_degrees(get("rate_rad_s")),
            _vector(get("position_m")), _vector(get("velocity_m_s")), _angle(get("sigma_attitude_rad")),
            get("sigma_position_m"), get("soc_battery"), get("soc_supercap"), get("bus_voltage_v"),
            get("bus_current_a"), get("temperature_c") or {}, tuple(get("on_ms") or ()), window_ms,
            frozenset(get("masked_nozzles") or ()), get("propellant_kg"), propellant_full_kg, speed, slips, lost_ticks,
            tick_p50_us, tick_p99_us, get("bus_failures") or 0, tuple(events),
        )


def _vector(value: Sequence[float] | None) -> Vec3 | None:
    return None if value is None else (value[0], value[1], value[2])


def _in_degrees(value: Sequence[float] | None) -> Vec3 | None:
    return None if value is None else (degrees(value[0]), degrees(value[1]), degrees(value[2]))


def _angle(value: float | None) -> float | None:
    return None if value is None else degrees(value)


class FlightDisplay(Protocol):
    """What shows a flight: entered before it, updated during it, left after it."""

    def __enter__(self) -> FlightDisplay:
        """Begin to show."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the terminal back."""

    def update(self, state: LiveState) -> None:
        """Show this moment. The caller decides how often."""


class LiveView:
    """The screen. It takes the whole terminal and gives it back as it was."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console if console is not None else Console()
        self._live = Live(console=self._console, screen=True, auto_refresh=False, transient=True)

    def __enter__(self) -> LiveView:
        """See FlightDisplay."""
        self._live.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """See FlightDisplay."""
        self._live.__exit__(kind, error, trace)

    def update(self, state: LiveState) -> None:
        """See FlightDisplay."""
        size = self._console.size
        self._live.update(render(state, size.width, size.height, ascii_only=_ascii(self._console)), refresh=True)


class PlainProgress:
    """One line each ``period_s`` of flight, and one for each warning, where there is no terminal."""

    def __init__(self, console: Console | None = None, period_s: float = PLAIN_PERIOD_S) -> None:
        self._console = console if console is not None else Console()
        self._period_s = period_s
        self._next_s = 0.0
        self._told: frozenset[LiveEvent] = frozenset()
        self._told_s = float("-inf")

    def __enter__(self) -> PlainProgress:
        """See FlightDisplay."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """See FlightDisplay."""

    def update(self, state: LiveState) -> None:
        """See FlightDisplay."""
        # A state holds the newest events only, so those of the last update are enough to know what was told.
        for event in state.events:
            t_s, severity, code, text = event
            if t_s >= self._told_s and event not in self._told and severity != Severity.INFO:
                self._say(f"t={t_s:8.2f} s  {severity}: {code} {text}")
        self._told = frozenset(state.events)
        self._told_s = max((self._told_s, *(event[0] for event in state.events)))
        if state.t_s < self._next_s:
            return
        self._next_s = (state.t_s // self._period_s + 1.0) * self._period_s
        self._say(progress_line(state))

    def _say(self, line: str) -> None:
        self._console.print(Text(line), soft_wrap=True)


def progress_line(state: LiveState) -> str:
    """One moment in one line of plain text."""
    number = min(state.step_index + 1, state.step_count)
    return (
        f"t={state.t_s:8.2f} s  {100 * state.share:3.0f} %  x{_plain(state.speed, '.1f')}  "
        f"step {number}/{state.step_count} {state.step or 'done'}  {state.motion}  "
        f"pointing {_plain(state.attitude_error_deg, '.2f')} deg  position {_plain(state.position_error_m, '.2f')} m  "
        f"battery {_percent(state.soc_battery)}  supercap {_percent(state.soc_supercap)}  "
        f"slips {state.slips}  bus failures {state.bus_failures}"
    )


def display(console: Console | None = None) -> LiveView | PlainProgress:
    """The screen on a terminal that can show it, lines elsewhere (a pipe, a log, a dumb terminal)."""
    console = console if console is not None else Console()
    return LiveView(console) if console.is_terminal and not console.is_dumb_terminal else PlainProgress(console)


# -- the screen


def render(state: LiveState, width: int, height: int, ascii_only: bool = False) -> Layout:
    """The screen of one moment for a terminal of ``width`` x ``height``; made for 80 x 24 and more."""
    nozzle_rows = max(1, -(-len(state.on_ms) // NOZZLES_A_ROW))
    screen = Layout()
    body = Layout(size=BODY_ROWS + 2)
    foot = Layout(ratio=1)
    screen.split_column(Layout(_header(state, width, ascii_only), size=5), body,
                        Layout(_nozzles(state, width), size=nozzle_rows + 2), foot)
    if width >= WIDE:
        body.split_row(
            Layout(_motion(state), size=46),
            Layout(_panel(_energy(state, 16, ascii_only), _bus(state)), size=42),
            Layout(_panel(_heat(state, BODY_ROWS), "heat, deg C")),
        )
    else:
        right = Group(_energy(state, max(6, width - MOTION_WIDTH - 26), ascii_only), _heat(state, BODY_ROWS - 3))
        body.split_row(Layout(_motion(state), size=MOTION_WIDTH), Layout(_panel(right, _bus(state, "; heat, deg C"))))
    rows = max(1, height - 5 - (BODY_ROWS + 2) - (nozzle_rows + 2) - 2)
    foot.split_row(Layout(_events(state, rows), ratio=1), Layout(_timing(state), size=25))
    return screen


def _panel(content: RenderableType, title: str | Text) -> Panel:
    # As Text, so that a name with brackets isn't read as markup.
    text = Text(title) if isinstance(title, str) else title
    return Panel(content, title=text, title_align="left", border_style="blue", padding=(0, 1))


def _header(state: LiveState, width: int, ascii_only: bool) -> Panel:
    seed = "" if state.seed is None else f", seed {state.seed}"
    speed = Text(f"x{_plain(state.speed, '.1f')} real time", style="bold", no_wrap=True)
    step = Text(no_wrap=True, overflow="ellipsis")
    if state.step_index < state.step_count:
        step.append(f"step {state.step_index + 1}/{state.step_count} ")
        step.append(state.step, style="bold")
        step.append(f"  {state.phase}", style="dim")
    else:
        step.append(f"all {state.step_count} steps ended", style="bold")
    rows = Table.grid(expand=True)
    rows.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
    rows.add_column(justify="right", no_wrap=True)
    rows.add_row(Text(f"{state.body} on {state.board}{seed}", overflow="ellipsis", no_wrap=True), speed)
    eta = f"t {state.t_s:.1f} of {state.duration_s:.0f} s  {100 * state.share:.0f} %  left {_clock(state.eta_s)}"
    rows.add_row(_bar(state.share, max(8, width - len(eta) - 7), "cyan", ascii_only), Text(eta))
    mode = Text.assemble(
        (state.motion or BLANK, MOTION_STYLE.get(state.motion, "bold cyan")), ("  emission ", "dim"),
        state.emission or BLANK, "  ", (state.safe or BLANK, "dim" if state.safe == "safe_inactive" else "bold yellow"),
    )
    rows.add_row(step, mode)
    return _panel(rows, Text(state.mission, style="bold"))


def _motion(state: LiveState) -> Panel:
    table = Table.grid(padding=(0, 1), expand=True)
    table.add_column(style="dim", no_wrap=True)
    for _ in range(3):
        table.add_column(justify="right", no_wrap=True, min_width=7)
    table.add_column(style="dim", no_wrap=True)
    table.add_row("", *(Text(name, style="dim") for name in ("X", "Y", "Z")), "")
    table.add_row("attitude", *_components(state.attitude_deg, "+.2f"), "deg")
    table.add_row("rate", *_components(state.rate_deg_s, "+.3f"), "deg/s")
    table.add_row("position", *_components(state.position_m, "+.2f"), "m")
    table.add_row("velocity", *_components(state.velocity_m_s, "+.3f"), "m/s")
    table.add_row("error", _value(state.attitude_error_deg, ".3f"), Text("deg", style="dim", justify="left"),
                  _value(state.position_error_m, ".3f"), "m")
    table.add_row("sigma", _value(state.sigma_attitude_deg, ".3f"), Text("deg", style="dim", justify="left"),
                  _value(state.sigma_position_m, ".3f"), "m")
    return _panel(table, "motion (roll, pitch, yaw)")


def _bus(state: LiveState, more: str = "") -> Text:
    volts, amperes = _value(state.bus_voltage_v, ".2f"), _value(state.bus_current_a, ".2f")
    return Text.assemble("bus ", volts, " V, ", amperes, " A", more)


def _energy(state: LiveState, bar: int, ascii_only: bool) -> Table:
    table = Table.grid(padding=(0, 1))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, justify="right")
    left = state.propellant_kg
    share = None if left is None or state.propellant_full_kg <= 0.0 else left / state.propellant_full_kg
    for name, value, text, low in (
        ("battery", state.soc_battery, _percent(state.soc_battery), 0.2),
        ("supercap", state.soc_supercap, _percent(state.soc_supercap), 0.3),
        ("propellant", share, MISSING if left is None else f"{left:.2f} kg", 0.1),
    ):
        colour = "green" if value is None or value > low else "yellow"
        shown = Text(" " * bar) if value is None else _bar(value, bar, colour, ascii_only)
        table.add_row(name, shown, Text(text, style="yellow" if text == MISSING else ""))
    return table


def _heat(state: LiveState, rows: int) -> RenderableType:
    """Temperatures, column by column, in as many columns as the rows there are make necessary."""
    nodes = list(state.temperatures_c.items())
    if not nodes:
        return Text(f"temperatures {MISSING}", style="yellow")
    rows = min(rows, len(nodes))
    columns = -(-len(nodes) // rows)
    table = Table.grid(padding=(0, 1), expand=True)
    for _ in range(columns):
        table.add_column(style="dim", no_wrap=True, overflow="ellipsis", ratio=1)
        table.add_column(no_wrap=True, justify="right", min_width=5)
    for row in range(rows):
        cells: list[RenderableType] = []
        for name, value in nodes[row::rows]:
            cells += [name, _value(value, ".1f")]
        table.add_row(*cells)
    return table


def _nozzles(state: LiveState, width: int) -> Panel:
    table = Table.grid(padding=(0, 1), expand=True)
    for _ in range(NOZZLES_A_ROW):
        table.add_column(justify="center", ratio=1, no_wrap=True)
    cells = [_nozzle(state, n, max(6, (width - 4) // NOZZLES_A_ROW - 1)) for n in range(len(state.on_ms))]
    for start in range(0, len(cells), NOZZLES_A_ROW):
        table.add_row(*cells[start : start + NOZZLES_A_ROW])
    return _panel(table if cells else Text(MISSING, style="yellow"), "nozzles, ms on in this window")


def _nozzle(state: LiveState, nozzle: int, width: int) -> Text:
    on_ms = state.on_ms[nozzle]
    if nozzle in state.masked:
        return Text(f"{nozzle:2d} out".center(width), style="red strike" if not on_ms else "bold white on red")
    if not on_ms:
        return Text(f"{nozzle:2d}".ljust(width), style="dim")
    level = min(len(ON_STYLES) - 1, int(len(ON_STYLES) * on_ms / max(1, state.window_ms)))
    return Text(f"{nozzle:2d} {on_ms:3d}".center(width), style=ON_STYLES[level])


def _timing(state: LiveState) -> Panel:
    table = Table.grid(padding=(0, 1), expand=True)
    table.add_column(style="dim", no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    p50, p99 = _plain(state.tick_p50_us, ".0f"), _plain(state.tick_p99_us, ".0f")
    table.add_row("p50/p99 us", f"{p50}/{p99}")
    for name, count in (("slips", state.slips), ("lost ticks", state.lost_ticks), ("bus failures", state.bus_failures)):
        table.add_row(name, Text(str(count), style="yellow" if count else ""))
    return _panel(table, "ticks")


def _events(state: LiveState, rows: int) -> Panel:
    shown = state.events[-rows:]
    lines = [
        Text.assemble(
            (f"{t_s:7.1f} ", "dim"), (f"{code} {text}", SEVERITY_STYLE.get(Severity(severity), "")), no_wrap=True,
            overflow="ellipsis",
        )
        for t_s, severity, code, text in shown
    ]
    return _panel(Group(*lines) if lines else Text("none", style="dim"), "events")


# -- pieces


def _ascii(console: Console) -> bool:
    return console.options.ascii_only


def _bar(share: float, width: int, colour: str, ascii_only: bool) -> Text:
    full, part, empty = ("#", "", ".") if ascii_only else ("█", "▏▎▍▌▋▊▉", "░")
    eighths = round(min(1.0, max(0.0, share)) * width * 8)
    filled = full * (eighths // 8)
    if part and eighths % 8:
        filled += part[eighths % 8 - 1]
    return Text.assemble((filled, colour), (empty * (width - len(filled)), "dim"), no_wrap=True, overflow="crop")


def _plain(value: float | None, form: str) -> str:
    return BLANK if value is None else format(value, form)


def _percent(value: float | None) -> str:
    return MISSING if value is None else f"{100 * value:.0f} %"


def _value(value: float | None, form: str) -> Text:
    return Text(BLANK, style="dim") if value is None else Text(format(value, form))


def _components(vector: Vec3 | None, form: str) -> tuple[Text, Text, Text]:
    if vector is None:
        return (_value(None, form), _value(None, form), _value(None, form))
    return (_value(vector[0], form), _value(vector[1], form), _value(vector[2], form))


def _clock(seconds: float | None) -> str:
    if seconds is None:
        return BLANK
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
