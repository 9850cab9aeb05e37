"""A campaign as a whole: runs in order, failures shrunk and kept, a slice that ends on time, pages that are written."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from firmware_py.cli.campaign.cases import Case, CaseError, parse_case
from firmware_py.cli.campaign.catalogue import catalogue
from firmware_py.cli.campaign.conduct import Conduct, Flown, Mode, Order
from firmware_py.cli.campaign.entries import Entry, Invariant
from firmware_py.cli.campaign.fly import Outcome
from firmware_py.cli.campaign.pool import Setup
from firmware_py.clock import NullMeter
from firmware_py.mission import MissionConfig, load_mission
from hal.profile import Profile, load_profile
from tests.firmware_py.campaign_outcomes import breach, outcome

PROFILE = load_profile("qiki-t", "qiki-rpi")
BASE = load_mission("campaign-mission")
FEW = {name: entry for name, entry in catalogue(PROFILE).items() if name in ("eclipse", "dead.imu", "nozzle_off.3")}


class Workshop:
    """Flies nothing: ``breaks`` says which cases break what."""

    def __init__(self, breaks: Callable[[frozenset[str]], bool] = lambda _faults: False) -> None:
        self.entries: dict[str, Entry] = FEW
        self.mission: MissionConfig = BASE
        self.profile: Profile = PROFILE
        self.flown: list[Case] = []
        self._breaks = breaks

    def fly(self, case: Case, keep: Path | None = None) -> Outcome:
        self.flown.append(case)
        faults = tuple(injection.fault for injection in case.injections)
        broken = (breach(Invariant.RATE_LIMIT),) if self._breaks(frozenset(faults)) else ()
        made = outcome(*faults, breaches=broken)
        return Outcome(**{name: getattr(made, name) for name in made.__slots__} | {"case": str(case)})


class Minutes:
    """A meter on which a minute passes with every look."""

    measures = True

    def __init__(self) -> None:
        self.now = 0

    def wall_ns(self) -> int:
        self.now += 60_000_000_000
        return self.now

    cpu_ns = wall_ns


def conduct(tmp_path: Path, workshop: Workshop, mode: Mode, **more: object) -> tuple[Conduct, Flown, list[Outcome]]:
    seen: list[Outcome] = []
    made = Conduct(Order(mode, output=tmp_path, **more), workshop, NullMeter())  # type: ignore[arg-type]
    return made, made.fly(seen.append), seen


def test_singles_fly_every_fault_at_every_moment(tmp_path: Path) -> None:
    workshop = Workshop()
    made, flown, seen = conduct(tmp_path, workshop, Mode.SINGLES, moments=4)
    assert made.planned == len(workshop.flown) == 12
    assert seen == list(flown.outcomes)
    assert flown.failures == ()


def test_pairs_fly_every_pair(tmp_path: Path) -> None:
    workshop = Workshop()
    made, flown, _ = conduct(tmp_path, workshop, Mode.PAIRS)
    assert made.planned == len(flown.outcomes) == 3
    assert all(len(case.injections) == 2 for case in workshop.flown)


def test_a_failure_is_shrunk_and_names_the_command_that_repeats_it(tmp_path: Path) -> None:
    workshop = Workshop(lambda faults: "dead.imu" in faults)
    _, flown, _ = conduct(tmp_path, workshop, Mode.PAIRS)
    assert len(flown.failures) == 2
    for failure in flown.failures:
        small = parse_case(failure.smallest, FEW)
        assert [injection.fault for injection in small.injections] == ["dead.imu"]
        assert failure.again == f"qiki hil campaign --case '{failure.smallest}'"


def test_failures_are_kept_as_scenarios_that_load(tmp_path: Path) -> None:
    _, flown, _ = conduct(tmp_path, Workshop(lambda faults: "dead.imu" in faults), Mode.SINGLES, moments=1)
    kept = load_mission(str(Path(flown.paths["failures"]) / "campaign-001.yaml"))
    assert [fault.kind for fault in kept.faults] == ["bus_fault"]


def test_shrinking_can_be_left_out(tmp_path: Path) -> None:
    workshop = Workshop(lambda faults: "dead.imu" in faults)
    _, flown, _ = conduct(tmp_path, workshop, Mode.PAIRS, shrink=False)
    assert [failure.smallest for failure in flown.failures] == [f.outcome.case for f in flown.failures]
    assert len(workshop.flown) == 3


def test_a_failure_that_does_not_repeat_is_said_to_be_so(tmp_path: Path) -> None:
    turns = iter([True, False, False])
    workshop = Workshop(lambda _faults: next(turns, False))
    _, flown, _ = conduct(tmp_path, workshop, Mode.PAIRS, limit=1)
    (failure,) = flown.failures
    assert failure.note.startswith("does not repeat")
    assert failure.smallest == failure.outcome.case


def test_other_missions_are_named_in_the_command(tmp_path: Path) -> None:
    workshop = Workshop(lambda _faults: True)
    _, flown, _ = conduct(tmp_path, workshop, Mode.SINGLES, limit=1, setup=Setup(body="gref", board="my.yaml"))
    assert flown.failures[0].again.startswith("qiki hil campaign --body gref --board my.yaml --case '")


def test_results_page_and_summary_are_written(tmp_path: Path) -> None:
    _, flown, _ = conduct(tmp_path, Workshop(), Mode.SINGLES, moments=2)
    lines = Path(flown.paths["results"]).read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["case"] for line in lines] == [o.case for o in flown.outcomes]
    assert "every run survived" in Path(flown.paths["page"]).read_text(encoding="utf-8")
    assert json.loads(json.dumps(flown.as_dict()))["totals"]["flown"] == 6


def test_a_slice_ends_when_its_time_is_up(tmp_path: Path) -> None:
    workshop = Workshop()
    made = Conduct(Order(Mode.SLICE, minutes=10.0, output=tmp_path), workshop, Minutes())  # type: ignore[arg-type]
    assert made.planned is None
    made.fly(lambda _outcome: None)
    assert len(workshop.flown) == 9


def test_a_slice_flies_what_was_once_lost_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = "dead.imu@5.000:9"
    other = "nozzle_off.99@5.000:9"
    monkeypatch.setattr("firmware_py.cli.campaign.conduct.REGRESSIONS", ((other, "of another craft"), (kept, "why")))
    workshop = Workshop()
    conduct(tmp_path, workshop, Mode.SLICE, minutes=1.0, limit=3)
    assert str(workshop.flown[0]) == kept


def test_only_some_faults_can_be_asked_for(tmp_path: Path) -> None:
    made, flown, _ = conduct(tmp_path, Workshop(), Mode.SINGLES, moments=3, only="nozzle")
    assert made.planned == 3
    assert {o.faults for o in flown.outcomes} == {("nozzle_off.3",)}


@pytest.mark.parametrize("order", [Order(Mode.SINGLES, only="gremlin"), Order(Mode.CASE, case="gremlin@1:1")])
def test_faults_that_there_are_none_of_are_refused(order: Order) -> None:
    with pytest.raises(CaseError, match="gremlin"):
        Conduct(order, Workshop())  # type: ignore[arg-type]
