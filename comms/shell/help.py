"""Help from the declarations: of the shell's words, of commands with their arguments, of channels and parameters."""

from __future__ import annotations

from collections.abc import Mapping

from comms.dictionary import CHANNELS, COMMANDS, Argument, Authority, Command
from comms.parameters import SCHEMA
from comms.shell.editor import arrange
from comms.shell.show import plain, rows
from comms.shell.words import OPTIONS, ShellRefused, usage
from fdir.gating import CLASSES, Confirm, Risk

__all__ = ["confirmation", "help_on", "least_confirmation", "summary"]

Usages = Mapping[str, tuple[str, str]]


def summary(columns: int, authority: Authority | None, usages: Usages) -> list[str]:
    """What there is; ``authority`` is ``None`` without a key."""
    rights = "read only, since this session has no key"
    if authority is not None:
        may = [name for name, command in COMMANDS.items() if authority.covers(command.authority)]
        rights = f"as {authority} you may give {len(may)} of {len(COMMANDS)}"
    lines = rows([(usage_text, text) for usage_text, text in usages.values()], columns)
    lines += ["", f"commands of the craft ({rights}):"]
    lines += [f"  {line}" for line in arrange(list(COMMANDS), columns - 2)]
    return [*lines, "", "help NAME says more of each. Tab completes."]


def help_on(name: str, columns: int, usages: Usages) -> list[str]:
    """More on one thing. Raises ShellRefused for what is nothing here."""
    if name in usages:
        return [f"{usages[name][0]}: {usages[name][1]}"]
    if name in COMMANDS:
        return _command(COMMANDS[name], columns)
    if name in CHANNELS:
        channel = CHANNELS[name]
        return [f"channel {name}: {channel.text}", f"  {channel.kind}, unit {channel.unit}, number {channel.id}"]
    if name in SCHEMA.by_name:
        p = SCHEMA.by_name[name]
        return [f"parameter {name}: {p.text}",
                f"  allowed {p.allowed}; takes {p.authority}; counts {p.effect}; set it with param_set {name} VALUE"]
    raise ShellRefused(f"nothing is called {plain(name)[:64]!r}; help lists what there is, channels the telemetry")


def _command(command: Command, columns: int) -> list[str]:
    row = CLASSES[command.command_class]
    lines = [f"{command.name}: {command.text}", usage(command)]
    lines.append(
        f"  takes {command.authority}; {command.command_class}; risk {row.risk}; "
        f"confirmation: {least_confirmation(command)}"
    )
    if command.one_of:
        lines.append("  give " + ", or ".join(" and ".join(names) for names in command.one_of))
    lines += [f"  {line}" for line in rows([_argument(a) for a in command.arguments], columns - 2)]
    others = [option for option in OPTIONS if option not in {a.name for a in command.arguments}]
    return [*lines, f"  of any command: {', '.join(f'{option}=' for option in others)}"]


def _argument(argument: Argument) -> tuple[str, str, str]:
    allowed = ", ".join(argument.choices)
    if argument.low is not None and argument.high is not None:
        allowed = f"{argument.low:g}..{argument.high:g}"
        allowed += "" if argument.unit in ("-", "1") else f" {argument.unit}"
    name = argument.name if argument.required else f"[{argument.name}]"
    return name, f"{argument.kind}{': ' + allowed if allowed else ''}", argument.text


def confirmation(command: Command, in_safe: bool) -> str:
    """Why a command asks for confirmation; empty if it does not."""
    row = CLASSES[command.command_class]
    if any(argument.name == "confirmed" for argument in command.arguments) or row.confirm is Confirm.YES:
        return f"{command.command_class}, risk {row.risk}"
    if row.confirm is Confirm.UNLESS_SAFE and not in_safe:
        return f"{command.command_class}, risk {row.risk}"
    return f"risk {row.risk}" if row.risk is Risk.CRITICAL else ""


def least_confirmation(command: Command) -> str:
    """Whether a command asks for confirmation, in a word."""
    if not confirmation(command, in_safe=False):
        return "no"
    return "yes" if confirmation(command, in_safe=True) else "yes, unless SAFE"
