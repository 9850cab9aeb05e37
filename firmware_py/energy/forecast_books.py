"""What a forecast run writes down as it goes: lowest charges, spans of sheds, energies by source and consumer."""

from __future__ import annotations

from collections.abc import Mapping

from firmware_py.energy.forecast_plan import Forecast, ForecastRow, ShedSpan
from firmware_py.energy.power_rule import Flows

__all__ = ["ForecastBooks", "ShedBook"]

PEAKS, BATTERY_LOSS, STACK_LOSS = "peaks", "battery losses", "supercap losses"

HEATER = "heater_"


class ShedBook:
    """Which loads yielded, from when to when, and why."""

    def __init__(self) -> None:
        self._open: dict[str, tuple[str, float]] = {}
        self._closed: list[ShedSpan] = []

    def note(self, t_s: float, shed: Mapping[str, str]) -> None:
        """What is shed from now on, with reasons."""
        if shed.keys() == self._open.keys() and all(self._open[load][0] == reason for load, reason in shed.items()):
            return
        for load, (reason, since_s) in list(self._open.items()):
            if shed.get(load) != reason:
                self._closed.append(ShedSpan(load, reason, since_s, t_s))
                del self._open[load]
        for load, reason in shed.items():
            self._open.setdefault(load, (reason, t_s))

    def spans(self, end_s: float) -> tuple[ShedSpan, ...]:
        """All spans by their beginning; what still yields does so to the end."""
        still = (ShedSpan(load, reason, since_s, end_s) for load, (reason, since_s) in self._open.items())
        return tuple(sorted((*self._closed, *still), key=_begin))


class ForecastBooks:
    """Books of one run."""

    def __init__(self, loads: tuple[str, ...], soc_battery: float, soc_supercap: float) -> None:
        self.consumers = dict.fromkeys((*loads, PEAKS, BATTERY_LOSS, STACK_LOSS), 0.0)
        self.array_j = self.dock_j = self.spilled_j = self.unserved_j = self.heat_denied_j = 0.0
        self.boost_s = self.dark_s = self.cold_s = 0.0
        self.safe_from_s: float | None = None
        self.dark_from_s: float | None = None
        self.lowest = [(soc_battery, 0.0), (soc_supercap, 0.0)]
        self.rows: list[ForecastRow] = []
        self.sheds = ShedBook()

    def charges(self, t_s: float, soc_battery: float, soc_supercap: float) -> None:
        """Charges at the end of a step; between two steps they run straight."""
        if soc_battery < self.lowest[0][0]:
            self.lowest[0] = (soc_battery, t_s)
        if soc_supercap < self.lowest[1][0]:
            self.lowest[1] = (soc_supercap, t_s)

    def flows(self, seconds: float, flows: Flows, battery_loss_w: float, stack_loss_w: float) -> None:
        """Powers of one step, without its loads."""
        self.array_j += flows.array_w * seconds
        self.dock_j += flows.dock_w * seconds
        self.spilled_j += flows.spilled_w * seconds
        self.unserved_j += flows.unserved_w * seconds
        consumers = self.consumers
        consumers[PEAKS] += flows.peaks_w * seconds
        consumers[BATTERY_LOSS] += battery_loss_w * seconds
        consumers[STACK_LOSS] += stack_loss_w * seconds

    def loads(self, seconds: float, loads: Mapping[str, float], served: float) -> float:
        """What loads asked in a step, W by name, and the share that they got; returns what the heaters had, W."""
        consumers, heaters_w = self.consumers, 0.0
        for name, watts in loads.items():
            got = served * watts
            consumers[name] += got * seconds
            if name.startswith(HEATER):
                heaters_w += got
        return heaters_w

    def finish(
        self, seconds: float, soc: tuple[float, float], spent_j: tuple[float, float], keep_rows: bool
    ) -> Forecast:
        """The result; ``soc`` are the charges at the end, ``spent_j`` what each store has lost."""
        (battery, battery_s), (stack, stack_s) = self.lowest
        sources = {"array": self.array_j, "dock": self.dock_j, "battery": spent_j[0], "supercap": spent_j[1]}
        return Forecast(
            seconds / 3600.0, battery, battery_s, stack, stack_s, *soc, self.sheds.spans(seconds), self.boost_s,
            self.safe_from_s, self.dark_from_s, self.dark_s, self.cold_s, self.heat_denied_j, self.spilled_j,
            self.unserved_j, sources, self.consumers, tuple(self.rows) if keep_rows else (),
        )


def _begin(span: ShedSpan) -> float:
    return span.start_s
