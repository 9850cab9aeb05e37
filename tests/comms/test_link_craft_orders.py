"""Orders to the link: each is carried out over the whole chain, ends with a word, and is told to its sender."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from comms.cfdp import MemoryStore
from comms.channel_plan import channel_named
from comms.dictionary import Authority
from comms.dictionary.commands_link import LINK_COMMANDS
from comms.dictionary.frames import Frame
from comms.dictionary.messages import FileListing
from comms.emcon import EmconLevel, Transmitter
from comms.flight_port import LinkOrder
from comms.keys.renewal import RenewalState
from comms.link.craft_orders import ORDERS, carry_out
from comms.link.ground import Payload
from comms.link.ground_orders import Ordered
from comms.link.sequence_file import compile_yaml, packed
from fdir.modes import Emission
from hil.link_line import GilbertElliott, LineRules, LinkLine
from tests.comms.link_pair import MS, NS, OPERATOR, Air, Bench

FILES = channel_named("files").id


def give(
    bench: Bench, name: str, arguments: dict[str, Any] | None = None, seconds: float = 20.0, **more: Any
) -> Ordered:
    order = bench.ground.order(name, arguments or {}, bench.now, **more)
    assert bench.run(seconds, lambda: bool(order.end)), (name, order.stages)
    return order


def well(order: Ordered) -> bool:
    return order.end == "effect_confirmed"


def test_every_command_of_the_link_has_its_handler() -> None:
    assert set(ORDERS) == {command.name for command in LINK_COMMANDS} - {"command_arm"}


def test_an_order_that_nobody_knows_ends_badly() -> None:
    bench = Bench()
    assert carry_out(bench.link, LinkOrder(0, 1, "none"), 0) == (False, "the link has no order 'none'")


# -- emission control


def test_a_level_is_set_by_order_and_told() -> None:
    bench = Bench(transmitter=Transmitter.CABLE).connected()
    assert well(give(bench, "emcon", {"level": 2}))
    assert bench.link.emcon.level is EmconLevel.RECEIVE
    bench.run(1.0)
    (event,) = bench.events("EMCON_ENTER")
    assert event.text == "level 0 to 2"
    assert well(give(bench, "emcon", {"level": 0}))
    bench.run(1.0)
    assert bench.events("EMCON_EXIT")[-1].text == "level 2 to 0"


def test_an_order_cannot_open_what_the_emission_region_has_shut() -> None:
    bench = Bench(transmitter=Transmitter.CABLE).connected()
    bench.flight.emission = Emission.SILENT
    bench.run(0.2)
    order = give(bench, "emcon", {"level": 0})
    assert bench.link.emcon.level is EmconLevel.SILENT
    assert order.detail == "level 3", "what holds is told"


def test_over_a_radio_the_order_into_silence_is_the_last_that_is_heard_of_the_craft() -> None:
    bench = Bench().connected()
    order = bench.ground.order("emcon", {"level": 2}, bench.now)
    bench.run(1.0)
    sent = bench.lines.a.counts.sent
    bench.run(10.0)
    assert bench.lines.a.counts.sent == sent
    assert bench.link.emcon.level is EmconLevel.RECEIVE
    back = bench.ground.order("emcon", {"level": 0}, bench.now, priority="emergency")
    assert bench.run(40.0, lambda: bool(back.end and order.end))
    assert well(back)


# -- channels


def test_a_created_channel_carries_both_ways_until_it_is_closed() -> None:
    bench = Bench().connected()
    heard: list[tuple[bytes, str]] = []
    bench.link.listeners["camera"] = lambda payload, peer, _: heard.append((payload, peer))
    created = give(bench, "channel_create", {"name": "camera", "kind": "science", "qos": "science", "end_to_end": True})
    assert well(created)
    bench.run(0.5)
    assert bench.ground.send("camera", b"up")
    assert bench.link.send("camera", b"down", bench.now) == 1
    bench.run(1.0)
    assert heard == [(b"up", OPERATOR)]
    assert Payload("camera", b"down") in [a.what for a in bench.ground.arrivals.take_all()]
    assert well(give(bench, "channel_close", {"name": "camera"}))
    bench.run(0.5)
    assert not bench.ground.send("camera", b"up")
    assert bench.link.send("camera", b"down", bench.now) == 0
    assert [event.code for event in bench.flight.events if event.code.startswith("CHANNEL_")] == [
        "CHANNEL_CREATED", "CHANNEL_CLOSED"
    ]


def test_a_created_channel_is_known_at_both_ends_also_where_the_first_word_of_it_got_lost() -> None:
    air = Air()
    bench = Bench(air=air)
    station = bench.station(bench.operator("ben", Authority.SAFETY), "b")
    bench.connected()
    air.pass_down = lambda _: False
    order = bench.ground.order(
        "channel_create", {"name": "camera", "kind": "bulk", "qos": "bulk", "end_to_end": True}, bench.now
    )
    assert bench.run(5.0, lambda: bool(order.end))
    assert not station.send("camera", b"x")
    air.pass_down = lambda _: True
    assert bench.run(15.0, lambda: station.send("camera", b"x"))
    # Closed while nothing comes down, and one of that name created anew.
    air.pass_down = lambda _: False
    assert well(give(bench, "channel_close", {"name": "camera"}))
    assert well(give(bench, "channel_create", {"name": "camera", "kind": "bulk", "qos": "bulk", "end_to_end": True}))
    air.pass_down = lambda _: True
    bench.run(15.0)
    heard: list[bytes] = []
    bench.link.listeners["camera"] = lambda payload, _peer, _now: heard.append(payload)
    assert station.send("camera", b"anew")
    bench.run(1.0)
    assert heard == [b"anew"]


@pytest.mark.parametrize(("arguments", "word"), [
    ({"name": "Camera!", "kind": "science", "qos": "science", "end_to_end": True}, "a name is"),
    ({"name": "control", "kind": "science", "qos": "science", "end_to_end": True}, "there is a channel"),
    ({"name": "fast", "kind": "bulk", "qos": "control", "end_to_end": True}, "at most"),
])
def test_a_channel_that_may_not_be_is_refused_by_name_and_nobody_has_it(arguments: dict[str, Any], word: str) -> None:
    bench = Bench(air=Air())
    bench.station(bench.operator("ben", Authority.SAFETY), "b")
    bench.connected()
    before = [end.manager.specs() for end in bench.link.ends.ends]
    order = give(bench, "channel_create", arguments)
    assert order.end == "aborted"
    assert word in order.detail
    assert [end.manager.specs() for end in bench.link.ends.ends] == before
    bench.run(0.5)
    assert len(bench.events("CHANNEL_REFUSED")) == 1


def test_nobody_creates_channels_without_end() -> None:
    bench = Bench().connected()
    ends = [
        give(bench, "channel_create", {"name": f"c{n}", "kind": "bulk", "qos": "bulk", "end_to_end": True}).end
        for n in range(12)
    ]
    assert ends.count("effect_confirmed") == 8
    assert give(bench, "channel_close", {"name": "control"}).end == "aborted"
    assert give(bench, "channel_close", {"name": "nothing"}).end == "aborted"


# -- telemetry


def test_a_group_is_sent_at_the_rate_that_was_ordered_also_to_those_who_come_later() -> None:
    bench = Bench(air=Air())
    late = bench.station(bench.operator("ben", Authority.VIEWER), "b")
    bench.stations.remove(late)
    bench.flight.values = lambda now: {"t_s": now / NS, "motion": "Idle", "position_m": [now / NS, 0.0, 0.0]}
    bench.connected()
    assert well(give(bench, "telemetry_rate", {"group": "motion", "rate_hz": 2.0}))
    late.connect(bench.now)
    bench.stations.append(late)
    bench.run(2.0)
    for station in (bench.ground, late):
        station.arrivals.take_all()
    bench.run(10.0)
    for station in (bench.ground, late):
        frames = [a.what for a in station.arrivals.take_all() if isinstance(a.what, Frame)]
        assert sum(frame.layout.name == "motion" for frame in frames) == pytest.approx(20, abs=2)
    assert well(give(bench, "telemetry_rate", {"group": "motion", "rate_hz": 0.0}))
    bench.ground.arrivals.take_all()
    bench.run(5.0)
    frames = [a.what for a in bench.ground.arrivals.take_all() if isinstance(a.what, Frame)]
    assert not any(frame.layout.name == "motion" for frame in frames)


# -- files


@pytest.mark.parametrize("mtu", [128, 200, 1200])
def test_a_listing_of_the_store_comes_whole_over_any_line(mtu: int) -> None:
    bench = Bench(mtu=mtu, bit_rate=200_000.0)
    names = {f"{'n' * (n % 40)}{n:02d}.bin": n for n in range(40)}
    for name, size in names.items():
        bench.store.save(name, bytes(size))
    bench.connected()
    bench.store.remove("audit.head")
    order = give(bench, "file_list")
    assert (order.end, order.detail) == ("effect_confirmed", "40 files")
    bench.run(2.0)
    pages = [a.what for a in bench.ground.arrivals.take_all() if isinstance(a.what, FileListing)]
    rows = [row for page in pages for row in page.files]
    assert {row.name: row.size_bytes for row in rows} == names
    assert [page.first for page in pages] == [sum(len(p.files) for p in pages[:n]) for n in range(len(pages))]


def test_an_empty_store_has_one_empty_page() -> None:
    bench = Bench().connected()
    bench.store.remove("audit.head")
    assert well(give(bench, "file_list"))
    bench.run(0.5)
    (page,) = [a.what for a in bench.ground.arrivals.take_all() if isinstance(a.what, FileListing)]
    assert (page.first, page.total, page.files) == (0, 0, ())


def test_a_file_is_deleted_once() -> None:
    bench = Bench()
    bench.store.save("a.bin", b"x")
    bench.connected()
    assert well(give(bench, "file_delete", {"name": "a.bin"}))
    again = give(bench, "file_delete", {"name": "a.bin"})
    assert (again.end, bool(again.detail)) == ("aborted", True)


def test_an_order_for_a_file_ends_with_the_transfer() -> None:
    bench = Bench()
    bench.store.save("a.bin", bytes(20_000))
    bench.connected()
    order = give(bench, "file_send", {"name": "a.bin"}, 60.0)
    assert well(order)
    assert bench.ground_store.read("a.bin") == bytes(20_000)
    missing = give(bench, "file_send", {"name": "b.bin"})
    assert missing.end == "aborted"


def test_a_transfer_is_suspended_resumed_and_cancelled_by_order() -> None:
    bench = Bench(bit_rate=40_000.0)
    bench.store.save("a.bin", bytes(60_000))
    bench.connected()
    order = bench.ground.order("file_send", {"name": "a.bin"}, bench.now, life_s=600.0)
    assert bench.run(10.0, lambda: bool(bench.link.files.entity.transactions()))
    bench.run(2.0)
    (view,) = bench.link.files.entity.transactions()
    number = {"transaction": view.id.sequence}
    assert well(give(bench, "file_suspend", number, 30.0))
    bench.run(3.0)
    sent = bench.link.files.entity.counts.sent_bytes
    bench.run(5.0)
    assert bench.link.files.entity.counts.sent_bytes == sent
    assert well(give(bench, "file_resume", number, 30.0))
    bench.run(2.0)
    assert bench.link.files.entity.counts.sent_bytes > sent
    assert well(give(bench, "file_cancel", number, 30.0))
    assert bench.run(60.0, lambda: bool(order.end))
    assert order.end == "aborted"
    assert give(bench, "file_suspend", {"transaction": 123456}).detail == "no such transfer"


# -- sequences

SEQUENCE = """
sequence: check
steps:
  - {command: hold, after_s: 0.5}
  - {command: ping, arguments: {number: 4}, after_s: 1.0}
"""


def test_a_sequence_goes_up_as_a_file_is_loaded_and_runs_once() -> None:
    bench = Bench()
    bench.connected()
    assert isinstance(bench.ground.files.store, MemoryStore)
    bench.ground.files.store.save("check.seq", packed(compile_yaml(SEQUENCE)))
    bench.ground.send_file("check.seq", bench.now)
    assert bench.run(20.0, lambda: "check.seq" in bench.store.names())
    assert well(give(bench, "sequence_load", {"name": "check.seq"}))
    assert well(give(bench, "sequence_start", {"name": "check", "confirmed": True}))
    assert bench.run(10.0, lambda: "SEQUENCE_DONE" in bench.flight.codes_told)
    ran = [(sender, name) for sender, _, name in bench.flight.done if sender == f"{OPERATOR}/check"]
    assert ran == [(f"{OPERATOR}/check", "hold"), (f"{OPERATOR}/check", "ping")]
    assert give(bench, "sequence_stop").detail == "no sequence runs"


def test_what_is_no_sequence_is_refused_by_name() -> None:
    bench = Bench()
    data = bytearray(packed(compile_yaml(SEQUENCE)))
    data[-3] ^= 1
    bench.store.save("bad.seq", bytes(data))
    bench.connected()
    for name in ("bad.seq", "none.seq"):
        order = give(bench, "sequence_load", {"name": name})
        assert order.end == "aborted"
        assert order.detail
    bench.run(0.5)
    assert len(bench.events("SEQUENCE_REFUSED")) == 1
    assert give(bench, "sequence_start", {"name": "check", "confirmed": True}).end == "aborted"


def test_a_restart_of_the_flight_program_ends_a_sequence() -> None:
    bench = Bench()
    text = SEQUENCE.replace("after_s: 1.0", "after_s: 100.0")
    bench.store.save("check.seq", packed(compile_yaml(text)))
    bench.connected()
    assert well(give(bench, "sequence_load", {"name": "check.seq"}))
    assert well(give(bench, "sequence_start", {"name": "check", "confirmed": True}))
    bench.run(2.0)
    bench.flight.restart()
    bench.run(1.0)
    assert [event.text for event in bench.events("SEQUENCE_ABORTED")] == ["check at step 2: the craft was started anew"]


# -- keys and sessions


def test_keys_are_rotated_by_order_in_the_middle_of_everything() -> None:
    rules = LineRules(delay_ns=10 * MS, loss=GilbertElliott.from_mean(0.1, 1.5), duplicate=0.2, reorder=0.2,
                      reorder_ns=100 * MS)
    bench = Bench(pipe=LinkLine(rules, np.random.default_rng(8))).connected(60.0)
    for _ in range(4):
        assert well(give(bench, "key_rotate", seconds=60.0))
        bench.run(10.0)
    (end,) = bench.link.ends.ends
    assert end.session.state().send_epoch >= 1
    assert well(give(bench, "hold", seconds=60.0))
    assert bench.ground.connected
    assert bench.ground.counts.sessions == 1


def test_a_peer_is_dropped_by_order_and_comes_back_by_itself() -> None:
    bench = Bench(air=Air())
    ben = bench.station(bench.operator("ben", Authority.SAFETY), "b")
    bench.connected()
    assert well(give(bench, "link_drop", {"peer": "ben"}))
    assert [end.peer.name for end in bench.link.ends.ends] == [OPERATOR]
    assert give(bench, "link_drop", {"peer": "zoe"}).end == "aborted"
    bench.step_ns = 100 * MS
    assert bench.run(100.0, lambda: ben.counts.sessions == 2 and ben.connected)


def test_a_ping_comes_back_with_its_number() -> None:
    bench = Bench().connected()
    assert give(bench, "ping", {"number": 77}).detail == "77"


@pytest.mark.parametrize("transmitter", [Transmitter.CABLE, Transmitter.BRIDGE])
def test_the_shared_secret_is_renewed_over_a_wire(transmitter: Transmitter) -> None:
    bench = Bench(transmitter=transmitter).connected()
    before = bench.craft_keys.peer(OPERATOR).slots[0].id
    assert bench.ground.renew(bench.now) == ""
    assert bench.ground.renewal is not None
    assert bench.run(10.0, lambda: bench.ground.renewal.state is RenewalState.DONE)  # type: ignore[union-attr]
    bench.run(0.5)
    assert len(bench.events("KEY_RENEWED")) == 1
    assert before not in [slot.id for slot in bench.craft_keys.peer(OPERATOR).slots if slot.secret is not None]
    # The next handshake is made with the new one.
    bench.ground.connect(bench.now)
    assert bench.run(20.0, lambda: bench.ground.connected and bench.ground.counts.sessions == 2)
    assert well(give(bench, "hold"))


@pytest.mark.parametrize("mtu", [128, 200, 1200])
@pytest.mark.parametrize("loss", [0.0, 0.2])
def test_over_a_radio_a_secret_is_renewed_only_after_the_order_for_it(mtu: int, loss: float) -> None:
    rules = LineRules(delay_ns=10 * MS, loss=GilbertElliott.from_mean(loss, 1.5) if loss else None)
    bench = Bench(pipe=LinkLine(rules, np.random.default_rng(8)), mtu=mtu, bit_rate=100_000.0).connected(60.0)
    before = bench.craft_keys.revision
    assert bench.ground.renew(bench.now) == ""
    bench.run(40.0)
    assert bench.craft_keys.revision == before
    assert bench.ground.renewal is not None
    assert bench.ground.renewal.state is not RenewalState.DONE
    bench.ground.connect(bench.now)
    assert bench.run(60.0, lambda: bench.ground.counts.sessions >= 2 and bench.ground.connected)
    assert well(give(bench, "key_renew", {"confirmed": True}, 60.0))
    assert bench.ground.renew(bench.now) == ""
    assert bench.run(60.0, lambda: bench.ground.renewal.state is RenewalState.DONE)  # type: ignore[union-attr]
    assert bench.ground.connected


def test_leave_to_renew_ends_after_ten_minutes_and_is_one_peer_s_own() -> None:
    bench = Bench(air=Air(), step_ns=200 * MS)
    ben = bench.station(bench.operator("ben", Authority.SAFETY), "b")
    bench.connected()
    assert well(give(bench, "key_renew", {"confirmed": True}))
    assert ben.renew(bench.now) == ""
    bench.run(20.0)
    assert ben.renewal is not None
    assert ben.renewal.state is not RenewalState.DONE
    bench.run(600.0)
    assert bench.ground.renew(bench.now) == ""
    bench.run(20.0)
    assert bench.ground.renewal is not None
    assert bench.ground.renewal.state is not RenewalState.DONE


def test_a_renewal_that_is_refused_again_and_again_is_told_at_a_bounded_rate() -> None:
    bench = Bench().connected()
    bench.ground.renew(bench.now)
    bench.run(30.0)
    assert 1 <= len(bench.events("HANDSHAKE_REFUSED")) <= 8
