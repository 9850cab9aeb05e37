"""A part's configuration: ordered, obeyed late, lost, and seen right again."""

from __future__ import annotations

from drivers.configuration_watch import STATES_TO_OBEY, ConfigurationWatch

WANTED = (66, True)


def watch() -> ConfigurationWatch:
    return ConfigurationWatch("period", "interrogate")


def test_nothing_is_judged_before_the_first_order() -> None:
    assert watch().lost((0, False), WANTED) is None


def test_a_part_may_obey_late_but_not_never() -> None:
    kept = watch()
    kept.ordered()
    for _ in range(STATES_TO_OBEY):
        assert kept.lost((66, False), WANTED) is None
    assert kept.lost((66, False), WANTED) == "configuration was lost: interrogate"


def test_once_obeyed_a_change_is_told_at_once_with_every_value() -> None:
    kept = watch()
    kept.ordered()
    assert kept.lost(WANTED, WANTED) is None
    assert kept.lost((0, False), WANTED) == "configuration was lost: period, interrogate"


def test_lost_stays_lost_until_it_is_seen_right_again() -> None:
    kept = watch()
    kept.ordered()
    kept.lost(WANTED, WANTED)
    assert kept.lost((0, True), WANTED) is not None
    kept.ordered()
    assert kept.lost((0, True), WANTED) == "configuration was lost: period"
    assert kept.lost(WANTED, WANTED) is None
