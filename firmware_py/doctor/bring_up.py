"""A board's bring-up checklist: from the nodes of its buses to the rates of its devices, each held against its file.

Nothing is guessed and nothing stops the list: what can't be asked because something before it failed is SKIP.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from drivers.errors import DeviceError
from firmware_py.doctor.machine import Check, Status
from firmware_py.probe import Finding, Verdict
from hal.profile import BoardConfig

__all__ = ["Section", "check_buses", "check_chips", "failed", "failed_first"]


class Section(NamedTuple):
    """Some lines under one title."""

    title: str
    checks: list[Check]


def check_buses(board: BoardConfig, refusals: Mapping[str, tuple[DeviceError, str]]) -> list[Check]:
    """Whether each bus could be opened, and what to do if not."""
    checks = []
    for name, bus in board.buses.items():
        title = f"{name} ({bus.kind})"
        refusal = refusals.get(name)
        if refusal is None:
            checks.append(Check(title, Status.PASS, bus.device))
        else:
            error, advice = refusal
            found = f"{bus.device}: {error.cause.value}" + (f" ({error.detail})" if error.detail else "")
            checks.append(Check(title, Status.FAIL, found, advice))
    return checks


def check_chips(findings: Iterable[Finding]) -> Iterator[Check]:
    """Whether each part answers with the identity that the board says; strangers are warned about.

    The parts of a bus that is not open are one line.
    """
    skipped: dict[str, list[str]] = {}
    for finding in findings:
        if finding.verdict is Verdict.NO_BUS:
            if finding.device is not None:
                skipped.setdefault(finding.bus, []).append(finding.device)
        elif finding.verdict.good:
            yield Check(_place(finding), Status.PASS, finding.found, allowed=finding.part or "")
        elif finding.verdict is Verdict.UNKNOWN:
            yield Check(_place(finding), Status.WARN, finding.found, finding.advice)
        else:
            found = f"{finding.verdict.value}: {finding.found}"
            yield Check(_place(finding), Status.FAIL, found, finding.advice, finding.part or "")
    for bus, names in skipped.items():
        yield Check(f"parts on {bus}", Status.SKIP, f"the bus is not open: {', '.join(names)}")


def _place(finding: Finding) -> str:
    """A device by its name and place, or a place where a stranger is."""
    if finding.device is None:
        return f"{finding.bus} {finding.where}".rstrip()
    return f"{finding.device} ({finding.bus})" if not finding.where else f"{finding.device} ({finding.where})"


def failed(sections: Iterable[Section]) -> bool:
    """Whether any line failed."""
    return any(check.status is Status.FAIL for section in sections for check in section.checks)


def failed_first(sections: Iterable[Section]) -> list[tuple[str, list[str]]]:
    """The next steps of what failed, each once, with the names that need it."""
    steps: dict[str, list[str]] = {}
    for section in sections:
        for check in section.checks:
            if check.status is Status.FAIL and check.next_step:
                steps.setdefault(check.next_step, []).append(check.name)
    return list(steps.items())
