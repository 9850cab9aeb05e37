"""The campaign's rows of the lines hold, and each of them finds what it is there to find."""

from __future__ import annotations

import time

import numpy as np
import pytest

import comms
from comms.transports import cobs, pacer, serial_frame
from firmware_py.cli.link_campaign import rows_transports
from firmware_py.cli.link_campaign.clock_reads import clock_reads, reads_of_package
from firmware_py.cli.link_campaign.row import Row, RowResult

ROWS = {row.number: row for row in rows_transports.ROWS}


def run(row: Row, cases: int, seed: int = 7) -> RowResult:
    told: list[tuple[int, int]] = []
    result = row.run(np.random.default_rng(seed), cases, lambda done, total: told.append((done, total)))
    assert told[-1] == (cases, cases)
    return result


@pytest.mark.parametrize(("number", "cases"), [(2, 400), (10, 7), (12, 5000)])
def test_a_part_of_each_row_holds(number: int, cases: int) -> None:
    result = run(ROWS[number], cases)
    assert result.passed, result.failures
    assert result.cases == cases


def test_a_run_is_repeated_by_its_seed() -> None:
    assert run(ROWS[2], 200) == run(ROWS[2], 200)


def test_a_deframer_that_loses_its_feet_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    class Forgetful(serial_frame.Deframer):
        def feed(self, arrived: bytes) -> list[bytes]:
            payloads = super().feed(arrived)
            if self.counts.noise:
                return []
            return payloads

    monkeypatch.setattr(rows_transports, "Deframer", Forgetful)
    result = run(ROWS[2], 100)
    assert not result.passed
    assert "whole frames behind them lost" in result.failures[0]
    assert len(result.failures) <= 20


def test_an_exception_out_of_the_parser_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def raising(data: bytes) -> bytes:
        raise IndexError("beyond the end")

    monkeypatch.setattr(cobs, "decode", raising)
    assert not run(ROWS[12], 10).passed
    monkeypatch.setattr(serial_frame, "cobs_decode", raising)
    assert not run(ROWS[2], 10).passed


def test_a_parser_that_takes_too_long_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(data: bytes) -> bytes:
        end = time.perf_counter_ns() + 1_200_000
        while time.perf_counter_ns() < end:
            pass
        return data

    monkeypatch.setattr(cobs, "decode", slow)
    result = run(ROWS[12], 3)
    assert "ms for" in result.failures[0]


def test_a_timer_that_asks_the_machine_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    source = ("def room_bytes(self, now_ns):\n    import time\n    return 64 if time.time() % 2 < 1 else 0\n"
              "def take(self, length, now_ns):\n    import time\n    return time.time() > 1000000000\n")
    scope: dict[str, object] = {"__name__": "comms.transports.pacer"}
    exec(source, scope)  # stands for a module of comms that reads the clock
    monkeypatch.setattr(pacer.Pacer, "take", scope["take"])
    result = run(ROWS[10], 3)
    assert not result.passed
    assert "reads" in result.failures[-1]


@pytest.mark.parametrize("source", [
    "import time", "from time import monotonic", "import random", "import threading as t", "from os import urandom",
    "import os\nos.urandom(3)", "import datetime\ndatetime.datetime.now()", "from datetime import date\ndate.today()",
    "import numpy as np\nnp.random.default_rng()", "import secrets", "from uuid import uuid4", "x.sleep(1)",
    "__import__('time')", "sock.settimeout(1)", "import asyncio",
])
def test_every_way_to_time_and_chance_is_seen(source: str) -> None:
    assert list(clock_reads(source, "some.py"))


@pytest.mark.parametrize("source", [
    "def step(now_ns):\n    return now_ns", "self.monotonic()", "from comms.bundles import sleep", "import datetime",
    "datetime.timedelta(1)", "now_ns()", "import struct",
])
def test_what_is_neither_is_left_alone(source: str) -> None:
    assert not list(clock_reads(source, "some.py"))


def test_no_place_in_the_link_reads_a_clock_waits_or_makes_chance() -> None:
    assert reads_of_package(comms) == []
