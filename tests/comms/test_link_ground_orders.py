"""Commands of a station: sent until heard, one after the other, followed to their end, and bounded."""

from __future__ import annotations

import pytest

from comms.dictionary import CommandRefused
from comms.dictionary.messages import Notice, WireCommand
from comms.dictionary.wire import decode_command
from comms.flight_port import CommandStage
from comms.link.ground_orders import ENDS, MOST_ORDERS, GroundOrders, Ordered

NS = 1_000_000_000
MS = 1_000_000


class Desk:
    """A station's commands and what it has put on the line."""

    def __init__(self) -> None:
        self.sent: list[WireCommand] = []
        self.room = True
        self.orders = GroundOrders(self._put)
        self.now = 0

    def _put(self, payload: bytes) -> bool:
        command = decode_command(payload)
        assert isinstance(command, WireCommand)
        if self.room:
            self.sent.append(command)
        return self.room

    def give(self, name: str = "hold", life_s: float = 60.0, **given: object) -> Ordered:
        arguments = {"number": 1} if name == "ping" else {}
        return self.orders.give(name, arguments, self.now, self.now // MS, 1, life_s, **given)  # type: ignore[arg-type]

    def step(self, seconds: float = 0.0) -> None:
        end = self.now + round(seconds * NS)
        while True:
            self.orders.step(self.now)
            if self.now >= end:
                return
            self.now += 100 * MS

    def told(self, order: Ordered, stage: str, codes: tuple[str, ...] = (), detail: str = "") -> None:
        self.orders.hear(CommandStage(self.now, 1, f"ada:{order.number}", "ada", order.name, stage, codes, detail))

    @property
    def numbers(self) -> list[int]:
        return [command.number for command in self.sent]


def test_a_command_is_sent_again_ever_more_slowly_until_it_is_heard() -> None:
    desk = Desk()
    order = desk.give()
    desk.step(40.0)
    assert desk.numbers == [order.number] * 5, "at 0, 2, 6, 14 and 30 s"
    assert len(set(map(repr, desk.sent))) == 1, "always the same bytes"
    desk.told(order, "effect_confirmed")
    desk.step(200.0)
    assert len(desk.sent) == 5


def test_the_next_command_waits_for_the_verdict_of_the_one_before() -> None:
    desk = Desk()
    first, second = desk.give(), desk.give("ping")
    desk.step(1.0)
    assert desk.numbers == [first.number]
    desk.told(first, "allowed")
    desk.step()
    assert desk.numbers == [first.number, second.number]


def test_a_refusal_lets_the_next_one_go_and_keeps_all_codes() -> None:
    desk = Desk()
    first, second = desk.give(), desk.give("ping")
    desk.step()
    codes = ("CMD_REJECTED", "EMCON_BLOCK", "NBL_CAP_LOW")
    desk.told(first, "rejected", codes, "why")
    desk.step()
    assert desk.numbers[-1] == second.number
    assert (first.verdict, first.end, first.codes, first.detail) == ("rejected", "rejected", codes, "why")


def test_an_urgent_command_does_not_wait() -> None:
    desk = Desk()
    first, urgent = desk.give(), desk.give("ping", priority="emergency")
    desk.step()
    assert desk.numbers == [first.number, urgent.number]


def test_a_lost_verdict_is_told_by_a_later_stage() -> None:
    desk = Desk()
    for stage in sorted(ENDS - {"notice", "rejected", "expired", "audited"}):
        order = desk.give()
        desk.step()
        desk.told(order, stage)
        assert (order.verdict, order.end) == ("allowed", stage)


def test_an_end_that_got_lost_is_asked_for_once_more() -> None:
    desk = Desk()
    order = desk.give()
    desk.step()
    desk.told(order, "allowed")
    desk.told(order, "audited")
    assert order.end == ""
    desk.step()
    assert len(desk.sent) == 2
    desk.told(order, "effect_timeout", ("EFFECT_TIMEOUT",))
    assert (order.end, order.codes) == ("effect_timeout", ("EFFECT_TIMEOUT",))
    forgotten = desk.give()
    for _ in range(3):
        desk.told(forgotten, "audited")
        desk.step()
    assert forgotten.end == "audited"
    assert len(desk.sent) == 3


def test_numbers_rise_and_go_on_behind_what_the_craft_may_have_seen() -> None:
    desk = Desk()
    assert [desk.give().number for _ in range(3)] == [1, 2, 3]
    desk.orders.begin_after(1000)
    assert desk.give().number == 1001
    desk.orders.begin_after(10)
    assert desk.give().number == 1002


def test_a_command_that_nobody_answers_expires_also_without_a_session() -> None:
    desk = Desk()
    order = desk.give(life_s=10.0)
    for second in range(15):
        desk.orders.step(second * NS, may_send=False)
    assert desk.sent == []
    assert order.end == "expired"


def test_time_tagged_commands_expire_after_their_time_and_not_before() -> None:
    desk = Desk()
    order = desk.give(life_s=10.0, not_before_ms=100_000)
    desk.step(105.0)
    assert order.end == ""
    desk.step(10.0)
    assert order.end == "expired"
    assert desk.sent[0].not_before_ms == 100_000
    assert desk.sent[0].not_after_ms == 110_000


def test_what_is_not_in_the_dictionary_is_refused_and_takes_no_number() -> None:
    desk = Desk()
    with pytest.raises(CommandRefused):
        desk.give("no_such_command")
    with pytest.raises(CommandRefused):
        desk.orders.give("emcon", {"level": 9}, 0, 0, 1, 60.0)
    assert desk.give().number == 1


def test_a_full_book_drops_what_has_ended_and_never_what_waits() -> None:
    desk = Desk()
    for _ in range(MOST_ORDERS):
        desk.give()
    with pytest.raises(RuntimeError, match="wait for their verdict"):
        desk.give()
    first, _, third, *_ = desk.orders.orders.values()
    desk.told(first, "allowed")
    desk.told(third, "effect_confirmed")
    desk.give()
    assert first.number in desk.orders.orders
    assert third.number not in desk.orders.orders
    desk.give()
    assert first.number not in desk.orders.orders
    assert len(desk.orders.orders) == MOST_ORDERS


def test_stages_of_another_program_s_command_under_the_same_number_are_not_taken() -> None:
    desk = Desk()
    order = desk.give("ping")
    desk.orders.hear(CommandStage(0, 1, f"ada:{order.number}", "ada", "hold", "effect_confirmed"))
    assert (order.verdict, order.end) == ("", "")


@pytest.mark.parametrize("command_id", ["", ":", "ada:", "ada:x", "ada:²", "ada:99999999999", "sh-1", "ada:-1"])
def test_stages_with_odd_ids_are_nobody_s(command_id: str) -> None:
    desk = Desk()
    order = desk.give()
    desk.orders.hear(CommandStage(0, 1, command_id, "ada", "hold", "effect_confirmed"))
    assert order.end == ""


def test_a_notice_ends_its_command_and_only_that() -> None:
    desk = Desk()
    first, second = desk.give(), desk.give()
    desk.orders.refused(Notice(None, "not_cbor", ""), 5)
    desk.orders.refused(Notice(777, "CMD_UNAUTHORIZED", ""), 5)
    desk.orders.refused(Notice(first.number, "CMD_UNAUTHORIZED, EMCON_BLOCK", "hold"), 5)
    assert (first.end, first.verdict, first.detail) == ("notice", "rejected", "CMD_UNAUTHORIZED, EMCON_BLOCK: hold")
    assert second.open


def test_a_full_channel_is_tried_again_at_the_next_step() -> None:
    desk = Desk()
    order = desk.give()
    desk.room = False
    desk.step(1.0)
    assert order.sends == 0
    desk.room = True
    desk.step()
    assert order.sends == 1


def test_stages_are_kept_to_a_bound() -> None:
    desk = Desk()
    order = desk.give()
    for _ in range(200):
        for stage in ("requested", "validation_pending"):
            desk.told(order, stage)
    assert len(order.stages) <= 24
