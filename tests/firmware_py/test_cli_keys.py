"""``qiki keys``: a newcomer's first pairing, two computers, and every refusal with a next step and exit code 2."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest
from typer.testing import CliRunner

from comms.dictionary import Authority
from comms.keys import vault
from comms.keys.vault import ScryptCost
from firmware_py.cli.keys import Role, keys_app

PASSPHRASE = "correct horse battery"


def keys(*arguments: object, typed: str | None = None):
    return CliRunner().invoke(keys_app, [str(a) for a in arguments], input=typed, env={"COLUMNS": "80"})


def good(*arguments: object, typed: str | None = None) -> str:
    done = keys(*arguments, typed=typed)
    assert done.exit_code == 0, done.output
    assert max(len(line) for line in done.stdout.splitlines()) <= 80 or {"--json", "export"} & set(arguments)
    return done.stdout


def refused(*arguments: object, typed: str | None = None) -> str:
    done = keys(*arguments, typed=typed)
    assert done.exit_code == 2, done.output
    assert PASSPHRASE not in done.output
    return done.stderr


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in; passphrases are cheap to turn into keys."""
    monkeypatch.setattr(vault, "ScryptCost", lambda *given: ScryptCost(*given) if given else ScryptCost(4, 1, 1))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pass").write_text(PASSPHRASE + "\n")
    (tmp_path / "pass").chmod(0o600)
    return tmp_path


@pytest.fixture
def made(here: Path) -> Path:
    """A craft with a sealing key, and an operator with a passphrase."""
    good("new", "craft", "--craft", "--seal-key", "craft.seal")
    good("new", "ann", "--operator", "ann", "--role", "controller", "--passphrase-file", "pass")
    return here


BOTH = ("--craft-seal-key", "craft.seal", "--operator-passphrase-file", "pass")


def shown(folder: str) -> dict:
    lock = ("--seal-key", "craft.seal") if folder == "craft" else ("--passphrase-file", "pass")
    return json.loads(good("show", folder, *lock, "--json"))


def test_a_newcomer_pairs_in_three_commands(here):
    twice = f"{PASSPHRASE}\n{PASSPHRASE}\n"
    assert "next: qiki keys pair" in good("new", "--craft", "craft", typed=twice)
    good("new", "--operator", "ann", "--role", "controller", "ann", typed=twice)
    told = good("pair", "craft", "ann", typed=twice)
    assert "paired: craft craft and operator ann, controller" in told
    for path in (*(here / "craft").iterdir(), *(here / "ann").iterdir()):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_what_is_shown_is_who_and_never_a_secret(made):
    good("pair", "craft", "ann", *BOTH, "--note", "day shift", "--last-start", "40")
    told = good("show", "craft", "--seal-key", "craft.seal")
    assert "ann" in told
    assert "to start 40" in told
    assert "ann: day shift" in told
    craft, ann = shown("craft"), shown("ann")
    assert craft["peers"][0]["fingerprint"] == ann["fingerprint"]
    assert ann["peers"][0]["fingerprint"] == craft["fingerprint"]
    assert craft["peers"][0]["shared_keys"] == ann["peers"][0]["shared_keys"]
    assert set(craft["peers"][0]) == {"name", "kind", "role", "state", "fingerprint", "public_key", "last_start",
                                      "note", "shared_keys", "audit_public_key"}


def test_without_peers_the_next_step_is_told(made):
    assert "no operator is pinned; next: qiki keys pair" in good("show", "craft", "--seal-key", "craft.seal")


def test_two_computers_pair_by_card_and_invitation(made):
    assert "fingerprint" in good("export", "ann", "--passphrase-file", "pass", "--out", "ann.card")
    print_of_craft = shown("craft")["fingerprint"]
    told = good("pin", "craft", "--seal-key", "craft.seal", "--peer", "ann.card", "--invite", "ann.invite",
                "--fingerprint", shown("ann")["fingerprint"])
    assert "pinned: operator ann, controller" in told
    told = good("pin", "ann", "--passphrase-file", "pass", "--peer", "ann.invite", "--fingerprint", print_of_craft)
    assert "pinned: craft craft, controller" in told
    assert shown("craft")["peers"][0]["shared_keys"] == shown("ann")["peers"][0]["shared_keys"]


def test_a_card_goes_to_standard_output_if_no_file_is_named(made):
    card = json.loads(good("export", "craft", "--seal-key", "craft.seal"))
    assert (card["name"], card["role"]) == ("craft", None)


def test_rotate_gives_a_new_shared_key_and_wipes_the_old(made):
    good("pair", "craft", "ann", *BOTH)
    old = shown("craft")["peers"][0]["shared_keys"]
    assert "the old one is wiped" in good("rotate", "craft", "ann", *BOTH)
    new = shown("ann")["peers"][0]["shared_keys"]
    assert [entry["state"] for entry in new] == ["active", "retired"]
    assert new[1]["id"] == old[0]["id"]


def test_revoke_asks_and_ends_a_peer(made):
    good("pair", "craft", "ann", *BOTH)
    assert "nothing was changed" in refused("revoke", "craft", "--peer", "ann", "--seal-key", "craft.seal", typed="n\n")
    assert shown("craft")["peers"][0]["state"] == "active"
    good("revoke", "craft", "--peer", "ann", "--seal-key", "craft.seal", typed="y\n")
    assert shown("craft")["peers"][0]["state"] == "revoked"
    assert shown("craft")["peers"][0]["shared_keys"] == []
    assert "pair anew" in refused("rotate", "craft", "ann", *BOTH)
    good("revoke", "craft", "--peer", "ann", "--seal-key", "craft.seal", "--forget", "--yes")
    assert shown("craft")["peers"] == []


@pytest.mark.parametrize(("arguments", "told"), [
    (("new", "x"), "--operator NAME --role ROLE"),
    (("new", "x", "--craft", "--operator", "bob"), "--operator NAME --role ROLE"),
    (("new", "x", "--operator", "bob"), "viewer, controller, engineer, safety"),
    (("new", "x", "--craft", "--role", "viewer"), "leave --role away"),
    (("new", "craft", "--craft"), "nothing was changed"),
    (("new", "x", "--craft", "--name", "y" * 33, "--passphrase-file", "pass"), "32 bytes"),
    (("new", "x", "--craft", "--seal-key", "craft.seal", "--passphrase-file", "pass"), "not both"),
    (("new", "x", "--craft", "--seal-key", "no/such/folder/key"), "choose another file"),
    (("show", "nowhere"), "qiki keys new"),
    (("show", "craft"), "--seal-key FILE"),
    (("show", "ann", "--seal-key", "craft.seal"), "leave --seal-key away"),
    (("show", "craft", "--seal-key", "missing"), "No such file"),
    (("show", "craft", "--seal-key", "pass"), "64 hexadecimal digits"),
    (("pair", "craft", "ann"), "--craft-seal-key FILE"),
    (("pair", "ann", "craft", "--craft-passphrase-file", "pass", "--operator-seal-key", "craft.seal"),
     "give the craft's folder first"),
    (("rotate", "craft", "ann", *BOTH), "nobody"),
    (("revoke", "craft", "--peer", "bob", "--seal-key", "craft.seal"), "'bob' is not pinned"),
    (("pin", "craft", "--peer", "missing", "--seal-key", "craft.seal"), "qiki keys export"),
    (("pin", "craft", "--peer", "pass", "--seal-key", "craft.seal", "--invite", "i"), "this is no card"),
    (("export", "ann", "--passphrase-file", "pass", "--out", "no/such/folder"), "choose another file"),
])
def test_bad_input_is_told_with_what_to_do(made, arguments, told):
    assert told in refused(*arguments)


def test_a_wrong_passphrase_and_a_wrong_sealing_key_are_told(made):
    assert "wrong passphrase" in refused("show", "ann", typed="another passphrase\n")
    good("new", "other", "--craft", "--seal-key", "other.seal")
    assert "wrong passphrase or sealing key" in refused("show", "craft", "--seal-key", "other.seal")
    assert "characters" in refused("new", "x", "--craft", typed="short\nshort\n")


def test_files_that_others_may_read_are_refused(made):
    (made / "pass").chmod(0o644)
    assert "chmod 600 pass" in refused("show", "ann", "--passphrase-file", "pass")
    for path in (made / "craft").iterdir():
        path.chmod(0o644)
    assert "chmod 700 craft" in refused("show", "craft", "--seal-key", "craft.seal")


def test_damaged_files_are_told(made):
    for path in (made / "craft").iterdir():
        data = bytearray(path.read_bytes())
        data[-1] ^= 1
        path.write_bytes(data)
    assert "damaged" in refused("show", "craft", "--seal-key", "craft.seal")


def test_an_invitation_needs_a_file_and_a_fingerprint_that_fits(made):
    good("export", "ann", "--passphrase-file", "pass", "--out", "ann.card")
    lock = ("--seal-key", "craft.seal")
    assert "--invite FILE" in refused("pin", "craft", *lock, "--peer", "ann.card")
    assert "not the one you gave" in refused("pin", "craft", *lock, "--peer", "ann.card", "--invite", "i",
                                             "--fingerprint", "1234")
    assert shown("craft")["peers"] == []


def test_a_sealing_key_beside_its_keys_is_warned_of(made):
    done = keys("new", "third", "--craft", "--seal-key", "third.seal")
    assert done.stderr == ""
    (made / "fourth").mkdir(mode=0o700)
    assert "better keep it elsewhere" in keys("new", "fourth", "--craft", "--seal-key", "fourth/seal").stderr


@pytest.mark.parametrize("command", ["new", "show", "pair", "export", "pin", "rotate", "revoke"])
def test_every_command_shows_an_example(command):
    assert f"qiki keys {command}" in good(command, "--help")


def test_roles_on_the_command_line_are_those_of_the_dictionary() -> None:
    assert [role.value for role in Role] == [role.value for role in Authority]
