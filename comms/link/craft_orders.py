"""What the craft's commands tell the link to do: each order of the dictionary has one handler, and ends with a word.

A handler returns ``None`` while what it began goes on, and whether it went well otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from comms.cfdp import TransactionId
from comms.channel_plan import ChannelSpec, QosClass, channel_named
from comms.channels.manager import ChannelRefusal
from comms.dictionary.messages import MOST_ROWS, FileListing, FileRow
from comms.dictionary.wire import encode_message
from comms.emcon import EmconLevel
from comms.flight_port import LinkOrder
from comms.link.fitting import rows_that_fit
from comms.link.sequence_file import SequenceError
from comms.nbl.packet import NblState
from fdir.codes import Code, Severity

if TYPE_CHECKING:
    from comms.link.craft import CraftLink

__all__ = ["ORDERS", "Ended", "carry_out"]

Ended = tuple[bool, str] | None
"""Whether an order has ended well, and words; ``None``: it goes on."""
Handler = Callable[["CraftLink", LinkOrder, int], Ended]
SERVICE = channel_named("service").id
RENEW_NS = 600 * 1_000_000_000


def carry_out(link: CraftLink, order: LinkOrder, now_ns: int) -> Ended:
    """Carry one order out."""
    handler = ORDERS.get(order.name)
    return (False, f"the link has no order {order.name!r}") if handler is None else handler(link, order, now_ns)


def _emcon(link: CraftLink, order: LinkOrder, now_ns: int) -> Ended:
    level = link.emcon.set_level(EmconLevel(int(order.arguments["level"])), now_ns)
    return True, f"level {int(level)}"


def _nbl_send(link: CraftLink, order: LinkOrder, now_ns: int) -> Ended:
    if link.emergency is None or link.state is None:
        return False, Code.NBL_NOT_IMPLEMENTED.value
    criticality = order.arguments["criticality"]
    packet = link.emergency.submit(
        order.arguments["payload_class"], criticality, link.state, link.snapshot, link.heard_ns, now_ns, order.number,
        link.last_stage,
    )
    if packet.state is NblState.PACKET_REJECTED:
        return False, ", ".join(code.value for code in packet.reason_codes)
    return None


def _emcon_release(link: CraftLink, _order: LinkOrder, now_ns: int) -> Ended:
    link.emcon.release(now_ns)
    return True, "one critical packet"


def _nbl_set(link: CraftLink, order: LinkOrder, _now_ns: int) -> Ended:
    if link.emergency is None:
        return False, Code.NBL_NOT_IMPLEMENTED.value
    link.emergency.set(order.arguments["enabled"], order.arguments.get("max_w"))
    return True, ""


def _channel_create(link: CraftLink, order: LinkOrder, now_ns: int) -> Ended:
    given = order.arguments
    made: ChannelSpec | None = None
    for end in link.ends.ends:
        qos = QosClass[given["qos"].upper()]
        outcome = end.manager.create_channel(given["kind"], given["end_to_end"], qos, given["name"])
        if isinstance(outcome, ChannelRefusal):
            link.tell(now_ns, Code.CHANNEL_REFUSED, Severity.WARNING, f"{given['name']}: {outcome.text}")
            return False, outcome.text
        made = outcome
        link.tell_channel(end, outcome, True, now_ns)
    if made is None:
        return False, "no peer is connected"
    link.tell(now_ns, Code.CHANNEL_CREATED, Severity.INFO, f"{made.name}: channel {made.id}")
    return True, f"channel {made.id}"


def _channel_close(link: CraftLink, order: LinkOrder, now_ns: int) -> Ended:
    name, closed = order.arguments["name"], False
    for end in link.ends.ends:
        spec = end.manager.named(name)
        if spec is not None and not isinstance(end.manager.close_channel(spec.id), ChannelRefusal):
            link.tell_channel(end, spec, False, now_ns)
            closed = True
    if not closed:
        return False, f"no created channel {name!r}"
    link.tell(now_ns, Code.CHANNEL_CLOSED, Severity.INFO, name)
    return True, ""


def _telemetry_rate(link: CraftLink, order: LinkOrder, _now_ns: int) -> Ended:
    why = link.set_rate(order.arguments["group"], order.arguments["rate_hz"])
    return not why, why


def _file_send(link: CraftLink, order: LinkOrder, now_ns: int) -> Ended:
    asked_by = order.sender.partition("/")[0]
    # What the craft itself asks for goes to whoever was heard last; what a peer asks for, to nobody else.
    end = link.newest_end(asked_by) or (None if link.is_peer(asked_by) else link.newest_end())
    if end is None:
        return False, "nobody is connected that it could be sent to"
    outcome = link.files.send(order.arguments["name"], end.peer, order.number, now_ns)
    return None if isinstance(outcome, TransactionId) else (False, outcome.value)


def _file_list(link: CraftLink, _order: LinkOrder, now_ns: int) -> Ended:
    names = sorted(link.files.store.names().items())
    for end in link.ends.ends:
        first, left = 0, tuple(FileRow(name, size) for name, size in names)
        while left or not first:
            def listing(rows: Sequence[FileRow], at: int = first) -> bytes:
                return encode_message(FileListing(at, len(names), tuple(rows)))

            page, count = rows_that_fit(left[:min(16, MOST_ROWS)], end.longest, listing)
            end.put(SERVICE, page, now_ns)
            first, left = first + max(1, count), left[count:]
    return True, f"{len(names)} files"


def _file_delete(link: CraftLink, order: LinkOrder, _now_ns: int) -> Ended:
    name = order.arguments["name"]
    if name not in link.files.store.names():
        return False, "no such file"
    refusal = link.files.store.remove(name)
    return refusal is None, "" if refusal is None else refusal.value


def _of_transaction(act: str) -> Handler:
    def handle(link: CraftLink, order: LinkOrder, now_ns: int) -> Ended:
        found = link.files.numbered(int(order.arguments["transaction"]))
        if found is None:
            return False, "no such transfer"
        return bool(getattr(link.files.entity, act)(found, now_ns)), ""

    return handle


def _sequence_load(link: CraftLink, order: LinkOrder, now_ns: int) -> Ended:
    data = link.files.store.read(order.arguments["name"])
    if not isinstance(data, bytes):
        return False, data.value
    try:
        name = link.sequences.load(data, order.authority)
    except SequenceError as error:
        link.tell(now_ns, Code.SEQUENCE_REFUSED, Severity.WARNING, str(error)[:160])
        return False, str(error)[:160]
    return True, name


def _sequence_start(link: CraftLink, order: LinkOrder, now_ns: int) -> Ended:
    why = link.sequences.start(order.arguments["name"], order.authority, order.sender, link.start, now_ns)
    if why:
        link.tell(now_ns, Code.SEQUENCE_REFUSED, Severity.WARNING, why)
    return not why, why


def _sequence_stop(link: CraftLink, order: LinkOrder, now_ns: int) -> Ended:
    stopped = link.sequences.stop(now_ns, f"by order {order.number}")
    return stopped, "" if stopped else "no sequence runs"


def _key_renew(link: CraftLink, order: LinkOrder, now_ns: int) -> Ended:
    peer = order.sender.partition("/")[0]
    link.renewals = {name: until_ns for name, until_ns in link.renewals.items() if until_ns >= now_ns}
    link.renewals[peer] = now_ns + RENEW_NS
    return True, f"{peer} may renew its secret for 10 min"


def _key_rotate(link: CraftLink, _order: LinkOrder, now_ns: int) -> Ended:
    for end in link.ends.ends:
        end.session.rotate()
    link.tell(now_ns, Code.KEY_ROTATED, Severity.INFO, f"{len(link.ends.ends)} sessions")
    return True, ""


def _link_drop(link: CraftLink, order: LinkOrder, _now_ns: int) -> Ended:
    count = link.ends.drop(order.arguments["peer"], "by order")
    return count > 0, "" if count else f"{order.arguments['peer']!r} is not connected"


def _ping(_link: CraftLink, order: LinkOrder, _now_ns: int) -> Ended:
    return True, str(order.arguments["number"])


ORDERS: dict[str, Handler] = {
    "emcon": _emcon, "emcon_release": _emcon_release, "nbl_send": _nbl_send, "nbl_set": _nbl_set,
    "channel_create": _channel_create, "channel_close": _channel_close, "telemetry_rate": _telemetry_rate,
    "file_send": _file_send, "file_list": _file_list, "file_delete": _file_delete,
    "file_suspend": _of_transaction("suspend"), "file_resume": _of_transaction("resume"),
    "file_cancel": _of_transaction("cancel"),
    "sequence_load": _sequence_load, "sequence_start": _sequence_start, "sequence_stop": _sequence_stop,
    "key_renew": _key_renew, "key_rotate": _key_rotate, "link_drop": _link_drop, "ping": _ping,
}
"""Who does what."""
