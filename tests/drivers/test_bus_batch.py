"""Many datagrams with one call: the same bytes in the same order as one by one, whatever their sizes."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.bus.batch import DatagramBatch, available

pytestmark = pytest.mark.skipif(not available(), reason="this C library has no recvmmsg")

SIZE = 64
ROOM = 8


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with ours, theirs:
        yield ours, theirs


def taken(batch: DatagramBatch) -> list[bytes]:
    return [batch.data[n * SIZE : n * SIZE + length] for n, length in enumerate(batch.lengths)]


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.lists(st.binary(min_size=1, max_size=SIZE), max_size=20), st.integers(1, 2 * ROOM))
def test_what_was_sent_arrives_in_order_and_at_most_as_much_as_was_asked_for(sent: list[bytes], most: int) -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with ours, theirs:
        for data in sent:
            theirs.send(data)
        batch = DatagramBatch(SIZE, ROOM)
        got: list[bytes] = []
        while True:
            count = batch.receive(ours.fileno(), most)
            assert count == len(batch.lengths) <= min(most, ROOM)
            if not count:
                break
            got += taken(batch)
        assert got == sent


def test_an_empty_socket_gives_nothing_and_does_not_block(pair: tuple[socket.socket, socket.socket]) -> None:
    batch = DatagramBatch(SIZE, ROOM)
    assert batch.receive(pair[0].fileno(), ROOM) == 0
    assert batch.lengths == ()


def test_a_longer_datagram_is_cut_to_its_room(pair: tuple[socket.socket, socket.socket]) -> None:
    pair[1].send(bytes(range(200)))
    pair[1].send(b"next")
    batch = DatagramBatch(SIZE, ROOM)
    assert batch.receive(pair[0].fileno(), ROOM) == 2
    assert taken(batch) == [bytes(range(SIZE)), b"next"]


def test_a_closed_socket_is_an_error_and_what_came_before_is_forgotten(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    pair[1].send(b"one")
    batch = DatagramBatch(SIZE, ROOM)
    batch.receive(pair[0].fileno(), ROOM)
    with pytest.raises(OSError, match="Bad file descriptor"):
        batch.receive(-1, ROOM)
    assert batch.lengths == ()
