"""The `convscope` command: its subcommands, error messages and exit codes.

Exit codes: 0 success; 1 `reproduce` got other results; 2 wrong input (one message, no traceback);
3 success, but some images could not be read; 130 and 143 stopped by Ctrl-C and SIGTERM.
"""

import io
import logging
import sys
import warnings
from typing import Annotated

import typer

from convscope import __version__
from convscope.base.errors import ConvscopeError
from convscope.cli.commands import Commands
from convscope.cli.old_spellings import current

app = typer.Typer(
    cls=Commands,
    help="Train, run and inspect convolutional image classifiers.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def _version(wanted: bool | None) -> None:
    if wanted:
        print(f"convscope {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool | None,
        typer.Option("--version", callback=_version, is_eager=True, help="Print the version."),
    ] = None,
) -> None:
    del version


def main() -> None:
    """Runs the command line. Exits with 2 and a message on wrong input."""
    # Pillow warns about unusual files; a file that cannot be read is an error that names it.
    warnings.filterwarnings("ignore", module="PIL")
    logging.getLogger("PIL").addHandler(logging.NullHandler())
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # file names may hold any bytes
            stream.reconfigure(errors="backslashreplace")
    try:
        app(current(sys.argv[1:]))
    except ConvscopeError as error:
        sys.stderr.write(f"convscope: {error}\n")
        sys.exit(2)
    except OSError as error:
        where = error.filename or "standard output"
        sys.stderr.write(f"convscope: {where}: {error.strerror or error}\n")
        sys.exit(2)
