"""Limits of one thermal node: states with persistence and hysteresis, the latched trip, cold bars and derating.

A node climbs to warm, hot or critical once three new samples in a row say so, and comes down the same way through a
hysteresis. A trip is latched: from trip until three samples at or below clear. The cold bars close with the first
sample below a limit and open again 2 K above it. A node of which nothing is known is ``unknown``, whatever it was
before; its latches stay as they were: nothing gets cooler, or warmer, by losing its sensor.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, StrEnum, unique
from typing import NamedTuple

from fdir.codes import Code
from firmware_py.energy.temperature import NodeTemperature
from firmware_py.energy.trust import Trust
from hal.profile.body import ThermalNode

__all__ = [
    "COLD_HYSTERESIS_K", "COLD_SPAN_K", "SAMPLES", "WARM_SPAN_K", "NodeGuard", "NodeVerdict", "ThermalClass",
    "ThermalEvent", "ThermalState",
]

SAMPLES = 3
"""New samples that a warning, a trip and their ends must last (CANON section 10.2)."""
WARM_SPAN_K = 5.0
"""A node is warm from that far under its warning on (CANON section 6)."""
WARM_HYSTERESIS_K = 2.0
"""P: warm and hot end that far under where they began: two sensor accuracies of 1 C."""
COLD_HYSTERESIS_K = 2.0
"""A cold bar opens that far above its limit."""
COLD_SPAN_K = 10.0
"""Distance above a cold limit over which a store's power rises from nothing to full. P: cell makers give charge at a
tenth of the rate near 0 C and full current from 10 C, and discharge to -20 C at a share that rises with the cold's
resistance, which doubles for each 25 K; a straight line is on the safe side of both."""
TELEMETRY_PERSIST_NS = 2_000_000_000
"""Time without a trusted temperature after which it is an event, as for power telemetry (CANON section 10.2)."""


@unique
class ThermalState(StrEnum):
    """CANON section 6."""

    NOMINAL = "nominal"
    WARM = "warm"
    HOT = "hot"
    CRITICAL = "critical"
    COOLDOWN = "cooldown"
    """Tripped, below trip again and not yet down to clear."""
    UNKNOWN = "unknown"

    @property
    def thermal_class(self) -> ThermalClass | None:
        """T0..T4 by how much it restricts; ``None`` for unknown: no number stands for what is not known."""
        return _CLASS.get(self)


@unique
class ThermalClass(IntEnum):
    """Classes T0..T4, larger where more is forbidden."""

    T0 = 0
    T1 = 1
    T2 = 2
    T3 = 3
    T4 = 4


_CLASS = {
    ThermalState.NOMINAL: ThermalClass.T0, ThermalState.WARM: ThermalClass.T1, ThermalState.HOT: ThermalClass.T2,
    ThermalState.COOLDOWN: ThermalClass.T3, ThermalState.CRITICAL: ThermalClass.T4,
}
_STATE = (ThermalState.NOMINAL, ThermalState.WARM, ThermalState.HOT)
_HOT, _TRIPPED = 2, 3
_TELEMETRY = {
    Trust.STALE: Code.THERMAL_TELEM_STALE, Trust.MISSING: Code.THERMAL_TELEM_MISSING,
    Trust.BLIND: Code.THERMAL_TELEM_MISSING, Trust.CONFLICTING: Code.SENSOR_CONFLICTING,
}


@dataclass(frozen=True, slots=True)
class ThermalEvent:
    """An edge: ``active`` begins, otherwise it ends. ``celsius`` is what was known at that moment."""

    code: Code
    node: str
    active: bool
    celsius: float | None


class NodeVerdict(NamedTuple):
    """What one node allows now (a tuple, since a dozen are made a step and frozen fields would cost four times that).

    ``hot_c`` and ``cold_c`` are the ends of what is known, deg C, ``None`` if nothing is.
    ``share`` falls from 1 at warn to 0 at trip, and is 0 while tripped. ``charge_share`` and ``discharge_share`` are
    that and the cold ramp of a store. All three are ``None`` while the temperature is not known.
    """

    node: str
    state: ThermalState
    trust: Trust
    modelled: bool
    hot_c: float | None
    cold_c: float | None
    tripped: bool
    share: float | None
    charge_share: float | None
    discharge_share: float | None
    no_charge: bool
    no_discharge: bool
    no_fire: bool
    codes: tuple[Code, ...]


class NodeGuard:
    """Guard of one node; ``hot_code`` names its warning, ``cold_code`` its cold bars, ``block_code`` what its trip
    blocks (``None``: nothing with a name of its own)."""

    __slots__ = (
        "_bars", "_codes", "_cooling", "_has_cold_limit", "_level", "_limits", "_run", "_run_level", "_telemetry",
        "_unsure_ns", "_warm_c", "block_code", "cold_code", "config", "events", "heat", "hot_code", "hot_share",
        "verdict",
    )

    def __init__(
        self, config: ThermalNode, heat: NodeTemperature, hot_code: Code, cold_code: Code, block_code: Code | None
    ) -> None:
        self.config, self.heat = config, heat
        self.hot_code, self.cold_code, self.block_code = hot_code, cold_code, block_code
        self._limits = (config.no_charge_below_c, config.no_discharge_below_c, config.no_fire_below_c)
        self._warm_c = config.warn_c - WARM_SPAN_K
        self._has_cold_limit = self._limits != (None, None, None)
        self._bars = [False, False, False]
        self._level = self._run = self._run_level = 0
        self._cooling = False
        self._telemetry: Code | None = None
        self._unsure_ns: int | None = None
        self._codes: dict[tuple[int, bool, Code | None], tuple[Code, ...]] = {}
        self.events: list[ThermalEvent] = []
        """Edges since they were last taken away."""
        self.hot_share: float | None = None
        """(T - warn) / (trip - warn), kept while nothing is known: a hot node does not cool by losing its sensor."""
        self.verdict = self._judge()

    @property
    def tripped(self) -> bool:
        """Whether the trip is latched."""
        return self._level == _TRIPPED

    def step(self, now_ns: int, new: bool) -> bool:
        """Judge what ``heat`` has; ``new`` says that something came since. Returns whether the verdict is another."""
        if new:
            hot, cold = self.heat.hot_c, self.heat.cold_c
            if hot is not None and cold is not None:
                config = self.config
                self.hot_share = (hot - config.warn_c) / max(config.trip_c - config.warn_c, 1e-9)
                if self._level or self._run or hot >= self._warm_c:
                    self._climb(hot)
                if self._has_cold_limit:
                    self._bar(cold)
            self.verdict = self._judge()
        trust = self.heat.trust
        doubt = None if trust is Trust.TRUSTED else _TELEMETRY.get(trust)
        if doubt is not None or self._unsure_ns is not None:
            self._telemeter(now_ns, doubt)
        return new

    def _raw(self, hot: float) -> int:
        """Level of one sample: up at the limits themselves, down through the hysteresis."""
        config, level = self.config, self._level
        if hot >= config.trip_c or (level == _TRIPPED and hot > config.clear_c):
            return _TRIPPED
        if hot >= config.warn_c or (level >= _HOT and hot > config.warn_c - WARM_HYSTERESIS_K):
            return _HOT
        return int(hot >= self._warm_c or (level >= 1 and hot > self._warm_c - WARM_HYSTERESIS_K))

    def _climb(self, hot: float) -> None:
        """Take the level that three samples in a row reached, up or down."""
        level, raw = self._level, self._raw(hot)
        if level == _TRIPPED:
            # Reported only: what a trip blocks, cooldown blocks as well.
            self._cooling = hot < self.config.trip_c - (0.0 if self._cooling else WARM_HYSTERESIS_K)
        if raw == level:
            self._run = 0
            return
        rising = raw > level
        if self._run and rising == (self._run_level > level):
            self._run_level = min(self._run_level, raw) if rising else max(self._run_level, raw)
            self._run += 1
        else:
            self._run, self._run_level = 1, raw
        if self._run >= SAMPLES:
            self._run, self._level = 0, self._run_level
            self._cooling = False
            self._edges(level, self._level, hot)

    def _edges(self, before: int, after: int, hot: float) -> None:
        if (before >= _HOT) != (after >= _HOT):
            self.events.append(ThermalEvent(self.hot_code, self.config.name, after >= _HOT, hot))
        if (before == _TRIPPED) != (after == _TRIPPED):
            self.events.append(ThermalEvent(Code.THERMAL_TRIP, self.config.name, after == _TRIPPED, hot))

    def _bar(self, cold: float) -> None:
        """Cold bars: at once below the limit, open again above the hysteresis."""
        bars = self._bars
        before = True in bars
        for index, limit in enumerate(self._limits):
            if limit is not None:
                bars[index] = cold < limit + (COLD_HYSTERESIS_K if bars[index] else 0.0)
        if before != (True in bars):
            self.events.append(ThermalEvent(self.cold_code, self.config.name, not before, cold))

    def _telemeter(self, now_ns: int, code: Code | None) -> None:
        """One event when the temperature has not been trusted for 2 s, and one when it is again."""
        if code is None:
            self._unsure_ns = None
        elif self._unsure_ns is None:
            self._unsure_ns = now_ns
        told = self._telemetry
        if code is told or (code is not None and now_ns - (self._unsure_ns or 0) < TELEMETRY_PERSIST_NS):
            return
        for edge, active in ((told, False), (code, True)):
            if edge is not None:
                self.events.append(ThermalEvent(edge, self.config.name, active, self.heat.hot_c))
        self._telemetry = code

    def _judge(self) -> NodeVerdict:
        heat, (no_charge, no_discharge, no_fire), level = self.heat, self._bars, self._level
        hot, cold = heat.hot_c, heat.cold_c
        share = charge = discharge = None
        state = ThermalState.UNKNOWN
        if hot is not None and cold is not None:
            if level == _TRIPPED:
                state, share = ThermalState.COOLDOWN if self._cooling else ThermalState.CRITICAL, 0.0
            else:
                state, share = _STATE[level], self._hot_ramp(hot)
            charge = discharge = share
            if self._has_cold_limit:
                charge = 0.0 if no_charge else min(share, _cold_ramp(cold, self._limits[0]))
                discharge = 0.0 if no_discharge else min(share, _cold_ramp(cold, self._limits[1]))
        cold_bar = no_charge or no_discharge or no_fire
        return NodeVerdict(
            self.config.name, state, heat.trust, heat.modelled, hot, cold, level == _TRIPPED, share, charge, discharge,
            no_charge, no_discharge, no_fire, self._reasons(level, cold_bar, heat.trust),
        )

    def _hot_ramp(self, hot: float) -> float:
        config = self.config
        if hot <= config.warn_c:
            return 1.0
        return 0.0 if hot >= config.trip_c else (config.trip_c - hot) / (config.trip_c - config.warn_c)

    def _reasons(self, level: int, cold: bool, trust: Trust) -> tuple[Code, ...]:
        """Codes of a condition; each combination is made once."""
        if level < _HOT and not cold and trust is Trust.TRUSTED:
            return ()
        telemetry = _TELEMETRY.get(trust)
        codes = self._codes.get((level, cold, telemetry))
        if codes is None:
            found = [Code.THERMAL_NODE_CRITICAL, Code.THERMAL_TRIP] if level == _TRIPPED else []
            found += [self.block_code] if level == _TRIPPED and self.block_code is not None else []
            found += [self.hot_code] if level >= _HOT else []
            found += [self.cold_code] if cold else []
            found += [telemetry] if telemetry is not None else []
            codes = self._codes[level, cold, telemetry] = tuple(found)
        return codes


def _cold_ramp(cold: float, limit: float | None) -> float:
    """1 where there is no limit or it is far, 0 at the limit."""
    if limit is None or cold >= limit + COLD_SPAN_K:
        return 1.0
    return 0.0 if cold <= limit else (cold - limit) / COLD_SPAN_K
