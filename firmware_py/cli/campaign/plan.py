"""Which cases a campaign flies, in which order: singles, pairs, chance, a slice. The same seed gives the same list."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from itertools import combinations

import numpy as np

from firmware_py.cli.campaign.cases import Case, Injection
from firmware_py.cli.campaign.catalogue import families, groups
from firmware_py.cli.campaign.entries import Entry

__all__ = ["MOMENTS", "SPAN_S", "pairs", "random_cases", "seed_of", "singles", "slice_cases"]

MOMENTS = 20
SPAN_S = 46.0
"""Part of the campaign's mission over which faults begin; without a fault it takes 47 s."""
FIRST_S = 0.2
MOST_AT_ONCE = 3
WORLD_SEEDS = 1_000_000


def seed_of(text: str) -> int:
    """A seed from any text, such as a commit."""
    return int.from_bytes(sha256(text.encode()).digest()[:4], "big")


def singles(entries: Mapping[str, Entry], seed: int, moments: int = MOMENTS) -> Iterator[Case]:
    """Each group of equivalent faults at ``moments`` moments spread over the mission, one after the other.

    Moment by moment through all groups, so that what is flown in any time is spread over all faults. Which of the
    equivalent faults is taken, and where within its share of the mission, follows from the seed.
    """
    members = groups(entries)
    rng = np.random.default_rng([seed, 1])
    share_s = (SPAN_S - FIRST_S) / moments
    turns = {name: rng.permutation(len(group)) for name, group in members.items()}
    for k in _spread(moments):
        for name, group in members.items():
            entry = group[int(turns[name][k % len(group)])]
            at_s = FIRST_S + (k + float(rng.random())) * share_s
            yield Case((Injection(entry.id, round(at_s, 3)),), int(rng.integers(WORLD_SEEDS)))


def pairs(entries: Mapping[str, Entry], seed: int) -> Iterator[Case]:
    """Every pair of families of faults once, each at a moment of its own, in an order of chance."""
    members = families(entries)
    rng = np.random.default_rng([seed, 2])
    every = [*combinations(members, 2), *((name, name) for name, found in members.items() if len(found) > 1)]
    for index in rng.permutation(len(every)):
        one, two = every[int(index)]
        picked = _two(members[one], members[two], rng)
        yield _at_random(picked, rng)


def random_cases(entries: Mapping[str, Entry], seed: int, count: int) -> Iterator[Case]:
    """``count`` runs of one to three faults of chance."""
    members = list(families(entries).values())
    rng = np.random.default_rng([seed, 3])
    for _ in range(count):
        several = 1 + int(rng.integers(MOST_AT_ONCE))
        picked = []
        for index in rng.choice(len(members), several, replace=False):
            family = members[int(index)]
            picked.append(family[int(rng.integers(len(family)))])
        yield _at_random(picked, rng)


def slice_cases(entries: Mapping[str, Entry], seed: int) -> Iterator[Case]:
    """Without end, for as long as there is time: singles, pairs and threes by turns, each list from a place of chance.

    Raises nothing; the list of singles is begun anew with another seed when it is through.
    """
    turn = 0
    while True:
        rng = np.random.default_rng([seed, 4, turn])
        alone = [*singles(entries, int(rng.integers(2**31)))]
        for case, pair, more in zip(
            (alone[int(i)] for i in rng.permutation(len(alone))), pairs(entries, int(rng.integers(2**31))),
            random_cases(entries, int(rng.integers(2**31)), len(alone)), strict=False,
        ):
            yield case
            yield pair
            yield more
        turn += 1


def _spread(moments: int) -> Sequence[int]:
    """All moments, far apart ones first: a campaign that is cut short has seen the whole mission."""
    step = max(1, round(moments * 0.382))
    while np.gcd(step, moments) != 1:
        step += 1
    return [(7 + step * k) % moments for k in range(moments)]


def _two(one: Sequence[Entry], two: Sequence[Entry], rng: np.random.Generator) -> list[Entry]:
    """One entry of each, never the same twice."""
    first = one[int(rng.integers(len(one)))]
    rest = [entry for entry in two if entry.id != first.id]
    return [first, rest[int(rng.integers(len(rest)))]]


def _at_random(picked: Sequence[Entry], rng: np.random.Generator) -> Case:
    moments = np.sort(rng.uniform(FIRST_S, SPAN_S, len(picked)))
    order = rng.permutation(len(picked))
    injections = tuple(
        Injection(picked[int(i)].id, round(float(at_s), 3)) for i, at_s in zip(order, moments, strict=True)
    )
    return Case(injections, int(rng.integers(WORLD_SEEDS)))
