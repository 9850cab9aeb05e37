"""``qiki link gateway``: the craft as Yamcs, OpenC3 and others know it, by space packets over UDP and TCP.

Exit codes: 0 ended by the user, 2 bad input or a library is missing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, Protocol

import typer

if TYPE_CHECKING:
    from comms.bounded import BoundedQueue
    from comms.ccsds import CcsdsGateway
    from comms.link.ground import Arrival, GroundStation
    from firmware_py.cli.gateway_sockets import GatewaySockets

__all__ = ["EPILOG", "Station", "StationLink", "gateway_command", "run_gateway", "turn"]

EPILOG = (
    "Examples:\n\n  qiki link gateway --to udp:192.168.4.1:7600 --keys ann\n\n"
    "  qiki link gateway --to udp:192.168.4.1:7600 --keys ann --tc-tcp 127.0.0.1:10030 --tm-tcp 127.0.0.1:10030\n\n"
    "What the packets hold is in the file of qiki dictionary export --format xtce, which Yamcs and OpenC3 read."
)
BAD_INPUT = 2
TURN_S = 0.02
MOST_ARRIVALS = 256
LIFE_S = 60.0
"""How long a command from a ground system is good for, after its release time if it has one."""
TELL_NS = 10_000_000_000


TC_UDP, TM_UDP = "127.0.0.1:10025", "127.0.0.1:10015"
"""Ports of the examples of Yamcs."""

ToOption = Annotated[str, typer.Option("--to", help="The way to the craft, as for qiki link connect.")]
KeysOption = Annotated[Path, typer.Option("--keys", help="Folder of your keys.")]
PassphraseOption = Annotated[Path | None, typer.Option("--passphrase-file", help="File of the keys' passphrase.")]
SealOption = Annotated[Path | None, typer.Option("--seal-key", help="File of the keys' sealing key.")]
TcUdpOption = Annotated[str, typer.Option("--tc-udp", help="Own address for telecommands over UDP; '' for none.")]
TmUdpOption = Annotated[str, typer.Option("--tm-udp", help="Address that telemetry goes to over UDP; '' for none.")]
TcTcpOption = Annotated[str, typer.Option("--tc-tcp", help="Own address to which telecommands come over TCP.")]
TmTcpOption = Annotated[
    str, typer.Option("--tm-tcp", help="Own address from which telemetry is read over TCP; that of --tc-tcp for both.")
]
TrustOption = Annotated[
    list[str] | None, typer.Option("--trust", help="Another computer's address that may command; may be repeated.")
]
Opening = Callable[[str, Path, Path | None, Path | None], "AbstractContextManager[GroundStation]"]
"""Opens a ground station: where to, whose keys, files of their passphrase and sealing key. Tells what is wrong and
exits by itself."""


class Station(Protocol):
    """What the gateway uses of a ground station."""

    arrivals: BoundedQueue[Arrival]

    @property
    def connected(self) -> bool:
        """Whether the craft answers."""

    def step(self, now_ns: int) -> None:
        """Do what is due."""


class StationLink:
    """A ground station as the gateway's way to the craft; a ``comms.ccsds.CraftLink``.

    Args:
        station: connected or connecting.
        now_ns: monotonic clock.
    """

    def __init__(self, station: GroundStation, now_ns: Callable[[], int]) -> None:
        self._station = station
        self._now_ns = now_ns
        self._open: set[int] = set()

    def order(self, name: str, arguments: Mapping[str, Any], confirmed: bool, not_before_ms: int | None) -> int | None:
        """See CraftLink."""
        if not self._station.connected:
            return None
        try:
            order = self._station.order(
                name, arguments, self._now_ns(), life_s=LIFE_S, confirmed=confirmed, not_before_ms=not_before_ms,
            )
        except RuntimeError:
            # As many as there may be wait for their verdict.
            return None
        self._open.add(order.number)
        return order.number

    def ping(self, number: int) -> bool:
        """See CraftLink."""
        return self._station.connected and self._station.ping(number)

    def ask_parameters(self, first: int) -> bool:
        """See CraftLink."""
        return self._station.connected and self._station.ask_parameters(first)

    def expired(self) -> list[int]:
        """Commands whose time is over without an answer, each told once."""
        orders = self._station.orders.orders
        done = [number for number in self._open if number not in orders or orders[number].end]
        self._open.difference_update(done)
        return sorted(number for number in done if number in orders and orders[number].end == "expired")


def turn(
    station: Station, link: StationLink | None, gateway: CcsdsGateway, sockets: GatewaySockets, now_ns: int
) -> None:
    """One turn of the loop: packets in, link, packets out. Waits for nothing."""
    for packet in sockets.telecommands():
        gateway.telecommand(packet)
    station.step(now_ns)
    for arrival in station.arrivals.take_all(MOST_ARRIVALS):
        gateway.message(arrival.what)
    if link is not None:
        for number in link.expired():
            gateway.expired(number)
    sockets.send(gateway.take(MOST_ARRIVALS))


def gateway_command(opening: Opening) -> Callable[..., None]:
    """The command ``gateway`` for stations that are opened so."""

    def gateway(
        to: ToOption, keys: KeysOption = Path("keys"), tc_udp: TcUdpOption = TC_UDP, tm_udp: TmUdpOption = TM_UDP,
        tc_tcp: TcTcpOption = "", tm_tcp: TmTcpOption = "", trust: TrustOption = None,
        passphrase_file: PassphraseOption = None, seal_key: SealOption = None,
    ) -> None:
        """The craft as a ground system of CCSDS knows it: PUS services 1, 3, 5, 8, 11, 17, 20 over UDP and TCP.

        Whoever reaches a telecommand port acts with the role of your key: only this computer may, and whom you trust.
        """
        raise typer.Exit(run_gateway(
            lambda: opening(to, keys, passphrase_file, seal_key), tc_udp=tc_udp, tm_udp=tm_udp, tc_tcp=tc_tcp,
            tm_tcp=tm_tcp, trust=trust,
        ))

    return gateway


def run_gateway(
    opening: Callable[[], AbstractContextManager[GroundStation]], *, tc_udp: str = TC_UDP, tm_udp: str = TM_UDP,
    tc_tcp: str = "", tm_tcp: str = "", trust: list[str] | None = None,
    keep_going: Callable[[], bool] = lambda: True,
) -> int:
    """Open the ports, then the craft, and serve both until ``keep_going`` says no or the user ends it.

    Args:
        opening: opens the ground station; called when the ports are open and all libraries are there.

    Returns:
        The exit code.
    """
    from time import monotonic_ns

    from comms.ccsds import CcsdsGateway, GroundPartMissing
    from comms.ccsds.packets import Packets
    from comms.dictionary.fixed import APID
    from firmware_py.cli.gateway_sockets import GatewayEnds, GatewaySockets

    try:
        Packets(APID)
        sockets = GatewaySockets(GatewayEnds(tc_udp, tm_udp, tc_tcp, tm_tcp), trust or ())
    except GroundPartMissing as error:
        _refuse(str(error))
    except ValueError as error:
        _refuse(str(error), "Addresses are numbers with a port, such as 127.0.0.1:10025 or [::1]:10025.")
    except OSError as error:
        _refuse(error.strerror or str(error), "Another program may have the port: give another one.")
    try:
        with opening() as station:
            link = StationLink(station, monotonic_ns)
            gateway = CcsdsGateway(link)
            _tell(sockets)
            told_ns, was = monotonic_ns(), None
            while keep_going():
                now_ns = monotonic_ns()
                turn(station, link, gateway, sockets, now_ns)
                if station.connected is not was:
                    was = station.connected
                    typer.echo(f"craft {'answers' if was else 'does not answer yet'}")
                if now_ns - told_ns >= TELL_NS:
                    told_ns = now_ns
                    _tell_counts(gateway, sockets)
                sockets.wait(TURN_S)
    except KeyboardInterrupt:
        return 0
    finally:
        sockets.close()
    return 0


def _tell(sockets: GatewaySockets) -> None:
    names = {"tc_udp": "telecommands, UDP", "tm_udp": "telemetry to, UDP", "tc_tcp": "telecommands, TCP",
             "tm_tcp": "telemetry, TCP"}
    for name, text in names.items():
        address = getattr(sockets.addresses, name)
        if address:
            typer.echo(f"{text:18s} {address}")


def _tell_counts(gateway: CcsdsGateway, sockets: GatewaySockets) -> None:
    counts = gateway.counts
    refused = "".join(f", {count} refused ({why})" for why, count in sorted(counts.refused.items()))
    lost = gateway.dropped + sockets.counts.dropped
    typer.echo(f"{counts.telecommands} telecommands{refused}, {gateway.waiting} under way; {counts.reports} packets out"
               + (f", {lost} dropped" if lost else "")
               + (f", {sockets.counts.distrusted} from strangers" if sockets.counts.distrusted else ""))


def _refuse(message: str, next_step: str = "") -> NoReturn:
    typer.secho(f"qiki: {message}", fg=typer.colors.RED, err=True)
    if next_step:
        typer.echo(f"      {next_step}", err=True)
    raise typer.Exit(BAD_INPUT)
