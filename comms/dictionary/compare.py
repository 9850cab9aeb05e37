"""Two dictionaries held against each other: every difference is named, and whether old and new still get along.

Incompatible is what would let one end mean another thing than the other, or refuse what was fine before: an id that
goes, moves or is used again, a type or unit that changes, a range that narrows, an argument that becomes needed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from comms.dictionary.types import Authority

__all__ = ["Difference", "compare"]

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Difference:
    """One difference: where, what, and whether old and new get along with it."""

    where: str
    what: str
    compatible: bool


def compare(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[Difference, ...]:
    """Every difference of meaning between two exported dictionaries; texts for people don't count.

    Raises:
        ValueError: one of them is no dictionary in this format.
    """
    try:
        return tuple(_compare(old, new))
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"no dictionary in format {new.get('format')}: {error!r}") from None


def _compare(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Difference]:
    if old["format"] != new["format"]:
        yield Difference("format", f"{old['format']} is now {new['format']}", False)
    for table, same in (
        ("commands", _command), ("telemetry", _channel), ("layouts", _layout), ("events", _nothing),
        ("parameters", _parameter), ("messages", _message),
    ):
        yield from _table(table, old[table], new[table], same)
    for table in ("severities", "stages"):
        yield from _numbers(table, old[table], new[table])


def _table(table: str, old: Sequence[Row], new: Sequence[Row], same: Any) -> Iterator[Difference]:
    """Rows by name; an id belongs to its name for ever."""
    was, now = {row["name"]: row for row in old}, {row["name"]: row for row in new}
    owners = {row["id"]: row["name"] for row in old}
    for name, row in was.items():
        where = f"{table}: {name}"
        if name not in now:
            yield Difference(where, f"id {row['id']} is gone", False)
        elif table != "layouts" and now[name]["id"] != row["id"]:
            yield Difference(where, f"id {row['id']} is now {now[name]['id']}", False)
    for name, row in now.items():
        where = f"{table}: {name}"
        if owners.get(row["id"], name) != name:
            yield Difference(where, f"id {row['id']} was that of {owners[row['id']]}", False)
        if name not in was:
            yield Difference(where, f"new, id {row['id']}", True)
        else:
            for what, compatible in same(was[name], row):
                yield Difference(where, what, compatible)


def _numbers(table: str, old: Mapping[str, int], new: Mapping[str, int]) -> Iterator[Difference]:
    for word, number in old.items():
        if new.get(word) != number:
            yield Difference(f"{table}: {word}", f"{number} is now {new.get(word)}", False)
    for word, number in new.items():
        if word not in old:
            taken = number in old.values()
            yield Difference(f"{table}: {word}", f"new, {number}", not taken)


Changes = Iterator[tuple[str, bool]]


def _nothing(_old: Row, _new: Row) -> Changes:
    yield from ()


def _changed(old: Row, new: Row, *keys: str) -> Changes:
    for key in keys:
        if old[key] != new[key]:
            yield f"{key} {old[key]} is now {new[key]}", False


def _command(old: Row, new: Row) -> Changes:
    yield from _changed(old, new, "class", "one_of")
    yield from _authority(old, new)
    yield from _arguments("argument", old["arguments"], new["arguments"])


def _channel(old: Row, new: Row) -> Changes:
    yield from _changed(old, new, "kind", "unit", "form")


def _layout(old: Row, new: Row) -> Changes:
    yield from _changed(old, new, "id", "channels")
    if old["rate_hz"] != new["rate_hz"]:
        yield f"rate_hz {old['rate_hz']} is now {new['rate_hz']}", True


def _message(old: Row, new: Row) -> Changes:
    yield from _changed(old, new, "fields")


def _parameter(old: Row, new: Row) -> Changes:
    yield from _changed(old, new, "kind", "unit")
    yield from _authority(old, new)
    yield from _allowed("", old, new)
    for key in ("default", "effect"):
        if old[key] != new[key]:
            yield f"{key} {old[key]} is now {new[key]}", True


def _authority(old: Row, new: Row) -> Changes:
    if old["authority"] != new["authority"]:
        lower = Authority(old["authority"]).covers(Authority(new["authority"]))
        yield f"authority {old['authority']} is now {new['authority']}", lower


def _arguments(what: str, old: Sequence[Row], new: Sequence[Row]) -> Changes:
    """By position: what was there must stay where it was; more may only follow, and only optional."""
    for place, argument in enumerate(old):
        if place >= len(new):
            yield f"{what} {argument['name']} is gone", False
        elif new[place]["name"] != argument["name"]:
            yield f"{what} {place + 1} was {argument['name']} and is now {new[place]['name']}", False
        else:
            yield from _argument(f"{what} {argument['name']}: ", argument, new[place])
    for argument in new[len(old):]:
        needed = "needed" if argument["required"] else "optional"
        yield f"{what} {argument['name']} is new and {needed}", not argument["required"]


def _argument(where: str, old: Row, new: Row) -> Changes:
    for what, compatible in _changed(old, new, "kind", "unit"):
        yield where + what, compatible
    if old["required"] != new["required"]:
        yield where + ("is now needed" if new["required"] else "is no longer needed"), old["required"]
    yield from _allowed(where, old, new)
    for what, compatible in _arguments("key", old["fields"], new["fields"]):
        # The digest of a command's places covers the keys of its records, so these may not even grow.
        yield where + what, False if "is new" in what else compatible


def _allowed(where: str, old: Row, new: Row) -> Changes:
    """A range or a set of choices may only grow."""
    for key, sign in (("low", -1), ("high", 1)):
        was, now = old[key], new[key]
        if was != now:
            wider = now is None or (was is not None and sign * now >= sign * was)
            yield f"{where}{key} {was} is now {now}", wider
    gone = [choice for choice in old["choices"] if choice not in new["choices"]]
    more = [choice for choice in new["choices"] if choice not in old["choices"]]
    if gone or (more and not old["choices"]):
        yield f"{where}choices no longer: {', '.join(gone) or 'any'}", False
    if more and old["choices"]:
        yield f"{where}choices more: {', '.join(more)}", True
