"""Files over a link: whole or a clean fault, both ways, and nobody writes on board who may not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from comms.cfdp import (
    CfdpEntity,
    EntityConfig,
    IndicationKind,
    MemoryStore,
    PeerConfig,
    PutRefusal,
    State,
    StoreLimits,
    TransactionId,
)
from comms.channel_plan import channel_named
from comms.dictionary import Authority
from comms.dictionary.messages import Notice
from comms.emcon import EmconLevel
from comms.keys.handshake import PeerIdentity
from comms.keys.initiator import RetryPlan
from comms.link.craft_files import WAITING, CraftFiles
from comms.link.entity_ids import CRAFT_ENTITY, entity_of
from fdir.codes import Code
from hil.link_line import GilbertElliott, LineRules, LinkLine
from tests.comms.link_pair import MS, NS, Air, Bench

FILES = channel_named("files").id
PATIENT = RetryPlan(first_ns=NS, longest_ns=4 * NS, tries=200)
DATA = np.random.default_rng(17).bytes(24_000)


def lossy(loss: float, *breaks: tuple[float, float], seed: int = 21) -> LinkLine:
    rules = LineRules(
        delay_ns=30 * MS, jitter_ns=20 * MS, loss=GilbertElliott.from_mean(loss, 1.6) if loss else None, duplicate=0.05,
        reorder=0.1, reorder_ns=200 * MS, blackouts=tuple((round(a * NS), round(b * NS)) for a, b in breaks),
    )
    return LinkLine(rules, np.random.default_rng(seed))


@pytest.mark.parametrize("loss", [0.0, 0.1, 0.3])
def test_files_arrive_whole_both_ways_whatever_the_line_does(loss: float) -> None:
    breaks = ((10.0, 16.0), (25.0, 50.0), (62.0, 190.0))
    bench = Bench(pipe=lossy(loss, *breaks), bit_rate=38_400.0, retry=PATIENT)
    bench.store.save("down.bin", DATA)
    bench.ground_store.save("up.bin", DATA[::-1])
    bench.connected(9.0)
    order = bench.ground.order("file_send", {"name": "down.bin"}, bench.now, life_s=900.0)
    assert isinstance(bench.ground.send_file("up.bin", bench.now, "arrived.bin"), TransactionId)
    # A bigger one keeps the line busy over the gaps.
    bench.ground_store.save("big.bin", DATA * 8)
    bench.ground.send_file("big.bin", bench.now)
    bench.step_ns = 40 * MS

    def whole() -> bool:
        return {"arrived.bin", "big.bin"} <= set(bench.store.names()) and "down.bin" in bench.ground_store.names()

    assert bench.run(1500.0, lambda: whole() and bool(order.end))
    assert bench.ground_store.read("down.bin") == DATA
    assert bench.store.read("arrived.bin") == DATA[::-1]
    assert bench.store.read("big.bin") == DATA * 8
    assert order.verdict == "allowed"
    assert order.end in ("effect_confirmed", "audited")
    assert bench.now > 190 * NS
    bench.run(1.0)
    assert len(bench.events("FILE_DONE")) == 3
    assert bench.events("FILE_FAILED") == []


def test_a_transfer_survives_that_the_station_begins_anew() -> None:
    bench = Bench(air=Air(), bit_rate=1e6)
    keys = bench.operator("ben", Authority.SAFETY)
    station = bench.station(keys, "b")
    bench.connected()
    (end,) = bench.link.ends.of_peer("ben")
    bench.store.save("a.bin", DATA * 40)
    bench.link.files.send("a.bin", end.peer, 5, bench.now)
    for _ in range(4):
        bench.run(0.1)
        station.connect(bench.now)
        assert bench.run(20.0, lambda: station.connected)
    assert bench.run(60.0, lambda: "a.bin" in station.files.store.names())
    assert station.files.store.read("a.bin") == DATA * 40


def test_without_contact_a_transfer_stands_still_and_does_not_fail() -> None:
    bench = Bench(retry=PATIENT, step_ns=200 * MS)
    bench.store.save("a.bin", DATA)
    bench.connected()
    order = bench.ground.order("file_send", {"name": "a.bin"}, bench.now, life_s=4000.0)
    assert bench.run(5.0, lambda: bool(bench.link.files.entity.transactions()))
    bench.lines.a.up = bench.lines.b.up = False
    bench.run(1800.0)
    assert bench.events("FILE_FAILED") == []
    bench.lines.a.up = bench.lines.b.up = True
    assert bench.run(120.0, lambda: bool(order.end))
    assert bench.ground_store.read("a.bin") == DATA


@pytest.mark.parametrize("level", [EmconLevel.RESTRICTED, EmconLevel.SILENT])
def test_a_long_silence_makes_no_transfer_fail(level: EmconLevel) -> None:
    bench = Bench(retry=PATIENT, step_ns=100 * MS, bit_rate=100_000.0)
    bench.store.save("down.bin", DATA * 4)
    bench.ground_store.save("up.bin", DATA * 4)
    bench.connected()
    (end,) = bench.link.ends.ends
    bench.link.files.send("down.bin", end.peer, 5, bench.now)
    bench.ground.send_file("up.bin", bench.now)
    bench.run(3.0)
    bench.link.emcon.set_level(level, bench.now)
    bench.run(600.0)
    assert bench.events("FILE_FAILED") == []
    bench.link.emcon.set_level(EmconLevel.OPEN, bench.now)
    assert bench.run(120.0, lambda: "down.bin" in bench.ground_store.names() and "up.bin" in bench.store.names())
    assert bench.ground_store.read("down.bin") == bench.store.read("up.bin") == DATA * 4


def test_files_leave_the_line_to_commands() -> None:
    bench = Bench(bit_rate=19_200.0)
    bench.store.save("a.bin", DATA * 4)
    bench.connected()
    (end,) = bench.link.ends.ends
    bench.link.files.send("a.bin", end.peer, 5, bench.now)
    bench.run(5.0)
    for _ in range(5):
        asked = bench.now
        order = bench.ground.order("hold", {}, bench.now)
        assert bench.run(10.0, lambda order=order: bool(order.end))
        assert bench.now - asked < 3 * NS
        assert end.waiting(FILES) <= WAITING


# -- who may


def test_a_viewer_takes_files_and_sends_none() -> None:
    bench = Bench(Authority.VIEWER)
    bench.store.save("precious.bin", b"keep me")
    bench.ground_store.save("precious.bin", b"evil")
    bench.connected()
    bench.ground.send_file("precious.bin", bench.now)
    bench.run(10.0)
    assert bench.store.read("precious.bin") == b"keep me"
    assert bench.files() == {"precious.bin": 7}
    notices = [a.what for a in bench.ground.arrivals.take_all() if isinstance(a.what, Notice)]
    assert [notice.reason for notice in notices] == [Code.CMD_UNAUTHORIZED.value], "told once, and not for every unit"
    (end,) = bench.link.ends.ends
    bench.store.save("for-all.bin", DATA)
    bench.link.files.send("for-all.bin", end.peer, 5, bench.now)
    assert bench.run(30.0, lambda: "for-all.bin" in bench.ground_store.names())


def test_a_peer_speaks_for_nobody_else_in_file_transfers() -> None:
    bench = Bench(air=Air())
    ben = bench.station(bench.operator("ben", Authority.CONTROLLER), "b")
    bench.connected()
    # Ben's station makes units in the name of ada's entity.
    store = MemoryStore()
    store.save("forged.bin", b"forged")
    forger = CfdpEntity(
        EntityConfig(entity_of(bench.ground_keys.identity.public), entity_bytes=2), store, [PeerConfig(CRAFT_ENTITY)],
        bench.random, bench.now,
    )
    forger.put("forged.bin", CRAFT_ENTITY, bench.now)
    end = ben.end
    assert end is not None
    for _ in range(20):
        unit = forger.next_pdu(end.longest, bench.now)
        if unit is not None:
            end.put(FILES, unit, bench.now)
        bench.run(0.2)
    assert bench.files() == {}
    assert sum(bench.link.files.entity.counts.refused.values()) > 0


def test_units_of_a_stranger_s_entity_and_garbage_are_refused_and_counted() -> None:
    bench = Bench().connected()
    end = bench.ground.end
    assert end is not None
    rng = np.random.default_rng(1)
    for _ in range(100):
        end.put(FILES, rng.bytes(int(rng.integers(1, 100))), bench.now)
        bench.run(0.04)
    assert bench.link.files.table()["refused"] == 100
    assert bench.files() == {}


def test_names_lead_nowhere_else() -> None:
    bench = Bench()
    bench.ground_store.save("ok.bin", b"x")
    bench.connected()
    for there in ("../x", "/etc/x", ".hidden", "a/b", "x" * 65):
        bench.ground.send_file("ok.bin", bench.now, there)
        bench.run(3.0)
    assert bench.files() == {}
    assert bench.run(30.0, lambda: len(bench.events("FILE_FAILED")) >= 1)


# -- the owner itself


class Craft:
    """A craft's files without a link."""

    def __init__(self, *names: str, limits: StoreLimits | None = None) -> None:
        self.rng = np.random.default_rng(4)
        self.keys = {name: self.rng.bytes(32) for name in names}
        self.store = MemoryStore(limits) if limits is not None else MemoryStore()
        self.files = self.make()

    def make(self) -> CraftFiles:
        return CraftFiles(self.store, list(self.keys.values()), 512, self.rng.bytes, 0)

    def peer(self, name: str, role: Authority = Authority.CONTROLLER) -> PeerIdentity:
        return PeerIdentity(name, role, self.keys[name])


def test_a_file_for_nobody_or_that_is_not_there_is_refused() -> None:
    craft = Craft("ada")
    stranger = PeerIdentity("zoe", Authority.SAFETY, bytes(32))
    assert craft.files.send("a.bin", craft.peer("ada"), 1, 0) is PutRefusal.NO_FILE
    craft.store.save("a.bin", b"x")
    assert craft.files.send("a.bin", stranger, 1, 0) is PutRefusal.UNKNOWN_PEER
    assert isinstance(craft.files.send("a.bin", craft.peer("ada"), 1, 0), TransactionId)


def test_the_number_of_transfers_is_bounded_and_orders_are_forgotten_with_them() -> None:
    craft = Craft("ada")
    craft.store.save("a.bin", b"x")
    outcomes = [craft.files.send("a.bin", craft.peer("ada"), n, 0) for n in range(40)]
    assert outcomes.count(PutRefusal.TOO_MANY) == 24
    for view in craft.files.entity.transactions():
        craft.files.entity.cancel(view.id, 0)
        craft.files.entity.abandon(view.id, 0)
    ended, notes = craft.files.step([], NS)
    assert sorted(number for number, _, _ in ended) == list(range(16))
    assert {well for _, well, _ in ended} == {False}
    assert len(notes) == 16


def test_the_table_tells_what_is_under_way() -> None:
    craft = Craft("ada")
    craft.store.save("a.bin", b"x" * 1000)
    found = craft.files.send("a.bin", craft.peer("ada"), 1, 0)
    assert isinstance(found, TransactionId)
    assert craft.files.numbered(found.sequence) == found
    assert craft.files.numbered(found.sequence + 1) is None
    assert craft.files.table()["transfers"] == 1
    craft.files.entity.suspend(found, 0)
    assert craft.files.table()["suspended"] == 1


def test_peers_whose_numbers_fall_together_do_not_stop_a_craft() -> None:
    numbers: dict[int, bytes] = {}
    pair: tuple[bytes, bytes] | None = None
    for n in range(5000):
        key = n.to_bytes(32, "big")
        other = numbers.setdefault(entity_of(key), key)
        if other != key:
            pair = other, key
            break
    assert pair is not None
    CraftFiles(MemoryStore(), pair, 512, np.random.default_rng(1).bytes, 0)


def test_a_transfer_to_the_craft_ends_with_a_note_and_no_order() -> None:
    craft = Craft("ada")
    peer = craft.peer("ada")
    craft.files.contact(peer, True, 0)
    store = MemoryStore()
    store.save("up.bin", b"up")
    sender = CfdpEntity(
        EntityConfig(entity_of(peer.public_key), entity_bytes=2), store, [PeerConfig(CRAFT_ENTITY)], craft.rng.bytes, 0
    )
    sender.put("up.bin", CRAFT_ENTITY, 0)
    notes: list[Any] = []
    for step in range(200):
        now = step * 100 * MS
        sender.step(now)
        while (unit := sender.next_pdu(512, now)) is not None:
            assert craft.files.receive(unit, peer, now)
        ended, more = craft.files.step([], now)
        assert ended == []
        notes += more
        while (unit := craft.files.entity.next_pdu(512, now, entity_of(peer.public_key))) is not None:
            sender.receive(unit, now)
    assert [well for well, _ in notes] == [True]
    assert "up.bin" in notes[0][1]
    assert craft.store.read("up.bin") == b"up"
    assert all(view.state is State.ENDED for view in craft.files.entity.transactions())
    assert any(note.kind is IndicationKind.FINISHED for note in sender.indications.take_all())


def test_a_full_store_is_a_clean_fault_at_both_ends() -> None:
    bench = Bench()
    limits = StoreLimits(total_bytes=65_536, files=4, file_bytes=65_536)
    bench.ground_store.save("big.bin", DATA * 4)
    bench.connected()
    assert limits.file_bytes < len(DATA) * 4
    bench.link.files.entity.store.limits = limits  # type: ignore[misc]
    bench.ground.send_file("big.bin", bench.now)
    assert bench.run(60.0, lambda: len(bench.events("FILE_FAILED")) == 1)
    assert bench.files() == {}
    assert bench.ground.connected
