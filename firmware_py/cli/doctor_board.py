"""``qiki doctor --board``: works through a board's checklist and shows it, section by section.

Exit code 0: nothing failed; 1: something did.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from firmware_py.cli.bench import BenchError, Opened, opened_buses, profile_of
from firmware_py.cli.tables import BAD, GOOD, STATUS_STYLE, WARN
from firmware_py.clock import RealClock, RealMeter
from firmware_py.doctor.bring_up import Section, check_buses, check_chips, failed, failed_first
from firmware_py.doctor.computer import inspect_computer
from firmware_py.doctor.exercise import Exercise, check_rates, check_tick, check_transfers, exercise
from firmware_py.doctor.jitter import check_jitter, measure_jitter
from firmware_py.doctor.kernel_side import check_clock, check_groups, check_modules, check_overlays, check_supply
from firmware_py.doctor.machine import Check, Machine, Status
from firmware_py.doctor.nodes import check_libraries
from firmware_py.probe import Prober
from hal.hardware import Hardware
from hal.profile import BoardConfig, ConfigError, Profile, load_board
from hal.recovery import ThreadWorker

__all__ = ["checklist_view", "doctor_board", "sections_of"]

NS = 1_000_000_000
LISTEN_NS = 5 * NS // 2
NAME_WIDTH, ALLOWED_WIDTH = 28, 26
"""Columns, on a terminal of 100."""
WIDE = 80
"""Columns from which on what is allowed stands beside what was found."""


def doctor_board(
    name: str, body: str | None, seconds: float, data_folder: Path, as_json: bool, machine: Machine | None = None
) -> int:
    """Work through the list of a board. Raises ConfigError for the board or its body."""
    board = load_board(name)
    profile = _profile(name, body)
    console = Console()
    sections: list[Section] = []
    made = sections_of(board, profile, Machine() if machine is None else machine, seconds, data_folder)
    if as_json:
        sections += made
        print(json.dumps(_as_json(sections), indent=1))
        return 1 if failed(sections) else 0
    console.print(Text(f"{board.board}: {board.description}", style="bold"))
    console.print()
    with console.status("looking at the computer ..."):
        for section in made:
            sections.append(section)
            console.print(section_view(section, console.width))
    console.print(checklist_view(board, sections))
    return 1 if failed(sections) else 0


def _profile(name: str, body: str | None) -> Profile | None:
    """The board with a body, for polling as in flight; ``None`` if no shipped one fits."""
    try:
        return profile_of(name, body)
    except (ConfigError, BenchError):
        if body is not None:
            raise
        return None


def sections_of(
    board: BoardConfig, profile: Profile | None, machine: Machine, seconds: float, data_folder: Path
) -> Iterator[Section]:
    """The list, section by section, as it is worked through; about ``seconds`` and ten more in all.

    Args:
        board: whose list it is.
        profile: with a body, for polling as in flight; ``None`` leaves that out.
        machine: the computer.
        seconds: for rates, and once more for jitter.
        data_folder: where the recorder will write.
    """
    clock = RealClock(epoch_ns=0, spin_us=0)
    computer = inspect_computer(board, machine, clock, data_folder)
    computer += [check_supply(machine), check_clock(board, machine)]
    yield Section("computer", [_skipped(check) for check in computer])
    kernel = [*check_overlays(board, machine), *check_modules(board, machine), check_groups(board, machine)]
    yield Section("kernel and rights", kernel + [_skipped(check) for check in check_libraries(board, machine)])
    with opened_buses(board, None) as opened:
        yield Section("buses", check_buses(board, opened.refusals))
        prober = Prober(board, opened.buses, opened.refusals, opened.clock, RealMeter(), LISTEN_NS)
        yield Section("chips", list(check_chips(prober.walk())))
        result = _exercised(profile, opened, seconds)
    if result is None:
        why = "no bus is open" if profile is not None else "no shipped body fits this board; name one with --body"
        yield Section("rates", [Check("polling as in flight", Status.SKIP, why)])
    else:
        yield Section("rates", check_rates(board, result))
        yield Section("transfers", [*check_transfers(board, result), check_tick(board, result)])
    yield Section("timing", [check_jitter(measure_jitter(board.rates.fast_hz, seconds, board.realtime))])


def _exercised(profile: Profile | None, opened: Opened, seconds: float) -> Exercise | None:
    if profile is None or not opened.buses:
        return None
    hardware = Hardware(profile, opened.complete, ThreadWorker)
    return exercise(hardware, opened.buses, profile.board, opened.clock, round(seconds * NS))


def _skipped(check: Check) -> Check:
    """What this computer does not show can't be judged here."""
    if check.status is not Status.MISSING:
        return check
    return Check(check.name, Status.SKIP, check.found, check.next_step, check.allowed)


def _as_json(sections: Sequence[Section]) -> list[dict[str, Any]]:
    return [
        {"section": section.title, "name": check.name, "status": str(check.status), "found": check.found,
         "allowed": check.allowed, "next_step": check.next_step}
        for section in sections for check in section.checks
    ]


def section_view(section: Section, width: int) -> RenderableType:
    """A section as a table: verdict, name, what was found, what is allowed; the next step below what needs one."""
    wide = width >= WIDE and any(check.allowed for check in section.checks)
    longest = max((len(check.name) for check in section.checks), default=0)
    table = Table.grid(padding=(0, 2, 0, 0), expand=True)
    table.add_column(no_wrap=True, width=4)
    table.add_column(overflow="fold", width=min(longest, NAME_WIDTH))
    table.add_column(overflow="fold", ratio=1)
    if wide:
        table.add_column(overflow="fold", width=min(ALLOWED_WIDTH, max(len(c.allowed) for c in section.checks)))
    for check in section.checks:
        found = Text(check.found)
        if check.next_step and check.status in (Status.FAIL, Status.WARN):
            found.append(f"\n-> {check.next_step}", style="bold" if check.status is Status.FAIL else "dim")
        status = Text(str(check.status), style=STATUS_STYLE[check.status])
        allowed = [Text(check.allowed, style="dim")] if wide else []
        table.add_row(status, Text(check.name), found, *allowed)
    return Group(Text(section.title, style="bold"), Padding(table, (0, 0, 1, 2)))


def checklist_view(board: BoardConfig, sections: Sequence[Section]) -> RenderableType:
    """The sum, and what to do about what failed, each step once."""
    every = [check.status for section in sections for check in section.checks]
    words = ", ".join(f"{every.count(status)} {status}" for status in Status if status in every)
    steps = failed_first(sections)
    if not steps:
        style = WARN if Status.WARN in every else GOOD
        return Text(f"{words}: {board.board} is ready to be flown", style=style)
    parts: list[RenderableType] = [Text("what to do", style="bold")]
    for step, names in steps:
        parts += [Padding(Text(", ".join(names), style="yellow"), (0, 0, 0, 2)), Padding(Text(step), (0, 0, 0, 6))]
    parts += [Text(""), Text(f"{words}: {board.board} is not ready to be flown", style=BAD)]
    return Group(*parts)
