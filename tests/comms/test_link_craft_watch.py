"""What is watched of a craft's link: alerts in time, an audit log that holds, and no secret in either."""

from __future__ import annotations

import numpy as np
import pytest

from comms.dictionary import Authority
from comms.flight_port import CommandStage, EventNote
from comms.keys.faults import HandshakeFault
from comms.link.craft_ends import Frame
from comms.link.craft_ends import Outcome as EndOutcome
from comms.link.craft_watch import EVENTS, OUTCOMES, STAGES, CraftWatch
from comms.records.faults import RecordFault
from comms.watch.audit import AuditLog
from comms.watch.audit_record import Head
from comms.watch.intrusion import IntrusionDetector
from comms.watch.meta import Outcome
from comms.watch.signing import AuditSigner
from comms.watch.verify import Damage, verify
from fdir.codes import Code
from hil.disk import SimDisk
from tests.comms.link_pair import MS, NS, OPERATOR, Air, Bench


def kept(disk: SimDisk) -> list[tuple[str, bytes]]:
    """Files of a log as they lie on the medium."""
    found = [(name, disk.read(name, 1 << 24)) for name in disk.names()]
    return [(name, data) for name, data in found if data is not None]


def watched(air: Air | None = None) -> tuple[Bench, SimDisk, bytes]:
    disk = SimDisk(np.random.default_rng(5))
    bench = Bench(audit=disk, air=air)
    seed = bench.craft_keys.ring.audit_seed
    assert seed is not None
    return bench, disk, AuditSigner(seed).public_key


def texts(disk: SimDisk) -> bytes:
    return b"".join(data for _, data in kept(disk))


# -- audit


def test_all_that_happens_on_a_link_is_audited_and_the_log_verifies() -> None:
    bench, disk, public = watched(Air())
    station = bench.station(bench.operator("ben", Authority.VIEWER), "b")
    bench.connected()
    orders = [
        bench.ground.order("hold", {}, bench.now), bench.ground.order("key_rotate", {}, bench.now),
        bench.ground.order("emcon", {"level": 1}, bench.now), station.order("emcon", {"level": 3}, bench.now),
    ]
    assert bench.run(20.0, lambda: all(order.end for order in orders))
    bench.flight.codes = ("CMD_REJECTED", "SAFE_POWER_LOW")
    orders.append(bench.ground.order("hold", {}, bench.now))
    assert bench.run(20.0, lambda: all(order.end for order in orders))
    end = bench.ground.end
    assert end is not None
    end.put(0, b"\xff no command", bench.now)
    bench.port.flight.send(EventNote(bench.now, "SAFE_POWER_LOW", "critical", "the battery"))
    for _ in range(300):
        bench.air.inject("x", bytes((0x21, *bench.random(40))))  # type: ignore[union-attr]
    bench.run(3.0)
    bench.craft_keys.revoke("ben")
    bench.run(3.0)
    bench.link.close()
    verdict = verify(kept(disk), public, [bench.log.head()])
    assert verdict.intact, verdict.finding
    assert verdict.heads == 1
    assert verdict.records >= 25
    said = texts(disk)
    for word in (
        b"command_request", b"command_rejected", b"effect_confirmation", b"handshake", b"key_change", b"emission",
        b"intrusion", b"SAFE_intervention", b"hold", b"ada", b"ben", b"CMD_UNAUTHORIZED", b"SAFE_POWER_LOW",
    ):
        assert word in said, word


def test_a_log_that_was_touched_is_found_out() -> None:
    bench, disk, public = watched()
    bench.connected()
    for _ in range(5):
        order = bench.ground.order("hold", {}, bench.now)
        assert bench.run(5.0, lambda order=order: bool(order.end))
    bench.link.close()
    head = bench.log.head()
    files = kept(disk)
    assert verify(files, public, [head]).intact
    name, data = files[-1]
    for at in range(20, len(data), 97):
        changed = bytearray(data)
        changed[at] ^= 0x10
        assert not verify([*files[:-1], (name, bytes(changed))], public, [head]).intact, at
    shorter = verify([*files[:-1], (name, data[: len(data) // 2])], public, [head])
    assert shorter.finding is not None
    assert shorter.finding.damage in (Damage.TRUNCATED, Damage.DELETED)


def test_the_signed_head_lies_in_the_store_for_whoever_wants_to_hold_it() -> None:
    bench, disk, public = watched()
    bench.connected()
    bench.run(1.0)
    bench.link.close()
    held = bench.store.read("audit.head")
    assert isinstance(held, bytes)
    assert Head.decode(bytes.fromhex(held.decode().strip())) is not None
    assert verify(kept(disk), public, [bench.log.head()]).intact


def test_no_secret_and_no_content_is_in_the_log() -> None:
    bench, disk, _ = watched()
    bench.connected()
    shell = bench.ground.shell()
    assert shell is not None
    shell.write(b"help\n")
    order = bench.ground.order("hold", {}, bench.now)
    assert bench.run(5.0, lambda: bool(order.end))
    secrets = bench.ground.end
    assert secrets is not None
    bench.link.close()
    said = texts(disk)
    ring = bench.craft_keys.ring
    for secret in (
        secrets.secrets.up_chain, secrets.secrets.down_chain, secrets.secrets.binding, ring.audit_seed, ring.nbl_root,
        *(slot.secret for slot in bench.craft_keys.peer(OPERATOR).slots),
    ):
        assert secret is not None
        assert secret not in said
        assert secret.hex().encode() not in said


def test_a_flood_of_refusals_leaves_a_bounded_log_with_a_count() -> None:
    bench, disk, public = watched()
    bench.connected()
    end = bench.ground.end
    assert end is not None
    before = bench.log.records
    began = bench.now
    for _ in range(100):
        for _ in range(60):
            end.put(0, b"\xff", bench.now)
        bench.run(0.1)
    seconds = (bench.now - began) / NS
    bench.run(2.0)
    assert bench.log.records - before <= 25 * (seconds + 3)
    assert bench.log.left_out
    bench.link.close()
    assert verify(kept(disk), public).intact


def test_a_medium_that_refuses_does_not_stop_the_link() -> None:
    disk = SimDisk(np.random.default_rng(5))
    bench = Bench(audit=disk)
    bench.connected()
    disk.full = True
    for _ in range(3):
        order = bench.ground.order("hold", {}, bench.now)
        assert bench.run(5.0, lambda order=order: bool(order.end))
        bench.run(1.0)
    disk.full = False
    bench.run(5.0)
    bench.link.close()
    seed = bench.craft_keys.ring.audit_seed
    assert seed is not None
    assert verify(kept(disk), AuditSigner(seed).public_key).intact


# -- intrusion


@pytest.mark.parametrize("what", ["records", "noise", "handshakes", "replays"])
def test_a_flood_is_told_within_a_second_to_craft_and_peers_and_gets_no_answer(what: str) -> None:
    air = Air()
    bench, _, _ = watched(air)
    ben = bench.station(bench.operator("ben", Authority.VIEWER), "b")
    bench.connected()
    bench.run(20.0)
    assert bench.events("INTRUSION_ALERT") == []
    old = [record for _, record in air.up]
    hello = next(record for record in old if record[:1] == b"\0")
    began, down = bench.now, len([to for to, _ in air.down if to == "x"])
    ben.arrivals.take_all()
    while bench.now - began < NS and not bench.events("INTRUSION_ALERT"):
        for n in range(200):
            air.inject("x" if what != "replays" else "b", {
                "records": bytes((0x21, *bench.random(40))), "noise": bench.random(60),
                "handshakes": b"\x00\x01" + bench.random(120), "replays": old[n % len(old)],
            }[what])
            air.inject("x", hello)
        bench.step()
    assert bench.events("INTRUSION_ALERT")
    bench.run(1.0)
    told = [a.what for a in ben.arrivals.take_all() if isinstance(a.what, EventNote)]
    assert any(event.code == "INTRUSION_ALERT" for event in told)
    assert len([to for to, _ in air.down if to == "x"]) == down == 0
    # A command gets through all the same.
    order = bench.ground.order("hold", {}, bench.now)
    asked = bench.now
    while not order.end and bench.now - asked < 5 * NS:
        for _ in range(200):
            air.inject("x", bytes((0x21, *bench.random(40))))
        bench.step()
    assert order.end == "effect_confirmed"
    assert bench.now - asked <= 500 * MS


def test_alerts_of_a_long_flood_are_few_and_counted() -> None:
    air = Air()
    bench, _, _ = watched(air)
    bench.connected()
    for _ in range(500):
        for _ in range(40):
            air.inject(f"x{bench.now % 997}", bytes((0x21, *bench.random(40))))
        bench.step()
    assert 1 <= len(bench.events("INTRUSION_ALERT")) <= 8
    assert sum(bench.link.ends.counts.by_outcome.values()) >= 20_000


def test_an_ordinary_pass_raises_no_alert() -> None:
    bench, _, _ = watched(Air())
    bench.station(bench.operator("ben", Authority.VIEWER), "b")
    bench.connected()
    bench.store.save("a.bin", bytes(60_000))
    for number, seconds in enumerate((7.0, 13.0, 3.0, 21.0, 9.0, 17.0)):
        order = bench.ground.order("ping", {"number": number}, bench.now)
        assert bench.run(5.0, lambda order=order: bool(order.end))
        bench.run(seconds)
    sent = bench.ground.order("file_send", {"name": "a.bin"}, bench.now)
    assert bench.run(60.0, lambda: bool(sent.end))
    assert bench.events("INTRUSION_ALERT") == []


def test_refused_handshakes_are_told_at_a_bounded_rate() -> None:
    air = Air()
    bench, _, _ = watched(air)
    bench.connected()
    bench.run(11.0)
    for _ in range(1500):
        air.inject("x", b"\x00\x01" + bench.random(120))
        bench.step()
    assert 1 <= len(bench.events("HANDSHAKE_REFUSED")) <= 5


# -- the parts


def test_every_outcome_has_its_place_and_every_class_is_known() -> None:
    for fault in HandshakeFault:
        assert OUTCOMES[f"handshake {fault}"] is Outcome.HANDSHAKE_FAILED
    assert OUTCOMES["replayed"] is Outcome.REPLAYED
    for refused in RecordFault:
        assert OUTCOMES.get(refused.value, Outcome.MALFORMED) is not Outcome.ACCEPTED
    assert set(EVENTS) <= {code.value for code in Code}
    assert STAGES


def test_only_metadata_reaches_the_detector() -> None:
    seen: list[object] = []

    class Detector(IntrusionDetector):
        def observe(self, meta: object) -> None:  # type: ignore[override]
            seen.append(meta)

    watch = CraftWatch(Detector(), AuditLog(None, AuditSigner(bytes(range(32))), 1, 0))
    watch.frame(Frame(1, "uhf", "a", 60, EndOutcome.GOOD.value, 3))
    assert seen == [], "a good one is told when it is known what it was"
    watch.good(Frame(1, "uhf", "a", 60, EndOutcome.GOOD.value, 3), False, True)
    watch.frame(Frame(2, "uhf", "a", 60, RecordFault.REPLAYED.value))
    watch.frame(Frame(3, "uhf", "a", 60, "something new"))
    assert [meta.outcome for meta in seen] == [  # type: ignore[attr-defined]
        Outcome.DENIED, Outcome.REPLAYED, Outcome.MALFORMED
    ]
    assert {meta.endpoint for meta in seen} == {"uhf a"}  # type: ignore[attr-defined]


def test_stages_and_events_that_belong_into_the_log_get_there_and_others_do_not() -> None:
    log = AuditLog(None, AuditSigner(bytes(range(32))), 1, 0)
    watch = CraftWatch(IntrusionDetector(), log)

    def written() -> int:
        watch.step(written.now)  # type: ignore[attr-defined]
        written.now += NS  # type: ignore[attr-defined]
        return log.records + log.waiting

    written.now = NS  # type: ignore[attr-defined]
    before = written()
    for word in STAGES:
        watch.stage(CommandStage(0, 1, "", "script", "hold", word), written.now)  # type: ignore[attr-defined]
        assert written() == before + 1
        before += 1
    watch.stage(CommandStage(0, 1, "", "script", "hold", "audited"), written.now)  # type: ignore[attr-defined]
    watch.event(EventNote(0, "PROFILE_DONE", "info", ""), written.now)  # type: ignore[attr-defined]
    assert written() == before
    for code in (*EVENTS, "SAFE_THERMAL_CRITICAL"):
        watch.event(EventNote(0, code, "no severity", "x" * 500), written.now)  # type: ignore[attr-defined]
        assert written() == before + 1
        before += 1
