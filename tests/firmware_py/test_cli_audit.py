"""``qiki audit``: an intact log, a damaged one, and requests that can't be done, each with its exit code."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from comms.watch.audit import AuditLog
from comms.watch.audit_record import AuditClass, AuditEvent, AuditSeverity, Head
from comms.watch.signing import AuditSigner
from firmware_py.cli.audit import audit_app
from hal.nonvolatile import FolderFiles

SECOND = 10**9
SIGNER = AuditSigner(bytes(range(32)))
KEY = SIGNER.public_key.hex()


def audit(*arguments: object):
    return CliRunner().invoke(audit_app, [str(a) for a in arguments], env={"COLUMNS": "160"})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "audit"


@pytest.fixture
def head(folder: Path) -> Head:
    log = AuditLog(FolderFiles(folder), SIGNER, 1, 0)
    for number in range(100):
        log.append(AuditEvent(AuditClass.ACK, number * SECOND, "desk", command_id=f"c{number}"), number * SECOND)
    log.append(AuditEvent(
        AuditClass.BAYONET_STATE_TRANSITION, 100 * SECOND, "dock", previous="open", new="closed",
        codes=("BAYONET_UNSAFE",), operator="ann", bayonet="north", severity=AuditSeverity.CRITICAL, blackbox=True,
        more={"tries": 2},
    ), 100 * SECOND)
    return log.close(101 * SECOND)


def test_an_intact_log_is_told_with_its_last_signature_and_heads(folder: Path, head: Head):
    result = audit("verify", folder, "--key", KEY, "--head", head.encode().hex())
    assert result.exit_code == 0
    assert result.output == "intact: 102 records, signed up to record 63, 1 of 1 heads agree\n"


def test_key_and_head_may_be_files(folder: Path, head: Head, tmp_path: Path):
    key, held = tmp_path / "craft.pub", tmp_path / "last.head"
    key.write_text(KEY + "\n")
    held.write_text(head.encode().hex() + "\n")
    assert audit("verify", folder, "--key", key, "--head", held).exit_code == 0


def test_without_a_key_the_chain_alone_is_checked(folder: Path, head: Head):
    result = audit("verify", folder / "audit000.log")
    assert result.exit_code == 0
    assert "signatures were not checked" in result.output


def test_a_damaged_log_is_told_with_record_and_kind(folder: Path, head: Head):
    file = folder / "audit000.log"
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    result = audit("verify", folder, "--key", KEY)
    assert result.exit_code == 1
    assert result.output.startswith("DAMAGED: edited record ")
    told = json.loads(audit("verify", folder, "--json").output)
    assert (told["intact"], told["finding"]["damage"], told["finding"]["file"]) == (False, "edited", "audit000.log")


def test_a_cut_shows_against_a_head(folder: Path, head: Head):
    file = folder / "audit000.log"
    file.write_bytes(file.read_bytes()[:-60])
    assert audit("verify", folder, "--key", KEY).exit_code == 0
    result = audit("verify", folder, "--key", KEY, "--head", head.encode().hex())
    assert result.exit_code == 1
    assert "truncated" in result.output


def test_another_key_is_told(folder: Path, head: Head):
    result = audit("verify", folder, "--key", "00" * 32)
    assert result.exit_code == 1
    assert "forged" in result.output


def test_records_are_shown_newest_last(folder: Path, head: Head):
    result = audit("show", folder, "--last", 3)
    assert result.exit_code == 0
    lines = result.output.splitlines()
    assert lines[-1] == "3 records"
    assert "bayonet_state_transition" in lines[-2]
    assert "operator ann, bayonet north, open -> closed, BAYONET_UNSAFE, tries=2, black box" in lines[-2]
    told = json.loads(audit("show", folder, "--class", "ACK", "--last", 1, "--json").output)
    assert told[0]["event_id"] == 100
    assert told[0]["command_id"] == "c99"


@pytest.mark.parametrize(("arguments", "words"), [
    (("verify", "nowhere"), "can't be read"),
    (("verify", "."), "there is no audit*.log"),
    (("verify", "FOLDER", "--key", "12"), "64 hex digits"),
    (("verify", "FOLDER", "--key", "no key"), "neither a public key"),
    (("verify", "FOLDER", "--head", "00"), "no head"),
    (("show", "FOLDER", "--class", "nothing"), "no class"),
    (("show", "OTHER"), "no file of an audit log"),
])
def test_what_cannot_be_done_is_refused_with_a_next_step(
    arguments: tuple[str, ...], words: str, folder: Path, head: Head, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    other = tmp_path / "other.txt"
    other.write_text("something else")
    names = {"FOLDER": folder, "OTHER": other}
    result = audit(*(names.get(argument, argument) for argument in arguments))
    assert result.exit_code == 2
    assert words in result.output
    assert "next:" in result.output
