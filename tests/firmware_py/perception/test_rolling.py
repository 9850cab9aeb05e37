"""RollingBox: cells keep their place while the box moves; only what enters is cleared."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_py.perception.rolling import REACH_M, RollingBox, within_reach

STEP = st.floats(-60.0, 60.0)


class Reference:
    """The same with a dictionary of cells."""

    def __init__(self, box: RollingBox) -> None:
        self.box = box
        self.values: dict[tuple[int, ...], int] = {}

    def keep(self) -> None:
        inside = {cell: value for cell, value in self.values.items() if self.box.inside(np.array(cell))}
        self.values = inside


@settings(max_examples=80, deadline=None)
@given(st.lists(st.tuples(STEP, STEP, STEP), min_size=1, max_size=8), st.integers(0, 2**32 - 1))
def test_what_stays_in_the_box_stays_and_what_leaves_is_gone(path: list[tuple[float, ...]], seed: int) -> None:
    rng = np.random.default_rng(seed)
    box = RollingBox((8, 16, 4), 2.0, slack=1)
    memory, reference = np.zeros(box.size, np.int64), Reference(box)
    for number, position in enumerate(path, 1):
        for slab in box.follow(np.array(position)):
            memory.reshape(box.shape)[slab] = 0
        reference.keep()
        cell = box.origin + rng.integers(0, box.shape)
        memory[box.place(cell)] = number
        reference.values[tuple(cell.tolist())] = number
        places = np.flatnonzero(memory)
        kept = {tuple(c): int(v) for c, v in zip(box.cells_at(places).tolist(), memory[places], strict=True)}
        assert kept == reference.values


@given(st.tuples(STEP, STEP, STEP))
def test_the_position_is_within_slack_of_the_middle(position: tuple[float, ...]) -> None:
    box = RollingBox((16, 16, 8), 2.0, slack=2)
    for _ in box.follow(np.zeros(3)):
        pass
    for _ in box.follow(np.array(position)):
        pass
    middle = box.origin + np.array(box.shape) // 2
    assert np.all(np.abs(box.cell_of(np.array(position)) - middle) <= 2)


def test_hovering_at_an_edge_of_a_cell_clears_nothing() -> None:
    box = RollingBox((8, 8, 8), 1.0, slack=1)
    list(box.follow(np.zeros(3)))
    moves = [list(box.follow(np.array((x, 0.0, 0.0)))) for x in (0.99, 1.01, 0.99, 1.01)]
    assert not any(moves)


@pytest.mark.parametrize("position", [(np.nan, 0.0, 0.0), (np.inf, 0.0, 0.0), (2.0 * REACH_M, 0.0, 0.0)])
def test_no_place_moves_nothing(position: tuple[float, ...]) -> None:
    box = RollingBox((8, 8, 8), 1.0)
    assert not list(box.follow(np.array(position)))
    assert not within_reach(np.array(position))


def test_places_of_a_region_are_those_of_its_cells() -> None:
    box = RollingBox((8, 8, 8), 2.0)
    list(box.follow(np.array((31.0, -5.0, 3.0))))
    low, high = np.array((28.0, -9.0, 0.5)), np.array((33.0, 100.0, 1.5))
    cells = box.cells_at(box.places_within(low, high))
    everything = box.cells_at(np.arange(box.size))
    touched = np.all((everything * 2.0 <= high) & ((everything + 1) * 2.0 > low), axis=1)
    assert sorted(map(tuple, cells.tolist())) == sorted(map(tuple, everything[touched].tolist()))
    assert len(box.places_within(np.full(3, 1000.0), np.full(3, 1001.0))) == 0


def test_the_span_of_flags_is_their_box() -> None:
    box = RollingBox((8, 8, 8), 2.0)
    list(box.follow(np.array((31.0, -5.0, 3.0))))
    flags = np.zeros(box.size, np.bool_)
    flags[box.place(np.array([[13, -4, 2], [17, -1, 0]]))] = True
    assert box.span(flags) == ((26.0, -8.0, 0.0), (36.0, 0.0, 6.0))


@pytest.mark.parametrize(
    ("shape", "cell_m", "slack"),
    [((6, 8, 8), 1.0, 1), ((2, 8, 8), 1.0, 0), ((8, 8, 8), 0.0, 1), ((8, 8, 8), 1.0, 4), ((512, 512, 512), 1.0, 1)],
)
def test_boxes_that_cannot_be_are_refused_by_name(shape: tuple[int, int, int], cell_m: float, slack: int) -> None:
    with pytest.raises(ValueError, match="allowed"):
        RollingBox(shape, cell_m, slack)


@pytest.mark.parametrize("low", [(np.nan, 0.0, 0.0), (5.0, 0.0, 0.0)])
def test_regions_that_cannot_be_are_refused(low: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="region"):
        RollingBox((8, 8, 8), 1.0).places_within(np.array(low), np.ones(3))
