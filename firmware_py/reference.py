"""Prints docs/reference from the tables that the program runs on, so that the pages cannot say anything else.

``pages`` makes the text, ``write`` stores it (``qiki docs``), ``stale`` names what is out of date (a test asks).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from importlib import import_module, resources
from inspect import getdoc
from pathlib import Path
from pkgutil import iter_modules
from types import ModuleType
from typing import Any

import msgspec

import drivers
from comms.dictionary import COMMANDS, TELEMETRY, Argument, Authority
from comms.nbl import layouts as nbl_layouts
from drivers.device import OracleKind
from fdir.brake import NEVER_SKIPPED, Skipped
from fdir.codes import Code
from fdir.exit_conditions import EXIT_CONDITIONS
from fdir.fault_table import load_fault_table
from fdir.gating import CLASSES, ClassRow
from fdir.modes import COAST_SPEED_M_S, GUARD_TEXT, TRANSITIONS, Emission, Motion
from fdir.safe import CHECKS_TO_LEAVE, LATCHED, LOCKDOWN, STATE_RULES
from firmware_py import reference_link as link_rows
from firmware_py.reference_codes import CODE_TEXT
from firmware_py.reference_faults import ISOLATION_TEXT, STEP_TEXT, fault_rows, ladder_lines, measured_times
from firmware_py.report.figures import FIGURES
from hal.causes import CAUSES, quality_of
from hal.manager import AT_ONCE
from hal.profile import BoardConfig, load_board

__all__ = ["figure_table", "independent", "pages", "parts", "stale", "write"]

SECOND = 1_000_000_000

# -- Markdown


def _cell(text: object) -> str:
    return str(text).replace("|", "\\|").replace("\n", " ")


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(_cell(item) for item in row) + " |" for row in rows]
    return "\n".join(lines)


def _page(title: str, source: str, *parts: str) -> str:
    note = f"Printed from {source} by `qiki docs`; change the tables there, not this page."
    return "\n\n".join((f"# {title}", note, *parts)) + "\n"


# -- the pages


def _commands() -> str:
    rows = [(c.id, f"`{c.name}`", c.command_class, c.authority, c.text) for c in COMMANDS.values()]
    classes = [(
        name, row.in_safe, "yes" if row.in_boot else "no", row.confirm, "yes" if row.arm_first else "no",
        f"{row.pause_ns // SECOND} s" if row.pause_ns else "-", row.risk, _checks(row),
    ) for name, row in CLASSES.items()]
    parts = [
        _table(["id", "command", "class", "least authority", "what it does"], rows),
        f"Authorities, least first: {', '.join(Authority)}. `allowed` says that the craft will try, not that it is "
        "done.",
        "## Gates", "Every check of a command's class must pass; a refusal names all that do not. A critical "
        "command also needs a black box that records it.",
        _table(["class", "in SAFE", "in Boot", "confirmed", "armed first", "pause", "risk", "checks"], classes),
        "## Arguments",
    ]
    for command in COMMANDS.values():
        if command.arguments:
            parts += [f"### {command.name}", _table(
                ["argument", "type", "unit", "allowed", "needed", "what it is"],
                [
                    (f"`{a.name}`", a.kind, a.unit, _allowed(a), "yes" if a.required else "no", a.text)
                    for a in command.arguments
                ],
            )]
    return _page("Commands", "`comms/dictionary` and `fdir/gating.py`", *parts)


def _checks(row: ClassRow) -> str:
    return "; ".join(_prose(check.__doc__ or "") for check in row.checks) or "-"


def _allowed(argument: Argument) -> str:
    if argument.choices:
        return ", ".join(argument.choices)
    if argument.low is None and argument.high is None:
        return "any"
    low = "" if argument.low is None else f"{argument.low:g}"
    high = "" if argument.high is None else f"{argument.high:g}"
    return f"{low} .. {high}"


def _telemetry() -> str:
    return _page(
        "Telemetry", "`comms/dictionary`",
        "The snapshot that is recorded and shown 20 times a second. Any channel may be missing (`null`): what was not "
        "measured is never a number.",
        _table(["id", "channel", "type", "unit", "what it is"],
               [(c.id, f"`{c.name}`", c.kind, c.unit, c.text) for c in TELEMETRY]),
    )


def _faults() -> str:
    return _page(
        "Faults", "`board_configs/faults.yaml`",
        "A fault trips once it has been bad for as long as it must persist, and clears after that much good time (both "
        "under *lasts*); each edge is one event. Where it cannot be judged, the clock stops and is not reset. The goal "
        "is from the first bad value to the event. *Detected* and *recovered* are the worst of the last campaign, "
        "counted from the fault itself: how long it takes until a value is bad is in them. `-`: it had no such case. "
        "*Proof* is the scenario that shows it. How to make a table of your own: "
        "[faults and their recovery](guide/survive-faults.md).",
        _table(
            ["no.", "fault", "what", "judged by", "lasts (trip / clear)", "code", "severity", "isolation", "recovery",
             "goal", "detected", "recovered", "proof"],
            fault_rows(measured_times()),
        ),
        "## Isolation", _table(["isolation", "what is done at once"], list(ISOLATION_TEXT.items())),
        "## Recovery", ladder_lines(), _table(["step", "what is done"], list(STEP_TEXT.items())),
    )


def _safe() -> str:
    return _page(
        "SAFE", "`fdir/safe.py`, `fdir/exit_conditions.py` and `fdir/brake.py`",
        f"SAFE is left for Idle by command, after every exit condition has held in {CHECKS_TO_LEAVE} checks in a row "
        "(two a second) and, where a reason is latched, an operator has acknowledged it.",
        _table(["exit condition", "holds when", "asked"], [
            (f"`{name}`", row.text, "always" if row.always else "with its own reasons")
            for name, row in EXIT_CONDITIONS.items()
        ]),
        "Latched reasons: " + _list(LATCHED) + ". Reasons that mean lockdown: " + _list(LOCKDOWN) + ".",
        "## States", "The first that holds.",
        _table(["state", "when"], [(f"`{rule.state}`", rule.text) for rule in STATE_RULES]),
        "## Brake", "A brake is flown out of every mode but Boot, SAFE included, and SAFE follows it. It is never "
        f"flown without: {', '.join(rule.text for rule in NEVER_SKIPPED)}. It does not ask for: {', '.join(Skipped)}.",
    )


def _list(codes: Iterable[Code]) -> str:
    return ", ".join(f"`{code}`" for code in sorted(codes))


def _modes() -> str:
    moves = [
        (t.source, t.target, "the [exit conditions of SAFE](safe.md)" if leaving else GUARD_TEXT[t.guard])
        for t in TRANSITIONS.values() for leaving in [(t.source, t.target) == (Motion.SAFE, Motion.IDLE)]
    ]
    matrix = [
        (f"**{source}**", *("x" if (source, target) in TRANSITIONS else "" for target in Motion)) for source in Motion
    ]
    return _page(
        "Modes", "`fdir/modes.py`",
        "Two regions: motion and emission. What the table does not list is refused with `TRANSITION_NOT_ALLOWED`; what "
        "a guard forbids is refused with every reason at once.",
        "## Motion", _table(["from \\ to", *Motion], matrix),
        _table(["from", "to", "guard"], moves),
        f"At rest means at most {COAST_SPEED_M_S:g} m/s.",
        "## Emission",
        f"{', '.join(Emission)}: any change is legal; who may order it is a matter of [authority](commands.md).",
    )


def _codes() -> str:
    by_code: dict[str, list[str]] = {}
    for fault in load_fault_table().rows:
        by_code.setdefault(fault.code, []).append(fault.id)
    rows = [
        (f"`{code}`", text, ", ".join(by_code.get(code, ())), "yes" if code in LATCHED else "")
        for code, text in CODE_TEXT.items()
    ]
    return _page(
        "Codes", "`fdir/codes.py`, `firmware_py/scheduler.py` and `firmware_py/reference_codes.py`",
        "The words with which anything is refused or reported. *Fault* names what may trip with the code; a "
        "*latched* reason of SAFE waits for an operator.",
        _table(["code", "meaning", "fault", "latched"], rows),
    )


def _link() -> str:
    return _page(
        "Link", "`comms/channel_plan.py`, `comms/dictionary`, `comms/emcon.py` and `board_configs/modems.yaml`",
        "What both ends of a link must have alike. How it stands on the wire: [link](../protocols/link.md); how to use "
        "it: [talk to a craft](../guide/talk-to-a-craft.md).",
        "## Channels", "A channel's kind binds its suite (COSE algorithm number, RFC 9053). " + link_rows.CREATED_TEXT,
        _table(["id", "channel", "kind", "class of service", "suite", "tag, bytes", "end to end", "what it carries"],
               link_rows.channel_rows()),
        "## Messages", "A message is a CBOR array: schema id, then the fields in this order. Ids from 256 on are "
        "groups of telemetry: time in ms, then the values of their channels.",
        _table(["id", "message", "fields"], link_rows.message_rows()),
        "## Groups of telemetry", "How often each is sent where the line has room; `telemetry_rate` changes it. A "
        "group's id follows from its name and channels, so that other channels are another group.",
        _table(["id", "group", "Hz", "what", "channels"], link_rows.group_rows()),
        "## Modems", "Choose with `--modem`. The rate counts what goes on the line, framing included.",
        _table(["modem", "line", "what", "bit/s", "longest record, bytes", "framing", "transmitter", "turns",
                "of an hour", "W sending, idle"], link_rows.modem_rows()),
        "## Emission control", "The strictest holds of what the craft's emission region asks for, what was ordered, "
        "and what was kept over a restart. A cable to a person is never governed.",
        _table(["level", "name", "what may go out", "through these transmitters"], link_rows.emission_rows()),
    )


def _boards() -> list[BoardConfig]:
    folder = Path(str(resources.files("board_configs") / "boards"))
    return [load_board(path.stem) for path in sorted(folder.glob("*.yaml"))]


def parts() -> list[tuple[str, ModuleType]]:
    """Every driver by the name of its part: the modules in ``drivers`` that say what they were held against."""
    names = sorted(info.name for info in iter_modules(drivers.__path__) if not info.ispkg)
    modules = [(name, import_module(f"drivers.{name}")) for name in names]
    return [(name, module) for name, module in modules if hasattr(module, "ORACLES") and hasattr(module, "Settings")]


def independent(module: ModuleType) -> bool:
    """Whether a driver was held against anything that nobody here wrote."""
    return any(oracle.kind not in (OracleKind.FORMULA, OracleKind.NOTHING) for oracle in module.ORACLES)


def _chips() -> str:
    boards = _boards()
    known = parts()
    proven = sum(independent(module) for _, module in known)
    lines: list[str] = [
        "A device's `part` is the name of its driver, `drivers/<part>.py`; the rig plays it with a chip of its own in "
        "`hil/chips/`, written apart from the driver. What counts is what else a driver was held against: "
        f"**{proven} of {len(known)} parts have at least one independent oracle.** "
        "How to add one: [add a chip](guide/add-a-chip.md).",
        "## Parts",
        _table(["part", "what", "flown on", "how verified", "independent"], [
            (
                f"[`{name}`](#{name})", _title(module), _flown_on(name, boards),
                "; ".join(dict.fromkeys(oracle.kind.value for oracle in module.ORACLES)),
                "yes" if independent(module) else "no",
            )
            for name, module in known
        ]),
    ]
    for board in boards:
        devices = [
            (
                d.name, f"`{d.part}`", d.role, d.bus,
                "-" if d.address is None else f"0x{d.address:02X}", "-" if d.mux is None else f"{d.mux}, {d.channel}",
                "-" if d.rate_hz == 0.0 else f"{d.rate_hz:g}", d.timeout_ms,
            )
            for d in board.devices
        ]
        lines += [
            f"## Board {board.board}", board.description + ".",
            _table(["device", "part", "role", "bus", "address", "mux, channel", "rate, Hz", "stale, ms"], devices),
        ]
    lines += [
        "## What a failure means",
        "Every failed transfer and every refused answer has one cause, which is counted per device and per bus.",
        _table(["cause", "what happened", "quality of the reading", "what the software does", "what to look for"], [
            (
                f"`{cause.value}`", text.meaning,
                f"{quality_of(cause).name} " + ("at once" if cause in AT_ONCE else "when older than its time-out"),
                text.response, text.advice,
            )
            for cause, text in CAUSES.items()
        ]),
        "## Drivers",
    ]
    for name, module in known:
        lines += _driver(name, module)
    return _page("Chips", "`board_configs/boards/*.yaml` and the drivers", *lines)


def _title(module: ModuleType) -> str:
    """What a part is, from the first line of its driver: all before the colon that opens what it guarantees."""
    return _prose((module.__doc__ or "").strip().split("\n")[0]).partition(":")[0]


def _flown_on(name: str, boards: Sequence[BoardConfig]) -> str:
    """Bus, address and rate of the first device of a part on each board."""
    places = []
    for board in boards:
        here = [d for d in board.devices if d.part == name]
        if here:
            first = here[0]
            where = first.bus if first.address is None else f"{first.bus} 0x{first.address:02X}"
            rate = "" if first.rate_hz == 0.0 else f" at {first.rate_hz:g} Hz"
            places.append(f"{board.board}: {where}{f' and {len(here) - 1} more' if len(here) > 1 else ''}{rate}")
    return "; ".join(places) or "no shipped board"


def _driver(part: str, module: ModuleType) -> list[str]:
    first = _prose((module.__doc__ or "").strip().split("\n")[0])
    lines = [f"### {part}", first, _table(["how verified", "what was compared"], [
        (oracle.kind.value, _prose(oracle.what)) for oracle in module.ORACLES
    ])]
    settings: Any = getattr(module, "Settings", None)
    fields = msgspec.structs.fields(settings) if settings is not None else ()
    if fields:
        lines += [_prose(getdoc(settings) or ""), _table(
            ["setting", "default"],
            [(f"`{f.encode_name}`", "needed" if f.required else f"`{_default(f)}`") for f in fields],
        )]
    return lines


def _default(field: msgspec.structs.FieldInfo) -> object:
    if field.default_factory is not msgspec.NODEFAULT:
        return field.default_factory()
    return field.default


def _prose(docstring: str) -> str:
    """A docstring as Markdown text: double back-quotes become single ones."""
    return " ".join(docstring.replace("``", "`").split())


def figure_table() -> str:
    """The figures of a flight as Markdown; docs/guide/write-a-scenario.md holds the same lines."""
    return _table(["figure", "unit", "what it is"], [(f"`{f.name}`", f.unit, f.text) for f in FIGURES.values()])


def pages() -> dict[str, str]:
    """Every page by its path under docs."""
    return {
        "chips.md": _chips(), "reference/commands.md": _commands(), "reference/telemetry.md": _telemetry(),
        "faults.md": _faults(), "reference/safe.md": _safe(), "reference/modes.md": _modes(),
        "reference/codes.md": _codes(), "reference/link.md": _link(), "protocols/nbl.md": nbl_layouts.page(),
    }


def write(folder: Path) -> list[Path]:
    """Store every page under ``folder``, which is made; returns their paths."""
    written = []
    for name, text in pages().items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="\n")
        written.append(path)
    return written


def stale(folder: Path) -> list[str]:
    """Names of the pages under ``folder`` that are missing or differ from what ``write`` would store."""
    return [
        name for name, text in pages().items()
        if not (folder / name).is_file() or (folder / name).read_text(encoding="utf-8") != text
    ]
