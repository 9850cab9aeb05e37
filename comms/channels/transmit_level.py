"""Power and rate of the transmitters fall by themselves on heat or low charge, before any channel is cut.

One table, two columns: heat of the radios' node and charge of the battery; the worse of both holds. Worse is taken at
once, better one step at a time, after ten calm seconds. What is not measured is no reason to cut, and none to send at
full power. Source: CANON section 11; temperatures and charges of section 6 and 5, steps P.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum, unique

from comms.channel_plan import QosClass

__all__ = ["STEPS", "TransmitLevel", "TransmitLimits", "TransmitStep", "TransmitStepRow"]

CALM_NS = 10_000_000_000
HEAT_HYSTERESIS_K = 3.0
CHARGE_HYSTERESIS = 0.03
ALL = frozenset(QosClass)


@unique
class TransmitLevel(IntEnum):
    """Steps; higher sends less."""

    FULL = 0
    REDUCED = 1
    LOW = 2
    NO_BULK = 3
    CONTROL_ONLY = 4
    OFF = 5


@dataclass(frozen=True, slots=True)
class TransmitStepRow:
    """One step: shares of power and rate, what is cut, and from which heat on (deg C) or down to which charge.

    ``heat_c`` and ``charge`` are inclusive; ``None``: this step does not come from that.
    """

    level: TransmitLevel
    power: float
    rate: float
    cut: frozenset[QosClass]
    heat_c: float | None
    charge: float | None


STEPS: tuple[TransmitStepRow, ...] = (
    TransmitStepRow(TransmitLevel.FULL, 1.0, 1.0, frozenset(), None, None),
    # Warm begins 5 K under the warning of the radios' node; 0.35 is what an emergency packet needs.
    TransmitStepRow(TransmitLevel.REDUCED, 0.5, 0.5, frozenset(), 60.0, 0.35),
    TransmitStepRow(TransmitLevel.LOW, 0.25, 0.25, frozenset(), 65.0, 0.30),
    TransmitStepRow(TransmitLevel.NO_BULK, 0.25, 0.25, frozenset({QosClass.BULK, QosClass.SCIENCE}), 70.0, 0.20),
    TransmitStepRow(
        TransmitLevel.CONTROL_ONLY, 0.1, 0.1, ALL - {QosClass.CONTROL}, 72.5, 0.10,
    ),
    # At its trip the radios are off; a low battery never takes the last of control away.
    TransmitStepRow(TransmitLevel.OFF, 0.0, 0.0, ALL, 75.0, None),
)
_UNKNOWN = TransmitLevel.REDUCED


@dataclass(frozen=True, slots=True)
class TransmitStep:
    """What holds now: shares of full power and rate, and what each reason cuts."""

    level: TransmitLevel
    power: float
    rate: float
    cut_by_heat: frozenset[QosClass]
    cut_by_charge: frozenset[QosClass]

    @property
    def reduced(self) -> bool:
        """Whether it sends with less than full power or rate."""
        return self.level is not TransmitLevel.FULL


class TransmitLimits:
    """Holds the step of each column, with hysteresis."""

    __slots__ = ("_calm_since", "_charge", "_heat")

    def __init__(self) -> None:
        self._heat = _UNKNOWN
        self._charge = _UNKNOWN
        self._calm_since: dict[str, int] = {}

    def step(self, comms_c: float | None, soc_battery: float | None, now_ns: int) -> TransmitStep:
        """Take temperature (deg C) of the radios' node and charge (fraction) of the battery; ``None`` is unknown."""
        self._heat = self._column("heat", self._heat, _by_heat, comms_c, HEAT_HYSTERESIS_K, now_ns)
        self._charge = self._column("charge", self._charge, _by_charge, soc_battery, CHARGE_HYSTERESIS, now_ns)
        return self.present

    @property
    def present(self) -> TransmitStep:
        """What holds now."""
        heat, charge = STEPS[self._heat], STEPS[self._charge]
        return TransmitStep(
            max(heat.level, charge.level), min(heat.power, charge.power), min(heat.rate, charge.rate), heat.cut,
            charge.cut,
        )

    def _column(
        self, name: str, held: TransmitLevel, asks: Callable[[float, float], TransmitLevel | None],
        value: float | None, hysteresis: float, now_ns: int,
    ) -> TransmitLevel:
        """The step of one column: up at once, down by one after a calm time in which even the margin asked for less."""
        asked = None if value is None else asks(value, 0.0)
        asked_back = None if value is None else asks(value, hysteresis)
        if asked is None or asked_back is None:
            self._calm_since.pop(name, None)
            return max(held, _UNKNOWN)
        if asked >= held or asked_back >= held:
            self._calm_since.pop(name, None)
            return max(asked, held)
        since = self._calm_since.setdefault(name, now_ns)
        if now_ns - since < CALM_NS:
            return held
        self._calm_since[name] = now_ns
        return TransmitLevel(held - 1)


def _by_heat(comms_c: float, margin_k: float) -> TransmitLevel | None:
    """What a temperature asks for; ``None`` for one that can't be."""
    if not -120.0 <= comms_c <= 160.0:
        return None
    hot = (row.level for row in STEPS if row.heat_c is not None and comms_c + margin_k >= row.heat_c)
    return max(hot, default=TransmitLevel.FULL)


def _by_charge(soc: float, margin: float) -> TransmitLevel | None:
    """What a charge asks for; ``None`` for one that can't be."""
    if not 0.0 <= soc <= 1.0:
        return None
    low = (row.level for row in STEPS if row.charge is not None and soc - margin <= row.charge)
    return max(low, default=TransmitLevel.FULL)
