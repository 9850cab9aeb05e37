"""Guard rules: the shipped file says what CANON section 13 says; refusals name file, line, key and what may be."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from fdir.codes import Code, Severity
from fdir.guard_rules import (
    EVENTS,
    FORGET_S,
    MAX_RULES,
    GuardRule,
    Iff,
    TransponderMode,
    Trigger,
    find_guard_rules,
    load_guard_rules,
)
from hal.profile import ConfigError

HEAD = "schema_version: 1\nrules:\n"
RULE = "  - id: NEAR\n    title: Near\n    severity: info\n    max_range_m: 10\n"


def load(folder: Path, text: str):
    path = folder / "rules.yaml"
    path.write_text(text, encoding="utf-8")
    return load_guard_rules(path)


def with_keys(*keys: str) -> str:
    return HEAD + RULE + "".join(f"    {key}\n" for key in keys)


def refusal(folder: Path, text: str) -> str:
    with pytest.raises(ConfigError) as refused:
        load(folder, text)
    assert refused.value.file == str(folder / "rules.yaml")
    return str(refused.value).removeprefix(f"{folder}/")


def test_the_shipped_rules_are_those_of_the_canon() -> None:
    table = load_guard_rules()
    shown = [
        (r.id, r.severity, r.fsm_event, r.iff, r.require_transponder_on, r.allowed_transponder_modes, r.min_range_m,
         r.max_range_m, r.min_quality, r.min_duration_s, r.cooldown_s, r.hysteresis_m, r.trigger)
        for r in table.rules[:4]
    ]
    spoof, lost, here = (TransponderMode.SPOOF,), Trigger.LOST, Trigger.PRESENT
    assert shown == [
        ("UNKNOWN_CONTACT_CLOSE", "critical", Code.RADAR_ALERT_UNKNOWN_CLOSE, Iff.UNKNOWN, None, (), 0, 70, 0.2, 0, 60,
         5, here),
        ("FOE_TRANSPONDER_OFF_APPROACH", "critical", Code.RADAR_ALERT_FOE_APPROACH, Iff.FOE, False, (), 0, 150, 0.1, 0,
         60, 5, here),
        ("SPOOFING_DETECTED", "warning", Code.RADAR_ALERT_SPOOF, None, None, spoof, 0, 500, 0, 0, 60, 10, here),
        ("RADAR_SIGNAL_LOSS", "warning", Code.RADAR_SIGNAL_LOSS, None, None, (), 0, 300, 0, 2, 10, 0, lost),
    ]
    threat = table.rules[4]
    assert (threat.id, threat.severity, threat.fsm_event, threat.trigger) == (
        "COLLISION_THREAT", Severity.CRITICAL, None, Trigger.THREAT
    )
    assert (threat.max_range_m, threat.min_quality, threat.max_radial_velocity_mps) == (1000, 0.2, -0.6)
    assert (threat.min_frames, threat.min_duration_s, threat.cooldown_s, threat.hysteresis_m) == (3, 0, 5, 0)
    assert [rule.spare_passing for rule in table.rules] == [False, False, False, False, True]
    assert len(table.rules) == 5
    assert all(rule.description and rule.action_required for rule in table.rules)


def test_the_digest_is_that_of_the_file() -> None:
    path = find_guard_rules()
    assert path.name == "guard_rules.yaml"
    assert load_guard_rules().digest == "sha256:" + hashlib.sha256(path.read_bytes()).hexdigest()
    assert load_guard_rules(path) == load_guard_rules()


def test_what_is_left_out_is_not_asked(tmp_path: Path) -> None:
    assert load(tmp_path, with_keys()).rules == (
        GuardRule(
            id="NEAR", title="Near", severity=Severity.INFO, max_range_m=10.0, min_range_m=0.0, description="",
            action_required="", fsm_event=None, iff=None, require_transponder_on=None, allowed_transponder_modes=(),
            min_quality=0.0, max_radial_velocity_mps=None, min_duration_s=0.0, cooldown_s=2.0, hysteresis_m=0.0,
            trigger=Trigger.PRESENT, min_frames=1, spare_passing=False,
        ),
    )


def test_events_are_the_codes_of_the_radar() -> None:
    assert set(EVENTS) == {code for code in Code if code.value[:6] == "RADAR_"}
    assert Code.RADAR_SIGNAL_LOSS in EVENTS
    assert Code.BAT_LOW not in EVENTS


@pytest.mark.parametrize("keys", [
    ("min_range_m: 9.999",), ("min_quality: 0",), ("min_quality: 1",), ("hysteresis_m: 0",),
    ("min_duration_s: 0",), ("min_duration_s: 300",), ("cooldown_s: 0",), ("cooldown_s: 300",),
    ("min_frames: 1",), ("min_frames: 100",), ("max_radial_velocity_mps: -3",), ("require_transponder_on: true",),
    ("fsm_event: null",), ("iff: friend",), ("allowed_transponder_modes: ['off', 'on', silent, spoof]",),
    ("trigger: lost", "min_duration_s: 0.001"), ("trigger: threat",), ("trigger: threat", "spare_passing: true"),
    *((f"fsm_event: {code}",) for code in EVENTS),
])
def test_what_may_be_given_is_taken(tmp_path: Path, keys: tuple[str, ...]) -> None:
    rule = load(tmp_path, with_keys(*keys)).rules[0]
    assert rule.id == "NEAR"


BAD_KEYS = [
    (("min_range_m: -0.1",), "7: rules[0].min_range_m: NEAR: is -0.1; 0 or more is allowed"),
    (("hysteresis_m: -1",), "7: rules[0].hysteresis_m: NEAR: is -1; 0 or more is allowed"),
    (("min_range_m: 10",), "6: rules[0].max_range_m: NEAR: is 10; above min_range_m (10) is allowed"),
    (("min_range_m: 11",), "6: rules[0].max_range_m: NEAR: is 10; above min_range_m (11) is allowed"),
    (("min_quality: 1.01",), "7: rules[0].min_quality: NEAR: is 1.01; 0..1 is allowed"),
    (("min_quality: -0.01",), "7: rules[0].min_quality: NEAR: is -0.01; 0..1 is allowed"),
    (("min_duration_s: -1",),
     "7: rules[0].min_duration_s: NEAR: is -1; 0..300 s is allowed, after that a track is forgotten"),
    (("cooldown_s: -1",), "7: rules[0].cooldown_s: NEAR: is -1; 0..300 s is allowed, after that a track is forgotten"),
    (("cooldown_s: 300.5",),
     "7: rules[0].cooldown_s: NEAR: is 300.5; 0..300 s is allowed, after that a track is forgotten"),
    (("min_frames: 0",), "7: rules[0].min_frames: NEAR: is 0; 1..100 is allowed"),
    (("min_frames: 101",), "7: rules[0].min_frames: NEAR: is 101; 1..100 is allowed"),
    (("trigger: lost",),
     "3: rules[0].min_duration_s: NEAR: is 0; a contact is lost after some time: above 0 is needed"),
    (("min_duration_s: 2", "hysteresis_m: 1", "trigger: lost"),
     "9: rules[0].trigger: NEAR: lost takes neither hysteresis_m nor min_frames"),
    (("spare_passing: true",), "7: rules[0].spare_passing: NEAR: is for trigger threat, not for present"),
    (("min_duration_s: 2", "min_frames: 2", "trigger: lost"),
     "9: rules[0].trigger: NEAR: lost takes neither hysteresis_m nor min_frames"),
    (("allowed_transponder_modes: [spoof, spoof]",),
     "7: rules[0].allowed_transponder_modes: NEAR: a mode is given twice"),
    (("hysteresis_m: .inf",), "7: rules[0].hysteresis_m: inf is not a finite number"),
    (("max_radial_velocity_mps: .nan",), "7: rules[0].max_radial_velocity_mps: nan is not a finite number"),
]


@pytest.mark.parametrize(("keys", "told"), BAD_KEYS, ids=[" ".join(keys) for keys, _ in BAD_KEYS])
def test_a_bad_value_is_refused_with_its_place_and_what_is_allowed(tmp_path, keys, told) -> None:
    # Keys begin in line 7; one that is not given has the line of its rule, 3.
    assert refusal(tmp_path, with_keys(*keys)) == f"rules.yaml:{told}"


@pytest.mark.parametrize(("key", "value", "allowed"), [
    ("severity", "fatal", "info, warning, critical"),
    ("iff", "enemy", "friend, foe, unknown"),
    ("trigger", "gone", "present, threat, lost"),
    ("fsm_event", "RADAR_BROKEN", ", ".join(EVENTS)),
])
def test_an_unknown_word_is_refused_with_those_that_are_known(tmp_path, key, value, allowed) -> None:
    rule = RULE.replace("    severity: info\n", "") if key == "severity" else RULE
    line = 6 if key == "severity" else 7
    told = refusal(tmp_path, f"{HEAD}{rule}    {key}: {value}\n")
    assert told == f"rules.yaml:{line}: rules[0].{key}: Invalid enum value '{value}'; allowed: {allowed}"


def test_a_code_that_is_no_radar_event_is_refused(tmp_path: Path) -> None:
    told = refusal(tmp_path, with_keys("fsm_event: BAT_LOW"))
    assert told == f"rules.yaml:7: rules[0].fsm_event: NEAR: is BAT_LOW; allowed: {', '.join(EVENTS)}, or none"


def test_a_bare_on_in_the_modes_is_refused_with_the_cure(tmp_path: Path) -> None:
    told = refusal(tmp_path, with_keys("allowed_transponder_modes: [spoof, on]"))
    assert told == (
        "rules.yaml:7: rules[0].allowed_transponder_modes[1]: Expected `str`, got `bool`; allowed: off, on, silent, "
        "spoof. Put 'on' and 'off' in quotes: bare, YAML takes them for true and false"
    )


def test_an_unknown_mode_is_refused(tmp_path: Path) -> None:
    told = refusal(tmp_path, with_keys("allowed_transponder_modes: [loud]"))
    assert "rules[0].allowed_transponder_modes[0]: Invalid enum value 'loud'; allowed: off, on, silent, spoof" in told


def test_an_unknown_key_is_refused_with_those_that_are_allowed(tmp_path: Path) -> None:
    told = refusal(tmp_path, with_keys("max_speed: 3"))
    keys = ", ".join(GuardRule.__struct_fields__)
    assert told == f"rules.yaml:7: rules[0].max_speed: unknown key; allowed here: {keys}"
    assert refusal(tmp_path, "severity: 3\n" + HEAD + RULE) == (
        "rules.yaml:1: severity: unknown key; allowed here: schema_version, rules"
    )


def test_an_unknown_key_that_ends_like_a_known_one_is_still_unknown(tmp_path: Path) -> None:
    told = refusal(tmp_path, with_keys("other.severity: fatal"))
    assert told.startswith("rules.yaml:7: rules[0].other.severity: unknown key; allowed here: ")
    assert told.endswith("spare_passing")


def test_two_rules_of_one_name_are_refused(tmp_path: Path) -> None:
    second = RULE.replace("NEAR", "OTHER")
    assert len(load(tmp_path, HEAD + RULE + second).rules) == 2
    told = refusal(tmp_path, HEAD + RULE + second + RULE)
    assert told == "rules.yaml:11: rules[2].id: NEAR is given twice, first as rules[0]"


@pytest.mark.parametrize(("text", "told"), [
    ("", "rules.yaml: the file is empty"),
    (HEAD.replace("1", "2") + RULE, "rules.yaml:1: schema_version: "),
    ("schema_version: 1\nrules: []\n", "rules.yaml:2: rules: "),
    ("rules:\n" + RULE, "rules.yaml:1: Object missing required field `schema_version`"),
    (HEAD + RULE.replace("    title: Near\n", ""), "rules.yaml:3: rules[0]: Object missing required field `title`"),
    (HEAD + RULE.replace("    max_range_m: 10\n", ""), "rules.yaml:3: rules[0]: Object missing required field"),
    (HEAD + RULE.replace("NEAR", "near"), "rules.yaml:3: rules[0].id: "),
    (HEAD + RULE.replace("NEAR", "N" * 49), "rules.yaml:3: rules[0].id: "),
    (HEAD + RULE.replace("Near", "''"), "rules.yaml:4: rules[0].title: "),
    (HEAD + RULE.replace("Near", "N" * 81), "rules.yaml:4: rules[0].title: "),
    (HEAD + RULE + f"    description: {'d' * 401}\n", "rules.yaml:7: rules[0].description: "),
    (HEAD + RULE + f"    action_required: {'d' * 161}\n", "rules.yaml:7: rules[0].action_required: "),
    (HEAD + RULE.replace("10", "'10'"), "rules.yaml:6: rules[0].max_range_m: "),
    (HEAD + RULE + "    min_frames: 1.5\n", "rules.yaml:7: rules[0].min_frames: "),
    (HEAD + RULE + "    require_transponder_on: maybe\n", "rules.yaml:7: rules[0].require_transponder_on: "),
    (HEAD + RULE + f"    hysteresis_m: 1{'0' * 400}\n", "rules.yaml:7: rules[0].hysteresis_m: "),
    (HEAD + "  - {id: [}\n", "rules.yaml:3: not YAML: "),
])
def test_a_file_of_another_form_is_refused(tmp_path: Path, text: str, told: str) -> None:
    assert refusal(tmp_path, text).startswith(told)


def test_the_longest_texts_and_most_rules_are_taken(tmp_path: Path) -> None:
    rule = RULE.replace("Near", "N" * 80) + f"    description: {'d' * 400}\n    action_required: {'a' * 160}\n"
    assert len(load(tmp_path, HEAD + rule.replace("NEAR", "N" * 48)).rules[0].id) == 48
    many = [rule.replace("NEAR", f"RULE_{n}") for n in range(MAX_RULES + 1)]
    assert len(load(tmp_path, HEAD + "".join(many[:MAX_RULES])).rules) == MAX_RULES == 16
    assert refusal(tmp_path, HEAD + "".join(many)).startswith("rules.yaml:2: rules: ")


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file"):
        load_guard_rules(tmp_path / "none.yaml")


def test_a_rule_cannot_be_changed() -> None:
    rule = load_guard_rules().rules[0]
    with pytest.raises(AttributeError):
        rule.max_range_m = 1.0


def test_a_track_is_remembered_for_300_s() -> None:
    assert FORGET_S == 300.0
