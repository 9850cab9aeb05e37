"""The flight loop's end of the link: requests in, state of the craft out, twenty times a second, never waiting.

Whatever the link says is bounded here: so many messages a step, requests only over the desk, energy only through the
budget. A link that has died leaves the craft flying; the command-loss timer then runs.
"""

from __future__ import annotations

from comms.bounded import BoundedQueue
from comms.flight_port import (
    CraftState,
    EnergyAsk,
    EnergyVerdict,
    LinkReport,
    ParameterValues,
    Port,
    UplinkRequest,
)
from fdir.codes import Code, Severity
from firmware_py.commands import CommandRequest, Confirmation, Priority, Source
from firmware_py.energy.token_types import Outcome, Store
from firmware_py.energy.token_types import Priority as TokenPriority
from firmware_py.link_guard import (
    LONGEST_NAME,
    MOST_FINISHED,
    EventBudget,
    channel_values,
    is_bounded,
    is_one_packet,
    printable,
)
from firmware_py.link_orders import LinkOrders
from firmware_py.link_tap import LinkTap
from firmware_py.telemetry_snapshot import LINK_CHANNELS
from firmware_py.tick import FlightSoftware

__all__ = ["LinkExchange"]

SECOND = 1_000_000_000
MOST_MESSAGES = 32
"""Messages of the link that are taken in one step."""
MOST_REQUESTS = 4
"""Requests that are taken to the desk in one step: each takes its time."""
MOST_WAITING = 64
"""Requests that wait for that; one that finds no room is asked again by its sender."""
SILENT_NS = 2 * SECOND
"""Age of its last report from which on the link counts as gone."""
PARAMETERS_NS = 10 * SECOND
"""How often parameters are told that have not changed."""
CONSUMER = "nbl"
PRIORITIES = {priority.value: priority for priority in Priority}
SEVERITIES = {severity.value: severity for severity in Severity}


class LinkExchange:
    """Owner of the flight loop's end.

    Args:
        software: the flight software.
        port: this end of the port.
        tap: the journal that tells the link what happens.
    """

    def __init__(self, software: FlightSoftware, port: Port, tap: LinkTap) -> None:
        self._software = software
        self._port = port
        self._tap = tap
        self.orders = LinkOrders(port)
        self.taken = 0
        """Requests that were handed to the desk."""
        self.untimely = 0
        """Reports that the link could not have made yet."""
        self.refused = 0
        """Requests, values and outcomes that were beyond their bounds or came too early, and were not looked at."""
        self.events = EventBudget()
        self._reported_ns: int | None = None
        self._waiting: BoundedQueue[UplinkRequest] = BoundedQueue(MOST_WAITING)
        self._asked: EnergyAsk | None = None
        self._granted = False
        self._started = False
        self._parameters: ParameterValues | None = None
        self._parameters_ns = 0
        software.commander.link = self.orders

    def step(self, now_ns: int) -> None:
        """One exchange."""
        software = self._software
        if not self._started:
            # From the start on the craft waits for an uplink.
            self._started = True
            software.heard_ns = now_ns
        for message in self._port.receive(MOST_MESSAGES):
            if isinstance(message, UplinkRequest):
                self.refused += not self._waiting.put(message)
            elif isinstance(message, LinkReport):
                self._hear(message, now_ns)
            elif isinstance(message, EnergyAsk):
                self._ask(message)
        for asked in self._waiting.take_all(MOST_REQUESTS):
            self._take(asked, now_ns)
        self._follow_energy()
        silent = self._reported_ns is None or now_ns - self._reported_ns > SILENT_NS
        if silent and self.orders.answers:
            self.orders.answers = False
            software.radio_ready = None
            software.link_values = {}
            software.journal.event(now_ns, Code.COMMS_UNAVAILABLE, Severity.WARNING, "the link process is silent")
        self._tell_parameters(now_ns)
        self._port.send(self._state(now_ns))

    def _take(self, asked: UplinkRequest, now_ns: int) -> None:
        software = self._software
        if software.facts is None:
            self.refused += 1
            return
        if not is_bounded(asked):
            self.refused += 1
            return
        request = CommandRequest(
            asked.command_id, asked.name, asked.arguments, Source.OPERATOR, asked.authority, True, asked.sender,
            sequence=asked.sequence, priority=PRIORITIES.get(asked.priority, Priority.NORMAL),
            not_after_ns=asked.not_after_ns, start=asked.start,
            confirmation=Confirmation.CONFIRMED if asked.confirmed else Confirmation.NONE,
        )
        commander = software.commander
        number = commander.desk.next_number()
        self.taken += 1
        self._tap.hold(number, request.who, request.command_id)
        verdict = commander.take(request, now_ns, software.estimator.nav, software.facts)
        self._tap.release(number, verdict)

    def _hear(self, report: LinkReport, now_ns: int) -> None:
        software = self._software
        if report.t_ns > now_ns + SECOND:
            # Of a link that still lives in the time of the start before: its orders have the numbers of others now.
            self.untimely += 1
            return
        self._reported_ns = now_ns
        self.orders.answers = True
        software.radio_ready = report.radio_ready
        if report.heard_ns is not None:
            if report.heard_ns > now_ns:
                self.untimely += 1
            elif software.heard_ns is None or report.heard_ns > software.heard_ns:
                software.heard_ns = report.heard_ns
        for event in self.events.admit(report.events, now_ns):
            severity = SEVERITIES.get(event.severity, Severity.WARNING)
            software.journal.event(now_ns, event.code, severity, printable(event.text))
        for number, well, words in report.finished[:MOST_FINISHED]:
            self.refused += not self.orders.finished(number, well, words)
        if report.telemetry:
            software.link_values, wrong = channel_values(report, LINK_CHANNELS)
            self.refused += wrong

    # -- energy

    def _ask(self, ask: EnergyAsk) -> None:
        peaks = self._software.energy.peaks
        if ask.consumer != CONSUMER or not is_one_packet(ask):
            self.refused += 1
            self._port.send(EnergyVerdict(ask.consumer[:LONGEST_NAME], False, (Code.PDU_DENIED.value,)))
            return
        if ask.watts <= 0.0:
            peaks.give_back(CONSUMER, ask.used_j)
            self._asked, self._granted = None, False
            return
        answer = peaks.ask(
            CONSUMER, ask.watts, ask.joules, ask.seconds, Store.SUPERCAP, TokenPriority.EMERGENCY,
        )
        self._granted = answer.outcome is Outcome.GRANTED
        self._asked = ask if self._granted else None
        codes = tuple(code.value for code in answer.codes)
        self._port.send(EnergyVerdict(CONSUMER, self._granted, codes, answer.when_ns))

    def _follow_energy(self) -> None:
        """A grant that was taken away: the transmitter must stop."""
        if self._asked is not None and not self._software.energy.peaks.live(CONSUMER):
            self._asked, self._granted = None, False
            self._software.energy.peaks.give_back(CONSUMER)
            self._port.send(EnergyVerdict(CONSUMER, False, (Code.PDU_PEAK_DENIED.value,)))

    # -- out

    def _tell_parameters(self, now_ns: int) -> None:
        """Values that are flown, once it is known what the memory holds."""
        retained = self._software.retained
        if retained is None or not retained.parameters.ready:
            return
        keeper, told = retained.parameters, self._parameters
        if told is not None and told.set_number == keeper.sets.number and told.values == keeper.values \
                and now_ns - self._parameters_ns < PARAMETERS_NS:
            return
        values = ParameterValues(keeper.sets.number, dict(keeper.values))
        if self._port.send(values):
            self._parameters, self._parameters_ns = values, now_ns

    def _state(self, now_ns: int) -> CraftState:
        software = self._software
        energy, supervisor = software.energy, software.supervisor
        heat = energy.heat.nodes
        celsius = {name: reading.value for name, reading in software.temperatures.items() if reading.ok}
        answer = energy.loads.answers.get(CONSUMER)
        core, pdu = heat.get("core"), heat.get("pdu")
        return CraftState(
            now_ns, software.commander.desk.start, supervisor.modes.motion.value, supervisor.modes.emission,
            tuple(code.value for code in supervisor.keeper.reasons),
            energy.soc_supercap, energy.soc_battery, celsius.get("core"),
            None if core is None else core.tripped, None if pdu is None else pdu.tripped,
            celsius.get("comms"), software.firing, None if answer is None else answer.on,
        )
