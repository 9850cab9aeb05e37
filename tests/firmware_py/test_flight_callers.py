"""Who may call at the flight's sockets: users by name, and each socket's first stranger is told of."""

from __future__ import annotations

import os
import pwd
from dataclasses import dataclass

import pytest

from firmware_py.flight_callers import CallerWatch, user_ids


@dataclass
class Door:
    strangers: int = 0
    last_stranger: int = -1


def test_a_user_is_known_by_name_and_no_name_means_no_check() -> None:
    assert user_ids(None) is None
    assert user_ids(pwd.getpwuid(os.getuid()).pw_name) == {os.getuid()}
    with pytest.raises(LookupError, match="no user qiki-nobody-such"):
        user_ids("qiki-nobody-such")


def test_each_socket_is_told_of_once() -> None:
    told: list[tuple[int, str]] = []
    watch = CallerWatch(lambda now_ns, text: told.append((now_ns, text)))
    link, eyes = Door(), Door()
    watch.watch("link", link)
    watch.watch("perception", eyes)
    watch.watch("recorder", None)
    watch.step(1)
    assert told == []
    link.strangers, link.last_stranger = 3, 997
    watch.step(2)
    link.strangers = 9
    watch.step(3)
    eyes.strangers, eyes.last_stranger = 1, 0
    watch.step(4)
    assert [now_ns for now_ns, _ in told] == [2, 4]
    assert "user 997 called at the link socket" in told[0][1]
    assert "user 0 called at the perception socket" in told[1][1]
