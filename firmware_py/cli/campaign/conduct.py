"""Carries a campaign out: which runs an order means, flown on all cores, kept as they come, failures shrunk."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from enum import Enum, unique
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from firmware_py.cli.campaign.cases import Case, CaseError, parse_case, scenario_text
from firmware_py.cli.campaign.catalogue import families, groups
from firmware_py.cli.campaign.entries import Entry, Invariant
from firmware_py.cli.campaign.fly import Outcome
from firmware_py.cli.campaign.known_open import known_open
from firmware_py.cli.campaign.matrix import fault_grid, write_matrix
from firmware_py.cli.campaign.nominal import Alarm, NominalOutcome, fly_nominal, nominal_flights
from firmware_py.cli.campaign.plan import pairs, singles, slice_cases
from firmware_py.cli.campaign.pool import Setup, Workshop, fly_all, work_all
from firmware_py.cli.campaign.regressions import REGRESSIONS
from firmware_py.cli.campaign.results import Results, Totals, again, measured_rows, save_failures, totals
from firmware_py.cli.campaign.shrink import shrink
from firmware_py.cli.session import new_folder
from firmware_py.clock import Meter, RealMeter

__all__ = ["Conduct", "Failure", "Flown", "Mode", "NominalFlown", "Order"]

T = TypeVar("T")

MINUTE_NS = 60_000_000_000
SHRUNK_AT_MOST = 5
"""Failures of several faults that are shrunk: each takes some more flights."""
PAGE, PICTURE = "matrix.html", "matrix.png"
FAILURES = "failures"
BLACKBOX = "flight.mcap"


@unique
class Mode(Enum):
    """What is flown; the value is how it is asked for, and the name of its folder."""

    SINGLES = "singles"
    PAIRS = "pairs"
    NOMINAL = "nominal"
    SLICE = "slice"
    CASE = "case"
    LIST = "list"


@dataclass(frozen=True, slots=True)
class Order:
    """A campaign as ordered. ``hours`` and ``seeds`` are of nominal flights, ``minutes`` of a slice."""

    mode: Mode
    setup: Setup = field(default_factory=Setup)
    seed: int = 1
    jobs: int = 1
    moments: int = 20
    hours: float = 0.0
    seeds: int = 50
    minutes: float = 0.0
    case: str = ""
    only: str = ""
    limit: int | None = None
    shrink: bool = True
    output: Path = Path("flights/campaign")

    @property
    def options(self) -> str:
        """What the command that repeats a run needs beside the case."""
        plain = Setup()
        given = (("mission", self.setup.mission, plain.mission), ("body", self.setup.body, plain.body),
                 ("board", self.setup.board, plain.board))
        return " ".join(f"--{name} {value}" for name, value, default in given if value != default)


@dataclass(frozen=True, slots=True)
class Failure:
    """A run that did not survive, and the fewest faults that still break the same; ``note`` if that was not found.
    ``known``: reasons of the table of what is known to be open, if they explain all of it."""

    outcome: Outcome
    smallest: str
    again: str
    note: str = ""
    known: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "case": self.outcome.case, "phases": list(self.outcome.phases), "smallest": self.smallest,
            "again": self.again, "note": self.note, "known_open": list(self.known),
            "breaches": [asdict(b) for b in self.outcome.breaches],
        }


@dataclass(frozen=True, slots=True)
class Flown:
    """A whole campaign."""

    order: Order
    outcomes: tuple[Outcome, ...]
    totals: Totals
    failures: tuple[Failure, ...]
    paths: dict[str, str]
    elapsed_s: float

    @property
    def new(self) -> tuple[Failure, ...]:
        """Failures that no row of the table of what is known to be open explains."""
        return tuple(failure for failure in self.failures if not failure.known)

    @property
    def known(self) -> tuple[Failure, ...]:
        """Failures that are known to be open: lost all the same."""
        return tuple(failure for failure in self.failures if failure.known)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, without the single runs: those are in results.jsonl."""
        return {
            "mode": self.order.mode.value, "seed": self.order.seed, "elapsed_s": self.elapsed_s,
            "totals": self.totals.as_dict(), "failures": [failure.as_dict() for failure in self.failures],
            "rows": measured_rows(self.outcomes), "paths": self.paths,
        }


@dataclass(frozen=True, slots=True)
class NominalFlown:
    """Flights without faults, and the alarms that they raised: flight and alarm."""

    outcomes: tuple[NominalOutcome, ...]
    alarms: tuple[tuple[str, Alarm], ...]
    hours: float
    seeds: int
    times_real: float
    paths: dict[str, str]

    def as_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "mode": Mode.NOMINAL.value, "hours": self.hours, "flights": len(self.outcomes), "seeds": self.seeds,
            "times_real": self.times_real, "paths": self.paths,
            "at_boot": sum(outcome.at_boot for outcome in self.outcomes),
            "alarms": [{"flight": flight, **asdict(alarm)} for flight, alarm in self.alarms],
        }


class Conduct:
    """One campaign.

    Args:
        workshop: body, board, mission and catalogue as loaded, for planning and shrinking in this process.
        meter: real time, for the end of a slice.

    Raises:
        CaseError: the case of the order is none, or no fault begins as ``only`` says.
    """

    def __init__(self, order: Order, workshop: Workshop, meter: Meter | None = None) -> None:
        self.order = order
        self.workshop = workshop
        self._meter: Meter = RealMeter() if meter is None else meter
        self._kept_at: Path | None = None
        """Folder of the flight of a single case."""
        self._entries = {name: e for name, e in workshop.entries.items() if name.startswith(order.only)}
        self._case = parse_case(order.case, workshop.entries) if order.mode is Mode.CASE else None
        if not self._entries:
            # The same words as for a case.
            parse_case(f"{order.only}@0:0", workshop.entries)

    @property
    def planned(self) -> int | None:
        """Runs to come; ``None``: as many as there is time for."""
        order, known = self.order, None
        if order.mode is Mode.SINGLES:
            known = len(groups(self._entries)) * order.moments
        elif order.mode is Mode.PAIRS:
            members = families(self._entries)
            own = sum(len(found) > 1 for found in members.values())
            known = len(members) * (len(members) - 1) // 2 + own
        elif order.mode is Mode.CASE:
            known = 1
        elif order.mode is Mode.NOMINAL:
            known = sum(1 for _ in nominal_flights(order.hours, order.seeds, order.seed))
        return known if order.limit is None or known is None else min(known, order.limit)

    def cases(self) -> Iterator[Case]:
        """The runs of the order."""
        order = self.order
        found: Iterable[Case]
        if self._case is not None:
            found = (self._case,)
        elif order.mode is Mode.SINGLES:
            found = singles(self._entries, order.seed, order.moments)
        elif order.mode is Mode.PAIRS:
            found = pairs(self._entries, order.seed)
        else:
            found = self._until(self._slice(), order.minutes)
        return iter(found) if order.limit is None else islice(found, order.limit)

    def fly(self, each: Callable[[Outcome], None]) -> Flown:
        """Fly all of it; ``each`` is called with every outcome, in the order of the runs. Raises OSError."""
        start_ns = self._meter.wall_ns()
        results = Results(self._folder)
        outcomes: list[Outcome] = []
        try:
            for outcome in self._fly(self.cases()):
                results.add(outcome)
                outcomes.append(outcome)
                each(outcome)
        finally:
            results.close()
        failures = tuple(self._failures(outcomes))
        counted = totals(outcomes)
        paths = {"results": str(results.path)}
        phases = [step.name for step in self.workshop.mission.steps]
        title = f"Fault campaign: {self.order.mode.value}, seed {self.order.seed}"
        page = write_matrix(self._folder / PAGE, outcomes, counted, phases, title, self.order.options)
        paths["page"] = str(page)
        grid = fault_grid(outcomes, phases)
        if self._case is None and grid.rows:
            from firmware_py.cli.campaign.matrix_plot import draw_matrix  # Workers need no pictures.

            paths["picture"] = str(draw_matrix(self._folder / PICTURE, grid, title))
        if self._kept_at is not None:
            paths["black box"] = str(self._kept_at / BLACKBOX)
        if failures:
            kept = save_failures(self._folder / FAILURES, (self._kept(n, f) for n, f in enumerate(failures)))
            paths["failures"] = str(kept[0].parent)
        elapsed_s = (self._meter.wall_ns() - start_ns) * 1e-9
        return Flown(self.order, tuple(outcomes), counted, failures, paths, elapsed_s)

    def fly_nominal(self, each: Callable[[NominalOutcome], None]) -> NominalFlown:
        """Fly without faults and gather the alarms. Raises OSError."""
        order = self.order
        planned = nominal_flights(order.hours, order.seeds, order.seed)
        items = list(planned if order.limit is None else islice(planned, order.limit))
        results = Results(self._folder)
        outcomes: list[NominalOutcome] = []
        try:
            for outcome in work_all(fly_nominal, items, order.setup, order.jobs):
                results.add(outcome)
                outcomes.append(outcome)
                each(outcome)
        finally:
            results.close()
        flight_s, cpu_s = sum(o.flight_s for o in outcomes), sum(o.cpu_s for o in outcomes)
        return NominalFlown(
            tuple(outcomes), tuple((o.flight, alarm) for o in outcomes for alarm in o.alarms), flight_s / 3600.0,
            len({item.seed for item in items}), flight_s / cpu_s if cpu_s > 0.0 else 0.0,
            {"results": str(results.path)},
        )

    # -- parts

    @property
    def _folder(self) -> Path:
        return self.order.output / self.order.mode.value

    def _fly(self, cases: Iterator[Case]) -> Iterator[Outcome]:
        if self._case is not None:
            self._kept_at = new_folder(self._folder, "flight", self._case.seed)
            return iter((self.workshop.fly(self._case, self._kept_at),))
        if self.order.jobs <= 1:
            return (self.workshop.fly(case) for case in cases)
        return fly_all(cases, self.order.setup, self.order.jobs)

    def _slice(self) -> Iterator[Case]:
        entries = self.workshop.entries
        if not self.order.only:
            for text, _ in REGRESSIONS:
                with suppress(CaseError):  # Another craft has no such fault.
                    yield parse_case(text, entries)
        yield from slice_cases(self._entries, self.order.seed)

    def _until(self, cases: Iterator[T], minutes: float) -> Iterator[T]:
        end_ns = self._meter.wall_ns() + round(minutes * MINUTE_NS)
        for case in cases:
            if self._meter.wall_ns() >= end_ns:
                return
            yield case

    def _failures(self, outcomes: Iterable[Outcome]) -> Iterator[Failure]:
        shrunk = 0
        for outcome in outcomes:
            if outcome.survived:
                continue
            smallest, note = outcome.case, ""
            if self.order.shrink and len(outcome.faults) > 1:
                if shrunk < SHRUNK_AT_MOST:
                    shrunk += 1
                    smallest, note = self._shrunk(outcome)
                else:
                    note = f"not shrunk: only the first {SHRUNK_AT_MOST} are"
            faults = [i.fault for i in parse_case(smallest, self.workshop.entries).injections]
            known = known_open(faults, (breach.invariant for breach in outcome.breaches))
            yield Failure(outcome, smallest, again(smallest, self.order.options), note, known)

    def _shrunk(self, outcome: Outcome) -> tuple[str, str]:
        case = parse_case(outcome.case, self.workshop.entries)
        try:
            return str(shrink(case, self._broken)), ""
        except ValueError as error:
            return outcome.case, f"does not repeat: {error}"

    def _broken(self, case: Case) -> frozenset[Invariant]:
        return frozenset(breach.invariant for breach in self.workshop.fly(case).breaches)

    def _kept(self, number: int, failure: Failure) -> tuple[str, str]:
        entries: dict[str, Entry] = self.workshop.entries
        name = f"campaign-{number + 1:03d}"
        why = "; ".join(f"{b.invariant} at {b.t_s:.2f} s: {b.text}" for b in failure.outcome.breaches)
        case = parse_case(failure.smallest, entries)
        return name, scenario_text(case, entries, self.workshop.mission, name, why)
