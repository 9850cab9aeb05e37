"""Rows of the link's plan about the whole service: each holds on a slice, repeats itself, and finds what is broken."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from comms.dictionary import COMMANDS, validate
from comms.emcon import EmconGate, Traffic
from comms.keys.counters import CounterBook
from comms.link import craft, peer_desk
from comms.link.craft_ends import CraftEnds
from comms.link.craft_watch import CraftWatch
from comms.link.peer_desk import StageMemory
from comms.link.telemetry import TelemetrySource
from comms.records.window import ReplayWindow
from comms.watch.intrusion import IntrusionDetector
from firmware_py.cli.link_campaign import rows_service_emcon, rows_service_flood, service_rig
from firmware_py.cli.link_campaign.row import Row, RowResult
from firmware_py.cli.link_campaign.rows_service import ROWS
from firmware_py.cli.link_campaign.rows_service_clock import CLOCK_ROW, exercise, wrong_clocks
from firmware_py.cli.link_campaign.rows_service_emcon import SERVICE_EMCON_ROW
from firmware_py.cli.link_campaign.rows_service_flood import FLOOD_ROW, judge_delays
from firmware_py.cli.link_campaign.rows_service_loss import LOSS_ROW
from firmware_py.cli.link_campaign.rows_service_replay import REPLAY_ROW
from firmware_py.cli.link_campaign.rows_service_roles import CELLS, SERVICE_ROLES_ROW, sample
from firmware_py.cli.link_campaign.rows_service_sockets import SOCKETS_ROW
from firmware_py.command_desk import CommandDesk
from firmware_py.link_parts import LinkFiles

SMALL = {
    REPLAY_ROW.name: 400, FLOOD_ROW.name: 30_000, SOCKETS_ROW.name: 4_000, CLOCK_ROW.name: 1,
    SERVICE_ROLES_ROW.name: 60, LOSS_ROW.name: 1, SERVICE_EMCON_ROW.name: 700,
}
MEASURED = (FLOOD_ROW.name, SOCKETS_ROW.name)
"""Rows whose counts depend on the machine."""


def fly(row: Row, cases: int | None = None, seed: int = 5) -> RowResult:
    return row.run(np.random.default_rng(seed), SMALL[row.name] if cases is None else cases, lambda done, of: None)


def caught(row: Row, words: str, cases: int | None = None) -> None:
    result = fly(row, cases)
    assert not result.passed
    assert any(words in text for text in result.failures), result.failures
    assert len(result.failures) <= 20


def test_rows_are_those_of_the_plan() -> None:
    assert sorted(row.number for row in ROWS) == [3, 8, 8, 10, 13, 17, 20]
    full = {row.name: row.full for row in ROWS}
    assert full[FLOOD_ROW.name] == 50_000 * 60
    assert full[REPLAY_ROW.name] == full[SERVICE_EMCON_ROW.name] == 100_000
    assert full[SERVICE_ROLES_ROW.name] == CELLS
    assert all(0 < row.slice < row.full for row in ROWS)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_row_holds_tells_its_progress_and_says_the_same_again(row: Row) -> None:
    told: list[tuple[int, int]] = []
    first = row.run(np.random.default_rng(5), SMALL[row.name], lambda done, of: told.append((done, of)))
    assert first.passed, first.failures
    assert first.cases >= SMALL[row.name]
    assert 0 <= told[-1][0] <= told[-1][1]
    if row.name not in MEASURED:
        assert told[-1][0] == told[-1][1]
        assert fly(row) == first


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_a_sample_that_the_dictionary_takes(name: str) -> None:
    validate(name, sample(COMMANDS[name]))


# -- replay


def test_a_window_that_takes_everything_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ReplayWindow, "check", lambda self, counter: None)
    caught(REPLAY_ROW, "records opened")


def test_handshakes_that_may_be_repeated_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CounterBook, "highest", lambda self, slot: -1)
    monkeypatch.setattr(CounterBook, "take", lambda self, slot, counter: True)
    caught(REPLAY_ROW, "handshakes answered")


def test_sessions_that_follow_their_peer_to_any_line_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    take = CraftEnds.take

    def anywhere(self: CraftEnds, line: str, datagram: Any, now_ns: int) -> Any:
        return take(self, next((key[0] for key in self.live), line), datagram, now_ns)

    monkeypatch.setattr(CraftEnds, "take", anywhere)
    monkeypatch.setattr(ReplayWindow, "check", lambda self, counter: None)
    caught(REPLAY_ROW, "records opened")


# -- flood


def test_a_flood_that_nobody_notices_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(IntrusionDetector, "observe", lambda self, frame: None)
    caught(FLOOD_ROW, "no alert")


def test_something_kept_of_every_forged_datagram_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[Any] = []
    frame = CraftWatch.frame

    def hoarding(self: CraftWatch, one: Any) -> None:
        kept.append([one])
        frame(self, one)

    monkeypatch.setattr(CraftWatch, "frame", hoarding)
    caught(FLOOD_ROW, "objects more")


def test_a_craft_that_cannot_keep_up_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(craft, "MOST_DATAGRAMS", 100)
    caught(FLOOD_ROW, "99 % of commands")


def test_forgeries_that_cost_too_much_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows_service_flood, "JUDGED", 1000)
    monkeypatch.setattr(rows_service_flood, "MOST_COST_US", 0.01)
    caught(FLOOD_ROW, "us a forged datagram", 20_000)


def test_an_answer_to_a_stranger_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    take = CraftEnds.take

    def polite(self: CraftEnds, line: str, datagram: Any, now_ns: int) -> Any:
        found = take(self, line, datagram, now_ns)
        if found is None and datagram.payload[:1] == b"\x01":
            line_of(self, line).transport.send(b"who are you?", datagram.source, now_ns)
        return found

    monkeypatch.setattr(CraftEnds, "take", polite)
    caught(FLOOD_ROW, "answers to strangers")


def line_of(ends: CraftEnds, name: str) -> Any:
    """A line of the craft, by any session over it."""
    return next(end.line for key, those in ends.live.items() for end in those if key[0] == name)


def test_a_datagram_that_is_not_counted_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    take = CraftEnds.take

    def careless(self: CraftEnds, line: str, datagram: Any, now_ns: int) -> Any:
        return None if len(datagram.payload) == 1 else take(self, line, datagram, now_ns)

    monkeypatch.setattr(CraftEnds, "take", careless)
    caught(FLOOD_ROW, "have an outcome")


def test_delays_are_judged_by_their_99th_percentile_and_what_is_missing() -> None:
    assert judge_delays([10_000_000] * 200, 0) == (10.0, "")
    assert judge_delays([10_000_000] * 200 + [60_000_000], 0)[1] == ""
    assert "60 ms" in judge_delays([10_000_000] * 100 + [60_000_000] * 5, 0)[1]
    assert judge_delays([10_000_000] * 100, 5)[1]
    assert judge_delays([10_000_000], 0)[1]


def test_an_answer_over_a_socket_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    take = CraftEnds.take

    def polite(self: CraftEnds, line: str, datagram: Any, now_ns: int) -> Any:
        found = take(self, line, datagram, now_ns)
        if found is None and self.live:
            line_of(self, line).transport.send(b"who are you?", datagram.source, now_ns)
        return found

    monkeypatch.setattr(CraftEnds, "take", polite)
    caught(SOCKETS_ROW, "answers to the attacker")


# -- clocks


def test_a_part_that_reads_a_clock_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    pull = TelemetrySource.pull

    def by_the_wall(self: TelemetrySource, now_ns: int, *rest: Any) -> list[bytes]:
        return pull(self, now_ns, *rest) if time.time() < 2.0**31 else []

    monkeypatch.setattr(TelemetrySource, "pull", by_the_wall)
    assert exercise(3) == exercise(3)
    caught(CLOCK_ROW, "clock to 2106", 5)


def test_clocks_go_wrong_from_when_they_are_told_and_are_well_afterwards() -> None:
    before = time.time()
    with wrong_clocks(lambda now: now + 1e6) as begin:
        assert time.time() - before < 1000.0
        begin()
        assert time.time() - before > 1000.0
        assert time.time_ns() / 1e9 - before > 1000.0
    assert time.time() - before < 1000.0


# -- rights


def test_a_gate_that_lets_everybody_through_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peer_desk, "grant", lambda *cell: ())
    caught(SERVICE_ROLES_ROW, "granted: ")


def test_a_gate_that_lets_nobody_through_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(craft.CraftLink, "ask", lambda self, request: False)
    caught(SERVICE_ROLES_ROW, "held back: ")


def test_commands_on_a_channel_that_carries_none_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    take = peer_desk.PeerDesk.take

    def anywhere(self: Any, channel: int, payload: bytes, now_ns: int) -> Any:
        return take(self, 0 if channel in (1, 2, 4) else channel, payload, now_ns)

    monkeypatch.setattr(peer_desk.PeerDesk, "take", anywhere)
    caught(SERVICE_ROLES_ROW, "granted: ", 200)


# -- commands over a lossy line


def forgetful(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither link nor desk knows a command again."""
    take, given = CommandDesk.take, [0]

    def as_new(self: CommandDesk, request: Any, *rest: Any) -> Any:
        given[0] += 1
        return take(self, replace(request, sender=f"{request.sender}-{given[0] % 50}", sequence=given[0]), *rest)

    monkeypatch.setattr(CommandDesk, "take", as_new)
    monkeypatch.setattr(StageMemory, "of", lambda self, number: None)


def test_a_craft_that_does_a_repeated_command_again_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    forgetful(monkeypatch)
    caught(LOSS_ROW, "was carried out", 4)


def test_old_telemetry_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    pull, kept = TelemetrySource.pull, []

    def late(self: TelemetrySource, now_ns: int, newest: Any, *rest: Any) -> list[bytes]:
        if newest is not None:
            kept.append(newest)
            newest = kept[-200:][0]
        return pull(self, now_ns, newest, *rest)

    monkeypatch.setattr(TelemetrySource, "pull", late)
    caught(LOSS_ROW, "s old")


# -- silence


def test_a_gate_that_is_never_shut_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(EmconGate, "may", lambda self, *packet: None)
    monkeypatch.setattr(EmconGate, "admit", lambda self, *packet: None)
    caught(SERVICE_EMCON_ROW, "through radio")


def test_answers_to_handshakes_in_silence_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    step = CraftEnds.step

    def talkative(self: CraftEnds, now_ns: int) -> None:
        may = EmconGate.may
        EmconGate.may = lambda gate, *packet: None  # type: ignore[method-assign]
        try:
            step(self, now_ns)
        finally:
            EmconGate.may = may  # type: ignore[method-assign]

    monkeypatch.setattr(CraftEnds, "step", talkative)
    caught(SERVICE_EMCON_ROW, "through", 3000)


def test_a_level_that_a_restart_forgets_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    make = service_rig.make_link

    def anew(keys: Any, lines: Any, port: Any, files: LinkFiles, *rest: Any, **more: Any) -> Any:
        return make(keys, lines, port, replace(files, emcon=None), *rest, **more)

    ask = rows_service_emcon.ask_for_something

    def with_restarts(watch: Any) -> None:
        ask(watch)
        if watch.rng.random() < 0.01:
            watch.level.restart()
            watch.rig.restart()

    monkeypatch.setattr(rows_service_emcon, "ask_for_something", with_restarts)
    assert fly(SERVICE_EMCON_ROW, 2000).passed
    monkeypatch.setattr(service_rig, "make_link", anew)
    caught(SERVICE_EMCON_ROW, "through", 2000)


def test_bundles_for_others_in_silence_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    may = EmconGate.may

    def for_others(self: EmconGate, transmitter: Any, traffic: Traffic, now_ns: int) -> Any:
        return None if traffic is Traffic.BULK else may(self, transmitter, traffic, now_ns)

    monkeypatch.setattr(EmconGate, "may", for_others)
    caught(SERVICE_EMCON_ROW, "a bundle through onward", 2000)
