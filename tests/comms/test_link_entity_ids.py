"""Numbers of file entities: the same at both ends, in range, and apart from the craft's."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from comms.link.entity_ids import CRAFT_ENTITY, entity_of


@given(st.binary(min_size=32, max_size=32))
def test_a_peer_has_one_number_of_two_bytes_that_is_never_the_craft_s(key: bytes) -> None:
    number = entity_of(key)
    assert number == entity_of(bytes(key))
    assert 0x8000 <= number <= 0xFFFF
    assert number != CRAFT_ENTITY


def test_different_keys_have_different_numbers_as_a_rule() -> None:
    assert len({entity_of(bytes((n,)) * 32) for n in range(16)}) == 16
