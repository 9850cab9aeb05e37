"""The ledger: which lines are in the balance, and which are not."""

from __future__ import annotations

from dataclasses import fields

import pytest

from hil.plant.energy_ledger import EnergyLedger


@pytest.mark.parametrize("line", ["harvested", "dock", "set"])
def test_what_comes_in_grows_the_stores(line: str) -> None:
    assert EnergyLedger(**{line: 5.0}).gained == 5.0


@pytest.mark.parametrize("line", ["loads", "valves", "peaks", "backflow", "battery_losses", "supercap_losses"])
def test_what_is_spent_or_lost_shrinks_them(line: str) -> None:
    book = EnergyLedger(**{line: 5.0})
    assert (book.gained, book.flowed) == (-5.0, 5.0)


@pytest.mark.parametrize("line", ["spilled", "untracked", "unserved"])
def test_what_never_flowed_is_outside_the_balance(line: str) -> None:
    book = EnergyLedger(**{line: 5.0})
    assert (book.gained, book.flowed) == (0.0, 0.0)


def test_table_has_every_line() -> None:
    book = EnergyLedger(harvested=3.0, loads=2.0)
    table = book.as_dict()
    assert list(table) == [line.name for line in fields(EnergyLedger)]
    assert (table["harvested"], table["loads"]) == (3.0, 2.0)
