"""The shell over records that are lost and late: text in order, gaps told, never a command made of two halves."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from comms.dictionary import Authority
from comms.shell import ChannelShell, ChunkPipe, Limits
from tests.comms.shell_craft import Desk

MTU = 40


def exchange(desk: Desk, craft: ChannelShell, ground: ChunkPipe, steps: int = 200) -> str:
    text = b""
    for _ in range(steps):
        for chunk in ground.chunks(2):
            assert len(chunk) <= MTU
            craft.take(chunk, desk.now_ns)
        desk.run(1)
        for chunk in craft.chunks(2):
            assert len(chunk) <= MTU
            ground.take(chunk)
        text += ground.read(10_000) or b""
    return text.decode()


def test_a_sealed_session_has_the_role_of_its_key() -> None:
    desk = Desk()
    desk.snapshot()
    craft = ChannelShell(desk.server, "maria", Authority.CONTROLLER, MTU, desk.now_ns)
    ground = ChunkPipe(MTU, lines=False)
    ground.write(b"whoami\nhold\narm confirmed=yes\nstatus\n")
    text = exchange(desk, craft, ground)
    assert "maria, over link: controller" in text
    assert "arm takes safety; your key is controller" in text
    assert [request.name for request in desk.requests] == ["hold"]
    assert desk.requests[0].authority is Authority.CONTROLLER
    assert "propellant" in text
    assert ground.lost == ground.stale == 0


def test_the_begun_line_goes_with_a_chunk_that_was_lost() -> None:
    desk = Desk()
    desk.snapshot()
    craft = ChannelShell(desk.server, "maria", Authority.CONTROLLER, 12, desk.now_ns)
    ground = ChunkPipe(12, lines=False)
    ground.write(b"translate vector_m=0,0,1 speed_m_s=1\nhold\n")
    chunks = ground.chunks(100)
    for number, chunk in enumerate(chunks):
        if number != 2:
            craft.take(chunk, desk.now_ns)
    desk.run(50)
    assert [request.name for request in desk.requests] == ["hold"]
    assert craft.pipe.lost == 1


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from(["hold", "idle", "slew 0,0,1 90", "detumble", "translate 1,2,3 inertial 0.5"]),
                min_size=1, max_size=12), st.integers(3, 30), st.data())
def test_no_loss_and_no_order_of_arrival_makes_a_line_that_was_not_typed(
    lines: list[str], mtu: int, data: st.DataObject
) -> None:
    pipe, sender = ChunkPipe(mtu, lines=True), ChunkPipe(mtu, lines=False)
    sender.write("".join(f"{line}\n" for line in lines).encode())
    chunks = sender.chunks(10_000)
    order = data.draw(st.lists(st.sampled_from(range(len(chunks))), max_size=2 * len(chunks)))
    for number in order:
        pipe.take(chunks[number])
    got = (pipe.read(100_000) or b"").decode()
    whole = got[:got.rfind("\n") + 1].splitlines()
    assert all(line in lines or line in ("",) for line in whole)
    # In the order in which they were typed.
    position = 0
    for line in (line for line in whole if line):
        position = lines.index(line, position) + 1


def test_lost_text_on_the_way_down_is_told() -> None:
    sender, reader = ChunkPipe(20, lines=False), ChunkPipe(20, lines=False)
    sender.write(b"a" * 18 + b"b" * 18 + b"c" * 18)
    one, _, three = sender.chunks(3)
    reader.take(three)
    reader.take(one)
    text = (reader.read(1000) or b"").decode()
    assert "[2 pieces of the text went lost on the way]" in text
    assert "c" * 18 in text
    assert (reader.lost, reader.stale) == (2, 1)


def test_numbers_of_chunks_go_round() -> None:
    sender, reader = ChunkPipe(3, lines=False), ChunkPipe(3, lines=False)
    for _ in range(70_000):
        sender.write(b"x")
        for chunk in sender.chunks(1):
            reader.take(chunk)
        assert reader.read(10) == b"x"
    assert reader.lost == reader.stale == reader.refused == 0


@given(st.lists(st.binary(max_size=30), max_size=40))
def test_no_payload_raises_and_what_waits_is_bounded(payloads: list[bytes]) -> None:
    pipe = ChunkPipe(30, lines=True)
    for payload in payloads:
        pipe.take(payload)
    assert len(pipe.read(100_000) or b"") <= 8192


def test_more_than_there_is_room_for_is_refused_and_no_half_line_stays() -> None:
    pipe = ChunkPipe(1002, lines=True)
    sender = ChunkPipe(1002, lines=False)
    for _ in range(3):
        assert sender.write(b"hold and go on\n" * 500) == 7500
        for chunk in sender.chunks(100):
            pipe.take(chunk)
    assert pipe.refused > 0
    text = (pipe.read(100_000) or b"").decode()
    assert set(text.splitlines()[:-1]) == {"hold and go on"}
    assert sender.write(b"x" * 10_000) == 8192


def test_a_session_that_ended_begins_anew_with_the_next_text_and_a_closed_one_does_not_speak() -> None:
    desk = Desk()
    desk.snapshot()
    craft = ChannelShell(desk.server, "maria", Authority.CONTROLLER, MTU, desk.now_ns)
    ground = ChunkPipe(MTU, lines=False)
    ground.write(b"quit\n")
    assert "session ended" in exchange(desk, craft, ground)
    assert desk.server.sessions == 0
    ground.write(b"get motion\n")
    assert "Manoeuvre" in exchange(desk, craft, ground)
    craft.close()
    assert desk.server.sessions == 0


def test_without_room_the_peer_is_told() -> None:
    desk = Desk(limits=Limits(sessions=1))
    desk.open()
    craft = ChannelShell(desk.server, "maria", Authority.CONTROLLER, MTU, desk.now_ns)
    assert craft.refused
    ground = ChunkPipe(MTU, lines=False)
    assert "all sessions are taken" in exchange(desk, craft, ground)


def test_a_record_that_has_no_room_for_text_is_no_record() -> None:
    with pytest.raises(ValueError, match="more than 2 bytes"):
        ChunkPipe(2, lines=True)
