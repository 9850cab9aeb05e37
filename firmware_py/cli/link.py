"""``qiki link``: talk to a craft from a laptop, and serve the link of a craft.

Exit codes: 0 all well, 1 the craft refused, or not all went well, 2 bad input or nobody there.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from firmware_py.cli.gateway import EPILOG as GATEWAY_EPILOG
from firmware_py.cli.gateway import gateway_command
from firmware_py.cli.link_campaign.command import EPILOG as CAMPAIGN_EPILOG
from firmware_py.cli.link_campaign.command import campaign

if TYPE_CHECKING:
    from comms.link.ground import GroundStation
    from comms.link.ground_orders import Ordered
    from comms.shell.words import Asked
    from firmware_py.cli.link_station import Station

__all__ = ["link_app"]

BAD_INPUT, NOT_WELL = 2, 1

link_app = typer.Typer(
    no_args_is_help=True, help="Talk to a craft over its link, and serve the link of a craft.",
    epilog="Lines: udp:ADDRESS:PORT, serial:DEVICE, can:INTERFACE, pty:DEVICE. Keys: [bold]qiki keys[/bold].",
)
files_app = typer.Typer(no_args_is_help=True, help="Files of the craft: list, get, put.")
sequence_app = typer.Typer(no_args_is_help=True, help="Sequences of commands: check and compile.")
link_app.add_typer(files_app, name="files")
link_app.add_typer(sequence_app, name="sequence")
link_app.command("campaign", epilog=CAMPAIGN_EPILOG)(campaign)

ToOption = Annotated[str, typer.Option("--to", help="Line to the craft, e.g. udp:192.168.4.1:7600.")]
KeysOption = Annotated[Path, typer.Option("--keys", help="Folder of your keys.")]
PassphraseOption = Annotated[Path | None, typer.Option("--passphrase-file", help="File of the keys' passphrase.")]
SealOption = Annotated[Path | None, typer.Option("--seal-key", help="File of the keys' sealing key.")]
CraftOption = Annotated[str | None, typer.Option("--craft", help="Name of the craft, where several are pinned.")]
ModemOption = Annotated[str | None, typer.Option("--modem", help="Modem profile of the line, e.g. uhf_9k6.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
WaitOption = Annotated[float, typer.Option("--wait", min=0.1, max=86_400.0, help="Longest wait, s.")]


@contextmanager
def _open_station(
    to: str, keys: Path, passphrase_file: Path | None, seal_key: Path | None
) -> Iterator[GroundStation]:
    """A connected station for the gateway."""
    station = _station(to, keys, passphrase_file, seal_key, None, None)
    try:
        yield station.station
    finally:
        station.close()


link_app.command("gateway", epilog=GATEWAY_EPILOG)(gateway_command(_open_station))


def _refuse(message: str, next_step: str = "", code: int = BAD_INPUT) -> NoReturn:
    typer.secho(f"qiki: {message}", fg=typer.colors.RED, err=True)
    if next_step:
        typer.echo(f"      {next_step}", err=True)
    raise typer.Exit(code)


def _station(
    to: str, keys: Path, passphrase_file: Path | None, seal_key: Path | None, craft: str | None, modem: str | None,
    folder: Path | None = None, wait_s: float = 30.0,
) -> Station:
    """A connected station, or a refusal."""
    from firmware_py.cli.keys_locks import open_keys
    from firmware_py.cli.link_station import Station, StationError

    store = open_keys(keys, passphrase_file, seal_key)
    try:
        station = Station(store, to, craft, modem, folder)
        station.connect(wait_s)
    except StationError as error:
        _refuse(str(error), error.next_step)
    return station


@link_app.command(epilog="Examples:\n\n  qiki link connect --to udp:192.168.4.1:7600 --keys ann\n\n"
                         "  qiki link connect --to serial:/dev/ttyUSB0 --modem uhf_9k6 --keys ann --json")
def connect(
    to: ToOption, keys: KeysOption = Path("keys"), passphrase_file: PassphraseOption = None,
    seal_key: SealOption = None, craft: CraftOption = None, modem: ModemOption = None, wait: WaitOption = 30.0,
    as_json: JsonOption = False,
) -> None:
    """Shake hands with a craft and tell who is there: time, start, software, whether the dictionary is the same."""
    station = _station(to, keys, passphrase_file, seal_key, craft, modem, wait_s=wait)
    ground = station.station
    station.wait(lambda: ground.hello is not None, 5.0)
    now_ms = ground.craft_ms(station.clock())
    hello = ground.hello
    told = {
        "craft": ground.craft, "time_s": None if now_ms is None else now_ms / 1000.0, "start": ground.start,
        "version": None if hello is None else hello.version, "same_dictionary": ground.same_dictionary,
    }
    station.close()
    if as_json:
        typer.echo(json.dumps(told))
        return
    typer.echo(f"{ground.craft} answers")
    typer.echo(f"  time since its start   {_shown(told['time_s'], ' s')}")
    typer.echo(f"  number of its start    {_shown(told['start'])}")
    typer.echo(f"  software               {_shown(told['version'])}")
    same = {None: "missing", True: "the same as here", False: "another one: qiki dictionary diff"}
    typer.echo(f"  dictionary             {same[ground.same_dictionary]}")


@link_app.command(epilog="Examples:\n\n  qiki link command --to udp:192.168.4.1:7600 --keys ann hold\n\n"
                         "  qiki link command --to udp:192.168.4.1:7600 --keys ann --effect "
                         "slew axis=0,0,1 angle_deg=90")
def command(
    words: Annotated[list[str], typer.Argument(help="Command and its arguments, name=value.")],
    to: ToOption, keys: KeysOption = Path("keys"), passphrase_file: PassphraseOption = None,
    seal_key: SealOption = None, craft: CraftOption = None, modem: ModemOption = None, wait: WaitOption = 60.0,
    effect: Annotated[bool, typer.Option("--effect", help="Wait for its effect, not only for its verdict.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Confirm a command that needs it.")] = False,
    priority: Annotated[str, typer.Option(help="normal, urgent or emergency.")] = "normal",
    not_before: Annotated[float | None, typer.Option(help="Flight time, s, before which nothing is done.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Give one command and tell its life: allowed or refused with every reason, and its effect."""
    from comms.dictionary import CommandRefused
    from comms.dictionary.messages import PRIORITIES

    asked = _asked([*words, "confirmed=true"] if yes else words)
    if priority not in PRIORITIES:
        _refuse(f"--priority is {priority!r}", f"allowed: {', '.join(PRIORITIES)}")
    station = _station(to, keys, passphrase_file, seal_key, craft, modem)
    ground = station.station
    try:
        order = ground.order(
            asked.command.name, asked.arguments, station.clock(), life_s=wait, priority=priority, confirmed=yes,
            not_before_ms=None if not_before is None else round(not_before * 1000.0),
        )
    except CommandRefused as error:
        station.close()
        _refuse(str(error), f"qiki dictionary show {asked.command.name}")
    shown = 0

    def told() -> bool:
        nonlocal shown
        if not as_json:
            for stage in order.stages[shown:]:
                typer.echo(_life(stage))
            shown = len(order.stages)
        return bool(order.end) or (bool(order.verdict) and not effect)

    done = station.wait(told, wait)
    told()
    station.close()
    if as_json:
        typer.echo(json.dumps(_as_object(order)))
    if not done:
        _refuse(f"no {'effect' if order.verdict else 'answer'} within {wait:g} s", "", NOT_WELL)
    if "CMD_CONFIRMATION_REQUIRED" in order.codes and not as_json:
        typer.echo("      to confirm it: --yes", err=True)
    well = order.verdict == "allowed" and order.end in ("", "audited", "effect_confirmed", "effect_partial")
    raise typer.Exit(0 if well else NOT_WELL)


@link_app.command(epilog="Examples:\n\n  qiki link watch --to udp:192.168.4.1:7600 --keys ann\n\n"
                         "  qiki link watch --to udp:192.168.4.1:7600 --keys ann soc_battery motion --for 10 --json")
def watch(
    to: ToOption,
    channels: Annotated[list[str] | None, typer.Argument(help="Channels; an overview if none are given.")] = None,
    keys: KeysOption = Path("keys"), passphrase_file: PassphraseOption = None, seal_key: SealOption = None,
    craft: CraftOption = None, modem: ModemOption = None,
    for_s: Annotated[float | None, typer.Option("--for", min=0.1, help="Seconds; until Ctrl-C if not given.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Watch telemetry as it comes; with --json a line for every frame and event."""
    from comms.dictionary import CHANNELS
    from firmware_py.cli.link_watch import watch_json, watch_live

    strange = [name for name in channels or () if name not in CHANNELS]
    if strange:
        _refuse(f"no channel {strange[0]!r}", "docs/reference/telemetry.md lists them")
    station = _station(to, keys, passphrase_file, seal_key, craft, modem)
    with suppress(KeyboardInterrupt):
        (watch_json if as_json else watch_live)(station, channels or [], for_s)
    station.close()


@link_app.command(epilog="Example:\n\n  qiki link renew --to serial:/dev/ttyUSB0 --keys ann\n\n"
                         "Over a radio the craft takes it only within 10 min of [bold]key_renew[/bold].")
def renew(
    to: ToOption, keys: KeysOption = Path("keys"), passphrase_file: PassphraseOption = None,
    seal_key: SealOption = None, craft: CraftOption = None, modem: ModemOption = None,
) -> None:
    """Renew the secret that you share with the craft, inside a session: over a cable, at a dock, on a bench."""
    from comms.keys.renewal import RenewalState

    station = _station(to, keys, passphrase_file, seal_key, craft, modem)
    ground = station.station
    why = ground.renew(station.clock())
    if not why:
        ended = (RenewalState.DONE, RenewalState.FAILED)
        station.wait(lambda: ground.renewal is None or ground.renewal.state in ended, 60.0)
    done = ground.renewal is not None and ground.renewal.state is RenewalState.DONE
    faults = () if ground.renewal is None else tuple(fault.value for fault in ground.renewal.refused)
    station.close()
    if not done:
        _refuse(f"not renewed: {why or ', '.join(faults) or 'the session was lost'}; the old secret goes on",
                "over a radio, first: qiki link command ... key_renew --yes", NOT_WELL)
    typer.echo(f"you and {ground.craft} have a new shared secret; the old one is wiped")


@files_app.command("list", epilog="Example:\n\n  qiki link files list --to udp:192.168.4.1:7600 --keys ann")
def files_list(
    to: ToOption, keys: KeysOption = Path("keys"), passphrase_file: PassphraseOption = None,
    seal_key: SealOption = None, craft: CraftOption = None, modem: ModemOption = None, wait: WaitOption = 30.0,
    as_json: JsonOption = False,
) -> None:
    """List the files of the craft's store."""
    from comms.dictionary.messages import FileListing

    station = _station(to, keys, passphrase_file, seal_key, craft, modem)
    ground = station.station
    rows: dict[str, int] = {}
    total: list[int] = []

    def come() -> bool:
        for arrival in ground.arrivals.take_all():
            if isinstance(arrival.what, FileListing):
                total[:] = [arrival.what.total]
                rows.update({row.name: row.size_bytes for row in arrival.what.files})
        return bool(total) and len(rows) >= total[0]

    order = ground.order("file_list", {}, station.clock(), life_s=wait)
    done = station.wait(lambda: come() or order.verdict == "rejected", wait)
    station.close()
    if order.verdict == "rejected":
        _refuse(f"refused: {', '.join(order.codes)} {order.detail}", "", NOT_WELL)
    if not done:
        _refuse(f"no listing within {wait:g} s", "", NOT_WELL)
    if as_json:
        typer.echo(json.dumps(rows))
        return
    for name, size in sorted(rows.items()):
        typer.echo(f"{size:>10}  {name}")
    typer.echo(f"{len(rows)} files")


@files_app.command("put", epilog="Example:\n\n  qiki link files put survey.qseq --to udp:192.168.4.1:7600 --keys ann")
def files_put(
    file: Annotated[Path, typer.Argument(help="File to send.")], to: ToOption, keys: KeysOption = Path("keys"),
    passphrase_file: PassphraseOption = None, seal_key: SealOption = None, craft: CraftOption = None,
    modem: ModemOption = None, wait: WaitOption = 600.0,
    name: Annotated[str | None, typer.Option("--as", help="Its name on the craft.")] = None,
) -> None:
    """Send a file to the craft; done when the craft has it whole."""
    from comms.cfdp import PutRefusal, StoreRefusal
    from firmware_py.cli.link_watch import follow_transfer

    there = file.name if name is None else name
    try:
        data = file.read_bytes()
    except OSError as error:
        _refuse(f"{file}: {error.strerror}", "give a file")
    station = _station(to, keys, passphrase_file, seal_key, craft, modem)
    ground = station.station
    saved = ground.files.store.save(there, data)
    outcome = saved if isinstance(saved, StoreRefusal) else ground.send_file(there, station.clock())
    if isinstance(outcome, PutRefusal | StoreRefusal):
        station.close()
        _refuse(f"{file}: {outcome.value.replace('_', ' ')}",
                f"at most {ground.files.store.limits.file_bytes >> 20} MiB; its name on the craft (--as) is letters, "
                "digits, dots, - and _")
    well, words = follow_transfer(station, outcome, wait)
    station.close()
    typer.echo(words)
    raise typer.Exit(0 if well else NOT_WELL)


@files_app.command("get", epilog="Example:\n\n  qiki link files get notes.bin --to udp:192.168.4.1:7600 --keys ann")
def files_get(
    name: Annotated[str, typer.Argument(help="File of the craft's store.")], to: ToOption,
    keys: KeysOption = Path("keys"), passphrase_file: PassphraseOption = None, seal_key: SealOption = None,
    craft: CraftOption = None, modem: ModemOption = None, wait: WaitOption = 600.0,
    folder: Annotated[Path, typer.Option("--into", help="Folder to put it into.")] = Path("."),
) -> None:
    """Have the craft send a file, and keep it when it is whole."""
    from firmware_py.cli.link_watch import follow_arrival

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        _refuse(f"{folder}: {error.strerror}", "choose another folder with --into")
    station = _station(to, keys, passphrase_file, seal_key, craft, modem, folder)
    order = station.station.order("file_send", {"name": name}, station.clock(), life_s=60.0)
    well, words = follow_arrival(station, order, name, wait)
    station.close()
    typer.echo(words)
    raise typer.Exit(0 if well else NOT_WELL)


@sequence_app.command("compile", epilog="Example:\n\n  qiki link sequence compile survey.yaml --out survey.qseq")
def sequence_compile(
    file: Annotated[Path, typer.Argument(help="Sequence as YAML (docs/guide/talk-to-a-craft.md).")],
    out: Annotated[Path | None, typer.Option("--out", help="Compiled file; beside it with .qseq if not given.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Check a sequence as the craft will, and write it sealed."""
    from comms.link.sequence_file import SequenceError, compile_yaml, packed

    try:
        sequence = compile_yaml(file.read_text(encoding="utf-8"))
    except OSError as error:
        _refuse(f"{file}: {error.strerror}")
    except (SequenceError, UnicodeDecodeError) as error:
        _refuse(f"{file}: {error}", "docs/guide/talk-to-a-craft.md says what a sequence holds")
    target = file.with_suffix(".qseq") if out is None else out
    try:
        target.write_bytes(packed(sequence))
    except OSError as error:
        _refuse(f"{target}: {error.strerror}", "choose another place with --out")
    if as_json:
        typer.echo(json.dumps({"file": str(target), "name": sequence.name, "steps": len(sequence.steps),
                               "seal": sequence.seal}))
        return
    typer.echo(f"{target}: {sequence.name}, {len(sequence.steps)} steps\nseal {sequence.seal}")
    typer.echo(f"next: qiki link files put {target}, then sequence_load name={target.name}")


@link_app.command(epilog="Example:\n\n  qiki link serve --port /run/qiki/link.port --listen udp:0.0.0.0:7600 "
                         "--keys craft --state /var/lib/qiki/link --seal-key /etc/qiki/craft.seal")
def serve(
    port: Annotated[Path, typer.Option("--port", help="Socket of the flight program.")],
    listen: Annotated[list[str], typer.Option("--listen", help="A line to peers; several may be given.")],
    keys: KeysOption = Path("keys"), passphrase_file: PassphraseOption = None, seal_key: SealOption = None,
    modem: Annotated[list[str] | None, typer.Option("--modem", help="Profile of each line, in their order.")] = None,
    state: Annotated[Path, typer.Option("--state", help="Folder of what outlives a restart.")] = Path("link-state"),
    shell: Annotated[Path | None, typer.Option("--shell", help="Socket of the debug shell.")] = None,
    for_s: Annotated[float | None, typer.Option("--for", min=0.1, help="Seconds; until it is ended otherwise.")] = None,
) -> None:
    """Serve a craft's link as a process of its own, beside the flight program."""
    from firmware_py.cli.keys_locks import open_keys
    from firmware_py.cli.link_lines import LineError
    from firmware_py.cli.link_serve import serve_link

    store = open_keys(keys, passphrase_file, seal_key)
    try:
        serve_link(store, port, listen, modem or [], state, shell, for_s)
    except LineError as error:
        _refuse(str(error), error.next_step)
    except OSError as error:
        _refuse(f"{error.filename or shell or state}: {error.strerror or error}", "choose another place")
    except ValueError as error:
        _refuse(f"{keys}: {error}", "give the folder of a craft's keys with --keys")


def _asked(words: list[str]) -> Asked:
    """The order that these words are, as in the shell; a refusal says what is allowed."""
    from comms.dictionary import CommandRefused
    from comms.shell.words import ShellRefused, read_order, split_words

    try:
        return read_order(split_words(" ".join(words)))
    except (CommandRefused, ShellRefused) as error:
        _refuse(str(error), "qiki dictionary show lists the commands")


def _life(stage: Any) -> str:
    from firmware_py.reference_codes import CODE_TEXT

    if stage.stage == "notice":
        # The link itself speaks, before the flight loop: there is no flight time to it.
        reason, _, words = stage.detail.partition(": ")
        text = "".join(f"\n    {code}: {CODE_TEXT[code]}" for code in reason.split(", ") if code in CODE_TEXT)
        return f"refused by the link  {reason}{f': {words}' if words else ''}{text}"
    codes = "".join(f"\n    {code}: {CODE_TEXT.get(code, '')}" for code in stage.codes)
    detail = f"  {stage.detail}" if stage.detail else ""
    return f"{stage.t_ns * 1e-9:10.3f} s  {stage.stage}{detail}{codes}"


def _as_object(order: Ordered) -> dict[str, Any]:
    return {
        "number": order.number, "command": order.name, "verdict": order.verdict or None, "end": order.end or None,
        "codes": list(order.codes), "detail": order.detail, "sends": order.sends,
        "stages": [
            {"t_s": stage.t_ns * 1e-9, "stage": str(stage.stage), "codes": list(stage.codes)} for stage in order.stages
        ],
    }


def _shown(value: Any, unit: str = "") -> str:
    return "missing" if value is None or value == "" else f"{value}{unit}"
