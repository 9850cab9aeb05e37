"""Rows 22 to 24 of the link's plan hold on their slices, repeat themselves, and fail when what they judge is broken."""

from __future__ import annotations

import numpy as np
import pytest

from comms.bundles import BundleEndpoint, Delivery, Opened
from comms.bundles.hour_budget import HourBudget
from comms.bundles.store import BundleStore
from comms.watch import intrusion, verify
from comms.watch.detectors import Bucket, ShareWatch
from firmware_py.cli.link_campaign import relay_acts
from firmware_py.cli.link_campaign.relay_acts import ACTS, Tally
from firmware_py.cli.link_campaign.rows_watch import ROWS, run_audit, run_intrusion, run_relay
from firmware_py.cli.link_campaign.traffic import ATTACK_KINDS, attack_on, draw_habits, honest_hours


def rng() -> np.random.Generator:
    return np.random.default_rng(12)


def quietly(_done: int, _of: int) -> None:
    pass


def test_rows_are_those_of_the_plan():
    assert [row.number for row in ROWS] == [22, 23, 24]
    assert ROWS[0].full == 1000
    assert ROWS[2].full == 10_000


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_slice_holds_and_repeats_itself(row):
    cases = {22: 8, 23: 12, 24: 4}[row.number]
    told: list[tuple[int, int]] = []
    first = row.run(rng(), cases, lambda done, of: told.append((done, of)))
    assert first.passed, first.failures
    assert told[-1][0] == told[-1][1]
    if row.number != 24:
        assert row.run(rng(), cases, quietly) == first


def test_intrusion_detection_that_sees_nothing_fails(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(intrusion.IntrusionDetector, "observe", lambda self, frame: None)
    result = run_intrusion(rng(), 6, quietly)
    assert not result.passed
    assert "was not named" in result.failures[0]


def test_intrusion_detection_that_sees_ghosts_fails(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(ShareWatch, "close", lambda self, frames: True)
    monkeypatch.setattr(Bucket, "add", lambda self, t_ns: True)
    result = run_intrusion(rng(), 4, quietly)
    assert not result.passed
    assert any("false alert" in failure for failure in result.failures)


def failures_of(act: str) -> list[str]:
    tally = Tally()
    for case in range(6):
        ACTS[act](np.random.default_rng(case), tally)
    return tally.failures


def test_an_endpoint_that_takes_anything_fails(monkeypatch: pytest.MonkeyPatch):
    def gullible(self: BundleEndpoint, delivery: Delivery) -> Opened:
        return Opened(delivery.source, delivery.service, delivery.payload, delivery.age_ms)

    monkeypatch.setattr(BundleEndpoint, "open", gullible)
    assert failures_of("alter")
    assert not run_relay(rng(), 6, quietly).passed


def test_payloads_that_are_not_sealed_fail(monkeypatch: pytest.MonkeyPatch):
    original = BundleEndpoint.__init__

    def unsealed(self: BundleEndpoint, node, service, seal, open_sealed) -> None:
        original(self, node, service, lambda plain, associated: plain, lambda sealed, associated: sealed)

    monkeypatch.setattr(BundleEndpoint, "__init__", unsealed)
    assert failures_of("read")
    assert failures_of("alter")


def test_a_store_without_quotas_fails(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(BundleStore, "refusal", lambda *args: None)
    assert failures_of("fill")


def test_a_budget_that_is_not_kept_fails(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(HourBudget, "spend", lambda self, joules, now_ns: True)
    assert failures_of("fill")


def test_hops_that_are_not_counted_fail(monkeypatch: pytest.MonkeyPatch):
    from comms.bundles import block, onward

    monkeypatch.setattr(onward, "hop_block", lambda number, limit, count: block.hop_block(number, limit, 0))
    assert failures_of("loop")


def test_a_node_that_takes_duplicates_twice_is_caught_where_nothing_else_does(monkeypatch: pytest.MonkeyPatch):
    from comms.bundles.node import BundleNode

    monkeypatch.setattr(BundleNode, "_remember", lambda self, digest: None)
    monkeypatch.setattr(relay_acts._Seal, "open", lambda self, sealed, associated: sealed)
    assert failures_of("duplicate")


def test_a_verifier_that_checks_no_chain_fails(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(verify._Verifier, "_files", lambda self, files: None)
    monkeypatch.setattr(verify._Verifier, "_heads", lambda self, heads: None)
    result = run_audit(rng(), 4, quietly)
    assert not result.passed
    assert len(result.failures) == 4


def test_honest_traffic_and_attacks_repeat_themselves_and_stay_in_order():
    for kind in ATTACK_KINDS:
        drawn = []
        for _ in range(2):
            own = np.random.default_rng(3)
            habits = draw_habits(own, in_contact=True)
            frames, attack = attack_on(own, kind, False, honest_hours(own, habits, 1, 1), habits, 3600.0)
            drawn.append((frames, attack))
        assert drawn[0] == drawn[1]
        times = [one[0] for one in drawn[0][0]]
        assert times == sorted(times)
        assert 3600.0 <= drawn[0][1].begin_s < drawn[0][1].end_s <= 7200.0
