"""The program ``qiki`` of an installation: ``qiki fly`` reads its own command alone, everything else the whole command.

A craft whose flight program was killed waits for its start; the other commands would take a twentieth of it.
"""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> None:
    """Entry point."""
    if sys.argv[1:2] != ["fly"]:
        from firmware_py.cli.main import main as whole

        whole()
        return
    import gc

    # What a start makes is kept: there is no garbage to look for.
    gc.disable()
    import typer

    from firmware_py.cli.fly import EPILOG, fly

    app = typer.Typer(add_completion=False, rich_markup_mode="rich", pretty_exceptions_enable=False)
    app.command(epilog=EPILOG)(fly)
    app(args=sys.argv[2:], prog_name="qiki fly")


if __name__ == "__main__":
    main()
