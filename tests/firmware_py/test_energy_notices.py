"""What begins is told once, and so is its end."""

from __future__ import annotations

from fdir.codes import Code, Severity
from firmware_py.energy.notices import Notices
from tests.firmware_py.energy_craft import Events

LOW, HOT = (Code.BAT_LOW, "battery at 19 %"), (Code.BAT_HOT, "battery at 62 deg C")


def test_beginning_and_end_are_told_once_each() -> None:
    told = Events()
    notices = Notices(told)
    for t_ns in range(1000):
        notices.update(t_ns, "battery", [LOW] if 100 <= t_ns < 900 else [], Severity.WARNING)
    assert [(e.t_ns, e.code, e.severity, e.text) for e in told.all] == [
        (100, Code.BAT_LOW, Severity.WARNING, "battery at 19 %"),
        (900, Code.BAT_LOW, Severity.INFO, "battery at 19 %: over"),
    ]


def test_each_of_several_has_edges_of_its_own_in_a_fixed_order() -> None:
    told = Events()
    notices = Notices(told)
    notices.update(1, "battery", iter([LOW, HOT, LOW]), Severity.CRITICAL)
    notices.update(2, "battery", [HOT], Severity.CRITICAL)
    notices.update(3, "battery", [], Severity.CRITICAL)
    assert [(e.t_ns, e.code, e.begins) for e in told.all] == [
        (1, *pair) for pair in sorted([(Code.BAT_LOW, True), (Code.BAT_HOT, True)])
    ] + [(2, Code.BAT_LOW, False), (3, Code.BAT_HOT, False)]
    other = Events()
    Notices(other).update(1, "battery", [HOT, LOW], Severity.CRITICAL)
    assert other.all == told.all[:2]


def test_sources_do_not_end_each_other_s_notices() -> None:
    told = Events()
    notices = Notices(told)
    notices.update(1, "battery", [LOW], Severity.WARNING)
    notices.update(2, "supercap", [], Severity.WARNING)
    notices.update(3, "supercap", [LOW], Severity.WARNING)
    notices.update(4, "battery", [LOW], Severity.WARNING)
    assert [e.t_ns for e in told.all] == [1, 3]


def test_another_text_is_another_notice() -> None:
    told = Events()
    notices = Notices(told)
    notices.update(1, "dock", [(Code.SOURCE_UNAVAILABLE, "dock: wait")], Severity.WARNING)
    notices.update(2, "dock", [(Code.SOURCE_UNAVAILABLE, "dock: hold")], Severity.WARNING)
    assert [e.text for e in told.all] == ["dock: wait", "dock: hold", "dock: wait: over"]
