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
from drivers.device import OracleKind
from fdir.codes import Code
from fdir.gating import CLASS_CHECKS, SAFE_ALLOWED, CommandClass
from fdir.modes import COAST_SPEED_M_S, GUARD_TEXT, TRANSITIONS, Emission, Motion
from fdir.monitors import MONITORS
from fdir.safe import (
    CHECKS_TO_LEAVE,
    EXIT_CONDITIONS,
    LATCHED,
    LOCKDOWN,
    RATE_LEAVE_RAD_S,
    SOC_BATTERY_LEAVE,
    SafeState,
)
from firmware_py.report.figures import FIGURES, RIG_FAULT
from firmware_py.scheduler import EventCode
from hal.causes import CAUSES, quality_of
from hal.manager import AT_ONCE
from hal.profile import BoardConfig, load_board

__all__ = ["figure_table", "independent", "pages", "parts", "stale", "write"]

MS = 1_000_000

CODE_TEXT: dict[str, str] = {
    Code.THERMAL_TELEM_MISSING: "no temperature is known",
    Code.PROFILE_SEGMENT: "a segment of a thrust profile started",
    Code.PROFILE_DONE: "a burn was flown to its end",
    Code.PROFILE_CUT: "a burn was ended by another order",
    Code.PROFILE_ABORTED: "a burn was ended by what stood against it; the text says what",
    Code.DUTY_LIMIT: "a nozzle would be open for more than is allowed below T_boost",
    Code.BURN_LIMIT: "a nozzle would burn for longer than it may",
    Code.COOLDOWN_ACTIVE: "a nozzle is wanted before it has cooled",
    Code.TORQUE_LIMIT: "more torque than the body allows",
    Code.RATE_LIMIT: "the craft turns, or would turn, too fast",
    Code.SPEED_LIMIT: "the burn would end faster than a full tank can stop",
    Code.OVERRIDE_ARMED: "override_fire is let through for a minute",
    Code.OVERRIDE_NOT_ARMED: "override_arm was not given, or is over",
    Code.OVERRIDE_FIRED: "a raw wrench was started; the text has what is left over",
    Code.MODE_CHANGED: "the motion mode changed; the text says from where to where",
    Code.EMISSION_CHANGED: "the emission mode changed",
    Code.TRANSITION_NOT_ALLOWED: "the table of modes has no such move",
    Code.CMD_REJECTED: "a move that the flown law needed was refused; the law ended and the craft drifts",
    Code.CMD_VALIDATION_FAILED: "a command or argument is unknown, missing or out of range",
    Code.CMD_CONFIRMATION_REQUIRED: "the command needs `confirmed: true`",
    Code.SAFE_LOCKED: "SAFE does not let this class of command through",
    Code.SAFE_EXIT_CONDITIONS: "SAFE cannot be left: its exit conditions have not held for long enough",
    Code.OPERATOR_ACKNOWLEDGE: "SAFE cannot be left: a latched reason is not acknowledged",
    Code.NOT_IMPLEMENTED: "this version does not do that",
    Code.NOT_SETTLED: "the guidance law has not settled, or its segment has not ended",
    Code.STEP_DONE: "a step of the mission ended as done",
    Code.STEP_TIMEOUT: "a step of the mission did not reach what it waits for in time",
    Code.STEP_REFUSED: "the command of a step was refused; the step ended",
    Code.SAFE_ORDERED: "SAFE was ordered",
    Code.SELF_TEST_PENDING: "the self-test has not ended",
    Code.SELF_TEST_PASSED: "every device answered at boot",
    Code.SELF_TEST_FAILED: "a device did not answer at boot",
    Code.HASH_MISMATCH: "body and board are not those that the mission was made for",
    Code.BAT_LOW: "the battery's charge is too low for this command",
    Code.CAP_LOW: "the supercapacitor has too little charge for this",
    Code.BUS_UNSTABLE: "the main bus is below its lowest voltage",
    Code.POWER_TELEM_MISSING: "a state of charge is not known",
    Code.SAFE_POWER_LOW: "SAFE: the battery is empty or too cold",
    Code.SAFE_CAP_LOW: "SAFE: the supercapacitor is empty",
    Code.PDU_OVERLOAD: "the main bus carries more current than allowed",
    Code.PDU_OVERCURRENT: "the loads want more than the current limit lets through, and nothing is left to shed",
    Code.PDU_DENIED: "the distribution unit does not let this load through now",
    Code.PDU_PEAK_DENIED: "the stores cannot give this peak beside those that are granted",
    Code.LOAD_SHED_ACTIVE: "the load is off because energy is short",
    Code.LOAD_DISOBEYS: "a load draws though it is off, or does not though it is on",
    Code.POWER_TELEM_STALE: "a measurement of a store is too old",
    Code.POWER_TELEM_CONFLICTING: "two sources say different things of one store",
    Code.BAT_HOT: "the battery is too hot to be charged or to give peaks",
    Code.BAT_COLD: "the battery is too cold to be charged",
    Code.CAP_HOT: "the supercapacitor is too hot to give peaks",
    Code.BAT_FADED: "the battery holds less than 80 % of what it was made for",
    Code.CAP_FADED: "the supercapacitor holds less than 80 % of what it was made for, or its resistance has grown",
    Code.SOURCE_UNAVAILABLE: "a source of power gives none",
    Code.EXTERNAL_POWER_UNSAFE: "power from the dock is outside its window, too hot or too much; the switch is open",
    Code.BRIDGE_ELECTRICAL_UNSAFE: "current flows back into the dock; the switch is open until an operator clears it",
    Code.BUS_V_ZERO: "the main bus has no voltage",
    Code.BATTERY_CHARGE_LIMIT: "more is there than the battery may take; the text says how much is spilled",
    Code.BATTERY_DISCHARGE_LIMIT: "more is asked than the battery may give; the text says how much is missing",
    Code.BATTERY_EMPTY: "the battery holds nothing",
    Code.BATTERY_CAPACITY_ZERO: "the battery holds nothing even when full",
    Code.SAFE_PDU_FAULT: "SAFE: too much current flows with everything shed that may be",
    Code.BUDGET_GRANTED: "a peak that waited for energy may start",
    Code.BUDGET_QUEUED: "the peak waits for energy",
    Code.DUTY_CHANGED: "rates of sensors and computing changed with the energy there is",
    Code.THERMAL_TELEM_STALE: "a temperature is too old",
    Code.THERMAL_TRIP: "a thermal node tripped or is clear again; the text names it",
    Code.PDU_THERMAL_BLOCK: "the distribution unit is at its trip temperature",
    Code.RCS_CLUSTER_HOT: "a cluster is at its trip temperature and is not fired",
    Code.RCS_CLUSTER_COLD: "a cluster is too cold to be fired",
    Code.SENSOR_HEAD_HOT: "the sensor head is at its trip temperature",
    Code.COMMS_HOT: "the radios are at their trip temperature",
    Code.BAYONET_THERMAL_BLOCK: "the docking bridge is at its trip temperature",
    Code.THERMAL_BLOCK: "a thermal node is at its trip temperature",
    Code.THERMAL_NODE_HOT: "a thermal node is at its warning temperature",
    Code.THERMAL_NODE_CRITICAL: "a thermal node is at its trip temperature (reported)",
    Code.SAFE_THERMAL_CRITICAL: "SAFE: a thermal node stays at its trip temperature",
    Code.RCS_UNAVAILABLE: "propulsion is not ready, or a nozzle was taken out of use",
    Code.WORKING_MASS_LOW: "no propellant is left",
    Code.SAFE_ORIENTATION_LOST: "SAFE: the body turns faster than it ever should",
    Code.ATTITUDE_UNKNOWN: "no reference has fixed the attitude yet",
    Code.NOT_MOVING: "the craft is at rest",
    Code.STILL_MOVING: "the craft is not at rest",
    Code.TARGET_OUT_OF_RANGE: "no target within docking range",
    Code.BRAKE_OVERRIDE: "the brake was ordered over whatever was flown",
    Code.BAYONET_UNSAFE: "the docking joint forbids it",
    Code.SENSOR_MISSING: "the inertial unit gives no good sample",
    Code.SENSOR_DEGRADED: "the gyro repeats itself",
    Code.SENSOR_CONFLICTING: "gyro and star tracker disagree",
    Code.DEVICE_STATE: "a device changed between init, ok, degraded and lost",
    Code.CPU_OVERRUN: "3 ticks in a row were late: members that are not critical are dropped",
    Code.MEMBER_FAILED: "a member of the tick raised an error; it is called again next time",
    Code.PROVIDER_UNAVAILABLE: "a program that this one depends on is not there",
    Code.REALTIME_DEGRADED: "the kernel refused real-time rights or locked memory; flown without",
    Code.GATE_NOT_ARMED: "the final gate took a pulse out: not armed",
    Code.GATE_NOT_ENABLED: "the final gate took a pulse out: not enabled; or a line does not follow",
    Code.GATE_MASKED: "the final gate took a pulse out: nozzle out of use",
    Code.GATE_MALFORMED: "the final gate took a pulse out: outside the window, or closes before it opens",
    Code.GATE_MIN_ON: "the final gate took a pulse out: shorter than the shortest pulse",
    Code.GATE_MIN_OFF: "the final gate took a pulse out: shorter than the shortest pause",
    Code.GATE_MAX_BURN: "the final gate cut a pulse at the longest burn",
    Code.GATE_COOLDOWN: "the final gate took a pulse out: nozzle in its cooldown",
    EventCode.CPU_OVERRUN_STOP: "20 ticks in a row were late: valves shut, watchdog starved until a restart",
    EventCode.CPU_OVERRUN_RESET: "the stop after 20 late ticks was reset",
    EventCode.CPU_RECOVERED: "ticks are on time again; dropped members are back",
    EventCode.TICKS_LOST: "ticks were left out; the text says how many",
    EventCode.WATCHDOG_STARVED: "a critical member makes no progress: the watchdog is not fed",
    EventCode.WATCHDOG_RESUMED: "a stuck critical member has run again",
    EventCode.HOOK_FAILED: "a hook of the scheduler raised an error",
    RIG_FAULT: "the rig began or ended a fault of the scenario; never from a real craft",
}
"""What every code says, in the order of the page."""

CHECK_TEXT = {
    "_supercap_at_hold": "SoC_cap known and at or above T_hold",
    "_supercap_at_boost": "SoC_cap known and at or above T_boost",
    "_cool": "no thermal node at its trip",
    "_heat_known": "temperatures of battery and supercapacitor known",
    "_thrusters": "propulsion ready, propellant left",
    "_rates_trusted": "inertial unit good",
    "_attitude_trusted": "attitude known",
    "_joint": "no unrated locked joint",
    "_battery": "SoC_bat known and above where SAFE begins (10 %)",
}
EXIT_TEXT = {
    "exit_power_recovered": f"SoC_bat above {100 * SOC_BATTERY_LEAVE:.0f} % and SoC_cap above T_hold",
    "exit_thermal_nominal": "no thermal node at or above its warning",
    "exit_pdu_fault_cleared": "the main bus carries no more than its limit",
    "exit_orientation_held": f"inertial unit good and body rate below {RATE_LEAVE_RAD_S * 57.29578:.0f} deg/s",
    "exit_profile_matches": "hardware profile hash matches and the self-test has passed",
    "exit_on_time": "no late tick",
}


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
    classes = [
        (
            command_class,
            "yes" if command_class in SAFE_ALLOWED else "no",
            "yes" if command_class is CommandClass.STATUS else "no",
            "; ".join(CHECK_TEXT[check.__name__] for check in checks) or "-",
        )
        for command_class, checks in CLASS_CHECKS.items()
    ]
    parts = [
        _table(["id", "command", "class", "least authority", "what it does"], rows),
        f"Authorities, least first: {', '.join(Authority)}. `allowed` says that the craft will try, not that it is "
        "done.",
        "## Gates", "Every check of a command's class must pass; a refusal names all that do not.",
        _table(["class", "in SAFE", "in Boot", "checks"], classes),
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
    return _page("Commands", "`comms/dictionary.py` and `fdir/gating.py`", *parts)


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
        "Telemetry", "`comms/dictionary.py`",
        "The snapshot that is recorded and shown 20 times a second. Any channel may be missing (`null`): what was not "
        "measured is never a number.",
        _table(["id", "channel", "type", "unit", "what it is"],
               [(c.id, f"`{c.name}`", c.kind, c.unit, c.text) for c in TELEMETRY]),
    )


def _faults() -> str:
    monitors = [
        (m.name, m.text, _seconds(m.persist_ns), _seconds(m.clear_ns), f"`{m.code}`", m.severity, m.response)
        for m in MONITORS
    ]
    return _page(
        "Faults", "`fdir/monitors.py` and `fdir/safe.py`",
        "A monitor trips once its condition has held for as long as it persists, and clears after that much good time; "
        "each edge is one event. Where the condition cannot be judged, the clock stops and is not reset.",
        _table(["monitor", "condition", "persists", "clears after", "code", "severity", "response"], monitors),
        "## SAFE",
        f"SAFE is left for Idle by command, after every exit condition has held in {CHECKS_TO_LEAVE} checks in a row "
        "(two a second) and, where a reason is latched, an operator has acknowledged it.",
        _table(["exit condition", "holds when"], [(f"`{name}`", EXIT_TEXT[name]) for name in EXIT_CONDITIONS]),
        "Latched reasons: " + _list(LATCHED) + ". Reasons that mean lockdown: " + _list(LOCKDOWN) + ".",
        "States: " + ", ".join(f"`{state}`" for state in SafeState) + ".",
    )


def _list(codes: Iterable[Code]) -> str:
    return ", ".join(f"`{code}`" for code in sorted(codes))


def _seconds(ns: int) -> str:
    if ns == 0:
        return "at once"
    return f"{ns // MS} ms" if ns < 1000 * MS else f"{ns / (1000 * MS):g} s"


def _modes() -> str:
    moves = [
        (t.source, t.target, "the [exit conditions of SAFE](faults.md)" if leaving else GUARD_TEXT[t.guard])
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
    for monitor in MONITORS:
        by_code.setdefault(monitor.code, []).append(monitor.name)
    rows = [
        (f"`{code}`", text, ", ".join(by_code.get(code, ())), "yes" if code in LATCHED else "")
        for code, text in CODE_TEXT.items()
    ]
    return _page(
        "Codes", "`fdir/codes.py`, `firmware_py/scheduler.py` and `firmware_py/reference.py`",
        "The words with which anything is refused or reported. *Monitor* names what may trip with the code; a "
        "*latched* reason of SAFE waits for an operator.",
        _table(["code", "meaning", "monitor", "latched"], rows),
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
        "reference/faults.md": _faults(), "reference/modes.md": _modes(), "reference/codes.md": _codes(),
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
