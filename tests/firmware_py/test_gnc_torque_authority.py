"""Torque authority: what the nozzles left cannot turn is taken out of a torque, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import nnls

from firmware_py.gnc.allocation import Allocator
from firmware_py.gnc.torque_authority import TorqueAuthority
from hal.profile.loader import load_body

CLUSTER_A, CLUSTER_C = 0x000F, 0x0F00


@pytest.mark.parametrize("name", ["qiki-t", "qiki-g", "gref"])
@pytest.mark.parametrize("failed", [0, 1, 0x8000])
def test_a_craft_that_can_turn_every_way_keeps_its_torque(name: str, failed: int) -> None:
    authority = TorqueAuthority(Allocator(load_body(name)))
    assert authority.attainable((1.0, -2.0, 3.0), failed) == (1.0, -2.0, 3.0)


def test_a_lost_cluster_takes_roll_and_leaves_pitch_and_yaw() -> None:
    authority = TorqueAuthority(Allocator(load_body("qiki-t")))
    assert authority.attainable((5.0, 2.0, -3.0), CLUSTER_A) == pytest.approx((0.0, 2.0, -3.0), abs=1e-4)
    assert authority.attainable((5.0, 2.0, -3.0), CLUSTER_C) == (5.0, 2.0, -3.0)


def test_what_the_allocator_leaves_out_counts_as_failed() -> None:
    allocator = Allocator(load_body("qiki-t"))
    authority = TorqueAuthority(allocator)
    allocator.set_failed(CLUSTER_A)
    assert authority.attainable((5.0, 0.0, 1.0), 0) == pytest.approx((0.0, 0.0, 1.0), abs=1e-4)


@pytest.mark.parametrize("failed", [0x000F, 0x00F3, 0x0FF0, 0xF0F0, 0x7FFF, 0xFFFF])
def test_what_is_left_can_be_made_without_a_force(failed: int) -> None:
    allocator = Allocator(load_body("qiki-t"))
    authority = TorqueAuthority(allocator)
    rng = np.random.default_rng(failed)
    alive = np.array([not failed >> n & 1 for n in range(allocator.count)])
    for torque in rng.standard_normal((20, 3)):
        made = np.array(authority.attainable(tuple(torque), failed))
        duty, _ = allocator.allocate(np.concatenate([np.zeros(3), made]), failed)
        assert (duty[~alive] < 1e-9).all()
        assert allocator.wrenches @ duty == pytest.approx(np.concatenate([np.zeros(3), made]), abs=1e-3)



@pytest.mark.parametrize("failed", [0x000F, 0x00F3, 0x0FF0, 0x0F33])
def test_what_a_firing_without_force_makes_is_kept_whole(failed: int) -> None:
    allocator = Allocator(load_body("qiki-t"))
    authority = TorqueAuthority(allocator)
    rng = np.random.default_rng(failed)
    alive = np.array([not failed >> n & 1 for n in range(allocator.count)])
    forces = 1e3 * allocator.wrenches[:3, alive]
    seen = 0
    for _ in range(30):
        # A firing near a random one that makes no force, if the nozzles left have any.
        aim = rng.uniform(0.0, 1.0, alive.sum())
        firing, _ = nnls(np.vstack([forces, np.eye(alive.sum())]), np.concatenate([np.zeros(3), aim]))
        wrench = allocator.wrenches[:, alive] @ firing
        torque = tuple(wrench[3:].tolist())
        if np.linalg.norm(wrench[:3]) < 1e-3 * np.linalg.norm(wrench[3:]) and allocator.peak(
            (0.0, 0.0, 0.0, *torque), failed
        ) < np.inf:
            seen += 1
            assert authority.attainable(torque, failed) == pytest.approx(torque, abs=1e-6)
    assert seen or failed == 0x0FF0
