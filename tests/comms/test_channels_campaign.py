"""Rows of the link's campaign about queues, silence and service: each passes, and finds what is broken on purpose."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from comms.channel_plan import QosClass
from comms.channels import channel_queue, scheduler
from comms.channels.channel_queue import ChannelQueue
from comms.emcon import EmconGate, EmconLevel
from firmware_py.cli.link_campaign.row import Row, RowResult
from firmware_py.cli.link_campaign.rows_channels import ROWS

ROW = {row.number: row for row in ROWS}
SMALL = {17: 2, 20: 3000, 21: 2}


def fly(row: Row, cases: int, seed: int = 1) -> RowResult:
    return row.run(np.random.default_rng(seed), cases, lambda done, of: None)


def test_the_rows_are_there() -> None:
    assert sorted(ROW) == [17, 20, 21]
    assert ROW[20].full == 100_000
    assert all(0 < row.slice < row.full for row in ROWS)


@pytest.mark.parametrize("number", sorted(ROW))
def test_a_row_passes_and_says_the_same_again(number: int) -> None:
    first, second = fly(ROW[number], SMALL[number]), fly(ROW[number], SMALL[number])
    assert first.passed, first.failures
    assert first == second


def test_progress_is_told_to_the_end() -> None:
    told: list[tuple[int, int]] = []
    ROW[17].run(np.random.default_rng(1), 2, lambda done, of: told.append((done, of)))
    assert told[-1] == (2, 2)


def caught(number: int, words: str) -> None:
    result = fly(ROW[number], SMALL[number])
    assert not result.passed
    assert any(words in text for text in result.failures), result.failures
    assert len(result.failures) <= 20


def test_a_queue_without_latest_first_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channel_queue, "GAP_NS", 1 << 62)
    caught(17, "after the gap")


def test_a_queue_without_a_bound_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    put = ChannelQueue.put

    def unbounded(self: ChannelQueue, payload: bytes, now_ns: int) -> Any:
        self.rule = channel_queue.QueueRule(10_000, 10_000_000)
        return put(self, payload, now_ns)

    monkeypatch.setattr(ChannelQueue, "put", unbounded)
    caught(17, "entries")


def test_a_loss_that_nobody_counts_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    take = ChannelQueue.take

    def forgetful(self: ChannelQueue, now_ns: int) -> tuple[int, bytes] | None:
        taken = take(self, now_ns)
        self.counts.sent -= self.counts.sent % 50 == 49
        return taken

    monkeypatch.setattr(ChannelQueue, "take", forgetful)
    caught(17, "offered")


@pytest.mark.parametrize(
    ("method", "broken", "words"),
    [
        ("may", lambda self, transmitter, traffic, now_ns: None, "queued"),
        ("released", lambda self, now_ns: True, "nbl critical"),
        ("admit", lambda self, transmitter, traffic, size, now_ns: None, "retry of"),
    ],
)
def test_a_gate_with_a_hole_is_found(
    monkeypatch: pytest.MonkeyPatch, method: str, broken: Callable[..., Any], words: str
) -> None:
    monkeypatch.setattr(EmconGate, method, broken)
    caught(20, words)


def test_a_level_that_a_restart_forgets_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    start = EmconGate.__init__

    def forgets(self: EmconGate, files: Any = None, unreadable: EmconLevel = EmconLevel.SILENT) -> None:
        start(self, None, unreadable)

    monkeypatch.setattr(EmconGate, "__init__", forgets)
    caught(20, "at level")


def test_control_without_a_cap_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scheduler, "CONTROL_SHARE", 0.5)
    caught(21, "control has")


def test_control_that_waits_its_turn_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scheduler, "CONTROL_SHARE", 0.01)
    caught(21, "control p99")


def test_a_wrong_weight_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(scheduler.WEIGHTS, QosClass.SCIENCE, 1)
    monkeypatch.setattr(scheduler, "_COST", {q: 10 // w for q, w in scheduler.WEIGHTS.items()})
    caught(21, "SCIENCE has")


def test_a_channel_that_takes_more_than_its_share_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scheduler.Scheduler, "_first", lambda self, qos, ready: ready[0])
    caught(21, "above their share")
