"""The keeper of the parameters: read at boot, staged, made active whole, gone back from, and never in the way."""

from __future__ import annotations

import numpy as np
import pytest

from comms.dictionary import Authority
from comms.parameters import (
    SCHEMA,
    Effect,
    Parameter,
    ParameterKind,
    ParameterSets,
    Schema,
    Value,
    decode,
    encode,
)
from fdir.codes import Code
from firmware_py.journal import NoJournal
from firmware_py.parameters import PARAMETER_SLOT, ParameterKeeper
from hal.nonvolatile import FileMemory, NonVolatile, Transfer, wait_for
from hil.disk import SimDisk

SAFETY, ENGINEER, CONTROLLER = Authority.SAFETY, Authority.ENGINEER, Authority.CONTROLLER
TICK = 50_000_000
SMALL = Schema((
    Parameter(1, "share", ParameterKind.NUMBER, "1", 1.0, CONTROLLER, Effect.AT_ONCE, "", 0.5, 2.0),
    Parameter(2, "deep", ParameterKind.NUMBER, "m", 1.0, SAFETY, Effect.NEXT_COMMAND, "", 0.5, 2.0),
    Parameter(3, "later", ParameterKind.INTEGER, "-", 3, CONTROLLER, Effect.NEXT_BOOT, "", 1, 5),
    Parameter(4, "on", ParameterKind.FLAG, "-", True, CONTROLLER, Effect.AT_ONCE, ""),
))
NEW_DISK = object()


class Craft:
    """A keeper, what it put to work, and the disk that outlives both."""

    def __init__(self, memory: NonVolatile | SimDisk | object | None = NEW_DISK, schema: Schema = SMALL) -> None:
        self.disk = SimDisk(np.random.default_rng(1)) if memory is NEW_DISK else memory
        self.work: dict[str, Value] = {}
        self.refuses = ""
        self.journal = NoJournal()
        keeping = FileMemory(self.disk) if isinstance(self.disk, SimDisk) else self.disk
        self.keeper = ParameterKeeper(keeping, self.journal, self.apply, schema)  # type: ignore[arg-type]
        self.now_ns = 0

    def apply(self, name: str, value: Value) -> None:
        if name == self.refuses:
            raise ValueError("cannot be done")
        self.work[name] = value

    def boot(self) -> Craft:
        self.keeper.begin(0)
        return self.step()

    def step(self, count: int = 3) -> Craft:
        for _ in range(count):
            self.now_ns += TICK
            self.keeper.step(self.now_ns)
        return self

    def again(self, schema: Schema = SMALL) -> Craft:
        return Craft(self.disk, schema).boot()

    def set(self, *pairs: tuple[str, str]) -> Craft:
        for name, text in pairs:
            assert self.keeper.set(name, text, SAFETY) == ()
        return self

    def events(self) -> list[tuple[str, str]]:
        return [(code, text) for _, code, _, text in self.journal.events]

    @property
    def kept(self) -> ParameterSets:
        assert isinstance(self.disk, SimDisk)
        payload = wait_for(FileMemory(self.disk).load(PARAMETER_SLOT, 0)).payload
        return ParameterSets() if payload is None else decode(payload).sets


def test_a_craft_on_which_nothing_was_set_flies_the_defaults_without_a_word() -> None:
    craft = Craft().boot()
    assert craft.keeper.ready
    assert craft.keeper.values == {"share": 1.0, "deep": 1.0, "later": 3, "on": True}
    assert craft.work == {}
    assert craft.events() == []
    assert craft.disk.names() == []  # type: ignore[union-attr]


def test_staging_is_kept_and_changes_nothing() -> None:
    craft = Craft().boot().set(("share", "1.5"))
    assert craft.work == {}
    assert craft.events() == [(Code.PARAM_STAGED, "share 1.5")]
    assert craft.step().kept.staged == {1: 1.5}
    assert craft.again().keeper.sets.staged == {1: 1.5}


def test_what_is_activated_counts_at_once_and_is_stored_behind_it() -> None:
    craft = Craft().boot().set(("share", "1.5"), ("on", "false"))
    assert craft.keeper.activate(SAFETY) == ()
    assert craft.work == {"share": 1.5, "on": False}
    assert craft.keeper.busy
    assert craft.events()[-1] == (Code.PARAM_ACTIVATED, "set 1: share 1.5, on false")
    craft.step()
    assert not craft.keeper.busy
    after = craft.again()
    assert after.work == {"share": 1.5, "on": False}
    assert after.events() == [(Code.PARAM_ACTIVATED, "set 1 as kept: share 1.5, on false")]


def test_what_counts_from_the_next_start_waits_for_it() -> None:
    craft = Craft().boot().set(("later", "5"))
    craft.keeper.activate(SAFETY)
    assert craft.work == {}
    assert craft.keeper.values["later"] == 5
    assert craft.events()[-1] == (Code.PARAM_ACTIVATED, "set 1: later 5 from the next start")
    assert craft.step().again().work == {"later": 5}


def test_going_back_puts_the_values_before_to_work() -> None:
    craft = Craft().boot().set(("share", "1.5"))
    craft.keeper.activate(SAFETY)
    assert craft.keeper.rollback(SAFETY) == ()
    assert craft.work == {"share": 1.0}
    assert craft.events()[-1] == (Code.PARAM_ROLLED_BACK, "set 2: share 1")
    assert craft.step().again().events() == []


def test_the_default_may_be_set() -> None:
    craft = Craft().boot().set(("share", "1.5"))
    craft.keeper.activate(SAFETY)
    craft.set(("share", "default"))
    craft.keeper.activate(SAFETY)
    assert craft.work == {"share": 1.0}
    assert craft.keeper.sets.active == {}


def test_an_activation_that_changes_no_value_says_so() -> None:
    craft = Craft().boot().set(("share", "1"))
    craft.keeper.activate(SAFETY)
    assert craft.events()[-1] == (Code.PARAM_ACTIVATED, "set 1: no value differs")


@pytest.mark.parametrize(("name", "text", "who", "code", "said"), [
    ("share", "3", SAFETY, Code.PARAM_INVALID, "share is 3; allowed: 0.5..2"),
    ("none", "3", SAFETY, Code.PARAM_INVALID, "no parameter 'none'; parameters: share, deep, later, on"),
    ("deep", "2", ENGINEER, Code.CMD_UNAUTHORIZED, "deep takes the authority safety or higher, not engineer"),
])
def test_what_may_not_be_staged_is_refused(name: str, text: str, who: Authority, code: Code, said: str) -> None:
    craft = Craft().boot()
    assert craft.keeper.set(name, text, who) == (code,)
    assert craft.events() == [(code, said)]
    assert craft.step().disk.names() == []  # type: ignore[union-attr]


def test_what_may_not_be_activated_is_refused_and_told() -> None:
    craft = Craft().boot()
    assert craft.keeper.activate(SAFETY) == (Code.PARAM_INVALID,)
    assert craft.keeper.rollback(SAFETY) == (Code.PARAM_INVALID,)
    craft.set(("deep", "2"))
    assert craft.keeper.activate(ENGINEER) == (Code.CMD_UNAUTHORIZED,)
    assert craft.work == {}
    craft.keeper.activate(SAFETY)
    assert craft.keeper.rollback(ENGINEER) == (Code.CMD_UNAUTHORIZED,)
    assert craft.work == {"deep": 2.0}


def test_a_value_that_its_taker_refuses_is_told_and_the_others_count() -> None:
    craft = Craft().boot().set(("share", "1.5"), ("deep", "2"))
    craft.refuses = "share"
    craft.keeper.activate(SAFETY)
    assert craft.work == {"deep": 2.0}
    assert craft.keeper.values["share"] == 1.0
    assert (Code.PARAM_INVALID, "share: cannot be done; the value before stays at work") in craft.events()
    after = Craft(craft.step().disk)
    after.refuses = "share"
    after.boot()
    assert after.keeper.ready
    assert after.work == {"deep": 2.0}


# -- memories


def test_without_a_memory_everything_works_until_the_next_start() -> None:
    craft = Craft(None)
    assert craft.keeper.ready
    craft.boot().set(("share", "1.5"))
    assert craft.keeper.activate(SAFETY) == ()
    assert craft.work == {"share": 1.5}
    assert craft.events()[-1][1] == "set 1: share 1.5; not kept: this craft has no memory for it"
    assert not craft.keeper.busy


def spoiled(craft: Craft, *names: str) -> Craft:
    disk = craft.step().disk
    assert isinstance(disk, SimDisk)
    for name in names:
        handle = disk.create(name)
        disk.write(handle, b"not whole")
        disk.sync(handle)
    return craft.again()


def changed_twice() -> Craft:
    craft = Craft().boot().set(("share", "1.5"))
    craft.keeper.activate(SAFETY)
    return craft.step()


def test_a_corrupt_copy_falls_back_to_the_other() -> None:
    after = spoiled(changed_twice(), "slot1b.bin")
    assert after.keeper.sets.staged == {1: 1.5}, "the copy before the activation"
    assert after.work == {}
    craft = changed_twice()
    assert spoiled(craft, "slot1a.bin").work == {"share": 1.5}


def test_two_corrupt_copies_fly_the_defaults_say_so_and_are_mended() -> None:
    after = spoiled(changed_twice(), "slot1a.bin", "slot1b.bin")
    assert after.keeper.ready
    assert after.work == {}
    assert after.events() == [(Code.PARAM_INVALID, "defaults are flown: slot 1 has no whole copy")]
    after.set(("share", "2"))
    after.keeper.activate(SAFETY)
    assert after.step().again().work == {"share": 2.0}


def test_what_is_whole_but_none_of_ours_flies_the_defaults_and_stays_until_something_is_set() -> None:
    craft = Craft()
    other = b"another software's"
    assert isinstance(craft.disk, SimDisk)
    wait_for(FileMemory(craft.disk).store(PARAMETER_SLOT, other, 0))
    craft.boot()
    assert craft.events()[0][0] == Code.PARAM_INVALID
    assert craft.events()[0][1].startswith("defaults are flown: the stored parameters are not readable")
    assert wait_for(FileMemory(craft.disk).load(PARAMETER_SLOT, 0)).payload == other
    craft.set(("share", "2")).step()
    assert craft.kept.staged == {1: 2.0}


def test_a_kept_value_that_is_not_allowed_any_more_has_its_default_alone() -> None:
    craft = Craft().boot().set(("share", "2"), ("on", "false"))
    craft.keeper.activate(SAFETY)
    share = Parameter(1, "share", ParameterKind.NUMBER, "1", 1.0, CONTROLLER, Effect.AT_ONCE, "", 0.5, 1.5)
    after = craft.step().again(Schema((share, *SMALL.parameters[1:])))
    assert after.work == {"on": False}
    assert after.events() == [
        (Code.PARAM_INVALID, "share is 2; allowed: 0.5..1.5; its default 1 is used"),
        (Code.PARAM_ACTIVATED, "stored by software with other parameters or ranges"),
        (Code.PARAM_ACTIVATED, "set 1 as kept: on false"),
    ]


class Memory:
    """A memory that answers as it is told."""

    name, slots = "told", 8

    def __init__(self, capacity: int = 512) -> None:
        self.capacity = capacity
        self.loading, self.storing = Transfer(lambda _now_ns: None), Transfer(lambda _now_ns: None)
        self.stored: list[bytes] = []

    def load(self, slot: int, now_ns: int) -> Transfer:
        assert slot == PARAMETER_SLOT
        return self.loading

    def store(self, slot: int, payload: bytes, now_ns: int) -> Transfer:
        assert slot == PARAMETER_SLOT
        self.stored.append(payload)
        self.storing = Transfer(lambda _now_ns: None)
        return self.storing


def test_nothing_is_changed_while_what_is_kept_is_still_being_read() -> None:
    memory = Memory()
    craft = Craft(memory).boot()
    assert not craft.keeper.ready
    assert craft.keeper.set("share", "1.5", SAFETY) == (Code.PARAM_STORE_FAILED,)
    assert craft.events() == [
        (Code.PARAM_STORE_FAILED, "what is kept is still being read; try again in some seconds"),
    ]
    memory.loading.end()
    craft.step().set(("share", "1.5"))
    assert len(memory.stored) == 1


def test_a_memory_that_does_not_answer_flies_the_defaults_and_is_not_written_to() -> None:
    memory = Memory()
    craft = Craft(memory).boot()
    memory.loading.end(error="no answer in time")
    craft.step()
    assert craft.events() == [(Code.PARAM_INVALID, "defaults are flown: no answer in time")]
    craft.set(("share", "1.5"))
    assert craft.events()[1:] == [
        (Code.PARAM_STORE_FAILED, "not stored: no answer in time"), (Code.PARAM_STAGED, "share 1.5"),
    ]
    craft.keeper.activate(SAFETY)
    assert craft.work == {"share": 1.5}
    assert memory.stored == []
    assert not craft.keeper.busy


def test_one_store_is_under_way_at_a_time_and_the_newest_sets_are_stored_last() -> None:
    memory = Memory()
    craft = Craft(memory)
    memory.loading.end()
    craft.boot().set(("share", "1.5"), ("on", "false"), ("later", "2"))
    assert [decode(payload).sets.staged for payload in memory.stored] == [{1: 1.5}]
    memory.storing.end()
    craft.step()
    assert [decode(payload).sets.staged for payload in memory.stored] == [{1: 1.5}, {1: 1.5, 4: False, 3: 2}]
    assert craft.keeper.busy
    memory.storing.end()
    craft.step()
    assert not craft.keeper.busy


def test_a_store_that_fails_is_told_of_and_the_values_stay_at_work() -> None:
    memory = Memory()
    craft = Craft(memory)
    memory.loading.end()
    craft.boot().set(("share", "1.5"))
    craft.keeper.activate(SAFETY)
    memory.storing.end(error="No space left on device")
    craft.step()
    assert (Code.PARAM_STORE_FAILED, "not stored: No space left on device") in craft.events()
    assert craft.keeper.values["share"] == 1.5


def test_sets_that_the_memory_cannot_take_are_refused_whole() -> None:
    full = len(encode(ParameterSets(staged={1: 1.5}), SMALL))
    memory = Memory(full)
    memory.loading.end()
    craft = Craft(memory).boot().set(("share", "1.5"))
    assert craft.keeper.set("deep", "1.5", SAFETY) == (Code.PARAM_STORE_FAILED,)
    assert craft.events()[-1][1] == f"the sets take {full + 10} bytes, the memory {full}"
    assert craft.keeper.sets.staged == {1: 1.5}


def test_the_schema_that_ships_is_flown_by_default() -> None:
    keeper = ParameterKeeper(None, NoJournal(), lambda _name, _value: None)
    assert keeper.schema is SCHEMA
    assert keeper.values == SCHEMA.defaults
