"""Values of a fault: the right type and range come through as they are, anything else says what is allowed."""

from __future__ import annotations

from typing import Any

import pytest

from hil.fault_values import member, number, ranged, share, vector

NO_NUMBERS = [None, True, "1", [1.0], float("nan"), float("inf"), -float("inf")]


@pytest.mark.parametrize("value", [0, -3, 2.5, 1e300])
def test_finite_numbers_come_through_as_floats(value: float) -> None:
    assert number("watts", value) == value
    assert isinstance(number("watts", value), float)


@pytest.mark.parametrize("value", NO_NUMBERS)
def test_what_is_no_finite_number_is_refused_by_name(value: Any) -> None:
    with pytest.raises(ValueError, match=r"^watts is .* a finite number is needed"):
        number("watts", value)
    with pytest.raises(ValueError, match=r"^force_n is .* a finite number is needed"):
        vector("force_n", [0.0, value, 0.0])


def test_both_ends_of_a_range_are_allowed_and_nothing_beyond() -> None:
    assert (ranged("c", -120, -120.0, 160.0), ranged("c", 160, -120.0, 160.0)) == (-120.0, 160.0)
    assert (share("factor", 0), share("factor", 1)) == (0.0, 1.0)
    for value in (-120.1, 160.1):
        with pytest.raises(ValueError, match=r"-120\.\.160 is allowed"):
            ranged("c", value, -120.0, 160.0)
    with pytest.raises(ValueError, match=r"0\.\.1 is allowed"):
        share("factor", 1.001)


@pytest.mark.parametrize("value", [None, 3.0, [1.0, 2.0], [1.0, 2.0, 3.0, 4.0], "123"])
def test_a_vector_has_three_numbers(value: Any) -> None:
    assert vector("force_n", (1, 2.5, -3)) == (1.0, 2.5, -3.0)
    with pytest.raises(ValueError, match="force_n must be three numbers"):
        vector("force_n", value)


def test_a_name_is_one_of_those_there_are() -> None:
    assert member("node", "hull", iter(["core", "hull"])) == "hull"
    with pytest.raises(ValueError, match="no node 'mast'; there are: core, hull"):
        member("node", "mast", ["core", "hull"])
    with pytest.raises(ValueError, match="there are: none"):
        member("node", "mast", [])
