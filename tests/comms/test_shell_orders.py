"""Orders: nobody gives what his key does not allow, every order shows its life, confirmations are asked for."""

from __future__ import annotations

import pytest

from comms.dictionary import COMMANDS, Authority, Kind, validate
from comms.dictionary.types import Argument
from comms.shell import Craft, Mode
from comms.shell.help import confirmation, least_confirmation
from fdir.codes import Code
from fdir.gating import CONFIRMED
from tests.comms.shell_craft import Desk, Reader

NS = 1_000_000_000
ROLES = tuple(Authority)


def example(argument: Argument) -> str:
    """A value that the dictionary takes."""
    low = 0.0 if argument.low is None else argument.low
    return {
        Kind.NUMBER: str(low), Kind.INTEGER: str(int(low)), Kind.VECTOR3: "0,0,1", Kind.QUATERNION: "1,0,0,0",
        Kind.FLAG: "true", Kind.TEXT: "name", Kind.WRENCH: "1,0,0,0,0,0", Kind.DIRECTION: "+x",
        Kind.CHOICE: argument.choices[0] if argument.choices else "",
    }[argument.kind]


def line_for(name: str) -> str:
    command = COMMANDS[name]
    wanted = set(command.one_of[-1]) if command.one_of else set()
    given = [f"{a.name}={example(a)}" for a in command.arguments if a.required or a.name in wanted]
    return " ".join([name, *given, "confirmed=yes"])


def desk() -> Desk:
    made = Desk(craft=Craft("testcraft", code_texts={"CAP_LOW": "the supercapacitor has too little charge"}))
    made.snapshot()
    return made


def controller(made: Desk, mode: Mode = Mode.LINES) -> Reader:
    return made.open(peer="maria", authority=Authority.CONTROLLER, mode=mode)[0]


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_is_refused_for_whoever_may_not_give_it_and_sent_for_all_others(name: str) -> None:
    needed = COMMANDS[name].authority
    for role in ROLES:
        for peer in (None, "maria"):
            made = desk()
            reader, _ = made.open(peer=peer, authority=role)
            for prefix in ("", "send "):
                answer = made.ask(reader, prefix + line_for(name), steps=4)
                if peer is None:
                    assert "read only" in answer
                    assert needed.value in answer
                elif not role.covers(needed):
                    assert f"takes {needed}" in answer
                    assert f"your key is {role}" in answer
                else:
                    assert "is sent" in answer
                    continue
                assert not made.requests


def test_what_is_sent_is_what_was_typed_with_the_sessions_authority() -> None:
    made = desk()
    reader, _ = made.open(peer="maria", authority=Authority.ENGINEER)
    made.ask(reader, "slew 0,0,1 90 priority=urgent expires_s=3")
    made.ask(reader, "hold")
    first, second = made.requests
    assert (first.name, first.arguments) == ("slew", {"axis": (0.0, 0.0, 1.0), "angle_deg": 90.0})
    assert (first.authority, first.sender, first.priority) == (Authority.ENGINEER, "maria/shell", "urgent")
    assert first.start == 4
    assert first.not_after_ns is not None
    assert second.not_after_ns is not None
    assert first.not_after_ns < second.not_after_ns
    assert not first.confirmed
    assert first.command_id != second.command_id
    assert second.sequence > first.sequence
    assert validate(first.name, {"axis": [0, 0, 1], "angle_deg": 90})


def test_sequences_go_on_when_the_link_was_started_anew() -> None:
    before = desk()
    before.ask(controller(before), "hold")
    after = desk()
    after.now_ns = before.now_ns + NS
    after.ask(controller(after), "hold")
    assert after.requests[0].sequence > before.requests[0].sequence


def test_an_order_shows_its_life_to_the_end() -> None:
    made = desk()
    reader = controller(made)
    made.ask(reader, "hold")
    request = made.requests[0]
    before = len(reader.seen)
    for stage in ("requested", "validation_pending", "allowed", "publish_pending", "published", "ACK_accepted",
                  "effect_pending"):
        made.stage(request, stage)
    made.run(2)
    assert reader.text[before:] == (
        "hold #7: requested > validation_pending > allowed > publish_pending > published\n"
        "  > ACK_accepted > effect_pending\n"
    )
    before = len(reader.seen)
    made.stage(request, "effect_confirmed", "EFFECT_CONFIRMED")
    made.stage(request, "audited")
    made.run(2)
    assert reader.text[before:].startswith("hold #7: effect_confirmed > audited\n  EFFECT_CONFIRMED\n")
    assert "effect_confirmed EFFECT_CONFIRMED" in " ".join(made.ask(reader, "orders").split())


def test_a_refusal_has_all_codes_their_texts_and_the_detail() -> None:
    made = desk()
    reader = controller(made)
    made.ask(reader, "hold")
    made.stage(made.requests[0], "rejected", "CAP_LOW", "RCS_CLUSTER_HOT", detail="cluster c01 at 92 deg C")
    made.run(2)
    for words in ("CAP_LOW: the supercapacitor has too little charge", "RCS_CLUSTER_HOT", "cluster c01 at 92 deg C"):
        assert words in reader.text


def test_stages_of_other_senders_are_not_taken_for_ones_own() -> None:
    made = desk()
    one, other = controller(made), made.open(peer="ivan", authority=Authority.CONTROLLER)[0]
    made.ask(one, "hold")
    before = len(other.seen), len(one.seen)
    made.stage(made.requests[0], "allowed")
    made.run(2)
    assert len(other.seen) == before[0]
    assert len(one.seen) > before[1]


def test_silence_of_the_craft_is_said_once() -> None:
    made = desk()
    reader = controller(made)
    made.ask(reader, "hold", steps=600)
    assert reader.text.count("no word from the craft for 5 s") == 1


def test_a_craft_without_room_and_a_gate_of_the_link_are_said() -> None:
    made = desk()
    made.room = False
    reader = controller(made)
    assert "takes no more orders now" in made.ask(reader, "hold")
    texts = Craft(code_texts={"EMCON_BLOCK": "emission control forbids it"})
    blocked = Desk(craft=texts, refusal=(Code.EMCON_BLOCK,))
    answer = blocked.ask(controller(blocked), "file_send name=log")
    assert "EMCON_BLOCK: emission control forbids it" in answer


def test_a_recording_takes_no_orders() -> None:
    made = Desk(orders=False)
    made.snapshot()
    reader, _ = made.open(peer="maria", authority=Authority.SAFETY)
    assert "takes no orders" in made.ask(reader, "hold")


@pytest.mark.parametrize("word", ["no", "y", "yes please", "", "hold"])
def test_a_risky_command_is_sent_only_after_the_word_yes(word: str) -> None:
    made = desk()
    reader, _ = made.open(peer="root", authority=Authority.SAFETY)
    assert "Type yes" in made.ask(reader, "arm")
    assert not made.requests
    assert "not confirmed" in made.ask(reader, word)
    assert not made.requests
    made.ask(reader, "arm")
    assert "is sent" in made.ask(reader, "YES")
    assert [(r.name, r.confirmed) for r in made.requests] == [("arm", True)]


def test_a_command_with_the_argument_confirmed_gets_it() -> None:
    made = desk()
    reader = controller(made)
    made.ask(reader, "dock_power true")
    made.ask(reader, "yes")
    made.ask(reader, "dock_power true confirmed=true")
    assert [dict(r.arguments) for r in made.requests] == [{"enabled": True, "confirmed": True}] * 2
    assert all(request.confirmed for request in made.requests)


def test_every_class_that_needs_confirmation_asks_for_it() -> None:
    for command in COMMANDS.values():
        needed = command.command_class in CONFIRMED or any(a.name == "confirmed" for a in command.arguments)
        if needed:
            assert confirmation(command, in_safe=False)
            assert least_confirmation(command).startswith("yes")


def test_a_confirmation_lapses() -> None:
    made = desk()
    reader, _ = made.open(peer="root", authority=Authority.SAFETY, mode=Mode.ECHO)
    made.ask(reader, "arm")
    reader.typed += b"ye"
    made.run(40, NS)
    assert "not confirmed in time" in reader.text
    made.ask(reader, "s")
    assert not made.requests


def test_ctrl_c_takes_a_confirmation_back() -> None:
    made = desk()
    reader, _ = made.open(peer="root", authority=Authority.SAFETY, mode=Mode.ECHO)
    reader.typed += b"arm\r\x03yes\r"
    made.run(20)
    assert not made.requests


def test_a_script_must_confirm_in_the_line_itself_and_waits_for_the_end_of_an_order() -> None:
    made = desk()
    reader, _ = made.open(peer="root", authority=Authority.SAFETY, mode=Mode.SCRIPT)
    assert "add confirmed=yes" in made.ask(reader, "arm")
    reader.typed += b"arm confirmed=yes\nget motion\n"
    made.run(20)
    assert "motion" not in reader.text
    made.stage(made.requests[0], "allowed")
    made.run(5)
    assert reader.text.count("\x1e") == 1
    made.stage(made.requests[0], "effect_confirmed")
    made.run(5)
    assert reader.text.rsplit("\x1e", 2)[1].startswith("ok\n")
    assert "Manoeuvre" in reader.text


def test_a_script_whose_order_is_rejected_or_never_answered_is_told_refused() -> None:
    for rejected in (True, False):
        made = desk()
        reader = controller(made, Mode.SCRIPT)
        reader.typed += b"hold\n"
        made.run(5)
        if rejected:
            made.stage(made.requests[0], "rejected", "CAP_LOW")
        made.run(300)
        assert reader.text.endswith("\x1erefused\n")


def test_ctrl_c_ends_the_wait_of_a_script() -> None:
    made = desk()
    reader = controller(made, Mode.SCRIPT)
    reader.typed += b"hold\nget motion\n"
    made.run(5)
    reader.typed += b"\x03get step\n"
    made.run(10)
    assert "not waited for any longer" in reader.text
    assert "slew" in reader.text
    assert "Manoeuvre" not in reader.text
