"""Which runs a campaign makes: all of them, spread over the mission, the same for the same seed."""

from __future__ import annotations

from collections import Counter
from itertools import islice

import pytest

from firmware_py.cli.campaign.catalogue import catalogue, families, groups
from firmware_py.cli.campaign.plan import FIRST_S, SPAN_S, pairs, random_cases, seed_of, singles, slice_cases
from hal.profile import load_profile

ENTRIES = catalogue(load_profile("qiki-t", "qiki-rpi"))
FEW = {name: entry for name, entry in ENTRIES.items() if name.startswith(("nozzle_", "dead.", "soc_"))}


def test_every_group_is_flown_alone_at_every_share_of_the_mission() -> None:
    flown: dict[str, list[int]] = {}
    share_s = (SPAN_S - FIRST_S) / 5
    for case in singles(FEW, 1, 5):
        (injection,) = case.injections
        share = int((injection.at_s - FIRST_S) / share_s - 1e-6)
        flown.setdefault(FEW[injection.fault].group, []).append(share)
    assert set(flown) == set(groups(FEW))
    assert all(sorted(shares) == [0, 1, 2, 3, 4] for shares in flown.values())


def test_equivalent_faults_take_turns() -> None:
    taken = [c.injections[0].fault for c in singles(FEW, 1, 16) if FEW[c.injections[0].fault].group == "nozzle_off"]
    assert len(set(taken)) == 16


def test_the_first_round_goes_through_all_groups_before_the_second_begins() -> None:
    count = len(groups(FEW))
    first = [case.injections[0].fault for case in islice(singles(FEW, 3), count)]
    assert len({FEW[fault].group for fault in first}) == count


def test_every_pair_of_families_is_flown_once_and_never_one_fault_twice() -> None:
    of = {entry.id: name for name, members in families(FEW).items() for entry in members}
    flown: Counter[tuple[str, str]] = Counter()
    for case in pairs(FEW, 2):
        one, two = case.injections
        assert one.fault != two.fault
        assert FIRST_S <= one.at_s <= two.at_s <= SPAN_S
        first, second = sorted((of[one.fault], of[two.fault]))
        flown[first, second] += 1
    members = families(FEW)
    own = sum(len(found) > 1 for found in members.values())
    assert set(flown.values()) == {1}
    assert len(flown) == len(members) * (len(members) - 1) // 2 + own


@pytest.mark.parametrize("plan", [singles, pairs, slice_cases, lambda e, s: random_cases(e, s, 50)])
def test_the_same_seed_gives_the_same_runs_and_another_one_others(plan) -> None:
    def made(seed: int) -> list[str]:
        return [str(case) for case in islice(plan(FEW, seed), 50)]

    assert made(5) == made(5)
    assert made(5) != made(6)


def test_runs_of_chance_have_one_to_three_faults_of_different_families() -> None:
    of = {entry.id: name for name, members in families(FEW).items() for entry in members}
    cases = list(random_cases(FEW, 1, 60))
    assert {len(case.injections) for case in cases} == {1, 2, 3}
    for case in cases:
        assert len({of[injection.fault] for injection in case.injections}) == len(case.injections)


def test_a_slice_goes_on_after_all_lists_are_through() -> None:
    one = {name: ENTRIES[name] for name in ("nozzle_off.3", "dead.imu", "eclipse")}
    cases = [str(case) for case in islice(slice_cases(one, 1), 300)]
    assert len(cases) == 300
    assert len(set(cases)) > 250


def test_a_seed_follows_from_any_text() -> None:
    assert seed_of("44b9006") == seed_of("44b9006") != seed_of("44b9007")
    assert 0 <= seed_of("") < 2**32
