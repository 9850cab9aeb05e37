"""Outcomes and rows of a record as a campaign's tests need them, made by hand."""

from __future__ import annotations

from typing import Any

from firmware_py.cli.campaign.entries import Invariant
from firmware_py.cli.campaign.fly import Outcome
from firmware_py.cli.campaign.record import Told
from firmware_py.cli.campaign.rows import RowTime
from firmware_py.cli.campaign.watch import Breach

SECOND = 1_000_000_000


def breach(invariant: Invariant = Invariant.PULSE_RULE, t_s: float = 1.5, text: str = "nozzle 3") -> Breach:
    """A broken invariant."""
    return Breach(invariant, t_s, text)


def outcome(
    *faults: str, classes: tuple[str, ...] | None = None, phases: tuple[str, ...] | None = None, seed: int = 7,
    breaches: tuple[Breach, ...] = (), waived: tuple[str, ...] = (), forgiven: tuple[Breach, ...] = (),
    detected_s: tuple[float | None, ...] | None = None, rows: tuple[RowTime, ...] = (), flight_s: float = 50.0,
    cpu_s: float = 4.0,
) -> Outcome:
    """An outcome; faults begin at 1 s, 2 s, and so on."""
    moments = tuple(1.0 + n for n in range(len(faults)))
    words = "+".join(f"{fault}@{at:.3f}" for fault, at in zip(faults, moments, strict=True)) or "nominal"
    return Outcome(
        case=f"{words}:{seed}", faults=faults, classes=classes or ("world",) * len(faults),
        phases=phases if phases is not None else ("slew",) * len(faults), moments_s=moments, breaches=breaches,
        waived=waived, forgiven=forgiven, detected_s=detected_s or (None,) * len(faults), rows=rows,
        flight_s=flight_s, cpu_s=cpu_s, peak_rate_deg_s=3.0, propellant_used_kg=2.0, events=10,
    )


def event(t_s: float, code: str, text: str, severity: str = "warning", part: int = 1) -> Told:
    """An event of the record."""
    return Told(round(t_s * SECOND), part, {"code": code, "severity": severity, "text": text})


def command(t_s: float, state: str, *codes: str, name: str = "slew", number: int = 1, part: int = 1) -> Told:
    """A stage of a command."""
    value: dict[str, Any] = {"number": number, "name": name, "state": state, "codes": list(codes)}
    return Told(round(t_s * SECOND), part, value)
