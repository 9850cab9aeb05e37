"""What ``qiki energy`` is given, checked and turned into a forecast and an energy flight of the same craft."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING

from firmware_py.energy.forecast import forecast
from firmware_py.energy.forecast_plan import Activity, DayAhead, Phase, Start
from firmware_py.energy.lighting import TUMBLING, AlwaysLit, Facing, Illumination, Lamps, Lighting, OrbitLight
from hal.profile import BodyConfig

if TYPE_CHECKING:
    from firmware_py.cli.energy_flight import EnergyFlightResult, EnergyPlan

__all__ = ["EnergySetup", "read_lamps"]

ALWAYS, TUMBLES, ALL_NODES = "always", "tumbling", "all"
MOST_HOURS = 240.0


@dataclass(frozen=True, slots=True)
class EnergySetup:
    """One craft, its stores and its light. ``cosine`` is ``None`` while it tumbles."""

    body: BodyConfig
    hours: float
    soc: float
    soc_cap: float
    orbit: tuple[float, float, float] | None
    """Altitude km, beta deg, phase deg."""
    lamps: tuple[tuple[float, float], ...]
    cosine: float | None
    off: tuple[str, ...]
    ambient_c: float | None
    temperatures_c: dict[str, float]

    @classmethod
    def of(
        cls, body: BodyConfig, *, hours: float, soc: float, soc_cap: float, altitude_km: float | None, beta_deg: float,
        phase_deg: float, lighting: str | None, cosine: str, off: tuple[str, ...], ambient_c: float | None,
        temperatures: tuple[str, ...],
    ) -> EnergySetup:
        """Check what was given. Raises ValueError, with what is allowed."""
        if not 0.0 < hours <= MOST_HOURS:
            raise ValueError(f"--hours is {hours:g}; above 0, up to {MOST_HOURS:g} is allowed")
        for name, value in (("--soc", soc), ("--soc-cap", soc_cap)):
            if not 0.0 <= value <= 1.0:
                raise ValueError(f"{name} is {value:g}; 0..1 is allowed")
        if ambient_c is not None and not -120.0 <= ambient_c <= 160.0:
            raise ValueError(f"--ambient is {ambient_c:g}; -120..160 deg C is modelled")
        loads = [load.name for load in body.power.loads if not load.base]
        for name in off:
            if name not in loads:
                raise ValueError(f"--off: {body.body} can't switch off {name!r}; loads: {', '.join(loads) or 'none'}")
        if altitude_km is None:
            for name, value in (("--beta-deg", beta_deg), ("--phase-deg", phase_deg)):
                if value != 0.0:
                    raise ValueError(f"{name} is {value:g}, of no orbit; give --altitude-km too")
        lamps: tuple[tuple[float, float], ...] = ()
        if lighting is not None and lighting != ALWAYS:
            lamps = read_lamps(Path(lighting))
        if lighting == ALWAYS and altitude_km is not None:
            raise ValueError("--lighting always and --altitude-km contradict each other; leave one away")
        if lamps and altitude_km is not None:
            raise ValueError("--lighting of lamps and --altitude-km contradict each other; leave one away")
        orbit = None if altitude_km is None else (altitude_km, beta_deg, phase_deg)
        if orbit is not None:
            OrbitLight(*orbit)
        return cls(body, hours, soc, soc_cap, orbit, lamps, _cosine(cosine), off, ambient_c, _heat(body, temperatures))

    @property
    def words(self) -> str:
        """Light and attitude in words."""
        facing = "tumbling" if self.cosine is None else f"cells at cosine {self.cosine:g}"
        if self.orbit is not None:
            light = OrbitLight(*self.orbit)
            around = (f"orbit of {self.orbit[0]:g} km, beta {self.orbit[1]:g} deg: {light.period_s / 60:.1f} min, "
                      f"{light.eclipse_s / 60:.1f} of them dark")
        else:
            around = "lamps by table" if self.lamps else "always lit"
        return f"{around}; {facing}"

    def light(self) -> Illumination:
        """The light as flight software reckons it."""
        lighting: Lighting = AlwaysLit()
        if self.orbit is not None:
            lighting = OrbitLight(*self.orbit)
        elif self.lamps:
            lighting = Lamps(self.lamps)
        return Illumination(lighting, TUMBLING if self.cosine is None else Facing(self.cosine))

    def forecast(self, sigma: float) -> DayAhead:
        """The hours ahead. Raises ValueError."""
        start = Start(self.soc, self.soc_cap, sigma, sigma, self.temperatures_c)
        activity = Activity((Phase(off=frozenset(self.off)),))
        return forecast(
            self.body, start, self.light(), activity, seconds=self.hours * 3600.0, ambient_c=self.ambient_c
        )

    def plan(self, faults: tuple[str, ...], seed: int, step_s: float) -> EnergyPlan:
        """The same as a flight. Raises ValueError."""
        from firmware_py.cli.energy_faults import parse_fault
        from firmware_py.cli.energy_flight import EnergyPlan, SunLaw, SunPointed, Tumbling
        from hil.plant.orbit import Orbit

        if not 0.5 <= step_s <= 2.0:
            raise ValueError(f"--step is {step_s:g}; 0.5..2 s is allowed")
        events = tuple(parse_fault(text) for text in faults)
        for event in events:
            if event.at_h >= self.hours:
                raise ValueError(f"--fault {event.text} would begin after the end of the flight, {self.hours:g} h")
        orbit = None if self.orbit is None else Orbit(self.orbit[0], self.orbit[1], self.orbit[2] / 360.0)
        sun: SunLaw = Tumbling() if self.cosine is None else SunPointed(self.cosine)
        row_s = 60.0 if self.hours > 1.0 else 10.0
        return EnergyPlan(
            self.body, hours=self.hours, soc_battery=self.soc, soc_supercap=self.soc_cap, orbit=orbit,
            lighting=self.lamps, sun=sun, ambient_c=self.ambient_c, temperatures_c=self.temperatures_c,
            loads_off=frozenset(self.off), faults=events, seed=seed, step_s=step_s,
            row_s=row_s,
        )

    def draw_forecast(self, ahead: DayAhead, path: Path) -> Path:
        """The picture of a forecast."""
        from firmware_py.report.energy_plots import EnergyDay, draw_energy_day

        low = ahead.pessimistic
        title = f"{self.body.body}: {self.hours:g} h ahead   ({self.words})"
        second = [(row.t_s, row.soc_battery, row.soc_supercap) for row in low.rows]
        return draw_energy_day(EnergyDay(
            title, self.body, ahead.node_names, ahead.nominal.rows, ahead.nominal.sheds, second, "pessimistic",
            self.ambient_c, _markers(ahead.nominal.first_shed(), ahead.nominal.dark_from_s),
            self.hours * 3600.0,
        ), path)

    def draw_flight(self, result: EnergyFlightResult, path: Path) -> Path:
        """The picture of a flight."""
        from firmware_py.report.energy_plots import EnergyDay, draw_energy_day

        title = f"{self.body.body}: {self.hours:g} h flown   ({self.words})"
        second = [(row.t_s, row.estimate_battery, row.estimate_supercap) for row in result.rows]
        return draw_energy_day(EnergyDay(
            title, self.body, result.node_names, result.rows, result.sheds, second, "on board", self.ambient_c,
            {"woke" if n == 0 else f"woke, time {n + 1}": t_s for n, t_s in enumerate(result.wake_s[:3])},
        ), path)


def read_lamps(path: Path) -> tuple[tuple[float, float], ...]:
    """A lighting table: lines of time (s) and share of full Sun; a first line of words and # comments are left out.

    Raises ValueError, with file and line.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a text file"
        raise ValueError(f"--lighting {path}: {reason}; 'always' or a CSV file of s, share of full Sun") from None
    points: list[tuple[float, float]] = []
    for number, row in enumerate(csv.reader(text.splitlines()), start=1):
        if not row or row[0].lstrip().startswith("#"):
            continue
        try:
            if len(row) != 2:
                raise ValueError
            points.append((float(row[0]), float(row[1])))
        except ValueError:
            if number == 1 and not points:
                continue
            raise ValueError(f"{path}, line {number}: {','.join(row)!r} is not time (s), share of full Sun") from None
    try:
        Lamps(points)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    return tuple(points)


def _cosine(text: str) -> float | None:
    if text == TUMBLES:
        return None
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not -1.0 <= value <= 1.0:
        raise ValueError(f"--cosine is {text!r}; a number of -1..1 or {TUMBLES!r} is allowed")
    return value


def _heat(body: BodyConfig, listed: tuple[str, ...]) -> dict[str, float]:
    nodes = [node.name for node in body.thermal.nodes]
    found: dict[str, float] = {}
    for text in listed:
        name, _, number = text.partition("=")
        try:
            celsius = float(number)
        except ValueError:
            celsius = float("nan")
        if name not in (*nodes, ALL_NODES) or not isfinite(celsius) or not -120.0 <= celsius <= 160.0:
            raise ValueError(
                f"--temperature is {text!r}; node=C is needed, -120..160 deg C, nodes: {', '.join(nodes)}, {ALL_NODES}"
            )
        found |= dict.fromkeys(nodes, celsius) if name == ALL_NODES else {name: celsius}
    return found


def _markers(first: object, dark_s: float | None) -> dict[str, float]:
    markers = {} if dark_s is None else {"bus off": dark_s}
    start = getattr(first, "start_s", None)
    return markers if start is None or start <= 0.0 else {"first shed": start, **markers}
