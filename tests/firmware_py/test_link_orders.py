"""Commands that the link carries out: handed over only to a link that is there, ended only by what it was given."""

from __future__ import annotations

from comms.dictionary import COMMANDS, Authority
from comms.dictionary.commands_link import LINK_COMMANDS as DECLARED
from comms.emcon import RELEASE_NS
from comms.flight_port import LinkOrder, LocalPort
from comms.link.craft_orders import ORDERS
from fdir.codes import Code
from firmware_py.command_effects import EFFECTS
from firmware_py.commands import Order
from firmware_py.link_orders import LINK_COMMANDS, LinkOrders


def orders(limit: int = 8) -> tuple[LinkOrders, LocalPort]:
    port = LocalPort(limit)
    made = LinkOrders(port.flight)
    made.answers = True
    return made, port


def order(number: int, name: str = "file_list") -> Order:
    return Order(number, name, {}, "ann")


def test_every_command_of_the_link_has_somebody_who_does_it_and_an_effect_that_is_awaited() -> None:
    assert {command.name for command in DECLARED} - LINK_COMMANDS == {"command_arm"}
    assert set(ORDERS) == LINK_COMMANDS
    assert set(COMMANDS) >= LINK_COMMANDS
    assert set(EFFECTS) >= LINK_COMMANDS


def test_an_order_is_handed_over_with_who_gave_it() -> None:
    made, port = orders()
    assert made.give(order(4), Authority.ENGINEER, 9) == ()
    assert port.link.receive(9) == [LinkOrder(9, 4, "file_list", {}, "ann", Authority.ENGINEER)]
    assert made.outcome(4) is None
    assert made.words(4) == ""


def test_a_link_that_is_silent_or_full_gets_none() -> None:
    made, port = orders(limit=1)
    made.answers = False
    assert made.give(order(1), Authority.SAFETY, 0) == (Code.COMMS_UNAVAILABLE,)
    made.answers = True
    assert made.give(order(2), Authority.SAFETY, 0) == ()
    assert made.give(order(3), Authority.SAFETY, 0) == (Code.COMMS_UNAVAILABLE,)
    assert [message.number for message in port.link.receive(9)] == [2]


def test_an_order_ends_once_and_only_one_that_was_given() -> None:
    made, _ = orders()
    made.give(order(1), Authority.SAFETY, 0)
    made.give(order(2), Authority.SAFETY, 0)
    assert made.finished(1, True, "done")
    assert made.finished(2, False, "no_file")
    assert not made.finished(2, True, "")
    assert not made.finished(77, True, "")
    assert (made.outcome(1), made.words(1)) == (True, "done")
    assert (made.outcome(2), made.words(2)) == (False, "no_file")
    assert made.outcome(77) is None


def test_what_is_kept_is_bounded() -> None:
    made, _ = orders(limit=1000)
    for number in range(1, 301):
        made.give(order(number), Authority.SAFETY, 0)
    assert not made.finished(44, True, "")
    assert all(made.finished(number, True, "w" * 500) for number in range(45, 301))
    assert made.outcome(236) is None
    assert made.outcome(237)
    assert len(made.words(300)) == 200


def test_a_release_lasts_ten_minutes_and_one_packet() -> None:
    made, _ = orders()
    assert not made.released(0)
    made.give(order(1, "emcon_release"), Authority.SAFETY, 5)
    assert made.released(5 + RELEASE_NS)
    assert not made.released(6 + RELEASE_NS)
    made.give(order(2, "nbl_send"), Authority.SAFETY, 10)
    assert not made.released(11)
