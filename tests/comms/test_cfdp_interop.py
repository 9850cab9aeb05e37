"""Files go both ways between ours and cfdp-py, in both classes, with and without loss."""

from __future__ import annotations

import numpy as np
import pytest
from spacepackets.cfdp import ChecksumType

from bench._link_cfdp import CfdpPyPeer, entity, exchange, virtual_time
from comms.cfdp import ChecksumKind, Condition, IndicationKind, Mode
from comms.cfdp.entity import CfdpEntity

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
SIZES = [0, 1, 1024, 30_000]


def outcome(ours: CfdpEntity) -> list[tuple[Condition, bool | None]]:
    notes = ours.indications.take_all()
    return [(note.condition, note.delivered) for note in notes if note.kind is IndicationKind.FINISHED]


@pytest.mark.parametrize("loss", [0.0, 0.1, 0.3])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("immediate", [False, True])
@pytest.mark.parametrize("ours_sends", [True, False])
def test_class_2_brings_every_file_across(loss: float, size: int, immediate: bool, ours_sends: bool) -> None:
    rng = np.random.default_rng(size + 1)
    data = rng.bytes(size)
    with virtual_time() as now:
        ours, theirs = entity(1, 2, rng, immediate), CfdpPyPeer(2, 1, immediate=immediate)
        if ours_sends:
            ours.store.save("file", data)
            ours.put("file", 2, 0)
        else:
            theirs.store.files["file"] = bytearray(data)
            theirs.put("file", Mode.ACKNOWLEDGED)
        exchange(ours, theirs, loss, rng, now)
    if ours_sends:
        assert bytes(theirs.store.files["file"]) == data
        assert outcome(ours) == [(Condition.NO_ERROR, True)]
    else:
        assert ours.store.read("file") == data
        assert outcome(ours) == [(Condition.NO_ERROR, True)]
        assert theirs.user.finished[0].finished_params.condition_code == 0


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("ours_sends", [True, False])
@pytest.mark.parametrize(("ours_sum", "their_sum"), [
    (ChecksumKind.CRC_32, ChecksumType.CRC_32), (ChecksumKind.MODULAR, ChecksumType.MODULAR),
    (ChecksumKind.NULL, ChecksumType.NULL_CHECKSUM),
])
@pytest.mark.parametrize("crc", [False, True])
@pytest.mark.parametrize("mode", list(Mode))
def test_every_checksum_and_a_crc_on_units_work_in_both_classes(
    size: int, ours_sends: bool, ours_sum: ChecksumKind, their_sum: ChecksumType, crc: bool, mode: Mode,
) -> None:
    rng = np.random.default_rng(size + 1)
    data = rng.bytes(size)
    with virtual_time() as now:
        ours, theirs = entity(1, 2, rng, crc=crc, checksum=ours_sum), CfdpPyPeer(2, 1, their_sum, crc)
        if ours_sends:
            ours.store.save("file", data)
            ours.put("file", 2, 0, mode=mode)
        else:
            theirs.store.files["file"] = bytearray(data)
            theirs.put("file", mode)
        exchange(ours, theirs, 0.0, rng, now)
    assert (bytes(theirs.store.files["file"]) if ours_sends else ours.store.read("file")) == data


@pytest.mark.parametrize("loss", [0.1, 0.3])
@pytest.mark.parametrize("ours_sends", [True, False])
@pytest.mark.parametrize("seed", range(4))
def test_class_1_with_loss_is_whole_or_absent(loss: float, ours_sends: bool, seed: int) -> None:
    rng = np.random.default_rng(seed)
    data = rng.bytes(6_000)
    with virtual_time() as now:
        ours, theirs = entity(1, 2, rng), CfdpPyPeer(2, 1)
        if ours_sends:
            ours.store.save("file", data)
            ours.put("file", 2, 0, mode=Mode.UNACKNOWLEDGED)
        else:
            theirs.store.files["file"] = bytearray(data)
            theirs.put("file", Mode.UNACKNOWLEDGED)
        exchange(ours, theirs, loss, rng, now, longest_s=1000)
    assert not ours.busy
    if not ours_sends:
        assert ours.store.read("file") in (data, "no_file")


@pytest.mark.parametrize("ours_cancels", [True, False])
def test_a_cancelled_file_ends_at_both(ours_cancels: bool) -> None:
    rng = np.random.default_rng(1)
    with virtual_time() as now:
        ours, theirs = entity(1, 2, rng), CfdpPyPeer(2, 1)
        theirs.store.files["file"] = bytearray(60_000)
        ours.store.save("other", bytes(60_000))
        if ours_cancels:
            transaction = ours.put("other", 2, 0)
            units = ours.pdus(1100, 0, 20_000)
            for unit in units:
                theirs.receive(unit)
            assert ours.cancel(transaction, 0)  # type: ignore[arg-type]
        else:
            theirs.put("file", Mode.ACKNOWLEDGED)
            for unit in theirs.units(20):
                ours.receive(unit, 0)
            assert ours.cancel(ours.transactions()[0].id, 0)
        exchange(ours, theirs, 0.0, rng, now)
    assert outcome(ours) == [(Condition.CANCEL_REQUEST, False)]
    assert not ours.busy
    assert not theirs.busy
    assert "file" not in ours.store.names()
