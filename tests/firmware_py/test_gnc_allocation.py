"""Control allocation against an independent linear-programming solver and the reference table of the body."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import linprog

from firmware_py.gnc.allocation import Allocator, bounded_least_squares
from hal.profile.body import BodyConfig
from hal.profile.loader import load_body

BODIES = ("qiki-t", "qiki-g", "bench-12kg")


@pytest.fixture(scope="module", params=BODIES)
def allocator(request: pytest.FixtureRequest) -> Allocator:
    return Allocator(load_body(request.param))


@pytest.fixture(scope="module")
def qiki_t() -> Allocator:
    return Allocator(load_body("qiki-t"))


def random_body(rng: np.random.Generator, count: int) -> BodyConfig:
    """The reference body with nozzles strewn over a box; all but a few such bodies span every direction."""
    import msgspec

    raw = msgspec.to_builtins(load_body("qiki-t"))
    nozzles = []
    for index in range(count):
        direction = rng.standard_normal(3)
        direction /= np.linalg.norm(direction)
        nozzles.append({
            "id": index, "cluster": "rcs_c01", "position_m": rng.uniform(-1.0, 1.0, 3).tolist(),
            "direction": direction.tolist(), "thrust_n": float(rng.uniform(50.0, 300.0)),
        })
    raw["propulsion"]["nozzles"] = nozzles
    return msgspec.convert(raw, BodyConfig)


def demands(allocator: Allocator, rng: np.random.Generator, count: int) -> list[np.ndarray]:
    size = np.abs(allocator.wrenches).max(axis=1)
    result = []
    for index in range(count):
        b = rng.standard_normal(6) * size * rng.choice([0.05, 0.5, 1.5, 4.0])
        if index % 3 == 0:
            b[rng.permutation(6)[:3]] = 0.0
        result.append(b)
    return result


def check_against_solver(allocator: Allocator, b: np.ndarray, failed: int) -> None:
    w, cost = allocator.wrenches, allocator.thrust
    alive = [not failed >> n & 1 for n in range(allocator.count)]
    duty, share = allocator.allocate(b, failed)
    assert duty.min() >= 0.0
    assert duty.max() <= 1.0
    assert not duty[~np.array(alive)].any()
    free = linprog(cost, A_eq=w, b_eq=b, bounds=[(0, None if a else 0) for a in alive], method="highs")
    if free.status != 0:
        # A direction that the nozzles left can't make: the best that can be said is how much of it was made.
        assert 0.0 <= share < 1.0 + 1e-9
        return
    longest = linprog(
        [0.0] * allocator.count + [-1.0], A_eq=np.c_[w, -b], b_eq=np.zeros(6),
        bounds=[(0, 1 if a else 0) for a in alive] + [(0, None)], method="highs",
    )
    scale = min(1.0, float(longest.x[-1]))
    assert share == pytest.approx(scale, rel=1e-3)
    row = np.abs(w).max(axis=1)
    assert np.abs((w @ duty - share * b) / row).max() < 1e-4
    if free.x.max() <= 1.0 and scale == 1.0:
        assert cost @ duty <= free.fun * (1.0 + 1e-5) or duty.max() == pytest.approx(1.0)


def test_duties_cost_no_more_than_the_solvers_optimum(allocator: Allocator) -> None:
    rng = np.random.default_rng(5)
    for b in demands(allocator, rng, 60):
        check_against_solver(allocator, b, 0)


def test_with_failed_nozzles_the_optimum_over_the_others_is_found(allocator: Allocator) -> None:
    rng = np.random.default_rng(6)
    for b in demands(allocator, rng, 40):
        failed = 1 << int(rng.integers(16))
        if rng.random() < 0.3:
            failed |= 1 << int(rng.integers(16))
        check_against_solver(allocator, b, failed)


@pytest.mark.parametrize("count", [8, 12, 16])
def test_random_geometries_agree_with_the_solver(count: int) -> None:
    rng = np.random.default_rng(count)
    for _ in range(2):
        allocator = Allocator(random_body(rng, count))
        for b in demands(allocator, rng, 15):
            check_against_solver(allocator, b, 0)


def test_authority_is_that_of_the_reference_table(qiki_t: Allocator) -> None:
    # CANON section 3: force +-X / +-Y / +-Z, torque roll / pitch / yaw about the centre of mass.
    for axis, newtons in enumerate((735.0, 1086.0, 622.0, 294.0, 543.0, 1499.0)):
        for sign in (1.0, -1.0):
            unit = np.zeros(6)
            unit[axis] = sign
            assert qiki_t.largest_scale(unit) == pytest.approx(newtons, abs=1.0)


def test_a_failed_nozzle_leaves_every_axis_at_least_half(qiki_t: Allocator) -> None:
    # CANON section 3: worst axis 368 N and 147 N m with any one nozzle dead; pure +-Z keeps 311 of 622.
    for nozzle in range(16):
        qiki_t.set_failed(1 << nozzle)
        reach = [qiki_t.largest_scale(sign * np.eye(6)[axis]) for axis in range(6) for sign in (1.0, -1.0)]
        assert min(reach[6:]) >= 146.0
        assert min(reach[:6]) >= 300.0
    qiki_t.set_failed(0)


def test_a_dead_cluster_takes_the_axes_that_the_reference_names(qiki_t: Allocator) -> None:
    qiki_t.set_failed(0x000F)
    try:
        for axis in range(6):
            for sign in (1.0, -1.0):
                unit = sign * np.eye(6)[axis]
                solver = linprog(
                    [0.0] * 16 + [-1.0], A_eq=np.c_[qiki_t.wrenches, -unit], b_eq=np.zeros(6),
                    bounds=[(0, 0 if n < 4 else 1) for n in range(16)] + [(0, None)], method="highs",
                )
                assert qiki_t.largest_scale(unit) == pytest.approx(float(solver.x[-1]), abs=0.05)
        # CANON section 3, cluster A dead: no -X, no +-Y, no roll.
        for gone in ((0, -1.0), (1, 1.0), (1, -1.0), (3, 1.0), (3, -1.0)):
            assert qiki_t.largest_scale(gone[1] * np.eye(6)[gone[0]]) < 0.05
        duty, share = qiki_t.allocate((-500.0, 0.0, 0.0, 0.0, 0.0, 0.0))
        assert share < 0.5
        assert np.abs((qiki_t.wrenches @ duty)[3:]).max() < 60.0
    finally:
        qiki_t.set_failed(0)


def test_a_zero_wrench_needs_nothing(allocator: Allocator) -> None:
    duty, share = allocator.allocate((0.0,) * 6)
    assert not duty.any()
    assert share == 1.0


def test_the_peak_tells_where_thrift_ends(allocator: Allocator) -> None:
    push = np.array([1.0, 0.5, 0.0, 0.0, 0.0, 0.0]) * allocator.thrust.max()
    peak = allocator.peak(push)
    cheap, share = allocator.allocate(push / peak)
    assert share == 1.0
    assert cheap.max() == pytest.approx(1.0)


def test_fewer_than_six_independent_nozzles_are_refused() -> None:
    rng = np.random.default_rng(3)
    import msgspec

    raw = msgspec.to_builtins(random_body(rng, 8))
    for nozzle in raw["propulsion"]["nozzles"]:
        nozzle["direction"] = [1.0, 0.0, 0.0]
    with pytest.raises(ValueError, match="six independent"):
        Allocator(msgspec.convert(raw, BodyConfig))


def test_bounded_least_squares_agrees_with_scipy() -> None:
    from scipy.optimize import lsq_linear

    rng = np.random.default_rng(8)
    for _ in range(60):
        a, b = rng.standard_normal((6, 10)), 3.0 * rng.standard_normal(6)
        ours = bounded_least_squares(a, b)
        theirs = lsq_linear(a, b, (0.0, 1.0), method="bvls").x
        assert np.linalg.norm(a @ ours - b) == pytest.approx(np.linalg.norm(a @ theirs - b), abs=1e-6)
