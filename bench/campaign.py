"""The fault campaign: every fault alone, pairs, flights without faults, its speed, and the times of the fault table.

How much is flown: ``python -m bench campaign`` (or ``make bench ONLY=campaign``) flies every fault at one moment of the
mission, as many pairs, and two hours without faults, about an hour on two cores. ``CAMPAIGN=slice`` flies what
ten minutes give, faults that trip a row of the fault table first. ``CAMPAIGN=night`` makes it all 20 moments,
every pair and more of three, and 100 hours. The figures say how much was flown of all there is. ``python -m
bench.campaign --quick`` takes a few minutes and leaves the stored results be.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from bench.harness import RESULTS, Report
from fdir.fault_table import load_fault_table
from firmware_py.cli.campaign.cases import Case
from firmware_py.cli.campaign.catalogue import families, groups
from firmware_py.cli.campaign.conduct import Conduct, Mode, NominalFlown, Order
from firmware_py.cli.campaign.fly import Outcome
from firmware_py.cli.campaign.known_open import known_open
from firmware_py.cli.campaign.plan import MOMENTS, pairs, random_cases, singles
from firmware_py.cli.campaign.pool import Setup, Workshop, fly_all
from firmware_py.cli.campaign.results import Totals, again, measured_rows, totals
from firmware_py.cli.campaign.rows import rows_of
from firmware_py.clock import Meter, RealMeter

SEED = 6
JOBS = os.cpu_count() or 1
ALL_PAIRS = 10**9
ALL_HOURS = 100.0
TIMES_REAL = 10.0
ALONE_SHARE = 0.75
MINUTE_NS = 60_000_000_000
METER = RealMeter()


@dataclass(frozen=True, slots=True)
class Size:
    """How much is flown: moments of each fault alone, at most so many groups of them, pairs, runs of one to three
    faults, hours without faults over so many seeds. With ``minutes`` no fault alone is begun after three quarters of
    them, and no pair after all of them."""

    moments: int
    most_alone: int
    pairs: int
    more: int
    hours: float
    seeds: int
    minutes: float | None = None


SIZES = {
    "quick": Size(1, 20, 20, 0, 0.2, 5),
    "slice": Size(1, ALL_PAIRS, ALL_PAIRS, 0, 0.25, 3, minutes=8.0),
    "hour": Size(1, ALL_PAIRS, 500, 0, 2.0, 10),
    "night": Size(20, ALL_PAIRS, ALL_PAIRS, 2500, 100.0, 50),
}


def run(report: Report) -> None:
    """Measure and report."""
    fly(report, SIZES[os.environ.get("CAMPAIGN", "hour")])


def fly(report: Report, size: Size) -> None:
    """Fly a campaign of a size and report it."""
    workshop = Workshop.load(Setup())
    begun_ns = METER.wall_ns()
    # Where time ends before the list does, the rows of the fault table are measured all the same.
    planned = sorted(singles(workshop.entries, SEED, size.moments),
                     key=lambda case: not rows_of(workshop.entries[case.injections[0].fault]))
    alone = _flown("faults alone", _until(islice(planned, size.most_alone), begun_ns, size.minutes, ALONE_SHARE))
    every = families(workshop.entries)
    couples = len(every) * (len(every) - 1) // 2 + sum(len(members) > 1 for members in every.values())
    several = _flown("pairs", _until(islice(pairs(workshop.entries, SEED), size.pairs), begun_ns, size.minutes))
    several += _flown("threes", random_cases(workshop.entries, SEED, size.more))
    alone_figures(report, totals(alone), len(groups(workshop.entries)))
    several_figures(report, totals(several), couples, min(size.pairs, couples))
    known = sum(bool(known_open(o.faults, (b.invariant for b in o.breaches))) for o in (*alone, *several))
    report.add("lost runs that are known to be open", known, f"of {sum(not o.survived for o in (*alone, *several))}")
    counted = totals([*alone, *several])
    report.add("campaign: simulated over real time, one core", counted.times_real, "", None, f">= {TIMES_REAL:g}",
               counted.times_real >= TIMES_REAL)
    with tempfile.TemporaryDirectory() as folder:
        order = Order(Mode.NOMINAL, seed=SEED, jobs=JOBS, hours=size.hours, seeds=size.seeds, output=Path(folder))
        nominal_figures(report, Conduct(order, workshop).fly_nominal(lambda _outcome: None), size)
    measured = measured_rows(alone)
    row_figures(report, measured)
    report.more["faults"] = measured


def _until(
    cases: Iterable[Case], begun_ns: int, minutes: float | None, share: float = 1.0, meter: Meter = METER
) -> Iterator[Case]:
    """Cases until this share of the minutes has passed since the beginning; all of them without minutes."""
    for case in cases:
        if minutes is not None and meter.wall_ns() - begun_ns >= share * minutes * MINUTE_NS:
            return
        yield case


def _flown(name: str, cases: Iterable[Case]) -> list[Outcome]:
    """Fly the cases on all cores; failures are told at once, with the command that repeats each."""
    outcomes: list[Outcome] = []
    for outcome in fly_all(cases, Setup(), JOBS):
        outcomes.append(outcome)
        if not outcome.survived:
            first = outcome.breaches[0]
            print(f"{again(outcome.case)}  # {first.invariant}: {first.text}", flush=True)
        if len(outcomes) % 100 == 0:
            print(f"{name}: {len(outcomes)} flown", flush=True)
    return outcomes


def alone_figures(report: Report, counted: Totals, kinds: int) -> None:
    report.add("faults alone: kinds, each with its equals", kinds)
    report.add("faults alone: runs", counted.alone, f"of {kinds} x {MOMENTS} moments", None, kinds * MOMENTS,
               counted.alone >= kinds * MOMENTS)
    report.add("faults alone: survived", counted.alone_survived, f"of {counted.alone}", None, counted.alone,
               counted.alone_survived == counted.alone)


def several_figures(report: Report, counted: Totals, couples: int, wanted: int) -> None:
    report.add("pairs of families", couples)
    report.add("several faults: runs", counted.several, f"of {couples} pairs and more", None, f">= {wanted}",
               counted.several >= wanted)
    report.add("several faults: survived", counted.several_survived, f"of {counted.several}", None, counted.several,
               counted.several_survived == counted.several)
    for row in counted.hopeless:
        report.add(f"given up: {row.reason}", row.broke, f"lost of {row.flown}")


def nominal_figures(report: Report, flown: NominalFlown, size: Size) -> None:
    report.add("flights without faults", flown.hours, f"h of {ALL_HOURS:g}", None, f">= {size.hours:g}",
               flown.hours >= 0.99 * size.hours)
    report.add("flights without faults: seeds", flown.seeds)
    report.add("flights without faults: false alarms", len(flown.alarms), "", None, 0, not flown.alarms)


def row_figures(report: Report, measured: dict[str, dict[str, float]]) -> None:
    """Rows that tripped, and those that did so later than their goal."""
    goals = {row.id: row.detect_within_ms for row in load_fault_table().rows}
    late = [f"{name} {row['detected_ms']:g} ms" for name, row in measured.items() if row["detected_ms"] > goals[name]]
    report.add("rows of the fault table tripped by a fault alone", len(measured), f"of {len(goals)}")
    report.add("rows detected within their own goal", len(measured) - len(late), f"of {len(measured)}", None,
               len(measured), not late)
    for text in late:
        report.add("row detected late", text, "", None, None, holds=False)


def main(argv: list[str]) -> int:
    """``--quick`` or ``--night``; exit code as of ``python -m bench``. Only the night replaces the stored results."""
    known = {f"--{name}": size for name, size in SIZES.items()}
    if len(argv) != 1 or argv[0] not in known:
        print(f"give one of {', '.join(known)}", file=sys.stderr)
        return 2
    report = Report("campaign", RESULTS if argv[0] == "--night" else Path("build") / "bench")
    fly(report, known[argv[0]])
    return report.finish()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
